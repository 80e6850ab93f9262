/* engine/logs.h: the three command logs (slow, large request, large reply) and the latency monitor's event series.
 *
 * Shared by all lanes under one small mutex: an entry is made only when a threshold is crossed. A command log keeps the
 * newest `commandlog-*-max-len` entries; an event series keeps one sample a second, the newest 160 of them.
 */
#pragma once

#include "engine/call.h"

typedef struct roan_logs roan_logs;

roan_logs *roan_logs_create(void);
void roan_logs_free(roan_logs *logs);

/* Looks at a finished call and logs it where a threshold of the configuration says so. Any lane. */
void roan_logs_note_slowly(roan_call *call, uint64_t ns, size_t request_bytes, size_t reply_bytes);

/* Adds a sample to an event's series ("command", "expire-cycle", "eviction-cycle", ...) if latency-monitor-threshold is
 * set and reached. Any lane. */
void roan_latency_note(roan_engine *engine, const char *event, int64_t wall_ms, uint64_t us);

/* The quick test in front of roan_logs_note_slowly. */
static inline void roan_logs_note(roan_call *call, uint64_t ns, size_t request_bytes, size_t reply_bytes)
{
    const roan_config *config = &call->engine->config;
    const int64_t *threshold = config->commandlog_threshold;
    if (ROAN_UNLIKELY(
            (threshold[ROAN_COMMANDLOG_SLOW] >= 0 && ns >= (uint64_t)threshold[ROAN_COMMANDLOG_SLOW] * 1000) ||
            (threshold[ROAN_COMMANDLOG_LARGE_REQUEST] >= 0 &&
             request_bytes >= (uint64_t)threshold[ROAN_COMMANDLOG_LARGE_REQUEST]) ||
            (threshold[ROAN_COMMANDLOG_LARGE_REPLY] >= 0 &&
             reply_bytes >= (uint64_t)threshold[ROAN_COMMANDLOG_LARGE_REPLY]) ||
            (config->latency_monitor_threshold_ms > 0 &&
             ns >= (uint64_t)config->latency_monitor_threshold_ms * 1000000)))
        roan_logs_note_slowly(call, ns, request_bytes, reply_bytes);
}

/* ---- reading the command logs ---- */

#define ROAN_LOG_WORDS_MAX 32       /* words of a command that an entry keeps */
#define ROAN_LOG_WORD_BYTES_MAX 128 /* bytes of a word */

/* One logged command. Words that were cut off are told by a last word like "... (3 more arguments)", the rest of a long
 * word by "... (12 more bytes)" behind its beginning. */
typedef struct roan_log_entry {
    uint64_t id;         /* per log, from 0 */
    int64_t time_s;      /* when it ended */
    uint64_t value;      /* microseconds or bytes */
    size_t argc;
    const roan_slice *argv;
    roan_slice peer, name; /* of the client */
} roan_log_entry;

typedef void (*roan_log_visit_fn)(const roan_log_entry *entry, void *context);

/* Visits at most `max` entries of a log (ROAN_COMMANDLOG_*), newest first, under the mutex; returns how many there are
 * to visit. `visit` may be NULL. */
size_t roan_logs_visit(roan_logs *logs, unsigned log, size_t max, roan_log_visit_fn visit, void *context);

void roan_logs_clear(roan_logs *logs, unsigned log);

/* ---- reading the event series ---- */

#define ROAN_LATENCY_SAMPLES_MAX 160

typedef struct roan_latency_sample {
    int64_t time_s;
    uint64_t ms;
} roan_latency_sample;

typedef struct roan_latency_event roan_latency_event;
struct roan_latency_event {
    roan_latency_event *next;
    char name[32];
    uint64_t max_ms, sum_ms, count; /* of everything since the last reset */
    size_t sample_count;
    size_t newest;                  /* place of the newest sample, when there is one */
    roan_latency_sample samples[ROAN_LATENCY_SAMPLES_MAX];
};

/* The sample that is `index` places younger than the oldest one kept. */
static inline const roan_latency_sample *roan_latency_sample_at(const roan_latency_event *event, size_t index)
{
    size_t oldest = event->newest + 1 + ROAN_LATENCY_SAMPLES_MAX - event->sample_count;
    return &event->samples[(oldest + index) % ROAN_LATENCY_SAMPLES_MAX];
}

/* The events with samples, oldest event first, or the one with that name, or NULL. The gate is shut. */
const roan_latency_event *roan_latency_first(const roan_logs *logs);
const roan_latency_event *roan_latency_find(const roan_logs *logs, roan_slice name);

/* Forgets the event of that name (NULL data: all events); returns how many were forgotten. The gate is shut. */
size_t roan_latency_forget(roan_logs *logs, roan_slice name);
