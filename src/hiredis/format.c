/* hiredis/format.c: printf-like formats into words.
 *
 * Spaces of the format end a word; what a conversion puts in never does. %s and %b open a word even when they are empty,
 * spaces alone make none. A conversion of printf is cut out of the format, its argument fetched with the width its
 * modifier says, and printed by snprintf() behind the word so far.
 */
#include "hiredis/format.h"

#include <stdbool.h>
#include <string.h>

#define WORDS_FIRST         16
#define SPEC_BYTES_MAX      16 /* '%' flags width precision modifier letter */
#define PRINTED_BYTES_GUESS 64

/* va_list by reference, whatever type it is. */
typedef struct source {
    va_list arguments;
} source;

void roan_hiredis_words_done(roan_hiredis_words *words)
{
    sdsfree(words->bytes);
    hi_free(words->ends);
}

static int append(roan_hiredis_words *words, const void *bytes, size_t count)
{
    sds longer = sdscatlen(words->bytes, bytes, count);

    if (longer == NULL)
        return ROAN_HIREDIS_FORMAT_NOMEM;
    words->bytes = longer;
    words->is_open = 1;
    return 0;
}

static int end_word(roan_hiredis_words *words)
{
    if (!words->is_open)
        return 0;
    if (words->count == words->capacity) {
        size_t capacity = words->capacity == 0 ? WORDS_FIRST : 2 * words->capacity;
        size_t *ends = hi_realloc(words->ends, capacity * sizeof *ends);
        if (ends == NULL)
            return ROAN_HIREDIS_FORMAT_NOMEM;
        words->ends = ends;
        words->capacity = capacity;
    }
    words->ends[words->count++] = sdslen(words->bytes);
    words->is_open = 0;
    return 0;
}

/* ---- conversions of printf --------------------------------------------------------------------------------------- */

typedef enum width {
    WIDTH_INT, /* none, hh and h */
    WIDTH_LONG,
    WIDTH_LONG_LONG,
    WIDTH_DOUBLE
} width;

/* Copies the conversion that begins at `format` to `spec`, terminated; its length, or 0: it is none that we know. */
static size_t read_spec(const char *format, char *spec, width *ret_width)
{
    size_t at = 1;
    size_t modifier;
    char letter;

    at += strspn(format + at, "#0-+ ");
    at += strspn(format + at, "0123456789");
    if (format[at] == '.')
        at += 1 + strspn(format + at + 1, "0123456789");
    modifier = strspn(format + at, "hl");
    if (modifier > 2 || (modifier == 2 && format[at] != format[at + 1]))
        return 0;
    *ret_width = modifier == 0 || format[at] == 'h' ? WIDTH_INT : modifier == 1 ? WIDTH_LONG : WIDTH_LONG_LONG;
    at += modifier;
    letter = format[at];
    if (letter == '\0' || at + 1 >= SPEC_BYTES_MAX)
        return 0;
    if (strchr("eEfFgGaA", letter) != NULL && modifier == 0)
        *ret_width = WIDTH_DOUBLE;
    else if (strchr("diouxX", letter) == NULL)
        return 0;
    at++;
    memcpy(spec, format, at);
    spec[at] = '\0';
    return at;
}

typedef union number {
    int i;
    long l;
    long long ll;
    double d;
} number;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* read_spec() has checked it against the type */
static int print_number(char *out, size_t room, const char *spec, width kind, number value)
{
    switch (kind) {
    case WIDTH_INT: return snprintf(out, room, spec, value.i);
    case WIDTH_LONG: return snprintf(out, room, spec, value.l);
    case WIDTH_LONG_LONG: return snprintf(out, room, spec, value.ll);
    default: return snprintf(out, room, spec, value.d);
    }
}
#pragma GCC diagnostic pop

static number fetch_number(source *from, width kind)
{
    number value = {0};

    switch (kind) {
    case WIDTH_INT: value.i = va_arg(from->arguments, int); break;
    case WIDTH_LONG: value.l = va_arg(from->arguments, long); break;
    case WIDTH_LONG_LONG: value.ll = va_arg(from->arguments, long long); break;
    default: value.d = va_arg(from->arguments, double); break;
    }
    return value;
}

static int append_number(roan_hiredis_words *words, const char *spec, width kind, number value)
{
    size_t room = PRINTED_BYTES_GUESS;

    for (;;) {
        sds longer = sdsMakeRoomFor(words->bytes, room);
        int printed;
        if (longer == NULL)
            return ROAN_HIREDIS_FORMAT_NOMEM;
        words->bytes = longer;
        printed = print_number(longer + sdslen(longer), room + 1, spec, kind, value);
        if (printed < 0)
            return ROAN_HIREDIS_FORMAT_WRONG;
        if ((size_t)printed <= room) {
            sdsIncrLen(longer, printed);
            words->is_open = 1;
            return 0;
        }
        room = (size_t)printed;
    }
}

/* ---- the format -------------------------------------------------------------------------------------------------- */

/* The conversion at *format, which is moved behind it. */
static int read_conversion(roan_hiredis_words *words, const char **format, source *from)
{
    char spec[SPEC_BYTES_MAX + 1];
    const char *bytes;
    size_t count;
    width kind;

    switch ((*format)[1]) {
    case 's':
        *format += 2;
        bytes = va_arg(from->arguments, const char *);
        return append(words, bytes, strlen(bytes));
    case 'b':
        *format += 2;
        bytes = va_arg(from->arguments, const char *);
        count = va_arg(from->arguments, size_t);
        return append(words, bytes, count);
    case '%': *format += 2; return append(words, "%", 1);
    default:
        count = read_spec(*format, spec, &kind);
        if (count == 0)
            return ROAN_HIREDIS_FORMAT_WRONG;
        *format += count;
        return append_number(words, spec, kind, fetch_number(from, kind));
    }
}

static int read_format(roan_hiredis_words *words, const char *format, source *from)
{
    int result = 0;

    while (result == 0 && *format != '\0') {
        size_t plain = strcspn(format, " %");
        if (plain == 0 && format[0] == '%' && format[1] == '\0')
            plain = 1; /* nothing follows: itself */
        if (plain > 0) {
            result = append(words, format, plain);
            format += plain;
        } else if (*format == ' ') {
            result = end_word(words);
            format++;
        } else {
            result = read_conversion(words, &format, from);
        }
    }
    return result != 0 ? result : end_word(words);
}

int roan_hiredis_words_read(roan_hiredis_words *words, const char *format, va_list arguments)
{
    source from;
    int result;

    words->bytes = sdsempty();
    if (words->bytes == NULL)
        return ROAN_HIREDIS_FORMAT_NOMEM;
    va_copy(from.arguments, arguments);
    result = read_format(words, format, &from);
    va_end(from.arguments);
    return result;
}
