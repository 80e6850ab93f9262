/* engine/cmd/pubsub.c: SUBSCRIBE and its relatives, PUBLISH, PUBSUB. What is behind them: engine/pubsub.h.
 *
 * A subscribing command has no reply of its own: it is confirmed by one push for each name. */
#include "engine/pubsub.h"

#include "base/macros.h"

/* The words of a confirmation, and which subscriptions its number counts: channels and patterns together. */
typedef struct topic_words {
    const char *subscribe, *unsubscribe;
} topic_words;

static const topic_words words[ROAN_TOPIC_KIND_COUNT] = {
    [ROAN_TOPIC_CHANNEL] = {"subscribe", "unsubscribe"},
    [ROAN_TOPIC_SHARD_CHANNEL] = {"ssubscribe", "sunsubscribe"},
    [ROAN_TOPIC_PATTERN] = {"psubscribe", "punsubscribe"},
};

static void confirm_count(const roan_session *session, roan_topic_kind kind, roan_out *out)
{
    size_t count = kind == ROAN_TOPIC_SHARD_CHANNEL ? roan_pubsub_count(session, kind)
                                                    : roan_pubsub_count(session, ROAN_TOPIC_CHANNEL) +
                                                          roan_pubsub_count(session, ROAN_TOPIC_PATTERN);
    roan_out_integer(out, (int64_t)count);
}

static void subscribe(roan_call *call, roan_topic_kind kind)
{
    roan_out *out = roan_pubsub_confirmations(call);
    for (size_t i = 1; i < call->argc; i++) {
        roan_pubsub_subscribe(call->session, kind, call->argv[i]);
        roan_out_push(out, 3);
        roan_out_bulk_text(out, words[kind].subscribe);
        roan_out_bulk(out, call->argv[i]);
        confirm_count(call->session, kind, out);
    }
}

static void unsubscribe_one(roan_session *session, roan_topic_kind kind, roan_slice name, roan_out *out)
{
    roan_pubsub_unsubscribe(session, kind, name);
    roan_out_push(out, 3);
    roan_out_bulk_text(out, words[kind].unsubscribe);
    roan_out_bulk(out, name);
    confirm_count(session, kind, out);
}

static void unsubscribe_all(roan_call *call, roan_topic_kind kind, roan_out *out)
{
    while (roan_pubsub_count(call->session, kind) > 0) {
        roan_buffer *name = &call->lane->scratch; /* the subscription's own is gone when it is confirmed */
        name->bytes = 0;
        roan_buffer_append_slice(name, roan_pubsub_first(call->session, kind));
        unsubscribe_one(call->session, kind, roan_buffer_slice(name), out);
    }
}

static void unsubscribe(roan_call *call, roan_topic_kind kind)
{
    roan_session *session = call->session;
    roan_out *out = roan_pubsub_confirmations(call);
    for (size_t i = 1; i < call->argc; i++)
        unsubscribe_one(session, kind, call->argv[i], out);
    if (call->argc > 1)
        return;
    if (roan_pubsub_count(session, kind) == 0) {
        roan_out_push(out, 3);
        roan_out_bulk_text(out, words[kind].unsubscribe);
        roan_out_null(out);
        confirm_count(session, kind, out);
    }
    unsubscribe_all(call, kind, out);
}

#define SUBSCRIBING (ROAN_CMD_PUBSUB | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE)

ROAN_COMMAND(subscribe, .arity = -2, .flags = SUBSCRIBING, .lock = ROAN_LOCK_L,
             .group = ROAN_GROUP_PUBSUB, .since = "2.0.0", .complexity = "O(N) for N channels.",
             .summary = "Asks for the messages of channels.", .arguments = "channel...")
{
    subscribe(call, ROAN_TOPIC_CHANNEL);
}

ROAN_COMMAND(unsubscribe, .arity = -1, .flags = SUBSCRIBING, .lock = ROAN_LOCK_L,
             .group = ROAN_GROUP_PUBSUB, .since = "2.0.0", .complexity = "O(N) for N channels.",
             .summary = "Ends the subscriptions of channels, or all of them.",
             .arguments = "[channel...]")
{
    unsubscribe(call, ROAN_TOPIC_CHANNEL);
}

ROAN_COMMAND(psubscribe, .arity = -2, .flags = SUBSCRIBING, .lock = ROAN_LOCK_L,
             .group = ROAN_GROUP_PUBSUB, .since = "2.0.0", .complexity = "O(N) for N patterns.",
             .summary = "Asks for the messages of all channels that match patterns.",
             .arguments = "pattern:pattern...")
{
    subscribe(call, ROAN_TOPIC_PATTERN);
}

ROAN_COMMAND(punsubscribe, .arity = -1, .flags = SUBSCRIBING, .lock = ROAN_LOCK_L,
             .group = ROAN_GROUP_PUBSUB, .since = "2.0.0", .complexity = "O(N) for N patterns.",
             .summary = "Ends the subscriptions of patterns, or all of them.",
             .arguments = "[pattern:pattern...]")
{
    unsubscribe(call, ROAN_TOPIC_PATTERN);
}

ROAN_COMMAND(ssubscribe, .arity = -2, .flags = SUBSCRIBING, .lock = ROAN_LOCK_L,
             .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_NOT_KEY)}, .group = ROAN_GROUP_PUBSUB,
             .since = "7.0.0", .complexity = "O(N) for N channels.",
             .summary = "Asks for the messages of channels that belong to a shard.",
             .arguments = "shardchannel...")
{
    if (call->may_not_block)
        roan_call_error(call, "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client");
    else
        subscribe(call, ROAN_TOPIC_SHARD_CHANNEL);
}

ROAN_COMMAND(sunsubscribe, .arity = -1, .flags = SUBSCRIBING, .lock = ROAN_LOCK_L,
             .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_NOT_KEY)}, .group = ROAN_GROUP_PUBSUB,
             .since = "7.0.0", .complexity = "O(N) for N channels.",
             .summary = "Ends the subscriptions of channels that belong to a shard, or all of them.",
             .arguments = "[shardchannel...]")
{
    unsubscribe(call, ROAN_TOPIC_SHARD_CHANNEL);
}

/* ---- publishing ---- */

#define PUBLISHING (ROAN_CMD_PUBSUB | ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST | ROAN_CMD_MAY_REPLICATE)

/* Those who subscribe at a replica get the message, too. It is no change: the log of a restart has no use for it. */
static void publish(roan_call *call, roan_topic_kind kind)
{
    size_t count = roan_publish(call->lane, kind, call->argv[1], call->argv[2]);
    roan_call_force_effect(call);
    roan_out_integer(call->out, (int64_t)count);
}

ROAN_COMMAND(publish, .arity = 3, .flags = PUBLISHING,
             .lock = ROAN_LOCK_L, .group = ROAN_GROUP_PUBSUB, .since = "2.0.0",
             .complexity = "O(N + M) for N subscribers of the channel and M patterns.",
             .summary = "Sends a message to a channel; tells how many get it.",
             .arguments = "channel message")
{
    publish(call, ROAN_TOPIC_CHANNEL);
}

ROAN_COMMAND(spublish, .arity = 3, .flags = PUBLISHING,
             .lock = ROAN_LOCK_L, .keys = {ROAN_KEY(1, ROAN_KEY_NOT_KEY)},
             .group = ROAN_GROUP_PUBSUB, .since = "7.0.0",
             .complexity = "O(N) for N subscribers of the channel.",
             .summary = "Sends a message to a channel that belongs to a shard.",
             .arguments = "shardchannel message")
{
    publish(call, ROAN_TOPIC_SHARD_CHANNEL);
}

/* ---- asking ---- */

ROAN_COMMAND(pubsub, .arity = -2, .lock = ROAN_LOCK_L, .acl = ROAN_ACL_NO_GROUP,
             .group = ROAN_GROUP_PUBSUB, .since = "2.8.0", .complexity = "Depends on the subcommand.",
             .summary = "Groups commands that tell about channels and subscriptions.")
{
    roan_call_unknown_subcommand(call);
}

typedef struct channel_list {
    roan_out *out;
    roan_slice pattern;
    bool takes_all;
    size_t sent;
} channel_list;

static void list_channel(void *context, roan_slice name)
{
    channel_list *list = context;
    if (!list->takes_all && !roan_glob_match(list->pattern, name, false))
        return;
    roan_out_bulk(list->out, name);
    list->sent++;
}

static void list_channels(roan_call *call, roan_topic_kind kind)
{
    if (call->argc > 3) {
        roan_call_error_printf(call, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try PUBSUB HELP.",
                               (int)ROAN_MIN(call->argv[1].bytes, 128u), call->argv[1].data);
        return;
    }
    channel_list list = {.out = call->out, .takes_all = call->argc == 2};
    if (!list.takes_all)
        list.pattern = call->argv[2];
    roan_out_mark mark = roan_out_open(call->out);
    roan_topics_visit(call->engine->topics, kind, list_channel, &list);
    roan_out_close_array(call->out, mark, list.sent);
}

static void count_subscribers(roan_call *call, roan_topic_kind kind)
{
    roan_out_array(call->out, (call->argc - 2) * 2);
    for (size_t i = 2; i < call->argc; i++) {
        roan_slice name = call->argv[i];
        uint64_t hash = roan_topic_hash(call->engine, kind, name);
        roan_out_bulk(call->out, name);
        roan_out_integer(call->out, (int64_t)roan_topics_subscribers(call->engine->topics, kind, name, hash));
    }
}

#define ASKING (ROAN_CMD_PUBSUB | ROAN_CMD_LOADING | ROAN_CMD_STALE)

ROAN_SUBCOMMAND(pubsub, channels, .arity = -2, .flags = ASKING, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_PUBSUB, .since = "2.8.0",
                .complexity = "O(N) for N channels with subscribers.",
                .summary = "Lists the channels that have subscribers.",
                .arguments = "[pattern:pattern]")
{
    list_channels(call, ROAN_TOPIC_CHANNEL);
}

ROAN_SUBCOMMAND(pubsub, shardchannels, .arity = -2, .flags = ASKING, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_PUBSUB, .since = "7.0.0",
                .complexity = "O(N) for N channels with subscribers.",
                .summary = "Lists the channels of shards that have subscribers.",
                .arguments = "[pattern:pattern]")
{
    list_channels(call, ROAN_TOPIC_SHARD_CHANNEL);
}

ROAN_SUBCOMMAND(pubsub, numsub, .arity = -2, .flags = ASKING, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_PUBSUB, .since = "2.8.0", .complexity = "O(N) for N channels.",
                .summary = "Counts the subscribers of channels, those of patterns left out.",
                .arguments = "[channel...]")
{
    count_subscribers(call, ROAN_TOPIC_CHANNEL);
}

ROAN_SUBCOMMAND(pubsub, shardnumsub, .arity = -2, .flags = ASKING, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_PUBSUB, .since = "7.0.0", .complexity = "O(N) for N channels.",
                .summary = "Counts the subscribers of channels of shards.",
                .arguments = "[shardchannel...]")
{
    count_subscribers(call, ROAN_TOPIC_SHARD_CHANNEL);
}

ROAN_SUBCOMMAND(pubsub, numpat, .arity = 2, .flags = ASKING, .lock = ROAN_LOCK_L,
                .group = ROAN_GROUP_PUBSUB, .since = "2.8.0", .complexity = "O(1)",
                .summary = "Counts the patterns that have subscribers.")
{
    roan_out_integer(call->out, (int64_t)roan_topics_count(call->engine->topics, ROAN_TOPIC_PATTERN));
}

ROAN_SUBCOMMAND(pubsub, help, .arity = 2, .flags = ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .acl = ROAN_ACL_NO_GROUP, .group = ROAN_GROUP_PUBSUB, .since = "6.2.0",
                .complexity = "O(1)", .summary = "Lists the subcommands of PUBSUB.")
{
    static const char *const lines[] = {
        "CHANNELS [<pattern>]",
        "    Return the currently active channels matching a <pattern> (default: '*').",
        "NUMPAT",
        "    Return number of subscriptions to patterns.",
        "NUMSUB [<channel> ...]",
        "    Return the number of subscribers for the specified channels, excluding",
        "    pattern subscriptions(default: no channels).",
        "SHARDCHANNELS [<pattern>]",
        "    Return the currently active shard level channels matching a <pattern> (default: '*').",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    Return the number of subscribers for the specified shard level channel(s)",
        NULL,
    };
    roan_call_help(call, lines);
}
