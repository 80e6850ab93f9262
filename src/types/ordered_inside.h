/* types/ordered_inside.h: the nodes of the tree of ordered.h, for its own files.
 *
 * A pointer in a leaf is kept as its low 32 and its next 16 bits in two arrays: six bytes instead of eight, and
 * looking for one compares small integers that lie together. Addresses of user space have 47 bits.
 */
#pragma once

#include "types/ordered.h"

#include "base/alloc.h"
#include "base/macros.h"

#define LEAF_ITEMS_MAX ROAN_ORDERED_TAKE_MAX
#define LEAF_ITEMS_MIN (LEAF_ITEMS_MAX / 4)
#define INNER_CHILDREN_MAX 31u
#define INNER_CHILDREN_MIN (INNER_CHILDREN_MAX / 4)
#define HEIGHT_MAX 24u /* 7^24 is more than there is memory */

typedef roan_ordered_leaf leaf;
struct roan_ordered_leaf {
    leaf *next, *previous;
    uint32_t low[LEAF_ITEMS_MAX];
    uint16_t high[LEAF_ITEMS_MAX];
    uint16_t count;
};
_Static_assert(sizeof(leaf) <= 512, "a leaf fills a size class of the allocator");

/* What a parent knows of a child: its first element with its score, and how many are below it. */
typedef struct inner {
    unsigned count;
    double score[INNER_CHILDREN_MAX];
    roan_element *first[INNER_CHILDREN_MAX];
    void *child[INNER_CHILDREN_MAX];
    uint64_t size[INNER_CHILDREN_MAX];
} inner;
_Static_assert(sizeof(inner) <= 1024, "an inner node fills a size class of the allocator");

/* One step of the way down: the inner node and which of its children was taken. */
typedef struct step {
    inner *node;
    unsigned index;
} step;

/* The way to a leaf, root first; tree->height steps. */
typedef struct path {
    step steps[HEIGHT_MAX];
    leaf *leaf;
    unsigned index; /* in the leaf */
} path;

static inline roan_element *leaf_item(const leaf *of, unsigned index)
{
    return (roan_element *)((uintptr_t)of->high[index] << 32 | of->low[index]);
}

static inline void leaf_set_item(leaf *of, unsigned index, const roan_element *item)
{
    of->low[index] = (uint32_t)(uintptr_t)item;
    of->high[index] = (uint16_t)((uintptr_t)item >> 32);
}

/* Moves `count` items within a leaf or from one to another. */
static inline void leaf_move(leaf *to, unsigned to_index, const leaf *from, unsigned from_index, unsigned count)
{
    memmove(&to->low[to_index], &from->low[from_index], count * sizeof to->low[0]);
    memmove(&to->high[to_index], &from->high[from_index], count * sizeof to->high[0]);
}

/* `score` is the item's. */
static inline bool is_before(double score, const roan_element *item, const roan_ordered_bound *bound)
{
    if (bound->has_score && score != bound->score)
        return score < bound->score;
    if (!bound->has_member)
        return bound->is_behind;
    int order = roan_member_compare(roan_element_key(item), bound->member);
    return order < 0 || (order == 0 && bound->is_behind);
}

/* The bound directly before or behind an item. */
static inline roan_ordered_bound bound_of_item(const roan_element *item, bool is_behind)
{
    return (roan_ordered_bound){.score = roan_element_score(item), .member = roan_element_key(item), .has_score = true,
                                .has_member = true, .is_behind = is_behind};
}

/* The child in which the item just before the bound is, or 0. */
static inline unsigned inner_find(const inner *node, const roan_ordered_bound *bound)
{
    unsigned low = 0, high = node->count - 1;
    while (low < high) {
        unsigned middle = (low + high + 1) / 2;
        if (is_before(node->score[middle], node->first[middle], bound))
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* How many items of the leaf are before the bound. */
static inline unsigned leaf_find(const leaf *of, const roan_ordered_bound *bound)
{
    unsigned low = 0, high = of->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        const roan_element *item = leaf_item(of, middle);
        ROAN_PREFETCH(leaf_item(of, (low + middle) / 2));
        ROAN_PREFETCH(leaf_item(of, ROAN_MIN((middle + 1 + high) / 2, of->count - 1u)));
        if (is_before(roan_element_score(item), item, bound))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where the item is in the leaf, which has it. */
unsigned roan_ordered_leaf_index(const leaf *of, const roan_element *item);
/* The way to the leaf in which the item just before the bound is, or to the first. The index is that of the first item
 * not before the bound (which may be the leaf's count). The tree is not empty. */
void roan_ordered_walk(const roan_ordered *tree, const roan_ordered_bound *bound, path *ret_path);
/* The way to an item that is there. */
void roan_ordered_walk_to_item(const roan_ordered *tree, const roan_element *item, path *ret_path);
