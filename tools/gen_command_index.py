#!/usr/bin/env python3
"""Finds every command block and writes the index that the dispatcher compiles.

A block opens with ROAN_COMMAND(id, ...), ROAN_SUBCOMMAND(parent, id, ...) or ROAN_COMMAND_NAMED(id, "name", ...);
src/engine/command.h explains the fields and the language of `.arguments`. Comments, strings, `#if 0` regions and
preprocessor lines are skipped, so a commented-out block is not a block. What is written, each only when it changed:

    --ids    command_ids.h    enum { ROAN_COMMAND_ID_<id>, ..., ROAN_COMMAND_ID_COUNT }: a command's place in the index
    --index  command_index.c  roan_command_index: the rows, ordered by name, a parent before its subcommands; beside
                              it how many subcommands each has, and a hash table to find a row by name
    --help-c command_help.c   include/roan/commands.h: name, syntax for people, summary and so on
    --dict   command.dict     names and tokens as a libFuzzer dictionary

The order compares names with "|" below every other character: command, command|count, commandlog. All problems of
all files are reported, one line each with file and line; then the exit status is 1 and nothing is written.
"""

import argparse
import os
import re
import sys

MACROS = ("ROAN_COMMAND", "ROAN_SUBCOMMAND", "ROAN_COMMAND_NAMED")
BLOCK_RE = re.compile(r"\b(%s)\s*\(" % "|".join(MACROS))
NAME_RE = re.compile(r"^[a-z][a-z0-9_.-]*(\|[a-z][a-z0-9_.-]*)?$")
ID_RE = re.compile(r"^[a-z_][a-z0-9_]*$")
TEXT_FIELDS = ("summary", "since", "complexity")


class Problem(Exception):
    """One thing wrong with one block; `offset` is where, inside the file."""

    def __init__(self, message, offset=None):
        super().__init__(message)
        self.offset = offset


# --- C text ---------------------------------------------------------------------------------------------------------

TOKEN_RE = re.compile(
    r"""/\*.*?\*/ | //(?:[^\n\\]|\\.|\\\n)* | "(?:[^"\\\n]|\\.|\\\n)*" | '(?:[^'\\\n]|\\.|\\\n)*'""",
    re.DOTALL | re.VERBOSE)


def blank(text):
    """The same number of characters and lines, with nothing in them."""
    return re.sub(r"[^\n]", " ", text)


def mask(text):
    """Two texts with the offsets of `text`: one without comments, one also with the insides of strings blanked."""
    def without_comment(match):
        word = match.group(0)
        return blank(word) if word[0] == "/" else word

    def without_string(match):
        word = match.group(0)
        return blank(word) if word[0] == "/" else word[0] + blank(word[1:-1]) + word[-1]

    code, masked = TOKEN_RE.sub(without_comment, text), TOKEN_RE.sub(without_string, text)
    return mask_preprocessor(code, masked)


def mask_preprocessor(code, masked):
    """Blanks preprocessor lines (with their continuations) and everything under `#if 0`."""
    code_lines, masked_lines = code.split("\n"), masked.split("\n")
    depth_off, continued = 0, False
    for number, line in enumerate(masked_lines):
        directive = re.match(r"\s*#\s*(\w+)\s*(.*)", line)
        if directive and not continued:
            word, rest = directive.group(1), directive.group(2).strip()
            if depth_off:
                depth_off += word in ("if", "ifdef", "ifndef")
                depth_off -= word == "endif"
                if depth_off == 1 and word in ("else", "elif"):
                    depth_off = 0
            elif word == "if" and rest == "0":
                depth_off = 1
        drop = bool(directive) or continued or depth_off > 0
        continued = (bool(directive) or continued) and line.rstrip().endswith("\\")
        if drop:
            code_lines[number], masked_lines[number] = blank(code_lines[number]), blank(line)
    return "\n".join(code_lines), "\n".join(masked_lines)


def closing(masked, start):
    """The offset of the bracket that closes the one at `start`."""
    pairs = {"(": ")", "[": "]", "{": "}"}
    stack = []
    for offset in range(start, len(masked)):
        char = masked[offset]
        if char in pairs:
            stack.append(pairs[char])
        elif char in ")]}":
            if stack.pop() != char:
                break
            if not stack:
                return offset
    raise Problem("the brackets of this block do not match", start)


def split_arguments(masked, start, end):
    """(from, to) of every top-level comma-separated piece of masked[start:end]."""
    pieces, depth, begin = [], 0, start
    for offset in range(start, end):
        char = masked[offset]
        depth += char in "([{"
        depth -= char in ")]}"
        if char == "," and depth == 0:
            pieces.append((begin, offset))
            begin = offset + 1
    pieces.append((begin, end))
    return [(a, b) for a, b in pieces if masked[a:b].strip()]


ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "0": "\0"}


def string_value(code):
    """The value of one or more adjacent C string literals, or None when it is something else."""
    rest, value = code.strip(), ""
    if not rest:
        return None
    while rest:
        match = re.match(r'"((?:[^"\\\n]|\\.|\\\n)*)"\s*', rest, re.DOTALL)
        if not match:
            return None
        value += re.sub(r"\\(\n|.)", lambda m: ESCAPES.get(m.group(1), m.group(1).strip("\n")), match.group(1),
                        flags=re.DOTALL)
        rest = rest[match.end():]
    return value


def c_string(value):
    """A C literal for `value`."""
    value = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"%s"' % value.replace("??", '?""?')


# --- the argument language ------------------------------------------------------------------------------------------

class Argument:
    """One parsed argument: kind is "token", "value", "oneof" or "block"."""

    def __init__(self, kind, name, parts=()):
        self.kind, self.name, self.parts = kind, name, list(parts)
        self.token = None
        self.field, self.type = name, None # its own name and the type of its value, for who makes code from it
        self.is_optional = self.is_repeated = self.repeats_token = False

    def words(self):
        """What is typed for it once, without its token."""
        if self.kind == "oneof":
            return " | ".join(part.text() for part in self.parts)
        if self.kind == "block":
            return " ".join(part.text() for part in self.parts)
        return self.name

    def text(self):
        """The syntax shown to people."""
        words = self.words()
        bare_oneof = self.kind == "oneof" and self.is_optional and not (self.token or self.is_repeated)
        if self.kind == "oneof" and not bare_oneof:
            words = "<%s>" % words
        token = self.token + " " if self.token else ""
        shown = token + words
        if self.is_repeated:
            shown += " [%s%s ...]" % (token if self.repeats_token else "", words)
        return "[%s]" % shown if self.is_optional else shown

    def tokens(self):
        own = [self.token] if self.token else []
        own += [self.name] if self.kind == "token" else []
        return own + [word for part in self.parts for word in part.tokens()]


class ArgumentParser:
    """Reads the language of `.arguments` (src/engine/command.h); src/engine/command_arguments.c reads it in C."""

    TYPES = ("string", "integer", "double", "key", "pattern", "unix-time")
    WORD_RE = re.compile(r"[^\s\[\]<>{}|]+")
    SUFFIXES = r"(?:=(?P<text>[^@#^.]+))?(?:\^(?P<since>\d+(?:\.\d+)*))?(?P<dots>\.*)$"
    TOKEN_RE = re.compile(r"^(?P<name>=|[^:@#^=.]+)(?:@(?P<own>[^:@#^=.]+))?" + SUFFIXES)
    VALUE_RE = re.compile(r"^(?P<name>[^:@#^=.]+)(?::(?P<type>[a-z-]+))?(?:#(?P<spec>\d))?" + SUFFIXES)

    def __init__(self, text):
        self.text, self.offset = text, 0

    def parse(self):
        arguments = self.sequence("")
        if self.offset < len(self.text):
            self.fail("unexpected '%s'" % self.text[self.offset])
        return arguments

    def fail(self, message):
        rest = self.text[self.offset:]
        raise Problem(".arguments: %s, before '%s'" % (message, rest[:20]) if rest else ".arguments: %s" % message)

    def peek(self):
        while self.offset < len(self.text) and self.text[self.offset].isspace():
            self.offset += 1
        return self.text[self.offset:self.offset + 1]

    def expect(self, char):
        if self.peek() != char:
            self.fail("expected '%s'" % char)
        self.offset += 1

    def sequence(self, ends):
        arguments = []
        while self.peek() and self.peek() not in ends:
            arguments.append(self.argument())
        return arguments

    def argument(self):
        if self.peek() == "[":
            return self.optional()
        word = self.word()
        if not is_token(word):
            return self.value(word)
        match = self.TOKEN_RE.match(word)
        if not match:
            self.fail("'%s' is not TOKEN@name=text^since" % word)
        shown = '""' if match.group("name") == "''" else match.group("name")
        if word == match.group("name") and self.value_follows():
            argument = self.value(self.word())
            argument.token = shown
            return argument
        token = Argument("token", shown)
        token.field = match.group("own") or shown.strip('"').lower()
        return self.repeated(token, match.group("dots"))

    def optional(self):
        self.expect("[")
        inside = self.sequence("]")
        self.expect("]")
        if len(inside) != 1:
            self.fail("'[ ]' must hold exactly one argument (use name{a b} for several)")
        if inside[0].is_optional:
            self.fail("'[[ ]]' is optional twice")
        inside[0].is_optional = True
        return inside[0]

    def word(self):
        self.peek()
        match = self.WORD_RE.match(self.text, self.offset)
        if not match:
            self.fail("expected a word")
        self.offset = match.end()
        return match.group(0)

    def value_follows(self):
        """After an upper-case word: is the next thing an argument whose token it is?"""
        self.peek()
        match = self.WORD_RE.match(self.text, self.offset)
        return bool(match) and not is_token(match.group(0))

    def value(self, word):
        match = self.VALUE_RE.match(word)
        if not match:
            self.fail("'%s' is not name:type#spec=text^since" % word)
        if match.group("type") and match.group("type") not in self.TYPES:
            self.fail("'%s' is not a type of argument" % match.group("type"))
        opener = self.text[self.offset:self.offset + 1]
        if opener not in ("<", "{") or match.group("dots"):
            argument = Argument("value", match.group("text") or match.group("name"))
            argument.field, argument.type = match.group("name"), match.group("type") or "string"
            return self.repeated(argument, match.group("dots"))
        if opener == "<":
            argument = Argument("oneof", word, self.alternatives())
        else:
            self.offset += 1
            argument = Argument("block", word, self.sequence("}"))
            self.expect("}")
            if not argument.parts:
                self.fail("the block '%s' is empty" % word)
        argument.field = match.group("name")
        dots = re.compile(r"\.*").match(self.text, self.offset).group(0)
        self.offset += len(dots)
        return self.repeated(argument, dots)

    def alternatives(self):
        parts = []
        opener = "<"
        while self.peek() == opener:
            self.offset += 1
            inside = self.sequence("|>")
            if len(inside) != 1:
                self.fail("an alternative must be exactly one argument (use name{a b} for several)")
            parts += inside
            opener = "|"
        self.expect(">")
        return parts

    def repeated(self, argument, dots):
        if len(dots) not in (0, 3, 4):
            self.fail("'...' repeats, '....' repeats with the token")
        argument.is_repeated, argument.repeats_token = len(dots) >= 3, len(dots) == 4
        return argument


def is_token(word):
    """A word without lower-case letters in its name (NX, NX@name, *, =) is a token."""
    name = re.match(r"=|[^:@#^=.]*", word).group(0)
    return bool(name) and not re.search(r"[a-z]", name)


def arguments_parse(text):
    return ArgumentParser(text).parse()


def arguments_text(text):
    """The syntax of `text` as people read it, in the style of redis-cli's hints."""
    return " ".join(argument.text() for argument in arguments_parse(text))


# --- blocks ---------------------------------------------------------------------------------------------------------

class Block:
    """One command: where it stands, its C identifier, its name and the raw text of its fields."""

    def __init__(self, path, line, identifier, name, parent_identifier, fields):
        self.path, self.line = path, line
        self.identifier, self.name, self.parent_identifier = identifier, name, parent_identifier
        self.fields = fields
        self.arguments, self.texts = [], {}

    def sort_key(self):
        return tuple(self.name.split("|"))


def block_read(path, code, masked, match):
    """The block that opens at `match`."""
    start = match.end() - 1
    end = closing(masked, start)
    pieces = [code[a:b].strip() for a, b in split_arguments(masked, start + 1, end)]
    macro = match.group(1)
    needed = 1 if macro == "ROAN_COMMAND" else 2
    if len(pieces) <= needed:
        raise Problem("%s without a row" % macro)
    if not re.match(r"\s*\{", masked[end + 1:]):
        raise Problem("%s(%s, ...) is not followed by a body" % (macro, pieces[0]))
    fields = {}
    for piece in pieces[needed:]:
        field = re.match(r"\.\s*(\w+)\s*=\s*(.*)", piece, re.DOTALL)
        if field:
            fields[field.group(1)] = field.group(2).strip()
    parent = None
    identifier, name = pieces[0], pieces[0]
    if macro == "ROAN_SUBCOMMAND":
        parent, identifier, name = pieces[0], pieces[0] + "_" + pieces[1], pieces[0] + "|" + pieces[1]
    elif macro == "ROAN_COMMAND_NAMED":
        name = string_value(pieces[1])
    if "name" in fields:
        name = string_value(fields["name"])
    if not ID_RE.match(identifier):
        raise Problem("'%s' is not a lower-case identifier" % identifier)
    if name is None or not NAME_RE.match(name):
        raise Problem("the name of '%s' must be a lower-case string literal" % identifier)
    line = code.count("\n", 0, match.start()) + 1
    return Block(path, line, identifier, name, parent, fields)


def block_check(block, groups):
    """Reads the fields that the help table needs; raises when one is missing or not what it must be."""
    fields = block.fields
    if not re.match(r"^-?\d+$", fields.get("arity", "")) or int(fields["arity"]) == 0:
        raise Problem("'%s' needs .arity: a number that is not 0" % block.name)
    for field in TEXT_FIELDS:
        block.texts[field] = string_value(fields.get(field, ""))
        if not block.texts[field]:
            raise Problem("'%s' needs .%s: a string literal" % (block.name, field))
    if fields.get("group") not in groups:
        raise Problem("'%s' needs .group: one of ROAN_GROUP_LIST" % block.name)
    block.texts["group"] = groups[fields["group"]]
    raw = fields.get("arguments", '""')
    text = "" if raw == "NULL" else string_value(raw)
    if text is None:
        raise Problem("'%s': .arguments must be a string literal" % block.name)
    block.arguments = arguments_parse(text)


def scan_text(path, text, groups):
    """(blocks, problems) of one file."""
    code, masked = mask(text)
    blocks, problems = [], []
    for match in BLOCK_RE.finditer(masked):
        try:
            block = block_read(path, code, masked, match)
            block_check(block, groups)
            blocks.append(block)
        except Problem as problem:
            line = code.count("\n", 0, match.start()) + 1
            problems.append("%s:%d: %s" % (path, line, problem))
    return blocks, problems


def blocks_check(blocks):
    """What is wrong between blocks: duplicates, and subcommands without a parent."""
    problems, names, identifiers = [], {}, {}
    for block in blocks:
        here = "%s:%d" % (block.path, block.line)
        for kind, word, seen in (("name", block.name, names), ("identifier", block.identifier, identifiers)):
            other = seen.setdefault(word, block)
            if other is not block:
                problems.append("%s: the %s '%s' is taken by %s:%d" % (here, kind, word, other.path, other.line))
    for block in blocks:
        here = "%s:%d" % (block.path, block.line)
        if block.parent_identifier is None:
            if "|" in block.name:
                problems.append("%s: '%s' must be a ROAN_SUBCOMMAND" % (here, block.name))
            continue
        parent = identifiers.get(block.parent_identifier)
        if parent is None or parent.parent_identifier is not None:
            problems.append("%s: '%s' has no parent ROAN_COMMAND(%s, ...)"
                            % (here, block.name, block.parent_identifier))
        elif block.name.split("|")[0] != parent.name or "|" not in block.name:
            problems.append("%s: '%s' must be named '%s|...'" % (here, block.name, parent.name))
    return problems


def groups_read(header_text):
    """{"ROAN_GROUP_STRING": "string", ...} from ROAN_GROUP_LIST in engine/command.h."""
    match = re.search(r"#define ROAN_GROUP_LIST\(X\)((?:.*\\\n)*.*)", header_text)
    rows = re.findall(r'X\(\s*(\w+)\s*,\s*"([^"]*)"\s*\)', match.group(1)) if match else []
    return {"ROAN_GROUP_" + name: text for name, text in rows}


# --- what is written ------------------------------------------------------------------------------------------------

BANNER = "/* Generated by tools/gen_command_index.py from the command blocks. Not edited, not committed. */\n"


def ids_text(blocks):
    rows = "".join("    ROAN_COMMAND_ID_%s,\n" % block.identifier for block in blocks)
    return BANNER + "#pragma once\n\nenum {\n%s    ROAN_COMMAND_ID_COUNT\n};\n" % rows


def index_text(blocks):
    externs = "".join("extern const roan_command roan_command_%s;\n" % block.identifier for block in blocks)
    rows = "".join("    [ROAN_COMMAND_ID_%s] = &roan_command_%s,\n" % (block.identifier, block.identifier)
                   for block in blocks) or "    NULL,\n"
    return (BANNER + '#include "engine/command.h"\n\n_Static_assert(ROAN_COMMAND_ID_COUNT <= UINT16_MAX, '
            '"roan_command.id is 16 bits wide");\n\n' + externs +
            "\nconst roan_command *const roan_command_index[] = {\n" + rows +
            "};\nconst unsigned roan_command_index_count = ROAN_COMMAND_ID_COUNT;\n" +
            children_text(blocks) + slots_text(blocks))


def children_text(blocks):
    """How many subcommands stand behind each row; UINT8_MAX for a row that is one."""
    rows = ""
    for block in blocks:
        count = sum(other.parent_identifier == block.identifier for other in blocks)
        rows += "    [ROAN_COMMAND_ID_%s] = %s,\n" % (block.identifier, "UINT8_MAX" if "|" in block.name else count)
    return "\nconst uint8_t roan_command_children[] = {\n" + (rows or "    0,\n") + "};\n"


def name_hash(name):
    """The same function as hash_name() in src/engine/command.c."""
    data = name.encode()
    if len(data) < 4:
        low, high = data[0] | data[len(data) // 2] << 8 | data[-1] << 16, 0
    else:
        part = 8 if len(data) >= 8 else 4
        low, high = int.from_bytes(data[:part], "little"), int.from_bytes(data[-part:], "little")
    fold, mask = 0x2020202020202020, 2 ** 64 - 1
    mixed = ((low | fold) * 0x9E3779B97F4A7C15 + (high | fold) * 0xC2B2AE3D27D4EB4F + len(data)) & mask
    mixed ^= mixed >> 32
    return (mixed * 0xD6E8FEB86659FD93 & mask) >> 40


def slots_text(blocks):
    """An open hash table over the full names, at most a quarter full: place in the index + 1, or 0."""
    count = 64
    while count < 4 * len(blocks):
        count *= 2
    slots = ["0"] * count
    for block in blocks:
        slot = name_hash(block.name) % count
        while slots[slot] != "0":
            slot = (slot + 1) % count
        slots[slot] = "ROAN_COMMAND_ID_%s + 1" % block.identifier
    rows = "".join("    [%d] = %s,\n" % (slot, text) for slot, text in enumerate(slots) if text != "0")
    return ("\nconst unsigned roan_command_slot_mask = %d;\nconst uint16_t roan_command_slots[%d] = {\n" %
            (count - 1, count) + (rows or "    0,\n") + "};\n")


def help_text(blocks):
    rows = ""
    for block in sorted(blocks, key=lambda block: block.name):
        arguments = " ".join(argument.text() for argument in block.arguments)
        cells = [block.name, arguments, block.texts["summary"], block.texts["group"], block.texts["since"],
                 block.texts["complexity"]]
        rows += "    {%s,\n     %s},\n" % (",\n     ".join(c_string(cell) for cell in cells), block.fields["arity"])
    rows = rows or '    {"", "", "", "", "", "", 0},\n'
    return (BANNER + '#include "roan/commands.h"\n\nstatic const roan_command_help help_rows[] = {\n' + rows +
            "};\n\nconst roan_command_help *roan_command_help_list(size_t *ret_count)\n{\n"
            "    *ret_count = %d;\n    return help_rows;\n}\n" % len(blocks))


def dictionary_text(blocks):
    words = set()
    for block in blocks:
        words.update(block.name.upper().split("|"))
        words.update(word for argument in block.arguments for word in argument.tokens())
    rows = ('"%s"' % word.replace("\\", "\\\\").replace('"', '\\"') for word in sorted(words))
    return "# Generated by tools/gen_command_index.py: command names and tokens.\n" + "\n".join(rows) + "\n"


def write_if_changed(path, text):
    """Leaves an unchanged file alone, so that nothing is compiled again for it."""
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                return
    except OSError:
        pass
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--header", required=True, help="src/engine/command.h (for the names of the groups)")
    for option in ("ids", "index", "help-c", "dict"):
        parser.add_argument("--" + option, metavar="FILE")
    parser.add_argument("sources", nargs="*", help="the files of the command folders")
    options = parser.parse_args()

    with open(options.header, encoding="utf-8") as file:
        groups = groups_read(file.read())
    problems = [] if groups else ["%s:1: ROAN_GROUP_LIST not found" % options.header]
    blocks = []
    for path in options.sources:
        with open(path, encoding="utf-8") as file:
            file_blocks, file_problems = scan_text(path, file.read(), groups)
        blocks += file_blocks
        problems += file_problems
    problems += blocks_check(blocks)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    blocks.sort(key=Block.sort_key)
    for path, render in ((options.ids, ids_text), (options.index, index_text), (options.help_c, help_text),
                         (options.dict, dictionary_text)):
        if path:
            write_if_changed(path, render(blocks))
    return 0


if __name__ == "__main__":
    sys.exit(main())
