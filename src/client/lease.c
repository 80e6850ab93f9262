/* client/lease.c: a link of the pool for one user, and what is done to a link that comes back with something on it.
 *
 * A lease is a handle whose root is the real one and whose link is its own. It owns the pool's grant of the link:
 *
 *     roan_pool_take --PING if idle for long--> lease --return: clean---------------> roan_pool_give
 *                                                    \-return: dirty, cleaned------/
 *                                                     \-dirty, or destroyed-------> roan_pool_destroy
 *
 * Cleaning is RESET and then the handshake again (RESET logs out and forgets protocol, database and name); where the
 * server has no RESET, what undoes each state. All of it within CLEANUP_US, or the link is destroyed.
 */
#include "roan/lease.h"

#include "base/macros.h"
#include "base/number.h"
#include "client/drive.h"
#include "client/handle.h"

#include <stdio.h>
#include <stdlib.h>

#define LEASE_MAGIC 0x6c656173u

/* How long a connection may take to answer the PING of a check, and for the whole of a cleanup. */
#define CHECK_US 1000000
#define CLEANUP_US 1000000

struct roan_lease {
    roan handle;
};

/* ---- commands of our own ---- */

static roan_future *prepare_own(roan *root, size_t argc, const roan_slice *argv, int64_t until_us)
{
    roan_future *future = roan_future_create_internal(root, argc, argv, until_us);

    if (!roan_future_is_static(future) && !roan_future_encode(future, argc, argv))
        return roan_future_refuse(future, ROAN_E_NOMEM, "out of memory");
    return future;
}

static roan_status run_own(roan_link *link, roan_future *future, roan_value **ret_reply, roan_failure *ret_failure)
{
    if (!roan_is_settled(future))
        roan_link_run(link, future);
    return roan_take(future, ret_reply, ret_failure);
}

static roan_status command(roan_link *link, size_t argc, const roan_slice *argv, int64_t until_us,
                           roan_failure *ret_failure)
{
    return run_own(link, prepare_own(link->client->root, argc, argv, until_us), NULL, ret_failure);
}

/* ---- taking ---- */

static bool answers(roan *root, roan_link *link, int64_t until_us)
{
    static const roan_slice ping[] = {{"PING", 4}};
    roan_failure failure;
    int check_ms = root->settings->options.lease_check_idle_ms;
    int64_t now_us = roan_now_us(root);
    bool needs_check;

    pthread_mutex_lock(&link->lock);
    needs_check = link->state == ROAN_LINK_READY && check_ms >= 0 &&
                  now_us - link->idle_since_us >= (int64_t)check_ms * 1000; /* a new one is not ready yet */
    pthread_mutex_unlock(&link->lock);
    return !needs_check || command(link, 1, ping, ROAN_MIN(until_us, now_us + CHECK_US), &failure) == ROAN_OK;
}

static int64_t take_until_us(const roan *root, int timeout_ms)
{
    if (timeout_ms == 0)
        timeout_ms = root->settings->options.lease_timeout_ms;
    return timeout_ms < 0 ? ROAN_NO_DEADLINE : roan_now_us(root) + (int64_t)timeout_ms * 1000;
}

static void make_handle(roan *handle, roan *root, roan_link *link)
{
    handle->magic = LEASE_MAGIC;
    handle->fork_generation = root->fork_generation;
    handle->transport = root->transport;
    handle->settings = root->settings;
    handle->link = link;
    handle->root = root;
}

roan_status roan_lease_take(roan *client, roan_lease **ret_lease, int timeout_ms)
{
    roan *root = client->root;
    roan_lease *lease;
    roan_link *link;
    int64_t until_us;

    *ret_lease = NULL;
    if (roan_is_in_callback())
        return roan_fail(ROAN_E_USAGE, "a lease cannot be waited for inside a callback");
    roan_handle_check_fork(root);
    lease = calloc(1, sizeof *lease);
    if (lease == NULL)
        return roan_fail(ROAN_E_NOMEM, "out of memory");
    until_us = take_until_us(root, timeout_ms);
    for (;;) {
        roan_status status = roan_pool_take(root, until_us, &link, roan_failure_of_thread());
        if (status != ROAN_OK) {
            free(lease);
            return status;
        }
        if (answers(root, link, until_us))
            break;
        roan_pool_destroy(root, link);
    }
    make_handle(&lease->handle, root, link);
    *ret_lease = lease;
    return ROAN_OK;
}

roan *roan_lease_client(roan_lease *lease)
{
    return &lease->handle;
}

/* ---- cleaning ---- */

/* RESET has answered: logs in again, with everything else of a handshake. */
static bool shake_hands(roan *handle, int64_t until_us)
{
    roan_link *link = handle->link;
    roan_failure last = *roan_last_failure();
    roan_outcome outcome;
    int64_t left_us = until_us - roan_now_us(handle);
    bool is_ready;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    is_ready = link->state == ROAN_LINK_READY && link->head == NULL && left_us > 0;
    if (is_ready) {
        link->states = 0;
        link->connect_deadline_us = until_us;
        roan_link_handshake_begin(link, &outcome);
    }
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(handle, &outcome);
    is_ready = is_ready && roan_ready(handle, (int)(left_us / 1000) + 1) == ROAN_OK;
    *roan_failure_of_thread() = last;
    return is_ready;
}

/* Takes the confirmations of UNSUBSCRIBE, as many as there are, and messages. */
static bool swallow(roan_link *link, roan_value *value, roan_outcome *outcome)
{
    static const char *const kinds[] = {"unsubscribe", "punsubscribe", "message", "pmessage"};

    (void)link;
    (void)outcome;
    if ((value->type != ROAN_REPLY_ARRAY && value->type != ROAN_REPLY_PUSH) || value->count < 3)
        return false;
    for (size_t i = 0; i < ROAN_COUNT_OF(kinds); i++)
        if (roan_slice_is(value->elements[0].text, kinds[i])) {
            roan_value_free(value);
            return true;
        }
    return false;
}

/* Unsubscribes from everything and waits for the PING behind it. */
static bool unsubscribe(roan_link *link, int64_t until_us)
{
    static const roan_slice all[] = {{"UNSUBSCRIBE", 11}};
    static const roan_slice patterns[] = {{"PUNSUBSCRIBE", 12}};
    static const roan_slice ping[] = {{"PING", 4}};
    roan_future *future = prepare_own(link->client->root, 1, all, until_us);
    roan_value *reply = NULL;
    roan_failure failure;
    bool is_done;

    if (roan_future_is_static(future) || roan_is_settled(future) || !roan_future_encode(future, 1, patterns) ||
        !roan_future_encode(future, 1, ping)) {
        roan_drop(future);
        return false;
    }
    future->traits = roan_command_traits_find(1, ping);
    future->replies_due = 1; /* the others are swallowed */
    pthread_mutex_lock(&link->lock);
    link->on_push = swallow;
    pthread_mutex_unlock(&link->lock);
    is_done = run_own(link, future, &reply, &failure) == ROAN_OK && reply->type == ROAN_REPLY_STATUS;
    roan_value_free(reply);
    pthread_mutex_lock(&link->lock);
    link->on_push = NULL;
    pthread_mutex_unlock(&link->lock);
    return is_done;
}

#define STATES_WITH_UNDO ((uint32_t)(ROAN_STATE_MULTI | ROAN_STATE_WATCH | ROAN_STATE_DATABASE | ROAN_STATE_SUBSCRIBE))

/* For servers without RESET. */
static bool undo_each(roan_link *link, uint32_t states, int64_t until_us)
{
    static const roan_slice discard[] = {{"DISCARD", 7}};
    static const roan_slice unwatch[] = {{"UNWATCH", 7}};
    char number[16];
    roan_slice select[] = {{"SELECT", 6}, {number, 0}};
    roan_failure failure;
    bool is_clean = (states & ~STATES_WITH_UNDO) == 0;

    select[1].bytes = (size_t)snprintf(number, sizeof number, "%d", link->client->root->settings->options.database);
    if (is_clean && (states & ROAN_STATE_SUBSCRIBE) != 0)
        is_clean = unsubscribe(link, until_us);
    if (is_clean && (states & ROAN_STATE_MULTI) != 0)
        is_clean = command(link, 1, discard, until_us, &failure) == ROAN_OK;
    if (is_clean && (states & ROAN_STATE_WATCH) != 0)
        is_clean = command(link, 1, unwatch, until_us, &failure) == ROAN_OK;
    if (is_clean && (states & ROAN_STATE_DATABASE) != 0)
        is_clean = command(link, 2, select, until_us, &failure) == ROAN_OK;
    if (!is_clean)
        return false;
    pthread_mutex_lock(&link->lock);
    link->states = 0;
    pthread_mutex_unlock(&link->lock);
    return true;
}

/* Everything that a connection remembers is undone, within CLEANUP_US. */
static bool clean(roan *handle)
{
    static const roan_slice reset[] = {{"RESET", 5}};
    roan_link *link = handle->link;
    int64_t until_us = roan_now_us(handle) + CLEANUP_US;
    roan_failure failure;
    uint32_t states;
    bool is_ready;

    pthread_mutex_lock(&link->lock);
    states = link->states;
    is_ready = link->state == ROAN_LINK_READY;
    pthread_mutex_unlock(&link->lock);
    if (!is_ready)
        return false;
    if (command(link, 1, reset, until_us, &failure) == ROAN_OK)
        return shake_hands(handle, until_us);
    return failure.code == ROAN_E_SERVER && undo_each(link, states, until_us);
}

/* ---- giving back ---- */

/* In the child of a fork(): the pool knows nothing of it. True: that was all. */
static bool drop_after_fork(roan_lease *lease)
{
    roan_handle_check_fork(&lease->handle);
    if (!roan_is_of_parent(&lease->handle))
        return false;
    roan_link_drop(lease->handle.link);
    free(lease);
    return true;
}

void roan_lease_return(roan_lease *lease)
{
    roan *handle;

    if (lease == NULL || drop_after_fork(lease))
        return;
    handle = &lease->handle;
    ROAN_ASSERT(handle->magic == LEASE_MAGIC);
    if (!roan_pool_is_clean(handle->link) && !roan_is_in_callback() &&
        handle->settings->options.on_dirty == ROAN_ON_DIRTY_CLEANUP)
        ROAN_IGNORE(clean(handle)); /* whether it is, roan_pool_give() looks for itself */
    roan_pool_give(handle->root, handle->link);
    handle->magic = 0;
    free(lease);
}

void roan_lease_destroy(roan_lease *lease)
{
    if (lease == NULL || drop_after_fork(lease))
        return;
    ROAN_ASSERT(lease->handle.magic == LEASE_MAGIC);
    roan_pool_destroy(lease->handle.root, lease->handle.link);
    lease->handle.magic = 0;
    free(lease);
}

roan_status roan_with(roan *client, roan_with_fn fn, void *argument)
{
    roan_lease *lease;
    roan_status status = roan_lease_take(client, &lease, 0);

    if (status != ROAN_OK)
        return status;
    status = fn(&lease->handle, argument);
    roan_lease_return(lease);
    return status;
}
