/* engine/cmd/stream_delete.c: deleting and acknowledging entries by their ids: XDEL, XDELEX, XACK, XACKDEL.
 *
 * XDELEX and XACKDEL say what becomes of references that groups have: KEEPREF leaves them, DELREF removes them, ACKED
 * deletes only entries that no group refers to any more (see roan_stream_policy).
 */
#include "engine/cmd/stream.h"
#include "engine/command_keys.h"

#include "base/macros.h"

enum { RESULT_ABSENT = -1, RESULT_DELETED = 1, RESULT_REFERENCED = 2 };

ROAN_COMMAND(xdel, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
             .complexity = "O(log N) for each id.", .summary = "Deletes entries of a stream and counts them.",
             .arguments = "key:key id...")
{
    roan_place place;
    int64_t deleted = 0;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STREAM))
        return;
    roan_stream *stream = roan_place_stream(&place);
    if (stream != NULL) {
        const roan_stream_id *ids = roan_stream_id_arguments(call, 2, call->argc);
        if (ids == NULL)
            return;
        for (size_t i = 0; i < call->argc - 2; i++)
            deleted += roan_stream_delete(stream, ids[i]);
    }
    if (deleted > 0) {
        roan_call_changed(call, &place, ROAN_EVENT_STREAM, "xdel");
        call->dirty += (uint64_t)deleted - 1;
    }
    roan_out_integer(call->out, deleted);
}

ROAN_COMMAND(xack, .arity = -4, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
             .complexity = "O(log N) for each id.",
             .summary = "Takes entries off the pending ones of a consumer group and counts them.",
             .arguments = "key:key group id...")
{
    roan_place place;
    int64_t acknowledged = 0;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STREAM))
        return;
    const roan_stream *stream = roan_place_stream(&place);
    roan_stream_group *group = stream == NULL ? NULL : roan_stream_group_find(stream, call->argv[2]);
    if (group != NULL) {
        const roan_stream_id *ids = roan_stream_id_arguments(call, 3, call->argc);
        if (ids == NULL)
            return;
        for (size_t i = 0; i < call->argc - 3; i++)
            if (roan_stream_group_forget(group, ids[i])) {
                roan_stream_changed_quietly(call);
                acknowledged++;
            }
    }
    roan_out_integer(call->out, acknowledged);
}

/* ---- with a policy ---- */

typedef struct id_block {
    roan_stream_policy policy;
    const roan_stream_id *ids;
    size_t count;
} id_block;

/* IDS numids id ... at argv[*index], which is moved to its last word. */
static bool parse_ids(roan_call *call, size_t *index, size_t *ret_first, size_t *ret_count)
{
    int64_t count;
    if (!roan_call_integer_in(call, *index + 1, 1, INT64_MAX, &count, "ERR Number of IDs must be a positive integer"))
        return false;
    if ((uint64_t)count > call->argc - *index - 2) {
        roan_call_error(call, "ERR The `numids` parameter must match the number of arguments");
        return false;
    }
    *ret_first = *index + 2;
    *ret_count = (size_t)count;
    *index += 1 + (size_t)count;
    return true;
}

/* A policy and the ids, in any order, from argv[first] on; false after an error was sent. */
static bool parse_block(roan_call *call, size_t first, id_block *block)
{
    bool has_policy = false;
    size_t ids_at = 0;
    *block = (id_block){0};
    for (size_t i = first; i < call->argc; i++) {
        if (ids_at == 0 && i + 1 < call->argc && roan_call_is(call, i, "ids")) {
            if (!parse_ids(call, &i, &ids_at, &block->count))
                return false;
        } else if (!has_policy && roan_stream_policy_argument(call, i, &block->policy)) {
            has_policy = true;
        } else {
            roan_call_syntax_error(call);
            return false;
        }
    }
    if (ids_at == 0) {
        roan_call_syntax_error(call);
        return false;
    }
    block->ids = roan_stream_id_arguments(call, ids_at, ids_at + block->count);
    return block->ids != NULL;
}

static void reply_absent(roan_call *call, size_t count)
{
    roan_out_array(call->out, count);
    for (size_t i = 0; i < count; i++)
        roan_out_integer(call->out, RESULT_ABSENT);
}

/* Deletes an entry as the policy says; counts the entry and the references that went. */
static int delete_entry(roan_stream *stream, roan_stream_policy policy, roan_stream_id id, uint64_t *deleted,
                        uint64_t *dropped)
{
    if (policy == ROAN_STREAM_ACKED && roan_stream_contains(stream, id) && roan_stream_is_referenced(stream, id))
        return RESULT_REFERENCED;
    if (policy == ROAN_STREAM_DELREF)
        *dropped += roan_stream_drop_references(stream, id);
    if (!roan_stream_delete(stream, id))
        return RESULT_ABSENT;
    ++*deleted;
    return RESULT_DELETED;
}

/* What was deleted changes the key; references that went are counted only. */
static void report(roan_call *call, const roan_place *place, uint64_t deleted, uint64_t dropped)
{
    if (deleted > 0) {
        roan_call_changed(call, place, ROAN_EVENT_STREAM, "xdel");
        call->dirty += deleted - 1;
    }
    call->dirty += dropped;
}

ROAN_COMMAND(xdelex, .arity = -5, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_STREAM, .since = "8.2.0",
             .complexity = "O(log N) for each id and group.",
             .summary = "Deletes entries of a stream, with a say on what consumer groups know of them.",
             .arguments = "key:key [condition<KEEPREF|DELREF|ACKED>] IDS ids{numids:integer id...}")
{
    id_block block;
    roan_place place;
    uint64_t deleted = 0, dropped = 0;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STREAM) || !parse_block(call, 2, &block))
        return;
    roan_stream *stream = roan_place_stream(&place);
    if (stream == NULL) {
        reply_absent(call, block.count);
        return;
    }
    roan_out_array(call->out, block.count);
    for (size_t i = 0; i < block.count; i++)
        roan_out_integer(call->out, delete_entry(stream, block.policy, block.ids[i], &deleted, &dropped));
    report(call, &place, deleted, dropped);
}

ROAN_COMMAND(xackdel, .arity = -6, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_STREAM,
             .since = "8.2.0", .complexity = "O(log N) for each id and group.",
             .summary = "Acknowledges entries for a consumer group and deletes them from the stream.",
             .arguments = "key:key group [condition<KEEPREF|DELREF|ACKED>] IDS ids{numids:integer id...}")
{
    id_block block;
    roan_place place;
    uint64_t deleted = 0, dropped = 0;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STREAM) || !parse_block(call, 3, &block))
        return;
    roan_stream *stream = roan_place_stream(&place);
    roan_stream_group *group = stream == NULL ? NULL : roan_stream_group_find(stream, call->argv[2]);
    if (group == NULL) {
        reply_absent(call, block.count);
        return;
    }
    roan_out_array(call->out, block.count);
    for (size_t i = 0; i < block.count; i++) {
        int result = RESULT_ABSENT;
        if (roan_stream_group_forget(group, block.ids[i])) {
            dropped++;
            result = delete_entry(stream, block.policy, block.ids[i], &deleted, &dropped);
            result = result == RESULT_ABSENT ? RESULT_DELETED : result; /* it had gone before */
        }
        roan_out_integer(call->out, result);
    }
    report(call, &place, deleted, dropped);
}
