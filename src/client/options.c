/* client/options.c: the program's options and the URI become one roan_settings.
 *
 *     roan_options (any size) --take_options--> a whole one --rows--> settings <--rows-- pairs <--roan_uri_parse-- URI
 *
 * First every row takes its field of the struct, 0 or NULL giving the default; then every pair of the URI goes over it,
 * each option at most once; last come the rules that need two options. From its first moment the settings object owns
 * its texts, so that at every failure roan_settings_free() is all there is to do.
 *
 * A caller may have been compiled against another version of roan/client.h. Its struct is shorter than ours: what it
 * lacks is default. It is longer: what we do not know must be zero.
 *
 * In a URI a number is a value and never "the default", so that request_timeout_ms=0 is refused and not understood as
 * five seconds.
 */
#include "client/options.h"

#include "base/macros.h"
#include "base/number.h"
#include "roan/transport.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRUCT_BYTES_MAX 4096 /* a `size` above it is no size */

typedef enum origin { FROM_OPTIONS, FROM_URI } origin;

static const char *const origin_names[] = {"options", "URI"};

/* ---- rows and fields ---- */

static void *field_of(roan_settings *settings, const roan_setting *row)
{
    return (char *)&settings->options + row->offset;
}

static bool is_number(const roan_setting *row)
{
    return row->kind == ROAN_SETTING_INT || row->kind == ROAN_SETTING_INT64;
}

static void put_number(roan_settings *settings, const roan_setting *row, int64_t value)
{
    if (row->kind == ROAN_SETTING_INT64) {
        memcpy(field_of(settings, row), &value, sizeof value);
    } else {
        int narrow = (int)value;
        memcpy(field_of(settings, row), &narrow, sizeof narrow);
    }
}

void roan_setting_values(const roan_setting *row, char ret_text[ROAN_SETTING_VALUES_MAX])
{
    int used = 0;
    if (row->kind == ROAN_SETTING_CHOICE) {
        for (unsigned i = 0; row->choices[i] != NULL; i++)
            used += snprintf(ret_text + used, ROAN_SETTING_VALUES_MAX - (size_t)used, "%s%s", i > 0 ? ", " : "",
                             row->choices[i]);
        return;
    }
    if (!is_number(row)) {
        ROAN_IGNORE(snprintf(ret_text, ROAN_SETTING_VALUES_MAX, "text")); /* fits */
        return;
    }
    if (row->min == row->max)
        used = snprintf(ret_text, ROAN_SETTING_VALUES_MAX, "%" PRId64, row->min);
    else if (row->max == INT64_MAX || row->max == INT32_MAX)
        used = snprintf(ret_text, ROAN_SETTING_VALUES_MAX, "%" PRId64 " or more", row->min);
    else
        used = snprintf(ret_text, ROAN_SETTING_VALUES_MAX, "%" PRId64 " to %" PRId64, row->min, row->max);
    if (row->may_be_none)
        ROAN_IGNORE(snprintf(ret_text + used, ROAN_SETTING_VALUES_MAX - (size_t)used, "; -1: %s", row->none_text));
}

static roan_status refuse(const roan_setting *row, origin from, roan_error *reterr)
{
    char values[ROAN_SETTING_VALUES_MAX];
    roan_setting_values(row, values);
    return roan_error_set(reterr, ROAN_E_CONFIG, "%s: %s must be %s%s", origin_names[from], row->name,
                          row->kind == ROAN_SETTING_CHOICE ? "one of " : "", values);
}

static roan_status set_number(roan_settings *settings, const roan_setting *row, int64_t value, origin from,
                              roan_error *reterr)
{
    bool is_none = row->may_be_none && value == ROAN_SETTING_NONE;
    if (!is_none && (value < row->min || value > row->max))
        return refuse(row, from, reterr);
    put_number(settings, row, value);
    return ROAN_OK;
}

/* ---- texts ---- */

static void wipe_text(char *text, size_t bytes)
{
    if (text != NULL)
        explicit_bzero(text, bytes);
    free(text);
}

/* A terminated copy. NULL: no memory. */
static char *copy_bytes(const char *data, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, data, bytes);
    copy[bytes] = '\0';
    return copy;
}

static void clear_text(roan_settings *settings, const roan_setting *row)
{
    if (row->kind == ROAN_SETTING_TEXT) {
        char **field = field_of(settings, row);
        wipe_text(*field, *field != NULL ? strlen(*field) : 0);
        *field = NULL;
    } else {
        roan_slice *field = field_of(settings, row);
        wipe_text((char *)(uintptr_t)field->data, field->bytes);
        *field = (roan_slice){NULL, 0};
    }
}

/* Some texts are words of a protocol that has no quotes. */
static roan_status check_text(const roan_setting *row, roan_slice text, origin from, roan_error *reterr)
{
    if (text.bytes > (size_t)row->max)
        return roan_error_set(reterr, ROAN_E_CONFIG, "%s: %s is longer than %" PRId64 " bytes", origin_names[from],
                              row->name, row->max);
    if (row->offset != offsetof(roan_options, client_name))
        return ROAN_OK;
    for (size_t i = 0; i < text.bytes; i++)
        if (text.data[i] < '!' || text.data[i] > '~')
            return roan_error_set(reterr, ROAN_E_CONFIG, "%s: %s must consist of visible ASCII characters, no blanks",
                                  origin_names[from], row->name);
    return ROAN_OK;
}

static roan_status set_text(roan_settings *settings, const roan_setting *row, roan_slice text, origin from,
                            roan_error *reterr)
{
    roan_status status = check_text(row, text, from, reterr);
    if (status != ROAN_OK)
        return status;
    clear_text(settings, row);
    if (text.bytes == 0)
        return ROAN_OK; /* none */
    char *copy = copy_bytes(text.data, text.bytes);
    if (copy == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "%s: out of memory", row->name);
    if (row->kind == ROAN_SETTING_TEXT) {
        char **field = field_of(settings, row);
        *field = copy;
    } else {
        roan_slice *field = field_of(settings, row);
        *field = roan_slice_make(copy, text.bytes);
    }
    return ROAN_OK;
}

/* ---- the program's struct ---- */

/* Copies what the caller's struct has of ours, and refuses what ours does not have. */
static roan_status take_struct(void *ours, size_t our_bytes, const void *theirs, const char *name, roan_error *reterr)
{
    size_t bytes;
    memcpy(&bytes, theirs, sizeof bytes); /* `size` is the first member of each */
    if (bytes < sizeof bytes || bytes > STRUCT_BYTES_MAX)
        return roan_error_set(reterr, ROAN_E_CONFIG, "%s: size is not set: write .size = sizeof(roan_%s)", name, name);
    for (size_t i = our_bytes; i < bytes; i++)
        if (((const char *)theirs)[i] != 0)
            return roan_error_set(reterr, ROAN_E_CONFIG,
                                  "%s: uses fields of a newer version of roan/client.h than this library", name);
    memset(ours, 0, our_bytes);
    memcpy(ours, theirs, ROAN_MIN(bytes, our_bytes) / sizeof(void *) * sizeof(void *)); /* no half pointers */
    memcpy(ours, &our_bytes, sizeof our_bytes);
    return ROAN_OK;
}

static roan_status set_from_field(roan_settings *settings, const roan_setting *row, const void *field,
                                  roan_error *reterr)
{
    int narrow;
    int64_t wide;
    const char *text;
    roan_slice slice;
    switch (row->kind) {
    case ROAN_SETTING_INT:
        memcpy(&narrow, field, sizeof narrow);
        if (narrow == 0) {
            put_number(settings, row, row->initial);
            return ROAN_OK;
        }
        return set_number(settings, row, narrow, FROM_OPTIONS, reterr);
    case ROAN_SETTING_INT64:
        memcpy(&wide, field, sizeof wide);
        if (wide == 0) {
            put_number(settings, row, row->initial);
            return ROAN_OK;
        }
        return set_number(settings, row, wide, FROM_OPTIONS, reterr);
    case ROAN_SETTING_CHOICE:
        memcpy(&narrow, field, sizeof narrow);
        for (int i = 0; row->choices[i] != NULL; i++)
            if (i == narrow) {
                put_number(settings, row, narrow);
                return ROAN_OK;
            }
        return refuse(row, FROM_OPTIONS, reterr);
    case ROAN_SETTING_TEXT:
        memcpy(&text, field, sizeof text);
        return set_text(settings, row, roan_slice_from_text(text != NULL ? text : ""), FROM_OPTIONS, reterr);
    case ROAN_SETTING_SLICE:
        memcpy(&slice, field, sizeof slice);
        if (slice.data == NULL && slice.bytes > 0)
            return roan_error_set(reterr, ROAN_E_CONFIG, "options: %s has a length and no data", row->name);
        return set_text(settings, row, slice, FROM_OPTIONS, reterr);
    }
    return ROAN_OK;
}

static roan_status check_transport(const roan_transport *transport, roan_error *reterr)
{
    if (transport == NULL)
        return ROAN_OK;
    if (transport->size < sizeof *transport)
        return roan_error_set(reterr, ROAN_E_CONFIG, "transport: size is not set, or of an older version");
    if (transport->now_us == NULL || transport->random == NULL || transport->open == NULL ||
        transport->progress == NULL || transport->fd == NULL || transport->receive == NULL || transport->send == NULL ||
        transport->wait == NULL || transport->interrupt == NULL || transport->close == NULL)
        return roan_error_set(reterr, ROAN_E_CONFIG, "transport: a function is missing");
    return ROAN_OK;
}

static roan_status take_options(roan_settings *settings, const roan_options *options, roan_error *reterr)
{
    static const roan_options no_options = {.size = sizeof no_options};
    roan_options whole;
    roan_status status = take_struct(&whole, sizeof whole, options != NULL ? options : &no_options, "options", reterr);
    for (unsigned i = 0; i < roan_setting_count && status == ROAN_OK; i++) {
        const roan_setting *row = &roan_setting_rows[i];
        status = set_from_field(settings, row, (const char *)&whole + row->offset, reterr);
    }
    if (status == ROAN_OK)
        status = check_transport(whole.transport, reterr);
    if (status == ROAN_OK && whole.hooks != NULL)
        status = take_struct(&settings->hooks, sizeof settings->hooks, whole.hooks, "hooks", reterr);
    settings->hooks.size = sizeof settings->hooks;
    settings->options.size = sizeof settings->options;
    settings->options.hooks = &settings->hooks;
    if (status != ROAN_OK)
        return status;
    settings->options.retry = whole.retry;
    settings->options.retry_argument = whole.retry_argument;
    settings->options.credentials = whole.credentials;
    settings->options.credentials_argument = whole.credentials_argument;
    settings->options.transport = whole.transport;
    return ROAN_OK;
}

/* ---- the URI ---- */

static roan_status set_from_text(roan_settings *settings, const roan_setting *row, const char *text, roan_error *reterr)
{
    int64_t number;
    switch (row->kind) {
    case ROAN_SETTING_INT:
    case ROAN_SETTING_INT64:
        if (!roan_parse_i64(roan_slice_from_text(text), &number))
            return refuse(row, FROM_URI, reterr);
        return set_number(settings, row, number, FROM_URI, reterr);
    case ROAN_SETTING_CHOICE:
        for (int i = 0; row->choices[i] != NULL; i++)
            if (strcmp(row->choices[i], text) == 0) {
                put_number(settings, row, i);
                return ROAN_OK;
            }
        return refuse(row, FROM_URI, reterr);
    case ROAN_SETTING_TEXT:
    case ROAN_SETTING_SLICE:
        return set_text(settings, row, roan_slice_from_text(text), FROM_URI, reterr);
    }
    return ROAN_OK;
}

/* A name is repeated to the user only when it is a plain word and surely no piece of a password. */
static roan_status refuse_name(const roan_uri_pair *pair, roan_error *reterr)
{
    size_t word_bytes = strspn(pair->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    if (pair->is_name_secret)
        return roan_error_set(reterr, ROAN_E_CONFIG,
                              "URI: an option of the query is not known; in a user or password '?' is written %%3F");
    if (pair->name[word_bytes] != '\0' || word_bytes > 40)
        return roan_error_set(reterr, ROAN_E_CONFIG, "URI: an option of the query is not known");
    return roan_error_set(reterr, ROAN_E_CONFIG, "URI: there is no option '%s'", pair->name);
}

static roan_status take_pairs(roan_settings *settings, const roan_uri *uri, roan_error *reterr)
{
    uint64_t seen = 0;
    ROAN_ASSERT(roan_setting_count <= 64);
    for (unsigned i = 0; i < uri->pair_count; i++) {
        const roan_uri_pair *pair = &uri->pairs[i];
        const roan_setting *row = roan_setting_find(pair->name);
        if (row == NULL)
            return refuse_name(pair, reterr);
        uint64_t bit = UINT64_C(1) << (row - roan_setting_rows);
        if ((seen & bit) != 0)
            return roan_error_set(reterr, ROAN_E_CONFIG, "URI: %s is given twice", row->name);
        seen |= bit;
        roan_status status = set_from_text(settings, row, pair->value, reterr);
        if (status != ROAN_OK)
            return status;
    }
    return ROAN_OK;
}

static roan_status copy_place(const char *text, char **ret_text, roan_error *reterr)
{
    if (text == NULL)
        return ROAN_OK;
    *ret_text = copy_bytes(text, strlen(text));
    return *ret_text != NULL ? ROAN_OK : roan_error_set(reterr, ROAN_E_NOMEM, "URI: out of memory");
}

static roan_status take_address(roan_settings *settings, const roan_uri *uri, roan_error *reterr)
{
    settings->kind = uri->kind;
    settings->port = uri->port;
    roan_status status = copy_place(uri->host, &settings->host, reterr);
    if (status == ROAN_OK)
        status = copy_place(uri->path, &settings->path, reterr);
    return status;
}

static void name_node(roan_settings *settings)
{
    int host_bytes_max = ROAN_NODE_MAX - (int)sizeof "embedded://"; /* a port is worth more than the end of a name */
    const char *host = settings->host;
    if (settings->kind == ROAN_ADDRESS_EMBEDDED)
        ROAN_IGNORE(snprintf(settings->node, sizeof settings->node, "embedded://%.*s", host_bytes_max, settings->path));
    else if (settings->kind == ROAN_ADDRESS_UNIX)
        ROAN_IGNORE(snprintf(settings->node, sizeof settings->node, "%s", settings->path)); /* may be cut */
    else if (strchr(host, ':') != NULL)
        ROAN_IGNORE(snprintf(settings->node, sizeof settings->node, "[%.*s]:%u", host_bytes_max, host, settings->port));
    else
        ROAN_IGNORE(snprintf(settings->node, sizeof settings->node, "%.*s:%u", host_bytes_max, host, settings->port));
}

static roan_status take_uri(roan_settings *settings, const char *text, roan_error *reterr)
{
    roan_uri uri;
    if (text == NULL)
        return roan_error_set(reterr, ROAN_E_CONFIG, "URI: there is none");
    roan_status status = roan_uri_parse(roan_slice_from_text(text), &uri, reterr);
    if (status == ROAN_OK)
        status = take_pairs(settings, &uri, reterr);
    if (status == ROAN_OK)
        status = take_address(settings, &uri, reterr);
    if (status == ROAN_OK)
        name_node(settings);
    roan_uri_done(&uri);
    return status;
}

/* ---- all together ---- */

/* What no single row can see. */
static roan_status check_together(roan_settings *settings, roan_error *reterr)
{
    roan_options *options = &settings->options;
    if (options->backoff_first_ms > options->backoff_max_ms)
        return roan_error_set(reterr, ROAN_E_CONFIG, "backoff_first_ms is above backoff_max_ms (%d)",
                              options->backoff_max_ms);
    if (options->leases_min > options->leases_max)
        return roan_error_set(reterr, ROAN_E_CONFIG, "leases_min is above leases_max (%d)", options->leases_max);
    if (options->username != NULL && options->password == NULL) {
        options->password = copy_bytes("", 0); /* AUTH takes both */
        if (options->password == NULL)
            return roan_error_set(reterr, ROAN_E_NOMEM, "password: out of memory");
    }
    return ROAN_OK;
}

roan_status roan_settings_create(roan_settings **ret_settings, const char *uri, const roan_options *options,
                                 roan_error *reterr)
{
    roan_settings *settings = calloc(1, sizeof *settings);
    if (settings == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "options: out of memory");
    roan_status status = take_options(settings, options, reterr);
    if (status == ROAN_OK)
        status = take_uri(settings, uri, reterr);
    if (status == ROAN_OK)
        status = check_together(settings, reterr);
    if (status == ROAN_OK)
        *ret_settings = settings;
    else
        roan_settings_free(settings);
    return status;
}

roan_settings *roan_settings_free(roan_settings *settings)
{
    if (settings == NULL)
        return NULL;
    for (unsigned i = 0; i < roan_setting_count; i++)
        if (roan_setting_rows[i].kind == ROAN_SETTING_TEXT || roan_setting_rows[i].kind == ROAN_SETTING_SLICE)
            clear_text(settings, &roan_setting_rows[i]);
    free(settings->host);
    free(settings->path);
    free(settings);
    return NULL;
}
