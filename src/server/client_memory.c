/* server/client_memory.c: see client_memory.h. */
#include "server/client_memory.h"

#include "base/macros.h"
#include "engine/stats.h"

#include <stdlib.h>

static void set_counted(roan_connection *connection, size_t bytes)
{
    atomic_fetch_add_explicit(&connection->worker->client_bytes, bytes - connection->counted_bytes,
                              memory_order_relaxed);
    connection->counted_bytes = bytes;
}

void roan_client_memory_forget(roan_connection *connection)
{
    if (connection->counted_bytes > 0)
        set_counted(connection, 0);
}

static size_t sum_of_workers(const roan_server *server)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < server->worker_count; i++)
        bytes += atomic_load_explicit(&server->workers[i].client_bytes, memory_order_relaxed);
    return bytes;
}

/* ---- evicting ---- */

static bool is_counted(const roan_session *session)
{
    return session->ops == &roan_connection_ops && !session->is_gone;
}

static int compare_largest_first(const void *a, const void *b)
{
    size_t x = (*(roan_connection *const *)a)->counted_bytes, y = (*(roan_connection *const *)b)->counted_bytes;
    return x > y ? -1 : x < y;
}

static void evict_connection(roan_lane *lane, roan_connection *connection)
{
    roan_log_write(&connection->worker->server->log, ROAN_LOG_NOTICE,
                   "Closing a client because clients are over maxmemory-clients: id=%llu addr=%s bytes=%zu",
                   (unsigned long long)connection->session.id, connection->peer, connection->counted_bytes);
    lane->stats->evicted_clients++;
    roan_client_memory_forget(connection);
    roan_session_close(&connection->session, false);
}

/* Counts everything and closes what is too much, the largest first. The gate is shut. */
static void evict_to(roan_lane *lane, size_t limit)
{
    roan_engine *engine = lane->engine;
    size_t room = 0, count = 0, total = 0;
    for (unsigned i = 0; i < engine->lane_count; i++)
        room += engine->lanes[i].session_count;
    if (room == 0)
        return;
    roan_connection **connections = roan_alloc(room * sizeof(roan_connection *));
    for (roan_session *s = roan_sessions_first(engine); s != NULL; s = roan_sessions_next(s)) {
        if (!is_counted(s))
            continue;
        roan_connection *connection = roan_connection_of_session(s);
        set_counted(connection, roan_connection_memory(connection));
        total += connection->counted_bytes;
        if (!s->no_evict)
            connections[count++] = connection;
    }
    qsort(connections, count, sizeof(roan_connection *), compare_largest_first);
    for (size_t i = 0; i < count && total > limit; i++) {
        total -= connections[i]->counted_bytes;
        evict_connection(lane, connections[i]);
    }
    roan_free(connections, room * sizeof(roan_connection *));
}

static void check_limit(roan_worker *worker)
{
    size_t limit = (size_t)roan_config_maxmemory_clients(&worker->server->engine->config);
    if (limit == 0 || sum_of_workers(worker->server) <= limit)
        return;
    worker->lane->may_interrupt = true; /* it touches no keys */
    if (!roan_gate_shut(worker->lane))
        return; /* a script is running; soon this is looked at again */
    evict_to(worker->lane, limit);
    roan_gate_open(worker->lane);
}

void roan_client_memory_limit_changed(roan_lane *lane)
{
    size_t limit = (size_t)roan_config_maxmemory_clients(&lane->engine->config);
    if (limit != 0)
        evict_to(lane, limit);
}

/* ---- counting ---- */

void roan_client_memory_count(roan_connection *connection)
{
    if (connection->session.is_gone)
        return;
    set_counted(connection, roan_connection_memory(connection));
    check_limit(connection->worker);
}

void roan_client_memory_sweep(roan_worker *worker)
{
    if (worker->server->engine->config.maxmemory_clients == 0)
        return;
    for (roan_session *s = worker->lane->sessions; s != NULL; s = s->next)
        if (is_counted(s))
            set_counted(roan_connection_of_session(s), roan_connection_memory(roan_connection_of_session(s)));
    check_limit(worker);
}
