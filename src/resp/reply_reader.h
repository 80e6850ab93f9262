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

/* Gives the buffer back when nothing is in it. */
void roan_reply_reader_trim(roan_reply_reader *reader);

/* An array with these values as its elements, which it owns from now on together with the array `values` (from malloc).
 * NULL when out of memory: nothing has changed hands. */
roan_value *roan_value_collect(roan_value **values, size_t count);
