/* engine/cmd/debug_digest.c: DEBUG DIGEST and DIGEST-VALUE: 160 bits that say whether two data sets are equal.
 *
 * The digest is the reference's, so that a data set can be compared across servers. Two steps: folding in what has no
 * order (digest ^= SHA1(text)), and what has one (the same, then digest = SHA1(digest)).
 *
 *     value = order(type), order(text), and without order "!!expire!!" when the key expires
 *     key   = order(name), value
 *     all   = order(number of the database), then every key of it without order
 */
#include "engine/cmd/debug.h"

#include "base/sha1.h"
#include "types/hash.h"
#include "types/list.h"
#include "types/set.h"

#include <stdio.h>

typedef struct digest {
    unsigned char bytes[ROAN_SHA1_BYTES];
} digest;

static void fold(digest *into, const void *data, size_t bytes)
{
    digest part;
    roan_sha1(data, bytes, part.bytes);
    for (size_t i = 0; i < sizeof part.bytes; i++)
        into->bytes[i] ^= part.bytes[i];
}

static void fold_in_order(digest *into, const void *data, size_t bytes)
{
    fold(into, data, bytes);
    digest before = *into;
    roan_sha1((const char *)before.bytes, sizeof before.bytes, into->bytes);
}

static void fold_number_in_order(digest *into, uint32_t number)
{
    unsigned char big_endian[4] = {(unsigned char)(number >> 24), (unsigned char)(number >> 16),
                                   (unsigned char)(number >> 8), (unsigned char)number};
    fold_in_order(into, big_endian, sizeof big_endian);
}

static void fold_list(digest *into, roan_value list)
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_list_iterator it;
    roan_packed item;
    roan_list_iterator_init(&it, list, 0, false);
    while (roan_list_next(&it, &item)) {
        roan_slice text = roan_packed_text(&item, scratch);
        fold_in_order(into, text.data, text.bytes);
    }
}

/* A field and its value in order, all of them without; their expiries do not count. */
static void fold_field(const roan_hash_field *field, void *context)
{
    digest one = {{0}};
    fold_in_order(&one, field->field.data, field->field.bytes);
    fold_in_order(&one, field->value.data, field->value.bytes);
    fold(context, one.bytes, sizeof one.bytes);
}

static bool fold_member(void *context, roan_slice member)
{
    fold(context, member.data, member.bytes);
    return true;
}

static void fold_string(digest *into, const roan_entry *entry)
{
    char scratch[ROAN_I64_TEXT_MAX];
    roan_slice value = roan_entry_string(entry, scratch);
    fold_in_order(into, value.data, value.bytes);
}

/* What a value adds behind its type. */
static void fold_value(digest *into, const roan_entry *entry)
{
    fold_number_in_order(into, entry->type);
    switch ((roan_type)entry->type) {
    case ROAN_TYPE_STRING:
        fold_string(into, entry);
        break;
    case ROAN_TYPE_LIST:
        fold_list(into, roan_entry_value(entry));
        break;
    case ROAN_TYPE_SET:
        roan_set_each(roan_entry_value(entry), fold_member, into);
        break;
    case ROAN_TYPE_HASH:
        roan_hash_each(roan_entry_value(entry), ROAN_HASH_ALL, fold_field, into);
        break;
    case ROAN_TYPE_ZSET:
    case ROAN_TYPE_STREAM:
    case ROAN_TYPE_COUNT:
        ROAN_UNREACHABLE("there are no such values yet");
    }
    if (entry->flags & ROAN_ENTRY_EXPIRES)
        fold(into, "!!expire!!", 10);
}

static void reply_digest(roan_call *call, const digest *value)
{
    char text[2 * ROAN_SHA1_BYTES + 1];
    for (size_t i = 0; i < sizeof value->bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", value->bytes[i]);
    roan_out_status(call->out, text);
}

static void visit_entry(void *item, void *context)
{
    const roan_entry *entry = item;
    digest one = {{0}};
    roan_slice key = roan_entry_key(entry);
    fold_in_order(&one, key.data, key.bytes);
    fold_value(&one, entry);
    fold(context, one.bytes, sizeof one.bytes);
}

void roan_debug_digest(roan_call *call)
{
    digest all = {{0}};
    roan_engine *engine = call->engine;
    for (unsigned number = 0; number < (unsigned)engine->config.databases; number++) {
        const roan_db *db = roan_engine_db_if_used(engine, number);
        if (db == NULL || roan_db_count(engine, db) == 0)
            continue;
        fold_number_in_order(&all, number);
        for (unsigned i = 0; i < engine->stripe_count; i++)
            ROAN_IGNORE(roan_table_scan(&db->tables[i], 0, SIZE_MAX, visit_entry, &all)); /* always the end */
    }
    reply_digest(call, &all);
}

void roan_debug_digest_value(roan_call *call)
{
    roan_out_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++) {
        roan_place place;
        digest one = {{0}};
        if (roan_call_find_quiet(call, i, &place))
            fold_value(&one, place.entry);
        reply_digest(call, &one);
    }
}
