/* base/buffer.h: a growing run of bytes. Zero-initialise it; roan_buffer_done() frees it. */
#pragma once

#include "base/alloc.h"
#include "roan/base.h"

#include <string.h>

typedef struct roan_buffer {
    char *data;
    size_t bytes;
    size_t capacity;
} roan_buffer;

/* Makes room for `more` bytes behind the content; the room may be larger. */
void roan_buffer_reserve(roan_buffer *buffer, size_t more);

void roan_buffer_done(roan_buffer *buffer);

/* Appends printf-formatted text (without its NUL). */
void roan_buffer_printf(roan_buffer *buffer, const char *format, ...) ROAN_PRINTF(2, 3);

static inline void roan_buffer_append(roan_buffer *buffer, const char *data, size_t bytes)
{
    if (bytes > buffer->capacity - buffer->bytes)
        roan_buffer_reserve(buffer, bytes);
    if (bytes > 0)
        memcpy(buffer->data + buffer->bytes, data, bytes);
    buffer->bytes += bytes;
}

static inline void roan_buffer_append_text(roan_buffer *buffer, const char *text)
{
    roan_buffer_append(buffer, text, strlen(text));
}

static inline void roan_buffer_append_slice(roan_buffer *buffer, roan_slice slice)
{
    roan_buffer_append(buffer, slice.data, slice.bytes);
}

static inline void roan_buffer_append_char(roan_buffer *buffer, char c)
{
    roan_buffer_append(buffer, &c, 1);
}

static inline roan_slice roan_buffer_slice(const roan_buffer *buffer)
{
    return roan_slice_make(buffer->data, buffer->bytes);
}

/* Appends `text` quoted as redis-cli and the logs show binary strings: "a\"b\n\x00". */
void roan_buffer_append_quoted(roan_buffer *buffer, roan_slice text);
