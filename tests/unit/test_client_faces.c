/* Tests of the functions of every command: what they send, and how they read replies of either protocol.
 *
 * The handle is replaced: roan_do() keeps the words it was given and answers with bytes that go through the real
 * reader. tests/client/command_samples.inc has calls of all encoders. Run as a cmocka program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/number.h"
#include "client/command_row.h"
#include "client/faces.h"
#include "roan/client_commands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SENT_MAX 2048

/* What the replaced handle was asked, as words separated by spaces, and what it answers. */
static char sent[SENT_MAX];
static const char *answer;
static roan_status refused;
static roan_status mistyped;

static void note_words(size_t argc, const roan_slice *argv)
{
    size_t used = 0;

    sent[0] = '\0';
    for (size_t i = 0; i < argc; i++)
        used += (size_t)snprintf(sent + used, SENT_MAX - used, "%s%.*s", i > 0 ? " " : "", ROAN_SLICE_ARG(argv[i]));
    assert_true(used < SENT_MAX);
}

roan_status roan_do(roan *client, size_t argc, const roan_slice *argv, roan_value **ret_reply, const roan_call *call)
{
    roan_reply_reader *reader = roan_reply_reader_create();
    roan_value *value = NULL;

    (void)client, (void)call;
    note_words(argc, argv);
    assert_int_equal(roan_reply_reader_feed(reader, answer, strlen(answer)), ROAN_OK);
    assert_int_equal(roan_reply_reader_next(reader, &value, NULL), ROAN_OK);
    roan_reply_reader_free(reader);
    assert_non_null(value);
    if (ret_reply != NULL)
        *ret_reply = NULL;
    if (value->type == ROAN_REPLY_NULL || value->type == ROAN_REPLY_ERROR || ret_reply == NULL) {
        roan_status status = value->type == ROAN_REPLY_NULL ? ROAN_NIL
                             : value->type == ROAN_REPLY_ERROR ? ROAN_E_SERVER : ROAN_OK;
        roan_value_free(value);
        return status;
    }
    *ret_reply = value;
    return ROAN_OK;
}

roan_future *roan_go(roan *client, size_t argc, const roan_slice *argv, const roan_call *call)
{
    (void)client, (void)call;
    note_words(argc, argv);
    return NULL;
}

void roan_batch_add(roan_batch *batch, size_t argc, const roan_slice *argv)
{
    (void)batch;
    note_words(argc, argv);
}

roan_status roan_do_refused(roan *client, roan_status code, const char *text)
{
    (void)client;
    assert_non_null(text);
    return refused = code;
}

roan_status roan_do_mistyped(roan *client, roan_status code, const char *text)
{
    (void)client;
    assert_non_null(text);
    return mistyped = code;
}

roan_future *roan_go_refused(roan *client, roan_status code, const char *text, const roan_call *call)
{
    (void)client, (void)call;
    assert_non_null(text);
    refused = code;
    return NULL;
}

void roan_batch_refused(roan_batch *batch, roan_status code, const char *text)
{
    (void)batch;
    assert_non_null(text);
    refused = code;
}

/* --- memory --- */

static bool is_memory_gone;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);

void *__wrap_malloc(size_t bytes)
{
    return is_memory_gone ? NULL : __real_malloc(bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return is_memory_gone ? NULL : __real_realloc(memory, bytes);
}

/* --- encoders --- */

static void check_sample(const char *name, int arity, const roan_words *words)
{
    const roan_command_traits *traits = roan_command_traits_find(words->count, words->words);

    if (words->status != ROAN_OK)
        fail_msg("%s: %s", name, words->problem);
    if (strcmp(traits->name, name) != 0)
        fail_msg("%s: found as '%s'", name, traits->name);
    if (arity > 0 ? words->count != (size_t)arity : words->count < (size_t)-arity)
        fail_msg("%s: %zu words, arity %d", name, words->count, arity);
    if (roan_command_key_positions(traits, words->count, words->words, NULL, 0) == SIZE_MAX)
        fail_msg("%s: its keys are not found", name);
}

#define S(text) ROAN_LITERAL(text)
#define SAMPLE(name, arity, encode)                 \
    {                                               \
        roan_words sample_words;                    \
        roan_words *words = &sample_words;          \
        roan_words_init(words);                     \
        encode;                                     \
        check_sample(name, arity, words);           \
        roan_words_done(words);                     \
    }

static void every_encoder_makes_a_call_that_the_table_understands(void **state)
{
    (void)state;
#include "client/command_samples.inc"
}

static void words_beyond_the_inline_room_are_kept(void **state)
{
    int64_t numbers[500];
    roan_words words;

    (void)state;
    for (int i = 0; i < 500; i++)
        numbers[i] = INT64_MIN + i;
    roan_words_init(&words);
    for (int i = 0; i < 500; i++)
        roan_words_add_integer(&words, numbers[i]);
    assert_int_equal(words.status, ROAN_OK);
    assert_int_equal(words.count, 500);
    for (int i = 0; i < 500; i++) {
        int64_t value;
        assert_true(roan_parse_i64(words.words[i], &value));
        assert_true(value == numbers[i]);
    }
    roan_words_done(&words);
    assert_int_equal(words.count, 0);
}

static void a_lack_of_memory_is_reported_and_nothing_is_sent(void **state)
{
    roan_slice keys[ROAN_WORDS_INLINE];
    roan_value bulk = {.type = ROAN_REPLY_BULK, .text = ROAN_LITERAL("text")};
    roan_bytes bytes;
    roan_words words;

    (void)state;
    for (size_t i = 0; i < ROAN_WORDS_INLINE; i++)
        keys[i] = ROAN_LITERAL("k");
    sent[0] = '\0';
    refused = ROAN_OK;
    is_memory_gone = true;
    roan_words_init(&words);
    for (int i = 0; i < ROAN_WORDS_INLINE; i++)
        roan_words_add_integer(&words, INT64_MIN);
    is_memory_gone = false;
    assert_int_equal(words.status, ROAN_E_NOMEM);
    roan_words_done(&words);
    is_memory_gone = true;
    roan_del_add(NULL, keys, ROAN_WORDS_INLINE - 1); /* fits without the heap */
    is_memory_gone = false;
    assert_int_equal(refused, ROAN_OK);
    sent[0] = '\0';
    is_memory_gone = true;
    roan_del_add(NULL, keys, ROAN_WORDS_INLINE);
    is_memory_gone = false;
    assert_int_equal(refused, ROAN_E_NOMEM);
    assert_string_equal(sent, "");
    is_memory_gone = true;
    assert_int_equal(roan_decode_bytes(&bulk, &bytes), ROAN_E_NOMEM);
    is_memory_gone = false;
}

static void wrong_use_is_noticed_before_anything_is_sent(void **state)
{
    roan_slice key = ROAN_LITERAL("k");
    roan_set_options unsized = {.nx = true};
    struct {
        roan_set_options known;
        char more[8];
    } newer = {.known = {.size = sizeof newer, .nx = true}, .more = "\1"};

    (void)state;
    answer = "+OK\r\n";
    sent[0] = '\0';
    assert_int_equal(roan_set(NULL, key, key, ROAN_SET_OPTIONS(.nx = true, .xx = true), NULL, NULL), ROAN_E_USAGE);
    assert_int_equal(roan_set(NULL, key, key, &unsized, NULL, NULL), ROAN_E_USAGE);
    assert_int_equal(roan_set(NULL, key, key, &newer.known, NULL, NULL), ROAN_E_USAGE);
    assert_int_equal(roan_set(NULL, key, key, ROAN_SET_OPTIONS(.ex = ROAN_SOME(1), .keepttl = true), NULL, NULL),
                     ROAN_E_USAGE);
    assert_int_equal(roan_del(NULL, NULL, 0, NULL, NULL), ROAN_E_USAGE);
    assert_int_equal(roan_lmove(NULL, key, key, 0, ROAN_LIST_END_LEFT, NULL, NULL), ROAN_E_USAGE);
    assert_int_equal(roan_geosearch(NULL, key, NULL, NULL, NULL, NULL), ROAN_E_USAGE);
    assert_int_equal(refused, ROAN_E_USAGE);
    refused = ROAN_OK;
    roan_del_add(NULL, NULL, 0);
    assert_int_equal(refused, ROAN_E_USAGE);
    refused = ROAN_OK;
    roan_del_go(NULL, NULL, 0, NULL);
    assert_int_equal(refused, ROAN_E_USAGE);
    assert_string_equal(sent, "");
    memset(newer.more, 0, sizeof newer.more);
    assert_int_equal(roan_set(NULL, key, key, &newer.known, NULL, NULL), ROAN_OK);
    assert_string_equal(sent, "SET k k NX");
}

static void arguments_become_the_words_of_the_command(void **state)
{
    const roan_slice keys[] = {ROAN_LITERAL("a"), ROAN_LITERAL("b")};
    const roan_slice ids[] = {ROAN_LITERAL("0"), ROAN_LITERAL("$")};
    const double weights[] = {1, 0.5};

    (void)state;
    roan_set_add(NULL, keys[0], keys[1], ROAN_SET_OPTIONS(.ifeq = ROAN_LITERAL("x"), .get = true, .px = ROAN_SOME(7)));
    assert_string_equal(sent, "SET a b IFEQ x GET PX 7");
    roan_xread_add(NULL, keys, ids, 2, ROAN_XREAD_OPTIONS(.count = ROAN_SOME(3), .block = ROAN_SOME(0)));
    assert_string_equal(sent, "XREAD COUNT 3 BLOCK 0 STREAMS a b 0 $");
    roan_eval_go(NULL, ROAN_LITERAL("return"), keys, 2, keys, 1, NULL);
    assert_string_equal(sent, "EVAL return 2 a b a");
    roan_eval_go(NULL, ROAN_LITERAL("return"), NULL, 0, NULL, 0, NULL);
    assert_string_equal(sent, "EVAL return 0");
    roan_zunionstore_add(NULL, keys[0], keys, 2, ROAN_ZUNIONSTORE_OPTIONS(.weights = weights, .weights_count = 2,
                                                                          .aggregate = ROAN_AGGREGATE_MAX));
    assert_string_equal(sent, "ZUNIONSTORE a 2 a b WEIGHTS 1 0.5 AGGREGATE MAX");
    roan_lmove_add(NULL, keys[0], keys[1], ROAN_LIST_END_LEFT, ROAN_LIST_END_RIGHT);
    assert_string_equal(sent, "LMOVE a b LEFT RIGHT");
    roan_xadd_add(NULL, keys[0], ROAN_LITERAL("*"), (const roan_xadd_data[]){{keys[0], keys[1]}}, 1,
                  ROAN_XADD_OPTIONS(.trim = {.is_set = true, .strategy = ROAN_TRIM_STRATEGY_MAXLEN,
                                             .approximately = true, .threshold = ROAN_LITERAL("9")}));
    assert_string_equal(sent, "XADD a MAXLEN ~ 9 * a b");
    roan_blpop_add(NULL, keys, 2, 1.5);
    assert_string_equal(sent, "BLPOP a b 1.5");
    roan_migrate_add(NULL, ROAN_LITERAL("h"), 6379, ROAN_LITERAL(""), 0, 50,
                     ROAN_MIGRATE_OPTIONS(.copy = true, .keys = keys, .keys_count = 2));
    assert_string_equal(sent, "MIGRATE h 6379  0 50 COPY KEYS a b");
}

/* --- results --- */

static void results_are_the_same_with_both_protocols(void **state)
{
    roan_slice key = ROAN_LITERAL("k");
    static const char *const bools[][2] = {{":1\r\n", ":0\r\n"}, {"#t\r\n", "#f\r\n"}};
    static const char *const doubles[] = {"$3\r\n1.5\r\n", ",1.5\r\n"};
    static const char *const nulls[] = {"$-1\r\n", "*-1\r\n", "_\r\n"};
    static const char *const texts[] = {"$2\r\nok\r\n", "+ok\r\n", "=6\r\ntxt:ok\r\n"};
    static const char *const integers[] = {":42\r\n", "$2\r\n42\r\n", "(42\r\n"};
    bool is_true;
    double number;
    int64_t integer;
    roan_bytes bytes;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        answer = bools[i][0];
        assert_int_equal(roan_persist(NULL, key, &is_true, NULL), ROAN_OK);
        assert_true(is_true);
        answer = bools[i][1];
        assert_int_equal(roan_persist(NULL, key, &is_true, NULL), ROAN_OK);
        assert_false(is_true);
        answer = doubles[i];
        assert_int_equal(roan_zscore(NULL, key, key, &number, NULL), ROAN_OK);
        assert_true(number == 1.5);
    }
    for (size_t i = 0; i < ROAN_COUNT_OF(nulls); i++) {
        answer = nulls[i];
        number = 5;
        assert_int_equal(roan_zscore(NULL, key, key, &number, NULL), ROAN_NIL);
        assert_true(number == 0);
        bytes.data = sent;
        assert_int_equal(roan_get(NULL, key, &bytes, NULL), ROAN_NIL);
        assert_null(bytes.data);
    }
    for (size_t i = 0; i < ROAN_COUNT_OF(texts); i++) {
        answer = texts[i];
        assert_int_equal(roan_get(NULL, key, &bytes, NULL), ROAN_OK);
        assert_int_equal(bytes.bytes, 2);
        assert_string_equal(bytes.data, "ok");
        roan_bytes_free(&bytes);
        assert_int_equal(roan_get(NULL, key, NULL, NULL), ROAN_OK);
    }
    for (size_t i = 0; i < ROAN_COUNT_OF(integers); i++) {
        answer = integers[i];
        assert_int_equal(roan_incr(NULL, key, &integer, NULL), ROAN_OK);
        assert_int_equal(integer, 42);
    }
    answer = "$3\r\ninf\r\n";
    assert_int_equal(roan_zscore(NULL, key, key, &number, NULL), ROAN_OK);
    assert_true(isinf(number));
}

static void a_reply_of_another_type_is_a_failure_that_says_so(void **state)
{
    roan_slice key = ROAN_LITERAL("k");
    int64_t integer = 7;
    roan_bytes bytes;

    (void)state;
    mistyped = ROAN_OK;
    answer = "*0\r\n";
    assert_int_equal(roan_incr(NULL, key, &integer, NULL), ROAN_E_TYPE);
    assert_int_equal(integer, 0);
    assert_int_equal(mistyped, ROAN_E_TYPE);
    assert_int_equal(roan_get(NULL, key, &bytes, NULL), ROAN_E_TYPE);
    assert_null(bytes.data);
    answer = "$3\r\n4x2\r\n";
    assert_int_equal(roan_incr(NULL, key, &integer, NULL), ROAN_E_TYPE);
    assert_int_equal(roan_persist(NULL, key, NULL, NULL), ROAN_E_TYPE);
    answer = "-ERR no\r\n";
    assert_int_equal(roan_incr(NULL, key, &integer, NULL), ROAN_E_SERVER);
}

static void set_tells_the_old_value_from_done(void **state)
{
    roan_slice key = ROAN_LITERAL("k");
    roan_bytes old;

    (void)state;
    answer = "+OK\r\n";
    assert_int_equal(roan_set(NULL, key, key, NULL, &old, NULL), ROAN_OK);
    assert_null(old.data);
    answer = "$2\r\nOK\r\n";
    assert_int_equal(roan_set(NULL, key, key, ROAN_SET_OPTIONS(.get = true), &old, NULL), ROAN_OK);
    assert_string_equal(old.data, "OK");
    roan_bytes_free(&old);
    answer = "$-1\r\n";
    assert_int_equal(roan_set(NULL, key, key, ROAN_SET_OPTIONS(.nx = true), &old, NULL), ROAN_NIL);
}

static void a_text_goes_into_the_callers_buffer(void **state)
{
    char buffer[5] = "....";
    size_t bytes;

    (void)state;
    answer = "$3\r\nabc\r\n";
    assert_int_equal(roan_get_into(NULL, ROAN_LITERAL("k"), buffer, 4, &bytes, NULL), ROAN_OK);
    assert_int_equal(bytes, 3);
    assert_string_equal(buffer, "abc.");
    assert_int_equal(roan_get_into(NULL, ROAN_LITERAL("k"), buffer, 2, &bytes, NULL), ROAN_E_INVALID);
    assert_int_equal(bytes, 3);
    assert_int_equal(roan_get_into(NULL, ROAN_LITERAL("k"), NULL, 0, NULL, NULL), ROAN_E_INVALID);
    answer = "$0\r\n\r\n";
    assert_int_equal(roan_get_into(NULL, ROAN_LITERAL("k"), NULL, 0, &bytes, NULL), ROAN_OK);
}

static roan_value *read_value(const char *stream)
{
    roan_value *reply;

    answer = stream;
    assert_int_equal(roan_hgetall(NULL, ROAN_LITERAL("k"), &reply, NULL), ROAN_OK);
    return reply;
}

static void maps_scores_and_streams_have_one_view(void **state)
{
    static const char *const maps[] = {"*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n",
                                       "%2\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n",
                                       "*2\r\n*2\r\n$1\r\na\r\n:1\r\n*2\r\n$1\r\nb\r\n,2\r\n"};
    (void)state;
    for (size_t i = 0; i < ROAN_COUNT_OF(maps); i++) {
        roan_value *reply = read_value(maps[i]);
        const roan_value *key;
        roan_slice member;
        double score;
        assert_int_equal(roan_decode_pair_count(reply), 2);
        assert_int_equal(roan_decode_pair(reply, 1, &key, NULL), ROAN_OK);
        assert_memory_equal(key->text.data, "b", 1);
        assert_int_equal(roan_decode_pair(reply, 2, &key, NULL), ROAN_E_INVALID);
        assert_int_equal(roan_decode_double(roan_decode_find(reply, ROAN_LITERAL("b")), &score), ROAN_OK);
        assert_true(score == 2);
        assert_null(roan_decode_find(reply, ROAN_LITERAL("1")));
        assert_int_equal(roan_decode_scored_count(reply), 2);
        assert_int_equal(roan_decode_scored(reply, 0, &member, &score), ROAN_OK);
        assert_true(member.bytes == 1 && member.data[0] == 'a' && score == 1);
        roan_value_free(reply);
    }
    static const char *const streams[] = {
        "*1\r\n*2\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*2\r\n$3\r\n1-2\r\n*-1\r\n",
        "%1\r\n$1\r\ns\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n$1\r\nv\r\n*2\r\n$3\r\n1-2\r\n_\r\n"};
    for (size_t i = 0; i < ROAN_COUNT_OF(streams); i++) {
        roan_value *reply = read_value(streams[i]);
        const roan_value *entries;
        const roan_value *fields;
        roan_slice text;
        assert_int_equal(roan_decode_stream(reply, 0, &text, &entries), ROAN_OK);
        assert_memory_equal(text.data, "s", 1);
        assert_int_equal(roan_decode_count(entries), 2);
        assert_int_equal(roan_decode_entry(roan_decode_element(entries, 0), &text, &fields), ROAN_OK);
        assert_memory_equal(text.data, "1-1", 3);
        assert_memory_equal(roan_decode_find(fields, ROAN_LITERAL("f"))->text.data, "v", 1);
        assert_int_equal(roan_decode_entry(roan_decode_element(entries, 1), &text, &fields), ROAN_OK);
        assert_null(fields);
        assert_int_equal(roan_decode_stream(reply, 1, &text, &entries), ROAN_E_INVALID);
        roan_value_free(reply);
    }
}

static void time_and_pages_are_decoded(void **state)
{
    roan_time_of_day time_of_day;
    roan_value *reply;
    roan_slice cursor;
    const roan_value *page;

    (void)state;
    answer = "*2\r\n$10\r\n1700000000\r\n$2\r\n17\r\n";
    assert_int_equal(roan_time(NULL, &time_of_day, NULL), ROAN_OK);
    assert_true(time_of_day.seconds == 1700000000 && time_of_day.microseconds == 17);
    reply = read_value("*2\r\n$1\r\n7\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    assert_int_equal(roan_decode_scan(reply, &cursor, &page), ROAN_OK);
    assert_memory_equal(cursor.data, "7", 1);
    assert_int_equal(roan_decode_count(page), 2);
    assert_int_equal(roan_decode_time(reply, &time_of_day), ROAN_E_TYPE);
    roan_value_free(reply);
    reply = read_value(":3\r\n");
    assert_int_equal(roan_decode_scan(reply, &cursor, &page), ROAN_E_TYPE);
    assert_int_equal(roan_decode_pair(reply, 0, NULL, NULL), ROAN_E_TYPE);
    assert_int_equal(roan_decode_entry(reply, NULL, NULL), ROAN_E_TYPE);
    assert_null(roan_decode_element(reply, 0));
    roan_value_free(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_encoder_makes_a_call_that_the_table_understands),
        cmocka_unit_test(words_beyond_the_inline_room_are_kept),
        cmocka_unit_test(a_lack_of_memory_is_reported_and_nothing_is_sent),
        cmocka_unit_test(wrong_use_is_noticed_before_anything_is_sent),
        cmocka_unit_test(arguments_become_the_words_of_the_command),
        cmocka_unit_test(results_are_the_same_with_both_protocols),
        cmocka_unit_test(a_reply_of_another_type_is_a_failure_that_says_so),
        cmocka_unit_test(set_tells_the_old_value_from_done),
        cmocka_unit_test(a_text_goes_into_the_callers_buffer),
        cmocka_unit_test(maps_scores_and_streams_have_one_view),
        cmocka_unit_test(time_and_pages_are_decoded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
