/* client/uri.c: the grammar of the URIs that name a server.
 *
 *     redis://  valkey://  roan://                  [user [:password] @] [host] [:port] [/database] [?query]
 *     unix://  redis+unix://  valkey+unix://  ...   [user [:password] @] /path/of/the/socket [?query]
 *     embedded://                                   [user [:password] @] [name] [/database] [?query]
 *
 *     path   begins with '/', or encoded with %40, an '@': Linux's abstract names
 *     host   a name, an IPv4 address, or an IPv6 address in brackets, with its zone after %25
 *     query  name=value [& name=value] ...
 *
 * User, password, socket path, names and values of the query are percent-encoded; '+' is a plus. Strict: what is not
 * in this grammar is refused, and nothing is guessed. One kindness: an '@' inside a password need not be encoded, since
 * a host cannot hold one; the last '@' before the first '/', '?' or '#' ends the user part.
 *
 * The text is cut from left to right; every decoded piece goes into one block (a piece is never longer decoded than
 * encoded, and each costs at least one byte of punctuation, which its NUL takes), so that one wipe removes all of them.
 *
 * Secrets: a password that should have been encoded and was not may end up anywhere behind the first '?', '/' or '#'.
 * Therefore no error shows a value, and a name of the query is shown only when no '@' follows it.
 */
#include "client/uri.h"

#include "base/macros.h"
#include "base/number.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME_BYTES_MAX 20
#define NUL_BYTES 8 /* for pieces that have no punctuation of their own: host, path */

typedef struct scheme {
    const char *name;
    roan_address_kind kind;
    const char *lacks; /* what is not built in yet, or NULL */
} scheme;

static const char no_tls[] = "TLS is not built in yet";
static const char no_cluster[] = "cluster routing is not built in yet";
static const char no_sentinel[] = "asking Sentinels is not built in yet";

static const scheme schemes[] = {
    {"redis", ROAN_ADDRESS_TCP, NULL},
    {"valkey", ROAN_ADDRESS_TCP, NULL},
    {"roan", ROAN_ADDRESS_TCP, NULL},
    {"unix", ROAN_ADDRESS_UNIX, NULL},
    {"redis+unix", ROAN_ADDRESS_UNIX, NULL},
    {"valkey+unix", ROAN_ADDRESS_UNIX, NULL},
    {"roan+unix", ROAN_ADDRESS_UNIX, NULL},
    {"embedded", ROAN_ADDRESS_EMBEDDED, NULL},
    {"rediss", ROAN_ADDRESS_TCP, no_tls},
    {"valkeys", ROAN_ADDRESS_TCP, no_tls},
    {"roans", ROAN_ADDRESS_TCP, no_tls},
    {"redis+cluster", ROAN_ADDRESS_TCP, no_cluster},
    {"valkey+cluster", ROAN_ADDRESS_TCP, no_cluster},
    {"roan+cluster", ROAN_ADDRESS_TCP, no_cluster},
    {"redis+sentinel", ROAN_ADDRESS_TCP, no_sentinel},
    {"valkey+sentinel", ROAN_ADDRESS_TCP, no_sentinel},
    {"roan+sentinel", ROAN_ADDRESS_TCP, no_sentinel},
};

typedef struct parser {
    roan_uri *uri;
    roan_slice rest; /* what has not been cut off yet */
    size_t used;     /* bytes of the storage */
    roan_error *reterr;
} parser;

static roan_status complain(const parser *self, const char *what)
{
    return roan_error_set(self->reterr, ROAN_E_CONFIG, "URI: %s", what);
}

/* ---- slices ---- */

static roan_slice part_of(roan_slice text, size_t begin, size_t end)
{
    return roan_slice_make(text.data + begin, end - begin);
}

/* Where the first of the characters of `set` is; text.bytes when there is none. */
static size_t find_any(roan_slice text, const char *set)
{
    size_t at = 0;
    while (at < text.bytes && strchr(set, text.data[at]) == NULL)
        at++;
    return at;
}

static size_t find_last(roan_slice text, char c)
{
    const char *found = text.bytes > 0 ? memrchr(text.data, c, text.bytes) : NULL;
    return found != NULL ? (size_t)(found - text.data) : text.bytes;
}

static bool is_in(roan_slice text, const char *set)
{
    for (size_t i = 0; i < text.bytes; i++)
        if (text.data[i] == '\0' || strchr(set, text.data[i]) == NULL)
            return false;
    return true;
}

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* ---- decoded texts ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Puts the decoded text into the storage; `part` is for the complaint. */
static roan_status decode(parser *self, roan_slice text, const char *part, const char **ret_text)
{
    char *begin = self->uri->storage + self->used, *out = begin;
    ROAN_ASSERT(text.bytes < self->uri->storage_bytes - self->used);
    for (size_t i = 0; i < text.bytes; i++) {
        char c = text.data[i];
        if (c == '%') {
            int high = i + 2 < text.bytes ? hex_digit(text.data[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;
            if (low < 0)
                return roan_error_set(self->reterr, ROAN_E_CONFIG,
                                      "URI: %s: a %% without two hexadecimal digits; a %% itself is written %%25",
                                      part);
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0')
            return roan_error_set(self->reterr, ROAN_E_CONFIG, "URI: %s: holds a NUL", part);
        *out++ = c;
    }
    *out++ = '\0';
    self->used += (size_t)(out - begin);
    *ret_text = begin;
    return ROAN_OK;
}

static roan_status add_pair(parser *self, const char *name, const char *value, roan_uri_part part,
                            bool is_name_secret)
{
    roan_uri *uri = self->uri;
    if (uri->pair_count == ROAN_URI_PAIRS_MAX)
        return complain(self, "too many options in the query");
    uri->pairs[uri->pair_count++] = (roan_uri_pair){name, value, part, is_name_secret};
    return ROAN_OK;
}

/* ---- the parts, from left to right ---- */

static bool scheme_is(roan_slice text, const char *name)
{
    return roan_slice_is(text, name);
}

/* "rediss+cluster": whatever it would be, it needs TLS first. */
static bool is_tls_family(roan_slice name)
{
    size_t plus = find_any(name, "+");
    roan_slice head = part_of(name, 0, plus);
    return plus < name.bytes && (scheme_is(head, "rediss") || scheme_is(head, "valkeys") || scheme_is(head, "roans"));
}

static roan_status cut_scheme(parser *self, const scheme **ret_scheme)
{
    const char *end = memmem(self->rest.data, self->rest.bytes, "://", 3);
    size_t bytes = end != NULL ? (size_t)(end - self->rest.data) : 0;
    roan_slice name = part_of(self->rest, 0, bytes);
    bool is_showable = bytes > 0 && bytes <= SCHEME_BYTES_MAX && is_in(name, LETTERS DIGITS "+-.");
    if (end == NULL || !is_showable)
        return complain(self, "begins with no scheme, such as redis:// or unix://");
    self->rest = part_of(self->rest, bytes + 3, self->rest.bytes);
    for (size_t i = 0; i < ROAN_COUNT_OF(schemes); i++) {
        if (!scheme_is(name, schemes[i].name))
            continue;
        if (schemes[i].lacks != NULL)
            return roan_error_set(self->reterr, ROAN_E_UNSUPPORTED, "%s://: %s", schemes[i].name, schemes[i].lacks);
        *ret_scheme = &schemes[i];
        return ROAN_OK;
    }
    if (is_tls_family(name))
        return roan_error_set(self->reterr, ROAN_E_UNSUPPORTED, "%.*s://: %s", ROAN_SLICE_ARG(name), no_tls);
    return roan_error_set(self->reterr, ROAN_E_CONFIG, "URI: the scheme %.*s:// is not known", ROAN_SLICE_ARG(name));
}

/* What stands nowhere in these URIs. */
static roan_status check_characters(const parser *self)
{
    for (size_t i = 0; i < self->rest.bytes; i++) {
        unsigned char c = (unsigned char)self->rest.data[i];
        if (c == '\0')
            return complain(self, "holds a NUL");
        if (c == '#')
            return complain(self, "a '#' begins a fragment, which means nothing here; one in a text is written %23");
        if (c <= ' ' || c == 0x7f)
            return complain(self, "holds a blank or a control character; they are percent-encoded: a blank is %20");
    }
    return ROAN_OK;
}

/* user, user:password, :password. An empty user is none; an empty password is one when there is a user. */
static roan_status cut_user_part(parser *self)
{
    roan_slice authority = part_of(self->rest, 0, find_any(self->rest, "/?"));
    size_t at = find_last(authority, '@');
    if (at == authority.bytes)
        return ROAN_OK;
    roan_slice user_part = part_of(authority, 0, at);
    self->rest = part_of(self->rest, at + 1, self->rest.bytes);

    size_t colon = find_any(user_part, ":");
    const char *username, *password;
    roan_status status = decode(self, part_of(user_part, 0, colon), "the user", &username);
    if (status == ROAN_OK && username[0] != '\0')
        status = add_pair(self, "username", username, ROAN_URI_USER_PART, false);
    if (status != ROAN_OK || colon == user_part.bytes)
        return status;
    status = decode(self, part_of(user_part, colon + 1, user_part.bytes), "the password", &password);
    if (status == ROAN_OK && (username[0] != '\0' || password[0] != '\0'))
        status = add_pair(self, "password", password, ROAN_URI_USER_PART, false);
    return status;
}

/* An address, with its zone behind a '%' ("fe80::1%eth0"), as the resolver takes it. */
static bool is_ipv6(const char *text)
{
    char address[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    size_t address_bytes = strcspn(text, "%");
    const char *zone = text + address_bytes;
    if (address_bytes >= sizeof address)
        return false;
    memcpy(address, text, address_bytes);
    address[address_bytes] = '\0';
    if (*zone == '%' && (zone[1] == '\0' || !is_in(roan_slice_from_text(zone + 1), LETTERS DIGITS "-._~")))
        return false;
    return inet_pton(AF_INET6, address, bytes) == 1;
}

static roan_status cut_bracketed_host(parser *self)
{
    size_t end = find_any(self->rest, "]/?");
    if (end == self->rest.bytes || self->rest.data[end] != ']')
        return complain(self, "host: there is no ']' behind the address");
    roan_status status = decode(self, part_of(self->rest, 1, end), "the host", &self->uri->host);
    if (status != ROAN_OK)
        return status;
    if (strlen(self->uri->host) > ROAN_URI_HOST_BYTES_MAX)
        return complain(self, "host: the address is too long");
    if (!is_ipv6(self->uri->host))
        return complain(self, "host: what is in brackets is not an IPv6 address");
    self->rest = part_of(self->rest, end + 1, self->rest.bytes);
    if (self->rest.bytes > 0 && strchr(":/?", self->rest.data[0]) == NULL)
        return complain(self, "host: behind the ']' only a port, a database or a query can stand");
    return ROAN_OK;
}

static roan_status cut_named_host(parser *self)
{
    size_t end = find_any(self->rest, ":/?");
    roan_slice name = part_of(self->rest, 0, end);
    if (memchr(self->rest.data, ',', find_any(self->rest, "/?")) != NULL)
        return roan_error_set(self->reterr, ROAN_E_UNSUPPORTED,
                              "URI: host: several hosts: cluster routing and Sentinels are not built in yet");
    if (name.bytes > ROAN_URI_HOST_BYTES_MAX)
        return complain(self, "host: the name is too long");
    if (!is_in(name, LETTERS DIGITS ".-_"))
        return complain(self, "host: a name consists of letters, digits, '.', '-' and '_'");
    self->rest = part_of(self->rest, end, self->rest.bytes);
    if (name.bytes > 0)
        return decode(self, name, "the host", &self->uri->host);
    self->uri->host = "localhost";
    return ROAN_OK;
}

/* ":6379". */
static roan_status cut_port(parser *self)
{
    int64_t port;
    self->uri->port = ROAN_URI_PORT;
    if (self->rest.bytes == 0 || self->rest.data[0] != ':')
        return ROAN_OK;
    size_t end = find_any(self->rest, "/?");
    roan_slice digits = part_of(self->rest, 1, end);
    if (memchr(digits.data, ':', digits.bytes) != NULL)
        return complain(self, "host: an IPv6 address is written in brackets: redis://[::1]:6379");
    if (!roan_parse_i64(digits, &port) || port < 1 || port > UINT16_MAX)
        return complain(self, "port: is not a number from 1 to 65535");
    self->uri->port = (uint16_t)port;
    self->rest = part_of(self->rest, end, self->rest.bytes);
    return ROAN_OK;
}

/* "/3"; a lone "/" says nothing. */
static roan_status cut_database(parser *self)
{
    const char *database;
    if (self->rest.bytes == 0 || self->rest.data[0] != '/')
        return ROAN_OK;
    size_t end = find_any(self->rest, "?");
    roan_slice digits = part_of(self->rest, 1, end);
    self->rest = part_of(self->rest, end, self->rest.bytes);
    if (digits.bytes == 0)
        return ROAN_OK;
    if (!is_in(digits, DIGITS))
        return complain(self, "path: is not the number of a database");
    roan_status status = decode(self, digits, "the path", &database);
    return status != ROAN_OK ? status : add_pair(self, "database", database, ROAN_URI_PATH, false);
}

static roan_status cut_tcp(parser *self)
{
    bool is_bracketed = self->rest.bytes > 0 && self->rest.data[0] == '[';
    roan_status status = is_bracketed ? cut_bracketed_host(self) : cut_named_host(self);
    if (status == ROAN_OK)
        status = cut_port(self);
    return status != ROAN_OK ? status : cut_database(self);
}

static roan_status cut_socket_path(parser *self)
{
    size_t end = find_any(self->rest, "?");
    roan_status status = decode(self, part_of(self->rest, 0, end), "the path", &self->uri->path);
    if (status != ROAN_OK)
        return status;
    self->rest = part_of(self->rest, end, self->rest.bytes);
    if (self->uri->path[0] != '/' && self->uri->path[0] != '@')
        return complain(self, "path: a socket's path begins with '/': unix:///run/server.sock");
    if (self->uri->path[strspn(self->uri->path, "/@")] == '\0')
        return complain(self, "path: the path of a socket is missing");
    if (strlen(self->uri->path) > ROAN_URI_PATH_BYTES_MAX)
        return complain(self, "path: longer than the address of a socket can be");
    return ROAN_OK;
}

static roan_status cut_embedded_name(parser *self)
{
    size_t end = find_any(self->rest, "/?");
    roan_slice name = part_of(self->rest, 0, end);
    if (name.bytes > ROAN_URI_PATH_BYTES_MAX || !is_in(name, LETTERS DIGITS ".-_"))
        return complain(self, "the name of an embedded server consists of letters, digits, '.', '-' and '_'");
    roan_status status = decode(self, name, "the name", &self->uri->path);
    if (status != ROAN_OK)
        return status;
    self->rest = part_of(self->rest, end, self->rest.bytes);
    return cut_database(self);
}

static roan_status add_option(parser *self, roan_slice option)
{
    const char *name, *value;
    size_t equals = find_any(option, "=");
    bool is_secret = memchr(option.data, '@', (size_t)(self->rest.data + self->rest.bytes - option.data)) != NULL;
    if (equals == 0 || equals == option.bytes)
        return complain(self, "query: options are written name=value, with '&' between them");
    roan_status status = decode(self, part_of(option, 0, equals), "the query", &name);
    if (status == ROAN_OK)
        status = decode(self, part_of(option, equals + 1, option.bytes), "the query", &value);
    return status != ROAN_OK ? status : add_pair(self, name, value, ROAN_URI_QUERY, is_secret);
}

static roan_status cut_query(parser *self)
{
    if (self->rest.bytes <= 1)
        return ROAN_OK; /* nothing, or a lone '?' */
    for (size_t at = 1; at <= self->rest.bytes;) {
        roan_slice tail = part_of(self->rest, at, self->rest.bytes);
        size_t bytes = find_any(tail, "&");
        roan_status status = add_option(self, part_of(tail, 0, bytes));
        if (status != ROAN_OK)
            return status;
        at += bytes + 1;
    }
    return ROAN_OK;
}

static roan_status parse_parts(parser *self)
{
    const scheme *found = NULL;
    roan_status status = cut_scheme(self, &found);
    if (status == ROAN_OK)
        status = check_characters(self);
    if (status == ROAN_OK)
        status = cut_user_part(self);
    if (status != ROAN_OK)
        return status;
    self->uri->kind = found->kind;
    switch (found->kind) {
    case ROAN_ADDRESS_TCP:
        status = cut_tcp(self);
        break;
    case ROAN_ADDRESS_UNIX:
        status = cut_socket_path(self);
        break;
    case ROAN_ADDRESS_EMBEDDED:
        status = cut_embedded_name(self);
        break;
    }
    return status != ROAN_OK ? status : cut_query(self);
}

roan_status roan_uri_parse(roan_slice text, roan_uri *ret_uri, roan_error *reterr)
{
    parser self = {.uri = ret_uri, .rest = text, .reterr = reterr};
    memset(ret_uri, 0, sizeof *ret_uri);
    if (text.bytes == 0)
        return complain(&self, "is empty");
    if (text.bytes > ROAN_URI_BYTES_MAX)
        return complain(&self, "is longer than 64 KiB");
    ret_uri->storage = calloc(1, text.bytes + NUL_BYTES);
    if (ret_uri->storage == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "URI: out of memory");
    ret_uri->storage_bytes = text.bytes + NUL_BYTES;
    roan_status status = parse_parts(&self);
    if (status != ROAN_OK)
        roan_uri_done(ret_uri);
    return status;
}

void roan_uri_done(roan_uri *uri)
{
    if (uri->storage != NULL)
        explicit_bzero(uri->storage, uri->storage_bytes);
    free(uri->storage);
    memset(uri, 0, sizeof *uri);
}
