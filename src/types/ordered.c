/* types/ordered.c: looking into the tree of ordered.h: ways down, ranks, cursors, and its invariants. Changing it:
 * ordered_change.c.
 *
 * Invariant 1: items are in strictly ascending order of (score, member), within leaves and from leaf to leaf.
 * Invariant 2: of each child a parent knows the first item, its score, and the number of items below, exactly.
 * Invariant 3: all leaves have the same depth; none is empty, and all but the first and the last of the tree have at
 *              least LEAF_ITEMS_MIN items. Likewise the inner nodes of a level. A root that is an inner node has two
 *              children or more.
 */
#include "types/ordered.h"

#include "types/ordered_inside.h"

#define AHEAD 8 /* elements read ahead of a cursor */

void roan_ordered_init(roan_ordered *tree)
{
    *tree = (roan_ordered){0};
}

static void free_below(void *node, unsigned height)
{
    if (height == 0) {
        roan_free(node, sizeof(leaf));
        return;
    }
    inner *parent = node;
    for (unsigned i = 0; i < parent->count; i++)
        free_below(parent->child[i], height - 1);
    roan_free(parent, sizeof *parent);
}

void roan_ordered_clear(roan_ordered *tree)
{
    if (tree->root != NULL)
        free_below(tree->root, tree->height);
    roan_ordered_init(tree);
}

size_t roan_ordered_bytes(const roan_ordered *tree)
{
    return tree->leaf_count * roan_alloc_good_size(sizeof(leaf)) +
           tree->inner_count * roan_alloc_good_size(sizeof(inner));
}

/* ---- ways down ---- */

unsigned roan_ordered_leaf_index(const leaf *of, const roan_element *item)
{
    uint32_t low = (uint32_t)(uintptr_t)item;
    for (unsigned i = 0; i < of->count; i++)
        if (of->low[i] == low && leaf_item(of, i) == item)
            return i;
    ROAN_UNREACHABLE("an element that is not where it belongs");
}

void roan_ordered_walk(const roan_ordered *tree, const roan_ordered_bound *bound, path *ret_path)
{
    void *node = tree->root;
    for (unsigned depth = 0; depth < tree->height; depth++) {
        inner *parent = node;
        unsigned index = inner_find(parent, bound);
        ret_path->steps[depth] = (step){parent, index};
        node = parent->child[index];
    }
    ret_path->leaf = node;
    ret_path->index = leaf_find(node, bound);
}

void roan_ordered_walk_to_item(const roan_ordered *tree, const roan_element *item, path *ret_path)
{
    roan_ordered_bound bound = bound_of_item(item, true);
    void *node = tree->root;
    for (unsigned depth = 0; depth < tree->height; depth++) {
        inner *parent = node;
        unsigned index = inner_find(parent, &bound);
        ret_path->steps[depth] = (step){parent, index};
        node = parent->child[index];
    }
    ret_path->leaf = node;
    ret_path->index = roan_ordered_leaf_index(node, item);
}

/* ---- ranks ---- */

static uint64_t rank_of_path(const roan_ordered *tree, const path *way)
{
    uint64_t rank = way->index;
    for (unsigned depth = 0; depth < tree->height; depth++)
        for (unsigned i = 0; i < way->steps[depth].index; i++)
            rank += way->steps[depth].node->size[i];
    return rank;
}

uint64_t roan_ordered_rank(const roan_ordered *tree, const roan_element *item)
{
    path way;
    roan_ordered_walk_to_item(tree, item, &way);
    return rank_of_path(tree, &way);
}

uint64_t roan_ordered_rank_of_bound(const roan_ordered *tree, const roan_ordered_bound *bound)
{
    path way;
    if (tree->count == 0)
        return 0;
    roan_ordered_walk(tree, bound, &way);
    return rank_of_path(tree, &way);
}

/* ---- cursors ---- */

roan_ordered_cursor roan_ordered_at(const roan_ordered *tree, uint64_t rank)
{
    if (rank >= tree->count)
        return (roan_ordered_cursor){0};
    const void *node = tree->root;
    for (unsigned depth = 0; depth < tree->height; depth++) {
        const inner *parent = node;
        unsigned index = 0;
        while (rank >= parent->size[index])
            rank -= parent->size[index++];
        node = parent->child[index];
    }
    return (roan_ordered_cursor){node, (unsigned)rank};
}

roan_element *roan_ordered_next(roan_ordered_cursor *cursor)
{
    const leaf *at = cursor->leaf;
    if (at == NULL)
        return NULL;
    unsigned index = cursor->index++;
    if (index + AHEAD < at->count)
        ROAN_PREFETCH(leaf_item(at, index + AHEAD));
    else if (at->next != NULL && index + AHEAD - at->count < at->next->count)
        ROAN_PREFETCH(leaf_item(at->next, index + AHEAD - at->count));
    if (cursor->index == at->count)
        *cursor = (roan_ordered_cursor){at->next, 0};
    return leaf_item(at, index);
}

roan_element *roan_ordered_previous(roan_ordered_cursor *cursor)
{
    const leaf *at = cursor->leaf;
    if (at == NULL)
        return NULL;
    unsigned index = cursor->index;
    if (index >= AHEAD)
        ROAN_PREFETCH(leaf_item(at, index - AHEAD));
    else if (at->previous != NULL && at->previous->count > AHEAD)
        ROAN_PREFETCH(leaf_item(at->previous, at->previous->count + index - AHEAD));
    if (index > 0)
        cursor->index--;
    else
        *cursor = (roan_ordered_cursor){at->previous, at->previous == NULL ? 0 : at->previous->count - 1u};
    return leaf_item(at, index);
}

/* ---- invariants ---- */

typedef struct checked {
    const leaf *previous;
    const roan_element *last;
    uint64_t leaves, inners;
} checked;

static uint64_t check_leaf(const roan_ordered *tree, const leaf *of, checked *seen)
{
    ROAN_ASSERT(of->count > 0 && of->count <= LEAF_ITEMS_MAX);
    ROAN_ASSERT(of->count >= LEAF_ITEMS_MIN || of == tree->head || of == tree->tail);
    ROAN_ASSERT(of->previous == seen->previous && (seen->previous == NULL || seen->previous->next == of));
    for (unsigned i = 0; i < of->count; i++) {
        const roan_element *item = leaf_item(of, i);
        if (seen->last != NULL) {
            roan_ordered_bound bound = bound_of_item(item, false);
            ROAN_ASSERT(is_before(roan_element_score(seen->last), seen->last, &bound));
        }
        seen->last = item;
    }
    seen->previous = of;
    seen->leaves++;
    return of->count;
}

static const roan_element *first_below(const void *node, unsigned height)
{
    return height == 0 ? leaf_item(node, 0) : ((const inner *)node)->first[0];
}

static uint64_t check_below(const roan_ordered *tree, const void *node, unsigned height, bool is_left, bool is_right,
                            checked *seen)
{
    if (height == 0)
        return check_leaf(tree, node, seen);
    const inner *parent = node;
    uint64_t all = 0;
    ROAN_ASSERT(parent->count <= INNER_CHILDREN_MAX && parent->count >= (is_left || is_right ? 1 : INNER_CHILDREN_MIN));
    for (unsigned i = 0; i < parent->count; i++) {
        ROAN_ASSERT(parent->first[i] == first_below(parent->child[i], height - 1));
        ROAN_ASSERT(parent->score[i] == roan_element_score(parent->first[i]));
        uint64_t size = check_below(tree, parent->child[i], height - 1, is_left && i == 0,
                                    is_right && i == parent->count - 1, seen);
        ROAN_ASSERT(parent->size[i] == size);
        all += size;
    }
    seen->inners++;
    return all;
}

void roan_ordered_check(const roan_ordered *tree)
{
    checked seen = {0};
    if (tree->root == NULL) {
        ROAN_ASSERT(tree->count == 0 && tree->height == 0 && tree->head == NULL && tree->tail == NULL);
        return;
    }
    ROAN_ASSERT(tree->height == 0 || ((inner *)tree->root)->count > 1);
    ROAN_ASSERT(check_below(tree, tree->root, tree->height, true, true, &seen) == tree->count);
    ROAN_ASSERT(seen.previous == tree->tail && tree->tail->next == NULL);
    ROAN_ASSERT(seen.leaves == tree->leaf_count && seen.inners == tree->inner_count);
}
