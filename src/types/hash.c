/* types/hash.c: hashes: finding, setting and taking out fields, in a pack or in a table; see hash.h for the two forms.
 *
 *     pack:   | bytes, count | field value field value ... |        until a limit is exceeded or a field expires
 *     table:  | roan_table | soonest_ms |                           elements: key = field, value, number = expiry
 *
 * A table never becomes a pack again. soonest_ms only ever gets too early (a field with the earliest time goes, or its
 * time changes); roan_hash_expire makes it exact again. hash_walk.c has what visits many fields.
 *
 * Invariant 1: a pack has an even number of items, and no two fields are equal.
 * Invariant 2: the elements of a table have values; soonest_ms is no later than any of their times.
 */
#include "types/hash.h"

#include "base/alloc.h"
#include "types/hash_inside.h"

#define PAIRS_AT_ONCE 16 /* a new pack of so many is built with one allocation */

roan_value roan_hash_create(void)
{
    return (roan_value){.data = roan_pack_create(), .encoding = ROAN_HASH_PACK};
}

static roan_value create_table(const roan_table_context *context)
{
    hash_table *table = roan_alloc(sizeof *table);
    roan_table_init(&table->table, context);
    table->soonest_ms = INT64_MAX;
    return (roan_value){.data = table, .encoding = ROAN_HASH_TABLE};
}

static void free_hash(roan_value value)
{
    if (value.encoding == ROAN_HASH_PACK) {
        roan_pack_free(pack_of(value));
        return;
    }
    hash_table *table = table_of(value);
    roan_table_clear(&table->table);
    roan_free(table, sizeof *table);
}

static roan_value copy_hash(roan_value value)
{
    if (value.encoding == ROAN_HASH_PACK)
        return (roan_value){.data = roan_pack_copy(pack_of(value)), .encoding = ROAN_HASH_PACK};
    const hash_table *table = table_of(value);
    roan_value copy = create_table(table->table.context);
    roan_elements_copy(&table_of(copy)->table, &table->table);
    table_of(copy)->soonest_ms = table->soonest_ms;
    return copy;
}

static size_t hash_memory(roan_value value, size_t samples)
{
    if (value.encoding == ROAN_HASH_PACK)
        return roan_pack_memory(pack_of(value));
    const hash_table *table = table_of(value);
    return roan_alloc_good_size(sizeof *table) + roan_elements_memory(&table->table, samples);
}

static size_t hash_effort(roan_value value)
{
    return value.encoding == ROAN_HASH_PACK ? 1 : (size_t)table_of(value)->table.count;
}

static const char *encoding_name(roan_value value)
{
    return value.encoding == ROAN_HASH_PACK ? "listpack" : "hashtable";
}

size_t roan_hash_count(roan_value value)
{
    return value.encoding == ROAN_HASH_PACK ? pack_of(value)->count / 2 : (size_t)table_of(value)->table.count;
}

int64_t roan_hash_soonest(roan_value value)
{
    return value.encoding == ROAN_HASH_PACK ? INT64_MAX : table_of(value)->soonest_ms;
}

/* ---- finding ---- */

bool roan_hash_find(roan_value value, roan_slice field, roan_hash_place *place)
{
    if (value.encoding == ROAN_HASH_PACK) {
        place->element = NULL;
        place->at = roan_pack_find(pack_of(value), field, 2);
        if (place->at == NULL)
            return false;
        place->value_at = roan_packed_skip(place->at);
        return true;
    }
    place->at = NULL;
    place->element = roan_element_find(&table_of(value)->table, field, &place->hash, &place->spot);
    return place->element != NULL;
}

void roan_hash_find_batch(roan_value value, const roan_slice *words, size_t step, size_t count, roan_hash_place *places)
{
    roan_slice fields[ROAN_ELEMENT_BATCH];
    roan_element *elements[ROAN_ELEMENT_BATCH];
    ROAN_ASSERT(count <= ROAN_ELEMENT_BATCH);
    if (value.encoding == ROAN_HASH_PACK || count <= 1) {
        for (size_t i = 0; i < count; i++)
            ROAN_IGNORE(roan_hash_find(value, words[i * step], &places[i])); /* the place says it */
        return;
    }
    for (size_t i = 0; i < count; i++)
        fields[i] = words[i * step];
    roan_element_find_batch(&table_of(value)->table, fields, count, elements);
    for (size_t i = 0; i < count; i++)
        places[i] = (roan_hash_place){.element = elements[i]};
}

void roan_hash_prefetch(roan_value value, const roan_slice *words, size_t step, size_t count)
{
    uint64_t hashes[ROAN_ELEMENT_BATCH];
    ROAN_ASSERT(count <= ROAN_ELEMENT_BATCH);
    if (value.encoding == ROAN_HASH_PACK || count <= 1)
        return;
    const roan_table *table = &table_of(value)->table;
    for (size_t i = 0; i < count; i++) {
        hashes[i] = roan_table_hash(table, words[i * step]);
        roan_table_prefetch_segment(table, hashes[i]);
    }
    for (size_t i = 0; i < count; i++)
        roan_table_prefetch_slots(table, hashes[i]);
    for (size_t i = 0; i < count; i++)
        roan_table_prefetch_item(table, hashes[i]);
}

roan_slice roan_hash_place_value(const roan_hash_place *place, char scratch[ROAN_I64_TEXT_MAX])
{
    if (place->element != NULL)
        return roan_element_value(place->element);
    roan_packed item;
    roan_packed_read(place->value_at, &item);
    return roan_packed_text(&item, scratch);
}

bool roan_hash_place_integer(const roan_hash_place *place, int64_t *ret_value)
{
    if (place->element != NULL)
        return roan_parse_i64(roan_element_value(place->element), ret_value);
    roan_packed item;
    roan_packed_read(place->value_at, &item);
    if (item.is_integer)
        *ret_value = item.integer;
    return item.is_integer; /* a canonical integer is always stored as one */
}

bool roan_hash_get(roan_value value, roan_slice field, int64_t now_ms, char scratch[ROAN_I64_TEXT_MAX],
                   roan_slice *ret_value)
{
    roan_hash_place place;
    if (!roan_hash_find(value, field, &place) || roan_hash_place_is_expired(&place, now_ms))
        return false;
    *ret_value = roan_hash_place_value(&place, scratch);
    return true;
}

/* ---- from a pack to a table ---- */

static void table_insert(hash_table *table, roan_slice field, roan_slice text)
{
    roan_hash_place place;
    roan_element *element = roan_element_find(&table->table, field, &place.hash, &place.spot);
    roan_element_parts parts = {.key = field, .value = text, .has_value = true};
    ROAN_ASSERT(element == NULL);
    roan_element_insert(&table->table, place.hash, &place.spot, &parts);
}

static void convert(roan_value *value, const roan_type_context *context)
{
    roan_pack *pack = pack_of(*value);
    *value = create_table(&context->fields);
    for (const char *at = roan_pack_first(pack); at < roan_pack_end(pack);) {
        char field_scratch[ROAN_I64_TEXT_MAX], text_scratch[ROAN_I64_TEXT_MAX];
        roan_packed field, text;
        at = roan_packed_read(at, &field);
        at = roan_packed_read(at, &text);
        table_insert(table_of(*value), roan_packed_text(&field, field_scratch), roan_packed_text(&text, text_scratch));
    }
    roan_pack_free(pack);
}

void roan_hash_prepare(roan_value *value, const roan_type_context *context, const roan_slice *words, size_t count)
{
    if (value->encoding != ROAN_HASH_PACK)
        return;
    bool fits = count / 2 <= context->hash_entries_max;
    for (size_t i = 0; i < count && fits; i++)
        fits = words[i].bytes <= context->hash_value_bytes_max;
    if (!fits)
        convert(value, context);
}

/* ---- setting ---- */

/* Element of the place or a new one: both get this value and time. */
static void table_put(hash_table *table, roan_hash_place place, roan_slice field, roan_slice text, int64_t expiry_ms)
{
    roan_element_parts parts = {.key = field,
                                .value = text,
                                .has_value = true,
                                .number = (uint64_t)expiry_ms,
                                .has_number = expiry_ms != ROAN_HASH_NEVER};
    if (parts.has_number)
        table->soonest_ms = ROAN_MIN(table->soonest_ms, expiry_ms);
    if (place.element == NULL) {
        roan_element_insert(&table->table, place.hash, &place.spot, &parts);
        return;
    }
    roan_element *changed = roan_element_change(&table->table, place.element, &parts);
    roan_table_replace(&table->table, place.hash, &place.spot, changed);
}

/* A value of that length may be put into the pack under that field. */
static bool fits_pack(const roan_pack *pack, const roan_type_context *context, roan_slice field, size_t text_bytes)
{
    return field.bytes <= context->hash_value_bytes_max && text_bytes <= context->hash_value_bytes_max &&
           !roan_pack_would_overflow(pack, field.bytes + text_bytes + 2 * (size_t)ROAN_PACKED_HEADER_MAX);
}

static void pack_put(roan_value *value, const roan_type_context *context, const roan_hash_place *place,
                     roan_slice field, const roan_packed *item)
{
    roan_pack *pack = pack_of(*value);
    if (place->at != NULL) {
        pack = roan_pack_replace(pack, place->value_at, item, NULL);
    } else {
        roan_packed items[] = {roan_packed_from_text(field), *item};
        pack = roan_pack_append(pack, items, ROAN_COUNT_OF(items));
    }
    value->data = pack;
    if (ROAN_UNLIKELY(pack->count / 2 > context->hash_entries_max))
        convert(value, context);
}

/* The pack cannot take it: as a table it can. */
static ROAN_NOINLINE void convert_and_put(roan_value *value, const roan_type_context *context, roan_slice field,
                                          roan_slice text, int64_t expiry_ms)
{
    roan_hash_place place;
    convert(value, context);
    ROAN_IGNORE(roan_hash_find(*value, field, &place)); /* whether it is new does not matter */
    table_put(table_of(*value), place, field, text, expiry_ms);
}

void roan_hash_put(roan_value *value, const roan_type_context *context, const roan_hash_place *place, roan_slice field,
                   roan_slice text, int64_t expiry_ms)
{
    if (value->encoding == ROAN_HASH_TABLE) {
        table_put(table_of(*value), *place, field, text, expiry_ms);
        return;
    }
    if (expiry_ms != ROAN_HASH_NEVER || !fits_pack(pack_of(*value), context, field, text.bytes)) {
        convert_and_put(value, context, field, text, expiry_ms);
        return;
    }
    roan_packed item = roan_packed_from_text(text);
    pack_put(value, context, place, field, &item);
}

void roan_hash_put_integer(roan_value *value, const roan_type_context *context, const roan_hash_place *place,
                           roan_slice field, int64_t integer, int64_t expiry_ms)
{
    if (value->encoding == ROAN_HASH_PACK && expiry_ms == ROAN_HASH_NEVER &&
        fits_pack(pack_of(*value), context, field, ROAN_I64_TEXT_MAX)) {
        roan_packed item = roan_packed_from_integer(integer);
        pack_put(value, context, place, field, &item);
        return;
    }
    char text[ROAN_I64_TEXT_MAX];
    roan_hash_put(value, context, place, field, roan_slice_make(text, roan_format_i64(text, integer)), expiry_ms);
}

bool roan_hash_set(roan_value *value, const roan_type_context *context, roan_slice field, roan_slice text,
                   int64_t expiry_ms)
{
    roan_hash_place place;
    bool is_new = !roan_hash_find(*value, field, &place);
    roan_hash_put(value, context, &place, field, text, expiry_ms);
    return is_new;
}

/* Adds the pair, or only its value where the field is among the first `count`; returns how many there are now. */
static size_t add_distinct(roan_packed *items, size_t count, const roan_packed *field, const roan_packed *text)
{
    size_t at = 0;
    while (at < count && !roan_packed_is_equal(&items[2 * at], field))
        at++;
    items[2 * at] = *field;
    items[2 * at + 1] = *text;
    return at == count ? count + 1 : count;
}

roan_value roan_hash_create_from(const roan_type_context *context, const roan_slice *pairs, size_t count)
{
    roan_value value = roan_hash_create();
    roan_hash_prepare(&value, context, pairs, 2 * count);
    if (value.encoding == ROAN_HASH_PACK && count <= PAIRS_AT_ONCE) {
        roan_packed items[2 * PAIRS_AT_ONCE];
        size_t distinct = 0;
        for (size_t i = 0; i < count; i++) {
            roan_packed field = roan_packed_from_text(pairs[2 * i]), text = roan_packed_from_text(pairs[2 * i + 1]);
            distinct = add_distinct(items, distinct, &field, &text);
        }
        value.data = roan_pack_append(pack_of(value), items, 2 * distinct);
        return value;
    }
    for (size_t i = 0; i < count; i++)
        /* A later one of the same field counts. */
        ROAN_IGNORE(roan_hash_set(&value, context, pairs[2 * i], pairs[2 * i + 1], ROAN_HASH_NEVER));
    return value;
}

/* ---- taking out ---- */

void roan_hash_remove_at(roan_value *value, roan_hash_place *place)
{
    if (value->encoding == ROAN_HASH_PACK)
        value->data = roan_pack_remove(pack_of(*value), place->at, 2, NULL);
    else
        roan_element_remove(&table_of(*value)->table, place->hash, &place->spot);
    *place = (roan_hash_place){0};
}

bool roan_hash_remove(roan_value *value, roan_slice field)
{
    roan_hash_place place;
    if (!roan_hash_find(*value, field, &place))
        return false;
    roan_hash_remove_at(value, &place);
    return true;
}

/* ---- expiry ---- */

/* The element with another time; with and without one are different shapes. */
static void table_set_expiry(hash_table *table, roan_hash_place *place, int64_t expiry_ms)
{
    roan_element *element = place->element;
    bool has_number = expiry_ms != ROAN_HASH_NEVER;
    if (has_number && roan_element_has_number(element)) {
        roan_element_set_number(element, (uint64_t)expiry_ms);
    } else if (has_number != roan_element_has_number(element)) {
        roan_element_parts parts = roan_element_parts_of(element);
        parts.number = (uint64_t)expiry_ms;
        parts.has_number = has_number;
        roan_element *changed = roan_element_create(&table->table, &parts);
        roan_element_free(&table->table, element);
        element = changed;
    }
    if (has_number)
        table->soonest_ms = ROAN_MIN(table->soonest_ms, expiry_ms);
    roan_table_replace(&table->table, place->hash, &place->spot, element);
}

void roan_hash_set_expiry_at(roan_value *value, const roan_type_context *context, roan_hash_place *place,
                             roan_slice field, int64_t expiry_ms)
{
    if (value->encoding == ROAN_HASH_PACK) {
        if (expiry_ms == ROAN_HASH_NEVER)
            return;
        convert(value, context);
        ROAN_ASSERT(roan_hash_find(*value, field, place));
    }
    table_set_expiry(table_of(*value), place, expiry_ms);
}

size_t roan_hash_expire(roan_value *value, int64_t now_ms, size_t max, roan_hash_visit_fn *visit, void *context)
{
    void *taken[ROAN_HASH_EXPIRE_MAX], *inside[ROAN_HASH_EXPIRE_MAX];
    if (value->encoding == ROAN_HASH_PACK)
        return 0;
    hash_table *table = table_of(*value);
    roan_due due = {.max = ROAN_MIN(max, (size_t)ROAN_HASH_EXPIRE_MAX),
                    .slack_ms = ROAN_TABLE_TIME_UNIT_MS,
                    .taken = taken,
                    .inside = inside};
    uint32_t slot = 0;
    roan_table_take_expired(&table->table, now_ms, &slot, &due);
    ROAN_ASSERT(due.inside_count == 0);
    for (size_t i = 0; i < due.taken_count; i++) {
        roan_hash_field field = field_of_element(taken[i]);
        visit(&field, context);
        roan_element_free(&table->table, taken[i]);
    }
    if (slot == 0)
        table->soonest_ms = roan_table_soonest_ms(&table->table);
    return due.taken_count;
}

/* ---- checking ---- */

static void check_pack(const roan_pack *pack)
{
    roan_pack_check(pack);
    ROAN_ASSERT(pack->count % 2 == 0);
    for (const char *at = roan_pack_first(pack); at < roan_pack_end(pack);) {
        char scratch[ROAN_I64_TEXT_MAX];
        roan_packed field;
        const char *place = at;
        at = roan_packed_skip(roan_packed_read(at, &field));
        ROAN_ASSERT(roan_pack_find(pack, roan_packed_text(&field, scratch), 2) == place);
    }
}

static void check_element(void *item, void *context)
{
    const hash_table *table = context;
    ROAN_ASSERT(roan_element_flags(item) & ROAN_ELEMENT_HAS_VALUE);
    if (roan_element_has_number(item))
        ROAN_ASSERT(table->soonest_ms <= (int64_t)roan_element_number(item) && (int64_t)roan_element_number(item) >= 0);
}

static void check_hash(roan_value value)
{
    if (value.encoding == ROAN_HASH_PACK) {
        check_pack(pack_of(value));
        return;
    }
    hash_table *table = table_of(value);
    roan_table_check(&table->table);
    ROAN_IGNORE(roan_table_scan(&table->table, 0, SIZE_MAX, check_element, table)); /* always the end */
}

const roan_type_ops roan_hash_ops = {
    .name = "hash",
    .free_value = free_hash,
    .copy_value = copy_hash,
    .memory = hash_memory,
    .effort = hash_effort,
    .soonest_ms = roan_hash_soonest,
    .encoding_name = encoding_name,
    .check = check_hash,
};
