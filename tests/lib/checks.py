"""A small runner for wire tests that are programs, not case files.

A check is a function that takes a `Context` and raises `Failed` (through `expect`) or `Skipped`. Every check
gets a server of its own, so it may exhaust limits and kill connections.

    @check(args="--maxclients 10")
    def refuses_connections_above_maxclients(context):
        ...
    if __name__ == "__main__":
        sys.exit(main(__doc__))
"""

import argparse
import random
import sys
import time
import traceback

from resp import Closed, ProtocolError, Timeout
from server import Server, StartFailed, identify

SERVER = "build/roan server --port {port} --dir {dir} --save ''"
EXIT_SKIPPED = 77
CHECKS = []


class Failed(Exception):
    """The server did something else than promised."""


class Skipped(Exception):
    """This machine or server cannot run the check."""


def expect(condition, text):
    if not condition:
        raise Failed(text)


def expect_equal(got, wanted, what):
    if got != wanted:
        raise Failed("%s: expected %s, got %s" % (what, brief(wanted), brief(got)))


def brief(value):
    text = repr(value)
    return text if len(text) < 300 else text[:300] + "…"


class Context:
    """What a check works with."""

    def __init__(self, server, options, name):
        self.server = server
        self.options = options
        self.random = random.Random("%s:%s" % (options.seed, name))
        self.connections = []
        with server.connect(options.timeout) as probe:
            self.identity = identify(probe)

    def connect(self, timeout=None, proto=2):
        connection = self.server.connect(timeout or self.options.timeout, proto)
        self.connections.append(connection)
        return connection

    def note(self, text):
        if self.options.verbose:
            print("    " + text)

    def until(self, condition, seconds, what):
        """Poll until the condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise Failed("not within %g s: %s" % (seconds, what))
            time.sleep(0.01)

    def close(self):
        for connection in self.connections:
            connection.close()


def check(args="", threads=(0,)):
    """`threads`: the check runs once for each number of worker threads (0: as started by default). Servers without
    that option run it once.
    """
    def register(function):
        for number in threads:
            CHECKS.append((function, args.split(), number))
        return function
    return register


def make_parser(description):
    parser = argparse.ArgumentParser(description=description,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default=SERVER, metavar="CMD")
    parser.add_argument("--threads", default="", help="appended to CMD as --threads N")
    parser.add_argument("--io", default="", help="appended to CMD as --io X")
    parser.add_argument("-k", nargs="+", default=[], metavar="WORD", help="checks whose name has a word")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for a reply")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    return parser


def server_command(options):
    command = options.server
    command += " --threads " + options.threads if options.threads else ""
    return command + (" --io " + options.io if options.io else "")


def has_threads(options):
    """Whether the server is one that takes --threads."""
    with Server(server_command(options)) as server, server.connect(options.timeout) as probe:
        return identify(probe)[0] == "roan"


def run_check(function, args, options, threads=0):
    """("passed", ""), ("failed", why) or ("skipped", why)."""
    name = function.__name__
    context = None
    server = None
    try:
        if threads > 1 and (options.threads or not has_threads(options)):
            raise Skipped("runs with one number of threads")
        args = args + (["--threads", str(threads)] if threads > 1 else [])
        server = Server(server_command(options), args)
        server.start()
        context = Context(server, options, name)
        function(context)
        expect(server.is_responsive(), "the server does not answer afterwards")
        return "passed", ""
    except Skipped as reason:
        return "skipped", str(reason)
    except (Failed, StartFailed) as problem:
        return "failed", str(problem) + note_of(server)
    except (Closed, Timeout, ProtocolError, OSError) as problem:
        line = traceback.extract_tb(sys.exc_info()[2])[-1].lineno
        place = [frame for frame in traceback.extract_tb(sys.exc_info()[2]) if frame.name == name]
        line = place[-1].lineno if place else line
        return "failed", "%s: %s (line %d)%s" % (type(problem).__name__, problem, line, note_of(server))
    finally:
        if context is not None:
            context.close()
        if server is not None:
            server.stop()


def note_of(server):
    if server is None or server.process is None or server.is_alive():
        return ""
    return "\n    %s\n%s" % (server.exit_text(), server.log_tail())


def main(description, parser=None):
    options = (parser or make_parser(description)).parse_args()
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for function, args, threads in CHECKS:
        name = function.__name__
        if options.k and not any(word in name for word in options.k):
            continue
        started = time.monotonic()
        status, why = run_check(function, args, options, threads)
        name += "_with_%d_threads" % threads if threads else ""
        count[status] += 1
        if status != "passed" or options.verbose:
            print("%-7s %s (%.1f s)%s" % (status, name.replace("_", " "), time.monotonic() - started,
                                          ": " + why if why else ""))
            sys.stdout.flush()
    print("seed %d" % options.seed)
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % count)
    if count["failed"]:
        return 1
    return 0 if count["passed"] else EXIT_SKIPPED
