/* engine/cmd/keyspace.c: commands about whole databases: counting, listing, scanning, swapping, emptying. */
#include "engine/cmd/scan_options.h"
#include "engine/command_keys.h"
#include "engine/tracking.h"
#include "engine/watch.h"

ROAN_COMMAND(dbsize, .arity = 1, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .acl = ROAN_ACL_KEYSPACE,
             .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "1.0.0",
             .complexity = "O(1)", .summary = "Tells how many keys the selected database holds.",
             .tips = "request_policy:all_shards response_policy:agg_sum")
{
    roan_out_integer(call->out, (int64_t)roan_db_count(call->engine, call->db));
}

ROAN_COMMAND(randomkey, .arity = 1, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_X,
             .group = ROAN_GROUP_GENERIC, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Picks some key of the selected database.",
             .tips = "request_policy:all_shards response_policy:special nondeterministic_output")
{
    roan_entry *entry = roan_db_random(call);
    if (entry == NULL)
        roan_out_null(call->out);
    else
        roan_out_bulk(call->out, roan_entry_key(entry));
}

/* ---- KEYS and SCAN ---- */

typedef struct key_filter {
    roan_call *call;
    roan_scan_options options;
    size_t visited, sent;
    roan_buffer *expired; /* SCAN: entries that it met and that have expired; NULL: nobody wants to know */
} key_filter;

static void send_key(void *item, void *context)
{
    key_filter *filter = context;
    const roan_entry *entry = item;
    roan_slice key = roan_entry_key(entry);
    filter->visited++;
    if (filter->options.type >= 0 && entry->type != (unsigned)filter->options.type)
        return;
    if (!roan_scan_takes(&filter->options, key))
        return;
    if (roan_entry_is_expired(entry, filter->call->now_ms) && !filter->call->session->import_source) {
        if (filter->expired != NULL)
            roan_buffer_append(filter->expired, (const char *)&item, sizeof item);
        return;
    }
    roan_out_bulk(filter->call->out, key);
    filter->sent++;
}

/* Finding them deletes them. */
static void delete_expired(roan_call *call, roan_buffer *expired)
{
    for (size_t at = 0; at < expired->bytes; at += sizeof(roan_entry *)) {
        const roan_entry *entry;
        roan_place place;
        memcpy(&entry, expired->data + at, sizeof entry);
        ROAN_IGNORE(roan_call_find_in(call, call->db, roan_entry_key(entry), &place)); /* it is not there */
    }
    roan_buffer_done(expired);
}

ROAN_COMMAND(keys, .arity = 2, .flags = ROAN_CMD_READ, .acl = ROAN_ACL_DANGEROUS,
             .lock = ROAN_LOCK_X, .group = ROAN_GROUP_GENERIC, .since = "1.0.0",
             .complexity = "O(N) for N keys in the database.",
             .summary = "Lists all keys whose names match a pattern.",
             .arguments = "pattern:pattern",
             .tips = "request_policy:all_shards nondeterministic_output_order")
{
    roan_slice pattern = call->argv[1];
    bool takes_all = pattern.bytes == 1 && pattern.data[0] == '*';
    key_filter filter = {.call = call,
                         .options = {.type = -1, .pattern = takes_all ? roan_slice_make(NULL, 0) : pattern}};
    roan_out_mark mark = roan_out_open(call->out);
    for (unsigned i = 0; i < call->engine->stripe_count; i++)
        ROAN_IGNORE(roan_table_scan(&call->db->tables[i], 0, SIZE_MAX, send_key, &filter)); /* always the end */
    roan_out_close_array(call->out, mark, filter.sent);
}

/* A SCAN cursor: the stripe above, the position on the stripe's hash axis below. 0 is both the start and the end: the
 * position behind the last stripe. */
#define CURSOR_STRIPE_SHIFT ROAN_SCAN_BITS

/* Scans from the cursor until COUNT entries were seen; the cursor to go on from, or 0 at the end. */
static uint64_t scan(key_filter *filter)
{
    const roan_call *call = filter->call;
    size_t count = filter->options.count;
    uint64_t stripe = filter->options.cursor >> CURSOR_STRIPE_SHIFT;
    uint64_t position = filter->options.cursor << (64 - CURSOR_STRIPE_SHIFT);
    while (stripe < call->engine->stripe_count && filter->visited < count) {
        position = roan_table_scan(&call->db->tables[stripe], position, count - filter->visited, send_key, filter);
        stripe += position == 0;
    }
    if (stripe >= call->engine->stripe_count)
        return 0;
    return stripe << CURSOR_STRIPE_SHIFT | position >> (64 - CURSOR_STRIPE_SHIFT);
}

ROAN_COMMAND(scan, .arity = -2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_X,
             .group = ROAN_GROUP_GENERIC, .since = "2.8.0",
             .complexity = "O(1) for each call, O(N) for a full walk over N keys.",
             .summary = "Walks over the keys of a database, a few at each call.",
             .arguments = "cursor:integer [MATCH pattern:pattern] [COUNT count:integer] "
                          "[TYPE type^6.0.0]",
             .tips = "nondeterministic_output request_policy:special response_policy:special",
             .history = "6.0.0|Filter TYPE.")
{
    roan_buffer expired = {0};
    key_filter filter = {.call = call, .expired = &expired};
    if (!roan_scan_parse(call, ROAN_SCAN_KEYS, &filter.options))
        return;
    roan_scan_reply reply = roan_scan_reply_open(call);
    uint64_t next = scan(&filter);
    roan_scan_reply_close(call, reply, next, filter.sent);
    delete_expired(call, &expired);
}

/* ---- whole databases ---- */

ROAN_COMMAND(swapdb, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST,
             .acl = ROAN_ACL_DANGEROUS | ROAN_ACL_KEYSPACE, .lock = ROAN_LOCK_X,
             .group = ROAN_GROUP_SERVER, .since = "4.0.0",
             .complexity = "O(N) for N clients that watch or wait for keys in them.",
             .summary = "Exchanges the contents of two databases.",
             .arguments = "index1:integer index2:integer")
{
    static const char *const errors[] = {"ERR invalid first DB index", "ERR invalid second DB index"};
    roan_db *dbs[2];
    for (size_t i = 0; i < 2; i++) {
        int64_t number;
        if (!roan_call_integer_in(call, i + 1, INT32_MIN, INT32_MAX, &number, errors[i]))
            return;
        dbs[i] = roan_engine_db(call->engine, number);
    }
    if (dbs[0] == NULL || dbs[1] == NULL) {
        roan_call_error(call, "ERR DB index is out of range");
        return;
    }
    roan_watch_touch_db(call->engine, dbs[0], dbs[1], call->now_ms);
    roan_watch_touch_db(call->engine, dbs[1], dbs[0], call->now_ms);
    roan_table *tables = dbs[0]->tables;
    dbs[0]->tables = dbs[1]->tables;
    dbs[1]->tables = tables;
    roan_call_db_changed(call, dbs[0]);
    roan_call_db_changed(call, dbs[1]);
    call->dirty++;
    roan_out_ok(call->out);
}

/* SYNC or ASYNC, or what the configuration prefers; false after an error was sent. */
static bool parse_flush_mode(roan_call *call, bool *ret_is_async)
{
    *ret_is_async = call->engine->config.lazyfree_lazy_user_flush;
    if (call->argc == 1)
        return true;
    *ret_is_async = call->argc == 2 && roan_call_is(call, 1, "ASYNC");
    if (*ret_is_async || (call->argc == 2 && roan_call_is(call, 1, "SYNC")))
        return true;
    roan_call_syntax_error(call);
    return false;
}

ROAN_COMMAND(flushdb, .arity = -1, .flags = ROAN_CMD_WRITE,
             .acl = ROAN_ACL_DANGEROUS | ROAN_ACL_KEYSPACE, .lock = ROAN_LOCK_X,
             .group = ROAN_GROUP_SERVER, .since = "1.0.0",
             .complexity = "O(N) for N keys in the database.",
             .summary = "Empties the selected database.",
             .arguments = "[flush-type<ASYNC^4.0.0|SYNC^6.2.0>]",
             .tips = "request_policy:all_shards response_policy:all_succeeded",
             .history = "4.0.0|Modifier ASYNC.\n6.2.0|Modifier SYNC.")
{
    bool is_async;
    if (!parse_flush_mode(call, &is_async))
        return;
    call->dirty += roan_db_clear(call->engine, call->db, is_async);
    roan_call_db_changed(call, call->db);
    roan_tracking_flushed(call->engine, is_async);
    roan_call_force_effect(call);
    roan_out_ok(call->out);
}

ROAN_COMMAND(flushall, .arity = -1, .flags = ROAN_CMD_WRITE,
             .acl = ROAN_ACL_DANGEROUS | ROAN_ACL_KEYSPACE, .lock = ROAN_LOCK_X,
             .group = ROAN_GROUP_SERVER, .since = "1.0.0",
             .complexity = "O(N) for N keys in all databases.",
             .summary = "Empties every database.",
             .arguments = "[flush-type<ASYNC^4.0.0|SYNC^6.2.0>]",
             .tips = "request_policy:all_shards response_policy:all_succeeded",
             .history = "4.0.0|Modifier ASYNC.\n6.2.0|Modifier SYNC.")
{
    bool is_async;
    if (!parse_flush_mode(call, &is_async))
        return;
    for (int64_t i = 0; i < call->engine->config.databases; i++) {
        roan_db *db = roan_engine_db_if_used(call->engine, (unsigned)i);
        if (db == NULL)
            continue;
        call->dirty += roan_db_clear(call->engine, db, is_async);
        roan_call_db_changed(call, db);
    }
    roan_tracking_flushed(call->engine, is_async);
    roan_call_force_effect(call);
    roan_out_ok(call->out);
}
