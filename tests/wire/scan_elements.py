#!/usr/bin/env python3
"""The guarantee of HSCAN, SSCAN and ZSCAN: an element that is there from the first call to the last is returned.

While one connection scans, others are added, removed, changed and expired on a second one, so that the value's table
grows and shrinks between the calls. What comes with an element (a field's value, a score) is the right one, what was
never there is never returned, and a scan ends. Every check runs for all three types, with one worker and with four.
"""

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from checks import Skipped, check, expect, expect_equal, main  # noqa: E402
from resp import plain  # noqa: E402

KEY = "big"
PART = 200                          # elements in one command
CALLS_MAX = 200000
CHURN_NAMES_MAX = 12000
CHURN_STEPS_MAX = 200


class Kind:
    """How the elements of a type are written and read. Every element's extra (value or score) follows from its name."""

    def __init__(self, name, scan, remove, extra):
        self.name, self.scan, self.remove_verb, self.extra = name, scan, remove, extra

    def add(self, names):
        if self.name == "set":
            return ["SADD", KEY] + names
        if self.name == "hash":
            return ["HSET", KEY] + [word for name in names for word in (name, self.extra(name))]
        return ["ZADD", KEY] + [word for name in names for word in (self.extra(name), name)]

    def remove(self, names):
        return [self.remove_verb, KEY] + names

    def read(self, page):
        """[(name, extra)] of a page."""
        if self.name == "set":
            return [(name, b"") for name in page]
        return list(zip(page[::2], page[1::2]))


KINDS = (Kind("hash", "HSCAN", "HDEL", lambda name: b"value of " + name),
         Kind("set", "SSCAN", "SREM", lambda name: b""),
         Kind("zset", "ZSCAN", "ZREM", lambda name: name.split(b":")[1]))


def kinds_of(context):
    """The types that the server knows: they may come one by one."""
    connection = context.connect()
    kinds = [kind for kind in KINDS if connection.call("COMMAND", "INFO", kind.scan).value[0].kind == "array"]
    if not kinds:
        raise Skipped("none of the commands is there")
    return kinds


def names_of(prefix, numbers):
    return [b"%s:%d" % (prefix, number) for number in numbers]


def send_parts(connection, make, names):
    for start in range(0, len(names), PART):
        reply = connection.call(*make(names[start:start + PART]))
        expect(reply.kind == "integer", "%s" % (reply,))


def fill(connection, kind, prefix, count):
    names = names_of(prefix, range(count))
    send_parts(connection, kind.add, names)
    return set(names)


def scan_all(connection, kind, between=None, count=lambda: 10, extra=()):
    """All names of a whole scan, with repeats; `between` runs between the calls."""
    names, cursor, calls = [], b"0", 0
    bare = "NOVALUES" in extra or "NOSCORES" in extra
    while True:
        cursor, page = plain(connection.call(kind.scan, KEY, cursor, "COUNT", count(), *extra))
        elements = [(name, None) for name in page] if bare else kind.read(page)
        for name, value in elements:
            if value is not None and name.startswith(b"fixed"):
                expect_equal(value, kind.extra(name), "what comes with %s" % name)
        names += [name for name, _ in elements]
        calls += 1
        if cursor == b"0":
            return names
        expect(calls < CALLS_MAX, "the scan does not end")
        if between:
            between(calls)


def check_all_found(fixed, names, what):
    missing = fixed - set(names)
    expect(not missing, "%s: %d of %d were never returned, such as %s"
           % (what, len(missing), len(fixed), sorted(missing)[:3]))


class Churn:
    """Changes other elements of the same value, in some of several ways."""

    WAYS = ("add", "remove", "grow", "shrink", "change", "expire")

    def __init__(self, context, kind, connection):
        self.random, self.kind, self.connection = context.random, kind, connection
        self.made = 0
        self.present = []
        self.can_expire = kind.name == "hash" and \
            connection.call("COMMAND", "INFO", "HPEXPIRE").value[0].kind == "array"
        self.ways = [way for way in self.WAYS if self.random.random() < 0.6] or ["add"]
        context.note("%s: %s" % (kind.name, " ".join(self.ways)))

    def step(self, calls):
        if calls <= CHURN_STEPS_MAX:
            getattr(self, self.random.choice(self.ways))()

    def new_names(self, count):
        count = max(0, min(count, CHURN_NAMES_MAX - self.made))
        names = names_of(b"churn", range(self.made, self.made + count))
        self.made += count
        self.present += names
        return names

    def some(self, count):
        self.random.shuffle(self.present)
        chosen, self.present = self.present[:count], self.present[count:]
        return chosen

    def add(self):
        send_parts(self.connection, self.kind.add, self.new_names(self.random.randint(1, 50)))

    def grow(self):
        send_parts(self.connection, self.kind.add, self.new_names(2000))

    def remove(self):
        send_parts(self.connection, self.kind.remove, self.some(self.random.randint(1, 50)))

    def shrink(self):
        send_parts(self.connection, self.kind.remove, self.some(len(self.present)))

    def change(self):
        """Longer values, other scores: elements that stay, but elsewhere in memory."""
        for name in self.present[:20]:
            if self.kind.name == "hash":
                self.connection.call("HSET", KEY, name, b"v" * self.random.randint(1, 200))
            elif self.kind.name == "zset":
                self.connection.call("ZINCRBY", KEY, self.random.randint(-1000, 1000), name)

    def expire(self):
        names = self.some(self.random.randint(1, 20)) if self.can_expire else []
        if names:
            self.connection.call("HPEXPIRE", KEY, 1, "FIELDS", len(names), *names)


def check_round(context, kind, fixed_count, extra=(), wanted=None):
    connection, other = context.connect(), context.connect()
    connection.call("FLUSHALL")
    fixed = fill(connection, kind, b"fixed", fixed_count)
    churn = Churn(context, kind, other)
    churn.grow()
    limit = context.random.choice([20, 100, 1000])
    names = scan_all(connection, kind, churn.step, lambda: context.random.randint(1, limit), extra)
    check_all_found(wanted or fixed, names, kind.name)
    known = set(names_of(b"churn", range(churn.made))) | fixed
    expect(set(names) <= known, "names that never were: %s" % sorted(set(names) - known)[:3])
    if wanted:
        expect(set(names) <= wanted, "names outside the pattern")


@check(threads=(1, 4))
def a_quiet_scan_returns_every_element_once_at_any_count(context):
    for kind in kinds_of(context):
        connection = context.connect()
        connection.call("FLUSHALL")
        fixed = fill(connection, kind, b"fixed", 3000)
        for count in (1, 2, 3, 7, 10, 100, 999, 100000):
            names = scan_all(connection, kind, count=lambda: count)
            expect_equal(set(names), fixed, "%s, names with COUNT %d" % (kind.name, count))
            expect(len(names) <= 1.05 * len(fixed), "%d names for %d" % (len(names), len(fixed)))


@check(threads=(1, 4))
def elements_present_throughout_are_returned_while_others_change(context):
    for kind in kinds_of(context):
        for _ in range(8):
            check_round(context, kind, context.random.choice([1, 10, 500, 3000]))


@check(threads=(1, 4))
def a_pattern_changes_nothing_about_the_guarantee(context):
    wanted = {name for name in names_of(b"fixed", range(2000)) if name.endswith(b"7")}
    for kind in kinds_of(context):
        for _ in range(3):
            check_round(context, kind, 2000, ("MATCH", "fixed:*7"), wanted)


@check(threads=(1, 4))
def names_alone_have_the_same_guarantee(context):
    option = {"hash": "NOVALUES", "zset": "NOSCORES"}
    kinds = [kind for kind in kinds_of(context) if kind.name in option]
    for kind in kinds:
        connection = context.connect()
        connection.call("FLUSHALL")
        fill(connection, kind, b"probe", 1)
        if connection.call(kind.scan, KEY, "0", option[kind.name]).kind == "error":
            continue
        for _ in range(2):
            check_round(context, kind, 2000, (option[kind.name],))


@check(threads=(1, 4))
def a_value_that_shrinks_to_little_during_the_scan(context):
    for kind in kinds_of(context):
        connection, other = context.connect(), context.connect()
        for _ in range(3):
            connection.call("FLUSHALL")
            fixed = fill(connection, kind, b"fixed", 20)
            bulk = sorted(fill(connection, kind, b"bulk", 20000))
            calls_before = context.random.randint(1, 40)

            def drop(calls):
                if calls == calls_before:
                    send_parts(other, kind.remove, bulk)

            check_all_found(fixed, scan_all(connection, kind, drop, lambda: 50), kind.name)


@check(threads=(1, 4))
def a_value_that_grows_from_little_during_the_scan(context):
    for kind in kinds_of(context):
        connection, other = context.connect(), context.connect()
        for count in (200, 600, 600):
            connection.call("FLUSHALL")
            fixed = fill(connection, kind, b"fixed", count)
            calls_before = context.random.randint(1, 10)

            def grow(calls):
                if calls == calls_before:
                    fill(other, kind, b"bulk", 30000)

            check_all_found(fixed, scan_all(connection, kind, grow, lambda: 5), kind.name)


@check(threads=(1, 4))
def a_small_value_comes_whole_whatever_count_says(context):
    for kind in kinds_of(context):
        if kind.name == "set" and context.identity[0] == "redis" and context.identity[1] < (7, 2):
            continue                # has no small form for sets of texts
        connection = context.connect()
        connection.call("FLUSHALL")
        fixed = fill(connection, kind, b"fixed", 20)
        cursor, page = plain(connection.call(kind.scan, KEY, 0, "COUNT", 1))
        expect_equal(cursor, b"0", "%s, the cursor" % kind.name)
        expect_equal({name for name, _ in kind.read(page)}, fixed, "%s, a page" % kind.name)


@check(threads=(1, 4))
def a_renamed_or_copied_value_scans_whole(context):
    for kind in kinds_of(context):
        connection = context.connect()
        connection.call("FLUSHALL")
        fixed = fill(connection, kind, b"fixed", 2000)
        for command in (("RENAME", KEY, "elsewhere"), ("COPY", "elsewhere", KEY)):
            connection.call(*command)
        expect_equal(set(scan_all(connection, kind)), fixed, "%s, after a copy" % kind.name)


@check(threads=(1, 4))
def several_scans_at_once_while_others_write(context):
    for kind in kinds_of(context):
        connection = context.connect()
        connection.call("FLUSHALL")
        fixed = fill(connection, kind, b"fixed", 2000)
        stop, problems = threading.Event(), []

        def write(number):
            writer, made = context.server.connect(), 0
            while not stop.is_set():
                names = names_of(b"w%d" % number, range(made, made + 200))
                send_parts(writer, kind.add, names)
                send_parts(writer, kind.remove, names[(made // 200) % 200:])
                made += 200
            writer.close()

        def scan():
            scanner = context.server.connect()
            for _ in range(2):
                missing = fixed - set(scan_all(scanner, kind, count=lambda: 100, extra=("MATCH", "fixed:*")))
                if missing:
                    problems.append("%s, lost: %s" % (kind.name, sorted(missing)[:3]))
            scanner.close()

        writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
        scanners = [threading.Thread(target=scan) for _ in range(3)]
        for thread in writers + scanners:
            thread.start()
        for thread in scanners:
            thread.join()
        stop.set()
        for thread in writers:
            thread.join()
        expect(not problems, "; ".join(problems))


if __name__ == "__main__":
    sys.exit(main(__doc__))
