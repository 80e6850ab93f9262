/* roan/value_stream.h: values that need not fit into memory, in and out, piece by piece.
 *
 *     static bool keep(void *file, roan_slice piece, uint64_t total_bytes)
 *     {
 *         return fwrite(piece.data, 1, piece.bytes, file) == piece.bytes;
 *     }
 *     ...
 *     status = roan_get_stream(client, ROAN_LITERAL("video"), keep, file, NULL);
 *
 * Each of these calls has a connection of the pool for itself, so nobody waits behind a large value; given a lease's
 * handle they use the lease's, on which nothing may be under way. They need about 256 KiB, whatever the value's size.
 *
 * Time: without a roan_call.timeout_ms there is no limit on the whole, but on every silence: the option
 * silence_timeout_ms while bytes of the value are due, write_timeout_ms while the server takes none, and
 * request_timeout_ms for the answer to begin once the request is out. With a timeout_ms that is the limit of the whole,
 * pool and connecting included. What sinks and sources themselves take counts for the whole only.
 *
 * Failures: a value cannot be taken up in the middle, so the connection is closed when a sink or a source stops, or
 * when time is up; a lease then has lost it. As long as a request has not gone out to its last byte, it cannot have
 * run: ROAN_FATE_NOT_SENT. A connection that fails before a sink or source was called is tried again as
 * roan_call.retry says.
 *
 * Sinks and sources run on the calling thread and may use the client. The key prefix is applied; the option
 * reply_bytes_max is not, as nothing large is kept. Not from a callback.
 */
#ifndef ROAN_VALUE_STREAM_H
#define ROAN_VALUE_STREAM_H

#include "roan/client.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes the next piece of a value of total_bytes; the pieces are never empty, and borrowed. False: stop. */
typedef bool (*roan_sink_fn)(void *argument, roan_slice piece, uint64_t total_bytes);

/* Writes the next piece of the value into buffer[0..room) and returns its length. 0: that was the end. Negative: it
 * failed. A source is asked once more behind the last byte that was announced and must say 0 then. */
typedef int64_t (*roan_source_fn)(void *argument, char *buffer, size_t room);

/* Reads the string at `key` (GET). ROAN_OK: the whole value went through the sink (never called for an empty one).
 * ROAN_NIL: there is no such key. ROAN_E_CANCELED: the sink stopped. Others as of roan_do(). */
ROAN_API roan_status roan_get_stream(roan *client, roan_slice key, roan_sink_fn sink, void *argument,
                                     const roan_call *call);

/* The same for any command that is answered by one bulk or verbatim string: GETDEL, GETRANGE, DUMP, LINDEX, HGET ...
 * Other answers are ROAN_E_TYPE; null is ROAN_NIL. Not for commands that block. */
ROAN_API roan_status roan_do_stream(roan *client, size_t argc, const roan_slice *argv, roan_sink_fn sink,
                                    void *argument, const roan_call *call);

/* Stores a value of total_bytes at `key` (SET). `options` as of roan_set(), without `get`; may be NULL. ROAN_OK:
 * stored. ROAN_NIL: not, because of nx, xx or ifeq. ROAN_E_INVALID: the source had less or more than announced;
 * ROAN_E_CANCELED: it failed. Nothing was stored then. */
struct roan_set_options;
ROAN_API roan_status roan_set_stream(roan *client, roan_slice key, uint64_t total_bytes, roan_source_fn source,
                                     void *argument, const struct roan_set_options *options, const roan_call *call);

/* The same for any command: the word argv[index] is what the source gives; argv[index] itself is not looked at and
 * must be empty. For APPEND, SETRANGE, RESTORE, HSET, RPUSH ... The reply as of roan_do(). */
ROAN_API roan_status roan_do_source(roan *client, size_t argc, const roan_slice *argv, size_t index,
                                    uint64_t total_bytes, roan_source_fn source, void *argument, roan_value **ret_reply,
                                    const roan_call *call);

#ifdef __cplusplus
}
#endif
#endif
