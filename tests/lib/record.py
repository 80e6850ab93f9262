"""Fills in expectations from a reference server, for review.

    `< ?`                      is replaced by the server's reply
    a command without a reply  gets one
    with marking on            an expectation that this server does not meet gets a line of its own for
                               this server, such as `<redis-7.0 (error) ERR syntax error`
"""

import os
import tempfile

import pattern
from casefile import CaseFile, EXPECT, SEND
from pattern import render_lines
from session import Session


def record(path, command, timeout, seed, is_marking, wanted):
    """Rewrites the file; returns the number of lines filled in."""
    with open(path, encoding="utf-8") as source:
        lines = add_placeholders(source.read().splitlines())
    replies = collect(path, lines, command, timeout, seed, wanted)
    out, changed = rewrite(lines, replies, is_marking)
    if changed:
        with open(path, "w", encoding="utf-8") as target:
            target.write("\n".join(out) + "\n")
    return changed


def add_placeholders(lines):
    """`< ?` after each command that has no reply line of its own."""
    out = []
    for index, line in enumerate(lines):
        out.append(line)
        send = SEND.match(line.strip())
        if send and send.group(2) == ">" and not has_reply(lines, index, send.group(1)):
            out.append("%s< ?" % (send.group(1) or ""))
    return out


def has_reply(lines, index, connection):
    """Whether reply lines for this connection follow before the next command."""
    for line in lines[index + 1:]:
        stripped = line.strip()
        expect = EXPECT.match(stripped)
        if expect and expect.group(1) == connection:
            return True
        if SEND.match(stripped) or (stripped and not expect and not stripped.startswith("#")):
            return False
    return False


def collect(path, lines, command, timeout, seed, wanted):
    """{line of an expectation: (expect, {proto: reply}, {proto: differs}, server tag)}"""
    replies = {}
    with tempfile.NamedTemporaryFile("w", suffix=".case", encoding="utf-8") as temporary:
        temporary.write("\n".join(lines) + "\n")
        temporary.flush()
        case_file = CaseFile(temporary.name)
        for proto in (2, 3):
            session = Session(command, proto, timeout, seed)

            def on_reply(expect, reply, player):
                entry = replies.setdefault(expect.line, (expect, {}, {}, player.identity))
                entry[1][player.proto] = reply

            for result in session.run_file(case_file, wanted, on_reply):
                for failure in result.failures:
                    if failure.line in replies:
                        replies[failure.line][2][proto] = failure
                    else:
                        print("%s: %s: expected %s, got %s" % (os.path.basename(path), failure.command,
                                                               failure.expected, failure.got))
            session.stop()
    return replies


def rewrite(lines, replies, is_marking):
    out, changed = [], 0
    after = {}  # last line of an expectation -> lines to add there
    for expect, by_proto, differs, identity in replies.values():
        if differs and is_marking and "?" not in [one[2] for one in expect.variants]:
            tag = "%s-%d.%d" % (identity[0], *identity[1])
            after[expect.last_line] = reply_lines(expect.connection, tag, by_proto, differs)
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if EXPECT.match(stripped) and stripped.endswith("< ?") and number in replies:
            expect, by_proto = replies[number][:2]
            out += reply_lines(expect.connection, "", by_proto, by_proto)
            changed += 1
        else:
            out.append(line)
        if number in after:
            out += after[number]
            changed += 1
    return out, changed


def reply_lines(connection, tag, by_proto, protos):
    """One line for both protocols when a pattern fits both, otherwise <2 and <3."""
    rendered = {proto: render_lines(by_proto[proto]) for proto in by_proto}
    if connection.startswith("raw"):
        return with_prefix(connection, tag, rendered[min(rendered)])
    for proto in (3, 2):
        other = 5 - proto
        if proto in rendered and other in rendered \
                and pattern.fits("\n".join(rendered[proto]), by_proto[other], other):
            return with_prefix(connection, tag, rendered[proto])
    out = []
    for proto in sorted(rendered):
        if proto in protos:
            tags = ",".join(part for part in (str(proto), tag) if part)
            out += with_prefix(connection, tags, rendered[proto])
    return out


def with_prefix(connection, tags, lines):
    return ["%s<%s %s" % (connection, tags, lines[0])] + lines[1:]
