/* resp/reply_scan.h: finds the end of one reply in bytes that arrive in pieces.
 *
 * Shared by the reader, which builds a tree once a reply is whole, and by roan_replies_skip, which
 * only counts. The limits below are what this library accepts from a server.
 */
#pragma once

#include "roan/base.h"

#include <stdbool.h>
#include <stdlib.h>

/* Aggregates inside aggregates. Scripts and modules stay far below; recursion over a reply is safe.
 * */
#define ROAN_REPLY_DEPTH_MAX 256
/* Elements of one aggregate, pairs of one map. */
#define ROAN_REPLY_COUNT_MAX 4294967295LL
/* Bytes of one bulk string: 64 GiB, beyond any proto-max-bulk-len seen in practice. */
#define ROAN_REPLY_BULK_BYTES_MAX (1LL << 36)
/* Bytes of a line that holds a double. */
#define ROAN_REPLY_DOUBLE_BYTES_MAX 512

typedef enum roan_scan_result {
    ROAN_SCAN_WHOLE, /* `offset` is the length of the reply */
    ROAN_SCAN_MORE,  /* all bytes are consumed or looked at, the reply goes on */
    ROAN_SCAN_BROKEN, /* not RESP; reterr says why */
    ROAN_SCAN_NO_MEMORY /* for what is nested deeply; nothing is lost, it may be called again */
} roan_scan_result;

/* An aggregate that waits for more values. */
typedef struct roan_open_aggregate {
    uint64_t left;     /* values that it still waits for */
    bool is_attribute; /* its end is not the end of a value of its parent */
} roan_open_aggregate;

/* Aggregates around the innermost one which need no memory from the heap. */
#define ROAN_REPLY_DEPTH_USUAL 6

typedef struct roan_reply_scan {
    size_t offset;        /* bytes of this reply that are understood */
    size_t line_searched; /* bytes after offset known to hold no line end */
    size_t bulk_bytes;    /* with in_bulk: length of the bulk that starts at offset */
    uint64_t values;      /* roan_value objects that the tree will need so far */
    uint32_t depth;       /* open aggregates */
    bool in_bulk;
    char bulk_type;       /* with in_bulk: '$', '=' or '!' */
    char root_type;       /* type byte of the outermost value, 0 until it is known */
    roan_open_aggregate inner; /* with depth: the innermost one */
    roan_open_aggregate outer[ROAN_REPLY_DEPTH_USUAL]; /* those around it, from the outermost on */
    roan_open_aggregate *more; /* those that do not fit there, NULL until there were some */
} roan_reply_scan;

/* Makes a scan that is ready for the first byte of a reply. */
static inline void roan_reply_scan_init(roan_reply_scan *scan)
{
    *scan = (roan_reply_scan){.values = 1};
}

/* Gives back its memory. */
static inline void roan_reply_scan_done(roan_reply_scan *scan)
{
    free(scan->more);
    scan->more = NULL;
}

/* Prepares for the first byte of the next reply. */
void roan_reply_scan_begin(roan_reply_scan *scan);

/* Has it looked at a part of a reply that was not whole? */
static inline bool roan_reply_scan_has_begun(const roan_reply_scan *scan)
{
    return scan->offset > 0 || scan->line_searched > 0;
}

/* Goes on with data[0..bytes), which starts at the first byte of the reply and may hold more than
 * it. Between calls the data may move and grow, not change. Never looks at a byte twice more than a
 * constant number of times. */
roan_scan_result roan_reply_scan_run(roan_reply_scan *scan, const char *data, size_t bytes,
                                     roan_error *reterr) ROAN_MUST_CHECK;

/* The least length the reply can have, as far as is known by now. */
static inline size_t roan_reply_scan_bytes_min(const roan_reply_scan *scan)
{
    return scan->in_bulk ? scan->offset + scan->bulk_bytes + 2 : scan->offset + 3;
}
