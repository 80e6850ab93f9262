/* Users: rules in and out, and what they allow. ACL on the wire: tests/wire/cases/acl*.case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/number.h"
#include "base/random.h"
#include "engine/acl.h"

#define WORDS_MAX 16

/* ---- words ---- */

static size_t split(char *text, roan_slice words[WORDS_MAX])
{
    size_t count = 0;
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " ")) {
        assert_true(count < WORDS_MAX);
        words[count++] = roan_slice_from_text(word);
    }
    return count;
}

/* All rules, which are fine. */
static void apply(roan_acl_user *user, const char *rules)
{
    char *copy = roan_text_dup(rules);
    roan_slice words[WORDS_MAX];
    roan_acl_texts joined = {0};
    size_t open;
    assert_true(roan_acl_join_words(split(copy, words), words, &joined, &open));
    for (size_t i = 0; i < joined.count; i++)
        assert_int_equal(roan_acl_apply(user, joined.items[i], false), ROAN_ACL_FINE);
    roan_acl_user_settle(user);
    roan_acl_texts_clear(&joined);
    roan_text_free(copy);
}

static roan_acl_user *user_of(const char *rules)
{
    roan_acl_user *user = roan_acl_user_create(ROAN_LITERAL("u"), false);
    apply(user, rules);
    return user;
}

/* The refusal of a command line in database 0 of 16. */
static roan_acl_refusal ask(const roan_acl_user *user, const char *line)
{
    char *copy = roan_text_dup(line);
    roan_slice words[WORDS_MAX];
    roan_acl_question question = {.argc = split(copy, words), .argv = words, .db_count = 16};
    question.command = roan_command_find_words(question.argc, words);
    assert_non_null(question.command);
    assert_true(roan_command_accepts_count(question.command, question.argc));
    roan_acl_refusal refusal = roan_acl_check(user, &question);
    roan_text_free(copy);
    return refusal;
}

#define ASSERT_ASK(user, line, why, word)                    \
    do {                                                     \
        roan_acl_refusal refusal_ = ask((user), (line));     \
        assert_int_equal(refusal_.reason, (why));            \
        assert_int_equal(refusal_.index, (word));            \
    } while (0)
#define ASSERT_ALLOWED(user, line) ASSERT_ASK(user, line, ROAN_ACL_ALLOWED, 0)

static char *described(const roan_acl_user *user)
{
    roan_buffer text = {0};
    roan_acl_describe_user(user, &text);
    char *copy = roan_text_dup_bytes(text.data, text.bytes);
    roan_buffer_done(&text);
    return copy;
}

#define ASSERT_DESCRIBED(user, expected)          \
    do {                                          \
        char *text_ = described(user);            \
        assert_string_equal(text_, (expected));   \
        roan_text_free(text_);                    \
    } while (0)

/* ---- tests ---- */

static void a_new_user_may_do_nothing(void **state)
{
    (void)state;
    roan_acl_user *user = user_of("");
    ASSERT_DESCRIBED(user, "off resetchannels -@all");
    assert_false(user->is_unrestricted);
    for (unsigned i = 0; i < roan_command_index_count; i++) {
        const roan_command *command = roan_command_index[i];
        roan_slice words[WORDS_MAX];
        roan_acl_question question = {.command = command, .argv = words, .db_count = 16};
        question.argc = (size_t)(command->arity < 0 ? -command->arity : command->arity);
        assert_true(question.argc < WORDS_MAX);
        for (size_t j = 0; j < question.argc; j++)
            words[j] = ROAN_LITERAL("1");
        bool is_allowed = roan_acl_check(user, &question).reason == ROAN_ACL_ALLOWED;
        assert_int_equal(is_allowed, (command->flags & ROAN_CMD_NO_AUTH) != 0);
    }
    roan_acl_user_free(user);
}

static void all_rights_need_no_check(void **state)
{
    (void)state;
    static const struct {
        const char *rules;
        bool is_unrestricted;
    } cases[] = {
        {"+@all ~* &*", true},
        {"+@all ~* &* alldbs", true},
        {"+@all ~* &* db=0", false},
        {"+@all ~*", false},
        {"+@all &*", false},
        {"~* &*", false},
        {"+@all -get ~* &*", false},
        {"(+@all ~* &*)", true},
        {"+@all -get +get ~* &*", true},
        {"+@all ~* &* resetkeys", false},
        {"+@all %RW~* &*", false},
    };
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        roan_acl_user *user = user_of(cases[i].rules);
        assert_int_equal(user->is_unrestricted, cases[i].is_unrestricted);
        roan_acl_user_free(user);
    }
}

static void the_furthest_refusal_is_told(void **state)
{
    (void)state;
    roan_acl_user *user = user_of("+mget ~key (+mget ~key ~other) (+@write db=3)");
    ASSERT_ALLOWED(user, "mget key other");
    ASSERT_ASK(user, "get key", ROAN_ACL_DENIED_COMMAND, 0);
    ASSERT_ASK(user, "mget other some", ROAN_ACL_DENIED_KEY, 2);
    ASSERT_ASK(user, "mget key other some", ROAN_ACL_DENIED_KEY, 3);
    ASSERT_ASK(user, "set key v", ROAN_ACL_DENIED_COMMAND, 0);
    roan_acl_user_free(user);
    user = user_of("+@all ~* db=1,2");
    ASSERT_ASK(user, "get a", ROAN_ACL_DENIED_DB, 0);
    ASSERT_ASK(user, "swapdb 1 3", ROAN_ACL_DENIED_DB, 2);
    ASSERT_ASK(user, "move a 3", ROAN_ACL_DENIED_DB, 2);
    ASSERT_ASK(user, "copy a b db 2 db 4", ROAN_ACL_DENIED_DB, 6);
    ASSERT_ASK(user, "flushall", ROAN_ACL_DENIED_DB, 0);
    ASSERT_ASK(user, "publish a b", ROAN_ACL_DENIED_CHANNEL, 1);
    ASSERT_ALLOWED(user, "select 99");
    ASSERT_ALLOWED(user, "ping");
    roan_acl_user_free(user);
}

static void reading_and_writing_are_two_rights(void **state)
{
    (void)state;
    roan_acl_user *user = user_of("+@all %R~r* %W~w* ~rw*");
    ASSERT_ALLOWED(user, "copy r1 w1");
    ASSERT_ASK(user, "copy w1 r1", ROAN_ACL_DENIED_KEY, 1);
    ASSERT_ALLOWED(user, "set w1 x");
    ASSERT_ASK(user, "set w1 x get", ROAN_ACL_DENIED_KEY, 1);
    ASSERT_ALLOWED(user, "set rw x get");
    ASSERT_ALLOWED(user, "exists r1 w1 rw");
    ASSERT_ASK(user, "exists r1 none", ROAN_ACL_DENIED_KEY, 2);
    ASSERT_ALLOWED(user, "bitfield r1 get u8 0");
    ASSERT_ASK(user, "bitfield r1 set u8 0 1", ROAN_ACL_DENIED_KEY, 1);
    roan_acl_user_free(user);
}

static void passwords_are_kept_as_hashes(void **state)
{
    (void)state;
    char digits[ROAN_ACL_PASSWORD_DIGITS];
    roan_acl_hash_password(ROAN_LITERAL("abc"), digits);
    assert_memory_equal(digits, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", sizeof digits);
    roan_acl_user *user = user_of("nopass >abc >def >abc <def");
    ASSERT_DESCRIBED(user, "off #ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad resetchannels -@all");
    assert_true(roan_acl_password_matches(user, ROAN_LITERAL("abc")));
    assert_false(roan_acl_password_matches(user, ROAN_LITERAL("def")));
    assert_false(roan_acl_password_matches(user, ROAN_LITERAL("")));
    assert_int_equal(roan_acl_apply(user, ROAN_LITERAL("<nope"), false), ROAN_ACL_NO_SUCH_PASSWORD);
    assert_int_equal(roan_acl_apply(user, ROAN_LITERAL("#ab"), false), ROAN_ACL_BAD_HASH);
    roan_acl_user_free(user);
}

/* Random rules: what is printed gives the same user again; a copy is the same; a rule that is refused changes
 * nothing. */
static void what_is_printed_is_read_back(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "on", "off", "nopass", ">a", ">b", "<a", "resetpass", "+get", "-get", "+client|list", "-client", "+select|0",
        "+select|1", "-select", "+@read", "-@read", "+@all", "-@all", "+@slow", "-@write", "~a*", "~b", "%R~c", "%W~c",
        "%R~d", "allkeys", "resetkeys", "&a", "&b*", "allchannels", "resetchannels", "db=1", "db=3,0", "alldbs",
        "resetdbs", "(+get ~a)", "(+@all -get db=1 &x)", "clearselectors", "+nosuch", "%X~a", "db=x", "reset", "(on)",
        "+acl|setuser", "-acl", "+config|get", "+debug|object", "+debug", "+@pubsub",
    };
    roan_random random;
    uint64_t seed = roan_random_entropy();
    print_message("seed %llu\n", (unsigned long long)seed);
    roan_random_seed(&random, seed);
    for (int round = 0; round < 300; round++) {
        roan_acl_user *user = user_of(""), *copy = user_of("on"), *again = user_of("");
        for (int i = 0; i < 20; i++) {
            const char *rule = rules[roan_random_below(&random, ROAN_COUNT_OF(rules))];
            char *before = described(user);
            if (roan_acl_apply(user, roan_slice_from_text(rule), false) != ROAN_ACL_FINE)
                ASSERT_DESCRIBED(user, before);
            roan_text_free(before);
        }
        roan_acl_user_settle(user);
        char *text = described(user);
        roan_acl_user_copy(copy, user);
        ASSERT_DESCRIBED(copy, text);
        roan_slice words[64];
        size_t count = 0, open;
        char *line = roan_text_dup(text);
        for (char *word = strtok(line, " "); word != NULL; word = strtok(NULL, " ")) {
            assert_true(count < ROAN_COUNT_OF(words));
            words[count++] = roan_slice_from_text(word);
        }
        roan_acl_texts joined = {0};
        assert_true(roan_acl_join_words(count, words, &joined, &open));
        for (size_t i = 0; i < joined.count; i++)
            assert_int_equal(roan_acl_apply(again, joined.items[i], false), ROAN_ACL_FINE);
        roan_acl_user_settle(again);
        ASSERT_DESCRIBED(again, text);
        assert_int_equal(again->selector_count, user->selector_count);
        for (size_t i = 0; i < user->selector_count; i++)
            assert_memory_equal(again->selectors[i].allowed, user->selectors[i].allowed,
                                sizeof user->selectors[i].allowed);
        assert_int_equal(again->is_unrestricted, user->is_unrestricted);
        roan_acl_texts_clear(&joined);
        roan_text_free(line);
        roan_text_free(text);
        roan_acl_user_free(user);
        roan_acl_user_free(copy);
        roan_acl_user_free(again);
    }
}

static void channels_are_kept_or_lost(void **state)
{
    (void)state;
    static const struct {
        const char *before, *next;
        bool keeps;
    } cases[] = {
        {"&a &b", "&b &a &c", true}, {"&a", "&*", true},  {"&*", "&a", false},      {"&a", "(&a)", true},
        {"&a (&b)", "&a", false},    {"", "", true},      {"&a*", "&a", false},     {"&*", "(&*)", true},
    };
    for (size_t i = 0; i < ROAN_COUNT_OF(cases); i++) {
        roan_acl_user *before = user_of(cases[i].before), *next = user_of(cases[i].next);
        assert_int_equal(roan_acl_keeps_channels(next, before), cases[i].keeps);
        roan_acl_user_free(before);
        roan_acl_user_free(next);
    }
    roan_acl_user *user = user_of("&a* (&b)");
    assert_true(roan_acl_allows_channel(user, ROAN_LITERAL("ab"), false));
    assert_true(roan_acl_allows_channel(user, ROAN_LITERAL("b"), false));
    assert_true(roan_acl_allows_channel(user, ROAN_LITERAL("a*"), true));
    assert_false(roan_acl_allows_channel(user, ROAN_LITERAL("ab"), true));
    assert_false(roan_acl_allows_channel(user, ROAN_LITERAL("c"), false));
    roan_acl_user_free(user);
}

static void count_entry(void *context, const roan_acl_log_entry *entry)
{
    uint64_t *sum = context;
    *sum += entry->count;
}

static void the_log_counts_what_is_the_same(void **state)
{
    (void)state;
    roan_acl_log *log = roan_acl_log_create();
    roan_acl_log_entry entry = {.reason = ROAN_ACL_DENIED_KEY, .object = ROAN_LITERAL("k"), .user = ROAN_LITERAL("u")};
    uint64_t sum = 0;
    for (int i = 0; i < 5; i++)
        roan_acl_log_add(log, &entry, 3);
    assert_int_equal(roan_acl_log_visit(log, SIZE_MAX, count_entry, &sum), 1);
    assert_int_equal(sum, 5);
    entry.updated_ms = 60001; /* too old to be the same */
    roan_acl_log_add(log, &entry, 3);
    for (int i = 0; i < 5; i++) {
        entry.context = i % 2 == 0 ? ROAN_ACL_CONTEXT_TOP : ROAN_ACL_CONTEXT_MULTI;
        roan_acl_log_add(log, &entry, 3);
    }
    sum = 0;
    assert_int_equal(roan_acl_log_visit(log, SIZE_MAX, count_entry, &sum), 3);
    assert_int_equal(sum, 11);
    roan_acl_log_add(log, &entry, 0);
    assert_int_equal(roan_acl_log_visit(log, SIZE_MAX, count_entry, &sum), 0);
    roan_acl_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_user_may_do_nothing),
        cmocka_unit_test(all_rights_need_no_check),
        cmocka_unit_test(the_furthest_refusal_is_told),
        cmocka_unit_test(reading_and_writing_are_two_rights),
        cmocka_unit_test(passwords_are_kept_as_hashes),
        cmocka_unit_test(what_is_printed_is_read_back),
        cmocka_unit_test(channels_are_kept_or_lost),
        cmocka_unit_test(the_log_counts_what_is_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
