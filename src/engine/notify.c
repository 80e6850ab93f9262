/* engine/notify.c: builds the names of the channels of an event and publishes it; see notify.h. */
#include "engine/notify.h"

#include "base/macros.h"
#include "engine/pubsub.h"

static roan_slice channel_name(roan_lane *lane, const char *kind, const roan_db *db, roan_slice last)
{
    roan_buffer *name = &lane->event_channel;
    char number[ROAN_I64_TEXT_MAX];
    name->bytes = 0;
    roan_buffer_append_text(name, kind);
    roan_buffer_append(name, number, roan_format_u64(number, db->number));
    roan_buffer_append_text(name, "__:");
    roan_buffer_append_slice(name, last);
    return roan_buffer_slice(name);
}

static void publish(roan_lane *lane, roan_slice channel, roan_slice text)
{
    ROAN_IGNORE(roan_publish(lane, ROAN_TOPIC_CHANNEL, channel, text)); /* perhaps nobody listens */
}

void roan_notify_slowly(roan_lane *lane, const roan_db *db, const char *event, roan_slice key)
{
    int64_t wanted = lane->engine->config.notify_keyspace_events;
    roan_slice name = roan_slice_from_text(event);
    if (!roan_topics_are_used(lane->engine->topics))
        return;
    if (wanted & ROAN_EVENT_KEYSPACE)
        publish(lane, channel_name(lane, "__keyspace@", db, key), name);
    if (wanted & ROAN_EVENT_KEYEVENT)
        publish(lane, channel_name(lane, "__keyevent@", db, name), key);
}
