/* types/list_ring.h: the nodes of a large list in a ring, so that a node comes or goes at either end in constant time.
 *
 *     nodes   [ 5 | 6 |   |   | 0 | 1 | 2 | 3 | 4 ]      pointers
 *     counts  [ 5 | 6 |   |   | 0 | 1 | 2 | 3 | 4 ]      how many items each has, for finding an index
 *                           first
 *
 * Both arrays are one allocation of a power of two of places. Finding an index adds up counts from the nearer end: a
 * few kilobytes in a row for millions of items. A node that comes into the middle moves the shorter side.
 */
#pragma once

#include "types/list_node.h"

typedef struct roan_list_ring {
    uint64_t count;         /* items of all nodes */
    roan_list_node **nodes;
    uint16_t *counts;       /* behind the nodes, in the same allocation */
    uint32_t capacity;      /* places; a power of two */
    uint32_t first;         /* place of node number 0 */
    uint32_t node_count;
    int32_t size_class;     /* list-max-listpack-size when the list became large */
} roan_list_ring;

/* Where an item is. */
typedef struct roan_list_spot {
    uint32_t node;  /* its node's number */
    uint32_t index; /* among the items of the node */
} roan_list_spot;

roan_list_ring *roan_list_ring_create(int32_t size_class);
/* A ring of the same size, with the nodes copied. */
roan_list_ring *roan_list_ring_copy(const roan_list_ring *ring);
/* Frees the nodes as well. */
void roan_list_ring_free(roan_list_ring *ring);

static inline uint32_t roan_list_ring_place(const roan_list_ring *ring, uint32_t number)
{
    return (ring->first + number) & (ring->capacity - 1);
}

static inline roan_list_node *roan_list_ring_node(const roan_list_ring *ring, uint32_t number)
{
    return ring->nodes[roan_list_ring_place(ring, number)];
}

/* Node number `number` has been changed, or is another allocation now: its count and all of them become right. */
static inline void roan_list_ring_set(roan_list_ring *ring, uint32_t number, roan_list_node *node)
{
    uint32_t place = roan_list_ring_place(ring, number);
    ring->count += (uint64_t)node->count - ring->counts[place];
    ring->nodes[place] = node;
    ring->counts[place] = node->count;
}

/* Puts a node before number `number` (or at the end), which the ring owns from now on. */
void roan_list_ring_insert(roan_list_ring *ring, uint32_t number, roan_list_node *node);

/* Takes out and frees `count` nodes from number `number` on. */
void roan_list_ring_remove(roan_list_ring *ring, uint32_t number, uint32_t count);

/* Takes out the only node; the ring is empty then. */
roan_list_node *roan_list_ring_take_only(roan_list_ring *ring);

/* Where item number `index` is; index < count. */
roan_list_spot roan_list_ring_seek(const roan_list_ring *ring, uint64_t index);

/* Bytes of the ring itself, and of all nodes or an estimate from `samples` of them (0: all). */
size_t roan_list_ring_memory(const roan_list_ring *ring, size_t samples);

/* States the invariants. */
void roan_list_ring_check(const roan_list_ring *ring);
