/* engine/acl_user.c: users: switches, passwords, and selectors; see acl_user.h.
 *
 *     on off  nopass resetpass >secret <secret #hash !hash  (rules) clearselectors  reset
 *     ... and the rules of a selector
 */
#include "engine/acl_user.h"

#include "base/number.h"
#include "engine/acl_selector.h"
#include "engine/config_file.h"

#include <openssl/sha.h>

_Static_assert(2 * SHA256_DIGEST_LENGTH == ROAN_ACL_PASSWORD_DIGITS, "passwords are kept as SHA-256");

/* ---- life ---- */

roan_acl_user *roan_acl_user_create(roan_slice name, bool all_channels)
{
    roan_acl_user *user = roan_alloc_zero(sizeof *user);
    user->name = roan_text_dup_bytes(name.data != NULL ? name.data : "", name.bytes);
    user->selectors = roan_alloc(sizeof *user->selectors);
    user->selector_count = 1;
    roan_acl_selector_init(&user->selectors[0], all_channels);
    return user;
}

/* Leaves `kept` selectors. */
static void drop_selectors(roan_acl_user *user, size_t kept)
{
    for (size_t i = kept; i < user->selector_count; i++)
        roan_acl_selector_done(&user->selectors[i]);
    if (kept == 0) {
        roan_free(user->selectors, user->selector_count * sizeof *user->selectors);
        user->selectors = NULL;
    } else {
        user->selectors = roan_realloc(user->selectors, user->selector_count * sizeof *user->selectors,
                                       kept * sizeof *user->selectors);
    }
    user->selector_count = kept;
}

static void clear(roan_acl_user *user)
{
    roan_acl_texts_clear(&user->passwords);
    drop_selectors(user, 0);
}

roan_acl_user *roan_acl_user_free(roan_acl_user *user)
{
    if (user == NULL)
        return NULL;
    clear(user);
    roan_text_free(user->name);
    roan_free(user, sizeof *user);
    return NULL;
}

void roan_acl_user_copy(roan_acl_user *target, const roan_acl_user *source)
{
    char *name = target->name;
    clear(target);
    *target = *source;
    target->name = name;
    target->passwords = (roan_acl_texts){0};
    roan_acl_texts_add_all(&target->passwords, &source->passwords);
    target->selectors = roan_alloc(source->selector_count * sizeof *target->selectors);
    for (size_t i = 0; i < source->selector_count; i++)
        roan_acl_selector_copy(&target->selectors[i], &source->selectors[i]);
}

void roan_acl_user_settle(roan_acl_user *user)
{
    user->is_unrestricted = false;
    for (size_t i = 0; i < user->selector_count && !user->is_unrestricted; i++)
        user->is_unrestricted = roan_acl_selector_allows_all(&user->selectors[i]);
}

void roan_acl_user_make_default(roan_acl_user *user)
{
    static const char *const rules[] = {"reset", "+@all", "~*", "&*", "on", "nopass"};
    for (size_t i = 0; i < ROAN_COUNT_OF(rules); i++)
        ROAN_ASSERT(roan_acl_apply(user, roan_slice_from_text(rules[i]), false) == ROAN_ACL_FINE);
    roan_acl_user_settle(user);
}

/* ---- passwords ---- */

void roan_acl_hash_password(roan_slice password, char ret_digits[ROAN_ACL_PASSWORD_DIGITS])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char hash[SHA256_DIGEST_LENGTH];
    const char *data = password.bytes > 0 ? password.data : "";
    ROAN_ASSERT(SHA256((const unsigned char *)data, password.bytes, hash) != NULL);
    for (size_t i = 0; i < sizeof hash; i++) {
        ret_digits[2 * i] = digits[hash[i] >> 4];
        ret_digits[2 * i + 1] = digits[hash[i] & 15];
    }
}

bool roan_acl_password_matches(const roan_acl_user *user, roan_slice password)
{
    char wanted[ROAN_ACL_PASSWORD_DIGITS];
    bool is_found = false;
    roan_acl_hash_password(password, wanted);
    for (size_t i = 0; i < user->passwords.count; i++) {
        unsigned difference = 0;
        for (size_t j = 0; j < sizeof wanted; j++)
            difference |= (unsigned char)(wanted[j] ^ user->passwords.items[i].data[j]);
        is_found |= difference == 0;
    }
    return is_found;
}

static bool is_hash(roan_slice text)
{
    size_t i = 0;
    while (i < text.bytes && memchr("0123456789abcdef", text.data[i], 16) != NULL)
        i++;
    return i == text.bytes && text.bytes == ROAN_ACL_PASSWORD_DIGITS;
}

/* >secret #hash <secret !hash */
static roan_acl_fault apply_password(roan_acl_user *user, roan_slice rule)
{
    char digits[ROAN_ACL_PASSWORD_DIGITS];
    roan_slice word = roan_slice_make(rule.data + 1, rule.bytes - 1), hash = word;
    if (rule.data[0] == '>' || rule.data[0] == '<') {
        roan_acl_hash_password(word, digits);
        hash = roan_slice_make(digits, sizeof digits);
    } else if (!is_hash(word)) {
        return ROAN_ACL_BAD_HASH;
    }
    size_t place = roan_acl_texts_find(&user->passwords, hash);
    if (rule.data[0] == '>' || rule.data[0] == '#') {
        if (place == ROAN_ACL_TEXT_NONE)
            roan_acl_texts_add(&user->passwords, hash);
        user->needs_no_password = false;
        return ROAN_ACL_FINE;
    }
    if (place == ROAN_ACL_TEXT_NONE)
        return ROAN_ACL_NO_SUCH_PASSWORD;
    roan_acl_texts_remove(&user->passwords, place);
    return ROAN_ACL_FINE;
}

static void reset_passwords(roan_acl_user *user, bool needs_none)
{
    roan_acl_texts_clear(&user->passwords);
    user->needs_no_password = needs_none;
}

/* ---- selectors ---- */

static roan_acl_fault fill_selector(roan_acl_selector *selector, roan_slice rules)
{
    roan_config_words words = {0};
    roan_acl_fault fault = roan_config_split(rules, &words) ? ROAN_ACL_FINE : ROAN_ACL_SYNTAX;
    for (size_t i = 0; i < words.count && fault == ROAN_ACL_FINE; i++)
        fault = roan_acl_selector_apply(selector, words.items[i]);
    roan_config_words_done(&words);
    return fault;
}

/* (rules) */
static roan_acl_fault add_selector(roan_acl_user *user, roan_slice rule, bool all_channels)
{
    roan_acl_selector added;
    roan_acl_selector_init(&added, all_channels);
    roan_acl_fault fault = fill_selector(&added, roan_slice_make(rule.data + 1, rule.bytes - 2));
    if (fault != ROAN_ACL_FINE) {
        roan_acl_selector_done(&added);
        return fault;
    }
    size_t count = user->selector_count;
    user->selectors = roan_realloc(user->selectors, count * sizeof *user->selectors,
                                   (count + 1) * sizeof *user->selectors);
    user->selectors[count] = added;
    user->selector_count++;
    return ROAN_ACL_FINE;
}

static void reset(roan_acl_user *user, bool all_channels)
{
    user->is_on = false;
    reset_passwords(user, false);
    drop_selectors(user, 1);
    roan_acl_selector_reset(&user->selectors[0], all_channels);
}

/* ---- rules ---- */

/* Rules that are one word. */
static bool apply_word(roan_acl_user *user, roan_slice rule, bool all_channels)
{
    if (roan_slice_is(rule, "on") || roan_slice_is(rule, "off"))
        user->is_on = roan_slice_is(rule, "on");
    else if (roan_slice_is(rule, "nopass") || roan_slice_is(rule, "resetpass"))
        reset_passwords(user, roan_slice_is(rule, "nopass"));
    else if (roan_slice_is(rule, "clearselectors"))
        drop_selectors(user, 1);
    else if (roan_slice_is(rule, "reset"))
        reset(user, all_channels);
    else /* of old versions; RESTORE looks at what it is given in any case */
        return roan_slice_is(rule, "sanitize-payload") || roan_slice_is(rule, "skip-sanitize-payload");
    return true;
}

roan_acl_fault roan_acl_apply(roan_acl_user *user, roan_slice rule, bool all_channels)
{
    if (rule.bytes == 0 || apply_word(user, rule, all_channels))
        return ROAN_ACL_FINE;
    switch (rule.data[0]) {
    case '>':
    case '<':
    case '#':
    case '!':
        return apply_password(user, rule);
    case '(':
        if (rule.bytes > 1 && rule.data[rule.bytes - 1] == ')')
            return add_selector(user, rule, all_channels);
        return ROAN_ACL_SYNTAX;
    default:
        return roan_acl_selector_apply(&user->selectors[0], rule);
    }
}

const char *roan_acl_fault_text(roan_acl_fault fault)
{
    switch (fault) {
    case ROAN_ACL_FINE:
        break;
    case ROAN_ACL_UNKNOWN_COMMAND:
        return "Unknown command or category name in ACL";
    case ROAN_ACL_SYNTAX:
        return "Syntax error";
    case ROAN_ACL_AFTER_ALL_KEYS:
        return "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. "
               "Try 'resetkeys' to start with an empty list of patterns";
    case ROAN_ACL_AFTER_ALL_CHANNELS:
        return "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any "
               "effect. Try 'resetchannels' to start with an empty list of channels";
    case ROAN_ACL_NO_SUCH_PASSWORD:
        return "The password you are trying to remove from the user does not exist";
    case ROAN_ACL_BAD_HASH:
        return "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters";
    case ROAN_ACL_FIRST_OF_SUBCOMMAND:
        return "Allowing first-arg of a subcommand is not supported";
    case ROAN_ACL_DB_RANGE:
        return "The provided database ID is out of range";
    }
    ROAN_UNREACHABLE("not a fault");
}

bool roan_acl_join_words(size_t argc, const roan_slice *argv, roan_acl_texts *ret_words, size_t *ret_open)
{
    roan_buffer joined = {0};
    bool is_open = false;
    for (size_t i = 0; i < argc; i++) {
        roan_slice word = argv[i];
        bool closes = word.bytes > 0 && word.data[word.bytes - 1] == ')';
        if (is_open) {
            roan_buffer_append_char(&joined, ' ');
            roan_buffer_append_slice(&joined, word);
            is_open = !closes;
            if (closes)
                roan_acl_texts_add(ret_words, roan_buffer_slice(&joined));
        } else if (word.bytes > 0 && word.data[0] == '(' && !closes) {
            is_open = true;
            *ret_open = i;
            joined.bytes = 0;
            roan_buffer_append_slice(&joined, word);
        } else {
            roan_acl_texts_add(ret_words, word);
        }
    }
    roan_buffer_done(&joined);
    return !is_open;
}

/* ---- describing ---- */

void roan_acl_describe_user(const roan_acl_user *user, roan_buffer *ret_text)
{
    roan_buffer_append_text(ret_text, user->is_on ? "on " : "off ");
    roan_buffer_append_text(ret_text, user->needs_no_password ? "nopass " : "");
    for (size_t i = 0; i < user->passwords.count; i++)
        roan_buffer_printf(ret_text, "#%.*s ", ROAN_SLICE_ARG(user->passwords.items[i]));
    roan_acl_selector_describe(&user->selectors[0], ret_text);
    for (size_t i = 1; i < user->selector_count; i++) {
        roan_buffer_append_text(ret_text, " (");
        roan_acl_selector_describe(&user->selectors[i], ret_text);
        roan_buffer_append_char(ret_text, ')');
    }
}
