/* types/hash_walk.c: visiting many fields of a hash: all, some from a cursor on, random ones.
 *
 * A walk over a table collects a few elements and fetches them from memory together before it shows them.
 *
 * Different random fields are drawn one by one while they are few among many; otherwise, or when fields expire (and
 * nobody knows how many have), all are listed and the list is shuffled as far as needed.
 */
#include "types/hash.h"

#include "base/alloc.h"
#include "types/hash_inside.h"

#define RANDOM_TRIES_MAX 100 /* a hash full of expired fields: gives up */
#define DRAW_SHARE_MAX 3     /* drawing one by one is for at most a third of all */

typedef struct field_walk {
    int64_t now_ms;
    roan_hash_visit_fn *visit;
    void *context;
    size_t count;
    roan_element *elements[TABLE_BATCH];
} field_walk;

static void show(const field_walk *walk, const roan_element *element)
{
    if (element_is_expired(element, walk->now_ms))
        return;
    roan_hash_field field = field_of_element(element);
    walk->visit(&field, walk->context);
}

static void show_batch(field_walk *walk)
{
    for (size_t i = 0; i < walk->count; i++)
        show(walk, walk->elements[i]);
    walk->count = 0;
}

static void walk_element(void *item, void *context)
{
    field_walk *walk = context;
    ROAN_PREFETCH(item);
    ROAN_PREFETCH((const char *)item + ROAN_CACHE_LINE);
    walk->elements[walk->count++] = item;
    if (walk->count == TABLE_BATCH)
        show_batch(walk);
}

/* Reads the pair at `at`; returns the place behind it. Integers are written to the scratches. */
static const char *read_pair(const char *at, roan_hash_field *ret_field, char field_scratch[ROAN_I64_TEXT_MAX],
                             char value_scratch[ROAN_I64_TEXT_MAX])
{
    roan_packed field, value;
    at = roan_packed_read(at, &field);
    at = roan_packed_read(at, &value);
    *ret_field = (roan_hash_field){.field = roan_packed_text(&field, field_scratch),
                                   .value = roan_packed_text(&value, value_scratch),
                                   .expiry_ms = ROAN_HASH_NEVER};
    return at;
}

static void each_pair(const roan_pack *pack, roan_hash_visit_fn *visit, void *context)
{
    char field_scratch[ROAN_I64_TEXT_MAX], value_scratch[ROAN_I64_TEXT_MAX];
    for (const char *at = roan_pack_first(pack); at < roan_pack_end(pack);) {
        roan_hash_field field;
        at = read_pair(at, &field, field_scratch, value_scratch);
        visit(&field, context);
    }
}

void roan_hash_each(roan_value value, int64_t now_ms, roan_hash_visit_fn *visit, void *context)
{
    ROAN_IGNORE(roan_hash_scan(value, 0, SIZE_MAX, now_ms, visit, context)); /* always the end */
}

/* A cursor is a position on the table's hash axis, without the bits that positions do not have. */
#define CURSOR_SHIFT (64 - ROAN_SCAN_BITS)

uint64_t roan_hash_scan(roan_value value, uint64_t cursor, size_t wanted, int64_t now_ms, roan_hash_visit_fn *visit,
                        void *context)
{
    if (value.encoding == ROAN_HASH_PACK) {
        each_pair(pack_of(value), visit, context);
        return 0;
    }
    field_walk walk = {.now_ms = now_ms, .visit = visit, .context = context};
    uint64_t next = roan_table_scan(&table_of(value)->table, cursor << CURSOR_SHIFT, wanted, walk_element, &walk);
    show_batch(&walk);
    return next >> CURSOR_SHIFT;
}

/* ---- random fields ---- */

static roan_element *draw(const hash_table *table, roan_random *random, int64_t now_ms)
{
    for (unsigned tries = 0; tries < RANDOM_TRIES_MAX; tries++) {
        roan_element *element = roan_table_random(&table->table, random);
        if (element != NULL && !element_is_expired(element, now_ms))
            return element;
    }
    return NULL;
}

bool roan_hash_random(roan_value value, roan_random *random, int64_t now_ms, roan_hash_visit_fn *visit, void *context)
{
    roan_hash_field field;
    char field_scratch[ROAN_I64_TEXT_MAX], value_scratch[ROAN_I64_TEXT_MAX];
    if (value.encoding == ROAN_HASH_PACK) {
        const roan_pack *pack = pack_of(value);
        if (pack->count == 0)
            return false;
        read_pair(roan_pack_at(pack, 2 * roan_random_below(random, pack->count / 2)), &field, field_scratch,
                  value_scratch);
    } else {
        const roan_element *element = draw(table_of(value), random, now_ms);
        if (element == NULL)
            return false;
        field = field_of_element(element);
    }
    visit(&field, context);
    return true;
}

/* One pass: every pair is taken with the chance that makes `wanted` of those that are left. */
static void sample_pack(const roan_pack *pack, roan_random *random, size_t wanted, roan_hash_visit_fn *visit,
                        void *context)
{
    char field_scratch[ROAN_I64_TEXT_MAX], value_scratch[ROAN_I64_TEXT_MAX];
    size_t left = pack->count / 2;
    for (const char *at = roan_pack_first(pack); at < roan_pack_end(pack) && wanted > 0; left--) {
        roan_hash_field field;
        at = read_pair(at, &field, field_scratch, value_scratch);
        if (roan_random_below(random, left) >= wanted)
            continue;
        visit(&field, context);
        wanted--;
    }
}

typedef struct listing {
    roan_element **elements;
    size_t count;
    int64_t now_ms;
} listing;

static void list_element(void *item, void *context)
{
    listing *list = context;
    if (!element_is_expired(item, list->now_ms))
        list->elements[list->count++] = item;
}

/* Lists all that have not expired and shuffles the first `wanted` places. */
static void sample_listed(const hash_table *table, roan_random *random, size_t wanted, field_walk *walk)
{
    size_t bytes = (size_t)table->table.count * sizeof(roan_element *);
    listing list = {.elements = roan_alloc(bytes), .now_ms = walk->now_ms};
    ROAN_IGNORE(roan_table_scan(&table->table, 0, SIZE_MAX, list_element, &list)); /* always the end */
    for (size_t i = 0; i < ROAN_MIN(wanted, list.count); i++) {
        size_t other = i + (size_t)roan_random_below(random, list.count - i);
        roan_element *element = list.elements[other];
        list.elements[other] = list.elements[i];
        walk_element(element, walk);
    }
    show_batch(walk);
    roan_free(list.elements, bytes);
}

/* Puts the element into an open hash table of a power of two places; false: it is there already. */
static bool remember(const roan_element **seen, size_t places, const roan_element *element)
{
    size_t at = (size_t)((uint64_t)(uintptr_t)element * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (places - 1);
    while (seen[at] != NULL) {
        if (seen[at] == element)
            return false;
        at = (at + 1) & (places - 1);
    }
    seen[at] = element;
    return true;
}

/* Draws until `wanted` different ones were seen. None of them expires, and they are at most a third of all. */
static void sample_drawn(const hash_table *table, roan_random *random, size_t wanted, field_walk *walk)
{
    size_t places = 4;
    while (places < 2 * wanted)
        places *= 2;
    const roan_element **seen = roan_alloc_zero(places * sizeof *seen);
    for (size_t found = 0; found < wanted;) {
        roan_element *element = roan_table_random(&table->table, random);
        if (!remember(seen, places, element))
            continue;
        walk_element(element, walk);
        found++;
    }
    show_batch(walk);
    roan_free(seen, places * sizeof *seen);
}

void roan_hash_sample(roan_value value, roan_random *random, size_t wanted, int64_t now_ms, roan_hash_visit_fn *visit,
                      void *context)
{
    if (wanted >= roan_hash_count(value)) {
        roan_hash_each(value, now_ms, visit, context);
        return;
    }
    if (wanted == 0)
        return;
    if (value.encoding == ROAN_HASH_PACK) {
        sample_pack(pack_of(value), random, wanted, visit, context);
        return;
    }
    const hash_table *table = table_of(value);
    field_walk walk = {.now_ms = now_ms, .visit = visit, .context = context};
    if (table->table.expiring_count > 0 || wanted > table->table.count / DRAW_SHARE_MAX)
        sample_listed(table, random, wanted, &walk);
    else
        sample_drawn(table, random, wanted, &walk);
}
