#!/usr/bin/env python3
"""Compiles every header alone: public ones as C99 and as C++11, private ones as gnu17, each included twice.

A header that needs another one to come first, that misses its guard, or that no C++ program could include, fails here
and not at a user. The include folders and definitions are those of the build.
"""

import argparse
import concurrent.futures
import glob
import json
import os
import shlex
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
PUBLIC_C = ["-std=c99"] + STRICT
PUBLIC_CXX = ["-std=c++11"] + STRICT
# Headers for a library that need not be there: its header, its pkg-config name (None: no flags are needed), and what its
# own headers need.
OPTIONAL = {
    "roan/loop_ev.h": ("ev.h", None, []),
    "roan/loop_glib.h": ("glib.h", "glib-2.0", []),
    "roan/loop_uv.h": ("uv.h", "libuv", ["-D_GNU_SOURCE"]),
}
PRIVATE = ["-std=gnu17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]


def build_flags(build):
    """-I, -isystem and -D of the build's own compiler calls."""
    flags = []
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        for row in json.load(file):
            words = shlex.split(row["command"])
            for index, word in enumerate(words):
                found = [word, words[index + 1]] if word == "-isystem" else [word] if word[:2] in ("-I", "-D") else []
                if found and found[-1] not in flags:
                    flags += found
    return flags


def compile_alone(command, language, header, folder):
    """The error text, or None."""
    source = '#include "%s"\n#include "%s"\nextern int roan_header_check;\n' % (header, header)
    done = subprocess.run(command + ["-x", language, "-"], input=source, cwd=folder, capture_output=True, text=True,
                          check=False)
    return done.stderr.strip() if done.returncode else None


def optional_flags(cc, header):
    """Flags for the library that this header is for; None when it is not installed."""
    library_header, package, flags = OPTIONAL.get(header, (None, None, []))
    if library_header is None:
        return []
    if package is not None and shutil.which("pkg-config"):
        done = subprocess.run(["pkg-config", "--cflags", package], capture_output=True, text=True, check=False)
        flags = flags + shlex.split(done.stdout)
    found = subprocess.run([cc, "-E", "-x", "c", "-"] + flags, input="#include <%s>\n" % library_header,
                           capture_output=True, text=True, check=False)
    return flags if found.returncode == 0 else None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True, help="a configured build folder")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--cxx", default="c++")
    options = parser.parse_args()

    include = ["-I" + os.path.join(ROOT, "include")]
    private_flags = build_flags(options.build)
    cc, cxx = options.cc, shutil.which(options.cxx)
    jobs = []
    skipped = 0 if cxx else 1
    for path in sorted(glob.glob(os.path.join(ROOT, "include/roan/*.h"))):
        header = "roan/" + os.path.basename(path)
        flags = optional_flags(cc, header)
        if flags is None:
            skipped += 1
            continue
        jobs.append((header + " as C99", [cc] + PUBLIC_C + include + flags, "c", header))
        if cxx:
            jobs.append((header + " as C++11", [cxx] + PUBLIC_CXX + include + flags, "c++", header))
    include = ["-I" + os.path.join(ROOT, "include/roan-hiredis")]
    for path in sorted(glob.glob(os.path.join(ROOT, "include/roan-hiredis/hiredis/*.h"))) + [
            os.path.join(ROOT, "include/roan-hiredis/hiredis/adapters/poll.h")]: # the others need their libraries
        header = os.path.relpath(path, os.path.join(ROOT, "include/roan-hiredis"))
        unused = ["-Wno-unused-function"] # an adapter is all static functions
        # struct timeval and ssize_t are POSIX's
        jobs.append((header + " as C99", [cc] + PUBLIC_C + unused + ["-D_POSIX_C_SOURCE=200809L"] + include, "c", header))
        if cxx:
            jobs.append((header + " as C++11", [cxx] + PUBLIC_CXX + unused + include, "c++", header))
    for path in sorted(glob.glob(os.path.join(ROOT, "src/**/*.h"), recursive=True)):
        header = os.path.relpath(path, os.path.join(ROOT, "src"))
        jobs.append((header, [cc] + PRIVATE + private_flags, "c", header))

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        errors = pool.map(lambda job: compile_alone(job[1], job[2], job[3], options.build), jobs)
        for (title, _, _, _), error in zip(jobs, errors):
            if error:
                failed += 1
                print("%s does not compile alone:\n%s\n" % (title, error))
    print("%d passed, %d failed, %d skipped" % (len(jobs) - failed, failed, skipped))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
