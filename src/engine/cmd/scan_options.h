/* engine/cmd/scan_options.h: what SCAN, HSCAN, SSCAN and ZSCAN have in common: cursor, options, the shape of the
 * reply. */
#pragma once

#include "engine/call.h"

typedef enum roan_scan_kind { ROAN_SCAN_KEYS, ROAN_SCAN_HASH, ROAN_SCAN_SET, ROAN_SCAN_ZSET } roan_scan_kind;

typedef struct roan_scan_options {
    uint64_t cursor;
    size_t count;          /* at least 1 */
    roan_slice pattern;    /* data NULL: everything matches */
    int type;              /* SCAN: roan_type, or -1: all */
    bool without_values;   /* HSCAN NOVALUES, ZSCAN NOSCORES */
} roan_scan_options;

/* Reads the cursor (argv[1] of SCAN, argv[2] of the others) and the options behind it; false after an error was
 * sent. */
bool roan_scan_parse(roan_call *call, roan_scan_kind kind, roan_scan_options *ret_options);

/* The same in two steps, for commands with a key: options that are wrong do not matter when the key is absent or of
 * another type. */
bool roan_scan_parse_cursor(roan_call *call, roan_scan_kind kind, roan_scan_options *ret_options);
bool roan_scan_parse_options(roan_call *call, roan_scan_kind kind, roan_scan_options *options);

static inline bool roan_scan_takes(const roan_scan_options *options, roan_slice text)
{
    return options->pattern.data == NULL || roan_glob_match(options->pattern, text, false);
}

/* The reply [cursor, [elements]]: open it, send the elements, close it with the cursor to go on from and their
 * number. */
typedef struct roan_scan_reply {
    roan_out_mark cursor, elements;
} roan_scan_reply;
roan_scan_reply roan_scan_reply_open(roan_call *call);
void roan_scan_reply_close(roan_call *call, roan_scan_reply reply, uint64_t cursor, size_t count);

/* Cursors of tables of elements are the upper bits of a position on the hash axis. */
static inline uint64_t roan_scan_position(uint64_t cursor)
{
    return cursor << (64 - ROAN_SCAN_BITS);
}
static inline uint64_t roan_scan_cursor(uint64_t position)
{
    return position >> (64 - ROAN_SCAN_BITS);
}
