/* Tests of the reply reader, the reply skipper and the request writer.
 *
 * Every stream is fed whole, byte by byte and in odd pieces, and must give the same trees, printed
 * here as text. Skipping runs against an unreadable page directly behind the bytes. Run as a cmocka
 * program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "resp/reply_reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TEXT_BYTES_MAX 65536

/* A tree as text, one short form per type; returns the new length. */
static size_t print_value(const roan_value *value, char *out, size_t used)
{
    static const char *const names[ROAN_REPLY_TYPE_COUNT] = {
        "status", "error", "int",  "bulk",   "null", "array", "map",
        "set",    "push",  "double", "bool", "big",  "verbatim"};
    size_t children = value->type == ROAN_REPLY_MAP ? 2 * value->count : value->count;
    size_t room = TEXT_BYTES_MAX - used;

    if (value->attributes != NULL) {
        used += (size_t)snprintf(out + used, room, "@");
        used = print_value(value->attributes, out, used);
        room = TEXT_BYTES_MAX - used;
    }
    used += (size_t)snprintf(out + used, room, "%s(", names[value->type]);
    room = TEXT_BYTES_MAX - used;
    switch (value->type) {
    case ROAN_REPLY_INTEGER:
        used += (size_t)snprintf(out + used, room, "%lld", (long long)value->integer);
        break;
    case ROAN_REPLY_DOUBLE:
        used += (size_t)snprintf(out + used, room, "%.17g:%.*s", value->number,
                                 ROAN_SLICE_ARG(value->text));
        break;
    case ROAN_REPLY_BOOLEAN:
        used += (size_t)snprintf(out + used, room, "%d", value->boolean);
        break;
    case ROAN_REPLY_VERBATIM:
        used += (size_t)snprintf(out + used, room, "%s:", value->verbatim_format);
        room = TEXT_BYTES_MAX - used;
        used += (size_t)snprintf(out + used, room, "%.*s", ROAN_SLICE_ARG(value->text));
        break;
    default:
        used += (size_t)snprintf(out + used, room, "%.*s", ROAN_SLICE_ARG(value->text));
        break;
    }
    for (size_t i = 0; i < children; i++) {
        if (i > 0)
            out[used++] = ' ';
        used = print_value(&value->elements[i], out, used);
    }
    used += (size_t)snprintf(out + used, TEXT_BYTES_MAX - used, ")");
    assert_true(used < TEXT_BYTES_MAX - 256);
    return used;
}

/* Reads `stream` in pieces of `piece` bytes; every tree as a line, then "!text" if the stream
 * broke. */
static char *read_all(const char *stream, size_t bytes, size_t piece)
{
    roan_reply_reader *reader = roan_reply_reader_create();
    char *out = malloc(TEXT_BYTES_MAX);
    size_t used = 0;
    bool is_broken = false;

    assert_non_null(reader);
    assert_non_null(out);
    out[0] = '\0';
    for (size_t at = 0; at < bytes && !is_broken; at += piece) {
        size_t count = bytes - at < piece ? bytes - at : piece;
        assert_int_equal(roan_reply_reader_feed(reader, stream + at, count), ROAN_OK);
        for (;;) {
            roan_value *value;
            roan_error error;
            roan_status status = roan_reply_reader_next(reader, &value, &error);
            if (status != ROAN_OK) {
                assert_int_equal(status, ROAN_E_PROTOCOL);
                assert_int_equal(error.code, ROAN_E_PROTOCOL);
                used += (size_t)snprintf(out + used, TEXT_BYTES_MAX - used, "!%s\n", error.text);
                is_broken = true;
                break;
            }
            if (value == NULL)
                break;
            used = print_value(value, out, used);
            used += (size_t)snprintf(out + used, TEXT_BYTES_MAX - used, "\n");
            assert_null(roan_value_free(value));
        }
    }
    if (is_broken) {
        roan_value *value;
        assert_int_equal(roan_reply_reader_next(reader, &value, NULL), ROAN_E_PROTOCOL);
        assert_null(value);
        assert_int_equal(roan_reply_reader_feed(reader, "+OK\r\n", 5), ROAN_E_PROTOCOL);
    }
    assert_null(roan_reply_reader_free(reader));
    return out;
}

static void check_stream(const char *stream, size_t bytes, const char *expected)
{
    static const size_t pieces[] = {1, 2, 3, 7, 16, 4096};

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        char *got = read_all(stream, bytes, pieces[i]);
        assert_string_equal(got, expected);
        free(got);
    }
}

#define CHECK(stream, expected) check_stream("" stream, sizeof(stream) - 1, expected)

static void simple_types_become_values(void **state)
{
    (void)state;
    CHECK("+OK\r\n", "status(OK)\n");
    CHECK("+\r\n", "status()\n");
    CHECK("-ERR no\r\n", "error(ERR no)\n");
    CHECK("!8\r\nERR a\r\nb\r\n", "error(ERR a\r\nb)\n");
    CHECK(":0\r\n:-1\r\n:+7\r\n", "int(0)\nint(-1)\nint(7)\n");
    CHECK(":9223372036854775807\r\n:-9223372036854775808\r\n",
          "int(9223372036854775807)\nint(-9223372036854775808)\n");
    CHECK("$5\r\nhello\r\n", "bulk(hello)\n");
    CHECK("$0\r\n\r\n", "bulk()\n");
    CHECK("$4\r\n\r\n\r\n\r\n", "bulk(\r\n\r\n)\n");
    CHECK("$-1\r\n*-1\r\n_\r\n", "null()\nnull()\nnull()\n");
    CHECK("#t\r\n#f\r\n", "bool(1)\nbool(0)\n");
    CHECK("(3492890328409238509324850943850943825024385\r\n(-1\r\n",
          "big(3492890328409238509324850943850943825024385)\nbig(-1)\n");
    CHECK("=15\r\ntxt:Some string\r\n", "verbatim(txt:Some string)\n");
    CHECK("=4\r\nmkd:\r\n", "verbatim(mkd:)\n");
}

static void text_lines_keep_single_line_breaks(void **state)
{
    (void)state;
    CHECK("+a\rb\r\n", "status(a\rb)\n");
    CHECK("+a\nb\r\n", "status(a\nb)\n");
    CHECK("-a\r\r\n", "error(a\r)\n");
}

static void doubles_are_read_without_locale(void **state)
{
    (void)state;
    CHECK(",1.5\r\n,10\r\n,-0\r\n,1e3\r\n,.5\r\n,2.5E-1\r\n",
          "double(1.5:1.5)\ndouble(10:10)\ndouble(-0:-0)\ndouble(1000:1e3)\n"
          "double(0.5:.5)\ndouble(0.25:2.5E-1)\n");
    CHECK(",inf\r\n,-inf\r\n,nan\r\n", "double(inf:inf)\ndouble(-inf:-inf)\ndouble(nan:nan)\n");
    CHECK(",1,5\r\n", "!bad double: ',1,5'\n");
    CHECK(",0x10\r\n", "!bad double: ',0x10'\n");
    CHECK(", 1\r\n", "!bad double: ', 1'\n");
    CHECK(",1e\r\n", "!bad double: ',1e'\n");
    CHECK(",\r\n", "!bad double: ','\n");
}

static void aggregates_nest(void **state)
{
    (void)state;
    CHECK("*0\r\n%0\r\n~0\r\n>0\r\n", "array()\nmap()\nset()\npush()\n");
    CHECK("*2\r\n$1\r\na\r\n*2\r\n:1\r\n*1\r\n+x\r\n", "array(bulk(a) array(int(1) array(status(x))))\n");
    CHECK("%2\r\n+a\r\n:1\r\n+b\r\n~2\r\n:2\r\n*0\r\n", "map(status(a) int(1) status(b) set(int(2) array()))\n");
    CHECK(">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n+OK\r\n",
          "push(status(invalidate) array(bulk(k)))\nstatus(OK)\n");
    CHECK("*3\r\n*-1\r\n$-1\r\n_\r\n", "array(null() null() null())\n");
}

static void attributes_describe_the_next_value(void **state)
{
    (void)state;
    CHECK("|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n", "@map(status(ttl) int(9))bulk(v)\n");
    CHECK("*2\r\n|1\r\n+a\r\n:1\r\n:2\r\n:3\r\n", "array(@map(status(a) int(1))int(2) int(3))\n");
    CHECK("|1\r\n+a\r\n*1\r\n:1\r\n*1\r\n:2\r\n", "@map(status(a) array(int(1)))array(int(2))\n");
    CHECK("|0\r\n:1\r\n", "@map()int(1)\n");
    CHECK("|1\r\n+a\r\n:1\r\n|1\r\n+b\r\n:2\r\n:3\r\n",
          "@@map(status(a) int(1))map(status(b) int(2))int(3)\n");
    CHECK("|1\r\n|1\r\n+x\r\n:0\r\n+a\r\n:1\r\n:3\r\n",
          "@map(@map(status(x) int(0))status(a) int(1))int(3)\n");
}

static void broken_streams_say_why(void **state)
{
    (void)state;
    CHECK("hello\r\n", "!no reply begins with byte 0x68 ('h')\n");
    CHECK("\r\n", "!no reply begins with byte 0x0d ('?')\n");
    CHECK("+OK\r\nx", "status(OK)\n!no reply begins with byte 0x78 ('x')\n");
    CHECK(":12a\r\n", "!bad integer: ':12a'\n");
    CHECK(":\r\n", "!bad integer: ':'\n");
    CHECK("#x\r\n", "!bad boolean: '#x'\n");
    CHECK("_x\r\n", "!bad null: '_x'\n");
    CHECK("(1.5\r\n", "!bad big number: '(1.5'\n");
    CHECK("$-2\r\n", "!negative length: '$-2'\n");
    CHECK("%-1\r\n", "!negative length: '%-1'\n");
    CHECK("$68719476737\r\n", "!length above the limit: '$68719476737'\n");
    CHECK("*4294967296\r\n", "!length above the limit: '*4294967296'\n");
    CHECK("=3\r\nabc\r\n", "!verbatim string without a format: '=3'\n");
    CHECK("=5\r\nabcde\r\n", "!verbatim string without ':' after its format\n");
    CHECK("$3\r\nabcde", "!no CRLF after a bulk of 3 bytes\n");
}

/* The text of the message depends on how much of the line is there; its start does not. */
static void check_broken(const char *stream, size_t bytes, const char *start)
{
    for (size_t piece = 1; piece <= bytes; piece++) {
        char *got = read_all(stream, bytes, piece);
        assert_memory_equal(got, start, strlen(start));
        free(got);
    }
}

#define CHECK_BROKEN(stream, start) check_broken("" stream, sizeof(stream) - 1, start)

static void absurd_and_streamed_headers_are_refused(void **state)
{
    (void)state;
    CHECK_BROKEN("$99999999999999999999999\r\n", "!bad length: '$999999999999999999");
    CHECK_BROKEN(":9223372036854775808\r\n", "!bad integer: ':9223372036854775808");
    CHECK_BROKEN("$?\r\n;4\r\nabcd\r\n;0\r\n", "!streamed replies are not supported: '$?");
    CHECK_BROKEN("*?\r\n:1\r\n.\r\n", "!streamed replies are not supported: '*?");
    CHECK_BROKEN("%?\r\n.\r\n", "!streamed replies are not supported: '%?");
    CHECK_BROKEN("$3\nabc\r\n", "!bad length: '$3");
}

static void endless_numbers_are_refused_early(void **state)
{
    char stream[2048];

    (void)state;
    memset(stream, '1', sizeof stream);
    stream[0] = ',';
    check_broken(stream, sizeof stream, "!double too long: ',111");
    memset(stream + 1, '0', sizeof stream - 1);
    stream[0] = ':';
    check_broken(stream, sizeof stream, "!bad integer: ':000");
}

static void depth_is_bounded(void **state)
{
    char stream[4 * 300 + 8];

    (void)state;
    for (size_t i = 0; i < 300; i++)
        memcpy(stream + 4 * i, "*1\r\n", 4);
    memcpy(stream + 4 * 256, ":1\r\n", 4);
    char *got = read_all(stream, 4 * 257, 4096);
    assert_memory_equal(got, "array(array(", 12);
    free(got);
    memcpy(stream + 4 * 256, "*1\r\n", 4);
    check_stream(stream, 4 * 257, "!reply nested deeper than 256 levels\n");
}

/* A bulk large enough to take the buffer over, with neighbours that must survive that. */
static void large_replies_keep_their_neighbours(void **state)
{
    enum { BULK_BYTES = 300000 };
    static const size_t pieces[] = {1000, 16384, 299999, 300100, 700000};
    char *stream = malloc(2 * BULK_BYTES + 200);
    size_t bytes = 0;

    (void)state;
    assert_non_null(stream);
    for (int i = 0; i < 2; i++) {
        bytes += (size_t)sprintf(stream + bytes, ":%d\r\n*2\r\n$%d\r\n", i, BULK_BYTES);
        memset(stream + bytes, 'a' + i, BULK_BYTES);
        bytes += BULK_BYTES;
        bytes += (size_t)sprintf(stream + bytes, "\r\n+x\r\n+after%d\r\n", i);
    }
    for (size_t p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
        roan_reply_reader *reader = roan_reply_reader_create();
        roan_value *values[6];
        size_t count = 0;
        for (size_t at = 0; at < bytes; at += pieces[p]) {
            size_t piece = bytes - at < pieces[p] ? bytes - at : pieces[p];
            roan_value *value;
            assert_int_equal(roan_reply_reader_feed(reader, stream + at, piece), ROAN_OK);
            while (roan_reply_reader_next(reader, &value, NULL) == ROAN_OK && value != NULL) {
                assert_true(count < 6);
                values[count++] = value;
            }
        }
        assert_int_equal(count, 6);
        reader = roan_reply_reader_free(reader);
        for (int i = 0; i < 2; i++) {
            roan_value **v = values + 3 * i;
            assert_int_equal(v[0]->integer, i);
            assert_int_equal(v[1]->elements[0].text.bytes, BULK_BYTES);
            for (size_t k = 0; k < BULK_BYTES; k++)
                if (v[1]->elements[0].text.data[k] != 'a' + i)
                    fail_msg("byte %zu of bulk %d", k, i);
            assert_memory_equal(v[2]->text.data, i ? "after1" : "after0", 6);
            for (int k = 0; k < 3; k++)
                roan_value_free(v[k]);
        }
    }
    free(stream);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Feeds `total` bytes of the repeated pattern after `header` in 16 KB pieces; one reply must come.
 * */
static double time_large_reply(const char *header, const char *pattern, size_t total, size_t count)
{
    enum { PIECE_BYTES = 16384 };
    roan_reply_reader *reader = roan_reply_reader_create();
    size_t pattern_bytes = strlen(pattern);
    char *piece = malloc(PIECE_BYTES + pattern_bytes);
    double start = seconds_now();
    roan_value *value = NULL;

    assert_int_equal(roan_reply_reader_feed(reader, header, strlen(header)), ROAN_OK);
    for (size_t i = 0; i < PIECE_BYTES + pattern_bytes; i++)
        piece[i] = pattern[i % pattern_bytes];
    for (size_t at = 0; at < total; at += PIECE_BYTES) {
        size_t bytes = total - at < PIECE_BYTES ? total - at : PIECE_BYTES;
        assert_null(value);
        assert_int_equal(roan_reply_reader_feed(reader, piece + at % pattern_bytes, bytes), ROAN_OK);
        assert_int_equal(roan_reply_reader_next(reader, &value, NULL), ROAN_OK);
    }
    if (value == NULL) {
        assert_int_equal(roan_reply_reader_feed(reader, "\r\n", 2), ROAN_OK);
        assert_int_equal(roan_reply_reader_next(reader, &value, NULL), ROAN_OK);
    }
    assert_non_null(value);
    assert_int_equal(value->count != 0 ? value->count : value->text.bytes, count);
    roan_value_free(value);
    roan_reply_reader_free(reader);
    free(piece);
    return seconds_now() - start;
}

/* Starting over at each piece would need hours for the first and minutes for the second. */
static void large_replies_take_linear_time(void **state)
{
    (void)state;
    assert_true(time_large_reply("$134217728\r\n", "x", 134217728, 134217728) < 20);
    assert_true(time_large_reply("*1000000\r\n", ":1234\r\n", 7000000, 1000000) < 20);
    assert_true(time_large_reply("+", "y", 16777216, 16777216) < 20);
    assert_true(time_large_reply("*100000\r\n", "$4\r\nabcd\r\n", 1000000, 100000) < 20);
}

static void announced_lengths_take_no_memory(void **state)
{
    roan_reply_reader *reader = roan_reply_reader_create();
    roan_value *value;

    (void)state;
    for (int i = 0; i < 200; i++)
        assert_int_equal(roan_reply_reader_feed(reader, "*4294967295\r\n", 13), ROAN_OK);
    assert_int_equal(roan_reply_reader_feed(reader, "$68719476736\r\nx", 15), ROAN_OK);
    assert_int_equal(roan_reply_reader_next(reader, &value, NULL), ROAN_OK);
    assert_null(value);
    assert_int_equal(roan_reply_reader_feed(reader, "y", 1), ROAN_OK);
    assert_int_equal(roan_reply_reader_next(reader, &value, NULL), ROAN_OK);
    assert_null(value);
    roan_reply_reader_free(reader);
}

/* Copies `stream` so that its last byte is the last readable one. */
static char *place_before_wall(const char *stream, size_t bytes, char **ret_map, size_t *ret_map_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t pages = (bytes + page - 1) / page + 1;
    char *map = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_true(map != MAP_FAILED);
    assert_int_equal(mprotect(map + (pages - 1) * page, page, PROT_NONE), 0);
    memcpy(map + (pages - 1) * page - bytes, stream, bytes);
    *ret_map = map;
    *ret_map_bytes = pages * page;
    return map + (pages - 1) * page - bytes;
}

static const char mixed_stream[] =
    "+OK\r\n-ERR x\r\n:42\r\n$5\r\nhello\r\n$-1\r\n*2\r\n$1\r\na\r\n*0\r\n%1\r\n+k\r\n,1.5\r\n"
    "|1\r\n+a\r\n:1\r\n!5\r\nERR y\r\n=8\r\ntxt:text\r\n#t\r\n(12345678901234567890\r\n_\r\n>1\r\n+p\r\n";
enum { MIXED_REPLIES = 13, MIXED_ERRORS = 2 };

/* Every prefix, placed directly before memory that may not be touched. */
static void parsing_never_reads_past_the_end(void **state)
{
    size_t bytes = sizeof mixed_stream - 1;

    (void)state;
    for (size_t prefix = 0; prefix <= bytes; prefix++) {
        char *map;
        size_t map_bytes;
        char *stream = place_before_wall(mixed_stream, prefix, &map, &map_bytes);
        size_t replies;
        size_t skipped = roan_replies_skip(stream, prefix, SIZE_MAX, &replies, NULL);
        assert_true(skipped <= prefix);
        assert_true(replies <= MIXED_REPLIES);
        if (prefix > 0) {
            char *whole = read_all(stream, prefix, prefix);
            char *bytewise = read_all(stream, prefix, 1);
            size_t lines = 0;
            for (const char *p = whole; *p; p++)
                lines += *p == '\n';
            assert_string_equal(whole, bytewise);
            assert_int_equal(lines, replies);
            free(whole);
            free(bytewise);
        }
        munmap(map, map_bytes);
    }
}

static void skip_counts_replies_and_errors(void **state)
{
    size_t bytes = sizeof mixed_stream - 1;
    size_t replies;
    size_t errors;

    (void)state;
    assert_int_equal(roan_replies_skip(mixed_stream, bytes, SIZE_MAX, &replies, &errors), bytes);
    assert_int_equal(replies, MIXED_REPLIES);
    assert_int_equal(errors, MIXED_ERRORS);
    assert_int_equal(roan_replies_skip(mixed_stream, bytes, 2, &replies, &errors), 13);
    assert_int_equal(replies, 2);
    assert_int_equal(errors, 1);
    assert_int_equal(roan_replies_skip(mixed_stream, bytes, 0, &replies, &errors), 0);
    assert_int_equal(replies, 0);
    assert_int_equal(roan_replies_skip("+OK\r\nbad", 8, SIZE_MAX, &replies, NULL), SIZE_MAX);
    assert_int_equal(replies, 1);
}

static void requests_are_arrays_of_bulks(void **state)
{
    static const char expected[] = "*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$11\r\na\0b\r\ncdefgh\r\n";
    roan_slice ping[] = {ROAN_LITERAL("PING")};
    roan_slice set[] = {ROAN_LITERAL("SET"), {NULL, 0}, ROAN_LITERAL("a\0b\r\ncdefgh")};
    roan_request_buffer buffer = {0};

    (void)state;
    assert_int_equal(roan_request_append(&buffer, 1, ping), ROAN_OK);
    assert_int_equal(roan_request_append(&buffer, 3, set), ROAN_OK);
    assert_int_equal(buffer.bytes, sizeof expected - 1);
    assert_memory_equal(buffer.data, expected, sizeof expected - 1);
    roan_request_buffer_done(&buffer);
    assert_null(buffer.data);
    assert_int_equal(roan_request_append(&buffer, 0, NULL), ROAN_OK);
    assert_memory_equal(buffer.data, "*0\r\n", 4);
    roan_request_buffer_done(&buffer);
}

static void many_requests_grow_the_buffer(void **state)
{
    roan_request_buffer buffer = {0};
    char big[10000];
    roan_slice argv[] = {ROAN_LITERAL("ECHO"), {big, sizeof big}};

    (void)state;
    memset(big, 'x', sizeof big);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(roan_request_append(&buffer, 2, argv), ROAN_OK);
    assert_int_equal(buffer.bytes, 1000 * (4 + 10 + 8 + sizeof big + 2));
    roan_request_buffer_done(&buffer);
}

static void freeing_nothing_is_fine(void **state)
{
    (void)state;
    assert_null(roan_value_free(NULL));
    assert_null(roan_reply_reader_free(NULL));
}

/* ---- places and buffers ----------------------------------------------------------------------- */

static void *released;

static void release_place(void *memory)
{
    assert_null(released);
    released = memory;
}

/* Feeds `text` and takes one reply with a place of `bytes`; true when it went into the place. */
static bool goes_into_place(const char *text, size_t bytes)
{
    static _Alignas(16) char memory[1024];
    roan_reply_place place = {.memory = memory, .bytes = bytes, .release = release_place};
    roan_reply_reader *reader = roan_reply_reader_create();
    roan_value *value;
    bool is_in_place;

    memset(memory, 0xee, sizeof memory);
    assert_int_equal(roan_reply_reader_feed(reader, text, strlen(text)), ROAN_OK);
    assert_int_equal(roan_reply_reader_next_at(reader, &place, &value, NULL), ROAN_OK);
    assert_non_null(value);
    is_in_place = place.memory == NULL;
    assert_int_equal(is_in_place, (char *)value > memory && (char *)value < memory + sizeof memory);
    for (size_t i = is_in_place ? bytes : 0; i < sizeof memory; i++)
        assert_int_equal((unsigned char)memory[i], 0xee);
    roan_reply_reader_free(reader); /* values outlive it */
    released = NULL;
    roan_value_free(value);
    assert_ptr_equal(released, is_in_place ? memory : NULL);
    released = NULL;
    return is_in_place;
}

static void small_replies_are_built_in_a_place(void **state)
{
    (void)state;
    assert_true(goes_into_place("$5\r\nhello\r\n", 264));
    assert_true(goes_into_place("+OK\r\n", 264));
    assert_true(goes_into_place(":12\r\n", 264));
    assert_true(goes_into_place("_\r\n", 264));
    assert_true(goes_into_place("*2\r\n:1\r\n*1\r\n+x\r\n", 1024));
    assert_true(goes_into_place("|1\r\n+ttl\r\n:5\r\n$1\r\nx\r\n", 1024));
    assert_false(goes_into_place("*2\r\n:1\r\n*1\r\n+x\r\n", 264)); /* too large */
    assert_false(goes_into_place("$5\r\nhello\r\n", 64));
    assert_false(goes_into_place("-ERR x\r\n", 264)); /* its request may be needed once more */
    assert_false(goes_into_place("!5\r\nERR x\r\n", 264));
    assert_false(goes_into_place(">1\r\n:1\r\n", 264)); /* answers nothing */
    assert_false(goes_into_place("|1\r\n+a\r\n:5\r\n>1\r\n:1\r\n", 1024));
}

static void a_place_fits_exactly(void **state)
{
    size_t least = 1;

    (void)state;
    while (!goes_into_place("$5\r\nhello\r\n", least)) /* nothing behind it is touched either: checked there */
        least++;
    assert_in_range(least, sizeof(roan_value) + 11, 264);
}

static void buffers_are_lent_and_taken_back(void **state)
{
    enum { BYTES = 64 };
    char *buffer = malloc(BYTES);
    roan_reply_reader *reader = roan_reply_reader_create();
    roan_value *value;
    char *room;
    size_t bytes = 7;

    (void)state;
    assert_null(roan_reply_reader_take_buffer(reader, &bytes)); /* it has none */
    assert_false(roan_reply_reader_has_buffer(reader));
    roan_reply_reader_lend(reader, buffer, BYTES);
    assert_true(roan_reply_reader_has_buffer(reader));
    bytes = 7;
    assert_int_equal(roan_reply_reader_reserve(reader, &room, &bytes), ROAN_OK);
    assert_ptr_equal(room, buffer);
    assert_int_equal(bytes, BYTES);
    memcpy(room, "+OK\r\n+h", 7);
    roan_reply_reader_commit(reader, 7);
    assert_int_equal(roan_reply_reader_next(reader, &value, NULL), ROAN_OK);
    roan_value_free(value);
    assert_null(roan_reply_reader_take_buffer(reader, &bytes)); /* a part of a reply is in it */
    assert_int_equal(roan_reply_reader_feed(reader, "i\r\n", 3), ROAN_OK);
    assert_int_equal(roan_reply_reader_next(reader, &value, NULL), ROAN_OK);
    assert_int_equal(value->text.bytes, 2);
    roan_value_free(value);
    assert_ptr_equal(roan_reply_reader_take_buffer(reader, &bytes), buffer);
    assert_int_equal(bytes, BYTES);
    free(buffer);
    assert_int_equal(roan_reply_reader_feed(reader, ":1\r\n", 4), ROAN_OK); /* it gets one of its own */
    assert_int_equal(roan_reply_reader_next(reader, &value, NULL), ROAN_OK);
    assert_int_equal(value->integer, 1);
    roan_value_free(value);
    roan_reply_reader_free(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(simple_types_become_values),
        cmocka_unit_test(text_lines_keep_single_line_breaks),
        cmocka_unit_test(doubles_are_read_without_locale),
        cmocka_unit_test(aggregates_nest),
        cmocka_unit_test(attributes_describe_the_next_value),
        cmocka_unit_test(broken_streams_say_why),
        cmocka_unit_test(absurd_and_streamed_headers_are_refused),
        cmocka_unit_test(endless_numbers_are_refused_early),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(large_replies_keep_their_neighbours),
        cmocka_unit_test(large_replies_take_linear_time),
        cmocka_unit_test(announced_lengths_take_no_memory),
        cmocka_unit_test(parsing_never_reads_past_the_end),
        cmocka_unit_test(skip_counts_replies_and_errors),
        cmocka_unit_test(requests_are_arrays_of_bulks),
        cmocka_unit_test(many_requests_grow_the_buffer),
        cmocka_unit_test(freeing_nothing_is_fine),
        cmocka_unit_test(small_replies_are_built_in_a_place),
        cmocka_unit_test(a_place_fits_exactly),
        cmocka_unit_test(buffers_are_lent_and_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
