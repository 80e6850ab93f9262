/* types/value.h: a value of some type, seen from outside: where its data are and how they are laid out.
 *
 * A type's functions that only look take the value as it is; those that change it take a pointer, since data and
 * encoding may become others. Whoever keeps the value stores it back after a change.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct roan_value {
    void *data;
    unsigned encoding; /* of the type's own enum; below ROAN_ENCODING_COUNT_MAX */
} roan_value;

#define ROAN_ENCODING_COUNT_MAX 16

/* What everybody must know of a type; each type's file has one. */
typedef struct roan_type_ops {
    const char *name;                                /* as TYPE shows it */
    void (*free_value)(roan_value value);
    roan_value (*copy_value)(roan_value value);      /* deep */
    size_t (*memory)(roan_value value,
                     size_t samples); /* bytes held, the allocator's rounding included; `samples` elements
                                                        * are looked at to estimate the others (0: all) */
    size_t (*effort)(roan_value value);              /* how much work freeing is: about the number of allocations */
    int64_t (*soonest_ms)(roan_value value); /* no later than the first thing inside that expires; INT64_MAX: none;
                                                        NULL: nothing in such values expires */
    const char *(*encoding_name)(roan_value value);  /* as OBJECT ENCODING shows it */
    void (*check)(roan_value value);                 /* states the invariants */
} roan_type_ops;
