// ioredis against a server: flow.mjs HOST PORT.
//
// Promises that strings, keys, bits, pipelines, errors and the connection and server commands
// behave as ioredis expects, once over RESP2 and once over RESP3 (maps as objects), and that
// commands sent without waiting are answered in order. Prints each step; any surprise throws.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";

const BYTES = Buffer.from(Array.from({ length: 1024 }, (_, i) => i % 256));
const KEYS = 1000;
const BATCH = 500;
const BIG = 5 * 1024 * 1024;

const equal = assert.deepEqual;
const ok = assert.ok;
const numbers = (count) => Array.from({ length: count }, (_, i) => i);
const isTtl = (value, max) => ok(value > 0 && value <= max, `TTL ${value}, want at most ${max}`);

async function waitUntilGone(r, key) {
  const deadline = Date.now() + 5000;
  while ((await r.get(key)) !== null) {
    ok(Date.now() < deadline, `${key} does not expire`);
    await pause(10);
  }
}

async function collect(stream) {
  const found = new Set();
  for await (const keys of stream) keys.forEach((key) => found.add(key));
  return found;
}

const steps = {
  async strings(r) {
    equal(await r.set("s", "one"), "OK");
    equal(await r.get("s"), "one");
    equal(await r.get("absent"), null);
    equal(await r.set("s", "two", "NX"), null);
    equal(await r.set("s", "two", "XX"), "OK");
    equal(await r.set("s", "three", "GET"), "two");
    equal(await r.set("s", "four", "EX", 100), "OK");
    equal(await r.set("s", "five", "KEEPTTL"), "OK");
    isTtl(await r.ttl("s"), 100);
    equal(await r.set("s", "six"), "OK");
    equal(await r.ttl("s"), -1);
    equal(await r.getex("s", "EX", 50), "six");
    isTtl(await r.ttl("s"), 50);
    equal(await r.getdel("s"), "six");
    equal(await r.exists("s"), 0);
    equal(await r.setnx("n", "v"), 1);
    equal(await r.type("n"), "string");
  },

  async binary(r) {
    const key = Buffer.from("bin\r\n\x00\xff key", "latin1");
    equal(await r.set(key, BYTES), "OK");
    equal(await r.getBuffer(key), BYTES);
    equal(await r.strlen(key), BYTES.length);
    equal(await r.set("empty", ""), "OK");
    equal(await r.get("empty"), "");
  },

  async counters(r) {
    equal(await r.incr("c"), 1);
    equal(await r.incrby("c", 41), 42);
    equal(await r.decr("c"), 41);
    equal(await r.decrby("c", 50), -9);
    equal(await r.get("c"), "-9");
    equal(await r.incrbyfloat("f", 1.5), "1.5");
    equal(await r.incrbyfloat("f", 0.25), "1.75");
  },

  async manyKeys(r) {
    const names = numbers(50).map((i) => `m${i}`);
    equal(await r.mset(Object.fromEntries(names.map((name, i) => [name, `v${i}`]))), "OK");
    equal(await r.mget([...names, "absent"]), [...numbers(50).map((i) => `v${i}`), null]);
    equal(await r.msetnx("m0", "x", "fresh", "x"), 0);
    equal(await r.exists("fresh"), 0);
  },

  async expiry(r) {
    await r.set("e", "v");
    equal(await r.ttl("e"), -1);
    equal(await r.ttl("absent"), -2);
    equal(await r.expire("e", 100), 1);
    isTtl(await r.ttl("e"), 100);
    isTtl(await r.pttl("e"), 100_000);
    equal(await r.expire("absent", 100), 0);
    equal(await r.persist("e"), 1);
    equal(await r.ttl("e"), -1);
    equal(await r.pexpire("e", 20), 1);
    await waitUntilGone(r, "e");
    await r.set("e", "v", "PX", 20);
    await waitUntilGone(r, "e");
  },

  async removal(r) {
    await r.mset("d1", 1, "d2", 2, "d3", 3);
    equal(await r.exists("d1", "d2", "d3", "d4"), 3);
    equal(await r.del("d1", "d4"), 1);
    equal(await r.unlink("d2", "d3", "d4"), 2);
    equal(await r.exists("d1", "d2", "d3"), 0);
  },

  async scan(r) {
    await r.mset(numbers(KEYS).flatMap((i) => [`scan:${i}`, i]));
    await r.set("other", 1);
    const want = new Set(numbers(KEYS).map((i) => `scan:${i}`));
    const all = await collect(r.scanStream({ count: 50 }));
    ok(all.has("other") && [...want].every((key) => all.has(key)), "SCAN lost keys");
    equal(await collect(r.scanStream({ match: "scan:*", count: 50 })), want);
    equal(await collect(r.scanStream({ match: "scan:*", type: "string" })), want);
  },

  async pipelines(r) {
    const pipe = r.pipeline();
    numbers(BATCH).forEach((i) => pipe.set(`p${i}`, i).incr("total").get(`p${i}`));
    const want = numbers(BATCH).flatMap((i) => [[null, "OK"], [null, i + 1], [null, `${i}`]]);
    equal(await pipe.exec(), want);
    equal(await Promise.all(numbers(BATCH).map((i) => r.get(`p${i}`))), numbers(BATCH).map(String));
  },

  async errors(r) {
    await r.set("word", "abc");
    await assert.rejects(r.incr("word"), /ERR .*not an integer/);
    await assert.rejects(r.call("NOSUCHCOMMAND", "x"), /unknown command.*NOSUCHCOMMAND/i);
    await assert.rejects(r.call("GET"), /wrong number of arguments/);
    await assert.rejects(r.call("SET", "a", "b", "NOSUCHOPTION"), /syntax error/);
    const replies = await r.pipeline().get("word").incr("word").get("word").exec();
    equal([replies[0], replies[2]], [[null, "abc"], [null, "abc"]]);
    ok(replies[1][0] instanceof Error, "the error inside a pipeline is lost");
  },

  async bits(r) {
    equal(await r.setbit("b", 7, 1), 0);
    equal(await r.setbit("b", 7, 1), 1);
    equal(await r.setbit("b", 100, 1), 0);
    equal(await r.getbit("b", 7), 1);
    equal(await r.getbit("b", 8), 0);
    equal(await r.getbit("b", 5000), 0);
    equal(await r.bitcount("b"), 2);
    equal(await r.bitcount("b", 0, 0), 1);
    equal(await r.strlen("b"), 13);
  },

  async ranges(r) {
    await r.set("g", "Hello World");
    equal(await r.getrange("g", 0, 4), "Hello");
    equal(await r.getrange("g", -5, -1), "World");
    equal(await r.getrange("g", 50, 60), "");
    equal(await r.setrange("g", 6, "Redis"), 11);
    equal(await r.append("g", "!"), 12);
    equal(await r.get("g"), "Hello Redis!");
  },

  async connection(r, protocol) {
    const reply = await r.call("HELLO", String(protocol));
    ok(Array.isArray(reply) === (protocol === 2), "HELLO is a list in RESP2 and a map in RESP3");
    const hello = Array.isArray(reply)
      ? Object.fromEntries(numbers(reply.length / 2).map((i) => [reply[2 * i], reply[2 * i + 1]]))
      : reply;
    equal(hello.proto, protocol);
    for (const field of ["server", "version", "id", "mode", "role"]) ok(field in hello, field);
    equal(await r.ping(), "PONG");
    equal(await r.echo("hi"), "hi");
    equal(await r.client("SETNAME", "flow"), "OK");
    equal(await r.client("GETNAME"), "flow");
    equal(await r.client("ID"), hello.id);
  },

  async server(r, protocol) {
    const limits = await r.config("GET", "maxmemory");
    const value = protocol === 2 ? limits[limits.indexOf("maxmemory") + 1] : limits.maxmemory;
    ok(Number(value) >= 0, `CONFIG GET gave ${JSON.stringify(limits)}`);
    const info = await r.info();
    const field = (name) => new RegExp(`^${name}:(.*)\\r$`, "m").exec(info)?.[1];
    ok(field("redis_version"), "INFO redis_version");
    equal(field("tcp_port"), String(r.options.port));
    ok(Number(field("uptime_in_seconds")) >= 0, "INFO uptime_in_seconds");
    const keys = /^db0:keys=(\d+),/m.exec(await r.info("keyspace"))?.[1];
    equal(Number(keys), await r.dbsize());
  },

  async databases(r) {
    const before = await r.dbsize();
    ok(before > KEYS, "DBSIZE");
    equal(await r.select(1), "OK");
    equal(await r.dbsize(), 0);
    await r.set("only", "here");
    equal(await r.dbsize(), 1);
    equal(await r.flushdb(), "OK");
    equal(await r.dbsize(), 0);
    equal(await r.select(0), "OK");
    equal(await r.dbsize(), before);
    await assert.rejects(r.select(1_000_000), /out of range/);
  },

  async large(r) {
    const value = Buffer.alloc(BIG, "0123456789abcdef");
    value[BIG - 1] = 0;
    equal(await r.set("big", value), "OK");
    equal(await r.strlen("big"), BIG);
    ok(value.equals(await r.getBuffer("big")), "the large value came back changed");
    equal(await r.getrange("big", BIG - 2, -1), "e\0");
    equal(await r.unlink("big"), 1);
  },
};

async function flow(host, port, protocol) {
  const maps = protocol === 3 ? { replyMapping: "resp3" } : {};
  const retries = { retryStrategy: null, maxRetriesPerRequest: 0 };
  const r = new Redis({ host, port, protocol, ...maps, ...retries });
  await r.flushdb();
  for (const [name, step] of Object.entries(steps)) {
    console.log(`RESP${protocol} ${name}`);
    await step(r, protocol);
  }
  equal(await r.quit(), "OK");
}

const [host, port] = process.argv.slice(2);
for (const protocol of [2, 3]) await flow(host, Number(port), protocol);
