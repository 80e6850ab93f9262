/* test_entry.c: entries of every shape: made, copied, moved, overwritten; and what OBJECT ENCODING says of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "engine/entry.h"

static const size_t key_sizes[] = {0, 1, 7, 31, 32, 254, 255, 256, 70000};
static const size_t value_sizes[] = {0, 1, 20, 100, 113, 1023, 1024, 1025, 100000};

static roan_slice make_text(size_t bytes, char c)
{
    char *text = malloc(bytes > 0 ? bytes : 1);
    memset(text, c, bytes);
    return roan_slice_make(text, bytes);
}

static void done_text(roan_slice text)
{
    free((void *)(uintptr_t)text.data);
}

static void assert_entry(const roan_entry *entry, roan_slice key, roan_slice value, bool expires, int64_t expiry_ms)
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_entry_check(entry);
    assert_true(roan_slice_equal(roan_entry_key(entry), key));
    assert_true(roan_slice_equal(roan_entry_string(entry, scratch), value));
    assert_int_equal(expires, (entry->flags & ROAN_ENTRY_EXPIRES) != 0);
    if (expires)
        assert_true(roan_entry_expiry(entry) == expiry_ms);
}

static void try_shape(roan_arena *arena, roan_slice key, roan_slice value, bool expires)
{
    roan_entry *entry = roan_entry_create_string(arena, key, value, expires, 5);
    assert_entry(entry, key, value, expires, 5);
    roan_entry *copy = roan_entry_copy(arena, entry, ROAN_LITERAL("another name"), !expires, 7);
    assert_entry(copy, ROAN_LITERAL("another name"), value, !expires, 7);
    entry = roan_entry_move(NULL, arena, entry, ROAN_LITERAL("n"), !expires, 9);
    assert_entry(entry, ROAN_LITERAL("n"), value, !expires, 9);
    roan_entry_free(NULL, entry);
    roan_entry_free(arena, copy);
}

static void every_shape_survives_copying_and_moving(void **state)
{
    (void)state;
    roan_arena *arena = roan_arena_create(NULL);
    for (size_t i = 0; i < ROAN_COUNT_OF(key_sizes); i++)
        for (size_t j = 0; j < ROAN_COUNT_OF(value_sizes); j++) {
            roan_slice key = make_text(key_sizes[i], 'k'), value = make_text(value_sizes[j], 'v');
            try_shape(arena, key, value, false);
            try_shape(arena, key, value, true);
            try_shape(NULL, key, value, true);
            done_text(key);
            done_text(value);
        }
    try_shape(arena, ROAN_LITERAL("key"), ROAN_LITERAL("-9223372036854775808"), true);
    roan_arena_free(arena);
}

/* Overwriting in place either gives exactly the new value or changes nothing. */
static void overwriting_is_all_or_nothing(void **state)
{
    (void)state;
    for (size_t from = 0; from < 140; from++)
        for (size_t to = 0; to < 140; to++) {
            roan_slice before = make_text(from, 'b'), after = make_text(to, 'a'), key = ROAN_LITERAL("key");
            roan_entry *entry = roan_entry_create_string(NULL, key, before, false, 0);
            bool done = roan_entry_overwrite_string(entry, after, false, 0);
            assert_entry(entry, key, done ? after : before, false, 0);
            assert_true(!done || from == to || roan_alloc_good_size(11 + from) == roan_alloc_good_size(11 + to));
            roan_entry_free(NULL, entry);
            done_text(before);
            done_text(after);
        }
}

static const char *encoding_of(size_t key_bytes, size_t value_bytes, bool expires)
{
    roan_slice key = make_text(key_bytes, 'k'), value = make_text(value_bytes, 'v');
    roan_entry *entry = roan_entry_create_string(NULL, key, value, expires, 1);
    const char *name = roan_entry_encoding_name(entry);
    roan_entry_free(NULL, entry);
    done_text(key);
    done_text(value);
    return name;
}

static void encodings_have_the_names_of_the_reference(void **state)
{
    (void)state;
    assert_string_equal(encoding_of(1, 112, false), "embstr");
    assert_string_equal(encoding_of(1, 113, false), "raw");
    assert_string_equal(encoding_of(1, 104, true), "embstr");
    assert_string_equal(encoding_of(1, 105, true), "raw");
    assert_string_equal(encoding_of(31, 82, false), "embstr");
    assert_string_equal(encoding_of(32, 79, false), "embstr");
    assert_string_equal(encoding_of(32, 80, false), "raw");
    assert_string_equal(encoding_of(100, 3, true), "embstr");
    assert_string_equal(encoding_of(100, 4, true), "raw");
    assert_string_equal(encoding_of(1, 5000, false), "raw");
    roan_entry *entry = roan_entry_create_string(NULL, ROAN_LITERAL("k"), ROAN_LITERAL("12"), false, 0);
    assert_string_equal(roan_entry_encoding_name(entry), "int");
    roan_entry_free(NULL, entry);
}

/* What became raw stays raw when there is room again. */
static void raw_stays_raw(void **state)
{
    (void)state;
    roan_slice value = make_text(110, 'v');
    roan_entry *entry = roan_entry_create_string(NULL, ROAN_LITERAL("k"), value, false, 0);
    assert_string_equal(roan_entry_encoding_name(entry), "embstr");
    entry = roan_entry_move(NULL, NULL, entry, ROAN_LITERAL("k"), true, 1);
    assert_string_equal(roan_entry_encoding_name(entry), "raw");
    entry = roan_entry_move(NULL, NULL, entry, ROAN_LITERAL("k"), false, 0);
    assert_string_equal(roan_entry_encoding_name(entry), "raw");
    roan_entry_free(NULL, entry);
    done_text(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_survives_copying_and_moving),
        cmocka_unit_test(overwriting_is_all_or_nothing),
        cmocka_unit_test(encodings_have_the_names_of_the_reference),
        cmocka_unit_test(raw_stays_raw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
