/* types/zset_range.c: the order of a sorted set: ranks, iterators, places, taking out a range.
 *
 * A pack can only be read forwards. An iterator that goes backwards reads a window of pairs and keeps where each
 * begins, so a small set is read twice at most, and a set that was allowed to be long without limit still costs no
 * allocation.
 */
#include "types/zset.h"

#include "types/zset_inside.h"

/* The place of the pair of that rank. */
static const char *pack_pair_at(const roan_pack *pack, uint64_t rank)
{
    return roan_pack_at(pack, rank * 2);
}

/* ---- ranks ---- */

static uint64_t pack_rank_before(const roan_pack *pack, const roan_ordered_bound *bound)
{
    uint64_t rank = 0;
    for (const char *at = roan_pack_first(pack); at < roan_pack_end(pack); rank++) {
        pack_pair pair;
        at = pair_read(at, &pair);
        if (!pair_is_before(&pair, bound))
            break;
    }
    return rank;
}

uint64_t roan_zset_rank_before(roan_value value, const roan_ordered_bound *bound)
{
    if (value.encoding == ROAN_ZSET_PACK)
        return pack_rank_before(value.data, bound);
    return roan_ordered_rank_of_bound(&((const roan_zset_tree *)value.data)->ordered, bound);
}

static bool pack_rank(const roan_pack *pack, roan_slice member, uint64_t *ret_rank, double *ret_score)
{
    roan_packed wanted = roan_packed_from_text(member);
    uint64_t rank = 0;
    for (const char *at = roan_pack_first(pack); at < roan_pack_end(pack); rank++) {
        pack_pair pair;
        at = pair_read(at, &pair);
        if (!roan_packed_is_equal(&pair.member, &wanted))
            continue;
        *ret_rank = rank;
        *ret_score = pair.score;
        return true;
    }
    return false;
}

bool roan_zset_rank(roan_value value, roan_slice member, uint64_t *ret_rank, double *ret_score)
{
    roan_zset_spot spot;
    double ignored;
    ret_score = ret_score == NULL ? &ignored : ret_score;
    if (value.encoding == ROAN_ZSET_PACK)
        return pack_rank(value.data, member, ret_rank, ret_score);
    if (!roan_zset_find(value, member, &spot))
        return false;
    *ret_rank = roan_ordered_rank(&((const roan_zset_tree *)value.data)->ordered, spot.element);
    *ret_score = spot.score;
    return true;
}

static void remove_element(roan_table *table, const roan_element *element)
{
    uint64_t hash;
    roan_spot spot;
    ROAN_ASSERT(roan_element_find(table, roan_element_key(element), &hash, &spot) == element);
    roan_element_remove(table, hash, &spot);
}

void roan_zset_remove_range(roan_value *value, uint64_t rank, uint64_t count)
{
    if (count == 0)
        return;
    ROAN_ASSERT(rank + count <= roan_zset_count(*value));
    if (value->encoding == ROAN_ZSET_PACK) {
        value->data = roan_pack_remove(value->data, pack_pair_at(value->data, rank), count * 2, NULL);
        return;
    }
    roan_zset_tree *tree = value->data;
    roan_element *taken[ROAN_ORDERED_TAKE_MAX];
    while (count > 0) {
        size_t together = roan_ordered_take(&tree->ordered, rank, ROAN_MIN(count, ROAN_COUNT_OF(taken)), taken);
        for (size_t i = 0; i < together; i++)
            remove_element(&tree->table, taken[i]);
        count -= together;
    }
}

/* ---- iterators ---- */

/* Fills the window with the places of the pairs up to the iterator's. */
static void fill_window(roan_zset_iterator *iterator)
{
    const roan_pack *pack = iterator->value.data;
    uint64_t end = iterator->rank;
    iterator->window_rank = end - ROAN_MIN(end, ROAN_ZSET_WINDOW);
    const char *at = pack_pair_at(pack, iterator->window_rank);
    for (uint64_t rank = iterator->window_rank; rank < end; rank++) {
        iterator->window[rank - iterator->window_rank] = (uint32_t)(at - pack->items);
        at = pair_skip(at);
    }
}

void roan_zset_iterator_init(roan_zset_iterator *iterator, roan_value value, uint64_t rank, bool is_backwards)
{
    iterator->value = value;
    iterator->is_backwards = is_backwards;
    if (value.encoding == ROAN_ZSET_TREE) {
        iterator->cursor = roan_ordered_at(&((const roan_zset_tree *)value.data)->ordered, rank);
        return;
    }
    const roan_pack *pack = value.data;
    bool is_there = rank < pack->count / 2;
    iterator->place = is_there && !is_backwards ? pack_pair_at(pack, rank) : roan_pack_end(pack);
    iterator->rank = is_there ? rank + 1 : 0;
    iterator->window_rank = iterator->rank;
}

static bool next_in_pack(roan_zset_iterator *iterator, roan_zset_item *ret_item)
{
    const roan_pack *pack = iterator->value.data;
    pack_pair pair;
    if (iterator->is_backwards) {
        if (iterator->rank == 0)
            return false;
        if (iterator->rank == iterator->window_rank)
            fill_window(iterator);
        iterator->rank--;
        ROAN_IGNORE(pair_read(pack->items + iterator->window[iterator->rank - iterator->window_rank], &pair));
    } else {
        if (iterator->place == roan_pack_end(pack))
            return false;
        iterator->place = pair_read(iterator->place, &pair);
    }
    *ret_item = (roan_zset_item){roan_packed_text(&pair.member, iterator->scratch), pair.score};
    return true;
}

bool roan_zset_next(roan_zset_iterator *iterator, roan_zset_item *ret_item)
{
    if (iterator->value.encoding == ROAN_ZSET_PACK)
        return next_in_pack(iterator, ret_item);
    const roan_element *item = iterator->is_backwards ? roan_ordered_previous(&iterator->cursor)
                                                      : roan_ordered_next(&iterator->cursor);
    if (item == NULL)
        return false;
    *ret_item = (roan_zset_item){roan_element_key(item), roan_element_score(item)};
    return true;
}

/* ---- places ---- */

roan_zset_place roan_zset_place_at(roan_value value, uint64_t rank)
{
    if (value.encoding == ROAN_ZSET_PACK)
        return (roan_zset_place){pack_pair_at(value.data, rank)};
    roan_ordered_cursor at = roan_ordered_at(&((const roan_zset_tree *)value.data)->ordered, rank);
    return (roan_zset_place){roan_ordered_next(&at)};
}

void roan_zset_places(roan_value value, roan_zset_place *ret_places)
{
    if (value.encoding == ROAN_ZSET_PACK) {
        const roan_pack *pack = value.data;
        for (const char *at = roan_pack_first(pack); at < roan_pack_end(pack); at = pair_skip(at))
            *ret_places++ = (roan_zset_place){at};
        return;
    }
    roan_ordered_cursor at = roan_ordered_at(&((const roan_zset_tree *)value.data)->ordered, 0);
    for (const roan_element *item = roan_ordered_next(&at); item != NULL; item = roan_ordered_next(&at))
        *ret_places++ = (roan_zset_place){item};
}

roan_zset_item roan_zset_read(roan_value value, roan_zset_place place, char scratch[ROAN_I64_TEXT_MAX])
{
    if (value.encoding == ROAN_ZSET_TREE)
        return (roan_zset_item){roan_element_key(place.inside), roan_element_score(place.inside)};
    pack_pair pair;
    ROAN_IGNORE(pair_read(place.inside, &pair)); /* what follows does not matter */
    return (roan_zset_item){roan_packed_text(&pair.member, scratch), pair.score};
}

/* ---- scanning ---- */

typedef struct visitor {
    roan_zset_visit_fn visit;
    void *context;
} visitor;

static void visit_element(void *item, void *context)
{
    const visitor *to = context;
    roan_zset_item seen = {roan_element_key(item), roan_element_score(item)};
    to->visit(to->context, &seen);
}

uint64_t roan_zset_scan(roan_value value, uint64_t from, size_t wanted, roan_zset_visit_fn visit, void *context)
{
    if (value.encoding == ROAN_ZSET_TREE) {
        visitor to = {visit, context};
        return roan_table_scan(&((const roan_zset_tree *)value.data)->table, from, wanted, visit_element, &to);
    }
    roan_zset_iterator at;
    roan_zset_item item;
    roan_zset_iterator_init(&at, value, 0, false);
    while (roan_zset_next(&at, &item))
        visit(context, &item);
    return 0;
}
