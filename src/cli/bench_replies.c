/* cli/bench_replies.c: counting replies, and finding the one that complains.
 *
 * The normal way is one call of roan_replies_skip for everything that arrived. The two slow ways
 * step reply by reply: with client tracking, where the server mixes invalidation messages into the
 * replies, and once at the end of a failed test, to get hold of the text of the error. */
#include "cli/bench_replies.h"

#include "roan/resp.h"

static size_t skip_among_pushes(const char *data, size_t bytes, size_t replies_max,
                                size_t *ret_replies, size_t *ret_errors)
{
    size_t used = 0;

    *ret_replies = *ret_errors = 0;
    while (used < bytes) {
        const bool is_push = data[used] == '>';
        size_t replies, errors, step;
        if (!is_push && *ret_replies == replies_max)
            break;
        step = roan_replies_skip(data + used, bytes - used, 1, &replies, &errors);
        if (step == SIZE_MAX)
            return SIZE_MAX;
        if (replies == 0)
            break;
        used += step;
        *ret_replies += is_push ? 0 : 1;
        *ret_errors += errors;
    }
    return used;
}

size_t roan_bench_replies_skip(const char *data, size_t bytes, size_t replies_max, bool has_pushes,
                               size_t *ret_replies, size_t *ret_errors)
{
    if (has_pushes)
        return skip_among_pushes(data, bytes, replies_max, ret_replies, ret_errors);
    return roan_replies_skip(data, bytes, replies_max, ret_replies, ret_errors);
}

/* Cuts the first line of an error, or the text of a RESP3 blob error, out of its reply. */
static roan_slice error_text(const char *reply, size_t bytes)
{
    const char *from = reply + 1;
    const char *end = reply + bytes;
    const char *line_end;

    if (*reply == '!') {
        const char *length_end = memchr(from, '\n', (size_t)(end - from));
        from = length_end != NULL ? length_end + 1 : from;
    }
    line_end = memchr(from, '\r', (size_t)(end - from));
    return roan_slice_make(from, (size_t)((line_end != NULL ? line_end : end) - from));
}

roan_slice roan_bench_replies_error(const char *data, size_t bytes)
{
    for (;;) {
        size_t replies, errors;
        size_t step = roan_replies_skip(data, bytes, 1, &replies, &errors);
        if (step == SIZE_MAX || replies == 0)
            return ROAN_LITERAL("unknown error");
        if (errors > 0)
            return error_text(data, step);
        data += step;
        bytes -= step;
    }
}
