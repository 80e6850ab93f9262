/* engine/cmd/debug_keys.c: DEBUG subcommands that look at keys and tables, and the one that makes keys. */
#include "engine/cmd/debug.h"

#include "engine/evict.h"
#include "types/hash.h"
#include "types/list.h"
#include "types/set.h"
#include "types/zset.h"

#include <stdio.h>

static bool must_be_there(roan_call *call, const roan_place *place)
{
    if (place->entry == NULL)
        roan_call_error(call, "ERR no such key");
    return place->entry != NULL;
}

/* The key in argv[2]; false after an error was sent. */
static bool find_key(roan_call *call, roan_place *place)
{
    ROAN_IGNORE(roan_call_find_quiet(call, 2, place)); /* looked at next */
    return must_be_there(call, place);
}

/* The same; a key that has expired but was not deleted yet is there. */
static bool find_key_anyway(roan_call *call, roan_place *place)
{
    ROAN_IGNORE(roan_call_find_anyway(call, 2, place)); /* looked at next */
    return must_be_there(call, place);
}

/* ---- values ---- */

/* How long a length is in a snapshot file: 6, 14, 32 or 64 bits. */
static size_t length_bytes(size_t length)
{
    return length < 1 << 6 ? 1 : length < 1 << 14 ? 2 : length <= UINT32_MAX ? 5 : 9;
}

#define PACKED_TEXT_BYTES_MAX 11 /* longer texts are never tried as integers */

/* What a string takes in a snapshot file, before compression. */
static size_t serialized_bytes(const roan_entry *entry)
{
    char scratch[ROAN_I64_TEXT_MAX];
    int64_t integer;
    roan_slice value = roan_entry_string(entry, scratch);
    if (value.bytes <= PACKED_TEXT_BYTES_MAX && roan_parse_i64(value, &integer)) {
        if (integer >= INT8_MIN && integer <= INT8_MAX)
            return 2;
        if (integer >= INT16_MIN && integer <= INT16_MAX)
            return 3;
        if (integer >= INT32_MIN && integer <= INT32_MAX)
            return 5;
    }
    return length_bytes(value.bytes) + value.bytes;
}

static size_t node_bytes(const roan_list_ring *ring)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < ring->node_count; i++) {
        const roan_list_node *node = roan_list_ring_node(ring, i);
        bytes += roan_list_node_is_plain(node) ? roan_list_node_plain_text(node).bytes : roan_list_node_weight(node);
    }
    return bytes;
}

/* The nodes of a large list. None is ever compressed: ql_compressed is what the configuration asks for. */
static void describe_nodes(const roan_call *call, const roan_list_ring *ring, bool is_fast, char *text,
                           size_t text_bytes)
{
    int length = snprintf(text, text_bytes, " ql_nodes:%u ql_avg_node:%.2f ql_listpack_max:%d ql_compressed:%d",
                          ring->node_count, (double)ring->count / ring->node_count, ring->size_class,
                          call->engine->types.list_compress_depth != 0);
    if (!is_fast)
        snprintf(text + length, text_bytes - (size_t)length, " ql_uncompressed_size:%zu", node_bytes(ring));
}

void roan_debug_object(roan_call *call)
{
    roan_place place;
    if (!find_key_anyway(call, &place))
        return;
    const roan_entry *entry = place.entry;
    bool is_fast = call->argc == 4 && roan_call_is(call, 3, "fast");
    char size[48] = "", nodes[160] = "", text[400];
    if (!is_fast && entry->type == ROAN_TYPE_STRING)
        snprintf(size, sizeof size, " serializedlength:%zu", serialized_bytes(entry));
    if (entry->type == ROAN_TYPE_LIST && entry->encoding == ROAN_LIST_LARGE)
        describe_nodes(call, roan_entry_pointer(entry), is_fast, nodes, sizeof nodes);
    snprintf(text, sizeof text, "Value at:%p refcount:1 encoding:%s%s lru:%u lru_seconds_idle:%llu%s",
             (const void *)entry, roan_entry_encoding_name(entry), size, (unsigned)entry->clock,
             (unsigned long long)(roan_entry_idle_ms(call->lane, entry) / 1000), nodes);
    roan_out_status(call->out, text);
}

void roan_debug_sdslen(roan_call *call)
{
    roan_place place;
    if (!find_key_anyway(call, &place))
        return;
    const roan_entry *entry = place.entry;
    if (entry->type != ROAN_TYPE_STRING || entry->encoding == ROAN_STRING_INT) {
        roan_call_error(call, "ERR Not an sds encoded string.");
        return;
    }
    const roan_blob *blob = entry->encoding == ROAN_STRING_BLOB ? roan_entry_pointer(entry) : NULL;
    size_t entry_bytes = roan_entry_bytes(entry), total = roan_entry_memory(entry, 0);
    size_t own_bytes = blob == NULL ? total : total - roan_alloc_good_size(sizeof *blob + blob->capacity);
    char text[256];
    snprintf(text, sizeof text,
             "key_sds_len:%zu key_sds_avail:0 obj_alloc:%zu val_sds_len:%zu val_sds_avail:%zu val_alloc:%zu",
             place.name.bytes, own_bytes, roan_entry_string_bytes(entry),
             blob == NULL ? own_bytes - entry_bytes : blob->capacity - blob->bytes, total - own_bytes);
    roan_out_status(call->out, text);
}

/* The reference prints the structure; here only the answer is the same. */
void roan_debug_encoded_as(roan_call *call)
{
    roan_place place;
    if (!find_key(call, &place))
        return;
    bool is_listpack = roan_call_is(call, 1, "LISTPACK");
    bool is_so = strcmp(roan_entry_encoding_name(place.entry), is_listpack ? "listpack" : "quicklist") == 0;
    if (is_so && is_listpack)
        roan_out_status(call->out, "Listpack structure printed on stdout");
    else if (is_so)
        roan_out_status(call->out, "Quicklist structure printed on stdout");
    else if (is_listpack)
        roan_call_error(call, "ERR Not a listpack encoded object.");
    else
        roan_call_error(call, "ERR Not a quicklist encoded object.");
}

/* ---- tables ---- */

typedef struct table_sums {
    size_t slots, bytes;
    uint64_t count, expiring;
    uint64_t fullest, emptiest; /* keys in a table */
} table_sums;

static table_sums sum_tables(const roan_engine *engine, const roan_db *db)
{
    table_sums sums = {.emptiest = UINT64_MAX};
    for (unsigned i = 0; i < engine->stripe_count; i++) {
        const roan_table *table = &db->tables[i];
        sums.slots += roan_table_slot_count(table);
        sums.bytes += roan_table_overhead_bytes(table);
        sums.count += table->count;
        sums.expiring += table->expiring_count;
        sums.fullest = ROAN_MAX(sums.fullest, table->count);
        sums.emptiest = ROAN_MIN(sums.emptiest, table->count);
    }
    return sums;
}

static void describe_sums(roan_buffer *text, const table_sums *sums, uint64_t entries)
{
    roan_buffer_printf(text,
                       "Hash table 0 stats (main hash table):\n table size: %zu\n number of entries: %llu\n"
                       " rehashing index: -1\n",
                       sums->slots, (unsigned long long)entries);
}

static void describe_table(roan_buffer *text, const char *title, const table_sums *sums, uint64_t entries)
{
    roan_buffer_printf(text, "[%s]\n", title);
    if (sums->count > 0)
        describe_sums(text, sums, entries);
}

void roan_debug_htstats(roan_call *call)
{
    int64_t number;
    if (!roan_call_integer(call, 2, &number, NULL))
        return;
    if (number < 0 || number >= call->engine->config.databases) {
        roan_call_error(call, "ERR Out of range database");
        return;
    }
    const roan_db *db = roan_engine_db_if_used(call->engine, (unsigned)number);
    table_sums sums = db == NULL ? (table_sums){0} : sum_tables(call->engine, db);
    roan_buffer *text = &call->lane->scratch;
    text->bytes = 0;
    describe_table(text, "Dictionary HT", &sums, sums.count);
    if (call->argc == 4 && roan_call_is(call, 3, "full") && sums.count > 0)
        roan_buffer_printf(text, " tables: %u\n keys in the fullest: %llu\n keys in the emptiest: %llu\n bytes: %zu\n",
                           call->engine->stripe_count, (unsigned long long)sums.fullest,
                           (unsigned long long)sums.emptiest, sums.bytes);
    describe_table(text, "Expires HT", &sums, sums.expiring);
    roan_out_verbatim(call->out, "txt", roan_buffer_slice(text));
}

/* The table that a large set, hash or sorted set is kept in; NULL: the value has none. */
static const roan_table *table_of_value(const roan_entry *entry)
{
    roan_value value = roan_entry_value(entry);
    if (entry->type == ROAN_TYPE_SET && value.encoding == ROAN_SET_TABLE)
        return value.data;
    if (entry->type == ROAN_TYPE_HASH && value.encoding == ROAN_HASH_TABLE)
        return value.data;
    if (entry->type == ROAN_TYPE_ZSET && value.encoding == ROAN_ZSET_TREE)
        return &((const roan_zset_tree *)value.data)->table;
    return NULL;
}

void roan_debug_htstats_key(roan_call *call)
{
    roan_place place;
    if (!find_key(call, &place))
        return;
    const roan_table *table = place.entry->type == ROAN_TYPE_STRING ? NULL : table_of_value(place.entry);
    if (table == NULL) {
        roan_call_error(call, "ERR The value stored at the specified key is not represented using an hash table");
        return;
    }
    table_sums sums = {.count = table->count, .slots = roan_table_slot_count(table)};
    roan_buffer *text = &call->lane->scratch;
    text->bytes = 0;
    describe_sums(text, &sums, sums.count);
    if (call->argc == 4 && roan_call_is(call, 3, "full"))
        roan_buffer_printf(text, " bytes: %zu\n", roan_table_overhead_bytes(table));
    roan_out_verbatim(call->out, "txt", roan_buffer_slice(text));
}

void roan_debug_structsize(roan_call *call)
{
    roan_out_bulk_printf(call->out, "bits:%zu entry:%zu blob:%zu table:%zu stripe:%zu lane:%zu session:%zu ",
                         sizeof(void *) * 8, sizeof(roan_entry), sizeof(roan_blob), sizeof(roan_table),
                         sizeof(roan_stripe), sizeof(roan_lane), sizeof(roan_session));
}

/* ---- making keys ---- */

#define POPULATE_PREFIX_BYTES_MAX 1024

typedef struct populate_options {
    int64_t count, size; /* size 0: as long as the text */
    roan_slice prefix;
} populate_options;

static bool parse_populate(roan_call *call, populate_options *options)
{
    *options = (populate_options){.prefix = ROAN_LITERAL("key")};
    if (!roan_call_integer_in(call, 2, 0, INT64_MAX, &options->count, NULL))
        return false;
    if (call->argc > 3)
        options->prefix = call->argv[3];
    if (call->argc > 4 && !roan_call_integer_in(call, 4, 0, INT64_MAX, &options->size, NULL))
        return false;
    if (options->prefix.bytes <= POPULATE_PREFIX_BYTES_MAX &&
        (uint64_t)options->size <= call->engine->config.proto_max_bulk_len)
        return true;
    roan_call_error(call, "ERR prefix or size is too large");
    return false;
}

static void populate_one(roan_call *call, const populate_options *options, int64_t number, roan_buffer *value)
{
    roan_place place;
    char name[POPULATE_PREFIX_BYTES_MAX + 1 + ROAN_I64_TEXT_MAX];
    memcpy(name, options->prefix.data, options->prefix.bytes);
    name[options->prefix.bytes] = ':';
    size_t bytes = options->prefix.bytes + 1;
    bytes += roan_format_i64(name + bytes, number);
    if (roan_call_find_in(call, call->db, roan_slice_make(name, bytes), &place))
        return;
    value->bytes = 0;
    roan_buffer_printf(value, "value:%lld", (long long)number);
    size_t wanted = options->size == 0 ? value->bytes : (size_t)options->size;
    if (wanted > value->bytes) {
        roan_buffer_reserve(value, wanted - value->bytes);
        memset(value->data + value->bytes, 0, wanted - value->bytes);
    }
    roan_place_set_string(call, &place, roan_slice_make(value->data, wanted), ROAN_EXPIRY_NONE);
}

/* The keys are for this server alone: nothing is counted as changed, logged or sent to replicas. */
void roan_debug_populate(roan_call *call)
{
    populate_options options;
    roan_buffer value = {0};
    if (!parse_populate(call, &options))
        return;
    for (int64_t i = 0; i < options.count; i++)
        populate_one(call, &options, i, &value);
    roan_buffer_done(&value);
    roan_out_ok(call->out);
}
