/* test_servers.c: one handle and real servers in all their moods: restarted, stopped, killed, full, loading,
 * read-only, with no place for another client; many threads, fork(), binary and large values.
 *
 *     test_servers PROGRAM ARGUMENT...     the server's command, with {port} in it
 *
 * What has to do with time alone is tested on the scripted transport (tests/unit/test_client_link.c); what is here
 * needs a server, threads or processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/number.h"
#include "roan/batch.h"
#include "roan/client.h"
#include "server_process.h"
#include "../lib/command_text.h"

#define THREADS 16
#define ROUNDS 300

static server_process server;
static roan *client;

static int set_up(void **state)
{
    (void)state;
    server.port = server_free_port();
    return server_start(&server) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    roan_close(client, 0);
    client = NULL;
    server_kill(&server);
    return 0;
}

static void open_with(const char *query)
{
    char uri[128];
    roan_error error;

    snprintf(uri, sizeof uri, "redis://127.0.0.1:%d%s", server.port, query);
    if (roan_open(&client, uri, NULL, &error) != ROAN_OK)
        fail_msg("%s", error.text);
}

static roan_status run_on(roan *handle, const char *text, roan_value **ret_reply, const roan_call *call)
{
    roan_slice words[16];
    size_t count = split(text, words);

    return roan_do(handle, count, words, ret_reply, call);
}

static roan_status run(const char *text)
{
    return run_on(client, text, NULL, NULL);
}

static void sleep_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    nanosleep(&time, NULL);
}

static int64_t now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* ---- threads ---- */

static void *read_and_write(void *argument)
{
    char key[32], value[64];
    long number = (long)(intptr_t)argument;

    for (long i = 0; i < ROUNDS; i++) {
        roan_slice set[] = {ROAN_LITERAL("SET"), {key, (size_t)snprintf(key, sizeof key, "t%ld", number)},
                            {value, (size_t)snprintf(value, sizeof value, "%ld-%ld", number, i)}};
        roan_slice get[] = {ROAN_LITERAL("GET"), set[1]};
        roan_slice increment[] = {ROAN_LITERAL("INCR"), ROAN_LITERAL("all")};
        roan_future *later = roan_go(client, 2, increment, NULL);
        roan_value *reply;
        if (roan_do(client, 3, set, NULL, NULL) != ROAN_OK || roan_do(client, 2, get, &reply, NULL) != ROAN_OK)
            return (void *)(uintptr_t)"a call failed";
        bool is_same = reply->text.bytes == set[2].bytes && memcmp(reply->text.data, value, set[2].bytes) == 0;
        roan_value_free(reply);
        if (!is_same)
            return (void *)(uintptr_t)"somebody else's reply";
        if (roan_take(later, NULL, NULL) != ROAN_OK)
            return (void *)(uintptr_t)"a future failed";
    }
    return NULL;
}

static void threads_share(const char *query)
{
    pthread_t threads[THREADS];
    roan_value *reply;
    void *problem = NULL;

    open_with(query);
    assert_int_equal(run("DEL all"), ROAN_OK);
    for (long i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_and_write, (void *)(intptr_t)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        pthread_join(threads[i], &result);
        problem = result != NULL ? result : problem;
    }
    if (problem != NULL)
        fail_msg("%s: %s", (const char *)problem, roan_last_failure()->text);
    assert_int_equal(run_on(client, "GET all", &reply, NULL), ROAN_OK);
    char expected[24];
    snprintf(expected, sizeof expected, "%d", THREADS * ROUNDS);
    assert_true(roan_slice_equal(reply->text, roan_slice_from_text(expected)));
    roan_value_free(reply);
    assert_int_equal(roan_close(client, 1000), ROAN_OK);
    client = NULL;
}

static void test_threads_share_one_handle(void **state)
{
    (void)state;
    threads_share("");
    threads_share("?drive=thread");
    threads_share("?protocol=2&drive=auto");
}

/* ---- servers that go away ---- */

static void test_a_restart_is_survived(void **state)
{
    (void)state;
    open_with("?backoff_first_ms=10");
    assert_int_equal(run("SET k before"), ROAN_OK);
    server_kill(&server);
    sleep_ms(300); /* long enough for the client to look before it sends */
    int64_t before = now_ms();
    roan_slice words[] = {ROAN_LITERAL("INCR"), ROAN_LITERAL("n")};
    roan_future *future = roan_go(client, 2, words, ROAN_WITH(.timeout_ms = 8000)); /* waits for the server */
    sleep_ms(200);
    assert_true(server_start(&server));
    roan_failure failure;
    if (roan_take(future, NULL, &failure) != ROAN_OK)
        fail_msg("%s", failure.text);
    assert_true(now_ms() - before < 8000);
    assert_int_equal(run("SET k after"), ROAN_OK);
    roan_client_stats stats = {.size = sizeof stats};
    roan_get_stats(client, &stats);
    assert_int_equal(stats.disconnects, 1);
    assert_int_equal(stats.connects, 2);
}

static void test_a_server_that_stays_away_ends_calls_at_their_deadline(void **state)
{
    (void)state;
    open_with("?request_timeout_ms=300&backoff_first_ms=20");
    assert_int_equal(run("PING"), ROAN_OK);
    server_kill(&server);
    int64_t before = now_ms();
    roan_status status = run("INCR n");
    assert_true(status == ROAN_E_TIMEOUT || status == ROAN_E_LOST);
    assert_int_equal(run("INCR n"), ROAN_E_TIMEOUT);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_NOT_SENT);
    assert_non_null(strstr(roan_last_failure()->text, "not connected"));
    assert_in_range(now_ms() - before, 280, 3000);
}

static void test_a_stopped_server_costs_a_deadline_and_no_more(void **state)
{
    (void)state;
    open_with("?request_timeout_ms=200");
    assert_int_equal(run("PING"), ROAN_OK);
    kill(server.pid, SIGSTOP);
    int64_t before = now_ms();
    assert_int_equal(run("INCR n"), ROAN_E_TIMEOUT);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_MAY_HAVE_RUN);
    assert_in_range(now_ms() - before, 190, 2000);
    kill(server.pid, SIGCONT);
    assert_int_equal(run_on(client, "PING", NULL, ROAN_WITH(.timeout_ms = 5000)), ROAN_OK);
}

static void test_nobody_listens(void **state)
{
    (void)state;
    server_kill(&server);
    open_with("");
    int64_t before = now_ms();
    assert_int_equal(run("PING"), ROAN_E_CONNECT);
    int why = roan_last_failure()->os_errno; /* io_uring may keep the listener for a moment behind its process */
    assert_true(why == ECONNREFUSED || why == ECONNRESET);
    assert_int_equal(roan_ready(client, 100), ROAN_E_CONNECT);
    assert_true(now_ms() - before < 2000);
}

/* ---- servers that say no ---- */

static void expect_code(const char *command, const char *code)
{
    assert_int_equal(run(command), ROAN_E_SERVER);
    assert_string_equal(roan_last_failure()->server_code, code);
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_RAN);
}

static void test_a_full_server(void **state)
{
    (void)state;
    open_with("");
    assert_int_equal(run("SET k v"), ROAN_OK);
    assert_int_equal(run("CONFIG SET maxmemory 1"), ROAN_OK);
    expect_code("SET k v", "OOM");
    assert_int_equal(run("GET k"), ROAN_OK);
    assert_int_equal(run("CONFIG SET maxmemory 0"), ROAN_OK);
    assert_int_equal(run("SET k v"), ROAN_OK);
}

static void test_wrong_types_and_unknown_commands(void **state)
{
    (void)state;
    open_with("");
    assert_int_equal(run("SET k v"), ROAN_OK);
    expect_code("LPUSH k v", "WRONGTYPE");
    expect_code("NOSUCHCOMMAND a b", "ERR");
    expect_code("SET k", "ERR");
    assert_int_equal(run("GET none"), ROAN_NIL);
}

static void test_no_place_for_another_client(void **state)
{
    (void)state;
    roan *second;
    char uri[64];

    open_with("");
    assert_int_equal(run("CONFIG SET maxclients 1"), ROAN_OK);
    snprintf(uri, sizeof uri, "redis://127.0.0.1:%d", server.port);
    assert_int_equal(roan_open(&second, uri, NULL, NULL), ROAN_OK);
    assert_int_equal(run_on(second, "PING", NULL, NULL), ROAN_E_CONNECT);
    assert_true(strlen(roan_last_failure()->text) > 0);
    assert_int_equal(run("CONFIG SET maxclients 100"), ROAN_OK);
    assert_int_equal(run_on(second, "PING", NULL, NULL), ROAN_OK);
    assert_int_equal(roan_close(second, 100), ROAN_OK);
}

static void test_logging_in(void **state)
{
    (void)state;
    roan *second = NULL;
    char uri[96];

    open_with("");
    assert_int_equal(run("CONFIG SET requirepass s3cret:/@"), ROAN_OK);
    snprintf(uri, sizeof uri, "redis://127.0.0.1:%d", server.port);
    assert_int_equal(roan_open(&second, uri, NULL, NULL), ROAN_OK);
    assert_int_equal(run_on(second, "PING", NULL, NULL), ROAN_E_CONNECT);
    assert_string_equal(roan_last_failure()->server_code, "NOAUTH");
    roan_close(second, 0);
    snprintf(uri, sizeof uri, "redis://:s3cret%%3A%%2F%%40@127.0.0.1:%d/2?client_name=shop", server.port);
    assert_int_equal(roan_open(&second, uri, NULL, NULL), ROAN_OK);
    roan_value *reply;
    assert_int_equal(run_on(second, "CLIENT GETNAME", &reply, NULL), ROAN_OK);
    assert_int_equal(reply->text.bytes, 4);
    roan_value_free(reply);
    assert_int_equal(run_on(second, "SET here 1", NULL, NULL), ROAN_OK);
    roan_close(second, 100);
    snprintf(uri, sizeof uri, "redis://:s3cret%%3A%%2F%%40@127.0.0.1:%d/1000000", server.port);
    if (roan_open(&second, uri, NULL, NULL) == ROAN_OK) {
        assert_int_equal(run_on(second, "PING", NULL, NULL), ROAN_E_CONNECT);
        roan_close(second, 0);
    }
}

/* ---- killed connections ---- */

static void test_killed_connections_come_back(void **state)
{
    (void)state;
    roan *killer;
    char uri[64];

    open_with("");
    snprintf(uri, sizeof uri, "redis://127.0.0.1:%d", server.port);
    assert_int_equal(roan_open(&killer, uri, NULL, NULL), ROAN_OK);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(run("PING"), ROAN_OK);
        assert_int_equal(run_on(killer, "CLIENT KILL TYPE normal SKIPME yes", NULL, NULL), ROAN_OK);
        assert_int_equal(run("GET k"), i == 0 ? ROAN_NIL : ROAN_OK); /* a read is asked again */
        assert_int_equal(run("SET k v"), ROAN_OK);
    }
    roan_close(killer, 0);
}

/* ---- fork ---- */

static int64_t own_id(void)
{
    roan_value *reply;
    int64_t id;

    if (run_on(client, "CLIENT ID", &reply, NULL) != ROAN_OK)
        return -1;
    id = reply->integer;
    roan_value_free(reply);
    return id;
}

static void fork_with(const char *query)
{
    roan_slice block[] = {ROAN_LITERAL("BLPOP"), ROAN_LITERAL("nothing"), ROAN_LITERAL("1")};
    int status;

    open_with(query);
    int64_t id = own_id();
    assert_true(id > 0);
    roan_future *pending = roan_go(client, 3, block, NULL);
    sleep_ms(20);
    pid_t child = fork();
    if (child == 0) {
        roan_failure failure;
        int code = 0;
        int64_t mine = own_id(); /* on a connection of its own */
        if (mine <= 0 || mine == id)
            code = 1;
        else if (roan_take(pending, NULL, &failure) != ROAN_E_FORKED)
            code = 2;
        else if (run("INCR child") != ROAN_OK)
            code = 3;
        roan_slice words[] = {ROAN_LITERAL("INCR"), ROAN_LITERAL("child")};
        if (code == 0 && roan_take(roan_go(client, 2, words, NULL), NULL, NULL) != ROAN_OK)
            code = 4;
        if (code == 0 && roan_close(client, 500) != ROAN_OK)
            code = 5;
        _exit(code);
    }
    for (int i = 0; i < 50; i++)
        assert_int_equal(own_id(), id); /* the parent notices nothing */
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(own_id(), id);
    assert_int_equal(roan_take(pending, NULL, NULL), ROAN_NIL);
    roan_close(client, 100);
    client = NULL;
}

static void test_fork(void **state)
{
    (void)state;
    fork_with("");
    fork_with("?drive=thread");
}

/* ---- values ---- */

static void test_binary_and_large_values(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 255, 16384, 1000000, 64 * 1000 * 1000};
    char all[256];
    roan_value *reply;

    open_with("?request_timeout_ms=60000");
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *value = malloc(sizes[i] + 1);
        assert_non_null(value);
        for (size_t j = 0; j < sizes[i]; j++)
            value[j] = all[j * 7 % 256];
        roan_slice set[] = {ROAN_LITERAL("SET"), {all, sizeof all}, {value, sizes[i]}};
        roan_slice get[] = {ROAN_LITERAL("GET"), {all, sizeof all}};
        assert_int_equal(roan_do(client, 3, set, NULL, NULL), ROAN_OK);
        assert_int_equal(roan_do(client, 2, get, &reply, NULL), ROAN_OK);
        assert_int_equal(reply->text.bytes, sizes[i]);
        assert_memory_equal(reply->text.data, value, sizes[i]);
        roan_value_free(reply);
        free(value);
    }
}

static void test_a_large_value_does_not_hold_up_deadlines(void **state)
{
    (void)state;
    size_t bytes = 20 * 1000 * 1000;
    char *value = calloc(1, bytes);
    roan_slice set[] = {ROAN_LITERAL("SET"), ROAN_LITERAL("big"), {value, bytes}};

    assert_non_null(value);
    open_with("?request_timeout_ms=300&late=abandon");
    assert_int_equal(run("PING"), ROAN_OK);
    kill(server.pid, SIGSTOP); /* the socket fills up */
    int64_t before = now_ms();
    roan_future *big = roan_go(client, 3, set, NULL);
    roan_slice ping[] = {ROAN_LITERAL("PING")};
    roan_future *small = roan_go(client, 1, ping, NULL);
    roan_failure failure;
    assert_int_equal(roan_take(big, NULL, &failure), ROAN_E_TIMEOUT);
    assert_int_equal(failure.fate, ROAN_FATE_MAY_HAVE_RUN);
    assert_int_equal(roan_take(small, NULL, &failure), ROAN_E_TIMEOUT);
    assert_true(now_ms() - before < 2000);
    kill(server.pid, SIGCONT);
    assert_int_equal(run_on(client, "PING", NULL, ROAN_WITH(.timeout_ms = 10000)), ROAN_OK);
    free(value);
}

/* ---- many handles come and go ---- */

static int count_descriptors(void)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_handles_come_and_go(void **state)
{
    (void)state;
    static const char *const drives[] = {"?drive=auto", "?drive=thread", "?drive=loop"};
    int before = count_descriptors();

    for (int i = 0; i < 150; i++) {
        open_with(drives[i % 3]);
        roan_slice words[] = {ROAN_LITERAL("PING")};
        roan_future *future = i % 2 ? roan_go(client, 1, words, NULL) : NULL;
        assert_int_equal(run("PING"), ROAN_OK);
        roan_drop(future);
        roan_close(client, i % 4 == 0 ? 0 : 100);
        client = NULL;
    }
    assert_int_equal(count_descriptors(), before);
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(test_threads_share_one_handle),
        SERVER_TEST(test_a_restart_is_survived),
        SERVER_TEST(test_a_server_that_stays_away_ends_calls_at_their_deadline),
        SERVER_TEST(test_a_stopped_server_costs_a_deadline_and_no_more),
        SERVER_TEST(test_nobody_listens),
        SERVER_TEST(test_a_full_server),
        SERVER_TEST(test_wrong_types_and_unknown_commands),
        SERVER_TEST(test_no_place_for_another_client),
        SERVER_TEST(test_logging_in),
        SERVER_TEST(test_killed_connections_come_back),
        SERVER_TEST(test_fork),
        SERVER_TEST(test_binary_and_large_values),
        SERVER_TEST(test_a_large_value_does_not_hold_up_deadlines),
        SERVER_TEST(test_handles_come_and_go),
    };

    if (argc < 2) {
        fprintf(stderr, "usage: test_servers PROGRAM ARGUMENT...\n");
        return 2;
    }
    server.command = argv + 1;
    if (getenv("CLIENT_TEST") != NULL)
        cmocka_set_test_filter(getenv("CLIENT_TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
