/* engine/command.h: the row that describes a command, and the macro that opens a command's block.
 *
 * A command is one block in one file of an engine/cmd or server/cmd folder: its row, then its body. Nothing else is
 * edited to add it: tools/gen_command_index.py finds the blocks and writes the index. Dispatch gates, the lock set,
 * ACL categories, COMMAND and COMMAND DOCS, the help of `roan cli` and the arity tests all read the row.
 *
 *     ROAN_COMMAND(strlen, .arity = 2, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
 *                  .keys = {ROAN_KEY(1, ROAN_KEY_RO)}, .group = ROAN_GROUP_STRING, .since = "2.2.0",
 *                  .complexity = "O(1)", .summary = "Tells how many bytes a string value has.",
 *                  .arguments = "key:key")
 *     {
 *         ...
 *     }
 *
 * The argument syntax (`.arguments`) is one string; COMMAND DOCS and the cli's hints are derived from it:
 *
 *     name              an argument of type string
 *     name:type         types: key string integer double pattern unix-time
 *     TOKEN             an upper-case word alone is a pure token, named by its lower-case form (override: `NX@name`)
 *     TOKEN name:type   an upper-case word before a lower-case one in the same group is that argument's token
 *     name<A|B c|D>     one of several alternatives ("oneof") called name; `TOKEN name<...>` gives the oneof a token
 *     name{a b}         a block of arguments called name; `TOKEN name{...}` gives the block a token
 *     [ ... ]           optional (exactly one argument, oneof or block inside)
 *     x...              may be repeated;   TOKEN x....  (four dots) the token is repeated with it
 *     name:type=text    `text` is shown to people instead of the name (display_text)
 *     name:key#1        key_spec_index 1 (default for keys: 0 for the first key argument, 1 for the second, and so on,
 *                       bounded by the number of key specs); other arguments have one only when it is written
 *     name:type^7.0.0   accepted since 7.0.0; also TOKEN^7.0.0, name^7.0.0<...> and name^7.0.0{...}
 *     ''                the empty word as a token (MIGRATE)
 *
 * Suffixes of a word stand in the order `name:type#1=text^7.0.0...`, those of a pure token `TOKEN@name=text^7.0.0...`.
 */
#pragma once

#include "base/macros.h"
#include "engine/command_ids.h" /* generated: ROAN_COMMAND_ID_<id>, ROAN_COMMAND_ID_COUNT */
#include "roan/base.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct roan_call roan_call;
typedef struct roan_key_list roan_key_list; /* engine/command_keys.h */

/* Command flags under the names of COMMAND INFO: name, wire name. Order is the order in which they are printed. */
#define ROAN_CMD_FLAG_LIST(X)                                                        \
    X(WRITE, "write")                 /* may change the keyspace */                  \
    X(READ, "readonly")               /* reads keys, changes nothing */              \
    X(DENY_OOM, "denyoom")            /* refused when out of memory */               \
    X(MODULE, "module")                                                              \
    X(ADMIN, "admin")                                                                \
    X(PUBSUB, "pubsub")                                                              \
    X(NO_SCRIPT, "noscript")                                                         \
    X(BLOCKING, "blocking")                                                          \
    X(LOADING, "loading")             /* allowed while data is loaded */             \
    X(STALE, "stale")                 /* allowed on a replica with old data */       \
    X(SKIP_MONITOR, "skip_monitor")                                                  \
    X(SKIP_COMMANDLOG, "skip_commandlog")                                            \
    X(ASKING, "asking")                                                              \
    X(FAST, "fast")                   /* O(1) or O(log N) */                         \
    X(NO_AUTH, "no_auth")             /* allowed before AUTH */                      \
    X(MAY_REPLICATE, "may_replicate") /* not shown, as in Valkey */                  \
    X(NO_MANDATORY_KEYS, "no_mandatory_keys")                                        \
    X(PROTECTED, "protected")                                                        \
    X(NO_ASYNC_LOADING, "no_async_loading")                                          \
    X(NO_MULTI, "no_multi")                                                          \
    X(ALLOW_BUSY, "allow_busy")       /* allowed while a script overruns */          \
    X(MOVABLE_KEYS, "movablekeys")    /* some keys need more than first/last/step */

enum {
#define ROAN_CMD_BIT(name, text) ROAN_CMD_BIT_##name,
    ROAN_CMD_FLAG_LIST(ROAN_CMD_BIT) ROAN_CMD_FLAG_COUNT
#undef ROAN_CMD_BIT
};
#define ROAN_CMD_ENUM(name, text) ROAN_CMD_##name = 1u << ROAN_CMD_BIT_##name,
enum { ROAN_CMD_FLAG_LIST(ROAN_CMD_ENUM) };
#undef ROAN_CMD_ENUM

/* ACL categories. FAST/SLOW, READ, WRITE, ADMIN, DANGEROUS, PUBSUB and BLOCKING follow from the flags and the group
 * (see roan_command_categories); a row names only what does not follow, in `.acl`. */
#define ROAN_ACL_CATEGORY_LIST(X)                                                                 \
    X(KEYSPACE, "keyspace") X(READ, "read") X(WRITE, "write") X(SET, "set")                       \
    X(SORTEDSET, "sortedset") X(LIST, "list") X(HASH, "hash") X(STRING, "string")                 \
    X(BITMAP, "bitmap") X(HYPERLOGLOG, "hyperloglog") X(GEO, "geo") X(STREAM, "stream")           \
    X(PUBSUB, "pubsub") X(ADMIN, "admin") X(FAST, "fast") X(SLOW, "slow")                         \
    X(BLOCKING, "blocking") X(DANGEROUS, "dangerous") X(CONNECTION, "connection")                 \
    X(TRANSACTION, "transaction") X(SCRIPTING, "scripting")
enum {
#define ROAN_ACL_BIT(name, text) ROAN_ACL_BIT_##name,
    ROAN_ACL_CATEGORY_LIST(ROAN_ACL_BIT) ROAN_ACL_CATEGORY_COUNT
#undef ROAN_ACL_BIT
};
#define ROAN_ACL_ENUM(name, text) ROAN_ACL_##name = 1u << ROAN_ACL_BIT_##name,
enum { ROAN_ACL_CATEGORY_LIST(ROAN_ACL_ENUM) };
#undef ROAN_ACL_ENUM

/* In `.acl` of a row: the category of the command's group does not follow (most containers, SORT, WAIT). */
#define ROAN_ACL_NO_GROUP (1u << 31)

/* Groups under the names of COMMAND DOCS. */
#define ROAN_GROUP_LIST(X)                                                                        \
    X(STRING, "string") X(LIST, "list") X(SET, "set") X(SORTED_SET, "sorted-set")                 \
    X(HASH, "hash") X(STREAM, "stream") X(BITMAP, "bitmap") X(HYPERLOGLOG, "hyperloglog")         \
    X(GEO, "geo") X(GENERIC, "generic") X(CONNECTION, "connection") X(SERVER, "server")           \
    X(PUBSUB, "pubsub") X(SCRIPTING, "scripting") X(TRANSACTIONS, "transactions")                 \
    X(CLUSTER, "cluster")
#define ROAN_GROUP_ENUM(name, text) ROAN_GROUP_##name,
typedef enum roan_group { ROAN_GROUP_LIST(ROAN_GROUP_ENUM) ROAN_GROUP_COUNT } roan_group;
#undef ROAN_GROUP_ENUM

/* How a command is isolated from the others (architecture, section 3). */
typedef enum roan_lock {
    ROAN_LOCK_X, /* alone: the gate is shut, then it is a one-thread server; may touch everything */
    ROAN_LOCK_K, /* the stripes of the keys its key specs name, in order */
    ROAN_LOCK_L, /* no keyspace and no other session: no lock at all */
    ROAN_LOCK_T, /* scripts: script token, then stripes growing on demand */
    ROAN_LOCK_E, /* EXEC: the stripes of all it queued and watched; alone when one of the queued commands must be */
} roan_lock;

/* Flags of a key spec under the names of COMMAND INFO. */
#define ROAN_KEY_FLAG_LIST(X)                                                                     \
    X(RO, "RO") X(RW, "RW") X(OW, "OW") X(RM, "RM") X(ACCESS, "access") X(UPDATE, "update")       \
    X(INSERT, "insert") X(DELETE, "delete") X(NOT_KEY, "not_key") X(INCOMPLETE, "incomplete")     \
    X(VARIABLE_FLAGS, "variable_flags")
enum {
#define ROAN_KEY_BIT(name, text) ROAN_KEY_BIT_##name,
    ROAN_KEY_FLAG_LIST(ROAN_KEY_BIT) ROAN_KEY_FLAG_COUNT
#undef ROAN_KEY_BIT
};
#define ROAN_KEY_ENUM(name, text) ROAN_KEY_##name = 1u << ROAN_KEY_BIT_##name,
enum { ROAN_KEY_FLAG_LIST(ROAN_KEY_ENUM) };
#undef ROAN_KEY_ENUM

typedef enum roan_key_begin {
    ROAN_BEGIN_NONE,
    ROAN_BEGIN_INDEX,
    ROAN_BEGIN_KEYWORD,
    ROAN_BEGIN_UNKNOWN,
} roan_key_begin;
typedef enum roan_key_find { ROAN_FIND_RANGE, ROAN_FIND_KEYNUM, ROAN_FIND_UNKNOWN } roan_key_find;

/* Where keys stand among the arguments; the fields are those of COMMAND INFO's key specifications. */
typedef struct roan_key_spec {
    uint16_t flags;       /* ROAN_KEY_* */
    uint8_t begin;        /* roan_key_begin */
    uint8_t find;         /* roan_key_find */
    int16_t index;        /* INDEX: first argument; KEYWORD: startfrom */
    int16_t last;         /* RANGE: lastkey, relative to the first */
    int16_t step;         /* keystep */
    int16_t limit;        /* RANGE: limit */
    int16_t keynum;       /* KEYNUM: keynumidx */
    int16_t first;        /* KEYNUM: firstkey */
    const char *keyword;  /* KEYWORD */
    const char *notes;    /* shown by COMMAND INFO when set */
} roan_key_spec;

/* One key at argument `i`. */
#define ROAN_KEY(i, f) {.flags = (f), .begin = ROAN_BEGIN_INDEX, .index = (i), .last = 0, .step = 1}
/* Keys from argument `i` to `last_` (relative; -1: to the end) with a step. */
#define ROAN_KEYS(i, last_, step_, f) \
    {.flags = (f), .begin = ROAN_BEGIN_INDEX, .index = (i), .last = (last_), .step = (step_)}
/* A count at argument `i`, then that many keys from `first_` (relative to i) with a step. */
#define ROAN_KEYNUM(i, first_, step_, f)                                                               \
    {.flags = (f), .begin = ROAN_BEGIN_INDEX, .find = ROAN_FIND_KEYNUM, .index = (i), .first = (first_), \
     .step = (step_)}

/* One key at argument `i`, with a note for COMMAND INFO. */
#define ROAN_KEY_NOTED(i, note, f) \
    {.flags = (f), .begin = ROAN_BEGIN_INDEX, .index = (i), .last = 0, .step = 1, .notes = (note)}
/* Keys after the word `word`, looked for from argument `from` on (negative: backwards from that place from the end);
 * a `limit_` n > 1 with a `last_` of -1: only the first n-th part of what follows are keys (XREAD: 2). */
#define ROAN_KEYWORD(word, from, last_, step_, limit_, f)                                              \
    {.flags = (f), .begin = ROAN_BEGIN_KEYWORD, .keyword = (word), .index = (from), .last = (last_),   \
     .step = (step_), .limit = (limit_)}
/* Keys that no rule finds. */
#define ROAN_KEYS_UNKNOWN(f) {.flags = (f), .begin = ROAN_BEGIN_UNKNOWN, .find = ROAN_FIND_UNKNOWN}

#define ROAN_KEY_SPECS_MAX 4

/* Adds the keys of one command line to `list`; false when the words make no valid command. */
typedef bool roan_find_keys_fn(size_t argc, const roan_slice *argv, roan_key_list *list);

typedef struct roan_command roan_command;
struct roan_command {
    const char *name;        /* lower case; "client|list" for a subcommand; filled in by the macros */
    void (*body)(roan_call *call);
    int16_t arity;           /* number of words with the name (for a subcommand with both names); negative: at least */
    uint8_t lock;            /* roan_lock */
    uint8_t group;           /* roan_group */
    uint32_t flags;          /* ROAN_CMD_* */
    uint32_t acl;            /* ROAN_ACL_* that do not follow from flags and group */
    roan_key_spec keys[ROAN_KEY_SPECS_MAX];
    roan_find_keys_fn *find_keys; /* replaces the specs where they cannot say it all (SET, SORT, MIGRATE); else NULL */
    const char *since;
    const char *complexity;
    const char *summary;     /* one sentence in our own words */
    const char *arguments;   /* see above; NULL or "" for none */
    const char *tips;        /* command tips, space separated: "nondeterministic_output request_policy:all_shards" */
    const char *history;     /* "7.0.0|Text.\n7.2.0|Text." for COMMAND DOCS, or NULL */
    const char *deprecated;  /* "6.2.0|replaced by text" or NULL */
    bool is_system;          /* COMMAND DOCS calls it a command of the system itself (doc flag "syscmd") */
    uint16_t id;             /* position in the index; filled in by the macros */
};

/* For `.find_keys` of rows whose specs are not the whole truth (command_keys.c). */
roan_find_keys_fn roan_find_keys_set;       /* SET: read only with GET */
roan_find_keys_fn roan_find_keys_bitfield;  /* BITFIELD: written only by SET and INCRBY */
roan_find_keys_fn roan_find_keys_sort;      /* SORT: the last STORE */
roan_find_keys_fn roan_find_keys_sort_ro;   /* SORT_RO: the key alone, not what BY and GET lead to */
roan_find_keys_fn roan_find_keys_migrate;   /* MIGRATE: after KEYS, else the third word */
roan_find_keys_fn roan_find_keys_xread;     /* XREAD, XREADGROUP: STREAMS may be a group's or a consumer's name, too */
roan_find_keys_fn roan_find_keys_georadius; /* GEORADIUS, GEORADIUSBYMEMBER: the last STORE or STOREDIST */

/* Opens a command's block. The id is the lower-case name. */
#define ROAN_COMMAND(id, ...) ROAN_COMMAND_NAMED(id, #id, __VA_ARGS__)

/* Opens a subcommand's block: ROAN_SUBCOMMAND(client, list, ...) is "client|list". A parent is an ordinary ROAN_COMMAND
 * whose body answers when no subcommand matches (usually roan_call_unknown_subcommand). A subcommand with a hyphen in
 * its name writes an underscore and sets the name: ROAN_SUBCOMMAND(client, no_evict, .name = "client|no-evict", ...).*/
#define ROAN_SUBCOMMAND(parent, id, ...) ROAN_COMMAND_NAMED(parent##_##id, #parent "|" #id, __VA_ARGS__)

#define ROAN_COMMAND_NAMED(ident, name_text, ...)                                                  \
    static void body_##ident(roan_call *call);                                                     \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Woverride-init\"")           \
    extern const roan_command roan_command_##ident;                                                \
    const roan_command roan_command_##ident = {                                                    \
        .id = ROAN_COMMAND_ID_##ident, .name = name_text, .body = body_##ident, __VA_ARGS__};       \
    _Pragma("GCC diagnostic pop") static void body_##ident(ROAN_MAYBE_UNUSED roan_call *call)

/* The generated index: every command and subcommand, sorted by name, parents before their subcommands. */
extern const roan_command *const roan_command_index[];
extern const unsigned roan_command_index_count;

/* Generated beside it, for finding by name: how many subcommands stand behind each row (UINT8_MAX for a row that is
 * one), and an open hash table over the full names with places in the index + 1. */
extern const uint8_t roan_command_children[];
extern const uint16_t roan_command_slots[];
extern const unsigned roan_command_slot_mask;

/* --- what follows from a row: command.c --- */

/* The ACL categories: a set of ROAN_ACL_* bits, without ROAN_ACL_NO_GROUP. */
uint32_t roan_command_categories(const roan_command *command);

/* The flags of COMMAND INFO: those of the row, and ROAN_CMD_MOVABLE_KEYS where it follows from the key specs. */
uint32_t roan_command_flags(const roan_command *command);

/* Where the keys stand in the form older clients know: indexes of the first and the last key and the distance between
 * two; a negative last counts from the end; all 0 without keys. Keys may be missing (ROAN_CMD_MOVABLE_KEYS). */
typedef struct roan_key_range {
    int first, last, step;
} roan_key_range;
roan_key_range roan_command_key_range(const roan_command *command);

/* Names on the wire, by bit or by enum value. Categories come without their '@'. */
extern const char *const roan_cmd_flag_names[ROAN_CMD_FLAG_COUNT];
extern const char *const roan_acl_category_names[ROAN_ACL_CATEGORY_COUNT];
extern const char *const roan_key_flag_names[ROAN_KEY_FLAG_COUNT];
extern const char *const roan_group_names[ROAN_GROUP_COUNT];

/* The category of that name (in any case, without '@') as a bit; 0 for an unknown one. */
uint32_t roan_acl_category_find(roan_slice name);

/* The command of that full name ("get", "client|list", in any case), or NULL. */
const roan_command *roan_command_find(roan_slice name);

/* The command that a command line runs: for a parent with more words behind it one of its subcommands, or NULL when
 * it has none of that name. NULL for an unknown name. Does not look at the arity. */
const roan_command *roan_command_find_words(size_t argc, const roan_slice *argv);

/* How many key specs a row has. */
static inline unsigned roan_command_key_spec_count(const roan_command *command)
{
    unsigned count = 0;
    while (count < ROAN_KEY_SPECS_MAX && command->keys[count].begin != ROAN_BEGIN_NONE)
        count++;
    return count;
}

/* The subcommands of a command of the index, in the order of their names; *ret_count is 0 when it has none. */
const roan_command *const *roan_command_subcommands(const roan_command *command, unsigned *ret_count);

/* True for a row whose name has a '|'. */
static inline bool roan_command_is_subcommand(const roan_command *command)
{
    return roan_command_children[command->id] == UINT8_MAX;
}

/* Is `argc`, the name(s) included, a number of words this command takes? */
static inline bool roan_command_accepts_count(const roan_command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity : argc >= (size_t)-command->arity;
}
