#!/usr/bin/env python3
"""Tests of tools/gen_command_index.py: what is a block, what is refused, and the syntax shown to people."""

import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TOOLS = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, TOOLS)

import gen_command_index as generator  # noqa: E402

GROUPS = {"ROAN_GROUP_STRING": "string"}
REST = ('.group = ROAN_GROUP_STRING, .since = "1.0.0", .complexity = "O(1)", '
        '.summary = "Says (\\"so\\"), it "\n "does.")\n{\n}\n')


def command(name, more=""):
    return "ROAN_COMMAND(%s, .arity = 2, %s %s" % (name, more, REST)


def subcommand(parent, name, more=""):
    return "ROAN_SUBCOMMAND(%s, %s, .arity = 2, %s %s" % (parent, name, more, REST)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def scan(text):
    blocks, problems = generator.scan_text("x.c", text, GROUPS)
    return blocks, problems + generator.blocks_check(blocks)


class Blocks(unittest.TestCase):
    def names(self, text):
        blocks, problems = scan(text)
        self.assertEqual(problems, [])
        return [block.name for block in sorted(blocks, key=generator.Block.sort_key)]

    def refused(self, text, words):
        problems = scan(text)[1]
        self.assertTrue(any(words in problem for problem in problems), problems)
        self.assertTrue(all(problem.startswith("x.c:") for problem in problems), problems)

    def test_a_block_is_found_across_lines_and_comments(self):
        text = command("get").replace("ROAN_COMMAND(", "ROAN_COMMAND /* , \"( */\n  (\n// )\n")
        self.assertEqual(self.names(text), ["get"])

    def test_commented_quoted_and_disabled_blocks_are_none(self):
        body = command("nope")
        text = ("/* " + body.replace("*/", "") + " */\n"
                + "// ROAN_COMMAND(nope1, x)\n// and \\\nROAN_COMMAND(nope2, x)\n"
                + 'static const char *t = "ROAN_COMMAND(nope3, ";\n'
                + "static const char c = '\"';\n"
                + "#if 0\n#if 1\n" + body + "#endif\n" + body + "#else\n" + command("yes") + "#endif\n"
                + "#define AGAIN \\\n  ROAN_COMMAND(nope4, x)\n" + command("get"))
        self.assertEqual(self.names(text), ["get", "yes"])

    def test_strings_of_any_shape_do_not_end_a_row(self):
        self.assertEqual(self.names(command("get", '.tips = "a, ) \\" ( {", .keys = {ROAN_KEY(1, A | B)},')), ["get"])

    def test_parents_come_before_their_subcommands(self):
        text = (subcommand("command", "count") + command("commandlog") + command("command")
                + subcommand("client", "no_evict", '.name = "client|no-evict",') + command("client"))
        self.assertEqual(self.names(text),
                         ["client", "client|no-evict", "command", "command|count", "commandlog"])

    def test_duplicates_are_refused(self):
        self.refused(command("get") + command("get"), "the name 'get' is taken by x.c:1")
        self.refused(command("a_b") + command("a") + subcommand("a", "b"), "identifier 'a_b' is taken")
        self.refused(command("a") + subcommand("a", "b") + subcommand("a", "c", '.name = "a|b",'),
                     "'a|b' is taken")

    def test_lonely_subcommands_are_refused(self):
        self.refused(subcommand("client", "list"), "has no parent ROAN_COMMAND(client, ...)")
        self.refused(command("a") + subcommand("a", "b", '.name = "x|b",'), "must be named 'a|...'")
        self.refused(command("a", '.name = "a|b",'), "must be a ROAN_SUBCOMMAND")

    def test_incomplete_rows_are_refused(self):
        self.refused(command("get").replace(".arity = 2", ".arity = 0"), "needs .arity")
        self.refused(command("get").replace(".since", ".sinse"), "needs .since")
        self.refused(command("get").replace("GROUP_STRING", "GROUP_STRIN"), "needs .group")
        self.refused(command("get").replace("{\n}", ";"), "is not followed by a body")
        self.refused(command("Get"), "not a lower-case identifier")
        self.refused(command("get", '.arguments = "key:kye",'), "'kye' is not a type")

    def test_texts_are_joined_and_escaped(self):
        blocks, _ = scan(command("get"))
        self.assertEqual(blocks[0].texts["summary"], 'Says ("so"), it does.')
        self.assertIn(r'"Says (\"so\"), it does."', generator.help_text(blocks))


class Syntax(unittest.TestCase):
    CASES = (
        ("", ""),
        ("key:key", "key"),
        ("key:key#1 value:string=what", "key what"),
        ("key:key value [condition<NX|XX|IFEQ comparison-value>] [GET] "
         "[expiration<EX seconds:integer|PX milliseconds:integer|KEEPTTL>]",
         "key value [NX | XX | IFEQ comparison-value] [GET] [EX seconds | PX milliseconds | KEEPTTL]"),
        ("numkeys:integer key:key... [WEIGHTS weight:integer...] [AGGREGATE aggregate<SUM|MIN|MAX>]",
         "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE <SUM | MIN | MAX>]"),
        ("key:key [CH@change] data{score:double member}...", "key [CH] score member [score member ...]"),
        ("[GET pattern:pattern....] [order<ASC|DESC>]", "[GET pattern [GET pattern ...]] [ASC | DESC]"),
        ("key:key [trim{strategy<MAXLEN|MINID> [operator<=@equal|~@approximately>] threshold "
         "[LIMIT count:integer]}] id-selector<*@auto-id|id>",
         "key [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id>"),
        ("STREAMS streams{key:key... id...}", "STREAMS key [key ...] id [id ...]"),
        ("[x<A|B>...]", "[<A | B> [<A | B> ...]]"),
        ("x<A b|data{c [D]}>", "<A b | c [D]>"),
        ("NX@only name", "NX name"),
        ("LIMIT limit{offset count}", "LIMIT offset count"),
        ("a:integer^7.0.0 [NX@only=shown^6.2.0] b=text...", "a [NX] text [text ...]"),
        ("x^7.2.0<A^7.2.0|B c:double=d^8.0.0....>", "<A | B d [B d ...]>"),
        ("destination<key:key|''>", '<key | "">'),
    )
    BAD = ("[a b]", "[]", "[[a]]", "x<a|b c>", "x<a", "x{a", "x{}", "a]", "a..", "<a|b>",
           "key:nothing", ":key", "a^", "a#x", "A:key")

    def test_syntax_for_people(self):
        for source, expected in self.CASES:
            self.assertEqual(generator.arguments_text(source), expected, source)

    def test_broken_syntax_is_refused(self):
        for source in self.BAD:
            with self.assertRaises(generator.Problem, msg=source):
                generator.arguments_text(source)


class Program(unittest.TestCase):
    def run_on(self, folder, *texts):
        header = os.path.join(folder, "command.h")
        with open(header, "w", encoding="utf-8") as file:
            file.write('#define ROAN_GROUP_LIST(X) \\\n    X(LIST, "list") \\\n    X(STRING, "string")\nint x;\n')
        paths = []
        for index, text in enumerate(texts):
            paths.append(os.path.join(folder, "cmd%d.c" % index))
            with open(paths[-1], "w", encoding="utf-8") as file:
                file.write(text)
        out = [os.path.join(folder, name) for name in ("ids.h", "index.c", "help.c", "dict")]
        done = subprocess.run(
            [sys.executable, "-B", os.path.join(TOOLS, "gen_command_index.py"), "--header", header, "--ids", out[0],
             "--index", out[1], "--help-c", out[2], "--dict", out[3]] + paths, capture_output=True, text=True)
        return done, out

    def test_files_are_written_once(self):
        with tempfile.TemporaryDirectory() as folder:
            done, out = self.run_on(folder, command("set"), command("get"))
            self.assertEqual(done.returncode, 0, done.stderr)
            ids = read(out[0])
            self.assertLess(ids.index("ROAN_COMMAND_ID_get"), ids.index("ROAN_COMMAND_ID_set"))
            self.assertIn("[ROAN_COMMAND_ID_get] = &roan_command_get,", read(out[1]))
            before = [os.stat(path).st_mtime_ns for path in out]
            self.run_on(folder, command("set"), command("get"))
            self.assertEqual(before, [os.stat(path).st_mtime_ns for path in out])

    def test_a_problem_in_any_file_writes_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            done, out = self.run_on(folder, command("get"), "\n" + command("get"))
            self.assertEqual(done.returncode, 1)
            self.assertIn("cmd1.c:2: the name 'get' is taken by", done.stderr)
            self.assertFalse(any(os.path.exists(path) for path in out))

    def test_no_commands_is_an_empty_index(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(self.run_on(folder)[0].returncode, 0)


if __name__ == "__main__":
    unittest.main()
