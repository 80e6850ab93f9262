/* resp/request.c: reading requests; see request.h. The fast path is one pass over the bytes with no state; the slow
 * path is a small machine: header, then per word its length and its bytes. */
#include "resp/request.h"

#include "base/macros.h"
#include "base/number.h"

#include <ctype.h>
#include <stdio.h>

#define HEADER_LINE_MAX ROAN_INLINE_REQUEST_MAX
#define ROOM_KEPT_MAX 64

#define NOT_A_NUMBER (-1)
#define BAD_LINE_END (-2)

static const char bad_line_end[] = "Protocol error: invalid CRLF in request";

/* A number up to CR LF at *at. 1: read, *at behind the line feed; 0: incomplete; NOT_A_NUMBER; BAD_LINE_END. */
static ROAN_ALWAYS_INLINE int read_number(const char *data, size_t bytes, size_t *at, int64_t *ret_value)
{
    size_t i = *at;
    uint64_t value = 0;
    while (i < bytes && i - *at < 10 && (unsigned char)(data[i] - '0') <= 9)
        value = value * 10 + (unsigned char)(data[i++] - '0');
    if (ROAN_LIKELY(i + 1 < bytes && data[i] == '\r' && data[i + 1] == '\n' && i > *at &&
                    (data[*at] != '0' || i - *at == 1))) {
        *ret_value = (int64_t)value;
        *at = i + 2;
        return 1;
    }
    const char *end = memchr(data + *at, '\r', bytes - *at);
    if (end == NULL || (size_t)(end - data) + 1 >= bytes)
        return 0;
    if (end[1] != '\n')
        return BAD_LINE_END;
    if (!roan_parse_i64(roan_slice_make(data + *at, (size_t)(end - data) - *at), ret_value))
        return NOT_A_NUMBER;
    *at = (size_t)(end - data) + 2;
    return 1;
}

static ROAN_COLD roan_parse_result refuse(const char *error, roan_slice *ret_error)
{
    *ret_error = roan_slice_from_text(error);
    return ROAN_PARSE_ERROR;
}

static ROAN_ALWAYS_INLINE bool is_line_end(const char *at)
{
    return at[0] == '\r' && at[1] == '\n';
}

static const char *check_word_count(int64_t words, const roan_parse_limits *limits)
{
    if (words > INT32_MAX)
        return "Protocol error: invalid multibulk length";
    if (words > ROAN_UNAUTHENTICATED_WORDS_MAX && !limits->is_authenticated)
        return "Protocol error: unauthenticated multibulk length";
    return NULL;
}

static const char *check_bulk_bytes(int64_t bulk_bytes, const roan_parse_limits *limits)
{
    if (bulk_bytes < 0 || (uint64_t)bulk_bytes > limits->bulk_bytes_max)
        return "Protocol error: invalid bulk length";
    if (bulk_bytes > ROAN_UNAUTHENTICATED_BULK_MAX && !limits->is_authenticated)
        return "Protocol error: unauthenticated bulk length";
    return NULL;
}

static inline bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r' && c != '\v' && c != '\f');
}

/* An inline request without quotes, the whole line in memory. */
static roan_parse_result parse_inline(const char *data, size_t bytes, roan_slice *argv, size_t argv_room,
                                      size_t *ret_argc, size_t *ret_bytes)
{
    const char *end = memchr(data, '\n', bytes);
    if (end == NULL)
        return ROAN_PARSE_SLOW;
    size_t line_bytes = (size_t)(end - data);
    if (memchr(data, '"', line_bytes) != NULL || memchr(data, '\'', line_bytes) != NULL ||
        memchr(data, 0, line_bytes) != NULL)
        return ROAN_PARSE_SLOW;
    size_t argc = 0;
    for (size_t at = 0; at < line_bytes;) {
        while (at < line_bytes && is_space(data[at]))
            at++;
        size_t start = at;
        while (at < line_bytes && !is_space(data[at]))
            at++;
        if (at == start)
            break;
        if (argc == argv_room)
            return ROAN_PARSE_SLOW;
        argv[argc++] = roan_slice_make(data + start, at - start);
    }
    *ret_argc = argc;
    *ret_bytes = line_bytes + 1;
    return ROAN_PARSE_DONE;
}

roan_parse_result roan_request_parse(const char *data, size_t bytes, const roan_parse_limits *limits, roan_slice *argv,
                                     size_t argv_room, size_t *ret_argc, size_t *ret_bytes, roan_slice *ret_error)
{
    if (ROAN_UNLIKELY(bytes == 0))
        return ROAN_PARSE_MORE;
    if (ROAN_UNLIKELY(data[0] != '*'))
        return parse_inline(data, bytes, argv, argv_room, ret_argc, ret_bytes);
    size_t at = 1;
    int64_t words;
    int got = read_number(data, bytes, &at, &words);
    if (ROAN_UNLIKELY(got <= 0))
        return ROAN_PARSE_SLOW;
    if (ROAN_UNLIKELY(words <= 0)) {
        *ret_argc = 0;
        *ret_bytes = at;
        return ROAN_PARSE_DONE;
    }
    const char *error = check_word_count(words, limits);
    if (ROAN_UNLIKELY(error != NULL))
        return refuse(error, ret_error);
    if (ROAN_UNLIKELY((size_t)words > argv_room))
        return ROAN_PARSE_SLOW;
    for (int64_t i = 0; i < words; i++) {
        int64_t bulk_bytes;
        if (ROAN_UNLIKELY(at >= bytes || data[at] != '$'))
            return ROAN_PARSE_SLOW;
        at++;
        if (ROAN_UNLIKELY(read_number(data, bytes, &at, &bulk_bytes) <= 0))
            return ROAN_PARSE_SLOW;
        error = check_bulk_bytes(bulk_bytes, limits);
        if (ROAN_UNLIKELY(error != NULL))
            return refuse(error, ret_error);
        if (ROAN_UNLIKELY(bytes - at < (size_t)bulk_bytes + 2))
            return ROAN_PARSE_SLOW;
        argv[i] = roan_slice_make(data + at, (size_t)bulk_bytes);
        at += (size_t)bulk_bytes + 2;
        if (ROAN_UNLIKELY(!is_line_end(data + at - 2)))
            return refuse(bad_line_end, ret_error);
    }
    *ret_argc = (size_t)words;
    *ret_bytes = at;
    return ROAN_PARSE_DONE;
}

/* ---- slow path ---- */

static void add_word(roan_slice **argv, size_t *argc, size_t *room, size_t offset, size_t bytes)
{
    if (*argc == *room) {
        size_t grown = *room == 0 ? 16 : *room * 2;
        *argv = roan_realloc(*argv, *room * sizeof **argv, grown * sizeof **argv);
        *room = grown;
    }
    (*argv)[(*argc)++] = roan_slice_make((const char *)(uintptr_t)offset, bytes); /* NOLINT: an offset until DONE */
}

static int hex_digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* The character an escape in double quotes stands for; *at is behind the backslash and moves on. */
static char read_escape(roan_slice line, size_t *at)
{
    char c = line.data[(*at)++];
    if (c == 'x' && *at + 1 < line.bytes && hex_digit(line.data[*at]) >= 0 && hex_digit(line.data[*at + 1]) >= 0) {
        int value = hex_digit(line.data[*at]) * 16 + hex_digit(line.data[*at + 1]);
        *at += 2;
        return (char)value;
    }
    switch (c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return c;
    }
}

/* A quoted part; *at is behind the opening quote and ends behind the closing one. A backslash before the last
 * character of the line is just one, so that the quote behind it closes. */
static bool read_quoted(roan_slice line, size_t *at, char quote, roan_buffer *text)
{
    while (*at < line.bytes && line.data[*at] != quote) {
        char c = line.data[(*at)++];
        if (c == '\\' && quote == '"' && *at + 1 < line.bytes)
            c = read_escape(line, at);
        else if (c == '\\' && quote == '\'' && *at + 1 < line.bytes && line.data[*at] == '\'')
            c = line.data[(*at)++];
        roan_buffer_append_char(text, c);
    }
    if (*at == line.bytes)
        return false;
    ++*at;
    return true;
}

bool roan_split_words(roan_slice line, roan_buffer *text, roan_slice **argv, size_t *argc, size_t *room)
{
    size_t at = 0;
    for (;;) {
        while (at < line.bytes && is_space(line.data[at]))
            at++;
        if (at == line.bytes || line.data[at] == '\0')
            return true;
        size_t start = text->bytes;
        while (at < line.bytes && !is_space(line.data[at]) && line.data[at] != '\0') {
            char c = line.data[at++];
            if (c != '"' && c != '\'')
                roan_buffer_append_char(text, c);
            else if (!read_quoted(line, &at, c, text))
                return false;
        }
        add_word(argv, argc, room, start, text->bytes - start);
    }
}

static void offsets_to_pointers(roan_slice *argv, size_t argc, const char *base)
{
    for (size_t i = 0; i < argc; i++)
        argv[i].data = base + (uintptr_t)argv[i].data;
}

static roan_parse_result read_inline(roan_request_reader *reader, const char *data, size_t bytes, roan_slice *ret_error)
{
    const char *end = memchr(data + reader->at, '\n', bytes - reader->at);
    if (end == NULL) {
        if (bytes > ROAN_INLINE_REQUEST_MAX) {
            *ret_error = ROAN_LITERAL("Protocol error: too big inline request");
            return ROAN_PARSE_ERROR;
        }
        reader->at = bytes;
        return ROAN_PARSE_MORE;
    }
    reader->at = (size_t)(end - data) + 1;
    roan_slice line = {data, (size_t)(end - data)};
    line.bytes -= line.bytes > 0 && line.data[line.bytes - 1] == '\r';
    if (!roan_split_words(line, &reader->text, &reader->argv, &reader->argc, &reader->room)) {
        *ret_error = ROAN_LITERAL("Protocol error: unbalanced quotes in request");
        return ROAN_PARSE_ERROR;
    }
    offsets_to_pointers(reader->argv, reader->argc, reader->text.data);
    return ROAN_PARSE_DONE;
}

/* A header line ('*' or '$' was checked): its number, MORE, or an error. */
static roan_parse_result read_header(roan_request_reader *reader, const char *data, size_t bytes, int64_t *ret_value,
                                     const char *too_long, const char *not_a_number, roan_slice *ret_error)
{
    size_t at = reader->at + 1;
    int got = at < bytes ? read_number(data, bytes, &at, ret_value) : 0;
    if (got == 0 && bytes - reader->at > HEADER_LINE_MAX)
        return refuse(too_long, ret_error);
    if (got == 0)
        return ROAN_PARSE_MORE;
    if (got < 0)
        return refuse(got == BAD_LINE_END ? bad_line_end : not_a_number, ret_error);
    reader->at = at;
    return ROAN_PARSE_DONE;
}

static roan_parse_result read_word(roan_request_reader *reader, const char *data, size_t bytes,
                                   const roan_parse_limits *limits, size_t *ret_missing, roan_slice *ret_error)
{
    if (reader->bulk_bytes == 0) {
        if (reader->at >= bytes)
            return ROAN_PARSE_MORE;
        if (data[reader->at] != '$') {
            int length = snprintf(reader->error, sizeof reader->error, "Protocol error: expected '$', got '%c'",
                                  data[reader->at]);
            *ret_error = roan_slice_make(reader->error, (size_t)length); /* the character may be a NUL */
            return ROAN_PARSE_ERROR;
        }
        int64_t bulk_bytes = 0;
        roan_parse_result result =
            read_header(reader, data, bytes, &bulk_bytes, "Protocol error: too big bulk count string",
                        "Protocol error: invalid bulk length", ret_error);
        if (result != ROAN_PARSE_DONE)
            return result;
        const char *error = check_bulk_bytes(bulk_bytes, limits);
        if (error != NULL)
            return refuse(error, ret_error);
        reader->bulk_bytes = bulk_bytes + 1;
    }
    size_t wanted = (size_t)reader->bulk_bytes - 1;
    if (bytes - reader->at < wanted + 2) {
        *ret_missing = wanted + 2 - (bytes - reader->at);
        return ROAN_PARSE_MORE;
    }
    if (!is_line_end(data + reader->at + wanted))
        return refuse(bad_line_end, ret_error);
    add_word(&reader->argv, &reader->argc, &reader->room, reader->at, wanted);
    reader->at += wanted + 2;
    reader->bulk_bytes = 0;
    return ROAN_PARSE_DONE;
}

roan_parse_result roan_request_reader_read(roan_request_reader *reader, const char *data, size_t bytes,
                                           const roan_parse_limits *limits, size_t *ret_missing, roan_slice *ret_error)
{
    *ret_missing = 1;
    if (bytes == 0)
        return ROAN_PARSE_MORE;
    if (data[0] != '*')
        return read_inline(reader, data, bytes, ret_error);
    if (reader->words == 0) {
        roan_parse_result result =
            read_header(reader, data, bytes, &reader->words, "Protocol error: too big mbulk count string",
                        "Protocol error: invalid multibulk length", ret_error);
        if (result != ROAN_PARSE_DONE || reader->words <= 0)
            return result;
        const char *error = check_word_count(reader->words, limits);
        if (error != NULL)
            return refuse(error, ret_error);
    }
    while (reader->argc < (size_t)reader->words) {
        roan_parse_result result = read_word(reader, data, bytes, limits, ret_missing, ret_error);
        if (result != ROAN_PARSE_DONE)
            return result;
    }
    offsets_to_pointers(reader->argv, reader->argc, data);
    return ROAN_PARSE_DONE;
}

void roan_request_reader_clear(roan_request_reader *reader)
{
    if (reader->room > ROOM_KEPT_MAX || reader->text.capacity > 0) {
        roan_request_reader_done(reader);
        return;
    }
    reader->at = reader->argc = 0;
    reader->words = reader->bulk_bytes = 0;
}

void roan_request_reader_done(roan_request_reader *reader)
{
    roan_free(reader->argv, reader->room * sizeof *reader->argv);
    roan_buffer_done(&reader->text);
    *reader = (roan_request_reader){0};
}
