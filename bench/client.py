#!/usr/bin/env python3
"""Measures what libroan costs a program, beside hiredis and libvalkey, in one run against the same server.

    bench/client.py                                     libroan and the installed hiredis, redis-server
    bench/client.py --hiredis DIR --libvalkey DIR       sources of these, or git directories of them
    bench/client.py --server 'roan|build/roan server --port {port} --save ""' --client-cpus 0,1
    bench/client.py --quick --json results.json

The server runs on CPU 0, with the relay that adds a round trip; the clients on CPU 1 (--client-cpus). For each row of
the tables every library is measured once in each round, in turns that begin with another one each time. Printed are
medians; the spread of the rounds is in the file that --json writes.

sync T       T threads; hiredis and libvalkey with a connection each, libroan with one handle for all
async N      one thread, N commands: appended and then read (hiredis, libvalkey), begun and then taken (libroan)
argv N       the same, hiredis and libvalkey with an argv instead of a format
callbacks N  the same figures of hiredis and libvalkey; libroan keeps N under way, each callback begins the next
"""

import argparse
import json
import os
import platform
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from targets import Target, TargetFailed, free_port, on_cpu  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SOURCES = os.path.join(HERE, "client")
SERVER_CPU, CLIENT_CPU = 0, 1
THREADS = (1, 4, 16, 64, 200)
THREADS_MAX = 256
DEPTHS = (64, 1024)
DEPTH_MAX = 1000000
ROUNDS_MAX, SECONDS_MAX, DELAY_US_MAX = 99, 60, 1000000
BUILD_SECONDS_MAX = 600
SLACK_SECONDS = 30  # a measurement may take so much longer than it was told to
LIBRARY_FLAGS = ["-O3", "-DNDEBUG"]
PROGRAM_FLAGS = ["-O2", "-g", "-Wall", "-Wextra"]
HEAP_FLAGS = ["-no-pie", "-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free"]
HEAP_CONNECTIONS = 1000
HIREDIS_FILES = ("alloc.c", "async.c", "hiredis.c", "net.c", "read.c", "sds.c", "sockcompat.c")
LIBVALKEY_LEFT_OUT = ("tls.c", "rdma.c")  # need libraries of their own
# What is measured for a kind of row: the loop of bench_roan.c, and that of bench_hiredis.c.
LOOPS = {"sync": ("sync", "sync"), "async": ("pipelined", "pipelined"), "argv": ("pipelined", "argv"),
         "callbacks": ("callbacks", "argv")}
LINE = re.compile(r"^(\w+) +threads +(\d+) depth +(\d+) +(\d+) commands/s +(\d+) ns client CPU/command"
                  r" +round p50 +([\d.]+) us +p99 +([\d.]+) us$")


class Failed(Exception):
    """Something could not be built or measured."""


def note(text):
    """Says what goes on, to who looks on."""
    if sys.stderr.isatty():
        print("\r%-78s\r%s" % ("", text), end="", file=sys.stderr, flush=True)


def run(argv, seconds=BUILD_SECONDS_MAX, **more):
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              timeout=seconds, text=True, **more)
    except subprocess.TimeoutExpired:
        raise Failed("%s: not done within %g seconds" % (shlex.join(argv[:4]), seconds))
    except OSError as problem:
        raise Failed("%s: %s" % (argv[0], problem.strerror))
    if done.returncode != 0:
        raise Failed("%s: exit %d:\n%s" % (shlex.join(argv[:6]), done.returncode, done.stdout[-2000:]))
    return done.stdout


# -- building -------------------------------------------------------------------------------------------

def unpack(source, folder):
    """A folder with the library's sources: `source` itself, or what a git directory has as its HEAD."""
    if not os.path.isdir(source):
        raise Failed("%s: no such folder" % source)
    if not os.path.exists(os.path.join(source, "HEAD")):
        return os.path.abspath(source)
    os.makedirs(folder)
    archive = os.path.join(folder, "sources.tar")
    run(["git", "-C", source, "archive", "-o", archive, "HEAD"])
    run(["tar", "xf", archive, "-C", folder])
    return folder


def version_of(source, header, prefix):
    """"1.2.3" from the three numbers in a header."""
    with open(os.path.join(source, header)) as text:
        numbers = re.findall(r"#define %s_(?:MAJOR|MINOR|PATCH) (\d+)" % prefix, text.read())
    return ".".join(numbers[:3])


class Library:
    """A client library: where its headers and its archive are, and the programs that use it."""

    def __init__(self, name, version, flags, link):
        self.name, self.version, self.flags, self.link = name, version, flags, link
        self.programs = {}

    def build(self, what, source, folder, extra=()):
        program = os.path.join(folder, "%s-%s" % (what, self.name))
        run(["cc", *PROGRAM_FLAGS, *self.flags, *extra, os.path.join(SOURCES, source), "-o", program, *self.link,
             "-lpthread", "-lm"])
        self.programs[what] = program


def compile_library(files, flags, folder, name):
    """An archive of these files."""
    objects = []
    for path in files:
        objects.append(os.path.join(folder, "%s-%s.o" % (name, os.path.basename(path)[:-2])))
        run(["cc", *LIBRARY_FLAGS, *flags, "-c", path, "-o", objects[-1]])
    archive = os.path.join(folder, "lib%s.a" % name)
    run(["ar", "rcs", archive, *objects])
    return archive


def make_hiredis(source, folder):
    if source is None:
        version = run(["pkg-config", "--modversion", "hiredis"]).strip()
        return Library("hiredis", version + " (installed)", [], ["-lhiredis"])
    source = unpack(source, os.path.join(folder, "hiredis-sources"))
    headers = os.path.join(folder, "headers")
    os.makedirs(headers)
    os.symlink(source, os.path.join(headers, "hiredis"))
    archive = compile_library([os.path.join(source, name) for name in HIREDIS_FILES], ["-I" + source], folder, "hiredis")
    return Library("hiredis", version_of(source, "hiredis.h", "HIREDIS"), ["-I" + headers], [archive])


def make_libvalkey(source, folder):
    source = unpack(source, os.path.join(folder, "libvalkey-sources"))
    inside = os.path.join(source, "src")
    include = os.path.join(source, "include")
    files = [os.path.join(inside, name) for name in sorted(os.listdir(inside))
             if name.endswith(".c") and name not in LIBVALKEY_LEFT_OUT]
    flags = ["-I" + include, "-I" + os.path.join(include, "valkey"), "-I" + inside]
    archive = compile_library(files, flags, folder, "libvalkey")
    version = version_of(include, os.path.join("valkey", "valkey.h"), "LIBVALKEY_VERSION")
    return Library("libvalkey", version, ["-I" + include, "-DWITH_LIBVALKEY"], [archive])


def make_roan(options, folder):
    """libroan of a build without checks and sanitizers: the given one, or one made for this run."""
    build = options.build
    if build is None:
        build = os.path.join(folder, "build")
        run(["meson", "setup", build, ROOT, "-Dallocator=libc"])
        run(["ninja", "-C", build, "src/client/libroan.a"])
    archive = os.path.join(build, "src", "client", "libroan.a")
    if not os.path.exists(archive):
        raise Failed("%s: not there; build it: ninja -C %s src/client/libroan.a" % (archive, build))
    flags = ["-D_GNU_SOURCE", "-I" + os.path.join(ROOT, "include"), "-I" + os.path.join(ROOT, "src")]
    return Library("libroan", "", flags, [archive])


def build_all(options, folder):
    libraries = [make_roan(options, folder), make_hiredis(options.hiredis, folder)]
    if options.libvalkey is not None:
        libraries.append(make_libvalkey(options.libvalkey, folder))
    for library in libraries:
        is_roan = library.name == "libroan"
        library.build("bench", "bench_roan.c" if is_roan else "bench_hiredis.c", folder)
        library.build("micro", "micro.c" if is_roan else "micro_hiredis.c", folder)
    libraries[0].build("heap", "heap.c", folder, HEAP_FLAGS)
    run(["cc", *PROGRAM_FLAGS, os.path.join(SOURCES, "delay.c"), "-o", os.path.join(folder, "delay")])
    return libraries


# -- what runs beside the clients -----------------------------------------------------------------------

class Relay:
    """delay.c before a server, on the server's CPU."""

    def __init__(self, program, target_port, delay_us):
        self.port = free_port()
        self.process = subprocess.Popen([program, str(self.port), str(target_port), str(delay_us)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
                                        preexec_fn=on_cpu(SERVER_CPU))
        if not self.process.stdout.readline():
            raise Failed("the relay did not start")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def on_cpus(cpus):
    return lambda: os.sched_setaffinity(0, cpus)


# -- measuring ------------------------------------------------------------------------------------------

class Variant:
    """A column: a library, and how libroan is driven."""

    def __init__(self, name, library, arguments=()):
        self.name, self.library, self.arguments = name, library, list(arguments)

    def measure(self, kind, number, port, options):
        """{rate, cpu_ns, p50_us, p99_us} of one run."""
        loop = LOOPS[kind][0 if self.library.name == "libroan" else 1]
        only = ["--only", loop, "--threads" if kind == "sync" else "--depth", str(number)]
        text = run([self.library.programs["bench"], "--port", str(port), "--seconds", str(options.seconds),
                    "--bytes", str(options.bytes), *only, *self.arguments],
                   options.seconds + SLACK_SECONDS, preexec_fn=on_cpus(options.client_cpus))
        found = LINE.match(text.strip())
        if not found:
            raise Failed("%s: not a result: %s" % (self.name, text))
        return {"rate": int(found[4]), "cpu_ns": int(found[5]), "p50_us": float(found[6]), "p99_us": float(found[7])}


def measure_row(variants, kind, number, port, options):
    """The results of all rounds by variant."""
    results = {variant.name: [] for variant in variants}
    for turn in range(options.rounds):
        shift = turn % len(variants)
        for variant in variants[shift:] + variants[:shift]:
            results[variant.name].append(variant.measure(kind, number, port, options))
    return results


def summary(results):
    return {"rate": statistics.median(one["rate"] for one in results),
            "rate_best": max(one["rate"] for one in results),
            "cpu_ns": statistics.median(one["cpu_ns"] for one in results),
            "cpu_ns_least": min(one["cpu_ns"] for one in results),
            "p50_us": statistics.median(one["p50_us"] for one in results),
            "p99_us": statistics.median(one["p99_us"] for one in results)}


def print_table(title, variants, rows):
    base = "hiredis"
    print("\n%s" % title)
    print("  %-15s" % "" + "".join("%*s" % (30 if v.name != base else 22, v.name) for v in variants))
    print("  %-15s" % "" + "".join("%12s%10s" % ("commands/s", "CPU ns") + ("%8s" % "ratio" if v.name != base else "")
                                   for v in variants))
    for name, results in rows:
        sums = {key: summary(value) for key, value in results.items()}
        cells = []
        for variant in variants:
            one = sums[variant.name]
            cells.append("%12.0f%10.0f" % (one["rate"], one["cpu_ns"]))
            if variant.name != base:
                cells.append("%8.2f" % (one["rate"] / sums[base]["rate"]))
        print("  %-15s" % name + "".join(cells), flush=True)


def rows_of(options):
    return [("sync", count) for count in options.threads] + [
        (kind, depth) for kind in ("async", "argv", "callbacks") for depth in options.depths]


def measure_all(variants, ports, options):
    tables = []
    for title, port in ports:
        rows = []
        for kind, number in rows_of(options):
            note("measuring: %s, %s %d" % (title, kind, number))
            rows.append(("%s %d" % (kind, number), measure_row(variants, kind, number, port, options)))
        note("")
        print_table(title, variants, rows)
        tables.append({"title": title, "rows": [{"name": name, "results": results,
                                                 "summary": {key: summary(one) for key, one in results.items()}}
                                                for name, results in rows]})
    return tables


# -- small figures --------------------------------------------------------------------------------------

def measure_micro(libraries, options):
    """Nanoseconds by name and library; the least of the rounds."""
    least = {}
    for _ in range(options.rounds):
        for library in libraries:
            text = run([library.programs["micro"]], preexec_fn=on_cpus(options.client_cpus))
            for name, ns in re.findall(r"^(.*?) +([\d.]+) ns$", text, re.M):
                old = least.setdefault(name, {}).get(library.name, float("inf"))
                least[name][library.name] = min(old, float(ns))
    print("\nnanoseconds (the least of %d rounds)" % options.rounds)
    print("  %-32s" % "" + "".join("%12s" % library.name for library in libraries))
    for name, row in least.items():
        print("  %-32s" % name + "".join("%12.1f" % row[library.name] if library.name in row else "%12s" % "-"
                                         for library in libraries))
    return least


def measure_heap(library, port, options):
    text = run([library.programs["heap"], str(port), str(HEAP_CONNECTIONS)], preexec_fn=on_cpus(options.client_cpus))
    print("\nheap calls per command, bytes of an idle connection (and where they come from)")
    print("".join("  %s\n" % line for line in text.rstrip().splitlines()), end="")
    return text


def count_lines(folder):
    lines = 0
    for name in os.listdir(os.path.join(ROOT, folder)):
        if name.endswith((".c", ".h")):
            with open(os.path.join(ROOT, folder, name)) as source:
                lines += sum(1 for line in source if line.strip())
    return lines


def measure_size(library):
    with open(os.path.join(ROOT, "src", "client", "libroan.symbols")) as names:
        symbols = [line.strip() for line in names if line.strip() and not line.startswith("#")]
    generated = sum(1 for line in open(os.path.join(ROOT, "src", "client", "command_encode.c")) if line.strip())
    sections = run(["size", "-t", library.link[0]]).splitlines()[-1].split()
    size = {"lines": count_lines("src/client") - generated, "generated_lines": generated, "symbols": len(symbols),
            "code_bytes": int(sections[0]), "data_bytes": int(sections[1]) + int(sections[2])}
    print("\nsize: %(lines)d lines in src/client and %(generated_lines)d generated, without empty ones; %(symbols)d "
          "exported symbols; %(code_bytes)d bytes of code and constants, %(data_bytes)d of data" % size)
    return size


# -- options --------------------------------------------------------------------------------------------

def numbers(least, most):
    """For argparse: a list of numbers in this range."""
    def parse(text):
        values = [int(word) for word in text.split(",")]
        if not values or not all(least <= value <= most for value in values):
            raise ValueError
        return values
    parse.__name__ = "list of numbers from %d to %d" % (least, most)
    return parse


def between(kind, least, most):
    def parse(text):
        value = kind(text)
        if not least <= value <= most:
            raise ValueError
        return value
    parse.__name__ = "number from %g to %g" % (least, most)
    return parse


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--server", metavar="NAME|COMMAND", default="redis|redis-server --port {port} --save '' "
                        "--bind 127.0.0.1", help="with {port}, as --peer of bench.py (default: redis-server)")
    parser.add_argument("--build", metavar="DIR", help="a build folder with libroan.a (default: one for this run)")
    parser.add_argument("--hiredis", metavar="DIR", help="sources, or a git directory (default: the installed one)")
    parser.add_argument("--libvalkey", metavar="DIR", help="sources, or a git directory (default: not measured)")
    parser.add_argument("--threads", type=numbers(1, THREADS_MAX), default=list(THREADS))
    parser.add_argument("--depths", type=numbers(1, DEPTH_MAX), default=list(DEPTHS))
    parser.add_argument("--drive", default="auto", help="libroan's, one column for each of a list (auto,thread)")
    parser.add_argument("--bytes", type=between(int, 0, 1000000), default=64, help="of the value")
    parser.add_argument("--rounds", type=between(int, 1, ROUNDS_MAX), default=5)
    parser.add_argument("--seconds", type=between(float, 0.1, SECONDS_MAX), default=1.0, help="of one measurement")
    parser.add_argument("--delay-us", type=between(int, 0, DELAY_US_MAX), default=1000,
                        help="round trip that the relay adds; 0: measure directly only")
    parser.add_argument("--client-cpus", type=numbers(0, 1023), default=[CLIENT_CPU])
    parser.add_argument("--quick", action="store_true", help="a first impression in about a minute")
    parser.add_argument("--only", choices=("tables", "small"), help="only the throughput, only the small figures")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, min(options.seconds, 0.5)
    if not set(options.drive.split(",")) <= {"auto", "thread"}:
        parser.error("--drive: auto, thread or both")
    if "{port}" not in options.server or "|" not in options.server:
        parser.error("--server: 'name|command with {port}'")
    if not set(options.client_cpus) <= os.sched_getaffinity(0):
        parser.error("--client-cpus: there is no such CPU")
    return options


def measure_everything(options, folder):
    note("building ...")
    libraries = build_all(options, folder)
    by_name = {library.name: library for library in libraries}
    drives = options.drive.split(",")
    variants = [Variant("libroan" if len(drives) == 1 else "libroan " + drive, libraries[0], ["--drive", drive])
                for drive in drives]
    variants += [Variant(library.name, library) for library in libraries[1:]]
    variants.sort(key=lambda variant: variant.name != "hiredis")  # what the others are compared with comes first
    name, _, command = options.server.partition("|")
    result = {"machine": platform.platform(), "cpus": os.cpu_count(), "date": time.strftime("%Y-%m-%d"),
              "options": vars(options)}
    with Target(name, command, SERVER_CPU) as server:
        relay = None
        try:
            result["server"] = server.version()
            result["libraries"] = {key: library.version for key, library in by_name.items()}
            print("%s; %s; CPU of the server %d, of the clients %s; %d rounds of %g s" % (
                result["server"], ", ".join(filter(None, (("%s %s" % (library.name, library.version)).strip()
                                                          for library in libraries))),
                SERVER_CPU, ",".join(map(str, options.client_cpus)), options.rounds, options.seconds))
            if options.only != "small":
                ports = [("GET of %d bytes, direct" % options.bytes, server.port)]
                if options.delay_us > 0:
                    relay = Relay(os.path.join(folder, "delay"), server.port, options.delay_us)
                    ports.append(("GET of %d bytes, %.2g ms further away" % (options.bytes, options.delay_us / 1000),
                                  relay.port))
                result["tables"] = measure_all(variants, ports, options)
            if options.only != "tables":
                result["micro_ns"] = measure_micro(libraries, options)
                result["heap"] = measure_heap(libraries[0], server.port, options)
                result["size"] = measure_size(libraries[0])
        finally:
            if relay is not None:
                relay.stop()
    return result


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix="roan-bench-client-")
    try:
        result = measure_everything(options, folder)
        if options.json:
            with open(options.json, "w") as out:
                json.dump(result, out, indent=1)
                out.write("\n")
    except (Failed, TargetFailed) as problem:
        sys.exit("client.py: %s" % problem)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
