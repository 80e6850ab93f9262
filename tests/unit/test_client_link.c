/* test_client_link.c: the rules of a connection, on a scripted peer and a virtual clock: nothing here sleeps.
 *
 * Handshake, deadlines and the late-reply rule, silence, losing the connection with the fate of what was under way,
 * trying again, the queue while there is no connection, backoff, cancelling, closing. Each test opens a handle on a
 * world of its own. */
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
#include "roan/client.h"
#include "roan/scripted.h"
#include "client_world.h"

#define MS 1000LL

static int set_up(void **state)
{
    (void)state;
    begin_world(11, roan_scripted_redis);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return end_world();
}

static roan_status run(const char *text, const roan_call *call)
{
    return run_on(client, text, call);
}

static roan_future *go(const char *text, const roan_call *call)
{
    return go_on(client, text, call);
}

static void expect_failure(roan_future *future, roan_status code, roan_fate fate)
{
    roan_failure failure;

    assert_int_equal(roan_take(future, NULL, &failure), code);
    assert_int_equal(failure.code, code);
    assert_int_equal(failure.fate, fate);
}

static void expect_ok(roan_future *future)
{
    roan_failure failure;
    roan_status status = roan_take(future, NULL, &failure);

    if (status != ROAN_OK)
        fail_msg("%s", failure.text);
}

/* The index of the request on the peer, or -1. */
static int find_request(unsigned peer_index, const char *text)
{
    roan_peer *peer = roan_scripted_peer(world, peer_index);

    for (size_t i = 0; i < roan_peer_request_count(peer); i++)
        if (roan_peer_request_is(peer, i, text))
            return (int)i;
    return -1;
}

/* ---- the handshake ---- */

static void test_the_handshake_is_one_write(void **state)
{
    (void)state;
    open_with("/3?client_name=shop", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    assert_int_equal(find_request(0, "HELLO 3 SETNAME shop"), 0);
    assert_int_equal(find_request(0, "SELECT 3"), 1);
    assert_int_equal(find_request(0, "CLIENT SETINFO LIB-NAME roan"), 2);
    assert_int_equal(roan_peer_sends(roan_scripted_peer(world, 0)), 2); /* and the PING */
    assert_string_equal(roan_peer_endpoint(roan_scripted_peer(world, 0)), "shop:7000");
}

static void test_an_old_server_gets_a_second_round(void **state)
{
    (void)state;
    roan_scripted_set_redis(world, &(roan_scripted_redis_options){.size = sizeof(roan_scripted_redis_options),
                                                                  .lacks_hello = true, .password = "secret"});
    open_with("/2?client_name=shop", &(roan_options){.size = sizeof(roan_options), .password = "secret"});
    assert_int_equal(run("SET k v", NULL), ROAN_OK);
    assert_true(find_request(0, "AUTH secret") > find_request(0, "HELLO 3 AUTH default secret SETNAME shop"));
    assert_true(find_request(0, "CLIENT SETNAME shop") > 0);
    assert_int_equal(stats().connects, 1);
}

static void test_demanding_resp3_of_an_old_server_fails(void **state)
{
    (void)state;
    roan_scripted_set_redis(world, &(roan_scripted_redis_options){.size = sizeof(roan_scripted_redis_options),
                                                                  .lacks_resp3 = true});
    open_with("?protocol=3", NULL);
    assert_int_equal(run("PING", NULL), ROAN_E_CONNECT);
    assert_string_equal(roan_last_failure()->server_code, "NOPROTO");
}

static void test_a_wrong_password_fails_the_waiting(void **state)
{
    (void)state;
    roan_scripted_set_redis(world, &(roan_scripted_redis_options){.size = sizeof(roan_scripted_redis_options),
                                                                  .password = "secret"});
    open_with("", &(roan_options){.size = sizeof(roan_options), .password = "wrong"});
    assert_int_equal(run("PING", NULL), ROAN_E_CONNECT);
    assert_string_equal(roan_last_failure()->server_code, "WRONGPASS");
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_NOT_SENT);
    assert_null(strstr(roan_last_failure()->text, "wrong "));
    assert_string_equal(roan_last_failure()->node, "shop:7000");
}

static void test_replies_in_any_pieces(void **state)
{
    (void)state;
    for (size_t pieces = 1; pieces < 8; pieces++) {
        roan_peer_set_pieces(roan_scripted_peer(world, (unsigned)pieces - 1), pieces, 10);
        open_with("", NULL);
        assert_int_equal(run("SET k 0123456789", NULL), ROAN_OK);
        assert_int_equal(run("GET k", NULL), ROAN_OK);
        assert_int_equal(run("GET none", NULL), ROAN_NIL);
        roan_close(client, 0);
        client = NULL;
    }
}

/* ---- connecting ---- */

static void test_a_refused_first_connection_fails_at_once(void **state)
{
    (void)state;
    roan_peer_refuse(roan_scripted_peer(world, 0), 5 * MS, ECONNREFUSED);
    open_with("", NULL);
    int64_t before = roan_scripted_now(world);
    assert_int_equal(run("PING", NULL), ROAN_E_CONNECT);
    assert_int_equal(roan_last_failure()->os_errno, ECONNREFUSED);
    assert_in_range(roan_scripted_now(world) - before, 5 * MS, 10 * MS);
    /* The next call waits for the next attempt, which comes after the first backoff. */
    assert_int_equal(run("PING", NULL), ROAN_OK);
    assert_in_range(roan_scripted_now(world) - before, 75 * MS, 250 * MS);
}

static void test_connecting_has_a_deadline_of_its_own(void **state)
{
    (void)state;
    roan_peer_ignore(roan_scripted_peer(world, 0));
    open_with("?connect_timeout_ms=700", NULL);
    int64_t before = roan_scripted_now(world);
    assert_int_equal(run("PING", NULL), ROAN_E_CONNECT);
    assert_in_range(roan_scripted_now(world) - before, 700 * MS, 702 * MS);
}

static void test_a_server_that_never_greets_is_given_up(void **state)
{
    (void)state;
    roan_peer_handle(roan_scripted_peer(world, 0), NULL, NULL);
    roan_scripted_handle(world, NULL, NULL);
    open_with("?connect_timeout_ms=300", NULL);
    assert_int_equal(roan_ready(client, -1), ROAN_E_CONNECT);
}

static void test_the_call_ends_before_the_connection(void **state)
{
    (void)state;
    roan_peer_ignore(roan_scripted_peer(world, 0));
    open_with("", NULL);
    int64_t before = roan_scripted_now(world);
    assert_int_equal(run("PING", ROAN_WITH(.timeout_ms = 40)), ROAN_E_TIMEOUT);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_NOT_SENT);
    assert_in_range(roan_scripted_now(world) - before, 40 * MS, 42 * MS);
}

static void test_attempts_back_off_with_jitter(void **state)
{
    (void)state;
    open_with("?backoff_first_ms=100&backoff_max_ms=1000&connect_timeout_ms=60000", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_scripted_advance(world, 5000 * MS); /* a connection that lived */
    for (unsigned i = 1; i <= 6; i++)
        roan_peer_refuse(roan_scripted_peer(world, i), 0, ECONNREFUSED);
    roan_peer_end(roan_scripted_peer(world, 0), 0);
    roan_scripted_advance(world, 1);
    int64_t before = roan_scripted_now(world);
    assert_int_equal(run("PING", ROAN_WITH(.timeout_ms = 60000)), ROAN_OK); /* at the seventh attempt */
    int64_t took = roan_scripted_now(world) - before;
    /* 100 + 200 + 400 + 800 + 1000 + 1000 ms, each a quarter up or down */
    assert_in_range(took, 3500 * MS * 3 / 4, 3500 * MS * 5 / 4 + 5 * MS);
    assert_int_equal(roan_scripted_opened(world), 8);
}

/* ---- deadlines ---- */

/* Swallows DEBUG SLEEP and whatever comes while it "sleeps", like a busy server. */
static void never_answer(void *argument, roan_peer *peer, size_t argc, const roan_slice *argv)
{
    (void)argument;
    if (argv[0].bytes == 4 && memcmp(argv[0].data, "SLOW", 4) == 0)
        return;
    roan_scripted_redis(NULL, peer, argc, argv);
}

static void test_a_timeout_on_a_silent_link_resets_it(void **state)
{
    (void)state;
    roan_scripted_handle(world, NULL, NULL);
    roan_peer_handle(roan_scripted_peer(world, 1), roan_scripted_redis, NULL);
    open_with("?request_timeout_ms=500&protocol=2", NULL);
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_expect(peer, 0, "CLIENT SETINFO LIB-NAME roan", "+OK\r\n");
    roan_peer_expect(peer, 0, "CLIENT SETINFO LIB-VER " ROAN_VERSION, "+OK\r\n");
    roan_future *slow = go("SLOW 2", NULL);
    roan_scripted_advance(world, 100 * MS);
    roan_future *next = go("INCR k", NULL);
    expect_failure(slow, ROAN_E_TIMEOUT, ROAN_FATE_MAY_HAVE_RUN);
    expect_failure(next, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN);
    assert_int_equal(run("INCR k", NULL), ROAN_OK); /* on the next connection */
    assert_int_equal(stats().timeouts, 1);
    assert_int_equal(stats().disconnects, 1);
}

static void test_a_timeout_on_a_live_link_spares_the_others(void **state)
{
    (void)state;
    open_with("?request_timeout_ms=500", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_sendf(peer, 100 * MS, ">2\r\n$4\r\nnews\r\n$5\r\nhello\r\n"); /* the link is alive */
    roan_peer_expect(peer, 900 * MS, "GET slow", "$4\r\nlate\r\n");
    roan_future *slow = go("GET slow", NULL);
    roan_flush(client);
    roan_future *next = go("GET k", ROAN_WITH(.timeout_ms = 2000));
    expect_failure(slow, ROAN_E_TIMEOUT, ROAN_FATE_MAY_HAVE_RUN);
    assert_int_equal(roan_take(next, NULL, NULL), ROAN_NIL); /* not the late reply of the other */
    assert_int_equal(stats().disconnects, 0);
}

static void test_late_reset_and_late_abandon(void **state)
{
    (void)state;
    roan_peer_handle(roan_scripted_peer(world, 0), never_answer, NULL);
    open_with("?request_timeout_ms=100&late=abandon", NULL);
    assert_int_equal(run("SLOW 1", NULL), ROAN_E_TIMEOUT);
    assert_int_equal(stats().disconnects, 0);
    roan_close(client, 0);
    open_with("?request_timeout_ms=100&late=reset", NULL);
    roan_peer *peer = roan_scripted_peer(world, 1);
    roan_peer_handle(peer, never_answer, NULL);
    roan_future *slow = go("SLOW 1", NULL);
    roan_flush(client);
    roan_peer_sendf(peer, 50 * MS, ">1\r\n:1\r\n");
    expect_failure(slow, ROAN_E_TIMEOUT, ROAN_FATE_MAY_HAVE_RUN);
    assert_int_equal(stats().disconnects, 1);
}

static void test_deadlines_are_exact_and_in_any_order(void **state)
{
    (void)state;
    roan_future *futures[50];
    roan_peer_handle(roan_scripted_peer(world, 0), never_answer, NULL);
    open_with("?late=abandon", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    int64_t before = roan_scripted_now(world);
    for (int i = 0; i < 50; i++)
        futures[i] = go("SLOW x", ROAN_WITH(.timeout_ms = 10 + i * 37 % 50));
    for (int timeout = 10; timeout < 60; timeout++)
        for (int i = 0; i < 50; i++)
            if (10 + i * 37 % 50 == timeout) {
                expect_failure(futures[i], ROAN_E_TIMEOUT, ROAN_FATE_MAY_HAVE_RUN);
                assert_in_range(roan_scripted_now(world) - before, timeout * MS, timeout * MS + 2);
            }
}

static void test_a_blocking_command_waits_for_its_own_timeout(void **state)
{
    (void)state;
    open_with("?request_timeout_ms=100&blocking_grace_ms=50", NULL);
    int64_t before = roan_scripted_now(world);
    assert_int_equal(run("BLPOP list 3", NULL), ROAN_NIL);
    assert_in_range(roan_scripted_now(world) - before, 3000 * MS, 3001 * MS);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    assert_int_equal(roan_scripted_opened(world), 2); /* it has a connection of its own */
    assert_int_equal(stats().leases_idle, 1);
}

static void swallow_blpop(void *argument, roan_peer *peer, size_t argc, const roan_slice *argv)
{
    (void)argument;
    if (argv[0].bytes != 5 || memcmp(argv[0].data, "BLPOP", 5) != 0)
        roan_scripted_redis(NULL, peer, argc, argv);
}

static void test_a_blocking_command_ends_with_the_grace(void **state)
{
    (void)state;
    roan_scripted_handle(world, swallow_blpop, NULL);
    open_with("?request_timeout_ms=100&blocking_grace_ms=50", NULL);
    int64_t before = roan_scripted_now(world);
    assert_int_equal(run("BLPOP list 3", NULL), ROAN_E_TIMEOUT);
    assert_in_range(roan_scripted_now(world) - before, 3050 * MS, 3052 * MS);
    assert_int_equal(stats().leases_idle, 0); /* the server may still answer there */
    assert_int_equal(stats().leases_destroyed, 1);
}

/* ---- silence ---- */

static void test_silence_with_replies_due_loses_the_link(void **state)
{
    (void)state;
    roan_peer_handle(roan_scripted_peer(world, 0), never_answer, NULL);
    open_with("?request_timeout_ms=-1&silence_timeout_ms=2000", NULL);
    int64_t before = roan_scripted_now(world);
    assert_int_equal(run("SLOW x", NULL), ROAN_E_LOST);
    assert_in_range(roan_scripted_now(world) - before, 2000 * MS, 2002 * MS);
}

static void test_a_loop_probes_a_quiet_link(void **state)
{
    (void)state;
    open_with("?silence_timeout_ms=2000&drive=loop", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_peer *peer = roan_scripted_peer(world, 0);
    size_t before = roan_peer_request_count(peer);
    for (int i = 0; i < 80; i++)
        assert_int_equal(roan_turn(client, 100), ROAN_OK);
    assert_in_range(roan_peer_request_count(peer) - before, 2, 4);
    roan_peer_handle(peer, never_answer, NULL);
    roan_peer_reset(peer, 0, ECONNRESET);
    for (int i = 0; i < 40; i++)
        assert_int_equal(roan_turn(client, 100), ROAN_OK);
    assert_int_equal(stats().disconnects, 1);
}

static void test_a_socket_that_takes_nothing_loses_the_link(void **state)
{
    (void)state;
    open_with("?request_timeout_ms=-1&write_timeout_ms=1500", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_peer_take(roan_scripted_peer(world, 0), 0, 5);
    int64_t before = roan_scripted_now(world);
    assert_int_equal(run("SET k 0123456789", NULL), ROAN_E_LOST);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_MAY_HAVE_RUN);
    assert_in_range(roan_scripted_now(world) - before, 1500 * MS, 1600 * MS);
}

static void test_partial_writes_go_on_where_they_stopped(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_peer_set_take_max(roan_scripted_peer(world, 0), 3);
    char value[5000];
    memset(value, 'x', sizeof value);
    roan_slice words[] = {ROAN_LITERAL("SET"), ROAN_LITERAL("k"), {value, sizeof value}};
    assert_int_equal(roan_do(client, 3, words, NULL, NULL), ROAN_OK);
    roan_future *futures[40];
    for (int i = 0; i < 40; i++)
        futures[i] = go(i % 2 ? "GET k" : "INCR n", NULL);
    for (int i = 0; i < 40; i++)
        expect_ok(futures[i]);
}

/* ---- losing the connection ---- */

static void test_fates_when_the_connection_breaks(void **state)
{
    (void)state;
    open_with("", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_scripted_handle(world, roan_scripted_redis, NULL);
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_handle(peer, never_answer, NULL);
    roan_peer_expect(peer, 100 * MS, "INCR a", ":1\r\n");
    roan_future *written = go("INCR a", NULL);
    roan_future *read = go("GET k", NULL);
    roan_future *forced = go("APPEND other v", ROAN_WITH(.retry = 1));
    roan_future *never = go("GET k", ROAN_WITH(.retry = -1));
    roan_flush(client);
    roan_peer_reset(peer, 10 * MS, ECONNRESET);
    expect_failure(written, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN);
    assert_int_equal(roan_take(read, NULL, NULL), ROAN_NIL); /* sent again */
    expect_ok(forced);
    expect_failure(never, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN);
    assert_int_equal(stats().retries, 2);
    assert_int_equal(stats().connects, 2);
}

static void test_what_was_not_sent_goes_out_on_the_next_connection(void **state)
{
    (void)state;
    open_with("", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_take(peer, 0, 0);
    roan_future *futures[3];
    for (int i = 0; i < 3; i++)
        futures[i] = go("INCR n", NULL);
    roan_flush(client);
    roan_peer_reset(peer, 10 * MS, ECONNRESET);
    for (int i = 0; i < 3; i++)
        expect_ok(futures[i]); /* nothing of them had left: safe */
    assert_int_equal(find_request(1, "INCR n") > 0, 1);
}

static void test_a_connection_cut_at_every_byte(void **state)
{
    (void)state;
    for (uint64_t cut = 1; cut < 400; cut += 3) {
        roan_peer_cut_sent(roan_scripted_peer(world, 0), cut, ECONNRESET);
        open_with("", NULL);
        int64_t before = roan_scripted_now(world);
        roan_status ready = roan_ready(client, -1);
        roan_future *write = go("INCR n", NULL);
        roan_future *read = go("GET n", NULL);
        roan_failure failure = {0};
        roan_status status = roan_take(write, NULL, &failure);
        if (status != ROAN_OK && ready == ROAN_OK)
            assert_true(status == ROAN_E_LOST || status == ROAN_E_CONNECT);
        status = roan_take(read, NULL, &failure);
        assert_true(status == ROAN_OK || status == ROAN_NIL || status == ROAN_E_CONNECT || status == ROAN_E_LOST);
        assert_true(roan_scripted_now(world) - before < 5000 * MS);
        roan_close(client, 0);
        client = NULL;
        assert_int_equal(roan_scripted_open_streams(world), 0);
        world = roan_scripted_free(world);
        world = roan_scripted_create(cut);
        roan_scripted_handle(world, roan_scripted_redis, NULL);
    }
}

static void test_garbage_ends_the_connection_with_a_protocol_error(void **state)
{
    (void)state;
    open_with("", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_peer_expect(roan_scripted_peer(world, 0), 0, "INCR k", "?what\r\n");
    assert_int_equal(run("INCR k", NULL), ROAN_E_PROTOCOL);
    assert_int_equal(run("INCR k", NULL), ROAN_OK);
    roan_peer_sendf(roan_scripted_peer(world, 1), 0, "+unasked\r\n");
    roan_scripted_advance(world, 1000 * MS);
    assert_int_equal(run("INCR k", NULL), ROAN_OK); /* noticed before it was sent */
    assert_int_equal(roan_scripted_opened(world), 3);
}

static void test_a_reply_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    open_with("?reply_bytes_max=1000", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_peer_expect(roan_scripted_peer(world, 0), 0, "GET big", "$1000000\r\nxxxx");
    assert_int_equal(run("GET big", ROAN_WITH(.retry = -1)), ROAN_E_PROTOCOL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
}

static void test_without_reconnect_the_waiting_fail(void **state)
{
    (void)state;
    open_with("?reconnect=-1", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_peer_handle(roan_scripted_peer(world, 0), never_answer, NULL);
    roan_future *slow = go("SLOW x", NULL);
    roan_flush(client);
    roan_peer_reset(roan_scripted_peer(world, 0), 10 * MS, ECONNRESET);
    expect_failure(slow, ROAN_E_LOST, ROAN_FATE_MAY_HAVE_RUN);
    assert_int_equal(run("PING", NULL), ROAN_E_LOST);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_NOT_SENT);
    assert_int_equal(roan_scripted_opened(world), 1);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    assert_int_equal(run("PING", NULL), ROAN_OK);
}

/* A server that takes connections and hangs up at once must not be stormed. */
static void test_connections_that_end_at_once_back_off(void **state)
{
    (void)state;
    for (unsigned i = 1; i < 5; i++)
        roan_peer_cut_sent(roan_scripted_peer(world, i), 130, 0); /* behind the handshake */
    open_with("?backoff_first_ms=100&backoff_jitter_percent=-1&retries_max=10", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_peer_end(roan_scripted_peer(world, 0), 0);
    roan_scripted_advance(world, 1000 * MS);
    int64_t before = roan_scripted_now(world);
    assert_int_equal(run("GET k", ROAN_WITH(.timeout_ms = 20000)), ROAN_NIL);
    assert_in_range(roan_scripted_now(world) - before, 700 * MS, 3200 * MS);
}

static void test_a_connection_closed_while_idle_costs_nothing(void **state)
{
    (void)state;
    open_with("", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_scripted_advance(world, 60000 * MS);
    roan_peer_end(roan_scripted_peer(world, 0), 0);
    roan_scripted_advance(world, 60000 * MS);
    assert_int_equal(run("INCR n", NULL), ROAN_OK); /* a write, and not lost */
    assert_int_equal(find_request(0, "INCR n"), -1);
    assert_true(find_request(1, "INCR n") > 0);
}

/* ---- the queue ---- */

static void test_the_queue_is_bounded(void **state)
{
    (void)state;
    roan_future *futures[6];
    roan_peer_accept(roan_scripted_peer(world, 0), 100 * MS);
    open_with("?queue_commands_max=5", NULL);
    for (int i = 0; i < 6; i++)
        futures[i] = go("INCR n", NULL);
    expect_failure(futures[5], ROAN_E_QUEUE_FULL, ROAN_FATE_NOT_SENT);
    for (int i = 0; i < 5; i++)
        expect_ok(futures[i]);
    roan_close(client, 0);
    roan_peer_accept(roan_scripted_peer(world, 1), 100 * MS);
    open_with("?queue_bytes_max=100", NULL);
    futures[0] = go("SET k 0123456789012345678901234567890123456789", NULL);
    futures[1] = go("SET k 0123456789012345678901234567890123456789", NULL);
    expect_failure(futures[1], ROAN_E_QUEUE_FULL, ROAN_FATE_NOT_SENT);
    expect_ok(futures[0]);
}

static void test_order_is_kept_through_a_reconnection(void **state)
{
    (void)state;
    roan_future *futures[20];
    open_with("", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_scripted_advance(world, 5000 * MS);
    roan_peer_take(roan_scripted_peer(world, 0), 0, 0);
    roan_peer_reset(roan_scripted_peer(world, 0), 10 * MS, ECONNRESET);
    roan_peer_accept(roan_scripted_peer(world, 1), 50 * MS);
    for (int i = 0; i < 20; i++)
        futures[i] = go(i == 0 ? "SET n 0" : "INCR n", NULL);
    roan_value *reply;
    expect_ok(futures[0]);
    for (int i = 1; i < 20; i++) {
        assert_int_equal(roan_take(futures[i], &reply, NULL), ROAN_OK);
        assert_int_equal(reply->integer, i);
        roan_value_free(reply);
    }
}

/* ---- trying again ---- */

static void test_a_loading_server_is_asked_again(void **state)
{
    (void)state;
    open_with("", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_expect(peer, 0, "INCR n", "-LOADING Redis is loading the dataset in memory\r\n");
    roan_peer_expect(peer, 0, "INCR n", "-BUSY Redis is busy running a script.\r\n");
    int64_t before = roan_scripted_now(world);
    assert_int_equal(run("INCR n", NULL), ROAN_OK); /* even a write: nothing had run */
    assert_true(roan_scripted_now(world) - before >= 100 * MS);
    assert_int_equal(stats().retries, 2);
    roan_peer_expect(peer, 0, "INCR n", "-LOADING Redis is loading the dataset in memory\r\n");
    assert_int_equal(run("INCR n", ROAN_WITH(.retry = -1)), ROAN_E_SERVER);
    assert_string_equal(roan_last_failure()->server_code, "LOADING");
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_RAN);
}

static int retry_twice(void *argument, unsigned attempt, const roan_failure *failure, const char *command)
{
    int *asked = argument;

    (*asked)++;
    assert_string_equal(command, "get");
    assert_string_equal(failure->server_code, "ERR");
    return attempt <= 2 ? 30 : -1;
}

static void test_the_programs_own_policy(void **state)
{
    (void)state;
    int asked = 0;
    roan_options options = {.size = sizeof options, .retry = retry_twice, .retry_argument = &asked};
    open_with("", &options);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    for (int i = 0; i < 3; i++)
        roan_peer_expect(roan_scripted_peer(world, 0), 0, "GET k", "-ERR odd\r\n");
    int64_t before = roan_scripted_now(world);
    assert_int_equal(run("GET k", NULL), ROAN_E_SERVER);
    assert_int_equal(roan_last_failure()->attempts, 3);
    assert_int_equal(asked, 3);
    assert_in_range(roan_scripted_now(world) - before, 60 * MS, 70 * MS);
}

/* ---- cancelling, callbacks, closing ---- */

static void test_cancel_before_and_after_sending(void **state)
{
    (void)state;
    roan_peer_accept(roan_scripted_peer(world, 0), 100 * MS);
    open_with("", NULL);
    roan_future *unsent = go("INCR n", NULL);
    roan_cancel(unsent);
    expect_failure(unsent, ROAN_E_CANCELED, ROAN_FATE_NOT_SENT);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    assert_int_equal(find_request(0, "INCR n"), -1);
    roan_peer_expect(roan_scripted_peer(world, 0), 50 * MS, "INCR n", ":7\r\n");
    roan_future *sent = go("INCR n", NULL);
    roan_flush(client);
    roan_cancel(sent);
    expect_failure(sent, ROAN_E_CANCELED, ROAN_FATE_MAY_HAVE_RUN);
    assert_int_equal(run("GET none", NULL), ROAN_NIL); /* and not 7 */
}

typedef struct seen {
    int calls;
    roan_status status;
    roan_status nested;
} seen;

static void note(roan_future *future, void *argument)
{
    seen *what = argument;
    roan_slice ping[] = {ROAN_LITERAL("PING")};

    what->calls++;
    what->nested = roan_do(client, 1, ping, NULL, NULL);
    what->status = roan_take(future, NULL, NULL);
}

static void test_callbacks_run_once_and_must_not_wait(void **state)
{
    (void)state;
    seen what = {0};
    open_with("", NULL);
    roan_then(go("INCR n", NULL), note, &what);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    assert_int_equal(what.calls, 1);
    assert_int_equal(what.status, ROAN_OK);
    assert_int_equal(what.nested, ROAN_E_USAGE);
    roan_future *settled = go("MULTI", NULL);
    assert_true(roan_is_settled(settled));
    roan_then(settled, note, &what);
    assert_int_equal(what.calls, 2);
    assert_int_equal(what.status, ROAN_E_USAGE);
}

static void test_wait_any_returns_the_first_to_settle(void **state)
{
    (void)state;
    open_with("", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_peer_expect(roan_scripted_peer(world, 0), 300 * MS, "GET a", "$1\r\na\r\n");
    roan_future *futures[] = {go("BLPOP list 1", NULL), go("GET a", NULL)};
    assert_int_equal(roan_wait_any(futures, 2, 100), 2);
    assert_int_equal(roan_last_failure()->code, ROAN_E_TIMEOUT);
    assert_int_equal(roan_wait_any(futures, 2, -1), 1);
    expect_ok(futures[1]);
    assert_int_equal(roan_wait_any(futures, 1, -1), 0);
    assert_int_equal(roan_take(futures[0], NULL, NULL), ROAN_NIL);
}

static void test_close_fails_what_is_left_and_stays_in_time(void **state)
{
    (void)state;
    roan_peer_handle(roan_scripted_peer(world, 0), never_answer, NULL);
    open_with("", NULL);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    roan_future *slow = go("SLOW x", NULL);
    int64_t before = roan_scripted_now(world);
    assert_int_equal(roan_close(client, 250), ROAN_E_TIMEOUT);
    client = NULL;
    assert_in_range(roan_scripted_now(world) - before, 250 * MS, 260 * MS);
    expect_failure(slow, ROAN_E_CLOSED, ROAN_FATE_MAY_HAVE_RUN);
}

static void test_close_waits_for_answers(void **state)
{
    (void)state;
    open_with("", NULL);
    roan_peer_set_latency(roan_scripted_peer(world, 0), 20 * MS);
    roan_future *future = go("INCR n", NULL);
    assert_int_equal(roan_close(client, 1000), ROAN_OK);
    client = NULL;
    expect_ok(future);
}

static void test_refused_commands_say_what_to_use(void **state)
{
    (void)state;
    static const char *const commands[] = {"MULTI",  "WATCH k", "SELECT 1", "SUBSCRIBE c",      "MONITOR",
                                           "AUTH x", "HELLO 3", "RESET",    "CLIENT REPLY OFF", "CLIENT TRACKING ON",
                                           "QUIT",   "READONLY"};
    open_with("", NULL);
    for (size_t i = 0; i < ROAN_COUNT_OF(commands); i++) {
        assert_int_equal(run(commands[i], NULL), ROAN_E_USAGE);
        assert_true(strlen(roan_last_failure()->text) > 20);
    }
    assert_int_equal(roan_do(client, 0, NULL, NULL, NULL), ROAN_E_USAGE);
    assert_int_equal(roan_scripted_opened(world), 0);
}

static void test_a_prefix_goes_out_and_comes_off(void **state)
{
    (void)state;
    open_with("?key_prefix=app:", NULL);
    assert_int_equal(run("SET k v", NULL), ROAN_OK);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    assert_true(find_request(0, "SET app:k v") > 0);
    assert_int_equal(run("NOSUCHCOMMAND k", NULL), ROAN_E_USAGE);
}

#define LINK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINK_TEST(test_the_handshake_is_one_write),
        LINK_TEST(test_an_old_server_gets_a_second_round),
        LINK_TEST(test_demanding_resp3_of_an_old_server_fails),
        LINK_TEST(test_a_wrong_password_fails_the_waiting),
        LINK_TEST(test_replies_in_any_pieces),
        LINK_TEST(test_a_refused_first_connection_fails_at_once),
        LINK_TEST(test_connecting_has_a_deadline_of_its_own),
        LINK_TEST(test_a_server_that_never_greets_is_given_up),
        LINK_TEST(test_the_call_ends_before_the_connection),
        LINK_TEST(test_attempts_back_off_with_jitter),
        LINK_TEST(test_a_timeout_on_a_silent_link_resets_it),
        LINK_TEST(test_a_timeout_on_a_live_link_spares_the_others),
        LINK_TEST(test_late_reset_and_late_abandon),
        LINK_TEST(test_deadlines_are_exact_and_in_any_order),
        LINK_TEST(test_a_blocking_command_waits_for_its_own_timeout),
        LINK_TEST(test_a_blocking_command_ends_with_the_grace),
        LINK_TEST(test_silence_with_replies_due_loses_the_link),
        LINK_TEST(test_a_loop_probes_a_quiet_link),
        LINK_TEST(test_a_socket_that_takes_nothing_loses_the_link),
        LINK_TEST(test_partial_writes_go_on_where_they_stopped),
        LINK_TEST(test_fates_when_the_connection_breaks),
        LINK_TEST(test_what_was_not_sent_goes_out_on_the_next_connection),
        LINK_TEST(test_a_connection_cut_at_every_byte),
        LINK_TEST(test_garbage_ends_the_connection_with_a_protocol_error),
        LINK_TEST(test_a_reply_beyond_the_limit_is_refused),
        LINK_TEST(test_without_reconnect_the_waiting_fail),
        LINK_TEST(test_connections_that_end_at_once_back_off),
        LINK_TEST(test_a_connection_closed_while_idle_costs_nothing),
        LINK_TEST(test_the_queue_is_bounded),
        LINK_TEST(test_order_is_kept_through_a_reconnection),
        LINK_TEST(test_a_loading_server_is_asked_again),
        LINK_TEST(test_the_programs_own_policy),
        LINK_TEST(test_cancel_before_and_after_sending),
        LINK_TEST(test_callbacks_run_once_and_must_not_wait),
        LINK_TEST(test_wait_any_returns_the_first_to_settle),
        LINK_TEST(test_close_fails_what_is_left_and_stays_in_time),
        LINK_TEST(test_close_waits_for_answers),
        LINK_TEST(test_refused_commands_say_what_to_use),
        LINK_TEST(test_a_prefix_goes_out_and_comes_off),
    };
    if (getenv("CLIENT_TEST") != NULL)
        cmocka_set_test_filter(getenv("CLIENT_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
