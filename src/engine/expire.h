/* engine/expire.h: expired keys' memory comes back without anybody asking for them. */
#pragma once

#include "engine/engine.h"

/* One round of active expiry over this lane's share of the stripes, for at most `budget_us`. Inside the gate, holding
 * no stripe. True when the budget ended before the work did. */
bool roan_expire_cycle(roan_lane *lane, int64_t budget_us);

/* The entry, already out of its table, has expired: counts, reports and frees it. Under its stripe. */
void roan_keyspace_expire_entry(roan_lane *lane, roan_db *db, roan_table *table, roan_entry *entry);

/* Frees an entry that was in the table; a big value in the background when `is_lazy`. Under its stripe. */
void roan_keyspace_free_entry(roan_engine *engine, roan_table *table, roan_entry *entry, bool is_lazy);
