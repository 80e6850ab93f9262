#!/usr/bin/env python3
"""Random commands, sent to a server and to a reference: replies and final data must be the same.

    fuzz_differential.py --count 100000
    fuzz_differential.py --seed 17 --server CMD --reference CMD

All types and all commands that both servers know, in rounds: each has other weights, and half of them small limits of
the packed forms, so that values change their form often. What may differ (orders, times, what is picked by chance) is
normalised, and known differences between released servers are listed, in ../lib/replies.py. A difference is reduced
to a short list of commands and printed as a case.
"""

import argparse
import collections
import os
import random
import re
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from casefile import has_version  # noqa: E402
from commandmaker import LIMITS, CommandMaker  # noqa: E402
from pattern import render  # noqa: E402
from pieces import as_bytes  # noqa: E402
from replies import PICKED, TIME_SLACK_MS, check_picks, flat, is_equal, is_known, normalise  # noqa: E402
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
LINE_SHOWN_MAX = 2000
# Options by the versions that know them; commands are asked for.
FEATURES = {"ifeq": ("valkey-8.1",), "novalues": ("redis-7.4", "valkey-8.0"), "noscores": ("valkey-9.0",),
            "xread +": ("valkey-8.0",), "bypolygon": ("valkey-9.0",), "withscore": ("redis-7.2", "valkey-7.2"),
            "modern": ("valkey-9.0",), "xclaim": ("redis-7.2", "valkey-7.2")}


def known_commands(connection):
    return {name.upper() for name in plain(connection.call("COMMAND", "LIST")) if b"|" not in name}


def configuration(connection):
    values = plain(connection.call("CONFIG", "GET", "*"))
    return values if isinstance(values, dict) else dict(zip(values[::2], values[1::2]))


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
        self.commands = set.intersection(*(known_commands(connection) for connection in self.connections))
        self.defaults = [configuration(connection) for connection in self.connections]

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
            replies = [[self.read(connection, command) for connection in self.connections] for command in part]
            for at, command in enumerate(part):
                if not self.is_same(command, replies[at]) or self.picked_wrong(part, replies, at):
                    return start + at, replies[at]
        return None

    def read(self, connection, command):
        try:
            return connection.read()
        except Timeout:
            raise Timeout("no reply to " + shortened(" ".join(word_text(word) for word in command)))

    def is_same(self, command, replies):
        one, other = (normalise(command, reply) for reply in replies)
        return is_equal(command, one, other) or is_known(command, replies, self.identities)

    def picked_wrong(self, commands, replies, at):
        """A command that picks by chance is followed by one that reads everything."""
        if commands[at][0] not in PICKED or at + 1 == len(commands) or commands[at + 1][1:2] != commands[at][1:2]:
            return False
        return any(check_picks(commands[at], reply, everything)
                   for reply, everything in zip(replies[at], replies[at + 1]))

    def set_limits(self, limits):
        """The defaults, but for these; options that one of the servers does not know stay as they are on both."""
        for name in LIMITS:
            self.configure(name, None)
        self.limits = [(name, value) for name, value in limits if self.configure(name, value)]

    def configure(self, name, value):
        """Sets an option on both servers (None: to its default); false when one of them refuses."""
        defaults = [values.get(name.encode()) for values in self.defaults]
        if None in defaults:
            return False
        values = defaults if value is None else [value, value]
        replies = [connection.call("CONFIG", "SET", name, one) for connection, one in zip(self.connections, values)]
        if all(reply.kind == "status" for reply in replies):
            return True
        if value is not None:
            self.configure(name, None)
        return False

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
                difference = data_difference(*(one.get(name) for one in data), self.identities)
                if difference:
                    return "database %d, key %s: %s" % (database, quote(name), difference)
        return self.compare_digests()

    def compare_digests(self):
        """The same as a digest, where both servers allow to ask for it and count alike."""
        if any(name == "redis" for name, _ in self.identities):
            return ""
        digests = [connection.call("DEBUG", "DIGEST") for connection in self.connections]
        if "error" in [digest.kind for digest in digests] or digests[0] == digests[1]:
            return ""
        return "DEBUG DIGEST is %s and %s" % tuple(render(digest) for digest in digests)


# -- the data ------------------------------------------------------------------------------------------

READS = {b"string": [("GET",)], b"list": [("LRANGE", 0, -1)], b"set": [("SMEMBERS",)], b"hash": [("HGETALL",)],
         b"zset": [("ZRANGE", 0, -1, "WITHSCORES")],
         b"stream": [("XRANGE", "-", "+"), ("XINFO", "STREAM", "FULL", "COUNT", 0)]}


def read_command(form, name):
    at = 2 if form[0] == "XINFO" else 1
    return [as_bytes(word) for word in form[:at] + (name,) + form[at:]]


def read_database(connection, database):
    """{name: (type, encoding, value, expiry)}, values in an order that is the same everywhere."""
    connection.call("SELECT", database)
    names = sorted(plain(connection.call("KEYS", "*")))
    for name in names:
        connection.send("TYPE", name)
        connection.send("OBJECT", "ENCODING", name)
        connection.send("PEXPIRETIME", name)
    facts = {name: [connection.read() for _ in range(3)] for name in names}
    data = {}
    for name, (kind, encoding, expiry) in facts.items():
        commands = [read_command(form, name) for form in READS.get(kind.value, ())]
        replies = [connection.call(*command) for command in commands]
        values = list(zip(commands, replies))
        if kind.value == b"hash" and connection.call("HPEXPIRETIME", name, "FIELDS", 1, "x").kind == "array":
            fields = sorted(field.value for field in flat(replies[0])[::2])
            command = [b"HPEXPIRETIME", name, b"FIELDS", b"%d" % len(fields)] + fields
            values.append((command, connection.call(*command)))
        data[name] = (kind.value, encoding.value, values, expiry.value)
    return data


def data_difference(one, other, identities):
    """What differs between two keys; empty when nothing does."""
    if one is None or other is None:
        return "is there on one server only: %r" % ((one or other),)
    if one[0] != other[0]:
        return "a %s and a %s" % (one[0].decode(), other[0].decode())
    encodings = [Reply("bulk", one[1]), Reply("bulk", other[1])]
    if one[1] != other[1] and not is_known([b"OBJECT", b"ENCODING"], encodings, identities):
        return "is encoded as %s and %s" % (one[1], other[1])
    if abs(one[3] - other[3]) > TIME_SLACK_MS[b"PEXPIRETIME"]:
        return "expires at %d and %d" % (one[3], other[3])
    for (command, first), (_, second) in zip(one[2], other[2]):
        mine, theirs = normalise(command, first), normalise(command, second)
        if not is_equal(command, mine, theirs) and not is_known(command, [first, second], identities):
            return "(%s, %s) %s" % (one[0].decode(), one[1].decode(), first_difference(mine, theirs))
    return ""


def first_difference(mine, theirs):
    if isinstance(mine.value, list) and isinstance(theirs.value, list):
        for at, (one, other) in enumerate(zip(mine.value, theirs.value)):
            if one != other:
                return "item %d of %d and %d: %r and %r" % (at, len(mine.value), len(theirs.value), one, other)
        return "%d and %d items" % (len(mine.value), len(theirs.value))
    return "%r and %r" % (mine, theirs)


# -- reducing ------------------------------------------------------------------------------------------

class Reducer:
    """Delta debugging: drop groups of commands while the same command, or the data, still differ."""

    def __init__(self, pair, last):
        self.pair = pair
        self.last = last               # the command whose replies differ; None: the data do
        self.tries_left = 400

    def fails(self, groups):
        self.tries_left -= 1
        self.pair.reset()
        commands = joined(groups)
        found = self.pair.run(commands)
        if found is not None:
            return commands[found[0]] == self.last
        return self.last is None and bool(self.pair.compare_data())

    def reduce(self, groups):
        if not self.fails(groups):
            print("the difference does not repeat: it depends on time")
            return groups
        size = len(groups) // 2
        while size >= 1 and self.tries_left > 0:
            at, shrunk = 0, False
            while at < len(groups) and self.tries_left > 0:
                shorter = groups[:at] + groups[at + size:]
                if shorter and self.fails(shorter):
                    groups, shrunk = shorter, True
                else:
                    at += size
            size = size if shrunk and size == 1 else size // 2
        return groups


def joined(groups):
    return [command for group in groups for command in group]


def word_text(word):
    text = word.decode("latin-1")
    return text if re.fullmatch(r"[!-~]+", text) and not re.search(r"[\"'\\$\[]", text) else quote(word)


def shortened(text):
    return text if len(text) <= LINE_SHOWN_MAX else text[:LINE_SHOWN_MAX] + " ... (%d characters)" % len(text)


def print_case(pair, commands, text):
    """The commands as a case, with the reference's replies; of a long list the end."""
    print("case found by fuzz_differential: %s" % text)
    pair.reset()
    for limit in pair.limits:
        print("config %s %s" % limit)
    if len(commands) > SHOWN_MAX:
        print("# %d commands before these" % (len(commands) - SHOWN_MAX))
        pair.run(commands[:-SHOWN_MAX])
    for command in commands[-SHOWN_MAX:]:
        replies = []
        for connection in pair.connections:
            connection.send(*command)
            replies.append(connection.read())
        print(shortened("> " + " ".join(word_text(word) for word in command)))
        print(shortened("< " + render(replies[1])))
        if not pair.is_same(command, replies):
            print(shortened("# the server answers: " + render(replies[0])))
    difference = pair.compare_data()
    if difference:
        print("# the data differ: " + difference)


# -- the run -------------------------------------------------------------------------------------------

Difference = collections.namedtuple("Difference", "groups last text")


def run_round(pair, seed, count):
    """None, or a Difference: groups of commands up to it, the command whose replies differ (or None), what differs."""
    maker = CommandMaker(random.Random(seed), pair.features, pair.commands)
    pair.set_limits(maker.limits())
    groups = []
    while len(groups) < count:
        groups.append(maker.make())
    commands = joined(groups)
    pair.reset()
    found = pair.run(commands)
    if found:
        at, replies = found
        text = "replies differ: %s and %s" % tuple(render(one) for one in replies)
        return Difference(groups_until(groups, at), commands[at], text)
    difference = pair.compare_data()
    return Difference(groups, None, "data differ: " + difference) if difference else None


def groups_until(groups, at):
    """The groups up to that with the command number `at`."""
    for index, group in enumerate(groups):
        at -= len(group)
        if at < 0:
            return groups[:index + 1]
    return groups


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
            groups = Reducer(pair, found.last).reduce(found.groups)
            print_case(pair, joined(groups), found.text[:300])
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
