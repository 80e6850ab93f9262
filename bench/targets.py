"""The servers that bench.py measures: started alone on one CPU, found again by the port they listen on.

A target is a name and a command with {port} (and, if wanted, {dir}, a temporary folder that is also its
working directory). The process that we start may be a wrapper (chroot, a shell, a container client), so
the server is whoever holds the listening socket. CPU time is what the kernel's scheduler accounted to its
threads, in nanoseconds: /proc/PID/task/*/schedstat.
"""

import glob
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS_MAX = 20
STOP_SECONDS_MAX = 5
BATCH_REQUESTS = 1000


class TargetFailed(Exception):
    """The server did not start, or is gone."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_cpu(cpu):
    """For Popen(preexec_fn=...): puts the child, and what it starts, on one CPU."""
    return lambda: os.sched_setaffinity(0, {cpu})


def listening_inodes(port):
    """The sockets that listen on the port, as the numbers that /proc/PID/fd shows."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        for row in rows:
            if row[3] == "0A" and int(row[1].rsplit(":", 1)[1], 16) == port:
                inodes.add("socket:[%s]" % row[9])
    return inodes


def parent_of(pid):
    with open("/proc/%d/stat" % pid) as stat:
        return int(stat.read().rsplit(")", 1)[1].split()[1])


def holds(pid, inodes):
    try:
        return any(os.readlink(fd) in inodes for fd in glob.glob("/proc/%d/fd/*" % pid))
    except OSError:
        return False


def find_listener(port):
    """The process that listens on the port; of several that share the socket, the one that opened it."""
    inodes = listening_inodes(port)
    if not inodes:
        return None
    holders = [int(name) for name in os.listdir("/proc") if name.isdigit() and holds(int(name), inodes)]
    for pid in sorted(holders):
        try:
            if parent_of(pid) not in holders:
                return pid
        except OSError:
            continue
    return None


def cpu_ns(pid):
    total = 0
    for path in glob.glob("/proc/%d/task/*/schedstat" % pid):
        try:
            with open(path) as stat:
                total += int(stat.read().split()[0])
        except OSError:
            continue  # a thread that ended
    return total


def resident_bytes(pid):
    with open("/proc/%d/status" % pid) as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise TargetFailed("no memory figures for process %d" % pid)


def encode(words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


class Target:
    """One server: start() it, ask it for pid, cpu_ns() and resident_bytes(), stop() it."""

    def __init__(self, name, command, cpu, is_floor=False):
        self.name = name
        self.command = command
        self.cpu = cpu
        self.is_floor = is_floor
        self.process = self.pid = self.port = self.folder = None

    def start(self):
        self.port = free_port()
        self.folder = tempfile.mkdtemp(prefix="roan-bench-")
        os.chmod(self.folder, 0o755)
        argv = [word.replace("{port}", str(self.port)).replace("{dir}", self.folder)
                for word in shlex.split(self.command)]
        self.log_path = os.path.join(self.folder, "log")
        try:
            with open(self.log_path, "wb") as log:
                self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                cwd=self.folder, start_new_session=True,
                                                preexec_fn=on_cpu(self.cpu))
        except OSError as problem:
            self.stop()
            raise TargetFailed("%s: cannot run %s: %s" % (self.name, argv[0], problem))
        self._wait()
        return self

    def _wait(self):
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.call("PING").startswith((b"+PONG", b"$-1")):
                    self.pid = find_listener(self.port)
                    if self.pid is not None:
                        return
            except OSError:
                pass
            time.sleep(0.02)
        with open(self.log_path, "rb") as log:
            tail = log.read().decode("utf-8", "replace").strip().splitlines()[-3:]
        self.stop()
        raise TargetFailed("%s: did not start: %s" % (self.name, " / ".join(tail)))

    def call(self, *words):
        """One request on a connection of its own; the first bytes of the reply."""
        with socket.create_connection(("127.0.0.1", self.port), 5) as link:
            link.sendall(encode(words))
            return link.recv(65536)

    def load(self, requests):
        """Sends an iterable of encoded requests whose replies are single lines."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as link:
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            batch = []
            for request in requests:
                batch.append(request)
                if len(batch) == BATCH_REQUESTS:
                    self._exchange(link, batch)
                    batch = []
            if batch:
                self._exchange(link, batch)

    def _exchange(self, link, batch):
        link.sendall(b"".join(batch))
        missing = len(batch)
        while missing > 0:
            data = link.recv(1 << 16)
            if not data:
                raise TargetFailed("%s: closed the connection while loading" % self.name)
            if data[:1] == b"-":
                raise TargetFailed("%s: %s" % (self.name, data.split(b"\r\n")[0].decode()))
            missing -= data.count(b"\r\n")

    def cpu_ns(self):
        return cpu_ns(self.pid)

    def resident_bytes(self):
        return resident_bytes(self.pid)

    def version(self):
        """Name and version as INFO has them, or an empty text."""
        if self.is_floor:
            return ""
        for line in self.call("INFO", "server").decode("utf-8", "replace").splitlines():
            if line.startswith(("valkey_version:", "roan_version:")):
                return line.strip().replace("_version:", " ")
        for line in self.call("INFO", "server").decode("utf-8", "replace").splitlines():
            if line.startswith("redis_version:"):
                return line.strip().replace("_version:", " ")
        return ""

    def stop(self):
        """Ends what we started: its session, and the server if that lives elsewhere."""
        if self.process is not None:
            self._signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS_MAX
            while time.monotonic() < deadline and not self._is_gone():
                time.sleep(0.02)
            self._signal(signal.SIGKILL)
            self.process.wait()
        self.process = self.pid = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None

    def _signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def _is_gone(self):
        return self.process.poll() is not None and not listening_inodes(self.port)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()
