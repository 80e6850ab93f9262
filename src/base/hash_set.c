/* base/hash_set.c: chains of nodes in buckets, about one node a bucket. The number of buckets follows the number of nodes
 * when one is inserted, in both directions; removing never moves anything, so that a walk may remove what it visits.
 */
#include "base/hash_set.h"

#include "base/alloc.h"
#include "base/macros.h"

#define BUCKETS_MIN 8

static void resize(roan_hash_set *set, size_t bucket_count)
{
    roan_hash_node **old = set->buckets;
    size_t old_count = set->bucket_count;
    set->buckets = roan_alloc_zero(bucket_count * sizeof *set->buckets);
    set->bucket_count = bucket_count;
    for (size_t i = 0; i < old_count; i++) {
        for (roan_hash_node *node = old[i], *next; node != NULL; node = next) {
            roan_hash_node **bucket = &set->buckets[node->hash & (bucket_count - 1)];
            next = node->next;
            node->next = *bucket;
            *bucket = node;
        }
    }
    roan_free(old, old_count * sizeof *old);
}

void roan_hash_set_done(roan_hash_set *set)
{
    roan_free(set->buckets, set->bucket_count * sizeof *set->buckets);
    *set = (roan_hash_set){0};
}

void roan_hash_set_insert(roan_hash_set *set, roan_hash_node *node, uint64_t hash)
{
    if (set->count == set->bucket_count)
        resize(set, ROAN_MAX(set->bucket_count * 2, (size_t)BUCKETS_MIN));
    else if (set->count < set->bucket_count / 8 && set->bucket_count > BUCKETS_MIN)
        resize(set, set->bucket_count / 2);
    roan_hash_node **bucket = &set->buckets[hash & (set->bucket_count - 1)];
    *node = (roan_hash_node){.next = *bucket, .hash = hash};
    *bucket = node;
    set->count++;
}

void roan_hash_set_remove(roan_hash_set *set, roan_hash_node *node)
{
    roan_hash_node **at = &set->buckets[node->hash & (set->bucket_count - 1)];
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    set->count--;
}

roan_hash_node *roan_hash_set_walk(const roan_hash_set *set, const roan_hash_node *node)
{
    if (node != NULL && node->next != NULL)
        return node->next;
    size_t bucket = node == NULL ? 0 : (node->hash & (set->bucket_count - 1)) + 1;
    while (bucket < set->bucket_count && set->buckets[bucket] == NULL)
        bucket++;
    return bucket < set->bucket_count ? set->buckets[bucket] : NULL;
}
