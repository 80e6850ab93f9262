/* engine/config_text.c: what a person who writes a configuration is told: errors with name, value and remedy, and
 * remarks about options that do nothing. Values of sensitive options are never in these texts.
 */
#include "base/number.h"
#include "engine/config.h"

#define SHOWN_BYTES_MAX 80

/* --- errors ------------------------------------------------------------------------------------------------------- */

/* "maxmemory lots" for a message: cut when long, and without the value when that is a secret. */
static void append_shown(roan_buffer *text, roan_slice name, size_t argc, const roan_slice *argv, bool is_secret)
{
    roan_buffer_append(text, name.data, ROAN_MIN(name.bytes, (size_t)SHOWN_BYTES_MAX));
    if (is_secret && argc > 0) {
        roan_buffer_append_text(text, " (hidden)");
        return;
    }
    for (size_t i = 0; i < argc && text->bytes < SHOWN_BYTES_MAX; i++) {
        size_t bytes = ROAN_MIN(argv[i].bytes, (size_t)SHOWN_BYTES_MAX);
        roan_buffer_append_char(text, ' ');
        if (argv[i].bytes == 0)
            roan_buffer_append_text(text, "\"\"");
        for (size_t j = 0; j < bytes; j++) {
            unsigned char c = (unsigned char)argv[i].data[j];
            roan_buffer_append_char(text, c < 0x20 || c == 0x7f ? '?' : (char)c);
        }
        if (bytes < argv[i].bytes)
            roan_buffer_append_text(text, "...");
    }
}

/* What would be right, where the reference's text does not say it. */
static void append_hint(roan_buffer *text, const roan_option *option)
{
    switch (option->type) {
    case ROAN_OPTION_INTEGER:
        roan_buffer_printf(text, "; it takes a whole number from %lld to %llu", (long long)option->min,
                           (unsigned long long)option->max);
        break;
    case ROAN_OPTION_OCTAL:
        roan_buffer_append_text(text, "; it takes permissions such as 700 or 770");
        break;
    case ROAN_OPTION_MEMORY:
    case ROAN_OPTION_MEMORY_OR_NEGATIVE:
        roan_buffer_append_text(text, "; it takes a size such as 1048576, 100mb or 2gb");
        break;
    case ROAN_OPTION_PERCENT_OR_MEMORY:
        roan_buffer_append_text(text, "; it takes a size such as 100mb or 2gb, or a share such as 5%");
        break;
    case ROAN_OPTION_BOOL:
    case ROAN_OPTION_ENUM:
    case ROAN_OPTION_CHOICES:
    case ROAN_OPTION_TEXT:
    case ROAN_OPTION_BYTES:
    case ROAN_OPTION_SPECIAL:
        break;
    }
}

static roan_status unknown_option(roan_slice name, roan_buffer *text, roan_error *reterr)
{
    const char *absent = roan_option_absent(name), *near = absent == NULL ? roan_option_suggest(name) : NULL;
    if (absent != NULL)
        return roan_error_set(reterr, ROAN_E_UNSUPPORTED, "'%.*s': %s", ROAN_SLICE_ARG(roan_buffer_slice(text)),
                              absent);
    return roan_error_set(reterr, ROAN_E_NO_ENTRY, "'%.*s': unknown option%s%s%s",
                          ROAN_SLICE_ARG(roan_buffer_slice(text)), near != NULL ? "; did you mean '" : "",
                          near != NULL ? near : "", near != NULL ? "'?" : "");
}

roan_status roan_config_set_text(roan_config *config, roan_slice name, size_t argc, const roan_slice *argv,
                                 roan_error *reterr)
{
    const roan_option *option = roan_option_find(name);
    roan_buffer text = {0};
    roan_error error;
    roan_status status;
    if (option == NULL) {
        append_shown(&text, name, argc, argv, roan_option_is_secret(name));
        status = unknown_option(name, &text, reterr);
    } else {
        status = roan_option_set(config, option, true, argc, argv, &error);
        if (status != ROAN_OK) {
            append_shown(&text, name, argc, argv, (option->flags & ROAN_OPTION_SENSITIVE) != 0);
            roan_buffer_printf(&text, "': %s", error.text);
            if (status == ROAN_E_CONFIG)
                append_hint(&text, option);
            status = roan_error_set(reterr, status, "'%.*s", ROAN_SLICE_ARG(roan_buffer_slice(&text)));
        }
    }
    roan_buffer_done(&text);
    return status;
}

/* --- remarks ------------------------------------------------------------------------------------------------------ */

static bool differs(const roan_config *config, const roan_config *defaults, const roan_option *option)
{
    roan_buffer now = {0}, initial = {0};
    roan_option_format(config, option, &now);
    roan_option_format(defaults, option, &initial);
    bool is_different = !roan_slice_equal(roan_buffer_slice(&now), roan_buffer_slice(&initial));
    roan_buffer_done(&now);
    roan_buffer_done(&initial);
    return is_different;
}

void roan_config_remarks(const roan_config *config, void (*remark)(void *context, const char *text), void *context)
{
    roan_config defaults;
    roan_buffer kept = {0}, text = {0};
    roan_config_init(&defaults);
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        if (!differs(config, &defaults, option))
            continue;
        if ((option->flags & ROAN_OPTION_IDLE) != 0) {
            text.bytes = 0;
            roan_buffer_printf(&text, "option '%s' has no effect. %s", option->name, option->text);
            roan_buffer_append_char(&text, '\0');
            remark(context, text.data);
        } else if (option->needs != NULL) {
            roan_buffer_printf(&kept, "%s%s", kept.bytes > 0 ? ", " : "", option->name);
        }
    }
    if (kept.bytes > 0) {
        text.bytes = 0;
        roan_buffer_printf(&text, "kept for features that are not there yet: %.*s",
                           ROAN_SLICE_ARG(roan_buffer_slice(&kept)));
        roan_buffer_append_char(&text, '\0');
        remark(context, text.data);
    }
    roan_buffer_done(&kept);
    roan_buffer_done(&text);
    roan_config_done(&defaults);
}
