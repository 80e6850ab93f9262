#!/usr/bin/env python3
"""Measures scripts, transactions, pub/sub and tracking, and who waits while a script runs.

    bench_scripts.py                                 Roan, and redis-server when it is on the PATH
    bench_scripts.py --peer 'valkey|valkey-server --port {port} --save ""' --json scripts.json
    bench_scripts.py --only beside --variants plain,threads

The method is bench.py's: every server alone on CPU 0, the load on CPU 1, CPU time as the kernel accounted it, rounds
over all servers in turn, medians. Pipeline depth 16, 50 connections, 64-byte values.

Second table: GET and SET of a few connections while another one runs scripts of 100 ms, one after the other. The
servers may use both CPUs there. With one worker everything waits for a script, as in Redis.
"""

import argparse
import json
import os
import random
import select
import socket
import sys
import time

sys.dont_write_bytecode = True
import bench  # noqa: E402
from targets import TargetFailed, encode, on_cpu  # noqa: E402

DEPTH = 16
CONNECTIONS = 50
VALUE = b"x" * 64
KEYS = 100000
SUBSCRIBERS = 100
INCRBY = "return redis.call('incrby', KEYS[1], ARGV[1])"
SPIN = "local sum = 0 for i = 1, %d do sum = sum + i end return sum"
SPIN_SECONDS = 0.1
BESIDE_SECONDS = 5


# -- load that a generator of single commands does not make ---------------------------------------------

class Child:
    """A process on the load's CPU that works on sockets of its own; `with` waits until it is ready, and ends it."""

    def __init__(self, target, work, connections, greeting=b""):
        self.target, self.work, self.connections, self.greeting = target, work, connections, greeting

    def __enter__(self):
        ready, tell = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(ready)
                on_cpu(bench.LOAD_CPU)()
                links = [self._connect() for _ in range(self.connections)]
                os.write(tell, b"!")
                self.work(links)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(tell)
        is_ready = os.read(ready, 1)
        os.close(ready)
        if not is_ready:
            self.__exit__()
            raise TargetFailed("%s: refused the connections of the load" % self.target.name)
        return self

    def _connect(self):
        link = socket.create_connection(("127.0.0.1", self.target.port), 10)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.greeting:
            link.sendall(self.greeting)
            if link.recv(65536)[:1] == b"-":
                raise TargetFailed("refused")
        return link

    def wait(self):
        """True if the work ended well."""
        pid, self.pid = self.pid, None
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def __exit__(self, *_):
        if self.pid is not None:
            os.kill(self.pid, bench.signal.SIGKILL)
            self.wait()


def reads(bytes_max=sys.maxsize):
    """Work for a Child: receives so much on all connections together."""
    def work(links):
        missing = bytes_max
        poll = select.epoll()
        of = {link.fileno(): link for link in links}
        for number in of:
            poll.register(number, select.EPOLLIN)
        while missing > 0:
            for number, _ in poll.poll():
                data = of[number].recv(1 << 18)
                if not data:
                    raise TargetFailed("closed the connection")
                missing -= len(data)
    return work


def transactions(count):
    """Work for a Child: `count` times MULTI, four SETs, EXEC, in pipelines of DEPTH transactions."""
    numbers = random.Random(1)
    reply_bytes = len(b"+OK\r\n" + 4 * b"+QUEUED\r\n" + b"*4\r\n" + 4 * b"+OK\r\n") * DEPTH

    def one():
        sets = b"".join(encode(("SET", b"key:%012d" % numbers.randrange(KEYS), VALUE)) for _ in range(4))
        return encode(("MULTI",)) + sets + encode(("EXEC",))

    batches = [b"".join(one() for _ in range(DEPTH)) for _ in range(500)]

    def work(links):
        for sent in range(0, count, DEPTH * len(links)):
            for link in links:
                link.sendall(numbers.choice(batches))
            for link in links:
                missing = reply_bytes
                while missing > 0:
                    data = link.recv(missing)
                    if not data or data[:1] == b"-":
                        raise TargetFailed("not the expected replies")
                    missing -= len(data)
    return work


# -- tests ----------------------------------------------------------------------------------------------

def generate(target, generator, command, count):
    return bench.generate(target, generator, command, count, CONNECTIONS, DEPTH, KEYS)


def run_eval(target, generator, count):
    generate(target, generator, ["EVAL", "return 1", "0"], count)


def run_evalsha(target, generator, count):
    digest = target.call("SCRIPT", "LOAD", INCRBY).split(b"\r\n")[1].decode()
    generate(target, generator, ["EVALSHA", digest, "1", "counter:__rand_int__", "3"], count)


def run_transactions(target, _, count):
    with Child(target, transactions(count), CONNECTIONS) as child:
        if not child.wait():
            raise bench.Skipped("not the expected replies")


def run_publish(target, generator, count):
    target.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 0 0 0") # the subscribers may be slow
    expected = SUBSCRIBERS * count * len(encode(("message", "news", VALUE)))
    with Child(target, reads(expected), SUBSCRIBERS, encode(("SUBSCRIBE", "news"))) as child:
        generate(target, generator, ["PUBLISH", "news", "__data__"], count)
        if not child.wait():
            raise bench.Skipped("not all messages came")


def run_set(target, generator, count):
    generate(target, generator, ["SET", "key:__rand_int__", "__data__"], count)


def run_set_tracked(target, generator, count):
    tracking = encode(("HELLO", "3")) + encode(("CLIENT", "TRACKING", "ON", "BCAST"))
    with Child(target, reads(), 1, tracking):
        run_set(target, generator, count)


TESTS = {  # name: what to run, requests
    "eval_return_1": (run_eval, 500000),
    "evalsha_incrby": (run_evalsha, 500000),
    "multi_4_set_exec": (run_transactions, 100000),
    "publish_to_100": (run_publish, 20000),
    "set": (run_set, 1000000),
    "set_bcast_tracked": (run_set_tracked, 1000000),
}


# -- measuring ------------------------------------------------------------------------------------------

def measure(target, generator, test, scale):
    """Server CPU per request, in nanoseconds."""
    run, requests = TESTS[test]
    whole = DEPTH * CONNECTIONS # a round of transactions
    count = max(1, int(requests * scale) // whole) * whole
    target.call("FLUSHALL", "SYNC")
    if test.startswith(("set", "multi")):
        bench.fill(target, KEYS)
    before = target.cpu_ns()
    run(target, generator, count)
    return (target.cpu_ns() - before) / count


def measure_rounds(targets, generator, tests, options):
    """{(test, server): measurements or None}"""
    cells = {}
    for number in range(options.rounds):
        for index, test in enumerate(tests):
            shift = (number + index) % len(targets)
            for target in targets[shift:] + targets[:shift]:
                cell = cells.setdefault((test, target.name), [])
                if cell is None:
                    continue
                try:
                    cell.append(measure(target, generator, test, 0.1 if options.quick else 1))
                except (bench.Skipped, TargetFailed) as reason:
                    cells[test, target.name] = None
                    print("bench_scripts.py: %s: %s: %s" % (target.name, test, reason))
            bench.progress("round %d of %d, %s" % (number + 1, options.rounds, test))
    bench.progress("")
    return cells


def spinning_script(target):
    """A script that takes SPIN_SECONDS on this server."""
    count, taken = 100000, 0
    while taken < SPIN_SECONDS / 2:
        count *= 2
        begun = time.monotonic()
        target.call("EVAL", SPIN % count, 0)
        taken = time.monotonic() - begun
    return SPIN % (count * SPIN_SECONDS / taken)


def spin(script, seconds):
    """Work for a Child: the script, one time after the other."""
    def work(links):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            links[0].sendall(encode(("EVAL", script, 0)))
            if links[0].recv(4096)[:1] == b"-":
                raise TargetFailed("the script failed")
    return work


def latencies(target, command, seconds):
    """Milliseconds of single requests in turn, sorted."""
    taken = []
    request = encode(command)
    with socket.create_connection(("127.0.0.1", target.port), 10) as link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.monotonic()
            link.sendall(request)
            link.recv(4096)
            taken.append((time.monotonic() - begun) * 1000)
            time.sleep(0.0005)
    return sorted(taken)


def measure_beside(target, seconds):
    """{(command, share): milliseconds} while scripts run."""
    figures = {}
    with target:
        os.sched_setaffinity(target.pid, range(os.cpu_count()))
        for thread in os.listdir("/proc/%d/task" % target.pid):
            os.sched_setaffinity(int(thread), range(os.cpu_count()))
        script = spinning_script(target)
        for command in (("GET", "key"), ("SET", "key", VALUE)):
            with Child(target, spin(script, seconds + 1), 1):
                time.sleep(0.2)
                taken = latencies(target, command, seconds)
            for share in (50, 99, 99.9):
                figures[command[0], share] = taken[min(len(taken) - 1, int(len(taken) * share / 100))]
    return figures


# -- the run --------------------------------------------------------------------------------------------

def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roan", default=os.path.join(bench.ROOT, "build", "roan"), help="the program to measure")
    parser.add_argument("--variants", default="plain,threads", help="of Roan: %s" % ", ".join(bench.VARIANTS))
    parser.add_argument("--peer", action="append", metavar="NAME|COMMAND", help="another server; repeat")
    parser.add_argument("--benchmark", metavar="COMMAND", help="load generator (Roan's own)")
    parser.add_argument("--rounds", type=int, help="measurements per figure (3, with --quick 1)")
    parser.add_argument("--tests", default="", help="of %s" % ",".join(TESTS))
    parser.add_argument("--only", choices=("cpu", "beside"), help="one part of the measurements")
    parser.add_argument("--quick", action="store_true", help="a tenth of the requests")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def main():
    options = parse_arguments()
    bench.need_two_cpus()
    targets = bench.make_servers(options)
    names = [target.name for target in targets]
    tests = [word for word in options.tests.split(",") if word] or list(TESTS)
    unknown = set(tests) - set(TESTS)
    if unknown:
        sys.exit("bench_scripts.py: there is no test %s" % ", ".join(sorted(unknown)))
    cells, beside = {}, {}
    try:
        if options.only != "beside":
            running = bench.start_all(targets)
            cells = measure_rounds(running, bench.find_generator(options), tests, options) if running else {}
    finally:
        for target in targets:
            target.stop()
    if cells:
        bench.print_table("Server CPU, nanoseconds per request", [(test, test) for test in tests], names,
                          lambda key, server: bench.statistics.median(cells[key, server])
                          if cells.get((key, server)) else None, "%.0f")
    if options.only != "cpu":
        for target in targets:
            for key, value in measure_beside(target, 1 if options.quick else BESIDE_SECONDS).items():
                beside[key, target.name] = value
        bench.print_table("Milliseconds of a request beside a script of 100 ms",
                          [("%s, %g %%" % key, key) for key in dict.fromkeys(key for key, _ in beside)], names,
                          lambda key, server: beside.get((key, server)), "%.3f")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"requests": [{"test": test, "server": server, "cpu_ns": cell or []}
                                    for (test, server), cell in cells.items()],
                       "beside": [{"command": key[0], "share": key[1], "server": server, "ms": value}
                                  for (key, server), value in beside.items()]}, file, indent=1)
    return 0 if cells or beside else 1


if __name__ == "__main__":
    sys.exit(main())
