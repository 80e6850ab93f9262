/* types/zset.h: sorted sets: members with a score each, in the order of (score, member bytes).
 *
 * Small: a pack of member, score, member, score ... in order ("listpack" to clients). A score that is a whole number
 * is an integer item, any other the eight bytes of the double. Large ("skiplist" to clients): a table of elements
 * finds a member, a tree of pointers to them (ordered.h) knows the order. A set that has become large stays so.
 *
 * Whatever names a part of the order is turned into ranks first: roan_zset_rank_before(). Iterators then go from a
 * rank on, in either direction.
 */
#pragma once

#include "types/context.h"
#include "types/ordered.h"
#include "types/pack.h"
#include "types/value.h"

typedef enum roan_zset_encoding { ROAN_ZSET_PACK, ROAN_ZSET_TREE } roan_zset_encoding;

/* The large form. */
typedef struct roan_zset_tree {
    roan_table table;
    roan_ordered ordered;
} roan_zset_tree;

typedef struct roan_zset_item {
    roan_slice member;
    double score;
} roan_zset_item;

extern const roan_type_ops roan_zset_ops;

/* Empty, in the form for `count` members of at most `member_bytes` each. */
roan_value roan_zset_create_for(const roan_type_context *context, size_t count, size_t member_bytes);
static inline roan_value roan_zset_create(const roan_type_context *context)
{
    return roan_zset_create_for(context, 0, 0);
}

/* Makes it large if `count` members or one of `member_bytes` do not fit a small one. */
void roan_zset_expect(roan_value *value, const roan_type_context *context, size_t count, size_t member_bytes);

size_t roan_zset_count(roan_value value);

/* ---- members ---- */

/* Where a member is or would be; valid until the set changes. */
typedef struct roan_zset_spot {
    bool is_there;
    double score;          /* when it is there */
    /* inside: */
    const char *place;     /* small */
    roan_element *element; /* large */
    uint64_t hash;
    roan_spot spot;
} roan_zset_spot;

/* Returns spot->is_there. */
bool roan_zset_find(roan_value value, roan_slice member, roan_zset_spot *ret_spot);
/* Gives the member, which roan_zset_find looked for, this score; adds it if it was not there. `score` is no NaN. */
void roan_zset_put(roan_value *value, const roan_type_context *context, roan_slice member, const roan_zset_spot *spot,
                   double score);

/* Adds the member or changes its score; true: it was not there. */
bool roan_zset_add(roan_value *value, const roan_type_context *context, roan_slice member, double score);
/* The same for one that belongs behind all others and is not there. */
void roan_zset_append(roan_value *value, const roan_type_context *context, roan_slice member, double score);

bool roan_zset_score(roan_value value, roan_slice member, double *ret_score);
bool roan_zset_remove(roan_value *value, roan_slice member);

/* ---- the order ---- */

/* The member's rank, counted from the lowest; false: it is not there. ret_score may be NULL. */
bool roan_zset_rank(roan_value value, roan_slice member, uint64_t *ret_rank, double *ret_score);

/* How many members are before the bound. */
uint64_t roan_zset_rank_before(roan_value value, const roan_ordered_bound *bound);

/* Takes out `count` members from the rank on; there are so many. */
void roan_zset_remove_range(roan_value *value, uint64_t rank, uint64_t count);

/* Yields items from a rank on, up or down, to the end. The set must not change meanwhile. */
#define ROAN_ZSET_WINDOW 64
typedef struct roan_zset_iterator {
    roan_value value;
    bool is_backwards;
    roan_ordered_cursor cursor;         /* large */
    const char *place;                  /* small, forwards */
    uint64_t rank;                      /* small, backwards: of the next one, plus 1 */
    uint64_t window_rank;               /* of the first place in the window */
    uint32_t window[ROAN_ZSET_WINDOW];  /* offsets of pairs */
    char scratch[ROAN_I64_TEXT_MAX];    /* of a member that is kept as an integer */
} roan_zset_iterator;

/* Nothing is yielded from a rank that is not there. */
void roan_zset_iterator_init(roan_zset_iterator *iterator, roan_value value, uint64_t rank, bool is_backwards);
/* False at the end. The member is valid until the next call. */
bool roan_zset_next(roan_zset_iterator *iterator, roan_zset_item *ret_item);

/* Many items in any order: a place stands for one until the set changes. */
typedef struct roan_zset_place {
    const void *inside;
} roan_zset_place;

/* The place of the item of that rank, which is there. */
roan_zset_place roan_zset_place_at(roan_value value, uint64_t rank);
/* The places of all items, in order. */
void roan_zset_places(roan_value value, roan_zset_place *ret_places);
roan_zset_item roan_zset_read(roan_value value, roan_zset_place place, char scratch[ROAN_I64_TEXT_MAX]);

/* Visits items from a position on the hash axis on, as roan_table_scan() does. A small set is visited as a whole. */
typedef void (*roan_zset_visit_fn)(void *context, const roan_zset_item *item);
uint64_t roan_zset_scan(roan_value value, uint64_t from, size_t wanted, roan_zset_visit_fn visit, void *context);

/* ---- making one from members that come in any order ---- */

/* Members with scores that may still change; put in order at the end. */
typedef struct roan_zset_builder {
    const roan_type_context *context;
    roan_zset_tree *tree;          /* its order stays empty until the end */
    roan_element **elements;       /* as they came */
    size_t count, capacity, dropped;
    size_t longest;                /* bytes of the longest member */
} roan_zset_builder;

void roan_zset_builder_init(roan_zset_builder *builder, const roan_type_context *context);
/* As roan_zset_find() and roan_zset_put(). */
bool roan_zset_builder_find(const roan_zset_builder *builder, roan_slice member, roan_zset_spot *ret_spot);
void roan_zset_builder_put(roan_zset_builder *builder, roan_slice member, const roan_zset_spot *spot, double score);
/* Takes a member that is there out again. */
void roan_zset_builder_drop(roan_zset_builder *builder, const roan_zset_spot *spot);
/* The sorted set, in the form that its members ask for; or, when it is only to be read, large whatever they ask for.
 * The builder is used up. */
roan_value roan_zset_builder_finish(roan_zset_builder *builder, bool is_only_read);
