#!/usr/bin/env python3
"""What a server does at its limits: too many clients, clients that do not read, that send too much, that
are idle, that die, and thousands of well-behaved ones.
"""

import os
import resource
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from checks import Failed, Skipped, check, expect, expect_equal, main  # noqa: E402
from resp import Closed, Timeout, encode, plain  # noqa: E402
from server import info_fields  # noqa: E402

MB = 1 << 20
MANY_CLIENTS = 3000


def stat(connection, name, section="stats"):
    return int(info_fields(connection, section).get(name, "-1"))


def clients(connection):
    return stat(connection, "connected_clients", "clients")


def is_closed(connection, seconds=0.0):
    """Whether the peer closed; replies on the way are dropped."""
    try:
        connection.wait_closed(seconds)
        return True
    except Timeout:
        return False


def small_receive_buffer(context):
    """A connection whose kernel buffers hold little, for clients that do not read."""
    connection = context.connect()
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return connection


# -- maxclients ---------------------------------------------------------------------------------------

@check("--maxclients 10")
def connections_above_maxclients_are_refused(context):
    control = context.connect()
    control.call("PING")
    context.until(lambda: clients(control) == 1, 5, "only the control connection is left")
    rest = [context.connect() for _ in range(9)]
    for connection in rest:
        expect_equal(connection.call("PING").value, b"PONG", "PING below the limit")
    for _ in range(3):
        extra = context.connect()
        expect_equal(extra.read().value, b"ERR max number of clients reached", "above the limit")
        extra.wait_closed()
    expect(stat(control, "rejected_connections") == 3, "rejected_connections is not 3")
    rest.pop().close()
    context.until(lambda: clients(control) == 9, 5, "the closed connection is noticed")
    expect_equal(context.connect().call("PING").value, b"PONG", "PING in the free place")


@check("--maxclients 100")
def maxclients_can_be_changed(context):
    control = context.connect()
    expect_equal(control.call("CONFIG", "SET", "maxclients", "5").value, b"OK", "CONFIG SET to 5")
    context.until(lambda: clients(control) == 1, 5, "only the control connection is left")
    rest = [context.connect() for _ in range(4)]
    for connection in rest:
        connection.call("PING")
    expect_equal(context.connect().read().value, b"ERR max number of clients reached", "the sixth")
    control.call("CONFIG", "SET", "maxclients", "50")
    expect_equal(context.connect().call("PING").value, b"PONG", "PING after raising the limit")


# -- the query buffer ---------------------------------------------------------------------------------

@check()
def a_request_above_the_query_buffer_limit_closes_the_connection(context):
    control = context.connect()
    control.call("CONFIG", "SET", "client-query-buffer-limit", str(1 * MB))
    connection = context.connect()
    connection.send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (4 * MB))
    try:
        for _ in range(40):
            connection.sock.sendall(b"x" * (MB // 10))
    except OSError:
        pass
    expect(is_closed(connection, 5), "the connection stays open")
    expect_equal(control.call("EXISTS", "k").value, 0, "EXISTS")


@check()
def a_long_pipeline_of_small_requests_is_no_large_query_buffer(context):
    control = context.connect()
    control.call("CONFIG", "SET", "client-query-buffer-limit", str(1 * MB))
    connection = context.connect()
    frame = encode(["INCR", "n"]) * 1000
    for _ in range(60):
        connection.send_bytes(frame)
        for _ in range(1000):
            connection.read()
    expect_equal(control.call("GET", "n").value, b"60000", "the counter")


@check()
def a_line_that_never_ends_is_refused(context):
    for start in (b"PING ", b"*", b"*1\r\n$"):
        connection = context.connect()
        connection.send_bytes(start + b"1" * 70000)
        reply = connection.read()
        expect(reply.kind == "error" and reply.value.startswith(b"ERR Protocol error: too big "),
               "the line %r… answered %s" % (start, reply.value))
        expect(is_closed(connection, 5), "the connection stays open")


# -- the output buffer --------------------------------------------------------------------------------

def fill_output(connection, key, count):
    """Ask for `count` large replies without reading any."""
    connection.sock.settimeout(1)
    try:
        connection.sock.sendall(encode(["GET", key]) * count)
    except OSError:
        pass


@check()
def a_client_that_does_not_read_is_closed_at_the_hard_limit(context):
    control = context.connect()
    control.call("CONFIG", "SET", "client-output-buffer-limit", "normal 2097152 0 0")
    control.call("SET", "k", "x" * (MB // 2))
    before = context.server.resident_bytes()
    lazy = small_receive_buffer(context)
    fill_output(lazy, "k", 200)
    context.until(lambda: clients(control) == 1, 10, "the client is closed")
    context.until(lambda: context.server.resident_bytes() - before < 40 * MB, 15, "memory comes back")


@check()
def a_client_that_does_not_read_is_closed_after_the_soft_seconds(context):
    control = context.connect()
    control.call("CONFIG", "SET", "client-output-buffer-limit", "normal 0 1048576 1")
    control.call("SET", "k", "x" * (MB // 2))
    lazy = small_receive_buffer(context)
    fill_output(lazy, "k", 40)
    context.until(lambda: clients(control) == 2, 3, "the client is there")
    context.until(lambda: clients(control) == 1, 15, "the client is closed")


@check()
def a_client_that_reads_late_gets_everything(context):
    control = context.connect()
    control.call("SET", "k", "x" * 100000)
    late = context.connect()
    for number in range(300):
        late.send("GET", "k")
        late.send("ECHO", str(number))
    expect_equal(control.call("PING").value, b"PONG", "PING of another client meanwhile")
    for number in range(300):
        expect_equal(len(late.read().value), 100000, "length of reply %d" % number)
        expect_equal(late.read().value, b"%d" % number, "echo %d" % number)


@check()
def a_subscriber_that_does_not_read_is_closed(context):
    control = context.connect()
    control.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1048576 0 0")
    lazy = small_receive_buffer(context)
    reply = lazy.call("SUBSCRIBE", "news")
    if reply.kind == "error":
        raise Skipped("no SUBSCRIBE yet")
    message = "x" * 10000
    context.until(lambda: control.call("PUBLISH", "news", message).value == 0, 10, "the client is closed")


# -- timeouts -----------------------------------------------------------------------------------------

@check("--timeout 1")
def an_idle_client_is_closed_after_the_timeout(context):
    idle, busy = context.connect(), context.connect()
    idle.call("PING")
    deadline = time.monotonic() + 10
    while not is_closed(idle, 0.1):
        expect_equal(busy.call("PING").value, b"PONG", "PING of the busy client")
        expect(time.monotonic() < deadline, "the idle client is not closed")


@check()
def without_a_timeout_idle_clients_stay(context):
    idle = context.connect()
    idle.call("PING")
    expect(not is_closed(idle, 2.5), "the idle client is closed")
    expect_equal(idle.call("PING").value, b"PONG", "PING after idling")


# -- clients that die ---------------------------------------------------------------------------------

@check()
def clients_that_die_in_the_middle_of_a_frame_leave_nothing(context):
    control = context.connect()
    frames = [b"*", b"*3\r\n", b"*3\r\n$3\r\nSE", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\nabc",
              b"GET ", b"\r", encode(["SET", "k", "v"])[:-1], encode(["SET", "k", "v" * 70000])[:-2]]
    for number in range(400):
        connection = context.server.connect()
        connection.send_bytes(frames[number % len(frames)])
        if number % 2:
            connection.abort()
        else:
            connection.close()
    context.until(lambda: clients(control) == 1, 10, "every dead client is gone")
    expect_equal(control.call("EXISTS", "k").value, 0, "EXISTS")


@check()
def clients_that_die_before_reading_their_replies(context):
    control = context.connect()
    control.call("SET", "k", "x" * 100000)
    for number in range(200):
        connection = context.server.connect()
        connection.send_bytes(encode(["GET", "k"]) * 20)
        if number % 2:
            connection.abort()
        else:
            connection.close()
    context.until(lambda: clients(control) == 1, 10, "every dead client is gone")


@check()
def a_half_closed_client_still_gets_its_replies(context):
    connection = context.connect()
    connection.send_bytes(encode(["SET", "k", "v"]) + encode(["GET", "k"]))
    connection.sock.shutdown(socket.SHUT_WR)
    try:
        expect_equal(connection.read().value, b"OK", "SET")
        expect_equal(connection.read().value, b"v", "GET")
    except Closed:
        pass  # allowed: the server may stop at the end of input
    expect(is_closed(connection, 5), "the connection stays open")


@check()
def commands_sent_whole_before_a_close_are_executed(context):
    control = context.connect()
    for number in range(50):
        connection = context.server.connect()
        connection.send_bytes(encode(["INCR", "n"]) * 10)
        connection.close()
    context.until(lambda: control.call("GET", "n").value == b"500", 5, "all 500 increments")


# -- client eviction ----------------------------------------------------------------------------------

@check()
def clients_are_evicted_above_maxmemory_clients(context):
    control = context.connect()
    control.call("CLIENT", "NO-EVICT", "ON")
    control.call("SET", "k", "x" * (MB // 2))
    if control.call("CONFIG", "SET", "maxmemory-clients", str(10 * MB)).kind == "error":
        raise Skipped("no maxmemory-clients")
    lazy = [small_receive_buffer(context) for _ in range(5)]
    for connection in lazy:
        fill_output(connection, "k", 12)
    context.until(lambda: stat(control, "evicted_clients") >= 1, 10, "evicted_clients counts")
    expect_equal(control.call("PING").value, b"PONG", "PING of the protected client")
    expect(clients(control) < 6, "nobody was closed")


@check()
def a_protected_client_is_not_evicted(context):
    control = context.connect()
    control.call("CLIENT", "NO-EVICT", "ON")
    if control.call("CONFIG", "SET", "maxmemory-clients", str(2 * MB)).kind == "error":
        raise Skipped("no maxmemory-clients")
    control.call("SET", "k", "x" * (4 * MB))
    expect_equal(len(control.call("GET", "k").value), 4 * MB, "GET of the protected client")
    for _ in range(3):
        try:
            reply = context.connect().call("PING")
        except Closed:
            raise Failed("a small client is evicted for the memory of a protected one")
        expect_equal(reply.value, b"PONG", "PING of a small client")
    big = context.connect()
    big.send_bytes(b"*3\r\n$3\r\nSET\r\n$1\r\nj\r\n$%d\r\n" % (8 * MB))
    try:
        for _ in range(60):
            big.sock.sendall(b"x" * (MB // 10))
    except OSError:
        pass
    context.until(lambda: clients(control) == 1, 10, "the large client is evicted")


# -- many clients -------------------------------------------------------------------------------------

@check("--maxclients 10000")
def thousands_of_connections_work(context):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MANY_CLIENTS + 100:
        raise Skipped("the limit of open files is %d" % hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 20000)), hard))
    control = context.connect()
    limit = int(plain(control.call("CONFIG", "GET", "maxclients"))[1])
    count = min(MANY_CLIENTS, limit - 10)
    before = context.server.resident_bytes()
    many = [context.connect() for _ in range(count)]
    for connection in many:
        connection.send("INCR", "n")
    for connection in many:
        connection.read()
    expect_equal(control.call("GET", "n").value, b"%d" % count, "one increment per connection")
    expect_equal(clients(control), count + 1, "connected_clients")
    each = (context.server.resident_bytes() - before) // count
    context.note("%d bytes per connection" % each)
    expect(each < 40000, "%d bytes per connection" % each)
    for round_number in range(3):
        for connection in many:
            connection.send("ECHO", str(round_number))
        for connection in many:
            expect_equal(connection.read().value, b"%d" % round_number, "ECHO")
    for connection in many:
        connection.close()
    context.until(lambda: clients(control) == 1, 10, "every connection is gone")


@check()
def connections_come_and_go_quickly(context):
    control = context.connect()
    for number in range(2000):
        with context.server.connect() as connection:
            connection.send_bytes(encode(["INCR", "n"]))
            expect_equal(connection.read().value, number + 1, "INCR")
    context.until(lambda: clients(control) == 1, 10, "every connection is gone")


if __name__ == "__main__":
    sys.exit(main(__doc__))
