/* client/outcome.c: what is done after a link's lock was released: waking threads, callbacks, hooks. */
#include "client/handle.h"
#include "client/link.h"
#include "client/wishes.h"

#include "base/macros.h"

#include <stdio.h>
#include <stdlib.h>

static __thread unsigned callback_depth;

bool roan_is_in_callback(void)
{
    return callback_depth > 0;
}

void roan_callback_begin(void)
{
    callback_depth++;
}

void roan_callback_end(void)
{
    callback_depth--;
}

void roan_outcome_wake(roan_outcome *outcome, _Atomic uint32_t *word)
{
    if (outcome->words_count == ROAN_OUTCOME_WORDS)
        roan_unpark(word);
    else
        outcome->words[outcome->words_count++] = word;
}

void roan_outcome_add(roan_outcome *outcome, roan_future *future)
{
    future->outcome_next = NULL;
    if (outcome->last != NULL)
        outcome->last->outcome_next = future;
    else
        outcome->first = future;
    outcome->last = future;
}

static void add_notice(roan_link *link, roan_notice *notice, roan_outcome *outcome)
{
    roan_link_node_name(link, notice->node, sizeof notice->node);
    notice->next = NULL;
    if (outcome->last_notice != NULL)
        outcome->last_notice->next = notice;
    else
        outcome->first_notice = notice;
    outcome->last_notice = notice;
}

void roan_outcome_event(roan_link *link, roan_event event, const roan_failure *failure, roan_outcome *outcome)
{
    const roan_hooks *hooks = &link->client->root->settings->hooks;
    roan_notice *notice;

    if (hooks->on_event == NULL && hooks->on_log == NULL)
        return;
    notice = calloc(1, sizeof *notice);
    if (notice == NULL)
        return;
    notice->event = event;
    if (failure != NULL)
        notice->failure = *failure;
    add_notice(link, notice, outcome);
}

void roan_outcome_push(roan_link *link, roan_value *push, roan_outcome *outcome)
{
    roan_notice *notice = link->client->root->settings->hooks.on_push != NULL ? calloc(1, sizeof *notice) : NULL;

    if (notice == NULL) {
        roan_value_free(push);
        return;
    }
    notice->push = push;
    add_notice(link, notice, outcome);
}

void roan_outcome_move(roan_outcome *to, roan_outcome *from)
{
    for (size_t i = 0; i < from->words_count; i++)
        roan_outcome_wake(to, from->words[i]);
    if (from->first != NULL) {
        if (to->last != NULL)
            to->last->outcome_next = from->first;
        else
            to->first = from->first;
        to->last = from->last;
    }
    if (from->first_notice != NULL) {
        if (to->last_notice != NULL)
            to->last_notice->next = from->first_notice;
        else
            to->first_notice = from->first_notice;
        to->last_notice = from->last_notice;
    }
    while (from->first_call != NULL) {
        roan_subscription *subscription = from->first_call;
        from->first_call = subscription->call_next;
        subscription->call_next = to->first_call;
        to->first_call = subscription;
    }
    to->wakes_background |= from->wakes_background;
    roan_outcome_begin(from);
}

static void log_event(const roan_hooks *hooks, const roan_notice *notice)
{
    static const char *const words[] = {"connected to", "disconnected from", "cannot connect to", "closed"};
    char line[ROAN_ERROR_TEXT_MAX + ROAN_NODE_MAX + 32];

    ROAN_IGNORE(snprintf(line, sizeof line, "%s %s%s%s", words[notice->event], notice->node,
                         notice->failure.code != ROAN_OK ? ": " : "", notice->failure.text));
    hooks->on_log(hooks->argument, notice->failure.code != ROAN_OK ? 2 : 1, line);
}

static void tell(const roan_hooks *hooks, roan_notice *notice)
{
    if (notice->push != NULL) {
        hooks->on_push(hooks->argument, notice->push);
    } else {
        if (hooks->on_event != NULL)
            hooks->on_event(hooks->argument, notice->event, notice->node,
                            notice->failure.code != ROAN_OK ? &notice->failure : NULL);
        if (hooks->on_log != NULL)
            log_event(hooks, notice);
    }
    roan_value_free(notice->push);
    free(notice);
}

static void end(const roan_hooks *hooks, roan_future *future, int64_t now_us)
{
    if (future->release != NULL)
        future->release(future);
    if (hooks->on_end != NULL && future->was_begun) {
        int64_t sent_us = future->sent_us != 0 ? future->sent_us : now_us;
        hooks->on_end(hooks->argument, future->id, future->status < 0 ? roan_future_failure(future) : NULL,
                      (sent_us - future->begun_us) * 1000, (now_us - sent_us) * 1000, future->request_bytes,
                      future->received_bytes);
    }
    if (future->then != NULL)
        future->then(future, future->then_argument); /* with the reference that roan_then() was given */
    roan_drop(future);
}

/* ---- callbacks of a loop's handle ---- */

/* A program with a loop expects its callbacks there, not on a thread that happens to wait for something else. */
static bool must_wait_for_turn(const roan *root)
{
    return root->settings->options.drive == ROAN_DRIVE_LOOP && !atomic_load(&root->is_closing) &&
           !pthread_equal(atomic_load(&root->background.loop_thread), pthread_self());
}

static bool has_callbacks(const roan_outcome *outcome)
{
    return outcome->first != NULL || outcome->first_notice != NULL || outcome->first_call != NULL;
}

static bool is_for_callbacks(const roan *root, const roan_future *future)
{
    return future->then != NULL || (future->was_begun && root->settings->hooks.on_end != NULL);
}

/* Leaves what the program is to be told to the next turn. */
static void defer(roan *root, roan_outcome *outcome)
{
    roan_outcome later, now;

    roan_outcome_begin(&later);
    roan_outcome_begin(&now);
    while (outcome->first != NULL) {
        roan_future *future = outcome->first;
        roan_outcome *to = is_for_callbacks(root, future) ? &later : &now;
        outcome->first = future->outcome_next;
        roan_outcome_add(to, future);
        if (to == &later && future->release != NULL) { /* others wait for what it held */
            void (*release)(roan_future *) = future->release;
            future->release = NULL;
            release(future);
        }
    }
    later.first_notice = outcome->first_notice;
    later.last_notice = outcome->last_notice;
    later.first_call = outcome->first_call;
    outcome->first_notice = outcome->last_notice = NULL;
    outcome->first_call = NULL;
    outcome->first = now.first;
    outcome->last = now.last;
    if (!has_callbacks(&later))
        return;
    pthread_mutex_lock(&root->background.lock);
    roan_outcome_move(&root->background.deferred, &later);
    pthread_mutex_unlock(&root->background.lock);
    outcome->wakes_background = true;
}

void roan_outcome_finish_deferred(roan *root)
{
    roan_outcome outcome;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&root->background.lock);
    roan_outcome_move(&outcome, &root->background.deferred);
    pthread_mutex_unlock(&root->background.lock);
    roan_outcome_finish(root, &outcome);
}

void roan_outcome_forget(roan_outcome *outcome)
{
    while (outcome->first_notice != NULL) {
        roan_notice *notice = outcome->first_notice;
        outcome->first_notice = notice->next;
        roan_value_free(notice->push);
        free(notice);
    }
    while (outcome->first != NULL) {
        roan_future *future = outcome->first;
        outcome->first = future->outcome_next;
        if (future->then != NULL)
            roan_drop(future); /* the reference that its callback would have ended */
        roan_drop(future);
    }
    while (outcome->first_call != NULL) {
        roan_subscription *subscription = outcome->first_call;
        outcome->first_call = subscription->call_next;
        subscription->is_listed = false;
        roan_subscription_drop(subscription);
    }
    roan_outcome_begin(outcome);
}

void roan_outcome_finish(roan *client, roan_outcome *outcome)
{
    roan *root = client->root;
    size_t words_count = outcome->words_count;

    outcome->words_count = 0;
    for (size_t i = 0; i < words_count; i++)
        roan_unpark(outcome->words[i]);
    if (has_callbacks(outcome) && must_wait_for_turn(root))
        defer(root, outcome);
    if (has_callbacks(outcome)) {
        int64_t now_us = roan_now_us(root);
        callback_depth++;
        while (outcome->first_notice != NULL) {
            roan_notice *notice = outcome->first_notice;
            outcome->first_notice = notice->next;
            if (outcome->first_notice == NULL)
                outcome->last_notice = NULL;
            tell(&root->settings->hooks, notice);
        }
        while (outcome->first != NULL) {
            roan_future *future = outcome->first;
            outcome->first = future->outcome_next;
            if (outcome->first == NULL)
                outcome->last = NULL;
            end(&root->settings->hooks, future, now_us);
        }
        while (outcome->first_call != NULL) {
            roan_subscription *subscription = outcome->first_call;
            outcome->first_call = subscription->call_next;
            roan_subscription_call(subscription);
        }
        callback_depth--;
    }
    if (outcome->wakes_background) {
        outcome->wakes_background = false;
        roan_background_wake(root);
    }
}
