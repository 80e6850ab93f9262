#!/usr/bin/env python3
"""The server as a process: how it starts, what it says when it cannot, its log, its title, signals, and how it ends."""

import ctypes
import json
import os
import re
import resource
import shlex
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import checks  # noqa: E402
from checks import Failed, Skipped, check, expect, expect_equal, main  # noqa: E402
from resp import Connection, plain  # noqa: E402
from server import free_port, info_fields  # noqa: E402

SECONDS_MAX = 20


class Process:
    """A server started by hand, in a folder of its own."""

    def __init__(self, context, *args, preexec=None, port=None, environment=None):
        self.folder = tempfile.TemporaryDirectory(prefix="roan-process-")
        self.dir = self.folder.name
        os.chmod(self.dir, 0o777)
        self.port = port or free_port()
        command = checks.server_command(context.options)
        argv = shlex.split(command.replace("{port}", str(self.port)).replace("{dir}", self.dir))
        argv += [arg.replace("{dir}", self.dir) for arg in args]
        self.output = open(self.dir + "/output", "w+b")
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.output,
                                        preexec_fn=preexec, env=dict(os.environ, **(environment or {})))

    def text(self, name="output"):
        with open(self.dir + "/" + name, encoding="utf-8") as file:
            return file.read()

    def wait(self):
        try:
            return self.process.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise Failed("it does not end:\n" + self.text()) from None

    def connect(self):
        return Connection(self.port, timeout=5)

    def until_ready(self, name="output"):
        deadline = time.monotonic() + SECONDS_MAX
        while not os.path.exists(self.dir + "/" + name) or "Ready to accept" not in self.text(name):
            expect(self.process.poll() is None, "the server ended:\n" + self.text())
            expect(time.monotonic() < deadline, "the server is not ready:\n" + self.text())
            time.sleep(0.01)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.output.close()
        self.folder.cleanup()


def expect_refused(process, *patterns):
    """It ends with exit code 1 and one line that fits all patterns."""
    expect_equal(process.wait(), 1, "exit code")
    lines = [line for line in process.text().splitlines() if not re.match(r"\d+:M ", line)]
    expect_equal(len(lines), 1, "lines of output:\n" + process.text())
    for pattern in patterns:
        expect(re.search(pattern, lines[0]), "expected %r in: %s" % (pattern, lines[0]))


# -- what a newcomer meets ----------------------------------------------------------------------------

@check()
def a_port_in_use_is_named(context):
    with Process(context, port=context.server.port) as second:
        expect_refused(second, "port %d" % context.server.port, "in use", "--port")


@check()
def a_misspelt_option_is_corrected(context):
    with Process(context, "--maxmemroy", "1gb") as process:
        expect_refused(process, "maxmemroy", "did you mean.*maxmemory")


@check()
def a_wrong_value_is_explained(context):
    with Process(context, "--maxmemory", "lots") as process:
        expect_refused(process, "command line", "maxmemory", "lots")


@check()
def a_wrong_line_of_a_file_is_named(context):
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write("timeout 5\nmaxmemory-policy never\n")
        file.flush()
        with Process(context, "--include", file.name) as process:
            expect_refused(process, re.escape(file.name) + ".*2", "maxmemory-policy", "never")


@check()
def a_folder_that_is_not_there_is_named(context):
    with Process(context, "--dir", "/no/such/folder") as process:
        expect_refused(process, "dir /no/such/folder", "No such file")


@check()
def a_log_that_cannot_be_written_is_named(context):
    with Process(context, "--logfile", "/no/such/folder/log") as process:
        expect_refused(process, "logfile /no/such/folder/log", "No such file")
    with Process(context, "--logfile", "no/such/log") as process:
        expect_refused(process, "logfile no/such/log", "No such file")


@check()
def a_socket_file_that_cannot_be_made_is_named(context):
    with Process(context, "--unixsocket", "/no/such/folder/socket") as process:
        expect_refused(process, "unixsocket '/no/such/folder/socket'", "No such file")
    with Process(context, "--unixsocket", "{dir}/output") as process:
        expect_refused(process, "unixsocket '.*/output'", "in use")


@check()
def an_address_of_another_machine_is_named(context):
    with Process(context, "--bind", "192.0.2.1") as process:
        expect_refused(process, "192.0.2.1", "Cannot assign requested address")
    with Process(context, "--bind", "-192.0.2.1", "--unixsocket", "") as process:
        expect_refused(process, "nowhere to listen")


def few_files():
    """As an ordinary user, who cannot raise the limit."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


@check()
def few_open_files_are_a_warning(context):
    try:
        process = Process(context, preexec=few_files)
    except (OSError, subprocess.SubprocessError):
        raise Skipped("cannot become another user") from None
    with process:
        process.until_ready()
        expect(re.search(r"maxclients is 10000 .*200 open files.*168 clients", process.text()), process.text())
        with process.connect() as client:
            expect_equal(plain(client.call("CONFIG", "GET", "maxclients"))[1], b"168", "CONFIG GET maxclients")


def forbid_io_uring():
    """A filter that answers io_uring_setup with EPERM, as container runtimes do."""
    load, equal, give = 0x20, 0x15, 0x06
    program = b"".join(struct.pack("HBBI", *row) for row in (
        (load, 0, 0, 0), (equal, 0, 1, 425), (give, 0, 0, 0x00050001), (give, 0, 0, 0x7fff0000)))
    code = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.create_string_buffer(fprog), 0, 0) != 0:
        os._exit(77)


@check()
def without_io_uring_auto_takes_epoll_and_says_why(context):
    context.options.io, before = "", context.options.io
    try:
        with Process(context, "--io", "auto", preexec=forbid_io_uring) as process:
            if process.process.poll() == 77:
                raise Skipped("system calls cannot be filtered here")
            process.until_ready()
            expect(re.search("io_uring cannot be used here.*Operation not permitted", process.text()), process.text())
            expect(re.search("Ready to accept.*epoll", process.text()), process.text())
            with process.connect() as client:
                expect_equal(client.call("PING").value, b"PONG", "PING")
        with Process(context, "--io", "uring", preexec=forbid_io_uring) as process:
            expect_refused(process, "--io uring", "Operation not permitted", "--io auto")
    finally:
        context.options.io = before


# -- signals ------------------------------------------------------------------------------------------

@check()
def a_signal_ends_the_server_in_order(context):
    for number, name in ((signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")):
        with Process(context, "--unixsocket", "socket", "--pidfile", "pid") as process:
            process.until_ready()
            expect(os.path.exists(process.dir + "/socket"), "there is no socket file")
            expect_equal(process.text("pid"), "%d\n" % process.process.pid, "the pidfile")
            with process.connect() as client:
                client.call("SET", "k", "v")
                client.call("CONFIG", "SET", "dir", "/")
                process.process.send_signal(number)
                expect_equal(process.wait(), 0, "exit code")
            expect("Received %s" % name in process.text(), process.text())
            expect(process.text().rstrip().endswith("Roan has ended"), process.text())
            expect(not os.path.exists(process.dir + "/socket"), "the socket file is still there")
            expect(not os.path.exists(process.dir + "/pid"), "the pidfile is still there")


@check()
def a_hang_up_is_ignored(context):
    context.server.process.send_signal(signal.SIGHUP)
    expect_equal(context.connect().call("PING").value, b"PONG", "PING")


@check()
def a_second_signal_ends_it_at_once(context):
    with Process(context, "--enable-debug-command", "yes") as process:
        process.until_ready()
        client = process.connect()
        client.send("DEBUG", "SLEEP", "30")
        time.sleep(0.2)
        process.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        expect(process.process.poll() is None, "it did not wait for the command")
        process.process.send_signal(signal.SIGTERM)
        expect_equal(process.wait(), 128 + signal.SIGTERM, "exit code")
        client.close()


def expect_crash(process, number):
    process.process.send_signal(number)
    code = process.wait()
    if "Sanitizer" in process.text():
        raise Skipped("a sanitizer handles crashes")
    expect_equal(code, -number, "what it died of")


@check()
def a_crash_is_reported_and_has_its_usual_effect(context):
    for number, name in ((signal.SIGSEGV, "SIGSEGV"), (signal.SIGABRT, "SIGABRT"), (signal.SIGFPE, "SIGFPE")):
        for args, where in (((), "output"), (("--logfile", "log"), "log")):
            with Process(context, *args) as process:
                process.until_ready(where)
                expect_crash(process, number)
                text = process.text(where)
                expect(re.search(r"Roan \d.* crashed by %s" % name, text), text)
                expect("sent by process %d" % os.getpid() in text, text)
                expect(len(re.findall(r"\(\+0x[0-9a-f]+\)|\(roan_\w+\+0x|\[0x[0-9a-f]+\]", text)) > 3, text)


@check()
def a_crash_report_can_be_turned_off(context):
    with Process(context, "--crash-log-enabled", "no") as process:
        process.until_ready()
        expect_crash(process, signal.SIGSEGV)
        expect("crashed" not in process.text(), process.text())
    with Process(context) as process:
        process.until_ready()
        with process.connect() as client:
            client.call("CONFIG", "SET", "crash-log-enabled", "no")
        expect_crash(process, signal.SIGSEGV)
        expect("crashed" not in process.text(), process.text())


# -- the log ------------------------------------------------------------------------------------------

LEGACY = r"^\d+:M \d\d \w\w\w \d{4} \d\d:\d\d:\d\d\.\d{3} [.*#-] "
NEW_LIMIT = "maxmemory is now"


def log_one_line(client, process, limit):
    """Makes the server log a warning; returns the new line."""
    before = len(process.text())
    client.call("CONFIG", "SET", "maxmemory", limit)
    return process.text()[before:]


@check()
def lines_have_the_form_that_was_asked_for(context):
    with Process(context) as process:
        process.until_ready()
        expect(all(re.match(LEGACY, line) for line in process.text().splitlines()), process.text())
        with process.connect() as client:
            client.call("CONFIG", "SET", "log-format", "json", "log-timestamp-format", "iso8601")
            line = json.loads(log_one_line(client, process, "1"))
            expect_equal((line["pid"], line["role"], line["level"]), (process.process.pid, "primary", "warning"), "line")
            expect(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d$", line["timestamp"]), str(line))
            expect(NEW_LIMIT in line["message"], str(line))
            client.call("CONFIG", "SET", "log-format", "logfmt", "log-timestamp-format", "milliseconds")
            line = log_one_line(client, process, "2")
            expect(re.match(r'pid=\d+ role=primary timestamp="\d{13}" level=warning message="maxmemory [^"]*"\n$', line),
                   line)
            client.call("CONFIG", "SET", "loglevel", "nothing")
            expect_equal(log_one_line(client, process, "3"), "", "at loglevel nothing")
            client.call("CONFIG", "SET", "loglevel", "warning", "log-format", "legacy")
            expect(re.match(r"\d+:M \d{13} # " + NEW_LIMIT, log_one_line(client, process, "4")), process.text())


@check()
def a_log_file_stays_where_it_is_and_may_be_moved_away(context):
    with Process(context, "--logfile", "log") as process:
        process.until_ready("log")
        expect_equal(process.text(), "", "output")
        os.rename(process.dir + "/log", process.dir + "/old")
        with process.connect() as client:
            client.call("CONFIG", "SET", "dir", "/")
            client.call("CONFIG", "SET", "maxmemory", "1")
        expect(NEW_LIMIT in process.text("log"), "the new file has no line")


# -- the process --------------------------------------------------------------------------------------

def command_line(pid):
    with open("/proc/%d/cmdline" % pid, "rb") as file:
        return file.read().split(b"\0")[0].decode()


@check()
def the_title_tells_where_it_listens(context):
    with Process(context) as process:
        process.until_ready()
        pid = process.process.pid
        expect(command_line(pid).startswith("roan-server 127.0.0.1:%d" % process.port), command_line(pid))
        with process.connect() as client:
            client.call("CONFIG", "SET", "proc-title-template", "{port} of {title}")
            expect_equal(command_line(pid), "%d of roan-server" % process.port, "the title")
            port = free_port()
            client.call("CONFIG", "SET", "port", str(port))
            expect_equal(command_line(pid), "%d of roan-server" % port, "the title after a change of the port")
    with Process(context, "--set-proc-title", "no") as process:
        process.until_ready()
        expect("--set-proc-title" in open("/proc/%d/cmdline" % process.process.pid).read(), "the title was changed")


@check()
def the_oom_score_follows_the_configuration(context):
    def score(process):
        with open("/proc/%d/oom_score_adj" % process.process.pid) as file:
            return int(file.read())

    with Process(context, "--oom-score-adj", "absolute", "--oom-score-adj-values", "100", "200", "300") as process:
        process.until_ready()
        expect_equal(score(process), 100, "the score at start")
        with process.connect() as client:
            expect_equal(client.call("CONFIG", "SET", "oom-score-adj-values", "150 200 300").value, b"OK", "CONFIG SET")
            expect_equal(score(process), 150, "the score")
            client.call("CONFIG", "SET", "oom-score-adj", "no")


@check()
def huge_pages_are_refused_on_request(context):
    for args, wanted in (((), "1"), (("--disable-thp", "yes"), "0")):
        with Process(context, *args) as process:
            process.until_ready()
            with open("/proc/%d/status" % process.process.pid) as file:
                found = re.search(r"THP_enabled:\s+(\d)", file.read())
            if found is None:
                raise Skipped("the kernel does not tell")
            expect_equal(found.group(1), wanted, "THP_enabled")


@check()
def a_supervisor_is_told(context):
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(folder + "/notify")
        supervisor.settimeout(SECONDS_MAX)
        with Process(context, "--supervised", "systemd", environment={"NOTIFY_SOCKET": folder + "/notify"}) as process:
            expect(b"READY=1" in supervisor.recv(4096), "systemd is not told")
            expect_equal(process.connect().call("PING").value, b"PONG", "PING")
    with Process(context, "--supervised", "systemd", environment={"NOTIFY_SOCKET": ""}) as process:
        process.until_ready()


@check()
def a_daemon_is_ready_when_its_starter_returns(context):
    with Process(context, "--daemonize", "yes", "--pidfile", "{dir}/pid", "--logfile", "log") as process:
        expect_equal(process.wait(), 0, "exit code of the starter: " + process.text())
        pid = int(process.text("pid"))
        try:
            with process.connect() as client:
                expect_equal(client.call("PING").value, b"PONG", "PING")
                expect_equal(info_fields(client)["process_id"], str(pid), "process_id")
            expect_equal(os.readlink("/proc/%d/fd/1" % pid), "/dev/null", "standard output")
            expect(os.getsid(pid) != os.getsid(0), "it is still in the terminal's session")
        finally:
            os.kill(pid, signal.SIGTERM)
        context.until(lambda: not os.path.exists("/proc/%d" % pid) or zombie(pid), 10, "the daemon ends")
        expect("Received SIGTERM" in process.text("log"), process.text("log"))


def zombie(pid):
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@check()
def a_daemon_that_cannot_start_says_so(context):
    with Process(context, "--daemonize", "yes", port=context.server.port) as second:
        expect_refused(second, "port %d" % context.server.port, "in use")


# -- options ------------------------------------------------------------------------------------------

def scan_all(client):
    keys, cursor = [], b"0"
    while True:
        cursor, part = plain(client.call("SCAN", cursor))
        keys += part
        if cursor == b"0":
            return keys


@check()
def a_hash_seed_makes_scan_repeatable(context):
    orders = []
    for seed in ("one", "one", "two"):
        with Process(context, "--hash-seed", seed) as process:
            process.until_ready()
            with process.connect() as client:
                for i in range(500):
                    client.call("SET", "key:%d" % i, i)
                orders.append(scan_all(client))
    expect_equal(len(orders[0]), 500, "keys")
    expect(orders[0] == orders[1], "equal seeds, different orders")
    expect(orders[0] != orders[2], "different seeds, equal orders")


@check()
def lowering_maxmemory_evicts_at_once(context):
    client = context.connect()
    client.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru", "maxmemory", "0")
    for i in range(2000):
        client.call("SET", "key:%d" % i, "x" * 4000)
    used = int(info_fields(client, "memory")["used_memory"])
    client.call("CONFIG", "SET", "maxmemory", str(used - (4 << 20)))
    other = context.connect()
    limit = used - (4 << 20) + (64 << 10) # INFO takes some memory itself
    context.until(lambda: int(info_fields(other, "memory")["used_memory"]) <= limit, 5,
                  "memory is below the limit though nobody writes")
    expect(int(info_fields(other, "stats")["evicted_keys"]) > 500, "no keys were evicted")


if __name__ == "__main__":
    sys.exit(main(__doc__))
