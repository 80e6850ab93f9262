/* client/future.c: making, settling and releasing futures; the thread's store of used ones; parking of threads.
 *
 * Every thread keeps a few futures and cells that it has released, so that a command of the usual size costs no
 * allocation. Under ASan a cell that is kept is poisoned: who uses a reply that was freed is found. What a thread keeps is freed when it ends. Not so its parking place: somebody may be about to wake a thread that has found
 * out by itself and is gone. Places are handed on to later threads and never freed; a wake-up that comes late is one
 * for nothing, which every waiter expects.
 */
#include "client/future.h"

#include "base/macros.h"
#include "client/handle.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, bytes)   ((void)(memory))
#define ASAN_UNPOISON_MEMORY_REGION(memory, bytes) ((void)(memory))
#endif

/* What a thread keeps of each: so many, and one more for each time that it found none, up to the maximum. Thus a thread
 * with many calls under way at a time keeps many, one that only frees what others have begun does not. */
#define STORE_MIN 32
#define STORE_MAX 1024

typedef struct place {
    _Atomic uint32_t word;
    struct place *next; /* free */
} place;

static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;
static place *free_places;
static place last_resort; /* without memory for more: shared, so wake-ups for nothing are frequent */

/* A cell that is kept. */
typedef struct kept_cell {
    struct kept_cell *next;
} kept_cell;

typedef struct store {
    roan_future *first;
    kept_cell *first_cell;
    size_t count, cells_count;
    size_t missed, cells_missed;
    bool is_registered;
} store;

static __thread store thread_store;
static __thread roan_failure thread_failure;
static __thread struct place *thread_place;
static pthread_key_t store_key;
static pthread_once_t store_once = PTHREAD_ONCE_INIT;

/* What a caller gets when there is no memory for a future. */
static roan_failure no_memory_failure = {
    .code = ROAN_E_NOMEM, .fate = ROAN_FATE_NOT_SENT, .attempts = 1, .text = "out of memory"};
static roan_future no_memory_future = {
    .references = 1, .is_settled = true, .status = ROAN_E_NOMEM, .failure = &no_memory_failure};

static void empty_store(void *unused)
{
    (void)unused;
    while (thread_store.first != NULL) {
        roan_future *future = thread_store.first;
        thread_store.first = future->next;
        free(future);
    }
    while (thread_store.first_cell != NULL) {
        kept_cell *cell = thread_store.first_cell;
        thread_store.first_cell = cell->next;
        ASAN_UNPOISON_MEMORY_REGION(cell, ROAN_CELL_BYTES);
        free(cell);
    }
    thread_store.count = thread_store.cells_count = 0;
    thread_store.is_registered = false;
    if (thread_place == NULL || thread_place == &last_resort)
        return;
    pthread_mutex_lock(&places_lock);
    thread_place->next = free_places;
    free_places = thread_place;
    pthread_mutex_unlock(&places_lock);
    thread_place = NULL;
}

static void make_key(void)
{
    ROAN_IGNORE(pthread_key_create(&store_key, empty_store));
}

/* empty_store() runs when this thread ends. */
static void register_thread(void)
{
    if (thread_store.is_registered)
        return;
    pthread_once(&store_once, make_key);
    ROAN_IGNORE(pthread_setspecific(store_key, &thread_store));
    thread_store.is_registered = true;
}

static size_t may_keep(size_t missed)
{
    return ROAN_MIN(STORE_MIN + missed, (size_t)STORE_MAX);
}

static roan_future *take_from_store(void)
{
    roan_future *future = thread_store.first;

    if (future == NULL) {
        thread_store.missed++;
        return malloc(sizeof *future);
    }
    thread_store.first = future->next;
    thread_store.count--;
    return future;
}

static void put_into_store(roan_future *future)
{
    if (thread_store.count >= may_keep(thread_store.missed)) {
        free(future);
        return;
    }
    register_thread();
    future->next = thread_store.first;
    thread_store.first = future;
    thread_store.count++;
}

static char *take_cell(void)
{
    kept_cell *cell = thread_store.first_cell;

    if (cell == NULL) {
        thread_store.cells_missed++;
        return malloc(ROAN_CELL_BYTES);
    }
    thread_store.first_cell = cell->next;
    thread_store.cells_count--;
    ASAN_UNPOISON_MEMORY_REGION(cell, ROAN_CELL_BYTES);
    return (char *)cell;
}

void roan_cell_release(void *memory)
{
    kept_cell *cell = memory;

    if (thread_store.cells_count >= may_keep(thread_store.cells_missed)) {
        free(cell);
        return;
    }
    register_thread();
    cell->next = thread_store.first_cell;
    thread_store.first_cell = cell;
    thread_store.cells_count++;
    ASAN_POISON_MEMORY_REGION(cell + 1, ROAN_CELL_BYTES - sizeof *cell);
}

roan_future *roan_future_of_no_memory(void)
{
    return &no_memory_future;
}

bool roan_future_is_static(const roan_future *future)
{
    return future == &no_memory_future;
}

roan_future *roan_future_create(roan *client)
{
    roan_future *future = take_from_store();
    char *cell = take_cell();
    size_t bytes = sizeof *future;

    __asm__("" : "+r"(bytes)); /* else the compiler takes an instruction that is slow to begin with */
    if (future == NULL || cell == NULL) {
        free(future);
        free(cell);
        return &no_memory_future;
    }
    memset(future, 0, bytes);
    atomic_init(&future->references, 1);
    future->client = client;
    future->cell = future->request = cell;
    future->request_capacity = ROAN_CELL_BYTES;
    future->deadline_us = ROAN_NO_DEADLINE;
    future->attempts = 1;
    return future;
}

static void free_batch(roan_future *future)
{
    for (size_t i = 0; i < future->replies_count && future->replies != NULL; i++)
        roan_value_free(future->replies[i]);
    free(future->replies);
    free(future->parts);
}

roan_future *roan_future_create_internal(roan *root, size_t argc, const roan_slice *argv, int64_t deadline_us)
{
    roan_future *future = roan_future_create(root);

    if (roan_future_is_static(future))
        return future;
    future->traits = roan_command_traits_find(argc, argv);
    future->is_internal = true;
    future->retry = -1;
    future->block_us = -1;
    future->begun_us = roan_now_us(root);
    future->deadline_us = deadline_us;
    return future;
}

static void destroy(roan_future *future)
{
    ROAN_ASSERT(!future->is_queued && future->waiters == NULL);
    if (future->replies != NULL || future->parts != NULL)
        free_batch(future);
    roan_value_free(future->reply);
    if (future->failure != NULL)
        free(future->failure);
    if (future->link != NULL && future->holds_link)
        roan_link_drop(future->link);
    if (future->request != future->cell)
        free(future->request);
    if (future->cell != NULL)
        roan_cell_release(future->cell);
    if (future->old_request != NULL)
        free(future->old_request);
    if (future->free_plan != NULL)
        future->free_plan(future->plan);
    put_into_store(future);
}

roan_future *roan_keep(roan_future *future)
{
    if (roan_future_is_static(future))
        return future;
    if (atomic_load_explicit(&future->references, memory_order_relaxed) == 1) /* the caller's: nobody else knows it */
        atomic_store_explicit(&future->references, 2, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&future->references, 1, memory_order_relaxed);
    return future;
}

void roan_drop(roan_future *future)
{
    if (future == NULL || roan_future_is_static(future))
        return;
    if (atomic_load_explicit(&future->references, memory_order_acquire) == 1 || /* nobody else can add or drop one */
        atomic_fetch_sub_explicit(&future->references, 1, memory_order_acq_rel) == 1)
        destroy(future);
}

char *roan_future_reserve(roan_future *future, size_t bytes)
{
    size_t wanted;
    size_t capacity;
    char *request;

    if (bytes <= future->request_capacity - future->request_bytes)
        return future->request + future->request_bytes;
    if (__builtin_add_overflow(future->request_bytes, bytes, &wanted) || wanted > SIZE_MAX / 2)
        return NULL;
    capacity = wanted;
    if (future->request_capacity < 65536)
        capacity = ROAN_MAX(wanted, future->request_capacity * 2);
    else if (future->request_bytes > 0) /* a batch that grows */
        capacity = ROAN_MAX(wanted, future->request_capacity + future->request_capacity / 2);
    if (future->request == future->cell) {
        request = malloc(capacity);
        if (request != NULL)
            memcpy(request, future->cell, future->request_bytes);
    } else {
        request = realloc(future->request, capacity);
    }
    if (request == NULL)
        return NULL;
    future->request = request;
    future->request_capacity = capacity;
    return request + future->request_bytes;
}

void roan_future_lose_cell(roan_future *future)
{
    if (future->request == future->cell)
        future->request = NULL;
    future->cell = NULL;
}

/* '*' or '$', digits, CRLF. */
#define HEADER_BYTES_MAX 24

static char *write_header(char *at, char type, size_t number)
{
    char digits[24];
    size_t count = 0;

    *at++ = type;
    if (number < 10) {
        *at++ = (char)('0' + number);
    } else if (number < 100) {
        *at++ = (char)('0' + number / 10);
        *at++ = (char)('0' + number % 10);
    } else {
        for (; number > 0; number /= 10)
            digits[count++] = (char)('0' + number % 10);
        while (count > 0)
            *at++ = digits[--count];
    }
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

bool roan_future_encode(roan_future *future, size_t argc, const roan_slice *argv)
{
    size_t bytes = HEADER_BYTES_MAX;
    char *at;
    char *start;

    for (size_t i = 0; i < argc; i++)
        if (__builtin_add_overflow(bytes, HEADER_BYTES_MAX + 2 + argv[i].bytes, &bytes))
            return false;
    start = at = roan_future_reserve(future, bytes);
    if (at == NULL)
        return false;
    at = write_header(at, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        at = write_header(at, '$', argv[i].bytes);
        if (argv[i].bytes > 0)
            memcpy(at, argv[i].data, argv[i].bytes);
        at += argv[i].bytes;
        *at++ = '\r';
        *at++ = '\n';
    }
    future->request_bytes += (size_t)(at - start);
    future->replies_due++;
    return true;
}

void roan_future_exchange(roan_future *future, char *request, size_t bytes, size_t replies_due)
{
    ROAN_ASSERT(!future->is_queued && future->old_request == NULL);
    if (future->request != future->cell)
        future->old_request = future->request;
    future->request = request;
    future->request_bytes = future->request_capacity = bytes;
    future->replies_due = replies_due;
}

void roan_future_settle(roan_future *future, roan_status status, roan_value *reply, const roan_failure *failure)
{
    ROAN_ASSERT(!atomic_load_explicit(&future->is_settled, memory_order_relaxed));
    future->status = status;
    future->reply = reply;
    if (failure != NULL && status < 0) {
        future->failure = malloc(sizeof *failure);
        if (future->failure != NULL) {
            *future->failure = *failure;
            future->failure->code = status;
            future->failure->attempts = future->attempts;
        }
    }
    atomic_store_explicit(&future->is_settled, true, memory_order_release);
}

bool roan_is_settled(const roan_future *future)
{
    return atomic_load_explicit(&future->is_settled, memory_order_acquire);
}

/* ---- parking ---- */

_Atomic uint32_t *roan_park_word(void)
{
    if (thread_place == NULL) {
        pthread_mutex_lock(&places_lock);
        thread_place = free_places;
        if (thread_place != NULL)
            free_places = thread_place->next;
        pthread_mutex_unlock(&places_lock);
        if (thread_place == NULL)
            thread_place = calloc(1, sizeof *thread_place);
        if (thread_place == NULL)
            thread_place = &last_resort;
        register_thread();
    }
    return &thread_place->word;
}

void roan_park(_Atomic uint32_t *word, int64_t wait_us)
{
    struct timespec wait = {.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000};

    if (atomic_load_explicit(word, memory_order_acquire) == 0)
        ROAN_IGNORE(syscall(SYS_futex, (uint32_t *)(void *)word, FUTEX_WAIT_PRIVATE, 0u, wait_us < 0 ? NULL : &wait,
                            NULL, 0));
    atomic_exchange_explicit(word, 0, memory_order_acquire);
}

void roan_unpark(_Atomic uint32_t *word)
{
    if (atomic_exchange_explicit(word, 1, memory_order_release) == 0)
        ROAN_IGNORE(syscall(SYS_futex, (uint32_t *)(void *)word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
}

/* ---- failures ---- */

roan_failure *roan_failure_of_thread(void)
{
    return &thread_failure;
}

const roan_failure *roan_last_failure(void)
{
    return &thread_failure;
}

static void set_failure(roan_failure *failure, roan_status code, roan_fate fate, const char *format, va_list arguments)
{
    memset(failure, 0, offsetof(roan_failure, text));
    failure->code = code;
    failure->fate = fate;
    failure->attempts = 1;
    ROAN_IGNORE(vsnprintf(failure->text, sizeof failure->text, format, arguments));
}

void roan_failure_set(roan_failure *failure, roan_status code, roan_fate fate, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    set_failure(failure, code, fate, format, arguments);
    va_end(arguments);
}

roan_status roan_fail(roan_status code, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    set_failure(&thread_failure, code, ROAN_FATE_NOT_SENT, format, arguments);
    va_end(arguments);
    return code;
}
