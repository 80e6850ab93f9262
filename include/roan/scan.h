/* roan/scan.h: goes through all keys of a database, or all elements of a hash, set or sorted set, page by page.
 *
 *     roan_scan *scan;
 *     roan_value *page;
 *     roan_status status;
 *
 *     roan_scan_create(&scan, client, ROAN_SCAN_KEYS, ROAN_LITERAL(""), ROAN_SCAN_OPTIONS(.match =
 * ROAN_LITERAL("user:*")),
 *                      NULL);
 *     while ((status = roan_scan_next(scan, &page)) == ROAN_OK) {
 *         for (size_t i = 0; i < page->count; i++) ... page->elements[i].text ...
 *         roan_value_free(page);
 *     }
 *     roan_scan_free(scan);
 *
 * The server promises: what is there from the beginning to the end is returned at least once. It may be returned more
 * than once; what comes or goes meanwhile may be returned or not. With a key prefix only keys that begin with it are
 * seen, without it. A scan belongs to one thread at a time and must be freed before its handle is closed.
 */
#ifndef ROAN_SCAN_H
#define ROAN_SCAN_H

#include "roan/client.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roan_scan roan_scan;

typedef enum roan_scan_kind {
    ROAN_SCAN_KEYS, /* SCAN: a page is an array of keys */
    ROAN_SCAN_HASH, /* HSCAN: fields and values; roan_decode_pair() reads them. Fields alone with `novalues` */
    ROAN_SCAN_SET,  /* SSCAN: an array of members */
    ROAN_SCAN_ZSET  /* ZSCAN: members and scores; roan_decode_scored() reads them */
} roan_scan_kind;

typedef struct roan_scan_options {
    size_t size;      /* sizeof(roan_scan_options) */
    roan_slice match; /* (all) glob pattern of keys, fields or members */
    int64_t count;    /* (0: the server's 10) how much work one page shall be; a page may hold more or less */
    roan_slice type;  /* (all) KEYS: only keys of this type, "string", "hash" ... */
    bool novalues;    /* HASH: fields only (Redis 7.4) */
    bool prefetch; /* ask for the next page while the program works on this one; needs a thread of the library, or the
                         program's loop, in order to have an effect */
    bool
        empty_pages; /* hand out pages without elements, too; otherwise they are skipped, which may take many requests when
                         little matches */
    roan_slice
        cursor; /* (from the beginning) go on where roan_scan_cursor() of another scan with the same arguments was */
    roan_call call;   /* (defaults) of each request; its size may stay 0 */
} roan_scan_options;

#define ROAN_SCAN_OPTIONS(...) (&(roan_scan_options){.size = sizeof(roan_scan_options), __VA_ARGS__})

/* The longest cursor. Those of servers of today are numbers below 2^64. */
#define ROAN_SCAN_CURSOR_BYTES_MAX 63

/* Nothing is sent yet. `key` is empty for ROAN_SCAN_KEYS. Texts are copied. ROAN_E_USAGE when an option does not fit
 * the kind, ROAN_E_NOMEM. */
ROAN_API roan_status roan_scan_create(roan_scan **ret_scan, roan *client, roan_scan_kind kind, roan_slice key,
                                      const roan_scan_options *options, roan_error *reterr) ROAN_MUST_CHECK;

/* Waits for the next page. ROAN_OK: *ret_page, to be freed with roan_value_free(). ROAN_NIL: that was all. A failure
 * is as one of roan_do(); the scan stays where it was, and another roan_scan_next() asks for the same page again. */
ROAN_API roan_status roan_scan_next(roan_scan *scan, roan_value **ret_page);

/* Where the next page begins; "0" at the beginning and at the end. Borrowed until the next call. */
ROAN_API roan_slice roan_scan_cursor(const roan_scan *scan);

/* Accepts NULL; returns NULL. */
ROAN_API roan_scan *roan_scan_free(roan_scan *scan);

#ifdef __cplusplus
}
#endif
#endif
