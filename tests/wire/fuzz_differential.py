#!/usr/bin/env python3
"""Random commands, sent to a server and to a reference: replies and final data must be the same.

    fuzz_differential.py --count 100000
    fuzz_differential.py --seed 17 --server CMD --reference CMD

Strings, bitmaps and keys. Replies that may differ (the order of KEYS, times, what RANDOMKEY picks) are
normalised first. A difference is reduced to a short list of commands and printed as a case. Differences
between released servers that are known and meant are listed in KNOWN below.
"""

import argparse
import os
import random
import re
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from casefile import has_version  # noqa: E402
from commandmaker import CommandMaker  # noqa: E402
from pattern import render  # noqa: E402
from resp import Closed, ProtocolError, Reply, Timeout, plain  # noqa: E402
from server import Server, StartFailed, identify  # noqa: E402
from values import quote  # noqa: E402

SERVER = "build/roan server --port {port} --dir {dir} --save ''"
REFERENCE = "redis-server --port {port} --dir {dir} --save '' --bind 127.0.0.1"
EXIT_SKIPPED = 77
BATCH = 40
ROUND = 2000                       # commands between two comparisons of the data, and fresh weights
DATABASES = 3
SHOWN_MAX = 40                     # commands printed of a case
TIME_SLACK = {b"TTL": 2, b"EXPIRETIME": 2, b"PTTL": 2000, b"PEXPIRETIME": 2000}
FEATURES = {"ifeq": ("valkey-8.1",), "msetex": ("valkey-9.1",), "delifeq": ("valkey-9.0",)}


# -- differences that are meant ------------------------------------------------------------------------

def is_missing_getex(command, replies):
    """Redis looks at GETEX's expiry only when the key exists."""
    kinds = sorted(reply.kind for reply in replies)
    return command[0].upper() == b"GETEX" and kinds == ["error", "nil"]


def is_start_only(command, replies):
    """BITCOUNT with a start and no end came with Valkey 8.0."""
    return command[0].upper() == b"BITCOUNT" and len(command) == 3


def is_missing_bits(command, replies):
    """Redis 7.0 does not check all arguments of BITCOUNT and BITPOS; 8.0 checks in another order."""
    kinds = sorted(reply.kind for reply in replies)
    return command[0].upper() in (b"BITCOUNT", b"BITPOS") and kinds in (["error", "integer"], ["error"] * 2)


def is_embedding(command, replies):
    """Where short strings end (embstr, raw) is each server's own business."""
    values = [reply.value for reply in replies]
    return command[:2] == [b"OBJECT", b"ENCODING"] and sorted(values) == [b"embstr", b"raw"]


def is_scan_type(command, replies):
    """Redis 7.0 and 8.0 answer an unknown TYPE with nothing."""
    return command[0] == b"SCAN" and b"TYPE" in command and "error" in [reply.kind for reply in replies]


def is_scan_cursor(command, replies):
    """Redis 7.0 reads -1 and an empty text as cursors."""
    return command[0] == b"SCAN" and command[1:2] in ([b"-1"], [b""])


REDIS = ("redis",)
KNOWN = ((is_missing_getex, REDIS), (is_start_only, REDIS), (is_missing_bits, REDIS),
         (is_embedding, ("redis", "valkey", "roan")), (is_scan_type, REDIS), (is_scan_cursor, REDIS))


class Pair:
    """A server and the reference, a connection to each."""

    def __init__(self, commands, proto):
        self.servers = [Server(command) for command in commands]
        self.proto = proto
        self.connections = []

    def start(self):
        for server in self.servers:
            server.start()
        self.reconnect()
        self.identities = [identify(connection) for connection in self.connections]
        self.features = {name for name, marks in FEATURES.items()
                         if all(any(has_version(mark, one) for mark in marks) for one in self.identities)}

    def reconnect(self):
        for connection in self.connections:
            connection.close()
        self.connections = [server.connect(20, self.proto) for server in self.servers]

    def reset(self):
        self.reconnect()
        for connection in self.connections:
            connection.call("FLUSHALL")

    def run(self, commands):
        """The index of the first command whose replies differ, and the replies; None when none does."""
        for start in range(0, len(commands), BATCH):
            part = commands[start:start + BATCH]
            for connection in self.connections:
                for command in part:
                    connection.send(*command)
            found = None
            for at, command in enumerate(part):
                replies = [connection.read() for connection in self.connections]
                if found is None and not self.is_same(command, replies):
                    found = (start + at, replies)
            if found:
                return found
        return None

    def is_same(self, command, replies):
        one, other = (normalise(command, reply) for reply in replies)
        if one == other:
            return True
        slack = TIME_SLACK.get(command[0].upper())
        if slack and one.kind == other.kind == "integer" and min(one.value, other.value) >= 0:
            return abs(one.value - other.value) <= slack
        return any(rule(command, replies) and all_in(self.identities, names) for rule, names in KNOWN)

    def stop(self):
        for connection in self.connections:
            connection.close()
        for server in self.servers:
            server.stop()

    def compare_data(self):
        """A text that says how the keyspaces differ; empty when they do not."""
        for connection in self.connections:
            connection.send("CLIENT", "NO-TOUCH", "ON")
            connection.read()
        for database in range(DATABASES):
            data = [read_database(connection, database) for connection in self.connections]
            for name in sorted(set(data[0]) | set(data[1])):
                values = [one.get(name) for one in data]
                if None in values or values[0][0] != values[1][0] \
                        or abs(values[0][1] - values[1][1]) > TIME_SLACK[b"PEXPIRETIME"]:
                    return "database %d, key %s: %r and %r" % (database, quote(name), *values)
        return ""


def all_in(identities, names):
    """A known difference needs one of the named servers; Roan against Valkey has none but its own."""
    return any(identity[0] in names for identity in identities)


def normalise(command, reply):
    verb = command[0].upper()
    if verb == b"KEYS" and reply.kind == "array":
        return Reply("array", sorted(reply.value))
    if verb == b"SCAN" and reply.kind == "array":
        return Reply("array", [reply.value[0], Reply("array", sorted(set(reply.value[1].value)))])
    if verb == b"OBJECT" and reply.kind == "integer":
        return Reply("integer", 1)  # Redis shares small integers
    if verb == b"RANDOMKEY" and reply.kind == "bulk":
        return Reply("bulk", b"some key")
    return reply


def read_database(connection, database):
    """{name: (value, expiry)}"""
    connection.call("SELECT", database)
    names = sorted(plain(connection.call("KEYS", "*")))
    for name in names:
        connection.send("GET", name)
        connection.send("PEXPIRETIME", name)
    return {name: (connection.read().value, connection.read().value) for name in names}


# -- reducing ------------------------------------------------------------------------------------------

class Reducer:
    """Delta debugging: drop parts of a list of commands while the servers still differ."""

    def __init__(self, pair):
        self.pair = pair
        self.tries_left = 400

    def fails(self, commands):
        self.tries_left -= 1
        self.pair.reset()
        found = self.pair.run(commands)
        return found is not None or bool(self.pair.compare_data())

    def reduce(self, commands):
        if not self.fails(commands):
            print("the difference does not repeat: it depends on time")
            return commands
        size = len(commands) // 2
        while size >= 1 and self.tries_left > 0:
            at, shrunk = 0, False
            while at < len(commands) and self.tries_left > 0:
                shorter = commands[:at] + commands[at + size:]
                if shorter and self.fails(shorter):
                    commands, shrunk = shorter, True
                else:
                    at += size
            size = size if shrunk and size == 1 else size // 2
        return commands


def word_text(word):
    text = word.decode("latin-1")
    return text if re.fullmatch(r"[!-~]+", text) and not re.search(r"[\"'\\$\[]", text) else quote(word)


def print_case(pair, commands, text):
    """The commands as a case, with the reference's replies; of a long list the end."""
    print("case found by fuzz_differential: %s" % text)
    pair.reset()
    if len(commands) > SHOWN_MAX:
        print("# %d commands before these" % (len(commands) - SHOWN_MAX))
        pair.run(commands[:-SHOWN_MAX])
    for command in commands[-SHOWN_MAX:]:
        replies = []
        for connection in pair.connections:
            connection.send(*command)
            replies.append(connection.read())
        print("> " + " ".join(word_text(word) for word in command))
        print("< " + render(replies[1]))
        if not pair.is_same(command, replies):
            print("# the server answers: " + render(replies[0]))
    difference = pair.compare_data()
    if difference:
        print("# the data differ: " + difference)


# -- the run -------------------------------------------------------------------------------------------

def run_round(pair, seed, count):
    """None, or (commands up to the difference, what differs)."""
    maker = CommandMaker(random.Random(seed), pair.features)
    commands = []
    while len(commands) < count:
        commands += maker.make()
    pair.reset()
    found = pair.run(commands)
    if found:
        at, replies = found
        return commands[:at + 1], "replies differ: %s and %s" % tuple(render(one) for one in replies)
    difference = pair.compare_data()
    return (commands, "data differ: " + difference) if difference else None


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=SERVER, metavar="CMD")
    parser.add_argument("--reference", default=os.environ.get("ROAN_REFERENCE") or REFERENCE, metavar="CMD")
    parser.add_argument("--threads", default="")
    parser.add_argument("--io", default="")
    parser.add_argument("--resp", type=int, default=2)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--failures", type=int, default=3, help="stop after so many differences")
    options = parser.parse_args()
    if options.reference == REFERENCE and shutil.which("redis-server") is None:
        print("no redis-server here\n0 passed, 0 failed, 1 skipped")
        return EXIT_SKIPPED
    command = options.server
    command += " --threads " + options.threads if options.threads else ""
    command += " --io " + options.io if options.io else ""
    pair = Pair([command, options.reference], options.resp)
    print("seed %d" % options.seed)
    passed = failed = 0
    try:
        pair.start()
        for number in range(max(1, options.count // ROUND)):
            seed = "%d:%d" % (options.seed, number)
            found = run_round(pair, seed, min(ROUND, options.count))
            if found is None:
                passed += 1
                continue
            failed += 1
            print("round %s" % seed)
            print_case(pair, Reducer(pair).reduce(found[0]), found[1][:300])
            if failed >= options.failures:
                break
    except (Closed, Timeout, ProtocolError, StartFailed, OSError) as problem:
        failed += 1
        print("%s: %s" % (type(problem).__name__, problem))
        for server in pair.servers:
            if server.process is not None and not server.is_alive():
                print(server.exit_text() + "\n" + server.log_tail())
    finally:
        pair.stop()
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
