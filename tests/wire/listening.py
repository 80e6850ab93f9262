#!/usr/bin/env python3
"""CONFIG SET port and bind: the server listens where it says and nowhere else, keeps sockets that stay, and is as
before when a change fails.
"""

import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from checks import Skipped, check, expect, expect_equal, main  # noqa: E402
from resp import Connection, plain  # noqa: E402
from server import free_port  # noqa: E402


def listens(port, host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(5)
        return probe.connect_ex((host, port)) == 0


def answers(port, host="127.0.0.1"):
    """A new connection gets its PONG."""
    try:
        with socket.create_connection((host, port), timeout=5) as probe:
            probe.sendall(b"PING\r\n")
            return probe.recv(7) == b"+PONG\r\n"
    except OSError:
        return False


def set_config(connection, *words):
    reply = connection.call("CONFIG", "SET", *words)
    return reply.value.decode()


def get_config(connection, name):
    return plain(connection.call("CONFIG", "GET", name))[1].decode()


def need_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        raise Skipped("no IPv6 here") from None


@check()
def a_port_can_be_changed_back_and_forth(context):
    control = context.connect()
    old, new = context.server.port, free_port()
    for _ in range(20):
        for port, other in ((new, old), (old, new)):
            expect_equal(set_config(control, "port", str(port)), "OK", "CONFIG SET port")
            expect(not listens(other), "the old port still accepts")
            expect(answers(port), "the new port does not answer")
    expect_equal(control.call("PING").value, b"PONG", "PING on the old connection")


@check()
def a_refused_change_leaves_the_old_port_alone(context):
    control = context.connect()
    old, new = context.server.port, free_port()
    text = set_config(control, "port", str(new), "maxclients", "1000000000")
    expect("possibly related to argument 'maxclients'" in text, "CONFIG SET answered " + text)
    expect(not listens(new), "the new port accepts")
    expect(answers(old), "the old port does not answer")
    expect_equal(get_config(control, "port"), str(old), "CONFIG GET port")
    expect_equal(set_config(control, "port", str(new)), "OK", "CONFIG SET port alone")
    expect(answers(new) and not listens(old), "the port did not change afterwards")
    expect_equal(set_config(control, "port", str(old)), "OK", "CONFIG SET port back")


@check()
def a_port_in_use_is_refused_and_nothing_changes(context):
    control = context.connect()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        waiting = socket.create_connection(("127.0.0.1", context.server.port))
        text = set_config(control, "port", str(port))
        expect("Unable to listen on this port" in text, "CONFIG SET answered " + text)
        waiting.sendall(b"PING\r\n")
        expect_equal(waiting.recv(7), b"+PONG\r\n", "PING of a connection made before")
        waiting.close()
    expect(answers(context.server.port), "the old port does not answer")


@check()
def addresses_overlap_on_one_port(context):
    need_ipv6()
    control, port = context.connect(), context.server.port
    every = ("127.0.0.1", "127.0.0.2", "::1")
    for bind, wanted in (("127.0.0.1 ::1", (1, 0, 1)), ("*", (1, 1, 0)), ("127.0.0.1", (1, 0, 0)),
                         ("* ::*", (1, 1, 1)), ("::1 127.0.0.2", (0, 1, 1)), ("* ::1", (1, 1, 1)),
                         ("localhost", (1, 0, 0)), ("127.0.0.1", (1, 0, 0))):
        expect_equal(set_config(control, "bind", bind), "OK", "CONFIG SET bind " + bind)
        found = tuple(int(listens(port, host)) for host in every)
        if bind != "localhost": # which of its addresses comes first is the machine's business
            expect_equal(found, wanted, "with bind %s, %s accept" % (bind, every))
        for host in every:
            expect(answers(port, host) == listens(port, host), "%s accepts but does not answer" % host)


@check()
def an_address_that_cannot_be_had_is_refused(context):
    control, port = context.connect(), context.server.port
    for bind in ("192.0.2.1", "* 192.0.2.1", "127.0.0.1 127.0.0.1", "127.0.0.2 192.0.2.1", "no.such.host.invalid"):
        text = set_config(control, "bind", bind)
        expect("Failed to bind to specified addresses" in text, "bind %s answered %s" % (bind, text))
        expect(answers(port), "127.0.0.1 does not answer after a refused bind " + bind)
        expect(not listens(port, "127.0.0.2"), "127.0.0.2 accepts after a refused bind " + bind)
    expect_equal(set_config(control, "bind", "127.0.0.1 -192.0.2.1"), "OK", "an optional address")
    expect(answers(port), "127.0.0.1 does not answer")


@check()
def an_empty_bind_or_port_0_serves_no_address(context):
    control, port = context.connect(), context.server.port
    for words, back in ((("bind", ""), ("bind", "127.0.0.1")), (("port", "0"), ("port", str(port))),
                        (("bind", "-192.0.2.1"), ("bind", "127.0.0.1"))):
        expect_equal(set_config(control, *words), "OK", "CONFIG SET %s %s" % words)
        expect(not listens(port), "%s %s still accepts" % words)
        expect_equal(control.call("PING").value, b"PONG", "PING on an old connection")
        expect_equal(set_config(control, *back), "OK", "CONFIG SET %s %s" % back)
        expect(answers(port), "%s %s does not answer" % back)


@check("--unixsocket stays")
def a_unix_socket_stays_while_ports_change(context):
    path = context.server.dir + "/stays"
    control, port = context.connect(), context.server.port
    for words in (("port", str(free_port())), ("bind", ""), ("port", "0"), ("bind", "127.0.0.1"), ("port", str(port))):
        expect_equal(set_config(control, *words), "OK", "CONFIG SET %s %s" % words)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            probe.connect(path)
            probe.sendall(b"PING\r\n")
            expect_equal(probe.recv(7), b"+PONG\r\n", "PING on the Unix socket")
    expect(answers(port), "the port does not answer in the end")


@check()
def changes_hurt_no_client(context):
    """Several connections change the port at once while others work."""
    ports = [context.server.port, free_port(), free_port()]
    clients = [context.connect() for _ in range(8)]
    for turn in range(50):
        for index, client in enumerate(clients):
            client.send_bytes(b"CONFIG SET port %d\r\nSET k%d %d\r\n" % (ports[(turn + index) % 3], index, turn))
        for client in clients:
            expect_equal(client.read().value, b"OK", "CONFIG SET port")
            expect_equal(client.read().value, b"OK", "SET")
    expect_equal(set_config(clients[0], "port", str(ports[0])), "OK", "CONFIG SET port back")
    expect(answers(ports[0]) and not listens(ports[1]) and not listens(ports[2]), "it listens somewhere else")


if __name__ == "__main__":
    sys.exit(main(__doc__))
