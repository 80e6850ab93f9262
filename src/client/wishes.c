/* client/wishes.c: the table of wishes and who has them. See wishes.h. */
#include "client/wishes.h"

#include "base/macros.h"

#include <stdlib.h>
#include <string.h>

#define BUCKETS_MIN 16

/* FNV-1a from a random start. The names are the program's own, so nobody gains by making them collide. */
static uint64_t hash_name(const roan_subscriptions *hub, roan_channel_kind kind, roan_slice name)
{
    uint64_t hash = hub->seed ^ (uint64_t)kind;

    for (size_t i = 0; i < name.bytes; i++)
        hash = (hash ^ (unsigned char)name.data[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static roan_wish *find(const roan_subscriptions *hub, roan_channel_kind kind, roan_slice name, uint64_t hash)
{
    roan_wish *at = hub->buckets_count > 0 ? hub->buckets[hash & (hub->buckets_count - 1)] : NULL;

    while (at != NULL && (at->hash != hash || at->kind != kind || at->name_bytes != name.bytes ||
                          (name.bytes > 0 && memcmp(at->name, name.data, name.bytes) != 0)))
        at = at->next;
    return at;
}

roan_wish *roan_wish_find(const roan_subscriptions *hub, roan_channel_kind kind, roan_slice name)
{
    return find(hub, kind, name, hash_name(hub, kind, name));
}

/* A table that cannot grow stays as it is: longer chains. False: there is none at all. */
static bool grow(roan_subscriptions *hub)
{
    size_t count = hub->buckets_count > 0 ? hub->buckets_count * 2 : BUCKETS_MIN;
    roan_wish **buckets;

    if (hub->wishes_count < hub->buckets_count)
        return true;
    buckets = calloc(count, sizeof(roan_wish *));
    if (buckets == NULL)
        return hub->buckets_count > 0;
    for (size_t i = 0; i < hub->buckets_count; i++)
        for (roan_wish *at = hub->buckets[i], *next; at != NULL; at = next) {
            next = at->next;
            at->next = buckets[at->hash & (count - 1)];
            buckets[at->hash & (count - 1)] = at;
        }
    free(hub->buckets);
    hub->buckets = buckets;
    hub->buckets_count = count;
    return true;
}

static roan_wish *find_or_make(roan_subscriptions *hub, roan_channel_kind kind, roan_slice name)
{
    uint64_t hash = hash_name(hub, kind, name);
    roan_wish *wish = find(hub, kind, name, hash);

    if (wish != NULL)
        return wish;
    if (name.bytes > SIZE_MAX / 2 || !grow(hub))
        return NULL;
    wish = calloc(1, sizeof *wish + name.bytes);
    if (wish == NULL)
        return NULL;
    wish->hash = hash;
    wish->kind = kind;
    wish->name_bytes = name.bytes;
    if (name.bytes > 0)
        memcpy(wish->name, name.data, name.bytes);
    wish->next = hub->buckets[hash & (hub->buckets_count - 1)];
    hub->buckets[hash & (hub->buckets_count - 1)] = wish;
    hub->wishes_count++;
    return wish;
}

roan_membership *roan_wish_member(const roan_wish *wish, const roan_subscription *subscription)
{
    roan_membership *at = wish->members;

    while (at != NULL && at->subscription != subscription)
        at = at->wish_next;
    return at;
}

roan_membership *roan_wish_join(roan_subscriptions *hub, roan_subscription *subscription, roan_channel_kind kind,
                                roan_slice name, bool *ret_is_new)
{
    roan_wish *wish = find_or_make(hub, kind, name);
    roan_membership *membership;

    *ret_is_new = false;
    if (wish == NULL)
        return NULL;
    membership = roan_wish_member(wish, subscription);
    if (membership != NULL)
        return membership;
    membership = calloc(1, sizeof *membership);
    if (membership == NULL) {
        ROAN_IGNORE(roan_wish_free_if_unused(hub, wish));
        return NULL;
    }
    *ret_is_new = true;
    membership->subscription = subscription;
    membership->wish = wish;
    membership->next = subscription->members;
    if (membership->next != NULL)
        membership->next->previous = membership;
    subscription->members = membership;
    subscription->members_count++;
    membership->wish_next = wish->members;
    hub->wanted_count += wish->members == NULL;
    if (membership->wish_next != NULL)
        membership->wish_next->wish_previous = membership;
    wish->members = membership;
    roan_wish_touch(hub, wish);
    return membership;
}

void roan_wish_leave(roan_subscriptions *hub, roan_membership *membership)
{
    roan_wish *wish = membership->wish;
    roan_subscription *subscription = membership->subscription;

    if (membership->previous != NULL)
        membership->previous->next = membership->next;
    else
        subscription->members = membership->next;
    if (membership->next != NULL)
        membership->next->previous = membership->previous;
    subscription->members_count--;
    if (membership->wish_previous != NULL)
        membership->wish_previous->wish_next = membership->wish_next;
    else
        wish->members = membership->wish_next;
    if (membership->wish_next != NULL)
        membership->wish_next->wish_previous = membership->wish_previous;
    hub->wanted_count -= wish->members == NULL;
    subscription->refusals_due -= membership->refusal_is_due;
    free(membership);
    if (!roan_wish_free_if_unused(hub, wish))
        roan_wish_touch(hub, wish);
}

/* ---- states ---- */

static bool needs_asking(const roan_wish *wish)
{
    switch ((roan_wish_state)wish->state) {
    case ROAN_WISH_OFF:
        return wish->members != NULL;
    case ROAN_WISH_ON:
        return wish->members == NULL && !wish->is_stuck;
    default:
        return false;
    }
}

void roan_wish_touch(roan_subscriptions *hub, roan_wish *wish)
{
    atomic_fetch_add_explicit(&hub->version, 1, memory_order_relaxed);
    if (wish->is_dirty || !needs_asking(wish))
        return;
    wish->is_dirty = true;
    wish->dirty_previous = hub->dirty_last;
    wish->dirty_next = NULL;
    if (hub->dirty_last != NULL)
        hub->dirty_last->dirty_next = wish;
    else
        hub->dirty = wish;
    hub->dirty_last = wish;
}

void roan_wish_clean(roan_subscriptions *hub, roan_wish *wish)
{
    if (!wish->is_dirty)
        return;
    wish->is_dirty = false;
    if (wish->dirty_previous != NULL)
        wish->dirty_previous->dirty_next = wish->dirty_next;
    else
        hub->dirty = wish->dirty_next;
    if (wish->dirty_next != NULL)
        wish->dirty_next->dirty_previous = wish->dirty_previous;
    else
        hub->dirty_last = wish->dirty_previous;
}

/* What was not told yet is not true any more. */
static void forget_refusal(roan_wish *wish)
{
    free(wish->refusal);
    wish->refusal = NULL;
    for (roan_membership *at = wish->members; at != NULL; at = at->wish_next) {
        at->subscription->refusals_due -= at->refusal_is_due;
        at->refusal_is_due = false;
    }
}

void roan_wish_set(roan_subscriptions *hub, roan_wish *wish, roan_wish_state state)
{
    wish->state = (uint8_t)state;
    wish->is_stuck = false;
    if (state != ROAN_WISH_REFUSED)
        forget_refusal(wish);
    roan_wish_touch(hub, wish);
}

static void free_wish(roan_wish *wish)
{
    free(wish->refusal);
    free(wish);
}

bool roan_wish_free_if_unused(roan_subscriptions *hub, roan_wish *wish)
{
    roan_wish **at;

    if (wish->members != NULL || (wish->state != ROAN_WISH_OFF && wish->state != ROAN_WISH_REFUSED))
        return false;
    roan_wish_clean(hub, wish);
    for (at = &hub->buckets[wish->hash & (hub->buckets_count - 1)]; *at != wish; at = &(*at)->next)
        continue;
    *at = wish->next;
    hub->wishes_count--;
    free_wish(wish);
    return true;
}

void roan_wishes_done(roan_subscriptions *hub)
{
    for (size_t i = 0; i < hub->buckets_count; i++)
        for (roan_wish *at = hub->buckets[i], *next; at != NULL; at = next) {
            next = at->next;
            free_wish(at);
        }
    free(hub->buckets);
    hub->buckets = NULL;
    hub->buckets_count = hub->wishes_count = 0;
    hub->dirty = hub->dirty_last = hub->asked = hub->asked_last = NULL;
}
