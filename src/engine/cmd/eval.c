/* engine/cmd/eval.c: EVAL, EVALSHA, FCALL and their read-only forms. */
#include "engine/script/library.h"
#include "engine/script/script.h"

/* A command that ends in _RO runs only what says that it does not write. */
static void run(roan_call *call, const roan_script_start *start)
{
    if (start->is_read_only && !(start->flags & (ROAN_SCRIPT_NO_WRITES | ROAN_SCRIPT_UNDECLARED))) {
        roan_call_error(call, "ERR Can not execute a script with write flag using *_ro command.");
        return;
    }
    roan_script_run_now(call, start);
}

static void run_script(roan_call *call, roan_script *script, bool is_read_only, size_t keys)
{
    roan_script_used(call->engine->scripts, script);
    roan_script_start start = {.kind = ROAN_SCRIPT_EVAL,
                               .function = script->function,
                               .flags = script->flags,
                               .is_read_only = is_read_only,
                               .keys = keys};
    run(call, &start);
}

static void eval(roan_call *call, bool is_read_only)
{
    size_t keys;
    if (!roan_script_parse_keys(call, NULL, &keys))
        return;
    roan_script *script = roan_script_get(call, call->argv[1], true);
    if (script != NULL)
        run_script(call, script, is_read_only, keys);
}

static void evalsha(roan_call *call, bool is_read_only)
{
    size_t keys;
    if (call->argv[1].bytes != 40) {
        roan_call_error(call, "NOSCRIPT No matching script.");
        return;
    }
    if (!roan_script_parse_keys(call, NULL, &keys))
        return;
    roan_script *script = roan_script_find(call->engine->scripts, call->argv[1]);
    if (script == NULL)
        roan_call_error(call, "NOSCRIPT No matching script.");
    else
        run_script(call, script, is_read_only, keys);
}

static void fcall(roan_call *call, bool is_read_only)
{
    size_t keys;
    const roan_function *function = roan_function_find(call->engine->scripts, call->argv[1]);
    if (function == NULL) {
        roan_call_error(call, "ERR Function not found");
        return;
    }
    if (!roan_script_parse_keys(call, "ERR Bad number of keys provided", &keys))
        return;
    roan_script_start start = {.kind = ROAN_SCRIPT_FUNCTION,
                               .function = function->function,
                               .flags = function->flags,
                               .is_read_only = is_read_only,
                               .name = roan_slice_from_text(function->name),
                               .keys = keys};
    run(call, &start);
}

#define WORST_CASE "What the script will do with the keys is not known, so the most is assumed"

ROAN_COMMAND(eval, .arity = -3,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_STALE | ROAN_CMD_SKIP_MONITOR | ROAN_CMD_MAY_REPLICATE |
                      ROAN_CMD_NO_MANDATORY_KEYS,
             .lock = ROAN_LOCK_T,
             .keys = {{.flags = ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE, .begin = ROAN_BEGIN_INDEX,
                       .find = ROAN_FIND_KEYNUM, .index = 2, .first = 1, .step = 1, .notes = WORST_CASE}},
             .group = ROAN_GROUP_SCRIPTING, .since = "2.6.0", .complexity = "That of the script.",
             .summary = "Runs a Lua script.", .arguments = "script numkeys:integer [key:key...] [arg...]")
{
    eval(call, false);
}

ROAN_COMMAND(eval_ro, .arity = -3,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_STALE | ROAN_CMD_SKIP_MONITOR | ROAN_CMD_NO_MANDATORY_KEYS |
                      ROAN_CMD_READ,
             .lock = ROAN_LOCK_T,
             .keys = {{.flags = ROAN_KEY_RO | ROAN_KEY_ACCESS, .begin = ROAN_BEGIN_INDEX, .find = ROAN_FIND_KEYNUM,
                       .index = 2, .first = 1, .step = 1, .notes = WORST_CASE}},
             .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "That of the script.",
             .summary = "Runs a Lua script that only reads.",
             .arguments = "script numkeys:integer [key:key...] [arg...]")
{
    eval(call, true);
}

ROAN_COMMAND(evalsha, .arity = -3,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_STALE | ROAN_CMD_SKIP_MONITOR | ROAN_CMD_MAY_REPLICATE |
                      ROAN_CMD_NO_MANDATORY_KEYS,
             .lock = ROAN_LOCK_T,
             .keys = {ROAN_KEYNUM(2, 1, 1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_SCRIPTING, .since = "2.6.0", .complexity = "That of the script.",
             .summary = "Runs a script of the cache, named by its SHA-1 digest.",
             .arguments = "sha1 numkeys:integer [key:key...] [arg...]")
{
    evalsha(call, false);
}

ROAN_COMMAND(evalsha_ro, .arity = -3,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_STALE | ROAN_CMD_SKIP_MONITOR | ROAN_CMD_NO_MANDATORY_KEYS |
                      ROAN_CMD_READ,
             .lock = ROAN_LOCK_T, .keys = {ROAN_KEYNUM(2, 1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "That of the script.",
             .summary = "Runs a script of the cache that only reads, named by its SHA-1 digest.",
             .arguments = "sha1 numkeys:integer [key:key...] [arg...]")
{
    evalsha(call, true);
}

ROAN_COMMAND(fcall, .arity = -3,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_STALE | ROAN_CMD_SKIP_MONITOR | ROAN_CMD_MAY_REPLICATE |
                      ROAN_CMD_NO_MANDATORY_KEYS,
             .lock = ROAN_LOCK_T,
             .keys = {{.flags = ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE, .begin = ROAN_BEGIN_INDEX,
                       .find = ROAN_FIND_KEYNUM, .index = 2, .first = 1, .step = 1, .notes = WORST_CASE}},
             .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "That of the function.",
             .summary = "Calls a function of a library.", .arguments = "function numkeys:integer [key:key...] [arg...]")
{
    fcall(call, false);
}

ROAN_COMMAND(fcall_ro, .arity = -3,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_STALE | ROAN_CMD_SKIP_MONITOR | ROAN_CMD_NO_MANDATORY_KEYS |
                      ROAN_CMD_READ,
             .lock = ROAN_LOCK_T,
             .keys = {{.flags = ROAN_KEY_RO | ROAN_KEY_ACCESS, .begin = ROAN_BEGIN_INDEX, .find = ROAN_FIND_KEYNUM,
                       .index = 2, .first = 1, .step = 1, .notes = WORST_CASE}},
             .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "That of the function.",
             .summary = "Calls a function of a library that only reads.",
             .arguments = "function numkeys:integer [key:key...] [arg...]")
{
    fcall(call, true);
}
