/* engine/cmd/list.h: what the commands of lists share. */
#pragma once

#include "engine/call.h"
#include "types/list.h"

/* One item as a bulk string. */
static ROAN_ALWAYS_INLINE void roan_list_reply_item(roan_out *out, const roan_packed *item)
{
    if (ROAN_LIKELY(!item->is_integer)) {
        roan_out_bulk(out, item->text);
    } else {
        char scratch[ROAN_I64_TEXT_MAX];
        roan_out_bulk(out, roan_packed_text(item, scratch));
    }
}

/* An array of `count` items: from number `start` on towards the tail, or the head. */
void roan_list_reply_items(roan_call *call, roan_value list, uint64_t start, uint64_t count, bool is_backwards);

/* An array of the `count` items nearest to an end, from there on. */
void roan_list_reply_from_end(roan_call *call, roan_value list, bool at_tail, uint64_t count);

/* Takes out the `count` items (at least 1) nearest to an end. */
void roan_list_take_from_end(roan_call *call, roan_value *list, bool at_tail, uint64_t count);

/* The list at the place has lost `count` items and is `list` now: stores it, or deletes the key when nothing is left,
 * and reports the change under the name of the event. */
void roan_list_store_taken(roan_call *call, roan_place *place, roan_value list, const char *event, uint64_t count);

/* "lpush" and "rpush", "lpop" and "rpop". */
static inline const char *roan_list_push_event(bool at_tail)
{
    return at_tail ? "rpush" : "lpush";
}

static inline const char *roan_list_pop_event(bool at_tail)
{
    return at_tail ? "rpop" : "lpop";
}

/* Adds the texts to the list at the place, which is created when there is none, and reports the change. */
void roan_list_push_at(roan_call *call, roan_place *place, const roan_slice *texts, size_t count, bool at_tail);

/* LEFT or RIGHT; false after an error was sent. */
bool roan_list_parse_end(roan_call *call, size_t index, bool *ret_at_tail);

/* Makes what may be negative, counted from the end, a number of items from the head; -1: before the first. */
static inline int64_t roan_list_absolute(int64_t index, int64_t count)
{
    return index >= 0 ? index : index < -count ? -1 : index + count;
}
