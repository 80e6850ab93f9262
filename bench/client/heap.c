/* bench/client/heap.c: how often libroan calls the heap for a small command in steady state, and what an idle
 * connection keeps; with where each comes from.
 *
 *     heap PORT [CONNECTIONS [check]]
 *
 * With `check` it fails when a figure is worse than what the library is to keep: no call of the heap in steady state (but
 * for futures that change threads now and then), less than 4 KiB for an idle connection.
 *
 * Linked statically with the library and with -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free, -no-pie: then
 * every call of the library comes here, is counted for the place it was made at, and its block is remembered, so that
 * what is alive is known for each place, too. (What the C library allocates for itself is seen by mallinfo2() only.)
 *
 *     a GET, a SET, an INCR   roan_do() in a loop
 *     async                   roan_go() of 64, roan_take() of 64
 *     callbacks               64 under way, each callback begins the next; the library's thread drives
 *     several threads         4 threads with roan_do(); one drives, others free what it allocated
 *     idle handles            CONNECTIONS handles, connected, used once, and quiet for a second
 *     idle leases             as many connections that one handle keeps for leases */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <roan/client.h>
#include <roan/lease.h>

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define SITES_MAX   256
#define BLOCKS      (1u << 20) /* remembered at a time, a power of two */
#define WARM_UP     3000
#define COMMANDS    20000
#define DEPTH       64
#define THREADS     4
#define SHOWN_MAX   12
#define QUIET_US    1500000
#define CONNECTIONS_MAX 20000
#define CALLS_ALLOWED 0.05
#define BYTES_ALLOWED 4096.0

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *block, size_t bytes);
void __real_free(void *block);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
void __wrap_free(void *block);

/* Where the heap is called from. */
typedef struct site {
    void *address;
    uint64_t calls;
    int64_t alive_bytes, alive_blocks;
} site;

/* A block that is alive. */
typedef struct block {
    void *at;
    site *by;
    size_t bytes;
} block;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static site sites[SITES_MAX];
static unsigned sites_count;
static block blocks[BLOCKS];
static bool is_counting;
static bool is_missed; /* a goal */

/* ---- counting ---------------------------------------------------------------------------------------------------- */

static site *site_of(void *address)
{
    for (unsigned i = 0; i < sites_count; i++)
        if (sites[i].address == address)
            return &sites[i];
    if (sites_count == SITES_MAX)
        return &sites[SITES_MAX - 1];
    sites[sites_count].address = address;
    return &sites[sites_count++];
}

static unsigned slot_of(const void *at)
{
    return (unsigned)(((uintptr_t)at >> 4) * 0x9E3779B1u) & (BLOCKS - 1);
}

static void remember(void *at, size_t bytes, site *by)
{
    unsigned slot = slot_of(at);

    while (blocks[slot].at != NULL)
        slot = (slot + 1) & (BLOCKS - 1);
    blocks[slot] = (block){at, by, bytes};
    by->alive_bytes += (int64_t)bytes;
    by->alive_blocks++;
}

static void forget(const void *at)
{
    unsigned slot = slot_of(at);

    while (blocks[slot].at != at) {
        if (blocks[slot].at == NULL)
            return; /* from inside of the C library */
        slot = (slot + 1) & (BLOCKS - 1);
    }
    blocks[slot].by->alive_bytes -= (int64_t)blocks[slot].bytes;
    blocks[slot].by->alive_blocks--;
    blocks[slot].at = NULL;
    for (unsigned next = (slot + 1) & (BLOCKS - 1); blocks[next].at != NULL; next = (next + 1) & (BLOCKS - 1)) {
        block moved = blocks[next]; /* keeps the ones behind it findable */
        unsigned to = slot_of(moved.at);
        blocks[next].at = NULL;
        while (blocks[to].at != NULL)
            to = (to + 1) & (BLOCKS - 1);
        blocks[to] = moved;
    }
}

static void note(void *address, const void *freed, void *taken)
{
    site *by;

    pthread_mutex_lock(&lock);
    by = site_of(address);
    by->calls += is_counting;
    if (freed != NULL)
        forget(freed);
    if (taken != NULL)
        remember(taken, malloc_usable_size(taken), by);
    pthread_mutex_unlock(&lock);
}

void *__wrap_malloc(size_t bytes)
{
    void *taken = __real_malloc(bytes);

    note(__builtin_return_address(0), NULL, taken);
    return taken;
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    void *taken = __real_calloc(count, bytes);

    note(__builtin_return_address(0), NULL, taken);
    return taken;
}

void *__wrap_realloc(void *old, size_t bytes)
{
    void *taken;

    pthread_mutex_lock(&lock); /* before its place can be somebody else's */
    if (old != NULL)
        forget(old);
    pthread_mutex_unlock(&lock);
    taken = __real_realloc(old, bytes);
    note(__builtin_return_address(0), NULL, taken);
    return taken;
}

void __wrap_free(void *old)
{
    if (old != NULL)
        note(__builtin_return_address(0), old, NULL);
    __real_free(old);
}

static void begin_counting(void)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < sites_count; i++)
        sites[i].calls = 0;
    is_counting = true;
    pthread_mutex_unlock(&lock);
}

/* The function an address is in and its line. */
static void print_place(const void *address)
{
    char command[128];

    snprintf(command, sizeof command, "addr2line -s -f -p -e /proc/%d/exe %p 2>&1", (int)getpid(),
             (void *)((uintptr_t)address - 1));
    fflush(stdout);
    if (system(command) != 0)
        printf("%p\n", address);
}

static void end_counting(const char *name, double commands)
{
    uint64_t sum = 0;

    pthread_mutex_lock(&lock);
    is_counting = false;
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < sites_count; i++)
        sum += sites[i].calls;
    printf("%-20s %10.4f heap calls per command\n", name, (double)sum / commands);
    is_missed |= (double)sum / commands > CALLS_ALLOWED;
    for (unsigned i = 0; i < sites_count; i++)
        if ((double)sites[i].calls > commands / 1000) {
            printf("    %8.4f  ", (double)sites[i].calls / commands);
            print_place(sites[i].address);
        }
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static void die(const char *what)
{
    fprintf(stderr, "heap: %s: %s\n", what, roan_last_failure()->text);
    exit(1);
}

static const roan_slice get_words[] = {ROAN_LITERAL("GET"), ROAN_LITERAL("bench:heap")};
static const roan_slice set_words[] = {ROAN_LITERAL("SET"), ROAN_LITERAL("bench:heap"),
                                       ROAN_LITERAL("0123456789012345678901234567890123456789012345678901234567890123")};
static const roan_slice incr_words[] = {ROAN_LITERAL("INCR"), ROAN_LITERAL("bench:heap:number")};

static void run_sync(roan *handle, size_t argc, const roan_slice *argv, int count)
{
    for (int i = 0; i < count; i++) {
        roan_value *reply;
        if (roan_do(handle, argc, argv, &reply, NULL) != ROAN_OK)
            die("no reply");
        roan_value_free(reply);
    }
}

static void count_sync(const char *name, roan *handle, size_t argc, const roan_slice *argv)
{
    run_sync(handle, argc, argv, WARM_UP);
    begin_counting();
    run_sync(handle, argc, argv, COMMANDS);
    end_counting(name, COMMANDS);
}

static void run_async(roan *handle, int count)
{
    roan_future *futures[DEPTH];

    for (int i = 0; i < count; i += DEPTH) {
        for (int j = 0; j < DEPTH; j++)
            futures[j] = roan_go(handle, 2, get_words, NULL);
        for (int j = 0; j < DEPTH; j++) {
            roan_value *reply;
            if (roan_take(futures[j], &reply, NULL) != ROAN_OK)
                die("no reply");
            roan_value_free(reply);
        }
    }
}

static roan *chain_handle;
static _Atomic int chain_left, chains;

static void go_on(roan_future *future, void *argument)
{
    roan_value *reply;

    if (roan_take(future, &reply, NULL) != ROAN_OK)
        die("no reply");
    roan_value_free(reply);
    if (atomic_fetch_sub(&chain_left, 1) > 0)
        roan_then(roan_go(chain_handle, 2, get_words, NULL), go_on, argument);
    else
        atomic_fetch_sub(&chains, 1);
}

static void run_callbacks(roan *handle, int count)
{
    chain_handle = handle;
    atomic_store(&chain_left, count);
    atomic_store(&chains, DEPTH);
    for (int i = 0; i < DEPTH; i++)
        roan_then(roan_go(handle, 2, get_words, NULL), go_on, NULL);
    while (atomic_load(&chains) > 0)
        usleep(1000);
}

static pthread_barrier_t barrier;

static void *run_thread(void *handle)
{
    run_sync(handle, 2, get_words, WARM_UP);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    run_sync(handle, 2, get_words, COMMANDS);
    pthread_barrier_wait(&barrier);
    return NULL;
}

static void count_threads(roan *handle)
{
    pthread_t threads[THREADS];

    pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, run_thread, handle) != 0)
            die("no thread");
    pthread_barrier_wait(&barrier);
    begin_counting();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    end_counting("several threads", (double)THREADS * COMMANDS);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&barrier);
}

/* As many descriptors as we may have. */
static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* ---- idle connections -------------------------------------------------------------------------------------------- */

typedef struct usage {
    size_t heap_bytes;
    site sites[SITES_MAX];
} usage;

static usage take_usage(void)
{
    usage now;
    struct mallinfo2 info = mallinfo2();

    now.heap_bytes = info.uordblks + info.hblkhd;
    memcpy(now.sites, sites, sizeof now.sites);
    return now;
}

static void report_usage(const char *name, const usage *before, int count)
{
    usage now = take_usage();
    int shown = 0;

    printf("%-20s %10.0f bytes for each connection\n", name, (double)(now.heap_bytes - before->heap_bytes) / count);
    is_missed |= (double)(now.heap_bytes - before->heap_bytes) / count > BYTES_ALLOWED;
    while (shown++ < SHOWN_MAX) {
        site *largest = NULL;
        int64_t most = count * 8; /* not worth a line */
        for (unsigned i = 0; i < sites_count; i++)
            if (now.sites[i].alive_bytes - before->sites[i].alive_bytes > most) {
                largest = &now.sites[i];
                most = largest->alive_bytes - before->sites[i].alive_bytes;
            }
        if (largest == NULL)
            return;
        printf("    %8.0f  ", (double)most / count);
        print_place(largest->address);
        largest->alive_bytes = before->sites[largest - now.sites].alive_bytes;
    }
}

static void measure_handles(const char *uri, int count)
{
    roan **handles = __real_calloc((size_t)count, sizeof(roan *));
    usage before = take_usage();

    for (int i = 0; i < count; i++) {
        if (roan_open(&handles[i], uri, NULL, NULL) != ROAN_OK)
            die("cannot open");
        run_sync(handles[i], 2, get_words, 1);
    }
    usleep(QUIET_US);
    report_usage("idle handles", &before, count);
    for (int i = 0; i < count; i++)
        if (roan_close(handles[i], 1000) != ROAN_OK)
            die("cannot close");
    __real_free(handles);
}

static void measure_leases(const char *uri, int count)
{
    roan_lease **leases = __real_calloc((size_t)count, sizeof(roan_lease *));
    usage before;
    roan *handle;

    if (roan_open(&handle, uri, ROAN_OPTIONS(.leases_max = count, .lease_idle_ms = -1), NULL) != ROAN_OK)
        die("cannot open");
    run_sync(handle, 2, get_words, 1);
    before = take_usage();
    for (int i = 0; i < count; i++) {
        if (roan_lease_take(handle, &leases[i], -1) != ROAN_OK)
            die("no lease");
        run_sync(roan_lease_client(leases[i]), 2, get_words, 1);
    }
    for (int i = 0; i < count; i++)
        roan_lease_return(leases[i]);
    usleep(QUIET_US);
    report_usage("idle leases", &before, count);
    if (roan_close(handle, 1000) != ROAN_OK)
        die("cannot close");
    __real_free(leases);
}

int main(int argc, char **argv)
{
    int connections = argc > 2 ? atoi(argv[2]) : 1000;
    char uri[64];
    roan *handle;

    if (argc < 2 || atoi(argv[1]) < 1 || connections < 1 || connections > CONNECTIONS_MAX) {
        fprintf(stderr, "usage: heap PORT [CONNECTIONS up to %d [check]]\n", CONNECTIONS_MAX);
        return 2;
    }
    raise_descriptors();
    snprintf(uri, sizeof uri, "redis://127.0.0.1:%d", atoi(argv[1]));
    if (roan_open(&handle, uri, NULL, NULL) != ROAN_OK)
        die("cannot open");
    count_sync("a SET", handle, 3, set_words);
    count_sync("a GET", handle, 2, get_words);
    count_sync("an INCR", handle, 2, incr_words);
    run_async(handle, WARM_UP);
    begin_counting();
    run_async(handle, COMMANDS / DEPTH * DEPTH);
    end_counting("async", COMMANDS / DEPTH * DEPTH);
    run_callbacks(handle, WARM_UP);
    begin_counting();
    run_callbacks(handle, COMMANDS);
    end_counting("callbacks", COMMANDS);
    count_threads(handle);
    if (roan_close(handle, 1000) != ROAN_OK)
        die("cannot close");
    measure_handles(uri, connections);
    measure_leases(uri, connections);
    if (argc > 3)
        printf("[  %s  ] 1 test(s)\n", is_missed ? "FAILED" : "PASSED");
    return argc > 3 && is_missed ? 1 : 0;
}
