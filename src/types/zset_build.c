/* types/zset_build.c: sorted sets from members in any order: unions, intersections, differences.
 *
 * The elements go into a table at once, as those of a large set do, and are kept in the order of their arrival
 * besides. At the end they are sorted with their scores beside them, and appended to the tree one by one; a result
 * that is small enough becomes a pack.
 *
 * A member that was dropped has NaN as its score until the end.
 */
#include "types/zset.h"

#include "types/zset_inside.h"

#include <math.h>
#include <stdlib.h>

#define CAPACITY_MIN 32u

typedef struct ranked {
    double score;
    roan_element *element;
} ranked;

void roan_zset_builder_init(roan_zset_builder *builder, const roan_type_context *context)
{
    *builder = (roan_zset_builder){.context = context, .tree = roan_zset_tree_create(context)};
}

bool roan_zset_builder_find(const roan_zset_builder *builder, roan_slice member, roan_zset_spot *ret_spot)
{
    return roan_zset_find((roan_value){builder->tree, ROAN_ZSET_TREE}, member, ret_spot);
}

static void keep_element(roan_zset_builder *builder, roan_element *element)
{
    if (builder->count == builder->capacity) {
        size_t capacity = ROAN_MAX(builder->capacity * 2, CAPACITY_MIN);
        builder->elements = roan_realloc(builder->elements, builder->capacity * sizeof(roan_element *),
                                         capacity * sizeof(roan_element *));
        builder->capacity = capacity;
    }
    builder->elements[builder->count++] = element;
}

void roan_zset_builder_put(roan_zset_builder *builder, roan_slice member, const roan_zset_spot *spot, double score)
{
    if (spot->is_there) {
        roan_element_set_score(spot->element, score);
        return;
    }
    roan_spot where = spot->spot;
    builder->longest = ROAN_MAX(builder->longest, member.bytes);
    keep_element(builder, roan_zset_tree_create_element(builder->tree, member, score, spot->hash, &where));
}

void roan_zset_builder_drop(roan_zset_builder *builder, const roan_zset_spot *spot)
{
    builder->dropped += !isnan(spot->score);
    roan_element_set_score(spot->element, NAN);
}

static void remove_dropped(roan_zset_builder *builder)
{
    size_t kept = 0;
    builder->longest = 0;
    for (size_t i = 0; i < builder->count; i++) {
        roan_element *element = builder->elements[i];
        roan_slice member = roan_element_key(element);
        if (isnan(roan_element_score(element))) {
            roan_zset_spot spot;
            ROAN_ASSERT(roan_zset_builder_find(builder, member, &spot));
            roan_element_remove(&builder->tree->table, spot.hash, &spot.spot);
        } else {
            builder->elements[kept++] = element;
            builder->longest = ROAN_MAX(builder->longest, member.bytes);
        }
    }
    builder->count = kept;
}

static int compare_ranked(const void *left, const void *right)
{
    const ranked *a = left, *b = right;
    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    return roan_member_compare(roan_element_key(a->element), roan_element_key(b->element));
}

static ranked *sort_elements(const roan_zset_builder *builder)
{
    ranked *sorted = roan_alloc(builder->count * sizeof *sorted);
    for (size_t i = 0; i < builder->count; i++)
        sorted[i] = (ranked){roan_element_score(builder->elements[i]), builder->elements[i]};
    qsort(sorted, builder->count, sizeof *sorted, compare_ranked);
    return sorted;
}

static bool total_fits_pack(const roan_zset_builder *builder)
{
    return fits_pack(builder->context, builder->count, builder->longest) &&
           builder->count * (builder->longest + 2 * ROAN_PACKED_HEADER_MAX + sizeof(double)) < PACK_BYTES_MAX;
}

roan_value roan_zset_builder_finish(roan_zset_builder *builder, bool is_only_read)
{
    if (builder->dropped > 0)
        remove_dropped(builder);
    roan_value value = {builder->tree, ROAN_ZSET_TREE};
    bool is_small = !is_only_read && total_fits_pack(builder);
    if (is_small)
        value = roan_zset_create(builder->context);
    if (builder->count > 0) {
        ranked *sorted = sort_elements(builder);
        for (size_t i = 0; i < builder->count; i++)
            if (is_small)
                roan_zset_append(&value, builder->context, roan_element_key(sorted[i].element), sorted[i].score);
            else
                roan_ordered_append(&builder->tree->ordered, sorted[i].element);
        roan_free(sorted, builder->count * sizeof *sorted);
    }
    if (is_small)
        roan_zset_tree_free(builder->tree);
    roan_free(builder->elements, builder->capacity * sizeof(roan_element *));
    return value;
}
