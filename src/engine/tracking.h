/* engine/tracking.h: CLIENT TRACKING: clients with caches of their own are told which keys have changed.
 *
 *   read ──► table of the stripe: key ─► trackers        (default mode)
 *   change ─► out of that table ─► one mail to each lane with a receiver ─► push behind what was answered before
 *   change ─► engine/broadcast.h                          (BCAST mode)
 *
 * Why nobody reads what is stale once he was told: a key is recorded under its stripe by the command that reads it,
 * after its reply was written; a change under the same stripe takes the record out and mails the news before it lets
 * go. The mail is opened by the receiver's lane between two commands, so the news stand behind every reply that was
 * made before the change. News that come too late or twice do no harm. As in the reference, names count and not
 * databases.
 *
 * A tracker is what others may know of a session. It outlives the session: tables and mails refer to it. Its settings
 * change with the gate shut, after all mail was opened; that it is gone, at any time.
 */
#pragma once

#include "engine/call.h"

struct roan_tracker {
    _Atomic uint32_t references;
    _Atomic bool is_gone;            /* the session ends: nothing more is for it */
    _Atomic bool is_redirect_broken; /* whom it redirects to is gone, which somebody noticed */
    bool is_on, is_broadcast, is_optin, is_optout, is_noloop;
    uint64_t id;                     /* the session's */
    roan_lane *lane;
    roan_session *session;           /* for its lane alone, while it is not gone */
    roan_tracker *redirect;          /* gets its messages; NULL: it does itself */
    uint64_t redirect_id;            /* 0: nobody */
    roan_prefix_list prefixes;
    roan_tracker *next_ended;        /* of the lane: sessions that ended, see roan_tracking_settle */
};

/* ---- settings ---- */

typedef struct roan_tracking_options {
    bool is_broadcast, is_optin, is_optout, is_noloop;
    roan_session *redirect; /* NULL: none */
    const roan_slice *prefixes;
    size_t prefix_count;
} roan_tracking_options;

/* Switches it on, or changes how. The gate is shut. */
void roan_tracking_on(roan_session *session, const roan_tracking_options *options);
/* The gate is shut. */
void roan_tracking_off(roan_session *session);

/* Nothing more is sent to the session: it closes. Own lane, or gate shut. */
static inline void roan_tracking_closes(const roan_session *session)
{
    if (ROAN_UNLIKELY(session->tracker != NULL))
        atomic_store_explicit(&session->tracker->is_gone, true, memory_order_release);
}

/* The session ends. Own lane, or gate shut. */
void roan_tracking_end(roan_session *session);

/* The settings of a session that is tracking; NULL when it is not. */
static inline const roan_tracker *roan_tracking_of(const roan_session *session)
{
    return session->tracker != NULL && session->tracker->is_on ? session->tracker : NULL;
}

void roan_tracker_ref(roan_tracker *tracker);
void roan_tracker_unref(roan_tracker *tracker); /* accepts NULL */

/* ---- reads ---- */

/* The body of a command has run: records the keys it has read, if the session is to be told of them. Under its locks.
 * For what runs inside of another session's command the stand-in has that one's `tracker` and `caching_given`. */
void roan_tracking_note_reads_slowly(roan_call *call);
static inline void roan_tracking_note_reads(roan_call *call)
{
    if (ROAN_UNLIKELY(call->session->tracker != NULL) && call->command->flags & ROAN_CMD_READ)
        roan_tracking_note_reads_slowly(call);
}

/* A command of the session is over: CLIENT CACHING was said for that one, unless it only said so. */
void roan_tracking_command_ended(roan_session *session, const roan_command *command);

/* ---- changes ---- */

/* A key was changed, by the session of that id (0: by nobody's command). Its stripe is held. */
void roan_tracking_changed(roan_lane *lane, uint64_t changer, roan_slice name, uint64_t hash, uint32_t stripe);

/* Databases were emptied: everybody who tracks is told to forget all. is_async: what was recorded is freed in the
 * background if it is much. The gate is shut. */
void roan_tracking_flushed(roan_engine *engine, bool is_async);

/* While there are more recorded keys than tracking-table-max-keys allows, forgets some, as if they had changed. Inside
 * the gate, holding no stripe. */
void roan_tracking_limit_slowly(roan_lane *lane);
static inline void roan_tracking_limit(roan_lane *lane)
{
    const roan_engine *engine = lane->engine;
    uint64_t max = (uint64_t)engine->config.tracking_table_max_keys;
    if (ROAN_UNLIKELY(atomic_load_explicit(&engine->tracked_keys, memory_order_relaxed) > max) && max > 0)
        roan_tracking_limit_slowly(lane);
    else
        lane->tracking_effort = 0;
}

/* A session of another lane is served by mail (engine/blocking.h): what it is told because of that comes behind the
 * answer. `_end` after the answer was sent. */
typedef struct roan_tracking_hold {
    uint64_t session_id;
    roan_lane *to;
    roan_mail *first, **last;
} roan_tracking_hold;
void roan_tracking_hold_begin(roan_lane *lane, roan_tracking_hold *hold, roan_lane *to, uint64_t session_id);
void roan_tracking_hold_end(roan_lane *lane);

/* ---- for engine/broadcast.c ---- */

/* The lane that sends to the tracker's client, or tells it that nobody does. */
roan_lane *roan_tracker_delivery_lane(const roan_tracker *tracker);

/* Tells the client of names that have changed: an array of RESP; no bytes: of all. On its delivery lane. */
void roan_tracker_deliver(roan_lane *lane, roan_tracker *tracker, roan_slice names);

/* ---- life, numbers ---- */

void roan_tracking_init(roan_engine *engine);
void roan_tracking_done(roan_engine *engine);

/* Recorded pairs of key and client. The gate is shut. */
uint64_t roan_tracking_items(const roan_engine *engine);
