/* hiredis/sds_words.c: strings as texts: letters, quoting, splitting and joining.
 *
 * Letters and digits are those of ASCII, whatever the locale. The quoted form that sdscatrepr() writes is the one that
 * sdssplitargs() reads: "..." with \n \r \t \a \b \" \\ \xHH, and '...' where only \' is special.
 */
#include "hiredis/sds.h"
#include "hiredis/alloc.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PIECES_FIRST 8

void sdstolower(sds s)
{
    for (size_t i = 0; i < sdslen(s); i++)
        if (s[i] >= 'A' && s[i] <= 'Z')
            s[i] = (char)(s[i] - 'A' + 'a');
}

void sdstoupper(sds s)
{
    for (size_t i = 0; i < sdslen(s); i++)
        if (s[i] >= 'a' && s[i] <= 'z')
            s[i] = (char)(s[i] - 'a' + 'A');
}

sds sdsmapchars(sds s, const char *from, const char *to, size_t count)
{
    for (size_t i = 0; i < sdslen(s); i++) {
        const char *found = count == 0 ? NULL : memchr(from, s[i], count);
        if (found != NULL)
            s[i] = to[found - from];
    }
    return s;
}

/* ---- formatting and quoting -------------------------------------------------------------------------------------- */

sds sdscatfmt(sds s, const char *format, ...)
{
    size_t before = sdslen(s);
    va_list arguments;
    const char *at = format;

    va_start(arguments, format);
    while (*at != '\0') {
        size_t plain = strcspn(at, "%");
        sds next = sdscatlen(s, at, plain);
        if (next == NULL)
            break;
        s = next;
        at += plain;
        if (*at == '\0')
            break;
        switch (at[1]) {
        case 's': next = sdscat(s, va_arg(arguments, const char *)); break;
        case 'S': next = sdscatsds(s, va_arg(arguments, sds)); break;
        case 'i': next = sdscatprintf(s, "%d", va_arg(arguments, int)); break;
        case 'I': next = sdscatprintf(s, "%lld", va_arg(arguments, long long)); break;
        case 'u': next = sdscatprintf(s, "%u", va_arg(arguments, unsigned)); break;
        case 'U': next = sdscatprintf(s, "%llu", va_arg(arguments, unsigned long long)); break;
        case '\0': next = s; break;
        default: next = sdscatlen(s, at + 1, 1); break;
        }
        if (next == NULL)
            break;
        s = next;
        at += at[1] == '\0' ? 1 : 2;
    }
    va_end(arguments);
    if (*at == '\0')
        return s;
    sdssetlen(s, before); /* out of memory: as it was */
    s[before] = '\0';
    return NULL;
}

static sds append_escaped(sds s, unsigned char byte)
{
    static const char plain[] = "\n\r\t\a\b\"\\";
    static const char letters[] = "nrtab\"\\";
    const char *found = byte == 0 ? NULL : strchr(plain, byte);
    char text[5];
    int length;

    if (found != NULL)
        length = snprintf(text, sizeof text, "\\%c", letters[found - plain]);
    else if (byte >= ' ' && byte < 127)
        length = snprintf(text, sizeof text, "%c", byte);
    else
        length = snprintf(text, sizeof text, "\\x%02x", byte);
    return sdscatlen(s, text, (size_t)length);
}

sds sdscatrepr(sds s, const char *bytes, size_t length)
{
    size_t before = sdslen(s);
    sds next = sdscatlen(s, "\"", 1);

    for (size_t i = 0; next != NULL && i < length; i++) {
        s = next;
        next = append_escaped(s, (unsigned char)bytes[i]);
    }
    if (next != NULL) {
        s = next;
        next = sdscatlen(s, "\"", 1);
    }
    if (next == NULL) {
        sdssetlen(s, before);
        s[before] = '\0';
    }
    return next;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

typedef struct pieces {
    sds *list;
    int count;
    int capacity;
} pieces;

void sdsfreesplitres(sds *list, int count)
{
    if (list == NULL)
        return;
    for (int i = 0; i < count; i++)
        sdsfree(list[i]);
    hi_free(list);
}

/* Takes `piece`; false when it is NULL or there is no room, and then it is freed. */
static bool add_piece(pieces *to, sds piece)
{
    if (piece != NULL && to->count == to->capacity && to->capacity <= INT_MAX / 2) {
        int capacity = to->capacity == 0 ? PIECES_FIRST : 2 * to->capacity;
        sds *list = hi_realloc(to->list, (size_t)capacity * sizeof *list);
        if (list != NULL) {
            to->list = list;
            to->capacity = capacity;
        }
    }
    if (piece == NULL || to->count == to->capacity) {
        sdsfree(piece);
        return false;
    }
    to->list[to->count++] = piece;
    return true;
}

sds *sdssplitlen(const char *text, int length, const char *separator, int separator_length, int *count)
{
    pieces found = {0};
    int start = 0;

    *count = 0;
    if (separator_length < 1 || length < 0)
        return NULL;
    if (length == 0)
        return hi_calloc(1, sizeof(sds)); /* no piece, but not a failure either */
    for (int at = 0; at + separator_length <= length;) {
        if (memcmp(text + at, separator, (size_t)separator_length) != 0) {
            at++;
            continue;
        }
        if (!add_piece(&found, sdsnewlen(text + start, (size_t)(at - start))))
            goto failed;
        start = at += separator_length;
    }
    if (!add_piece(&found, sdsnewlen(text + start, (size_t)(length - start))))
        goto failed;
    *count = found.count;
    return found.list;
failed:
    sdsfreesplitres(found.list, found.count);
    return NULL;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What stands at `at` behind a backslash in double quotes; *ret_used: how many characters of it. */
static char read_escape(const char *at, size_t *ret_used)
{
    static const char letters[] = "nrtab";
    static const char values[] = "\n\r\t\a\b";
    const char *found;

    if (*at == 'x' && hex_value(at[1]) >= 0 && hex_value(at[2]) >= 0) {
        *ret_used = 3;
        return (char)(hex_value(at[1]) * 16 + hex_value(at[2]));
    }
    *ret_used = 1;
    found = strchr(letters, *at);
    return found != NULL ? values[found - letters] : *at;
}

/* Appends the quoted part that begins behind the quote at *at; moves *at behind the closing one. NULL, with *word freed:
 * never closed, text glued to its end, or out of memory. */
static sds read_quoted(sds word, const char **at)
{
    char quote = (*at)[-1];

    for (;; (*at)++) {
        char c = **at;
        size_t used = 0;
        sds next;

        if (c == quote && ((*at)[1] == '\0' || is_space((*at)[1]))) {
            (*at)++;
            return word;
        }
        if (c == '\0' || c == quote)
            break;
        if (c == '\\' && quote == '"' && (*at)[1] != '\0') {
            c = read_escape(*at + 1, &used);
        } else if (c == '\\' && quote == '\'' && (*at)[1] == '\'') {
            c = '\'';
            used = 1;
        }
        *at += used;
        next = sdscatlen(word, &c, 1);
        if (next == NULL)
            break;
        word = next;
    }
    sdsfree(word);
    return NULL;
}

/* The word at *at, which is no space; moves *at behind it. */
static sds read_word(const char **at)
{
    sds word = sdsempty();

    while (word != NULL && **at != '\0' && !is_space(**at)) {
        char c = *(*at)++;
        if (c == '"' || c == '\'') {
            word = read_quoted(word, at);
        } else {
            sds next = sdscatlen(word, &c, 1);
            if (next == NULL)
                sdsfree(word);
            word = next;
        }
    }
    return word;
}

sds *sdssplitargs(const char *line, int *count)
{
    pieces found = {0};

    *count = 0;
    for (;;) {
        while (is_space(*line))
            line++;
        if (*line == '\0')
            break;
        if (!add_piece(&found, read_word(&line))) {
            sdsfreesplitres(found.list, found.count);
            return NULL;
        }
    }
    *count = found.count;
    return found.list != NULL ? found.list : hi_calloc(1, sizeof(sds));
}

/* ---- joining ----------------------------------------------------------------------------------------------------- */

sds sdsjoin(char **words, int count, const char *separator)
{
    sds joined = sdsempty();

    for (int i = 0; joined != NULL && i < count; i++) {
        sds next = i == 0 ? joined : sdscat(joined, separator);
        sds whole = next == NULL ? NULL : sdscat(next, words[i]);
        if (whole == NULL)
            sdsfree(next == NULL ? joined : next);
        joined = whole;
    }
    return joined;
}

sds sdsjoinsds(sds *words, int count, const char *separator, size_t separator_length)
{
    sds joined = sdsempty();

    for (int i = 0; joined != NULL && i < count; i++) {
        sds next = i == 0 ? joined : sdscatlen(joined, separator, separator_length);
        sds whole = next == NULL ? NULL : sdscatsds(next, words[i]);
        if (whole == NULL)
            sdsfree(next == NULL ? joined : next);
        joined = whole;
    }
    return joined;
}
