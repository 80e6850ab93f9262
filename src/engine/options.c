/* engine/options.c: all rows: finding one by its name, walking them, and guessing what a misspelt name meant.
 *
 * Rows are found by a linear search: a name is looked up a few times at start and once per CONFIG, never per request.
 */
#include "base/number.h"
#include "engine/options_rows.h"

#include <string.h>

#define NAME_BYTES_MAX 64

const roan_option_group *const roan_option_groups[] = {
    &roan_options_network, &roan_options_general, &roan_options_log,         &roan_options_access,
    &roan_options_memory,  &roan_options_admin,   &roan_options_persistence, &roan_options_replication,
    &roan_options_cluster, &roan_options_types,
};
const unsigned roan_option_group_count = ROAN_COUNT_OF(roan_option_groups);

const roan_option *roan_option_next(const roan_option *option)
{
    if (option == NULL)
        return roan_option_groups[0]->options;
    for (unsigned i = 0; i < roan_option_group_count; i++) {
        const roan_option_group *group = roan_option_groups[i];
        if (option < group->options || option >= group->options + group->count)
            continue;
        if (option + 1 < group->options + group->count)
            return option + 1;
        return i + 1 < roan_option_group_count ? roan_option_groups[i + 1]->options : NULL;
    }
    ROAN_UNREACHABLE("not a row of any group");
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* The first letters are compared first: they settle nearly every case. */
static bool is_name(roan_slice name, const char *candidate)
{
    return candidate != NULL && lower(name.data[0]) == candidate[0] && roan_slice_is(name, candidate);
}

const roan_option *roan_option_find(roan_slice name)
{
    if (name.bytes == 0)
        return NULL;
    for (unsigned i = 0; i < roan_option_group_count; i++) {
        const roan_option *end = roan_option_groups[i]->options + roan_option_groups[i]->count;
        for (const roan_option *option = roan_option_groups[i]->options; option < end; option++)
            if (is_name(name, option->name) || is_name(name, option->alias))
                return option;
    }
    return NULL;
}

/* --- names that are no options ------------------------------------------------------------------------------------ */

const char *roan_option_absent(roan_slice name)
{
    static const struct {
        const char *prefix;
        bool is_whole;
        const char *reason;
    } rows[] = {
        {"tls-", false, "TLS is not available in this version"},
        {"rdma-", false, "RDMA is not available in this version"},
        {"rename-command", true, "renaming commands is not available in this version"},
        {"loadmodule", true, "modules are not available in this version"},
        {"sentinel", true, "Sentinel mode is not available in this version"},
    };
    for (size_t i = 0; i < ROAN_COUNT_OF(rows); i++) {
        size_t bytes = strlen(rows[i].prefix);
        if (name.bytes >= bytes && (!rows[i].is_whole || name.bytes == bytes) &&
            roan_slice_is(roan_slice_make(name.data, bytes), rows[i].prefix))
            return rows[i].reason;
    }
    return NULL;
}

bool roan_option_is_obsolete(roan_slice name)
{
    static const char *const names[] = {"list-max-ziplist-entries", "list-max-ziplist-value",
                                        "lua-replicate-commands", "events-per-io-thread"};
    for (size_t i = 0; i < ROAN_COUNT_OF(names); i++)
        if (roan_slice_is(name, names[i]))
            return true;
    return false;
}

/* --- misspelt names ----------------------------------------------------------------------------------------------- */

/* Letters to insert, delete, replace or swap with the next one to get from a to b; both at most NAME_BYTES_MAX long. */
static unsigned edit_distance(roan_slice a, roan_slice b)
{
    unsigned rows[3][NAME_BYTES_MAX + 1];
    unsigned *before = rows[0], *previous = rows[1], *current = rows[2];
    for (unsigned j = 0; j <= b.bytes; j++)
        previous[j] = j;
    memset(before, 0, sizeof rows[0]);
    for (unsigned i = 1; i <= a.bytes; i++) {
        current[0] = i;
        for (unsigned j = 1; j <= b.bytes; j++) {
            char x = lower(a.data[i - 1]), y = lower(b.data[j - 1]);
            unsigned best = previous[j - 1] + (x != y);
            best = ROAN_MIN(best, previous[j] + 1);
            best = ROAN_MIN(best, current[j - 1] + 1);
            if (i > 1 && j > 1 && x == lower(b.data[j - 2]) && lower(a.data[i - 2]) == y)
                best = ROAN_MIN(best, before[j - 2] + 1);
            current[j] = best;
        }
        unsigned *oldest = before;
        before = previous;
        previous = current;
        current = oldest;
    }
    return previous[b.bytes];
}

static void keep_nearest(roan_slice name, const char *candidate, unsigned *best_distance, const char **best)
{
    if (candidate == NULL)
        return;
    roan_slice text = roan_slice_from_text(candidate);
    ROAN_ASSERT(text.bytes <= NAME_BYTES_MAX);
    size_t longer = ROAN_MAX(name.bytes, text.bytes), shorter = ROAN_MIN(name.bytes, text.bytes);
    if (longer - shorter >= *best_distance) /* at least that many letters to insert */
        return;
    unsigned distance = edit_distance(name, text);
    if (distance < *best_distance) {
        *best_distance = distance;
        *best = candidate;
    }
}

const char *roan_option_suggest(roan_slice name)
{
    const char *best = NULL;
    if (name.bytes < 2 || name.bytes > NAME_BYTES_MAX)
        return NULL;
    unsigned best_distance = 1 + ROAN_MIN(3u, (unsigned)name.bytes / 3); /* further away is a guess, not a typo */
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        if ((option->flags & ROAN_OPTION_HIDDEN) != 0)
            continue;
        keep_nearest(name, option->name, &best_distance, &best);
        keep_nearest(name, option->alias, &best_distance, &best);
    }
    return best;
}

bool roan_option_is_secret(roan_slice name)
{
    const roan_option *option = roan_option_find(name);
    const char *near = option == NULL ? roan_option_suggest(name) : NULL;
    if (near != NULL)
        option = roan_option_find(roan_slice_from_text(near));
    return option != NULL && (option->flags & ROAN_OPTION_SENSITIVE) != 0;
}
