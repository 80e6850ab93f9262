/* resp/reply_scan.c: one pass over the bytes of a reply, resumable at any byte.
 *
 *              header line              last element of all open aggregates
 *   VALUE ------------------> VALUE ... ------------------------------------> whole
 *     |   '$' '=' '!' length                  ^
 *     +----------------------> BULK ----------+   length bytes and CRLF are there
 *
 * The state is the offset of the value being read, the pending bulk if there is one, and how many
 * values each open aggregate still waits for. A bulk is skipped without looking inside; a text line
 * remembers how far it was searched; number lines are short and bounded, so reading one again costs
 * a constant. What a length promises is never allocated: memory follows the bytes that really came.
 *
 * Invariant: every `left` of an open aggregate is at least 1. Checked where a value ends.
 */
#include "resp/reply_scan.h"

#include "base/macros.h"

#include <ctype.h>
#include <strings.h>

/* "-9223372036854775808" and a spare byte that shows a number is too long. */
#define INTEGER_LINE_BYTES_MAX 21

typedef enum line_result { LINE_OK, LINE_MORE, LINE_BROKEN, LINE_NO_MEMORY } line_result;

void roan_reply_scan_begin(roan_reply_scan *scan)
{
    scan->offset = 0;
    scan->line_searched = 0;
    scan->bulk_bytes = 0;
    scan->values = 1;
    scan->depth = 0;
    scan->in_bulk = false;
    scan->bulk_type = 0;
    scan->root_type = 0;
}

static line_result broken(roan_error *reterr, const char *what, char type, const char *rest,
                          size_t rest_bytes)
{
    char shown[40];
    size_t count = ROAN_MIN(rest_bytes, sizeof shown - 1);
    size_t used = 0;

    while (used < count && rest[used] != '\r') {
        shown[used] = isprint((unsigned char)rest[used]) ? rest[used] : '?';
        used++;
    }
    shown[used] = '\0';
    roan_error_set(reterr, ROAN_E_PROTOCOL, "%s: '%c%s'", what, type, shown);
    return LINE_BROKEN;
}

/* Reads "[+-]digits CRLF" at text[0..bytes); *ret_bytes is its length with CRLF. */
static line_result read_integer(const char *text, size_t bytes, int64_t *ret_value,
                                size_t *ret_bytes)
{
    size_t i = 0;
    bool is_negative = false;
    uint64_t value = 0;
    uint64_t limit;
    size_t digits_start;

    if (i < bytes && (text[i] == '-' || text[i] == '+'))
        is_negative = text[i++] == '-';
    digits_start = i;
    limit = (uint64_t)INT64_MAX + is_negative;
    for (; i < bytes && text[i] >= '0' && text[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (limit - digit) / 10)
            return LINE_BROKEN;
        value = value * 10 + digit;
        if (i > INTEGER_LINE_BYTES_MAX)
            return LINE_BROKEN;
    }
    if (i == bytes)
        return LINE_MORE;
    if (text[i] != '\r' || i == digits_start)
        return LINE_BROKEN;
    if (i + 1 == bytes)
        return LINE_MORE;
    if (text[i + 1] != '\n')
        return LINE_BROKEN;
    *ret_value = is_negative ? (int64_t)(0 - value) : (int64_t)value;
    *ret_bytes = i + 2;
    return LINE_OK;
}

/* Finds CRLF after the type byte; *ret_bytes is the length of the text before it. */
static line_result find_line_end(roan_reply_scan *scan, const char *text, size_t bytes,
                                 size_t *ret_bytes)
{
    size_t from = scan->line_searched;

    while (from < bytes) {
        const char *cr = memchr(text + from, '\r', bytes - from);
        if (cr == NULL) {
            from = bytes;
            break;
        }
        from = (size_t)(cr - text);
        if (from + 1 == bytes)
            break; /* look at this CR again with its neighbour */
        if (cr[1] == '\n') {
            scan->line_searched = 0;
            *ret_bytes = from;
            return LINE_OK;
        }
        from++;
    }
    scan->line_searched = from;
    return LINE_MORE;
}

/* [+-] digits [. digits] [e [+-] digits], or inf, or nan, in any case. */
static bool is_double(const char *text, size_t bytes)
{
    size_t i = 0;
    size_t digits = 0;

    if (i < bytes && (text[i] == '-' || text[i] == '+'))
        i++;
    if (bytes - i == 3 && (strncasecmp(text + i, "inf", 3) == 0 ||
                           strncasecmp(text + i, "nan", 3) == 0))
        return true;
    for (; i < bytes && isdigit((unsigned char)text[i]); i++)
        digits++;
    if (i < bytes && text[i] == '.')
        for (i++; i < bytes && isdigit((unsigned char)text[i]); i++)
            digits++;
    if (digits == 0)
        return false;
    if (i < bytes && (text[i] == 'e' || text[i] == 'E')) {
        i++;
        if (i < bytes && (text[i] == '-' || text[i] == '+'))
            i++;
        if (i == bytes)
            return false;
        while (i < bytes && isdigit((unsigned char)text[i]))
            i++;
    }
    return i == bytes;
}

static bool is_big_number(const char *text, size_t bytes)
{
    size_t i = bytes > 0 && (text[0] == '-' || text[0] == '+');

    if (i == bytes)
        return false;
    while (i < bytes && isdigit((unsigned char)text[i]))
        i++;
    return i == bytes;
}

/* The place of the aggregate at this depth, counted from 0, while another one is open inside of it. */
static roan_open_aggregate *outer_at(roan_reply_scan *scan, uint32_t depth)
{
    return depth < ROAN_REPLY_DEPTH_USUAL ? &scan->outer[depth] : &scan->more[depth - ROAN_REPLY_DEPTH_USUAL];
}

/* A value without elements came to its end. True when it was the whole reply. */
static bool end_value(roan_reply_scan *scan)
{
    while (scan->depth > 0) {
        bool is_attribute = scan->inner.is_attribute;
        ROAN_ASSERT(scan->inner.left > 0);
        if (--scan->inner.left > 0)
            return false;
        if (--scan->depth > 0)
            scan->inner = *outer_at(scan, scan->depth - 1);
        if (is_attribute)
            return false;
    }
    return true;
}

/* "+text", "-text", "(digits", ",double", ":integer", "#t", "_": all on one line. */
static line_result scan_line_value(roan_reply_scan *scan, char type, const char *text, size_t bytes,
                                   size_t *ret_bytes, roan_error *reterr)
{
    line_result result;
    size_t length;

    if (type == ':') {
        int64_t ignored;
        result = read_integer(text, bytes, &ignored, ret_bytes);
        return result == LINE_BROKEN ? broken(reterr, "bad integer", type, text, bytes) : result;
    }
    result = find_line_end(scan, text, bytes, &length);
    if (type == ',' && (result == LINE_MORE ? bytes : length) > ROAN_REPLY_DOUBLE_BYTES_MAX)
        return broken(reterr, "double too long", type, text, bytes);
    if (result != LINE_OK)
        return result;
    if (type == ',' && !is_double(text, length))
        return broken(reterr, "bad double", type, text, length);
    if (type == '(' && !is_big_number(text, length))
        return broken(reterr, "bad big number", type, text, length);
    if (type == '#' && (length != 1 || (text[0] != 't' && text[0] != 'f')))
        return broken(reterr, "bad boolean", type, text, length);
    if (type == '_' && length != 0)
        return broken(reterr, "bad null", type, text, length);
    *ret_bytes = length + 2;
    return LINE_OK;
}

/* Reads the length or count after a type byte and checks its range. */
static line_result scan_count(char type, const char *text, size_t bytes, int64_t limit,
                              int64_t *ret_count, size_t *ret_bytes, roan_error *reterr)
{
    line_result result;

    if (bytes > 0 && text[0] == '?')
        return broken(reterr, "streamed replies are not supported", type, text, bytes);
    result = read_integer(text, bytes, ret_count, ret_bytes);
    if (result == LINE_BROKEN)
        return broken(reterr, "bad length", type, text, bytes);
    if (result == LINE_MORE)
        return result;
    if (*ret_count == -1 && (type == '$' || type == '*'))
        return LINE_OK; /* the null of RESP2 */
    if (*ret_count < 0)
        return broken(reterr, "negative length", type, text, bytes);
    if (*ret_count > limit || (uint64_t)*ret_count > SIZE_MAX / 4)
        return broken(reterr, "length above the limit", type, text, bytes);
    if (type == '=' && *ret_count < 4)
        return broken(reterr, "verbatim string without a format", type, text, bytes);
    return LINE_OK;
}

static line_result open_aggregate(roan_reply_scan *scan, char type, uint64_t count,
                                  roan_error *reterr)
{
    uint64_t values = type == '%' || type == '|' ? count * 2 : count;

    if (values == 0) {
        scan->values += type == '|';
        return LINE_OK;
    }
    if (scan->depth == ROAN_REPLY_DEPTH_MAX) {
        roan_error_set(reterr, ROAN_E_PROTOCOL, "reply nested deeper than %d levels",
                       ROAN_REPLY_DEPTH_MAX);
        return LINE_BROKEN;
    }
    if (scan->depth > ROAN_REPLY_DEPTH_USUAL && scan->more == NULL) {
        scan->more = malloc((ROAN_REPLY_DEPTH_MAX - ROAN_REPLY_DEPTH_USUAL) * sizeof *scan->more);
        if (scan->more == NULL)
            return LINE_NO_MEMORY;
    }
    if (scan->depth > 0)
        *outer_at(scan, scan->depth - 1) = scan->inner;
    scan->inner = (roan_open_aggregate){values, type == '|'};
    scan->values += values + (type == '|');
    scan->depth++;
    return LINE_OK;
}

/* The bulk that starts at `offset` came whole: check its end. */
static line_result finish_bulk(roan_reply_scan *scan, const char *data, size_t bytes,
                               roan_error *reterr)
{
    const char *bulk = data + scan->offset;

    ROAN_ASSERT(scan->in_bulk);
    if (bytes - scan->offset < 2 || bytes - scan->offset - 2 < scan->bulk_bytes)
        return LINE_MORE;
    if (bulk[scan->bulk_bytes] != '\r' || bulk[scan->bulk_bytes + 1] != '\n') {
        roan_error_set(reterr, ROAN_E_PROTOCOL, "no CRLF after a bulk of %zu bytes",
                       scan->bulk_bytes);
        return LINE_BROKEN;
    }
    if (scan->bulk_type == '=' && bulk[3] != ':') {
        roan_error_set(reterr, ROAN_E_PROTOCOL, "verbatim string without ':' after its format");
        return LINE_BROKEN;
    }
    scan->offset += scan->bulk_bytes + 2;
    scan->in_bulk = false;
    return LINE_OK;
}

/* Reads what begins at `offset`. *ret_ended tells whether that is a value which ended with its
 * line. */
static line_result scan_header(roan_reply_scan *scan, const char *data, size_t bytes,
                               bool *ret_ended, roan_error *reterr)
{
    char type = data[scan->offset];
    const char *text = data + scan->offset + 1;
    size_t text_bytes = bytes - scan->offset - 1;
    size_t line_bytes = 0;
    int64_t count = 0;
    line_result result;

    *ret_ended = true;
    if (scan->depth == 0 && type != '|')
        scan->root_type = type;
    switch (type) {
    case '+': case '-': case '(': case ',': case ':': case '#': case '_':
        result = scan_line_value(scan, type, text, text_bytes, &line_bytes, reterr);
        break;
    case '$': case '=': case '!':
        result = scan_count(type, text, text_bytes, ROAN_REPLY_BULK_BYTES_MAX, &count, &line_bytes,
                            reterr);
        if (result == LINE_OK && count >= 0) {
            scan->in_bulk = true;
            scan->bulk_type = type;
            scan->bulk_bytes = (size_t)count;
            *ret_ended = false;
        }
        break;
    case '*': case '%': case '~': case '>': case '|':
        result = scan_count(type, text, text_bytes, ROAN_REPLY_COUNT_MAX, &count, &line_bytes,
                            reterr);
        if (result == LINE_OK && count >= 0) {
            *ret_ended = count == 0 && type != '|';
            result = open_aggregate(scan, type, (uint64_t)count, reterr);
        }
        break;
    case ';': case '.':
        return broken(reterr, "streamed replies are not supported", type, text, text_bytes);
    default:
        roan_error_set(reterr, ROAN_E_PROTOCOL, "no reply begins with byte 0x%02x ('%c')",
                       (unsigned char)type, isprint((unsigned char)type) ? type : '?');
        return LINE_BROKEN;
    }
    if (result == LINE_OK)
        scan->offset += 1 + line_bytes;
    return result;
}

roan_scan_result roan_reply_scan_run(roan_reply_scan *scan, const char *data, size_t bytes,
                                     roan_error *reterr)
{
    ROAN_ASSERT(scan->offset <= bytes);
    while (scan->offset < bytes) {
        bool is_ended = true;
        line_result result = scan->in_bulk ? finish_bulk(scan, data, bytes, reterr)
                                           : scan_header(scan, data, bytes, &is_ended, reterr);
        if (result == LINE_BROKEN)
            return ROAN_SCAN_BROKEN;
        if (result == LINE_MORE)
            return ROAN_SCAN_MORE;
        if (result == LINE_NO_MEMORY)
            return ROAN_SCAN_NO_MEMORY;
        if (is_ended && end_value(scan))
            return ROAN_SCAN_WHOLE;
    }
    return ROAN_SCAN_MORE;
}
