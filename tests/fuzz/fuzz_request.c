/* Fuzz target: the quick parser, the reader at once and the reader byte by byte must agree on any stream of requests.
 *
 * The first input byte says whether the sender is authenticated and how large the pieces are. Readings are reduced to a
 * hash over the words, which also touches every byte that a word points to.
 */
#include "base/macros.h"
#include "resp/request.h"

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "failed: %s (line %d)\n", #condition, __LINE__);   \
            abort();                                                           \
        }                                                                      \
    } while (0)

#define ROOM 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

typedef struct reading {
    uint64_t hash;
    size_t requests, consumed;
    roan_parse_result last;
} reading;

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x100000001b3ULL;
}

static void take_words(reading *into, size_t argc, const roan_slice *argv)
{
    into->hash = mix(into->hash, argc + 1000);
    for (size_t i = 0; i < argc; i++) {
        into->hash = mix(into->hash, argv[i].bytes);
        for (size_t j = 0; j < argv[i].bytes; j++)
            into->hash = mix(into->hash, (unsigned char)argv[i].data[j]);
    }
    into->requests++;
}

/* One request by the reader, `piece` bytes at a time; the result of the last read. */
static roan_parse_result read_request(roan_request_reader *reader, const char *data, size_t bytes, size_t piece,
                                      const roan_parse_limits *limits)
{
    roan_parse_result result = ROAN_PARSE_MORE;
    for (size_t given = 0; given < bytes && result == ROAN_PARSE_MORE;) {
        size_t missing = 0;
        roan_slice error = {0};
        given = ROAN_MIN(given + piece, bytes);
        result = roan_request_reader_read(reader, data, given, limits, &missing, &error);
        REQUIRE(result != ROAN_PARSE_SLOW);
        REQUIRE(result != ROAN_PARSE_ERROR || error.bytes > 0);
        REQUIRE(result != ROAN_PARSE_DONE || (reader->at > 0 && reader->at <= given));
    }
    return result;
}

static reading read_stream(const char *data, size_t bytes, size_t piece, const roan_parse_limits *limits,
                           bool try_quick)
{
    reading all = {.hash = 0xcbf29ce484222325ULL, .last = ROAN_PARSE_DONE};
    roan_request_reader reader = {0};
    while (all.consumed < bytes && all.last == ROAN_PARSE_DONE) {
        roan_slice argv[ROOM];
        size_t argc = 0, consumed = 0, left = bytes - all.consumed;
        roan_slice error = {0};
        const char *at = data + all.consumed;
        all.last =
            try_quick ? roan_request_parse(at, left, limits, argv, ROOM, &argc, &consumed, &error) : ROAN_PARSE_SLOW;
        if (all.last == ROAN_PARSE_DONE) {
            REQUIRE(consumed > 0 && consumed <= left && argc <= ROOM);
            take_words(&all, argc, argv);
        } else if (all.last == ROAN_PARSE_SLOW) {
            all.last = read_request(&reader, at, left, piece, limits);
            consumed = reader.at;
            if (all.last == ROAN_PARSE_DONE)
                take_words(&all, reader.argc, reader.argv);
            roan_request_reader_clear(&reader);
        }
        all.consumed += all.last == ROAN_PARSE_DONE ? consumed : 0;
    }
    roan_request_reader_done(&reader);
    return all;
}

static void require_same(const reading *a, const reading *b)
{
    REQUIRE(a->hash == b->hash);
    REQUIRE(a->requests == b->requests);
    REQUIRE(a->consumed == b->consumed);
    REQUIRE(a->last == b->last);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < 2)
        return 0;
    roan_parse_limits limits = {.bulk_bytes_max = 1 << 16, .is_authenticated = (data[0] & 1) != 0};
    size_t stream_bytes = bytes - 1;
    char *stream = malloc(stream_bytes); /* exactly its size: a sanitizer sees a step over the edge */
    REQUIRE(stream != NULL);
    memcpy(stream, data + 1, stream_bytes);
    reading quick = read_stream(stream, stream_bytes, stream_bytes, &limits, true);
    reading whole = read_stream(stream, stream_bytes, stream_bytes, &limits, false);
    reading pieces = read_stream(stream, stream_bytes, 1 + (data[0] >> 1) % 16, &limits, false);
    require_same(&quick, &whole);
    require_same(&whole, &pieces);
    free(stream);
    return 0;
}
