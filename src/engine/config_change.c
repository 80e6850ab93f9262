/* engine/config_change.c: CONFIG SET: several options change together or not at all.
 *
 *     find all --> remember old texts --> store all --> run each hook once --> done
 *        |                                   | bad value        | hook failed
 *        v                                   v                  v
 *      refused                        restore_values     restore_values, run the hooks that had run once more
 *
 * Old values are remembered as text: what an option prints it also accepts (the invariant in config.h), so restoring
 * cannot fail. Only options whose text has changed need their hook, so setting a value again costs nothing.
 */
#include "base/number.h"
#include "engine/config.h"

/* One name and value of the request. */
typedef struct pair {
    const roan_option *option;
    const char *name;     /* the name or alias that was used, as errors show it */
    roan_slice value;
    roan_buffer old_text;
    bool has_changed;
} pair;

static roan_change_result refuse(roan_change *change, roan_slice name, const char *text)
{
    change->name = name;
    ROAN_IGNORE(roan_error_set(&change->error, ROAN_E_INVALID, "%s", text)); /* it is its return value */
    return ROAN_CHANGE_REFUSED;
}

/* Is every option there, allowed to change, and named once? The reference takes a name and its alias for two options;
 * the later one wins. */
static roan_change_result find_pairs(roan_change *change, pair *pairs, size_t count, const roan_slice *words)
{
    for (size_t i = 0; i < count; i++) {
        roan_slice name = words[2 * i];
        const roan_option *option = roan_option_find(name);
        if (option == NULL || (option->flags & ROAN_OPTION_FILE) != 0) {
            change->name = name;
            return ROAN_CHANGE_UNKNOWN;
        }
        if ((option->flags & ROAN_OPTION_IMMUTABLE) != 0)
            return refuse(change, name, "can't set immutable config");
        if ((option->flags & ROAN_OPTION_PROTECTED) != 0 && !change->allow_protected)
            return refuse(change, name, "can't set protected config");
        if ((option->flags & ROAN_OPTION_NOT_LOADING) != 0 && change->is_loading) {
            change->name = name;
            return ROAN_CHANGE_LOADING;
        }
        pairs[i].option = option;
        pairs[i].name = roan_slice_is(name, option->name) ? option->name : option->alias;
        pairs[i].value = words[2 * i + 1];
        for (size_t j = 0; j < i; j++)
            if (pairs[j].name == pairs[i].name)
                return refuse(change, name, "duplicate parameter");
    }
    return ROAN_CHANGE_DONE;
}

static void restore_values(roan_config *config, pair *pairs, size_t count)
{
    while (count-- > 0) { /* backwards: an option that was set twice ends with its first old text */
        roan_slice text = roan_buffer_slice(&pairs[count].old_text);
        if (text.data == NULL)
            text = ROAN_LITERAL("");
        ROAN_ASSERT(roan_option_set(config, pairs[count].option, false, 1, &text, NULL) == ROAN_OK);
    }
}

static roan_change_result store_values(roan_config *config, roan_change *change, pair *pairs, size_t count)
{
    roan_buffer new_text = {0};
    roan_status status = ROAN_OK;
    for (size_t i = 0; i < count && status == ROAN_OK; i++) {
        roan_option_format(config, pairs[i].option, &pairs[i].old_text);
        status = roan_option_set(config, pairs[i].option, false, 1, &pairs[i].value, &change->error);
        if (status != ROAN_OK) {
            change->name = roan_slice_from_text(pairs[i].name);
            restore_values(config, pairs, i);
        } else {
            new_text.bytes = 0;
            roan_option_format(config, pairs[i].option, &new_text);
            pairs[i].has_changed =
                !roan_slice_equal(roan_buffer_slice(&new_text), roan_buffer_slice(&pairs[i].old_text));
        }
    }
    roan_buffer_done(&new_text);
    return status == ROAN_OK ? ROAN_CHANGE_DONE : ROAN_CHANGE_REFUSED;
}

static roan_status run_hook(const roan_config_hooks *hooks, roan_apply apply, roan_config *config, roan_error *reterr)
{
    const roan_config_hook *hook = hooks != NULL ? &hooks->at[apply] : NULL;
    if (hook == NULL || hook->apply == NULL)
        return ROAN_OK;
    return hook->apply(hook->context, config, reterr);
}

_Static_assert(ROAN_APPLY_COUNT <= 32, "the set of hooks that ran is 32 bits wide");

static roan_change_result apply_values(roan_config *config, roan_change *change, pair *pairs, size_t count)
{
    uint32_t ran = 0;
    for (size_t i = 0; i < count; i++) {
        roan_apply apply = pairs[i].option->apply;
        if (!pairs[i].has_changed || apply == ROAN_APPLY_NOTHING || (ran >> apply & 1) != 0)
            continue;
        if (run_hook(change->hooks, apply, config, &change->error) == ROAN_OK) {
            ran |= UINT32_C(1) << apply;
            continue;
        }
        change->name = roan_slice_from_text(pairs[i].name);
        change->hook_error = change->error;
        if (pairs[i].option->apply_error != NULL) /* its own words are for the log */
            ROAN_IGNORE(roan_error_set(&change->error, ROAN_E_SYSTEM, "%s", pairs[i].option->apply_error));
        restore_values(config, pairs, count);
        for (unsigned again = 0; again < ROAN_APPLY_COUNT; again++)
            if ((ran >> again & 1) != 0) /* these values worked a moment ago; nothing better than going on is left */
                ROAN_IGNORE(run_hook(change->hooks, (roan_apply)again, config, NULL));
        return ROAN_CHANGE_REFUSED;
    }
    return ROAN_CHANGE_DONE;
}

roan_change_result roan_config_change(roan_config *config, roan_change *change, size_t pair_count,
                                      const roan_slice *words)
{
    ROAN_ASSERT(pair_count > 0);
    change->error = change->hook_error = (roan_error){.text = ""};
    pair *pairs = roan_alloc_zero(pair_count * sizeof *pairs);
    roan_change_result result = find_pairs(change, pairs, pair_count, words);
    if (result == ROAN_CHANGE_DONE)
        result = store_values(config, change, pairs, pair_count);
    if (result == ROAN_CHANGE_DONE)
        result = apply_values(config, change, pairs, pair_count);
    for (size_t i = 0; i < pair_count; i++)
        roan_buffer_done(&pairs[i].old_text);
    roan_free(pairs, pair_count * sizeof *pairs);
    return result;
}
