/* engine/cmd/zset.c: members of sorted sets and their scores: adding, removing, looking up, scanning. Ranges:
 * zset_range.c; taking from the ends: zset_pop.c; sets combined: zset_combine.c; random members: zset_random.c.
 *
 * ZADD reads all scores before it looks at the key, and one look-up of a member serves its conditions and its change.
 */
#include "engine/cmd/zset.h"

#include "engine/cmd/scan_options.h"

#include <math.h>
#include <stdio.h>

/* ---- shared ---- */

void roan_zset_send_header(roan_call *call, roan_zset_shape shape, uint64_t count)
{
    roan_out_array(call->out, shape.with_scores && !shape.is_nested ? count * 2 : count);
}

void roan_zset_send(roan_call *call, roan_zset_shape shape, const roan_zset_item *item)
{
    if (shape.is_nested)
        roan_out_array(call->out, 2);
    roan_out_bulk(call->out, item->member);
    if (shape.with_scores)
        roan_out_double(call->out, item->score);
}

static bool take_value(roan_call *call, const roan_place *place, roan_value *ret_value)
{
    if (place->entry == NULL || !roan_call_is_type(call, place, ROAN_TYPE_ZSET))
        return false;
    *ret_value = roan_place_value(place);
    return true;
}

bool roan_zset_find_read(roan_call *call, size_t index, roan_place *place, roan_value *ret_value)
{
    roan_call_find_read(call, index, place);
    return take_value(call, place, ret_value);
}

bool roan_zset_find_write(roan_call *call, size_t index, roan_place *place, roan_value *ret_value)
{
    roan_call_find_write(call, index, place);
    return take_value(call, place, ret_value);
}

void roan_zset_shrunk(roan_call *call, roan_place *place, roan_value value, uint64_t removed, const char *event)
{
    if (removed == 0)
        return;
    roan_place_store(call, place, value);
    bool is_empty = roan_zset_count(value) == 0;
    if (is_empty)
        roan_place_delete(call, place, false);
    call->dirty += removed - 1;
    roan_call_changed(call, place, ROAN_EVENT_ZSET, event);
    if (is_empty)
        roan_call_changed_event(call, place, ROAN_EVENT_GENERIC, "del");
}

void roan_zset_store_result(roan_call *call, roan_value result, const char *event)
{
    roan_place place;
    size_t count = roan_zset_count(result);
    roan_call_find_write(call, 1, &place);
    if (count > 0) {
        roan_place_create(call, &place, ROAN_TYPE_ZSET, result, ROAN_EXPIRY_NONE);
        roan_call_changed(call, &place, ROAN_EVENT_ZSET, event);
    } else {
        roan_zset_ops.free_value(result);
        if (place.entry != NULL) {
            roan_place_delete(call, &place, call->engine->config.lazyfree_lazy_server_del);
            roan_call_changed(call, &place, ROAN_EVENT_GENERIC, "del");
        }
    }
    roan_out_integer(call->out, (int64_t)count);
}

/* ---- ZADD, ZINCRBY ---- */

typedef struct add_options {
    bool if_absent, if_present, if_greater, if_less, counts_changes, increments;
    size_t first, pairs; /* arguments: the first score, and how many pairs there are */
} add_options;

/* What has happened to one member. */
typedef enum add_outcome { ADD_NOTHING, ADD_SAME, ADD_CHANGED, ADD_NEW, ADD_NAN } add_outcome;

#define SCORES_ON_STACK 16

static bool parse_add_option(const roan_call *call, size_t index, add_options *options)
{
    roan_slice word = call->argv[index];
    if (word.bytes == 2) {
        bool *flag = roan_slice_is(word, "NX")   ? &options->if_absent
                     : roan_slice_is(word, "XX") ? &options->if_present
                     : roan_slice_is(word, "GT") ? &options->if_greater
                     : roan_slice_is(word, "LT") ? &options->if_less
                     : roan_slice_is(word, "CH") ? &options->counts_changes
                                                 : NULL;
        if (flag != NULL)
            *flag = true;
        return flag != NULL;
    }
    if (word.bytes != 4 || !roan_slice_is(word, "INCR"))
        return false;
    options->increments = true;
    return true;
}

static bool parse_add(roan_call *call, add_options *options)
{
    size_t at = 2;
    while (at < call->argc && parse_add_option(call, at, options))
        at++;
    size_t words = call->argc - at;
    options->first = at;
    options->pairs = words / 2;
    if (words == 0 || words % 2 != 0) {
        roan_call_syntax_error(call);
        return false;
    }
    if (options->if_absent && options->if_present) {
        roan_call_error(call, "ERR XX and NX options at the same time are not compatible");
        return false;
    }
    if (options->if_absent + options->if_greater + options->if_less > 1) {
        roan_call_error(call, "ERR GT, LT, and/or NX options at the same time are not compatible");
        return false;
    }
    if (options->increments && options->pairs > 1) {
        roan_call_error(call, "ERR INCR option supports a single increment-element pair");
        return false;
    }
    return true;
}

/* Applies the options to one member; *score is the increment, or the score, and then the score that the member has. */
static add_outcome add_member(roan_call *call, roan_value *value, const add_options *options, roan_slice member,
                              double *score)
{
    roan_zset_spot spot;
    if (!roan_zset_find(*value, member, &spot)) {
        if (options->if_present)
            return ADD_NOTHING;
        roan_zset_put(value, &call->engine->types, member, &spot, *score);
        return ADD_NEW;
    }
    if (options->if_absent)
        return ADD_NOTHING;
    double wanted = options->increments ? spot.score + *score : *score;
    if (isnan(wanted))
        return ADD_NAN;
    if ((options->if_less && wanted >= spot.score) || (options->if_greater && wanted <= spot.score))
        return ADD_NOTHING;
    *score = wanted;
    if (wanted == spot.score)
        return ADD_SAME;
    roan_zset_put(value, &call->engine->types, member, &spot, wanted);
    return ADD_CHANGED;
}

/* The set as it is or as a new one, ready for that many more. */
static roan_value prepare_value(roan_call *call, const roan_place *place, const add_options *options)
{
    size_t longest = 0;
    for (size_t i = 0; i < options->pairs; i++)
        longest = ROAN_MAX(longest, call->argv[options->first + 2 * i + 1].bytes);
    if (place->entry == NULL)
        return roan_zset_create_for(&call->engine->types, options->pairs, longest);
    roan_value value = roan_place_value(place);
    roan_zset_expect(&value, &call->engine->types, options->pairs, longest);
    return value;
}

static void keep_added(roan_call *call, roan_place *place, roan_value value)
{
    if (place->entry == NULL)
        roan_place_create(call, place, ROAN_TYPE_ZSET, value, ROAN_EXPIRY_NONE);
    else
        roan_place_store(call, place, value);
}

/* Adds all members; scores become what the members have. */
static void add_members(roan_call *call, roan_place *place, const add_options *options, double *scores)
{
    uint64_t count[ADD_NAN + 1] = {0};
    roan_value value = prepare_value(call, place, options);
    for (size_t i = 0; i < options->pairs; i++)
        count[add_member(call, &value, options, call->argv[options->first + 2 * i + 1], &scores[i])]++;
    keep_added(call, place, value);
    uint64_t changes = count[ADD_NEW] + count[ADD_CHANGED];
    if (changes > 0) {
        call->dirty += changes - 1;
        roan_call_changed(call, place, ROAN_EVENT_ZSET, options->increments ? "zincr" : "zadd");
    }
    if (count[ADD_NAN] > 0)
        roan_call_error(call, "ERR resulting score is not a number (NaN)");
    else if (!options->increments)
        roan_out_integer(call->out, (int64_t)(options->counts_changes ? changes : count[ADD_NEW]));
    else if (count[ADD_NOTHING] > 0)
        roan_out_null(call->out);
    else
        roan_out_double(call->out, scores[0]);
}

static void add_with_scores(roan_call *call, const add_options *options, double *scores)
{
    roan_place place;
    for (size_t i = 0; i < options->pairs; i++)
        if (!roan_call_double(call, options->first + 2 * i, &scores[i], NULL))
            return;
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_ZSET))
        return;
    if (place.entry != NULL || !options->if_present)
        add_members(call, &place, options, scores);
    else if (options->increments)
        roan_out_null(call->out);
    else
        roan_out_integer(call->out, 0);
}

static void add(roan_call *call, const add_options *options)
{
    double few[SCORES_ON_STACK];
    if (options->pairs <= ROAN_COUNT_OF(few)) {
        add_with_scores(call, options, few);
        return;
    }
    double *scores = roan_alloc(options->pairs * sizeof *scores);
    add_with_scores(call, options, scores);
    roan_free(scores, options->pairs * sizeof *scores);
}

ROAN_COMMAND(zadd, .arity = -4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_SORTED_SET, .since = "1.2.0",
             .complexity = "O(log(N)) for each member, in a sorted set of N.",
             .summary = "Adds members with scores to a sorted set, or gives members other scores.",
             .arguments = "key:key [condition^3.0.2<NX|XX>] [comparison^6.2.0<GT|LT>] [CH@change^3.0.2] "
                          "[INCR@increment^3.0.2] data{score:double member}...",
             .history = "2.4.0|Several members at once.\n3.0.2|Options XX, NX, CH and INCR.\n6.2.0|Options GT and LT.")
{
    add_options options = {0};
    if (parse_add(call, &options))
        add(call, &options);
}

ROAN_COMMAND(zincrby, .arity = 4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_SORTED_SET,
             .since = "1.2.0", .complexity = "O(log(N)) in a sorted set of N.",
             .summary = "Adds to the score of a member of a sorted set.",
             .arguments = "key:key increment:integer member")
{
    add_options options = {.increments = true, .first = 2, .pairs = 1};
    add(call, &options);
}

/* ---- ZREM ---- */

ROAN_COMMAND(zrem, .arity = -3, .flags = ROAN_CMD_WRITE | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_SORTED_SET, .since = "1.2.0",
             .complexity = "O(M*log(N)) for M members, in a sorted set of N.",
             .summary = "Takes members out of a sorted set.", .arguments = "key:key member...",
             .history = "2.4.0|Several members at once.")
{
    roan_place place;
    roan_value value;
    uint64_t removed = 0;
    if (roan_zset_find_write(call, 1, &place, &value)) {
        for (size_t i = 2; i < call->argc && roan_zset_count(value) > 0; i++)
            removed += roan_zset_remove(&value, call->argv[i]);
        roan_zset_shrunk(call, &place, value, removed, "zrem");
    }
    if (!call->has_failed)
        roan_out_integer(call->out, (int64_t)removed);
}

/* ---- looking up ---- */

ROAN_COMMAND(zcard, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO)}, .group = ROAN_GROUP_SORTED_SET, .since = "1.2.0",
             .complexity = "O(1)", .summary = "Tells how many members a sorted set has.", .arguments = "key:key")
{
    roan_place place;
    roan_value value;
    if (roan_zset_find_read(call, 1, &place, &value))
        roan_out_integer(call->out, (int64_t)roan_zset_count(value));
    else if (!call->has_failed)
        roan_out_integer(call->out, 0);
}

static void send_score(roan_call *call, roan_value value, roan_slice member)
{
    double score;
    if (roan_zset_score(value, member, &score))
        roan_out_double(call->out, score);
    else
        roan_out_null(call->out);
}

ROAN_COMMAND(zscore, .arity = 3, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "1.2.0",
             .complexity = "O(1)", .summary = "Tells the score of a member of a sorted set.",
             .arguments = "key:key member")
{
    roan_place place;
    roan_value value;
    if (roan_zset_find_read(call, 1, &place, &value))
        send_score(call, value, call->argv[2]);
    else if (!call->has_failed)
        roan_out_null(call->out);
}

ROAN_COMMAND(zmscore, .arity = -3, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "6.2.0",
             .complexity = "O(N) for N members.", .summary = "Tells the scores of several members of a sorted set.",
             .arguments = "key:key member...")
{
    roan_place place;
    roan_value value;
    bool is_there = roan_zset_find_read(call, 1, &place, &value);
    if (call->has_failed)
        return;
    roan_out_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++)
        if (is_there)
            send_score(call, value, call->argv[i]);
        else
            roan_out_null(call->out);
}

static void send_rank(roan_call *call, bool is_reversed)
{
    roan_place place;
    roan_value value;
    uint64_t rank;
    double score;
    bool with_score = call->argc == 4;
    if (call->argc > 4) {
        roan_call_arity_error(call);
        return;
    }
    if (with_score && !roan_call_is(call, 3, "WITHSCORE")) {
        roan_call_syntax_error(call);
        return;
    }
    bool is_there = roan_zset_find_read(call, 1, &place, &value) && roan_zset_rank(value, call->argv[2], &rank, &score);
    if (call->has_failed)
        return;
    if (!is_there) {
        if (with_score)
            roan_out_null_array(call->out);
        else
            roan_out_null(call->out);
        return;
    }
    if (with_score)
        roan_out_array(call->out, 2);
    roan_out_integer(call->out, (int64_t)(is_reversed ? roan_zset_count(value) - 1 - rank : rank));
    if (with_score)
        roan_out_double(call->out, score);
}

ROAN_COMMAND(zrank, .arity = -3, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "2.0.0",
             .complexity = "O(log(N)) in a sorted set of N.",
             .summary = "Tells how many members of a sorted set are lower than one.",
             .arguments = "key:key member [WITHSCORE]", .history = "7.2.0|Option WITHSCORE.")
{
    send_rank(call, false);
}

ROAN_COMMAND(zrevrank, .arity = -3, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "2.0.0",
             .complexity = "O(log(N)) in a sorted set of N.",
             .summary = "Tells how many members of a sorted set are higher than one.",
             .arguments = "key:key member [WITHSCORE]", .history = "7.2.0|Option WITHSCORE.")
{
    send_rank(call, true);
}

/* ---- ZSCAN ---- */

typedef struct scan_visit {
    roan_call *call;
    const roan_scan_options *options;
    bool is_large;
    size_t sent;
} scan_visit;

/* Scores are text here, in both protocols; those of large sets with all 17 digits. */
static void send_scanned_score(const scan_visit *visit, double score)
{
    char text[ROAN_DOUBLE_TEXT_MAX];
    size_t bytes = visit->is_large ? (size_t)snprintf(text, sizeof text, "%.17g", score)
                                   : roan_format_double(text, score);
    roan_out_bulk(visit->call->out, roan_slice_make(text, bytes));
}

static void send_scanned(void *context, const roan_zset_item *item)
{
    scan_visit *visit = context;
    if (!roan_scan_takes(visit->options, item->member))
        return;
    roan_out_bulk(visit->call->out, item->member);
    visit->sent++;
    if (visit->options->without_values)
        return;
    send_scanned_score(visit, item->score);
    visit->sent++;
}

ROAN_COMMAND(zscan, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "2.8.0",
             .complexity = "O(1) for each call, O(N) for a sweep over N members.",
             .summary = "Visits the members of a sorted set, a few at a time.",
             .arguments = "key:key cursor:integer [MATCH pattern:pattern] [COUNT count:integer] [NOSCORES]",
             .tips = "nondeterministic_output", .history = "8.0.0|Option NOSCORES.")
{
    roan_scan_options options;
    roan_place place;
    roan_value value;
    if (!roan_scan_parse_cursor(call, ROAN_SCAN_ZSET, &options))
        return;
    bool is_there = roan_zset_find_read(call, 1, &place, &value);
    if (call->has_failed || (is_there && !roan_scan_parse_options(call, ROAN_SCAN_ZSET, &options)))
        return;
    scan_visit visit = {.call = call, .options = &options};
    uint64_t position = 0;
    roan_scan_reply reply = roan_scan_reply_open(call);
    if (is_there) {
        visit.is_large = value.encoding == ROAN_ZSET_TREE;
        position = roan_zset_scan(value, roan_scan_position(options.cursor), options.count, send_scanned, &visit);
    }
    roan_scan_reply_close(call, reply, roan_scan_cursor(position), visit.sent);
}
