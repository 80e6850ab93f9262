/* engine/entry.h: a key and what belongs to it, in one allocation.
 *
 *   | clock 24, type 4, encoding 4 | flags u8 | key u8 | value u16 | [expiry i64] [value slot 8] [key u32] key value
 *    --------------------------- 8 bytes -----------------------    if EXPIRES   if not inline if key=255
 *
 * An entry's memory comes from the arena of the table it is in, which whoever creates or frees it names (NULL: from the
 * allocator). A short string lives inline behind the key; a long one behind a pointer in the value slot, as every
 * other type does; a canonical integer is stored as a number in the value slot. The allocation is always exactly
 * roan_entry_bytes() long in the allocator's eyes, so an entry can be freed, or overwritten in place, without
 * remembering its size.
 *
 * Invariant 1: an INLINE string has value <= ROAN_INLINE_BYTES_MAX.   Checked by roan_entry_check().
 * Invariant 2: key u8 is 255 exactly when the long key length is stored.
 */
#pragma once

#include "base/alloc.h"
#include "base/number.h"
#include "roan/base.h"
#include "types/table.h"
#include "types/value.h"

/* Types under the reference's names, in its TYPE order. */
#define ROAN_TYPE_LIST_OF(X)                                                                      \
    X(STRING, "string") X(LIST, "list") X(SET, "set") X(ZSET, "zset") X(HASH, "hash")             \
    X(STREAM, "stream")
#define ROAN_TYPE_ENUM(name, text) ROAN_TYPE_##name,
typedef enum roan_type { ROAN_TYPE_LIST_OF(ROAN_TYPE_ENUM) ROAN_TYPE_COUNT } roan_type;
#undef ROAN_TYPE_ENUM

/* Encodings of a string. */
typedef enum roan_string_encoding {
    ROAN_STRING_INLINE,     /* bytes behind the key */
    ROAN_STRING_INLINE_RAW, /* the same, but OBJECT ENCODING says raw: it is longer, or was modified in place */
    ROAN_STRING_INT,        /* int64_t in the value slot */
    ROAN_STRING_BLOB,       /* roan_blob * in the value slot */
} roan_string_encoding;

enum {
    ROAN_ENTRY_EXPIRES = 1,
    ROAN_ENTRY_PAGED = 2, /* lies in a page of its table's arena */
};

#define ROAN_INLINE_BYTES_MAX 1024u
#define ROAN_KEY_BYTES_SHORT_MAX 254u

typedef struct roan_entry {
    uint32_t clock : 24; /* LRU seconds or LFU minutes and counter, see engine/evict.h */
    uint32_t type : 4;
    uint32_t encoding : 4;
    uint8_t flags;
    uint8_t key_bytes; /* 255: the length is stored before the key */
    uint16_t value_bytes; /* INLINE strings */
} roan_entry;

_Static_assert(sizeof(roan_entry) == 8, "the header is eight bytes");

/* A long string: capacity follows the size by doubling when it is appended to. */
typedef struct roan_blob {
    size_t bytes;
    size_t capacity;
    char data[];
} roan_blob;

static inline bool roan_entry_is_inline(const roan_entry *entry)
{
    return entry->type == ROAN_TYPE_STRING && entry->encoding <= ROAN_STRING_INLINE_RAW;
}

static inline char *roan_entry_body(const roan_entry *entry)
{
    return (char *)(uintptr_t)(entry + 1) + (entry->flags & ROAN_ENTRY_EXPIRES ? sizeof(int64_t) : 0);
}

/* Where the eight bytes of a value that is not inline stand. */
static inline void *roan_entry_value_slot(const roan_entry *entry)
{
    return roan_entry_body(entry);
}

static inline void *roan_entry_pointer(const roan_entry *entry)
{
    void *pointer;
    memcpy(&pointer, roan_entry_value_slot(entry), sizeof pointer);
    return pointer;
}

static inline void roan_entry_set_pointer(roan_entry *entry, void *pointer)
{
    memcpy(roan_entry_value_slot(entry), &pointer, sizeof pointer);
}

static inline int64_t roan_entry_integer(const roan_entry *entry)
{
    int64_t integer;
    memcpy(&integer, roan_entry_value_slot(entry), sizeof integer);
    return integer;
}

static inline void roan_entry_set_integer(roan_entry *entry, int64_t integer)
{
    memcpy(roan_entry_value_slot(entry), &integer, sizeof integer);
}

static inline roan_slice roan_entry_key(const roan_entry *entry)
{
    const char *at = roan_entry_body(entry) + (roan_entry_is_inline(entry) ? 0 : sizeof(void *));
    uint32_t bytes = entry->key_bytes;
    if (ROAN_UNLIKELY(bytes > ROAN_KEY_BYTES_SHORT_MAX)) {
        memcpy(&bytes, at, sizeof bytes);
        at += sizeof bytes;
    }
    return roan_slice_make(at, bytes);
}

/* The bytes of an INLINE string. */
static inline char *roan_entry_inline(const roan_entry *entry)
{
    roan_slice key = roan_entry_key(entry);
    return (char *)(uintptr_t)(key.data + key.bytes);
}

/* When the entry expires, in milliseconds since 1970; only with ROAN_ENTRY_EXPIRES. */
static inline int64_t roan_entry_expiry(const roan_entry *entry)
{
    int64_t when;
    memcpy(&when, entry + 1, sizeof when);
    return when;
}

static inline bool roan_entry_is_expired(const roan_entry *entry, int64_t now_ms)
{
    return entry->flags & ROAN_ENTRY_EXPIRES && roan_entry_expiry(entry) <= now_ms;
}

/* The bytes an entry of this shape takes. */
static inline size_t roan_entry_bytes_for(size_t key_bytes, bool expires, bool is_inline, size_t value_bytes)
{
    return sizeof(roan_entry) + (expires ? sizeof(int64_t) : 0) + (is_inline ? value_bytes : sizeof(void *)) +
           (key_bytes > ROAN_KEY_BYTES_SHORT_MAX ? sizeof(uint32_t) : 0) + key_bytes;
}

static inline size_t roan_entry_bytes(const roan_entry *entry)
{
    return roan_entry_bytes_for(roan_entry_key(entry).bytes, entry->flags & ROAN_ENTRY_EXPIRES,
                                roan_entry_is_inline(entry), entry->value_bytes);
}

/* `arena` below is that of the table the entry is for; NULL for none. */

/* A new string entry holding `value` in its best encoding; clock 0. Never NULL. */
roan_entry *roan_entry_create_string(roan_arena *arena, roan_slice key, roan_slice value, bool expires,
                                     int64_t expiry_ms);

/* A new string entry with an INLINE value of that many bytes, which the caller fills in. */
roan_entry *roan_entry_create_inline(roan_arena *arena, roan_slice key, size_t value_bytes, bool expires,
                                     int64_t expiry_ms);

/* A new entry whose value slot holds `pointer`, which it owns from now on. */
roan_entry *roan_entry_create_pointer(roan_arena *arena, roan_slice key, roan_type type, unsigned encoding,
                                      void *pointer, bool expires, int64_t expiry_ms);
roan_entry *roan_entry_create_integer(roan_arena *arena, roan_slice key, int64_t value, bool expires,
                                      int64_t expiry_ms);

/* Overwrites a string entry with another string where its allocation serves as it is; false: nothing was changed.
 * The expiry stays or goes as `expires` says. */
bool roan_entry_overwrite_string(roan_entry *entry, roan_slice value, bool expires, int64_t expiry_ms);

/* A copy of the same key and value with another key name and expiry (deep). */
roan_entry *roan_entry_copy(roan_arena *arena, const roan_entry *entry, roan_slice key, bool expires,
                            int64_t expiry_ms);

/* The same entry under a new name, with expiry added or removed, or in another table (`arena`): the value and the clock
 * move, the old entry is freed to `old_arena`. */
roan_entry *roan_entry_move(roan_arena *arena, roan_arena *old_arena, roan_entry *entry, roan_slice key, bool expires,
                            int64_t expiry_ms);

/* The value of an entry that is no string, as its type's functions take it. */
static inline roan_value roan_entry_value(const roan_entry *entry)
{
    return (roan_value){.data = roan_entry_pointer(entry), .encoding = entry->encoding};
}

/* Frees entry and value. */
void roan_entry_free(roan_arena *arena, roan_entry *entry);
/* Frees the value only: for an entry whose arena is freed as a whole. Memory outside of pages is freed, too. */
void roan_entry_free_with_arena(roan_entry *entry);

/* How much work freeing takes: 1 for a string, elements for an aggregate. Large ones are freed in the background. */
size_t roan_entry_free_effort(const roan_entry *entry);

/* Bytes the entry holds in memory, allocator rounding included. `samples` elements of aggregates are looked at. */
size_t roan_entry_memory(const roan_entry *entry, size_t samples);

/* The new entry replaces one with an expiry: OBJECT ENCODING will speak of it as if it had kept the room for one. */
void roan_entry_inherit_expiry_room(roan_entry *entry);

/* The name OBJECT ENCODING shows. */
const char *roan_entry_encoding_name(const roan_entry *entry);
const char *roan_type_name(roan_type type);

/* What the tables of keys are told of their items. */
extern const roan_table_ops roan_entry_table_ops;

/* The bytes of a string value; an integer is written to `scratch`. Borrowed until the entry changes. */
static inline roan_slice roan_entry_string(const roan_entry *entry, char scratch[ROAN_I64_TEXT_MAX])
{
    ROAN_ASSERT(entry->type == ROAN_TYPE_STRING);
    if (entry->encoding <= ROAN_STRING_INLINE_RAW)
        return roan_slice_make(roan_entry_inline(entry), entry->value_bytes);
    if (entry->encoding == ROAN_STRING_INT)
        return roan_slice_make(scratch, roan_format_i64(scratch, roan_entry_integer(entry)));
    const roan_blob *blob = roan_entry_pointer(entry);
    return roan_slice_make(blob->data, blob->bytes);
}

size_t roan_entry_string_bytes(const roan_entry *entry);

/* States the invariants. */
void roan_entry_check(const roan_entry *entry);

roan_blob *roan_blob_create(size_t bytes, size_t capacity);
void roan_blob_free(roan_blob *blob);
