/* server/overrun.c: see overrun.h.
 *
 * Events of what is set aside are copied with their data, as the receive buffers go back to the loop at the end of each
 * short round. The first short round also takes over the events that the standing round has not handled yet, so that bytes
 * of a connection are never executed out of order.
 */
#include "server/overrun.h"

#include "base/macros.h"
#include "server/connection.h"

#define EVENTS_MAX 64

typedef struct roan_overrun {
    roan_net_event *kept; /* with data of their own */
    size_t kept_count, kept_room;
    size_t kept_at;       /* those before it were handled */
    /* the standing round's batch */
    size_t item_count, word_count, item_at;
    roan_connection *fed;
    roan_batch_item items[ROAN_BATCH_MAX];
    roan_slice words[ROAN_BATCH_WORDS];
} roan_overrun;

static roan_connection *connection_of(const roan_net_event *event)
{
    return event->socket == NULL ? NULL : event->socket->owner;
}

/* ---- setting aside ---- */

static void set_aside(roan_worker *worker, bool is_set_aside)
{
    const roan_overrun *overrun = worker->overrun;
    for (roan_connection *c = overrun->fed; c != NULL; c = c->next_fed)
        c->is_set_aside = is_set_aside;
    for (size_t i = overrun->kept_at; i < overrun->kept_count; i++)
        connection_of(&overrun->kept[i])->is_set_aside = is_set_aside;
}

static void save_batch(roan_worker *worker)
{
    roan_overrun *overrun = worker->overrun;
    overrun->item_count = worker->item_count;
    overrun->word_count = worker->word_count;
    overrun->item_at = worker->item_at;
    overrun->fed = worker->fed;
    memcpy(overrun->items, worker->items, worker->item_count * sizeof *worker->items);
    memcpy(overrun->words, worker->words, worker->word_count * sizeof *worker->words);
    worker->item_count = worker->word_count = 0;
    worker->fed = NULL;
}

static void restore_batch(roan_worker *worker)
{
    const roan_overrun *overrun = worker->overrun;
    ROAN_ASSERT(worker->item_count == 0 && worker->fed == NULL);
    worker->item_count = overrun->item_count;
    worker->word_count = overrun->word_count;
    worker->item_at = overrun->item_at;
    worker->fed = overrun->fed;
    memcpy(worker->items, overrun->items, overrun->item_count * sizeof *worker->items);
    memcpy(worker->words, overrun->words, overrun->word_count * sizeof *worker->words);
}

static void keep_event(roan_overrun *overrun, const roan_net_event *event)
{
    if (overrun->kept_count == overrun->kept_room) {
        size_t room = overrun->kept_room == 0 ? 16 : overrun->kept_room * 2;
        overrun->kept = roan_realloc(overrun->kept, overrun->kept_room * sizeof *overrun->kept, room * sizeof *overrun->kept);
        overrun->kept_room = room;
    }
    roan_net_event *kept = &overrun->kept[overrun->kept_count++];
    *kept = *event;
    if (event->type != ROAN_NET_RECEIVED || event->bytes == 0)
        return;
    kept->data = roan_alloc(event->bytes);
    memcpy(kept->data, event->data, event->bytes);
}

/* ---- a short round ---- */

static void handle_events(roan_worker *worker, const roan_net_event *events, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const roan_connection *connection = connection_of(&events[i]);
        if (connection != NULL && connection->is_set_aside)
            keep_event(worker->overrun, &events[i]);
        else
            roan_worker_handle_event(worker, &events[i]);
    }
    roan_worker_run_batch(worker);
}

static void flush_dirty(roan_worker *worker)
{
    roan_connection *connection = worker->dirty;
    worker->dirty = NULL;
    while (connection != NULL) {
        roan_connection *next = connection->next_dirty;
        if (connection->is_set_aside) {
            connection->next_dirty = worker->dirty;
            worker->dirty = connection;
        } else {
            connection->is_dirty = false;
            roan_connection_flush(connection);
        }
        connection = next;
    }
}

bool roan_overrun_serve(roan_worker *worker)
{
    roan_net_event events[EVENTS_MAX];
    if (worker->net == NULL)
        return false;
    if (worker->overrun == NULL)
        worker->overrun = roan_alloc_zero(sizeof *worker->overrun);
    roan_worker_finish_others(worker);
    save_batch(worker);
    set_aside(worker, true);
    unsigned first = worker->event_at;
    worker->event_at = worker->event_count;
    handle_events(worker, worker->events + first, worker->event_count - first);
    size_t lent = roan_net_lent(worker->net);
    unsigned count = roan_net_wait(worker->net, 0, events, EVENTS_MAX);
    handle_events(worker, events, count);
    roan_lane_deliver_mail(worker->lane);
    roan_worker_continue_ready(worker); /* those that wait for their turn are told that they cannot go on */
    flush_dirty(worker);
    roan_net_flush(worker->net);
    roan_net_recycle_from(worker->net, lent);
    set_aside(worker, false);
    restore_batch(worker);
    return atomic_load_explicit(&worker->server->stopping, memory_order_relaxed) == 0;
}

/* ---- afterwards ---- */

void roan_overrun_end(roan_worker *worker)
{
    roan_overrun *overrun = worker->overrun;
    while (overrun->kept_at < overrun->kept_count) { /* what runs now may overrun as well, and keep more */
        roan_net_event event = overrun->kept[overrun->kept_at++];
        roan_worker_handle_event(worker, &event);
        roan_worker_run_batch(worker);
        if (event.type == ROAN_NET_RECEIVED && event.bytes > 0)
            roan_free(event.data, event.bytes);
    }
    overrun->kept_count = overrun->kept_at = 0;
}

void roan_overrun_done(roan_worker *worker)
{
    roan_overrun *overrun = worker->overrun;
    if (overrun == NULL)
        return;
    for (size_t i = overrun->kept_at; i < overrun->kept_count; i++)
        if (overrun->kept[i].type == ROAN_NET_RECEIVED && overrun->kept[i].bytes > 0)
            roan_free(overrun->kept[i].data, overrun->kept[i].bytes);
    roan_free(overrun->kept, overrun->kept_room * sizeof *overrun->kept);
    roan_free(overrun, sizeof *overrun);
    worker->overrun = NULL;
}
