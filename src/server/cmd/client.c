/* server/cmd/client.c: CLIENT: what a connection may say about itself (name, library, replies, exemptions), and holding
 * back or waking others. LIST and INFO are in client_list.c, KILL in client_kill.c.
 *
 * PAUSE is a time in the engine that dispatch looks at: a request that may not run is held, unread, by its own lane.
 * The pause ends by itself when that time has come; UNPAUSE clears it and wakes every lane.
 */
#include "engine/call.h"

#include "base/macros.h"
#include "engine/session_text.h"

ROAN_COMMAND(client, .arity = -2, .acl = ROAN_ACL_NO_GROUP, .lock = ROAN_LOCK_L,
             .group = ROAN_GROUP_CONNECTION, .since = "2.4.0",
             .complexity = "Depends on the subcommand.",
             .summary = "Groups the commands about connections.")
{
    roan_call_unknown_subcommand(call);
}

/* ---- identity ---- */

ROAN_SUBCOMMAND(client, id, .arity = 2,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE |
                    ROAN_CMD_ALLOW_BUSY,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "5.0.0",
                .complexity = "O(1)",
                .summary = "Shows the number that identifies this connection.")
{
    roan_out_integer(call->out, (int64_t)call->session->id);
}

ROAN_SUBCOMMAND(client, getname, .arity = 2,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE |
                    ROAN_CMD_ALLOW_BUSY,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "2.6.9",
                .complexity = "O(1)", .summary = "Shows the name given to this connection.")
{
    if (call->session->name == NULL)
        roan_out_null(call->out);
    else
        roan_out_bulk_text(call->out, call->session->name);
}

ROAN_SUBCOMMAND(client, setname, .arity = 3,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE |
                    ROAN_CMD_ALLOW_BUSY,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "2.6.9",
                .complexity = "O(1)", .summary = "Gives this connection a name.",
                .arguments = "connection-name",
                .tips = "request_policy:all_nodes response_policy:all_succeeded")
{
    if (!roan_session_check_name(call, call->argv[2]))
        return;
    roan_session_set_text(&call->session->name, call->argv[2]);
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(client, setinfo, .arity = 4,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE |
                    ROAN_CMD_ALLOW_BUSY,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "7.2.0",
                .complexity = "O(1)",
                .summary = "Records which client library this connection uses.",
                .arguments = "attr<LIB-NAME libname|LIB-VER libver>",
                .tips = "request_policy:all_nodes response_policy:all_succeeded")
{
    roan_session *session = call->session;
    char **field = roan_call_is(call, 2, "lib-name")  ? &session->lib_name
                   : roan_call_is(call, 2, "lib-ver") ? &session->lib_version
                                                      : NULL;
    if (field == NULL) {
        roan_call_error_printf(call, "ERR Unrecognized option '%.*s'", (int)ROAN_MIN(call->argv[2].bytes, 128u),
                               call->argv[2].data);
        return;
    }
    if (!roan_session_text_is_fine(call->argv[3])) {
        roan_call_error_printf(call, "ERR %.*s cannot contain spaces, newlines or special characters.",
                               ROAN_SLICE_ARG(call->argv[2]));
        return;
    }
    roan_session_set_text(field, call->argv[3]);
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(client, capa, .arity = -3,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE |
                    ROAN_CMD_ALLOW_BUSY,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "8.0.0",
                .complexity = "O(1)",
                .summary = "Tells the server which optional features this client understands.",
                .arguments = "capability...")
{
    for (size_t i = 2; i < call->argc; i++)
        if (roan_call_is(call, i, "redirect"))
            call->session->capa_redirect = true;
    roan_out_ok(call->out);
}

/* ---- switches ---- */

/* The third word as a switch; false after a syntax error was sent. */
static bool parse_switch(roan_call *call, bool *ret_on)
{
    *ret_on = roan_call_is(call, 2, "on");
    if (*ret_on || roan_call_is(call, 2, "off"))
        return true;
    roan_call_syntax_error(call);
    return false;
}

ROAN_SUBCOMMAND(client, no_evict, .name = "client|no-evict", .arity = 3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING |
                    ROAN_CMD_STALE | ROAN_CMD_ALLOW_BUSY,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "7.0.0",
                .complexity = "O(1)",
                .summary = "Exempts this connection from being closed when clients use too much "
                           "memory.",
                .arguments = "enabled<ON|OFF>")
{
    bool on;
    if (!parse_switch(call, &on))
        return;
    call->session->no_evict = on;
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(client, no_touch, .name = "client|no-touch", .arity = 3,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE |
                    ROAN_CMD_ALLOW_BUSY,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "7.2.0",
                .complexity = "O(1)",
                .summary = "Chooses whether this connection's reads count as use of a key for "
                           "eviction.",
                .arguments = "enabled<ON|OFF>")
{
    bool on;
    if (!parse_switch(call, &on))
        return;
    call->session->no_touch = on;
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(client, import_source, .name = "client|import-source", .arity = 3,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "8.1.0",
                .complexity = "O(1)",
                .summary = "Lets this connection write data being imported while the server is "
                           "in import mode.",
                .arguments = "enabled<ON|OFF>")
{
    if (roan_call_is(call, 2, "off"))
        roan_out_ok(call->out);
    else
        roan_call_error(call, "ERR Server is not in import mode"); /* there is no such mode yet */
}

/* Dispatch takes the replies of the modes OFF and SKIP back, that of this command included. */
ROAN_SUBCOMMAND(client, reply, .arity = 3,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE |
                    ROAN_CMD_NO_MULTI | ROAN_CMD_ALLOW_BUSY,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "3.2.0",
                .complexity = "O(1)",
                .summary = "Switches the replies to this connection on or off.",
                .arguments = "action<ON|OFF|SKIP>")
{
    roan_session *session = call->session;
    if (roan_call_is(call, 2, "on")) {
        session->reply_mode = ROAN_REPLY_ON;
        roan_out_ok(call->out);
    } else if (roan_call_is(call, 2, "off")) {
        session->reply_mode = ROAN_REPLY_OFF;
    } else if (roan_call_is(call, 2, "skip")) {
        if (session->reply_mode != ROAN_REPLY_OFF)
            session->reply_mode = ROAN_REPLY_SKIP_NEXT;
    } else {
        roan_call_syntax_error(call);
    }
}

/* ---- holding back, waking ---- */

static bool parse_pause_end(roan_call *call, int64_t *ret_until_ms)
{
    int64_t timeout_ms;
    if (!roan_call_integer(call, 2, &timeout_ms, "ERR timeout is not an integer or out of range"))
        return false;
    if (timeout_ms < 0) {
        roan_call_error(call, "ERR timeout is negative");
        return false;
    }
    if (__builtin_add_overflow(call->now_ms, timeout_ms, ret_until_ms)) {
        roan_call_error(call, "ERR timeout is out of range");
        return false;
    }
    return true;
}

/* The third word counts only when it is the last one, as in the reference. */
static bool parse_pause_mode(roan_call *call, bool *ret_all)
{
    *ret_all = call->argc != 4 || roan_call_is(call, 3, "all");
    if (*ret_all || roan_call_is(call, 3, "write"))
        return true;
    roan_call_error(call, "ERR CLIENT PAUSE mode must be WRITE or ALL");
    return false;
}

/* A pause that is running gets neither shorter nor weaker. */
ROAN_SUBCOMMAND(client, pause, .arity = -3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_CONNECTION, .since = "3.0.0",
                .complexity = "O(1)",
                .summary = "Holds back the commands of all clients for a while.",
                .arguments = "timeout:integer [mode^6.2.0<WRITE|ALL>]",
                .history = "6.2.0|The mode WRITE holds back writes only.")
{
    roan_engine *engine = call->engine;
    int64_t until_ms;
    bool all;
    if (!parse_pause_mode(call, &all) || !parse_pause_end(call, &until_ms))
        return;
    if (roan_engine_is_paused(engine, call->now_ms)) {
        all = all || atomic_load(&engine->pause_all) != 0;
        until_ms = ROAN_MAX(until_ms, atomic_load(&engine->pause_until_ms));
    }
    atomic_store(&engine->pause_all, all);
    atomic_store(&engine->pause_until_ms, until_ms);
    roan_out_ok(call->out);
}

ROAN_SUBCOMMAND(client, unpause, .arity = 2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_CONNECTION, .since = "6.2.0",
                .complexity = "O(C) for C connections held back.",
                .summary = "Ends a CLIENT PAUSE.")
{
    roan_engine *engine = call->engine;
    atomic_store(&engine->pause_until_ms, 0);
    for (unsigned i = 0; i < engine->lane_count; i++)
        if (engine->lanes[i].is_paused && engine->host.wake != NULL)
            engine->host.wake(engine->host.context, &engine->lanes[i]);
    roan_out_ok(call->out);
}

static bool parse_unblock_reason(roan_call *call, roan_unblock_reason *ret_reason)
{
    *ret_reason = ROAN_UNBLOCK_TIMEOUT;
    if (call->argc != 4 || roan_call_is(call, 3, "timeout"))
        return true;
    *ret_reason = ROAN_UNBLOCK_ERROR;
    if (roan_call_is(call, 3, "error"))
        return true;
    roan_call_error(call, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    return false;
}

ROAN_SUBCOMMAND(client, unblock, .arity = -3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_CONNECTION, .since = "5.0.0",
                .complexity = "O(log C) for C connections.",
                .summary = "Wakes another connection that waits in a blocking command.",
                .arguments = "client-id:integer [unblock-type<TIMEOUT|ERROR>]")
{
    roan_unblock_reason reason;
    int64_t id;
    if (!parse_unblock_reason(call, &reason) || !roan_call_integer(call, 2, &id, NULL))
        return;
    roan_session *session = id > 0 ? roan_sessions_find(call->engine, (uint64_t)id) : NULL;
    bool can_wake = session != NULL && session->is_blocked && !session->is_closing;
    if (can_wake)
        roan_session_unblock(session, reason);
    roan_out_integer(call->out, can_wake && !session->is_blocked);
}

/* ---- help ---- */

ROAN_SUBCOMMAND(client, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "5.0.0",
                .complexity = "O(1)", .summary = "Lists the subcommands of CLIENT.")
{
    static const char *const lines[] = {
        "CACHING (YES|NO)",
        "    Whether what the next command reads is tracked, in the modes OPTIN and OPTOUT.",
        "CAPA <name> [<name> ...]",
        "    Says what this client understands. Names that are not known are ignored:",
        "    REDIRECT: it follows a REDIRECT reply to another server.",
        "GETNAME",
        "    The name of this connection.",
        "GETREDIR",
        "    The number of the connection that gets this one's tracking messages.",
        "ID",
        "    The number of this connection.",
        "IMPORT-SOURCE (ON|OFF)",
        "    Whether this connection brings data into a server in import mode.",
        "INFO",
        "    Describes this connection in one line.",
        "KILL <ip:port>",
        "    Closes the connection that comes from this address.",
        "KILL <filter> <value> [<filter> <value> ...]",
        "    Closes the connections that all the filters let through, not this one unless SKIPME is NO.",
        "LIST [<filter> <value> ...]",
        "    Describes the connections that all the filters let through, one per line. The filters are:",
        "    ADDR <ip:port>: where it comes from (a path and :0 for a socket file).",
        "    CAPA <letters>: what it understands.",
        "    DB <number>: the database it works on.",
        "    FLAGS <letters>: it has all of these flags.",
        "    ID <number> [<number> ...]: one of these connections.",
        "    IDLE <seconds>: it has been silent for at least so long.",
        "    IP <ip>: where it comes from, whatever the port.",
        "    LADDR <ip:port>: the address of this server that it has connected to.",
        "    LIB-NAME <name>, LIB-VER <version>: the library it uses.",
        "    MAXAGE <seconds>: it is at least so old.",
        "    NAME <name>: its name.",
        "    SKIPME (YES|NO): whether to leave this connection out.",
        "    TYPE (NORMAL|PRIMARY|REPLICA|PUBSUB): its kind.",
        "    USER <name>: the user it is logged in as.",
        "    NOT- before ADDR, CAPA, DB, FLAGS, ID, IP, LADDR, LIB-NAME, LIB-VER, NAME, TYPE or USER: the others.",
        "NO-EVICT (ON|OFF)",
        "    Whether this connection stays open when clients take too much memory.",
        "NO-TOUCH (ON|OFF)",
        "    Whether what this connection reads counts as unused.",
        "PAUSE <milliseconds> [WRITE|ALL]",
        "    Holds back the writes, or everything, of all clients for a while.",
        "REPLY (ON|OFF|SKIP)",
        "    Whether this connection gets replies; SKIP leaves out the next one.",
        "SETINFO (LIB-NAME <name>|LIB-VER <version>)",
        "    Tells which library this client uses.",
        "SETNAME <name>",
        "    Names this connection; an empty name takes it away.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [PREFIX <prefix> ...]] [OPTIN|OPTOUT] [NOLOOP]",
        "    Whether this connection is told when keys that it has read (BCAST: that have a prefix) change.",
        "TRACKINGINFO",
        "    How this connection tracks keys.",
        "UNBLOCK <id> [TIMEOUT|ERROR]",
        "    Ends the waiting of a connection as if its time were over, or with an error.",
        "UNPAUSE",
        "    Ends a PAUSE.",
        NULL,
    };
    roan_call_help(call, lines);
}
