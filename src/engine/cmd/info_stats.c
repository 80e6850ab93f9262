/* engine/cmd/info_stats.c: INFO's sections made of counters: totals, per command, per error, latencies, databases. */
#include "engine/cmd/info_sections.h"

#include "base/macros.h"
#include "engine/broadcast.h"
#include "engine/topics.h"

#include <stdlib.h>
#include <string.h>

/* ---- stats ---- */

static void write_traffic(const roan_info *info)
{
    const roan_stats *stats = info->stats;
    roan_info_count(info, "total_connections_received", stats->connections);
    roan_info_count(info, "total_commands_processed", stats->commands);
    roan_info_count(info, "instantaneous_ops_per_sec", (uint64_t)roan_stats_rate(stats, ROAN_RATE_commands));
    roan_info_count(info, "total_net_input_bytes", stats->bytes_in);
    roan_info_count(info, "total_net_output_bytes", stats->bytes_out);
    roan_info_text(info, "total_net_repl_input_bytes", "0");
    roan_info_text(info, "total_net_repl_output_bytes", "0");
    roan_info_text(info, "total_net_cluster_slot_import_bytes", "0");
    roan_info_text(info, "total_net_cluster_slot_export_bytes", "0");
    roan_info_ratio(info, "instantaneous_input_kbps", roan_stats_rate(stats, ROAN_RATE_bytes_in) / 1024);
    roan_info_ratio(info, "instantaneous_output_kbps", roan_stats_rate(stats, ROAN_RATE_bytes_out) / 1024);
    roan_info_text(info, "instantaneous_input_repl_kbps", "0.00");
    roan_info_text(info, "instantaneous_output_repl_kbps", "0.00");
    roan_info_count(info, "rejected_connections", stats->rejected_connections);
}

static void write_expired_and_evicted(const roan_info *info)
{
    const roan_stats *stats = info->stats;
    roan_info_count(info, "expired_keys", stats->expired);
    roan_info_count(info, "expired_fields", stats->expired_fields);
    roan_info_text(info, "expired_stale_perc", "0.00"); /* what is due is known exactly and not estimated */
    roan_info_text(info, "expired_keys_with_volatile_items_stale_perc", "0.00");
    roan_info_count(info, "expired_time_cap_reached_count", stats->expired_time_cap);
    roan_info_count(info, "expire_cycle_cpu_milliseconds", stats->expire_cycle_ns / 1000000);
    roan_info_count(info, "evicted_keys", stats->evicted);
    roan_info_count(info, "evicted_clients", stats->evicted_clients);
    roan_info_count(info, "evicted_scripts", stats->evicted_scripts);
    roan_info_count(info, "total_eviction_exceeded_time", stats->eviction_ns / 1000000);
    roan_info_text(info, "current_eviction_exceeded_time", "0");
    roan_info_count(info, "keyspace_hits", stats->hits);
    roan_info_count(info, "keyspace_misses", stats->misses);
}

static void write_topics(const roan_info *info)
{
    roan_topics *topics = info->engine->topics;
    roan_info_count(info, "pubsub_channels", roan_topics_count(topics, ROAN_TOPIC_CHANNEL));
    roan_info_count(info, "pubsub_patterns", roan_topics_count(topics, ROAN_TOPIC_PATTERN));
    roan_info_count(info, "pubsubshard_channels", roan_topics_count(topics, ROAN_TOPIC_SHARD_CHANNEL));
}

static void write_absent_features(const roan_info *info)
{
    static const char *const names[] = {
        "latest_fork_usec", "total_forks",
        "migrate_cached_sockets", "slave_expires_tracked_keys", "active_defrag_hits", "active_defrag_misses",
        "active_defrag_key_hits", "active_defrag_key_misses", "total_active_defrag_time", "current_active_defrag_time",
    };
    for (size_t i = 0; i < ROAN_COUNT_OF(names); i++)
        roan_info_text(info, names[i], "0");
}

static void write_tracking(const roan_info *info)
{
    const roan_engine *engine = info->engine;
    roan_info_count(info, "tracking_total_keys", atomic_load_explicit(&engine->tracked_keys, memory_order_relaxed));
    roan_info_count(info, "tracking_total_items", roan_tracking_items(engine));
    roan_info_count(info, "tracking_total_prefixes", roan_broadcast_count(engine));
}

static void write_errors_and_io(const roan_info *info)
{
    const roan_stats *stats = info->stats;
    roan_info_count(info, "unexpected_error_replies", stats->unexpected_errors);
    roan_info_count(info, "total_error_replies", stats->error_replies);
    roan_info_text(info, "dump_payload_sanitizations", "0");
    roan_info_count(info, "total_reads_processed", stats->reads);
    roan_info_count(info, "total_writes_processed", stats->writes);
    roan_info_text(info, "io_threaded_reads_processed", "0");
    roan_info_text(info, "io_threaded_writes_processed", "0");
    roan_info_text(info, "io_threaded_freed_objects", "0");
    roan_info_text(info, "io_threaded_accept_processed", "0");
    roan_info_text(info, "io_threaded_poll_processed", "0");
    roan_info_text(info, "io_threaded_total_prefetch_batches", "0");
    roan_info_text(info, "io_threaded_total_prefetch_entries", "0");
    roan_info_count(info, "client_query_buffer_limit_disconnections", stats->client_query_limit_disconnections);
    roan_info_count(info, "client_output_buffer_limit_disconnections", stats->client_output_limit_disconnections);
    roan_info_text(info, "reply_buffer_shrinks", "0");
    roan_info_text(info, "reply_buffer_expands", "0");
}

static void write_loops(const roan_info *info)
{
    const roan_stats *stats = info->stats;
    uint64_t command_ns = 0;
    for (unsigned i = 0; i < roan_command_index_count; i++)
        command_ns += stats->commands_by_id[i].ns;
    double loops_per_second = roan_stats_rate(stats, ROAN_RATE_loops);
    double ns_per_second = roan_stats_rate(stats, ROAN_RATE_loop_ns);
    roan_info_count(info, "eventloop_cycles", stats->loops);
    roan_info_count(info, "eventloop_duration_sum", stats->loop_ns / 1000);
    roan_info_count(info, "eventloop_duration_cmd_sum", command_ns / 1000);
    roan_info_count(info, "instantaneous_eventloop_cycles_per_sec", (uint64_t)loops_per_second);
    roan_info_count(info, "instantaneous_eventloop_duration_usec",
                    loops_per_second > 0 ? (uint64_t)(ns_per_second / loops_per_second / 1000) : 0);
}

void roan_info_stats(const roan_info *info)
{
    write_traffic(info);
    roan_info_text(info, "sync_full", "0");
    roan_info_text(info, "sync_partial_ok", "0");
    roan_info_text(info, "sync_partial_err", "0");
    write_expired_and_evicted(info);
    write_topics(info);
    write_absent_features(info);
    write_tracking(info);
    write_errors_and_io(info);
    write_loops(info);
    roan_info_count(info, "acl_access_denied_auth", info->stats->acl_denied_auth);
    roan_info_count(info, "acl_access_denied_cmd", info->stats->acl_denied_cmd);
    roan_info_count(info, "acl_access_denied_key", info->stats->acl_denied_key);
    roan_info_count(info, "acl_access_denied_channel", info->stats->acl_denied_channel);
    roan_info_text(info, "acl_access_denied_tls_cert", "0");
    roan_info_count(info, "acl_access_denied_db", info->stats->acl_denied_db);
    roan_info_count(info, "gate_closings", info->stats->gate_shut);
    roan_info_count(info, "parked_commands", info->stats->parked);
}

/* ---- per command ---- */

void roan_info_commandstats(const roan_info *info)
{
    for (unsigned i = 0; i < roan_command_index_count; i++) {
        const roan_command_stats *stats = &info->stats->commands_by_id[i];
        if (stats->calls == 0 && stats->rejected == 0 && stats->failed == 0)
            continue;
        uint64_t us = stats->ns / 1000;
        roan_buffer_printf(
            info->out, "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call=%.2f,rejected_calls=%llu,failed_calls=%llu\r\n",
            roan_command_index[i]->name, (unsigned long long)stats->calls, (unsigned long long)us,
            stats->calls == 0 ? 0 : (double)us / (double)stats->calls, (unsigned long long)stats->rejected,
            (unsigned long long)stats->failed);
    }
}

static void write_percentiles(const roan_info *info, const roan_command *command,
                              const roan_latency_histogram *histogram)
{
    roan_buffer_printf(info->out, "latency_percentiles_usec_%s:", command->name);
    const char *separator = "", *at = info->config->latency_tracking_percentiles;
    for (char *end; *at != '\0'; at = end) {
        double percent = strtod(at, &end);
        if (end == at)
            break;
        int bytes = (int)strcspn(at + strspn(at, " "), " ");
        roan_buffer_printf(info->out, "%sp%.*s=%.3f", separator, bytes, at + strspn(at, " "),
                           (double)roan_latency_percentile(histogram, percent) / 1000);
        separator = ",";
    }
    roan_buffer_append_text(info->out, "\r\n");
}

void roan_info_latencystats(const roan_info *info)
{
    for (unsigned i = 0; i < roan_command_index_count; i++) {
        const roan_latency_histogram *histogram = info->stats->commands_by_id[i].latency;
        if (histogram != NULL && histogram->count > 0)
            write_percentiles(info, roan_command_index[i], histogram);
    }
}

/* ---- per error ---- */

static int compare_errors(const void *a, const void *b)
{
    return strcmp(((const roan_error_stat *)a)->name, ((const roan_error_stat *)b)->name);
}

void roan_info_errorstats(const roan_info *info)
{
    roan_error_stat *errors = info->stats->errors;
    qsort(errors, info->stats->error_count, sizeof *errors, compare_errors);
    for (size_t i = 0; i < info->stats->error_count; i++)
        roan_buffer_printf(info->out, "errorstat_%s:count=%llu\r\n", errors[i].name,
                           (unsigned long long)errors[i].count);
}

/* ---- for developers ---- */

void roan_info_debug(const roan_info *info)
{
    roan_info_text(info, "eventloop_duration_aof_sum", "0");
    roan_info_count(info, "eventloop_duration_cron_sum", info->stats->cron_ns / 1000);
    roan_info_count(info, "eventloop_duration_max", info->stats->loop_ns_max / 1000);
    roan_info_count(info, "eventloop_cmd_per_cycle_max", info->stats->loop_commands_max);
}

/* ---- per database ---- */

void roan_info_keyspace(const roan_info *info)
{
    for (int64_t i = 0; i < info->config->databases; i++) {
        const roan_db *db = roan_engine_db_if_used(info->engine, (unsigned)i);
        uint64_t keys = db == NULL ? 0 : roan_db_count(info->engine, db);
        if (keys == 0)
            continue;
        roan_buffer_printf(info->out, "db%lld:keys=%llu,expires=%llu,avg_ttl=%lld,keys_with_volatile_items=0\r\n",
                           (long long)i, (unsigned long long)keys,
                           (unsigned long long)roan_db_expiring_count(info->engine, db),
                           (long long)roan_info_average_ttl(info->call->lane, db));
    }
}
