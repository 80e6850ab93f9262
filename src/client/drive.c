/* client/drive.c: see drive.h. */
#include "client/drive.h"

#include "base/macros.h"
#include "client/handle.h"

#include <stdlib.h>

/* Waiting threads from which on a change of drivers counts as busy; busy ones in a row until the background takes
 * over. */
#define BUSY_CALLERS 8
#define BUSY_ROUNDS 64

/* Waits from which on a caller is expected to come; how long the link is held for it; when the ticking ends. */
#define WAITS_EXPECTED 16
#define WAITS_MAX 64
#define HELD_US 1000
#define TICKING_US 20000
/* What a caller may leave unsent. */
#define HELD_COUNT_MAX 256
#define HELD_BYTES_MAX 32768

/* Writes without an answer up to which an asynchronous call is sent at once. */
#define BATCHES_MAX 2

/* Without a deadline; far from where sums of times overflow. */
#define WAIT_US_MAX (INT64_C(1000000) * 3600 * 24)

/* A driver without a connection looks at its link so often; see also receive() in roan/transport.h. */
#define IDLE_WAIT_US 100000

bool roan_drive_is_background(const roan_link *link)
{
    return link->is_owned || (link->client->root->settings->options.drive == ROAN_DRIVE_THREAD &&
                              link->client->transport->has_descriptors); /* else there is no thread */
}

static bool may_take_role(const roan_link *link)
{
    if (roan_drive_is_background(link))
        return false;
    return link->driver == ROAN_DRIVER_NONE || (link->driver == ROAN_DRIVER_BACKGROUND && link->is_polled);
}

static bool has_passed(const roan_link *link, int64_t until_us)
{
    return until_us != ROAN_NO_DEADLINE && roan_now_us(link->client) >= until_us;
}

/* One step of the driver: waits for the server, at most until until_us. */
static void step(roan_link *link, int64_t now_us, int64_t until_us, roan_outcome *outcome)
{
    const roan_transport *transport = link->client->transport;
    int64_t wait_us = ROAN_MIN(until_us, roan_link_due_us(link)) - now_us;
    roan_wire *wire = link->wire;

    wait_us = ROAN_MIN(ROAN_MAX(wait_us, 0), WAIT_US_MAX);
    if (wire != NULL && link->state != ROAN_LINK_OPENING && (!link->is_blocked || link->is_sending)) {
        roan_link_receive(link, wait_us, outcome);
        return;
    }
    wait_us = ROAN_MIN(wait_us, IDLE_WAIT_US);
    roan_wait_item item = {.want_receive = true, .want_send = true};
    if (wire != NULL) {
        item.stream = wire->stream;
        wire->users++;
    }
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(link->client, outcome);
    transport->wait(transport->state, &item, wire != NULL, -1, wait_us);
    pthread_mutex_lock(&link->lock);
    if (wire == NULL || !roan_link_leave_wire(link, wire) || link->state == ROAN_LINK_OPENING)
        return;
    link->is_blocked = false; /* try again */
    roan_link_receive(link, 0, outcome);
}

static void drive(roan_link *link, roan_ready_fn is_ready, const void *argument, int64_t until_us,
                  roan_outcome *outcome)
{
    link->driver = ROAN_DRIVER_CALLER;
    link->driver_thread = pthread_self();
    link->is_held = false;
    atomic_store_explicit(&link->baton, NULL, memory_order_relaxed);
    for (;;) {
        bool is_done = is_ready(argument); /* then what is due is for who drives next */
        int64_t now_us = is_done ? 0 : roan_now_us(link->client);
        if (!is_done && (link->state != ROAN_LINK_READY || now_us >= roan_link_due_us(link)))
            roan_link_progress(link, outcome);
        roan_link_flush(link, outcome);
        if (is_done || is_ready(argument) || now_us >= until_us)
            break;
        step(link, now_us, until_us, outcome);
    }
    link->driver = ROAN_DRIVER_NONE;
    if (link->wire != NULL && link->watched_fd < 0 && link->client->root->settings->options.drive == ROAN_DRIVE_LOOP)
        outcome->wakes_background = true; /* the loop does not know this connection yet */
    if (link->is_wanted)
        link->driven_us = roan_now_us(link->client);
}

static bool note_contention(roan_link *link)
{
    link->busy_rounds = atomic_load_explicit(&link->callers, memory_order_relaxed) >= BUSY_CALLERS
                            ? link->busy_rounds + 1 : 0;
    if (link->busy_rounds < BUSY_ROUNDS || link->client->root->settings->options.drive != ROAN_DRIVE_AUTO ||
        !link->client->transport->has_descriptors)
        return false;
    link->is_owned = true;
    link->busy_rounds = link->quiet_rounds = 0;
    return true;
}

/* The first that is not the calling thread's own, which may be in the list still. */
static roan_wait_node *other_than_us(roan_wait_node *node)
{
    while (node != NULL && node->word == roan_park_word())
        node = node->next;
    return node;
}

/* Somebody else who waits with nothing to do, or NULL. */
static roan_wait_node *find_waiter(const roan_link *link)
{
    roan_wait_node *waiter;

    for (roan_future *at = link->tail; at != NULL; at = at->previous)
        if ((waiter = other_than_us(at->waiters)) != NULL)
            return waiter;
    for (roan_future *at = link->delayed; at != NULL; at = at->next)
        if ((waiter = other_than_us(at->waiters)) != NULL)
            return waiter;
    return other_than_us(link->watchers);
}

/* A caller takes messages, will come back, and the background will look whether it has. */
static bool is_left_to_caller(const roan_link *link)
{
    return link->pending_count == 0 && link->delayed == NULL && roan_link_is_attended(link) &&
           link->looks_us <= atomic_load_explicit(&link->attended_us, memory_order_relaxed) + 2 * ROAN_ATTEND_US;
}

/* ---- holding ---- */

static bool expects_wait(const roan_link *link)
{
    return link->waits_seen >= WAITS_EXPECTED && link->state == ROAN_LINK_READY && !roan_drive_is_background(link) &&
           !link->is_wanted && link->client->root->settings->options.drive == ROAN_DRIVE_AUTO;
}

void roan_drive_note_wait(roan_link *link)
{
    link->waits_seen = (uint8_t)ROAN_MIN(link->waits_seen + 1, WAITS_MAX);
}

void roan_drive_note_no_wait(roan_link *link)
{
    link->waits_seen = 0;
    link->is_held = false;
}

/* Leaves the link to the caller who will come. False: the background must know of it. */
static bool hold(roan_link *link)
{
    if (!expects_wait(link))
        return false;
    if (!link->is_held)
        link->held_since_us = roan_now_us(link->client);
    link->is_held = true;
    return link->is_ticking;
}

bool roan_drive_is_held(roan_link *link, int64_t now_us, int64_t *due_us)
{
    if (!expects_wait(link) || (link->async_count == 0 && now_us - link->used_us > TICKING_US)) {
        link->is_ticking = false;
        return false;
    }
    if (link->is_held && link->async_count > 0 && now_us - link->held_since_us >= HELD_US) {
        link->is_ticking = false;
        roan_drive_note_no_wait(link); /* nobody came */
        return false;
    }
    link->is_ticking = true;
    *due_us = ROAN_MIN(*due_us, now_us + HELD_US);
    return true;
}

void roan_drive_pass_on(roan_link *link, roan_outcome *outcome)
{
    roan_wait_node *waiter;

    if (link->driver != ROAN_DRIVER_NONE)
        return;
    if (link->pending_count == 0 && link->delayed == NULL && !link->is_wanted && link->watchers == NULL)
        return;
    waiter = note_contention(link) ? NULL : find_waiter(link);
    if (waiter == NULL) {
        if (link->pending_count == 0 && link->delayed == NULL && !link->is_wanted)
            return; /* only we ourselves watched it */
        if (!is_left_to_caller(link) && !hold(link))
            outcome->wakes_background = true;
        return;
    }
    atomic_store_explicit(&link->baton, waiter->word, memory_order_relaxed);
    roan_outcome_wake(outcome, waiter->word);
}

void roan_drive_asynchronously(roan_link *link, roan_outcome *outcome)
{
    if (link->waiting_count < HELD_COUNT_MAX && link->waiting_bytes < HELD_BYTES_MAX && hold(link))
        return;
    if (link->is_held) {
        roan_link_flush(link, outcome);
        outcome->wakes_background |= !link->is_ticking;
        return;
    }
    if (roan_background_sends_later(link))
        return;
    bool is_watched = link->driver == ROAN_DRIVER_BACKGROUND && link->is_polled;

    if (!roan_drive_is_background(link) && link->batches < BATCHES_MAX)
        roan_link_flush(link, outcome);
    outcome->wakes_background |= !is_watched || link->state != ROAN_LINK_READY || roan_drive_is_background(link) ||
                                 link->next_deadline_us < link->polled_until_us;
}

/* One turn of a waiter: drives, or sends what it can and prepares to sleep. Lock held. True: it has driven. */
static bool drive_or_send(roan_link *link, roan_ready_fn is_ready, const void *argument, int64_t until_us,
                          roan_outcome *outcome)
{
    if (may_take_role(link)) {
        drive(link, is_ready, argument, until_us, outcome);
        return true;
    }
    if (roan_drive_is_background(link) || link->driver == ROAN_DRIVER_BACKGROUND)
        outcome->wakes_background = true;
    else
        roan_link_flush(link, outcome); /* the driver sleeps in receive(), most likely */
    return false;
}

/* Lock held; released. */
static void sleep_unlocked(roan_link *link, roan_wait_node *node, int64_t until_us, roan_outcome *outcome)
{
    int64_t due_us = ROAN_MIN(until_us, link->next_deadline_us);
    int64_t wait_us = due_us == ROAN_NO_DEADLINE ? -1 : ROAN_MAX(due_us - roan_now_us(link->client), 0) + 1;

    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(link->client, outcome);
    roan_park(node->word, wait_us);
}

void roan_drive_wait(roan_link *link, roan_ready_fn is_ready, const void *argument, roan_wait_node *node,
                     int64_t until_us, roan_outcome *outcome)
{
    while (!is_ready(argument) && !has_passed(link, until_us)) {
        if (drive_or_send(link, is_ready, argument, until_us, outcome) || is_ready(argument))
            continue;
        sleep_unlocked(link, node, until_us, outcome);
        pthread_mutex_lock(&link->lock);
        roan_link_expire(link, roan_now_us(link->client), outcome);
    }
    roan_drive_pass_on(link, outcome);
}

static bool future_is_settled(const void *argument)
{
    return roan_is_settled(argument);
}

void roan_drive_wait_settled(roan_link *link, roan_future *future, roan_wait_node *node, int64_t until_us,
                             roan_outcome *outcome)
{
    atomic_fetch_add_explicit(&link->callers, 1, memory_order_relaxed);
    while (!roan_is_settled(future) && !has_passed(link, until_us)) {
        if (drive_or_send(link, future_is_settled, future, until_us, outcome) || roan_is_settled(future))
            continue;
        sleep_unlocked(link, node, until_us, outcome);
        if (roan_is_settled(future) && atomic_load_explicit(&link->baton, memory_order_relaxed) != node->word)
            return;
        pthread_mutex_lock(&link->lock);
        roan_link_expire(link, roan_now_us(link->client), outcome);
    }
    if (atomic_load_explicit(&link->baton, memory_order_relaxed) == node->word)
        atomic_store_explicit(&link->baton, NULL, memory_order_relaxed);
    roan_link_leave_waiters(link, future, node, outcome);
    roan_drive_pass_on(link, outcome);
    pthread_mutex_unlock(&link->lock);
}

void roan_drive_leave(roan_link *link)
{
    atomic_fetch_sub_explicit(&link->callers, 1, memory_order_release);
}
