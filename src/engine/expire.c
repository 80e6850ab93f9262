/* engine/expire.c: active expiry. Each lane walks its share of the stripes (stripe modulo lanes) through all databases,
 * takes due entries out of the tables in small batches and frees them, and stops when its time is up; the next round
 * goes on where this one stopped. A table in which nothing is due costs a look at one small array. Hashes with expired
 * fields are relieved of a batch of them at a time.
 */
#include "engine/expire.h"

#include "base/macros.h"
#include "engine/blocking.h"
#include "engine/effects.h"
#include "engine/hash_expiry.h"
#include "engine/logs.h"
#include "engine/stats.h"
#include "types/hash.h"

#define BATCH_ENTRIES 64

/* Expires a batch of fields of a hash; true when there may be more of them. */
static bool expire_fields(roan_lane *lane, roan_db *db, roan_table *table, roan_entry *entry)
{
    roan_slice key = roan_entry_key(entry);
    uint64_t hash = roan_table_hash(table, key);
    roan_spot spot;
    bool is_full = roan_hash_expire_fields(lane, db, entry, ROAN_EXPIRED_FIELDS_MAX) == ROAN_EXPIRED_FIELDS_MAX;
    ROAN_ASSERT(roan_table_find(table, hash, key, &spot) == entry);
    if (roan_hash_count(roan_entry_value(entry)) > 0) {
        roan_table_replace(table, hash, &spot, entry); /* what is due in it has changed */
        return is_full;
    }
    roan_table_remove(table, hash, &spot);
    roan_effects_event(lane, db, key, true, ROAN_EVENT_GENERIC, "del");
    roan_keyspace_free_entry(lane->engine, table, entry, false);
    return false;
}

/* Expires one batch of a table; false when nothing (more) is due in it. A walk that ended with fields left begins
 * again. */
static bool expire_batch(roan_lane *lane, roan_db *db, uint32_t stripe)
{
    void *expired[BATCH_ENTRIES], *inside[BATCH_ENTRIES];
    roan_due due = {.max = BATCH_ENTRIES, .slack_ms = lane->expire_slack_ms, .taken = expired, .inside = inside};
    roan_table_take_expired(&db->tables[stripe], lane->now_ms, &lane->expire_slot, &due);
    for (size_t i = 0; i < due.taken_count; i++) {
        roan_keyspace_expire_entry(lane, db, &db->tables[stripe], expired[i]);
        roan_effects_hand_over(lane);
    }
    bool has_more = lane->expire_slot != 0;
    for (size_t i = 0; i < due.inside_count; i++) {
        has_more |= expire_fields(lane, db, &db->tables[stripe], inside[i]);
        roan_effects_hand_over(lane);
    }
    return has_more;
}

static bool is_over(const roan_lane *lane, uint64_t start, int64_t budget_us)
{
    uint64_t ticks = roan_clock_ticks(lane->engine->clock) - start;
    return roan_clock_ticks_to_us(lane->engine->clock, ticks) >= budget_us;
}

/* Works on the table at the lane's place; false when the time is up and the table is not done. */
static bool expire_table(roan_lane *lane, roan_db *db, uint64_t start, int64_t budget_us)
{
    uint32_t stripe = lane->expire_stripe;
    for (bool more = true; more;) {
        if (!roan_stripe_try(lane, stripe)) {
            lane->expire_slot = 0; /* busy: the next round looks again */
            return true;
        }
        more = roan_table_may_have_expired(&db->tables[stripe], lane->now_ms + lane->expire_slack_ms) &&
               expire_batch(lane, db, stripe);
        roan_blocking_serve(lane);
        roan_stripes_release(lane, &stripe, 1);
        if (more && is_over(lane, start, budget_us))
            return false;
        roan_gate_pass(lane);
    }
    lane->expire_slot = 0;
    return true;
}

/* Moves to the next stripe of this lane, and behind the last one to the next database. */
static void advance(roan_lane *lane)
{
    lane->expire_slot = 0;
    lane->expire_stripe += lane->engine->lane_count;
    if (lane->expire_stripe < lane->engine->stripe_count)
        return;
    lane->expire_stripe = lane->index;
    lane->expire_db = (lane->expire_db + 1) % (uint32_t)lane->engine->config.databases;
}

bool roan_expire_cycle(roan_lane *lane, int64_t budget_us)
{
    roan_engine *engine = lane->engine;
    uint64_t start = roan_clock_ticks(engine->clock);
    size_t tables = (size_t)engine->config.databases * (engine->stripe_count / engine->lane_count + 1);
    bool done = true;
    if (lane->expire_stripe >= engine->stripe_count || lane->expire_stripe % engine->lane_count != lane->index)
        lane->expire_stripe = lane->index;
    for (size_t i = 0; i < tables && done; i++) {
        roan_db *db = roan_engine_db_if_used(engine, lane->expire_db);
        if (db == NULL) {
            lane->expire_stripe = engine->stripe_count; /* the whole database */
            advance(lane);
            continue;
        }
        done = expire_table(lane, db, start, budget_us);
        if (done) {
            advance(lane); /* whatever the time: a slow slice gets on by one table */
            done = i + 1 == tables || !is_over(lane, start, budget_us);
        }
    }
    uint64_t ns = roan_clock_ticks_to_ns(engine->clock, roan_clock_ticks(engine->clock) - start);
    lane->stats->expire_cycle_ns += ns;
    lane->stats->expired_time_cap += !done;
    roan_latency_note(engine, "expire-cycle", lane->now_ms, ns / 1000);
    return !done;
}
