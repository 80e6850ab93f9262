/* engine/options_admin.c: options about timers, slow commands, latency and events. */
#include "engine/options_rows.h"

#define COMMANDLOG_THRESHOLD(which) ROAN_ROW_INTEGER(commandlog_threshold[which], -1, INT64_MAX)
#define COMMANDLOG_LENGTH(which) ROAN_ROW_INTEGER(commandlog_length[which], 0, INT64_MAX)

static const roan_option rows[] = {
    {.name = "hz", ROAN_ROW_INTEGER(hz, 0, INT_MAX), .clamp_min = 1, .clamp_max = 500,
     .initial = "10",
     .text = "How many times a second the server looks after expired keys, idle clients and the like, from 1 to 500."},
    {.name = "dynamic-hz", ROAN_ROW_BOOL(dynamic_hz), .flags = ROAN_OPTION_IDLE, .initial = "yes",
     .text = "In Redis: look more often when there are many clients. Here every worker looks after its own."},
    {.name = "commandlog-execution-slower-than", .alias = "slowlog-log-slower-than",
     COMMANDLOG_THRESHOLD(ROAN_COMMANDLOG_SLOW), .initial = "10000",
     .text = "Remember commands that ran for longer, in microseconds. 0 remembers all, -1 none."},
    {.name = "commandlog-slow-execution-max-len", .alias = "slowlog-max-len", COMMANDLOG_LENGTH(ROAN_COMMANDLOG_SLOW),
     .initial = "128", .text = "Slow commands remembered; the oldest go first."},
    {.name = "commandlog-request-larger-than", COMMANDLOG_THRESHOLD(ROAN_COMMANDLOG_LARGE_REQUEST), .initial = "1048576",
     .text = "Remember commands whose request was larger, in bytes. -1 remembers none."},
    {.name = "commandlog-large-request-max-len", COMMANDLOG_LENGTH(ROAN_COMMANDLOG_LARGE_REQUEST),
     .initial = "128", .text = "Commands with large requests remembered."},
    {.name = "commandlog-reply-larger-than", COMMANDLOG_THRESHOLD(ROAN_COMMANDLOG_LARGE_REPLY), .initial = "1048576",
     .text = "Remember commands whose reply was larger, in bytes. -1 remembers none."},
    {.name = "commandlog-large-reply-max-len", COMMANDLOG_LENGTH(ROAN_COMMANDLOG_LARGE_REPLY),
     .initial = "128", .text = "Commands with large replies remembered."},
    {.name = "latency-monitor-threshold", ROAN_ROW_INTEGER(latency_monitor_threshold_ms, 0, INT64_MAX),
     .initial = "0",
     .text = "Record what kept the server busy for at least so many milliseconds, for LATENCY. 0 records nothing."},
    {.name = "latency-tracking", ROAN_ROW_BOOL(latency_tracking), .initial = "yes",
     .text = "Keep a histogram of the running time of every command, for INFO latencystats and LATENCY HISTOGRAM."},
    {.name = "latency-tracking-info-percentiles",
     ROAN_ROW_SPECIAL(latency_tracking_percentiles, roan_option_parse_percentiles, roan_option_format_words),
     .flags = ROAN_OPTION_SEVERAL | ROAN_OPTION_OWNS_TEXT, .initial = "50 99 99.9",
     .text = "Percentiles that INFO latencystats shows, each from 0 to 100. An empty list shows none."},
    {.name = "notify-keyspace-events",
     ROAN_ROW_SPECIAL(notify_keyspace_events, roan_option_parse_events, roan_option_format_events),
     .needs = "publish and subscribe", .initial = "",
     .text = "Publish changes of keys. Where: K to __keyspace@DB__:KEY, E to __keyevent@DB__:EVENT; at least one is "
             "needed. What: g generic commands, $ strings, l lists, s sets, h hashes, z sorted sets, t streams, d "
             "modules, x expired, e evicted, n new keys, m misses; A stands for g$lshzxetd. Empty: nothing."},
    {.name = "busy-reply-threshold", .alias = "lua-time-limit",
     ROAN_ROW_INTEGER(busy_reply_threshold_ms, 0, INT64_MAX), .initial = "5000",
     .text = "Milliseconds after which a script that still runs makes other commands fail with BUSY. 0 is no limit."},
    {.name = "lua-enable-insecure-api", ROAN_ROW_FIXED_BOOL(ROAN_OPTION_PROTECTED | ROAN_OPTION_HIDDEN, "scripting"),
     .initial = "no", .text = "Give scripts functions of Lua that can break out of them."},
    {.name = "watchdog-period", ROAN_ROW_INTEGER(watchdog_period_ms, 0, INT_MAX),
     .flags = ROAN_OPTION_HIDDEN | ROAN_OPTION_IDLE, .initial = "0",
     .text = "In the reference: log where the server is when it does not come back for so many milliseconds."},
};

const roan_option_group roan_options_admin = ROAN_OPTION_GROUP("Administration", "", rows);
