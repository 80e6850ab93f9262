/* engine/cmd/latency_report.c: what LATENCY GRAPH and LATENCY DOCTOR print.
 *
 * A drawing has a column per sample, GRAPH_ROWS rows of three levels each ('_' '-' '`'), '|' below the top and '#'
 * for the highest sample; under every column stands the sample's age, downwards ("9s", "12m").
 */
#include "engine/cmd/latency_report.h"

#include "base/macros.h"

#include <stdio.h>

#define GRAPH_COLUMNS 80 /* newest samples that are drawn */
#define GRAPH_ROWS 4
#define LEVELS_PER_ROW 3
#define LABEL_ROWS 5 /* longest age: "9999d" */

/* ---- drawing ---- */

typedef struct drawing {
    size_t count;
    uint64_t low, high;
    unsigned levels[GRAPH_COLUMNS];
    char labels[GRAPH_COLUMNS][16];
} drawing;

static void format_age(int64_t seconds, char *out, size_t out_bytes)
{
    seconds = ROAN_MAX(seconds, 0);
    if (seconds < 60)
        snprintf(out, out_bytes, "%ds", (int)seconds);
    else if (seconds < 3600)
        snprintf(out, out_bytes, "%dm", (int)(seconds / 60));
    else if (seconds < 86400)
        snprintf(out, out_bytes, "%dh", (int)(seconds / 3600));
    else
        snprintf(out, out_bytes, "%dd", (int)ROAN_MIN(seconds / 86400, 9999));
}

static void fill_graph(const roan_latency_event *event, int64_t now_s, drawing *graph)
{
    size_t skipped = event->sample_count > GRAPH_COLUMNS ? event->sample_count - GRAPH_COLUMNS : 0;
    graph->count = event->sample_count - skipped;
    graph->low = UINT64_MAX;
    graph->high = 0;
    for (size_t i = 0; i < graph->count; i++) {
        uint64_t ms = roan_latency_sample_at(event, skipped + i)->ms;
        graph->low = ROAN_MIN(graph->low, ms);
        graph->high = ROAN_MAX(graph->high, ms);
    }
    uint64_t span = ROAN_MAX(graph->high - graph->low, 1u);
    for (size_t i = 0; i < graph->count; i++) {
        const roan_latency_sample *sample = roan_latency_sample_at(event, skipped + i);
        graph->levels[i] = (unsigned)((sample->ms - graph->low) * (GRAPH_ROWS * LEVELS_PER_ROW - 1) / span);
        format_age(now_s - sample->time_s, graph->labels[i], sizeof graph->labels[i]);
    }
}

static char graph_char(const drawing *graph, size_t column, unsigned row)
{
    unsigned level = graph->levels[column];
    if (level / LEVELS_PER_ROW < row)
        return ' ';
    if (level / LEVELS_PER_ROW > row)
        return '|';
    return level == GRAPH_ROWS * LEVELS_PER_ROW - 1 ? '#' : "_-`"[level % LEVELS_PER_ROW];
}

static void draw_labels(const drawing *graph, roan_buffer *text)
{
    for (unsigned row = 0; row < LABEL_ROWS; row++) {
        bool any = false;
        size_t start = text->bytes;
        for (size_t i = 0; i < graph->count; i++) {
            bool has = strlen(graph->labels[i]) > row;
            roan_buffer_append_char(text, has ? graph->labels[i][row] : ' ');
            any |= has;
        }
        if (!any) {
            text->bytes = start;
            return;
        }
        roan_buffer_append_char(text, '\n');
    }
}

void roan_latency_draw(const roan_latency_event *event, int64_t now_s, roan_buffer *ret_text)
{
    drawing graph;
    fill_graph(event, now_s, &graph);
    roan_buffer_printf(ret_text, "%s - high %llu ms, low %llu ms (all time high %llu ms)\n", event->name,
                       (unsigned long long)graph.high, (unsigned long long)graph.low,
                       (unsigned long long)event->max_ms);
    for (unsigned i = 0; i < GRAPH_COLUMNS; i++)
        roan_buffer_append_char(ret_text, '-');
    roan_buffer_append_char(ret_text, '\n');
    for (unsigned row = GRAPH_ROWS; row-- > 0;) {
        for (size_t i = 0; i < graph.count; i++)
            roan_buffer_append_char(ret_text, graph_char(&graph, i, row));
        roan_buffer_append_char(ret_text, '\n');
    }
    roan_buffer_append_char(ret_text, '\n');
    draw_labels(&graph, ret_text);
}

/* ---- explaining ---- */

/* What may help against an event. */
typedef struct advice {
    const char *event;
    const char *text;
} advice;

static const advice advices[] = {
    {"command", "Commands that are slow by nature ran. SLOWLOG GET names them: look for KEYS, large ranges and values "
                "with very many elements."},
    {"fast-command", "Commands that are always quick took long. The machine was busy or paused: look at CPU steal, "
                     "swapping and neighbours of a virtual machine."},
    {"expire-cycle", "Many keys expired at about the same time. Spread their times to live."},
    {"expire-del", "Expired values were expensive to free. Set 'lazyfree-lazy-expire yes'."},
    {"eviction-cycle", "Making room for new data took long. Raise maxmemory, or lower maxmemory-eviction-tenacity."},
    {"eviction-del", "Evicted values were expensive to free. Set 'lazyfree-lazy-eviction yes'."},
};

static uint64_t mean_deviation(const roan_latency_event *event, uint64_t average)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < event->sample_count; i++) {
        uint64_t ms = roan_latency_sample_at(event, i)->ms;
        sum += ms > average ? ms - average : average - ms;
    }
    return sum / event->sample_count;
}

static void explain_event(const roan_latency_event *event, unsigned number, int64_t now_s, roan_buffer *text)
{
    uint64_t average = event->sum_ms / event->count;
    double span_s = (double)(now_s - roan_latency_sample_at(event, 0)->time_s);
    roan_buffer_printf(text, "%u. %s: %llu delays, %llu ms on average (mean deviation %llu ms), one every %.1f s. ",
                       number, event->name, (unsigned long long)event->count, (unsigned long long)average,
                       (unsigned long long)mean_deviation(event, average),
                       ROAN_MAX(span_s, 0) / (double)event->sample_count);
    roan_buffer_printf(text, "The worst was %llu ms.\n", (unsigned long long)event->max_ms);
    for (size_t i = 0; i < ROAN_COUNT_OF(advices); i++)
        if (strcmp(advices[i].event, event->name) == 0)
            roan_buffer_printf(text, "   %s\n", advices[i].text);
}

void roan_latency_explain(const roan_engine *engine, int64_t now_s, roan_buffer *ret_text)
{
    const roan_config *config = &engine->config;
    const roan_latency_event *event = roan_latency_first(engine->logs);
    if (event == NULL && config->latency_monitor_threshold_ms == 0) {
        roan_buffer_append_text(ret_text, "Delays are not recorded. Say from how many milliseconds on they should be: "
                                          "CONFIG SET latency-monitor-threshold <milliseconds>\n");
        return;
    }
    if (event == NULL) {
        roan_buffer_printf(ret_text, "Nothing took %lld ms or longer so far: there is nothing to explain.\n",
                           (long long)config->latency_monitor_threshold_ms);
        return;
    }
    for (unsigned number = 1; event != NULL; event = event->next, number++)
        explain_event(event, number, now_s, ret_text);
    int64_t slow_us = config->commandlog_threshold[ROAN_COMMANDLOG_SLOW];
    if (slow_us < 0 || slow_us / 1000 > config->latency_monitor_threshold_ms)
        roan_buffer_printf(ret_text,
                           "The slow log does not record commands from %lld ms on; it would name the culprits: "
                           "CONFIG SET slowlog-log-slower-than %lld\n",
                           (long long)config->latency_monitor_threshold_ms,
                           (long long)config->latency_monitor_threshold_ms * 1000);
}
