/* Tests of the reply reader of libroan-hiredis.
 *
 * Every stream is fed whole, byte by byte and in pieces of three, and must give the same trees, printed here as text.
 * The allocator is replaced: it counts what is in use, and it can fail at the nth call. Run as a cmocka program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hiredis/hiredis.h"

#include <malloc.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX 8192

/* ---- an allocator that counts and fails -------------------------------------------------------------------------- */

static size_t bytes_in_use;
static size_t bytes_peak;
static long calls_left; /* -1: never fails */

static bool may_allocate(void)
{
    if (calls_left < 0)
        return true;
    return calls_left-- > 0;
}

static void *counted(void *memory)
{
    bytes_in_use += memory == NULL ? 0 : malloc_usable_size(memory);
    bytes_peak = bytes_in_use > bytes_peak ? bytes_in_use : bytes_peak;
    return memory;
}

static void *counting_malloc(size_t bytes)
{
    return may_allocate() ? counted(malloc(bytes)) : NULL;
}

static void *counting_calloc(size_t count, size_t bytes)
{
    return may_allocate() ? counted(calloc(count, bytes)) : NULL;
}

static void *counting_realloc(void *memory, size_t bytes)
{
    size_t before = memory == NULL ? 0 : malloc_usable_size(memory);
    void *moved;

    if (!may_allocate())
        return NULL;
    moved = realloc(memory, bytes);
    bytes_in_use -= moved == NULL ? 0 : before;
    return counted(moved);
}

static char *counting_strdup(const char *text)
{
    return may_allocate() ? counted(strdup(text)) : NULL;
}

static void counting_free(void *memory)
{
    bytes_in_use -= memory == NULL ? 0 : malloc_usable_size(memory);
    free(memory);
}

static int set_up(void **state)
{
    hiredisAllocFuncs functions = {counting_malloc, counting_calloc, counting_realloc, counting_strdup, counting_free};

    (void)state;
    hiredisSetAllocators(&functions);
    bytes_in_use = bytes_peak = 0;
    calls_left = -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(bytes_in_use, 0);
    hiredisResetAllocators();
    return 0;
}

/* ---- trees as text ----------------------------------------------------------------------------------------------- */

static const char *const type_names[] = {"?",    "str", "array", "int",  "nil",  "status", "error", "double",
                                         "bool", "map", "set",   "attr", "push", "big",    "verb"};

static size_t print_reply(const redisReply *reply, char *out, size_t used)
{
    size_t room = TEXT_BYTES_MAX - used;

    used += (size_t)snprintf(out + used, room, "%s(", type_names[reply->type]);
    room = TEXT_BYTES_MAX - used;
    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
    case REDIS_REPLY_BOOL: used += (size_t)snprintf(out + used, room, "%lld", reply->integer); break;
    case REDIS_REPLY_DOUBLE: used += (size_t)snprintf(out + used, room, "%.17g=%s", reply->dval, reply->str); break;
    case REDIS_REPLY_VERB: used += (size_t)snprintf(out + used, room, "%s:%s", reply->vtype, reply->str); break;
    case REDIS_REPLY_NIL: assert_null(reply->str); break;
    default:
        if (reply->str != NULL) {
            assert_int_equal(reply->str[reply->len], 0);
            used += (size_t)snprintf(out + used, room, "%zu:%s", reply->len, reply->str);
        }
        break;
    }
    for (size_t i = 0; i < reply->elements; i++)
        used = print_reply(reply->element[i], out, used);
    return used + (size_t)snprintf(out + used, TEXT_BYTES_MAX - used, ")");
}

/* Feeds in pieces; the trees of all replies, or "!code text" where the reader broke. */
static void read_as_text(const char *stream, size_t bytes, size_t piece, char *out)
{
    redisReader *reader = redisReaderCreate();
    size_t used = 0;

    assert_non_null(reader);
    out[0] = '\0';
    for (size_t at = 0; at < bytes; at += piece) {
        size_t count = bytes - at < piece ? bytes - at : piece;
        void *reply = NULL;
        int result = redisReaderFeed(reader, stream + at, count);
        while (result == REDIS_OK && (result = redisReaderGetReply(reader, &reply)) == REDIS_OK && reply != NULL) {
            used = print_reply(reply, out, used);
            freeReplyObject(reply);
        }
        if (result == REDIS_ERR) {
            assert_null(reply);
            assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_ERR);
            assert_int_equal(redisReaderFeed(reader, "+OK\r\n", 5), REDIS_ERR);
            snprintf(out + used, TEXT_BYTES_MAX - used, "!%d %s", reader->err, reader->errstr);
            break;
        }
    }
    redisReaderFree(reader);
}

static void expect(const char *stream, size_t bytes, const char *expected)
{
    static char text[TEXT_BYTES_MAX];
    const size_t pieces[] = {1, 3, bytes};

    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
        read_as_text(stream, bytes, pieces[i], text);
        assert_string_equal(text, expected);
    }
}

#define EXPECT(stream, expected) expect(stream, sizeof(stream) - 1, expected)

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void test_every_type_of_both_protocols(void **state)
{
    (void)state;
    EXPECT("+OK\r\n", "status(2:OK)");
    EXPECT("+\r\n", "status(0:)");
    EXPECT("-ERR no\r\n", "error(6:ERR no)");
    EXPECT(":0\r\n", "int(0)");
    EXPECT(":-9223372036854775808\r\n", "int(-9223372036854775808)");
    EXPECT(":9223372036854775807\r\n", "int(9223372036854775807)");
    EXPECT("$5\r\nhello\r\n", "str(5:hello)");
    EXPECT("$0\r\n\r\n", "str(0:)");
    EXPECT("$4\r\n\r\n\r\n\r\n", "str(4:\r\n\r\n)");
    EXPECT("$-1\r\n", "nil()");
    EXPECT("*-1\r\n", "nil()");
    EXPECT("_\r\n", "nil()");
    EXPECT("*0\r\n", "array()");
    EXPECT("*2\r\n:1\r\n$1\r\na\r\n", "array(int(1)str(1:a))");
    EXPECT("*2\r\n*2\r\n*0\r\n:1\r\n*-1\r\n", "array(array(array()int(1))nil())");
    EXPECT("%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n", "map(status(1:a)int(1)status(1:b)array(int(2)))");
    EXPECT("~2\r\n:1\r\n:2\r\n", "set(int(1)int(2))");
    EXPECT(">2\r\n+message\r\n:2\r\n", "push(status(7:message)int(2))");
    EXPECT("|1\r\n+ttl\r\n:1\r\n:5\r\n", "attr(status(3:ttl)int(1))int(5)");
    EXPECT("#t\r\n#f\r\n#T\r\n", "bool(1)bool(0)bool(1)");
    EXPECT("(-3492890328409238509324850943850943825024385\r\n", "big(44:-3492890328409238509324850943850943825024385)");
    EXPECT("=8\r\ntxt:some\r\n", "verb(txt:some)");
    EXPECT("=4\r\nmkd:\r\n", "verb(mkd:)");
    EXPECT("+one\r\n+two\r\n:3\r\n", "status(3:one)status(3:two)int(3)");
}

static void test_doubles(void **state)
{
    (void)state;
    EXPECT(",1.5\r\n", "double(1.5=1.5)");
    EXPECT(",10\r\n", "double(10=10)");
    EXPECT(",-0\r\n", "double(-0=-0)");
    EXPECT(",.5\r\n,5.\r\n", "double(0.5=.5)double(5=5.)");
    EXPECT(",1e3\r\n,-1E-3\r\n,+2e+2\r\n", "double(1000=1e3)double(-0.001=-1E-3)double(200=+2e+2)");
    EXPECT(",5e-324\r\n", "double(4.9406564584124654e-324=5e-324)");
    EXPECT(",inf\r\n,-inf\r\n,INF\r\n", "double(inf=inf)double(-inf=-inf)double(inf=INF)");
    EXPECT(",nan\r\n", "double(nan=nan)");
}

static void test_errors_name_what_is_wrong(void **state)
{
    (void)state;
    EXPECT("@foo\r\n", "!4 Protocol error, got \"@\" as reply type byte");
    EXPECT("\r\n", "!4 Protocol error, got \"\\r\" as reply type byte");
    EXPECT("\x01", "!4 Protocol error, got \"\\x01\" as reply type byte");
    EXPECT("\"", "!4 Protocol error, got \"\\\"\" as reply type byte");
    EXPECT("\0", "!4 Protocol error, got \"\\x00\" as reply type byte");
    EXPECT("+OK\r\n?", "status(2:OK)!4 Protocol error, got \"?\" as reply type byte");
    EXPECT(":\r\n", "!4 Bad integer value");
    EXPECT(":-\r\n", "!4 Bad integer value");
    EXPECT(":1x\r\n", "!4 Bad integer value");
    EXPECT(":01\r\n", "!4 Bad integer value");
    EXPECT(":9223372036854775808\r\n", "!4 Bad integer value");
    EXPECT(":-9223372036854775809\r\n", "!4 Bad integer value");
    EXPECT("$x\r\n", "!4 Bad bulk string length");
    EXPECT("$-2\r\n", "!4 Bulk string length out of range");
    EXPECT("$9223372036854775807\r\n", "!4 Bulk string length out of range");
    EXPECT("$3\r\nabcde\r\n", "!4 Bulk string is not followed by CRLF");
    EXPECT("=3\r\ntxt\r\n", "!4 Verbatim string 4 bytes of content type are missing or incorrectly encoded.");
    EXPECT("=5\r\nabcde\r\n", "!4 Verbatim string 4 bytes of content type are missing or incorrectly encoded.");
    EXPECT("*x\r\n", "!4 Bad multi-bulk length");
    EXPECT("*-2\r\n", "!4 Multi-bulk length out of range");
    EXPECT("*4294967296\r\n", "!4 Multi-bulk length out of range");
    EXPECT("%4611686018427387904\r\n", "!4 Multi-bulk length out of range");
    EXPECT("_x\r\n", "!4 Bad nil value");
    EXPECT("#x\r\n#", "!4 Bad bool value");
    EXPECT("#\r\n", "!4 Bad bool value");
    EXPECT("(\r\n", "!4 Bad bignum value");
    EXPECT("(12a\r\n", "!4 Bad bignum value");
    EXPECT("+a\rb\r\n", "!4 Bad simple string value");
    EXPECT("-a\nb\r\n", "!4 Bad simple string value");
    EXPECT(",\r\n", "!4 Bad double value");
    EXPECT(",.\r\n", "!4 Bad double value");
    EXPECT(",1e\r\n", "!4 Bad double value");
    EXPECT(",0x10\r\n", "!4 Bad double value");
    EXPECT(", 1\r\n", "!4 Bad double value");
    EXPECT(",1e999\r\n", "!4 Bad double value");
    EXPECT("*2\r\n:1\r\n*2\r\n$1\r\na\r\n!\r\n", "!4 Protocol error, got \"!\" as reply type byte");
}

static void test_a_double_longer_than_any_is_refused(void **state)
{
    char stream[400];

    (void)state;
    memset(stream, '1', sizeof stream);
    stream[0] = ',';
    memcpy(stream + 326, "\r\n", 2);
    {
        char text[TEXT_BYTES_MAX];
        read_as_text(stream, 328, 328, text);
        assert_string_equal(text, "!4 Bad double value"); /* 325 digits: too large for a double */
    }
    stream[326] = '1';
    memcpy(stream + 327, "\r\n", 2);
    expect(stream, 329, "!4 Double value is too large");
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static int read_nested(int depth, int maxdepth, void **ret_reply, redisReader **ret_reader)
{
    redisReader *reader = redisReaderCreate();

    reader->maxdepth = maxdepth;
    for (int i = 0; i < depth; i++)
        assert_int_equal(redisReaderFeed(reader, "*1\r\n", 4), REDIS_OK);
    assert_int_equal(redisReaderFeed(reader, ":1\r\n", 4), REDIS_OK);
    *ret_reader = reader;
    return redisReaderGetReply(reader, ret_reply);
}

static void test_depth_is_bounded_and_freed_without_recursion(void **state)
{
    redisReader *reader;
    void *reply;

    (void)state;
    assert_int_equal(read_nested(7, 7, &reply, &reader), REDIS_OK);
    assert_non_null(reply);
    freeReplyObject(reply);
    redisReaderFree(reader);

    assert_int_equal(read_nested(8, 7, &reply, &reader), REDIS_ERR);
    assert_null(reply);
    assert_string_equal(reader->errstr, "Max nesting depth exceeded");
    redisReaderFree(reader);

    assert_int_equal(read_nested(1000000, 0, &reply, &reader), REDIS_OK); /* recursion would need 48 MB of stack */
    assert_non_null(reply);
    freeReplyObject(reply);
    redisReaderFree(reader);
}

static void test_elements_are_bounded(void **state)
{
    redisReader *reader = redisReaderCreate();
    void *reply;

    (void)state;
    reader->maxelements = 3;
    redisReaderFeed(reader, "*3\r\n:1\r\n:2\r\n:3\r\n*4\r\n", 20);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_int_equal(((redisReply *)reply)->elements, 3);
    freeReplyObject(reply);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_ERR);
    assert_string_equal(reader->errstr, "Multi-bulk length out of range");
    redisReaderFree(reader);

    reader = redisReaderCreate();
    reader->maxelements = 0;
    redisReaderFeed(reader, "*2305843009213693954\r\n", 22); /* SIZE_MAX / 8 + 3 */
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_ERR);
    assert_int_equal(reader->err, REDIS_ERR_OOM);
    assert_string_equal(reader->errstr, "Out of memory");
    redisReaderFree(reader);
}

static void test_memory_follows_the_bytes_that_came(void **state)
{
    redisReader *reader = redisReaderCreate();
    void *reply;

    (void)state;
    redisReaderFeed(reader, "*1000000000\r\n:1\r\n$1000000000000\r\nabc", 35);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_null(reply);
    redisReaderFeed(reader, "d", 1);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_null(reply);
    assert_true(bytes_peak < 3u << 20);
    redisReaderFree(reader);
}

static void test_arrays_larger_than_their_first_room(void **state)
{
    enum { COUNTS = 5 };
    static const int counts[COUNTS] = {1023, 1024, 1025, 2049, 10000};

    (void)state;
    for (int c = 0; c < COUNTS; c++) {
        redisReader *reader = redisReaderCreate();
        char line[32];
        void *object;
        redisReply *reply;
        int length = snprintf(line, sizeof line, "*%d\r\n", counts[c]);
        redisReaderFeed(reader, line, (size_t)length);
        for (int i = 0; i < counts[c]; i++) {
            assert_int_equal(redisReaderGetReply(reader, &object), REDIS_OK);
            assert_null(object);
            length = snprintf(line, sizeof line, ":%d\r\n", i);
            redisReaderFeed(reader, line, (size_t)length);
        }
        assert_int_equal(redisReaderGetReply(reader, &object), REDIS_OK);
        reply = object;
        assert_int_equal(reply->elements, counts[c]);
        for (int i = 0; i < counts[c]; i++)
            assert_int_equal(reply->element[i]->integer, i);
        freeReplyObject(reply);
        redisReaderFree(reader);
    }
}

static void test_an_idle_buffer_gives_its_memory_back(void **state)
{
    redisReader *reader = redisReaderCreate();
    char *large = calloc(1, 1 << 20);
    void *reply;

    (void)state;
    redisReaderFeed(reader, "$1048576\r\n", 10);
    redisReaderFeed(reader, large, 1 << 20);
    redisReaderFeed(reader, "\r\n", 2);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_int_equal(((redisReply *)reply)->len, 1 << 20);
    freeReplyObject(reply);
    assert_true(sdsalloc(reader->buf) >= 1 << 20);
    redisReaderFeed(reader, ":", 1);
    assert_true(sdsalloc(reader->buf) <= REDIS_READER_MAX_BUF);
    free(large);
    redisReaderFree(reader);
}

static void test_many_replies_take_linear_time(void **state)
{
    enum { COUNT = 400000 };
    redisReader *reader = redisReaderCreate();
    char *stream = malloc((size_t)COUNT * 5);
    int count = 0;
    void *reply;

    (void)state;
    for (int i = 0; i < COUNT; i++)
        memcpy(stream + 5 * i, "+OK\r\n", 5);
    redisReaderFeed(reader, stream, (size_t)COUNT * 5); /* quadratic moving would take minutes */
    while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply != NULL) {
        freeReplyObject(reply);
        if (++count % 1000 == 0)
            redisReaderFeed(reader, "", 0);
    }
    assert_int_equal(count, COUNT);
    free(stream);
    redisReaderFree(reader);
}

/* ---- object functions -------------------------------------------------------------------------------------------- */

static void test_without_functions_objects_are_types(void **state)
{
    redisReader *reader = redisReaderCreateWithFunctions(NULL);
    static const char stream[] = "+OK\r\n:1\r\n*1\r\n$1\r\na\r\n_\r\n$-1\r\n#t\r\n,1\r\n%1\r\n:1\r\n:2\r\n";
    static const intptr_t types[] = {REDIS_REPLY_STATUS, REDIS_REPLY_INTEGER, REDIS_REPLY_ARRAY,  REDIS_REPLY_NIL,
                                     REDIS_REPLY_NIL,    REDIS_REPLY_BOOL,    REDIS_REPLY_DOUBLE, REDIS_REPLY_MAP};
    void *reply;

    (void)state;
    redisReaderFeed(reader, stream, sizeof stream - 1);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
        assert_int_equal((intptr_t)reply, types[i]);
    }
    redisReaderFree(reader);
}

/* Functions that write down how they are called. */
typedef struct record {
    char text[512];
    int freed;
} record;

static void *note(const redisReadTask *task, const char *what)
{
    record *to = task->privdata;
    size_t used = strlen(to->text);

    assert_ptr_equal(task->parent == NULL ? to : task->parent->obj, to);
    snprintf(to->text + used, sizeof to->text - used, "%s %d in %lld;", what, task->idx,
             task->parent == NULL ? -1 : task->parent->elements);
    return to;
}

static void *note_string(const redisReadTask *task, char *text, size_t bytes)
{
    char what[64];

    snprintf(what, sizeof what, "%s=%.*s", type_names[task->type], (int)bytes, text);
    return note(task, what);
}

static void *note_array(const redisReadTask *task, size_t elements)
{
    assert_int_equal(task->elements, elements);
    return note(task, type_names[task->type]);
}

static void *note_integer(const redisReadTask *task, long long value)
{
    assert_int_equal(value, 7);
    return note(task, "int");
}

static void *note_double(const redisReadTask *task, double value, char *text, size_t bytes)
{
    assert_true(value == 1.5 && bytes == 3 && memcmp(text, "1.5", 3) == 0);
    return note(task, "double");
}

static void *note_nil(const redisReadTask *task)
{
    return note(task, "nil");
}

static void *note_bool(const redisReadTask *task, int value)
{
    return note(task, value ? "true" : "false");
}

static void note_free(void *object)
{
    ((record *)object)->freed++;
}

static redisReplyObjectFunctions note_functions = {note_string, note_array, note_integer, note_double,
                                                   note_nil,    note_bool,  note_free};

static void test_functions_are_told_where_a_value_is(void **state)
{
    redisReader *reader = redisReaderCreateWithFunctions(&note_functions);
    static const char stream[] = "*4\r\n:7\r\n%1\r\n=5\r\ntxt:v\r\n,1.5\r\n_\r\n#f\r\n";
    record to = {0};
    void *reply;

    (void)state;
    reader->privdata = &to;
    redisReaderFeed(reader, stream, sizeof stream - 1);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_ptr_equal(reply, &to);
    assert_string_equal(to.text, "array -1 in -1;int 0 in 4;map 1 in 4;verb=txt:v 0 in 2;double 1 in 2;nil 2 in 4;"
                                 "false 3 in 4;");
    assert_int_equal(to.freed, 0);
    redisReaderFeed(reader, "*1\r\n:7\r\n", 8);
    assert_int_equal(redisReaderGetReply(reader, NULL), REDIS_OK);
    assert_int_equal(to.freed, 1); /* nobody wanted it */
    redisReaderFeed(reader, "*2\r\n:7\r\n!", 9);
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_ERR);
    assert_int_equal(to.freed, 2); /* only its top */
    redisReaderFree(reader);
    assert_int_equal(to.freed, 2);
}

/* ---- out of memory ----------------------------------------------------------------------------------------------- */

static void test_running_out_of_memory_anywhere_is_an_error_and_leaks_nothing(void **state)
{
    static const char stream[] = "*3\r\n$5\r\nhello\r\n%1\r\n+a\r\n,1.5\r\n*2\r\n=5\r\ntxt:v\r\n(123\r\n";
    bool is_whole = false;

    (void)state;
    for (long calls = 0; !is_whole; calls++) {
        redisReader *reader;
        void *reply = NULL;
        int result = REDIS_ERR;
        calls_left = calls;
        reader = redisReaderCreate();
        if (reader != NULL) {
            result = redisReaderFeed(reader, stream, sizeof stream - 1);
            if (result == REDIS_OK)
                result = redisReaderGetReply(reader, &reply);
            assert_int_equal(reader->err, result == REDIS_OK ? 0 : REDIS_ERR_OOM);
            is_whole = reply != NULL;
            assert_int_equal(result == REDIS_OK, is_whole);
        }
        freeReplyObject(reply);
        redisReaderFree(reader);
        assert_int_equal(bytes_in_use, 0);
        assert_true(calls < 100);
    }
    calls_left = -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_type_of_both_protocols, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_doubles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors_name_what_is_wrong, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_double_longer_than_any_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_depth_is_bounded_and_freed_without_recursion, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_elements_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_memory_follows_the_bytes_that_came, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_arrays_larger_than_their_first_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_idle_buffer_gives_its_memory_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_replies_take_linear_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_functions_objects_are_types, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_functions_are_told_where_a_value_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_running_out_of_memory_anywhere_is_an_error_and_leaks_nothing, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
