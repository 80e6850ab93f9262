#!/usr/bin/env python3
"""Writes tests/wire/commands_reference.json: what the reference servers say of the commands that we register.

    tools/commands_reference.py FACTS.json [SOURCE ...]

FACTS.json has one object per command with arity, flags, acl, keys, key_specs, tips, group and since, in the words of
COMMAND INFO. The commands are those found in the sources (by default all command folders). A command of our own, which
the reference does not have, is written as null. tests/wire/check_commands.py compares a running server with the file.
"""

import argparse
import glob
import json
import os
import sys

import gen_command_index

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADER = os.path.join(ROOT, "src/engine/command.h")
SOURCES = ("src/engine/cmd/*.c", "src/server/cmd/*.c")
TARGET = os.path.join(ROOT, "tests/wire/commands_reference.json")


def registered_names(paths):
    """The full names of all command blocks in the files."""
    with open(HEADER, encoding="utf-8") as header:
        groups = gen_command_index.groups_read(header.read())
    names, problems = [], []
    for path in paths:
        with open(path, encoding="utf-8") as source:
            blocks, file_problems = gen_command_index.scan_text(path, source.read(), groups)
        names += [block.name for block in blocks]
        problems += file_problems
    if problems:
        sys.exit("\n".join(problems))
    return sorted(names)


def spec_facts(spec):
    """A key spec on one level; of notes only whether there are any, since their words are ours."""
    begin, find = spec["begin_search"], spec["find_keys"]
    return {"flags": sorted(spec["flags"]), "has_notes": bool(spec.get("notes")),
            "begin_search": [begin["type"], begin["spec"]], "find_keys": [find["type"], find["spec"]]}


def command_facts(facts):
    """The facts of one command in the order in which they are written."""
    return {"group": facts["group"], "since": facts.get("since"), "arity": facts["arity"],
            "flags": sorted(facts["flags"]), "acl": sorted(facts["acl"]), "keys": facts["keys"],
            "key_specs": [spec_facts(spec) for spec in facts["key_specs"]], "tips": sorted(facts["tips"])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("facts")
    parser.add_argument("sources", nargs="*")
    parser.add_argument("-o", "--output", default=TARGET)
    options = parser.parse_args()
    sources = options.sources
    if not sources:
        sources = sorted(path for pattern in SOURCES for path in glob.glob(os.path.join(ROOT, pattern)))
    with open(options.facts, encoding="utf-8") as file:
        facts = json.load(file)
    rows = []
    for name in registered_names(sources):
        known = command_facts(facts[name]) if name in facts else None
        rows.append("%s: %s" % (json.dumps(name), json.dumps(known)))
    with open(options.output, "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(rows) + "\n}\n")
    print("%d commands" % len(rows))


if __name__ == "__main__":
    main()
