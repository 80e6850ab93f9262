#!/usr/bin/env python3
"""Tests of tools/gen_client_commands.py and tools/client_faces.py: the language of the rows, and what becomes of syntax."""

import sys
import unittest

sys.dont_write_bytecode = True
import gen_client_commands as gen  # noqa: E402
from client_faces import Face, ident, plural, wrap  # noqa: E402


def face_of(syntax, name="thing", arity=-1):
    command = gen.Command(name)
    command.syntax, command.arity = syntax, arity
    return Face(command, {}, {})


class Directives(unittest.TestCase):
    def apply(self, text, commands=None):
        commands = {"get": gen.Command("get")} if commands is None else commands
        for _, words in gen.directives_read(text):
            gen.directive_apply(commands, words)
        return commands

    def test_lines_join_inside_and_outside_of_quotes(self):
        read = gen.directives_read('# no\n\nargs get "a\n b" \n c\n')
        self.assertEqual(read, [(3, ["args", "get", "a b", "c"])])

    def test_a_row_makes_a_command(self):
        made = self.apply('row dump arity=2 flags=readonly keys=1 summary="S." args="key:key"')["dump"]
        self.assertEqual((made.arity, made.flags, made.syntax), (2, {"readonly"}, "key:key"))
        self.assertEqual(made.specs, [("RANGE", 1, "", 0, 0, 1, 0)])

    def test_what_is_wrong_is_named(self):
        for text, message in (("retry read gett", "no command 'gett'"), ("frob get", "unknown directive 'frob'"),
                              ("retry read get\nretry never get", "two retry classes"),
                              ("row x arity=1 colour=red", "unknown fields of row: colour")):
            with self.assertRaisesRegex(gen.Problem, message):
                self.apply(text)

    def test_every_command_must_be_decided(self):
        for flags, retry, message in ((set(), None, "needs a retry class"), ({"write"}, "read", "cannot be read")):
            command = gen.Command("x")
            command.arity, command.flags, command.retry = 1, flags, retry
            with self.assertRaisesRegex(gen.Problem, message):
                gen.command_finish(command, set())

    def test_an_argument_that_is_not_there_cannot_have_a_type(self):
        command = self.apply("args get \"key:key\"\ntype get kex=double")["get"]
        with self.assertRaisesRegex(gen.Problem, "no argument kex"):
            command.arguments()


class Table(unittest.TestCase):
    def test_slots_hold_every_row_within_the_longest_probe(self):
        commands = [gen.Command(name) for name in ("acl", "acl|cat", "client", "client|list", "get", "list")]
        slots, longest = gen.slots_make(commands)
        self.assertEqual(sorted(slot for slot in slots if slot), [1, 2, 3, 4, 5, 6])
        home = gen.name_hash("list", 3)
        self.assertIn(4, [slots[(home + probe) % gen.SLOTS] for probe in range(longest)])

    def test_a_name_that_does_not_fit_is_refused(self):
        with self.assertRaisesRegex(gen.Problem, "longer than"):
            gen.slots_make([gen.Command("x" * gen.NAME_BYTES)])

    def test_shared_sequences_are_stored_once(self):
        pool = gen.Pool()
        self.assertEqual([pool.place("ab"), pool.place("bc"), pool.place("b")], [0, 2, 1])
        self.assertEqual(pool.items, list("abbc"))


class Faces(unittest.TestCase):
    def test_arguments_become_parameters(self):
        for syntax, parameters in (
                ("key:key value", ["roan_slice key", "roan_slice value"]),
                ("key:key n:integer x:double", ["roan_slice key", "int64_t n", "double x"]),
                ("key:key...", ["const roan_slice *keys", "size_t key_count"]),
                ("numkeys:integer key:key...", ["const roan_slice *keys", "size_t key_count"]),
                ("data{key:key value}...", ["const roan_thing_data *data", "size_t data_count"]),
                ("where<LEFT|RIGHT>", ["roan_list_end where"]),
                ("by<BYONE one|BYTWO two{a b}>", ["const roan_thing_by *by"]),
                ("S s{key... id...}", ["const roan_slice *keys", "const roan_slice *ids", "size_t key_count"]),
                ("[key...]", ["const roan_slice *keys", "size_t key_count"]),
                ("key [NX]", ["roan_slice key", "const roan_thing_options *options"])):
            self.assertEqual(face_of(syntax).parameters(), parameters, syntax)

    def test_what_is_optional_becomes_a_field(self):
        for syntax, fields in (("[NX]", ["bool nx"]), ("[EX seconds:integer]", ["roan_maybe_integer ex"]),
                               ("[W weight:double...]", ["const double *ws", "size_t w_count"]),
                               ("[a<NX|EX n:integer>]", ["bool nx", "roan_maybe_integer ex"]),
                               ("[LIMIT l{a:integer b:integer}]", ["roan_thing_limit limit"]),
                               ("[AGGREGATE a<SUM|MIN|MAX>]", ["roan_aggregate aggregate"]),
                               ("[count:integer]", ["roan_maybe_integer count"])):
            face = face_of(syntax)
            self.assertEqual([text for field in face.options.fields for text in field.declarations], fields, syntax)

    def test_alternatives_are_checked(self):
        self.assertIn("at most one of NX, EX", "\n".join(face_of("[a<NX|EX n:integer>]").code))
        self.assertIn("exactly one of A, B", "\n".join(face_of("x<A a|B b>").code))
        self.assertIn("at least one option", "\n".join(face_of("[A a] [B b]", arity=-2).code))

    def test_two_fields_of_one_name_are_refused(self):
        with self.assertRaisesRegex(ValueError, "'key' is there twice"):
            face_of("key:key key:key")

    def test_samples_set_one_alternative_at_a_time(self):
        options = face_of("[a<NX|XX>] [GET]").options
        self.assertEqual([options.sample(v) for v in (0, 1, 2)], ["{}", "{.nx = true, .get = true}",
                                                                  "{.xx = true, .get = true}"])


class Words(unittest.TestCase):
    def test_names(self):
        self.assertEqual([ident("lib-name"), ident("new"), ident("GET")], ["lib_name", "new_", "get"])
        self.assertEqual([plural(w) for w in ("key", "category", "prefix", "args", "data")],
                         ["keys", "categories", "prefixes", "args", "data"])

    def test_long_lines_are_wrapped(self):
        lines = wrap("f(", ["argument%d" % i for i in range(40)], ");", 8).split("\n")
        self.assertTrue(len(lines) > 3 and all(len(line) <= 118 for line in lines))


if __name__ == "__main__":
    unittest.main()
