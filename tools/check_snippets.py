#!/usr/bin/env python3
"""Compiles the C code of a manual, so that it does not show what does not exist.

    tools/check_snippets.py [--cc COMPILER] [--library libroan.so] [--include FOLDER] PAGE.md ...

Blocks that begin with ```c are compiled one by one (syntax and types only). One with main() is a whole program. One whose
first line begins with `static` stands outside of functions; any other stands in a function that returns int. PRELUDE
declares what the text takes for granted: a client, an error, and functions of the program. A line
`<!-- needs roan/x.h -->` before a block skips it where that header does not exist; `<!-- runs -->` before a whole program
means that it is linked with --library, if there is one, and must end with 0.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SERVER_HEADERS = ("server.h", "commands.h")
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-unused", "-Wno-unused-parameter", "-Wno-unused-result",
            "-Wno-shadow", "-Wno-maybe-uninitialized"]
SECONDS_MAX = 30
BLOCK = re.compile(r"(?:^<!-- (needs|runs) ?(\S*) -->\n)?^```c\n(.*?)^```$", re.MULTILINE | re.DOTALL)

PRELUDE = """
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
struct vault { const char *user, *token; };
extern int is_running, should_stop, loop;
int complain(const char *text);
void warn(const char *text);
void greet(const char *name);
void use(roan_slice text);
void reload(void);
void serve(void *connection);
void show_stock(void *page, const roan_value *value);
roan_slice key_of(int index);
extern roan *client, *cache;
extern roan_error error;
"""


def source_of(code, include):
    if re.search(r"^int main\(", code, re.MULTILINE):
        return code
    headers = [name for name in sorted(os.listdir(os.path.join(include, "roan")))
               if name.endswith(".h") and name not in SERVER_HEADERS and not name.startswith("loop_")]
    prelude = "".join('#include "roan/%s"\n' % name for name in headers) + PRELUDE
    if code.startswith("static"):
        return prelude + code
    return prelude + "int snippet(void);\nint snippet(void)\n{\n%s    return 0;\n}\n" % code


def error_of(compiler, include, code):
    command = [compiler, "-std=gnu17", "-D_GNU_SOURCE", "-fsyntax-only", *WARNINGS, "-I" + include, "-x", "c", "-"]
    done = subprocess.run(command, input=source_of(code, include), capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else None


def error_of_run(compiler, include, library, code):
    folder = os.path.dirname(os.path.abspath(library))
    with tempfile.TemporaryDirectory() as temporary:
        program = os.path.join(temporary, "program")
        command = [compiler, "-std=gnu17", "-I" + include, "-x", "c", "-", "-x", "none", os.path.abspath(library),
                   "-Wl,-rpath," + folder, "-o", program]
        done = subprocess.run(command, input=code, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            done = subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                                  timeout=SECONDS_MAX)
    return done.stdout + done.stderr + "ended with %d" % done.returncode if done.returncode else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--library")
    parser.add_argument("--include", default=os.path.join(ROOT, "include"))
    parser.add_argument("pages", nargs="+")
    options = parser.parse_args()
    passed = failed = skipped = 0
    for page in options.pages:
        with open(page, encoding="utf-8") as file:
            text = file.read()
        for match in BLOCK.finditer(text):
            word, header, code = match.groups()
            if word == "needs" and not os.path.exists(os.path.join(options.include, header)):
                skipped += 1
                continue
            error = error_of(options.cc, options.include, code)
            if word == "runs" and options.library and not error:
                error = error_of_run(options.cc, options.include, options.library, code)
            if error:
                failed += 1
                print("%s:%d:\n%s" % (page, text.count("\n", 0, match.start()) + 1, error))
            else:
                passed += 1
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
