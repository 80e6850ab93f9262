/* test_sort.c: the first few of many, compared with sorting them all; sorting by numbers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "base/sort.h"

#define ROUNDS 2000
#define COUNT_MAX 200

/* Larger than one step of swapping. */
typedef struct item {
    uint32_t key, found;
    char ballast[100];
} item;

static int compare_items(const void *left, const void *right, void *context)
{
    const item *a = left, *b = right;
    ++*(size_t *)context;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->found < b->found ? -1 : a->found > b->found;
}

static void fill(roan_random *random, item *items, size_t count, uint32_t keys)
{
    for (size_t i = 0; i < count; i++) {
        items[i].key = (uint32_t)roan_random_below(random, keys);
        items[i].found = (uint32_t)i;
        memset(items[i].ballast, (int)(items[i].key + i) & 0x7f, sizeof items[i].ballast);
    }
}

static void the_first_are_those_of_all_sorted(void **state)
{
    (void)state;
    roan_random random;
    static item items[COUNT_MAX], expected[COUNT_MAX];
    size_t compared = 0;
    roan_random_seed(&random, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t count = roan_random_below(&random, COUNT_MAX + 1), wanted = roan_random_below(&random, count + 1);
        fill(&random, items, count, round % 2 == 0 ? 5 : 1000000);
        memcpy(expected, items, sizeof items);
        qsort_r(expected, count, sizeof *expected, compare_items, &compared);
        roan_sort_first(items, count, sizeof *items, wanted, compare_items, &compared);
        assert_memory_equal(items, expected, wanted * sizeof *items);
    }
}

static void few_of_many_take_few_comparisons(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    roan_random random;
    item *items = calloc(MANY, sizeof *items);
    size_t compared = 0;
    roan_random_seed(&random, 2);
    fill(&random, items, MANY, UINT32_MAX);
    roan_sort_first(items, MANY, sizeof *items, 10, compare_items, &compared);
    assert_true(compared < MANY * 2);
    free(items);
}

static int compare_keys(const void *left, const void *right)
{
    const roan_sort_key *a = left, *b = right;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

static void keys_are_sorted_and_equal_ones_keep_their_order(void **state)
{
    (void)state;
    static const uint64_t bounds[] = {1, 2, 300, 1000000, UINT64_MAX};
    roan_random random;
    static roan_sort_key keys[COUNT_MAX], spare[COUNT_MAX], expected[COUNT_MAX];
    roan_random_seed(&random, 3);
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t count = roan_random_below(&random, COUNT_MAX + 1);
        uint64_t bound = bounds[round % (sizeof bounds / sizeof *bounds)];
        for (size_t i = 0; i < count; i++)
            keys[i] = (roan_sort_key){roan_random_below(&random, bound), i};
        memcpy(expected, keys, sizeof keys);
        qsort(expected, count, sizeof *expected, compare_keys);
        roan_sort_keys(keys, spare, count);
        assert_memory_equal(keys, expected, count * sizeof *keys);
    }
}

static void keys_of_doubles_have_their_order(void **state)
{
    (void)state;
    static const double values[] = {-INFINITY, -1e300, -2, -1, -5e-324, 0, 5e-324, 0.5, 1, 1.5, 1e300, INFINITY};
    for (size_t i = 1; i < sizeof values / sizeof *values; i++)
        assert_true(roan_sort_key_of_double(values[i - 1]) < roan_sort_key_of_double(values[i]));
    assert_int_equal(roan_sort_key_of_double(-0.0), roan_sort_key_of_double(0.0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_are_those_of_all_sorted),
        cmocka_unit_test(few_of_many_take_few_comparisons),
        cmocka_unit_test(keys_are_sorted_and_equal_ones_keep_their_order),
        cmocka_unit_test(keys_of_doubles_have_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
