/* engine/notify.h: keyspace notifications: what happens to keys, told as messages to channels.
 *
 *     __keyspace@0__:name  event      (K in notify-keyspace-events)
 *     __keyevent@0__:event name       (E)
 *
 * Told while the key's stripe is held, so the events of a key come in their order. While notifications are off, this is
 * one look at the configuration.
 */
#pragma once

#include "engine/engine.h"

void roan_notify_slowly(roan_lane *lane, const roan_db *db, const char *event, roan_slice key);

/* event_class: one of ROAN_EVENT_*, except KEYSPACE and KEYEVENT. */
static ROAN_ALWAYS_INLINE void roan_notify(roan_lane *lane, const roan_db *db, unsigned event_class, const char *event,
                                           roan_slice key)
{
    if (ROAN_UNLIKELY(lane->engine->config.notify_keyspace_events & event_class))
        roan_notify_slowly(lane, db, event, key);
}
