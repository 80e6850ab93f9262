/* engine/session_text.h: the texts a client gives to its session: name, library name, library version. */
#pragma once

#include "engine/call.h"

/* Printable ASCII without spaces, so that a line of CLIENT LIST stays one. */
static inline bool roan_session_text_is_fine(roan_slice text)
{
    for (size_t i = 0; i < text.bytes; i++)
        if (text.data[i] < '!' || text.data[i] > '~')
            return false;
    return true;
}

/* An empty text takes it away. */
static inline void roan_session_set_text(char **field, roan_slice text)
{
    roan_text_free(*field);
    *field = text.bytes > 0 ? roan_text_dup_bytes(text.data, text.bytes) : NULL;
}

/* False after the error about names was sent. */
static inline bool roan_session_check_name(roan_call *call, roan_slice name)
{
    if (roan_session_text_is_fine(name))
        return true;
    roan_call_error(call, "ERR Client names cannot contain spaces, newlines or special characters.");
    return false;
}
