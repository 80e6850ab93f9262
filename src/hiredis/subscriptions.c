/* hiredis/subscriptions.c: which replies belong to subscriptions, and whose callbacks they run.
 *
 *     ["subscribe", name, count]       answers one name of the SUBSCRIBE that is first in the queue
 *     ["unsubscribe", name, count]     one of the UNSUBSCRIBE, or comes from the server unasked
 *     ["message", name, payload]       ["pmessage", pattern, name, payload]      at any time while subscribed
 *
 * In RESP3 they are pushes, which nothing else is mistaken for. In RESP2 they are arrays like any other: an array counts
 * as a message only when the server has confirmed its name, and as a confirmation only when the command in front waits
 * for one or its name is subscribed. So a list whose elements happen to read like a message is not taken for one before
 * the connection is in subscriber mode, and in that mode RESP2 has no other arrays of that form.
 *
 * A subscription ends with the confirmation that it has, unless another SUBSCRIBE for the same name is under way.
 */
#include "hiredis/async_internal.h"

#include <string.h>
#include <strings.h>

typedef enum event { EVENT_MESSAGE, EVENT_SUBSCRIBED, EVENT_UNSUBSCRIBED } event;

typedef struct event_row {
    const char *word;
    event event;
    roan_hiredis_kind kind;
    size_t elements;
} event_row;

static const event_row event_rows[] = {
    {"message", EVENT_MESSAGE, ROAN_HIREDIS_CHANNEL, 3},
    {"pmessage", EVENT_MESSAGE, ROAN_HIREDIS_PATTERN, 4},
    {"smessage", EVENT_MESSAGE, ROAN_HIREDIS_SHARD, 3},
    {"subscribe", EVENT_SUBSCRIBED, ROAN_HIREDIS_CHANNEL, 3},
    {"psubscribe", EVENT_SUBSCRIBED, ROAN_HIREDIS_PATTERN, 3},
    {"ssubscribe", EVENT_SUBSCRIBED, ROAN_HIREDIS_SHARD, 3},
    {"unsubscribe", EVENT_UNSUBSCRIBED, ROAN_HIREDIS_CHANNEL, 3},
    {"punsubscribe", EVENT_UNSUBSCRIBED, ROAN_HIREDIS_PATTERN, 3},
    {"sunsubscribe", EVENT_UNSUBSCRIBED, ROAN_HIREDIS_SHARD, 3},
};

struct dict *roan_hiredis_topics_of(redisAsyncContext *context, roan_hiredis_kind kind)
{
    switch (kind) {
    case ROAN_HIREDIS_CHANNEL: return context->sub.channels;
    case ROAN_HIREDIS_PATTERN: return context->sub.patterns;
    default: return roan_hiredis_async_of(context)->shards;
    }
}

/* No subscription, none under way: the connection is like any other again. */
static void update_flag(redisAsyncContext *context)
{
    for (int kind = 0; kind < ROAN_HIREDIS_KIND_COUNT; kind++)
        if (roan_hiredis_topics_of(context, (roan_hiredis_kind)kind)->count > 0)
            return;
    context->c.flags &= ~REDIS_SUBSCRIBED;
}

/* ---- SUBSCRIBE is sent, fails, or waits in a transaction --------------------------------------------------------- */

/* A name's SUBSCRIBE came to nothing. */
static void withdraw(struct dict *topics, roan_hiredis_topic *topic)
{
    if (topic == NULL || topic->callback.pending_subs == 0)
        return;
    topic->callback.pending_subs--;
    if (topic->callback.pending_subs == 0 && !topic->is_confirmed)
        roan_hiredis_topics_remove(topics, topic);
}

/* The names of a SUBSCRIBE; the cursor stands behind its first word. */
static roan_hiredis_cursor names_of(const roan_hiredis_command *command)
{
    roan_hiredis_cursor cursor;
    const char *word;
    size_t bytes;

    if (!roan_hiredis_cursor_start(&cursor, command->text, sdslen(command->text)) ||
        !roan_hiredis_cursor_next(&cursor, &word, &bytes))
        cursor.at = cursor.end;
    return cursor;
}

/* Withdraws the first `count` names. */
static void withdraw_names(redisAsyncContext *context, const roan_hiredis_command *command, size_t count)
{
    struct dict *topics = roan_hiredis_topics_of(context, command->kind);
    roan_hiredis_cursor cursor = names_of(command);
    const char *name;
    size_t bytes;

    for (; count > 0 && roan_hiredis_cursor_next(&cursor, &name, &bytes); count--)
        withdraw(topics, roan_hiredis_topics_find(topics, name, bytes));
    update_flag(context);
}

int roan_hiredis_subscribe(redisAsyncContext *context, const roan_hiredis_command *command)
{
    struct dict *topics = roan_hiredis_topics_of(context, command->kind);
    roan_hiredis_cursor cursor = names_of(command);
    const char *name;
    size_t bytes;

    for (size_t count = 0; roan_hiredis_cursor_next(&cursor, &name, &bytes); count++) {
        roan_hiredis_topic *topic = roan_hiredis_topics_add(topics, name, bytes);
        if (topic == NULL) {
            withdraw_names(context, command, count);
            return REDIS_ERR;
        }
        topic->callback.fn = command->callback.fn;
        topic->callback.privdata = command->callback.privdata;
        topic->callback.pending_subs++;
    }
    return REDIS_OK;
}

void roan_hiredis_subscribe_undo(redisAsyncContext *context, const roan_hiredis_command *command)
{
    withdraw_names(context, command, SIZE_MAX);
}

void roan_hiredis_subscribe_queued(redisAsyncContext *context, const roan_hiredis_command *command)
{
    struct dict *topics = roan_hiredis_topics_of(context, command->kind);
    roan_hiredis_cursor cursor = names_of(command);
    const char *name;
    size_t bytes;

    while (roan_hiredis_cursor_next(&cursor, &name, &bytes)) {
        roan_hiredis_topic *topic = roan_hiredis_topics_find(topics, name, bytes);
        if (topic != NULL && topic->callback.pending_subs > 0) {
            topic->callback.pending_subs--;
            topic->is_confirmed = true;
        }
    }
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

static bool is_text(const redisReply *reply)
{
    return reply != NULL && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);
}

/* By the first word and the number and types of the others; NULL: something else. */
static const event_row *find_event(const redisReply *reply)
{
    if (reply->elements < 3 || !is_text(reply->element[0]))
        return NULL;
    for (size_t i = 0; i < sizeof event_rows / sizeof event_rows[0]; i++) {
        const event_row *row = &event_rows[i];
        if (row->elements == reply->elements && strlen(row->word) == reply->element[0]->len &&
            strncasecmp(row->word, reply->element[0]->str, reply->element[0]->len) == 0) {
            bool has_count = reply->element[2] != NULL && reply->element[2]->type == REDIS_REPLY_INTEGER;
            bool is_none = reply->element[1] != NULL && reply->element[1]->type == REDIS_REPLY_NIL;
            bool has_name = is_text(reply->element[1]) || (is_none && row->event == EVENT_UNSUBSCRIBED);
            return has_name && (row->event == EVENT_MESSAGE || has_count) ? row : NULL;
        }
    }
    return NULL;
}

/* Does the command in front wait for this confirmation? */
static bool is_awaited(const roan_hiredis_command *first, const event_row *row)
{
    return first != NULL && first->kind == row->kind &&
           ((row->event == EVENT_SUBSCRIBED && first->role == ROAN_HIREDIS_SUBSCRIBE) ||
            (row->event == EVENT_UNSUBSCRIBED && first->role == ROAN_HIREDIS_UNSUBSCRIBE));
}

/* One confirmation less for the command in front. */
static void count_confirmation(redisAsyncContext *context)
{
    roan_hiredis_command *first = roan_hiredis_first_command(context);

    if (first->confirmations == ROAN_HIREDIS_ALL_NAMES) {
        size_t names = roan_hiredis_topics_count_confirmed(roan_hiredis_topics_of(context, first->kind));
        first->confirmations = names == 0 ? 1 : (long long)names;
    }
    if (--first->confirmations <= 0)
        roan_hiredis_pop_command(context);
}

/* Changes the subscription as the confirmation says; the callback is a copy, for the topic may be gone. */
static redisCallback confirm(redisAsyncContext *context, const event_row *row, roan_hiredis_topic *topic)
{
    redisCallback callback = topic->callback;

    if (row->event == EVENT_SUBSCRIBED) {
        topic->callback.pending_subs -= topic->callback.pending_subs > 0;
        topic->is_confirmed = true;
    } else if (row->event == EVENT_UNSUBSCRIBED) {
        topic->is_confirmed = false;
        if (topic->callback.pending_subs == 0)
            roan_hiredis_topics_remove(roan_hiredis_topics_of(context, row->kind), topic);
        update_flag(context);
    }
    return callback;
}

bool roan_hiredis_take_topic_reply(redisAsyncContext *context, redisReply *reply, bool is_push)
{
    const event_row *row = find_event(reply);
    roan_hiredis_topic *topic = NULL;
    redisCallback callback;
    bool awaited;

    if (row == NULL)
        return false;
    if (is_text(reply->element[1]))
        topic = roan_hiredis_topics_find(roan_hiredis_topics_of(context, row->kind), reply->element[1]->str,
                                         reply->element[1]->len);
    awaited = is_awaited(roan_hiredis_first_command(context), row);
    if (!is_push && !awaited && (topic == NULL || !topic->is_confirmed))
        return false;
    if (awaited)
        count_confirmation(context);
    if (topic == NULL)
        return true; /* never subscribed: nobody's */
    callback = confirm(context, row, topic);
    roan_hiredis_run(context, &callback, reply);
    return true;
}

void roan_hiredis_end_topics(redisAsyncContext *context)
{
    roan_hiredis_async *self = roan_hiredis_async_of(context);

    for (int kind = 0; kind < ROAN_HIREDIS_KIND_COUNT; kind++) {
        struct dict *topics = roan_hiredis_topics_of(context, (roan_hiredis_kind)kind);
        roan_hiredis_topic *topic;
        while (topics != NULL && (topic = roan_hiredis_topics_first(topics)) != NULL) {
            redisCallback callback = topic->callback;
            roan_hiredis_topics_remove(topics, topic);
            roan_hiredis_run(context, &callback, NULL);
        }
    }
    context->c.flags &= ~(REDIS_SUBSCRIBED | REDIS_MONITORING);
    if (self->has_monitor) {
        redisCallback monitor = self->monitor;
        self->has_monitor = false;
        roan_hiredis_run(context, &monitor, NULL);
    }
}
