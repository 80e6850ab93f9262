/* model_ordered.c: random operations on the ordered tree and on a naive twin, compared at each step.
 *
 * The twin is a sorted array of numbers of members. Scores come from few values (many ties), from many, or in order;
 * runs grow, churn and shrink, also from either end, so that every way of finding room and of giving it back is met.
 * In checked builds the tree's own check runs after each step while it is small, otherwise now and then.
 *
 *     model_ordered [seed]      the seed is printed; the same seed repeats the run
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
#include "types/ordered.h"

#define MEMBERS_MAX 20000

typedef struct model {
    roan_page_pool *pages;
    roan_table_context context;
    roan_table table; /* only for its arena */
    roan_ordered tree;
    roan_random random;
    roan_element *elements[MEMBERS_MAX];
    double scores[MEMBERS_MAX];
    bool is_present[MEMBERS_MAX];
    uint32_t order[MEMBERS_MAX]; /* the twin: numbers of members */
    size_t count, member_count;
    unsigned score_kinds; /* how many different scores; 0: many */
    uint64_t steps;
} model;

static uint64_t seed;

static uint64_t draw(model *m, uint64_t bound)
{
    return roan_random_below(&m->random, bound);
}

static double draw_score(model *m)
{
    if (m->score_kinds == 1)
        return 0;
    if (draw(m, 50) == 0)
        return draw(m, 2) == 0 ? -INFINITY : INFINITY;
    if (m->score_kinds > 0)
        return (double)draw(m, m->score_kinds) - 1;
    return (double)draw(m, 1u << 20) / 16.0 - 1000.0;
}

static model *model_create(size_t members, unsigned score_kinds)
{
    model *m = calloc(1, sizeof *m);
    m->context.ops = &roan_element_table_ops;
    roan_hash_secret_init(&m->context.secret, seed);
    roan_table_init(&m->table, &m->context);
    roan_random_seed(&m->random, seed + members + score_kinds);
    roan_ordered_init(&m->tree);
    m->member_count = members;
    m->score_kinds = score_kinds;
    for (size_t i = 0; i < members; i++) {
        char name[32];
        size_t bytes = (size_t)snprintf(name, sizeof name, i % 3 == 0 ? "%zu" : "member:%06zu", i);
        roan_element_parts parts = {.key = roan_slice_make(name, bytes), .has_number = true};
        m->elements[i] = roan_element_create(&m->table, &parts);
    }
    return m;
}

static void model_free(model *m)
{
    roan_ordered_clear(&m->tree);
    roan_ordered_check(&m->tree);
    for (size_t i = 0; i < m->member_count; i++)
        roan_element_free(&m->table, m->elements[i]);
    roan_table_clear(&m->table);
    free(m);
}

static int compare_keys(roan_slice a, roan_slice b)
{
    int order = memcmp(a.data, b.data, ROAN_MIN(a.bytes, b.bytes));
    return order != 0 ? order : (int)a.bytes - (int)b.bytes;
}

/* The twin's place for a (score, member). */
static size_t place_of(const model *m, double score, roan_slice member, bool is_behind)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint32_t other = m->order[middle];
        int order = m->scores[other] < score   ? -1
                    : m->scores[other] > score ? 1
                                               : compare_keys(roan_element_key(m->elements[other]), member);
        if (order < 0 || (order == 0 && is_behind))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t place_of_member(const model *m, size_t member)
{
    return place_of(m, m->scores[member], roan_element_key(m->elements[member]), false);
}

/* ---- operations ---- */

static void twin_insert(model *m, size_t member, double score)
{
    m->scores[member] = score;
    size_t place = place_of_member(m, member);
    memmove(&m->order[place + 1], &m->order[place], (m->count - place) * sizeof m->order[0]);
    m->order[place] = (uint32_t)member;
    m->is_present[member] = true;
    m->count++;
}

static void twin_remove_at(model *m, size_t place)
{
    m->is_present[m->order[place]] = false;
    m->count--;
    memmove(&m->order[place], &m->order[place + 1], (m->count - place) * sizeof m->order[0]);
}

static void insert(model *m, size_t member, double score)
{
    twin_insert(m, member, score);
    roan_element_set_score(m->elements[member], score);
    roan_ordered_insert(&m->tree, m->elements[member]);
}

static void put(model *m, size_t member, double score)
{
    if (!m->is_present[member]) {
        insert(m, member, score);
        return;
    }
    roan_ordered_change_score(&m->tree, m->elements[member], score);
    twin_remove_at(m, place_of_member(m, member));
    twin_insert(m, member, score);
}

static void remove_member(model *m, size_t member)
{
    if (!m->is_present[member])
        return;
    twin_remove_at(m, place_of_member(m, member));
    roan_ordered_remove(&m->tree, m->elements[member]);
}

static void take(model *m, uint64_t rank, size_t max)
{
    roan_element *taken[ROAN_ORDERED_TAKE_MAX];
    size_t count = roan_ordered_take(&m->tree, rank, ROAN_MIN(max, ROAN_COUNT_OF(taken)), taken);
    assert_true(count > 0 && count <= max);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(taken[i], m->elements[m->order[rank]]);
        twin_remove_at(m, rank);
    }
}

/* ---- looking ---- */

static void look_for_rank(model *m)
{
    size_t member = draw(m, m->member_count);
    if (m->is_present[member])
        assert_int_equal(roan_ordered_rank(&m->tree, m->elements[member]), place_of_member(m, member));
}

static void look_for_bound(model *m)
{
    size_t member = draw(m, m->member_count);
    roan_slice key = roan_element_key(m->elements[member]);
    roan_ordered_bound bound = {.score = draw_score(m), .has_score = true, .is_behind = draw(m, 2) == 0};
    size_t wanted;
    if (m->score_kinds == 1 && draw(m, 2) == 0) {
        bound.has_score = false; /* all are the same */
        bound.has_member = true;
        bound.member = key;
        wanted = place_of(m, 0, key, bound.is_behind);
    } else if (draw(m, 2) == 0) {
        bound.has_member = true;
        bound.member = key;
        wanted = place_of(m, bound.score, key, bound.is_behind);
    } else {
        wanted = place_of(m, bound.score, roan_slice_make("", 0), false);
        while (bound.is_behind && wanted < m->count && m->scores[m->order[wanted]] == bound.score)
            wanted++;
    }
    assert_int_equal(roan_ordered_rank_of_bound(&m->tree, &bound), wanted);
}

static void look_along(model *m)
{
    uint64_t rank = draw(m, m->count + 1), steps = draw(m, 200);
    roan_ordered_cursor at = roan_ordered_at(&m->tree, rank);
    for (uint64_t i = rank; i <= rank + steps && i <= m->count; i++)
        assert_ptr_equal(roan_ordered_next(&at), i == m->count ? NULL : m->elements[m->order[i]]);
    if (rank == m->count)
        return;
    at = roan_ordered_at(&m->tree, rank);
    for (uint64_t i = 0; i <= steps && i <= rank + 1; i++)
        assert_ptr_equal(roan_ordered_previous(&at), i == rank + 1 ? NULL : m->elements[m->order[rank - i]]);
}

static void check(model *m)
{
    assert_int_equal(m->tree.count, m->count);
    m->steps++;
    if (m->count < 300 || m->steps % (ROAN_IS_CHECKED ? 16 : 256) == 0)
        roan_ordered_check(&m->tree);
}

/* ---- the runs ---- */

/* `growth` of 100 steps put members, the others take them away. */
static void run_phase(model *m, size_t steps, unsigned growth)
{
    for (size_t i = 0; i < steps; i++) {
        size_t member = draw(m, m->member_count);
        switch (draw(m, 8)) {
        case 0:
            look_for_rank(m);
            break;
        case 1:
            look_for_bound(m);
            break;
        case 2:
            look_along(m);
            break;
        default:
            if (draw(m, 100) < growth)
                put(m, member, draw(m, 4) == 0 && m->is_present[member] && m->score_kinds != 1
                                   ? m->scores[member] + 0.5
                                   : draw_score(m));
            else if (draw(m, 16) > 0 || m->count == 0)
                remove_member(m, member);
            else
                take(m, draw(m, m->count), 1 + draw(m, 100));
            break;
        }
        check(m);
    }
}

static void run(size_t members, unsigned score_kinds)
{
    model *m = model_create(members, score_kinds);
    run_phase(m, members * 2, 95);
    run_phase(m, members * 2, 50);
    run_phase(m, members * 3, 8);
    run_phase(m, members, 60);
    model_free(m);
}

static void any_scores(void **state)
{
    (void)state;
    run(10000, 0);
}

static void few_scores(void **state)
{
    (void)state;
    run(6000, 5);
}

static void one_score(void **state)
{
    (void)state;
    run(6000, 1);
}

static void small_trees(void **state)
{
    (void)state;
    for (size_t members = 1; members < 400; members += 1 + members / 4)
        run(members, (unsigned)members % 3);
}

/* Members that come in order fill their leaves, and going from either end needs no rebalancing. */
static void growing_and_shrinking_at_the_ends(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 4; kind++) {
        model *m = model_create(MEMBERS_MAX, 0);
        for (size_t i = 0; i < MEMBERS_MAX; i++) {
            insert(m, i, kind & 1 ? -(double)i : (double)i);
            check(m);
        }
        assert_true(roan_ordered_bytes(&m->tree) < MEMBERS_MAX * 7);
        while (m->count > 0) {
            take(m, kind & 2 ? m->count - 1 : 0, 1 + draw(m, 3));
            check(m);
        }
        model_free(m);
    }
}

/* Members that come in no order leave leaves about four fifths full. */
static void random_insertion_fills_leaves(void **state)
{
    (void)state;
    model *m = model_create(MEMBERS_MAX, 0);
    for (size_t i = 0; i < MEMBERS_MAX; i++)
        insert(m, i, (double)draw(m, UINT32_MAX));
    roan_ordered_check(&m->tree);
    print_message("%.2f bytes per member\n", (double)roan_ordered_bytes(&m->tree) / MEMBERS_MAX);
    assert_true(roan_ordered_bytes(&m->tree) < MEMBERS_MAX * 9);
    model_free(m);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 10) : roan_random_entropy();
    print_message("seed %llu\n", (unsigned long long)seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_scores),
        cmocka_unit_test(few_scores),
        cmocka_unit_test(one_score),
        cmocka_unit_test(small_trees),
        cmocka_unit_test(growing_and_shrinking_at_the_ends),
        cmocka_unit_test(random_insertion_fills_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
