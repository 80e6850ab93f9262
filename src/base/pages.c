/* base/pages.c: chunks of 2 MiB, so aligned, whose first page holds their state:
 *
 *   chunk:  | next | previous | free pages | used | fresh | ...  || page || page || ... 511 pages
 *
 * A chunk with a free page is in `open`, a full one in none: a page finds its chunk by its address. A chunk without
 * used pages goes back to the allocator, except for one that is kept for the next growth. Pages nobody uses count as
 * idle.
 */
#include "base/pages.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>

#define CHUNK_BYTES ((size_t)2 << 20)
#define PAGES_PER_CHUNK ((unsigned)(CHUNK_BYTES / ROAN_PAGE_BYTES - 1))

typedef struct free_page {
    struct free_page *next;
} free_page;

typedef struct chunk chunk;
struct chunk {
    chunk *next, *previous;
    free_page *free_pages; /* given back */
    unsigned used;
    unsigned fresh;        /* pages never taken begin here, counted from 1 */
    bool wants_huge;       /* it was full once, and huge pages were asked for */
};

struct roan_page_pool {
    pthread_mutex_t lock;
    chunk *open;           /* chunks with a free page */
    unsigned empty_count;  /* of them without a used one */
    unsigned chunk_count;
};

roan_page_pool *roan_page_pool_create(void)
{
    roan_page_pool *pool = roan_alloc_zero(sizeof *pool);
    ROAN_ASSERT(pthread_mutex_init(&pool->lock, NULL) == 0);
    return pool;
}

static void link_open(roan_page_pool *pool, chunk *chunk_)
{
    chunk_->previous = NULL;
    chunk_->next = pool->open;
    if (pool->open != NULL)
        pool->open->previous = chunk_;
    pool->open = chunk_;
}

static void unlink_open(roan_page_pool *pool, chunk *chunk_)
{
    if (chunk_->previous != NULL)
        chunk_->previous->next = chunk_->next;
    else
        pool->open = chunk_->next;
    if (chunk_->next != NULL)
        chunk_->next->previous = chunk_->previous;
}

static void create_chunk(roan_page_pool *pool)
{
    chunk *fresh = roan_alloc_aligned(CHUNK_BYTES, CHUNK_BYTES);
    *fresh = (chunk){.fresh = 1};
    link_open(pool, fresh);
    pool->chunk_count++;
    pool->empty_count++;
    roan_alloc_note_idle((int64_t)CHUNK_BYTES);
}

static void free_chunk(roan_page_pool *pool, chunk *chunk_)
{
    unlink_open(pool, chunk_);
    pool->chunk_count--;
    pool->empty_count--;
    roan_alloc_note_idle(-(int64_t)CHUNK_BYTES);
    if (chunk_->wants_huge) /* or its next life would begin with clearing two megabytes */
        ROAN_IGNORE(madvise(chunk_, CHUNK_BYTES, MADV_NOHUGEPAGE));
    roan_free(chunk_, CHUNK_BYTES);
}

void roan_page_pool_free(roan_page_pool *pool)
{
    if (pool == NULL)
        return;
    while (pool->open != NULL)
        free_chunk(pool, pool->open);
    ROAN_ASSERT(pool->chunk_count == 0); /* or a page is still out */
    pthread_mutex_destroy(&pool->lock);
    roan_free(pool, sizeof *pool);
}

static bool chunk_is_full(const chunk *chunk_)
{
    return chunk_->free_pages == NULL && chunk_->fresh > PAGES_PER_CHUNK;
}

void *roan_page_take(roan_page_pool *pool)
{
    if (pool == NULL)
        return roan_alloc_aligned(ROAN_PAGE_BYTES, ROAN_PAGE_BYTES);
    pthread_mutex_lock(&pool->lock);
    if (pool->open == NULL)
        create_chunk(pool);
    chunk *from = pool->open;
    void *page = from->free_pages;
    if (page != NULL)
        from->free_pages = from->free_pages->next;
    else
        page = (char *)from + from->fresh++ * ROAN_PAGE_BYTES;
    pool->empty_count -= from->used++ == 0;
    if (chunk_is_full(from)) {
        unlink_open(pool, from);
        /* A wish; small pages do as well. Not before: clearing two megabytes at the first touch would take milliseconds. */
        if (!from->wants_huge)
            ROAN_IGNORE(madvise(from, CHUNK_BYTES, MADV_HUGEPAGE));
        from->wants_huge = true;
    }
    pthread_mutex_unlock(&pool->lock);
    roan_alloc_note_idle(-(int64_t)ROAN_PAGE_BYTES);
    return page;
}

void roan_page_give(roan_page_pool *pool, void *page)
{
    if (pool == NULL) {
        roan_free(page, ROAN_PAGE_BYTES);
        return;
    }
    chunk *home = (chunk *)((uintptr_t)page & ~(uintptr_t)(CHUNK_BYTES - 1));
    free_page *given = page;
    roan_alloc_note_idle((int64_t)ROAN_PAGE_BYTES);
    pthread_mutex_lock(&pool->lock);
    ROAN_ASSERT(home->used > 0);
    if (chunk_is_full(home))
        link_open(pool, home);
    given->next = home->free_pages;
    home->free_pages = given;
    if (--home->used == 0 && ++pool->empty_count > 1)
        free_chunk(pool, home);
    pthread_mutex_unlock(&pool->lock);
}
