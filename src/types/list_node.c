/* types/list_node.c: editing one node of a list.
 *
 * Every change moves the shorter side. When there is no room at the wanted side, what is free is either at the other
 * side (the items slide to the middle of it, if that is enough for a while) or the node grows, with all of the new
 * room at the wanted side. The allocator's sizes grow by an eighth or more, so that growing to the next one costs a
 * constant per item.
 *
 * Invariant 1: begin <= end <= capacity; the items fill [begin, end) exactly and there are `count` of them.
 * Invariant 2: the length behind each item is that of the item.
 */
#include "types/list_node.h"

#include "base/alloc.h"
#include "base/macros.h"

#define HEADER_BYTES offsetof(roan_list_node, data)

_Static_assert(offsetof(roan_list_node, data) == 12, "the header is twelve bytes");

static size_t capacity_of(const roan_list_node *node)
{
    return (size_t)node->units * ROAN_LIST_NODE_UNIT - HEADER_BYTES;
}

/* The allocation that holds so many bytes of items. */
static size_t allocation_for(size_t bytes)
{
    size_t rounded = (HEADER_BYTES + bytes + ROAN_LIST_NODE_UNIT - 1) / ROAN_LIST_NODE_UNIT * ROAN_LIST_NODE_UNIT;
    return roan_alloc_good_size(rounded);
}

static size_t plain_allocation(size_t text_bytes)
{
    return HEADER_BYTES + text_bytes;
}

/* ---- items ---- */

static size_t item_bytes(const roan_packed *item)
{
    size_t bytes = roan_packed_bytes(item);
    return bytes + roan_list_back_bytes(bytes);
}

static void put_back_length(char *at, size_t bytes)
{
    size_t length = roan_list_back_bytes(bytes);
    for (size_t i = length; i-- > 0; bytes >>= 7)
        at[i] = (char)((bytes & 0x7f) | (i > 0 ? 0x80 : 0));
}

static void put_item(char *at, const roan_packed *item)
{
    char *end = roan_packed_put(at, item);
    put_back_length(end, (size_t)(end - at));
}

/* ---- making and freeing ---- */

roan_list_node *roan_list_node_create(size_t bytes, bool at_tail)
{
    size_t total = allocation_for(bytes);
    ROAN_ASSERT(total <= ROAN_LIST_NODE_BYTES_MAX && total % ROAN_LIST_NODE_UNIT == 0);
    roan_list_node *node = roan_alloc(total);
    node->units = (uint16_t)(total / ROAN_LIST_NODE_UNIT);
    node->count = 0;
    node->begin = node->end = at_tail ? 0 : (uint32_t)capacity_of(node);
    return node;
}

roan_list_node *roan_list_node_create_plain(roan_slice text)
{
    roan_list_node *node = roan_alloc(plain_allocation(text.bytes));
    *node = (roan_list_node){.begin = (uint32_t)text.bytes, .end = (uint32_t)(text.bytes >> 32), .count = 1};
    if (text.bytes > 0)
        memcpy(node->data, text.data, text.bytes);
    return node;
}

/* A packed node with the same items and room for `bytes`, all free room at one side. */
static roan_list_node *copy_packed(const roan_list_node *node, size_t bytes, bool room_at_tail)
{
    size_t used = roan_list_node_bytes(node);
    roan_list_node *copy = roan_list_node_create(bytes, true);
    copy->begin = room_at_tail ? 0 : (uint32_t)(capacity_of(copy) - used);
    copy->end = copy->begin + (uint32_t)used;
    copy->count = node->count;
    memcpy(copy->data + copy->begin, node->data + node->begin, used);
    return copy;
}

roan_list_node *roan_list_node_copy(const roan_list_node *node)
{
    if (roan_list_node_is_plain(node))
        return roan_list_node_create_plain(roan_list_node_plain_text(node));
    return copy_packed(node, roan_list_node_bytes(node), true);
}

size_t roan_list_node_memory(const roan_list_node *node)
{
    if (roan_list_node_is_plain(node))
        return roan_alloc_good_size(plain_allocation(roan_list_node_plain_text(node).bytes));
    return (size_t)node->units * ROAN_LIST_NODE_UNIT;
}

void roan_list_node_free(roan_list_node *node)
{
    if (node == NULL)
        return;
    if (roan_list_node_is_plain(node))
        roan_free(node, plain_allocation(roan_list_node_plain_text(node).bytes));
    else
        roan_free(node, (size_t)node->units * ROAN_LIST_NODE_UNIT);
}

static roan_list_node *resize(roan_list_node *node, size_t bytes, bool room_at_tail)
{
    roan_list_node *resized = copy_packed(node, bytes, room_at_tail);
    roan_list_node_free(node);
    return resized;
}

/* ---- room ---- */

/* Moves the items so that `bytes` are free at the wanted side, and what remains is shared between both. */
static void slide(roan_list_node *node, size_t bytes, bool at_tail)
{
    size_t used = roan_list_node_bytes(node);
    size_t rest = capacity_of(node) - used - bytes;
    size_t begin = rest / 2 + (at_tail ? 0 : bytes);
    memmove(node->data + begin, node->data + node->begin, used);
    node->begin = (uint32_t)begin;
    node->end = (uint32_t)(begin + used);
}

static ROAN_NOINLINE roan_list_node *make_room(roan_list_node *node, size_t bytes, bool at_tail, size_t bytes_full)
{
    size_t used = roan_list_node_bytes(node), unused = capacity_of(node) - used;
    if (unused >= bytes && unused - bytes >= used / 4) {
        slide(node, bytes, at_tail);
        return node;
    }
    size_t needed = used + bytes;
    return resize(node, ROAN_MAX(needed, ROAN_MIN(2 * needed, bytes_full)), at_tail);
}

roan_list_node *roan_list_node_push(roan_list_node *node, const roan_packed *item, bool at_tail, size_t bytes_full)
{
    ROAN_ASSERT(node->count < ROAN_LIST_NODE_COUNT_MAX);
    size_t bytes = item_bytes(item);
    size_t room = at_tail ? capacity_of(node) - node->end : node->begin;
    if (ROAN_UNLIKELY(room < bytes))
        node = make_room(node, bytes, at_tail, bytes_full);
    if (at_tail) {
        put_item(node->data + node->end, item);
        node->end += (uint32_t)bytes;
    } else {
        node->begin -= (uint32_t)bytes;
        put_item(node->data + node->begin, item);
    }
    node->count++;
    return node;
}

/* A gap of `bytes` at the offset; the node takes them as its own. Returns the node; *offset is where the gap is now. */
static roan_list_node *open_gap(roan_list_node *node, size_t *offset, size_t bytes)
{
    size_t left = *offset - node->begin, right = node->end - *offset;
    size_t tail_room = capacity_of(node) - node->end;
    if (node->begin < bytes && tail_room < bytes) {
        node = make_room(node, bytes, left > right, 0);
        *offset = node->begin + left;
        tail_room = capacity_of(node) - node->end;
    }
    if (node->begin >= bytes && (left <= right || tail_room < bytes)) {
        memmove(node->data + node->begin - bytes, node->data + node->begin, left);
        node->begin -= (uint32_t)bytes;
        *offset -= bytes;
    } else {
        memmove(node->data + *offset + bytes, node->data + *offset, right);
        node->end += (uint32_t)bytes;
    }
    return node;
}

roan_list_node *roan_list_node_insert(roan_list_node *node, size_t offset, const roan_packed *item)
{
    ROAN_ASSERT(node->count < ROAN_LIST_NODE_COUNT_MAX);
    node = open_gap(node, &offset, item_bytes(item));
    put_item(node->data + offset, item);
    node->count++;
    return node;
}

void roan_list_node_erase(roan_list_node *node, size_t from, size_t to, size_t count)
{
    ROAN_ASSERT(node->begin <= from && from <= to && to <= node->end && count <= node->count);
    size_t left = from - node->begin, right = node->end - to, bytes = to - from;
    if (left < right) {
        memmove(node->data + node->begin + bytes, node->data + node->begin, left);
        node->begin += (uint32_t)bytes;
    } else {
        memmove(node->data + from, node->data + to, right);
        node->end -= (uint32_t)bytes;
    }
    node->count = (uint16_t)(node->count - count);
}

roan_list_node *roan_list_node_fit(roan_list_node *node, size_t reserve)
{
    size_t wanted = roan_list_node_bytes(node) + reserve;
    size_t now = (size_t)node->units * ROAN_LIST_NODE_UNIT, then = allocation_for(wanted);
    return then < now - now / 8 ? resize(node, wanted, true) : node;
}

/* ---- splitting and merging ---- */

size_t roan_list_node_offset(const roan_list_node *node, size_t index)
{
    ROAN_ASSERT(index <= node->count);
    const char *at;
    if (index <= node->count / 2u) {
        at = node->data + node->begin;
        while (index-- > 0)
            at = roan_list_item_next(at);
    } else {
        at = node->data + node->end;
        for (size_t i = node->count; i > index; i--)
            at = roan_list_item_previous(at);
    }
    return (size_t)(at - node->data);
}

static roan_list_node *append_raw(roan_list_node *node, const char *data, size_t bytes, size_t count)
{
    ROAN_ASSERT(node->count + count <= ROAN_LIST_NODE_COUNT_MAX);
    if (capacity_of(node) - node->end < bytes)
        node = make_room(node, bytes, true, 0);
    memcpy(node->data + node->end, data, bytes);
    node->end += (uint32_t)bytes;
    node->count = (uint16_t)(node->count + count);
    return node;
}

roan_list_node *roan_list_node_split(roan_list_node **node, size_t index)
{
    roan_list_node *left = *node;
    ROAN_ASSERT(index > 0 && index < left->count);
    size_t offset = roan_list_node_offset(left, index), bytes = left->end - offset, count = left->count - index;
    roan_list_node *right = append_raw(roan_list_node_create(bytes, true), left->data + offset, bytes, count);
    roan_list_node_erase(left, offset, left->end, count);
    *node = roan_list_node_fit(left, 0);
    return right;
}

roan_list_node *roan_list_node_merge(roan_list_node *node, roan_list_node *other)
{
    node = append_raw(node, other->data + other->begin, roan_list_node_bytes(other), other->count);
    roan_list_node_free(other);
    return node;
}

void roan_list_node_check(const roan_list_node *node)
{
    if (roan_list_node_is_plain(node)) {
        ROAN_ASSERT(node->count == 1);
        return;
    }
    ROAN_ASSERT(node->begin <= node->end && node->end <= capacity_of(node));
    const char *at = node->data + node->begin, *end = node->data + node->end;
    size_t count = 0;
    for (; at < end; count++) {
        const char *next = roan_list_item_next(at);
        ROAN_ASSERT(next <= end && roan_list_item_previous(next) == at);
        at = next;
    }
    ROAN_ASSERT(at == end && count == node->count);
}
