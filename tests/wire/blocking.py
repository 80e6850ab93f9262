#!/usr/bin/env python3
"""Clients that wait for keys, on several workers: nobody is forgotten, nothing is lost or given out twice, order of
arrival holds, and timeouts, CLIENT UNBLOCK and disconnects race with pushes without harm.
"""

import collections
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from checks import Skipped, check, expect, expect_equal, main  # noqa: E402
from resp import Closed, encode, plain  # noqa: E402
from server import info_fields  # noqa: E402

SECONDS = 2.0
WORKERS = "--threads 4"


def blocked(connection):
    return int(info_fields(connection, "clients")["blocked_clients"])


def need(connection, *names):
    for name in names:
        if plain(connection.call("COMMAND", "INFO", name)) == [None]:
            raise Skipped("no %s yet" % name)


def block(context, control, count, *command):
    """`count` connections that wait with the command, in this order."""
    before = blocked(control)
    connections = []
    for i in range(count):
        connection = context.connect()
        connection.send(*command)
        context.until(lambda: blocked(control) == before + i + 1, 5, "client %d waits" % i)
        connections.append(connection)
    return connections


def run_threads(context, bodies):
    """Runs every body(connection, stop) in a thread of its own for SECONDS; raises what they raised."""
    stop = threading.Event()
    problems = []

    def run(body, connection):
        try:
            body(connection, stop)
        except Exception as problem:  # pylint: disable=broad-except
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(body, context.connect())) for body in bodies]
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    stop.set()
    for thread in threads:
        thread.join(20)
    expect(not problems, "a client failed: %r" % problems[:1])
    expect(not any(thread.is_alive() for thread in threads), "a client hangs")


# -- order ----------------------------------------------------------------------------------------------

def serves_in_order(context, pop, push):
    control = context.connect()
    need(control, pop[0])
    waiting = block(context, control, 16, *pop)
    for i in range(16):
        control.call(*push(i))
    answers = [plain(connection.read())[-1] for connection in waiting]
    expect_equal(answers, [b"%d" % i for i in range(16)], "answers in order of arrival")


@check(WORKERS)
def lists_serve_in_order_of_arrival(context):
    serves_in_order(context, ("BLPOP", "k", "0"), lambda i: ("RPUSH", "k", i))


@check(WORKERS)
def sorted_sets_serve_in_order_of_arrival(context):
    serves_in_order(context, ("BZPOPMIN", "k", "0"), lambda i: ("ZADD", "k", i, "m%d" % i))


@check(WORKERS)
def one_push_serves_as_many_as_it_has_elements(context):
    control = context.connect()
    need(control, "BLPOP")
    waiting = block(context, control, 8, "BLPOP", "none", "k", "0")
    expect_equal(control.call("RPUSH", "k", *range(5)).value, 5, "the length before anybody was served")
    answers = [plain(connection.read()) for connection in waiting[:5]]
    expect_equal(answers, [[b"k", b"%d" % i] for i in range(5)], "answers")
    expect_equal(blocked(control), 3, "clients that still wait")
    expect_equal(control.call("EXISTS", "k").value, 0, "the emptied list")
    control.call("RPUSH", "none", *range(10))
    context.until(lambda: blocked(control) == 0, 5, "the rest is served through the other key")
    expect_equal(control.call("LLEN", "none").value, 7, "what is left")
    fields = info_fields(control, "clients")
    context.until(lambda: info_fields(control, "clients")["total_blocking_keys"] == "0", 5,
                  "no queue is left, not %s" % fields["total_blocking_keys"])


@check(WORKERS)
def a_stream_wakes_every_reader(context):
    control = context.connect()
    need(control, "XREAD")
    waiting = block(context, control, 8, "XREAD", "BLOCK", "0", "STREAMS", "other", "s", "$", "$")
    control.call("XADD", "s", "5-1", "f", "v")
    for connection in waiting:
        expect_equal(plain(connection.read()), [[b"s", [[b"5-1", [b"f", b"v"]]]]], "what a reader gets")


# -- chains ---------------------------------------------------------------------------------------------

@check(WORKERS)
def an_element_moves_through_a_chain_of_waiters(context):
    control = context.connect()
    need(control, "BLMOVE")
    names = ["list%d" % i for i in range(12)]
    movers = [block(context, control, 1, "BLMOVE", source, target, "LEFT", "RIGHT", "0")[0]
              for source, target in zip(names, names[1:])]
    last = block(context, control, 1, "BLPOP", names[-1], "0")[0]
    control.call("RPUSH", names[0], "x")
    for mover in movers:
        expect_equal(mover.read().value, b"x", "what a mover gets")
    expect_equal(plain(last.read()), [names[-1].encode(), b"x"], "what comes out at the end")
    expect_equal(control.call("DBSIZE").value, 0, "keys left")


@check(WORKERS)
def a_key_of_the_wrong_type_wakes_nobody(context):
    control = context.connect()
    need(control, "BLPOP", "SADD")
    waiting = block(context, control, 1, "BLPOP", "k", "0")[0]
    control.call("SET", "k", "text")
    control.call("DEL", "k")
    control.call("SADD", "k", "member")
    control.call("DEL", "k")
    expect_equal(blocked(control), 1, "clients that wait")
    control.call("RPUSH", "other", "x")
    control.call("RENAME", "other", "k")
    expect_equal(plain(waiting.read()), [b"k", b"x"], "after RENAME")


@check(WORKERS)
def whatever_creates_the_key_serves(context):
    control = context.connect()
    need(control, "BLPOP", "LMOVE", "SORT", "COPY")
    for name, commands in {
            "copy": [("RPUSH", "a", "x"), ("COPY", "a", "k")],
            "rename": [("RPUSH", "a", "x"), ("RENAMENX", "a", "k")],
            "lmove": [("RPUSH", "a", "x"), ("LMOVE", "a", "k", "LEFT", "LEFT")],
            "sort": [("RPUSH", "a", "x"), ("SORT", "a", "ALPHA", "STORE", "k")],
            "linsert": [("RPUSH", "k", "x")],
            "move": [("SELECT", "1"), ("RPUSH", "k", "x"), ("MOVE", "k", "0"), ("SELECT", "0")],
            "swapdb": [("SELECT", "1"), ("RPUSH", "k", "x"), ("SELECT", "0"), ("SWAPDB", "0", "1")]}.items():
        waiting = block(context, control, 1, "BRPOP", "k", "0")[0]
        for command in commands:
            control.call(*command)
        expect_equal(plain(waiting.read()), [b"k", b"x"], name)
        control.call("FLUSHALL")


# -- going away -----------------------------------------------------------------------------------------

@check(WORKERS)
def who_disconnects_takes_nothing_along(context):
    control = context.connect()
    need(control, "BLPOP")
    for round_number in range(10):
        waiting = block(context, control, 5, "BLPOP", "k", "k2", "0")
        for connection in waiting[:4]:
            connection.close()
        context.until(lambda: blocked(control) == 1, 5, "the closed clients wait no more")
        control.call("RPUSH", "k", round_number)
        expect_equal(plain(waiting[4].read()), [b"k", b"%d" % round_number], "the last one is served")
        waiting[4].close()


@check(WORKERS)
def unblocked_and_timed_out_clients_go_on(context):
    control = context.connect()
    need(control, "BLPOP")
    connection = context.connect()
    client = connection.call("CLIENT", "ID").value
    for reason, answer in (("TIMEOUT", None), ("ERROR", b"UNBLOCKED client unblocked via CLIENT UNBLOCK")):
        connection.send("BLPOP", "k", "0")
        context.until(lambda: blocked(control) == 1, 5, "the client waits")
        expect_equal(control.call("CLIENT", "UNBLOCK", client, reason).value, 1, "CLIENT UNBLOCK")
        expect_equal(connection.read().value, answer, "the answer")
        expect_equal(control.call("CLIENT", "UNBLOCK", client, reason).value, 0, "CLIENT UNBLOCK again")
    started = time.monotonic()
    expect_equal(connection.call("BLPOP", "k", "0.05").value, None, "after the timeout")
    expect(0.04 < time.monotonic() - started < 2, "the timeout took %g s" % (time.monotonic() - started))
    expect_equal(connection.call("RPUSH", "k", "x").value, 1, "a push afterwards")
    expect_equal(plain(connection.call("BLPOP", "k", "0")), [b"k", b"x"], "a pop afterwards")


# -- races ----------------------------------------------------------------------------------------------

def account(context, control, consume, names):
    """Producers push distinct elements while consumers take them: each comes out exactly once."""
    pushed = collections.Counter()
    taken = collections.Counter()
    lock = threading.Lock()

    def produce(number):
        def body(connection, stop):
            mine = []
            while not stop.is_set():
                batch = [b"%d:%d" % (number, len(mine) + i) for i in range(3)]
                connection.call("RPUSH", names[len(mine) % len(names)], *batch)
                mine += batch
            with lock:
                pushed.update(mine)
        return body

    def collect(connection, stop):
        mine = consume(connection, stop)
        with lock:
            taken.update(mine)

    def disturb(connection, stop):
        while not stop.is_set():
            for line in connection.call("CLIENT", "LIST").value.split(b"\n"):
                if b" flags=b" in line:
                    connection.call("CLIENT", "UNBLOCK", line.split()[0].split(b"=")[1])

    run_threads(context, [produce(i) for i in range(3)] + [collect] * 10 + [disturb])
    for name in names:
        taken.update(plain(control.call("LRANGE", name, 0, -1)))
    expect_equal(len(taken - pushed) + len(pushed - taken), 0, "elements that came out wrongly")
    expect(sum(taken.values()) > 100, "only %d elements were moved" % sum(taken.values()))
    expect_equal(blocked(control), 0, "clients that still wait")
    context.until(lambda: info_fields(control, "clients")["total_blocking_keys"] == "0", 5, "no queue is left")


@check(WORKERS)
def every_element_comes_out_exactly_once(context):
    control = context.connect()
    need(control, "BLPOP")
    names = ["list%d" % i for i in range(5)]

    def consume(connection, stop):
        mine = []
        while not stop.is_set():
            reply = connection.call("BLPOP", *names, "0.003")
            if reply.kind == "array":
                mine.append(plain(reply)[1])
        return mine

    account(context, control, consume, names)


@check(WORKERS)
def elements_survive_moves_between_lists(context):
    control = context.connect()
    need(control, "BLMOVE")
    names = ["list%d" % i for i in range(5)]

    def consume(connection, stop):
        number = 0
        while not stop.is_set():
            number += 1
            connection.call("BLMOVE", names[number % 5], names[(number + 2) % 5], "LEFT", "RIGHT", "0.003")
        return []

    account(context, control, consume, names)


@check(WORKERS)
def clients_that_die_while_they_wait_do_no_harm(context):
    control = context.connect()
    need(control, "BLPOP")

    def die(connection, stop):
        while not stop.is_set():
            other = context.server.connect()
            other.send("BLPOP", "k", "k2", "k3", "0")
            other.close()

    def push(connection, stop):
        while not stop.is_set():
            connection.call("RPUSH", "k2", "x")

    run_threads(context, [die] * 4 + [push] * 2)
    context.until(lambda: blocked(control) == 0, 5, "nobody waits")
    try:
        control.call("DEL", "k2")
    except Closed:
        expect(False, "the server closed the connection")


@check()
def what_follows_a_waiting_command_is_read_whole_though_it_came_in_parts(context):
    """The rest of a pipeline: a small request, and one of more words than fit a batch, cut in the middle."""
    control, waiting = context.connect(), context.connect()
    need(control, "BLPOP")
    many = encode(["DEL"] + ["key:%d" % number for number in range(3000)])
    for cut in (1, 20, 5000, len(many) - 3):
        waiting.send_bytes(encode(["BLPOP", "nothing", "0.05"]) + encode(["ECHO", "one"]) + many[:cut])
        context.until(lambda: blocked(control) == 1, 5, "the client waits")
        waiting.send_bytes(many[cut:])
        replies = [waiting.read() for _ in range(3)]
        expect_equal([plain(reply) for reply in replies], [None, b"one", 0], "replies, cut at %d" % cut)


if __name__ == "__main__":
    sys.exit(main(__doc__))
