"""The case file format: text into cases, steps and marks. tests/wire/README.md describes it.

A file is a list of cases; a case is a list of steps; a step is one of

    Exchange   commands sent (pipelined when several, with >>) and the replies expected after them
    Block      repeat N ... end
    Statement  open, close, config, check
"""

import re

import pattern
from values import Incomplete, SyntaxProblem, Word, split_words

SEND = re.compile(r"([a-z]\w*)?(>>|>|!)(?:\s+(.*))?$")
EXPECT = re.compile(r"([a-z]\w*)?<([\w.,-]*)(?:\s+(.*))?$")
MARKS = re.compile(r"\[([^\]]*)\]\s*")
SERVER_TAG = re.compile(r"(roan|valkey|redis)(?:-(\d+)\.(\d+))?$")
STATEMENTS = ("open", "close", "config", "check")
CASE_MARKS = ("since", "only", "not", "needs", "restart", "args")
STEP_MARKS = ("since", "only", "not", "eventually", "repeat", "split", "cut")


class CaseError(Exception):
    def __init__(self, path, line, text):
        Exception.__init__(self, path, line, text)

    def __str__(self):
        return "%s:%d: %s" % self.args


class Case:
    def __init__(self, name, line, marks):
        self.name, self.line, self.marks = name, line, marks
        self.steps = []


class Exchange:
    def __init__(self, line, marks):
        self.line, self.marks = line, marks
        self.sends, self.expects = [], []


class Send:
    def __init__(self, line, connection, sign, text, words):
        self.line, self.connection, self.sign = line, connection, sign
        self.text, self.words = text, words

    def is_raw(self):
        return self.connection.startswith("raw")


class Expect:
    """One reply; `variants` is a list of (tags, Pattern, source text)."""

    def __init__(self, line, connection):
        self.line, self.connection = line, connection
        self.variants = []
        self.last_line = line


class Block:
    def __init__(self, line, count):
        self.line, self.count = line, count
        self.steps = []


class Statement:
    def __init__(self, line, verb, words):
        self.line, self.verb, self.words = line, verb, words


class CaseFile:
    def __init__(self, path):
        self.path = path
        self.marks = {}
        self.setup = []   # steps before the first case run before every case
        self.cases = []
        with open(path, encoding="utf-8") as source:
            self.lines = source.read().splitlines()
        self._parse()

    def _parse(self):
        self.open_steps = [self.setup]
        self.exchange = None
        self.at = 0
        while self.at < len(self.lines):
            self.line = self.at + 1
            text = self.lines[self.at].strip()
            self.at += 1
            if text and not text.startswith("#"):
                try:
                    self._parse_line(text)
                except SyntaxProblem as problem:
                    raise CaseError(self.path, self.line, problem)
        self._end_exchange()
        self._end_blocks()

    def _parse_line(self, text):
        verb, _, rest = text.partition(" ")
        send, expect = SEND.match(text), EXPECT.match(text)
        if verb == "case":
            self._begin_case(rest)
        elif verb == "file":
            self.marks, _ = take_marks(rest, CASE_MARKS)
        elif verb == "repeat":
            block = Block(self.line, int(rest))
            self._add(block)
            self.open_steps.append(block.steps)
        elif verb == "end":
            if len(self.open_steps) < 2:
                raise SyntaxProblem("end without repeat")
            self._end_exchange()
            self.open_steps.pop()
        elif verb in STATEMENTS:
            self._add(Statement(self.line, verb, split_words(rest)))
        elif send:
            self._add_send(*send.groups())
        elif expect:
            self._add_expect(*expect.groups())
        else:
            raise SyntaxProblem("neither a step nor a statement: %s" % text)

    def _begin_case(self, rest):
        self._end_exchange()
        self._end_blocks()
        marks, name = take_marks(rest, CASE_MARKS)
        case = Case(name, self.line, dict(self.marks, **marks))
        self.cases.append(case)
        self.open_steps = [case.steps]

    def _end_blocks(self):
        if len(self.open_steps) > 1:
            raise CaseError(self.path, self.line, "a repeat block without end")

    def _add(self, step):
        self._end_exchange()
        self.open_steps[-1].append(step)

    def _end_exchange(self):
        """A command sent with > is followed by a reply on its connection."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None and exchange.sends and exchange.sends[-1].sign == ">":
            last = exchange.sends[-1]
            if last.connection not in [expect.connection for expect in exchange.expects]:
                raise CaseError(self.path, last.line, "a reply is missing after this command")

    def _add_send(self, connection, sign, rest):
        marks, text = take_marks(rest or "", STEP_MARKS, at_end=False)
        connection = connection or ""
        send = Send(self.line, connection, sign, text, split_words(text))
        if marks or not self._continues_pipeline(sign):
            self._begin_exchange(marks)
        self.exchange.sends.append(send)
        if sign == "!":
            expect = Expect(self.line, connection)
            expect.variants.append(((), pattern.NotError(), "no error"))
            self.exchange.expects.append(expect)
            self.exchange = None

    def _begin_exchange(self, marks):
        exchange = Exchange(self.line, marks)
        self._add(exchange)
        self.exchange = exchange

    def _continues_pipeline(self, sign):
        exchange = self.exchange
        return (sign != "!" and exchange is not None and not exchange.expects
                and exchange.sends[-1].sign == ">>")

    def _add_expect(self, connection, tags, rest):
        if self.exchange is None:
            self._begin_exchange({})
        connection = connection or ""
        tags = tuple(tag for tag in tags.split(",") if tag)
        for tag in tags:
            if tag not in ("2", "3", "bytes") and not SERVER_TAG.match(tag):
                raise SyntaxProblem("unknown tag %s" % tag)
        first_line = self.line
        parsed, source = self._parse_pattern(rest or "", tags)
        expects = self.exchange.expects
        if not expects or not tags or not self._is_variant(expects[-1], connection, tags):
            expects.append(Expect(first_line, connection))
        expects[-1].variants.append((tags, parsed, source))
        expects[-1].last_line = self.at

    @staticmethod
    def _is_variant(expect, connection, tags):
        return expect.connection == connection and tags not in [one[0] for one in expect.variants]

    def _parse_pattern(self, text, tags):
        if text == "?":
            return pattern.Any(), text
        if "bytes" in tags:
            return split_words(text)[0], text
        while True:
            try:
                return pattern.parse(text), text
            except Incomplete:
                if self.at == len(self.lines):
                    raise
                text += "\n" + self.lines[self.at].strip()
                self.at += 1


def take_marks(text, known, at_end=True):
    """The [mark, mark] list at the end (or the start) of a line, and the rest of the line."""
    match = re.search(r"(?:^|\s)\[([^\]]*)\]$", text) if at_end else MARKS.match(text)
    if not match:
        return {}, text.strip()
    marks = {}
    for mark in match.group(1).split(","):
        name, _, value = mark.strip().partition(" ")
        if name not in known:
            raise SyntaxProblem("unknown mark %s" % name)
        marks[name] = value.strip()
    rest = text[:match.start()] if at_end else text[match.end():]
    return marks, rest.strip()


# -- which servers a mark means ----------------------------------------------------------------------

FORK = (7, 2)  # Valkey has what Redis had up to here


def has_version(mark, server):
    """Whether a server, (name, version), has what came with `mark`, such as redis-7.2."""
    match = SERVER_TAG.match(mark)
    if not match or match.group(2) is None:
        raise SyntaxProblem("%s is no server version" % mark)
    name, version = match.group(1), (int(match.group(2)), int(match.group(3)))
    if server[0] == "roan":
        return True
    if server[0] == name:
        return server[1] >= version
    return server[0] == "valkey" and name == "redis" and version <= FORK


def is_server(tag, server):
    match = SERVER_TAG.match(tag)
    if not match or match.group(1) != server[0]:
        return False
    return match.group(2) is None or server[1] == (int(match.group(2)), int(match.group(3)))


def applies(marks, server):
    """Whether marks let a case or step run on this server."""
    if "since" in marks and not any(has_version(mark, server) for mark in marks["since"].split()):
        return False
    if "only" in marks and not any(is_server(tag, server) for tag in marks["only"].split()):
        return False
    return not any(is_server(tag, server) for tag in marks.get("not", "").split())


def choose(variants, server, proto):
    """The variant with the most tags that all hold; None when none does."""
    best = None
    for tags, parsed, source in variants:
        holds = all(tag == "bytes" or tag == str(proto) or is_server(tag, server) for tag in tags)
        if holds and (best is None or len(tags) >= len(best[0])):
            best = (tags, parsed, source)
    return best
