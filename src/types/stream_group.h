/* types/stream_group.h: consumer groups of a stream: how far each has read, and which entries wait to be acknowledged.
 *
 * A pending entry stands in two ordered maps: the group's says to whom it was delivered, when, and how often; the
 * consumer's holds its id only. Both change together, through the functions here.
 */
#pragma once

#include "types/id_tree.h"

/* Things with a name, in the order of their names. Each begins with a roan_slice that is its name. */
typedef struct roan_stream_names {
    void **items;
    uint32_t count, capacity;
} roan_stream_names;

typedef struct roan_stream_consumer {
    roan_slice name;
    roan_id_tree pending; /* without records */
    int64_t seen_ms;      /* last tried to read */
    int64_t active_ms;    /* last got something; -1: never */
    char name_bytes[];
} roan_stream_consumer;

/* The record of a pending entry in its group's map. */
typedef struct roan_stream_pending {
    roan_stream_consumer *consumer;
    int64_t delivered_ms;
    uint64_t deliveries;
} roan_stream_pending;

#define ROAN_STREAM_READ_UNKNOWN INT64_C(-1)

typedef struct roan_stream_group {
    roan_slice name;
    roan_id_tree pending; /* roan_stream_pending */
    roan_stream_names consumers;
    roan_stream_id last_id;
    int64_t entries_read; /* how many entries of the stream's history it has read, or ROAN_STREAM_READ_UNKNOWN */
    char name_bytes[];
} roan_stream_group;

/* The item of that name, or NULL. */
void *roan_stream_names_find(const roan_stream_names *names, roan_slice name);

/* ---- groups ---- */

roan_stream_group *roan_stream_group_create(roan_slice name, roan_stream_id last_id, int64_t entries_read);
void roan_stream_group_free(roan_stream_group *group);
roan_stream_group *roan_stream_group_copy(const roan_stream_group *group);
size_t roan_stream_group_memory(const roan_stream_group *group);
size_t roan_stream_group_effort(const roan_stream_group *group);
void roan_stream_group_check(const roan_stream_group *group);

/* Puts a group among others; there is none of its name. */
void roan_stream_groups_add(roan_stream_names *groups, roan_stream_group *group);
/* Takes it out; it is the caller's. */
void roan_stream_groups_take(roan_stream_names *groups, const roan_stream_group *group);
void roan_stream_groups_done(roan_stream_names *groups);

/* ---- consumers ---- */

static inline roan_stream_consumer *roan_stream_group_consumer(const roan_stream_group *group, roan_slice name)
{
    return roan_stream_names_find(&group->consumers, name);
}

/* Adds a consumer; there is none of that name. */
roan_stream_consumer *roan_stream_group_add_consumer(roan_stream_group *group, roan_slice name, int64_t now_ms);
/* Takes it out, with what was pending for it, as a group of its own that has no name: to be freed, now or later. */
roan_stream_group *roan_stream_group_take_consumer(roan_stream_group *group, roan_stream_consumer *consumer)
    ROAN_MUST_CHECK;

/* ---- pending entries ---- */

static inline roan_stream_pending *roan_stream_group_pending(const roan_stream_group *group, roan_stream_id id)
{
    return roan_id_tree_find(&group->pending, id);
}

/* Makes the entry pending for the consumer, whoever had it. The record is new (and zero) when *ret_is_new, otherwise it
 * keeps its numbers. Valid until the next change. */
roan_stream_pending *roan_stream_group_assign(roan_stream_group *group, roan_stream_consumer *consumer,
                                              roan_stream_id id, bool *ret_is_new);

/* Acknowledges: forgets the pending entry. False: there is none. */
bool roan_stream_group_forget(roan_stream_group *group, roan_stream_id id);
