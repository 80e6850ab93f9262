/* resp/reply_reader.h: the reader's inside door for libroan: bytes are received straight into its buffer. */
#pragma once

#include "roan/resp.h"

/* Room for at least *bytes bytes at *ret_room; *bytes becomes how many there are. ROAN_E_NOMEM or ROAN_E_PROTOCOL. */
roan_status roan_reply_reader_reserve(roan_reply_reader *reader, char **ret_room, size_t *bytes) ROAN_MUST_CHECK;

/* So many bytes were written into the room. */
void roan_reply_reader_commit(roan_reply_reader *reader, size_t bytes);

/* Bytes that are there and not taken. */
size_t roan_reply_reader_buffered(const roan_reply_reader *reader);

/* The least length of the reply that is being read. */
size_t roan_reply_reader_expected(const roan_reply_reader *reader);

/* A reader without a buffer gets this one, from malloc, of at least 1 byte. */
void roan_reply_reader_lend(roan_reply_reader *reader, char *buffer, size_t bytes);
bool roan_reply_reader_has_buffer(const roan_reply_reader *reader);
/* The size of its buffer. */
size_t roan_reply_reader_room(const roan_reply_reader *reader);

/* Takes the buffer away from a reader in which nothing is: *ret_bytes long, to be freed; or NULL. */
char *roan_reply_reader_take_buffer(roan_reply_reader *reader, size_t *ret_bytes);

/* Memory in which a small reply can be built instead of in a block from malloc; aligned like that. release() gets it
 * back when the value is freed, by whichever thread does it. */
typedef struct roan_reply_place {
    void *memory; /* set to NULL once a value is in it */
    size_t bytes;
    void (*release)(void *memory);
} roan_reply_place;

/* As roan_reply_reader_next(); `place` (or NULL) is used if the reply fits, unless it is an error or a push. */
roan_status roan_reply_reader_next_at(roan_reply_reader *reader, roan_reply_place *place, roan_value **ret_value,
                                      roan_error *reterr) ROAN_MUST_CHECK;

/* An array with these values as its elements, which it owns from now on together with the array `values` (from malloc).
 * NULL when out of memory: nothing has changed hands. */
roan_value *roan_value_collect(roan_value **values, size_t count);
