/* engine/effects.c: collects the effects of a unit and hands them to whoever listens; see effects.h.
 *
 * Effects are kept in the lane's effect buffer: database, number of words, then the words (length, bytes). Nothing is
 * collected while nobody listens.
 */
#include "engine/effects.h"

#include "base/macros.h"
#include "engine/blocking.h"
#include "engine/notify.h"
#include "engine/tracking.h"
#include "engine/watch.h"

/* ---- collecting ---- */

static void append_size(roan_buffer *effects, size_t value)
{
    roan_buffer_append(effects, (const char *)&value, sizeof value);
}

static void append_effect(roan_lane *lane, const roan_db *db, size_t argc, const roan_slice *argv)
{
    roan_buffer *effects = &lane->effects;
    append_size(effects, db->number);
    append_size(effects, argc);
    for (size_t i = 0; i < argc; i++) {
        append_size(effects, argv[i].bytes);
        roan_buffer_append_slice(effects, argv[i]);
    }
    lane->effect_count++;
}

void roan_call_effect(roan_call *call, size_t argc, const roan_slice *argv)
{
    call->has_effect = true;
    if (ROAN_UNLIKELY(call->engine->on_effect != NULL))
        append_effect(call->lane, call->db, argc, argv);
}

void roan_call_force_effect(roan_call *call)
{
    call->forces_effect = true;
}

void roan_call_no_effect(roan_call *call)
{
    call->has_effect = true;
}

void roan_effects_collect(roan_call *call)
{
    roan_engine *engine = call->engine;
    if (call->dirty == 0 && ROAN_LIKELY(!call->forces_effect))
        return;
    ROAN_VERIFY(call->command->flags & (ROAN_CMD_WRITE | ROAN_CMD_MAY_REPLICATE) || call->command->lock == ROAN_LOCK_X);
    if (engine->lane_count == 1)
        atomic_store_explicit(&engine->dirty, atomic_load_explicit(&engine->dirty, memory_order_relaxed) + call->dirty,
                              memory_order_relaxed);
    else
        call->lane->dirty += call->dirty;
    if (ROAN_UNLIKELY(engine->on_effect != NULL) && !call->has_effect)
        append_effect(call->lane, call->db, call->argc, call->argv);
}

/* ---- handing over ---- */

static size_t read_size(const char **at)
{
    size_t value;
    memcpy(&value, *at, sizeof value);
    *at += sizeof value;
    return value;
}

static const char *hand_over_one(roan_engine *engine, const char *at)
{
    unsigned db = (unsigned)read_size(&at);
    size_t argc = read_size(&at), room = ROAN_MAX(argc, 1u) * sizeof(roan_slice);
    roan_slice *argv = roan_alloc(room);
    for (size_t i = 0; i < argc; i++) {
        argv[i].bytes = read_size(&at);
        argv[i].data = at;
        at += argv[i].bytes;
    }
    engine->on_effect(engine->effect_context, db, argc, argv);
    roan_free(argv, room);
    return at;
}

void roan_effects_hand_over_slowly(roan_lane *lane, bool is_one)
{
    roan_engine *engine = lane->engine;
    const char *at = lane->effects.data, *end = at + lane->effects.bytes, *first = at;
    const roan_slice begin[] = {ROAN_LITERAL("MULTI")}, commit[] = {ROAN_LITERAL("EXEC")};
    unsigned db = (unsigned)read_size(&first);
    bool is_framed = is_one && lane->effect_count > 1;
    if (is_framed)
        engine->on_effect(engine->effect_context, db, 1, begin);
    while (at < end)
        at = hand_over_one(engine, at);
    if (is_framed)
        engine->on_effect(engine->effect_context, db, 1, commit);
    lane->effects.bytes = 0;
    lane->effect_count = 0;
}

/* ---- changes ---- */

/* Who watches the key, and who waits for it, learns that it changed. */
static ROAN_ALWAYS_INLINE void tell_sessions(roan_call *call, const roan_place *place)
{
    if (ROAN_UNLIKELY(roan_stripe_is_watched(call->engine, place->stripe)))
        roan_watch_touch(call->engine, place->db, place->name, place->hash, place->stripe, place->entry == NULL);
    if (ROAN_UNLIKELY(call->engine->tracking_is_used))
        roan_tracking_changed(call->lane, call->session->id, place->name, place->hash, place->stripe);
    if (ROAN_UNLIKELY(roan_blocking_is_used(call->engine)))
        roan_blocking_key_changed(call->lane, place->db->number, place->stripe, place->name);
}

void roan_call_changed(roan_call *call, const roan_place *place, unsigned event_class, const char *event)
{
    call->dirty++;
    roan_call_changed_event(call, place, event_class, event);
}

void roan_call_changed_event(roan_call *call, const roan_place *place, unsigned event_class, const char *event)
{
    tell_sessions(call, place);
    roan_notify(call->lane, place->db, event_class, event, place->name);
}

void roan_call_db_changed(roan_call *call, const roan_db *db)
{
    roan_blocking_db_changed(call->lane, db->number);
}

/* The engine itself changed a key: its stripe is known, its hash is not. */
static void tell_sessions_of(roan_lane *lane, const roan_db *db, uint32_t stripe, roan_slice key, bool is_gone)
{
    roan_engine *engine = lane->engine;
    bool is_watched = roan_stripe_is_watched(engine, stripe);
    if (ROAN_UNLIKELY(is_watched || engine->tracking_is_used)) {
        uint64_t hash = roan_hash(&engine->table_context.secret, key.data, key.bytes);
        if (is_watched)
            roan_watch_touch(engine, db, key, hash, stripe, is_gone);
        if (engine->tracking_is_used)
            roan_tracking_changed(lane, 0, key, hash, stripe);
    }
    if (ROAN_UNLIKELY(roan_blocking_is_used(engine)))
        roan_blocking_key_changed(lane, db->number, stripe, key);
}

void roan_effects_deleted(roan_lane *lane, roan_db *db, const roan_table *table, roan_slice key, unsigned event_class,
                          const char *event)
{
    const roan_slice argv[] = {ROAN_LITERAL("UNLINK"), key};
    tell_sessions_of(lane, db, (uint32_t)(table - db->tables), key, true);
    roan_notify(lane, db, event_class, event, key);
    roan_effects_given(lane, db, ROAN_COUNT_OF(argv), argv);
}

void roan_effects_event(roan_lane *lane, roan_db *db, roan_slice key, bool is_gone, unsigned event_class,
                        const char *event)
{
    roan_notify(lane, db, event_class, event, key);
    tell_sessions_of(lane, db, roan_key_slot(key) & (lane->engine->stripe_count - 1), key, is_gone);
}

void roan_effects_given(roan_lane *lane, const roan_db *db, size_t argc, const roan_slice *argv)
{
    if (ROAN_UNLIKELY(lane->engine->on_effect != NULL))
        append_effect(lane, db, argc, argv);
}
