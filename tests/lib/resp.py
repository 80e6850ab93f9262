"""RESP2 and RESP3 for tests: a strict reply reader and one blocking connection with deadlines.

A reply is a `Reply(kind, value)` and keeps its wire type, because the tests check types, not only
values: `$-1` and `*-1` are different kinds, `+OK` is not `$2 OK`.

    kind       value                      wire
    status     bytes                      +
    error      bytes                      -   (and RESP3 !)
    integer    int                        :
    bulk       bytes                      $
    nil        None                       $-1 and RESP3 _
    nil-array  None                       *-1
    array      list of Reply              *
    push       list of Reply              >
    set        list of Reply              ~
    map        list of (Reply, Reply)     %
    double     bytes, as sent             ,
    boolean    bool                       #
    bignum     bytes                      (
    verbatim   (format, bytes)            =
    closed     None                       the peer closed the connection
"""

import collections
import select
import socket
import struct
import time

Reply = collections.namedtuple("Reply", "kind value")
CLOSED = Reply("closed", None)
NIL = Reply("nil", None)
NIL_ARRAY = Reply("nil-array", None)

LINE_BYTES_MAX = 1 << 20
READ_BYTES = 1 << 18
LARGE_BYTES = 4 << 20


class ProtocolError(Exception):
    """The server sent bytes that are not RESP."""


class Timeout(Exception):
    """No whole reply arrived before the deadline."""


class Closed(Exception):
    """The peer closed while a reply was expected."""


def to_bytes(value):
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, str):
        return value.encode()
    return str(value).encode()


def encode(argv):
    """A command as a multibulk frame."""
    parts = [b"*%d\r\n" % len(argv)]
    for arg in argv:
        data = to_bytes(arg)
        parts.append(b"$%d\r\n" % len(data))
        parts.append(data)
        parts.append(b"\r\n")
    return b"".join(parts)


class Connection:
    """One client connection. Every read takes a deadline; nothing here sleeps."""

    def __init__(self, port, host="127.0.0.1", timeout=5.0, proto=2):
        self.timeout = timeout
        self.sock = socket.create_connection((host, port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.start = 0
        if proto == 3:
            reply = self.call("HELLO", "3")
            if reply.kind != "map":
                raise ProtocolError("HELLO 3 answered %r" % (reply,))

    # -- sending -----------------------------------------------------------------------------

    def send_bytes(self, data):
        self.sock.settimeout(max(self.timeout, len(data) / 5e6))
        try:
            self.sock.sendall(data)
        except socket.timeout:
            raise Timeout("the server does not read")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the reply, if any, or the close is still to be read

    def send(self, *argv):
        self.send_bytes(encode(argv))

    def call(self, *argv, timeout=None):
        """Send one command, return its reply; pushes that come first are skipped."""
        self.send(*argv)
        while True:
            reply = self.read(timeout)
            if reply.kind != "push":
                return reply

    # -- reading -----------------------------------------------------------------------------

    def read(self, timeout=None):
        """The next reply or push. Raises Timeout, Closed or ProtocolError."""
        self.deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        reply = self._read_value()
        if self.start == len(self.buffer):
            self.buffer = bytearray()
            self.start = 0
        return reply

    def read_bytes(self, count, timeout=None):
        """Exactly `count` raw bytes."""
        self.deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        return bytes(self._take(count))

    def wait_readable(self, seconds):
        """Whether something (a reply, or the close) is there to read within `seconds`."""
        if self.start < len(self.buffer):
            return True
        return bool(select.select([self.sock], [], [], seconds)[0])

    def wait_closed(self, timeout=None):
        """Read up to the peer's close; returns the unread bytes. Raises Timeout if it stays open."""
        self.deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        try:
            while True:
                self._fill()
        except Closed:
            rest = bytes(self.buffer[self.start:])
            self.buffer, self.start = bytearray(), 0
            return rest

    def _fill(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise Timeout("no reply")
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(READ_BYTES)
        except socket.timeout:
            raise Timeout("no reply")
        except (ConnectionResetError, BrokenPipeError):
            raise Closed("connection reset")
        if not data:
            raise Closed("connection closed")
        if self.start > READ_BYTES:
            del self.buffer[:self.start]
            self.start = 0
        self.buffer += data

    def _take(self, count):
        if count > LARGE_BYTES:
            return self._take_large(count)
        while len(self.buffer) - self.start < count:
            self._fill()
        data = self.buffer[self.start:self.start + count]
        self.start += count
        return data

    def _take_large(self, count):
        """Read straight into the result: growing the buffer would copy a large value many times."""
        data = bytearray(count)
        have = min(count, len(self.buffer) - self.start)
        data[:have] = self.buffer[self.start:self.start + have]
        self.start += have
        view = memoryview(data)
        while have < count:
            self.sock.settimeout(max(self.deadline - time.monotonic(), 0.001))
            try:
                received = self.sock.recv_into(view[have:])
            except socket.timeout:
                raise Timeout("no reply")
            except (ConnectionResetError, BrokenPipeError):
                raise Closed("connection reset")
            if received == 0:
                raise Closed("connection closed")
            have += received
        return data

    def _read_line(self):
        scanned = 0
        while True:
            end = self.buffer.find(b"\r\n", self.start + scanned)
            if end >= 0:
                break
            scanned = max(0, len(self.buffer) - self.start - 1)
            if scanned > LINE_BYTES_MAX:
                raise ProtocolError("a line of more than %d bytes" % LINE_BYTES_MAX)
            self._fill()
        line = bytes(self.buffer[self.start:end])
        self.start = end + 2
        return line

    def _read_blob(self, length):
        data = bytes(self._take(length))
        if bytes(self._take(2)) != b"\r\n":
            raise ProtocolError("a bulk string of %d bytes without CRLF at its end" % length)
        return data

    def _read_value(self):
        line = self._read_line()
        if not line:
            raise ProtocolError("an empty line instead of a reply")
        tag, rest = line[:1], line[1:]
        if tag == b"+":
            return Reply("status", rest)
        if tag == b"-":
            return Reply("error", rest)
        if tag == b":":
            return Reply("integer", read_int(rest))
        if tag == b"$":
            length = read_int(rest)
            return NIL if length == -1 else Reply("bulk", self._read_blob(length))
        if tag == b"*":
            count = read_int(rest)
            return NIL_ARRAY if count == -1 else Reply("array", self._read_many(count))
        if tag == b"_":
            return NIL
        if tag in b"~>":
            return Reply("set" if tag == b"~" else "push", self._read_many(read_int(rest)))
        if tag == b"%":
            items = self._read_many(2 * read_int(rest))
            return Reply("map", list(zip(items[::2], items[1::2])))
        if tag == b",":
            return Reply("double", rest)
        if tag == b"#":
            if rest not in (b"t", b"f"):
                raise ProtocolError("boolean %r" % rest)
            return Reply("boolean", rest == b"t")
        if tag == b"(":
            return Reply("bignum", rest)
        if tag == b"=":
            data = self._read_blob(read_int(rest))
            return Reply("verbatim", (data[:3], data[4:]))
        if tag == b"!":
            return Reply("error", self._read_blob(read_int(rest)))
        if tag == b"|":  # attributes are read and dropped
            self._read_many(2 * read_int(rest))
            return self._read_value()
        raise ProtocolError("a reply that starts with %r" % line[:40])

    def _read_many(self, count):
        return [self._read_value() for _ in range(count)]

    # -- ending ------------------------------------------------------------------------------

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def abort(self):
        """Close with a reset instead of an orderly shutdown."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def read_int(text):
    try:
        return int(text)
    except ValueError:
        raise ProtocolError("a length or integer that reads %r" % text)


def plain(reply):
    """A reply as simple Python values, for tests that do not care about wire types."""
    if reply.kind in ("array", "push", "set"):
        return [plain(item) for item in reply.value]
    if reply.kind == "map":
        return {plain(key): plain(value) for key, value in reply.value}
    if reply.kind == "verbatim":
        return reply.value[1]
    return reply.value
