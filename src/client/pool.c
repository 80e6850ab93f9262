/* client/pool.c: see pool.h. The pool's lock is taken before a link's, never after it. */
#include "client/pool.h"

#include "base/macros.h"
#include "client/drive.h"
#include "client/handle.h"

#include <stdlib.h>

/* So long after links in reserve were opened it is looked whether they are there; while they fail, twice as long every
 * time. */
#define WARM_FIRST_US 1000000
#define WARM_MAX_US 60000000

void roan_pool_init(roan *client)
{
    ROAN_ASSERT(pthread_mutex_init(&client->pool.lock, NULL) == 0);
    client->pool.due_us = ROAN_NO_DEADLINE;
    client->pool.warm_us = 0;
    client->pool.warm_wait_us = WARM_FIRST_US;
}

void roan_pool_done(roan *client)
{
    ROAN_ASSERT(client->pool.idle == NULL && client->pool.first == NULL);
    pthread_mutex_destroy(&client->pool.lock);
}

void roan_pool_forget(roan *client)
{
    roan_failure failure;

    roan_pool_init(client);
    while (client->pool.idle != NULL) {
        roan_link *link = client->pool.idle;
        client->pool.idle = link->pool_next;
        roan_link_drop(link);
    }
    roan_failure_set(&failure, ROAN_E_FORKED, ROAN_FATE_NOT_SENT, "begun before fork(); it belongs to the parent");
    for (roan_ticket *at = client->pool.first, *next; at != NULL; at = next) {
        next = at->next;
        if (at->future == NULL)
            continue; /* on the stack of a thread that is not here */
        at->future->waiters = NULL;
        roan_future_settle(at->future, ROAN_E_FORKED, NULL, &failure);
        roan_drop(at->future);
        free(at);
    }
    client->pool.first = client->pool.last = NULL;
    client->pool.blocked = NULL;
    client->pool.idle_count = client->pool.active_count = client->pool.waiting_count = 0;
}

/* ---- links ---- */

static roan_link *create_link(roan *client)
{
    roan_link *link = roan_link_create(client);

    if (link == NULL)
        return NULL;
    link->is_exclusive = true;
    roan_background_attach(client, link);
    return link;
}

/* Nobody uses it. The pool's lock may be held. */
static void destroy_link(roan *client, roan_link *link, roan_outcome *outcome)
{
    roan_failure failure;

    roan_failure_set(&failure, ROAN_E_CLOSED, ROAN_FATE_MAY_HAVE_RUN, "the connection was given up");
    pthread_mutex_lock(&link->lock);
    roan_link_close(link, &failure, outcome);
    pthread_mutex_unlock(&link->lock);
    roan_background_detach(client, link);
    roan_link_drop(link);
}

/* Has it ended behind our back? One that is still connecting, in reserve, is as good. Lock of the link not held. */
static bool is_alive(roan_link *link, roan_outcome *outcome)
{
    roan_outcome own; /* receiving carries it out, which must not happen to the caller's here */
    bool alive;

    roan_outcome_begin(&own);
    pthread_mutex_lock(&link->lock);
    if (link->state == ROAN_LINK_READY && link->driver == ROAN_DRIVER_NONE) {
        link->driver = ROAN_DRIVER_CALLER;
        link->driver_thread = pthread_self();
        ROAN_IGNORE(roan_link_receive(link, 0, &own));
        link->driver = ROAN_DRIVER_NONE;
    }
    alive = link->state != ROAN_LINK_CLOSED && link->states == 0;
    link->is_wanted = false;
    pthread_mutex_unlock(&link->lock);
    roan_outcome_move(outcome, &own);
    return alive;
}

/* ---- taking ---- */

/* Are new calls refused? Those in line are served until the pool itself is closed. Pool's lock held. */
static bool is_closed(const roan *client)
{
    return client->pool.is_closed || atomic_load_explicit(&client->is_closing, memory_order_relaxed);
}

/* Was it idle for so long that a PING should be answered first? */
static bool is_stale(const roan *client, const roan_link *link)
{
    int check_ms = client->settings->options.lease_check_idle_ms;

    return check_ms >= 0 && roan_now_us(client) - link->idle_since_us >= (int64_t)check_ms * 1000;
}

/* Pool's lock held. A link that can be used now, or NULL: then all are in use (or *is_out_of_memory). For a command
 * that begins at once there is no time for a PING: it gets no stale one. */
static roan_link *take_now(roan *client, bool is_at_once, bool *is_out_of_memory, roan_outcome *outcome)
{
    roan_pool *pool = &client->pool;
    roan_link *link;

    *is_out_of_memory = false;
    while (pool->idle != NULL) {
        link = pool->idle;
        pool->idle = link->pool_next;
        pool->idle_count--;
        if (!(is_at_once && is_stale(client, link)) && is_alive(link, outcome)) {
            pool->active_count++;
            return link;
        }
        destroy_link(client, link, outcome);
    }
    if (pool->active_count >= (uint32_t)client->settings->options.leases_max)
        return NULL;
    link = create_link(client);
    *is_out_of_memory = link == NULL;
    pool->active_count += link != NULL;
    return link;
}

/* Something is due then: the background must know. */
static void announce(roan_pool *pool, int64_t due_us, roan_outcome *outcome)
{
    if (due_us >= pool->due_us)
        return;
    pool->due_us = due_us;
    outcome->wakes_background = true;
}

static void enqueue(roan_pool *pool, roan_ticket *ticket, roan_outcome *outcome)
{
    announce(pool, ticket->until_us, outcome);
    ticket->next = NULL;
    if (pool->last != NULL)
        pool->last->next = ticket;
    else
        pool->first = ticket;
    pool->last = ticket;
    pool->waiting_count++;
}

static void dequeue(roan_pool *pool, roan_ticket *ticket)
{
    roan_ticket *previous = NULL;

    for (roan_ticket *at = pool->first; at != ticket; at = at->next)
        previous = at;
    if (previous != NULL)
        previous->next = ticket->next;
    else
        pool->first = ticket->next;
    if (pool->last == ticket)
        pool->last = previous;
    pool->waiting_count--;
}

static int64_t line_until_us(const roan *client, int64_t now_us)
{
    int timeout_ms = client->settings->options.lease_timeout_ms;

    return timeout_ms < 0 ? ROAN_NO_DEADLINE : now_us + (int64_t)timeout_ms * 1000;
}

/* Called when the blocking command has settled: its link is free again. */
static void release_after_block(roan_future *future)
{
    roan_pool_give(future->client, future->owner);
}

/* Pool's lock held. */
static void begin_on(roan_link *link, roan_future *future, roan_outcome *outcome)
{
    roan_pool *pool = &future->client->pool;
    roan_outcome own; /* as in is_alive() */

    future->owner = link;
    future->release = release_after_block;
    link->pool_next = pool->blocked;
    pool->blocked = link;
    roan_outcome_begin(&own);
    pthread_mutex_lock(&link->lock);
    roan_link_begin(link, future, &own);
    for (roan_wait_node *node = future->waiters; node != NULL; node = node->next)
        roan_outcome_wake(&own, node->word);
    pthread_mutex_unlock(&link->lock);
    roan_outcome_move(outcome, &own);
}

static void settle_in_line(roan_future *future, const roan_failure *why, roan_outcome *outcome)
{
    roan_future_settle(future, why->code, NULL, why);
    for (roan_wait_node *node = future->waiters; node != NULL; node = node->next)
        roan_outcome_wake(outcome, node->word);
    if (future->then == NULL && !future->was_begun)
        return;
    roan_outcome_add(outcome, roan_keep(future));
}

/* Where nobody does rounds: what is due anyhow. */
static void look_at_due(roan *client)
{
    int64_t now_us = roan_now_us(client);

    if (now_us >= roan_pool_due_us(client))
        ROAN_IGNORE(roan_pool_expire(client, now_us));
}

void roan_pool_begin(roan *client, roan_future *future)
{
    roan_pool *pool = &client->pool;
    roan_ticket *ticket = malloc(sizeof *ticket);
    roan_outcome outcome;
    roan_failure failure;
    bool is_out_of_memory = ticket == NULL;
    roan_link *link = NULL;

    look_at_due(client);
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&pool->lock);
    if (ticket != NULL && pool->first == NULL && !is_closed(client))
        link = take_now(client, true, &is_out_of_memory, &outcome);
    if (link != NULL) {
        begin_on(link, future, &outcome);
    } else if (is_out_of_memory || is_closed(client)) {
        roan_failure_set(&failure, is_closed(client) ? ROAN_E_CLOSED : ROAN_E_NOMEM, ROAN_FATE_NOT_SENT, "%s",
                         is_closed(client) ? "the handle is closed" : "out of memory");
        settle_in_line(future, &failure, &outcome);
    } else {
        *ticket = (roan_ticket){.future = roan_keep(future),
                                .until_us = ROAN_MIN(line_until_us(client, roan_now_us(client)), future->deadline_us)};
        enqueue(pool, ticket, &outcome);
        ticket = NULL;
    }
    pthread_mutex_unlock(&pool->lock);
    free(ticket);
    roan_outcome_finish(client, &outcome);
}

static void fail_line_timeout(const roan *client, roan_failure *failure)
{
    roan_failure_set(failure, ROAN_E_TIMEOUT, ROAN_FATE_NOT_SENT,
                     "all %d connections of the pool (leases_max) were in use for too long",
                     client->settings->options.leases_max);
}

/* Until `word` is woken or next_us, or something happened when it is this thread that must see to it. */
static void wait_in_line(roan *client, _Atomic uint32_t *word, int64_t now_us, int64_t next_us)
{
    int64_t wait_us = next_us == ROAN_NO_DEADLINE ? -1 : ROAN_MAX(next_us - now_us, 0) + 1;

    if (!roan_background_help(client, wait_us))
        roan_park(word, wait_us);
}

roan_status roan_pool_take(roan *client, int64_t until_us, roan_link **ret_link, roan_failure *ret_failure)
{
    roan_pool *pool = &client->pool;
    roan_ticket ticket = {.word = roan_park_word(), .until_us = until_us};
    bool is_out_of_memory = false;
    roan_outcome outcome;

    roan_handle_enter(client);
    look_at_due(client);
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&pool->lock);
    *ret_link = pool->first == NULL && !is_closed(client) ? take_now(client, false, &is_out_of_memory, &outcome) : NULL;
    if (*ret_link == NULL && !is_out_of_memory && !is_closed(client)) {
        enqueue(pool, &ticket, &outcome);
        while (ticket.granted == NULL && !ticket.is_late && !pool->is_closed) {
            int64_t now_us = roan_now_us(client);
            if (now_us >= until_us)
                break;
            pthread_mutex_unlock(&pool->lock);
            roan_outcome_finish(client, &outcome);
            wait_in_line(client, ticket.word, now_us, until_us);
            pthread_mutex_lock(&pool->lock);
        }
        *ret_link = ticket.granted;
        if (ticket.granted == NULL)
            dequeue(pool, &ticket);
    }
    if (*ret_link == NULL) {
        if (is_closed(client))
            roan_failure_set(ret_failure, ROAN_E_CLOSED, ROAN_FATE_NOT_SENT, "the handle is closed");
        else if (is_out_of_memory)
            roan_failure_set(ret_failure, ROAN_E_NOMEM, ROAN_FATE_NOT_SENT, "out of memory");
        else
            fail_line_timeout(client, ret_failure);
    }
    pthread_mutex_unlock(&pool->lock);
    roan_outcome_finish(client, &outcome);
    roan_handle_leave(client);
    return *ret_link != NULL ? ROAN_OK : ret_failure->code;
}

/* ---- giving back ---- */

bool roan_pool_is_clean(roan_link *link)
{
    bool clean;

    pthread_mutex_lock(&link->lock);
    clean = (link->state == ROAN_LINK_READY || link->state == ROAN_LINK_IDLE) && link->head == NULL &&
            link->delayed == NULL && link->states == 0;
    pthread_mutex_unlock(&link->lock);
    return clean;
}

/* Pool's lock held: links for those in line. */
static void serve_line(roan *client, roan_outcome *outcome)
{
    roan_pool *pool = &client->pool;

    while (pool->first != NULL) {
        roan_ticket *ticket = pool->first;
        bool is_out_of_memory;
        roan_link *link = take_now(client, ticket->future != NULL, &is_out_of_memory, outcome);
        if (link == NULL)
            return;
        dequeue(pool, ticket);
        if (ticket->future != NULL) {
            begin_on(link, ticket->future, outcome);
            roan_drop(ticket->future);
            free(ticket);
        } else {
            ticket->granted = link;
            roan_outcome_wake(outcome, ticket->word);
        }
    }
}

/* A link in reserve is connected; from now on it rests. */
static void rest(roan_link *link, roan_outcome *outcome)
{
    (void)outcome;
    link->is_wanted = false;
}

/* Pool's lock held: opens links until there are leases_min, unless that was tried a moment ago. */
static void warm(roan *client, int64_t now_us, roan_outcome *outcome)
{
    roan_pool *pool = &client->pool;
    uint32_t wanted = (uint32_t)ROAN_MIN(client->settings->options.leases_min, client->settings->options.leases_max);

    if (pool->is_closed || now_us < pool->warm_us || pool->idle_count + pool->active_count >= wanted)
        return;
    pool->warm_us = now_us + pool->warm_wait_us;
    announce(pool, pool->warm_us, outcome);
    while (pool->idle_count + pool->active_count < wanted) {
        roan_link *link = create_link(client);
        if (link == NULL)
            return;
        link->idle_since_us = now_us;
        link->on_ready = rest;
        link->is_wanted = true;
        link->pool_next = pool->idle;
        pool->idle = link;
        pool->idle_count++;
        pthread_mutex_lock(&link->lock);
        roan_link_want(link, now_us, outcome);
        pthread_mutex_unlock(&link->lock);
        outcome->wakes_background = true;
    }
}

void roan_pool_warm(roan *client)
{
    roan_outcome outcome;

    if (client->settings->options.leases_min <= 0)
        return;
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&client->pool.lock);
    warm(client, roan_now_us(client), &outcome);
    pthread_mutex_unlock(&client->pool.lock);
    roan_outcome_finish(client, &outcome);
}

static void remove_blocked(roan_pool *pool, const roan_link *link)
{
    for (roan_link **at = &pool->blocked; *at != NULL; at = &(*at)->pool_next)
        if (*at == link) {
            *at = link->pool_next;
            return;
        }
}

static void give(roan *client, roan_link *link, bool is_kept)
{
    roan_pool *pool = &client->pool;
    roan_outcome outcome;
    roan_link *surplus = NULL;
    int64_t lease_idle_us = (int64_t)client->settings->options.lease_idle_ms * 1000;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&pool->lock);
    pool->active_count--;
    remove_blocked(pool, link);
    if (is_kept && !pool->is_closed) {
        link->idle_since_us = roan_now_us(client);
        link->pool_next = pool->idle;
        pool->idle = link;
        pool->idle_count++;
        pool->warm_wait_us = WARM_FIRST_US;
        if (lease_idle_us >= 0 && pool->idle_count > (uint32_t)client->settings->options.leases_min)
            announce(pool, link->idle_since_us + lease_idle_us, &outcome);
    } else {
        pool->destroyed += !is_kept;
        surplus = link;
    }
    serve_line(client, &outcome);
    warm(client, roan_now_us(client), &outcome);
    pthread_mutex_unlock(&pool->lock);
    if (surplus != NULL)
        destroy_link(client, surplus, &outcome);
    roan_outcome_finish(client, &outcome);
}

void roan_pool_give(roan *client, roan_link *link)
{
    give(client, link, roan_pool_is_clean(link));
}

void roan_pool_destroy(roan *client, roan_link *link)
{
    give(client, link, false);
}

/* ---- futures in line ---- */

pthread_mutex_t *roan_pool_lock_future(roan_future *future)
{
    roan_pool *pool = &future->client->pool;

    if (future->link == NULL) {
        pthread_mutex_lock(&pool->lock);
        if (future->link == NULL)
            return &pool->lock;
        pthread_mutex_unlock(&pool->lock);
    }
    pthread_mutex_lock(&future->link->lock);
    return &future->link->lock;
}

void roan_pool_cancel(roan_future *future, const roan_failure *why, roan_outcome *outcome)
{
    roan_pool *pool = &future->client->pool;

    for (roan_ticket *at = pool->first; at != NULL; at = at->next)
        if (at->future == future) {
            dequeue(pool, at);
            free(at);
            settle_in_line(future, why, outcome);
            roan_drop(future);
            return;
        }
}

/* Pool's lock held: who has waited in line for too long. Returns when the next one has. */
static int64_t expire_line(roan *client, int64_t now_us, roan_outcome *outcome)
{
    int64_t due_us = ROAN_NO_DEADLINE;
    roan_failure failure;

    fail_line_timeout(client, &failure);
    for (roan_ticket *at = client->pool.first, *next; at != NULL; at = next) {
        next = at->next;
        if (at->until_us > now_us) {
            due_us = ROAN_MIN(due_us, at->until_us);
        } else if (at->future != NULL) {
            roan_pool_cancel(at->future, &failure, outcome);
        } else {
            at->is_late = true;
            roan_outcome_wake(outcome, at->word);
        }
    }
    return due_us;
}

static bool has_ended(roan_link *link)
{
    bool ended;

    pthread_mutex_lock(&link->lock);
    ended = link->state == ROAN_LINK_CLOSED;
    pthread_mutex_unlock(&link->lock);
    return ended;
}

/* Pool's lock held: moves idle links that nobody needs, or that have ended, to *ret_old; the longest idle come last. */
static int64_t expire_idle(roan *client, int64_t now_us, roan_link **ret_old)
{
    roan_pool *pool = &client->pool;
    const roan_options *options = &client->settings->options;
    int64_t due_us = ROAN_NO_DEADLINE;
    uint32_t position = 0;

    for (roan_link **at = &pool->idle; *at != NULL;) {
        roan_link *link = *at;
        bool is_surplus = options->lease_idle_ms >= 0 && position >= (uint32_t)options->leases_min;
        int64_t end_us = is_surplus ? link->idle_since_us + (int64_t)options->lease_idle_ms * 1000 : ROAN_NO_DEADLINE;
        bool ended = has_ended(link);
        if (end_us > now_us && !ended) {
            due_us = ROAN_MIN(due_us, end_us);
            at = &link->pool_next;
            position++;
            continue;
        }
        if (ended)
            pool->warm_wait_us = ROAN_MIN(pool->warm_wait_us * 2, WARM_MAX_US);
        *at = link->pool_next;
        pool->idle_count--;
        link->pool_next = *ret_old;
        *ret_old = link;
    }
    return due_us;
}

int64_t roan_pool_expire(roan *client, int64_t now_us)
{
    roan_pool *pool = &client->pool;
    int64_t due_us;
    roan_link *old = NULL;
    roan_outcome outcome;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&pool->lock);
    due_us = expire_line(client, now_us, &outcome);
    due_us = ROAN_MIN(due_us, expire_idle(client, now_us, &old));
    if (pool->warm_us > 0)
        warm(client, now_us, &outcome);
    if (pool->warm_us > now_us)
        due_us = ROAN_MIN(due_us, pool->warm_us);
    announce(pool, due_us, &outcome);
    pool->due_us = due_us;
    pthread_mutex_unlock(&pool->lock);
    while (old != NULL) {
        roan_link *link = old;
        old = link->pool_next;
        destroy_link(client, link, &outcome);
    }
    roan_outcome_finish(client, &outcome);
    return due_us;
}

int64_t roan_pool_due_us(roan *client)
{
    int64_t due_us;

    pthread_mutex_lock(&client->pool.lock);
    due_us = client->pool.due_us;
    pthread_mutex_unlock(&client->pool.lock);
    return due_us;
}

void roan_pool_wait(roan_future *future, int64_t until_us)
{
    roan *client = future->client;
    roan_wait_node node = {.word = roan_park_word()};
    pthread_mutex_t *lock;

    if (future->link != NULL)
        return;
    lock = roan_pool_lock_future(future);
    node.next = future->waiters;
    future->waiters = &node;
    while (future->link == NULL && !roan_is_settled(future)) {
        int64_t now_us = roan_now_us(client);
        int64_t next_us;
        if (now_us >= until_us)
            break;
        pthread_mutex_unlock(lock);
        next_us = ROAN_MIN(until_us, roan_pool_expire(client, now_us));
        if (!roan_is_settled(future) && future->link == NULL)
            wait_in_line(client, node.word, now_us, next_us);
        lock = roan_pool_lock_future(future);
    }
    for (roan_wait_node **at = &future->waiters; *at != NULL; at = &(*at)->next)
        if (*at == &node) {
            *at = node.next;
            break;
        }
    pthread_mutex_unlock(lock);
}

/* ---- the end ---- */

bool roan_pool_is_busy(roan *client)
{
    roan_pool *pool = &client->pool;
    bool is_busy;

    pthread_mutex_lock(&pool->lock);
    is_busy = pool->blocked != NULL;
    for (const roan_ticket *at = pool->first; at != NULL; at = at->next)
        is_busy |= at->future != NULL;
    pthread_mutex_unlock(&pool->lock);
    return is_busy;
}

/* Pool's lock held: those in line. */
static void close_line(roan_pool *pool, const roan_failure *why, roan_outcome *outcome)
{
    for (roan_ticket *at = pool->first, *next; at != NULL; at = next) {
        next = at->next;
        if (at->future != NULL)
            roan_pool_cancel(at->future, why, outcome);
        else
            roan_outcome_wake(outcome, at->word);
    }
}

/* Its command fails, and with that it comes back to be destroyed. */
static void close_blocked(roan *client, roan_link *link, const roan_failure *why)
{
    roan_outcome outcome;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    roan_link_close(link, why, &outcome);
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(client, &outcome);
    roan_link_drop(link);
}

void roan_pool_close(roan *client, const roan_failure *why)
{
    roan_pool *pool = &client->pool;
    roan_outcome outcome;
    roan_link *idle;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&pool->lock);
    pool->is_closed = true;
    close_line(pool, why, &outcome);
    idle = pool->idle;
    pool->idle = NULL;
    pool->idle_count = 0;
    while (pool->blocked != NULL) {
        roan_link *link = pool->blocked;
        pool->blocked = link->pool_next;
        roan_link_keep(link);
        pthread_mutex_unlock(&pool->lock);
        close_blocked(client, link, why);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    while (idle != NULL) {
        roan_link *link = idle;
        idle = link->pool_next;
        destroy_link(client, link, &outcome);
    }
    roan_outcome_finish(client, &outcome);
}
