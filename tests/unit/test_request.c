/* test_request.c: requests read whole, byte by byte and in front of an unreadable page give the same words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/number.h"
#include "resp/request.h"

#define ROOM 16

static const roan_parse_limits usual = {.bulk_bytes_max = 1 << 20, .is_authenticated = true};
static const roan_parse_limits stranger = {.bulk_bytes_max = 1 << 20, .is_authenticated = false};

/* A page's end, behind which nothing can be read. */
typedef struct edge {
    char *memory, *end;
    size_t bytes;
} edge;

static edge edge_make(size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bytes + page - 1) / page * page;
    edge made = {.bytes = size + page};
    made.memory = mmap(NULL, made.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(made.memory != MAP_FAILED);
    made.end = made.memory + size;
    assert_int_equal(mprotect(made.end, page, PROT_NONE), 0);
    return made;
}

static const char *edge_put(edge *at, const char *data, size_t bytes)
{
    return memcpy(at->end - bytes, data, bytes);
}

/* Reads what begins at text with a reader that gets `step` more bytes each time, the bytes ending at the edge. */
static roan_parse_result read_in_steps(edge *at, const char *text, size_t bytes, size_t step,
                                       const roan_parse_limits *limits, roan_request_reader *reader,
                                       roan_slice *ret_error)
{
    roan_parse_result result = ROAN_PARSE_MORE;
    for (size_t given = 0; given < bytes && result == ROAN_PARSE_MORE;) {
        size_t missing = 0;
        given = given + step < bytes ? given + step : bytes;
        result = roan_request_reader_read(reader, edge_put(at, text, given), given, limits, &missing, ret_error);
    }
    return result;
}

static void assert_words(size_t argc, const roan_slice *argv, size_t count, const char *const *words)
{
    assert_int_equal(argc, count);
    for (size_t i = 0; i < count; i++)
        assert_true(roan_slice_equal(argv[i], roan_slice_from_text(words[i])));
}

static void expect(const char *text, size_t count, const char *const *words)
{
    size_t bytes = strlen(text);
    edge at = edge_make(bytes);
    roan_slice argv[ROOM];
    size_t argc = 0, consumed = 0;
    roan_slice error = {0};
    roan_parse_result result =
        roan_request_parse(edge_put(&at, text, bytes), bytes, &usual, argv, ROOM, &argc, &consumed, &error);
    assert_true(result == ROAN_PARSE_DONE || result == ROAN_PARSE_SLOW);
    if (result == ROAN_PARSE_DONE) {
        assert_int_equal(consumed, bytes);
        assert_words(argc, argv, count, words);
    }
    for (size_t step = 1; step <= bytes; step++) {
        roan_request_reader reader = {0};
        assert_int_equal(read_in_steps(&at, text, bytes, step, &usual, &reader, &error), ROAN_PARSE_DONE);
        assert_int_equal(reader.at, bytes);
        assert_words(reader.argc, reader.argv, count, words);
        roan_request_reader_done(&reader);
    }
    for (size_t part = 0; part < bytes; part++) {
        result = roan_request_parse(edge_put(&at, text, part), part, &usual, argv, ROOM, &argc, &consumed, &error);
        assert_true(result == ROAN_PARSE_MORE || result == ROAN_PARSE_SLOW);
    }
    munmap(at.memory, at.bytes);
}

#define EXPECT(text, ...)                                                     \
    expect(text, sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *), (const char *const[]){__VA_ARGS__})

static void expect_error(const char *text, const roan_parse_limits *limits, const char *expected)
{
    size_t bytes = strlen(text);
    edge at = edge_make(bytes);
    for (size_t step = 1; step <= bytes; step++) {
        roan_request_reader reader = {0};
        roan_slice error = {0};
        assert_int_equal(read_in_steps(&at, text, bytes, step, limits, &reader, &error), ROAN_PARSE_ERROR);
        assert_true(roan_slice_equal(error, roan_slice_from_text(expected)));
        roan_request_reader_done(&reader);
    }
    munmap(at.memory, at.bytes);
}

static void whole_or_in_pieces_gives_the_same_words(void **state)
{
    (void)state;
    EXPECT("*1\r\n$4\r\nPING\r\n", "PING");
    EXPECT("*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n", "GET", "key");
    EXPECT("*3\r\n$3\r\nSET\r\n$0\r\n\r\n$12\r\nhello\r\nworld\r\n", "SET", "", "hello\r\nworld");
    EXPECT("PING\r\n", "PING");
    EXPECT("SET key  value\r\n", "SET", "key", "value");
    EXPECT("SET \"a b\" 'c d'\n", "SET", "a b", "c d");
    EXPECT("SET \"\\x41\\n\" ''\r\n", "SET", "A\n", "");
}

static void wrong_requests_have_the_texts_of_the_reference(void **state)
{
    (void)state;
    expect_error("*1\r\n!4\r\n", &usual, "Protocol error: expected '$', got '!'");
    expect_error("*1\r\n$x\r\n", &usual, "Protocol error: invalid bulk length");
    expect_error("*1\r\n$-1\r\n", &usual, "Protocol error: invalid bulk length");
    expect_error("*1\r\n$1048577\r\n", &usual, "Protocol error: invalid bulk length");
    expect_error("*x\r\n", &usual, "Protocol error: invalid multibulk length");
    expect_error("*3000000000\r\n", &usual, "Protocol error: invalid multibulk length");
    expect_error("SET \"a\r\n", &usual, "Protocol error: unbalanced quotes in request");
    expect_error("*11\r\n", &stranger, "Protocol error: unauthenticated multibulk length");
    expect_error("*1\r\n$16385\r\n", &stranger, "Protocol error: unauthenticated bulk length");
}

static void empty_requests_are_done_without_words(void **state)
{
    (void)state;
    static const char *const texts[] = {"\r\n", "*0\r\n", "*-1\r\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        roan_request_reader reader = {0};
        roan_slice error;
        size_t missing, bytes = strlen(texts[i]);
        assert_int_equal(roan_request_reader_read(&reader, texts[i], bytes, &usual, &missing, &error), ROAN_PARSE_DONE);
        assert_int_equal(reader.argc, 0);
        assert_int_equal(reader.at, bytes);
        roan_request_reader_done(&reader);
    }
}

static void more_words_than_room_need_the_reader(void **state)
{
    (void)state;
    char text[16 + 7 * 100];
    size_t bytes = (size_t)snprintf(text, sizeof text, "*100\r\n");
    for (int i = 0; i < 100; i++)
        bytes += (size_t)snprintf(text + bytes, sizeof text - bytes, "$1\r\nx\r\n");
    roan_slice argv[ROOM];
    size_t argc, consumed, missing;
    roan_slice error;
    assert_int_equal(roan_request_parse(text, bytes, &usual, argv, ROOM, &argc, &consumed, &error), ROAN_PARSE_SLOW);
    roan_request_reader reader = {0};
    for (size_t round = 0; round < 2; round++) {
        assert_int_equal(roan_request_reader_read(&reader, text, bytes, &usual, &missing, &error), ROAN_PARSE_DONE);
        assert_int_equal(reader.argc, 100);
        roan_request_reader_clear(&reader);
    }
    roan_request_reader_done(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_or_in_pieces_gives_the_same_words),
        cmocka_unit_test(wrong_requests_have_the_texts_of_the_reference),
        cmocka_unit_test(empty_requests_are_done_without_words),
        cmocka_unit_test(more_words_than_room_need_the_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
