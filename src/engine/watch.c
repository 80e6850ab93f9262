/* engine/watch.c: the registry of watched keys; see watch.h.
 *
 *   shard ─► watched_key ─► watch ─► watch ...      the watches of a key
 *                             │
 *   session ─► watcher ─► watch ─► watch ...        the watches of a session
 *
 * Invariant 1: a watched_key exists exactly while somebody watches it, and is counted in its stripe.
 * Invariant 2: lists of a key and `was_expired` change under the shard's lock; `was_expired` also under the key's
 * stripe.
 *              A session's list belongs to its lane.
 */
#include "engine/watch.h"

#include "base/hash_set.h"
#include "base/macros.h"

#include <stddef.h>

#define SHARDS_MAX 64u

typedef struct watch watch;

typedef struct watched_key {
    roan_hash_node node; /* first: a node is its key */
    watch *watches;
    uint32_t stripe;
    unsigned db;
    size_t bytes;
    char name[];
} watched_key;

struct watch {
    watched_key *key;
    watch *next, **previous; /* of the key */
    watch *next_of_session;
    roan_watcher *watcher;
    bool was_expired;        /* the key was past its time when it was watched, and still is */
};

struct roan_watcher {
    _Atomic bool is_touched;
    watch *first;
    size_t count;
};

typedef struct shard {
    _Alignas(ROAN_CACHE_LINE) pthread_mutex_t lock;
    roan_hash_set keys;
} shard;

struct roan_watches {
    bool needs_locks;
    unsigned shard_count; /* a power of two */
    shard *shards;
};

/* ---- the registry ---- */

roan_watches *roan_watches_create(const roan_engine *engine)
{
    roan_watches *watches = roan_alloc_zero(sizeof *watches);
    watches->needs_locks = engine->lane_count > 1;
    watches->shard_count = ROAN_MIN(engine->stripe_count, SHARDS_MAX);
    watches->shards = roan_alloc_aligned(ROAN_CACHE_LINE, watches->shard_count * sizeof *watches->shards);
    for (unsigned i = 0; i < watches->shard_count; i++) {
        watches->shards[i] = (shard){.keys = {0}};
        ROAN_ASSERT(pthread_mutex_init(&watches->shards[i].lock, NULL) == 0);
    }
    return watches;
}

void roan_watches_free(roan_watches *watches)
{
    if (watches == NULL)
        return;
    for (unsigned i = 0; i < watches->shard_count; i++) {
        ROAN_ASSERT(watches->shards[i].keys.count == 0);
        roan_hash_set_done(&watches->shards[i].keys);
        pthread_mutex_destroy(&watches->shards[i].lock);
    }
    roan_free(watches->shards, watches->shard_count * sizeof *watches->shards);
    roan_free(watches, sizeof *watches);
}

static shard *lock_shard(const roan_engine *engine, uint32_t stripe)
{
    roan_watches *watches = engine->watches;
    shard *found = &watches->shards[stripe & (watches->shard_count - 1)];
    if (watches->needs_locks)
        pthread_mutex_lock(&found->lock);
    return found;
}

static void unlock_shard(const roan_engine *engine, shard *locked)
{
    if (engine->watches->needs_locks)
        pthread_mutex_unlock(&locked->lock);
}

static watched_key *find_key(const shard *in, unsigned db, roan_slice name, uint64_t hash)
{
    for (roan_hash_node *node = roan_hash_set_first(&in->keys, hash); node != NULL; node = roan_hash_node_next(node)) {
        watched_key *key = (watched_key *)node;
        if (key->db == db && roan_slice_equal(roan_slice_make(key->name, key->bytes), name))
            return key;
    }
    return NULL;
}

static watched_key *add_key(roan_engine *engine, shard *to, unsigned db, roan_slice name, uint64_t hash,
                            uint32_t stripe)
{
    watched_key *key = roan_alloc(sizeof *key + name.bytes);
    *key = (watched_key){.stripe = stripe, .db = db, .bytes = name.bytes};
    if (name.bytes > 0)
        memcpy(key->name, name.data, name.bytes);
    roan_hash_set_insert(&to->keys, &key->node, hash);
    atomic_fetch_add_explicit(&engine->stripes[stripe].watched_keys, 1, memory_order_relaxed);
    return key;
}

static void remove_key(roan_engine *engine, shard *from, watched_key *key)
{
    roan_hash_set_remove(&from->keys, &key->node);
    atomic_fetch_sub_explicit(&engine->stripes[key->stripe].watched_keys, 1, memory_order_relaxed);
    roan_free(key, sizeof *key + key->bytes);
}

/* The entry as it is, expired or not. */
static const roan_entry *peek(const roan_db *db, const watched_key *key)
{
    roan_spot spot;
    return roan_table_find(&db->tables[key->stripe], key->node.hash, roan_slice_make(key->name, key->bytes), &spot);
}

/* ---- watching ---- */

static bool is_watching(const roan_watcher *watcher, const watched_key *key)
{
    for (const watch *w = watcher->first; w != NULL; w = w->next_of_session)
        if (w->key == key)
            return true;
    return false;
}

static void link_watch(watch *added, watched_key *key, roan_watcher *watcher)
{
    added->next = key->watches;
    added->previous = &key->watches;
    if (key->watches != NULL)
        key->watches->previous = &added->next;
    key->watches = added;
    added->next_of_session = watcher->first;
    watcher->first = added;
    watcher->count++;
}

void roan_watch_add(roan_call *call, size_t index)
{
    roan_engine *engine = call->engine;
    roan_session *session = call->session;
    roan_slice name = call->argv[index];
    uint64_t hash = roan_hash(&engine->table_context.secret, name.data, name.bytes);
    uint32_t stripe = roan_key_slot(name) & (engine->stripe_count - 1);
    ROAN_VERIFY(roan_stripe_is_held(call->lane, stripe));
    if (session->watcher == NULL)
        session->watcher = roan_alloc_zero(sizeof *session->watcher);
    shard *in = lock_shard(engine, stripe);
    watched_key *key = find_key(in, call->db->number, name, hash);
    if (key == NULL || !is_watching(session->watcher, key)) {
        if (key == NULL)
            key = add_key(engine, in, call->db->number, name, hash, stripe);
        const roan_entry *entry = peek(call->db, key);
        watch *added = roan_alloc(sizeof *added);
        *added = (watch){.key = key, .watcher = session->watcher};
        added->was_expired = entry != NULL && roan_entry_is_expired(entry, call->now_ms);
        link_watch(added, key, session->watcher);
    }
    unlock_shard(engine, in);
}

void roan_watch_forget(roan_session *session)
{
    roan_engine *engine = session->lane->engine;
    roan_watcher *watcher = session->watcher;
    if (watcher == NULL)
        return;
    for (watch *w = watcher->first, *next; w != NULL; w = next) {
        next = w->next_of_session;
        shard *in = lock_shard(engine, w->key->stripe);
        *w->previous = w->next;
        if (w->next != NULL)
            w->next->previous = w->previous;
        if (w->key->watches == NULL)
            remove_key(engine, in, w->key);
        unlock_shard(engine, in);
        roan_free(w, sizeof *w);
    }
    watcher->first = NULL;
    watcher->count = 0;
    atomic_store_explicit(&watcher->is_touched, false, memory_order_relaxed); /* nobody else knows it any more */
}

void roan_watch_done(roan_session *session)
{
    roan_watch_forget(session);
    roan_free(session->watcher, sizeof *session->watcher);
    session->watcher = NULL;
}

/* ---- asking ---- */

bool roan_watch_is_touched(const roan_session *session)
{
    return session->watcher != NULL && atomic_load_explicit(&session->watcher->is_touched, memory_order_relaxed);
}

bool roan_watch_is_broken(const roan_session *session, int64_t now_ms)
{
    if (session->watcher == NULL || session->watcher->count == 0)
        return false;
    if (roan_watch_is_touched(session))
        return true;
    for (const watch *w = session->watcher->first; w != NULL; w = w->next_of_session) {
        ROAN_VERIFY(roan_stripe_is_held(session->lane, w->key->stripe));
        const roan_db *db = roan_engine_db_if_used(session->lane->engine, w->key->db);
        const roan_entry *entry = w->was_expired ? NULL : peek(db, w->key);
        if (entry != NULL && roan_entry_is_expired(entry, now_ms))
            return true;
    }
    return false;
}

bool roan_watch_add_stripes(const roan_session *session, roan_lock_set *set)
{
    if (session->watcher == NULL)
        return true;
    for (const watch *w = session->watcher->first; w != NULL; w = w->next_of_session)
        if (!roan_lock_set_add(set, w->key->stripe))
            return false;
    return true;
}

size_t roan_watch_count(const roan_session *session)
{
    return session->watcher == NULL || roan_watch_is_touched(session) ? 0 : session->watcher->count;
}

size_t roan_watches_count(const roan_engine *engine)
{
    size_t count = 0;
    for (unsigned i = 0; i < engine->watches->shard_count; i++) {
        const roan_hash_set *keys = &engine->watches->shards[i].keys;
        for (roan_hash_node *node = roan_hash_set_walk(keys, NULL); node != NULL;
             node = roan_hash_set_walk(keys, node)) {
            const watch *w = ((const watched_key *)node)->watches;
            while (w != NULL && atomic_load_explicit(&w->watcher->is_touched, memory_order_relaxed))
                w = w->next;
            count += w != NULL;
        }
    }
    return count;
}

/* ---- changes ---- */

static void raise_flag(const watch *w)
{
    atomic_store_explicit(&w->watcher->is_touched, true, memory_order_relaxed); /* EXEC sees it under our stripe */
}

void roan_watch_touch(roan_engine *engine, const roan_db *db, roan_slice name, uint64_t hash, uint32_t stripe,
                      bool is_gone)
{
    shard *in = lock_shard(engine, stripe);
    watched_key *key = find_key(in, db->number, name, hash);
    for (watch *w = key == NULL ? NULL : key->watches; w != NULL; w = w->next) {
        if (!w->was_expired)
            raise_flag(w);
        else if (is_gone)
            w->was_expired = false;
    }
    unlock_shard(engine, in);
}

/* What happens to a watched key whose database is emptied, when `after` (or nothing, NULL) takes its place. */
static void replace_key(watched_key *key, const roan_entry *before, const roan_entry *after, int64_t now_ms)
{
    bool is_expired = after != NULL && roan_entry_is_expired(after, now_ms);
    if (before == NULL && after == NULL)
        return;
    for (watch *w = key->watches; w != NULL; w = w->next) {
        bool was_absent = w->was_expired || before == NULL;
        if (was_absent && (after == NULL || is_expired))
            w->was_expired = is_expired;
        else
            raise_flag(w);
    }
}

void roan_watch_touch_db(roan_engine *engine, const roan_db *emptied, const roan_db *replaced_by, int64_t now_ms)
{
    for (unsigned i = 0; i < engine->watches->shard_count; i++) {
        const roan_hash_set *keys = &engine->watches->shards[i].keys;
        for (roan_hash_node *node = roan_hash_set_walk(keys, NULL); node != NULL;
             node = roan_hash_set_walk(keys, node)) {
            watched_key *key = (watched_key *)node;
            if (key->db == emptied->number)
                replace_key(key, peek(emptied, key), replaced_by == NULL ? NULL : peek(replaced_by, key), now_ms);
        }
    }
}
