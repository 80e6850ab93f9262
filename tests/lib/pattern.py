"""Reply patterns: parse, match, and the reverse, writing a reply as a pattern.

    OK                    status reply            "text"  'text'       bulk string
    (integer) 3   3       integer                 95..100              integer in a range
    (nil)  (nil-array)    null bulk, null array   (error) ERR text     error, to the end of the line
    (double) 1.5          double                  (boolean) true       boolean
    (bignum) 123          big number              (verbatim) "text"    verbatim string
    [a, b, ...]           array; ... = anything   {"key": value, ...}  map, in any order
    set["a", "b"]         set, in any order       unordered["a", ...]  array, in any order
    push["message", any]  push message            oneof[1, 2]          one of these
    ~regex~               text that contains a match (bulk, status, verbatim)
    any  bulk(5)  array(2..4)  map(7)             anything; of this size
    $name  $repeat("x", 9)  $list("k%", 1, 9)     bulk strings with these values
    (number) 5..10        bulk string or integer that is a number in the range
    (closed)  (nothing)   the connection is closed; nothing arrives
    PATTERN as $name      match and remember; a regex with a group remembers the group

RESP3 types are written once: against a RESP2 connection a map is a flat array, a set and a push are
arrays, doubles, big numbers and verbatim strings are bulk strings, booleans are integers.
"""

import re

from resp import plain
from values import (Environment, Incomplete, NAME, Scanner, SyntaxProblem, Word, parse_dollar,
                    parse_quoted, quote, variable)

BARE = re.compile(r"[A-Za-z][A-Za-z0-9_.'-]*")
RANGE = re.compile(r"(-?\d+(?:\.\d+)?)(?:\.\.(-?\d+(?:\.\d+)?))?(?![\w.])")
KIND = re.compile(r"\(([a-z-]+)\)[ \t]*")
SIZE = re.compile(r"(bulk|array|map|set)\((\d+)(?:\.\.(\d+))?\)")
NUMBER_TEXT = re.compile(rb"[-+]?(\d+(\.\d*)?([eE][-+]?\d+)?|inf|nan)")
AGGREGATES = ("array", "set", "push")


class Context:
    """What matching needs: the protocol of the connection and the case's variables."""

    def __init__(self, proto, env):
        self.proto = proto
        self.env = env


class Pattern:
    """`match` returns None when the reply fits, otherwise a short reason."""

    name = None

    def match(self, reply, context):
        problem = self.check(reply, context)
        if problem is None and self.name is not None:
            context.env.variables[self.name] = self.capture(reply)
        return problem

    def capture(self, reply):
        return plain(reply)


class Any(Pattern):
    def check(self, reply, context):
        return None


class NotError(Pattern):
    """For `!` steps."""

    def check(self, reply, context):
        return "an error" if reply.kind == "error" else None


class Special(Pattern):
    """(closed) and (nothing): the player looks at `kind` before it reads."""

    def __init__(self, kind):
        self.kind = kind

    def check(self, reply, context):
        return "(%s) was expected" % self.kind


class Exact(Pattern):
    """A reply of a kind whose text is a literal word, a regex or a range."""

    RESP2_KIND = {"double": "bulk", "bignum": "bulk", "verbatim": "bulk"}

    def __init__(self, kind, content):
        self.kind = kind
        self.content = content

    def check(self, reply, context):
        kind = self.RESP2_KIND.get(self.kind, self.kind) if context.proto == 2 else self.kind
        if reply.kind != kind:
            return "a reply of kind %s, not %s" % (kind, reply.kind)
        return self.content.compare(plain(reply), context)

    def capture(self, reply):
        return self.content.capture(plain(reply))


class Text:
    def __init__(self, word):
        self.word = word

    def compare(self, value, context):
        if self.word.evaluate(context.env) != text_bytes(value):
            return "a different text"

    def capture(self, value):
        return value


class Regex:
    """A regular expression; ${name} in it stands for the text of a variable."""

    def __init__(self, source):
        self.source = source
        self.compile(re.sub(r"\$\{[^}]*\}", "", source))

    def compile(self, source):
        try:
            return re.compile(source.encode("latin-1"), re.MULTILINE)
        except re.error as problem:
            raise SyntaxProblem("regex ~%s~: %s" % (source, problem))

    def compare(self, value, context):
        source = re.sub(r"\$\{([\w.]+)\}", lambda name: re.escape(
            text_bytes(variable(name.group(1), context.env)).decode("latin-1")), self.source)
        self.found = self.compile(source).search(text_bytes(value))
        if not self.found:
            return "no match of the regex"

    def capture(self, value):
        return self.found.group(1 if self.found.re.groups else 0)


class Range:
    def __init__(self, low, high):
        self.low, self.high = low, high

    def compare(self, value, context):
        text = text_bytes(value)
        if not NUMBER_TEXT.fullmatch(text):
            return "not a number"
        if not self.low <= (int(text) if isinstance(self.low, int) else float(text)) <= self.high:
            return "out of range"

    def capture(self, value):
        return value


class TextLike(Pattern):
    """A bare ~regex~, or (number): any reply that carries text."""

    def __init__(self, content, kinds):
        self.content = content
        self.kinds = kinds

    def check(self, reply, context):
        if reply.kind not in self.kinds:
            return "not a text reply but %s" % reply.kind
        return self.content.compare(plain(reply), context)

    def capture(self, reply):
        return self.content.capture(plain(reply))


class Integer(Exact):
    def __init__(self, content):
        Exact.__init__(self, "integer", content)


class Boolean(Pattern):
    def __init__(self, value):
        self.value = value

    def check(self, reply, context):
        if reply.kind != ("integer" if context.proto == 2 else "boolean"):
            return "a reply of kind boolean, not %s" % reply.kind
        return None if int(reply.value) == int(self.value) else "the other value"


class Null(Pattern):
    """(nil), (nil-array): told apart in RESP2 only."""

    def __init__(self, kind):
        self.kind = kind

    def check(self, reply, context):
        kind = self.kind if context.proto == 2 else "nil"
        return None if reply.kind == kind else "%s, not %s" % (kind, reply.kind)


class Size(Pattern):
    def __init__(self, kind, low, high):
        self.kind, self.low, self.high = kind, low, high

    def check(self, reply, context):
        count = None
        if self.kind == reply.kind or (self.kind == "bulk" and reply.kind == "verbatim"):
            count = len(plain(reply))
        elif context.proto == 2 and reply.kind == "array" and self.kind in ("set", "map"):
            count = len(reply.value) // (2 if self.kind == "map" else 1)
        if count is None:
            return "a reply of kind %s, not %s" % (self.kind, reply.kind)
        return None if self.low <= count <= self.high else "a size of %d" % count


class Sequence(Pattern):
    """Arrays and pushes (in order), sets and unordered (any order)."""

    def __init__(self, kind, items, is_open):
        self.kind, self.items, self.is_open = kind, items, is_open

    def check(self, reply, context):
        kind = "array" if context.proto == 2 or self.kind == "unordered" else self.kind
        if reply.kind != kind:
            return "a reply of kind %s, not %s" % (kind, reply.kind)
        items = expand(self.items, context)
        if self.kind in ("set", "unordered"):
            return match_unordered(items, reply.value, self.is_open, context)
        return match_ordered(items, reply.value, self.is_open, context)


class Map(Pattern):
    def __init__(self, pairs, is_open):
        self.pairs, self.is_open = pairs, is_open

    def check(self, reply, context):
        if reply.kind == "map" and context.proto == 3:
            entries = reply.value
        elif reply.kind == "array" and context.proto == 2 and len(reply.value) % 2 == 0:
            entries = list(zip(reply.value[::2], reply.value[1::2]))
        else:
            return "a reply of kind map, not %s" % reply.kind
        left = list(entries)
        for key, value in self.pairs:
            found = [entry for entry in left if key.match(entry[0], context) is None]
            if not found:
                return "no key %s" % render_key(key, context)
            problem = value.match(found[0][1], context)
            if problem:
                return "under %s: %s" % (render_key(key, context), problem)
            left.remove(found[0])
        return "%d more keys" % len(left) if left and not self.is_open else None


class OneOf(Pattern):
    def __init__(self, items):
        self.items = items

    def check(self, reply, context):
        problems = [item.match(reply, context) for item in self.items]
        return None if None in problems else "none of the alternatives"


class Generated(Pattern):
    """$name or $repeat(...): bulk strings; several with $list. Integers match integer variables."""

    def __init__(self, word):
        self.word = word

    def expand(self, context):
        return [Exact("bulk", Text(Word([value]))) for value in self.word.evaluate_many(context.env)]

    def check(self, reply, context):
        is_number = self.word.pieces[0][0] == "var" or self.word.pieces[0][1] in ("add", "integer")
        if reply.kind not in (("bulk", "integer", "status") if is_number else ("bulk",)):
            return "a reply of kind %s" % reply.kind
        if self.word.evaluate(context.env) != text_bytes(plain(reply)):
            return "a different value"


def expand(items, context):
    out = []
    for item in items:
        if isinstance(item, Generated) and item.word.pieces[0][:2] == ("call", "list"):
            out += item.expand(context)
        else:
            out.append(item)
    return out


def match_ordered(items, replies, is_open, context):
    if len(replies) < len(items) or (len(replies) > len(items) and not is_open):
        return "%d elements instead of %d" % (len(replies), len(items))
    for index, (item, reply) in enumerate(zip(items, replies)):
        problem = item.match(reply, context)
        if problem:
            return "element %d: %s" % (index + 1, problem)


def match_unordered(items, replies, is_open, context):
    left = list(replies)
    for index, item in enumerate(items):
        for at, reply in enumerate(left):
            if item.match(reply, context) is None:
                del left[at]
                break
        else:
            return "nothing fits element %d" % (index + 1)
    if left and not is_open:
        return "unexpected element %s" % render(left[0])


def text_bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


def render_key(key, context):
    content = getattr(key, "content", None)
    return content.word.evaluate(context.env).decode("latin-1") if isinstance(content, Text) else "?"


# -- parsing ----------------------------------------------------------------------------------------

def parse(text):
    """A whole `<` line. Raises Incomplete when the next line belongs to it."""
    scanner = Scanner(text)
    scanner.skip_space()
    if scanner.done():
        raise Incomplete("an empty pattern")
    if scanner.peek(7) == "(error)":
        return Exact("error", parse_error_text(text[scanner.at + 7:].strip()))
    if BARE.match(text, scanner.at) and not starts_keyword(scanner):
        return parse_status_line(text.strip())
    pattern = parse_value(scanner)
    scanner.skip_space()
    if not scanner.done():
        raise SyntaxProblem("unexpected text %r" % scanner.text[scanner.at:])
    return pattern


KEYWORDS = re.compile(r"(any|array\(|bulk\(|map\(|set\(|set\[|unordered\[|push\[|oneof\[)")


def starts_keyword(scanner):
    match = KEYWORDS.match(scanner.text, scanner.at)
    return bool(match) and (match.group() != "any" or re.match(r"any\b", scanner.text[scanner.at:]))


def parse_status_line(text):
    head, found, name = text.rpartition(" as $")
    if found:
        return named(Exact("status", Text(Word([head.strip().encode()]))), name)
    return Exact("status", Text(Word([text.encode()])))


def named(pattern, name):
    pattern.name = name
    return pattern


def parse_error_text(text):
    if text.startswith("~"):
        return Regex(text[1:text.rindex("~")])
    if text.startswith('"'):
        return Text(Word(parse_quoted(Scanner(text))))
    return Text(Word([text.encode()]))


def parse_value(scanner):
    scanner.skip_space()
    pattern = parse_unnamed(scanner)
    at = scanner.at
    scanner.skip_space()
    if scanner.take("as $"):
        pattern.name = scanner.take_match(NAME).group()
    else:
        scanner.at = at
    return pattern


def parse_unnamed(scanner):
    if scanner.done():
        raise Incomplete("a value is missing")
    char = scanner.peek()
    if char in "\"'":
        return Exact("bulk", Text(Word(parse_quoted(scanner))))
    if char == "~":
        return TextLike(parse_regex(scanner), ("bulk", "status", "verbatim", "double"))
    if char == "$":
        return Generated(Word([parse_dollar(scanner, bare=True)]))
    if char == "[":
        return parse_sequence(scanner, "array")
    if char == "{":
        return parse_map(scanner)
    if char == "(":
        return parse_typed(scanner)
    size = scanner.take_match(SIZE)
    if size:
        return Size(size.group(1), int(size.group(2)), int(size.group(3) or size.group(2)))
    for kind in ("set", "unordered", "push", "oneof"):
        if scanner.peek(len(kind) + 1) == kind + "[":
            scanner.at += len(kind)
            return parse_sequence(scanner, kind)
    number = scanner.take_match(RANGE)
    if number:
        return Integer(range_content(number))
    word = scanner.take_match(BARE)
    if not word:
        raise SyntaxProblem("no pattern starts with %r" % scanner.text[scanner.at:])
    if word.group() == "any":
        return Any()
    return Exact("status", Text(Word([word.group().encode()])))


def range_content(match):
    low, high = match.group(1), match.group(2)
    if high is None:
        return Text(Word([low.encode()]))
    convert = float if "." in low + high else int
    return Range(convert(low), convert(high))


def parse_regex(scanner):
    end = scanner.at + 1
    while True:
        end = scanner.text.find("~", end)
        if end < 0:
            raise Incomplete("a closing ~ is missing")
        if scanner.text[end - 1] != "\\":
            break
        end += 1
    source = scanner.text[scanner.at + 1:end].replace("\\~", "~")
    scanner.at = end + 1
    return Regex(source)


def parse_typed(scanner):
    match = scanner.take_match(KIND)
    kind = match.group(1) if match else None
    if kind in ("nil", "nil-array"):
        return Null(kind)
    if kind in ("closed", "nothing"):
        return Special(kind)
    if kind == "boolean":
        word = scanner.take_match(BARE)
        return Boolean(word is not None and word.group() == "true")
    if kind == "number":
        return TextLike(range_content(scanner.take_match(RANGE)), ("bulk", "status", "integer", "double"))
    if kind not in ("integer", "double", "bignum", "verbatim", "status", "error", "bulk"):
        raise SyntaxProblem("unknown type at %r" % scanner.text[scanner.at:])
    return Exact(kind, parse_content(scanner))


def parse_content(scanner):
    char = scanner.peek()
    if char != "" and char in "\"'":
        return Text(Word(parse_quoted(scanner)))
    if char == "~":
        return parse_regex(scanner)
    if char == "$":
        return Text(Word([parse_dollar(scanner, bare=True)]))
    number = scanner.take_match(RANGE)
    if number:
        return range_content(number)
    text = scanner.take_match(re.compile(r"[^\s,\]}]+"))
    if not text:
        raise SyntaxProblem("a value is missing after the type")
    return Text(Word([text.group().encode()]))


def parse_sequence(scanner, kind):
    scanner.expect("[")
    items, is_open = [], False
    while True:
        scanner.skip_space()
        if scanner.take("]"):
            break
        if items or is_open:
            scanner.expect(",")
            scanner.skip_space()
        if scanner.take("..."):
            is_open = True
        else:
            items.append(parse_value(scanner))
    return OneOf(items) if kind == "oneof" else Sequence(kind, items, is_open)


def parse_map(scanner):
    scanner.expect("{")
    pairs, is_open = [], False
    while True:
        scanner.skip_space()
        if scanner.take("}"):
            return Map(pairs, is_open)
        if pairs or is_open:
            scanner.expect(",")
            scanner.skip_space()
        if scanner.take("..."):
            is_open = True
            continue
        key = parse_value(scanner)
        scanner.skip_space()
        scanner.expect(":")
        pairs.append((key, parse_value(scanner)))


# -- writing a reply as a pattern --------------------------------------------------------------------

LINE_COLUMNS_MAX = 100


def render(reply, top=True):
    """The pattern that matches exactly this reply, on one line."""
    kind, value = reply
    if kind == "status":
        text = value.decode("latin-1")
        simple = re.fullmatch(r"[A-Za-z][A-Za-z0-9 _.'-]*" if top else BARE.pattern, text)
        return text if simple else "(status) " + quote(value)
    if kind == "error":
        text = value.decode("latin-1")
        simple = top and text.isprintable() and value.isascii() and text.strip() == text
        return "(error) " + (text if simple and text[:1] not in ("", '"', "~") else quote(value))
    if kind == "integer":
        return ("(integer) %d" if top else "%d") % value
    if kind == "bulk":
        return render_bulk(value)
    if kind in ("nil", "nil-array", "closed"):
        return "(%s)" % kind
    if kind in AGGREGATES:
        prefix = "" if kind == "array" else kind
        return prefix + "[" + ", ".join(render(item, False) for item in value) + "]"
    if kind == "map":
        pairs = ("%s: %s" % (render(key, False), render(item, False)) for key, item in value)
        return "{" + ", ".join(pairs) + "}"
    if kind == "verbatim":
        return "(verbatim) " + quote(value[1])
    if kind == "boolean":
        return "(boolean) " + ("true" if value else "false")
    return "(%s) %s" % (kind, value.decode("latin-1"))


def render_bulk(value):
    if len(value) > 80 and value == value[:1] * len(value):
        return "$repeat(%s, %d)" % (quote(value[:1]), len(value))
    return quote(value)


def render_lines(reply):
    """Like render, but long arrays and maps take a line per element."""
    line = render(reply)
    if len(line) < LINE_COLUMNS_MAX or reply.kind not in AGGREGATES + ("map",) or not reply.value:
        return [line]
    prefix = "" if reply.kind in ("array", "map") else reply.kind
    opening, closing = "{}" if reply.kind == "map" else "[]"
    if reply.kind == "map":
        items = ["%s: %s" % (render(key, False), render(value, False)) for key, value in reply.value]
    else:
        items = [render(item, False) for item in reply.value]
    lines = [prefix + opening] + ["    %s," % item for item in items]
    lines[-1] = lines[-1][:-1] + closing
    return lines


def fits(text, reply, proto):
    """Whether the pattern `text` matches `reply`: used to merge RESP2 and RESP3 recordings."""
    return parse(text).match(reply, Context(proto, Environment(0))) is None
