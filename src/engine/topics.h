/* engine/topics.h: which lanes have subscribers of a channel or pattern, for all lanes to ask.
 *
 * Channels are spread over shards by their hash, each with a lock; patterns have one lock for all. These locks are
 * leaves: taken after stripes, held for a few look-ups. Whoever publishes keeps the lock of the channel's shard until
 * his message is in all mailboxes: that gives every channel one order. Who the subscribers are, each lane knows for
 * itself (engine/pubsub.h).
 *
 * Epochs tell what comes first: one begins with every subscription and with the end of every one. A message carries
 * those in which it was published, so that it goes to exactly those who were counted then, however long it was on its
 * way.
 */
#pragma once

#include "engine/engine.h"

typedef enum roan_topic_kind {
    ROAN_TOPIC_CHANNEL,
    ROAN_TOPIC_SHARD_CHANNEL,
    ROAN_TOPIC_PATTERN,
    ROAN_TOPIC_KIND_COUNT
} roan_topic_kind;

typedef struct roan_topics roan_topics;

roan_topics *roan_topics_create(const roan_engine *engine);
void roan_topics_free(roan_topics *topics);

static inline uint64_t roan_topic_hash(const roan_engine *engine, roan_topic_kind kind, roan_slice name)
{
    return roan_hash(&engine->table_context.secret, name.data, name.bytes) + (uint64_t)kind;
}

/* One more subscriber on the lane; returns the epoch in which the subscription begins. */
uint64_t roan_topics_join(roan_lane *lane, roan_topic_kind kind, roan_slice name, uint64_t hash);
/* One subscriber less, and whether it was the lane's last; returns the epoch in which the subscription has ended. */
uint64_t roan_topics_leave(roan_lane *lane, roan_topic_kind kind, roan_slice name, uint64_t hash, bool is_last);

/* For whom a message to a channel is. */
typedef struct roan_audience {
    uint64_t lanes;              /* by bit */
    size_t subscribers;
    uint64_t channel_epoch, pattern_epoch;
} roan_audience;

#define ROAN_EPOCH_NEVER UINT64_MAX

/* The channel stays locked until roan_topics_unlock. */
void roan_topics_lock_audience(roan_topics *topics, roan_topic_kind kind, roan_slice name, uint64_t hash,
                               roan_audience *ret_audience);
void roan_topics_unlock(roan_topics *topics, uint64_t hash);

/* Anybody subscribes to anything: a quick look. */
bool roan_topics_are_used(const roan_topics *topics);

/* How many subscribe to exactly this name. */
size_t roan_topics_subscribers(roan_topics *topics, roan_topic_kind kind, roan_slice name, uint64_t hash);
/* How many channels, or patterns, have subscribers. */
size_t roan_topics_count(roan_topics *topics, roan_topic_kind kind);
/* Visits channels (not patterns) in any order, under the locks: the visitor does little. */
void roan_topics_visit(roan_topics *topics, roan_topic_kind kind, void (*visit)(void *context, roan_slice name),
                       void *context);
