/* engine/cmd/function.c: FUNCTION: libraries of functions. */
#include "engine/script/library.h"

#include "base/macros.h"

#define CHANGE_FLAGS (ROAN_CMD_NO_SCRIPT | ROAN_CMD_WRITE)

ROAN_COMMAND(function, .arity = -2, .acl = ROAN_ACL_NO_GROUP, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SCRIPTING,
             .since = "7.0.0", .complexity = "Depends on the subcommand.", .summary = "Commands about functions.")
{
    roan_call_unknown_subcommand(call);
}

static void refuse_arguments(roan_call *call)
{
    roan_slice word = call->argv[1];
    roan_call_error_printf(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try FUNCTION HELP.",
                           (int)ROAN_MIN(word.bytes, 128u), word.data);
}

ROAN_SUBCOMMAND(function, load, .arity = -3, .flags = CHANGE_FLAGS | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_T,
                .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "O(1)",
                .summary = "Loads a library of functions.", .arguments = "[REPLACE] function-code",
                .tips = "request_policy:all_shards response_policy:all_succeeded")
{
    bool replaces = false;
    for (size_t i = 2; i + 1 < call->argc; i++) {
        if (!roan_call_is(call, i, "replace")) {
            roan_call_error_printf(call, "ERR Unknown option given: %.*s", ROAN_SLICE_ARG(call->argv[i]));
            return;
        }
        replaces = true;
    }
    const roan_library *library = roan_library_load(call, call->argv[call->argc - 1], replaces);
    if (library == NULL)
        return;
    roan_call_force_effect(call);
    roan_out_bulk_text(call->out, library->name);
}

ROAN_SUBCOMMAND(function, delete, .arity = 3, .flags = CHANGE_FLAGS, .lock = ROAN_LOCK_T,
                .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "O(1)",
                .summary = "Deletes a library and its functions.", .arguments = "library-name",
                .tips = "request_policy:all_shards response_policy:all_succeeded")
{
    roan_library *library = roan_library_find(call->engine->scripts, call->argv[2]);
    if (library == NULL) {
        roan_call_error(call, "ERR Library not found");
        return;
    }
    roan_library_delete(call->engine->scripts, library);
    roan_call_force_effect(call);
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(function, flush, .arity = -2, .flags = CHANGE_FLAGS, .lock = ROAN_LOCK_T,
                .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "O(N) for N functions.",
                .summary = "Deletes all libraries.", .arguments = "[flush-type<ASYNC|SYNC>]",
                .tips = "request_policy:all_shards response_policy:all_succeeded")
{
    if (call->argc > 3) {
        refuse_arguments(call);
        return;
    }
    if (call->argc == 3 && !roan_call_is(call, 2, "sync") && !roan_call_is(call, 2, "async")) {
        roan_call_error(call, "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
        return;
    }
    roan_libraries_flush(call->engine->scripts);
    roan_call_force_effect(call);
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(function, dump, .arity = 2, .flags = ROAN_CMD_NO_SCRIPT, .lock = ROAN_LOCK_T,
                .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "O(N) for N functions.",
                .summary = "Gives all libraries in serialised form.")
{
    roan_buffer payload = {0};
    roan_libraries_dump(call->engine->scripts, &payload);
    roan_out_bulk(call->out, roan_buffer_slice(&payload));
    roan_buffer_done(&payload);
}

ROAN_SUBCOMMAND(function, restore, .arity = -3, .flags = CHANGE_FLAGS | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_T,
                .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "O(N) for N functions.",
                .summary = "Loads the libraries that FUNCTION DUMP gave.",
                .arguments = "serialized-value [policy<FLUSH|APPEND|REPLACE>]",
                .tips = "request_policy:all_shards response_policy:all_succeeded")
{
    roan_restore_policy policy = ROAN_RESTORE_APPEND;
    if (call->argc > 4) {
        refuse_arguments(call);
        return;
    }
    if (call->argc == 4 && roan_call_is(call, 3, "flush")) {
        policy = ROAN_RESTORE_FLUSH;
    } else if (call->argc == 4 && roan_call_is(call, 3, "replace")) {
        policy = ROAN_RESTORE_REPLACE;
    } else if (call->argc == 4 && !roan_call_is(call, 3, "append")) {
        roan_call_error(call, "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
        return;
    }
    if (!roan_libraries_restore(call, call->argv[2], policy))
        return;
    roan_call_force_effect(call);
    roan_out_ok(call->out);
}

/* ---- FUNCTION LIST ---- */

static void show_function(roan_call *call, const roan_function *function)
{
    size_t count = 0;
    roan_out_map(call->out, 3);
    roan_out_bulk_text(call->out, "name");
    roan_out_bulk_text(call->out, function->name);
    roan_out_bulk_text(call->out, "description");
    if (function->description != NULL)
        roan_out_bulk_text(call->out, function->description);
    else
        roan_out_null(call->out);
    roan_out_bulk_text(call->out, "flags");
    roan_out_mark mark = roan_out_open(call->out);
    for (unsigned i = 0; i < ROAN_COUNT_OF(roan_script_flag_names); i++)
        if (function->flags >> i & 1) {
            roan_out_status(call->out, roan_script_flag_names[i]);
            count++;
        }
    roan_out_close_set(call->out, mark, count);
}

static void show_library(roan_call *call, const roan_library *library, bool with_code)
{
    roan_out_map(call->out, with_code ? 4 : 3);
    roan_out_bulk_text(call->out, "library_name");
    roan_out_bulk_text(call->out, library->name);
    roan_out_bulk_text(call->out, "engine");
    roan_out_bulk_text(call->out, "LUA");
    roan_out_bulk_text(call->out, "functions");
    roan_out_array(call->out, library->function_count);
    for (const roan_function *f = library->functions; f != NULL; f = f->next)
        show_function(call, f);
    if (!with_code)
        return;
    roan_out_bulk_text(call->out, "library_code");
    roan_out_bulk(call->out, roan_slice_make(library->code, library->bytes));
}

typedef struct list_options {
    bool with_code, has_pattern;
    roan_slice pattern;
} list_options;

static bool parse_list(roan_call *call, list_options *options)
{
    *options = (list_options){0};
    for (size_t i = 2; i < call->argc; i++) {
        if (!options->with_code && roan_call_is(call, i, "withcode")) {
            options->with_code = true;
        } else if (!options->has_pattern && roan_call_is(call, i, "libraryname")) {
            if (i + 1 >= call->argc) {
                roan_call_error(call, "ERR library name argument was not given");
                return false;
            }
            options->has_pattern = true;
            options->pattern = call->argv[++i];
        } else {
            roan_call_error_printf(call, "ERR Unknown argument %.*s", ROAN_SLICE_ARG(call->argv[i]));
            return false;
        }
    }
    return true;
}

ROAN_SUBCOMMAND(function, list, .arity = -2, .flags = ROAN_CMD_NO_SCRIPT, .lock = ROAN_LOCK_T,
                .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "O(N) for N functions.",
                .summary = "Lists libraries and their functions.",
                .arguments = "[LIBRARYNAME library-name-pattern] [WITHCODE]", .tips = "nondeterministic_output_order")
{
    roan_scripts *scripts = call->engine->scripts;
    list_options options;
    size_t count = 0;
    if (!parse_list(call, &options))
        return;
    roan_out_mark mark = roan_out_open(call->out);
    for (roan_hash_node *node = roan_hash_set_walk(&scripts->libraries, NULL); node != NULL;
         node = roan_hash_set_walk(&scripts->libraries, node)) {
        const roan_library *library = (const roan_library *)node;
        if (options.has_pattern && !roan_glob_match(options.pattern, roan_slice_from_text(library->name), true))
            continue;
        show_library(call, library, options.with_code);
        count++;
    }
    roan_out_close_array(call->out, mark, count);
}

/* ---- what runs ---- */

ROAN_SUBCOMMAND(function, stats, .arity = 2, .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_ALLOW_BUSY, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "O(1)",
                .summary = "Tells of the function that is running and of the engines.",
                .tips = "nondeterministic_output request_policy:all_shards response_policy:special")
{
    roan_scripts *scripts = call->engine->scripts;
    if (atomic_load(&scripts->running) == ROAN_SCRIPT_EVAL) {
        roan_call_error(call, roan_script_busy_text(ROAN_SCRIPT_EVAL));
        return;
    }
    roan_out_map(call->out, 2);
    roan_out_bulk_text(call->out, "running_script");
    roan_script_show_running(call);
    roan_out_bulk_text(call->out, "engines");
    roan_out_map(call->out, 1);
    roan_out_bulk_text(call->out, "LUA");
    roan_out_map(call->out, 2);
    pthread_mutex_lock(&scripts->lock);
    size_t libraries = scripts->libraries.count, functions = scripts->function_names.count;
    pthread_mutex_unlock(&scripts->lock);
    roan_out_bulk_text(call->out, "libraries_count");
    roan_out_integer(call->out, (int64_t)libraries);
    roan_out_bulk_text(call->out, "functions_count");
    roan_out_integer(call->out, (int64_t)functions);
}

ROAN_SUBCOMMAND(function, kill, .arity = 2, .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_ALLOW_BUSY, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "O(1)",
                .summary = "Ends the function that is running, unless it has written.",
                .tips = "request_policy:all_shards response_policy:one_succeeded")
{
    roan_script_kill(call, ROAN_SCRIPT_FUNCTION);
}

ROAN_SUBCOMMAND(function, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_SCRIPTING, .since = "7.0.0", .complexity = "O(1)",
                .summary = "Lists the subcommands.")
{
    static const char *const lines[] = {
        "LOAD [REPLACE] <FUNCTION CODE>",
        "    Create a new library with the given library name and code.",
        "DELETE <LIBRARY NAME>",
        "    Delete the given library.",
        "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
        "    Return general information on all the libraries:",
        "    * Library name",
        "    * The engine used to run the Library",
        "    * Functions list",
        "    * Library code (if WITHCODE is given)",
        "    It also possible to get only function that matches a pattern using LIBRARYNAME argument.",
        "STATS",
        "    Return information about the current function running:",
        "    * Function name",
        "    * Command used to run the function",
        "    * Duration in MS that the function is running",
        "    If no function is running, return nil",
        "    In addition, returns a list of available engines.",
        "KILL",
        "    Kill the current running function.",
        "FLUSH [ASYNC|SYNC]",
        "    Delete all the libraries.",
        "    When called without the optional mode argument, the behavior is determined by the",
        "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the libraries.",
        "    * SYNC: Synchronously flush the libraries.",
        "DUMP",
        "    Return a serialized payload representing the current libraries, can be restored using FUNCTION RESTORE command",
        "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
        "    Restore the libraries represented by the given payload, it is possible to give a restore policy to",
        "    control how to handle existing libraries (default APPEND):",
        "    * FLUSH: delete all existing libraries.",
        "    * APPEND: appends the restored libraries to the existing libraries. On collision, abort.",
        "    * REPLACE: appends the restored libraries to the existing libraries, On collision, replace the old",
        "      libraries with the new libraries (notice that even on this option there is a chance of failure",
        "      in case of functions name collision with another library).",
        NULL};
    roan_call_help(call, lines);
}
