/* engine/cmd/zset_pop.c: taking the lowest or highest members: ZPOPMIN, ZPOPMAX, ZMPOP, and the same commands waiting.
 *
 * A command that names several keys takes from the first that is there; its effect is a ZPOPMIN or ZPOPMAX of that key.
 */
#include "engine/cmd/zset.h"

#include "engine/blocking.h"

/* What to take, and how to show it. */
typedef struct pop {
    bool is_max;
    bool with_key;   /* the key's name comes first */
    bool is_nested;  /* pairs in arrays of their own */
    bool has_count;  /* COUNT was given, or has a default */
    int64_t count;
} pop;

/* The members to be taken from the set, the first one first. */
static void send_members(roan_call *call, roan_value value, const pop *what, uint64_t count)
{
    roan_zset_shape shape = {.with_scores = true, .is_nested = what->is_nested};
    roan_zset_iterator at;
    roan_zset_item item;
    roan_zset_iterator_init(&at, value, what->is_max ? roan_zset_count(value) - 1 : 0, what->is_max);
    for (uint64_t i = 0; i < count && roan_zset_next(&at, &item); i++)
        roan_zset_send(call, shape, &item);
}

/* Takes members of a set that is there, and answers with them. Returns how many there were. */
static uint64_t pop_from(roan_call *call, roan_place *place, roan_value value, const pop *what)
{
    uint64_t all = roan_zset_count(value), count = ROAN_MIN((uint64_t)what->count, all);
    if (what->with_key && what->is_nested) {
        roan_out_array(call->out, 2);
        roan_out_bulk(call->out, place->name);
        roan_out_array(call->out, count);
    } else if (what->with_key) {
        roan_out_array(call->out, 1 + 2 * count);
        roan_out_bulk(call->out, place->name);
    } else {
        roan_out_array(call->out, what->is_nested ? count : 2 * count);
    }
    send_members(call, value, what, count);
    roan_zset_remove_range(&value, what->is_max ? all - count : 0, count);
    roan_zset_shrunk(call, place, value, count, what->is_max ? "zpopmax" : "zpopmin");
    return count;
}

/* Repeating it is taking that many from that key. */
static void give_effect(roan_call *call, roan_slice key, const pop *what, uint64_t count)
{
    char text[ROAN_I64_TEXT_MAX];
    roan_slice argv[] = {what->is_max ? ROAN_LITERAL("ZPOPMAX") : ROAN_LITERAL("ZPOPMIN"), key,
                         roan_slice_make(text, roan_format_u64(text, count))};
    roan_call_effect(call, what->has_count ? 3 : 2, argv);
}

/* Takes from the first of the keys that is there. False: none is; or an error was sent. */
static bool pop_from_first(roan_call *call, size_t first_key, size_t key_count, const pop *what)
{
    for (size_t i = first_key; i < first_key + key_count; i++) {
        roan_place place;
        roan_value value;
        if (roan_call_reaches(call, i) && roan_zset_find_write(call, i, &place, &value)) {
            give_effect(call, place.name, what, pop_from(call, &place, value, what));
            return true;
        }
        if (call->has_failed)
            return false;
    }
    return false;
}

/* ---- one key ---- */

static void pop_one_key(roan_call *call, bool is_max)
{
    pop what = {.is_max = is_max, .has_count = call->argc == 3, .count = 1};
    roan_place place;
    roan_value value;
    if (call->argc > 3) {
        roan_call_syntax_error(call);
        return;
    }
    if (what.has_count && !roan_call_integer_in(call, 2, 0, INT64_MAX, &what.count, NULL))
        return;
    what.is_nested = what.has_count && call->out->protocol == 3;
    bool is_there = roan_zset_find_write(call, 1, &place, &value);
    if (call->has_failed)
        return;
    if (is_there && what.count > 0)
        ROAN_IGNORE(pop_from(call, &place, value, &what)); /* repeating the command is exact */
    else
        roan_out_array(call->out, 0);
}

ROAN_COMMAND(zpopmin, .arity = -2, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_SORTED_SET,
             .since = "5.0.0", .complexity = "O(log(N)*M) for M members, in a sorted set of N.",
             .summary = "Takes the lowest members out of a sorted set.", .arguments = "key:key [count:integer]")
{
    pop_one_key(call, false);
}

ROAN_COMMAND(zpopmax, .arity = -2, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_SORTED_SET,
             .since = "5.0.0", .complexity = "O(log(N)*M) for M members, in a sorted set of N.",
             .summary = "Takes the highest members out of a sorted set.", .arguments = "key:key [count:integer]")
{
    pop_one_key(call, true);
}

/* ---- several keys ---- */

/* Reads numkeys, MIN or MAX, and COUNT from argv[index] on; false after an error was sent. */
static bool parse_many(roan_call *call, size_t index, size_t *ret_key_count, pop *ret_what)
{
    int64_t key_count;
    *ret_what = (pop){.with_key = true, .is_nested = true, .has_count = true, .count = 1};
    if (!roan_call_integer_in(call, index, 1, INT64_MAX, &key_count, "ERR numkeys should be greater than 0"))
        return false;
    size_t words = call->argc - index - 1; /* behind numkeys */
    size_t where = index + 1 + (size_t)key_count;
    if ((uint64_t)key_count >= words) {
        roan_call_syntax_error(call);
        return false;
    }
    ret_what->is_max = roan_call_is(call, where, "MAX");
    bool is_valid = ret_what->is_max || roan_call_is(call, where, "MIN"), has_seen_count = false;
    for (size_t at = where + 1; is_valid && at < call->argc; at += 2) {
        is_valid = !has_seen_count && at + 1 < call->argc && roan_call_is(call, at, "COUNT");
        has_seen_count = true;
        if (is_valid && !roan_call_integer_in(call, at + 1, 1, INT64_MAX, &ret_what->count,
                                              "ERR count should be greater than 0"))
            return false;
    }
    if (!is_valid)
        roan_call_syntax_error(call);
    *ret_key_count = (size_t)key_count;
    return is_valid;
}

ROAN_COMMAND(zmpop, .arity = -4, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(1, 1, 1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_SORTED_SET, .since = "7.0.0",
             .complexity = "O(K) + O(M*log(N)) for K keys and M members, in a sorted set of N.",
             .summary = "Takes the lowest or highest members out of the first sorted set that is there.",
             .arguments = "numkeys:integer key:key... where<MIN|MAX> [COUNT count:integer]")
{
    size_t key_count;
    pop what;
    if (parse_many(call, 1, &key_count, &what) && !pop_from_first(call, 2, key_count, &what) && !call->has_failed)
        roan_out_null_array(call->out);
}

/* Takes now, or waits. */
static void pop_or_wait(roan_call *call, size_t first_key, size_t key_count, const pop *what, int64_t timeout_ms)
{
    if (pop_from_first(call, first_key, key_count, what) || call->has_failed)
        return;
    roan_block block = {.first_key = first_key, .key_count = key_count, .key_step = 1, .type = ROAN_TYPE_ZSET,
                        .null_array = true, .timeout_ms = timeout_ms};
    roan_call_block_on_keys(call, &block);
}

ROAN_COMMAND(bzmpop, .arity = -5, .flags = ROAN_CMD_WRITE | ROAN_CMD_BLOCKING, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(2, 1, 1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_SORTED_SET, .since = "7.0.0",
             .complexity = "O(K) + O(M*log(N)) for K keys and M members, in a sorted set of N.",
             .summary = "Takes the lowest or highest members out of the first sorted set there is, or waits for one.",
             .arguments = "timeout:double numkeys:integer key:key... where<MIN|MAX> [COUNT count:integer]")
{
    size_t key_count;
    int64_t timeout_ms;
    pop what;
    if (parse_many(call, 2, &key_count, &what) && roan_call_timeout(call, 1, &timeout_ms))
        pop_or_wait(call, 3, key_count, &what, timeout_ms);
}

static void pop_one_or_wait(roan_call *call, bool is_max)
{
    int64_t timeout_ms;
    pop what = {.is_max = is_max, .with_key = true, .count = 1};
    if (roan_call_timeout(call, call->argc - 1, &timeout_ms))
        pop_or_wait(call, 1, call->argc - 2, &what, timeout_ms);
}

ROAN_COMMAND(bzpopmin, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_BLOCKING | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -2, 1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_SORTED_SET, .since = "5.0.0", .complexity = "O(log(N)) in a sorted set of N.",
             .summary = "Takes the lowest member out of the first sorted set there is, or waits for one.",
             .arguments = "key:key... timeout:double", .history = "6.0.0|The timeout may have decimals.")
{
    pop_one_or_wait(call, false);
}

ROAN_COMMAND(bzpopmax, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_BLOCKING | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -2, 1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_SORTED_SET, .since = "5.0.0", .complexity = "O(log(N)) in a sorted set of N.",
             .summary = "Takes the highest member out of the first sorted set there is, or waits for one.",
             .arguments = "key:key... timeout:double", .history = "6.0.0|The timeout may have decimals.")
{
    pop_one_or_wait(call, true);
}
