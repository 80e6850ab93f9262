/* engine/cmd/expire.c: giving keys a time to live, asking for it, taking it away. */
#include "engine/call.h"
#include "engine/command_keys.h"

typedef struct expire_options {
    bool if_absent, if_present, if_greater, if_less;
} expire_options;

static bool parse_options(roan_call *call, expire_options *options)
{
    *options = (expire_options){0};
    for (size_t at = 3; at < call->argc; at++) {
        if (roan_call_is(call, at, "NX")) {
            options->if_absent = true;
        } else if (roan_call_is(call, at, "XX")) {
            options->if_present = true;
        } else if (roan_call_is(call, at, "GT")) {
            options->if_greater = true;
        } else if (roan_call_is(call, at, "LT")) {
            options->if_less = true;
        } else {
            roan_call_error_printf(call, "ERR Unsupported option %.*s", ROAN_SLICE_ARG(call->argv[at]));
            return false;
        }
    }
    if (options->if_absent && (options->if_present || options->if_greater || options->if_less)) {
        roan_call_error(call, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (options->if_greater && options->if_less) {
        roan_call_error(call, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

/* argv[2] in units of unit_ms after base_ms as an absolute time; false after an error was sent. */
static bool parse_time(roan_call *call, int64_t base_ms, int64_t unit_ms, int64_t *ret_expiry_ms)
{
    int64_t value;
    if (!roan_call_integer(call, 2, &value, NULL))
        return false;
    if (!__builtin_mul_overflow(value, unit_ms, &value) && !__builtin_add_overflow(value, base_ms, ret_expiry_ms))
        return true;
    roan_call_error_printf(call, "ERR invalid expire time in '%s' command", call->command->name);
    return false;
}

/* A key without expiry counts as one that lives for ever. */
static bool condition_holds(const expire_options *options, int64_t current_ms, int64_t wanted_ms)
{
    bool has_expiry = current_ms != ROAN_EXPIRY_NONE;
    if ((options->if_absent && has_expiry) || (options->if_present && !has_expiry))
        return false;
    if (options->if_greater && (!has_expiry || wanted_ms <= current_ms))
        return false;
    return !(options->if_less && has_expiry && wanted_ms >= current_ms);
}

static void set_expiry(roan_call *call, roan_place *place, int64_t expiry_ms)
{
    char when[ROAN_I64_TEXT_MAX];
    roan_slice argv[] = {ROAN_LITERAL("PEXPIREAT"), call->argv[1],
                         roan_slice_make(when, roan_format_i64(when, expiry_ms))};
    roan_place_set_expiry(call, place, expiry_ms);
    roan_call_changed(call, place, ROAN_EVENT_GENERIC, "expire");
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv); /* its conditions held: they need not be checked again */
}

static void expire(roan_call *call, int64_t base_ms, int64_t unit_ms)
{
    expire_options options;
    int64_t expiry_ms;
    roan_place place;
    if (!parse_options(call, &options) || !parse_time(call, base_ms, unit_ms, &expiry_ms))
        return;
    if (!roan_call_find_write(call, 1, &place) || !condition_holds(&options, roan_place_expiry(&place), expiry_ms)) {
        roan_out_integer(call->out, 0);
        return;
    }
    if (expiry_ms <= call->now_ms)
        roan_place_expire_now(call, &place);
    else
        set_expiry(call, &place, expiry_ms);
    roan_out_integer(call->out, 1);
}

ROAN_COMMAND(expire, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_GENERIC,
             .since = "1.0.0", .complexity = "O(1)",
             .summary = "Gives a key a time to live in seconds.",
             .arguments = "key:key seconds:integer [condition^7.0.0<NX|XX|GT|LT>]",
             .history = "7.0.0|Conditions NX, XX, GT and LT.")
{
    expire(call, call->now_ms, 1000);
}

ROAN_COMMAND(pexpire, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_GENERIC,
             .since = "2.6.0", .complexity = "O(1)",
             .summary = "Gives a key a time to live in milliseconds.",
             .arguments = "key:key milliseconds:integer [condition^7.0.0<NX|XX|GT|LT>]",
             .history = "7.0.0|Conditions NX, XX, GT and LT.")
{
    expire(call, call->now_ms, 1);
}

ROAN_COMMAND(expireat, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_GENERIC,
             .since = "1.2.0", .complexity = "O(1)",
             .summary = "Sets the second, in Unix time, at which a key goes away.",
             .arguments = "key:key unix-time-seconds:unix-time [condition^7.0.0<NX|XX|GT|LT>]",
             .history = "7.0.0|Conditions NX, XX, GT and LT.")
{
    expire(call, 0, 1000);
}

ROAN_COMMAND(pexpireat, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_GENERIC,
             .since = "2.6.0", .complexity = "O(1)",
             .summary = "Sets the millisecond, in Unix time, at which a key goes away.",
             .arguments = "key:key unix-time-milliseconds:unix-time [condition^7.0.0<NX|XX|GT|LT>]",
             .history = "7.0.0|Conditions NX, XX, GT and LT.")
{
    expire(call, 0, 1);
}

/* -2: no key; -1: no expiry; else the time relative to base_ms in units, rounded half up. */
static void reply_time(roan_call *call, int64_t base_ms, int64_t unit_ms)
{
    roan_place place;
    if (!roan_call_find_read_untouched(call, 1, &place)) {
        roan_out_integer(call->out, -2);
        return;
    }
    int64_t expiry_ms = roan_place_expiry(&place);
    if (expiry_ms == ROAN_EXPIRY_NONE) {
        roan_out_integer(call->out, -1);
        return;
    }
    uint64_t left_ms = (uint64_t)ROAN_MAX(expiry_ms - base_ms, 0);
    roan_out_integer(call->out, (int64_t)((left_ms + (uint64_t)unit_ms / 2) / (uint64_t)unit_ms));
}

ROAN_COMMAND(ttl, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_GENERIC,
             .since = "1.0.0", .complexity = "O(1)",
             .summary = "Tells how many seconds a key has left.", .arguments = "key:key",
             .tips = "nondeterministic_output",
             .history = "2.8.0|Answers -2 for a key that does not exist.")
{
    reply_time(call, call->now_ms, 1000);
}

ROAN_COMMAND(pttl, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_GENERIC,
             .since = "2.6.0", .complexity = "O(1)",
             .summary = "Tells how many milliseconds a key has left.", .arguments = "key:key",
             .tips = "nondeterministic_output",
             .history = "2.8.0|Answers -2 for a key that does not exist.")
{
    reply_time(call, call->now_ms, 1);
}

ROAN_COMMAND(expiretime, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_GENERIC,
             .since = "7.0.0", .complexity = "O(1)",
             .summary = "Tells the second, in Unix time, at which a key goes away.",
             .arguments = "key:key")
{
    reply_time(call, 0, 1000);
}

ROAN_COMMAND(pexpiretime, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_GENERIC,
             .since = "7.0.0", .complexity = "O(1)",
             .summary = "Tells the millisecond, in Unix time, at which a key goes away.",
             .arguments = "key:key")
{
    reply_time(call, 0, 1);
}

ROAN_COMMAND(persist, .arity = 2, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_GENERIC,
             .since = "2.2.0", .complexity = "O(1)", .summary = "Drops the time to live of a key.",
             .arguments = "key:key")
{
    roan_place place;
    bool had_expiry = roan_call_find_write(call, 1, &place) && roan_place_expiry(&place) != ROAN_EXPIRY_NONE;
    if (had_expiry) {
        roan_place_set_expiry(call, &place, ROAN_EXPIRY_NONE);
        roan_call_changed(call, &place, ROAN_EVENT_GENERIC, "persist");
    }
    roan_out_integer(call->out, had_expiry);
}
