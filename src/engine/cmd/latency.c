/* engine/cmd/latency.c: LATENCY: what made the server slow (event series, see engine/logs.h), and how the running
 * times of commands are distributed (histograms, see engine/stats.h). */
#include "engine/call.h"

#include "engine/cmd/latency_report.h"
#include "engine/logs.h"
#include "engine/stats.h"

#define HISTOGRAM_FIRST_BIT 10 /* the smallest bound shown is 1024 ns */
#define HISTOGRAM_LAST_BIT 40

ROAN_COMMAND(latency, .arity = -2, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER,
             .since = "2.8.13", .complexity = "Depends on the subcommand.",
             .summary = "Groups the commands about what made the server slow.")
{
    roan_call_unknown_subcommand(call);
}

/* ---- event series ---- */

ROAN_SUBCOMMAND(latency, latest, .arity = 2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "2.8.13",
                .complexity = "O(1)",
                .summary = "Shows the newest and the worst delay of every kind of event.",
                .tips = "nondeterministic_output request_policy:all_nodes response_policy:special")
{
    roan_out_mark mark = roan_out_open(call->out);
    size_t count = 0;
    for (const roan_latency_event *event = roan_latency_first(call->engine->logs); event != NULL; event = event->next) {
        const roan_latency_sample *newest = roan_latency_sample_at(event, event->sample_count - 1);
        roan_out_array(call->out, 6);
        roan_out_bulk_text(call->out, event->name);
        roan_out_integer(call->out, newest->time_s);
        roan_out_integer(call->out, (int64_t)newest->ms);
        roan_out_integer(call->out, (int64_t)event->max_ms);
        roan_out_integer(call->out, (int64_t)event->sum_ms);
        roan_out_integer(call->out, (int64_t)event->count);
        count++;
    }
    roan_out_close_array(call->out, mark, count);
}

ROAN_SUBCOMMAND(latency, history, .arity = 3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "2.8.13",
                .complexity = "O(1)",
                .summary = "Lists the recorded delays of one kind of event with their times.",
                .arguments = "event",
                .tips = "nondeterministic_output request_policy:all_nodes response_policy:special")
{
    const roan_latency_event *event = roan_latency_find(call->engine->logs, call->argv[2]);
    size_t count = event == NULL ? 0 : event->sample_count;
    roan_out_array(call->out, count);
    for (size_t i = 0; i < count; i++) {
        const roan_latency_sample *sample = roan_latency_sample_at(event, i);
        roan_out_array(call->out, 2);
        roan_out_integer(call->out, sample->time_s);
        roan_out_integer(call->out, (int64_t)sample->ms);
    }
}

ROAN_SUBCOMMAND(latency, reset, .arity = -2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "2.8.13",
                .complexity = "O(1)",
                .summary = "Forgets the recorded delays of some or all kinds of events.",
                .arguments = "[event...]",
                .tips = "request_policy:all_nodes response_policy:agg_sum")
{
    size_t forgotten = 0;
    if (call->argc == 2)
        forgotten = roan_latency_forget(call->engine->logs, roan_slice_make(NULL, 0));
    for (size_t i = 2; i < call->argc; i++)
        forgotten += roan_latency_forget(call->engine->logs, call->argv[i]);
    roan_out_integer(call->out, (int64_t)forgotten);
}

ROAN_SUBCOMMAND(latency, graph, .arity = 3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "2.8.13",
                .complexity = "O(1)", .summary = "Draws the recorded delays of one kind of event.",
                .arguments = "event",
                .tips = "nondeterministic_output request_policy:all_nodes response_policy:special")
{
    const roan_latency_event *event = roan_latency_find(call->engine->logs, call->argv[2]);
    if (event == NULL) {
        roan_call_error_printf(call, "ERR No samples available for event '%.*s'", ROAN_SLICE_ARG(call->argv[2]));
        return;
    }
    roan_buffer text = {0};
    roan_latency_draw(event, call->now_ms / 1000, &text);
    roan_out_verbatim(call->out, "txt", roan_buffer_slice(&text));
    roan_buffer_done(&text);
}

ROAN_SUBCOMMAND(latency, doctor, .arity = 2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "2.8.13",
                .complexity = "O(1)", .summary = "Explains the recorded delays in plain language.",
                .tips = "nondeterministic_output request_policy:all_nodes response_policy:special")
{
    roan_buffer text = {0};
    roan_latency_explain(call->engine, call->now_ms / 1000, &text);
    roan_out_verbatim(call->out, "txt", roan_buffer_slice(&text));
    roan_buffer_done(&text);
}

/* ---- histograms ---- */

/* The bound shown for 2^bit nanoseconds: the microseconds of the upper end of a hundredth-wide step that begins
 * there. */
static int64_t shown_bound_us(unsigned bit)
{
    return (int64_t)(((UINT64_C(1) << bit) + (UINT64_C(1) << (bit - 7)) - 1) / 1000);
}

/* Bounds doubling from about a microsecond, each with the number of calls up to it; only where the number grows. */
static void reply_bounds(roan_out *out, const roan_latency_histogram *histogram)
{
    uint64_t shown = 0;
    size_t pairs = 0;
    roan_out_mark mark = roan_out_open(out);
    for (unsigned bit = HISTOGRAM_FIRST_BIT; bit <= HISTOGRAM_LAST_BIT && shown < histogram->count; bit++) {
        uint64_t ns = UINT64_C(1) << bit;
        uint64_t count = bit == HISTOGRAM_LAST_BIT
                             ? histogram->count
                             : roan_latency_count_up_to(histogram, ns + ns / ROAN_LATENCY_STEPS - 1);
        if (count == shown)
            continue;
        roan_out_integer(out, shown_bound_us(bit));
        roan_out_integer(out, (int64_t)count);
        shown = count;
        pairs++;
    }
    roan_out_close_map(out, mark, pairs);
}

/* Sends the command's histogram unless it is empty; returns how many were sent. */
static size_t reply_histogram(roan_out *out, const roan_stats *stats, const roan_command *command)
{
    const roan_command_stats *counted = &stats->commands_by_id[command->id];
    if (counted->latency == NULL || counted->latency->count == 0)
        return 0;
    roan_out_bulk_text(out, command->name);
    roan_out_map(out, 2);
    roan_out_bulk_text(out, "calls");
    roan_out_integer(out, (int64_t)counted->latency->count);
    roan_out_bulk_text(out, "histogram_usec");
    reply_bounds(out, counted->latency);
    return 1;
}

/* Those of the command and of its subcommands. */
static size_t reply_named_histograms(roan_out *out, const roan_stats *stats, roan_slice name)
{
    const roan_command *command = roan_command_find(name);
    if (command == NULL)
        return 0;
    unsigned children;
    const roan_command *const *child = roan_command_subcommands(command, &children);
    size_t sent = reply_histogram(out, stats, command);
    for (unsigned i = 0; i < children; i++)
        sent += reply_histogram(out, stats, child[i]);
    return sent;
}

ROAN_SUBCOMMAND(latency, histogram, .arity = -2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "7.0.0",
                .complexity = "O(N) for N commands shown.",
                .summary = "Shows how the running times of commands are distributed.",
                .arguments = "[command...]",
                .tips = "nondeterministic_output request_policy:all_nodes response_policy:special")
{
    roan_stats *stats = roan_stats_sum(call->engine);
    roan_out_mark mark = roan_out_open(call->out);
    size_t sent = 0;
    for (unsigned i = 0; call->argc == 2 && i < roan_command_index_count; i++)
        sent += reply_histogram(call->out, stats, roan_command_index[i]);
    for (size_t i = 2; i < call->argc; i++)
        sent += reply_named_histograms(call->out, stats, call->argv[i]);
    roan_out_close_map(call->out, mark, sent);
    roan_stats_free(stats);
}

ROAN_SUBCOMMAND(latency, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "2.8.13",
                .complexity = "O(1)", .summary = "Lists the subcommands of LATENCY.")
{
    static const char *const lines[] = {
        "DOCTOR",
        "    Explain the recorded delays in plain language.",
        "GRAPH <event>",
        "    Draw the delays of one kind of event.",
        "HISTORY <event>",
        "    List the delays of one kind of event with their times.",
        "LATEST",
        "    Show the newest and the worst delay of every kind of event.",
        "RESET [<event> ...]",
        "    Forget the delays of these kinds of events, or of all.",
        "HISTOGRAM [COMMAND ...]",
        "    Show how often these commands, or all, took at most so many microseconds.",
        NULL,
    };
    roan_call_help(call, lines);
}
