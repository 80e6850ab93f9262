#!/usr/bin/env python3
"""Random clients that wait for keys, on a server and on a reference: the same ones are served, with the same replies.

    fuzz_blocking.py --count 2000
    fuzz_blocking.py --seed 17 --threads 4 --reference CMD

Some connections wait (BLPOP, BLMOVE, BZMPOP, XREADGROUP ...), another one changes keys: pushes, renames, transactions,
SWAPDB, DEL, other types; clients are unblocked and disconnected. After every step both servers come to rest: whoever
waits on the reference must wait here, and what the others were answered must be equal; at the end the data. A difference
is reduced to a short list of steps.
"""

import argparse
import collections
import os
import random
import shutil
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from fuzz_differential import (EXIT_SKIPPED, REFERENCE, SERVER, Pair, Reducer, joined, shortened,  # noqa: E402
                               word_text)
from pattern import render  # noqa: E402
from pieces import as_bytes  # noqa: E402
from replies import normalise, old_redis  # noqa: E402
from resp import Closed, ProtocolError, Timeout, plain  # noqa: E402
from server import StartFailed  # noqa: E402

WAITERS = 7
ROUND = 150                        # steps between two comparisons of the data
REST_SECONDS_MAX = 3.0
KEYS = {"l": [b"l1", b"l2", b"l3"], "z": [b"z1", b"z2"], "x": [b"x1", b"x2"]}
ALL_KEYS = [key for keys in KEYS.values() for key in keys]

# A step: who does it (0: the one that never waits), and commands; or a verb of ours with the number of a waiter.
Step = collections.namedtuple("Step", "who commands")
UNBLOCK, CLOSE = b"@UNBLOCK", b"@CLOSE"


class StepMaker:
    """Random steps. Waiters that are blocked do nothing; `make` is told who is free."""

    def __init__(self, rng, commands):
        self.random = rng
        self.commands = commands
        self.last_id = 0
        self.number = 0
        self.weights = {name: rng.choice([1, 1, 2, 4]) for name in dir(self) if name.startswith("act_")}

    def one(self, *options):
        return self.random.choice(options)

    def chance(self, probability):
        return self.random.random() < probability

    def key(self, kind):
        return self.random.choice(ALL_KEYS if self.chance(0.06) else KEYS[kind])

    def keys(self, kind):
        return [self.key(kind) for _ in range(self.random.randint(1, 3))]

    def element(self):
        self.number += 1
        return "e%d" % self.number

    def counted(self, keys):
        return [len(keys)] + keys

    def waiting(self):
        """A command that may wait, for ever."""
        end, other = self.one("LEFT", "RIGHT"), self.one("LEFT", "RIGHT")
        count = ["COUNT", self.random.randint(1, 4)] * self.chance(0.5)
        return self.one(
            [self.one("BLPOP", "BRPOP")] + self.keys("l") + [0],
            ["BLMOVE", self.key("l"), self.key("l"), end, other, 0], ["BRPOPLPUSH", self.key("l"), self.key("l"), 0],
            ["BLMPOP", 0] + self.counted(self.keys("l")) + [end] + count,
            [self.one("BZPOPMIN", "BZPOPMAX")] + self.keys("z") + [0],
            ["BZMPOP", 0] + self.counted(self.keys("z")) + [self.one("MIN", "MAX")] + count,
            ["XREAD", "BLOCK", 0, "STREAMS", self.key("x"), self.one("$", "$", "0")],
            ["XREADGROUP", "GROUP", self.one("g1", "g2"), self.one("alice", "bob")] +
            ["NOACK"] * self.chance(0.2) + ["BLOCK", 0, "STREAMS", self.key("x"), ">"])

    def act_push(self):
        verb = self.one("LPUSH", "RPUSH")
        return [[verb, self.key("l")] + [self.element() for _ in range(self.random.randint(1, 4))]]

    def act_zadd(self):
        command = ["ZADD", self.key("z")]
        for _ in range(self.random.randint(1, 3)):
            command += [self.random.randint(1, 5), self.element()]
        return [command]

    def act_xadd(self):
        self.last_id += 1
        return [["XADD", self.key("x"), "%d-1" % self.last_id, "f", self.element()]]

    def act_group(self):
        key, group = self.key("x"), self.one("g1", "g2")
        return [self.one(["XGROUP", "CREATE", key, group, self.one("$", "0"), "MKSTREAM"],
                         ["XGROUP", "CREATE", key, group, "$", "MKSTREAM"], ["XGROUP", "DESTROY", key, group],
                         ["XGROUP", "SETID", key, group, self.one("$", "0")])]

    def act_take(self):
        return [self.one(["LPOP", self.key("l")], ["RPOPLPUSH", self.key("l"), self.key("l")],
                         ["LMOVE", self.key("l"), self.key("l"), "LEFT", "RIGHT"], ["ZPOPMIN", self.key("z")])]

    def act_remove(self):
        return [self.one(["DEL", self.random.choice(ALL_KEYS)], ["UNLINK", self.random.choice(ALL_KEYS)],
                         ["PEXPIREAT", self.random.choice(ALL_KEYS), 1], ["FLUSHALL"] if self.chance(0.2) else ["PING"])]

    def act_other_type(self):
        key = self.random.choice(ALL_KEYS)
        return [self.one(["SET", key, "text"], ["HSET", key, "f", "v"])]

    def store(self, kind, *words):
        """words with one key of the kind for SOURCE, and another for TARGET. There is no value before: when one of another
        type is replaced, the reference forgets who waits for the key, and Roan does not (ARCHITECTURE.md)."""
        source, target = self.key(kind), self.key(kind)
        while source == target:
            source, target = self.key(kind), self.key(kind)
        return [["DEL", target], [{"SOURCE": source, "TARGET": target}.get(word, word) for word in words]]

    def act_move(self):
        """A list, set or stream that appears under another name, or comes from another database."""
        kind = self.one("l", "z", "x")
        return self.one([["RENAME", self.key(kind), self.key(kind)]],
                        [["COPY", self.key(kind), self.key(kind), "REPLACE"]],
                        self.store("l", "SORT", "SOURCE", "ALPHA", "STORE", "TARGET"),
                        self.store("z", "ZUNIONSTORE", "TARGET", 1, "SOURCE"),
                        [["SELECT", 1], ["RPUSH", self.key("l"), self.element()], ["SELECT", 0]],
                        [["SELECT", 1], ["FLUSHDB"], ["RPUSH", self.key("l"), self.element()], ["SELECT", 0],
                         ["SWAPDB", 0, 1]],            # with one key: of several, the reference takes any first
                        [["SELECT", 1], ["MOVE", self.random.choice(ALL_KEYS), 0], ["SELECT", 0]])

    def act_transaction(self):
        """Nobody is served inside; what is there at its end counts."""
        names = ["act_push", "act_zadd", "act_xadd", "act_remove", "act_take", "act_other_type", "act_group"]
        inner = []
        for _ in range(self.random.randint(1, 4)):
            inner += getattr(self, self.random.choice(names))()
        if self.chance(0.3):
            inner.append(self.waiting())
        return [["MULTI"]] + inner + [["EXEC"]]

    def make(self, free):
        if free and self.chance(0.45):
            return Step(self.random.choice(free), [[as_bytes(word) for word in self.waiting()]])
        if self.chance(0.08):
            waiter = self.random.randint(1, WAITERS)
            return Step(waiter, self.one([[UNBLOCK, b"TIMEOUT"]], [[UNBLOCK, b"ERROR"]], [[UNBLOCK]], [[CLOSE]]))
        while True:
            name = self.random.choices(list(self.weights), self.weights.values())[0]
            commands = [[as_bytes(word) for word in command] for command in getattr(self, name)()]
            if all(command[0] in self.commands for command in commands):
                return Step(0, commands)


# -- two servers that come to rest ----------------------------------------------------------------------

class Side:
    """One server: a control connection, the one that acts, and those that wait."""

    def __init__(self, server):
        self.server = server
        self.control = server.connect(20)
        self.links, self.ids = {}, {}
        for who in range(WAITERS + 1):
            self.open(who)

    def open(self, who):
        self.links[who] = self.server.connect(20)
        self.ids[who] = plain(self.links[who].call("CLIENT", "ID"))

    def close(self):
        for link in [self.control] + list(self.links.values()):
            link.close()

    def send(self, step):
        """Does the step; the replies of those who did not wait before are still to be read."""
        verb = step.commands[0][0]
        if verb == UNBLOCK:
            self.control.call("CLIENT", "UNBLOCK", self.ids[step.who], *step.commands[0][1:])
        elif verb == CLOSE:
            self.links[step.who].close()
            self.wait_for(lambda: self.ids[step.who] not in self.flags(), "a client that left")
            self.open(step.who)
        else:
            for command in step.commands:
                self.links[step.who].send(*command)

    def flags(self):
        lines = plain(self.control.call("CLIENT", "LIST")).decode().splitlines()
        fields = [dict(part.split("=", 1) for part in line.split(" ") if "=" in part) for line in lines]
        return {int(one["id"]): one["flags"] for one in fields}

    def blocked(self):
        flags = self.flags()
        return {who for who, number in self.ids.items() if "b" in flags.get(number, "")}

    def wait_for(self, condition, what):
        deadline = time.monotonic() + REST_SECONDS_MAX
        while not condition():
            if time.monotonic() > deadline:
                raise Timeout("waited in vain for " + what)
            time.sleep(0.0005)


class Waiting(Pair):
    """Both servers, stepping together. The parts that Reducer uses are Pair's: reset, run, compare_data."""

    def start(self):
        Pair.start(self)
        self.limits = []
        self.sides = []

    def reset(self):
        for side in self.sides:
            side.close()
        self.sides = []
        Pair.reset(self)
        self.sides = [Side(server) for server in self.servers]
        self.due = {}              # waiter -> its command, whose reply has not come

    def run(self, steps):
        for at, step in enumerate(steps):
            difference = self.do(step)
            if difference:
                return at, difference
        return None

    def do(self, step):
        """Empty, or what differs after the step."""
        verb = step.commands[0][0]
        if verb not in (UNBLOCK, CLOSE) and step.who in self.due:
            return ""              # reduced away: it waits
        for side in self.sides:
            side.send(step)
        if verb == CLOSE:
            self.due.pop(step.who, None)
        elif verb != UNBLOCK and step.who > 0:
            self.due[step.who] = step.commands[0]
        if step.who == 0:
            difference = self.compare_replies(0, step.commands)
            if difference:
                return difference
        return self.rest()

    def compare_replies(self, who, commands):
        for command in commands:
            replies = [side.links[who].read() for side in self.sides]
            if not self.is_same(command, replies) and normalise(command, replies[0]) != normalise(command, replies[1]):
                return "client %d, %s: %s and %s" % (who, render_command(command), *(render(one) for one in replies))
        return ""

    def rest(self):
        """Waits until nobody is about to be answered; the replies that came must be equal."""
        reference = self.sides[1]
        reference.wait_for(lambda: all(who in waiting or reference.links[who].wait_readable(0)
                                       for waiting in [reference.blocked()] for who in self.due), "the reference")
        wanted = reference.blocked()
        try:
            self.sides[0].wait_for(lambda: self.sides[0].blocked() == wanted, "rest")
        except Timeout:
            return "who waits: %s and %s" % (sorted(self.sides[0].blocked()), sorted(wanted))
        for who in sorted(set(self.due) - wanted):
            difference = self.compare_replies(who, [self.due.pop(who)])
            if difference:
                return difference
        return ""

    def free(self):
        return [who for who in range(1, WAITERS + 1) if who not in self.due]

    def stop(self):
        for side in self.sides:
            side.close()
        Pair.stop(self)


def render_command(command):
    return shortened(" ".join(word_text(word) for word in command))


def run_round(pair, seed, count):
    """None, or (steps, the last one when its replies differ, what differs)."""
    pair.reset()
    maker = StepMaker(random.Random(seed), pair.commands)
    steps = []
    for _ in range(count):
        step = maker.make(pair.free())
        steps.append(step)
        difference = pair.do(step)
        if difference:
            return steps, step, difference
    difference = pair.compare_data()
    return (steps, None, "data differ: " + difference) if difference else None


def print_steps(steps, difference):
    print("found by fuzz_blocking: " + difference[:500])
    for step in steps:
        for command in step.commands:
            print("%s> %s" % ("client%d" % step.who if step.who else "", render_command(command)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=SERVER, metavar="CMD")
    parser.add_argument("--reference", default=os.environ.get("ROAN_REFERENCE") or REFERENCE, metavar="CMD")
    parser.add_argument("--threads", default="")
    parser.add_argument("--io", default="")
    parser.add_argument("--count", type=int, default=1500, help="steps in all (1500)")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--failures", type=int, default=3, help="stop after so many differences")
    options = parser.parse_args()
    if options.reference == REFERENCE and shutil.which("redis-server") is None:
        print("no redis-server here\n0 passed, 0 failed, 1 skipped")
        return EXIT_SKIPPED
    command = options.server
    command += " --threads " + options.threads if options.threads else ""
    command += " --io " + options.io if options.io else ""
    pair = Waiting([command, options.reference], 2)
    print("seed %d" % options.seed)
    passed = failed = 0
    try:
        pair.start()
        if any(old_redis(identity) for identity in pair.identities):
            print("Redis before 7.2 serves who waits in another way\n0 passed, 0 failed, 1 skipped")
            return EXIT_SKIPPED
        for number in range(max(1, options.count // ROUND)):
            found = run_round(pair, "%d:%d" % (options.seed, number), min(ROUND, options.count))
            if found is None:
                passed += 1
                continue
            failed += 1
            print("round %d:%d" % (options.seed, number))
            steps, last, difference = found
            print_steps(joined(Reducer(pair, last).reduce([[step] for step in steps])), difference)
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
