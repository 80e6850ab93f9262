/* engine/options_users.c: `user NAME RULE ...` lines of configuration files.
 *
 * The lines are kept as text, words separated by single spaces, passwords as their hashes; roan_acl_create makes
 * users of them when all options are known. What is wrong with a rule is told while its line is at hand.
 */
#include "engine/acl_user.h"
#include "engine/options_rows.h"

#include "base/number.h"

#include <string.h>

static bool has_user(const char *lines, roan_slice name)
{
    for (const char *line = lines, *end; line[0] != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        if ((size_t)(end - line) >= name.bytes && memcmp(line, name.data, name.bytes) == 0 &&
            (line[name.bytes] == ' ' || line[name.bytes] == '\n'))
            return true;
    }
    return false;
}

/* Tries the rules on a user. As a new user may begin with all channels or none, only what is wrong with both is
 * wrong. */
static roan_status check_rules(const roan_acl_texts *rules, bool all_channels, roan_error *reterr)
{
    roan_acl_user *user = roan_acl_user_create(ROAN_LITERAL("x"), all_channels);
    roan_status status = ROAN_OK;
    for (size_t i = 0; i < rules->count && status == ROAN_OK; i++) {
        roan_acl_fault fault = roan_acl_apply(user, rules->items[i], all_channels);
        if (fault != ROAN_ACL_FINE)
            status = roan_error_set(reterr, ROAN_E_INVALID, "rule %zu: %s", i + 1, roan_acl_fault_text(fault));
    }
    roan_acl_user_free(user);
    return status;
}

/* A password becomes its hash, and line ends inside of parentheses spaces. */
static void append_rule(roan_buffer *line, roan_slice rule)
{
    char digits[ROAN_ACL_PASSWORD_DIGITS];
    if (rule.bytes == 0 || (rule.data[0] != '>' && rule.data[0] != '<')) {
        for (size_t i = 0; i < rule.bytes; i++)
            roan_buffer_append_char(line, rule.data[i] >= '\t' && rule.data[i] <= '\r' ? ' ' : rule.data[i]);
        return;
    }
    roan_acl_hash_password(roan_slice_make(rule.data + 1, rule.bytes - 1), digits);
    roan_buffer_append_char(line, rule.data[0] == '>' ? '#' : '!');
    roan_buffer_append(line, digits, sizeof digits);
}

static roan_status add_line(roan_config *config, size_t argc, const roan_slice *argv, roan_error *reterr)
{
    roan_acl_texts rules = {0};
    size_t open = 0;
    roan_status status = ROAN_OK;
    if (!roan_acl_join_words(argc - 1, argv + 1, &rules, &open))
        status = roan_error_set(reterr, ROAN_E_INVALID, "rule %zu: the parenthesis is not closed", open + 1);
    else
        status = check_rules(&rules, config->acl_pubsub_default != 0, reterr);
    if (status == ROAN_OK) {
        roan_buffer lines = {0};
        roan_buffer_append_text(&lines, config->users);
        roan_buffer_append_slice(&lines, argv[0]);
        for (size_t i = 0; i < rules.count; i++) {
            roan_buffer_append_char(&lines, ' ');
            append_rule(&lines, rules.items[i]);
        }
        roan_buffer_append_char(&lines, '\n');
        roan_config_set_string(&config->users, roan_buffer_slice(&lines));
        roan_buffer_done(&lines);
    }
    roan_acl_texts_clear(&rules);
    return status;
}

/* Not from a file: the text of all lines, as roan_option_format_words gave it. */
static void set_lines(roan_config *config, size_t argc, const roan_slice *argv)
{
    roan_buffer lines = {0};
    for (size_t i = 0; i < argc; i++) {
        roan_buffer_append_text(&lines, i > 0 ? " " : "");
        roan_buffer_append_slice(&lines, argv[i]);
    }
    roan_config_set_string(&config->users, lines.bytes > 0 ? roan_buffer_slice(&lines) : ROAN_LITERAL(""));
    roan_buffer_done(&lines);
}

ROAN_ROW_PARSE(roan_option_parse_user)
{
    (void)option;
    if (!at_start) {
        set_lines(config, argc, argv);
        return ROAN_OK;
    }
    if (argc == 0)
        return roan_error_set(reterr, ROAN_E_CONFIG, "a name is missing");
    if (!roan_acl_name_is_fine(argv[0]))
        return roan_error_set(reterr, ROAN_E_INVALID, "Spaces not allowed in ACL usernames");
    if (has_user(config->users, argv[0]))
        return roan_error_set(reterr, ROAN_E_INVALID, "Duplicate user found. A user can only be defined once in config "
                                                      "files");
    return add_line(config, argc, argv, reterr);
}

static void append_word(roan_slice word, roan_buffer *ret_text)
{
    bool is_plain = word.bytes > 0;
    for (size_t i = 0; i < word.bytes && is_plain; i++)
        is_plain = word.data[i] > ' ' && word.data[i] < 0x7f && strchr("\"'\\", word.data[i]) == NULL;
    if (is_plain)
        roan_buffer_append_slice(ret_text, word);
    else
        roan_buffer_append_quoted(ret_text, word);
}

bool roan_option_line_user(const roan_config *config, unsigned line, roan_buffer *ret_text)
{
    const char *at = config->users;
    for (; line > 0 && at[0] != '\0'; line--)
        at = strchr(at, '\n') + 1;
    if (at[0] == '\0')
        return false;
    for (const char *end;; at = end + 1) {
        end = at + strcspn(at, " \n");
        append_word(roan_slice_make(at, (size_t)(end - at)), ret_text);
        if (*end == '\n')
            return true;
        roan_buffer_append_char(ret_text, ' ');
    }
}
