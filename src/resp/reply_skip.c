/* resp/reply_skip.c: counts whole replies without building them.
 *
 * For programs that send load and only need to know that answers came. Stateless: the caller keeps
 * the bytes behind the last whole reply and passes them again with what came after. A bulk costs
 * the same whatever its length; only an array that arrives in pieces is walked again from its
 * start.
 */
#include "roan/resp.h"

#include "base/macros.h"
#include "resp/reply_scan.h"

#define COMMON_DIGITS_MAX 6 /* of the length of a bulk */

/* The length of a whole status, error or short bulk at data[0..bytes), the replies that load brings
 * most often; 0 for everything else, which the scan looks at. */
static size_t skip_common(const char *data, size_t bytes)
{
    size_t length = 0;
    size_t i = 1;

    if (data[0] == '+' || data[0] == '-') {
        const char *cr = memchr(data, '\r', bytes);
        bool is_end = cr != NULL && (size_t)(cr - data) + 1 < bytes && cr[1] == '\n';
        return is_end ? (size_t)(cr - data) + 2 : 0;
    }
    if (data[0] != '$')
        return 0;
    for (; i < bytes && i <= COMMON_DIGITS_MAX && data[i] >= '0' && data[i] <= '9'; i++)
        length = length * 10 + (size_t)(data[i] - '0');
    if (i == 1 || i + 1 >= bytes || data[i] != '\r' || data[i + 1] != '\n')
        return 0;
    i += 2;
    if (bytes - i < length + 2 || data[i + length] != '\r' || data[i + length + 1] != '\n')
        return 0;
    return i + length + 2;
}

size_t roan_replies_skip(const char *data, size_t bytes, size_t replies_max, size_t *ret_replies,
                         size_t *ret_errors)
{
    roan_reply_scan scan;
    size_t offset = 0;
    size_t replies = 0;
    size_t errors = 0;
    bool is_broken = false;

    ROAN_ASSERT(ret_replies != NULL);
    roan_reply_scan_init(&scan);
    while (replies < replies_max && offset < bytes) {
        size_t common = skip_common(data + offset, bytes - offset);
        roan_scan_result result;
        if (common > 0) {
            errors += data[offset] == '-';
            offset += common;
            replies++;
            continue;
        }
        roan_reply_scan_begin(&scan);
        result = roan_reply_scan_run(&scan, data + offset, bytes - offset, NULL);
        is_broken = result == ROAN_SCAN_BROKEN || result == ROAN_SCAN_NO_MEMORY;
        if (result != ROAN_SCAN_WHOLE)
            break;
        offset += scan.offset;
        replies++;
        errors += scan.root_type == '-' || scan.root_type == '!';
    }
    roan_reply_scan_done(&scan);
    *ret_replies = replies;
    if (ret_errors != NULL)
        *ret_errors = errors;
    return is_broken ? SIZE_MAX : offset;
}
