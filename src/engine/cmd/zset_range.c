/* engine/cmd/zset_range.c: parts of sorted sets: ZRANGE in all its forms, ZRANGESTORE, counting, removing.
 *
 * Whatever a client names (indexes, scores, members) is resolved to ranks: a first one and a count. LIMIT is then
 * arithmetic, every form of reply is one loop, and counting needs no loop at all.
 */
#include "engine/cmd/zset.h"

/* ---- reading ranges ---- */

/* "(1.5", "-inf", "7". As in the reference, nothing at all is zero, and what follows a NUL is not looked at. */
static bool parse_score(roan_slice text, bool *ret_is_exclusive, double *ret_score)
{
    const char *end = text.bytes == 0 ? NULL : memchr(text.data, '\0', text.bytes);
    if (end != NULL)
        text.bytes = (size_t)(end - text.data);
    *ret_is_exclusive = text.bytes > 0 && text.data[0] == '(';
    if (*ret_is_exclusive)
        text = roan_slice_make(text.data + 1, text.bytes - 1);
    *ret_score = 0;
    return text.bytes == 0 || roan_parse_double_saturating(text, ret_score);
}

static bool parse_scores(roan_slice min, roan_slice max, roan_zset_range *range)
{
    bool is_above, is_below;
    range->start.has_score = range->end.has_score = true;
    if (!parse_score(min, &is_above, &range->start.score) || !parse_score(max, &is_below, &range->end.score))
        return false;
    range->start.is_behind = is_above;
    range->end.is_behind = !is_below;
    return true;
}

/* "[member", "(member", "-", "+"; of the latter two what follows a NUL is not looked at. */
static bool parse_member(roan_slice text, bool *ret_is_lowest, bool *ret_is_highest, bool *ret_is_exclusive,
                         roan_slice *ret_member)
{
    if (text.bytes == 0)
        return false;
    bool is_alone = text.bytes == 1 || text.data[1] == '\0';
    *ret_is_lowest = text.data[0] == '-' && is_alone;
    *ret_is_highest = text.data[0] == '+' && is_alone;
    *ret_is_exclusive = text.data[0] == '(';
    *ret_member = roan_slice_make(text.data + 1, text.bytes - 1);
    return *ret_is_lowest || *ret_is_highest || *ret_is_exclusive || text.data[0] == '[';
}

static bool parse_members(roan_slice min, roan_slice max, roan_zset_range *range)
{
    bool is_above, is_below;
    range->start.has_member = range->end.has_member = true;
    if (!parse_member(min, &range->starts_at_first, &range->starts_behind_all, &is_above, &range->start.member) ||
        !parse_member(max, &range->ends_before_all, &range->ends_at_last, &is_below, &range->end.member))
        return false;
    range->start.is_behind = is_above;
    range->end.is_behind = !is_below;
    return true;
}

bool roan_zset_parse_range(roan_call *call, roan_zset_by by, size_t min_index, size_t max_index,
                           roan_zset_range *ret_range)
{
    roan_slice min = call->argv[min_index], max = call->argv[max_index];
    *ret_range = (roan_zset_range){.by = by};
    switch (by) {
    case ROAN_ZSET_BY_RANK:
        return roan_call_integer(call, min_index, &ret_range->first, NULL) &&
               roan_call_integer(call, max_index, &ret_range->last, NULL);
    case ROAN_ZSET_BY_SCORE:
        if (parse_scores(min, max, ret_range))
            return true;
        roan_call_error(call, "ERR min or max is not a float");
        return false;
    case ROAN_ZSET_BY_LEX:
        if (parse_members(min, max, ret_range))
            return true;
        roan_call_error(call, "ERR min or max not valid string range item");
        return false;
    }
    ROAN_UNREACHABLE("a way to name a range");
}

/* ---- from ranges to ranks ---- */

static roan_zset_ranks resolve_indexes(int64_t count, int64_t first, int64_t last)
{
    if (first < 0)
        first += count;
    if (last < 0)
        last += count;
    first = ROAN_MAX(first, 0);
    last = ROAN_MIN(last, count - 1);
    if (first > last)
        return (roan_zset_ranks){0};
    return (roan_zset_ranks){(uint64_t)first, (uint64_t)(last - first) + 1};
}

roan_zset_ranks roan_zset_resolve(roan_value value, const roan_zset_range *range, bool is_reversed)
{
    uint64_t count = roan_zset_count(value);
    if (range->by == ROAN_ZSET_BY_RANK)
        return resolve_indexes((int64_t)count, range->first, range->last);
    if (range->starts_behind_all || range->ends_before_all)
        return (roan_zset_ranks){0};
    uint64_t first = range->starts_at_first ? 0 : roan_zset_rank_before(value, &range->start);
    uint64_t end = range->ends_at_last ? count : roan_zset_rank_before(value, &range->end);
    if (first >= end)
        return (roan_zset_ranks){0};
    return (roan_zset_ranks){is_reversed ? count - end : first, end - first};
}

/* ---- ZRANGE and its relatives ---- */

typedef struct range_query {
    size_t key;            /* argument of the sorted set */
    roan_zset_by by;
    bool has_by;           /* BYSCORE and BYLEX are no options: the command says it */
    bool is_reversed, has_direction;
    bool may_have_scores;
    bool with_scores;
    int64_t offset, limit; /* limit below 0: none */
    roan_zset_range range;
} range_query;

static bool parse_limit(roan_call *call, size_t at, range_query *query)
{
    return roan_call_integer(call, at + 1, &query->offset, NULL) &&
           roan_call_integer(call, at + 2, &query->limit, NULL);
}

/* The option at `at`; returns how many words it has, 0 after an error was sent. */
static size_t parse_range_option(roan_call *call, size_t at, range_query *query)
{
    if (query->may_have_scores && roan_call_is(call, at, "WITHSCORES")) {
        query->with_scores = true;
        return 1;
    }
    if (at + 2 < call->argc && roan_call_is(call, at, "LIMIT"))
        return parse_limit(call, at, query) ? 3 : 0;
    if (!query->has_direction && roan_call_is(call, at, "REV")) {
        query->has_direction = query->is_reversed = true;
        return 1;
    }
    bool is_lex = !query->has_by && roan_call_is(call, at, "BYLEX");
    if (is_lex || (!query->has_by && roan_call_is(call, at, "BYSCORE"))) {
        query->has_by = true;
        query->by = is_lex ? ROAN_ZSET_BY_LEX : ROAN_ZSET_BY_SCORE;
        return 1;
    }
    roan_call_syntax_error(call);
    return 0;
}

static bool parse_query(roan_call *call, range_query *query)
{
    query->limit = -1;
    for (size_t at = query->key + 3; at < call->argc;) {
        size_t words = parse_range_option(call, at, query);
        if (words == 0)
            return false;
        at += words;
    }
    if (query->limit != -1 && query->by == ROAN_ZSET_BY_RANK) {
        roan_call_error(call, "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
        return false;
    }
    if (query->with_scores && query->by == ROAN_ZSET_BY_LEX) {
        roan_call_error(call, "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        return false;
    }
    bool is_swapped = query->is_reversed && query->by != ROAN_ZSET_BY_RANK; /* the maximum comes first */
    size_t first = query->key + 1;
    return roan_zset_parse_range(call, query->by, first + is_swapped, first + 1 - is_swapped, &query->range);
}

/* What LIMIT leaves. An offset below zero counts from the end in a large set, and leaves nothing in a small one: so
 * does the reference. */
static roan_zset_ranks limit_ranks(roan_value value, roan_zset_ranks ranks, int64_t offset, int64_t limit)
{
    if (offset < 0)
        offset = value.encoding == ROAN_ZSET_TREE ? (int64_t)ranks.count + offset : -1;
    if (offset < 0 || (uint64_t)offset >= ranks.count)
        return (roan_zset_ranks){0};
    ranks.first += (uint64_t)offset;
    ranks.count -= (uint64_t)offset;
    if (limit >= 0)
        ranks.count = ROAN_MIN(ranks.count, (uint64_t)limit);
    return ranks;
}

static roan_zset_ranks resolve_query(roan_value value, const range_query *query)
{
    roan_zset_ranks ranks = roan_zset_resolve(value, &query->range, query->is_reversed);
    return query->by == ROAN_ZSET_BY_RANK ? ranks : limit_ranks(value, ranks, query->offset, query->limit);
}

/* There is at least one rank. */
static void start_iterator(roan_zset_iterator *at, roan_value value, const range_query *query, roan_zset_ranks ranks)
{
    uint64_t rank = query->is_reversed ? roan_zset_count(value) - 1 - ranks.first : ranks.first;
    roan_zset_iterator_init(at, value, rank, query->is_reversed);
}

static void send_ranks(roan_call *call, roan_value value, const range_query *query, roan_zset_ranks ranks)
{
    roan_zset_shape shape = roan_zset_shape_of(call, query->with_scores);
    roan_zset_iterator at;
    roan_zset_item item;
    roan_zset_send_header(call, shape, ranks.count);
    if (ranks.count > 0)
        start_iterator(&at, value, query, ranks);
    for (uint64_t i = 0; i < ranks.count && roan_zset_next(&at, &item); i++)
        roan_zset_send(call, shape, &item);
}

static void send_range(roan_call *call, range_query query)
{
    roan_place place;
    roan_value value;
    query.key = 1;
    query.may_have_scores = true;
    if (!parse_query(call, &query))
        return;
    if (roan_zset_find_read(call, 1, &place, &value))
        send_ranks(call, value, &query, resolve_query(value, &query));
    else if (!call->has_failed)
        roan_out_array(call->out, 0);
}

/* The commands that say in their names what ZRANGE has options for. */
static range_query older_form(roan_zset_by by, bool is_reversed)
{
    return (range_query){.by = by, .has_by = true, .is_reversed = is_reversed, .has_direction = true};
}

ROAN_COMMAND(zrange, .arity = -4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "1.2.0",
             .complexity = "O(log(N)+M) for M members, in a sorted set of N.",
             .summary = "Lists a part of a sorted set, named by indexes, scores or members.",
             .arguments = "key:key start stop [sortby^6.2.0<BYSCORE|BYLEX>] [REV^6.2.0] "
                          "[LIMIT limit^6.2.0{offset:integer count:integer}] [WITHSCORES]",
             .history = "6.2.0|Options REV, BYSCORE, BYLEX and LIMIT.")
{
    send_range(call, (range_query){.by = ROAN_ZSET_BY_RANK});
}

ROAN_COMMAND(zrevrange, .arity = -4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "1.2.0",
             .complexity = "O(log(N)+M) for M members, in a sorted set of N.",
             .summary = "Lists a part of a sorted set, named by indexes, the highest first.",
             .arguments = "key:key start:integer stop:integer [WITHSCORES]")
{
    send_range(call, older_form(ROAN_ZSET_BY_RANK, true));
}

ROAN_COMMAND(zrangebyscore, .arity = -4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "1.0.5",
             .complexity = "O(log(N)+M) for M members, in a sorted set of N.",
             .summary = "Lists the members of a sorted set with scores in a range.",
             .arguments = "key:key min:double max:double [WITHSCORES^2.0.0] "
                          "[LIMIT limit{offset:integer count:integer}]",
             .history = "2.0.0|Option WITHSCORES.")
{
    send_range(call, older_form(ROAN_ZSET_BY_SCORE, false));
}

ROAN_COMMAND(zrevrangebyscore, .arity = -4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "2.2.0",
             .complexity = "O(log(N)+M) for M members, in a sorted set of N.",
             .summary = "Lists the members of a sorted set with scores in a range, the highest first.",
             .arguments = "key:key max:double min:double [WITHSCORES] [LIMIT limit{offset:integer count:integer}]",
             .history = "2.1.6|Minimum and maximum may be exclusive.")
{
    send_range(call, older_form(ROAN_ZSET_BY_SCORE, true));
}

ROAN_COMMAND(zrangebylex, .arity = -4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "2.8.9",
             .complexity = "O(log(N)+M) for M members, in a sorted set of N.",
             .summary = "Lists the members between two, in a sorted set with equal scores.",
             .arguments = "key:key min max [LIMIT limit{offset:integer count:integer}]")
{
    send_range(call, older_form(ROAN_ZSET_BY_LEX, false));
}

ROAN_COMMAND(zrevrangebylex, .arity = -4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "2.8.9",
             .complexity = "O(log(N)+M) for M members, in a sorted set of N.",
             .summary = "Lists the members between two, in a sorted set with equal scores, the last first.",
             .arguments = "key:key max min [LIMIT limit{offset:integer count:integer}]")
{
    send_range(call, older_form(ROAN_ZSET_BY_LEX, true));
}

/* The part of a sorted set as a new one. It is filled in the order of the query, and is large from the beginning only
 * when its size is known: a negative zero that was in the small form in between is a zero afterwards, in the reference
 * as well. */
static roan_value copy_ranks(roan_call *call, roan_value value, const range_query *query, roan_zset_ranks ranks)
{
    const roan_type_context *types = &call->engine->types;
    roan_value result = roan_zset_create_for(types, query->by == ROAN_ZSET_BY_RANK ? ranks.count : 0, 0);
    roan_zset_iterator at;
    roan_zset_item item;
    if (ranks.count > 0)
        start_iterator(&at, value, query, ranks);
    for (uint64_t i = 0; i < ranks.count && roan_zset_next(&at, &item); i++)
        if (query->is_reversed)
            ROAN_IGNORE(roan_zset_add(&result, types, item.member, item.score)); /* it is new */
        else
            roan_zset_append(&result, types, item.member, item.score);
    return result;
}

ROAN_COMMAND(zrangestore, .arity = -5, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_OW | ROAN_KEY_UPDATE), ROAN_KEY(2, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_SORTED_SET, .since = "6.2.0",
             .complexity = "O(log(N)+M) for M members, in a sorted set of N.",
             .summary = "Stores a part of a sorted set in another key.",
             .arguments = "dst:key src:key min max [sortby<BYSCORE|BYLEX>] [REV] "
                          "[LIMIT limit{offset:integer count:integer}]")
{
    range_query query = {.key = 2};
    roan_place place;
    roan_value value;
    if (!parse_query(call, &query))
        return;
    bool is_there = roan_zset_find_read(call, 2, &place, &value);
    if (call->has_failed)
        return;
    roan_value result = is_there ? copy_ranks(call, value, &query, resolve_query(value, &query))
                                 : roan_zset_create(&call->engine->types);
    roan_zset_store_result(call, result, "zrangestore");
}

/* ---- counting ---- */

static void count_range(roan_call *call, roan_zset_by by)
{
    roan_place place;
    roan_value value;
    roan_zset_range range;
    if (!roan_zset_parse_range(call, by, 2, 3, &range))
        return;
    if (roan_zset_find_read(call, 1, &place, &value))
        roan_out_integer(call->out, (int64_t)roan_zset_resolve(value, &range, false).count);
    else if (!call->has_failed)
        roan_out_integer(call->out, 0);
}

ROAN_COMMAND(zcount, .arity = 4, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "2.0.0",
             .complexity = "O(log(N)) in a sorted set of N.",
             .summary = "Counts the members of a sorted set with scores in a range.",
             .arguments = "key:key min:double max:double")
{
    count_range(call, ROAN_ZSET_BY_SCORE);
}

ROAN_COMMAND(zlexcount, .arity = 4, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "2.8.9",
             .complexity = "O(log(N)) in a sorted set of N.",
             .summary = "Counts the members between two, in a sorted set with equal scores.",
             .arguments = "key:key min max")
{
    count_range(call, ROAN_ZSET_BY_LEX);
}

/* ---- removing ---- */

static void remove_range(roan_call *call, roan_zset_by by, const char *event)
{
    roan_place place;
    roan_value value;
    roan_zset_range range;
    roan_zset_ranks ranks = {0};
    if (!roan_zset_parse_range(call, by, 2, 3, &range))
        return;
    if (roan_zset_find_write(call, 1, &place, &value)) {
        ranks = roan_zset_resolve(value, &range, false);
        roan_zset_remove_range(&value, ranks.first, ranks.count);
        roan_zset_shrunk(call, &place, value, ranks.count, event);
    }
    if (!call->has_failed)
        roan_out_integer(call->out, (int64_t)ranks.count);
}

ROAN_COMMAND(zremrangebyrank, .arity = 4, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_SORTED_SET, .since = "2.0.0",
             .complexity = "O(log(N)+M) for M members, in a sorted set of N.",
             .summary = "Takes a part of a sorted set out, named by indexes.",
             .arguments = "key:key start:integer stop:integer")
{
    remove_range(call, ROAN_ZSET_BY_RANK, "zremrangebyrank");
}

ROAN_COMMAND(zremrangebyscore, .arity = 4, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_SORTED_SET, .since = "1.2.0",
             .complexity = "O(log(N)+M) for M members, in a sorted set of N.",
             .summary = "Takes the members with scores in a range out of a sorted set.",
             .arguments = "key:key min:double max:double")
{
    remove_range(call, ROAN_ZSET_BY_SCORE, "zremrangebyscore");
}

ROAN_COMMAND(zremrangebylex, .arity = 4, .flags = ROAN_CMD_WRITE, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_DELETE)}, .group = ROAN_GROUP_SORTED_SET, .since = "2.8.9",
             .complexity = "O(log(N)+M) for M members, in a sorted set of N.",
             .summary = "Takes the members between two out of a sorted set with equal scores.",
             .arguments = "key:key min max")
{
    remove_range(call, ROAN_ZSET_BY_LEX, "zremrangebylex");
}
