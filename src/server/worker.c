/* server/worker.c: a worker's loop.
 *
 *   outside the gate: sleep in the loop
 *   inside: events -> requests gathered into a batch -> executed -> replies handed to the loop -> mail, timers, cron
 *
 * A batch collects requests over all connections that are ready, so that their keys can be prefetched together. It is
 * executed when it is full, when a connection in it has more input, and at the end of the round.
 */
#include "server/server.h"

#include "base/macros.h"
#include "engine/broadcast.h"
#include "engine/stats.h"
#include "server/client_memory.h"
#include "server/crash.h"
#include "server/housekeeping.h"
#include "server/overrun.h"
#include "server/visit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 512

void roan_worker_init(roan_worker *worker, roan_server *server, unsigned index)
{
    *worker = (roan_worker){.server = server, .lane = &server->engine->lanes[index]};
    worker->lane->host_lane = worker;
}

/* `auto` says why it is not io_uring, once. */
roan_status roan_worker_open_net(roan_worker *worker, roan_error *reterr)
{
    roan_error problem;
    roan_net_kind kind = (roan_net_kind)worker->server->engine->config.io;
    roan_net_options options = {.kind = kind == ROAN_NET_AUTO ? ROAN_NET_URING : kind, .lazy_sent = true};
    if (roan_net_create(&options, &worker->net, &problem) == ROAN_OK)
        return ROAN_OK;
    if (kind == ROAN_NET_URING)
        return roan_error_set(reterr, problem.code, "--io uring: %s; --io auto takes epoll instead", problem.text);
    if (kind == ROAN_NET_EPOLL)
        return roan_error_set(reterr, problem.code, "%s", problem.text);
    if (worker == worker->server->workers)
        roan_log_write(&worker->server->log, ROAN_LOG_NOTICE, "io_uring cannot be used here, so epoll is: %s",
                       problem.text);
    options.kind = ROAN_NET_EPOLL;
    return roan_net_create(&options, &worker->net, reterr);
}

void roan_worker_sync_listeners(roan_worker *worker)
{
    roan_error error;
    if (worker->net != NULL && roan_listeners_sync(&worker->server->listeners, worker->net, &error) != ROAN_OK)
        roan_log_write(&worker->server->log, ROAN_LOG_WARNING, "accepting on the new addresses: %s", error.text);
}

void roan_worker_done(roan_worker *worker)
{
    roan_overrun_done(worker);
    roan_worker_refuse_visits(worker);
    worker->net = roan_net_free(worker->net);
    for (roan_session *s = worker->lane->sessions, *next; s != NULL; s = next) { /* drain gave them up */
        next = s->next;
        if (s->ops != &roan_connection_ops)
            continue;
        close(roan_connection_of_session(s)->socket.fd);
        roan_connection_closed(roan_connection_of_session(s));
    }
}

/* Marks the rest of the connection's requests in the batch as not to be run: their bytes are kept. */
static void stop_connection(roan_worker *worker, size_t from, roan_connection *connection, const char *keep_from)
{
    connection->input_at = keep_from;
    for (size_t i = from; i < worker->item_count; i++)
        if (worker->items[i].connection == connection)
            worker->items[i].connection = NULL;
}

static void run_item(roan_worker *worker, size_t index)
{
    roan_batch_item *item = &worker->items[index];
    roan_connection *connection = item->connection;
    roan_session *session = &connection->session;
    roan_gate_pass(worker->lane); /* meanwhile another worker may close the session */
    if (ROAN_UNLIKELY(session->is_closing))
        return;
    roan_outcome outcome = roan_execute(session, &item->request);
    if (ROAN_LIKELY(outcome == ROAN_DONE && !session->is_closing))
        return;
    stop_connection(worker, index + 1, connection, outcome == ROAN_HELD ? item->start : item->end);
}

static void flush_dirty(roan_worker *worker)
{
    while (worker->dirty != NULL) {
        roan_connection *connection = worker->dirty;
        worker->dirty = connection->next_dirty;
        connection->is_dirty = false;
        roan_connection_flush(connection);
    }
}

void roan_worker_run_batch(roan_worker *worker)
{
    for (size_t i = 0; i < worker->item_count; i++)
        roan_request_prefetch_slots(&worker->items[i].request);
    for (size_t i = 0; i < worker->item_count; i++)
        roan_request_prefetch_entry(&worker->items[i].request);
    for (size_t i = 0; i < worker->item_count; i++)
        if (ROAN_LIKELY(worker->items[i].connection != NULL)) {
            worker->item_at = i;
            run_item(worker, i);
        }
    worker->item_count = worker->word_count = 0;
    while (worker->fed != NULL) {
        roan_connection *connection = worker->fed;
        worker->fed = connection->next_fed;
        connection->is_fed = false;
        if (!connection->is_parsing)
            roan_connection_keep_rest(connection);
        if (ROAN_UNLIKELY(connection->session.transaction != NULL))
            roan_client_memory_grown(connection);
        roan_connection_flush_early(connection);
        roan_connection_mark_dirty(connection);
    }
}

/* The connection's part in the batch is over. */
static void leave_batch(roan_connection *connection)
{
    connection->is_fed = false;
    roan_connection_keep_rest(connection);
    roan_connection_mark_dirty(connection);
}

void roan_worker_finish_others(roan_worker *worker)
{
    const roan_connection *caller = worker->items[worker->item_at].connection;
    size_t caller_at = worker->item_at;
    for (size_t i = caller_at + 1; i < worker->item_count; i++) {
        const roan_connection *connection = worker->items[i].connection;
        if (connection == NULL || connection == caller || connection->is_parsing)
            continue;
        run_item(worker, i);
        worker->items[i].connection = NULL;
    }
    worker->item_at = caller_at;
    for (roan_connection **at = &worker->fed; *at != NULL;) {
        roan_connection *connection = *at;
        if (connection == caller || connection->is_parsing) {
            at = &connection->next_fed;
            continue;
        }
        *at = connection->next_fed;
        leave_batch(connection);
    }
}

/* ---- accepting ---- */

typedef struct connection_mail {
    roan_mail mail;
    int fd;
} connection_mail;

static void deliver_connection(roan_mail *mail, void *receiver)
{
    roan_lane *lane = receiver;
    int fd = ((connection_mail *)mail)->fd;
    roan_free(mail, sizeof(connection_mail));
    roan_worker *worker = lane->host_lane;
    if (worker->net != NULL) {
        roan_connection_open(worker, fd);
    } else { /* the server stops */
        atomic_fetch_sub(&worker->server->connection_count, 1);
        close(fd);
    }
}

void roan_worker_accept(roan_worker *worker, int fd)
{
    roan_server *server = worker->server;
    if (atomic_fetch_add(&server->connection_count, 1) >= (uint32_t)server->engine->config.maxclients) {
        static const char text[] = "-ERR max number of clients reached\r\n";
        atomic_fetch_sub(&server->connection_count, 1);
        worker->lane->stats->rejected_connections++;
        ROAN_IGNORE(send(fd, text, sizeof text - 1, MSG_NOSIGNAL)); /* the peer may be gone already */
        close(fd);
        return;
    }
    roan_worker *target = &server->workers[server->next_worker++ % server->worker_count];
    if (target == worker) {
        roan_connection_open(worker, fd);
        return;
    }
    connection_mail *message = roan_alloc(sizeof *message);
    *message = (connection_mail){.mail.deliver = deliver_connection, .fd = fd};
    roan_lane_send(target->lane, &message->mail);
}

/* ---- the loop ---- */

void roan_worker_handle_event(roan_worker *worker, const roan_net_event *event)
{
    roan_connection *connection = event->socket == NULL ? NULL : event->socket->owner;
    switch (event->type) {
    case ROAN_NET_ACCEPTED:
        roan_worker_accept(worker, event->fd);
        break;
    case ROAN_NET_RECEIVED:
        roan_connection_received(connection, event->data, event->bytes);
        break;
    case ROAN_NET_EOF:
        roan_worker_run_batch(worker);
        roan_connection_ended(connection, event->error);
        break;
    case ROAN_NET_SENT:
        roan_connection_sent(connection, 0);
        break;
    case ROAN_NET_SEND_FAILED:
        roan_connection_sent(connection, event->error);
        break;
    case ROAN_NET_CLOSED:
        if (connection != NULL && connection->is_fed)
            roan_worker_run_batch(worker);
        if (connection != NULL)
            roan_connection_closed(connection);
        else
            roan_listeners_closed(&worker->server->listeners, event->socket);
        break;
    case ROAN_NET_ACCEPT_FAILED:
        if (event->error == EINVAL) /* CONFIG SET shut it down a moment ago, see listeners.c */
            break;
        roan_log_write(&worker->server->log, ROAN_LOG_WARNING, "accepting a connection: %s", strerror(event->error));
        break;
    case ROAN_NET_WOKEN:
        break;
    }
}

void roan_worker_continue_ready(roan_worker *worker)
{
    roan_connection *kept = NULL;
    while (worker->ready != NULL) { /* what gets ready from now on waits for the next round */
        roan_connection *connection = worker->ready;
        worker->ready = connection->next_ready;
        connection->next_ready = worker->continuing;
        worker->continuing = connection;
    }
    while (worker->continuing != NULL) { /* a script that overruns goes on with the rest of them by itself */
        roan_connection *connection = worker->continuing;
        worker->continuing = connection->next_ready;
        if (ROAN_UNLIKELY(connection->is_set_aside)) {
            connection->next_ready = kept;
            kept = connection;
            continue;
        }
        connection->is_ready = false;
        roan_connection_continue(connection);
    }
    while (kept != NULL) {
        roan_connection *connection = kept;
        kept = connection->next_ready;
        connection->next_ready = worker->ready;
        worker->ready = connection;
    }
    roan_worker_run_batch(worker);
}

/* When the last command ended, on a clock that nobody sets. */
static int64_t monotonic_us(const roan_lane *lane)
{
    return roan_clock_ticks_to_us(lane->engine->clock, lane->ticks);
}

/* Microseconds the loop may sleep. */
static int64_t sleep_us(roan_worker *worker)
{
    roan_lane *lane = worker->lane;
    if (worker->ready != NULL || worker->dirty != NULL || roan_lane_has_mail(lane) ||
        (lane->held_count > 0 && lane->stripe_freed != 0))
        return 0;
    int64_t until_cron = worker->next_cron_us - monotonic_us(lane);
    int64_t until_work = lane->next_work_us == INT64_MAX ? INT64_MAX : lane->next_work_us - lane->now_us;
    int64_t timeout = ROAN_MAX(ROAN_MIN(until_cron, until_work), 0);
    if (lane->timer_count > 0)
        timeout = ROAN_MIN(timeout, ROAN_MAX(lane->timers[0]->deadline_us - lane->now_us, 0));
    if (lane->is_paused)
        timeout = ROAN_MIN(timeout, ROAN_MAX(lane->engine->pause_until_ms - lane->now_ms, 0) * 1000);
    return timeout;
}

static uint64_t ns_since(const roan_lane *lane, uint64_t ticks)
{
    return roan_clock_ticks_to_ns(lane->engine->clock, roan_clock_ticks(lane->engine->clock) - ticks);
}

static void run_cron(roan_worker *worker)
{
    roan_lane *lane = worker->lane;
    int64_t now_us = monotonic_us(lane);
    if (now_us < worker->next_cron_us)
        return;
    int64_t hz = lane->engine->config.hz > 0 ? lane->engine->config.hz : 10;
    uint64_t start = roan_clock_ticks(lane->engine->clock);
    worker->next_cron_us = now_us + 1000000 / hz;
    roan_lane_cron(lane);
    roan_worker_sweep(worker);
    lane->stats->cron_ns += ns_since(lane, start);
}

static void run_round(roan_worker *worker, roan_net_event *events)
{
    roan_lane *lane = worker->lane;
    int64_t timeout_us = sleep_us(worker);
    roan_gate_leave(lane);
    unsigned count = roan_net_wait(worker->net, timeout_us, events, EVENTS_MAX);
    roan_gate_enter(lane);
    roan_lane_update_time(lane);
    uint64_t start = lane->ticks, commands_before = lane->stats->commands;
    worker->events = events;
    worker->event_count = count;
    for (worker->event_at = 0; worker->event_at < count;) {
        const roan_net_event *event = &events[worker->event_at++];
        roan_worker_handle_event(worker, event);
    }
    roan_worker_run_batch(worker);
    if (ROAN_UNLIKELY(worker->overrun != NULL))
        roan_overrun_end(worker);
    roan_net_recycle(worker->net);
    roan_lane_deliver_mail(lane);
    ROAN_IGNORE(roan_lane_run_timers(lane)); /* sleep_us looks at them again */
    if (worker->ready != NULL)
        roan_worker_continue_ready(worker);
    run_cron(worker);
    if (ROAN_UNLIKELY(lane->next_work_us <= lane->now_us))
        roan_lane_work(lane);
    if (ROAN_UNLIKELY(worker->visits != NULL))
        roan_worker_receive_visits(worker);
    roan_broadcast_flush(lane);
    flush_dirty(worker);
    roan_stats_record_loop(lane->stats, ns_since(lane, start), commands_before);
}

static void log_stop(roan_server *server)
{
    int signal_number = atomic_load(&server->stop_signal);
    if (signal_number != 0)
        roan_log_write(&server->log, ROAN_LOG_NOTICE, "Received SIG%s, ending", sigabbrev_np(signal_number));
}

void roan_worker_run(roan_worker *worker)
{
    roan_server *server = worker->server;
    roan_net_event *events = roan_alloc(EVENTS_MAX * sizeof *events);
    roan_alloc_counter_of_thread();
    if (server->process != NULL)
        roan_crash_enter_thread();
    roan_gate_enter(worker->lane);
    roan_lane_update_time(worker->lane);
    while (atomic_load_explicit(&server->stopping, memory_order_relaxed) == 0)
        run_round(worker, events);
    if (worker == server->workers)
        log_stop(server);
    roan_worker_drain(worker, events, EVENTS_MAX);
    roan_gate_leave(worker->lane);
    if (server->process != NULL)
        roan_crash_leave_thread();
    roan_free(events, EVENTS_MAX * sizeof *events);
}
