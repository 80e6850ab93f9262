/* engine/cmd/debug.c: DEBUG: what test suites and people hunting a bug use to look inside and to provoke rare states.
 *
 * A subcommand is a row: name, how many words, function, help. Switches for parts that this server does not have (or
 * does differently) are accepted, so that suites written for the reference run. What would crash the server is left
 * out. enable-debug-command says who may use it.
 */
#include "engine/cmd/debug.h"

#include "engine/command_keys.h"
#include "engine/script/script.h"

#include <stdio.h>

typedef struct debug_row {
    const char *name;
    uint8_t argc_min, argc_max; /* words of the whole command line; UINT8_MAX: any number */
    void (*run)(roan_call *call);
    const char *usage, *help;   /* for DEBUG HELP; NULL: not shown */
} debug_row;

/* ---- switches ---- */

static void accept(roan_call *call)
{
    roan_out_ok(call->out);
}

static int64_t lenient_integer(const roan_call *call);

/* For tests: scripts may call commands that are not for them. */
static void allow_denied_in_scripts(roan_call *call)
{
    call->engine->scripts->allows_denied = lenient_integer(call) != 0;
    roan_out_ok(call->out);
}

/* The number in argv[2], or 0: the reference does not complain about anything here. */
static int64_t lenient_integer(const roan_call *call)
{
    int64_t value;
    return roan_parse_i64(call->argv[2], &value) ? value : 0;
}

static void set_active_expire(roan_call *call)
{
    call->engine->active_expire_is_on = lenient_integer(call) != 0;
    roan_out_ok(call->out);
}

static void pause_cron(roan_call *call)
{
    call->engine->cron_is_paused = lenient_integer(call) != 0;
    roan_out_ok(call->out);
}

static void change_replication_id(roan_call *call)
{
    roan_random_hex(&call->lane->random, call->engine->replication_id, 40);
    roan_out_ok(call->out);
}

static void set_packed_threshold(roan_call *call)
{
    uint64_t bytes;
    if (roan_parse_memory(call->argv[2], &bytes) && bytes <= UINT64_C(4) << 30)
        roan_out_ok(call->out);
    else
        roan_call_error(call, "ERR argument must be a memory value bigger than 1 and smaller than 4gb");
}

static void set_reply_buffer(roan_call *call)
{
    int64_t time_ms;
    bool is_time = roan_call_is(call, 2, "PEAK-RESET-TIME");
    if (!is_time && !roan_call_is(call, 2, "RESIZING"))
        roan_call_error_printf(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                               ROAN_SLICE_ARG(call->argv[1]));
    else if (!is_time || roan_call_is(call, 3, "NEVER") || roan_call_is(call, 3, "RESET") ||
             roan_call_integer(call, 3, &time_ms, NULL))
        roan_out_ok(call->out);
}

/* ---- actions ---- */

#define SLEEP_SECONDS_MAX 1e9

static void stand_still(roan_call *call)
{
    double seconds;
    roan_engine *engine = call->engine;
    if (!roan_parse_double(call->argv[2], &seconds) || !(seconds > 0))
        seconds = 0;
    int64_t us = (int64_t)(ROAN_MIN(seconds, SLEEP_SECONDS_MAX) * 1e6);
    if (engine->clock->is_virtual)
        roan_clock_advance(engine->clock, us);
    else if (engine->host.sleep != NULL && us > 0)
        engine->host.sleep(engine->host.context, us);
    roan_out_ok(call->out);
}

static void reply_error(roan_call *call)
{
    roan_call_error_printf(call, "%.*s", ROAN_SLICE_ARG(call->argv[2]));
}

static void write_log(roan_call *call)
{
    const roan_host *host = &call->engine->host;
    roan_buffer *text = &call->lane->scratch;
    text->bytes = 0;
    roan_buffer_printf(text, "DEBUG LOG: %.*s", ROAN_SLICE_ARG(call->argv[2]));
    roan_buffer_append_char(text, '\0');
    if (host->log != NULL)
        host->log(host->context, 3, text->data);
    roan_out_ok(call->out);
}

#define MATCHES_TRIED 20000

/* Random patterns against random texts of an alphabet of trouble: whatever the answers are, they come. */
static void try_matching(roan_call *call)
{
    static const char alphabet[] = "ab*?[]^-\\";
    char pattern[24], text[24];
    roan_random *random = &call->lane->random;
    for (unsigned i = 0; i < MATCHES_TRIED; i++) {
        size_t pattern_bytes = roan_random_below(random, sizeof pattern);
        size_t text_bytes = roan_random_below(random, sizeof text);
        for (size_t j = 0; j < pattern_bytes; j++)
            pattern[j] = alphabet[roan_random_below(random, sizeof alphabet - 1)];
        for (size_t j = 0; j < text_bytes; j++)
            text[j] = alphabet[roan_random_below(random, sizeof alphabet - 1)];
        ROAN_IGNORE(roan_glob_match(roan_slice_make(pattern, pattern_bytes), roan_slice_make(text, text_bytes),
                                    i % 2 == 0)); /* only that it ends */
    }
    roan_out_status(call->out, "Apparently the server did not crash: test passed");
}

static void show_client_eviction(roan_call *call)
{
    uint64_t limit = roan_config_maxmemory_clients(&call->engine->config);
    if (limit == 0) {
        roan_call_error(call, "ERR maxmemory-clients is disabled.");
        return;
    }
    size_t clients = 0, bytes = 0;
    for (roan_session *s = roan_sessions_first(call->engine); s != NULL; s = roan_sessions_next(s)) {
        roan_transport_info info = {0};
        s->ops->describe(s, &info);
        clients += !s->no_evict;
        bytes += s->no_evict ? 0 : info.total_bytes;
    }
    roan_out_bulk_printf(call->out, "Clients: %zu\nMemory: %zu\nLimit: %llu\n", clients, bytes,
                         (unsigned long long)limit);
}

/* ---- the table ---- */

static void show_help(roan_call *call);

static const debug_row debug_rows[] = {
    {"AOF-FLUSH-SLEEP", 3, 3, accept, NULL, NULL},
    {"CHANGE-REPL-ID", 2, 2, change_replication_id, "CHANGE-REPL-ID", "Give this server a new replication id."},
    {"CLIENT-ENFORCE-REPLY-LIST", 3, 3, accept, NULL, NULL},
    {"CLIENT-EVICTION", 2, 2, show_client_eviction, "CLIENT-EVICTION",
     "Show the memory of clients that maxmemory-clients looks at."},
    {"DICT-RESIZING", 3, 3, accept, NULL, NULL},
    {"DIGEST", 2, 2, roan_debug_digest, "DIGEST", "Show a digest of all databases that does not depend on order."},
    {"DIGEST-VALUE", 2, UINT8_MAX, roan_debug_digest_value, "DIGEST-VALUE <key> [<key> ...]",
     "Show a digest of each key's value and expiry."},
    {"ERROR", 3, 3, reply_error, "ERROR <text>", "Answer with an error of that text."},
    {"HASHTABLE-CAN-ABORT-SHRINK", 3, 3, accept, NULL, NULL},
    {"HELP", 2, 2, show_help, NULL, NULL},
    {"HTSTATS", 3, 4, roan_debug_htstats, "HTSTATS <db> [full]", "Show size and use of a database's tables."},
    {"HTSTATS-KEY", 3, 4, roan_debug_htstats_key, "HTSTATS-KEY <key> [full]", "The same for a value that is a table."},
    {"LISTPACK", 3, 3, roan_debug_encoded_as, NULL, NULL},
    {"LOG", 3, 3, write_log, "LOG <message>", "Write a message to the server's log."},
    {"OBJECT", 3, 4, roan_debug_object, "OBJECT <key> [fast]",
     "Show address, encoding, serialized size and age of a value; fast leaves out the size."},
    {"PAUSE-AFTER-FORK", 3, 3, accept, NULL, NULL},
    {"PAUSE-CRON", 3, 3, pause_cron, "PAUSE-CRON <0|1>", "Stop housekeeping, or go on with it."},
    {"POPULATE", 3, 5, roan_debug_populate, "POPULATE <count> [<prefix>] [<size>]",
     "Create strings named <prefix>:<number> (key:<number>) that do not exist yet."},
    {"PROTOCOL", 3, 3, roan_debug_protocol, "PROTOCOL <type>",
     "Answer with a sample of a type: string, integer, double, bignum, null, array, set, map,\n"
     "attrib, push, verbatim, true or false."},
    {"QUICKLIST", 3, 4, roan_debug_encoded_as, NULL, NULL},
    {"QUICKLIST-PACKED-THRESHOLD", 3, 3, set_packed_threshold, NULL, NULL},
    {"REPLYBUFFER", 4, 4, set_reply_buffer, NULL, NULL},
    {"SDSLEN", 3, 3, roan_debug_sdslen, "SDSLEN <key>", "Show lengths and allocations of a key and its string."},
    {"SET-ACTIVE-EXPIRE", 3, 3, set_active_expire, "SET-ACTIVE-EXPIRE <0|1>",
     "With 0, expired keys are removed only when somebody asks for them."},
    {"SET-DISABLE-DENY-SCRIPTS", 3, 3, allow_denied_in_scripts, NULL, NULL},
    {"SET-SKIP-CHECKSUM-VALIDATION", 3, 3, accept, NULL, NULL},
    {"SLEEP", 3, 3, stand_still, "SLEEP <seconds>", "Stand still for that long, with all threads."},
    {"STRINGMATCH-TEST", 2, 2, try_matching, "STRINGMATCH-TEST", "Match random texts against random patterns."},
    {"STRUCTSIZE", 2, 2, roan_debug_structsize, "STRUCTSIZE", "Show the sizes of central structures."},
};

/* A line of its own for every line of the text. */
static size_t send_indented(roan_call *call, const char *text)
{
    size_t lines = 0;
    while (*text != '\0') {
        size_t bytes = strcspn(text, "\n");
        char line[160];
        snprintf(line, sizeof line, "    %.*s", (int)bytes, text);
        roan_out_status(call->out, line);
        text += bytes + (text[bytes] == '\n');
        lines++;
    }
    return lines;
}

static void show_help(roan_call *call)
{
    roan_out_mark mark = roan_out_open(call->out);
    size_t lines = 3;
    roan_out_status(call->out, "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (size_t i = 0; i < ROAN_COUNT_OF(debug_rows); i++) {
        if (debug_rows[i].usage == NULL)
            continue;
        roan_out_status(call->out, debug_rows[i].usage);
        lines += 1 + send_indented(call, debug_rows[i].help);
    }
    roan_out_status(call->out, "HELP");
    roan_out_status(call->out, "    Print this help.");
    roan_out_close_array(call->out, mark, lines);
}

/* ---- the command ---- */

static bool is_local(const roan_session *session)
{
    roan_transport_info info = {0};
    session->ops->describe(session, &info);
    return session->is_embedded || info.is_unix || info.is_loopback;
}

static bool is_allowed(const roan_call *call)
{
    int64_t allowed = call->engine->config.enable_debug_command;
    return allowed == ROAN_ALLOW_YES || (allowed == ROAN_ALLOW_LOCAL && is_local(call->session));
}

static const debug_row *find_row(const roan_call *call)
{
    for (size_t i = 0; i < ROAN_COUNT_OF(debug_rows); i++) {
        const debug_row *row = &debug_rows[i];
        if (roan_call_is(call, 1, row->name) && call->argc >= row->argc_min &&
            (row->argc_max == UINT8_MAX || call->argc <= row->argc_max))
            return row;
    }
    return NULL;
}

ROAN_COMMAND(debug, .arity = -2,
             .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
             .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "1.0.0",
             .complexity = "Depends on the subcommand.",
             .summary = "Groups commands for testing the server itself.", .is_system = true)
{
    if (!is_allowed(call)) {
        roan_call_error(call,
                        "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you "
                        "can run it from a local connection, otherwise you need to set this option in the "
                        "configuration file, and then restart the server.");
        return;
    }
    const debug_row *row = find_row(call);
    if (row != NULL)
        row->run(call);
    else
        roan_call_error_printf(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                               (int)ROAN_MIN(call->argv[1].bytes, 128u), call->argv[1].data);
}
