/* Fuzz target: the reply reader and the skipper must agree on any bytes, whatever pieces they come
 * in.
 *
 * The first input byte chooses the size of the pieces. Both readings are reduced to a hash over the
 * trees, which also touches every byte that a tree points to. The one in pieces offers a place for
 * every reply, of exactly its size, so that sanitizers see what is written beyond it.
 */
#include "resp/reply_reader.h"

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "failed: %s (line %d)\n", #condition, __LINE__);   \
            abort();                                                           \
        }                                                                      \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

typedef struct reading {
    uint64_t hash;
    size_t replies;
    size_t errors;
    bool is_broken;
} reading;

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x100000001b3ULL;
}

static uint64_t hash_value(const roan_value *value, uint64_t hash)
{
    size_t children = value->type == ROAN_REPLY_MAP ? 2 * value->count : value->count;

    REQUIRE((unsigned)value->type < ROAN_REPLY_TYPE_COUNT);
    if (value->attributes != NULL)
        hash = hash_value(value->attributes, mix(hash, 77));
    hash = mix(hash, (uint64_t)value->type);
    hash = mix(hash, (uint64_t)value->integer + value->boolean);
    for (size_t i = 0; i < value->text.bytes; i++)
        hash = mix(hash, (unsigned char)value->text.data[i]);
    for (size_t i = 0; i < children; i++)
        hash = hash_value(&value->elements[i], hash);
    return hash;
}

#define PLACE_BYTES 160

static reading read_pieces(const char *data, size_t bytes, size_t piece, bool offers_places)
{
    roan_reply_reader *reader = roan_reply_reader_create();
    reading result = {.hash = 0xcbf29ce484222325ULL};

    REQUIRE(reader != NULL);
    for (size_t at = 0; at < bytes && !result.is_broken; at += piece) {
        size_t count = bytes - at < piece ? bytes - at : piece;
        roan_value *value = NULL;
        roan_status status = roan_reply_reader_feed(reader, data + at, count);
        REQUIRE(status == ROAN_OK);
        for (;;) {
            roan_error error;
            roan_reply_place place = {NULL, PLACE_BYTES, free};
            if (offers_places)
                REQUIRE((place.memory = malloc(PLACE_BYTES)) != NULL);
            status = roan_reply_reader_next_at(reader, &place, &value, &error);
            free(place.memory);
            if (status != ROAN_OK) {
                REQUIRE(status == ROAN_E_PROTOCOL);
                REQUIRE(error.text[0] != '\0');
                result.is_broken = true;
            }
            if (value == NULL)
                break;
            result.hash = hash_value(value, result.hash);
            result.replies++;
            result.errors += value->type == ROAN_REPLY_ERROR;
            roan_value_free(value);
        }
    }
    roan_reply_reader_free(reader);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *stream = (const char *)data + 1;
    size_t stream_bytes;
    size_t replies;
    size_t errors;
    size_t skipped;
    reading whole;
    reading pieces;

    if (bytes < 2)
        return 0;
    stream_bytes = bytes - 1;
    whole = read_pieces(stream, stream_bytes, stream_bytes, false);
    pieces = read_pieces(stream, stream_bytes, data[0] % 32u + 1u, true);
    REQUIRE(whole.hash == pieces.hash);
    REQUIRE(whole.replies == pieces.replies);
    REQUIRE(whole.is_broken == pieces.is_broken);
    skipped = roan_replies_skip(stream, stream_bytes, SIZE_MAX, &replies, &errors);
    REQUIRE(replies == whole.replies);
    REQUIRE(errors == whole.errors);
    REQUIRE((skipped == SIZE_MAX) == whole.is_broken);
    REQUIRE(skipped == SIZE_MAX || skipped <= stream_bytes);
    return 0;
}
