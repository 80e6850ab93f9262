/* The proof that a handle with drive=loop never holds up the loop it lives in: ticks.h, for every adapter.
 *
 *     test_loops_ticks_NAME SERVER-COMMAND ...       "{port}" in a word is the port
 *
 * Each case works for a while, again and again where one time is over at once, and then the ticks of the loop's timer
 * are judged. A machine that is too busy can spoil one measurement, so a case may try three times; what blocks does
 * so each time.
 */
#include "loops_case.h"
#include "roan/batch.h"
#include "roan/scan.h"
#include "roan/subscription.h"

#define WORK_MS   250
#define TRIES_MAX 3

static ticks measured;

static void note_tick(void)
{
    ticks_note(&measured);
}

/* Begins work with the handle; each piece counts in `of`, and `wanted` is how many pieces there are. */
typedef struct job {
    const char *query;
    int (*port)(void); /* NULL: the server */
    const char *host;  /* NULL: 127.0.0.1 */
    int (*begin)(roan *client, tally *of);
    void (*end)(void); /* before the handle is closed */
    int work_ms;       /* 0: WORK_MS */
    bool is_left;      /* connecting goes on without end: not waited for */
    bool may_fail;
} job;

static bool work(const job *what, char *text, size_t text_bytes)
{
    roan *client = open_attached_to(what->host != NULL ? what->host : "127.0.0.1",
                                    what->port != NULL ? what->port() : server.port, what->query, NULL);
    tally of = {0};
    int wanted = 0;
    int64_t until_us;
    const char *problem;

    at_tick = note_tick;
    ticks_begin(&measured);
    until_us = measured.begin_us + (what->work_ms != 0 ? what->work_ms : WORK_MS) * 1000;
    do {
        wanted += what->begin(client, &of);
        if (!what->is_left)
            assert_true(run_until(&of.settled, wanted, RUN_MS));
    } while (ticks_now_us() < until_us && !what->is_left);
    if (ticks_now_us() < until_us)
        run_for((int)((until_us - ticks_now_us()) / 1000) + 1);
    ticks_end(&measured);
    at_tick = NULL;
    if (what->end != NULL)
        what->end();
    if (!what->may_fail && of.good != wanted)
        fail_msg("%d of %d pieces failed: %s", wanted - of.good, wanted, of.failure.text);
    kit_detach(client);
    ROAN_IGNORE(roan_close(client, 0));
    problem = ticks_judge(&measured, text, text_bytes);
    return problem == NULL;
}

static void prove(const job *what)
{
    char text[160];

    for (int i = 0; i < TRIES_MAX; i++)
        if (work(what, text, sizeof text))
            return;
    fail_msg("%s", text);
}

/* ---- connecting ---- */

static int begin_ping(roan *client, tally *of)
{
    roan_then(roan_ping_go(client, NULL, NULL), on_settled, of);
    return 1;
}

/* A listener whose queue is full: the kernel leaves further attempts without an answer. */
static int full_fd = -1;
static int full_port_number;
static int fillers[8];

static int full_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    if (full_fd >= 0)
        return full_port_number;
    full_fd = server_listen(&full_port_number, 0);
    address.sin_port = htons((uint16_t)full_port_number);
    for (size_t i = 0; i < ROAN_COUNT_OF(fillers); i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ROAN_IGNORE(connect(fillers[i], (struct sockaddr *)&address, sizeof address));
    }
    return full_port_number;
}

static void test_connecting_to_an_address_that_never_answers(void **state)
{
    (void)state;
    prove(&(job){.port = full_port, .begin = begin_ping, .is_left = true, .may_fail = true, .query = ""});
    prove(&(job){
        .port = full_port, .begin = begin_ping, .may_fail = true, .query = "&connect_timeout_ms=50&reconnect=-1"});
}

static void test_connecting_by_name(void **state)
{
    (void)state;
    prove(&(job){.host = "localhost", .begin = begin_ping, .query = ""});
    prove(&(job){.host = "no-such-host.invalid",
                 .begin = begin_ping,
                 .is_left = true,
                 .may_fail = true,
                 .query = "&backoff_first_ms=10&backoff_max_ms=20"});
}

static int begin_connecting_anew(roan *client, tally *of)
{
    roan_slice kill_self[] = {K("CLIENT"), K("KILL"), K("TYPE"), K("normal"), K("SKIPME"), K("no")};

    roan_drop(roan_go(client, ROAN_COUNT_OF(kill_self), kill_self, NULL));
    roan_then(roan_get_go(client, K("ticks:1"), ROAN_WITH(.retry = 1)), on_settled, of);
    return 1;
}

static void test_connecting_again_and_again(void **state)
{
    (void)state;
    prove(&(job){.begin = begin_connecting_anew, .may_fail = true, .query = "&backoff_first_ms=10&backoff_max_ms=20"});
}

static int dead_port(void)
{
    static int port;

    port = port != 0 ? port : server_free_port();
    return port;
}

static void test_reconnecting_to_a_dead_server(void **state)
{
    (void)state;
    prove(&(job){.port = dead_port,
                 .begin = begin_ping,
                 .is_left = true,
                 .may_fail = true,
                 .query = "&backoff_first_ms=5&backoff_max_ms=20"});
}

/* ---- work ---- */

static int begin_pairs(roan *client, tally *of)
{
    for (int i = 0; i < 50; i++) {
        char key[32];
        snprintf(key, sizeof key, "ticks:%d", i);
        roan_then(roan_set_go(client, roan_slice_from_text(key), K("value"), NULL, NULL), on_settled, of);
        roan_then(roan_get_go(client, roan_slice_from_text(key), NULL), on_settled, of);
    }
    return 100;
}

static void test_fifty_pairs_of_set_and_get(void **state)
{
    (void)state;
    prove(&(job){.begin = begin_pairs, .query = ""});
}

static int begin_batch(roan *client, tally *of)
{
    for (int is_atomic = 0; is_atomic < 2; is_atomic++) {
        roan_batch *batch = roan_batch_create(client, is_atomic);
        for (int i = 0; i < 100; i++)
            roan_incr_add(batch, K("ticks:count"));
        roan_then(roan_batch_go(batch, NULL), on_settled, of);
    }
    return 2;
}

static void test_batches_of_a_hundred(void **state)
{
    (void)state;
    prove(&(job){.begin = begin_batch, .query = ""});
}

static int begin_blocking(roan *client, tally *of)
{
    roan_then(roan_blpop_go(client, (roan_slice[]){K("ticks:nothing")}, 1, 1, NULL), on_settled, of);
    return 1;
}

static void test_a_blocking_command_of_a_second(void **state)
{
    (void)state;
    prove(&(job){.begin = begin_blocking, .work_ms = 1000, .query = ""});
}

static int begin_sleep(roan *client, tally *of)
{
    roan_slice sleep_words[] = {K("DEBUG"), K("SLEEP"), K("0.1")};

    roan_drop(roan_go(client, ROAN_COUNT_OF(sleep_words), sleep_words, NULL));
    return begin_ping(client, of);
}

static void test_a_server_that_sleeps(void **state)
{
    (void)state;
    prove(&(job){.begin = begin_sleep, .query = ""});
}

static int begin_large(roan *client, tally *of)
{
    static char value[1 << 20];

    roan_then(roan_set_go(client, K("ticks:large"), roan_slice_make(value, sizeof value), NULL, NULL), on_settled, of);
    roan_then(roan_get_go(client, K("ticks:large"), NULL), on_settled, of);
    return 2;
}

static void test_values_of_a_megabyte(void **state)
{
    (void)state;
    prove(&(job){.begin = begin_large, .query = ""});
}

/* ---- publish/subscribe and scans ---- */

static roan_subscription *listening;

static void on_message(void *argument, const roan_message *message, const roan_failure *failure)
{
    tally *of = argument;

    of->good += message != NULL && failure == NULL && pthread_equal(pthread_self(), loop_thread);
    of->settled++;
}

static int begin_messages(roan *client, tally *of)
{
    roan_slice channel = K("ticks:channel");

    if (listening == NULL) {
        listening = roan_subscription_create(client, NULL);
        assert_non_null(listening);
        assert_int_equal(roan_subscription_on(listening, on_message, of), ROAN_OK);
        assert_int_equal(roan_subscription_add(listening, ROAN_CHANNEL_EXACT, &channel, 1), ROAN_OK);
        assert_int_equal(roan_subscription_ready(listening, RUN_MS), ROAN_OK);
    }
    for (int i = 0; i < 100; i++)
        roan_drop(roan_publish_go(client, channel, K("a message"), NULL));
    return 100;
}

static void end_messages(void)
{
    roan_subscription_free(listening);
    listening = NULL;
}

static void test_a_stream_of_messages(void **state)
{
    (void)state;
    prove(&(job){.begin = begin_messages, .end = end_messages, .query = ""});
    prove(&(job){.begin = begin_messages, .end = end_messages, .query = "&protocol=2"});
}

#define SCANNED_KEYS 2000

static pthread_t scanning;
static _Atomic bool scans_no_more;
static _Atomic int scans, scans_failed;

static void *scan_again_and_again(void *client)
{
    while (!atomic_load(&scans_no_more)) {
        roan_scan *scan;
        roan_value *page;
        size_t keys = 0;
        roan_status status;
        if (roan_scan_create(&scan, client, ROAN_SCAN_KEYS, K(""), ROAN_SCAN_OPTIONS(.prefetch = true), NULL) !=
            ROAN_OK)
            return NULL;
        while ((status = roan_scan_next(scan, &page)) == ROAN_OK) {
            keys += page->count;
            roan_value_free(page);
        }
        roan_scan_free(scan);
        atomic_fetch_add(status == ROAN_NIL && keys >= SCANNED_KEYS ? &scans : &scans_failed, 1);
    }
    return NULL;
}

static int begin_scans(roan *client, tally *of)
{
    roan_batch *batch = roan_batch_create(client, false);

    for (int i = 0; i < SCANNED_KEYS; i++) {
        char key[32];
        snprintf(key, sizeof key, "ticks:scan:%d", i);
        roan_set_add(batch, roan_slice_from_text(key), K("value"), NULL);
    }
    roan_then(roan_batch_go(batch, NULL), on_settled, of);
    assert_true(run_until(&of->good, 1, RUN_MS));
    atomic_store(&scans_no_more, false);
    atomic_store(&scans, 0);
    assert_int_equal(pthread_create(&scanning, NULL, scan_again_and_again, client), 0);
    return 1;
}

static void end_scans(void)
{
    atomic_store(&scans_no_more, true);
    pthread_join(scanning, NULL);
    assert_true(atomic_load(&scans) > 0);
    assert_int_equal(atomic_load(&scans_failed), 0);
}

static void test_scans_on_another_thread(void **state)
{
    (void)state;
    prove(&(job){.begin = begin_scans, .end = end_scans, .is_left = true, .query = ""});
}

/* ---- the measure itself ---- */

static void on_blocking(roan_future *future, void *argument)
{
    usleep(60000);
    on_settled(future, argument);
}

static int begin_what_blocks(roan *client, tally *of)
{
    roan_then(roan_ping_go(client, NULL, NULL), on_blocking, of);
    return 1;
}

static void test_a_loop_that_is_held_up_is_noticed(void **state)
{
    char text[160];

    (void)state;
    assert_false(work(&(job){.begin = begin_what_blocks, .query = ""}, text, sizeof text));
}

static bool pairs_are_done(void *argument)
{
    const tally *of = argument;

    return of->settled >= 100 && ticks_now_us() - measured.begin_us > WORK_MS * 1000;
}

static void test_the_loop_of_ticks_h_drives_a_handle(void **state)
{
    char text[160];
    bool is_good = false;

    (void)state;
    for (int i = 0; i < TRIES_MAX && !is_good; i++) {
        roan *client = open_attached("");
        tally of = {0};
        kit_detach(client);
        ticks_begin(&measured);
        begin_pairs(client, &of);
        assert_true(ticks_run(&measured, client, pairs_are_done, &of, RUN_MS));
        ticks_end(&measured);
        is_good = ticks_judge(&measured, text, sizeof text) == NULL;
        assert_int_equal(roan_close(client, 0), ROAN_OK);
    }
    if (!is_good)
        fail_msg("%s", text);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connecting_to_an_address_that_never_answers),
        cmocka_unit_test(test_connecting_by_name),
        cmocka_unit_test(test_connecting_again_and_again),
        cmocka_unit_test(test_reconnecting_to_a_dead_server),
        cmocka_unit_test(test_fifty_pairs_of_set_and_get),
        cmocka_unit_test(test_batches_of_a_hundred),
        cmocka_unit_test(test_a_blocking_command_of_a_second),
        cmocka_unit_test(test_a_server_that_sleeps),
        cmocka_unit_test(test_values_of_a_megabyte),
        cmocka_unit_test(test_a_stream_of_messages),
        cmocka_unit_test(test_scans_on_another_thread),
        cmocka_unit_test(test_a_loop_that_is_held_up_is_noticed),
        cmocka_unit_test(test_the_loop_of_ticks_h_drives_a_handle),
    };
    return cmocka_run_group_tests_name(kit_name, tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return run_loop_tests(argc, argv, run);
}
