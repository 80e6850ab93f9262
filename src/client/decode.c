/* client/decode.c: one view of a reply for both protocols.
 *
 * A map is a MAP (elements hold keys and values in turn), or an ARRAY of the same elements, or an ARRAY of two-element
 * ARRAYs (XREAD, ZRANGE WITHSCORES of RESP3). Which one is told from the value alone: pairs are nested when the first
 * element is an array and the reply is no map.
 */
#include "roan/decode.h"

#include "base/number.h"

#include <stdlib.h>

static bool is_list(const roan_value *value)
{
    return value->type == ROAN_REPLY_ARRAY || value->type == ROAN_REPLY_SET || value->type == ROAN_REPLY_PUSH;
}

static bool is_text(const roan_value *value)
{
    return value->type == ROAN_REPLY_BULK || value->type == ROAN_REPLY_STATUS || value->type == ROAN_REPLY_VERBATIM ||
           value->type == ROAN_REPLY_BIG_NUMBER || value->type == ROAN_REPLY_DOUBLE;
}

static roan_status refuse(const roan_value *value)
{
    return value != NULL && value->type == ROAN_REPLY_NULL ? ROAN_NIL : ROAN_E_TYPE;
}

void roan_bytes_free(roan_bytes *bytes)
{
    free(bytes->data);
    *bytes = (roan_bytes){NULL, 0};
}

/* --- one value --- */

roan_status roan_decode_status(const roan_value *value)
{
    if (value != NULL && (value->type == ROAN_REPLY_STATUS || value->type == ROAN_REPLY_BULK))
        return ROAN_OK;
    return refuse(value);
}

roan_status roan_decode_integer(const roan_value *value, int64_t *ret_integer)
{
    int64_t integer;

    if (value == NULL)
        return ROAN_E_TYPE;
    if (value->type == ROAN_REPLY_INTEGER)
        integer = value->integer;
    else if (value->type == ROAN_REPLY_BOOLEAN)
        integer = value->boolean;
    else if (!is_text(value) || !roan_parse_i64(value->text, &integer))
        return refuse(value);
    if (ret_integer != NULL)
        *ret_integer = integer;
    return ROAN_OK;
}

roan_status roan_decode_bool(const roan_value *value, bool *ret_bool)
{
    bool is_true;

    if (value == NULL)
        return ROAN_E_TYPE;
    if (value->type == ROAN_REPLY_INTEGER)
        is_true = value->integer != 0;
    else if (value->type == ROAN_REPLY_BOOLEAN)
        is_true = value->boolean;
    else if (value->type == ROAN_REPLY_STATUS)
        is_true = true;
    else
        return refuse(value);
    if (ret_bool != NULL)
        *ret_bool = is_true;
    return ROAN_OK;
}

roan_status roan_decode_double(const roan_value *value, double *ret_double)
{
    double number;

    if (value == NULL)
        return ROAN_E_TYPE;
    if (value->type == ROAN_REPLY_DOUBLE)
        number = value->number;
    else if (value->type == ROAN_REPLY_INTEGER)
        number = (double)value->integer;
    else if (!is_text(value) || !roan_parse_double_saturating(value->text, &number))
        return refuse(value);
    if (ret_double != NULL)
        *ret_double = number;
    return ROAN_OK;
}

roan_status roan_decode_text(const roan_value *value, roan_slice *ret_text)
{
    if (value == NULL || !is_text(value))
        return refuse(value);
    if (ret_text != NULL)
        *ret_text = value->text;
    return ROAN_OK;
}

roan_status roan_decode_bytes(const roan_value *value, roan_bytes *ret_bytes)
{
    roan_slice text;
    roan_status status = roan_decode_text(value, &text);
    char *data;

    if (status != ROAN_OK || ret_bytes == NULL)
        return status;
    data = malloc(text.bytes + 1);
    if (data == NULL)
        return ROAN_E_NOMEM;
    if (text.bytes > 0)
        memcpy(data, text.data, text.bytes);
    data[text.bytes] = '\0';
    *ret_bytes = (roan_bytes){data, text.bytes};
    return ROAN_OK;
}

/* --- lists and maps --- */

size_t roan_decode_count(const roan_value *value)
{
    return value != NULL && is_list(value) ? value->count : 0;
}

const roan_value *roan_decode_element(const roan_value *value, size_t index)
{
    return index < roan_decode_count(value) ? &value->elements[index] : NULL;
}

/* An array whose elements are arrays of two. */
static bool is_nested(const roan_value *value)
{
    return is_list(value) && value->count > 0 && is_list(&value->elements[0]) && value->elements[0].count == 2;
}

size_t roan_decode_pair_count(const roan_value *value)
{
    if (value == NULL)
        return 0;
    if (value->type == ROAN_REPLY_MAP || is_nested(value))
        return value->count;
    return is_list(value) ? value->count / 2 : 0;
}

roan_status roan_decode_pair(const roan_value *value, size_t index, const roan_value **ret_key,
                             const roan_value **ret_value)
{
    const roan_value *pair;

    if (value == NULL || (value->type != ROAN_REPLY_MAP && !is_list(value)))
        return refuse(value);
    if (index >= roan_decode_pair_count(value))
        return ROAN_E_INVALID;
    if (is_nested(value)) {
        if (!is_list(&value->elements[index]) || value->elements[index].count != 2)
            return ROAN_E_TYPE;
        pair = value->elements[index].elements;
    } else {
        pair = &value->elements[2 * index];
    }
    if (ret_key != NULL)
        *ret_key = &pair[0];
    if (ret_value != NULL)
        *ret_value = &pair[1];
    return ROAN_OK;
}

const roan_value *roan_decode_find(const roan_value *value, roan_slice key)
{
    size_t count = roan_decode_pair_count(value);

    for (size_t i = 0; i < count; i++) {
        const roan_value *name;
        const roan_value *found;
        if (roan_decode_pair(value, i, &name, &found) == ROAN_OK && is_text(name) && roan_slice_equal(name->text, key))
            return found;
    }
    return NULL;
}

/* --- sorted sets --- */

size_t roan_decode_scored_count(const roan_value *value)
{
    return roan_decode_pair_count(value);
}

roan_status roan_decode_scored(const roan_value *value, size_t index, roan_slice *ret_member, double *ret_score)
{
    const roan_value *member;
    const roan_value *score;
    double number;
    roan_status status = roan_decode_pair(value, index, &member, &score);

    if (status != ROAN_OK)
        return status;
    if (!is_text(member) || roan_decode_double(score, &number) != ROAN_OK)
        return ROAN_E_TYPE;
    if (ret_member != NULL)
        *ret_member = member->text;
    if (ret_score != NULL)
        *ret_score = number;
    return ROAN_OK;
}

/* --- others --- */

roan_status roan_decode_time(const roan_value *value, roan_time_of_day *ret_time)
{
    roan_time_of_day time_of_day;

    if (roan_decode_count(value) != 2)
        return refuse(value);
    if (roan_decode_integer(&value->elements[0], &time_of_day.seconds) != ROAN_OK ||
        roan_decode_integer(&value->elements[1], &time_of_day.microseconds) != ROAN_OK)
        return ROAN_E_TYPE;
    if (ret_time != NULL)
        *ret_time = time_of_day;
    return ROAN_OK;
}

roan_status roan_decode_scan(const roan_value *value, roan_slice *ret_cursor, const roan_value **ret_page)
{
    const roan_value *page = roan_decode_element(value, 1);

    if (page == NULL || value->count != 2 || !is_text(&value->elements[0]) ||
        (!is_list(page) && page->type != ROAN_REPLY_MAP))
        return refuse(value);
    if (ret_cursor != NULL)
        *ret_cursor = value->elements[0].text;
    if (ret_page != NULL)
        *ret_page = page;
    return ROAN_OK;
}

roan_status roan_decode_stream(const roan_value *value, size_t index, roan_slice *ret_key,
                               const roan_value **ret_entries)
{
    const roan_value *key;
    roan_status status = roan_decode_pair(value, index, &key, ret_entries);

    if (status != ROAN_OK)
        return status;
    return roan_decode_text(key, ret_key);
}

roan_status roan_decode_entry(const roan_value *entry, roan_slice *ret_id, const roan_value **ret_fields)
{
    const roan_value *fields = roan_decode_element(entry, 1);

    if (fields == NULL || !is_text(&entry->elements[0]))
        return refuse(entry);
    if (fields->type == ROAN_REPLY_NULL)
        fields = NULL;
    else if (!is_list(fields) && fields->type != ROAN_REPLY_MAP)
        return ROAN_E_TYPE;
    if (ret_id != NULL)
        *ret_id = entry->elements[0].text;
    if (ret_fields != NULL)
        *ret_fields = fields;
    return ROAN_OK;
}
