/* engine/topics.c: the registry of channels and patterns with subscribers; see topics.h.
 *
 * Invariant: a topic exists exactly while it has subscribers; the bit of a lane is set while it has some of them.
 */
#include "engine/topics.h"

#include "base/hash_set.h"
#include "base/macros.h"
#include "engine/call.h"

#define SHARDS 64u

typedef struct topic {
    roan_hash_node node; /* first: a node is its topic */
    uint64_t lanes;
    size_t subscribers;
    roan_topic_kind kind;
    size_t bytes;
    char name[];
} topic;

typedef struct shard {
    _Alignas(ROAN_CACHE_LINE) pthread_mutex_t lock;
    roan_hash_set topics;
    uint64_t epoch;
    size_t counts[ROAN_TOPIC_KIND_COUNT];
} shard;

struct roan_topics {
    shard shards[SHARDS];
    _Alignas(ROAN_CACHE_LINE) pthread_rwlock_t pattern_lock;
    roan_hash_set patterns;
    uint64_t pattern_epoch;
    _Atomic size_t pattern_count;
    _Atomic size_t subscriptions; /* of all kinds */
    bool needs_locks;
};

roan_topics *roan_topics_create(const roan_engine *engine)
{
    roan_topics *topics = roan_alloc_aligned(ROAN_CACHE_LINE, sizeof *topics);
    memset(topics, 0, sizeof *topics);
    topics->needs_locks = engine->lane_count > 1;
    for (unsigned i = 0; i < SHARDS; i++)
        ROAN_ASSERT(pthread_mutex_init(&topics->shards[i].lock, NULL) == 0);
    ROAN_ASSERT(pthread_rwlock_init(&topics->pattern_lock, NULL) == 0);
    return topics;
}

void roan_topics_free(roan_topics *topics)
{
    if (topics == NULL)
        return;
    for (unsigned i = 0; i < SHARDS; i++) {
        ROAN_ASSERT(topics->shards[i].topics.count == 0);
        roan_hash_set_done(&topics->shards[i].topics);
        pthread_mutex_destroy(&topics->shards[i].lock);
    }
    roan_hash_set_done(&topics->patterns);
    pthread_rwlock_destroy(&topics->pattern_lock);
    roan_free(topics, sizeof *topics);
}

/* ---- locks ---- */

static shard *lock_shard(roan_topics *topics, uint64_t hash)
{
    shard *found = &topics->shards[hash >> 32 & (SHARDS - 1)];
    if (topics->needs_locks)
        pthread_mutex_lock(&found->lock);
    return found;
}

void roan_topics_unlock(roan_topics *topics, uint64_t hash)
{
    if (topics->needs_locks)
        pthread_mutex_unlock(&topics->shards[hash >> 32 & (SHARDS - 1)].lock);
}

static void lock_patterns(roan_topics *topics, bool to_write)
{
    if (topics->needs_locks)
        ROAN_ASSERT((to_write ? pthread_rwlock_wrlock : pthread_rwlock_rdlock)(&topics->pattern_lock) == 0);
}

static void unlock_patterns(roan_topics *topics)
{
    if (topics->needs_locks)
        pthread_rwlock_unlock(&topics->pattern_lock);
}

/* ---- joining and leaving ---- */

static topic *find(const roan_hash_set *set, roan_topic_kind kind, roan_slice name, uint64_t hash)
{
    for (roan_hash_node *node = roan_hash_set_first(set, hash); node != NULL; node = roan_hash_node_next(node)) {
        topic *found = (topic *)node;
        if (found->kind == kind && roan_slice_equal(roan_slice_make(found->name, found->bytes), name))
            return found;
    }
    return NULL;
}

static topic *find_or_add(roan_hash_set *set, roan_topic_kind kind, roan_slice name, uint64_t hash)
{
    topic *found = find(set, kind, name, hash);
    if (found != NULL)
        return found;
    topic *added = roan_alloc(sizeof *added + name.bytes);
    *added = (topic){.kind = kind, .bytes = name.bytes};
    if (name.bytes > 0)
        memcpy(added->name, name.data, name.bytes);
    roan_hash_set_insert(set, &added->node, hash);
    return added;
}

/* True when that was the last subscriber. */
static bool drop_subscriber(roan_hash_set *set, topic *left, uint64_t lanes_to_clear)
{
    ROAN_ASSERT(left != NULL && left->subscribers > 0);
    left->lanes &= ~lanes_to_clear;
    if (--left->subscribers > 0)
        return false;
    ROAN_ASSERT(left->lanes == 0);
    roan_hash_set_remove(set, &left->node);
    roan_free(left, sizeof *left + left->bytes);
    return true;
}

static void count_patterns(roan_topics *topics)
{
    atomic_store_explicit(&topics->pattern_count, topics->patterns.count, memory_order_relaxed);
}

uint64_t roan_topics_join(roan_lane *lane, roan_topic_kind kind, roan_slice name, uint64_t hash)
{
    roan_topics *topics = lane->engine->topics;
    uint64_t epoch, bit = UINT64_C(1) << lane->index;
    atomic_fetch_add_explicit(&topics->subscriptions, 1, memory_order_relaxed);
    if (kind == ROAN_TOPIC_PATTERN) {
        lock_patterns(topics, true);
        topic *joined = find_or_add(&topics->patterns, kind, name, hash);
        joined->subscribers++;
        joined->lanes |= bit;
        epoch = ++topics->pattern_epoch;
        count_patterns(topics);
        unlock_patterns(topics);
        return epoch;
    }
    shard *in = lock_shard(topics, hash);
    topic *joined = find_or_add(&in->topics, kind, name, hash);
    in->counts[kind] += joined->subscribers++ == 0;
    joined->lanes |= bit;
    epoch = ++in->epoch;
    roan_topics_unlock(topics, hash);
    return epoch;
}

uint64_t roan_topics_leave(roan_lane *lane, roan_topic_kind kind, roan_slice name, uint64_t hash, bool is_last)
{
    roan_topics *topics = lane->engine->topics;
    uint64_t epoch, to_clear = is_last ? UINT64_C(1) << lane->index : 0;
    atomic_fetch_sub_explicit(&topics->subscriptions, 1, memory_order_relaxed);
    if (kind == ROAN_TOPIC_PATTERN) {
        lock_patterns(topics, true);
        drop_subscriber(&topics->patterns, find(&topics->patterns, kind, name, hash), to_clear);
        epoch = ++topics->pattern_epoch;
        count_patterns(topics);
        unlock_patterns(topics);
        return epoch;
    }
    shard *in = lock_shard(topics, hash);
    in->counts[kind] -= drop_subscriber(&in->topics, find(&in->topics, kind, name, hash), to_clear);
    epoch = ++in->epoch;
    roan_topics_unlock(topics, hash);
    return epoch;
}

/* ---- publishing ---- */

static void add_patterns(roan_topics *topics, roan_slice channel, roan_audience *audience)
{
    lock_patterns(topics, false);
    const roan_hash_set *patterns = &topics->patterns;
    for (roan_hash_node *node = roan_hash_set_walk(patterns, NULL); node != NULL;
         node = roan_hash_set_walk(patterns, node)) {
        const topic *pattern = (const topic *)node;
        if (!roan_glob_match(roan_slice_make(pattern->name, pattern->bytes), channel, false))
            continue;
        audience->lanes |= pattern->lanes;
        audience->subscribers += pattern->subscribers;
    }
    audience->pattern_epoch = topics->pattern_epoch;
    unlock_patterns(topics);
}

void roan_topics_lock_audience(roan_topics *topics, roan_topic_kind kind, roan_slice name, uint64_t hash,
                               roan_audience *ret_audience)
{
    shard *in = lock_shard(topics, hash);
    const topic *found = find(&in->topics, kind, name, hash);
    *ret_audience = (roan_audience){.channel_epoch = in->epoch};
    if (found != NULL) {
        ret_audience->lanes = found->lanes;
        ret_audience->subscribers = found->subscribers;
    }
    if (kind == ROAN_TOPIC_CHANNEL && atomic_load_explicit(&topics->pattern_count, memory_order_relaxed) > 0)
        add_patterns(topics, name, ret_audience);
}

/* ---- asking ---- */

bool roan_topics_are_used(const roan_topics *topics)
{
    return atomic_load_explicit(&topics->subscriptions, memory_order_relaxed) != 0;
}

size_t roan_topics_subscribers(roan_topics *topics, roan_topic_kind kind, roan_slice name, uint64_t hash)
{
    shard *in = lock_shard(topics, hash);
    const topic *found = find(&in->topics, kind, name, hash);
    size_t subscribers = found == NULL ? 0 : found->subscribers;
    roan_topics_unlock(topics, hash);
    return subscribers;
}

size_t roan_topics_count(roan_topics *topics, roan_topic_kind kind)
{
    size_t count = 0;
    if (kind == ROAN_TOPIC_PATTERN)
        return atomic_load_explicit(&topics->pattern_count, memory_order_relaxed);
    for (uint64_t i = 0; i < SHARDS; i++) {
        count += lock_shard(topics, i << 32)->counts[kind];
        roan_topics_unlock(topics, i << 32);
    }
    return count;
}

void roan_topics_visit(roan_topics *topics, roan_topic_kind kind, void (*visit)(void *context, roan_slice name),
                       void *context)
{
    for (uint64_t i = 0; i < SHARDS; i++) {
        const roan_hash_set *set = &lock_shard(topics, i << 32)->topics;
        for (roan_hash_node *node = roan_hash_set_walk(set, NULL); node != NULL; node = roan_hash_set_walk(set, node)) {
            const topic *visited = (const topic *)node;
            if (visited->kind == kind)
                visit(context, roan_slice_make(visited->name, visited->bytes));
        }
        roan_topics_unlock(topics, i << 32);
    }
}
