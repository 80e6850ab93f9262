/* engine/cmd/hash_edit.h: what the commands on hashes share: finding the hash, changing it and reporting the change.
 *
 * A change is an edit: begin it, call the type's functions on edit.value, end it once. A missing key is an empty hash
 * that becomes a key when the edit ends with fields in it.
 */
#pragma once

#include "engine/call.h"
#include "types/hash.h"

/* The time for looking at fields: to an import source nothing has expired. */
static inline int64_t roan_hash_now(const roan_call *call)
{
    return call->session->import_source ? ROAN_HASH_ALL : call->now_ms;
}

/* Finds the hash in argv[1] for reading. False: it is not there (is_absent is true) or an error was sent. */
bool roan_hash_find_read(roan_call *call, roan_value *ret_value, bool *ret_is_absent);

typedef struct roan_hash_edit {
    roan_call *call;
    const roan_type_context *context;
    roan_place place;
    roan_value value;
    bool is_new;            /* there is no key yet */
    size_t revived;         /* expired fields that were overwritten */
} roan_hash_edit;

/* Finds the hash in argv[1] for writing; without a key edit->value stays without data (roan_hash_edit_create). False
 * after an error was sent. */
bool roan_hash_edit_begin(roan_call *call, roan_hash_edit *edit);

/* There must be a hash now: an empty one if there was none. */
void roan_hash_edit_create(roan_hash_edit *edit);

/* Finds a field: false when it is absent or has expired. */
static inline bool roan_hash_edit_find(const roan_hash_edit *edit, roan_slice field, roan_hash_place *place)
{
    return roan_hash_find(edit->value, field, place) && !roan_hash_place_is_expired(place, roan_hash_now(edit->call));
}

/* The field at the place, which is absent or has expired, is about to be set. */
static inline void roan_hash_edit_note_revived(roan_hash_edit *edit, const roan_hash_place *place)
{
    edit->revived += roan_hash_place_is_there(place);
}

/* Fields were set or changed: stores the hash and reports the event with that many changes. */
void roan_hash_edit_end(roan_hash_edit *edit, const char *event, uint64_t changes);

/* The same after fields were taken out: deletes the key when none is left. */
void roan_hash_edit_end_removed(roan_hash_edit *edit, const char *event, uint64_t changes);

/* Where fields stand among the arguments. */
typedef struct roan_hash_fields {
    size_t first, count;
} roan_hash_fields;

/* The number of fields in argv[at] and, behind it, that many times `words` arguments up to the end; false after an
 * error was sent (`error` when the number does not fit). */
bool roan_hash_fields_parse(roan_call *call, size_t at, size_t words, const char *error, roan_hash_fields *ret_fields);

/* The index of the word FIELDS from argv[from] on; 0: it is missing or nothing follows it, and an error was sent. */
size_t roan_hash_fields_find(roan_call *call, size_t from);

#define ROAN_HASH_NUMFIELDS_ERROR "ERR numfields should be greater than 0 and match the provided number of fields"

/* A time in argv[index] in units of unit_ms after base_ms (0: absolute) as an absolute time; 0 and the past are fine,
 * less is not. False after an error was sent. */
bool roan_hash_time_parse(roan_call *call, size_t index, int64_t unit_ms, int64_t base_ms, int64_t *ret_expiry_ms);

/* A list of words for an effect: the command, the key, and room for the fields that turn out to be concerned. */
typedef struct roan_hash_effect {
    roan_slice *argv;
    size_t argc, capacity;
    char when[ROAN_I64_TEXT_MAX], number[ROAN_I64_TEXT_MAX];
    size_t number_at;       /* where the number of fields goes; 0: nowhere */
    size_t words_per_field;
} roan_hash_effect;

/* Begins with `command key`; up to `words_max` more words will follow. */
void roan_hash_effect_begin(roan_hash_effect *effect, roan_call *call, const char *command, size_t words_max);
void roan_hash_effect_add(roan_hash_effect *effect, roan_slice word);
/* PXAT or the bare time. */
void roan_hash_effect_add_time(roan_hash_effect *effect, int64_t expiry_ms);
/* FIELDS and their number, which is known at the end. Words of fields follow. */
void roan_hash_effect_add_fields(roan_hash_effect *effect, size_t words_per_field);
/* Gives the effect to the call if it is not without fields, and frees it. */
void roan_hash_effect_end(roan_hash_effect *effect, roan_call *call);
