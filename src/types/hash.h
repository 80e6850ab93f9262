/* types/hash.h: a hash: fields with values, and for each field perhaps a time at which it goes away.
 *
 * A small hash is a pack (field, value, field, value, ...), a large one a table of elements. A field that expires needs
 * a table: its time is the element's number, and the table's expiry columns say what is due without a look at any
 * element.
 *
 * A field whose time is over stays until somebody takes it out (roan_hash_expire) or overwrites it, and is counted
 * until then. Functions that look take the time and hide such fields; with ROAN_HASH_ALL as the time nothing is hidden.
 */
#pragma once

#include "base/random.h"
#include "types/context.h"
#include "types/element.h"
#include "types/pack.h"
#include "types/value.h"

typedef enum roan_hash_encoding {
    ROAN_HASH_PACK,
    ROAN_HASH_TABLE,
} roan_hash_encoding;

#define ROAN_HASH_NEVER INT64_C(-1)    /* the expiry of a field that has none; times are not negative */
#define ROAN_HASH_ALL INT64_MIN        /* as the time: expired fields are seen as they are */

/* A field as it is shown; borrowed. */
typedef struct roan_hash_field {
    roan_slice field, value;
    int64_t expiry_ms; /* or ROAN_HASH_NEVER */
} roan_hash_field;

/* Where a field is or would be: valid until the hash changes. */
typedef struct roan_hash_place {
    const char *at;         /* in a pack: the field's item; NULL: absent, or not in a pack */
    const char *value_at;   /* in a pack: the value's item */
    roan_element *element;  /* in a table; NULL: absent */
    uint64_t hash;
    roan_spot spot;
} roan_hash_place;

typedef void roan_hash_visit_fn(const roan_hash_field *field, void *context);

extern const roan_type_ops roan_hash_ops;

/* An empty one. */
roan_value roan_hash_create(void);

/* Fields, the expired ones included. */
size_t roan_hash_count(roan_value value);

/* ---- looking ---- */

/* True when the field is there, expired or not. */
bool roan_hash_find(roan_value value, roan_slice field, roan_hash_place *place);

/* Finds many fields of the pairs or fields words[0], words[step], ...: at most ROAN_ELEMENT_BATCH. The places serve for
 * looking only. */
void roan_hash_find_batch(roan_value value, const roan_slice *words, size_t step, size_t count,
                          roan_hash_place *places);

/* Brings what finding these fields will touch closer, without waiting for it. The same bound. */
void roan_hash_prefetch(roan_value value, const roan_slice *words, size_t step, size_t count);

static inline bool roan_hash_place_is_there(const roan_hash_place *place)
{
    return place->at != NULL || place->element != NULL;
}

/* The time of a field that is there, or ROAN_HASH_NEVER. */
static inline int64_t roan_hash_place_expiry(const roan_hash_place *place)
{
    return place->element != NULL && roan_element_has_number(place->element)
               ? (int64_t)roan_element_number(place->element)
               : ROAN_HASH_NEVER;
}

static inline bool roan_hash_place_is_expired(const roan_hash_place *place, int64_t now_ms)
{
    int64_t expiry_ms = roan_hash_place_expiry(place);
    return expiry_ms != ROAN_HASH_NEVER && expiry_ms <= now_ms;
}

/* The value of a field that is there; borrowed, an integer is written to `scratch`. */
roan_slice roan_hash_place_value(const roan_hash_place *place, char scratch[ROAN_I64_TEXT_MAX]);

/* The same as an integer; false: it is none. */
bool roan_hash_place_integer(const roan_hash_place *place, int64_t *ret_value);

/* Finds a field that has not expired and its value. */
bool roan_hash_get(roan_value value, roan_slice field, int64_t now_ms, char scratch[ROAN_I64_TEXT_MAX],
                   roan_slice *ret_value);

/* Visits every field that has not expired; the visitor must not change the hash. */
void roan_hash_each(roan_value value, int64_t now_ms, roan_hash_visit_fn *visit, void *context);

/* Visits about `wanted` fields from a cursor on; returns the cursor to go on from, 0 at the end. A pack is visited at
 * once. What is there from cursor 0 to the end is visited, whatever changes meanwhile. */
uint64_t roan_hash_scan(roan_value value, uint64_t cursor, size_t wanted, int64_t now_ms, roan_hash_visit_fn *visit,
                        void *context);

/* Visits a random field that has not expired; false when none was found in many tries. */
bool roan_hash_random(roan_value value, roan_random *random, int64_t now_ms, roan_hash_visit_fn *visit, void *context);

/* Visits `wanted` different random fields that have not expired, or all when there are fewer. */
void roan_hash_sample(roan_value value, roan_random *random, size_t wanted, int64_t now_ms, roan_hash_visit_fn *visit,
                      void *context);

/* ---- changing ---- */

/* Becomes a table if it is a pack and shall hold so many fields in all, or one of the words is too long for a pack. */
void roan_hash_prepare(roan_value *value, const roan_type_context *context, const roan_slice *words, size_t count);

/* A new hash of these fields and values (a later one of the same field counts). */
roan_value roan_hash_create_from(const roan_type_context *context, const roan_slice *pairs, size_t count);

/* Sets the field at the place that roan_hash_find told for it; its expiry becomes expiry_ms (or ROAN_HASH_NEVER). */
void roan_hash_put(roan_value *value, const roan_type_context *context, const roan_hash_place *place, roan_slice field,
                   roan_slice text, int64_t expiry_ms);
void roan_hash_put_integer(roan_value *value, const roan_type_context *context, const roan_hash_place *place,
                           roan_slice field, int64_t integer, int64_t expiry_ms);

/* Finds and puts; true: the field is new. */
bool roan_hash_set(roan_value *value, const roan_type_context *context, roan_slice field, roan_slice text,
                   int64_t expiry_ms);

/* Takes out the field at the place. */
void roan_hash_remove_at(roan_value *value, roan_hash_place *place);
/* Finds and takes out; false: there was none. */
bool roan_hash_remove(roan_value *value, roan_slice field);

/* Gives the field, which is at the place, another expiry (or ROAN_HASH_NEVER). The place is no longer valid. */
void roan_hash_set_expiry_at(roan_value *value, const roan_type_context *context, roan_hash_place *place,
                             roan_slice field, int64_t expiry_ms);

/* ---- expiring ---- */

/* No later than the first field expires; INT64_MAX: none does. */
int64_t roan_hash_soonest(roan_value value);

/* Takes out at most `max` fields that expired by now_ms (the last 128 ms may wait); each is shown before it goes.
 * Returns how many went. */
#define ROAN_HASH_EXPIRE_MAX 64
size_t roan_hash_expire(roan_value *value, int64_t now_ms, size_t max, roan_hash_visit_fn *visit, void *context);
