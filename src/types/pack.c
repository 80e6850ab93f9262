/* types/pack.c: editing a pack: every change is one move of the bytes behind the place, and a reallocation only when
 * the allocator's good size changes.
 *
 * Invariant 1: the items are exactly `bytes` long and `count` many.
 * Invariant 2: the allocation is roan_alloc_good_size(header + bytes) long.
 */
#include "types/pack.h"

#include "base/alloc.h"
#include "base/macros.h"

static size_t total_bytes(size_t bytes)
{
    return roan_alloc_good_size(sizeof(roan_pack) + bytes);
}

roan_pack *roan_pack_create(void)
{
    roan_pack *pack = roan_alloc(total_bytes(0));
    *pack = (roan_pack){0};
    return pack;
}

void roan_pack_free(roan_pack *pack)
{
    if (pack != NULL)
        roan_free(pack, total_bytes(pack->bytes));
}

roan_pack *roan_pack_copy(const roan_pack *pack)
{
    roan_pack *copy = roan_alloc(total_bytes(pack->bytes));
    memcpy(copy, pack, sizeof *pack + pack->bytes);
    return copy;
}

/* Makes the items `bytes` long; the content up to the smaller length stays. */
static roan_pack *resize(roan_pack *pack, size_t bytes)
{
    size_t before = total_bytes(pack->bytes), after = total_bytes(bytes);
    if (before != after)
        pack = roan_realloc(pack, before, after);
    pack->bytes = (uint32_t)bytes;
    return pack;
}

const char *roan_pack_at(const roan_pack *pack, size_t index)
{
    ROAN_ASSERT(index <= pack->count);
    const char *at = roan_pack_first(pack);
    while (index-- > 0)
        at = roan_packed_skip(at);
    return at;
}

const char *roan_pack_find(const roan_pack *pack, roan_slice text, unsigned stride)
{
    roan_packed wanted = roan_packed_from_text(text), item;
    const char *at = roan_pack_first(pack), *end = roan_pack_end(pack);
    while (at < end) {
        const char *place = at;
        at = roan_packed_read(at, &item);
        if (roan_packed_is_equal(&item, &wanted))
            return place;
        for (unsigned i = 1; i < stride && at < end; i++)
            at = roan_packed_skip(at);
    }
    return NULL;
}

roan_pack *roan_pack_insert(roan_pack *pack, const char *place, const roan_packed *items, size_t count,
                            const char **ret_place)
{
    size_t offset = (size_t)(place - pack->items), before = pack->bytes, added = 0;
    ROAN_ASSERT(offset <= before);
    for (size_t i = 0; i < count; i++)
        added += roan_packed_bytes(&items[i]);
    ROAN_ASSERT(!roan_pack_would_overflow(pack, added));
    pack = resize(pack, before + added);
    char *at = pack->items + offset;
    memmove(at + added, at, before - offset);
    if (ret_place != NULL)
        *ret_place = at;
    for (size_t i = 0; i < count; i++)
        at = roan_packed_put(at, &items[i]);
    pack->count += (uint32_t)count;
    return pack;
}

roan_pack *roan_pack_remove(roan_pack *pack, const char *place, size_t count, const char **ret_place)
{
    size_t offset = (size_t)(place - pack->items);
    const char *end = place;
    for (size_t i = 0; i < count; i++)
        end = roan_packed_skip(end);
    size_t removed = (size_t)(end - place);
    ROAN_ASSERT(offset + removed <= pack->bytes && count <= pack->count);
    memmove(pack->items + offset, end, pack->bytes - offset - removed);
    pack->count -= (uint32_t)count;
    pack = resize(pack, pack->bytes - removed);
    if (ret_place != NULL)
        *ret_place = pack->items + offset;
    return pack;
}

roan_pack *roan_pack_replace(roan_pack *pack, const char *place, const roan_packed *item, const char **ret_place)
{
    size_t offset = (size_t)(place - pack->items), all = pack->bytes;
    size_t before = (size_t)(roan_packed_skip(place) - place), after = roan_packed_bytes(item);
    size_t tail = all - offset - before;
    ROAN_ASSERT(after <= before || !roan_pack_would_overflow(pack, after - before));
    if (after < before)
        memmove(pack->items + offset + after, pack->items + offset + before, tail);
    pack = resize(pack, all - before + after);
    if (after > before)
        memmove(pack->items + offset + after, pack->items + offset + before, tail);
    roan_packed_put(pack->items + offset, item);
    if (ret_place != NULL)
        *ret_place = pack->items + offset;
    return pack;
}

size_t roan_pack_memory(const roan_pack *pack)
{
    return total_bytes(pack->bytes);
}

void roan_pack_check(const roan_pack *pack)
{
    const char *at = roan_pack_first(pack);
    for (uint32_t i = 0; i < pack->count; i++) {
        ROAN_ASSERT(at < roan_pack_end(pack));
        at = roan_packed_skip(at);
    }
    ROAN_ASSERT(at == roan_pack_end(pack));
}
