#!/usr/bin/env python3
"""Runs a program against servers: PROGRAM PORT, once for each server, each with a server of its own.

    on_server.py --program PATH [--argument WORD ...] --server CMD [--server CMD ...]

CMD contains {port} and {dir}. A server that is not installed is passed over. The program counts what it tests by itself.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from server import Server, StartFailed  # noqa: E402

SECONDS_MAX = 120


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--server", action="append", default=[], metavar="CMD")
    parser.add_argument("--argument", action="append", default=[], metavar="WORD", help="behind the port")
    options = parser.parse_args()
    passed = failed = skipped = 0
    for command in options.server:
        if shutil.which(shlex.split(command)[0]) is None:
            skipped += 1
            continue
        try:
            with Server(command) as server:
                done = subprocess.run([options.program, str(server.port), *options.argument], capture_output=True, text=True,
                                      timeout=SECONDS_MAX, check=False)
        except StartFailed as problem:
            print(problem)
            failed += 1
            continue
        print("--- %s\n%s%s" % (shlex.split(command)[0], done.stdout, done.stderr))
        counts = re.findall(r"^\[  (PASSED|FAILED) +\] (\d+) test\(s\)", done.stdout + done.stderr, re.MULTILINE)
        passed += sum(int(number) for word, number in counts if word == "PASSED")
        bad = sum(int(number) for word, number in counts if word == "FAILED")
        failed += bad if bad or done.returncode == 0 else 1
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0 if passed else 77


if __name__ == "__main__":
    sys.exit(main())
