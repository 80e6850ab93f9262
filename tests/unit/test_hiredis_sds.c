/* Tests of the sds strings of libroan-hiredis. Run as a cmocka program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hiredis/sds.h"

#include <stdlib.h>
#include <string.h>

static void expect(sds s, const char *text, size_t bytes)
{
    assert_non_null(s);
    assert_int_equal(sdslen(s), bytes);
    assert_memory_equal(s, text, bytes);
    assert_int_equal(s[bytes], 0);
    assert_true(sdsalloc(s) >= bytes);
}

#define EXPECT(s, literal) expect(s, literal, sizeof(literal) - 1)

static void test_made_and_copied(void **state)
{
    sds s = sdsnewlen("a\0b", 3);
    sds copy = sdsdup(s);
    sds zeros = sdsnewlen(NULL, 3);
    sds number = sdsfromlonglong(-9223372036854775807LL - 1);

    (void)state;
    EXPECT(s, "a\0b");
    EXPECT(copy, "a\0b");
    EXPECT(zeros, "\0\0\0");
    EXPECT(number, "-9223372036854775808");
    assert_null(sdsnewlen("x", SIZE_MAX));
    sdsfree(s);
    sdsfree(copy);
    sdsfree(zeros);
    sdsfree(number);
    sdsfree(NULL);
}

static void test_appended(void **state)
{
    sds s = sdsempty();
    sds other = sdsnew("sds");
    char long_text[5000];

    (void)state;
    s = sdscat(s, "one");
    s = sdscatlen(s, "\0two", 4);
    s = sdscatsds(s, other);
    EXPECT(s, "one\0twosds");
    s = sdscpy(s, "new");
    EXPECT(s, "new");
    s = sdscatprintf(s, "-%d-%s", 7, "x");
    EXPECT(s, "new-7-x");
    memset(long_text, 'y', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    s = sdscatprintf(s, "%s", long_text);
    assert_int_equal(sdslen(s), 7 + 4999);
    assert_string_equal(s + 7, long_text);
    sdsclear(s);
    EXPECT(s, "");
    s = sdscatfmt(s, "%s|%S|%i|%I|%u|%U|%%|%x", "t", other, -1, -2LL, 3u, 4ULL);
    EXPECT(s, "t|sds|-1|-2|3|4|%|x");
    s = sdscatfmt(s, "%");
    s = sdsgrowzero(s, 22);
    assert_int_equal(sdslen(s), 22);
    assert_int_equal(s[21], 0);
    sdsfree(s);
    sdsfree(other);
}

static void test_room(void **state)
{
    sds s = sdsnew("ab");

    (void)state;
    s = sdsMakeRoomFor(s, 100);
    assert_true(sdsavail(s) >= 100);
    memcpy(s + 2, "cd", 2);
    sdsIncrLen(s, 2);
    EXPECT(s, "abcd");
    sdsIncrLen(s, -1);
    EXPECT(s, "abc");
    s = sdsRemoveFreeSpace(s);
    EXPECT(s, "abc");
    assert_int_equal(sdsavail(s), 0);
    assert_true(sdsAllocSize(s) > 3);
    assert_null(sdsMakeRoomFor(s, SIZE_MAX - 2));
    s[1] = '\0';
    sdsupdatelen(s);
    EXPECT(s, "a");
    sdsfree(s);
}

static sds range_of(const char *text, ssize_t start, ssize_t end)
{
    sds s = sdsnew(text);

    assert_int_equal(sdsrange(s, start, end), 0);
    return s;
}

static void test_ranges(void **state)
{
    static const struct {
        ssize_t start, end;
        const char *expected;
    } rows[] = {{0, -1, "hello"}, {1, 1, "e"}, {1, -2, "ell"}, {-3, -1, "llo"}, {4, 100, "o"},
                {5, 6, ""},       {3, 2, ""},  {-100, 0, "h"}, {100, 200, ""},  {-100, -100, "h"}};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sds s = range_of("hello", rows[i].start, rows[i].end);
        expect(s, rows[i].expected, strlen(rows[i].expected));
        sdsfree(s);
    }
    sds none = range_of("", 0, -1);
    EXPECT(none, "");
    sdsfree(none);
}

static void test_trimmed_compared_and_mapped(void **state)
{
    sds s = sdstrim(sdsnew("xxciaoyyy"), "xy");
    sds all = sdstrim(sdsnew(" x "), "x ");
    sds a = sdsnew("aa");
    sds b = sdsnew("ab");
    sds longer = sdsnew("aaa");

    (void)state;
    EXPECT(s, "ciao");
    EXPECT(all, "");
    assert_true(sdscmp(a, b) < 0);
    assert_true(sdscmp(b, a) > 0);
    assert_true(sdscmp(a, longer) < 0);
    assert_int_equal(sdscmp(a, a), 0);
    s = sdsmapchars(s, "ia", "12", 2);
    EXPECT(s, "c12o");
    sdstoupper(s);
    EXPECT(s, "C12O");
    sdstolower(s);
    EXPECT(s, "c12o");
    sdsfree(s);
    sdsfree(all);
    sdsfree(a);
    sdsfree(b);
    sdsfree(longer);
}

static void test_split_and_joined(void **state)
{
    char a[] = "a", b[] = "b", empty[] = "";
    char *list[] = {a, b, empty};
    sds joined = sdsjoin(list, 3, "--");
    int count;
    sds *pieces = sdssplitlen(joined, (int)sdslen(joined), "--", 2, &count);
    sds again;

    (void)state;
    EXPECT(joined, "a--b--");
    assert_int_equal(count, 3);
    EXPECT(pieces[0], "a");
    EXPECT(pieces[1], "b");
    EXPECT(pieces[2], "");
    again = sdsjoinsds(pieces, count, "+", 1);
    EXPECT(again, "a+b+");
    sdsfreesplitres(pieces, count);
    pieces = sdssplitlen("", 0, ",", 1, &count);
    assert_non_null(pieces);
    assert_int_equal(count, 0);
    sdsfreesplitres(pieces, count);
    assert_null(sdssplitlen("x", 1, "", 0, &count));
    sdsfreesplitres(NULL, 0);
    sdsfree(joined);
    sdsfree(again);
}

static void test_lines_are_read_as_they_are_written(void **state)
{
    static const char bytes[] = "a\"\\\n\r\t\a\b\x01 \xff";
    sds written = sdscatrepr(sdsnew("x "), bytes, sizeof bytes - 1);
    int count;
    sds *words = sdssplitargs(written, &count);

    (void)state;
    EXPECT(written, "x \"a\\\"\\\\\\n\\r\\t\\a\\b\\x01 \\xff\"");
    assert_int_equal(count, 2);
    EXPECT(words[0], "x");
    EXPECT(words[1], "a\"\\\n\r\t\a\b\x01 \xff");
    sdsfreesplitres(words, count);
    sdsfree(written);

    words = sdssplitargs("  set 'it\\'s' \"\" plain\"q\" \\x41 ", &count);
    assert_int_equal(count, 5);
    EXPECT(words[1], "it's");
    EXPECT(words[2], "");
    EXPECT(words[3], "plainq");
    EXPECT(words[4], "\\x41");
    sdsfreesplitres(words, count);

    words = sdssplitargs("   ", &count);
    assert_non_null(words);
    assert_int_equal(count, 0);
    sdsfreesplitres(words, count);

    assert_null(sdssplitargs("\"open", &count));
    assert_null(sdssplitargs("a 'open", &count));
    assert_null(sdssplitargs("\"glued\"to", &count));
    assert_null(sdssplitargs("\"ends with \\", &count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_made_and_copied),
        cmocka_unit_test(test_appended),
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_trimmed_compared_and_mapped),
        cmocka_unit_test(test_split_and_joined),
        cmocka_unit_test(test_lines_are_read_as_they_are_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
