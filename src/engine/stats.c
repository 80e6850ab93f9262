/* engine/stats.c: counting calls, errors and latencies per lane, and adding lanes up. */
#include "engine/stats.h"

#include "base/alloc.h"
#include "engine/info.h"

#include <math.h>

#define LATENCY_NS_MIN 1024u /* below: first bucket */

roan_stats *roan_stats_create(void)
{
    roan_stats *stats = roan_alloc_zero(sizeof *stats);
    stats->commands_by_id = roan_alloc_zero(roan_command_index_count * sizeof *stats->commands_by_id);
    stats->errors = roan_alloc_zero(ROAN_ERROR_STATS_MAX * sizeof *stats->errors);
    return stats;
}

static void free_latencies(roan_stats *stats)
{
    for (unsigned i = 0; i < roan_command_index_count; i++)
        roan_free(stats->commands_by_id[i].latency, sizeof *stats->commands_by_id[i].latency);
}

void roan_stats_free(roan_stats *stats)
{
    if (stats == NULL)
        return;
    free_latencies(stats);
    roan_free(stats->commands_by_id, roan_command_index_count * sizeof *stats->commands_by_id);
    roan_free(stats->errors, ROAN_ERROR_STATS_MAX * sizeof *stats->errors);
    roan_free(stats, sizeof *stats);
}

void roan_stats_clear(roan_stats *stats)
{
    free_latencies(stats);
    roan_command_stats *commands = stats->commands_by_id;
    roan_error_stat *errors = stats->errors;
    memset(commands, 0, roan_command_index_count * sizeof *commands);
    memset(errors, 0, ROAN_ERROR_STATS_MAX * sizeof *errors);
    *stats = (roan_stats){.commands_by_id = commands,
                          .errors = errors,
                          .acl_denied_auth = stats->acl_denied_auth, /* these stay, as in the reference */
                          .acl_denied_cmd = stats->acl_denied_cmd,
                          .acl_denied_key = stats->acl_denied_key,
                          .acl_denied_channel = stats->acl_denied_channel,
                          .acl_denied_db = stats->acl_denied_db};
}

void roan_stats_record_loop(roan_stats *stats, uint64_t ns, uint64_t commands_before)
{
    uint64_t commands = stats->commands >= commands_before ? stats->commands - commands_before : 0;
    stats->loops++;
    stats->loop_ns += ns;
    stats->loop_ns_max = ROAN_MAX(stats->loop_ns_max, ns);
    stats->loop_commands_max = ROAN_MAX(stats->loop_commands_max, commands);
}

void roan_stats_sample_rates(roan_stats *stats, int64_t now_us)
{
    roan_rates *rates = &stats->rates;
    int64_t passed_us = now_us - rates->sampled_us;
    if (passed_us >= 0 && passed_us < ROAN_RATE_PERIOD_US)
        return;
#define CURRENT(name) stats->name,
    const uint64_t current[ROAN_RATE_COUNT] = {ROAN_RATE_LIST(CURRENT)};
#undef CURRENT
    for (unsigned i = 0; i < ROAN_RATE_COUNT; i++) {
        if (rates->sampled_us != 0 && passed_us > 0)
            rates->per_second[i][rates->next] = (double)(current[i] - rates->sampled[i]) * 1e6 / (double)passed_us;
        rates->sampled[i] = current[i];
    }
    if (rates->sampled_us != 0)
        rates->next = (rates->next + 1) % ROAN_RATE_SAMPLES;
    rates->sampled_us = now_us;
}

double roan_stats_rate(const roan_stats *stats, unsigned rate)
{
    double sum = 0;
    for (unsigned i = 0; i < ROAN_RATE_SAMPLES; i++)
        sum += stats->rates.per_second[rate][i];
    return sum / ROAN_RATE_SAMPLES;
}

void roan_stats_reset(roan_engine *engine)
{
    for (unsigned i = 0; i < engine->lane_count; i++)
        roan_stats_clear(engine->lanes[i].stats);
    roan_host_info host;
    roan_info_read_host(engine, &host);
    engine->lazy_freed_before = host.lazy_freed;
}

static unsigned latency_bucket(uint64_t ns)
{
    if (ns < LATENCY_NS_MIN)
        return 0;
    unsigned top = 63 - (unsigned)__builtin_clzll(ns); /* at least 10 */
    unsigned bucket = (top - 10) * ROAN_LATENCY_STEPS + (unsigned)(ns >> (top - 4) & (ROAN_LATENCY_STEPS - 1));
    return ROAN_MIN(bucket, ROAN_LATENCY_BUCKETS - 1u);
}

/* The largest value that falls into the bucket. */
static uint64_t bucket_top_ns(unsigned bucket)
{
    unsigned top = bucket / ROAN_LATENCY_STEPS + 10;
    uint64_t step = UINT64_C(1) << (top - 4);
    return (UINT64_C(1) << top) + step * (bucket % ROAN_LATENCY_STEPS + 1) - 1;
}

void roan_stats_record_call(roan_stats *stats, unsigned command_id, uint64_t ns, bool track_latency)
{
    roan_command_stats *command = &stats->commands_by_id[command_id];
    command->calls++;
    command->ns += ns;
    if (!track_latency)
        return;
    if (ROAN_UNLIKELY(command->latency == NULL))
        command->latency = roan_alloc_zero(sizeof *command->latency);
    command->latency->count++;
    command->latency->buckets[latency_bucket(ns)]++;
}

static roan_error_stat *find_error(roan_stats *stats, roan_slice name)
{
    for (size_t i = 0; i < stats->error_count; i++)
        if (strlen(stats->errors[i].name) == name.bytes && memcmp(stats->errors[i].name, name.data, name.bytes) == 0)
            return &stats->errors[i];
    if (stats->error_count == ROAN_ERROR_STATS_MAX)
        return NULL;
    roan_error_stat *error = &stats->errors[stats->error_count++];
    memcpy(error->name, name.data, name.bytes);
    return error;
}

void roan_stats_record_error(roan_stats *stats, roan_slice text)
{
    const char *space = text.bytes > 0 ? memchr(text.data, ' ', text.bytes) : NULL;
    size_t bytes = space != NULL ? (size_t)(space - text.data) : text.bytes;
    roan_error_stat *error =
        find_error(stats, roan_slice_make(text.data, ROAN_MIN(bytes, sizeof stats->errors->name - 1)));
    if (error != NULL)
        error->count++;
    stats->error_replies++;
}

static void add_commands(roan_stats *sum, const roan_stats *lane)
{
    for (unsigned i = 0; i < roan_command_index_count; i++) {
        roan_command_stats *to = &sum->commands_by_id[i];
        const roan_command_stats *from = &lane->commands_by_id[i];
        to->calls += from->calls;
        to->ns += from->ns;
        to->rejected += from->rejected;
        to->failed += from->failed;
        if (from->latency == NULL)
            continue;
        if (to->latency == NULL)
            to->latency = roan_alloc_zero(sizeof *to->latency);
        to->latency->count += from->latency->count;
        for (unsigned j = 0; j < ROAN_LATENCY_BUCKETS; j++)
            to->latency->buckets[j] += from->latency->buckets[j];
    }
}

static void add_rates(roan_stats *sum, const roan_stats *lane)
{
    for (unsigned i = 0; i < ROAN_RATE_COUNT; i++)
        for (unsigned j = 0; j < ROAN_RATE_SAMPLES; j++)
            sum->rates.per_second[i][j] += lane->rates.per_second[i][j];
}

roan_stats *roan_stats_sum(const roan_engine *engine)
{
    roan_stats *sum = roan_stats_create();
    for (unsigned i = 0; i < engine->lane_count; i++) {
        const roan_stats *lane = engine->lanes[i].stats;
#define ADD_COUNTER(name) sum->name += lane->name;
        ROAN_COUNTER_LIST(ADD_COUNTER)
#undef ADD_COUNTER
        add_commands(sum, lane);
        add_rates(sum, lane);
        sum->loop_ns_max = ROAN_MAX(sum->loop_ns_max, lane->loop_ns_max);
        sum->loop_commands_max = ROAN_MAX(sum->loop_commands_max, lane->loop_commands_max);
        for (size_t j = 0; j < lane->error_count; j++) {
            roan_error_stat *error = find_error(sum, roan_slice_from_text(lane->errors[j].name));
            if (error != NULL)
                error->count += lane->errors[j].count;
        }
    }
    return sum;
}

uint64_t roan_latency_percentile(const roan_latency_histogram *histogram, double percent)
{
    uint64_t wanted = (uint64_t)ceil((double)histogram->count * percent / 100), seen = 0;
    wanted = wanted == 0 ? 1 : wanted;
    for (unsigned i = 0; i < ROAN_LATENCY_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= wanted)
            return bucket_top_ns(i);
    }
    return 0;
}

uint64_t roan_latency_count_up_to(const roan_latency_histogram *histogram, uint64_t ns)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < ROAN_LATENCY_BUCKETS && bucket_top_ns(i) <= ns; i++)
        seen += histogram->buckets[i];
    return seen;
}
