#!/usr/bin/env python3
"""Runs the case files in tests/wire/cases against a server, and against a reference.

    run.py                          Roan, every protocol, thread count and I/O backend
    run.py -k bitcount strings      cases whose file or name contains one of the words
    run.py --reference              the same, and check the expectations on redis-server, too
    run.py --reference 'CMD' --no-server
                                    check the expectations on another server only
    run.py --record 'CMD' FILE      fill in `< ?` from a reference

CMD contains {port} and, if wanted, {dir}. The environment variable ROAN_REFERENCE names a default
reference. The case format is described in README.md.
"""

import argparse
import concurrent.futures
import glob
import os
import shutil
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from casefile import CaseError, CaseFile  # noqa: E402
from record import record  # noqa: E402
from session import Session  # noqa: E402

SERVER = "build/roan server --port {port} --dir {dir} --save ''"
REFERENCE = "redis-server --port {port} --dir {dir} --save '' --bind 127.0.0.1"
CASES = os.path.join(HERE, "cases")
EXIT_SKIPPED = 77
SHOWN_MAX = 600


class Cell:
    """One column of the matrix: a server command and a protocol."""

    def __init__(self, label, command, proto):
        self.label, self.command, self.proto = label, command, proto


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="case files, or words their names contain")
    parser.add_argument("-k", nargs="+", action="extend", default=[], metavar="WORD",
                        help="only cases whose file or name contains a word")
    parser.add_argument("--server", default=SERVER, metavar="CMD")
    parser.add_argument("--reference", nargs="?", const="", metavar="CMD",
                        help="also check on this server (default: $ROAN_REFERENCE or redis-server)")
    parser.add_argument("--no-server", action="store_true", help="with --reference: only that")
    parser.add_argument("--resp", default="2,3")
    parser.add_argument("--threads", default="1,4", help="values for --threads; '' to leave it out")
    parser.add_argument("--io", default="epoll,uring", help="values for --io; '' to leave it out")
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1))
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds to wait for a reply")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="name every case")
    parser.add_argument("--record", metavar="CMD", help="fill in expectations from this server")
    parser.add_argument("--mark", action="store_true",
                        help="with --record: add lines for what this server answers differently")
    return parser.parse_args()


def find_files(names):
    every = sorted(glob.glob(os.path.join(CASES, "**", "*.case"), recursive=True))
    if not names:
        return [os.path.relpath(path) for path in every]
    paths = [name for name in names if os.path.isfile(name)]
    words = [name for name in names if not os.path.isfile(name)]
    paths += [path for path in every if any(word in os.path.basename(path) for word in words)]
    return [os.path.relpath(path) for path in dict.fromkeys(paths)]


def split_list(text):
    return text.split(",") if text else [""]


def make_cells(options):
    cells = []
    protos = [int(proto) for proto in split_list(options.resp)]
    if not options.no_server:
        for threads in split_list(options.threads):
            for io in split_list(options.io):
                extra = (" --threads " + threads if threads else "") + (" --io " + io if io else "")
                label = "".join([" threads " + threads if threads else "", " " + io if io else ""])
                cells += [Cell("resp%d%s" % (proto, label), options.server + extra, proto)
                          for proto in protos]
    if options.reference is not None:
        command = options.reference or os.environ.get("ROAN_REFERENCE") or REFERENCE
        if command == REFERENCE and shutil.which("redis-server") is None:
            print("no redis-server here: the reference is left out")
        else:
            cells += [Cell("reference resp%d" % proto, command, proto) for proto in protos]
    return cells


def is_wanted(path, case, words):
    text = (os.path.basename(path) + " " + case.name).lower()
    return not words or any(word.lower() in text for word in words)


def run_job(cell, paths, options):
    """All results of some files in one cell; runs in a process of its own."""
    session = Session(cell.command, cell.proto, options.timeout, options.seed)
    results = []
    try:
        for path in paths:
            case_file = CaseFile(path)
            results += session.run_file(case_file,
                                        lambda case: is_wanted(path, case, options.k))
    finally:
        session.stop()
    return [(cell.label, result) for result in results]


def split_jobs(cells, paths, jobs):
    """(cell, files) pairs: at least as many as workers, large files spread evenly."""
    parts = max(1, min(len(paths), -(-2 * jobs // max(1, len(cells)))))
    by_size = sorted(paths, key=os.path.getsize, reverse=True)
    groups = [[] for _ in range(parts)]
    for path in by_size:
        min(groups, key=lambda group: sum(map(os.path.getsize, group))).append(path)
    return [(cell, group) for cell in cells for group in groups if group]


def run_all(options, paths):
    jobs = split_jobs(make_cells(options), paths, options.jobs)
    results = []
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        futures = [pool.submit(run_job, cell, group, options) for cell, group in jobs]
        for future in concurrent.futures.as_completed(futures):
            results += future.result()
    return results


def shorten(text):
    text = " ".join(text.split("\n"))
    return text if len(text) <= SHOWN_MAX else text[:SHOWN_MAX] + "… (%d more characters)" % (len(text) - SHOWN_MAX)


def report(results, verbose):
    """Prints each different failure once, with the cells it was seen in."""
    labels = sorted({label for label, _ in results})
    seen = {}
    for label, result in results:
        for failure in result.failures:
            key = (result.path, result.case) + failure.key()[:0 if failure.line == 0 else 4]
            seen.setdefault(key, (failure, set()))[1].add(label)
    if verbose:
        for label, result in sorted(results, key=lambda item: (item[1].path, item[1].line, item[0])):
            print("%-7s %s:%d: %s (%s)" % (result.status, result.path, result.line, result.case, label))
    def place(item):
        return item[0][0], item[1][0].line

    for (path, case, *_), (failure, cells) in sorted(seen.items(), key=place):
        print("%s:%d: %s" % (path, failure.line, case))
        print("    %s" % failure.command[:500])
        print("    expected  %s" % shorten(failure.expected))
        print("    got       %s%s" % (shorten(failure.got), "  -- " + failure.note if failure.note else ""))
        print("    in        %s" % ("every run" if len(cells) == len(labels) else ", ".join(sorted(cells))))


def main():
    options = parse_arguments()
    paths = find_files(options.files)
    started = time.monotonic()
    try:
        if options.record is not None:
            for path in paths:
                count = record(path, options.record, options.timeout, options.seed, options.mark,
                               lambda case: is_wanted(path, case, options.k))
                print("%s: %d lines filled in" % (path, count))
            return 0
        results = run_all(options, paths)
    except CaseError as problem:
        print(problem)
        return 2
    report(results, options.verbose)
    count = {status: sum(result.status == status for _, result in results)
             for status in ("passed", "failed", "skipped")}
    steps = sum(result.steps for _, result in results)
    print("%d files, %d steps, %.1f s, seed %d"
          % (len(paths), steps, time.monotonic() - started, options.seed))
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % count)
    if count["failed"]:
        return 1
    return 0 if count["passed"] else EXIT_SKIPPED


if __name__ == "__main__":
    sys.exit(main())
