/* leases.c PORT: batches, leases, blocking commands and optimistic transactions on a running server, with many
 * threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <time.h>

#include "roan/batch.h"
#include "roan/client_commands.h"
#include "roan/lease.h"
#include "../lib/command_text.h"

static const char *port;
static roan *client;

static void open_client(const char *query)
{
    char uri[256];
    roan_error error = {0};
    snprintf(uri, sizeof uri, "redis://127.0.0.1:%s?%s", port, query);
    if (roan_open(&client, uri, NULL, &error) != ROAN_OK)
        fail_msg("%s", error.text);
    assert_int_equal(roan_do(client, 1, (roan_slice[]){ROAN_LITERAL("FLUSHALL")}, NULL, NULL), ROAN_OK);
}

static int close_client(void **state)
{
    (void)state;
    roan_status status = roan_close(client, 1000);
    client = NULL;
    return status == ROAN_OK ? 0 : -1;
}

static roan_client_stats stats(void)
{
    roan_client_stats now = {.size = sizeof now};
    roan_get_stats(client, &now);
    return now;
}

static roan_status run(roan *on, const char *text)
{
    roan_slice words[16];
    size_t count = split(text, words);
    return roan_do(on, count, words, NULL, NULL);
}

static void add(roan_batch *batch, const char *text)
{
    roan_slice words[16];
    size_t count = split(text, words);
    roan_batch_add(batch, count, words);
}

static int64_t number_of(const char *key)
{
    roan_bytes text;
    int64_t number = 0;
    if (roan_get(client, roan_slice_from_text(key), &text, NULL) == ROAN_OK)
        number = strtoll(text.data, NULL, 10);
    roan_bytes_free(&text);
    return number;
}

#define THREADS 16

static void with_threads(void *(*fn)(void *))
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fn, (void *)(uintptr_t)i), 0);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        if (failed != NULL)
            fail_msg("thread %zu: %s", i, (const char *)failed);
    }
}

/* What a thread hands back: its last failure, to be leaked by a test that fails. */
static void *failed(void)
{
    return strdup(roan_last_failure()->text);
}

/* ---- optimistic transactions ---- */

enum { INCREMENTS = 25 };

static roan_status increment(roan *own, roan_batch *batch, void *argument)
{
    char number[24];
    roan_bytes text;
    int64_t value = 0;
    roan_status status = roan_get(own, ROAN_LITERAL("counter"), &text, NULL);
    (void)argument;
    if (status < 0)
        return status;
    if (status == ROAN_OK)
        value = strtoll(text.data, NULL, 10);
    roan_bytes_free(&text);
    snprintf(number, sizeof number, "%lld", (long long)value + 1);
    roan_set_add(batch, ROAN_LITERAL("counter"), roan_slice_from_text(number), NULL);
    return ROAN_OK;
}

static void *increment_often(void *argument)
{
    const roan_slice key = ROAN_LITERAL("counter");
    (void)argument;
    for (int i = 0; i < INCREMENTS; i++)
        if (roan_watch(client, &key, 1, 10000, increment, NULL, NULL) != ROAN_OK)
            return failed();
    return NULL;
}

static void test_contention(void **state)
{
    static const char *const queries[] = {"drive=auto&request_timeout_ms=60000",
                                          "drive=thread&request_timeout_ms=60000",
                                          "leases_max=3&lease_timeout_ms=-1&request_timeout_ms=60000"};
    (void)state;
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
        open_client(queries[i]);
        with_threads(increment_often);
        assert_int_equal(number_of("counter"), THREADS * INCREMENTS);
        assert_int_equal(stats().leases_active, 0);
        assert_int_equal(stats().leases_destroyed, 0);
        assert_true(i != 2 || stats().leases_idle <= 3);
        assert_int_equal(close_client(state), 0);
    }
}

static roan_status disturb(roan *own, roan_batch *batch, void *argument)
{
    int *calls = argument;
    int64_t ignored;
    (void)own;
    ++*calls;
    assert_int_equal(roan_incr(client, ROAN_LITERAL("counter"), &ignored, NULL), ROAN_OK);
    add(batch, "SET counter mine");
    return ROAN_OK;
}

static void test_conflict(void **state)
{
    const roan_slice key = ROAN_LITERAL("counter");
    int calls = 0;
    (void)state;
    open_client("");
    assert_int_equal(roan_watch(client, &key, 1, 3, disturb, &calls, NULL), ROAN_E_ABORTED);
    assert_int_equal(calls, 3);
    assert_int_equal(number_of("counter"), 3);
    assert_int_equal(stats().leases_idle, 1);
}

/* ---- batches ---- */

static void test_many(void **state)
{
    enum { MANY = 100000 };
    (void)state;
    open_client("request_timeout_ms=60000");
    for (int is_atomic = 0; is_atomic < 2; is_atomic++) {
        roan_value *replies;
        roan_batch *batch = roan_batch_create(client, is_atomic);
        for (int i = 0; i < MANY; i++)
            roan_incr_add(batch, ROAN_LITERAL("n"));
        assert_int_equal(roan_batch_run(batch, &replies, NULL), ROAN_OK);
        assert_int_equal(replies->count, MANY);
        for (int i = 0; i < MANY; i++)
            assert_int_equal(replies->elements[i].integer, is_atomic * MANY + i + 1);
        roan_value_free(replies);
    }
}

/* 40 MB each way: both sides' buffers are full on the way. */
static void test_large(void **state)
{
    enum { COUNT = 400, BYTES = 100000 };
    roan_value *replies;
    char *text = malloc(BYTES);
    (void)state;
    assert_non_null(text);
    memset(text, 'x', BYTES);
    open_client("request_timeout_ms=60000");
    roan_batch *batch = roan_batch_create(client, false);
    for (int i = 0; i < COUNT; i++)
        roan_batch_add(batch, 2, (roan_slice[]){ROAN_LITERAL("ECHO"), roan_slice_make(text, BYTES)});
    assert_int_equal(roan_batch_run(batch, &replies, NULL), ROAN_OK);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(replies->elements[i].text.bytes, BYTES);
    roan_value_free(replies);
    free(text);
}

/* Nothing of others comes in between on the shared connection. */
static void *run_batches(void *argument)
{
    enum { BATCHES = 20, COMMANDS = 200 };
    for (int i = 0; i < BATCHES; i++) {
        roan_value *replies;
        bool is_consecutive = true;
        roan_batch *batch = roan_batch_create(client, ((uintptr_t)argument & 1) != 0);
        for (int k = 0; k < COMMANDS; k++)
            roan_incr_add(batch, ROAN_LITERAL("n"));
        if (roan_batch_run(batch, &replies, NULL) != ROAN_OK)
            return failed();
        for (size_t k = 1; k < replies->count; k++)
            is_consecutive &= replies->elements[k].integer == replies->elements[0].integer + (int64_t)k;
        is_consecutive &= replies->count == COMMANDS;
        roan_value_free(replies);
        if (!is_consecutive)
            return strdup("the replies are not consecutive");
        if (run(client, "PING") != ROAN_OK)
            return failed();
    }
    return NULL;
}

static void test_batches_are_contiguous(void **state)
{
    (void)state;
    open_client("");
    with_threads(run_batches);
    assert_int_equal(number_of("n"), 16 * 20 * 200);
}

static void test_errors(void **state)
{
    roan_value *replies;
    (void)state;
    open_client("");
    roan_batch *batch = roan_batch_create(client, true);
    add(batch, "SET a text");
    add(batch, "INCR a");
    add(batch, "APPEND a !");
    assert_int_equal(roan_batch_run(batch, &replies, NULL), ROAN_OK);
    assert_int_equal(replies->count, 3);
    assert_int_equal(replies->elements[1].type, ROAN_REPLY_ERROR);
    assert_int_equal(replies->elements[2].integer, 5);
    roan_value_free(replies);
    batch = roan_batch_create(client, true);
    add(batch, "APPEND a !");
    add(batch, "GET");
    assert_int_equal(roan_batch_run(batch, &replies, NULL), ROAN_E_SERVER);
    assert_non_null(strstr(roan_last_failure()->text, "wrong number of arguments"));
    int64_t length;
    assert_int_equal(roan_strlen(client, ROAN_LITERAL("a"), &length, NULL), ROAN_OK);
    assert_int_equal(length, 5);
}

/* ---- leases ---- */

static void test_dirty_and_cleaned(void **state)
{
    static const char *const dirt[] = {"SELECT 3", "MULTI", "WATCH a", "SUBSCRIBE c d", "PSUBSCRIBE c*",
                                       "CLIENT SETNAME x", "HELLO 2", "RESET", "NOSUCHCOMMAND", "CLIENT TRACKING ON"};
    (void)state;
    for (int protocol = 2; protocol <= 3; protocol++)
        for (int cleans = 0; cleans < 2; cleans++) {
            char query[128];
            snprintf(query, sizeof query, "protocol=%d&on_dirty=%s&client_name=me", protocol,
                     cleans ? "cleanup" : "destroy");
            open_client(query);
            for (size_t i = 0; i < sizeof dirt / sizeof *dirt; i++) {
                roan_lease *lease;
                roan_bytes name;
                assert_int_equal(roan_lease_take(client, &lease, 0), ROAN_OK);
                assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
                roan_status status = run(roan_lease_client(lease), dirt[i]);
                if (status != ROAN_OK && status != ROAN_E_SERVER)
                    fail_msg("%s: %s", dirt[i], roan_last_failure()->text);
                roan_lease_return(lease);
                if (stats().leases_destroyed != (cleans ? 0 : i + 1))
                    fail_msg("%s protocol %d: destroyed %d", dirt[i], protocol, (int)stats().leases_destroyed);
                assert_int_equal(roan_lease_take(client, &lease, 0), ROAN_OK);
                assert_int_equal(roan_client_getname(roan_lease_client(lease), &name, NULL), ROAN_OK);
                assert_string_equal(name.data, "me");
                roan_bytes_free(&name);
                assert_int_equal(run(roan_lease_client(lease), "SET a 1"), ROAN_OK);
                assert_int_equal(number_of("a"), 1); /* in our database, and run */
                roan_lease_return(lease);
            }
            assert_int_equal(close_client(state), 0);
        }
}

static void *take_in_turns(void *argument)
{
    (void)argument;
    for (int i = 0; i < 50; i++) {
        roan_lease *lease;
        if (roan_lease_take(client, &lease, 20000) != ROAN_OK)
            return failed();
        roan_status status = run(roan_lease_client(lease), "INCR n");
        if (i % 10 == 9)
            status = run(roan_lease_client(lease), "WATCH n"); /* dirty: the next one gets a new connection */
        roan_lease_return(lease);
        if (status != ROAN_OK)
            return failed();
    }
    return NULL;
}

static void test_line(void **state)
{
    static const char *const drives[] = {"auto", "thread", "loop"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char query[64];
        snprintf(query, sizeof query, "drive=%s&leases_max=2", drives[i]);
        open_client(query);
        with_threads(take_in_turns);
        assert_int_equal(number_of("n"), 16 * 50);
        assert_int_equal(stats().leases_active, 0);
        assert_int_equal(stats().leases_waiting, 0);
        assert_int_equal(stats().leases_destroyed, 16 * 5);
        assert_true(stats().leases_idle <= 2);
        assert_int_equal(close_client(state), 0);
    }
}

static void test_exhaustion(void **state)
{
    static const char *const drives[] = {"auto", "thread", "loop"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char query[64];
        roan_lease *lease, *other;
        snprintf(query, sizeof query, "drive=%s&leases_max=1&lease_timeout_ms=30", drives[i]);
        open_client(query);
        assert_int_equal(roan_lease_take(client, &lease, 0), ROAN_OK);
        assert_int_equal(roan_lease_take(client, &other, 0), ROAN_E_TIMEOUT);
        assert_int_equal(run(client, "BLPOP q 1"), ROAN_E_TIMEOUT);
        assert_int_equal(roan_last_failure()->fate, ROAN_FATE_NOT_SENT);
        roan_lease_return(lease);
        assert_int_equal(close_client(state), 0);
    }
}

/* Whatever drives the handle, and with nobody calling it any more. */
static void test_idle_closing(void **state)
{
    static const char *const drives[] = {"auto", "thread"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char query[64];
        roan_lease *lease;
        snprintf(query, sizeof query, "drive=%s&lease_idle_ms=20", drives[i]);
        open_client(query);
        assert_int_equal(roan_lease_take(client, &lease, 0), ROAN_OK);
        assert_int_equal(run(roan_lease_client(lease), "PING"), ROAN_OK);
        roan_lease_return(lease);
        for (int k = 0; k < 500 && stats().leases_idle > 0; k++)
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        assert_int_equal(stats().leases_idle, 0);
        assert_int_equal(close_client(state), 0);
    }
}

static void test_reserve(void **state)
{
    (void)state;
    open_client("leases_min=3");
    assert_int_equal(roan_ready(client, -1), ROAN_OK);
    for (int k = 0; k < 500 && stats().connects < 4; k++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_int_equal(stats().connects, 4);
    assert_int_equal(stats().leases_idle, 3);
}

/* ---- blocking commands ---- */

static void *pop(void *argument)
{
    roan_slice words[] = {ROAN_LITERAL("BLPOP"), ROAN_LITERAL("queue"), ROAN_LITERAL("20")};
    (void)argument;
    for (int i = 0; i < 20; i++)
        if (roan_do(client, 3, words, NULL, NULL) != ROAN_OK)
            return failed();
    return NULL;
}

static void *push(void *argument)
{
    (void)argument;
    for (int i = 0; i < 16 * 20; i++)
        if (run(client, "RPUSH queue element") != ROAN_OK)
            return failed();
    return NULL;
}

static void test_blocking(void **state)
{
    static const char *const queries[] = {"leases_max=16", "leases_max=3&lease_timeout_ms=20000",
                                          "leases_max=80&drive=thread"};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        pthread_t pusher;
        void *problem;
        open_client(queries[i]);
        assert_int_equal(pthread_create(&pusher, NULL, push, NULL), 0);
        with_threads(pop);
        pthread_join(pusher, &problem);
        assert_null(problem);
        assert_int_equal(stats().leases_active, 0);
        assert_int_equal(stats().leases_destroyed, 0);
        assert_int_equal(close_client(state), 0);
    }
}

/* More of them than fit into one poll. */
static void test_many_blocked(void **state)
{
    enum { MANY = 150 };
    roan_future *futures[MANY];
    (void)state;
    open_client("leases_max=200");
    for (int i = 0; i < MANY; i++)
        futures[i] =
            roan_go(client, 3, (roan_slice[]){ROAN_LITERAL("BLPOP"), ROAN_LITERAL("q"), ROAN_LITERAL("20")}, NULL);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(run(client, "RPUSH q x"), ROAN_OK);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(roan_take(futures[i], NULL, NULL), ROAN_OK);
    assert_int_equal(stats().leases_active, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contention),
        cmocka_unit_test_teardown(test_conflict, close_client),
        cmocka_unit_test_teardown(test_many, close_client),
        cmocka_unit_test_teardown(test_large, close_client),
        cmocka_unit_test_teardown(test_batches_are_contiguous, close_client),
        cmocka_unit_test_teardown(test_errors, close_client),
        cmocka_unit_test(test_dirty_and_cleaned),
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_exhaustion),
        cmocka_unit_test(test_idle_closing),
        cmocka_unit_test_teardown(test_reserve, close_client),
        cmocka_unit_test(test_blocking),
        cmocka_unit_test_teardown(test_many_blocked, close_client),
    };
    if (argc < 2)
        return 2;
    port = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
