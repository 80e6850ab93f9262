/* resp/reply_scan.h: finds the end of one reply in bytes that arrive in pieces.
 *
 * Shared by the reader, which builds a tree once a reply is whole, and by roan_replies_skip, which
 * only counts. The limits below are what this library accepts from a server.
 */
#pragma once

#include "roan/base.h"

#include <stdbool.h>

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
    ROAN_SCAN_BROKEN /* not RESP; reterr says why */
} roan_scan_result;

typedef struct roan_reply_scan {
    size_t offset;        /* bytes of this reply that are understood */
    size_t line_searched; /* bytes after offset known to hold no line end */
    size_t bulk_bytes;    /* with in_bulk: length of the bulk that starts at offset */
    uint64_t values;      /* roan_value objects that the tree will need so far */
    uint32_t depth;       /* open aggregates, the entries of `open` in use */
    bool in_bulk;
    char bulk_type;       /* with in_bulk: '$', '=' or '!' */
    char root_type;       /* type byte of the outermost value, 0 until it is known */
    struct {
        uint64_t left;     /* values that the aggregate still waits for */
        bool is_attribute; /* its end is not the end of a value of its parent */
    } open[ROAN_REPLY_DEPTH_MAX];
} roan_reply_scan;

/* Prepares for the first byte of a reply. */
void roan_reply_scan_begin(roan_reply_scan *scan);

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
