// BullMQ against a server: flow.mjs HOST PORT.
//
// Promises that job queues work as BullMQ says: adding in bulk, eight workers at a time, delays, repetition, priorities, a
// limited rate, retries, jobs whose worker has stalled, and parents that wait for their children. Every job is done exactly
// once. Prints each step and the jobs per second; any surprise throws. Exits with 77 where there are no scripts.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { FlowProducer, Queue, QueueEvents, Worker } from "bullmq";
import { Redis } from "ioredis";

const equal = assert.deepEqual;
const ok = assert.ok;
const [host, port] = process.argv.slice(2);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const JOBS = 4000;
const WORKERS = 8;
const CONCURRENCY = 16;
const numbers = (count) => Array.from({ length: count }, (_, i) => i);
const open = new Set();

function keep(thing) {
  open.add(thing);
  thing.on("error", (error) => {
    if (!thing.closing) throw error;
  });
  return thing;
}

const queueOf = (name) => keep(new Queue(name, { connection }));
const workerOf = (name, body, options = {}) => keep(new Worker(name, body, { connection, ...options }));

async function close(...things) {
  await Promise.all(things.map((thing) => thing.close()));
  things.forEach((thing) => open.delete(thing));
}

async function until(condition, what, seconds = 20) {
  const deadline = Date.now() + 1000 * seconds;
  while (!(await condition())) {
    ok(Date.now() < deadline, `not within ${seconds} s: ${what}`);
    await pause(10);
  }
}

const steps = {
  async throughput() {
    const queue = queueOf("throughput");
    const started = performance.now();
    for (let from = 0; from < JOBS; from += 500)
      await queue.addBulk(numbers(500).map((i) => ({ name: "job", data: { number: from + i } })));
    const added = performance.now();
    const done = new Map();
    const workers = numbers(WORKERS).map(() => workerOf("throughput", async (job) => {
      done.set(job.data.number, (done.get(job.data.number) ?? 0) + 1);
      return job.data.number * 2;
    }, { concurrency: CONCURRENCY }));
    await until(async () => done.size === JOBS && (await queue.getCompletedCount()) === JOBS, "all jobs are done", 50);
    const ended = performance.now();
    ok([...done.values()].every((count) => count === 1), "a job was done twice");
    equal((await queue.getCompleted(0, 0))[0].returnvalue % 2, 0);
    console.log(`BullMQ: ${Math.round(JOBS / (added - started) * 1000)} jobs added and ` +
      `${Math.round(JOBS / (ended - added) * 1000)} done per second by ${WORKERS} workers`);
    await close(queue, ...workers);
  },

  async addAndDoAtTheSameTime() {
    const queue = queueOf("both");
    const seen = new Set();
    const workers = numbers(WORKERS).map(() => workerOf("both", async (job) => {
      ok(!seen.has(job.id), `job ${job.id} was done twice`);
      seen.add(job.id);
    }));
    await Promise.all(numbers(400).map((i) => queue.add("job", { i })));
    await until(async () => (await queue.getCompletedCount()) === 400, "all jobs are done");
    equal(seen.size, 400);
    await close(queue, ...workers);
  },

  async results() {
    const queue = queueOf("results");
    const events = keep(new QueueEvents("results", { connection }));
    await events.waitUntilReady();
    const worker = workerOf("results", async (job) => {
      if (job.data.fails) throw new Error("as it should");
      await job.updateProgress(50);
      return { sum: job.data.a + job.data.b };
    });
    const good = await queue.add("good", { a: 1, b: 2 });
    equal(await good.waitUntilFinished(events, 10000), { sum: 3 });
    const bad = await queue.add("bad", { fails: true });
    await assert.rejects(bad.waitUntilFinished(events, 10000), /as it should/);
    equal(await bad.getState(), "failed");
    await close(worker, events, queue);
  },

  async delays() {
    const queue = queueOf("delays");
    const order = [];
    const worker = workerOf("delays", async (job) => void order.push([job.data, Date.now() - job.timestamp]));
    await Promise.all([600, 200, 400].map((delay) => queue.add("job", delay, { delay })));
    equal(await queue.getDelayedCount(), 3);
    await until(() => order.length === 3, "the delays are over");
    equal(order.map(([delay]) => delay), [200, 400, 600]);
    ok(order.every(([delay, took]) => took >= delay - 5), `too early: ${JSON.stringify(order)}`);
    await close(worker, queue);
  },

  async repetition() {
    const queue = queueOf("repetition");
    let count = 0;
    const worker = workerOf("repetition", async () => void count++);
    await queue.upsertJobScheduler("often", { every: 100 }, { name: "job", data: 1 });
    await until(() => count >= 4, "it was repeated");
    equal((await queue.getJobSchedulers()).length, 1);
    ok(await queue.removeJobScheduler("often"));
    equal((await queue.getJobSchedulers()).length, 0);
    await close(worker, queue);
  },

  async priorities() {
    const queue = queueOf("priorities");
    const order = [];
    for (const priority of [5, 1, 3, 2, 4]) await queue.add("job", priority, { priority });
    await queue.add("job", 0);
    const worker = workerOf("priorities", async (job) => void order.push(job.data));
    await until(() => order.length === 6, "all jobs are done");
    equal(order, [0, 1, 2, 3, 4, 5]);
    await close(worker, queue);
  },

  async rate() {
    const queue = queueOf("rate");
    const times = [];
    await queue.addBulk(numbers(12).map((data) => ({ name: "job", data })));
    const options = { limiter: { max: 4, duration: 300 } };
    const workers = numbers(3).map(() => workerOf("rate", async () => void times.push(Date.now()), options));
    await until(() => times.length === 12, "all jobs are done");
    ok(times[11] - times[0] >= 550, `12 jobs took ${times[11] - times[0]} ms`);
    await close(queue, ...workers);
  },

  async retries() {
    const queue = queueOf("retries");
    let tries = 0;
    const worker = workerOf("retries", async () => {
      if (++tries < 3) throw new Error("not yet");
    });
    const job = await queue.add("job", 1, { attempts: 5, backoff: { type: "exponential", delay: 20 } });
    await until(async () => (await job.getState()) === "completed", "the third try is good");
    equal(tries, 3);
    await close(worker, queue);
  },

  async stalled() {
    const queue = queueOf("stalled");
    const options = { lockDuration: 300, stalledInterval: 200 };
    let isLost = false;
    const lost = workerOf("stalled", () => new Promise(() => (isLost = true)), { ...options, skipLockRenewal: true, skipStalledCheck: true });
    const job = await queue.add("job", 1);
    await until(() => isLost, "the first worker has it");
    let count = 0;
    const other = workerOf("stalled", async () => void count++, options);
    await until(async () => (await job.getState()) === "completed", "another worker does it");
    equal(count, 1);
    await other.close();
    await lost.close(true);
    [other, lost].forEach((worker) => open.delete(worker));
    await close(queue);
  },

  async families() {
    const producer = keep(new FlowProducer({ connection }));
    const queues = ["parents", "children"].map(queueOf);
    const children = workerOf("children", async (job) => job.data + 1, { concurrency: 4 });
    const parents = workerOf("parents", async (job) =>
      Object.values(await job.getChildrenValues()).reduce((sum, value) => sum + value, 0));
    const tree = await producer.add({ name: "sum", queueName: "parents",
      children: numbers(20).map((data) => ({ name: "part", queueName: "children", data })) });
    await until(async () => (await tree.job.getState()) === "completed", "the parent is done");
    const found = await queues[0].getJob(tree.job.id);
    equal(found.returnvalue, 210);
    await close(children, parents, producer, ...queues);
  },

  async housekeeping() {
    const queue = queueOf("housekeeping");
    await queue.addBulk(numbers(100).map((data) => ({ name: "job", data })));
    await queue.pause();
    ok(await queue.isPaused());
    equal((await queue.getJobs(["paused", "waiting"])).length, 100);
    await queue.resume();
    await (await queue.getJobs(["waiting"], 0, 0))[0].remove();
    equal(await queue.getWaitingCount(), 99);
    await queue.drain();
    equal(await queue.getWaitingCount(), 0);
    await queue.obliterate({ force: true });
    await close(queue);
  },
};

async function hasScripts() {
  const probe = new Redis(connection);
  const [row] = await probe.command("INFO", "evalsha");
  await probe.quit();
  return row !== null;
}

if (!(await hasScripts())) {
  console.log("needs EVAL");
  process.exit(77);
}
for (const [name, step] of Object.entries(steps)) {
  console.log(`RESP2 ${name}`);
  await step();
}
equal(open.size, 0);
process.exit(0);
