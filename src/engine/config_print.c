/* engine/config_print.c: the rows as documents: the commented sample file, the reference in Markdown, and what `--help
 * OPTION` says. All of them come from the same rows the server is configured by, so they cannot be out of date.
 */
#include "engine/config_file.h"

#include <limits.h>
#include <string.h>

#define SAMPLE_COLUMNS 100

/* Words of `text` in lines of at most `columns` characters, each begun with `prefix`. */
static void append_wrapped(roan_buffer *ret_text, const char *prefix, const char *text, size_t columns)
{
    size_t column = 0;
    while (*text != '\0') {
        size_t word_bytes = strcspn(text, " ");
        if (column > 0 && column + 1 + word_bytes > columns) {
            roan_buffer_append_char(ret_text, '\n');
            column = 0;
        }
        roan_buffer_append_text(ret_text, column == 0 ? prefix : " ");
        column += column == 0 ? strlen(prefix) : 1;
        roan_buffer_append(ret_text, text, word_bytes);
        column += word_bytes;
        text += word_bytes;
        text += *text == ' ';
    }
    roan_buffer_append_char(ret_text, '\n');
}

/* "0 to 65535", "yes or no", "a size": what values there are. */
static void append_values(roan_buffer *ret_text, const roan_option *option)
{
    switch (option->type) {
    case ROAN_OPTION_BOOL:
        roan_buffer_append_text(ret_text, "yes or no");
        break;
    case ROAN_OPTION_INTEGER:
        if (option->clamp_max != 0)
            roan_buffer_printf(ret_text, "%lld to %lld", (long long)option->clamp_min, (long long)option->clamp_max);
        else if (option->max >= INT_MAX && option->min <= INT_MIN)
            roan_buffer_append_text(ret_text, "a number");
        else if (option->max >= INT_MAX)
            roan_buffer_printf(ret_text, "%lld or more", (long long)option->min);
        else
            roan_buffer_printf(ret_text, "%lld to %llu", (long long)option->min, (unsigned long long)option->max);
        break;
    case ROAN_OPTION_OCTAL:
        roan_buffer_append_text(ret_text, "octal");
        break;
    case ROAN_OPTION_MEMORY:
    case ROAN_OPTION_MEMORY_OR_NEGATIVE:
        roan_buffer_append_text(ret_text, "a size");
        break;
    case ROAN_OPTION_PERCENT_OR_MEMORY:
        roan_buffer_append_text(ret_text, "a size or a percentage");
        break;
    case ROAN_OPTION_ENUM:
    case ROAN_OPTION_CHOICES:
        for (const roan_option_choice *choice = option->choices; choice->name != NULL; choice++)
            roan_buffer_printf(ret_text, "%s%s", choice > option->choices ? ", " : "", choice->name);
        break;
    case ROAN_OPTION_TEXT:
    case ROAN_OPTION_BYTES:
    case ROAN_OPTION_SPECIAL:
        roan_buffer_append_text(ret_text, "text");
        break;
    }
}

static void append_setting(roan_buffer *ret_text, const roan_option *option)
{
    bool needs_quotes = option->initial[0] == '\0' || (option->type == ROAN_OPTION_TEXT &&
                                                       strchr(option->initial, ' ') != NULL);
    roan_buffer_printf(ret_text, needs_quotes ? "%s \"%s\"" : "%s %s", option->name, option->initial);
}

static bool is_shown(const roan_option *option)
{
    return (option->flags & ROAN_OPTION_HIDDEN) == 0;
}

/* Does it do something in this version? */
static bool is_useful(const roan_option *option)
{
    return is_shown(option) && option->needs == NULL && (option->flags & ROAN_OPTION_IDLE) == 0;
}

/* --- the sample file ---------------------------------------------------------------------------------------------- */

static const char *const sample_head =
    "# Configuration of `roan server`, with every default. Remove a # and change the value behind it.\n"
    "#\n"
    "#   roan server roan.conf                     use this file\n"
    "#   roan server roan.conf --port 7000         a flag is stronger than the file\n"
    "#   ROAN_PORT=7000 roan server roan.conf      and so is an environment variable\n"
    "#   roan server --check-config roan.conf      see whether it is right, without starting\n"
    "#\n"
    "# Sizes: 1k is 1000 bytes, 1kb 1024; m, mb, g and gb likewise. Words with blanks go in \"quotes\".\n"
    "# `include other.conf` reads another file in its place; the path may have wildcards.\n"
    "# Options that this version accepts but does not need are in docs/configuration.md.\n";

static void append_sample(roan_buffer *ret_text, const roan_option *option)
{
    roan_buffer_append_char(ret_text, '\n');
    append_wrapped(ret_text, "# ", option->text, SAMPLE_COLUMNS);
    if ((option->flags & ROAN_OPTION_IMMUTABLE) != 0)
        roan_buffer_append_text(ret_text, "# (Set at start only.)\n");
    if (option->format_line == NULL) {
        roan_buffer_append_char(ret_text, '#');
        append_setting(ret_text, option);
        roan_buffer_append_char(ret_text, '\n');
        return;
    }
    roan_config defaults;
    roan_config_init(&defaults);
    for (unsigned number = 0;; number++) {
        roan_buffer value = {0};
        bool is_there = roan_option_format_line(&defaults, option, number, &value);
        if (is_there)
            roan_buffer_printf(ret_text, "#%s %.*s\n", option->name, ROAN_SLICE_ARG(roan_buffer_slice(&value)));
        roan_buffer_done(&value);
        if (!is_there)
            break;
    }
    roan_config_done(&defaults);
}

void roan_config_print_sample(roan_buffer *ret_text)
{
    roan_buffer_append_text(ret_text, sample_head);
    for (unsigned i = 0; i < roan_option_group_count; i++) {
        const roan_option_group *group = roan_option_groups[i];
        bool has_title = false;
        for (unsigned j = 0; j < group->count; j++) {
            if (!is_useful(&group->options[j]))
                continue;
            if (!has_title) {
                size_t dashes = SAMPLE_COLUMNS - 7 - strlen(group->title);
                roan_buffer_printf(ret_text, "\n\n# --- %s ", group->title);
                for (size_t k = 0; k < dashes; k++)
                    roan_buffer_append_char(ret_text, '-');
                roan_buffer_append_char(ret_text, '\n');
                if (group->text[0] != '\0')
                    append_wrapped(ret_text, "# ", group->text, SAMPLE_COLUMNS);
                has_title = true;
            }
            append_sample(ret_text, &group->options[j]);
        }
    }
}

/* --- the reference ------------------------------------------------------------------------------------------------ */

static const char *const reference_head =
    "# Configuration\n"
    "\n"
    "Generated by `roan server --print-config=markdown`.\n"
    "\n"
    "Options come from four places; a later one is stronger:\n"
    "\n"
    "1. the defaults below;\n"
    "2. a configuration file: `roan server roan.conf`, or standard input: `roan server -`. One option a line,\n"
    "   `include` reads another file (wildcards allowed), `#` begins a comment. The files of Redis and Valkey work.\n"
    "   `roan server --print-config` prints a commented file to start from;\n"
    "3. environment variables: `ROAN_MAXMEMORY=1gb` is `maxmemory 1gb`, `ROAN_TCP_KEEPALIVE=60` is\n"
    "   `tcp-keepalive 60`;\n"
    "4. flags: `roan server --maxmemory 1gb --save ''`.\n"
    "\n"
    "While the server runs, `CONFIG SET` changes those options that are not marked *at start*, and `CONFIG REWRITE`\n"
    "writes the values in force back to the file. It keeps comments, order, and every line that is still true. What\n"
    "flags and the environment have set is written, too, passwords included.\n"
    "\n"
    "Sizes are bytes, or numbers with a unit: `1k` is 1000, `1kb` 1024; `m`, `mb`, `g`, `gb` likewise.\n";

static void append_reference_rows(roan_buffer *ret_text, const roan_option_group *group, bool useful)
{
    for (unsigned i = 0; i < group->count; i++) {
        const roan_option *option = &group->options[i];
        if (!is_shown(option) || is_useful(option) != useful || (option->flags & ROAN_OPTION_IDLE) != 0)
            continue;
        roan_buffer_printf(ret_text, "| `%s`%s%s%s | `%s` | ", option->name, option->alias != NULL ? " (`" : "",
                           option->alias != NULL ? option->alias : "", option->alias != NULL ? "`)" : "",
                           option->initial[0] != '\0' ? option->initial : "\"\"");
        append_values(ret_text, option);
        roan_buffer_printf(ret_text, " | %s%s |\n", option->text,
                           (option->flags & ROAN_OPTION_IMMUTABLE) != 0 ? " *At start.*" : "");
    }
}

static bool has_reference_rows(const roan_option_group *group, bool useful)
{
    for (unsigned i = 0; i < group->count; i++)
        if (is_shown(&group->options[i]) && is_useful(&group->options[i]) == useful &&
            (group->options[i].flags & ROAN_OPTION_IDLE) == 0)
            return true;
    return false;
}

static void append_reference_groups(roan_buffer *ret_text, const char *level, bool useful)
{
    for (unsigned i = 0; i < roan_option_group_count; i++) {
        const roan_option_group *group = roan_option_groups[i];
        if (!has_reference_rows(group, useful))
            continue;
        roan_buffer_printf(ret_text, "\n%s %s\n\n", level, group->title);
        if (group->text[0] != '\0')
            roan_buffer_printf(ret_text, "%s\n\n", group->text);
        roan_buffer_append_text(ret_text, "| option | default | values | meaning |\n|---|---|---|---|\n");
        append_reference_rows(ret_text, group, useful);
    }
}

void roan_config_print_reference(roan_buffer *ret_text)
{
    roan_buffer_append_text(ret_text, reference_head);
    append_reference_groups(ret_text, "##", true);
    roan_buffer_append_text(ret_text, "\n## Kept for features that are not there yet\n\n"
                                      "These are read, checked and kept. What would switch such a feature on is an "
                                      "error.\n");
    append_reference_groups(ret_text, "###", false);
    roan_buffer_append_text(ret_text, "\n## Without effect\n\n"
                                      "Accepted so that files written for the reference work.\n\n"
                                      "| option | why |\n|---|---|\n");
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option))
        if (is_shown(option) && (option->flags & ROAN_OPTION_IDLE) != 0)
            roan_buffer_printf(ret_text, "| `%s` | %s |\n", option->name, option->text);
}

void roan_config_print_option(const roan_option *option, roan_buffer *ret_text)
{
    append_wrapped(ret_text, "", option->text, SAMPLE_COLUMNS);
    roan_buffer_append_text(ret_text, "\n  default  ");
    append_setting(ret_text, option);
    roan_buffer_append_text(ret_text, "\n  values   ");
    append_values(ret_text, option);
    if (option->alias != NULL)
        roan_buffer_printf(ret_text, "\n  alias    %s", option->alias);
    roan_buffer_printf(ret_text, "\n  changes  %s\n",
                       (option->flags & ROAN_OPTION_IMMUTABLE) != 0 ? "at start only" : "any time, with CONFIG SET");
    if (option->needs != NULL)
        roan_buffer_printf(ret_text, "\nThere is no %s in this version yet.\n", option->needs);
}
