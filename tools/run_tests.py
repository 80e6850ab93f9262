#!/usr/bin/env python3
"""Runs every suite over a build folder and sums them up in one last line: N passed, N failed, N skipped.

    tools/run_tests.py BUILD [--only SUITE,...] [--skip SUITE,...] [--program PATH]

First meson's own suites (unit, model, sim, client, fuzz, check), then the Python suites of SCRIPTS against BUILD/roan
(or --program). What a test program counts by itself is used (a line `N passed, N failed, N skipped`, or cmocka's), so
the sum counts promises, not programs; a program that says nothing counts as one. Skipped means exit code 77.
"""

import argparse
import glob
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MESON_SUITES = ("unit", "model", "sim", "fuzz", "client", "check")
SCRIPT_SECONDS_MAX = 600
FAILED_LINES_MAX = 15 # of what a failed program said, repeated at the end
SKIPPED = 77

# Suites in Python: name, scripts, arguments ({roan}: the program). A pattern stands for every file that fits it.
SERVER = "'{roan}' server --port {port} --dir {dir} --save ''"
SCRIPTS = (
    ("wire", "tests/wire/run.py", ("--server", SERVER, "--reference")),
    ("wire", "tests/wire/*.py", ("--server", SERVER)),
    ("cli", "tests/cli/bench_check.py", ("--server", SERVER + " --unixsocket {dir}/s", "--bench", "'{roan}' bench")),
    ("cli", "tests/cli/*.py", ()),
)

OUR_LINE = re.compile(r"^\W*(\d+) passed, (\d+) failed(?:, (\d+) skipped)?", re.MULTILINE)
CMOCKA_LINE = re.compile(r"^\[  (PASSED |FAILED |SKIPPED) \] (\d+) test\(s\)", re.MULTILINE)


def counts_of(output, code):
    """(passed, failed, skipped) of one program."""
    ours = OUR_LINE.findall(output)
    if ours:
        passed, failed, skipped = (int(number or 0) for number in ours[-1])
    else:
        cmocka = {word.strip(): 0 for word in ("PASSED", "FAILED", "SKIPPED")}
        for word, number in CMOCKA_LINE.findall(output):
            cmocka[word.strip()] += int(number)
        passed, failed, skipped = cmocka["PASSED"], cmocka["FAILED"], cmocka["SKIPPED"]
    if code == SKIPPED:
        return (0, 0, max(skipped, 1))
    if code != 0 and failed == 0:
        failed = 1
    if code == 0 and passed + failed + skipped == 0:
        passed = 1
    return passed, failed, skipped


def run_meson(build, suites):
    """Runs meson's suites; [(suite, name, counts, seconds, output)]."""
    command = ["meson", "test", "-C", build, "--print-errorlogs"]
    for suite in suites:
        command += ["--suite", suite]
    log_path = os.path.join(build, "meson-logs/testlog.json")
    if os.path.exists(log_path):
        os.remove(log_path)
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    rows = []
    if os.path.exists(log_path):
        with open(log_path, encoding="utf-8") as file:
            for line in file:
                test = json.loads(line)
                result = test["result"]
                code_of = SKIPPED if result == "SKIP" else 0 if result in ("OK", "EXPECTEDFAIL") else 1
                output = (test.get("stdout") or "") + (test.get("stderr") or "")
                suite = test["name"].split(" / ")[0].split(":")[-1]
                rows.append((suite, test["name"].split(" / ")[-1], counts_of(output, code_of), test["duration"],
                             output))
    if code != 0 and not any(row[2][1] for row in rows):
        rows.append(("build", "meson test", (0, 1, 0), 0.0, ""))
    return rows


def scripts_of(suites):
    """(suite, path, arguments) of the scripts that exist, each once: the first row that names it counts."""
    seen = set()
    for suite, pattern, arguments in SCRIPTS:
        for full in sorted(glob.glob(os.path.join(ROOT, pattern))):
            path = os.path.relpath(full, ROOT)
            if path not in seen and suite in suites:
                seen.add(path)
                yield suite, path, arguments


def run_script(path, arguments, program):
    """Runs one Python suite with its output shown as it comes; servers that it leaves behind end with it."""
    command = [sys.executable, "-B", os.path.join(ROOT, path)]
    command += [argument.replace("{roan}", program) for argument in arguments]
    environment = dict(os.environ, ROAN=program)
    started = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
    lines = []
    reader = threading.Thread(target=copy_lines, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        code = process.wait(SCRIPT_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        code = 1
    finally:
        end_group(process)
        reader.join(10) # what left the group may still hold the other end
        process.wait()
    seconds = time.monotonic() - started
    if seconds >= SCRIPT_SECONDS_MAX:
        print("%s: ended after %d seconds" % (path, SCRIPT_SECONDS_MAX))
    output = "".join(lines)
    return counts_of(output, code), seconds, output


def copy_lines(source, lines):
    for line in source:
        sys.stdout.write(line)
        sys.stdout.flush()
        lines.append(line)


def end_group(process):
    """Ends the process and everything it started: they are a group of their own."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--only", default="", help="suites to run, separated by commas")
    parser.add_argument("--skip", default="", help="suites to leave out")
    parser.add_argument("--program", help="the program for the Python suites (default: BUILD/roan)")
    options = parser.parse_args()

    only = set(options.only.split(",")) - {""}
    skip = set(options.skip.split(",")) - {""}
    wanted = [name for name in MESON_SUITES + tuple(dict.fromkeys(row[0] for row in SCRIPTS))
              if (not only or name in only) and name not in skip]
    program = os.path.abspath(options.program or os.path.join(options.build, "roan"))

    rows = []
    suites = [name for name in MESON_SUITES if name in wanted]
    if suites:
        rows += run_meson(options.build, suites)
    for name, path, arguments in scripts_of(wanted):
        print("\n--- %s: %s" % (name, path), flush=True)
        rows.append((name, path, *run_script(path, arguments, program)))

    print("\n%-8s %7s %7s %7s %8s" % ("suite", "passed", "failed", "skipped", "seconds"))
    for suite in dict.fromkeys(row[0] for row in rows):
        of_suite = [row for row in rows if row[0] == suite]
        sums = [sum(row[2][index] for row in of_suite) for index in range(3)]
        print("%-8s %7d %7d %7d %8.1f" % (suite, *sums, sum(row[3] for row in of_suite)))
    for suite, name, counts, _, output in rows:
        if counts[1]:
            print("failed: %s / %s (%d); its last lines:" % (suite, name, counts[1]))
            print("".join("    %s\n" % line for line in output.splitlines()[-FAILED_LINES_MAX:]), end="")
    total = [sum(row[2][index] for row in rows) for index in range(3)]
    if not rows:
        print("nothing was run")
        total[1] = 1
    print("%d passed, %d failed, %d skipped" % tuple(total))
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
