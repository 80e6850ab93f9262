/* engine/cmd/slowlog.c: SLOWLOG and COMMANDLOG: reading and emptying the logs of slow and large commands. */
#include "engine/call.h"

#include "engine/logs.h"

#define SLOWLOG_COUNT_DEFAULT 10

static void reply_entry(const roan_log_entry *entry, void *context)
{
    roan_out *out = context;
    roan_out_array(out, 6);
    roan_out_integer(out, (int64_t)entry->id);
    roan_out_integer(out, entry->time_s);
    roan_out_integer(out, (int64_t)entry->value);
    roan_out_array(out, entry->argc);
    for (size_t i = 0; i < entry->argc; i++)
        roan_out_bulk(out, entry->argv[i]);
    roan_out_bulk(out, entry->peer);
    roan_out_bulk(out, entry->name);
}

/* Sends the newest entries, at most `count`; -1: all. */
static void reply_entries(roan_call *call, unsigned log, int64_t count)
{
    roan_logs *logs = call->engine->logs;
    size_t wanted = count < 0 ? SIZE_MAX : (size_t)count;
    roan_out_mark mark = roan_out_open(call->out);
    roan_out_close_array(call->out, mark, roan_logs_visit(logs, log, wanted, reply_entry, call->out));
}

static void reply_length(roan_call *call, unsigned log)
{
    roan_out_integer(call->out, (int64_t)roan_logs_visit(call->engine->logs, log, SIZE_MAX, NULL, NULL));
}

static bool parse_count(roan_call *call, int64_t *ret_count)
{
    static const char error[] = "ERR count should be greater than or equal to -1";
    return roan_call_integer_in(call, 2, -1, INT64_MAX, ret_count, error);
}

/* ---- SLOWLOG ---- */

ROAN_COMMAND(slowlog, .arity = -2, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER,
             .since = "2.2.12", .complexity = "Depends on the subcommand.",
             .summary = "Groups the commands about the log of slow commands.")
{
    roan_call_unknown_subcommand(call);
}

ROAN_SUBCOMMAND(slowlog, get, .arity = -2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_LOADING | ROAN_CMD_STALE, .lock = ROAN_LOCK_X,
                .group = ROAN_GROUP_SERVER, .since = "2.2.12",
                .complexity = "O(N) for N entries shown.",
                .summary = "Shows the newest entries of the log of slow commands.",
                .arguments = "[count:integer]",
                .tips = "request_policy:all_nodes nondeterministic_output",
                .history = "4.0.0|Entries tell the client's address and name.")
{
    int64_t count = SLOWLOG_COUNT_DEFAULT;
    if (call->argc > 3) {
        roan_call_error_printf(call,
                               "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try SLOWLOG HELP.",
                               ROAN_SLICE_ARG(call->argv[1]));
        return;
    }
    if (call->argc == 2 || parse_count(call, &count))
        reply_entries(call, ROAN_COMMANDLOG_SLOW, count);
}

ROAN_SUBCOMMAND(slowlog, len, .arity = 2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_LOADING | ROAN_CMD_STALE, .lock = ROAN_LOCK_X,
                .group = ROAN_GROUP_SERVER, .since = "2.2.12", .complexity = "O(1)",
                .summary = "Tells how many entries the log of slow commands holds.",
                .tips = "request_policy:all_nodes response_policy:agg_sum nondeterministic_output")
{
    reply_length(call, ROAN_COMMANDLOG_SLOW);
}

ROAN_SUBCOMMAND(slowlog, reset, .arity = 2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_LOADING | ROAN_CMD_STALE, .lock = ROAN_LOCK_X,
                .group = ROAN_GROUP_SERVER, .since = "2.2.12",
                .complexity = "O(N) for N entries in the log.",
                .summary = "Empties the log of slow commands.",
                .tips = "request_policy:all_nodes response_policy:all_succeeded")
{
    roan_logs_clear(call->engine->logs, ROAN_COMMANDLOG_SLOW);
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(slowlog, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "6.2.0",
                .complexity = "O(1)", .summary = "Lists the subcommands of SLOWLOG.")
{
    static const char *const lines[] = {
        "GET [<count>]",
        "    Show the newest <count> entries (10 when not given, -1 for all): id, unix time,",
        "    microseconds, words of the command, client address, client name.",
        "LEN",
        "    Tell how many entries there are.",
        "RESET",
        "    Empty the log.",
        NULL,
    };
    roan_call_help(call, lines);
}

/* ---- COMMANDLOG ---- */

/* The log named by argv[index]; false after an error was sent. */
static bool parse_log(roan_call *call, size_t index, unsigned *ret_log)
{
    static const char *const names[ROAN_COMMANDLOG_COUNT] = {
        [ROAN_COMMANDLOG_SLOW] = "slow",
        [ROAN_COMMANDLOG_LARGE_REQUEST] = "large-request",
        [ROAN_COMMANDLOG_LARGE_REPLY] = "large-reply",
    };
    for (unsigned log = 0; log < ROAN_COMMANDLOG_COUNT; log++) {
        if (roan_call_is(call, index, names[log])) {
            *ret_log = log;
            return true;
        }
    }
    roan_call_error(call, "ERR type should be one of the following: slow, large-request, large-reply");
    return false;
}

ROAN_COMMAND(commandlog, .arity = -2, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER,
             .since = "8.1.0", .complexity = "Depends on the subcommand.",
             .summary = "Groups the commands about the logs of slow and large commands.")
{
    roan_call_unknown_subcommand(call);
}

ROAN_SUBCOMMAND(commandlog, get, .arity = 4,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_LOADING | ROAN_CMD_STALE, .lock = ROAN_LOCK_X,
                .group = ROAN_GROUP_SERVER, .since = "8.1.0",
                .complexity = "O(N) for N entries shown.",
                .summary = "Shows the newest entries of one of the command logs.",
                .arguments = "count:integer type<SLOW|LARGE-REQUEST|LARGE-REPLY>",
                .tips = "request_policy:all_nodes nondeterministic_output")
{
    int64_t count;
    unsigned log;
    if (parse_count(call, &count) && parse_log(call, 3, &log))
        reply_entries(call, log, count);
}

ROAN_SUBCOMMAND(commandlog, len, .arity = 3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_LOADING | ROAN_CMD_STALE, .lock = ROAN_LOCK_X,
                .group = ROAN_GROUP_SERVER, .since = "8.1.0", .complexity = "O(1)",
                .summary = "Tells how many entries one of the command logs holds.",
                .arguments = "type<SLOW|LARGE-REQUEST|LARGE-REPLY>",
                .tips = "request_policy:all_nodes response_policy:agg_sum nondeterministic_output")
{
    unsigned log;
    if (parse_log(call, 2, &log))
        reply_length(call, log);
}

ROAN_SUBCOMMAND(commandlog, reset, .arity = 3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_LOADING | ROAN_CMD_STALE, .lock = ROAN_LOCK_X,
                .group = ROAN_GROUP_SERVER, .since = "8.1.0",
                .complexity = "O(N) for N entries in the log.",
                .summary = "Empties one of the command logs.",
                .arguments = "type<SLOW|LARGE-REQUEST|LARGE-REPLY>",
                .tips = "request_policy:all_nodes response_policy:all_succeeded")
{
    unsigned log;
    if (!parse_log(call, 2, &log))
        return;
    roan_logs_clear(call->engine->logs, log);
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(commandlog, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "8.1.0",
                .complexity = "O(1)", .summary = "Lists the subcommands of COMMANDLOG.")
{
    static const char *const lines[] = {
        "GET <count> <type>",
        "    Show the newest <count> entries (-1 for all) of one log: id, unix time, value, words of",
        "    the command, client address, client name. The value is microseconds for type slow and",
        "    bytes for the types large-request and large-reply.",
        "LEN <type>",
        "    Tell how many entries the log of that type holds.",
        "RESET <type>",
        "    Empty the log of that type.",
        NULL,
    };
    roan_call_help(call, lines);
}
