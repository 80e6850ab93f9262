/* server/cmd/acl.c: ACL: users and what they may do, as engine/acl.h has them.
 *
 * What changes users runs alone. What shows them needs no lock: they stand still while a lane is inside the gate.
 */
#include "engine/acl.h"

#include "base/macros.h"
#include "server/users.h"

#define PASSWORD_BITS 256
#define PASSWORD_BITS_MAX 4096

ROAN_COMMAND(acl, .arity = -2, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "6.0.0",
             .complexity = "Depends on the subcommand.",
             .summary = "Groups the commands about users and their rights.")
{
    roan_call_unknown_subcommand(call);
}

static void log_line(const roan_call *call, const char *text)
{
    const roan_host *host = &call->engine->host;
    if (host->log != NULL)
        host->log(host->context, ROAN_LOG_WARNING, text);
}

static void wrong_count(roan_call *call)
{
    roan_call_error_printf(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try ACL HELP.",
                           ROAN_SLICE_ARG(call->argv[1]));
}

/* ---- users ---- */

/* Their rules may hold passwords. */
static void redact_all(roan_call *call)
{
    for (size_t i = 2; i < call->argc; i++)
        roan_call_redact(call, i);
}

static void reply_error_text(roan_call *call, const roan_buffer *text)
{
    roan_call_error_printf(call, "ERR %.*s", ROAN_SLICE_ARG(roan_buffer_slice(text)));
}

ROAN_SUBCOMMAND(acl, setuser, .arity = -3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "6.0.0",
                .complexity = "O(N) for N rules.", .summary = "Makes a user, or changes what one may do.",
                .arguments = "username [rule...]",
                .tips = "request_policy:all_nodes response_policy:all_succeeded",
                .history = "6.2.0|Rules about channels.\n7.0.0|Selectors, and keys for reading or writing only.\n"
                           "9.1.0|Rules about databases.")
{
    roan_buffer error = {0};
    redact_all(call);
    if (!roan_acl_name_is_fine(call->argv[2]))
        roan_call_error(call, "ERR Usernames can't contain spaces or null characters");
    else if (roan_acl_set_user(call->engine, call->session, call->argv[2], call->argc - 3, call->argv + 3, &error))
        roan_out_ok(call->out);
    else
        reply_error_text(call, &error);
    roan_buffer_done(&error);
}

ROAN_SUBCOMMAND(acl, deluser, .arity = -3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "6.0.0",
                .complexity = "O(C) for C connections, for each user.",
                .summary = "Deletes users and closes their connections.", .arguments = "username...",
                .tips = "request_policy:all_nodes response_policy:all_succeeded")
{
    int64_t deleted = 0;
    redact_all(call);
    for (size_t i = 2; i < call->argc; i++) {
        if (roan_slice_equal(call->argv[i], ROAN_LITERAL("default"))) {
            roan_call_error(call, "ERR The 'default' user cannot be removed");
            return;
        }
    }
    for (size_t i = 2; i < call->argc; i++)
        deleted += roan_acl_delete_user(call->engine, call->session, call->argv[i]);
    roan_out_integer(call->out, deleted);
}

static void reply_text(roan_out *out, void (*describe)(const roan_acl_selector *selector, roan_buffer *ret_text),
                       const roan_acl_selector *selector, const char *name)
{
    roan_buffer text = {0};
    describe(selector, &text);
    roan_out_bulk_text(out, name);
    roan_out_bulk(out, roan_buffer_slice(&text));
    roan_buffer_done(&text);
}

#define SELECTOR_FIELDS 4

static void reply_selector(roan_out *out, const roan_acl_selector *selector)
{
    reply_text(out, roan_acl_describe_commands, selector, "commands");
    reply_text(out, roan_acl_describe_keys, selector, "keys");
    reply_text(out, roan_acl_describe_channels, selector, "channels");
    reply_text(out, roan_acl_describe_dbs, selector, "databases");
}

static void reply_user(roan_out *out, const roan_acl_user *user)
{
    roan_out_map(out, SELECTOR_FIELDS + 3);
    roan_out_bulk_text(out, "flags");
    roan_out_set(out, user->needs_no_password ? 2 : 1);
    roan_out_bulk_text(out, user->is_on ? "on" : "off");
    if (user->needs_no_password)
        roan_out_bulk_text(out, "nopass");
    roan_out_bulk_text(out, "passwords");
    roan_out_array(out, user->passwords.count);
    for (size_t i = 0; i < user->passwords.count; i++)
        roan_out_bulk(out, user->passwords.items[i]);
    reply_selector(out, &user->selectors[0]);
    roan_out_bulk_text(out, "selectors");
    roan_out_array(out, user->selector_count - 1);
    for (size_t i = 1; i < user->selector_count; i++) {
        roan_out_map(out, SELECTOR_FIELDS);
        reply_selector(out, &user->selectors[i]);
    }
}

ROAN_SUBCOMMAND(acl, getuser, .arity = 3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "6.0.0",
                .complexity = "O(N) for N rules of the user.", .summary = "Shows what a user may do.",
                .arguments = "username",
                .history = "6.2.0|Shows channels.\n7.0.0|Shows selectors; keys and channels are shown as rules.\n"
                           "9.1.0|Shows databases.")
{
    redact_all(call);
    const roan_acl_user *user = roan_acl_find(call->engine->acl, call->argv[2]);
    if (user == NULL)
        roan_out_null(call->out);
    else
        reply_user(call->out, user);
}

ROAN_SUBCOMMAND(acl, list, .arity = 2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "6.0.0",
                .complexity = "O(N) for N users.",
                .summary = "Shows all users with their rules, as an ACL file has them.")
{
    const roan_acl *acl = call->engine->acl;
    roan_buffer line = {0};
    roan_out_array(call->out, acl->count);
    for (size_t i = 0; i < acl->count; i++) {
        line.bytes = 0;
        roan_buffer_printf(&line, "user %s ", acl->users[i]->name);
        roan_acl_describe_user(acl->users[i], &line);
        roan_out_bulk(call->out, roan_buffer_slice(&line));
    }
    roan_buffer_done(&line);
}

ROAN_SUBCOMMAND(acl, users, .arity = 2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "6.0.0",
                .complexity = "O(N) for N users.", .summary = "Shows the names of all users.")
{
    const roan_acl *acl = call->engine->acl;
    roan_out_array(call->out, acl->count);
    for (size_t i = 0; i < acl->count; i++)
        roan_out_bulk_text(call->out, acl->users[i]->name);
}

ROAN_SUBCOMMAND(acl, whoami, .arity = 2, .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "6.0.0", .complexity = "O(1)",
                .summary = "Tells the name of the user this connection acts for.")
{
    roan_out_bulk_text(call->out, call->session->user->name);
}

/* ---- files ---- */

static const char no_file[] =
    "ERR This instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command "
    "and then issue a CONFIG REWRITE (assuming you have a configuration file set) in order to store users in the "
    "configuration.";

ROAN_SUBCOMMAND(acl, load, .arity = 2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "6.0.0",
                .complexity = "O(N) for N users.", .summary = "Reads the users from the ACL file again.")
{
    roan_buffer errors = {0};
    if (call->engine->config.aclfile[0] == '\0')
        roan_call_error(call, no_file);
    else if (roan_users_load(call->engine, call->session, &errors))
        roan_out_ok(call->out);
    else
        reply_error_text(call, &errors);
    roan_buffer_done(&errors);
}

ROAN_SUBCOMMAND(acl, save, .arity = 2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_SERVER, .since = "6.0.0",
                .complexity = "O(N) for N users.", .summary = "Writes the users to the ACL file.",
                .tips = "request_policy:all_nodes response_policy:all_succeeded")
{
    roan_error error;
    if (call->engine->config.aclfile[0] == '\0') {
        roan_call_error(call, no_file);
    } else if (roan_users_save(call->engine, &error) == ROAN_OK) {
        roan_out_ok(call->out);
    } else {
        log_line(call, error.text);
        roan_call_error(call, "ERR There was an error trying to save the ACLs. Please check the server logs for more "
                              "information");
    }
}

/* ---- asking ---- */

/* Of one category, in the order of the index. */
static void reply_commands(roan_call *call, uint32_t category)
{
    size_t count = 0;
    roan_out_mark mark = roan_out_open(call->out);
    for (unsigned i = 0; i < roan_command_index_count; i++) {
        if (!(roan_command_categories(roan_command_index[i]) & category))
            continue;
        roan_out_bulk_text(call->out, roan_command_index[i]->name);
        count++;
    }
    roan_out_close_array(call->out, mark, count);
}

ROAN_SUBCOMMAND(acl, cat, .arity = -2, .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "6.0.0",
                .complexity = "O(N) for N commands.",
                .summary = "Lists the categories of commands, or the commands of one.", .arguments = "[category]")
{
    if (call->argc > 3) {
        wrong_count(call);
        return;
    }
    if (call->argc == 2) {
        roan_out_array(call->out, ROAN_ACL_CATEGORY_COUNT);
        for (unsigned i = 0; i < ROAN_ACL_CATEGORY_COUNT; i++)
            roan_out_bulk_text(call->out, roan_acl_category_names[i]);
        return;
    }
    uint32_t category = roan_acl_category_find(call->argv[2]);
    if (category == 0)
        roan_call_error_printf(call, "ERR Unknown category '%.*s'", ROAN_SLICE_ARG(call->argv[2]));
    else
        reply_commands(call, category);
}

ROAN_SUBCOMMAND(acl, dryrun, .arity = -4,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "7.0.0", .complexity = "O(1)",
                .summary = "Tells whether a user may run a command, without running it.",
                .arguments = "username command [arg...]")
{
    const roan_acl_user *user = roan_acl_find(call->engine->acl, call->argv[2]);
    roan_acl_question question = {.command = roan_command_find_words(call->argc - 3, call->argv + 3),
                                  .argc = call->argc - 3,
                                  .argv = call->argv + 3,
                                  .db = call->session->db,
                                  .db_count = call->engine->config.databases};
    if (user == NULL) {
        roan_call_error_printf(call, "ERR User '%.*s' not found", ROAN_SLICE_ARG(call->argv[2]));
        return;
    }
    if (question.command == NULL) {
        roan_call_error_printf(call, "ERR Command '%.*s' not found", ROAN_SLICE_ARG(call->argv[3]));
        return;
    }
    if (!roan_command_accepts_count(question.command, question.argc)) {
        roan_call_error_printf(call, "ERR wrong number of arguments for '%s' command", question.command->name);
        return;
    }
    roan_acl_refusal refusal = roan_acl_check(user, &question);
    if (refusal.reason == ROAN_ACL_ALLOWED) {
        roan_out_ok(call->out);
        return;
    }
    roan_buffer text = {0};
    roan_acl_refusal_text(user, question.command, question.argv, refusal, true, &text);
    roan_out_bulk(call->out, roan_buffer_slice(&text));
    roan_buffer_done(&text);
}

ROAN_SUBCOMMAND(acl, genpass, .arity = -2, .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "6.0.0", .complexity = "O(1)",
                .summary = "Makes up a password that nobody can guess.", .arguments = "[bits:integer]")
{
    char digits[PASSWORD_BITS_MAX / 4];
    int64_t bits = PASSWORD_BITS;
    uint64_t random = 0;
    if (call->argc > 3) {
        wrong_count(call);
        return;
    }
    if (call->argc == 3 && !roan_call_integer(call, 2, &bits, NULL))
        return;
    if (bits <= 0 || bits > PASSWORD_BITS_MAX) {
        roan_call_error_printf(call, "ERR ACL GENPASS argument must be the number of bits for the output password, a "
                               "positive number up to %d", PASSWORD_BITS_MAX);
        return;
    }
    size_t count = ((size_t)bits + 3) / 4;
    for (size_t i = 0; i < count; i++, random >>= 4) {
        if (i % 16 == 0)
            random = roan_random_entropy();
        digits[i] = "0123456789abcdef"[random & 15];
    }
    roan_out_bulk(call->out, roan_slice_make(digits, count));
}

/* ---- the log ---- */

#define LOG_COUNT_DEFAULT 10

typedef struct log_reply {
    roan_out *out;
    int64_t now_ms;
} log_reply;

static void reply_field(roan_out *out, const char *name, roan_slice value)
{
    roan_out_bulk_text(out, name);
    roan_out_bulk(out, value);
}

static void reply_entry(void *context, const roan_acl_log_entry *entry)
{
    static const char *const reasons[] = {[ROAN_ACL_ALLOWED] = "", [ROAN_ACL_DENIED_DB] = "database",
                                          [ROAN_ACL_DENIED_COMMAND] = "command", [ROAN_ACL_DENIED_KEY] = "key",
                                          [ROAN_ACL_DENIED_CHANNEL] = "channel", [ROAN_ACL_DENIED_AUTH] = "auth"};
    static const char *const contexts[] = {[ROAN_ACL_CONTEXT_TOP] = "toplevel", [ROAN_ACL_CONTEXT_SCRIPT] = "lua",
                                           [ROAN_ACL_CONTEXT_MULTI] = "multi"};
    const log_reply *reply = context;
    roan_out *out = reply->out;
    roan_out_map(out, 10);
    roan_out_bulk_text(out, "count");
    roan_out_integer(out, (int64_t)entry->count);
    reply_field(out, "reason", roan_slice_from_text(reasons[entry->reason]));
    reply_field(out, "context", roan_slice_from_text(contexts[entry->context]));
    reply_field(out, "object", entry->object);
    reply_field(out, "username", entry->user);
    roan_out_bulk_text(out, "age-seconds");
    roan_out_double(out, (double)(reply->now_ms - entry->updated_ms) / 1000);
    reply_field(out, "client-info", entry->client);
    roan_out_bulk_text(out, "entry-id");
    roan_out_integer(out, (int64_t)entry->id);
    roan_out_bulk_text(out, "timestamp-created");
    roan_out_integer(out, entry->created_ms);
    roan_out_bulk_text(out, "timestamp-last-updated");
    roan_out_integer(out, entry->updated_ms);
}

ROAN_SUBCOMMAND(acl, log, .arity = -2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER, .since = "6.0.0",
                .complexity = "O(N) for N entries shown.", .summary = "Shows who was refused what lately.",
                .arguments = "[operation<count:integer|RESET>]",
                .history = "7.2.0|Entries have an id, and the times when they were made and last changed.")
{
    int64_t count = LOG_COUNT_DEFAULT;
    if (call->argc > 3) {
        wrong_count(call);
        return;
    }
    if (call->argc == 3 && roan_call_is(call, 2, "reset")) {
        roan_acl_log_clear(call->engine->acl->log);
        roan_out_ok(call->out);
        return;
    }
    if (call->argc == 3 && !roan_call_integer(call, 2, &count, NULL))
        return;
    log_reply reply = {.out = call->out, .now_ms = call->now_ms};
    size_t shown_max = count < 0 ? 0 : (size_t)count;
    roan_out_mark mark = roan_out_open(call->out);
    size_t shown = roan_acl_log_visit(call->engine->acl->log, shown_max, reply_entry, &reply);
    roan_out_close_array(call->out, mark, shown);
}

/* ---- help ---- */

ROAN_SUBCOMMAND(acl, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_SERVER, .since = "6.0.0", .complexity = "O(1)",
                .summary = "Lists the subcommands of ACL.")
{
    static const char *const lines[] = {
        "CAT [<category>]",
        "    List all commands that belong to <category>, or all command categories",
        "    when no category is specified.",
        "DELUSER <username> [<username> ...]",
        "    Delete a list of users.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Returns whether the user can execute the given command without executing the command.",
        "GETUSER <username>",
        "    Get the user's details.",
        "GENPASS [<bits>]",
        "    Generate a secure 256-bit user password. The optional `bits` argument can",
        "    be used to specify a different size.",
        "LIST",
        "    Show users details in config file format.",
        "LOAD",
        "    Reload users from the ACL file.",
        "LOG [<count> | RESET]",
        "    Show the ACL log entries.",
        "SAVE",
        "    Save the current config to the ACL file.",
        "SETUSER <username> <rule> [<rule> ...]",
        "    Create or modify a user with the specified rules.",
        "USERS",
        "    List all the registered usernames.",
        "WHOAMI",
        "    Return the current connection username.",
        NULL,
    };
    roan_call_help(call, lines);
}
