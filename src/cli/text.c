/* cli/text.c: text that grows, and allocation that does not return failure.
 *
 * A command line program cannot go on without memory, so running out ends it with a message and
 * status 1 in one place; callers have no error path for it. Growth at least doubles.
 */
#include "cli/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define TEXT_BYTES_MIN 64

void *roan_cli_realloc(void *memory, size_t bytes)
{
    void *result = realloc(memory, bytes == 0 ? 1 : bytes);

    if (result == NULL) {
        fputs("Out of memory\n", stderr);
        exit(1);
    }
    return result;
}

void *roan_cli_alloc(size_t bytes)
{
    return memset(roan_cli_realloc(NULL, bytes), 0, bytes);
}

char *roan_cli_copy_slice(roan_slice slice)
{
    char *copy = roan_cli_alloc(slice.bytes + 1);

    if (slice.bytes > 0)
        memcpy(copy, slice.data, slice.bytes);
    return copy;
}

char *roan_cli_copy(const char *string)
{
    return string == NULL ? NULL : roan_cli_copy_slice(roan_slice_from_text(string));
}

bool roan_cli_is_word(roan_slice slice, const char *word)
{
    return slice.bytes == strlen(word) &&
           (slice.bytes == 0 || strncasecmp(slice.data, word, slice.bytes) == 0);
}

/* Room for `bytes` more and a NUL. */
static void reserve(roan_cli_text *text, size_t bytes)
{
    size_t wanted = text->bytes + bytes + 1;
    size_t capacity = text->capacity < TEXT_BYTES_MIN ? TEXT_BYTES_MIN : text->capacity;

    if (wanted <= text->capacity)
        return;
    while (capacity < wanted)
        capacity *= 2;
    text->data = roan_cli_realloc(text->data, capacity);
    text->capacity = capacity;
}

void roan_cli_text_append(roan_cli_text *text, const char *data, size_t bytes)
{
    reserve(text, bytes);
    if (bytes > 0)
        memcpy(text->data + text->bytes, data, bytes);
    text->bytes += bytes;
}

void roan_cli_text_put(roan_cli_text *text, const char *string)
{
    roan_cli_text_append(text, string, strlen(string));
}

void roan_cli_text_put_slice(roan_cli_text *text, roan_slice slice)
{
    roan_cli_text_append(text, slice.data, slice.bytes);
}

void roan_cli_text_put_char(roan_cli_text *text, char c)
{
    reserve(text, 1);
    text->data[text->bytes++] = c;
}

void roan_cli_text_put_spaces(roan_cli_text *text, size_t count)
{
    reserve(text, count);
    memset(text->data + text->bytes, ' ', count);
    text->bytes += count;
}

void roan_cli_text_printf(roan_cli_text *text, const char *format, ...)
{
    va_list arguments;
    int bytes;

    va_start(arguments, format);
    bytes = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (bytes < 0)
        return;
    reserve(text, (size_t)bytes);
    va_start(arguments, format);
    vsnprintf(text->data + text->bytes, (size_t)bytes + 1, format, arguments);
    va_end(arguments);
    text->bytes += (size_t)bytes;
}

void roan_cli_text_quote(roan_cli_text *text, roan_slice bytes)
{
    static const char escaped[] = "\\\"\n\r\t\a\b";
    static const char letters[] = "\\\"nrtab";

    reserve(text, bytes.bytes + 2);
    roan_cli_text_put_char(text, '"');
    for (size_t i = 0; i < bytes.bytes; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        const char *found = c == 0 ? NULL : strchr(escaped, c);
        if (found != NULL) {
            char pair[2] = {'\\', letters[found - escaped]};
            roan_cli_text_append(text, pair, 2);
        } else if (c >= ' ' && c < 0x7f) {
            roan_cli_text_put_char(text, (char)c);
        } else {
            roan_cli_text_printf(text, "\\x%02x", c);
        }
    }
    roan_cli_text_put_char(text, '"');
}

const char *roan_cli_text_string(roan_cli_text *text)
{
    if (text->data == NULL)
        return "";
    text->data[text->bytes] = '\0'; /* reserve() always leaves room */
    return text->data;
}

void roan_cli_text_clear(roan_cli_text *text)
{
    text->bytes = 0;
}

void roan_cli_text_done(roan_cli_text *text)
{
    free(text->data);
    *text = (roan_cli_text){0};
}

void roan_cli_text_write(const roan_cli_text *text, FILE *stream)
{
    if (text->bytes > 0)
        fwrite(text->data, 1, text->bytes, stream);
}

void roan_cli_flush(void)
{
    if (fflush(stdout) != 0 && errno == EPIPE)
        _exit(1); /* as SIGPIPE would: "| head" got what it wanted */
}

const char *roan_cli_human_size(uint64_t bytes, char *out, size_t out_bytes)
{
    static const char units[] = "KMGTPE";
    double size = (double)bytes / 1024;
    size_t unit = 0;

    if (bytes < 1024) {
        snprintf(out, out_bytes, "%" PRIu64 "B", bytes);
        return out;
    }
    for (; size >= 1024 && unit + 2 < sizeof units; unit++)
        size /= 1024;
    snprintf(out, out_bytes, "%.2f%c", size, units[unit]);
    return out;
}
