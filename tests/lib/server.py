"""A server process for tests: a free port, a temporary folder, a start that is waited for."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from resp import Connection, Closed, ProtocolError, Timeout, plain

START_SECONDS_MAX = 15
STOP_SECONDS_MAX = 5
START_TRIES = 3


class StartFailed(Exception):
    """The server process did not come up."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Runs `command` with {port} and {dir} filled in; `args` is a list that is appended."""

    def __init__(self, command, args=()):
        self.command = command
        self.args = list(args)
        self.process = None
        self.port = None
        self.dir = None

    def start(self):
        for attempt in range(START_TRIES):
            self.port = free_port()
            self.dir = tempfile.mkdtemp(prefix="roan-wire-")
            os.chmod(self.dir, 0o755)
            argv = shlex.split(self.command.replace("{port}", str(self.port))
                               .replace("{dir}", self.dir)) + self.args
            self.log = open(os.path.join(self.dir, "server.log"), "wb")
            try:
                self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.log,
                                                stderr=subprocess.STDOUT)
            except OSError as problem:
                self._clean()
                raise StartFailed("cannot run %s: %s" % (argv[0], problem))
            if self._wait_until_ready():
                return self
            tail = self.log_tail()
            self.stop()
        raise StartFailed("the server did not start: %s %s\n%s"
                          % (self.command, " ".join(self.args), tail))

    def _wait_until_ready(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with Connection(self.port, timeout=2) as probe:
                    reply = probe.call("PING")
                    if not (reply.kind == "error" and reply.value.startswith(b"LOADING")):
                        return self.process.poll() is None
            except (OSError, Closed, Timeout, ProtocolError):
                pass
            time.sleep(0.01)
        return False

    def connect(self, timeout=5.0, proto=2):
        return Connection(self.port, timeout=timeout, proto=proto)

    def is_alive(self):
        return self.process is not None and self.process.poll() is None

    def is_responsive(self):
        """Alive and answering, whatever the answer is (it may be NOAUTH)."""
        if not self.is_alive():
            return False
        try:
            with self.connect(timeout=2) as probe:
                probe.call("PING")
            return True
        except (OSError, Closed, Timeout, ProtocolError):
            return False

    def resident_bytes(self):
        """Resident memory of the process and of the children it runs as (chroot, wrappers)."""
        with open("/proc/%d/statm" % self._server_pid()) as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _server_pid(self):
        pid = self.process.pid
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as children:
                first = children.read().split()
            return int(first[0]) if first else pid
        except OSError:
            return pid

    def log_tail(self, lines=15):
        try:
            with open(os.path.join(self.dir, "server.log"), "rb") as log:
                text = log.read().decode("utf-8", "replace")
            return "\n".join("    | " + line for line in text.splitlines()[-lines:])
        except OSError:
            return ""

    def exit_text(self):
        """Why the process is gone, for a failure message; empty while it runs."""
        code = self.process.poll()
        if code is None:
            return ""
        if code < 0:
            return "the server died of %s" % signal.Signals(-code).name
        return "the server exited with code %d" % code

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._clean()

    def _clean(self):
        if self.dir is not None:
            self.log.close()
            shutil.rmtree(self.dir, ignore_errors=True)
            self.dir = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def info_fields(connection, section="server"):
    """INFO as a dict of text; empty when the server has no INFO."""
    reply = connection.call("INFO", section)
    if reply.kind not in ("bulk", "verbatim"):
        return {}
    text = plain(reply).decode("utf-8", "replace")
    lines = (line.strip() for line in text.splitlines())
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def identify(connection):
    """The server's name and version, ("valkey", (9, 1)): what marks in case files refer to."""
    fields = info_fields(connection)
    for name, field in (("roan", "roan_version"), ("valkey", "valkey_version"),
                        ("redis", "redis_version")):
        if field in fields:
            numbers = fields[field].split(".")[:2]
            return name, tuple(int(number) for number in numbers)
    return "roan", (0, 0)
