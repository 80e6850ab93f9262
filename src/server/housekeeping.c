/* server/housekeeping.c: idle connections, output limits over time, client eviction, the end. */
#include "server/housekeeping.h"

#include "base/macros.h"
#include "engine/stats.h"
#include "server/client_memory.h"
#include "server/connection.h"

#include <time.h>
#include <unistd.h>

#define DRAIN_MS_MAX 200

static void sweep_connection(roan_worker *worker, roan_connection *connection)
{
    roan_session *session = &connection->session;
    const roan_config *config = &worker->server->engine->config;
    int64_t idle_ms = worker->lane->now_ms - session->last_command_ms;
    if (connection->is_closing)
        return;
    bool may_idle =
        session->modes & (ROAN_MODE_MONITOR | ROAN_MODE_SUBSCRIBED) || session->is_blocked || session->is_paused;
    if (config->timeout_s > 0 && !may_idle && idle_ms > config->timeout_s * 1000) {
        roan_log_write(&worker->server->log, ROAN_LOG_VERBOSE, "Closing idle client");
        roan_connection_close_now(connection);
        return;
    }
    if (session->soft_limit_since_ms != 0 || connection->is_sending)
        roan_connection_flush(connection);
    roan_connection_tidy(connection);
}

void roan_worker_sweep(roan_worker *worker)
{
    for (roan_session *s = worker->lane->sessions, *next; s != NULL; s = next) {
        next = s->next;
        if (s->ops == &roan_connection_ops)
            sweep_connection(worker, roan_connection_of_session(s));
    }
    roan_client_memory_sweep(worker);
}

static bool has_output(const roan_worker *worker)
{
    for (roan_session *s = worker->lane->sessions; s != NULL; s = s->next)
        if (s->ops == &roan_connection_ops && roan_connection_output_bytes(roan_connection_of_session(s)) > 0)
            return true;
    return false;
}

/* Milliseconds of the real time, whatever the engine's clock says. */
static int64_t real_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for loop events that are about connections that exist already. */
static void drain_round(roan_worker *worker, roan_net_event *events, unsigned events_max, int64_t timeout_us)
{
    unsigned count = roan_net_wait(worker->net, timeout_us, events, events_max);
    for (unsigned i = 0; i < count; i++) {
        roan_connection *connection = events[i].socket == NULL ? NULL : events[i].socket->owner;
        if (events[i].type == ROAN_NET_ACCEPTED)
            close(events[i].fd);
        if (connection == NULL)
            continue;
        if (events[i].type == ROAN_NET_SENT || events[i].type == ROAN_NET_SEND_FAILED)
            roan_connection_sent(connection, events[i].error);
        else if (events[i].type == ROAN_NET_EOF)
            roan_connection_close_now(connection);
        else if (events[i].type == ROAN_NET_CLOSED)
            roan_connection_closed(connection);
    }
    roan_net_recycle(worker->net);
}

void roan_worker_drain(roan_worker *worker, roan_net_event *events, unsigned events_max)
{
    roan_lane *lane = worker->lane;
    int64_t start_ms = real_ms();
    roan_lane_deliver_mail(lane);
    for (roan_session *s = lane->sessions; s != NULL; s = s->next)
        if (s->ops == &roan_connection_ops)
            roan_connection_flush(roan_connection_of_session(s));
    while (has_output(worker) && real_ms() - start_ms < DRAIN_MS_MAX)
        drain_round(worker, events, events_max, 10000);
    for (roan_session *s = lane->sessions; s != NULL; s = s->next)
        if (s->ops == &roan_connection_ops)
            roan_connection_close_now(roan_connection_of_session(s));
    while (lane->session_count > 0 && real_ms() - start_ms < 2 * DRAIN_MS_MAX)
        drain_round(worker, events, events_max, 10000);
}
