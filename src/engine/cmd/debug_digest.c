/* engine/cmd/debug_digest.c: DEBUG DIGEST and DIGEST-VALUE: 160 bits that say whether two data sets are equal.
 *
 * The digest is the reference's, so that a data set can be compared across servers. Two steps: folding in what has no
 * order (digest ^= SHA1(text)), and what has one (the same, then digest = SHA1(digest)).
 *
 *     value = order(type), the content, and without order "!!expire!!" when the key expires
 *       content of a string or list: order(text) of each; of a set: its members without order; of a hash or sorted set:
 *       without order for each element a digest of order(field), order(value) or order(member), order(score);
 *       of a stream: order(id), order(name), order(value) ...
 *     key   = order(name), value
 *     all   = order(number of the database), then every key of it without order
 */
#include "engine/cmd/debug.h"

#include "base/sha1.h"
#include "types/hash.h"
#include "types/list.h"
#include "types/set.h"
#include "types/stream.h"
#include "types/zset.h"

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

static void fold_slice_in_order(digest *into, roan_slice text)
{
    fold_in_order(into, text.data, text.bytes);
}

static void fold_item_in_order(digest *into, const roan_packed *item)
{
    char scratch[ROAN_I64_TEXT_MAX];
    fold_slice_in_order(into, roan_packed_text(item, scratch));
}

/* An element of two parts, whose place among the others does not matter. */
static void fold_pair(digest *into, roan_slice first, roan_slice second)
{
    digest pair = {{0}};
    fold_slice_in_order(&pair, first);
    fold_slice_in_order(&pair, second);
    fold(into, pair.bytes, sizeof pair.bytes);
}

static void fold_string(digest *into, const roan_entry *entry)
{
    char scratch[ROAN_I64_TEXT_MAX];
    fold_slice_in_order(into, roan_entry_string(entry, scratch));
}

static void fold_list(digest *into, roan_value list)
{
    roan_list_iterator it;
    roan_packed item;
    roan_list_iterator_init(&it, list, 0, false);
    while (roan_list_next(&it, &item))
        fold_item_in_order(into, &item);
}

static bool fold_member(void *context, roan_slice member)
{
    fold(context, member.data, member.bytes);
    return true;
}

static void fold_field(const roan_hash_field *field, void *context)
{
    fold_pair(context, field->field, field->value); /* its expiry does not count */
}

static void fold_zset(digest *into, roan_value zset)
{
    roan_zset_iterator it;
    roan_zset_item item;
    roan_zset_iterator_init(&it, zset, 0, false);
    while (roan_zset_next(&it, &item)) {
        char score[ROAN_DOUBLE_TEXT_MAX];
        fold_pair(into, item.member, roan_slice_make(score, roan_format_double_digits(score, item.score)));
    }
}

static void fold_stream(digest *into, roan_value value)
{
    roan_stream_iterator it;
    roan_stream_entry entry;
    roan_stream_iterate(&it, roan_stream_of(value), ROAN_STREAM_ID_MIN, ROAN_STREAM_ID_MAX, false);
    while (roan_stream_next(&it, &entry)) {
        char id[ROAN_STREAM_ID_TEXT_MAX];
        size_t bytes = roan_stream_id_format(id, entry.id);
        *(char *)memchr(id, '-', bytes) = '.'; /* here the reference writes ids so */
        fold_in_order(into, id, bytes);
        for (size_t i = 0; i < entry.field_count; i++) {
            roan_packed name, text;
            roan_stream_entry_next(&entry, &name, &text);
            fold_item_in_order(into, &name);
            fold_item_in_order(into, &text);
        }
    }
}

static void fold_content(digest *into, const roan_entry *entry)
{
    switch ((roan_type)entry->type) {
    case ROAN_TYPE_STRING:
        fold_string(into, entry);
        return;
    case ROAN_TYPE_LIST:
        fold_list(into, roan_entry_value(entry));
        return;
    case ROAN_TYPE_SET:
        roan_set_each(roan_entry_value(entry), fold_member, into);
        return;
    case ROAN_TYPE_ZSET:
        fold_zset(into, roan_entry_value(entry));
        return;
    case ROAN_TYPE_HASH:
        roan_hash_each(roan_entry_value(entry), ROAN_HASH_ALL, fold_field, into);
        return;
    case ROAN_TYPE_STREAM:
        fold_stream(into, roan_entry_value(entry));
        return;
    case ROAN_TYPE_COUNT:
        break;
    }
    ROAN_ASSERT(false);
}

#define STREAM_NUMBER 6 /* the reference's; modules' types are 5 */

static void fold_value(digest *into, const roan_entry *entry)
{
    fold_number_in_order(into, entry->type == ROAN_TYPE_STREAM ? STREAM_NUMBER : entry->type);
    fold_content(into, entry);
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
        if (roan_call_find_anyway(call, i, &place))
            fold_value(&one, place.entry);
        reply_digest(call, &one);
    }
}
