/* test_number.c: numbers are read strictly and written as the reference writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/number.h"

#include <math.h>

static void integers_are_canonical(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_good;
        int64_t value;
    } rows[] = {
        {"0", true, 0},      {"-1", true, -1},  {"10", true, 10},   {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN}, {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},        {"99999999999999999999", false, 0},
        {"", false, 0},      {"-", false, 0},   {"-0", false, 0},   {"00", false, 0},  {"01", false, 0},
        {"+1", false, 0},    {" 1", false, 0},  {"1 ", false, 0},   {"1.0", false, 0}, {"0x1", false, 0},
        {"--1", false, 0},   {"1a", false, 0},  {"-01", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t value = 0;
        bool is_good = roan_parse_i64(roan_slice_from_text(rows[i].text), &value);
        if (is_good != rows[i].is_good || (is_good && value != rows[i].value))
            fail_msg("'%s' as %lld", rows[i].text, (long long)value);
    }
    uint64_t value;
    assert_true(roan_parse_u64(ROAN_LITERAL("18446744073709551615"), &value) && value == UINT64_MAX);
    assert_false(roan_parse_u64(ROAN_LITERAL("18446744073709551616"), &value));
    assert_false(roan_parse_u64(ROAN_LITERAL("-1"), &value));
}

static void integers_survive_writing_and_reading(void **state)
{
    (void)state;
    uint64_t bits = 1;
    for (unsigned i = 0; i < 4096; i++) {
        char text[ROAN_I64_TEXT_MAX], expected[32];
        int64_t value = (int64_t)(bits >> i % 64), read;
        size_t bytes = roan_format_i64(text, value);
        assert_int_equal((size_t)snprintf(expected, sizeof expected, "%lld", (long long)value), bytes);
        assert_memory_equal(text, expected, bytes);
        assert_true(roan_parse_i64(roan_slice_make(text, bytes), &read) && read == value);
        bits = bits * UINT64_C(6364136223846793005) + 1442695040888963407u;
    }
}

static void doubles_are_read_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "-1.5", "1e3", ".5", "5.", "inf", "-inf", "+5", "-.5e1"};
    static const char *const bad[] = {"", " 1", "1 ", "nan", "1_0", "e3", "--1", "1e400", "1\t",
                                      "0x10", ".", "-", "+", "1..2", "1e-400"};
    double value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(roan_parse_double(roan_slice_from_text(good[i]), &value));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(roan_parse_double(roan_slice_from_text(bad[i]), &value));
}

/* Numbers of few digits are read another way: it must be the same number. */
static void short_doubles_are_read_exactly(void **state)
{
    (void)state;
    uint64_t bits = 7;
    for (unsigned i = 0; i < 20000; i++) {
        char text[40];
        bits = bits * UINT64_C(6364136223846793005) + 1442695040888963407u;
        int length = snprintf(text, sizeof text, "%s%u.%0*u", i % 3 == 0 ? "-" : "", (unsigned)(bits >> 40) % 1000000u,
                              (int)(i % 9) + 1, (unsigned)(bits >> 8) % 1000000u);
        double value;
        assert_true(roan_parse_double(roan_slice_make(text, (size_t)length), &value));
        assert_true(value == strtod(text, NULL));
    }
}

static void too_large_and_too_small_doubles_saturate(void **state)
{
    (void)state;
    double value;
    assert_true(roan_parse_double_saturating(ROAN_LITERAL("1e400"), &value) && value == INFINITY);
    assert_true(roan_parse_double_saturating(ROAN_LITERAL("-1e400"), &value) && value == -INFINITY);
    assert_true(roan_parse_double_saturating(ROAN_LITERAL("1e-400"), &value) && value == 0);
    assert_true(roan_parse_double_saturating(ROAN_LITERAL("1.5"), &value) && value == 1.5);
    assert_false(roan_parse_double_saturating(ROAN_LITERAL("x"), &value));
}

static void assert_digits(double value, const char *expected)
{
    char text[ROAN_DOUBLE_TEXT_MAX];
    size_t bytes = roan_format_double_digits(text, value);
    assert_int_equal(bytes, strlen(expected));
    assert_memory_equal(text, expected, bytes);
}

static void digits_alone_have_an_exponent_where_that_is_shorter(void **state)
{
    (void)state;
    assert_digits(0, "0");
    assert_digits(-0.0, "-0");
    assert_digits(1e7, "10000000");
    assert_digits(1e8, "1e+8");
    assert_digits(-1e17, "-1e+17");
    assert_digits(123456789, "123456789");
    assert_digits(0.1, "0.1");
    assert_digits(-INFINITY, "-inf");
}

static void assert_double(double value, const char *expected)
{
    char text[ROAN_DOUBLE_TEXT_MAX];
    size_t bytes = roan_format_double(text, value);
    assert_int_equal(bytes, strlen(expected));
    assert_memory_equal(text, expected, bytes);
}

static void doubles_are_written_as_short_as_possible(void **state)
{
    (void)state;
    assert_double(0, "0");
    assert_double(3.141, "3.141");
    assert_double(0.1, "0.1");
    assert_double(-1, "-1");
    assert_double(INFINITY, "inf");
    assert_double(-INFINITY, "-inf");
    assert_double(-0.0, "-0");
    assert_double(1e-5, "0.00001");
    assert_double(1e-7, "1e-7");
    assert_double(1.234e-5, "1.234e-5");
    assert_double(1e15, "1000000000000000");
    assert_double(1e18, "1000000000000000000");
    assert_double(1e20, "1e+20");
    assert_double(12345678901234567890.0, "12345678901234567000");
    assert_double(5e-324, "5e-324");
    assert_double(1.7976931348623157e308, "1.7976931348623157e+308");
    assert_double(-152068.20435, "-1.5206820435000001e+5"); /* as the reference has it */
    uint64_t bits = 99;
    for (unsigned i = 0; i < 4096; i++) {
        char text[ROAN_DOUBLE_TEXT_MAX];
        double value, read;
        memcpy(&value, &bits, sizeof value);
        bits = bits * UINT64_C(6364136223846793005) + 1442695040888963407u;
        if (!isfinite(value) || fabs(value) < 1e-300)
            continue;
        size_t bytes = roan_format_double(text, value);
        assert_true(roan_parse_double(roan_slice_make(text, bytes), &read));
        assert_memory_equal(&read, &value, sizeof read);
    }
}

static void assert_long_double(long double value, const char *expected)
{
    char text[ROAN_LONG_DOUBLE_TEXT_MAX];
    size_t bytes = roan_format_long_double(text, value);
    assert_int_equal(bytes, strlen(expected));
    assert_memory_equal(text, expected, bytes);
}

static void long_doubles_never_have_an_exponent(void **state)
{
    (void)state;
    assert_long_double(3.0L, "3");
    assert_long_double(10.5L, "10.5");
    assert_long_double(-0.25L, "-0.25");
    assert_long_double(1e20L, "100000000000000000000");
    char text[ROAN_LONG_DOUBLE_TEXT_MAX];
    long double read;
    size_t bytes = roan_format_long_double(text, 1e400L); /* what was written can be read again */
    assert_int_equal(bytes, 401);
    assert_true(roan_parse_long_double(roan_slice_make(text, bytes), &read) && read == 1e400L);
}

static void sizes_have_units(void **state)
{
    (void)state;
    uint64_t bytes;
    assert_true(roan_parse_memory(ROAN_LITERAL("100"), &bytes) && bytes == 100);
    assert_true(roan_parse_memory(ROAN_LITERAL("1k"), &bytes) && bytes == 1000);
    assert_true(roan_parse_memory(ROAN_LITERAL("1KB"), &bytes) && bytes == 1024);
    assert_true(roan_parse_memory(ROAN_LITERAL("2gb"), &bytes) && bytes == UINT64_C(2) << 30);
    assert_false(roan_parse_memory(ROAN_LITERAL("x"), &bytes));
    assert_false(roan_parse_memory(ROAN_LITERAL("1xb"), &bytes));
    assert_false(roan_parse_memory(ROAN_LITERAL("-1"), &bytes));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_canonical),
        cmocka_unit_test(integers_survive_writing_and_reading),
        cmocka_unit_test(doubles_are_read_whole_or_not_at_all),
        cmocka_unit_test(short_doubles_are_read_exactly),
        cmocka_unit_test(too_large_and_too_small_doubles_saturate),
        cmocka_unit_test(doubles_are_written_as_short_as_possible),
        cmocka_unit_test(digits_alone_have_an_exponent_where_that_is_shorter),
        cmocka_unit_test(long_doubles_never_have_an_exponent),
        cmocka_unit_test(sizes_have_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
