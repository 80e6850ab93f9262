/* types/stream_node.c: writing and reading a stream's node; see stream_node.h for the bytes.
 *
 * Places make every entry reachable at once: finding an id is a binary search, and walking backwards is as easy as
 * forwards. They also say how long an entry is, so nothing else does.
 *
 * The limits of a node count the bytes of the reference's nodes (listpacks), so that approximate trimming, which
 * removes whole nodes, removes the same entries. Those bytes are computed while an entry is written and never stored.
 */
#include "types/stream_node.h"

#include "base/alloc.h"

#define FLAG_DELETED 0x80u
#define FLAG_SAME_NAMES 0x40u
#define CODE_BITS 3u
#define CODE_MASK 7u
#define CODE_8_BYTES 7u
#define NARROW_MAX UINT16_MAX   /* the last byte where an entry may begin in a node that is not wide */
#define ENTRY_HEAD_MAX (1 + 8 + 8)
#define GROWTH_MAX ((size_t)1 << 20) /* beyond, a node grows by a quarter */

/* ---- the reference's bytes ---- */

/* An element of a listpack: its packed form, which has the same sizes, and its length for walking back. */
static size_t reference_element(size_t bytes)
{
    return bytes + (bytes < 128 ? 1 : bytes < 16384 ? 2 : bytes < 2097152 ? 3 : bytes < 268435456 ? 4 : 5);
}

static size_t reference_integer(uint64_t value)
{
    if (value < 128)
        return 2;
    roan_packed item = roan_packed_from_integer((int64_t)value);
    return reference_element(roan_packed_bytes(&item));
}

/* Flags, difference of ids, [count of fields], ..., count of elements. */
static size_t reference_frame(roan_stream_id base, roan_stream_id id, size_t field_count, bool has_same_names)
{
    size_t bytes = 2 + reference_integer(id.ms - base.ms) + reference_integer(id.seq - base.seq);
    if (has_same_names)
        return bytes + reference_integer(field_count + 3);
    return bytes + reference_integer(field_count) + reference_integer(2 * field_count + 4);
}

#define REFERENCE_FRAME_OF_NODE (7 + 2) /* a listpack's head and end; the zero behind the names */

size_t roan_stream_node_reference_header(roan_stream_fields fields)
{
    size_t bytes = REFERENCE_FRAME_OF_NODE + reference_integer(fields.count);
    for (size_t i = 0; i < fields.count; i++)
        bytes += reference_element(roan_packed_size(fields.words[2 * i]));
    return bytes;
}

size_t roan_stream_node_reference_counters(const roan_stream_node *node)
{
    return reference_integer(roan_stream_node_live(node)) + reference_integer(node->deleted);
}

static size_t reference_items(const char **at, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const char *next = roan_packed_skip(*at);
        bytes += reference_element((size_t)(next - *at));
        *at = next;
    }
    return bytes;
}

size_t roan_stream_node_reference_bytes(const roan_stream_node *node, roan_stream_id base)
{
    roan_packed names;
    const char *at = roan_packed_read(node->data, &names);
    size_t bytes = REFERENCE_FRAME_OF_NODE + reference_integer((uint64_t)names.integer);
    bytes += reference_items(&at, (size_t)names.integer);
    for (unsigned i = 0; i < node->count; i++) {
        roan_stream_entry entry;
        roan_stream_node_entry(node, base, i, &entry);
        bytes += reference_frame(base, entry.id, entry.field_count, entry.names != NULL);
        bytes += reference_items(&entry.at, entry.field_count * (entry.names != NULL ? 1 : 2));
    }
    return bytes;
}

/* ---- places ---- */

static size_t place_bytes(const roan_stream_node *node)
{
    return node->is_wide ? sizeof(uint32_t) : sizeof(uint16_t);
}

static ROAN_ALWAYS_INLINE uint32_t read_place(const roan_stream_node *node, unsigned index)
{
    const char *end = (const char *)node + node->capacity;
    uint32_t wide;
    uint16_t narrow;
    if (ROAN_UNLIKELY(node->is_wide)) {
        memcpy(&wide, end - (size_t)(index + 1) * sizeof wide, sizeof wide);
        return wide;
    }
    memcpy(&narrow, end - (size_t)(index + 1) * sizeof narrow, sizeof narrow);
    return narrow;
}

static void write_place(roan_stream_node *node, unsigned index, uint32_t place)
{
    char *end = (char *)node + node->capacity;
    uint16_t narrow = (uint16_t)place;
    if (ROAN_UNLIKELY(node->is_wide)) {
        memcpy(end - (size_t)(index + 1) * sizeof place, &place, sizeof place);
        return;
    }
    ROAN_ASSERT(place <= NARROW_MAX);
    memcpy(end - (size_t)(index + 1) * sizeof narrow, &narrow, sizeof narrow);
}

/* ---- whole nodes ---- */

/* Packed text takes at most so much. */
static size_t text_bytes_max(roan_slice text)
{
    return text.bytes + ROAN_PACKED_HEADER_MAX;
}

roan_stream_node *roan_stream_node_create(roan_stream_fields fields, size_t bytes)
{
    size_t needed = sizeof(roan_stream_node) + ROAN_PACKED_INTEGER_MAX;
    for (size_t i = 0; i < fields.count; i++)
        needed += text_bytes_max(fields.words[2 * i]);
    size_t capacity = roan_alloc_good_size(ROAN_MAX(needed, bytes));
    ROAN_ASSERT(capacity <= UINT32_MAX);
    roan_stream_node *node = roan_alloc(capacity);
    *node = (roan_stream_node){.capacity = (uint32_t)capacity};
    roan_packed count = roan_packed_from_integer((int64_t)fields.count);
    char *at = roan_packed_put(node->data, &count);
    for (size_t i = 0; i < fields.count; i++)
        at = roan_packed_write(at, fields.words[2 * i]);
    node->bytes = (uint32_t)(at - (char *)node);
    return node;
}

void roan_stream_node_free(roan_stream_node *node)
{
    roan_free(node, node->capacity);
}

static roan_stream_node *resize(roan_stream_node *node, size_t capacity)
{
    size_t places = node->count * place_bytes(node), old_capacity = node->capacity;
    ROAN_ASSERT(capacity <= UINT32_MAX && node->bytes + places <= capacity);
    if (capacity < old_capacity)
        memmove((char *)node + capacity - places, (char *)node + old_capacity - places, places);
    node = roan_realloc(node, old_capacity, capacity);
    if (capacity > old_capacity)
        memmove((char *)node + capacity - places, (char *)node + old_capacity - places, places);
    node->capacity = (uint32_t)capacity;
    return node;
}

roan_stream_node *roan_stream_node_fit(roan_stream_node *node)
{
    size_t capacity = roan_alloc_good_size(node->bytes + node->count * place_bytes(node));
    return capacity < node->capacity ? resize(node, capacity) : node;
}

roan_stream_node *roan_stream_node_copy(const roan_stream_node *node)
{
    roan_stream_node *copy = roan_alloc(node->capacity);
    size_t places = node->count * place_bytes(node);
    memcpy(copy, node, node->bytes);
    memcpy((char *)copy + node->capacity - places, (const char *)node + node->capacity - places, places);
    return copy;
}

/* The same node with places of four bytes. */
static roan_stream_node *widen(roan_stream_node *node)
{
    size_t capacity = roan_alloc_good_size(node->bytes + node->count * sizeof(uint32_t));
    ROAN_ASSERT(capacity <= UINT32_MAX);
    roan_stream_node *wide = roan_alloc(capacity);
    memcpy(wide, node, node->bytes);
    wide->capacity = (uint32_t)capacity;
    wide->is_wide = true;
    for (unsigned i = 0; i < node->count; i++)
        write_place(wide, i, read_place(node, i));
    roan_stream_node_free(node);
    return wide;
}

/* Makes room for an entry of at most so many bytes, and its place. */
static roan_stream_node *reserve(roan_stream_node *node, size_t entry_bytes)
{
    if (ROAN_UNLIKELY(node->bytes > NARROW_MAX && !node->is_wide))
        node = widen(node);
    size_t needed = node->bytes + entry_bytes + (node->count + 1) * place_bytes(node);
    if (ROAN_LIKELY(needed <= node->capacity))
        return node;
    size_t grown = node->capacity + ROAN_MIN((size_t)node->capacity, ROAN_MAX(GROWTH_MAX, (size_t)node->capacity / 4));
    return resize(node, roan_alloc_good_size(ROAN_MAX(needed, grown)));
}

/* ---- entries ---- */

/* How many bytes a part of an id takes, as the code in the flags. */
static unsigned number_code(uint64_t value)
{
    unsigned bits = value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
    return bits <= 48 ? (bits + 7) / 8 : CODE_8_BYTES;
}

static ROAN_ALWAYS_INLINE unsigned code_bytes(unsigned code)
{
    return code == CODE_8_BYTES ? 8 : code;
}

static char *write_number(char *at, uint64_t value, unsigned code)
{
    for (unsigned i = 0; i < code_bytes(code); i++)
        *at++ = (char)(value >> (8 * i));
    return at;
}

static ROAN_ALWAYS_INLINE uint64_t read_number(const char **at, unsigned code)
{
    uint64_t value = 0;
    unsigned bytes = code_bytes(code);
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)(unsigned char)(*at)[i] << (8 * i);
    *at += bytes;
    return value;
}

static ROAN_ALWAYS_INLINE roan_stream_id read_id(const char **at, unsigned flags, roan_stream_id base)
{
    uint64_t ms = read_number(at, flags & CODE_MASK);
    uint64_t seq = read_number(at, flags >> CODE_BITS & CODE_MASK);
    return (roan_stream_id){base.ms + ms, ms == 0 ? base.seq + seq : seq};
}

/* Are the names those of the node's first entry? */
static bool has_names_of(const roan_stream_node *node, roan_stream_fields fields)
{
    roan_packed item;
    const char *at = roan_packed_read(node->data, &item);
    if ((size_t)item.integer != fields.count)
        return false;
    for (size_t i = 0; i < fields.count; i++) {
        roan_slice name = fields.words[2 * i];
        at = roan_packed_read(at, &item);
        if (item.is_integer ? !roan_packed_equals(&item, name)
                            : item.text.bytes != name.bytes || memcmp(item.text.data, name.data, name.bytes) != 0)
            return false;
    }
    return true;
}

static char *write_word(char *at, roan_slice word, size_t *reference_bytes)
{
    char *end = roan_packed_write(at, word);
    *reference_bytes += reference_element((size_t)(end - at));
    return end;
}

static char *write_entry(char *at, roan_stream_id base, roan_stream_id id, roan_stream_fields fields,
                         bool has_same_names, size_t *reference_bytes)
{
    roan_stream_id delta = {id.ms - base.ms, id.ms == base.ms ? id.seq - base.seq : id.seq};
    unsigned ms_code = number_code(delta.ms), seq_code = number_code(delta.seq);
    *at++ = (char)(ms_code | seq_code << CODE_BITS | (has_same_names ? FLAG_SAME_NAMES : 0));
    at = write_number(at, delta.ms, ms_code);
    at = write_number(at, delta.seq, seq_code);
    *reference_bytes += reference_frame(base, id, fields.count, has_same_names);
    if (!has_same_names) {
        roan_packed count = roan_packed_from_integer((int64_t)fields.count);
        at = roan_packed_put(at, &count);
    }
    for (size_t i = 0; i < fields.count; i++) {
        if (!has_same_names)
            at = write_word(at, fields.words[2 * i], reference_bytes);
        at = write_word(at, fields.words[2 * i + 1], reference_bytes);
    }
    return at;
}

roan_stream_node *roan_stream_node_append(roan_stream_node *node, roan_stream_id base, roan_stream_id id,
                                          roan_stream_fields fields, size_t *reference_bytes)
{
    bool has_same_names = has_names_of(node, fields);
    size_t bytes_max = ENTRY_HEAD_MAX;
    if (!has_same_names)
        bytes_max += ROAN_PACKED_INTEGER_MAX;
    for (size_t i = 0; i < fields.count; i++)
        bytes_max +=
            text_bytes_max(fields.words[2 * i + 1]) + (has_same_names ? 0 : text_bytes_max(fields.words[2 * i]));
    node = reserve(node, bytes_max);
    char *at = (char *)node + node->bytes;
    write_place(node, node->count, node->bytes);
    char *end = write_entry(at, base, id, fields, has_same_names, reference_bytes);
    ROAN_ASSERT((size_t)(end - at) <= bytes_max);
    node->bytes = (uint32_t)(end - (char *)node);
    node->count++;
    return node;
}

void roan_stream_node_entry(const roan_stream_node *node, roan_stream_id base, unsigned index, roan_stream_entry *entry)
{
    const char *at = (const char *)node + read_place(node, index);
    unsigned flags = (unsigned char)*at++;
    roan_packed count;
    entry->id = read_id(&at, flags, base);
    entry->is_deleted = flags & FLAG_DELETED;
    entry->names = NULL;
    if (ROAN_LIKELY(flags & FLAG_SAME_NAMES))
        entry->names = roan_packed_read(node->data, &count);
    else
        at = roan_packed_read(at, &count);
    entry->field_count = (size_t)count.integer;
    entry->at = at;
}

roan_stream_id roan_stream_node_id(const roan_stream_node *node, roan_stream_id base, unsigned index)
{
    const char *at = (const char *)node + read_place(node, index);
    unsigned flags = (unsigned char)*at++;
    return read_id(&at, flags, base);
}

unsigned roan_stream_node_find(const roan_stream_node *node, roan_stream_id base, roan_stream_id id)
{
    unsigned low = 0, high = node->count;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (roan_stream_id_is_less(roan_stream_node_id(node, base, middle), id))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool roan_stream_node_is_deleted(const roan_stream_node *node, unsigned index)
{
    return ((const char *)node)[read_place(node, index)] & FLAG_DELETED;
}

void roan_stream_node_delete(roan_stream_node *node, unsigned index)
{
    char *flags = (char *)node + read_place(node, index);
    ROAN_ASSERT(!(*flags & FLAG_DELETED));
    *flags = (char)(*flags | FLAG_DELETED);
    node->deleted++;
}

void roan_stream_node_drop_last(roan_stream_node *node)
{
    ROAN_ASSERT(roan_stream_node_is_deleted(node, node->count - 1));
    node->bytes = read_place(node, --node->count);
    node->deleted--;
}

void roan_stream_node_check(const roan_stream_node *node, roan_stream_id base)
{
    unsigned deleted = 0;
    ROAN_ASSERT(node->count > 0 && node->bytes + node->count * place_bytes(node) <= node->capacity);
    for (unsigned i = 0; i < node->count; i++) {
        roan_stream_entry entry;
        roan_packed name, value;
        roan_stream_node_entry(node, base, i, &entry);
        deleted += entry.is_deleted;
        ROAN_ASSERT(i > 0 || roan_stream_id_is_equal(entry.id, base));
        ROAN_ASSERT(i == 0 || roan_stream_id_is_less(roan_stream_node_id(node, base, i - 1), entry.id));
        for (size_t j = 0; j < entry.field_count; j++)
            roan_stream_entry_next(&entry, &name, &value);
        uint32_t end = i + 1 < node->count ? read_place(node, i + 1) : node->bytes;
        ROAN_ASSERT(entry.at == (const char *)node + end);
    }
    ROAN_ASSERT(deleted == node->deleted);
}
