"""Servers for tests that no real server can give: any bytes as a reply, redirections, silence."""

import socket
import threading

HELLO = (b"%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.0\r\n$5\r\nproto\r\n:3\r\n")


def read_command(stream):
    """The words of the next command, or None at the end of the stream."""
    line = stream.readline()
    if not line:
        return None
    if line[:1] != b"*":
        return line.split()
    words = []
    for _ in range(int(line[1:])):
        size = int(stream.readline()[1:])
        words.append(stream.read(size))
        stream.read(2)
    return words


class FakeServer:
    """Answers on a free port of the loopback interface. What it is told to do stands in the command:

        RAW bytes     answers with the bytes           CLOSE         closes without an answer
        ANSWER bytes  answers with them and closes     HANG          never answers
        INFO bytes    as RAW
    Other commands get what `replies` (name -> bytes) holds, else an error. `seen` lists all commands.
    """

    def __init__(self, replies=None):
        self.replies = {b"ping": b"+PONG\r\n", b"hello": HELLO, b"select": b"+OK\r\n"}
        self.replies.update(replies or {})
        self.seen = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while True:
                    words = read_command(stream)
                    if words is None or not self._answer(connection, words):
                        return
            except (OSError, ValueError):
                return

    def _answer(self, connection, words):
        """False when the connection is to be closed."""
        name = words[0].lower() if words else b""
        self.seen.append(words)
        if name in (b"raw", b"info") and len(words) > 1:
            connection.sendall(words[1])
        elif name == b"close":
            return False
        elif name == b"answer":
            connection.sendall(words[1])
            return False
        elif name != b"hang":
            connection.sendall(self.replies.get(name, b"-ERR unknown command\r\n"))
        return True

    def close(self):
        self.listener.close()
