/* types/id_tree.c: the B+ tree of id_tree.h.
 *
 *     inner    count | ids[ways] | children[ways]     ids[i] <= everything below children[i] (ids[0] is not looked at)
 *     leaf     previous, next, count, capacity | ids[capacity] | records[capacity]
 *
 * All pages are of PAGE_BYTES, but for a leaf that is the root: it grows from a few ids by doubling. A full page is
 * split in half, unless the new id comes behind everything: then the next page begins with it, so that a tree filled
 * in order has full pages. A page that falls below a quarter is joined with a neighbour of the same parent when both
 * fit into three quarters of a page, and an empty one is freed.
 *
 * Invariant 1: ids ascend within a page, and along the chain of leaves.
 * Invariant 2: no page is empty, but for a root leaf. All leaves have the same depth.
 * Checked by roan_id_tree_check().
 */
#include "types/id_tree.h"

#include "base/alloc.h"

#define PAGE_BYTES 2048u
#define WAYS_MAX 85u          /* children of an inner page */
#define ROOT_CAPACITY_MIN 4u
#define HEIGHT_MAX 16u        /* 2^64 ids need less */

typedef struct inner {
    uint32_t count;
    uint32_t reserved;
    roan_stream_id ids[WAYS_MAX];
    void *children[WAYS_MAX];
} inner;

_Static_assert(sizeof(inner) <= PAGE_BYTES, "an inner page is a page");

/* The way from the root to a leaf: the inner pages, and which child was taken. */
typedef struct path {
    inner *pages[HEIGHT_MAX];
    unsigned at[HEIGHT_MAX];
} path;

/* ---- pages ---- */

static unsigned leaf_capacity_max(const roan_id_tree *tree)
{
    return (PAGE_BYTES - (unsigned)sizeof(roan_id_leaf)) / ((unsigned)sizeof(roan_stream_id) + tree->record_bytes);
}

static size_t leaf_bytes(const roan_id_tree *tree, unsigned capacity)
{
    return sizeof(roan_id_leaf) + capacity * (sizeof(roan_stream_id) + tree->record_bytes);
}

static char *leaf_record(const roan_id_tree *tree, roan_id_leaf *leaf, unsigned index)
{
    return (char *)(leaf->ids + leaf->capacity) + (size_t)index * tree->record_bytes;
}

static roan_id_leaf *create_leaf(roan_id_tree *tree, unsigned capacity)
{
    roan_id_leaf *leaf = roan_alloc(leaf_bytes(tree, capacity));
    *leaf = (roan_id_leaf){.capacity = (uint16_t)capacity};
    tree->leaf_count++;
    return leaf;
}

static void free_leaf(roan_id_tree *tree, roan_id_leaf *leaf)
{
    tree->leaf_count--;
    roan_free(leaf, leaf_bytes(tree, leaf->capacity));
}

static inner *create_inner(roan_id_tree *tree)
{
    inner *page = roan_alloc(sizeof *page);
    page->count = 0;
    page->reserved = 0;
    tree->inner_count++;
    return page;
}

static void free_inner(roan_id_tree *tree, inner *page)
{
    tree->inner_count--;
    roan_free(page, sizeof *page);
}

void roan_id_tree_init(roan_id_tree *tree, size_t record_bytes)
{
    ROAN_ASSERT(record_bytes % 8 == 0 && record_bytes <= 128);
    *tree = (roan_id_tree){.record_bytes = (uint16_t)record_bytes};
}

static void free_pages(roan_id_tree *tree, void *page, unsigned height)
{
    if (height == 0) {
        free_leaf(tree, page);
        return;
    }
    inner *parent = page;
    for (unsigned i = 0; i < parent->count; i++)
        free_pages(tree, parent->children[i], height - 1); /* no deeper than HEIGHT_MAX */
    free_inner(tree, parent);
}

void roan_id_tree_done(roan_id_tree *tree)
{
    if (tree->root != NULL)
        free_pages(tree, tree->root, tree->height);
    roan_id_tree_init(tree, tree->record_bytes);
}

/* ---- finding ---- */

/* How many of the ids are below `id`. */
static unsigned count_below(const roan_stream_id *ids, unsigned count, roan_stream_id id)
{
    unsigned low = 0;
    while (count > 0) {
        unsigned half = count / 2;
        bool is_below = roan_stream_id_is_less(ids[low + half], id);
        low = is_below ? low + half + 1 : low;
        count = is_below ? count - half - 1 : half;
    }
    return low;
}

/* The child that holds `id` or would. */
static unsigned choose_child(const inner *page, roan_stream_id id)
{
    unsigned below = count_below(page->ids + 1, page->count - 1, id);
    return below + 1 < page->count && roan_stream_id_is_equal(page->ids[below + 1], id) ? below + 1 : below;
}

/* The leaf that holds `id` or would. */
static roan_id_leaf *descend(const roan_id_tree *tree, roan_stream_id id)
{
    void *page = tree->root;
    for (unsigned height = tree->height; height > 0; height--) {
        inner *parent = page;
        page = parent->children[choose_child(parent, id)];
    }
    return page;
}

static roan_id_leaf *descend_noting(const roan_id_tree *tree, roan_stream_id id, path *way)
{
    void *page = tree->root;
    for (unsigned height = tree->height; height > 0; height--) {
        inner *parent = page;
        way->pages[height - 1] = parent;
        way->at[height - 1] = choose_child(parent, id);
        page = parent->children[way->at[height - 1]];
    }
    return page;
}

void *roan_id_tree_find(const roan_id_tree *tree, roan_stream_id id)
{
    if (tree->count == 0)
        return NULL;
    roan_id_leaf *leaf = descend(tree, id);
    unsigned index = count_below(leaf->ids, leaf->count, id);
    if (index == leaf->count || !roan_stream_id_is_equal(leaf->ids[index], id))
        return NULL;
    return leaf_record(tree, leaf, index);
}

roan_id_cursor roan_id_tree_at_least(const roan_id_tree *tree, roan_stream_id id)
{
    if (tree->count == 0)
        return (roan_id_cursor){NULL, 0};
    roan_id_leaf *leaf = descend(tree, id);
    unsigned index = count_below(leaf->ids, leaf->count, id);
    return index < leaf->count ? (roan_id_cursor){leaf, index} : (roan_id_cursor){leaf->next, 0};
}

roan_id_cursor roan_id_tree_at_most(const roan_id_tree *tree, roan_stream_id id)
{
    if (tree->count == 0)
        return (roan_id_cursor){NULL, 0};
    roan_id_cursor cursor = {.leaf = descend(tree, id)};
    cursor.index = count_below(cursor.leaf->ids, cursor.leaf->count, id);
    if (cursor.index == cursor.leaf->count || !roan_stream_id_is_equal(roan_id_cursor_id(&cursor), id))
        roan_id_cursor_previous(&cursor);
    return cursor;
}

/* ---- adding ---- */

/* The root leaf with another capacity. */
static roan_id_leaf *resize_root_leaf(roan_id_tree *tree, unsigned capacity)
{
    roan_id_leaf *old = tree->root, *leaf = create_leaf(tree, capacity);
    leaf->count = old->count;
    memcpy(leaf->ids, old->ids, old->count * sizeof *old->ids);
    memcpy(leaf_record(tree, leaf, 0), leaf_record(tree, old, 0), (size_t)old->count * tree->record_bytes);
    free_leaf(tree, old);
    tree->root = tree->first = tree->last = leaf;
    return leaf;
}

/* Puts page `right`, whose first id is `id`, behind the child the way goes through. */
static void insert_child(roan_id_tree *tree, path *way, unsigned height, roan_stream_id id, void *right)
{
    while (true) {
        if (height == tree->height) {
            ROAN_ASSERT(height < HEIGHT_MAX);
            inner *root = create_inner(tree);
            root->count = 2;
            root->ids[0] = ROAN_STREAM_ID_MIN;
            root->children[0] = tree->root;
            root->ids[1] = id;
            root->children[1] = right;
            tree->root = root;
            tree->height++;
            return;
        }
        inner *page = way->pages[height];
        unsigned at = way->at[height] + 1;
        if (page->count < WAYS_MAX) {
            memmove(page->ids + at + 1, page->ids + at, (page->count - at) * sizeof *page->ids);
            memmove(page->children + at + 1, page->children + at, (page->count - at) * sizeof *page->children);
            page->ids[at] = id;
            page->children[at] = right;
            page->count++;
            return;
        }
        inner *more = create_inner(tree);
        unsigned kept = at == WAYS_MAX ? WAYS_MAX : WAYS_MAX / 2;
        more->count = WAYS_MAX - kept;
        memcpy(more->ids, page->ids + kept, more->count * sizeof *more->ids);
        memcpy(more->children, page->children + kept, more->count * sizeof *more->children);
        page->count = kept;
        inner *target = at < kept ? page : more;
        if (target == more)
            at -= kept;
        memmove(target->ids + at + 1, target->ids + at, (target->count - at) * sizeof *target->ids);
        memmove(target->children + at + 1, target->children + at, (target->count - at) * sizeof *target->children);
        target->ids[at] = id;
        target->children[at] = right;
        target->count++;
        id = more->ids[0];
        right = more;
        height++;
    }
}

static void link_behind(roan_id_tree *tree, roan_id_leaf *leaf, roan_id_leaf *added)
{
    added->previous = leaf;
    added->next = leaf->next;
    *(leaf->next == NULL ? &tree->last : &leaf->next->previous) = added;
    leaf->next = added;
}

/* Opens a gap for one id in a leaf with room. */
static void *insert_into(roan_id_tree *tree, roan_id_leaf *leaf, unsigned index, roan_stream_id id)
{
    unsigned behind = leaf->count - index;
    char *record = leaf_record(tree, leaf, index);
    memmove(leaf->ids + index + 1, leaf->ids + index, behind * sizeof *leaf->ids);
    memmove(record + tree->record_bytes, record, (size_t)behind * tree->record_bytes);
    leaf->ids[index] = id;
    leaf->count++;
    tree->count++;
    return record;
}

/* The leaf is full: a part of it, or nothing, goes to a new one behind it. Returns the one where index is now. */
static roan_id_leaf *split_leaf(roan_id_tree *tree, path *way, roan_id_leaf *leaf, unsigned *index, roan_stream_id id)
{
    roan_id_leaf *added = create_leaf(tree, leaf_capacity_max(tree));
    bool is_append = *index == leaf->count && leaf->next == NULL;
    unsigned kept = is_append ? leaf->count : leaf->count / 2;
    added->count = (uint16_t)(leaf->count - kept);
    memcpy(added->ids, leaf->ids + kept, added->count * sizeof *added->ids);
    memcpy(leaf_record(tree, added, 0), leaf_record(tree, leaf, kept), (size_t)added->count * tree->record_bytes);
    leaf->count = (uint16_t)kept;
    link_behind(tree, leaf, added);
    insert_child(tree, way, 0, is_append ? id : added->ids[0], added);
    if (*index < kept || (*index == kept && !is_append))
        return leaf;
    *index -= kept;
    return added;
}

static void *insert_slowly(roan_id_tree *tree, roan_stream_id id, bool *ret_is_new)
{
    path way;
    if (tree->root == NULL)
        tree->root = tree->first = tree->last = create_leaf(tree, ROOT_CAPACITY_MIN);
    roan_id_leaf *leaf = descend_noting(tree, id, &way);
    unsigned index = count_below(leaf->ids, leaf->count, id);
    *ret_is_new = index == leaf->count || !roan_stream_id_is_equal(leaf->ids[index], id);
    if (!*ret_is_new)
        return leaf_record(tree, leaf, index);
    if (leaf->count == leaf->capacity) {
        unsigned capacity_max = leaf_capacity_max(tree);
        if (leaf->capacity < capacity_max)
            leaf = resize_root_leaf(tree, ROAN_MIN(leaf->capacity * 2u, capacity_max));
        else
            leaf = split_leaf(tree, &way, leaf, &index, id);
    }
    return insert_into(tree, leaf, index, id);
}

void *roan_id_tree_insert(roan_id_tree *tree, roan_stream_id id, bool *ret_is_new)
{
    roan_id_leaf *last = tree->last;
    if (ROAN_LIKELY(last != NULL && last->count > 0 && last->count < last->capacity &&
                    roan_stream_id_is_less(last->ids[last->count - 1], id))) {
        *ret_is_new = true;
        return insert_into(tree, last, last->count, id);
    }
    return insert_slowly(tree, id, ret_is_new);
}

/* ---- removing ---- */

static void remove_child(inner *page, unsigned at)
{
    page->count--;
    memmove(page->ids + at, page->ids + at + 1, (page->count - at) * sizeof *page->ids);
    memmove(page->children + at, page->children + at + 1, (page->count - at) * sizeof *page->children);
}

static void unlink_leaf(roan_id_tree *tree, roan_id_leaf *leaf)
{
    *(leaf->previous == NULL ? &tree->first : &leaf->previous->next) = leaf->next;
    *(leaf->next == NULL ? &tree->last : &leaf->next->previous) = leaf->previous;
    free_leaf(tree, leaf);
}

/* Moves everything of `right` to the end of `left`, its neighbour. */
static void join_leaves(roan_id_tree *tree, roan_id_leaf *left, roan_id_leaf *right)
{
    memcpy(left->ids + left->count, right->ids, right->count * sizeof *right->ids);
    memcpy(leaf_record(tree, left, left->count), leaf_record(tree, right, 0),
           (size_t)right->count * tree->record_bytes);
    left->count = (uint16_t)(left->count + right->count);
    unlink_leaf(tree, right);
}

static void join_inners(roan_id_tree *tree, inner *left, inner *right, roan_stream_id right_id)
{
    memcpy(left->ids + left->count, right->ids, right->count * sizeof *right->ids);
    memcpy(left->children + left->count, right->children, right->count * sizeof *right->children);
    left->ids[left->count] = right_id; /* its own first id was not kept up */
    left->count += right->count;
    free_inner(tree, right);
}

/* How many things the page at children[at] holds; height is that of the parent. */
static unsigned count_of_child(const inner *parent, unsigned at, unsigned height)
{
    return height == 1 ? ((roan_id_leaf *)parent->children[at])->count : ((inner *)parent->children[at])->count;
}

/* The child at[height - 1] of its parent has become small: frees it, or joins it with a neighbour. */
static void shrink_child(roan_id_tree *tree, inner *parent, unsigned at, unsigned height)
{
    unsigned capacity = height == 1 ? leaf_capacity_max(tree) : WAYS_MAX;
    unsigned count = count_of_child(parent, at, height);
    if (count == 0) {
        if (height == 1)
            unlink_leaf(tree, parent->children[at]);
        else
            free_inner(tree, parent->children[at]);
        remove_child(parent, at);
        return;
    }
    if (count >= capacity / 4)
        return;
    unsigned left = at + 1 < parent->count ? at : at - 1;
    if (parent->count < 2 ||
        count_of_child(parent, left, height) + count_of_child(parent, left + 1, height) > capacity * 3 / 4)
        return;
    if (height == 1)
        join_leaves(tree, parent->children[left], parent->children[left + 1]);
    else
        join_inners(tree, parent->children[left], parent->children[left + 1], parent->ids[left + 1]);
    remove_child(parent, left + 1);
}

/* A root with a single child is not needed. */
static void lower_root(roan_id_tree *tree)
{
    while (tree->height > 0 && ((inner *)tree->root)->count == 1) {
        inner *root = tree->root;
        tree->root = root->children[0];
        tree->height--;
        free_inner(tree, root);
    }
}

bool roan_id_tree_remove(roan_id_tree *tree, roan_stream_id id)
{
    if (tree->count == 0)
        return false;
    path way;
    roan_id_leaf *leaf = descend_noting(tree, id, &way);
    unsigned index = count_below(leaf->ids, leaf->count, id);
    if (index == leaf->count || !roan_stream_id_is_equal(leaf->ids[index], id))
        return false;
    tree->count--;
    leaf->count--;
    unsigned behind = leaf->count - index;
    char *record = leaf_record(tree, leaf, index);
    memmove(leaf->ids + index, leaf->ids + index + 1, behind * sizeof *leaf->ids);
    memmove(record, record + tree->record_bytes, (size_t)behind * tree->record_bytes);
    for (unsigned height = 1; height <= tree->height; height++)
        shrink_child(tree, way.pages[height - 1], way.at[height - 1], height);
    lower_root(tree);
    if (tree->height == 0) {
        leaf = tree->root;
        if (leaf->capacity > ROOT_CAPACITY_MIN * 2 && leaf->count < leaf->capacity / 4)
            resize_root_leaf(tree, leaf->capacity / 2u);
    }
    return true;
}

/* ---- looking at all of it ---- */

size_t roan_id_tree_memory(const roan_id_tree *tree)
{
    if (tree->root == NULL)
        return 0;
    unsigned capacity = tree->height == 0 ? ((roan_id_leaf *)tree->root)->capacity : leaf_capacity_max(tree);
    return tree->leaf_count * roan_alloc_good_size(leaf_bytes(tree, capacity)) +
           tree->inner_count * roan_alloc_good_size(sizeof(inner));
}

/* Checks the pages below `page` and returns how many ids they hold. */
static uint64_t check_pages(const roan_id_tree *tree, void *page, unsigned height, uint32_t *leaves, uint32_t *inners)
{
    if (height == 0) {
        roan_id_leaf *leaf = page;
        ++*leaves;
        ROAN_ASSERT(leaf->count <= leaf->capacity && (leaf->count > 0 || tree->height == 0));
        ROAN_ASSERT(tree->height == 0 || leaf->capacity == leaf_capacity_max(tree));
        return leaf->count;
    }
    inner *parent = page;
    uint64_t count = 0;
    ++*inners;
    ROAN_ASSERT(parent->count > 0 && parent->count <= WAYS_MAX);
    for (unsigned i = 0; i < parent->count; i++) {
        ROAN_ASSERT(i < 2 || roan_stream_id_is_less(parent->ids[i - 1], parent->ids[i]));
        count += check_pages(tree, parent->children[i], height - 1, leaves, inners);
    }
    return count;
}

void roan_id_tree_check(const roan_id_tree *tree)
{
    if (tree->root == NULL) {
        ROAN_ASSERT(tree->count == 0 && tree->height == 0);
        return;
    }
    uint32_t leaves = 0, inners = 0;
    ROAN_ASSERT(check_pages(tree, tree->root, tree->height, &leaves, &inners) == tree->count);
    ROAN_ASSERT(leaves == tree->leaf_count && inners == tree->inner_count);
    uint64_t count = 0;
    roan_stream_id before = ROAN_STREAM_ID_MIN;
    for (roan_id_cursor at = roan_id_tree_first(tree); at.leaf != NULL; roan_id_cursor_next(&at), count++) {
        roan_stream_id id = roan_id_cursor_id(&at);
        ROAN_ASSERT(count == 0 || roan_stream_id_is_less(before, id));
        ROAN_ASSERT(roan_id_tree_find(tree, id) == roan_id_cursor_record(tree, &at));
        before = id;
    }
    ROAN_ASSERT(count == tree->count);
}
