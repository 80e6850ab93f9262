/* engine/cmd/hash_number.c: fields of hashes as numbers: HINCRBY and HINCRBYFLOAT.
 *
 * The field keeps its expiry. Replicas get the result where repeating the addition would not be exact: floats, a field
 * that expires (it may have gone there meanwhile), and one that has expired (it may still be there).
 */
#include "engine/cmd/hash_edit.h"

#include "engine/command_keys.h"

#include <math.h>

/* The field in argv[2] and its expiry; false when it is absent or has expired. */
static bool find(roan_hash_edit *edit, roan_hash_place *place, int64_t *ret_expiry_ms)
{
    *ret_expiry_ms = ROAN_HASH_NEVER;
    if (!roan_hash_edit_find(edit, edit->call->argv[2], place)) {
        roan_hash_edit_note_revived(edit, place);
        return false;
    }
    *ret_expiry_ms = roan_hash_place_expiry(place);
    return true;
}

static void effect_result(roan_call *call, roan_slice result, int64_t expiry_ms)
{
    roan_hash_effect effect;
    if (expiry_ms == ROAN_HASH_NEVER) {
        roan_slice argv[] = {ROAN_LITERAL("HSET"), call->argv[1], call->argv[2], result};
        roan_call_effect(call, ROAN_COUNT_OF(argv), argv);
        return;
    }
    roan_hash_effect_begin(&effect, call, "HSETEX", 2);
    roan_hash_effect_add(&effect, ROAN_LITERAL("PXAT"));
    roan_hash_effect_add_time(&effect, expiry_ms);
    roan_hash_effect_add_fields(&effect, 2);
    roan_hash_effect_add(&effect, call->argv[2]);
    roan_hash_effect_add(&effect, result);
    roan_hash_effect_end(&effect, call);
}

/* Begins the edit of an addition: the hash there is, or an empty one that nobody has seen yet. */
static bool begin(roan_call *call, roan_hash_edit *edit)
{
    if (!roan_hash_edit_begin(call, edit))
        return false;
    roan_hash_edit_create(edit);
    return true;
}

/* The addition failed: nothing has changed. */
static void fail(roan_hash_edit *edit, const char *error)
{
    if (edit->is_new)
        roan_hash_ops.free_value(edit->value);
    roan_call_error(edit->call, error);
}

ROAN_COMMAND(hincrby, .arity = 4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST,
             .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_HASH, .since = "2.0.0", .complexity = "O(1)",
             .summary = "Adds a number to an integer in a field; a missing one counts as 0.",
             .arguments = "key:key field increment:integer")
{
    roan_hash_edit edit;
    roan_hash_place place;
    int64_t delta, value = 0, expiry_ms;
    if (!roan_call_integer(call, 3, &delta, NULL) || !begin(call, &edit))
        return;
    if (find(&edit, &place, &expiry_ms) && !roan_hash_place_integer(&place, &value)) {
        fail(&edit, "ERR hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(value, delta, &value)) {
        fail(&edit, "ERR increment or decrement would overflow");
        return;
    }
    roan_hash_put_integer(&edit.value, edit.context, &place, call->argv[2], value, expiry_ms);
    if (edit.revived > 0 || expiry_ms != ROAN_HASH_NEVER) {
        char text[ROAN_I64_TEXT_MAX];
        effect_result(call, roan_slice_make(text, roan_format_i64(text, value)), expiry_ms);
    }
    roan_hash_edit_end(&edit, "hincrby", 1);
    roan_out_integer(call->out, value);
}

/* The field's value as a float; false: it is none. */
static bool read_float(const roan_hash_place *place, long double *ret_value)
{
    char scratch[ROAN_I64_TEXT_MAX];
    return roan_parse_long_double(roan_hash_place_value(place, scratch), ret_value);
}

ROAN_COMMAND(hincrbyfloat, .arity = 4,
             .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM | ROAN_CMD_FAST, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_ACCESS | ROAN_KEY_UPDATE)},
             .group = ROAN_GROUP_HASH, .since = "2.6.0", .complexity = "O(1)",
             .summary = "Adds a number to a floating-point number in a field; a missing one counts "
                        "as 0.",
             .arguments = "key:key field increment:double")
{
    roan_hash_edit edit;
    roan_hash_place place;
    long double delta, value = 0;
    int64_t expiry_ms;
    char text[ROAN_LONG_DOUBLE_TEXT_MAX];
    if (!roan_parse_long_double(call->argv[3], &delta)) {
        roan_call_error(call, "ERR value is not a valid float");
        return;
    }
    if (isinf(delta)) {
        roan_call_error(call, "ERR value is NaN or Infinity");
        return;
    }
    if (!begin(call, &edit))
        return;
    if (find(&edit, &place, &expiry_ms) && !read_float(&place, &value)) {
        fail(&edit, "ERR hash value is not a float");
        return;
    }
    value += delta;
    if (isnan(value) || isinf(value)) {
        fail(&edit, "ERR increment would produce NaN or Infinity");
        return;
    }
    roan_slice result = roan_slice_make(text, roan_format_long_double(text, value));
    roan_hash_put(&edit.value, edit.context, &place, call->argv[2], result, expiry_ms);
    effect_result(call, result, expiry_ms);
    roan_hash_edit_end(&edit, "hincrbyfloat", 1);
    roan_out_bulk(call->out, result);
}
