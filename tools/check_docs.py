#!/usr/bin/env python3
"""Are the generated pages of docs/ what the programs print? Exit status 1 when one is out of date.

    tools/check_docs.py ROAN CLIENT_OPTIONS           compares
    tools/check_docs.py ROAN CLIENT_OPTIONS --write   writes them anew

ROAN is the program, CLIENT_OPTIONS is src/client/client-options of the same build folder.
"""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Page, which of the programs prints it, its arguments.
DOCUMENTS = (
    ("docs/configuration.md", 0, ("server", "--print-config=markdown")),
    ("docs/roan.conf", 0, ("server", "--print-config")),
    ("docs/client-options.md", 1, ()),
)


def main():
    programs, writes = sys.argv[1:3], sys.argv[3:] == ["--write"]
    if len(programs) < 2:
        sys.exit(__doc__)
    outdated = 0
    for path, which, arguments in DOCUMENTS:
        command = [programs[which], *arguments]
        printed = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        full = os.path.join(ROOT, path)
        if writes:
            with open(full, "wb") as file:
                file.write(printed)
            continue
        committed = b""
        if os.path.exists(full):
            with open(full, "rb") as file:
                committed = file.read()
        if committed == printed:
            continue
        outdated += 1
        at = next((n for n, (a, b) in enumerate(zip(committed.splitlines(), printed.splitlines())) if a != b),
                  min(len(committed.splitlines()), len(printed.splitlines())))
        print("%s:%d: not what `%s` prints; run tools/check_docs.py %s --write"
              % (path, at + 1, " ".join(command), " ".join(programs)))
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())
