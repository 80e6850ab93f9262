#!/usr/bin/env python3
"""Are docs/configuration.md and docs/roan.conf what the program prints? Exit status 1 when one is out of date.

    tools/check_docs.py PROGRAM           compares
    tools/check_docs.py PROGRAM --write   writes them anew
"""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCUMENTS = (("docs/configuration.md", "--print-config=markdown"), ("docs/roan.conf", "--print-config"))


def main():
    program, writes = sys.argv[1], sys.argv[2:] == ["--write"]
    outdated = 0
    for path, flag in DOCUMENTS:
        printed = subprocess.run([program, "server", flag], stdout=subprocess.PIPE, check=True).stdout
        full = os.path.join(ROOT, path)
        if writes:
            with open(full, "wb") as file:
                file.write(printed)
            continue
        with open(full, "rb") as file:
            committed = file.read()
        if committed == printed:
            continue
        outdated += 1
        at = next((n for n, (a, b) in enumerate(zip(committed.splitlines(), printed.splitlines())) if a != b),
                  min(len(committed.splitlines()), len(printed.splitlines())))
        print("%s:%d: not what `roan server %s` prints; run tools/check_docs.py PROGRAM --write" % (path, at + 1, flag))
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())
