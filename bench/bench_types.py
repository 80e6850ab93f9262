#!/usr/bin/env python3
"""Measures what requests to lists, hashes, sets, sorted sets and streams cost, and what an element takes in memory.

    bench_types.py                                   Roan, and redis-server when it is on the PATH
    bench_types.py --peer 'valkey|valkey-server --port {port} --save ""' --json types.json
    bench_types.py --only cpu --tests zadd,zrank --quick

The method is bench.py's: every server alone on CPU 0, the load on CPU 1, CPU time as the kernel accounted it, rounds
over all servers in turn, medians. Before each measurement the server is emptied and filled with what the test needs,
so that every pop finds an element. Pipeline depth 16, 50 connections and 64-byte values, unless a test says otherwise.
"""

import argparse
import json
import os
import random
import sys
import time

sys.dont_write_bytecode = True
import bench  # noqa: E402
from targets import TargetFailed, encode  # noqa: E402

DEPTH = 16
CONNECTIONS = 50
VALUE = b"x" * 64
PART = 500                         # elements in one command while filling
MANY = 1000000
KEYS = 100000
MEMORY_ITEMS = 1000000


def parts(head, elements):
    """Commands that add the elements (a list of words each), many at a time."""
    words, count = list(head), 0
    for element in elements:
        words += element
        count += 1
        if count == PART:
            yield encode(words)
            words, count = list(head), 0
    if count:
        yield encode(words)


def name(number):
    return b"element:%012d" % number


def scores(count, seed=1):
    """(score, member): every member once, scores without order."""
    numbers = random.Random(seed)
    return ([b"%d" % numbers.randrange(count), name(number)] for number in range(count))


def entries(count):
    return (encode([b"XADD", b"big", b"%d-0" % (number + 1), b"field", VALUE]) for number in range(count))


def nothing(count):
    return iter(())


def fill_list(count):
    return parts([b"LPUSH", b"big"], ([VALUE] for _ in range(count)))


def fill_set(count):
    return parts([b"SADD", b"big"], ([name(number)] for number in range(count)))


def fill_zset(count):
    return parts([b"ZADD", b"big"], scores(count))


def fill_group(count):
    yield encode([b"XGROUP", b"CREATE", b"big", b"readers", b"0", b"MKSTREAM"])
    for request in entries(10 * count):
        yield request


def fill_two_sets(count):
    """100 000 members each, half of them in both."""
    for key, first in ((b"one", 0), (b"two", KEYS // 2)):
        for request in parts([b"SADD", key], ([name(number)] for number in range(first, first + KEYS))):
            yield request


class Test:
    """A command, what it wants to find there, and how many requests are one measurement."""

    def __init__(self, name, command, fill=nothing, requests=MANY, keys=KEYS, connections=CONNECTIONS, depth=DEPTH):
        self.name, self.command, self.fill, self.requests = name, command.split(), fill, requests
        self.keys, self.connections, self.depth = keys, connections, depth


TESTS = (
    Test("lpush", "LPUSH big __data__"),
    Test("rpop", "RPOP big", fill_list),
    Test("lrange_100", "LRANGE big 0 99", lambda count: fill_list(10000), MANY // 5),
    Test("sadd", "SADD big element:__rand_int__"),
    Test("spop", "SPOP big", fill_set),
    Test("sinter_2x100k", "SINTER one two", fill_two_sets, 100, connections=1, depth=1),
    Test("hset", "HSET big element:__rand_int__ __data__"),
    Test("hgetall_50", "HGETALL big", lambda count: parts(
        [b"HSET", b"big"], ([b"field%d" % number, b"value%d" % number] for number in range(50))), MANY // 5),
    Test("zadd", "ZADD big __rand_int__ element:__rand_int__"),
    Test("zpopmin", "ZPOPMIN big", fill_zset),
    Test("zrange_100", "ZRANGE big 50000 50099", lambda count: fill_zset(KEYS), MANY // 5),
    Test("zrank_1m", "ZRANK big element:__rand_int__", lambda count: fill_zset(MANY), keys=MANY),
    Test("xadd", "XADD big * field __data__"),
    Test("xreadgroup_10", "XREADGROUP GROUP readers alice COUNT 10 STREAMS big >", fill_group, MANY // 10),
)

MEMORY_KINDS = (
    ("small hash, 5 fields", lambda count: (encode(
        [b"HSET", b"key:%012d" % number] + [word for at in range(5) for word in (b"field%d" % at, b"value%d" % at)])
        for number in range(count))),
    ("field of one big hash (18 + 32 B)", lambda count: parts(
        [b"HSET", b"big"], ([b"field:%012d" % number, b"x" * 32] for number in range(count)))),
    ("member of one big set (19 B)", lambda count: parts(
        [b"SADD", b"big"], ([b"member:%012d" % number] for number in range(count)))),
    ("member of one big sorted set (19 B)", lambda count: parts(
        [b"ZADD", b"big"], ([b"%d" % number, b"member:%012d" % number] for number in range(count)))),
    ("element of one big list (20 B)", lambda count: parts(
        [b"RPUSH", b"big"], ([b"element:%012d" % number] for number in range(count)))),
    ("entry of one big stream (5 + 20 B)", lambda count: (
        encode([b"XADD", b"big", b"%d-0" % (1700000000000 + number), b"field", b"element:%012d" % number])
        for number in range(count))),
)


# -- measuring ------------------------------------------------------------------------------------------

def measure(target, generator, test, scale):
    """Server CPU per request, in nanoseconds."""
    count = max(20, int(test.requests * scale))
    target.call("FLUSHALL", "SYNC")
    target.load(test.fill(count))
    before = target.cpu_ns()
    row = bench.generate(target, generator, test.command, count, test.connections, test.depth, test.keys)
    after = target.cpu_ns()
    return {"cpu_ns": (after - before) / count, "ops": float(row[1])}


def measure_rounds(targets, generator, tests, options):
    """{(test, server): measurements or None}"""
    cells = {}
    for number in range(options.rounds):
        for index, test in enumerate(tests):
            shift = (number + index) % len(targets)
            for target in targets[shift:] + targets[:shift]:
                cell = cells.setdefault((test.name, target.name), [])
                if cell is None:
                    continue
                try:
                    cell.append(measure(target, generator, test, 0.1 if options.quick else 1))
                except (bench.Skipped, TargetFailed) as reason:
                    cells[test.name, target.name] = None
                    print("bench_types.py: %s: %s: %s" % (target.name, test.name, reason))
                target.call("FLUSHALL", "SYNC")
            bench.progress("round %d of %d, %s" % (number + 1, options.rounds, test.name))
    bench.progress("")
    return cells


def measure_memory(targets, options):
    """{(kind, server): resident bytes per item}"""
    count = MEMORY_ITEMS // 10 if options.quick else MEMORY_ITEMS
    results = {}
    for kind, requests in MEMORY_KINDS:
        for target in targets:
            bench.progress("memory: %s, %s" % (kind, target.name))
            try:
                with target:
                    before = target.resident_bytes()
                    target.load(requests(count))
                    time.sleep(bench.MEMORY_SETTLE_SECONDS)
                    results[kind, target.name] = (target.resident_bytes() - before) / count
            except (TargetFailed, OSError) as problem:
                print("bench_types.py: memory: %s: %s" % (kind, problem))
    bench.progress("")
    return results


# -- the run --------------------------------------------------------------------------------------------

def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roan", default=os.path.join(bench.ROOT, "build", "roan"), help="the program to measure")
    parser.add_argument("--variants", default="plain", help="of Roan: %s" % ", ".join(bench.VARIANTS))
    parser.add_argument("--peer", action="append", metavar="NAME|COMMAND", help="another server; repeat")
    parser.add_argument("--benchmark", metavar="COMMAND", help="load generator (Roan's own)")
    parser.add_argument("--rounds", type=int, help="measurements per figure (3, with --quick 1)")
    parser.add_argument("--tests", default="", help="of %s" % ",".join(test.name for test in TESTS))
    parser.add_argument("--only", choices=("cpu", "memory"), help="one part of the measurements")
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests and items")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.floor = None
    return options


def chosen_tests(options):
    names = [word for word in options.tests.split(",") if word]
    unknown = set(names) - {test.name for test in TESTS}
    if unknown:
        sys.exit("bench_types.py: there is no test %s" % ", ".join(sorted(unknown)))
    return [test for test in TESTS if not names or test.name in names]


def main():
    options = parse_arguments()
    bench.need_two_cpus()
    targets = bench.make_servers(options)
    tests = chosen_tests(options)
    cells, memory = {}, {}
    names = [target.name for target in targets]
    try:
        if options.only != "memory":
            running = bench.start_all(targets)
            cells = measure_rounds(running, bench.find_generator(options), tests, options) if running else {}
    finally:
        for target in targets:
            target.stop()
    if cells:
        bench.print_table("Server CPU, nanoseconds per request", [(test.name, test.name) for test in tests], names,
                          lambda key, server: bench.median(cells.get((key, server)), "cpu_ns"), "%.0f")
    if options.only != "cpu":
        memory = measure_memory(targets, options)
        bench.print_table("Resident bytes per item", [(kind, kind) for kind, _ in MEMORY_KINDS], names,
                          lambda key, server: memory.get((key, server)), "%.1f")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"requests": [{"test": test, "server": server, "rounds": cell or []}
                                    for (test, server), cell in cells.items()],
                       "memory": [{"kind": kind, "server": server, "bytes": value}
                                  for (kind, server), value in memory.items()]}, file, indent=1)
    return 0 if cells or memory else 1


if __name__ == "__main__":
    sys.exit(main())
