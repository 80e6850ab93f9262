#!/usr/bin/env python3
"""Measures whether small operations feel one large value grow and go: p50, p99, p99.9 and max in microseconds.

    latency.py                                 Roan, and redis-server when it is on the PATH
    latency.py --peer 'valkey|valkey-server --port {port} --save ""' --items 10000000
    latency.py --kinds zset,stream --variants plain,threads --quick

A probe asks for one element of other keys (GET, SET, HSET, HGET, SADD, ZADD, ZSCORE, LPUSH, RPOP in turn) at a fixed
rate: first beside nothing (idle), then while a second client adds elements to one list, hash, set, sorted set or stream
in a pipeline (grow), and then from the DEL of that value until five seconds after it (delete). An operation that comes
late because the one before it took long counts as late, so that a stall is seen by all that it would have met.

The server has CPU 0, the probe and the load share CPU 1; the probe goes first where the system allows (as root). Other
work on the machine shows in the idle line: what counts is the distance to it. A virtual machine that works is stopped
more often than one that sleeps, which "grow nothing" shows: the same load on ten thousand small keys. The machine only
ever adds to a latency, so with --rounds every phase shows its lowest percentiles of all rounds. The last column counts
the commands that took longer than a millisecond inside the server (its slow log), in the round with the fewest.
"""

import argparse
import gc
import json
import multiprocessing
import os
import socket
import sys
import time

sys.dont_write_bytecode = True
import bench  # noqa: E402
from targets import TargetFailed, encode  # noqa: E402

INTERVAL_SECONDS = 0.0002
SLOW_LOG = ([b"slowlog-log-slower-than", b"1000"], [b"slowlog-max-len", b"100000"])
IDLE_SECONDS = 5.0
AFTER_DELETE_SECONDS = IDLE_SECONDS
ITEMS = 10000000
PER_COMMAND = 10                    # elements in one command of the load
COMMANDS_AHEAD = 10                 # commands sent before their answers are waited for
VALUE = b"x" * 32

PROBES = [encode(words) for words in (
    ("SET", "probe:s", "value"), ("GET", "probe:s"),
    ("HSET", "probe:h", "field", "value"), ("HGET", "probe:h", "field"),
    ("SADD", "probe:t", "member"), ("ZADD", "probe:z", "1", "member"), ("ZSCORE", "probe:z", "member"),
    ("LPUSH", "probe:l", "element"), ("RPOP", "probe:l"))]


def name(number):
    return b"element:%012d" % number


CONTROL = "nothing"                 # a kind that grows nothing: what the load alone does to the probe
SMALL_KEYS = 10000

KINDS = {
    "list": (b"RPUSH", lambda number: (name(number),)),
    "hash": (b"HSET", lambda number: (name(number), VALUE)),
    "set": (b"SADD", lambda number: (name(number),)),
    "zset": (b"ZADD", lambda number: (b"%d" % (number * 7919 % ITEMS), name(number))),
    "stream": (b"XADD", lambda number: (b"%d-0" % (number + 1), b"field", VALUE)),
}


def connect(port):
    link = socket.create_connection(("127.0.0.1", port), 30)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link


# -- the load, in a process of its own ------------------------------------------------------------------

def small_keys(items):
    """The same amount of load, and nothing grows."""
    for number in range(0, items, PER_COMMAND):
        yield encode([b"SET", b"key:%012d" % (number % SMALL_KEYS), VALUE])


def requests_of(kind, items):
    """Commands that add the elements; a stream takes one entry with each."""
    if kind == CONTROL:
        yield from small_keys(items)
        return
    verb, words = KINDS[kind]
    per_command = 1 if kind == "stream" else PER_COMMAND
    for start in range(0, items, per_command):
        command = [verb, b"big"]
        for number in range(start, min(items, start + per_command)):
            command.extend(words(number))
        yield encode(command)


def grow(port, kind, items, done):
    go_last()
    os.nice(5)
    ahead = COMMANDS_AHEAD * (PER_COMMAND if kind == "stream" else 1)
    lines = 2 if kind == "stream" else 1       # of an answer: ids are bulk strings
    with connect(port) as link:
        batch = []
        for request in requests_of(kind, items):
            batch.append(request)
            if len(batch) == ahead:
                exchange(link, batch, lines)
                batch = []
        exchange(link, batch, lines)
    done.set()


def exchange(link, batch, lines):
    link.sendall(b"".join(batch))
    missing = lines * len(batch)
    while missing > 0:
        data = link.recv(1 << 16)
        if not data or data[:1] == b"-":
            raise TargetFailed("the load was answered %r" % data[:80])
        missing -= data.count(b"\r\n")


# -- the probe ------------------------------------------------------------------------------------------

def go_first():
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except (PermissionError, AttributeError):
        print("latency.py: no right to real-time priority: the probe waits for the load now and then")


def go_last():
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def probe(link, until):
    """Seconds that each operation took, until until() is true; late ones that a stall delayed are added."""
    took, at = [], 0
    clock = time.perf_counter
    following = clock()
    while not until():
        wait = following - clock()
        if wait > 0:
            time.sleep(wait)
        start = clock()
        link.sendall(PROBES[at])
        link.recv(4096)
        spent = clock() - start
        at = (at + 1) % len(PROBES)
        took.append(spent)
        following = start + INTERVAL_SECONDS
        while spent > INTERVAL_SECONDS:
            spent -= INTERVAL_SECONDS
            took.append(spent)
    return took


def summary(took):
    took = sorted(took)

    def at(share):
        return took[min(len(took) - 1, int(len(took) * share))] * 1e6
    return {"count": len(took), "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "max": took[-1] * 1e6}


def lowest(rounds):
    """Of the same phases measured several times, the lowest of each figure."""
    return {phase: {figure: min(row[phase][figure] for row in rounds) for figure in rounds[0][phase]}
            for phase in rounds[0]}


def slow_commands(link):
    """How many commands the server's slow log holds; it is emptied."""
    link.sendall(encode([b"SLOWLOG", b"LEN"]))
    answer = link.recv(64)
    link.sendall(encode([b"SLOWLOG", b"RESET"]))
    link.recv(64)
    return int(answer[1:])


def after(seconds):
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


def measure(target, kinds, items, idle_seconds):
    """{phase: summary}; phases are idle, and "grow KIND" and "delete KIND" of every kind."""
    results = {}
    with target, connect(target.port) as link:
        for option in SLOW_LOG:
            link.sendall(encode([b"CONFIG", b"SET", *option]))
            link.recv(64)

        def phase(name, until):
            results[name] = summary(probe(link, until))
            results[name]["slow"] = slow_commands(link)
        go_first()
        phase("warm up", after(0.5))
        phase("idle", after(idle_seconds))
        del results["warm up"]
        for kind in kinds:
            done = multiprocessing.Event()
            loader = multiprocessing.Process(target=grow, args=(target.port, kind, items, done))
            loader.start()
            phase("grow " + kind, lambda: done.is_set() or not loader.is_alive())
            loader.join()
            if not done.is_set():
                raise TargetFailed("the load of %s did not end" % kind)
            if kind == CONTROL:
                continue
            with connect(target.port) as other:
                other.sendall(encode([b"DEL", b"big"]))
                phase("delete " + kind, after(AFTER_DELETE_SECONDS))
                if other.recv(64) != b":1\r\n":
                    raise TargetFailed("DEL of the %s failed" % kind)
        return results


# -- the run --------------------------------------------------------------------------------------------

def print_results(name, results):
    print("\n%s, microseconds\n" % name)
    print("%-16s%10s%10s%10s%10s%10s%16s%8s" % ("", "count", "p50", "p99", "p99.9", "max", "p99.9 - idle", "slow"))
    for phase, row in results.items():
        print("%-16s%10d%10.0f%10.0f%10.0f%10.0f%16.0f%8d" % (
            phase, row["count"], row["p50"], row["p99"], row["p99.9"], row["max"],
            row["p99.9"] - results["idle"]["p99.9"], row["slow"]))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roan", default=os.path.join(bench.ROOT, "build", "roan"), help="the program to measure")
    parser.add_argument("--variants", default="plain", help="of Roan: %s" % ", ".join(bench.VARIANTS))
    parser.add_argument("--peer", action="append", metavar="NAME|COMMAND", help="another server; repeat")
    parser.add_argument("--kinds", default=",".join([CONTROL, *KINDS]))
    parser.add_argument("--items", type=int, default=ITEMS, help="elements of the large value (%d)" % ITEMS)
    parser.add_argument("--rounds", type=int, default=1, help="measure so often, report the lowest (1)")
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the elements")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    options = parser.parse_args()
    if options.quick:
        options.items //= 50
    unknown = set(options.kinds.split(",")) - {CONTROL, *KINDS}
    if unknown:
        sys.exit("latency.py: there is no kind %s" % ", ".join(sorted(unknown)))
    return options


def main():
    options = parse_arguments()
    bench.need_two_cpus()
    os.sched_setaffinity(0, {bench.LOAD_CPU})
    gc.disable()
    rounds = {}
    for _ in range(options.rounds):
        for target in bench.make_servers(options):
            try:
                results = measure(target, options.kinds.split(","), options.items, IDLE_SECONDS)
            except (TargetFailed, OSError) as problem:
                print("latency.py: %s: %s" % (target.name, problem))
                continue
            finally:
                go_last()                      # what is started next would inherit the priority
            rounds.setdefault(target.name, []).append(results)
    everything = {name: lowest(measured) for name, measured in rounds.items()}
    for name, results in everything.items():
        print_results(name, results)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(everything, file, indent=1)
    return 0 if everything else 1


if __name__ == "__main__":
    sys.exit(main())
