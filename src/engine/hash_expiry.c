/* engine/hash_expiry.c: takes expired fields out of a hash on behalf of active expiry, and says so: HDEL to logs and
 * replicas (which do not expire by themselves), one "hexpired" for all fields of a batch.
 */
#include "engine/hash_expiry.h"

#include "engine/effects.h"
#include "engine/stats.h"
#include "types/hash.h"

#define FRONT_WORDS 2 /* HDEL, key */

/* The words of HDEL: the fields are copied, as they go before the effect is given. */
typedef struct expired_fields {
    roan_buffer text;
    size_t ends[ROAN_HASH_EXPIRE_MAX]; /* where each field's text ends */
    size_t count;
    bool is_wanted;
} expired_fields;

static void note_field(const roan_hash_field *field, void *context)
{
    expired_fields *fields = context;
    if (fields->is_wanted) {
        roan_buffer_append_slice(&fields->text, field->field);
        fields->ends[fields->count] = fields->text.bytes;
    }
    fields->count++;
}

static void give_effect(roan_lane *lane, roan_db *db, roan_slice key, const expired_fields *fields)
{
    roan_slice argv[FRONT_WORDS + ROAN_HASH_EXPIRE_MAX] = {ROAN_LITERAL("HDEL"), key};
    size_t start = 0;
    for (size_t i = 0; i < fields->count; i++) {
        const char *text = fields->text.bytes == 0 ? "" : fields->text.data + start;
        argv[FRONT_WORDS + i] = roan_slice_make(text, fields->ends[i] - start);
        start = fields->ends[i];
    }
    roan_effects_given(lane, db, FRONT_WORDS + fields->count, argv);
}

_Static_assert(ROAN_EXPIRED_FIELDS_MAX <= ROAN_HASH_EXPIRE_MAX, "one batch of the engine is at most one of the type");

size_t roan_hash_expire_fields(roan_lane *lane, roan_db *db, roan_entry *entry, size_t max)
{
    ROAN_ASSERT(entry->type == ROAN_TYPE_HASH && max <= ROAN_EXPIRED_FIELDS_MAX);
    expired_fields fields = {.is_wanted = lane->engine->on_effect != NULL};
    roan_value value = roan_entry_value(entry);
    const void *data = value.data;
    ROAN_IGNORE(roan_hash_expire(&value, lane->now_ms, max, note_field, &fields)); /* fields.count */
    ROAN_ASSERT(value.data == data); /* taking out never makes another value */
    if (fields.count > 0) {
        lane->stats->expired_fields += fields.count;
        roan_effects_event(lane, db, roan_entry_key(entry), false, ROAN_EVENT_HASH, "hexpired");
        if (fields.is_wanted)
            give_effect(lane, db, roan_entry_key(entry), &fields);
    }
    roan_buffer_done(&fields.text);
    return fields.count;
}
