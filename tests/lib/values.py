"""Words of a case file: quoting, escapes, variables and generators.

A word becomes one argument (or, for $list, several). It is parsed once and evaluated each time it is
used, so that random generators and variables differ between repeats:

    word   "two words\\r\\n\\x00"   'no $escapes here'   $name   key:$name   ${name}tail
    $name.0.1                        an element of a saved array
    $repeat("x", 1000)  $random(20)  $alnum(20)  $integer(1, 6)  $bytes(0, 255)
    $add($n, 1)  $now(60)  $now_ms(-5)  $list("key:% value:%", 1, 100)  $long("k%", 1, 100)
"""

import random
import re
import time

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.\d+)*")
ESCAPES = {"n": 10, "r": 13, "t": 9, "a": 7, "b": 8, "0": 0, "\\": 92, '"': 34, "'": 39, "$": 36, "~": 126}


class SyntaxProblem(Exception):
    """The text is wrong whatever follows it."""


class Incomplete(SyntaxProblem):
    """The text ends inside a bracket or quote; another line may complete it."""


class Scanner:
    """A position in a text."""

    def __init__(self, text, at=0):
        self.text = text
        self.at = at

    def peek(self, count=1):
        return self.text[self.at:self.at + count]

    def done(self):
        return self.at >= len(self.text)

    def skip_space(self):
        while not self.done() and self.text[self.at].isspace():
            self.at += 1

    def take(self, literal):
        if self.text.startswith(literal, self.at):
            self.at += len(literal)
            return True
        return False

    def take_match(self, pattern):
        match = pattern.match(self.text, self.at)
        if match:
            self.at = match.end()
        return match

    def expect(self, literal):
        if not self.take(literal):
            kind = Incomplete if self.done() else SyntaxProblem
            raise kind("expected %r at %r" % (literal, self.text[self.at:self.at + 20]))


class Word:
    """Pieces that are joined: bytes, ("var", path) or ("call", name, [Word or number])."""

    def __init__(self, pieces):
        self.pieces = pieces

    def evaluate(self, env):
        """The word as bytes; a $list must go through evaluate_many."""
        return b"".join(text_of(piece_value(piece, env)) for piece in self.pieces)

    def evaluate_many(self, env):
        if len(self.pieces) == 1 and not isinstance(self.pieces[0], bytes):
            value = piece_value(self.pieces[0], env)
            if isinstance(value, list):
                return [text_of(item) for item in value]
            return [text_of(value)]
        return [self.evaluate(env)]

    def is_literal(self):
        return all(isinstance(piece, bytes) for piece in self.pieces)


class Environment:
    """What words can refer to: variables, and a random source per case."""

    def __init__(self, seed, variables=()):
        self.random = random.Random(seed)
        self.variables = dict(variables)


def text_of(value):
    if isinstance(value, bytes):
        return value
    if isinstance(value, list):
        raise SyntaxProblem("a list where one value is needed")
    if value is None:
        return b""
    return str(value).encode()


def piece_value(piece, env):
    if isinstance(piece, bytes):
        return piece
    if piece[0] == "var":
        return variable(piece[1], env)
    name, words = piece[1], piece[2]
    arguments = [word.evaluate(env) for word in words]
    return GENERATORS[name](env, *arguments)


def variable(path, env):
    name, *indexes = path.split(".")
    if name not in env.variables:
        raise SyntaxProblem("$%s was never set" % name)
    value = env.variables[name]
    for index in indexes:
        value = value[int(index)]
    return value


# -- generators: each takes the environment and its arguments as bytes ------------------------------

def make_list(env, template, first, last):
    """Arguments: the template's words for each number; % stands for the number."""
    words = template.split(b" ")
    return [word.replace(b"%", b"%d" % number)
            for number in range(int(first), int(last) + 1) for word in words]


ALNUM = b"abcdefghijklmnopqrstuvwxyz0123456789"

GENERATORS = {
    "repeat": lambda env, text, count: text * int(count),
    "random": lambda env, count: bytes(env.random.getrandbits(8) for _ in range(int(count))),
    "alnum": lambda env, count: bytes(env.random.choice(ALNUM) for _ in range(int(count))),
    "integer": lambda env, low, high: env.random.randint(int(low), int(high)),
    "bytes": lambda env, first, last: bytes(range(int(first), int(last) + 1)),
    "add": lambda env, *terms: sum(int(term) for term in terms),
    "now": lambda env, offset=b"0": int(time.time()) + int(offset),
    "now_ms": lambda env, offset=b"0": int(time.time() * 1000) + int(offset),
    "list": make_list,
    "long": lambda env, *args: b"".join(make_list(env, *args)),
}


# -- parsing ----------------------------------------------------------------------------------------

def split_words(text):
    """A line as a list of Words, like a shell or redis-cli would split it."""
    scanner = Scanner(text)
    words = []
    scanner.skip_space()
    while not scanner.done():
        words.append(parse_word(scanner))
        if not scanner.done() and not scanner.peek().isspace():
            raise SyntaxProblem("a space is missing before %r" % scanner.text[scanner.at:])
        scanner.skip_space()
    return words


def parse_word(scanner):
    quote = scanner.peek()
    if quote in ('"', "'"):
        return Word(parse_quoted(scanner))
    pieces, literal = [], bytearray()
    while not scanner.done() and not scanner.peek().isspace():
        dollar = parse_dollar(scanner, bare=True)
        if dollar is None:
            literal += scanner.peek().encode()
            scanner.at += 1
            continue
        if literal:
            pieces.append(bytes(literal))
            literal = bytearray()
        pieces.append(dollar)
    if literal:
        pieces.append(bytes(literal))
    return Word(pieces)


def parse_quoted(scanner):
    """The pieces of a quoted string; the scanner stands on the opening quote."""
    quote = scanner.peek()
    scanner.at += 1
    pieces, literal = [], bytearray()
    while True:
        if scanner.done():
            raise Incomplete("a closing %s is missing" % quote)
        char = scanner.peek()
        if char == quote:
            scanner.at += 1
            break
        if quote == '"' and char == "\\":
            literal.append(parse_escape(scanner))
            continue
        if quote == '"' and scanner.peek(2) == "${":
            pieces += [bytes(literal), parse_dollar(scanner, bare=False)]
            literal = bytearray()
            continue
        literal += char.encode()
        scanner.at += 1
    return [piece for piece in pieces + [bytes(literal)] if piece != b""]


def parse_escape(scanner):
    letter = scanner.text[scanner.at + 1:scanner.at + 2]
    if letter == "x":
        digits = scanner.text[scanner.at + 2:scanner.at + 4]
        scanner.at += 4
        try:
            return int(digits, 16)
        except ValueError:
            raise SyntaxProblem("\\x%s is not a byte" % digits)
    if letter not in ESCAPES or letter == "":
        raise SyntaxProblem("unknown escape \\%s" % letter)
    scanner.at += 2
    return ESCAPES[letter]


def parse_dollar(scanner, bare):
    """A variable or generator at the scanner, or None when the text there is literal."""
    if scanner.take("${"):
        name = scanner.take_match(NAME)
        if not name:
            raise SyntaxProblem("a name is missing after ${")
        scanner.expect("}")
        return ("var", name.group())
    if not bare or scanner.peek() != "$":
        return None
    match = NAME.match(scanner.text, scanner.at + 1)
    if not match:
        return None
    scanner.at = match.end()
    if scanner.peek() != "(":
        return ("var", match.group())
    if match.group() not in GENERATORS:
        raise SyntaxProblem("unknown generator $%s()" % match.group())
    scanner.at += 1
    return ("call", match.group(), parse_arguments(scanner))


ARGUMENT = re.compile(r"-?\d+")


def parse_arguments(scanner):
    arguments = []
    while True:
        scanner.skip_space()
        if scanner.take(")"):
            return arguments
        if arguments:
            scanner.expect(",")
            scanner.skip_space()
        if scanner.peek() in ('"', "'"):
            arguments.append(Word(parse_quoted(scanner)))
        elif scanner.peek() == "$" or scanner.peek(2) == "-$":
            sign = b"-" if scanner.take("-") else b""
            arguments.append(Word([sign, parse_dollar(scanner, bare=True)]))
        else:
            number = scanner.take_match(ARGUMENT)
            if not number:
                raise SyntaxProblem("a number, string or variable is expected at %r"
                                    % scanner.text[scanner.at:])
            arguments.append(Word([number.group().encode()]))


def quote(data):
    """Bytes as a double-quoted word that reads back as the same bytes."""
    named = {10: "\\n", 13: "\\r", 9: "\\t", 92: "\\\\", 34: '\\"'}
    out = []
    for index, byte in enumerate(data):
        if byte in named:
            out.append(named[byte])
        elif byte == 36 and data[index + 1:index + 2] == b"{":
            out.append("\\$")
        elif 32 <= byte < 127:
            out.append(chr(byte))
        else:
            out.append("\\x%02x" % byte)
    return '"%s"' % "".join(out)
