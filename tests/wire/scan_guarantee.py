#!/usr/bin/env python3
"""SCAN's guarantee: a key that is there from the first call to the last is returned at least once.

While one connection scans, the same loop adds, removes, renames and expires other keys on a second one, so
that tables grow and shrink between the calls; which of them run in a round is itself random. A key that
was never there is never returned, and a scan ends. scan_elements.py does the same for HSCAN, SSCAN and ZSCAN.
"""

import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from checks import check, expect, expect_equal, main  # noqa: E402
from resp import plain  # noqa: E402

PIPELINE = 500
CHURN_NAMES_MAX = 15000
CHURN_STEPS_MAX = 300


def pipeline(connection, commands):
    """Send many commands, read their replies; errors are not expected."""
    for start in range(0, len(commands), PIPELINE):
        part = commands[start:start + PIPELINE]
        for command in part:
            connection.send(*command)
        for command in part:
            reply = connection.read()
            expect(reply.kind != "error", "%s answered %s" % (command, reply.value))


def fill(connection, prefix, count):
    pipeline(connection, [("SET", "%s:%d" % (prefix, number), number) for number in range(count)])
    return {b"%s:%d" % (prefix.encode(), number) for number in range(count)}


def scan_all(connection, between=None, count=lambda: 10, extra=()):
    """All names a whole scan returns, in order, with repeats; `between` runs between the calls."""
    names, cursor, calls = [], b"0", 0
    while True:
        cursor, page = plain(connection.call("SCAN", cursor, "COUNT", count(), *extra))
        names += page
        calls += 1
        if cursor == b"0":
            return names
        expect(calls < 200000, "the scan does not end")
        if between:
            between(calls)


class Churn:
    """Changes other keys, in one of several ways, a few at a time."""

    WAYS = ("add", "remove", "grow", "shrink", "expire", "rename", "overwrite")

    def __init__(self, context, connection):
        self.random = context.random
        self.connection = connection
        self.made = 0
        self.present = []
        self.ways = [way for way in self.WAYS if self.random.random() < 0.6] or ["add"]
        context.note("changes: " + " ".join(self.ways))

    def step(self, calls):
        if calls > CHURN_STEPS_MAX:
            return
        way = self.random.choice(self.ways)
        pipeline(self.connection, getattr(self, way)())

    def new_names(self, count):
        count = max(0, min(count, CHURN_NAMES_MAX - self.made))
        names = ["churn:%d" % number for number in range(self.made, self.made + count)]
        self.made += count
        self.present += names
        return names

    def some(self, count):
        chosen = []
        while self.present and len(chosen) < count:
            at = self.random.randrange(len(self.present))
            self.present[at], self.present[-1] = self.present[-1], self.present[at]
            chosen.append(self.present.pop())
        return chosen

    def add(self):
        return [("SET", name, "v") for name in self.new_names(self.random.randint(1, 50))]

    def grow(self):
        return [("SET", name, "v") for name in self.new_names(2000)]

    def remove(self):
        return [("DEL", name) for name in self.some(self.random.randint(1, 50))]

    def shrink(self):
        return [("DEL", name) for name in self.some(len(self.present))]

    def expire(self):
        return [("PEXPIRE", name, "1") for name in self.some(self.random.randint(1, 50))]

    def rename(self):
        names = self.some(5)
        return [("RENAME", name, other) for name, other in zip(names, self.new_names(len(names)))]

    def overwrite(self):
        return [("SET", name, "w" * self.random.randint(1, 200)) for name in self.present[:20]]


def check_round(context, fixed_count, extra=(), wanted=None):
    connection, other = context.connect(), context.connect()
    connection.call("FLUSHALL")
    fixed = fill(connection, "fixed", fixed_count)
    churn = Churn(context, other)
    pipeline(other, churn.grow())
    limit = context.random.choice([20, 100, 1000])
    names = scan_all(connection, churn.step, lambda: context.random.randint(1, limit), extra)
    missing = (wanted or fixed) - set(names)
    expect(not missing, "%d of %d keys were never returned, such as %s"
           % (len(missing), fixed_count, sorted(missing)[:3]))
    known = {b"churn:%d" % number for number in range(churn.made)} | fixed
    expect(set(names) <= known, "names that never were: %s" % sorted(set(names) - known)[:3])
    context.note("%d names for %d keys" % (len(names), fixed_count))
    if wanted:
        expect(set(names) <= wanted, "names outside the pattern")


@check(threads=(1, 4))
def a_quiet_scan_returns_every_key_once_at_any_count(context):
    connection = context.connect()
    fixed = fill(connection, "fixed", 3000)
    for count in (1, 2, 3, 7, 10, 100, 999, 100000):
        names = scan_all(connection, count=lambda: count)
        expect_equal(set(names), fixed, "names with COUNT %d" % count)
        expect(len(names) <= 1.05 * len(fixed), "%d names for %d keys" % (len(names), len(fixed)))


@check(threads=(1, 4))
def keys_present_throughout_are_returned_while_others_change(context):
    for number in range(12):
        check_round(context, context.random.choice([1, 10, 500, 3000]))


@check(threads=(1, 4))
def a_pattern_changes_nothing_about_the_guarantee(context):
    wanted = {b"fixed:%d" % number for number in range(2000) if str(number).endswith("7")}
    for number in range(4):
        check_round(context, 2000, ("MATCH", "fixed:*7"), wanted)


@check(threads=(1, 4))
def a_type_filter_changes_nothing_about_the_guarantee(context):
    for number in range(3):
        check_round(context, 2000, ("TYPE", "string"))


@check(threads=(1, 4))
def a_table_that_shrinks_to_little_during_the_scan(context):
    connection, other = context.connect(), context.connect()
    for number in range(4):
        connection.call("FLUSHALL")
        fixed = fill(connection, "fixed", 20)
        fill(connection, "bulk", 20000)
        calls_before = context.random.randint(1, 40)

        def drop(calls):
            if calls == calls_before:
                pipeline(other, [("UNLINK", "bulk:%d" % name) for name in range(20000)])

        names = scan_all(connection, drop, lambda: 50)
        expect(fixed <= set(names), "lost: %s" % sorted(fixed - set(names))[:3])


@check(threads=(1, 4))
def a_table_that_grows_from_little_during_the_scan(context):
    connection, other = context.connect(), context.connect()
    for number in range(4):
        connection.call("FLUSHALL")
        fixed = fill(connection, "fixed", 200)
        calls_before = context.random.randint(1, 10)

        def grow(calls):
            if calls == calls_before:
                fill(other, "bulk", 30000)

        names = scan_all(connection, grow, lambda: 5)
        expect(fixed <= set(names), "lost: %s" % sorted(fixed - set(names))[:3])


@check(threads=(1, 4))
def several_scans_at_once_while_others_write(context):
    connection = context.connect()
    fixed = fill(connection, "fixed", 2000)
    stop = threading.Event()
    problems = []

    def write(number):
        writer = context.server.connect()
        made = 0
        while not stop.is_set():
            names = ["w%d:%d" % (number, made + at) for at in range(200)]
            pipeline(writer, [("SET", name, "v") for name in names])
            pipeline(writer, [("DEL", name) for name in names[context.random.randint(0, 199):]])
            made += 200
        writer.close()

    def scan():
        scanner = context.server.connect()
        for _ in range(3):
            missing = fixed - set(scan_all(scanner, count=lambda: 100, extra=("MATCH", "fixed:*")))
            if missing:
                problems.append("lost: %s" % sorted(missing)[:3])
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


@check(threads=(1, 4))
def a_scan_of_one_database_shows_nothing_of_another(context):
    connection = context.connect()
    fixed = fill(connection, "zero", 300)
    connection.call("SELECT", "1")
    other = fill(connection, "one", 300)
    expect_equal(set(scan_all(connection)), other, "names in database 1")
    connection.call("SELECT", "0")
    expect_equal(set(scan_all(connection)), fixed, "names in database 0")
    connection.call("SWAPDB", "0", "1")
    expect_equal(set(scan_all(connection)), other, "names after SWAPDB")


if __name__ == "__main__":
    sys.exit(main(__doc__))
