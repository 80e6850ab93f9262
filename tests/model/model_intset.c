/* model_intset.c: random operations on a set of integers and on a naive twin, compared at each step.
 *
 * The twin is a sorted array of 64-bit numbers. Values come from ranges of several widths, with those at the borders of
 * a width among them, so that sets are widened at every size.
 *
 *     model_intset [seed]      the seed is printed; the same seed repeats the run
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
#include "base/random.h"
#include "types/intset.h"

#define VALUES_MAX 700
#define STEPS 3000
#define ROUNDS 60

static uint64_t seed;

typedef struct twin {
    int64_t values[VALUES_MAX];
    size_t count;
} twin;

static size_t place_of(const twin *t, int64_t value)
{
    size_t at = 0;
    while (at < t->count && t->values[at] < value)
        at++;
    return at;
}

static bool twin_has(const twin *t, int64_t value)
{
    size_t at = place_of(t, value);
    return at < t->count && t->values[at] == value;
}

static void twin_add(twin *t, int64_t value)
{
    size_t at = place_of(t, value);
    memmove(t->values + at + 1, t->values + at, (t->count - at) * sizeof *t->values);
    t->values[at] = value;
    t->count++;
}

static void twin_remove(twin *t, int64_t value)
{
    size_t at = place_of(t, value);
    memmove(t->values + at, t->values + at + 1, (t->count - at - 1) * sizeof *t->values);
    t->count--;
}

/* A value that fits `bits`, near zero, near the border, or anywhere. */
static int64_t draw(roan_random *random, unsigned bits)
{
    int64_t low = bits == 64 ? INT64_MIN : -((int64_t)1 << (bits - 1)), high = -(low + 1);
    int64_t near = (int64_t)roan_random_below(random, 300);
    switch (roan_random_below(random, 4)) {
    case 0:
        return low + near % 3;
    case 1:
        return high - near % 3;
    case 2:
        return near - 150 < low ? low : near - 150;
    default:
        return (int64_t)(roan_random_next(random) << (64 - bits)) >> (64 - bits);
    }
}

static void compare(const roan_intset *set, const twin *t)
{
    roan_intset_check(set);
    assert_int_equal(roan_intset_count(set), t->count);
    for (size_t i = 0; i < t->count; i++)
        assert_true(roan_intset_at(set, i) == t->values[i]);
}

static void a_set_is_its_sorted_values(void **state)
{
    (void)state;
    static const unsigned widths[] = {8, 16, 17, 32, 33, 64};
    roan_random random;
    roan_random_seed(&random, seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        roan_intset *set = roan_intset_create();
        twin t = {.count = 0};
        unsigned bits = 16;
        for (unsigned step = 0; step < STEPS; step++) {
            if (roan_random_below(&random, 200) == 0)
                bits = widths[roan_random_below(&random, ROAN_COUNT_OF(widths))];
            int64_t value = draw(&random, bits);
            bool has = twin_has(&t, value);
            assert_int_equal(roan_intset_contains(set, value), has);
            if (t.count < VALUES_MAX - 1 && roan_random_below(&random, 3) > 0) {
                assert_int_equal(roan_intset_add(&set, value), !has);
                if (!has)
                    twin_add(&t, value);
            } else {
                if (t.count > 0 && roan_random_below(&random, 2) == 0) {
                    value = t.values[roan_random_below(&random, t.count)];
                    has = true;
                }
                assert_int_equal(roan_intset_remove(&set, value), has);
                if (has)
                    twin_remove(&t, value);
            }
            if (step % 50 == 0)
                compare(set, &t);
        }
        roan_intset *copy = roan_intset_copy(set);
        compare(copy, &t);
        assert_true(roan_intset_memory(set) >= 8 + t.count * 2);
        roan_intset_free(copy);
        compare(set, &t);
        assert_null(roan_intset_free(set));
    }
    assert_null(roan_intset_free(NULL));
}

static void the_ends_of_each_width_are_kept(void **state)
{
    (void)state;
    static const int64_t values[] = {0,         INT16_MIN, INT16_MAX,         INT16_MIN - 1,     INT16_MAX + 1,
                                     INT32_MIN, INT32_MAX, INT32_MIN - 1ll, INT32_MAX + 1ll, INT64_MIN, INT64_MAX};
    roan_intset *set = roan_intset_create();
    for (size_t i = 0; i < ROAN_COUNT_OF(values); i++) {
        assert_false(roan_intset_contains(set, values[i]));
        assert_false(roan_intset_remove(&set, values[i]));
        assert_true(roan_intset_add(&set, values[i]));
        assert_false(roan_intset_add(&set, values[i]));
        for (size_t j = 0; j <= i; j++)
            assert_true(roan_intset_contains(set, values[j]));
    }
    roan_intset_check(set);
    for (size_t i = 0; i < ROAN_COUNT_OF(values); i++)
        assert_true(roan_intset_remove(&set, values[i]));
    assert_int_equal(roan_intset_count(set), 0);
    roan_intset_free(set);
}

int main(int argc, char **argv)
{
    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : roan_random_entropy() | 1;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_is_its_sorted_values),
        cmocka_unit_test(the_ends_of_each_width_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
