/* Fuzz target: what the client makes of any call, and of any reply to it, keeps its promises.
 *
 * The input is a first byte, then words separated by zero bytes, then (behind two of them) a reply. Keys stand inside the
 * call and in ascending order; a prefix goes before exactly those; taking it off changes no text but at its beginning.
 */
#include "client/command_traits.h"

#include <stdio.h>
#include <stdlib.h>

#define WORDS_MAX 64

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "failed: %s (line %d)\n", #condition, __LINE__);   \
            abort();                                                           \
        }                                                                      \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static size_t split(const char *data, size_t bytes, roan_slice *argv, size_t *ret_used)
{
    size_t argc = 0;
    size_t at = 0;

    while (at < bytes && argc < WORDS_MAX) {
        const char *end = memchr(data + at, '\0', bytes - at);
        size_t length = end != NULL ? (size_t)(end - data) - at : bytes - at;
        if (length == 0 && argc > 0 && at + 1 < bytes && data[at + 1] == '\0')
            break;
        argv[argc++] = roan_slice_make(data + at, length);
        at += length + 1;
    }
    *ret_used = at < bytes ? at : bytes;
    return argc;
}

static void check_call(roan_slice prefix, size_t argc, const roan_slice *argv)
{
    const roan_command_traits *traits = roan_command_traits_find(argc, argv);
    unsigned positions[WORDS_MAX];
    size_t count = roan_command_key_positions(traits, argc, argv, positions, WORDS_MAX);
    roan_slice words[WORDS_MAX + ROAN_PREFIX_WORDS_EXTRA];
    size_t words_count = 0;
    roan_request_buffer scratch = {0};
    roan_error error = {.text = ""};
    roan_status status;
    char text[48];

    REQUIRE(count == SIZE_MAX || count <= argc);
    for (size_t i = 0; count != SIZE_MAX && i < count; i++) {
        REQUIRE(positions[i] > 0 && positions[i] < argc);
        REQUIRE(i == 0 || positions[i] > positions[i - 1]);
    }
    REQUIRE(roan_command_block_us(traits, argc, argv) >= -1);
    REQUIRE((unsigned)roan_command_retry_class(traits, argc, argv) <= ROAN_RETRY_NEVER);
    roan_command_describe(traits, argc, argv, text, sizeof text);
    REQUIRE(memchr(text, '\0', sizeof text) != NULL);
    status = roan_prefix_apply(prefix, traits, argc, argv, words, &words_count, &scratch, &error);
    REQUIRE(status == ROAN_OK || (status == ROAN_E_USAGE && error.text[0] != '\0'));
    if (status == ROAN_OK) {
        REQUIRE(words_count == argc || words_count == argc + ROAN_PREFIX_WORDS_EXTRA);
        for (size_t i = 0; prefix.bytes > 0 && count != SIZE_MAX && i < count; i++) {
            roan_slice word = words[positions[i]];
            roan_slice key = argv[positions[i]];
            REQUIRE(word.bytes == prefix.bytes + key.bytes);
            REQUIRE(memcmp(word.data, prefix.data, prefix.bytes) == 0);
            REQUIRE(key.bytes == 0 || memcmp(word.data + prefix.bytes, key.data, key.bytes) == 0);
        }
    }
    roan_request_buffer_done(&scratch);
}

/* The bytes of all texts; every byte is looked at through `ret_hash`. */
static size_t sum_bytes(const roan_value *value, unsigned *ret_hash)
{
    size_t children = value->type == ROAN_REPLY_MAP ? 2 * value->count : value->count;
    size_t sum = value->text.bytes;

    for (size_t i = 0; i < value->text.bytes; i++)
        *ret_hash = *ret_hash * 31 + (unsigned char)value->text.data[i];
    for (size_t i = 0; i < children; i++)
        sum += sum_bytes(&value->elements[i], ret_hash);
    return sum;
}

static void check_reply(roan_slice prefix, size_t argc, const roan_slice *argv, const char *data, size_t bytes)
{
    roan_reply_reader *reader = roan_reply_reader_create();
    roan_value *reply = NULL;

    REQUIRE(reader != NULL);
    if (roan_reply_reader_feed(reader, data, bytes) == ROAN_OK &&
        roan_reply_reader_next(reader, &reply, NULL) == ROAN_OK && reply != NULL) {
        unsigned hash_before = 0;
        unsigned hash_after = 0;
        size_t before = sum_bytes(reply, &hash_before);
        size_t after;
        roan_prefix_strip(prefix, roan_command_traits_find(argc, argv), reply);
        after = sum_bytes(reply, &hash_after);
        REQUIRE(after < before || (after == before && hash_after == hash_before));
        REQUIRE(prefix.bytes == 0 ? after == before : (before - after) % prefix.bytes == 0);
    }
    roan_value_free(reply);
    roan_reply_reader_free(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const char *const prefixes[] = {"", "p", "app:", "a*b[c]"};
    roan_slice argv[WORDS_MAX];
    roan_slice prefix;
    size_t used;
    size_t argc;

    if (bytes < 2)
        return 0;
    prefix = roan_slice_from_text(prefixes[data[0] % 4]);
    argc = split((const char *)data + 1, bytes - 1, argv, &used);
    check_call(prefix, argc, argv);
    if (used + 3 < bytes)
        check_reply(prefix, argc, argv, (const char *)data + 1 + used + 2, bytes - 1 - used - 2);
    return 0;
}
