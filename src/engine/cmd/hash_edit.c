/* engine/cmd/hash_edit.c: finding, changing and reporting for all commands on hashes; see hash_edit.h.
 *
 * Overwriting a field whose time is over is two changes: it expires (event, statistics), and a new one comes. Emptied
 * hashes are deleted. Every edit stores the value back, which also tells the keyspace when something in the hash is
 * due.
 */
#include "engine/cmd/hash_edit.h"

#include "base/alloc.h"
#include "engine/stats.h"

bool roan_hash_find_read(roan_call *call, roan_value *ret_value, bool *ret_is_absent)
{
    roan_place place;
    *ret_is_absent = !roan_call_find_read(call, 1, &place);
    if (*ret_is_absent || !roan_call_is_type(call, &place, ROAN_TYPE_HASH))
        return false;
    *ret_value = roan_place_value(&place);
    return true;
}

bool roan_hash_edit_begin(roan_call *call, roan_hash_edit *edit)
{
    edit->call = call;
    edit->context = &call->engine->types;
    edit->revived = 0;
    edit->is_new = !roan_call_find_write(call, 1, &edit->place);
    if (!roan_call_is_type(call, &edit->place, ROAN_TYPE_HASH))
        return false;
    edit->value = edit->is_new ? (roan_value){0} : roan_place_value(&edit->place);
    return true;
}

void roan_hash_edit_create(roan_hash_edit *edit)
{
    if (edit->value.data == NULL)
        edit->value = roan_hash_create();
}

static void report(roan_hash_edit *edit, const char *event, uint64_t changes)
{
    roan_call_changed(edit->call, &edit->place, ROAN_EVENT_HASH, event);
    edit->call->dirty += changes - 1;
}

void roan_hash_edit_end(roan_hash_edit *edit, const char *event, uint64_t changes)
{
    roan_call *call = edit->call;
    if (edit->is_new)
        roan_place_create(call, &edit->place, ROAN_TYPE_HASH, edit->value, ROAN_EXPIRY_NONE);
    else
        roan_place_store(call, &edit->place, edit->value);
    if (ROAN_UNLIKELY(edit->revived > 0)) {
        call->lane->stats->expired_fields += edit->revived;
        roan_call_changed_event(call, &edit->place, ROAN_EVENT_HASH, "hexpired");
    }
    report(edit, event, changes);
}

void roan_hash_edit_end_removed(roan_hash_edit *edit, const char *event, uint64_t changes)
{
    roan_call *call = edit->call;
    roan_place_store(call, &edit->place, edit->value);
    bool is_empty = roan_hash_count(edit->value) == 0;
    if (is_empty)
        roan_place_delete(call, &edit->place, false);
    report(edit, event, changes);
    if (is_empty)
        roan_call_changed_event(call, &edit->place, ROAN_EVENT_GENERIC, "del");
}

/* ---- arguments ---- */

bool roan_hash_fields_parse(roan_call *call, size_t at, size_t words, const char *error, roan_hash_fields *ret_fields)
{
    int64_t count;
    size_t left = call->argc - at - 1;
    if (!roan_call_integer(call, at, &count, NULL))
        return false;
    if (count <= 0 || (uint64_t)count > left || (uint64_t)count * words != left) {
        roan_call_error(call, error);
        return false;
    }
    *ret_fields = (roan_hash_fields){.first = at + 1, .count = (size_t)count};
    return true;
}

size_t roan_hash_fields_find(roan_call *call, size_t from)
{
    for (size_t at = from; at + 1 < call->argc; at++)
        if (roan_call_is(call, at, "FIELDS"))
            return at;
    roan_call_error(call, ROAN_HASH_NUMFIELDS_ERROR);
    return 0;
}

bool roan_hash_time_parse(roan_call *call, size_t index, int64_t unit_ms, int64_t base_ms, int64_t *ret_expiry_ms)
{
    int64_t value, when;
    if (!roan_call_integer(call, index, &value, NULL))
        return false;
    if (value < 0 || __builtin_mul_overflow(value, unit_ms, &when) || __builtin_add_overflow(when, base_ms, &when)) {
        roan_call_error_printf(call, "ERR invalid expire time in '%s' command", call->command->name);
        return false;
    }
    *ret_expiry_ms = when;
    return true;
}

/* ---- effects ---- */

#define EFFECT_FRONT_WORDS 6 /* command, key, PXAT, time, FIELDS, number */

void roan_hash_effect_begin(roan_hash_effect *effect, roan_call *call, const char *command, size_t words_max)
{
    *effect = (roan_hash_effect){.words_per_field = 1};
    if (call->engine->on_effect == NULL)
        return;
    effect->capacity = words_max + EFFECT_FRONT_WORDS;
    effect->argv = roan_alloc(effect->capacity * sizeof *effect->argv);
    roan_hash_effect_add(effect, roan_slice_from_text(command));
    roan_hash_effect_add(effect, call->argv[1]);
}

void roan_hash_effect_add(roan_hash_effect *effect, roan_slice word)
{
    if (effect->argv == NULL)
        return;
    ROAN_ASSERT(effect->argc < effect->capacity);
    effect->argv[effect->argc++] = word;
}

void roan_hash_effect_add_time(roan_hash_effect *effect, int64_t expiry_ms)
{
    roan_hash_effect_add(effect, roan_slice_make(effect->when, roan_format_i64(effect->when, expiry_ms)));
}

void roan_hash_effect_add_fields(roan_hash_effect *effect, size_t words_per_field)
{
    roan_hash_effect_add(effect, ROAN_LITERAL("FIELDS"));
    effect->number_at = effect->argc;
    effect->words_per_field = words_per_field;
    roan_hash_effect_add(effect, ROAN_LITERAL(""));
}

void roan_hash_effect_end(roan_hash_effect *effect, roan_call *call)
{
    if (effect->argv == NULL) {
        roan_call_no_effect(call); /* nobody listens: it does not matter */
        return;
    }
    size_t front = effect->number_at != 0 ? effect->number_at + 1 : 2;
    if (effect->argc > front) {
        size_t count = (effect->argc - front) / effect->words_per_field;
        if (effect->number_at != 0)
            effect->argv[effect->number_at] = roan_slice_make(effect->number, roan_format_u64(effect->number, count));
        roan_call_effect(call, effect->argc, effect->argv);
    }
    roan_free(effect->argv, effect->capacity * sizeof *effect->argv);
    effect->argv = NULL;
}
