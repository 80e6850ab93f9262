/* types/list.c: making, walking, pushing and removing; inserting and replacing are in list_edit.c.
 *
 *     small   value ─► node
 *     large   value ─► ring ─► node, node, node ...
 *
 * The ends of a large list have room to grow, nodes between them are filled up to the limit and about as large as their
 * items. Pushing and dropping at an end touches the ring and one node; what happens to nodes in the middle stays
 * within a node or moves the shorter side of the ring.
 *
 * Invariant 1: a small list's node is packed.
 * Invariant 2: a large list that is not empty has no empty nodes.
 */
#include "types/list.h"

#include "base/alloc.h"
#include "base/macros.h"
#include "types/list_inside.h"

#define FIRST_BYTES 36u        /* room of a new list: the node's allocation is 48 bytes */
#define END_BYTES_FIRST 500u   /* room of a new node at an end; it grows from there */
#define SMALL_BYTES_MAX (256u * 1024) /* many texts at once may bring a small list so far beyond its limit */
#define ROTATED_BYTES_MAX 512u /* longer texts need an allocation on their way to the other end */
#define IDLE_BYTES_MAX 128u    /* unused room that is never given back */

roan_value roan_list_create(const roan_type_context *context)
{
    (void)context;
    return (roan_value){.data = roan_list_node_create(FIRST_BYTES, true), .encoding = ROAN_LIST_SMALL};
}

/* ---- the operations of the type ---- */

static void free_list(roan_value list)
{
    if (list.encoding == ROAN_LIST_SMALL)
        roan_list_node_free(list.data);
    else
        roan_list_ring_free(list.data);
}

static roan_value copy_list(roan_value list)
{
    list.data = list.encoding == ROAN_LIST_SMALL ? (void *)roan_list_node_copy(list.data)
                                                 : (void *)roan_list_ring_copy(list.data);
    return list;
}

static size_t list_memory(roan_value list, size_t samples)
{
    return list.encoding == ROAN_LIST_SMALL ? roan_list_node_memory(list.data)
                                            : roan_list_ring_memory(list.data, samples);
}

static size_t list_effort(roan_value list)
{
    return list.encoding == ROAN_LIST_SMALL ? 1 : ((const roan_list_ring *)list.data)->node_count;
}

static const char *list_encoding_name(roan_value list)
{
    return list.encoding == ROAN_LIST_SMALL ? "listpack" : "quicklist";
}

static void check_list(roan_value list)
{
    if (list.encoding == ROAN_LIST_LARGE) {
        roan_list_ring_check(list.data);
        return;
    }
    ROAN_ASSERT(list.encoding == ROAN_LIST_SMALL && !roan_list_node_is_plain(list.data));
    roan_list_node_check(list.data);
}

const roan_type_ops roan_list_ops = {
    .name = "list",
    .free_value = free_list,
    .copy_value = copy_list,
    .memory = list_memory,
    .effort = list_effort,
    .encoding_name = list_encoding_name,
    .check = check_list,
};

/* ---- walking ---- */

/* The iterator is at item number `index` of a packed node (or at the edge where it begins). */
static void enter_node(roan_list_iterator *it, const roan_list_node *node, uint32_t index)
{
    const char *begin = node->data + node->begin, *end = node->data + node->end;
    it->limit = it->is_backwards ? begin : end;
    if (index == ROAN_LIST_EDGE)
        it->at = it->is_backwards ? end : begin;
    else
        it->at = node->data + roan_list_node_offset(node, index + (it->is_backwards ? 1 : 0));
}

void roan_list_iterator_init(roan_list_iterator *it, roan_value list, uint64_t index, bool is_backwards)
{
    *it = (roan_list_iterator){.is_backwards = is_backwards};
    if (index >= roan_list_count(list))
        return;
    if (list.encoding == ROAN_LIST_SMALL) {
        enter_node(it, list.data, (uint32_t)index);
        return;
    }
    it->ring = list.data;
    roan_list_spot spot = roan_list_ring_seek(it->ring, index);
    it->node = spot.node;
    it->index = spot.index;
}

bool roan_list_next_in_next_node(roan_list_iterator *it, roan_packed *ret_item)
{
    if (it->ring == NULL || it->node >= it->ring->node_count)
        return false;
    const roan_list_node *node = roan_list_ring_node(it->ring, it->node);
    uint32_t index = it->index;
    it->node += it->is_backwards ? UINT32_MAX : 1; /* before number 0 comes UINT32_MAX, which no node has */
    it->index = ROAN_LIST_EDGE;
    if (roan_list_node_is_plain(node)) {
        *ret_item = roan_packed_from_bytes(roan_list_node_plain_text(node));
        return true;
    }
    enter_node(it, node, index);
    return roan_list_next(it, ret_item);
}

bool roan_list_get(roan_value list, uint64_t index, roan_packed *ret_item)
{
    roan_list_iterator it;
    roan_list_iterator_init(&it, list, index, false);
    return roan_list_next(&it, ret_item);
}

/* The node at an end. */
static roan_list_node *end_node(roan_value list, bool at_tail)
{
    if (list.encoding == ROAN_LIST_SMALL)
        return list.data;
    const roan_list_ring *ring = list.data;
    return roan_list_ring_node(ring, at_tail ? ring->node_count - 1 : 0);
}

roan_packed roan_list_peek(roan_value list, bool at_tail)
{
    ROAN_ASSERT(roan_list_count(list) > 0);
    const roan_list_node *node = end_node(list, at_tail);
    roan_packed item;
    if (roan_list_node_is_plain(node))
        return roan_packed_from_bytes(roan_list_node_plain_text(node));
    roan_packed_read(at_tail ? roan_list_item_previous(node->data + node->end) : node->data + node->begin, &item);
    return item;
}

/* ---- small and large ---- */

static void make_large(roan_value *list, const roan_type_context *context)
{
    roan_list_node *node = list->data;
    roan_list_ring *ring = roan_list_ring_create((int32_t)context->list_size);
    if (node->count > 0)
        roan_list_ring_insert(ring, 0, node);
    else
        roan_list_node_free(node);
    *list = (roan_value){.data = ring, .encoding = ROAN_LIST_LARGE};
}

void roan_list_expect(roan_value *list, const roan_type_context *context, uint64_t bytes, uint64_t count)
{
    if (list->encoding == ROAN_LIST_LARGE)
        return;
    const roan_list_node *node = list->data;
    roan_list_limits limits = roan_list_limits_of(context->list_size);
    if (roan_list_exceeds(limits, roan_list_node_weight(node) + bytes, node->count + count))
        make_large(list, context);
}

/* Half of the limits, so that a list at the limit does not change its form all the time. Where a number of items is the
 * limit, bytes do not matter on the way back. */
static bool is_much_below(const roan_list_node *node, int64_t size_class)
{
    roan_list_limits limits = roan_list_limits_of(size_class);
    if (size_class >= 0)
        return node->count <= limits.count / 2 && roan_list_node_bytes(node) <= SMALL_BYTES_MAX;
    return roan_list_node_weight(node) <= limits.bytes / 2;
}

/* A node that lost most of its items gives room back, and keeps as much as it has. */
static roan_list_node *fit_small(roan_list_node *node)
{
    size_t bytes = roan_list_node_bytes(node);
    if (ROAN_UNLIKELY((size_t)node->units * ROAN_LIST_NODE_UNIT > 4 * bytes + IDLE_BYTES_MAX))
        return roan_list_node_fit(node, bytes);
    return node;
}

void roan_list_settle(roan_value *list, const roan_type_context *context)
{
    if (list->encoding == ROAN_LIST_SMALL) {
        list->data = fit_small(list->data);
        return;
    }
    roan_list_ring *ring = list->data;
    if (ROAN_LIKELY(ring->node_count != 1))
        return;
    const roan_list_node *node = roan_list_ring_node(ring, 0);
    if (roan_list_node_is_plain(node) || !is_much_below(node, context->list_size))
        return;
    *list = (roan_value){.data = fit_small(roan_list_ring_take_only(ring)), .encoding = ROAN_LIST_SMALL};
    roan_list_ring_free(ring);
}

/* ---- pushing ---- */

roan_list_node *roan_list_node_for(roan_slice text, roan_list_limits limits, bool at_tail, bool is_end)
{
    if (roan_list_is_too_large(limits, text.bytes))
        return roan_list_node_create_plain(text);
    roan_packed item = roan_packed_from_text(text);
    size_t bytes = is_end ? ROAN_MIN(END_BYTES_FIRST, roan_list_end_bytes(limits)) : text.bytes;
    return roan_list_node_push(roan_list_node_create(bytes, at_tail), &item, at_tail, 0);
}

static void push_large(roan_list_ring *ring, roan_slice text, bool at_tail)
{
    roan_list_limits limits = roan_list_limits_of(ring->size_class);
    uint32_t number = at_tail ? ring->node_count - 1 : 0;
    if (ROAN_LIKELY(ring->node_count > 0)) {
        roan_list_node *node = roan_list_ring_node(ring, number);
        if (ROAN_LIKELY(roan_list_node_accepts(node, limits, text.bytes))) {
            roan_packed item = roan_packed_from_text(text);
            roan_list_ring_set(ring, number, roan_list_node_push(node, &item, at_tail, roan_list_end_bytes(limits)));
            return;
        }
        if (!roan_list_node_is_plain(node))
            roan_list_ring_set(ring, number, roan_list_node_fit(node, 0)); /* it is no end any more */
    }
    roan_list_ring_insert(ring, at_tail ? ring->node_count : 0, roan_list_node_for(text, limits, at_tail, true));
}

static void push_one(roan_value *list, const roan_type_context *context, roan_slice text, bool at_tail)
{
    if (list->encoding == ROAN_LIST_SMALL) {
        roan_list_node *node = list->data;
        if (ROAN_LIKELY(roan_list_node_bytes(node) < SMALL_BYTES_MAX && node->count < ROAN_LIST_NODE_COUNT_MAX)) {
            roan_packed item = roan_packed_from_text(text);
            list->data = roan_list_node_push(node, &item, at_tail, 0);
            return;
        }
        make_large(list, context);
    }
    push_large(list->data, text, at_tail);
}

/* Whether the list becomes large is decided by the texts alone and before the first one comes, as in the reference. */
void roan_list_push_all(roan_value *list, const roan_type_context *context, const roan_slice *texts, size_t count,
                        bool at_tail)
{
    uint64_t bytes = 0;
    if (list->encoding == ROAN_LIST_SMALL) {
        for (size_t i = 0; i < count; i++)
            bytes += texts[i].bytes;
        roan_list_expect(list, context, bytes, count);
    }
    for (size_t i = 0; i < count; i++)
        push_one(list, context, texts[i], at_tail);
}

/* ---- removing ---- */

static void drop_from_node(roan_list_node *node, bool at_tail)
{
    if (at_tail)
        node->end = (uint32_t)(roan_list_item_previous(node->data + node->end) - node->data);
    else
        node->begin = (uint32_t)(roan_list_item_next(node->data + node->begin) - node->data);
    node->count--;
}

static void drop_end(roan_value list, bool at_tail)
{
    ROAN_ASSERT(roan_list_count(list) > 0);
    roan_list_node *node = end_node(list, at_tail);
    if (list.encoding == ROAN_LIST_SMALL) {
        drop_from_node(node, at_tail);
        return;
    }
    roan_list_ring *ring = list.data;
    uint32_t number = at_tail ? ring->node_count - 1 : 0;
    if (node->count == 1) {
        roan_list_ring_remove(ring, number, 1);
    } else {
        drop_from_node(node, at_tail);
        roan_list_ring_set(ring, number, node);
    }
}

void roan_list_drop(roan_value *list, const roan_type_context *context, bool at_tail)
{
    drop_end(*list, at_tail);
    roan_list_settle(list, context);
}

/* The text is in the way of its own list: it is copied aside. */
void roan_list_rotate(roan_value *list, const roan_type_context *context, bool from_tail, bool to_tail)
{
    char scratch[ROAN_I64_TEXT_MAX], small_copy[ROTATED_BYTES_MAX];
    roan_packed item = roan_list_peek(*list, from_tail);
    roan_slice text = roan_packed_text(&item, scratch);
    char *copy = text.bytes <= sizeof small_copy ? small_copy : roan_alloc(text.bytes);
    if (text.bytes > 0)
        memcpy(copy, text.data, text.bytes);
    drop_end(*list, from_tail);
    roan_list_push(list, context, roan_slice_make(copy, text.bytes), to_tail);
    if (copy != small_copy)
        roan_free(copy, text.bytes);
    roan_list_settle(list, context);
}

/* Items of a packed node, from number `index` on. */
static void remove_from_node(roan_list_node *node, size_t index, size_t count)
{
    size_t from = roan_list_node_offset(node, index);
    size_t to = index + count == node->count ? node->end : roan_list_node_offset(node, index + count);
    roan_list_node_erase(node, from, to, count);
}

/* How many nodes from `number` on have together at most `count` items; *ret_items: how many they have. */
static uint32_t whole_nodes(const roan_list_ring *ring, uint32_t number, uint64_t count, uint64_t *ret_items)
{
    uint32_t nodes = 0;
    uint64_t items = 0;
    while (number + nodes < ring->node_count) {
        unsigned next = ring->counts[roan_list_ring_place(ring, number + nodes)];
        if (items + next > count)
            break;
        items += next;
        nodes++;
    }
    *ret_items = items;
    return nodes;
}

static void remove_from_ring(roan_list_ring *ring, uint64_t start, uint64_t count)
{
    roan_list_spot spot = roan_list_ring_seek(ring, start);
    while (count > 0) {
        uint64_t items = 0;
        uint32_t nodes = spot.index == 0 ? whole_nodes(ring, spot.node, count, &items) : 0;
        if (nodes > 0) {
            roan_list_ring_remove(ring, spot.node, nodes);
        } else {
            roan_list_node *node = roan_list_ring_node(ring, spot.node);
            items = ROAN_MIN(count, (uint64_t)node->count - spot.index);
            remove_from_node(node, spot.index, (size_t)items);
            roan_list_ring_set(ring, spot.node, roan_list_node_fit(node, roan_list_node_bytes(node) / 2));
            spot = (roan_list_spot){.node = spot.node + 1};
        }
        count -= items;
    }
}

void roan_list_remove(roan_value *list, const roan_type_context *context, uint64_t start, uint64_t count)
{
    ROAN_ASSERT(start <= roan_list_count(*list) && count <= roan_list_count(*list) - start);
    if (count == 0)
        return;
    if (list->encoding == ROAN_LIST_SMALL)
        remove_from_node(list->data, (size_t)start, (size_t)count);
    else
        remove_from_ring(list->data, start, count);
    roan_list_settle(list, context);
}
