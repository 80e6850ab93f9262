/* client/command_traits.h: what the client must know about a command beyond its words.
 *
 * Generated from the server's command rows and from command_rows.txt, which has what a server does not need to know:
 * idempotence, effect on the connection's state, and the commands of other servers. Pure functions over argument
 * vectors: no connection, no allocation, any thread. Names match in any case; a subcommand's traits win over its
 * container's.
 */
#pragma once

#include "roan/base.h"
#include "roan/resp.h"

#include <stdbool.h>

/* Which retry does no harm. */
typedef enum roan_retry_class {
    ROAN_RETRY_READ,       /* changes nothing */
    ROAN_RETRY_IDEMPOTENT, /* running it twice is like running it once (SET without NX/XX/GET, DEL, HSET, SADD ...);
                              only tried again when the caller says so: others may have written in between */
    ROAN_RETRY_NEVER       /* INCR, LPUSH, XADD, PUBLISH, and everything unknown */
} roan_retry_class;

/* What it does to its connection; OR-ed. */
enum {
    ROAN_STATE_MULTI = 1 << 0,      /* MULTI begins it; EXEC, DISCARD end it (ROAN_STATE_ENDS) */
    ROAN_STATE_WATCH = 1 << 1,      /* WATCH; ended by UNWATCH, EXEC, DISCARD */
    ROAN_STATE_SUBSCRIBE = 1 << 2,  /* (P|S)SUBSCRIBE and their counterparts */
    ROAN_STATE_DATABASE = 1 << 3,   /* SELECT */
    ROAN_STATE_USER = 1 << 4,       /* AUTH, HELLO */
    ROAN_STATE_REPLY_MODE = 1 << 5, /* CLIENT REPLY */
    ROAN_STATE_TRACKING = 1 << 6,   /* CLIENT TRACKING, CLIENT CACHING */
    ROAN_STATE_MONITOR = 1 << 7,    /* MONITOR, SYNC, PSYNC: replies without requests from now on */
    ROAN_STATE_CLUSTER = 1 << 8,    /* READONLY, READWRITE, ASKING */
    ROAN_STATE_CLIENT = 1 << 9,     /* CLIENT SETNAME, SETINFO, NO-EVICT, NO-TOUCH, IMPORT-SOURCE ... */
    ROAN_STATE_QUIT = 1 << 10,      /* QUIT: the connection ends */
    ROAN_STATE_RESET = 1 << 11,     /* RESET: clears all the others */
    ROAN_STATE_UNKNOWN = 1 << 12,   /* a command we do not know may do anything */
};

typedef struct roan_command_traits {
    const char *name;      /* lower case, "client|list"; "" when unknown */
    roan_retry_class retry;
    uint32_t states;       /* what it begins or touches */
    uint32_t ends;         /* what it ends when it succeeds */
    bool is_write;
    bool may_block;        /* has a timeout of its own: see roan_command_block_us */
    bool is_known;
    bool is_refused_shared; /* not to be sent on a shared connection */
    const char *instead; /* with is_refused_shared: what to use, for the error's text ("roan_batch", "a lease", ...) */
    const void *inside;    /* the generated row */
} roan_command_traits;

/* Never NULL: an unknown command has traits, too. argc is at least 1. */
const roan_command_traits *roan_command_traits_find(size_t argc, const roan_slice *argv);

/* The retry class of this very call: SET with NX is not idempotent, SORT with STORE not a read. */
roan_retry_class roan_command_retry_class(const roan_command_traits *traits, size_t argc, const roan_slice *argv);

/* How long the server may block for this call: -1 it does not block, INT64_MAX for ever, else microseconds. The value
 * is looked for where the command has it (last of BLPOP, first of BLMPOP, BLOCK of XREAD ...), in its unit. What cannot
 * be understood counts as 0: the server will refuse it. */
int64_t roan_command_block_us(const roan_command_traits *traits, size_t argc, const roan_slice *argv);

/* The positions of the keys in argv, ascending; returns their number, which may exceed positions_max (then call again),
 * or SIZE_MAX when the command's keys cannot be known. */
size_t roan_command_key_positions(const roan_command_traits *traits, size_t argc, const roan_slice *argv,
                                  unsigned *positions, size_t positions_max);

/* "set: 1 key, 3 words, 74 bytes": name and sizes, never values, never secrets. Always terminated, and cut to fit. The
 * name of an unknown command is shown when it looks like one. */
void roan_command_describe(const roan_command_traits *traits, size_t argc, const roan_slice *argv, char *text,
                           size_t text_bytes);

/* SCAN without a pattern gets one. */
#define ROAN_PREFIX_WORDS_EXTRA 2

/* The words of the call with `prefix` before its keys and before what stands for keys: the pattern of KEYS, MATCH of
 * SCAN (added when it is missing), BY and GET of SORT. words[0..argc + ROAN_PREFIX_WORDS_EXTRA) receive slices, either
 * the old ones or into `scratch`, which grows and must stay as it is while they are used; *ret_argc how many they are.
 * ROAN_E_USAGE when the keys cannot be known, or when a pattern cannot carry the prefix (*reterr says so);
 * ROAN_E_NOMEM. */
roan_status roan_prefix_apply(roan_slice prefix, const roan_command_traits *traits, size_t argc,
                              const roan_slice *argv, roan_slice *words, size_t *ret_argc,
                              roan_request_buffer *scratch, roan_error *reterr) ROAN_MUST_CHECK;

/* Takes the prefix off the keys in a reply to this command (SCAN, KEYS, RANDOMKEY, BLPOP, XREAD, LMPOP ...), in
 * place. A key without the prefix stays as it is. */
void roan_prefix_strip(roan_slice prefix, const roan_command_traits *traits, roan_value *reply);
