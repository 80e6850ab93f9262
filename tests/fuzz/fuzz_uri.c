/* Fuzz target: URIs, and the settings of a handle that they make.
 *
 * 1. Any bytes are taken apart or refused with a text. What was taken apart is whole: terminated texts without a NUL, a
 *    host or a path, a port.
 * 2. Written anew from its parts, everything encoded, it is taken apart into the same parts.
 * 3. As the URI of a handle it gives settings within their bounds, or an error.
 * 4. No error shows what could be a password: everything between the scheme and the last '@' is overwritten with a mark
 *    that must not come back.
 */
#include "client/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "failed: %s (line %d)\n", #condition, __LINE__);   \
            abort();                                                           \
        }                                                                      \
    } while (0)

#define MARK "zzzz"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void require_whole(const roan_uri *uri)
{
    REQUIRE((uri->host != NULL) == (uri->kind == ROAN_ADDRESS_TCP));
    REQUIRE((uri->path != NULL) == (uri->kind != ROAN_ADDRESS_TCP));
    REQUIRE((uri->port != 0) == (uri->kind == ROAN_ADDRESS_TCP));
    REQUIRE(uri->host == NULL || (uri->host[0] != '\0' && strlen(uri->host) <= ROAN_URI_HOST_BYTES_MAX));
    REQUIRE(uri->path == NULL || strlen(uri->path) <= ROAN_URI_PATH_BYTES_MAX);
    REQUIRE(uri->kind != ROAN_ADDRESS_UNIX || uri->path[0] == '/' || uri->path[0] == '@');
    REQUIRE(uri->pair_count <= ROAN_URI_PAIRS_MAX);
}

/* ---- the URI written anew ---- */

typedef struct writer {
    char *text;
    size_t bytes, room;
} writer;

static void put(writer *to, const char *text)
{
    size_t bytes = strlen(text);
    REQUIRE(bytes < to->room - to->bytes);
    memcpy(to->text + to->bytes, text, bytes + 1);
    to->bytes += bytes;
}

static void put_encoded(writer *to, const char *text)
{
    for (; *text != '\0'; text++) {
        char encoded[4];
        snprintf(encoded, sizeof encoded, "%%%02X", (unsigned)(unsigned char)*text);
        put(to, encoded);
    }
}

static void write_anew(writer *to, const roan_uri *uri)
{
    static const char *const schemes[] = {"redis://", "unix://", "embedded://"};
    unsigned i = 0;
    put(to, schemes[uri->kind]);
    if (uri->pair_count > 0 && uri->pairs[0].part == ROAN_URI_USER_PART) {
        bool has_user = strcmp(uri->pairs[0].name, "username") == 0;
        if (has_user)
            put_encoded(to, uri->pairs[i++].value);
        if (i < uri->pair_count && uri->pairs[i].part == ROAN_URI_USER_PART) {
            put(to, ":");
            put_encoded(to, uri->pairs[i++].value);
        }
        put(to, "@");
    }
    if (uri->kind == ROAN_ADDRESS_TCP) {
        char port[8];
        bool is_ipv6 = strchr(uri->host, ':') != NULL;
        put(to, is_ipv6 ? "[" : "");
        if (is_ipv6)
            put_encoded(to, uri->host);
        else
            put(to, uri->host);
        put(to, is_ipv6 ? "]" : "");
        snprintf(port, sizeof port, ":%u", uri->port);
        put(to, port);
    } else if (uri->kind == ROAN_ADDRESS_UNIX) {
        put_encoded(to, uri->path);
    } else {
        put(to, uri->path);
    }
    if (i < uri->pair_count && uri->pairs[i].part == ROAN_URI_PATH) {
        put(to, "/");
        put(to, uri->pairs[i++].value);
    }
    for (unsigned first = i; i < uri->pair_count; i++) {
        put(to, i == first ? "?" : "&");
        put_encoded(to, uri->pairs[i].name);
        put(to, "=");
        put_encoded(to, uri->pairs[i].value);
    }
}

static bool is_same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void require_same_anew(const roan_uri *uri, size_t bytes)
{
    writer to = {.room = bytes * 3 + 100};
    roan_uri again;
    to.text = malloc(to.room);
    write_anew(&to, uri);
    if (to.bytes <= ROAN_URI_BYTES_MAX) {
        REQUIRE(roan_uri_parse(roan_slice_make(to.text, to.bytes), &again, NULL) == ROAN_OK);
        REQUIRE(again.kind == uri->kind && again.port == uri->port && again.pair_count == uri->pair_count);
        REQUIRE(is_same_text(again.host, uri->host) && is_same_text(again.path, uri->path));
        for (unsigned i = 0; i < uri->pair_count; i++) {
            REQUIRE(strcmp(again.pairs[i].name, uri->pairs[i].name) == 0);
            REQUIRE(strcmp(again.pairs[i].value, uri->pairs[i].value) == 0);
            REQUIRE(again.pairs[i].part == uri->pairs[i].part);
        }
        roan_uri_done(&again);
    }
    free(to.text);
}

/* ---- settings ---- */

static void require_bounds(const roan_settings *settings)
{
    for (unsigned i = 0; i < roan_setting_count; i++) {
        const roan_setting *row = &roan_setting_rows[i];
        const char *field = (const char *)&settings->options + row->offset;
        int narrow;
        int64_t wide;
        memcpy(&narrow, field, sizeof narrow);
        wide = narrow;
        if (row->kind == ROAN_SETTING_INT64)
            memcpy(&wide, field, sizeof wide);
        if (row->kind == ROAN_SETTING_INT || row->kind == ROAN_SETTING_INT64)
            REQUIRE((wide >= row->min && wide <= row->max) || wide == row->initial ||
                    (row->may_be_none && wide == ROAN_SETTING_NONE));
        if (row->kind == ROAN_SETTING_CHOICE)
            REQUIRE(narrow >= 0 && narrow < 3);
    }
    REQUIRE(settings->node[0] != '\0');
    REQUIRE(settings->options.username == NULL || settings->options.password != NULL);
}

/* The result of making settings of it; the error's text in `error`. */
static roan_status make_settings(const char *text, roan_error *error)
{
    roan_settings *settings = NULL;
    roan_status status;
    memset(error, 0, sizeof *error);
    status = roan_settings_create(&settings, text, NULL, error);
    REQUIRE(status == ROAN_OK || status == ROAN_E_CONFIG || status == ROAN_E_UNSUPPORTED);
    REQUIRE((status == ROAN_OK) == (settings != NULL));
    REQUIRE((status == ROAN_OK) == (error->text[0] == '\0'));
    if (settings != NULL)
        require_bounds(settings);
    roan_settings_free(settings);
    return status;
}

/* Letters and digits that mean nothing in the grammar become the mark. */
static void require_secrecy(char *text)
{
    roan_error error;
    char *begin = strstr(text, "://"), *end = strrchr(text, '@');
    bool is_marked = strstr(text, MARK) != NULL; /* maybe where it may be shown */
    if (end == NULL || (begin != NULL && begin > end) || is_marked)
        return;
    for (char *at = begin != NULL ? begin + 3 : text; at < end; at++)
        if (isalnum((unsigned char)*at) && !isxdigit((unsigned char)*at))
            *at = 'z';
    make_settings(text, &error);
    REQUIRE(strstr(error.text, MARK) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    roan_uri uri;
    roan_error error = {.text = ""};
    roan_status status = roan_uri_parse(roan_slice_make((const char *)data, bytes), &uri, &error);
    REQUIRE(status == ROAN_OK || status == ROAN_E_CONFIG || status == ROAN_E_UNSUPPORTED);
    REQUIRE(status == ROAN_OK || (error.text[0] != '\0' && error.code == status));
    if (status == ROAN_OK) {
        require_whole(&uri);
        require_same_anew(&uri, bytes);
    }
    roan_uri_done(&uri);

    char *text = malloc(bytes + 1);
    if (bytes > 0)
        memcpy(text, data, bytes);
    text[bytes] = '\0';
    if (strlen(text) == bytes) {
        REQUIRE(status == ROAN_OK || make_settings(text, &error) == status);
        make_settings(text, &error);
    }
    require_secrecy(text);
    free(text);
    return 0;
}
