/* engine/cmd/hash.c: hashes: setting, getting, deleting and listing fields.
 *
 * What has an expiry is in hash_expire.c, hash_getex.c and hash_setex.c, numbers in hash_number.c, random fields and
 * HSCAN in hash_scan.c. Commands that look hide fields whose time is over; HLEN counts them until they are taken out.
 */
#include "engine/cmd/hash_edit.h"

#include "engine/command_keys.h"

/* ---- setting ---- */

/* Sets the pairs in argv[2...]; returns how many fields are new. */
static int64_t set_pairs(roan_hash_edit *edit)
{
    const roan_call *call = edit->call;
    const roan_slice *pairs = call->argv + 2;
    size_t count = (call->argc - 2) / 2;
    int64_t created = 0;
    if (edit->is_new) {
        edit->value = roan_hash_create_from(edit->context, pairs, count);
        return (int64_t)roan_hash_count(edit->value);
    }
    roan_hash_prepare(&edit->value, edit->context, pairs, 2 * count);
    for (size_t i = 0; i < count; i++) {
        roan_hash_place place;
        if (i % ROAN_ELEMENT_BATCH == 0)
            roan_hash_prefetch(edit->value, pairs + 2 * i, 2, ROAN_MIN(count - i, (size_t)ROAN_ELEMENT_BATCH));
        if (!roan_hash_edit_find(edit, pairs[2 * i], &place)) {
            roan_hash_edit_note_revived(edit, &place);
            created++;
        }
        roan_hash_put(&edit->value, edit->context, &place, pairs[2 * i], pairs[2 * i + 1], ROAN_HASH_NEVER);
    }
    return created;
}

/* HSET and HMSET; false after an error was sent. */
static bool set(roan_call *call, int64_t *ret_created)
{
    roan_hash_edit edit;
    if (call->argc % 2 != 0) {
        roan_call_arity_error(call);
        return false;
    }
    if (!roan_hash_edit_begin(call, &edit))
        return false;
    *ret_created = set_pairs(&edit);
    roan_hash_edit_end(&edit, "hset", (call->argc - 2) / 2);
    return true;
}

ROAN_COMMAND(hset, .arity = -4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_HASH, .since = "2.0.0", .complexity = "O(N) for N fields.",
             .summary = "Sets fields of a hash and counts those that are new.",
             .arguments = "key:key data{field value}...", .history = "4.0.0|Takes several fields.")
{
    int64_t created;
    if (set(call, &created))
        roan_out_integer(call->out, created);
}

ROAN_COMMAND(hmset, .arity = -4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_HASH, .since = "2.0.0", .complexity = "O(N) for N fields.",
             .summary = "Sets fields of a hash.", .arguments = "key:key data{field value}...")
{
    int64_t created;
    if (set(call, &created))
        roan_out_ok(call->out);
}

/* A replica may still have the expired field: it is to be overwritten there as well. */
static void effect_hset(roan_call *call)
{
    roan_slice argv[] = {ROAN_LITERAL("HSET"), call->argv[1], call->argv[2], call->argv[3]};
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
}

ROAN_COMMAND(hsetnx, .arity = 4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_HASH, .since = "2.0.0", .complexity = "O(1)",
             .summary = "Sets a field of a hash if there is no such field.",
             .arguments = "key:key field value")
{
    roan_hash_edit edit;
    roan_hash_place place;
    if (!roan_hash_edit_begin(call, &edit))
        return;
    if (edit.is_new)
        roan_hash_edit_create(&edit);
    roan_slice field = call->argv[2];
    if (roan_hash_edit_find(&edit, field, &place)) {
        roan_out_integer(call->out, 0);
        return;
    }
    roan_hash_edit_note_revived(&edit, &place);
    roan_hash_put(&edit.value, edit.context, &place, field, call->argv[3], ROAN_HASH_NEVER);
    if (edit.revived > 0)
        effect_hset(call);
    roan_hash_edit_end(&edit, "hset", 1);
    roan_out_integer(call->out, 1);
}

/* ---- getting ---- */

/* Finds the field in argv[2] of the hash in argv[1] and its value; false with *ret_is_absent: there is none, otherwise
 * an error was sent. */
static bool get(roan_call *call, char scratch[ROAN_I64_TEXT_MAX], roan_slice *ret_value, bool *ret_is_absent)
{
    roan_value hash;
    if (!roan_hash_find_read(call, &hash, ret_is_absent))
        return false;
    bool is_there = roan_hash_get(hash, call->argv[2], roan_hash_now(call), scratch, ret_value);
    *ret_is_absent = !is_there;
    return is_there;
}

ROAN_COMMAND(hget, .arity = 3, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_HASH,
             .since = "2.0.0", .complexity = "O(1)", .summary = "Reads a field of a hash.",
             .arguments = "key:key field")
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_slice value;
    bool is_absent;
    if (get(call, scratch, &value, &is_absent))
        roan_out_bulk(call->out, value);
    else if (is_absent)
        roan_out_null(call->out);
}

ROAN_COMMAND(hstrlen, .arity = 3, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO)}, .group = ROAN_GROUP_HASH, .since = "3.2.0",
             .complexity = "O(1)", .summary = "Tells how many bytes the value of a field has.",
             .arguments = "key:key field")
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_slice value;
    bool is_absent;
    if (get(call, scratch, &value, &is_absent))
        roan_out_integer(call->out, (int64_t)value.bytes);
    else if (is_absent)
        roan_out_integer(call->out, 0);
}

ROAN_COMMAND(hexists, .arity = 3, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO)}, .group = ROAN_GROUP_HASH, .since = "2.0.0",
             .complexity = "O(1)", .summary = "Tells whether a hash has a field.",
             .arguments = "key:key field")
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_slice value;
    bool is_absent;
    bool is_there = get(call, scratch, &value, &is_absent);
    if (is_there || is_absent)
        roan_out_integer(call->out, is_there);
}

ROAN_COMMAND(hlen, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO)}, .group = ROAN_GROUP_HASH, .since = "2.0.0",
             .complexity = "O(1)", .summary = "Counts the fields of a hash.", .arguments = "key:key")
{
    roan_value hash;
    bool is_absent;
    if (roan_hash_find_read(call, &hash, &is_absent))
        roan_out_integer(call->out, (int64_t)roan_hash_count(hash));
    else if (is_absent)
        roan_out_integer(call->out, 0);
}

/* The values of at most ROAN_ELEMENT_BATCH fields. */
static void reply_values(roan_call *call, roan_value hash, const roan_slice *fields, size_t count)
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_hash_place places[ROAN_ELEMENT_BATCH];
    roan_hash_find_batch(hash, fields, 1, count, places);
    for (size_t i = 0; i < count; i++)
        if (roan_hash_place_is_there(&places[i]) && !roan_hash_place_is_expired(&places[i], roan_hash_now(call)))
            roan_out_bulk(call->out, roan_hash_place_value(&places[i], scratch));
        else
            roan_out_null(call->out);
}

ROAN_COMMAND(hmget, .arity = -3, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_HASH,
             .since = "2.0.0", .complexity = "O(N) for N fields.",
             .summary = "Reads several fields of a hash.", .arguments = "key:key field...")
{
    roan_value hash;
    bool is_absent, is_there = roan_hash_find_read(call, &hash, &is_absent);
    if (!is_there && !is_absent)
        return;
    roan_out_array(call->out, call->argc - 2);
    for (size_t i = 2; is_there && i < call->argc; i += ROAN_ELEMENT_BATCH)
        reply_values(call, hash, call->argv + i, ROAN_MIN(call->argc - i, (size_t)ROAN_ELEMENT_BATCH));
    for (size_t i = 2; is_absent && i < call->argc; i++)
        roan_out_null(call->out);
}

/* ---- listing ---- */

typedef struct field_listing {
    roan_out *out;
    bool fields, values;
    size_t count;
} field_listing;

static void send_field(const roan_hash_field *field, void *context)
{
    field_listing *list = context;
    list->count++;
    if (list->fields)
        roan_out_bulk(list->out, field->field);
    if (list->values)
        roan_out_bulk(list->out, field->value);
}

/* How many there are is known beforehand unless fields may have expired. */
static void list_fields(roan_call *call, bool fields, bool values)
{
    bool is_absent, is_map = fields && values;
    roan_out *out = call->out;
    field_listing listing = {.out = out, .fields = fields, .values = values};
    roan_value hash;
    if (!roan_hash_find_read(call, &hash, &is_absent)) {
        if (is_absent && is_map)
            roan_out_map(out, 0);
        else if (is_absent)
            roan_out_array(out, 0);
        return;
    }
    if (roan_hash_soonest(hash) == INT64_MAX) {
        if (is_map)
            roan_out_map(out, roan_hash_count(hash));
        else
            roan_out_array(out, roan_hash_count(hash));
        roan_hash_each(hash, ROAN_HASH_ALL, send_field, &listing);
        return;
    }
    roan_out_mark mark = roan_out_open(out);
    roan_hash_each(hash, roan_hash_now(call), send_field, &listing);
    if (is_map)
        roan_out_close_map(out, mark, listing.count);
    else
        roan_out_close_array(out, mark, listing.count);
}

ROAN_COMMAND(hgetall, .arity = 2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_HASH,
             .since = "2.0.0", .complexity = "O(N) for N fields in the hash.",
             .summary = "Lists the fields of a hash with their values.", .arguments = "key:key",
             .tips = "nondeterministic_output_order")
{
    list_fields(call, true, true);
}

ROAN_COMMAND(hkeys, .arity = 2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_HASH,
             .since = "2.0.0", .complexity = "O(N) for N fields in the hash.",
             .summary = "Lists the names of the fields of a hash.", .arguments = "key:key",
             .tips = "nondeterministic_output_order")
{
    list_fields(call, true, false);
}

ROAN_COMMAND(hvals, .arity = 2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_HASH,
             .since = "2.0.0", .complexity = "O(N) for N fields in the hash.",
             .summary = "Lists the values of a hash.", .arguments = "key:key",
             .tips = "nondeterministic_output_order")
{
    list_fields(call, false, true);
}

/* ---- deleting ---- */

ROAN_COMMAND(hdel, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_HASH,
             .since = "2.0.0", .complexity = "O(N) for N fields.",
             .summary = "Removes fields of a hash, and the hash with its last field.",
             .arguments = "key:key field...", .history = "2.4.0|Takes several fields.")
{
    roan_hash_edit edit;
    uint64_t deleted = 0;
    if (!roan_hash_edit_begin(call, &edit))
        return;
    for (size_t i = 2; i < call->argc && !edit.is_new; i++) {
        roan_hash_place place;
        if (!roan_hash_edit_find(&edit, call->argv[i], &place))
            continue;
        roan_hash_remove_at(&edit.value, &place);
        deleted++;
    }
    if (deleted > 0)
        roan_hash_edit_end_removed(&edit, "hdel", deleted);
    roan_out_integer(call->out, (int64_t)deleted);
}

ROAN_COMMAND(hgetdel, .arity = -5, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_HASH, .since = "9.1.0", .complexity = "O(N) for N fields.",
             .summary = "Reads fields of a hash and removes them.",
             .arguments = "key:key FIELDS fields{numfields:integer#0 field...}")
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_hash_edit edit;
    roan_hash_fields fields;
    uint64_t deleted = 0;
    if (!roan_call_is(call, 2, "FIELDS")) {
        roan_call_syntax_error(call);
        return;
    }
    if (!roan_hash_fields_parse(call, 3, 1, ROAN_HASH_NUMFIELDS_ERROR, &fields) || !roan_hash_edit_begin(call, &edit))
        return;
    roan_out_array(call->out, fields.count);
    for (size_t i = fields.first; i < call->argc; i++) {
        roan_hash_place place;
        if (edit.is_new || !roan_hash_edit_find(&edit, call->argv[i], &place)) {
            roan_out_null(call->out);
            continue;
        }
        roan_out_bulk(call->out, roan_hash_place_value(&place, scratch));
        roan_hash_remove_at(&edit.value, &place);
        deleted++;
    }
    if (deleted > 0)
        roan_hash_edit_end_removed(&edit, "hdel", deleted);
}
