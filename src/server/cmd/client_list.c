/* server/cmd/client_list.c: CLIENT LIST and INFO: connections as lines of fields.
 *
 * What the engine knows comes from the session, what the transport knows from its describe operation.
 */
#include "server/cmd/client_list.h"

#include "base/macros.h"
#include "engine/acl_user.h"
#include "engine/pubsub.h"
#include "engine/tracking.h"
#include "engine/transaction.h"
#include "engine/watch.h"

#include <stdlib.h>

void roan_client_look(roan_session *session, roan_client_view *ret_view)
{
    *ret_view = (roan_client_view){.session = session};
    if (session->ops->describe != NULL)
        session->ops->describe(session, &ret_view->info);
    const roan_tracker *tracker = roan_tracking_of(session);
    const bool is_set[] = {
        session->modes & ROAN_MODE_MONITOR,
        session->modes & ROAN_MODE_SUBSCRIBED,
        session->modes & ROAN_MODE_TRANSACTION,
        session->is_blocked || session->is_paused,
        tracker != NULL,
        tracker != NULL && atomic_load_explicit(&tracker->is_redirect_broken, memory_order_relaxed),
        tracker != NULL && tracker->is_broadcast,
        roan_watch_is_touched(session),
        session->is_closing,
        ret_view->info.is_unix,
        session->no_evict,
        session->no_touch,
        session->import_source,
    };
    static const char letters[] = "OPxbtRBdcUeTI";
    _Static_assert(sizeof letters - 1 == ROAN_COUNT_OF(is_set), "a letter for each");
    char *at = ret_view->flags;
    for (size_t i = 0; i < ROAN_COUNT_OF(is_set); i++)
        if (is_set[i])
            *at++ = letters[i];
    if (at == ret_view->flags)
        *at++ = 'N';
    *at = '\0';
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* What has been queued since MULTI; what a touched watch has made useless does not count. */
static const roan_transaction *useful_transaction(const roan_session *session)
{
    return session->transaction == NULL || roan_watch_is_touched(session) ? NULL : session->transaction;
}

static int64_t queued_count(const roan_session *session)
{
    const roan_transaction *transaction = useful_transaction(session);
    if (session->transaction == NULL)
        return -1;
    return transaction == NULL ? 0 : (int64_t)transaction->count;
}

static size_t queued_bytes(const roan_session *session)
{
    const roan_transaction *transaction = useful_transaction(session);
    return transaction == NULL ? 0 : transaction->argument_bytes;
}

/* Of the request that is being executed. */
static size_t bytes_of_words(const roan_call *call)
{
    size_t bytes = 0;
    while (call->outer != NULL)
        call = call->outer;
    for (size_t i = 0; i < call->argc; i++)
        bytes += call->argv[i].bytes;
    return bytes;
}

/* Appends the fields of a connection, ended by a line feed. The call is the one that asks. */
static void describe(const roan_call *call, const roan_client_view *view, roan_buffer *text)
{
    const roan_session *s = view->session;
    const roan_transport_info *info = &view->info;
    bool is_self = s == call->session;
    roan_buffer_printf(text, "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s capa=%s db=%u",
                       (unsigned long long)s->id, or_empty(info->peer), or_empty(info->local), info->fd,
                       or_empty(s->name), (long long)((call->now_ms - s->created_ms) / 1000),
                       is_self ? 0 : (long long)((call->now_ms - s->last_command_ms) / 1000), view->flags,
                       s->capa_redirect ? "r" : "", s->db);
    roan_buffer_printf(text, " sub=%zu psub=%zu ssub=%zu multi=%lld watch=%zu qbuf=%zu qbuf-free=%zu argv-mem=%zu "
                       "multi-mem=%zu", roan_pubsub_count(s, ROAN_TOPIC_CHANNEL),
                       roan_pubsub_count(s, ROAN_TOPIC_PATTERN), roan_pubsub_count(s, ROAN_TOPIC_SHARD_CHANNEL),
                       (long long)queued_count(s), roan_watch_count(s), info->query_bytes, info->query_free_bytes,
                       is_self ? bytes_of_words(call) : info->argument_bytes, queued_bytes(s));
    roan_buffer_printf(text, " rbs=%zu rbp=%zu obl=%zu oll=%zu omem=%zu tot-mem=%zu events=%s cmd=%s user=%s "
                       "redir=%lld",
                       info->reply_buffer_bytes, info->reply_buffer_peak, info->reply_buffer_used, info->output_chunks,
                       info->output_bytes, info->total_bytes, info->writable_wanted ? "rw" : "r",
                       s->last_command != NULL ? s->last_command->name : "NULL", s->user->name,
                       roan_tracking_of(s) != NULL ? (long long)s->tracker->redirect_id : -1LL);
    roan_buffer_printf(text, " resp=%u lib-name=%s lib-ver=%s tot-net-in=%llu tot-net-out=%llu tot-cmds=%llu\n",
                       s->out.protocol, or_empty(s->lib_name), or_empty(s->lib_version),
                       (unsigned long long)s->bytes_in, (unsigned long long)s->bytes_out,
                       (unsigned long long)s->commands);
}

void roan_client_describe_caller(void *context, const roan_call *call, roan_buffer *ret_line)
{
    (void)context;
    roan_client_view view;
    roan_client_look(call->session, &view);
    describe(call, &view, ret_line);
    ret_line->bytes--; /* its end */
}

static void reply_text(roan_call *call, roan_buffer *text)
{
    roan_out_verbatim(call->out, "txt", roan_buffer_slice(text));
    roan_buffer_done(text);
}

ROAN_SUBCOMMAND(client, info, .arity = 2,
                .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_L, .group = ROAN_GROUP_CONNECTION, .since = "6.2.0",
                .complexity = "O(1)", .summary = "Describes this connection in one line.",
                .tips = "nondeterministic_output")
{
    roan_buffer text = {0};
    roan_client_view view;
    roan_client_look(call->session, &view);
    describe(call, &view, &text);
    reply_text(call, &text);
}

static int compare_ids(const void *a, const void *b)
{
    const roan_session *x = *(roan_session *const *)a, *y = *(roan_session *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

size_t roan_client_select(roan_call *call, const roan_client_filter *filter, roan_session ***ret_sessions,
                          size_t *ret_room)
{
    size_t room = 1, count = 0;
    for (unsigned i = 0; i < call->engine->lane_count; i++)
        room += call->engine->lanes[i].session_count;
    roan_session **sessions = roan_alloc(room * sizeof(roan_session *));
    for (roan_session *s = roan_sessions_first(call->engine); s != NULL; s = roan_sessions_next(s)) {
        roan_client_view view;
        if (s->is_embedded || s->is_gone || (filter->skip_me && s == call->session))
            continue;
        roan_client_look(s, &view);
        if (roan_client_filter_matches(filter, &view, call->now_ms))
            sessions[count++] = s;
    }
    ROAN_ASSERT(count < room);
    qsort(sessions, count, sizeof(roan_session *), compare_ids);
    *ret_sessions = sessions;
    *ret_room = room;
    return count;
}

ROAN_SUBCOMMAND(client, list, .arity = -2,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_CONNECTION, .since = "2.4.0",
                .complexity = "O(C) for C connections.",
                .summary = "Describes every connection, one per line.",
                .arguments = "[TYPE client-type^5.0.0<NORMAL|MASTER|REPLICA|PUBSUB>] "
                             "[ID client-id:integer^6.2.0...] [USER username^8.1.0] "
                             "[ADDR addr=ip:port^8.1.0] [LADDR laddr=ip:port^8.1.0] "
                             "[SKIPME skipme^8.1.0<YES|NO>] [MAXAGE maxage:integer^8.1.0] "
                             "[NAME name^9.0.0] [IDLE idle:integer^9.0.0] [FLAGS flags^9.0.0] "
                             "[LIB-NAME lib-name^9.0.0] [LIB-VER lib-ver^9.0.0] "
                             "[DB db:integer^9.0.0] [CAPA capa^9.0.0] [IP ip^9.0.0] "
                             "[NOT-TYPE not-client-type^9.0.0<NORMAL|MASTER|REPLICA|PUBSUB>] "
                             "[NOT-ID not-client-id:integer^9.0.0...] "
                             "[NOT-USER not-username^9.0.0] [NOT-ADDR not-addr=ip:port^9.0.0] "
                             "[NOT-LADDR not-laddr=ip:port^9.0.0] [NOT-NAME not-name^9.0.0] "
                             "[NOT-FLAGS not-flags^9.0.0] [NOT-LIB-NAME not-lib-name^9.0.0] "
                             "[NOT-LIB-VER not-lib-ver^9.0.0] [NOT-DB not-db:integer^9.0.0] "
                             "[NOT-CAPA not-capa^9.0.0] [NOT-IP not-ip^9.0.0]",
                .tips = "nondeterministic_output",
                .history = "2.8.12|Field id.\n5.0.0|Filter TYPE.\n6.0.0|Field user.\n"
                           "6.2.0|Fields argv-mem, tot-mem, laddr and redir; filter ID.\n"
                           "7.0.0|Fields resp, multi-mem, rbs and rbp.\n7.0.3|Field ssub.\n"
                           "8.0.0|TYPE knows primary; master stays as another word for it.\n"
                           "8.1.0|Filters USER, ADDR, LADDR, SKIPME and MAXAGE.\n9.0.0|Filters "
                           "NAME, IDLE, FLAGS, LIB-NAME, LIB-VER, DB, CAPA and IP, and a NOT- "
                           "form of each.")
{
    roan_client_filter filter = {0};
    roan_session **sessions;
    size_t room;
    if (!roan_client_filter_parse(&filter, call, 2))
        return;
    roan_buffer text = {0};
    size_t count = roan_client_select(call, &filter, &sessions, &room);
    for (size_t i = 0; i < count; i++) {
        roan_client_view view;
        roan_client_look(sessions[i], &view);
        describe(call, &view, &text);
    }
    roan_free(sessions, room * sizeof(roan_session *));
    roan_client_filter_done(&filter);
    reply_text(call, &text);
}
