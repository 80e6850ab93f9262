#!/usr/bin/env python3
"""Runs every example program against a server and compares what it prints.

    examples.py --server CMD PROGRAM ...

CMD contains {port} and {dir}. Programs are named example-NAME. An example without an entry in RUNS fails, and so does an
entry whose program is missing (unless it is among the OPTIONAL ones).
"""

import argparse
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from server import Server, free_port  # noqa: E402

SECONDS_MAX = 30
OPTIONAL = ("libuv_app",)
URI = "redis://127.0.0.1:{port}"
DEAD = "redis://127.0.0.1:{dead}"

# name: [(arguments, exit code, output)] or, with input, [(arguments, exit code, output, input)]
RUNS = {
    "hello": [
        ([URI], 0, "hello, world\nnothing there\nvisit 1\nrefused: ERR\n"),
        ([URI], 0, "hello, world\nnothing there\nvisit 2\nrefused: ERR\n"),
        ([DEAD], 1, ""),
        (["redis://127.0.0.1:none"], 2, ""),
    ],
    "async": [
        ([URI], 0, "sum 4950\nits length is 4\ncall 1 was first\nthe other one: CANCELED\n"),
        ([DEAD], 1, ""),
    ],
    "pipeline": [
        ([URI], 0, "command 100: WRONGTYPE Operation against a key holding the wrong kind of value\n"
                   "102 replies, 1 of them errors, 100 players\n"),
        ([DEAD], 1, ""),
    ],
    "transaction": [
        ([URI], 0, "100 transfers by 4 threads, 0 threads failed, together there is 200\n"),
        ([DEAD], 1, ""),
    ],
    "pubsub_chat": [
        ([URI, "hall", "anna"], 0, "anna: is somebody here?\nanna: no\n", "is somebody here?\nno\n"),
        ([DEAD, "hall", "anna"], 1, "", "is somebody here?\n"),
        ([URI], 2, ""),
    ],
    "worker_queue": [
        ([URI, "produce", "job 1", "job 2", "job 3"], 0, "queued 3\n"),
        ([URI, "work", "one"], 0, "did job 1\ndid job 2\ndid job 3\nno more jobs\n"),
        ([URI, "recover", "one"], 0, "put back 0\n"),
        ([URI, "produce", "poison"], 0, "queued 1\n"),
        ([URI, "work", "one"], -6, None),
        ([URI, "recover", "one"], 0, "put back 1\n"),
        ([DEAD, "work", "one"], 1, ""),
        ([], 2, ""),
    ],
    "embedded_test": [
        ([], 0, "ok     a session is found\n"
                "ok     a session begins\n"
                "ok     it is there after 29 minutes and 59 seconds\n"
                "ok     it is gone after half an hour\n"
                "ok     the next test begins with an empty server\n"),
    ],
    "cache_fallback": [
        ([URI], 0, "5 squared is 25\n5 hits, 5 misses, 0 without the cache\n"),
        ([DEAD], 0, "5 squared is 25\n0 hits, 0 misses, 10 without the cache\n"),
    ],
    "libuv_app": [
        ([URI], 0, "10 stored, 0 failed\nmessage: all is stored\n"),
        ([DEAD], 1, None),
    ],
    "fork_server": [
        ([URI], 0, "4 workers, 0 failed, 100 requests\n"),
        ([DEAD], 1, ""),
    ],
}


def run_one(program, run, ports):
    """The error text, or None."""
    arguments, code, output, *text = run
    command = [program] + [argument.format(**ports) for argument in arguments]
    done = subprocess.run(command, input="".join(text), capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode != code or (output is not None and done.stdout != output) or (code != 0 and not done.stderr):
        return "%s\nended with %d instead of %d and printed\n%s%s" % (
            " ".join(command), done.returncode, code, done.stdout, done.stderr)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", required=True, metavar="CMD")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    programs = {os.path.basename(path).split("-", 1)[1]: path for path in options.program}
    missing = sorted(set(RUNS) ^ set(programs))
    problems = ["%s: not both a program and its output are here" % name for name in missing if name not in OPTIONAL]
    passed = 0
    with Server(options.server) as server:
        ports = {"port": server.port, "dead": free_port()}
        for name, path in programs.items():
            for run in RUNS.get(name, ()):
                problem = run_one(path, run, ports)
                passed += problem is None
                problems += [problem] if problem is not None else []
    for problem in problems:
        print(problem)
    print("%d passed, %d failed" % (passed, len(problems)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
