/* client/drive.c: see drive.h. */
#include "client/drive.h"

#include "base/macros.h"
#include "client/handle.h"

#include <stdlib.h>

/* Pending requests above which a round counts as busy; busy rounds in a row until the background takes over. */
#define BUSY_PENDING 8
#define BUSY_ROUNDS 64

/* A driver without a connection looks at its link so often; see also receive() in roan/transport.h. */
#define IDLE_WAIT_US 100000

bool roan_drive_is_background(const roan_link *link)
{
    return link->is_owned || link->client->root->settings->options.drive == ROAN_DRIVE_THREAD;
}

static bool may_take_role(const roan_link *link)
{
    if (roan_drive_is_background(link))
        return false;
    return link->driver == ROAN_DRIVER_NONE || (link->driver == ROAN_DRIVER_BACKGROUND && link->is_polled);
}

/* One step of the driver: timers, sending, and then waiting for the server, at most until until_us. */
static void step(roan_link *link, int64_t until_us, roan_outcome *outcome)
{
    const roan_transport *transport = link->client->transport;
    int64_t now_us = roan_now_us(link->client);
    int64_t wait_us = ROAN_MIN(until_us, roan_link_due_us(link)) - now_us;
    roan_wire *wire = link->wire;

    wait_us = ROAN_MAX(wait_us, 0);
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
    for (;;) {
        if (link->state != ROAN_LINK_READY || roan_now_us(link->client) >= roan_link_due_us(link))
            roan_link_progress(link, outcome);
        roan_link_flush(link, outcome);
        if (is_ready(argument) || roan_now_us(link->client) >= until_us)
            break;
        step(link, until_us, outcome);
    }
    link->driver = ROAN_DRIVER_NONE;
}

static bool note_contention(roan_link *link)
{
    link->busy_rounds = link->pending_count > BUSY_PENDING ? link->busy_rounds + 1 : 0;
    if (link->busy_rounds < BUSY_ROUNDS || link->client->root->settings->options.drive != ROAN_DRIVE_AUTO ||
        link->client->transport->fd == NULL || link->wire == NULL || link->wire->stream->transport->fd(link->wire->stream) < 0)
        return false;
    link->is_owned = true;
    link->busy_rounds = link->quiet_rounds = 0;
    return true;
}

void roan_drive_pass_on(roan_link *link, roan_outcome *outcome)
{
    if (link->driver != ROAN_DRIVER_NONE)
        return;
    if (link->pending_count == 0 && link->delayed == NULL && !link->is_wanted && link->watchers == NULL)
        return;
    if (!note_contention(link)) {
        for (roan_future *at = link->tail; at != NULL; at = at->previous)
            if (at->waiters != NULL && !atomic_load_explicit(&at->is_settled, memory_order_relaxed)) {
                roan_outcome_wake(outcome, at->waiters->word);
                return;
            }
        for (roan_future *at = link->delayed; at != NULL; at = at->next)
            if (at->waiters != NULL) {
                roan_outcome_wake(outcome, at->waiters->word);
                return;
            }
        if (link->watchers != NULL) {
            roan_outcome_wake(outcome, link->watchers->word);
            return;
        }
    }
    outcome->wakes_background = true;
}

void roan_drive_asynchronously(roan_link *link, roan_outcome *outcome)
{
    (void)link;
    outcome->wakes_background = true;
}

void roan_drive_wait(roan_link *link, roan_ready_fn is_ready, const void *argument, roan_wait_node *node,
                     int64_t until_us, roan_outcome *outcome)
{
    while (!is_ready(argument)) {
        int64_t now_us = roan_now_us(link->client);
        int64_t wait_us;
        if (now_us >= until_us)
            break;
        if (may_take_role(link)) {
            drive(link, is_ready, argument, until_us, outcome);
            break;
        }
        if (roan_drive_is_background(link) || link->driver == ROAN_DRIVER_BACKGROUND)
            outcome->wakes_background = true;
        else
            roan_link_flush(link, outcome); /* the driver sleeps in receive(), most likely */
        if (is_ready(argument))
            break;
        wait_us = ROAN_MIN(until_us, link->next_deadline_us);
        wait_us = wait_us == ROAN_NO_DEADLINE ? -1 : ROAN_MAX(wait_us - now_us, 0) + 1;
        pthread_mutex_unlock(&link->lock);
        roan_outcome_finish(link->client, outcome);
        roan_park(node->word, wait_us);
        pthread_mutex_lock(&link->lock);
        roan_link_expire(link, roan_now_us(link->client), outcome);
    }
    roan_drive_pass_on(link, outcome);
}
