/* cli/format_tty.c: replies for a person at a terminal.
 *
 *   1) "a"                      behind the number:  )  array, push  ~  set  #  map  |  attributes
 *   2) 1) (integer) 1
 *      2) 1# "k" => (nil)       a value that takes several lines goes below its key
 *
 * Numbers of one aggregate are right-aligned, and what is inside is indented by their width.
 * Attributes, which few servers send, are shown above the value they describe.
 */
#include "cli/format.h"

#include <stdio.h>

static void format_value(roan_cli_text *out, const roan_value *value, size_t indent);

static bool is_aggregate(const roan_value *value)
{
    return value->type == ROAN_REPLY_ARRAY || value->type == ROAN_REPLY_SET ||
           value->type == ROAN_REPLY_PUSH || value->type == ROAN_REPLY_MAP;
}

/* True when something in the value has more than one element, so that it takes several lines. */
static bool takes_lines(const roan_value *value)
{
    while (is_aggregate(value) && value->count == 1)
        value = value->type == ROAN_REPLY_MAP ? &value->elements[1] : &value->elements[0];
    return is_aggregate(value) && value->count > 1;
}

static const char *empty_name(roan_reply_type type)
{
    switch (type) {
    case ROAN_REPLY_SET:
        return "(empty set)\n";
    case ROAN_REPLY_MAP:
        return "(empty hash)\n";
    case ROAN_REPLY_PUSH:
        return "(empty push)\n";
    default:
        return "(empty array)\n";
    }
}

static void format_pair(roan_cli_text *out, const roan_value *pair, size_t indent)
{
    format_value(out, &pair[0], indent);
    out->bytes--; /* the line end of the key */
    roan_cli_text_put(out, " => ");
    if (takes_lines(&pair[1])) {
        roan_cli_text_put_char(out, '\n');
        roan_cli_text_put_spaces(out, indent);
    }
    format_value(out, &pair[1], indent);
}

static void format_elements(roan_cli_text *out, const roan_value *value, size_t indent, char marker)
{
    char number[32];
    int width = snprintf(number, sizeof number, "%zu", value->count);

    if (value->count == 0) {
        roan_cli_text_put(out, empty_name(value->type));
        return;
    }
    for (size_t i = 0; i < value->count; i++) {
        size_t inside = indent + (size_t)width + 2;
        if (i > 0)
            roan_cli_text_put_spaces(out, indent);
        roan_cli_text_printf(out, "%*zu%c ", width, i + 1, marker);
        if (value->type == ROAN_REPLY_MAP)
            format_pair(out, &value->elements[i * 2], inside);
        else
            format_value(out, &value->elements[i], inside);
    }
}

static void format_value(roan_cli_text *out, const roan_value *value, size_t indent)
{
    if (value->attributes != NULL) {
        format_elements(out, value->attributes, indent, '|');
        roan_cli_text_put_spaces(out, indent);
    }
    switch (value->type) {
    case ROAN_REPLY_ERROR:
        roan_cli_text_put(out, "(error) ");
        roan_cli_text_put_slice(out, value->text);
        roan_cli_text_put_char(out, '\n');
        break;
    case ROAN_REPLY_STATUS:
    case ROAN_REPLY_VERBATIM:
        roan_cli_text_put_slice(out, value->text);
        roan_cli_text_put_char(out, '\n');
        break;
    case ROAN_REPLY_INTEGER:
        roan_cli_text_printf(out, "(integer) %lld\n", (long long)value->integer);
        break;
    case ROAN_REPLY_DOUBLE:
        roan_cli_text_printf(out, "(double) %.*s\n", ROAN_SLICE_ARG(value->text));
        break;
    case ROAN_REPLY_BIG_NUMBER:
        roan_cli_text_put(out, "(big number) ");
        roan_cli_text_put_slice(out, value->text);
        roan_cli_text_put_char(out, '\n');
        break;
    case ROAN_REPLY_BULK:
        roan_cli_text_quote(out, value->text);
        roan_cli_text_put_char(out, '\n');
        break;
    case ROAN_REPLY_NULL:
        roan_cli_text_put(out, "(nil)\n");
        break;
    case ROAN_REPLY_BOOLEAN:
        roan_cli_text_put(out, value->boolean ? "(true)\n" : "(false)\n");
        break;
    case ROAN_REPLY_SET:
        format_elements(out, value, indent, '~');
        break;
    case ROAN_REPLY_MAP:
        format_elements(out, value, indent, '#');
        break;
    case ROAN_REPLY_ARRAY:
    case ROAN_REPLY_PUSH:
        format_elements(out, value, indent, ')');
        break;
    case ROAN_REPLY_TYPE_COUNT:
        break;
    }
}

void roan_cli_format_tty(roan_cli_text *out, const roan_value *value)
{
    format_value(out, value, 0);
}
