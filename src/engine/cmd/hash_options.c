/* engine/cmd/hash_options.c: one parser for the options of HGETEX and HSETEX, with the reference's rules for what
 * excludes what: NX and XX, FNX and FXX; all forms of expiry, KEEPTTL and PERSIST each other. The same option may be
 * repeated; the last one counts. */
#include "engine/cmd/hash_options.h"

typedef struct time_option {
    const char *word;
    int64_t unit_ms;
    bool is_absolute;
} time_option;

static const time_option time_options[] = {
    {"EX", 1000, false}, {"PX", 1, false}, {"EXAT", 1000, true}, {"PXAT", 1, true}};

/* EX, PX, EXAT or PXAT with its argument, which stands before `end`. */
static bool take_time(roan_call *call, size_t *at, size_t end, roan_hash_options *options)
{
    for (size_t i = 0; i < ROAN_COUNT_OF(time_options); i++) {
        const time_option *option = &time_options[i];
        if (!roan_call_is(call, *at, option->word))
            continue;
        bool is_other = options->time_index != 0 &&
                        (options->time_unit_ms != option->unit_ms || options->time_is_absolute != option->is_absolute);
        if (*at + 1 >= end || is_other || options->keep || options->persist)
            return false;
        options->time_index = ++*at;
        options->time_unit_ms = option->unit_ms;
        options->time_is_absolute = option->is_absolute;
        return true;
    }
    return false;
}

/* Sets the flag of a word unless something else excludes it. */
static bool take_word(roan_call *call, size_t at, const char *word, bool is_excluded, bool *flag)
{
    if (is_excluded || !roan_call_is(call, at, word))
        return false;
    return *flag = true;
}

static bool take_option(roan_call *call, bool is_setting, size_t *at, size_t end, roan_hash_options *options)
{
    if (take_time(call, at, end, options))
        return true;
    if (!is_setting)
        return take_word(call, *at, "PERSIST", options->time_index != 0, &options->persist);
    return take_word(call, *at, "NX", options->key_present, &options->key_absent) ||
           take_word(call, *at, "XX", options->key_absent, &options->key_present) ||
           take_word(call, *at, "FNX", options->fields_present, &options->fields_absent) ||
           take_word(call, *at, "FXX", options->fields_absent, &options->fields_present) ||
           take_word(call, *at, "KEEPTTL", options->time_index != 0, &options->keep);
}

bool roan_hash_options_parse(roan_call *call, bool is_setting, roan_hash_options *ret_options)
{
    size_t end = roan_hash_fields_find(call, 2);
    *ret_options = (roan_hash_options){0};
    if (end == 0)
        return false;
    for (size_t at = 2; at < end; at++)
        if (!take_option(call, is_setting, &at, end, ret_options)) {
            roan_call_syntax_error(call);
            return false;
        }
    return roan_hash_fields_parse(call, end + 1, is_setting ? 2 : 1, ROAN_HASH_NUMFIELDS_ERROR, &ret_options->fields);
}

bool roan_hash_options_time(roan_call *call, const roan_hash_options *options, int64_t *ret_expiry_ms)
{
    return roan_hash_time_parse(call, options->time_index, options->time_unit_ms,
                                options->time_is_absolute ? 0 : call->now_ms, ret_expiry_ms);
}
