/* test_glob.c: the pattern language of KEYS, SCAN and CONFIG GET. Patterns and texts end at unreadable blocks'
 * edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/call.h"

/* A copy of exactly its size, so that a sanitizer sees a step over the edge. */
static roan_slice exact(const char *text)
{
    size_t bytes = strlen(text);
    char *copy = malloc(bytes > 0 ? bytes : 1);
    memcpy(copy, text, bytes);
    return roan_slice_make(copy, bytes);
}

static bool match(const char *pattern, const char *text, bool ignore_case)
{
    roan_slice p = exact(pattern), t = exact(text);
    bool matched = roan_glob_match(p, t, ignore_case);
    free((void *)(uintptr_t)p.data);
    free((void *)(uintptr_t)t.data);
    return matched;
}

static void patterns_match_as_the_reference_does(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } rows[] = {
        {"", "", true},          {"", "a", false},       {"a", "", false},          {"*", "abc", true},
        {"**", "abc", true},     {"*", "", false},       {"a*", "a", true},         {"a*c", "abbc", true},
        {"a*c", "abbd", false},  {"*b*", "abc", true},   {"?", "a", true},          {"?", "", false},
        {"??", "a", false},      {"h?llo", "hello", true}, {"[abc]", "b", true},    {"[abc]", "d", false},
        {"[^abc]", "d", true},   {"[^abc]", "a", false}, {"[a-c]", "b", true},      {"[c-a]", "b", true},
        {"[a-c]", "d", false},   {"[a", "a", true},      {"[", "a", false},         {"[^", "a", true},
        {"[]", "a", false},      {"[\\]]", "]", true},   {"[\\-]", "-", true},      {"\\*", "*", true},
        {"\\*", "a", false},     {"\\", "\\", true},     {"a\\", "a\\", true},      {"[a-", "a", true},
        {"*[0-9]", "key7", true}, {"*[0-9]", "key", false}, {"key:*:x", "key:1:2:x", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (match(rows[i].pattern, rows[i].text, false) != rows[i].matches)
            fail_msg("'%s' and '%s'", rows[i].pattern, rows[i].text);
}

static void case_is_ignored_when_asked(void **state)
{
    (void)state;
    assert_true(match("MaxMem*", "maxmemory", true));
    assert_false(match("MaxMem*", "maxmemory", false));
    assert_true(match("[A-C]x", "bX", true));
}

static void many_stars_take_linear_time_and_have_a_limit(void **state)
{
    (void)state;
    enum { STARS = 50000 };
    char *pattern = malloc(2 * STARS), *text = malloc(STARS);
    memset(text, 'a', STARS);
    for (size_t i = 0; i < STARS; i++) {
        pattern[2 * i] = '*';
        pattern[2 * i + 1] = 'a';
    }
    roan_slice whole = roan_slice_make(text, STARS);
    assert_true(roan_glob_match(roan_slice_make(pattern, 2 * 1000), whole, false));
    assert_false(roan_glob_match(roan_slice_make(pattern, 2 * 1001), whole, false));
    assert_false(roan_glob_match(roan_slice_make(pattern, 2 * STARS), whole, false));
    free(pattern);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_as_the_reference_does),
        cmocka_unit_test(case_is_ignored_when_asked),
        cmocka_unit_test(many_stars_take_linear_time_and_have_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
