/* Tests of how libroan-hiredis makes commands from formats and from words. Run as a cmocka program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hiredis/hiredis.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int format_v(char **target, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = redisvFormatCommand(target, format, arguments);
    va_end(arguments);
    return length;
}

#define EXPECT(expected, ...)                                      \
    do {                                                           \
        char *command_ = NULL;                                     \
        int length_ = redisFormatCommand(&command_, __VA_ARGS__);  \
        assert_int_equal(length_, (int)sizeof(expected) - 1);      \
        assert_memory_equal(command_, expected, sizeof(expected)); \
        redisFreeCommand(command_);                                \
    } while (0)

#define EXPECT_WRONG(...)                                                 \
    do {                                                                  \
        char *command_ = NULL;                                            \
        assert_int_equal(redisFormatCommand(&command_, __VA_ARGS__), -1); \
        assert_int_equal(format_v(&command_, __VA_ARGS__), -2);           \
        assert_null(command_);                                            \
    } while (0)

static void test_spaces_of_the_format_separate_words(void **state)
{
    (void)state;
    EXPECT("*1\r\n$4\r\nPING\r\n", "PING");
    EXPECT("*3\r\n$3\r\nSET\r\n$3\r\nfoo\r\n$3\r\nbar\r\n", "SET foo bar");
    EXPECT("*3\r\n$3\r\nSET\r\n$3\r\nfoo\r\n$3\r\nbar\r\n", "  SET   foo bar  ");
    EXPECT("*0\r\n", "");
    EXPECT("*0\r\n", "   ");
    EXPECT("*2\r\n$4\r\nECHO\r\n$3\r\na\tb\r\n", "ECHO a\tb");
}

static void test_what_is_put_in_is_never_split(void **state)
{
    (void)state;
    EXPECT("*3\r\n$3\r\nSET\r\n$5\r\nk:a b\r\n$3\r\nc d\r\n", "SET k:%s %s", "a b", "c d");
    EXPECT("*2\r\n$4\r\nECHO\r\n$5\r\na%s b\r\n", "ECHO %s", "a%s b");
    EXPECT("*2\r\n$4\r\nECHO\r\n$8\r\n<x><y>%d\r\n", "ECHO <%s><%s>%%d", "x", "y");
    EXPECT("*2\r\n$4\r\nECHO\r\n$5\r\na\0b\r\n\r\n", "ECHO %b", "a\0b\r\n", (size_t)5);
}

static void test_empty_words_come_from_conversions_only(void **state)
{
    (void)state;
    EXPECT("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$0\r\n\r\n", "SET %s %b", "", "", (size_t)0);
    EXPECT("*2\r\n$3\r\nSET\r\n$0\r\n\r\n", "SET %s", "");
    EXPECT("*2\r\n$3\r\nGET\r\n$1\r\nx\r\n", "GET %s%s%s", "", "x", "");
    EXPECT("*2\r\n$3\r\nGET\r\n$0\r\n\r\n", "GET %b", NULL, (size_t)0);
}

static void test_percent_signs(void **state)
{
    (void)state;
    EXPECT("*2\r\n$4\r\nECHO\r\n$4\r\n100%\r\n", "ECHO 100%%");
    EXPECT("*3\r\n$4\r\nECHO\r\n$1\r\n%\r\n$1\r\n%\r\n", "ECHO %% %%");
    EXPECT("*2\r\n$4\r\nECHO\r\n$4\r\n100%\r\n", "ECHO 100%"); /* nothing follows it */
}

static void test_numbers_have_the_width_of_their_modifier(void **state)
{
    (void)state;
    EXPECT("*2\r\n$1\r\nX\r\n$2\r\n-7\r\n", "X %d", -7);
    EXPECT("*2\r\n$1\r\nX\r\n$10\r\n4294967295\r\n", "X %u", UINT_MAX);
    EXPECT("*2\r\n$1\r\nX\r\n$3\r\n255\r\n", "X %hhu", (unsigned char)255);
    EXPECT("*2\r\n$1\r\nX\r\n$6\r\n-32768\r\n", "X %hi", (short)-32768);
    EXPECT("*3\r\n$1\r\nX\r\n$20\r\n-9223372036854775808\r\n$1\r\nz\r\n", "X %ld %s", LONG_MIN, "z");
    EXPECT("*3\r\n$1\r\nX\r\n$20\r\n18446744073709551615\r\n$1\r\nz\r\n", "X %llu %s", ULLONG_MAX, "z");
    EXPECT("*3\r\n$1\r\nX\r\n$3\r\n0xf\r\n$2\r\n17\r\n", "X %#x %o", 15, 15);
    EXPECT("*2\r\n$1\r\nX\r\n$8\r\n00000042\r\n", "X %08d", 42);
    EXPECT("*2\r\n$1\r\nX\r\n$8\r\n      42\r\n", "X %8d", 42);
    EXPECT("*2\r\n$1\r\nX\r\n$8\r\n42      \r\n", "X %-8d", 42);
    EXPECT("*2\r\n$1\r\nX\r\n$3\r\n+42\r\n", "X %+d", 42);
    EXPECT("*2\r\n$1\r\nX\r\n$3\r\n042\r\n", "X %.3d", 42);
    EXPECT("*3\r\n$1\r\nX\r\n$5\r\n1.500\r\n$3\r\n1.5\r\n", "X %.3f %g", 1.5, 1.5);
    EXPECT("*3\r\n$1\r\nX\r\n$7\r\n1.5e+00\r\n$6\r\n0x1p+0\r\n", "X %.1e %a", 1.5, 1.0);
    EXPECT("*2\r\n$1\r\nX\r\n$5\r\nk:7:v\r\n", "X k:%d:%s", 7, "v");
}

static void test_a_printed_number_may_be_long(void **state)
{
    char *command;
    int length = redisFormatCommand(&command, "X %1000d %.500f", 7, 0.5);

    (void)state;
    assert_int_equal(length, 4 + 4 + 3 + 7 + 1000 + 2 + 6 + 502 + 2);
    assert_memory_equal(command, "*3\r\n$1\r\nX\r\n$1000\r\n   ", 21);
    assert_memory_equal(command + length - 6, "0000\r\n", 6);
    redisFreeCommand(command);
}

static void test_formats_that_are_wrong(void **state)
{
    (void)state;
    EXPECT_WRONG("X %p", (void *)1);
    EXPECT_WRONG("X %c", 'a');
    EXPECT_WRONG("X %n", NULL);
    EXPECT_WRONG("X %*d", 1, 1);
    EXPECT_WRONG("X %zu", (size_t)1);
    EXPECT_WRONG("X %lf", 1.0);
    EXPECT_WRONG("X %hld", 1L);
    EXPECT_WRONG("X %hlld", 1LL);
    EXPECT_WRONG("X %5s", "a");
    EXPECT_WRONG("%-");
    EXPECT_WRONG("X %0");
    EXPECT_WRONG("X %l");
    EXPECT_WRONG("X %1.");
    EXPECT_WRONG("X %00000000000000000000d", 1); /* longer than any that makes sense */
    assert_int_equal(redisFormatCommand(NULL, "PING"), -1);
}

static void test_words_with_and_without_lengths(void **state)
{
    const char *argv[] = {"SET", "foo\0xxx", "bar"};
    const size_t lengths[] = {3, 7, 3};
    char *command;
    sds text;

    (void)state;
    assert_int_equal(redisFormatCommandArgv(&command, 3, argv, NULL), 31);
    assert_memory_equal(command, "*3\r\n$3\r\nSET\r\n$3\r\nfoo\r\n$3\r\nbar\r\n", 32);
    redisFreeCommand(command);
    assert_int_equal(redisFormatCommandArgv(&command, 3, argv, lengths), 35);
    assert_memory_equal(command, "*3\r\n$3\r\nSET\r\n$7\r\nfoo\0xxx\r\n$3\r\nbar\r\n", 36);
    redisFreeCommand(command);
    assert_int_equal(redisFormatSdsCommandArgv(&text, 3, argv, lengths), 35);
    assert_int_equal(sdslen(text), 35);
    assert_memory_equal(text, "*3\r\n$3\r\nSET\r\n$7\r\nfoo\0xxx\r\n$3\r\nbar\r\n", 36);
    redisFreeSdsCommand(text);
    assert_int_equal(redisFormatCommandArgv(&command, 0, argv, NULL), 4);
    assert_string_equal(command, "*0\r\n");
    redisFreeCommand(command);
}

static void test_words_that_cannot_be(void **state)
{
    const char *argv[] = {"a", "b"};
    const size_t lengths[] = {SIZE_MAX / 2, SIZE_MAX / 2};
    char *command = NULL;
    sds text = NULL;

    (void)state;
    assert_int_equal(redisFormatCommandArgv(NULL, 1, argv, NULL), -1);
    assert_int_equal(redisFormatCommandArgv(&command, -1, argv, NULL), -1);
    assert_int_equal(redisFormatCommandArgv(&command, 2, argv, lengths), -1);
    assert_int_equal(redisFormatSdsCommandArgv(&text, 2, argv, lengths), -1);
    assert_null(command);
    assert_null(text);
}

static void test_many_words(void **state)
{
    enum { COUNT = 5000 };
    const char **argv = calloc(COUNT, sizeof *argv);
    char *format = malloc(COUNT * 2 + 1);
    char *from_words;
    char *from_format;
    long long length;

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        argv[i] = "w";
        memcpy(format + 2 * (size_t)i, "w ", 3);
    }
    length = redisFormatCommandArgv(&from_words, COUNT, argv, NULL);
    assert_int_equal(redisFormatCommand(&from_format, format), length);
    assert_memory_equal(from_words, from_format, (size_t)length + 1);
    redisFreeCommand(from_words);
    redisFreeCommand(from_format);
    free(argv);
    free(format);
}

/* ---- out of memory ----------------------------------------------------------------------------------------------- */

static long calls_left;

static void *failing_malloc(size_t bytes)
{
    return calls_left-- > 0 ? malloc(bytes) : NULL;
}

static void *failing_realloc(void *memory, size_t bytes)
{
    return calls_left-- > 0 ? realloc(memory, bytes) : NULL;
}

static void test_out_of_memory_anywhere_is_minus_one(void **state)
{
    hiredisAllocFuncs functions = {failing_malloc, calloc, failing_realloc, strdup, free};
    int length = -1;

    (void)state;
    hiredisSetAllocators(&functions);
    for (long calls = 0; length < 0; calls++) {
        char *command = NULL;
        calls_left = calls;
        length = format_v(&command, "SET %s %100d %b", "key", 5, "value", (size_t)5);
        assert_true(length == -1 || length > 100);
        assert_int_equal(command == NULL, length < 0);
        redisFreeCommand(command);
        assert_true(calls < 50);
    }
    hiredisResetAllocators();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spaces_of_the_format_separate_words),
        cmocka_unit_test(test_what_is_put_in_is_never_split),
        cmocka_unit_test(test_empty_words_come_from_conversions_only),
        cmocka_unit_test(test_percent_signs),
        cmocka_unit_test(test_numbers_have_the_width_of_their_modifier),
        cmocka_unit_test(test_a_printed_number_may_be_long),
        cmocka_unit_test(test_formats_that_are_wrong),
        cmocka_unit_test(test_words_with_and_without_lengths),
        cmocka_unit_test(test_words_that_cannot_be),
        cmocka_unit_test(test_many_words),
        cmocka_unit_test(test_out_of_memory_anywhere_is_minus_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
