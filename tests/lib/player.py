"""Plays one case of a case file against a server and reports what differs.

After a reply that differs the case goes on, because the connection is still in step; after a timeout, a
close or bytes that are not RESP it ends. A case gets fresh connections and an empty server.
"""

import re
import time

import pattern
from casefile import Block, Exchange, Statement, applies, choose
from pattern import Context, Special
from resp import CLOSED, Closed, Connection, ProtocolError, Timeout, plain
from values import Environment, SyntaxProblem

FAILURES_PER_CASE_MAX = 10
NOTHING_SECONDS = 0.05
POLL_SECONDS = 0.01
LONG_TEXT = 1500
RAW_HELLO = re.compile(rb"(?i)(?:hello(?:\r\n\$1\r\n|\s+)([23])|reset)\b")


class Failure:
    def __init__(self, line, command, expected, got, note=""):
        self.line, self.command, self.expected, self.got, self.note = (
            line, command, expected, got, note)

    def key(self):
        return (self.line, self.command, self.expected, self.got)


class Abort(Exception):
    """The case cannot go on; the failure is already noted."""


class Player:
    def __init__(self, server, identity, proto, timeout, seed, on_reply=None):
        self.server = server          # a running server.Server
        self.identity = identity      # (name, version)
        self.proto = proto
        self.timeout = timeout
        self.seed = seed
        self.on_reply = on_reply      # called with (expect, reply, player) by the recorder

    def play(self, case, setup=()):
        """The list of failures of this case."""
        self.failures = []
        self.connections = {}
        self.hello = {}               # connection name -> protocol the last HELLO asked for
        self.changed_config = []      # (name, value before), in order
        self.steps_played = 0
        self.env = Environment("%s:%s" % (self.seed, case.name),
                               {"port": self.server.port, "proto": self.proto,
                                "dir": self.server.dir})
        self.command = "case " + case.name
        try:
            self._play_steps(setup)
            self._play_steps(case.steps)
        except Abort:
            pass
        except (SyntaxProblem, ValueError, IndexError, TypeError) as problem:
            self._fail(self.line, "a step that can be played", "%s" % problem)
        except (OSError, Closed, Timeout, ProtocolError) as problem:
            self._fail(self.line, "a connection", "%s" % problem, self.server.exit_text())
        self._end()
        return self.failures

    def _end(self):
        """Put configuration back, on the connection that was there before it changed."""
        try:
            for name, value in reversed(self.changed_config):
                self._connection("control").call("CONFIG", "SET", name, value)
        except (OSError, Closed, Timeout, ProtocolError):
            pass  # the clean-up between cases notices
        for connection in self.connections.values():
            connection.close()

    # -- steps -------------------------------------------------------------------------------

    def _play_steps(self, steps):
        for step in steps:
            self.line = step.line
            if isinstance(step, Exchange):
                self._play_exchange(step)
            elif isinstance(step, Block):
                for number in range(1, step.count + 1):
                    self.env.variables["i"] = number
                    self._play_steps(step.steps)
            else:
                self._play_statement(step)

    def _play_exchange(self, exchange):
        marks = exchange.marks
        if not applies(marks, self.identity):
            return
        if "eventually" in marks:
            self._play_until_right(exchange, float(marks["eventually"].rstrip("s")))
        elif "cut" in marks:
            for at in range(1, len(exchange.sends[0].words[0].evaluate(self.env))):
                self._play_once(exchange, cut=at)
        else:
            for number in range(int(marks.get("repeat", 1))):
                if "repeat" in marks:
                    self.env.variables["i"] = number + 1
                self._play_once(exchange)

    def _play_until_right(self, exchange, seconds):
        deadline = time.monotonic() + seconds
        before = list(self.failures)
        while True:
            self.failures = list(before)
            self._play_once(exchange)
            if len(self.failures) == len(before) or time.monotonic() > deadline:
                return
            time.sleep(POLL_SECONDS)

    def _play_once(self, exchange, cut=None):
        for send in exchange.sends:
            self._send(send, exchange.marks, cut)
            self.steps_played += 1
        for expect in exchange.expects:
            self._check(expect)
        if len(self.failures) >= FAILURES_PER_CASE_MAX:
            raise Abort()

    def _send(self, send, marks, cut):
        self.line = send.line
        self.command = send.connection + "> " + send.text
        connection = self._connection(send.connection)
        arguments = [data for word in send.words for data in word.evaluate_many(self.env)]
        if not send.is_raw():
            connection.send(*arguments)
            self._note_hello(send.connection, arguments)
            return
        data = b"".join(arguments)
        self._note_raw_hello(send.connection, data)
        if "split" in marks:
            for at in range(len(data)):
                connection.send_bytes(data[at:at + 1])
        elif cut is not None:
            connection.send_bytes(data[:cut])
            self._turn()
            connection.send_bytes(data[cut:])
        else:
            connection.send_bytes(data)

    def _note_hello(self, name, arguments):
        verb = arguments[0].upper() if arguments else b""
        if verb == b"HELLO" and arguments[1:2] in ([b"2"], [b"3"]):
            self.hello[name] = int(arguments[1])
        elif verb == b"RESET":
            self.hello[name] = 2

    def _note_raw_hello(self, name, data):
        hello = RAW_HELLO.search(data)
        if hello:
            self.hello[name] = int(hello.group(1)) if hello.group(1) else 2

    def _turn(self):
        """Give the server a turn of its loop: a round trip on another connection."""
        self._connection("turn").call("PING")

    def _connection(self, name):
        if name not in self.connections:
            is_plain = name.startswith("raw") or name in ("turn", "control")
            connection = Connection(self.server.port, timeout=self.timeout,
                                    proto=2 if is_plain else self.proto)
            connection.proto = 2 if is_plain else self.proto
            self.connections[name] = connection
        return self.connections[name]

    # -- replies -----------------------------------------------------------------------------

    def _check(self, expect):
        chosen = choose(expect.variants, self.identity, self.proto_of(expect))
        tags, wanted, source = chosen or ((), pattern.Any(), "any")
        if isinstance(wanted, Special):
            self._check_special(expect, wanted.kind)
            return
        connection = self._connection(expect.connection)
        try:
            if "bytes" in tags:
                self._check_bytes(expect, connection, wanted)
                return
            reply = connection.read()
        except (Closed, Timeout, ProtocolError) as problem:
            self._fail(expect.line, source, str(problem), self.server.exit_text())
            if self.on_reply and isinstance(problem, Closed):
                self.on_reply(expect, CLOSED, self)
            raise Abort()
        if reply.kind != "error":
            connection.proto = self.hello.get(expect.connection, connection.proto)
        self.hello.pop(expect.connection, None)
        if self.on_reply:
            self.on_reply(expect, reply, self)
        problem = wanted.match(reply, Context(connection.proto, self.env))
        if problem:
            self._fail(expect.line, source, shorten(reply), problem)

    def proto_of(self, expect):
        """The protocol that <2 and <3 refer to: the run's, or the raw connection's own."""
        if expect.connection.startswith("raw"):
            return self._connection(expect.connection).proto
        return self.proto

    def _check_special(self, expect, kind):
        connection = self._connection(expect.connection)
        try:
            if kind == "nothing":
                if connection.wait_readable(NOTHING_SECONDS):
                    self._fail(expect.line, "(nothing)", shorten(connection.read()))
                return
            rest = connection.wait_closed()
            if rest:
                self._fail(expect.line, "(closed)", "%r before the close" % rest[:LONG_TEXT])
            self.connections.pop(expect.connection).close()
        except Closed:
            self._fail(expect.line, "(%s)" % kind, "the connection is closed")
        except (Timeout, ProtocolError) as problem:
            self._fail(expect.line, "(%s)" % kind, "still open: %s" % problem)
            raise Abort()

    def _check_bytes(self, expect, connection, word):
        wanted = word.evaluate(self.env)
        got = connection.read_bytes(len(wanted))
        if got != wanted:
            self._fail(expect.line, repr(wanted), repr(got))
            raise Abort()

    # -- statements --------------------------------------------------------------------------

    def _play_statement(self, step):
        arguments = [data for word in step.words for data in word.evaluate_many(self.env)]
        self.command = step.verb + " " + b" ".join(arguments).decode("latin-1")
        if step.verb == "open":
            self._connection(arguments[0].decode())
        elif step.verb == "close":
            self.connections.pop(arguments[0].decode()).close()
        elif step.verb == "config":
            self._set_config(step.line, arguments)
        else:
            self._check_numbers(step.line, arguments)

    def _set_config(self, line, pairs):
        control = self._connection("control")
        for name in pairs[::2]:
            before = plain(control.call("CONFIG", "GET", name))
            if len(before) == 2:
                self.changed_config.append((name, before[1]))
        reply = control.call("CONFIG", "SET", *pairs)
        if reply.kind == "error":
            self._fail(line, "OK", shorten(reply))

    def _check_numbers(self, line, arguments):
        """check A < B + C: integers, or equality of any values."""
        left, operator, right = arguments[0], arguments[1].decode(), arguments[2:]
        if operator in ("==", "!="):
            right = b"".join(right)
            holds = (left == right) == (operator == "==")
        else:
            total = int(right[0])
            for sign, term in zip(right[1::2], right[2::2]):
                total += int(term) if sign == b"+" else -int(term)
            holds = {"<": int(left) < total, "<=": int(left) <= total,
                     ">": int(left) > total, ">=": int(left) >= total}[operator]
        if not holds:
            self._fail(line, "true", "false")

    def _fail(self, line, expected, got, note=""):
        self.failures.append(Failure(line, self.command, expected, got, note))


def shorten(reply):
    text = pattern.render(reply)
    return text if len(text) <= LONG_TEXT else text[:LONG_TEXT] + "… (%d characters)" % len(text)
