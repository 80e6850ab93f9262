/* engine/cmd/info_sections.h: what INFO's sections are made of.
 *
 * A section is a function that writes its fields, one line of code per field: name, kind of value, value. To add a
 * field, add a line. Values come from roan_info, which is collected once per INFO with the gate shut.
 */
#pragma once

#include "engine/call.h"
#include "engine/info.h"
#include "engine/stats.h"

typedef struct roan_info {
    const roan_call *call;
    roan_engine *engine;
    const roan_config *config;
    roan_stats *stats;      /* sum of all lanes */
    roan_host_info host;
    roan_client_info clients;
    size_t used;            /* memory before any of this was collected */
    roan_buffer *out;
} roan_info;

typedef void roan_info_section(const roan_info *info);

/* info_server.c */
roan_info_section roan_info_server, roan_info_clients, roan_info_memory, roan_info_persistence, roan_info_replication,
    roan_info_cpu, roan_info_cluster;

/* info_stats.c */
roan_info_section roan_info_stats, roan_info_commandstats, roan_info_errorstats, roan_info_latencystats,
    roan_info_keyspace, roan_info_debug;

/* Field writers, by kind of value. */
static inline void roan_info_text(const roan_info *info, const char *name, const char *value)
{
    roan_buffer_printf(info->out, "%s:%s\r\n", name, value);
}

static inline void roan_info_number(const roan_info *info, const char *name, int64_t value)
{
    roan_buffer_printf(info->out, "%s:%lld\r\n", name, (long long)value);
}

static inline void roan_info_count(const roan_info *info, const char *name, uint64_t value)
{
    roan_buffer_printf(info->out, "%s:%llu\r\n", name, (unsigned long long)value);
}

/* 1048576 as "1.00M" */
static inline void roan_info_human(const roan_info *info, const char *name, size_t bytes)
{
    char text[ROAN_HUMAN_TEXT_MAX];
    roan_format_human(text, bytes);
    roan_info_text(info, name, text);
}

static inline void roan_info_ratio(const roan_info *info, const char *name, double value)
{
    roan_buffer_printf(info->out, "%s:%.2f\r\n", name, value);
}

static inline void roan_info_percent(const roan_info *info, const char *name, double ratio)
{
    roan_buffer_printf(info->out, "%s:%.2f%%\r\n", name, ratio * 100);
}

static inline void roan_info_seconds(const roan_info *info, const char *name, double value)
{
    roan_buffer_printf(info->out, "%s:%.6f\r\n", name, value);
}
