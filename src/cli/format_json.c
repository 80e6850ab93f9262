/* cli/format_json.c: replies as JSON.
 *
 * Arrays, sets and pushes are arrays, maps are objects; a key that is not a string is shown as JSON
 * inside quotes. Bytes from 0x80 up go through unchanged: a value in UTF-8 stays readable, one that
 * is not UTF-8 makes the text invalid. For those, the ASCII form escapes a string first as the TTY
 * format does and then as JSON, so that it can be undone exactly. Errors, infinities and NaN, for
 * which JSON has no word, are written as redis-cli writes them: error:"text", inf, nan.
 */
#include "cli/format.h"

#include <stdlib.h>

static void put_string(roan_cli_text *out, roan_slice bytes)
{
    static const char escaped[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";

    roan_cli_text_put_char(out, '"');
    for (size_t i = 0; i < bytes.bytes; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        const char *found = c == 0 ? NULL : strchr(escaped, c);
        if (found != NULL) {
            roan_cli_text_put_char(out, '\\');
            roan_cli_text_put_char(out, letters[found - escaped]);
        } else if (c < ' ') {
            roan_cli_text_printf(out, "\\u%04x", c);
        } else {
            roan_cli_text_put_char(out, (char)c);
        }
    }
    roan_cli_text_put_char(out, '"');
}

/* Escapes once for the byte values and once more for JSON. */
static void put_ascii_string(roan_cli_text *out, roan_slice bytes)
{
    roan_cli_text quoted = {0};

    roan_cli_text_quote(&quoted, bytes);
    put_string(out, roan_slice_make(quoted.data + 1, quoted.bytes - 2));
    roan_cli_text_done(&quoted);
}

static void put_text(roan_cli_text *out, roan_slice bytes, bool is_ascii)
{
    if (is_ascii)
        put_ascii_string(out, bytes);
    else
        put_string(out, bytes);
}

static void put_key(roan_cli_text *out, const roan_value *key, bool is_ascii)
{
    bool has_quotes = key->type == ROAN_REPLY_STATUS || key->type == ROAN_REPLY_BULK ||
                      key->type == ROAN_REPLY_VERBATIM || key->type == ROAN_REPLY_ERROR;

    if (!has_quotes)
        roan_cli_text_put_char(out, '"');
    roan_cli_format_json(out, key, is_ascii);
    if (!has_quotes)
        roan_cli_text_put_char(out, '"');
}

static void put_map(roan_cli_text *out, const roan_value *map, bool is_ascii)
{
    roan_cli_text_put_char(out, '{');
    for (size_t i = 0; i < map->count; i++) {
        if (i > 0)
            roan_cli_text_put_char(out, ',');
        put_key(out, &map->elements[2 * i], is_ascii);
        roan_cli_text_put_char(out, ':');
        roan_cli_format_json(out, &map->elements[2 * i + 1], is_ascii);
    }
    roan_cli_text_put_char(out, '}');
}

static void put_array(roan_cli_text *out, const roan_value *array, bool is_ascii)
{
    roan_cli_text_put_char(out, '[');
    for (size_t i = 0; i < array->count; i++) {
        if (i > 0)
            roan_cli_text_put_char(out, ',');
        roan_cli_format_json(out, &array->elements[i], is_ascii);
    }
    roan_cli_text_put_char(out, ']');
}

void roan_cli_format_json(roan_cli_text *out, const roan_value *value, bool is_ascii)
{
    switch (value->type) {
    case ROAN_REPLY_ERROR:
        roan_cli_text_put(out, "error:");
        put_text(out, value->text, is_ascii);
        break;
    case ROAN_REPLY_STATUS:
    case ROAN_REPLY_BULK:
    case ROAN_REPLY_VERBATIM:
        put_text(out, value->text, is_ascii);
        break;
    case ROAN_REPLY_INTEGER:
        roan_cli_text_printf(out, "%lld", (long long)value->integer);
        break;
    case ROAN_REPLY_DOUBLE:
    case ROAN_REPLY_BIG_NUMBER:
        roan_cli_text_put_slice(out, value->text);
        break;
    case ROAN_REPLY_NULL:
        roan_cli_text_put(out, "null");
        break;
    case ROAN_REPLY_BOOLEAN:
        roan_cli_text_put(out, value->boolean ? "true" : "false");
        break;
    case ROAN_REPLY_MAP:
        put_map(out, value, is_ascii);
        break;
    case ROAN_REPLY_ARRAY:
    case ROAN_REPLY_SET:
    case ROAN_REPLY_PUSH:
        put_array(out, value, is_ascii);
        break;
    case ROAN_REPLY_TYPE_COUNT:
        break;
    }
}
