/* types/list_edit.c: changes inside a list: what equals a text goes, one comes beside another, one takes another's
 * place.
 *
 * An item that comes into a full node goes to the end of a neighbour if it stands beside that, otherwise the node is
 * split there. Pieces that fit together are merged with their neighbours afterwards. An item too large for a node
 * stands alone between two of them.
 */
#include "base/macros.h"
#include "types/list_inside.h"

/* ---- removing what equals ---- */

/* Moves the items that stay together, at the head of the node or (from_tail) at its tail. */
static uint64_t sift_node(roan_list_node *node, const roan_packed *wanted, uint64_t limit, bool from_tail)
{
    char *begin = node->data + node->begin, *end = node->data + node->end;
    char *from = from_tail ? end : begin, *to = from; /* the items between them are gone */
    uint64_t removed = 0;
    while (from != (from_tail ? begin : end) && removed < limit) {
        roan_packed item;
        const char *next, *first = from;
        if (from_tail)
            next = first = roan_list_item_previous(from);
        else
            next = roan_list_item_next(from);
        size_t bytes = (size_t)(from_tail ? from - next : next - from);
        roan_packed_read(first, &item);
        if (roan_packed_is_equal(&item, wanted)) {
            removed++;
        } else {
            char *target = from_tail ? to - bytes : to;
            if (to != from)
                memmove(target, first, bytes);
            to = from_tail ? target : to + bytes;
        }
        from = node->data + (next - node->data);
    }
    size_t gone_from = (size_t)((from_tail ? from : to) - node->data);
    size_t gone_to = (size_t)((from_tail ? to : from) - node->data);
    if (removed > 0)
        roan_list_node_erase(node, gone_from, gone_to, (size_t)removed);
    return removed;
}

/* Node number `number`; it may be empty afterwards, or (plain) is to be removed when *ret_is_gone. */
static uint64_t sift_number(roan_list_ring *ring, uint32_t number, const roan_packed *wanted, uint64_t limit,
                            bool from_tail, bool *ret_is_gone)
{
    roan_list_node *node = roan_list_ring_node(ring, number);
    if (roan_list_node_is_plain(node)) {
        *ret_is_gone = !wanted->is_integer && roan_slice_equal(roan_list_node_plain_text(node), wanted->text);
        return *ret_is_gone ? 1 : 0;
    }
    uint64_t removed = sift_node(node, wanted, limit, from_tail);
    *ret_is_gone = node->count == 0;
    if (removed > 0 && !*ret_is_gone)
        roan_list_ring_set(ring, number, roan_list_node_fit(node, roan_list_node_bytes(node) / 2));
    return removed;
}

static uint64_t sift_ring(roan_list_ring *ring, const roan_packed *wanted, uint64_t limit, bool from_tail)
{
    uint64_t removed = 0;
    uint32_t number = from_tail ? ring->node_count - 1 : 0;
    while (number < ring->node_count && removed < limit) {
        bool is_gone;
        removed += sift_number(ring, number, wanted, limit - removed, from_tail, &is_gone);
        if (is_gone)
            roan_list_ring_remove(ring, number, 1);
        if (from_tail)
            number--; /* before number 0 comes UINT32_MAX, which no node has */
        else if (!is_gone)
            number++;
    }
    return removed;
}

uint64_t roan_list_remove_equal(roan_value *list, const roan_type_context *context, roan_slice text, uint64_t limit,
                                bool from_tail)
{
    roan_packed wanted = roan_packed_from_text(text);
    uint64_t removed = list->encoding == ROAN_LIST_SMALL ? sift_node(list->data, &wanted, limit, from_tail)
                                                         : sift_ring(list->data, &wanted, limit, from_tail);
    if (removed > 0)
        roan_list_settle(list, context);
    return removed;
}

/* ---- inserting ---- */

/* Merges nodes `number` and `number` + 1 if both exist and their items fit into one. */
static bool merge_with_next(roan_list_ring *ring, uint32_t number, roan_list_limits limits)
{
    if (number >= ring->node_count || number + 1 >= ring->node_count)
        return false;
    roan_list_node *node = roan_list_ring_node(ring, number), *next = roan_list_ring_node(ring, number + 1);
    if (roan_list_node_is_plain(node) || roan_list_node_is_plain(next) ||
        roan_list_exceeds(limits, roan_list_node_weight(node) + roan_list_node_bytes(next),
                          (size_t)node->count + next->count))
        return false;
    next = roan_list_node_copy(next); /* the ring frees its own */
    roan_list_ring_remove(ring, number + 1, 1);
    roan_list_ring_set(ring, number, roan_list_node_merge(node, next));
    return true;
}

/* The neighbourhood of a node that was split: two and two before and behind it, then it with them. */
static void merge_around(roan_list_ring *ring, uint32_t number, roan_list_limits limits)
{
    if (number >= 2 && merge_with_next(ring, number - 2, limits))
        number--;
    merge_with_next(ring, number + 1, limits);
    if (number >= 1 && merge_with_next(ring, number - 1, limits))
        number--;
    merge_with_next(ring, number, limits);
}

/* Splits a node so that number `index` begins another one; both are in the ring. At an edge nothing is split. Returns
 * the number of the node that begins there. */
static uint32_t split_at(roan_list_ring *ring, roan_list_spot spot)
{
    roan_list_node *node = roan_list_ring_node(ring, spot.node);
    if (spot.index == 0)
        return spot.node;
    if (spot.index < node->count) {
        roan_list_node *right = roan_list_node_split(&node, spot.index);
        roan_list_ring_set(ring, spot.node, node);
        roan_list_ring_insert(ring, spot.node + 1, right);
    }
    return spot.node + 1;
}

/* A node number that accepts the text, if it exists. */
static bool accepts(const roan_list_ring *ring, uint32_t number, roan_list_limits limits, size_t text_bytes)
{
    return number < ring->node_count && roan_list_node_accepts(roan_list_ring_node(ring, number), limits, text_bytes);
}

static void insert_in_node(roan_list_ring *ring, roan_list_spot spot, roan_slice text)
{
    roan_list_node *node = roan_list_ring_node(ring, spot.node);
    roan_packed item = roan_packed_from_text(text);
    node = roan_list_node_insert(node, roan_list_node_offset(node, spot.index), &item);
    roan_list_ring_set(ring, spot.node, node);
}

/* Puts the text where a full node has no room for it: at its edge into a new node, else with one half of it. */
static void insert_in_full(roan_list_ring *ring, roan_list_spot spot, roan_slice text, bool after)
{
    roan_list_limits limits = roan_list_limits_of(ring->size_class);
    uint32_t node_count = ring->node_count, number = split_at(ring, spot); /* number: what comes behind the text */
    bool is_split = ring->node_count > node_count;
    if (!is_split || roan_list_is_too_large(limits, text.bytes)) {
        roan_list_ring_insert(ring, number, roan_list_node_for(text, limits, true, false));
        return;
    }
    uint32_t half = after ? number : number - 1;
    roan_packed item = roan_packed_from_text(text);
    roan_list_ring_set(ring, half, roan_list_node_push(roan_list_ring_node(ring, half), &item, !after, 0));
    merge_around(ring, after ? number - 1 : number, limits);
}

/* Behind the last item of a node. */
static roan_list_spot end_of(const roan_list_ring *ring, uint32_t number)
{
    return (roan_list_spot){.node = number, .index = roan_list_ring_node(ring, number)->count};
}

/* Puts the text beside an item: before it, or after. */
static void insert_in_ring(roan_list_ring *ring, roan_list_spot spot, roan_slice text, bool after)
{
    roan_list_limits limits = roan_list_limits_of(ring->size_class);
    uint32_t last = roan_list_ring_node(ring, spot.node)->count - 1u;
    roan_list_spot place = {.node = spot.node, .index = spot.index + (after ? 1 : 0)};
    if (accepts(ring, spot.node, limits, text.bytes))
        insert_in_node(ring, place, text);
    else if (after && spot.index == last && accepts(ring, spot.node + 1, limits, text.bytes))
        insert_in_node(ring, (roan_list_spot){.node = spot.node + 1}, text);
    else if (!after && spot.index == 0 && accepts(ring, spot.node - 1, limits, text.bytes))
        insert_in_node(ring, end_of(ring, spot.node - 1), text);
    else
        insert_in_full(ring, place, text, after);
}

/* The number of the first item that equals the text, or the count. */
static uint64_t find(roan_value list, roan_slice text)
{
    roan_packed wanted = roan_packed_from_text(text), item;
    roan_list_iterator it;
    roan_list_iterator_init(&it, list, 0, false);
    uint64_t index = 0;
    while (roan_list_next(&it, &item) && !roan_packed_is_equal(&item, &wanted))
        index++;
    return index;
}

bool roan_list_insert(roan_value *list, const roan_type_context *context, roan_slice pivot, roan_slice text, bool after)
{
    uint64_t index = find(*list, pivot);
    if (index == roan_list_count(*list))
        return false;
    roan_list_expect(list, context, text.bytes, 1);
    if (list->encoding == ROAN_LIST_LARGE) {
        insert_in_ring(list->data, roan_list_ring_seek(list->data, index), text, after);
        return true;
    }
    roan_packed item = roan_packed_from_text(text);
    size_t offset = roan_list_node_offset(list->data, (size_t)index + (after ? 1 : 0));
    list->data = roan_list_node_insert(list->data, offset, &item);
    return true;
}

/* ---- replacing ---- */

static roan_list_node *replace_in_node(roan_list_node *node, size_t index, roan_slice text)
{
    roan_packed item = roan_packed_from_text(text);
    size_t from = roan_list_node_offset(node, index);
    size_t to = (size_t)(roan_list_item_next(node->data + from) - node->data), behind = node->end - to;
    roan_list_node_erase(node, from, to, 1);
    return roan_list_node_insert(node, node->end - behind, &item);
}

/* Takes the item out of its node and puts the text there, in a node of its own. */
static void replace_between(roan_list_ring *ring, roan_list_spot spot, roan_slice text, roan_list_limits limits)
{
    roan_list_node *node = roan_list_ring_node(ring, spot.node);
    if (node->count == 1) {
        roan_list_ring_remove(ring, spot.node, 1);
        roan_list_ring_insert(ring, spot.node, roan_list_node_for(text, limits, true, false));
        return;
    }
    size_t from = roan_list_node_offset(node, spot.index);
    roan_list_node_erase(node, from, (size_t)(roan_list_item_next(node->data + from) - node->data), 1);
    roan_list_ring_set(ring, spot.node, node);
    uint32_t number = split_at(ring, spot);
    roan_list_ring_insert(ring, number, roan_list_node_for(text, limits, true, false));
    merge_around(ring, number, limits);
}

static void replace_in_ring(roan_list_ring *ring, roan_list_spot spot, roan_slice text)
{
    roan_list_limits limits = roan_list_limits_of(ring->size_class);
    roan_list_node *node = roan_list_ring_node(ring, spot.node);
    bool is_too_large = roan_list_is_too_large(limits, text.bytes);
    if (roan_list_node_is_plain(node) && !is_too_large) {
        insert_in_ring(ring, spot, text, true);
        roan_list_ring_remove(ring, spot.node, 1);
    } else if (is_too_large || roan_list_node_weight(node) + text.bytes > 2 * limits.bytes) {
        /* The reference lets a node grow by this as far as it will; here it does not become larger than two. */
        replace_between(ring, spot, text, limits);
    } else {
        roan_list_ring_set(ring, spot.node, replace_in_node(node, spot.index, text));
    }
}

void roan_list_replace(roan_value *list, const roan_type_context *context, uint64_t index, roan_slice text)
{
    ROAN_ASSERT(index < roan_list_count(*list));
    roan_list_expect(list, context, text.bytes, 1);
    if (list->encoding == ROAN_LIST_SMALL)
        list->data = replace_in_node(list->data, (size_t)index, text);
    else
        replace_in_ring(list->data, roan_list_ring_seek(list->data, index), text);
    roan_list_settle(list, context);
}
