#!/usr/bin/env python3
"""Runs a smoke flow of every client library against a server.

Promises:
- Each flow gets a fresh server on a free loopback port, working in its own temp folder.
- One line per flow: "ok NAME (secs)", "skip NAME: reason" when its toolchain or packages are
  missing, or "FAIL NAME: reason" followed by the end of the output. The last line counts them.
  What a flow says of its speed ("... per second ...") follows its line.
- The exit status is 1 if any flow failed, else 0.
- Nothing is written beside the sources: every client is copied to the cache folder, and its
  packages are installed and built there. Packages are fetched again only when its files change.

A client is one folder beside this file plus one row in CLIENTS. Its program takes HOST PORT,
prints the step it is in ("RESP3 scan"), and exits non-zero when the server breaks a promise, or with
77 after a line that says what the server lacks.
"""

import argparse
import contextlib
import dataclasses
import fcntl
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
HOST = "127.0.0.1"

START_SECS_MAX = 20
STOP_SECS_MAX = 10
FETCH_SECS_MAX = 600
BUILD_SECS_MAX = 600
TAIL_LINES = 25
SKIPPED = 77
REASON_CHARS = 160


@dataclasses.dataclass(frozen=True)
class Client:
    name: str       # folder beside this file
    tools: tuple    # programs that must be on PATH
    run: str        # started in the client's copy, with HOST PORT appended
    fetch: tuple = ()  # needs the network; failing means skip
    build: tuple = ()  # needs no network; failing means FAIL


CLIENTS = (
    Client("redis-cli", ("bash", "redis-cli"), run="bash flow.sh"),
    Client("redis-benchmark", ("bash", "redis-cli", "redis-benchmark"), run="bash flow.sh"),
    Client("ioredis", ("node", "npm"), run="node flow.mjs",
           fetch=("npm install --engine-strict --no-package-lock --loglevel=error",)),
    Client("node-redis", ("node", "npm"), run="node flow.mjs",
           fetch=("npm install --engine-strict --no-package-lock --loglevel=error",)),
    Client("redis-py", ("python3",), run="venv/bin/python flow.py",
           fetch=("python3 -m venv venv",
                  "venv/bin/python -m pip install --quiet -r requirements.txt")),
    Client("bullmq", ("node", "npm"), run="node flow.mjs",
           fetch=("npm install --engine-strict --no-package-lock --loglevel=error",)),
    Client("tracking", ("node", "npm"), run="node flow.mjs",
           fetch=("npm install --engine-strict --no-package-lock --loglevel=error",)),
    Client("queues", ("python3",), run="venv/bin/python flow.py",
           fetch=("python3 -m venv venv",
                  "venv/bin/python -m pip install --quiet -r requirements.txt")),
    Client("go-redis", ("go",), run="./flow",
           fetch=("go mod tidy",), build=("go build -o flow .",)),
    Client("jedis", ("java", "javac", "mvn"), run="java -cp classes:jars/* Flow",
           fetch=("mvn -q -B dependency:copy-dependencies -DoutputDirectory=jars",),
           build=("javac -d classes -cp jars/* Flow.java",)),
    Client("redis-rs", ("cargo",), run="target/debug/flow",
           fetch=("cargo fetch --quiet",), build=("cargo build --quiet --offline",)),
)


class Skip(Exception):
    """The flow cannot run on this machine."""


class Failed(Exception):
    """The flow ran and a promise does not hold; output is what to show."""

    def __init__(self, reason, output=""):
        super().__init__(reason)
        self.output = output


def tail(text):
    return "\n".join(text.rstrip().splitlines()[-TAIL_LINES:])


def run_command(command, cwd, secs_max, env=None):
    """Runs command in a process group of its own; returns (status or None if late, output)."""
    with tempfile.TemporaryFile() as sink:
        child = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=sink,
                                 stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = child.wait(secs_max)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        sink.seek(0)
        return status, sink.read().decode(errors="replace")


# --- preparing a client ---------------------------------------------------------------------

def fingerprint(client):
    """Changes when the client's files, its commands or this Python change."""
    digest = hashlib.sha256(repr((client, sys.version)).encode())
    for path in sorted((HERE / client.name).rglob("*")):
        if path.is_file():
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def first_error(output):
    """The line that says most, or the last one; cut, and without colours."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", output).split("\n")
    lines = [line.strip() for line in lines if line.strip()] or ["no output"]
    return next((line for line in lines if "error" in line.lower()), lines[-1])[:REASON_CHARS]


def prepare(client, work):
    """Copies the client to work, fetches its packages if anything changed, and builds it."""
    for tool in client.tools:
        if shutil.which(tool) is None:
            raise Skip(f"{tool} is not installed")
    stamp = work / ".fetched"
    wanted = fingerprint(client)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)
    shutil.copytree(HERE / client.name, work, dirs_exist_ok=True)
    for command in client.fetch:
        status, output = run_command(shlex.split(command), work, FETCH_SECS_MAX)
        if status != 0:
            reason = "too slow" if status is None else first_error(output)
            raise Skip(f"'{command}' did not succeed: {reason}")
    for command in client.build:
        status, output = run_command(shlex.split(command), work, BUILD_SECS_MAX)
        if status != 0:
            raise Failed(f"'{command}' did not succeed", tail(output))
    stamp.write_text(wanted)


@contextlib.contextmanager
def locked(work):
    """Keeps a second runner off the same copy."""
    work.mkdir(parents=True, exist_ok=True)
    with open(work / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- the server -----------------------------------------------------------------------------

def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def answers_ping(port):
    try:
        with socket.create_connection((HOST, port), timeout=1) as link:
            link.sendall(b"*1\r\n$4\r\nPING\r\n")
            return link.recv(64).startswith(b"+PONG")
    except OSError:
        return False


def stop(child):
    """Ends the server and whatever it started; returns its status if it had ended by itself."""
    early = child.poll()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(STOP_SECS_MAX)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    return early


@contextlib.contextmanager
def server(template):
    """A running server; yields its port. Raises Failed if it never answers or ends early."""
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        log = pathlib.Path(folder, "server.log")
        port = free_port()
        command = [part.replace("{port}", str(port)) for part in shlex.split(template)]
        if "/" in command[0]:
            command[0] = os.path.abspath(command[0])  # the server works in another folder
        with log.open("wb") as sink:
            try:
                child = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=sink,
                                         stderr=subprocess.STDOUT, start_new_session=True)
            except OSError as error:
                raise Failed(f"the server cannot be started: {error}") from error
        failure = None
        try:
            deadline = time.monotonic() + START_SECS_MAX
            while not answers_ping(port):
                if child.poll() is not None or time.monotonic() > deadline:
                    raise Failed("the server did not answer PING")
                time.sleep(0.02)
            yield port
        except Failed as error:
            failure = error
        finally:
            early = stop(child)
        if early is not None:
            reason, output = (f"; {failure}", failure.output) if failure else ("", "")
            failure = Failed(f"the server ended with status {early}{reason}",
                             f"{output}\n--- server ---\n{tail(log.read_text(errors='replace'))}")
        if failure:
            raise failure


# --- one flow -------------------------------------------------------------------------------

def last_step(output):
    """Where the flow was; a long stack trace pushes the step out of the tail."""
    steps = re.findall(r"^RESP[23] .+$", output, re.MULTILINE)
    return f" in '{steps[-1]}'" if steps else ""


def run_flow(client, template, cache, secs_max):
    """Runs one flow to its end; returns the seconds it took, and what it says of its speed."""
    work = cache / client.name
    with locked(work):
        prepare(client, work)
        with server(template) as port:
            started = time.monotonic()
            command = shlex.split(client.run) + [HOST, str(port)]
            status, output = run_command(command, work, secs_max)
            secs = time.monotonic() - started
            if status == SKIPPED:
                raise Skip((output.strip().splitlines() or ["no reason given"])[-1][:REASON_CHARS])
            if status != 0:
                reason = f"not done after {secs_max:g} s" if status is None else f"status {status}"
                raise Failed(reason + last_step(output), tail(output))
    return secs, re.findall(r"^.* per second.*$", output, re.MULTILINE)


def report(client, options):
    """Runs one flow and prints its line; returns "passed", "failed" or "skipped"."""
    try:
        secs, speeds = run_flow(client, options.server, options.cache, options.timeout)
    except Skip as reason:
        print(f"skip {client.name}: {reason}", flush=True)
        return "skipped"
    except Failed as failure:
        print(f"FAIL {client.name}: {failure}", flush=True)
        if failure.output.strip():
            print("    " + failure.output.strip().replace("\n", "\n    "), flush=True)
        return "failed"
    print("\n    ".join([f"ok {client.name} ({secs:.1f})"] + speeds), flush=True)
    return "passed"


def parse_options():
    roan = shlex.quote(str(ROOT / "build/roan"))
    parser = argparse.ArgumentParser(description="Smoke flows of client libraries on a server.")
    parser.add_argument("--server", metavar="CMD",
                        default=f"{roan} server --port {{port}} --save ''",
                        help="runs the server in the foreground; {port} is filled in")
    parser.add_argument("--cache", type=pathlib.Path, default=ROOT / "build/interop",
                        help="where packages are installed (default: build/interop)")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECS", help="per flow")
    parser.add_argument("names", nargs="*", metavar="NAME", help="clients to run (default: all)")
    options = parser.parse_args()
    unknown = set(options.names) - {client.name for client in CLIENTS}
    if unknown:
        parser.error(f"no such client: {', '.join(sorted(unknown))}")
    options.cache = options.cache.resolve()
    return options


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = [report(client, options) for client in CLIENTS
               if not options.names or client.name in options.names]
    print(", ".join(f"{results.count(kind)} {kind}" for kind in ("passed", "failed", "skipped")))
    return 1 if "failed" in results else 0


if __name__ == "__main__":
    sys.exit(main())
