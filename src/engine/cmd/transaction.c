/* engine/cmd/transaction.c: MULTI, EXEC, DISCARD, WATCH, UNWATCH. Dispatch queues what comes between MULTI and EXEC,
 * and gives EXEC the locks of all of it; see engine/transaction.h and engine/watch.h. */
#include "engine/transaction.h"
#include "engine/watch.h"

ROAN_COMMAND(multi, .arity = 1,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST |
                 ROAN_CMD_NO_MULTI | ROAN_CMD_ALLOW_BUSY,
             .lock = ROAN_LOCK_L, .group = ROAN_GROUP_TRANSACTIONS, .since = "1.2.0",
             .complexity = "O(1)",
             .summary = "Begins a transaction: what follows is queued until EXEC.")
{
    roan_transaction_begin(call->session);
    roan_out_ok(call->out);
}

ROAN_COMMAND(exec, .arity = 1,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_SKIP_COMMANDLOG,
             .lock = ROAN_LOCK_E, .group = ROAN_GROUP_TRANSACTIONS, .since = "1.2.0",
             .complexity = "That of the queued commands together.",
             .summary = "Executes the queued commands at once, if no watched key was changed.")
{
    const roan_transaction *transaction = call->session->transaction;
    if (transaction == NULL) {
        roan_call_error(call, "ERR EXEC without MULTI");
        return;
    }
    if (transaction->is_refused)
        roan_call_error(call, "EXECABORT Transaction discarded because of previous errors.");
    else if (roan_watch_is_broken(call->session, call->now_ms))
        roan_out_null_array(call->out);
    else
        roan_transaction_run(call);
    roan_transaction_end(call->session);
}

ROAN_COMMAND(discard, .arity = 1,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST |
                 ROAN_CMD_ALLOW_BUSY,
             .lock = ROAN_LOCK_L, .group = ROAN_GROUP_TRANSACTIONS, .since = "2.0.0",
             .complexity = "O(N) for N queued commands.",
             .summary = "Ends a transaction without executing it, and all watching.")
{
    if (call->session->transaction == NULL) {
        roan_call_error(call, "ERR DISCARD without MULTI");
        return;
    }
    roan_transaction_end(call->session);
    roan_out_ok(call->out);
}

ROAN_COMMAND(watch, .arity = -2,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST |
                 ROAN_CMD_NO_MULTI | ROAN_CMD_ALLOW_BUSY,
             .lock = ROAN_LOCK_K, .keys = {ROAN_KEYS(1, -1, 1, ROAN_KEY_RO)},
             .group = ROAN_GROUP_TRANSACTIONS, .since = "2.2.0", .complexity = "O(1) for each key.",
             .summary = "Makes the next EXEC do nothing if one of these keys is changed before it.",
             .arguments = "key:key...")
{
    if (!roan_watch_is_touched(call->session)) /* otherwise EXEC fails anyway */
        for (size_t i = 1; i < call->argc; i++)
            roan_watch_add(call, i);
    roan_out_ok(call->out);
}

ROAN_COMMAND(unwatch, .arity = 1,
             .flags = ROAN_CMD_NO_SCRIPT | ROAN_CMD_LOADING | ROAN_CMD_STALE | ROAN_CMD_FAST |
                 ROAN_CMD_ALLOW_BUSY,
             .lock = ROAN_LOCK_L, .group = ROAN_GROUP_TRANSACTIONS, .since = "2.2.0",
             .complexity = "O(N) for N watched keys.",
             .summary = "Forgets all keys that this connection watches.")
{
    roan_watch_forget(call->session);
    roan_out_ok(call->out);
}
