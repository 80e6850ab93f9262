/* types/zset_inside.h: the pairs of small sorted sets, for the files of zset.h. */
#pragma once

#include "base/alloc.h"
#include "base/macros.h"
#include "types/zset.h"

#define PACK_BYTES_MAX (UINT32_C(1) << 30) /* a pack that would be longer becomes large */

typedef struct pack_pair {
    roan_packed member;
    double score;
} pack_pair;

/* The item that stands for a score; `bytes` must live as long as it. A negative zero becomes zero, as it does in the
 * reference. */
static inline roan_packed score_item(double score, char bytes[sizeof(double)])
{
    bool is_whole = score > -0x1p62 && score < 0x1p62 && score == (double)(int64_t)score;
    if (is_whole)
        return roan_packed_from_integer((int64_t)score);
    memcpy(bytes, &score, sizeof score);
    return roan_packed_from_bytes(roan_slice_make(bytes, sizeof score));
}

static inline double score_of_item(const roan_packed *item)
{
    double score;
    if (ROAN_LIKELY(item->is_integer))
        return (double)item->integer;
    memcpy(&score, item->text.data, sizeof score);
    return score;
}

static inline double score_read(const char *at)
{
    roan_packed item;
    ROAN_IGNORE(roan_packed_read(at, &item)); /* what follows does not matter */
    return score_of_item(&item);
}

/* The place behind the pair at `at`. */
static inline const char *pair_skip(const char *at)
{
    return roan_packed_skip(roan_packed_skip(at));
}

/* Reads the pair at `at`; returns the place of the next one. */
static inline const char *pair_read(const char *at, pack_pair *ret_pair)
{
    roan_packed score;
    at = roan_packed_read(at, &ret_pair->member);
    at = roan_packed_read(at, &score);
    ret_pair->score = score_of_item(&score);
    return at;
}

static inline bool pair_is_before(const pack_pair *pair, const roan_ordered_bound *bound)
{
    char scratch[ROAN_I64_TEXT_MAX];
    if (bound->has_score && pair->score != bound->score)
        return pair->score < bound->score;
    if (!bound->has_member)
        return bound->is_behind;
    int order = roan_member_compare(roan_packed_text(&pair->member, scratch), bound->member);
    return order < 0 || (order == 0 && bound->is_behind);
}

/* The small form may have that many members, of at most so many bytes. */
static inline bool fits_pack(const roan_type_context *context, size_t count, size_t member_bytes)
{
    return count <= context->zset_entries_max && member_bytes <= context->zset_value_bytes_max;
}

/* The large form, empty; and an element added to its table, at a spot where its member was not found. */
roan_zset_tree *roan_zset_tree_create(const roan_type_context *context);
void roan_zset_tree_free(roan_zset_tree *tree);
roan_element *roan_zset_tree_create_element(roan_zset_tree *tree, roan_slice member, double score, uint64_t hash,
                                            roan_spot *spot);
