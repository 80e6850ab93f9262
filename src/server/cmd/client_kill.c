/* server/cmd/client_kill.c: CLIENT KILL: closes the connections a filter lets through.
 *
 * Runs alone. Connections of other workers are only marked here; their workers close them before they execute anything
 * more for them. The connection that asks gets its answer before it is closed itself.
 */
#include "server/cmd/client_list.h"

/* CLIENT KILL ip:port. One connection at most comes from an address. */
static void kill_address(roan_call *call)
{
    roan_client_filter filter = {0};
    filter.conditions[0][ROAN_CLIENT_ADDR] = (roan_client_condition){.is_set = true, .text = call->argv[2]};
    roan_session **sessions;
    size_t room, count = roan_client_select(call, &filter, &sessions, &room);
    if (count == 0) {
        roan_call_error(call, "ERR No such client");
    } else {
        roan_out_ok(call->out);
        roan_session_close(sessions[0], sessions[0] == call->session);
    }
    roan_free(sessions, room * sizeof(roan_session *));
}

static void kill_matching(roan_call *call)
{
    roan_client_filter filter = {.skip_me = true};
    roan_session **sessions;
    size_t room;
    if (!roan_client_filter_parse(&filter, call, 2))
        return;
    size_t count = roan_client_select(call, &filter, &sessions, &room);
    for (size_t i = 0; i < count; i++)
        roan_session_close(sessions[i], sessions[i] == call->session);
    roan_out_integer(call->out, (int64_t)count);
    roan_free(sessions, room * sizeof(roan_session *));
    roan_client_filter_done(&filter);
}

ROAN_SUBCOMMAND(client, kill, .arity = -3,
                .flags = ROAN_CMD_ADMIN | ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE,
                .lock = ROAN_LOCK_X, .group = ROAN_GROUP_CONNECTION, .since = "2.4.0",
                .complexity = "O(C) for C connections.",
                .summary = "Closes the connections that match an address or a set of filters.",
                .arguments = "filter<old-format=ip:port|"
                             "new-format<[ID client-id:integer^2.8.12...]|"
                             "[TYPE client-type^2.8.12<NORMAL|MASTER^3.2.0|PRIMARY^8.0.0|SLAVE|"
                             "REPLICA^5.0.0|PUBSUB>]|[USER username]|[ADDR addr=ip:port]|"
                             "[LADDR laddr=ip:port^6.2.0]|[SKIPME skipme<YES|NO>]|"
                             "[MAXAGE maxage:integer^8.0.0]|[NAME name^9.0.0]|"
                             "[IDLE idle:integer^9.0.0]|[FLAGS flags^9.0.0]|"
                             "[LIB-NAME lib-name^9.0.0]|[LIB-VER lib-ver^9.0.0]|"
                             "[DB db:integer^9.0.0]|[CAPA capa^9.0.0]|[IP ip^9.0.0]|"
                             "[NOT-TYPE not-client-type^9.0.0<NORMAL|MASTER|PRIMARY|SLAVE|"
                             "REPLICA|PUBSUB>]|[NOT-ID not-client-id:integer^9.0.0...]|"
                             "[NOT-USER not-username^9.0.0]|[NOT-ADDR not-addr=ip:port^9.0.0]|"
                             "[NOT-LADDR not-laddr=ip:port^9.0.0]|[NOT-NAME not-name^9.0.0]|"
                             "[NOT-FLAGS not-flags^9.0.0]|[NOT-LIB-NAME not-lib-name^9.0.0]|"
                             "[NOT-LIB-VER not-lib-ver^9.0.0]|[NOT-DB not-db:integer^9.0.0]|"
                             "[NOT-CAPA not-capa^9.0.0]|[NOT-IP not-ip^9.0.0]>...>",
                .history = "2.8.12|Filters may be given instead of an address.\n2.8.12|Filter "
                           "ID.\n3.2.0|TYPE knows master.\n5.0.0|TYPE knows replica; slave stays "
                           "as another word for it.\n6.2.0|Filter LADDR.\n8.0.0|Filter MAXAGE.\n"
                           "8.0.0|TYPE knows primary; master stays as another word for it.\n"
                           "8.1.0|ID takes several numbers.\n9.0.0|Filters NAME, IDLE, FLAGS, "
                           "LIB-NAME, LIB-VER, DB, CAPA and IP, and a NOT- form of each.")
{
    if (call->argc == 3)
        kill_address(call);
    else
        kill_matching(call);
}
