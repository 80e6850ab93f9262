/* hiredis/internal.h: what the files of roan-hiredis share and its users do not see.
 *
 * The public structs have the fields that hiredis prescribes. Where we need more, the object is allocated larger and the
 * public struct comes first: readers here, asynchronous contexts in async_internal.h.
 */
#pragma once

#include "hiredis/hiredis.h"

#include <stdbool.h>

/* A bit of redisContext.flags of our own, above those of hiredis. */
#define ROAN_HIREDIS_CLOEXEC 0x10000

/* What freeReplyObject() frees. */
extern redisReplyObjectFunctions roan_hiredis_reply_functions;

/* ---- reader ------------------------------------------------------------------------------------------------------ */

/* Room behind the bytes the reader has: at least `bytes_min`, and more when it waits for the rest of a long text. NULL
 * when the reader is broken or out of memory. */
char *roan_hiredis_reader_room(redisReader *reader, size_t bytes_min, size_t *ret_bytes);

/* So many bytes were written there. */
void roan_hiredis_reader_added(redisReader *reader, size_t bytes);

/* REDIS_REPLY_* of the reply that redisReaderGetReply() gave last. */
int roan_hiredis_reader_last_type(const redisReader *reader);

/* Frees a reply with the reader's own function. */
void roan_hiredis_reader_free_reply(const redisReader *reader, void *reply);

/* Forgets what was read and the error; functions and limits stay. REDIS_ERR when out of memory. */
int roan_hiredis_reader_reset(redisReader *reader);

/* ---- context ----------------------------------------------------------------------------------------------------- */

/* A context of `bytes` (sizeof(redisContext) or more, zeroed), not connected. NULL when out of memory. */
redisContext *roan_hiredis_context_create(size_t bytes, const redisOptions *options);

/* Connects it as the options say; failures are in err. */
void roan_hiredis_context_connect(redisContext *context, const redisOptions *options);

/* Sets err and errstr; REDIS_ERR_IO with `text` NULL: the text is that of errno. Keeps errno. Returns REDIS_ERR. */
int roan_hiredis_fail(redisContext *context, int err, const char *text);

/* As above with REDIS_ERR_IO and "prefix: text of errno". */
int roan_hiredis_fail_call(redisContext *context, const char *prefix);

/* ---- socket ------------------------------------------------------------------------------------------------------ */

/* Opens the connection to the place in context->tcp or unix_sock, within connect_timeout; the socket is non-blocking
 * afterwards unless REDIS_BLOCK is set. */
int roan_hiredis_connect_tcp(redisContext *context);
int roan_hiredis_connect_unix(redisContext *context);

/* Has a connection that was begun come about? REDIS_OK: *ret_is_done says if it stands. */
int roan_hiredis_connect_check(redisContext *context, bool *ret_is_done);

/* command_timeout goes to the socket. */
int roan_hiredis_apply_timeout(redisContext *context);

void roan_hiredis_close(redisContext *context);
ssize_t roan_hiredis_receive(redisContext *context, char *bytes, size_t count);
ssize_t roan_hiredis_send(redisContext *context);

/* Copies *timeout to *to, which is allocated if need be; NULL or zero frees it. REDIS_ERR when out of memory. */
int roan_hiredis_copy_timeout(struct timeval **to, const struct timeval *timeout);
