/* engine/cmd/string.c: setting and getting whole strings: SET and its older relatives, GET, MGET, MSET, compare and
 * delete.
 *
 * Options with an expiry share one parser (see string_options.h): EX, PX, EXAT, PXAT, KEEPTTL, PERSIST, NX, XX, IFEQ,
 * GET.
 */
#include "engine/call.h"
#include "engine/cmd/string_options.h"
#include "engine/command_keys.h"

/* Sends the string at the place, or null. The type was checked. */
static void reply_string(roan_call *call, const roan_place *place)
{
    if (place->entry == NULL) {
        roan_out_null(call->out);
        return;
    }
    char scratch[ROAN_I64_TEXT_MAX];
    roan_out_bulk(call->out, roan_entry_string(place->entry, scratch));
}

/* Stores the value and reports the change; the expiry is absolute, NONE or KEEP. */
static void store(roan_call *call, roan_place *place, roan_slice value, int64_t expiry_ms)
{
    roan_place_set_string(call, place, value, expiry_ms);
    roan_call_changed(call, place, ROAN_EVENT_STRING, "set");
}

/* What replicas must do after a SET with a relative expiry: the same with an absolute one. */
static void effect_set_at(roan_call *call, roan_slice key, roan_slice value, int64_t expiry_ms)
{
    if (call->engine->on_effect == NULL)
        return;
    char when[ROAN_I64_TEXT_MAX];
    roan_slice argv[] = {ROAN_LITERAL("SET"), key, value, ROAN_LITERAL("PXAT"),
                         roan_slice_make(when, roan_format_i64(when, expiry_ms))};
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
}

/* Deletes the key in argv[1]; replicas need not look at its value again. */
static void delete_alone(roan_call *call, roan_place *place)
{
    roan_slice argv[] = {ROAN_LITERAL("DEL"), call->argv[1]};
    roan_place_delete(call, place, call->engine->config.lazyfree_lazy_user_del);
    roan_call_changed(call, place, ROAN_EVENT_GENERIC, "del");
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
}

/* SET key value with what its options say; with a time that is over, the key goes (or does not come) at once. */
static void set(roan_call *call, roan_place *place, int64_t expiry_ms)
{
    if (expiry_ms >= 0 && expiry_ms <= call->now_ms) {
        if (place->entry != NULL)
            roan_place_expire_now(call, place);
        return;
    }
    store(call, place, call->argv[2], expiry_ms);
    if (expiry_ms >= 0) {
        roan_call_changed_event(call, place, ROAN_EVENT_GENERIC, "expire");
        effect_set_at(call, call->argv[1], call->argv[2], expiry_ms);
    }
}

static bool value_equals(const roan_entry *entry, roan_slice value)
{
    char scratch[ROAN_I64_TEXT_MAX];
    return roan_slice_equal(roan_entry_string(entry, scratch), value);
}

/* NX, XX and IFEQ; false with has_failed set when the key has the wrong type for a comparison. */
static bool condition_holds(roan_call *call, const roan_set_options *options, const roan_place *place)
{
    if (options->if_absent)
        return place->entry == NULL;
    if (options->if_present)
        return place->entry != NULL;
    if (options->if_equal.data == NULL)
        return true;
    return place->entry != NULL && roan_call_is_type(call, place, ROAN_TYPE_STRING) &&
           value_equals(place->entry, options->if_equal);
}

ROAN_COMMAND(set, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY_NOTED(1, "Reads with GET, otherwise only overwrites.",
                                     ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE |
                                     ROAN_KEY_VARIABLE_FLAGS)},
             .find_keys = roan_find_keys_set, .group = ROAN_GROUP_STRING, .since = "1.0.0",
             .complexity = "O(1)", .summary = "Stores a string, whatever the key held before.",
             .arguments = "key:key value [condition<NX^2.6.12|XX^2.6.12|"
                          "IFEQ comparison-value^8.1.0>] [GET^6.2.0] "
                          "[expiration<EX seconds:integer^2.6.12|PX milliseconds:integer^2.6.12|"
                          "EXAT unix-time-seconds:unix-time^6.2.0|"
                          "PXAT unix-time-milliseconds:unix-time^6.2.0|KEEPTTL^6.0.0>]",
             .history = "2.6.12|Options EX, PX, NX and XX.\n6.0.0|Option KEEPTTL.\n6.2.0|Options "
                        "GET, EXAT and PXAT.\n7.0.0|NX and GET may be used together.\n"
                        "8.1.0|Condition IFEQ.")
{
    roan_set_options options;
    roan_place place;
    if (ROAN_LIKELY(call->argc == 3))
        options = (roan_set_options){.expiry_ms = ROAN_EXPIRY_NONE};
    else if (!roan_set_options_parse(call, 3, ROAN_OPTIONS_OF_SET, &options))
        return;
    (options.get ? roan_call_find_read : roan_call_find_write)(call, 1, &place);
    if (options.get && !roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    bool holds = condition_holds(call, &options, &place);
    if (call->has_failed)
        return;
    if (options.get)
        reply_string(call, &place);
    if (!holds) {
        if (!options.get)
            roan_out_null(call->out);
        return;
    }
    set(call, &place, options.expiry_ms);
    if (!options.get)
        roan_out_ok(call->out);
}

/* SETEX and PSETEX: key, time, value. */
static void set_with_time(roan_call *call, int64_t unit_ms)
{
    int64_t expiry_ms;
    roan_place place;
    if (!roan_parse_expiry(call, 2, unit_ms, call->now_ms, &expiry_ms))
        return;
    roan_call_find_write(call, 1, &place);
    store(call, &place, call->argv[3], expiry_ms);
    roan_call_changed_event(call, &place, ROAN_EVENT_GENERIC, "expire");
    effect_set_at(call, call->argv[1], call->argv[3], expiry_ms);
    roan_out_ok(call->out);
}

ROAN_COMMAND(setex, .arity = 4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_OW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_STRING,
             .since = "2.0.0", .complexity = "O(1)",
             .summary = "Stores a string with a time to live in seconds.",
             .arguments = "key:key seconds:integer value")
{
    set_with_time(call, 1000);
}

ROAN_COMMAND(psetex, .arity = 4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_OW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_STRING,
             .since = "2.6.0", .complexity = "O(1)",
             .summary = "Stores a string with a time to live in milliseconds.",
             .arguments = "key:key milliseconds:integer value")
{
    set_with_time(call, 1);
}

ROAN_COMMAND(setnx, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_OW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_STRING, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Stores a string if the key does not exist.", .arguments = "key:key value")
{
    roan_place place;
    bool is_absent = !roan_call_find_write(call, 1, &place);
    if (is_absent)
        store(call, &place, call->argv[2], ROAN_EXPIRY_NONE);
    roan_out_integer(call->out, is_absent);
}

ROAN_COMMAND(get, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_STRING,
             .since = "1.0.0", .complexity = "O(1)", .summary = "Reads a string.",
             .arguments = "key:key")
{
    roan_place place;
    roan_call_find_read(call, 1, &place);
    if (roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        reply_string(call, &place);
}

ROAN_COMMAND(getset, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_STRING, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Stores a string and answers with the one it replaces.",
             .arguments = "key:key value")
{
    roan_place place;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    reply_string(call, &place);
    store(call, &place, call->argv[2], ROAN_EXPIRY_NONE);
}

ROAN_COMMAND(getdel, .arity = 2, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_STRING, .since = "6.2.0", .complexity = "O(1)",
             .summary = "Reads a string and removes its key.", .arguments = "key:key")
{
    roan_place place;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    reply_string(call, &place);
    if (place.entry == NULL)
        return;
    delete_alone(call, &place);
}

/* GETEX with a time: sets it, or deletes when it has passed already. */
static void expire_at(roan_call *call, roan_place *place, int64_t expiry_ms)
{
    if (expiry_ms <= call->now_ms) {
        roan_place_expire_now(call, place);
        return;
    }
    char when[ROAN_I64_TEXT_MAX];
    roan_slice argv[] = {ROAN_LITERAL("PEXPIREAT"), call->argv[1],
                         roan_slice_make(when, roan_format_i64(when, expiry_ms))};
    roan_place_set_expiry(call, place, expiry_ms);
    roan_call_changed(call, place, ROAN_EVENT_GENERIC, "expire");
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
}

ROAN_COMMAND(getex, .arity = -2, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY_NOTED(1, "An update because the time to live may change.",
                                     ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_STRING, .since = "6.2.0", .complexity = "O(1)",
             .summary = "Reads a string and changes or drops its time to live.",
             .arguments = "key:key [expiration<EX seconds:integer|PX milliseconds:integer|"
                          "EXAT unix-time-seconds:unix-time|"
                          "PXAT unix-time-milliseconds:unix-time|PERSIST>]")
{
    roan_set_options options;
    roan_place place;
    if (!roan_set_options_parse(call, 2, ROAN_OPTIONS_OF_GETEX, &options))
        return;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    if (place.entry == NULL) {
        roan_out_null(call->out);
        return;
    }
    reply_string(call, &place);
    if (options.time_index != 0) {
        expire_at(call, &place, options.expiry_ms);
    } else if (options.persist && place.entry->flags & ROAN_ENTRY_EXPIRES) {
        roan_slice argv[] = {ROAN_LITERAL("PERSIST"), call->argv[1]};
        roan_place_set_expiry(call, &place, ROAN_EXPIRY_NONE);
        roan_call_changed(call, &place, ROAN_EVENT_GENERIC, "persist");
        roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
    }
}

ROAN_COMMAND(mget, .arity = -2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_STRING, .since = "1.0.0", .complexity = "O(N) for N keys.",
             .summary = "Reads several strings at once.", .arguments = "key:key...",
             .tips = "request_policy:multi_shard")
{
    roan_out_array(call->out, call->argc - 1);
    for (size_t i = 1; i < call->argc; i++) {
        roan_place place;
        roan_call_read_ahead(call, i - 1, 1, 1);
        if (roan_call_find_read(call, i, &place) && place.entry->type == ROAN_TYPE_STRING)
            reply_string(call, &place);
        else
            roan_out_null(call->out);
    }
}

/* Sets `count` pairs beginning at argv[first]. */
static void set_pairs(roan_call *call, size_t first, size_t count, int64_t expiry_ms)
{
    for (size_t i = 0; i < count; i++) {
        roan_place place;
        roan_call_read_ahead(call, i, first, 2);
        roan_call_find_write(call, first + 2 * i, &place);
        store(call, &place, call->argv[first + 2 * i + 1], expiry_ms);
        if (expiry_ms >= 0)
            roan_call_changed_event(call, &place, ROAN_EVENT_GENERIC, "expire");
    }
}

static bool has_present_key(roan_call *call, size_t first, size_t count)
{
    roan_place place;
    for (size_t i = 0; i < count; i++)
        if (roan_call_find_quiet(call, first + 2 * i, &place))
            return true;
    return false;
}

static bool has_absent_key(roan_call *call, size_t first, size_t count)
{
    roan_place place;
    for (size_t i = 0; i < count; i++)
        if (!roan_call_find_quiet(call, first + 2 * i, &place))
            return true;
    return false;
}

ROAN_COMMAND(mset, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -1, 2, ROAN_KEY_OW | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_STRING, .since = "1.0.1", .complexity = "O(N) for N keys.",
             .summary = "Stores several strings at once.", .arguments = "data{key:key value}...",
             .tips = "request_policy:multi_shard response_policy:all_succeeded")
{
    if (call->argc % 2 == 0) {
        roan_call_arity_error(call);
        return;
    }
    set_pairs(call, 1, call->argc / 2, ROAN_EXPIRY_NONE);
    roan_out_ok(call->out);
}

ROAN_COMMAND(msetnx, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -1, 2, ROAN_KEY_OW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_STRING, .since = "1.0.1", .complexity = "O(N) for N keys.",
             .summary = "Stores several strings at once if none of the keys exists.",
             .arguments = "data{key:key value}...")
{
    if (call->argc % 2 == 0) {
        roan_call_arity_error(call);
        return;
    }
    bool is_free = !has_present_key(call, 1, call->argc / 2);
    if (is_free)
        set_pairs(call, 1, call->argc / 2, ROAN_EXPIRY_NONE);
    roan_out_integer(call->out, is_free);
}

/* The call again, with its expiry as an absolute time. */
static void effect_msetex_at(roan_call *call, size_t pairs, int64_t expiry_ms)
{
    if (call->engine->on_effect == NULL || expiry_ms < 0)
        return;
    size_t argc = 2 + 2 * pairs + 2;
    roan_slice *argv = roan_alloc(argc * sizeof *argv);
    char when[ROAN_I64_TEXT_MAX];
    memcpy(argv, call->argv, (argc - 2) * sizeof *argv);
    argv[argc - 2] = ROAN_LITERAL("PXAT");
    argv[argc - 1] = roan_slice_make(when, roan_format_i64(when, expiry_ms));
    roan_call_effect(call, argc, argv);
    roan_free(argv, argc * sizeof *argv);
}

ROAN_COMMAND(msetex, .arity = -4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(1, 1, 2, ROAN_KEY_OW | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_STRING, .since = "9.1.0", .complexity = "O(N) for N keys.",
             .summary = "Stores several strings at once, on a condition and with a time to live "
                        "if asked.",
             .arguments = "numkeys:integer data{key:key value}... [condition<NX|XX>] "
                          "[expiration<EX seconds:integer|PX milliseconds:integer|"
                          "EXAT unix-time-seconds:unix-time|"
                          "PXAT unix-time-milliseconds:unix-time|KEEPTTL>]",
             .tips = "request_policy:multi_shard response_policy:all_succeeded")
{
    int64_t pairs;
    roan_set_options options;
    if (!roan_call_integer_in(call, 1, 1, INT32_MAX, &pairs, "ERR invalid numkeys value or out of range"))
        return;
    size_t options_at = 2 + 2 * (size_t)pairs;
    if (options_at > call->argc) {
        roan_call_syntax_error(call);
        return;
    }
    if (!roan_set_options_parse(call, options_at, ROAN_OPTIONS_OF_MSETEX, &options))
        return;
    if ((options.if_absent && has_present_key(call, 2, (size_t)pairs)) ||
        (options.if_present && has_absent_key(call, 2, (size_t)pairs))) {
        roan_out_integer(call->out, 0);
        return;
    }
    set_pairs(call, 2, (size_t)pairs, options.expiry_ms);
    effect_msetex_at(call, (size_t)pairs, options.expiry_ms);
    roan_out_integer(call->out, 1);
}

ROAN_COMMAND(delifeq, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RM | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_STRING,
             .since = "9.0.0", .complexity = "O(1)",
             .summary = "Removes a key if its string value equals the given one.",
             .arguments = "key:key value")
{
    roan_place place;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
        return;
    bool is_equal = place.entry != NULL && value_equals(place.entry, call->argv[2]);
    if (is_equal)
        delete_alone(call, &place);
    roan_out_integer(call->out, is_equal);
}
