/* engine/cmd/set_random.c: SPOP and SRANDMEMBER.
 *
 * Replicas and logs must take out the same members, so SPOP becomes SREM of what went, at most POPPED_WORDS_MAX members
 * at a time, and DEL or UNLINK when everything went.
 */
#include "engine/cmd/set.h"

#include "base/buffer.h"
#include "base/macros.h"
#include "types/set_random.h"

#define POPPED_WORDS_MAX 1024

/* ---- SPOP ---- */

/* Members that went and are not in an effect yet: their bytes, and where each ends. */
typedef struct popped {
    roan_call *call;
    roan_buffer bytes;
    size_t *ends; /* NULL: nobody wants to know */
    size_t count;
} popped;

/* The effect "SREM key member ..." of what was collected. */
static void report_popped(popped *p)
{
    if (p->count == 0)
        return;
    roan_slice *argv = roan_alloc((2 + p->count) * sizeof *argv);
    argv[0] = ROAN_LITERAL("SREM");
    argv[1] = p->call->argv[1];
    for (size_t i = 0, start = 0; i < p->count; start = p->ends[i++])
        argv[2 + i] = roan_slice_make(p->bytes.data + start, p->ends[i] - start);
    roan_call_effect(p->call, 2 + p->count, argv);
    roan_free(argv, (2 + p->count) * sizeof *argv);
    p->count = 0;
    p->bytes.bytes = 0;
}

static bool pop_batch(void *context, const roan_packed *items, size_t count)
{
    popped *p = context;
    char scratch[ROAN_I64_TEXT_MAX];
    roan_set_send(p->call->out, items, count);
    for (size_t i = 0; i < count && p->ends != NULL; i++) {
        roan_buffer_append_slice(&p->bytes, roan_packed_text(&items[i], scratch));
        p->ends[p->count++] = p->bytes.bytes;
        if (p->count == POPPED_WORDS_MAX)
            report_popped(p);
    }
    return true;
}

/* Pops some, but not all. */
static void pop_part(roan_call *call, roan_place *place, size_t count)
{
    roan_value set = roan_place_value(place);
    popped p = {.call = call};
    if (call->engine->on_effect != NULL)
        p.ends = roan_alloc(POPPED_WORDS_MAX * sizeof *p.ends);
    roan_out_set(call->out, count);
    roan_set_pop(&set, &call->engine->types, &call->lane->random, count, pop_batch, &p);
    roan_place_store(call, place, set);
    roan_call_no_effect(call);
    report_popped(&p);
    if (p.ends != NULL)
        roan_free(p.ends, POPPED_WORDS_MAX * sizeof *p.ends);
    roan_buffer_done(&p.bytes);
    roan_call_changed(call, place, ROAN_EVENT_SET, "spop");
    call->dirty += count - 1;
}

static void pop_all(roan_call *call, roan_place *place)
{
    roan_value set = roan_place_value(place);
    size_t count = roan_set_count(set);
    bool is_lazy = call->engine->config.lazyfree_lazy_server_del;
    roan_slice argv[] = {is_lazy ? ROAN_LITERAL("UNLINK") : ROAN_LITERAL("DEL"), call->argv[1]};
    roan_out_set(call->out, count);
    roan_set_each_batch(set, roan_set_send, call->out);
    roan_call_changed(call, place, ROAN_EVENT_SET, "spop");
    call->dirty += count - 1;
    roan_set_delete_empty(call, place);
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
}

static void pop_several(roan_call *call)
{
    int64_t count;
    roan_place place;
    if (!roan_call_integer_in(call, 2, 0, INT64_MAX, &count, NULL))
        return;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_SET))
        return;
    if (place.entry == NULL || count == 0)
        roan_out_set(call->out, 0);
    else if ((uint64_t)count < roan_set_count(roan_place_value(&place)))
        pop_part(call, &place, (size_t)count);
    else
        pop_all(call, &place);
}

static void pop_one(roan_call *call)
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_place place;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_SET))
        return;
    if (place.entry == NULL) {
        roan_out_null(call->out);
        return;
    }
    roan_value set = roan_place_value(&place);
    roan_packed item = roan_set_random(set, &call->lane->random);
    roan_slice argv[] = {ROAN_LITERAL("SREM"), call->argv[1], roan_packed_text(&item, scratch)};
    roan_out_bulk(call->out, argv[2]);
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
    roan_set_remove(&set, argv[2]);
    roan_place_store(call, &place, set);
    roan_call_changed(call, &place, ROAN_EVENT_SET, "spop");
    if (roan_set_count(set) == 0)
        roan_set_delete_empty(call, &place);
}

ROAN_COMMAND(spop, .arity = -2, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_SET,
             .since = "1.0.0", .complexity = "O(1), with a count O(N) for N members taken out.",
             .summary = "Takes random members out of a set.", .arguments = "key:key [count:integer^3.2.0]",
             .tips = "nondeterministic_output", .history = "3.2.0|Argument count.")
{
    if (call->argc == 2)
        pop_one(call);
    else if (call->argc == 3)
        pop_several(call);
    else
        roan_call_syntax_error(call);
}

/* ---- SRANDMEMBER ---- */

static void pick_one(roan_call *call)
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_place place;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_SET))
        return;
    if (place.entry == NULL) {
        roan_out_null(call->out);
        return;
    }
    roan_packed item = roan_set_random(roan_place_value(&place), &call->lane->random);
    roan_out_bulk(call->out, roan_packed_text(&item, scratch));
}

/* Sends members that were drawn with repetition, until the client's limit is reached: then it is disconnected, and the
 * billions it may have asked for need not be made. */
static bool send_drawn(void *context, const roan_packed *items, size_t count)
{
    roan_call *call = context;
    uint64_t limit = call->engine->config.output_limits[ROAN_CLIENT_NORMAL].hard_bytes;
    roan_set_send(call->out, items, count);
    return limit == 0 || roan_out_bytes(call->out) <= limit;
}

/* A negative count asks for so many members with repetition, a positive one for at most so many different ones. */
static void send_picked(roan_call *call, roan_value set, int64_t count)
{
    roan_random *random = &call->lane->random;
    if (count < 0) {
        roan_out_array(call->out, (size_t)-count);
        roan_set_draw(set, random, (uint64_t)-count, send_drawn, call);
        return;
    }
    size_t size = roan_set_count(set), wanted = ROAN_MIN((size_t)count, size);
    roan_out_array(call->out, wanted);
    if (wanted == size)
        roan_set_each_batch(set, roan_set_send, call->out);
    else
        roan_set_sample(set, random, wanted, roan_set_send, call->out);
}

static void pick_several(roan_call *call)
{
    int64_t count;
    roan_place place;
    if (!roan_call_integer_in(call, 2, -INT64_MAX, INT64_MAX, &count, NULL))
        return;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_SET))
        return;
    if (place.entry == NULL || count == 0)
        roan_out_array(call->out, 0);
    else
        send_picked(call, roan_place_value(&place), count);
}

ROAN_COMMAND(srandmember, .arity = -2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SET, .since = "1.0.0",
             .complexity = "O(1), with a count O(N) for N members asked for.",
             .summary = "Reads random members of a set.", .arguments = "key:key [count:integer^2.6.0]",
             .tips = "nondeterministic_output", .history = "2.6.0|Argument count.")
{
    if (call->argc == 2)
        pick_one(call);
    else if (call->argc == 3)
        pick_several(call);
    else
        roan_call_syntax_error(call);
}
