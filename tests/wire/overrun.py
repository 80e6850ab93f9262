#!/usr/bin/env python3
"""A script that runs for too long, in the middle of a round of the worker that runs it."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from checks import check, expect, expect_equal, main  # noqa: E402

BUSY = b"BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE."
KILLED = b"ERR Script killed by user with SCRIPT KILL. script: on @user_script:1."


@check("--threads 1 --enable-debug-command yes")
def others_are_served_and_the_round_goes_on_afterwards(context):
    control = context.connect()
    control.call("CONFIG", "SET", "busy-reply-threshold", "20")
    sleeper, other, caller = (context.connect() for _ in range(3))
    sleeper.send("DEBUG", "SLEEP", "0.2")  # so that the others come in one round
    other.send("PING")
    caller.send("EVAL", "while true do end", "0")
    other.send("PING")
    deadline = time.monotonic() + 5
    while control.call("GET", "x").value != BUSY:
        expect(time.monotonic() < deadline, "the script does not overrun")
    expect_equal(control.call("GET", "x").value, BUSY, "GET")
    expect_equal(control.call("SCRIPT", "KILL").value, b"OK", "SCRIPT KILL")
    expect_equal(caller.read().value, KILLED, "the script")
    expect_equal(sleeper.read().value, b"OK", "who came first")
    expect_equal(other.read().value, b"PONG", "what came before the script")
    expect(other.read().value in (b"PONG", BUSY), "what came behind it")
    expect_equal(control.call("GET", "x").value, None, "GET afterwards")


if __name__ == "__main__":
    sys.exit(main(__doc__))
