/* server/cmd/config.c: CONFIG: looking at the options of the running server and changing them.
 *
 * GET reads and SET changes roan_engine.config with the gate shut, so no lane ever sees half a change. What a change
 * needs besides the new value, and the configuration file, are the host's: roan_host.config_hooks.
 */
#include "engine/acl.h"
#include "engine/call.h"
#include "engine/config.h"
#include "engine/stats.h"

#include <string.h>

#define NAME_SHOWN_MAX 128 /* of a name in an error */

ROAN_COMMAND(config, .arity = -2, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "2.0.0",
             .complexity = "Depends on the subcommand.",
             .summary = "Groups the commands about the server's settings.")
{
    roan_call_unknown_subcommand(call);
}

/* --- GET ---------------------------------------------------------------------------------------------------------- */

/* The options to show: every name at most once, whatever its case. */
typedef struct match_list {
    struct {
        roan_slice name; /* as it is shown: an exact name as the client wrote it */
        const roan_option *option;
    } *items;
    size_t count, capacity;
} match_list;

static void add_match(match_list *matches, roan_slice name, const roan_option *option)
{
    for (size_t i = 0; i < matches->count; i++)
        if (matches->items[i].option == option && matches->items[i].name.bytes == name.bytes &&
            strncasecmp(matches->items[i].name.data, name.data, name.bytes) == 0)
            return;
    ROAN_ASSERT(matches->count < matches->capacity);
    matches->items[matches->count].name = name;
    matches->items[matches->count++].option = option;
}

static bool is_pattern(roan_slice text)
{
    for (size_t i = 0; i < text.bytes; i++)
        if (text.data[i] == '*' || text.data[i] == '?' || text.data[i] == '[')
            return true;
    return false;
}

static void add_matches(match_list *matches, roan_slice pattern)
{
    if (!is_pattern(pattern)) {
        const roan_option *option = roan_option_find(pattern);
        if (option != NULL && (option->flags & ROAN_OPTION_FILE) == 0)
            add_match(matches, pattern, option);
        return;
    }
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        if ((option->flags & ROAN_OPTION_HIDDEN) != 0)
            continue;
        roan_slice name = roan_slice_from_text(option->name);
        if (roan_glob_match(pattern, name, true))
            add_match(matches, name, option);
        name = roan_slice_from_text(option->alias != NULL ? option->alias : option->name);
        if (option->alias != NULL && roan_glob_match(pattern, name, true))
            add_match(matches, name, option);
    }
}

ROAN_SUBCOMMAND(config, get, .arity = -3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "2.0.0",
                .complexity = "O(N) for N patterns.",
                .summary = "Shows the settings whose names match one of the patterns.",
                .arguments = "parameter...", .history = "7.0.0|Takes several patterns.")
{
    match_list matches = {0};
    roan_buffer value = {0};
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option))
        matches.capacity += 2; /* its name and its alias */
    matches.items = roan_alloc(matches.capacity * sizeof *matches.items);
    for (size_t i = 2; i < call->argc; i++)
        add_matches(&matches, call->argv[i]);

    roan_out_map(call->out, matches.count);
    for (size_t i = 0; i < matches.count; i++) {
        value.bytes = 0;
        roan_option_format(&call->engine->config, matches.items[i].option, &value);
        roan_out_bulk(call->out, matches.items[i].name);
        roan_out_bulk(call->out, roan_buffer_slice(&value));
    }
    roan_buffer_done(&value);
    roan_free(matches.items, matches.capacity * sizeof *matches.items);
}

/* --- SET ---------------------------------------------------------------------------------------------------------- */

static bool may_change_protected(const roan_call *call)
{
    int64_t allowed = call->engine->config.enable_protected_configs;
    const roan_session *session = call->session;
    if (allowed != ROAN_ALLOW_LOCAL || session->is_embedded || session->ops == NULL || session->ops->describe == NULL)
        return allowed != ROAN_ALLOW_NO;
    roan_transport_info info = {0};
    session->ops->describe(session, &info);
    return info.is_unix || info.is_loopback;
}

static void log_line(const roan_call *call, int level, const char *text)
{
    const roan_host *host = &call->engine->host;
    if (host->log != NULL)
        host->log(host->context, level, text);
}

static void reply_change(roan_call *call, roan_change_result result, const roan_change *change)
{
    roan_slice name = {change->name.data, ROAN_MIN(change->name.bytes, (size_t)NAME_SHOWN_MAX)};
    switch (result) {
    case ROAN_CHANGE_DONE:
        roan_out_ok(call->out);
        return;
    case ROAN_CHANGE_UNKNOWN:
        roan_call_error_printf(call, "ERR Unknown option or number of arguments for CONFIG SET - '%.*s'",
                               ROAN_SLICE_ARG(name));
        return;
    case ROAN_CHANGE_LOADING:
        roan_call_error(call, "LOADING Roan is loading the dataset in memory");
        return;
    case ROAN_CHANGE_REFUSED:
        roan_call_error_printf(call, "ERR CONFIG SET failed (possibly related to argument '%.*s') - %s",
                               ROAN_SLICE_ARG(name), change->error.text);
        return;
    }
}

ROAN_SUBCOMMAND(config, set, .arity = -4,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "2.0.0",
                .complexity = "O(N) for N settings.",
                .summary = "Changes settings while the server runs.",
                .arguments = "data{parameter value}...",
                .tips = "request_policy:all_nodes response_policy:all_succeeded",
                .history = "7.0.0|Takes several settings, changed together or not at all.")
{
    if (call->argc % 2 != 0) {
        roan_call_syntax_error(call);
        return;
    }
    for (size_t i = 2; i < call->argc; i += 2)
        if (roan_option_is_secret(call->argv[i]))
            roan_call_redact(call, i + 1);
    roan_change change = {
        .hooks = call->engine->host.config_hooks,
        .allow_protected = may_change_protected(call),
    };
    roan_change_result result =
        roan_config_change(&call->engine->config, &change, (call->argc - 2) / 2, call->argv + 2);
    roan_engine_take_limits(call->engine);
    if (change.hook_error.text[0] != '\0') {
        roan_buffer text = {0};
        roan_buffer_printf(&text, "CONFIG SET could not apply '%.*s', the old values are back: %s",
                           ROAN_SLICE_ARG(change.name), change.hook_error.text);
        roan_buffer_append_char(&text, '\0');
        log_line(call, ROAN_LOG_WARNING, text.data);
        roan_buffer_done(&text);
    }
    reply_change(call, result, &change);
}

/* --- the rest ----------------------------------------------------------------------------------------------------- */

ROAN_SUBCOMMAND(config, rewrite, .arity = 2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "2.8.0",
                .complexity = "O(1)",
                .summary = "Writes the settings now in force back to the configuration file.",
                .tips = "request_policy:all_nodes response_policy:all_succeeded")
{
    const roan_config_hooks *hooks = call->engine->host.config_hooks;
    roan_error error;
    if (hooks == NULL || hooks->rewrite == NULL) {
        roan_call_error(call, "ERR The server is running without a config file");
        return;
    }
    roan_acl_store(call->engine);
    if (hooks->rewrite(hooks->rewrite_context, &call->engine->config, false, &error) != ROAN_OK) {
        log_line(call, ROAN_LOG_WARNING, "CONFIG REWRITE failed");
        roan_call_error_printf(call, "ERR Rewriting config file: %s", error.text);
        return;
    }
    log_line(call, ROAN_LOG_NOTICE, "CONFIG REWRITE wrote the configuration file");
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(config, resetstat, .arity = 2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "2.0.0",
                .complexity = "O(1)", .summary = "Sets the counters shown by INFO back to zero.",
                .tips = "request_policy:all_nodes response_policy:all_succeeded")
{
    roan_stats_reset(call->engine);
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(config, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "5.0.0",
                .complexity = "O(1)", .summary = "Lists the subcommands of CONFIG.")
{
    static const char *const lines[] = {
        "GET <pattern>",
        "    Return parameters matching the glob-like <pattern> and their values.",
        "SET <directive> <value>",
        "    Set the configuration <directive> to <value>.",
        "RESETSTAT",
        "    Reset statistics reported by the INFO command.",
        "REWRITE",
        "    Rewrite the configuration file.",
        NULL,
    };
    roan_call_help(call, lines);
}
