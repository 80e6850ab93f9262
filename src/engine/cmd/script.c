/* engine/cmd/script.c: SCRIPT: the cache of EVAL's scripts, and ending one that runs for too long. */
#include "engine/script/script.h"

#include "base/macros.h"

#define CACHE_FLAGS (ROAN_CMD_NO_SCRIPT | ROAN_CMD_STALE)

ROAN_COMMAND(script, .arity = -2, .acl = ROAN_ACL_NO_GROUP, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SCRIPTING,
             .since = "2.6.0", .complexity = "Depends on the subcommand.", .summary = "Commands about cached scripts.")
{
    roan_call_unknown_subcommand(call);
}

ROAN_SUBCOMMAND(script, load, .arity = 3, .flags = CACHE_FLAGS, .lock = ROAN_LOCK_T, .group = ROAN_GROUP_SCRIPTING,
                .since = "2.6.0", .complexity = "O(N) for a script of N bytes.",
                .summary = "Puts a script into the cache and tells its SHA-1 digest.", .arguments = "script",
                .tips = "request_policy:all_nodes response_policy:all_succeeded")
{
    roan_script *script = roan_script_get(call, call->argv[2], false);
    if (script == NULL)
        return;
    roan_script_keep(call->engine->scripts, script);
    roan_out_bulk_text(call->out, script->sha);
}

ROAN_SUBCOMMAND(script, exists, .arity = -3, .flags = CACHE_FLAGS, .lock = ROAN_LOCK_T, .group = ROAN_GROUP_SCRIPTING,
                .since = "2.6.0", .complexity = "O(N) for N digests.",
                .summary = "Tells which scripts are in the cache.", .arguments = "sha1...",
                .tips = "request_policy:all_shards response_policy:agg_logical_and")
{
    roan_out_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++)
        roan_out_integer(call->out, roan_script_find(call->engine->scripts, call->argv[i]) != NULL);
}

ROAN_SUBCOMMAND(script, show, .arity = 3, .flags = CACHE_FLAGS, .lock = ROAN_LOCK_T, .group = ROAN_GROUP_SCRIPTING,
                .since = "8.0.0", .complexity = "O(1).", .summary = "Shows a script of the cache.", .arguments = "sha1")
{
    const roan_script *script = roan_script_find(call->engine->scripts, call->argv[2]);
    if (script == NULL)
        roan_call_error(call, "NOSCRIPT No matching script.");
    else
        roan_out_bulk(call->out, roan_slice_make(script->text, script->bytes));
}

ROAN_SUBCOMMAND(script, flush, .arity = -2, .flags = CACHE_FLAGS, .lock = ROAN_LOCK_T, .group = ROAN_GROUP_SCRIPTING,
                .since = "2.6.0", .complexity = "O(N) for N scripts.", .summary = "Empties the cache of scripts.",
                .arguments = "[flush-type^6.2.0<ASYNC|SYNC>]",
                .tips = "request_policy:all_nodes response_policy:all_succeeded",
                .history = "6.2.0|Takes ASYNC and SYNC.")
{
    if (call->argc > 3 || (call->argc == 3 && !roan_call_is(call, 2, "sync") && !roan_call_is(call, 2, "async"))) {
        roan_call_error(call, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
        return;
    }
    roan_script_flush(call->engine->scripts);
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(script, kill, .arity = 2, .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_ALLOW_BUSY, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_SCRIPTING, .since = "2.6.0", .complexity = "O(1)",
                .summary = "Ends the script that is running, unless it has written.",
                .tips = "request_policy:all_shards response_policy:one_succeeded")
{
    roan_script_kill(call, ROAN_SCRIPT_EVAL);
}

/* There is no debugger: the modes are accepted, and scripts run as always. */
ROAN_SUBCOMMAND(script, debug, .arity = -3, .flags = ROAN_CMD_NO_SCRIPT, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_SCRIPTING, .since = "3.2.0", .complexity = "O(1)",
                .summary = "Sets whether the connection's scripts are debugged.",
                .arguments = "mode<YES|SYNC|NO> [engine^9.1.0]")
{
    roan_slice word = call->argv[1], engine = call->argv[call->argc - 1];
    if (call->argc > 4)
        roan_call_error_printf(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try SCRIPT HELP.",
                               (int)ROAN_MIN(word.bytes, 128u), word.data);
    else if (call->argc == 4 && !roan_slice_is(engine, "lua"))
        roan_call_error_printf(call, "ERR No scripting engine found with name '%.*s' to enable debug",
                               (int)ROAN_MIN(engine.bytes, 128u), engine.data);
    else if (roan_call_is(call, 2, "yes") || roan_call_is(call, 2, "sync") || roan_call_is(call, 2, "no"))
        roan_out_ok(call->out);
    else
        roan_call_error(call, "ERR Use SCRIPT DEBUG YES/SYNC/NO");
}

ROAN_SUBCOMMAND(script, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_SCRIPTING, .since = "5.0.0", .complexity = "O(1)",
                .summary = "Lists the subcommands.")
{
    static const char *const lines[] = {
        "DEBUG (YES|SYNC|NO) [<engine_name>]",
        "    Set the debug mode for subsequent scripts executed of the specified engine.",
        "    Default engine name: 'lua'",
        "EXISTS <sha1> [<sha1> ...]",
        "    Return information about the existence of the scripts in the script cache.",
        "FLUSH [ASYNC|SYNC]",
        "    Flush the Lua scripts cache. Very dangerous on replicas.",
        "    When called without the optional mode argument, the behavior is determined",
        "     by the lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the scripts cache.",
        "    * SYNC: Synchronously flush the scripts cache.",
        "KILL",
        "    Kill the currently executing Lua script.",
        "LOAD <script>",
        "    Load a script into the scripts cache without executing it.",
        "SHOW <sha1>",
        "    Show a script from the scripts cache.",
        NULL};
    roan_call_help(call, lines);
}
