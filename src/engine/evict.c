/* engine/evict.c: clocks in entries, and evicting keys by policy until memory is within maxmemory.
 *
 * A victim is the best of SAMPLE_FACTOR times maxmemory-samples entries taken around a few random positions of a random
 * stripe; in hash order neighbours are as good as strangers, so the sample is a fair one. It takes the place of the
 * pool of good candidates that the reference keeps between evictions. A stripe with fewer entries is sampled together
 * with the next ones. Victims are deleted before the command takes its own stripes, one stripe at a time and only
 * where it is free.
 */
#include "engine/evict.h"

#include "base/macros.h"
#include "engine/blocking.h"
#include "engine/effects.h"
#include "engine/expire.h"
#include "engine/logs.h"
#include "engine/stats.h"

#include <math.h>

#define SAMPLES_MAX 192
#define SAMPLE_FACTOR 3
#define PLACES 3 /* in a table; around one place only, the good candidates run out while others have them */
#define LATER_SAMPLES 16 /* elements looked at to estimate what a value holds that is freed in the background */
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
static uint64_t victim_score(roan_lane *lane, const roan_entry *entry)
{
    const roan_engine *engine = lane->engine;
    int64_t policy = engine->config.maxmemory_policy;
    if (policy == ROAN_POLICY_VOLATILE_TTL)
        return UINT64_MAX - (uint64_t)roan_entry_expiry(entry);
    if (roan_policy_is_lfu(policy))
        return 255 - roan_entry_frequency(engine, lane, entry);
    if (roan_policy_is_lru(policy))
        return roan_entry_idle_ms(lane, entry);
    return roan_random_next(&lane->random);
}

static bool policy_is_volatile(int64_t policy)
{
    return policy >= ROAN_POLICY_VOLATILE_LRU;
}

/* ---- choosing a victim ---- */

/* The best entry seen so far. It is known by its name: its stripe may have been released since. */
typedef struct candidate {
    roan_db *db;
    uint32_t stripe;
    uint64_t hash, score;
    size_t seen; /* entries compared */
    bool any_busy;
    roan_buffer *name;
} candidate;

static void consider(candidate *best, roan_lane *lane, roan_db *db, uint32_t stripe, void *const *entries,
                     size_t count)
{
    const roan_entry *winner = NULL;
    for (size_t i = 0; i < count; i++) {
        uint64_t score = victim_score(lane, entries[i]);
        if ((best->db != NULL || winner != NULL) && score <= best->score)
            continue;
        winner = entries[i];
        best->score = score;
    }
    best->seen += count;
    if (winner == NULL)
        return;
    roan_slice name = roan_entry_key(winner);
    best->name->bytes = 0;
    roan_buffer_append_slice(best->name, name);
    best->hash = roan_hash(&lane->engine->table_context.secret, name.data, name.bytes);
    best->db = db;
    best->stripe = stripe;
}

/* Looks at `wanted` entries of each database in one stripe, which is held. */
static void consider_stripe(candidate *best, roan_lane *lane, uint32_t stripe, size_t wanted)
{
    roan_engine *engine = lane->engine;
    bool is_volatile = policy_is_volatile(engine->config.maxmemory_policy);
    void *samples[SAMPLES_MAX];
    for (int64_t i = 0; i < engine->config.databases; i++) {
        roan_db *db = roan_engine_db_if_used(engine, (unsigned)i);
        if (db == NULL || db->tables[stripe].count == 0)
            continue;
        size_t places = db->tables[stripe].count > wanted ? PLACES : 1;
        for (size_t place = 0; place < places; place++) {
            size_t share = ROAN_MAX(wanted / places, 1u);
            size_t count = roan_table_sample(&db->tables[stripe], &lane->random, is_volatile, share, samples);
            consider(best, lane, db, stripe, samples, count);
        }
    }
}

static size_t samples_wanted(const roan_engine *engine)
{
    int64_t policy = engine->config.maxmemory_policy;
    if (policy == ROAN_POLICY_ALLKEYS_RANDOM || policy == ROAN_POLICY_VOLATILE_RANDOM)
        return 1;
    return (size_t)ROAN_MIN(engine->config.maxmemory_samples * SAMPLE_FACTOR, SAMPLES_MAX);
}

/* ---- evicting it ---- */

typedef enum evict_outcome { EVICTED, BUSY, NOTHING_LEFT } evict_outcome;

/* Returns the bytes that come back later, from another thread. The stripe is held. */
static size_t evict_entry(roan_lane *lane, const candidate *victim, roan_spot *spot, roan_entry *entry)
{
    roan_engine *engine = lane->engine;
    roan_table *table = &victim->db->tables[victim->stripe];
    bool is_lazy = engine->config.lazyfree_lazy_eviction && engine->host.free_later != NULL &&
                   roan_entry_free_effort(entry) > ROAN_LAZY_EFFORT_MIN;
    size_t later = is_lazy ? roan_entry_memory(entry, LATER_SAMPLES) : 0;
    bool is_timed = engine->config.latency_monitor_threshold_ms > 0;
    uint64_t start = is_timed ? roan_clock_ticks(engine->clock) : 0;
    roan_table_remove(table, victim->hash, spot);
    roan_effects_deleted(lane, victim->db, table, roan_entry_key(entry), ROAN_EVENT_EVICTED, "evicted");
    roan_effects_hand_over(lane);
    lane->stats->evicted++;
    roan_keyspace_free_entry(engine, table, entry, is_lazy);
    if (is_timed)
        roan_latency_note(engine, "eviction-del", lane->now_ms,
                          roan_clock_ticks_to_ns(engine->clock, roan_clock_ticks(engine->clock) - start) / 1000);
    return later;
}

/* The victim may be gone by now: then it was as good as evicted. */
static evict_outcome evict_candidate(roan_lane *lane, const candidate *victim, size_t *later)
{
    roan_spot spot;
    if (!roan_stripe_try(lane, victim->stripe))
        return BUSY;
    roan_table *table = &victim->db->tables[victim->stripe];
    roan_entry *entry = roan_table_find(table, victim->hash, roan_buffer_slice(victim->name), &spot);
    if (entry != NULL)
        *later += evict_entry(lane, victim, &spot, entry);
    roan_blocking_serve(lane);
    roan_stripes_release(lane, &victim->stripe, 1);
    return EVICTED;
}

/* Evicts one key; *later grows by the bytes of it that come back later. */
static evict_outcome evict_one(roan_lane *lane, size_t *later)
{
    uint32_t stripes = lane->engine->stripe_count;
    uint32_t stripe = (uint32_t)roan_random_below(&lane->random, stripes);
    size_t wanted = samples_wanted(lane->engine);
    candidate best = {.name = &lane->scratch};
    for (uint32_t i = 0; i < stripes && best.seen < wanted; i++, stripe = (stripe + 1) & (stripes - 1)) {
        if (!roan_stripe_try(lane, stripe)) {
            best.any_busy = true;
            continue;
        }
        consider_stripe(&best, lane, stripe, wanted - best.seen);
        roan_stripes_release(lane, &stripe, 1);
    }
    if (best.seen == 0)
        return best.any_busy ? BUSY : NOTHING_LEFT;
    return evict_candidate(lane, &best, later);
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
    size_t later = 0;
    if (engine->config.maxmemory_policy == ROAN_POLICY_NOEVICTION)
        return ROAN_EVICT_FAILED;
    for (unsigned evicted = 1; roan_memory_counted(engine) > limit + later; evicted++) {
        evict_outcome outcome = evict_one(lane, &later);
        if (outcome != EVICTED)
            return outcome == BUSY || later > 0 ? ROAN_EVICT_RUNNING : ROAN_EVICT_FAILED;
        if (evicted % TIME_CHECK_EVERY == 0 &&
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
