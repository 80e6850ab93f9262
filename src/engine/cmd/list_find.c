/* engine/cmd/list_find.c: elements by their value: LPOS, LREM, LINSERT. */
#include "engine/cmd/list.h"

typedef struct lpos_options {
    bool is_backwards;
    uint64_t passed_over; /* matches before the first one that counts */
    bool has_count;
    uint64_t count;       /* matches wanted */
    uint64_t length;      /* elements to compare */
} lpos_options;

static bool parse_lpos_rank(roan_call *call, size_t index, lpos_options *options)
{
    int64_t rank;
    /* The smallest integer has no counterpart to count from the other end. */
    if (!roan_call_integer_in(call, index, -INT64_MAX, INT64_MAX, &rank, NULL))
        return false;
    if (rank == 0) {
        roan_call_error(call, "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or "
                              "use negative to start from the end of the list");
        return false;
    }
    options->is_backwards = rank < 0;
    options->passed_over = (uint64_t)(rank < 0 ? -rank : rank) - 1;
    return true;
}

/* COUNT and MAXLEN: 0 means all. */
static bool parse_lpos_number(roan_call *call, size_t index, const char *error, uint64_t *ret_number)
{
    int64_t number;
    if (!roan_call_integer_in(call, index, 0, INT64_MAX, &number, error))
        return false;
    *ret_number = number == 0 ? UINT64_MAX : (uint64_t)number;
    return true;
}

static bool parse_lpos_options(roan_call *call, lpos_options *options)
{
    *options = (lpos_options){.count = 1, .length = UINT64_MAX};
    for (size_t i = 3; i < call->argc; i += 2) {
        bool is_good = false, has_value = i + 1 < call->argc;
        if (has_value && roan_call_is(call, i, "RANK"))
            is_good = parse_lpos_rank(call, i + 1, options);
        else if (has_value && roan_call_is(call, i, "COUNT"))
            is_good = options->has_count =
                parse_lpos_number(call, i + 1, "ERR COUNT can't be negative", &options->count);
        else if (has_value && roan_call_is(call, i, "MAXLEN"))
            is_good = parse_lpos_number(call, i + 1, "ERR MAXLEN can't be negative", &options->length);
        else
            roan_call_syntax_error(call);
        if (!is_good)
            return false;
    }
    return true;
}

/* Sends the indexes of the matches; returns how many. */
static size_t reply_matches(roan_call *call, roan_value list, const lpos_options *options)
{
    uint64_t count = roan_list_count(list), length = ROAN_MIN(options->length, count);
    uint64_t passed_over = options->passed_over;
    roan_packed wanted = roan_packed_from_text(call->argv[2]), item;
    size_t matches = 0;
    roan_list_iterator it;
    roan_list_iterator_init(&it, list, options->is_backwards ? count - 1 : 0, options->is_backwards);
    for (uint64_t i = 0; i < length && matches < options->count && roan_list_next(&it, &item); i++) {
        if (!roan_packed_is_equal(&item, &wanted))
            continue;
        if (passed_over > 0) {
            passed_over--;
            continue;
        }
        roan_out_integer(call->out, (int64_t)(options->is_backwards ? count - 1 - i : i));
        matches++;
    }
    return matches;
}

ROAN_COMMAND(lpos, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_LIST,
             .since = "6.0.6", .complexity = "O(N) for N elements that are compared.",
             .summary = "Finds the indexes of elements that equal a given one.",
             .arguments = "key:key element [RANK rank:integer] [COUNT num-matches:integer] "
                          "[MAXLEN len:integer]")
{
    lpos_options options;
    roan_place place;
    if (!parse_lpos_options(call, &options))
        return;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_LIST))
        return;
    if (place.entry == NULL) {
        if (options.has_count)
            roan_out_array(call->out, 0);
        else
            roan_out_null(call->out);
        return;
    }
    roan_value list = roan_place_value(&place);
    if (options.has_count) {
        roan_out_mark mark = roan_out_open(call->out);
        roan_out_close_array(call->out, mark, reply_matches(call, list, &options));
    } else if (reply_matches(call, list, &options) == 0) {
        roan_out_null(call->out);
    }
}

ROAN_COMMAND(lrem, .arity = 4, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_LIST,
             .since = "1.0.0", .complexity = "O(N) for N elements that are compared.",
             .summary = "Removes elements that equal a given one, from the head or from the tail on.",
             .arguments = "key:key count:integer element")
{
    roan_place place;
    int64_t count;
    /* The smallest integer has no counterpart to count from the other end. */
    if (!roan_call_integer_in(call, 2, -INT64_MAX, INT64_MAX, &count, NULL))
        return;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_LIST))
        return;
    if (place.entry == NULL) {
        roan_out_integer(call->out, 0);
        return;
    }
    roan_value list = roan_place_value(&place);
    uint64_t limit = count == 0 ? UINT64_MAX : (uint64_t)(count < 0 ? -count : count);
    uint64_t removed = roan_list_remove_equal(&list, &call->engine->types, call->argv[3], limit, count < 0);
    if (removed > 0)
        roan_list_store_taken(call, &place, list, "lrem", removed);
    roan_out_integer(call->out, (int64_t)removed);
}

ROAN_COMMAND(linsert, .arity = 5, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_INSERT)}, .group = ROAN_GROUP_LIST,
             .since = "2.2.0", .complexity = "O(N) for N elements before the one that is looked for.",
             .summary = "Puts an element before or after one that equals another.",
             .arguments = "key:key where<BEFORE|AFTER> pivot element")
{
    roan_place place;
    bool after = roan_call_is(call, 2, "AFTER");
    if (!after && !roan_call_is(call, 2, "BEFORE")) {
        roan_call_syntax_error(call);
        return;
    }
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_LIST))
        return;
    if (place.entry == NULL) {
        roan_out_integer(call->out, 0);
        return;
    }
    roan_value list = roan_place_value(&place);
    if (!roan_list_insert(&list, &call->engine->types, call->argv[3], call->argv[4], after)) {
        roan_out_integer(call->out, -1);
        return;
    }
    roan_place_store(call, &place, list);
    roan_call_changed(call, &place, ROAN_EVENT_LIST, "linsert");
    roan_out_integer(call->out, (int64_t)roan_list_count(list));
}
