/* The functions of roan/client_commands.h on a running server: the same results with RESP2 and with RESP3.
 *
 *     faces PORT
 *
 * Every check runs with a handle of each protocol on an empty database. What it reads it also writes down as text; the
 * texts of both protocols must be equal. Started by on_server.py; a cmocka program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "roan/client_commands.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX 4096
#define K(text) ROAN_LITERAL(text)

static int port;
static char record[TEXT_MAX];
static size_t recorded;

#define NOTE(...) (recorded += (size_t)snprintf(record + recorded, TEXT_MAX - recorded, __VA_ARGS__))
#define OK(call) check_status(call, ROAN_OK, __LINE__)

static void check_status(roan_status status, roan_status expected, int line)
{
    if (status != expected)
        fail_msg("line %d: %s (%s)", line, roan_status_name(status), status < 0 ? roan_last_failure()->text : "");
}

static roan *open_handle(int protocol, const char *prefix)
{
    char uri[64];
    roan *client;

    snprintf(uri, sizeof uri, "redis://127.0.0.1:%d/9?protocol=%d", port, protocol);
    OK(roan_open(&client, uri, ROAN_OPTIONS(.key_prefix = roan_slice_from_text(prefix)), NULL));
    OK(roan_flushdb(client, NULL, NULL));
    return client;
}

typedef void (*check_fn)(roan *client);

/* Runs it with both protocols; the records must be equal. */
static void with_both(check_fn check, const char *prefix)
{
    static char first[TEXT_MAX];

    for (int protocol = 2; protocol <= 3; protocol++) {
        roan *client = open_handle(protocol, prefix);
        recorded = 0;
        record[0] = '\0';
        check(client);
        assert_true(recorded > 0);
        if (protocol == 2)
            memcpy(first, record, sizeof first);
        else
            assert_string_equal(record, first);
        OK(roan_close(client, 1000));
    }
}

/* --- strings and numbers --- */

static void check_strings(roan *client)
{
    roan_bytes bytes;
    int64_t integer;
    double number;
    bool is_true;
    char buffer[8];
    size_t length;

    OK(roan_set(client, K("s"), K("value"), NULL, &bytes, NULL));
    assert_null(bytes.data);
    OK(roan_set(client, K("s"), K("next"), ROAN_SET_OPTIONS(.get = true, .px = ROAN_SOME(100000)), &bytes, NULL));
    assert_string_equal(bytes.data, "value");
    roan_bytes_free(&bytes);
    check_status(roan_set(client, K("s"), K("x"), ROAN_SET_OPTIONS(.nx = true), &bytes, NULL), ROAN_NIL, __LINE__);
    OK(roan_get(client, K("s"), &bytes, NULL));
    NOTE("%s ", bytes.data);
    roan_bytes_free(&bytes);
    OK(roan_get_into(client, K("s"), buffer, sizeof buffer, &length, NULL));
    assert_int_equal(length, 4);
    check_status(roan_get_into(client, K("s"), buffer, 2, &length, NULL), ROAN_E_INVALID, __LINE__);
    assert_int_equal(length, 4);
    check_status(roan_get(client, K("none"), &bytes, NULL), ROAN_NIL, __LINE__);
    OK(roan_incrby(client, K("n"), 41, &integer, NULL));
    OK(roan_incr(client, K("n"), &integer, NULL));
    OK(roan_incrbyfloat(client, K("f"), 1.5, &number, NULL));
    NOTE("%lld %g ", (long long)integer, number);
    OK(roan_persist(client, K("s"), &is_true, NULL));
    assert_true(is_true);
    OK(roan_persist(client, K("s"), &is_true, NULL));
    assert_false(is_true);
    OK(roan_type(client, K("n"), &bytes, NULL));
    NOTE("%s", bytes.data);
    roan_bytes_free(&bytes);
    check_status(roan_incr(client, K("s"), &integer, NULL), ROAN_E_SERVER, __LINE__);
    assert_string_equal(roan_last_failure()->server_code, "ERR");
    OK(roan_rpush(client, K("l"), &K("a"), 1, &integer, NULL));
    check_status(roan_get(client, K("l"), &bytes, NULL), ROAN_E_SERVER, __LINE__);
    assert_string_equal(roan_last_failure()->server_code, "WRONGTYPE");
}

static void strings_and_numbers(void **state)
{
    (void)state;
    with_both(check_strings, "");
    with_both(check_strings, "p:");
}

/* --- aggregates --- */

static void check_maps(roan *client)
{
    const roan_hset_data fields[] = {{K("a"), K("1")}, {K("b"), K("2")}};
    roan_value *reply;
    const roan_value *key;
    const roan_value *value;
    int64_t integer;

    OK(roan_hset(client, K("h"), fields, 2, &integer, NULL));
    assert_int_equal(integer, 2);
    OK(roan_hgetall(client, K("h"), &reply, NULL));
    for (size_t i = 0; i < roan_decode_pair_count(reply); i++) {
        OK(roan_decode_pair(reply, i, &key, &value));
        NOTE("%.*s=%.*s ", ROAN_SLICE_ARG(key->text), ROAN_SLICE_ARG(value->text));
    }
    assert_non_null(roan_decode_find(reply, K("b")));
    roan_value_free(reply);
    OK(roan_config_get(client, &K("maxmemory-policy"), 1, &reply, NULL));
    value = roan_decode_find(reply, K("maxmemory-policy"));
    assert_non_null(value);
    NOTE("%.*s ", ROAN_SLICE_ARG(value->text));
    roan_value_free(reply);
    OK(roan_sadd(client, K("set"), &K("m"), 1, &integer, NULL));
    OK(roan_smembers(client, K("set"), &reply, NULL));
    NOTE("%zu %.*s", roan_decode_count(reply), ROAN_SLICE_ARG(roan_decode_element(reply, 0)->text));
    roan_value_free(reply);
}

static void maps_and_sets(void **state)
{
    (void)state;
    with_both(check_maps, "");
}

static void check_scores(roan *client)
{
    const roan_zadd_data data[] = {{1.5, K("a")}, {2, K("b")}};
    roan_value *reply;
    roan_slice member;
    double score;

    OK(roan_zadd(client, K("z"), data, 2, NULL, &score, NULL));
    assert_true(score == 2);
    OK(roan_zscore(client, K("z"), K("a"), &score, NULL));
    assert_true(score == 1.5);
    check_status(roan_zscore(client, K("z"), K("none"), &score, NULL), ROAN_NIL, __LINE__);
    OK(roan_zincrby(client, K("z"), 0.25, K("a"), &score, NULL));
    OK(roan_zrange(client, K("z"), K("0"), K("-1"), ROAN_ZRANGE_OPTIONS(.withscores = true), &reply, NULL));
    for (size_t i = 0; i < roan_decode_scored_count(reply); i++) {
        OK(roan_decode_scored(reply, i, &member, &score));
        NOTE("%.*s:%g ", ROAN_SLICE_ARG(member), score);
    }
    roan_value_free(reply);
    OK(roan_zpopmin(client, K("z"), ROAN_ZPOPMIN_OPTIONS(.count = ROAN_SOME(2)), &reply, NULL));
    assert_int_equal(roan_decode_scored_count(reply), 2);
    OK(roan_decode_scored(reply, 1, &member, &score));
    NOTE("%.*s:%g ", ROAN_SLICE_ARG(member), score);
    roan_value_free(reply);
    OK(roan_zadd(client, K("z"), data, 1, NULL, &score, NULL));
    OK(roan_zpopmin(client, K("z"), NULL, &reply, NULL));
    OK(roan_decode_scored(reply, 0, &member, &score));
    NOTE("%.*s:%g", ROAN_SLICE_ARG(member), score);
    roan_value_free(reply);
}

static void scores(void **state)
{
    (void)state;
    with_both(check_scores, "");
}

static void check_streams(roan *client)
{
    const roan_xadd_data data[] = {{K("f"), K("v")}};
    const roan_slice keys[] = {K("x")};
    const roan_slice ids[] = {K("0")};
    roan_bytes id;
    roan_value *reply;
    const roan_value *entries;
    const roan_value *fields;
    roan_slice text;

    OK(roan_xadd(client, K("x"), K("7-1"), data, 1, NULL, &id, NULL));
    assert_string_equal(id.data, "7-1");
    roan_bytes_free(&id);
    check_status(roan_xadd(client, K("none"), K("*"), data, 1, ROAN_XADD_OPTIONS(.nomkstream = true), &id, NULL),
                 ROAN_NIL, __LINE__);
    OK(roan_xread(client, keys, ids, 1, NULL, &reply, NULL));
    assert_int_equal(roan_decode_pair_count(reply), 1);
    OK(roan_decode_stream(reply, 0, &text, &entries));
    NOTE("%.*s ", ROAN_SLICE_ARG(text));
    OK(roan_decode_entry(roan_decode_element(entries, 0), &text, &fields));
    NOTE("%.*s %.*s", ROAN_SLICE_ARG(text), ROAN_SLICE_ARG(roan_decode_find(fields, K("f"))->text));
    roan_value_free(reply);
    check_status(roan_xread(client, keys, &K("$"), 1, NULL, &reply, NULL), ROAN_NIL, __LINE__);
    assert_null(reply);
}

static void streams(void **state)
{
    (void)state;
    with_both(check_streams, "");
    with_both(check_streams, "p:");
}

/* --- the prefix --- */

static void note_page(roan *client, const roan_scan_page_options *options)
{
    roan_value *reply;
    roan_slice cursor;
    const roan_value *page;

    OK(roan_scan_page(client, K("0"), options, &reply, NULL));
    OK(roan_decode_scan(reply, &cursor, &page));
    assert_int_equal(cursor.bytes, 1);
    for (size_t i = 0; i < roan_decode_count(page); i++)
        NOTE("%.*s ", ROAN_SLICE_ARG(roan_decode_element(page, i)->text));
    roan_value_free(reply);
}

static void check_prefix(roan *client)
{
    roan *bare = open_handle(3, "");
    roan_value *reply;
    roan_bytes bytes;
    int64_t integer;
    roan_slice word[] = {K("JSON.GET"), K("k")};

    OK(roan_set(bare, K("other"), K("1"), NULL, NULL, NULL));
    OK(roan_set(client, K("key"), K("1"), NULL, NULL, NULL));
    OK(roan_get(bare, K("[p*]:key"), &bytes, NULL));
    roan_bytes_free(&bytes);
    note_page(client, NULL);
    note_page(client, ROAN_SCAN_PAGE_OPTIONS(.match = K("k*"), .count = ROAN_SOME(100)));
    OK(roan_keys(client, K("*"), &reply, NULL));
    assert_int_equal(roan_decode_count(reply), 1);
    NOTE("%.*s ", ROAN_SLICE_ARG(roan_decode_element(reply, 0)->text));
    roan_value_free(reply);
    OK(roan_rpush(client, K("l"), &K("v"), 1, &integer, NULL));
    OK(roan_blpop(client, &K("l"), 1, 1, &reply, NULL));
    NOTE("%.*s ", ROAN_SLICE_ARG(roan_decode_element(reply, 0)->text));
    roan_value_free(reply);
    OK(roan_rpush(client, K("l"), &K("v"), 1, &integer, NULL));
    OK(roan_lmpop(client, &K("l"), 1, ROAN_LIST_END_LEFT, NULL, &reply, NULL));
    NOTE("%.*s ", ROAN_SLICE_ARG(roan_decode_element(reply, 0)->text));
    roan_value_free(reply);
    OK(roan_eval(client, K("return KEYS[1]"), &K("k"), 1, NULL, 0, &reply, NULL));
    NOTE("%.*s", ROAN_SLICE_ARG(reply->text));
    roan_value_free(reply);
    check_status(roan_do(client, 2, word, &reply, NULL), ROAN_E_USAGE, __LINE__);
    OK(roan_close(bare, 1000));
}

static void the_prefix_goes_on_and_off(void **state)
{
    (void)state;
    with_both(check_prefix, "[p*]:");
    assert_string_equal(record, "key key key l l [p*]:k");
}

/* --- others --- */

static void check_others(roan *client)
{
    roan_time_of_day now;
    roan_future *future;
    roan_value *reply;
    roan_failure failure;
    bool is_true;

    OK(roan_time(client, &now, NULL));
    assert_true(now.seconds > 1600000000 && now.microseconds >= 0 && now.microseconds < 1000000);
    OK(roan_expire(client, K("none"), 10, NULL, &is_true, NULL));
    assert_false(is_true);
    future = roan_set_go(client, K("s"), K("v"), ROAN_SET_OPTIONS(.nx = true, .xx = true), NULL);
    check_status(roan_take(future, &reply, &failure), ROAN_E_USAGE, __LINE__);
    assert_int_equal(failure.fate, ROAN_FATE_NOT_SENT);
    NOTE("%s; ", failure.text);
    check_status(roan_set(client, K("s"), K("v"), ROAN_SET_OPTIONS(.nx = true, .xx = true), NULL, NULL), ROAN_E_USAGE,
                 __LINE__);
    NOTE("%s; ", roan_last_failure()->text);
    OK(roan_take(roan_set_go(client, K("s"), K("v"), NULL, NULL), &reply, NULL));
    NOTE("%.*s; ", ROAN_SLICE_ARG(reply->text));
    roan_value_free(reply);
    check_status(roan_select(client, 1, NULL), ROAN_E_USAGE, __LINE__);
    NOTE("%s", roan_last_failure()->text);
}

static void others(void **state)
{
    (void)state;
    with_both(check_others, "");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_and_numbers), cmocka_unit_test(maps_and_sets),
        cmocka_unit_test(scores),              cmocka_unit_test(streams),
        cmocka_unit_test(the_prefix_goes_on_and_off), cmocka_unit_test(others),
    };

    if (argc != 2)
        return 2;
    port = (int)strtol(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
