/* cli/bench_replies.h: what a load generator wants to know of the replies in a stream. */
#pragma once

#include "roan/base.h"

#include <stdbool.h>

/* As roan_replies_skip (counts whole replies, returns their bytes, SIZE_MAX when it is not RESP).
 * With `has_pushes`, RESP3 pushes may stand between the replies; they are skipped, not counted. */
size_t roan_bench_replies_skip(const char *data, size_t bytes, size_t replies_max, bool has_pushes,
                               size_t *ret_replies, size_t *ret_errors);

/* The text of the first error reply in data[0..bytes), which holds one. */
roan_slice roan_bench_replies_error(const char *data, size_t bytes);
