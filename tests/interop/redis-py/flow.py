"""redis-py against a server: flow.py HOST PORT.

Promises that strings, keys, bits, pipelines, errors and the connection and server commands behave
as redis-py expects, once over RESP2 and once over RESP3. Prints each step; any surprise raises.
"""

import sys
import time

import redis

BYTES = bytes(range(256)) * 4
KEYS = 1000
BATCH = 500
BIG = 5 * 1024 * 1024


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {str(got)[:200]!r}, want {str(want)[:200]!r}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)


def text(value):
    """Whether the library decodes a reply depends on the command and on the protocol."""
    return value.decode() if isinstance(value, bytes) else value


def fails(call, *words):
    """The call must raise an error reply that has all the words in it."""
    try:
        result = call()
    except redis.ResponseError as error:
        for word in words:
            true(word in str(error), f"'{error}' lacks '{word}'")
    else:
        raise AssertionError(f"no error but {result!r}")


def wait_until_gone(r, key):
    deadline = time.monotonic() + 5
    while r.get(key) is not None:
        true(time.monotonic() < deadline, f"{key} does not expire")
        time.sleep(0.01)


def strings(r):
    true(r.set("s", "one"), "SET")
    equal(r.get("s"), b"one")
    equal(r.get("absent"), None)
    equal(r.set("s", "two", nx=True), None)
    true(r.set("s", "two", xx=True), "SET XX")
    equal(r.set("s", "three", get=True), b"two")
    true(r.set("s", "four", ex=100), "SET EX")
    true(r.set("s", "five", keepttl=True), "SET KEEPTTL")
    true(0 < r.ttl("s") <= 100, "KEEPTTL lost the TTL")
    true(r.set("s", "six"), "SET")
    equal(r.ttl("s"), -1)
    equal(r.getex("s", ex=50), b"six")
    true(0 < r.ttl("s") <= 50, "GETEX EX")
    equal(r.getdel("s"), b"six")
    equal(r.exists("s"), 0)
    equal(r.setnx("n", "v"), True)
    equal(r.type("n"), b"string")


def binary(r):
    key = b"bin\r\n\x00\xff key"
    true(r.set(key, BYTES), "SET")
    equal(r.get(key), BYTES)
    equal(r.strlen(key), len(BYTES))
    true(r.set("empty", b""), "SET empty")
    equal(r.get("empty"), b"")


def counters(r):
    equal(r.incr("c"), 1)
    equal(r.incrby("c", 41), 42)
    equal(r.decr("c"), 41)
    equal(r.decrby("c", 50), -9)
    equal(r.get("c"), b"-9")
    equal(r.execute_command("INCR", "c"), -8)  # incr() sends INCRBY
    equal(r.execute_command("DECR", "c"), -9)
    equal(r.incrbyfloat("f", 1.5), 1.5)
    equal(r.incrbyfloat("f", 0.25), 1.75)


def many_keys(r):
    true(r.mset({f"m{i}": f"v{i}" for i in range(50)}), "MSET")
    want = [b"v%d" % i for i in range(50)] + [None]
    equal(r.mget([f"m{i}" for i in range(50)] + ["absent"]), want)
    equal(bool(r.msetnx({"m0": "x", "fresh": "x"})), False)
    equal(r.exists("fresh"), 0)


def expiry(r):
    r.set("e", "v")
    equal(r.ttl("e"), -1)
    equal(r.ttl("absent"), -2)
    equal(r.expire("e", 100), True)
    true(0 < r.ttl("e") <= 100, "TTL")
    true(99_000 < r.pttl("e") <= 100_000, "PTTL")
    equal(r.expire("absent", 100), False)
    equal(r.persist("e"), True)
    equal(r.ttl("e"), -1)
    equal(r.pexpire("e", 20), True)
    wait_until_gone(r, "e")
    r.set("e", "v", px=20)
    wait_until_gone(r, "e")


def removal(r):
    r.mset({"d1": 1, "d2": 2, "d3": 3})
    equal(r.exists("d1", "d2", "d3", "d4"), 3)
    equal(r.delete("d1", "d4"), 1)
    equal(r.unlink("d2", "d3", "d4"), 2)
    equal(r.exists("d1", "d2", "d3"), 0)


def scan(r):
    r.mset({f"scan:{i}": i for i in range(KEYS)})
    r.set("other", 1)
    want = {b"scan:%d" % i for i in range(KEYS)}
    equal(set(r.scan_iter(count=50)) >= want | {b"other"}, True)
    equal(set(r.scan_iter(match="scan:*", count=50)), want)
    equal(set(r.scan_iter(match="scan:*", count=50, _type="string")), want)


def pipelines(r):
    pipe = r.pipeline(transaction=False)
    for i in range(BATCH):
        pipe.set(f"p{i}", i).incr("total").get(f"p{i}")
    want = [part for i in range(BATCH) for part in (True, i + 1, b"%d" % i)]
    equal(pipe.execute(), want)


def errors(r):
    r.set("word", "abc")
    fails(lambda: r.incr("word"), "not an integer")
    fails(lambda: r.execute_command("NOSUCHCOMMAND", "x"), "unknown command", "NOSUCHCOMMAND")
    fails(lambda: r.execute_command("GET"), "wrong number of arguments")
    fails(lambda: r.execute_command("SET", "a", "b", "NOSUCHOPTION"), "syntax error")
    replies = r.pipeline(transaction=False).get("word").incr("word").get("word").execute(False)
    equal([replies[0], replies[2]], [b"abc", b"abc"])
    true(isinstance(replies[1], redis.ResponseError), "the error inside a pipeline is lost")


def bits(r):
    equal(r.setbit("b", 7, 1), 0)
    equal(r.setbit("b", 7, 1), 1)
    equal(r.setbit("b", 100, 1), 0)
    equal(r.getbit("b", 7), 1)
    equal(r.getbit("b", 8), 0)
    equal(r.getbit("b", 5000), 0)
    equal(r.bitcount("b"), 2)
    equal(r.bitcount("b", 0, 0), 1)
    equal(r.strlen("b"), 13)


def ranges(r):
    r.set("g", "Hello World")
    equal(r.getrange("g", 0, 4), b"Hello")
    equal(r.getrange("g", -5, -1), b"World")
    equal(r.getrange("g", 50, 60), b"")
    equal(r.setrange("g", 6, "Redis"), 11)
    equal(r.append("g", "!"), 12)
    equal(r.get("g"), b"Hello Redis!")


def connection(r, protocol):
    with r.client() as one:  # one connection, not the pool
        hello = one.execute_command("HELLO", str(protocol))
        if not isinstance(hello, dict):
            hello = dict(zip(hello[::2], hello[1::2]))
        hello = {text(key): value for key, value in hello.items()}
        equal(hello["proto"], protocol)
        true({"server", "version", "id", "mode", "role"} <= hello.keys(), f"HELLO gave {hello}")
        equal(one.ping(), True)
        equal(one.echo("hi"), b"hi")
        true(one.client_setname("flow"), "CLIENT SETNAME")
        equal(text(one.client_getname()), "flow")
        equal(one.client_id(), hello["id"])


def server(r):
    limits = r.config_get("maxmemory*")
    limits = {text(key): value for key, value in limits.items()}
    true("maxmemory" in limits, f"CONFIG GET gave {limits}")
    true(int(limits["maxmemory"]) >= 0, "maxmemory")
    info = r.info()
    true(info["redis_version"], "INFO redis_version")
    equal(info["tcp_port"], r.connection_pool.connection_kwargs["port"])
    true(info["uptime_in_seconds"] >= 0, "INFO uptime_in_seconds")
    equal(r.info("keyspace")["db0"]["keys"], r.dbsize())


def databases(r):
    with r.client() as one:
        before = one.dbsize()
        true(before > KEYS, "DBSIZE")
        true(one.select(1), "SELECT")
        equal(one.dbsize(), 0)
        one.set("only", "here")
        equal(one.dbsize(), 1)
        true(one.flushdb(), "FLUSHDB")
        equal(one.dbsize(), 0)
        true(one.select(0), "SELECT")
        equal(one.dbsize(), before)
        fails(lambda: one.select(1_000_000), "out of range")


def large(r):
    value = (b"0123456789abcdef" * (BIG // 16))[:-1] + b"\x00"
    true(r.set("big", value), "SET")
    equal(r.strlen("big"), BIG)
    true(r.get("big") == value, "the large value came back changed")
    equal(r.getrange("big", BIG - 2, -1), b"e\x00")
    equal(r.unlink("big"), 1)


def flow(host, port, protocol):
    steps = (strings, binary, counters, many_keys, expiry, removal, scan, pipelines, errors, bits,
             ranges, server, databases, large)
    with redis.Redis(host=host, port=port, protocol=protocol) as r:
        r.flushdb()
        equal(r.dbsize(), 0)
        for step in steps:
            print(f"RESP{protocol} {step.__name__}", flush=True)
            step(r)
        print(f"RESP{protocol} connection", flush=True)
        connection(r, protocol)


if __name__ == "__main__":
    for version in (2, 3):
        flow(sys.argv[1], int(sys.argv[2]), version)
