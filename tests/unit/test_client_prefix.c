/* Tests of the key prefix: where it goes in commands, and that it goes away in replies of both protocols.
 *
 * Calls are lines of words separated by spaces, as in test_client_traits.c. Run as a cmocka program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "client/command_traits.h"

#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 128
#define TEXT_MAX 4096

static size_t split(const char *line, roan_slice *argv)
{
    size_t argc = 0;

    while (*line != '\0') {
        size_t bytes = strcspn(line, " ");
        assert_true(argc < WORDS_MAX);
        argv[argc++] = roan_slice_make(line, bytes);
        line += bytes;
        line += *line == ' ';
    }
    return argc;
}

static roan_status apply(const char *prefix, const char *line, char *text)
{
    roan_slice argv[WORDS_MAX];
    roan_slice words[WORDS_MAX + ROAN_PREFIX_WORDS_EXTRA];
    size_t argc = split(line, argv);
    size_t count = 0;
    size_t used = 0;
    roan_request_buffer scratch = {0};
    roan_error error = {.text = ""};
    roan_status status = roan_prefix_apply(roan_slice_from_text(prefix), roan_command_traits_find(argc, argv), argc,
                                           argv, words, &count, &scratch, &error);

    text[0] = '\0';
    if (status != ROAN_OK)
        assert_true(error.text[0] != '\0' && strstr(error.text, "secret") == NULL);
    for (size_t i = 0; status == ROAN_OK && i < count; i++)
        used += (size_t)snprintf(text + used, TEXT_MAX - used, "%s%.*s", i > 0 ? " " : "", ROAN_SLICE_ARG(words[i]));
    roan_request_buffer_done(&scratch);
    return status;
}

static void keys_and_patterns_carry_the_prefix(void **state)
{
    static const char *const cases[][3] = {
        {"p:", "GET k", "GET p:k"},
        {"p:", "MSET a 1 b 2", "MSET p:a 1 p:b 2"},
        {"p:", "EVAL s 1 k a", "EVAL s 1 p:k a"},
        {"p:", "XREAD BLOCK 0 STREAMS a b 0 0", "XREAD BLOCK 0 STREAMS p:a p:b 0 0"},
        {"p:", "MIGRATE h 1 k 0 5", "MIGRATE h 1 p:k 0 5"},
        {"p:", "OBJECT FREQ k", "OBJECT FREQ p:k"},
        {"p:", "MEMORY USAGE k SAMPLES 5", "MEMORY USAGE p:k SAMPLES 5"},
        {"p:", "DEBUG OBJECT k", "DEBUG OBJECT p:k"},
        {"p:", "KEYS *", "KEYS p:*"},
        {"p*?[^]\\", "KEYS a*", "KEYS p\\*\\?\\[\\^\\]\\\\a*"},
        {"p:", "SCAN 0", "SCAN 0 MATCH p:*"},
        {"p*", "SCAN 0", "SCAN 0 MATCH p\\**"},
        {"p:", "SCAN 0 COUNT 10 TYPE string", "SCAN 0 COUNT 10 TYPE string MATCH p:*"},
        {"p:", "scan 0 count 5 match a*", "scan 0 count 5 match p:a*"},
        {"p:", "SCAN 0 TYPE MATCH", "SCAN 0 TYPE MATCH MATCH p:*"},
        {"p:", "SCAN", "SCAN"},
        {"p:", "HSCAN k 0 MATCH f*", "HSCAN p:k 0 MATCH f*"},
        {"p:", "SORT k BY w_* GET # GET o_*->f STORE d", "SORT p:k BY p:w_* GET # GET p:o_*->f STORE p:d"},
        {"p:", "SORT k BY nosort GET nothing LIMIT 0 5", "SORT p:k BY nosort GET nothing LIMIT 0 5"},
        {"p*", "SORT k BY nosort", "SORT p*k BY nosort"},
        {"p:", "SORT BY BY BY_*", "SORT p:BY BY p:BY_*"},
        {"p:", "PUBLISH c m", "PUBLISH c m"},
        {"p:", "SPUBLISH c m", "SPUBLISH c m"},
        {"p:", "PING", "PING"},
        {"p:", "COMMAND GETKEYS GET k", "COMMAND GETKEYS GET k"},
        {"p:", "CLUSTER KEYSLOT k", "CLUSTER KEYSLOT p:k"},
        {"p:", "GET", "GET"},
        {"", "JSON.GET k", "JSON.GET k"},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        assert_int_equal(apply(cases[i][0], cases[i][1], text), ROAN_OK);
        assert_string_equal(text, cases[i][2]);
    }
}

static void what_could_leave_the_namespace_is_refused(void **state)
{
    static const char *const cases[][2] = {
        {"p:", "JSON.GET secret"}, {"p:", "p@secret"},       {"p:", "OBJECT NEWTHING secret"},
        {"p:", "ZUNION x secret"}, {"p*", "SORT k BY w_*"},  {"p*", "SORT k GET secret*"},
        {"p:", "EVAL secret x k"}, {"p:", "DEBUG POPULATE 5"},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++)
        assert_int_equal(apply(cases[i][0], cases[i][1], text), ROAN_E_USAGE);
}

static void many_keys_are_no_special_case(void **state)
{
    char line[TEXT_MAX] = "DEL";
    char expected[TEXT_MAX] = "DEL";
    char text[TEXT_MAX];
    size_t used = 3;
    size_t expected_used = 3;

    (void)state;
    for (int i = 0; i < 100; i++) {
        used += (size_t)snprintf(line + used, sizeof line - used, " k%d", i);
        expected_used += (size_t)snprintf(expected + expected_used, sizeof expected - expected_used, " pre:k%d", i);
    }
    assert_int_equal(apply("pre:", line, text), ROAN_OK);
    assert_string_equal(text, expected);
}

static void the_scratch_buffer_grows_behind_what_it_holds(void **state)
{
    roan_slice argv[2] = {ROAN_LITERAL("GET"), ROAN_LITERAL("k")};
    roan_slice words[2 + ROAN_PREFIX_WORDS_EXTRA];
    roan_request_buffer scratch = {0};
    size_t count;

    (void)state;
    assert_int_equal(roan_request_append(&scratch, 1, argv), ROAN_OK);
    size_t before = scratch.bytes;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(roan_prefix_apply(ROAN_LITERAL("p:"), roan_command_traits_find(2, argv), 2, argv, words,
                                           &count, &scratch, NULL),
                         ROAN_OK);
        assert_int_equal(count, 2);
        assert_memory_equal(words[1].data, "p:k", 3);
        before += 3;
        assert_int_equal(scratch.bytes, before);
    }
    assert_memory_equal(scratch.data, "*1\r\n$3\r\nGET", 11);
    roan_request_buffer_done(&scratch);
}

/* --- replies --- */

static size_t print(const roan_value *value, char *text, size_t used)
{
    size_t children = value->type == ROAN_REPLY_MAP ? 2 * value->count : value->count;

    if (value->elements == NULL) {
        if (value->type == ROAN_REPLY_INTEGER)
            return used + (size_t)snprintf(text + used, TEXT_MAX - used, "%lld", (long long)value->integer);
        return used + (size_t)snprintf(text + used, TEXT_MAX - used, "%.*s", ROAN_SLICE_ARG(value->text));
    }
    used += (size_t)snprintf(text + used, TEXT_MAX - used, value->type == ROAN_REPLY_MAP ? "{" : "[");
    for (size_t i = 0; i < children; i++) {
        used += (size_t)snprintf(text + used, TEXT_MAX - used, i > 0 ? " " : "");
        used = print(&value->elements[i], text, used);
    }
    return used + (size_t)snprintf(text + used, TEXT_MAX - used, value->type == ROAN_REPLY_MAP ? "}" : "]");
}

static void keys_in_replies_lose_the_prefix(void **state)
{
    static const char *const cases[][3] = {
        {"KEYS *", "*3\r\n$3\r\np:a\r\n$2\r\np:\r\n$3\r\nq:b\r\n", "[a  q:b]"},
        {"SCAN 0", "*2\r\n$2\r\np:\r\n*2\r\n$3\r\np:a\r\n$1\r\np\r\n", "[p: [a p]]"},
        {"RANDOMKEY", "$3\r\np:a\r\n", "a"},
        {"RANDOMKEY", "$-1\r\n", ""},
        {"BLPOP k 0", "*2\r\n$3\r\np:a\r\n$3\r\np:v\r\n", "[a p:v]"},
        {"BLPOP k 0", "*-1\r\n", ""},
        {"BZPOPMIN k 0", "*3\r\n$3\r\np:a\r\n$3\r\np:v\r\n$1\r\n1\r\n", "[a p:v 1]"},
        {"LMPOP 1 k LEFT", "*2\r\n$3\r\np:a\r\n*1\r\n$3\r\np:v\r\n", "[a [p:v]]"},
        {"XREAD STREAMS k 0", "*1\r\n*2\r\n$3\r\np:a\r\n*1\r\n*2\r\n$3\r\np:1\r\n*0\r\n", "[[a [[p:1 []]]]]"},
        {"XREAD STREAMS k 0", "%1\r\n$3\r\np:a\r\n*1\r\n$3\r\np:1\r\n", "{a [p:1]}"},
        {"XREADGROUP GROUP g c STREAMS k >", "%1\r\n$3\r\np:a\r\n*1\r\n$3\r\np:1\r\n", "{a [p:1]}"},
        {"COMMAND GETKEYS GET p:k", "*1\r\n$3\r\np:k\r\n", "[p:k]"},
        {"GET k", "$3\r\np:v\r\n", "p:v"},
        {"LRANGE k 0 1", "*1\r\n$3\r\np:v\r\n", "[p:v]"},
        {"KEYS *", "*0\r\n", ""},
        {"SCAN 0", ":5\r\n", "5"},
        {"XREAD STREAMS k 0", "-ERR p:x\r\n", "ERR p:x"},
    };
    char text[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        roan_slice argv[WORDS_MAX];
        size_t argc = split(cases[i][0], argv);
        roan_reply_reader *reader = roan_reply_reader_create();
        roan_value *value = NULL;
        assert_int_equal(roan_reply_reader_feed(reader, cases[i][1], strlen(cases[i][1])), ROAN_OK);
        assert_int_equal(roan_reply_reader_next(reader, &value, NULL), ROAN_OK);
        assert_non_null(value);
        roan_prefix_strip(ROAN_LITERAL("p:"), roan_command_traits_find(argc, argv), value);
        text[0] = '\0';
        print(value, text, 0);
        if (strcmp(text, "[]") == 0)
            text[0] = '\0';
        assert_string_equal(text, cases[i][2]);
        roan_value_free(value);
        roan_reply_reader_free(reader);
    }
    roan_prefix_strip(ROAN_LITERAL("p:"), roan_command_traits_find(0, NULL), NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_patterns_carry_the_prefix),
        cmocka_unit_test(what_could_leave_the_namespace_is_refused),
        cmocka_unit_test(many_keys_are_no_special_case),
        cmocka_unit_test(the_scratch_buffer_grows_behind_what_it_holds),
        cmocka_unit_test(keys_in_replies_lose_the_prefix),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
