/* engine/info.h: the numbers behind INFO, MEMORY and their relatives, collected with the gate shut. */
#pragma once

#include "engine/engine.h"

/* What only the host knows. Texts are borrowed from it. */
typedef struct roan_host_info {
    const char *executable, *config_file; /* absolute paths; "" for none */
    const char *io;                       /* "io_uring" or "epoll" */
    char os[256];                         /* name, release and machine */
    int tcp_port;
    int64_t process_id;
    size_t rss_bytes, rss_peak_bytes, system_bytes;
    double cpu_system, cpu_user, cpu_system_children, cpu_user_children; /* seconds */
    double cpu_system_main, cpu_user_main;                              /* of the calling thread */
    size_t lazy_free_pending, lazy_freed;
} roan_host_info;

/* All zero and "" when there is no host that tells. */
void roan_info_read_host(const roan_engine *engine, roan_host_info *ret_info);

typedef struct roan_client_info {
    size_t count, blocked, with_deadline, monitors;
    size_t subscribed;            /* to channels or patterns */
    size_t watching;              /* watch keys, and none of these was touched */
    size_t normal_bytes;          /* memory of their connections */
    size_t input_max, output_max; /* largest buffers now */
} roan_client_info;

void roan_info_read_clients(roan_engine *engine, roan_client_info *ret_info);

/* Who has the memory, in bytes. used = overhead + dataset; what the system sees more (rss) is explained by
 * allocated -> active (free places in pages) -> resident (free pages kept for later) -> rss (code, stacks). */
typedef struct roan_memory_info {
    size_t used, peak, startup;
    size_t tables;    /* slots of the key tables */
    size_t pages;     /* heads and ends of the pages of small entries */
    size_t idle;      /* free places in these pages: not in `used` */
    size_t clients;
    size_t overhead;  /* startup, tables, pages, clients */
    size_t dataset;
    size_t rss;
    size_t allocated, active, resident, muzzy; /* as the allocator says */
    uint64_t keys;
} roan_memory_info;

/* `used`: roan_alloc_used_bytes() from before the caller began to collect things, which takes memory, too. */
void roan_info_read_memory(roan_engine *engine, const roan_host_info *host, size_t used, roan_memory_info *ret_info);

/* The average time to live of the database's expiring keys in milliseconds, estimated; 0 without any. */
int64_t roan_info_average_ttl(roan_lane *lane, const roan_db *db);

/* a / b, or 0 without a b. */
static inline double roan_ratio(size_t a, size_t b)
{
    return b == 0 ? 0 : (double)a / (double)b;
}

/* 1.50M: in the largest unit of 1024 that leaves at least one, with two digits; plain bytes as 12B. */
#define ROAN_HUMAN_TEXT_MAX 32
void roan_format_human(char out[ROAN_HUMAN_TEXT_MAX], size_t bytes);
