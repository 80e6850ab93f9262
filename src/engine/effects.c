/* engine/effects.c: collects the effects of a call and hands them to whoever listens; see effects.h.
 *
 * Given effects are kept in the lane's effect buffer as words (length, bytes); nothing is collected while nobody listens.
 */
#include "engine/effects.h"

#include "base/macros.h"
#include "engine/blocking.h"

void roan_effects_deleted(roan_lane *lane, roan_db *db, roan_slice key, unsigned event_class, const char *event)
{
    roan_slice argv[] = {ROAN_LITERAL("UNLINK"), key};
    roan_effects_event(lane, db, key, event_class, event);
    roan_effects_given(lane, db, ROAN_COUNT_OF(argv), argv);
}

void roan_effects_event(roan_lane *lane, roan_db *db, roan_slice key, unsigned event_class, const char *event)
{
    if (roan_blocking_is_used(lane->engine))
        roan_blocking_key_changed(lane, db->number, roan_key_slot(key) & (lane->engine->stripe_count - 1), key);
    (void)event_class; /* events are delivered when keyspace notifications exist */
    (void)event;
}

void roan_effects_given(roan_lane *lane, roan_db *db, size_t argc, const roan_slice *argv)
{
    roan_engine *engine = lane->engine;
    if (engine->on_effect != NULL)
        engine->on_effect(engine->effect_context, db->number, argc, argv);
}

static void wake_waiters(roan_call *call, const roan_place *place)
{
    if (roan_blocking_is_used(call->engine))
        roan_blocking_key_changed(call->lane, place->db->number, place->stripe, place->name);
}

void roan_call_changed(roan_call *call, const roan_place *place, unsigned event_class, const char *event)
{
    (void)event_class;
    (void)event;
    call->dirty++;
    wake_waiters(call, place);
}

void roan_call_changed_event(roan_call *call, const roan_place *place, unsigned event_class, const char *event)
{
    wake_waiters(call, place);
    (void)event_class;
    (void)event;
}

void roan_call_db_changed(roan_call *call, const roan_db *db)
{
    roan_blocking_db_changed(call->lane, db->number);
}

void roan_call_effect(roan_call *call, size_t argc, const roan_slice *argv)
{
    call->has_effect = true;
    if (call->engine->on_effect == NULL)
        return;
    roan_buffer *effects = &call->lane->effects;
    roan_buffer_append(effects, (const char *)&argc, sizeof argc);
    for (size_t i = 0; i < argc; i++) {
        roan_buffer_append(effects, (const char *)&argv[i].bytes, sizeof argv[i].bytes);
        roan_buffer_append_slice(effects, argv[i]);
    }
}

void roan_call_force_effect(roan_call *call)
{
    call->forces_effect = true;
}

void roan_call_no_effect(roan_call *call)
{
    call->has_effect = true;
}

static size_t read_size(const char **at)
{
    size_t value;
    memcpy(&value, *at, sizeof value);
    *at += sizeof value;
    return value;
}

static void hand_over_given(roan_call *call)
{
    roan_engine *engine = call->engine;
    roan_buffer *effects = &call->lane->effects;
    const char *at = effects->data, *end = effects->data + effects->bytes;
    while (at < end) {
        size_t argc = read_size(&at);
        roan_slice *argv = roan_alloc(ROAN_MAX(argc, 1u) * sizeof *argv);
        for (size_t i = 0; i < argc; i++) {
            argv[i].bytes = read_size(&at);
            argv[i].data = at;
            at += argv[i].bytes;
        }
        engine->on_effect(engine->effect_context, call->db->number, argc, argv);
        roan_free(argv, ROAN_MAX(argc, 1u) * sizeof *argv);
    }
    effects->bytes = 0;
}

void roan_effects_finish(roan_call *call)
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
    if (ROAN_LIKELY(engine->on_effect == NULL))
        return;
    if (call->has_effect)
        hand_over_given(call);
    else
        engine->on_effect(engine->effect_context, call->db->number, call->argc, call->argv);
}
