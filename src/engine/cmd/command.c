/* engine/cmd/command.c: COMMAND, which tells clients what commands there are and how to use them.
 *
 * Everything is read from the rows; nothing here knows a particular command. The index does not change while the server
 * runs, so these commands take no lock. COMMAND and COMMAND INFO speak to programs: arrays with a fixed place for every
 * fact. COMMAND DOCS speaks to the people behind them: maps, in which what a command does not have is left out.
 */
#include "engine/call.h"
#include "engine/command_arguments.h"
#include "engine/command_keys.h"

#include <stdio.h>
#include <string.h>

/* --- COMMAND INFO --- */

/* The names of the bits that are set, as a set of simple strings. */
static void reply_bits(roan_out *out, uint32_t bits, const char *const *names)
{
    roan_out_set(out, (size_t)__builtin_popcount(bits));
    for (; bits != 0; bits &= bits - 1)
        roan_out_status(out, names[__builtin_ctz(bits)]);
}

static void reply_categories(roan_out *out, uint32_t categories)
{
    roan_out_set(out, (size_t)__builtin_popcount(categories));
    for (; categories != 0; categories &= categories - 1) {
        char text[24];
        ROAN_IGNORE(snprintf(text, sizeof(text), "@%s", roan_acl_category_names[__builtin_ctz(categories)]));
        roan_out_status(out, text);
    }
}

static void reply_tips(roan_out *out, const char *tips)
{
    roan_out_mark mark = roan_out_open(out);
    size_t count = 0;
    for (const char *at = tips; at != NULL && *at != '\0'; count++) {
        size_t bytes = strcspn(at, " ");
        roan_out_bulk(out, roan_slice_make(at, bytes));
        at += bytes;
        at += *at == ' ';
    }
    roan_out_close_set(out, mark, count);
}

static void reply_pair_text(roan_out *out, const char *name, const char *value)
{
    roan_out_bulk_text(out, name);
    roan_out_bulk_text(out, value);
}

static void reply_pair_integer(roan_out *out, const char *name, int64_t value)
{
    roan_out_bulk_text(out, name);
    roan_out_integer(out, value);
}

/* { type, spec { ... } }; the fields of the spec follow. */
static void reply_spec_head(roan_out *out, const char *role, const char *type, size_t field_count)
{
    roan_out_bulk_text(out, role);
    roan_out_map(out, 2);
    reply_pair_text(out, "type", type);
    roan_out_bulk_text(out, "spec");
    roan_out_map(out, field_count);
}

static void reply_begin(roan_out *out, const roan_key_spec *spec)
{
    switch ((roan_key_begin)spec->begin) {
    case ROAN_BEGIN_INDEX:
        reply_spec_head(out, "begin_search", "index", 1);
        reply_pair_integer(out, "index", spec->index);
        return;
    case ROAN_BEGIN_KEYWORD:
        reply_spec_head(out, "begin_search", "keyword", 2);
        reply_pair_text(out, "keyword", spec->keyword);
        reply_pair_integer(out, "startfrom", spec->index);
        return;
    case ROAN_BEGIN_UNKNOWN:
        reply_spec_head(out, "begin_search", "unknown", 0);
        return;
    case ROAN_BEGIN_NONE: break;
    }
    ROAN_UNREACHABLE("a spec begins somewhere");
}

static void reply_find(roan_out *out, const roan_key_spec *spec)
{
    switch ((roan_key_find)spec->find) {
    case ROAN_FIND_RANGE:
        reply_spec_head(out, "find_keys", "range", 3);
        reply_pair_integer(out, "lastkey", spec->last);
        reply_pair_integer(out, "keystep", spec->step);
        reply_pair_integer(out, "limit", spec->limit);
        return;
    case ROAN_FIND_KEYNUM:
        reply_spec_head(out, "find_keys", "keynum", 3);
        reply_pair_integer(out, "keynumidx", spec->keynum);
        reply_pair_integer(out, "firstkey", spec->first);
        reply_pair_integer(out, "keystep", spec->step);
        return;
    case ROAN_FIND_UNKNOWN:
        reply_spec_head(out, "find_keys", "unknown", 0);
        return;
    }
    ROAN_UNREACHABLE("no such way to find keys");
}

static void reply_key_spec(roan_out *out, const roan_key_spec *spec)
{
    roan_out_map(out, spec->notes != NULL ? 4 : 3);
    if (spec->notes != NULL)
        reply_pair_text(out, "notes", spec->notes);
    roan_out_bulk_text(out, "flags");
    reply_bits(out, spec->flags, roan_key_flag_names);
    reply_begin(out, spec);
    reply_find(out, spec);
}

static void reply_key_specs(roan_out *out, const roan_command *command)
{
    unsigned count = roan_command_key_spec_count(command);
    roan_out_set(out, count);
    for (unsigned i = 0; i < count; i++)
        reply_key_spec(out, &command->keys[i]);
}

/* Subcommands are described inside their parents; they have none themselves. */
static void reply_info(roan_out *out, const roan_command *command)
{
    roan_key_range range = roan_command_key_range(command);
    roan_out_array(out, 10);
    roan_out_bulk_text(out, command->name);
    roan_out_integer(out, command->arity);
    reply_bits(out, roan_command_flags(command), roan_cmd_flag_names);
    roan_out_integer(out, range.first);
    roan_out_integer(out, range.last);
    roan_out_integer(out, range.step);
    reply_categories(out, roan_command_categories(command));
    reply_tips(out, command->tips);
    reply_key_specs(out, command);
    unsigned count;
    const roan_command *const *rows = roan_command_subcommands(command, &count);
    roan_out_array(out, count);
    for (unsigned i = 0; i < count; i++)
        reply_info(out, rows[i]);
}

static unsigned count_commands(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < roan_command_index_count; i++)
        count += !roan_command_is_subcommand(roan_command_index[i]);
    return count;
}

static void reply_info_of_all(roan_out *out)
{
    roan_out_array(out, count_commands());
    for (unsigned i = 0; i < roan_command_index_count; i++)
        if (!roan_command_is_subcommand(roan_command_index[i]))
            reply_info(out, roan_command_index[i]);
}

ROAN_COMMAND(command, .arity = -1, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
             .acl = ROAN_ACL_CONNECTION, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER,
             .since = "2.8.13", .complexity = "O(N) for N commands.",
             .summary = "Describes every command in the form programs read.",
             .tips = "nondeterministic_output_order")
{
    reply_info_of_all(call->out);
}

ROAN_SUBCOMMAND(command, count, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .acl = ROAN_ACL_CONNECTION, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER,
                .since = "2.8.13", .complexity = "O(1)",
                .summary = "Tells how many commands the server has.")
{
    roan_out_integer(call->out, count_commands());
}

ROAN_SUBCOMMAND(command, info, .arity = -2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .acl = ROAN_ACL_CONNECTION, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER,
                .since = "2.8.13", .complexity = "O(N) for N commands asked about.",
                .summary = "Describes some or all commands in the form programs read.",
                .arguments = "[command-name...]", .tips = "nondeterministic_output_order",
                .history = "7.0.0|Without names, every command is described.")
{
    if (call->argc == 2) {
        reply_info_of_all(call->out);
        return;
    }
    roan_out_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++) {
        const roan_command *command = roan_command_find(call->argv[i]);
        if (command != NULL)
            reply_info(call->out, command);
        else
            roan_out_null(call->out);
    }
}

/* --- COMMAND LIST --- */

static void reply_names(roan_out *out, bool (*lets_through)(const roan_command *command, const void *context),
                        const void *context)
{
    roan_out_mark mark = roan_out_open(out);
    size_t count = 0;
    for (unsigned i = 0; i < roan_command_index_count; i++) {
        if (lets_through(roan_command_index[i], context)) {
            roan_out_bulk_text(out, roan_command_index[i]->name);
            count++;
        }
    }
    roan_out_close_array(out, mark, count);
}

static bool always(ROAN_MAYBE_UNUSED const roan_command *command, ROAN_MAYBE_UNUSED const void *context)
{
    return true;
}

static bool is_in_category(const roan_command *command, const void *category)
{
    return (roan_command_categories(command) & *(const uint32_t *)category) != 0;
}

static bool has_name_like(const roan_command *command, const void *pattern)
{
    return roan_glob_match(*(const roan_slice *)pattern, roan_slice_from_text(command->name), true);
}

ROAN_SUBCOMMAND(command, list, .arity = -2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .acl = ROAN_ACL_CONNECTION, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER,
                .since = "7.0.0", .complexity = "O(N) for N commands.",
                .summary = "Lists the names of the commands, all or those a filter lets through.",
                .arguments = "[FILTERBY filterby<MODULE module-name|ACLCAT category|"
                             "PATTERN pattern:pattern>]",
                .tips = "nondeterministic_output_order")
{
    if (call->argc == 2) {
        reply_names(call->out, always, NULL);
        return;
    }
    if (call->argc != 5 || !roan_call_is(call, 2, "filterby")) {
        roan_call_syntax_error(call);
        return;
    }
    if (roan_call_is(call, 3, "module")) { /* there are no modules */
        roan_out_array(call->out, 0);
    } else if (roan_call_is(call, 3, "aclcat")) {
        uint32_t category = roan_acl_category_find(call->argv[4]);
        reply_names(call->out, is_in_category, &category);
    } else if (roan_call_is(call, 3, "pattern")) {
        reply_names(call->out, has_name_like, &call->argv[4]);
    } else {
        roan_call_syntax_error(call);
    }
}

/* --- COMMAND DOCS --- */

static void reply_pair_slice(roan_out *out, const char *name, roan_slice value)
{
    roan_out_bulk_text(out, name);
    roan_out_bulk(out, value);
}

/* A pure token is named by its token, in lower case. */
static void reply_lower(roan_out *out, roan_slice word)
{
    char lower[64];
    ROAN_ASSERT(word.bytes <= sizeof(lower));
    for (size_t i = 0; i < word.bytes; i++)
        lower[i] = (char)(word.data[i] >= 'A' && word.data[i] <= 'Z' ? word.data[i] - 'A' + 'a' : word.data[i]);
    roan_out_bulk(out, roan_slice_make(lower, word.bytes));
}

static void reply_arguments(roan_out *out, const roan_argument *first, size_t count);

/* `argument` points into a tree: its parts stand behind it. */
static void reply_argument(roan_out *out, const roan_argument *argument)
{
    roan_out_mark mark = roan_out_open(out);
    size_t pairs = 2;
    roan_out_bulk_text(out, "name");
    reply_lower(out, argument->name);
    reply_pair_text(out, "type", roan_argument_type_names[argument->type]);
    if (argument->text.data != NULL) {
        roan_out_bulk_text(out, "display_text");
        if (argument->type == ROAN_ARGUMENT_PURE_TOKEN)
            reply_lower(out, argument->text);
        else
            roan_out_bulk(out, argument->text);
        pairs++;
    }
    if (argument->key_spec >= 0) {
        reply_pair_integer(out, "key_spec_index", argument->key_spec);
        pairs++;
    }
    if (argument->token.data != NULL) {
        reply_pair_slice(out, "token", argument->token);
        pairs++;
    }
    if (argument->since.data != NULL) {
        reply_pair_slice(out, "since", argument->since);
        pairs++;
    }
    if (argument->flags != 0) {
        roan_out_bulk_text(out, "flags");
        reply_bits(out, argument->flags, roan_argument_flag_names);
        pairs++;
    }
    if (argument->child_count > 0) {
        roan_out_bulk_text(out, "arguments");
        reply_arguments(out, argument + 1, argument->child_count);
        pairs++;
    }
    roan_out_close_map(out, mark, pairs);
}

static void reply_arguments(roan_out *out, const roan_argument *first, size_t count)
{
    roan_out_array(out, count);
    for (size_t i = 0; i < count; i++) {
        reply_argument(out, first);
        first += first->span;
    }
}

static size_t reply_doc_arguments(roan_out *out, const roan_command *command)
{
    roan_arguments arguments;
    bool is_read = roan_arguments_parse(command->arguments, roan_command_key_spec_count(command), &arguments);
    ROAN_ASSERT(is_read);
    if (arguments.top_count == 0)
        return 0;
    roan_out_bulk_text(out, "arguments");
    reply_arguments(out, arguments.list, arguments.top_count);
    return 1;
}

/* "7.0.0|Text.\n7.2.0|Text." as a set of pairs. */
static size_t reply_doc_history(roan_out *out, const char *history)
{
    if (history == NULL)
        return 0;
    roan_out_bulk_text(out, "history");
    roan_out_mark mark = roan_out_open(out);
    size_t count = 0;
    for (const char *at = history; *at != '\0'; count++) {
        size_t version_bytes = strcspn(at, "|");
        const char *text = at + version_bytes + 1;
        size_t text_bytes = strcspn(text, "\n");
        roan_out_array(out, 2);
        roan_out_bulk(out, roan_slice_make(at, version_bytes));
        roan_out_bulk(out, roan_slice_make(text, text_bytes));
        at = text + text_bytes;
        at += *at == '\n';
    }
    roan_out_close_set(out, mark, count);
    return 1;
}

/* Doc flags, and for a deprecated command ("6.2.0|replaced by text") since when and what instead. */
static size_t reply_doc_status(roan_out *out, const roan_command *command)
{
    size_t flag_count = (size_t)(command->deprecated != NULL) + command->is_system;
    if (flag_count == 0)
        return 0;
    roan_out_bulk_text(out, "doc_flags");
    roan_out_set(out, flag_count);
    if (command->deprecated != NULL)
        roan_out_status(out, "deprecated");
    if (command->is_system)
        roan_out_status(out, "syscmd");
    if (command->deprecated == NULL)
        return 1;
    size_t version_bytes = strcspn(command->deprecated, "|");
    reply_pair_slice(out, "deprecated_since", roan_slice_make(command->deprecated, version_bytes));
    reply_pair_text(out, "replaced_by", command->deprecated + version_bytes + 1);
    return 3;
}

static void reply_docs(roan_out *out, const roan_command *command)
{
    roan_out_bulk_text(out, command->name);
    roan_out_mark mark = roan_out_open(out);
    size_t pairs = 4;
    reply_pair_text(out, "summary", command->summary);
    reply_pair_text(out, "since", command->since);
    reply_pair_text(out, "group", roan_group_names[command->group]);
    reply_pair_text(out, "complexity", command->complexity);
    pairs += reply_doc_status(out, command);
    pairs += reply_doc_history(out, command->history);
    pairs += reply_doc_arguments(out, command);
    unsigned count;
    const roan_command *const *rows = roan_command_subcommands(command, &count);
    if (count > 0) {
        roan_out_bulk_text(out, "subcommands");
        roan_out_map(out, count);
        for (unsigned i = 0; i < count; i++)
            reply_docs(out, rows[i]);
        pairs++;
    }
    roan_out_close_map(out, mark, pairs);
}

ROAN_SUBCOMMAND(command, docs, .arity = -2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .acl = ROAN_ACL_CONNECTION, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER,
                .since = "7.0.0", .complexity = "O(N) for N commands asked about.",
                .summary = "Documents commands: what they do, since when, and with which "
                           "arguments.",
                .arguments = "[command-name...]", .tips = "nondeterministic_output_order")
{
    roan_out_mark mark = roan_out_open(call->out);
    size_t count = 0;
    for (unsigned i = 0; call->argc == 2 && i < roan_command_index_count; i++) {
        if (!roan_command_is_subcommand(roan_command_index[i])) {
            reply_docs(call->out, roan_command_index[i]);
            count++;
        }
    }
    for (size_t i = 2; i < call->argc; i++) {
        const roan_command *command = roan_command_find(call->argv[i]);
        if (command != NULL) {
            reply_docs(call->out, command);
            count++;
        }
    }
    roan_out_close_map(call->out, mark, count);
}

/* --- COMMAND GETKEYS --- */

/* The keys of the command line that starts at argument 2; false after an error was sent. */
static bool find_keys_of_line(roan_call *call, roan_key_list *list)
{
    size_t argc = call->argc - 2;
    const roan_slice *argv = call->argv + 2;
    const roan_command *command = roan_command_find_words(argc, argv);
    const char *error = NULL;
    if (command == NULL)
        error = "ERR Invalid command specified";
    else if (!roan_command_has_keys(command))
        error = "ERR The command has no key arguments";
    else if (!roan_command_accepts_count(command, argc))
        error = "ERR Invalid number of arguments specified for command";
    else if ((!roan_command_find_keys(command, argc, argv, list) || list->count == 0) &&
             (command->flags & ROAN_CMD_NO_MANDATORY_KEYS) == 0)
        error = "ERR Invalid arguments specified for command";
    if (error != NULL)
        roan_call_error(call, error);
    return error == NULL;
}

/* What becomes of a key; the other bits describe the spec it was found by. */
#define KEY_ACCESS_FLAGS ((1u << ROAN_KEY_BIT_NOT_KEY) - 1)

static void reply_keys(roan_call *call, bool with_flags)
{
    roan_key_list list;
    roan_key_list_init(&list);
    if (find_keys_of_line(call, &list)) {
        const roan_key_ref *refs = roan_key_list_refs(&list);
        roan_out_array(call->out, list.count);
        for (unsigned i = 0; i < list.count; i++) {
            if (with_flags)
                roan_out_array(call->out, 2);
            roan_out_bulk(call->out, call->argv[2 + refs[i].index]);
            if (with_flags)
                reply_bits(call->out, refs[i].flags & KEY_ACCESS_FLAGS, roan_key_flag_names);
        }
    }
    roan_key_list_done(&list);
}

ROAN_SUBCOMMAND(command, getkeys, .arity = -3, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .acl = ROAN_ACL_CONNECTION, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER,
                .since = "2.8.13", .complexity = "O(N) for N words in the line.",
                .summary = "Picks the keys out of a full command line.",
                .arguments = "command [arg...]")
{
    reply_keys(call, false);
}

ROAN_SUBCOMMAND(command, getkeysandflags, .arity = -3, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .acl = ROAN_ACL_CONNECTION, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER,
                .since = "7.0.0", .complexity = "O(N) for N words in the line.",
                .summary = "Picks the keys out of a full command line, and says what happens to "
                           "each.",
                .arguments = "command [arg...]")
{
    reply_keys(call, true);
}

ROAN_SUBCOMMAND(command, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .acl = ROAN_ACL_CONNECTION, .lock = ROAN_LOCK_L, .group = ROAN_GROUP_SERVER,
                .since = "5.0.0", .complexity = "O(1)",
                .summary = "Lists the subcommands of COMMAND.")
{
    static const char *const lines[] = {
        "(nothing)",
        "    Describes every command for programs.",
        "COUNT",
        "    How many commands there are.",
        "DOCS [<command-name> ...]",
        "    What commands do and which arguments they take; all of them without names.",
        "GETKEYS <full-command>",
        "    The keys among the words of a command line.",
        "GETKEYSANDFLAGS <full-command>",
        "    The same, and what the command does with each key.",
        "INFO [<command-name> ...]",
        "    Describes commands for programs; all of them without names.",
        "LIST [FILTERBY (MODULE <module-name> | ACLCAT <category> | PATTERN <pattern>)]",
        "    The names of commands.",
        NULL,
    };
    roan_call_help(call, lines);
}
