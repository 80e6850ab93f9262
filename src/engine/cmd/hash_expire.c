/* engine/cmd/hash_expire.c: giving fields of hashes a time to live, asking for it, taking it away.
 *
 *     HEXPIRE...   -2 no such field, 0 the condition does not hold, 1 done, 2 the time is over: the field was deleted
 *     HTTL...      -2 no such field, -1 without expiry, else the time
 *     HPERSIST     -2 no such field, -1 without expiry, 1 done
 */
#include "engine/cmd/hash_edit.h"

#include "engine/command_keys.h"
#include "engine/stats.h"

enum {
    REPLY_NO_FIELD = -2,
    REPLY_NO_EXPIRY = -1,
    REPLY_UNCHANGED = 0,
    REPLY_DONE = 1,
    REPLY_DELETED = 2,
};

typedef struct expire_condition {
    bool if_absent, if_present, if_greater, if_less;
} expire_condition;

/* The words from argv[3] up to `end`. */
static bool parse_condition(roan_call *call, size_t end, expire_condition *ret_condition)
{
    expire_condition found = {0};
    for (size_t at = 3; at < end; at++) {
        if (roan_call_is(call, at, "NX")) {
            found.if_absent = true;
        } else if (roan_call_is(call, at, "XX")) {
            found.if_present = true;
        } else if (roan_call_is(call, at, "GT")) {
            found.if_greater = true;
        } else if (roan_call_is(call, at, "LT")) {
            found.if_less = true;
        } else {
            roan_call_error_printf(call, "ERR Unsupported option %.*s", ROAN_SLICE_ARG(call->argv[at]));
            return false;
        }
    }
    if (found.if_absent && (found.if_present || found.if_greater || found.if_less)) {
        roan_call_error(call, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (found.if_greater && found.if_less) {
        roan_call_error(call, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    *ret_condition = found;
    return true;
}

/* A field without expiry counts as one that lives for ever. */
static bool condition_holds(const expire_condition *condition, int64_t current_ms, int64_t wanted_ms)
{
    bool has_expiry = current_ms != ROAN_HASH_NEVER;
    if ((condition->if_absent && has_expiry) || (condition->if_present && !has_expiry))
        return false;
    if (condition->if_greater && (!has_expiry || wanted_ms <= current_ms))
        return false;
    return !(condition->if_less && has_expiry && wanted_ms >= current_ms);
}

typedef struct field_expiry {
    expire_condition condition;
    int64_t expiry_ms;
    bool is_past;
    uint64_t changes;
} field_expiry;

/* One field; returns what is answered for it. */
static int expire_field(roan_hash_edit *edit, field_expiry *expiring, roan_slice field)
{
    roan_hash_place place;
    if (!roan_hash_edit_find(edit, field, &place))
        return REPLY_NO_FIELD;
    if (!condition_holds(&expiring->condition, roan_hash_place_expiry(&place), expiring->expiry_ms))
        return REPLY_UNCHANGED;
    expiring->changes++;
    if (expiring->is_past) {
        roan_hash_remove_at(&edit->value, &place);
        return REPLY_DELETED;
    }
    roan_hash_set_expiry_at(&edit->value, edit->context, &place, field, expiring->expiry_ms);
    return REPLY_DONE;
}

static void reply_no_fields(roan_call *call, size_t count)
{
    roan_out_array(call->out, count);
    for (size_t i = 0; i < count; i++)
        roan_out_integer(call->out, REPLY_NO_FIELD);
}

static void expire_fields(roan_hash_edit *edit, field_expiry *expiring, roan_hash_fields fields)
{
    roan_call *call = edit->call;
    roan_hash_effect effect;
    roan_hash_effect_begin(&effect, call, expiring->is_past ? "HDEL" : "HPEXPIREAT", fields.count);
    if (!expiring->is_past) {
        roan_hash_effect_add_time(&effect, expiring->expiry_ms);
        roan_hash_effect_add_fields(&effect, 1);
    }
    roan_out_array(call->out, fields.count);
    for (size_t i = fields.first; i < call->argc; i++) {
        int reply = expire_field(edit, expiring, call->argv[i]);
        if (reply > REPLY_UNCHANGED)
            roan_hash_effect_add(&effect, call->argv[i]);
        roan_out_integer(call->out, reply);
    }
    roan_hash_effect_end(&effect, call);
}

static void expire(roan_call *call, int64_t base_ms, int64_t unit_ms)
{
    field_expiry expiring = {0};
    roan_hash_edit edit;
    roan_hash_fields fields;
    size_t at = roan_hash_fields_find(call, 3);
    if (at == 0 || !parse_condition(call, at, &expiring.condition) ||
        !roan_hash_fields_parse(call, at + 1, 1, ROAN_HASH_NUMFIELDS_ERROR, &fields) ||
        !roan_hash_time_parse(call, 2, unit_ms, base_ms, &expiring.expiry_ms) || !roan_hash_edit_begin(call, &edit))
        return;
    if (edit.is_new) {
        reply_no_fields(call, fields.count);
        return;
    }
    expiring.is_past = expiring.expiry_ms <= call->now_ms;
    expire_fields(&edit, &expiring, fields);
    if (expiring.changes == 0)
        return;
    if (expiring.is_past) {
        call->lane->stats->expired_fields += expiring.changes;
        roan_hash_edit_end_removed(&edit, "hexpired", expiring.changes);
    } else {
        roan_hash_edit_end(&edit, "hexpire", expiring.changes);
    }
}

ROAN_COMMAND(hexpire, .arity = -6, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_HASH,
             .since = "9.0.0", .complexity = "O(N) for N fields.",
             .summary = "Gives fields of a hash a time to live in seconds.",
             .arguments = "key:key seconds:integer [condition<NX|XX|GT|LT>] "
                          "FIELDS fields{numfields:integer field...}")
{
    expire(call, call->now_ms, 1000);
}

ROAN_COMMAND(hpexpire, .arity = -6, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_HASH,
             .since = "9.0.0", .complexity = "O(N) for N fields.",
             .summary = "Gives fields of a hash a time to live in milliseconds.",
             .arguments = "key:key milliseconds:integer [condition^9.0.0<NX|XX|GT|LT>] "
                          "FIELDS fields{numfields:integer#0 field...}")
{
    expire(call, call->now_ms, 1);
}

ROAN_COMMAND(hexpireat, .arity = -6, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_HASH,
             .since = "9.0.0", .complexity = "O(N) for N fields.",
             .summary = "Says in which second of Unix time fields of a hash go away.",
             .arguments = "key:key unix-time-seconds:integer [condition^9.0.0<NX|XX|GT|LT>] "
                          "FIELDS fields{numfields:integer#0 field...}")
{
    expire(call, 0, 1000);
}

ROAN_COMMAND(hpexpireat, .arity = -6, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_HASH,
             .since = "9.0.0", .complexity = "O(N) for N fields.",
             .summary = "Says in which millisecond of Unix time fields of a hash go away.",
             .arguments = "key:key unix-time-milliseconds:integer "
                          "[condition^9.0.0<NX|XX|GT|LT>] "
                          "FIELDS fields{numfields:integer#0 field...}")
{
    expire(call, 0, 1);
}

/* ---- asking ---- */

/* `FIELDS n field ...` from argv[2] on. */
static bool parse_plain_fields(roan_call *call, const char *error, roan_hash_fields *ret_fields)
{
    if (!roan_call_is(call, 2, "FIELDS")) {
        roan_call_syntax_error(call);
        return false;
    }
    return roan_hash_fields_parse(call, 3, 1, error, ret_fields);
}

/* The time of a field after base_ms in units, rounded to the nearest. */
static int64_t time_of_field(roan_call *call, roan_value hash, roan_slice field, int64_t base_ms, int64_t unit_ms)
{
    roan_hash_place place;
    if (!roan_hash_find(hash, field, &place) || roan_hash_place_is_expired(&place, roan_hash_now(call)))
        return REPLY_NO_FIELD;
    int64_t expiry_ms = roan_hash_place_expiry(&place);
    if (expiry_ms == ROAN_HASH_NEVER)
        return REPLY_NO_EXPIRY;
    int64_t left_ms = ROAN_MAX(expiry_ms - base_ms, 0);
    return left_ms / unit_ms + (left_ms % unit_ms * 2 >= unit_ms && unit_ms > 1);
}

static void reply_times(roan_call *call, int64_t base_ms, int64_t unit_ms)
{
    roan_hash_fields fields;
    roan_value hash;
    bool is_absent;
    if (!parse_plain_fields(call, "ERR syntax error", &fields))
        return;
    if (!roan_hash_find_read(call, &hash, &is_absent)) {
        if (is_absent)
            reply_no_fields(call, fields.count);
        return;
    }
    roan_out_array(call->out, fields.count);
    for (size_t i = fields.first; i < call->argc; i++)
        roan_out_integer(call->out, time_of_field(call, hash, call->argv[i], base_ms, unit_ms));
}

ROAN_COMMAND(httl, .arity = -5, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_HASH,
             .since = "9.0.0", .complexity = "O(N) for N fields.",
             .summary = "Tells how many seconds fields of a hash still live.",
             .arguments = "key:key FIELDS fields{numfields:integer#0 field...}")
{
    reply_times(call, call->now_ms, 1000);
}

ROAN_COMMAND(hpttl, .arity = -5, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_HASH,
             .since = "9.0.0", .complexity = "O(N) for N fields.",
             .summary = "Tells how many milliseconds fields of a hash still live.",
             .arguments = "key:key FIELDS fields{numfields:integer#0 field...}")
{
    reply_times(call, call->now_ms, 1);
}

ROAN_COMMAND(hexpiretime, .arity = -5, .flags = ROAN_CMD_READ | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_HASH, .since = "9.0.0", .complexity = "O(N) for N fields.",
             .summary = "Tells the second, in Unix time, at which fields of a hash go away.",
             .arguments = "key:key FIELDS fields{numfields:integer#0 field...}")
{
    reply_times(call, 0, 1000);
}

ROAN_COMMAND(hpexpiretime, .arity = -5, .flags = ROAN_CMD_READ | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_HASH, .since = "9.0.0", .complexity = "O(N) for N fields.",
             .summary = "Tells the millisecond, in Unix time, at which fields of a hash go away.",
             .arguments = "key:key FIELDS fields{numfields:integer#0 field...}")
{
    reply_times(call, 0, 1);
}

/* ---- taking away ---- */

static int persist_field(roan_hash_edit *edit, roan_slice field)
{
    roan_hash_place place;
    if (!roan_hash_edit_find(edit, field, &place))
        return REPLY_NO_FIELD;
    if (roan_hash_place_expiry(&place) == ROAN_HASH_NEVER)
        return REPLY_NO_EXPIRY;
    roan_hash_set_expiry_at(&edit->value, edit->context, &place, field, ROAN_HASH_NEVER);
    return REPLY_DONE;
}

ROAN_COMMAND(hpersist, .arity = -5, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_HASH,
             .since = "9.0.0", .complexity = "O(N) for N fields.",
             .summary = "Drops the time to live of fields of a hash.",
             .arguments = "key:key FIELDS fields{numfields:integer#0 field...}")
{
    roan_hash_edit edit;
    roan_hash_fields fields;
    uint64_t changes = 0;
    if (!parse_plain_fields(call, ROAN_HASH_NUMFIELDS_ERROR, &fields) || !roan_hash_edit_begin(call, &edit))
        return;
    if (edit.is_new) {
        reply_no_fields(call, fields.count);
        return;
    }
    roan_out_array(call->out, fields.count);
    for (size_t i = fields.first; i < call->argc; i++) {
        int reply = persist_field(&edit, call->argv[i]);
        changes += reply == REPLY_DONE;
        roan_out_integer(call->out, reply);
    }
    if (changes > 0)
        roan_hash_edit_end(&edit, "hpersist", changes);
}
