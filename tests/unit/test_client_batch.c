/* test_client_batch.c: batches, on the scripted transport: their results, what they refuse, and every place where a
 * connection can break under one. */
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
#include "roan/batch.h"
#include "roan/client_commands.h"
#include "roan/scripted.h"
#include "client_world.h"

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

/* With drive=loop only the test's thread does anything. */
static void open_client(const char *query)
{
    char uri[256];
    snprintf(uri, sizeof uri, "redis://shop?drive=loop%s%s", *query != '\0' ? "&" : "", query);
    open_uri(uri, NULL);
}

static void add(roan_batch *batch, const char *text)
{
    roan_slice words[16];
    size_t count = split(text, words);
    roan_batch_add(batch, count, words);
}

static roan_batch *make(bool is_atomic, const char *const *texts)
{
    roan_batch *batch = roan_batch_create(client, is_atomic);
    assert_non_null(batch);
    for (; *texts != NULL; texts++)
        add(batch, *texts);
    return batch;
}

#define COMMANDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void assert_text(const roan_value *value, roan_reply_type type, const char *text)
{
    assert_int_equal(value->type, type);
    assert_int_equal(value->text.bytes, strlen(text));
    assert_memory_equal(value->text.data, text, strlen(text));
}

static size_t requests_of_peer(unsigned peer)
{
    return roan_peer_request_count(roan_scripted_peer(world, peer));
}

/* ---- results ---- */

static void test_plain(void **state)
{
    (void)state;
    roan_value *replies;
    open_client("");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    uint64_t sends = roan_peer_sends(roan_scripted_peer(world, 0));
    roan_batch *batch = make(false, COMMANDS("SET a x", "INCR a", "GET a", "GET none", "INCR n"));
    assert_int_equal(roan_batch_count(batch), 5);
    assert_int_equal(roan_batch_run(batch, &replies, NULL), ROAN_OK);
    assert_int_equal(replies->type, ROAN_REPLY_ARRAY);
    assert_int_equal(replies->count, 5);
    assert_text(&replies->elements[0], ROAN_REPLY_STATUS, "OK");
    assert_int_equal(replies->elements[1].type, ROAN_REPLY_ERROR); /* and the others are answered all the same */
    assert_text(&replies->elements[2], ROAN_REPLY_BULK, "x");
    assert_int_equal(replies->elements[3].type, ROAN_REPLY_NULL);
    assert_int_equal(replies->elements[4].integer, 1);
    roan_value_free(replies);
    assert_int_equal(roan_peer_sends(roan_scripted_peer(world, 0)), sends + 1);
}

static void test_atomic(void **state)
{
    (void)state;
    roan_value *replies;
    open_client("");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    size_t before = requests_of_peer(0);
    assert_int_equal(roan_batch_run(make(true, COMMANDS("SET a x", "INCR a", "GET a")), &replies, NULL), ROAN_OK);
    assert_int_equal(replies->count, 3);
    assert_text(&replies->elements[0], ROAN_REPLY_STATUS, "OK");
    assert_int_equal(replies->elements[1].type, ROAN_REPLY_ERROR); /* takes nothing back */
    assert_text(&replies->elements[2], ROAN_REPLY_BULK, "x");
    roan_value_free(replies);
    assert_true(roan_peer_request_is(roan_scripted_peer(world, 0), before, "MULTI"));
    assert_true(roan_peer_request_is(roan_scripted_peer(world, 0), before + 1, "SET a x"));
    assert_true(roan_peer_request_is(roan_scripted_peer(world, 0), before + 4, "EXEC"));
}

static void test_replies_not_wanted(void **state)
{
    (void)state;
    open_client("");
    assert_int_equal(roan_batch_run(make(false, COMMANDS("SET a 1", "INCR a")), NULL, NULL), ROAN_OK);
    assert_int_equal(roan_batch_run(make(true, COMMANDS("INCR a")), NULL, NULL), ROAN_OK);
    int64_t value;
    assert_int_equal(roan_incr(client, ROAN_LITERAL("a"), &value, NULL), ROAN_OK);
    assert_int_equal(value, 4);
}

static void test_queue_error(void **state)
{
    (void)state;
    roan_value *replies;
    open_client("");
    roan_status status = roan_batch_run(make(true, COMMANDS("SET a 1", "NOSUCH x", "GET")), &replies, NULL);
    assert_int_equal(status, ROAN_E_SERVER);
    assert_null(replies);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_RAN);
    assert_string_equal(roan_last_failure()->server_code, "ERR");
    assert_non_null(strstr(roan_last_failure()->text, "unknown command"));
    assert_string_equal(roan_last_failure()->node, "shop:6379");
    assert_int_equal(roan_do(client, 2, (roan_slice[]){ROAN_LITERAL("GET"), ROAN_LITERAL("a")}, NULL, NULL), ROAN_NIL);
}

static void check_exec(const char *multi, const char *queued, const char *exec, roan_status expected, const char *text)
{
    roan_value *replies;
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_expect(peer, 0, "MULTI", multi);
    roan_peer_expect(peer, 0, "GET a", queued);
    roan_peer_expect(peer, 0, "EXEC", exec);
    assert_int_equal(roan_batch_run(make(true, COMMANDS("GET a")), &replies, NULL), expected);
    assert_null(replies);
    if (strstr(roan_last_failure()->text, text) == NULL)
        fail_msg("%s", roan_last_failure()->text);
}

static void test_exec_answers(void **state)
{
    (void)state;
    open_client("");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    check_exec("+OK\r\n", "+QUEUED\r\n", "*-1\r\n", ROAN_E_ABORTED, "watched key");
    check_exec("+OK\r\n", "+QUEUED\r\n", "_\r\n", ROAN_E_ABORTED, "watched key");
    check_exec("+OK\r\n", "-NOPERM no\r\n", "-EXECABORT because\r\n", ROAN_E_SERVER, "NOPERM no");
    check_exec("+OK\r\n", "+QUEUED\r\n", "-EXECABORT of memory\r\n", ROAN_E_SERVER, "EXECABORT of memory");
    check_exec("-NOPERM multi\r\n", "$1\r\nx\r\n", "-ERR EXEC without MULTI\r\n", ROAN_E_SERVER, "NOPERM multi");
    check_exec("+OK\r\n", "+QUEUED\r\n", "*2\r\n:1\r\n:2\r\n", ROAN_E_PROTOCOL, "2 replies to 1 command");
    check_exec("+OK\r\n", "+QUEUED\r\n", "+OK\r\n", ROAN_E_PROTOCOL, "EXEC");
}

static void test_empty(void **state)
{
    (void)state;
    roan_value *replies;
    open_client("");
    for (int is_atomic = 0; is_atomic < 2; is_atomic++) {
        assert_int_equal(roan_batch_run(roan_batch_create(client, is_atomic), &replies, NULL), ROAN_OK);
        assert_int_equal(replies->type, ROAN_REPLY_ARRAY);
        assert_int_equal(replies->count, 0);
        roan_value_free(replies);
    }
    assert_int_equal(roan_scripted_opened(world), 0);
}

static void test_no_memory(void **state)
{
    (void)state;
    roan_value *replies = (roan_value *)(void *)&replies;
    add(NULL, "GET a");
    assert_int_equal(roan_batch_count(NULL), 0);
    assert_int_equal(roan_batch_run(NULL, &replies, NULL), ROAN_E_NOMEM);
    assert_null(replies);
    roan_future *future = roan_batch_go(NULL, NULL);
    assert_true(roan_is_settled(future));
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_E_NOMEM);
    assert_null(roan_batch_free(NULL));
}

static void test_given_up(void **state)
{
    (void)state;
    open_client("");
    assert_null(roan_batch_free(make(true, COMMANDS("GET a", "GET b"))));
    assert_int_equal(roan_scripted_opened(world), 0);
}

static void test_typed(void **state)
{
    (void)state;
    roan_value *replies;
    open_client("");
    roan_batch *batch = roan_batch_create(client, false);
    roan_incrby_add(batch, ROAN_LITERAL("n"), 41);
    roan_incr_add(batch, ROAN_LITERAL("n"));
    assert_int_equal(roan_batch_run(batch, &replies, NULL), ROAN_OK);
    assert_int_equal(replies->elements[1].integer, 42);
    roan_value_free(replies);
}

static void test_typed_refused(void **state)
{
    (void)state;
    open_client("");
    roan_batch *batch = roan_batch_create(client, false);
    roan_words words;
    roan_words_init(&words);
    roan_words_fail(&words, ROAN_E_USAGE, "a choice is missing");
    roan_words_batch(batch, &words);
    add(batch, "GET a");
    assert_int_equal(roan_batch_run(batch, NULL, NULL), ROAN_E_USAGE);
    assert_string_equal(roan_last_failure()->text, "a choice is missing");
    assert_int_equal(roan_scripted_opened(world), 0);
}

/* ---- refusals ---- */

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        bool is_atomic;
        const char *command, *text;
    } cases[] = {
        {false, "SELECT 3", "select"},       {false, "MULTI", "multi"},         {false, "WATCH a", "watch"},
        {false, "SUBSCRIBE c", "subscribe"}, {false, "BLPOP q 1", "blpop"},     {false, "WAIT 1 0", "wait"},
        {true, "SELECT 3", "select"},        {true, "MULTI", "multi"},          {true, "EXEC", "exec"},
        {true, "WATCH a", "watch"},          {true, "DISCARD", "discard"},      {true, "RESET", "reset"},
        {true, "QUIT", "quit"},              {true, "client reply off", "reply"}, {false, "MONITOR", "monitor"},
        {false, "", "needs a name"},         {true, "AUTH x", "auth"},
    };
    open_client("");
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        roan_batch *batch = roan_batch_create(client, cases[i].is_atomic);
        add(batch, "GET a");
        add(batch, cases[i].command);
        add(batch, "NOT looked at");
        assert_int_equal(roan_batch_count(batch), 1);
        roan_failure failure;
        assert_int_equal(roan_take(roan_batch_go(batch, NULL), NULL, &failure), ROAN_E_USAGE);
        assert_int_equal(failure.fate, ROAN_FATE_NOT_SENT);
        if (strstr(failure.text, cases[i].text) == NULL)
            fail_msg("%s: %s", cases[i].command, failure.text);
    }
    assert_int_equal(roan_scripted_opened(world), 0);
}

static void test_blocking_in_transaction(void **state)
{
    (void)state;
    roan_value *replies;
    open_client("");
    assert_int_equal(roan_batch_run(make(true, COMMANDS("BLPOP q 0", "INCR n")), &replies, NULL), ROAN_OK);
    assert_int_equal(replies->elements[1].integer, 1);
    roan_value_free(replies);
    assert_int_equal(roan_scripted_opened(world), 1); /* no lease was needed */
}

static void refuse_inside(roan_future *future, void *argument)
{
    roan_status *status = argument;
    roan_drop(future);
    *status = roan_batch_run(make(false, COMMANDS("GET a")), NULL, NULL);
}

static void test_in_callback(void **state)
{
    (void)state;
    roan_status status = ROAN_OK;
    open_client("");
    roan_future *future = roan_batch_go(make(false, COMMANDS("GET a")), NULL);
    roan_then(roan_keep(future), refuse_inside, &status);
    assert_int_equal(roan_wait(future, -1), ROAN_OK);
    roan_drop(future);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_int_equal(status, ROAN_E_USAGE);
}

/* ---- the prefix ---- */

static void test_prefix(void **state)
{
    (void)state;
    roan_value *replies;
    open_client("key_prefix=p:");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_expect(peer, 0, "SET p:a 1", "+OK\r\n");
    roan_peer_expect(peer, 0, "KEYS p:*", "*2\r\n$3\r\np:a\r\n$3\r\np:b\r\n");
    roan_peer_expect(peer, 0, "GET p:a", "$3\r\np:x\r\n"); /* a value, not a key */
    assert_int_equal(roan_batch_run(make(false, COMMANDS("SET a 1", "KEYS *", "GET a")), &replies, NULL), ROAN_OK);
    assert_text(&replies->elements[1].elements[1], ROAN_REPLY_BULK, "b");
    assert_text(&replies->elements[2], ROAN_REPLY_BULK, "p:x");
    roan_value_free(replies);
    roan_peer_expect(peer, 0, "MULTI", "+OK\r\n");
    roan_peer_expect(peer, 0, "RANDOMKEY", "+QUEUED\r\n");
    roan_peer_expect(peer, 0, "DEL p:a p:b", "+QUEUED\r\n");
    roan_peer_expect(peer, 0, "EXEC", "*2\r\n$3\r\np:a\r\n:2\r\n");
    assert_int_equal(roan_batch_run(make(true, COMMANDS("RANDOMKEY", "DEL a b")), &replies, NULL), ROAN_OK);
    assert_text(&replies->elements[0], ROAN_REPLY_BULK, "a");
    roan_value_free(replies);
    assert_int_equal(roan_batch_run(make(false, COMMANDS("GET a", "NOSUCH x")), NULL, NULL), ROAN_E_USAGE);
}

/* ---- time ---- */

static void test_deadline(void **state)
{
    (void)state;
    open_client("request_timeout_ms=300&late=abandon");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_peer_expect(peer, 0, "GET a", "$1\r\nx\r\n"); /* the first is answered in time, the second is not */
    roan_peer_expect(peer, 400000, "GET b", "$1\r\ny\r\n");
    int64_t before_us = roan_scripted_now(world);
    assert_int_equal(roan_batch_run(make(false, COMMANDS("GET a", "GET b")), NULL, NULL), ROAN_E_TIMEOUT);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_MAY_HAVE_RUN);
    assert_int_equal((roan_scripted_now(world) - before_us) / 1000, 300);
    /* the late reply is not taken for that of another */
    int64_t value;
    assert_int_equal(roan_incr(client, ROAN_LITERAL("n"), &value, NULL), ROAN_OK);
    assert_int_equal(value, 1);
    assert_int_equal(roan_scripted_opened(world), 1);
}

static void test_call_deadline(void **state)
{
    (void)state;
    open_client("");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer_expect(roan_scripted_peer(world, 0), 400000, "GET a", "$1\r\nx\r\n");
    int64_t before_us = roan_scripted_now(world);
    assert_int_equal(roan_batch_run(make(false, COMMANDS("GET a")), NULL, ROAN_WITH(.timeout_ms = 50)), ROAN_E_TIMEOUT);
    assert_int_equal((roan_scripted_now(world) - before_us) / 1000, 50);
}

static void test_cancel(void **state)
{
    (void)state;
    open_client("");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_peer_expect(roan_scripted_peer(world, 0), 1000, "GET a", "$1\r\nx\r\n");
    roan_peer_expect(roan_scripted_peer(world, 0), 2000, "GET b", "$1\r\ny\r\n");
    roan_future *future = roan_batch_go(make(false, COMMANDS("GET a", "GET b")), NULL);
    roan_flush(client);
    roan_cancel(future);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_E_CANCELED);
    int64_t value;
    assert_int_equal(roan_incr(client, ROAN_LITERAL("n"), &value, NULL), ROAN_OK);
    assert_int_equal(value, 1);
}

/* ---- broken connections ---- */

typedef struct attempt {
    bool is_atomic, retries, counts_sent; /* sent bytes, or received ones */
    size_t take_max;
} attempt;

/* Runs the batch over a first connection that breaks after so many bytes. Returns the bytes of the whole. */
static void run_cut(const attempt *how, uint64_t handshake, uint64_t whole, uint64_t bytes)
{
    roan_peer *peer = roan_scripted_peer(world, 0);
    roan_value *replies;
    roan_peer_set_take_max(peer, how->take_max);
    if (how->counts_sent)
        roan_peer_cut_sent(peer, bytes, ECONNRESET);
    else
        roan_peer_cut_received(peer, bytes, ECONNRESET);
    open_client("backoff_first_ms=1&backoff_jitter_percent=-1");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_status status = roan_batch_run(make(how->is_atomic, COMMANDS("SET a 1", "INCR a", "GET a")), &replies,
                                        ROAN_WITH(.retry = how->retries ? 1 : 0));
    bool is_unsent = how->counts_sent && bytes <= handshake; /* found out before anything of the batch was sent */
    bool is_whole = !how->counts_sent && bytes >= whole;
    if (is_unsent || is_whole || how->retries) {
        assert_int_equal(status, ROAN_OK);
        assert_int_equal(replies->count, 3);
        assert_text(&replies->elements[2], ROAN_REPLY_BULK, "2");
        roan_value_free(replies);
    } else {
        assert_int_equal(status, ROAN_E_LOST);
        assert_int_equal(roan_last_failure()->fate, ROAN_FATE_MAY_HAVE_RUN);
        assert_null(replies);
        assert_int_equal(roan_do(client, 1, (roan_slice[]){ROAN_LITERAL("PING")}, NULL, NULL), ROAN_OK);
    }
}

/* How many bytes the handshake and the batch are, in this direction. */
static void measure(const attempt *how, uint64_t *ret_handshake, uint64_t *ret_whole)
{
    roan_peer *peer = roan_scripted_peer(world, 0);
    open_client("");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    *ret_handshake = how->counts_sent ? roan_peer_log(peer).bytes : roan_peer_received_bytes(peer);
    assert_int_equal(roan_batch_run(make(how->is_atomic, COMMANDS("SET a 1", "INCR a", "GET a")), NULL, NULL), ROAN_OK);
    *ret_whole = how->counts_sent ? roan_peer_log(peer).bytes : roan_peer_received_bytes(peer);
}

static void test_cuts(void **state)
{
    for (unsigned i = 0; i < 16; i++) {
        attempt how = {(i & 1) != 0, (i & 2) != 0, (i & 4) != 0, (i & 8) != 0 ? 7 : 0};
        uint64_t handshake, whole;
        measure(&how, &handshake, &whole);
        assert_true(whole > handshake);
        for (uint64_t bytes = handshake + 1; bytes <= whole; bytes++) {
            assert_int_equal(tear_down(state), 0);
            set_up(state);
            run_cut(&how, handshake, whole, bytes);
        }
        assert_int_equal(tear_down(state), 0);
        set_up(state);
    }
}

/* The connection has ended before: nothing is sent on it, and the batch goes out on the next one. */
static void test_ended_before(void **state)
{
    (void)state;
    roan_value *replies;
    open_client("");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    roan_scripted_advance(world, 2000000);
    roan_peer_end(roan_scripted_peer(world, 0), 0);
    assert_int_equal(roan_batch_run(make(false, COMMANDS("INCR a", "INCR a")), &replies, NULL), ROAN_OK);
    assert_int_equal(replies->elements[1].integer, 2);
    roan_value_free(replies);
    assert_int_equal(roan_scripted_opened(world), 2);
}

/* ---- many ---- */

static void test_many(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    roan_value *replies;
    open_client("request_timeout_ms=-1");
    for (int is_atomic = 0; is_atomic < 2; is_atomic++) {
        roan_batch *batch = roan_batch_create(client, is_atomic);
        roan_slice words[] = {ROAN_LITERAL("INCR"), ROAN_LITERAL("n")};
        for (int i = 0; i < MANY; i++)
            roan_batch_add(batch, 2, words);
        assert_int_equal(roan_batch_run(batch, &replies, NULL), ROAN_OK);
        assert_int_equal(replies->count, MANY);
        for (int i = 0; i < MANY; i++)
            assert_int_equal(replies->elements[i].integer, is_atomic * MANY + i + 1);
        roan_value_free(replies);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_atomic, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replies_not_wanted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_queue_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_exec_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_given_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_typed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_typed_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_blocking_in_transaction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_in_callback, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prefix, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_call_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cuts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ended_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
