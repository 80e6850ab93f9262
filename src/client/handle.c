/* client/handle.c: opening and closing handles, the program's loop, statistics, fork(). */
#include "client/handle.h"

#include "base/macros.h"
#include "client/drive.h"
#include "client/wishes.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- fork ---- */

static _Atomic uint32_t fork_generation;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    atomic_fetch_add_explicit(&fork_generation, 1, memory_order_relaxed);
}

static void register_fork_handler(void)
{
    ROAN_IGNORE(pthread_atfork(NULL, NULL, count_fork));
}

uint32_t roan_fork_generation(void)
{
    return atomic_load_explicit(&fork_generation, memory_order_relaxed);
}

/* In the child: a link as new. What it was doing belongs to the parent; its futures in this process fail. */
static void forget_link(roan_link *link)
{
    roan_failure failure;

    roan_failure_set(&failure, ROAN_E_FORKED, ROAN_FATE_MAY_HAVE_RUN, "begun before fork(); it belongs to the parent");
    ROAN_ASSERT(pthread_mutex_init(&link->lock, NULL) == 0);
    if (link->wire != NULL) {
        link->wire->stream->transport->close(link->wire->stream, true);
        roan_reply_reader_free(link->wire->reader);
        free(link->wire);
        link->wire = NULL;
    }
    while (link->head != NULL) {
        roan_future *future = link->head;
        roan_link_unqueue(link, future);
        if (!roan_is_settled(future))
            roan_future_settle(future, ROAN_E_FORKED, NULL, &failure);
        future->waiters = NULL;
        roan_drop(future);
    }
    while (link->delayed != NULL) {
        roan_future *future = link->delayed;
        link->delayed = future->next;
        roan_future_settle(future, ROAN_E_FORKED, NULL, &failure);
        future->waiters = NULL;
        roan_drop(future);
    }
    link->driver = ROAN_DRIVER_NONE;
    link->state = link->is_exclusive ? ROAN_LINK_CLOSED : ROAN_LINK_IDLE;
    link->is_sending = link->is_blocked = link->is_owned = link->is_polled = false;
    link->is_in_round = link->has_begun = false;
    link->pending_count = link->async_count = 0;
    link->waiting_count = link->queue_count = link->waiting_bytes = 0;
    link->next_deadline_us = ROAN_NO_DEADLINE;
    link->sent_total = link->staged_total = link->answered_end = link->received_total = 0;
    link->blocked_since_us = 0;
    link->connect_attempts = 0;
    link->watchers = NULL;
    link->looks_us = ROAN_NO_DEADLINE;
    link->epoch++;
    link->watched_fd = -1;
    link->is_held = link->is_ticking = false; /* there is no background that ticks */
    link->waits_seen = 0;
    link->busy_rounds = link->quiet_rounds = link->batches = 0;
    link->states = 0;
    atomic_store_explicit(&link->callers, 0, memory_order_relaxed);
    atomic_store_explicit(&link->baton, NULL, memory_order_relaxed);
}

void roan_handle_revive(roan *client)
{
    roan_link *links = client->background.links;
    roan_error error;

    client->fork_generation = roan_fork_generation();
    atomic_store(&client->inside, 0);
    while (links != NULL) {
        roan_link *link = links;
        links = link->next;
        forget_link(link);
    }
    roan_subscriptions_revive(client);
    roan_pool_forget(client);
    roan_background_forget(client);
    ROAN_IGNORE(roan_background_init(client, &error)); /* without descriptors only callers drive */
    roan_background_attach(client, client->link);
    roan_subscriptions_attach(client);
}

/* ---- opening ---- */

static void free_handle(roan *client)
{
    if (client->link != NULL) {
        roan_background_detach(client, client->link);
        roan_link_drop(client->link);
    }
    roan_settings_free(client->settings);
    client->magic = 0;
    free(client);
}

roan_status roan_open(roan **ret_client, const char *uri, const roan_options *options, roan_error *reterr)
{
    roan *client = calloc(1, sizeof *client);
    roan_status status;

    *ret_client = NULL;
    pthread_once(&fork_once, register_fork_handler);
    if (client == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory");
    client->magic = ROAN_HANDLE_MAGIC;
    client->root = client;
    client->fork_generation = roan_fork_generation();
    status = roan_settings_create(&client->settings, uri, options, reterr);
    if (status != ROAN_OK) {
        free(client);
        return status;
    }
    client->transport = client->settings->options.transport;
    if (client->transport == NULL)
        status = roan_transport_of(client->settings, &client->transport, reterr);
    if (status == ROAN_OK)
        status = roan_background_init(client, reterr);
    if (status != ROAN_OK) {
        free_handle(client);
        return status;
    }
    roan_pool_init(client);
    client->link = roan_link_create(client);
    if (client->link == NULL) {
        roan_pool_done(client);
        roan_background_done(client);
        free_handle(client);
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory");
    }
    roan_background_attach(client, client->link);
    *ret_client = client;
    return ROAN_OK;
}

/* ---- ready ---- */

typedef struct readiness {
    const roan_link *link;
    unsigned attempts;
} readiness;

static bool is_ready_or_failed(const void *argument)
{
    const readiness *wanted = argument;

    return wanted->link->state == ROAN_LINK_READY || wanted->link->state == ROAN_LINK_CLOSED ||
           wanted->link->connect_attempts != wanted->attempts;
}

roan_status roan_ready(roan *client, int timeout_ms)
{
    roan_link *link = client->link;
    roan_outcome outcome;
    roan_wait_node node = {.word = roan_park_word()};
    readiness wanted = {.link = link};
    roan_status status = ROAN_OK;

    if (roan_is_in_callback())
        return roan_fail(ROAN_E_USAGE, "a synchronous call from inside a callback would wait for itself");
    roan_handle_check_fork(client);
    if (roan_is_of_parent(client))
        return roan_fail(ROAN_E_FORKED, "the lease was taken before fork(); it belongs to the parent");
    if (timeout_ms < 0)
        timeout_ms = client->root->settings->options.connect_timeout_ms;
    roan_handle_enter(client == client->root ? client : NULL);
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    wanted.attempts = link->connect_attempts;
    node.next = link->watchers;
    link->watchers = &node;
    if (link->state == ROAN_LINK_BACKOFF)
        link->state = ROAN_LINK_IDLE; /* somebody asks expressly: no need to wait */
    roan_link_want(link, roan_now_us(client), &outcome);
    roan_drive_wait(link, is_ready_or_failed, &wanted, &node, roan_now_us(client) + (int64_t)timeout_ms * 1000,
                    &outcome);
    for (roan_wait_node **at = &link->watchers; *at != NULL; at = &(*at)->next)
        if (*at == &node) {
            *at = node.next;
            break;
        }
    if (link->state != ROAN_LINK_READY) {
        roan_failure *failure = roan_failure_of_thread();
        if (link->state == ROAN_LINK_CLOSED)
            roan_failure_set(failure, ROAN_E_CLOSED, ROAN_FATE_NOT_SENT, "the handle is closed");
        else if (link->connect_attempts != wanted.attempts)
            *failure = link->connect_failure;
        else
            roan_failure_set(failure, ROAN_E_TIMEOUT, ROAN_FATE_NOT_SENT, "not connected within %d ms", timeout_ms);
        roan_link_node_name(link, failure->node, sizeof failure->node);
        status = failure->code;
    }
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(client, &outcome);
    if (client != client->root)
        return status;
    if (status == ROAN_OK)
        roan_pool_warm(client);
    roan_handle_leave(client);
    return status;
}

/* ---- closing ---- */

static bool is_drained(const void *argument)
{
    const roan_link *link = argument;

    return link->pending_count == 0;
}

/* Waits until nothing is pending on the shared link; rounds of the background or the caller itself drive it. */
static bool drain_shared(roan *client, int64_t until_us)
{
    roan_link *link = client->link;
    roan_outcome outcome;
    roan_wait_node node = {.word = roan_park_word()};
    bool drained;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    link->is_fenced = true;
    while (link->pending_count > 0 && roan_now_us(client) < until_us) {
        int64_t step_us = ROAN_MIN(until_us, roan_now_us(client) + 1000); /* nobody wakes us: look often */
        roan_drive_wait(link, is_drained, link, &node, step_us, &outcome);
    }
    drained = link->pending_count == 0;
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(client, &outcome);
    return drained;
}

static void close_shared(roan *client, const roan_failure *why)
{
    roan_link *link = client->link;
    roan_outcome outcome;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    roan_link_close(link, why, &outcome);
    roan_outcome_event(link, ROAN_EVENT_CLOSED, NULL, &outcome);
    outcome.wakes_background = false;
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(client, &outcome);
}

/* The same for commands that block, on links of the pool. */
static bool drain_pool(roan *client, int64_t until_us)
{
    while (roan_pool_is_busy(client)) {
        int64_t left_us = until_us - roan_now_us(client);
        if (left_us <= 0)
            return false;
        left_us = ROAN_MIN(left_us, 1000); /* nobody wakes us: look often */
        if (!roan_background_help(client, left_us))
            roan_park(roan_park_word(), left_us);
    }
    return true;
}

/* Everything has settled: those who waited for it are on their way out. */
static void wait_for_callers(roan *client)
{
    while (atomic_load_explicit(&client->link->callers, memory_order_acquire) > 0 ||
           atomic_load_explicit(&client->inside, memory_order_acquire) > 0)
        roan_park(roan_park_word(), 100);
}

roan_status roan_close(roan *client, int drain_ms)
{
    roan_failure failure;
    int64_t until_us;
    bool drained;

    if (client == NULL)
        return ROAN_OK;
    if (roan_is_in_callback())
        return roan_fail(ROAN_E_USAGE, "a handle cannot be closed from inside a callback");
    if (client->root != client)
        return roan_fail(ROAN_E_USAGE, "the handle of a lease is not closed: roan_lease_return()");
    ROAN_ASSERT(client->magic == ROAN_HANDLE_MAGIC);
    roan_handle_check_fork(client);
    atomic_store(&client->is_closing, true);
    until_us = roan_now_us(client) + (int64_t)ROAN_MAX(drain_ms, 0) * 1000;
    atomic_store(&client->background.has_turned, false); /* whoever closes it may do the rounds */
    roan_outcome_finish_deferred(client);
    drained = drain_shared(client, until_us);
    drained = drain_pool(client, until_us) && drained;
    roan_background_stop(client);
    roan_subscriptions_close(client);
    roan_failure_set(&failure, ROAN_E_CLOSED, ROAN_FATE_MAY_HAVE_RUN, "the handle was closed");
    roan_pool_close(client, &failure);
    close_shared(client, &failure);
    wait_for_callers(client);
    roan_outcome_finish_deferred(client);
    roan_pool_done(client);
    roan_background_detach(client, client->link);
    roan_background_done(client);
    roan_link_drop(client->link);
    client->link = NULL;
    free_handle(client);
    return drained ? ROAN_OK : roan_fail(ROAN_E_TIMEOUT, "closed before everything was answered");
}

/* ---- the program's loop ---- */

int roan_fd(const roan *client)
{
    return client->root->background.epoll_fd;
}

int roan_turn_due_ms(roan *client)
{
    int64_t due_us = roan_background_due_us(client->root);
    int64_t left_us;

    if (due_us == ROAN_NO_DEADLINE)
        return -1;
    left_us = due_us - roan_now_us(client);
    return left_us <= 0 ? 0 : (int)ROAN_MIN((left_us + 999) / 1000, (int64_t)INT32_MAX);
}

roan_status roan_turn(roan *client, int wait_ms)
{
    client = client->root;
    if (roan_is_in_callback() || client->settings->options.drive != ROAN_DRIVE_LOOP)
        return roan_fail(ROAN_E_USAGE, "roan_turn() is for handles with drive=loop, and not from a callback");
    roan_handle_check_fork(client);
    ROAN_IGNORE(roan_background_turn(client, wait_ms < 0 ? -1 : (int64_t)wait_ms * 1000)); /* or another thread does */
    return ROAN_OK;
}

void roan_flush(roan *client)
{
    roan_link *link = client->link;
    roan_outcome outcome;

    roan_handle_check_fork(client);
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    roan_link_flush(link, &outcome);
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(client, &outcome);
}

/* ---- statistics ---- */

void roan_get_stats(roan *client, roan_client_stats *ret_stats)
{
    roan *root = client->root;
    roan_client_stats stats = {.size = ret_stats->size};
    size_t bytes = ROAN_MIN(ret_stats->size, sizeof stats);
    roan_counters sum;

    roan_background_count(root, &sum);
    stats.commands = sum.commands;
    stats.failures = sum.failures;
    stats.timeouts = sum.timeouts;
    stats.retries = sum.retries;
    stats.connects = sum.connects;
    stats.disconnects = sum.disconnects;
    stats.sent_bytes = sum.sent_bytes;
    stats.received_bytes = sum.received_bytes;
    stats.writes = sum.writes;
    pthread_mutex_lock(&root->link->lock);
    stats.pending = (uint32_t)root->link->pending_count;
    stats.is_ready = root->link->state == ROAN_LINK_READY;
    pthread_mutex_unlock(&root->link->lock);
    pthread_mutex_lock(&root->pool.lock);
    stats.leases_active = root->pool.active_count;
    stats.leases_idle = root->pool.idle_count;
    stats.leases_waiting = root->pool.waiting_count;
    stats.leases_destroyed = root->pool.destroyed;
    pthread_mutex_unlock(&root->pool.lock);
    memcpy(ret_stats, &stats, bytes);
}
