/* types/element.h: an item of the tables of large sets, hashes and sorted sets, in one allocation from the table's
 * arena.
 *
 *     | flags u8 | key length 1 2 4 | value length 0 1 2 4 | number 0 8 | key | value |
 *
 * A member of a set is a key alone; a member of a sorted set has its score as number; a field of a hash has a value,
 * and its expiry as number if it expires.
 */
#pragma once

#include "types/table_inside.h"

#include <string.h>

typedef struct roan_element roan_element; /* the bytes above, at an address that is a multiple of 8 */

enum {
    ROAN_ELEMENT_PAGED = 1,        /* lies in a page of its table's arena */
    ROAN_ELEMENT_HAS_NUMBER = 2,
    ROAN_ELEMENT_HAS_VALUE = 4,
    ROAN_ELEMENT_KEY_SHIFT = 3,    /* two bits: bytes of the key length: 1 << form */
    ROAN_ELEMENT_VALUE_SHIFT = 5,  /* the same for the value */
};

/* What an element is made of. */
typedef struct roan_element_parts {
    roan_slice key, value;
    uint64_t number;
    bool has_value, has_number;
} roan_element_parts;

/* Where the parts of an element stand. */
typedef struct roan_element_view {
    char *number; /* where it is, or would be */
    char *key, *value;
    size_t key_bytes, value_bytes;
} roan_element_view;

static ROAN_ALWAYS_INLINE unsigned roan_element_flags(const roan_element *element)
{
    return *(const unsigned char *)element;
}

static ROAN_ALWAYS_INLINE size_t roan_element_read_length(const char *at, unsigned form)
{
    if (ROAN_LIKELY(form == 0))
        return (unsigned char)*at;
    if (form == 1) {
        uint16_t length;
        memcpy(&length, at, sizeof length);
        return length;
    }
    uint32_t length;
    memcpy(&length, at, sizeof length);
    return length;
}

static ROAN_ALWAYS_INLINE roan_element_view roan_element_look(const roan_element *element)
{
    unsigned flags = roan_element_flags(element);
    unsigned key_form = flags >> ROAN_ELEMENT_KEY_SHIFT & 3, value_form = flags >> ROAN_ELEMENT_VALUE_SHIFT & 3;
    char *at = (char *)(uintptr_t)element + 1;
    roan_element_view view;
    view.key_bytes = roan_element_read_length(at, key_form);
    at += 1u << key_form;
    view.value_bytes = 0;
    if (flags & ROAN_ELEMENT_HAS_VALUE) {
        view.value_bytes = roan_element_read_length(at, value_form);
        at += 1u << value_form;
    }
    view.number = at;
    at += flags & ROAN_ELEMENT_HAS_NUMBER ? sizeof(uint64_t) : 0;
    view.key = at;
    view.value = at + view.key_bytes;
    return view;
}

static ROAN_ALWAYS_INLINE roan_slice roan_element_key(const roan_element *element)
{
    roan_element_view view = roan_element_look(element);
    return roan_slice_make(view.key, view.key_bytes);
}

static inline roan_slice roan_element_value(const roan_element *element)
{
    roan_element_view view = roan_element_look(element);
    return roan_slice_make(view.value, view.value_bytes);
}

static inline bool roan_element_has_number(const roan_element *element)
{
    return roan_element_flags(element) & ROAN_ELEMENT_HAS_NUMBER;
}

/* Only with roan_element_has_number(). */
static inline uint64_t roan_element_number(const roan_element *element)
{
    uint64_t number;
    memcpy(&number, roan_element_look(element).number, sizeof number);
    return number;
}

static inline void roan_element_set_number(roan_element *element, uint64_t number)
{
    memcpy(roan_element_look(element).number, &number, sizeof number);
}

/* A score, kept as the bits of a double. */
static inline double roan_element_score(const roan_element *element)
{
    double score;
    memcpy(&score, roan_element_look(element).number, sizeof score);
    return score;
}

static inline void roan_element_set_score(roan_element *element, double score)
{
    memcpy(roan_element_look(element).number, &score, sizeof score);
}

static inline uint64_t roan_score_bits(double score)
{
    uint64_t bits;
    memcpy(&bits, &score, sizeof bits);
    return bits;
}

/* When a field expires, in milliseconds since 1970; INT64_MAX: never. Only in tables whose numbers are expiries. */
static inline int64_t roan_element_expiry(const roan_element *element)
{
    return roan_element_has_number(element) ? (int64_t)roan_element_number(element) : INT64_MAX;
}

/* A new one in the table's arena; it is not in the table yet. */
roan_element *roan_element_create(roan_table *table, const roan_element_parts *parts);
/* Frees one that is not in the table (any more). */
void roan_element_free(roan_table *table, roan_element *element);

/* An element with another value and number in place of an old one, which is freed or reused; key and presence of a
 * value stay. The caller gives the result to roan_table_replace(). The value must not point into the old one. */
roan_element *roan_element_change(roan_table *table, roan_element *element, const roan_element_parts *parts);

/* The parts of an element, borrowed. */
roan_element_parts roan_element_parts_of(const roan_element *element);

/* The element of that key, or NULL with hash and spot for roan_table_insert(). */
static ROAN_ALWAYS_INLINE roan_slice roan_element_key_of_item(const void *item)
{
    return roan_element_key(item);
}

static inline roan_element *roan_element_find(const roan_table *table, roan_slice key, uint64_t *ret_hash,
                                              roan_spot *ret_spot)
{
    *ret_hash = roan_table_hash(table, key);
    return roan_table_find_with(table, *ret_hash, key, ret_spot, roan_element_key_of_item);
}

/* Finds many keys: elements[i] is that of keys[i] or NULL. All waits for memory overlap; at most
 * ROAN_ELEMENT_BATCH keys. */
#define ROAN_ELEMENT_BATCH 32
void roan_element_find_batch(const roan_table *table, const roan_slice *keys, size_t count,
                             roan_element **ret_elements);

/* Adds an element that roan_element_find did not find. */
static inline void roan_element_insert(roan_table *table, uint64_t hash, roan_spot *spot,
                                       const roan_element_parts *parts)
{
    roan_table_insert(table, hash, spot, roan_element_create(table, parts));
}

/* Takes the element at a spot out and frees it. */
static inline void roan_element_remove(roan_table *table, uint64_t hash, roan_spot *spot)
{
    roan_element_free(table, roan_table_remove(table, hash, spot));
}

/* Bytes of the element, the allocator's rounding included. */
size_t roan_element_memory(const roan_element *element);

/* Memory of a table of elements: with `samples` above 0 that many of them are weighed and the others estimated. */
size_t roan_elements_memory(const roan_table *table, size_t samples);

/* A deep copy of a table of elements into an empty one. */
void roan_elements_copy(roan_table *target, const roan_table *source);

/* What tables of elements are told of them: without and with expiry. */
extern const roan_table_ops roan_element_table_ops;
extern const roan_table_ops roan_field_table_ops;

void roan_element_check(const void *element);
