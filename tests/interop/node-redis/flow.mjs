// node-redis against a server: flow.mjs HOST PORT.
//
// Promises that strings, keys, bits, pipelines, errors and the connection and server commands
// behave as node-redis expects, once over RESP2 and once over RESP3, and that commands sent
// without waiting are answered in order. Prints each step; any surprise throws.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { createClient, RESP_TYPES } from "redis";

const BYTES = Buffer.from(Array.from({ length: 1024 }, (_, i) => i % 256));
const KEYS = 1000;
const BATCH = 500;
const BIG = 5 * 1024 * 1024;

const equal = assert.deepEqual;
const ok = assert.ok;
const numbers = (count) => Array.from({ length: count }, (_, i) => i);
const isTtl = (value, max) => ok(value > 0 && value <= max, `TTL ${value}, want at most ${max}`);
const buffers = (r) => r.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });

async function waitUntilGone(r, key) {
  const deadline = Date.now() + 5000;
  while ((await r.get(key)) !== null) {
    ok(Date.now() < deadline, `${key} does not expire`);
    await pause(10);
  }
}

async function scanned(r, options) {
  const found = new Set();
  for await (const keys of r.scanIterator(options)) keys.forEach((key) => found.add(key));
  return found;
}

const steps = {
  async strings(r) {
    equal(await r.set("s", "one"), "OK");
    equal(await r.get("s"), "one");
    equal(await r.get("absent"), null);
    equal(await r.set("s", "two", { condition: "NX" }), null);
    equal(await r.set("s", "two", { condition: "XX" }), "OK");
    equal(await r.set("s", "three", { GET: true }), "two");
    equal(await r.set("s", "four", { expiration: { type: "EX", value: 100 } }), "OK");
    equal(await r.set("s", "five", { expiration: "KEEPTTL" }), "OK");
    isTtl(await r.ttl("s"), 100);
    equal(await r.set("s", "six"), "OK");
    equal(await r.ttl("s"), -1);
    equal(await r.getEx("s", { type: "EX", value: 50 }), "six");
    isTtl(await r.ttl("s"), 50);
    equal(await r.getDel("s"), "six");
    equal(await r.exists("s"), 0);
    equal(await r.setNX("n", "v"), 1);
    equal(await r.type("n"), "string");
  },

  async binary(r) {
    const key = Buffer.from("bin\r\n\x00\xff key", "latin1");
    equal(await r.set(key, BYTES), "OK");
    equal(await buffers(r).get(key), BYTES);
    equal(await r.strLen(key), BYTES.length);
    equal(await r.set("empty", ""), "OK");
    equal(await r.get("empty"), "");
  },

  async counters(r) {
    equal(await r.incr("c"), 1);
    equal(await r.incrBy("c", 41), 42);
    equal(await r.decr("c"), 41);
    equal(await r.decrBy("c", 50), -9);
    equal(await r.get("c"), "-9");
    equal(await r.incrByFloat("f", 1.5), "1.5");
    equal(await r.incrByFloat("f", 0.25), "1.75");
  },

  async manyKeys(r) {
    const names = numbers(50).map((i) => `m${i}`);
    equal(await r.mSet(Object.fromEntries(names.map((name, i) => [name, `v${i}`]))), "OK");
    equal(await r.mGet([...names, "absent"]), [...numbers(50).map((i) => `v${i}`), null]);
    equal(await r.mSetNX({ m0: "x", fresh: "x" }), 0);
    equal(await r.exists("fresh"), 0);
  },

  async expiry(r) {
    await r.set("e", "v");
    equal(await r.ttl("e"), -1);
    equal(await r.ttl("absent"), -2);
    equal(await r.expire("e", 100), 1);
    isTtl(await r.ttl("e"), 100);
    isTtl(await r.pTTL("e"), 100_000);
    equal(await r.expire("absent", 100), 0);
    equal(await r.persist("e"), 1);
    equal(await r.ttl("e"), -1);
    equal(await r.pExpire("e", 20), 1);
    await waitUntilGone(r, "e");
    await r.set("e", "v", { expiration: { type: "PX", value: 20 } });
    await waitUntilGone(r, "e");
  },

  async removal(r) {
    await r.mSet({ d1: "1", d2: "2", d3: "3" });
    equal(await r.exists(["d1", "d2", "d3", "d4"]), 3);
    equal(await r.del(["d1", "d4"]), 1);
    equal(await r.unlink(["d2", "d3", "d4"]), 2);
    equal(await r.exists(["d1", "d2", "d3"]), 0);
  },

  async scan(r) {
    const want = new Set(numbers(KEYS).map((i) => `scan:${i}`));
    await r.mSet([...want].map((key) => [key, "v"]));
    await r.set("other", "v");
    const all = await scanned(r, { COUNT: 50 });
    ok(all.has("other") && [...want].every((key) => all.has(key)), "SCAN lost keys");
    equal(await scanned(r, { MATCH: "scan:*", COUNT: 50 }), want);
    equal(await scanned(r, { MATCH: "scan:*", TYPE: "string" }), want);
  },

  async pipelines(r) {
    const pipe = r.multi();
    numbers(BATCH).forEach((i) => pipe.set(`p${i}`, `${i}`).incr("total").get(`p${i}`));
    equal(await pipe.execAsPipeline(), numbers(BATCH).flatMap((i) => ["OK", i + 1, `${i}`]));
    equal(await Promise.all(numbers(BATCH).map((i) => r.get(`p${i}`))), numbers(BATCH).map(String));
  },

  async errors(r) {
    await r.set("word", "abc");
    await assert.rejects(r.incr("word"), /ERR .*not an integer/);
    await assert.rejects(r.sendCommand(["NOSUCHCOMMAND", "x"]), /unknown command.*NOSUCHCOMMAND/i);
    await assert.rejects(r.sendCommand(["GET"]), /wrong number of arguments/);
    await assert.rejects(r.sendCommand(["SET", "a", "b", "NOSUCHOPTION"]), /syntax error/);
    const replies = await Promise.allSettled([r.get("word"), r.incr("word"), r.get("word")]);
    equal(replies.map((reply) => reply.status), ["fulfilled", "rejected", "fulfilled"]);
    equal([replies[0].value, replies[2].value], ["abc", "abc"]);
  },

  async bits(r) {
    equal(await r.setBit("b", 7, 1), 0);
    equal(await r.setBit("b", 7, 1), 1);
    equal(await r.setBit("b", 100, 1), 0);
    equal(await r.getBit("b", 7), 1);
    equal(await r.getBit("b", 8), 0);
    equal(await r.getBit("b", 5000), 0);
    equal(await r.bitCount("b"), 2);
    equal(await r.bitCount("b", { start: 0, end: 0 }), 1);
    equal(await r.strLen("b"), 13);
  },

  async ranges(r) {
    await r.set("g", "Hello World");
    equal(await r.getRange("g", 0, 4), "Hello");
    equal(await r.getRange("g", -5, -1), "World");
    equal(await r.getRange("g", 50, 60), "");
    equal(await r.setRange("g", 6, "Redis"), 11);
    equal(await r.append("g", "!"), 12);
    equal(await r.get("g"), "Hello Redis!");
  },

  async connection(r, protocol) {
    const hello = await r.hello(protocol);
    equal(hello.proto, protocol);
    for (const field of ["server", "version", "id", "mode", "role"]) ok(field in hello, field);
    equal(await r.ping(), "PONG");
    equal(await r.echo("hi"), "hi");
    equal(await r.clientSetName("flow"), "OK");
    equal(await r.clientGetName(), "flow");
    equal(await r.clientId(), hello.id);
  },

  async server(r) {
    const limits = await r.configGet("maxmemory");
    ok(Number(limits.maxmemory) >= 0, `CONFIG GET gave ${JSON.stringify(limits)}`);
    const info = await r.info();
    const field = (name) => new RegExp(`^${name}:(.*)\\r$`, "m").exec(info)?.[1];
    ok(field("redis_version"), "INFO redis_version");
    equal(field("tcp_port"), String(r.options.socket.port));
    ok(Number(field("uptime_in_seconds")) >= 0, "INFO uptime_in_seconds");
    const keys = /^db0:keys=(\d+),/m.exec(await r.info("keyspace"))?.[1];
    equal(Number(keys), await r.dbSize());
  },

  async databases(r) {
    const before = await r.dbSize();
    ok(before > KEYS, "DBSIZE");
    await r.select(1);
    equal(await r.dbSize(), 0);
    await r.set("only", "here");
    equal(await r.dbSize(), 1);
    equal(await r.flushDb(), "OK");
    equal(await r.dbSize(), 0);
    await r.select(0);
    equal(await r.dbSize(), before);
    await assert.rejects(r.sendCommand(["SELECT", "1000000"]), /out of range/);
  },

  async large(r) {
    const value = Buffer.alloc(BIG, "0123456789abcdef");
    value[BIG - 1] = 0;
    equal(await r.set("big", value), "OK");
    equal(await r.strLen("big"), BIG);
    ok(value.equals(await buffers(r).get("big")), "the large value came back changed");
    equal(await r.getRange("big", BIG - 2, -1), "e\0");
    equal(await r.unlink("big"), 1);
  },
};

async function flow(host, port, protocol) {
  const r = createClient({ socket: { host, port, reconnectStrategy: false }, RESP: protocol });
  let fault = null;
  r.on("error", (error) => { fault = error; });
  await r.connect();
  await r.flushDb();
  for (const [name, step] of Object.entries(steps)) {
    console.log(`RESP${protocol} ${name}`);
    await step(r, protocol);
  }
  await r.close();
  assert.ifError(fault);
}

const [host, port] = process.argv.slice(2);
for (const protocol of [2, 3]) await flow(host, Number(port), protocol);
