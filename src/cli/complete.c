/* cli/complete.c: completion of command names.
 *
 * A subcommand is offered once its command and a space are typed, so that TAB after "c" lists
 * commands and not every CLIENT subcommand as well. Behind "help " the groups are topics too.
 */
#include "cli/complete.h"

#include "roan/commands.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define HELP_PREFIX "help "

static bool has_lower(const char *line)
{
    for (; *line != '\0'; line++)
        if (islower((unsigned char)*line))
            return true;
    return false;
}

/* Adds prefix + name unless it is there already; name's letters take the wanted case. */
static void add_candidate(roan_cli_candidates *list, const char *prefix, const char *name,
                          bool is_lower)
{
    size_t prefix_bytes = strlen(prefix);
    char *line = roan_cli_alloc(prefix_bytes + strlen(name) + 1);
    char *out = line + prefix_bytes;

    memcpy(line, prefix, prefix_bytes);
    for (; *name != '\0'; name++)
        *out++ = *name == '|' ? ' '
                 : is_lower   ? (char)tolower((unsigned char)*name)
                              : (char)toupper((unsigned char)*name);
    for (size_t i = 0; i < list->count; i++) {
        if (strcasecmp(list->items[i], line) == 0) {
            free(line);
            return;
        }
    }
    list->items = roan_cli_realloc(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = line;
}

/* True when `typed`, with its space for '|', begins `name`, and no '|' comes after that. */
static bool is_candidate(const char *name, const char *typed)
{
    size_t bytes = strlen(typed);

    for (size_t i = 0; i < bytes; i++) {
        char c = name[i] == '|' ? ' ' : name[i];
        if (name[i] == '\0' || tolower((unsigned char)c) != tolower((unsigned char)typed[i]))
            return false;
    }
    return strchr(name + bytes, '|') == NULL;
}

static void measure_common(roan_cli_candidates *list)
{
    list->common_bytes = list->count > 0 ? strlen(list->items[0]) : 0;
    for (size_t i = 1; i < list->count; i++) {
        size_t same = 0;
        while (same < list->common_bytes && tolower((unsigned char)list->items[i][same]) ==
                                                tolower((unsigned char)list->items[0][same]))
            same++;
        list->common_bytes = same;
    }
}

void roan_cli_complete(const char *line, roan_cli_candidates *ret_candidates)
{
    static const char *const own_words[] = {"help", "clear", "quit", "exit", "connect"};
    size_t count;
    const roan_command_help *commands = roan_command_help_list(&count);
    bool is_help = strncasecmp(line, HELP_PREFIX, strlen(HELP_PREFIX)) == 0;
    const char *typed = is_help ? line + strlen(HELP_PREFIX) : line;
    char *prefix = roan_cli_copy_slice(roan_slice_make(line, (size_t)(typed - line)));
    bool is_lower = typed[0] == '\0' || has_lower(typed);

    *ret_candidates = (roan_cli_candidates){0};
    for (size_t i = 0; i < count; i++) {
        if (is_help && typed[0] == '@') {
            if (strncasecmp(commands[i].group, typed + 1, strlen(typed + 1)) == 0) {
                char group[64];
                snprintf(group, sizeof group, "@%s", commands[i].group);
                add_candidate(ret_candidates, prefix, group, true);
            }
        } else if (is_candidate(commands[i].name, typed)) {
            add_candidate(ret_candidates, prefix, commands[i].name, is_lower);
        }
    }
    for (size_t i = 0; i < sizeof own_words / sizeof own_words[0] && !is_help; i++)
        if (typed[0] != '\0' && is_candidate(own_words[i], typed))
            add_candidate(ret_candidates, prefix, own_words[i], is_lower);
    free(prefix);
    measure_common(ret_candidates);
}

void roan_cli_candidates_done(roan_cli_candidates *candidates)
{
    for (size_t i = 0; i < candidates->count; i++)
        free(candidates->items[i]);
    free(candidates->items);
    *candidates = (roan_cli_candidates){0};
}
