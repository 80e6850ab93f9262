/* types/id_tree.h: an ordered map from stream ids to small records of one size.
 *
 * A B+ tree: finding, adding and removing take O(log n), both ends O(1), and nothing pauses when it is large. A map
 * of a few ids takes little more than them; one that is filled in order has full leaves.
 */
#pragma once

#include "base/macros.h"
#include "types/stream_id.h"

typedef struct roan_id_leaf roan_id_leaf;

typedef struct roan_id_tree {
    void *root;           /* roan_id_leaf at height 0; NULL: nothing was ever added */
    roan_id_leaf *first, *last;
    uint64_t count;
    uint32_t leaf_count, inner_count;
    uint16_t record_bytes; /* a multiple of 8, or 0 */
    uint16_t height;
} roan_id_tree;

/* A place in a tree. Valid until the tree changes. */
typedef struct roan_id_cursor {
    roan_id_leaf *leaf; /* NULL: behind the end, or before the beginning */
    unsigned index;
} roan_id_cursor;

struct roan_id_leaf {
    roan_id_leaf *previous, *next;
    uint16_t count, capacity;
    uint32_t reserved;
    roan_stream_id ids[]; /* capacity; behind them as many records */
};

void roan_id_tree_init(roan_id_tree *tree, size_t record_bytes);
void roan_id_tree_done(roan_id_tree *tree);

/* The record of an id, or NULL. */
void *roan_id_tree_find(const roan_id_tree *tree, roan_stream_id id);

/* The record of an id, which is added (with an unspecified record) when it is not there. Moves records. */
void *roan_id_tree_insert(roan_id_tree *tree, roan_stream_id id, bool *ret_is_new);

/* False: no such id. Moves records. */
bool roan_id_tree_remove(roan_id_tree *tree, roan_stream_id id);

/* The first id that is not below `id`; the last that is not above. */
roan_id_cursor roan_id_tree_at_least(const roan_id_tree *tree, roan_stream_id id);
roan_id_cursor roan_id_tree_at_most(const roan_id_tree *tree, roan_stream_id id);

static inline roan_id_cursor roan_id_tree_first(const roan_id_tree *tree)
{
    return (roan_id_cursor){tree->count == 0 ? NULL : tree->first, 0};
}

static inline roan_id_cursor roan_id_tree_last(const roan_id_tree *tree)
{
    return tree->count == 0 ? (roan_id_cursor){NULL, 0} : (roan_id_cursor){tree->last, tree->last->count - 1u};
}

static inline void roan_id_cursor_next(roan_id_cursor *cursor)
{
    if (++cursor->index < cursor->leaf->count)
        return;
    *cursor = (roan_id_cursor){cursor->leaf->next, 0};
}

static inline void roan_id_cursor_previous(roan_id_cursor *cursor)
{
    if (cursor->index > 0) {
        cursor->index--;
        return;
    }
    roan_id_leaf *leaf = cursor->leaf->previous;
    *cursor = (roan_id_cursor){leaf, leaf == NULL ? 0 : leaf->count - 1u};
}

static inline roan_stream_id roan_id_cursor_id(const roan_id_cursor *cursor)
{
    return cursor->leaf->ids[cursor->index];
}

static inline void *roan_id_cursor_record(const roan_id_tree *tree, const roan_id_cursor *cursor)
{
    roan_id_leaf *leaf = cursor->leaf;
    return (char *)(leaf->ids + leaf->capacity) + (size_t)cursor->index * tree->record_bytes;
}

/* Bytes of all its pages, the allocator's rounding included; the struct is the owner's. */
size_t roan_id_tree_memory(const roan_id_tree *tree);

/* States the invariants; walks the whole tree. */
void roan_id_tree_check(const roan_id_tree *tree);
