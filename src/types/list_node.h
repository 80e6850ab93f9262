/* types/list_node.h: a piece of a list: packed items in one allocation, or one item that is too large for company.
 *
 *     | begin u32 | end u32 | count u16 | units u16 |  free  | item item item ... |  free  |
 *                                                     begin                      end
 *
 *     item = packed item (types/packed.h), then the length of it, written so that it is read from its end:
 *            seven bits a byte, the lowest in the last one; the high bit says that another one stands before it
 *
 * Free room may be at either side, so items come and go at both ends without moving the others. An item takes the bytes
 * that the reference needs for it; limits that are meant for its nodes therefore have the same effect here.
 *
 * Functions that change a node return it, as it may have moved. Offsets count from data.
 */
#pragma once

#include "types/packed.h"

typedef struct roan_list_node {
    uint32_t begin, end; /* plain: the lower and the upper half of the number of bytes */
    uint16_t count;      /* items */
    uint16_t units;      /* of ROAN_LIST_NODE_UNIT bytes in the allocation; 0: plain, data is the text of one item */
    char data[];
} roan_list_node;

#define ROAN_LIST_NODE_UNIT 8u
#define ROAN_LIST_NODE_BYTES_MAX (UINT16_MAX * ROAN_LIST_NODE_UNIT)
#define ROAN_LIST_NODE_COUNT_MAX UINT16_MAX
/* What the reference's nodes have besides their items: its sizes are ours and this. */
#define ROAN_LIST_NODE_WEIGHT_OVERHEAD 7u

/* ---- items ---- */

/* The bytes of the length behind a packed item of that many bytes. */
static inline size_t roan_list_back_bytes(size_t bytes)
{
    if (ROAN_LIKELY(bytes < 1u << 7))
        return 1;
    return bytes < 1u << 14 ? 2 : bytes < 1u << 21 ? 3 : bytes < 1u << 28 ? 4 : 5;
}

/* Reads the item at `at`; returns where the next one is. */
static ROAN_ALWAYS_INLINE const char *roan_list_item_read(const char *at, roan_packed *ret_item)
{
    const char *end = roan_packed_read(at, ret_item);
    return end + roan_list_back_bytes((size_t)(end - at));
}

static ROAN_ALWAYS_INLINE const char *roan_list_item_next(const char *at)
{
    roan_packed item;
    return roan_list_item_read(at, &item);
}

/* Where the item begins that ends at `end`. */
static ROAN_ALWAYS_INLINE const char *roan_list_item_previous(const char *end)
{
    size_t bytes = (unsigned char)*--end;
    if (ROAN_UNLIKELY(bytes >= 0x80)) {
        bytes &= 0x7f;
        for (unsigned shift = 7;; shift += 7) {
            size_t part = (unsigned char)*--end;
            bytes |= (part & 0x7f) << shift;
            if (part < 0x80)
                break;
        }
    }
    return end - bytes;
}

/* ---- looking ---- */

static inline bool roan_list_node_is_plain(const roan_list_node *node)
{
    return node->units == 0;
}

/* The item of a plain node. */
static inline roan_slice roan_list_node_plain_text(const roan_list_node *node)
{
    return roan_slice_make(node->data, (size_t)node->end << 32 | node->begin);
}

/* Bytes of all items of a packed node. */
static inline size_t roan_list_node_bytes(const roan_list_node *node)
{
    return node->end - node->begin;
}

/* What the reference would call the size of the node. */
static inline size_t roan_list_node_weight(const roan_list_node *node)
{
    return roan_list_node_bytes(node) + ROAN_LIST_NODE_WEIGHT_OVERHEAD;
}

/* The offset of item number `index` of a packed node, from whichever end is nearer; `end` for index == count. */
size_t roan_list_node_offset(const roan_list_node *node, size_t index);

/* Bytes of the allocation. */
size_t roan_list_node_memory(const roan_list_node *node);

/* ---- making ---- */

/* An empty packed node with room for `bytes` of items, to be filled from its front or (at_tail false) from its back. */
roan_list_node *roan_list_node_create(size_t bytes, bool at_tail);
roan_list_node *roan_list_node_create_plain(roan_slice text);
roan_list_node *roan_list_node_copy(const roan_list_node *node);
void roan_list_node_free(roan_list_node *node);

/* ---- changing packed nodes ---- */

/* Puts an item at an end. A node without room gets at least what it needs, and up to the double of it while it has not
 * reached `bytes_full`. */
roan_list_node *roan_list_node_push(roan_list_node *node, const roan_packed *item, bool at_tail, size_t bytes_full);

/* Puts an item before the one at the offset (or at the end). `item` must not point into the node. */
roan_list_node *roan_list_node_insert(roan_list_node *node, size_t offset, const roan_packed *item);

/* Takes out the `count` items that lie from `from` up to `to`; the allocation stays. */
void roan_list_node_erase(roan_list_node *node, size_t from, size_t to, size_t count);

/* Gives room back when a good part of it is free; `reserve` bytes more than the items are kept. */
roan_list_node *roan_list_node_fit(roan_list_node *node, size_t reserve);

/* Splits before item number `index` (0 < index < count): the node keeps the items before, the others are returned. */
roan_list_node *roan_list_node_split(roan_list_node **node, size_t index);

/* Appends all items of `other`, which is freed. */
roan_list_node *roan_list_node_merge(roan_list_node *node, roan_list_node *other);

/* States the invariants. */
void roan_list_node_check(const roan_list_node *node);
