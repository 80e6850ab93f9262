/* client/command_row.h: one row of the client's table of commands. The table is generated (command_rows.inc) and
 * constant; command_traits.h is how others see it. */
#pragma once

#include "client/command_traits.h"

#define ROAN_COMMAND_NAME_BYTES 24 /* of a name or of a subcommand's own part, padded with zeroes */
#define ROAN_COMMAND_SLOTS 1024    /* of the hash table over the names */

/* How the keys of a call are found. */
typedef enum roan_command_keys {
    ROAN_KEYS_SPECS,     /* by the key specs; without any there are no keys */
    ROAN_KEYS_CONTAINER, /* alone it has none; with an unknown subcommand they are unknown */
    ROAN_KEYS_SORT,
    ROAN_KEYS_GEORADIUS,
    ROAN_KEYS_STREAMS,
    ROAN_KEYS_MIGRATE,
    ROAN_KEYS_DEBUG,
    ROAN_KEYS_UNKNOWN    /* of unknown commands */
} roan_command_keys;

/* Where the time to wait stands. */
typedef enum roan_command_block {
    ROAN_BLOCK_NONE,
    ROAN_BLOCK_FIRST_S,   /* the first argument, seconds, a double */
    ROAN_BLOCK_LAST_S,
    ROAN_BLOCK_LAST_MS,
    ROAN_BLOCK_OPTION_MS, /* after the word BLOCK, which may be missing */
    ROAN_BLOCK_MIGRATE    /* the fifth argument, ms; 0 is a second */
} roan_command_block;

/* Arguments that are patterns of keys, or keys that no server would route by. */
typedef enum roan_command_pattern {
    ROAN_PATTERN_NONE,
    ROAN_PATTERN_KEYS,
    ROAN_PATTERN_SCAN,
    ROAN_PATTERN_SORT,
    ROAN_PATTERN_KEYSLOT
} roan_command_pattern;

/* Where keys stand in replies. */
typedef enum roan_command_strip {
    ROAN_STRIP_NONE,
    ROAN_STRIP_ALL,    /* every element */
    ROAN_STRIP_ONE,    /* the reply itself */
    ROAN_STRIP_FIRST,  /* the first element */
    ROAN_STRIP_SCAN,   /* every element of the second element */
    ROAN_STRIP_STREAMS /* the keys of a map, or the first of every pair */
} roan_command_strip;

typedef enum roan_command_find { ROAN_FIND_RANGE, ROAN_FIND_KEYNUM } roan_command_find;

/* A key spec in the terms of COMMAND INFO. */
typedef struct roan_command_spec {
    uint8_t find;
    int8_t at;           /* first argument; with a keyword where to look for it: negative from the end, backwards */
    int8_t last;         /* RANGE: last key, relative to the first; -1 the last word. KEYNUM: where the number is */
    int8_t first;        /* KEYNUM: the first key, relative to `at` */
    int8_t step;
    int8_t limit;        /* RANGE with last -1: only the first of so many parts are keys; 0 and 1: all */
    const char *keyword; /* NULL: none */
} roan_command_spec;

typedef struct roan_command_row {
    roan_command_traits traits; /* its `inside` is this row */
    int16_t arity;              /* as in COMMAND INFO */
    uint16_t parent;            /* of a subcommand: its container's index + 1 */
    uint16_t spec_first;
    uint8_t spec_count;
    uint8_t keys;               /* roan_command_keys */
    uint8_t block;              /* roan_command_block */
    uint8_t pattern;            /* roan_command_pattern */
    uint8_t strip;              /* roan_command_strip */
    uint8_t retry_other;        /* the class when one of the words stands at argument retry_from or behind */
    uint8_t retry_from;
    uint8_t word_count;
    uint16_t word_first;
    bool is_store;              /* never when the destination is a source; a read without a destination */
} roan_command_row;

extern const roan_command_row roan_command_rows[];
extern const unsigned roan_command_row_count;
extern const roan_command_spec roan_command_specs[];
extern const char *const roan_command_words[];

/* The row of a command, or of its subcommand; NULL when it is unknown. A container whose
 * subcommand is unknown is found itself. */
const roan_command_row *roan_command_row_find(size_t argc, const roan_slice *argv);
