/* engine/cmd/list_move.c: an element from one list to another, or from one end to the other: LMOVE, RPOPLPUSH, and
 * the same waiting for an element: BLMOVE, BRPOPLPUSH.
 *
 * Keys are argv[1], the source, and argv[2], the destination. Both are looked at before either changes. Who waits
 * does so for the source only; a destination of another type is noticed when there is something to move.
 */
#include "engine/blocking.h"
#include "engine/cmd/list.h"

/* Which ends. */
typedef struct list_ends {
    bool from_tail, to_tail;
} list_ends;

/* Source and destination are the same list. */
static void rotate(roan_call *call, roan_place *place, list_ends ends)
{
    roan_value list = roan_place_value(place);
    roan_packed item = roan_list_peek(list, ends.from_tail);
    roan_list_reply_item(call->out, &item);
    roan_list_rotate(&list, &call->engine->types, ends.from_tail, ends.to_tail);
    roan_place_store(call, place, list);
    roan_call_changed(call, place, ROAN_EVENT_LIST, roan_list_push_event(ends.to_tail));
    roan_call_changed_event(call, place, ROAN_EVENT_LIST, roan_list_pop_event(ends.from_tail));
}

static void move_between(roan_call *call, roan_place *source, roan_place *target, list_ends ends)
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_value list = roan_place_value(source);
    roan_packed item = roan_list_peek(list, ends.from_tail);
    roan_slice text = roan_packed_text(&item, scratch); /* stays where it is while the other list changes */
    bool is_new = target->entry == NULL;
    roan_list_reply_item(call->out, &item);
    roan_list_push_at(call, target, &text, 1, ends.to_tail);
    call->dirty--; /* the reference counts a move once */
    if (is_new)
        roan_call_find_quiet(call, 1, source); /* a key has come, perhaps one expired: places are others */
    roan_list_drop(&list, &call->engine->types, ends.from_tail);
    roan_list_store_taken(call, source, list, roan_list_pop_event(ends.from_tail), 1);
}

/* The source was found. */
static void move_found(roan_call *call, roan_place *source, list_ends ends)
{
    roan_place target;
    if (!roan_call_is_type(call, source, ROAN_TYPE_LIST))
        return;
    const roan_entry *entry = source->entry;
    roan_call_find_write(call, 2, &target);
    if (!roan_call_is_type(call, &target, ROAN_TYPE_LIST))
        return;
    if (target.entry == entry)
        rotate(call, source, ends);
    else
        move_between(call, source, &target, ends);
}

static void move(roan_call *call, list_ends ends)
{
    roan_place source;
    if (roan_call_find_write(call, 1, &source))
        move_found(call, &source, ends);
    else
        roan_out_null(call->out);
}

static bool parse_ends(roan_call *call, list_ends *ends)
{
    return roan_list_parse_end(call, 3, &ends->from_tail) && roan_list_parse_end(call, 4, &ends->to_tail);
}

ROAN_COMMAND(lmove, .arity = 5, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE),
                      ROAN_KEY(2, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_LIST, .since = "6.2.0", .complexity = "O(1)",
             .summary = "Takes an element from an end of a list and puts it to an end of another.",
             .arguments = "source:key destination:key wherefrom<LEFT|RIGHT> whereto<LEFT|RIGHT>")
{
    list_ends ends;
    if (parse_ends(call, &ends))
        move(call, ends);
}

ROAN_COMMAND(rpoplpush, .arity = 3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM,
             .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE),
                      ROAN_KEY(2, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_LIST, .since = "1.2.0", .complexity = "O(1)",
             .summary = "Takes the last element of a list and puts it before the first of another.",
             .arguments = "source:key destination:key")
{
    move(call, (list_ends){.from_tail = true});
}

/* ---- waiting ---- */

/* The answer is a null where nobody waits, and a null array when the time is over. */
static void wait_for_source(roan_call *call, int64_t timeout_ms)
{
    roan_block block = {.first_key = 1, .key_count = 1, .key_step = 1, .type = ROAN_TYPE_LIST, .timeout_ms = timeout_ms,
                        .null_array = true};
    if (call->may_not_block)
        roan_out_null(call->out);
    else
        roan_call_block_on_keys(call, &block);
}

/* Moves, or waits for the source; what replicas do is the command without its timeout. */
static void move_or_wait(roan_call *call, list_ends ends, size_t timeout_index, roan_slice effect_name)
{
    roan_place source;
    int64_t timeout_ms;
    if (!roan_call_timeout(call, timeout_index, &timeout_ms))
        return;
    if (!roan_call_find_write(call, 1, &source)) {
        wait_for_source(call, timeout_ms);
        return;
    }
    move_found(call, &source, ends);
    if (call->has_failed)
        return;
    roan_slice argv[5] = {effect_name};
    memcpy(argv + 1, call->argv + 1, (timeout_index - 1) * sizeof *argv);
    roan_call_effect(call, timeout_index, argv);
}

ROAN_COMMAND(blmove, .arity = 6, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_BLOCKING,
             .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE),
                      ROAN_KEY(2, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_LIST, .since = "6.2.0", .complexity = "O(1)",
             .summary = "Moves an element between ends of lists as LMOVE does; waits until there is one.",
             .arguments = "source:key destination:key wherefrom<LEFT|RIGHT> whereto<LEFT|RIGHT> "
                          "timeout:double")
{
    list_ends ends;
    if (parse_ends(call, &ends))
        move_or_wait(call, ends, 5, ROAN_LITERAL("LMOVE"));
}

ROAN_COMMAND(brpoplpush, .arity = 4,
             .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_BLOCKING, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE),
                      ROAN_KEY(2, ROAN_KEY_RW | ROAN_KEY_INSERT)},
             .group = ROAN_GROUP_LIST, .since = "2.2.0", .complexity = "O(1)",
             .summary = "Moves an element as RPOPLPUSH does; waits until there is one.",
             .arguments = "source:key destination:key timeout:double",
             .history = "6.0.0|The timeout may have a fraction.")
{
    move_or_wait(call, (list_ends){.from_tail = true}, 3, ROAN_LITERAL("RPOPLPUSH"));
}
