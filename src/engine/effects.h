/* engine/effects.h: what a change leaves behind besides the changed key: records for logs and replicas, keyspace events,
 * and (with their own issues) watches and invalidations. One place, fed by bodies through call.h and by expiry and
 * eviction directly.
 *
 * A command's effect is the command itself unless its body gave another. Effects are collected during the call and
 * handed to engine->on_effect as one unit when it has ended, still under its locks.
 */
#pragma once

#include "engine/call.h"

/* A key was deleted by the engine itself (expiry, eviction). Under the key's stripe. */
void roan_effects_deleted(roan_lane *lane, roan_db *db, roan_slice key, unsigned event_class, const char *event);

/* The engine itself changed a key: names the event for notifications. Under the key's stripe. */
void roan_effects_event(roan_lane *lane, roan_db *db, roan_slice key, unsigned event_class, const char *event);

/* What logs and replicas should do because of it. */
void roan_effects_given(roan_lane *lane, roan_db *db, size_t argc, const roan_slice *argv);

/* The call has ended: hands its effects over. Under its locks. */
void roan_effects_finish(roan_call *call);
