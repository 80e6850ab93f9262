/* engine/broadcast.h: the BCAST mode of CLIENT TRACKING: who registered a prefix is told of changed keys that have it.
 *
 * Each lane collects the changed keys of every prefix, once each, until the end of its round; then one message has them
 * all (engine/tracking.h sends it). Prefixes and their clients change with the gate shut only; a client that went away
 * is left out from then on, and taken out later.
 */
#pragma once

#include "engine/tracking.h"

/* Registers the tracker for a prefix, if it is not. The gate is shut. */
void roan_broadcast_join(roan_engine *engine, roan_tracker *tracker, roan_slice prefix);

/* The tracker listens no more: nothing is collected for it from now on. Own lane, or gate shut. */
void roan_broadcast_ends(roan_engine *engine, const roan_tracker *tracker);
/* Takes it out of all its prefixes, after roan_broadcast_ends. The gate is shut, all mail was opened. */
void roan_broadcast_leave(roan_engine *engine, roan_tracker *tracker);

/* The name of one of the tracker's prefixes. */
roan_slice roan_broadcast_prefix(const roan_tracker *tracker, size_t index);

/* A key was changed. Under its stripe. */
void roan_broadcast_note(roan_lane *lane, uint64_t changer, roan_slice name, uint64_t hash);

/* Sends what the lane has collected. At the end of its round, before any reply of it leaves. Own lane, or gate shut. */
void roan_broadcast_flush_slowly(roan_lane *lane);
static inline void roan_broadcast_flush(roan_lane *lane)
{
    if (ROAN_UNLIKELY(lane->broadcast_is_pending))
        roan_broadcast_flush_slowly(lane);
}

/* How many prefixes have clients. The gate is shut. */
size_t roan_broadcast_count(const roan_engine *engine);

void roan_broadcast_done(roan_engine *engine);
