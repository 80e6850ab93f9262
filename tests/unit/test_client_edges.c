/* test_client_edges.c: what happens to a connection in unlucky moments, on a scripted peer and a virtual clock.
 *
 * The rules themselves are in test_client_link.c; here are the orders of events that seldom come about by themselves.
 * Where another thread would have to be quick, its part is played from inside of the transport's send(). */
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
#include "roan/client.h"
#include "roan/lease.h"
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

/* ---- the last reference ---- */

static unsigned ends;

static void note_end(void *argument, uint64_t id, const roan_failure *failure, int64_t waited_ns, int64_t wire_ns,
                     size_t sent_bytes, size_t received_bytes)
{
    (void)argument;
    (void)id;
    (void)waited_ns;
    (void)wire_ns;
    (void)sent_bytes;
    (void)received_bytes;
    ends += failure != NULL && failure->code == ROAN_E_TIMEOUT;
}

static void test_nobody_holds_what_is_too_late(void **state)
{
    (void)state;
    roan_hooks hooks = {.size = sizeof hooks, .on_end = note_end};
    ends = 0;
    open_with("?drive=loop&connect_timeout_ms=5000", &(roan_options){.size = sizeof(roan_options), .hooks = &hooks});
    roan_peer_ignore(roan_scripted_peer(world, 0));
    roan_drop(go_on(client, "SET a 1", ROAN_WITH(.timeout_ms = 50)));
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(roan_turn(client, 20), ROAN_OK);
    assert_int_equal(ends, 1);
    assert_int_equal(stats().pending, 0);
    /* it was freed once: the next two are two */
    roan_future *first = go_on(client, "PING", ROAN_WITH(.timeout_ms = 1));
    roan_future *second = go_on(client, "PING", ROAN_WITH(.timeout_ms = 1));
    assert_ptr_not_equal(first, second);
    assert_int_equal(roan_take(first, NULL, NULL), ROAN_E_TIMEOUT);
    assert_int_equal(roan_take(second, NULL, NULL), ROAN_E_TIMEOUT);
}

static void test_nobody_holds_what_is_delayed(void **state)
{
    (void)state;
    roan_hooks hooks = {.size = sizeof hooks, .on_end = note_end};
    ends = 0;
    open_with("?drive=loop", &(roan_options){.size = sizeof(roan_options), .hooks = &hooks});
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer_expect(roan_scripted_peer(world, 0), 0, "GET a", "-LOADING wait\r\n");
    roan_drop(go_on(client, "GET a", ROAN_WITH(.timeout_ms = 51)));
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    roan_scripted_advance(world, 60 * MS);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_int_equal(ends, 1);
    assert_int_equal(stats().pending, 0);
}

/* ---- send() comes back late ---- */

static roan_transport late_transport;
static ssize_t (*scripted_send)(roan_stream *stream, const struct iovec *iov, unsigned count);
static void (*meanwhile)(void);

/* The bytes have left; until the sender goes on, others act. */
static ssize_t send_and_tarry(roan_stream *stream, const struct iovec *iov, unsigned count)
{
    ssize_t sent = scripted_send(stream, iov, count);
    void (*act)(void) = meanwhile;

    meanwhile = NULL;
    if (act != NULL)
        act();
    return sent;
}

/* The scripted streams go on calling their own transport: it is changed in place and put back. */
static void tarry(roan_stream *stream)
{
    static roan_transport changed;

    changed = *stream->transport;
    scripted_send = changed.send;
    changed.send = send_and_tarry;
    stream->transport = &changed;
}

static roan_status (*scripted_open)(void *state, const roan_endpoint *endpoint, roan_stream **ret_stream,
                                    roan_error *reterr);

static roan_status open_tarrying(void *state, const roan_endpoint *endpoint, roan_stream **ret_stream,
                                 roan_error *reterr)
{
    roan_status status = scripted_open(state, endpoint, ret_stream, reterr);

    if (status == ROAN_OK)
        tarry(*ret_stream);
    return status;
}

static void open_tarrying_client(const char *query, void (*act)(void))
{
    late_transport = *roan_scripted_transport(world);
    scripted_open = late_transport.open;
    late_transport.open = open_tarrying;
    meanwhile = act;
    open_with(query, &(roan_options){.size = sizeof(roan_options), .transport = &late_transport});
}

static void get_ready(void)
{
    assert_int_equal(roan_ready(client, 1000), ROAN_OK);
}

static void test_the_handshake_is_answered_before_send_returns(void **state)
{
    (void)state;
    open_tarrying_client("", get_ready);
    roan_future *future = go_on(client, "SET a 1", NULL);
    assert_null(meanwhile);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_OK);
    roan_peer_set_take_max(roan_scripted_peer(world, 0), 7); /* where a request was left is known by counting bytes */
    assert_int_equal(run("GET a", NULL), ROAN_OK);
    assert_int_equal(roan_scripted_opened(world), 1);
    assert_int_equal(stats().disconnects, 0);
}

static void try_to_get_ready(void)
{
    assert_int_equal(roan_ready(client, 50), ROAN_E_TIMEOUT); /* one send() at a time */
}

static void test_the_second_round_begins_before_send_returns(void **state)
{
    (void)state;
    roan_scripted_set_redis(world, &(roan_scripted_redis_options){.size = sizeof(roan_scripted_redis_options),
                                                                  .lacks_hello = true});
    open_tarrying_client("/3?client_name=shop", try_to_get_ready);
    roan_future *future = go_on(client, "SET a 1", NULL);
    assert_null(meanwhile);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_OK);
    assert_true(roan_peer_request_is(roan_scripted_peer(world, 0), 4, "CLIENT SETNAME shop"));
    assert_int_equal(roan_scripted_opened(world), 1);
}

static void run_ping(void)
{
    assert_int_equal(run("PING", ROAN_WITH(.timeout_ms = 100)), ROAN_E_TIMEOUT); /* one send() at a time */
}

static void test_requests_are_answered_before_send_returns(void **state)
{
    (void)state;
    open_tarrying_client("?late=abandon", NULL);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    meanwhile = run_ping;
    roan_future *future = go_on(client, "SET a 1", NULL);
    assert_null(meanwhile);
    assert_true(roan_is_settled(future));
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_OK);
    assert_int_equal(run("GET a", NULL), ROAN_OK);
    assert_int_equal(roan_scripted_opened(world), 1);
}

/* ---- delayed, and the connection does not come back ---- */

static void test_a_delayed_call_on_a_lease_that_ends(void **state)
{
    (void)state;
    roan_lease *lease;
    roan_failure failure;
    open_with("?drive=loop", NULL);
    assert_int_equal(roan_lease_take(client, &lease, 0), ROAN_OK);
    assert_int_equal(roan_ready(roan_lease_client(lease), -1), ROAN_OK);
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_expect(peer, 0, "GET a", "-BUSY script\r\n");
    roan_future *future = go_on(roan_lease_client(lease), "GET a", ROAN_WITH(.timeout_ms = -1));
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_false(roan_is_settled(future));
    roan_peer_reset(peer, 0, ECONNRESET);
    assert_int_equal(roan_turn(client, 10), ROAN_OK);
    assert_true(roan_is_settled(future));
    assert_int_equal(roan_take(future, NULL, &failure), ROAN_E_LOST);
    assert_int_equal(failure.fate, ROAN_FATE_NOT_SENT); /* BUSY: nothing ran */
    roan_lease_return(lease);
}

static void test_a_delayed_call_without_reconnecting(void **state)
{
    (void)state;
    open_with("?drive=loop&reconnect=-1", NULL);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_expect(peer, 0, "GET a", "-LOADING wait\r\n");
    roan_future *future = go_on(client, "GET a", NULL);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    roan_peer_reset(peer, 0, ECONNRESET);
    assert_int_equal(roan_turn(client, 10), ROAN_OK);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_E_LOST);
    assert_int_equal(roan_scripted_opened(world), 1);
}

/* ---- fates ---- */

static void test_an_earlier_attempt_may_have_run(void **state)
{
    (void)state;
    roan_failure failure;
    open_with("?request_timeout_ms=1000", NULL);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_expect(peer, 0, "INCR a", "");
    roan_peer_ignore(roan_scripted_peer(world, 1));
    roan_peer_reset(peer, 100 * MS, ECONNRESET);
    roan_future *future = go_on(client, "INCR a", ROAN_WITH(.retry = 1));
    assert_int_equal(roan_take(future, NULL, &failure), ROAN_E_TIMEOUT);
    assert_int_equal(failure.attempts, 2);
    assert_int_equal(failure.fate, ROAN_FATE_MAY_HAVE_RUN);
}

static void test_loading_has_not_run(void **state)
{
    (void)state;
    roan_failure failure;
    open_with("?request_timeout_ms=1000&retries_max=1000", NULL);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_expect(peer, 0, "INCR a", "-LOADING wait\r\n");
    roan_peer_ignore(roan_scripted_peer(world, 1));
    roan_peer_reset(peer, 10 * MS, ECONNRESET);
    roan_future *future = go_on(client, "INCR a", NULL);
    assert_int_equal(roan_take(future, NULL, &failure), ROAN_E_TIMEOUT);
    assert_int_equal(failure.fate, ROAN_FATE_NOT_SENT);
}

/* ---- time ---- */

static void test_a_quiet_loop_is_no_silent_server(void **state)
{
    (void)state;
    open_with("?drive=loop&silence_timeout_ms=1000", NULL);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    roan_peer_take(roan_scripted_peer(world, 0), 0, 0); /* what is begun now is not sent yet */
    roan_scripted_advance(world, 2000 * MS);            /* the program did something else */
    roan_future *future = go_on(client, "GET a", NULL);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    roan_peer_take(roan_scripted_peer(world, 0), 0, -1);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(roan_turn(client, 1), ROAN_OK);
    assert_int_equal(stats().disconnects, 0);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_NIL);
}

/* BLPOP waits for as long as it likes. */
static void block_for_ever(void *unused, roan_peer *peer, size_t argc, const roan_slice *argv)
{
    if (!roan_slice_is(argv[0], "BLPOP"))
        roan_scripted_redis(unused, peer, argc, argv);
}

static void test_times_without_end(void **state)
{
    (void)state;
    roan_peer *peer = roan_scripted_peer(world, 0);
    open_with("?silence_timeout_ms=-1&request_timeout_ms=-1&write_timeout_ms=-1", NULL);
    assert_int_equal(roan_ready(client, INT32_MAX), ROAN_OK);
    roan_peer_set_latency(peer, 100 * 3600 * 1000 * MS);
    assert_int_equal(run("PING", NULL), ROAN_OK);
    assert_int_equal(run("PING", ROAN_WITH(.timeout_ms = INT32_MAX)), ROAN_OK);
    assert_int_equal(run("PING", ROAN_WITH(.timeout_ms = INT32_MIN)), ROAN_OK);
    roan_scripted_handle(world, block_for_ever, NULL);
    assert_int_equal(run("BLPOP a 9223372036854", ROAN_WITH(.timeout_ms = 1)), ROAN_E_TIMEOUT);
    roan_future *future = go_on(client, "BLPOP a 9223372036854", NULL);
    assert_int_equal(roan_wait(future, 0), ROAN_E_TIMEOUT);
    assert_false(roan_is_settled(future));
    roan_cancel(future);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_E_CANCELED);
}

/* ---- waiting in two ways ---- */

static void test_who_gives_up_waiting_leaves_the_call_to_the_loop(void **state)
{
    (void)state;
    open_with("?drive=loop", NULL);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer_set_latency(roan_scripted_peer(world, 0), 50 * MS);
    roan_future *future = go_on(client, "GET a", NULL);
    assert_int_equal(roan_wait(future, 10), ROAN_E_TIMEOUT);
    assert_int_equal(roan_wait_any(&future, 1, 10), 1);
    for (unsigned i = 0; i < 10 && !roan_is_settled(future); i++)
        assert_int_equal(roan_turn(client, 100), ROAN_OK);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_NIL);
    assert_int_equal(stats().pending, 0);
}

/* ---- secrets ---- */

static void test_no_arguments_in_texts(void **state)
{
    (void)state;
    roan_failure failure;
    open_with("?protocol=3&password=geheim", NULL);
    roan_peer_expect(roan_scripted_peer(world, 0), 0, "*",
                     "-ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, `geheim`, \r\n");
    assert_int_equal(roan_ready(client, -1), ROAN_E_CONNECT);
    assert_non_null(strstr(roan_last_failure()->text, "HELLO"));
    assert_null(strstr(roan_last_failure()->text, "geheim"));
    roan_scripted_handle(world, roan_scripted_redis, NULL);
    roan_scripted_set_redis(world, &(roan_scripted_redis_options){.size = sizeof(roan_scripted_redis_options),
                                                                  .password = "geheim"});
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer_expect(roan_scripted_peer(world, 1), 0, "NOSUCH mine",
                     "-ERR unknown command 'NOSUCH', with args beginning with: 'mine' \r\n");
    assert_int_equal(roan_take(go_on(client, "NOSUCH mine", NULL), NULL, &failure), ROAN_E_SERVER);
    assert_string_equal(failure.text, "ERR unknown command 'NOSUCH'");
    assert_string_equal(failure.server_code, "ERR");
}

/* ---- callbacks ---- */

static roan_status inside;

static void call_inside(void *argument, uint64_t id, const char *command)
{
    (void)argument;
    (void)id;
    (void)command;
    inside = run("PING", NULL);
}

static void test_no_synchronous_call_from_on_start(void **state)
{
    (void)state;
    roan_hooks hooks = {.size = sizeof hooks, .on_start = call_inside};
    inside = ROAN_OK;
    open_with("", &(roan_options){.size = sizeof(roan_options), .hooks = &hooks});
    assert_int_equal(run("GET a", NULL), ROAN_NIL);
    assert_int_equal(inside, ROAN_E_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_nobody_holds_what_is_too_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_holds_what_is_delayed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_handshake_is_answered_before_send_returns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_second_round_begins_before_send_returns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_requests_are_answered_before_send_returns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_delayed_call_on_a_lease_that_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_delayed_call_without_reconnecting, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_earlier_attempt_may_have_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_loading_has_not_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_quiet_loop_is_no_silent_server, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_times_without_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_who_gives_up_waiting_leaves_the_call_to_the_loop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_arguments_in_texts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_synchronous_call_from_on_start, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
