#!/usr/bin/env python3
"""The fault proxy as a program: its command line, its input, its answers. Run with the program's path."""

import socket
import subprocess
import sys

WAIT_SECONDS = 10


def say(program, line):
    program.stdin.write(line + "\n")
    program.stdin.flush()
    return program.stdout.readline().strip()


def dialogue(port, listener):
    """What the client and the server receive when each has sent five bytes; None for a reset."""
    def read(end):
        got = b""
        try:
            while len(got) < 5:
                data = end.recv(100)
                if not data:
                    break
                got += data
        except ConnectionResetError:
            return got, "reset"
        return got, None
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS) as client:
        server, _ = listener.accept()
        with server:
            server.settimeout(WAIT_SECONDS)
            client.sendall(b"hello")
            seen = read(server)
            if seen[1] is None:
                server.sendall(b"reply")
            return seen, read(client)


def main():
    path = sys.argv[1]
    passed = failed = 0
    for arguments in ([], ["--to", "70000"], ["--to", "1", "cut:client"], ["--to", "1", "melt:client:1"],
                      ["--to", "1", "cut:nobody:1"], ["--to", "1", "corrupt:client:1:256"], ["--what", "1"]):
        done = subprocess.run([path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=WAIT_SECONDS)
        is_good = done.returncode == 2 and done.stderr.startswith("usage:")
        passed, failed = passed + is_good, failed + (not is_good)
        if not is_good:
            print("arguments %s: %d %s" % (arguments, done.returncode, done.stderr))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_SECONDS)
        program = subprocess.Popen([path, "--to", str(listener.getsockname()[1]), "corrupt:client:1:32"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = int(program.stdout.readline().split()[1])
        checks = [
            (dialogue(port, listener), ((b"hello", None), (b"rEply", None))),
            (say(program, "plan 1 cut:server:3"), "ok"),
            (dialogue(port, listener), ((b"hel", "reset"), (b"", "reset"))),
            (dialogue(port, listener), ((b"hello", None), (b"reply", None))),
            (say(program, "plan 1 split:client:0:1 end:client:4"), "ok"),
            (dialogue(port, listener), ((b"hello", None), (b"repl", None))),
            (say(program, "plan x cut:server:3"), "error: plan CONNECTIONS KIND:SIDE:AT[:NUMBER] ..., or stats"),
            (say(program, "stats"), "accepted 4 fired 4 to-server 20 to-client 15"),
        ]
        program.stdin.close()
        checks.append((program.wait(WAIT_SECONDS), 0))
    for index, (got, expected) in enumerate(checks):
        is_good = got == expected
        passed, failed = passed + is_good, failed + (not is_good)
        if not is_good:
            print("check %d: expected %r, got %r" % (index, expected, got))
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
