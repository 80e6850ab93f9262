/* engine/cmd/set.c: single members of sets: SADD, SREM, SMOVE, SISMEMBER, SMISMEMBER, SCARD, SMEMBERS, SSCAN.
 *
 * A set that becomes empty takes its key along. Adding may change the form of a set even when nothing was new (see
 * types/set.h), so the value is stored back in any case.
 */
#include "engine/cmd/set.h"

#include "base/macros.h"
#include "engine/cmd/scan_options.h"

bool roan_set_send(void *out, const roan_packed *items, size_t count)
{
    char scratch[ROAN_I64_TEXT_MAX];
    for (size_t i = 0; i < count; i++)
        roan_out_bulk(out, roan_packed_text(&items[i], scratch));
    return true;
}

void roan_set_delete_empty(roan_call *call, roan_place *place)
{
    roan_place_delete(call, place, call->engine->config.lazyfree_lazy_server_del);
    roan_call_changed_event(call, place, ROAN_EVENT_GENERIC, "del");
}

/* Adds members to the set at the place, which may have to be created; returns how many were new. */
static size_t add_members(roan_call *call, roan_place *place, const roan_slice *members, size_t count)
{
    const roan_type_context *types = &call->engine->types;
    size_t added;
    if (place->entry == NULL) {
        roan_value set = roan_set_create_for(types, members[0], count);
        added = roan_set_add_many(&set, types, members, count);
        roan_place_create(call, place, ROAN_TYPE_SET, set, ROAN_EXPIRY_NONE);
    } else {
        roan_value set = roan_place_value(place);
        roan_set_expect(&set, types, count);
        added = roan_set_add_many(&set, types, members, count);
        roan_place_store(call, place, set);
    }
    if (added == 0)
        return 0;
    roan_call_changed(call, place, ROAN_EVENT_SET, "sadd");
    call->dirty += added - 1;
    return added;
}

/* Takes members out of the set at the place, and the key when none is left; returns how many there were. */
static size_t remove_members(roan_call *call, roan_place *place, const roan_slice *members, size_t count)
{
    roan_value set = roan_place_value(place);
    size_t removed = roan_set_remove_many(&set, members, count);
    if (removed == 0)
        return 0;
    roan_place_store(call, place, set);
    roan_call_changed(call, place, ROAN_EVENT_SET, "srem");
    call->dirty += removed - 1;
    if (roan_set_count(set) == 0)
        roan_set_delete_empty(call, place);
    return removed;
}

ROAN_COMMAND(sadd, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_INSERT)}, .group = ROAN_GROUP_SET, .since = "1.0.0",
             .complexity = "O(1) for each member.", .summary = "Adds members to a set, which is created if need be.",
             .arguments = "key:key member...", .history = "2.4.0|Several members at once.")
{
    roan_place place;
    roan_call_find_write(call, 1, &place);
    if (roan_call_is_type(call, &place, ROAN_TYPE_SET))
        roan_out_integer(call->out, (int64_t)add_members(call, &place, call->argv + 2, call->argc - 2));
}

ROAN_COMMAND(srem, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_SET, .since = "1.0.0",
             .complexity = "O(1) for each member.",
             .summary = "Takes members out of a set; without members the key goes, too.",
             .arguments = "key:key member...", .history = "2.4.0|Several members at once.")
{
    roan_place place;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_SET))
        return;
    size_t removed = place.entry == NULL ? 0 : remove_members(call, &place, call->argv + 2, call->argc - 2);
    roan_out_integer(call->out, (int64_t)removed);
}

ROAN_COMMAND(smove, .arity = 4, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE),
                      ROAN_KEY(2, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_SET, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Moves a member from one set to another.",
             .arguments = "source:key destination:key member")
{
    roan_place source, target;
    roan_call_find_write(call, 2, &target); /* first, as an expired one goes and would move the other */
    roan_call_find_write(call, 1, &source);
    if (source.entry == NULL) {
        roan_out_integer(call->out, 0);
        return;
    }
    if (!roan_call_is_type(call, &source, ROAN_TYPE_SET) || !roan_call_is_type(call, &target, ROAN_TYPE_SET))
        return;
    if (source.entry == target.entry) {
        roan_out_integer(call->out, roan_set_contains(roan_place_value(&source), call->argv[3]));
        return;
    }
    bool was_there = remove_members(call, &source, &call->argv[3], 1) > 0;
    if (was_there) {
        roan_call_find_quiet(call, 2, &target); /* the source may be gone */
        add_members(call, &target, &call->argv[3], 1);
    }
    roan_out_integer(call->out, was_there);
}

ROAN_COMMAND(sismember, .arity = 3, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO)}, .group = ROAN_GROUP_SET, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Tells whether a set has a member.", .arguments = "key:key member")
{
    roan_place place;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_SET))
        return;
    roan_out_integer(call->out, place.entry != NULL && roan_set_contains(roan_place_value(&place), call->argv[2]));
}

ROAN_COMMAND(smismember, .arity = -3, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SET, .since = "6.2.0",
             .complexity = "O(1) for each member.", .summary = "Tells of several members whether a set has them.",
             .arguments = "key:key member...")
{
    roan_place place;
    bool contains[ROAN_SET_BATCH] = {0};
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_SET))
        return;
    roan_out_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc; i += ROAN_SET_BATCH) {
        size_t count = ROAN_MIN(call->argc - i, (size_t)ROAN_SET_BATCH);
        if (place.entry != NULL)
            roan_set_contains_many(roan_place_value(&place), call->argv + i, count, contains);
        for (size_t j = 0; j < count; j++)
            roan_out_integer(call->out, contains[j]);
    }
}

ROAN_COMMAND(scard, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO)}, .group = ROAN_GROUP_SET, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Tells how many members a set has.", .arguments = "key:key")
{
    roan_place place;
    roan_call_find_read(call, 1, &place);
    if (roan_call_is_type(call, &place, ROAN_TYPE_SET))
        roan_out_integer(call->out, place.entry == NULL ? 0 : (int64_t)roan_set_count(roan_place_value(&place)));
}

ROAN_COMMAND(smembers, .arity = 2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SET, .since = "1.0.0",
             .complexity = "O(N) for N members.", .summary = "Reads all members of a set.", .arguments = "key:key",
             .tips = "nondeterministic_output_order")
{
    roan_place place;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_SET))
        return;
    if (place.entry == NULL) {
        roan_out_set(call->out, 0);
        return;
    }
    roan_value set = roan_place_value(&place);
    roan_out_set(call->out, roan_set_count(set));
    roan_set_each_batch(set, roan_set_send, call->out);
}

/* ---- SSCAN ---- */

typedef struct set_scan {
    roan_call *call;
    const roan_scan_options *options;
    size_t count; /* members sent */
} set_scan;

static bool send_scanned(void *context, roan_slice member)
{
    set_scan *scan = context;
    if (roan_scan_takes(scan->options, member)) {
        roan_out_bulk(scan->call->out, member);
        scan->count++;
    }
    return true;
}

ROAN_COMMAND(sscan, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SET, .since = "2.8.0",
             .complexity = "O(1) for each call, O(N) for a sweep over N members.",
             .summary = "Visits the members of a set, a few at a time.",
             .arguments = "key:key cursor:integer [MATCH pattern:pattern] [COUNT count:integer]",
             .tips = "nondeterministic_output")
{
    roan_scan_options options;
    roan_place place;
    if (!roan_scan_parse_cursor(call, ROAN_SCAN_SET, &options))
        return;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_SET))
        return;
    if (place.entry != NULL && !roan_scan_parse_options(call, ROAN_SCAN_SET, &options))
        return;
    set_scan scan = {.call = call, .options = &options};
    uint64_t position = 0;
    roan_scan_reply reply = roan_scan_reply_open(call);
    if (place.entry != NULL)
        position = roan_set_scan(roan_place_value(&place), roan_scan_position(options.cursor), options.count,
                                 send_scanned, &scan);
    roan_scan_reply_close(call, reply, roan_scan_cursor(position), scan.count);
}
