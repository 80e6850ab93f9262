/* engine/cmd/list_pop.c: elements of the first of several lists that has any: LMPOP, and waiting for one: BLPOP, BRPOP,
 * BLMPOP.
 *
 * The keys are looked at in the order they are given; one that holds something else than a list is an error when its
 * turn comes. What replicas do is LPOP or RPOP of the key that was served.
 */
#include "engine/blocking.h"
#include "engine/cmd/list.h"

/* Finds the first list among `count` keys from argv[first] on. False: none, or an error was sent. */
static bool find_first(roan_call *call, size_t first, size_t count, size_t *ret_index, roan_place *place)
{
    for (size_t i = first; i < first + count; i++) {
        if (!roan_call_reaches(call, i) || !roan_call_find_write(call, i, place)) {
            if (call->has_failed)
                return false;
            continue;
        }
        *ret_index = i;
        return roan_call_is_type(call, place, ROAN_TYPE_LIST);
    }
    return false;
}

static void effect_pop(roan_call *call, size_t key_index, bool at_tail, uint64_t count)
{
    char text[ROAN_I64_TEXT_MAX];
    roan_slice argv[] = {at_tail ? ROAN_LITERAL("RPOP") : ROAN_LITERAL("LPOP"), call->argv[key_index],
                         roan_slice_make(text, roan_format_u64(text, count))};
    roan_call_effect(call, count == 0 ? 2 : 3, argv);
}

/* ---- several elements ---- */

typedef struct mpop_options {
    size_t first_key, key_count;
    bool at_tail;
    uint64_t count;
} mpop_options;

/* numkeys at argv[index], keys, LEFT or RIGHT, and COUNT. */
static bool parse_mpop(roan_call *call, size_t index, mpop_options *options)
{
    int64_t key_count, count = 0;
    if (!roan_call_integer_in(call, index, 1, INT64_MAX, &key_count, "ERR numkeys should be greater than 0"))
        return false;
    if ((uint64_t)key_count >= call->argc - index - 1) {
        roan_call_syntax_error(call);
        return false;
    }
    *options = (mpop_options){.first_key = index + 1, .key_count = (size_t)key_count};
    size_t end = index + 1 + options->key_count;
    if (!roan_list_parse_end(call, end, &options->at_tail))
        return false;
    for (size_t i = end + 1; i < call->argc; i += 2) {
        if (count != 0 || i + 1 == call->argc || !roan_call_is(call, i, "COUNT")) {
            roan_call_syntax_error(call);
            return false;
        }
        if (!roan_call_integer_in(call, i + 1, 1, INT64_MAX, &count, "ERR count should be greater than 0"))
            return false;
    }
    options->count = count == 0 ? 1 : (uint64_t)count;
    return true;
}

/* Pops and answers; false: there is no list (or an error was sent). */
static bool mpop(roan_call *call, const mpop_options *options)
{
    size_t index;
    roan_place place;
    if (!find_first(call, options->first_key, options->key_count, &index, &place))
        return false;
    roan_value list = roan_place_value(&place);
    uint64_t count = ROAN_MIN(options->count, roan_list_count(list));
    roan_out_array(call->out, 2);
    roan_out_bulk(call->out, call->argv[index]);
    roan_list_reply_from_end(call, list, options->at_tail, count);
    roan_list_take_from_end(call, &list, options->at_tail, count);
    roan_list_store_taken(call, &place, list, roan_list_pop_event(options->at_tail), count);
    effect_pop(call, index, options->at_tail, count);
    return true;
}

ROAN_COMMAND(lmpop, .arity = -4, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(1, 1, 1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_LIST, .since = "7.0.0",
             .complexity = "O(N+M) for N keys and M elements.",
             .summary = "Takes elements from an end of the first list that has any.",
             .arguments = "numkeys:integer key:key... where<LEFT|RIGHT> [COUNT count:integer]")
{
    mpop_options options;
    if (!parse_mpop(call, 1, &options))
        return;
    if (!mpop(call, &options) && !call->has_failed)
        roan_out_null_array(call->out);
}

ROAN_COMMAND(blmpop, .arity = -5, .flags = ROAN_CMD_WRITE | ROAN_CMD_BLOCKING, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(2, 1, 1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_LIST, .since = "7.0.0",
             .complexity = "O(N+M) for N keys and M elements.",
             .summary = "Takes elements as LMPOP does; waits until there are any.",
             .arguments = "timeout:double numkeys:integer key:key... where<LEFT|RIGHT> "
                          "[COUNT count:integer]")
{
    mpop_options options;
    int64_t timeout_ms;
    if (!parse_mpop(call, 2, &options) || !roan_call_timeout(call, 1, &timeout_ms))
        return;
    if (mpop(call, &options) || call->has_failed)
        return;
    roan_block block = {.first_key = options.first_key, .key_count = options.key_count, .key_step = 1,
                        .type = ROAN_TYPE_LIST, .timeout_ms = timeout_ms, .null_array = true};
    roan_call_block_on_keys(call, &block);
}

/* ---- one element ---- */

/* BLPOP and BRPOP: keys and a timeout. */
static void pop_or_wait(roan_call *call, bool at_tail)
{
    size_t key_count = call->argc - 2, index;
    int64_t timeout_ms;
    roan_place place;
    if (!roan_call_timeout(call, call->argc - 1, &timeout_ms))
        return;
    if (!find_first(call, 1, key_count, &index, &place)) {
        roan_block block = {.first_key = 1, .key_count = key_count, .key_step = 1, .type = ROAN_TYPE_LIST,
                            .timeout_ms = timeout_ms, .null_array = true};
        if (!call->has_failed)
            roan_call_block_on_keys(call, &block);
        return;
    }
    roan_value list = roan_place_value(&place);
    roan_packed item = roan_list_peek(list, at_tail);
    roan_out_array(call->out, 2);
    roan_out_bulk(call->out, call->argv[index]);
    roan_list_reply_item(call->out, &item);
    roan_list_drop(&list, &call->engine->types, at_tail);
    roan_list_store_taken(call, &place, list, roan_list_pop_event(at_tail), 1);
    effect_pop(call, index, at_tail, 0);
}

ROAN_COMMAND(blpop, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_BLOCKING, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -2, 1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_LIST, .since = "2.0.0", .complexity = "O(N) for N keys.",
             .summary = "Takes the first element of the first list that has one; waits until there is one.",
             .arguments = "key:key... timeout:double", .history = "6.0.0|The timeout may have a fraction.")
{
    pop_or_wait(call, false);
}

ROAN_COMMAND(brpop, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_BLOCKING, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -2, 1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_LIST, .since = "2.0.0", .complexity = "O(N) for N keys.",
             .summary = "Takes the last element of the first list that has one; waits until there is one.",
             .arguments = "key:key... timeout:double", .history = "6.0.0|The timeout may have a fraction.")
{
    pop_or_wait(call, true);
}
