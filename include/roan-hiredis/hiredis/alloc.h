/* hiredis/alloc.h: which allocator the library uses; a program may put in its own before the first other call.
 *
 * The allocator belongs to the process. Change it only while nothing allocated by the library is alive and no other
 * thread is inside it.
 */
#ifndef ROAN_HIREDIS_HIREDIS_ALLOC_H
#define ROAN_HIREDIS_HIREDIS_ALLOC_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif
#ifdef __cplusplus
extern "C" {
#endif

typedef struct hiredisAllocFuncs {
    void *(*mallocFn)(size_t);
    void *(*callocFn)(size_t, size_t);
    void *(*reallocFn)(void *, size_t);
    char *(*strdupFn)(const char *);
    void (*freeFn)(void *);
} hiredisAllocFuncs;

/* Takes over all five functions of *functions; returns those in use until now. */
hiredisAllocFuncs hiredisSetAllocators(hiredisAllocFuncs *functions);

/* Back to those of the C library. */
void hiredisResetAllocators(void);

/* The functions in use. Read it through the hi_ functions below. */
extern hiredisAllocFuncs hiredisAllocFns;

static inline void *hi_malloc(size_t bytes)
{
    return hiredisAllocFns.mallocFn(bytes);
}

/* NULL when count * bytes does not fit a size_t, whatever the allocator would say. */
static inline void *hi_calloc(size_t count, size_t bytes)
{
    return bytes != 0 && count > SIZE_MAX / bytes ? NULL : hiredisAllocFns.callocFn(count, bytes);
}

static inline void *hi_realloc(void *memory, size_t bytes)
{
    return hiredisAllocFns.reallocFn(memory, bytes);
}

static inline char *hi_strdup(const char *text)
{
    return hiredisAllocFns.strdupFn(text);
}

static inline void hi_free(void *memory)
{
    hiredisAllocFns.freeFn(memory);
}

#ifdef __cplusplus
}
#endif
#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#endif
