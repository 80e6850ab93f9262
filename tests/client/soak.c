/* Hours of a client's life in minutes: a steady rate of calls of all kinds over one handle, and memory must not grow.
 *
 *     soak SECONDS OPERATIONS-PER-SECOND SERVER-COMMAND ...       "{port}" in a word is the port; see `make soak`
 *
 *     synchronous    a quarter, SET, GET and INCR by two threads
 *     asynchronous   a half, with callbacks and values of 16 bytes to 8 KiB; some have a deadline of 1 ms
 *     batches        a quarter, of 50 commands, every other one a transaction
 *     besides        a few blocking commands, leases and optimistic transactions a second; every 7 s the server kills all
 *                    connections, so that losing and coming back is part of it
 *
 * Every 10 s one line: rates, failures, memory. The memory after a fifth of the time (but at most 30 s) is the measure:
 * at the end it may be a tenth and 2 MiB more. Fails, too, when a call fails for another reason than the killing and the
 * short deadlines, when one never settles, or when less than four fifths of the wanted rate was reached.
 */
#include "base/macros.h"
#include "roan/client_commands.h"
#include "roan/lease.h"
#include "server_process.h"
#include "ticks.h"

#define VALUE_BYTES_MAX 8192
#define KEYS            5000
#define UNDER_WAY_MAX   2000
#define BATCH_COMMANDS  50
#define REPORT_S        10
#define KILL_S          7
#define WARM_S_MAX      30
#define STEP_US         2000

typedef struct soak {
    roan *client;
    int rate; /* operations per second of all together */
    _Atomic bool is_over;
    _Atomic uint64_t done, failed, late, lost;
    _Atomic uint32_t under_way; /* asynchronous calls and batches without an answer */
    _Atomic uint32_t surprise;  /* a status that should not be, once: -code */
    char value[VALUE_BYTES_MAX];
} soak;

static soak all;

/* ---- results ---- */

static void count(roan_status status, unsigned operations)
{
    if (status >= 0) {
        atomic_fetch_add(&all.done, operations);
        return;
    }
    atomic_fetch_add(&all.failed, operations);
    if (status == ROAN_E_TIMEOUT)
        atomic_fetch_add(&all.late, operations);
    else if (status == ROAN_E_LOST || status == ROAN_E_CONNECT || status == ROAN_E_QUEUE_FULL)
        atomic_fetch_add(&all.lost, operations); /* the killing */
    else
        atomic_store(&all.surprise, (uint32_t)-status);
}

static void on_settled(roan_future *future, void *argument)
{
    count(roan_take(future, NULL, NULL), (unsigned)(uintptr_t)argument);
    atomic_fetch_sub(&all.under_way, 1);
}

/* ---- load ---- */

static roan_slice key_of(uint64_t number, char (*text)[32])
{
    snprintf(*text, sizeof *text, "soak:%llu", (unsigned long long)(number % KEYS));
    return roan_slice_from_text(*text);
}

/* Calls do_one(number) so often that it makes `rate` operations a second, `each` at a time. */
static void keep_pace(int rate, unsigned each, void (*do_one)(uint64_t number))
{
    int64_t begin_us = ticks_now_us();
    uint64_t number = 0;

    while (!atomic_load(&all.is_over)) {
        uint64_t wanted = (uint64_t)((ticks_now_us() - begin_us) * rate / 1000000) / each;
        while (number < wanted && !atomic_load(&all.is_over))
            do_one(number++);
        usleep(STEP_US);
    }
}

static void do_synchronous(uint64_t number)
{
    char text[32];
    roan_slice key = key_of(number * 7, &text);
    roan_bytes old = {NULL, 0};

    switch (number % 3) {
    case 0: count(roan_set(all.client, key, roan_slice_make(all.value, 16 + number % 200), NULL, NULL, NULL), 1); break;
    case 1:
        count(roan_get(all.client, key, &old, NULL), 1);
        roan_bytes_free(&old);
        break;
    default: count(roan_incr(all.client, ROAN_LITERAL("soak-count"), NULL, NULL), 1);
    }
}

static void do_asynchronous(uint64_t number)
{
    char text[32];
    roan_slice key = key_of(number * 13, &text);
    const roan_call *soon = number % 1000 == 999 ? ROAN_WITH(.timeout_ms = 1) : NULL;
    roan_future *future;

    while (atomic_load(&all.under_way) >= UNDER_WAY_MAX && !atomic_load(&all.is_over))
        usleep(100);
    atomic_fetch_add(&all.under_way, 1);
    if (number % 2 == 0)
        future = roan_set_go(all.client, key, roan_slice_make(all.value, 16 + number * 31 % (VALUE_BYTES_MAX - 16)),
                             NULL, soon);
    else
        future = roan_get_go(all.client, key, soon);
    roan_then(future, on_settled, (void *)(uintptr_t)1);
}

static void do_batch(uint64_t number)
{
    roan_batch *batch = roan_batch_create(all.client, number % 2 == 0);

    for (unsigned i = 0; i < BATCH_COMMANDS; i++) {
        char text[32];
        roan_get_add(batch, key_of(number + i, &text));
    }
    if (number % 4 < 2) {
        roan_value *replies;
        count(roan_batch_run(batch, &replies, NULL), BATCH_COMMANDS);
        roan_value_free(replies);
    } else {
        atomic_fetch_add(&all.under_way, 1);
        roan_then(roan_batch_go(batch, NULL), on_settled, (void *)(uintptr_t)BATCH_COMMANDS);
    }
}

static roan_status add_one(roan *own, roan_batch *batch, void *argument)
{
    roan_status status = roan_get(own, ROAN_LITERAL("soak-watched"), NULL, NULL);

    (void)argument;
    roan_incr_add(batch, ROAN_LITERAL("soak-watched"));
    return status < 0 ? status : ROAN_OK;
}

static void do_rarely(uint64_t number)
{
    roan_slice list = ROAN_LITERAL("soak-list");
    roan_slice watched = ROAN_LITERAL("soak-watched");
    roan_lease *lease;
    roan_status status;

    switch (number % 4) {
    case 0: count(roan_rpush(all.client, list, &list, 1, NULL, NULL), 1); break;
    case 1: count(roan_blpop(all.client, &list, 1, 0.01, NULL, NULL), 1); break;
    case 2:
        status = roan_lease_take(all.client, &lease, 0);
        if (status == ROAN_OK) {
            status = roan_ping(roan_lease_client(lease), NULL, NULL, NULL);
            roan_lease_return(lease);
        }
        count(status, 1);
        break;
    default: count(roan_watch(all.client, &watched, 1, 0, add_one, NULL, NULL), 1);
    }
}

static void *run_synchronous(void *unused)
{
    keep_pace(all.rate / 8, 1, do_synchronous);
    return unused;
}

static void *run_asynchronous(void *unused)
{
    keep_pace(all.rate / 2, 1, do_asynchronous);
    return unused;
}

static void *run_batches(void *unused)
{
    keep_pace(all.rate / 4, BATCH_COMMANDS, do_batch);
    return unused;
}

static void *run_rarely(void *unused)
{
    keep_pace(40, 1, do_rarely);
    return unused;
}

/* ---- measuring ---- */

static size_t rss_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long total, resident = 0;

    if (file != NULL) {
        if (fscanf(file, "%lu %lu", &total, &resident) != 2)
            resident = 0;
        fclose(file);
    }
    return resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void kill_connections(void)
{
    roan_slice words[] = {ROAN_LITERAL("CLIENT"), ROAN_LITERAL("KILL"),   ROAN_LITERAL("TYPE"),
                          ROAN_LITERAL("normal"), ROAN_LITERAL("SKIPME"), ROAN_LITERAL("no")};

    roan_drop(roan_go(all.client, ROAN_COUNT_OF(words), words, ROAN_WITH(.retry = -1)));
}

static void report(int second, uint64_t done_before)
{
    roan_client_stats stats = {.size = sizeof stats};

    roan_get_stats(all.client, &stats);
    printf(
        "%4d s %7.0f ops/s  failed %llu (%llu late, %llu lost)  connects %llu  pending %u  writes/op %.2f  RSS %zu KiB\n",
        second, (double)(atomic_load(&all.done) - done_before) / REPORT_S, (unsigned long long)atomic_load(&all.failed),
        (unsigned long long)atomic_load(&all.late), (unsigned long long)atomic_load(&all.lost),
        (unsigned long long)stats.connects, stats.pending, (double)stats.writes / (double)(stats.commands + 1),
        rss_kib());
    fflush(stdout);
}

static int judge(int seconds, size_t warm_kib, size_t end_kib, uint32_t left)
{
    int problems = 0;
    double rate = (double)atomic_load(&all.done) / seconds;

    if (end_kib > warm_kib + warm_kib / 10 + 2048)
        problems += printf("memory grew from %zu to %zu KiB\n", warm_kib, end_kib) > 0;
    if (rate < all.rate * 0.8)
        problems += printf("%.0f operations per second instead of %d\n", rate, all.rate) > 0;
    if (atomic_load(&all.surprise) != 0)
        problems += printf("a call failed with %s\n", roan_status_name(-(roan_status)atomic_load(&all.surprise))) > 0;
    if (left != 0)
        problems += printf("%u calls never settled\n", left) > 0;
    printf("%.0f operations per second, RSS %zu KiB after warming up and %zu KiB at the end: %s\n", rate, warm_kib,
           end_kib, problems == 0 ? "good" : "bad");
    return problems != 0;
}

static int run(int seconds)
{
    void *(*const parts[])(void *) = {run_synchronous, run_synchronous, run_asynchronous, run_batches, run_rarely};
    pthread_t threads[ROAN_COUNT_OF(parts)];
    uint64_t done_before = 0;
    int warm_s = ROAN_MAX(ROAN_MIN(seconds / 5, WARM_S_MAX), 1);
    size_t warm_kib = 0, end_kib;

    for (size_t i = 0; i < ROAN_COUNT_OF(parts); i++)
        if (pthread_create(&threads[i], NULL, parts[i], NULL) != 0)
            abort();
    for (int second = 1; second <= seconds; second++) {
        sleep(1);
        if (second == warm_s)
            warm_kib = rss_kib();
        if (second % KILL_S == 0)
            kill_connections();
        if (second % REPORT_S == 0) {
            report(second, done_before);
            done_before = atomic_load(&all.done);
        }
    }
    end_kib = rss_kib();
    atomic_store(&all.is_over, true);
    for (size_t i = 0; i < ROAN_COUNT_OF(parts); i++)
        pthread_join(threads[i], NULL);
    roan_close(all.client, 5000);
    return judge(seconds, warm_kib, end_kib, atomic_load(&all.under_way));
}

int main(int argc, char **argv)
{
    server_process server = {.command = argv + 3};
    char uri[96];
    roan_error error;
    int result;

    if (argc < 4 || atoi(argv[1]) < 1 || atoi(argv[2]) < 100) {
        fprintf(stderr, "usage: soak SECONDS OPERATIONS-PER-SECOND SERVER-COMMAND ...\n");
        return 2;
    }
    all.rate = atoi(argv[2]);
    server.port = server_free_port();
    if (!server_start(&server)) {
        fprintf(stderr, "%s does not start\n", argv[3]);
        return 1;
    }
    snprintf(uri, sizeof uri, "redis://127.0.0.1:%d?backoff_first_ms=10&backoff_max_ms=100", server.port);
    if (roan_open(&all.client, uri, NULL, &error) != ROAN_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 1;
    }
    result = run(atoi(argv[1]));
    server_kill(&server);
    return result;
}
