#!/usr/bin/env python3
"""Users that come from files: ACL files, `user` lines of the configuration, and what writes them; and users that change
while connections work.
"""

import os
import shlex
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

import checks  # noqa: E402
from checks import Skipped, check, expect, expect_equal, main  # noqa: E402
from resp import Closed, plain  # noqa: E402
from server import Server  # noqa: E402

USERS = """user alice on allcommands allkeys &* >alice
user bob on -@all +@set +acl ~set* &* >bob

user carol off (+get ~a  ~b) db=1
user default on nopass ~* &* +@all
"""
STRESS_ROUNDS = 300


class Folder:
    """A folder with an ACL file or a configuration, and servers that are started with it."""

    def __init__(self, context, name, text):
        self.context = context
        self.folder = tempfile.TemporaryDirectory(prefix="roan-users-")
        self.path = os.path.join(self.folder.name, name)
        self.write(text)

    def write(self, text):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(text)

    def read(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def command(self):
        """The server with the configuration as its first word, if that is what it is."""
        command = checks.server_command(self.context.options).replace("{dir}", self.folder.name)
        if not self.path.endswith(".conf"):
            return command
        return command.replace(" server ", " server " + self.path + " ", 1)

    def server(self, *args):
        if not self.path.endswith(".conf"):
            args = ("--aclfile", self.path) + args
        return Server(self.command(), args)

    def error(self, *args):
        """What it says when it does not start."""
        argv = shlex.split(self.command().replace("{port}", "1")) + list(args)
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False)
        expect_equal(done.returncode, 1, "exit code")
        return (done.stdout + done.stderr).decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.folder.cleanup()


def need_roan(context):
    if context.identity[0] != "roan":
        raise Skipped("starts Roan")


def acl_list(connection):
    return [line.decode() for line in plain(connection.call("ACL", "LIST"))]


def text_of(reply):
    return reply.value.decode()


@check()
def an_acl_file_is_loaded_saved_and_loaded_again(context):
    need_roan(context)
    with Folder(context, "users.acl", USERS) as folder, folder.server() as server:
        control = server.connect()
        expect_equal(acl_list(control)[2], "user carol off resetchannels db=1 -@all (~a ~b resetchannels -@all +get)",
                     "ACL LIST")
        with server.connect() as bob:
            expect_equal(text_of(bob.call("AUTH", "bob", "bob")), "OK", "AUTH")
            expect_equal(bob.call("SADD", "set", "1").value, 1, "SADD")
            expect(text_of(bob.call("SET", "set", "1")).startswith("NOPERM"), "bob may SET")
            expect_equal(text_of(control.call("ACL", "SETUSER", "eve", "+get", "allkeys", ">eve", "on")), "OK", "SETUSER")
            before = acl_list(control)
            expect_equal(text_of(control.call("ACL", "SAVE")), "OK", "ACL SAVE")
            expect_equal(folder.read().splitlines(), before, "the file")
            expect("bob" in folder.read() and ">" not in folder.read(), "passwords are hashed")
            expect_equal(text_of(control.call("ACL", "LOAD")), "OK", "ACL LOAD")
            expect_equal(acl_list(control), before, "ACL LIST after ACL LOAD")
            expect_equal(bob.call("SADD", "set", "2").value, 1, "SADD after ACL LOAD")


@check()
def a_wrong_file_changes_nothing(context):
    need_roan(context)
    with Folder(context, "users.acl", USERS) as folder, folder.server() as server:
        control = server.connect()
        before = acl_list(control)
        folder.write("user a on\n# c\nuser b foo\nusr\n\nuser\nuser a on\nuser c +nope +nope2 foo bar\nuser q (+get\n")
        path = folder.path
        expect_equal(text_of(control.call("ACL", "LOAD")),
                     "ERR {0}:2 should start with user keyword followed by the username. {0}:3: Syntax error. {0}:4 should "
                     "start with user keyword followed by the username. {0}:6 should start with user keyword followed by "
                     "the username. WARNING: Duplicate user 'a' found on line 7. {0}:8: Error in applying operation "
                     "'+nope': Unknown command or category name in ACL. {0}:8: Error in applying operation '+nope2': "
                     "Unknown command or category name in ACL. {0}:8: Syntax error. {0}:9: Unmatched parenthesis in "
                     "selector definition.WARNING: ACL errors detected, no change to the previously active ACL rules was "
                     "performed".format(path), "ACL LOAD")
        os.remove(path)
        expect_equal(text_of(control.call("ACL", "LOAD")),
                     "ERR Error loading ACLs, opening file '%s': No such file or directory" % path, "ACL LOAD")
        expect_equal(acl_list(control), before, "ACL LIST")


@check()
def a_file_without_default_makes_it_what_it_was_first(context):
    need_roan(context)
    with Folder(context, "users.acl", "user alice on nopass +@all\n") as folder, \
            folder.server("--requirepass", "x") as server:
        expect_equal(acl_list(server.connect())[1], "user default on nopass ~* &* +@all", "ACL LIST")


@check()
def loading_closes_whom_it_concerns(context):
    need_roan(context)
    with Folder(context, "users.acl", USERS) as folder, folder.server() as server:
        control, stays, loses, goes = [server.connect() for _ in range(4)]
        control.call("ACL", "SETUSER", "bob", "on", "+@all")
        control.call("ACL", "SETUSER", "mortimer", "on", "nopass", "+@all", "&*")
        control.call("ACL", "SETUSER", "doug", "on", "nopass", "+@all", "&*")
        stays.call("AUTH", "alice", "alice")
        loses.call("AUTH", "doug", "x")
        goes.call("AUTH", "mortimer", "x")
        for connection in (stays, loses, goes):
            connection.call("SUBSCRIBE", "news")
        folder.write(USERS + "user doug on nopass resetchannels &other +@all\n")
        expect_equal(text_of(control.call("ACL", "LOAD")), "OK", "ACL LOAD")
        expect_equal(control.call("PUBLISH", "news", "x").value, 1, "PUBLISH")
        expect_equal(plain(stays.read())[2], b"x", "the message")
        loses.wait_closed()
        goes.wait_closed()


@check()
def what_is_wrong_at_start_is_told(context):
    need_roan(context)
    with Folder(context, "users.acl", "user a nosuch\n") as folder:
        expect("Syntax error" in folder.error("--aclfile", folder.path), "a wrong file is told")
        expect("No such file" in folder.error("--aclfile", folder.path + "x"), "a missing file is told")
        expect("Duplicate user" in folder.error("--user", "foo", "--user", "foo"), "a double user is told")
        expect("both" in folder.error("--user", "foo", "on", "--aclfile", folder.path), "two places are told")
        expect("rule 2: Unknown command" in folder.error("--user", "foo", "on", "+nosuch"), "a wrong rule is told")


@check()
def config_rewrite_keeps_the_users(context):
    need_roan(context)
    start = "user default on nopass ~* &* +@all -flushdb\nuser \"a\" on >pw ~k*\nhz 20\n"
    with Folder(context, "roan.conf", start) as folder:
        with folder.server() as server:
            control = server.connect()
            expect(text_of(control.call("FLUSHDB")).startswith("NOPERM"), "default may not FLUSHDB")
            control.call("ACL", "SETUSER", "b", "on", ">x", "~\"q\"", "~\\x", "(+get ~y)", "db=1")
            before = acl_list(control)
            expect_equal(text_of(control.call("CONFIG", "REWRITE")), "OK", "CONFIG REWRITE")
        expect("pw" not in folder.read() and "hz 20" in folder.read(), "the file:\n" + folder.read())
        with folder.server() as server:
            control = server.connect()
            expect_equal(acl_list(control), before, "ACL LIST after a new start")
            expect_equal(plain(control.call("ACL", "DELUSER", "a", "b")), 2, "ACL DELUSER")
            control.call("ACL", "SETUSER", "default", "+flushdb", "+@all")
            expect_equal(text_of(control.call("CONFIG", "REWRITE")), "OK", "CONFIG REWRITE")
        expect("\nuser " not in "\n" + folder.read(), "users are gone from the file:\n" + folder.read())


def work(server, name, stop, problems):
    """Logs in and works, in any state of the user, until told to stop."""
    allowed = (b"OK", b"v", b"PONG", b"QUEUED", None)
    while not stop.is_set():
        try:
            with server.connect() as connection:
                for _ in range(50):
                    connection.call("AUTH", name, "pw")
                    for words in (("SET", "k", "v"), ("GET", "k"), ("PING",), ("MULTI",), ("GET", "k"), ("EXEC",)):
                        reply = connection.call(*words)
                        value = reply.value
                        is_fine = value in allowed or reply.kind == "array" or reply.kind == "null" or \
                            str(value).find("NO") > 0 or str(value).find("EXEC") > 0
                        if not is_fine:
                            problems.append("%s: %r" % (words, reply))
        except (Closed, ConnectionError):
            pass


@check(threads=(1, 4))
def users_change_while_connections_work(context):
    control = context.connect()
    stop, problems = threading.Event(), []
    names = ("u0", "u1", "u2")
    threads = [threading.Thread(target=work, args=(context.server, names[i % 3], stop, problems)) for i in range(6)]
    for thread in threads:
        thread.start()
    try:
        for i in range(STRESS_ROUNDS):
            name = context.random.choice(names)
            if i % 10 == 9:
                control.call("ACL", "DELUSER", name)
            else:
                rules = context.random.choice((("on", ">pw", "+@all", "~*"), ("-get",), ("resetkeys",), ("resetkeys", "~k"), ("off",),
                                               ("reset",), ("db=1",), ("(+get ~k)",), ("-exec",), ("+@all", "allkeys")))
                expect_equal(text_of(control.call("ACL", "SETUSER", name, "on", ">pw", *rules)), "OK", "ACL SETUSER")
            control.call("ACL", "LOG")
            control.call("ACL", "LIST")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    expect(not problems, "\n".join(problems[:5]))


if __name__ == "__main__":
    sys.exit(main(__doc__))
