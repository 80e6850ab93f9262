/* engine/cmd/stream_pending.c: pending entries of consumer groups: XPENDING, XCLAIM, XAUTOCLAIM.
 *
 * Claiming finds out which pending entries are gone from the stream and forgets them. Replicas are told about each
 * entry that changed hands or was forgotten, and about nothing else.
 */
#include "engine/cmd/stream.h"
#include "engine/command_keys.h"

#include "base/macros.h"

/* ---- XPENDING ---- */

typedef struct pending_options {
    bool is_summary;
    int64_t idle_min_ms;
    uint64_t count;
    roan_stream_id first, last;
    size_t consumer_index; /* 0: all */
} pending_options;

static bool parse_pending(roan_call *call, pending_options *options)
{
    int64_t count;
    size_t at = 3;
    *options = (pending_options){.is_summary = call->argc == 3};
    if (options->is_summary)
        return true;
    bool has_idle = call->argc >= 6 && roan_call_is(call, 3, "idle");
    if (has_idle && call->argc <= 9 && !roan_call_integer(call, 4, &options->idle_min_ms, NULL))
        return false;
    if (call->argc < (has_idle ? 8 : 6) || call->argc > 9) {
        roan_call_syntax_error(call);
        return false;
    }
    if (has_idle)
        at += 2;
    if (!roan_call_integer(call, at + 2, &count, NULL))
        return false;
    options->count = (uint64_t)ROAN_MAX(count, 0);
    if (!roan_stream_range_start(call, at, &options->first) || !roan_stream_range_end(call, at + 1, &options->last))
        return false;
    if (at + 3 < call->argc)
        options->consumer_index = at + 3;
    return true;
}

static void reply_summary(roan_call *call, const roan_stream_group *group)
{
    const roan_id_tree *pending = &group->pending;
    uint32_t consumers = 0;
    roan_out_array(call->out, 4);
    roan_out_integer(call->out, (int64_t)pending->count);
    if (pending->count == 0) {
        roan_out_null(call->out);
        roan_out_null(call->out);
        roan_out_null_array(call->out);
        return;
    }
    roan_id_cursor first = roan_id_tree_first(pending), last = roan_id_tree_last(pending);
    roan_stream_reply_id(call->out, roan_id_cursor_id(&first));
    roan_stream_reply_id(call->out, roan_id_cursor_id(&last));
    for (uint32_t i = 0; i < group->consumers.count; i++)
        consumers += ((const roan_stream_consumer *)group->consumers.items[i])->pending.count > 0;
    roan_out_array(call->out, consumers);
    for (uint32_t i = 0; i < group->consumers.count; i++) {
        const roan_stream_consumer *consumer = group->consumers.items[i];
        if (consumer->pending.count == 0)
            continue;
        roan_out_array(call->out, 2);
        roan_out_bulk(call->out, consumer->name);
        roan_out_bulk_printf(call->out, "%llu", (unsigned long long)consumer->pending.count);
    }
}

static void reply_details(roan_call *call, const pending_options *options, const roan_stream_group *group)
{
    const roan_id_tree *tree = &group->pending;
    if (options->consumer_index != 0) {
        const roan_stream_consumer *consumer = roan_stream_group_consumer(group, call->argv[options->consumer_index]);
        if (consumer == NULL) {
            roan_out_array(call->out, 0);
            return;
        }
        tree = &consumer->pending;
    }
    roan_out_mark mark = roan_out_open(call->out);
    uint64_t sent = 0;
    roan_id_cursor at = roan_id_tree_at_least(tree, options->first);
    for (; at.leaf != NULL && sent < options->count; roan_id_cursor_next(&at)) {
        roan_stream_id id = roan_id_cursor_id(&at);
        if (roan_stream_id_is_less(options->last, id))
            break;
        const roan_stream_pending *pending =
            tree == &group->pending ? roan_id_cursor_record(tree, &at) : roan_stream_group_pending(group, id);
        int64_t idle_ms = call->now_ms - pending->delivered_ms;
        if (options->idle_min_ms != 0 && idle_ms < options->idle_min_ms)
            continue;
        roan_out_array(call->out, 4);
        roan_stream_reply_id(call->out, id);
        roan_out_bulk(call->out, pending->consumer->name);
        roan_out_integer(call->out, ROAN_MAX(idle_ms, 0));
        roan_out_integer(call->out, (int64_t)pending->deliveries);
        sent++;
    }
    roan_out_close_array(call->out, mark, sent);
}

ROAN_COMMAND(
    xpending, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
    .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
    .complexity = "O(log N + M) for M of N pending entries; O(1) for each consumer without a range.",
    .summary = "Shows which entries a consumer group has read and not acknowledged.",
    .arguments = "key:key group [filters{[IDLE min-idle-time:integer^6.2.0] start end count:integer [consumer]}]",
    .tips = "nondeterministic_output", .history = "6.2.0|Option IDLE, ranges with open ends.")
{
    pending_options options;
    roan_place place;
    if (!parse_pending(call, &options))
        return;
    roan_call_find_read(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_STREAM))
        return;
    const roan_stream *stream = roan_place_stream(&place);
    const roan_stream_group *group = stream == NULL ? NULL : roan_stream_group_find(stream, call->argv[2]);
    if (group == NULL)
        roan_stream_no_key_or_group(call, call->argv[1], call->argv[2]);
    else if (options.is_summary)
        reply_summary(call, group);
    else
        reply_details(call, &options, group);
}

/* ---- claiming ---- */

/* Who claims, and how. */
typedef struct claiming {
    roan_place place;
    roan_stream *stream;
    roan_stream_group *group;
    roan_stream_consumer *consumer;
    int64_t idle_min_ms;
    int64_t delivered_ms;
    int64_t deliveries;   /* to set; -1: one more, unless just_id */
    bool is_forced, just_id;
} claiming;

/* Stream and group of argv[1] and argv[2]; false after an error was sent. */
static bool find_group(roan_call *call, claiming *claim)
{
    roan_call_find_read(call, 1, &claim->place);
    if (!roan_call_is_type(call, &claim->place, ROAN_TYPE_STREAM))
        return false;
    claim->stream = roan_place_stream(&claim->place);
    claim->group = claim->stream == NULL ? NULL : roan_stream_group_find(claim->stream, call->argv[2]);
    if (claim->group != NULL)
        return true;
    roan_stream_no_key_or_group(call, call->argv[1], call->argv[2]);
    return false;
}

static bool parse_idle_min(roan_call *call, claiming *claim, const char *error)
{
    if (!roan_call_integer(call, 4, &claim->idle_min_ms, error))
        return false;
    claim->idle_min_ms = ROAN_MAX(claim->idle_min_ms, 0);
    return true;
}

/* The consumer in argv[3], made when there is none, is here. */
static void enter_consumer(roan_call *call, claiming *claim)
{
    claim->consumer = roan_stream_need_consumer(call, &claim->place, claim->group, call->argv[3], NULL);
    claim->consumer->seen_ms = call->now_ms;
}

/* A pending entry that is gone from the stream. */
static void forget(roan_call *call, const claiming *claim, roan_stream_id id, const roan_stream_pending *pending)
{
    roan_stream_effect_claim(call, claim->place.name, claim->group, id, pending);
    roan_stream_group_forget(claim->group, id);
    roan_stream_changed_quietly(call);
}

static bool is_idle_enough(const roan_call *call, const claiming *claim, const roan_stream_pending *pending)
{
    return claim->idle_min_ms == 0 || call->now_ms - pending->delivered_ms >= claim->idle_min_ms;
}

/* The entry, which is in the stream, is the consumer's now: says so to the client and to replicas. */
static void take(roan_call *call, const claiming *claim, roan_stream_id id)
{
    bool is_new;
    roan_stream_pending *pending = roan_stream_group_assign(claim->group, claim->consumer, id, &is_new);
    if (is_new)
        pending->deliveries = 1;
    pending->delivered_ms = claim->delivered_ms;
    if (claim->deliveries >= 0)
        pending->deliveries = (uint64_t)claim->deliveries;
    else if (!claim->just_id)
        pending->deliveries++;
    claim->consumer->active_ms = call->now_ms;
    if (claim->just_id)
        roan_stream_reply_id(call->out, id);
    else
        ROAN_IGNORE(roan_stream_reply_one(call->out, claim->stream, id)); /* it is there */
    roan_stream_effect_claim(call, claim->place.name, claim->group, id, pending);
    roan_stream_changed_quietly(call);
}

/* ---- XCLAIM ---- */

typedef struct claim_options {
    size_t id_count; /* from argv[5] on */
    int64_t delivered_ms;
    bool has_time;
    roan_stream_id last_id;
} claim_options;

/* The option at argv[*index], which is moved to its last word; false after an error was sent. */
static bool parse_claim_option(roan_call *call, size_t *index, claiming *claim, claim_options *options)
{
    size_t at = *index;
    bool has_more = at + 1 < call->argc;
    int64_t idle_ms;
    if (roan_call_is(call, at, "force")) {
        claim->is_forced = true;
        return true;
    }
    if (roan_call_is(call, at, "justid")) {
        claim->just_id = true;
        return true;
    }
    ++*index;
    if (has_more && roan_call_is(call, at, "idle")) {
        if (!roan_call_integer(call, at + 1, &idle_ms, "ERR Invalid IDLE option argument for XCLAIM"))
            return false;
        options->delivered_ms = (int64_t)((uint64_t)call->now_ms - (uint64_t)idle_ms);
        options->has_time = true;
        return true;
    }
    if (has_more && roan_call_is(call, at, "time")) {
        options->has_time = true;
        return roan_call_integer(call, at + 1, &options->delivered_ms, "ERR Invalid TIME option argument for XCLAIM");
    }
    if (has_more && roan_call_is(call, at, "retrycount"))
        return roan_call_integer(call, at + 1, &claim->deliveries, "ERR Invalid RETRYCOUNT option argument for XCLAIM");
    if (has_more && roan_call_is(call, at, "lastid"))
        return roan_stream_id_argument(call, at + 1, &options->last_id);
    roan_call_error_printf(call, "ERR Unrecognized XCLAIM option '%.*s'", ROAN_SLICE_ARG(call->argv[at]));
    return false;
}

static bool parse_claim(roan_call *call, claiming *claim, claim_options *options)
{
    size_t at = 5;
    roan_stream_id id;
    *options = (claim_options){0};
    claim->deliveries = -1;
    if (!parse_idle_min(call, claim, "ERR Invalid min-idle-time argument for XCLAIM"))
        return false;
    while (at < call->argc && roan_stream_id_parse(call->argv[at], 0, &id, NULL))
        at++;
    options->id_count = at - 5;
    for (; at < call->argc; at++)
        if (!parse_claim_option(call, &at, claim, options))
            return false;
    int64_t when = options->delivered_ms;
    claim->delivered_ms = options->has_time && when >= 0 && when <= call->now_ms ? when : call->now_ms;
    return true;
}

/* Claims one id; returns whether it was sent. *ret_is_told: replicas have learnt the group's last id with it. */
static bool claim_one(roan_call *call, const claiming *claim, roan_stream_id id, bool *ret_is_told)
{
    const roan_stream_pending *pending = roan_stream_group_pending(claim->group, id);
    if (!roan_stream_contains(claim->stream, id)) {
        if (pending != NULL) {
            forget(call, claim, id, pending);
            *ret_is_told = true;
        }
        return false;
    }
    if (pending == NULL ? !claim->is_forced : !is_idle_enough(call, claim, pending))
        return false;
    take(call, claim, id);
    *ret_is_told = true;
    return true;
}

ROAN_COMMAND(xclaim, .arity = -6, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_STREAM, .since = "5.0.0",
             .complexity = "O(log N) for each id and N pending entries.",
             .summary = "Makes pending entries those of another consumer.",
             .arguments = "key:key group consumer min-idle-time id... [IDLE ms:integer] "
                          "[TIME unix-time-milliseconds:unix-time] [RETRYCOUNT count:integer] [FORCE] [JUSTID] "
                          "[LASTID lastid]",
             .tips = "nondeterministic_output")
{
    claiming claim = {0};
    claim_options options;
    bool is_told = false;
    size_t sent = 0;
    if (!find_group(call, &claim) || !parse_claim(call, &claim, &options))
        return;
    bool moves = roan_stream_id_is_less(claim.group->last_id, options.last_id);
    if (moves)
        claim.group->last_id = options.last_id;
    roan_call_no_effect(call);
    enter_consumer(call, &claim);
    roan_out_mark mark = roan_out_open(call->out);
    for (size_t i = 0; i < options.id_count; i++) {
        roan_stream_id id;
        if (roan_stream_id_parse(call->argv[5 + i], 0, &id, NULL))
            sent += claim_one(call, &claim, id, &is_told);
    }
    roan_out_close_array(call->out, mark, sent);
    if (moves && !is_told) {
        roan_stream_effect_position(call, claim.place.name, claim.group);
        roan_stream_changed_quietly(call);
    }
}

/* ---- XAUTOCLAIM ---- */

#define ATTEMPTS_FACTOR 10 /* how many pending entries are looked at for each one that may be claimed */

static bool parse_autoclaim(roan_call *call, claiming *claim, roan_stream_id *ret_start, int64_t *ret_count)
{
    *ret_count = 100;
    if (!parse_idle_min(call, claim, "ERR Invalid min-idle-time argument for XAUTOCLAIM") ||
        !roan_stream_range_start(call, 5, ret_start))
        return false;
    for (size_t i = 6; i < call->argc; i++) {
        if (roan_call_is(call, i, "count") && i + 1 < call->argc) {
            if (!roan_call_integer_in(call, ++i, 1, INT64_MAX / 16, ret_count, "ERR COUNT must be > 0"))
                return false;
        } else if (roan_call_is(call, i, "justid")) {
            claim->just_id = true;
        } else {
            roan_call_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* Claims from `start` on; the deleted ids go to the lane's scratch. Returns the id to go on from, zero at the end. */
static roan_stream_id claim_from(roan_call *call, const claiming *claim, roan_stream_id start, int64_t count,
                                 size_t *ret_sent)
{
    roan_buffer *gone = &call->lane->scratch;
    gone->bytes = 0;
    int64_t attempts = count * ATTEMPTS_FACTOR;
    roan_id_cursor at = roan_id_tree_at_least(&claim->group->pending, start);
    while (at.leaf != NULL && attempts-- > 0 && count > 0) {
        roan_stream_id id = roan_id_cursor_id(&at);
        const roan_stream_pending *pending = roan_id_cursor_record(&claim->group->pending, &at);
        if (!roan_stream_contains(claim->stream, id)) {
            forget(call, claim, id, pending);
            roan_buffer_append(gone, (const char *)&id, sizeof id);
            at = roan_id_tree_at_least(&claim->group->pending, id);
            count--;
            continue;
        }
        if (is_idle_enough(call, claim, pending)) {
            take(call, claim, id); /* the group's map keeps its shape: the id is there */
            ++*ret_sent;
            count--;
        }
        roan_id_cursor_next(&at);
    }
    return at.leaf == NULL ? ROAN_STREAM_ID_MIN : roan_id_cursor_id(&at);
}

/* [id to go on from, [entries], [ids of deleted ones]]; the first is known last. */
static void reply_autoclaim(roan_call *call, const claiming *claim, roan_stream_id start, int64_t count)
{
    roan_out entries, *out = call->out;
    size_t sent = 0;
    roan_out_init(&entries, out->pool, out->protocol);
    call->out = &entries;
    roan_stream_id next = claim_from(call, claim, start, count, &sent);
    call->out = out;
    roan_out_array(out, 3);
    roan_stream_reply_id(out, next);
    roan_out_array(out, sent);
    for (roan_out_chunk *chunk = roan_out_take(&entries), *behind; chunk != NULL; chunk = behind) {
        behind = chunk->next;
        roan_out_raw(out, chunk->data, chunk->bytes);
        roan_out_chunk_free(out->pool, chunk);
    }
    roan_out_done(&entries);
    const roan_buffer *gone = &call->lane->scratch;
    const roan_stream_id *ids = (const roan_stream_id *)(const void *)gone->data;
    size_t gone_count = gone->bytes / sizeof *ids;
    roan_out_array(out, gone_count);
    for (size_t i = 0; i < gone_count; i++)
        roan_stream_reply_id(out, ids[i]);
}

ROAN_COMMAND(xautoclaim, .arity = -6, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_STREAM, .since = "6.2.0",
             .complexity = "O(log N) for each of at most COUNT entries and N pending ones.",
             .summary = "Makes pending entries that nobody works on those of another consumer.",
             .arguments = "key:key group consumer min-idle-time start [COUNT count:integer] [JUSTID]",
             .tips = "nondeterministic_output",
             .history = "7.0.0|A third element tells which entries are deleted; they are no longer pending.")
{
    claiming claim = {.deliveries = -1, .delivered_ms = call->now_ms};
    roan_stream_id start;
    int64_t count;
    if (!parse_autoclaim(call, &claim, &start, &count) || !find_group(call, &claim))
        return;
    roan_call_no_effect(call);
    enter_consumer(call, &claim);
    reply_autoclaim(call, &claim, start, count);
}
