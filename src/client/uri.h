/* client/uri.h: a URI taken apart: where the server is, and what else the URI says, as pairs of name and text.
 *
 * The parser knows the grammar and nothing about options: client/options.h gives the pairs their meaning.
 */
#pragma once

#include "roan/base.h"

#include <stdbool.h>

#define ROAN_URI_BYTES_MAX (64 * 1024)
#define ROAN_URI_PAIRS_MAX 64
#define ROAN_URI_HOST_BYTES_MAX 255
#define ROAN_URI_PATH_BYTES_MAX 107 /* what a Unix socket's address holds, its NUL not counted */
#define ROAN_URI_PORT 6379          /* when the URI names none */

typedef enum roan_address_kind {
    ROAN_ADDRESS_TCP,     /* host and port */
    ROAN_ADDRESS_UNIX,    /* path of a socket, absolute, or '@' and an abstract name */
    ROAN_ADDRESS_EMBEDDED /* path is the name of a server inside this process, "" without one */
} roan_address_kind;

typedef enum roan_uri_part { ROAN_URI_USER_PART, ROAN_URI_PATH, ROAN_URI_QUERY } roan_uri_part;

/* "database" and "3": where it stood, and the decoded texts. Both are terminated and hold no other NUL. */
typedef struct roan_uri_pair {
    const char *name, *value;
    roan_uri_part part;
    bool is_name_secret; /* do not show the name: it may be a piece of a password that was not encoded */
} roan_uri_pair;

typedef struct roan_uri {
    roan_address_kind kind;
    const char *host; /* TCP: without brackets, "localhost" when the URI names none; else NULL */
    const char *path; /* UNIX, EMBEDDED; else NULL */
    uint16_t port;    /* TCP; else 0 */
    unsigned pair_count;
    roan_uri_pair pairs[ROAN_URI_PAIRS_MAX]; /* username, password, database of the path; then the query in order */
    char *storage;                           /* the texts; wiped and freed by roan_uri_done */
    size_t storage_bytes;
} roan_uri;

/* Takes `text` apart. ROAN_E_CONFIG with a text that names the part; ROAN_E_UNSUPPORTED for a scheme that is known and
 * not built in; ROAN_E_NOMEM. No text of an error holds anything that could be a password. After a failure *ret_uri is
 * empty. Any bytes may be given. */
roan_status roan_uri_parse(roan_slice text, roan_uri *ret_uri, roan_error *reterr) ROAN_MUST_CHECK;

/* Wipes and frees the texts. Works on a zeroed one, too. */
void roan_uri_done(roan_uri *uri);
