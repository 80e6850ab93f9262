/* Subscriptions on a running server, with RESP2 and with RESP3, many threads and connections that are killed.
 *
 *     subscriptions PORT
 *
 * What counts: no message is lost, doubled or out of order without a gap that says so; commands on the same handle go
 * on; memory stays bounded. Started by on_server.py; a cmocka program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "roan/client.h"
#include "roan/subscription.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define BURST_MESSAGES 1000000u
#define UNDER_WAY_MAX 2000u
#define BACKLOG_MAX 500000 /* for a machine that lets the consumer wait for a second */
#define STORM_THREADS 8
#define STORM_CHANNELS 40
#define STORM_CHANGES 400
#define KILLS 30

static int port;

static void check_status(roan_status status, roan_status expected, int line)
{
    if (status != expected)
        fail_msg("line %d: %s (%s)", line, roan_status_name(status), status < 0 ? roan_last_failure()->text : "");
}

#define OK(call) check_status(call, ROAN_OK, __LINE__)

static roan *open_handle(int protocol, const char *more)
{
    char uri[160];
    roan *client;

    snprintf(uri, sizeof uri, "redis://127.0.0.1:%d/9?protocol=%d%s", port, protocol, more);
    OK(roan_open(&client, uri, ROAN_OPTIONS(.backoff_first_ms = 5, .backoff_max_ms = 20), NULL));
    return client;
}

static void add(roan_subscription *subscription, const char *name)
{
    roan_slice channel = roan_slice_from_text(name);

    OK(roan_subscription_add(subscription, ROAN_CHANNEL_EXACT, &channel, 1));
}

static roan_subscription *subscribe_to(roan *client, const char *name, const roan_subscription_options *options)
{
    roan_subscription *subscription = roan_subscription_create(client, options);

    assert_non_null(subscription);
    add(subscription, name);
    OK(roan_subscription_ready(subscription, 5000));
    return subscription;
}

static roan_future *begin_publish(roan *client, const char *channel, unsigned number)
{
    char text[16];
    roan_slice words[] = {ROAN_LITERAL("PUBLISH"), roan_slice_from_text(channel), {text, 0}};

    words[2].bytes = (size_t)snprintf(text, sizeof text, "%u", number);
    return roan_go(client, 3, words, NULL);
}

static int64_t publish(roan *client, const char *channel, unsigned number)
{
    roan_value *reply;
    int64_t receivers;

    check_status(roan_take(begin_publish(client, channel, number), &reply, NULL), ROAN_OK, __LINE__);
    receivers = reply->integer;
    roan_value_free(reply);
    return receivers;
}

static roan_status run(roan *client, size_t argc, const char *const *text)
{
    roan_slice words[16];

    for (size_t i = 0; i < argc; i++)
        words[i] = roan_slice_from_text(text[i]);
    return roan_do(client, argc, words, NULL, NULL);
}

#define RUN(client, ...) \
    run(client, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *const[]){__VA_ARGS__})

static unsigned number_of(const roan_message *message)
{
    unsigned number = 0;

    for (size_t i = 0; i < message->payload.bytes; i++)
        number = number * 10 + (unsigned)(message->payload.data[i] - '0');
    return number;
}

/* ---- a publisher on a thread of its own ---- */

typedef struct publisher {
    pthread_t thread;
    const char *channel;
    unsigned count;
    useconds_t pause_us; /* after every 100 */
    bool kills;
} publisher;

static void *run_publisher(void *argument)
{
    publisher *all = argument;
    roan *client = open_handle(3, "");
    roan_future *last = NULL;
    unsigned seed = 7;

    roan_ready(client, -1);
    for (unsigned i = 1; i <= all->count; i++) {
        roan_drop(last);
        last = begin_publish(client, all->channel, i);
        if (i % UNDER_WAY_MAX == 0 || all->pause_us > 0)
            roan_wait(last, -1);
        if (all->pause_us > 0 && i % 100 == 0)
            usleep(all->pause_us);
        if (all->kills && i % (all->count / KILLS) == (unsigned)rand_r(&seed) % 3)
            RUN(client, "CLIENT", "KILL", "TYPE", "pubsub");
    }
    roan_wait(last, -1);
    roan_drop(last);
    roan_close(client, 5000);
    return NULL;
}

static void start(publisher *all)
{
    assert_int_equal(pthread_create(&all->thread, NULL, run_publisher, all), 0);
}

/* ---- the burst ---- */

static void check_burst(int protocol, unsigned count)
{
    roan *client = open_handle(protocol, "");
    roan_subscription *subscription = subscribe_to(client, "burst", ROAN_SUBSCRIPTION_OPTIONS(.backlog_max = BACKLOG_MAX));
    roan_subscription_stats stats = {.size = sizeof stats};
    publisher source = {.channel = "burst", .count = count};
    roan_message message;

    start(&source);
    for (unsigned i = 1; i <= count; i++) {
        OK(roan_subscription_next(subscription, &message, 20000));
        if (message.lost_before != 0 || number_of(&message) != i || message.sequence != i)
            fail_msg("message %u is %u, %llu lost before", i, number_of(&message),
                     (unsigned long long)message.lost_before);
        roan_message_done(&message);
    }
    pthread_join(source.thread, NULL);
    roan_subscription_get_stats(subscription, &stats);
    assert_int_equal(stats.dropped + stats.interruptions + stats.backlog + stats.backlog_bytes, 0);
    roan_subscription_free(subscription);
    OK(roan_close(client, 1000));
}

static void test_a_burst_with_resp3(void **state)
{
    (void)state;
    check_burst(3, BURST_MESSAGES);
}

static void test_a_burst_with_resp2(void **state)
{
    (void)state;
    check_burst(2, BURST_MESSAGES / 4);
}

/* ---- nobody takes them ---- */

static void check_idle_consumer(int protocol)
{
    roan *client = open_handle(protocol, "");
    roan_subscription *subscription = subscribe_to(client, "idle", ROAN_SUBSCRIPTION_OPTIONS(.backlog_max = 100));
    roan_subscription_stats stats = {.size = sizeof stats};
    publisher source = {.channel = "idle", .count = 50000};
    roan_message message;
    uint64_t accounted = 0;
    unsigned last = 0;

    start(&source);
    for (unsigned i = 0; i < 500; i++)
        OK(RUN(client, "SET", "k", "v")); /* they are not held up */
    pthread_join(source.thread, NULL);
    for (unsigned i = 0; i < 5000 && stats.messages < source.count; i++) {
        usleep(1000); /* the background receives */
        roan_subscription_get_stats(subscription, &stats);
        assert_true(stats.backlog <= 100);
    }
    assert_int_equal(stats.messages, source.count);
    while (roan_subscription_next(subscription, &message, 0) == ROAN_OK) {
        accounted += message.lost_before + 1;
        assert_int_equal(number_of(&message), last + message.lost_before + 1);
        last = number_of(&message);
        roan_message_done(&message);
    }
    assert_int_equal(accounted, source.count);
    roan_subscription_free(subscription);
    OK(roan_close(client, 1000));
}

static void test_nobody_takes_the_messages(void **state)
{
    (void)state;
    check_idle_consumer(3);
    check_idle_consumer(2);
}

/* ---- connections that are killed ---- */

typedef struct consumer {
    pthread_t thread;
    roan_subscription *subscription;
    unsigned last;
    unsigned gaps;
    unsigned wrong;
    unsigned received;
} consumer;

static void *consume(void *argument)
{
    consumer *own = argument;
    roan_message message;

    while (roan_subscription_next(own->subscription, &message, -1) == ROAN_OK) {
        unsigned number = number_of(&message);
        own->received++;
        if (number == 0) {
            roan_message_done(&message);
            break;
        }
        if (message.lost_before == ROAN_LOST_UNKNOWN) {
            own->gaps++;
            own->wrong += number <= own->last;
        } else if (number != own->last + 1 + message.lost_before) {
            own->wrong++;
        }
        own->last = number;
        roan_message_done(&message);
    }
    return NULL;
}

static void check_kills(int protocol)
{
    roan *client = open_handle(protocol, "");
    roan *other = open_handle(3, "");
    consumer consumers[2] = {0};
    publisher source = {.channel = "kills", .count = 30000, .pause_us = 1000, .kills = true};

    for (size_t i = 0; i < 2; i++) {
        consumers[i].subscription = subscribe_to(client, "kills", NULL);
        assert_int_equal(pthread_create(&consumers[i].thread, NULL, consume, &consumers[i]), 0);
    }
    start(&source);
    for (unsigned i = 0; i < 300; i++) {
        RUN(client, "GET", "k"); /* may fail */
        usleep(1000);
    }
    pthread_join(source.thread, NULL);
    for (size_t i = 0; i < 2; i++)
        OK(roan_subscription_ready(consumers[i].subscription, 5000));
    publish(other, "kills", 0);
    for (size_t i = 0; i < 2; i++) {
        roan_subscription_stats stats = {.size = sizeof stats};
        pthread_join(consumers[i].thread, NULL);
        roan_subscription_get_stats(consumers[i].subscription, &stats);
        assert_int_equal(consumers[i].wrong, 0);
        assert_true(consumers[i].gaps > 0);
        assert_true(stats.interruptions >= consumers[i].gaps);
        assert_true(consumers[i].received > source.count / 50);
        assert_int_equal(stats.dropped, 0);
        roan_subscription_free(consumers[i].subscription);
    }
    OK(roan_close(client, 1000));
    OK(roan_close(other, 1000));
}

static void test_connections_that_are_killed(void **state)
{
    (void)state;
    check_kills(3);
    check_kills(2);
}

/* ---- storms ---- */

typedef struct stormer {
    pthread_t thread;
    roan *client;
    roan_subscription *subscription;
    unsigned seed;
    bool wished[STORM_CHANNELS];
    unsigned failed;
} stormer;

static void *storm(void *argument)
{
    stormer *own = argument;
    char name[16];

    for (unsigned i = 0; i < STORM_CHANGES; i++) {
        unsigned at = (unsigned)rand_r(&own->seed) % STORM_CHANNELS;
        roan_slice channel = {name, (size_t)snprintf(name, sizeof name, "storm%u", at)};
        roan_status status = own->wished[at]
            ? roan_subscription_remove(own->subscription, ROAN_CHANNEL_EXACT, &channel, 1)
            : roan_subscription_add(own->subscription, ROAN_CHANNEL_EXACT, &channel, 1);
        own->failed += status != ROAN_OK;
        own->wished[at] = !own->wished[at];
        if (i % 16 == 0)
            own->failed += roan_subscription_ready(own->subscription, 10000) != ROAN_OK;
        if (i % 32 == 0)
            own->failed += RUN(own->client, "SET", "k", "v") != ROAN_OK;
    }
    own->failed += roan_subscription_ready(own->subscription, 10000) != ROAN_OK;
    return NULL;
}

static void check_after_storm(const stormer *own, roan *client)
{
    roan_message message;
    unsigned expected = 0;
    char name[16];

    for (unsigned at = 0; at < STORM_CHANNELS; at++)
        expected += own->wished[at];
    for (unsigned i = 0; i < expected; i++) {
        OK(roan_subscription_next(own->subscription, &message, 5000));
        snprintf(name, sizeof name, "storm%u", number_of(&message));
        assert_true(own->wished[number_of(&message)]);
        assert_memory_equal(message.channel.data, name, message.channel.bytes);
        roan_message_done(&message);
    }
    OK(RUN(client, "PING"));
    check_status(roan_subscription_next(own->subscription, &message, 0), ROAN_E_TIMEOUT, __LINE__);
}

static void check_storm(int protocol)
{
    roan *client = open_handle(protocol, "");
    roan *other = open_handle(3, "");
    stormer stormers[STORM_THREADS];
    char name[16];

    memset(stormers, 0, sizeof stormers);
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        stormers[i].client = client;
        stormers[i].seed = i + 1;
        stormers[i].subscription = roan_subscription_create(client, NULL);
        assert_int_equal(pthread_create(&stormers[i].thread, NULL, storm, &stormers[i]), 0);
    }
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        pthread_join(stormers[i].thread, NULL);
        assert_int_equal(stormers[i].failed, 0);
    }
    roan_subscription *fence = subscribe_to(client, "storm-is-over", NULL); /* behind all that was asked before */
    for (unsigned at = 0; at < STORM_CHANNELS; at++) {
        bool is_wished = false;
        for (unsigned i = 0; i < STORM_THREADS; i++)
            is_wished |= stormers[i].wished[at];
        snprintf(name, sizeof name, "storm%u", at);
        assert_int_equal(publish(other, name, at), is_wished);
    }
    for (unsigned i = 0; i < STORM_THREADS; i++) {
        check_after_storm(&stormers[i], client);
        roan_subscription_free(stormers[i].subscription);
    }
    roan_subscription_free(fence);
    OK(roan_close(client, 1000));
    OK(roan_close(other, 1000));
}

static void test_storms_of_wishes(void **state)
{
    (void)state;
    check_storm(3);
    check_storm(2);
}

/* ---- waiting in one thread, changing in another ---- */

typedef struct changer {
    roan_subscription *subscription;
    bool removes;
} changer;

static void *add_then_end(void *argument)
{
    changer *own = argument;
    roan *client = open_handle(3, "");

    usleep(20000);
    add(own->subscription, "late");
    while (publish(client, "late", 1) == 0)
        usleep(1000);
    usleep(20000);
    if (own->removes) {
        roan_slice channel = ROAN_LITERAL("late");
        roan_subscription_remove(own->subscription, ROAN_CHANNEL_EXACT, &channel, 1);
        usleep(20000); /* who waits drives without a wish now, and nothing comes any more */
    }
    roan_subscription_end(own->subscription);
    roan_close(client, 1000);
    return NULL;
}

static void check_changes_while_waiting(int protocol, const char *more, bool removes)
{
    roan *client = open_handle(protocol, more);
    roan_subscription *subscription = roan_subscription_create(client, NULL);
    changer other = {subscription, removes};
    roan_message message;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, add_then_end, &other), 0);
    OK(roan_subscription_next(subscription, &message, 10000));
    assert_int_equal(number_of(&message), 1);
    roan_message_done(&message);
    check_status(roan_subscription_next(subscription, &message, -1), ROAN_E_CLOSED, __LINE__);
    pthread_join(thread, NULL);
    roan_subscription_free(subscription);
    OK(roan_close(client, 1000));
}

static void test_changes_while_waiting(void **state)
{
    (void)state;
    check_changes_while_waiting(3, "", false);
    check_changes_while_waiting(3, "", true);
    check_changes_while_waiting(2, "", false);
    check_changes_while_waiting(2, "", true);
    check_changes_while_waiting(3, "&drive=thread", false);
    check_changes_while_waiting(3, "&drive=thread", true);
    check_changes_while_waiting(2, "&drive=thread", false);
    check_changes_while_waiting(2, "&drive=thread", true);
}

/* ---- callbacks ---- */

typedef struct heard {
    _Atomic unsigned count;
    unsigned wrong;
} heard;

static void hear(void *argument, const roan_message *message, const roan_failure *failure)
{
    heard *all = argument;

    if (failure != NULL || number_of(message) != all->count + 1 || message->lost_before != 0)
        all->wrong++;
    all->count++;
}

static void check_callbacks(int protocol, const char *more)
{
    roan *client = open_handle(protocol, more);
    roan_subscription *subscription = subscribe_to(client, "calls", NULL);
    publisher source = {.channel = "calls", .count = 20000};
    heard all = {0};

    OK(roan_subscription_on(subscription, hear, &all));
    start(&source);
    for (unsigned i = 0; i < 10000 && all.count < source.count; i++) {
        usleep(1000);
        OK(RUN(client, "GET", "k")); /* drives now and then */
    }
    pthread_join(source.thread, NULL);
    assert_int_equal(all.count, source.count);
    roan_subscription_free(subscription);
    assert_int_equal(all.wrong, 0);
    OK(roan_close(client, 1000));
}

static void test_callbacks_on_whatever_thread_drives(void **state)
{
    (void)state;
    check_callbacks(3, "");
    check_callbacks(2, "");
    check_callbacks(3, "&drive=thread");
}

/* The program's own loop knows nothing but the descriptor. */
static void check_loop(int protocol)
{
    roan *client = open_handle(protocol, "&drive=loop");
    roan_subscription *subscription = roan_subscription_create(client, NULL);
    struct pollfd item = {.fd = roan_fd(client), .events = POLLIN};
    publisher source = {.channel = "loop", .count = 20000};
    roan_subscription_stats stats = {.size = sizeof stats};
    heard all = {0};

    OK(roan_subscription_on(subscription, hear, &all));
    add(subscription, "loop");
    for (unsigned i = 0; i < 1000 && stats.confirmed == 0; i++) {
        poll(&item, 1, 100);
        OK(roan_turn(client, 0));
        roan_subscription_get_stats(subscription, &stats);
    }
    start(&source);
    while (all.count < source.count) {
        assert_int_equal(poll(&item, 1, 5000), 1);
        OK(roan_turn(client, 0));
    }
    for (unsigned i = 0; i < 50; i++) /* and then it is quiet */
        if (poll(&item, 1, 10) != 0)
            OK(roan_turn(client, 0));
    assert_int_equal(poll(&item, 1, 0), 0);
    pthread_join(source.thread, NULL);
    assert_int_equal(all.count, source.count);
    assert_int_equal(all.wrong, 0);
    roan_subscription_free(subscription);
    OK(roan_close(client, 1000));
}

static void test_callbacks_in_the_programs_loop(void **state)
{
    (void)state;
    check_loop(3);
    check_loop(2);
}

static int64_t spent_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000LL + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

/* Waiting for messages that do not come costs nothing, whoever waits. */
static void check_quiet(int protocol, const char *more)
{
    roan *client = open_handle(protocol, more);
    roan_subscription *subscription = subscribe_to(client, "quiet", NULL);
    roan_message message;
    int64_t begun_us = spent_us();

    usleep(200000); /* the background */
    check_status(roan_subscription_next(subscription, &message, 200), ROAN_E_TIMEOUT, __LINE__);
    assert_true(spent_us() - begun_us < 100000);
    roan_subscription_free(subscription);
    OK(roan_close(client, 1000));
}

static void test_quiet_subscriptions_cost_nothing(void **state)
{
    (void)state;
    check_quiet(3, "");
    check_quiet(2, "");
    check_quiet(3, "&drive=thread");
}

/* ---- rights, keys, fork ---- */

static void check_refused(int protocol)
{
    roan *root = open_handle(3, "");
    char uri[160];
    roan *client;

    OK(RUN(root, "ACL", "SETUSER", "listener", "on", ">pw", "+@all", "~*", "resetchannels", "&open*"));
    snprintf(uri, sizeof uri, "redis://listener:pw@127.0.0.1:%d?protocol=%d", port, protocol);
    OK(roan_open(&client, uri, NULL, NULL));
    roan_subscription *subscription = roan_subscription_create(client, NULL);
    roan_message message;
    add(subscription, "open1");
    add(subscription, "closed");
    add(subscription, "open2");
    check_status(roan_subscription_ready(subscription, 5000), ROAN_E_SERVER, __LINE__);
    assert_string_equal(roan_last_failure()->server_code, "NOPERM");
    assert_int_equal(publish(root, "open2", 5), 1);
    OK(roan_subscription_next(subscription, &message, 5000));
    assert_int_equal(number_of(&message), 5);
    roan_message_done(&message);
    roan_subscription_free(subscription);
    OK(roan_close(client, 1000));
    OK(RUN(root, "ACL", "DELUSER", "listener"));
    OK(roan_close(root, 1000));
}

static void test_refused_channels(void **state)
{
    (void)state;
    check_refused(3);
    check_refused(2);
}

static void test_messages_about_keys(void **state)
{
    (void)state;
    for (int protocol = 2; protocol <= 3; protocol++) {
        roan *client = open_handle(protocol, "&key_prefix=app:");
        OK(RUN(client, "CONFIG", "SET", "notify-keyspace-events", "KEA"));
        roan_subscription *subscription = subscribe_to(client, "__keyevent@9__:set", NULL);
        roan_message message;
        OK(RUN(client, "SET", "k", "v"));
        OK(roan_subscription_next(subscription, &message, 5000));
        assert_int_equal(message.payload.bytes, 5);
        assert_memory_equal(message.payload.data, "app:k", 5);
        roan_message_done(&message);
        OK(RUN(client, "CONFIG", "SET", "notify-keyspace-events", ""));
        roan_subscription_free(subscription);
        OK(roan_close(client, 1000));
    }
}

static int in_child(roan *client, roan_subscription *subscription)
{
    roan_message message;

    if (roan_subscription_ready(subscription, 5000) != ROAN_OK)
        return 2;
    if (RUN(client, "PUBLISH", "forked", "7") != ROAN_OK)
        return 3;
    do {
        if (roan_subscription_next(subscription, &message, 5000) != ROAN_OK)
            return 4;
    } while (number_of(&message) != 7);
    if (message.lost_before != ROAN_LOST_UNKNOWN)
        return 5;
    roan_message_done(&message);
    roan_subscription_free(subscription);
    return roan_close(client, 1000) == ROAN_OK ? 0 : 6;
}

static void test_both_sides_of_a_fork(void **state)
{
    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* it ends a child that starts threads */
#endif
    for (int protocol = 2; protocol <= 3; protocol++) {
        roan *client = open_handle(protocol, "");
        roan_subscription *subscription = subscribe_to(client, "forked", NULL);
        roan_message message;
        int status;
        pid_t child = fork();
        if (child == 0)
            _exit(in_child(client, subscription));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        OK(roan_subscription_next(subscription, &message, 5000));
        assert_int_equal(number_of(&message), 7);
        assert_int_equal(message.lost_before, 0);
        roan_message_done(&message);
        roan_subscription_free(subscription);
        OK(roan_close(client, 1000));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_burst_with_resp3),
        cmocka_unit_test(test_a_burst_with_resp2),
        cmocka_unit_test(test_nobody_takes_the_messages),
        cmocka_unit_test(test_connections_that_are_killed),
        cmocka_unit_test(test_storms_of_wishes),
        cmocka_unit_test(test_changes_while_waiting),
        cmocka_unit_test(test_callbacks_on_whatever_thread_drives),
        cmocka_unit_test(test_callbacks_in_the_programs_loop),
        cmocka_unit_test(test_quiet_subscriptions_cost_nothing),
        cmocka_unit_test(test_refused_channels),
        cmocka_unit_test(test_messages_about_keys),
        cmocka_unit_test(test_both_sides_of_a_fork),
    };

    if (argc == 3)
        cmocka_set_test_filter(argv[2]);
    if (argc < 2 || (port = atoi(argv[1])) == 0)
        return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
