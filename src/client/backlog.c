/* client/backlog.c: messages between the connection and the program: kept, counted, dropped when they are too many, and
 * taken one by one or handed to the callback. See wishes.h.
 *
 * A backlog is a ring of entries that grows up to its limit. What could not be kept is remembered as a number that the
 * next entry carries. Callbacks are called by whoever carries out an outcome; while one runs, messages gather in the
 * backlog, and the same thread goes on with them. After CALLS_MAX of them it leaves the rest to the background, so that
 * a thread which only wanted a reply gets back to its own business.
 */
#include "client/wishes.h"

#include "base/macros.h"
#include "client/handle.h"

#include <stdlib.h>
#include <string.h>

#define CALLS_MAX 1024
#define RING_MIN 16

/* With a callback: what one receive() may bring beyond the limits, before the callback is called. */
#define EXTRA_MESSAGES 4096
#define EXTRA_BYTES (4 * 1024 * 1024)

void roan_letter_drop(roan_letter *letter)
{
    if (letter == NULL || atomic_fetch_sub_explicit(&letter->references, 1, memory_order_acq_rel) > 1)
        return;
    roan_value_free(letter->value);
    free(letter);
}

void roan_message_done(roan_message *message)
{
    roan_letter_drop(message->owned);
    memset(message, 0, sizeof *message);
}

/* ---- what is lost ---- */

static void add_lost(uint64_t *lost, uint64_t more)
{
    if (__builtin_add_overflow(*lost, more, lost))
        *lost = ROAN_LOST_UNKNOWN;
}

void roan_backlog_interrupt(roan_subscription *subscription)
{
    if (subscription->interrupted_at == subscription->hub->losses)
        return;
    subscription->interrupted_at = subscription->hub->losses;
    subscription->lost = ROAN_LOST_UNKNOWN;
    subscription->interruptions++;
    subscription->is_restoring = true;
}

/* ---- the ring ---- */

static roan_backlog_entry *entry_at(const roan_subscription *subscription, size_t index)
{
    return &subscription->ring[(subscription->first + index) & (subscription->ring_capacity - 1)];
}

static bool make_room(roan_subscription *subscription)
{
    size_t capacity = subscription->ring_capacity > 0 ? subscription->ring_capacity * 2 : RING_MIN;
    roan_backlog_entry *ring;

    if (subscription->count < subscription->ring_capacity)
        return true;
    ring = calloc(capacity, sizeof *ring);
    if (ring == NULL)
        return false;
    for (size_t i = 0; i < subscription->count; i++)
        ring[i] = *entry_at(subscription, i);
    free(subscription->ring);
    subscription->ring = ring;
    subscription->ring_capacity = capacity;
    subscription->first = 0;
    return true;
}

static roan_backlog_entry pop(roan_subscription *subscription)
{
    roan_backlog_entry entry = *entry_at(subscription, 0);

    subscription->first = (subscription->first + 1) & (subscription->ring_capacity - 1);
    subscription->count--;
    if (entry.letter != NULL)
        subscription->bytes -= entry.letter->bytes;
    return entry;
}

static void push(roan_subscription *subscription, roan_letter *letter)
{
    *entry_at(subscription, subscription->count) = (roan_backlog_entry){
        .letter = letter, .lost_before = subscription->lost, .sequence = subscription->sequence};
    subscription->lost = 0;
    subscription->count++;
    if (letter == NULL)
        return;
    atomic_fetch_add_explicit(&letter->references, 1, memory_order_relaxed);
    subscription->bytes += letter->bytes;
}

static void drop_oldest(roan_subscription *subscription)
{
    roan_backlog_entry entry = pop(subscription);
    uint64_t *lost = subscription->count > 0 ? &entry_at(subscription, 0)->lost_before : &subscription->lost;

    add_lost(lost, entry.lost_before);
    if (entry.letter == NULL)
        return;
    add_lost(lost, 1);
    subscription->dropped++;
    roan_letter_drop(entry.letter);
}

static bool is_full(const roan_subscription *subscription, size_t bytes)
{
    bool has_grace = subscription->fn != NULL && !subscription->is_calling && !subscription->is_late;
    uint64_t count_max = (uint64_t)subscription->backlog_max + (has_grace ? EXTRA_MESSAGES : 0);
    uint64_t bytes_max = (uint64_t)subscription->backlog_bytes_max + (has_grace ? EXTRA_BYTES : 0);

    return subscription->count > 0 &&
           (subscription->count >= count_max || (uint64_t)subscription->bytes + bytes > bytes_max);
}

static void lose_newest(roan_subscription *subscription)
{
    add_lost(&subscription->lost, 1);
    subscription->dropped++;
}

void roan_backlog_put(roan_subscription *subscription, roan_letter *letter, roan_outcome *outcome)
{
    if (subscription->end != ROAN_OK)
        return;
    subscription->sequence++;
    if (letter == NULL) {
        lose_newest(subscription);
        return;
    }
    while (is_full(subscription, letter->bytes)) {
        if (subscription->when_full == ROAN_FULL_DROP_OLDEST) {
            drop_oldest(subscription);
            continue;
        }
        lose_newest(subscription);
        if (subscription->when_full == ROAN_FULL_END)
            roan_subscription_finish(subscription, ROAN_E_QUEUE_FULL, outcome);
        return;
    }
    if (!make_room(subscription)) {
        lose_newest(subscription);
        return;
    }
    push(subscription, letter);
    roan_subscription_tell(subscription, outcome);
}

void roan_backlog_put_gap(roan_subscription *subscription, roan_outcome *outcome)
{
    if (subscription->lost == 0 || !make_room(subscription))
        return;
    push(subscription, NULL);
    roan_subscription_tell(subscription, outcome);
}

static void open_letter(const roan_backlog_entry *entry, roan_message *ret_message)
{
    const roan_letter *letter = entry->letter;

    *ret_message = (roan_message){.kind = ROAN_CHANNEL_NONE,
                                  .lost_before = entry->lost_before,
                                  .sequence = entry->sequence,
                                  .owned = entry->letter};
    if (letter == NULL)
        return;
    ret_message->kind = letter->kind;
    ret_message->channel = letter->channel;
    ret_message->pattern = letter->pattern;
    ret_message->payload = letter->payload;
}

bool roan_backlog_take(roan_subscription *subscription, roan_message *ret_message)
{
    roan_backlog_entry entry;

    if (subscription->count == 0)
        return false;
    entry = pop(subscription);
    open_letter(&entry, ret_message);
    return true;
}

void roan_backlog_clear(roan_subscription *subscription)
{
    while (subscription->count > 0)
        roan_letter_drop(pop(subscription).letter);
    free(subscription->ring);
    subscription->ring = NULL;
    subscription->ring_capacity = subscription->first = 0;
}

/* ---- telling ---- */

bool roan_subscription_has_news(const roan_subscription *subscription)
{
    return subscription->count > 0 || subscription->has_failure || subscription->refusals_due > 0 ||
           subscription->end != ROAN_OK;
}

static void note_news(roan_subscription *subscription)
{
    atomic_store_explicit(&subscription->has_news, roan_subscription_has_news(subscription), memory_order_relaxed);
}

void roan_subscription_wake(const roan_subscription *subscription, roan_outcome *outcome)
{
    for (roan_wait_node *node = subscription->waiters; node != NULL; node = node->next)
        roan_outcome_wake(outcome, node->word);
}

void roan_subscription_tell(roan_subscription *subscription, roan_outcome *outcome)
{
    bool was_known = atomic_load_explicit(&subscription->has_news, memory_order_relaxed);

    note_news(subscription);
    if (subscription->fn == NULL) {
        if (!was_known)
            roan_subscription_wake(subscription, outcome);
        return;
    }
    if (subscription->is_listed || subscription->is_calling)
        return;
    subscription->is_listed = true;
    atomic_fetch_add_explicit(&subscription->references, 1, memory_order_relaxed);
    subscription->call_next = outcome->first_call;
    outcome->first_call = subscription;
}

void roan_subscription_fail(roan_subscription *subscription, const roan_failure *why, roan_outcome *outcome)
{
    atomic_fetch_add_explicit(&subscription->hub->version, 1, memory_order_relaxed);
    subscription->failure = *why;
    subscription->has_failure = true;
    roan_subscription_tell(subscription, outcome);
    roan_subscription_wake(subscription, outcome);
}

void roan_subscription_leave_all(roan_subscription *subscription)
{
    while (subscription->members != NULL)
        roan_wish_leave(subscription->hub, subscription->members);
}

void roan_subscription_finish(roan_subscription *subscription, roan_status why, roan_outcome *outcome)
{
    if (subscription->end != ROAN_OK)
        return;
    atomic_fetch_add_explicit(&subscription->hub->version, 1, memory_order_relaxed);
    subscription->end = why;
    subscription->has_failure = false;
    roan_subscription_leave_all(subscription);
    roan_subscription_tell(subscription, outcome);
    roan_subscription_wake(subscription, outcome);
}

static void take_refusal(roan_subscription *subscription, roan_failure *ret_failure)
{
    roan_membership *at = subscription->members;

    while (!at->refusal_is_due)
        at = at->next;
    at->refusal_is_due = false;
    subscription->refusals_due--;
    if (at->wish->refusal != NULL)
        *ret_failure = *at->wish->refusal;
    else
        roan_failure_set(ret_failure, ROAN_E_SERVER, ROAN_FATE_RAN, "the server refused a subscription");
}

static void describe_end(const roan_subscription *subscription, roan_failure *ret_failure)
{
    roan_failure_set(ret_failure, subscription->end, ROAN_FATE_NOT_SENT, "%s",
                     subscription->end == ROAN_E_QUEUE_FULL ? "the subscription ended because its backlog was full"
                     : subscription->hub->client == NULL    ? "the handle was closed"
                                                            : "the subscription was ended");
}

bool roan_subscription_take(roan_subscription *subscription, roan_message *ret_message, roan_status *ret_status,
                            roan_failure *ret_failure)
{
    bool is_taken = true;

    *ret_status = ROAN_OK;
    if (subscription->refusals_due > 0) {
        take_refusal(subscription, ret_failure);
        *ret_status = ret_failure->code;
    } else if (roan_backlog_take(subscription, ret_message)) {
        *ret_status = ROAN_OK;
    } else if (subscription->has_failure) {
        *ret_failure = subscription->failure;
        subscription->has_failure = false;
        *ret_status = ret_failure->code;
    } else if (subscription->end != ROAN_OK) {
        describe_end(subscription, ret_failure);
        *ret_status = subscription->end;
    } else {
        is_taken = false;
    }
    note_news(subscription);
    return is_taken;
}

/* ---- callbacks ---- */

/* Lock held, released around the callback. False: nothing to tell. */
static bool call_once(roan_subscription *subscription)
{
    roan_subscriptions *hub = subscription->hub;
    roan_message_fn fn = subscription->fn;
    void *argument = subscription->fn_argument;
    roan_message message = {0};
    roan_failure failure;
    roan_status status;

    if (fn == NULL || subscription->end_is_told ||
        !roan_subscription_take(subscription, &message, &status, &failure))
        return false;
    subscription->end_is_told = subscription->end != ROAN_OK && status == subscription->end;
    pthread_mutex_unlock(&hub->lock);
    fn(argument, status == ROAN_OK ? &message : NULL, status == ROAN_OK ? NULL : &failure);
    roan_message_done(&message);
    pthread_mutex_lock(&hub->lock);
    return true;
}

/* Lock held. Leaves the rest to the background; with it the reference. */
static void leave_for_later(roan_subscription *subscription)
{
    roan_subscriptions *hub = subscription->hub;

    subscription->is_listed = subscription->is_late = true;
    subscription->call_next = hub->late_calls;
    hub->late_calls = subscription;
}

void roan_subscription_call(roan_subscription *subscription)
{
    roan_subscriptions *hub = subscription->hub;
    roan *to_wake = NULL;
    unsigned count = 0;

    pthread_mutex_lock(&hub->lock);
    subscription->is_listed = subscription->is_late = false;
    if (subscription->is_calling) { /* that thread goes on with it */
        pthread_mutex_unlock(&hub->lock);
        roan_subscription_drop(subscription);
        return;
    }
    subscription->is_calling = true;
    while (count < CALLS_MAX && call_once(subscription))
        count++;
    subscription->is_calling = false;
    pthread_cond_broadcast(&hub->calls);
    if (count == CALLS_MAX && subscription->fn != NULL && roan_subscription_has_news(subscription)) {
        leave_for_later(subscription);
        to_wake = hub->client;
        subscription = NULL;
    }
    pthread_mutex_unlock(&hub->lock);
    if (to_wake != NULL)
        roan_background_wake(to_wake);
    if (subscription != NULL)
        roan_subscription_drop(subscription);
}

void roan_subscriptions_call_late(roan *client)
{
    roan_subscriptions *hub = client->root->subscriptions;
    roan_outcome outcome;

    if (hub == NULL)
        return;
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&hub->lock);
    outcome.first_call = hub->late_calls;
    hub->late_calls = NULL;
    pthread_mutex_unlock(&hub->lock);
    roan_outcome_finish(client, &outcome);
}

roan_status roan_subscription_on(roan_subscription *subscription, roan_message_fn fn, void *argument)
{
    roan_subscriptions *hub = subscription->hub;
    roan_outcome outcome;

    if (hub->client == NULL)
        return roan_fail(ROAN_E_CLOSED, "the handle is closed");
    roan_handle_check_fork(hub->client);
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&hub->lock);
    subscription->fn = fn;
    subscription->fn_argument = argument;
    subscription->end_is_told = false;
    while (fn == NULL && subscription->is_calling && !roan_is_in_callback())
        pthread_cond_wait(&hub->calls, &hub->lock);
    if (fn != NULL && roan_subscription_has_news(subscription) && !subscription->is_listed) {
        atomic_fetch_add_explicit(&subscription->references, 1, memory_order_relaxed);
        leave_for_later(subscription);
        outcome.wakes_background = true;
    }
    pthread_mutex_unlock(&hub->lock);
    roan_outcome_finish(hub->client, &outcome);
    return ROAN_OK;
}

/* ---- figures ---- */

void roan_subscription_get_stats(roan_subscription *subscription, roan_subscription_stats *ret_stats)
{
    roan_subscription_stats stats = {.size = ret_stats->size};

    pthread_mutex_lock(&subscription->hub->lock);
    stats.messages = subscription->sequence;
    stats.dropped = subscription->dropped;
    stats.interruptions = subscription->interruptions;
    stats.backlog = subscription->count;
    stats.backlog_bytes = subscription->bytes;
    stats.wishes = subscription->members_count;
    for (const roan_membership *at = subscription->members; at != NULL; at = at->next) {
        stats.confirmed += at->wish->state == ROAN_WISH_ON;
        stats.refused += at->wish->state == ROAN_WISH_REFUSED;
    }
    pthread_mutex_unlock(&subscription->hub->lock);
    memcpy(ret_stats, &stats, ROAN_MIN(ret_stats->size, sizeof stats));
}
