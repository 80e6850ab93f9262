#!/usr/bin/env python3
"""Checks the tree against STYLE.md: one line per problem, file:line first; exit status 1 when there is one.

    tools/tidy.py              checks the whole tree
    tools/tidy.py --self-test  feeds it bad samples and fails when one goes unnoticed

What it knows: which layer may include which (LAYERS), whitespace, line width, functions and words that do not belong
here, files that no meson.build lists, the first comment of a file, the guard of a header. A rule is a function over
(path, text) that yields (line, message), listed in RULES; rules over the whole tree are in TREE_RULES.
"""

import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
from gen_command_index import TOKEN_RE, blank, mask  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COLUMNS_MAX = 120
WIDE_LINES_MAX = 250 # how many lines are wider than that; this number only ever goes down

# A layer may include itself, the C library, and these.
LAYERS = {
    "base": (),
    "resp": ("base",),
    "types": ("base",),
    "net": ("base",),
    "engine": ("base", "resp", "types"),
    "server": ("base", "resp", "net", "types", "engine"),
    "client": ("base", "resp", "net"),
    "hiredis": (),
    "kit": ("base",),
    "fs": ("base",),
    "cli": (),
}

# Public headers belong to a layer too; a layer may include those of the layers it may include, and these.
PUBLIC_LAYERS = {"base.h": "base", "resp.h": "resp", "commands.h": "engine", "server.h": "server", "embedded.h": "server",
                 "kit.h": "kit", "fs.h": "fs"}
PUBLIC_LAYERS.update((name, "client") for name in (
    "client.h", "client_commands.h", "words.h", "decode.h", "batch.h", "lease.h", "transport.h", "scripted.h",
    "subscription.h", "script.h", "scan.h", "value_stream.h",
    "loop_uv.h", "loop_ev.h", "loop_glib.h", "loop_epoll.h"))
# An embedded server is a transport of the client; that seam is a public header.
PUBLIC_EXTRA = {"server": ("transport.h",), "kit": ("client.h",), "fs": ("client.h",), "cli": tuple(PUBLIC_LAYERS)}

# Layers that take bytes and a time value and give back bytes: no sockets, no files, no wall clock.
PURE_LAYERS = ("resp", "types", "engine")
IMPURE_HEADERS = re.compile(r"^(sys/(socket|epoll|stat|uio|file|time|select)\.h|netinet/.*|netdb\.h"
                            r"|fcntl\.h|poll\.h|liburing.*|dirent\.h)$")
IMPURE_CALLS = ("time", "gettimeofday", "clock_gettime", "clock", "sleep", "usleep", "nanosleep", "fopen", "open",
                "socket", "connect", "accept", "send", "recv", "fork", "getrandom", "rand_r")

# Also in src/base/banned.h, where the compiler finds them; here for code that this build does not compile. base wraps
# the C library and may use anything; tests may too.
BANNED_CALLS = ("strcpy", "strcat", "stpcpy", "sprintf", "vsprintf", "strncpy", "strncat", "strtok", "gmtime",
                "localtime", "ctime", "asctime", "rand", "srand", "random", "srandom", "atoi", "atol", "atoll",
                "atof", "tmpnam", "mktemp", "gets", "alloca")
BANNED_WORDS = ("FIX" + "ME", "X" + "XX")

GENERATED_HEADERS = ("engine/command_ids.h",)
SKIPPED_FOLDERS = re.compile(r"(^|/)(\.git|build[^/]*|__pycache__|corpus|\.venv|node_modules)(/|$)")
CODE_SUFFIXES = (".c", ".h", ".py", ".build", ".txt", ".sh")

C_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def is_c(path):
    return path.endswith((".c", ".h"))


def code_only(text):
    """C text without comments and the insides of strings, preprocessor lines kept."""
    def without(match):
        word = match.group(0)
        return blank(word) if word[0] == "/" else word[0] + blank(word[1:-1]) + word[-1]
    return TOKEN_RE.sub(without, text)


def layer_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


# --- rules over one file ----------------------------------------------------------------------------------------------

def rule_whitespace(path, text):
    if not path.endswith(CODE_SUFFIXES + (".md",)):
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.endswith("\r"):
            yield number, "carriage return at the end of the line"
        elif line != line.rstrip():
            yield number, "white space at the end of the line"
        if "\t" in line:
            yield number, "tab character"
    if text and not text.endswith("\n"):
        yield text.count("\n") + 1, "no newline at the end of the file"
    if text.endswith("\n\n"):
        yield text.count("\n"), "empty line at the end of the file"


def rule_words(path, text):
    for word in BANNED_WORDS:
        for match in re.finditer(r"\b%s\b" % word, text):
            yield line_of(text, match.start()), "'%s' does not reach the main branch" % word


def rule_banned_calls(path, text):
    if not is_c(path) or layer_of(path) in (None, "base"):
        return
    code = code_only(text)
    for match in re.finditer(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED_CALLS), code):
        yield line_of(code, match.start()), "%s() is banned: src/base/banned.h names what to use" % match.group(1)


def rule_pure(path, text):
    layer = layer_of(path)
    if not is_c(path) or layer not in PURE_LAYERS:
        return
    for match in C_INCLUDE.finditer(text):
        if match.group(1) == "<" and IMPURE_HEADERS.match(match.group(2)):
            yield line_of(text, match.start()), "%s touches no sockets, files or clocks: <%s>" % (layer, match.group(2))
    _, masked = mask(text)
    own = set(re.findall(r"^\w[\w *]*?\b(\w+)\(", masked, re.MULTILINE)) # functions of this file that share a name
    for match in re.finditer(r"(?<![\w.>])(%s)\s*\(" % "|".join(IMPURE_CALLS), masked):
        if match.group(1) in own:
            continue
        yield line_of(text, match.start()), "%s touches no sockets, files or clocks: %s()" % (layer, match.group(1))


def rule_layers(path, text):
    if not is_c(path):
        return
    layer = layer_of(path)
    is_public = path.startswith("include/")
    if layer is not None and layer not in LAYERS:
        yield 1, "'%s' is not a layer: add it to LAYERS in tools/tidy.py" % layer
        return
    for match in C_INCLUDE.finditer(text):
        quote, name = match.groups()
        head, tail = name.split("/", 1) if "/" in name else ("", name)
        number = line_of(text, match.start())
        if head == "roan":
            problem = public_problem(layer, is_public, tail)
        elif quote == "<":
            problem = "ours are included with quotes" if head in LAYERS and layer is not None else None
        elif path.startswith("include/roan-hiredis/"):
            problem = None # they name each other as those of hiredis do
        elif is_public:
            problem = "a public header includes only public ones and the C library: \"%s\"" % name
        elif layer is None:
            problem = None # tests may look anywhere
        elif not head:
            problem = None # beside the file, so of the same layer
        elif head not in LAYERS:
            problem = "name it from src or include: \"<layer>/%s\"" % tail
        elif head != layer and head not in LAYERS[layer]:
            problem = "%s must not include %s (%s)" % (layer, name, allowed_text(layer))
        else:
            problem = None
        if problem:
            yield number, problem


def allowed_text(layer):
    return "may: " + ", ".join(LAYERS[layer] or ("itself",))


def public_problem(layer, is_public, name):
    owner = PUBLIC_LAYERS.get(name)
    if owner is None:
        return "roan/%s belongs to no layer: add it to PUBLIC_LAYERS in tools/tidy.py" % name
    if is_public or layer is None or owner == layer or owner in LAYERS[layer] or name in PUBLIC_EXTRA.get(layer, ()):
        return None
    return "%s must not include roan/%s (%s)" % (layer, name, allowed_text(layer))


def rule_first_comment(path, text):
    if path.endswith(".c") and not text.startswith("/*"):
        yield 1, "a .c file opens with a comment: what it promises and the idea behind it"


def rule_guards(path, text):
    if not path.endswith(".h"):
        return
    if path.startswith("include/"):
        name = re.sub(r"\W", "_", path[len("include/"):]).upper()
        if not re.search(r"^#ifndef %s\n#define %s$" % (name, name), text, re.MULTILINE):
            yield 1, "a public header is guarded by %s" % name
    elif not re.search(r"^#pragma once$", text, re.MULTILINE) and (
            layer_of(path) or not re.search(r"^#ifndef (\w+)\n#define \1$", text, re.MULTILINE)):
        yield 1, "a private header has #pragma once"


def rule_own_header_first(path, text, paths=frozenset()):
    own = path[:-2] + ".h"
    if not path.startswith("src/") or not path.endswith(".c") or own not in paths:
        return
    quoted = [match for match in C_INCLUDE.finditer(text) if match.group(1) == '"']
    if not quoted or quoted[0].group(2) not in (own[len("src/"):], os.path.basename(own)):
        yield line_of(text, quoted[0].start()) if quoted else 1, "include your own header first: \"%s\"" % own[4:]


RULES = (rule_whitespace, rule_words, rule_banned_calls, rule_pure, rule_layers, rule_first_comment,
         rule_guards)


# --- rules over the tree ----------------------------------------------------------------------------------------------

def tree_rule_listed(tree):
    """Every .c file of src and tests is named by the meson.build of its folder or of a folder above."""
    for path in sorted(tree):
        if not re.match(r"(src|tests|examples)/.*\.c$", path):
            continue
        folder, listed = os.path.dirname(path), False
        while folder and not listed:
            build = tree.get(folder + "/meson.build", "")
            name = os.path.relpath(path, folder)
            listed = bool(re.search(r"'%s(\.c)?'" % re.escape(name[:-2]), build))
            folder = os.path.dirname(folder)
        if not listed:
            yield path, 1, "no meson.build lists this file"


def tree_rule_width(tree):
    """A ratchet: when there are more wide lines than there were, all of them are shown."""
    wide = []
    for path in sorted(tree):
        if path.endswith(CODE_SUFFIXES):
            wide += [(path, number, "%d columns, at most %d" % (len(line), COLUMNS_MAX))
                     for number, line in enumerate(tree[path].split("\n"), 1)
                     if len(line) > COLUMNS_MAX and "://" not in line]
    if len(wide) > WIDE_LINES_MAX:
        yield from wide


def tree_rule_includes(tree):
    """Every quoted include names a file of ours (or one that the build writes)."""
    for path in sorted(tree):
        if not is_c(path):
            continue
        for match in C_INCLUDE.finditer(tree[path]):
            name = match.group(2)
            beside = os.path.normpath(os.path.join(os.path.dirname(path), name))
            if match.group(1) == '"' and name not in GENERATED_HEADERS and not any(
                    candidate in tree for candidate in ("src/" + name, "include/" + name, "tests/" + name,
                                                        "include/roan-hiredis/" + name, beside)):
                yield path, line_of(tree[path], match.start()), "there is no \"%s\"" % name


def tree_rule_own_header_first(tree):
    for path in sorted(tree):
        for number, message in rule_own_header_first(path, tree[path], tree.keys()):
            yield path, number, message


TREE_RULES = (tree_rule_listed, tree_rule_width, tree_rule_includes, tree_rule_own_header_first)


def problems_of(tree):
    found = []
    for path in sorted(tree):
        for rule in RULES:
            found += [(path, number, message) for number, message in rule(path, tree[path])]
    for rule in TREE_RULES:
        found += rule(tree)
    return ["%s:%d: %s" % row for row in sorted(found)]


# --- the real tree ----------------------------------------------------------------------------------------------------

def tree_paths():
    """Files that are or will be committed; without git, everything outside build folders."""
    done = subprocess.run(["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
                          capture_output=True, text=True, check=False)
    if done.returncode == 0 and os.path.exists(os.path.join(ROOT, ".git")):
        return done.stdout.splitlines()
    return [os.path.relpath(os.path.join(folder, name), ROOT)
            for folder, _, names in os.walk(ROOT) for name in names]


def tree_read():
    tree = {}
    for path in tree_paths():
        full = os.path.join(ROOT, path)
        if SKIPPED_FOLDERS.search(path) or not os.path.isfile(full):
            continue
        try:
            with open(full, encoding="utf-8", newline="") as file:
                tree[path] = file.read()
        except UnicodeDecodeError:
            if path.endswith(CODE_SUFFIXES):
                tree[path] = "not UTF-8\t\n"
    return tree


# --- self-test --------------------------------------------------------------------------------------------------------

OK_C = "/* x: a sample. */\n"
OK_H = "/* x: a sample. */\n#pragma once\n"

# (path, text, what the message must say; None: nothing may be said)
SAMPLES = (
    ("src/base/x.c", OK_C + '#include "base/y.h"\n#include <stdio.h>\n', None),
    ("src/engine/cmd/x.c", OK_C + '#include "engine/command.h"\n#include "roan/resp.h"\n', None),
    ("src/cli/x.c", OK_C + '#include "roan/server.h"\n#include "cli/y.h"\n', None),
    ("src/server/cmd/x.c", OK_C + '#include "net/net.h"\n', None),
    ("src/kit/x.c", OK_C + '#include "roan/client.h"\n', None),
    ("tests/unit/x.c", OK_C + '#include "engine/y.h"\n#include "cli/y.h"\n', None),
    ("src/base/x.c", OK_C + '#include "resp/y.h"\n', "base must not include resp/y.h"),
    ("src/net/x.c", OK_C + '  # include "engine/y.h"\n', "net must not include engine/y.h"),
    ("src/resp/x.h", OK_H + '#include "engine/y.h"\n', "resp must not include engine/y.h"),
    ("src/engine/cmd/x.c", OK_C + '#include "net/net.h"\n', "engine must not include net/net.h"),
    ("src/engine/x.c", OK_C + '#include "roan/server.h"\n', "engine must not include roan/server.h"),
    ("src/server/x.c", OK_C + '#include "roan/transport.h"\n', None),
    ("src/server/x.c", OK_C + '#include "roan/client.h"\n', "server must not include roan/client.h"),
    ("src/client/x.c", OK_C + '#include "engine/y.h"\n', "client must not include engine/y.h"),
    ("src/cli/x.c", OK_C + '#include "base/y.h"\n', "cli must not include base/y.h"),
    ("src/cli/x.c", OK_C + '#include <base/y.h>\n', "with quotes"),
    ("src/cli/x.c", OK_C + '#include "y.h"\n', None),
    ("src/cli/x.c", OK_C + '#include "../cli/y.h"\n', "name it from src"),
    ("src/magic/x.c", OK_C, "not a layer"),
    ("include/roan/x.h", "#ifndef ROAN_X_H\n#define ROAN_X_H\n#include \"base/y.h\"\n#endif\n", "only public ones"),
    ("include/roan/x.h", "#pragma once\n", "guarded by ROAN_X_H"),
    ("include/roan/x.h", "#ifndef ROAN_X_H\n#define ROAN_X_H\n#include \"roan/new.h\"\n#endif\n", "to no layer"),
    ("src/base/x.h", "/* x */\n", "#pragma once"),
    ("src/base/x.h", "#ifndef X_H\n#define X_H\n#endif\n", "#pragma once"),
    ("tests/unit/x.h", "#ifndef X_H\n#define X_H\n#endif\n", None),
    ("src/base/x.c", "int x;\n", "opens with a comment"),
    ("src/base/x.c", OK_C + "int x; \n", "white space"),
    ("src/base/x.c", OK_C + "\tint x;\n", "tab"),
    ("src/base/x.c", OK_C + "int x;\r\n", "carriage return"),
    ("src/base/x.c", OK_C + "int x;", "no newline"),
    ("src/base/x.c", OK_C + "\n\n", "empty line"),
    ("README.md", BANNED_WORDS[0] + " later\n", "does not reach"),
    ("src/net/x.c", OK_C + "int f(char *a) { return atoi (a); }\n", "atoi() is banned"),
    ("src/cli/x.c", OK_C + "#define F(a) sprintf(a, 1)\n", "sprintf() is banned"),
    ("src/base/x.c", OK_C + "#define F(a) sprintf(a, 1)\n", None),
    ("src/net/x.c", OK_C + '/* strcpy(a) */ // atoi(b)\nconst char *t = "strtok(x)"; int f = x.rand(1);\n', None),
    ("src/engine/x.c", OK_C + "#include <sys/socket.h>\n", "no sockets, files or clocks: <sys/socket.h>"),
    ("src/types/x.c", OK_C + "long f(void) { return time(NULL); }\n", "no sockets, files or clocks: time()"),
    ("src/engine/x.c", OK_C + "static int accept(int a)\n{\n    return a ? accept(a - 1) : 0;\n}\n", None),
    ("src/engine/x.c", OK_C + "long f(call *c) { return c->time(c) + my_time(c); }\n", None),
)

TREE_SAMPLES = (
    ({"src/base/x.c": OK_C, "src/base/meson.build": "files('x.c')\n"}, None),
    ({"tests/unit/x.c": OK_C, "tests/unit/meson.build": "all = [\n  'x',\n]\n"}, None),
    ({"src/base/x.c": OK_C, "src/meson.build": "files('base/x.c')\n"}, None),
    ({"src/base/x.c": OK_C, "src/base/meson.build": "files('xx.c')\n"}, "no meson.build lists"),
    ({"src/base/x.h": OK_H + ("//" + "x" * 118 + "\n") * 999 + ("//" + "x" * 119 + "\n") * WIDE_LINES_MAX}, None),
    ({"src/base/x.h": OK_H + ("//" + "x" * 119 + "\n") * (WIDE_LINES_MAX + 1)}, "121 columns"),
    ({"src/base/x.h": OK_H + '#include "base/gone.h"\n'}, "there is no \"base/gone.h\""),
    ({"src/base/x.c": OK_C + '#include "base/y.h"\n#include "base/x.h"\n', "src/base/x.h": OK_H, "src/base/y.h": OK_H,
      "src/base/meson.build": "'x.c'\n"}, "include your own header first"),
)


def self_test():
    failures = []
    for path, text, expected in SAMPLES:
        found = [message for rule in RULES for _, message in rule(path, text)]
        if (expected is None and found) or (expected and not any(expected in message for message in found)):
            failures.append("%s %r: expected %r, found %r" % (path, text, expected, found))
    for tree, expected in TREE_SAMPLES:
        found = problems_of(tree)
        if (expected is None and found) or (expected and not any(expected in message for message in found)):
            failures.append("%r: expected %r, found %r" % (sorted(tree), expected, found))
    for failure in failures:
        print(failure)
    count = len(SAMPLES) + len(TREE_SAMPLES)
    print("%d passed, %d failed, 0 skipped" % (count - len(failures), len(failures)))
    return 1 if failures else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    found = problems_of(tree_read())
    print("\n".join(found) or "tidy")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
