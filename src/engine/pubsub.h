/* engine/pubsub.h: subscriptions of sessions, and messages to them.
 *
 *   publish ─► topics: which lanes? ─► one mail for each, all of them share one message ─► the lane's own subscribers
 *
 * A lane knows the subscriptions of its sessions, without locks; all lanes together know which lanes have subscribers
 * of a topic (engine/topics.h). Mailboxes are first in, first out, and the lane of the publisher is no exception, so
 * all subscribers of a channel see its messages in the same order. With one lane there is no mail: publishing delivers.
 *
 * A subscriber cannot tell the difference: before his command runs, and before a subscription ends, his lane looks into
 * its mailbox. What he causes to be sent to himself comes behind the reply to his command.
 */
#pragma once

#include "engine/call.h"
#include "engine/topics.h"

/* Of a lane; engine.h has the pointer. */
typedef struct roan_lane_pubsub roan_lane_pubsub;

roan_lane_pubsub *roan_lane_pubsub_create(void);
void roan_lane_pubsub_free(roan_lane_pubsub *pubsub);

/* True when the session was not subscribed yet. Own lane. */
bool roan_pubsub_subscribe(roan_session *session, roan_topic_kind kind, roan_slice name);
/* True when it was subscribed. What was sent to it before is delivered. Own lane. */
bool roan_pubsub_unsubscribe(roan_session *session, roan_topic_kind kind, roan_slice name);

/* How many it has of a kind. Own lane, or gate shut. */
size_t roan_pubsub_count(const roan_session *session, roan_topic_kind kind);
/* The name of its oldest subscription; it has one, and the name is valid as long. */
roan_slice roan_pubsub_first(const roan_session *session, roan_topic_kind kind);

/* Visits the names of its subscriptions of a kind, oldest first, until `visit` returns false. Own lane, or gate
 * shut. */
void roan_pubsub_visit(const roan_session *session, roan_topic_kind kind,
                       bool (*visit)(void *context, roan_slice name), void *context);

/* Ends all subscriptions, without a word. Own lane, or gate shut. */
void roan_pubsub_end(roan_session *session);

/* Bytes that its subscriptions take. */
size_t roan_pubsub_bytes(const roan_session *session);

/* Sends a message to a channel; returns to how many subscriptions. Any lane, with or without stripes. */
size_t roan_publish(roan_lane *lane, roan_topic_kind kind, roan_slice channel, roan_slice text);

/* Delivers what other lanes, or this one, have sent to its subscribers. Own lane. */
void roan_pubsub_deliver_slowly(roan_lane *lane);
static inline void roan_pubsub_deliver(roan_lane *lane)
{
    if (ROAN_UNLIKELY(atomic_load_explicit(&lane->messages.newest, memory_order_relaxed) != NULL))
        roan_pubsub_deliver_slowly(lane);
}

/* Sends something that is delivered in order with messages: mail->deliver gets the lane. Any lane. */
void roan_pubsub_mail(roan_lane *running, roan_lane *to, roan_mail *mail);

/* A session's command runs: from _begin to _end, what is pushed to the session waits behind its reply. Nested: a
 * command may serve another session's. Needed when the session has subscriptions or wants no replies. */
typedef struct roan_talk {
    roan_session *outer;
    roan_out outer_pushes, *outer_out;
} roan_talk;

void roan_talk_begin(roan_session *session, roan_talk *ret_talk);
void roan_talk_end(roan_session *session, roan_talk *talk);

/* What was pushed so far stands before the reply, which has not begun. */
void roan_talk_flush(roan_session *session);

/* Where to confirm subscriptions: that is done even for who wants no replies (then a talk is on). Messages may stand
 * among the confirmations, unless these are part of something larger. */
roan_out *roan_pubsub_confirmations(roan_call *call);
