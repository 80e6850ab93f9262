/* hiredis/sds.h: strings that know their length: an `sds` is a char * to terminated bytes with a small header in front.
 *
 * Functions that return an sds return NULL when out of memory and leave the argument valid; otherwise the argument must
 * not be used any more, only the result. Lengths do not count the terminator. The header in front is private.
 */
#ifndef ROAN_HIREDIS_HIREDIS_SDS_H
#define ROAN_HIREDIS_HIREDIS_SDS_H

#include <stdarg.h>
#include <stddef.h>
#include <sys/types.h>

#if defined(__GNUC__)
#define ROAN_SDS_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#pragma GCC visibility push(default)
#else
#define ROAN_SDS_PRINTF(format_index, first_index)
#endif
#ifdef __cplusplus
extern "C" {
#endif

#define SDS_MAX_PREALLOC (1024 * 1024)

typedef char *sds;

/* Private; in front of the bytes. */
typedef struct roan_sds_header {
    size_t length;
    size_t capacity; /* without the terminator */
} roan_sds_header;

#define ROAN_SDS_HEADER(s_) ((roan_sds_header *)(void *)(s_)-1)

static inline size_t sdslen(const sds s)
{
    return ROAN_SDS_HEADER(s)->length;
}

static inline size_t sdsalloc(const sds s)
{
    return ROAN_SDS_HEADER(s)->capacity;
}

static inline size_t sdsavail(const sds s)
{
    return ROAN_SDS_HEADER(s)->capacity - ROAN_SDS_HEADER(s)->length;
}

/* Neither moves the terminator. */
static inline void sdssetlen(sds s, size_t length)
{
    ROAN_SDS_HEADER(s)->length = length;
}

static inline void sdsinclen(sds s, size_t more)
{
    ROAN_SDS_HEADER(s)->length += more;
}

/* `init` NULL: zeros. */
sds sdsnewlen(const void *init, size_t length);
sds sdsnew(const char *init);
sds sdsempty(void);
sds sdsdup(const sds s);
void sdsfree(sds s);
sds sdsfromlonglong(long long value);

sds sdsgrowzero(sds s, size_t length);
sds sdscatlen(sds s, const void *bytes, size_t length);
sds sdscat(sds s, const char *text);
sds sdscatsds(sds s, const sds other);
sds sdscpylen(sds s, const char *bytes, size_t length);
sds sdscpy(sds s, const char *text);
sds sdscatvprintf(sds s, const char *format, va_list arguments) ROAN_SDS_PRINTF(2, 0);
sds sdscatprintf(sds s, const char *format, ...) ROAN_SDS_PRINTF(2, 3);
/* %s text, %S sds, %i int, %I long long, %u unsigned, %U unsigned long long, %% percent. */
sds sdscatfmt(sds s, const char *format, ...);
/* In double quotes, what cannot be printed escaped. */
sds sdscatrepr(sds s, const char *bytes, size_t length);

sds sdstrim(sds s, const char *set);
/* Keeps start..end, both included; negative: from the end. -1 when the string is too long for that. */
int sdsrange(sds s, ssize_t start, ssize_t end);
void sdsupdatelen(sds s);
void sdsclear(sds s);
int sdscmp(const sds one, const sds other);
void sdstolower(sds s);
void sdstoupper(sds s);
sds sdsmapchars(sds s, const char *from, const char *to, size_t count);

/* Pieces between separators; freed with sdsfreesplitres(). NULL when out of memory or the separator is empty. */
sds *sdssplitlen(const char *text, int length, const char *separator, int separator_length, int *count);
/* Words of a line with quotes as in sdscatrepr(); NULL when a quote is open. */
sds *sdssplitargs(const char *line, int *count);
void sdsfreesplitres(sds *pieces, int count);
sds sdsjoin(char **words, int count, const char *separator);
sds sdsjoinsds(sds *words, int count, const char *separator, size_t separator_length);

/* Room for so many more bytes; the length stays. */
sds sdsMakeRoomFor(sds s, size_t more);
/* After bytes were written behind the end (or, negative, to shorten): sets length and terminator. */
void sdsIncrLen(sds s, int more);
sds sdsRemoveFreeSpace(sds s);
size_t sdsAllocSize(sds s);
void *sdsAllocPtr(sds s);

void *sds_malloc(size_t bytes);
void *sds_realloc(void *memory, size_t bytes);
void sds_free(void *memory);

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
