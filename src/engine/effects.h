/* engine/effects.h: what a change leaves behind besides the changed key: records for logs and replicas, touched
 * watches, keyspace events, and (with its own issue) invalidations. One place, fed by bodies through call.h and by
 * expiry and eviction directly.
 *
 * A command's effect is the command itself unless its body gave another. Effects are collected while bodies run, and
 * handed to engine->on_effect as one unit at the end, still under the locks: several of them between MULTI and EXEC.
 */
#pragma once

#include "engine/call.h"

/* A key was deleted by the engine itself (expiry, eviction), from `table`. Under the key's stripe. Outside of a call,
 * who deletes hands over afterwards. */
void roan_effects_deleted(roan_lane *lane, roan_db *db, const roan_table *table, roan_slice key, unsigned event_class,
                          const char *event);

/* The engine itself changed a key (is_gone: deleted it): names the event for notifications. Under the key's stripe. */
void roan_effects_event(roan_lane *lane, roan_db *db, roan_slice key, bool is_gone, unsigned event_class,
                        const char *event);

/* What logs and replicas should do because of it. */
void roan_effects_given(roan_lane *lane, const roan_db *db, size_t argc, const roan_slice *argv);

/* A body has ended: collects its effects. Under its locks. */
void roan_effects_collect(roan_call *call);

/* The unit has ended: hands over what was collected. Under its locks. `is_one`: the effects belong together; those of
 * what SCAN found expired do not. */
void roan_effects_hand_over_slowly(roan_lane *lane, bool is_one);
static inline void roan_effects_hand_over(roan_lane *lane)
{
    if (ROAN_UNLIKELY(lane->effect_count > 0))
        roan_effects_hand_over_slowly(lane, true);
}
