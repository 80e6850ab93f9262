/* client/subscription.c: what programs do with subscriptions: wishes, waiting, taking messages. See wishes.h. */
#include "roan/subscription.h"

#include "base/macros.h"
#include "client/drive.h"
#include "client/handle.h"
#include "client/wishes.h"

#include <stdlib.h>
#include <string.h>

#define BACKLOG_MAX 65536
#define BACKLOG_BYTES_MAX (64 * 1024 * 1024)

static roan_status refuse_in_callback(void)
{
    return roan_fail(ROAN_E_USAGE, "a synchronous call from inside a callback would wait for itself");
}

/* ---- making and freeing ---- */

static int64_t limit_of(int64_t value, int64_t usual)
{
    return value == 0 ? usual : value < 0 ? INT64_MAX / 2 : ROAN_MIN(value, INT64_MAX / 2);
}

static bool read_options(const roan_subscription_options *options, roan_subscription_options *ret_options)
{
    *ret_options = (roan_subscription_options){.size = sizeof *ret_options};
    if (options != NULL)
        memcpy(ret_options, options, ROAN_MIN(options->size, sizeof *ret_options));
    return ret_options->when_full <= ROAN_FULL_END && ret_options->backlog_max >= -1 &&
           ret_options->backlog_bytes_max >= -1;
}

static void enlist(roan_subscription *subscription)
{
    roan_subscriptions *hub = subscription->hub;

    atomic_fetch_add_explicit(&hub->references, 1, memory_order_relaxed);
    pthread_mutex_lock(&hub->lock);
    subscription->next = hub->first;
    if (hub->first != NULL)
        hub->first->previous = subscription;
    hub->first = subscription;
    pthread_mutex_unlock(&hub->lock);
}

roan_subscription *roan_subscription_create(roan *client, const roan_subscription_options *options)
{
    roan_subscription_options chosen;
    roan_subscription *subscription;

    if (!read_options(options, &chosen)) {
        roan_fail(ROAN_E_INVALID, "bad options for a subscription");
        return NULL;
    }
    if (client->root->is_closing) {
        roan_fail(ROAN_E_CLOSED, "the handle is closed");
        return NULL;
    }
    roan_handle_check_fork(client);
    subscription = calloc(1, sizeof *subscription);
    if (subscription != NULL)
        subscription->hub = roan_subscriptions_of(client);
    if (subscription == NULL || subscription->hub == NULL) {
        free(subscription);
        roan_fail(ROAN_E_NOMEM, "out of memory");
        return NULL;
    }
    atomic_init(&subscription->references, 1);
    subscription->backlog_max = limit_of(chosen.backlog_max, BACKLOG_MAX);
    subscription->backlog_bytes_max = limit_of(chosen.backlog_bytes_max, BACKLOG_BYTES_MAX);
    subscription->when_full = chosen.when_full;
    subscription->tells_gaps = chosen.tells_gaps;
    enlist(subscription);
    return subscription;
}

void roan_subscription_drop(roan_subscription *subscription)
{
    roan_subscriptions *hub = subscription->hub;

    if (atomic_fetch_sub_explicit(&subscription->references, 1, memory_order_acq_rel) > 1)
        return;
    free(subscription);
    roan_subscriptions_drop(hub);
}

/* Begins a call: in the child of a fork everything is as new. False: the handle is closed. */
static bool enter(roan_subscription *subscription)
{
    roan *client = subscription->hub->client;

    if (client == NULL)
        return false;
    roan_handle_check_fork(client);
    return true;
}

void roan_subscription_free(roan_subscription *subscription)
{
    roan_subscriptions *hub;
    bool is_open;

    if (subscription == NULL)
        return;
    hub = subscription->hub;
    is_open = enter(subscription);
    pthread_mutex_lock(&hub->lock);
    subscription->fn = NULL;
    while (subscription->is_calling && !roan_is_in_callback())
        pthread_cond_wait(&hub->calls, &hub->lock);
    is_open = is_open && subscription->members != NULL;
    roan_subscription_leave_all(subscription);
    roan_backlog_clear(subscription);
    if (subscription->end == ROAN_OK)
        subscription->end = ROAN_E_CLOSED;
    if (subscription->previous != NULL)
        subscription->previous->next = subscription->next;
    else
        hub->first = subscription->next;
    if (subscription->next != NULL)
        subscription->next->previous = subscription->previous;
    pthread_mutex_unlock(&hub->lock);
    if (is_open)
        roan_subscriptions_kick(hub);
    roan_subscription_drop(subscription);
}

/* ---- wishes ---- */

static roan_status fail_ended(const roan_subscription *subscription)
{
    return roan_fail(ROAN_E_CLOSED, "%s", subscription->hub->client == NULL ? "the handle is closed"
                                                                           : "the subscription has ended");
}

/* Lock held. All or nothing. */
static bool join_all(roan_subscription *subscription, roan_channel_kind kind, const roan_slice *channels, size_t count)
{
    roan_subscriptions *hub = subscription->hub;
    roan_membership *newest = subscription->members;
    bool is_new;

    for (size_t i = 0; i < count; i++) {
        roan_membership *membership = roan_wish_join(hub, subscription, kind, channels[i], &is_new);
        if (membership == NULL) {
            while (subscription->members != newest)
                roan_wish_leave(hub, subscription->members);
            return false;
        }
        if (membership->wish->state == ROAN_WISH_REFUSED) /* asked for again */
            roan_wish_set(hub, membership->wish, ROAN_WISH_OFF);
    }
    return true;
}

roan_status roan_subscription_add(roan_subscription *subscription, roan_channel_kind kind, const roan_slice *channels,
                                  size_t count)
{
    roan_subscriptions *hub = subscription->hub;
    roan_outcome outcome;
    roan_status status = ROAN_OK;

    if (kind > ROAN_CHANNEL_SHARDED)
        return roan_fail(ROAN_E_INVALID, "there is no kind of channel %d", (int)kind);
    if (!enter(subscription))
        return fail_ended(subscription);
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&hub->lock);
    if (subscription->end != ROAN_OK)
        status = fail_ended(subscription);
    else if (!join_all(subscription, kind, channels, count))
        status = roan_fail(ROAN_E_NOMEM, "out of memory");
    roan_subscription_wake(subscription, &outcome); /* who waits without wishes does not drive */
    pthread_mutex_unlock(&hub->lock);
    if (status == ROAN_OK)
        roan_subscriptions_kick(hub);
    roan_outcome_finish(hub->client, &outcome);
    return status;
}

roan_status roan_subscription_remove(roan_subscription *subscription, roan_channel_kind kind,
                                     const roan_slice *channels, size_t count)
{
    roan_subscriptions *hub = subscription->hub;

    if (kind > ROAN_CHANNEL_SHARDED)
        return roan_fail(ROAN_E_INVALID, "there is no kind of channel %d", (int)kind);
    if (!enter(subscription))
        return fail_ended(subscription);
    pthread_mutex_lock(&hub->lock);
    for (size_t i = 0; i < count; i++) {
        roan_wish *wish = roan_wish_find(hub, kind, channels[i]);
        roan_membership *membership = wish != NULL ? roan_wish_member(wish, subscription) : NULL;
        if (membership != NULL)
            roan_wish_leave(hub, membership);
    }
    pthread_mutex_unlock(&hub->lock);
    roan_subscriptions_kick(hub);
    return ROAN_OK;
}

/* Who waits may be receiving, and then hears of nothing that does not come from the server. */
static void interrupt_driver(roan_subscriptions *hub)
{
    roan_link *link = roan_subscriptions_lock_link(hub);

    if (link->driver == ROAN_DRIVER_CALLER && link->wire != NULL)
        link->wire->stream->transport->interrupt(link->wire->stream);
    pthread_mutex_unlock(&link->lock);
}

void roan_subscription_end(roan_subscription *subscription)
{
    roan_subscriptions *hub = subscription->hub;
    roan_outcome outcome;

    if (!enter(subscription))
        return;
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&hub->lock);
    roan_subscription_finish(subscription, ROAN_E_CLOSED, &outcome);
    pthread_mutex_unlock(&hub->lock);
    roan_subscriptions_kick(hub);
    interrupt_driver(hub);
    roan_outcome_finish(hub->client, &outcome);
}

/* ---- waiting ---- */

typedef struct waiting {
    roan_subscription *subscription;
    roan_link *link;       /* where we drive: messages may come to move to another one */
    uint64_t version;      /* ready(): of the states when we looked last */
    bool is_for_ready;
    bool is_ready;
} waiting;

/* Hub's lock held. All confirmed, or one refused, or the end. */
static bool is_settled(const roan_subscription *subscription)
{
    bool all_on = true;

    if (subscription->end != ROAN_OK || subscription->has_failure)
        return true;
    for (const roan_membership *at = subscription->members; at != NULL; at = at->next) {
        if (at->wish->state == ROAN_WISH_REFUSED)
            return true;
        all_on &= at->wish->state == ROAN_WISH_ON;
    }
    return all_on;
}

static bool is_over(void *argument)
{
    waiting *wait = argument;
    roan_subscriptions *hub = wait->subscription->hub;
    uint64_t version;

    if (atomic_load(&hub->link) != wait->link)
        return true;
    if (!wait->is_for_ready) {
        if (!atomic_load_explicit(&wait->subscription->has_news, memory_order_relaxed))
            return false;
        roan_link_attend(wait->link);
        return true;
    }
    version = atomic_load_explicit(&hub->version, memory_order_relaxed);
    if (version != wait->version) {
        wait->version = version;
        pthread_mutex_lock(&hub->lock);
        wait->is_ready = is_settled(wait->subscription);
        pthread_mutex_unlock(&hub->lock);
    }
    return wait->is_ready;
}

static bool is_over_locked(const void *argument)
{
    return is_over(*(void *const *)argument);
}

static void add_node(roan_wait_node **list, roan_wait_node *node)
{
    node->next = *list;
    *list = node;
}

static void remove_node(roan_wait_node **list, const roan_wait_node *node)
{
    for (roan_wait_node **at = list; *at != NULL; at = &(*at)->next)
        if (*at == node) {
            *at = node->next;
            return;
        }
}

/* Without wishes nothing can come: sleeps until another thread adds some or ends it. With a scripted transport time goes
 * on only for who drives. */
static void sleep_without_wishes(roan_subscription *subscription, int64_t until_us)
{
    roan_subscriptions *hub = subscription->hub;
    roan_wait_node node = {.word = roan_park_word()};

    pthread_mutex_lock(&hub->lock);
    while (hub->client->transport->has_descriptors && subscription->members == NULL &&
           !roan_subscription_has_news(subscription)) {
        int64_t wait_us = until_us == ROAN_NO_DEADLINE ? -1 : until_us - roan_now_us(hub->client);
        if (wait_us <= 0 && until_us != ROAN_NO_DEADLINE)
            break;
        add_node(&subscription->waiters, &node);
        pthread_mutex_unlock(&hub->lock);
        roan_park(node.word, wait_us);
        pthread_mutex_lock(&hub->lock);
        remove_node(&subscription->waiters, &node);
    }
    pthread_mutex_unlock(&hub->lock);
}

/* Drives the link that messages come on, or sleeps while somebody else does. */
static void wait_on_link(roan_subscription *subscription, bool is_for_ready, int64_t until_us)
{
    roan_subscriptions *hub = subscription->hub;
    roan_wait_node own = {.word = roan_park_word()};
    roan_wait_node watcher = {.word = own.word};
    roan_link *link = roan_subscriptions_lock_link(hub);
    waiting wait = {.subscription = subscription, .link = link, .version = UINT64_MAX, .is_for_ready = is_for_ready};
    void *argument = &wait;
    roan_outcome outcome;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&hub->lock);
    add_node(&subscription->waiters, &own);
    pthread_mutex_unlock(&hub->lock);
    add_node(&link->watchers, &watcher); /* the role of the driver is offered to us there */
    if (link->is_wanted)
        roan_link_want(link, roan_now_us(link->client), &outcome);
    roan_drive_wait(link, is_over_locked, &argument, &own, until_us, &outcome);
    remove_node(&link->watchers, &watcher);
    pthread_mutex_lock(&hub->lock);
    remove_node(&subscription->waiters, &own);
    pthread_mutex_unlock(&hub->lock);
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(link->client, &outcome);
}

static int64_t until_of(const roan *client, int timeout_ms)
{
    if (timeout_ms < 0)
        return ROAN_NO_DEADLINE;
    return roan_now_us(client) + ROAN_MAX((int64_t)timeout_ms * 1000, 1); /* 0: one look */
}

/* With reconnect=-1 a lost connection is opened again by whoever asks next. In a child that is everybody's first. */
static void reopen_if_lost(roan_subscriptions *hub)
{
    roan_link *link = roan_subscriptions_lock_link(hub);
    bool must_kick;

    pthread_mutex_lock(&hub->lock);
    must_kick = hub->wanted_count > 0 && (!link->is_wanted || hub->is_asleep);
    pthread_mutex_unlock(&hub->lock);
    pthread_mutex_unlock(&link->lock);
    if (must_kick)
        roan_subscriptions_kick(hub);
}

/* ---- ready ---- */

/* Lock held. True: *ret_status is the answer. */
static bool get_readiness(roan_subscription *subscription, roan_status *ret_status)
{
    roan_membership *at = subscription->members;

    if (!is_settled(subscription))
        return false;
    while (at != NULL && at->wish->state != ROAN_WISH_REFUSED)
        at = at->next;
    if (at != NULL) {
        if (at->wish->refusal != NULL)
            *roan_failure_of_thread() = *at->wish->refusal;
        else
            roan_fail(ROAN_E_SERVER, "the server refused a subscription");
        subscription->refusals_due -= at->refusal_is_due;
        at->refusal_is_due = false;
        *ret_status = roan_failure_of_thread()->code;
    } else if (subscription->has_failure) {
        *roan_failure_of_thread() = subscription->failure;
        *ret_status = subscription->failure.code;
        subscription->has_failure = false;
    } else {
        *ret_status = ROAN_OK;
        if (subscription->end != ROAN_OK)
            *ret_status = fail_ended(subscription);
    }
    atomic_store(&subscription->has_news, roan_subscription_has_news(subscription));
    return true;
}

static roan_status fail_not_ready(roan_subscriptions *hub, int timeout_ms)
{
    roan_link *link = roan_subscriptions_lock_link(hub);
    const roan_failure *why = &link->connect_failure;
    bool is_ready = link->state == ROAN_LINK_READY || why->code == ROAN_OK;
    roan_status status = roan_fail(ROAN_E_TIMEOUT, "not everything was confirmed within %d ms%s%.150s", timeout_ms,
                                   is_ready ? "" : ": ", is_ready ? "" : why->text);

    pthread_mutex_unlock(&link->lock);
    return status;
}

roan_status roan_subscription_ready(roan_subscription *subscription, int timeout_ms)
{
    roan_subscriptions *hub = subscription->hub;
    roan_status status;
    bool is_done;
    int64_t until_us;

    if (roan_is_in_callback())
        return refuse_in_callback();
    if (!enter(subscription))
        return fail_ended(subscription);
    until_us = until_of(hub->client, timeout_ms);
    for (;;) {
        pthread_mutex_lock(&hub->lock);
        is_done = get_readiness(subscription, &status);
        pthread_mutex_unlock(&hub->lock);
        if (is_done)
            return status;
        if (roan_now_us(hub->client) >= until_us)
            return fail_not_ready(hub, timeout_ms);
        reopen_if_lost(hub);
        wait_on_link(subscription, true, until_us);
    }
}

/* ---- next ---- */

/* Lock not held. True: *ret_status is the answer. */
static bool take(roan_subscription *subscription, roan_message *ret_message, roan_status *ret_status)
{
    roan_subscriptions *hub = subscription->hub;
    bool is_taken = true;

    pthread_mutex_lock(&hub->lock);
    if (subscription->fn != NULL)
        *ret_status = roan_fail(ROAN_E_USAGE, "the messages of this subscription go to a callback");
    else
        is_taken = roan_subscription_take(subscription, ret_message, ret_status, roan_failure_of_thread());
    pthread_mutex_unlock(&hub->lock);
    return is_taken;
}

roan_status roan_subscription_next(roan_subscription *subscription, roan_message *ret_message, int timeout_ms)
{
    roan_subscriptions *hub = subscription->hub;
    roan_status status;
    int64_t until_us;

    memset(ret_message, 0, sizeof *ret_message);
    if (roan_is_in_callback())
        return refuse_in_callback();
    if (!enter(subscription)) {
        if (take(subscription, ret_message, &status))
            return status;
        return fail_ended(subscription);
    }
    roan_link_attend(atomic_load(&hub->link));
    if (take(subscription, ret_message, &status))
        return status;
    until_us = until_of(hub->client, timeout_ms);
    do {
        reopen_if_lost(hub);
        sleep_without_wishes(subscription, until_us);
        wait_on_link(subscription, false, until_us);
        if (take(subscription, ret_message, &status))
            return status;
    } while (roan_now_us(hub->client) < until_us);
    return roan_fail(ROAN_E_TIMEOUT, "no message within %d ms", timeout_ms);
}
