/* engine/cmd/hash_getex.c: HGETEX reads fields and changes or drops their time to live; HSETEX sets fields together
 * with one.
 *
 * A time that is over deletes the fields instead: HGETEX still answers with what they were; HSETEX reports them as set,
 * given a time, and expired, even where there was nothing to delete.
 */
#include "engine/cmd/hash_options.h"

#include "engine/command_keys.h"
#include "engine/stats.h"

/* ---- HGETEX ---- */

typedef enum get_action { GET_ONLY, GET_AND_EXPIRE, GET_AND_DELETE, GET_AND_PERSIST } get_action;

/* Does the action with the field at the place; true: it changed something. */
static bool act(roan_hash_edit *edit, get_action action, roan_hash_place *place, roan_slice field, int64_t expiry_ms)
{
    switch (action) {
    case GET_ONLY:
        return false;
    case GET_AND_EXPIRE:
        roan_hash_set_expiry_at(&edit->value, edit->context, place, field, expiry_ms);
        return true;
    case GET_AND_DELETE:
        roan_hash_remove_at(&edit->value, place);
        return true;
    case GET_AND_PERSIST:
        if (roan_hash_place_expiry(place) == ROAN_HASH_NEVER)
            return false;
        roan_hash_set_expiry_at(&edit->value, edit->context, place, field, ROAN_HASH_NEVER);
        return true;
    }
    ROAN_UNREACHABLE("action");
}

static void begin_get_effect(roan_hash_effect *effect, roan_call *call, get_action action, size_t count,
                             int64_t expiry_ms)
{
    static const char *const commands[] = {[GET_AND_EXPIRE] = "HPEXPIREAT", [GET_AND_DELETE] = "HDEL",
                                           [GET_AND_PERSIST] = "HPERSIST"};
    roan_hash_effect_begin(effect, call, commands[action], count);
    if (action == GET_AND_EXPIRE)
        roan_hash_effect_add_time(effect, expiry_ms);
    if (action != GET_AND_DELETE)
        roan_hash_effect_add_fields(effect, 1);
}

/* Answers with the values and does the action; returns how many fields it changed. */
static uint64_t get_fields(roan_hash_edit *edit, get_action action, roan_hash_fields fields, int64_t expiry_ms)
{
    roan_call *call = edit->call;
    roan_hash_effect effect;
    uint64_t changes = 0;
    char scratch[ROAN_I64_TEXT_MAX];
    if (action != GET_ONLY)
        begin_get_effect(&effect, call, action, fields.count, expiry_ms);
    roan_out_array(call->out, fields.count);
    for (size_t i = fields.first; i < call->argc; i++) {
        roan_hash_place place;
        if (edit->is_new || !roan_hash_edit_find(edit, call->argv[i], &place)) {
            roan_out_null(call->out);
            continue;
        }
        roan_out_bulk(call->out, roan_hash_place_value(&place, scratch));
        if (act(edit, action, &place, call->argv[i], expiry_ms)) {
            roan_hash_effect_add(&effect, call->argv[i]);
            changes++;
        }
    }
    if (action != GET_ONLY)
        roan_hash_effect_end(&effect, call);
    return changes;
}

/* Begins an edit as a reader: a miss is a miss. */
static bool begin_reading(roan_call *call, roan_hash_edit *edit)
{
    if (!roan_hash_edit_begin(call, edit))
        return false;
    roan_call_note_reading(call, &edit->place);
    return true;
}

ROAN_COMMAND(hgetex, .arity = -5, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_HASH, .since = "9.0.0", .complexity = "O(N) for N fields.",
             .summary = "Reads fields of a hash and changes or drops their time to live.",
             .arguments = "key:key [expiration<EX seconds:integer|PX milliseconds:integer|"
                          "EXAT unix-time-seconds:unix-time|"
                          "PXAT unix-time-milliseconds:unix-time|PERSIST>] "
                          "FIELDS fields{numfields:integer#0 field...}")
{
    roan_hash_options options;
    roan_hash_edit edit;
    int64_t expiry_ms = ROAN_HASH_NEVER;
    if (!roan_hash_options_parse(call, false, &options) || !begin_reading(call, &edit) ||
        (options.time_index != 0 && !roan_hash_options_time(call, &options, &expiry_ms)))
        return;
    get_action action = options.persist           ? GET_AND_PERSIST
                        : options.time_index == 0 ? GET_ONLY
                        : expiry_ms > call->now_ms ? GET_AND_EXPIRE
                                                   : GET_AND_DELETE;
    uint64_t changes = get_fields(&edit, action, options.fields, expiry_ms);
    if (changes == 0)
        return;
    if (action == GET_AND_DELETE) {
        call->lane->stats->expired_fields += changes;
        roan_hash_edit_end_removed(&edit, "hexpired", changes);
    } else {
        roan_hash_edit_end(&edit, action == GET_AND_PERSIST ? "hpersist" : "hexpire", changes);
    }
}

/* ---- HSETEX ---- */

/* NX and XX ask for the key, FNX and FXX for all of the fields. */
static bool key_condition_holds(const roan_hash_options *options, const roan_hash_edit *edit)
{
    return !(options->key_absent && !edit->is_new) && !(options->key_present && edit->is_new);
}

static bool field_condition_holds(const roan_hash_options *options, const roan_hash_edit *edit)
{
    const roan_call *call = edit->call;
    if (!options->fields_absent && !options->fields_present)
        return true;
    if (edit->is_new)
        return options->fields_absent;
    for (size_t i = options->fields.first; i < call->argc; i += 2) {
        roan_hash_place place;
        if (roan_hash_edit_find(edit, call->argv[i], &place) != options->fields_present)
            return false;
    }
    return true;
}

/* The call without its conditions, its time as an absolute one. */
static void effect_of_setting(roan_call *call, const roan_hash_options *options, int64_t expiry_ms)
{
    roan_hash_effect effect;
    roan_hash_effect_begin(&effect, call, "HSETEX", call->argc - options->fields.first);
    if (options->keep)
        roan_hash_effect_add(&effect, ROAN_LITERAL("KEEPTTL"));
    if (expiry_ms != ROAN_HASH_NEVER) {
        roan_hash_effect_add(&effect, ROAN_LITERAL("PXAT"));
        roan_hash_effect_add_time(&effect, expiry_ms);
    }
    roan_hash_effect_add_fields(&effect, 2);
    for (size_t i = options->fields.first; i < call->argc; i++)
        roan_hash_effect_add(&effect, call->argv[i]);
    roan_hash_effect_end(&effect, call);
}

/* Sets the fields. With KEEPTTL a replica is told first which of them had expired, as their old times do not count. */
static void set_fields(roan_hash_edit *edit, const roan_hash_options *options, int64_t expiry_ms)
{
    roan_call *call = edit->call;
    roan_hash_effect revived;
    roan_hash_effect_begin(&revived, call, "HDEL", options->keep ? options->fields.count : 0);
    for (size_t i = options->fields.first; i < call->argc; i += 2) {
        roan_hash_place place;
        int64_t field_expiry_ms = expiry_ms;
        bool is_there = roan_hash_edit_find(edit, call->argv[i], &place);
        if (is_there && options->keep)
            field_expiry_ms = roan_hash_place_expiry(&place);
        if (!is_there) {
            roan_hash_edit_note_revived(edit, &place);
            if (options->keep && roan_hash_place_is_there(&place))
                roan_hash_effect_add(&revived, call->argv[i]);
        }
        roan_hash_put(&edit->value, edit->context, &place, call->argv[i], call->argv[i + 1], field_expiry_ms);
    }
    roan_hash_effect_end(&revived, call);
}

/* The time is over: what is there of the fields goes. */
static void set_in_the_past(roan_hash_edit *edit, const roan_hash_options *options)
{
    roan_call *call = edit->call;
    roan_hash_effect effect;
    uint64_t deleted = 0;
    roan_hash_effect_begin(&effect, call, "HDEL", options->fields.count);
    for (size_t i = options->fields.first; i < call->argc && !edit->is_new; i += 2) {
        if (!roan_hash_remove(&edit->value, call->argv[i]))
            continue;
        roan_hash_effect_add(&effect, call->argv[i]);
        deleted++;
    }
    roan_hash_effect_end(&effect, call);
    bool is_empty = edit->is_new || roan_hash_count(edit->value) == 0;
    if (!edit->is_new)
        roan_place_store(call, &edit->place, edit->value);
    if (!edit->is_new && is_empty)
        roan_place_delete(call, &edit->place, false);
    call->lane->stats->expired_fields += options->fields.count;
    if (deleted > 0) {
        roan_call_changed(call, &edit->place, ROAN_EVENT_HASH, "hset");
        call->dirty += deleted - 1;
    } else {
        roan_call_changed_event(call, &edit->place, ROAN_EVENT_HASH, "hset");
    }
    roan_call_changed_event(call, &edit->place, ROAN_EVENT_HASH, "hexpire");
    roan_call_changed_event(call, &edit->place, ROAN_EVENT_HASH, "hexpired");
    if (is_empty)
        roan_call_changed_event(call, &edit->place, ROAN_EVENT_GENERIC, "del");
}

ROAN_COMMAND(hsetex, .arity = -6, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_HASH, .since = "9.0.0", .complexity = "O(N) for N fields.",
             .summary = "Sets fields of a hash, on a condition and with a time to live if asked.",
             .arguments = "key:key [key-condition<NX|XX>] [fields-condition<FNX|FXX>] "
                          "[expiration<EX seconds:integer|PX milliseconds:integer|"
                          "EXAT unix-time-seconds:unix-time|"
                          "PXAT unix-time-milliseconds:unix-time|KEEPTTL>] "
                          "FIELDS fields{numfields:integer#0 data{field value}...}")
{
    roan_hash_options options;
    roan_hash_edit edit;
    int64_t expiry_ms = ROAN_HASH_NEVER;
    if (!roan_hash_options_parse(call, true, &options) || !roan_hash_edit_begin(call, &edit))
        return;
    if (!key_condition_holds(&options, &edit)) {
        roan_out_integer(call->out, 0);
        return;
    }
    if (options.time_index != 0 && !roan_hash_options_time(call, &options, &expiry_ms))
        return;
    if (!field_condition_holds(&options, &edit)) {
        roan_out_integer(call->out, 0);
        return;
    }
    if (options.time_index != 0 && expiry_ms <= call->now_ms) {
        set_in_the_past(&edit, &options);
    } else {
        roan_hash_edit_create(&edit);
        set_fields(&edit, &options, expiry_ms);
        effect_of_setting(call, &options, expiry_ms);
        roan_hash_edit_end(&edit, "hset", options.fields.count);
        if (options.time_index != 0)
            roan_call_changed_event(call, &edit.place, ROAN_EVENT_HASH, "hexpire");
    }
    roan_out_integer(call->out, 1);
}
