#!/usr/bin/env python3
"""Checks what a shared library exports: nothing comes, goes or is forgotten by accident.

    tools/exports.py LIBRARY.so --list FILE --headers HEADER ...           checks
    tools/exports.py LIBRARY.so --list FILE --headers HEADER ... --write   writes the list anew
    tools/exports.py --self-test [--cc COMPILER]

1. The exported names are those of the committed list. Programs are linked against them: a name that goes, or changes
   its meaning, needs a new soversion.
2. Every function that an installed header declares with ROAN_API is exported.
3. Every exported name is declared in an installed header.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

DECLARATION = re.compile(r"\bROAN_API\b[^;{]*?\b(\w+)\s*\(")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


def exported_of(library):
    done = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library], capture_output=True, text=True,
                          check=True)
    return {line.split()[0].split("@")[0] for line in done.stdout.splitlines() if line}


def declared_in(headers):
    names = {}
    for header in headers:
        with open(header, encoding="utf-8") as file:
            text = COMMENT.sub(" ", file.read())
        text = re.sub(r"^[ \t]*#.*(?:\\\n.*)*", "", text, flags=re.MULTILINE)
        for name in DECLARATION.findall(text):
            names[name] = os.path.basename(header)
    return names


def listed_in(path):
    if not os.path.exists(path):
        return set()
    with open(path, encoding="utf-8") as file:
        return {line.strip() for line in file if line.strip() and not line.startswith("#")}


def write_list(path, library, names):
    with open(path, "w", encoding="utf-8") as file:
        file.write("# What %s exports; tools/exports.py writes and checks this list.\n"
                   % re.sub(r"\.so.*", ".so", os.path.basename(library)))
        file.writelines(name + "\n" for name in sorted(names))


def problems_of(exported, listed, declared):
    found = ["'%s' is exported and not in the list: --write adds it" % name for name in sorted(exported - listed)]
    found += ["'%s' is in the list and no longer exported: programs may need it" % name
              for name in sorted(listed - exported)]
    found += ["'%s' is declared in roan/%s and not exported" % (name, declared[name])
              for name in sorted(set(declared) - exported)]
    found += ["'%s' is exported and in no installed header" % name for name in sorted(exported - set(declared))]
    return found


SAMPLE_HEADER = """
#define ROAN_API __attribute__((visibility("default")))
/* ROAN_API int roan_commented(void); */
ROAN_API int roan_fine(int (*call)(void)) ROAN_AFTER;
ROAN_API const char *
roan_forgotten(void);
static inline int roan_inline(void) { return 1; }
"""
SAMPLE_SOURCE = """
#define SHOWN __attribute__((visibility("default")))
SHOWN int roan_fine(void) { return 1; }
SHOWN int roan_undeclared(void) { return 1; }
int roan_hidden(void) { return 1; }
"""


def self_test(compiler):
    with tempfile.TemporaryDirectory() as folder:
        source, header, library, names = (os.path.join(folder, name)
                                          for name in ("x.c", "x.h", "libx.so", "x.symbols"))
        for path, text in ((source, SAMPLE_SOURCE), (header, SAMPLE_HEADER)):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
        subprocess.run([compiler, "-shared", "-fPIC", "-fvisibility=hidden", source, "-o", library], check=True)
        exported, declared = exported_of(library), declared_in([header])
        write_list(names, library, ["roan_fine", "roan_gone"])
        found = "\n".join(problems_of(exported, listed_in(names), declared))
        write_list(names, library, exported)
        again = problems_of(exported, listed_in(names), declared)
    results = [(words, words in found) for words in (
        "'roan_undeclared' is exported and not in the list", "'roan_gone' is in the list",
        "'roan_forgotten' is declared", "'roan_undeclared' is exported and in no")]
    results += [("no " + words, words not in found)
                for words in ("roan_fine", "roan_hidden", "roan_inline", "commented")]
    results += [("two problems once the list is written", len(again) == 2)]
    failed = [words for words, is_good in results if not is_good]
    print("%d passed, %d failed, 0 skipped" % (len(results) - len(failed), len(failed)))
    for words in failed:
        print("self-test: wrong about %s in:\n%s" % (words, found))
    return 1 if failed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--list")
    parser.add_argument("--headers", nargs="+", default=[])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("library", nargs="?")
    options = parser.parse_args()
    if options.self_test:
        return self_test(options.cc)
    exported = exported_of(options.library)
    if options.write:
        write_list(options.list, options.library, exported)
    found = problems_of(exported, listed_in(options.list), declared_in(options.headers))
    print("\n".join(found) or "%d symbols" % len(exported))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
