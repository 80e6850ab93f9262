/* engine/command_arguments.h: the argument syntax of a row (`.arguments`, see engine/command.h) as a tree.
 *
 * The tree is flat and in pre-order, so that it needs no allocation and no cache: parsing a row takes a microsecond,
 * and only COMMAND DOCS and tests ask. Slices point into the text of the row.
 */
#pragma once

#include "roan/base.h"

#include <stdbool.h>
#include <stdint.h>

/* Types under their names in COMMAND DOCS. */
#define ROAN_ARGUMENT_TYPE_LIST(X)                                                                \
    X(STRING, "string") X(INTEGER, "integer") X(DOUBLE, "double") X(KEY, "key")                   \
    X(PATTERN, "pattern") X(UNIX_TIME, "unix-time") X(PURE_TOKEN, "pure-token")                   \
    X(ONEOF, "oneof") X(BLOCK, "block")
#define ROAN_ARGUMENT_ENUM(name, text) ROAN_ARGUMENT_##name,
typedef enum roan_argument_type {
    ROAN_ARGUMENT_TYPE_LIST(ROAN_ARGUMENT_ENUM) ROAN_ARGUMENT_TYPE_COUNT
} roan_argument_type;
#undef ROAN_ARGUMENT_ENUM
extern const char *const roan_argument_type_names[ROAN_ARGUMENT_TYPE_COUNT];

/* Flags of an argument under their names in COMMAND DOCS. */
#define ROAN_ARGUMENT_FLAG_LIST(X) \
    X(OPTIONAL, "optional") X(MULTIPLE, "multiple") X(MULTIPLE_TOKEN, "multiple_token")
enum {
#define ROAN_ARGUMENT_BIT(name, text) ROAN_ARGUMENT_BIT_##name,
    ROAN_ARGUMENT_FLAG_LIST(ROAN_ARGUMENT_BIT) ROAN_ARGUMENT_FLAG_COUNT
#undef ROAN_ARGUMENT_BIT
};
#define ROAN_ARGUMENT_ENUM(name, text) ROAN_ARGUMENT_##name = 1u << ROAN_ARGUMENT_BIT_##name,
enum { ROAN_ARGUMENT_FLAG_LIST(ROAN_ARGUMENT_ENUM) };
#undef ROAN_ARGUMENT_ENUM
extern const char *const roan_argument_flag_names[ROAN_ARGUMENT_FLAG_COUNT];

typedef struct roan_argument {
    roan_slice name;       /* of a pure token perhaps in upper case: shown in lower case */
    roan_slice text;       /* display text; data is NULL for a oneof or a block */
    roan_slice token;      /* data is NULL when there is none */
    roan_slice since;      /* data is NULL when it is as old as the command */
    uint8_t type;          /* roan_argument_type */
    uint8_t flags;         /* ROAN_ARGUMENT_* */
    int16_t key_spec;      /* -1: none */
    uint16_t child_count;  /* parts of a oneof or a block */
    uint16_t span;         /* nodes of this subtree, itself included: the next sibling is `span` further on */
} roan_argument;

#define ROAN_ARGUMENTS_MAX 160

typedef struct roan_arguments {
    unsigned count;      /* nodes in `list` */
    unsigned top_count;  /* arguments of the command itself; the first is list[0] */
    roan_argument list[ROAN_ARGUMENTS_MAX];
} roan_arguments;

/* Reads the syntax `text` (may be NULL) of a command with `spec_count` key specs. False when it is malformed or longer
 * than ROAN_ARGUMENTS_MAX nodes; a test reads every row, so elsewhere that is an assertion. */
ROAN_MUST_CHECK bool roan_arguments_parse(const char *text, unsigned spec_count, roan_arguments *ret_arguments);
