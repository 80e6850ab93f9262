/* engine/blocking.h: commands that wait for keys.
 *
 * A body that finds nothing calls roan_call_block_on_keys(). Whenever a command (or an expiry) has changed one of the
 * keys, the engine runs the waiting command again, in its session's name, before the change's locks are released: in
 * order of arrival, on whatever lane the change was made. If it blocks again it keeps its place; otherwise its answer
 * goes to its session, by mail when that lives on another lane.
 *
 *     waiting --roan_blocking_serve()--> serving --answered--> served (mail on its way, or delivered)
 *        ^                                  |
 *        +------------ blocked again -------+
 *     waiting --timeout, CLIENT UNBLOCK, disconnect--> ended
 *
 * A queue of waiters belongs to a key and is guarded by the key's stripe. Who has several keys is in several queues;
 * links that are left over when it was served through one of them go when somebody walks their queue or at the next
 * housekeeping.
 *
 * While it runs again a command sees only keys whose stripes are held (roan_call_reaches): the others are not ready,
 * or whoever made them so would have served it; that one of them holds another type by now was noted by who made it so.
 * A command that needs more than the keys it waits for (BLMOVE's
 * destination) makes writers of its stripe run alone.
 */
#pragma once

#include "engine/call.h"

/* What a command waits for. */
typedef struct roan_block {
    size_t first_key, key_count, key_step; /* the keys among the call's words */
    roan_type type;                        /* it wakes when one of them holds this type, */
    bool wakes_without_key;                /* or when one of them is deleted or holds another type */
    bool null_array;                       /* the answer when the time is over: a null array, otherwise a null */
    int64_t timeout_ms;                    /* 0: for ever */
    const roan_slice *argv;                /* what to run again; NULL: the call's own words */
    size_t argc;
} roan_block;

/* The session waits; the body returns without an answer. Where blocking is not allowed (roan_call.may_not_block) the
 * answer of a timeout is given at once. During a retry it just goes on waiting. */
void roan_call_block_on_keys(roan_call *call, const roan_block *block);

/* The key in argv[index], which is one of those waited for, may be looked at: always, except during a retry when its
 * stripe is not held. An error was sent if it then is known to hold another type. */
bool roan_call_reaches(roan_call *call, size_t index);

/* A timeout in seconds, possibly fractional, or in milliseconds, as an argument; false after an error was sent. */
bool roan_call_timeout(roan_call *call, size_t index, int64_t *ret_timeout_ms);
bool roan_call_timeout_ms(roan_call *call, size_t index, int64_t *ret_timeout_ms);

/* ---- for the engine ---- */

/* Somebody waits for keys: a quick look. */
static inline bool roan_blocking_is_used(const roan_engine *engine)
{
    return ROAN_UNLIKELY(atomic_load_explicit(&engine->waiting_links, memory_order_relaxed) != 0);
}

/* The key was changed or deleted by this lane, which holds its stripe: its waiters are looked at by the next
 * roan_blocking_serve(). */
void roan_blocking_key_changed(roan_lane *lane, unsigned db, uint32_t stripe, roan_slice key);
/* Every key of the database may have changed. The gate is shut. */
void roan_blocking_db_changed(roan_lane *lane, unsigned db);

/* Serves the waiters of the keys that this lane has changed. Before the stripes are released; not from inside a
 * body. */
void roan_blocking_serve_slowly(roan_lane *lane);
static inline void roan_blocking_serve(roan_lane *lane)
{
    if (ROAN_UNLIKELY(lane->ready_queues != NULL))
        roan_blocking_serve_slowly(lane);
}

/* Somebody in these stripes, which are held, waits with a command that needs other stripes, too. */
bool roan_blocking_needs_gate(const roan_engine *engine, const uint32_t *stripes, size_t count);

/* A session stops waiting for another reason than being served. False: too late, its answer is on its way. Its lane,
 * or the gate shut. */
bool roan_waiting_end(roan_waiting *waiting);
/* What ended the waiting was that its user has no right to the command any more. */
bool roan_waiting_is_refused(const roan_waiting *waiting);
/* For what follows the end of the waiting, which has let go of it by then (NULL is kept as it is): how long the retry took
 * that served it; and, which ends the keeping, the command logs. `ns` is the command's time, `reply_bytes` are those that
 * no retry has written. */
roan_waiting *roan_waiting_keep(roan_waiting *waiting);
uint64_t roan_waiting_served_ns(const roan_waiting *waiting);
void roan_waiting_log(roan_waiting *waiting, roan_session *session, uint64_t ns, size_t reply_bytes);
/* Its session acts for this user now. The gate is shut. */
void roan_waiting_set_user(roan_waiting *waiting, roan_acl_user *user);
/* The session lets go of it. */
void roan_waiting_leave(roan_waiting *waiting);

/* Housekeeping of the lane: takes out links that could not be reached before. */
void roan_blocking_tidy(roan_lane *lane);

/* Keys that are waited for, and of them those whose deletion wakes somebody. The gate is shut. */
void roan_blocking_count(const roan_engine *engine, size_t *ret_keys, size_t *ret_keys_without);

/* With the engine's own life: creation, and the end, when nobody waits any more. */
void roan_blocking_init(roan_engine *engine);
void roan_blocking_done(roan_engine *engine);
