/* engine/cmd/string_number.c: strings as numbers: INCR and its relatives, INCRBYFLOAT. */
#include "engine/call.h"
#include "engine/command_keys.h"

#include <math.h>

/* The integer at the place (0 for an absent key); false after an error was sent. */
static bool read_integer(roan_call *call, const roan_place *place, int64_t *ret_value)
{
    *ret_value = 0;
    if (place->entry == NULL)
        return true;
    if (!roan_call_is_type(call, place, ROAN_TYPE_STRING))
        return false;
    if (ROAN_LIKELY(place->entry->encoding == ROAN_STRING_INT)) {
        *ret_value = roan_entry_integer(place->entry);
        return true;
    }
    char scratch[ROAN_I64_TEXT_MAX];
    if (roan_parse_i64(roan_entry_string(place->entry, scratch), ret_value))
        return true;
    roan_call_error(call, "ERR value is not an integer or out of range");
    return false;
}

static void add(roan_call *call, int64_t delta)
{
    roan_place place;
    int64_t value;
    roan_call_find_write(call, 1, &place);
    if (!read_integer(call, &place, &value))
        return;
    if (__builtin_add_overflow(value, delta, &value)) {
        roan_call_error(call, "ERR increment or decrement would overflow");
        return;
    }
    roan_place_set_integer(call, &place, value);
    roan_call_changed(call, &place, ROAN_EVENT_STRING, "incrby");
    roan_out_integer(call->out, value);
}

ROAN_COMMAND(incr, .arity = 2, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_STRING, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Adds one to an integer; a missing key counts as 0.",
             .arguments = "key:key")
{
    add(call, 1);
}

ROAN_COMMAND(decr, .arity = 2, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_STRING, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Subtracts one from an integer; a missing key counts as 0.",
             .arguments = "key:key")
{
    add(call, -1);
}

ROAN_COMMAND(incrby, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_STRING, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Adds a number to an integer; a missing key counts as 0.",
             .arguments = "key:key increment:integer")
{
    int64_t delta;
    if (roan_call_integer(call, 2, &delta, NULL))
        add(call, delta);
}

ROAN_COMMAND(decrby, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_STRING, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Subtracts a number from an integer; a missing key counts as 0.",
             .arguments = "key:key decrement:integer")
{
    int64_t delta;
    if (!roan_call_integer(call, 2, &delta, NULL))
        return;
    if (delta == INT64_MIN)
        roan_call_error(call, "ERR decrement would overflow");
    else
        add(call, -delta);
}

/* Replicas get the result: adding floats may give other digits elsewhere. */
static void effect_result(roan_call *call, roan_slice text)
{
    roan_slice argv[] = {ROAN_LITERAL("SET"), call->argv[1], text, ROAN_LITERAL("KEEPTTL")};
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
}

ROAN_COMMAND(incrbyfloat, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_STRING, .since = "2.6.0", .complexity = "O(1)",
             .summary = "Adds a number to a floating-point number; a missing key counts as 0.",
             .arguments = "key:key increment:double")
{
    roan_place place;
    long double value = 0, delta;
    char scratch[ROAN_I64_TEXT_MAX], text[ROAN_LONG_DOUBLE_TEXT_MAX];
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    if ((place.entry != NULL && !roan_parse_long_double(roan_entry_string(place.entry, scratch), &value)) ||
        !roan_parse_long_double(call->argv[2], &delta)) {
        roan_call_error(call, "ERR value is not a valid float");
        return;
    }
    value += delta;
    if (isnan(value) || isinf(value)) {
        roan_call_error(call, "ERR increment would produce NaN or Infinity");
        return;
    }
    roan_slice result = roan_slice_make(text, roan_format_long_double(text, value));
    roan_place_set_text(call, &place, result);
    roan_call_changed(call, &place, ROAN_EVENT_STRING, "incrbyfloat");
    effect_result(call, result);
    roan_out_bulk(call->out, result);
}
