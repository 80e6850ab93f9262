// Client-side caches with ioredis against a server: flow.mjs HOST PORT.
//
// Promises that a cache that drops what it is told to drop never shows an old value for long while others write, and shows
// the true ones when they have stopped. With default tracking, BCAST with prefixes, OPTIN and NOLOOP; invalidations come to a
// second connection (RESP2, REDIRECT). Prints each step and the reads per second. Exits with 77 where there is no tracking.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";

const equal = assert.deepEqual;
const ok = assert.ok;
const [host, port] = process.argv.slice(2);
const options = { host, port: Number(port), protocol: 2, retryStrategy: null, maxRetriesPerRequest: 0, enableReadyCheck: false };
const KEYS = 20;
const SECONDS = 2;
const LATE_MS = 2000;
const numbers = (count) => Array.from({ length: count }, (_, i) => i);

// A connection for reads, one for invalidations, and the cache between them.
class Cache {
  reads = new Redis(options);
  news = new Redis(options);
  values = new Map(); // key -> {value, isSure}; it is not sure while the answer is under way
  told = new Set();

  async open(...words) {
    this.news.on("messageBuffer", (_, keys) => this.drop(keys)); // null: everything
    const id = await this.news.client("ID");
    await this.news.subscribe("__redis__:invalidate");
    equal(await this.reads.call("CLIENT", "TRACKING", "ON", "REDIRECT", id, ...words), "OK");
    this.isOptin = words.includes("OPTIN");
    return this;
  }

  drop(keys) {
    if (keys === null) this.values.clear();
    for (const key of keys ?? []) {
      this.told.add(String(key));
      this.values.delete(String(key));
    }
  }

  async get(key) {
    const cached = this.values.get(key);
    if (cached?.isSure) return cached.value;
    const fresh = { isSure: false };
    this.values.set(key, fresh);
    const answers = this.isOptin
      ? await Promise.all([this.reads.call("CLIENT", "CACHING", "YES"), this.reads.get(key)])
      : [await this.reads.get(key)];
    Object.assign(fresh, { isSure: true, value: answers.at(-1) }); // dropped meanwhile: nobody finds it
    return fresh.value;
  }

  async close() {
    await this.reads.call("CLIENT", "TRACKING", "OFF");
    await Promise.all([this.reads.quit(), this.news.quit()]);
  }
}

async function until(condition, what) {
  const deadline = Date.now() + 5000;
  while (!condition()) {
    ok(Date.now() < deadline, `not within 5 s: ${what}`);
    await pause(5);
  }
}

async function race(name, ...words) {
  const cache = await new Cache().open(...words);
  const writers = numbers(4).map(() => new Redis(options));
  const keys = numbers(KEYS).map((i) => `count:${i}`);
  const written = new Map(keys.map((key) => [key, []]));
  const end = Date.now() + 1000 * SECONDS;
  let reads = 0;
  async function write(writer) {
    while (Date.now() < end) {
      const key = keys[Math.floor(Math.random() * KEYS)];
      const value = await writer.incr(key);
      written.get(key).push([Date.now(), value]);
      if (Math.random() < 0.5) await pause(1);
    }
  }
  async function read() {
    while (Date.now() < end) {
      for (const key of keys) {
        const value = Number(await cache.get(key));
        const list = written.get(key);
        while (list.length > 1 && list[1][0] < Date.now() - LATE_MS) list.shift();
        if (list.length > 0 && list[0][0] < Date.now() - LATE_MS)
          ok(value >= list[0][1], `${key} is still ${value}, though it was ${list[0][1]} ${LATE_MS} ms ago`);
        reads++;
      }
      await pause(0);
    }
  }
  await Promise.all([...writers.map(write), read(), read()]);
  const answers = await writers[0].mget(keys);
  await until(() => keys.every((key, i) => !cache.values.get(key)?.isSure || cache.values.get(key).value === answers[i]),
    "the cache is right when all writing has ended");
  ok(cache.told.size > KEYS / 2, `only ${cache.told.size} keys were invalidated`);
  console.log(`tracking, ${name}: ${Math.round(reads / SECONDS)} reads per second`);
  await Promise.all([cache.close(), ...writers.map((writer) => writer.quit())]);
}

const steps = {
  default: () => race("default"),
  broadcast: () => race("BCAST", "BCAST", "PREFIX", "count:"),
  optin: () => race("OPTIN", "OPTIN"),

  async prefixes() {
    const cache = await new Cache().open("BCAST", "PREFIX", "a:", "PREFIX", "b:");
    const writer = new Redis(options);
    for (const key of ["a:1", "c:1", "b:1"]) await writer.set(key, 1);
    await until(() => cache.told.size === 2, "two keys");
    equal(cache.told, new Set(["a:1", "b:1"]));
    await Promise.all([cache.close(), writer.quit()]);
  },

  async noloop() {
    const cache = await new Cache().open("NOLOOP");
    const writer = new Redis(options);
    await writer.mset("own", 1, "others", 1);
    equal([await cache.get("own"), await cache.get("others")], ["1", "1"]);
    await cache.reads.set("own", 2);
    await writer.set("others", 2);
    await until(() => cache.told.has("others"), "what others change");
    ok(!cache.told.has("own"), "its own change was told");
    await Promise.all([cache.close(), writer.quit()]);
  },

  async expiryAndFlush() {
    const cache = await new Cache().open();
    const writer = new Redis(options);
    await writer.set("short", 1, "PX", 50);
    equal(await cache.get("short"), "1");
    await until(() => cache.told.has("short"), "an expiry");
    await writer.set("long", 1);
    equal(await cache.get("long"), "1");
    await writer.flushall();
    await until(() => cache.values.size === 0, "a flush");
    await Promise.all([cache.close(), writer.quit()]);
  },
};

const probe = new Redis(options);
const [row] = await probe.call("COMMAND", "INFO", "client|tracking");
if (row === null) {
  console.log("needs CLIENT TRACKING");
  process.exit(77);
}
for (const [name, step] of Object.entries(steps)) {
  await probe.flushall();
  console.log(`RESP2 ${name}`);
  await step();
}
equal(await probe.quit(), "OK");
