/* model_set.c: random operations on sets and on naive twins, compared at each step.
 *
 * Members are numbered; a twin is an array that says which of them are there. A third of the names are integers, some
 * are too long for a pack. The limits are small and differ between rounds, so that sets change their form often. Also:
 * what every form owes to chance (uniform members, uniform choices), what the algebra of several sets yields, and that
 * a scan which runs while the set grows and shrinks sees everything that stays.
 *
 *     model_set [seed]      the seed is printed; the same seed repeats the run
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "types/element.h"
#include "types/set.h"
#include "types/set_algebra.h"
#include "types/set_random.h"

#define MEMBERS 600
#define SETS 7

static uint64_t seed;

typedef struct model {
    roan_type_context types;
    roan_random random;
    char names[MEMBERS][100];
    roan_value sets[SETS];
    bool has[SETS][MEMBERS];
    size_t counts[SETS];
} model;

/* ---- set-up ---- */

/* Names are such that their number can be read back: see number_of. */
static void name_members(model *m)
{
    for (int i = 0; i < MEMBERS; i++) {
        if (i % 3 == 0)
            snprintf(m->names[i], sizeof m->names[i], "%d", i % 2 == 0 ? i : -i);
        else if (i % 50 == 1)
            snprintf(m->names[i], sizeof m->names[i], "%d:%080d", i, i);
        else
            snprintf(m->names[i], sizeof m->names[i], "%d:member", i);
    }
}

static int number_of(roan_slice name)
{
    char text[100];
    assert_true(name.bytes < sizeof text);
    memcpy(text, name.data, name.bytes);
    text[name.bytes] = '\0';
    int number = abs(atoi(text));
    assert_true(number < MEMBERS);
    return number;
}

static roan_slice name_of(const model *m, size_t number)
{
    return roan_slice_from_text(m->names[number]);
}

static void model_init(model *m, uint64_t salt)
{
    memset(m, 0, sizeof *m);
    roan_random_seed(&m->random, seed + salt);
    roan_hash_secret_init(&m->types.elements.secret, seed);
    m->types.elements.ops = &roan_element_table_ops;
    m->types.set_int_entries_max = 512;
    m->types.set_entries_max = 128;
    m->types.set_value_bytes_max = 64;
    name_members(m);
    for (size_t i = 0; i < SETS; i++)
        m->sets[i] = roan_set_create();
}

static void model_done(model *m)
{
    for (size_t i = 0; i < SETS; i++)
        roan_set_free(m->sets[i]);
}

static size_t below(model *m, size_t bound)
{
    return (size_t)roan_random_below(&m->random, bound);
}

/* ---- comparing ---- */

typedef struct seeing {
    const model *m;
    bool seen[MEMBERS];
    size_t count, stop_after;
} seeing;

static bool see_items(void *context, const roan_packed *items, size_t count)
{
    seeing *s = context;
    char scratch[ROAN_I64_TEXT_MAX];
    assert_true(count > 0 && count <= ROAN_SET_BATCH);
    for (size_t i = 0; i < count; i++) {
        int number = number_of(roan_packed_text(&items[i], scratch));
        assert_false(s->seen[number]);
        s->seen[number] = true;
        s->count++;
    }
    return s->stop_after == 0 || s->count < s->stop_after;
}

static void compare_set(const model *m, roan_value set, const bool *has, size_t count)
{
    seeing s = {.m = m};
    roan_set_ops.check(set);
    assert_int_equal(roan_set_count(set), count);
    roan_set_each_batch(set, see_items, &s);
    assert_memory_equal(s.seen, has, MEMBERS * sizeof *has);
}

static void compare_one(const model *m, size_t which)
{
    compare_set(m, m->sets[which], m->has[which], m->counts[which]);
}

/* ---- single members ---- */

static void add(model *m, size_t which, size_t number)
{
    bool is_new = !m->has[which][number];
    assert_int_equal(roan_set_contains(m->sets[which], name_of(m, number)), !is_new);
    assert_int_equal(roan_set_add(&m->sets[which], &m->types, name_of(m, number)), is_new);
    m->has[which][number] = true;
    m->counts[which] += is_new;
}

static void take(model *m, size_t which, size_t number)
{
    bool is_there = m->has[which][number];
    assert_int_equal(roan_set_remove(&m->sets[which], name_of(m, number)), is_there);
    m->has[which][number] = false;
    m->counts[which] -= is_there;
}

/* Many members in one call: new ones, present ones and the same one twice. */
static void add_many(model *m, size_t which)
{
    roan_slice names[100];
    size_t count = 1 + below(m, ROAN_COUNT_OF(names)), added = 0;
    for (size_t i = 0; i < count; i++) {
        size_t number = below(m, MEMBERS);
        names[i] = name_of(m, number);
        added += !m->has[which][number];
        m->has[which][number] = true;
    }
    if (below(m, 2) == 0)
        roan_set_expect(&m->sets[which], &m->types, count);
    assert_int_equal(roan_set_add_many(&m->sets[which], &m->types, names, count), added);
    m->counts[which] += added;
}

static void take_many(model *m, size_t which)
{
    roan_slice names[100];
    size_t count = 1 + below(m, ROAN_COUNT_OF(names)), taken = 0;
    for (size_t i = 0; i < count; i++) {
        size_t number = below(m, MEMBERS);
        names[i] = name_of(m, number);
        taken += m->has[which][number];
        m->has[which][number] = false;
    }
    assert_int_equal(roan_set_remove_many(&m->sets[which], names, count), taken);
    m->counts[which] -= taken;
}

static void ask_many(model *m, size_t which)
{
    roan_slice names[ROAN_SET_BATCH];
    size_t numbers[ROAN_SET_BATCH], count = 1 + below(m, ROAN_SET_BATCH);
    bool contains[ROAN_SET_BATCH];
    for (size_t i = 0; i < count; i++) {
        numbers[i] = below(m, MEMBERS);
        names[i] = name_of(m, numbers[i]);
    }
    roan_set_contains_many(m->sets[which], names, count, contains);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(contains[i], m->has[which][numbers[i]]);
}

static void replace_by_copy(model *m, size_t which)
{
    roan_value copy = roan_set_ops.copy_value(m->sets[which]);
    assert_int_equal(copy.encoding, m->sets[which].encoding);
    assert_true(roan_set_ops.memory(copy, 0) > 0);
    roan_set_free(m->sets[which]);
    m->sets[which] = copy;
}

/* ---- chance ---- */

static void sample(model *m, size_t which)
{
    seeing s = {.m = m};
    size_t wanted = below(m, m->counts[which] + 1);
    roan_set_sample(m->sets[which], &m->random, wanted, see_items, &s);
    assert_int_equal(s.count, wanted);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_true(!s.seen[i] || m->has[which][i]);
}

static void pop(model *m, size_t which)
{
    if (m->counts[which] == 0)
        return;
    seeing s = {.m = m};
    size_t wanted = below(m, m->counts[which]);
    unsigned encoding = m->sets[which].encoding;
    roan_set_pop(&m->sets[which], &m->types, &m->random, wanted, see_items, &s);
    assert_int_equal(s.count, wanted);
    for (size_t i = 0; i < MEMBERS; i++)
        if (s.seen[i]) {
            assert_true(m->has[which][i]);
            m->has[which][i] = false;
        }
    m->counts[which] -= wanted;
    if (m->counts[which] > wanted / 5)
        assert_int_equal(m->sets[which].encoding, encoding);
    compare_one(m, which);
}

/* ---- algebra ---- */

typedef enum operation { INTERSECTION, UNION, DIFFERENCE } operation;

static size_t expect_result(const model *m, operation op, const size_t *which, size_t count, bool *ret_has)
{
    size_t total = 0;
    for (size_t i = 0; i < MEMBERS; i++) {
        size_t in = 0;
        for (size_t j = 0; j < count; j++)
            in += m->has[which[j]][i];
        bool is_in = op == INTERSECTION ? in == count : op == UNION ? in > 0 : m->has[which[0]][i];
        for (size_t j = 1; j < count && op == DIFFERENCE; j++)
            is_in = is_in && !m->has[which[j]][i];
        ret_has[i] = is_in;
        total += is_in;
    }
    return total;
}

static void visit_result(model *m, operation op, roan_value *sets, size_t count, seeing *s)
{
    if (op == INTERSECTION)
        roan_set_intersect(sets, count, see_items, s);
    else if (op == UNION)
        roan_set_unite(&m->types, sets, count, see_items, s);
    else
        roan_set_subtract(&m->types, sets, count, see_items, s);
}

static roan_value compute_result(model *m, operation op, roan_value *sets, size_t count)
{
    if (op == INTERSECTION)
        return roan_set_intersection(&m->types, sets, count);
    return op == UNION ? roan_set_union(&m->types, sets, count) : roan_set_difference(&m->types, sets, count);
}

static void combine(model *m, operation op)
{
    size_t which[SETS + 2], count = 0;
    roan_value sets[SETS + 2], again[SETS + 2];
    for (size_t wanted = 1 + below(m, SETS + 2), tries = 0; count < wanted && tries < 50; tries++) {
        which[count] = below(m, SETS);
        if (m->counts[which[count]] > 0)
            count++;
    }
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++)
        sets[i] = again[i] = m->sets[which[i]];
    bool expected[MEMBERS];
    size_t total = expect_result(m, op, which, count, expected);
    seeing s = {.m = m};
    visit_result(m, op, again, count, &s);
    assert_int_equal(s.count, total);
    assert_memory_equal(s.seen, expected, sizeof expected);
    memcpy(again, sets, sizeof sets);
    if (total > 0) {
        seeing part = {.m = m, .stop_after = 1 + below(m, total)};
        visit_result(m, op, again, count, &part);
        assert_true(part.count >= part.stop_after && part.count < part.stop_after + ROAN_SET_BATCH);
    }
    roan_value result = compute_result(m, op, sets, count);
    compare_set(m, result, expected, total);
    roan_set_free(result);
    for (size_t i = 0; i < count; i++)
        compare_one(m, which[i]);
}

/* ---- the tests ---- */

static void step(model *m)
{
    size_t which = below(m, SETS), number = below(m, MEMBERS);
    switch (below(m, 14)) {
    case 0:
    case 1:
    case 2:
        add(m, which, number);
        break;
    case 3:
        take(m, which, number);
        break;
    case 4:
        add_many(m, which);
        break;
    case 5:
    case 6:
        take_many(m, which);
        break;
    case 7:
        ask_many(m, which);
        break;
    case 8:
        replace_by_copy(m, which);
        break;
    case 9:
        sample(m, which);
        break;
    case 10:
        pop(m, which);
        break;
    default:
        combine(m, (operation)below(m, 3));
        break;
    }
    compare_one(m, which);
}

static void sets_of_all_forms(void **state)
{
    (void)state;
    static const size_t limits[][3] = {{512, 128, 64}, {10, 5, 64},     {5, 10, 20},
                                       {0, 0, 0},      {200, 200, 200}, {0, 20, 4}};
    for (size_t round = 0; round < 2 * ROAN_COUNT_OF(limits); round++) {
        model *m = malloc(sizeof *m);
        model_init(m, round);
        const size_t *chosen = limits[round % ROAN_COUNT_OF(limits)];
        m->types.set_int_entries_max = chosen[0];
        m->types.set_entries_max = chosen[1];
        m->types.set_value_bytes_max = chosen[2];
        for (unsigned i = 0; i < 1500; i++)
            step(m);
        model_done(m);
        free(m);
    }
}

/* Pearson's test of `count` cells with the same expectation; six deviations are allowed. */
static void assert_uniform(const unsigned *hits, size_t count, double expected)
{
    double chi = 0, freedom = (double)count - 1, deviation = 1;
    for (size_t i = 0; i < count; i++)
        chi += (hits[i] - expected) * (hits[i] - expected) / expected;
    while (deviation * deviation < 2 * freedom)
        deviation += 0.5;
    assert_true(chi < freedom + 6 * deviation);
}

typedef struct tally {
    unsigned hits[MEMBERS];
} tally;

static bool tally_items(void *context, const roan_packed *items, size_t count)
{
    tally *t = context;
    char scratch[ROAN_I64_TEXT_MAX];
    for (size_t i = 0; i < count; i++)
        t->hits[number_of(roan_packed_text(&items[i], scratch))]++;
    return true;
}

/* How often each member of `count` is drawn, sampled and popped. */
static void check_chance(model *m, size_t count, size_t stride)
{
    enum { DRAWS = 60000, SAMPLES = 2000 };
    tally drawn = {{0}}, sampled = {{0}}, few = {{0}}, popped = {{0}};
    roan_value set = m->sets[0];
    roan_set_draw(set, &m->random, DRAWS, tally_items, &drawn);
    for (unsigned i = 0; i < SAMPLES; i++) {
        roan_set_sample(set, &m->random, count / 2, tally_items, &sampled);
        roan_set_sample(set, &m->random, count / 10, tally_items, &few);
        roan_value copy = roan_set_ops.copy_value(set);
        roan_set_pop(&copy, &m->types, &m->random, i % 2 == 0 ? count / 10 : count - 2, tally_items, &popped);
        roan_set_free(copy);
    }
    for (size_t i = 0; i < count; i++) {
        drawn.hits[i] = drawn.hits[i * stride];
        sampled.hits[i] = sampled.hits[i * stride];
        few.hits[i] = few.hits[i * stride];
        popped.hits[i] = popped.hits[i * stride];
    }
    assert_uniform(drawn.hits, count, DRAWS / (double)count);
    assert_uniform(sampled.hits, count, SAMPLES * (double)(count / 2) / (double)count);
    assert_uniform(few.hits, count, SAMPLES * (double)(count / 10) / (double)count);
    assert_uniform(popped.hits, count, SAMPLES / 2 * (double)(count / 10 + count - 2) / (double)count);
}

static void every_member_is_equally_likely(void **state)
{
    (void)state;
    static const roan_set_encoding encodings[] = {ROAN_SET_INTS, ROAN_SET_PACK, ROAN_SET_TABLE};
    for (size_t i = 0; i < ROAN_COUNT_OF(encodings); i++) {
        model *m = malloc(sizeof *m);
        model_init(m, 1000 + i);
        roan_set_free(m->sets[0]);
        m->sets[0] = roan_set_create_as(&m->types, encodings[i]);
        size_t count = encodings[i] == ROAN_SET_TABLE ? 190 : 100, stride = 3; /* every third is an integer */
        for (size_t j = 0; j < count; j++)
            add(m, 0, j * stride);
        assert_int_equal(m->sets[0].encoding, encodings[i]);
        check_chance(m, count, stride);
        model_done(m);
        free(m);
    }
}

/* ---- scanning ---- */

typedef struct sweep {
    uint64_t at;
    bool seen[200];
    size_t ghosts; /* never members */
} sweep;

static bool see_scanned(void *context, roan_slice member)
{
    sweep *s = context;
    char text[32];
    assert_true(member.bytes < sizeof text);
    memcpy(text, member.data, member.bytes);
    text[member.bytes] = '\0';
    if (strncmp(text, "stays:", 6) == 0)
        s->seen[atoi(text + 6)] = true;
    else
        s->ghosts += strncmp(text, "comes:", 6) != 0;
    return true;
}

static void scan_on(roan_value set, sweep *s)
{
    s->at = roan_set_scan(set, s->at, 10, see_scanned, s);
}

static void change(roan_value *set, const model *m, size_t number, bool is_added)
{
    char name[32];
    snprintf(name, sizeof name, "comes:%zu", number);
    if (is_added)
        roan_set_add(set, &m->types, roan_slice_from_text(name));
    else
        roan_set_remove(set, roan_slice_from_text(name));
}

/* A pack that becomes a table in between, a table that grows to hundreds of segments, and one that shrinks again. */
static void a_scan_sees_what_stays(void **state)
{
    (void)state;
    enum { STAYING = 200, COMING = 60000 };
    static const size_t steps[] = {97, 997, 9973};
    for (size_t round = 0; round < 2 * ROAN_COUNT_OF(steps); round++) {
        model *m = malloc(sizeof *m);
        model_init(m, 2000 + round);
        bool grows = round % 2 == 0;
        size_t step_size = steps[round / 2], staying = round == 0 ? 100 : STAYING;
        roan_value *set = &m->sets[0];
        for (size_t i = 0; i < staying; i++) {
            char name[32];
            snprintf(name, sizeof name, "stays:%zu", i);
            roan_set_add(set, &m->types, roan_slice_from_text(name));
        }
        for (size_t i = 0; i < COMING && !grows; i++)
            change(set, m, i, true);
        sweep s = {0};
        scan_on(*set, &s);
        for (size_t i = 0; i < COMING || s.at != 0; i++) {
            if (i < COMING)
                change(set, m, grows ? i : COMING - 1 - i, grows);
            if (s.at != 0 && i % (step_size / 20) == 0)
                scan_on(*set, &s);
        }
        roan_set_ops.check(*set);
        assert_int_equal(s.ghosts, 0);
        for (size_t i = 0; i < staying; i++)
            assert_true(s.seen[i]);
        model_done(m);
        free(m);
    }
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : roan_random_entropy() | 1;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_of_all_forms),
        cmocka_unit_test(every_member_is_equally_likely),
        cmocka_unit_test(a_scan_sees_what_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
