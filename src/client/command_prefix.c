/* client/command_prefix.c: the key prefix, put before keys in commands and taken off in replies.
 *
 * A call is walked twice with the same code: first to measure what the new words need, then to write them, so that the
 * scratch buffer grows once and nothing that points into it moves. Words that are not keys stay the caller's.
 *
 * A prefix is plain bytes. Before a glob pattern it is escaped; before a pattern of SORT, in which the first '*' stands
 * for the element, it must not hold one. BY without '*' means "do not sort" and stays as it is, and so do GET without
 * '*' (which finds nothing) and GET #.
 */
#include "client/command_row.h"

#include "base/macros.h"
#include "base/number.h"

#include <stdlib.h>

#define POSITIONS_INLINE 32

typedef struct rewrite {
    roan_slice prefix;
    const roan_slice *argv;
    size_t argc;
    roan_slice *words;
    size_t words_count;
    size_t bytes;      /* measured */
    char *at;          /* NULL while measuring */
    bool is_impossible; /* a pattern cannot carry the prefix */
} rewrite;

static bool is_glob_special(char c)
{
    return c == '*' || c == '?' || c == '[' || c == ']' || c == '\\' || c == '^';
}

static void write_byte(rewrite *call, char c)
{
    if (call->at != NULL)
        *call->at++ = c;
    else
        call->bytes++;
}

static void write_bytes(rewrite *call, roan_slice bytes)
{
    if (call->at == NULL) {
        call->bytes += bytes.bytes;
    } else if (bytes.bytes > 0) {
        memcpy(call->at, bytes.data, bytes.bytes);
        call->at += bytes.bytes;
    }
}

static void write_escaped(rewrite *call, roan_slice bytes)
{
    for (size_t i = 0; i < bytes.bytes; i++) {
        if (is_glob_special(bytes.data[i]))
            write_byte(call, '\\');
        write_byte(call, bytes.data[i]);
    }
}

/* words[index] becomes the prefix and `rest`. */
static void set_word(rewrite *call, size_t index, roan_slice rest, bool is_pattern)
{
    const char *begin = call->at;

    if (is_pattern)
        write_escaped(call, call->prefix);
    else
        write_bytes(call, call->prefix);
    write_bytes(call, rest);
    if (begin != NULL)
        call->words[index] = roan_slice_make(begin, (size_t)(call->at - begin));
}

static void prefix_argument(rewrite *call, size_t index, bool is_pattern)
{
    if (index < call->argc)
        set_word(call, index, call->argv[index], is_pattern);
}

/* SCAN cursor [MATCH pattern] [COUNT n] [TYPE type] ...: every option has a value. */
static void prefix_scan(rewrite *call)
{
    bool has_match = false;

    for (size_t i = 2; i < call->argc; i += 2) {
        if (roan_slice_is(call->argv[i], "MATCH")) {
            has_match = true;
            prefix_argument(call, i + 1, true);
        }
    }
    if (has_match || call->argc < 2)
        return;
    call->words_count = call->argc + ROAN_PREFIX_WORDS_EXTRA;
    if (call->at != NULL)
        call->words[call->argc] = ROAN_LITERAL("MATCH");
    set_word(call, call->argc + 1, ROAN_LITERAL("*"), true);
}

static bool has_star(roan_slice text)
{
    return text.bytes > 0 && memchr(text.data, '*', text.bytes) != NULL;
}

static void prefix_sort(rewrite *call)
{
    for (size_t i = 2; i < call->argc; i++) {
        bool has_pattern = roan_slice_is(call->argv[i], "BY") || roan_slice_is(call->argv[i], "GET");
        if (roan_slice_is(call->argv[i], "LIMIT")) {
            i += 2;
        } else if (roan_slice_is(call->argv[i], "STORE")) {
            i++;
        } else if (has_pattern && ++i < call->argc && has_star(call->argv[i])) {
            call->is_impossible |= has_star(call->prefix);
            prefix_argument(call, i, false);
        }
    }
}

static void prefix_call(rewrite *call, const roan_command_row *row, const unsigned *positions, size_t count)
{
    call->words_count = call->argc;
    for (size_t i = 0; i < count; i++)
        prefix_argument(call, positions[i], false);
    switch ((roan_command_pattern)row->pattern) {
    case ROAN_PATTERN_NONE:
        break;
    case ROAN_PATTERN_KEYS:
        prefix_argument(call, 1, true);
        break;
    case ROAN_PATTERN_SCAN:
        prefix_scan(call);
        break;
    case ROAN_PATTERN_SORT:
        prefix_sort(call);
        break;
    case ROAN_PATTERN_KEYSLOT:
        prefix_argument(call, 2, false);
        break;
    }
}

static roan_status reserve(roan_request_buffer *scratch, size_t bytes)
{
    size_t wanted = scratch->bytes + bytes;
    char *data;

    if (wanted <= scratch->capacity)
        return ROAN_OK;
    data = wanted < bytes ? NULL : realloc(scratch->data, wanted);
    if (data == NULL)
        return ROAN_E_NOMEM;
    scratch->data = data;
    scratch->capacity = wanted;
    return ROAN_OK;
}

static roan_status rewrite_words(rewrite *call, const roan_command_row *row, const unsigned *positions, size_t count,
                                 roan_request_buffer *scratch, roan_error *reterr)
{
    prefix_call(call, row, positions, count);
    if (call->is_impossible)
        return roan_error_set(reterr, ROAN_E_USAGE, "%s: a pattern cannot follow a key prefix with '*'",
                              row->traits.name);
    if (reserve(scratch, call->bytes) != ROAN_OK)
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory for the key prefix");
    if (call->argc > 0)
        memcpy(call->words, call->argv, call->argc * sizeof *call->words);
    call->at = call->bytes > 0 ? scratch->data + scratch->bytes : NULL;
    if (call->at == NULL)
        return ROAN_OK;
    prefix_call(call, row, positions, count);
    scratch->bytes += call->bytes;
    ROAN_ASSERT(call->at == scratch->data + scratch->bytes);
    return ROAN_OK;
}

roan_status roan_prefix_apply(roan_slice prefix, const roan_command_traits *traits, size_t argc,
                              const roan_slice *argv, roan_slice *words, size_t *ret_argc,
                              roan_request_buffer *scratch, roan_error *reterr)
{
    rewrite call = {.prefix = prefix, .argv = argv, .argc = argc, .words = words};
    unsigned inline_positions[POSITIONS_INLINE];
    unsigned *positions = inline_positions;
    size_t count = 0;
    roan_status status;

    if (prefix.bytes == 0) {
        if (argc > 0)
            memcpy(words, argv, argc * sizeof *words);
        *ret_argc = argc;
        return ROAN_OK;
    }
    count = roan_command_key_positions(traits, argc, argv, positions, POSITIONS_INLINE);
    if (count == SIZE_MAX)
        return roan_error_set(reterr, ROAN_E_USAGE,
                              "%s: with a key prefix, a command whose keys are not known is refused",
                              traits->is_known ? traits->name : "unknown command");
    if (count > POSITIONS_INLINE) {
        positions = malloc(count * sizeof *positions);
        if (positions == NULL)
            return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory for the key prefix");
        ROAN_IGNORE(roan_command_key_positions(traits, argc, argv, positions, count)); /* the same number again */
    }
    status = rewrite_words(&call, traits->inside, positions, count, scratch, reterr);
    if (positions != inline_positions)
        free(positions);
    if (status == ROAN_OK)
        *ret_argc = call.words_count;
    return status;
}

/* --- replies --- */

static void strip_key(roan_slice prefix, roan_value *key)
{
    bool is_text = key->type == ROAN_REPLY_BULK || key->type == ROAN_REPLY_STATUS || key->type == ROAN_REPLY_VERBATIM;

    if (!is_text || key->text.bytes < prefix.bytes || memcmp(key->text.data, prefix.data, prefix.bytes) != 0)
        return;
    key->text.data += prefix.bytes;
    key->text.bytes -= prefix.bytes;
}

static bool is_list(const roan_value *value)
{
    return value->type == ROAN_REPLY_ARRAY || value->type == ROAN_REPLY_SET;
}

static void strip_elements(roan_slice prefix, roan_value *list)
{
    for (size_t i = 0; is_list(list) && i < list->count; i++)
        strip_key(prefix, &list->elements[i]);
}

static void strip_streams(roan_slice prefix, roan_value *reply)
{
    bool is_map = reply->type == ROAN_REPLY_MAP;

    if (!is_map && !is_list(reply))
        return;
    for (size_t i = 0; i < reply->count; i++) {
        roan_value *pair = &reply->elements[is_map ? 2 * i : i];
        if (is_map)
            strip_key(prefix, pair);
        else if (is_list(pair) && pair->count > 0)
            strip_key(prefix, &pair->elements[0]);
    }
}

void roan_prefix_strip(roan_slice prefix, const roan_command_traits *traits, roan_value *reply)
{
    const roan_command_row *row = traits->inside;

    if (prefix.bytes == 0 || reply == NULL)
        return;
    switch ((roan_command_strip)row->strip) {
    case ROAN_STRIP_NONE:
        break;
    case ROAN_STRIP_ALL:
        strip_elements(prefix, reply);
        break;
    case ROAN_STRIP_ONE:
        strip_key(prefix, reply);
        break;
    case ROAN_STRIP_FIRST:
        if (is_list(reply) && reply->count > 0)
            strip_key(prefix, &reply->elements[0]);
        break;
    case ROAN_STRIP_SCAN:
        if (is_list(reply) && reply->count == 2)
            strip_elements(prefix, &reply->elements[1]);
        break;
    case ROAN_STRIP_STREAMS:
        strip_streams(prefix, reply);
        break;
    }
}
