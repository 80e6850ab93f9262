/* server/cmd/connection.c: what a client says about itself before and between requests: AUTH, HELLO, PING, ECHO,
 * SELECT, RESET, QUIT.
 */
#include "engine/call.h"

#include "base/macros.h"
#include "engine/acl.h"
#include "engine/compat.h"
#include "engine/session_text.h"
#include "engine/stats.h"

#include <limits.h>

/* ---- logging in ---- */

/* False after WRONGPASS was sent. */
static bool log_in(roan_call *call, roan_slice user, roan_slice password)
{
    if (roan_acl_log_in(call, user, password))
        return true;
    roan_call_error(call, "WRONGPASS invalid username-password pair or user is disabled.");
    return false;
}

ROAN_COMMAND(auth, .arity = -2,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST |
                 ROAN_CMD_NO_AUTH | ROAN_CMD_ALLOW_BUSY,
             .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "1.0.0",
             .complexity = "O(P) for a user with P passwords.",
             .summary = "Logs this connection in as a user.",
             .arguments = "[username^6.0.0] password",
             .history = "6.0.0|A user name may stand before the password.")
{
    if (call->argc > 3) {
        roan_call_syntax_error(call);
        return;
    }
    for (size_t i = 1; i < call->argc; i++)
        roan_call_redact(call, i);
    if (call->argc == 2 && call->engine->acl->default_user->needs_no_password) {
        roan_call_error(call,
                        "ERR AUTH <password> called without any password configured for the default user. Are you "
                        "sure your configuration is correct?");
        return;
    }
    roan_slice user = call->argc == 3 ? call->argv[1] : ROAN_LITERAL("default");
    if (log_in(call, user, call->argv[call->argc - 1]))
        roan_out_ok(call->out);
}

/* ---- HELLO ---- */

typedef struct hello {
    int64_t protocol; /* 0: not given */
    roan_slice user, password, name;
    bool has_user, has_name;
} hello;

static bool parse_protocol(roan_call *call, hello *wanted)
{
    if (!roan_call_integer(call, 1, &wanted->protocol, "ERR Protocol version is not an integer or out of range"))
        return false;
    if (wanted->protocol == 2 || wanted->protocol == 3)
        return true;
    roan_call_error(call, "NOPROTO unsupported protocol version");
    return false;
}

static bool parse_hello(roan_call *call, hello *wanted)
{
    *wanted = (hello){0};
    if (call->argc > 1 && !parse_protocol(call, wanted))
        return false;
    for (size_t i = 2; i < call->argc; i++) {
        if (roan_call_is(call, i, "AUTH") && i + 2 < call->argc) {
            wanted->has_user = true;
            wanted->user = call->argv[i + 1];
            wanted->password = call->argv[i + 2];
            roan_call_redact(call, i + 1);
            roan_call_redact(call, i + 2);
            i += 2;
        } else if (roan_call_is(call, i, "SETNAME") && i + 1 < call->argc) {
            wanted->has_name = true;
            wanted->name = call->argv[++i];
            if (!roan_session_check_name(call, wanted->name))
                return false;
        } else {
            roan_call_error_printf(call, "ERR Syntax error in HELLO option '%.*s'",
                                   (int)ROAN_MIN(call->argv[i].bytes, 128u), call->argv[i].data);
            return false;
        }
    }
    return true;
}

static void reply_hello(roan_call *call)
{
    const char *zone = call->engine->config.availability_zone;
    roan_out *out = call->out;
    roan_out_map(out, zone[0] == '\0' ? 7 : 8);
    roan_out_bulk_text(out, "server");
    roan_out_bulk_text(out, ROAN_SERVER_NAME);
    roan_out_bulk_text(out, "version");
    roan_out_bulk_text(out, ROAN_COMPAT_VALKEY);
    roan_out_bulk_text(out, "proto");
    roan_out_integer(out, out->protocol);
    roan_out_bulk_text(out, "id");
    roan_out_integer(out, (int64_t)call->session->id);
    roan_out_bulk_text(out, "mode");
    roan_out_bulk_text(out, "standalone");
    roan_out_bulk_text(out, "role");
    roan_out_bulk_text(out, "master");
    roan_out_bulk_text(out, "modules");
    roan_out_array(out, 0);
    if (zone[0] == '\0')
        return;
    roan_out_bulk_text(out, "availability_zone");
    roan_out_bulk_text(out, zone);
}

ROAN_COMMAND(hello, .arity = -1,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST |
                 ROAN_CMD_NO_AUTH | ROAN_CMD_ALLOW_BUSY,
             .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "6.0.0",
             .complexity = "O(1)",
             .summary = "Chooses the protocol version, and can log in and name the connection on "
                        "the way.",
             .arguments = "[arguments{protover:integer [AUTH auth{username password}] "
                          "[SETNAME clientname]}]",
             .history = "6.2.0|The version may be left out to only ask.\n8.1.0|The answer has "
                        "availability_zone when that is configured.")
{
    hello wanted;
    if (!parse_hello(call, &wanted) || (wanted.has_user && !log_in(call, wanted.user, wanted.password)))
        return;
    if (!call->session->is_trusted) { /* also while there is no password, as in the reference */
        roan_call_error(call, "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO "
                              "<proto> AUTH <user> <pass> option can be used to authenticate the client and select the "
                              "RESP protocol version at the same time");
        return;
    }
    if (wanted.has_name)
        roan_session_set_text(&call->session->name, wanted.name);
    if (wanted.protocol != 0)
        call->out->protocol = (uint8_t)wanted.protocol;
    reply_hello(call);
}

/* ---- the rest ---- */

/* Among messages a reply looks like one. */
static void reply_as_message(roan_call *call)
{
    roan_out_array(call->out, 2);
    roan_out_bulk_text(call->out, "pong");
    roan_out_bulk(call->out, call->argc == 2 ? call->argv[1] : ROAN_LITERAL(""));
}

ROAN_COMMAND(ping, .arity = -1, .flags = ROAN_CMD_FAST, .lock = ROAN_LOCK_L,
             .group = ROAN_GROUP_CONNECTION, .since = "1.0.0", .complexity = "O(1)",
             .summary = "Answers PONG, or with the given message: is the server there?",
             .arguments = "[message]",
             .tips = "request_policy:all_shards response_policy:all_succeeded")
{
    if (call->argc > 2)
        roan_call_arity_error(call);
    else if (call->session->modes & ROAN_MODE_SUBSCRIBED && call->out->protocol == 2)
        reply_as_message(call);
    else if (call->argc == 2)
        roan_out_bulk(call->out, call->argv[1]);
    else
        roan_out_status(call->out, "PONG");
}

ROAN_COMMAND(echo, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "1.0.0",
             .complexity = "O(1)", .summary = "Sends the given bytes back.", .arguments = "message")
{
    roan_out_bulk(call->out, call->argv[1]);
}

ROAN_COMMAND(select, .arity = 2,
             .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST | ROAN_CMD_ALLOW_BUSY,
             .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "1.0.0",
             .complexity = "O(1)", .summary = "Chooses the database this connection works on.",
             .arguments = "index:integer")
{
    int64_t number;
    if (!roan_call_integer(call, 1, &number, NULL))
        return;
    if (number < INT_MIN || number > INT_MAX) {
        roan_call_error_printf(call, "ERR value is out of range, value must between %d and %d", INT_MIN, INT_MAX);
        return;
    }
    if (roan_engine_db(call->engine, number) == NULL) {
        roan_call_error(call, "ERR DB index is out of range");
        return;
    }
    call->session->db = (uint32_t)number;
    roan_out_ok(call->out);
}

ROAN_COMMAND(reset, .arity = 1,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST |
                 ROAN_CMD_NO_AUTH | ROAN_CMD_ALLOW_BUSY,
             .lock = ROAN_LOCK_X, .group = ROAN_GROUP_CONNECTION, .since = "6.2.0",
             .complexity = "O(1)",
             .summary = "Puts this connection back into the state of a new one.")
{
    roan_session_reset(call->session);
    roan_out_status(call->out, "RESET");
}

ROAN_COMMAND(quit, .arity = -1,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST |
                 ROAN_CMD_NO_AUTH | ROAN_CMD_ALLOW_BUSY,
             .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "1.0.0",
             .complexity = "O(1)", .summary = "Closes this connection.")
{
    roan_out_ok(call->out);
    roan_session_close(call->session, true);
}
