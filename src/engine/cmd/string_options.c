/* engine/cmd/string_options.c: one parser for the options of SET, GETEX and MSETEX, with the reference's rules for what
 * excludes what: NX, XX and IFEQ each other; all forms of expiry, KEEPTTL and PERSIST each other, but a repetition of
 * the same option is accepted and the last one counts. */
#include "engine/cmd/string_options.h"

bool roan_parse_expiry(roan_call *call, size_t index, int64_t unit_ms, int64_t base_ms, int64_t *ret_expiry_ms)
{
    int64_t value, when;
    if (!roan_call_integer(call, index, &value, NULL))
        return false;
    if (value <= 0 || __builtin_mul_overflow(value, unit_ms, &when) || __builtin_add_overflow(when, base_ms, &when)) {
        roan_call_error_printf(call, "ERR invalid expire time in '%s' command", call->command->name);
        return false;
    }
    *ret_expiry_ms = when;
    return true;
}

static bool read_time(roan_call *call, roan_set_options *options)
{
    return roan_parse_expiry(call, options->time_index, options->time_unit_ms,
                             options->time_is_absolute ? 0 : call->now_ms, &options->expiry_ms);
}

typedef struct time_option {
    const char *word;
    int64_t unit_ms;
    bool is_absolute;
} time_option;

static const time_option time_options[] = {
    {"EX", 1000, false}, {"PX", 1, false}, {"EXAT", 1000, true}, {"PXAT", 1, true}};

/* EX, PX, EXAT or PXAT with its argument; false when argv[*at] is something else or excluded by what came before. */
static bool take_time(roan_call *call, size_t *at, roan_set_options *options, const char **time_word, bool is_excluded)
{
    for (size_t i = 0; i < ROAN_COUNT_OF(time_options); i++) {
        const time_option *option = &time_options[i];
        if (!roan_call_is(call, *at, option->word))
            continue;
        if (is_excluded || *at + 1 >= call->argc || (*time_word != NULL && *time_word != option->word))
            return false;
        *time_word = option->word;
        options->time_index = ++*at;
        options->time_unit_ms = option->unit_ms;
        options->time_is_absolute = option->is_absolute;
        return true;
    }
    return false;
}

static bool take_condition(roan_call *call, size_t *at, unsigned allowed, roan_set_options *options)
{
    if (roan_call_is(call, *at, "NX") && !options->if_present && options->if_equal.data == NULL)
        return (options->if_absent = allowed & ROAN_OPTION_NX_XX) != 0;
    if (roan_call_is(call, *at, "XX") && !options->if_absent && options->if_equal.data == NULL)
        return (options->if_present = allowed & ROAN_OPTION_NX_XX) != 0;
    if (roan_call_is(call, *at, "IFEQ") && allowed & ROAN_OPTION_IFEQ && *at + 1 < call->argc && !options->if_absent &&
        !options->if_present && options->if_equal.data == NULL) {
        options->if_equal = call->argv[++*at];
        return true;
    }
    return false;
}

bool roan_set_options_parse(roan_call *call, size_t first, unsigned allowed, roan_set_options *options)
{
    bool keep = false;
    const char *time_word = NULL;
    *options = (roan_set_options){.expiry_ms = ROAN_EXPIRY_NONE};
    for (size_t at = first; at < call->argc; at++) {
        if (allowed & ROAN_OPTION_GET && roan_call_is(call, at, "GET")) {
            options->get = true;
        } else if (allowed & ROAN_OPTION_KEEPTTL && roan_call_is(call, at, "KEEPTTL") && time_word == NULL) {
            keep = true;
        } else if (allowed & ROAN_OPTION_PERSIST && roan_call_is(call, at, "PERSIST") && time_word == NULL) {
            options->persist = true;
        } else if (!take_condition(call, &at, allowed, options) &&
                   !take_time(call, &at, options, &time_word, keep || options->persist)) {
            roan_call_syntax_error(call);
            return false;
        }
    }
    if (keep)
        options->expiry_ms = ROAN_EXPIRY_KEEP;
    return options->time_index == 0 || read_time(call, options);
}
