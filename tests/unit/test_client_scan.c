/* test_client_scan.c: the iterators over SCAN, HSCAN, SSCAN and ZSCAN: words sent, cursors, empty pages, prefixes,
 * failures in the middle, prefetching. The peer is scripted to the byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "base/macros.h"
#include "base/number.h"
#include "roan/decode.h"
#include "roan/scan.h"
#include "roan/scripted.h"
#include "client_world.h"

static roan_peer *peer;

static void open_client(const char *uri)
{
    peer = roan_scripted_peer(world, roan_scripted_opened(world));
    open_uri(uri, NULL);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
}

static int set_up(void **state)
{
    (void)state;
    begin_world(3, roan_scripted_redis);
    open_client("redis://shop");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return end_world();
}

static roan_scan *make(roan_scan_kind kind, const char *key, const roan_scan_options *options)
{
    roan_scan *scan;
    roan_error error;
    if (roan_scan_create(&scan, client, kind, roan_slice_from_text(key), options, &error) != ROAN_OK)
        fail_msg("%s", error.text);
    return scan;
}

/* The next page's texts are these, joined by spaces. */
static void assert_page(roan_scan *scan, const char *expected)
{
    roan_value *page;
    char text[256] = "";
    size_t used = 0;
    roan_status status = roan_scan_next(scan, &page);
    if (status != ROAN_OK)
        fail_msg("%d: %s, expected %s", status, roan_last_failure()->text, expected);
    for (size_t i = 0; i < page->count; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.*s", i > 0 ? " " : "",
                                 ROAN_SLICE_ARG(page->elements[i].text));
    assert_string_equal(text, expected);
    roan_value_free(page);
}

static void assert_end(roan_scan *scan)
{
    roan_value *page;
    assert_int_equal(roan_scan_next(scan, &page), ROAN_NIL);
    assert_null(page);
    assert_int_equal(roan_scan_next(scan, &page), ROAN_NIL); /* and stays there */
    roan_scan_free(scan);
}

static void test_pages_until_the_end(void **state)
{
    (void)state;
    roan_peer_expect(peer, 0, "SCAN 0", "*2\r\n$20\r\n18446744073709551615\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n");
    roan_peer_expect(peer, 0, "SCAN 18446744073709551615", "*2\r\n$1\r\n7\r\n*1\r\n$1\r\nc\r\n");
    roan_peer_expect(peer, 0, "SCAN 7", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nd\r\n");
    roan_scan *scan = make(ROAN_SCAN_KEYS, "", NULL);
    assert_page(scan, "a b");
    assert_true(roan_slice_equal(roan_scan_cursor(scan), ROAN_LITERAL("18446744073709551615")));
    assert_page(scan, "c");
    assert_page(scan, "d");
    assert_end(scan);
}

static void test_empty_pages_are_skipped(void **state)
{
    (void)state;
    roan_peer_expect(peer, 0, "SCAN 0", "*2\r\n$1\r\n5\r\n*0\r\n");
    roan_peer_expect(peer, 0, "SCAN 5", "*2\r\n$1\r\n6\r\n*0\r\n");
    roan_peer_expect(peer, 0, "SCAN 6", "*2\r\n$1\r\n7\r\n*1\r\n$1\r\na\r\n");
    roan_peer_expect(peer, 0, "SCAN 7", "*2\r\n$1\r\n0\r\n*0\r\n");
    roan_scan *scan = make(ROAN_SCAN_KEYS, "", NULL);
    assert_page(scan, "a");
    assert_end(scan);
}

static void test_empty_pages_on_request(void **state)
{
    (void)state;
    roan_peer_expect(peer, 0, "SCAN 0", "*2\r\n$1\r\n5\r\n*0\r\n");
    roan_peer_expect(peer, 0, "SCAN 5", "*2\r\n$1\r\n0\r\n*0\r\n");
    roan_scan *scan = make(ROAN_SCAN_KEYS, "", ROAN_SCAN_OPTIONS(.empty_pages = true));
    assert_page(scan, "");
    assert_end(scan);
}

static void test_an_empty_database(void **state)
{
    (void)state;
    roan_peer_expect(peer, 0, "SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n");
    assert_end(make(ROAN_SCAN_KEYS, "", NULL));
}

static void test_the_words_of_all_kinds(void **state)
{
    (void)state;
    static const char end[] = "*2\r\n$1\r\n0\r\n*0\r\n";
    roan_peer_expect(peer, 0, "SCAN 0 MATCH u:* COUNT 500 TYPE hash", end);
    assert_end(make(ROAN_SCAN_KEYS, "", ROAN_SCAN_OPTIONS(.match = ROAN_LITERAL("u:*"), .count = 500,
                                                          .type = ROAN_LITERAL("hash"))));
    roan_peer_expect(peer, 0, "HSCAN h 0 MATCH f* COUNT 2 NOVALUES", end);
    assert_end(make(ROAN_SCAN_HASH, "h", ROAN_SCAN_OPTIONS(.match = ROAN_LITERAL("f*"), .count = 2, .novalues = true)));
    roan_peer_expect(peer, 0, "SSCAN s 0 COUNT 9223372036854775807", end);
    assert_end(make(ROAN_SCAN_SET, "s", ROAN_SCAN_OPTIONS(.count = INT64_MAX)));
    roan_peer_expect(peer, 0, "ZSCAN z 12", end);
    assert_end(make(ROAN_SCAN_ZSET, "z", ROAN_SCAN_OPTIONS(.cursor = ROAN_LITERAL("12"))));
}

static void test_pairs_are_decoded(void **state)
{
    (void)state;
    roan_value *page;
    const roan_value *field, *value;
    roan_slice member;
    double score;
    roan_peer_expect(peer, 0, "HSCAN h 0", "*2\r\n$1\r\n0\r\n*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n2\r\n");
    roan_scan *scan = make(ROAN_SCAN_HASH, "h", NULL);
    assert_int_equal(roan_scan_next(scan, &page), ROAN_OK);
    assert_int_equal(roan_decode_pair_count(page), 2);
    assert_int_equal(roan_decode_pair(page, 1, &field, &value), ROAN_OK);
    assert_true(roan_slice_equal(field->text, ROAN_LITERAL("b")));
    assert_true(roan_slice_equal(value->text, ROAN_LITERAL("2")));
    roan_value_free(page);
    assert_end(scan);
    roan_peer_expect(peer, 0, "ZSCAN z 0", "*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$4\r\n-inf\r\n");
    scan = make(ROAN_SCAN_ZSET, "z", NULL);
    assert_int_equal(roan_scan_next(scan, &page), ROAN_OK);
    assert_int_equal(roan_decode_scored_count(page), 1);
    assert_int_equal(roan_decode_scored(page, 0, &member, &score), ROAN_OK);
    assert_true(roan_slice_equal(member, ROAN_LITERAL("a")));
    assert_true(score < -1e308);
    roan_value_free(page);
    assert_end(scan);
}

static void test_what_does_not_fit_is_refused(void **state)
{
    (void)state;
    roan_scan *scan;
    roan_error error;
    roan_slice key = ROAN_LITERAL("k");
    char long_cursor[] = "0000000000000000000000000000000000000000000000000000000000000000";
    roan_scan_options unsized = {.count = 5};
    assert_int_equal(roan_scan_create(&scan, client, ROAN_SCAN_KEYS, key, NULL, &error), ROAN_E_USAGE);
    assert_int_equal(roan_scan_create(&scan, client, (roan_scan_kind)9, key, NULL, &error), ROAN_E_USAGE);
    assert_int_equal(roan_scan_create(&scan, client, ROAN_SCAN_SET, key, ROAN_SCAN_OPTIONS(.novalues = true), &error),
                     ROAN_E_USAGE);
    assert_int_equal(roan_scan_create(&scan, client, ROAN_SCAN_SET, key, ROAN_SCAN_OPTIONS(.type = key), &error),
                     ROAN_E_USAGE);
    assert_int_equal(roan_scan_create(&scan, client, ROAN_SCAN_SET, key, ROAN_SCAN_OPTIONS(.count = -1), &error),
                     ROAN_E_USAGE);
    assert_int_equal(roan_scan_create(&scan, client, ROAN_SCAN_SET, key,
                                      ROAN_SCAN_OPTIONS(.cursor = {long_cursor, 64}), &error), ROAN_E_USAGE);
    assert_int_equal(roan_scan_create(&scan, client, ROAN_SCAN_SET, key, &unsized, &error), ROAN_E_USAGE);
    assert_null(scan);
    assert_null(roan_scan_free(NULL));
}

static void test_only_prefixed_keys_without_their_prefix(void **state)
{
    (void)state;
    roan_close(client, 0);
    open_client("redis://shop?key_prefix=app:");
    roan_peer_expect(peer, 0, "SCAN 0 MATCH app:*", "*2\r\n$1\r\n3\r\n*2\r\n$5\r\napp:a\r\n$5\r\napp:b\r\n");
    roan_peer_expect(peer, 0, "SCAN 3 MATCH app:*", "*2\r\n$1\r\n0\r\n*0\r\n");
    roan_scan *scan = make(ROAN_SCAN_KEYS, "", NULL);
    assert_page(scan, "a b");
    assert_end(scan);
    roan_peer_expect(peer, 0, "SCAN 0 MATCH app:u* COUNT 7", "*2\r\n$1\r\n0\r\n*1\r\n$5\r\napp:u\r\n");
    scan = make(ROAN_SCAN_KEYS, "", ROAN_SCAN_OPTIONS(.match = ROAN_LITERAL("u*"), .count = 7));
    assert_page(scan, "u");
    assert_end(scan);
    roan_peer_expect(peer, 0, "SSCAN app:s 0 MATCH m*", "*2\r\n$1\r\n0\r\n*1\r\n$5\r\napp:m\r\n");
    scan = make(ROAN_SCAN_SET, "s", ROAN_SCAN_OPTIONS(.match = ROAN_LITERAL("m*")));
    assert_page(scan, "app:m"); /* a member, not a key */
    assert_end(scan);
}

static void test_a_failure_in_the_middle_leaves_it_where_it_was(void **state)
{
    (void)state;
    roan_value *page;
    roan_peer_expect(peer, 0, "SCAN 0", "*2\r\n$1\r\n5\r\n*1\r\n$1\r\na\r\n");
    roan_peer_expect(peer, 0, "SCAN 5", "-ERR not now\r\n");
    roan_peer_expect(peer, 0, "SCAN 5", "$4\r\nwhat\r\n");
    roan_peer_expect(peer, 0, "SCAN 5", "_\r\n");
    roan_peer_expect(peer, 0, "SCAN 5", "*2\r\n$0\r\n\r\n*0\r\n");
    roan_peer_expect(peer, 0, "SCAN 5", "");
    roan_scan *scan = make(ROAN_SCAN_KEYS, "", ROAN_SCAN_OPTIONS(.call = {.timeout_ms = 100, .retry = -1}));
    assert_page(scan, "a");
    assert_int_equal(roan_scan_next(scan, &page), ROAN_E_SERVER);
    assert_null(page);
    assert_string_equal(roan_last_failure()->text, "ERR not now");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(roan_scan_next(scan, &page), ROAN_E_TYPE);
        assert_int_equal(roan_last_failure()->fate, ROAN_FATE_RAN);
    }
    assert_int_equal(roan_scan_next(scan, &page), ROAN_E_TIMEOUT);
    assert_true(roan_slice_equal(roan_scan_cursor(scan), ROAN_LITERAL("5")));
    roan_peer *second = roan_scripted_peer(world, 1);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer_expect(second, 0, "SCAN 5", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n");
    assert_page(scan, "b");
    assert_end(scan);
}

/* Answers SCAN 5 on the second connection. */
static void serve_second(void *unused, roan_peer *second, size_t argc, const roan_slice *argv)
{
    if (roan_slice_is(argv[0], "SCAN") && roan_slice_is(argv[1], "5"))
        roan_peer_sendf(second, 0, "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nb\r\n");
    else
        roan_scripted_redis(unused, second, argc, argv);
}

static void test_a_lost_connection_goes_unnoticed(void **state)
{
    (void)state;
    roan_peer_expect(peer, 0, "SCAN 0", "*2\r\n$1\r\n5\r\n*1\r\n$1\r\na\r\n");
    roan_peer_expect(peer, 0, "SCAN 5", "");
    roan_scan *scan = make(ROAN_SCAN_KEYS, "", NULL);
    assert_page(scan, "a");
    roan_peer_reset(peer, 1500000, ECONNRESET);
    roan_peer_handle(roan_scripted_peer(world, 1), serve_second, NULL);
    assert_page(scan, "b");
    assert_int_equal(roan_scripted_opened(world), 2);
    assert_end(scan);
}

/* The request for the next page is out before the program asks for it. */
static void test_prefetching(void **state)
{
    (void)state;
    roan_peer_expect(peer, 0, "SCAN 0", "*2\r\n$1\r\n5\r\n*1\r\n$1\r\na\r\n");
    roan_peer_expect(peer, 0, "SCAN 5", "*2\r\n$1\r\n6\r\n*1\r\n$1\r\nb\r\n");
    roan_peer_expect(peer, 0, "SCAN 6", "-ERR not now\r\n");
    roan_peer_expect(peer, 0, "SCAN 6", "*2\r\n$1\r\n0\r\n*1\r\n$1\r\nc\r\n");
    roan_scan *scan = make(ROAN_SCAN_KEYS, "", ROAN_SCAN_OPTIONS(.prefetch = true));
    size_t before = roan_peer_request_count(peer);
    assert_page(scan, "a");
    roan_flush(client);
    assert_int_equal(roan_peer_request_count(peer), before + 2);
    assert_page(scan, "b");
    roan_value *page;
    assert_int_equal(roan_scan_next(scan, &page), ROAN_E_SERVER);
    assert_string_equal(roan_last_failure()->text, "ERR not now");
    assert_page(scan, "c");
    assert_end(scan);
}

static void test_freed_with_a_page_under_way(void **state)
{
    (void)state;
    roan_peer_expect(peer, 0, "SCAN 0", "*2\r\n$1\r\n5\r\n*1\r\n$1\r\na\r\n");
    roan_peer_expect(peer, 0, "SCAN 5", "*2\r\n$1\r\n6\r\n*1\r\n$1\r\nb\r\n");
    roan_scan *scan = make(ROAN_SCAN_KEYS, "", ROAN_SCAN_OPTIONS(.prefetch = true));
    assert_page(scan, "a");
    roan_flush(client);
    assert_null(roan_scan_free(scan));
    roan_slice ping = ROAN_LITERAL("PING");
    assert_int_equal(roan_do(client, 1, &ping, NULL, NULL), ROAN_OK); /* behind the page that nobody wants */
}

static roan_status status_in_callback;

static void next_in_callback(roan_future *future, void *argument)
{
    roan_value *page;
    roan_drop(future);
    status_in_callback = roan_scan_next(argument, &page);
}

static void test_refused_in_a_callback(void **state)
{
    (void)state;
    roan_slice ping = ROAN_LITERAL("PING");
    roan_scan *scan = make(ROAN_SCAN_KEYS, "", NULL);
    status_in_callback = ROAN_OK;
    roan_scripted_set_clock(world,
                            ROAN_CLOCK_MANUAL); /* the thread of the library must not be faster than roan_then() */
    roan_peer_set_latency(peer, 1000);
    roan_future *future = roan_go(client, 1, &ping, NULL);
    roan_then(future, next_in_callback, scan);
    roan_scripted_set_clock(world, ROAN_CLOCK_JUMPS);
    assert_int_equal(roan_do(client, 1, &ping, NULL, NULL), ROAN_OK);
    roan_close(client, 1000); /* its callbacks are over, whoever's thread they ran on */
    assert_int_equal(status_in_callback, ROAN_E_USAGE);
    roan_scan_free(scan);
    open_client("redis://shop");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pages_until_the_end),
        TEST(test_empty_pages_are_skipped),
        TEST(test_empty_pages_on_request),
        TEST(test_an_empty_database),
        TEST(test_the_words_of_all_kinds),
        TEST(test_pairs_are_decoded),
        TEST(test_what_does_not_fit_is_refused),
        TEST(test_only_prefixed_keys_without_their_prefix),
        TEST(test_a_failure_in_the_middle_leaves_it_where_it_was),
        TEST(test_a_lost_connection_goes_unnoticed),
        TEST(test_prefetching),
        TEST(test_freed_with_a_page_under_way),
        TEST(test_refused_in_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
