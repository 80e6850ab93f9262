/* client/agree.c: makes the server agree with the wishes of all subscriptions of a handle. See wishes.h.
 *
 * One request at a time is under way: a future whose bytes are one (UN)SUBSCRIBE for every wish that needs one, and a
 * PING. Only the PING has a reply of its own, so the request takes one place in the link's queue. Every command names
 * one channel: then an error concerns exactly that one, and channels of different slots never meet in a command.
 *
 *     SUBSCRIBE a | PSUBSCRIBE b* | UNSUBSCRIBE c | PING      sent
 *     >subscribe a | -NOPERM ...  | >unsubscribe c | +PONG    received; also messages and replies of others in between
 *
 * With RESP3 that happens on the handle's shared link. A server that speaks RESP2 gets a link of its own for it, where
 * everything comes as arrays and PING may be answered by one.
 */
#include "client/wishes.h"

#include "base/macros.h"
#include "base/number.h"
#include "client/drive.h"
#include "client/handle.h"

#include <stdlib.h>
#include <string.h>

/* How long to wait when the server says that it cannot answer now (LOADING, BUSY). */
#define ASK_AGAIN_US 250000

static const char *const ON_WORDS[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"};
static const char *const OFF_WORDS[] = {"UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"};

static roan_slice name_of(const roan_wish *wish)
{
    return roan_slice_make(wish->name, wish->name_bytes);
}

static roan_subscriptions *hub_of(const roan_link *link)
{
    return link->client->root->subscriptions;
}

/* ---- asking ---- */

static void append_asked(roan_subscriptions *hub, roan_wish *wish)
{
    wish->asked_next = NULL;
    if (hub->asked_last != NULL)
        hub->asked_last->asked_next = wish;
    else
        hub->asked = wish;
    hub->asked_last = wish;
}

static roan_wish *pop_asked(roan_subscriptions *hub)
{
    roan_wish *wish = hub->asked;

    hub->asked = wish->asked_next;
    if (hub->asked == NULL)
        hub->asked_last = NULL;
    return wish;
}

static const roan_slice ping = {"PING", 4};

static roan_future *create_fence(roan_link *link)
{
    roan_future *future = roan_future_create_internal(link->client->root, 1, &ping, ROAN_NO_DEADLINE);

    return roan_future_is_static(future) ? NULL : future;
}

static bool encode_ping(roan_future *future)
{
    bool is_whole = roan_future_encode(future, 1, &ping);

    future->replies_due = 1; /* the commands before it have none */
    return is_whole;
}

static bool encode_wish(roan_future *future, const roan_wish *wish)
{
    const char *const *words = wish->members != NULL ? ON_WORDS : OFF_WORDS;
    roan_slice argv[2] = {roan_slice_from_text(words[wish->kind]), name_of(wish)};

    return roan_future_encode(future, 2, argv);
}

/* Out of memory: nothing was asked; the next occasion tries again. */
static void take_back(roan_subscriptions *hub, roan_future *future)
{
    while (hub->asked != NULL) {
        roan_wish *wish = pop_asked(hub);
        roan_wish_set(hub, wish, wish->members != NULL ? ROAN_WISH_OFF : ROAN_WISH_ON);
    }
    roan_drop(future);
}

void roan_agree(roan_subscriptions *hub, roan_link *link, roan_outcome *outcome)
{
    roan_future *future;

    if (hub->client == NULL || hub->is_asleep || hub->link != link || hub->fence != NULL || hub->dirty == NULL ||
        link->state != ROAN_LINK_READY)
        return;
    if (link->protocol == 2 && link != hub->own_link) {
        roan_hub_use_own_link(hub, outcome);
        return;
    }
    future = create_fence(link);
    if (future == NULL)
        return;
    while (hub->dirty != NULL) {
        roan_wish *wish = hub->dirty;
        roan_wish_clean(hub, wish);
        if (roan_wish_free_if_unused(hub, wish))
            continue;
        if ((wish->members != NULL) == (wish->state == ROAN_WISH_ON))
            continue; /* wanted again, or not any more, before it was asked */
        append_asked(hub, wish);
        if (!encode_wish(future, wish)) {
            take_back(hub, future);
            return;
        }
        wish->state = wish->members != NULL ? ROAN_WISH_TURNING_ON : ROAN_WISH_TURNING_OFF;
    }
    if (hub->asked == NULL) {
        roan_drop(future);
        return;
    }
    if (!encode_ping(future)) {
        take_back(hub, future);
        return;
    }
    hub->fence = future;
    roan_link_submit(link, future, false, outcome);
}

/* Both locks held. A PING a little later; with its reply everything open is asked for. */
static void agree_later(roan_subscriptions *hub, roan_link *link, roan_outcome *outcome)
{
    roan_future *future = create_fence(link);

    if (future == NULL || !encode_ping(future)) {
        roan_drop(future);
        return;
    }
    hub->fence = future;
    roan_link_submit_later(link, future, future->begun_us + ASK_AGAIN_US);
    outcome->wakes_background = true;
}

static void wake_members(const roan_wish *wish, roan_outcome *outcome)
{
    for (const roan_membership *at = wish->members; at != NULL; at = at->wish_next)
        roan_subscription_wake(at->subscription, outcome);
}

/* ---- answers ---- */

static void interrupt_members(roan_wish *wish)
{
    for (roan_membership *at = wish->members; at != NULL; at = at->wish_next)
        roan_backlog_interrupt(at->subscription);
}

static void tell_refusal(roan_wish *wish, const roan_failure *why, roan_outcome *outcome)
{
    wish->refusal = malloc(sizeof *wish->refusal);
    if (wish->refusal != NULL)
        *wish->refusal = *why;
    for (roan_membership *at = wish->members; at != NULL; at = at->wish_next) {
        at->subscription->refusals_due += !at->refusal_is_due;
        at->refusal_is_due = true;
        roan_subscription_tell(at->subscription, outcome);
        roan_subscription_wake(at->subscription, outcome);
    }
}

/* Both locks held: the server refused what was asked first. */
static void refuse(roan_subscriptions *hub, const roan_link *link, roan_failure *why, roan_outcome *outcome)
{
    roan_wish *wish = pop_asked(hub);

    roan_link_node_name(link, why->node, sizeof why->node);
    if (roan_failure_is_transient(why)) {
        roan_wish_set(hub, wish, wish->state == ROAN_WISH_TURNING_ON ? ROAN_WISH_OFF : ROAN_WISH_ON);
        hub->is_transient = true;
    } else if (wish->state == ROAN_WISH_TURNING_OFF) {
        roan_wish_set(hub, wish, ROAN_WISH_ON);
        roan_wish_clean(hub, wish);
        wish->is_stuck = true;
    } else {
        roan_wish_set(hub, wish, ROAN_WISH_REFUSED);
        tell_refusal(wish, why, outcome);
    }
    ROAN_IGNORE(roan_wish_free_if_unused(hub, wish));
}

static bool is_restored(const roan_subscription *subscription)
{
    for (const roan_membership *at = subscription->members; at != NULL; at = at->next)
        if (at->wish->state != ROAN_WISH_ON && at->wish->state != ROAN_WISH_REFUSED)
            return false;
    return true;
}

static void tell_gaps(roan_subscriptions *hub, roan_outcome *outcome)
{
    for (roan_subscription *at = hub->first; at != NULL; at = at->next) {
        if (!at->is_restoring || !is_restored(at))
            continue;
        at->is_restoring = false;
        if (at->tells_gaps)
            roan_backlog_put_gap(at, outcome);
    }
}

/* Link's lock held: the fence's own reply is here. */
static void pass_fence(roan_subscriptions *hub, roan_link *link, roan_outcome *outcome)
{
    roan_failure failure;

    pthread_mutex_lock(&hub->lock);
    roan_drop(hub->fence); /* the queue has it until it is answered */
    hub->fence = NULL;
    roan_failure_set(&failure, ROAN_E_PROTOCOL, ROAN_FATE_RAN, "the server did not confirm a subscription");
    while (hub->asked != NULL) {
        if (hub->asked->state == ROAN_WISH_TURNING_OFF) {
            roan_wish *wish = pop_asked(hub);
            roan_wish_set(hub, wish, ROAN_WISH_OFF);
            ROAN_IGNORE(roan_wish_free_if_unused(hub, wish));
        } else {
            refuse(hub, link, &failure, outcome);
        }
    }
    tell_gaps(hub, outcome);
    if (hub->is_transient && hub->dirty != NULL)
        agree_later(hub, link, outcome);
    else
        roan_agree(hub, link, outcome);
    hub->is_transient = false;
    pthread_mutex_unlock(&hub->lock);
}

static bool is_text(const roan_value *value)
{
    return value->type == ROAN_REPLY_BULK || value->type == ROAN_REPLY_STATUS || value->type == ROAN_REPLY_VERBATIM;
}

/* The first `count` elements are texts. */
static bool are_texts(const roan_value *value, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!is_text(&value->elements[i]))
            return false;
    return true;
}

/* Hub's lock held. A confirmation, or news that the server gave up a subscription by itself. */
static void confirm(roan_subscriptions *hub, roan_channel_kind kind, roan_slice name, bool is_on, roan_outcome *outcome)
{
    roan_wish *wish = roan_wish_find(hub, kind, name);

    if (wish == NULL)
        return;
    if (wish == hub->asked && is_on == (wish->state == ROAN_WISH_TURNING_ON)) {
        ROAN_IGNORE(pop_asked(hub));
        roan_wish_set(hub, wish, is_on ? ROAN_WISH_ON : ROAN_WISH_OFF);
    } else if (!is_on && wish->state == ROAN_WISH_ON) {
        hub->losses++;
        interrupt_members(wish);
        roan_wish_set(hub, wish, ROAN_WISH_OFF);
    }
    wake_members(wish, outcome);
    ROAN_IGNORE(roan_wish_free_if_unused(hub, wish));
}

static roan_letter *write_letter(roan_value *value, roan_channel_kind kind)
{
    size_t texts = value->count;
    roan_letter *letter = calloc(1, sizeof *letter);

    if (letter == NULL)
        return NULL;
    atomic_init(&letter->references, 1);
    letter->kind = kind;
    letter->value = value;
    letter->payload = value->elements[texts - 1].text;
    letter->channel = value->elements[texts - 2].text;
    if (kind == ROAN_CHANNEL_PATTERN)
        letter->pattern = value->elements[1].text;
    letter->bytes = sizeof *letter + (texts + 1) * sizeof *value;
    for (size_t i = 0; i < texts; i++)
        letter->bytes += value->elements[i].text.bytes;
    return letter;
}

/* Hub's lock held. Takes the value. */
static void deliver(roan_subscriptions *hub, roan_channel_kind kind, roan_value *value, roan_outcome *outcome)
{
    roan_wish *wish = roan_wish_find(hub, kind, value->elements[1].text);
    roan_letter *letter;

    if (wish == NULL || wish->members == NULL) { /* it crossed our UNSUBSCRIBE */
        roan_value_free(value);
        return;
    }
    letter = write_letter(value, kind);
    for (roan_membership *at = wish->members, *next; at != NULL; at = next) {
        next = at->wish_next; /* a backlog that ends its subscription leaves the wish */
        roan_backlog_put(at->subscription, letter, outcome);
    }
    if (letter == NULL)
        roan_value_free(value);
    roan_letter_drop(letter);
}

typedef struct frame_word {
    const char *text;
    uint8_t kind;   /* roan_channel_kind */
    uint8_t action; /* 0 message, 1 confirms ON, 2 confirms OFF */
} frame_word;

static const frame_word *find_word(roan_slice text)
{
    static const frame_word words[] = {
        {"message", ROAN_CHANNEL_EXACT, 0},       {"pmessage", ROAN_CHANNEL_PATTERN, 0},
        {"smessage", ROAN_CHANNEL_SHARDED, 0},    {"subscribe", ROAN_CHANNEL_EXACT, 1},
        {"psubscribe", ROAN_CHANNEL_PATTERN, 1},  {"ssubscribe", ROAN_CHANNEL_SHARDED, 1},
        {"unsubscribe", ROAN_CHANNEL_EXACT, 2},   {"punsubscribe", ROAN_CHANNEL_PATTERN, 2},
        {"sunsubscribe", ROAN_CHANNEL_SHARDED, 2}};

    for (size_t i = 0; i < ROAN_COUNT_OF(words); i++)
        if (text.bytes == strlen(words[i].text) && memcmp(text.data, words[i].text, text.bytes) == 0)
            return &words[i];
    return NULL;
}

/* Link's lock held. True: it was ours, and was taken. */
static bool take_frame(roan_subscriptions *hub, roan_link *link, roan_value *value, roan_outcome *outcome)
{
    bool is_frame = value->count >= 3 && is_text(&value->elements[0]);
    const frame_word *word = is_frame ? find_word(value->elements[0].text) : NULL;
    size_t count = word != NULL && word->action == 0 && word->kind == ROAN_CHANNEL_PATTERN ? 4 : 3;

    if (word == NULL || value->count != count)
        return false;
    pthread_mutex_lock(&hub->lock);
    if (word->action != 0) {
        if (is_text(&value->elements[1]))
            confirm(hub, (roan_channel_kind)word->kind, value->elements[1].text, word->action == 1, outcome);
        roan_value_free(value);
    } else if (are_texts(value, count)) {
        deliver(hub, (roan_channel_kind)word->kind, value, outcome);
    } else {
        roan_value_free(value);
    }
    roan_agree(hub, link, outcome);
    pthread_mutex_unlock(&hub->lock);
    return true;
}

/* ---- the link's hooks ---- */

static bool on_push(roan_link *link, roan_value *value, roan_outcome *outcome)
{
    roan_subscriptions *hub = hub_of(link);
    roan_failure failure;
    bool is_frame;

    if (atomic_load(&hub->link) != link)
        return false;
    is_frame = value->type == ROAN_REPLY_PUSH ||
               (value->type == ROAN_REPLY_ARRAY && link->protocol == 2 && link == hub->own_link);
    if (is_frame && take_frame(hub, link, value, outcome))
        return true;
    if (hub->fence == NULL || link->head != hub->fence || !link->head->is_sent || value->type == ROAN_REPLY_PUSH)
        return false;
    if (value->type != ROAN_REPLY_ERROR || hub->asked == NULL) {
        pass_fence(hub, link, outcome);
        return false;
    }
    roan_failure_of_reply(&failure, value);
    roan_value_free(value);
    pthread_mutex_lock(&hub->lock);
    refuse(hub, link, &failure, outcome);
    pthread_mutex_unlock(&hub->lock);
    return true;
}

static void on_ready(roan_link *link, roan_outcome *outcome)
{
    roan_subscriptions *hub = hub_of(link);

    pthread_mutex_lock(&hub->lock);
    roan_agree(hub, link, outcome);
    pthread_mutex_unlock(&hub->lock);
}

void roan_agree_forget(roan_subscriptions *hub)
{
    hub->losses++;
    hub->asked = hub->asked_last = NULL;
    hub->is_transient = false;
    for (size_t i = 0; i < hub->buckets_count; i++)
        for (roan_wish *at = hub->buckets[i], *next; at != NULL; at = next) {
            next = at->next;
            if (at->state == ROAN_WISH_ON)
                interrupt_members(at);
            roan_wish_set(hub, at, ROAN_WISH_OFF);
            ROAN_IGNORE(roan_wish_free_if_unused(hub, at));
        }
}

static void give_up(roan_subscriptions *hub, roan_link *link, const roan_failure *why, roan_outcome *outcome)
{
    roan_failure failure = *why;

    roan_link_node_name(link, failure.node, sizeof failure.node);
    link->is_wanted = false;
    for (roan_subscription *at = hub->first; at != NULL; at = at->next)
        if (at->members != NULL)
            roan_subscription_fail(at, &failure, outcome);
}

static void on_lost(roan_link *link, const roan_failure *why, roan_outcome *outcome)
{
    roan_subscriptions *hub = hub_of(link);

    if (hub->link != link)
        return;
    pthread_mutex_lock(&hub->lock);
    if (hub->fence != NULL) {
        if (!roan_is_settled(hub->fence))
            roan_link_cancel(link, hub->fence, why, outcome);
        roan_drop(hub->fence);
        hub->fence = NULL;
    }
    roan_agree_forget(hub);
    if (link->client->root->settings->options.reconnect < 0)
        give_up(hub, link, why, outcome);
    pthread_mutex_unlock(&hub->lock);
}

void roan_agree_attach(roan_link *link)
{
    link->on_push = on_push;
    link->on_ready = on_ready;
    link->on_lost = on_lost;
}
