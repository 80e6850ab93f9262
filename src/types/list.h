/* types/list.h: a list of byte strings: cheap at both ends, in one packed node while it is small and in a ring of nodes
 * (types/list_ring.h) when it is large.
 *
 * Which of the two it is follows list-max-listpack-size as in the reference, so that OBJECT ENCODING says the same.
 * What is stored as an integer comes back with the same text. list-compress-depth is accepted and has no effect:
 * nobody can see from outside whether the middle of a list is compressed.
 *
 *     roan_value list = roan_list_create(context);
 *     roan_list_push(&list, context, ROAN_LITERAL("a"), true);
 *     roan_list_iterator it;
 *     roan_packed item;
 *     roan_list_iterator_init(&it, list, 0, false);
 *     while (roan_list_next(&it, &item)) ...
 */
#pragma once

#include "types/context.h"
#include "types/list_ring.h"
#include "types/value.h"

typedef enum roan_list_encoding {
    ROAN_LIST_SMALL, /* data is a roan_list_node, never a plain one */
    ROAN_LIST_LARGE, /* data is a roan_list_ring */
} roan_list_encoding;

extern const roan_type_ops roan_list_ops;

/* Empty. A list that stays empty is the caller's to delete. */
roan_value roan_list_create(const roan_type_context *context);

static inline uint64_t roan_list_count(roan_value list)
{
    return list.encoding == ROAN_LIST_SMALL ? ((const roan_list_node *)list.data)->count
                                            : ((const roan_list_ring *)list.data)->count;
}

/* ---- looking ---- */

/* Walks in either direction; valid until the list changes. */
typedef struct roan_list_iterator {
    const char *at;             /* where the next item begins; backwards: where it ends */
    const char *limit;          /* where the items of this node are over */
    const roan_list_ring *ring; /* NULL: there is this node only */
    uint32_t node;              /* number of the node that comes next */
    uint32_t index;             /* the item of it to begin with, or ROAN_LIST_EDGE */
    bool is_backwards;
} roan_list_iterator;

#define ROAN_LIST_EDGE UINT32_MAX /* the first or the last one, whichever comes first */

/* The first item to come is number `index`; none when index >= count. */
void roan_list_iterator_init(roan_list_iterator *it, roan_value list, uint64_t index, bool is_backwards);

/* The first item of the next node: for roan_list_next. */
bool roan_list_next_in_next_node(roan_list_iterator *it, roan_packed *ret_item);

/* The next item; its text is borrowed. */
static ROAN_ALWAYS_INLINE bool roan_list_next(roan_list_iterator *it, roan_packed *ret_item)
{
    if (ROAN_UNLIKELY(it->at == it->limit))
        return roan_list_next_in_next_node(it, ret_item);
    if (it->is_backwards) {
        it->at = roan_list_item_previous(it->at);
        roan_packed_read(it->at, ret_item);
    } else {
        it->at = roan_list_item_read(it->at, ret_item);
    }
    return true;
}

/* The item at an index, false when there is none. */
bool roan_list_get(roan_value list, uint64_t index, roan_packed *ret_item);
/* The item at an end of a list that is not empty. */
roan_packed roan_list_peek(roan_value list, bool at_tail);

/* ---- changing ---- */

/* Adds items one after the other. The texts must not lie in this list. */
void roan_list_push_all(roan_value *list, const roan_type_context *context, const roan_slice *texts, size_t count,
                        bool at_tail);

static inline void roan_list_push(roan_value *list, const roan_type_context *context, roan_slice text, bool at_tail)
{
    roan_list_push_all(list, context, &text, 1, at_tail);
}

/* Takes out `count` items from number `start` on; there are so many. */
void roan_list_remove(roan_value *list, const roan_type_context *context, uint64_t start, uint64_t count);
/* The same for the item at an end. */
void roan_list_drop(roan_value *list, const roan_type_context *context, bool at_tail);

/* Takes the item at an end and puts it to an end of the same list, which is not empty. */
void roan_list_rotate(roan_value *list, const roan_type_context *context, bool from_tail, bool to_tail);

/* Takes out items equal to `text`, at most `limit`, from the head or the tail on; returns how many. */
uint64_t roan_list_remove_equal(roan_value *list, const roan_type_context *context, roan_slice text, uint64_t limit,
                                bool from_tail);

/* Puts an item before the first one that equals `pivot`, or after it; false: there is none, nothing was changed. */
bool roan_list_insert(roan_value *list, const roan_type_context *context, roan_slice pivot, roan_slice text,
                      bool after);

/* Puts another item in the place of number `index`; index < count. */
void roan_list_replace(roan_value *list, const roan_type_context *context, uint64_t index, roan_slice text);
