/* model_zset.c: random operations on sorted sets in both forms and on a naive twin, compared at each step.
 *
 * The twin is an array of members with their scores, sorted anew after each change. Limits of the small form are
 * drawn, so that sets are small, large, or become large on the way. Members look like integers now and then, scores
 * are whole, fractions or infinite.
 *
 *     model_zset [seed]      the seed is printed; the same seed repeats the run
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "types/zset.h"

#define MEMBERS_MAX 600

typedef struct twin_item {
    char name[24];
    size_t bytes;
    double score;
} twin_item;

typedef struct model {
    roan_type_context types;
    roan_value value;
    roan_random random;
    twin_item items[MEMBERS_MAX];
    size_t count, member_count;
} model;

static uint64_t seed;

static uint64_t draw(model *m, uint64_t bound)
{
    return roan_random_below(&m->random, bound);
}

static void model_init(model *m, size_t members, size_t entries_max, uint64_t run)
{
    *m = (model){.member_count = members};
    m->types.zset_entries_max = entries_max;
    m->types.zset_value_bytes_max = 64;
    m->types.elements.ops = &roan_element_table_ops;
    roan_hash_secret_init(&m->types.elements.secret, seed);
    roan_random_seed(&m->random, seed + run);
    m->value = roan_zset_create(&m->types);
}

/* ---- the twin ---- */

static roan_slice name_of(const twin_item *item)
{
    return roan_slice_make(item->name, item->bytes);
}

static twin_item draw_item(model *m)
{
    twin_item item = {.score = (double)draw(m, 40) - 20};
    uint64_t number = draw(m, m->member_count);
    item.bytes = (size_t)snprintf(item.name, sizeof item.name, number % 3 == 0 ? "%llu" : "member%llu",
                                  (unsigned long long)number);
    if (draw(m, 4) == 0)
        item.score = (double)draw(m, 1u << 16) / 64;
    else if (draw(m, 30) == 0)
        item.score = draw(m, 2) == 0 ? INFINITY : -INFINITY;
    return item;
}

static int compare_items(const void *left, const void *right)
{
    const twin_item *a = left, *b = right;
    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    return roan_member_compare(name_of(a), name_of(b));
}

/* The twin's rank of a member, or its count. */
static size_t twin_find(const model *m, const twin_item *item)
{
    size_t rank = 0;
    while (rank < m->count && !roan_slice_equal(name_of(&m->items[rank]), name_of(item)))
        rank++;
    return rank;
}

static void twin_remove(model *m, size_t rank, size_t count)
{
    memmove(&m->items[rank], &m->items[rank + count], (m->count - rank - count) * sizeof m->items[0]);
    m->count -= count;
}

/* ---- operations ---- */

static void put(model *m)
{
    twin_item item = draw_item(m);
    size_t rank = twin_find(m, &item);
    assert_int_equal(roan_zset_add(&m->value, &m->types, name_of(&item), item.score), rank == m->count);
    m->count += rank == m->count;
    m->items[rank] = item;
    qsort(m->items, m->count, sizeof m->items[0], compare_items);
}

static void take(model *m)
{
    twin_item item = draw_item(m);
    size_t rank = twin_find(m, &item);
    assert_int_equal(roan_zset_remove(&m->value, name_of(&item)), rank < m->count);
    if (rank < m->count)
        twin_remove(m, rank, 1);
}

static void take_range(model *m)
{
    if (m->count == 0)
        return;
    size_t rank = draw(m, m->count), count = draw(m, ROAN_MIN(m->count - rank, (size_t)30) + 1);
    roan_zset_remove_range(&m->value, rank, count);
    twin_remove(m, rank, count);
}

/* The value becomes a copy, or is built again. */
static void renew(model *m)
{
    roan_value old = m->value;
    if (draw(m, 2) == 0) {
        m->value = roan_zset_ops.copy_value(old);
    } else {
        roan_zset_builder builder;
        roan_zset_spot spot;
        roan_zset_builder_init(&builder, &m->types);
        for (size_t i = 0; i < m->count * 2; i++) {
            const twin_item *item = &m->items[i % m->count];
            assert_int_equal(roan_zset_builder_find(&builder, name_of(item), &spot), i >= m->count);
            roan_zset_builder_put(&builder, name_of(item), &spot, i < m->count ? -item->score : item->score);
        }
        if (m->count > 0 && draw(m, 2) == 0) {
            size_t rank = draw(m, m->count);
            assert_true(roan_zset_builder_find(&builder, name_of(&m->items[rank]), &spot));
            roan_zset_builder_drop(&builder, &spot);
            twin_remove(m, rank, 1);
        }
        m->value = roan_zset_builder_finish(&builder, draw(m, 2) == 0);
    }
    roan_zset_ops.free_value(old);
}

/* ---- looking ---- */

static void look_for_member(model *m)
{
    twin_item item = draw_item(m);
    size_t rank = twin_find(m, &item);
    double score = 0;
    uint64_t found = UINT64_MAX;
    assert_int_equal(roan_zset_score(m->value, name_of(&item), &score), rank < m->count);
    assert_int_equal(roan_zset_rank(m->value, name_of(&item), &found, NULL), rank < m->count);
    if (rank == m->count)
        return;
    assert_true(score == m->items[rank].score);
    assert_int_equal(found, rank);
}

static void look_for_bound(model *m)
{
    twin_item item = draw_item(m);
    bool has_member = draw(m, 2) == 0, is_behind = draw(m, 2) == 0;
    roan_ordered_bound bound = {.score = item.score, .member = name_of(&item), .has_score = true,
                                .has_member = has_member, .is_behind = is_behind};
    size_t wanted = 0;
    while (wanted < m->count) {
        const twin_item *other = &m->items[wanted];
        int by_score = (other->score > item.score) - (other->score < item.score);
        int order = has_member ? compare_items(other, &item) : by_score;
        if (order > 0 || (order == 0 && !is_behind))
            break;
        wanted++;
    }
    assert_int_equal(roan_zset_rank_before(m->value, &bound), wanted);
}

static void look_along(model *m)
{
    size_t rank = draw(m, m->count + 1);
    bool is_backwards = draw(m, 2) == 0;
    roan_zset_iterator at;
    roan_zset_item item;
    roan_zset_iterator_init(&at, m->value, rank, is_backwards);
    for (size_t left = rank == m->count ? 0 : is_backwards ? rank + 1 : m->count - rank; left > 0; left--) {
        const twin_item *wanted = &m->items[is_backwards ? left - 1 : m->count - left];
        assert_true(roan_zset_next(&at, &item));
        assert_true(roan_slice_equal(item.member, name_of(wanted)) && item.score == wanted->score);
    }
    assert_false(roan_zset_next(&at, &item));
}

static void count_visit(void *context, const roan_zset_item *item)
{
    (void)item;
    ++*(size_t *)context;
}

static void look_at_places(model *m)
{
    roan_zset_place places[MEMBERS_MAX];
    char scratch[ROAN_I64_TEXT_MAX];
    size_t visited = 0;
    roan_zset_places(m->value, places);
    for (size_t i = 0; i < m->count; i++) {
        roan_zset_place place = draw(m, 2) == 0 ? places[i] : roan_zset_place_at(m->value, i);
        roan_zset_item item = roan_zset_read(m->value, place, scratch);
        assert_true(roan_slice_equal(item.member, name_of(&m->items[i])) && item.score == m->items[i].score);
    }
    uint64_t position = 0;
    do
        position = roan_zset_scan(m->value, position, 10, count_visit, &visited);
    while (position != 0);
    assert_int_equal(visited, m->count);
}

static void step(model *m, unsigned growth)
{
    switch (draw(m, 8)) {
    case 0:
        look_for_member(m);
        break;
    case 1:
        look_for_bound(m);
        break;
    case 2:
        look_along(m);
        break;
    case 3:
        if (draw(m, 16) == 0)
            look_at_places(m);
        else if (draw(m, 32) == 0)
            renew(m);
        break;
    default:
        if (draw(m, 100) < growth)
            put(m);
        else if (draw(m, 20) == 0)
            take_range(m);
        else
            take(m);
        break;
    }
    assert_int_equal(roan_zset_count(m->value), m->count);
    roan_zset_ops.check(m->value);
}

static void run(size_t members, size_t entries_max, uint64_t number)
{
    model m;
    model_init(&m, members, entries_max, number);
    for (unsigned phase = 0; phase < 6; phase++)
        for (size_t i = 0; i < members * 4; i++)
            step(&m, phase % 2 == 0 ? 90 : phase == 5 ? 5 : 40);
    assert_true(roan_zset_ops.memory(m.value, 0) > 0);
    roan_zset_ops.free_value(m.value);
}

static void small_sets(void **state)
{
    (void)state;
    run(100, 1000, 1);
    run(3, 1000, 2);
    run(MEMBERS_MAX, 1000, 3);
}

static void large_sets(void **state)
{
    (void)state;
    run(MEMBERS_MAX, 0, 4);
    run(5, 0, 5);
}

static void sets_that_become_large(void **state)
{
    (void)state;
    for (size_t limit = 1; limit < 200; limit *= 3)
        run(250, limit, 5 + limit);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : roan_random_entropy();
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_sets),
        cmocka_unit_test(large_sets),
        cmocka_unit_test(sets_that_become_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
