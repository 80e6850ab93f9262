/* engine/acl_check.c: may a user run this command line?
 *
 * Each selector is asked on its own, in this order: the database, the command, the keys, the channels. When none
 * allows it all, the refusal that got furthest is told (a key rather than a command), and of two equal ones that of
 * the later word.
 */
#include "engine/acl_selector.h"

#include "base/number.h"
#include "engine/call.h"
#include "engine/command_keys.h"

/* What is asked, and what needs to be found out only once for all selectors. */
typedef struct inquiry {
    const roan_acl_question *question;
    roan_key_list keys;
    bool has_keys; /* they were looked for */
} inquiry;

static roan_acl_refusal refuse(roan_acl_reason reason, size_t index)
{
    return (roan_acl_refusal){reason, index};
}

static const roan_acl_refusal allowed = {ROAN_ACL_ALLOWED, 0};

/* ---- databases ---- */

static bool allows_db(const roan_acl_selector *selector, int64_t db)
{
    bool is_found = selector->all_dbs;
    for (size_t i = 0; i < selector->db_count && !is_found; i++)
        is_found = selector->dbs[i] == db;
    return is_found;
}

/* A word that names a database; what is no database is left to the command to complain about. */
static bool allows_db_word(const roan_acl_selector *selector, const roan_acl_question *question, size_t index)
{
    int64_t db;
    if (index >= question->argc || !roan_parse_i64(question->argv[index], &db) || db < 0 || db >= question->db_count)
        return true;
    return allows_db(selector, db);
}

/* COPY source destination [REPLACE] [DB n] ... */
static roan_acl_refusal check_copy(const roan_acl_selector *selector, const roan_acl_question *question)
{
    for (size_t i = 3; i < question->argc; i++) {
        int64_t db;
        if (roan_slice_is(question->argv[i], "replace"))
            continue;
        if (!roan_slice_is(question->argv[i], "db") || ++i >= question->argc || !roan_parse_i64(question->argv[i], &db))
            break;
        if (!allows_db_word(selector, question, i))
            return refuse(ROAN_ACL_DENIED_DB, i);
    }
    return allowed;
}

/* What the words say about databases. *ret_is_current: the session's is used as well. */
static roan_acl_refusal check_named_dbs(const roan_acl_selector *selector, const roan_acl_question *question,
                                        bool *ret_is_current)
{
    *ret_is_current = false;
    switch (question->command->id) {
    case ROAN_COMMAND_ID_select:
        return allows_db_word(selector, question, 1) ? allowed : refuse(ROAN_ACL_DENIED_DB, 1);
    case ROAN_COMMAND_ID_swapdb:
        for (size_t i = 1; i <= 2; i++)
            if (!allows_db_word(selector, question, i))
                return refuse(ROAN_ACL_DENIED_DB, i);
        return allowed;
    case ROAN_COMMAND_ID_flushall:
        return refuse(ROAN_ACL_DENIED_DB, 0);
    case ROAN_COMMAND_ID_move:
        *ret_is_current = true;
        return allows_db_word(selector, question, 2) ? allowed : refuse(ROAN_ACL_DENIED_DB, 2);
    case ROAN_COMMAND_ID_copy:
        *ret_is_current = true;
        return check_copy(selector, question);
    default:
        *ret_is_current = question->command->flags & (ROAN_CMD_READ | ROAN_CMD_WRITE) ||
                          roan_command_has_keys(question->command) ||
                          roan_command_categories(question->command) & ROAN_ACL_KEYSPACE;
        return allowed;
    }
}

static roan_acl_refusal check_dbs(const roan_acl_selector *selector, const roan_acl_question *question)
{
    bool is_current;
    if (selector->all_dbs)
        return allowed;
    roan_acl_refusal refusal = check_named_dbs(selector, question, &is_current);
    if (refusal.reason == ROAN_ACL_ALLOWED && is_current && !allows_db(selector, question->db))
        return refuse(ROAN_ACL_DENIED_DB, 0);
    return refusal;
}

/* ---- commands ---- */

static bool allows_first(const roan_acl_selector *selector, const roan_acl_question *question)
{
    for (size_t i = 0; i < selector->first_count && question->argc > 1; i++)
        if (selector->firsts[i].command == question->command->id &&
            roan_slice_is(question->argv[1], selector->firsts[i].text.data))
            return true;
    return false;
}

static bool allows_command(const roan_acl_selector *selector, const roan_acl_question *question)
{
    const roan_command *command = question->command;
    return roan_acl_selector_allows(selector, command->id) || command->flags & ROAN_CMD_NO_AUTH ||
           allows_first(selector, question);
}

/* ---- keys ---- */

static unsigned access_of(uint16_t key_flags)
{
    unsigned access = key_flags & ROAN_KEY_ACCESS ? ROAN_ACL_KEY_READ : 0;
    return key_flags & (ROAN_KEY_INSERT | ROAN_KEY_DELETE | ROAN_KEY_UPDATE) ? access | ROAN_ACL_KEY_WRITE : access;
}

static bool allows_key(const roan_acl_selector *selector, roan_slice key, unsigned access)
{
    for (size_t i = 0; i < selector->pattern_count; i++)
        if ((selector->patterns[i].access & access) == access &&
            roan_glob_match(selector->patterns[i].text, key, false))
            return true;
    return selector->all_keys;
}

static roan_acl_refusal check_keys(const roan_acl_selector *selector, inquiry *asked)
{
    const roan_acl_question *question = asked->question;
    if (selector->all_keys || !roan_command_has_keys(question->command))
        return allowed;
    if (!asked->has_keys) /* what is no valid command line has no keys */
        ROAN_IGNORE(roan_command_find_keys(question->command, question->argc, question->argv, &asked->keys));
    asked->has_keys = true;
    const roan_key_ref *refs = roan_key_list_refs(&asked->keys);
    for (unsigned i = 0; i < asked->keys.count; i++)
        if (!allows_key(selector, question->argv[refs[i].index], access_of(refs[i].flags)))
            return refuse(ROAN_ACL_DENIED_KEY, refs[i].index);
    return allowed;
}

/* ---- channels ---- */

static bool list_allows_channel(const roan_acl_texts *list, roan_slice channel, bool is_pattern)
{
    for (size_t i = 0; i < list->count; i++)
        if (is_pattern ? roan_slice_equal(list->items[i], channel) : roan_glob_match(list->items[i], channel, false))
            return true;
    return false;
}

/* Which words are channels: the one behind the name, or all of them. */
static bool has_channels(const roan_acl_question *question, size_t *ret_end, bool *ret_are_patterns)
{
    *ret_are_patterns = question->command->id == ROAN_COMMAND_ID_psubscribe;
    *ret_end = question->argc;
    switch (question->command->id) {
    case ROAN_COMMAND_ID_publish:
    case ROAN_COMMAND_ID_spublish:
        *ret_end = 2;
        return true;
    case ROAN_COMMAND_ID_subscribe:
    case ROAN_COMMAND_ID_ssubscribe:
    case ROAN_COMMAND_ID_psubscribe:
        return true;
    default:
        return false;
    }
}

static roan_acl_refusal check_channels(const roan_acl_selector *selector, const roan_acl_question *question)
{
    size_t end;
    bool are_patterns;
    if (selector->all_channels || !has_channels(question, &end, &are_patterns))
        return allowed;
    for (size_t i = 1; i < end; i++)
        if (!list_allows_channel(&selector->channels, question->argv[i], are_patterns))
            return refuse(ROAN_ACL_DENIED_CHANNEL, i);
    return allowed;
}

bool roan_acl_allows_channel(const roan_acl_user *user, roan_slice channel, bool is_pattern)
{
    for (size_t i = 0; i < user->selector_count; i++)
        if (user->selectors[i].all_channels || list_allows_channel(&user->selectors[i].channels, channel, is_pattern))
            return true;
    return false;
}

static bool names_channel(const roan_acl_user *user, roan_slice channel)
{
    for (size_t i = 0; i < user->selector_count; i++)
        if (roan_acl_texts_find(&user->selectors[i].channels, channel) != ROAN_ACL_TEXT_NONE)
            return true;
    return false;
}

bool roan_acl_keeps_channels(const roan_acl_user *next, const roan_acl_user *before)
{
    for (size_t i = 0; i < next->selector_count; i++)
        if (next->selectors[i].all_channels)
            return true;
    for (size_t i = 0; i < before->selector_count; i++) {
        const roan_acl_selector *selector = &before->selectors[i];
        if (selector->all_channels)
            return false;
        for (size_t j = 0; j < selector->channels.count; j++)
            if (!names_channel(next, selector->channels.items[j]))
                return false;
    }
    return true;
}

/* ---- all of it ---- */

static roan_acl_refusal check_selector(const roan_acl_selector *selector, inquiry *asked)
{
    roan_acl_refusal refusal = check_dbs(selector, asked->question);
    if (refusal.reason == ROAN_ACL_ALLOWED && !allows_command(selector, asked->question))
        refusal = refuse(ROAN_ACL_DENIED_COMMAND, 0);
    if (refusal.reason == ROAN_ACL_ALLOWED)
        refusal = check_keys(selector, asked);
    if (refusal.reason == ROAN_ACL_ALLOWED)
        refusal = check_channels(selector, asked->question);
    return refusal;
}

roan_acl_refusal roan_acl_check(const roan_acl_user *user, const roan_acl_question *question)
{
    inquiry asked = {.question = question};
    roan_acl_refusal worst = {ROAN_ACL_DENIED_DB, 0};
    if (user->is_unrestricted)
        return allowed;
    roan_key_list_init(&asked.keys);
    for (size_t i = 0; i < user->selector_count && worst.reason != ROAN_ACL_ALLOWED; i++) {
        roan_acl_refusal refusal = check_selector(&user->selectors[i], &asked);
        if (refusal.reason == ROAN_ACL_ALLOWED || refusal.reason > worst.reason ||
            (refusal.reason == worst.reason && refusal.index > worst.index))
            worst = refusal;
    }
    roan_key_list_done(&asked.keys);
    return worst;
}

static bool may_read_all(const roan_acl_selector *selector)
{
    for (size_t i = 0; i < selector->pattern_count; i++)
        if (selector->patterns[i].access & ROAN_ACL_KEY_READ &&
            roan_slice_equal(selector->patterns[i].text, ROAN_LITERAL("*")))
            return true;
    return selector->all_keys;
}

bool roan_acl_may_read_all(const roan_acl_user *user, const roan_acl_question *question)
{
    inquiry asked = {.question = question};
    bool may = user->is_unrestricted;
    roan_key_list_init(&asked.keys);
    for (size_t i = 0; i < user->selector_count && !may; i++)
        may = may_read_all(&user->selectors[i]) &&
              check_selector(&user->selectors[i], &asked).reason == ROAN_ACL_ALLOWED;
    roan_key_list_done(&asked.keys);
    return may;
}
