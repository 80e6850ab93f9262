/* types/list_ring.c: a double-ended queue of nodes, and the search for an index in it.
 *
 * Invariant 1: capacity is a power of two; node_count <= capacity.
 * Invariant 2: counts[place] equals the node's own count for every place that is taken, and count is the sum.
 * Invariant 3: no node is empty.
 */
#include "types/list_ring.h"

#include "base/alloc.h"
#include "base/macros.h"

#define CAPACITY_MIN 4u
#define CAPACITY_MAX (1u << 31)
#define PLACE_BYTES (sizeof(roan_list_node *) + sizeof(uint16_t))
#define BLOCK 16u /* counts that are added up at once */

static void allocate_places(roan_list_ring *ring, uint32_t capacity)
{
    ring->nodes = roan_alloc(capacity * PLACE_BYTES);
    ring->counts = (uint16_t *)(void *)(ring->nodes + capacity);
    ring->capacity = capacity;
}

static void free_places(roan_list_ring *ring)
{
    roan_free(ring->nodes, ring->capacity * PLACE_BYTES);
}

roan_list_ring *roan_list_ring_create(int32_t size_class)
{
    roan_list_ring *ring = roan_alloc(sizeof *ring);
    *ring = (roan_list_ring){.size_class = size_class};
    allocate_places(ring, CAPACITY_MIN);
    return ring;
}

roan_list_ring *roan_list_ring_copy(const roan_list_ring *ring)
{
    roan_list_ring *copy = roan_alloc(sizeof *copy);
    *copy = *ring;
    copy->first = 0;
    allocate_places(copy, ring->capacity);
    for (uint32_t i = 0; i < ring->node_count; i++) {
        copy->nodes[i] = roan_list_node_copy(roan_list_ring_node(ring, i));
        copy->counts[i] = copy->nodes[i]->count;
    }
    return copy;
}

void roan_list_ring_free(roan_list_ring *ring)
{
    for (uint32_t i = 0; i < ring->node_count; i++)
        roan_list_node_free(roan_list_ring_node(ring, i));
    free_places(ring);
    roan_free(ring, sizeof *ring);
}

/* Other arrays with the same nodes, from place 0 on. */
static void set_capacity(roan_list_ring *ring, uint32_t capacity)
{
    roan_list_ring old = *ring;
    uint32_t front = ROAN_MIN(old.capacity - old.first, old.node_count), back = old.node_count - front;
    allocate_places(ring, capacity);
    memcpy(ring->nodes, old.nodes + old.first, front * sizeof *old.nodes);
    memcpy(ring->nodes + front, old.nodes, back * sizeof *old.nodes);
    memcpy(ring->counts, old.counts + old.first, front * sizeof *old.counts);
    memcpy(ring->counts + front, old.counts, back * sizeof *old.counts);
    ring->first = 0;
    free_places(&old);
}

static void move_place(roan_list_ring *ring, uint32_t to, uint32_t from)
{
    uint32_t to_place = roan_list_ring_place(ring, to), from_place = roan_list_ring_place(ring, from);
    ring->nodes[to_place] = ring->nodes[from_place];
    ring->counts[to_place] = ring->counts[from_place];
}

void roan_list_ring_insert(roan_list_ring *ring, uint32_t number, roan_list_node *node)
{
    ROAN_ASSERT(number <= ring->node_count && ring->node_count < CAPACITY_MAX);
    if (ring->node_count == ring->capacity)
        set_capacity(ring, 2 * ring->capacity);
    ring->node_count++;
    if (number < ring->node_count / 2) {
        ring->first = (ring->first - 1) & (ring->capacity - 1);
        for (uint32_t i = 0; i < number; i++)
            move_place(ring, i, i + 1);
    } else {
        for (uint32_t i = ring->node_count - 1; i > number; i--)
            move_place(ring, i, i - 1);
    }
    uint32_t place = roan_list_ring_place(ring, number);
    ring->nodes[place] = node;
    ring->counts[place] = node->count;
    ring->count += node->count;
}

static void close_gap(roan_list_ring *ring, uint32_t number, uint32_t count)
{
    uint32_t behind = ring->node_count - number - count;
    if (number < behind) {
        for (uint32_t i = number; i-- > 0;)
            move_place(ring, i + count, i);
        ring->first = (ring->first + count) & (ring->capacity - 1);
    } else {
        for (uint32_t i = number; i < number + behind; i++)
            move_place(ring, i, i + count);
    }
    ring->node_count -= count;
}

void roan_list_ring_remove(roan_list_ring *ring, uint32_t number, uint32_t count)
{
    ROAN_ASSERT(number <= ring->node_count && count <= ring->node_count - number);
    for (uint32_t i = number; i < number + count; i++) {
        uint32_t place = roan_list_ring_place(ring, i);
        ring->count -= ring->counts[place];
        roan_list_node_free(ring->nodes[place]);
    }
    close_gap(ring, number, count);
    uint32_t capacity = ring->capacity;
    while (capacity > CAPACITY_MIN && ring->node_count < capacity / 4)
        capacity /= 2;
    if (capacity != ring->capacity)
        set_capacity(ring, capacity);
}

roan_list_node *roan_list_ring_take_only(roan_list_ring *ring)
{
    ROAN_ASSERT(ring->node_count == 1);
    ring->node_count = 0;
    ring->count = 0;
    return ring->nodes[ring->first];
}

static unsigned sum_block(const uint16_t *counts)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < BLOCK; i++)
        sum += counts[i];
    return sum;
}

static roan_list_spot seek_from_front(const roan_list_ring *ring, uint64_t index)
{
    uint32_t number = 0;
    for (;;) {
        uint32_t place = roan_list_ring_place(ring, number);
        if (ring->capacity - place >= BLOCK && ring->node_count - number > BLOCK) {
            unsigned sum = sum_block(ring->counts + place);
            if (index >= sum) {
                index -= sum;
                number += BLOCK;
                continue;
            }
        }
        if (index < ring->counts[place])
            return (roan_list_spot){.node = number, .index = (uint32_t)index};
        index -= ring->counts[place];
        number++;
    }
}

/* `behind` items follow the wanted one. */
static roan_list_spot seek_from_back(const roan_list_ring *ring, uint64_t behind)
{
    uint32_t end = ring->node_count;
    for (;;) {
        uint32_t place = roan_list_ring_place(ring, end - 1);
        if (place + 1 >= BLOCK && end > BLOCK) {
            unsigned sum = sum_block(ring->counts + place + 1 - BLOCK);
            if (behind >= sum) {
                behind -= sum;
                end -= BLOCK;
                continue;
            }
        }
        if (behind < ring->counts[place])
            return (roan_list_spot){.node = end - 1, .index = (uint32_t)(ring->counts[place] - 1 - behind)};
        behind -= ring->counts[place];
        end--;
    }
}

roan_list_spot roan_list_ring_seek(const roan_list_ring *ring, uint64_t index)
{
    ROAN_ASSERT(index < ring->count);
    return index <= ring->count / 2 ? seek_from_front(ring, index) : seek_from_back(ring, ring->count - 1 - index);
}

size_t roan_list_ring_memory(const roan_list_ring *ring, size_t samples)
{
    size_t own = roan_alloc_good_size(sizeof *ring) + roan_alloc_good_size(ring->capacity * PLACE_BYTES);
    size_t looked_at = samples == 0 || samples > ring->node_count ? ring->node_count : samples, bytes = 0;
    if (looked_at == 0)
        return own;
    for (uint32_t i = 0; i < looked_at; i++)
        bytes += roan_list_node_memory(roan_list_ring_node(ring, i));
    if (looked_at < ring->node_count)
        bytes = (size_t)((double)bytes / (double)looked_at * ring->node_count);
    return own + bytes;
}

void roan_list_ring_check(const roan_list_ring *ring)
{
    ROAN_ASSERT(ring->capacity >= CAPACITY_MIN && (ring->capacity & (ring->capacity - 1)) == 0);
    ROAN_ASSERT(ring->node_count <= ring->capacity && ring->first < ring->capacity);
    uint64_t count = 0;
    for (uint32_t i = 0; i < ring->node_count; i++) {
        const roan_list_node *node = roan_list_ring_node(ring, i);
        roan_list_node_check(node);
        ROAN_ASSERT(node->count > 0 && node->count == ring->counts[roan_list_ring_place(ring, i)]);
        count += node->count;
    }
    ROAN_ASSERT(count == ring->count);
}
