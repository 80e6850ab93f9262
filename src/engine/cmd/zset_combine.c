/* engine/cmd/zset_combine.c: unions, intersections and differences of sorted sets, sent, stored or counted. Plain sets
 * may be among the inputs; their members have the score 1.
 *
 * Inputs are taken from the smallest to the largest, and scores are aggregated in that order, as in the reference:
 * sums of doubles depend on it. An infinity less an infinity, or times a weight of zero, counts as zero.
 */
#include "engine/cmd/zset.h"

#include "types/set.h"

#include <math.h>
#include <stdlib.h>

typedef enum combine_kind { COMBINE_UNION, COMBINE_INTER, COMBINE_DIFF } combine_kind;
typedef enum aggregate { AGGREGATE_SUM, AGGREGATE_MIN, AGGREGATE_MAX } aggregate;

typedef struct source {
    bool is_set;      /* a plain one */
    roan_value value; /* data NULL: absent */
    size_t count;
    size_t position;  /* among the arguments */
    double weight;
} source;

typedef struct combine {
    combine_kind kind;
    bool is_stored;    /* in argv[1] */
    bool is_counted;   /* only the number is wanted */
    bool with_scores;
    aggregate how;
    int64_t limit;     /* of counting; 0: none */
    source *sources;
    size_t source_count;
} combine;

/* ---- reading ---- */

static bool find_sources(roan_call *call, size_t first, combine *what)
{
    for (size_t i = 0; i < what->source_count; i++) {
        source *from = &what->sources[i];
        roan_place place;
        *from = (source){.position = i, .weight = 1};
        roan_call_read_ahead(call, i, first, 1);
        if (!roan_call_find_read(call, first + i, &place))
            continue;
        from->is_set = place.entry->type == ROAN_TYPE_SET;
        if (!from->is_set && !roan_call_is_type(call, &place, ROAN_TYPE_ZSET))
            return false;
        from->value = roan_place_value(&place);
        from->count = from->is_set ? roan_set_count(from->value) : roan_zset_count(from->value);
    }
    return true;
}

static bool parse_weights(roan_call *call, size_t at, combine *what)
{
    for (size_t i = 0; i < what->source_count; i++)
        if (!roan_call_double(call, at + i, &what->sources[i].weight, "ERR weight value is not a float"))
            return false;
    return true;
}

static bool parse_aggregate(const roan_call *call, size_t at, aggregate *ret_how)
{
    static const char *const names[] = {"SUM", "MIN", "MAX"};
    for (unsigned i = 0; i < ROAN_COUNT_OF(names); i++)
        if (roan_call_is(call, at, names[i])) {
            *ret_how = (aggregate)i;
            return true;
        }
    return false;
}

/* The option at `at`; returns how many words it has, 0 after an error was sent. */
static size_t parse_combine_option(roan_call *call, size_t at, combine *what)
{
    size_t left = call->argc - at;
    bool has_weights = what->kind != COMBINE_DIFF && !what->is_counted;
    if (has_weights && left > what->source_count && roan_call_is(call, at, "WEIGHTS"))
        return parse_weights(call, at + 1, what) ? 1 + what->source_count : 0;
    if (has_weights && left >= 2 && roan_call_is(call, at, "AGGREGATE") && parse_aggregate(call, at + 1, &what->how))
        return 2;
    if (!what->is_stored && !what->is_counted && roan_call_is(call, at, "WITHSCORES")) {
        what->with_scores = true;
        return 1;
    }
    if (what->is_counted && left >= 2 && roan_call_is(call, at, "LIMIT"))
        return roan_call_integer_in(call, at + 1, 0, INT64_MAX, &what->limit, "ERR LIMIT can't be negative") ? 2 : 0;
    roan_call_syntax_error(call);
    return 0;
}

/* ---- looking into sources ---- */

/* Visits the members of a source with their scores, until the visitor returns false. */
typedef bool (*member_fn)(void *context, roan_slice member, double score);

typedef struct set_visit {
    member_fn visit;
    void *context;
} set_visit;

static bool visit_set_member(void *context, roan_slice member)
{
    const set_visit *to = context;
    return to->visit(to->context, member, 1);
}

static void each_member(const source *from, member_fn visit, void *context)
{
    if (from->count == 0)
        return;
    if (from->is_set) {
        set_visit to = {visit, context};
        roan_set_each(from->value, visit_set_member, &to);
        return;
    }
    roan_zset_iterator at;
    roan_zset_item item;
    roan_zset_iterator_init(&at, from->value, 0, false);
    while (roan_zset_next(&at, &item) && visit(context, item.member, item.score))
        continue;
}

static bool find_member(const source *in, roan_slice member, double *ret_score)
{
    *ret_score = 1;
    if (in->count == 0)
        return false;
    return in->is_set ? roan_set_contains(in->value, member) : roan_zset_score(in->value, member, ret_score);
}

/* ---- scores ---- */

static double weigh(const source *from, double score)
{
    double weighed = from->weight * score;
    return isnan(weighed) ? 0 : weighed;
}

static double add_up(double total, double score, aggregate how)
{
    if (how == AGGREGATE_MIN)
        return score < total ? score : total;
    if (how == AGGREGATE_MAX)
        return score > total ? score : total;
    double sum = total + score;
    return isnan(sum) ? 0 : sum;
}

/* ---- the three kinds ---- */

/* A combination being worked on. */
typedef struct work {
    const combine *what;
    const source *from;        /* whose members are visited */
    roan_zset_builder builder; /* unless members are only counted */
    int64_t count;             /* when they are */
} work;

static bool unite_member(void *context, roan_slice member, double score)
{
    work *on = context;
    roan_zset_spot spot;
    double weighed = weigh(on->from, score);
    if (roan_zset_builder_find(&on->builder, member, &spot))
        weighed = add_up(spot.score, weighed, on->what->how);
    roan_zset_builder_put(&on->builder, member, &spot, weighed);
    return true;
}

static void unite(work *on)
{
    for (size_t i = 0; i < on->what->source_count; i++) {
        on->from = &on->what->sources[i];
        each_member(on->from, unite_member, on);
    }
}

static void add_result(work *on, roan_slice member, double score)
{
    roan_zset_spot spot;
    ROAN_IGNORE(roan_zset_builder_find(&on->builder, member, &spot)); /* it is not there, but where? */
    roan_zset_builder_put(&on->builder, member, &spot, score);
}

static bool intersect_member(void *context, roan_slice member, double score)
{
    work *on = context;
    const combine *what = on->what;
    double total = weigh(&what->sources[0], score), other;
    for (size_t i = 1; i < what->source_count; i++) {
        if (!find_member(&what->sources[i], member, &other))
            return true;
        total = add_up(total, other * what->sources[i].weight, what->how);
    }
    if (what->is_counted)
        return ++on->count != what->limit;
    add_result(on, member, total);
    return true;
}

static bool keep_if_in_no_other(void *context, roan_slice member, double score)
{
    work *on = context;
    double ignored;
    for (size_t i = 1; i < on->what->source_count; i++)
        if (find_member(&on->what->sources[i], member, &ignored))
            return true;
    add_result(on, member, score);
    return true;
}

static bool keep_member(void *context, roan_slice member, double score)
{
    add_result(context, member, score);
    return true;
}

static bool drop_member(void *context, roan_slice member, double score)
{
    work *on = context;
    roan_zset_spot spot;
    (void)score;
    if (roan_zset_builder_find(&on->builder, member, &spot))
        roan_zset_builder_drop(&on->builder, &spot);
    return true;
}

/* Looks the first one's members up in the others, or takes the others' members out of the first, whichever is less
 * work. */
static void subtract(work *on)
{
    const combine *what = on->what;
    const source *first = &what->sources[0];
    double looking = (double)first->count * (double)(what->source_count - 1) / 2, dropping = (double)first->count;
    for (size_t i = 1; i < what->source_count; i++)
        dropping += (double)what->sources[i].count;
    if (looking <= dropping) {
        each_member(first, keep_if_in_no_other, on);
        return;
    }
    each_member(first, keep_member, on);
    for (size_t i = 1; i < what->source_count; i++)
        each_member(&what->sources[i], drop_member, on);
}

static int compare_counts(const void *left, const void *right)
{
    const source *a = left, *b = right;
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    return a->position < b->position ? -1 : 1;
}

static void run(work *on)
{
    const combine *what = on->what;
    switch (what->kind) {
    case COMBINE_UNION:
        unite(on);
        break;
    case COMBINE_INTER:
        each_member(&what->sources[0], intersect_member, on);
        break;
    case COMBINE_DIFF:
        subtract(on);
        break;
    }
}

/* ---- answering ---- */

static void send_result(roan_call *call, roan_value result, bool with_scores)
{
    roan_zset_shape shape = roan_zset_shape_of(call, with_scores);
    roan_zset_iterator at;
    roan_zset_item item;
    roan_zset_send_header(call, shape, roan_zset_count(result));
    roan_zset_iterator_init(&at, result, 0, false);
    while (roan_zset_next(&at, &item))
        roan_zset_send(call, shape, &item);
    roan_zset_ops.free_value(result);
}

static void combine_sources(roan_call *call, combine *what)
{
    static const char *const events[] = {"zunionstore", "zinterstore", "zdiffstore"};
    work on = {.what = what};
    if (what->kind != COMBINE_DIFF)
        qsort(what->sources, what->source_count, sizeof *what->sources, compare_counts);
    if (what->is_counted) {
        run(&on);
        roan_out_integer(call->out, on.count);
        return;
    }
    roan_zset_builder_init(&on.builder, &call->engine->types);
    run(&on);
    roan_value result = roan_zset_builder_finish(&on.builder, !what->is_stored);
    if (what->is_stored)
        roan_zset_store_result(call, result, events[what->kind]);
    else
        send_result(call, result, what->with_scores);
}

static bool parse_options(roan_call *call, size_t at, combine *what)
{
    while (at < call->argc) {
        size_t words = parse_combine_option(call, at, what);
        if (words == 0)
            return false;
        at += words;
    }
    return true;
}

/* Reads numkeys and all that follows, and does it. */
static void run_combine(roan_call *call, combine what)
{
    int64_t count;
    size_t numkeys = what.is_stored ? 2 : 1;
    if (!roan_call_integer(call, numkeys, &count, NULL))
        return;
    if (count < 1) {
        roan_call_error_printf(call, "ERR at least 1 input key is needed for '%s' command", call->command->name);
        return;
    }
    if ((uint64_t)count > call->argc - numkeys - 1) {
        roan_call_syntax_error(call);
        return;
    }
    what.source_count = (size_t)count;
    what.sources = roan_alloc(what.source_count * sizeof *what.sources);
    if (find_sources(call, numkeys + 1, &what) && parse_options(call, numkeys + 1 + what.source_count, &what))
        combine_sources(call, &what);
    roan_free(what.sources, what.source_count * sizeof *what.sources);
}

ROAN_COMMAND(zunion, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(1, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET,
             .since = "6.2.0", .complexity = "O(N)+O(M*log(M)) for N members in the inputs and M in the result.",
             .summary = "Lists the members of any of several sorted sets.",
             .arguments = "numkeys:integer key:key... [WEIGHTS weight:integer...] [AGGREGATE aggregate<SUM|MIN|MAX>] "
                          "[WITHSCORES]")
{
    run_combine(call, (combine){.kind = COMBINE_UNION});
}

ROAN_COMMAND(zunionstore, .arity = -4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_OW | ROAN_KEY_UPDATE), ROAN_KEYNUM(2, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_SORTED_SET, .since = "2.0.0",
             .complexity = "O(N)+O(M*log(M)) for N members in the inputs and M in the result.",
             .summary = "Stores the members of any of several sorted sets.",
             .arguments = "destination:key numkeys:integer key:key... [WEIGHTS weight:integer...] "
                          "[AGGREGATE aggregate<SUM|MIN|MAX>]")
{
    run_combine(call, (combine){.kind = COMBINE_UNION, .is_stored = true});
}

ROAN_COMMAND(zinter, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(1, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET,
             .since = "6.2.0",
             .complexity = "O(N*K)+O(M*log(M)) for K inputs, the smallest of N members, and M in the result.",
             .summary = "Lists the members that several sorted sets have in common.",
             .arguments = "numkeys:integer key:key... [WEIGHTS weight:integer...] [AGGREGATE aggregate<SUM|MIN|MAX>] "
                          "[WITHSCORES]")
{
    run_combine(call, (combine){.kind = COMBINE_INTER});
}

ROAN_COMMAND(zinterstore, .arity = -4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_OW | ROAN_KEY_UPDATE), ROAN_KEYNUM(2, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_SORTED_SET, .since = "2.0.0",
             .complexity = "O(N*K)+O(M*log(M)) for K inputs, the smallest of N members, and M in the result.",
             .summary = "Stores the members that several sorted sets have in common.",
             .arguments = "destination:key numkeys:integer key:key... [WEIGHTS weight:integer...] "
                          "[AGGREGATE aggregate<SUM|MIN|MAX>]")
{
    run_combine(call, (combine){.kind = COMBINE_INTER, .is_stored = true});
}

ROAN_COMMAND(zintercard, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(1, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET,
             .since = "7.0.0", .complexity = "O(N*K) for K inputs, the smallest of N members.",
             .summary = "Counts the members that several sorted sets have in common.",
             .arguments = "numkeys:integer key:key... [LIMIT limit:integer]")
{
    run_combine(call, (combine){.kind = COMBINE_INTER, .is_counted = true});
}

ROAN_COMMAND(zdiff, .arity = -3, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEYNUM(1, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET,
             .since = "6.2.0",
             .complexity = "O(L+M*log(M)) for L members in the inputs and M in the result, or less.",
             .summary = "Lists the members of the first sorted set that no other has.",
             .arguments = "numkeys:integer key:key... [WITHSCORES]")
{
    run_combine(call, (combine){.kind = COMBINE_DIFF});
}

ROAN_COMMAND(zdiffstore, .arity = -4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_OW | ROAN_KEY_UPDATE), ROAN_KEYNUM(2, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_SORTED_SET, .since = "6.2.0",
             .complexity = "O(L+M*log(M)) for L members in the inputs and M in the result, or less.",
             .summary = "Stores the members of the first sorted set that no other has.",
             .arguments = "destination:key numkeys:integer key:key...")
{
    run_combine(call, (combine){.kind = COMBINE_DIFF, .is_stored = true});
}
