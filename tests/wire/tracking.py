#!/usr/bin/env python3
"""Caches that follow CLIENT TRACKING, on several workers under load: once a write was acknowledged, whoever asks the
server anything afterwards has heard that his copy is old; and when the world stands still, no copy is.
"""

import collections
import os
import random
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from checks import Skipped, check, expect, expect_equal, main  # noqa: E402
from resp import plain  # noqa: E402
from server import info_fields  # noqa: E402

SECONDS = 2.0
KEYS = 64
WRITERS = 4
WORKERS = "--threads 4"


def key_name(number):
    return b"key:%d" % number


class World:
    """What is known to be written. A key belongs to one writer, who counts its versions up."""

    def __init__(self):
        self.acknowledged = [0] * KEYS
        self.stop = threading.Event()
        self.problems = []
        self.counts = collections.Counter()

    def run(self, body, *arguments):
        try:
            body(self, *arguments)
        except Exception as problem:  # pylint: disable=broad-except
            self.problems.append(problem)
            self.stop.set()


# -- writers --------------------------------------------------------------------------------------------

def write(connection, chance, version, keys):
    """Gives the keys the next version: with a value, or by deleting them. Several commands that change them."""
    what = chance.randrange(8)
    if what == 0:
        connection.call("DEL", *[key_name(key) for key in keys])
    elif what == 1:
        connection.send("MULTI")
        for key in keys:
            connection.send("SET", key_name(key), version)
        connection.send("EXEC")
        for _ in range(len(keys) + 2):
            connection.read()
    elif what == 2:
        for key in keys:
            connection.call("SET", key_name(key), version, "PX", chance.randrange(1, 50))
    else:
        connection.call("MSET", *[word for key in keys for word in (key_name(key), version)])


def writer(world, context, index, flushes, chance):
    connection = context.connect()
    own = list(range(index, KEYS, WRITERS))
    version = 0
    while not world.stop.is_set():
        version += 1
        keys = chance.sample(own, chance.randrange(1, 4))
        write(connection, chance, version, keys)
        for key in keys:
            world.acknowledged[key] = version
        if flushes and chance.randrange(500) == 0:
            connection.call(chance.choice(["FLUSHALL", "FLUSHDB"]))
    world.counts["writes"] += version


# -- caches ---------------------------------------------------------------------------------------------

class Cache:
    """Follows what one connection is told."""

    def __init__(self, context, *mode, before_read=None):
        self.connection = context.connect(proto=3)
        self.values = {}
        self.before_read = before_read
        self.news = 0
        self.set_mode(*mode)

    def set_mode(self, *mode):
        reply = self.ask("CLIENT", "TRACKING", "ON", *mode)
        expect_equal(plain(reply), b"OK", "CLIENT TRACKING ON %s" % (mode,))

    def hear(self, push):
        kind, names = push.value[0].value, push.value[1].value
        expect_equal(kind, b"invalidate", "a push")
        self.news += 1
        if names is None:
            self.values.clear()
        else:
            for name in names:
                self.values.pop(bytes(name.value), None)

    def ask(self, *words):
        self.connection.send(*words)
        while True:
            reply = self.connection.read()
            if reply.kind != "push":
                return reply
            self.hear(reply)

    def get(self, name):
        if self.before_read:
            self.ask(*self.before_read)
        value = self.ask("GET", name).value
        if value is not None:
            self.values[name] = int(value)

    def catch_up(self):
        expect_equal(plain(self.ask("PING")), b"PONG", "PING")


class RedirectedCache(Cache):
    """Reads on one connection, and hears of changes on another one with RESP2."""

    def __init__(self, context, *mode):
        self.ear = context.connect()
        number = plain(self.ear.call("CLIENT", "ID"))
        self.ear.call("SUBSCRIBE", "__redis__:invalidate")
        self.pending = None  # the name that is being read
        super().__init__(context, "REDIRECT", number, *mode)

    def hear_all(self):
        self.ear.send("PING")
        while True:
            reply = self.ear.read()
            if reply.value[0].value == b"pong":
                return
            names = reply.value[2].value
            self.news += 1
            if names is None:
                self.values.clear()
                self.pending = None
            else:
                for name in names:
                    self.values.pop(bytes(name.value), None)
                    if name.value == self.pending:
                        self.pending = None

    def get(self, name):
        self.pending = name  # a change that is told before the reply was looked at makes it useless
        value = self.ask("GET", name).value
        self.hear_all()
        if value is not None and self.pending == name:
            self.values[name] = int(value)

    def catch_up(self):
        self.hear_all()


def follow(world, cache, chance):
    """Reads through the cache, and now and then looks for copies older than what was acknowledged."""
    while not world.stop.is_set():
        for _ in range(chance.randrange(1, 8)):
            name = key_name(chance.randrange(KEYS))
            if name in cache.values:
                world.counts["hits"] += 1
            else:
                cache.get(name)
        known = list(world.acknowledged)
        cache.catch_up()
        for name, version in cache.values.items():
            key = int(name[4:])
            expect(version >= known[key], "%s is version %d in a cache, but %d was acknowledged before the cache asked"
                   % (name.decode(), version, known[key]))
        world.counts["looks"] += 1


def check_still(context, caches):
    """Nothing is written any more, and nothing expires."""
    control = context.connect()
    for cache in caches:
        cache.catch_up()
        for name, version in cache.values.items():
            value = plain(control.call("GET", name))
            expect_equal(value, b"%d" % version, "%s and its copy" % name.decode())


def nothing_expires(control):
    return all("expires=0" in text for text in info_fields(control, "keyspace").values())


def run_caches(context, make_caches, flushes=True):
    control = context.connect()
    if plain(control.call("COMMAND", "INFO", "CLIENT|TRACKING")) == [None]:
        raise Skipped("no CLIENT TRACKING yet")
    caches = make_caches()
    world = World()

    def chances():
        return random.Random(context.random.randrange(1 << 30))

    bodies = [(writer, context, i, flushes, chances()) for i in range(WRITERS)]
    bodies += [(follow, cache, chances()) for cache in caches]
    threads = [threading.Thread(target=world.run, args=body) for body in bodies]
    for thread in threads:
        thread.start()
    world.stop.wait(SECONDS)
    world.stop.set()
    for thread in threads:
        thread.join(20)
    expect(not world.problems, "%r" % world.problems[:1])
    expect(not any(thread.is_alive() for thread in threads), "a client hangs")
    context.until(lambda: nothing_expires(control), 5, "keys have expired")
    check_still(context, caches)
    expect(all(cache.news > 10 for cache in caches), "news came")
    context.note("%(writes)d writes, %(looks)d looks, %(hits)d hits" % collections.defaultdict(int, world.counts))


# -- checks ---------------------------------------------------------------------------------------------

@check(WORKERS)
def caches_in_the_default_mode(context):
    run_caches(context, lambda: [Cache(context) for _ in range(6)])


@check(WORKERS)
def caches_with_optin_and_optout(context):
    run_caches(context, lambda: [Cache(context, "OPTIN", before_read=("CLIENT", "CACHING", "YES")) for _ in range(3)] +
               [Cache(context, "OPTOUT", "NOLOOP") for _ in range(3)])


@check(WORKERS)
def caches_with_broadcast(context):
    run_caches(context, lambda: [Cache(context, "BCAST", "PREFIX", "key:") for _ in range(3)] +
               [Cache(context, "BCAST", "NOLOOP") for _ in range(2)])


@check(WORKERS)
def caches_that_redirect(context):
    run_caches(context, lambda: [RedirectedCache(context) for _ in range(3)] +
               [RedirectedCache(context, "BCAST", "PREFIX", "key:") for _ in range(2)])


@check(WORKERS + " --tracking-table-max-keys 10")
def caches_with_a_small_table(context):
    run_caches(context, lambda: [Cache(context) for _ in range(6)])


@check(WORKERS + " --maxmemory-policy allkeys-random")
def caches_while_keys_are_evicted(context):
    def evict(world):
        control = context.connect()
        while not world.stop.is_set():
            control.call("CONFIG", "SET", "maxmemory", "1")
            control.call("PING")
            control.call("CONFIG", "SET", "maxmemory", "0")
            time.sleep(0.02)

    def caches():
        return [Cache(context, "NOLOOP") for _ in range(4)]

    world = World()
    thread = threading.Thread(target=world.run, args=(evict,))
    thread.start()
    try:
        run_caches(context, caches, flushes=False)
    finally:
        world.stop.set()
        thread.join(20)
    expect(not world.problems, "%r" % world.problems[:1])


@check(WORKERS)
def clients_come_and_go(context):
    """Tracking clients, prefixes and whom they redirect to end at any time."""
    def churn(world, seed):
        chance = random.Random(seed)
        while not world.stop.is_set():
            ear = context.connect(proto=chance.choice([2, 3]))
            number = plain(ear.call("CLIENT", "ID"))
            connection = context.connect(proto=3)
            mode = chance.choice([(), ("BCAST",), ("BCAST", "PREFIX", "key:1", "PREFIX", "key:2")])
            connection.call("CLIENT", "TRACKING", "ON", "REDIRECT", number, *mode)
            connection.call("MGET", *[key_name(chance.randrange(KEYS)) for _ in range(20)])
            first, second = chance.sample([ear, connection], 2)
            first.sock.close()
            if chance.randrange(2) == 0 and second is connection:
                connection.call("CLIENT", "TRACKING", "OFF")
            second.sock.close()

    world = World()
    threads = [threading.Thread(target=world.run, args=(churn, context.random.randrange(1000))) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        run_caches(context, lambda: [Cache(context) for _ in range(3)] + [Cache(context, "BCAST")])
    finally:
        world.stop.set()
        for thread in threads:
            thread.join(20)
    expect(not world.problems, "%r" % world.problems[:1])
    control = context.connect()
    context.until(lambda: info_fields(control, "clients")["tracking_clients"] == "4", 5, "the others are gone")
    expect_equal(info_fields(control, "stats")["tracking_total_prefixes"], "1", "prefixes with clients")


if __name__ == "__main__":
    main(__doc__)
