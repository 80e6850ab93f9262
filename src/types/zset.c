/* types/zset.c: sorted sets in both forms: members and what everybody must know of the type; see zset.h. Ranks and
 * iterators: zset_range.c.
 *
 * Invariant 1: both forms are in strictly ascending order of (score, member), and no member is there twice.
 * Invariant 2: the elements of the table and those of the tree are the same.
 */
#include "types/zset.h"

#include "types/zset_inside.h"

/* ---- from one form to the other ---- */

roan_zset_tree *roan_zset_tree_create(const roan_type_context *context)
{
    roan_zset_tree *tree = roan_alloc(sizeof *tree);
    roan_table_init(&tree->table, &context->elements);
    roan_ordered_init(&tree->ordered);
    return tree;
}

void roan_zset_tree_free(roan_zset_tree *tree)
{
    roan_ordered_clear(&tree->ordered);
    roan_table_clear(&tree->table);
    roan_free(tree, sizeof *tree);
}

roan_element *roan_zset_tree_create_element(roan_zset_tree *tree, roan_slice member, double score, uint64_t hash,
                                            roan_spot *spot)
{
    roan_element_parts parts = {.key = member, .number = roan_score_bits(score), .has_number = true};
    roan_element *element = roan_element_create(&tree->table, &parts);
    roan_table_insert(&tree->table, hash, spot, element);
    return element;
}

/* Adds a member that is not there and belongs behind all others. */
static void tree_append(roan_zset_tree *tree, roan_slice member, double score)
{
    uint64_t hash;
    roan_spot spot;
    ROAN_IGNORE(roan_element_find(&tree->table, member, &hash, &spot)); /* only where it belongs is wanted */
    roan_ordered_append(&tree->ordered, roan_zset_tree_create_element(tree, member, score, hash, &spot));
}

static void make_tree(roan_value *value, const roan_type_context *context)
{
    roan_pack *pack = value->data;
    roan_zset_tree *tree = roan_zset_tree_create(context);
    char scratch[ROAN_I64_TEXT_MAX];
    for (const char *at = roan_pack_first(pack); at < roan_pack_end(pack);) {
        pack_pair pair;
        at = pair_read(at, &pair);
        tree_append(tree, roan_packed_text(&pair.member, scratch), pair.score);
    }
    roan_pack_free(pack);
    *value = (roan_value){tree, ROAN_ZSET_TREE};
}

roan_value roan_zset_create_for(const roan_type_context *context, size_t count, size_t member_bytes)
{
    if (fits_pack(context, count, member_bytes))
        return (roan_value){roan_pack_create(), ROAN_ZSET_PACK};
    return (roan_value){roan_zset_tree_create(context), ROAN_ZSET_TREE};
}

void roan_zset_expect(roan_value *value, const roan_type_context *context, size_t count, size_t member_bytes)
{
    if (value->encoding == ROAN_ZSET_PACK && !fits_pack(context, count, member_bytes))
        make_tree(value, context);
}

/* Makes it large if one more member does not fit. */
static void expect_one_more(roan_value *value, const roan_type_context *context, size_t member_bytes)
{
    if (value->encoding != ROAN_ZSET_PACK)
        return;
    const roan_pack *pack = value->data;
    if (!fits_pack(context, pack->count / 2 + 1, member_bytes) || pack->bytes + member_bytes > PACK_BYTES_MAX)
        make_tree(value, context);
}

size_t roan_zset_count(roan_value value)
{
    if (value.encoding == ROAN_ZSET_PACK)
        return ((const roan_pack *)value.data)->count / 2;
    return ((const roan_zset_tree *)value.data)->table.count;
}

/* ---- members ---- */

static bool pack_find(const roan_pack *pack, roan_slice member, roan_zset_spot *ret_spot)
{
    const char *place = roan_pack_find(pack, member, 2);
    *ret_spot = (roan_zset_spot){.is_there = place != NULL, .place = place};
    if (place != NULL)
        ret_spot->score = score_read(roan_packed_skip(place));
    return place != NULL;
}

bool roan_zset_find(roan_value value, roan_slice member, roan_zset_spot *ret_spot)
{
    if (value.encoding == ROAN_ZSET_PACK)
        return pack_find(value.data, member, ret_spot);
    const roan_zset_tree *tree = value.data;
    ret_spot->element = roan_element_find(&tree->table, member, &ret_spot->hash, &ret_spot->spot);
    ret_spot->is_there = ret_spot->element != NULL;
    if (ret_spot->is_there)
        ret_spot->score = roan_element_score(ret_spot->element);
    return ret_spot->is_there;
}

/* Where a pair belongs. */
static const char *pack_place(const roan_pack *pack, const roan_ordered_bound *bound)
{
    for (const char *at = roan_pack_first(pack); at < roan_pack_end(pack);) {
        const char *place = at;
        pack_pair pair;
        at = pair_read(at, &pair);
        if (!pair_is_before(&pair, bound))
            return place;
    }
    return roan_pack_end(pack);
}

static roan_pack *pack_insert(roan_pack *pack, roan_slice member, double score)
{
    char bytes[sizeof score];
    roan_packed items[] = {roan_packed_from_text(member), score_item(score, bytes)};
    roan_ordered_bound bound = {.score = score, .member = member, .has_score = true, .has_member = true};
    return roan_pack_insert(pack, pack_place(pack, &bound), items, ROAN_COUNT_OF(items), NULL);
}

static void tree_put(roan_zset_tree *tree, roan_slice member, const roan_zset_spot *spot, double score)
{
    if (spot->is_there) {
        roan_ordered_change_score(&tree->ordered, spot->element, score);
        return;
    }
    roan_spot where = spot->spot;
    roan_ordered_insert(&tree->ordered, roan_zset_tree_create_element(tree, member, score, spot->hash, &where));
}

void roan_zset_put(roan_value *value, const roan_type_context *context, roan_slice member, const roan_zset_spot *spot,
                   double score)
{
    roan_zset_spot found = *spot;
    if (!spot->is_there && value->encoding == ROAN_ZSET_PACK) {
        expect_one_more(value, context, member.bytes);
        if (value->encoding == ROAN_ZSET_TREE)
            ROAN_IGNORE(roan_zset_find(*value, member, &found)); /* it is not there, but where? */
    }
    if (value->encoding == ROAN_ZSET_TREE) {
        tree_put(value->data, member, &found, score);
        return;
    }
    if (spot->is_there)
        value->data = roan_pack_remove(value->data, spot->place, 2, NULL);
    value->data = pack_insert(value->data, member, score);
}

bool roan_zset_add(roan_value *value, const roan_type_context *context, roan_slice member, double score)
{
    roan_zset_spot spot;
    bool is_new = !roan_zset_find(*value, member, &spot);
    if (is_new || spot.score != score)
        roan_zset_put(value, context, member, &spot, score);
    return is_new;
}

void roan_zset_append(roan_value *value, const roan_type_context *context, roan_slice member, double score)
{
    expect_one_more(value, context, member.bytes);
    if (value->encoding == ROAN_ZSET_TREE) {
        tree_append(value->data, member, score);
        return;
    }
    char bytes[sizeof score];
    roan_packed items[] = {roan_packed_from_text(member), score_item(score, bytes)};
    value->data = roan_pack_append(value->data, items, ROAN_COUNT_OF(items));
}

bool roan_zset_score(roan_value value, roan_slice member, double *ret_score)
{
    roan_zset_spot spot;
    if (!roan_zset_find(value, member, &spot))
        return false;
    *ret_score = spot.score;
    return true;
}

bool roan_zset_remove(roan_value *value, roan_slice member)
{
    roan_zset_spot spot;
    if (!roan_zset_find(*value, member, &spot))
        return false;
    if (value->encoding == ROAN_ZSET_PACK) {
        value->data = roan_pack_remove(value->data, spot.place, 2, NULL);
        return true;
    }
    roan_zset_tree *tree = value->data;
    roan_ordered_remove(&tree->ordered, spot.element);
    roan_element_remove(&tree->table, spot.hash, &spot.spot);
    return true;
}

/* ---- the type ---- */

static void zset_free(roan_value value)
{
    if (value.encoding == ROAN_ZSET_PACK)
        roan_pack_free(value.data);
    else
        roan_zset_tree_free(value.data);
}

static roan_value zset_copy(roan_value value)
{
    if (value.encoding == ROAN_ZSET_PACK)
        return (roan_value){roan_pack_copy(value.data), ROAN_ZSET_PACK};
    const roan_zset_tree *source = value.data;
    roan_zset_tree *copy = roan_alloc(sizeof *copy);
    roan_table_init(&copy->table, source->table.context);
    roan_ordered_init(&copy->ordered);
    roan_ordered_cursor at = roan_ordered_at(&source->ordered, 0);
    for (const roan_element *item = roan_ordered_next(&at); item != NULL; item = roan_ordered_next(&at))
        tree_append(copy, roan_element_key(item), roan_element_score(item));
    return (roan_value){copy, ROAN_ZSET_TREE};
}

static size_t zset_memory(roan_value value, size_t samples)
{
    if (value.encoding == ROAN_ZSET_PACK)
        return roan_pack_memory(value.data);
    const roan_zset_tree *tree = value.data;
    return roan_alloc_good_size(sizeof *tree) + roan_elements_memory(&tree->table, samples) +
           roan_ordered_bytes(&tree->ordered);
}

/* Freeing visits every element, but most lie in pages: about sixteen are the work of one allocation. */
static size_t zset_effort(roan_value value)
{
    return value.encoding == ROAN_ZSET_PACK ? 1 : 1 + roan_zset_count(value) / 16;
}

static const char *zset_encoding_name(roan_value value)
{
    return value.encoding == ROAN_ZSET_PACK ? "listpack" : "skiplist";
}

static void check_pack(const roan_pack *pack)
{
    roan_pack_check(pack);
    ROAN_ASSERT(pack->count % 2 == 0);
    char scratch[ROAN_I64_TEXT_MAX];
    pack_pair previous = {0}, pair;
    for (const char *at = roan_pack_first(pack); at < roan_pack_end(pack); previous = pair) {
        bool is_first = at == roan_pack_first(pack);
        at = pair_read(at, &pair);
        roan_ordered_bound bound = {.score = pair.score, .member = roan_packed_text(&pair.member, scratch),
                                    .has_score = true, .has_member = true};
        ROAN_ASSERT(is_first || pair_is_before(&previous, &bound));
    }
}

static void check_tree(const roan_zset_tree *tree)
{
    roan_table_check(&tree->table);
    roan_ordered_check(&tree->ordered);
    ROAN_ASSERT(tree->table.count == tree->ordered.count);
    roan_ordered_cursor at = roan_ordered_at(&tree->ordered, 0);
    for (const roan_element *item = roan_ordered_next(&at); item != NULL; item = roan_ordered_next(&at)) {
        uint64_t hash;
        roan_spot spot;
        ROAN_ASSERT(roan_element_find(&tree->table, roan_element_key(item), &hash, &spot) == item);
    }
}

static void zset_check(roan_value value)
{
    if (value.encoding == ROAN_ZSET_PACK)
        check_pack(value.data);
    else
        check_tree(value.data);
}

const roan_type_ops roan_zset_ops = {
    .name = "zset",
    .free_value = zset_free,
    .copy_value = zset_copy,
    .memory = zset_memory,
    .effort = zset_effort,
    .encoding_name = zset_encoding_name,
    .check = zset_check,
};
