/* server/reset.c: see reset.h. Everything happens with the gate shut, so clients see it before or after.
 *
 * What commands can do is done by the commands themselves, run for a session of our own as EXEC runs what it queued: who
 * watches, waits, tracks or listens learns of it as of any other change.
 */
#include "server/reset.h"

#include "base/macros.h"
#include "engine/acl.h"
#include "engine/blocking.h"
#include "engine/call.h"
#include "engine/effects.h"
#include "engine/dispatch.h"

#define COMMAND_WORDS_MAX 3

struct roan_reset {
    roan_config config;
    roan_buffer users;
    unsigned random_count;
    roan_random *randoms; /* by lane */
};

static const struct {
    size_t argc;
    const char *words[COMMAND_WORDS_MAX];
} commands[] = {
    {2, {"CLIENT", "UNPAUSE"}},
    {2, {"FLUSHALL", "SYNC"}},
    {3, {"SCRIPT", "FLUSH", "SYNC"}},
    {3, {"FUNCTION", "FLUSH", "SYNC"}},
    {3, {"COMMANDLOG", "RESET", "slow"}},
    {3, {"COMMANDLOG", "RESET", "large-request"}},
    {3, {"COMMANDLOG", "RESET", "large-reply"}},
    {2, {"LATENCY", "RESET"}},
    {3, {"ACL", "LOG", "RESET"}},
    {2, {"CONFIG", "RESETSTAT"}}, /* the last: those above are counted as well */
};

roan_reset *roan_reset_create(const roan_engine *engine)
{
    roan_reset *reset = roan_alloc_zero(sizeof *reset);
    roan_config_copy(&reset->config, &engine->config);
    roan_acl_print(engine->acl, &reset->users);
    reset->random_count = engine->lane_count;
    reset->randoms = roan_alloc(engine->lane_count * sizeof *reset->randoms);
    for (unsigned i = 0; i < engine->lane_count; i++)
        reset->randoms[i] = engine->lanes[i].random;
    return reset;
}

roan_reset *roan_reset_free(roan_reset *reset)
{
    if (reset == NULL)
        return NULL;
    roan_config_done(&reset->config);
    roan_buffer_done(&reset->users);
    roan_free(reset->randoms, reset->random_count * sizeof *reset->randoms);
    roan_free(reset, sizeof *reset);
    return NULL;
}

/* ---- configuration ---- */

static bool has_changed(const roan_reset *reset, const roan_config *config, const roan_option *option,
                        roan_buffer *ret_text)
{
    roan_buffer now = {0};
    if ((option->flags & (ROAN_OPTION_IMMUTABLE | ROAN_OPTION_FILE | ROAN_OPTION_FIXED)) != 0)
        return false;
    roan_option_format(&reset->config, option, ret_text);
    roan_option_format(config, option, &now);
    bool is_other = !roan_slice_equal(roan_buffer_slice(&now), roan_buffer_slice(ret_text));
    roan_buffer_done(&now);
    return is_other;
}

/* One by one, so that one that cannot be undone does not keep the others. */
static void reset_config(const roan_reset *reset, roan_engine *engine)
{
    for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) {
        roan_buffer text = {0};
        roan_change change = {.hooks = engine->host.config_hooks, .allow_protected = true};
        if (has_changed(reset, &engine->config, option, &text)) {
            roan_slice words[2] = {roan_slice_from_text(option->name), roan_buffer_slice(&text)};
            if (words[1].data == NULL)
                words[1] = ROAN_LITERAL("");
            ROAN_IGNORE(roan_config_change(&engine->config, &change, 1, words)); /* it was so once, and that worked */
        }
        roan_buffer_done(&text);
    }
    roan_engine_take_limits(engine);
}

static void reset_users(const roan_reset *reset, roan_engine *engine)
{
    roan_buffer now = {0}, errors = {0};
    roan_acl_print(engine->acl, &now);
    if (!roan_slice_equal(roan_buffer_slice(&now), roan_buffer_slice(&reset->users)))
        ROAN_ASSERT(roan_acl_load(engine, NULL, "users", roan_buffer_slice(&reset->users), &errors));
    roan_buffer_done(&now);
    roan_buffer_done(&errors);
}

/* ---- commands ---- */

static void describe(const roan_session *session, roan_transport_info *info)
{
    (void)session;
    *info = (roan_transport_info){.peer = "reset", .local = "", .fd = -1};
}

static void ignore_close(roan_session *session, bool after_replies)
{
    (void)session, (void)after_replies;
}

static void ignore(roan_session *session)
{
    (void)session;
}

static const roan_session_ops reset_ops = {
    .describe = describe, .close = ignore_close, .output_ready = ignore, .resume = ignore};

static void run_commands(roan_lane *lane)
{
    roan_session session;
    roan_session_init(&session, lane, &reset_ops);
    session.is_embedded = session.is_authenticated = true;
    roan_call outer = {.engine = lane->engine, .lane = lane, .session = &session, .now_ms = lane->now_ms};
    for (size_t i = 0; i < ROAN_COUNT_OF(commands); i++) {
        roan_slice argv[COMMAND_WORDS_MAX];
        for (size_t j = 0; j < commands[i].argc; j++)
            argv[j] = roan_slice_from_text(commands[i].words[j]);
        roan_request request = {.argc = commands[i].argc, .argv = argv};
        roan_request_prepare(&session, &request);
        ROAN_ASSERT(request.command != NULL);
        roan_call_run_inner(&outer, &session, &request);
    }
    roan_effects_hand_over(lane);
    roan_blocking_serve(lane);
    roan_session_done(&session);
}

bool roan_reset_run(const roan_reset *reset, roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    if (!roan_gate_shut(lane))
        return false;
    roan_lane_update_time(lane);
    reset_config(reset, engine);
    reset_users(reset, engine);
    engine->active_expire_is_on = true;
    engine->cron_is_paused = false;
    run_commands(lane);
    for (unsigned i = 0; i < reset->random_count; i++)
        engine->lanes[i].random = reset->randoms[i];
    roan_gate_open(lane);
    return true;
}
