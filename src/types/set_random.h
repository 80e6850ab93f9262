/* types/set_random.h: random members of sets. Every member, and every choice of several, is equally likely. */
#pragma once

#include "base/random.h"
#include "types/set.h"

/* A random member; the set is not empty. */
roan_packed roan_set_random(roan_value set, roan_random *random);

/* Visits `wanted` random members, the same one perhaps several times, in random order. */
void roan_set_draw(roan_value set, roan_random *random, uint64_t wanted, roan_set_batch_fn visit, void *context);

/* Visits `wanted` different random members, at most all of them, in any order. */
void roan_set_sample(roan_value set, roan_random *random, size_t wanted, roan_set_batch_fn visit, void *context);

/* Visits and takes out `wanted` random members, fewer than there are. Where few stay, they go into a new set: a table
 * becomes a pack then, if the limits allow it. */
void roan_set_pop(roan_value *set, const roan_type_context *types, roan_random *random, size_t wanted,
                  roan_set_batch_fn visit, void *context);
