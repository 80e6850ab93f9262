/* engine/logs.c: command logs and latency series under one mutex.
 *
 * A command log is a list, newest entry first. An entry is one allocation:
 *
 *     | log_node | word slices | bytes of all words | peer | name |
 *
 * A latency series is a ring with at most one sample a second: a second's worst. Sum and count cover all samples.
 */
#include "engine/logs.h"

#include "base/macros.h"
#include "base/number.h"

#include <stdio.h>

typedef struct log_node log_node;
struct log_node {
    log_node *older, *newer;
    size_t bytes; /* of the allocation */
    roan_log_entry entry;
};

typedef struct command_log {
    log_node *newest, *oldest;
    size_t count;
    uint64_t next_id;
} command_log;

struct roan_logs {
    pthread_mutex_t lock;
    command_log logs[ROAN_COMMANDLOG_COUNT];
    roan_latency_event *events;
};

roan_logs *roan_logs_create(void)
{
    roan_logs *logs = roan_alloc_zero(sizeof *logs);
    ROAN_ASSERT(pthread_mutex_init(&logs->lock, NULL) == 0);
    return logs;
}

void roan_logs_free(roan_logs *logs)
{
    for (unsigned i = 0; i < ROAN_COMMANDLOG_COUNT; i++)
        roan_logs_clear(logs, i);
    ROAN_IGNORE(roan_latency_forget(logs, roan_slice_make(NULL, 0))); /* nobody asks how many */
    pthread_mutex_destroy(&logs->lock);
    roan_free(logs, sizeof *logs);
}

/* ---- command logs ---- */

static void drop_oldest(command_log *log)
{
    log_node *node = log->oldest;
    log->oldest = node->newer;
    *(node->newer == NULL ? &log->newest : &node->newer->older) = NULL;
    log->count--;
    roan_free(node, node->bytes);
}

/* The words of an entry as text: shortened copies one behind the other, and where each of them ends. */
typedef struct shown_words {
    roan_buffer text;
    size_t count;
    size_t ends[ROAN_LOG_WORDS_MAX];
} shown_words;

static void add_word(shown_words *words, roan_slice word)
{
    size_t kept = ROAN_MIN(word.bytes, (size_t)ROAN_LOG_WORD_BYTES_MAX);
    roan_buffer_append(&words->text, word.data, kept);
    if (kept < word.bytes)
        roan_buffer_printf(&words->text, "... (%zu more bytes)", word.bytes - kept);
    words->ends[words->count++] = words->text.bytes;
}

static void collect_words(const roan_call *call, shown_words *words)
{
    size_t kept = call->argc > ROAN_LOG_WORDS_MAX ? ROAN_LOG_WORDS_MAX - 1 : call->argc;
    for (size_t i = 0; i < kept; i++)
        add_word(words, roan_call_shown_argument(call, i));
    if (kept == call->argc)
        return;
    roan_buffer_printf(&words->text, "... (%zu more arguments)", call->argc - kept);
    words->ends[words->count++] = words->text.bytes;
}

/* A node that holds copies of everything; its id is set when it is added. */
static log_node *create_node(const roan_call *call, int64_t now_ms, uint64_t value)
{
    shown_words words = {0};
    roan_transport_info info = {0};
    if (call->session->ops->describe != NULL)
        call->session->ops->describe(call->session, &info);
    roan_slice peer = roan_slice_from_text(info.peer == NULL ? "" : info.peer);
    roan_slice name = roan_slice_from_text(call->session->name == NULL ? "" : call->session->name);
    collect_words(call, &words);
    size_t words_bytes = words.text.bytes;
    roan_buffer_append_slice(&words.text, peer);
    roan_buffer_append_slice(&words.text, name);

    size_t bytes = sizeof(log_node) + words.count * sizeof(roan_slice) + words.text.bytes;
    log_node *node = roan_alloc(bytes);
    roan_slice *argv = (roan_slice *)(node + 1);
    char *text = (char *)(argv + words.count);
    memcpy(text, words.text.data, words.text.bytes);
    for (size_t i = 0, start = 0; i < words.count; start = words.ends[i++])
        argv[i] = roan_slice_make(text + start, words.ends[i] - start);
    *node = (log_node){.bytes = bytes,
                       .entry = {.time_s = now_ms / 1000,
                                 .value = value,
                                 .argc = words.count,
                                 .argv = argv,
                                 .peer = roan_slice_make(text + words_bytes, peer.bytes),
                                 .name = roan_slice_make(text + words_bytes + peer.bytes, name.bytes)}};
    roan_buffer_done(&words.text);
    return node;
}

static void add_entry(roan_call *call, int64_t now_ms, unsigned index, uint64_t value)
{
    roan_logs *logs = call->engine->logs;
    command_log *log = &logs->logs[index];
    size_t length = (size_t)call->engine->config.commandlog_length[index];
    log_node *node = create_node(call, now_ms, value);
    pthread_mutex_lock(&logs->lock);
    node->entry.id = log->next_id++;
    node->older = log->newest;
    *(log->newest == NULL ? &log->oldest : &log->newest->newer) = node;
    log->newest = node;
    log->count++;
    while (log->count > length)
        drop_oldest(log);
    pthread_mutex_unlock(&logs->lock);
}

static void note(roan_call *call, int64_t now_ms, unsigned index, uint64_t value)
{
    int64_t threshold = call->engine->config.commandlog_threshold[index];
    if (threshold >= 0 && call->engine->config.commandlog_length[index] > 0 && value >= (uint64_t)threshold)
        add_entry(call, now_ms, index, value);
}

void roan_logs_note_slowly(roan_call *call, uint64_t ns, size_t request_bytes, size_t reply_bytes)
{
    if (call->command->flags & ROAN_CMD_SKIP_COMMANDLOG)
        return;
    int64_t now_ms = roan_clock_wall_us(call->engine->clock) / 1000; /* the call's own time is that of its start */
    note(call, now_ms, ROAN_COMMANDLOG_SLOW, ns / 1000);
    note(call, now_ms, ROAN_COMMANDLOG_LARGE_REQUEST, request_bytes);
    note(call, now_ms, ROAN_COMMANDLOG_LARGE_REPLY, reply_bytes);
    const char *event = call->command->flags & ROAN_CMD_FAST ? "fast-command" : "command";
    roan_latency_note(call->engine, event, now_ms, ns / 1000);
}

size_t roan_logs_visit(roan_logs *logs, unsigned log, size_t max, roan_log_visit_fn visit, void *context)
{
    pthread_mutex_lock(&logs->lock);
    size_t count = ROAN_MIN(logs->logs[log].count, max);
    const log_node *node = logs->logs[log].newest;
    for (size_t i = 0; visit != NULL && i < count; i++, node = node->older)
        visit(&node->entry, context);
    pthread_mutex_unlock(&logs->lock);
    return count;
}

void roan_logs_clear(roan_logs *logs, unsigned log)
{
    pthread_mutex_lock(&logs->lock);
    while (logs->logs[log].count > 0)
        drop_oldest(&logs->logs[log]);
    pthread_mutex_unlock(&logs->lock);
}

/* ---- latency series ---- */

static bool event_is(const roan_latency_event *event, roan_slice name)
{
    return strlen(event->name) == name.bytes && memcmp(event->name, name.data, name.bytes) == 0;
}

/* The event of that name, made when it is new. */
static roan_latency_event *event_of(roan_logs *logs, roan_slice name)
{
    roan_latency_event **link = &logs->events;
    for (; *link != NULL; link = &(*link)->next)
        if (event_is(*link, name))
            return *link;
    roan_latency_event *event = *link = roan_alloc_zero(sizeof *event);
    ROAN_ASSERT(name.bytes < sizeof event->name);
    memcpy(event->name, name.data, name.bytes);
    event->newest = ROAN_LATENCY_SAMPLES_MAX - 1;
    return event;
}

static void add_sample(roan_latency_event *event, int64_t time_s, uint64_t ms)
{
    event->max_ms = ROAN_MAX(event->max_ms, ms);
    event->sum_ms += ms;
    event->count++;
    roan_latency_sample *newest = &event->samples[event->newest];
    if (event->sample_count > 0 && newest->time_s == time_s) {
        newest->ms = ROAN_MAX(newest->ms, ms);
        return;
    }
    event->newest = (event->newest + 1) % ROAN_LATENCY_SAMPLES_MAX;
    event->samples[event->newest] = (roan_latency_sample){time_s, ms};
    event->sample_count += event->sample_count < ROAN_LATENCY_SAMPLES_MAX;
}

void roan_latency_note(roan_engine *engine, const char *event, int64_t wall_ms, uint64_t us)
{
    int64_t threshold_ms = engine->config.latency_monitor_threshold_ms;
    if (ROAN_LIKELY(threshold_ms <= 0 || us / 1000 < (uint64_t)threshold_ms))
        return;
    pthread_mutex_lock(&engine->logs->lock);
    add_sample(event_of(engine->logs, roan_slice_from_text(event)), wall_ms / 1000, us / 1000);
    pthread_mutex_unlock(&engine->logs->lock);
}

const roan_latency_event *roan_latency_first(const roan_logs *logs)
{
    return logs->events;
}

const roan_latency_event *roan_latency_find(const roan_logs *logs, roan_slice name)
{
    const roan_latency_event *event = logs->events;
    while (event != NULL && !event_is(event, name))
        event = event->next;
    return event;
}

size_t roan_latency_forget(roan_logs *logs, roan_slice name)
{
    size_t forgotten = 0;
    for (roan_latency_event **link = &logs->events, *event; (event = *link) != NULL;) {
        if (name.data != NULL && !event_is(event, name)) {
            link = &event->next;
            continue;
        }
        *link = event->next;
        roan_free(event, sizeof *event);
        forgotten++;
    }
    return forgotten;
}
