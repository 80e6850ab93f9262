/* resp/request.h: the server's side of RESP: bytes in, words out.
 *
 * roan_request_parse() handles the usual case: a whole request lies in memory; its words point into it, nothing is
 * copied or allocated. What is incomplete, too long for the caller's array, or inline with quotes goes to a
 * roan_request_reader, which remembers where it stopped, so that a request arriving in a million pieces is still read
 * once.
 *
 * Errors carry the reference's texts ("Protocol error: ...").
 */
#pragma once

#include "base/buffer.h"
#include "roan/base.h"

#include <stdbool.h>

typedef enum roan_parse_result {
    ROAN_PARSE_DONE,  /* a request was read; argc may be 0: an empty one, to be skipped */
    ROAN_PARSE_MORE,  /* the bytes end before the request does */
    ROAN_PARSE_SLOW,  /* complete or not: needs a roan_request_reader */
    ROAN_PARSE_ERROR,
} roan_parse_result;

typedef struct roan_parse_limits {
    uint64_t bulk_bytes_max;  /* proto-max-bulk-len */
    bool is_authenticated;    /* others may not send more than a few short words */
} roan_parse_limits;

#define ROAN_INLINE_REQUEST_MAX (64 * 1024)
#define ROAN_UNAUTHENTICATED_WORDS_MAX 10
#define ROAN_UNAUTHENTICATED_BULK_MAX 16384

/* Parses the request that begins at data[0]. DONE: words in argv[0..*ret_argc), *ret_bytes consumed. */
roan_parse_result roan_request_parse(const char *data, size_t bytes, const roan_parse_limits *limits, roan_slice *argv,
                                     size_t argv_room, size_t *ret_argc, size_t *ret_bytes, roan_slice *ret_error);

/* Zero-initialise; roan_request_reader_done frees. */
typedef struct roan_request_reader {
    size_t at;            /* bytes of the request read so far */
    int64_t words;        /* announced; 0: header not read yet */
    int64_t bulk_bytes;   /* announced length of the word being read, plus 1; 0: not read yet */
    size_t argc, room;
    roan_slice *argv;     /* while reading, .data is an offset; after DONE a pointer */
    roan_buffer text;     /* unquoted words of an inline request */
    char error[64];
} roan_request_reader;

/* Goes on reading the request that begins at data[0]; the same bytes as in the last call, and more. *ret_missing (MORE)
 * is how many bytes at least are still to come, for reserving room. */
roan_parse_result roan_request_reader_read(roan_request_reader *reader, const char *data, size_t bytes,
                                           const roan_parse_limits *limits, size_t *ret_missing, roan_slice *ret_error);

/* Forgets the request, keeps small memory. */
void roan_request_reader_clear(roan_request_reader *reader);
void roan_request_reader_done(roan_request_reader *reader);

/* Splits a line into words the way the reference's inline protocol and configuration files do: single and double
 * quotes, \n \r \t \b \a \\ \" \xHH inside double quotes, quotes anywhere in a word. Words are appended to `words`
 * (text) and `argv` grows by offsets; false: unbalanced quotes. */
bool roan_split_words(roan_slice line, roan_buffer *text, roan_slice **argv, size_t *argc, size_t *room);
