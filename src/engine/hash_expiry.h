/* engine/hash_expiry.h: fields of hashes that expire by themselves. */
#pragma once

#include "engine/engine.h"

/* Takes out at most `max` fields of the hash that expired by lane->now_ms, with their event and effect; returns how
 * many. The caller holds the stripe, tells the table afterwards (roan_table_replace), and deletes the key if no field
 * is left; the effect of that was given already. */
#define ROAN_EXPIRED_FIELDS_MAX 64
size_t roan_hash_expire_fields(roan_lane *lane, roan_db *db, roan_entry *entry, size_t max);
