/* base/alloc.h: memory, counted.
 *
 * Every allocation of the server goes through here. Frees are told the size, which jemalloc turns into a cheaper path.
 * With jemalloc the counting is jemalloc's own (per thread, free of charge); the libc build, used with sanitizers,
 * counts by itself. Running out of memory ends the process with a message, except for the `try` forms, which are for
 * sizes that a client chose.
 */
#pragma once

#include "base/macros.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Never NULL. bytes must be above 0. */
void *roan_alloc(size_t bytes) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *roan_alloc_zero(size_t bytes) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *roan_alloc_aligned(size_t alignment, size_t bytes) __attribute__((returns_nonnull));

/* NULL when there is no memory for it. */
void *roan_try_alloc(size_t bytes) __attribute__((malloc, alloc_size(1)));

/* Frees what roan_alloc(bytes) gave; accepts NULL. */
void roan_free(void *memory, size_t bytes);

/* Grows or shrinks; the content up to the smaller size stays. Never NULL. memory may be NULL with old_bytes 0. */
void *roan_realloc(void *memory, size_t old_bytes, size_t new_bytes) __attribute__((returns_nonnull));
void *roan_try_realloc(void *memory, size_t old_bytes, size_t new_bytes);

/* What an allocation of `bytes` really takes, its rounding included. */
size_t roan_alloc_good_size(size_t bytes);

/* A NUL-terminated copy; free with roan_text_free. */
char *roan_text_dup(const char *text) __attribute__((malloc, returns_nonnull));
char *roan_text_dup_bytes(const char *data, size_t bytes) __attribute__((malloc, returns_nonnull));
void roan_text_free(char *text);

/* A thread's share of the count. Every thread that allocates for long registers once. */
typedef struct roan_alloc_counter roan_alloc_counter;
roan_alloc_counter *roan_alloc_counter_of_thread(void);

/* Bytes now in use by the whole process: allocated and not idle (approximate while other threads run). */
size_t roan_alloc_used_bytes(void);

/* Memory that is allocated but holds nothing: free pieces in the pages of an arena. Counted per thread; only the sum
 * means something, as one thread may use what another one freed. */
extern __thread _Atomic int64_t roan_alloc_idle_of_thread;
static inline void roan_alloc_note_idle(int64_t change)
{
    int64_t idle = atomic_load_explicit(&roan_alloc_idle_of_thread, memory_order_relaxed);
    atomic_store_explicit(&roan_alloc_idle_of_thread, idle + change, memory_order_relaxed);
}
size_t roan_alloc_idle_bytes(void);

/* What the allocator says of itself, in bytes; zero where it cannot tell. */
typedef struct roan_alloc_stats {
    size_t allocated, active, resident, retained, muzzy;
} roan_alloc_stats;
void roan_alloc_stats_read(roan_alloc_stats *stats);

/* The allocator's report for MEMORY MALLOC-STATS, handed over in pieces. */
void roan_alloc_report(void (*write_text)(void *context, const char *text), void *context);

/* Gives unused memory back to the operating system now. */
void roan_alloc_purge(void);

/* "jemalloc-5.3.0" or "libc". */
const char *roan_alloc_name(void);
