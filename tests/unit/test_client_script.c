/* test_client_script.c: scripts and libraries load themselves: what goes over the wire, in which order, and how
 * often, when the server knows the code, does not, or forgets it in between. The peer is scripted and knows code as a
 * server does.
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
#include <pthread.h>

#include "base/macros.h"
#include "base/number.h"
#include "roan/script.h"
#include "roan/scripted.h"
#include "client_world.h"

#define BODY "return {KEYS[1], ARGV[1]}"
#define CALLERS 8

static roan_script *script;
static _Atomic bool is_known;        /* the server has the script, or the library */
static bool is_body_broken;   /* and refuses to load it */
static bool forgets;          /* EVAL runs it and leaves no trace */
static _Atomic unsigned short_runs, bodies, loads;

/* Answers as a server whose scripts return their first key. */
static void serve_run(roan_peer *peer, size_t argc, const roan_slice *argv)
{
    if (argc > 3 && roan_slice_is(argv[2], "1"))
        roan_peer_sendf(peer, 0, "$%zu\r\n%.*s\r\n", argv[3].bytes, ROAN_SLICE_ARG(argv[3]));
    else
        roan_peer_sendf(peer, 0, "_\r\n");
}

static void serve(void *unused, roan_peer *peer, size_t argc, const roan_slice *argv)
{
    if (roan_slice_is(argv[0], "EVALSHA") || roan_slice_is(argv[0], "EVALSHA_RO")) {
        short_runs++;
        if (is_known)
            serve_run(peer, argc, argv);
        else
            roan_peer_sendf(peer, 0, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
    } else if (roan_slice_is(argv[0], "EVAL") || roan_slice_is(argv[0], "EVAL_RO")) {
        bodies++;
        assert_true(roan_slice_equal(argv[1], ROAN_LITERAL(BODY)));
        if (is_body_broken) {
            roan_peer_sendf(peer, 0, "-ERR Error compiling script\r\n");
            return;
        }
        is_known = !forgets;
        serve_run(peer, argc, argv);
    } else if (roan_slice_is(argv[0], "FCALL") || roan_slice_is(argv[0], "FCALL_RO")) {
        short_runs++;
        if (is_known)
            serve_run(peer, argc, argv);
        else
            roan_peer_sendf(peer, 0, "-ERR Function not found\r\n");
    } else if (roan_slice_is(argv[0], "FUNCTION")) {
        loads++;
        is_known = !is_body_broken;
        roan_peer_sendf(peer, 0, "%s", is_body_broken ? "-ERR Error compiling function\r\n" : "$5\r\nstock\r\n");
    } else {
        roan_scripted_redis(unused, peer, argc, argv);
    }
}

static int set_up(void **state)
{
    (void)state;
    begin_world(3, serve);
    is_known = is_body_broken = forgets = false;
    short_runs = bodies = loads = 0;
    assert_int_equal(roan_script_create(&script, ROAN_LITERAL(BODY), false, NULL), ROAN_OK);
    open_uri("redis://shop", NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    roan_script_free(script);
    return end_world();
}

static const roan_slice key = {"stock", 5};
static const roan_slice argument = {"7", 1};

static void assert_runs(const char *expected)
{
    roan_value *reply;
    assert_int_equal(roan_script_run(client, script, 1, &key, 1, &argument, &reply, NULL), ROAN_OK);
    assert_true(roan_slice_equal(reply->text, roan_slice_from_text(expected)));
    roan_value_free(reply);
}

/* ---- scripts ---- */

static void test_the_sha_is_the_servers(void **state)
{
    (void)state;
    roan_script *one;
    assert_int_equal(roan_script_create(&one, ROAN_LITERAL("return 1"), false, NULL), ROAN_OK);
    assert_string_equal(roan_script_sha(one), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    assert_null(roan_script_free(one));
    assert_null(roan_script_free(NULL));
}

static void test_an_empty_script_is_refused(void **state)
{
    (void)state;
    roan_script *none;
    roan_error error;
    assert_int_equal(roan_script_create(&none, ROAN_LITERAL(""), false, &error), ROAN_E_USAGE);
    assert_null(none);
}

static void test_first_use_brings_the_body_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_runs("stock");
    assert_int_equal(short_runs, 3);
    assert_int_equal(bodies, 1);
}

static void test_what_is_sent_to_the_byte(void **state)
{
    (void)state;
    roan_peer *peer = roan_scripted_peer(world, 0);
    assert_runs("stock");
    size_t count = roan_peer_request_count(peer);
    char text[160];
    snprintf(text, sizeof text, "EVALSHA %s 1 stock 7", roan_script_sha(script));
    assert_true(roan_peer_request_is(peer, count - 2, text));
    assert_true(roan_peer_request_is(peer, count - 1, "EVAL " BODY " 1 stock 7"));
}

static void test_a_script_flushed_in_between_is_brought_again(void **state)
{
    (void)state;
    assert_runs("stock");
    is_known = false;
    assert_runs("stock");
    assert_int_equal(bodies, 2);
}

static void test_a_server_that_never_keeps_it_still_runs_it(void **state)
{
    (void)state;
    forgets = true;
    for (unsigned i = 0; i < 3; i++)
        assert_runs("stock");
    assert_int_equal(bodies, 3);
}

static void test_concurrent_first_uses_share_one_body(void **state)
{
    (void)state;
    roan_future *futures[CALLERS];
    for (unsigned i = 0; i < CALLERS; i++)
        futures[i] = roan_script_go(client, script, 1, &key, 0, NULL, NULL);
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(roan_take(futures[i], NULL, NULL), ROAN_OK);
    assert_int_equal(bodies, 1);
    assert_in_range(short_runs, CALLERS, 2 * CALLERS - 1);
}

static void test_concurrent_uses_survive_a_server_that_forgets(void **state)
{
    (void)state;
    roan_future *futures[CALLERS];
    forgets = true;
    for (unsigned i = 0; i < CALLERS; i++)
        futures[i] = roan_script_go(client, script, 1, &key, 0, NULL, NULL);
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(roan_take(futures[i], NULL, NULL), ROAN_OK);
    assert_int_equal(bodies, CALLERS);
}

static void test_a_broken_body_fails_with_the_servers_words(void **state)
{
    (void)state;
    roan_value *reply;
    is_body_broken = true;
    assert_int_equal(roan_script_run(client, script, 1, &key, 0, NULL, &reply, NULL), ROAN_E_SERVER);
    assert_null(reply);
    assert_string_equal(roan_last_failure()->text, "ERR Error compiling script");
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_RAN);
}

static void test_other_errors_bring_no_body(void **state)
{
    (void)state;
    roan_value *reply;
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer_expect(roan_scripted_peer(world, 0), 0, "*", "-WRONGTYPE of another kind\r\n");
    assert_int_equal(roan_script_run(client, script, 1, &key, 0, NULL, &reply, NULL), ROAN_E_SERVER);
    assert_string_equal(roan_last_failure()->server_code, "WRONGTYPE");
    assert_int_equal(bodies, 0);
}

static void test_read_only_scripts_use_their_commands(void **state)
{
    (void)state;
    roan_script *reader;
    roan_value *reply;
    roan_peer *peer = roan_scripted_peer(world, 0);
    assert_int_equal(roan_script_create(&reader, ROAN_LITERAL(BODY), true, NULL), ROAN_OK);
    assert_int_equal(roan_script_run(client, reader, 0, NULL, 1, &argument, &reply, NULL), ROAN_NIL);
    assert_null(reply);
    size_t count = roan_peer_request_count(peer);
    char text[160];
    snprintf(text, sizeof text, "EVALSHA_RO %s 0 7", roan_script_sha(reader));
    assert_true(roan_peer_request_is(peer, count - 2, text));
    assert_true(roan_peer_request_is(peer, count - 1, "EVAL_RO " BODY " 0 7"));
    roan_script_free(reader);
}

static void test_keys_get_the_prefix_in_both_forms(void **state)
{
    (void)state;
    roan_close(client, 0);
    open_uri("redis://shop?key_prefix=app:", NULL);
    roan_peer *peer = roan_scripted_peer(world, roan_scripted_opened(world));
    assert_runs("app:stock");
    size_t count = roan_peer_request_count(peer);
    assert_true(roan_peer_request_is(peer, count - 1, "EVAL " BODY " 1 app:stock 7"));
}

static void test_the_script_may_be_freed_while_it_runs(void **state)
{
    (void)state;
    roan_future *future = roan_script_go(client, script, 1, &key, 0, NULL, NULL);
    script = roan_script_free(script);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_OK);
    assert_int_equal(bodies, 1);
}

static void test_large_arguments_go_along(void **state)
{
    (void)state;
    size_t bytes = 100000;
    char *data = malloc(bytes);
    memset(data, 'x', bytes);
    roan_slice large = {data, bytes};
    roan_value *reply;
    assert_int_equal(roan_script_run(client, script, 1, &large, 1, &large, &reply, NULL), ROAN_OK);
    assert_int_equal(reply->text.bytes, bytes);
    roan_value_free(reply);
    assert_runs("stock");
    assert_int_equal(bodies, 1);
    free(data);
}

static void run_batch(bool is_atomic)
{
    roan_value *replies;
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_batch *batch = roan_batch_create(client, is_atomic);
    for (unsigned i = 0; i < 3; i++)
        roan_script_add(batch, script, 1, &key, 1, &argument);
    is_known = false;
    assert_int_equal(roan_batch_run(batch, &replies, NULL), ROAN_OK);
    assert_int_equal(replies->count, 3);
    roan_value_free(replies);
    size_t first = roan_peer_request_count(peer) - 3 - is_atomic;
    char text[160];
    snprintf(text, sizeof text, "EVALSHA %s 1 stock 7", roan_script_sha(script));
    assert_true(roan_peer_request_is(peer, first, "EVAL " BODY " 1 stock 7"));
    assert_true(roan_peer_request_is(peer, first + 1, text));
    assert_true(roan_peer_request_is(peer, first + 2, text));
}

static void test_a_batch_brings_the_body_once(void **state)
{
    (void)state;
    run_batch(false);
    assert_int_equal(short_runs, 2);
    assert_int_equal(bodies, 1);
    roan_script_add(NULL, script, 0, NULL, 0, NULL); /* no memory for the batch: its run says so */
}

static void serve_queued(void *unused, roan_peer *peer, size_t argc, const roan_slice *argv)
{
    if (roan_slice_is(argv[0], "EVAL") || roan_slice_is(argv[0], "EVALSHA"))
        roan_peer_sendf(peer, 0, "+QUEUED\r\n");
    else if (roan_slice_is(argv[0], "EXEC"))
        roan_peer_sendf(peer, 0, "*3\r\n:1\r\n:2\r\n:3\r\n");
    else
        roan_scripted_redis(unused, peer, argc, argv);
}

static void test_a_transaction_brings_the_body_once(void **state)
{
    (void)state;
    roan_scripted_handle(world, serve_queued, NULL);
    run_batch(true);
}

/* The deadline is the call's, not of each of its requests. */
static void test_one_deadline_for_both_requests(void **state)
{
    (void)state;
    roan_value *reply;
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer_set_latency(roan_scripted_peer(world, 0), 60000);
    int64_t before_us = roan_scripted_now(world);
    assert_int_equal(roan_script_run(client, script, 1, &key, 0, NULL, &reply, ROAN_WITH(.timeout_ms = 100)),
                     ROAN_E_TIMEOUT);
    assert_in_range(roan_scripted_now(world) - before_us, 100000, 101000);
    assert_int_equal(bodies, 1);
}

static void test_lost_while_the_body_is_under_way(void **state)
{
    (void)state;
    roan_value *reply;
    roan_peer *peer = roan_scripted_peer(world, 0);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    char text[64];
    snprintf(text, sizeof text, "EVALSHA %s 0", roan_script_sha(script));
    roan_peer_expect(peer, 0, text, "-NOSCRIPT none\r\n");
    roan_peer_expect(peer, 0, "*", ""); /* the body */
    roan_peer_reset(peer, 50000, ECONNRESET);
    assert_int_equal(roan_script_run(client, script, 0, NULL, 0, NULL, &reply, NULL), ROAN_E_LOST);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_MAY_HAVE_RUN);
    /* the next one starts afresh on another connection */
    assert_int_equal(roan_script_run(client, script, 0, NULL, 0, NULL, &reply, NULL), ROAN_NIL);
    assert_int_equal(bodies, 1);
}

static void test_a_read_only_run_is_tried_again_with_its_body(void **state)
{
    (void)state;
    roan_script *reader;
    roan_value *reply;
    roan_peer *peer = roan_scripted_peer(world, 0);
    assert_int_equal(roan_script_create(&reader, ROAN_LITERAL(BODY), true, NULL), ROAN_OK);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer_expect(peer, 0, "*", "-NOSCRIPT none\r\n");
    roan_peer_expect(peer, 0, "*", ""); /* the body */
    roan_peer_reset(peer, 1500000, ECONNRESET);
    assert_int_equal(roan_script_run(client, reader, 0, NULL, 0, NULL, &reply, NULL), ROAN_NIL);
    assert_int_equal(bodies, 1); /* on the second connection */
    assert_int_equal(roan_scripted_opened(world), 2);
    roan_script_free(reader);
}

/* ---- libraries ---- */

static roan_library *make_library(void)
{
    roan_library *library;
    assert_int_equal(roan_library_create(&library, ROAN_LITERAL("lua"), ROAN_LITERAL("stock"),
                                         ROAN_LITERAL("redis.register_function('f', f)"), NULL), ROAN_OK);
    return library;
}

static void test_a_missing_function_is_loaded(void **state)
{
    (void)state;
    roan_library *library = make_library();
    roan_value *reply;
    roan_peer *peer = roan_scripted_peer(world, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(roan_library_run(client, library, ROAN_LITERAL("f"), 1, &key, 1, &argument, &reply, NULL),
                         ROAN_OK);
        assert_true(roan_slice_equal(reply->text, key));
        roan_value_free(reply);
    }
    assert_int_equal(loads, 1);
    assert_int_equal(short_runs, 4);
    size_t count = roan_peer_request_count(peer);
    assert_true(roan_peer_request_is(
        peer, count - 4, "FUNCTION LOAD REPLACE #!lua name=stock\nredis.register_function('f', f)"));
    assert_true(roan_peer_request_is(peer, count - 3, "FCALL f 1 stock 7"));
    roan_library_free(library);
}

static void test_concurrent_calls_load_once(void **state)
{
    (void)state;
    roan_library *library = make_library();
    roan_future *futures[CALLERS];
    for (unsigned i = 0; i < CALLERS; i++)
        futures[i] = roan_library_go_ro(client, library, ROAN_LITERAL("f"), 0, NULL, 0, NULL, NULL);
    roan_library_free(library);
    for (unsigned i = 0; i < CALLERS; i++)
        assert_int_equal(roan_take(futures[i], NULL, NULL), ROAN_NIL);
    assert_int_equal(loads, 1);
}

static void test_a_library_that_does_not_load(void **state)
{
    (void)state;
    roan_library *library = make_library();
    roan_value *reply;
    is_body_broken = true;
    assert_int_equal(roan_library_run(client, library, ROAN_LITERAL("f"), 0, NULL, 0, NULL, &reply, NULL),
                     ROAN_E_SERVER);
    assert_string_equal(roan_last_failure()->text, "ERR Error compiling function");
    assert_int_equal(roan_library_load(client, library, NULL), ROAN_E_SERVER);
    is_body_broken = false;
    assert_int_equal(roan_library_load(client, library, NULL), ROAN_OK);
    assert_int_equal(roan_library_run_ro(client, library, ROAN_LITERAL("f"), 0, NULL, 0, NULL, &reply, NULL), ROAN_NIL);
    roan_library_free(library);
}

static void test_libraries_are_checked(void **state)
{
    (void)state;
    roan_library *library;
    roan_slice lua = ROAN_LITERAL("lua"), body = ROAN_LITERAL("x = 1"), full = ROAN_LITERAL("#!lua name=a\nx = 1");
    roan_slice none = ROAN_LITERAL(""), bad = ROAN_LITERAL("a b");
    assert_int_equal(roan_library_create(&library, lua, none, body, NULL), ROAN_E_USAGE);
    assert_int_equal(roan_library_create(&library, none, lua, body, NULL), ROAN_E_USAGE);
    assert_int_equal(roan_library_create(&library, lua, bad, body, NULL), ROAN_E_USAGE);
    assert_int_equal(roan_library_create(&library, lua, lua, none, NULL), ROAN_E_USAGE);
    assert_int_equal(roan_library_create(&library, lua, lua, full, NULL), ROAN_E_USAGE);
    assert_null(library);
    assert_int_equal(roan_library_create(&library, none, none, full, NULL), ROAN_OK);
    assert_null(roan_library_free(library));
}

/* Cuts the dialogue at every byte that the client receives, and at every byte that it sends: it settles, always. */
static void test_cut_at_every_byte(void **state)
{
    (void)state;
    for (int is_sent = 0; is_sent < 2; is_sent++) {
        for (uint64_t cut = 0; cut < 900; cut += 3) {
            roan_value *reply;
            roan_scripted *own = roan_scripted_create(cut);
            roan *cut_client;
            is_known = false;
            roan_scripted_handle(own, serve, NULL);
            if (is_sent)
                roan_peer_cut_sent(roan_scripted_peer(own, 0), cut, ECONNRESET);
            else
                roan_peer_cut_received(roan_scripted_peer(own, 0), cut, ECONNRESET);
            assert_int_equal(
                roan_open(&cut_client, "redis://shop", ROAN_OPTIONS(.transport = roan_scripted_transport(own)), NULL),
                ROAN_OK);
            roan_status status = roan_script_run(cut_client, script, 1, &key, 1, &argument, &reply, NULL);
            assert_true(status == ROAN_OK || status == ROAN_E_LOST || status == ROAN_E_CONNECT);
            assert_true((reply != NULL) == (status == ROAN_OK));
            roan_value_free(reply);
            roan_close(cut_client, 0);
            assert_int_equal(roan_scripted_open_streams(own), 0);
            roan_scripted_free(own);
        }
    }
}

typedef struct runner {
    roan *client;
    unsigned failures;
} runner;

static void *run_often(void *argument_)
{
    runner *own = argument_;
    for (unsigned i = 0; i < 200; i++) {
        roan_value *reply;
        own->failures += roan_script_run(own->client, script, 1, &key, 0, NULL, &reply, NULL) != ROAN_OK;
        roan_value_free(reply);
        if (i % 50 == 0)
            is_known = false;
    }
    return NULL;
}

static void test_threads_and_handles_share_a_script(void **state)
{
    (void)state;
    roan *second;
    pthread_t threads[4];
    runner runners[4];
    roan_scripted_set_clock(world, ROAN_CLOCK_MANUAL); /* several wait */
    assert_int_equal(
        roan_open(&second, "redis://shop", ROAN_OPTIONS(.transport = roan_scripted_transport(world)), NULL), ROAN_OK);
    for (unsigned i = 0; i < 4; i++) {
        runners[i] = (runner){i % 2 != 0 ? second : client, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, run_often, &runners[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(runners[i].failures, 0);
    }
    roan_close(second, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_sha_is_the_servers),
        TEST(test_an_empty_script_is_refused),
        TEST(test_first_use_brings_the_body_once),
        TEST(test_what_is_sent_to_the_byte),
        TEST(test_a_script_flushed_in_between_is_brought_again),
        TEST(test_a_server_that_never_keeps_it_still_runs_it),
        TEST(test_concurrent_first_uses_share_one_body),
        TEST(test_concurrent_uses_survive_a_server_that_forgets),
        TEST(test_a_broken_body_fails_with_the_servers_words),
        TEST(test_other_errors_bring_no_body),
        TEST(test_read_only_scripts_use_their_commands),
        TEST(test_keys_get_the_prefix_in_both_forms),
        TEST(test_the_script_may_be_freed_while_it_runs),
        TEST(test_large_arguments_go_along),
        TEST(test_a_batch_brings_the_body_once),
        TEST(test_a_transaction_brings_the_body_once),
        TEST(test_one_deadline_for_both_requests),
        TEST(test_lost_while_the_body_is_under_way),
        TEST(test_a_read_only_run_is_tried_again_with_its_body),
        TEST(test_a_missing_function_is_loaded),
        TEST(test_concurrent_calls_load_once),
        TEST(test_a_library_that_does_not_load),
        TEST(test_libraries_are_checked),
        TEST(test_cut_at_every_byte),
        TEST(test_threads_and_handles_share_a_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
