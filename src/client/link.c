/* client/link.c: the queue of a link and what happens to its requests: submitted, settled, too late, lost. */
#include "client/link.h"

#include "base/macros.h"
#include "client/handle.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

roan_link *roan_link_create(roan *client)
{
    roan_link *link = calloc(1, sizeof *link);

    if (link == NULL)
        return NULL;
    ROAN_ASSERT(pthread_mutex_init(&link->lock, NULL) == 0);
    link->client = client;
    link->next_deadline_us = ROAN_NO_DEADLINE;
    link->watched_fd = -1;
    link->looks_us = ROAN_NO_DEADLINE;
    atomic_init(&link->references, 1);
    return link;
}

void roan_link_drop(roan_link *link)
{
    if (atomic_fetch_sub_explicit(&link->references, 1, memory_order_acq_rel) > 1)
        return;
    ROAN_ASSERT(link->driver == ROAN_DRIVER_NONE && link->head == NULL && link->delayed == NULL);
    ROAN_ASSERT(link->wire == NULL);
    roan_link_forget_handshake(link);
    pthread_mutex_destroy(&link->lock);
    free(link);
}

void roan_link_node_name(const roan_link *link, char *text, size_t text_bytes)
{
    ROAN_IGNORE(snprintf(text, text_bytes, "%s", link->client->root->settings->node));
}

/* ---- the queue ---- */

/* Longer queues are not looked through: checks must not make tests quadratic. */
#define CHECKED_MAX 32

typedef struct sums {
    size_t queued, waiting, waiting_bytes, pending, asynchronous, batches;
} sums;

static void add_pending(sums *all, const roan_future *future)
{
    bool is_pending = !atomic_load_explicit(&future->is_settled, memory_order_relaxed);

    all->pending += is_pending;
    all->asynchronous += is_pending && !future->is_awaited;
}

bool roan_link_check(const roan_link *link)
{
    sums all = {0};
    bool seen_unsent = false;
    bool seen_sending = false;

    if (link->queue_count > CHECKED_MAX)
        return true;
    for (const roan_future *at = link->head; at != NULL; at = at->next) {
        seen_unsent = seen_unsent || at == link->unsent;
        seen_sending = seen_sending || at == link->sending_at;
        all.queued++;
        all.waiting += seen_unsent;
        all.waiting_bytes += seen_unsent ? at->request_bytes : 0;
        all.batches += at->ends_batch;
        add_pending(&all, at);
        ROAN_ASSERT(at->is_queued && at->link == link && at->is_sent == !seen_unsent);
        ROAN_ASSERT(seen_sending || !seen_unsent);
        ROAN_ASSERT(at->is_sent ? at->out_end == at->out_start + at->request_bytes : !at->ends_batch);
        ROAN_ASSERT(at->next == NULL ? link->tail == at : at->next->previous == at);
    }
    for (const roan_future *at = link->delayed; at != NULL; at = at->next) {
        add_pending(&all, at);
        ROAN_ASSERT(!at->is_queued && !roan_is_settled(at) && (at->next == NULL || at->due_us <= at->next->due_us));
    }
    ROAN_ASSERT((link->head == NULL) == (link->tail == NULL));
    ROAN_ASSERT(seen_unsent == (link->unsent != NULL) && seen_sending == (link->sending_at != NULL));
    ROAN_ASSERT(all.queued == link->queue_count && all.batches == link->batches);
    ROAN_ASSERT(all.waiting == link->waiting_count && all.waiting_bytes == link->waiting_bytes);
    ROAN_ASSERT(all.pending == link->pending_count && all.asynchronous == link->async_count);
    return true;
}

void roan_link_queue(roan_link *link, roan_future *future)
{
    ROAN_ASSERT(!future->is_queued);
    future->previous = link->tail;
    future->next = NULL;
    future->is_queued = true;
    future->is_sent = false;
    if (link->tail != NULL)
        link->tail->next = future;
    else
        link->head = future;
    link->tail = future;
    if (link->unsent == NULL)
        link->unsent = future;
    if (link->sending_at == NULL)
        link->sending_at = future;
    link->queue_count++;
    link->waiting_count++;
    link->waiting_bytes += future->request_bytes;
    roan_keep(future);
}

/* The queue's reference passes to the caller. */
void roan_link_unqueue(roan_link *link, roan_future *future)
{
    ROAN_ASSERT(future->is_queued && future->link == link);
    if (link->unsent == future)
        link->unsent = future->next;
    if (link->sending_at == future)
        link->sending_at = future->next;
    if (future->previous != NULL)
        future->previous->next = future->next;
    else
        link->head = future->next;
    if (future->next != NULL)
        future->next->previous = future->previous;
    else
        link->tail = future->previous;
    link->queue_count--;
    if (!future->is_sent) {
        link->waiting_count--;
        link->waiting_bytes -= future->request_bytes;
    }
    future->is_queued = false;
}

roan_fate roan_link_fate_of(const roan_link *link, const roan_future *future)
{
    return future->is_sent && (link->is_sending || future->out_start < link->sent_total) ? ROAN_FATE_MAY_HAVE_RUN
                                                                                        : ROAN_FATE_NOT_SENT;
}

/* ---- submitting ---- */

static void delay(roan_link *link, roan_future *future, int64_t due_us);

static bool queue_is_full(const roan_link *link, const roan_future *future)
{
    const roan_options *options = &link->client->root->settings->options;

    if (link->state == ROAN_LINK_READY || future->is_internal)
        return false;
    return (options->queue_commands_max >= 0 && link->waiting_count >= (size_t)options->queue_commands_max) ||
           (options->queue_bytes_max >= 0 && link->waiting_count > 0 &&
            link->waiting_bytes + future->request_bytes > (size_t)options->queue_bytes_max);
}

void roan_link_submit(roan_link *link, roan_future *future, bool is_waited_for, roan_outcome *outcome)
{
    int64_t now_us = future->begun_us;
    roan_failure failure;

    atomic_store_explicit(&future->link, link, memory_order_release); /* a waiter may look without a lock */
    future->holds_link = link->is_exclusive;
    if (link->is_exclusive)
        roan_link_keep(link);
    future->is_awaited = is_waited_for;
    link->counters.commands += !future->is_internal;
    link->pending_count++;
    link->async_count += !is_waited_for;
    if (link->state == ROAN_LINK_CLOSED || (link->is_fenced && !future->is_internal)) {
        bool has_ended = link->is_exclusive && !atomic_load(&link->client->root->is_closing);
        roan_failure_set(&failure, has_ended ? ROAN_E_LOST : ROAN_E_CLOSED, ROAN_FATE_NOT_SENT, "%s",
                         has_ended ? "the connection of this lease has ended" : "the handle is closed");
        roan_link_settle(link, future, failure.code, NULL, &failure, outcome);
        return;
    }
    if (link->was_ready && link->state == ROAN_LINK_IDLE && link->client->root->settings->options.reconnect < 0) {
        roan_failure_set(&failure, ROAN_E_LOST, ROAN_FATE_NOT_SENT,
                         "the connection was lost and is not opened again (reconnect is off; roan_ready() opens it)");
        roan_link_settle(link, future, ROAN_E_LOST, NULL, &failure, outcome);
        return;
    }
    if (queue_is_full(link, future)) {
        roan_failure_set(&failure, ROAN_E_QUEUE_FULL, ROAN_FATE_NOT_SENT,
                         "%zu commands of %zu bytes wait for the connection already", link->waiting_count,
                         link->waiting_bytes);
        roan_link_settle(link, future, ROAN_E_QUEUE_FULL, NULL, &failure, outcome);
        return;
    }
    roan_link_queue(link, future);
    if (link->is_exclusive)
        link->states |= future->states;
    link->next_deadline_us = ROAN_MIN(link->next_deadline_us, future->deadline_us);
    if (link->state != ROAN_LINK_READY)
        roan_link_want(link, roan_now_us(link->client), outcome); /* begun_us may be a little old */
    link->used_us = now_us;
    ROAN_VERIFY(roan_link_check(link));
}

void roan_link_submit_later(roan_link *link, roan_future *future, int64_t due_us)
{
    ROAN_ASSERT(link->state == ROAN_LINK_READY && !link->is_exclusive);
    atomic_store_explicit(&future->link, link, memory_order_release); /* a waiter may look without a lock */
    link->pending_count++;
    link->async_count++;
    delay(link, future, due_us);
}

/* ---- attending ---- */

/* A caller that only takes what was received longer ago than this is too slow to be waited for. */
#define DRIVEN_US 1000000

void roan_link_attend(roan_link *link)
{
    atomic_store_explicit(&link->attended_us, roan_now_us(link->client), memory_order_relaxed);
}

bool roan_link_is_attended(const roan_link *link)
{
    int64_t now_us = roan_now_us(link->client);

    return now_us - atomic_load_explicit(&link->attended_us, memory_order_relaxed) < ROAN_ATTEND_US &&
           now_us - link->driven_us < DRIVEN_US;
}

/* ---- settling ---- */

void roan_link_settle(roan_link *link, roan_future *future, roan_status status, roan_value *reply,
                      const roan_failure *failure, roan_outcome *outcome)
{
    const roan *root = link->client->root;
    roan_failure named;

    link->pending_count--;
    link->async_count -= !future->is_awaited;
    link->counters.failures += status < 0 && status != ROAN_E_SERVER && !future->is_internal;
    if (status < 0 && failure != NULL) {
        named = *failure;
        if (named.fate == ROAN_FATE_NOT_SENT && future->may_have_run)
            named.fate = ROAN_FATE_MAY_HAVE_RUN;
        if (named.node[0] == '\0')
            roan_link_node_name(link, named.node, sizeof named.node);
        failure = &named;
    }
    for (roan_wait_node *node = future->waiters; node != NULL; node = node->next)
        roan_outcome_wake(outcome, node->word);
    future->waiters = NULL; /* from here on: who finds it settled leaves without the lock */
    roan_future_settle(future, status, reply, failure);
    if (future->then != NULL || future->release != NULL ||
        (root->settings->hooks.on_end != NULL && future->was_begun))
        roan_outcome_add(outcome, roan_keep(future));
}

/* The list's reference passes to the caller. False: it is not in there. */
static bool remove_delayed(roan_link *link, const roan_future *future)
{
    for (roan_future **at = &link->delayed; *at != NULL; at = &(*at)->next)
        if (*at == future) {
            *at = future->next;
            return true;
        }
    return false;
}

void roan_link_cancel(roan_link *link, roan_future *future, const roan_failure *why, roan_outcome *outcome)
{
    roan_failure failure = *why;
    bool leaves = false;

    if (future->is_queued && !future->is_sent) {
        roan_link_unqueue(link, future);
        leaves = true;
    } else if (future->is_queued) {
        failure.fate = roan_link_fate_of(link, future);
    } else {
        leaves = remove_delayed(link, future);
    }
    roan_link_settle(link, future, failure.code, NULL, &failure, outcome);
    if (leaves)
        roan_drop(future); /* the list's reference, which may be the last one */
}

void roan_link_leave_waiters(roan_link *link, roan_future *future, roan_wait_node *node, roan_outcome *outcome)
{
    for (roan_wait_node **at = &future->waiters; *at != NULL; at = &(*at)->next)
        if (*at == node) {
            *at = node->next;
            break;
        }
    if (future->waiters != NULL || !future->is_awaited ||
        atomic_load_explicit(&future->is_settled, memory_order_relaxed))
        return;
    future->is_awaited = false; /* nobody left to drive for it */
    link->async_count++;
    outcome->wakes_background = true;
}

/* ---- trying again ---- */

#define RETRY_FIRST_US 50000
#define RETRY_MAX_US 2000000

bool roan_failure_is_transient(const roan_failure *why)
{
    static const char *const codes[] = {"LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN"};

    for (size_t i = 0; i < ROAN_COUNT_OF(codes); i++)
        if (strcmp(why->server_code, codes[i]) == 0)
            return true;
    return false;
}

/* Microseconds to wait, or -1. */
static int64_t retry_wait_us(const roan_link *link, const roan_future *future, const roan_failure *why)
{
    const roan_options *options = &link->client->root->settings->options;
    int64_t wait_us = RETRY_FIRST_US << ROAN_MIN(future->attempts - 1, 8u);

    if (options->retry != NULL) {
        int wait_ms = options->retry(options->retry_argument, future->attempts, why, future->traits->name);
        return wait_ms < 0 ? -1 : (int64_t)wait_ms * 1000;
    }
    if (why->code == ROAN_E_SERVER)
        return roan_failure_is_transient(why) ? ROAN_MIN(wait_us, RETRY_MAX_US) : -1;
    if (why->fate == ROAN_FATE_NOT_SENT)
        return 0;
    return future->retry == 1 || future->retry_class == ROAN_RETRY_READ ? 0 : -1;
}

static void delay(roan_link *link, roan_future *future, int64_t due_us)
{
    roan_future **at = &link->delayed;

    future->due_us = due_us;
    while (*at != NULL && (*at)->due_us <= due_us)
        at = &(*at)->next;
    future->next = *at;
    *at = roan_keep(future);
}

/* An unqueued future goes back into the queue, now or later; a queued one is to stay where it is. */
bool roan_link_try_again(roan_link *link, roan_future *future, const roan_failure *why, int64_t now_us)
{
    const roan_options *options = &link->client->root->settings->options;
    roan_failure failure = *why;
    int64_t wait_us;

    failure.attempts = future->attempts;
    if (future->retry < 0 || options->retries_max < 0 || future->attempts > (unsigned)options->retries_max)
        return false;
    if (future->replies_due > 1 && future->retry != 1) /* a batch: a part of it may have run */
        return false;
    wait_us = retry_wait_us(link, future, &failure);
    if (wait_us < 0 || future->deadline_us - now_us <= wait_us)
        return false;
    future->attempts++;
    future->may_have_run |= why->fate != ROAN_FATE_NOT_SENT && !roan_failure_is_transient(why);
    while (future->replies_count > 0 && future->replies != NULL)
        roan_value_free(future->replies[--future->replies_count]);
    future->replies_count = 0;
    link->counters.retries++;
    if (future->is_queued)
        return true;
    if (wait_us == 0)
        roan_link_queue(link, future);
    else
        delay(link, future, now_us + wait_us);
    return true;
}

/* ---- deadlines ---- */

static int64_t settle_late(roan_link *link, roan_future *future, roan_outcome *outcome)
{
    const roan_options *options = &link->client->root->settings->options;
    int64_t after_ms = (future->deadline_us - future->begun_us) / 1000;
    bool heard_since = link->received_total > future->received_before;
    bool was_sent = future->is_queued && future->is_sent;
    roan_failure failure;

    if (!was_sent && link->state != ROAN_LINK_READY && link->connect_failure.code != ROAN_OK)
        roan_failure_set(&failure, ROAN_E_TIMEOUT, ROAN_FATE_NOT_SENT, "not connected within %" PRId64 " ms: %.150s",
                         after_ms, link->connect_failure.text);
    else
        roan_failure_set(&failure, ROAN_E_TIMEOUT, ROAN_FATE_NOT_SENT, "no answer to %s within %" PRId64 " ms%s",
                         future->traits != NULL ? future->traits->name : "a batch", after_ms,
                         was_sent ? "" : future->may_have_run ? "; it was not sent again" : "; it was not sent");
    link->counters.timeouts++;
    roan_link_cancel(link, future, &failure, outcome);
    return was_sent && (options->late == ROAN_LATE_RESET || (options->late == ROAN_LATE_AUTO && !heard_since));
}

void roan_link_expire(roan_link *link, int64_t now_us, roan_outcome *outcome)
{
    bool needs_reset = false;
    int64_t next_us = ROAN_NO_DEADLINE;
    roan_failure failure;

    if (now_us < link->next_deadline_us)
        return;
    for (int in_queue = 1; in_queue >= 0; in_queue--)
        for (roan_future *at = in_queue ? link->head : link->delayed, *next; at != NULL; at = next) {
            next = at->next;
            if (atomic_load_explicit(&at->is_settled, memory_order_relaxed))
                continue;
            if (at->deadline_us <= now_us)
                needs_reset |= settle_late(link, at, outcome);
            else
                next_us = ROAN_MIN(next_us, at->deadline_us);
        }
    link->next_deadline_us = next_us;
    if (needs_reset) {
        roan_failure_set(&failure, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN,
                         "the connection was reset because it had answered nothing since a command that timed out");
        roan_link_lose(link, &failure, outcome);
    }
}

/* ---- losing the connection ---- */

void roan_wire_close(roan_wire *wire)
{
    wire->stream->transport->close(wire->stream, false);
    roan_reply_reader_free(wire->reader);
    free(wire);
}

bool roan_link_leave_wire(roan_link *link, roan_wire *wire)
{
    wire->users--;
    if (!wire->is_dead)
        return true;
    ROAN_ASSERT(link->wire != wire);
    if (wire->users == 0)
        roan_wire_close(wire);
    return false;
}

static void give_up_wire(roan_link *link)
{
    roan_wire *wire = link->wire;

    if (wire == NULL)
        return;
    link->wire = NULL;
    wire->is_dead = true;
    if (link->watched_fd >= 0) {
        roan_background_unwatch(link);
        roan_background_notify(&link->client->root->background); /* the loop must watch what comes next */
    }
    if (wire->users > 0)
        wire->stream->transport->interrupt(wire->stream);
    else
        roan_wire_close(wire);
    if (link->is_polled)
        roan_background_notify(&link->client->root->background);
}

/* After a loss: settles what cannot be sent again; the rest waits for the next connection. */
static void sort_out_queue(roan_link *link, const roan_failure *why, bool keeps_any, roan_outcome *outcome)
{
    int64_t now_us = roan_now_us(link->client);
    roan_failure failure = *why;

    for (roan_future *at = link->head, *next; at != NULL; at = next) {
        bool is_settled = atomic_load_explicit(&at->is_settled, memory_order_relaxed);
        bool stays;
        next = at->next;
        failure.fate = roan_link_fate_of(link, at);
        stays = keeps_any && !is_settled &&
                (failure.fate == ROAN_FATE_NOT_SENT || roan_link_try_again(link, at, &failure, now_us));
        if (stays)
            continue;
        roan_link_unqueue(link, at);
        if (!is_settled)
            roan_link_settle(link, at, failure.code, NULL, &failure, outcome);
        roan_drop(at);
    }
    link->waiting_count = link->queue_count;
    link->waiting_bytes = 0;
    for (roan_future *at = link->head; at != NULL; at = at->next) {
        at->is_sent = at->ends_batch = false;
        link->waiting_bytes += at->request_bytes;
    }
    link->unsent = link->sending_at = link->head;
}

/* There is no connection to try them again on. */
static void fail_delayed(roan_link *link, const roan_failure *why, roan_outcome *outcome)
{
    roan_failure failure = *why;

    failure.fate = ROAN_FATE_NOT_SENT;
    while (link->delayed != NULL) {
        roan_future *future = link->delayed;
        link->delayed = future->next;
        roan_link_settle(link, future, failure.code, NULL, &failure, outcome);
        roan_drop(future);
    }
}

static void forget_stream(roan_link *link)
{
    link->sent_total = link->staged_total = link->answered_end = link->received_total = 0;
    link->blocked_since_us = 0;
    link->is_blocked = false;
    link->batches = 0;
    link->states = 0;
    link->epoch++;
}

/* Connections that end within this much of becoming ready without having answered anything count as failed attempts. */
#define SHORT_LIFE_US 1000000

/* The next attempt comes later the more of them have failed in a row. */
static void back_off(roan_link *link, int64_t now_us)
{
    const roan_options *options = &link->client->root->settings->options;
    int64_t max_us = (int64_t)options->backoff_max_ms * 1000;
    int64_t wait_us = (int64_t)options->backoff_first_ms * 1000;
    int64_t span_us;

    for (unsigned i = 0; i < link->connect_attempts && wait_us < max_us; i++)
        wait_us *= 2;
    wait_us = ROAN_MIN(wait_us, max_us);
    span_us = options->backoff_jitter_percent > 0 ? wait_us * options->backoff_jitter_percent / 100 : 0;
    if (span_us > 0)
        wait_us += (int64_t)(link->client->transport->random(link->client->transport->state) %
                             (uint64_t)(2 * span_us + 1)) - span_us;
    link->connect_attempts++;
    link->backoff_until_us = now_us + wait_us;
    link->state = ROAN_LINK_BACKOFF;
}

void roan_link_lose(roan_link *link, const roan_failure *why, roan_outcome *outcome)
{
    bool was_ready = link->state == ROAN_LINK_READY;
    bool comes_back = link->client->root->settings->options.reconnect > 0 && !link->is_exclusive;
    roan_failure failure = *why;
    bool is_failure;
    int64_t now_us = roan_now_us(link->client);

    if (!was_ready) {
        failure.code = ROAN_E_CONNECT;
        if (link->state == ROAN_LINK_OPENING || link->state == ROAN_LINK_HANDSHAKE)
            roan_link_connect_failed(link, &failure, false, outcome);
        return;
    }
    is_failure = link->answered_end == 0 && now_us - link->ready_us < SHORT_LIFE_US;
    give_up_wire(link);
    link->state = ROAN_LINK_IDLE;
    sort_out_queue(link, why, comes_back, outcome);
    if (!comes_back)
        fail_delayed(link, why, outcome);
    forget_stream(link);
    link->counters.disconnects++;
    roan_outcome_event(link, ROAN_EVENT_DISCONNECTED, why, outcome);
    if (link->on_lost != NULL)
        link->on_lost(link, why, outcome);
    if (link->is_exclusive) {
        link->state = ROAN_LINK_CLOSED;
        return;
    }
    if (is_failure) {
        link->connect_failure = *why;
        back_off(link, now_us);
    } else {
        link->connect_attempts = 0;
    }
    if (link->head != NULL || (link->is_wanted && comes_back))
        roan_link_want(link, now_us, outcome);
    ROAN_VERIFY(roan_link_check(link));
}

void roan_link_close(roan_link *link, const roan_failure *why, roan_outcome *outcome)
{
    give_up_wire(link);
    link->state = ROAN_LINK_CLOSED;
    sort_out_queue(link, why, false, outcome);
    fail_delayed(link, why, outcome);
    forget_stream(link);
    for (roan_wait_node *node = link->watchers; node != NULL; node = node->next)
        roan_outcome_wake(outcome, node->word);
    ROAN_VERIFY(roan_link_check(link));
}

/* A first connection that fails fails those who wait for it; later the queue is kept while attempts go on. */
void roan_link_connect_failed(roan_link *link, const roan_failure *why, bool is_final, roan_outcome *outcome)
{
    const roan_options *options = &link->client->root->settings->options;
    bool keeps = link->was_ready && !is_final && options->reconnect > 0 && !link->is_exclusive;
    int64_t now_us = roan_now_us(link->client);

    give_up_wire(link);
    link->connect_failure = *why;
    roan_link_node_name(link, link->connect_failure.node, sizeof link->connect_failure.node);
    sort_out_queue(link, &link->connect_failure, keeps, outcome);
    if (!keeps)
        fail_delayed(link, &link->connect_failure, outcome);
    forget_stream(link);
    roan_outcome_event(link, ROAN_EVENT_CONNECT_FAILED, &link->connect_failure, outcome);
    for (roan_wait_node *node = link->watchers; node != NULL; node = node->next)
        roan_outcome_wake(outcome, node->word);
    if (link->on_lost != NULL)
        link->on_lost(link, &link->connect_failure, outcome);
    if (link->is_exclusive) {
        link->state = ROAN_LINK_CLOSED;
        return;
    }
    back_off(link, now_us);
}
