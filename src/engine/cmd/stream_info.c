/* engine/cmd/stream_info.c: XINFO: what there is to know about streams, groups and consumers. */
#include "engine/cmd/stream.h"
#include "engine/command_keys.h"

#include "base/macros.h"

#define FULL_COUNT_DEFAULT 10

ROAN_COMMAND(xinfo, .arity = -2, .acl = ROAN_ACL_NO_GROUP, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_STREAM,
             .since = "5.0.0", .complexity = "Depends on the subcommand.",
             .summary = "Groups the commands that look inside a stream.")
{
    roan_call_unknown_subcommand(call);
}

/* The stream in argv[2]; NULL after an error was sent. */
static roan_stream *find_stream(roan_call *call)
{
    roan_place place;
    if (!roan_call_find_read(call, 2, &place)) {
        roan_call_error(call, "ERR no such key");
        return NULL;
    }
    return roan_call_is_type(call, &place, ROAN_TYPE_STREAM) ? roan_place_stream(&place) : NULL;
}

static void reply_count(roan_out *out, const char *name, uint64_t count)
{
    roan_out_bulk_text(out, name);
    roan_out_integer(out, (int64_t)count);
}

static void reply_named_id(roan_out *out, const char *name, roan_stream_id id)
{
    roan_out_bulk_text(out, name);
    roan_stream_reply_id(out, id);
}

/* last-delivered-id, entries-read, lag: in different company, but always in this order. */
static void reply_progress(roan_out *out, const roan_stream *stream, const roan_stream_group *group)
{
    int64_t lag;
    reply_named_id(out, "last-delivered-id", group->last_id);
    roan_out_bulk_text(out, "entries-read");
    if (group->entries_read == ROAN_STREAM_READ_UNKNOWN)
        roan_out_null(out);
    else
        roan_out_integer(out, group->entries_read);
    roan_out_bulk_text(out, "lag");
    if (roan_stream_group_lag(stream, group, &lag))
        roan_out_integer(out, lag);
    else
        roan_out_null(out);
}

/* ---- XINFO STREAM ---- */

static void reply_edge(roan_out *out, const char *name, const roan_stream *stream, bool is_last)
{
    roan_stream_iterator iterator;
    roan_stream_entry entry;
    roan_out_bulk_text(out, name);
    roan_stream_iterate(&iterator, stream, ROAN_STREAM_ID_MIN, ROAN_STREAM_ID_MAX, is_last);
    if (roan_stream_next(&iterator, &entry))
        roan_stream_reply_entry(out, &entry);
    else
        roan_out_null(out);
}

/* "pending" of a group or a consumer: at most `count` (0: all) of the ids in the tree. */
static void reply_pending(roan_out *out, const roan_stream_group *group, const roan_id_tree *tree, uint64_t count)
{
    bool is_group = tree == &group->pending;
    reply_count(out, "pel-count", tree->count);
    roan_out_bulk_text(out, "pending");
    uint64_t sent = count == 0 ? tree->count : ROAN_MIN(count, tree->count);
    roan_out_array(out, sent);
    roan_id_cursor at = roan_id_tree_first(tree);
    for (uint64_t i = 0; i < sent; i++, roan_id_cursor_next(&at)) {
        roan_stream_id id = roan_id_cursor_id(&at);
        const roan_stream_pending *pending = roan_stream_group_pending(group, id);
        roan_out_array(out, is_group ? 4 : 3);
        roan_stream_reply_id(out, id);
        if (is_group)
            roan_out_bulk(out, pending->consumer->name);
        roan_out_integer(out, pending->delivered_ms);
        roan_out_integer(out, (int64_t)pending->deliveries);
    }
}

static void reply_full_group(roan_out *out, const roan_stream *stream, const roan_stream_group *group, uint64_t count)
{
    roan_out_map(out, 7);
    roan_out_bulk_text(out, "name");
    roan_out_bulk(out, group->name);
    reply_progress(out, stream, group);
    reply_pending(out, group, &group->pending, count);
    roan_out_bulk_text(out, "consumers");
    roan_out_array(out, group->consumers.count);
    for (uint32_t i = 0; i < group->consumers.count; i++) {
        const roan_stream_consumer *consumer = group->consumers.items[i];
        roan_out_map(out, 5);
        roan_out_bulk_text(out, "name");
        roan_out_bulk(out, consumer->name);
        roan_out_bulk_text(out, "seen-time");
        roan_out_integer(out, consumer->seen_ms);
        roan_out_bulk_text(out, "active-time");
        roan_out_integer(out, consumer->active_ms);
        reply_pending(out, group, &consumer->pending, count);
    }
}

static void reply_full(roan_out *out, const roan_stream *stream, uint64_t count)
{
    roan_stream_iterator iterator;
    roan_out_bulk_text(out, "entries");
    roan_stream_iterate(&iterator, stream, ROAN_STREAM_ID_MIN, ROAN_STREAM_ID_MAX, false);
    roan_stream_reply_entries(out, &iterator, count);
    roan_out_bulk_text(out, "groups");
    roan_out_array(out, stream->groups.count);
    for (uint32_t i = 0; i < stream->groups.count; i++)
        reply_full_group(out, stream, stream->groups.items[i], count);
}

/* FULL, FULL COUNT n, or nothing; false after an error was sent. */
static bool parse_full(roan_call *call, bool *ret_is_full, uint64_t *ret_count)
{
    int64_t count = FULL_COUNT_DEFAULT;
    *ret_is_full = call->argc > 3;
    bool is_known = call->argc == 3 || ((call->argc == 4 || call->argc == 6) && roan_call_is(call, 3, "full") &&
                                        (call->argc == 4 || roan_call_is(call, 4, "count")));
    if (!is_known) {
        roan_stream_subcommand_error(call);
        return false;
    }
    if (call->argc == 6 && !roan_call_integer(call, 5, &count, NULL))
        return false;
    *ret_count = (uint64_t)(count < 0 ? FULL_COUNT_DEFAULT : count);
    return true;
}

ROAN_SUBCOMMAND(xinfo, stream, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
                .complexity = "O(1), or O(N) for N entries shown.", .summary = "Describes a stream.",
                .arguments = "key:key [full-block{FULL [COUNT count:integer]}]",
                .history =
                    "6.0.0|Option FULL.\n7.0.0|Fields max-deleted-entry-id, entries-added, recorded-first-entry-id, "
                    "entries-read and lag.\n7.2.0|Field active-time; seen-time means the last attempt.")
{
    bool is_full;
    uint64_t count;
    roan_out *out = call->out;
    const roan_stream *stream = find_stream(call);
    if (stream == NULL || !parse_full(call, &is_full, &count))
        return;
    roan_out_map(out, is_full ? 9 : 10);
    reply_count(out, "length", stream->length);
    reply_count(out, "radix-tree-keys", stream->nodes.count);
    reply_count(out, "radix-tree-nodes", stream->nodes.count + stream->nodes.leaf_count + stream->nodes.inner_count);
    reply_named_id(out, "last-generated-id", stream->last_id);
    reply_named_id(out, "max-deleted-entry-id", stream->max_deleted_id);
    reply_count(out, "entries-added", stream->entries_added);
    reply_named_id(out, "recorded-first-entry-id", stream->first_id);
    if (is_full) {
        reply_full(out, stream, count);
        return;
    }
    reply_count(out, "groups", stream->groups.count);
    reply_edge(out, "first-entry", stream, false);
    reply_edge(out, "last-entry", stream, true);
}

/* ---- groups and consumers ---- */

ROAN_SUBCOMMAND(xinfo, groups, .arity = 3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
                .complexity = "O(1) for each group.", .summary = "Lists the consumer groups of a stream.",
                .arguments = "key:key", .history = "7.0.0|Fields entries-read and lag.")
{
    roan_out *out = call->out;
    const roan_stream *stream = find_stream(call);
    if (stream == NULL)
        return;
    roan_out_array(out, stream->groups.count);
    for (uint32_t i = 0; i < stream->groups.count; i++) {
        const roan_stream_group *group = stream->groups.items[i];
        roan_out_map(out, 6);
        roan_out_bulk_text(out, "name");
        roan_out_bulk(out, group->name);
        reply_count(out, "consumers", group->consumers.count);
        reply_count(out, "pending", group->pending.count);
        reply_progress(out, stream, group);
    }
}

ROAN_SUBCOMMAND(xinfo, consumers, .arity = 4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
                .complexity = "O(1) for each consumer.", .summary = "Lists the consumers of a group.",
                .arguments = "key:key group", .tips = "nondeterministic_output",
                .history = "7.2.0|Field inactive; idle means the time since the last attempt.")
{
    roan_out *out = call->out;
    const roan_stream *stream = find_stream(call);
    if (stream == NULL)
        return;
    const roan_stream_group *group = roan_stream_group_find(stream, call->argv[3]);
    if (group == NULL) {
        roan_stream_no_group_for_key(call, call->argv[3], call->argv[2]);
        return;
    }
    roan_out_array(out, group->consumers.count);
    for (uint32_t i = 0; i < group->consumers.count; i++) {
        const roan_stream_consumer *consumer = group->consumers.items[i];
        roan_out_map(out, 4);
        roan_out_bulk_text(out, "name");
        roan_out_bulk(out, consumer->name);
        reply_count(out, "pending", consumer->pending.count);
        roan_out_bulk_text(out, "idle");
        roan_out_integer(out, ROAN_MAX(call->now_ms - consumer->seen_ms, 0));
        roan_out_bulk_text(out, "inactive");
        roan_out_integer(out, consumer->active_ms < 0 ? -1 : call->now_ms - consumer->active_ms);
    }
}

ROAN_SUBCOMMAND(xinfo, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_STREAM, .since = "5.0.0", .complexity = "O(1)",
                .summary = "Lists the subcommands of XINFO.")
{
    static const char *const lines[] = {
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
        NULL,
    };
    roan_call_help(call, lines);
}
