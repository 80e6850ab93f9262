/* resp/out.h: builds replies, RESP2 or RESP3, into a chain of chunks that can be sent as they are.
 *
 * The one place that knows what a map, a null or a double looks like in either protocol version. Small replies are
 * written straight into the last chunk; a chunk that is full is followed by another; nothing is ever copied twice.
 * An aggregate whose size is not known yet is opened with a mark and closed when its elements are written.
 *
 * A roan_out belongs to one thread. The chunks come from a pool that the owner provides (or from the allocator).
 */
#pragma once

#include "base/alloc.h"
#include "base/number.h"
#include "roan/base.h"

#define ROAN_OUT_CHUNK_BYTES ((size_t)16 * 1024) /* an ordinary chunk, header included */

typedef struct roan_out_chunk roan_out_chunk;
struct roan_out_chunk {
    roan_out_chunk *next;
    uint32_t bytes;     /* written; while a chunk is the last one, roan_out.at knows better */
    uint32_t capacity;
    char data[];
};

/* Keeps a few ordinary chunks for reuse. */
typedef struct roan_out_pool {
    roan_out_chunk *free_chunks;
    unsigned count;
    unsigned count_max;
    unsigned idle_count; /* the fewest chunks it has had since the last roan_out_pool_trim() */
} roan_out_pool;

typedef struct roan_out {
    char *at;               /* where the next byte goes */
    char *end;              /* end of the last chunk */
    roan_out_chunk *first;
    roan_out_chunk *last;
    size_t sealed_bytes;    /* bytes in all chunks but the last */
    roan_out_pool *pool;
    uint8_t protocol;       /* 2 or 3 */
} roan_out;

/* An aggregate that is open: where its header will go. */
typedef struct roan_out_mark {
    roan_out_chunk *chunk;
} roan_out_mark;

void roan_out_init(roan_out *out, roan_out_pool *pool, int protocol);
void roan_out_done(roan_out *out);
void roan_out_pool_done(roan_out_pool *pool);
/* Gives back half of the chunks that nobody has needed since the last time. Call it now and then. */
void roan_out_pool_trim(roan_out_pool *pool);

/* Bytes written so far. */
static inline size_t roan_out_bytes(const roan_out *out)
{
    return out->sealed_bytes + (out->last == NULL ? 0 : (size_t)(out->at - out->last->data));
}

/* Hands the chain over (chunks with their `bytes` right) and leaves `out` empty. NULL when nothing was written. */
roan_out_chunk *roan_out_take(roan_out *out);

/* Gives chunks back. */
void roan_out_chunk_free(roan_out_pool *pool, roan_out_chunk *chunk);

/* Drops everything written since roan_out_bytes() was `bytes`. */
void roan_out_rollback(roan_out *out, size_t bytes);

/* Copies all bytes to one buffer of roan_out_bytes() bytes. */
void roan_out_copy(const roan_out *out, char *target);

/* Room for `bytes` contiguous bytes (small). */
void roan_out_grow(roan_out *out, size_t bytes);

static ROAN_ALWAYS_INLINE char *roan_out_reserve(roan_out *out, size_t bytes)
{
    if (ROAN_UNLIKELY((size_t)(out->end - out->at) < bytes))
        roan_out_grow(out, bytes);
    return out->at;
}

/* Any bytes, as they are. */
void roan_out_raw(roan_out *out, const char *data, size_t bytes);

/* +text */
void roan_out_status(roan_out *out, const char *text);
/* -text; line breaks become spaces */
void roan_out_error(roan_out *out, roan_slice text);
/* $n */
void roan_out_bulk_slow(roan_out *out, roan_slice bytes);
void roan_out_bulk_text(roan_out *out, const char *text);
void roan_out_bulk_printf(roan_out *out, const char *format, ...) ROAN_PRINTF(2, 3);
/* $-1 or _ */
void roan_out_null(roan_out *out);
/* *-1 or _ */
void roan_out_null_array(roan_out *out);
void roan_out_array(roan_out *out, size_t count);
/* RESP2: an array of 2 * pairs */
void roan_out_map(roan_out *out, size_t pairs);
void roan_out_set(roan_out *out, size_t count);
/* RESP2: an array */
void roan_out_push(roan_out *out, size_t count);
/* RESP3 ,n; RESP2 a bulk string */
void roan_out_double(roan_out *out, double value);
/* The same for a number that was formatted already */
void roan_out_double_text(roan_out *out, roan_slice text);
/* RESP3 #t #f; RESP2 :1 :0 */
void roan_out_bool(roan_out *out, bool value);
/* RESP3 (digits; RESP2 a bulk string */
void roan_out_big_number(roan_out *out, roan_slice digits);
/* RESP3 =n fmt:bytes; RESP2 a bulk string. format has three letters */
void roan_out_verbatim(roan_out *out, const char *format, roan_slice text);

/* Opens an aggregate of unknown size; close it with the matching count. May be nested. */
roan_out_mark roan_out_open(roan_out *out);
void roan_out_close_array(roan_out *out, roan_out_mark mark, size_t count);
void roan_out_close_map(roan_out *out, roan_out_mark mark, size_t pairs);
void roan_out_close_set(roan_out *out, roan_out_mark mark, size_t count);

/* Fills an opened place with a short bulk string (at most 20 bytes) instead. */
void roan_out_close_bulk(roan_out *out, roan_out_mark mark, roan_slice text);

#define ROAN_OUT_HEADER_MAX 32 /* type byte, digits, CR LF; or a bulk string of 20 bytes */

static ROAN_ALWAYS_INLINE void roan_out_header(roan_out *out, char type, uint64_t value)
{
    char *at = roan_out_reserve(out, ROAN_OUT_HEADER_MAX);
    *at++ = type;
    if (value < 100) {
        if (value >= 10)
            *at++ = (char)('0' + value / 10);
        *at++ = (char)('0' + value % 10);
    } else {
        at += roan_format_u64(at, value);
    }
    *at++ = '\r';
    *at++ = '\n';
    out->at = at;
}

static ROAN_ALWAYS_INLINE void roan_out_integer(roan_out *out, int64_t value)
{
    char *at = roan_out_reserve(out, ROAN_OUT_HEADER_MAX);
    *at++ = ':';
    at += roan_format_i64(at, value);
    *at++ = '\r';
    *at++ = '\n';
    out->at = at;
}

static ROAN_ALWAYS_INLINE void roan_out_bulk(roan_out *out, roan_slice bytes)
{
    if (ROAN_UNLIKELY((size_t)(out->end - out->at) < bytes.bytes + ROAN_OUT_HEADER_MAX + 2)) {
        roan_out_bulk_slow(out, bytes);
        return;
    }
    roan_out_header(out, '$', bytes.bytes);
    if (bytes.bytes > 0)
        memcpy(out->at, bytes.data, bytes.bytes);
    out->at += bytes.bytes;
    *out->at++ = '\r';
    *out->at++ = '\n';
}

static ROAN_ALWAYS_INLINE void roan_out_ok(roan_out *out)
{
    memcpy(roan_out_reserve(out, 5), "+OK\r\n", 5);
    out->at += 5;
}
