/* A handle with drive=loop in a program's event loop: the same cases for every adapter (loop_kit.h).
 *
 *     test_loops_NAME SERVER-COMMAND ...       "{port}" in a word is the port
 *
 * Everything that a handle does in a loop comes through its one descriptor, so each case is a way in which the loop
 * could miss a wake-up (and the case would wait for ever) or be woken for nothing (and it would spin).
 */
#include "loops_case.h"

/* ---- replies and callbacks ---- */

#define THOUSAND 1000

static roan *shared; /* of callbacks that need a handle */
static tally counted;

static void on_thousandth_get(roan_future *future, void *argument)
{
    roan_value *reply;

    if (roan_take(future, &reply, NULL) == ROAN_OK)
        counted.good +=
            reply->text.bytes == strlen(argument) && memcmp(reply->text.data, argument, reply->text.bytes) == 0;
    counted.settled++;
    roan_value_free(reply);
    free(argument);
}

static void on_thousandth_set(roan_future *future, void *argument)
{
    char *key = argument;

    assert_int_equal(roan_take(future, NULL, NULL), ROAN_OK);
    roan_then(roan_get_go(shared, roan_slice_from_text(key), NULL), on_thousandth_get, key);
}

static void begin_thousand(void)
{
    at_tick = NULL;
    for (int i = 0; i < THOUSAND; i++) {
        char text[32];
        snprintf(text, sizeof text, "loops:%d", i);
        roan_then(roan_set_go(shared, roan_slice_from_text(text), roan_slice_from_text(text), NULL, NULL),
                  on_thousandth_set, strdup(text));
    }
}

static void test_a_thousand_sets_and_gets_begun_inside_the_loop(void **state)
{
    (void)state;
    counted = (tally){0};
    shared = open_attached("");
    at_tick = begin_thousand;
    assert_true(run_until(&counted.settled, THOUSAND, RUN_MS));
    assert_int_equal(counted.good, THOUSAND);
    assert_int_equal(close_attached(shared), ROAN_OK);
}

static void on_link_of_chain(roan_future *future, void *argument)
{
    tally *of = argument;

    of->good += roan_take(future, NULL, NULL) == ROAN_OK;
    if (++of->settled < 300)
        roan_then(roan_incr_go(shared, K("loops:chain"), NULL), on_link_of_chain, of);
}

static void test_callbacks_begin_further_calls(void **state)
{
    (void)state;
    counted = (tally){0};
    shared = open_attached("");
    roan_then(roan_incr_go(shared, K("loops:chain"), NULL), on_link_of_chain, &counted);
    assert_true(run_until(&counted.settled, 300, RUN_MS));
    assert_int_equal(counted.good, 300);
    assert_int_equal(close_attached(shared), ROAN_OK);
}

static void test_values_larger_than_the_sockets_buffers(void **state)
{
    const size_t bytes = 12 << 20;
    char *value = calloc(1, bytes);
    tally got = {0};
    roan *client = open_attached("");
    roan_future *future;
    roan_value *reply = NULL;

    (void)state;
    roan_then(roan_set_go(client, K("loops:large"), roan_slice_make(value, bytes), NULL, NULL), on_settled, &got);
    assert_true(run_until(&got.settled, 1, RUN_MS));
    assert_int_equal(got.last, ROAN_OK);
    future = roan_get_go(client, K("loops:large"), NULL);
    while (!roan_is_settled(future))
        kit_step();
    assert_int_equal(roan_take(future, &reply, NULL), ROAN_OK);
    assert_int_equal(reply->text.bytes, bytes);
    roan_value_free(reply);
    free(value);
    assert_int_equal(close_attached(client), ROAN_OK);
}

/* ---- time ---- */

static void assert_took(int64_t begin_us, int64_t end_us, int ms)
{
    int64_t took_us = end_us - begin_us;

    if (took_us < ms * 1000 - 5000 || took_us > (ms + 700) * 1000)
        fail_msg("it took %lld us instead of %d ms", (long long)took_us, ms);
}

static void test_a_deadline_passes_while_the_server_is_silent(void **state)
{
    roan *client = open_attached("&late=abandon");
    tally ready = {0}, late = {0}, after = {0};
    int64_t begin_us;

    (void)state;
    roan_then(roan_ping_go(client, NULL, NULL), on_settled, &ready);
    assert_true(run_until(&ready.good, 1, RUN_MS));
    kill(server.pid, SIGSTOP);
    begin_us = ticks_now_us();
    roan_then(roan_get_go(client, K("loops:1"), ROAN_WITH(.timeout_ms = 80)), on_settled, &late);
    assert_in_range(roan_turn_due_ms(client), 1, 81);
    assert_true(run_until(&late.settled, 1, RUN_MS));
    kill(server.pid, SIGCONT);
    assert_int_equal(late.last, ROAN_E_TIMEOUT);
    assert_took(begin_us, late.last_us, 80);
    roan_then(roan_ping_go(client, NULL, NULL), on_settled, &after);
    assert_true(run_until(&after.good, 1, RUN_MS));
    assert_int_equal(close_attached(client), ROAN_OK);
}

static void test_connecting_ends_in_time(void **state)
{
    int port;
    int fd = server_listen(&port, 8); /* accepts, and never says a word */
    roan *client = open_attached_to("127.0.0.1", port, "&connect_timeout_ms=60&reconnect=-1", NULL);
    tally failed = {0};
    int64_t begin_us = ticks_now_us();

    (void)state;
    assert_int_equal(roan_turn_due_ms(client), -1);
    roan_then(roan_ping_go(client, NULL, NULL), on_settled, &failed);
    assert_true(run_until(&failed.settled, 1, RUN_MS));
    assert_int_equal(failed.last, ROAN_E_CONNECT);
    assert_took(begin_us, failed.last_us, 60);
    ROAN_IGNORE(close_attached(client));
    close(fd);
}

static void test_silence_is_noticed_and_an_idle_connection_is_asked(void **state)
{
    roan *client = open_attached("&silence_timeout_ms=100");
    roan_client_stats before = {.size = sizeof before}, after = {.size = sizeof after};
    tally ready = {0}, lost = {0};
    int64_t begin_us;

    (void)state;
    roan_then(roan_ping_go(client, NULL, NULL), on_settled, &ready);
    assert_true(run_until(&ready.good, 1, RUN_MS));
    roan_get_stats(client, &before);
    run_for(350);
    roan_get_stats(client, &after);
    assert_true(after.sent_bytes >= before.sent_bytes + 2 * strlen("*1\r\n$4\r\nPING\r\n"));
    kill(server.pid, SIGSTOP);
    begin_us = ticks_now_us();
    roan_then(roan_incr_go(client, K("loops:n"), ROAN_WITH(.timeout_ms = -1)), on_settled, &lost);
    assert_true(run_until(&lost.settled, 1, RUN_MS));
    kill(server.pid, SIGCONT);
    assert_int_equal(lost.last, ROAN_E_LOST);
    assert_in_range(lost.last_us - begin_us, 0, 800000);
    ROAN_IGNORE(close_attached(client));
}

/* ---- connections that end ---- */

typedef struct life {
    int connected, disconnected, failed;
} life;

static void on_event(void *argument, roan_event event, const char *node, const roan_failure *failure)
{
    life *of = argument;

    (void)node;
    (void)failure;
    of->connected += event == ROAN_EVENT_CONNECTED;
    of->disconnected += event == ROAN_EVENT_DISCONNECTED;
    of->failed += event == ROAN_EVENT_CONNECT_FAILED;
}

static void test_the_server_dies_and_comes_back(void **state)
{
    life seen = {0};
    roan_hooks hooks = {.size = sizeof hooks, .argument = &seen, .on_event = on_event};
    roan *client = open_attached_to("127.0.0.1", server.port, "&backoff_first_ms=20&backoff_max_ms=100",
                                    ROAN_OPTIONS(.hooks = &hooks));
    tally ready = {0}, back = {0};

    (void)state;
    roan_then(roan_ping_go(client, NULL, NULL), on_settled, &ready);
    assert_true(run_until(&ready.good, 1, RUN_MS));
    server_kill(&server);
    assert_true(run_until(&seen.disconnected, 1, RUN_MS)); /* noticed without a call */
    roan_then(roan_get_go(client, K("loops:1"), ROAN_WITH(.timeout_ms = RUN_MS)), on_settled, &back);
    assert_true(run_until(&seen.failed, 3, RUN_MS));
    assert_int_equal(back.settled, 0);
    assert_true(server_start(&server));
    assert_true(run_until(&back.settled, 1, RUN_MS));
    assert_true(back.last >= 0);
    assert_int_equal(seen.connected, 2);
    assert_int_equal(close_attached(client), ROAN_OK);
}

/* ---- other threads ---- */

static _Atomic int beside_good; /* a callback may run where roan_then() is called, if the answer was quicker */

static void on_counted_beside(roan_future *future, void *unused)
{
    (void)unused;
    beside_good += roan_take(future, NULL, NULL) == ROAN_OK;
}

static void *call_from_beside(void *argument)
{
    for (int i = 0; i < 200; i++) {
        roan_then(roan_incr_go(shared, K("loops:beside"), NULL), on_counted_beside, NULL);
        if (i % 50 == 49)
            usleep(3000); /* let the loop fall asleep */
    }
    return argument;
}

static void test_calls_from_another_thread_wake_the_loop(void **state)
{
    int64_t until_us = ticks_now_us() + RUN_MS * 1000;
    pthread_t beside;

    (void)state;
    beside_good = 0;
    shared = open_attached("");
    assert_int_equal(pthread_create(&beside, NULL, call_from_beside, NULL), 0);
    while (beside_good < 200 && ticks_now_us() < until_us)
        kit_step();
    pthread_join(beside, NULL);
    assert_int_equal(beside_good, 200);
    assert_int_equal(close_attached(shared), ROAN_OK);
}

#define WAITS 1000

static void *wait_from_beside(void *argument)
{
    _Atomic int *done = argument;

    for (int i = 0; i < WAITS; i++) {
        int64_t number;
        if (roan_incr(shared, K("loops:waited"), &number, NULL) != ROAN_OK)
            return argument;
        atomic_fetch_add(done, 1);
    }
    return NULL;
}

static void test_other_threads_wait_while_the_loop_works(void **state)
{
    _Atomic int done = 0;
    tally of = {0};
    pthread_t beside[2];
    void *problem[2];

    (void)state;
    shared = open_attached("");
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&beside[i], NULL, wait_from_beside, &done), 0);
    for (int begun = 0; atomic_load(&done) < 2 * WAITS || of.settled < begun;) {
        if (begun - of.settled < 20 && atomic_load(&done) < 2 * WAITS) {
            roan_then(roan_get_go(shared, K("loops:waited"), NULL), on_settled, &of);
            begun++;
        }
        kit_step();
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(beside[i], &problem[i]);
        assert_null(problem[i]);
    }
    assert_int_equal(of.good, of.settled);
    assert_int_equal(of.elsewhere, 0); /* whoever waits drives, but callbacks belong to the loop */
    assert_int_equal(close_attached(shared), ROAN_OK);
}

static void test_what_other_threads_wait_for_does_not_wake_the_loop(void **state)
{
    unsigned ticks_before = tick_count, steps_before = step_count;
    _Atomic int done = 0;
    pthread_t beside;
    void *problem;

    (void)state;
    shared = open_attached("");
    assert_int_equal(pthread_create(&beside, NULL, wait_from_beside, &done), 0);
    while (atomic_load(&done) < WAITS) {
        kit_step();
        step_count++;
    }
    pthread_join(beside, &problem);
    assert_null(problem);
    assert_in_range(step_count - steps_before, 1, 5 * (tick_count - ticks_before) + WAITS / 10);
    assert_int_equal(close_attached(shared), ROAN_OK);
}

/* ---- waiting on the loop's thread ---- */

static void on_forbidden(roan_future *future, void *argument)
{
    tally *of = argument;

    roan_drop(future);
    of->good += roan_ping(shared, NULL, NULL, NULL) == ROAN_E_USAGE;
    of->good += roan_turn(shared, 0) == ROAN_E_USAGE;
    of->good += roan_close(shared, 0) == ROAN_E_USAGE;
    of->good += roan_turn_due_ms(shared) >= -1;
    of->settled++;
}

static void *ping_from_beside(void *client)
{
    return roan_ping(client, NULL, NULL, NULL) == ROAN_OK ? client : NULL;
}

static void test_callbacks_wait_for_the_loop(void **state)
{
    tally of = {0};

    (void)state;
    shared = open_attached("");
    for (int round = 1; round <= 2; round++) { /* before the first turn, and after it */
        pthread_t beside;
        void *good;
        roan_then(roan_ping_go(shared, NULL, NULL), on_settled, &of);
        assert_int_equal(pthread_create(&beside, NULL, ping_from_beside, shared), 0);
        pthread_join(beside, &good); /* it drove, and was answered after the other one */
        assert_non_null(good);
        assert_int_equal(of.settled, round - 1);
        assert_true(run_until(&of.settled, round, RUN_MS));
    }
    roan_then(roan_go(shared, 0, NULL, NULL), on_settled, &of); /* refused: it has settled already */
    assert_int_equal(of.settled, 3);
    assert_int_equal(of.last, ROAN_E_USAGE);
    roan_then(roan_ping_go(shared, NULL, NULL), on_settled, &of);
    ROAN_IGNORE(close_attached(shared));
    assert_int_equal(of.settled, 4);
    assert_int_equal(of.elsewhere, 0);
}

static void test_callbacks_must_not_wait_and_others_may(void **state)
{
    tally of = {0}, also = {0};
    roan_future *both[2];
    int64_t number;

    (void)state;
    shared = open_attached("");
    assert_int_equal(roan_ping(shared, NULL, NULL, NULL), ROAN_OK); /* opened by a caller: the loop knows of it */
    roan_then(roan_ping_go(shared, NULL, NULL), on_forbidden, &of);
    assert_true(run_until(&of.settled, 1, RUN_MS));
    assert_int_equal(of.good, 4);
    assert_int_equal(roan_incr(shared, K("loops:n"), &number, NULL), ROAN_OK);
    both[0] = roan_blpop_go(shared, (roan_slice[]){K("loops:nothing")}, 1, 0.2, NULL);
    both[1] = roan_ping_go(shared, NULL, NULL);
    assert_int_equal(roan_wait_any(both, 2, RUN_MS), 1);
    assert_int_equal(roan_take(both[1], NULL, NULL), ROAN_OK);
    assert_int_equal(roan_wait_any(both, 1, RUN_MS), 0);
    assert_int_equal(roan_take(both[0], NULL, NULL), ROAN_NIL);
    roan_then(roan_ping_go(shared, NULL, NULL), on_settled, &also);
    assert_true(run_until(&also.good, 1, RUN_MS));
    assert_int_equal(close_attached(shared), ROAN_OK);
}

/* ---- blocking commands ---- */

static void test_blocking_commands_wait_in_line_and_time_out_there(void **state)
{
    roan *client = open_attached("&leases_max=1&lease_timeout_ms=100");
    roan_slice keys[] = {K("loops:list")};
    tally first = {0}, second = {0}, third = {0};
    int64_t begin_us = ticks_now_us();

    (void)state;
    roan_then(roan_blpop_go(client, keys, 1, 5, NULL), on_settled, &first);
    roan_then(roan_blpop_go(client, keys, 1, 5, NULL), on_settled, &second);
    assert_true(run_until(&second.settled, 1, RUN_MS));
    assert_int_equal(second.last, ROAN_E_TIMEOUT);
    assert_took(begin_us, second.last_us, 100);
    assert_int_equal(first.settled, 0);
    roan_drop(roan_rpush_go(client, K("loops:list"), (roan_slice[]){K("a"), K("b")}, 2, NULL));
    roan_then(roan_blpop_go(client, keys, 1, 5, NULL), on_settled, &third);
    assert_true(run_until(&third.settled, 1, RUN_MS));
    assert_int_equal(first.last, ROAN_OK);
    assert_int_equal(third.last, ROAN_OK);
    assert_int_equal(close_attached(client), ROAN_OK);
}

/* ---- leaving the loop ---- */

static void on_leaving(roan_future *future, void *argument)
{
    tally *of = argument;

    of->last = roan_take(future, NULL, NULL);
    of->settled++;
    kit_detach(shared);
}

static void test_a_callback_detaches_and_the_handle_comes_back(void **state)
{
    tally left = {0}, waits = {0};

    (void)state;
    shared = open_attached("");
    roan_then(roan_ping_go(shared, NULL, NULL), on_leaving, &left);
    assert_true(run_until(&left.settled, 1, RUN_MS));
    roan_then(roan_ping_go(shared, NULL, NULL), on_settled, &waits);
    run_for(50);
    assert_int_equal(waits.settled, 0); /* nobody drives it */
    assert_int_equal(kit_attach(shared), ROAN_OK);
    assert_true(run_until(&waits.good, 1, RUN_MS));
    assert_int_equal(close_attached(shared), ROAN_OK);
}

static void test_closing_settles_what_was_under_way(void **state)
{
    tally of[3] = {{0}, {0}, {0}};
    roan *client = open_attached("");

    (void)state;
    roan_then(roan_ping_go(client, NULL, NULL), on_settled, &of[0]);
    assert_true(run_until(&of[0].good, 1, RUN_MS));
    kill(server.pid, SIGSTOP);
    roan_then(roan_blpop_go(client, (roan_slice[]){K("loops:none")}, 1, 0, NULL), on_settled, &of[1]);
    roan_then(roan_ping_go(client, NULL, NULL), on_settled, &of[2]);
    run_for(20);
    kit_detach(client);
    assert_int_equal(roan_close(client, 30), ROAN_E_TIMEOUT);
    kill(server.pid, SIGCONT);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(of[i].settled, 1);
        assert_int_equal(of[i].last, ROAN_E_CLOSED);
    }
}

static void test_closing_lets_answers_in(void **state)
{
    tally of = {0};
    roan *client = open_attached("");

    (void)state;
    for (int i = 0; i < 100; i++)
        roan_then(roan_incr_go(client, K("loops:n"), NULL), on_settled, &of);
    kit_detach(client); /* without a single turn */
    assert_int_equal(roan_close(client, RUN_MS), ROAN_OK);
    assert_int_equal(of.good, 100);
}

static void test_only_handles_for_loops_can_be_attached(void **state)
{
    char uri[64];
    roan *client;

    (void)state;
    snprintf(uri, sizeof uri, "redis://127.0.0.1:%d", server.port);
    assert_int_equal(roan_open(&client, uri, NULL, NULL), ROAN_OK);
    assert_int_equal(roan_fd(client), -1);
    assert_int_equal(kit_attach(client), ROAN_E_USAGE);
    assert_int_equal(roan_close(client, 0), ROAN_OK);
}

static void test_several_handles_share_a_loop(void **state)
{
    roan *clients[3];
    tally of = {0};

    (void)state;
    for (int i = 0; i < 3; i++)
        clients[i] = open_attached("");
    for (int i = 0; i < 300; i++)
        roan_then(roan_incr_go(clients[i % 3], K("loops:n"), NULL), on_settled, &of);
    assert_true(run_until(&of.settled, 300, RUN_MS));
    assert_int_equal(of.good, 300);
    for (int i = 0; i < 3; i++)
        assert_int_equal(close_attached(clients[i]), ROAN_OK);
}

/* ---- the loop sleeps ---- */

/* With nothing to do, the loop wakes for its own ticks and little else. */
static void assert_sleeps(const char *when)
{
    unsigned ticks_before = tick_count, steps_before = step_count;

    run_for(200);
    if (step_count - steps_before > 2 * (tick_count - ticks_before) + 30)
        fail_msg("%s: %u iterations in %u ticks", when, step_count - steps_before, tick_count - ticks_before);
}

static void test_the_loop_sleeps_when_there_is_nothing_to_do(void **state)
{
    int silent_port;
    int silent_fd = server_listen(&silent_port, 8);
    roan *client = open_attached("");
    tally ready = {0};

    (void)state;
    assert_sleeps("before the first call");
    roan_then(roan_ping_go(client, NULL, NULL), on_settled, &ready);
    assert_true(run_until(&ready.good, 1, RUN_MS));
    assert_sleeps("connected");
    roan_drop(roan_blpop_go(client, (roan_slice[]){K("loops:none")}, 1, 0, NULL));
    run_for(20);
    assert_sleeps("a blocking command is under way");
    ROAN_IGNORE(close_attached(client));
    client = open_attached_to("127.0.0.1", silent_port, "", NULL);
    roan_drop(roan_ping_go(client, NULL, NULL));
    assert_sleeps("the server does not answer the handshake");
    ROAN_IGNORE(close_attached(client));
    close(silent_fd);
    client = open_attached_to("127.0.0.1", server_free_port(), "&backoff_first_ms=5000", NULL);
    roan_drop(roan_ping_go(client, NULL, NULL));
    run_for(50);
    assert_sleeps("between two attempts to connect");
    ROAN_IGNORE(close_attached(client));
}

static void test_a_forked_child_does_not_keep_connections_in_the_loop(void **state)
{
    life seen = {0};
    roan_hooks hooks = {.size = sizeof hooks, .argument = &seen, .on_event = on_event};
    roan *client = open_attached_to("127.0.0.1", server.port, "&backoff_first_ms=5000", ROAN_OPTIONS(.hooks = &hooks));
    tally ready = {0};
    pid_t child;

    (void)state;
    roan_then(roan_ping_go(client, NULL, NULL), on_settled, &ready);
    assert_true(run_until(&ready.good, 1, RUN_MS));
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;)
            pause();
    }
    assert_true(child > 0);
    server_kill(&server);
    assert_true(run_until(&seen.disconnected, 1, RUN_MS));
    roan_drop(roan_ping_go(client, NULL, NULL));
    run_for(50);
    assert_sleeps("a child has the old connection");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    ROAN_IGNORE(close_attached(client));
    assert_true(server_start(&server));
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_thousand_sets_and_gets_begun_inside_the_loop),
        cmocka_unit_test(test_callbacks_begin_further_calls),
        cmocka_unit_test(test_values_larger_than_the_sockets_buffers),
        cmocka_unit_test(test_a_deadline_passes_while_the_server_is_silent),
        cmocka_unit_test(test_connecting_ends_in_time),
        cmocka_unit_test(test_silence_is_noticed_and_an_idle_connection_is_asked),
        cmocka_unit_test(test_the_server_dies_and_comes_back),
        cmocka_unit_test(test_calls_from_another_thread_wake_the_loop),
        cmocka_unit_test(test_other_threads_wait_while_the_loop_works),
        cmocka_unit_test(test_what_other_threads_wait_for_does_not_wake_the_loop),
        cmocka_unit_test(test_callbacks_wait_for_the_loop),
        cmocka_unit_test(test_callbacks_must_not_wait_and_others_may),
        cmocka_unit_test(test_blocking_commands_wait_in_line_and_time_out_there),
        cmocka_unit_test(test_a_callback_detaches_and_the_handle_comes_back),
        cmocka_unit_test(test_closing_settles_what_was_under_way),
        cmocka_unit_test(test_closing_lets_answers_in),
        cmocka_unit_test(test_only_handles_for_loops_can_be_attached),
        cmocka_unit_test(test_several_handles_share_a_loop),
        cmocka_unit_test(test_the_loop_sleeps_when_there_is_nothing_to_do),
        cmocka_unit_test(test_a_forked_child_does_not_keep_connections_in_the_loop),
    };
    return cmocka_run_group_tests_name(kit_name, tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return run_loop_tests(argc, argv, run);
}
