/* engine/cmd/list.c: both ends of lists, and items by their number: LPUSH, LPOP, LLEN, LINDEX, LRANGE, LTRIM, LSET.
 *
 * Searching is in list_find.c, moving between lists in list_move.c, popping from several keys in list_pop.c.
 */
#include "engine/cmd/list.h"

/* ---- shared ---- */

void roan_list_reply_items(roan_call *call, roan_value list, uint64_t start, uint64_t count, bool is_backwards)
{
    roan_list_iterator it;
    roan_packed item;
    roan_out_array(call->out, count);
    roan_list_iterator_init(&it, list, start, is_backwards);
    for (; count > 0 && roan_list_next(&it, &item); count--)
        roan_list_reply_item(call->out, &item);
    ROAN_ASSERT(count == 0);
}

void roan_list_reply_from_end(roan_call *call, roan_value list, bool at_tail, uint64_t count)
{
    roan_list_reply_items(call, list, at_tail ? roan_list_count(list) - 1 : 0, count, at_tail);
}

void roan_list_take_from_end(roan_call *call, roan_value *list, bool at_tail, uint64_t count)
{
    const roan_type_context *context = &call->engine->types;
    if (count == 1)
        roan_list_drop(list, context, at_tail);
    else
        roan_list_remove(list, context, at_tail ? roan_list_count(*list) - count : 0, count);
}

void roan_list_store_taken(roan_call *call, roan_place *place, roan_value list, const char *event, uint64_t count)
{
    bool is_empty = roan_list_count(list) == 0;
    roan_place_store(call, place, list);
    if (is_empty)
        roan_place_delete(call, place, false);
    roan_call_changed(call, place, ROAN_EVENT_LIST, event);
    call->dirty += count - 1;
    if (is_empty)
        roan_call_changed_event(call, place, ROAN_EVENT_GENERIC, "del");
}

void roan_list_push_at(roan_call *call, roan_place *place, const roan_slice *texts, size_t count, bool at_tail)
{
    const roan_type_context *context = &call->engine->types;
    roan_value list = place->entry != NULL ? roan_place_value(place) : roan_list_create(context);
    roan_list_push_all(&list, context, texts, count, at_tail);
    if (place->entry != NULL)
        roan_place_store(call, place, list);
    else
        roan_place_create(call, place, ROAN_TYPE_LIST, list, ROAN_EXPIRY_NONE);
    roan_call_changed(call, place, ROAN_EVENT_LIST, roan_list_push_event(at_tail));
    call->dirty += count - 1;
}

bool roan_list_parse_end(roan_call *call, size_t index, bool *ret_at_tail)
{
    *ret_at_tail = roan_call_is(call, index, "RIGHT");
    if (*ret_at_tail || roan_call_is(call, index, "LEFT"))
        return true;
    roan_call_syntax_error(call);
    return false;
}

/* The list in argv[1] for reading; false: there is none, or something else (then an error was sent). */
static bool read_list(roan_call *call, roan_value *ret_list)
{
    roan_place place;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_LIST) || place.entry == NULL)
        return false;
    *ret_list = roan_place_value(&place);
    return true;
}

/* ---- pushing ---- */

static void push(roan_call *call, bool at_tail, bool only_if_present)
{
    roan_place place;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_LIST))
        return;
    if (only_if_present && place.entry == NULL) {
        roan_out_integer(call->out, 0);
        return;
    }
    roan_list_push_at(call, &place, call->argv + 2, call->argc - 2, at_tail);
    roan_out_integer(call->out, (int64_t)roan_list_count(roan_place_value(&place)));
}

ROAN_COMMAND(lpush, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_LIST, .since = "1.0.0", .complexity = "O(N) for N elements.",
             .summary = "Puts elements before the first one of a list, which is created if needed.",
             .arguments = "key:key element...", .history = "2.4.0|Several elements at once.")
{
    push(call, false, false);
}

ROAN_COMMAND(rpush, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_LIST, .since = "1.0.0", .complexity = "O(N) for N elements.",
             .summary = "Puts elements behind the last one of a list, which is created if needed.",
             .arguments = "key:key element...", .history = "2.4.0|Several elements at once.")
{
    push(call, true, false);
}

ROAN_COMMAND(lpushx, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_LIST, .since = "2.2.0", .complexity = "O(N) for N elements.",
             .summary = "Puts elements before the first one of a list if there is such a list.",
             .arguments = "key:key element...", .history = "4.0.0|Several elements at once.")
{
    push(call, false, true);
}

ROAN_COMMAND(rpushx, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_LIST, .since = "2.2.0", .complexity = "O(N) for N elements.",
             .summary = "Puts elements behind the last one of a list if there is such a list.",
             .arguments = "key:key element...", .history = "4.0.0|Several elements at once.")
{
    push(call, true, true);
}

/* ---- popping ---- */

static void pop_one(roan_call *call, roan_place *place, bool at_tail)
{
    roan_value list = roan_place_value(place);
    roan_packed item = roan_list_peek(list, at_tail);
    roan_list_reply_item(call->out, &item);
    roan_list_drop(&list, &call->engine->types, at_tail);
    roan_list_store_taken(call, place, list, roan_list_pop_event(at_tail), 1);
}

static void pop_many(roan_call *call, roan_place *place, bool at_tail, uint64_t count)
{
    roan_value list = roan_place_value(place);
    count = ROAN_MIN(count, roan_list_count(list));
    if (count == 0) {
        roan_out_array(call->out, 0);
        return;
    }
    roan_list_reply_from_end(call, list, at_tail, count);
    roan_list_take_from_end(call, &list, at_tail, count);
    roan_list_store_taken(call, place, list, roan_list_pop_event(at_tail), count);
}

static void pop(roan_call *call, bool at_tail)
{
    roan_place place;
    int64_t count = 1;
    bool has_count = call->argc == 3;
    if (call->argc > 3) {
        roan_call_arity_error(call);
        return;
    }
    if (has_count && !roan_call_integer_in(call, 2, 0, INT64_MAX, &count, NULL))
        return;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_LIST))
        return;
    if (place.entry != NULL && has_count)
        pop_many(call, &place, at_tail, (uint64_t)count);
    else if (place.entry != NULL)
        pop_one(call, &place, at_tail);
    else if (has_count)
        roan_out_null_array(call->out);
    else
        roan_out_null(call->out);
}

ROAN_COMMAND(lpop, .arity = -2, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_LIST, .since = "1.0.0", .complexity = "O(N) for N elements.",
             .summary = "Takes the first element out of a list, or the first few.",
             .arguments = "key:key [count:integer^6.2.0]", .history = "6.2.0|Argument count.")
{
    pop(call, false);
}

ROAN_COMMAND(rpop, .arity = -2, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_LIST, .since = "1.0.0", .complexity = "O(N) for N elements.",
             .summary = "Takes the last element out of a list, or the last few.",
             .arguments = "key:key [count:integer^6.2.0]", .history = "6.2.0|Argument count.")
{
    pop(call, true);
}

/* ---- reading ---- */

ROAN_COMMAND(llen, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO)}, .group = ROAN_GROUP_LIST, .since = "1.0.0",
             .complexity = "O(1)", .summary = "Tells how many elements a list has.",
             .arguments = "key:key")
{
    roan_value list;
    if (read_list(call, &list))
        roan_out_integer(call->out, (int64_t)roan_list_count(list));
    else if (!call->has_failed)
        roan_out_integer(call->out, 0);
}

ROAN_COMMAND(lindex, .arity = 3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_LIST,
             .since = "1.0.0",
             .complexity = "O(N) for N elements up to the nearer end, at a few hundred a step.",
             .summary = "Reads the element at an index.", .arguments = "key:key index:integer")
{
    roan_value list;
    roan_packed item;
    int64_t index;
    if (!read_list(call, &list)) {
        if (!call->has_failed)
            roan_out_null(call->out);
        return;
    }
    if (!roan_call_integer(call, 2, &index, NULL))
        return;
    index = roan_list_absolute(index, (int64_t)roan_list_count(list));
    if (index >= 0 && roan_list_get(list, (uint64_t)index, &item))
        roan_list_reply_item(call->out, &item);
    else
        roan_out_null(call->out);
}

/* The numbers of the items from `start` to `stop`, both of which may count from the end; false: there are none. */
static bool clamp_range(int64_t start, int64_t stop, int64_t count, uint64_t *ret_start, uint64_t *ret_count)
{
    start = ROAN_MAX(roan_list_absolute(start, count), 0);
    stop = ROAN_MIN(roan_list_absolute(stop, count), count - 1);
    if (start > stop)
        return false;
    *ret_start = (uint64_t)start;
    *ret_count = (uint64_t)(stop - start) + 1;
    return true;
}

ROAN_COMMAND(lrange, .arity = 4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_LIST,
             .since = "1.0.0",
             .complexity = "O(N) for N elements in the range, and finding the first one as LINDEX does.",
             .summary = "Reads a range of elements.",
             .arguments = "key:key start:integer stop:integer")
{
    roan_value list;
    int64_t start, stop;
    uint64_t first, count;
    if (!roan_call_integer(call, 2, &start, NULL) || !roan_call_integer(call, 3, &stop, NULL))
        return;
    if (read_list(call, &list) && clamp_range(start, stop, (int64_t)roan_list_count(list), &first, &count))
        roan_list_reply_items(call, list, first, count, false);
    else if (!call->has_failed)
        roan_out_array(call->out, 0);
}

/* ---- changing ---- */

ROAN_COMMAND(ltrim, .arity = 4, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_LIST,
             .since = "1.0.0", .complexity = "O(N) for N elements that go.",
             .summary = "Keeps a range of elements and removes all others.",
             .arguments = "key:key start:integer stop:integer")
{
    roan_place place;
    int64_t start, stop;
    uint64_t first = 0, kept = 0;
    if (!roan_call_integer(call, 2, &start, NULL) || !roan_call_integer(call, 3, &stop, NULL))
        return;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_LIST))
        return;
    if (place.entry != NULL) {
        roan_value list = roan_place_value(&place);
        uint64_t count = roan_list_count(list);
        clamp_range(start, stop, (int64_t)count, &first, &kept);
        roan_list_remove(&list, &call->engine->types, first + kept, count - first - kept);
        roan_list_remove(&list, &call->engine->types, 0, first);
        roan_list_store_taken(call, &place, list, "ltrim", count - kept);
    }
    roan_out_ok(call->out);
}

ROAN_COMMAND(lset, .arity = 4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_LIST,
             .since = "1.0.0",
             .complexity = "O(N) for N elements up to the nearer end, at a few hundred a step.",
             .summary = "Puts another element at an index.",
             .arguments = "key:key index:integer element")
{
    roan_place place;
    int64_t index;
    if (!roan_call_find_write(call, 1, &place)) {
        roan_call_error(call, "ERR no such key");
        return;
    }
    if (!roan_call_is_type(call, &place, ROAN_TYPE_LIST) || !roan_call_integer(call, 2, &index, NULL))
        return;
    roan_value list = roan_place_value(&place);
    int64_t count = (int64_t)roan_list_count(list);
    index = roan_list_absolute(index, count);
    if (index < 0 || index >= count) {
        roan_call_error(call, "ERR index out of range");
        return;
    }
    roan_list_replace(&list, &call->engine->types, (uint64_t)index, call->argv[3]);
    roan_place_store(call, &place, list);
    roan_call_changed(call, &place, ROAN_EVENT_LIST, "lset");
    roan_out_ok(call->out);
}
