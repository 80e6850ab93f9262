/* engine/info.c: collecting numbers about clients, memory and times to live. Everything here walks what it reports
 * on, so nothing has to be counted while commands run. */
#include "engine/info.h"

#include "base/macros.h"
#include "engine/watch.h"

#include <stdio.h>

#define TTL_SAMPLES_MAX 64
#define TTL_SAMPLES_PER_TABLE 4

void roan_info_read_host(const roan_engine *engine, roan_host_info *ret_info)
{
    *ret_info = (roan_host_info){.executable = "", .config_file = "", .io = ""};
    if (engine->host.describe != NULL)
        engine->host.describe(engine->host.context, ret_info);
}

void roan_info_read_clients(roan_engine *engine, roan_client_info *ret_info)
{
    roan_client_info info = {0};
    for (roan_session *s = roan_sessions_first(engine); s != NULL; s = roan_sessions_next(s)) {
        if (s->is_embedded || s->is_gone || s->ops->describe == NULL)
            continue;
        roan_transport_info transport = {0};
        s->ops->describe(s, &transport);
        info.count++;
        info.subscribed += (s->modes & ROAN_MODE_SUBSCRIBED) != 0;
        info.watching += roan_watch_count(s) > 0;
        info.normal_bytes += transport.total_bytes;
        info.input_max = ROAN_MAX(info.input_max, transport.query_bytes + transport.argument_bytes);
        info.output_max = ROAN_MAX(info.output_max, transport.output_bytes);
    }
    for (unsigned i = 0; i < engine->lane_count; i++) {
        info.blocked += engine->lanes[i].blocked_count;
        info.with_deadline += engine->lanes[i].timer_count;
        info.monitors += engine->lanes[i].monitor_count;
    }
    *ret_info = info;
}

static void add_table(const roan_table *table, roan_memory_info *info)
{
    info->keys += table->count;
    info->tables += roan_table_overhead_bytes(table);
    if (table->arena != NULL)
        info->pages += roan_arena_overhead_bytes(table->arena);
}

void roan_info_read_memory(roan_engine *engine, const roan_host_info *host, size_t used, roan_memory_info *ret_info)
{
    roan_memory_info info = {0};
    roan_client_info clients;
    roan_alloc_stats allocator;
    roan_alloc_stats_read(&allocator);
    roan_info_read_clients(engine, &clients);
    info.used = used;
    info.peak = ROAN_MAX(atomic_load(&engine->peak_bytes), used);
    info.startup = engine->startup_bytes;
    info.clients = clients.normal_bytes;
    info.rss = host->rss_bytes;
    info.idle = roan_alloc_idle_bytes();
    info.allocated = allocator.allocated - ROAN_MIN(info.idle, allocator.allocated);
    info.active = allocator.active;
    info.resident = allocator.resident;
    info.muzzy = allocator.muzzy;
    for (int64_t i = 0; i < engine->config.databases; i++) {
        const roan_db *db = roan_engine_db_if_used(engine, (unsigned)i);
        for (unsigned stripe = 0; db != NULL && stripe < engine->stripe_count; stripe++)
            add_table(&db->tables[stripe], &info);
    }
    info.overhead = ROAN_MIN(info.startup + info.tables + info.pages + info.clients, info.used);
    info.dataset = info.used - info.overhead;
    *ret_info = info;
}

int64_t roan_info_average_ttl(roan_lane *lane, const roan_db *db)
{
    void *entries[TTL_SAMPLES_PER_TABLE];
    double sum_ms = 0;
    size_t count = 0;
    uint32_t stripes = lane->engine->stripe_count;
    uint32_t start = (uint32_t)roan_random_below(&lane->random, stripes);
    for (uint32_t i = 0; i < stripes && count < TTL_SAMPLES_MAX; i++) {
        const roan_table *table = &db->tables[(start + i) & (stripes - 1)];
        if (table->expiring_count == 0)
            continue;
        size_t sampled = roan_table_sample(table, &lane->random, true, TTL_SAMPLES_PER_TABLE, entries);
        for (size_t j = 0; j < sampled; j++)
            sum_ms += (double)ROAN_MAX(roan_entry_expiry(entries[j]) - lane->now_ms, 0);
        count += sampled;
    }
    return count == 0 ? 0 : (int64_t)(sum_ms / (double)count);
}

void roan_format_human(char out[ROAN_HUMAN_TEXT_MAX], size_t bytes)
{
    double value = (double)bytes;
    size_t unit = 0;
    static const char units[] = "BKMGTPE";
    while (value >= 1024 && unit + 2 < sizeof units) {
        value /= 1024;
        unit++;
    }
    snprintf(out, ROAN_HUMAN_TEXT_MAX, unit == 0 ? "%.0f%c" : "%.2f%c", value, units[unit]);
}
