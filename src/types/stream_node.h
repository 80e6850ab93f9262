/* types/stream_node.h: a node of a stream: some entries in one allocation, in the order of their ids.
 *
 *     capacity, bytes, count, deleted | field count, names | entry entry ... free ... | place of entry 1, of entry 0
 *
 *     names      those of the node's first entry; an entry with the same names has values only
 *     entry      flags u8, id, [field count], then value value ... or name value name value ...
 *     flags      deleted, same names, bytes of the id's ms and seq (0 to 6, or 8)
 *     id         ms as a difference to the node's first id; seq as one, too, when ms is the same
 *     place      where an entry begins, from the end backwards: 2 bytes each, or 4 in a node that has become wide
 *
 * Names, values and counts are packed items (packed.h). Deleted entries stay, flagged, until the whole node goes. The
 * first id is kept by whoever has the node, and is `base` below.
 *
 * Invariant: count <= ROAN_STREAM_NODE_ENTRIES_MAX; places ascend; live entries are count - deleted.
 */
#pragma once

#include "base/macros.h"
#include "types/packed.h"
#include "types/stream_id.h"

#define ROAN_STREAM_NODE_BYTES_MAX \
    ((size_t)1 << 30) /* a node is full when it has more, whatever the configuration says */

typedef struct roan_stream_node {
    uint32_t capacity;  /* of the whole allocation */
    uint32_t bytes;     /* from the beginning of the node to the end of its last entry */
    uint32_t count;     /* entries, deleted ones included */
    uint32_t deleted : 31;
    uint32_t is_wide : 1;
    char data[];
} roan_stream_node;

/* What an entry is made of: name, value, name, value, ... */
typedef struct roan_stream_fields {
    const roan_slice *words;
    size_t count; /* pairs */
} roan_stream_fields;

/* An entry as it lies in its node; valid until the node changes. */
typedef struct roan_stream_entry {
    roan_stream_id id;
    size_t field_count;
    const char *names; /* the next name in the node's list; NULL: names stand before the values */
    const char *at;    /* the next item */
    bool is_deleted;
} roan_stream_entry;

/* A node without entries, for entries with these names; about `bytes` long. */
roan_stream_node *roan_stream_node_create(roan_stream_fields fields, size_t bytes);
void roan_stream_node_free(roan_stream_node *node);
roan_stream_node *roan_stream_node_copy(const roan_stream_node *node);
/* Gives room back that is not needed; the node may move. */
roan_stream_node *roan_stream_node_fit(roan_stream_node *node);

/* Appends an entry; the node may move. Adds to *reference_bytes what the entry takes in the reference's nodes. */
roan_stream_node *roan_stream_node_append(roan_stream_node *node, roan_stream_id base, roan_stream_id id,
                                          roan_stream_fields fields, size_t *reference_bytes);

/* What the whole node, without its two counters, takes in the reference. Walks it. */
size_t roan_stream_node_reference_bytes(const roan_stream_node *node, roan_stream_id base);
/* The same for the two counters, and for a new node with these names. */
size_t roan_stream_node_reference_counters(const roan_stream_node *node);
size_t roan_stream_node_reference_header(roan_stream_fields fields);

/* The entry at a place (below count). */
void roan_stream_node_entry(const roan_stream_node *node, roan_stream_id base, unsigned index,
                            roan_stream_entry *entry);
roan_stream_id roan_stream_node_id(const roan_stream_node *node, roan_stream_id base, unsigned index);

/* The first place whose id is not below `id`; count when there is none. Deleted entries are places, too. */
unsigned roan_stream_node_find(const roan_stream_node *node, roan_stream_id base, roan_stream_id id);

/* Flags a live entry as deleted. */
void roan_stream_node_delete(roan_stream_node *node, unsigned index);
bool roan_stream_node_is_deleted(const roan_stream_node *node, unsigned index);

static inline unsigned roan_stream_node_live(const roan_stream_node *node)
{
    return node->count - node->deleted;
}

/* Takes out the last entry, which is deleted. */
void roan_stream_node_drop_last(roan_stream_node *node);

/* The next pair of an entry; to be called field_count times. */
static inline void roan_stream_entry_next(roan_stream_entry *entry, roan_packed *ret_name, roan_packed *ret_value)
{
    if (ROAN_LIKELY(entry->names != NULL))
        entry->names = roan_packed_read(entry->names, ret_name);
    else
        entry->at = roan_packed_read(entry->at, ret_name);
    entry->at = roan_packed_read(entry->at, ret_value);
}

/* States the invariants. */
void roan_stream_node_check(const roan_stream_node *node, roan_stream_id base);
