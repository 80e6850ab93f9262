/* types/set.c: the three forms of a set, and the moments at which one becomes another.
 *
 *     intset --- a text that is no integer ---> pack, if all of it fits, else table
 *     intset --- one more than the limit -----> table
 *     pack ----- one more, or too long a one -> table
 *
 * Compact forms are searched with an item (an integer is compared as a number), tables with the text. A table's
 * elements are bare keys. Where many members are looked for, they go through the table in batches, one step of the
 * look-up for the whole batch after the other, so that the waits for memory overlap.
 *
 * Invariant 1: a pack holds only canonical items, none twice.
 * Invariant 2: a table's elements have neither value nor number.
 */
#include "types/set.h"

#include "base/alloc.h"
#include "types/set_inside.h"

#define PACK_BYTES_MAX ((size_t)1 << 30) /* a pack never gets larger, whatever the limits are */
#define FIND_BYTES_MAX 72                /* items up to this are compared by their bytes */
#define EFFORT_ELEMENTS 16               /* elements of a table that cost as much to free as an allocation */

/* ---- making and freeing ---- */

static roan_table *create_table(const roan_table_context *context)
{
    roan_table *table = roan_alloc(sizeof *table);
    roan_table_init(table, context);
    return table;
}

roan_value roan_set_create(void)
{
    return (roan_value){.data = roan_intset_create(), .encoding = ROAN_SET_INTS};
}

roan_value roan_set_create_as(const roan_type_context *types, roan_set_encoding encoding)
{
    if (encoding == ROAN_SET_INTS)
        return roan_set_create();
    return (roan_value){.data = encoding == ROAN_SET_PACK ? (void *)roan_pack_create() : create_table(&types->elements),
                        .encoding = encoding};
}

roan_value roan_set_create_for(const roan_type_context *types, roan_slice first, size_t expected)
{
    if (expected <= types->set_int_entries_max && roan_packed_from_text(first).is_integer)
        return roan_set_create();
    return roan_set_create_as(types, expected <= types->set_entries_max ? ROAN_SET_PACK : ROAN_SET_TABLE);
}

void roan_set_free(roan_value set)
{
    if (set.data == NULL)
        return;
    switch ((roan_set_encoding)set.encoding) {
    case ROAN_SET_INTS:
        roan_intset_free(set_ints(set));
        break;
    case ROAN_SET_PACK:
        roan_pack_free(set_pack(set));
        break;
    case ROAN_SET_TABLE:
        roan_table_clear(set_table(set));
        roan_free(set.data, sizeof(roan_table));
        break;
    }
}

size_t roan_set_count(roan_value set)
{
    switch ((roan_set_encoding)set.encoding) {
    case ROAN_SET_INTS:
        return roan_intset_count(set_ints(set));
    case ROAN_SET_PACK:
        return set_pack(set)->count;
    case ROAN_SET_TABLE:
        return set_table(set)->count;
    }
    ROAN_UNREACHABLE("no such encoding");
}

/* ---- looking into packs ---- */

/* The place behind the item at `at`, with the commonest forms inline. */
static ROAN_ALWAYS_INLINE const char *skip_packed(const char *at)
{
    unsigned first = (unsigned char)*at;
    if (first < 0x80)
        return at + 1;
    if (first < 0xc0)
        return at + 1 + (first & 0x3f);
    return first < 0xe0 ? at + 2 : roan_packed_skip(at);
}

static const char *find_long_packed(const roan_pack *pack, const roan_packed *wanted)
{
    roan_packed item;
    for (const char *at = roan_pack_first(pack), *next; at < roan_pack_end(pack); at = next) {
        next = roan_packed_read(at, &item);
        if (roan_packed_is_equal(&item, wanted))
            return at;
    }
    return NULL;
}

const char *roan_set_find_packed(const roan_pack *pack, const roan_packed *wanted)
{
    char bytes[FIND_BYTES_MAX];
    size_t count = roan_packed_bytes(wanted);
    if (count > sizeof bytes)
        return find_long_packed(pack, wanted);
    roan_packed_put(bytes, wanted); /* equal items have equal bytes, and no item begins like another */
    for (const char *at = roan_pack_first(pack), *end = roan_pack_end(pack); at < end; at = skip_packed(at))
        if (*at == *bytes && count <= (size_t)(end - at) && memcmp(at, bytes, count) == 0)
            return at;
    return NULL;
}

void roan_set_append_packed(roan_value *set, const roan_packed *item)
{
    set->data = roan_pack_append(set_pack(*set), item, 1);
}

/* ---- changing forms ---- */

/* Adds a member that is not there. */
static void insert_element(roan_table *table, uint64_t hash, roan_spot *spot, roan_slice member)
{
    roan_element_parts parts = {.key = member};
    roan_element_insert(table, hash, spot, &parts);
}

static bool add_to_table(roan_table *table, roan_slice member)
{
    uint64_t hash;
    roan_spot spot;
    if (roan_element_find(table, member, &hash, &spot) != NULL)
        return false;
    insert_element(table, hash, &spot, member);
    return true;
}

static bool copy_to_table(void *context, roan_slice member)
{
    bool was_added = add_to_table(context, member);
    ROAN_ASSERT(was_added);
    return true;
}

static void become_table(roan_value *set, const roan_type_context *types)
{
    roan_value old = *set;
    *set = roan_set_create_as(types, ROAN_SET_TABLE);
    roan_set_each(old, copy_to_table, set->data);
    roan_set_free(old);
}

static void ints_become_pack(roan_value *set)
{
    roan_intset *ints = set_ints(*set);
    roan_pack *pack = roan_pack_create();
    roan_packed items[ROAN_SET_BATCH];
    for (size_t i = 0, count = roan_intset_count(ints); i < count;) {
        size_t n = ROAN_MIN(count - i, (size_t)ROAN_SET_BATCH);
        for (size_t j = 0; j < n; j++, i++)
            items[j] = roan_packed_from_integer(roan_intset_at(ints, i));
        pack = roan_pack_append(pack, items, n);
    }
    roan_intset_free(ints);
    *set = (roan_value){.data = pack, .encoding = ROAN_SET_PACK};
}

static size_t text_bytes(const roan_packed *item)
{
    char scratch[ROAN_I64_TEXT_MAX];
    return roan_packed_text(item, scratch).bytes;
}

/* The longest of the integers as text: the first or the last. */
static size_t longest_integer_bytes(const roan_intset *ints)
{
    size_t count = roan_intset_count(ints);
    if (count == 0)
        return 0;
    roan_packed lowest = roan_packed_from_integer(roan_intset_at(ints, 0));
    roan_packed highest = roan_packed_from_integer(roan_intset_at(ints, count - 1));
    return ROAN_MAX(text_bytes(&lowest), text_bytes(&highest));
}

/* A pack may hold all the integers and one more member of that length. */
static bool ints_fit_pack(const roan_intset *ints, const roan_type_context *types, size_t bytes)
{
    size_t count = roan_intset_count(ints);
    return count < types->set_entries_max && bytes <= types->set_value_bytes_max &&
           longest_integer_bytes(ints) <= types->set_value_bytes_max &&
           bytes + count * ROAN_PACKED_INTEGER_MAX <= PACK_BYTES_MAX;
}

void roan_set_expect(roan_value *set, const roan_type_context *types, size_t expected)
{
    if ((set->encoding == ROAN_SET_PACK && expected > types->set_entries_max) ||
        (set->encoding == ROAN_SET_INTS && expected > types->set_int_entries_max))
        become_table(set, types);
}

/* ---- adding ---- */

static bool add_item(roan_value *set, const roan_type_context *types, const roan_packed *item);

static bool add_to_ints(roan_value *set, const roan_type_context *types, const roan_packed *item)
{
    roan_intset *ints = set_ints(*set);
    if (!item->is_integer) {
        if (ints_fit_pack(ints, types, item->text.bytes))
            ints_become_pack(set);
        else
            become_table(set, types);
        return add_item(set, types, item);
    }
    bool was_added = roan_intset_add(&ints, item->integer);
    set->data = ints;
    if (was_added && roan_intset_count(ints) > ROAN_MIN(types->set_int_entries_max, ROAN_INTSET_COUNT_MAX - 1))
        become_table(set, types);
    return was_added;
}

static bool add_to_pack(roan_value *set, const roan_type_context *types, const roan_packed *item)
{
    const roan_pack *pack = set_pack(*set);
    if (roan_set_find_packed(pack, item) != NULL)
        return false;
    size_t bytes = text_bytes(item);
    if (pack->count < types->set_entries_max && bytes <= types->set_value_bytes_max &&
        pack->bytes + bytes < PACK_BYTES_MAX) {
        roan_set_append_packed(set, item);
        return true;
    }
    become_table(set, types);
    return add_item(set, types, item);
}

/* Adds a canonical item. */
static bool add_item(roan_value *set, const roan_type_context *types, const roan_packed *item)
{
    char scratch[ROAN_I64_TEXT_MAX];
    switch ((roan_set_encoding)set->encoding) {
    case ROAN_SET_INTS:
        return add_to_ints(set, types, item);
    case ROAN_SET_PACK:
        return add_to_pack(set, types, item);
    case ROAN_SET_TABLE:
        return add_to_table(set_table(*set), roan_packed_text(item, scratch));
    }
    ROAN_UNREACHABLE("no such encoding");
}

bool roan_set_add(roan_value *set, const roan_type_context *types, roan_slice member)
{
    if (set->encoding == ROAN_SET_TABLE)
        return add_to_table(set_table(*set), member);
    roan_packed item = roan_packed_from_text(member);
    return add_item(set, types, &item);
}

/* ---- many at once ---- */

/* Reads ahead what finding these members will touch, and hashes them. */
static void read_ahead(const roan_table *table, const roan_slice *members, size_t count, uint64_t *ret_hashes)
{
    for (size_t i = 0; i < count; i++) {
        ret_hashes[i] = roan_table_hash(table, members[i]);
        roan_table_prefetch_segment(table, ret_hashes[i]);
    }
    for (size_t i = 0; i < count; i++)
        roan_table_prefetch_slots(table, ret_hashes[i]);
    for (size_t i = 0; i < count; i++)
        roan_table_prefetch_item(table, ret_hashes[i]);
}

/* At most ROAN_SET_BATCH members. */
static size_t add_batch_to_table(roan_table *table, const roan_slice *members, size_t count)
{
    uint64_t hashes[ROAN_SET_BATCH];
    size_t added = 0;
    read_ahead(table, members, count, hashes);
    for (size_t i = 0; i < count; i++) {
        roan_spot spot;
        if (roan_table_find_with(table, hashes[i], members[i], &spot, roan_element_key_of_item) != NULL)
            continue;
        insert_element(table, hashes[i], &spot, members[i]);
        added++;
    }
    return added;
}

size_t roan_set_add_many(roan_value *set, const roan_type_context *types, const roan_slice *members, size_t count)
{
    size_t added = 0, i = 0;
    for (; i < count && (set->encoding != ROAN_SET_TABLE || count - i == 1); i++)
        added += roan_set_add(set, types, members[i]);
    for (; i < count; i += ROAN_SET_BATCH)
        added += add_batch_to_table(set_table(*set), members + i, ROAN_MIN(count - i, (size_t)ROAN_SET_BATCH));
    return added;
}

size_t roan_set_add_items(roan_value *set, const roan_type_context *types, const roan_packed *items, size_t count)
{
    size_t added = 0, i = 0;
    for (; i < count && set->encoding != ROAN_SET_TABLE; i++) {
        roan_packed item = set_canonical(&items[i]);
        added += add_item(set, types, &item);
    }
    while (i < count) {
        char scratch[ROAN_SET_BATCH][ROAN_I64_TEXT_MAX];
        roan_slice texts[ROAN_SET_BATCH];
        size_t n = 0;
        for (; i < count && n < ROAN_SET_BATCH; i++, n++)
            texts[n] = roan_packed_text(&items[i], scratch[n]);
        added += add_batch_to_table(set_table(*set), texts, n);
    }
    return added;
}

/* ---- finding ---- */

static bool contains_item(roan_value set, const roan_packed *item)
{
    if (set.encoding == ROAN_SET_INTS)
        return item->is_integer && roan_intset_contains(set_ints(set), item->integer);
    return roan_set_find_packed(set_pack(set), item) != NULL;
}

bool roan_set_contains(roan_value set, roan_slice member)
{
    if (set.encoding == ROAN_SET_TABLE) {
        uint64_t hash;
        roan_spot spot;
        return roan_element_find(set_table(set), member, &hash, &spot) != NULL;
    }
    roan_packed item = roan_packed_from_text(member);
    return contains_item(set, &item);
}

void roan_set_contains_many(roan_value set, const roan_slice *members, size_t count, bool *ret_contains)
{
    ROAN_ASSERT(count <= ROAN_SET_BATCH);
    if (set.encoding != ROAN_SET_TABLE) {
        for (size_t i = 0; i < count; i++)
            ret_contains[i] = roan_set_contains(set, members[i]);
        return;
    }
    roan_element *elements[ROAN_SET_BATCH];
    roan_element_find_batch(set_table(set), members, count, elements);
    for (size_t i = 0; i < count; i++)
        ret_contains[i] = elements[i] != NULL;
}

/* ---- removing ---- */

static bool remove_from_table(roan_table *table, uint64_t hash, roan_slice member)
{
    roan_spot spot;
    if (roan_table_find_with(table, hash, member, &spot, roan_element_key_of_item) == NULL)
        return false;
    roan_element_remove(table, hash, &spot);
    return true;
}

static bool remove_item(roan_value *set, const roan_packed *item)
{
    if (set->encoding == ROAN_SET_INTS) {
        roan_intset *ints = set_ints(*set);
        bool was_there = item->is_integer && roan_intset_remove(&ints, item->integer);
        set->data = ints;
        return was_there;
    }
    roan_pack *pack = set_pack(*set);
    const char *place = roan_set_find_packed(pack, item);
    if (place == NULL)
        return false;
    set->data = roan_pack_remove(pack, place, 1, NULL);
    return true;
}

bool roan_set_remove(roan_value *set, roan_slice member)
{
    if (set->encoding == ROAN_SET_TABLE) {
        roan_table *table = set_table(*set);
        return remove_from_table(table, roan_table_hash(table, member), member);
    }
    roan_packed item = roan_packed_from_text(member);
    return remove_item(set, &item);
}

/* At most ROAN_SET_BATCH members, until the table is empty. */
static size_t remove_batch_from_table(roan_table *table, const roan_slice *members, size_t count)
{
    uint64_t hashes[ROAN_SET_BATCH];
    size_t removed = 0;
    read_ahead(table, members, count, hashes);
    for (size_t i = 0; i < count && table->count > 0; i++)
        removed += remove_from_table(table, hashes[i], members[i]);
    return removed;
}

size_t roan_set_remove_many(roan_value *set, const roan_slice *members, size_t count)
{
    size_t removed = 0;
    if (set->encoding != ROAN_SET_TABLE || count == 1) {
        for (size_t i = 0; i < count && roan_set_count(*set) > 0; i++)
            removed += roan_set_remove(set, members[i]);
        return removed;
    }
    for (size_t i = 0; i < count && set_table(*set)->count > 0; i += ROAN_SET_BATCH)
        removed += remove_batch_from_table(set_table(*set), members + i, ROAN_MIN(count - i, (size_t)ROAN_SET_BATCH));
    return removed;
}

void roan_set_remove_items(roan_value *set, const roan_packed *items, size_t count)
{
    char scratch[ROAN_SET_BATCH][ROAN_I64_TEXT_MAX];
    roan_slice texts[ROAN_SET_BATCH];
    ROAN_ASSERT(count <= ROAN_SET_BATCH);
    for (size_t i = 0; i < count; i++)
        texts[i] = roan_packed_text(&items[i], scratch[i]);
    roan_set_remove_many(set, texts, count);
}

/* ---- what everybody must know ---- */

static roan_value copy_set(roan_value set)
{
    roan_value copy = {.encoding = set.encoding};
    switch ((roan_set_encoding)set.encoding) {
    case ROAN_SET_INTS:
        copy.data = roan_intset_copy(set_ints(set));
        break;
    case ROAN_SET_PACK:
        copy.data = roan_pack_copy(set_pack(set));
        break;
    case ROAN_SET_TABLE:
        copy.data = create_table(set_table(set)->context);
        roan_elements_copy(copy.data, set_table(set));
        break;
    }
    return copy;
}

static size_t set_memory(roan_value set, size_t samples)
{
    switch ((roan_set_encoding)set.encoding) {
    case ROAN_SET_INTS:
        return roan_intset_memory(set_ints(set));
    case ROAN_SET_PACK:
        return roan_pack_memory(set_pack(set));
    case ROAN_SET_TABLE:
        return roan_alloc_good_size(sizeof(roan_table)) + roan_elements_memory(set_table(set), samples);
    }
    ROAN_UNREACHABLE("no such encoding");
}

static size_t set_effort(roan_value set)
{
    return set.encoding == ROAN_SET_TABLE ? 1 + set_table(set)->count / EFFORT_ELEMENTS : 1;
}

static const char *set_encoding_name(roan_value set)
{
    static const char *const names[] = {
        [ROAN_SET_INTS] = "intset", [ROAN_SET_PACK] = "listpack", [ROAN_SET_TABLE] = "hashtable"};
    return names[set.encoding];
}

static void check_pack(const roan_pack *pack)
{
    roan_packed item;
    roan_pack_check(pack);
    for (const char *at = roan_pack_first(pack), *next; at < roan_pack_end(pack); at = next) {
        next = roan_packed_read(at, &item);
        ROAN_ASSERT(item.is_integer || !roan_packed_from_text(item.text).is_integer);
        ROAN_ASSERT(roan_set_find_packed(pack, &item) == at);
    }
}

static void check_element(void *item, void *context)
{
    (void)context;
    ROAN_ASSERT(!(roan_element_flags(item) & (ROAN_ELEMENT_HAS_NUMBER | ROAN_ELEMENT_HAS_VALUE)));
}

static void check_set(roan_value set)
{
    switch ((roan_set_encoding)set.encoding) {
    case ROAN_SET_INTS:
        roan_intset_check(set_ints(set));
        break;
    case ROAN_SET_PACK:
        check_pack(set_pack(set));
        break;
    case ROAN_SET_TABLE:
        roan_table_check(set_table(set));
        ROAN_IGNORE(roan_table_scan(set_table(set), 0, SIZE_MAX, check_element, NULL)); /* always the end */
        break;
    }
}

const roan_type_ops roan_set_ops = {.name = "set",
                                    .free_value = roan_set_free,
                                    .copy_value = copy_set,
                                    .memory = set_memory,
                                    .effort = set_effort,
                                    .encoding_name = set_encoding_name,
                                    .check = check_set};
