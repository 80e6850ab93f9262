#!/usr/bin/env python3
"""Checks what the static libraries define: names with external linkage, and variables that change.

    tools/symbols.py [--declared-in HEADERS] LIBRARY.a ...
    tools/symbols.py --self-test [--cc COMPILER]

1. Everything with external linkage starts with roan_: hidden functions of several archives share one namespace.
   What the headers in the folder HEADERS name may be called otherwise: another project prescribes it.
2. There are no mutable globals: state hangs off an object, so that two servers can live in one process. What is
   process-wide by nature has a row with its reason below.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

# External names that somebody else prescribes.
FOREIGN_NAMES = {
    "malloc_conf": "read by jemalloc at start-up",
}

# (object file, variable) of variables that may change, with the reason.
MUTABLE_ALLOWED = {
    ("alloc.c", "*"): "memory is counted for the whole process; threads have their own share",
    ("clock.c", "*"): "the tick rate of the machine, measured once",
    ("hash.c", "*"): "tables computed and the seed drawn once at start-up",
    ("random.c", "*"): "entropy source of the process",
    ("bitop.c", "all_ones"): "filled before main()",
    ("dispatch.c", "name_table"): "computed from the command index before main()",
    ("main.c", "running"): "what the signal handler stops",
    ("crash.c", "*"): "what the crash handler needs; signal handlers belong to the whole process",
    ("interrupt.c", "is_interrupted"): "set by the signal handler",
    ("future.c", "*"): "the store and the parking place of each thread; both outlive every handle",
    ("handle.c", "fork_generation"): "counted by the handler of fork(), which belongs to the process",
    ("handle.c", "fork_once"): "that handler is installed once",
    ("transports.c", "*"): "servers inside this process by name: what embedded:// leads to",
    ("background.c", "round_of"): "of the thread: whose round it is in",
    ("link_io.c", "spare_buffers"): "receive buffers that no connection needs, for the whole process",
    ("code.c", "last_id"): "scripts of all handles are told apart by number",
    ("outcome.c", "callback_depth"): "of the thread: is it inside of a callback?",
    ("reply.c", "roan_hiredis_reply_functions"): "never changed; the interface wants a pointer to what is not const",
}

MUTABLE_SECTION = re.compile(r"^\.(data|bss|tbss|tdata)(\.|$)")
RELOCATED_CONST = re.compile(r"^\.data\.rel\.ro(\.|$)")


def symbols_of(library, nm="nm"):
    """(object, name, class letter, section) of every defined symbol."""
    done = subprocess.run([nm, "--defined-only", "--format=sysv", library], capture_output=True, text=True, check=True)
    member = library
    for line in done.stdout.splitlines():
        heading = re.match(r"^Symbols from .*\[(.+)\]:", line)
        if heading:
            member = heading.group(1)
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 7 and cells[0] != "Name":
            yield member, cells[0], cells[2], cells[6]


def source_name(member):
    """'alloc.c.o' or, for a file of another folder, 'cmd_alloc.c.o' -> 'alloc.c'."""
    name = os.path.basename(member)
    name = name[:-2] if name.endswith(".o") else name
    return name[len("cmd_"):] if name.startswith("cmd_") else name


def is_allowed(member, name):
    base = name.split(".")[0]
    source = source_name(member)
    return (source, base) in MUTABLE_ALLOWED or (source, "*") in MUTABLE_ALLOWED


def words_of_headers(folder):
    """Every identifier in the headers of a folder."""
    words = set()
    for name in os.listdir(folder) if folder else ():
        if name.endswith(".h"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                words.update(re.findall(r"\w+", file.read()))
    return words


def problems_of(library, prescribed=frozenset()):
    found, count = [], 0
    for member, name, letter, section in symbols_of(library):
        count += 1
        where = "%s(%s): " % (os.path.basename(library), member)
        is_ours = name.startswith("roan_") or name in FOREIGN_NAMES or name in prescribed
        if letter.isupper() and not is_ours:
            found.append(where + "'%s' has external linkage and does not start with roan_" % name)
        is_mutable = MUTABLE_SECTION.match(section) and not RELOCATED_CONST.match(section)
        if is_mutable and name not in FOREIGN_NAMES and not is_allowed(member, name):
            found.append(where + "'%s' is a mutable global: put it into an object, or give tools/symbols.py a reason"
                         % name)
    return found, count


SAMPLE = """
int stray(void) { return 1; }
int roan_fine(void) { return 2; }
static int hidden_counter;
int roan_count(void) { static int local_counter; return ++hidden_counter + ++local_counter; }
static const char *const words[] = {"a", "b"};
const char *roan_word(int i) { return words[i & 1]; }
const char *malloc_conf = "x";
"""


def self_test(compiler):
    with tempfile.TemporaryDirectory() as folder:
        source, obj, library = (os.path.join(folder, name) for name in ("x.c", "x.c.o", "libx.a"))
        with open(source, "w", encoding="utf-8") as file:
            file.write(SAMPLE)
        subprocess.run([compiler, "-O2", "-fPIC", "-fno-lto", "-c", source, "-o", obj], check=True)
        subprocess.run(["ar", "rcs", library, obj], check=True)
        found = "\n".join(problems_of(library)[0])
    expected = ("'stray' has external", "'hidden_counter' is a mutable", "'local_counter")
    missed = [words for words in expected if words not in found]
    false_alarms = [words for words in ("'words'", "'roan_fine'", "malloc_conf") if words in found]
    print("%d passed, %d failed, 0 skipped" % (6 - len(missed + false_alarms), len(missed + false_alarms)))
    for words in missed + false_alarms:
        print("self-test: wrong about %s in:\n%s" % (words, found))
    return 1 if missed or false_alarms else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--declared-in", metavar="HEADERS")
    parser.add_argument("libraries", nargs="*")
    options = parser.parse_args()
    if options.self_test:
        return self_test(options.cc)
    found, count = [], 0
    for library in options.libraries:
        some, symbols = problems_of(library, words_of_headers(options.declared_in))
        found += some
        count += symbols
    print("\n".join(found) or "%d symbols in %d libraries" % (count, len(options.libraries)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
