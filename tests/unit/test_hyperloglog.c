/* test_hyperloglog.c: HyperLogLog values: the bytes that others make of the same elements, both forms, corrupt
 * values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/number.h"
#include "base/random.h"
#include "types/hyperloglog.h"
#include "types/hyperloglog_inside.h"

static roan_slice empty_value(void)
{
    return roan_slice_make(roan_hll_empty, sizeof roan_hll_empty);
}

static void expect_description(const roan_hll_draft *draft, const char *expected)
{
    roan_buffer text = {0};
    roan_hll_describe(roan_hll_draft_value(draft), &text);
    assert_int_equal(text.bytes, strlen(expected));
    assert_memory_equal(text.data, expected, text.bytes);
    roan_buffer_done(&text);
}

/* Three elements as Valkey places them. */
static void elements_find_the_registers_of_the_reference(void **state)
{
    (void)state;
    roan_hll_draft draft;
    roan_hll_draft_init(&draft, empty_value(), 3000);
    expect_description(&draft, "Z:16384");
    assert_int_equal(roan_hll_draft_raise(&draft, roan_hll_mark_of(ROAN_LITERAL("a"))), ROAN_HLL_RAISED);
    assert_int_equal(roan_hll_draft_raise(&draft, roan_hll_mark_of(ROAN_LITERAL("b"))), ROAN_HLL_RAISED);
    assert_int_equal(roan_hll_draft_raise(&draft, roan_hll_mark_of(ROAN_LITERAL("c"))), ROAN_HLL_RAISED);
    assert_int_equal(roan_hll_draft_raise(&draft, roan_hll_mark_of(ROAN_LITERAL("a"))), ROAN_HLL_SAME);
    expect_description(&draft, "Z:8436 v:1,1 Z:4274 v:2,1 Z:3068 v:1,1 Z:603");
    uint64_t count;
    assert_true(roan_hll_count(roan_hll_draft_value(&draft), &count));
    assert_int_equal(count, 3);
    roan_hll_draft_done(&draft);
}

static void raise(roan_hll_draft *draft, unsigned index, unsigned rank)
{
    assert_int_equal(roan_hll_draft_raise(draft, (roan_hll_mark){(uint16_t)index, (uint8_t)rank}), ROAN_HLL_RAISED);
}

static void runs_are_cut_and_joined(void **state)
{
    (void)state;
    roan_hll_draft draft;
    roan_hll_draft_init(&draft, empty_value(), 3000);
    raise(&draft, 0, 5);
    expect_description(&draft, "v:5,1 Z:16383");
    raise(&draft, 16383, 5);
    expect_description(&draft, "v:5,1 Z:16382 v:5,1");
    raise(&draft, 64, 32);
    expect_description(&draft, "v:5,1 z:63 v:32,1 Z:16318 v:5,1");
    raise(&draft, 1, 5);
    raise(&draft, 3, 5);
    expect_description(&draft, "v:5,2 z:1 v:5,1 z:60 v:32,1 Z:16318 v:5,1");
    raise(&draft, 2, 5);
    expect_description(&draft, "v:5,4 z:60 v:32,1 Z:16318 v:5,1");
    raise(&draft, 1, 6);
    expect_description(&draft, "v:5,1 v:6,1 v:5,2 z:60 v:32,1 Z:16318 v:5,1");
    roan_hll_draft_done(&draft);
}

static void a_value_becomes_dense_when_it_has_to(void **state)
{
    (void)state;
    roan_hll_draft draft;
    roan_hll_draft_init(&draft, empty_value(), ROAN_HLL_EMPTY_BYTES + 1);
    raise(&draft, 0, 32); /* one byte more */
    assert_false(roan_hll_is_dense(roan_hll_draft_value(&draft)));
    raise(&draft, 7, 1);
    assert_true(roan_hll_is_dense(roan_hll_draft_value(&draft)));
    assert_int_equal(roan_hll_draft_raise(&draft, (roan_hll_mark){0, 32}), ROAN_HLL_SAME);
    assert_int_equal(roan_hll_draft_raise(&draft, (roan_hll_mark){7, 1}), ROAN_HLL_SAME);
    roan_hll_draft_done(&draft);

    roan_hll_draft_init(&draft, empty_value(), 3000);
    raise(&draft, 5, 33);
    assert_true(roan_hll_is_dense(roan_hll_draft_value(&draft)));
    roan_hll_draft_done(&draft);
}

static void the_header_is_checked(void **state)
{
    (void)state;
    char value[ROAN_HLL_DENSE_BYTES + 1] = "HYLL";
    uint64_t count = 99;
    assert_true(roan_hll_is_valid(roan_slice_make(value, ROAN_HLL_DENSE_BYTES)));
    assert_false(roan_hll_is_valid(roan_slice_make(value, ROAN_HLL_DENSE_BYTES - 1)));
    assert_false(roan_hll_is_valid(roan_slice_make(value, ROAN_HLL_DENSE_BYTES + 1)));
    value[4] = 1;
    assert_true(roan_hll_is_valid(roan_slice_make(value, 16)));
    assert_false(roan_hll_is_valid(roan_slice_make(value, 15)));
    assert_false(roan_hll_count(roan_slice_make(value, 16), &count)); /* no registers */
    value[4] = 2;
    assert_false(roan_hll_is_valid(roan_slice_make(value, 16)));
    value[4] = 0;
    value[0] = 'h';
    assert_false(roan_hll_is_valid(roan_slice_make(value, ROAN_HLL_DENSE_BYTES)));
    value[0] = 'H';
    roan_hll_set_cached_count(value, 0x123456789abcdef);
    assert_true(roan_hll_cached_count(roan_slice_make(value, sizeof value), &count));
    assert_int_equal(count, 0x123456789abcdef);
    assert_int_equal((unsigned char)value[8], 0xef);
    roan_hll_invalidate_count(value);
    assert_false(roan_hll_cached_count(roan_slice_make(value, sizeof value), &count));
}

/* The register by its definition, bit by bit. */
static unsigned dense_rank(const char *value, unsigned index)
{
    unsigned rank = 0;
    for (unsigned i = 0; i < 6; i++) {
        unsigned bit = index * 6 + i;
        rank |= ((unsigned char)value[ROAN_HLL_HEADER_BYTES + bit / 8] >> bit % 8 & 1u) << i;
    }
    return rank;
}

static void registers_survive_the_dense_form(void **state)
{
    (void)state;
    roan_random random;
    roan_hll_registers registers, found;
    char *value = malloc(ROAN_HLL_DENSE_BYTES); /* exactly, so that a sanitizer sees the edges */
    memset(value, 0, ROAN_HLL_HEADER_BYTES);
    roan_random_seed(&random, 1);
    for (unsigned i = 0; i < ROAN_HLL_REGISTER_COUNT; i++)
        registers.rank[i] = (uint8_t)roan_random_below(&random, 64);
    roan_hll_dense_store(value, &registers);
    for (unsigned i = 0; i < ROAN_HLL_REGISTER_COUNT; i++)
        assert_int_equal(dense_rank(value, i), registers.rank[i]);
    memset(&found, 0, sizeof found);
    assert_true(roan_hll_merge(&found, roan_slice_make(value, ROAN_HLL_DENSE_BYTES)));
    assert_memory_equal(&found, &registers, sizeof found);

    roan_hll_histogram histogram, expected = {0};
    for (unsigned i = 0; i < ROAN_HLL_REGISTER_COUNT; i++)
        expected.count[registers.rank[i]]++;
    roan_hll_registers_histogram(&registers, &histogram);
    assert_memory_equal(&histogram, &expected, sizeof expected);
    free(value);
}

static void single_registers_of_the_dense_form_rise(void **state)
{
    (void)state;
    roan_random random;
    char *value = calloc(1, ROAN_HLL_DENSE_BYTES);
    uint8_t twin[ROAN_HLL_REGISTER_COUNT] = {0};
    roan_random_seed(&random, 2);
    for (unsigned i = 0; i < 100000; i++) {
        unsigned index = (unsigned)roan_random_below(&random, ROAN_HLL_REGISTER_COUNT);
        unsigned rank = 1 + (unsigned)roan_random_below(&random, ROAN_HLL_RANK_MAX);
        bool rises = roan_hll_dense_raise(value, (roan_hll_mark){(uint16_t)index, (uint8_t)rank});
        assert_int_equal(rises, rank > twin[index]);
        twin[index] = (uint8_t)ROAN_MAX(twin[index], rank);
    }
    for (unsigned i = 0; i < ROAN_HLL_REGISTER_COUNT; i++)
        assert_int_equal(dense_rank(value, i), twin[i]);
    free(value);
}

/* What Valkey answers to PFCOUNT after adding the decimal numbers below n. */
static void estimates_are_those_of_the_reference(void **state)
{
    (void)state;
    static const struct {
        unsigned elements;
        uint64_t count;
    } rows[] = {{1, 1}, {10, 10}, {100, 100}, {1000, 1001}, {1500, 1512},
              {10000, 9987}, {50000, 50354}, {100000, 99565}, {300000, 301169}};
    roan_hll_draft draft;
    unsigned next = 0;
    roan_hll_draft_init(&draft, empty_value(), 3000);
    for (size_t row = 0; row < ROAN_COUNT_OF(rows); row++) {
        for (; next < rows[row].elements; next++) {
            char text[ROAN_I64_TEXT_MAX];
            roan_slice element = roan_slice_make(text, roan_format_i64(text, next));
            assert_int_not_equal(roan_hll_draft_raise(&draft, roan_hll_mark_of(element)), ROAN_HLL_CORRUPT);
        }
        uint64_t count;
        assert_true(roan_hll_count(roan_hll_draft_value(&draft), &count));
        assert_int_equal(count, rows[row].count);
    }
    roan_hll_draft_done(&draft);
}

static void extreme_registers_have_an_estimate(void **state)
{
    (void)state;
    roan_hll_registers registers;
    memset(&registers, 0, sizeof registers);
    assert_int_equal(roan_hll_count_registers(&registers), 0);
    memset(&registers, ROAN_HLL_RANK_MAX, sizeof registers);
    assert_true(roan_hll_count_registers(&registers) > 0);
    memset(&registers, 63, sizeof registers); /* made up by somebody */
    roan_hll_count_registers(&registers);
}

/* Random bytes behind a sparse header: whatever happens, nothing outside is touched. */
static void corrupt_values_are_harmless(void **state)
{
    (void)state;
    roan_random random;
    roan_random_seed(&random, 3);
    for (unsigned round = 0; round < 20000; round++) {
        size_t bytes = ROAN_HLL_HEADER_BYTES + roan_random_below(&random, 40);
        char *value = malloc(bytes);
        memcpy(value, roan_hll_empty, ROAN_HLL_HEADER_BYTES);
        for (size_t i = ROAN_HLL_HEADER_BYTES; i < bytes; i++)
            value[i] = (char)roan_random_next(&random);
        roan_slice slice = roan_slice_make(value, bytes);
        roan_hll_registers registers;
        roan_hll_draft draft;
        roan_buffer text = {0};
        uint64_t count;
        memset(&registers, 0, sizeof registers);
        assert_int_equal(roan_hll_count(slice, &count), roan_hll_merge(&registers, slice));
        roan_hll_describe(slice, &text);
        roan_hll_draft_init(&draft, slice, 30);
        for (unsigned i = 0; i < 10; i++) {
            roan_hll_mark mark = {(uint16_t)roan_random_below(&random, ROAN_HLL_REGISTER_COUNT),
                                  (uint8_t)(1 + roan_random_below(&random, 40))};
            if (roan_hll_draft_raise(&draft, mark) == ROAN_HLL_CORRUPT)
                break;
        }
        roan_hll_draft_done(&draft);
        roan_buffer_done(&text);
        free(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_find_the_registers_of_the_reference),
        cmocka_unit_test(runs_are_cut_and_joined),
        cmocka_unit_test(a_value_becomes_dense_when_it_has_to),
        cmocka_unit_test(the_header_is_checked),
        cmocka_unit_test(registers_survive_the_dense_form),
        cmocka_unit_test(single_registers_of_the_dense_form_rise),
        cmocka_unit_test(estimates_are_those_of_the_reference),
        cmocka_unit_test(extreme_registers_have_an_estimate),
        cmocka_unit_test(corrupt_values_are_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
