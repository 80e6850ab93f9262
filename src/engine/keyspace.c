/* engine/keyspace.c: how command bodies find and change keys: hashing, lazy expiry, LRU/LFU touches, replacing in
 * place.
 *
 * Every look-up passes locate(), which asserts in checked builds that the lane may touch the key's stripe.
 */
#include "engine/call.h"

#include "base/macros.h"
#include "engine/effects.h"
#include "engine/evict.h"
#include "engine/expire.h"
#include "engine/logs.h"
#include "engine/notify.h"
#include "engine/stats.h"
#include "engine/watch.h"
#include "types/table_inside.h"

static ROAN_ALWAYS_INLINE roan_slice key_of_item(const void *item)
{
    return roan_entry_key(item);
}

static void locate(roan_call *call, roan_db *db, roan_slice name, uint64_t hash, uint32_t stripe, roan_place *place)
{
    ROAN_VERIFY(roan_stripe_is_held(call->lane, stripe));
    place->db = db;
    place->table = &db->tables[stripe];
    place->name = name;
    place->hash = hash;
    place->stripe = stripe;
    place->entry = roan_table_find_with(place->table, hash, name, &place->spot, key_of_item);
}

void roan_keyspace_free_entry(roan_engine *engine, roan_table *table, roan_entry *entry, bool is_lazy)
{
    if (!is_lazy || engine->host.free_later == NULL || roan_entry_free_effort(entry) <= ROAN_LAZY_EFFORT_MIN) {
        roan_entry_free(table->arena, entry);
        return;
    }
    /* Its arena is not for other threads. */
    entry = roan_entry_move(NULL, table->arena, entry, roan_slice_make("", 0), false, 0);
    engine->host.free_later(engine->host.context, entry);
}

void roan_keyspace_expire_entry(roan_lane *lane, roan_db *db, roan_table *table, roan_entry *entry)
{
    roan_engine *engine = lane->engine;
    bool is_timed = engine->config.latency_monitor_threshold_ms > 0;
    uint64_t start = is_timed ? roan_clock_ticks(engine->clock) : 0;
    lane->stats->expired++;
    roan_effects_deleted(lane, db, table, roan_entry_key(entry), ROAN_EVENT_EXPIRED, "expired");
    roan_keyspace_free_entry(engine, table, entry, engine->config.lazyfree_lazy_expire);
    if (is_timed)
        roan_latency_note(engine, "expire-del", lane->now_ms,
                          roan_clock_ticks_to_ns(engine->clock, roan_clock_ticks(engine->clock) - start) / 1000);
}

/* Deletes the entry if its time has come. An import source sees expired keys as they are. */
static void expire_if_due(roan_call *call, roan_place *place)
{
    roan_entry *entry = place->entry;
    if (ROAN_LIKELY(entry == NULL || !roan_entry_is_expired(entry, call->now_ms)) || call->session->import_source)
        return;
    place->entry = NULL;
    if (roan_engine_is_paused(call->engine, call->now_ms) && !(call->command->flags & ROAN_CMD_WRITE))
        return; /* CLIENT PAUSE: absent for readers, deleted later */
    roan_table_remove(place->table, place->hash, &place->spot);
    roan_table_find(place->table, place->hash, place->name, &place->spot); /* the name may be the entry's own */
    roan_keyspace_expire_entry(call->lane, place->db, place->table, entry);
}

/* Hash and stripe of the key in argv[index], from what is known already where possible. */
static void hash_key(const roan_call *call, size_t index, uint64_t *ret_hash, uint32_t *ret_stripe)
{
    const roan_engine *engine = call->engine;
    const roan_keys_ahead *ahead = call->ahead;
    roan_slice name = call->argv[index];
    if (ahead != NULL && index >= ahead->first && index < ahead->end && (index - ahead->first) % ahead->step == 0) {
        size_t at = (index - ahead->first) / ahead->step;
        *ret_hash = ahead->hash[at];
        *ret_stripe = ahead->stripe[at];
        return;
    }
    *ret_hash = roan_hash(&engine->table_context.secret, name.data, name.bytes);
    *ret_stripe = roan_key_slot(name) & (engine->stripe_count - 1);
}

void roan_call_read_ahead_slowly(roan_call *call, size_t index, size_t step)
{
    roan_keys_ahead *ahead = call->lane->ahead;
    const roan_table *tables = call->db->tables;
    size_t end = ROAN_MIN(call->argc, index + ROAN_AHEAD_KEYS * step), count = 0;
    call->ahead = NULL;
    if (end - index <= step)
        return; /* a single key: dispatch has done it */
    for (size_t i = index; i < end; i += step, count++) {
        hash_key(call, i, &ahead->hash[count], &ahead->stripe[count]);
        roan_table_prefetch_segment(&tables[ahead->stripe[count]], ahead->hash[count]);
    }
    for (size_t i = 0; i < count; i++)
        roan_table_prefetch_slots(&tables[ahead->stripe[i]], ahead->hash[i]);
    for (size_t i = 0; i < count; i++)
        roan_table_prefetch_item(&tables[ahead->stripe[i]], ahead->hash[i]);
    ahead->first = index;
    ahead->end = end;
    ahead->step = step;
    call->ahead = ahead;
}

static void find_anyway(roan_call *call, size_t index, roan_place *place)
{
    ROAN_ASSERT(index < call->argc);
    const roan_request *request = call->request;
    roan_slice name = call->argv[index];
    if (ROAN_LIKELY(index == request->key_index)) {
        locate(call, call->db, name, request->hash, request->stripe, place);
    } else {
        uint64_t hash;
        uint32_t stripe;
        hash_key(call, index, &hash, &stripe);
        locate(call, call->db, name, hash, stripe, place);
    }
}

static void find(roan_call *call, size_t index, roan_place *place)
{
    find_anyway(call, index, place);
    expire_if_due(call, place);
}

static void touch(roan_call *call, roan_entry *entry)
{
    if (ROAN_LIKELY(!call->session->no_touch))
        roan_entry_touch(call->engine, call->lane, entry);
}

static ROAN_ALWAYS_INLINE bool count_reading(roan_call *call, const roan_place *place)
{
    if (place->entry != NULL) {
        call->lane->stats->hits++;
        return true;
    }
    call->lane->stats->misses++;
    return false;
}

bool roan_call_note_reading(roan_call *call, const roan_place *place)
{
    if (count_reading(call, place))
        return true;
    roan_notify(call->lane, place->db, ROAN_EVENT_KEY_MISS, "keymiss", place->name);
    return false;
}

/* Counts a hit or miss and refreshes the clock. */
static bool note_read(roan_call *call, const roan_place *place)
{
    if (!roan_call_note_reading(call, place))
        return false;
    touch(call, place->entry);
    return true;
}

bool roan_call_find_read(roan_call *call, size_t index, roan_place *place)
{
    find(call, index, place);
    return note_read(call, place);
}

bool roan_call_find_read_untouched(roan_call *call, size_t index, roan_place *place)
{
    find(call, index, place);
    return roan_call_note_reading(call, place);
}

bool roan_call_find_write(roan_call *call, size_t index, roan_place *place)
{
    find(call, index, place);
    if (place->entry == NULL)
        return false;
    touch(call, place->entry);
    return true;
}

bool roan_call_find_unheard(roan_call *call, size_t index, roan_place *place)
{
    find(call, index, place);
    return count_reading(call, place);
}

bool roan_call_find_quiet(roan_call *call, size_t index, roan_place *place)
{
    find(call, index, place);
    return place->entry != NULL;
}

bool roan_call_find_anyway(roan_call *call, size_t index, roan_place *place)
{
    find_anyway(call, index, place);
    return place->entry != NULL;
}

bool roan_call_find_in(roan_call *call, roan_db *db, roan_slice name, roan_place *place)
{
    roan_engine *engine = call->engine;
    uint64_t hash = roan_hash(&engine->table_context.secret, name.data, name.bytes);
    locate(call, db, name, hash, roan_key_slot(name) & (engine->stripe_count - 1), place);
    expire_if_due(call, place);
    return place->entry != NULL;
}

bool roan_call_find_name_read(roan_call *call, roan_slice name, roan_place *place)
{
    ROAN_IGNORE(roan_call_find_in(call, call->db, name, place)); /* looked at next */
    return note_read(call, place);
}

void roan_call_wrong_type(roan_call *call)
{
    roan_call_error(call, "WRONGTYPE Operation against a key holding the wrong kind of value");
}

bool roan_call_is_type(roan_call *call, const roan_place *place, roan_type type)
{
    if (ROAN_LIKELY(place->entry == NULL || place->entry->type == type))
        return true;
    roan_call_wrong_type(call);
    return false;
}

/* ---- changing ---- */

/* A replacement for the entry at the place, of the same key. */
static void swap_entry(roan_place *place, roan_entry *entry)
{
    roan_table_replace(place->table, place->hash, &place->spot, entry);
    place->entry = entry;
}

void roan_place_put(roan_call *call, roan_place *place, roan_entry *entry)
{
    roan_entry *old = place->entry;
    if (old == NULL) {
        roan_entry_clock_start(call->engine, call->lane, entry);
        roan_table_insert(place->table, place->hash, &place->spot, entry);
        place->entry = entry;
        call->lane->stats->keys_created++;
        roan_notify(call->lane, place->db, ROAN_EVENT_NEW, "new", place->name);
        return;
    }
    entry->clock = old->clock;
    swap_entry(place, entry);
    roan_keyspace_free_entry(call->engine, place->table, old, call->engine->config.lazyfree_lazy_server_del);
}

void roan_place_set_string(roan_call *call, roan_place *place, roan_slice value, int64_t expiry_ms)
{
    roan_entry *entry = place->entry;
    bool had_expiry = entry != NULL && entry->flags & ROAN_ENTRY_EXPIRES;
    if (expiry_ms == ROAN_EXPIRY_KEEP)
        expiry_ms = had_expiry ? roan_entry_expiry(entry) : ROAN_EXPIRY_NONE;
    bool expires = expiry_ms != ROAN_EXPIRY_NONE;
    if (entry != NULL && roan_entry_overwrite_string(entry, value, expires, expiry_ms)) {
        if (expires)
            roan_table_replace(place->table, place->hash, &place->spot, entry); /* its expiry column */
        return;
    }
    entry = roan_entry_create_string(roan_table_arena(place->table), place->name, value, expires, expiry_ms);
    if (had_expiry && !expires)
        roan_entry_inherit_expiry_room(entry);
    roan_place_put(call, place, entry);
}

void roan_place_set_text(roan_call *call, roan_place *place, roan_slice value)
{
    if (value.bytes > ROAN_INLINE_BYTES_MAX) {
        roan_place_set_string(call, place, value, ROAN_EXPIRY_KEEP);
        return;
    }
    bool expires = place->entry != NULL && place->entry->flags & ROAN_ENTRY_EXPIRES;
    int64_t expiry_ms = expires ? roan_entry_expiry(place->entry) : 0;
    roan_entry *entry =
        roan_entry_create_inline(roan_table_arena(place->table), place->name, value.bytes, expires, expiry_ms);
    if (value.bytes > 0)
        memcpy(roan_entry_inline(entry), value.data, value.bytes);
    roan_place_put(call, place, entry);
}

void roan_place_set_integer(roan_call *call, roan_place *place, int64_t value)
{
    roan_entry *entry = place->entry;
    if (entry != NULL && entry->type == ROAN_TYPE_STRING && entry->encoding == ROAN_STRING_INT) {
        roan_entry_set_integer(entry, value);
        return;
    }
    bool expires = entry != NULL && entry->flags & ROAN_ENTRY_EXPIRES;
    int64_t expiry_ms = expires ? roan_entry_expiry(entry) : 0;
    roan_place_put(call, place,
                   roan_entry_create_integer(roan_table_arena(place->table), place->name, value, expires, expiry_ms));
}

void roan_place_store(roan_call *call, roan_place *place, roan_value value)
{
    (void)call;
    roan_entry *entry = place->entry;
    entry->encoding = value.encoding & 15;
    roan_entry_set_pointer(entry, value.data);
    if (entry->type == ROAN_TYPE_HASH) /* its fields may expire at other times than before */
        roan_table_replace(place->table, place->hash, &place->spot, entry);
}

void roan_place_create(roan_call *call, roan_place *place, roan_type type, roan_value value, int64_t expiry_ms)
{
    const roan_entry *old = place->entry;
    if (expiry_ms == ROAN_EXPIRY_KEEP)
        expiry_ms = old != NULL && old->flags & ROAN_ENTRY_EXPIRES ? roan_entry_expiry(old) : ROAN_EXPIRY_NONE;
    roan_place_put(call, place,
                   roan_entry_create_pointer(roan_table_arena(place->table), place->name, type, value.encoding,
                                             value.data, expiry_ms != ROAN_EXPIRY_NONE, expiry_ms));
}

/* Copies the first bytes of the old value and zeroes the rest. */
static void fill_resized(char *target, size_t bytes, roan_slice old)
{
    size_t kept = ROAN_MIN(bytes, old.bytes);
    if (kept > 0)
        memcpy(target, old.data, kept);
    memset(target + kept, 0, bytes - kept);
}

/* Long values grow by doubling up to a megabyte, then by a quarter, so that appends are amortised. */
static size_t blob_capacity(size_t bytes, bool is_growing)
{
    if (!is_growing)
        return bytes;
    return bytes < (1u << 20) ? bytes * 2 : bytes + bytes / 4;
}

static char *resize_blob(roan_call *call, roan_place *place, size_t bytes)
{
    roan_entry *entry = place->entry;
    roan_blob *blob = entry != NULL && entry->encoding == ROAN_STRING_BLOB ? roan_entry_pointer(entry) : NULL;
    if (blob != NULL && bytes <= blob->capacity) {
        if (bytes > blob->bytes)
            memset(blob->data + blob->bytes, 0, bytes - blob->bytes);
        blob->bytes = bytes;
        return blob->data;
    }
    size_t capacity = blob_capacity(bytes, entry != NULL);
    size_t total = roan_alloc_good_size(sizeof *blob + capacity);
    roan_blob *grown = roan_try_realloc(blob, blob == NULL ? 0 : sizeof *blob + blob->capacity, total);
    if (grown == NULL) {
        roan_call_error(call, "OOM command not allowed: the value is too large for the memory that is left");
        return NULL;
    }
    grown->capacity = total - sizeof *grown;
    if (blob != NULL) {
        memset(grown->data + grown->bytes, 0, bytes - grown->bytes);
        grown->bytes = bytes;
        roan_entry_set_pointer(entry, grown);
        return grown->data;
    }
    char scratch[ROAN_I64_TEXT_MAX];
    roan_slice old = entry == NULL ? roan_slice_make(NULL, 0) : roan_entry_string(entry, scratch);
    fill_resized(grown->data, bytes, old);
    grown->bytes = bytes;
    bool expires = entry != NULL && entry->flags & ROAN_ENTRY_EXPIRES;
    roan_place_put(call, place,
                   roan_entry_create_pointer(roan_table_arena(place->table), place->name, ROAN_TYPE_STRING,
                                             ROAN_STRING_BLOB, grown, expires, expires ? roan_entry_expiry(entry) : 0));
    return grown->data;
}

char *roan_place_resize_string(roan_call *call, roan_place *place, size_t bytes)
{
    roan_entry *entry = place->entry;
    ROAN_ASSERT(entry == NULL || entry->type == ROAN_TYPE_STRING);
    if (bytes > ROAN_INLINE_BYTES_MAX || (entry != NULL && entry->encoding == ROAN_STRING_BLOB))
        return resize_blob(call, place, bytes);
    if (entry != NULL && roan_entry_is_inline(entry)) {
        entry->encoding = ROAN_STRING_INLINE_RAW;
        if (bytes == entry->value_bytes)
            return roan_entry_inline(entry);
    }
    char scratch[ROAN_I64_TEXT_MAX];
    roan_slice old = entry == NULL ? roan_slice_make(NULL, 0) : roan_entry_string(entry, scratch);
    bool expires = entry != NULL && entry->flags & ROAN_ENTRY_EXPIRES;
    roan_entry *resized = roan_entry_create_inline(roan_table_arena(place->table), place->name, bytes, expires,
                                                   expires ? roan_entry_expiry(entry) : 0);
    resized->encoding = ROAN_STRING_INLINE_RAW;
    fill_resized(roan_entry_inline(resized), bytes, old);
    roan_place_put(call, place, resized);
    return roan_entry_inline(resized);
}

roan_entry *roan_place_take(roan_call *call, roan_place *place)
{
    (void)call;
    roan_entry *entry = roan_table_remove(place->table, place->hash, &place->spot);
    ROAN_ASSERT(entry == place->entry);
    place->entry = NULL;
    roan_table_find(place->table, place->hash, place->name, &place->spot);
    return entry;
}

void roan_place_delete(roan_call *call, roan_place *place, bool is_lazy)
{
    roan_keyspace_free_entry(call->engine, place->table, roan_place_take(call, place), is_lazy);
}

void roan_place_expire_now(roan_call *call, roan_place *place)
{
    bool is_lazy = call->engine->config.lazyfree_lazy_expire;
    roan_slice argv[] = {is_lazy ? ROAN_LITERAL("UNLINK") : ROAN_LITERAL("DEL"), place->name};
    roan_place_delete(call, place, is_lazy);
    call->lane->stats->expired++;
    roan_call_changed(call, place, ROAN_EVENT_EXPIRED, "expired");
    roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
}

void roan_place_set_expiry(roan_call *call, roan_place *place, int64_t expiry_ms)
{
    (void)call;
    roan_entry *entry = place->entry;
    bool expires = expiry_ms != ROAN_EXPIRY_NONE;
    if (expires == (bool)(entry->flags & ROAN_ENTRY_EXPIRES)) {
        if (expires)
            memcpy(entry + 1, &expiry_ms, sizeof expiry_ms);
        swap_entry(place, entry);
        return;
    }
    roan_arena *arena = place->table->arena;
    swap_entry(place, roan_entry_move(arena, arena, entry, place->name, expires, expiry_ms));
}

/* ---- whole databases ---- */

#define RANDOM_TRIES_MAX 100 /* a database full of expired keys: the last one drawn has to do */

static roan_entry *draw_entry(roan_call *call, uint64_t count)
{
    roan_table *tables = call->db->tables;
    uint64_t place = roan_random_below(&call->lane->random, count);
    unsigned stripe = 0;
    for (; place >= tables[stripe].count; stripe++)
        place -= tables[stripe].count;
    return roan_table_random(&tables[stripe], &call->lane->random);
}

roan_entry *roan_db_random(roan_call *call)
{
    for (unsigned tries = 0;; tries++) {
        uint64_t count = roan_db_count(call->engine, call->db);
        if (count == 0)
            return NULL;
        roan_entry *entry = draw_entry(call, count);
        roan_place place;
        if (tries == RANDOM_TRIES_MAX || !roan_entry_is_expired(entry, call->now_ms) || call->session->import_source)
            return entry;
        ROAN_IGNORE(roan_call_find_in(call, call->db, roan_entry_key(entry), &place)); /* deletes it */
    }
}

uint64_t roan_db_clear(roan_engine *engine, roan_db *db, bool is_async)
{
    uint64_t count = roan_db_count(engine, db);
    if (count == 0)
        return 0;
    roan_watch_touch_db(engine, db, NULL, 0);
    if (!is_async || engine->host.free_tables_later == NULL) {
        for (unsigned i = 0; i < engine->stripe_count; i++)
            roan_table_clear(&db->tables[i]);
        return count;
    }
    roan_table *full = db->tables;
    db->tables = roan_tables_create(engine);
    engine->host.free_tables_later(engine->host.context, full, engine->stripe_count);
    return count;
}
