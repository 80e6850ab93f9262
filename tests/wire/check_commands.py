#!/usr/bin/env python3
"""Compares what a server says of its commands with the reference: COMMAND INFO, DOCS, LIST and GETKEYS.

    check_commands.py HOST PORT                     against tests/wire/commands_reference.json
    check_commands.py HOST PORT --peer PORT         and against a reference server that runs on that port
    check_commands.py --server 'roan server --port {port} ...' [--peer-server 'valkey-server --port {port} ...']

Everything is asked with RESP2 and RESP3, and wire types count. Arity, flags, ACL categories, key ranges, key specs,
tips, groups and versions must be equal; with a peer also the trees of arguments, the keys it finds in a list of command
lines, and its error texts. Summaries, complexities and notes are our own words: only their presence is looked at.
A name in one server only is passed over with --common (for a server that has other commands than the file).
"""

import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

from resp import NIL, Connection, Reply, plain  # noqa: E402
from server import Server  # noqa: E402

REFERENCE = os.path.join(HERE, "commands_reference.json")
SHOWN_MAX = 60

# Words after COMMAND GETKEYS; only those of commands that both servers have are asked.
LINES = """
get a|get|get a b|GET A|nosuch a|ping|ping a|echo a
set a b|set a b get|set a b EX 10 GeT|set a
getex a ex 10|mget a b c|mset a 1 b 2|mset a 1 b|msetnx a 1
sadd a m|smove a b m|sinter a b c|sinterstore d a b|sintercard 2 a b|sintercard 3 a b|sintercard 2 a b limit 1|sscan a 0
sunion a b|sdiff a|sunionstore d a b|sdiffstore d a|spop a|spop a 2|srandmember a|smembers a|sismember a m
msetex 2 a 1 b 2|msetex 2 a 1 b|msetex 3 a 1 b 2|msetex 0 a 1|msetex x a 1|msetex -1 a 1
lcs a b|copy a b|copy a b db 2|rename a b|move a 1
bitop and d a b|bitop not d a|bitop not d|bitcount a|bitpos a 1
bitfield a|bitfield a get u8 0|bitfield a set u8 0 1|bitfield a overflow sat get u8 0|bitfield a get u8
bitfield_ro a get u8 0
del a|del a b c|unlink a b|exists a a|touch a|type a|scan 0|keys *|randomkey
object|object encoding|object encoding a|object help|object nosuch a|object|encoding a
memory usage a|memory usage a samples 5|memory doctor|memory nosuch
client list|client|client nosuch|config get a|command|command info get|debug object a|wait 1 2
""".replace("\n", "|")
FILTERS = ("aclcat read", "aclcat KEYSPACE", "aclcat nosuch", "aclcat @read", "pattern *get*", "pattern CLIENT|*",
           "pattern [", "module x")
ERRORS = ("command nosuch", "command count x", "command list x", "command list filterby",
          "command list filterby pattern", "command list filterby x y",
          "command list filterby aclcat a b", "command getkeys", "command getkeys get",
          "command help x")


class Tally:
    """Passed and failed checks; failures are printed as they come."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def check(self, what, found, expected):
        if found == expected:
            self.passed += 1
            return
        self.failed += 1
        if self.failed <= SHOWN_MAX:
            print("%s:\n    expected %s\n    found    %s" % (what, expected, found))


class Shape(Exception):
    """A reply has another wire type than it must have."""


def take(reply, *kinds):
    """The value of a reply that must be of one of the kinds."""
    if reply.kind not in kinds:
        raise Shape("%s instead of %s" % (reply.kind, " or ".join(kinds)))
    return reply.value


class Asker:
    """Questions about commands on one connection, with answers as plain, comparable values."""

    def __init__(self, host, port, proto):
        self.connection = Connection(port, host=host, proto=proto)
        self.set_kind, self.map_kind = ("set", "map") if proto == 3 else ("array", "array")

    def call(self, *words):
        return self.connection.call(*words)

    def text(self, reply, kind="bulk"):
        return take(reply, kind).decode()

    def set_of(self, reply, kind):
        return sorted(self.text(item, kind) for item in take(reply, self.set_kind))

    def map_of(self, reply):
        items = take(reply, self.map_kind)
        pairs = items if self.map_kind == "map" else list(zip(items[::2], items[1::2]))
        return {self.text(key): value for key, value in pairs}

    def names(self):
        return sorted(self.text(item) for item in take(self.call("COMMAND", "LIST"), "array"))

    # -- COMMAND INFO

    def info(self, reply):
        """{name: facts} of a command and its subcommands."""
        fields = take(reply, "array")
        if len(fields) != 10:
            raise Shape("%d fields instead of 10" % len(fields))
        facts = {
            "arity": take(fields[1], "integer"),
            "flags": self.set_of(fields[2], "status"),
            "keys": [take(field, "integer") for field in fields[3:6]],
            "acl": self.set_of(fields[6], "status"),
            "tips": self.set_of(fields[7], "bulk"),
            "key_specs": [self.key_spec(item) for item in take(fields[8], self.set_kind)],
        }
        infos = {self.text(fields[0]): facts}
        for item in take(fields[9], "array"):
            infos.update(self.info(item))
        return infos

    def key_spec(self, reply):
        fields = self.map_of(reply)
        return {"flags": self.set_of(fields["flags"], "status"), "has_notes": "notes" in fields,
                "begin_search": self.search(fields["begin_search"]), "find_keys": self.search(fields["find_keys"])}

    def search(self, reply):
        fields = self.map_of(reply)
        spec = {name: self.text(value) if value.kind == "bulk" else take(value, "integer")
                for name, value in self.map_of(fields["spec"]).items()}
        return [self.text(fields["type"]), spec]

    # -- COMMAND DOCS

    def docs(self, reply):
        """{name: documentation} of the commands in a reply to COMMAND DOCS, subcommands included."""
        found = {}
        for name, value in self.map_of(reply).items():
            fields = self.map_of(value)
            docs = {"fields": sorted(set(fields) - {"subcommands", "complexity"})}
            for field in ("since", "group", "deprecated_since"):
                if field in fields:
                    docs[field] = self.text(fields[field])
            for field in ("summary", "complexity", "replaced_by"):
                if field in fields:
                    self.text(fields[field])
            if "doc_flags" in fields:
                docs["doc_flags"] = self.set_of(fields["doc_flags"], "status")
            if "history" in fields:
                docs["history"] = sorted(self.text(take(item, "array")[0])
                                         for item in take(fields["history"], self.set_kind))
            if "arguments" in fields:
                docs["arguments"] = [self.argument(item) for item in take(fields["arguments"], "array")]
            found[name] = docs
            if "subcommands" in fields:
                found.update(self.docs(fields["subcommands"]))
        return found

    def argument(self, reply):
        fields = self.map_of(reply)
        argument = {}
        for name, value in fields.items():
            if name == "arguments":
                argument[name] = [self.argument(item) for item in take(value, "array")]
            elif name == "flags":
                argument[name] = self.set_of(value, "status")
            elif name == "key_spec_index":
                argument[name] = take(value, "integer")
            elif name not in ("summary", "deprecated_since"):
                argument[name] = self.text(value)
        return argument


# --- against the file ------------------------------------------------------------------------------------------------

def check_own_words(tally, asker, label):
    """Every command is documented, and COUNT, LIST, COMMAND and INFO agree."""
    names = asker.names()
    infos = {}
    for item in take(asker.call("COMMAND"), "array"):
        infos.update(asker.info(item))
    tally.check(label + "COMMAND and COMMAND LIST", sorted(infos), names)
    tally.check(label + "COMMAND COUNT", take(asker.call("COMMAND", "COUNT"), "integer"),
                sum("|" not in name for name in names))
    for name, value in asker.map_of(asker.call("COMMAND", "DOCS")).items():
        for field in ("summary", "since", "group"):
            tally.check("%sDOCS of %s has %s" % (label, name, field), field in asker.map_of(value), True)
    replies = take(asker.call("COMMAND", "INFO", "nosuch", names[0].upper(), names[0] + "|nosuch"), "array")
    tally.check(label + "INFO of unknown names", [replies[0], replies[2]], [NIL, NIL])
    tally.check(label + "INFO in upper case", names[0] in asker.info(replies[1]), True)
    tally.check(label + "DOCS of unknown names", asker.map_of(asker.call("COMMAND", "DOCS", "nosuch")), {})
    return names


def check_file(tally, asker, label, reference, only_common):
    names = check_own_words(tally, asker, label)
    if not only_common:
        missing = "%scommands without facts (see tools/commands_reference.py)" % label
        tally.check(missing, [name for name in names if name not in reference], [])
        tally.check(label + "commands that are missing", [name for name in reference if name not in names], [])
    for name in names:
        expected = reference.get(name)
        if expected is None:
            continue
        found = asker.info(take(asker.call("COMMAND", "INFO", name), "array")[0])[name]
        docs = asker.docs(asker.call("COMMAND", "DOCS", name))[name]
        found.update({"group": docs.get("group"), "since": docs.get("since")})
        for fact in expected:
            tally.check("%s%s of %s" % (label, fact, name), found[fact], expected[fact])


# --- against a peer --------------------------------------------------------------------------------------------------

def sorted_deep(reply):
    """The reply with its arrays of strings in order, for answers whose order is not promised."""
    if reply.kind in ("array", "set"):
        return Reply(reply.kind, sorted((sorted_deep(item) for item in reply.value), key=repr))
    return reply


def check_info_and_docs(tally, ours, theirs, common, label):
    for name in common:
        pair = [asker.info(take(asker.call("COMMAND", "INFO", name), "array")[0]) for asker in (ours, theirs)]
        tally.check("%sINFO of %s" % (label, name), pair[0][name], pair[1][name])
        pair = [asker.docs(asker.call("COMMAND", "DOCS", name)) for asker in (ours, theirs)]
        tally.check("%sDOCS of %s" % (label, name), pair[0][name], pair[1][name])


def check_keys(tally, ours, theirs, common, label):
    for line in LINES.split("|"):
        words = line.split()
        if not words or (words[0].lower() not in common and words[0] != "nosuch"):
            continue
        for question in ("GETKEYS", "GETKEYSANDFLAGS"):
            pair = [sorted_flags(asker.call("COMMAND", question, *words)) for asker in (ours, theirs)]
            tally.check("%sCOMMAND %s %s" % (label, question, line), pair[0], pair[1])


def sorted_flags(reply):
    """GETKEYSANDFLAGS: the order of keys counts, that of a key's flags does not."""
    if reply.kind != "array" or not all(item.kind == "array" for item in reply.value):
        return reply
    return Reply("array", [Reply("array", [item.value[0], sorted_deep(item.value[1])]) for item in reply.value])


def check_lists_and_errors(tally, ours, theirs, common, label):
    for filter_words in FILTERS:
        pair = [asker.call("COMMAND", "LIST", "FILTERBY", *filter_words.split()) for asker in (ours, theirs)]
        kept = [(reply.kind, sorted(name for name in plain(reply) if name.decode() in common)) for reply in pair]
        tally.check("%sLIST FILTERBY %s" % (label, filter_words), kept[0], kept[1])
    for line in ERRORS:
        pair = [asker.call(*line.split()) for asker in (ours, theirs)]
        tally.check(label + line, pair[0], pair[1])
    heads = [take(asker.call("COMMAND", "HELP"), "array") for asker in (ours, theirs)]
    for place in (0, -2, -1):
        tally.check("%sline %d of COMMAND HELP" % (label, place), heads[0][place], heads[1][place])


def check_peer(tally, ours, theirs, label, reference, only_common):
    """`reference` has null for commands that no peer needs to have: ours, or newer than it."""
    names, peer_names = ours.names(), theirs.names()
    common = [name for name in names if name in peer_names]
    if not only_common:
        missing = [name for name in names if name not in common and reference.get(name, {}) is not None]
        tally.check(label + "commands that the peer has not", missing, [])
    check_info_and_docs(tally, ours, theirs, common, label)
    check_keys(tally, ours, theirs, common, label)
    check_lists_and_errors(tally, ours, theirs, common, label)


# --- servers ---------------------------------------------------------------------------------------------------------

def run_checks(options, port, peer_port):
    with open(options.reference, encoding="utf-8") as file:
        reference = json.load(file)
    tally = Tally()
    for proto in (2, 3):
        label = "RESP%d: " % proto
        ours = Asker(options.host, port, proto)
        try:
            check_file(tally, ours, label, reference, options.common)
            if peer_port:
                theirs = Asker(options.host, peer_port, proto)
                check_peer(tally, ours, theirs, label, reference, options.common)
                theirs.connection.close()
        except Shape as problem:
            tally.check(label + "shape of a reply", str(problem), "as in the reference")
        ours.connection.close()
    if tally.failed > SHOWN_MAX:
        print("... and %d more" % (tally.failed - SHOWN_MAX))
    print("%d passed, %d failed, 0 skipped" % (tally.passed, tally.failed))
    return 1 if tally.failed else 0


def with_server(command, action):
    """Starts a server for the time of `action`, which gets its port; without a command the port is None."""
    if not command:
        return action(None)
    with Server(command) as server:
        return action(server.port)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("host", nargs="?", default="127.0.0.1")
    parser.add_argument("port", nargs="?", type=int)
    parser.add_argument("--server", metavar="CMD", help="start this and check it")
    parser.add_argument("--peer", type=int, metavar="PORT")
    parser.add_argument("--peer-server", metavar="CMD", help="start this as the peer")
    parser.add_argument("--reference", default=REFERENCE, metavar="FILE")
    parser.add_argument("--common", action="store_true", help="only commands that both sides have")
    options = parser.parse_args()
    if options.port is None and not options.server:
        parser.error("give HOST PORT or --server")
    return with_server(options.server, lambda port: with_server(
        options.peer_server, lambda peer: run_checks(options, port or options.port, peer or options.peer)))


if __name__ == "__main__":
    sys.exit(main())
