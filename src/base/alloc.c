/* base/alloc.c: the counted allocator over jemalloc, or over libc in sanitizer builds.
 *
 * Counting: jemalloc keeps, per thread, how many bytes were ever allocated and freed, and hands out pointers to both
 * counters. A thread's first allocation through roan_alloc_counter_of_thread() remembers them in a list; the sum over
 * the list (plus what ended threads left) is the memory allocated, to the byte, for nothing. The libc variant keeps one
 * atomic counter fed by malloc_usable_size. What arenas have allocated and do not use is counted by themselves, per
 * thread, and taken off.
 */
#include "base/alloc.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(ROAN_JEMALLOC)
#include <jemalloc/jemalloc.h>

/* Read by jemalloc at start-up: give memory back soon, in the background; few arenas, as workers keep
 * their own caches anyway. */
const char *malloc_conf = "background_thread:true,dirty_decay_ms:250,muzzy_decay_ms:0";
#else
#include <malloc.h>
#endif

ROAN_NORETURN ROAN_COLD static void out_of_memory(size_t bytes)
{
    char text[96];
    int length = snprintf(text, sizeof text, "roan: out of memory: could not allocate %zu bytes\n", bytes);
    if (length > 0)
        ROAN_IGNORE(write(STDERR_FILENO, text, (size_t)length)); /* nobody left to tell */
    abort();
}

/* ---- counting ---- */

struct roan_alloc_counter {
    const volatile uint64_t *_Atomic allocated; /* other threads read them while this one may be ending */
    const volatile uint64_t *_Atomic freed;
    const _Atomic int64_t *_Atomic idle;
    _Atomic bool is_reading; /* its thread adds up what all have */
    bool is_free;            /* its thread has ended; for the next one. counters_lock */
    roan_alloc_counter *next;
};

__thread _Atomic int64_t roan_alloc_idle_of_thread;
static pthread_mutex_t counters_lock = PTHREAD_MUTEX_INITIALIZER;
static roan_alloc_counter *_Atomic counters; /* only grows while threads start; read without the lock */
static _Atomic int64_t ended_threads_bytes, ended_threads_idle;
static __thread roan_alloc_counter *my_counter;
static pthread_key_t counter_key;
static pthread_once_t counter_once = PTHREAD_ONCE_INIT;

static const volatile uint64_t always_zero;
static const _Atomic int64_t never_idle;

/* Who adds up follows pointers into the memory of other threads; one that ends waits for those who may be doing that. */
static roan_alloc_counter *begin_reading(void)
{
    roan_alloc_counter *mine = roan_alloc_counter_of_thread();
    atomic_store(&mine->is_reading, true); /* seen before the pointers are read */
    return mine;
}

static void end_reading(roan_alloc_counter *mine)
{
    atomic_store_explicit(&mine->is_reading, false, memory_order_release);
}

static void wait_for_readers(void)
{
    for (roan_alloc_counter *c = atomic_load(&counters); c != NULL; c = c->next)
        while (atomic_load(&c->is_reading))
            sched_yield();
}

/* A thread ends: its balance moves to the common pot. Its counter stays in the list, pointing at zeroes, until another
 * thread takes it. */

static void counter_ended(void *argument)
{
    roan_alloc_counter *counter = argument;
    my_counter = NULL;
    pthread_mutex_lock(&counters_lock);
    atomic_fetch_add(&ended_threads_bytes, (int64_t)(*counter->allocated - *counter->freed));
    atomic_fetch_add(&ended_threads_idle, atomic_exchange(&roan_alloc_idle_of_thread, 0));
    counter->allocated = &always_zero;
    counter->freed = &always_zero;
    counter->idle = &never_idle;
    wait_for_readers();
    counter->is_free = true;
    pthread_mutex_unlock(&counters_lock);
}

static void make_counter_key(void)
{
    ROAN_ASSERT(pthread_key_create(&counter_key, counter_ended) == 0);
}

/* Where this thread's totals stand. */
static void find_totals(roan_alloc_counter *counter)
{
#if defined(ROAN_JEMALLOC)
    uint64_t *allocated = NULL, *freed = NULL;
    size_t pointer_bytes = sizeof allocated;
    ROAN_ASSERT(mallctl("thread.allocatedp", &allocated, &pointer_bytes, NULL, 0) == 0);
    ROAN_ASSERT(mallctl("thread.deallocatedp", &freed, &pointer_bytes, NULL, 0) == 0);
    counter->allocated = allocated;
    counter->freed = freed;
#else
    counter->allocated = &always_zero; /* see used_bytes */
    counter->freed = &always_zero;
#endif
}

/* One that an ended thread left, or NULL. */
static roan_alloc_counter *take_free_counter(void)
{
    pthread_mutex_lock(&counters_lock);
    roan_alloc_counter *counter = atomic_load_explicit(&counters, memory_order_relaxed);
    while (counter != NULL && !counter->is_free)
        counter = counter->next;
    if (counter != NULL)
        counter->is_free = false;
    pthread_mutex_unlock(&counters_lock);
    return counter;
}

static roan_alloc_counter *add_counter(void)
{
    roan_alloc_counter *counter = malloc(sizeof *counter);
    if (counter == NULL)
        out_of_memory(sizeof *counter);
    *counter = (roan_alloc_counter){.allocated = &always_zero, .freed = &always_zero, .idle = &never_idle};
    pthread_mutex_lock(&counters_lock);
    counter->next = atomic_load_explicit(&counters, memory_order_relaxed);
    atomic_store_explicit(&counters, counter, memory_order_release);
    pthread_mutex_unlock(&counters_lock);
    return counter;
}

roan_alloc_counter *roan_alloc_counter_of_thread(void)
{
    if (my_counter != NULL)
        return my_counter;
    pthread_once(&counter_once, make_counter_key);
    roan_alloc_counter *counter = take_free_counter();
    if (counter == NULL)
        counter = add_counter();
    find_totals(counter);
    atomic_store(&counter->idle, &roan_alloc_idle_of_thread);
    pthread_setspecific(counter_key, counter);
    return my_counter = counter;
}

size_t roan_alloc_idle_bytes(void)
{
    roan_alloc_counter *mine = begin_reading();
    int64_t idle = atomic_load_explicit(&ended_threads_idle, memory_order_relaxed);
    for (roan_alloc_counter *c = atomic_load_explicit(&counters, memory_order_acquire); c != NULL; c = c->next)
        idle += atomic_load_explicit(c->idle, memory_order_relaxed);
    end_reading(mine);
    return idle > 0 ? (size_t)idle : 0;
}

#if defined(ROAN_JEMALLOC)

size_t roan_alloc_used_bytes(void)
{
    roan_alloc_counter *mine = begin_reading();
    int64_t used = atomic_load_explicit(&ended_threads_bytes, memory_order_relaxed) -
                   atomic_load_explicit(&ended_threads_idle, memory_order_relaxed);
    for (roan_alloc_counter *c = atomic_load_explicit(&counters, memory_order_acquire); c != NULL; c = c->next)
        used += (int64_t)(*c->allocated - *c->freed) - atomic_load_explicit(c->idle, memory_order_relaxed);
    end_reading(mine);
    return used > 0 ? (size_t)used : 0;
}

void *roan_try_alloc(size_t bytes)
{
    return malloc(bytes);
}

void roan_free(void *memory, size_t bytes)
{
    if (memory != NULL)
        sdallocx(memory, bytes, 0);
}

void *roan_try_realloc(void *memory, size_t old_bytes, size_t new_bytes)
{
    (void)old_bytes;
    return realloc(memory, new_bytes);
}

size_t roan_alloc_good_size(size_t bytes)
{
    return nallocx(bytes, 0);
}

void *roan_alloc_aligned(size_t alignment, size_t bytes)
{
    void *memory = mallocx(bytes, MALLOCX_ALIGN(alignment));
    if (ROAN_UNLIKELY(memory == NULL))
        out_of_memory(bytes);
    return memory;
}

static size_t read_stat(const char *name)
{
    size_t value = 0, bytes = sizeof value;
    return mallctl(name, &value, &bytes, NULL, 0) == 0 ? value : 0;
}

void roan_alloc_stats_read(roan_alloc_stats *stats)
{
    uint64_t epoch = 1;
    size_t bytes = sizeof epoch;
    ROAN_IGNORE(mallctl("epoch", &epoch, &bytes, &epoch, bytes)); /* stale figures are the worst that can happen */
    stats->allocated = read_stat("stats.allocated");
    stats->active = read_stat("stats.active");
    stats->resident = read_stat("stats.resident");
    stats->retained = read_stat("stats.retained");
    stats->muzzy = 0;
}

void roan_alloc_report(void (*write_text)(void *context, const char *text), void *context)
{
    malloc_stats_print(write_text, context, "a");
}

void roan_alloc_purge(void)
{
    char name[40];
    snprintf(name, sizeof name, "arena.%u.purge", (unsigned)MALLCTL_ARENAS_ALL);
    ROAN_IGNORE(mallctl(name, NULL, NULL, NULL, 0)); /* best effort */
}

const char *roan_alloc_name(void)
{
    return "jemalloc-5.3.0";
}

#else /* libc, counted by ourselves */

static _Atomic size_t used_bytes;

size_t roan_alloc_used_bytes(void)
{
    size_t used = atomic_load_explicit(&used_bytes, memory_order_relaxed), idle = roan_alloc_idle_bytes();
    return used > idle ? used - idle : 0;
}

void *roan_try_alloc(size_t bytes)
{
    if (bytes > PTRDIFF_MAX)
        return NULL;
    void *memory = malloc(bytes);
    if (memory != NULL)
        atomic_fetch_add_explicit(&used_bytes, malloc_usable_size(memory), memory_order_relaxed);
    return memory;
}

void roan_free(void *memory, size_t bytes)
{
    (void)bytes;
    if (memory == NULL)
        return;
    atomic_fetch_sub_explicit(&used_bytes, malloc_usable_size(memory), memory_order_relaxed);
    free(memory);
}

void *roan_try_realloc(void *memory, size_t old_bytes, size_t new_bytes)
{
    void *moved = roan_try_alloc(new_bytes);
    if (moved == NULL)
        return NULL;
    if (memory != NULL)
        memcpy(moved, memory, ROAN_MIN(old_bytes, new_bytes));
    roan_free(memory, old_bytes);
    return moved;
}

size_t roan_alloc_good_size(size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    return bytes; /* the sanitizer gives exactly what was asked for */
#else
    return (bytes + 8 + 15) / 16 * 16 - 8;
#endif
}

void *roan_alloc_aligned(size_t alignment, size_t bytes)
{
    void *memory = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    if (memory == NULL)
        out_of_memory(bytes);
    atomic_fetch_add_explicit(&used_bytes, malloc_usable_size(memory), memory_order_relaxed);
    return memory;
}

void roan_alloc_stats_read(roan_alloc_stats *stats)
{
    *stats = (roan_alloc_stats){.allocated = roan_alloc_used_bytes(), .active = roan_alloc_used_bytes()};
}

void roan_alloc_report(void (*write_text)(void *context, const char *text), void *context)
{
    write_text(context, "Stats not supported for the current allocator");
}

void roan_alloc_purge(void)
{
    malloc_trim(0);
}

const char *roan_alloc_name(void)
{
    return "libc";
}

#endif

void *roan_alloc(size_t bytes)
{
    void *memory = roan_try_alloc(bytes);
    if (ROAN_UNLIKELY(memory == NULL))
        out_of_memory(bytes);
    return memory;
}

void *roan_alloc_zero(size_t bytes)
{
    return memset(roan_alloc(bytes), 0, bytes);
}

void *roan_realloc(void *memory, size_t old_bytes, size_t new_bytes)
{
    void *moved = roan_try_realloc(memory, old_bytes, new_bytes);
    if (ROAN_UNLIKELY(moved == NULL))
        out_of_memory(new_bytes);
    return moved;
}

char *roan_text_dup_bytes(const char *data, size_t bytes)
{
    char *copy = roan_alloc(bytes + 1);
    if (bytes > 0)
        memcpy(copy, data, bytes);
    copy[bytes] = '\0';
    return copy;
}

char *roan_text_dup(const char *text)
{
    return roan_text_dup_bytes(text, strlen(text));
}

void roan_text_free(char *text)
{
    if (text != NULL)
        roan_free(text, strlen(text) + 1);
}
