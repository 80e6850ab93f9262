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

size_t roan_replies_skip(const char *data, size_t bytes, size_t replies_max, size_t *ret_replies,
                         size_t *ret_errors)
{
    roan_reply_scan scan;
    size_t offset = 0;
    size_t replies = 0;
    size_t errors = 0;
    bool is_broken = false;

    ROAN_ASSERT(ret_replies != NULL);
    while (replies < replies_max && offset < bytes) {
        roan_scan_result result;
        roan_reply_scan_begin(&scan);
        result = roan_reply_scan_run(&scan, data + offset, bytes - offset, NULL);
        is_broken = result == ROAN_SCAN_BROKEN;
        if (result != ROAN_SCAN_WHOLE)
            break;
        offset += scan.offset;
        replies++;
        errors += scan.root_type == '-' || scan.root_type == '!';
    }
    *ret_replies = replies;
    if (ret_errors != NULL)
        *ret_errors = errors;
    return is_broken ? SIZE_MAX : offset;
}
