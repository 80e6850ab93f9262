#!/usr/bin/env python3
"""Checks `roan bench` against a running server: what it prints, what it sends, and how it ends.

    bench_check.py                            against redis-server
    bench_check.py --server 'CMD'             CMD contains {port} and, if wanted, {dir}
    bench_check.py --bench 'build/roan bench' the program under test
    bench_check.py -k csv plot                checks whose name contains one of the words

The server is the witness: its INFO commandstats must have counted exactly what -n asked for. Every check
is a function below, registered by @check; it gets a `Bench` and fails by an assertion.
"""

import argparse
import csv
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from resp import plain  # noqa: E402
from server import Server, StartFailed, info_fields  # noqa: E402

SERVER = "redis-server --port {port} --dir {dir} --save '' --bind 127.0.0.1 --unixsocket {dir}/s"
BENCH = "build/roan bench"
RUN_SECONDS_MAX = 60
EXIT_SKIPPED = 77

TITLES = ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP", "RPOP", "SADD", "HSET",
          "SPOP", "ZADD", "ZPOPMIN", "LPUSH (needed to benchmark LRANGE)", "LRANGE_100 (first 100 elements)",
          "LRANGE_300 (first 300 elements)", "LRANGE_500 (first 500 elements)",
          "LRANGE_600 (first 600 elements)", "MSET (10 keys)", "XADD"]
COUNTED = {"ping_inline": "ping", "ping_mbulk": "ping", "set": "set", "get": "get", "incr": "incr", "lpush": "lpush",
           "rpush": "rpush", "lpop": "lpop", "rpop": "rpop", "sadd": "sadd", "hset": "hset", "spop": "spop",
           "zadd": "zadd", "zpopmin": "zpopmin", "mset": "mset", "mget": "mget", "xadd": "xadd"}
QUIET_LINE = re.compile(r"^(.+): (\d+\.\d\d) requests per second, p50=(\d+\.\d{3}) msec$")
CSV_HEADER = ["test", "rps", "avg_latency_ms", "min_latency_ms", "p50_latency_ms", "p95_latency_ms",
              "p99_latency_ms", "max_latency_ms"]
SVG = "{http://www.w3.org/2000/svg}"

CHECKS = []


class Skip(Exception):
    """The server does not have what the check needs."""


def check(function):
    CHECKS.append(function)
    return function


class Bench:
    """The program under test, the server, and a connection to ask the server what it saw."""

    def __init__(self, command, server):
        self.command = shlex.split(command)
        self.server = server
        self.witness = server.connect()
        self.before = {}

    def start(self, *args, **options):
        argv = self.command + ["-p", str(self.server.port)] + [str(arg) for arg in args]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def run(self, *args, stdin=None):
        """Runs it to the end; returns (exit status, stdout, stderr)."""
        process = self.start(*args, stdin=subprocess.PIPE)
        try:
            out, err = process.communicate(stdin, timeout=RUN_SECONDS_MAX)  # bytes: carriage returns matter
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError("did not end within %d seconds: %s" % (RUN_SECONDS_MAX, args))
        return process.returncode, out.decode(), err.decode()

    def good(self, *args, stdin=None):
        """As run, for runs that must succeed and complain about nothing; returns stdout."""
        status, out, err = self.run(*args, stdin=stdin)
        assert status == 0, "exit status %d: %s" % (status, err)
        assert err == "", "stderr: %r" % err
        return out

    def bad(self, *args):
        """As run, for runs that must fail with exit status 1; returns stderr."""
        status, _, err = self.run(*args)
        assert status == 1, "exit status %d, stderr %r" % (status, err)
        return err

    def call(self, *argv):
        return plain(self.witness.call(*argv))

    def has(self, *commands):
        """Whether the server knows the commands; the words of one are separated by spaces."""
        for command in commands:
            reply = self.witness.call("COMMAND", "INFO", command.replace(" ", "|"))
            if reply.kind == "array" and plain(reply) in ([None], []):
                return False
        return True

    def needs(self, *commands):
        if not self.has(*commands):
            raise Skip("the server has not all of %s" % ", ".join(commands))

    def stats(self):
        fields = info_fields(self.witness, "commandstats")
        return {name: int(re.search(r"calls=(\d+)", value).group(1)) for name, value in fields.items()}

    def fresh(self):
        self.call("FLUSHALL")
        self.before = self.stats()

    def calls(self, command):
        """How often the server has run the command since fresh()."""
        name = "cmdstat_" + command
        return self.stats().get(name, 0) - self.before.get(name, 0)

    def counter(self, section, field):
        return int(info_fields(self.witness, section)[field])


def equal(got, wanted):
    assert got == wanted, "got %r, wanted %r" % (got, wanted)


def between(value, low, high):
    assert low <= value <= high, "%r is not from %r to %r" % (value, low, high)


def final_lines(out):
    """The lines as a terminal would show them in the end."""
    return [line.rsplit("\r", 1)[-1] for line in out.split("\n") if line.strip()]


# -- what is sent ---------------------------------------------------------------------------------------

@check
def default_list_runs_in_order(bench):
    bench.needs(*COUNTED.values(), "lrange")
    bench.fresh()
    lines = final_lines(bench.good("-n", 120, "-q"))
    matches = [QUIET_LINE.match(line) for line in lines]
    assert all(matches), lines
    equal([match.group(1) for match in matches], TITLES)


@check
def requests_are_counted_exactly(bench):
    for shape in ([], ["-P", 7, "-c", 9], ["-c", 5, "--threads", 3, "-P", 3], ["-c", 1], ["-c", 300]):
        for name, command in COUNTED.items():
            if not bench.has(command):
                continue
            bench.fresh()
            bench.good("-t", name, "-n", 251, "-q", *shape)
            equal((name, shape, bench.calls(command)), (name, shape, 251))


@check
def lrange_reads_a_list_that_was_filled(bench):
    bench.needs("lpush", "lrange")
    bench.fresh()
    out = bench.good("-t", "lrange_300", "-n", 500, "-q")
    equal([line.split(":")[0] for line in final_lines(out)],
          ["LPUSH (needed to benchmark LRANGE)", "LRANGE_300 (first 300 elements)"])
    equal((bench.calls("lpush"), bench.calls("lrange"), bench.call("LLEN", "mylist")), (500, 500, 500))


@check
def groups_and_case_select_tests(bench):
    bench.needs("lpush", "lrange")
    out = bench.good("-t", "PING,lrange", "-n", 50, "-q")
    equal(len(final_lines(out)), 7)


@check
def keys_and_values_have_their_shape(bench):
    bench.needs(*COUNTED.values())
    bench.fresh()
    bench.good("-t", "set", "-n", 3000, "-r", 100, "-d", 37, "-q")
    keys = bench.call("KEYS", "*")
    equal([key for key in keys if not re.fullmatch(rb"key:0{10}\d\d", key)], [])
    between(len(keys), 95, 100)
    equal(bench.call("STRLEN", keys[0]), 37)
    bench.fresh()
    bench.good("-t", "set,incr,sadd,hset,zadd,mset,xadd,lpush", "-n", 20, "-q")
    equal(sorted(bench.call("KEYS", "*")),
          [b"counter:__rand_int__", b"key:__rand_int__", b"myhash", b"mylist", b"myset", b"mystream", b"myzset"])
    equal(bench.call("ZRANGE", "myzset", 0, -1, "WITHSCORES"), [b"element:__rand_int__", b"0"])
    bench.needs("zrange", "srandmember")
    bench.fresh()
    bench.good("-t", "zadd,hset,sadd", "-n", 500, "-r", 1000, "-q")
    scores = {int(score) for score in bench.call("ZRANGE", "myzset", 0, -1, "WITHSCORES")[1::2]}
    assert len(scores) > 200 and max(scores) < 1000, scores
    assert re.fullmatch(rb"element:\d{12}", bench.call("SRANDMEMBER", "myset"))


@check
def large_ranges_use_all_digits(bench):
    bench.needs("sadd", "smembers")
    bench.fresh()
    bench.good("-n", 300, "-r", 10 ** 12, "-q", "sadd", "all", "__rand_int__")
    members = [int(member) for member in bench.call("SMEMBERS", "all")]
    equal(len(members), 300)
    assert max(members) > 8 * 10 ** 11 and min(members) < 2 * 10 ** 11, (min(members), max(members))


@check
def sequential_covers_the_range(bench):
    for shape in ([], ["--threads", 2, "-P", 8], ["-P", 3]):
        bench.fresh()
        bench.good("-t", "set", "-n", 600, "-r", 600, "--sequential", "-q", *shape)
        equal((shape, bench.call("DBSIZE")), (shape, 600))
    bench.needs("zadd", "zscore")
    bench.fresh()
    bench.good("-n", 100, "-r", 100, "--sequential", "-q",
               "zadd", "z", "__rand_int__", "element:__rand_1st__")
    equal(bench.call("ZSCORE", "z", "element:000000000042"), b"42")


@check
def seed_repeats_a_run(bench):
    seen = []
    for seed in (7, 7, 8):
        bench.fresh()
        bench.good("-t", "set", "-n", 50, "-r", 100000, "-c", 1, "--seed", seed, "-q")
        seen.append(sorted(bench.call("KEYS", "*")))
    equal(seen[0], seen[1])
    assert seen[1] != seen[2], "different seeds gave the same keys"


@check
def commands_are_sent_as_given(bench):
    bench.needs("hset", "hget")
    bench.fresh()
    out = bench.good("-n", 40, "-r", 5, "-d", 12, "-q", "hset", "h:__rand_int__", "f", "<__data__>")
    assert final_lines(out)[0].startswith("hset h:__rand_int__ f <__data__>: "), out
    equal(bench.calls("hset"), 40)
    between(bench.call("DBSIZE"), 1, 5)
    assert re.fullmatch(rb"<.{12}>", bench.call("HGET", bench.call("RANDOMKEY"), "f"))
    bench.good("-n", 3, "-q", "set", "plain", "__rand_int__")
    equal(bench.call("GET", "plain"), b"__rand_int__")
    bench.good("-n", 3, "-q", "-x", "set", "piped", stdin=b"a line\n")
    equal(bench.call("GET", "piped"), b"a line\n")


@check
def sequences_are_sent_whole(bench):
    bench.needs("multi", "exec")
    bench.fresh()
    bench.good("-n", 400, "-P", 3, "-q", "--", "multi", ";", "set", "a", "__data__", ";", "incr", "b", ";", "exec")
    equal([bench.calls(name) for name in ("multi", "set", "incr", "exec")], [100] * 4)
    bench.fresh()
    bench.good("-n", 90, "-r", 10, "-q", "set", "k:__rand_1st__", "__rand_1st__", ";", "2", "get", "k:__rand_1st__")
    equal((bench.calls("set"), bench.calls("get")), (30, 60))
    for key in bench.call("KEYS", "*"):
        equal(bench.call("GET", key), key[2:])


@check
def large_values_and_replies_pass(bench):
    bench.fresh()
    bench.good("-t", "set,get", "-n", 200, "-d", 300000, "-P", 4, "-c", 5, "-q")
    equal((bench.calls("set"), bench.calls("get")), (200, 200))
    bench.needs("lpush", "lrange")
    bench.good("-t", "lrange_600", "-n", 1000, "-P", 32, "-c", 8, "-d", 50, "-q")
    equal(bench.calls("lrange"), 1000)
    bench.good("-n", 20, "-P", 3, "-c", 2, "-q", "lrange", "mylist", "0", "-1")


# -- connections ----------------------------------------------------------------------------------------

@check
def reconnecting_opens_connections(bench):
    bench.fresh()
    before = bench.counter("stats", "total_connections_received")
    bench.good("-t", "get", "-n", 300, "-k", 0, "-c", 10, "-P", 2, "-q")
    equal(bench.calls("get"), 300)
    between(bench.counter("stats", "total_connections_received") - before, 150, 165)


@check
def database_is_selected(bench):
    bench.fresh()
    bench.good("-t", "set", "-n", 10, "--dbnum", 3, "-q")
    equal(bench.call("DBSIZE"), 0)
    bench.call("SELECT", 3)
    equal(bench.call("DBSIZE"), 1)
    bench.call("SELECT", 0)
    assert "Error from server" in bench.bad("-t", "set", "-n", 10, "--dbnum", 9999, "-q")


@check
def resp3_and_tracking_work(bench):
    bench.fresh()
    bench.good("-3", "-t", "ping,set,get,incr", "-n", 100, "-q")
    bench.needs("client tracking")
    bench.fresh()
    bench.good("-3", "--enable-tracking", "-n", 3000, "-r", 10, "-P", 5, "-c", 6, "--threads", 2, "-q",
               "get", "key:__rand_int__", ";", "set", "key:__rand_int__", "x")
    equal((bench.calls("get"), bench.calls("set")), (1500, 1500))


@check
def passwords_are_sent(bench):
    if bench.call("CONFIG", "SET", "requirepass", "s:cr t") != b"OK":
        raise Skip("CONFIG SET requirepass")
    try:
        bench.good("-a", "s:cr t", "-t", "ping_mbulk", "-n", 10, "-q")
        bench.good("--user", "default", "-a", "s:cr t", "-t", "ping_mbulk", "-n", 10, "-q")
        uri = "redis://default:s%%3Acr%%20t@127.0.0.1:%d/0" % bench.server.port
        bench.good("-u", uri, "-t", "ping_mbulk", "-n", 10, "-k", 0, "-q")
        assert "WRONGPASS" in bench.bad("-a", "wrong", "-t", "ping_mbulk", "-n", 10, "-q")
        assert "NOAUTH" in bench.bad("-t", "get", "-n", 10, "-q")
    finally:
        bench.call("CONFIG", "SET", "requirepass", "")


@check
def unix_socket_works(bench):
    path = os.path.join(bench.server.dir, "s")
    if not os.path.exists(path):
        raise Skip("the server has no Unix socket {dir}/s")
    bench.fresh()
    bench.good("-s", path, "-t", "set", "-n", 100, "-P", 4, "-q")
    equal(bench.calls("set"), 100)
    bench.good("-s", path, "-t", "set", "-n", 100, "-k", 0, "-q")
    assert "Could not connect" in bench.bad("-s", path + "-not", "-t", "set", "-q")


@check
def idle_connections_are_held(bench):
    before = bench.counter("clients", "connected_clients")
    process = bench.start("-I", "-c", 20)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and bench.counter("clients", "connected_clients") < before + 20:
            time.sleep(0.02)
        equal(bench.counter("clients", "connected_clients"), before + 20)
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


# -- time -----------------------------------------------------------------------------------------------

@check
def duration_and_warmup_are_kept(bench):
    bench.fresh()
    out = bench.good("-t", "ping_mbulk", "--duration", 0.6, "--warmup", 0.4, "-c", 3)
    requests, seconds = re.search(r"(\d+) requests completed in (\d+\.\d\d) seconds", out).groups()
    between(float(seconds), 0.5, 0.9)
    assert bench.calls("ping") > int(requests) > 10
    assert "Warming up PING_MBULK: rps=" in out
    bench.fresh()
    bench.good("-t", "get", "-n", 50, "--warmup", 0.1, "-c", 2, "-q")
    assert bench.calls("get") > 50


@check
def rps_is_not_exceeded(bench):
    for shape in ([], ["-P", 5, "--threads", 2, "-c", 6]):
        bench.fresh()
        out = bench.good("-t", "get", "-n", 600, "--rps", 600, *shape)
        seconds = float(re.search(r"completed in (\d+\.\d\d) seconds", out).group(1))
        between(seconds, 0.85, 1.6)
        equal(bench.calls("get"), 600)


@check
def loop_repeats(bench):
    process = bench.start("-l", "-t", "ping_mbulk", "-n", 200, "-q")
    lines = [process.stdout.readline() for _ in range(3)]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert all(line.rsplit(b"\r", 1)[-1].startswith(b"PING_MBULK: ") for line in lines), lines


# -- output ---------------------------------------------------------------------------------------------

def parse_rows(text):
    """Rows of a distribution as (percent, milliseconds, count)."""
    row = re.compile(r"^(\d+\.\d{3})% <= (\d+\.\d{3}) milliseconds \(cumulative count (\d+)\)$", re.MULTILINE)
    return [(float(a), float(b), int(c)) for a, b, c in row.findall(text)]


@check
def full_report_is_complete(bench):
    out = bench.good("-t", "get", "-n", 5000, "-c", 7, "-d", 9, "--threads", 2, "-P", 2)
    for line in ("====== GET ======", "  7 parallel clients", "  9 bytes payload", "  keep alive: 1",
                 "  multi-thread: yes", "  threads: 2", "Summary:"):
        assert line in out.split("\n") or "\r" + line in out, line
    assert re.search(r"^  5000 requests completed in \d+\.\d\d seconds$", out, re.MULTILINE), out
    percentiles, rest = out.split("Latency by percentile distribution:")[1].split("Cumulative distribution of")
    for rows in (parse_rows(percentiles), parse_rows(rest)):
        assert len(rows) > 1
        equal(rows, sorted(rows))
        equal((rows[-1][0], rows[-1][2]), (100.0, 5000))
    equal([row[0] for row in parse_rows(percentiles)[:4]], [0.0, 50.0, 75.0, 87.5])
    for percent, _, count in parse_rows(percentiles):
        assert count >= percent / 100 * 5000 - 1, (percent, count)
    summary = re.search(r"  latency summary \(msec\):\n +avg +min +p50 +p95 +p99 +max\n +([\d. ]+)\n", rest)
    average, low, p50, p95, p99, high = [float(word) for word in summary.group(1).split()]
    assert low <= p50 <= p95 <= p99 <= high and low <= average <= high
    assert re.search(r"^  throughput summary: \d+\.\d\d requests per second$", rest, re.MULTILINE)


@check
def live_line_is_updated(bench):
    out = bench.good("-t", "ping_mbulk", "--duration", 0.8, "-q")
    live = re.findall(r"\rPING_MBULK: rps=[\d.]+ \(overall: [\d.]+\) avg_msec=[\d.]+ \(overall: [\d.]+\)", out)
    between(len(live), 2, 4)
    equal(len(final_lines(out)), 1)


@check
def csv_is_parseable(bench):
    text = bench.good("-n", 300, "--csv", "-t", "set,get,mset")
    rows = list(csv.reader(io.StringIO(text)))
    equal(rows[0], CSV_HEADER)
    equal([row[0] for row in rows[1:]], ["SET", "GET", "MSET (10 keys)"])
    for row in rows[1:]:
        _, _, low, p50, p95, p99, high = [float(word) for word in row[1:]]
        assert low <= p50 <= p95 <= p99 <= high
    text = bench.good("-n", 30, "--csv", "set", 'a "quoted", key', "1")
    equal([row[0] for row in csv.reader(io.StringIO(text))][1], 'set a "quoted", key 1')


@check
def precision_is_used(bench):
    out = bench.good("-n", 100, "-t", "get", "--precision", 5, "-q")
    assert re.search(r"p50=\d+\.\d{5} msec", out), out
    out = bench.good("-n", 100, "-t", "get", "--precision", 1, "--csv")
    assert re.fullmatch(r'"GET","\d+\.\d\d"(,"\d+\.\d"){6}', out.split("\n")[1]), out


def plot_elements(path):
    root = xml.etree.ElementTree.parse(path).getroot()
    return root, list(root.iter(SVG + "polyline")), "".join(root.itertext())


@check
def plot_is_self_contained(bench):
    folder = tempfile.mkdtemp(prefix="roan-bench-")
    try:
        for name in ("plot.svg", "plot.html"):
            path = os.path.join(folder, name)
            bench.good("-t", "ping,get,set", "-n", 2000, "-q", "--plot", path)
            root, lines, text = plot_elements(path)
            equal(root.tag, SVG + "svg" if name == "plot.svg" else "html")
            equal(len(lines), 2 * 4)
            for line in lines:
                points = [pair.split(",") for pair in line.get("points").split()]
                assert len(points) > 1 and all(0 <= float(x) <= 1040 and 0 <= float(y) <= 900 for x, y in points)
            for word in ("GET", "SET", "99.9 %", "milliseconds", "replies per second", "percentile of replies"):
                assert word in text, word
            with open(path) as file:
                content = file.read().replace("http://www.w3.org/2000/svg", "")
            assert "http" not in content and "<script" not in content and "prefers-color-scheme" in content
        path = os.path.join(folder, "one.svg")
        bench.good("-n", 1, "-q", "--plot", path, "set", "<a&b>", "\"'\x01")
        equal(len(plot_elements(path)[1]), 2)
        assert "ends neither in" in bench.bad("--plot", os.path.join(folder, "plot.png"), "-t", "get", "-n", 10)
        assert "--plot" in bench.bad("--plot", os.path.join(folder, "no", "plot.svg"), "-t", "get", "-n", 10)
    finally:
        shutil.rmtree(folder)


@check
def help_and_version_are_printed(bench):
    out = bench.good("--help")
    for option in ("-h", "-p", "-s", "-a", "--user", "-u", "-c", "-n", "-d", "--dbnum", "-3", "--threads", "-k",
                   "-r", "-P", "-q", "--precision", "--csv", "-l", "-t", "-I", "-x", "--seed", "--rps",
                   "--duration", "--warmup", "--plot", "--enable-tracking", "--sequential"):
        assert re.search(r"^  %s " % option, out, re.MULTILINE), option
    assert max(len(line) for line in out.split("\n")) <= 100
    assert re.fullmatch(r"roan bench \S+\n", bench.good("--version"))


# -- errors ---------------------------------------------------------------------------------------------

@check
def error_replies_end_the_run(bench):
    bench.needs("lpush")
    bench.fresh()
    bench.call("SET", "text", "x")
    for shape in ([], ["-P", 10, "--threads", 3], ["-k", 0], ["-3"]):
        err = bench.bad("-n", 1000, "-q", *shape, "lpush", "text", "1")
        assert re.fullmatch(r"Error from server: WRONGTYPE [^\n]+\n", err), err
    assert "ERR" in bench.bad("-n", 10, "-q", "nosuchcommand", "1")
    err = bench.bad("-n", 200, "-P", 20, "-c", 1, "-q", "set", "text", "1", ";", "incrby", "text", "x")
    assert "not an integer" in err, err


@check
def lost_server_ends_the_run(bench):
    bench.needs("client kill")
    process = bench.start("-t", "ping_mbulk", "--duration", 30, "-c", 3, "-q")
    time.sleep(0.5)
    bench.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    _, err = process.communicate(timeout=10)
    equal(process.returncode, 1)
    assert b"closed the connection" in err or b"reset" in err, err


@check
def nobody_listening_is_reported(bench):
    err = bench.bad("-p", 1, "-t", "get", "-n", 10)
    equal(err, "Could not connect to server at 127.0.0.1:1: Connection refused\n")
    assert "Could not connect" in bench.bad("-h", "no.such.host.invalid", "-t", "get", "-n", 10)


@check
def wrong_options_are_named(bench):
    for args, words in ((["--zork"], "--zork"), (["-n"], "-n: needs an argument"), (["-n", "x"], "'x'"),
                        (["-n", "0"], "'0'"), (["-P", "0"], "-P"), (["-c", "-4"], "-c"), (["-p", "70000"], "-p"),
                        (["--cluster"], "cluster mode is not in this version"),
                        (["--tls"], "TLS is not in this version"), (["-t", "get,nosuch"], "'nosuch'"),
                        (["-u", "rediss://x"], "TLS"), (["-u", "http://x"], "URI"), (["-u", "redis://x:99999"], "-u"), (["-x"], "-x"),
                        (["-n", "5", "--duration", "1"], "--duration"), (["--user", "me"], "--user"),
                        (["--", "set", "a", ";", ";", "get"], "empty")):
        err = bench.bad(*args)
        assert words in err and err.count("\n") == 1, (args, err)


def run_check(function, options):
    """Every check has a server of its own."""
    with Server(options.server) as server:
        bench = Bench(options.bench, server)
        function(bench)
        assert server.is_responsive(), server.exit_text()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=SERVER)
    parser.add_argument("--bench", default=BENCH)
    parser.add_argument("-k", nargs="+", default=[""], metavar="WORD")
    options = parser.parse_args()
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for function in CHECKS:
        name = function.__name__
        if not any(word in name for word in options.k):
            continue
        try:
            run_check(function, options)
            outcome, why = "passed", ""
        except Skip as skip:
            outcome, why = "skipped", " (%s)" % skip
        except StartFailed as problem:
            print(problem)
            return 1
        except Exception as problem:  # a check that breaks in any way has failed; the others go on
            where = traceback.extract_tb(problem.__traceback__)[-1]
            outcome, why = "failed", "\n    line %s: %s: %s" % (where.lineno, type(problem).__name__, problem)
            own = [frame for frame in traceback.extract_tb(problem.__traceback__) if frame.name == name]
            if own:
                why += "\n    in line %d: %s" % (own[-1].lineno, own[-1].line)
        count[outcome] += 1
        print("%-7s %s%s" % (outcome, name, why), flush=True)
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % count)
    if count["failed"]:
        return 1
    return 0 if count["passed"] else EXIT_SKIPPED


if __name__ == "__main__":
    sys.exit(main())
