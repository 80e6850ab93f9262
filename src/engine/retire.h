/* engine/retire.h: memory that other lanes may still be looking at is freed when all of them have looked away.
 *
 * Prefetching reads directories and segments of tables without their stripes. What is unlinked from a table goes here
 * with the number of the current epoch; a lane notes the epoch whenever it enters the gate. Memory of epoch e is free
 * once every lane is outside or has entered in a later epoch.
 */
#pragma once

#include "engine/engine.h"

typedef struct roan_retired roan_retired;

roan_retired *roan_retired_create(roan_engine *engine);
/* Frees everything; no lane is at work any more. */
void roan_retired_free(roan_retired *retired);

/* roan_table_context.retire: any lane, inside the gate. */
void roan_retired_add(void *retired, void *memory, size_t bytes);
/* Frees what nobody can be looking at. Any lane; called by housekeeping. */
void roan_retired_collect(roan_retired *retired);
