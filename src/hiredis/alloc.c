/* hiredis/alloc.c: the table of allocation functions of roan-hiredis.
 *
 * One table for the process, as the interface prescribes: redisReply objects carry no pointer to a context, so
 * freeReplyObject() could not find another one. Everything in this folder allocates through hi_malloc() and its
 * brothers (hiredis/alloc.h), which call what stands here.
 */
#include "hiredis/alloc.h"

#include <stdlib.h>
#include <string.h>

#define LIBC_FUNCTIONS                                                                                    \
    {                                                                                                     \
        .mallocFn = malloc, .callocFn = calloc, .reallocFn = realloc, .strdupFn = strdup, .freeFn = free, \
    }

hiredisAllocFuncs hiredisAllocFns = LIBC_FUNCTIONS;

hiredisAllocFuncs hiredisSetAllocators(hiredisAllocFuncs *functions)
{
    hiredisAllocFuncs before = hiredisAllocFns;

    hiredisAllocFns = *functions;
    return before;
}

void hiredisResetAllocators(void)
{
    hiredisAllocFns = (hiredisAllocFuncs)LIBC_FUNCTIONS;
}
