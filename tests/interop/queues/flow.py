"""Job queues and locks in Python against a server: flow.py HOST PORT.

Promises that a reliable queue in the manner of Sidekiq (BRPOPLPUSH and LMOVE into a list of work in progress) gives each job
out exactly once even when workers die, that locks exclude (SET NX PX with a token, released by a script or by WATCH), and
that RQ runs, fails, delays and chains its jobs. Prints each step and the jobs per second; any surprise raises.
"""

import sys
import threading
import time
import uuid

import redis
import rq
from rq.job import Job

import tasks

JOBS = 6000
WORKERS = 8
LOCK_ROUNDS = 40
RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {str(got)[:200]!r}, want {str(want)[:200]!r}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)


def in_threads(count, body):
    """Runs body(number) in threads; raises what one of them raised."""
    problems = []

    def run(number):
        try:
            body(number)
        except BaseException as problem:  # noqa: B902
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    true(not any(thread.is_alive() for thread in threads), "a worker hangs")
    if problems:
        raise problems[0]


def has(r, command):
    try:
        return bool(r.execute_command("COMMAND", "INFO", command))
    except TypeError:  # the library does not expect a null there
        return False


# -- a queue of lists ---------------------------------------------------------------------------

def reliable(r, take):
    """take(connection, private list): the next job, or None after a while."""
    done, lock = {}, threading.Lock()
    started = time.monotonic()

    def work(number):
        mine = f"progress:{number}"
        with r.client() as one:
            while len(done) < JOBS:
                job = take(one, mine)
                if job is None:
                    continue
                with lock:
                    done[job] = done.get(job, 0) + 1
                equal(one.lrem(mine, -1, job), 1)

    def produce():
        for start in range(0, JOBS, 100):
            r.lpush("queue", *[f"job:{i}" for i in range(start, start + 100)])

    producer = threading.Thread(target=produce)
    producer.start()
    in_threads(WORKERS, work)
    producer.join()
    secs = time.monotonic() - started
    equal(len(done), JOBS)
    true(set(done.values()) == {1}, "a job was done twice")
    equal(r.exists("queue", *[f"progress:{i}" for i in range(WORKERS)]), 0)
    return JOBS / secs


def brpoplpush(r):
    speed = reliable(r, lambda one, mine: one.brpoplpush("queue", mine, 1))
    print(f"BRPOPLPUSH: {speed:.0f} jobs per second by {WORKERS} workers", flush=True)


def blmove(r):
    speed = reliable(r, lambda one, mine: one.blmove("queue", mine, 1, "RIGHT", "LEFT"))
    print(f"BLMOVE: {speed:.0f} jobs per second by {WORKERS} workers", flush=True)


def recovery(r):
    """Workers that died: their work goes back to the queue, in order."""
    r.lpush("queue", *range(10))
    for i in range(3):
        equal(r.lmove("queue", f"progress:{i}", "RIGHT", "LEFT"), b"%d" % i)
    for i in (2, 1, 0):
        true(r.lmove(f"progress:{i}", "queue", "LEFT", "RIGHT") is not None, "LMOVE")
    equal([r.rpop("queue") for _ in range(10)], [b"%d" % i for i in range(10)])


def scheduled(r):
    """Delayed jobs: a sorted set, moved in a transaction."""
    now = time.time()
    r.zadd("schedule", {f"late:{i}": now + 0.01 * i for i in range(100)})

    def poll(_):
        while r.zcard("schedule"):
            with r.pipeline() as pipe:
                try:
                    pipe.watch("schedule")
                    due = pipe.zrange("schedule", 0, time.time(), byscore=True, offset=0, num=5)
                    pipe.multi()
                    if due:
                        pipe.zrem("schedule", *due).lpush("queue", *due)
                    pipe.execute()
                except redis.WatchError:
                    pass

    in_threads(4, poll)
    equal(sorted(r.lrange("queue", 0, -1)), sorted(b"late:%d" % i for i in range(100)))
    r.delete("queue")


# -- locks --------------------------------------------------------------------------------------

def release_watched(r, name, token):
    with r.pipeline() as pipe:
        try:
            pipe.watch(name)
            if pipe.get(name) != token:
                return False
            pipe.multi()
            pipe.delete(name)
            return pipe.execute() == [1]
        except redis.WatchError:
            return False


def exclude(r, release):
    """Under the lock a counter is read and written without any other care."""
    r.set("counter", 0)

    def work(_):
        for _ in range(LOCK_ROUNDS):
            token = uuid.uuid4().hex.encode()
            while not r.set("lock", token, nx=True, px=5000):
                time.sleep(0.0005)
            r.set("counter", int(r.get("counter")) + 1)
            true(release("lock", token), "the lock was lost")

    in_threads(WORKERS, work)
    equal(r.get("counter"), b"%d" % (WORKERS * LOCK_ROUNDS))


def locks(r):
    exclude(r, lambda name, token: release_watched(r, name, token))
    if not has(r, "EVAL"):
        print("locks that are released by scripts: needs EVAL", flush=True)
        return
    exclude(r, lambda name, token: r.eval(RELEASE, 1, name, token) == 1)
    r.set("counter", 0)

    def work(_):
        for _ in range(LOCK_ROUNDS):
            with r.lock("library", timeout=5, sleep=0.001):
                r.set("counter", int(r.get("counter")) + 1)

    in_threads(WORKERS, work)
    equal(r.get("counter"), b"%d" % (WORKERS * LOCK_ROUNDS))
    lock = r.lock("short", timeout=0.05)
    true(lock.acquire(), "the lock is free")
    true(r.lock("short").acquire(blocking_timeout=2), "a lock whose owner died ends")


# -- RQ -----------------------------------------------------------------------------------------

def rq_jobs(r):
    if not has(r, "EVALSHA"):
        print("RQ: needs EVAL", flush=True)
        return
    queue = rq.Queue("work", connection=r)
    started = time.monotonic()
    jobs = [queue.enqueue(tasks.add, i, 1) for i in range(200)]
    after = queue.enqueue(tasks.add, 20, 22, depends_on=jobs[-1])
    bad = queue.enqueue(tasks.fail)
    equal(after.get_status(), "deferred")
    rq.SimpleWorker([queue], connection=r).work(burst=True, logging_level="FATAL")
    secs = time.monotonic() - started
    equal([job.return_value() for job in jobs], [i + 1 for i in range(200)])
    equal(Job.fetch(after.id, connection=r).return_value(), 42)
    equal(Job.fetch(bad.id, connection=r).get_status(), "failed")
    equal(queue.failed_job_registry.get_job_ids(), [bad.id])
    equal(queue.count, 0)
    print(f"RQ: {len(jobs) / secs:.0f} jobs per second by one worker", flush=True)


def flow(host, port, protocol):
    with redis.Redis(host=host, port=port, protocol=protocol) as r:
        for step in (brpoplpush, blmove, recovery, scheduled, locks, rq_jobs):
            r.flushdb()
            print(f"RESP{protocol} {step.__name__}", flush=True)
            step(r)


if __name__ == "__main__":
    for version in (2, 3):
        flow(sys.argv[1], int(sys.argv[2]), version)
