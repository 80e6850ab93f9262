/* engine/cmd/server.c: small commands about the server as a whole: TIME, ROLE, LASTSAVE, MONITOR, SHUTDOWN. */
#include "engine/call.h"

#include "engine/monitor.h"

ROAN_COMMAND(time, .arity = 1, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "2.6.0",
             .complexity = "O(1)",
             .summary = "Tells the server's time as seconds and microseconds.",
             .tips = "nondeterministic_output")
{
    int64_t now_us = call->lane->now_us;
    char text[ROAN_I64_TEXT_MAX];
    roan_out_array(call->out, 2);
    roan_out_bulk(call->out, roan_slice_make(text, roan_format_i64(text, now_us / 1000000)));
    roan_out_bulk(call->out, roan_slice_make(text, roan_format_i64(text, now_us % 1000000)));
}

ROAN_COMMAND(role, .arity = 1,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST,
             .acl = ROAN_ACL_ADMIN | ROAN_ACL_DANGEROUS, .lock = ROAN_LOCK_X,
             .group = ROAN_GROUP_SERVER, .since = "2.8.12", .complexity = "O(1)",
             .summary = "Tells this server's part in replication.")
{
    roan_out_array(call->out, 3);
    roan_out_bulk_text(call->out, "master");
    roan_out_integer(call->out, 0); /* replication offset */
    roan_out_array(call->out, 0);   /* replicas */
}

ROAN_COMMAND(lastsave, .arity = 1, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST,
             .acl = ROAN_ACL_ADMIN | ROAN_ACL_DANGEROUS, .lock = ROAN_LOCK_X,
             .group = ROAN_GROUP_SERVER, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Tells when the data was last saved, in Unix time.",
             .tips = "nondeterministic_output")
{
    roan_out_integer(call->out, call->engine->started_ms / 1000);
}

ROAN_COMMAND(monitor, .arity = 1,
             .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
             .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "1.0.0",
             .complexity = "O(1) for each command shown.",
             .summary = "Streams every command the server runs to this connection.")
{
    roan_monitor_start(call->session);
    roan_out_ok(call->out);
}

/* ---- SHUTDOWN ---- */

typedef struct shutdown_options {
    bool aborts, saves, skips_save, forces, has_modifier;
} shutdown_options;

/* False after a syntax error was sent. NOW, SAFE and FAILOVER are about replicas, of which there are none. */
static bool parse_shutdown(roan_call *call, shutdown_options *options)
{
    *options = (shutdown_options){0};
    bool is_known = true;
    for (size_t i = 1; i < call->argc; i++) {
        if (roan_call_is(call, i, "NOSAVE"))
            options->skips_save = true;
        else if (roan_call_is(call, i, "SAVE"))
            options->saves = true;
        else if (roan_call_is(call, i, "FORCE"))
            options->forces = true;
        else if (roan_call_is(call, i, "ABORT"))
            options->aborts = true;
        else if (roan_call_is(call, i, "NOW") || roan_call_is(call, i, "SAFE") || roan_call_is(call, i, "FAILOVER"))
            options->has_modifier = true;
        else
            is_known = false;
    }
    bool has_other = options->saves || options->skips_save || options->forces || options->has_modifier;
    if (is_known && !(options->aborts && has_other) && !(options->saves && options->skips_save))
        return true;
    roan_call_syntax_error(call);
    return false;
}

static void log_line(const roan_call *call, int level, const char *text)
{
    const roan_host *host = &call->engine->host;
    if (host->log != NULL)
        host->log(host->context, level, text);
}

ROAN_COMMAND(shutdown, .arity = -1,
             .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE |
                 ROAN_CMD_NO_MULTI | ROAN_CMD_ALLOW_BUSY,
             .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "1.0.0",
             .complexity = "O(N) for N keys when the data is saved, O(1) otherwise.",
             .summary = "Ends the server, by default after saving the data.",
             .arguments = "[abort-selector<save-selector-block{[save-selector<NOSAVE|SAVE>] "
                          "[NOW^7.0.0] [FORCE^7.0.0] [SAFE^9.0.0] [FAILOVER^9.0.0]}|ABORT^7.0.0>]",
             .history = "7.0.0|Modifiers NOW, FORCE and ABORT.\n9.0.0|Modifiers SAFE and FAILOVER.")
{
    shutdown_options options;
    const roan_host *host = &call->engine->host;
    if (!parse_shutdown(call, &options))
        return;
    if (options.aborts) { /* nothing makes a shutdown wait yet */
        roan_call_error(call, "ERR No shutdown in progress.");
        return;
    }
    if (options.saves && !options.forces) {
        log_line(call, ROAN_LOG_WARNING, "SHUTDOWN SAVE was refused: this version keeps data in memory only");
        roan_call_error(call, "ERR Errors trying to SHUTDOWN. Check logs.");
        return;
    }
    if (host->shutdown == NULL) {
        roan_call_error(call, "ERR SHUTDOWN is not possible: the server belongs to another program");
        return;
    }
    log_line(call, ROAN_LOG_NOTICE, "A client asked for SHUTDOWN");
    roan_session_close(call->session, false);
    host->shutdown(host->context, 0);
}
