/* engine/cmd/info_server.c: INFO's sections about the server itself: process, clients, memory, persistence,
 * replication. Fields of features that are not there show what the reference shows while they are not used. */
#include "engine/cmd/info_sections.h"

#include "base/macros.h"
#include "engine/blocking.h"
#include "engine/compat.h"
#include "engine/evict.h"
#include "engine/script/script.h"
#include "engine/watch.h"

#include <string.h>

#if !defined(ROAN_VERSION)
#define ROAN_VERSION "unknown"
#endif

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define COMPILER TEXT(__GNUC__) "." TEXT(__GNUC_MINOR__) "." TEXT(__GNUC_PATCHLEVEL__)

/* ---- server ---- */

/* listener0:name=tcp,bind=127.0.0.1,bind=-::1,port=6379 */
static void write_listeners(const roan_info *info)
{
    const roan_config *config = info->config;
    unsigned number = 0;
    if (config->port != 0) {
        const char *at = config->bind[0] == '\0' ? "* -::*" : config->bind;
        roan_buffer_printf(info->out, "listener%u:name=tcp", number++);
        while (*at != '\0') {
            size_t bytes = strcspn(at, " ");
            roan_buffer_printf(info->out, ",bind=%.*s", (int)bytes, at);
            at += bytes + strspn(at + bytes, " ");
        }
        roan_buffer_printf(info->out, ",port=%lld\r\n", (long long)config->port);
    }
    if (config->unixsocket[0] != '\0')
        roan_buffer_printf(info->out, "listener%u:name=unix,bind=%s\r\n", number, config->unixsocket);
}

void roan_info_server(const roan_info *info)
{
    const roan_engine *engine = info->engine;
    int64_t now_us = roan_clock_wall_us(engine->clock);
    int64_t uptime_s = ROAN_MAX(now_us / 1000 - engine->started_ms, 0) / 1000;
    roan_info_text(info, "redis_version", ROAN_COMPAT_REDIS);
    roan_info_text(info, "server_name", ROAN_SERVER_NAME);
    roan_info_text(info, "roan_version", ROAN_VERSION);
    roan_info_text(info, "redis_git_sha1", "00000000");
    roan_info_text(info, "redis_git_dirty", "0");
    roan_info_text(info, "redis_build_id", "0");
    roan_info_text(info, "redis_mode", "standalone");
    roan_info_text(info, "server_mode", "standalone");
    roan_info_text(info, "os", info->host.os);
    roan_info_count(info, "arch_bits", sizeof(void *) * 8);
    roan_info_text(info, "monotonic_clock", engine->clock->is_virtual ? "virtual" : "processor counter");
    roan_info_text(info, "multiplexing_api", info->host.io);
    roan_info_text(info, "gcc_version", COMPILER);
    roan_info_number(info, "process_id", info->host.process_id);
    roan_info_text(info, "process_supervised", "no");
    roan_info_text(info, "run_id", engine->run_id);
    roan_info_number(info, "tcp_port", info->host.tcp_port);
    roan_info_number(info, "server_time_usec", now_us);
    roan_info_number(info, "uptime_in_seconds", uptime_s);
    roan_info_number(info, "uptime_in_days", uptime_s / 86400);
    roan_info_number(info, "hz", info->config->hz);
    roan_info_number(info, "configured_hz", info->config->hz);
    roan_info_number(info, "clients_hz", info->config->hz);
    roan_info_count(info, "lru_clock", roan_lru_now(info->call->lane));
    roan_info_text(info, "executable", info->host.executable);
    roan_info_text(info, "config_file", info->host.config_file);
    roan_info_count(info, "threads", engine->lane_count);
    roan_info_text(info, "io_threads_active", "0");
    roan_info_text(info, "availability_zone", info->config->availability_zone);
    write_listeners(info);
}

/* ---- clients ---- */

static void write_pause(const roan_info *info)
{
    const roan_engine *engine = info->engine;
    int64_t now_ms = roan_clock_wall_us(engine->clock) / 1000;
    bool is_paused = roan_engine_is_paused(engine, now_ms);
    const char *actions = engine->pause_all != 0 ? "all" : "write";
    roan_info_text(info, "paused_reason", is_paused ? "client_pause" : "none");
    roan_info_text(info, "paused_actions", is_paused ? actions : "none");
    roan_info_number(info, "paused_timeout_milliseconds", is_paused ? engine->pause_until_ms - now_ms : 0);
}

void roan_info_clients(const roan_info *info)
{
    roan_info_count(info, "connected_clients", info->clients.count);
    roan_info_text(info, "cluster_connections", "0");
    roan_info_number(info, "maxclients", info->config->maxclients);
    roan_info_count(info, "client_recent_max_input_buffer", info->clients.input_max);
    roan_info_count(info, "client_recent_max_output_buffer", info->clients.output_max);
    roan_info_count(info, "blocked_clients", info->clients.blocked);
    roan_info_count(info, "tracking_clients",
                    atomic_load_explicit(&info->engine->tracking_clients, memory_order_relaxed));
    roan_info_count(info, "pubsub_clients", info->clients.subscribed);
    roan_info_count(info, "watching_clients", info->clients.watching);
    roan_info_count(info, "clients_in_timeout_table", info->clients.with_deadline);
    roan_info_count(info, "total_watched_keys", roan_watches_count(info->engine));
    size_t keys, keys_without;
    roan_blocking_count(info->engine, &keys, &keys_without);
    roan_info_count(info, "total_blocking_keys", keys);
    roan_info_count(info, "total_blocking_keys_on_nokey", keys_without);
    write_pause(info);
}

/* ---- memory ---- */

static const char *policy_name(const roan_info *info, roan_buffer *scratch)
{
    scratch->bytes = 0;
    roan_option_format(info->config, roan_option_find(ROAN_LITERAL("maxmemory-policy")), scratch);
    roan_buffer_append_char(scratch, '\0');
    return scratch->data;
}

static void write_scripts(const roan_info *info)
{
    const roan_scripts *scripts = info->engine->scripts;
    size_t total = scripts->eval.bytes + scripts->functions.bytes,
           cached = scripts->script_bytes + scripts->library_bytes;
    roan_info_count(info, "used_memory_lua", scripts->eval.bytes);
    roan_info_count(info, "used_memory_vm_eval", scripts->eval.bytes);
    roan_info_human(info, "used_memory_lua_human", scripts->eval.bytes);
    roan_info_count(info, "used_memory_scripts_eval", scripts->script_bytes);
    roan_info_count(info, "number_of_cached_scripts", scripts->by_sha.count);
    roan_info_count(info, "number_of_functions", scripts->function_names.count);
    roan_info_count(info, "number_of_libraries", scripts->libraries.count);
    roan_info_count(info, "used_memory_vm_functions", scripts->functions.bytes);
    roan_info_count(info, "used_memory_vm_total", total);
    roan_info_human(info, "used_memory_vm_total_human", total);
    roan_info_count(info, "used_memory_functions", scripts->library_bytes);
    roan_info_count(info, "used_memory_scripts", cached);
    roan_info_human(info, "used_memory_scripts_human", cached);
}

static void write_fragmentation(const roan_info *info, const roan_memory_info *memory)
{
    roan_info_ratio(info, "allocator_frag_ratio", roan_ratio(memory->active, memory->allocated));
    roan_info_number(info, "allocator_frag_bytes", (int64_t)memory->active - (int64_t)memory->allocated);
    roan_info_ratio(info, "allocator_rss_ratio", roan_ratio(memory->resident, memory->active));
    roan_info_number(info, "allocator_rss_bytes", (int64_t)memory->resident - (int64_t)memory->active);
    roan_info_ratio(info, "rss_overhead_ratio", roan_ratio(memory->rss, memory->resident));
    roan_info_number(info, "rss_overhead_bytes", (int64_t)memory->rss - (int64_t)memory->resident);
    roan_info_ratio(info, "mem_fragmentation_ratio", roan_ratio(memory->rss, memory->used));
    roan_info_number(info, "mem_fragmentation_bytes", (int64_t)memory->rss - (int64_t)memory->used);
}

static void write_buffers(const roan_info *info, const roan_memory_info *memory)
{
    roan_info_count(info, "mem_not_counted_for_evict",
                    memory->used - ROAN_MIN(roan_memory_counted(info->engine), memory->used));
    roan_info_text(info, "mem_replication_backlog", "0");
    roan_info_text(info, "mem_total_replication_buffers", "0");
    roan_info_text(info, "mem_replicas_repl_buffer", "0");
    roan_info_text(info, "mem_clients_slaves", "0");
    roan_info_count(info, "mem_clients_normal", memory->clients);
    roan_info_text(info, "mem_cluster_links", "0");
    roan_info_text(info, "mem_cluster_slot_import", "0");
    roan_info_text(info, "mem_cluster_slot_export", "0");
    roan_info_text(info, "mem_aof_buffer", "0");
    roan_info_text(info, "mem_allocator", roan_alloc_name());
    roan_info_text(info, "mem_overhead_db_hashtable_rehashing", "0");
    roan_info_text(info, "active_defrag_running", "0");
    roan_info_count(info, "lazyfree_pending_objects", info->host.lazy_free_pending);
    roan_info_count(info, "lazyfreed_objects", info->host.lazy_freed - info->engine->lazy_freed_before);
}

void roan_info_memory(const roan_info *info)
{
    roan_memory_info memory;
    roan_buffer policy = {0};
    roan_info_read_memory(info->engine, &info->host, info->used, &memory);
    size_t beyond_startup = memory.used - ROAN_MIN(memory.startup, memory.used);
    roan_info_count(info, "used_memory", memory.used);
    roan_info_human(info, "used_memory_human", memory.used);
    roan_info_count(info, "used_memory_rss", memory.rss);
    roan_info_human(info, "used_memory_rss_human", memory.rss);
    roan_info_count(info, "used_memory_peak", memory.peak);
    roan_info_human(info, "used_memory_peak_human", memory.peak);
    roan_info_percent(info, "used_memory_peak_perc", roan_ratio(memory.used, memory.peak));
    roan_info_count(info, "used_memory_overhead", memory.overhead);
    roan_info_count(info, "used_memory_startup", memory.startup);
    roan_info_count(info, "used_memory_dataset", memory.dataset);
    roan_info_percent(info, "used_memory_dataset_perc", roan_ratio(memory.dataset, beyond_startup));
    roan_info_count(info, "allocator_allocated", memory.allocated);
    roan_info_count(info, "allocator_active", memory.active);
    roan_info_count(info, "allocator_resident", memory.resident);
    roan_info_count(info, "allocator_muzzy", memory.muzzy);
    roan_info_count(info, "total_system_memory", info->host.system_bytes);
    roan_info_human(info, "total_system_memory_human", info->host.system_bytes);
    write_scripts(info);
    roan_info_count(info, "maxmemory", info->config->maxmemory);
    roan_info_human(info, "maxmemory_human", info->config->maxmemory);
    roan_info_text(info, "maxmemory_policy", policy_name(info, &policy));
    write_fragmentation(info, &memory);
    write_buffers(info, &memory);
    roan_buffer_done(&policy);
}

/* ---- persistence ---- */

static uint64_t changes_since_save(const roan_engine *engine)
{
    uint64_t changes = atomic_load(&engine->dirty);
    for (unsigned i = 0; i < engine->lane_count; i++)
        changes += engine->lanes[i].dirty;
    return changes;
}

void roan_info_persistence(const roan_info *info)
{
    roan_info_text(info, "loading", "0");
    roan_info_text(info, "async_loading", "0");
    roan_info_text(info, "current_cow_peak", "0");
    roan_info_text(info, "current_cow_size", "0");
    roan_info_text(info, "current_cow_size_age", "0");
    roan_info_text(info, "current_fork_perc", "0.00");
    roan_info_text(info, "current_save_keys_processed", "0");
    roan_info_text(info, "current_save_keys_total", "0");
    roan_info_count(info, "rdb_changes_since_last_save", changes_since_save(info->engine));
    roan_info_text(info, "rdb_bgsave_in_progress", "0");
    roan_info_number(info, "rdb_last_save_time", info->engine->started_ms / 1000);
    roan_info_text(info, "rdb_last_bgsave_status", "ok");
    roan_info_text(info, "rdb_last_bgsave_time_sec", "-1");
    roan_info_text(info, "rdb_current_bgsave_time_sec", "-1");
    roan_info_text(info, "rdb_saves", "0");
    roan_info_text(info, "rdb_last_cow_size", "0");
    roan_info_text(info, "rdb_last_load_keys_expired", "0");
    roan_info_text(info, "rdb_last_load_keys_loaded", "0");
    roan_info_text(info, "aof_enabled", "0");
    roan_info_text(info, "aof_rewrite_in_progress", "0");
    roan_info_text(info, "aof_rewrite_scheduled", "0");
    roan_info_text(info, "aof_last_rewrite_time_sec", "-1");
    roan_info_text(info, "aof_current_rewrite_time_sec", "-1");
    roan_info_text(info, "aof_last_bgrewrite_status", "ok");
    roan_info_text(info, "aof_rewrites", "0");
    roan_info_text(info, "aof_rewrites_consecutive_failures", "0");
    roan_info_text(info, "aof_last_write_status", "ok");
    roan_info_text(info, "aof_last_cow_size", "0");
    roan_info_text(info, "module_fork_in_progress", "0");
    roan_info_text(info, "module_fork_last_cow_size", "0");
    roan_info_text(info, "slot_migration_fork_in_progress", "0");
}

/* ---- the rest ---- */

void roan_info_replication(const roan_info *info)
{
    roan_info_text(info, "role", "master");
    roan_info_text(info, "connected_slaves", "0");
    roan_info_text(info, "replicas_waiting_psync", "0");
    roan_info_text(info, "master_failover_state", "no-failover");
    roan_info_text(info, "master_replid", info->engine->replication_id);
    roan_info_text(info, "master_replid2", "0000000000000000000000000000000000000000");
    roan_info_text(info, "master_repl_offset", "0");
    roan_info_text(info, "second_repl_offset", "-1");
    roan_info_text(info, "repl_backlog_active", "0");
    roan_info_count(info, "repl_backlog_size", info->config->repl_backlog_size);
    roan_info_text(info, "repl_backlog_first_byte_offset", "0");
    roan_info_text(info, "repl_backlog_histlen", "0");
}

void roan_info_cpu(const roan_info *info)
{
    roan_info_seconds(info, "used_cpu_sys", info->host.cpu_system);
    roan_info_seconds(info, "used_cpu_user", info->host.cpu_user);
    roan_info_seconds(info, "used_cpu_sys_children", info->host.cpu_system_children);
    roan_info_seconds(info, "used_cpu_user_children", info->host.cpu_user_children);
    roan_info_seconds(info, "used_cpu_sys_main_thread", info->host.cpu_system_main);
    roan_info_seconds(info, "used_cpu_user_main_thread", info->host.cpu_user_main);
    roan_info_seconds(info, "used_active_time_main_thread", (double)info->engine->lanes[0].stats->loop_ns / 1e9);
}

void roan_info_cluster(const roan_info *info)
{
    roan_info_text(info, "cluster_enabled", "0");
}
