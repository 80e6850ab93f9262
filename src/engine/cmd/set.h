/* engine/cmd/set.h: what the commands of sets share. */
#pragma once

#include "engine/call.h"
#include "types/set.h"

/* Sends a batch of members; `out` is the roan_out. For the functions that visit members; never stops them. */
bool roan_set_send(void *out, const roan_packed *items, size_t count);

/* Takes out the key of a set that is empty now, and says so. The change itself was reported. */
void roan_set_delete_empty(roan_call *call, roan_place *place);
