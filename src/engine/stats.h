/* engine/stats.h: what a lane counts. Plain numbers, written by one thread, added up with the gate shut. */
#pragma once

#include "engine/command.h"
#include "roan/base.h"

#include <stdbool.h>

typedef struct roan_engine roan_engine;
typedef struct roan_lane roan_lane;

/* Log-linear latency histogram: 16 steps per doubling from 1 microsecond to 1 second and more, in nanoseconds. */
#define ROAN_LATENCY_STEPS 16
#define ROAN_LATENCY_BUCKETS (27 * ROAN_LATENCY_STEPS)

typedef struct roan_latency_histogram {
    uint64_t count;
    uint64_t buckets[ROAN_LATENCY_BUCKETS];
} roan_latency_histogram;

typedef struct roan_command_stats {
    uint64_t calls;
    uint64_t ns;       /* time in calls */
    uint64_t rejected; /* refused before execution */
    uint64_t failed;   /* executed, answered with an error */
    roan_latency_histogram *latency; /* created at the first call while latency-tracking is on */
} roan_command_stats;

/* The counters of a lane: name. Each is a uint64_t of roan_stats and a sum of roan_stats_sum. */
#define ROAN_COUNTER_LIST(X)                                                                             \
    X(commands) X(connections) X(rejected_connections) X(bytes_in) X(bytes_out) X(hits) X(misses)        \
    X(expired) X(expired_time_cap) X(expire_cycle_ns) X(evicted) X(evicted_clients) X(evicted_scripts)   \
    X(expired_fields)                                                                                    \
    X(eviction_ns) X(error_replies) X(unexpected_errors) X(client_query_limit_disconnections)            \
    X(client_output_limit_disconnections) X(reads) X(writes) X(parked) X(gate_shut) X(loops) X(loop_ns)  \
    X(cron_ns)                                                                                           \
    X(lazy_freed) X(acl_denied_auth) X(acl_denied_cmd) X(acl_denied_key) X(acl_denied_channel)                   \
    X(acl_denied_db) X(keys_created)

typedef struct roan_error_stat {
    char name[64];
    uint64_t count;
} roan_error_stat;

#define ROAN_ERROR_STATS_MAX 128

/* Speeds of the last second and a half or so, from samples that the lane's cron takes. */
#define ROAN_RATE_SAMPLES 16
#define ROAN_RATE_PERIOD_US 100000
#define ROAN_RATE_LIST(X) X(commands) X(bytes_in) X(bytes_out) X(loops) X(loop_ns)
enum {
#define ROAN_RATE_ENUM(name) ROAN_RATE_##name,
    ROAN_RATE_LIST(ROAN_RATE_ENUM) ROAN_RATE_COUNT
#undef ROAN_RATE_ENUM
};

typedef struct roan_rates {
    int64_t sampled_us;                                 /* when; 0: not yet */
    uint64_t sampled[ROAN_RATE_COUNT];                  /* the counters then */
    double per_second[ROAN_RATE_COUNT][ROAN_RATE_SAMPLES];
    unsigned next;
} roan_rates;

struct roan_stats {
#define ROAN_COUNTER_FIELD(name) uint64_t name;
    ROAN_COUNTER_LIST(ROAN_COUNTER_FIELD)
#undef ROAN_COUNTER_FIELD
    roan_command_stats *commands_by_id; /* roan_command_index_count of them */
    roan_error_stat *errors;            /* by error code: "ERR", "WRONGTYPE" */
    size_t error_count;
    roan_rates rates;
    uint64_t loop_ns_max, loop_commands_max; /* longest round, most commands in one */
};

typedef struct roan_stats roan_stats;

roan_stats *roan_stats_create(void);
void roan_stats_free(roan_stats *stats);
/* All zero again. */
void roan_stats_clear(roan_stats *stats);
/* CONFIG RESETSTAT: the counters of all lanes. The gate is shut. */
void roan_stats_reset(roan_engine *engine);

void roan_stats_record_call(roan_stats *stats, unsigned command_id, uint64_t ns, bool track_latency);
/* Counts an error reply by its first word. */
void roan_stats_record_error(roan_stats *stats, roan_slice text);

/* A round of the lane's loop is over that began when `commands_before` commands had been executed. */
void roan_stats_record_loop(roan_stats *stats, uint64_t ns, uint64_t commands_before);

/* Takes a sample of the lane's speeds if it is time for one. */
void roan_stats_sample_rates(roan_stats *stats, int64_t now_us);
/* The average of the samples (of one lane, or of a sum). */
double roan_stats_rate(const roan_stats *stats, unsigned rate);

/* The sum over all lanes; the gate is shut. Free `commands_by_id` and `errors` with roan_stats_free. */
roan_stats *roan_stats_sum(const roan_engine *engine);

/* The value below which `percent` of the recorded calls lie, in nanoseconds. */
uint64_t roan_latency_percentile(const roan_latency_histogram *histogram, double percent);
/* Calls of at most 2^i microseconds, cumulative, for LATENCY HISTOGRAM. */
uint64_t roan_latency_count_up_to(const roan_latency_histogram *histogram, uint64_t ns);
