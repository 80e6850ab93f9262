#!/usr/bin/env python3
"""Histories of clients on four workers are explained by some order of what they did: registers and counters are
linearizable, commands with several keys, transactions with WATCH and scripts strictly serialisable (tests/lib/history.py).

Four processes with four connections each send random operations, several in one go, to a few keys for BURST_MS; after a
pause they go on with new ones, so that each history is small. A fifth process makes the server shut its gate now and then.

    histories.py --seed N       the seed is printed; the same one sends the same operations (their times differ)
"""

import multiprocessing
import os
import random
import select
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from checks import Skipped, brief, check, expect, main, make_parser  # noqa: E402
from history import Operation, explain  # noqa: E402
from resp import Connection, encode, plain  # noqa: E402

WORKERS = "--threads 4"
PROCESSES = 4
CONNECTIONS = 4           # of each process
SECONDS = 2.0             # of each round of a check; slow servers get more of them
ROUNDS_MAX = 6
WINDOW_MS, BURST_MS = 100, 10
GROUPS = 3                # of keys that are in use at the same time; a history is one group in one window
PIPELINE_MAX = 4
UNDECIDED_PERMILLE_MAX = 20
OPERATIONS_MIN = 1000     # otherwise the check says nothing

SCRIPT = """
local answers, at = {}, 1
while at <= #ARGV do
    local words = {}
    for i = 1, ARGV[at] do words[i] = ARGV[at + i] end
    at = at + ARGV[at] + 1
    answers[#answers + 1] = redis.pcall(unpack(words))
end
return answers"""


# -- what is sent -------------------------------------------------------------------------------------

class Shape:
    """Makes the operations of one client: batches of (kind, commands, requests)."""

    def __init__(self, source, client):
        self.random = source
        self.client = client
        self.number = 0
        self.kept = None      # the group whose keys are watched

    def value(self):
        self.number += 1
        return b"%d.%d" % (self.client, self.number)

    def key(self, group, kind, count=2):
        return b"%s:%s%d" % (group, kind, self.random.randrange(count))

    def two(self, group, kind, count=3):
        return [b"%s:%s%d" % (group, kind, i) for i in self.random.sample(range(count), 2)]

    def batch(self, group):
        group = self.kept or group
        return group, [self.plain(self.command(group)) for _ in range(self.random.randint(1, PIPELINE_MAX))]

    @staticmethod
    def plain(command):
        return "do", [command], [command]


class Registers(Shape):
    def command(self, group):
        key, value = group + b":s", self.value()
        return self.random.choice([
            ("GET", key), ("GET", key), ("SET", key, value), ("SET", key, value, b"GET"), ("SET", key, value, b"GET"),
            ("APPEND", key, value),
            ("SET", key, value, b"NX"), ("GETDEL", key), ("EXISTS", key)])


class Counters(Shape):
    def command(self, group):
        key = group + b":n"
        return self.random.choice([("INCRBY", key, b"1"), ("INCRBY", key, b"%d" % self.random.randint(2, 9)), ("GET", key),
                                   ("GETDEL", key)])


class ManyKeys(Shape):
    def command(self, group):
        a, b = self.two(group, b"s")
        c, d = self.two(group, b"l")
        e, f = self.two(group, b"e")
        v, w = self.value(), self.value()
        return self.random.choice([
            ("MSET", a, v, b, w), ("MSET", a, v, b, v), ("MGET", a, b), ("MGET", a, b), ("RENAME", a, b), ("RENAMENX", a, b),
            ("MSETNX", a, v, b, w), ("COPY", a, b, b"REPLACE"), ("DEL", a, c), ("EXISTS", a, b, c), ("GET", a),
            ("RPUSH", c, v), ("RPUSH", c, v, w), ("LMOVE", c, d, b"LEFT", b"RIGHT"), ("LMOVE", c, d, b"LEFT", b"RIGHT"),
            ("LRANGE", c, b"0", b"-1"), ("RENAME", c, d), ("SADD", e, v), ("SADD", e, b"x"), ("SMOVE", e, f, b"x"),
            ("SMEMBERS", e), ("SMEMBERS", f)])

    def batch(self, group):
        if self.random.random() < 0.12:  # alone: what follows would wait with it
            c, d = self.two(group, b"l")
            return group, [self.plain(self.random.choice([("BLMOVE", c, d, b"LEFT", b"RIGHT", b"0.005"),
                                                          ("BLPOP", c, d, b"0.005")]))]
        return super().batch(group)


class Transactions(ManyKeys):
    def several(self, group):
        return [self.command(group) for _ in range(self.random.randint(2, 4))]

    def exec(self, commands):
        return "exec", commands, [("MULTI",)] + commands + [("EXEC",)]

    def batch(self, group):
        if self.kept is not None:
            group, self.kept = self.kept, None
            if self.random.random() < 0.1:
                return group, [("unwatch", [], [("UNWATCH",)])]
            return group, [self.exec(self.several(group))]
        chance = self.random.random()
        if chance < 0.35:
            self.kept = group
            watch = ("WATCH", *self.two(group, b"s"), self.key(group, b"l"))
            return group, [("watch", [watch], [watch]), self.plain(self.command(group))]
        if chance < 0.6:
            return group, [self.exec(self.several(group)) for _ in range(self.random.randint(1, 2))]
        return super().batch(group)


class Scripts(Transactions):
    """Half of the keys are not declared."""

    def exec(self, commands):
        keys = sorted({word for command in commands for word in command[1:] if b":" in word})
        declared = [key for key in keys if self.random.random() < 0.5]
        words = [word for command in commands for word in (b"%d" % len(command), *command)]
        return "exec", commands, [("EVAL", SCRIPT, b"%d" % len(declared), *declared, *words)]

    def batch(self, group):
        if self.random.random() < 0.5:
            return group, [self.exec(self.several(group))]
        return ManyKeys.batch(self, group)


# -- recording ----------------------------------------------------------------------------------------

def send(connection, shape, group):
    """Sends a batch; what is to be read: [(kind, commands, requests)] with the time."""
    group, operations = shape.batch(group)
    data = b"".join(encode(words) for _, _, requests in operations for words in requests)
    sent = time.monotonic_ns()
    connection.send_bytes(data)
    return group, operations, sent


def receive(connection, client, pending, histories):
    group, operations, sent = pending
    answers = [[plain(connection.read()) for _ in requests][-1] for _, _, requests in operations]
    answered = time.monotonic_ns()
    for (kind, commands, _), answer in zip(operations, answers):
        histories.setdefault(group, []).append(Operation(client, sent, answered, kind, commands, answer))


def drive(job):
    """One process: keeps its connections busy until the end; {group: operations}."""
    port, seed, number, shape_name, start_ns, end_ns = job
    source = random.Random("%s:%d" % (seed, number))
    poll, histories, clients = select.poll(), {}, {}
    for i in range(CONNECTIONS):
        connection, client = Connection(port, timeout=20), number * CONNECTIONS + i
        clients[connection.sock.fileno()] = [connection, globals()[shape_name](source, client), client, None]
        poll.register(connection.sock, select.POLLIN)
    is_over = False
    while not is_over or any(state[3] for state in clients.values()):
        now = time.monotonic_ns()
        is_over = now > end_ns
        window, place = divmod(now - start_ns, WINDOW_MS * 1000000)
        may_send = not is_over and place < BURST_MS * 1000000
        for state in clients.values():
            if state[3] is None and may_send:
                state[3] = send(state[0], state[1], b"%d.%d" % (window, source.randrange(GROUPS)))
        for descriptor, _ in poll.poll(1000 if may_send else 1):
            connection, _, client, pending = state = clients[descriptor]
            receive(connection, client, pending, histories)
            state[3] = None
    return histories


def disturb(job):
    """Commands that run alone, and a transaction with more keys than a lane takes stripes for."""
    port, seed, number, _, _, end_ns = job
    source = random.Random("%s:%d" % (seed, number))
    with Connection(port, timeout=20) as connection:
        while time.monotonic_ns() < end_ns:
            connection.call(*source.choice([("DBSIZE",), ("KEYS", "none*"), ("CLIENT", "LIST"),
                                            ("DEL", *["none%d" % i for i in range(200)])]))
            time.sleep(0.002)
    return {}


def run_job(job):
    return (disturb if job[2] == PROCESSES else drive)(job)


def record(context, shape):
    """{group: operations} of all processes."""
    start_ns = time.monotonic_ns()
    histories = {}
    for number in range(ROUNDS_MAX):
        record_round(context, shape, "%s.%d" % (context.options.seed, number), start_ns, histories)
        if sum(map(len, histories.values())) > OPERATIONS_MIN:
            break
    return histories


def record_round(context, shape, seed, start_ns, histories):
    end_ns = time.monotonic_ns() + int(SECONDS * 1e9)
    jobs = [(context.server.port, seed, number, shape.__name__, start_ns, end_ns) for number in range(PROCESSES + 1)]
    with multiprocessing.get_context("fork").Pool(len(jobs)) as pool:
        for part in pool.map(run_job, jobs, 1):
            for group, operations in part.items():
                histories.setdefault(group, []).extend(operations)


# -- deciding -----------------------------------------------------------------------------------------

def describe(operation, start):
    words = [b" ".join(word if isinstance(word, bytes) else word.encode() for word in command)
             for command in operation.commands]
    return "    client %2d, %d..%d us: %s %s -> %s" % (
        operation.client, (operation.sent - start) // 1000, (operation.answered - start) // 1000, operation.kind,
        b"; ".join(words).decode(errors="replace"), brief(operation.answer))


def complain(group, operations, verdict):
    done, state, following = verdict.stuck or (0, {}, operations[:1])
    start = min(operation.sent for operation in operations)
    return "no order explains history %s: after %d of %d operations the state is %s, and none of these fits\n%s" % (
        group.decode(), done, len(operations), brief(state), "\n".join(describe(o, start) for o in following))


def judge(context, histories):
    total = sum(len(operations) for operations in histories.values())
    undecided = steps = 0
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for (group, operations), verdict in zip(histories.items(), pool.map(explain, histories.values(), 4)):
            expect(verdict.is_right is not False, complain(group, operations, verdict))
            undecided += verdict.is_right is None
            steps += verdict.steps
    context.note("%d histories, %d operations, %d steps, %d undecided" % (len(histories), total, steps, undecided))
    expect(undecided * 1000 <= UNDECIDED_PERMILLE_MAX * len(histories), "%d of %d histories are undecided"
           % (undecided, len(histories)))
    expect(total > OPERATIONS_MIN, "only %d operations" % total)


def need(context, *names):
    control = context.connect()
    for name in names:
        if plain(control.call("COMMAND", "INFO", name)) == [None]:
            raise Skipped("no %s yet" % name)


@check(WORKERS)
def registers_are_linearizable(context):
    judge(context, record(context, Registers))


@check(WORKERS)
def counters_are_linearizable(context):
    judge(context, record(context, Counters))


@check(WORKERS)
def commands_with_several_keys_are_strictly_serialisable(context):
    need(context, "BLMOVE", "SMOVE", "RENAME")
    judge(context, record(context, ManyKeys))


@check(WORKERS)
def transactions_are_strictly_serialisable(context):
    need(context, "EXEC", "WATCH")
    judge(context, record(context, Transactions))


@check(WORKERS)
def scripts_are_strictly_serialisable(context):
    need(context, "EVAL")
    judge(context, record(context, Scripts))


# -- the checker itself -------------------------------------------------------------------------------

def do(client, sent, answered, *command, answer):
    return Operation(client, sent, answered, "do", [command], answer)


WRONG = {
    "a write is read too late": [do(0, 0, 1, "SET", b"k", b"1", answer=b"OK"), do(1, 2, 3, "GET", b"k", answer=None)],
    "an old value comes back": [
        do(0, 0, 9, "SET", b"k", b"1", answer=b"OK"), do(1, 1, 2, "GET", b"k", answer=b"1"),
        do(2, 3, 4, "GET", b"k", answer=None)],
    "two counts are the same": [do(client, 0, 9, "INCRBY", b"n", b"1", answer=1) for client in (0, 1)],
    "half of a command is seen": [
        do(0, 0, 9, "MSET", b"a", b"1", b"b", b"1", answer=b"OK"), do(1, 0, 9, "MGET", b"a", b"b", answer=[b"1", None])],
    "a client's own order is lost": [
        do(0, 0, 9, "SET", b"k", b"1", answer=b"OK"), do(0, 0, 9, "GET", b"k", answer=None)],
    "an element is taken twice": [do(0, 0, 1, "RPUSH", b"l", b"1", answer=1)] + [
        do(client, 2, 9, "LPOP", b"l", answer=b"1") for client in (1, 2)],
    "a watched key was changed": [
        Operation(0, 0, 1, "watch", [("WATCH", b"k")], b"OK"), do(1, 2, 3, "SET", b"k", b"1", answer=b"OK"),
        Operation(0, 4, 5, "exec", [("GET", b"k")], [b"1"])],
    "a watched key was not changed": [
        Operation(0, 0, 1, "watch", [("WATCH", b"k")], b"OK"), Operation(0, 4, 5, "exec", [("GET", b"k")], None)],
}


RIGHT = {
    "a sum is what somebody adds": [
        do(0, 0, 1, "INCRBY", b"n", b"1", answer=1), do(0, 2, 3, "INCRBY", b"n", b"2", answer=3),
        do(1, 4, 5, "GETDEL", b"n", answer=b"3"), do(1, 6, 7, "INCRBY", b"n", b"3", answer=3),
        do(0, 8, 9, "GET", b"n", answer=b"3")],
    "a copy is read after its source was overwritten": [
        do(0, 0, 1, "SET", b"a", b"1", answer=b"OK"), do(0, 2, 3, "COPY", b"a", b"b", b"REPLACE", answer=1),
        do(1, 4, 5, "SET", b"a", b"2", answer=b"OK"), do(0, 6, 7, "RENAME", b"b", b"a", answer=b"OK"),
        do(1, 8, 9, "GET", b"a", answer=b"1")],
    "a value is written and taken at once": [
        Operation(0, 0, 9, "exec", [("RPUSH", b"l", b"1"), ("LPOP", b"l")], [1, b"1"]),
        do(1, 0, 9, "LRANGE", b"l", b"0", b"-1", answer=[])],
    "text grows": [
        do(0, 0, 9, "APPEND", b"k", b"1", answer=1), do(1, 0, 9, "APPEND", b"k", b"1", answer=2),
        do(1, 10, 11, "GET", b"k", answer=b"11")],
    "a write that did not happen is never seen": [
        do(0, 0, 1, "SET", b"k", b"1", answer=b"OK"), do(1, 2, 3, "SET", b"k", b"2", b"NX", answer=None),
        do(0, 4, 5, "GET", b"k", answer=b"1")],
}


@check()
def the_checker_accepts_what_is_right(context):
    for name, operations in RIGHT.items():
        expect(explain(operations).is_right is True, "not accepted: %s" % name)


@check()
def the_checker_notices_what_is_wrong(context):
    for name, operations in WRONG.items():
        expect(explain(operations).is_right is False, "not noticed: %s" % name)


def swap_answers(source, operations):
    """Gives two reads of one register each other's answer."""
    reads = [i for i, operation in enumerate(operations) if operation.commands[0][0] == "GET"]
    for _ in range(100):
        a, b = source.sample(reads, 2)
        x, y = operations[a], operations[b]
        if x.answer != y.answer and x.answered < y.sent:
            changed = list(operations)
            changed[a], changed[b] = x._replace(answer=y.answer), y._replace(answer=x.answer)
            return changed
    return None


@check(WORKERS)
def a_history_that_was_put_out_of_order_is_noticed(context):
    """A canary: real histories, in which two reads that did not overlap have changed their answers."""
    noticed = tried = 0
    for _, operations in sorted(record(context, Registers).items())[:30]:
        changed = swap_answers(context.random, operations) if len(operations) > 40 else None
        if changed is not None:
            tried += 1
            noticed += explain(changed).is_right is False
    context.note("%d of %d noticed" % (noticed, tried))
    expect(tried >= 10 and noticed > tried * 0.8, "%d of %d noticed" % (noticed, tried))


def parser_with_new_seed():
    parser = make_parser(__doc__)
    parser.set_defaults(seed=random.SystemRandom().randrange(1000000))
    return parser


if __name__ == "__main__":
    sys.exit(main(__doc__, parser_with_new_seed()))
