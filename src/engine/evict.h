/* engine/evict.h: which key has to go when memory is short, and the clock in each entry that tells.
 *
 * The 24 clock bits of an entry are seconds of last use (modulo 2^24) under LRU policies; under LFU policies 16 bits of
 * minutes at the last decrement and an 8-bit logarithmic counter, as in the reference, so OBJECT IDLETIME and OBJECT
 * FREQ mean the same. They are written at most once per tick, so reads of a hot key stay reads.
 */
#pragma once

#include "engine/engine.h"

#define ROAN_LAZY_EFFORT_MIN 64 /* values with more elements are freed in the background */
#define ROAN_LFU_START 5        /* counter of a new key */

static inline bool roan_policy_is_lfu(int64_t policy)
{
    return policy == ROAN_POLICY_ALLKEYS_LFU || policy == ROAN_POLICY_VOLATILE_LFU;
}

static inline bool roan_policy_is_lru(int64_t policy)
{
    return policy == ROAN_POLICY_ALLKEYS_LRU || policy == ROAN_POLICY_VOLATILE_LRU;
}

/* Seconds now as an LRU clock shows them. */
static inline uint32_t roan_lru_now(const roan_lane *lane)
{
    return (uint32_t)((uint64_t)lane->now_ms / 1000) & 0xffffff;
}

/* Counts a use in LFU form. */
void roan_entry_touch_lfu(roan_engine *engine, roan_lane *lane, roan_entry *entry);

/* The entry was used. */
static inline void roan_entry_touch(roan_engine *engine, roan_lane *lane, roan_entry *entry)
{
    if (ROAN_UNLIKELY(roan_policy_is_lfu(engine->config.maxmemory_policy))) {
        roan_entry_touch_lfu(engine, lane, entry);
        return;
    }
    uint32_t now = roan_lru_now(lane);
    if (entry->clock != now)
        entry->clock = now & 0xffffff;
}

/* The entry is new. */
void roan_entry_clock_start(roan_engine *engine, roan_lane *lane, roan_entry *entry);

/* Milliseconds since the last use (LRU form), and the counter with its decay applied (LFU form). */
uint64_t roan_entry_idle_ms(const roan_lane *lane, const roan_entry *entry);
unsigned roan_entry_frequency(const roan_engine *engine, const roan_lane *lane, const roan_entry *entry);

/* Sets the clock, for RESTORE and DEBUG. */
void roan_entry_set_idle(const roan_lane *lane, roan_entry *entry, uint64_t idle_seconds);
void roan_entry_set_frequency(const roan_lane *lane, roan_entry *entry, unsigned frequency);

typedef enum roan_evict_result {
    ROAN_EVICT_OK,      /* memory is within its limit (again) */
    ROAN_EVICT_RUNNING, /* not yet, but progress is made: go on in the background */
    ROAN_EVICT_FAILED,  /* over the limit and nothing can be evicted */
} roan_evict_result;

/* Evicts keys by the policy until memory is within maxmemory, for a bounded time. Inside the gate, holding no
 * stripe. */
roan_evict_result roan_evict_to_limit(roan_lane *lane);

/* Memory that counts against maxmemory, and whether it is over. */
size_t roan_memory_counted(const roan_engine *engine);
