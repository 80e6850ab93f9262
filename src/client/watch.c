/* client/watch.c: the optimistic transaction: watch, read, write if nobody else did, else again. */
#include "base/macros.h"
#include "client/handle.h"
#include "roan/lease.h"

#include <stdlib.h>
#include <string.h>

#define TRIES_DEFAULT 16

/* The wait before the next try is random, up to a bound that doubles from WAIT_FIRST_US: who collided shall not collide
 * again. */
#define WAIT_FIRST_US 100u
#define WAIT_DOUBLINGS_MAX 9u

static void wait_for_others(roan *client, unsigned tries)
{
    const roan_transport *transport = client->transport;
    uint64_t bound_us = (uint64_t)WAIT_FIRST_US << ROAN_MIN(tries - 1, WAIT_DOUBLINGS_MAX);

    transport->wait(transport->state, NULL, 0, -1, (int64_t)(transport->random(transport->state) % bound_us) + 1);
}

/* Leaves nothing watched. The failure that the caller shall see stays the thread's last one. */
static void unwatch(roan *own)
{
    static const roan_slice words[] = {{"UNWATCH", 7}};
    roan_failure last = *roan_last_failure();

    ROAN_IGNORE(roan_do(own, 1, words, NULL, NULL)); /* if it fails the connection stays dirty */
    *roan_failure_of_thread() = last;
}

/* What stays the same from try to try. */
typedef struct attempt {
    roan *own;
    size_t argc;
    roan_slice *words; /* WATCH key ... */
    roan_watch_fn fn;
    void *argument;
} attempt;

/* *ret_again: somebody else has changed a key. */
static roan_status try_once(const attempt *what, roan_value **ret_replies, bool *ret_again)
{
    roan *own = what->own;
    roan_status status = roan_do(own, what->argc, what->words, NULL, NULL);
    roan_batch *batch;

    *ret_again = false;
    if (status != ROAN_OK)
        return status;
    batch = roan_batch_create(own, true);
    if (batch == NULL) {
        unwatch(own);
        return roan_fail(ROAN_E_NOMEM, "out of memory");
    }
    status = what->fn(own, batch, what->argument);
    if (status != ROAN_OK) {
        roan_batch_free(batch);
        unwatch(own);
        return status;
    }
    if (roan_batch_count(batch) == 0) { /* or its first command was refused, which running it tells */
        unwatch(own);
        return roan_batch_run(batch, ret_replies, NULL);
    }
    status = roan_batch_run(batch, ret_replies, NULL);
    if (status == ROAN_E_USAGE || status == ROAN_E_NOMEM)
        unwatch(own);
    *ret_again = status == ROAN_E_ABORTED;
    return status;
}

static roan_status try_often(const attempt *what, int max_tries, roan_value **ret_replies)
{
    for (unsigned tries = 1;; tries++) {
        bool again;
        roan_status status = try_once(what, ret_replies, &again);
        if (!again)
            return status;
        if (tries >= (unsigned)max_tries) {
            roan_failure *failure = roan_failure_of_thread();
            failure->attempts = tries;
            return status;
        }
        wait_for_others(what->own, tries);
    }
}

roan_status roan_watch(roan *client, const roan_slice *keys, size_t count, int max_tries, roan_watch_fn fn,
                       void *argument, roan_value **ret_replies)
{
    attempt what = {.own = client, .argc = count + 1, .fn = fn, .argument = argument};
    roan_lease *lease = NULL;
    roan_status status = ROAN_OK;

    if (ret_replies != NULL)
        *ret_replies = NULL;
    if (roan_is_in_callback())
        return roan_fail(ROAN_E_USAGE, "a synchronous call from inside a callback would wait for itself");
    if (count == 0)
        return roan_fail(ROAN_E_USAGE, "there are no keys to watch");
    what.words = malloc((count + 1) * sizeof *what.words);
    if (what.words == NULL)
        return roan_fail(ROAN_E_NOMEM, "out of memory");
    what.words[0] = ROAN_LITERAL("WATCH");
    memcpy(what.words + 1, keys, count * sizeof *keys);
    if (client == client->root)
        status = roan_lease_take(client, &lease, 0);
    if (lease != NULL)
        what.own = roan_lease_client(lease);
    if (status == ROAN_OK)
        status = try_often(&what, max_tries > 0 ? max_tries : TRIES_DEFAULT, ret_replies);
    roan_lease_return(lease);
    free(what.words);
    return status;
}
