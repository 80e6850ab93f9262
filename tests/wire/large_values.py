#!/usr/bin/env python3
"""Large values: 64 MB there and back, the 512 MB limit, and memory that stays in proportion.

Needs about 2 GB of free memory; a check that would need more than there is is skipped.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from checks import Skipped, check, expect, expect_equal, main  # noqa: E402
from resp import encode  # noqa: E402

MB = 1 << 20
LIMIT = 512 * MB
TOO_LONG = b"ERR string exceeds maximum allowed size (proto-max-bulk-len)"
TIMEOUT = 60


def need_free_memory(count):
    with open("/proc/meminfo") as meminfo:
        fields = dict(line.split(":", 1) for line in meminfo)
    free = int(fields["MemAvailable"].split()[0]) * 1024
    if free < count:
        raise Skipped("needs %d MB of free memory" % (count // MB))


def value_of(bytes_count):
    """Not all the same byte, so that a misplaced block is noticed."""
    block = b"".join(b"%015d\n" % number for number in range(65536))
    return (block * (bytes_count // len(block) + 1))[:bytes_count]


def check_memory(context, before, allowed, what):
    """Memory comes back, or stays within `allowed` bytes of what it was."""
    context.until(lambda: context.server.resident_bytes() - before < allowed, 10,
                  "%s: %d MB above the start" % (what, (context.server.resident_bytes() - before) // MB))


@check()
def a_value_of_64_mb_goes_there_and_back(context):
    need_free_memory(1024 * MB)
    connection = context.connect(TIMEOUT)
    value = value_of(64 * MB)
    for name in ("one", "two"):
        expect_equal(connection.call("SET", name, value).value, b"OK", "SET")
    expect_equal(connection.call("STRLEN", "one").value, len(value), "STRLEN")
    expect(connection.call("GET", "two").value == value, "GET returns other bytes")
    expect_equal(connection.call("GETRANGE", "one", 40 * MB, 40 * MB + 31).value,
                 value[40 * MB:40 * MB + 32], "GETRANGE")
    replies = connection.call("MGET", "one", "two").value
    expect([reply.value for reply in replies] == [value, value], "MGET returns other bytes")
    expect_equal(connection.call("DEL", "one", "two").value, 2, "DEL")


@check()
def a_large_value_costs_its_size_and_comes_back(context):
    need_free_memory(1024 * MB)
    connection = context.connect(TIMEOUT)
    before = context.server.resident_bytes()
    value = value_of(64 * MB)
    connection.call("SET", "k", value)
    check_memory(context, before, 2.2 * len(value), "after SET of 64 MB")
    for _ in range(5):
        connection.call("GET", "k")
    check_memory(context, before, 2.2 * len(value), "after GET of 64 MB five times")
    for _ in range(5):
        connection.call("SET", "k", value)
    check_memory(context, before, 2.2 * len(value), "after SET of 64 MB five times")
    connection.call("DEL", "k")
    connection.close()
    check_memory(context, before, 24 * MB, "after DEL")


@check()
def a_large_value_grows_by_append_without_copies_that_stay(context):
    need_free_memory(1024 * MB)
    connection = context.connect(TIMEOUT)
    before = context.server.resident_bytes()
    part = value_of(1 * MB)
    for number in range(64):
        expect_equal(connection.call("APPEND", "k", part).value, (number + 1) * MB, "APPEND")
    check_memory(context, before, 160 * MB, "after growing to 64 MB")
    expect(connection.call("GET", "k").value == part * 64, "GET returns other bytes")


@check()
def small_commands_go_on_while_a_large_value_arrives(context):
    slow, quick = context.connect(TIMEOUT), context.connect()
    frame = encode(["SET", "k", value_of(32 * MB)])
    step = 1 * MB
    for start in range(0, len(frame), step):
        slow.send_bytes(frame[start:start + step])
        expect_equal(quick.call("PING").value, b"PONG", "PING")
    expect_equal(slow.read().value, b"OK", "SET")


@check()
def a_value_of_512_mb_is_the_limit(context):
    need_free_memory(4096 * MB)
    connection = context.connect(TIMEOUT)
    expect_equal(connection.call("SETRANGE", "k", LIMIT - 1, "x").value, LIMIT, "SETRANGE to the limit")
    expect_equal(connection.call("STRLEN", "k").value, LIMIT, "STRLEN")
    expect_equal(connection.call("APPEND", "k", "x").value, TOO_LONG, "APPEND past the limit")
    expect_equal(connection.call("SETRANGE", "k", LIMIT, "x").value, TOO_LONG, "SETRANGE past it")
    expect_equal(connection.call("GETRANGE", "k", LIMIT - 2, -1).value, b"\0x", "GETRANGE of the end")
    expect_equal(connection.call("BITCOUNT", "k").value, bin(ord("x")).count("1"), "BITCOUNT")
    expect_equal(connection.call("BITPOS", "k", "1").value, 8 * (LIMIT - 1) + 1, "BITPOS")
    value = connection.call("GET", "k").value
    expect_equal((len(value), value[-2:]), (LIMIT, b"\0x"), "length and end of GET")


@check()
def the_last_bit_of_512_mb(context):
    need_free_memory(2048 * MB)
    connection = context.connect(TIMEOUT)
    expect_equal(connection.call("SETBIT", "k", 4294967295, "1").value, 0, "SETBIT")
    expect_equal(connection.call("GETBIT", "k", 4294967295).value, 1, "GETBIT")
    expect_equal(connection.call("STRLEN", "k").value, LIMIT, "STRLEN")
    expect_equal(connection.call("BITPOS", "k", "1").value, 4294967295, "BITPOS")
    reply = connection.call("BITFIELD", "k", "GET", "u8", 4294967288, "GET", "u16", 4294967288)
    expect(reply.kind in ("array", "error"), "BITFIELD at the end answered %s" % reply.kind)


@check()
def a_frame_above_512_mb_is_refused_at_its_header(context):
    before = context.server.resident_bytes()
    connection = context.connect()
    connection.send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (LIMIT + 1))
    expect_equal(connection.read().value, b"ERR Protocol error: invalid bulk length", "the header")
    connection.wait_closed()
    check_memory(context, before, 16 * MB, "after the refusal")


@check()
def announced_lengths_cost_nothing_until_bytes_arrive(context):
    before = context.server.resident_bytes()
    connections = [context.connect() for _ in range(40)]
    for connection in connections:
        connection.send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\nabc" % LIMIT)
    expect_equal(context.connect().call("PING").value, b"PONG", "PING")
    check_memory(context, before, 64 * MB, "40 connections that announce 512 MB each")
    for connection in connections:
        connection.close()
    many = [context.connect() for _ in range(40)]
    for connection in many:
        connection.send_bytes(b"*1000000\r\n$4\r\nMGET\r\n$1\r\nk\r\n")
    expect_equal(context.connect().call("PING").value, b"PONG", "PING")
    check_memory(context, before, 64 * MB, "40 connections that announce a million arguments each")


@check()
def a_connection_that_dies_inside_a_large_frame_gives_its_memory_back(context):
    need_free_memory(1024 * MB)
    before = context.server.resident_bytes()
    part = value_of(20 * MB)
    for _ in range(10):
        connection = context.connect(TIMEOUT)
        connection.send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (100 * MB) + part)
        connection.abort()
    check_memory(context, before, 80 * MB, "after ten broken frames of 20 MB")
    expect_equal(context.connect().call("EXISTS", "k").value, 0, "EXISTS")


@check()
def copies_and_bit_operations_on_large_values(context):
    need_free_memory(1024 * MB)
    connection = context.connect(TIMEOUT)
    value = value_of(32 * MB)
    connection.call("SET", "a", value)
    expect_equal(connection.call("COPY", "a", "b").value, 1, "COPY")
    expect_equal(connection.call("BITOP", "XOR", "d", "a", "b").value, len(value), "BITOP XOR")
    expect_equal(connection.call("BITCOUNT", "d").value, 0, "BITCOUNT of the difference")
    expect_equal(connection.call("BITOP", "NOT", "d", "a").value, len(value), "BITOP NOT")
    ones = connection.call("BITCOUNT", "a").value + connection.call("BITCOUNT", "d").value
    expect_equal(ones, 8 * len(value), "BITCOUNT of a value and of its complement")
    expect_equal(connection.call("GETDEL", "a").value == value, True, "GETDEL")


if __name__ == "__main__":
    sys.exit(main(__doc__))
