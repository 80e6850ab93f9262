"""A program at a pseudo-terminal, and what its screen shows."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

WAIT_SECONDS = 10
ESCAPES = re.compile(rb"\x1b\[([0-9;]*)([A-Za-z])")


def render(data, columns):
    """The rows of text that `data` leaves on a screen: a terminal just good enough for a line editor."""
    rows = [bytearray()]
    row = column = 0
    at = 0
    while at < len(data):
        match = ESCAPES.match(data, at)
        byte = data[at]
        if match:
            count = int(match.group(1).split(b";")[0] or 0)
            code = match.group(2)
            if code == b"A":
                row = max(0, row - max(count, 1))
            elif code == b"B":
                row += max(count, 1)
            elif code == b"C":
                column += max(count, 1)
            elif code == b"D":
                column = max(0, column - max(count, 1))
            elif code == b"G":
                column = max(count, 1) - 1
            elif code == b"K":
                del rows[row][column:]
            elif code == b"J":
                del rows[row][column:]
                del rows[row + 1:]
            at = match.end()
        else:
            at += 1
            if byte == 13:
                column = 0
            elif byte == 10:
                row += 1
            elif byte == 8:
                column = max(0, column - 1)
            elif byte >= 32:
                if column >= columns:
                    row, column = row + 1, 0
                while len(rows) <= row:
                    rows.append(bytearray())
                rows[row].extend(b" " * (column + 1 - len(rows[row])))
                rows[row][column] = byte
                column += 1
        while len(rows) <= row:
            rows.append(bytearray())
    return [bytes(line).rstrip().decode("utf-8", "replace") for line in rows]


class Terminal:
    """Runs `argv` at a terminal of `columns`; end with close()."""

    def __init__(self, argv, env, columns=100):
        self.columns = columns
        self.output = b""
        self.status = None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(argv[0], argv, env)
            finally:
                os._exit(127)
        self.resize(columns)

    def resize(self, columns):
        self.columns = columns
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def _read(self, seconds):
        """Takes what comes within `seconds`; False when the program is gone."""
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.output += data
        return bool(data)

    def type(self, text):
        os.write(self.fd, text.encode("utf-8"))

    def screen(self):
        return render(self.output, self.columns)

    def wait_for(self, check, seconds=WAIT_SECONDS):
        """Waits until check(rows of the screen); True when it came to that."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if check(self.screen()):
                return True
            if not self._read(0.05):
                return check(self.screen())
        return False

    def wait_for_row(self, row, seconds=WAIT_SECONDS):
        """Waits until the last row with text on it is `row`."""
        return self.wait_for(lambda rows: [r for r in rows if r][-1:] == [row.rstrip()], seconds)

    def wait_end(self, seconds=WAIT_SECONDS):
        """The exit status, or None when the program still runs after `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                return self.status
        return None

    def close(self):
        if self.status is None:
            try:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
            except OSError:
                pass
        os.close(self.fd)
