/* hiredis/sds.c: strings with a known length: storage, growth and appending.
 *
 *     [ length | capacity ][ bytes ... ][ 0 ][ free ]
 *      roan_sds_header      ^ the sds
 *
 * Growing doubles what is needed up to SDS_MAX_PREALLOC more, so appending costs constant time per byte. Every size is
 * checked against overflow before it is allocated. What works on words is in sds_words.c.
 */
#include "hiredis/sds.h"
#include "hiredis/alloc.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SDS_BYTES_MAX      ((size_t)PTRDIFF_MAX - sizeof(roan_sds_header) - 1)
#define PRINTF_BYTES_GUESS 128

static size_t whole_bytes(size_t capacity)
{
    return sizeof(roan_sds_header) + capacity + 1;
}

sds sdsnewlen(const void *init, size_t length)
{
    roan_sds_header *header;
    sds s;

    if (length > SDS_BYTES_MAX)
        return NULL;
    header = hi_malloc(whole_bytes(length));
    if (header == NULL)
        return NULL;
    header->length = header->capacity = length;
    s = (char *)(header + 1);
    if (init != NULL)
        memcpy(s, init, length);
    else
        memset(s, 0, length);
    s[length] = '\0';
    return s;
}

sds sdsnew(const char *init)
{
    return sdsnewlen(init, init == NULL ? 0 : strlen(init));
}

sds sdsempty(void)
{
    return sdsnewlen("", 0);
}

sds sdsdup(const sds s)
{
    return sdsnewlen(s, sdslen(s));
}

void sdsfree(sds s)
{
    if (s != NULL)
        hi_free(ROAN_SDS_HEADER(s));
}

sds sdsfromlonglong(long long value)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%lld", value);

    return sdsnewlen(text, (size_t)length);
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

static sds resize(sds s, size_t capacity)
{
    roan_sds_header *header = hi_realloc(ROAN_SDS_HEADER(s), whole_bytes(capacity));

    if (header == NULL)
        return NULL;
    header->capacity = capacity;
    return (char *)(header + 1);
}

sds sdsMakeRoomFor(sds s, size_t more)
{
    size_t length = sdslen(s);
    size_t need;

    if (sdsavail(s) >= more)
        return s;
    if (more > SDS_BYTES_MAX - length)
        return NULL;
    need = length + more;
    if (need > SDS_BYTES_MAX - SDS_MAX_PREALLOC)
        return resize(s, need);
    return resize(s, need < SDS_MAX_PREALLOC ? 2 * need : need + SDS_MAX_PREALLOC);
}

sds sdsRemoveFreeSpace(sds s)
{
    return sdsavail(s) == 0 ? s : resize(s, sdslen(s));
}

size_t sdsAllocSize(sds s)
{
    return whole_bytes(sdsalloc(s));
}

void *sdsAllocPtr(sds s)
{
    return ROAN_SDS_HEADER(s);
}

void sdsIncrLen(sds s, int more)
{
    size_t length = sdslen(s);

    /* The caller's contract is that it fits; what does not is cut off, never written outside. */
    if (more >= 0)
        length += (size_t)more <= sdsavail(s) ? (size_t)more : sdsavail(s);
    else
        length -= (size_t) - (long)more <= length ? (size_t) - (long)more : length;
    sdssetlen(s, length);
    s[length] = '\0';
}

void sdsupdatelen(sds s)
{
    sdssetlen(s, strlen(s));
}

void sdsclear(sds s)
{
    sdssetlen(s, 0);
    s[0] = '\0';
}

sds sdsgrowzero(sds s, size_t length)
{
    size_t before = sdslen(s);

    if (length <= before)
        return s;
    s = sdsMakeRoomFor(s, length - before);
    if (s == NULL)
        return NULL;
    memset(s + before, 0, length - before + 1);
    sdssetlen(s, length);
    return s;
}

/* ---- appending --------------------------------------------------------------------------------------------------- */

sds sdscatlen(sds s, const void *bytes, size_t length)
{
    size_t before = sdslen(s);

    s = sdsMakeRoomFor(s, length);
    if (s == NULL)
        return NULL;
    if (length > 0)
        memcpy(s + before, bytes, length);
    sdssetlen(s, before + length);
    s[before + length] = '\0';
    return s;
}

sds sdscat(sds s, const char *text)
{
    return sdscatlen(s, text, strlen(text));
}

sds sdscatsds(sds s, const sds other)
{
    return sdscatlen(s, other, sdslen(other));
}

sds sdscpylen(sds s, const char *bytes, size_t length)
{
    if (sdsalloc(s) < length) {
        s = sdsMakeRoomFor(s, length - sdslen(s));
        if (s == NULL)
            return NULL;
    }
    memmove(s, bytes, length);
    sdssetlen(s, length);
    s[length] = '\0';
    return s;
}

sds sdscpy(sds s, const char *text)
{
    return sdscpylen(s, text, strlen(text));
}

sds sdscatvprintf(sds s, const char *format, va_list arguments)
{
    size_t before = sdslen(s);
    va_list again;
    int length;

    s = sdsMakeRoomFor(s, PRINTF_BYTES_GUESS);
    if (s == NULL)
        return NULL;
    va_copy(again, arguments);
    length = vsnprintf(s + before, sdsavail(s) + 1, format, again);
    va_end(again);
    if (length >= 0 && (size_t)length > sdsavail(s)) {
        sds larger = sdsMakeRoomFor(s, (size_t)length);
        if (larger == NULL) {
            s[before] = '\0';
            return NULL;
        }
        s = larger;
        va_copy(again, arguments);
        length = vsnprintf(s + before, sdsavail(s) + 1, format, again);
        va_end(again);
    }
    if (length < 0) {
        s[before] = '\0';
        return NULL;
    }
    sdssetlen(s, before + (size_t)length);
    return s;
}

sds sdscatprintf(sds s, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    s = sdscatvprintf(s, format, arguments);
    va_end(arguments);
    return s;
}

/* ---- cutting and comparing --------------------------------------------------------------------------------------- */

int sdsrange(sds s, ssize_t start, ssize_t end)
{
    size_t length = sdslen(s);
    ssize_t last;

    if (length > (size_t)PTRDIFF_MAX)
        return -1;
    last = (ssize_t)length - 1;
    if (start < 0)
        start = start + (ssize_t)length > 0 ? start + (ssize_t)length : 0;
    if (end < 0)
        end = end + (ssize_t)length > 0 ? end + (ssize_t)length : 0;
    if (end > last)
        end = last;
    if (length == 0 || start > end) {
        sdsclear(s);
        return 0;
    }
    length = (size_t)(end - start) + 1;
    if (start > 0)
        memmove(s, s + start, length);
    sdssetlen(s, length);
    s[length] = '\0';
    return 0;
}

sds sdstrim(sds s, const char *set)
{
    size_t start = 0;
    size_t end = sdslen(s);

    while (start < end && s[start] != '\0' && strchr(set, s[start]) != NULL)
        start++;
    while (end > start && s[end - 1] != '\0' && strchr(set, s[end - 1]) != NULL)
        end--;
    if (start > 0)
        memmove(s, s + start, end - start);
    sdssetlen(s, end - start);
    s[end - start] = '\0';
    return s;
}

int sdscmp(const sds one, const sds other)
{
    size_t one_bytes = sdslen(one);
    size_t other_bytes = sdslen(other);
    int order = memcmp(one, other, one_bytes < other_bytes ? one_bytes : other_bytes);

    return order != 0 ? order : (one_bytes > other_bytes) - (one_bytes < other_bytes);
}

/* ---- the allocator, for those who use it through sds ------------------------------------------------------------- */

void *sds_malloc(size_t bytes)
{
    return hi_malloc(bytes);
}

void *sds_realloc(void *memory, size_t bytes)
{
    return hi_realloc(memory, bytes);
}

void sds_free(void *memory)
{
    hi_free(memory);
}
