/* base/arena.c: pages of equal small pieces.
 *
 *   page:  | next | previous | free list | used | size |  piece piece piece ...     4096 bytes, so aligned
 *
 * A page with a free piece is in its size's list; a full one is in none and is found by the address of a piece. A page
 * whose last piece is freed goes back to where pages come from.
 *
 * Invariant 1: pages in a list have 0 < used < capacity.
 * Invariant 2: population[c] counts the live allocations of a class, paged or not (but for those older than the arena).
 */
#include "base/arena.h"

#include "base/macros.h"

#include <string.h>

#define PAGE_BYTES ((unsigned)ROAN_PAGE_BYTES)
#define CLASS_COUNT (ROAN_ARENA_BYTES_MAX / 8 + 1)
#define POPULATION_MIN 24 /* fewer allocations of a size than this are left to the allocator */

typedef struct piece {
    struct piece *next;
} piece;

typedef struct page page;
struct page {
    page *next, *previous;
    piece *free_pieces;   /* given back */
    uint16_t used;
    uint16_t fresh;       /* offset of the first piece never used; 0: none left */
    uint16_t piece_bytes;
    roan_arena *arena;
};

struct roan_arena {
    roan_page_pool *pages;
    page *open[CLASS_COUNT];          /* pages with room */
    uint32_t population[CLASS_COUNT];
    page *full;                       /* all others */
    size_t page_count;
    size_t piece_bytes;               /* live pieces */
    size_t idle_bytes;                /* free pieces; also counted by roan_alloc_note_idle */
};

roan_arena *roan_arena_create(roan_page_pool *pages)
{
    roan_arena *arena = roan_alloc_zero(sizeof *arena);
    arena->pages = pages;
    return arena;
}

static void free_list(const roan_arena *arena, page *first)
{
    while (first != NULL) {
        page *next = first->next;
        roan_page_give(arena->pages, first);
        first = next;
    }
}

void roan_arena_free(roan_arena *arena)
{
    if (arena == NULL)
        return;
    for (unsigned class = 0; class < CLASS_COUNT; class++)
        free_list(arena, arena->open[class]);
    free_list(arena, arena->full);
    roan_alloc_note_idle(-(int64_t)arena->idle_bytes);
    roan_free(arena, sizeof *arena);
}

static unsigned class_of(size_t bytes)
{
    return (unsigned)((bytes + 7) / 8);
}

/* Pieces became free (or, negative, are no longer). */
static void change_idle(roan_arena *arena, int64_t bytes)
{
    arena->idle_bytes += (size_t)bytes;
    roan_alloc_note_idle(bytes);
}

static int64_t room_of_page(unsigned piece_bytes)
{
    return (int64_t)((PAGE_BYTES - sizeof(page)) / piece_bytes * piece_bytes);
}

static void link_page(page **list, page *page_)
{
    page_->previous = NULL;
    page_->next = *list;
    if (*list != NULL)
        (*list)->previous = page_;
    *list = page_;
}

static void unlink_page(page **list, page *page_)
{
    if (page_->previous != NULL)
        page_->previous->next = page_->next;
    else
        *list = page_->next;
    if (page_->next != NULL)
        page_->next->previous = page_->previous;
}

static bool page_is_full(const page *page_)
{
    return page_->free_pieces == NULL && page_->fresh == 0;
}

static page *open_page(roan_arena *arena, unsigned class)
{
    page *fresh = roan_page_take(arena->pages);
    *fresh = (page){.fresh = sizeof(page), .piece_bytes = (uint16_t)(class * 8), .arena = arena};
    link_page(&arena->open[class], fresh);
    arena->page_count++;
    change_idle(arena, room_of_page(fresh->piece_bytes));
    return fresh;
}

static void *take_piece(page *from)
{
    piece *taken = from->free_pieces;
    if (taken != NULL) {
        from->free_pieces = taken->next;
    } else {
        taken = (piece *)(void *)((char *)from + from->fresh);
        unsigned next = from->fresh + from->piece_bytes;
        from->fresh = (uint16_t)(next + from->piece_bytes <= PAGE_BYTES ? next : 0);
    }
    from->used++;
    return taken;
}

void *roan_arena_alloc(roan_arena *arena, size_t bytes, bool *ret_is_paged)
{
    unsigned class = class_of(bytes);
    *ret_is_paged = false;
    if (arena == NULL || class >= CLASS_COUNT)
        return roan_alloc(bytes);
    arena->population[class]++;
    page *from = arena->open[class];
    if (from == NULL) {
        if (arena->population[class] < POPULATION_MIN)
            return roan_alloc(bytes);
        from = open_page(arena, class);
    }
    *ret_is_paged = true;
    arena->piece_bytes += from->piece_bytes;
    change_idle(arena, -(int64_t)from->piece_bytes);
    void *memory = take_piece(from);
    if (page_is_full(from)) {
        unlink_page(&arena->open[class], from);
        link_page(&arena->full, from);
    }
    return memory;
}

void roan_arena_release(roan_arena *arena, void *memory, size_t bytes, bool is_paged)
{
    unsigned class = class_of(bytes);
    if (arena != NULL && class < CLASS_COUNT)
        arena->population[class] -= arena->population[class] > 0; /* some are older than the arena */
    if (!is_paged) {
        roan_free(memory, bytes);
        return;
    }
    page *home = (page *)((uintptr_t)memory & ~(uintptr_t)(PAGE_BYTES - 1));
    ROAN_ASSERT(home->arena == arena && home->piece_bytes == class * 8);
    bool was_full = page_is_full(home);
    piece *freed = memory;
    freed->next = home->free_pieces;
    home->free_pieces = freed;
    arena->piece_bytes -= home->piece_bytes;
    change_idle(arena, home->piece_bytes);
    if (--home->used == 0) {
        change_idle(arena, -room_of_page(home->piece_bytes));
        unlink_page(was_full ? &arena->full : &arena->open[class], home);
        roan_page_give(arena->pages, home);
        arena->page_count--;
    } else if (was_full) {
        unlink_page(&arena->full, home);
        link_page(&arena->open[class], home);
    }
}

size_t roan_arena_overhead_bytes(const roan_arena *arena)
{
    return arena == NULL ? 0 : sizeof *arena + arena->page_count * PAGE_BYTES - arena->piece_bytes - arena->idle_bytes;
}
