#!/usr/bin/env python3
"""Calls of the client's encoders, held against running servers.

    calls.py --tool BUILD/tests/client/client-calls --server CMD [--server CMD ...]

Every server gets every sample of every encoder (tests/client/command_samples.inc) and calls that are harder to read:

- COMMAND GETKEYS must name the keys that the client finds;
- the call itself, run on a server of its own, must not be refused for its syntax or its number of words.

A server that lacks a command, or cannot be started, is passed over. CMD contains {port} and {dir}.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from resp import Closed, Timeout, plain  # noqa: E402
from server import Server, StartFailed, identify  # noqa: E402

# Further calls for the keys; '' is the empty word.
CALLS = """
get k|mget a b c|mset a 1 b 2 c 3|msetnx a 1|del a b|rename a b|lcs a b len|bitop and d a b c|object encoding k
blpop a b c 0|brpoplpush a b 0|blmove a b left right 0|bzpopmin a b 0|lmpop 2 a b left|blmpop 0 3 a b c right count 2
zmpop 1 z max|bzmpop 0 2 y z min|zunion 2 a b weights 1 2|zunionstore d 2 a b aggregate max|zinterstore d 1 a
zdiffstore d 2 a b|zintercard 2 a b limit 1|sintercard 1 a|zrangestore d s 0 1|sunionstore d a b|sinterstore d a
eval s 0|eval s 2 a b c d|evalsha x 1 a|eval_ro s 1 k|fcall f 2 a b c|fcall_ro f 0|sort k|sort k store d
sort k by w_* get # get o_* limit 0 5 desc alpha store d|sort k get store store d|sort k by store limit 0 store
sort k store a store b|sort_ro k by x get y|georadius k 1 2 3 m|georadius k 1 2 3 m store d
georadius k 1 2 3 m withcoord count 3 asc storedist d|georadiusbymember k m 3 m store d|geosearchstore d s frommember m
xread streams a b 0 0|xread count 1 block 0 streams streams 0|xreadgroup group g streams streams a b > >
xreadgroup group streams c noack streams a 0|xgroup create s g 0|xinfo stream s|xinfo consumers s g|memory usage k
migrate h 1 k 0 5|migrate h 1 '' 0 5 keys a b c|migrate h 1 '' 0 5 copy auth keys keys a b|copy a b db 1 replace
set k v get|set k v|getex k persist|bitfield k get u8 0|bitfield k set u8 0 1|pfcount a b|pfmerge d a b
pfdebug encoding k|hset k f v|zadd k nx 1 m|restore k 0 x|dump k|expire k 5|spop k 2|smove a b m|lmove a b left right|xadd s * f v
xautoclaim s g c 0 0|touch a b|unlink a|exists a a|watch a b|pfadd k a|setrange k 1 x|hrandfield k 2|zscan k 0
""".replace("\n", "|").split("|")

# What cannot be sent to a server that shall answer the next call, too.
NOT_RUN = {"shutdown", "debug", "psync", "sync", "replconf", "monitor", "replicaof", "slaveof", "cluster", "failover",
           "client|reply", "client|pause", "client|kill", "subscribe", "psubscribe", "ssubscribe", "unsubscribe",
           "punsubscribe", "sunsubscribe", "quit", "wait", "waitaof", "migrate", "script|debug", "module",
           "config|rewrite", "acl|load", "acl|save", "restore-asking", "bgrewriteaof", "bgsave", "save", "hello", "acl|setuser",
           "blpop", "brpop", "blmove", "brpoplpush", "bzpopmin", "bzpopmax", "blmpop", "bzmpop", "xread", "xreadgroup"}
SYNTAX_ERRORS = (b"syntax error", b"wrong number of arg", b"unknown subcommand", b"Unrecognized option",
                 b"unknown option", b"Unsupported option")
# Words that do not go together, though each does by itself: the samples set all options at once. And what is newer than
# the servers that are asked.
MAY_REFUSE = (("set", {b"IFNE"}), ("set", {b"IFDEQ"}), ("set", {b"IFDNE"}), ("xadd", {b"KEEPREF"}),
              ("xadd", {b"DELREF"}), ("xadd", {b"ACKED"}), ("xtrim", {b"KEEPREF"}), ("xtrim", {b"DELREF"}),
              ("xtrim", {b"ACKED"}),
              ("geosearch", {b"FROMMEMBER", b"BYPOLYGON"}), ("geosearchstore", {b"FROMMEMBER", b"BYPOLYGON"}),
              ("xadd", {b"=", b"LIMIT"}), ("xtrim", {b"=", b"LIMIT"}), ("zrange", {b"BYLEX", b"WITHSCORES"}),
              ("restore", {b"IDLETIME", b"FREQ"}))


def may_refuse(name, call):
    return any(name == refused and words <= set(call) for refused, words in MAY_REFUSE)


def hex_line(words):
    return " ".join(word.hex() or "-" for word in words)


def words_of(line):
    return [b"" if word == "-" else bytes.fromhex(word) for word in line.split()]


def run_tool(tool, mode, text=""):
    done = subprocess.run([tool, mode], input=text, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        sys.exit("%s %s: %s" % (tool, mode, done.stderr))
    return done.stdout.splitlines()


def client_keys(tool, calls):
    answers = run_tool(tool, "keys", "\n".join(map(hex_line, calls)) + "\n")
    assert len(answers) == len(calls)
    return [None if answer == "?" else [call[int(at)] for at in answer.split()[1:]]
            for call, answer in zip(calls, answers)]


def show(call):
    return " ".join(word.decode("utf-8", "replace") or "''" for word in call)


def known_commands(connection):
    """Names of all commands and subcommands, as client|list."""
    names = set()
    for row in connection.call("COMMAND").value:
        fields = row.value
        names.add(plain(fields[0]).decode().lower())
        if len(fields) > 9:
            names |= {plain(sub.value[0]).decode().lower() for sub in fields[9].value}
    return names


def name_of(call, names):
    name = call[0].decode("utf-8", "replace").lower()
    if len(call) > 1:
        full = name + "|" + call[1].decode("utf-8", "replace").lower()
        if full in names:
            return full
    return name


def check_keys(connection, names, calls, found):
    """[problem]; and how many were compared."""
    problems, count = [], 0
    for call, keys in zip(calls, found):
        if name_of(call, names) not in names:
            continue
        reply = connection.call("COMMAND", "GETKEYS", *call)
        if reply.kind == "error":
            if b"no key" in reply.value or b"Invalid" in reply.value:
                # Without keys, or unreadable; the client may see that the call is short where servers count words.
                if keys and b"Invalid number" not in reply.value and not only_client_knows(call):
                    problems.append("%s: the client finds %r, the server says %r" % (show(call), keys, reply.value))
                count += 1
            continue
        server_keys = [plain(key) for key in reply.value]
        count += 1
        if keys != server_keys and not only_client_knows(call):
            problems.append("%s: the client finds %r, the server %r" % (show(call), keys, server_keys))
    return problems, count


def only_client_knows(call):
    """Where servers name no keys, name channels, or refuse to say (PFMERGE without sources, MIGRATE with a key and
    KEYS): the prefix must know better."""
    return call[0].lower() in (b"debug", b"spublish", b"ssubscribe", b"sunsubscribe", b"clusterscan", b"pfmerge",
                               b"migrate") or b"CLAIM" in call # of XREADGROUP: newer than the servers


def check_syntax(server, names, calls):
    problems, count = [], 0
    for call in calls:
        name = name_of(call, names)
        if name not in names or name in NOT_RUN or name.split("|")[0] in NOT_RUN:
            continue
        with server.connect(timeout=5) as connection:
            try:
                reply = connection.call(*call)
            except (Closed, Timeout) as problem:
                problems.append("%s: %r" % (show(call), problem))
                continue
        count += 1
        is_syntax_error = reply.kind == "error" and any(text in reply.value for text in SYNTAX_ERRORS)
        if is_syntax_error and not may_refuse(name, call):
            problems.append("%s: %s" % (show(call), reply.value.decode("utf-8", "replace")))
    return problems, count


def check_server(command, tool, samples):
    calls = samples + [[b"" if word == "''" else word.encode() for word in line.split()] for line in CALLS if line]
    found = client_keys(tool, calls)
    with Server(command) as server:
        with server.connect(timeout=5) as connection:
            title = "%s %s" % (identify(connection)[0], ".".join(map(str, identify(connection)[1])))
            names = known_commands(connection)
            problems, keys_count = check_keys(connection, names, calls, found)
        has_all_options = title.startswith(("roan", "valkey 9"))
        more, syntax_count = check_syntax(server, names, samples) if has_all_options else ([], 0)
    for problem in problems + more:
        print("%s: %s" % (title, problem))
    print("%s: keys of %d calls, syntax of %d" % (title, keys_count, syntax_count))
    return len(problems) + len(more), keys_count + syntax_count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--server", action="append", default=[], metavar="CMD")
    options = parser.parse_args()
    samples = [words_of(line) for line in run_tool(options.tool, "samples")]
    passed = failed = skipped = 0
    for command in options.server:
        if shutil.which(shlex.split(command)[0]) is None:
            skipped += 1
            continue
        try:
            bad, count = check_server(command, options.tool, samples)
        except StartFailed as problem:
            print(problem)
            skipped += 1
            continue
        failed, passed = failed + bad, passed + count - bad
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 1 if failed else 0 if passed else 77


if __name__ == "__main__":
    sys.exit(main())
