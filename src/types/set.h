/* types/set.h: sets of byte strings in three forms.
 *
 *     intset     all members are integers and few             types/intset.h
 *     pack       few members, none of them long               types/pack.h, in the order in which they came
 *     table      everything else                              a table of elements
 *
 * A set begins in the form that suits its first member and moves to the right when it grows over a limit, at the same
 * moment as the reference does, since OBJECT ENCODING shows it. It never moves back by itself.
 *
 * A member is given as text, or as an item (roan_packed): an integer, or text. Items that come out of sets borrow their
 * text until the set changes.
 */
#pragma once

#include "types/context.h"
#include "types/packed.h"
#include "types/value.h"

typedef enum roan_set_encoding { ROAN_SET_INTS, ROAN_SET_PACK, ROAN_SET_TABLE } roan_set_encoding;

extern const roan_type_ops roan_set_ops;

/* An empty set of the first form, and one of the form for `expected` members of which the first is `first`. */
roan_value roan_set_create(void);
roan_value roan_set_create_for(const roan_type_context *types, roan_slice first, size_t expected);
/* An empty set of this form. */
roan_value roan_set_create_as(const roan_type_context *types, roan_set_encoding encoding);
void roan_set_free(roan_value set);

/* `expected` members are about to be added: more than a compact form may hold make it a table at once. */
void roan_set_expect(roan_value *set, const roan_type_context *types, size_t expected);

size_t roan_set_count(roan_value set);
bool roan_set_contains(roan_value set, roan_slice member);

/* False when it is a member already. */
bool roan_set_add(roan_value *set, const roan_type_context *types, roan_slice member);

/* False when it is no member. */
bool roan_set_remove(roan_value *set, roan_slice member);

/* The same for many at once, with all waits for memory overlapping. Adding and removing return how many were new or
 * there; removing stops when the set is empty. */
size_t roan_set_add_many(roan_value *set, const roan_type_context *types, const roan_slice *members, size_t count);
size_t roan_set_remove_many(roan_value *set, const roan_slice *members, size_t count);
void roan_set_contains_many(roan_value set, const roan_slice *members, size_t count, bool *ret_contains);
#define ROAN_SET_BATCH 32 /* most members for roan_set_contains_many, and in a batch below */

/* Visits all members, until the visitor returns false. It must not change the set. */
typedef bool (*roan_set_visit_fn)(void *context, roan_slice member);
void roan_set_each(roan_value set, roan_set_visit_fn visit, void *context);

/* The same in batches of at most ROAN_SET_BATCH items. */
typedef bool (*roan_set_batch_fn)(void *context, const roan_packed *items, size_t count);
void roan_set_each_batch(roan_value set, roan_set_batch_fn visit, void *context);

/* Adds items that may be members already; returns how many were not. */
size_t roan_set_add_items(roan_value *set, const roan_type_context *types, const roan_packed *items, size_t count);
void roan_set_remove_items(roan_value *set, const roan_packed *items, size_t count);

/* Visits members from a position on the hash axis until about `wanted` were visited; returns where to go on, 0 at the
 * end. A set in a compact form is visited whole. What is a member from the first call (position 0) to the last (which
 * returns 0) is visited, whatever happens in between. */
uint64_t roan_set_scan(roan_value set, uint64_t from, size_t wanted, roan_set_visit_fn visit, void *context);
