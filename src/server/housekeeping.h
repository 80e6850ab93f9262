/* server/housekeeping.h: what a worker does for its connections now and then. */
#pragma once

#include "server/server.h"

/* A few times a second: closes idle connections (timeout), applies output limits that depend on time, evicts the
 * largest clients when their memory is over maxmemory-clients. Inside the gate. */
void roan_worker_sweep(roan_worker *worker);

/* The server stops: sends what is still to be sent for a short while, then closes all connections. Inside the gate. */
void roan_worker_drain(roan_worker *worker, roan_net_event *events, unsigned events_max);

/* Background freeing of big values: a thread with a queue. */
struct roan_reaper *roan_reaper_create(void);
struct roan_reaper *roan_reaper_free(struct roan_reaper *reaper);
/* Any thread. */
void roan_reaper_add(struct roan_reaper *reaper, roan_entry *entry);
void roan_reaper_add_tables(struct roan_reaper *reaper, roan_table *tables, unsigned count);
/* Values waiting to be freed, and freed since the start. */
size_t roan_reaper_pending(const struct roan_reaper *reaper);
size_t roan_reaper_freed(const struct roan_reaper *reaper);
