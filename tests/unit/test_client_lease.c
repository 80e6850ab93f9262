/* test_client_lease.c: leased connections on the scripted transport: what makes them dirty, what is done about it, who
 * gets one when, when they are checked and closed; blocking commands; optimistic transactions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "client/handle.h"
#include "roan/lease.h"
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
    snprintf(uri, sizeof uri, "redis://shop?%s", query);
    open_uri(uri, NULL);
}

static roan_lease *take(void)
{
    roan_lease *lease;
    roan_status status = roan_lease_take(client, &lease, 0);
    if (status != ROAN_OK)
        fail_msg("%s", roan_last_failure()->text);
    return lease;
}

static roan_status run(roan *on, const char *text)
{
    return run_on(on, text, NULL);
}

static void add(roan_batch *batch, const char *text)
{
    roan_slice words[16];
    size_t count = split(text, words);
    roan_batch_add(batch, count, words);
}

/* Commands separated by '|'; one that begins with '!' comes from elsewhere. */
static void run_all(roan *on, const char *text)
{
    while (*text != '\0') {
        char one[64];
        size_t bytes = strcspn(text, "|");
        snprintf(one, sizeof one, "%.*s", (int)bytes, text);
        ROAN_IGNORE(one[0] == '!' ? run(client, one + 1) : run(on, one));
        text += bytes + (text[bytes] == '|');
    }
}

/* ---- dirt ---- */

static const struct {
    const char *commands;
    bool is_dirty;
} matrix[] = {
    {"", false},
    {"PING", false},
    {"GET a", false},
    {"INCR n|GET n", false},
    {"CLIENT ID", false},
    {"BLPOP q 0.1", false},
    {"MULTI", true},
    {"MULTI|INCR n", true},
    {"MULTI|INCR n|EXEC", false},
    {"MULTI|DISCARD", false},
    {"MULTI|GET|EXEC", false}, /* EXECABORT */
    {"MULTI|EXEC|MULTI", true},
    {"EXEC", false},
    {"DISCARD", false},
    {"WATCH a", true},
    {"WATCH a|UNWATCH", false},
    {"UNWATCH", false},
    {"WATCH a|MULTI", true},
    {"WATCH a|MULTI|EXEC", false},
    {"WATCH a|MULTI|DISCARD", false},
    {"WATCH a|MULTI|GET|EXEC", false},
    {"WATCH a|!INCR a|MULTI|INCR n|EXEC", false}, /* nil */
    {"WATCH a|MULTI|UNWATCH", true},
    {"WATCH a|UNWATCH|WATCH b", true},
    {"WATCH a|EXEC", true}, /* EXEC without MULTI: an error that ends nothing */
    {"SELECT 1", true},
    {"SELECT 1|SELECT 0", true},
    {"SELECT 99", true}, /* refused, but better safe */
    {"MULTI|SELECT 1|EXEC", true},
    {"AUTH secret", true},
    {"HELLO 2", true},
    {"HELLO", true},
    {"CLIENT REPLY ON", true},
    {"CLIENT TRACKING ON", true},
    {"CLIENT CACHING YES", true},
    {"CLIENT SETNAME x", true},
    {"CLIENT SETINFO LIB-NAME x", true},
    {"CLIENT NO-EVICT ON", true},
    {"CLIENT NO-TOUCH ON", true},
    {"READONLY", true},
    {"READWRITE", true},
    {"ASKING", true},
    {"MONITOR", true},
    {"SUBSCRIBE c", true},
    {"SUBSCRIBE c d e", true},
    {"PSUBSCRIBE c*", true},
    {"SSUBSCRIBE c", true},
    {"SUBSCRIBE c|UNSUBSCRIBE c", true},
    {"SUBSCRIBE c|!PUBLISH c hello|PING", true},
    {"SUBSCRIBE c|RESET", true}, /* the login and the protocol are gone, too */
    {"RESET", true},
    {"MULTI|RESET", true},
    {"QUIT", true},
    {"NOSUCH", true},
    {"MYMODULE.SET x", true},
    {"MULTI|NOSUCH|EXEC", true},
};

static void check_matrix(const char *query)
{
    for (size_t i = 0; i < ROAN_COUNT_OF(matrix); i++) {
        world = roan_scripted_create(11);
        roan_scripted_handle(world, roan_scripted_redis, NULL);
        open_client(query);
        roan_lease *lease = take();
        int64_t before_us = roan_scripted_now(world);
        run_all(roan_lease_client(lease), matrix[i].commands);
        if (roan_scripted_now(world) - before_us > 1000000) /* a command that nobody answered */
            fail_msg("%s: took %lld us", matrix[i].commands, (long long)(roan_scripted_now(world) - before_us));
        bool is_clean = roan_pool_is_clean(roan_lease_client(lease)->link);
        roan_lease_return(lease);
        if (is_clean == matrix[i].is_dirty || stats().leases_destroyed != matrix[i].is_dirty ||
            stats().leases_idle != !matrix[i].is_dirty || stats().leases_active != 0)
            fail_msg("%s: clean %d, destroyed %d, idle %u", matrix[i].commands, is_clean,
                     (int)stats().leases_destroyed, stats().leases_idle);
        assert_int_equal(tear_down(NULL), 0);
    }
}

static void test_matrix(void **state)
{
    (void)state;
    check_matrix("drive=loop&lease_idle_ms=-1");
    check_matrix("drive=loop&lease_idle_ms=-1&protocol=2");
}

/* Batches leave the same traces. */
static void test_batch_states(void **state)
{
    (void)state;
    static const struct {
        bool is_atomic, is_dirty;
        const char *commands[4];
    } cases[] = {
        {false, false, {"WATCH a", "MULTI", "INCR n", "EXEC"}},
        {false, true, {"WATCH a", "MULTI", "EXEC", "WATCH a"}},
        {false, true, {"SELECT 1", "GET a"}},
        {false, false, {"GET a", "BLPOP q 0.1"}},
        {true, false, {"INCR n", "GET n"}},
        {true, true, {"SELECT 1"}},
        {true, false, {"GET", "GET a"}}, /* EXECABORT */
    };
    open_client("drive=loop&lease_idle_ms=-1");
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        roan_lease *lease = take();
        roan_batch *batch = roan_batch_create(roan_lease_client(lease), cases[i].is_atomic);
        for (size_t k = 0; k < 4 && cases[i].commands[k] != NULL; k++)
            add(batch, cases[i].commands[k]);
        roan_status status = roan_batch_run(batch, NULL, NULL);
        assert_true(status == ROAN_OK || status == ROAN_E_SERVER);
        assert_int_equal(roan_pool_is_clean(roan_lease_client(lease)->link), !cases[i].is_dirty);
        roan_lease_return(lease);
    }
}

static void test_batch_blocks_on_lease(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1&request_timeout_ms=100");
    roan_lease *lease = take();
    roan_batch *batch = roan_batch_create(roan_lease_client(lease), false);
    add(batch, "BLPOP q 2");
    add(batch, "BLPOP q 3");
    int64_t before_us = roan_scripted_now(world);
    assert_int_equal(roan_batch_run(batch, NULL, NULL), ROAN_OK); /* 5.1 s would have been the deadline */
    assert_in_range(roan_scripted_now(world) - before_us, 3000000, 5100000);
    roan_lease_return(lease);
}

static void test_pending(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    roan_peer_expect(roan_scripted_peer(world, 0), 1000000, "GET a", "$1\r\nx\r\n");
    roan_future *future = go_on(roan_lease_client(lease), "GET a", NULL);
    roan_flush(roan_lease_client(lease));
    roan_lease_return(lease);
    roan_failure failure;
    assert_true(roan_is_settled(future));
    assert_int_equal(roan_take(future, NULL, &failure), ROAN_E_CLOSED);
    assert_int_equal(failure.fate, ROAN_FATE_MAY_HAVE_RUN);
    assert_int_equal(stats().leases_destroyed, 1);
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 0)));
}

static void test_abandoned(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1&late=abandon");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    roan_peer_expect(roan_scripted_peer(world, 0), 300000, "GET a", "$1\r\nx\r\n");
    roan_slice words[] = {ROAN_LITERAL("GET"), ROAN_LITERAL("a")};
    assert_int_equal(roan_do(roan_lease_client(lease), 2, words, NULL, ROAN_WITH(.timeout_ms = 100)), ROAN_E_TIMEOUT);
    assert_false(roan_pool_is_clean(roan_lease_client(lease)->link));
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK); /* behind the late reply */
    assert_true(roan_pool_is_clean(roan_lease_client(lease)->link));
    roan_lease_return(lease);
    assert_int_equal(stats().leases_idle, 1);
}

static void test_push(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    roan_peer_sendf(roan_scripted_peer(world, 0), 0, ">2\r\n$3\r\nfoo\r\n$3\r\nbar\r\n");
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    roan_lease_return(lease);
    assert_int_equal(stats().leases_destroyed, 1);
    /* the same while it is idle */
    lease = take();
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    roan_lease_return(lease);
    roan_peer_sendf(roan_scripted_peer(world, 1), 0, ">2\r\n$3\r\nfoo\r\n$3\r\nbar\r\n");
    lease = take();
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    assert_int_equal(roan_scripted_opened(world), 3);
    roan_lease_return(lease);
}

static void test_destroy(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    roan_lease_destroy(lease);
    assert_int_equal(stats().leases_destroyed, 1);
    assert_int_equal(stats().leases_active, 0);
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 0)));
    roan_lease_destroy(NULL);
    roan_lease_return(NULL);
}

static void test_lost(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "WATCH a"), ROAN_OK);
    roan_peer_reset(roan_scripted_peer(world, 0), 0, ECONNRESET);
    assert_int_equal(run(roan_lease_client(lease), "GET a"), ROAN_E_LOST);
    assert_int_equal(run(roan_lease_client(lease), "GET a"), ROAN_E_LOST); /* not on another connection */
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_NOT_SENT);
    assert_int_equal(roan_scripted_opened(world), 1);
    roan_lease_return(lease);
    assert_int_equal(stats().leases_idle, 0);
}

static void test_cannot_connect(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1");
    roan_peer_refuse(roan_scripted_peer(world, 0), 0, ECONNREFUSED);
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "GET a"), ROAN_E_CONNECT);
    roan_lease_return(lease);
    lease = take();
    assert_int_equal(run(roan_lease_client(lease), "GET a"), ROAN_NIL);
    roan_lease_return(lease);
}

/* ---- cleanup ---- */

static bool was_asked(unsigned peer, const char *text)
{
    for (size_t i = 0; i < roan_peer_request_count(roan_scripted_peer(world, peer)); i++)
        if (roan_peer_request_is(roan_scripted_peer(world, peer), i, text))
            return true;
    return false;
}

static void check_cleaned(const char *commands)
{
    roan_lease *lease = take();
    run_all(roan_lease_client(lease), commands);
    roan_lease_return(lease);
    if (stats().leases_destroyed != 0 || stats().leases_idle != 1)
        fail_msg("%s: destroyed %d", commands, (int)stats().leases_destroyed);
    /* the next one finds everything as it should be */
    lease = take();
    roan_value *reply;
    roan_slice words[] = {ROAN_LITERAL("GET"), ROAN_LITERAL("where")};
    assert_int_equal(roan_do(roan_lease_client(lease), 2, words, &reply, NULL), ROAN_OK);
    assert_memory_equal(reply->text.data, "two", 3);
    roan_value_free(reply);
    roan_slice name[] = {ROAN_LITERAL("CLIENT"), ROAN_LITERAL("GETNAME")};
    assert_int_equal(roan_do(roan_lease_client(lease), 2, name, &reply, NULL), ROAN_OK);
    assert_memory_equal(reply->text.data, "me", 2);
    roan_value_free(reply);
    assert_int_equal(run(roan_lease_client(lease), "MULTI"), ROAN_OK);
    assert_int_equal(run(roan_lease_client(lease), "DISCARD"), ROAN_OK);
    roan_lease_return(lease);
    assert_int_equal(stats().leases_idle, 1);
}

static void test_cleanup(void **state)
{
    (void)state;
    static const char *const cases[] = {"MULTI|INCR n",
                                        "WATCH a",
                                        "SELECT 1",
                                        "HELLO 2",
                                        "SUBSCRIBE c d",
                                        "RESET",
                                        "CLIENT SETNAME other",
                                        "NOSUCH",
                                        "CLIENT TRACKING ON",
                                        "SELECT 3|MULTI|WATCH a"};
    roan_scripted_set_redis(world, &(roan_scripted_redis_options){.size = sizeof(roan_scripted_redis_options),
                                                                  .password = "secret"});
    open_client("drive=loop&lease_idle_ms=-1&on_dirty=cleanup&database=2&client_name=me&password=secret");
    assert_int_equal(run(client, "SET where two"), ROAN_OK);
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++)
        check_cleaned(cases[i]);
    assert_int_equal(roan_scripted_opened(world), 2); /* the shared one, and the same lease all the time */
    assert_true(was_asked(1, "RESET"));
}

static void test_cleanup_without_reset(void **state)
{
    (void)state;
    static const char *const cases[] = {"MULTI|INCR n", "WATCH a", "SELECT 1", "SUBSCRIBE c|SUBSCRIBE d|PSUBSCRIBE e",
                                        "WATCH a|MULTI|SELECT 1"};
    roan_scripted_set_redis(world, &(roan_scripted_redis_options){.size = sizeof(roan_scripted_redis_options),
                                                                  .lacks_hello = true});
    open_client("drive=loop&lease_idle_ms=-1&on_dirty=cleanup&database=2&client_name=me");
    assert_int_equal(run(client, "SET where two"), ROAN_OK);
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++)
        check_cleaned(cases[i]);
    assert_int_equal(roan_scripted_opened(world), 2);
    assert_true(was_asked(1, "DISCARD"));
    assert_true(was_asked(1, "UNWATCH"));
    assert_true(was_asked(1, "SELECT 2"));
    assert_true(was_asked(1, "PUNSUBSCRIBE"));
    /* what cannot be undone */
    roan_lease *lease = take();
    ROAN_IGNORE(run(roan_lease_client(lease), "CLIENT SETNAME other"));
    roan_lease_return(lease);
    assert_int_equal(stats().leases_destroyed, 1);
}

static void ignore_reset(void *argument, roan_peer *peer, size_t argc, const roan_slice *argv)
{
    if (argv[0].bytes != 5 || memcmp(argv[0].data, "RESET", 5) != 0)
        roan_scripted_redis(argument, peer, argc, argv);
}

static void test_cleanup_is_bounded(void **state)
{
    (void)state;
    roan_scripted_handle(world, ignore_reset, NULL);
    open_client("drive=loop&lease_idle_ms=-1&on_dirty=cleanup");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "WATCH a"), ROAN_OK);
    int64_t before_us = roan_scripted_now(world);
    roan_lease_return(lease);
    assert_in_range(roan_scripted_now(world) - before_us, 1, 1100000);
    assert_int_equal(stats().leases_destroyed, 1);
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 0)));
}

/* The login that follows RESET fails: nobody gets this connection. */
static void test_cleanup_fails(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1&on_dirty=cleanup");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "WATCH a"), ROAN_OK);
    roan_scripted_set_redis(world, &(roan_scripted_redis_options){.size = sizeof(roan_scripted_redis_options),
                                                                  .password = "changed"});
    ROAN_IGNORE(run(client, "PING"));
    roan_failure before = *roan_last_failure();
    roan_lease_return(lease);
    assert_string_equal(roan_last_failure()->text, before.text); /* returning is no call that fails */
    assert_int_equal(stats().leases_destroyed, 1);
}

/* Replies that were still to come are waited for. */
static void test_cleanup_drains(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1&on_dirty=cleanup");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    roan_peer_expect(roan_scripted_peer(world, 0), 200000, "GET a", "$1\r\nx\r\n");
    roan_future *future = go_on(roan_lease_client(lease), "GET a", NULL);
    roan_lease_return(lease);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_OK);
    assert_int_equal(stats().leases_idle, 1);
}

/* ---- the line ---- */

static void test_exhaustion(void **state)
{
    (void)state;
    open_client("drive=auto&lease_idle_ms=-1&leases_max=2&lease_timeout_ms=250");
    roan_lease *first = take();
    roan_lease *second = take();
    roan_lease *third = (roan_lease *)(void *)&third;
    int64_t before_us = roan_scripted_now(world);
    assert_int_equal(stats().leases_active, 2);
    assert_int_equal(roan_lease_take(client, &third, 0), ROAN_E_TIMEOUT);
    assert_null(third);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_NOT_SENT);
    assert_non_null(strstr(roan_last_failure()->text, "leases_max"));
    assert_in_range(roan_scripted_now(world) - before_us, 250000, 260000);
    before_us = roan_scripted_now(world);
    assert_int_equal(roan_lease_take(client, &third, 40), ROAN_E_TIMEOUT);
    assert_in_range(roan_scripted_now(world) - before_us, 40000, 45000);
    assert_int_equal(stats().leases_waiting, 0);
    roan_lease_return(first);
    third = take();
    roan_lease_return(third);
    roan_lease_return(second);
}

static void test_exhaustion_of_blocking(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1&leases_max=1&lease_timeout_ms=250");
    roan_lease *lease = take();
    roan_future *future = go_on(client, "BLPOP q 10", NULL);
    assert_int_equal(stats().leases_waiting, 1);
    assert_in_range(roan_turn_due_ms(client), 249, 250);
    roan_scripted_advance(world, 249000);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_false(roan_is_settled(future));
    roan_scripted_advance(world, 1000);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    roan_failure failure;
    assert_true(roan_is_settled(future));
    assert_int_equal(roan_take(future, NULL, &failure), ROAN_E_TIMEOUT);
    assert_int_equal(failure.fate, ROAN_FATE_NOT_SENT);
    assert_int_equal(stats().leases_waiting, 0);
    /* canceled in line */
    future = go_on(client, "BLPOP q 10", NULL);
    roan_cancel(future);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_E_CANCELED);
    assert_int_equal(stats().leases_waiting, 0);
    roan_lease_return(lease);
}

typedef struct finish_order {
    char names[16];
    size_t count;
} finish_order;

static finish_order order;

static void note_finish(roan_future *future, void *name)
{
    order.names[order.count++] = *(const char *)name;
    roan_drop(future);
}

static void test_first_come_first_served(void **state)
{
    (void)state;
    order = (finish_order){0};
    open_client("drive=loop&lease_idle_ms=-1&leases_max=1&lease_timeout_ms=-1");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    /* later ones block for less */
    roan_then(go_on(client, "BLPOP q 0.3", NULL), note_finish, (char[]){"a"});
    roan_then(go_on(client, "BLPOP q 0.2", NULL), note_finish, (char[]){"b"});
    roan_then(go_on(client, "BLPOP q 0.1", NULL), note_finish, (char[]){"c"});
    roan_future *last = go_on(client, "BLPOP q 0.1", NULL);
    assert_int_equal(stats().leases_waiting, 4);
    roan_lease_return(lease);
    assert_int_equal(stats().leases_waiting, 3);
    assert_int_equal(roan_take(last, NULL, NULL), ROAN_NIL);
    assert_string_equal(order.names, "abc");
    assert_int_equal(roan_scripted_opened(world), 1); /* one connection for all of them */
    assert_int_equal(stats().leases_idle, 1);
}

/* ---- idle ones ---- */

static void test_idle_closing(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=1000&leases_min=1");
    roan_lease *leases[] = {take(), take(), take()};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(run(roan_lease_client(leases[i]), "PING"), ROAN_OK);
    for (size_t i = 0; i < 3; i++) {
        roan_lease_return(leases[i]);
        roan_scripted_advance(world, 100000);
    }
    assert_int_equal(stats().leases_idle, 3);
    assert_in_range(roan_turn_due_ms(client), 799, 800); /* the second one: the first one would be kept */
    roan_scripted_advance(world, 700000);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_int_equal(stats().leases_idle, 2);
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 0)));
    roan_scripted_advance(world, 5000000);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_int_equal(stats().leases_idle, 1); /* leases_min */
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 1)));
    assert_false(roan_peer_is_closed(roan_scripted_peer(world, 2)));
    assert_int_equal(stats().leases_destroyed, 0);
}

/* Where nobody does rounds, whoever comes next closes them. */
static void test_idle_closing_without_rounds(void **state)
{
    (void)state;
    open_client("drive=auto&lease_idle_ms=1000");
    roan_lease *leases[] = {take(), take()};
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(run(roan_lease_client(leases[i]), "PING"), ROAN_OK);
    for (size_t i = 0; i < 2; i++)
        roan_lease_return(leases[i]);
    roan_scripted_advance(world, 1000000);
    roan_lease_return(take());
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 0)));
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 1)));
}

static void test_check(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1&lease_check_idle_ms=5000");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "GET a"), ROAN_NIL);
    roan_lease_return(lease);
    roan_scripted_advance(world, 4999000);
    lease = take();
    roan_lease_return(lease);
    assert_false(was_asked(0, "PING"));
    roan_scripted_advance(world, 5000000);
    lease = take();
    roan_lease_return(lease);
    assert_true(was_asked(0, "PING"));
    assert_int_equal(roan_scripted_opened(world), 1);
}

static void ignore_ping(void *argument, roan_peer *peer, size_t argc, const roan_slice *argv)
{
    if (roan_peer_index(peer) != 0 || argv[0].bytes != 4 || memcmp(argv[0].data, "PING", 4) != 0)
        roan_scripted_redis(argument, peer, argc, argv);
}

static void test_check_fails(void **state)
{
    (void)state;
    roan_scripted_handle(world, ignore_ping, NULL);
    open_client("drive=loop&lease_idle_ms=-1&lease_check_idle_ms=5000");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "GET a"), ROAN_NIL);
    roan_lease_return(lease);
    roan_scripted_advance(world, 6000000);
    int64_t before_us = roan_scripted_now(world);
    lease = take();
    assert_in_range(roan_scripted_now(world) - before_us, 1, 1100000);
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 0)));
    assert_int_equal(roan_scripted_opened(world), 2);
    assert_int_equal(stats().leases_destroyed, 1);
    roan_lease_return(lease);
}

static void test_ended_while_idle(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    roan_lease_return(lease);
    roan_peer_end(roan_scripted_peer(world, 0), 0);
    lease = take();
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    assert_int_equal(roan_scripted_opened(world), 2);
    roan_lease_return(lease);
}

/* ---- in reserve ---- */

static void turn_for(int64_t us)
{
    for (int64_t end_us = roan_scripted_now(world) + us; roan_scripted_now(world) < end_us;) {
        int due_ms = roan_turn_due_ms(client);
        int64_t left_us = end_us - roan_scripted_now(world);
        if (due_ms != 0)
            roan_scripted_advance(world, due_ms < 0 ? left_us : ROAN_MIN(left_us, (int64_t)due_ms * 1000));
        assert_int_equal(roan_turn(client, 0), ROAN_OK);
    }
}

static void test_reserve(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=1000&leases_min=2&silence_timeout_ms=-1");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    turn_for(10000);
    assert_int_equal(roan_scripted_opened(world), 3);
    assert_int_equal(stats().connects, 3);
    assert_int_equal(stats().leases_idle, 2);
    turn_for(5000000);
    assert_int_equal(stats().leases_idle, 2);
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "MULTI"), ROAN_OK);
    assert_int_equal(roan_scripted_opened(world), 3);
    roan_lease_return(lease); /* dirty: closed, and another one opened in its place */
    turn_for(10000);
    assert_int_equal(stats().leases_idle, 2);
    assert_int_equal(roan_scripted_opened(world), 4);
}

/* While they cannot be opened, attempts get rarer. */
static void test_reserve_refused(void **state)
{
    (void)state;
    open_client("drive=loop&leases_min=1&silence_timeout_ms=-1");
    assert_int_equal(run(client, "PING"), ROAN_OK);
    roan_scripted_set_connecting(world, 0, ECONNREFUSED);
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    turn_for(100000000);
    assert_in_range(roan_scripted_opened(world), 6, 10); /* after 1, 2, 4, ... s */
    roan_scripted_set_connecting(world, 0, 0);
    turn_for(64000000);
    assert_int_equal(stats().leases_idle, 1);
}

/* ---- blocking commands of the shared handle ---- */

static void test_blocking(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1");
    assert_int_equal(run(client, "PING"), ROAN_OK);
    assert_int_equal(run(client, "BLPOP q 0.5"), ROAN_NIL);
    assert_int_equal(roan_scripted_opened(world), 2);
    assert_false(was_asked(0, "BLPOP q 0.5"));
    assert_int_equal(stats().leases_idle, 1);
    assert_int_equal(stats().leases_active, 0);
    assert_int_equal(run(client, "BLPOP q 0.5"), ROAN_NIL); /* the same connection again */
    assert_int_equal(roan_scripted_opened(world), 2);
    /* while one waits, others are served */
    roan_future *future = go_on(client, "BLPOP q 0.5", NULL);
    assert_int_equal(run(client, "GET a"), ROAN_NIL);
    assert_false(roan_is_settled(future));
    assert_int_equal(stats().leases_active, 1);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_NIL);
    assert_int_equal(stats().leases_destroyed, 0);
}

static void test_blocking_late_and_canceled(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1");
    roan_slice words[] = {ROAN_LITERAL("BLPOP"), ROAN_LITERAL("q"), ROAN_LITERAL("0")};
    assert_int_equal(roan_do(client, 3, words, NULL, ROAN_WITH(.timeout_ms = 50)), ROAN_E_TIMEOUT);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_MAY_HAVE_RUN);
    assert_int_equal(stats().leases_destroyed, 1);
    assert_int_equal(stats().leases_idle, 0);
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 0)));
    roan_future *future = go_on(client, "BLPOP q 0", NULL);
    turn_for(10000);
    assert_int_equal(stats().leases_active, 1);
    roan_cancel(future);
    assert_int_equal(roan_take(future, NULL, NULL), ROAN_E_CANCELED);
    assert_int_equal(stats().leases_active, 0);
    assert_int_equal(stats().leases_destroyed, 2);
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 1)));
}

/* There is no time for a PING, and nobody would notice that the connection is dead. */
static void test_blocking_takes_no_stale_one(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1&lease_check_idle_ms=5000");
    assert_int_equal(run(client, "BLPOP q 0.1"), ROAN_NIL);
    roan_scripted_advance(world, 6000000);
    assert_int_equal(run(client, "BLPOP q 0.1"), ROAN_NIL);
    assert_int_equal(roan_scripted_opened(world), 2);
    assert_true(roan_peer_is_closed(roan_scripted_peer(world, 0)));
    assert_int_equal(stats().leases_idle, 1);
}

/* Nothing is left unsettled when the handle goes, whether it was sent, in line or neither. */
static void test_closing_with_blocking(void **state)
{
    (void)state;
    static const struct {
        int drain_ms;
        roan_status status, first, second;
    } cases[] = {{0, ROAN_E_TIMEOUT, ROAN_E_CLOSED, ROAN_E_CLOSED}, /* both blocked for a second, one after the other */
                 {500, ROAN_E_TIMEOUT, ROAN_E_CLOSED, ROAN_E_CLOSED},
                 {1500, ROAN_E_TIMEOUT, ROAN_NIL, ROAN_E_CLOSED},
                 {2500, ROAN_OK, ROAN_NIL, ROAN_NIL}};
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        open_client("drive=loop&lease_idle_ms=-1&leases_max=1&lease_timeout_ms=-1");
        roan_future *first = go_on(client, "BLPOP q 1", NULL);
        roan_future *second = go_on(client, "BLPOP q 1", NULL);
        turn_for(1000);
        assert_int_equal(roan_close(client, cases[i].drain_ms), cases[i].status);
        client = NULL;
        assert_true(roan_is_settled(first));
        assert_true(roan_is_settled(second));
        assert_int_equal(roan_take(first, NULL, NULL), cases[i].first);
        assert_int_equal(roan_take(second, NULL, NULL), cases[i].second);
        assert_int_equal(roan_scripted_open_streams(world), 0);
    }
}

static void test_blocking_on_lease(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1&leases_max=1");
    roan_lease *lease = take();
    assert_int_equal(run(roan_lease_client(lease), "BLPOP q 0.5"), ROAN_NIL);
    assert_true(was_asked(0, "BLPOP q 0.5"));
    assert_int_equal(roan_scripted_opened(world), 1);
    roan_lease_return(lease);
    assert_int_equal(stats().leases_idle, 1);
}

/* ---- how it is used ---- */

static roan_status count_on(roan *own, void *argument)
{
    int *calls = argument;
    ++*calls;
    assert_int_equal(run(own, "WATCH a"), ROAN_OK);
    assert_int_equal(run(own, "UNWATCH"), ROAN_OK);
    return *calls == 2 ? ROAN_E_CANCELED : ROAN_OK;
}

static void test_with(void **state)
{
    (void)state;
    int calls = 0;
    open_client("drive=loop&lease_idle_ms=-1&leases_max=1&lease_timeout_ms=1");
    assert_int_equal(roan_with(client, count_on, &calls), ROAN_OK);
    assert_int_equal(roan_with(client, count_on, &calls), ROAN_E_CANCELED);
    assert_int_equal(calls, 2);
    assert_int_equal(stats().leases_idle, 1);
}

static void take_inside(roan_future *future, void *argument)
{
    roan_lease *lease;
    roan_status *statuses = argument;
    roan_drop(future);
    statuses[0] = roan_lease_take(client, &lease, 0);
    statuses[1] = roan_watch(client, &(roan_slice){"a", 1}, 1, 1, NULL, NULL, NULL);
}

static void test_refusals(void **state)
{
    (void)state;
    roan_status statuses[2] = {ROAN_OK, ROAN_OK};
    open_client("drive=loop&lease_idle_ms=-1");
    roan_lease *lease = take();
    assert_int_equal(roan_close(roan_lease_client(lease), 0), ROAN_E_USAGE);
    roan_then(go_on(roan_lease_client(lease), "PING", NULL), take_inside, statuses);
    assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
    assert_int_equal(roan_turn(client, 0), ROAN_OK);
    assert_int_equal(statuses[0], ROAN_E_USAGE);
    assert_int_equal(statuses[1], ROAN_E_USAGE);
    assert_int_equal(roan_ready(roan_lease_client(lease), -1), ROAN_OK);
    assert_int_equal(roan_watch(client, NULL, 0, 1, NULL, NULL, NULL), ROAN_E_USAGE);
    /* a lease from a lease is one of the same pool */
    roan_lease *other;
    assert_int_equal(roan_lease_take(roan_lease_client(lease), &other, 0), ROAN_OK);
    assert_int_equal(stats().leases_active, 2);
    roan_lease_return(other);
    roan_lease_return(lease);
}

static void test_fork(void **state)
{
    (void)state;
    open_client("drive=loop&lease_idle_ms=-1");
    roan_lease *lease = take();
    roan_lease *idle = take();
    roan *own = roan_lease_client(lease);
    assert_int_equal(run(own, "WATCH a"), ROAN_OK);
    assert_int_equal(run(roan_lease_client(idle), "PING"), ROAN_OK);
    roan_lease_return(idle);
    pid_t child = fork();
    if (child == 0) {
        bool is_right = run(own, "GET a") == ROAN_E_FORKED && roan_ready(own, -1) == ROAN_E_FORKED;
        roan_batch *batch = roan_batch_create(own, false);
        add(batch, "GET a");
        is_right = is_right && roan_batch_run(batch, NULL, NULL) == ROAN_E_FORKED;
        roan_lease_return(lease);
        is_right = is_right && roan_lease_take(client, &lease, 0) == ROAN_OK &&
                   run(roan_lease_client(lease), "GET a") == ROAN_NIL && stats().leases_active == 1;
        roan_lease_return(lease);
        is_right = is_right && roan_close(client, 0) == ROAN_OK;
        _exit(is_right ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(run(own, "UNWATCH"), ROAN_OK); /* the parent's is as it was */
    roan_lease_return(lease);
    assert_int_equal(stats().leases_idle, 2);
}

/* ---- optimistic transactions ---- */

typedef struct rival {
    int calls;
    int conflicts; /* so often somebody else is faster */
    roan_status result;
    const char *command; /* added to the batch; NULL: none */
} rival;

static roan_status increment(roan *own, roan_batch *batch, void *argument)
{
    rival *other = argument;
    roan_value *reply = NULL;
    roan_slice words[] = {ROAN_LITERAL("GET"), ROAN_LITERAL("n")};
    roan_status status = roan_do(own, 2, words, &reply, NULL);
    assert_true(status == ROAN_OK || status == ROAN_NIL);
    roan_value_free(reply);
    if (++other->calls <= other->conflicts)
        assert_int_equal(run(client, "INCR n"), ROAN_OK);
    if (other->command != NULL)
        add(batch, other->command);
    return other->result;
}

#define KEYS (&(roan_slice){"n", 1}), 1

static void test_watch(void **state)
{
    (void)state;
    roan_value *replies;
    rival other = {.command = "INCR n"};
    open_client("drive=loop&lease_idle_ms=-1");
    assert_int_equal(roan_watch(client, KEYS, 0, increment, &other, &replies), ROAN_OK);
    assert_int_equal(other.calls, 1);
    assert_int_equal(replies->count, 1);
    assert_int_equal(replies->elements[0].integer, 1);
    roan_value_free(replies);
    other = (rival){.command = "INCR n", .conflicts = 3};
    assert_int_equal(roan_watch(client, KEYS, 4, increment, &other, &replies), ROAN_OK);
    assert_int_equal(other.calls, 4);
    assert_int_equal(replies->elements[0].integer, 5);
    roan_value_free(replies);
    assert_int_equal(stats().leases_idle, 1);
    assert_int_equal(stats().leases_destroyed, 0);
}

static void test_watch_gives_up(void **state)
{
    (void)state;
    roan_value *replies = (roan_value *)(void *)&replies;
    rival other = {.command = "INCR n", .conflicts = 100};
    open_client("drive=loop&lease_idle_ms=-1");
    assert_int_equal(roan_watch(client, KEYS, 5, increment, &other, &replies), ROAN_E_ABORTED);
    assert_int_equal(other.calls, 5);
    assert_int_equal(roan_last_failure()->attempts, 5);
    assert_int_equal(roan_last_failure()->code, ROAN_E_ABORTED);
    assert_null(replies);
    other.calls = 0;
    assert_int_equal(roan_watch(client, KEYS, 0, increment, &other, NULL), ROAN_E_ABORTED);
    assert_int_equal(other.calls, 16);
    assert_int_equal(stats().leases_idle, 1); /* an aborted EXEC has ended the watch */
}

static void test_watch_stopped(void **state)
{
    (void)state;
    rival other = {.command = "INCR n", .result = ROAN_E_ABORTED};
    open_client("drive=loop&lease_idle_ms=-1");
    assert_int_equal(roan_watch(client, KEYS, 5, increment, &other, NULL), ROAN_E_ABORTED);
    assert_int_equal(other.calls, 1); /* its own word, not a conflict */
    other = (rival){.result = ROAN_NIL};
    assert_int_equal(roan_watch(client, KEYS, 5, increment, &other, NULL), ROAN_NIL);
    assert_true(was_asked(0, "UNWATCH"));
    assert_false(was_asked(0, "EXEC"));
    assert_int_equal(stats().leases_idle, 1);
}

static void test_watch_nothing_to_do(void **state)
{
    (void)state;
    roan_value *replies;
    rival other = {0};
    open_client("drive=loop&lease_idle_ms=-1");
    assert_int_equal(roan_watch(client, KEYS, 5, increment, &other, &replies), ROAN_OK);
    assert_int_equal(replies->count, 0);
    roan_value_free(replies);
    assert_false(was_asked(0, "EXEC"));
    other.command = "SUBSCRIBE c";
    assert_int_equal(roan_watch(client, KEYS, 5, increment, &other, &replies), ROAN_E_USAGE);
    assert_non_null(strstr(roan_last_failure()->text, "subscribe"));
    assert_int_equal(stats().leases_idle, 1);
    assert_int_equal(stats().leases_destroyed, 0);
}

static void test_watch_on_lease(void **state)
{
    (void)state;
    roan_value *replies;
    rival other = {.command = "INCR n", .conflicts = 1};
    open_client("drive=loop&lease_idle_ms=-1&leases_max=1");
    roan_lease *lease = take();
    assert_int_equal(roan_watch(roan_lease_client(lease), KEYS, 5, increment, &other, &replies), ROAN_OK);
    assert_int_equal(replies->elements[0].integer, 2);
    roan_value_free(replies);
    roan_lease_return(lease);
    assert_int_equal(stats().leases_idle, 1);
}

static void test_watch_lost(void **state)
{
    (void)state;
    rival other = {.command = "INCR n"};
    open_client("drive=loop&lease_idle_ms=-1");
    roan_peer_expect(roan_scripted_peer(world, 1), 0, "*", "");
    assert_int_equal(run(client, "PING"), ROAN_OK);
    roan_peer_reset(roan_scripted_peer(world, 1), 50000, ECONNRESET);
    assert_int_equal(roan_watch(client, KEYS, 5, increment, &other, NULL), ROAN_E_CONNECT);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_NOT_SENT);
    assert_int_equal(other.calls, 0);
    assert_int_equal(stats().leases_active, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrix),
        cmocka_unit_test_setup_teardown(test_batch_states, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_batch_blocks_on_lease, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pending, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_abandoned, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_push, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_destroy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cannot_connect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cleanup, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cleanup_without_reset, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cleanup_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cleanup_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cleanup_drains, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_exhaustion, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_exhaustion_of_blocking, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_first_come_first_served, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_idle_closing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_idle_closing_without_rounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_check_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ended_while_idle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reserve, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reserve_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_blocking, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_blocking_late_and_canceled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_blocking_takes_no_stale_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_closing_with_blocking, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_blocking_on_lease, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_with, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fork, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch_gives_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch_nothing_to_do, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch_on_lease, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_watch_lost, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
