/* client/hub.c: what all subscriptions of a handle have in common: made with the first one, the link that messages come
 * on, closed with the handle, as new in the child of a fork. See wishes.h.
 *
 * Messages come on the shared link as long as it speaks RESP3. When it turns out to speak RESP2, or the options say so,
 * they get a link of their own, for good.
 */
#include "client/wishes.h"

#include "base/macros.h"
#include "client/drive.h"
#include "client/handle.h"

#include <stdlib.h>

/* ---- which link ---- */

void roan_hub_use_own_link(roan_subscriptions *hub, roan_outcome *outcome)
{
    roan *root = hub->client;
    roan_link *own = roan_link_create(root);

    if (own == NULL)
        return;
    roan_agree_attach(own);
    own->is_wanted = hub->wanted_count > 0;
    own->state = own->is_wanted ? ROAN_LINK_BACKOFF : ROAN_LINK_IDLE; /* whoever drives it opens it at once */
    own->backoff_until_us = roan_now_us(root);
    hub->own_link = own;
    root->link->is_wanted = false;
    atomic_store(&hub->link, own);
    roan_background_attach(root, own);
    outcome->wakes_background = true;
    for (roan_subscription *at = hub->first; at != NULL; at = at->next)
        roan_subscription_wake(at, outcome);
}

roan_link *roan_subscriptions_lock_link(roan_subscriptions *hub)
{
    for (;;) {
        roan_link *link = atomic_load(&hub->link);
        pthread_mutex_lock(&link->lock);
        if (atomic_load(&hub->link) == link)
            return link;
        pthread_mutex_unlock(&link->lock);
    }
}

void roan_subscriptions_kick(roan_subscriptions *hub)
{
    roan_outcome outcome;
    roan_link *link = roan_subscriptions_lock_link(hub);
    roan *root = link->client;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&hub->lock);
    hub->is_asleep = false;
    roan_agree(hub, link, &outcome);
    if (hub->link == link)
        link->is_wanted = hub->wanted_count > 0;
    pthread_mutex_unlock(&hub->lock);
    if (link->is_wanted)
        roan_link_want(link, roan_now_us(root), &outcome);
    roan_link_flush(link, &outcome);
    if (link->is_wanted || link->pending_count > 0)
        roan_drive_asynchronously(link, &outcome);
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(root, &outcome);
}

/* ---- beginning and end ---- */

static roan_subscriptions *create(roan *root)
{
    roan_subscriptions *hub = calloc(1, sizeof *hub);
    roan_outcome unused;

    if (hub == NULL)
        return NULL;
    ROAN_ASSERT(pthread_mutex_init(&hub->lock, NULL) == 0);
    ROAN_ASSERT(pthread_cond_init(&hub->calls, NULL) == 0);
    atomic_init(&hub->references, 1);
    hub->client = root;
    hub->seed = root->transport->random(root->transport->state);
    atomic_init(&hub->link, root->link);
    if (root->settings->options.protocol != 2)
        return hub;
    roan_outcome_begin(&unused); /* nothing is wished yet */
    roan_hub_use_own_link(hub, &unused);
    if (hub->own_link != NULL)
        return hub;
    roan_subscriptions_drop(hub);
    return NULL;
}

roan_subscriptions *roan_subscriptions_of(roan *client)
{
    roan *root = client->root;
    roan_subscriptions *hub;

    pthread_mutex_lock(&root->link->lock);
    hub = root->subscriptions;
    if (hub == NULL) {
        hub = create(root);
        if (hub != NULL) {
            atomic_store(&root->subscriptions, hub);
            roan_agree_attach(root->link);
        }
    }
    pthread_mutex_unlock(&root->link->lock);
    return hub;
}

void roan_subscriptions_drop(roan_subscriptions *hub)
{
    if (atomic_fetch_sub_explicit(&hub->references, 1, memory_order_acq_rel) > 1)
        return;
    roan_wishes_done(hub);
    pthread_cond_destroy(&hub->calls);
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

static void close_own_link(roan *root, roan_link *own, roan_outcome *outcome)
{
    roan_failure failure;

    roan_failure_set(&failure, ROAN_E_CLOSED, ROAN_FATE_MAY_HAVE_RUN, "the handle was closed");
    pthread_mutex_lock(&own->lock);
    own->is_wanted = false;
    roan_link_close(own, &failure, outcome);
    pthread_mutex_unlock(&own->lock);
    roan_background_detach(root, own);
    roan_link_drop(own);
}

void roan_subscriptions_close(roan *client)
{
    roan_subscriptions *hub = client->subscriptions;
    roan_outcome outcome;

    if (hub == NULL)
        return;
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&client->link->lock);
    client->link->on_push = NULL;
    client->link->on_ready = NULL;
    client->link->on_lost = NULL;
    client->link->is_wanted = false;
    pthread_mutex_unlock(&client->link->lock);
    pthread_mutex_lock(&hub->lock);
    hub->client = NULL;
    for (roan_subscription *at = hub->first; at != NULL; at = at->next)
        roan_subscription_finish(at, ROAN_E_CLOSED, &outcome);
    outcome.wakes_background = false;
    pthread_mutex_unlock(&hub->lock);
    if (hub->own_link != NULL)
        close_own_link(client, hub->own_link, &outcome);
    roan_subscriptions_call_late(client);
    roan_outcome_finish(client, &outcome);
    roan_drop(hub->fence);
    hub->fence = NULL;
    client->subscriptions = NULL;
    roan_subscriptions_drop(hub);
}

/* Nobody else runs. The futures have been settled; locks and waits belong to threads that do not exist here. */
void roan_subscriptions_revive(roan *client)
{
    roan_subscriptions *hub = client->subscriptions;

    if (hub == NULL)
        return;
    ROAN_ASSERT(pthread_mutex_init(&hub->lock, NULL) == 0);
    ROAN_ASSERT(pthread_cond_init(&hub->calls, NULL) == 0);
    roan_drop(hub->fence);
    hub->fence = NULL;
    hub->is_asleep = true;
    hub->late_calls = NULL;
    for (roan_subscription *at = hub->first; at != NULL; at = at->next) {
        at->waiters = NULL;
        at->is_calling = at->is_listed = at->is_late = false;
    }
    roan_agree_forget(hub);
    client->link->is_wanted = false;
    if (hub->own_link != NULL)
        hub->own_link->is_wanted = false;
}

void roan_subscriptions_attach(roan *client)
{
    roan_subscriptions *hub = client->subscriptions;

    if (hub != NULL && hub->own_link != NULL)
        roan_background_attach(client, hub->own_link);
}
