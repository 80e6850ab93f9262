/* types/list_inside.h: what the files of the list share: when it changes its form, and how large nodes become.
 *
 * The reference speaks of a listpack and a quicklist. Sizes below are its sizes: bytes of the items and
 * ROAN_LIST_NODE_WEIGHT_OVERHEAD.
 */
#pragma once

#include "types/list.h"

#define ROAN_LIST_SAFE_BYTES 8192u /* the limit of bytes where only a number of items is configured */
#define ROAN_LIST_ITEM_OVERHEAD 8u /* what an item is thought to need besides its text, when a node must have room */

/* How large a node may become. */
typedef struct roan_list_limits {
    size_t bytes;
    size_t count; /* SIZE_MAX: any */
} roan_list_limits;

/* The limits that list-max-listpack-size means. */
static inline roan_list_limits roan_list_limits_of(int64_t size_class)
{
    if (size_class >= 0)
        return (roan_list_limits){.bytes = ROAN_LIST_SAFE_BYTES, .count = size_class == 0 ? 1 : (size_t)size_class};
    unsigned step = size_class < -5 ? 4 : (unsigned)(-size_class - 1);
    return (roan_list_limits){.bytes = (size_t)4096 << step, .count = SIZE_MAX};
}

/* A node of that size and so many items is larger than it may be. */
static inline bool roan_list_exceeds(roan_list_limits limits, size_t weight, size_t count)
{
    return weight > limits.bytes || count > limits.count;
}

/* An item that large gets a node of its own. */
static inline bool roan_list_is_too_large(roan_list_limits limits, size_t text_bytes)
{
    return text_bytes > limits.bytes;
}

/* The node may take one more item. */
static inline bool roan_list_node_accepts(const roan_list_node *node, roan_list_limits limits, size_t text_bytes)
{
    return !roan_list_node_is_plain(node) &&
           !roan_list_exceeds(limits, roan_list_node_weight(node) + text_bytes + ROAN_LIST_ITEM_OVERHEAD,
                              (size_t)node->count + 1);
}

/* `count` more items of `bytes` together are to come: makes the list large when they are too many for a small one. */
void roan_list_expect(roan_value *list, const roan_type_context *context, uint64_t bytes, uint64_t count);

/* After items were taken out: makes the list small when it is much below the limit, and gives memory back. */
void roan_list_settle(roan_value *list, const roan_type_context *context);

/* A node with this item and no other, and room for more if it is an end of a list. */
roan_list_node *roan_list_node_for(roan_slice text, roan_list_limits limits, bool at_tail, bool is_end);

/* What an end node grows to without asking how much it needs. */
static inline size_t roan_list_end_bytes(roan_list_limits limits)
{
    return limits.bytes - offsetof(roan_list_node, data);
}
