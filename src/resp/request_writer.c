/* resp/request_writer.c: requests as arrays of bulk strings, appended to a growing buffer.
 *
 *   *2 CRLF $4 CRLF ECHO CRLF $2 CRLF hi CRLF
 *
 * The exact size is computed first and reserved once, so a request is appended whole or not at all.
 * The buffer at least doubles, so appending n requests costs time linear in their bytes.
 */
#include "roan/resp.h"

#include "base/macros.h"

#include <stdlib.h>

#define BUFFER_BYTES_MIN 256
#define SIZE_DIGITS_MAX 20

static size_t count_digits(size_t value)
{
    size_t digits = 1;

    while (value >= 10) {
        value /= 10;
        digits++;
    }
    return digits;
}

/* Writes marker, decimal value and CRLF; returns the end. */
static char *write_header(char *at, char marker, size_t value)
{
    size_t digits = count_digits(value);

    ROAN_ASSERT(digits <= SIZE_DIGITS_MAX);
    *at++ = marker;
    for (size_t i = digits; i > 0; i--) {
        at[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    at += digits;
    *at++ = '\r';
    *at++ = '\n';
    return at;
}

/* The bytes a request takes on the wire; false when they do not fit a size_t. */
static bool request_size(size_t argc, const roan_slice *argv, size_t *ret_bytes)
{
    size_t total = 1 + count_digits(argc) + 2;

    for (size_t i = 0; i < argc; i++) {
        size_t framing = 1 + count_digits(argv[i].bytes) + 2 + 2;
        if (__builtin_add_overflow(total, framing, &total) ||
            __builtin_add_overflow(total, argv[i].bytes, &total))
            return false;
    }
    *ret_bytes = total;
    return true;
}

static roan_status reserve(roan_request_buffer *buffer, size_t bytes)
{
    size_t wanted;
    size_t capacity;
    char *data;

    ROAN_ASSERT(buffer->bytes <= buffer->capacity);
    if (bytes <= buffer->capacity - buffer->bytes)
        return ROAN_OK;
    if (__builtin_add_overflow(buffer->bytes, bytes, &wanted) || wanted > SIZE_MAX / 2)
        return ROAN_E_NOMEM;
    capacity = ROAN_MAX(wanted, ROAN_MAX(buffer->capacity * 2, (size_t)BUFFER_BYTES_MIN));
    data = realloc(buffer->data, capacity);
    if (data == NULL)
        return ROAN_E_NOMEM;
    buffer->data = data;
    buffer->capacity = capacity;
    return ROAN_OK;
}

roan_status roan_request_append(roan_request_buffer *buffer, size_t argc, const roan_slice *argv)
{
    size_t bytes;
    char *at;

    ROAN_ASSERT(buffer != NULL);
    if (!request_size(argc, argv, &bytes) || reserve(buffer, bytes) != ROAN_OK)
        return ROAN_E_NOMEM;
    at = write_header(buffer->data + buffer->bytes, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        at = write_header(at, '$', argv[i].bytes);
        if (argv[i].bytes > 0)
            memcpy(at, argv[i].data, argv[i].bytes);
        at += argv[i].bytes;
        *at++ = '\r';
        *at++ = '\n';
    }
    ROAN_ASSERT(at == buffer->data + buffer->bytes + bytes);
    buffer->bytes += bytes;
    return ROAN_OK;
}

void roan_request_buffer_done(roan_request_buffer *buffer)
{
    ROAN_ASSERT(buffer != NULL);
    free(buffer->data);
    *buffer = (roan_request_buffer){0};
}
