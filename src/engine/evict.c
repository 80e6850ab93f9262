/* engine/evict.c: clocks in entries, and evicting keys by policy until memory is within maxmemory.
 *
 * A victim is the best of maxmemory-samples entries taken around a random position of a random stripe; in hash order
 * neighbours are as good as strangers, so the sample is a fair one. Victims are deleted before the command takes its own stripes, one
 * stripe at a time and only where it is free.
 */
#include "engine/evict.h"

#include "base/macros.h"
#include "engine/effects.h"
#include "engine/expire.h"
#include "engine/logs.h"
#include "engine/stats.h"

#include <math.h>

#define SAMPLES_MAX 64
#define TIME_CHECK_EVERY 16
#define LFU_INIT_BITS 8

/* ---- clocks ---- */

static uint32_t minutes_now(const roan_lane *lane)
{
    return (uint32_t)((uint64_t)lane->now_ms / 60000) & 0xffff;
}

unsigned roan_entry_frequency(const roan_engine *engine, const roan_lane *lane, const roan_entry *entry)
{
    unsigned counter = entry->clock & 0xff;
    uint32_t passed = (minutes_now(lane) - (entry->clock >> LFU_INIT_BITS)) & 0xffff;
    uint32_t periods = engine->config.lfu_decay_time > 0 ? passed / (uint32_t)engine->config.lfu_decay_time : 0;
    return periods >= counter ? 0 : counter - periods;
}

void roan_entry_touch_lfu(roan_engine *engine, roan_lane *lane, roan_entry *entry)
{
    unsigned counter = roan_entry_frequency(engine, lane, entry);
    if (counter < 255) {
        double base = counter > ROAN_LFU_START ? counter - ROAN_LFU_START : 0;
        double chance = 1.0 / (base * (double)engine->config.lfu_log_factor + 1);
        counter += (double)(roan_random_next(&lane->random) >> 11) * 0x1p-53 < chance;
    }
    roan_entry_set_frequency(lane, entry, counter);
}

void roan_entry_set_frequency(const roan_lane *lane, roan_entry *entry, unsigned frequency)
{
    entry->clock = (minutes_now(lane) << LFU_INIT_BITS | (frequency & 0xff)) & 0xffffff;
}

void roan_entry_set_idle(const roan_lane *lane, roan_entry *entry, uint64_t idle_seconds)
{
    entry->clock = (uint32_t)(roan_lru_now(lane) - idle_seconds) & 0xffffff;
}

void roan_entry_clock_start(roan_engine *engine, roan_lane *lane, roan_entry *entry)
{
    if (roan_policy_is_lfu(engine->config.maxmemory_policy))
        roan_entry_set_frequency(lane, entry, ROAN_LFU_START);
    else
        entry->clock = roan_lru_now(lane) & 0xffffff;
}

uint64_t roan_entry_idle_ms(const roan_lane *lane, const roan_entry *entry)
{
    return (uint64_t)((roan_lru_now(lane) - entry->clock) & 0xffffff) * 1000;
}

/* ---- eviction ---- */

size_t roan_memory_counted(const roan_engine *engine)
{
    (void)engine; /* buffers of replicas and of the log will be taken off here */
    return roan_alloc_used_bytes();
}

/* The larger, the sooner the entry goes. */
static uint64_t victim_score(const roan_lane *lane, const roan_entry *entry)
{
    const roan_engine *engine = lane->engine;
    int64_t policy = engine->config.maxmemory_policy;
    if (policy == ROAN_POLICY_VOLATILE_TTL)
        return UINT64_MAX - (uint64_t)roan_entry_expiry(entry);
    if (roan_policy_is_lfu(policy))
        return 255 - roan_entry_frequency(engine, lane, entry);
    if (roan_policy_is_lru(policy))
        return roan_entry_idle_ms(lane, entry);
    return 0;
}

static bool policy_is_volatile(int64_t policy)
{
    return policy >= ROAN_POLICY_VOLATILE_LRU;
}

static void evict_entry(roan_lane *lane, roan_db *db, uint32_t stripe, roan_entry *entry)
{
    roan_engine *engine = lane->engine;
    roan_slice key = roan_entry_key(entry);
    roan_table *table = &db->tables[stripe];
    uint64_t hash = roan_hash(&engine->table_context.secret, key.data, key.bytes);
    roan_spot spot;
    ROAN_ASSERT(roan_table_find(table, hash, key, &spot) == entry);
    roan_table_remove(table, hash, &spot);
    roan_effects_deleted(lane, db, key, ROAN_EVENT_EVICTED, "evicted");
    lane->stats->evicted++;
    roan_keyspace_free_entry(engine, table, entry, engine->config.lazyfree_lazy_eviction);
}

/* Evicts the best of a few samples of one table; false when it has no candidate. The stripe is held. */
static bool evict_from_table(roan_lane *lane, roan_db *db, uint32_t stripe)
{
    roan_engine *engine = lane->engine;
    int64_t policy = engine->config.maxmemory_policy;
    bool is_random = policy == ROAN_POLICY_ALLKEYS_RANDOM || policy == ROAN_POLICY_VOLATILE_RANDOM;
    roan_entry *samples[SAMPLES_MAX];
    size_t wanted = is_random ? 1 : (size_t)ROAN_MIN(engine->config.maxmemory_samples, SAMPLES_MAX);
    size_t count = roan_table_sample(&db->tables[stripe], &lane->random, policy_is_volatile(policy), wanted, samples);
    if (count == 0)
        return false;
    roan_entry *victim = samples[0];
    uint64_t best = victim_score(lane, victim);
    for (size_t i = 1; i < count; i++) {
        uint64_t score = victim_score(lane, samples[i]);
        if (score > best) {
            best = score;
            victim = samples[i];
        }
    }
    evict_entry(lane, db, stripe, victim);
    return true;
}

/* Evicts one key from a random place, looking on from there; false when no database has a candidate. */
static bool evict_one(roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    uint32_t databases = (uint32_t)engine->config.databases, stripes = engine->stripe_count;
    uint32_t stripe = (uint32_t)roan_random_below(&lane->random, stripes);
    uint32_t start_db = (uint32_t)roan_random_below(&lane->random, databases);
    for (uint32_t i = 0; i < stripes; i++, stripe = (stripe + 1) & (stripes - 1)) {
        bool evicted = false;
        if (!roan_stripe_try(lane, stripe))
            continue;
        for (uint32_t j = 0; j < databases && !evicted; j++) {
            roan_db *db = roan_engine_db_if_used(engine, (start_db + j) % databases);
            evicted = db != NULL && evict_from_table(lane, db, stripe);
        }
        roan_stripes_release(lane, &stripe, 1);
        if (evicted)
            return true;
    }
    return false;
}

/* How long one call may evict, by maxmemory-eviction-tenacity, as the reference scales it. */
static uint64_t time_limit_us(int64_t tenacity)
{
    if (tenacity <= 10)
        return (uint64_t)(50 * tenacity);
    if (tenacity < 100)
        return (uint64_t)(500.0 * pow(1.15, (double)tenacity - 10.0));
    return UINT64_MAX;
}

static roan_evict_result evict_until_within(roan_lane *lane, size_t limit)
{
    roan_engine *engine = lane->engine;
    uint64_t start = roan_clock_ticks_real(), limit_us = time_limit_us(engine->config.maxmemory_eviction_tenacity);
    for (unsigned evicted = 0; roan_memory_counted(engine) > limit; evicted++) {
        if (engine->config.maxmemory_policy == ROAN_POLICY_NOEVICTION || !evict_one(lane))
            return ROAN_EVICT_FAILED;
        if (evicted % TIME_CHECK_EVERY == TIME_CHECK_EVERY - 1 &&
            (uint64_t)roan_clock_ticks_to_us(engine->clock, roan_clock_ticks_real() - start) > limit_us)
            return ROAN_EVICT_RUNNING;
    }
    return ROAN_EVICT_OK;
}

roan_evict_result roan_evict_to_limit(roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    size_t limit = (size_t)engine->config.maxmemory;
    if (limit == 0 || ROAN_LIKELY(roan_memory_counted(engine) <= limit) || roan_engine_is_paused(engine, lane->now_ms))
        return ROAN_EVICT_OK;
    uint64_t start = roan_clock_ticks(engine->clock);
    roan_evict_result result = evict_until_within(lane, limit);
    uint64_t ns = roan_clock_ticks_to_ns(engine->clock, roan_clock_ticks(engine->clock) - start);
    lane->stats->eviction_ns += ns;
    roan_latency_note(engine, "eviction-cycle", lane->now_ms, ns / 1000);
    return result;
}
