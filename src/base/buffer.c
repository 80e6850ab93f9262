/* base/buffer.c: growth of a roan_buffer: doubling up to a megabyte, then by a quarter, so appends are amortised. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#define DOUBLING_BYTES_MAX ((size_t)1 << 20)
#define CAPACITY_BYTES_MIN ((size_t)64)

void roan_buffer_reserve(roan_buffer *buffer, size_t more)
{
    ROAN_ASSERT(more <= SIZE_MAX / 2 - buffer->bytes);
    size_t wanted = buffer->bytes + more;
    if (wanted <= buffer->capacity)
        return;
    size_t grown =
        buffer->capacity < DOUBLING_BYTES_MAX ? buffer->capacity * 2 : buffer->capacity + buffer->capacity / 4;
    size_t capacity = ROAN_MAX(ROAN_MAX(wanted, grown), CAPACITY_BYTES_MIN);
    capacity = roan_alloc_good_size(capacity);
    buffer->data = roan_realloc(buffer->data, buffer->capacity, capacity);
    buffer->capacity = capacity;
}

void roan_buffer_done(roan_buffer *buffer)
{
    roan_free(buffer->data, buffer->capacity);
    *buffer = (roan_buffer){0};
}

void roan_buffer_printf(roan_buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    size_t room = buffer->capacity - buffer->bytes;
    int length = vsnprintf(room > 0 ? buffer->data + buffer->bytes : NULL, room, format, arguments);
    va_end(arguments);
    ROAN_ASSERT(length >= 0);
    if ((size_t)length >= room) {
        roan_buffer_reserve(buffer, (size_t)length + 1);
        ROAN_IGNORE(vsnprintf(buffer->data + buffer->bytes, (size_t)length + 1, format, again)); /* fits */
    }
    va_end(again);
    buffer->bytes += (size_t)length;
}

void roan_buffer_append_quoted(roan_buffer *buffer, roan_slice text)
{
    roan_buffer_append_char(buffer, '"');
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned char c = (unsigned char)text.data[i];
        switch (c) {
        case '\\':
        case '"':
            roan_buffer_printf(buffer, "\\%c", c);
            break;
        case '\n':
            roan_buffer_append_text(buffer, "\\n");
            break;
        case '\r':
            roan_buffer_append_text(buffer, "\\r");
            break;
        case '\t':
            roan_buffer_append_text(buffer, "\\t");
            break;
        case '\a':
            roan_buffer_append_text(buffer, "\\a");
            break;
        case '\b':
            roan_buffer_append_text(buffer, "\\b");
            break;
        default:
            if (c >= 0x20 && c < 0x7f)
                roan_buffer_append_char(buffer, (char)c);
            else
                roan_buffer_printf(buffer, "\\x%02x", c);
        }
    }
    roan_buffer_append_char(buffer, '"');
}
