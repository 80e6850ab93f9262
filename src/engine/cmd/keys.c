/* engine/cmd/keys.c: commands about keys whatever they hold: deleting, counting, naming, copying, moving. */
#include "engine/call.h"
#include "engine/command_keys.h"

static void delete_keys(roan_call *call, bool is_lazy)
{
    int64_t deleted = 0;
    for (size_t i = 1; i < call->argc; i++) {
        roan_place place;
        roan_call_read_ahead(call, i - 1, 1, 1);
        if (!roan_call_find_quiet(call, i, &place))
            continue;
        roan_place_delete(call, &place, is_lazy);
        roan_call_changed(call, &place, ROAN_EVENT_GENERIC, "del");
        deleted++;
    }
    roan_out_integer(call->out, deleted);
}

ROAN_COMMAND(del, .arity = -2, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_RM | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_GENERIC, .since = "1.0.0",
             .complexity = "O(N) for N keys, plus O(M) for each value of M elements.",
             .summary = "Removes keys with their values.", .arguments = "key:key...",
             .tips = "request_policy:multi_shard response_policy:agg_sum")
{
    delete_keys(call, call->engine->config.lazyfree_lazy_user_del);
}

ROAN_COMMAND(unlink, .arity = -2, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_RM | ROAN_KEY_DELETE)},
             .group = ROAN_GROUP_GENERIC, .since = "4.0.0",
             .complexity = "O(1) for each key; freeing M elements happens elsewhere.",
             .summary = "Removes keys at once and frees large values in the background.",
             .arguments = "key:key...",
             .tips = "request_policy:multi_shard response_policy:agg_sum")
{
    delete_keys(call, true);
}

ROAN_COMMAND(exists, .arity = -2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_RO)}, .group = ROAN_GROUP_GENERIC,
             .since = "1.0.0", .complexity = "O(N) for N names.",
             .summary = "Counts how many of the named keys exist.", .arguments = "key:key...",
             .tips = "request_policy:multi_shard response_policy:agg_sum",
             .history = "3.0.3|Takes several keys.")
{
    int64_t count = 0;
    roan_place place;
    for (size_t i = 1; i < call->argc; i++)
        count += roan_call_find_read_untouched(call, i, &place);
    roan_out_integer(call->out, count);
}

ROAN_COMMAND(touch, .arity = -2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_RO)}, .group = ROAN_GROUP_GENERIC,
             .since = "3.2.1", .complexity = "O(N) for N keys.",
             .summary = "Marks keys as used just now and counts those that exist.",
             .arguments = "key:key...",
             .tips = "request_policy:multi_shard response_policy:agg_sum")
{
    int64_t count = 0;
    roan_place place;
    for (size_t i = 1; i < call->argc; i++)
        count += roan_call_find_read(call, i, &place);
    roan_out_integer(call->out, count);
}

ROAN_COMMAND(type, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO)}, .group = ROAN_GROUP_GENERIC, .since = "1.0.0",
             .complexity = "O(1)", .summary = "Names the type of the value a key holds.",
             .arguments = "key:key")
{
    roan_place place;
    if (roan_call_find_read_untouched(call, 1, &place))
        roan_out_status(call->out, roan_type_name(place.entry->type));
    else
        roan_out_status(call->out, "none");
}

/* ---- renaming ---- */

/* A key that is replaced by another goes first: the other one is a new key then, and told as such. */
static void make_room(roan_call *call, roan_place *target, bool exists)
{
    if (exists)
        roan_place_delete(call, target, call->engine->config.lazyfree_lazy_server_del);
}

static void rename_key(roan_call *call, bool only_if_free)
{
    roan_place source, target;
    bool is_same = roan_slice_equal(call->argv[1], call->argv[2]);
    if (!roan_call_find_write(call, 1, &source)) {
        roan_call_error(call, "ERR no such key");
        return;
    }
    if (is_same || (only_if_free && roan_call_find_write(call, 2, &target))) {
        if (only_if_free)
            roan_out_integer(call->out, 0);
        else
            roan_out_ok(call->out);
        return;
    }
    int64_t expiry_ms = roan_place_expiry(&source);
    roan_entry *entry = roan_place_take(call, &source);
    uint32_t clock = entry->clock;
    make_room(call, &target, roan_call_find_write(call, 2, &target));
    entry = roan_entry_move(roan_table_arena(target.table), source.table->arena, entry, call->argv[2],
                            expiry_ms != ROAN_EXPIRY_NONE, expiry_ms);
    roan_place_put(call, &target, entry);
    entry->clock = clock & 0xffffff;
    roan_call_changed(call, &source, ROAN_EVENT_GENERIC, "rename_from");
    roan_call_changed_event(call, &target, ROAN_EVENT_GENERIC, "rename_to");
    if (only_if_free)
        roan_out_integer(call->out, 1);
    else
        roan_out_ok(call->out);
}

ROAN_COMMAND(rename, .arity = 3, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE),
                      ROAN_KEY(2, ROAN_KEY_OW | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_GENERIC, .since = "1.0.0",
             .complexity = "O(1), plus O(M) when a replaced value of M elements is freed.",
             .summary = "Gives a key another name, replacing what was there.",
             .arguments = "key:key newkey:key")
{
    rename_key(call, false);
}

ROAN_COMMAND(renamenx, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE),
                      ROAN_KEY(2, ROAN_KEY_OW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_GENERIC, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Gives a key another name if that name is free.",
             .arguments = "key:key newkey:key",
             .history = "3.2.0|Equal names are no longer an error.")
{
    rename_key(call, true);
}

/* ---- between databases ---- */

/* The database argv[index] names; NULL after an error was sent. */
static roan_db *parse_db(roan_call *call, size_t index)
{
    int64_t number;
    if (!roan_call_integer_in(call, index, INT32_MIN, INT32_MAX, &number, NULL))
        return NULL;
    roan_db *db = roan_engine_db(call->engine, number);
    if (db == NULL)
        roan_call_error(call, "ERR DB index is out of range");
    return db;
}

ROAN_COMMAND(move, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_GENERIC, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Moves a key to another database.", .arguments = "key:key db:integer")
{
    roan_place source, target;
    roan_db *db = parse_db(call, 2);
    if (db == NULL)
        return;
    if (db == call->db) {
        roan_call_error(call, "ERR source and destination objects are the same");
        return;
    }
    if (!roan_call_find_write(call, 1, &source) || roan_call_find_in(call, db, call->argv[1], &target)) {
        roan_out_integer(call->out, 0);
        return;
    }
    int64_t expiry_ms = roan_place_expiry(&source);
    roan_entry *entry = roan_place_take(call, &source);
    uint32_t clock = entry->clock;
    entry = roan_entry_move(roan_table_arena(target.table), source.table->arena, entry, call->argv[1],
                            expiry_ms != ROAN_EXPIRY_NONE, expiry_ms);
    roan_place_put(call, &target, entry);
    entry->clock = clock & 0xffffff;
    roan_call_changed(call, &source, ROAN_EVENT_GENERIC, "move_from");
    roan_call_changed_event(call, &target, ROAN_EVENT_GENERIC, "move_to");
    roan_out_integer(call->out, 1);
}

typedef struct copy_options {
    roan_db *db;
    bool replace;
} copy_options;

static bool parse_copy_options(roan_call *call, copy_options *options)
{
    *options = (copy_options){.db = call->db};
    for (size_t at = 3; at < call->argc; at++) {
        if (roan_call_is(call, at, "REPLACE")) {
            options->replace = true;
        } else if (roan_call_is(call, at, "DB") && at + 1 < call->argc) {
            options->db = parse_db(call, ++at);
            if (options->db == NULL)
                return false;
        } else {
            roan_call_syntax_error(call);
            return false;
        }
    }
    return true;
}

ROAN_COMMAND(copy, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS),
                      ROAN_KEY(2, ROAN_KEY_OW | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_GENERIC, .since = "6.2.0",
             .complexity = "O(1) for a string, O(N) for a value of N elements.",
             .summary = "Duplicates a key under another name.",
             .arguments = "source:key destination:key [DB destination-db:integer] [REPLACE]")
{
    copy_options options;
    roan_place source, target;
    if (!parse_copy_options(call, &options))
        return;
    if (options.db == call->db && roan_slice_equal(call->argv[1], call->argv[2])) {
        roan_call_error(call, "ERR source and destination objects are the same");
        return;
    }
    bool is_there = roan_call_find_read(call, 1, &source);
    roan_entry *entry = source.entry; /* stays where it is when the target's place is looked up */
    if (!is_there || (roan_call_find_in(call, options.db, call->argv[2], &target) && !options.replace)) {
        roan_out_integer(call->out, 0);
        return;
    }
    make_room(call, &target, target.entry != NULL);
    bool expires = entry->flags & ROAN_ENTRY_EXPIRES;
    roan_entry *copy = roan_entry_copy(roan_table_arena(target.table), entry, call->argv[2], expires,
                                       expires ? roan_entry_expiry(entry) : 0);
    roan_place_put(call, &target, copy);
    roan_call_changed(call, &target, ROAN_EVENT_GENERIC, "copy_to");
    roan_out_integer(call->out, 1);
}
