/* types/stream_id.c: ids as text.
 *
 * What clients send is read as the reference reads it: canonical numbers on a fast path, whatever strtoull takes
 * otherwise ("007", "+7"), up to the first NUL byte.
 */
#include "types/stream_id.h"

#include "base/number.h"

#include <errno.h>
#include <stdlib.h>

#define ID_TEXT_MAX 127 /* longer texts are no ids */

static bool parse_loose_number(roan_slice text, uint64_t *ret_value)
{
    char copy[ID_TEXT_MAX + 1];
    int64_t negative;
    if (text.bytes == 0 || text.bytes > ID_TEXT_MAX || roan_parse_i64(text, &negative))
        return false;
    memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    char *end;
    errno = 0;
    unsigned long long value = strtoull(copy, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *ret_value = value;
    return true;
}

static bool parse_number(roan_slice text, uint64_t *ret_value)
{
    return roan_parse_u64(text, ret_value) || parse_loose_number(text, ret_value);
}

bool roan_stream_id_parse(roan_slice text, uint64_t missing_seq, roan_stream_id *ret_id, bool *ret_is_partial)
{
    roan_stream_id id = {.seq = missing_seq};
    bool is_partial = false;
    if (text.bytes == 0 || text.bytes > ID_TEXT_MAX)
        return false;
    const char *nul = memchr(text.data, '\0', text.bytes);
    if (nul != NULL)
        text.bytes = (size_t)(nul - text.data);
    const char *dash = memchr(text.data, '-', text.bytes);
    if (dash != NULL) {
        size_t ms_bytes = (size_t)(dash - text.data);
        roan_slice seq = roan_slice_make(dash + 1, text.bytes - ms_bytes - 1);
        text.bytes = ms_bytes;
        is_partial = ret_is_partial != NULL && seq.bytes == 1 && seq.data[0] == '*';
        id.seq = 0;
        if (!is_partial && !parse_number(seq, &id.seq))
            return false;
    }
    if (!parse_number(text, &id.ms))
        return false;
    *ret_id = id;
    if (ret_is_partial != NULL)
        *ret_is_partial = is_partial;
    return true;
}

size_t roan_stream_id_format(char out[ROAN_STREAM_ID_TEXT_MAX], roan_stream_id id)
{
    size_t bytes = roan_format_u64(out, id.ms);
    out[bytes++] = '-';
    return bytes + roan_format_u64(out + bytes, id.seq);
}
