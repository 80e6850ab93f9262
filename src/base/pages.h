/* base/pages.h: pages of 4 KiB for the arenas of all tables of an engine, cut from chunks of 2 MiB.
 *
 * One chunk instead of 511 allocations saves the allocator's bookkeeping (3 % of a page), and the processor can map a
 * chunk with a single huge page, which halves the cost of reaching a random key among millions.
 */
#pragma once

#include <stddef.h>

#define ROAN_PAGE_BYTES ((size_t)4096)

typedef struct roan_page_pool roan_page_pool;

roan_page_pool *roan_page_pool_create(void);
/* All pages have been given back; accepts NULL. */
void roan_page_pool_free(roan_page_pool *pool);

/* A page, aligned to its size, content undefined. Any thread. Without a pool (NULL) it comes from the allocator. */
void *roan_page_take(roan_page_pool *pool);
void roan_page_give(roan_page_pool *pool, void *page);
