/* engine/cmd/zset_random.c: ZRANDMEMBER: one random member, several different ones, or several that may repeat.
 *
 * Any rank is as likely as any other, and the order finds the member of a rank quickly. Different ones: a few are
 * drawn again until they differ, many are chosen while walking along the whole set.
 */
#include "engine/cmd/zset.h"

#define FEW_MAX 64 /* so many ranks are compared with each other instead of being marked */

/* Members found by their rank: at once in a large set; a small one is read through once if many are wanted. */
typedef struct drawing {
    roan_call *call;
    roan_value value;
    uint64_t count;
    roan_zset_shape shape;
    roan_zset_place *places; /* NULL: not read through */
} drawing;

static void drawing_init(drawing *from, roan_call *call, roan_value value, bool with_scores, bool wants_many)
{
    *from = (drawing){call, value, roan_zset_count(value), roan_zset_shape_of(call, with_scores), NULL};
    if (value.encoding != ROAN_ZSET_PACK || !wants_many)
        return;
    from->places = roan_alloc(from->count * sizeof *from->places);
    roan_zset_places(value, from->places);
}

static void drawing_done(drawing *from)
{
    roan_free(from->places, from->places == NULL ? 0 : from->count * sizeof *from->places);
}

static uint64_t draw_rank(const drawing *from, uint64_t bound)
{
    return roan_random_below(&from->call->lane->random, bound);
}

static void send_rank(const drawing *from, uint64_t rank)
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_zset_place place = from->places != NULL ? from->places[rank] : roan_zset_place_at(from->value, rank);
    roan_zset_item item = roan_zset_read(from->value, place, scratch);
    roan_zset_send(from->call, from->shape, &item);
}

static void send_repeating(const drawing *from, uint64_t wanted)
{
    roan_zset_send_header(from->call, from->shape, wanted);
    for (uint64_t i = 0; i < wanted; i++)
        send_rank(from, draw_rank(from, from->count));
}

/* Walks along the set and takes each member with the probability that just so many are taken. */
static void send_chosen(const drawing *from, uint64_t wanted)
{
    roan_zset_iterator at;
    roan_zset_item item;
    roan_zset_iterator_init(&at, from->value, 0, false);
    for (uint64_t left = from->count; wanted > 0 && roan_zset_next(&at, &item); left--)
        if (wanted == left || draw_rank(from, left) < wanted) {
            roan_zset_send(from->call, from->shape, &item);
            wanted--;
        }
}

static bool is_among(const uint64_t *ranks, size_t count, uint64_t rank)
{
    for (size_t i = 0; i < count; i++)
        if (ranks[i] == rank)
            return true;
    return false;
}

static void send_few(const drawing *from, size_t wanted)
{
    uint64_t ranks[FEW_MAX];
    for (size_t i = 0; i < wanted; i++) {
        do
            ranks[i] = draw_rank(from, from->count);
        while (is_among(ranks, i, ranks[i]));
        send_rank(from, ranks[i]);
    }
}

/* At most a third of all, so that drawing again is rare. */
static void send_marked(const drawing *from, uint64_t wanted)
{
    size_t bytes = from->count / 8 + 1;
    unsigned char *is_taken = roan_alloc_zero(bytes);
    for (uint64_t i = 0; i < wanted; i++) {
        uint64_t rank;
        do
            rank = draw_rank(from, from->count);
        while (is_taken[rank / 8] >> rank % 8 & 1);
        is_taken[rank / 8] |= (unsigned char)(1u << rank % 8);
        send_rank(from, rank);
    }
    roan_free(is_taken, bytes);
}

static void send_different(const drawing *from, uint64_t wanted)
{
    wanted = ROAN_MIN(wanted, from->count);
    roan_zset_send_header(from->call, from->shape, wanted);
    if (from->value.encoding == ROAN_ZSET_PACK || wanted > from->count / 3)
        send_chosen(from, wanted);
    else if (wanted <= FEW_MAX)
        send_few(from, (size_t)wanted);
    else
        send_marked(from, wanted);
}

static void send_many(roan_call *call, int64_t count, bool with_scores)
{
    roan_place place;
    roan_value value;
    drawing from;
    bool is_there = roan_zset_find_read(call, 1, &place, &value);
    if (call->has_failed)
        return;
    if (!is_there || count == 0) {
        roan_out_array(call->out, 0);
        return;
    }
    bool may_repeat = count < 0;
    uint64_t wanted = may_repeat ? 0 - (uint64_t)count : (uint64_t)count;
    drawing_init(&from, call, value, with_scores, may_repeat && wanted > 1);
    if (may_repeat)
        send_repeating(&from, wanted);
    else
        send_different(&from, wanted);
    drawing_done(&from);
}

static void send_one(roan_call *call)
{
    roan_place place;
    roan_value value;
    if (!roan_zset_find_read(call, 1, &place, &value)) {
        if (!call->has_failed)
            roan_out_null(call->out);
        return;
    }
    drawing from;
    drawing_init(&from, call, value, false, false);
    send_rank(&from, draw_rank(&from, from.count));
}

ROAN_COMMAND(zrandmember, .arity = -2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_SORTED_SET, .since = "6.2.0",
             .complexity = "O(N) for N members that are returned.", .summary = "Picks random members of a sorted set.",
             .arguments = "key:key [options{count:integer [WITHSCORES]}]", .tips = "nondeterministic_output")
{
    int64_t count;
    bool with_scores = call->argc == 4;
    if (call->argc == 2) {
        send_one(call);
        return;
    }
    if (!roan_call_integer_in(call, 2, -INT64_MAX, INT64_MAX, &count, NULL))
        return;
    if (call->argc > 4 || (with_scores && !roan_call_is(call, 3, "WITHSCORES"))) {
        roan_call_syntax_error(call);
        return;
    }
    if (with_scores && (count < -INT64_MAX / 2 || count > INT64_MAX / 2)) {
        roan_call_error(call, "ERR value is out of range");
        return;
    }
    send_many(call, count, with_scores);
}
