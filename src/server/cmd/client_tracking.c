/* server/cmd/client_tracking.c: CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO; see engine/tracking.h. */
#include "engine/broadcast.h"

#include "base/macros.h"

/* ---- options ---- */

typedef struct tracking_words {
    roan_tracking_options options;
    roan_slice *prefixes; /* as many as there are words */
} tracking_words;

/* False after an error was sent. */
static bool parse_redirect(roan_call *call, size_t index, roan_tracking_options *options)
{
    int64_t id;
    if (options->redirect != NULL) {
        roan_call_error(call, "ERR A client can only redirect to a single other client");
        return false;
    }
    if (!roan_call_integer(call, index, &id, NULL))
        return false;
    options->redirect = id > 0 ? roan_sessions_find(call->engine, (uint64_t)id) : NULL;
    if (options->redirect != NULL && !options->redirect->is_closing)
        return true;
    roan_call_error(call, "ERR The client ID you want redirect to does not exist");
    return false;
}

static bool parse_options(roan_call *call, tracking_words *words)
{
    roan_tracking_options *options = &words->options;
    for (size_t i = 3; i < call->argc; i++) {
        bool has_more = i + 1 < call->argc;
        if (has_more && roan_call_is(call, i, "redirect")) {
            if (!parse_redirect(call, ++i, options))
                return false;
        } else if (roan_call_is(call, i, "bcast")) {
            options->is_broadcast = true;
        } else if (roan_call_is(call, i, "optin")) {
            options->is_optin = true;
        } else if (roan_call_is(call, i, "optout")) {
            options->is_optout = true;
        } else if (roan_call_is(call, i, "noloop")) {
            options->is_noloop = true;
        } else if (has_more && roan_call_is(call, i, "prefix")) {
            words->prefixes[options->prefix_count++] = call->argv[++i];
        } else {
            roan_call_syntax_error(call);
            return false;
        }
    }
    return true;
}

/* Why the options contradict each other, or what the session does already; NULL: they do not. */
static const char *find_conflict(const roan_tracking_options *options, const roan_tracker *now)
{
    if (!options->is_broadcast && options->prefix_count > 0)
        return "ERR PREFIX option requires BCAST mode to be enabled";
    if (now != NULL && now->is_broadcast != options->is_broadcast)
        return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling "
               "it with a different mode.";
    if (options->is_broadcast && (options->is_optin || options->is_optout))
        return "ERR OPTIN and OPTOUT are not compatible with BCAST";
    if (options->is_optin && options->is_optout)
        return "ERR You can't specify both OPTIN mode and OPTOUT mode";
    if (now != NULL && ((options->is_optin && now->is_optout) || (options->is_optout && now->is_optin)))
        return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling "
               "it with a different mode.";
    return NULL;
}

/* One begins with the other. */
static bool overlap(roan_slice a, roan_slice b)
{
    size_t bytes = ROAN_MIN(a.bytes, b.bytes);
    return bytes == 0 || memcmp(a.data, b.data, bytes) == 0;
}

static bool refuse_overlap(roan_call *call, roan_slice prefix, const char *what, roan_slice other)
{
    roan_call_error_printf(call, "ERR Prefix '%.*s' overlaps with %s prefix '%.*s'. Prefixes for a single client "
                           "must not overlap.", ROAN_SLICE_ARG(prefix), what, ROAN_SLICE_ARG(other));
    return false;
}

/* No key may have two of a client's prefixes. */
static bool check_prefixes(roan_call *call, const roan_tracking_options *options, const roan_tracker *now)
{
    for (size_t i = 0; i < options->prefix_count; i++) {
        roan_slice prefix = options->prefixes[i];
        for (size_t j = 0; now != NULL && j < now->prefixes.count; j++)
            if (overlap(prefix, roan_broadcast_prefix(now, j)))
                return refuse_overlap(call, prefix, "an existing", roan_broadcast_prefix(now, j));
        for (size_t j = i + 1; j < options->prefix_count; j++)
            if (overlap(prefix, options->prefixes[j]))
                return refuse_overlap(call, prefix, "another provided", options->prefixes[j]);
    }
    return true;
}

static bool switch_on(roan_call *call, const roan_tracking_options *options)
{
    const roan_tracker *now = roan_tracking_of(call->session);
    const char *conflict = find_conflict(options, now);
    if (conflict != NULL) {
        roan_call_error(call, conflict);
        return false;
    }
    if (!check_prefixes(call, options, now))
        return false;
    roan_tracking_on(call->session, options);
    return true;
}

static bool apply(roan_call *call, tracking_words *words)
{
    words->options.prefixes = words->prefixes;
    if (!parse_options(call, words))
        return false;
    if (roan_call_is(call, 2, "on"))
        return switch_on(call, &words->options);
    if (roan_call_is(call, 2, "off")) {
        roan_tracking_off(call->session);
        return true;
    }
    roan_call_syntax_error(call);
    return false;
}

ROAN_SUBCOMMAND(client, tracking, .arity = -3,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_CONNECTION, .since = "6.0.0",
                .complexity = "O(P) for P prefixes that are registered.",
                .summary = "Asks to be told when keys change that this connection keeps copies of.",
                .arguments = "status<ON|OFF> [REDIRECT client-id:integer] [PREFIX prefix....] [BCAST] "
                             "[OPTIN] [OPTOUT] [NOLOOP]")
{
    tracking_words words = {.prefixes = roan_alloc(call->argc * sizeof(roan_slice))};
    if (apply(call, &words))
        roan_out_ok(call->out);
    roan_free(words.prefixes, call->argc * sizeof(roan_slice));
}

/* ---- the rest ---- */

/* The error of CLIENT CACHING; NULL: none. */
static const char *check_caching(const roan_call *call)
{
    const roan_tracker *tracker = roan_tracking_of(call->session);
    if (tracker == NULL)
        return "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode "
               "enabled";
    bool is_yes = roan_call_is(call, 2, "yes");
    if (!is_yes && !roan_call_is(call, 2, "no"))
        return "ERR syntax error";
    if (is_yes ? tracker->is_optin : tracker->is_optout)
        return NULL;
    return is_yes ? "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."
                  : "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.";
}

ROAN_SUBCOMMAND(client, caching, .arity = 3,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE |
                    ROAN_CMD_ALLOW_BUSY,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "6.0.0",
                .complexity = "O(1)",
                .summary = "Says whether what the next command reads is to be tracked.",
                .arguments = "mode<YES|NO>")
{
    const char *error = check_caching(call);
    if (error != NULL) {
        roan_call_error(call, error);
        return;
    }
    call->session->caching_given = true;
    roan_out_ok(call->out);
}

static int64_t redirect_of(const roan_session *session)
{
    const roan_tracker *tracker = roan_tracking_of(session);
    return tracker == NULL ? -1 : (int64_t)tracker->redirect_id;
}

ROAN_SUBCOMMAND(client, getredir, .arity = 2,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE |
                    ROAN_CMD_ALLOW_BUSY,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "6.0.0",
                .complexity = "O(1)",
                .summary = "Shows the connection that gets this one's tracking messages.")
{
    roan_out_integer(call->out, redirect_of(call->session));
}

static void reply_flags(const roan_session *session, roan_out *out)
{
    static const roan_tracker off;
    const roan_tracker *tracker = roan_tracking_of(session);
    const roan_tracker *t = tracker != NULL ? tracker : &off;
    const struct {
        bool is_set;
        const char *name;
    } flags[] = {
        {tracker != NULL, "on"},
        {tracker == NULL, "off"},
        {t->is_broadcast, "bcast"},
        {t->is_optin, "optin"},
        {t->is_optin && session->caching_given, "caching-yes"},
        {t->is_optout, "optout"},
        {t->is_optout && session->caching_given, "caching-no"},
        {t->is_noloop, "noloop"},
        {atomic_load_explicit(&t->is_redirect_broken, memory_order_relaxed), "broken_redirect"},
    };
    size_t count = 0;
    for (size_t i = 0; i < ROAN_COUNT_OF(flags); i++)
        count += flags[i].is_set;
    roan_out_set(out, count);
    for (size_t i = 0; i < ROAN_COUNT_OF(flags); i++)
        if (flags[i].is_set)
            roan_out_bulk_text(out, flags[i].name);
}

ROAN_SUBCOMMAND(client, trackinginfo, .arity = 2,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "6.2.0",
                .complexity = "O(P) for P prefixes of this connection.",
                .summary = "Shows how this connection tracks keys.")
{
    const roan_tracker *tracker = roan_tracking_of(call->session);
    size_t prefix_count = tracker == NULL ? 0 : tracker->prefixes.count;
    roan_out_map(call->out, 3);
    roan_out_bulk_text(call->out, "flags");
    reply_flags(call->session, call->out);
    roan_out_bulk_text(call->out, "redirect");
    roan_out_integer(call->out, redirect_of(call->session));
    roan_out_bulk_text(call->out, "prefixes");
    roan_out_array(call->out, prefix_count);
    for (size_t i = 0; i < prefix_count; i++)
        roan_out_bulk(call->out, roan_broadcast_prefix(tracker, i));
}
