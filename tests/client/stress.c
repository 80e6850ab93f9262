/* stress.c: eight threads do everything at once on one handle while its connections are killed, and then it is closed
 * under those who still wait.
 *
 *     stress SECONDS SERVER-COMMAND ...       "{port}" in a word is the port
 *
 * Meant for the sanitizers, above all for ThreadSanitizer with more seconds. Once with drive=auto, once with
 * drive=thread:
 *
 *     two threads    synchronous calls, small and large
 *     two threads    asynchronous ones with callbacks; every fifth is cancelled, some have a deadline of 1 ms
 *     one thread     roan_wait_any() over shared and blocking calls, giving up now and then
 *     one thread     batches and transactions
 *     one thread     leases, clean and dirty, and commands that block
 *     one thread     subscriptions, with and without callback
 *     this one       statistics, and CLIENT KILL every 5 to 60 ms
 *
 * Nothing is asked of the results but that every call has one, and one that the contract knows; at the end no call is
 * left without. Then the server pauses, four threads begin calls that cannot be answered, and the handle is closed.
 */
#include "base/macros.h"
#include "roan/batch.h"
#include "roan/client_commands.h"
#include "roan/lease.h"
#include "roan/subscription.h"
#include "server_process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define UNDER_WAY_MAX 200
#define ANY_COUNT 6
#define LARGE_BYTES (1024 * 1024)

typedef struct stress {
    roan *client;
    _Atomic bool is_over;
    _Atomic uint64_t begun, settled; /* of asynchronous calls with a callback */
    _Atomic uint64_t messages, answers, failures;
    _Atomic uint32_t hanging;
    _Atomic int surprise; /* a status that should not be, or 0 */
} stress;

static stress all;
static char large[LARGE_BYTES];

static void judge(roan_status status)
{
    switch (status) {
    case ROAN_E_TIMEOUT:
    case ROAN_E_LOST:
    case ROAN_E_CONNECT:
    case ROAN_E_QUEUE_FULL:
    case ROAN_E_CANCELED:
    case ROAN_E_CLOSED:
    case ROAN_E_ABORTED:
        atomic_fetch_add(&all.failures, 1);
        return;
    default:
        if (status < 0)
            atomic_store(&all.surprise, status);
        atomic_fetch_add(&all.answers, 1);
    }
}

static unsigned dice(unsigned *seed, unsigned sides)
{
    return (unsigned)rand_r(seed) % sides;
}

static void pause_us(unsigned us)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
}

static roan_status run(roan *client, const roan_call *call, size_t argc, const char *const *words)
{
    roan_slice argv[4];
    roan_value *reply;
    roan_status status;

    for (size_t i = 0; i < argc; i++)
        argv[i] = roan_slice_from_text(words[i]);
    status = roan_do(client, argc, argv, &reply, call);
    roan_value_free(reply);
    return status;
}

static roan_future *go(roan *client, const roan_call *call, size_t argc, const char *const *words)
{
    roan_slice argv[4];

    for (size_t i = 0; i < argc; i++)
        argv[i] = roan_slice_from_text(words[i]);
    return roan_go(client, argc, argv, call);
}

#define WORDS(...) \
    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *), (const char *const[]) { __VA_ARGS__ }

/* ---- the threads ---- */

static void *run_synchronous(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;

    while (!atomic_load(&all.is_over)) {
        roan_slice argv[] = {ROAN_LITERAL("SET"), ROAN_LITERAL("large"), {large, LARGE_BYTES}};
        if (dice(&seed, 50) == 0)
            judge(roan_do(all.client, 3, argv, NULL, NULL));
        else if (dice(&seed, 20) == 0)
            judge(run(all.client, ROAN_WITH(.timeout_ms = 1), WORDS("GET", "large")));
        else
            judge(run(all.client, NULL, WORDS("INCR", "n")));
    }
    return NULL;
}

static void on_settled(roan_future *future, void *argument)
{
    bool goes_on = argument != NULL;

    judge(roan_take(future, NULL, NULL));
    if (goes_on && !atomic_load(&all.is_over)) {
        atomic_fetch_add(&all.begun, 1);
        roan_then(go(all.client, NULL, WORDS("GET", "k")), on_settled, NULL);
    }
    atomic_fetch_add(&all.settled, 1);
}

static void *run_asynchronous(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;

    while (!atomic_load(&all.is_over)) {
        roan_future *future;
        bool is_canceled = dice(&seed, 5) == 0;
        if (atomic_load(&all.begun) - atomic_load(&all.settled) > UNDER_WAY_MAX) {
            pause_us(200);
            continue;
        }
        atomic_fetch_add(&all.begun, 1);
        if (dice(&seed, 30) == 0)
            future = go(all.client, ROAN_WITH(.timeout_ms = 200), WORDS("BLPOP", "nothing", "0.01"));
        else if (dice(&seed, 10) == 0)
            future = go(all.client, ROAN_WITH(.timeout_ms = 1), WORDS("GET", "large"));
        else
            future = go(all.client, ROAN_WITH(.retry = 1), WORDS("SET", "k", "v"));
        roan_keep(future);
        roan_then(future, on_settled, dice(&seed, 4) == 0 ? future : NULL);
        if (is_canceled)
            roan_cancel(future);
        else if (dice(&seed, 10) == 0)
            ROAN_IGNORE(roan_wait(future, (int)dice(&seed, 3)));
        roan_drop(future);
    }
    return NULL;
}

static void *run_any(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;

    while (!atomic_load(&all.is_over)) {
        roan_future *futures[ANY_COUNT];
        size_t count = 1 + dice(&seed, ANY_COUNT);
        bool has_blocking = dice(&seed, 3) == 0;
        for (size_t i = 0; i < count; i++)
            futures[i] = i == 0 && has_blocking ? go(all.client, NULL, WORDS("BLPOP", "nothing", "0.02"))
                                                : go(all.client, NULL, WORDS("INCR", "any"));
        while (count > 0) {
            size_t found = roan_wait_any(futures, count, (int)dice(&seed, 4) - 1);
            if (found == count)
                continue;
            judge(roan_take(futures[found], NULL, NULL));
            futures[found] = futures[--count];
        }
    }
    return NULL;
}

static void *run_batches(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;

    while (!atomic_load(&all.is_over)) {
        roan_batch *batch = roan_batch_create(all.client, dice(&seed, 2) == 0);
        for (unsigned i = dice(&seed, 20); i < 20; i++)
            roan_batch_add(batch, 2, (roan_slice[]){ROAN_LITERAL("INCR"), ROAN_LITERAL("batch")});
        if (dice(&seed, 2) == 0) {
            roan_value *replies;
            judge(roan_batch_run(batch, &replies, NULL));
            roan_value_free(replies);
        } else {
            atomic_fetch_add(&all.begun, 1);
            roan_then(roan_batch_go(batch, NULL), on_settled, NULL);
        }
    }
    return NULL;
}

static void *run_leases(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;

    while (!atomic_load(&all.is_over)) {
        roan_lease *lease;
        if (dice(&seed, 4) == 0)
            judge(run(all.client, NULL, WORDS("BLPOP", "nothing", "0.01")));
        if (roan_lease_take(all.client, &lease, 1000) != ROAN_OK)
            continue;
        judge(run(roan_lease_client(lease), NULL, WORDS("WATCH", "n")));
        atomic_fetch_add(&all.begun, 1);
        roan_then(go(roan_lease_client(lease), NULL, WORDS("GET", "n")), on_settled, NULL);
        if (dice(&seed, 2) == 0)
            judge(run(roan_lease_client(lease), NULL, WORDS("UNWATCH")));
        if (dice(&seed, 5) == 0)
            roan_lease_destroy(lease);
        else
            roan_lease_return(lease);
    }
    return NULL;
}

static void on_message(void *argument, const roan_message *message, const roan_failure *failure)
{
    (void)argument;
    (void)failure;
    atomic_fetch_add(&all.messages, message != NULL);
}

static void *run_subscriptions(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    const roan_slice names[] = {ROAN_LITERAL("news"), ROAN_LITERAL("more")};

    while (!atomic_load(&all.is_over)) {
        roan_subscription *heard = roan_subscription_create(all.client, NULL);
        roan_subscription *taken = roan_subscription_create(all.client, NULL);
        roan_message message;
        if (heard == NULL || taken == NULL)
            abort();
        ROAN_IGNORE(roan_subscription_on(heard, on_message, NULL));
        ROAN_IGNORE(roan_subscription_add(heard, ROAN_CHANNEL_EXACT, names, 2));
        ROAN_IGNORE(roan_subscription_add(taken, ROAN_CHANNEL_EXACT, names, 1));
        ROAN_IGNORE(roan_subscription_ready(taken, 100));
        for (unsigned i = 0; i < 20; i++) {
            roan_drop(go(all.client, NULL, WORDS("PUBLISH", "news", "x")));
            if (roan_subscription_next(taken, &message, (int)dice(&seed, 20)) == ROAN_OK)
                atomic_fetch_add(&all.messages, 1);
            roan_message_done(&message);
        }
        roan_subscription_free(heard);
        roan_subscription_free(taken);
    }
    return NULL;
}

/* ---- closed under those who wait ---- */

static void *hang_synchronously(void *unused)
{
    (void)unused;
    atomic_fetch_add(&all.hanging, 1);
    judge(run(all.client, ROAN_WITH(.timeout_ms = -1), WORDS("GET", "n")));
    return NULL;
}

static void *hang_blocking(void *unused)
{
    (void)unused;
    atomic_fetch_add(&all.hanging, 1);
    judge(run(all.client, NULL, WORDS("BLPOP", "nothing", "0")));
    return NULL;
}

static void *hang_for_any(void *unused)
{
    roan_future *futures[] = {go(all.client, ROAN_WITH(.timeout_ms = -1), WORDS("GET", "n")),
                              go(all.client, NULL, WORDS("BLPOP", "nothing", "0"))};

    (void)unused;
    atomic_fetch_add(&all.hanging, 1);
    ROAN_IGNORE(roan_wait_any(futures, 2, -1));
    judge(roan_take(futures[0], NULL, NULL));
    judge(roan_take(futures[1], NULL, NULL));
    return NULL;
}

static void start_threads(pthread_t *threads, void *(*const *parts)(void *), size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, parts[i], (void *)(uintptr_t)(i + 1)) != 0)
            abort();
}

static void join_threads(const pthread_t *threads, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

static void close_under_them(roan *killer)
{
    void *(*const parts[])(void *) = {hang_synchronously, hang_synchronously, hang_blocking, hang_for_any};
    pthread_t threads[ROAN_COUNT_OF(parts)];
    roan_value *reply;
    roan_slice words[] = {ROAN_LITERAL("CLIENT"), ROAN_LITERAL("PAUSE"), ROAN_LITERAL("1000"), ROAN_LITERAL("ALL")};

    if (roan_do(killer, 4, words, &reply, NULL) != ROAN_OK)
        atomic_store(&all.surprise, roan_last_failure()->code);
    roan_value_free(reply);
    atomic_store(&all.hanging, 0);
    start_threads(threads, parts, ROAN_COUNT_OF(parts));
    while (atomic_load(&all.hanging) < ROAN_COUNT_OF(parts))
        pause_us(1000);
    pause_us(50000); /* now they are inside of their calls */
    ROAN_IGNORE(roan_close(all.client, 0));
    join_threads(threads, ROAN_COUNT_OF(parts));
    pause_us(999999);
}

/* ---- all of it ---- */

static void kill_for(roan *killer, double seconds)
{
    struct timespec begin, now;
    unsigned seed = 1;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        roan_client_stats stats = {.size = sizeof stats};
        pause_us(5000 + dice(&seed, 55000));
        ROAN_IGNORE(run(killer, NULL, WORDS("CLIENT", "KILL", "TYPE", dice(&seed, 3) == 0 ? "pubsub" : "normal")));
        roan_get_stats(all.client, &stats);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9 < seconds);
}

static bool check_drive(const char *drive, int port, double seconds)
{
    void *(*const parts[])(void *) = {run_synchronous,  run_synchronous, run_asynchronous, run_asynchronous,
                                      run_any,          run_batches,     run_leases,       run_subscriptions};
    pthread_t threads[ROAN_COUNT_OF(parts)];
    char uri[160];
    roan_error error;
    roan *killer;

    memset(&all, 0, sizeof all);
    snprintf(uri, sizeof uri, "redis://127.0.0.1:%d?drive=%s&backoff_first_ms=1&backoff_max_ms=10&leases_max=4", port,
             drive);
    if (roan_open(&all.client, uri, NULL, &error) != ROAN_OK || roan_open(&killer, uri, NULL, &error) != ROAN_OK) {
        printf("%s\n", error.text);
        return false;
    }
    start_threads(threads, parts, ROAN_COUNT_OF(parts));
    kill_for(killer, seconds);
    atomic_store(&all.is_over, true);
    join_threads(threads, ROAN_COUNT_OF(parts));
    close_under_them(killer);
    roan_close(killer, 0);
    printf("%s: %llu answers, %llu failures, %llu messages, %llu of %llu callbacks, surprise: %s\n", drive,
           (unsigned long long)all.answers, (unsigned long long)all.failures, (unsigned long long)all.messages,
           (unsigned long long)all.settled, (unsigned long long)all.begun,
           all.surprise != 0 ? roan_status_name(all.surprise) : "none");
    return all.settled == all.begun && all.surprise == 0 && all.answers > 0 && all.failures > 0 && all.messages > 0;
}

int main(int argc, char **argv)
{
    server_process server = {.command = argv + 2};
    bool is_good;

    if (argc < 3 || atof(argv[1]) <= 0) {
        fprintf(stderr, "usage: stress SECONDS SERVER-COMMAND ...\n");
        return 2;
    }
    server.port = server_free_port();
    if (!server_start(&server)) {
        fprintf(stderr, "%s does not start\n", argv[2]);
        return errno == ENOENT ? 77 : 1; /* skipped */
    }
    is_good = check_drive("auto", server.port, atof(argv[1]) / 2) & check_drive("thread", server.port, atof(argv[1]) / 2);
    server_kill(&server);
    return is_good ? 0 : 1;
}
