/* engine/pubsub.c: the lane's side of subscriptions, and messages on their way; see pubsub.h.
 *
 *   lane ─► topics (by name) ─► topic ─► subscription ─► subscription ...   the subscribers of a channel
 *   lane ─► patterns         ─► topic ─► ...
 *   lane ─► subscriptions (by topic and session)
 *   session ─► subscriptions of each kind, oldest first
 *
 * A message is written once for all subscribers of a channel; the protocols differ in its first byte only.
 */
#include "engine/pubsub.h"

#include "base/hash_set.h"
#include "base/macros.h"

typedef struct subscription subscription;

typedef struct lane_topic {
    roan_hash_node node; /* first: a node is its topic */
    subscription *first, *last;
    struct lane_topic *next, *previous; /* patterns of the lane */
    roan_topic_kind kind;
    size_t bytes;
    char name[];
} lane_topic;

struct subscription {
    roan_hash_node node; /* first: a node is its subscription */
    lane_topic *topic;
    roan_session *session;
    uint64_t begins, ends; /* epochs */
    subscription *next, *previous;                       /* of the topic */
    subscription *next_of_session, *previous_of_session; /* of the same kind */
};

struct roan_subscriptions {
    subscription *first[ROAN_TOPIC_KIND_COUNT], *last[ROAN_TOPIC_KIND_COUNT];
    size_t counts[ROAN_TOPIC_KIND_COUNT];
};

struct roan_lane_pubsub {
    roan_hash_set topics;
    roan_hash_set subscriptions;
    lane_topic *patterns, *patterns_last;
    roan_buffer wire, tail; /* a message as it is sent, and the part that is the same for all patterns */
};

roan_lane_pubsub *roan_lane_pubsub_create(void)
{
    return roan_alloc_zero(sizeof(roan_lane_pubsub));
}

void roan_lane_pubsub_free(roan_lane_pubsub *pubsub)
{
    ROAN_ASSERT(pubsub->topics.count == 0 && pubsub->subscriptions.count == 0);
    roan_hash_set_done(&pubsub->topics);
    roan_hash_set_done(&pubsub->subscriptions);
    roan_buffer_done(&pubsub->wire);
    roan_buffer_done(&pubsub->tail);
    roan_free(pubsub, sizeof *pubsub);
}

/* ---- topics of the lane ---- */

static roan_slice name_of(const lane_topic *topic)
{
    return roan_slice_make(topic->name, topic->bytes);
}

static lane_topic *find_topic(const roan_lane_pubsub *pubsub, roan_topic_kind kind, roan_slice name, uint64_t hash)
{
    const roan_hash_set *topics = &pubsub->topics;
    for (roan_hash_node *node = roan_hash_set_first(topics, hash); node != NULL; node = roan_hash_node_next(node)) {
        lane_topic *topic = (lane_topic *)node;
        if (topic->kind == kind && roan_slice_equal(name_of(topic), name))
            return topic;
    }
    return NULL;
}

static void link_pattern(roan_lane_pubsub *pubsub, lane_topic *pattern)
{
    pattern->previous = pubsub->patterns_last;
    *(pubsub->patterns_last == NULL ? &pubsub->patterns : &pubsub->patterns_last->next) = pattern;
    pubsub->patterns_last = pattern;
}

static void unlink_pattern(roan_lane_pubsub *pubsub, lane_topic *pattern)
{
    *(pattern->previous == NULL ? &pubsub->patterns : &pattern->previous->next) = pattern->next;
    *(pattern->next == NULL ? &pubsub->patterns_last : &pattern->next->previous) = pattern->previous;
}

static lane_topic *add_topic(roan_lane_pubsub *pubsub, roan_topic_kind kind, roan_slice name, uint64_t hash)
{
    lane_topic *topic = roan_alloc(sizeof *topic + name.bytes);
    *topic = (lane_topic){.kind = kind, .bytes = name.bytes};
    if (name.bytes > 0)
        memcpy(topic->name, name.data, name.bytes);
    roan_hash_set_insert(&pubsub->topics, &topic->node, hash);
    if (kind == ROAN_TOPIC_PATTERN)
        link_pattern(pubsub, topic);
    return topic;
}

static void remove_topic(roan_lane_pubsub *pubsub, lane_topic *topic)
{
    if (topic->kind == ROAN_TOPIC_PATTERN)
        unlink_pattern(pubsub, topic);
    roan_hash_set_remove(&pubsub->topics, &topic->node);
    roan_free(topic, sizeof *topic + topic->bytes);
}

/* ---- subscriptions ---- */

static uint64_t subscription_hash(uint64_t topic_hash, const roan_session *session)
{
    return topic_hash ^ session->id * UINT64_C(0x9e3779b97f4a7c15);
}

static subscription *find_subscription(const roan_session *session, const lane_topic *topic)
{
    const roan_hash_set *set = &session->lane->pubsub->subscriptions;
    uint64_t hash = subscription_hash(topic->node.hash, session);
    for (roan_hash_node *node = roan_hash_set_first(set, hash); node != NULL; node = roan_hash_node_next(node)) {
        subscription *found = (subscription *)node;
        if (found->topic == topic && found->session == session)
            return found;
    }
    return NULL;
}

static void link_subscription(subscription *added)
{
    lane_topic *topic = added->topic;
    struct roan_subscriptions *own = added->session->subscriptions;
    added->previous = topic->last;
    *(topic->last == NULL ? &topic->first : &topic->last->next) = added;
    topic->last = added;
    added->previous_of_session = own->last[topic->kind];
    *(own->last[topic->kind] == NULL ? &own->first[topic->kind] : &own->last[topic->kind]->next_of_session) = added;
    own->last[topic->kind] = added;
    own->counts[topic->kind]++;
}

static void unlink_subscription(subscription *removed)
{
    lane_topic *topic = removed->topic;
    struct roan_subscriptions *own = removed->session->subscriptions;
    *(removed->previous == NULL ? &topic->first : &removed->previous->next) = removed->next;
    *(removed->next == NULL ? &topic->last : &removed->next->previous) = removed->previous;
    subscription *next = removed->next_of_session, *previous = removed->previous_of_session;
    *(previous == NULL ? &own->first[topic->kind] : &previous->next_of_session) = next;
    *(next == NULL ? &own->last[topic->kind] : &next->previous_of_session) = previous;
    own->counts[topic->kind]--;
}

bool roan_pubsub_subscribe(roan_session *session, roan_topic_kind kind, roan_slice name)
{
    roan_lane *lane = session->lane;
    roan_lane_pubsub *pubsub = lane->pubsub;
    uint64_t hash = roan_topic_hash(lane->engine, kind, name);
    lane_topic *topic = find_topic(pubsub, kind, name, hash);
    if (topic != NULL && find_subscription(session, topic) != NULL)
        return false;
    if (topic == NULL)
        topic = add_topic(pubsub, kind, name, hash);
    if (session->subscriptions == NULL)
        session->subscriptions = roan_alloc_zero(sizeof *session->subscriptions);
    subscription *added = roan_alloc(sizeof *added);
    *added = (subscription){.topic = topic, .session = session, .ends = ROAN_EPOCH_NEVER};
    added->begins = roan_topics_join(lane, kind, name, hash);
    roan_hash_set_insert(&pubsub->subscriptions, &added->node, subscription_hash(hash, session));
    link_subscription(added);
    session->modes |= ROAN_MODE_SUBSCRIBED;
    return true;
}

/* First nothing more is sent here because of it, then what was sent is delivered, then it is gone: whoever published
 * has counted it. */
static void leave_topic(subscription *left)
{
    const lane_topic *topic = left->topic;
    roan_lane *lane = left->session->lane;
    left->ends = roan_topics_leave(lane, topic->kind, name_of(topic), topic->node.hash, topic->first == topic->last);
    roan_pubsub_deliver(lane);
}

static void end_subscription(subscription *ended)
{
    roan_session *session = ended->session;
    roan_lane_pubsub *pubsub = session->lane->pubsub;
    lane_topic *topic = ended->topic;
    leave_topic(ended);
    unlink_subscription(ended);
    roan_hash_set_remove(&pubsub->subscriptions, &ended->node);
    roan_free(ended, sizeof *ended);
    if (topic->first == NULL)
        remove_topic(pubsub, topic);
    const struct roan_subscriptions *own = session->subscriptions;
    size_t left = 0;
    for (unsigned kind = 0; kind < ROAN_TOPIC_KIND_COUNT; kind++)
        left += own->counts[kind];
    if (left > 0)
        return;
    session->modes &= (uint8_t)~ROAN_MODE_SUBSCRIBED;
    roan_free(session->subscriptions, sizeof *session->subscriptions);
    session->subscriptions = NULL;
}

bool roan_pubsub_unsubscribe(roan_session *session, roan_topic_kind kind, roan_slice name)
{
    uint64_t hash = roan_topic_hash(session->lane->engine, kind, name);
    const lane_topic *topic = find_topic(session->lane->pubsub, kind, name, hash);
    subscription *ended = topic == NULL ? NULL : find_subscription(session, topic);
    if (ended == NULL)
        return false;
    end_subscription(ended);
    return true;
}

void roan_pubsub_end(roan_session *session)
{
    session->modes &= (uint8_t)~ROAN_MODE_SUBSCRIBED; /* what comes now is not for it any more */
    for (unsigned kind = 0; kind < ROAN_TOPIC_KIND_COUNT; kind++)
        while (session->subscriptions != NULL && session->subscriptions->first[kind] != NULL)
            end_subscription(session->subscriptions->first[kind]);
}

size_t roan_pubsub_count(const roan_session *session, roan_topic_kind kind)
{
    return session->subscriptions == NULL ? 0 : session->subscriptions->counts[kind];
}

void roan_pubsub_visit(const roan_session *session, roan_topic_kind kind,
                       bool (*visit)(void *context, roan_slice name), void *context)
{
    if (session->subscriptions == NULL)
        return;
    for (const subscription *s = session->subscriptions->first[kind]; s != NULL; s = s->next_of_session)
        if (!visit(context, name_of(s->topic)))
            return;
}

roan_slice roan_pubsub_first(const roan_session *session, roan_topic_kind kind)
{
    return name_of(session->subscriptions->first[kind]->topic);
}

size_t roan_pubsub_bytes(const roan_session *session)
{
    size_t count = 0;
    for (unsigned kind = 0; kind < ROAN_TOPIC_KIND_COUNT; kind++)
        count += roan_pubsub_count(session, (roan_topic_kind)kind);
    return count == 0 ? 0 : count * sizeof(subscription) + sizeof *session->subscriptions;
}

/* ---- delivering ---- */

typedef struct pubsub_message {
    roan_topic_kind kind;
    uint64_t hash, channel_epoch, pattern_epoch;
    roan_slice channel, text;
} pubsub_message;

static void append_bulk(roan_buffer *wire, roan_slice text)
{
    char header[ROAN_I64_TEXT_MAX + 3] = "$";
    size_t bytes = 1 + roan_format_u64(header + 1, text.bytes);
    memcpy(header + bytes, "\r\n", 2);
    roan_buffer_append(wire, header, bytes + 2);
    roan_buffer_append_slice(wire, text);
    roan_buffer_append(wire, "\r\n", 2);
}

/* One session gets the message; `wire` begins with the type byte. */
static void deliver_to(roan_lane *lane, roan_session *session, const roan_buffer *wire)
{
    if (session->is_closing || !(session->modes & ROAN_MODE_SUBSCRIBED))
        return;
    bool is_own = session == lane->talking;
    wire->data[0] = session->out.protocol == 3 ? '>' : '*';
    roan_out_raw(is_own ? lane->talk_out : &session->out, wire->data, wire->bytes);
    if (!is_own)
        session->ops->output_ready(session);
}

static size_t deliver_to_topic(roan_lane *lane, const lane_topic *topic, uint64_t epoch, const roan_buffer *wire)
{
    size_t count = 0;
    for (const subscription *s = topic->first; s != NULL; s = s->next) {
        if (epoch < s->begins || epoch >= s->ends)
            continue; /* it began, or ended, while the message was on its way */
        deliver_to(lane, s->session, wire);
        count++;
    }
    return count;
}

static size_t deliver_to_channel(roan_lane *lane, const pubsub_message *message)
{
    static const roan_slice words[] = {ROAN_LITERAL("*3\r\n$7\r\nmessage\r\n"),
                                       ROAN_LITERAL("*3\r\n$8\r\nsmessage\r\n")};
    roan_lane_pubsub *pubsub = lane->pubsub;
    const lane_topic *topic = find_topic(pubsub, message->kind, message->channel, message->hash);
    if (topic == NULL)
        return 0;
    pubsub->wire.bytes = 0;
    roan_buffer_append_slice(&pubsub->wire, words[message->kind]);
    append_bulk(&pubsub->wire, message->channel);
    append_bulk(&pubsub->wire, message->text);
    return deliver_to_topic(lane, topic, message->channel_epoch, &pubsub->wire);
}

static size_t deliver_to_pattern(roan_lane *lane, const lane_topic *pattern, const pubsub_message *message)
{
    roan_lane_pubsub *pubsub = lane->pubsub;
    if (!roan_glob_match(name_of(pattern), message->channel, false))
        return 0;
    if (pubsub->tail.bytes == 0) {
        append_bulk(&pubsub->tail, message->channel);
        append_bulk(&pubsub->tail, message->text);
    }
    pubsub->wire.bytes = 0;
    roan_buffer_append_text(&pubsub->wire, "*4\r\n$8\r\npmessage\r\n");
    append_bulk(&pubsub->wire, name_of(pattern));
    roan_buffer_append_slice(&pubsub->wire, roan_buffer_slice(&pubsub->tail));
    return deliver_to_topic(lane, pattern, message->pattern_epoch, &pubsub->wire);
}

/* To the subscribers of this lane; returns how many there were. */
static size_t deliver(roan_lane *lane, const pubsub_message *message)
{
    size_t count = deliver_to_channel(lane, message);
    if (message->kind != ROAN_TOPIC_CHANNEL)
        return count;
    lane->pubsub->tail.bytes = 0;
    for (const lane_topic *pattern = lane->pubsub->patterns; pattern != NULL; pattern = pattern->next)
        count += deliver_to_pattern(lane, pattern, message);
    return count;
}

/* ---- between lanes ---- */

typedef struct shared_message shared_message;

typedef struct message_mail {
    roan_mail mail;
    shared_message *shared;
} message_mail;

/* One allocation: the mails to all lanes, then the bytes of channel and text. */
struct shared_message {
    _Atomic unsigned references;
    size_t bytes; /* of the allocation */
    pubsub_message message;
    message_mail mails[];
};

static void deliver_mail(roan_mail *mail, void *receiver)
{
    shared_message *shared = ((message_mail *)mail)->shared;
    ROAN_IGNORE(deliver(receiver, &shared->message)); /* who published has counted already */
    if (atomic_fetch_sub_explicit(&shared->references, 1, memory_order_acq_rel) == 1)
        roan_free(shared, shared->bytes);
}

void roan_pubsub_deliver_slowly(roan_lane *lane)
{
    for (roan_mail *mail = roan_mailbox_take(&lane->messages), *next; mail != NULL; mail = next) {
        next = mail->next;
        mail->deliver(mail, lane);
    }
}

static shared_message *share(const pubsub_message *original, unsigned lanes)
{
    size_t fixed = sizeof(shared_message) + lanes * sizeof(message_mail);
    size_t bytes = fixed + original->channel.bytes + original->text.bytes;
    shared_message *shared = roan_alloc(bytes);
    char *channel = (char *)shared + fixed, *text = channel + original->channel.bytes;
    shared->references = lanes;
    shared->bytes = bytes;
    shared->message = *original;
    shared->message.channel.data = channel;
    shared->message.text.data = text;
    if (original->channel.bytes > 0)
        memcpy(channel, original->channel.data, original->channel.bytes);
    if (original->text.bytes > 0)
        memcpy(text, original->text.data, original->text.bytes);
    return shared;
}

/* Returns the lanes that have to be woken. */
static uint64_t send_to_lanes(roan_engine *engine, const pubsub_message *message, uint64_t lanes)
{
    uint64_t sleeping = 0;
    unsigned sent = 0;
    shared_message *shared = share(message, (unsigned)__builtin_popcountll(lanes));
    for (uint64_t left = lanes; left != 0; left &= left - 1) {
        unsigned index = (unsigned)__builtin_ctzll(left);
        message_mail *mail = &shared->mails[sent++];
        *mail = (message_mail){.mail.deliver = deliver_mail, .shared = shared};
        if (roan_mailbox_push(&engine->lanes[index].messages, &mail->mail))
            sleeping |= UINT64_C(1) << index;
    }
    return sleeping;
}

static void wake_lanes(roan_lane *running, uint64_t lanes)
{
    const roan_host *host = &running->engine->host;
    for (uint64_t left = host->wake == NULL ? 0 : lanes; left != 0; left &= left - 1) {
        roan_lane *lane = &running->engine->lanes[__builtin_ctzll(left)];
        if (lane != running) /* it looks into its mailbox before it sleeps */
            host->wake(host->context, lane);
    }
}

void roan_pubsub_mail(roan_lane *running, roan_lane *to, roan_mail *mail)
{
    if (roan_mailbox_push(&to->messages, mail))
        wake_lanes(running, UINT64_C(1) << to->index);
}

size_t roan_publish(roan_lane *lane, roan_topic_kind kind, roan_slice channel, roan_slice text)
{
    roan_engine *engine = lane->engine;
    pubsub_message published = {
        .kind = kind, .hash = roan_topic_hash(engine, kind, channel), .channel = channel, .text = text};
    if (engine->lane_count == 1) {
        published.channel_epoch = published.pattern_epoch = ROAN_EPOCH_NEVER - 1;
        return deliver(lane, &published);
    }
    roan_audience audience;
    uint64_t sleeping = 0;
    roan_topics_lock_audience(engine->topics, kind, channel, published.hash, &audience);
    published.channel_epoch = audience.channel_epoch;
    published.pattern_epoch = audience.pattern_epoch;
    if (audience.lanes != 0)
        sleeping = send_to_lanes(engine, &published, audience.lanes);
    roan_topics_unlock(engine->topics, published.hash);
    wake_lanes(lane, sleeping);
    return audience.subscribers;
}

/* ---- talking ---- */

void roan_talk_begin(roan_session *session, roan_talk *ret_talk)
{
    roan_lane *lane = session->lane;
    roan_pubsub_deliver(lane);
    *ret_talk = (roan_talk){.outer = lane->talking, .outer_pushes = lane->pushes, .outer_out = lane->talk_out};
    roan_out_init(&lane->pushes, &lane->out_pool, session->out.protocol);
    lane->talk_out = &lane->pushes;
    lane->talking = session;
}

void roan_talk_flush(roan_session *session)
{
    roan_lane *lane = session->lane;
    roan_pubsub_deliver(lane);
    roan_out_chunk *chunk = roan_out_take(&lane->pushes);
    while (chunk != NULL) {
        roan_out_chunk *next = chunk->next;
        roan_out_raw(&session->out, chunk->data, chunk->bytes);
        roan_out_chunk_free(&lane->out_pool, chunk);
        chunk = next;
    }
}

void roan_talk_end(roan_session *session, roan_talk *talk)
{
    roan_lane *lane = session->lane;
    roan_talk_flush(session);
    lane->talking = talk->outer;
    lane->pushes = talk->outer_pushes;
    lane->talk_out = talk->outer_out;
}

roan_out *roan_pubsub_confirmations(roan_call *call)
{
    const roan_session *session = call->session;
    bool wants_none = session->reply_mode == ROAN_REPLY_OFF || session->reply_mode == ROAN_REPLY_SKIP_THIS;
    roan_out *out = wants_none ? &call->lane->pushes : call->out;
    ROAN_ASSERT(!wants_none || call->lane->talking == session);
    out->protocol = session->out.protocol;
    if (call->outer == NULL)
        call->lane->talk_out = out;
    return out;
}
