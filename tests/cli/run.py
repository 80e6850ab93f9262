#!/usr/bin/env python3
"""Tests of `roan cli`: against redis-cli byte for byte where that is on PATH, and on its own.

    tests/cli/run.py [--server CMD] [--roan PATH] [--reference PATH] [--only TEXT] [-v]

CMD starts the server that both clients talk to ({port} and {dir} are filled in; default: redis-server). A test is a
function marked @test; what it promises is its name. Replies of every type come from a server of our own that answers
with any bytes. The last line is `N passed, N failed, N skipped`.
"""

import argparse
import difflib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(ROOT, "tests/lib"))
sys.path.insert(0, os.path.join(HERE, "lib"))

from fake_server import FakeServer  # noqa: E402
from server import Server, StartFailed  # noqa: E402
from terminal import Terminal  # noqa: E402

RUN_SECONDS_MAX = 20
SKIPPED = 77
TESTS = []


class Failure(Exception):
    """What was expected did not happen."""


class Skip(Exception):
    """The test cannot run here."""


class Outcome:
    """What a run of a client left behind."""

    def __init__(self, out, err, status):
        self.out = out
        self.err = err
        self.status = status

    def __eq__(self, other):
        return (self.out, self.err, self.status) == (other.out, other.err, other.status)

    def __repr__(self):
        return "status %s\n      out %r\n      err %r" % (self.status, self.out, self.err)


def test(function):
    TESTS.append(function)
    return function


def require(condition, message):
    if not condition:
        raise Failure(message() if callable(message) else message)


class Bench:
    """The clients and the server that the tests use."""

    def __init__(self, options, server, home):
        self.cli = [options.roan, "cli"]
        self.reference = options.reference
        self.server = server
        self.port = server.port
        self.home = home
        self.fake = FakeServer()
        self.reference_version = self._version_of_reference()

    def _version_of_reference(self):
        if self.reference is None:
            return 0
        text = subprocess.run([self.reference, "--version"], capture_output=True, check=False).stdout
        match = re.search(rb"(\d+)\.\d+", text)
        return int(match.group(1)) if match else 0

    def environment(self, terminal=False, **more):
        environment = {name: value for name, value in os.environ.items()
                       if not re.match("REDISCLI|VALKEYCLI|ROANCLI|FAKETTY", name)}
        environment.update(HOME=self.home, TERM="xterm", **more)
        if terminal:
            environment["FAKETTY"] = "1"
        return environment

    def _run(self, command, words, text, environment):
        try:
            done = subprocess.run(command + words, input=text, capture_output=True, env=environment,
                                  timeout=RUN_SECONDS_MAX, check=False)
        except subprocess.TimeoutExpired as expired:
            raise Failure("%s did not end; it wrote %r" % (" ".join(map(str, words)), expired.stdout))
        return Outcome(done.stdout, done.stderr, done.returncode)

    def run(self, *words, text=b"", port=None, terminal=False, **environment):
        words = ["-p", str(port or self.port)] + list(words)
        return self._run(self.cli, words, text, self.environment(terminal, **environment))

    def run_reference(self, *words, text=b"", port=None, terminal=False, **environment):
        if self.reference is None:
            raise Skip("no redis-cli on PATH")
        words = ["-p", str(port or self.port)] + list(words)
        return self._run([self.reference], words, text, self.environment(terminal, **environment))

    def compare(self, *words, text=b"", port=None, prepare=None, **environment):
        """Both clients, as for a pipe and as for a terminal, must do the same."""
        problems = []
        for terminal in (False, True):
            if prepare is not None:
                prepare()
            theirs = self.run_reference(*words, text=text, port=port, terminal=terminal, **environment)
            if prepare is not None:
                prepare()
            ours = self.run(*words, text=text, port=port, terminal=terminal, **environment)
            if ours != theirs:
                problems.append("%s %s%r\n    redis-cli: %r\n    roan cli:  %r"
                                % ("terminal" if terminal else "pipe", " ".join(map(repr, words)), text, theirs, ours))
        require(not problems, "\n  ".join(problems))

    def seed(self):
        """The same keys before every comparison."""
        with self.server.connect() as connection:
            for words in SEED:
                connection.call(*words)

    def terminal(self, *words, columns=100, port=None, **environment):
        return Terminal(self.cli + ["-p", str(port or self.port)] + list(words),
                        self.environment(**environment), columns)


SEED = (
    ("FLUSHALL",), ("SET", "str", "hello"), ("SET", "bytes", b"\x00\xff\"\\\n\t"), ("SET", "n", "1"),
    ("RPUSH", "list", "a", "b", "c d"), ("SADD", "set", "m"), ("HSET", "h", "f", "v"),
    ("ZADD", "z", "1.5", "m"), ("XADD", "s", "1-1", "f", "v"), ("SET", 'big"key', "x" * 300),
)

# --- replies of every type --------------------------------------------------------------------------------------------

REPLIES = {
    "error": b'-ERR a "b"\r\n',
    "status": b'+OK "x"\r\n',
    "integer": b":-5\r\n",
    "null bulk": b"$-1\r\n",
    "null array": b"*-1\r\n",
    "null": b"_\r\n",
    "double": b",1.50\r\n",
    "infinity": b",-inf\r\n",
    "whole double": b",10\r\n",
    "true": b"#t\r\n",
    "false": b"#f\r\n",
    "verbatim": b"=8\r\ntxt:a\nb\x01\r\n",
    "markdown": b"=7\r\nmkd:# x\r\n",
    "bytes": b'$9\r\n"\\\x00\n\r\t\x07\x08\xff\r\n',
    "UTF-8": "$6\r\né€x\r\n".encode(),
    "empty bulk": b"$0\r\n\r\n",
    "empty array": b"*0\r\n",
    "empty map": b"%0\r\n",
    "empty set": b"~0\r\n",
    "nested arrays": b"*3\r\n:1\r\n*2\r\n$1\r\na\r\n*2\r\n+x\r\n$-1\r\n*0\r\n",
    "twelve elements": b"*12\r\n" + b":1\r\n" * 9 + b"*2\r\n:1\r\n:2\r\n" + b"$1\r\nz\r\n" + b"*0\r\n",
    "map": b"%3\r\n$3\r\nfoo\r\n*2\r\n:1\r\n%1\r\n+k\r\n,1.5\r\n:7\r\n~2\r\n#t\r\n_\r\n+e\r\n%0\r\n",
    "map with odd keys": b"%5\r\n*1\r\n:1\r\n:1\r\n#t\r\n:2\r\n,1.5\r\n:3\r\n_\r\n:4\r\n-ERR x\r\n:5\r\n",
    "map of maps": b"%2\r\n+a\r\n%2\r\n+x\r\n:1\r\n+y\r\n*2\r\n:1\r\n:2\r\n+b\r\n~1\r\n:1\r\n",
    "map in array in map": b"%1\r\n+a\r\n*1\r\n%2\r\n+b\r\n:1\r\n+c\r\n:2\r\n",
    "set of arrays": b"~2\r\n*2\r\n:1\r\n:2\r\n~0\r\n",
    "error in array": b"*2\r\n-ERR bad\r\n+OK\r\n",
    "verbatim in array": b"*2\r\n=7\r\ntxt:a\nb\r\n$3\r\na\nb\r\n",
    "twelve pairs": b"%12\r\n" + b"+k\r\n*2\r\n:1\r\n+z\r\n" * 12,
    "push before the reply": b">2\r\n+message\r\n$1\r\nx\r\n+OK\r\n",
    "invalidation": b'>2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\nk\r\n$3\r\nl"m\r\n+OK\r\n',
    "invalidation of all": b">2\r\n$10\r\ninvalidate\r\n_\r\n+OK\r\n",
}

FORMATS = (
    ("-3",), ("-3", "--no-raw"), ("-3", "--csv"), ("-3", "--json"), ("-3", "--show-pushes", "yes"),
    ("-3", "--show-pushes", "no", "--no-raw"), ("-2", "--json"), ("--json",), ("-e", "-3"), ("-e", "--no-raw"),
    ("-d", ";", "-D", "|", "-3", "--raw"),
)


def make_reply_test(name, reply):
    def check(bench):
        problems = []
        for words in FORMATS:
            try:
                bench.compare(*words, "-x", "RAW", text=reply, port=bench.fake.port)
            except Failure as failure:
                problems.append(str(failure))
        require(not problems, "\n  ".join(problems))
    check.__name__ = "reply of type %s looks as in redis-cli" % name
    return check


for _name, _reply in REPLIES.items():
    test(make_reply_test(_name, _reply))


def shown(bench, reply, *words):
    return bench.run("-3", *words, "-x", "RAW", text=reply, port=bench.fake.port).out


@test
def big_numbers_are_shown(bench):
    reply = b"(123456789012345678901234567890\r\n"
    require(shown(bench, reply) == b"123456789012345678901234567890\n", "raw")
    require(shown(bench, reply, "--json") == b"123456789012345678901234567890\n", "json")
    require(shown(bench, reply, "--no-raw") == b"(big number) 123456789012345678901234567890\n", "tty")


@test
def blob_errors_are_errors(bench):
    reply = b"!12\r\nERR a\r\nb c d\r\n"
    require(shown(bench, reply, "--no-raw") == b"(error) ERR a\r\nb c d\n", "tty")
    outcome = bench.run("-3", "-e", "-x", "RAW", text=reply, port=bench.fake.port)
    require(outcome.status == 1 and outcome.err == b"ERR a\r\nb c d\n", lambda: repr(outcome))


@test
def attributes_are_shown_above_their_value(bench):
    reply = b"|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n"
    require(shown(bench, reply, "--no-raw") == b'1| ttl => (integer) 9\n"v"\n', "tty")
    require(shown(bench, reply) == b"v\n", "raw")
    require(shown(bench, reply, "--json") == b'"v"\n', "json")


@test
def quoted_json_can_be_read_back(bench):
    reply = b'*2\r\n$9\r\n"\\\x00\n\r\t\x07\x08\xff\r\n+\xc3\xa9\r\n'
    out = shown(bench, reply, "--quoted-json")
    out.decode("ascii")
    first, second = json.loads(out)
    require(first == '\\"\\\\\\x00\\n\\r\\t\\a\\b\\xff', lambda: first)
    require(second == "\\xc3\\xa9", lambda: second)


@test
def json_of_text_can_be_read_back(bench):
    reply = b'%1\r\n+a"b\r\n*3\r\n$7\r\n\x01\n\t"\\/\x7f\r\n,1.5\r\n_\r\n'
    require(json.loads(shown(bench, reply, "--json")) == {'a"b': ['\x01\n\t"\\/\x7f', 1.5, None]}, "json")


@test
def broken_replies_are_errors(bench):
    for reply in (b"hello\r\n", b"$99999999999999999999\r\n", b"*?\r\n"):
        outcome = bench.run("-x", "RAW", text=reply, port=bench.fake.port)
        require(outcome.status == 1 and outcome.err.startswith(b"Error: "), lambda: repr(outcome))


# --- commands on the line ---------------------------------------------------------------------------------------------

COMMANDS = (
    ("PING",), ("GET", "str"), ("GET", "bytes"), ("--no-raw", "GET", "bytes"), ("GET", "nothing"), ("INCR", "n"),
    ("LRANGE", "list", "0", "-1"), ("--csv", "LRANGE", "list", "0", "-1"), ("--json", "LRANGE", "list", "0", "-1"),
    ("HGETALL", "h"), ("--csv", "HGETALL", "h"), ("--json", "HGETALL", "h"), ("--json", "-2", "HGETALL", "h"),
    ("-3", "HGETALL", "h"), ("-3", "SMEMBERS", "set"), ("-3", "ZRANGE", "z", "0", "-1", "WITHSCORES"),
    ("--json", "ZSCORE", "z", "m"), ("XRANGE", "s", "-", "+"), ("--json", "XRANGE", "s", "-", "+"),
    ("nosuchcommand",), ("-e", "nosuchcommand"), ("-e", "LPUSH", "str", "x"), ("LPUSH", "str", "x"), ("SET", "a"),
    ("-r", "3", "INCR", "n"), ("-r", "0", "PING"), ("-r", "3", "-i", "0.01", "INCR", "n"), ("-r", "3", "-e", "nope"),
    ("-d", ",", "LRANGE", "list", "0", "-1"), ("-D", "XX", "LRANGE", "list", "0", "-1"), ("-D", "", "GET", "str"),
    ("-n", "3", "DBSIZE"), ("-n", "99", "PING"), ("--foo",), ("-n",), ("-2", "-3", "PING"), ("--tls-nothing",),
    ("-a", "wrong", "PING"), ("--no-auth-warning", "-a", "wrong", "PING"), ("--user", "u", "--pass", "x", "PING"),
    ("--user", "u", "PING"), ("-p", "1", "PING"), ("-s", "/nonexistent/socket", "PING"), ("-u", "nonsense", "PING"),
    ("-h", "localhost", "PING"), ("--eval", "/nonexistent"), ("MULTI",), ("EXEC",), ("QUIT",), ("SELECT", "3"),
    ("--quoted-input", "SET", '"a\\x00b"', "v"), ("--quoted-input", "SET", '"a', "v"), ("--quoted-input", "GET", "a b"),
    ("--quoted-input", "GET", ""), ("GET", ""), ("CONFIG", "GET", "maxmemory"),
    ("--scan", "--pattern", "st*"), ("--scan", "--quoted-pattern", '"\\x73t*"'), ("--scan", "--pattern", "*key"),
    ("INFO", "nosuchsection"), ("--json", "INFO", "nosuchsection"), ("-X",), ("-x", "-X", "t", "SET", "k"),
)


def make_command_test(words):
    def check(bench):
        bench.compare(*words, prepare=bench.seed)
    check.__name__ = "same as redis-cli: %s" % " ".join(words)
    return check


for _words in COMMANDS:
    test(make_command_test(_words))


@test
def standard_input_is_the_last_word(bench):
    bench.compare("-x", "SET", "k", text=b"a\x00b\r\n")
    with bench.server.connect() as connection:
        require(connection.call("GET", "k").value == b"a\x00b\r\n", "the value")
    bench.compare("-x", "-r", "2", "ECHO", text=b"hello\n")


@test
def standard_input_replaces_a_tag(bench):
    bench.compare("-X", "tag", "SET", "k", "tag", text=b"hello\n")
    bench.compare("-X", "tag", "SET", "k", text=b"hello\n")


@test
def dumped_values_can_be_restored(bench):
    bench.seed()
    dumped = bench.run("-D", "", "--raw", "DUMP", "list").out
    outcome = bench.run("-X", "t", "RESTORE", "list2", "0", "t", text=dumped)
    require(outcome.out == b"OK\n", lambda: repr(outcome))
    require(bench.run("LRANGE", "list2", "0", "-1").out == b"a\nb\nc d\n", "the copy")


@test
def scripts_get_keys_and_arguments(bench):
    path = os.path.join(bench.home, "script.lua")
    with open(path, "w", encoding="ascii") as file:
        file.write("return {#KEYS, #ARGV, KEYS[1] or '-', ARGV[1] or '-'}\n")
    for words in (["k1", "k2", ",", "a1", "a2"], ["k1"], [","], [], [",", "a"], ["k1,", "a"],
                  ["k", ",", "a", ",", "b"]):
        bench.compare("--eval", path, *words)


@test
def password_comes_from_the_environment(bench):
    bench.compare("PING", REDISCLI_AUTH="wrong")
    outcome = bench.run("-a", "other", "PING", REDISCLI_AUTH="wrong", port=bench.fake.port)
    require(b"Warning" in outcome.err, lambda: repr(outcome))
    require([b"AUTH", b"other"] in bench.fake.seen, "-a wins")


@test
def uris_say_everything(bench):
    fake = FakeServer({b"auth": b"+OK\r\n"})
    for uri, expected in (
            ("redis://us%%40er:p%%3Aw@127.0.0.1:%d/4", [[b"AUTH", b"us@er", b"p:w"], [b"SELECT", b"4"], [b"PING"]]),
            ("redis://secret@127.0.0.1:%d", [[b"AUTH", b"secret"], [b"PING"]]),
            ("valkey://localhost:%d/", [[b"PING"]])):
        fake.seen.clear()
        outcome = bench.run("-u", uri % fake.port, "--no-auth-warning", "PING")
        require(outcome.out == b"PONG\n", lambda: repr(outcome))
        require(fake.seen == expected, lambda: "%s: %r" % (uri, fake.seen))
    outcome = bench.run("-u", "rediss://127.0.0.1", "PING")
    require(outcome.status == 1 and b"TLS" in outcome.err, lambda: repr(outcome))


@test
def unix_sockets_work(bench):
    path = os.path.join(bench.home, "sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def serve():
        for _ in range(2):
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"+PONG\r\n")
    threading.Thread(target=serve, daemon=True).start()
    require(bench.run("-s", path, "PING").out == b"PONG\n", "-s")
    require(bench.run("-u", "unix://" + path, "PING").out == b"PONG\n", "-u unix://")


@test
def numbers_must_be_numbers(bench):
    for words in (("-n", "x"), ("-r", "3x"), ("-i", "soon"), ("-p", "http"), ("--count", "0")):
        outcome = bench.run(*words, "PING")
        require(outcome.status == 1 and outcome.err and not outcome.out, lambda: repr(outcome))


# --- exit codes and broken connections --------------------------------------------------------------------------------

@test
def exit_status_tells_what_happened(bench):
    for words, status in ((("PING",), 0), (("nope",), 0), (("-e", "nope"), 1), (("-e", "PING"), 0),
                          (("-p", "1", "PING"), 1),
                          (("-e", "-n", "99", "PING"), 1), (("-e", "-a", "wrong", "PING"), 1), (("--help",), 0),
                          (("--version",), 0), (("--nope",), 1)):
        outcome = bench.run(*words)
        require(outcome.status == status, lambda: "%r: %r" % (words, outcome))


@test
def closed_connections_are_reported(bench):
    outcome = bench.run("CLOSE", port=bench.fake.port)
    require(outcome == Outcome(b"", b"Error: Server closed the connection\n", 1), lambda: repr(outcome))
    bench.compare("CLOSE", port=bench.fake.port)


@test
def a_command_is_not_sent_twice(bench):
    fake = FakeServer()
    bench.run("CLOSE", port=fake.port)
    require(fake.seen == [[b"CLOSE"]], lambda: repr(fake.seen))


@test
def a_lost_connection_is_replaced_before_the_next_command(bench):
    process = subprocess.Popen(bench.cli + ["-p", str(bench.fake.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=bench.environment(), bufsize=0)
    process.stdin.write(b"SELECT 3\nANSWER \"+OK\\r\\n\"\n")
    first = process.stdout.readline() + process.stdout.readline()
    time.sleep(0.2)  # the server closes its side
    out, _ = process.communicate(b"PING\n", RUN_SECONDS_MAX)
    require(first + out == b"OK\nOK\nPONG\n" and process.returncode == 0, lambda: repr(first + out))
    require(bench.fake.seen[-2:] == [[b"SELECT", b"3"], [b"PING"]], lambda: repr(bench.fake.seen[-4:]))


@test
def connecting_gives_up_after_t_seconds(bench):
    started = time.monotonic()
    listener = socket.create_server(("127.0.0.1", 0))
    outcome = bench.run("-t", "0.3", "-a", "x", "PING", port=listener.getsockname()[1])
    require(outcome.status == 1 and b"timed out" in outcome.err, lambda: repr(outcome))
    require(time.monotonic() - started < 5, "it took too long")
    listener.close()


@test
def a_closed_pipe_ends_the_program(bench):
    bench.seed()
    process = subprocess.Popen(bench.cli + ["-p", str(bench.port), "-r", "-1", "PING"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, env=bench.environment())
    process.stdout.readline()
    process.stdout.close()
    try:
        require(process.wait(RUN_SECONDS_MAX) != 0, "status")
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise Failure("it runs on after its reader has gone")


@test
def commands_without_reply_do_not_hang(bench):
    outcome = bench.run(text=b"CLIENT REPLY SKIP\nPING one\nPING two\nCLIENT REPLY OFF\nPING three\nCLIENT REPLY ON\n")
    require(outcome.out == b"two\nOK\n", lambda: repr(outcome))


# --- a cluster --------------------------------------------------------------------------------------------------------

@test
def redirections_are_followed(bench):
    there = FakeServer({b"get": b"$5\r\nvalue\r\n", b"asking": b"+OK\r\n"})
    moved = FakeServer({b"get": b"-MOVED 7 127.0.0.1:%d\r\n" % there.port})
    ask = FakeServer({b"get": b"-ASK 7 127.0.0.1:%d\r\n" % there.port})
    require(bench.run("-c", "GET", "k", port=moved.port).out == b"value\n", "MOVED")
    require(bench.run("-c", "GET", "k", port=ask.port).out == b"value\n", "ASK")
    require(there.seen[-2:] == [[b"ASKING"], [b"GET", b"k"]], lambda: repr(there.seen))
    require(bench.run("GET", "k", port=moved.port).out.startswith(b"MOVED 7 "), "without -c")
    outcome = bench.run("-c", text=b"GET k\nGET k\n", port=moved.port)
    require(outcome.out == b"-> Redirected to slot [7] located at 127.0.0.1:%d\nvalue\nvalue\n" % there.port,
            lambda: repr(outcome))


@test
def redirections_in_a_circle_end(bench):
    circle = FakeServer()
    circle.replies[b"get"] = b"-MOVED 7 :%d\r\n" % circle.port
    outcome = bench.run("-c", "GET", "k", port=circle.port)
    require(outcome.status == 1 and b"redirected" in outcome.err, lambda: repr(outcome))


# --- commands from a pipe ---------------------------------------------------------------------------------------------

SESSIONS = (
    b'SET a 1\nGET a\nnope\n\n   \nSET x "a\\n\\x41\\"q"\nGET x\n',
    b"SET k 'a\\'b'\nGET k\nGET \"k\nSET k a\"b c\"\nGET k\nSET k 'a\\nb'\nGET k\n",
    b"SELECT 3\nSET q 1\nSELECT 99\nGET q\nSELECT 0\nGET q\n",
    b"MULTI\nSET a 2\nGET a\nSELECT 2\nEXEC\nGET a\nDISCARD\nSELECT 0\n",
    b"MULTI\nnope\nEXEC\nMULTI\nDISCARD\nPING\n",
    b"3 PING\n+2 PING\n1x PING\n2\n",
    b"LRANGE list 0 -1\nSMEMBERS set\nXRANGE s - +\nTYPE list\n",
    b"exit\nPING\n", b"QUIT\nPING\n", b"PING\r\nGET str\r\n", b"GET str",
    b'EVAL "return {1,2,{3,redis.error_reply(\'x y\')}}" 0\nEVAL "return 3.9" 0\n',
    b"connect 127.0.0.1 1\nPING\n",
    b"AUTH wrong\nHELLO 9\nCONFIG GET maxmemory\n",
)


def make_session_test(text):
    def check(bench):
        bench.compare(text=text, prepare=bench.seed)
    check.__name__ = "same as redis-cli from a pipe: %r" % text.decode()
    return check


for _text in SESSIONS:
    test(make_session_test(_text))


@test
def subscriptions_show_their_messages(bench):
    outcome = bench.run(text=b"SUBSCRIBE a b\nPING hi\nUNSUBSCRIBE\nPING\n")
    before = b"subscribe\na\n1\nsubscribe\nb\n2\npong\nhi\n"
    require(outcome.out in (before + b"unsubscribe\na\n1\nunsubscribe\nb\n0\nPONG\n",
                            before + b"unsubscribe\nb\n1\nunsubscribe\na\n0\nPONG\n"), lambda: repr(outcome))


@test
def published_messages_arrive(bench):
    process = subprocess.Popen(bench.cli + ["-p", str(bench.port), "SUBSCRIBE", "news"], stdout=subprocess.PIPE,
                               env=bench.environment())
    try:
        first = [process.stdout.readline() for _ in range(3)]
        require(first == [b"subscribe\n", b"news\n", b"1\n"], lambda: repr(first))
        with bench.server.connect() as connection:
            connection.call("PUBLISH", "news", "hello")
        message = [process.stdout.readline() for _ in range(3)]
        require(message == [b"message\n", b"news\n", b"hello\n"], lambda: repr(message))
    finally:
        process.kill()
        process.communicate()


# --- modes ------------------------------------------------------------------------------------------------------------

@test
def pipe_mode_counts_replies_and_errors(bench):
    for text in (b"SET a 1\r\nnope\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nGET\r\n", b"", b"PING\nPING\n",
                 b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"):
        bench.compare("--pipe", text=text, prepare=bench.seed)


@test
def pipe_mode_moves_much(bench):
    count = 50000
    text = b"".join(b"*3\r\n$3\r\nSET\r\n$8\r\nk%07d\r\n$10\r\n0123456789\r\n" % i for i in range(count))
    outcome = bench.run("--pipe", text=text)
    require(outcome.status == 0 and outcome.out.endswith(b"errors: 0, replies: %d\n" % count), lambda: repr(outcome))
    with bench.server.connect() as connection:
        require(connection.call("GET", "k%07d" % (count - 1)).value == b"0123456789", "the last key")


@test
def pipe_mode_gives_up_on_a_silent_server(bench):
    outcome = bench.run("--pipe", "--pipe-timeout", "1", text=b"HANG\r\n", port=FakeServer({b"echo": b""}).port)
    require(outcome.status == 1 and b"No replies for 1 seconds" in outcome.err, lambda: repr(outcome))


@test
def scan_finds_every_key(bench):
    bench.seed()
    with bench.server.connect() as connection:
        for i in range(500):
            connection.call("SET", "key:%d" % i, "v")
    keys = bench.run("--scan", "--pattern", "key:*", "--count", "50").out.split()
    require(sorted(set(keys)) == sorted(b"key:%d" % i for i in range(500)), "the keys")


PROGRESS_LINE = rb"\[\d\d\d?\.\d\d%\] Biggest (string|list|set|hash|zset|stream) *found so far '\".*\"' with \d+ \w+$"


def summary_of(out):
    """The lines in any order, without remarks and without progress, which follows the order of the walk."""
    return sorted(line for line in out.splitlines() if not line.startswith((b"#", b"[")))


@test
def biggest_keys_are_found(bench):
    if bench.reference_version != 7:
        raise Skip("made for the output of redis-cli 7")
    bench.seed()
    for mode in ("--bigkeys", "--memkeys"):
        ours, theirs = bench.run(mode), bench.run_reference(mode)
        require(ours.status == theirs.status, "status")
        require(summary_of(ours.out) == summary_of(theirs.out),
                lambda: "\n".join(difflib.unified_diff(theirs.out.decode().splitlines(),
                                                       ours.out.decode().splitlines())))
        progress = [line for line in ours.out.splitlines() if line.startswith(b"[")]
        require(len(progress) >= 6, lambda: ours.out.decode())
        require(all(re.match(PROGRESS_LINE, line) for line in progress), lambda: ours.out.decode())


@test
def unknown_types_are_counted(bench):
    fake = FakeServer({b"dbsize": b":1\r\n", b"scan": b"*2\r\n$1\r\n0\r\n*2\r\n$1\r\nk\r\n$1\r\nl\r\n",
                       b"type": b"+newtype\r\n", b"memory": b":64\r\n"})
    out = bench.run("--bigkeys", port=fake.port).out
    require(b"2 newtypes with 0 ?" in out, lambda: out.decode())
    out = bench.run("--memkeys", port=fake.port).out
    require(b"2 newtypes with 128 bytes" in out, lambda: out.decode())
    out = bench.run("--keystats", port=fake.port).out
    require(b"Keys sampled: 2\n" in out and b"newtype" in out, lambda: out.decode())


@test
def key_statistics_add_up(bench):
    bench.seed()
    out = bench.run("--keystats", "--top", "3").out.decode()
    require("Keys sampled: 9\n" in out, out)
    require("--- Top 3 key sizes ---" in out, out)
    require(len(re.findall(r"^ +[123] +\S+ \w+ +\"", out, re.M)) == 3, out)
    require(re.search(r"^ +\S+ +100\.0000% +9$", out, re.M), out)


@test
def statistics_are_printed_in_columns(bench):
    process = subprocess.Popen(bench.cli + ["-p", str(bench.port), "--stat", "-i", "0.05"], stdout=subprocess.PIPE,
                               env=bench.environment())
    lines = [process.stdout.readline().decode() for _ in range(4)]
    process.kill()
    process.communicate()
    require(lines[0].startswith("------- data ------"), lambda: lines[0])
    require(lines[1].split() == ["keys", "mem", "clients", "blocked", "requests", "connections"], lambda: lines[1])
    require(re.match(r"\d+ +[\d.]+[BKMG] +\d+ +\d+ +\d+ \(\+0\) +\d+ *$", lines[2]), lambda: lines[2])
    require(re.match(r"\d+ +[\d.]+[BKMG] +\d+ +\d+ +\d+ \(\+\d+\) +\d+ *$", lines[3]), lambda: lines[3])


@test
def latency_is_measured_and_ends(bench):
    require(re.match(rb"\d+ \d+ \d+\.\d\d \d+\n$", bench.run("--latency", "-i", "0.1").out), "raw")
    require(re.match(rb"\d+,\d+,\d+\.\d\d,\d+\n$", bench.run("--csv", "--latency", "-i", "0.1").out), "csv")
    measured = json.loads(bench.run("--json", "--latency", "-i", "0.1").out)
    require(set(measured) == {"min", "max", "avg", "count"}, lambda: repr(measured))
    require(b"Max latency so far: " in bench.run("--intrinsic-latency", "1", port=1).out, "intrinsic")


@test
def snapshots_are_fetched(bench):
    bench.seed()
    path = os.path.join(bench.home, "dump.rdb")
    outcome = bench.run("--rdb", path)
    if b"unknown command" in outcome.err:
        raise Skip("the server does not know SYNC")
    require(outcome.status == 0 and b"Transfer finished with success" in outcome.err, lambda: repr(outcome))
    with open(path, "rb") as file:
        data = file.read()
    require(re.match(rb"REDIS\d{4}|VALKEY\d{3}", data), "magic")
    require(data[-9:-8] == b"\xff", "the end mark in front of the checksum")
    require(b"big\"key" in data, "a key")


# --- at a terminal ----------------------------------------------------------------------------------------------------

def picture(terminal):
    return "the screen is\n    " + "\n    ".join(terminal.screen()[-12:])


def expect_row(terminal, row):
    require(terminal.wait_for_row(row), lambda: "expected the row %r, %s" % (row, picture(terminal)))


def expect_text(terminal, text):
    require(terminal.wait_for(lambda rows: any(text in row for row in rows)),
            lambda: "expected %r, %s" % (text, picture(terminal)))


def at_terminal(function):
    """Gives the test a client at a terminal, with the prompt on screen."""
    def check(bench):
        bench.seed()
        history = os.path.join(bench.home, "history")
        if os.path.exists(history):
            os.remove(history)
        terminal = bench.terminal(ROANCLI_HISTFILE=history)
        try:
            expect_row(terminal, "127.0.0.1:%d>" % bench.port)
            function(bench, terminal, "127.0.0.1:%d" % bench.port)
        finally:
            terminal.close()
    check.__name__ = function.__name__
    return test(check)


@at_terminal
def replies_are_shown_with_types(bench, terminal, prompt):
    terminal.type("GET str\r")
    expect_text(terminal, '"hello"')
    terminal.type("LRANGE list 0 0\r")
    expect_text(terminal, '1) "a"')
    terminal.type("nope\r")
    expect_text(terminal, "(error) ERR")
    expect_row(terminal, prompt + ">")


@at_terminal
def hints_show_the_arguments(bench, terminal, prompt):
    terminal.type("set")
    expect_text(terminal, "> set key value")
    terminal.type(" k ")
    expect_text(terminal, "> set k value")
    terminal.type("v")
    expect_text(terminal, "> set k v")
    terminal.type("\r")
    expect_text(terminal, "OK")
    require(prompt + "> set k v" in terminal.screen(), "the hint is gone from the line that was entered")
    terminal.type(":set nohints\r")
    expect_row(terminal, prompt + ">")
    terminal.type("get")
    expect_row(terminal, prompt + "> get")


@at_terminal
def tab_completes_commands(bench, terminal, prompt):
    # Every line waits for its prompt: between two prompts the terminal itself takes what is typed.
    terminal.type(":set nohints\r")
    expect_row(terminal, prompt + ">")
    terminal.type("strl\t")
    expect_row(terminal, prompt + "> strlen")
    terminal.type("str\r")
    expect_text(terminal, "(integer) 5")
    expect_row(terminal, prompt + ">")
    terminal.type("EXIS\t")
    expect_text(terminal, "> EXISTS")
    terminal.type("str\r")
    expect_row(terminal, prompt + ">")
    terminal.type("mge\t")
    expect_row(terminal, prompt + "> mget")
    terminal.type("\x15help @str\t")
    expect_text(terminal, "> help @str")


@at_terminal
def control_c_ends_a_command_and_not_the_program(bench, terminal, prompt):
    terminal.type("BLPOP nothing 0\r")
    expect_row(terminal, prompt + "> BLPOP nothing 0")
    terminal.type("\x03")
    expect_row(terminal, prompt + ">")
    terminal.type("GET str\r")
    expect_text(terminal, '"hello"')
    expect_row(terminal, prompt + ">")
    terminal.type("some text")
    expect_row(terminal, prompt + "> some text")
    terminal.type("\x03")
    expect_row(terminal, prompt + ">")
    terminal.type("\x03")
    require(terminal.wait_end() == 0, "Ctrl-C on an empty line leaves")


@at_terminal
def the_prompt_tells_the_state(bench, terminal, prompt):
    terminal.type("SELECT 3\r")
    expect_row(terminal, prompt + "[3]>")
    terminal.type("MULTI\r")
    expect_row(terminal, prompt + "[3](TX)>")
    terminal.type("DISCARD\r")
    expect_row(terminal, prompt + "[3]>")
    terminal.type("connect 127.0.0.1 1\r")
    expect_row(terminal, "not connected>")
    terminal.type("connect 127.0.0.1 %d\r" % bench.port)
    expect_row(terminal, prompt + "[3]>")
    terminal.type("quit\r")
    require(terminal.wait_end() == 0, "quit")


@at_terminal
def history_comes_back_and_keeps_no_secrets(bench, terminal, prompt):
    for line, reply in (("PING one", '"one"'), ("AUTH secret", "(error)"), ("PING two", '"two"')):
        terminal.type(line + "\r")
        expect_text(terminal, reply)
        expect_row(terminal, prompt + ">")
    terminal.type("\x1b[A\x1b[A")
    typed = prompt + "> PING one"  # a hint may stand behind it
    require(terminal.wait_for(lambda rows: [row for row in rows if row][-1].startswith(typed)),
            lambda: picture(terminal))
    terminal.type("\r")
    expect_row(terminal, prompt + ">")
    terminal.type("\x04")
    require(terminal.wait_end() == 0, "Ctrl-D leaves")
    with open(os.path.join(bench.home, "history"), encoding="utf-8") as file:
        lines = file.read().split("\n")
    require(lines == ["PING one", "PING two", "PING one", ""], lambda: repr(lines))
    require(os.stat(os.path.join(bench.home, "history")).st_mode & 0o777 == 0o600, "mode of the file")


@at_terminal
def subscribed_mode_shows_messages_and_takes_commands(bench, terminal, prompt):
    terminal.type("SUBSCRIBE news\r")
    expect_text(terminal, "Reading messages...")
    with bench.server.connect() as connection:
        connection.call("PUBLISH", "news", "hello there")
    expect_text(terminal, '3) "hello there"')
    terminal.type("P")
    expect_text(terminal, "(subscribed mode)> P")
    terminal.type("ING\r")
    expect_text(terminal, '1) "pong"')
    terminal.type("\x03")
    expect_row(terminal, prompt + ">")


@at_terminal
def a_lost_connection_comes_back(bench, terminal, prompt):
    with bench.server.connect() as connection:
        connection.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    terminal.type("GET str\r")
    expect_text(terminal, '"hello"')


@at_terminal
def long_lines_survive_a_smaller_window(bench, terminal, prompt):
    terminal.type("ECHO " + "abcdefghij" * 15)
    time.sleep(0.2)
    terminal.resize(60)
    time.sleep(0.2)
    terminal.type("\r")
    require(terminal.wait_for(lambda rows: b'"' + b"abcdefghij" * 15 + b'"' in terminal.output), "the reply")


@test
def askpass_hides_what_is_typed(bench):
    fake = FakeServer({b"auth": b"+OK\r\n"})
    terminal = bench.terminal("--askpass", "PING", port=fake.port)
    try:
        expect_text(terminal, "Please input password:")
        terminal.type("secret\r")
        expect_text(terminal, "PONG")
        require(b"secret" not in terminal.output, "the password is on the screen")
        require([b"AUTH", b"secret"] in fake.seen, lambda: repr(fake.seen))
    finally:
        terminal.close()


@test
def hints_follow_the_syntax_of_commands(bench):
    outcome = bench.run("--test_hint_file", os.path.join(HERE, "hints.txt"), port=1)
    require(outcome.status == 0 and outcome.out.startswith(b"SUCCESS: "), lambda: outcome.out.decode())


# --- help -------------------------------------------------------------------------------------------------------------

@test
def help_explains_commands(bench):
    out = bench.run("help", "get", port=1).out.decode()
    require(re.match(r"\n  GET key\n  summary: \S", out), out)
    require("  group: string\n" in out, out)
    out = bench.run("help", "@string", port=1).out.decode()
    require("  GETRANGE key start end\n" in out and "  HGET " not in out, out)
    require("help COMMAND" in bench.run("help", port=1).out.decode(), "how to get help")


@test
def usage_names_every_option(bench):
    out = bench.run("--help").out.decode()
    for option in ("-h", "-p", "-s", "-a", "-u", "-n", "-2", "-3", "-r", "-i", "-x", "-X", "-d", "-D", "-e", "-c", "-t",
                   "--raw", "--no-raw", "--csv", "--json", "--quoted-json", "--quoted-input", "--show-pushes", "--stat",
                   "--latency", "--bigkeys", "--memkeys", "--keystats", "--scan", "--pipe", "--eval", "--rdb"):
        require(re.search(r"(^|[ ,])%s\b" % re.escape(option), out, re.M), option)


# --- running them -----------------------------------------------------------------------------------------------------

def run_tests(bench, options):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    reasons = {}
    for function in TESTS:
        name = function.__name__.replace("_", " ")
        if options.only and options.only not in name:
            continue
        try:
            function(bench)
            result = "passed"
        except Skip as reason:
            result = "skipped"
            reasons[str(reason)] = reasons.get(str(reason), 0) + 1
        except Exception as problem:  # a broken test is a failed one
            result = "failed"
            kind = "" if isinstance(problem, Failure) else type(problem).__name__ + ": "
            print("FAILED %s\n  %s%s" % (name, kind, problem))
        counts[result] += 1
        if options.verbose:
            print("%-7s %s" % (result, name), flush=True)
    for reason, count in reasons.items():
        print("skipped %d: %s" % (count, reason))
    return counts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", help="command that starts a server on {port}, with {dir} as its folder")
    parser.add_argument("--roan", default=os.environ.get("ROAN", os.path.join(ROOT, "build/roan")))
    parser.add_argument("--reference", default=shutil.which("redis-cli"), help="redis-cli to compare with")
    parser.add_argument("--only", help="run the tests with this text in their names")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    if options.server is None:
        program = "redis-server" if shutil.which("redis-server") else "'%s' server" % options.roan
        options.server = program + " --port {port} --dir {dir} --bind 127.0.0.1 --save ''"
    if options.reference is None:
        print("no redis-cli on PATH: nothing is compared")

    with tempfile.TemporaryDirectory(prefix="roan-cli-") as home:
        try:
            with Server(options.server) as server:
                counts = run_tests(Bench(options, server, home), options)
        except StartFailed as problem:
            print(problem)
            counts = {"passed": 0, "failed": 0, "skipped": len(TESTS)}
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts)
    if counts["failed"]:
        return 1
    return SKIPPED if counts["passed"] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
