/* engine/cmd/stream_group.c: XGROUP: making, moving and removing consumer groups and their consumers.
 *
 * The reference has one function for all subcommands; the order of its checks (options, key, group, number of words) is
 * kept, since errors show it.
 */
#include "engine/blocking.h"
#include "engine/cmd/stream.h"
#include "engine/command_keys.h"
#include "engine/expire.h"

ROAN_COMMAND(xgroup, .arity = -2, .acl = ROAN_ACL_NO_GROUP, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_STREAM,
             .since = "5.0.0", .complexity = "Depends on the subcommand.",
             .summary = "Groups the commands about consumer groups.")
{
    roan_call_unknown_subcommand(call);
}

typedef struct group_options {
    bool makes_stream;
    int64_t entries_read;
} group_options;

/* Options of CREATE and SETID behind the id; false after an error was sent. */
static bool parse_options(roan_call *call, bool is_create, group_options *options)
{
    *options = (group_options){.entries_read = ROAN_STREAM_READ_UNKNOWN};
    for (size_t i = 5; i < call->argc; i++) {
        if (is_create && roan_call_is(call, i, "mkstream")) {
            options->makes_stream = true;
        } else if (roan_call_is(call, i, "entriesread") && i + 1 < call->argc) {
            if (!roan_call_integer(call, ++i, &options->entries_read, NULL))
                return false;
            if (options->entries_read < 0 && options->entries_read != ROAN_STREAM_READ_UNKNOWN) {
                roan_call_error(call, "ERR value for ENTRIESREAD must be positive or -1");
                return false;
            }
        } else {
            roan_stream_subcommand_error(call);
            return false;
        }
    }
    return true;
}

/* The stream in argv[2]; false after an error was sent. *ret_stream is NULL only when `may_be_absent`. */
static bool find_stream(roan_call *call, bool may_be_absent, roan_place *place, roan_stream **ret_stream)
{
    roan_call_find_write(call, 2, place);
    if (!roan_call_is_type(call, place, ROAN_TYPE_STREAM))
        return false;
    *ret_stream = roan_place_stream(place);
    if (*ret_stream != NULL || may_be_absent)
        return true;
    roan_call_error(call,
                    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use "
                    "the MKSTREAM option to create an empty stream automatically.");
    return false;
}

/* The group in argv[3]; NULL after an error was sent. */
static roan_stream_group *find_group(roan_call *call, roan_place *place)
{
    roan_stream *stream;
    if (!find_stream(call, false, place, &stream))
        return NULL;
    roan_stream_group *group = roan_stream_group_find(stream, call->argv[3]);
    if (group == NULL)
        roan_stream_no_group_for_key(call, call->argv[3], call->argv[2]);
    return group;
}

static bool is_last_id(const roan_call *call, size_t index)
{
    return call->argv[index].bytes == 1 && call->argv[index].data[0] == '$';
}

ROAN_SUBCOMMAND(xgroup, create, .arity = -5, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RW | ROAN_KEY_INSERT)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
                .complexity = "O(1)", .summary = "Makes a consumer group, and the stream if asked.",
                .arguments = "key:key group id-selector<id|$@new-id> [MKSTREAM] "
                             "[ENTRIESREAD entriesread:integer=entries-read]",
                .history = "7.0.0|Option ENTRIESREAD.")
{
    group_options options;
    roan_place place;
    roan_stream *stream;
    roan_stream_id id = ROAN_STREAM_ID_MIN;
    if (!parse_options(call, true, &options) || !find_stream(call, options.makes_stream, &place, &stream))
        return;
    if (call->argc > 8) {
        roan_stream_subcommand_error(call);
        return;
    }
    if (!is_last_id(call, 4)) {
        if (!roan_stream_id_argument(call, 4, &id))
            return;
    } else if (stream != NULL) {
        id = stream->last_id;
    }
    if (stream != NULL && roan_stream_group_find(stream, call->argv[3]) != NULL) {
        roan_call_error(call, "BUSYGROUP Consumer Group name already exists");
        return;
    }
    bool is_new = stream == NULL;
    if (is_new) {
        roan_value value = roan_stream_create();
        stream = roan_stream_of(value);
        roan_place_create(call, &place, ROAN_TYPE_STREAM, value, ROAN_EXPIRY_NONE);
    }
    roan_stream_groups_add(&stream->groups, roan_stream_group_create(call->argv[3], id, options.entries_read));
    if (is_new)
        roan_call_changed(call, &place, ROAN_EVENT_STREAM, "xgroup-create");
    else
        roan_stream_event(call, &place, "xgroup-create");
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(xgroup, setid, .arity = -5, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
                .complexity = "O(1)", .summary = "Says up to which id a consumer group has read.",
                .arguments = "key:key group id-selector<id|$@new-id> [ENTRIESREAD entriesread:integer=entries-read]",
                .history = "7.0.0|Option ENTRIESREAD.")
{
    group_options options;
    roan_place place;
    if (!parse_options(call, false, &options))
        return;
    roan_stream_group *group = find_group(call, &place);
    if (group == NULL)
        return;
    if (call->argc != 5 && call->argc != 7) {
        roan_stream_subcommand_error(call);
        return;
    }
    roan_stream_id id = roan_place_stream(&place)->last_id;
    if (!is_last_id(call, 4) && !roan_stream_id_or_edge(call, 4, 0, &id))
        return;
    group->last_id = id;
    group->entries_read = options.entries_read;
    roan_stream_event(call, &place, "xgroup-setid");
    roan_out_ok(call->out);
}

/* A group (or a consumer, as a group of its own) with much that is pending is freed in the background, as the only thing
 * in a stream that nobody sees. The place's table is that of the stream it was in. */
static void free_group(roan_call *call, const roan_place *place, roan_stream_group *group)
{
    roan_value shell = roan_stream_create();
    roan_stream_groups_add(&roan_stream_of(shell)->groups, group);
    roan_entry *entry =
        roan_entry_create_pointer(NULL, ROAN_LITERAL(""), ROAN_TYPE_STREAM, shell.encoding, shell.data, false, 0);
    roan_keyspace_free_entry(call->engine, place->table, entry, true);
}

ROAN_SUBCOMMAND(xgroup, destroy, .arity = 4, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
                .complexity = "O(N) for N pending entries.", .summary = "Removes a consumer group with all it knows.",
                .arguments = "key:key group")
{
    roan_place place;
    roan_stream *stream;
    if (!find_stream(call, false, &place, &stream))
        return;
    roan_stream_group *group = roan_stream_group_find(stream, call->argv[3]);
    if (group != NULL) {
        roan_stream_groups_take(&stream->groups, group);
        free_group(call, &place, group);
        roan_stream_event(call, &place, "xgroup-destroy");
        if (roan_blocking_is_used(call->engine)) /* who waits with this group is told that it is gone */
            roan_blocking_key_changed(call->lane, place.db->number, place.stripe, place.name);
    }
    roan_out_integer(call->out, group != NULL);
}

ROAN_SUBCOMMAND(xgroup, createconsumer, .arity = 5, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RW | ROAN_KEY_INSERT)}, .group = ROAN_GROUP_STREAM, .since = "6.2.0",
                .complexity = "O(1)", .summary = "Makes a consumer in a group.", .arguments = "key:key group consumer")
{
    roan_place place;
    bool is_new;
    roan_stream_group *group = find_group(call, &place);
    if (group == NULL)
        return;
    roan_stream_need_consumer(call, &place, group, call->argv[4], &is_new);
    roan_out_integer(call->out, is_new);
}

ROAN_SUBCOMMAND(xgroup, delconsumer, .arity = 5, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
                .keys = {ROAN_KEY(2, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
                .complexity = "O(N log P) for its N of P pending entries.",
                .summary = "Removes a consumer of a group and forgets what it has not acknowledged.",
                .arguments = "key:key group consumer")
{
    roan_place place;
    int64_t pending = 0;
    roan_stream_group *group = find_group(call, &place);
    if (group == NULL)
        return;
    roan_stream_consumer *consumer = roan_stream_group_consumer(group, call->argv[4]);
    if (consumer != NULL) {
        pending = (int64_t)consumer->pending.count;
        free_group(call, &place, roan_stream_group_take_consumer(group, consumer));
        roan_stream_event(call, &place, "xgroup-delconsumer");
    }
    roan_out_integer(call->out, pending);
}

ROAN_SUBCOMMAND(xgroup, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_STREAM, .since = "5.0.0", .complexity = "O(1)",
                .summary = "Lists the subcommands of XGROUP.")
{
    static const char *const lines[] = {
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
        "    * ENTRIESREAD entries_read",
        "      Set the group's entries_read counter (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
        "DESTROY <key> <groupname>",
        "    Remove the specified group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the current group ID and entries_read counter.",
        NULL,
    };
    roan_call_help(call, lines);
}
