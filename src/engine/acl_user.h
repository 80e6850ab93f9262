/* engine/acl_user.h: what a user may do: the rules of ACL SETUSER, and the question whether they allow a command.
 *
 *     user ─► selector 0 (the root: rules without parentheses)
 *             selector 1 ... n (a pair of parentheses each)
 *
 * One selector that allows a command with all its keys, channels and databases is enough; they do not add up. Pure: no
 * engine, no session. Passwords are kept as SHA-256 in hexadecimal digits only.
 *
 * Invariant: what roan_acl_describe_user prints is read back by roan_acl_apply as the same user.
 */
#pragma once

#include "engine/acl_texts.h"
#include "engine/command.h"

#include <stdbool.h>

#define ROAN_ACL_PASSWORD_DIGITS 64

enum { ROAN_ACL_KEY_READ = 1, ROAN_ACL_KEY_WRITE = 2, ROAN_ACL_KEY_ALL = 3 };

typedef struct roan_acl_pattern {
    unsigned access; /* ROAN_ACL_KEY_* */
    roan_slice text; /* owned */
} roan_acl_pattern;

/* "+select|0": a command that is allowed with this first argument. */
typedef struct roan_acl_first {
    uint16_t command;
    roan_slice text; /* owned, lower case */
} roan_acl_first;

typedef struct roan_acl_selector {
    bool all_keys, all_channels, all_dbs;
    bool starts_with_all;   /* the last +@all or -@all was the former */
    uint64_t allowed[(ROAN_COMMAND_ID_COUNT + 63) / 64]; /* commands by id */
    roan_acl_texts rules;   /* since then, as they were given: "+get", "-@write" */
    roan_acl_first *firsts;
    size_t first_count;
    roan_acl_pattern *patterns;
    size_t pattern_count;
    roan_acl_texts channels;
    int32_t *dbs;           /* sorted */
    size_t db_count;
} roan_acl_selector;

typedef struct roan_acl_user {
    char *name;
    bool is_on, needs_no_password;
    bool is_unrestricted;   /* a selector allows everything: nothing needs to be checked */
    roan_acl_texts passwords;
    roan_acl_selector *selectors; /* at least the root */
    size_t selector_count;
} roan_acl_user;

/* A new user: off, without rights. all_channels: as acl-pubsub-default says. */
roan_acl_user *roan_acl_user_create(roan_slice name, bool all_channels);
roan_acl_user *roan_acl_user_free(roan_acl_user *user);
/* Everything but the name. */
void roan_acl_user_copy(roan_acl_user *target, const roan_acl_user *source);

/* "default" with all rights and no password. */
void roan_acl_user_make_default(roan_acl_user *user);

/* No blanks and no zero byte. */
bool roan_acl_name_is_fine(roan_slice name);

/* Puts rules in parentheses that were split at blanks together again; adds all to ret_words. False: *ret_open is the
 * word with a parenthesis that nobody closes; what stands before it was added. */
bool roan_acl_join_words(size_t argc, const roan_slice *argv, roan_acl_texts *ret_words, size_t *ret_open);

/* What is wrong with a rule. */
typedef enum roan_acl_fault {
    ROAN_ACL_FINE,
    ROAN_ACL_UNKNOWN_COMMAND,
    ROAN_ACL_SYNTAX,
    ROAN_ACL_AFTER_ALL_KEYS,
    ROAN_ACL_AFTER_ALL_CHANNELS,
    ROAN_ACL_NO_SUCH_PASSWORD,
    ROAN_ACL_BAD_HASH,
    ROAN_ACL_FIRST_OF_SUBCOMMAND,
    ROAN_ACL_DB_RANGE,
} roan_acl_fault;

/* The reference's sentence. */
const char *roan_acl_fault_text(roan_acl_fault fault);

/* One rule ("on", ">secret", "+@read", "(+get ~x)"). A rule that is wrong changes nothing. all_channels: what `reset`
 * and new selectors begin with. Call roan_acl_user_settle after the last one. */
roan_acl_fault roan_acl_apply(roan_acl_user *user, roan_slice rule, bool all_channels) ROAN_MUST_CHECK;
void roan_acl_user_settle(roan_acl_user *user);

/* Is it one of the user's passwords? Takes as long for a wrong one. */
bool roan_acl_password_matches(const roan_acl_user *user, roan_slice password);
void roan_acl_hash_password(roan_slice password, char ret_digits[ROAN_ACL_PASSWORD_DIGITS]);

/* ---- describing ---- */

/* "on nopass ~* &* +@all": what `user NAME` is followed by in files. */
void roan_acl_describe_user(const roan_acl_user *user, roan_buffer *ret_text);
/* The parts of a selector, as ACL GETUSER shows them. */
void roan_acl_describe_commands(const roan_acl_selector *selector, roan_buffer *ret_text);
void roan_acl_describe_keys(const roan_acl_selector *selector, roan_buffer *ret_text);
void roan_acl_describe_channels(const roan_acl_selector *selector, roan_buffer *ret_text);
void roan_acl_describe_dbs(const roan_acl_selector *selector, roan_buffer *ret_text);

/* ---- asking: acl_check.c ---- */

/* Why something is refused; a later one says more than an earlier one. */
typedef enum roan_acl_reason {
    ROAN_ACL_ALLOWED,
    ROAN_ACL_DENIED_DB,
    ROAN_ACL_DENIED_COMMAND,
    ROAN_ACL_DENIED_KEY,
    ROAN_ACL_DENIED_CHANNEL,
    ROAN_ACL_DENIED_AUTH, /* in the log only */
} roan_acl_reason;

typedef struct roan_acl_refusal {
    roan_acl_reason reason;
    size_t index; /* the word that is refused: a key, a channel, a number of a database, or 0 for the command */
} roan_acl_refusal;

/* A command line as it would run: argc passes the row's arity. db: the database it would run on; db_count: databases
 * there are. */
typedef struct roan_acl_question {
    const roan_command *command;
    size_t argc;
    const roan_slice *argv;
    uint32_t db;
    int64_t db_count;
} roan_acl_question;

roan_acl_refusal roan_acl_check(const roan_acl_user *user, const roan_acl_question *question);

/* The same, and whoever allows it allows reading every key, too (SORT BY and GET). */
bool roan_acl_may_read_all(const roan_acl_user *user, const roan_acl_question *question);

/* A pattern to subscribe to is compared as it is. */
bool roan_acl_allows_channel(const roan_acl_user *user, roan_slice channel, bool is_pattern);

/* True when `next` allows all channels that `before` did, word by word. */
bool roan_acl_keeps_channels(const roan_acl_user *next, const roan_acl_user *before);
