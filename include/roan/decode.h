/* roan/decode.h: reads replies so that RESP2 and RESP3 look the same.
 *
 * RESP2 knows no maps, sets, doubles or booleans: servers answer with flat arrays, texts and integers instead. These
 * functions take either. They return ROAN_OK, ROAN_NIL for null, or ROAN_E_TYPE for a reply of another shape; outputs
 * are written on ROAN_OK only, and may be NULL. Slices and values are borrowed from the reply. Nothing here
 * allocates, except roan_decode_bytes. Any thread, as long as nobody changes the reply.
 */
#ifndef ROAN_DECODE_H
#define ROAN_DECODE_H

#include "roan/base.h"
#include "roan/resp.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that belong to the caller. data[bytes] is 0; data is NULL when there is nothing. */
typedef struct roan_bytes {
    char *data;
    size_t bytes;
} roan_bytes;

/* Frees the data; the object is empty and usable again. */
ROAN_API void roan_bytes_free(roan_bytes *bytes);

typedef struct roan_time_of_day {
    int64_t seconds; /* since 1970, UTC */
    int64_t microseconds;
} roan_time_of_day;

/* ---- one value ---- */

/* OK, QUEUED and so on; the text is not looked at. */
ROAN_API roan_status roan_decode_status(const roan_value *value);

/* An integer, or a text or big number that is one. */
ROAN_API roan_status roan_decode_integer(const roan_value *value, int64_t *ret_integer);

/* 0 and 1 (any other integer is true), #f and #t; a status is true. */
ROAN_API roan_status roan_decode_bool(const roan_value *value, bool *ret_bool);

/* A double, an integer, or a text that is one. */
ROAN_API roan_status roan_decode_double(const roan_value *value, double *ret_double);

/* The text of a bulk string, a status, a verbatim string (without its format), a big number or a double. An integer has
 * none: ROAN_E_TYPE. */
ROAN_API roan_status roan_decode_text(const roan_value *value, roan_slice *ret_text);

/* The same, copied. ROAN_E_NOMEM. */
ROAN_API roan_status roan_decode_bytes(const roan_value *value, roan_bytes *ret_bytes);

/* ---- lists ---- */

/* Elements of an array, a set or a push; 0 for anything else. */
ROAN_API size_t roan_decode_count(const roan_value *value);

/* Element `index`, or NULL. */
ROAN_API const roan_value *roan_decode_element(const roan_value *value, size_t index);

/* ---- maps: HGETALL, CONFIG GET, XINFO, HELLO ... ---- */

/* Pairs of a map, of a flat array (key, value, key, value), or of an array of pairs. 0 for anything else and for
 * null. */
ROAN_API size_t roan_decode_pair_count(const roan_value *value);

/* Pair `index`. ROAN_E_INVALID when there are fewer. */
ROAN_API roan_status roan_decode_pair(const roan_value *value, size_t index, const roan_value **ret_key,
                                      const roan_value **ret_value);

/* The value of the first pair whose key is this text, or NULL. */
ROAN_API const roan_value *roan_decode_find(const roan_value *value, roan_slice key);

/* ---- sorted sets ---- */

/* Members with scores, however the server nests them: ZRANGE WITHSCORES, ZPOPMIN with a count, ZRANDMEMBER WITHSCORES,
 * ZSCAN's page. A single ZPOPMIN without a count is one. */
ROAN_API size_t roan_decode_scored_count(const roan_value *value);
ROAN_API roan_status roan_decode_scored(const roan_value *value, size_t index, roan_slice *ret_member,
                                        double *ret_score);

/* ---- others ---- */

ROAN_API roan_status roan_decode_time(const roan_value *value, roan_time_of_day *ret_time);

/* A page of SCAN, HSCAN, SSCAN, ZSCAN or CLUSTERSCAN: the cursor for the next call ("0" at the end), and the elements:
 * an array, for HSCAN and ZSCAN one of pairs. */
ROAN_API roan_status roan_decode_scan(const roan_value *value, roan_slice *ret_cursor, const roan_value **ret_page);

/* The stream at `index` in a reply to XREAD or XREADGROUP: its key and its entries. ROAN_E_INVALID when there are fewer
 * (roan_decode_pair_count counts them); ROAN_NIL for a null reply. */
ROAN_API roan_status roan_decode_stream(const roan_value *value, size_t index, roan_slice *ret_key,
                                        const roan_value **ret_entries);

/* One entry of a stream: its id, and its fields as pairs (NULL for an entry that was deleted meanwhile). */
ROAN_API roan_status roan_decode_entry(const roan_value *entry, roan_slice *ret_id, const roan_value **ret_fields);

#ifdef __cplusplus
}
#endif
#endif
