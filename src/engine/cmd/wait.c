/* engine/cmd/wait.c: WAIT and WAITAOF. There are no replicas and no log yet: what is waited for never comes, so a
 * call that asks for none answers at once and any other when its time is over. */
#include "engine/blocking.h"
#include "engine/command_keys.h"

static void end_wait(roan_session *session, roan_unblock_reason reason)
{
    if (reason == ROAN_UNBLOCK_ERROR)
        roan_out_error(&session->out, ROAN_LITERAL("UNBLOCKED client unblocked via CLIENT UNBLOCK"));
    else if (reason != ROAN_UNBLOCK_CLOSED)
        roan_out_integer(&session->out, 0);
}

ROAN_COMMAND(wait, .arity = 3, .flags = ROAN_CMD_BLOCKING,
             .acl = ROAN_ACL_NO_GROUP | ROAN_ACL_CONNECTION, .lock = ROAN_LOCK_X,
             .group = ROAN_GROUP_GENERIC, .since = "3.0.0", .complexity = "O(1)",
             .summary = "Waits until enough replicas have received this connection's writes.",
             .arguments = "numreplicas:integer timeout:integer",
             .tips = "request_policy:all_shards response_policy:agg_min")
{
    int64_t replicas, timeout_ms;
    if (!roan_call_integer(call, 1, &replicas, NULL) || !roan_call_timeout_ms(call, 2, &timeout_ms))
        return;
    if (replicas <= 0)
        roan_out_integer(call->out, 0);
    else
        roan_call_block(call, timeout_ms, end_wait);
}

static void end_waitaof(roan_session *session, roan_unblock_reason reason)
{
    if (reason == ROAN_UNBLOCK_ERROR) {
        roan_out_error(&session->out, ROAN_LITERAL("UNBLOCKED client unblocked via CLIENT UNBLOCK"));
        return;
    }
    if (reason == ROAN_UNBLOCK_CLOSED)
        return;
    roan_out_array(&session->out, 2);
    roan_out_integer(&session->out, 0);
    roan_out_integer(&session->out, 0);
}

ROAN_COMMAND(waitaof, .arity = 4, .flags = ROAN_CMD_BLOCKING,
             .acl = ROAN_ACL_NO_GROUP | ROAN_ACL_CONNECTION, .lock = ROAN_LOCK_X,
             .group = ROAN_GROUP_GENERIC, .since = "7.2.0", .complexity = "O(1)",
             .summary = "Waits until this connection's writes are safe in the log file here and "
                        "on enough replicas.",
             .arguments = "numlocal:integer numreplicas:integer timeout:integer",
             .tips = "request_policy:all_shards response_policy:agg_min")
{
    int64_t local, replicas, timeout_ms;
    if (!roan_call_integer_in(call, 1, 0, 1, &local, NULL) ||
        !roan_call_integer_in(call, 2, 0, INT64_MAX, &replicas, NULL) || !roan_call_timeout_ms(call, 3, &timeout_ms))
        return;
    if (local > 0) {
        roan_call_error(call, "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
        return;
    }
    if (replicas == 0)
        end_waitaof(call->session, ROAN_UNBLOCK_TIMEOUT);
    else
        roan_call_block(call, timeout_ms, end_waitaof);
}
