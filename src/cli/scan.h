/* cli/scan.h: walking over all keys, and the parts that the modes doing so share. */
#pragma once

#include "cli/session.h"

/* A walk. Zero-initialise, set `cursor` to start elsewhere than at the beginning. */
typedef struct roan_cli_scan {
    char cursor[32];
    bool is_started;
    bool is_finished;
    uint64_t steps;
} roan_cli_scan;

/* Asks for the next keys with the options' pattern and count. NULL when the walk is over; else an
 * array of keys in elements[1] of the value, which the caller frees. Ends the program when the
 * server fails. */
roan_value *roan_cli_scan_next(roan_cli_session *session, roan_cli_scan *scan);

/* Sleeps as -i says: every `steps_per_pause` steps. */
void roan_cli_scan_pause(const roan_cli_session *session, const roan_cli_scan *scan,
                         uint64_t steps_per_pause);

/* DBSIZE. */
uint64_t roan_cli_count_keys(roan_cli_session *session);

/* What is known about a type of value. */
typedef struct roan_cli_type {
    char *name;
    const char *size_command; /* its length or cardinality; NULL for types we do not know */
    const char *unit;         /* of that size */
    uint64_t keys;
    uint64_t total;        /* of the sizes */
    uint64_t memory_total; /* --keystats: of the memory */
    uint64_t biggest;
    char *biggest_key; /* quoted */
    uint64_t biggest_memory;
    char *biggest_memory_key;
} roan_cli_type;

typedef struct roan_cli_type_list {
    roan_cli_type **items; /* those first asked for or known from the start come first */
    size_t count;
} roan_cli_type_list;

/* The types every server has. */
void roan_cli_types_init(roan_cli_type_list *types);
void roan_cli_types_done(roan_cli_type_list *types);

/* The entry of a type, added when it is new; NULL for "none", a key that is gone. */
roan_cli_type *roan_cli_types_find(roan_cli_type_list *types, roan_slice name);

/* Asks for the types of `count` keys at once; ret_types[i] is NULL where a key is gone. */
void roan_cli_ask_types(roan_cli_session *session, const roan_value *keys, size_t count,
                        roan_cli_type_list *types, roan_cli_type **ret_types);

/* Asks for lengths (STRLEN, LLEN, ...) or memory of the keys that have a type; 0 where there is
 * none. */
void roan_cli_ask_sizes(roan_cli_session *session, const roan_value *keys, size_t count,
                        roan_cli_type *const *types, bool is_memory, uint64_t *ret_sizes);
