#!/usr/bin/env python3
"""A script that runs for too long: in the middle of a round of the worker that runs it, and alone among several workers."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from checks import check, expect, expect_equal, main  # noqa: E402
from resp import plain  # noqa: E402

BUSY = b"BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
KILLED = b"ERR Script killed by user with SCRIPT KILL. script: on @user_script:1."


def until_busy(control):
    deadline = time.monotonic() + 5
    while control.call("GET", "x").value != BUSY:
        expect(time.monotonic() < deadline, "the script does not overrun")


@check("--threads 1 --enable-debug-command yes")
@check("--threads 4 --enable-debug-command yes")
def others_are_served_and_the_round_goes_on_afterwards(context):
    control = context.connect()
    control.call("CONFIG", "SET", "busy-reply-threshold", "20")
    sleeper, other, caller = (context.connect() for _ in range(3))
    sleeper.send("DEBUG", "SLEEP", "0.2")  # so that the others come in one round, in most runs
    other.send("PING")
    caller.send("EVAL", "while true do end", "0")
    other.send("PING")
    until_busy(control)
    expect_equal(control.call("GET", "x").value, BUSY, "GET")
    expect_equal(control.call("SCRIPT", "KILL").value, b"OK", "SCRIPT KILL")
    expect_equal(caller.read().value, KILLED, "the script")
    expect(sleeper.read().value in (b"OK", BUSY), "who was sent first")  # there is no order between connections
    expect(other.read().value in (b"PONG", BUSY), "what was sent before the script")
    expect(other.read().value in (b"PONG", BUSY), "what was sent behind it")
    expect_equal(control.call("GET", "x").value, None, "GET afterwards")


# -- a script that is alone -----------------------------------------------------------------------------

WORKERS = "--threads 4"


def start(context, *requests):
    """The caller, and clients on all workers; the requests are on their way."""
    caller, *others = (context.connect() for _ in range(9))
    others[0].call("CONFIG", "SET", "busy-reply-threshold", "20")
    for words in requests:
        caller.send(*words)
    return caller, others


def all_are_answered(others):
    until_busy(others[0])
    for other in others:
        expect_equal(other.call("GET", "x").value, BUSY, "GET")
        expect_equal(other.call("SET", "x", "1").value, BUSY, "SET")
        expect_equal(other.call("DBSIZE").value, BUSY, "DBSIZE")
        expect_equal(other.call("WATCH", "x").value, b"OK", "WATCH")
        expect_equal(other.call("CLIENT", "SETNAME", "n").value, b"OK", "CLIENT SETNAME")


@check(WORKERS)
def a_script_that_is_alone_lets_other_workers_answer(context):
    caller, others = start(context, ("EVAL", "redis.call('dbsize') while true do end", "0"))
    all_are_answered(others)
    expect_equal(others[-1].call("SCRIPT", "KILL").value, b"OK", "SCRIPT KILL")
    expect_equal(caller.read().value, KILLED, "the script")
    for other in others:
        expect_equal(other.call("INCRBY", "x", "0").value, 0, "afterwards")


@check(WORKERS)
def a_script_that_was_alone_can_be_so_again(context):
    script = """local last
                local function busy(key)
                    local start = os.clock()
                    while os.clock() - start < 0.5 do last = redis.call('incr', key) end
                end
                redis.call('keys', '*')
                busy('a')
                redis.call('select', 1) redis.call('set', 'b', 1) redis.call('select', 0) redis.call('swapdb', 0, 1)
                busy('b')
                return {redis.call('dbsize'), last}"""
    caller, others = start(context, ("EVAL", script, "0"))
    all_are_answered(others)
    expect_equal(others[-1].call("SCRIPT", "KILL").value[:10], b"UNKILLABLE", "SCRIPT KILL")
    count, last = plain(caller.read())
    expect_equal(count, 1, "keys of the other database")
    for other in others:
        expect_equal(other.call("GET", "b").value, b"%d" % last, "what it has written")


@check(WORKERS)
def a_transaction_with_a_script_lets_other_workers_answer(context):
    caller, others = start(context, ("MULTI",), ("SET", "k", "1"), ("EVAL", "while true do end", "0"), ("INCR", "k"),
                           ("DBSIZE",), ("EXEC",))
    all_are_answered(others)
    expect_equal(others[-1].call("SCRIPT", "KILL").value, b"OK", "SCRIPT KILL")
    answers = [plain(caller.read()) for _ in range(6)]
    expect_equal(answers, [b"OK"] + [b"QUEUED"] * 4 + [[b"OK", KILLED, 2, 1]], "the transaction")
    for other in others:
        expect_equal(other.call("GET", "k").value, b"2", "afterwards")


@check(WORKERS)
def a_server_with_a_script_that_is_alone_can_be_shut_down(context):
    _, others = start(context, ("EVAL", "redis.call('set', 'k', 1) redis.call('dbsize') while true do end", "0"))
    until_busy(others[0])
    others[-1].send("SHUTDOWN", "NOSAVE")
    context.until(lambda: not context.server.is_alive(), 5, "the server ends")
    context.server.start()


if __name__ == "__main__":
    sys.exit(main(__doc__))
