/* server/client_memory.h: maxmemory-clients: what connections hold in memory, together, has a limit.
 *
 * While the limit is set every worker keeps the sum over its connections: a connection is counted anew when it keeps
 * input or output back, and all of them at each sweep. A worker that sees the sum of all workers above the limit
 * shuts the gate, counts exactly, and closes the largest connections until the rest is within it; CLIENT NO-EVICT
 * exempts. Without a limit nothing is counted.
 */
#pragma once

#include "server/connection.h"

/* The connection now keeps input or output that it did not keep before. Inside the gate; holds no stripe. */
void roan_client_memory_count(roan_connection *connection);

static inline void roan_client_memory_grown(roan_connection *connection)
{
    if (ROAN_UNLIKELY(connection->worker->server->engine->config.maxmemory_clients != 0))
        roan_client_memory_count(connection);
}

/* The connection is closed. */
void roan_client_memory_forget(roan_connection *connection);

/* Counts all connections of the worker. Inside the gate; holds no stripe. */
void roan_client_memory_sweep(roan_worker *worker);

/* Applies a limit that was just changed; the gate is shut. Evictions count as those of `lane`. */
void roan_client_memory_limit_changed(roan_lane *lane);
