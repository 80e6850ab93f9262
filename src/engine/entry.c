/* engine/entry.c: making, copying, moving and freeing entries; see entry.h for the layout.
 *
 * Other types plug in through one row each in `type_ops`: how to free, copy and weigh a value that sits behind the
 * pointer in the value slot.
 */
#include "engine/entry.h"

#include "base/macros.h"
#include "types/hash.h"
#include "types/list.h"
#include "types/set.h"
#include "types/stream.h"
#include "types/zset.h"

#define EMBSTR_BYTES_MAX 113u    /* see inline_encoding */
#define EMBSTR_KEY_BYTES_SHORT 31u

/* A string's value is the entry's own business; other types bring their row. */
static const roan_type_ops *const type_ops[ROAN_TYPE_COUNT] = {
    [ROAN_TYPE_STRING] = NULL,
    [ROAN_TYPE_LIST] = &roan_list_ops,
    [ROAN_TYPE_SET] = &roan_set_ops,
    [ROAN_TYPE_ZSET] = &roan_zset_ops,
    [ROAN_TYPE_HASH] = &roan_hash_ops,
    [ROAN_TYPE_STREAM] = &roan_stream_ops,
};

static const char *const type_names[ROAN_TYPE_COUNT] = {
#define TYPE_NAME(name, text) [ROAN_TYPE_##name] = (text),
    ROAN_TYPE_LIST_OF(TYPE_NAME)
#undef TYPE_NAME
};

static const roan_type_ops *ops_of(const roan_entry *entry)
{
    ROAN_ASSERT(entry->type < ROAN_TYPE_COUNT && type_ops[entry->type] != NULL);
    return type_ops[entry->type];
}

static void free_value(const roan_entry *entry)
{
    if (entry->type != ROAN_TYPE_STRING)
        ops_of(entry)->free_value(roan_entry_value(entry));
    else if (entry->encoding == ROAN_STRING_BLOB)
        roan_blob_free(roan_entry_pointer(entry));
}

/* What goes into the value slot of a copy. */
static void copy_value(roan_entry *copy, const roan_entry *entry)
{
    if (entry->type != ROAN_TYPE_STRING) {
        roan_value value = ops_of(entry)->copy_value(roan_entry_value(entry));
        copy->encoding = value.encoding & 15;
        roan_entry_set_pointer(copy, value.data);
    } else if (entry->encoding == ROAN_STRING_BLOB) {
        const roan_blob *blob = roan_entry_pointer(entry);
        roan_blob *twin = roan_blob_create(blob->bytes, blob->bytes);
        memcpy(twin->data, blob->data, blob->bytes);
        roan_entry_set_pointer(copy, twin);
    }
}

static size_t value_memory(const roan_entry *entry, size_t samples)
{
    if (entry->type != ROAN_TYPE_STRING)
        return ops_of(entry)->memory(roan_entry_value(entry), samples);
    if (entry->encoding != ROAN_STRING_BLOB)
        return 0;
    const roan_blob *blob = roan_entry_pointer(entry);
    return roan_alloc_good_size(sizeof *blob + blob->capacity);
}

const char *roan_type_name(roan_type type)
{
    ROAN_ASSERT(type < ROAN_TYPE_COUNT);
    return type_names[type];
}

roan_blob *roan_blob_create(size_t bytes, size_t capacity)
{
    ROAN_ASSERT(bytes <= capacity);
    size_t total = roan_alloc_good_size(sizeof(roan_blob) + capacity);
    roan_blob *blob = roan_alloc(total);
    blob->bytes = bytes;
    blob->capacity = total - sizeof(roan_blob);
    return blob;
}

void roan_blob_free(roan_blob *blob)
{
    if (blob != NULL)
        roan_free(blob, sizeof *blob + blob->capacity);
}

/* What OBJECT ENCODING shall say of a string behind its key: the reference calls it embstr while key, expiry and value
 * have room in its two cache lines, and keeps calling it raw once it did. */
static unsigned inline_encoding(size_t key_bytes, bool expires, size_t value_bytes)
{
    size_t bytes = key_bytes + (key_bytes > EMBSTR_KEY_BYTES_SHORT ? 2 : 0) + (expires ? 8 : 0) + value_bytes;
    return bytes <= EMBSTR_BYTES_MAX ? ROAN_STRING_INLINE : ROAN_STRING_INLINE_RAW;
}

/* Memory for an entry, its header filled in but for the key. */
static roan_entry *allocate(roan_arena *arena, size_t bytes, roan_entry header)
{
    bool is_paged;
    roan_entry *entry = roan_arena_alloc(arena, bytes, &is_paged);
    *entry = header;
    entry->flags = is_paged ? ROAN_ENTRY_PAGED : 0;
    return entry;
}

static void release(roan_arena *arena, roan_entry *entry, size_t bytes)
{
    roan_arena_release(arena, entry, bytes, entry->flags & ROAN_ENTRY_PAGED);
}

/* Writes header, expiry and key; returns where the inline value goes. */
static char *write_front(roan_entry *entry, roan_slice key, bool expires, int64_t expiry_ms)
{
    entry->flags = (uint8_t)((entry->flags & ROAN_ENTRY_PAGED) | (expires ? ROAN_ENTRY_EXPIRES : 0));
    if (expires)
        memcpy(entry + 1, &expiry_ms, sizeof expiry_ms);
    char *at = roan_entry_body(entry) + (roan_entry_is_inline(entry) ? 0 : sizeof(void *));
    if (key.bytes > ROAN_KEY_BYTES_SHORT_MAX) {
        ROAN_ASSERT(key.bytes <= UINT32_MAX);
        uint32_t bytes = (uint32_t)key.bytes;
        entry->key_bytes = 255;
        memcpy(at, &bytes, sizeof bytes);
        at += sizeof bytes;
    } else {
        entry->key_bytes = (uint8_t)key.bytes;
    }
    if (key.bytes > 0)
        memcpy(at, key.data, key.bytes);
    return at + key.bytes;
}

roan_entry *roan_entry_create_pointer(roan_arena *arena, roan_slice key, roan_type type, unsigned encoding,
                                      void *pointer, bool expires, int64_t expiry_ms)
{
    roan_entry *entry = allocate(arena, roan_entry_bytes_for(key.bytes, expires, false, 0),
                                 (roan_entry){.type = type & 15, .encoding = encoding & 15});
    write_front(entry, key, expires, expiry_ms);
    roan_entry_set_pointer(entry, pointer);
    return entry;
}

roan_entry *roan_entry_create_integer(roan_arena *arena, roan_slice key, int64_t value, bool expires, int64_t expiry_ms)
{
    roan_entry *entry =
        roan_entry_create_pointer(arena, key, ROAN_TYPE_STRING, ROAN_STRING_INT, NULL, expires, expiry_ms);
    roan_entry_set_integer(entry, value);
    return entry;
}

roan_entry *roan_entry_create_inline(roan_arena *arena, roan_slice key, size_t value_bytes, bool expires,
                                     int64_t expiry_ms)
{
    ROAN_ASSERT(value_bytes <= ROAN_INLINE_BYTES_MAX);
    roan_entry *entry = allocate(arena, roan_entry_bytes_for(key.bytes, expires, true, value_bytes),
                                 (roan_entry){.type = ROAN_TYPE_STRING,
                                              .encoding = inline_encoding(key.bytes, expires, value_bytes) & 15,
                                              .value_bytes = (uint16_t)value_bytes});
    write_front(entry, key, expires, expiry_ms);
    return entry;
}

roan_entry *roan_entry_create_string(roan_arena *arena, roan_slice key, roan_slice value, bool expires,
                                     int64_t expiry_ms)
{
    int64_t integer;
    if (value.bytes <= 20 && roan_parse_i64(value, &integer))
        return roan_entry_create_integer(arena, key, integer, expires, expiry_ms);
    if (value.bytes > ROAN_INLINE_BYTES_MAX) {
        roan_blob *blob = roan_blob_create(value.bytes, value.bytes);
        memcpy(blob->data, value.data, value.bytes);
        return roan_entry_create_pointer(arena, key, ROAN_TYPE_STRING, ROAN_STRING_BLOB, blob, expires, expiry_ms);
    }
    roan_entry *entry = roan_entry_create_inline(arena, key, value.bytes, expires, expiry_ms);
    if (value.bytes > 0)
        memcpy(roan_entry_inline(entry), value.data, value.bytes);
    return entry;
}

/* Same shape before and after: only the bytes of the value (and of the expiry) differ. */
bool roan_entry_overwrite_string(roan_entry *entry, roan_slice value, bool expires, int64_t expiry_ms)
{
    if (entry->type != ROAN_TYPE_STRING || expires != (bool)(entry->flags & ROAN_ENTRY_EXPIRES))
        return false;
    int64_t integer;
    bool is_integer = value.bytes <= 20 && roan_parse_i64(value, &integer);
    if (is_integer) {
        if (entry->encoding != ROAN_STRING_INT)
            return false;
        roan_entry_set_integer(entry, integer);
    } else {
        if (!roan_entry_is_inline(entry) || value.bytes > ROAN_INLINE_BYTES_MAX)
            return false;
        if (value.bytes != entry->value_bytes) {
            size_t before = roan_entry_bytes(entry);
            size_t after = before - entry->value_bytes + value.bytes;
            bool is_paged = entry->flags & ROAN_ENTRY_PAGED;
            if ((before <= ROAN_ARENA_BYTES_MAX) != (after <= ROAN_ARENA_BYTES_MAX) ||
                (before + 7) / 8 != (after + 7) / 8 ||
                roan_arena_good_size(before, is_paged) != roan_arena_good_size(after, is_paged))
                return false;
            entry->value_bytes = (uint16_t)value.bytes;
        }
        entry->encoding = inline_encoding(roan_entry_key(entry).bytes, expires, value.bytes) & 15;
        if (value.bytes > 0)
            memmove(roan_entry_inline(entry), value.data, value.bytes);
    }
    if (expires)
        memcpy(entry + 1, &expiry_ms, sizeof expiry_ms);
    return true;
}

/* A new entry with another front and the same value; the value slot or inline bytes are copied as they are. */
static roan_entry *transplant(roan_arena *arena, const roan_entry *entry, roan_slice key, bool expires,
                              int64_t expiry_ms)
{
    bool is_inline = roan_entry_is_inline(entry);
    roan_entry *moved =
        allocate(arena, roan_entry_bytes_for(key.bytes, expires, is_inline, entry->value_bytes), *entry);
    char *at = write_front(moved, key, expires, expiry_ms);
    if (is_inline && moved->encoding == ROAN_STRING_INLINE)
        moved->encoding = inline_encoding(key.bytes, expires, moved->value_bytes) & 15;
    if (is_inline)
        memcpy(at, roan_entry_inline(entry), entry->value_bytes);
    else
        roan_entry_set_pointer(moved, roan_entry_pointer(entry));
    return moved;
}

roan_entry *roan_entry_copy(roan_arena *arena, const roan_entry *entry, roan_slice key, bool expires,
                            int64_t expiry_ms)
{
    roan_entry *copy = transplant(arena, entry, key, expires, expiry_ms);
    if (!roan_entry_is_inline(entry))
        copy_value(copy, entry);
    return copy;
}

roan_entry *roan_entry_move(roan_arena *arena, roan_arena *old_arena, roan_entry *entry, roan_slice key, bool expires,
                            int64_t expiry_ms)
{
    roan_entry *moved = transplant(arena, entry, key, expires, expiry_ms);
    release(old_arena, entry, roan_entry_bytes(entry));
    return moved;
}

void roan_entry_free(roan_arena *arena, roan_entry *entry)
{
    size_t bytes = roan_entry_bytes(entry);
    if (!roan_entry_is_inline(entry))
        free_value(entry);
    release(arena, entry, bytes);
}

void roan_entry_free_with_arena(roan_entry *entry)
{
    size_t bytes = roan_entry_bytes(entry);
    if (!roan_entry_is_inline(entry))
        free_value(entry);
    if (!(entry->flags & ROAN_ENTRY_PAGED))
        roan_free(entry, bytes);
}

size_t roan_entry_free_effort(const roan_entry *entry)
{
    return entry->type == ROAN_TYPE_STRING ? 1 : ops_of(entry)->effort(roan_entry_value(entry));
}

size_t roan_entry_memory(const roan_entry *entry, size_t samples)
{
    size_t bytes = roan_arena_good_size(roan_entry_bytes(entry), entry->flags & ROAN_ENTRY_PAGED);
    return roan_entry_is_inline(entry) ? bytes : bytes + value_memory(entry, samples);
}

size_t roan_entry_string_bytes(const roan_entry *entry)
{
    char scratch[ROAN_I64_TEXT_MAX];
    return roan_entry_string(entry, scratch).bytes;
}

void roan_entry_inherit_expiry_room(roan_entry *entry)
{
    if (roan_entry_is_inline(entry))
        entry->encoding = inline_encoding(roan_entry_key(entry).bytes, true, entry->value_bytes) & 15;
}

static const char *string_encoding_name(const roan_entry *entry)
{
    switch ((roan_string_encoding)entry->encoding) {
    case ROAN_STRING_INT:
        return "int";
    case ROAN_STRING_INLINE:
        return "embstr";
    case ROAN_STRING_INLINE_RAW:
    case ROAN_STRING_BLOB:
        return "raw";
    }
    ROAN_UNREACHABLE("string encoding");
}

const char *roan_entry_encoding_name(const roan_entry *entry)
{
    return entry->type == ROAN_TYPE_STRING ? string_encoding_name(entry)
                                           : ops_of(entry)->encoding_name(roan_entry_value(entry));
}

/* ---- what tables of keys must know ---- */

static roan_slice item_key(const void *item)
{
    return roan_entry_key(item);
}

static int64_t item_due_ms(const void *item, bool *ret_is_own)
{
    const roan_entry *entry = item;
    int64_t due_ms = INT64_MAX;
    if (entry->type != ROAN_TYPE_STRING && ops_of(entry)->soonest_ms != NULL)
        due_ms = ops_of(entry)->soonest_ms(roan_entry_value(entry));
    *ret_is_own = entry->flags & ROAN_ENTRY_EXPIRES;
    return *ret_is_own ? ROAN_MIN(due_ms, roan_entry_expiry(entry)) : due_ms;
}

static bool item_is_expired(const void *item, int64_t now_ms)
{
    return roan_entry_is_expired(item, now_ms);
}

static void free_item(void *item)
{
    roan_entry_free_with_arena(item);
}

static void check_item(const void *item)
{
    roan_entry_check(item);
}

const roan_table_ops roan_entry_table_ops = {.key = item_key,
                                             .due_ms = item_due_ms,
                                             .is_expired = item_is_expired,
                                             .free_with_arena = free_item,
                                             .check = check_item};

void roan_entry_check(const roan_entry *entry)
{
    ROAN_ASSERT(entry->type < ROAN_TYPE_COUNT);
    if (roan_entry_is_inline(entry))
        ROAN_ASSERT(entry->value_bytes <= ROAN_INLINE_BYTES_MAX);
    else
        ROAN_ASSERT(entry->value_bytes == 0);
    if (entry->type != ROAN_TYPE_STRING && ops_of(entry)->check != NULL)
        ops_of(entry)->check(roan_entry_value(entry));
    if (entry->key_bytes > ROAN_KEY_BYTES_SHORT_MAX)
        ROAN_ASSERT(roan_entry_key(entry).bytes > ROAN_KEY_BYTES_SHORT_MAX);
}
