/* cli/help.c: help from the table that the server itself is made of.
 *
 * Names in the table are lower case with '|' before a subcommand ("client|list"); people see and
 * type "CLIENT LIST". A command matches when its name begins with all words given, so "help client"
 * shows the whole family.
 */
#include "cli/help.h"

#include "cli/text.h"

#include "roan/commands.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#define BOLD "\033[1m"
#define GREY "\033[90m"
#define YELLOW "\033[33m"
#define PLAIN "\033[0m"

static void put_coloured(roan_cli_text *out, const char *colour, const char *text)
{
    if (colour != NULL)
        roan_cli_text_put(out, colour);
    roan_cli_text_put(out, text);
    if (colour != NULL)
        roan_cli_text_put(out, PLAIN);
}

static void put_name(roan_cli_text *out, const char *name, bool has_colours)
{
    if (has_colours)
        roan_cli_text_put(out, BOLD);
    for (; *name != '\0'; name++)
        roan_cli_text_put_char(out, *name == '|' ? ' ' : (char)toupper((unsigned char)*name));
    if (has_colours)
        roan_cli_text_put(out, PLAIN);
}

static void put_field(roan_cli_text *out, const char *name, const char *value, bool has_colours)
{
    if (value == NULL || value[0] == '\0')
        return;
    roan_cli_text_put(out, "  ");
    put_coloured(out, has_colours ? YELLOW : NULL, name);
    roan_cli_text_printf(out, " %s\n", value);
}

static void put_command(roan_cli_text *out, const roan_command_help *command, bool has_group,
                        bool has_colours)
{
    roan_cli_text_put(out, "\n  ");
    put_name(out, command->name, has_colours);
    roan_cli_text_put_char(out, ' ');
    put_coloured(out, has_colours ? GREY : NULL, command->arguments);
    roan_cli_text_put_char(out, '\n');
    put_field(out, "summary:", command->summary, has_colours);
    put_field(out, "since:", command->since, has_colours);
    if (has_group) {
        put_field(out, "complexity:", command->complexity, has_colours);
        put_field(out, "group:", command->group, has_colours);
    }
}

static void put_introduction(roan_cli_text *out)
{
    roan_cli_text_put(
        out,
        "roan cli " ROAN_VERSION "\n"
        "  help COMMAND       syntax and meaning of a command\n"
        "  help @GROUP        all commands of a group, such as @string or @list\n"
        "  help <TAB>         the topics there are\n"
        "  5 COMMAND          run a command five times\n"
        "  connect HOST PORT  talk to another server\n"
        "  clear, quit        clean the screen; leave\n"
        "  :set hints         show the syntax while you type\n"
        "  :set nohints       do not\n");
}

/* True when the first words of the name are words[1..]. */
static bool has_prefix(const char *name, const roan_cli_words *words)
{
    for (size_t i = 1; i < words->count; i++) {
        size_t length = strcspn(name, "|");
        if (length != words->items[i].bytes ||
            strncasecmp(name, words->items[i].data, length) != 0)
            return false;
        name += length;
        if (*name == '\0')
            return i + 1 == words->count;
        name++;
    }
    return true;
}

static bool is_wanted(const roan_command_help *command, const roan_cli_words *words, bool is_group)
{
    roan_slice topic = words->items[1];

    if (!is_group)
        return has_prefix(command->name, words);
    return roan_cli_is_word(roan_slice_make(topic.data + 1, topic.bytes - 1), command->group);
}

void roan_cli_help_print(const roan_cli_words *words, bool has_colours)
{
    size_t count;
    const roan_command_help *commands = roan_command_help_list(&count);
    roan_cli_text out = {0};

    if (words->count < 2) {
        put_introduction(&out);
    } else {
        bool is_group = words->items[1].bytes > 0 && words->items[1].data[0] == '@';
        for (size_t i = 0; i < count; i++)
            if (is_wanted(&commands[i], words, is_group))
                put_command(&out, &commands[i], !is_group, has_colours);
        roan_cli_text_put_char(&out, '\n');
    }
    roan_cli_text_write(&out, stdout);
    roan_cli_text_done(&out);
    roan_cli_flush();
}
