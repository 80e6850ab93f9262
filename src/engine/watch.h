/* engine/watch.h: WATCH: which sessions want to know that a key was changed before their EXEC.
 *
 * A watched key is registered under its stripe, in one of a few shards with a lock of its own (a leaf: nothing else is
 * taken while it is held). Whoever changes a key holds its stripe, sees in it whether anything there is watched, and
 * only then looks further: he raises the flag of the watching sessions' watchers and touches nothing else of theirs.
 * EXEC holds the stripes of all it watches when it looks at its flag. Giving up watches needs the shard's lock alone,
 * so that a connection can end at any time.
 *
 * A key that was past its time when it was watched, and not deleted yet, is remembered as such: that it is deleted now
 * changes nothing for who watches it.
 */
#pragma once

#include "engine/call.h"

typedef struct roan_watches roan_watches;

roan_watches *roan_watches_create(const roan_engine *engine);
void roan_watches_free(roan_watches *watches);

/* WATCH of argv[index]; its stripe is held. Nothing happens when it is watched already. */
void roan_watch_add(roan_call *call, size_t index);

/* Forgets all that the session watches, and that something of it was touched. Own lane, or gate shut. */
void roan_watch_forget(roan_session *session);
/* The session ends. */
void roan_watch_done(roan_session *session);

/* Something it watches was changed. Own lane, or gate shut; certain only while the stripes are held. */
bool roan_watch_is_touched(const roan_session *session);

/* The same, or a watched key is past its time now. The stripes of all watched keys are held. */
bool roan_watch_is_broken(const roan_session *session, int64_t now_ms);

/* Adds the stripes of the session's watched keys; false when they are too many. */
bool roan_watch_add_stripes(const roan_session *session, roan_lock_set *set);

/* How many keys it watches; none when it was touched. Own lane, or gate shut. */
size_t roan_watch_count(const roan_session *session);

/* Keys that are watched by somebody whom nothing has touched yet. The gate is shut. */
size_t roan_watches_count(const roan_engine *engine);

/* ---- changes ---- */

/* A key of the stripe may be watched. The stripe is held. */
static inline bool roan_stripe_is_watched(const roan_engine *engine, uint32_t stripe)
{
    return atomic_load_explicit(&engine->stripes[stripe].watched_keys, memory_order_relaxed) != 0;
}

/* The key was changed, or deleted (is_gone). Its stripe is held. */
void roan_watch_touch(roan_engine *engine, const roan_db *db, roan_slice name, uint64_t hash, uint32_t stripe,
                      bool is_gone);

/* All keys of the database are about to be deleted, or to be replaced by those of another. The gate is shut. */
void roan_watch_touch_db(roan_engine *engine, const roan_db *emptied, const roan_db *replaced_by, int64_t now_ms);
