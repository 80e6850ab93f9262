/* engine/acl_selector.c: rules about commands, keys, channels and databases, in and out.
 *
 *     +get -get +client|list +select|0 +@read -@all     commands: a bit for each, and the rules as they were given
 *     ~pattern %R~pattern %W~pattern allkeys resetkeys  keys
 *     &pattern allchannels resetchannels                channels
 *     db=0,1 alldbs resetdbs                            databases
 *
 * The bits decide; the rules are kept to be shown, because "+@read" means more than the commands of today. A rule
 * replaces an earlier one about the same, and a rule about a command those about its subcommands.
 */
#include "engine/acl_selector.h"

#include "base/number.h"

#include <limits.h>

/* ---- life ---- */

void roan_acl_selector_init(roan_acl_selector *selector, bool all_channels)
{
    *selector = (roan_acl_selector){.all_channels = all_channels, .all_dbs = true};
}

static void clear_firsts(roan_acl_selector *selector)
{
    for (size_t i = 0; i < selector->first_count; i++)
        roan_acl_text_free(selector->firsts[i].text);
    roan_free(selector->firsts, selector->first_count * sizeof *selector->firsts);
    selector->firsts = NULL;
    selector->first_count = 0;
}

static void clear_patterns(roan_acl_selector *selector)
{
    for (size_t i = 0; i < selector->pattern_count; i++)
        roan_acl_text_free(selector->patterns[i].text);
    roan_free(selector->patterns, selector->pattern_count * sizeof *selector->patterns);
    selector->patterns = NULL;
    selector->pattern_count = 0;
}

static void set_dbs(roan_acl_selector *selector, bool all, int32_t *dbs, size_t count)
{
    roan_free(selector->dbs, selector->db_count * sizeof *selector->dbs);
    selector->all_dbs = all;
    selector->dbs = dbs;
    selector->db_count = count;
}

void roan_acl_selector_done(roan_acl_selector *selector)
{
    clear_firsts(selector);
    clear_patterns(selector);
    roan_acl_texts_clear(&selector->rules);
    roan_acl_texts_clear(&selector->channels);
    set_dbs(selector, false, NULL, 0);
}

void roan_acl_selector_reset(roan_acl_selector *selector, bool all_channels)
{
    roan_acl_selector_done(selector);
    roan_acl_selector_init(selector, all_channels);
}

static void *copy_array(const void *items, size_t bytes)
{
    if (bytes == 0)
        return NULL;
    return memcpy(roan_alloc(bytes), items, bytes);
}

void roan_acl_selector_copy(roan_acl_selector *target, const roan_acl_selector *source)
{
    *target = *source;
    target->rules = target->channels = (roan_acl_texts){0};
    roan_acl_texts_add_all(&target->rules, &source->rules);
    roan_acl_texts_add_all(&target->channels, &source->channels);
    target->firsts = copy_array(source->firsts, source->first_count * sizeof *source->firsts);
    for (size_t i = 0; i < target->first_count; i++)
        target->firsts[i].text = roan_acl_text_dup(source->firsts[i].text);
    target->patterns = copy_array(source->patterns, source->pattern_count * sizeof *source->patterns);
    for (size_t i = 0; i < target->pattern_count; i++)
        target->patterns[i].text = roan_acl_text_dup(source->patterns[i].text);
    target->dbs = copy_array(source->dbs, source->db_count * sizeof *source->dbs);
}

/* ---- words ---- */

static bool has_blank(roan_slice text)
{
    for (size_t i = 0; i < text.bytes; i++)
        if (roan_acl_is_blank(text.data[i]) || text.data[i] == '\0')
            return true;
    return false;
}

bool roan_acl_name_is_fine(roan_slice name)
{
    return !has_blank(name);
}

static roan_slice without_first(roan_slice text, size_t bytes)
{
    bytes = ROAN_MIN(bytes, text.bytes);
    return roan_slice_make(text.data + bytes, text.bytes - bytes);
}

static bool begins_with(roan_slice text, roan_slice start)
{
    return text.bytes >= start.bytes && roan_slice_equal(roan_slice_make(text.data, start.bytes), start);
}

/* ---- commands ---- */

/* Forgets rules about the same, and about subcommands and first arguments of it. */
static void forget_rules(roan_acl_selector *selector, roan_slice about)
{
    for (size_t i = 0; i < selector->rules.count;) {
        roan_slice old = without_first(selector->rules.items[i], 1);
        bool is_same = begins_with(old, about) && (old.bytes == about.bytes || old.data[about.bytes] == '|');
        if (is_same)
            roan_acl_texts_remove(&selector->rules, i);
        else
            i++;
    }
}

/* `rule` with its sign, in any case. */
static void keep_rule(roan_acl_selector *selector, roan_slice rule)
{
    roan_slice copy = roan_acl_text_dup(rule);
    char *lower = (char *)(uintptr_t)copy.data;
    for (size_t i = 0; i < copy.bytes; i++)
        if (lower[i] >= 'A' && lower[i] <= 'Z')
            lower[i] = (char)(lower[i] + 32);
    forget_rules(selector, without_first(copy, 1));
    roan_acl_texts_add(&selector->rules, copy);
    roan_acl_text_free(copy);
}

static void forget_firsts_of(roan_acl_selector *selector, uint16_t command)
{
    size_t kept = 0;
    for (size_t i = 0; i < selector->first_count; i++) {
        if (selector->firsts[i].command == command)
            roan_acl_text_free(selector->firsts[i].text);
        else
            selector->firsts[kept++] = selector->firsts[i];
    }
    if (kept == selector->first_count)
        return;
    selector->firsts = roan_realloc(selector->firsts, selector->first_count * sizeof *selector->firsts,
                                    ROAN_MAX(kept, (size_t)1) * sizeof *selector->firsts);
    if (kept == 0) {
        roan_free(selector->firsts, sizeof *selector->firsts);
        selector->firsts = NULL;
    }
    selector->first_count = kept;
}

static void set_bit(roan_acl_selector *selector, uint16_t command, bool is_allowed)
{
    uint64_t bit = UINT64_C(1) << (command % 64);
    if (is_allowed)
        selector->allowed[command / 64] |= bit;
    else
        selector->allowed[command / 64] &= ~bit;
}

/* The command with all its subcommands. */
static void change_command(roan_acl_selector *selector, const roan_command *command, bool is_allowed)
{
    unsigned count;
    const roan_command *const *children = roan_command_subcommands(command, &count);
    set_bit(selector, command->id, is_allowed);
    forget_firsts_of(selector, command->id);
    for (unsigned i = 0; i < count; i++)
        set_bit(selector, children[i]->id, is_allowed);
}

static void change_all_commands(roan_acl_selector *selector, bool is_allowed)
{
    memset(selector->allowed, 0, sizeof selector->allowed);
    if (is_allowed)
        for (uint16_t id = 0; id < ROAN_COMMAND_ID_COUNT; id++)
            set_bit(selector, id, true);
    selector->starts_with_all = is_allowed;
    roan_acl_texts_clear(&selector->rules);
    clear_firsts(selector);
}

static roan_acl_fault apply_category(roan_acl_selector *selector, roan_slice rule)
{
    roan_slice name = without_first(rule, 2);
    bool is_allowed = rule.data[0] == '+';
    if (roan_slice_is(name, "all")) {
        change_all_commands(selector, is_allowed);
        return ROAN_ACL_FINE;
    }
    uint32_t category = roan_acl_category_find(name);
    if (category == 0)
        return ROAN_ACL_UNKNOWN_COMMAND;
    keep_rule(selector, rule);
    for (unsigned i = 0; i < roan_command_index_count; i++)
        if (roan_command_categories(roan_command_index[i]) & category)
            change_command(selector, roan_command_index[i], is_allowed);
    return ROAN_ACL_FINE;
}

static void add_first(roan_acl_selector *selector, uint16_t command, roan_slice text)
{
    size_t count = selector->first_count;
    for (size_t i = 0; i < count; i++)
        if (selector->firsts[i].command == command && roan_slice_is(text, selector->firsts[i].text.data))
            return;
    selector->firsts = roan_realloc(selector->firsts, count * sizeof *selector->firsts,
                                    (count + 1) * sizeof *selector->firsts);
    selector->firsts[count] = (roan_acl_first){command, roan_acl_text_dup(text)};
    selector->first_count++;
}

/* +command|argument, which is no subcommand. The last stroke is what separates. */
static roan_acl_fault apply_first(roan_acl_selector *selector, roan_slice rule)
{
    size_t stroke = rule.bytes;
    while (stroke > 1 && rule.data[stroke - 1] != '|')
        stroke--;
    if (rule.data[0] != '+' || stroke <= 1)
        return ROAN_ACL_UNKNOWN_COMMAND;
    const roan_command *command = roan_command_find(roan_slice_make(rule.data + 1, stroke - 2));
    roan_slice argument = without_first(rule, stroke);
    unsigned children;
    if (command == NULL)
        return ROAN_ACL_UNKNOWN_COMMAND;
    if (roan_command_is_subcommand(command))
        return ROAN_ACL_FIRST_OF_SUBCOMMAND;
    ROAN_IGNORE(roan_command_subcommands(command, &children)); /* how many is all we ask */
    if (children > 0)
        return ROAN_ACL_UNKNOWN_COMMAND;
    if (argument.bytes == 0 || has_blank(argument)) /* of the reference, a blank here is the end */
        return ROAN_ACL_SYNTAX;
    keep_rule(selector, rule);
    add_first(selector, command->id, argument);
    return ROAN_ACL_FINE;
}

static roan_acl_fault apply_command(roan_acl_selector *selector, roan_slice rule)
{
    if (rule.bytes > 1 && rule.data[1] == '@')
        return apply_category(selector, rule);
    const roan_command *command = roan_command_find(without_first(rule, 1));
    if (command == NULL)
        return apply_first(selector, rule);
    keep_rule(selector, rule);
    change_command(selector, command, rule.data[0] == '+');
    return ROAN_ACL_FINE;
}

/* ---- keys, channels, databases ---- */

/* %R~ %W~ %RW~: moves *rule to the pattern. As in the reference, the tilde may be missing at the end. */
static unsigned parse_access(roan_slice *rule)
{
    unsigned access = 0;
    size_t at = 1;
    for (; at < rule->bytes && rule->data[at] != '~'; at++) {
        char letter = (char)(rule->data[at] | 0x20);
        unsigned bit = letter == 'r' ? ROAN_ACL_KEY_READ : letter == 'w' ? ROAN_ACL_KEY_WRITE : 0;
        if (bit == 0 || access & bit)
            return 0;
        access |= bit;
    }
    *rule = without_first(*rule, at + 1);
    return access;
}

static roan_acl_fault apply_key(roan_acl_selector *selector, roan_slice rule)
{
    if (selector->all_keys)
        return ROAN_ACL_AFTER_ALL_KEYS;
    unsigned access = ROAN_ACL_KEY_ALL;
    if (rule.data[0] == '%') {
        access = parse_access(&rule);
        if (access == 0)
            return ROAN_ACL_SYNTAX;
    } else {
        rule = without_first(rule, 1);
    }
    if (has_blank(rule))
        return ROAN_ACL_SYNTAX;
    size_t count = selector->pattern_count;
    for (size_t i = 0; i < count; i++) {
        if (!roan_slice_equal(selector->patterns[i].text, rule))
            continue;
        selector->patterns[i].access |= access;
        return ROAN_ACL_FINE;
    }
    selector->patterns = roan_realloc(selector->patterns, count * sizeof *selector->patterns,
                                      (count + 1) * sizeof *selector->patterns);
    selector->patterns[count] = (roan_acl_pattern){access, roan_acl_text_dup(rule)};
    selector->pattern_count++;
    return ROAN_ACL_FINE;
}

static roan_acl_fault apply_channel(roan_acl_selector *selector, roan_slice rule)
{
    if (selector->all_channels)
        return ROAN_ACL_AFTER_ALL_CHANNELS;
    roan_slice pattern = without_first(rule, 1);
    if (has_blank(pattern))
        return ROAN_ACL_SYNTAX;
    if (roan_acl_texts_find(&selector->channels, pattern) == ROAN_ACL_TEXT_NONE)
        roan_acl_texts_add(&selector->channels, pattern);
    return ROAN_ACL_FINE;
}

/* One number up to a comma or the end, as strtoll reads it: blanks before it, a sign, zeroes. */
static roan_acl_fault parse_db(roan_slice text, size_t *at, int32_t *ret_db)
{
    while (*at < text.bytes && roan_acl_is_blank(text.data[*at]))
        ++*at;
    bool is_negative = *at < text.bytes && text.data[*at] == '-';
    if (*at < text.bytes && (is_negative || text.data[*at] == '+'))
        ++*at;
    size_t first = *at;
    int64_t number = 0;
    for (; *at < text.bytes && text.data[*at] >= '0' && text.data[*at] <= '9'; ++*at)
        number = ROAN_MIN(number * 10 + (text.data[*at] - '0'), (int64_t)INT_MAX + 1);
    if (*at == first || (*at < text.bytes && text.data[*at] != ','))
        return ROAN_ACL_SYNTAX;
    if (number > INT_MAX || (is_negative && number != 0))
        return ROAN_ACL_DB_RANGE;
    *ret_db = (int32_t)number;
    return ROAN_ACL_FINE;
}

/* Keeps the numbers sorted and distinct. */
static size_t insert_db(int32_t *dbs, size_t count, int32_t db)
{
    size_t at = count;
    while (at > 0 && dbs[at - 1] > db)
        at--;
    if (at > 0 && dbs[at - 1] == db)
        return count;
    memmove(dbs + at + 1, dbs + at, (count - at) * sizeof *dbs);
    dbs[at] = db;
    return count + 1;
}

/* db=0,3 */
static roan_acl_fault apply_dbs(roan_acl_selector *selector, roan_slice list)
{
    size_t room = 1, count = 0;
    for (size_t i = 0; i < list.bytes; i++)
        room += list.data[i] == ',';
    int32_t *dbs = roan_alloc(room * sizeof *dbs);
    roan_acl_fault fault = ROAN_ACL_FINE;
    for (size_t at = 0, i = 0; i < room && fault == ROAN_ACL_FINE; i++, at++) {
        int32_t db = 0;
        fault = parse_db(list, &at, &db);
        if (fault == ROAN_ACL_FINE)
            count = insert_db(dbs, count, db);
    }
    if (fault != ROAN_ACL_FINE) {
        roan_free(dbs, room * sizeof *dbs);
        return fault;
    }
    set_dbs(selector, false, roan_realloc(dbs, room * sizeof *dbs, count * sizeof *dbs), count);
    return ROAN_ACL_FINE;
}

/* ---- a rule ---- */

static void set_all_keys(roan_acl_selector *selector, bool all)
{
    clear_patterns(selector);
    selector->all_keys = all;
}

static void set_all_channels(roan_acl_selector *selector, bool all)
{
    roan_acl_texts_clear(&selector->channels);
    selector->all_channels = all;
}

/* Rules that are one word. */
static bool apply_word(roan_acl_selector *selector, roan_slice rule)
{
    if (roan_slice_is(rule, "allkeys") || roan_slice_is(rule, "~*"))
        set_all_keys(selector, true);
    else if (roan_slice_is(rule, "resetkeys"))
        set_all_keys(selector, false);
    else if (roan_slice_is(rule, "allchannels") || roan_slice_is(rule, "&*"))
        set_all_channels(selector, true);
    else if (roan_slice_is(rule, "resetchannels"))
        set_all_channels(selector, false);
    else if (roan_slice_is(rule, "allcommands"))
        change_all_commands(selector, true);
    else if (roan_slice_is(rule, "nocommands"))
        change_all_commands(selector, false);
    else if (roan_slice_is(rule, "alldbs"))
        set_dbs(selector, true, NULL, 0);
    else if (roan_slice_is(rule, "resetdbs"))
        set_dbs(selector, false, NULL, 0);
    else
        return false;
    return true;
}

roan_acl_fault roan_acl_selector_apply(roan_acl_selector *selector, roan_slice rule)
{
    if (rule.bytes == 0 || apply_word(selector, rule))
        return ROAN_ACL_FINE;
    if (rule.bytes >= 3 && roan_slice_is(roan_slice_make(rule.data, 3), "db="))
        return apply_dbs(selector, without_first(rule, 3));
    switch (rule.data[0]) {
    case '+':
    case '-':
        return apply_command(selector, rule);
    case '~':
    case '%':
        return apply_key(selector, rule);
    case '&':
        return apply_channel(selector, rule);
    default:
        return ROAN_ACL_SYNTAX;
    }
}

/* ---- describing ---- */

void roan_acl_describe_commands(const roan_acl_selector *selector, roan_buffer *ret_text)
{
    roan_buffer_append_text(ret_text, selector->starts_with_all ? "+@all" : "-@all");
    for (size_t i = 0; i < selector->rules.count; i++) {
        roan_buffer_append_char(ret_text, ' ');
        roan_buffer_append_slice(ret_text, selector->rules.items[i]);
    }
}

void roan_acl_describe_keys(const roan_acl_selector *selector, roan_buffer *ret_text)
{
    static const char *const prefixes[] = {[ROAN_ACL_KEY_READ] = "%R~", [ROAN_ACL_KEY_WRITE] = "%W~",
                                           [ROAN_ACL_KEY_ALL] = "~"};
    if (selector->all_keys)
        roan_buffer_append_text(ret_text, "~*");
    for (size_t i = 0; i < selector->pattern_count; i++) {
        roan_buffer_append_text(ret_text, i > 0 ? " " : "");
        roan_buffer_append_text(ret_text, prefixes[selector->patterns[i].access]);
        roan_buffer_append_slice(ret_text, selector->patterns[i].text);
    }
}

void roan_acl_describe_channels(const roan_acl_selector *selector, roan_buffer *ret_text)
{
    if (selector->all_channels)
        roan_buffer_append_text(ret_text, "&*");
    for (size_t i = 0; i < selector->channels.count; i++) {
        roan_buffer_append_text(ret_text, i > 0 ? " &" : "&");
        roan_buffer_append_slice(ret_text, selector->channels.items[i]);
    }
}

void roan_acl_describe_dbs(const roan_acl_selector *selector, roan_buffer *ret_text)
{
    if (selector->all_dbs)
        roan_buffer_append_text(ret_text, "alldbs");
    for (size_t i = 0; i < selector->db_count; i++)
        roan_buffer_printf(ret_text, "%s%d", i > 0 ? "," : "db=", (int)selector->dbs[i]);
}

void roan_acl_selector_describe(const roan_acl_selector *selector, roan_buffer *ret_text)
{
    size_t start = ret_text->bytes;
    roan_acl_describe_keys(selector, ret_text);
    roan_buffer_append_text(ret_text, ret_text->bytes > start ? " " : "");
    if (!selector->all_channels)
        roan_buffer_append_text(ret_text, selector->channels.count > 0 ? "resetchannels " : "resetchannels");
    roan_acl_describe_channels(selector, ret_text);
    if (!selector->all_dbs) { /* old versions do not know "alldbs" */
        roan_buffer_append_char(ret_text, ' ');
        roan_buffer_append_text(ret_text, selector->db_count == 0 ? "resetdbs" : "");
        roan_acl_describe_dbs(selector, ret_text);
    }
    roan_buffer_append_char(ret_text, ' ');
    roan_acl_describe_commands(selector, ret_text);
}

bool roan_acl_selector_allows_all(const roan_acl_selector *selector)
{
    for (uint16_t id = 0; id < ROAN_COMMAND_ID_COUNT; id++)
        if (!roan_acl_selector_allows(selector, id))
            return false;
    return selector->all_keys && selector->all_channels && selector->all_dbs;
}
