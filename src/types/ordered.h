/* types/ordered.h: elements in the order of (score, member): a counted B+ tree of pointers to them.
 *
 * The tree does not own the elements; each has a score and its member as its key. Finding an element's rank, the
 * element of a rank, or where a range of scores or members begins are all one walk down. Leaves are linked, so that
 * walking along the order touches nothing else. A member costs about 6.5 bytes when scores come in order, about 8 when
 * they do not.
 *
 * Ranges are pairs of ranks: everything that names a part of the order (scores, members, indexes) is turned into ranks
 * first.
 */
#pragma once

#include "types/element.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct roan_ordered_leaf roan_ordered_leaf;

typedef struct roan_ordered {
    void *root;                     /* a leaf while height is 0, else an inner node; NULL when empty */
    roan_ordered_leaf *head, *tail;
    uint64_t count;
    uint64_t leaf_count, inner_count;
    unsigned height;                /* levels of inner nodes */
} roan_ordered;

/* A place in the order between two elements. */
typedef struct roan_ordered_bound {
    double score;
    roan_slice member;
    bool has_score;  /* false: scores do not matter, all are the same */
    bool has_member; /* false: the place is beside all members with the score */
    bool is_behind;  /* behind what equals it, else before */
} roan_ordered_bound;

/* Where an element is; valid until the tree changes. */
typedef struct roan_ordered_cursor {
    const roan_ordered_leaf *leaf; /* NULL: past either end */
    unsigned index;
} roan_ordered_cursor;

/* The order of members with the same score: by their bytes, then the shorter first. */
static inline int roan_member_compare(roan_slice a, roan_slice b)
{
    size_t common = ROAN_MIN(a.bytes, b.bytes);
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

void roan_ordered_init(roan_ordered *tree);
/* Frees the nodes; the tree is empty and usable again. */
void roan_ordered_clear(roan_ordered *tree);

/* Adds an element whose (score, member) is not there yet. */
void roan_ordered_insert(roan_ordered *tree, roan_element *item);
/* The same for one that belongs behind all others. */
void roan_ordered_append(roan_ordered *tree, roan_element *item);
/* Takes out an element that is there. */
void roan_ordered_remove(roan_ordered *tree, const roan_element *item);
/* Gives an element that is there another score. */
void roan_ordered_change_score(roan_ordered *tree, roan_element *item, double score);

/* Takes out elements from `rank` on: at least one, at most `max`, as many as lie together. Returns how many were
 * written to ret_items. */
#define ROAN_ORDERED_TAKE_MAX 82u
size_t roan_ordered_take(roan_ordered *tree, uint64_t rank, size_t max, roan_element **ret_items);

/* The rank of an element that is there. */
uint64_t roan_ordered_rank(const roan_ordered *tree, const roan_element *item);
/* How many elements are before the bound. */
uint64_t roan_ordered_rank_of_bound(const roan_ordered *tree, const roan_ordered_bound *bound);

/* A cursor at the element of that rank; past the end for rank == count. */
roan_ordered_cursor roan_ordered_at(const roan_ordered *tree, uint64_t rank);

/* The element at the cursor, which moves on; NULL past the end. What comes next is read ahead. */
roan_element *roan_ordered_next(roan_ordered_cursor *cursor);
roan_element *roan_ordered_previous(roan_ordered_cursor *cursor);

/* Bytes of the nodes. */
size_t roan_ordered_bytes(const roan_ordered *tree);

/* Walks everything and states the invariants. */
void roan_ordered_check(const roan_ordered *tree);
