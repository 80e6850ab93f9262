/* Scripts, scans and streamed values on a running server.
 *
 *     large PORT
 *
 * A scan of 100 000 keys while others are written, the four scans with both protocols, scripts and libraries that the
 * server is made to forget, 64 MiB in and out with a look at this process's memory. With ROAN_TEST_HUGE set, 512 MB,
 * too. Output that does not fit into the socket while others wait for input. Started by on_server.py; a cmocka program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/number.h"
#include "roan/client_commands.h"
#include "roan/lease.h"
#include "roan/scan.h"
#include "roan/script.h"
#include "roan/subscription.h"
#include "roan/value_stream.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define K(text) ROAN_LITERAL(text)
#define OK(call) check_status(call, ROAN_OK, __LINE__)
#define KEYS 100000
#define ELEMENTS 3000
#define MIB ((uint64_t)1 << 20)
#define MEMORY_KIB_MAX (6 * 1024) /* how much 64 MiB in and out may add to the peak */

static int port;

static void check_status(roan_status status, roan_status expected, int line)
{
    if (status != expected)
        fail_msg("line %d: %s (%s)", line, roan_status_name(status), status < 0 ? roan_last_failure()->text : "");
}

static roan *open_handle(const char *query)
{
    char uri[128];
    roan *client;

    snprintf(uri, sizeof uri, "redis://127.0.0.1:%d/9?%s", port, query);
    OK(roan_open(&client, uri, NULL, NULL));
    return client;
}

static roan_slice print_key(char text[32], const char *start, unsigned number)
{
    return roan_slice_make(text, (size_t)snprintf(text, 32, "%s%u", start, number));
}

/* ---- scans ---- */

static void fill_keys(roan *client)
{
    for (unsigned i = 0; i < KEYS;) {
        roan_batch *batch = roan_batch_create(client, false);
        for (unsigned end = i + 5000; i < end; i++) {
            char text[32];
            roan_set_add(batch, print_key(text, "key:", i), K("x"), NULL);
        }
        OK(roan_batch_run(batch, NULL, NULL));
    }
}

typedef struct writer {
    roan *client;
    volatile bool *is_over;
} writer;

/* Adds and deletes other keys, so that the server's table grows, shrinks and moves. */
static void *write_others(void *argument)
{
    writer *own = argument;

    for (unsigned round = 0; !__atomic_load_n(own->is_over, __ATOMIC_RELAXED); round++) {
        roan_batch *batch = roan_batch_create(own->client, false);
        for (unsigned i = 0; i < 2000; i++) {
            char text[32];
            roan_slice key = print_key(text, "other:", (round / 2 * 2000 + i) % 200000);
            if (round % 2 == 0)
                roan_set_add(batch, key, K("y"), NULL);
            else
                roan_del_add(batch, &key, 1);
        }
        OK(roan_batch_run(batch, NULL, NULL));
    }
    return NULL;
}

static void scan_all_keys(roan *client, bool prefetch, const char *pattern)
{
    static unsigned char seen[KEYS];
    roan_scan *scan;
    roan_value *page;
    roan_status status;
    unsigned found = 0;

    memset(seen, 0, sizeof seen);
    OK(roan_scan_create(&scan, client, ROAN_SCAN_KEYS, K(""),
                        ROAN_SCAN_OPTIONS(.match = roan_slice_from_text(pattern), .count = 1000, .prefetch = prefetch),
                        NULL));
    while ((status = roan_scan_next(scan, &page)) == ROAN_OK) {
        for (size_t i = 0; i < page->count; i++) {
            char text[32];
            unsigned number;
            snprintf(text, sizeof text, "%.*s", ROAN_SLICE_ARG(page->elements[i].text));
            assert_int_equal(sscanf(text, "key:%u", &number), 1);
            assert_true(number < KEYS);
            found += seen[number] == 0;
            seen[number] = 1;
        }
        roan_value_free(page);
    }
    check_status(status, ROAN_NIL, __LINE__);
    assert_int_equal(found, KEYS);
    roan_scan_free(scan);
}

static void test_scan_while_writing(void **state)
{
    (void)state;
    roan *client = open_handle("request_timeout_ms=20000");
    roan *other = open_handle("request_timeout_ms=20000");
    volatile bool is_over = false;
    writer own = {other, &is_over};
    pthread_t thread;

    OK(roan_flushdb(client, NULL, NULL));
    fill_keys(client);
    assert_int_equal(pthread_create(&thread, NULL, write_others, &own), 0);
    scan_all_keys(client, false, "key:*");
    scan_all_keys(client, true, "key:*");
    __atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    OK(roan_flushdb(client, NULL, NULL));
    roan_close(other, 0);
    roan_close(client, 0);
}

/* A sum that does not depend on the order, of all names and values; and how many there are. */
typedef struct digest {
    uint64_t sum, count;
} digest;

static void add_text(digest *all, roan_slice text, uint64_t more)
{
    uint64_t hash = 14695981039346656037u + more;

    for (size_t i = 0; i < text.bytes; i++)
        hash = (hash ^ (unsigned char)text.data[i]) * 1099511628211u;
    all->sum += hash;
    all->count++;
}

static digest digest_of(roan *client, roan_scan_kind kind, const char *key)
{
    digest all = {0};
    roan_scan *scan;
    roan_value *page;
    roan_status status;

    OK(roan_scan_create(&scan, client, kind, roan_slice_from_text(key), NULL, NULL));
    while ((status = roan_scan_next(scan, &page)) == ROAN_OK) {
        size_t count = kind == ROAN_SCAN_HASH ? roan_decode_pair_count(page)
                       : kind == ROAN_SCAN_ZSET ? roan_decode_scored_count(page) : roan_decode_count(page);
        for (size_t i = 0; i < count; i++) {
            const roan_value *field, *value;
            roan_slice text;
            double score = 0;
            if (kind == ROAN_SCAN_HASH) {
                OK(roan_decode_pair(page, i, &field, &value));
                OK(roan_decode_text(field, &text));
                add_text(&all, value->text, 1);
            } else if (kind == ROAN_SCAN_ZSET) {
                OK(roan_decode_scored(page, i, &text, &score));
            } else {
                OK(roan_decode_text(roan_decode_element(page, i), &text));
            }
            add_text(&all, text, (uint64_t)(score * 8));
        }
        roan_value_free(page);
    }
    check_status(status, ROAN_NIL, __LINE__);
    roan_scan_free(scan);
    return all;
}

static void test_four_scans_with_both_protocols(void **state)
{
    (void)state;
    roan *second = open_handle("protocol=2&key_prefix=app:");
    roan *third = open_handle("protocol=3&key_prefix=app:");
    roan_batch *batch = roan_batch_create(third, false);

    OK(roan_flushdb(third, NULL, NULL));
    for (unsigned i = 0; i < ELEMENTS; i++) {
        char text[32], number[32];
        roan_slice name = print_key(text, "e", i), value = print_key(number, "", i);
        roan_batch_add(batch, 4, (roan_slice[]){K("HSET"), K("h"), name, value});
        roan_batch_add(batch, 3, (roan_slice[]){K("SADD"), K("s"), name});
        roan_batch_add(batch, 4, (roan_slice[]){K("ZADD"), K("z"), value, name});
        roan_batch_add(batch, 3, (roan_slice[]){K("SET"), name, value});
    }
    OK(roan_batch_run(batch, NULL, NULL));
    OK(roan_do(third, 4, (roan_slice[]){K("HSET"), K("small"), K("f"), K("v")}, NULL, NULL));
    static const struct {
        roan_scan_kind kind;
        const char *key;
        uint64_t least;
    } cases[] = {{ROAN_SCAN_KEYS, "", ELEMENTS + 4}, {ROAN_SCAN_HASH, "h", 2 * ELEMENTS},
                 {ROAN_SCAN_SET, "s", ELEMENTS},     {ROAN_SCAN_ZSET, "z", ELEMENTS},
                 {ROAN_SCAN_HASH, "small", 2},       {ROAN_SCAN_SET, "none", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        digest two = digest_of(second, cases[i].kind, cases[i].key);
        digest three = digest_of(third, cases[i].kind, cases[i].key);
        assert_int_equal(two.count, cases[i].least);
        assert_int_equal(two.count, three.count);
        assert_int_equal(two.sum, three.sum);
    }
    OK(roan_flushdb(third, NULL, NULL));
    roan_close(second, 0);
    roan_close(third, 0);
}

/* ---- scripts ---- */

static void test_scripts_and_libraries(void **state)
{
    (void)state;
    roan *client = open_handle("key_prefix=app:");
    roan_script *script;
    roan_library *library;
    roan_value *reply;
    roan_slice key = K("counter"), amount = K("5");

    OK(roan_do(client, 2, (roan_slice[]){K("DEL"), key}, NULL, NULL));
    OK(roan_script_create(&script, K("return redis.call('INCRBY', KEYS[1], ARGV[1])"), false, NULL));
    for (int i = 1; i <= 4; i++) {
        if (i == 3)
            OK(roan_script_flush(client, NULL, NULL));
        OK(roan_script_run(client, script, 1, &key, 1, &amount, &reply, NULL));
        assert_int_equal(reply->integer, 5 * i);
        roan_value_free(reply);
    }
    OK(roan_script_flush(client, NULL, NULL));
    roan_future *futures[32];
    for (int i = 0; i < 32; i++)
        futures[i] = roan_script_go(client, script, 1, &key, 1, &amount, NULL);
    for (int i = 0; i < 32; i++) /* each exactly once, and in order */
        OK(roan_take(futures[i], NULL, NULL));
    OK(roan_script_flush(client, NULL, NULL));
    roan_batch *batch = roan_batch_create(client, true);
    for (int i = 0; i < 3; i++)
        roan_script_add(batch, script, 1, &key, 1, &amount);
    OK(roan_batch_run(batch, &reply, NULL));
    assert_int_equal(reply->count, 3);
    assert_int_equal(reply->elements[2].integer, 5 * 39);
    roan_value_free(reply);
    roan_script_free(script);

    OK(roan_script_create(&script, K("return redis.call('GET', KEYS[1])"), true, NULL));
    OK(roan_script_run(client, script, 1, &key, 0, NULL, &reply, NULL));
    assert_true(roan_slice_equal(reply->text, K("195")));
    roan_value_free(reply);
    roan_script_free(script);

    OK(roan_library_create(&library, K("lua"), K("roantest"),
                           K("redis.register_function{function_name='roan_echo', callback=function(keys, args) return "
                             "args[1] end, flags={'no-writes'}}"), NULL));
    roan_do(client, 2, (roan_slice[]){K("FUNCTION"), K("FLUSH")}, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        OK(roan_library_run(client, library, K("roan_echo"), 1, &key, 1, &amount, &reply, NULL));
        assert_int_equal(reply->text.bytes, 1);
        roan_value_free(reply);
        OK(roan_library_run_ro(client, library, K("roan_echo"), 0, NULL, 1, &amount, NULL, NULL));
        roan_do(client, 2, (roan_slice[]){K("FUNCTION"), K("FLUSH")}, NULL, NULL);
    }
    check_status(roan_library_run(client, library, K("roan_none"), 0, NULL, 0, NULL, &reply, NULL), ROAN_E_SERVER,
                 __LINE__);
    roan_library_free(library);
    OK(roan_do(client, 2, (roan_slice[]){K("DEL"), key}, NULL, NULL));
    roan_close(client, 0);
}

/* ---- streams ---- */

typedef struct flow {
    uint64_t position, total;
} flow;

static char byte_at(uint64_t position)
{
    return (char)(position * 7 + (position >> 8) * 3 + (position >> 16));
}

static int64_t give(void *argument, char *buffer, size_t room)
{
    flow *from = argument;
    uint64_t bytes = from->total - from->position < room ? from->total - from->position : room;

    for (uint64_t i = 0; i < bytes; i++)
        buffer[i] = byte_at(from->position + i);
    from->position += bytes;
    return (int64_t)bytes;
}

static bool compare(void *argument, roan_slice piece, uint64_t total_bytes)
{
    flow *to = argument;

    if (total_bytes != to->total)
        return false;
    for (size_t i = 0; i < piece.bytes; i++)
        if (piece.data[i] != byte_at(to->position + i))
            return false;
    to->position += piece.bytes;
    return true;
}

static long peak_kib(void)
{
    char line[128];
    long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

static void reset_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");

    if (file == NULL)
        return;
    fputs("5", file);
    fclose(file);
}

static void stream(roan *client, uint64_t bytes)
{
    flow from = {0, bytes}, to = {0, bytes};

    OK(roan_set_stream(client, K("large"), bytes, give, &from, NULL, NULL));
    OK(roan_get_stream(client, K("large"), compare, &to, NULL));
    assert_int_equal(to.position, bytes);
}

static void test_64_mib_in_little_memory(void **state)
{
    (void)state;
    static const char *const drives[] = {"drive=auto", "drive=thread", "protocol=2"};

    for (size_t i = 0; i < sizeof drives / sizeof drives[0]; i++) {
        roan *client = open_handle(drives[i]);
        stream(client, 1000);
        reset_peak();
        long before = peak_kib();
        stream(client, i == 0 ? 64 * MIB : 4 * MIB);
        long grown = peak_kib() - before;
        if (grown > MEMORY_KIB_MAX)
            fail_msg("%s: the peak grew by %ld KiB", drives[i], grown);
        roan_client_stats stats = {.size = sizeof stats};
        roan_get_stats(client, &stats);
        assert_int_equal(stats.leases_destroyed, 0);
        OK(roan_do(client, 2, (roan_slice[]){K("DEL"), K("large")}, NULL, NULL));
        roan_close(client, 0);
    }
}

static void test_on_a_lease(void **state)
{
    (void)state;
    roan *client = open_handle("");
    roan_lease *lease;

    OK(roan_lease_take(client, &lease, 0));
    roan *own = roan_lease_client(lease);
    stream(own, 3 * MIB);
    OK(roan_do(own, 2, (roan_slice[]){K("DEL"), K("large")}, NULL, NULL));
    flow from = {0, 100};
    check_status(roan_set_stream(own, K("large"), 200, give, &from, NULL, NULL), ROAN_E_INVALID, __LINE__);
    check_status(roan_do(own, 1, (roan_slice[]){K("PING")}, NULL, NULL), ROAN_E_LOST, __LINE__); /* the lease lost it */
    roan_lease_return(lease);
    check_status(roan_get_stream(client, K("large"), compare, &from, NULL), ROAN_NIL,
                 __LINE__); /* nothing was stored */
    roan_close(client, 0);
}

static void test_a_value_that_is_too_large(void **state)
{
    (void)state;
    roan *client = open_handle("");
    flow from = {0, 1024 * MIB};

    roan_status status = roan_set_stream(client, K("large"), 1024 * MIB, give, &from, NULL, NULL);
    if (status != ROAN_E_SERVER && status != ROAN_E_LOST) /* the reason may be lost with the connection */
        fail_msg("%s", roan_status_name(status));
    assert_int_equal(roan_last_failure()->fate, ROAN_FATE_NOT_SENT);
    assert_true(from.position < 1024 * MIB);
    OK(roan_do(client, 1, (roan_slice[]){K("PING")}, NULL, NULL));
    roan_close(client, 0);
}

static void test_512_mb(void **state)
{
    (void)state;
    if (getenv("ROAN_TEST_HUGE") == NULL)
        skip();
    roan *client = open_handle("");
    reset_peak();
    long before = peak_kib();
    stream(client, 512 * MIB);
    assert_true(peak_kib() - before < MEMORY_KIB_MAX);
    OK(roan_do(client, 2, (roan_slice[]){K("DEL"), K("large")}, NULL, NULL));
    roan_close(client, 0);
}

/* ---- output that the socket does not take at once ---- */

#define LARGE_BYTES (48u * 1024 * 1024)

static void *take_messages(void *argument)
{
    roan_message message;
    roan_status status;

    do {
        status = roan_subscription_next(argument, &message, 30000);
        roan_message_done(&message);
    } while (status == ROAN_OK);
    return NULL;
}

static void note_message(void *argument, const roan_message *message, const roan_failure *failure)
{
    (void)argument;
    (void)message;
    (void)failure;
}

static void note_settled(roan_future *future, void *argument)
{
    *(_Atomic int *)argument = roan_take(future, NULL, NULL) == ROAN_OK ? 1 : -1;
}

static roan_subscription *subscribe(roan *client)
{
    roan_subscription *subscription = roan_subscription_create(client, NULL);

    assert_non_null(subscription);
    OK(roan_subscription_add(subscription, ROAN_CHANNEL_EXACT, &K("quiet"), 1));
    OK(roan_subscription_ready(subscription, 5000));
    return subscription;
}

/* Another thread, or the library's, waits for input on the same connection all the time. */
static void test_large_output_beside_who_waits(void **state)
{
    roan *client = open_handle("request_timeout_ms=10000&silence_timeout_ms=-1&write_timeout_ms=-1");
    char *value = calloc(1, LARGE_BYTES);
    roan_slice words[] = {K("SET"), K("large"), {value, LARGE_BYTES}};
    roan_subscription *subscription = subscribe(client);
    pthread_t thread;
    _Atomic int settled = 0;

    (void)state;
    assert_non_null(value);
    assert_int_equal(pthread_create(&thread, NULL, take_messages, subscription), 0);
    usleep(100000); /* it drives */
    OK(roan_do(client, 3, words, NULL, NULL));
    roan_subscription_end(subscription);
    pthread_join(thread, NULL);
    roan_subscription_free(subscription);

    subscription = subscribe(client);
    OK(roan_subscription_on(subscription, note_message, NULL));
    usleep(100000); /* the background drives */
    roan_then(roan_go(client, 3, words, NULL), note_settled, (void *)&settled);
    for (unsigned i = 0; i < 1000 && settled == 0; i++)
        usleep(10000);
    assert_int_equal(settled, 1);
    roan_subscription_free(subscription);
    OK(roan_close(client, 1000));
    free(value);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scan_while_writing),
        cmocka_unit_test(test_four_scans_with_both_protocols),
        cmocka_unit_test(test_scripts_and_libraries),
        cmocka_unit_test(test_64_mib_in_little_memory),
        cmocka_unit_test(test_on_a_lease),
        cmocka_unit_test(test_a_value_that_is_too_large),
        cmocka_unit_test(test_512_mb),
        cmocka_unit_test(test_large_output_beside_who_waits),
    };

    if (argc != 2)
        return 2;
    port = atoi(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
