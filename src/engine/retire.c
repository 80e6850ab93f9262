/* engine/retire.c: epoch-based reclamation; see retire.h. One mutex: tables retire a segment every few dozen inserts.
 *
 * Why it is safe: memory is unlinked before it is added, and added before the epoch moves on. A lane that noted a later
 * epoch than the memory's entered after that and can no longer find it.
 */
#include "engine/retire.h"

#include "base/macros.h"

#define COLLECT_BYTES ((size_t)1 << 20) /* collect at once when this much is waiting */

typedef struct retired_item {
    void *memory;
    size_t bytes;
    uint64_t epoch;
} retired_item;

struct roan_retired {
    roan_engine *engine;
    pthread_mutex_t lock;
    retired_item *items; /* in order of epochs */
    size_t count, capacity, bytes;
};

roan_retired *roan_retired_create(roan_engine *engine)
{
    roan_retired *retired = roan_alloc_zero(sizeof *retired);
    retired->engine = engine;
    ROAN_ASSERT(pthread_mutex_init(&retired->lock, NULL) == 0);
    return retired;
}

static void free_first(roan_retired *retired, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        retired->bytes -= retired->items[i].bytes;
        roan_alloc_note_idle(-(int64_t)retired->items[i].bytes);
        roan_free(retired->items[i].memory, retired->items[i].bytes);
    }
    retired->count -= count;
    if (retired->count > 0)
        memmove(retired->items, retired->items + count, retired->count * sizeof *retired->items);
}

void roan_retired_free(roan_retired *retired)
{
    if (retired == NULL)
        return;
    free_first(retired, retired->count);
    pthread_mutex_destroy(&retired->lock);
    roan_free(retired->items, retired->capacity * sizeof *retired->items);
    roan_free(retired, sizeof *retired);
}

/* The oldest epoch a lane may still be in; the lock is held. */
static uint64_t oldest_epoch(const roan_engine *engine)
{
    uint64_t oldest = UINT64_MAX;
    for (unsigned i = 0; i < engine->lane_count; i++) {
        uint64_t epoch = atomic_load_explicit(&engine->lanes[i].epoch, memory_order_seq_cst);
        if (epoch != 0)
            oldest = ROAN_MIN(oldest, epoch);
    }
    return oldest;
}

static void collect(roan_retired *retired)
{
    if (retired->count == 0)
        return;
    atomic_fetch_add_explicit(&retired->engine->epoch, 1, memory_order_seq_cst);
    uint64_t oldest = oldest_epoch(retired->engine);
    size_t done = 0;
    while (done < retired->count && retired->items[done].epoch < oldest)
        done++;
    free_first(retired, done);
}

void roan_retired_add(void *argument, void *memory, size_t bytes)
{
    roan_retired *retired = argument;
    pthread_mutex_lock(&retired->lock);
    if (retired->count == retired->capacity) {
        size_t capacity = retired->capacity == 0 ? 64 : retired->capacity * 2;
        retired->items = roan_realloc(retired->items, retired->capacity * sizeof *retired->items,
                                      capacity * sizeof *retired->items);
        retired->capacity = capacity;
    }
    uint64_t epoch = atomic_load_explicit(&retired->engine->epoch, memory_order_seq_cst);
    retired->items[retired->count++] = (retired_item){memory, bytes, epoch};
    retired->bytes += bytes;
    roan_alloc_note_idle((int64_t)bytes); /* as good as free: eviction must not wait for it */
    if (retired->bytes >= COLLECT_BYTES)
        collect(retired);
    pthread_mutex_unlock(&retired->lock);
}

void roan_retired_collect(roan_retired *retired)
{
    pthread_mutex_lock(&retired->lock);
    collect(retired);
    pthread_mutex_unlock(&retired->lock);
}
