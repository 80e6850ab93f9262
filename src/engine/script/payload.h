/* engine/script/payload.h: the form in which FUNCTION DUMP gives libraries away: strings as the reference's snapshots have them,
 * a version and a checksum. */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>

/* Appends one library's code. */
void roan_payload_add(roan_buffer *out, roan_slice code);
/* Appends version and checksum. */
void roan_payload_end(roan_buffer *out);

/* Takes version and checksum off the end; false: they are wrong. */
bool roan_payload_open(roan_slice *payload);

typedef enum roan_payload_result { ROAN_PAYLOAD_CODE, ROAN_PAYLOAD_END, ROAN_PAYLOAD_NO_FUNCTION, ROAN_PAYLOAD_BROKEN } roan_payload_result;

/* Takes the next library's code from the front; it is put into `code`, which is emptied first. */
roan_payload_result roan_payload_next(roan_slice *payload, roan_buffer *code);
