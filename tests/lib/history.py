"""Histories of concurrent clients, and whether some order of their operations explains them.

An operation has a time before it was sent and one after its answer came. A history is right (linearizable; with several
keys in one history: strictly serialisable) when its operations can be put in a line such that what had ended before
another one was sent stands in front of it, each client's stand in its own order, and each answer is the one of a simple
model that does them one after the other.

    operations = [Operation(client, sent, answered, kind, commands, answer), ...]
    explain(operations) -> Verdict

The search is Wing and Gong's: take an operation that may come next and whose answer fits, go on, go back when stuck. What
was reached once (how far each client is, and the state) is not tried again. New values in each write keep it short: where
one is gone that somebody is still to be answered, the search goes back at once.

Kinds: "do" (one command), "exec" (several at once; the answer is their list, or None: a watched key was changed),
"watch" and "unwatch". A command is a tuple: a name, then bytes.
"""

import collections

Operation = collections.namedtuple("Operation", "client sent answered kind commands answer")
Verdict = collections.namedtuple("Verdict", "is_right steps stuck")  # is_right None: it took too many steps

STEPS_MAX = 100000  # of one search: a few seconds
SEARCHES = 4
OK = b"OK"
COMPUTING = {"INCRBY", "APPEND"}  # what they write is made of their words and of what was there
READS = {"GET", "MGET", "EXISTS", "LRANGE", "SMEMBERS"}
TELLING = {"GETDEL", "MSETNX", "DEL", "RENAMENX", "COPY", "LPOP", "LMOVE", "BLMOVE", "BLPOP", "SADD", "SMOVE"}  # 0, None


class Model:
    """Strings are bytes, lists tuples, sets frozensets; what is not there is not in the dict."""

    def __init__(self, values):
        self.values = dict(values)
        self.changed = set()

    def put(self, key, value):
        self.changed.add(key)
        if value is None or (not isinstance(value, bytes) and not value):
            self.values.pop(key, None)
        else:
            self.values[key] = value

    def run(self, command):
        return getattr(self, "do_" + command[0].lower())(*command[1:])

    # -- strings --

    def do_get(self, key):
        return self.values.get(key)

    def do_set(self, key, value, *options):
        before = self.values.get(key)
        if not (b"NX" in options and before is not None):
            self.put(key, value)
        elif b"GET" not in options:
            return None
        return before if b"GET" in options else OK

    def do_getdel(self, key):
        before = self.values.get(key)
        if before is not None:
            self.put(key, None)
        return before

    def do_incrby(self, key, by):
        value = int(self.values.get(key, b"0")) + int(by)
        self.put(key, b"%d" % value)
        return value

    def do_append(self, key, value):
        self.put(key, self.values.get(key, b"") + value)
        return len(self.values[key])

    def do_mget(self, *keys):
        return [self.values.get(key) for key in keys]

    def do_mset(self, *words):
        for key, value in zip(words[::2], words[1::2]):
            self.put(key, value)
        return OK

    def do_msetnx(self, *words):
        if any(key in self.values for key in words[::2]):
            return 0
        self.do_mset(*words)
        return 1

    # -- keys --

    def do_del(self, *keys):
        there = {key for key in keys if key in self.values}
        for key in there:
            self.put(key, None)
        return len(there)

    def do_exists(self, *keys):
        return sum(key in self.values for key in keys)

    def do_renamenx(self, source, target):
        if source in self.values and target in self.values:
            return 0
        self.do_rename(source, target)
        return 1

    def do_rename(self, source, target):
        value = self.values[source]  # KeyError: "no such key"
        self.put(source, None)
        self.put(target, value)
        return OK

    def do_copy(self, source, target, *_):
        if source not in self.values:
            return 0
        self.put(target, self.values[source])
        return 1

    # -- lists --

    def do_rpush(self, key, *values):
        self.put(key, self.values.get(key, ()) + values)
        return len(self.values[key])

    def do_lpop(self, key):
        value = self.values.get(key)
        if value is None:
            return None
        self.put(key, value[1:])
        return value[0]

    def do_lrange(self, key, *_):
        return list(self.values.get(key, ()))

    def do_lmove(self, source, target, *_):
        value = self.do_lpop(source)
        if value is not None:
            self.do_rpush(target, value)
        return value

    def do_blmove(self, source, target, *_):
        return self.do_lmove(source, target)

    def do_blpop(self, *words):
        for key in words[:-1]:
            if key in self.values:
                return [key, self.do_lpop(key)]
        return None

    # -- sets --

    def do_sadd(self, key, member):
        before = self.values.get(key, frozenset())
        if member in before:
            return 0
        self.put(key, before | {member})
        return 1

    def do_smove(self, source, target, member):
        before = self.values.get(source, frozenset())
        if member not in before:
            return 0
        self.put(source, before - {member})
        self.put(target, self.values.get(target, frozenset()) | {member})
        return 1

    def do_smembers(self, key):
        return self.values.get(key, frozenset())


def run_fitting(model, command, answer):
    """Runs the command; whether the answer is the model's. Answers of sets have no order."""
    try:
        expected = model.run(command)
    except KeyError:
        return isinstance(answer, bytes) and answer.startswith(b"ERR no such key")
    if isinstance(expected, frozenset):
        return isinstance(answer, list) and frozenset(answer) == expected
    return expected == answer


def touch(watchers, changed):
    """Who watches what was changed is broken from now on."""
    return frozenset((client, keys, is_broken or bool(keys & changed)) for client, keys, is_broken in watchers)


def step(state, operation):
    """The state afterwards; None when the answer does not fit."""
    values, watchers = state
    mine = next((watcher for watcher in watchers if watcher[0] == operation.client), None)
    if operation.kind == "watch":
        keys = frozenset(operation.commands[0][1:])
        return values, watchers | {(operation.client, keys, False)}
    if operation.kind == "unwatch":
        return values, watchers - {mine}
    if operation.kind == "exec":
        is_broken = mine is not None and mine[2]
        if is_broken != (operation.answer is None):
            return None
        watchers = watchers - {mine}
        if is_broken:
            return values, watchers
        answers = operation.answer
    else:
        answers = [operation.answer]
    model = Model(values)
    if len(answers) != len(operation.commands):
        return None
    for command, answer in zip(operation.commands, answers):
        if not run_fitting(model, command, answer):
            return None
    if not model.changed:
        return values, watchers
    return frozenset(model.values.items()), touch(watchers, model.changed)


def is_idle(operation):
    """It changes nothing, wherever it stands: it reads, or its answer says so."""
    if operation.kind == "do":
        return operation.commands[0][0] in READS or (not operation.answer and operation.commands[0][0] in TELLING)
    return operation.kind == "exec" and all(command[0] in READS for command in operation.commands)


def candidates(lines, places):
    """Who may come next: sent before the first of all others had been answered. The most urgent one first."""
    heads = [(line[place].answered, line[place].sent, index)
             for index, (line, place) in enumerate(zip(lines, places)) if place < len(line)]
    if not heads:
        return None
    first = min(heads)[0]
    return [index for _, sent, index in sorted(heads) if sent <= first]


def successors(lines, places, state):
    """What may come next and fits: [(places, state)]. What fits and is idle can do no harm: it goes first, alone. None: all
    is done. Also the heads, for the report."""
    heads = candidates(lines, places)
    if heads is None:
        return None, []
    found = []
    for index in heads:
        after = step(state, lines[index][places[index]])
        if after is not None:
            there = places[:index] + (places[index] + 1,) + places[index + 1:]
            if after == state and is_idle(lines[index][places[index]]):
                return [(there, after)], heads
            found.append((there, after))
    return found, heads


def words_in(value):
    """All byte strings in an answer."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, (list, tuple, frozenset)):
        for part in value:
            yield from words_in(part)


class Losses:
    """What can be said of values that were written by one operation only: once they are nowhere they stay so."""

    def __init__(self, lines):
        self.writers = {}  # value: (line, place), or None when there are several
        for at, line in enumerate(lines):
            for place, operation in enumerate(line):
                for value in {word for command in operation.commands if command[0] not in COMPUTING
                              for word in command[2:] if b":" not in word}:
                    self.writers[value] = None if value in self.writers else (at, place)
        self.needs = []    # by line and place: the values that the answers from there on show
        for line in lines:
            needs = [frozenset()]
            for operation in reversed(line):
                shown = {word for word in words_in(operation.answer) if self.writers.get(word) is not None}
                needs.append(needs[-1] | shown)
            self.needs.append(needs[::-1])

    def is_lost(self, places, state):
        """Somebody is still to see a value that was written and is gone."""
        there = {word for _, value in state[0] for word in words_in(value)}
        for needs, place in zip(self.needs, places):
            for value in needs[place] - there:
                line, written_at = self.writers[value]
                if written_at < places[line]:
                    return True
        return False


def explain(operations, steps_max=STEPS_MAX, searches=SEARCHES):
    """Looks for an order. A search that took too long begins again with another client's operations first: which of
    them is tried first decides how much of the tree is in the way, and nobody knows it before."""
    by_client = collections.defaultdict(list)
    for operation in operations:
        by_client[operation.client].append(operation)
    lines = list(by_client.values())
    steps = 0
    for first in range(min(searches, len(lines))):
        verdict = search(lines[first:] + lines[:first], steps_max)
        steps += verdict.steps
        if verdict.is_right is not None:
            break
    return verdict._replace(steps=steps) if lines else Verdict(True, 0, None)


def search(lines, steps_max):
    """One search. `stuck` is what could be done at most, for the report."""
    losses = Losses(lines)
    stack = [iter([((0,) * len(lines), (frozenset(), frozenset()))])]
    seen, steps, best, stuck = set(), 0, -1, None
    while stack:
        node = next(stack[-1], None)
        if node is None:
            stack.pop()
            continue
        if node in seen or losses.is_lost(*node):
            continue
        seen.add(node)
        steps += 1
        if steps > steps_max:
            return Verdict(None, steps, stuck)
        found, heads = successors(lines, *node)
        if found is None:
            return Verdict(True, steps, None)
        if sum(node[0]) > best:
            best = sum(node[0])
            stuck = (best, dict(node[1][0]), [lines[i][node[0][i]] for i in heads])
        stack.append(iter(found))
    return Verdict(False, steps, stuck)
