/* engine/acl_session.c: for whom a session acts, and what that user is refused; see acl.h. */
#include "engine/acl.h"

#include "base/macros.h"
#include "engine/blocking.h"
#include "engine/stats.h"

void roan_acl_set_session_user(roan_session *session, roan_acl_user *user)
{
    session->user = user;
    session->modes &= (uint8_t)~ROAN_MODE_RESTRICTED;
    if (!user->is_unrestricted)
        session->modes |= ROAN_MODE_RESTRICTED;
    if (session->waiting != NULL)
        roan_waiting_set_user(session->waiting, user);
}

/* ---- logging in ---- */

static void add_to_log(const roan_call *client, roan_acl_log_entry *entry)
{
    roan_buffer line = {0};
    const roan_host *host = &client->engine->host;
    if (host->describe_session != NULL)
        host->describe_session(host->context, client, &line);
    entry->client = roan_buffer_slice(&line);
    entry->updated_ms = client->now_ms;
    roan_acl_log_add(client->engine->acl->log, entry, client->engine->config.acllog_max_len);
    roan_buffer_done(&line);
}

bool roan_acl_log_in(roan_call *call, roan_slice name, roan_slice password)
{
    roan_acl_user *user = roan_acl_find(call->engine->acl, name);
    if (user != NULL && user->is_on && (user->needs_no_password || roan_acl_password_matches(user, password))) {
        roan_acl_set_session_user(call->session, user);
        call->session->is_authenticated = call->session->is_trusted = true;
        return true;
    }
    bool is_queued = call->session->modes & ROAN_MODE_TRANSACTION;
    roan_acl_log_entry entry = {.reason = ROAN_ACL_DENIED_AUTH,
                                .context = is_queued ? ROAN_ACL_CONTEXT_MULTI : ROAN_ACL_CONTEXT_TOP,
                                .object = call->argv[0],
                                .user = name};
    call->lane->stats->acl_denied_auth++;
    add_to_log(call, &entry);
    return false;
}

/* ---- asking ---- */

roan_acl_refusal roan_acl_ask(const roan_session *session, const roan_command *command, size_t argc,
                              const roan_slice *argv)
{
    if (!(session->modes & ROAN_MODE_RESTRICTED))
        return (roan_acl_refusal){ROAN_ACL_ALLOWED, 0};
    roan_acl_question question = {.command = command,
                                  .argc = argc,
                                  .argv = argv,
                                  .db = session->db,
                                  .db_count = session->lane->engine->config.databases};
    return roan_acl_check(session->user, &question);
}

bool roan_acl_call_may_read_all(const roan_call *call)
{
    roan_acl_question question = {.command = call->command,
                                  .argc = call->argc,
                                  .argv = call->argv,
                                  .db = call->session->db,
                                  .db_count = call->engine->config.databases};
    return !(call->session->modes & ROAN_MODE_RESTRICTED) || roan_acl_may_read_all(call->session->user, &question);
}

static void count_refusal(roan_lane *lane, roan_acl_reason reason)
{
    struct roan_stats *stats = lane->stats;
    stats->acl_denied_db += reason == ROAN_ACL_DENIED_DB;
    stats->acl_denied_cmd += reason == ROAN_ACL_DENIED_COMMAND;
    stats->acl_denied_key += reason == ROAN_ACL_DENIED_KEY;
    stats->acl_denied_channel += reason == ROAN_ACL_DENIED_CHANNEL;
}

/* What the refusal is about: a word, or the command. */
static roan_slice object_of(const roan_command *command, const roan_slice *argv, roan_acl_refusal refusal)
{
    if (refusal.reason == ROAN_ACL_DENIED_COMMAND)
        return roan_slice_from_text(command->name);
    return argv[refusal.index];
}

void roan_acl_report(const roan_call *client, const roan_command *command, const roan_slice *argv,
                     roan_acl_refusal refusal, roan_acl_context context)
{
    roan_acl_log_entry entry = {.reason = refusal.reason,
                                .context = context,
                                .object = object_of(command, argv, refusal),
                                .user = roan_slice_from_text(client->session->user->name)};
    count_refusal(client->lane, refusal.reason);
    add_to_log(client, &entry);
}

void roan_acl_refusal_text(const roan_acl_user *user, const roan_command *command, const roan_slice *argv,
                           roan_acl_refusal refusal, bool is_full, roan_buffer *ret_text)
{
    roan_slice object = object_of(command, argv, refusal);
    switch (refusal.reason) {
    case ROAN_ACL_DENIED_COMMAND:
        roan_buffer_printf(ret_text, "User %s has no permissions to run the '%s' command", user->name, command->name);
        break;
    case ROAN_ACL_DENIED_DB:
        if (is_full)
            roan_buffer_printf(ret_text, "User %s has no permissions to access database %.*s", user->name,
                               ROAN_SLICE_ARG(object));
        else
            roan_buffer_append_text(ret_text, "No permissions to access database");
        break;
    case ROAN_ACL_DENIED_KEY:
    case ROAN_ACL_DENIED_CHANNEL: {
        const char *what = refusal.reason == ROAN_ACL_DENIED_KEY ? "key" : "channel";
        if (is_full)
            roan_buffer_printf(ret_text, "User %s has no permissions to access the '%.*s' %s", user->name,
                               ROAN_SLICE_ARG(object), what);
        else
            roan_buffer_printf(ret_text, "No permissions to access a %s", what);
        break;
    }
    case ROAN_ACL_ALLOWED:
    case ROAN_ACL_DENIED_AUTH:
        ROAN_UNREACHABLE("not a refusal of a command");
    }
}

bool roan_acl_refuses(const roan_call *call, roan_buffer *ret_text)
{
    const roan_session *session = call->session;
    roan_acl_refusal refusal = roan_acl_ask(session, call->command, call->argc, call->argv);
    if (refusal.reason == ROAN_ACL_ALLOWED)
        return false;
    bool is_queued = session->modes & ROAN_MODE_TRANSACTION;
    roan_acl_report(call, call->command, call->argv, refusal,
                    is_queued ? ROAN_ACL_CONTEXT_MULTI : ROAN_ACL_CONTEXT_TOP);
    ret_text->bytes = 0;
    roan_buffer_append_text(ret_text, "NOPERM ");
    roan_acl_refusal_text(session->user, call->command, call->argv, refusal, false, ret_text);
    roan_buffer_append_char(ret_text, '\0');
    return true;
}
