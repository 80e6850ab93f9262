"""Makes C functions from a command's argument syntax: used by gen_client_commands.py.

An argument becomes
    a required value          a parameter; repeated: a pointer and a count
    a required block          its parts; repeated: an array of structs
    a required choice         of words an enum, of other things a struct in which exactly one field is set
    anything optional         a field of the command's options struct; of alternatives at most one is set
    an optional list          without a word in front: a pointer and a count as parameters, which may be empty
A number of things that follow (numkeys) is not asked for. A Face gathers for one command the parameters, the structs
and the body of the encoder, and for the tests a value for everything.
"""

import re

CXX_WORDS = frozenset("and asm auto bool break case catch char class const continue default delete do double else enum "
                      "explicit export extern false float for friend goto if inline int long mutable namespace new not "
                      "operator or private protected public register return short signed sizeof static struct switch "
                      "template this throw true try typedef union unsigned using virtual void volatile while xor client "
                      "call words batch options restrict".split())
# Choices that several commands share: the words, the type, the prefix of its values.
SHARED_ENUMS = {("M", "KM", "FT", "MI"): "geo_unit", ("LEFT", "RIGHT"): "list_end", ("MIN", "MAX"): "zset_end",
                ("SUM", "MIN", "MAX"): "aggregate", ("ASYNC", "SYNC"): "flush_type",
                ("MAXLEN", "MINID"): "trim_strategy", ("WRAP", "SAT", "FAIL"): "overflow"}
TYPES = {"string": "roan_slice", "key": "roan_slice", "pattern": "roan_slice", "integer": "int64_t",
         "unix-time": "int64_t", "double": "double"}
MAYBE = {"roan_slice": "roan_slice", "int64_t": "roan_maybe_integer", "double": "roan_maybe_double"}
ADD = {"roan_slice": "roan_words_add", "int64_t": "roan_words_add_integer", "double": "roan_words_add_double"}
RESULTS = {"status": (), "value": ("roan_value **ret_reply",), "integer": ("int64_t *ret_integer",),
           "bool": ("bool *ret_bool",), "double": ("double *ret_double",), "bytes": ("roan_bytes *ret_bytes",),
           "old": ("roan_bytes *ret_old",), "time": ("roan_time_of_day *ret_time",)}
# What samples are made of, by the name of the argument.
SAMPLE_TEXT = {"cursor": "0", "id": "9-1", "threshold": "1", "start": "0", "end": "5", "stop": "5", "host": "127.0.0.1",
               "encoding": "u8", "min": "0", "max": "5", "last-id": "9-9", "max-deleted-id": "1-1", "lastid": "9-1",
               "sha1": "0000000000000000000000000000000000000000", "script": "return 1", "rule": "on",
               "ip": "127.0.0.1", "category": "read", "lower": "[a", "module-name": "none", "metric": "key-count",
               "parameter": "maxmemory-samples", "command": "get", "command-name": "get", "attr": "lib-name",
               "type": "string", "function-code":
               "#!lua name=lib\\nredis.register_function{function_name='f',callback=function() end}"}
SAMPLE_NUMBER = {"cursor": 0, "start": 0, "min-idle-time": 0, "bit": 1, "value": 1, "db": 1, "destination-db": 1,
                 "index": 0, "offset": 1, "timeout": 1, "milliseconds": 5000, "seconds": 100, "protover": 2,
                 "unix-time-seconds": 4000000000, "unix-time-milliseconds": 4000000000000}


def ident(word):
    name = re.sub(r"\W", "_", word).lower().strip("_")
    return name + "_" if name in CXX_WORDS else name


def plural(name):
    if name.endswith("s") or name == "data":
        return name
    if name.endswith("x"):
        return name + "es"
    return name[:-1] + "ies" if re.search(r"[^aeiou]y$", name) else name + "s"


def option_name(argument):
    """An optional argument goes by its word: EX seconds is the field ex."""
    if argument.kind == "token" or not argument.token or not re.match(r"\w", argument.token):
        return ident(re.sub(r"-block$", "", argument.field))
    return ident(argument.token)


def is_words(argument):
    return argument.kind == "oneof" and all(part.kind == "token" for part in argument.parts)


def is_number_of(argument, following):
    return (argument.kind == "value" and argument.type == "integer" and not argument.is_optional and
            (argument.field.startswith("num") or argument.field == "count") and following is not None and
            following.is_repeated and not following.token)


def words_least(argument):
    """How many words an argument takes at least."""
    if argument.is_optional:
        return 0
    inside = [words_least(part) for part in argument.parts]
    own = {"oneof": min, "block": sum}[argument.kind](inside) if argument.parts else 1
    return own + (1 if argument.token else 0)


def literal(word):
    return "ROAN_LITERAL(%s)" % (word if word.startswith('"') else '"%s"' % word)


class Field:
    """A parameter or a field: its declarations, and a sample for a variant (0: the least) or None to leave it out."""

    def __init__(self, declarations, sample):
        self.declarations, self.sample = declarations, sample


class Scope:
    """Where declared things go: `base` leads to them in the code."""

    def __init__(self, prefix, base=""):
        self.prefix, self.base, self.fields = prefix, base, []

    def add(self, declarations, sample):
        self.fields.append(Field(declarations, sample))
        name = re.search(r"(\w+)$", declarations[0]).group(1)
        if any(name == re.search(r"(\w+)$", text).group(1)
               for field in self.fields[:-1] for text in field.declarations):
            raise ValueError("%s: '%s' is there twice" % (self.prefix, name))
        return self.base + name

    def sample(self, variant):
        """The struct's initializer."""
        rows = []
        for field in self.fields:
            values = field.sample(variant)
            if values is not None:
                names = [re.search(r"(\w+)$", text).group(1) for text in field.declarations]
                rows += [".%s = %s" % pair for pair in zip(names, values)]
        return "{%s}" % ", ".join(rows)


class Face:
    """Everything about the functions of one command."""

    def __init__(self, command, enums, choices):
        self.command, self.enums, self.choices = command, enums, choices
        self.prefix = "roan_" + command.face
        self.structs, self.code, self.depth = [], [], 0
        self.variants = 1
        self.params, self.options = Scope(self.prefix), Scope(self.prefix, "with.")
        arguments = command.arguments()
        self.sequence(arguments, self.params, self.options, 1)
        # Options of which at least one is needed, though each can be left out.
        least = len(command.name.split("|")) + sum(map(words_least, arguments))
        self.needs_option = least < abs(command.arity)
        if self.needs_option:
            self.fail(1, "words->count < %d" % abs(command.arity), "at least one option is needed")

    # -- small things

    def line(self, depth, text):
        self.code.append("    " * depth + text)

    def fail(self, depth, condition, text):
        pieces = condition.replace(" + ", " +\0").split("\0")
        self.code.append(wrap("    " * depth + "if (", pieces, ")", 4 * depth + 4, ""))
        self.line(depth + 1, 'roan_words_fail(words, ROAN_E_USAGE, "%s: %s");'
                  % (self.command.name.upper().replace("|", " "), text.replace('"', "'")))

    def add_token(self, depth, argument):
        if argument.token:
            self.line(depth, "roan_words_add(words, %s);" % literal(argument.token))

    def struct(self, name, scope, first=()):
        rows = list(first) + [text for field in scope.fields for text in field.declarations]
        self.structs.append("typedef struct %s {\n%s} %s;\n" % (name, "".join("    %s;\n" % row for row in rows), name))
        return name

    def sample_of(self, argument, variant):
        kind = TYPES[argument.type]
        if kind == "roan_slice":
            text = SAMPLE_TEXT.get(argument.field, argument.field[:1] + str(variant))
            return "S(\"%s\")" % text
        number = SAMPLE_NUMBER.get(argument.field, variant + 1)
        return "%s" % number if kind == "int64_t" else "%s.25" % number

    # -- sequences

    def sequence(self, parts, required, optional, depth):
        at = 0
        while at < len(parts):
            part, following = parts[at], parts[at + 1] if at + 1 < len(parts) else None
            if is_number_of(part, following):
                self.add_token(depth, part)
                scope = optional if following.is_optional and not self.is_list_param(following, required) else required
                self.line(depth, "roan_words_add_integer(words, (int64_t)%s%s_count);"
                          % (scope.base, ident(following.field)))
            elif self.is_pair_of_lists(part, following):
                self.pair_of_lists(part, following, required, depth)
                at += 1
            elif part.is_optional and self.is_list_param(part, required):
                add = self.scalars if part.kind == "value" else self.structs_list
                add(part, required, depth, ident(part.field), False)
            elif part.is_optional:
                self.optional(part, optional, depth)
            else:
                self.required(part, required, optional, depth)
            at += 1

    @staticmethod
    def is_list_param(part, required):
        return part.is_repeated and not part.token and required.base == "" and part.kind in ("value", "oneof")

    @staticmethod
    def is_pair_of_lists(part, following):
        return following is not None and all(
            one.kind == "value" and one.is_repeated and not (one.is_optional or one.token) for one in (part, following))

    def pair_of_lists(self, first, second, required, depth):
        """STREAMS key... id...: two lists of the same length."""
        names = [plural(ident(one.field)) for one in (first, second)]
        count = ident(first.field) + "_count"
        exprs = []
        for one, name in zip((first, second), names):
            declared = ["const %s *%s" % (TYPES[one.type], name)] + (["size_t " + count] if one is second else [])
            exprs.append(required.add(declared, lambda v, one=one: (
                ["(const roan_slice[]){%s, %s}" % ((self.sample_of(one, v),) * 2)] +
                (["2"] if one is second else []))))
        self.fail(depth, required.base + count + " == 0", "nothing given")
        for expr in exprs:
            self.line(depth, "for (size_t i = 0; i < %s%s; i++)" % (required.base, count))
            self.line(depth + 1, "roan_words_add(words, %s[i]);" % expr)

    # -- required ones

    def required(self, argument, required, optional, depth):
        kind, name = argument.kind, ident(argument.field)
        if kind == "token":
            self.line(depth, "roan_words_add(words, %s);" % literal(argument.name))
        elif kind == "value" and argument.is_repeated:
            self.scalars(argument, required, depth, name, True)
        elif kind == "value":
            ctype = TYPES[argument.type]
            expr = required.add(["%s %s" % (ctype, name)], lambda v: [self.sample_of(argument, v)])
            self.add_token(depth, argument)
            self.line(depth, "%s(words, %s);" % (ADD[ctype], expr))
        elif argument.is_repeated:
            self.structs_list(argument, required, depth, name, True)
        elif kind == "block":
            self.add_token(depth, argument)
            self.sequence(argument.parts, required, optional, depth)
        elif is_words(argument):
            self.choice(argument, required, depth, name, True)
        elif required.base:
            self.add_token(depth, argument)
            self.alternatives(argument, required, depth, True)
        else:
            self.one_of_struct(argument, required, depth, name)

    def scalars(self, argument, scope, depth, name, is_needed, list_name=None):
        """Several values in one list; the word in front of the list or of each of them."""
        ctype, list_name = TYPES[argument.type], list_name or plural(name)
        count = name + "_count"

        def sample(variant):
            if variant == 0 and not is_needed:
                return None if scope.base else ["NULL", "0"]
            values = [self.sample_of(argument, variant + more) for more in range(1 if variant == 0 else 2)]
            return ["(const %s[]){%s}" % (ctype, ", ".join(values)), str(len(values))]

        expr = scope.add(["const %s *%s" % (ctype, list_name), "size_t " + count], sample)
        count = scope.base + count
        if is_needed:
            self.fail(depth, count + " == 0", "no %s given" % argument.field)
        if argument.token and not argument.repeats_token:
            self.line(depth, "if (%s > 0)" % count)
            self.add_token(depth + 1, argument)
        self.line(depth, "for (size_t i = 0; i < %s; i++)%s" % (count, " {" if argument.repeats_token else ""))
        if argument.repeats_token:
            self.add_token(depth + 1, argument)
        self.line(depth + 1, "%s(words, %s[i]);" % (ADD[ctype], expr))
        if argument.repeats_token:
            self.line(depth, "}")
        return count + " > 0"

    def structs_list(self, argument, scope, depth, name, is_needed):
        """An array of structs: repeated blocks and choices."""
        struct_name, item, index = "%s_%s" % (scope.prefix, name), "item%d" % depth, "i%d" % depth
        inner = Scope(struct_name, item + "->")
        count, list_name = name + "_count", plural(name)

        def sample(variant):
            if variant == 0 and not is_needed:
                return None if scope.base else ["NULL", "0"]
            rows = [inner.sample(variant)] * (1 if variant == 0 else 2)
            return ["(const %s[]){%s}" % (struct_name, ", ".join(rows)), str(len(rows))]

        expr = scope.add(["const %s *%s" % (struct_name, list_name), "size_t " + count], sample)
        count = scope.base + count
        if is_needed:
            self.fail(depth, count + " == 0", "no %s given" % argument.field)
        if argument.token and not argument.repeats_token:
            self.line(depth, "if (%s > 0)" % count)
            self.add_token(depth + 1, argument)
        self.line(depth, "for (size_t %s = 0; %s < %s; %s++) {" % (index, index, count, index))
        self.line(depth + 1, "const %s *%s = &%s[%s];" % (struct_name, item, expr, index))
        if argument.repeats_token:
            self.add_token(depth + 1, argument)
        if argument.kind == "oneof":
            self.alternatives(argument, inner, depth + 1, True)
        else:
            self.sequence(argument.parts, inner, inner, depth + 1)
        self.line(depth, "}")
        self.struct(struct_name, inner)
        return count + " > 0"

    def choice(self, argument, scope, depth, name, is_needed):
        """One of some words, as an enum whose 0 means none."""
        words = tuple(part.name for part in argument.parts)
        shared = SHARED_ENUMS.get(words)
        enum = "roan_" + shared if shared else "%s_%s" % (scope.prefix, name)
        if enum not in self.enums:
            self.enums[enum] = words
            rows = ["    %s_%s%s" % (enum.upper(), ident(part.field).upper().rstrip("_"), " = 1" if at == 0 else "")
                    for at, part in enumerate(argument.parts)]
            self.structs.append("typedef enum %s {\n%s\n} %s;\n" % (enum, ",\n".join(rows), enum))
        self.variants = max(self.variants, len(words))
        value = lambda v: "(%s)%d" % (enum, (v - 1) % len(words) + 1 if v else 1)
        expr = scope.add(["%s %s" % (enum, name)], lambda v: [value(v)] if v or is_needed else None)
        if not is_needed:
            self.line(depth, "if (%s != 0) {" % expr)
        at = depth if is_needed else depth + 1
        self.add_token(at, argument)
        self.choices[words] = "choices_" + "_".join(ident(part.field).rstrip("_") for part in argument.parts)
        self.line(at, "roan_words_add_choice(words, (unsigned)%s, %s, %d);" % (expr, self.choices[words], len(words)))
        if not is_needed:
            self.line(depth, "}")
        return expr + " != 0"

    def one_of_struct(self, argument, required, depth, name):
        """A parameter that points to a struct in which exactly one field is set."""
        struct_name = "%s_%s" % (required.prefix, name)
        inner = Scope(struct_name, name + "->")
        required.add(["const %s *%s" % (struct_name, name)],
                     lambda v: ["&(const %s)%s" % (struct_name, inner.sample(max(v, 1)))])
        self.line(depth, "if (%s == NULL) {" % name)
        self.line(depth + 1, 'roan_words_fail(words, ROAN_E_USAGE, "%s: no %s given");'
                  % (self.command.name.upper().replace("|", " "), argument.field))
        self.line(depth, "} else {")
        self.add_token(depth + 1, argument)
        self.alternatives(argument, inner, depth + 1, True)
        self.line(depth, "}")
        self.struct(struct_name, inner)

    # -- optional ones

    def alternatives(self, argument, scope, depth, is_needed):
        """Fields of which at most one is set, or exactly one; gives back their tests."""
        tests, count = [], len(argument.parts)
        self.variants = max(self.variants, count)
        at = len(self.code)
        for number, part in enumerate(argument.parts):
            first = len(scope.fields)
            tests.append(self.optional(part, scope, depth))
            for field in scope.fields[first:]:
                def only(variant, inside=field.sample, number=number):
                    chosen = (variant - 1) % count if variant else 0
                    if chosen != number or (variant == 0 and not is_needed):
                        return None
                    return inside(max(variant, 1))
                field.sample = only
        names = ", ".join(part.token or (part.name if part.kind == "token" else part.field)
                          for part in argument.parts)
        body, self.code = self.code[at:], self.code[:at]
        total = " + ".join("(%s)" % test for test in tests)
        if count > 1 or is_needed:
            self.fail(depth, "%s %s 1" % (total, "!=" if is_needed else ">"),
                      "%s one of %s" % ("exactly" if is_needed else "at most", names))
        self.code += body
        return tests

    def optional(self, argument, scope, depth):
        """Adds a field and the code for it; gives back the test whether it is set."""
        kind, name = argument.kind, option_name(argument)
        if kind == "token":
            expr = scope.add(["bool " + name], lambda v: ["true"] if v else None)
            self.line(depth, "if (%s)" % expr)
            self.line(depth + 1, "roan_words_add(words, %s);" % literal(argument.name))
            return expr
        if kind == "value" and argument.is_repeated:
            return self.scalars(argument, scope, depth, name, False)
        if kind == "value":
            return self.optional_value(argument, scope, depth, name)
        if argument.is_repeated:
            return self.structs_list(argument, scope, depth, name, False)
        if kind == "block":
            return self.optional_block(argument, scope, depth, name)
        if is_words(argument) and (argument.token or tuple(part.name for part in argument.parts) in SHARED_ENUMS):
            return self.choice(argument, scope, depth, name, False)
        at = len(self.code)
        tests = self.alternatives(argument, scope, depth, False)
        if argument.token:
            body, self.code = self.code[at:], self.code[:at]
            self.line(depth, "if (%s)" % " || ".join(tests))
            self.add_token(depth + 1, argument)
            self.code += body
        return " || ".join("(%s)" % test for test in tests)

    def optional_value(self, argument, scope, depth, name):
        ctype = TYPES[argument.type]
        wrap = "%s" if ctype == "roan_slice" else "{true, %s}"
        expr = scope.add(["%s %s" % (MAYBE[ctype], name)],
                         lambda v: [wrap % self.sample_of(argument, v)] if v else None)
        test, value = (expr + ".data != NULL", expr) if ctype == "roan_slice" else (expr + ".is_set", expr + ".value")
        self.line(depth, "if (%s) {" % test)
        self.add_token(depth + 1, argument)
        self.line(depth + 1, "%s(words, %s);" % (ADD[ctype], value))
        self.line(depth, "}")
        return test

    def optional_block(self, argument, scope, depth, name):
        struct_name = "%s_%s" % (scope.prefix, name)
        inner = Scope(struct_name, "%s%s." % (scope.base, name))
        expr = scope.add(["%s %s" % (struct_name, name)], lambda v: [
            inner.sample(v).replace("{", "{.is_set = true, ", 1).replace(", }", "}")] if v else None)
        self.line(depth, "if (%s.is_set) {" % expr)
        self.add_token(depth + 1, argument)
        self.sequence(argument.parts, inner, inner, depth + 1)
        self.line(depth, "}")
        self.struct(struct_name, inner, ["bool is_set"])
        return expr + ".is_set"

    # -- texts

    def has_options(self):
        return bool(self.options.fields)

    def parameters(self):
        rows = [text for field in self.params.fields for text in field.declarations]
        if self.has_options():
            rows.append("const %s_options *options" % self.prefix)
        return rows

    def argument_names(self):
        return [re.search(r"(\w+)$", text).group(1) for text in self.parameters()]


def wrap(head, pieces, tail, indent, comma=","):
    """head + pieces joined by commas + tail, in lines of at most 118 columns."""
    lines, line = [], head
    for number, piece in enumerate(pieces):
        word = piece + (tail if number == len(pieces) - 1 else comma)
        if len(line) + len(word) + 1 > 118:
            lines.append(line.rstrip())
            line = " " * indent
        line += word if line.endswith("(") or not line.strip() else " " + word
    if not pieces:
        line += tail
    return "\n".join(lines + [line])


def comment(text, indent=0):
    """A C comment of whole words in lines of at most 118 columns."""
    lines, line = [], " " * indent + "/*"
    for word in text.replace("*/", "* /").split():
        if len(line) + len(word) + 4 > 118:
            lines.append(line)
            line = " " * indent + " *"
        line += " " + word
    return "\n".join(lines + [line + " */"])


class FaceWriter:
    """The texts of the generated files for all commands."""

    def __init__(self, commands, taken, banner):
        self.banner, self.enums, self.choices, self.faces = banner, {}, {}, []
        names = set(taken)
        for command in commands:
            if command.is_container and command.name != "command":
                continue
            face = Face(command, self.enums, self.choices)
            self.faces.append(face)
            own = [face.prefix + suffix for suffix in ("", "_go", "_add", "_into", "_options")]
            own += ["roan_encode_" + command.face]
            own += re.findall(r"} (\w+);", "".join(face.structs))
            for name in own:
                if name in names:
                    raise ValueError("%s is taken: give '%s' another face" % (name, command.name))
                names.add(name)

    # -- the header

    def header_text(self):
        out = [HEADER_TOP % self.banner]
        for face in self.faces:
            out.append(self.face_text(face))
        out.append(HEADER_END)
        return "\n".join(out)

    def face_text(self, face):
        command = face.command
        syntax = " ".join(argument.text() for argument in command.arguments())
        title = "%s %s" % (command.name.upper().replace("|", " "), syntax)
        rows = [comment("%s - %s" % (title.strip(), command.summary))] + [text.rstrip() for text in face.structs]
        if face.has_options():
            fields = ["    size_t size;"] + ["    %s;" % text for field in face.options.fields
                                             for text in field.declarations]
            name = face.prefix + "_options"
            rows.append("typedef struct %s {\n%s\n} %s;" % (name, "\n".join(fields), name))
            macro = "#define %s(...) (&(%s){.size = sizeof(%s), __VA_ARGS__})" % (name.upper(), name, name)
            rows.append(macro if len(macro) <= 118 else macro.replace(") (&(", ") \\\n    (&("))
        rows.append(wrap("ROAN_API void roan_encode_%s(roan_words *words" % command.face + ("," if face.parameters()
                         else ""), face.parameters(), ");", 8))
        rows += self.calls(face)
        return "\n".join(rows) + "\n"

    def calls(self, face):
        result = face.command.result
        parameters, names = face.parameters(), face.argument_names()
        returned = list(RESULTS[result])
        given = [re.search(r"(\w+)$", text).group(1) for text in returned]
        rows = [self.one(face, "static inline roan_status %s(" % face.prefix,
                         ["roan *client"] + parameters + returned + ["const roan_call *call"], names,
                         "return roan_words_do%s(client, &words%s, call);" % (
                             "" if result == "value" else "_" + result, "".join(", " + name for name in given)))]
        if result == "bytes":
            into = ["char *buffer", "size_t capacity", "size_t *ret_bytes", "const roan_call *call"]
            rows.append(self.one(face, "static inline roan_status %s_into(" % face.prefix,
                                 ["roan *client"] + parameters + into, names,
                                 "return roan_words_do_into(client, &words, buffer, capacity, ret_bytes, call);"))
        rows.append(self.one(face, "static inline roan_future *%s_go(" % face.prefix,
                             ["roan *client"] + parameters + ["const roan_call *call"], names,
                             "return roan_words_go(client, &words, call);"))
        rows.append(self.one(face, "static inline void %s_add(" % face.prefix, ["roan_batch *batch"] + parameters,
                             names, "roan_words_batch(batch, &words);"))
        return rows

    @staticmethod
    def one(face, head, parameters, names, last):
        encode = wrap("    roan_encode_%s(&words" % face.command.face + ("," if names else ""), names, ");", 8)
        return "%s\n{\n    roan_words words;\n\n    roan_words_init(&words);\n%s\n    %s\n}" % (
            wrap(head, parameters, ")", 8), encode, last)

    # -- the encoders

    def encoders_text(self):
        out = [ENCODERS_TOP % self.banner]
        for words, name in sorted(self.choices.items(), key=lambda pair: pair[1]):
            out.append(wrap("static const roan_slice %s[] = {" % name, [literal(word) for word in words], "};", 4))
        out.append("")
        for face in self.faces:
            command = face.command
            out.append(wrap("void roan_encode_%s(roan_words *words" % command.face +
                            ("," if face.parameters() else ""), face.parameters(), ")", 8))
            out.append("{")
            if face.has_options():
                name = face.prefix + "_options"
                out += ["    %s with;" % name, "",
                        "    roan_words_read_options(words, &with, sizeof with, options);"]
            for word in command.name.upper().split("|"):
                out.append("    roan_words_add(words, %s);" % literal(word))
            out += face.code + ["}", ""]
        return "\n".join(out).rstrip() + "\n"

    # -- samples

    def samples_text(self):
        out = ["/* Calls of every encoder, for tests. %s */\n" % self.banner]
        for face in self.faces:
            seen = []
            for variant in range(1 if face.needs_option else 0, min(face.variants, 6) + 1):
                values = []
                for field in face.params.fields:
                    values += field.sample(variant) or []
                if face.has_options():
                    filled = face.options.sample(variant)
                    name = face.prefix + "_options"
                    values.append("NULL" if filled == "{}" else "&(const %s){.size = sizeof(%s), %s"
                                  % (name, name, filled[1:]))
                if values in seen:
                    continue
                seen.append(values)
                head = 'SAMPLE("%s", %d, roan_encode_%s(words' % (face.command.name, face.command.arity,
                                                                  face.command.face)
                out.append(wrap(head + ("," if values else ""), ", ".join(values).split(", "), "))", 7)
                           if values else head + "))")
        return "\n".join(out) + "\n"


HEADER_TOP = """/* roan/client_commands.h: every command as functions. %s
 *
 *     roan_status  roan_incr(client, key, &number, call)    waits for the result; roan_last_failure() has the details
 *     roan_future *roan_incr_go(client, key, call)          begins it: see roan_wait, roan_take
 *     void         roan_incr_add(batch, key)                adds it to a batch
 *     void         roan_encode_incr(words, key)             only the words (roan/words.h)
 *
 * Options: NULL, or the command's macro with the fields that are wanted:
 *
 *     roan_set(client, key, value, ROAN_SET_OPTIONS(.nx = true, .px = ROAN_SOME(1500)), NULL, NULL)
 *
 * A flag is a bool, a number is ROAN_SOME(number), a text is left out while its data is NULL, a list while its count is
 * 0, a group while its is_set is false. What cannot be said together, and what is missing, fails with ROAN_E_USAGE
 * before anything is sent (from _go and _add it shows in the future and when the batch runs). Arguments are copied before the
 * function returns.
 *
 * Results: the same with RESP2 and RESP3. Null is ROAN_NIL and leaves the output empty (0, false, NULL). A reply of
 * another type is ROAN_E_TYPE. Outputs may be NULL. roan_bytes belong to the caller (roan_bytes_free); the _into form
 * writes into the caller's buffer instead. A command whose reply has no single shape gives a roan_value; roan/decode.h
 * reads maps, scores and pages of scans out of it. Where a name was taken: WAIT is roan_wait_replicas, WATCH
 * roan_watch_keys, SCAN roan_scan_page (HSCAN, SSCAN, ZSCAN alike).
 */
#ifndef ROAN_CLIENT_COMMANDS_H
#define ROAN_CLIENT_COMMANDS_H

#include "roan/batch.h"
#include "roan/client.h"
#include "roan/decode.h"
#include "roan/words.h"

#ifdef __cplusplus
extern "C" {
#endif
"""

HEADER_END = """#ifdef __cplusplus
}
#endif
#endif
"""

ENCODERS_TOP = """/* client/command_encode.c: the words of every command from typed arguments.
 * %s
 *
 * An encoder appends to `words`, which remembers the first failure: wrong use, or no memory. Nothing is sent from here.
 * Contracts are in roan/client_commands.h.
 */
#include "roan/client_commands.h"
"""
