/* Fuzz target: libroan-hiredis reads any bytes, in whatever pieces, to the same replies, and agrees with the reader of
 * roan/resp.h about what is RESP.
 *
 * The first byte chooses the size of the pieces. The two readers differ on purpose in their limits and in a few forms
 * that no server sends (numbers with a sign or leading zeros, the length of a double); there only one thing is required:
 * what libroan-hiredis accepts is read to the same number of values. Attributes are replies of their own in hiredis, so
 * streams with them are not compared.
 */
#include "hiredis/hiredis.h"
#include "roan/resp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                   \
    do {                                                                     \
        if (!(condition)) {                                                  \
            fprintf(stderr, "failed: %s (line %d)\n", #condition, __LINE__); \
            abort();                                                         \
        }                                                                    \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

typedef struct reading {
    uint64_t hash;
    size_t replies;
    size_t values;
    int err;
    char text[128];
} reading;

static uint64_t mix(uint64_t hash, uint64_t value)
{
    return (hash ^ value) * 0x100000001b3ULL;
}

/* Depth is bounded by the reader's maxdepth. */
static void take_reply(reading *to, const redisReply *reply)
{
    to->hash = mix(mix(to->hash, (uint64_t)reply->type), (uint64_t)reply->integer);
    to->values++;
    for (size_t i = 0; i < reply->len; i++)
        to->hash = mix(to->hash, (unsigned char)reply->str[i]);
    REQUIRE(reply->str == NULL || reply->element == NULL);
    REQUIRE(reply->str == NULL || reply->str[reply->len] == '\0');
    for (size_t i = 0; i < reply->elements; i++)
        take_reply(to, reply->element[i]);
}

static reading read_pieces(const char *data, size_t bytes, size_t piece)
{
    redisReader *reader = redisReaderCreate();
    reading result = {.hash = 0xcbf29ce484222325ULL};
    int status = REDIS_OK;

    REQUIRE(reader != NULL);
    for (size_t at = 0; at < bytes && status == REDIS_OK; at += piece) {
        void *reply = NULL;
        status = redisReaderFeed(reader, data + at, bytes - at < piece ? bytes - at : piece);
        while (status == REDIS_OK && (status = redisReaderGetReply(reader, &reply)) == REDIS_OK && reply != NULL) {
            take_reply(&result, reply);
            result.replies++;
            freeReplyObject(reply);
        }
    }
    REQUIRE((status == REDIS_OK) == (reader->err == 0));
    result.err = reader->err;
    memcpy(result.text, reader->errstr, sizeof result.text);
    redisReaderFree(reader);
    return result;
}

static size_t count_values(const roan_value *value)
{
    size_t children = value->type == ROAN_REPLY_MAP ? 2 * value->count : value->count;
    size_t count = 1;

    for (size_t i = 0; i < children; i++)
        count += count_values(&value->elements[i]);
    return count;
}

/* What the other reader makes of the first `replies_max` replies. */
static size_t count_other(const char *data, size_t bytes, size_t replies_max, size_t *ret_replies)
{
    roan_reply_reader *reader = roan_reply_reader_create();
    size_t values = 0;

    REQUIRE(reader != NULL);
    REQUIRE(roan_reply_reader_feed(reader, data, bytes) == ROAN_OK);
    for (*ret_replies = 0; *ret_replies < replies_max; ++*ret_replies) {
        roan_value *value = NULL;
        if (roan_reply_reader_next(reader, &value, NULL) != ROAN_OK || value == NULL)
            break;
        values += count_values(value);
        roan_value_free(value);
    }
    roan_reply_reader_free(reader);
    return values;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    const char *stream = (const char *)data + 1;
    reading whole, pieces;
    size_t replies;

    if (bytes < 2)
        return 0;
    whole = read_pieces(stream, bytes - 1, bytes - 1);
    pieces = read_pieces(stream, bytes - 1, data[0] % 32u + 1u);
    REQUIRE(whole.hash == pieces.hash);
    REQUIRE(whole.replies == pieces.replies);
    REQUIRE(whole.err == pieces.err);
    REQUIRE(strcmp(whole.text, pieces.text) == 0);
    REQUIRE(whole.err == 0 || whole.text[0] != '\0');
    if (memchr(stream, '|', bytes - 1) != NULL)
        return 0;
    REQUIRE(count_other(stream, bytes - 1, whole.replies, &replies) == whole.values || replies < whole.replies);
    return 0;
}
