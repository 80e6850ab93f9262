/* engine/engine.c: creating an engine, its databases and lanes, and a lane's housekeeping.
 *
 *   create -> sessions come and go on lanes -> all sessions done -> free
 *
 * Databases are created on first use and stay: a reader needs no lock to see one (publication by an atomic pointer).
 */
#include "engine/engine.h"

#include "base/macros.h"
#include "engine/acl.h"
#include "engine/blocking.h"
#include "engine/evict.h"
#include "engine/expire.h"
#include "engine/logs.h"
#include "engine/pubsub.h"
#include "engine/retire.h"
#include "engine/script/script.h"
#include "engine/stats.h"
#include "engine/tracking.h"
#include "types/element.h"
#include "engine/watch.h"

#define OUT_POOL_CHUNKS_MAX        512 /* 8 MiB of replies: what 50 connections with 16 lists of 100 elements each need */
#define STRIPES_ONE_LANE 16
#define STRIPES_PER_LANE 64
#define STRIPES_MAX 4096
#define WORK_SLICE_US 1000             /* longest stretch of active expiry */
#define EXPIRE_PERMILLE 250            /* of a lane's time, at active-expire-effort 1 */
#define EXPIRE_PERMILLE_PER_EFFORT 20
#define EXPIRE_PERMILLE_MAX 430

static unsigned choose_stripe_count(unsigned lanes)
{
    if (lanes == 1)
        return STRIPES_ONE_LANE;
    unsigned stripes = STRIPES_PER_LANE;
    while (stripes < lanes * STRIPES_PER_LANE && stripes < STRIPES_MAX)
        stripes *= 2;
    return stripes;
}

/* hash-seed is text; equal texts give equal seeds on every machine. */
static uint64_t hash_seed(const roan_config *config, uint64_t random)
{
    roan_hash_secret fixed;
    if (config->hash_seed[0] == '\0')
        return random;
    roan_hash_secret_init(&fixed, 1);
    return roan_hash(&fixed, config->hash_seed, strlen(config->hash_seed));
}

static void lane_init(roan_engine *engine, unsigned index, uint64_t seed)
{
    roan_lane *lane = &engine->lanes[index];
    lane->engine = engine;
    lane->index = index;
    lane->stats = roan_stats_create();
    lane->ahead = roan_alloc_zero(sizeof *lane->ahead);
    lane->out_pool.count_max = OUT_POOL_CHUNKS_MAX;
    lane->pubsub = roan_lane_pubsub_create();
    roan_out_init(&lane->pushes, &lane->out_pool, 2);
    roan_random_seed(&lane->random, seed + index);
    lane->next_work_us = INT64_MAX;
    roan_lane_update_time(lane);
}

static void lane_done(roan_lane *lane)
{
    ROAN_ASSERT(lane->sessions == NULL);
    for (roan_mail *mail = roan_mailbox_take(&lane->mailbox), *next; mail != NULL; mail = next) {
        next = mail->next;
        mail->deliver(mail, lane);
    }
    roan_pubsub_deliver(lane);
    roan_stats_free(lane->stats);
    roan_free(lane->ahead, sizeof *lane->ahead);
    roan_free(lane->timers, lane->timer_capacity * sizeof *lane->timers);
    roan_lane_pubsub_free(lane->pubsub);
    roan_out_pool_done(&lane->out_pool);
    roan_buffer_done(&lane->scratch);
    roan_buffer_done(&lane->event_channel);
    roan_buffer_done(&lane->effects);
    roan_buffer_done(&lane->waiter_name);
}

void roan_engine_take_limits(roan_engine *engine)
{
    const roan_config *config = &engine->config;
    roan_type_context *types = &engine->types;
    types->hash_entries_max = (size_t)config->hash_max_listpack_entries;
    types->hash_value_bytes_max = config->hash_max_listpack_value;
    types->set_int_entries_max = (size_t)config->set_max_intset_entries;
    types->set_entries_max = (size_t)config->set_max_listpack_entries;
    types->set_value_bytes_max = (size_t)config->set_max_listpack_value;
    types->zset_entries_max = (size_t)config->zset_max_listpack_entries;
    types->zset_value_bytes_max = config->zset_max_listpack_value;
    types->list_size = config->list_max_listpack_size;
    types->list_compress_depth = config->list_compress_depth;
    types->stream_node_bytes_max = config->stream_node_max_bytes;
    types->stream_node_entries_max = (size_t)config->stream_node_max_entries;
}

/* Tables inside of values: like those of keys, but nobody looks at them without the stripe. */
static void init_types(roan_engine *engine)
{
    roan_type_context *types = &engine->types;
    types->elements = types->fields = (roan_table_context){.secret = engine->table_context.secret,
                                                           .epoch_ms = engine->table_context.epoch_ms,
                                                           .pages = engine->table_context.pages};
    types->elements.ops = &roan_element_table_ops;
    types->fields.ops = &roan_field_table_ops;
    roan_engine_take_limits(engine);
}

roan_engine *roan_engine_create(const roan_engine_options *options)
{
    roan_engine *engine = roan_alloc_aligned(ROAN_CACHE_LINE, sizeof *engine);
    memset(engine, 0, sizeof *engine);
    ROAN_ASSERT(options->lanes <= ROAN_LANES_MAX);
    engine->lane_count = options->lanes == 0 ? 1 : options->lanes;
    engine->stripe_count = options->stripes != 0 ? options->stripes : choose_stripe_count(engine->lane_count);
    roan_clock_init(&engine->own_clock);
    engine->clock = options->clock != NULL ? options->clock : &engine->own_clock;
    engine->host = options->host;
    if (options->config != NULL)
        roan_config_copy(&engine->config, options->config);
    else
        roan_config_init(&engine->config);
    uint64_t seed = options->seed != 0 ? options->seed : roan_random_entropy();
    roan_hash_secret_init(&engine->table_context.secret, hash_seed(&engine->config, seed));
    engine->started_ms = roan_clock_wall_us(engine->clock) / 1000;
    engine->table_context.ops = &roan_entry_table_ops;
    engine->table_context.epoch_ms = engine->started_ms;
    engine->table_context.pages = roan_page_pool_create();
    engine->epoch = 1;
    if (engine->lane_count > 1) {
        engine->retired = roan_retired_create(engine);
        engine->table_context.retire = roan_retired_add;
        engine->table_context.retire_context = engine->retired;
    }
    init_types(engine);
    roan_blocking_init(engine);
    engine->next_session_id = 1;
    engine->active_expire_is_on = true;
    engine->logs = roan_logs_create();
    engine->acl = roan_acl_create(&engine->config);
    roan_gate_init(&engine->gate);
    ROAN_ASSERT(pthread_mutex_init(&engine->dbs_lock, NULL) == 0);
    engine->stripes = roan_alloc_aligned(ROAN_CACHE_LINE, engine->stripe_count * sizeof *engine->stripes);
    memset(engine->stripes, 0, engine->stripe_count * sizeof *engine->stripes);
    engine->watches = roan_watches_create(engine);
    engine->topics = roan_topics_create(engine);
    roan_tracking_init(engine);
    engine->dbs = roan_alloc_zero((size_t)engine->config.databases * sizeof *engine->dbs);
    engine->lanes = roan_alloc_aligned(ROAN_CACHE_LINE, engine->lane_count * sizeof *engine->lanes);
    memset(engine->lanes, 0, engine->lane_count * sizeof *engine->lanes);
    for (unsigned i = 0; i < engine->lane_count; i++)
        lane_init(engine, i, seed);
    roan_random_hex(&engine->lanes[0].random, engine->run_id, 40);
    roan_random_hex(&engine->lanes[0].random, engine->replication_id, 40);
    ROAN_IGNORE(roan_engine_db(engine, 0)); /* always there */
    engine->scripts = roan_scripts_create(engine);
    engine->startup_bytes = roan_alloc_used_bytes();
    return engine;
}

static void db_free(roan_engine *engine, roan_db *db)
{
    if (db == NULL)
        return;
    for (unsigned i = 0; i < engine->stripe_count; i++)
        roan_table_clear(&db->tables[i]);
    roan_free(db->tables, engine->stripe_count * sizeof *db->tables);
    roan_free(db, sizeof *db);
}

roan_engine *roan_engine_free(roan_engine *engine)
{
    if (engine == NULL)
        return NULL;
    for (unsigned i = 0; i < engine->lane_count; i++)
        lane_done(&engine->lanes[i]);
    roan_tracking_done(engine);
    roan_blocking_done(engine);
    for (int64_t i = 0; i < engine->config.databases; i++)
        db_free(engine, engine->dbs[i]);
    roan_free((void *)engine->dbs, (size_t)engine->config.databases * sizeof *engine->dbs);
    roan_page_pool_free(engine->table_context.pages);
    roan_retired_free(engine->retired);
    roan_logs_free(engine->logs);
    roan_acl_free(engine->acl);
    roan_watches_free(engine->watches);
    roan_topics_free(engine->topics);
    roan_scripts_free(engine->scripts);
    pthread_mutex_destroy(&engine->dbs_lock);
    roan_free(engine->lanes, engine->lane_count * sizeof *engine->lanes);
    roan_free(engine->stripes, engine->stripe_count * sizeof *engine->stripes);
    roan_config_done(&engine->config);
    roan_free(engine, sizeof *engine);
    return NULL;
}

/* ---- databases ---- */

roan_table *roan_tables_create(roan_engine *engine)
{
    roan_table *tables = roan_alloc_aligned(ROAN_CACHE_LINE, engine->stripe_count * sizeof *tables);
    for (unsigned i = 0; i < engine->stripe_count; i++)
        roan_table_init(&tables[i], &engine->table_context);
    return tables;
}

static roan_db *db_create(roan_engine *engine, unsigned number)
{
    roan_db *db = roan_alloc_zero(sizeof *db);
    db->number = number;
    db->tables = roan_tables_create(engine);
    return db;
}

roan_db *roan_engine_db(roan_engine *engine, int64_t number)
{
    if (number < 0 || number >= engine->config.databases)
        return NULL;
    roan_db *db = atomic_load_explicit(&engine->dbs[number], memory_order_acquire);
    if (ROAN_LIKELY(db != NULL))
        return db;
    pthread_mutex_lock(&engine->dbs_lock);
    db = atomic_load_explicit(&engine->dbs[number], memory_order_acquire);
    if (db == NULL) {
        db = db_create(engine, (unsigned)number);
        atomic_store_explicit(&engine->dbs[number], db, memory_order_release);
    }
    pthread_mutex_unlock(&engine->dbs_lock);
    return db;
}

roan_db *roan_engine_db_if_used(roan_engine *engine, unsigned number)
{
    ROAN_ASSERT(number < engine->config.databases);
    return atomic_load_explicit(&engine->dbs[number], memory_order_acquire);
}

uint64_t roan_db_count(const roan_engine *engine, const roan_db *db)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < engine->stripe_count; i++)
        count += db->tables[i].count;
    return count;
}

uint64_t roan_db_expiring_count(const roan_engine *engine, const roan_db *db)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < engine->stripe_count; i++)
        count += db->tables[i].expiring_count;
    return count;
}

void roan_engine_note_memory(roan_engine *engine)
{
    size_t used = roan_alloc_used_bytes(), peak = atomic_load_explicit(&engine->peak_bytes, memory_order_relaxed);
    while (used > peak && !atomic_compare_exchange_weak_explicit(&engine->peak_bytes, &peak, used, memory_order_relaxed,
                                                                 memory_order_relaxed)) {
    }
}

/* ---- lanes ---- */

void roan_lane_update_time_keeping_ticks(roan_lane *lane)
{
    lane->now_us = roan_clock_wall_us(lane->engine->clock);
    lane->now_ms = lane->now_us / 1000;
}

void roan_lane_update_time(roan_lane *lane)
{
    roan_lane_update_time_keeping_ticks(lane);
    lane->ticks = roan_clock_ticks(lane->engine->clock);
}

void roan_lane_send(roan_lane *lane, roan_mail *mail)
{
    if (roan_mailbox_push(&lane->mailbox, mail) && lane->engine->host.wake != NULL)
        lane->engine->host.wake(lane->engine->host.context, lane);
}

void roan_lanes_wake_held(roan_engine *engine)
{
    for (unsigned i = 0; i < engine->lane_count; i++) {
        atomic_store_explicit(&engine->lanes[i].stripe_freed, 1, memory_order_release);
        if (engine->host.wake != NULL)
            engine->host.wake(engine->host.context, &engine->lanes[i]);
    }
}

/* Those that CLIENT PAUSE holds stay held until it is over. */
static void resume_held_sessions(roan_lane *lane, bool pause_is_over)
{
    for (roan_session *s = lane->sessions, *next; s != NULL && lane->held_count > 0; s = next) {
        next = s->next;
        if (!s->is_held || (s->is_paused && !pause_is_over))
            continue;
        s->is_held = false;
        lane->held_count--;
        lane->blocked_count -= s->is_paused;
        s->is_paused = false;
        s->ops->resume(s);
    }
}

void roan_lane_deliver_mail(roan_lane *lane)
{
    for (roan_mail *mail = roan_mailbox_take(&lane->mailbox), *next; mail != NULL; mail = next) {
        next = mail->next;
        mail->deliver(mail, lane);
    }
    roan_pubsub_deliver(lane); /* behind answers to who waited: what he is told of his own doing comes later */
    if (lane->held_count == 0)
        return;
    bool pause_is_over = lane->is_paused && !roan_engine_is_paused(lane->engine, lane->now_ms);
    if (pause_is_over)
        lane->is_paused = false;
    if (pause_is_over || atomic_exchange_explicit(&lane->stripe_freed, 0, memory_order_acquire) != 0)
        resume_held_sessions(lane, pause_is_over);
}

/* How long until the next slice, given what is left: eviction goes on at once, expiry has its share of the time. */
static int64_t next_work_us(const roan_lane *lane, bool expires_more, bool evicts_more)
{
    int64_t effort = lane->engine->config.active_expire_effort;
    int64_t permille = ROAN_MIN(EXPIRE_PERMILLE + EXPIRE_PERMILLE_PER_EFFORT * (effort - 1), EXPIRE_PERMILLE_MAX);
    if (evicts_more)
        return lane->now_us;
    return expires_more ? lane->now_us + WORK_SLICE_US * 1000 / permille : INT64_MAX;
}

void roan_lane_work(roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    bool may_expire = engine->active_expire_is_on && !roan_engine_is_paused(engine, lane->now_ms);
    bool expires_more = may_expire && roan_expire_cycle(lane, WORK_SLICE_US);
    bool evicts_more = engine->config.maxmemory > 0 && roan_evict_to_limit(lane) == ROAN_EVICT_RUNNING;
    lane->next_work_us = next_work_us(lane, expires_more, evicts_more);
}

void roan_lane_cron(roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    if (engine->retired != NULL && lane->index == 0)
        roan_retired_collect(engine->retired);
    if (ROAN_UNLIKELY(lane->stale_waiting != NULL))
        roan_blocking_tidy(lane);
    if (engine->cron_is_paused)
        return;
    roan_stats_sample_rates(lane->stats, lane->now_us);
    roan_out_pool_trim(&lane->out_pool);
    roan_engine_note_memory(engine);
    roan_lane_work(lane);
    roan_tracking_limit(lane);
    if (lane->dirty > 0) {
        atomic_fetch_add_explicit(&engine->dirty, lane->dirty, memory_order_relaxed);
        lane->dirty = 0;
    }
}
