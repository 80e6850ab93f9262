/* cli/format.c: chooses the format of a reply, and the two formats for scripts that are short: raw,
 * csv.
 *
 * Both flatten: nesting leaves no trace but the order of the elements. A raw map shows key and
 * value on one line with a space between them. A raw error is followed by an empty line.
 */
#include "cli/format.h"

static size_t count_children(const roan_value *value)
{
    return value->type == ROAN_REPLY_MAP ? value->count * 2 : value->count;
}

void roan_cli_format_raw(roan_cli_text *out, const roan_value *value, const char *delimiter)
{
    switch (value->type) {
    case ROAN_REPLY_NULL:
        break;
    case ROAN_REPLY_ERROR:
        roan_cli_text_put_slice(out, value->text);
        roan_cli_text_put_char(out, '\n');
        break;
    case ROAN_REPLY_STATUS:
    case ROAN_REPLY_BULK:
    case ROAN_REPLY_VERBATIM:
    case ROAN_REPLY_DOUBLE:
    case ROAN_REPLY_BIG_NUMBER:
        roan_cli_text_put_slice(out, value->text);
        break;
    case ROAN_REPLY_INTEGER:
        roan_cli_text_printf(out, "%lld", (long long)value->integer);
        break;
    case ROAN_REPLY_BOOLEAN:
        roan_cli_text_put(out, value->boolean ? "(true)" : "(false)");
        break;
    case ROAN_REPLY_ARRAY:
    case ROAN_REPLY_SET:
    case ROAN_REPLY_PUSH:
    case ROAN_REPLY_MAP:
        for (size_t i = 0; i < count_children(value); i++) {
            bool is_map_value = value->type == ROAN_REPLY_MAP && i % 2 == 1;
            if (i > 0)
                roan_cli_text_put(out, is_map_value ? " " : delimiter);
            roan_cli_format_raw(out, &value->elements[i], delimiter);
        }
        break;
    case ROAN_REPLY_TYPE_COUNT:
        break;
    }
}

void roan_cli_format_csv(roan_cli_text *out, const roan_value *value)
{
    switch (value->type) {
    case ROAN_REPLY_NULL:
        roan_cli_text_put(out, "NULL");
        break;
    case ROAN_REPLY_ERROR:
        roan_cli_text_put(out, "ERROR,");
        roan_cli_text_quote(out, value->text);
        break;
    case ROAN_REPLY_STATUS:
    case ROAN_REPLY_BULK:
    case ROAN_REPLY_VERBATIM:
        roan_cli_text_quote(out, value->text);
        break;
    case ROAN_REPLY_DOUBLE:
    case ROAN_REPLY_BIG_NUMBER:
        roan_cli_text_put_slice(out, value->text);
        break;
    case ROAN_REPLY_INTEGER:
        roan_cli_text_printf(out, "%lld", (long long)value->integer);
        break;
    case ROAN_REPLY_BOOLEAN:
        roan_cli_text_put(out, value->boolean ? "true" : "false");
        break;
    case ROAN_REPLY_ARRAY:
    case ROAN_REPLY_SET:
    case ROAN_REPLY_PUSH:
    case ROAN_REPLY_MAP:
        for (size_t i = 0; i < count_children(value); i++) {
            if (i > 0)
                roan_cli_text_put_char(out, ',');
            roan_cli_format_csv(out, &value->elements[i]);
        }
        break;
    case ROAN_REPLY_TYPE_COUNT:
        break;
    }
}

void roan_cli_format_reply(roan_cli_text *out, const roan_value *value,
                           const roan_cli_options *options, bool is_verbatim)
{
    if (is_verbatim) {
        roan_cli_format_raw(out, value, options->bulk_delimiter);
        return;
    }
    switch (options->format) {
    case ROAN_CLI_FORMAT_TTY:
        roan_cli_format_tty(out, value);
        break;
    case ROAN_CLI_FORMAT_RAW:
        roan_cli_format_raw(out, value, options->bulk_delimiter);
        roan_cli_text_put(out, options->reply_delimiter);
        break;
    case ROAN_CLI_FORMAT_CSV:
        roan_cli_format_csv(out, value);
        roan_cli_text_put_char(out, '\n');
        break;
    case ROAN_CLI_FORMAT_JSON:
    case ROAN_CLI_FORMAT_QUOTED_JSON:
        roan_cli_format_json(out, value, options->format == ROAN_CLI_FORMAT_QUOTED_JSON);
        roan_cli_text_put_char(out, '\n');
        break;
    }
}
