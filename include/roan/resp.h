/* roan/resp.h: RESP2 and RESP3 for clients: write requests into a buffer, read replies from bytes.
 *
 * Pure functions over memory: no socket, no clock, no global state. One reader belongs to one
 * thread. Follows the RESP specification of the Redis and Valkey documentation. Refused with an
 * error that says so: streamed replies ('?' as a length), aggregates nested deeper than 256, bulks
 * above 64 GiB, aggregates of more than 2^32 - 1. Memory follows the bytes that came, never an
 * announced length.
 */
#ifndef ROAN_RESP_H
#define ROAN_RESP_H

#include "roan/base.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum roan_reply_type {
    ROAN_REPLY_STATUS,      /* +text */
    ROAN_REPLY_ERROR,       /* -text, or RESP3 blob error */
    ROAN_REPLY_INTEGER,     /* :n */
    ROAN_REPLY_BULK,        /* $n bytes */
    ROAN_REPLY_NULL,        /* $-1, *-1 or _ */
    ROAN_REPLY_ARRAY,       /* *n */
    ROAN_REPLY_MAP,         /* %n, elements holds 2n values */
    ROAN_REPLY_SET,         /* ~n */
    ROAN_REPLY_PUSH,        /* >n */
    ROAN_REPLY_DOUBLE,      /* ,n */
    ROAN_REPLY_BOOLEAN,     /* #t #f */
    ROAN_REPLY_BIG_NUMBER,  /* (digits */
    ROAN_REPLY_VERBATIM,    /* =n fmt:bytes; `verbatim_format` holds the three letters */
    ROAN_REPLY_TYPE_COUNT
} roan_reply_type;

/* One reply as a tree in a single block of memory. The text stays valid until the value is freed.
 * */
typedef struct roan_value roan_value;
struct roan_value {
    roan_reply_type type;
    bool boolean;            /* BOOLEAN */
    char verbatim_format[4]; /* VERBATIM: "txt" or "mkd", terminated */
    int64_t integer;         /* INTEGER */
    double number;           /* DOUBLE */
    roan_slice text;         /* STATUS, ERROR, BULK, BIG_NUMBER, VERBATIM; DOUBLE as sent */
    size_t count;            /* ARRAY, SET, PUSH: elements; MAP: pairs */
    roan_value *elements;    /* ARRAY, SET, PUSH: count values; MAP: 2 * count values, key first */
    roan_value *attributes;  /* RESP3 attributes (a MAP) that came before this value, or NULL */
};

/* Reads replies from a stream of bytes that arrives in pieces of any size. */
typedef struct roan_reply_reader roan_reply_reader;

/* A new reader, or NULL when out of memory. */
ROAN_API roan_reply_reader *roan_reply_reader_create(void);

/* Frees the reader and what it has buffered; accepts NULL; returns NULL. */
ROAN_API roan_reply_reader *roan_reply_reader_free(roan_reply_reader *reader);

/* Appends bytes that arrived, in pieces of any size; they are copied. The time for a stream is
 * linear in its bytes. ROAN_E_NOMEM, or ROAN_E_PROTOCOL once the stream was found to be broken. */
ROAN_API roan_status roan_reply_reader_feed(roan_reply_reader *reader, const char *data,
                                            size_t bytes) ROAN_MUST_CHECK;

/* Takes the next whole reply. ROAN_OK with *ret_value set: a reply, to be freed with
 * roan_value_free; it may outlive the reader. ROAN_OK with *ret_value NULL: more bytes are needed.
 * ROAN_E_PROTOCOL: the stream is broken for good. ROAN_E_NOMEM: nothing was taken, try again. */
ROAN_API roan_status roan_reply_reader_next(roan_reply_reader *reader, roan_value **ret_value,
                                            roan_error *reterr) ROAN_MUST_CHECK;

/* Frees a value got from roan_reply_reader_next and everything in it; elements and attributes are
 * never freed on their own. Accepts NULL; returns NULL. */
ROAN_API roan_value *roan_value_free(roan_value *value);

/* A growing buffer of bytes to send. Zero-initialise it; free with roan_request_buffer_done. */
typedef struct roan_request_buffer {
    char *data;
    size_t bytes;
    size_t capacity;
} roan_request_buffer;

/* Appends one request (an array of bulk strings) to `buffer`, or with ROAN_E_NOMEM nothing. */
ROAN_API roan_status roan_request_append(roan_request_buffer *buffer, size_t argc,
                                         const roan_slice *argv) ROAN_MUST_CHECK;

/* Frees the memory; the buffer is empty and usable again. */
ROAN_API void roan_request_buffer_done(roan_request_buffer *buffer);

/* How many bytes of data[0..bytes) are whole replies, counting at most `replies_max` of them into
 * *ret_replies. For load generators, which only need to know that an answer came; *ret_errors (may
 * be NULL) counts the top-level error replies. Returns SIZE_MAX on a protocol error, or when there is
 * no memory for what is nested deeply. */
ROAN_API size_t roan_replies_skip(const char *data, size_t bytes, size_t replies_max,
                                  size_t *ret_replies, size_t *ret_errors);

#ifdef __cplusplus
}
#endif
#endif
