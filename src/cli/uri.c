/* cli/uri.c: redis://user:password@host:port/db and its relatives.
 *
 *   scheme :// [ [user :] password @ ] [ host | "[" ipv6 "]" ] [ : port ] [ / db ]
 *   unix   :// [ [user :] password @ ] /path [ ? db = n ]
 *
 * User and password may hold %XX. The parts are cut from left to right out of one copy of the text.
 */
#include "cli/uri.h"

#include "cli/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static bool complain(const char *what)
{
    fprintf(stderr, "%s\n", what);
    return false;
}

static void replace(char **field, const char *text)
{
    free(*field);
    *field = roan_cli_copy(text);
}

/* Decodes %XX in place; false when the two digits are missing. */
static bool decode_percent(char *text)
{
    char *out = text;

    for (; *text != '\0'; text++) {
        if (*text == '%') {
            char digits[3] = {0};
            if (!isxdigit((unsigned char)text[1]) || !isxdigit((unsigned char)text[2]))
                return false;
            memcpy(digits, text + 1, 2);
            *out++ = (char)strtol(digits, NULL, 16);
            text += 2;
        } else {
            *out++ = *text;
        }
    }
    *out = '\0';
    return true;
}

/* Takes "user:password" or "password". */
static bool parse_credentials(char *text, roan_cli_options *options)
{
    char *colon = strchr(text, ':');
    char *password = colon != NULL ? colon + 1 : text;

    if (colon != NULL)
        *colon = '\0';
    if (!decode_percent(password) || (colon != NULL && !decode_percent(text)))
        return complain("Incorrect URI encoding");
    if (colon != NULL && text[0] != '\0')
        replace(&options->user, text);
    replace(&options->password, password);
    options->is_password_visible = true;
    return true;
}

static bool parse_unix(char *rest, roan_cli_options *options)
{
    char *query = strchr(rest, '?');

    if (query != NULL) {
        *query++ = '\0';
        if (strncmp(query, "db=", 3) == 0)
            options->db = strtoll(query + 3, NULL, 10);
    }
    if (rest[0] == '\0')
        return complain("Invalid URI: no socket path");
    replace(&options->socket_path, rest);
    return true;
}

static bool parse_host(char *rest, roan_cli_options *options)
{
    char *slash = strchr(rest, '/');
    char *host = rest;
    char *colon;

    if (slash != NULL) {
        *slash = '\0';
        if (slash[1] != '\0')
            options->db = strtoll(slash + 1, NULL, 10);
    }
    if (rest[0] == '[') {
        char *bracket = strchr(rest, ']');
        if (bracket == NULL)
            return complain("Invalid URI: no ']' after the address");
        *bracket = '\0';
        host = rest + 1;
        colon = bracket[1] == ':' ? bracket + 1 : NULL;
    } else {
        colon = strchr(rest, ':');
    }
    if (colon != NULL) {
        *colon = '\0';
        options->port = strtoll(colon + 1, NULL, 10);
    }
    if (host[0] != '\0')
        replace(&options->host, host);
    return true;
}

static bool parse_rest(char *rest, bool is_unix, roan_cli_options *options)
{
    char *at = strchr(rest, '@');

    if (at != NULL) {
        *at = '\0';
        if (!parse_credentials(rest, options))
            return false;
        rest = at + 1;
    }
    return is_unix ? parse_unix(rest, options) : parse_host(rest, options);
}

bool roan_cli_uri_parse(const char *uri, roan_cli_options *options)
{
    static const struct {
        const char *prefix;
        bool is_tls;
        bool is_unix;
    } schemes[] = {
        {"redis://", false, false},  {"valkey://", false, false},    {"rediss://", true, false},
        {"valkeys://", true, false}, {"unix://", false, true},       {"redis+unix://", false, true},
    };

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        size_t prefix_bytes = strlen(schemes[i].prefix);
        char *rest;
        bool is_good;
        if (strncasecmp(uri, schemes[i].prefix, prefix_bytes) != 0)
            continue;
        if (schemes[i].is_tls)
            return complain("This program was built without TLS: rediss:// cannot be used.");
        rest = roan_cli_copy(uri + prefix_bytes);
        is_good = parse_rest(rest, schemes[i].is_unix, options);
        free(rest);
        return is_good;
    }
    return complain("Invalid URI scheme");
}
