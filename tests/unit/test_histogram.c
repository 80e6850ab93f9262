/* test_histogram.c: the histogram against a sorted array that keeps every value.
 *
 * Promises: counts, minimum, maximum and mean are exact; a percentile is at least the exact one and
 * at most 1/1024 above it, whatever the shape of the values; merging equals recording everything in
 * one. The random cases print their seed when they fail and take one from ROAN_TEST_SEED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/histogram.h"

#define VALUES_MAX 20000

static const double PERCENTILES[] = {0,  0.1,  1,  5,  10, 25,   33.333, 50,    66.6,   75,
                                     87.5, 90, 95, 99, 99.9, 99.95, 99.99, 99.999, 99.9999, 100};
#define PERCENTILE_COUNT (sizeof PERCENTILES / sizeof PERCENTILES[0])

typedef struct naive {
    uint64_t values[VALUES_MAX];
    size_t count;
} naive;

static uint64_t random_next(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9E3779B97F4A7C15);

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

static uint64_t test_seed(void)
{
    const char *given = getenv("ROAN_TEST_SEED");

    return given != NULL ? strtoull(given, NULL, 0) : 20261120;
}

static int compare_values(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

static void naive_add(naive *all, uint64_t value)
{
    assert_true(all->count < VALUES_MAX);
    all->values[all->count++] = value;
}

/* The exact answer: the smallest kept value with at least p percent of all at or below it. Ranks
 * are computed in thousandths of a millionth so that no rounding is involved. */
static uint64_t naive_at_percentile(const naive *sorted, double percentile)
{
    uint64_t parts = (uint64_t)(percentile * 1e6 + 0.5);
    uint64_t rank = (parts * sorted->count + 99999999) / 100000000;

    if (rank == 0)
        rank = 1;
    return sorted->values[rank - 1];
}

static void assert_equivalent(const roan_histogram *histogram, naive *all)
{
    double sum = 0;

    qsort(all->values, all->count, sizeof all->values[0], compare_values);
    for (size_t i = 0; i < all->count; i++)
        sum += (double)all->values[i];
    assert_int_equal(roan_histogram_count(histogram), all->count);
    assert_int_equal(roan_histogram_min(histogram), all->values[0]);
    assert_int_equal(roan_histogram_max(histogram), all->values[all->count - 1]);
    assert_true(roan_histogram_mean(histogram) >= sum / (double)all->count * (1 - 1e-9));
    assert_true(roan_histogram_mean(histogram) <= sum / (double)all->count * (1 + 1e-9));
    for (size_t i = 0; i < all->count; i += 1 + all->count / 50) {
        uint64_t got = roan_histogram_at_rank(histogram, i + 1);
        assert_true(got >= all->values[i] && got - all->values[i] <= all->values[i] / 1024);
    }
    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        uint64_t exact = naive_at_percentile(all, PERCENTILES[i]);
        uint64_t got = roan_histogram_at_percentile(histogram, PERCENTILES[i]);
        if (got < exact || got - exact > exact / 1024)
            fail_msg("p%g is %llu, should be %llu (seed %llu)", PERCENTILES[i],
                     (unsigned long long)got, (unsigned long long)exact,
                     (unsigned long long)test_seed());
    }
}

static void empty_answers_zero(void **state)
{
    roan_histogram *histogram = roan_histogram_create();

    (void)state;
    assert_non_null(histogram);
    assert_int_equal(roan_histogram_count(histogram), 0);
    assert_int_equal(roan_histogram_min(histogram), 0);
    assert_int_equal(roan_histogram_max(histogram), 0);
    assert_int_equal(roan_histogram_at_percentile(histogram, 50), 0);
    assert_int_equal(roan_histogram_at_rank(histogram, 1), 0);
    assert_int_equal(roan_histogram_count_up_to(histogram, UINT64_MAX), 0);
    assert_true(roan_histogram_mean(histogram) == 0.0);
    assert_null(roan_histogram_free(histogram));
    assert_null(roan_histogram_free(NULL));
}

static void small_values_are_exact(void **state)
{
    roan_histogram *histogram = roan_histogram_create();

    (void)state;
    for (uint64_t value = 0; value < 2048; value++)
        roan_histogram_record(histogram, value, 1);
    for (uint64_t value = 0; value < 2048; value++) {
        double percentile = 100.0 * (double)(value + 1) / 2048;
        assert_int_equal(roan_histogram_at_percentile(histogram, percentile), value);
        assert_int_equal(roan_histogram_count_up_to(histogram, value), value + 1);
    }
    roan_histogram_free(histogram);
}

/* Every power of two and its neighbours: the places where the width of a bucket changes. */
static void bucket_borders_keep_the_error_bound(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 43; bit++) {
        for (int step = -2; step <= 2; step++) {
            roan_histogram *histogram = roan_histogram_create();
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)step;
            uint64_t got;
            if (bit < 2)
                value = (uint64_t)(step + 2);
            roan_histogram_record(histogram, value, 3);
            roan_histogram_record(histogram, value * 8 + 1000, 1);
            got = roan_histogram_at_percentile(histogram, 75);
            assert_true(got >= value && got - value <= value / 1024);
            assert_int_equal(roan_histogram_count_up_to(histogram, value), 3);
            assert_int_equal(roan_histogram_max(histogram), value * 8 + 1000);
            roan_histogram_free(histogram);
        }
    }
}

static void values_beyond_the_limit_keep_the_maximum(void **state)
{
    roan_histogram *histogram = roan_histogram_create();

    (void)state;
    roan_histogram_record(histogram, 5, 1);
    roan_histogram_record(histogram, ROAN_HISTOGRAM_VALUE_LIMIT, 1);
    roan_histogram_record(histogram, UINT64_MAX, 2);
    assert_int_equal(roan_histogram_count(histogram), 4);
    assert_int_equal(roan_histogram_max(histogram), UINT64_MAX);
    assert_int_equal(roan_histogram_at_percentile(histogram, 25), 5);
    assert_int_equal(roan_histogram_at_percentile(histogram, 100), UINT64_MAX);
    roan_histogram_free(histogram);
}

static void recording_nothing_changes_nothing(void **state)
{
    roan_histogram *histogram = roan_histogram_create();

    (void)state;
    roan_histogram_record(histogram, 7, 0);
    assert_int_equal(roan_histogram_count(histogram), 0);
    assert_int_equal(roan_histogram_max(histogram), 0);
    roan_histogram_record(histogram, 9, 1);
    assert_int_equal(roan_histogram_min(histogram), 9);
    roan_histogram_clear(histogram);
    assert_int_equal(roan_histogram_count(histogram), 0);
    assert_int_equal(roan_histogram_min(histogram), 0);
    roan_histogram_free(histogram);
}

/* One shape of values per round: constant, narrow, wide, log-uniform, and a fast body with a slow
 * tail. */
static uint64_t draw_value(unsigned shape, uint64_t *random_state)
{
    uint64_t random = random_next(random_state);

    switch (shape) {
    case 0: return 123456789;
    case 1: return 250000 + random % 5000;
    case 2: return random % 10000000000;
    case 3: return (random >> 24) >> (random_next(random_state) % 40);
    default: return random % 100 < 98 ? 80000 + random % 40000 : 3000000 + random % 900000000;
    }
}

static void percentiles_match_a_sorted_array(void **state)
{
    static naive all;
    uint64_t random_state = test_seed();

    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        roan_histogram *histogram = roan_histogram_create();
        size_t records = 1 + (size_t)(random_next(&random_state) % (round < 20 ? 12 : 6000));
        all.count = 0;
        for (size_t i = 0; i < records; i++) {
            uint64_t value = draw_value(round % 5, &random_state);
            uint64_t times = 1 + random_next(&random_state) % 3;
            roan_histogram_record(histogram, value, times);
            for (uint64_t t = 0; t < times; t++)
                naive_add(&all, value);
        }
        assert_equivalent(histogram, &all);
        roan_histogram_free(histogram);
    }
}

static void merging_equals_recording_in_one(void **state)
{
    static naive all;
    uint64_t random_state = test_seed() + 1;
    roan_histogram *parts[4];
    roan_histogram *whole = roan_histogram_create();

    (void)state;
    all.count = 0;
    for (size_t i = 0; i < 4; i++)
        parts[i] = roan_histogram_create();
    for (size_t i = 0; i < 9000; i++) {
        uint64_t value = draw_value((unsigned)(i % 5), &random_state);
        roan_histogram_record(parts[random_next(&random_state) % 3], value, 1);
        naive_add(&all, value);
    }
    for (size_t i = 0; i < 4; i++) {
        roan_histogram_merge(whole, parts[i]); /* the last part is empty */
        roan_histogram_free(parts[i]);
    }
    assert_equivalent(whole, &all);
    roan_histogram_free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_answers_zero),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(bucket_borders_keep_the_error_bound),
        cmocka_unit_test(values_beyond_the_limit_keep_the_maximum),
        cmocka_unit_test(recording_nothing_changes_nothing),
        cmocka_unit_test(percentiles_match_a_sorted_array),
        cmocka_unit_test(merging_equals_recording_in_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
