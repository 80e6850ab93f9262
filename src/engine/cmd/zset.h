/* engine/cmd/zset.h: what the files of the sorted set commands share: replies with scores, ranges, storing. */
#pragma once

#include "engine/call.h"
#include "types/zset.h"

/* How a reply shows items. */
typedef struct roan_zset_shape {
    bool with_scores;
    bool is_nested; /* each member and its score in an array of its own */
} roan_zset_shape;

/* RESP2 has flat arrays, RESP3 pairs. */
static inline roan_zset_shape roan_zset_shape_of(const roan_call *call, bool with_scores)
{
    return (roan_zset_shape){.with_scores = with_scores, .is_nested = with_scores && call->out->protocol == 3};
}

/* Opens an array of `count` items, and sends one. */
void roan_zset_send_header(roan_call *call, roan_zset_shape shape, uint64_t count);
void roan_zset_send(roan_call *call, roan_zset_shape shape, const roan_zset_item *item);

/* The sorted set in argv[index], for reading or writing. True: it is there, and *ret_value is its value. Otherwise it
 * is absent, or WRONGTYPE was sent (call->has_failed). */
bool roan_zset_find_read(roan_call *call, size_t index, roan_place *place, roan_value *ret_value);
bool roan_zset_find_write(roan_call *call, size_t index, roan_place *place, roan_value *ret_value);

/* Members were taken out of the set: stores it, or deletes the key when none is left, and reports the event. `removed`
 * is how many changes that was. */
void roan_zset_shrunk(roan_call *call, roan_place *place, roan_value value, uint64_t removed, const char *event);

/* The result of a STORE command goes to argv[1], in place of whatever is there; an empty one deletes it. Answers with
 * the number of members. */
void roan_zset_store_result(roan_call *call, roan_value result, const char *event);

/* ---- ranges ---- */

typedef enum roan_zset_by { ROAN_ZSET_BY_RANK, ROAN_ZSET_BY_SCORE, ROAN_ZSET_BY_LEX } roan_zset_by;

/* A part of a sorted set as a client names it. */
typedef struct roan_zset_range {
    roan_zset_by by;
    int64_t first, last;               /* BY_RANK: may be negative, counted from the end */
    roan_ordered_bound start, end;     /* otherwise: before the first item, behind the last */
    bool starts_behind_all, ends_before_all; /* BY_LEX: "+" as the minimum, "-" as the maximum */
    bool starts_at_first, ends_at_last;      /* BY_LEX: "-" as the minimum, "+" as the maximum */
} roan_zset_range;

/* Reads minimum and maximum; false after an error was sent. */
bool roan_zset_parse_range(roan_call *call, roan_zset_by by, size_t min_index, size_t max_index,
                           roan_zset_range *ret_range);

/* The ranks that the range covers: the first one, and how many. When reversed, ranks count from the highest. */
typedef struct roan_zset_ranks {
    uint64_t first, count;
} roan_zset_ranks;
roan_zset_ranks roan_zset_resolve(roan_value value, const roan_zset_range *range, bool is_reversed);
