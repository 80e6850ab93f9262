/* engine/cmd/set_algebra.c: SINTER, SUNION, SDIFF, with STORE and CARD.
 *
 * All keys are looked up, and their types looked at, before anything is computed; an absent key is an empty set. A
 * result is sent while it is found, in an aggregate whose size is filled in at the end; a stored one is a new set that
 * takes the place of whatever the destination held. Cardinalities need no memory.
 */
#include "engine/cmd/set.h"

#include "base/macros.h"
#include "types/set_algebra.h"

typedef enum operation { INTERSECTION, UNION, DIFFERENCE } operation;

#define SOURCES_SHORT_MAX 16

/* The sets a command works on. */
typedef struct sources {
    roan_value *sets; /* those that exist, in order */
    size_t count, key_count;
    bool has_first;   /* the first key exists */
    roan_value few[SOURCES_SHORT_MAX];
} sources;

static void sources_done(sources *from)
{
    if (from->sets != from->few)
        roan_free(from->sets, from->key_count * sizeof *from->sets);
}

/* Looks the keys up; false after an error was sent. */
static bool sources_init(sources *from, roan_call *call, size_t first, size_t key_count)
{
    from->sets = key_count <= SOURCES_SHORT_MAX ? from->few : roan_alloc(key_count * sizeof *from->sets);
    from->count = 0;
    from->key_count = key_count;
    from->has_first = false;
    for (size_t i = 0; i < key_count; i++) {
        roan_place place;
        roan_call_read_ahead(call, i, first, 1);
        bool exists = roan_call_find_read(call, first + i, &place);
        if (!roan_call_is_type(call, &place, ROAN_TYPE_SET)) {
            sources_done(from);
            return false;
        }
        if (exists)
            from->sets[from->count++] = roan_place_value(&place);
        from->has_first |= exists && i == 0;
    }
    return true;
}

/* It is empty whatever the sets contain. */
static bool is_empty(const sources *from, operation op)
{
    if (op == INTERSECTION)
        return from->count < from->key_count;
    return op == DIFFERENCE ? !from->has_first : from->count == 0;
}

static void visit_result(roan_call *call, sources *from, operation op, roan_set_batch_fn visit, void *context)
{
    const roan_type_context *types = &call->engine->types;
    if (is_empty(from, op))
        return;
    if (op == INTERSECTION)
        roan_set_intersect(from->sets, from->count, visit, context);
    else if (op == UNION)
        roan_set_unite(types, from->sets, from->count, visit, context);
    else
        roan_set_subtract(types, from->sets, from->count, visit, context);
}

/* ---- sending ---- */

typedef struct sending {
    roan_out *out;
    size_t count;
} sending;

static bool send_and_count(void *context, const roan_packed *items, size_t count)
{
    sending *sent = context;
    sent->count += count;
    return roan_set_send(sent->out, items, count);
}

static void send_result(roan_call *call, operation op)
{
    sources from;
    if (!sources_init(&from, call, 1, call->argc - 1))
        return;
    sending sent = {.out = call->out};
    roan_out_mark mark = roan_out_open(call->out);
    visit_result(call, &from, op, send_and_count, &sent);
    roan_out_close_set(call->out, mark, sent.count);
    sources_done(&from);
}

ROAN_COMMAND(sinter, .arity = -2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SET, .since = "1.0.0",
             .complexity = "O(N*M) at most, for N members of the smallest of M sets.",
             .summary = "Reads the members that all sets have.", .arguments = "key:key...",
             .tips = "nondeterministic_output_order")
{
    send_result(call, INTERSECTION);
}

ROAN_COMMAND(sunion, .arity = -2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SET, .since = "1.0.0",
             .complexity = "O(N) for N members of all sets together.",
             .summary = "Reads the members that any of the sets has.", .arguments = "key:key...",
             .tips = "nondeterministic_output_order")
{
    send_result(call, UNION);
}

ROAN_COMMAND(sdiff, .arity = -2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SET, .since = "1.0.0",
             .complexity = "O(N) for N members of all sets together.",
             .summary = "Reads the members of the first set that no other set has.", .arguments = "key:key...",
             .tips = "nondeterministic_output_order")
{
    send_result(call, DIFFERENCE);
}

/* ---- storing ---- */

static roan_value compute_result(roan_call *call, sources *from, operation op)
{
    const roan_type_context *types = &call->engine->types;
    if (is_empty(from, op))
        return roan_set_create();
    if (op == INTERSECTION)
        return roan_set_intersection(types, from->sets, from->count);
    return op == UNION ? roan_set_union(types, from->sets, from->count)
                       : roan_set_difference(types, from->sets, from->count);
}

static void store_result(roan_call *call, operation op, const char *event)
{
    sources from;
    roan_place place;
    if (!sources_init(&from, call, 2, call->argc - 2))
        return;
    roan_value result = compute_result(call, &from, op);
    size_t count = roan_set_count(result);
    sources_done(&from);
    roan_call_find_write(call, 1, &place);
    if (count > 0) {
        roan_place_create(call, &place, ROAN_TYPE_SET, result, ROAN_EXPIRY_NONE);
        roan_call_changed(call, &place, ROAN_EVENT_SET, event);
    } else {
        roan_set_free(result);
        if (place.entry != NULL) {
            roan_place_delete(call, &place, call->engine->config.lazyfree_lazy_server_del);
            roan_call_changed(call, &place, ROAN_EVENT_GENERIC, "del");
        }
    }
    roan_out_integer(call->out, (int64_t)count);
}

ROAN_COMMAND(sinterstore, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_OW | ROAN_KEY_UPDATE), ROAN_KEYS(2, -1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_SET, .since = "1.0.0",
             .complexity = "O(N*M) at most, for N members of the smallest of M sets.",
             .summary = "Stores the members that all sets have.", .arguments = "destination:key key:key...")
{
    store_result(call, INTERSECTION, "sinterstore");
}

ROAN_COMMAND(sunionstore, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_OW | ROAN_KEY_UPDATE), ROAN_KEYS(2, -1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_SET, .since = "1.0.0", .complexity = "O(N) for N members of all sets together.",
             .summary = "Stores the members that any of the sets has.", .arguments = "destination:key key:key...")
{
    store_result(call, UNION, "sunionstore");
}

ROAN_COMMAND(sdiffstore, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_OW | ROAN_KEY_UPDATE), ROAN_KEYS(2, -1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_SET, .since = "1.0.0", .complexity = "O(N) for N members of all sets together.",
             .summary = "Stores the members of the first set that no other set has.",
             .arguments = "destination:key key:key...")
{
    store_result(call, DIFFERENCE, "sdiffstore");
}

/* ---- counting ---- */

typedef struct counting {
    uint64_t count, limit; /* limit 0: none */
} counting;

static bool count_batch(void *context, const roan_packed *items, size_t count)
{
    counting *counted = context;
    (void)items;
    counted->count += count;
    return counted->limit == 0 || counted->count < counted->limit;
}

/* numkeys key... [LIMIT limit]; false after an error was sent. */
static bool parse_card(roan_call *call, size_t *ret_key_count, uint64_t *ret_limit)
{
    int64_t key_count, limit = 0;
    if (!roan_call_integer_in(call, 1, 1, INT64_MAX, &key_count, "ERR numkeys should be greater than 0"))
        return false;
    if ((uint64_t)key_count > call->argc - 2) {
        roan_call_error(call, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    for (size_t i = 2 + (size_t)key_count; i < call->argc; i += 2) {
        if (i + 1 == call->argc || !roan_call_is(call, i, "LIMIT")) {
            roan_call_syntax_error(call);
            return false;
        }
        if (!roan_call_integer_in(call, i + 1, 0, INT64_MAX, &limit, "ERR LIMIT can't be negative"))
            return false;
    }
    *ret_key_count = (size_t)key_count;
    *ret_limit = (uint64_t)limit;
    return true;
}

static void send_card(roan_call *call, operation op)
{
    size_t key_count;
    sources from;
    counting counted = {0};
    if (!parse_card(call, &key_count, &counted.limit) || !sources_init(&from, call, 2, key_count))
        return;
    if (from.key_count == 1 && from.has_first)
        counted.count = roan_set_count(from.sets[0]);
    else
        visit_result(call, &from, op, count_batch, &counted);
    sources_done(&from);
    if (counted.limit != 0)
        counted.count = ROAN_MIN(counted.count, counted.limit);
    roan_out_integer(call->out, (int64_t)counted.count);
}

ROAN_COMMAND(sintercard, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(1, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SET, .since = "7.0.0",
             .complexity = "O(N*M) at most, for N members of the smallest of M sets.",
             .summary = "Counts the members that all sets have, up to a limit.",
             .arguments = "numkeys:integer key:key... [LIMIT limit:integer]")
{
    send_card(call, INTERSECTION);
}

ROAN_COMMAND(sunioncard, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(1, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SET, .since = "8.10.0",
             .complexity = "O(N) for N members of all sets together.",
             .summary = "Counts the members that any of the sets has, up to a limit.",
             .arguments = "numkeys:integer key:key... [LIMIT limit:integer]")
{
    send_card(call, UNION);
}

ROAN_COMMAND(sdiffcard, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(1, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SET, .since = "8.10.0",
             .complexity = "O(N) for N members of all sets together.",
             .summary = "Counts the members of the first set that no other set has, up to a limit.",
             .arguments = "numkeys:integer key:key... [LIMIT limit:integer]")
{
    send_card(call, DIFFERENCE);
}
