/* resp/out.c: the reply builder's chunks and its less frequent replies; see out.h. */
#include "resp/out.h"

#include "base/macros.h"

#include <stdarg.h>
#include <stdio.h>

#define BIG_CHUNK_BYTES_MAX ((size_t)1 << 30)

void roan_out_init(roan_out *out, roan_out_pool *pool, int protocol)
{
    *out = (roan_out){.pool = pool, .protocol = (uint8_t)protocol};
}

void roan_out_done(roan_out *out)
{
    roan_out_chunk *chunk = roan_out_take(out);
    while (chunk != NULL) {
        roan_out_chunk *next = chunk->next;
        roan_out_chunk_free(out->pool, chunk);
        chunk = next;
    }
}

static roan_out_chunk *chunk_create(roan_out_pool *pool, size_t capacity)
{
    size_t ordinary = ROAN_OUT_CHUNK_BYTES - sizeof(roan_out_chunk);
    roan_out_chunk *chunk;
    if (capacity <= ordinary && pool != NULL && pool->free_chunks != NULL) {
        chunk = pool->free_chunks;
        pool->free_chunks = chunk->next;
        pool->count--;
        pool->idle_count = ROAN_MIN(pool->idle_count, pool->count);
    } else {
        capacity = ROAN_MAX(capacity, ordinary);
        chunk = roan_alloc(sizeof *chunk + capacity);
        chunk->capacity = (uint32_t)capacity;
    }
    chunk->next = NULL;
    chunk->bytes = 0;
    return chunk;
}

void roan_out_chunk_free(roan_out_pool *pool, roan_out_chunk *chunk)
{
    size_t bytes = sizeof *chunk + chunk->capacity;
    if (pool != NULL && pool->count < pool->count_max && bytes == ROAN_OUT_CHUNK_BYTES) {
        chunk->next = pool->free_chunks;
        pool->free_chunks = chunk;
        pool->count++;
        return;
    }
    roan_free(chunk, bytes);
}

static void drop_chunks(roan_out_pool *pool, unsigned count)
{
    for (; count > 0; count--) {
        roan_out_chunk *chunk = pool->free_chunks;
        pool->free_chunks = chunk->next;
        pool->count--;
        roan_free(chunk, ROAN_OUT_CHUNK_BYTES);
    }
}

void roan_out_pool_trim(roan_out_pool *pool)
{
    drop_chunks(pool, pool->idle_count / 2);
    pool->idle_count = pool->count;
}

void roan_out_pool_done(roan_out_pool *pool)
{
    drop_chunks(pool, pool->count);
    pool->idle_count = 0;
}

static void seal_last(roan_out *out)
{
    if (out->last == NULL)
        return;
    out->last->bytes = (uint32_t)(out->at - out->last->data);
    out->sealed_bytes += out->last->bytes;
}

static void append_chunk(roan_out *out, size_t capacity)
{
    seal_last(out);
    roan_out_chunk *chunk = chunk_create(out->pool, capacity);
    if (out->last == NULL)
        out->first = chunk;
    else
        out->last->next = chunk;
    out->last = chunk;
    out->at = chunk->data;
    out->end = chunk->data + chunk->capacity;
}

void roan_out_grow(roan_out *out, size_t bytes)
{
    append_chunk(out, bytes);
}

roan_out_chunk *roan_out_take(roan_out *out)
{
    roan_out_chunk *first = out->first;
    if (first != NULL)
        out->last->bytes = (uint32_t)(out->at - out->last->data);
    out->first = out->last = NULL;
    out->at = out->end = NULL;
    out->sealed_bytes = 0;
    return first;
}

void roan_out_rollback(roan_out *out, size_t bytes)
{
    if (out->last == NULL)
        return;
    out->last->bytes = (uint32_t)(out->at - out->last->data);
    size_t before = 0;
    roan_out_chunk *chunk = out->first;
    while (chunk != out->last && before + chunk->bytes < bytes) {
        before += chunk->bytes;
        chunk = chunk->next;
    }
    roan_out_chunk *dropped = chunk->next;
    while (dropped != NULL) {
        roan_out_chunk *next = dropped->next;
        roan_out_chunk_free(out->pool, dropped);
        dropped = next;
    }
    ROAN_ASSERT(bytes - before <= chunk->bytes);
    chunk->next = NULL;
    out->last = chunk;
    out->at = chunk->data + (bytes - before);
    out->end = chunk->data + chunk->capacity;
    out->sealed_bytes = before;
}

void roan_out_copy(const roan_out *out, char *target)
{
    for (const roan_out_chunk *chunk = out->first; chunk != NULL; chunk = chunk->next) {
        size_t bytes = chunk == out->last ? (size_t)(out->at - chunk->data) : chunk->bytes;
        memcpy(target, chunk->data, bytes);
        target += bytes;
    }
}

void roan_out_raw(roan_out *out, const char *data, size_t bytes)
{
    while (bytes > 0) {
        if (out->at == out->end)
            append_chunk(out, ROAN_MIN(bytes, BIG_CHUNK_BYTES_MAX));
        size_t part = ROAN_MIN(bytes, (size_t)(out->end - out->at));
        memcpy(out->at, data, part);
        out->at += part;
        data += part;
        bytes -= part;
    }
}

void roan_out_bulk_slow(roan_out *out, roan_slice bytes)
{
    roan_out_header(out, '$', bytes.bytes);
    roan_out_raw(out, bytes.data, bytes.bytes);
    roan_out_raw(out, "\r\n", 2);
}

void roan_out_bulk_text(roan_out *out, const char *text)
{
    roan_out_bulk(out, roan_slice_from_text(text));
}

void roan_out_bulk_printf(roan_out *out, const char *format, ...)
{
    char text[512];
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    ROAN_ASSERT(length >= 0);
    if ((size_t)length < sizeof text) {
        roan_out_bulk(out, roan_slice_make(text, (size_t)length));
    } else {
        char *whole = roan_alloc((size_t)length + 1);
        ROAN_IGNORE(vsnprintf(whole, (size_t)length + 1, format, again)); /* fits */
        roan_out_bulk(out, roan_slice_make(whole, (size_t)length));
        roan_free(whole, (size_t)length + 1);
    }
    va_end(again);
}

void roan_out_status(roan_out *out, const char *text)
{
    roan_out_raw(out, "+", 1);
    roan_out_raw(out, text, strlen(text));
    roan_out_raw(out, "\r\n", 2);
}

void roan_out_error(roan_out *out, roan_slice text)
{
    roan_out_raw(out, "-", 1);
    for (size_t i = 0; i < text.bytes; i++) {
        char c = text.data[i];
        roan_out_raw(out, c == '\r' || c == '\n' ? " " : &c, 1);
    }
    roan_out_raw(out, "\r\n", 2);
}

void roan_out_null(roan_out *out)
{
    if (out->protocol == 3) {
        memcpy(roan_out_reserve(out, 3), "_\r\n", 3);
        out->at += 3;
    } else {
        memcpy(roan_out_reserve(out, 5), "$-1\r\n", 5);
        out->at += 5;
    }
}

void roan_out_null_array(roan_out *out)
{
    if (out->protocol == 3)
        roan_out_null(out);
    else
        roan_out_raw(out, "*-1\r\n", 5);
}

void roan_out_array(roan_out *out, size_t count)
{
    roan_out_header(out, '*', count);
}

void roan_out_map(roan_out *out, size_t pairs)
{
    if (out->protocol == 3)
        roan_out_header(out, '%', pairs);
    else
        roan_out_header(out, '*', pairs * 2);
}

void roan_out_set(roan_out *out, size_t count)
{
    roan_out_header(out, out->protocol == 3 ? '~' : '*', count);
}

void roan_out_push(roan_out *out, size_t count)
{
    roan_out_header(out, out->protocol == 3 ? '>' : '*', count);
}

void roan_out_double_text(roan_out *out, roan_slice text)
{
    if (out->protocol != 3) {
        roan_out_bulk(out, text);
        return;
    }
    roan_out_raw(out, ",", 1);
    roan_out_raw(out, text.data, text.bytes);
    roan_out_raw(out, "\r\n", 2);
}

void roan_out_double(roan_out *out, double value)
{
    char text[ROAN_DOUBLE_TEXT_MAX];
    roan_out_double_text(out, roan_slice_make(text, roan_format_double(text, value)));
}

void roan_out_bool(roan_out *out, bool value)
{
    if (out->protocol == 3)
        roan_out_raw(out, value ? "#t\r\n" : "#f\r\n", 4);
    else
        roan_out_integer(out, value);
}

void roan_out_big_number(roan_out *out, roan_slice digits)
{
    if (out->protocol != 3) {
        roan_out_bulk(out, digits);
        return;
    }
    roan_out_raw(out, "(", 1);
    roan_out_raw(out, digits.data, digits.bytes);
    roan_out_raw(out, "\r\n", 2);
}

void roan_out_verbatim(roan_out *out, const char *format, roan_slice text)
{
    if (out->protocol != 3) {
        roan_out_bulk(out, text);
        return;
    }
    roan_out_header(out, '=', text.bytes + 4);
    roan_out_raw(out, format, 3);
    roan_out_raw(out, ":", 1);
    roan_out_raw(out, text.data, text.bytes);
    roan_out_raw(out, "\r\n", 2);
}

/* The header's place is the free end of the chunk that is last now; what follows goes to a new chunk. */
roan_out_mark roan_out_open(roan_out *out)
{
    roan_out_reserve(out, ROAN_OUT_HEADER_MAX);
    roan_out_mark mark = {out->last};
    append_chunk(out, 0);
    return mark;
}

static void close_with(roan_out *out, roan_out_mark mark, char type, size_t count)
{
    roan_out_chunk *chunk = mark.chunk;
    ROAN_ASSERT(chunk != out->last && chunk->capacity - chunk->bytes >= ROAN_OUT_HEADER_MAX);
    char *at = chunk->data + chunk->bytes;
    size_t bytes = 1 + roan_format_u64(at + 1, count);
    at[0] = type;
    at[bytes++] = '\r';
    at[bytes++] = '\n';
    chunk->bytes += (uint32_t)bytes;
    out->sealed_bytes += bytes;
}

void roan_out_close_array(roan_out *out, roan_out_mark mark, size_t count)
{
    close_with(out, mark, '*', count);
}

void roan_out_close_map(roan_out *out, roan_out_mark mark, size_t pairs)
{
    if (out->protocol == 3)
        close_with(out, mark, '%', pairs);
    else
        close_with(out, mark, '*', pairs * 2);
}

void roan_out_close_set(roan_out *out, roan_out_mark mark, size_t count)
{
    close_with(out, mark, out->protocol == 3 ? '~' : '*', count);
}

void roan_out_close_bulk(roan_out *out, roan_out_mark mark, roan_slice text)
{
    roan_out_chunk *chunk = mark.chunk;
    ROAN_ASSERT(text.bytes <= 20);
    close_with(out, mark, '$', text.bytes);
    memcpy(chunk->data + chunk->bytes, text.data, text.bytes);
    memcpy(chunk->data + chunk->bytes + text.bytes, "\r\n", 2);
    chunk->bytes += (uint32_t)text.bytes + 2;
    out->sealed_bytes += text.bytes + 2;
}
