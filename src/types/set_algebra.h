/* types/set_algebra.h: intersections, unions and differences of sets.
 *
 * The sets given are those of the keys that exist, none of them empty. One that occurs twice has the same data pointer.
 */
#pragma once

#include "types/set.h"

/* Visits what is in all sets (at least one), in all or any of them, in the first (at least one) and none of the others;
 * each member once, in batches, until the visitor returns false. The order of `sets` may change. */
void roan_set_intersect(roan_value *sets, size_t count, roan_set_batch_fn visit, void *context);
void roan_set_unite(const roan_type_context *types, roan_value *sets, size_t count, roan_set_batch_fn visit,
                    void *context);
void roan_set_subtract(const roan_type_context *types, roan_value *sets, size_t count, roan_set_batch_fn visit,
                       void *context);

/* The same as new sets, which may be empty, in the form in which the reference stores them. */
roan_value roan_set_intersection(const roan_type_context *types, roan_value *sets, size_t count);
roan_value roan_set_union(const roan_type_context *types, const roan_value *sets, size_t count);
roan_value roan_set_difference(const roan_type_context *types, roan_value *sets, size_t count);
