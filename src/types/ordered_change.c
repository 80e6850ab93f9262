/* types/ordered_change.c: changing the tree of ordered.h.
 *
 * Room in a full leaf is found in three ways. At either end of the order a fresh leaf begins, so that what arrives in
 * order fills its leaves to the brim. Elsewhere a neighbour with room takes a share, and only two full neighbours make
 * a leaf split: this keeps leaves at about four fifths when elements come in no order. A leaf that has become small
 * shares with a neighbour or moves in with it; the first and the last leaf may be of any size, so that taking from
 * either end moves nothing.
 *
 * Depth counts from the root: steps[0] is the root, a node at depth d has height tree->height - d, and leaves are at
 * depth tree->height.
 */
#include "types/ordered.h"

#include "types/ordered_inside.h"

#define ROOM_WORTH_SHARING 4u

/* ---- entries of inner nodes ---- */

typedef struct entry {
    void *child;
    roan_element *first;
    double score;
    uint64_t size;
} entry;

static entry entry_of(void *child, unsigned height)
{
    if (height == 0) {
        roan_element *first = leaf_item(child, 0);
        return (entry){child, first, roan_element_score(first), ((leaf *)child)->count};
    }
    const inner *node = child;
    entry all = {child, node->first[0], node->score[0], 0};
    for (unsigned i = 0; i < node->count; i++)
        all.size += node->size[i];
    return all;
}

static void inner_set(inner *node, unsigned index, entry with)
{
    node->score[index] = with.score;
    node->first[index] = with.first;
    node->child[index] = with.child;
    node->size[index] = with.size;
}

static void inner_move(inner *to, unsigned to_index, const inner *from, unsigned from_index, unsigned count)
{
    memmove(&to->score[to_index], &from->score[from_index], count * sizeof to->score[0]);
    memmove(&to->first[to_index], &from->first[from_index], count * sizeof to->first[0]);
    memmove(&to->child[to_index], &from->child[from_index], count * sizeof to->child[0]);
    memmove(&to->size[to_index], &from->size[from_index], count * sizeof to->size[0]);
}

static void inner_put(inner *node, unsigned index, entry with)
{
    ROAN_ASSERT(node->count < INNER_CHILDREN_MAX && index <= node->count);
    inner_move(node, index + 1, node, index, node->count - index);
    inner_set(node, index, with);
    node->count++;
}

static void inner_drop(inner *node, unsigned index)
{
    inner_move(node, index, node, index + 1, node->count - index - 1);
    node->count--;
}

/* ---- nodes ---- */

static inner *inner_create(roan_ordered *tree)
{
    inner *node = roan_alloc(sizeof *node);
    node->count = 0;
    tree->inner_count++;
    return node;
}

/* An empty leaf, linked in before or behind `beside` (NULL: the only one). */
static leaf *leaf_create(roan_ordered *tree, leaf *beside, bool is_before_it)
{
    leaf *fresh = roan_alloc(sizeof *fresh);
    fresh->count = 0;
    fresh->previous = beside == NULL ? NULL : is_before_it ? beside->previous : beside;
    fresh->next = beside == NULL ? NULL : is_before_it ? beside : beside->next;
    *(fresh->previous == NULL ? &tree->head : &fresh->previous->next) = fresh;
    *(fresh->next == NULL ? &tree->tail : &fresh->next->previous) = fresh;
    tree->leaf_count++;
    return fresh;
}

static void leaf_drop(roan_ordered *tree, leaf *gone)
{
    *(gone->previous == NULL ? &tree->head : &gone->previous->next) = gone->next;
    *(gone->next == NULL ? &tree->tail : &gone->next->previous) = gone->previous;
    tree->leaf_count--;
    roan_free(gone, sizeof *gone);
}

static void node_free(roan_ordered *tree, void *node, unsigned height)
{
    if (height == 0) {
        leaf_drop(tree, node);
        return;
    }
    tree->inner_count--;
    roan_free(node, sizeof(inner));
}

/* ---- along a way ---- */

static void *node_at(const roan_ordered *tree, const path *way, unsigned depth)
{
    return depth == tree->height ? (void *)way->leaf : way->steps[depth].node;
}

/* The node at that depth is the first (last) of its level. */
static bool is_first(const path *way, unsigned depth)
{
    while (depth-- > 0)
        if (way->steps[depth].index != 0)
            return false;
    return true;
}

static bool is_last(const path *way, unsigned depth)
{
    while (depth-- > 0)
        if (way->steps[depth].index != way->steps[depth].node->count - 1)
            return false;
    return true;
}

/* The node at that depth has changed: tells all above it. */
static void refresh_above(const roan_ordered *tree, const path *way, unsigned depth)
{
    for (; depth > 0; depth--) {
        const step *above = &way->steps[depth - 1];
        inner_set(above->node, above->index, entry_of(node_at(tree, way, depth), tree->height - depth));
    }
}

/* The way's leaf has another first item, or that one another score. */
static void refresh_first(const roan_ordered *tree, const path *way)
{
    roan_element *first = leaf_item(way->leaf, 0);
    double score = roan_element_score(first);
    for (unsigned depth = tree->height; depth-- > 0;) {
        const step *above = &way->steps[depth];
        above->node->first[above->index] = first;
        above->node->score[above->index] = score;
        if (above->index > 0)
            return;
    }
}

static void change_sizes(roan_ordered *tree, const path *way, int64_t change)
{
    tree->count += (uint64_t)change;
    for (unsigned depth = 0; depth < tree->height; depth++)
        way->steps[depth].node->size[way->steps[depth].index] += (uint64_t)change;
}

/* The way to the last leaf, with the index behind its last item. */
static void walk_to_end(const roan_ordered *tree, path *ret_way)
{
    void *node = tree->root;
    for (unsigned depth = 0; depth < tree->height; depth++) {
        inner *parent = node;
        ret_way->steps[depth] = (step){parent, parent->count - 1};
        node = parent->child[parent->count - 1];
    }
    ret_way->leaf = node;
    ret_way->index = ret_way->leaf->count;
}

static void walk_to_rank(const roan_ordered *tree, uint64_t rank, path *ret_way)
{
    void *node = tree->root;
    for (unsigned depth = 0; depth < tree->height; depth++) {
        inner *parent = node;
        unsigned index = 0;
        while (rank >= parent->size[index])
            rank -= parent->size[index++];
        ret_way->steps[depth] = (step){parent, index};
        node = parent->child[index];
    }
    ret_way->leaf = node;
    ret_way->index = (unsigned)rank;
}

/* ---- growing ---- */

static void insert_beside(roan_ordered *tree, path *way, unsigned depth, void *fresh, bool is_before_it);

/* Adds a child to the inner node of the way at that depth. The way is used up. */
static void insert_child(roan_ordered *tree, path *way, unsigned depth, unsigned index, entry child)
{
    inner *node = way->steps[depth].node;
    if (node->count < INNER_CHILDREN_MAX) {
        inner_put(node, index, child);
        refresh_above(tree, way, depth);
        return;
    }
    inner *fresh = inner_create(tree);
    bool is_before_it = index == 0 && is_first(way, depth);
    if (is_before_it || (index == node->count && is_last(way, depth))) {
        inner_put(fresh, 0, child);
    } else {
        unsigned kept = node->count / 2;
        inner_move(fresh, 0, node, kept, node->count - kept);
        fresh->count = node->count - kept;
        node->count = kept;
        if (index <= kept)
            inner_put(node, index, child);
        else
            inner_put(fresh, index - kept, child);
    }
    insert_beside(tree, way, depth, fresh, is_before_it);
}

/* Adds a node beside the way's node at that depth, which may have changed, too. The way is used up. */
static void insert_beside(roan_ordered *tree, path *way, unsigned depth, void *fresh, bool is_before_it)
{
    unsigned height = tree->height - depth;
    entry old = entry_of(node_at(tree, way, depth), height), added = entry_of(fresh, height);
    if (depth > 0) {
        const step *above = &way->steps[depth - 1];
        inner_set(above->node, above->index, old);
        insert_child(tree, way, depth - 1, above->index + !is_before_it, added);
        return;
    }
    inner *root = inner_create(tree);
    ROAN_ASSERT(tree->height < HEIGHT_MAX);
    inner_put(root, 0, is_before_it ? added : old);
    inner_put(root, 1, is_before_it ? old : added);
    tree->root = root;
    tree->height++;
}

/* Two neighbouring leaves of a parent get the same number of items. */
static void even_out_leaves(inner *parent, unsigned index)
{
    leaf *left = parent->child[index], *right = parent->child[index + 1];
    unsigned all = left->count + right->count, wanted = all / 2;
    if (left->count > wanted) {
        unsigned moved = left->count - wanted;
        leaf_move(right, moved, right, 0, right->count);
        leaf_move(right, 0, left, wanted, moved);
    } else {
        unsigned moved = wanted - left->count;
        leaf_move(left, left->count, right, 0, moved);
        leaf_move(right, 0, right, moved, right->count - moved);
    }
    left->count = (uint16_t)wanted;
    right->count = (uint16_t)(all - wanted);
    inner_set(parent, index, entry_of(left, 0));
    inner_set(parent, index + 1, entry_of(right, 0));
}

static unsigned room_of_leaf(const inner *parent, unsigned index)
{
    return LEAF_ITEMS_MAX - ((const leaf *)parent->child[index])->count;
}

/* A neighbour takes a share of the way's full leaf; false: they are full, too. */
static bool share_with_neighbour(const roan_ordered *tree, const path *way)
{
    if (tree->height == 0)
        return false;
    const step *above = &way->steps[tree->height - 1];
    unsigned index = above->index;
    if (index > 0 && room_of_leaf(above->node, index - 1) >= ROOM_WORTH_SHARING) {
        even_out_leaves(above->node, index - 1);
        return true;
    }
    if (index + 1 < above->node->count && room_of_leaf(above->node, index + 1) >= ROOM_WORTH_SHARING) {
        even_out_leaves(above->node, index);
        return true;
    }
    return false;
}

static void split_leaf(roan_ordered *tree, path *way)
{
    leaf *full = way->leaf, *fresh = leaf_create(tree, full, false);
    unsigned kept = full->count / 2;
    leaf_move(fresh, 0, full, kept, full->count - kept);
    fresh->count = (uint16_t)(full->count - kept);
    full->count = (uint16_t)kept;
    insert_beside(tree, way, tree->height, fresh, false);
}

/* Puts the item where the way ends, in a leaf with room. */
static void put_item(roan_ordered *tree, const path *way, roan_element *item)
{
    leaf *into = way->leaf;
    ROAN_ASSERT(into->count < LEAF_ITEMS_MAX);
    leaf_move(into, way->index + 1, into, way->index, into->count - way->index);
    leaf_set_item(into, way->index, item);
    into->count++;
    change_sizes(tree, way, 1);
    if (way->index == 0)
        refresh_first(tree, way);
}

/* Begins a leaf with the item, before the first or behind the last, which the way leads to. */
static void put_outside(roan_ordered *tree, path *way, roan_element *item, bool is_before_it)
{
    leaf *fresh = leaf_create(tree, way->leaf, is_before_it);
    leaf_set_item(fresh, 0, item);
    fresh->count = 1;
    tree->count++;
    insert_beside(tree, way, tree->height, fresh, is_before_it);
}

static void put_only(roan_ordered *tree, roan_element *item)
{
    leaf *only = leaf_create(tree, NULL, false);
    leaf_set_item(only, 0, item);
    only->count = 1;
    tree->count = 1;
    tree->root = only;
}

void roan_ordered_append(roan_ordered *tree, roan_element *item)
{
    path way;
    if (tree->count == 0) {
        put_only(tree, item);
        return;
    }
    walk_to_end(tree, &way);
    if (way.index == LEAF_ITEMS_MAX)
        put_outside(tree, &way, item, false);
    else
        put_item(tree, &way, item);
}

static const roan_element *last_item(const roan_ordered *tree)
{
    return leaf_item(tree->tail, tree->tail->count - 1u);
}

void roan_ordered_insert(roan_ordered *tree, roan_element *item)
{
    path way;
    roan_ordered_bound bound = bound_of_item(item, false);
    if (tree->count == 0 || is_before(roan_element_score(last_item(tree)), last_item(tree), &bound)) {
        roan_ordered_append(tree, item);
        return;
    }
    roan_ordered_walk(tree, &bound, &way);
    if (way.leaf->count == LEAF_ITEMS_MAX) {
        if (way.leaf == tree->head && way.index == 0) {
            put_outside(tree, &way, item, true);
            return;
        }
        if (!share_with_neighbour(tree, &way))
            split_leaf(tree, &way);
        roan_ordered_walk(tree, &bound, &way);
    }
    put_item(tree, &way, item);
}

/* ---- shrinking ---- */

static void even_out_inners(inner *parent, unsigned index, unsigned height)
{
    inner *left = parent->child[index], *right = parent->child[index + 1];
    unsigned all = left->count + right->count, wanted = all / 2;
    if (left->count > wanted) {
        unsigned moved = left->count - wanted;
        inner_move(right, moved, right, 0, right->count);
        inner_move(right, 0, left, wanted, moved);
    } else {
        unsigned moved = wanted - left->count;
        inner_move(left, left->count, right, 0, moved);
        inner_move(right, 0, right, moved, right->count - moved);
    }
    left->count = wanted;
    right->count = all - wanted;
    inner_set(parent, index, entry_of(left, height));
    inner_set(parent, index + 1, entry_of(right, height));
}

static void remove_child(roan_ordered *tree, path *way, unsigned depth, unsigned index);

/* The inner node at that depth has few children: it shares with a neighbour, or one takes in the other. */
static void rebalance_inner(roan_ordered *tree, path *way, unsigned depth)
{
    const step *above = &way->steps[depth - 1];
    inner *parent = above->node;
    unsigned index = above->index > 0 ? above->index - 1 : 0, height = tree->height - depth;
    ROAN_ASSERT(parent->count > 1);
    inner *left = parent->child[index], *right = parent->child[index + 1];
    if (left->count + right->count > INNER_CHILDREN_MAX * 3 / 4) {
        even_out_inners(parent, index, height);
        return;
    }
    inner_move(left, left->count, right, 0, right->count);
    left->count += right->count;
    inner_set(parent, index, entry_of(left, height));
    remove_child(tree, way, depth - 1, index + 1);
}

/* Takes a child out of the way's inner node at that depth, and frees it. What was in it is gone or elsewhere. The way
 * is used up. */
static void remove_child(roan_ordered *tree, path *way, unsigned depth, unsigned index)
{
    inner *node = way->steps[depth].node;
    node_free(tree, node->child[index], tree->height - depth - 1);
    inner_drop(node, index);
    if (node->count == 0) {
        ROAN_ASSERT(depth > 0);
        remove_child(tree, way, depth - 1, way->steps[depth - 1].index);
        return;
    }
    refresh_above(tree, way, depth);
    if (node->count < INNER_CHILDREN_MIN && !is_first(way, depth) && !is_last(way, depth))
        rebalance_inner(tree, way, depth);
}

static void rebalance_leaf(roan_ordered *tree, path *way)
{
    const step *above = &way->steps[tree->height - 1];
    inner *parent = above->node;
    unsigned index = above->index > 0 ? above->index - 1 : 0;
    ROAN_ASSERT(parent->count > 1);
    leaf *left = parent->child[index], *right = parent->child[index + 1];
    if (left->count + right->count > LEAF_ITEMS_MAX * 3 / 4) {
        even_out_leaves(parent, index);
        return;
    }
    leaf_move(left, left->count, right, 0, right->count);
    left->count = (uint16_t)(left->count + right->count);
    inner_set(parent, index, entry_of(left, 0));
    remove_child(tree, way, tree->height - 1, index + 1);
}

/* A root with one child is none. */
static void lower_root(roan_ordered *tree)
{
    while (tree->height > 0 && ((inner *)tree->root)->count == 1) {
        inner *root = tree->root;
        tree->root = root->child[0];
        node_free(tree, root, tree->height);
        tree->height--;
    }
}

/* Takes out `count` items of the way's leaf from its index on. */
static void remove_items(roan_ordered *tree, path *way, unsigned count)
{
    leaf *from = way->leaf;
    leaf_move(from, way->index, from, way->index + count, from->count - way->index - count);
    from->count = (uint16_t)(from->count - count);
    change_sizes(tree, way, -(int64_t)count);
    if (tree->count == 0) {
        roan_ordered_clear(tree);
        return;
    }
    if (from->count == 0) {
        remove_child(tree, way, tree->height - 1, way->steps[tree->height - 1].index);
    } else {
        if (way->index == 0)
            refresh_first(tree, way);
        if (from->count < LEAF_ITEMS_MIN && from != tree->head && from != tree->tail)
            rebalance_leaf(tree, way);
    }
    lower_root(tree);
}

void roan_ordered_remove(roan_ordered *tree, const roan_element *item)
{
    path way;
    roan_ordered_walk_to_item(tree, item, &way);
    remove_items(tree, &way, 1);
}

size_t roan_ordered_take(roan_ordered *tree, uint64_t rank, size_t max, roan_element **ret_items)
{
    path way;
    ROAN_ASSERT(rank < tree->count && max > 0);
    walk_to_rank(tree, rank, &way);
    unsigned count = (unsigned)ROAN_MIN(max, (size_t)(way.leaf->count - way.index));
    for (unsigned i = 0; i < count; i++)
        ret_items[i] = leaf_item(way.leaf, way.index + i);
    remove_items(tree, &way, count);
    return count;
}

/* With that score the item at the end of the way would still stand between its neighbours. */
static bool stays_in_place(const path *way, const roan_element *item, double score)
{
    roan_ordered_bound bound = bound_of_item(item, false);
    bound.score = score;
    roan_ordered_cursor before = {way->leaf, way->index}, behind = before;
    ROAN_IGNORE(roan_ordered_previous(&before)); /* the item itself */
    ROAN_IGNORE(roan_ordered_next(&behind));
    const roan_element *left = before.leaf == NULL ? NULL : leaf_item(before.leaf, before.index);
    const roan_element *right = behind.leaf == NULL ? NULL : leaf_item(behind.leaf, behind.index);
    return (left == NULL || is_before(roan_element_score(left), left, &bound)) &&
           (right == NULL || !is_before(roan_element_score(right), right, &bound));
}

void roan_ordered_change_score(roan_ordered *tree, roan_element *item, double score)
{
    path way;
    roan_ordered_walk_to_item(tree, item, &way);
    bool stays = stays_in_place(&way, item, score);
    if (!stays)
        remove_items(tree, &way, 1);
    roan_element_set_score(item, score);
    if (!stays)
        roan_ordered_insert(tree, item);
    else if (way.index == 0)
        refresh_first(tree, &way);
}
