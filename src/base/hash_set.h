/* base/hash_set.h: things that embed a node, found by a 64-bit hash.
 *
 * A set knows hashes only: what equal hashes mean is for its owner to compare. It owns its buckets, never the nodes.
 *
 *     for (node = roan_hash_set_first(&set, hash); node != NULL; node = roan_hash_node_next(node))
 *         if (is_the_one(node)) ...
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct roan_hash_node roan_hash_node;
struct roan_hash_node {
    roan_hash_node *next; /* in the same bucket */
    uint64_t hash;
};

/* Zero-initialise it. */
typedef struct roan_hash_set {
    roan_hash_node **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t count;
} roan_hash_set;

/* Frees the buckets; the nodes are the owner's. */
void roan_hash_set_done(roan_hash_set *set);

void roan_hash_set_insert(roan_hash_set *set, roan_hash_node *node, uint64_t hash);

/* The node is in the set. */
void roan_hash_set_remove(roan_hash_set *set, roan_hash_node *node);

/* The nodes with a hash, one after the other, or NULL. */
static inline roan_hash_node *roan_hash_node_with(roan_hash_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash)
        node = node->next;
    return node;
}

static inline roan_hash_node *roan_hash_set_first(const roan_hash_set *set, uint64_t hash)
{
    return set->count == 0 ? NULL : roan_hash_node_with(set->buckets[hash & (set->bucket_count - 1)], hash);
}

static inline roan_hash_node *roan_hash_node_next(const roan_hash_node *node)
{
    return roan_hash_node_with(node->next, node->hash);
}

/* All nodes, in any order: start with NULL. A node may be removed once the next one was fetched. */
roan_hash_node *roan_hash_set_walk(const roan_hash_set *set, const roan_hash_node *node);
