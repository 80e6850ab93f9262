#!/usr/bin/env python3
"""Measures what a request and a key cost, for Roan, the floor and other servers, in one run.

    bench.py                                   Roan, floor, and redis-server when it is on the PATH
    bench.py --peer 'valkey|valkey-server --port {port} --save ""'
    PEERS='a|command of a {port}|b|command of b {port}' make bench
    bench.py --variants plain,threads,uring --quick --json results.json

Every server runs alone on CPU 0 (the others sleep), the load generator on CPU 1. The cost of a request is
the CPU time the kernel accounted to the server, user and system, divided by the requests: it does not
depend on who waited for whom. Rounds go over all servers in turn, so that a slow minute of the machine
meets all of them; a figure is the median of its rounds. What is printed as a ratio is Roan divided by the
other: below 1 Roan is cheaper.

The floor (bench/floor.c) answers without looking: its cost is that of the network alone.
"""

import argparse
import csv
import io
import itertools
import json
import os
import platform
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from targets import Target, TargetFailed, encode, on_cpu  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SERVER_CPU, LOAD_CPU = 0, 1
TESTS = ("get", "set", "incr", "mset", "ping_mbulk")
DEPTHS = (1, 16, 64)
CONNECTIONS = 50
KEYS = 100000
VALUE_BYTES = 64
REQUESTS = {1: 100000, 16: 600000, 64: 1500000}  # per measurement; an MSET counts as five
MSET_WEIGHT = 5
RUN_SECONDS_MAX = 120
MEMORY_KEYS = 1000000
MEMORY_SETTLE_SECONDS = 0.5
VARIANTS = {"plain": "", "threads": " --threads 4", "epoll": " --io epoll", "uring": " --io uring"}


class Skipped(Exception):
    """This server cannot do this test."""


# -- what there is to measure ---------------------------------------------------------------------------

def parse_peers(options):
    """Peers as (name, command), from --peer and from PEERS="name|command|name|command"."""
    texts = list(options.peer or [])
    words = [word.strip() for word in os.environ.get("PEERS", "").split("|")]
    if words != [""]:
        if len(words) % 2:
            sys.exit("bench.py: PEERS: wants name|command|name|command ...")
        texts += ["|".join(pair) for pair in zip(words[::2], words[1::2])]
    peers = []
    for text in texts:
        name, bar, command = text.partition("|")
        if not bar or "{port}" not in command:
            sys.exit("bench.py: a peer is 'name|command with {port}', not %r" % text)
        peers.append((name, command))
    if not peers and shutil.which("redis-server"):
        peers.append(("redis", "redis-server --port {port} --save '' --bind 127.0.0.1"))
    return peers


def build_floor(options):
    """The path of the floor program, compiled from bench/floor.c when it is missing or old."""
    source = os.path.join(HERE, "floor.c")
    program = options.floor or os.path.join(ROOT, "build", "floor")
    if os.path.exists(program) and os.path.getmtime(program) >= os.path.getmtime(source):
        return program
    os.makedirs(os.path.dirname(program), exist_ok=True)
    compiler = os.environ.get("CC", "cc")
    for extra in (["-luring"], ["-DNO_URING"]):
        if subprocess.run([compiler, "-O2", source, "-o", program] + extra,
                          stderr=subprocess.DEVNULL).returncode == 0:
            return program
    print("bench.py: %s does not compile bench/floor.c; measuring without it" % compiler)
    return None


def make_servers(options):
    """Roan in its variants, and the peers."""
    targets = []
    if os.path.exists(options.roan):
        command = shlex.quote(os.path.abspath(options.roan)) + " server --port {port} --save ''"
        for variant in options.variants.split(","):
            if variant not in VARIANTS:
                sys.exit("bench.py: --variants: there is no '%s', only %s" % (variant, ", ".join(VARIANTS)))
            name = "roan" if variant == "plain" else "roan-" + variant
            targets.append(Target(name, command + VARIANTS[variant], SERVER_CPU))
    else:
        print("bench.py: there is no %s; measuring the others" % options.roan)
    return targets + [Target(name, command, SERVER_CPU) for name, command in parse_peers(options)]


def make_targets(options):
    """The servers, and the floor before the peers."""
    servers = make_servers(options)
    peers = [target for target in servers if not target.name.startswith("roan")]
    floor = build_floor(options)
    floors = []
    for kind in ("epoll", "uring") if floor else ():
        command = "%s %s {port} %d" % (shlex.quote(os.path.abspath(floor)), kind, VALUE_BYTES)
        floors.append(Target("floor-" + kind, command, SERVER_CPU, is_floor=True))
    return servers[:len(servers) - len(peers)] + floors + peers


def need_two_cpus():
    """One for the server, one for the load; ends the run at a signal with everything stopped."""
    if os.cpu_count() < 2 or not {SERVER_CPU, LOAD_CPU} <= os.sched_getaffinity(0):
        sys.exit("bench.py: needs CPU %d for the server and CPU %d for the load" % (SERVER_CPU, LOAD_CPU))
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)


def find_generator(options):
    if options.benchmark:
        return shlex.split(options.benchmark)
    if os.path.exists(options.roan):
        return [os.path.abspath(options.roan), "bench"]
    for name in ("redis-benchmark", "valkey-benchmark"):
        if shutil.which(name):
            return [name]
    sys.exit("bench.py: there is no load generator; build Roan or name one with --benchmark")


def start_all(targets):
    """Starts the targets; those that fail are named and left out."""
    running = []
    for target in targets:
        try:
            running.append(target.start())
        except TargetFailed as problem:
            print("bench.py: %s" % problem)
    return running


# -- CPU per request ------------------------------------------------------------------------------------

def fill(target, keys):
    """All keys exist, so that GET reads values and SET replaces them."""
    if not target.is_floor:
        value = b"x" * VALUE_BYTES
        target.load(encode(("SET", b"key:%012d" % i, value)) for i in range(keys))


def request_count(test, depth, scale):
    count = REQUESTS.get(depth, REQUESTS[16]) * scale
    return max(1000, int(count / (MSET_WEIGHT if test == "mset" else 1)))


def generate(target, generator, command, count, connections, depth, keys):
    """Runs one command of the generator so often; its row of figures."""
    argv = generator + ["-p", str(target.port), "-c", str(connections), "-n", str(count), "-P", str(depth),
                        "-r", str(keys), "-d", str(VALUE_BYTES), "--csv"] + command
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=RUN_SECONDS_MAX, preexec_fn=on_cpu(LOAD_CPU))
    except subprocess.TimeoutExpired:
        raise Skipped("took more than %d seconds" % RUN_SECONDS_MAX)
    rows = list(csv.reader(io.StringIO(done.stdout)))
    if done.returncode != 0 or len(rows) < 2 or "rror from server" in done.stderr:
        raise Skipped((done.stderr.strip() or "exit status %d" % done.returncode).splitlines()[-1])
    return rows[-1]


def measure(target, generator, test, depth, scale, keys):
    """One run: server CPU per request, requests per second, latencies in milliseconds."""
    count = request_count(test, depth, scale)
    argv = generator + ["-p", str(target.port), "-c", str(CONNECTIONS), "-n", str(count), "-P", str(depth),
                        "-r", str(keys), "-d", str(VALUE_BYTES), "-t", test, "--csv"]
    before = target.cpu_ns()
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=RUN_SECONDS_MAX, preexec_fn=on_cpu(LOAD_CPU))
    except subprocess.TimeoutExpired:
        raise Skipped("took more than %d seconds" % RUN_SECONDS_MAX)
    after = target.cpu_ns()
    rows = list(csv.reader(io.StringIO(done.stdout)))
    if done.returncode != 0 or len(rows) < 2 or len(rows[-1]) < 8:
        raise Skipped((done.stderr.strip() or "exit status %d" % done.returncode).splitlines()[-1])
    return {"cpu_ns": (after - before) / count, "ops": float(rows[-1][1]), "p50_ms": float(rows[-1][4]),
            "p99_ms": float(rows[-1][6])}


def measure_rounds(targets, generator, options, cells):
    """Fills cells[test, depth, name] with the measurements of every round."""
    scale = 0.25 if options.quick else 1
    started = time.monotonic()
    works = list(itertools.product(options.tests.split(","), [int(word) for word in options.depths.split(",")]))
    for number in range(options.rounds):
        for index, (test, depth) in enumerate(works):
            # Each round begins with another server: none is always the first after a pause.
            shift = (number + index) % len(targets)
            for target in targets[shift:] + targets[:shift]:
                cell = cells.setdefault((test, depth, target.name), [])
                if cell is None:
                    continue
                try:
                    cell.append(measure(target, generator, test, depth, scale, options.keys))
                except Skipped as reason:
                    cells[test, depth, target.name] = None
                    print("bench.py: %s: %s at depth %d: %s" % (target.name, test, depth, reason))
            progress("round %d of %d, %s depth %d" % (number + 1, options.rounds, test, depth))
        next_end = (time.monotonic() - started) * (number + 2) / (number + 1)
        if number + 1 < options.rounds and next_end > options.minutes_max * 60:
            print("bench.py: another round would take longer than --minutes-max; stopped after %d" % (number + 1))
            break
    progress("")


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + text)
        sys.stderr.flush()


# -- memory per key -------------------------------------------------------------------------------------

MEMORY_KINDS = (
    ("16 B key, 64 B value", lambda i: encode(("SET", b"key:%012d" % i, b"x" * 64))),
    ("16 B key, 8 B value", lambda i: encode(("SET", b"key:%012d" % i, b"v%07d" % (i % 10000000)))),
    ("16 B key, 64 B value, expiry", lambda i: encode(("SET", b"key:%012d" % i, b"x" * 64, "EX", "100000"))),
)


def measure_memory(target, make_request, keys):
    """Resident bytes per key in a server of its own that holds nothing else."""
    with target:
        before = target.resident_bytes()
        target.load(make_request(i) for i in range(keys))
        time.sleep(MEMORY_SETTLE_SECONDS)
        return (target.resident_bytes() - before) / keys


def measure_all_memory(targets, options):
    keys = MEMORY_KEYS // 5 if options.quick else MEMORY_KEYS
    results = {}
    for kind, make_request in MEMORY_KINDS:
        for target in targets:
            progress("memory: %s, %s" % (kind, target.name))
            try:
                results[kind, target.name] = measure_memory(target, make_request, keys)
            except (TargetFailed, OSError) as problem:
                print("bench.py: memory: %s" % problem)
    progress("")
    return results


# -- output ---------------------------------------------------------------------------------------------

def median(cell, field):
    return statistics.median(run[field] for run in cell) if cell else None


def print_table(title, rows, names, figure, unit):
    """A column per server, then Roan's ratio to each of the others."""
    roan = names[0] if names and names[0].startswith("roan") else None
    others = [name for name in names[1:]] if roan else []
    width = max([len(name) for name in names] + [8]) + 2
    label_width = max(len(label) for label, _ in rows) + 2
    print("\n%s\n" % title)
    heads = ["%*s" % (width, name) for name in names]
    heads += ["%*s" % (max(width, len(name) + 4), "/" + name) for name in others]
    print(" " * label_width + "".join(heads))
    for label, key in rows:
        values = {name: figure(key, name) for name in names}
        line = label.ljust(label_width)
        for name in names:
            line += "%*s" % (width, "-" if values[name] is None else unit % values[name])
        for name in others:
            ratio = values[roan] / values[name] if values[roan] is not None and values[name] else None
            line += "%*s" % (max(width, len(name) + 4), "-" if ratio is None else "%.2f" % ratio)
        print(line)


def print_results(targets, options, cells, memory, counts):
    names = [target.name for target in targets]
    rows = [("%s, depth %s" % (test, depth), (test, int(depth)))
            for test in options.tests.split(",") for depth in options.depths.split(",")]
    if cells:
        def cost(key, name):
            return median(cells.get(key + (name,)), "cpu_ns")

        def ops(key, name):
            return median(cells.get(key + (name,)), "ops")
        print_table("Server CPU, nanoseconds per request (median of %d)" % counts, rows, names, cost, "%.0f")
        print_table("Requests per second", rows, names, ops, "%.0f")
    if memory:
        kinds = [(kind, kind) for kind, _ in MEMORY_KINDS]
        stored = [target.name for target in targets if not target.is_floor]
        print_table("Resident bytes per key", kinds, stored, lambda key, name: memory.get((key, name)), "%.1f")


def cpu_model():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def write_json(path, targets, versions, generator, options, cells, memory):
    document = {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": {"cpu": cpu_model(), "cpus": os.cpu_count(), "kernel": platform.release()},
        "generator": " ".join(generator),
        "quick": options.quick,
        "connections": CONNECTIONS, "keys": options.keys, "value_bytes": VALUE_BYTES,
        "servers": [{"name": target.name, "command": target.command, "version": versions.get(target.name, "")}
                    for target in targets],
        "requests": [{"test": test, "depth": depth, "server": name, "rounds": cell or [],
                      "cpu_ns": median(cell, "cpu_ns"), "ops": median(cell, "ops")}
                     for (test, depth, name), cell in cells.items()],
        "memory": [{"kind": kind, "server": name, "bytes_per_key": value}
                   for (kind, name), value in memory.items()],
    }
    with open(path, "w") as file:
        json.dump(document, file, indent=1)
        file.write("\n")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roan", default=os.path.join(ROOT, "build", "roan"), help="the program to measure")
    parser.add_argument("--variants", default="plain", help="of Roan: %s" % ", ".join(VARIANTS))
    parser.add_argument("--peer", action="append", metavar="NAME|COMMAND", help="another server; repeat")
    parser.add_argument("--benchmark", metavar="COMMAND", help="load generator (Roan's own)")
    parser.add_argument("--floor", metavar="FILE", help="floor program (compiled into build/)")
    parser.add_argument("--rounds", type=int, help="measurements per figure (3, with --quick 1)")
    parser.add_argument("--tests", default=",".join(TESTS))
    parser.add_argument("--depths", default=",".join(map(str, DEPTHS)), help="pipeline depths")
    parser.add_argument("--keys", type=int, default=KEYS, help="how many different ones (%d)" % KEYS)
    parser.add_argument("--only", choices=("cpu", "memory"), help="one part of the measurements")
    parser.add_argument("--quick", action="store_true", help="a quarter of the requests, a fifth of the keys")
    parser.add_argument("--minutes-max", type=float, default=30, help="bound of the rounds (30)")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def leave(number, _):
    """Ends the run; a second signal must not end the cleaning up."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(128 + number)


def main():
    options = parse_arguments()
    need_two_cpus()
    targets = make_targets(options)
    generator = find_generator(options)
    cells, memory, versions = {}, {}, {}
    print("load generator: %s" % " ".join(generator))
    try:
        if options.only != "memory":
            targets = start_all(targets)
            for target in targets:
                versions[target.name] = target.version()
                print("%-14s %s" % (target.name, versions[target.name] or target.command))
                fill(target, options.keys)
            if targets:
                measure_rounds(targets, generator, options, cells)
    finally:
        for target in targets:
            target.stop()
    if options.only != "cpu":
        memory = measure_all_memory([target for target in targets if not target.is_floor], options)
    counts = max([len(cell) for cell in cells.values() if cell] + [0])
    print_results(targets, options, cells, memory, counts)
    if options.json:
        write_json(options.json, targets, versions, generator, options, cells, memory)
    return 0 if cells or memory else 1


if __name__ == "__main__":
    sys.exit(main())
