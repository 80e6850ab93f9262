#!/usr/bin/env python3
"""Tests of the wire tests' own tools: the reply reader, patterns, the case format, and a canary.

The canary runs a case with wrong expectations against a server: every one of them must be reported.
"""

import os
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import casefile  # noqa: E402
import pattern  # noqa: E402
from checks import make_parser  # noqa: E402
from resp import Connection, Closed, ProtocolError, Timeout  # noqa: E402
from values import Environment, quote, split_words  # noqa: E402


def reader_of(data):
    """A connection whose peer sent `data` and closed."""
    connection = Connection.__new__(Connection)
    connection.sock, peer = socket.socketpair()
    connection.timeout, connection.buffer, connection.start = 1.0, bytearray(), 0
    peer.sendall(data)
    peer.close()
    return connection


# pattern, protocol, bytes of the reply, whether they fit
PATTERNS = (
    ("OK", 2, b"+OK\r\n", True),
    ("OK", 2, b"$2\r\nOK\r\n", False),
    ("Background saving started", 2, b"+Background saving started\r\n", True),
    ('"OK"', 2, b"$2\r\nOK\r\n", True),
    ('"OK"', 2, b"+OK\r\n", False),
    ('"a\\r\\n\\x00\\xff"', 2, b"$5\r\na\r\n\x00\xff\r\n", True),
    ("'a$b'", 2, b"$3\r\na$b\r\n", True),
    ("(integer) 5", 2, b":5\r\n", True),
    ("(integer) 5", 2, b"$1\r\n5\r\n", False),
    ("-5", 2, b":-5\r\n", True),
    ("95..100", 2, b":95\r\n", True),
    ("95..100", 2, b":101\r\n", False),
    ("(number) 1..2.5", 2, b"$3\r\n1.5\r\n", True),
    ("(nil)", 2, b"$-1\r\n", True),
    ("(nil)", 2, b"*-1\r\n", False),
    ("(nil)", 3, b"_\r\n", True),
    ("(nil-array)", 2, b"*-1\r\n", True),
    ("(nil-array)", 3, b"_\r\n", True),
    ("(error) ERR no such key", 2, b"-ERR no such key\r\n", True),
    ("(error) ERR no such key", 2, b"-ERR no such keys\r\n", False),
    ("(error) ~^ERR no~", 3, b"!15\r\nERR no such key\r\n", True),
    ("(double) 1.5", 3, b",1.5\r\n", True),
    ("(double) 1.5", 2, b"$3\r\n1.5\r\n", True),
    ("(double) 1.5", 3, b"$3\r\n1.5\r\n", False),
    ("(boolean) true", 3, b"#t\r\n", True),
    ("(boolean) true", 2, b":1\r\n", True),
    ("(boolean) false", 3, b"#t\r\n", False),
    ('["a", 1, [], (nil)]', 2, b"*4\r\n$1\r\na\r\n:1\r\n*0\r\n$-1\r\n", True),
    ('["a"]', 2, b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", False),
    ('["a", ...]', 2, b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", True),
    ('["b", "a"]', 2, b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", False),
    ('unordered["b", "a"]', 2, b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", True),
    ('unordered["b", "b"]', 2, b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", False),
    ('set["b", "a"]', 2, b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", True),
    ('set["b", "a"]', 3, b"~2\r\n$1\r\na\r\n$1\r\nb\r\n", True),
    ('set["b", "a"]', 3, b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", False),
    ('["a", "b"]', 3, b"~2\r\n$1\r\na\r\n$1\r\nb\r\n", False),
    ('{"b": 2, "a": 1}', 3, b"%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n", True),
    ('{"b": 2, "a": 1}', 2, b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n", True),
    ('{"b": 2, ...}', 2, b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n", True),
    ('{"b": 2}', 3, b"%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n", False),
    ('{"b": 1, ...}', 3, b"%2\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n:2\r\n", False),
    ('push["message", any]', 3, b">2\r\n$7\r\nmessage\r\n$1\r\nx\r\n", True),
    ('push["message", any]', 3, b"*2\r\n$7\r\nmessage\r\n$1\r\nx\r\n", False),
    ('(verbatim) "x"', 3, b"=5\r\ntxt:x\r\n", True),
    ("~^a.c$~", 2, b"$3\r\nabc\r\n", True),
    ("~^a.c$~", 2, b"-abc\r\n", False),
    ("array(2..3)", 2, b"*2\r\n:1\r\n:2\r\n", True),
    ("bulk(3)", 2, b"$2\r\nab\r\n", False),
    ('$repeat("ab", 3)', 2, b"$6\r\nababab\r\n", True),
    ('[$list("k%", 1, 3)]', 2, b"*3\r\n$2\r\nk1\r\n$2\r\nk2\r\n$2\r\nk3\r\n", True),
    ("oneof[1, (nil)]", 2, b"$-1\r\n", True),
    ("oneof[1, (nil)]", 2, b":2\r\n", False),
)

# bytes, and what reading them raises
BROKEN_REPLIES = (
    (b"$3\r\nabcXX", ProtocolError),
    (b"?what\r\n", ProtocolError),
    (b":1.5\r\n", ProtocolError),
    (b"*2\r\n:1\r\n", Closed),
    (b"$5\r\nab", Closed),
    (b"", Closed),
)

# lines of a case, and words of the complaint
BROKEN_CASES = (
    ("> GET k", "a reply is missing"),
    ("> GET k\n< $repeat(", "is expected"),
    ("> GET k\n< [1, 2", "expected"),
    ('> GET "k\n< OK', "a closing \" is missing"),
    ("> GET k\n<redis7 OK", "unknown tag"),
    ("> [often] GET k\n< OK", "unknown mark"),
    ("repeat 3\n> GET k\n< OK", "without end"),
    ("end", "end without repeat"),
    ("hello", "neither a step nor a statement"),
    ("> GET $nosuch(1)\n< OK", "unknown generator"),
)

CANARY = """case canary
> SET k v
< QUEUED
> GET k
< "w"
> INCR n
< "1"
> GET k
< (nil)
> MGET k
< ["v", "v"]
> BOGUS
< OK
a> GET k
a< 1..5
"""
CANARY_FAILURES = 7


def pattern_problem(text, proto, data, fits):
    reply = reader_of(data).read()
    problem = pattern.parse(text).match(reply, pattern.Context(proto, Environment(1)))
    if (problem is None) != fits:
        return "%s against %r: %s" % (text, data, problem or "fits")
    rendered = "\n".join(pattern.render_lines(reply))
    if not pattern.fits(rendered, reply, proto):
        return "the recording %s does not fit its own reply" % rendered
    return None


def broken_reply_problem(data, wanted):
    try:
        reply = reader_of(data).read()
        return "%r reads as %s" % (data, reply)
    except (Closed, ProtocolError, Timeout) as problem:
        return None if isinstance(problem, wanted) else "%r raises %r" % (data, problem)


def broken_case_problem(lines, words):
    with tempfile.NamedTemporaryFile("w", suffix=".case") as file:
        file.write("case broken\n%s\n" % lines)
        file.flush()
        try:
            casefile.CaseFile(file.name)
        except casefile.CaseError as problem:
            return None if words in str(problem) else "%r: %s" % (lines, problem)
    return "%r is accepted" % lines


def words_problem():
    env = Environment(1, {"n": 5, "list": [b"a", b"b"]})
    words = split_words('SET key:$n "two ${n}" \'$n\' $repeat("ab", 2)c $list.1 $list("k% v%", 1, 2) $')
    got = [data for word in words for data in word.evaluate_many(env)]
    wanted = [b"SET", b"key:5", b"two 5", b"$n", b"ababc", b"b", b"k1", b"v1", b"k2", b"v2", b"$"]
    if got != wanted:
        return "words: %r" % got
    every_byte = bytes(range(256)) + b"${x}"
    if split_words(quote(every_byte))[0].evaluate(env) != every_byte:
        return "quote and split_words do not agree"
    return None


def marks_problem():
    valkey, redis = ("valkey", (9, 1)), ("redis", (7, 0))
    expected = (({"since": "redis-7.2"}, valkey, True), ({"since": "redis-7.2"}, redis, False),
                ({"since": "redis-8.0"}, valkey, False), ({"since": "valkey-9.1 redis-8.0"}, valkey, True),
                ({"since": "valkey-9.1"}, ("roan", (0, 1)), True), ({"only": "roan"}, valkey, False),
                ({"not": "redis-8.0"}, redis, True), ({"not": "redis"}, redis, False))
    wrong = [marks for marks, server, applies in expected if casefile.applies(marks, server) != applies]
    return "marks: %s" % wrong if wrong else None


def canary_problem(server):
    with tempfile.NamedTemporaryFile("w", suffix=".case") as file:
        file.write(CANARY)
        file.flush()
        run = subprocess.run([sys.executable, os.path.join(HERE, "run.py"), file.name, "--server", server,
                              "--threads", "", "--io", "", "--resp", "2"],
                             capture_output=True, text=True)
    if "a running server" in run.stdout:
        return None  # no server here to try it on; the runner itself reports that
    seen = run.stdout.count("    expected ")
    if run.returncode != 1 or seen != CANARY_FAILURES:
        return "the canary: exit code %d, %d of %d failures\n%s" % (run.returncode, seen, CANARY_FAILURES, run.stdout)
    return None


def main():
    options = make_parser(__doc__).parse_args()
    problems = [pattern_problem(*row) for row in PATTERNS]
    problems += [broken_reply_problem(*row) for row in BROKEN_REPLIES]
    problems += [broken_case_problem(*row) for row in BROKEN_CASES]
    problems += [words_problem(), marks_problem(), canary_problem(options.server)]
    failed = [problem for problem in problems if problem]
    for problem in failed:
        print(problem)
    print("%d passed, %d failed, 0 skipped" % (len(problems) - len(failed), len(failed)))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
