"""Runs case files against one server command: starts servers, cleans up between cases, collects results.

One server is kept for all cases with the same arguments. Between cases it is emptied, its statistics are
reset, and configuration that the case changed is put back. A case marked `restart` gets a server of its
own, and a server that no longer answers is replaced.
"""

import collections
import time

from casefile import applies
from player import Failure, Player
from resp import Closed, ProtocolError, Timeout, plain
from server import Server, StartFailed, identify

Result = collections.namedtuple("Result", "path line case status failures steps")

CLEANUP_SECONDS_MAX = 10

# A case that mentions the first word gets the commands after it as well, when it ends.
UNDO = (
    ("DEBUG", ["DEBUG", "SET-ACTIVE-EXPIRE", "1"]),
    ("CLIENT", ["CLIENT", "UNPAUSE"]),
    ("SLOWLOG", ["SLOWLOG", "RESET"]),
    ("LATENCY", ["LATENCY", "RESET"]),
    ("FUNCTION", ["FUNCTION", "FLUSH"]),
    ("SCRIPT", ["SCRIPT", "FLUSH"]),
)
COUNTING_WORDS = ("CLIENT", "INFO", "MONITOR")


class Session:
    """A server command and the running server of the last argument list."""

    def __init__(self, command, proto, timeout, seed):
        self.command, self.proto, self.timeout, self.seed = command, proto, timeout, seed
        self.server = None
        self.arguments = None
        self.is_tainted = False

    def run_file(self, case_file, wanted=lambda case: True, on_reply=None):
        """A Result for every wanted case."""
        broken = {}  # arguments the server did not start with -> the failure
        for case in case_file.cases:
            if not wanted(case):
                continue
            arguments = case.marks.get("args", "")
            if arguments not in broken:
                try:
                    self._need_server(case)
                except StartFailed as problem:
                    broken[arguments] = Failure(0, "start of the server", "a running server",
                                                str(problem))
            if arguments in broken:
                yield Result(case_file.path, case.line, "every case with the arguments '%s'" % arguments,
                             "failed", [broken[arguments]], 0)
                continue
            if not (applies(case.marks, self.identity) and self._has_commands(case)):
                yield Result(case_file.path, case.line, case.name, "skipped", [], 0)
                continue
            yield self._run_case(case_file, case, on_reply)

    def _has_commands(self, case):
        """Whether the server knows the commands of a `needs` mark."""
        names = case.marks.get("needs", "").split()
        missing = [name for name in names if name not in self.known]
        if missing:
            with self.server.connect(self.timeout) as control:
                replies = control.call("COMMAND", "INFO", *missing)
                for name, reply in zip(missing, replies.value):
                    self.known[name] = reply.kind == "array"
        return all(self.known[name] for name in names)

    def _run_case(self, case_file, case, on_reply):
        words = mentioned_words(case, case_file.setup)
        player = Player(self.server, self.identity, self.proto, self.timeout, self.seed, on_reply)
        self._prepare(words)
        failures = player.play(case, case_file.setup)
        try:
            self._clean_up(words)
        except (OSError, Closed, Timeout, ProtocolError) as problem:
            self.is_tainted = True
            note = "\n".join(part for part in (self.server.exit_text(), self.server.log_tail()) if part)
            failures.append(Failure(case.line, "(clean-up after the case)", "a server that answers",
                                    str(problem), note))
        self.is_tainted |= "restart" in case.marks
        status = "failed" if failures else "passed"
        return Result(case_file.path, case.line, case.name, status, failures, player.steps_played)

    def _need_server(self, case):
        arguments = case.marks.get("args", "").split()
        if self.server is not None and arguments == self.arguments and not self.is_tainted \
                and "restart" not in case.marks and self.server.is_alive():
            return
        self.stop()
        self.server = Server(self.command, arguments).start()
        self.arguments = arguments
        self.is_tainted = False
        self.known = {}  # command name -> whether the server has it
        with self.server.connect(self.timeout) as control:
            self.identity = identify(control)
            self.config = read_config(control)

    def stop(self):
        if self.server is not None:
            self.server.stop()
            self.server = None

    # -- between cases -----------------------------------------------------------------------

    def _prepare(self, words):
        """A case that counts clients starts when those of the last case are gone."""
        if not any(word in words for word in COUNTING_WORDS):
            return
        try:
            with self.server.connect(CLEANUP_SECONDS_MAX) as control:
                wait_for_no_clients(control)
                leave(control)
        except (OSError, Closed, Timeout, ProtocolError):
            pass  # the case will tell

    def _clean_up(self, words):
        if not self.server.is_alive():
            raise Closed(self.server.exit_text())
        with self.server.connect(CLEANUP_SECONDS_MAX) as control:
            if control.call("FLUSHALL").kind == "error":
                self.is_tainted = True  # a password or a paused server: a new one is simplest
                return
            if "CONFIG" in words:
                self._restore_config(control)
            for word, command in UNDO:
                if word in words:
                    control.call(*command)
            if "ACL" in words:
                remove_users(control)
            control.call("CONFIG", "RESETSTAT")
            leave(control)

    def _restore_config(self, control):
        for name, value in read_config(control).items():
            if self.config.get(name) not in (None, value):
                control.call("CONFIG", "SET", name, self.config[name])


def leave(control):
    """Close so that the server has forgotten the connection when this returns."""
    control.call("QUIT")
    control.wait_closed()


def read_config(control):
    reply = control.call("CONFIG", "GET", "*")
    if reply.kind != "array":
        return {}
    flat = plain(reply)
    return dict(zip(flat[::2], flat[1::2]))


def remove_users(control):
    users = control.call("ACL", "USERS")
    if users.kind == "array":
        others = [name for name in plain(users) if name != b"default"]
        if others:
            control.call("ACL", "DELUSER", *others)


def wait_for_no_clients(control):
    """Only this connection is left in CLIENT LIST."""
    deadline = time.monotonic() + CLEANUP_SECONDS_MAX
    while time.monotonic() < deadline:
        reply = control.call("CLIENT", "LIST")
        if reply.kind == "error" or len(plain(reply).splitlines()) <= 1:
            return
        time.sleep(0.001)


def mentioned_words(case, setup):
    """First words of the commands of a case, in capitals; statements count by their verb."""
    words = set()

    def visit(steps):
        for step in steps:
            if hasattr(step, "sends"):
                words.update(word.upper() for send in step.sends for word in send.text.split()[:2])
            elif hasattr(step, "steps"):
                visit(step.steps)
            else:
                words.add(step.verb.upper())

    visit(setup)
    visit(case.steps)
    return words
