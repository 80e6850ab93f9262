/* client/batch.c: many commands as one future.
 *
 * A batch is a future from the beginning: every command is checked and encoded into its request when it is added, so
 * that it is sent as one piece, and the future counts the replies that are due. What the commands are is kept beside,
 * for the prefix in their replies and for the state of a leased connection. When the last reply has come, finish_*()
 * makes the result.
 *
 *     created --add--> ... --go--> submitted like any future (future.h)
 *                       \--free
 */
#include "roan/batch.h"

#include "base/macros.h"
#include "client/code.h"
#include "client/faces.h"
#include "client/handle.h"
#include "resp/reply_reader.h"

#include <stdlib.h>
#include <string.h>

/* Scripts beyond these bring their body with every run. */
#define CODES_MAX 8

struct roan_batch {
    roan *client;
    roan_future *future;
    const roan_command_traits **parts;
    size_t count, capacity;
    int64_t block_us;   /* how long the server may block: all of them together; INT64_MAX: for ever */
    bool is_atomic;
    uint64_t codes[CODES_MAX]; /* whose bodies it brings along, see code.h */
    unsigned codes_count;
    roan_error problem; /* code ROAN_OK: none so far */
};

/* Replies to these are not one for one. */
#define STATES_WITHOUT_REPLY ((uint32_t)(ROAN_STATE_SUBSCRIBE | ROAN_STATE_MONITOR | ROAN_STATE_REPLY_MODE))
/* Not inside a transaction. */
#define STATES_NOT_ATOMIC ((uint32_t)(ROAN_STATE_MULTI | ROAN_STATE_WATCH | ROAN_STATE_RESET | ROAN_STATE_QUIT))

/* What the hooks and failures call it. */
static const roan_command_traits plain_traits = {.name = "batch", .retry = ROAN_RETRY_NEVER, .is_known = true};
static const roan_command_traits atomic_traits = {.name = "transaction", .retry = ROAN_RETRY_NEVER, .is_known = true};

static const roan_slice multi_words[] = {{"MULTI", 5}};
static const roan_slice exec_words[] = {{"EXEC", 4}};

/* ---- making one ---- */

roan_batch *roan_batch_create(roan *client, bool is_atomic)
{
    roan_batch *batch = calloc(1, sizeof *batch);

    if (batch == NULL)
        return NULL;
    batch->client = client;
    batch->is_atomic = is_atomic;
    batch->future = roan_future_create(client->root);
    if (roan_future_is_static(batch->future)) {
        free(batch);
        return NULL;
    }
    batch->future->is_on_lease = client != client->root;
    if (is_atomic && !roan_future_encode(batch->future, 1, multi_words))
        return roan_batch_free(batch);
    return batch;
}

roan_batch *roan_batch_free(roan_batch *batch)
{
    if (batch == NULL)
        return NULL;
    roan_drop(batch->future);
    free(batch->parts);
    free(batch);
    return NULL;
}

size_t roan_batch_count(const roan_batch *batch)
{
    return batch != NULL ? batch->count : 0;
}

void roan_batch_refused(roan_batch *batch, roan_status code, const char *text)
{
    if (batch != NULL && batch->problem.code == ROAN_OK)
        roan_error_set(&batch->problem, code, "%s", text);
}

bool roan_batch_brings(roan_batch *batch, uint64_t code)
{
    if (batch == NULL)
        return true;
    for (unsigned i = 0; i < batch->codes_count; i++)
        if (batch->codes[i] == code)
            return true;
    if (batch->codes_count < CODES_MAX)
        batch->codes[batch->codes_count++] = code;
    return false;
}

static bool make_room(roan_batch *batch)
{
    size_t capacity = ROAN_MAX(batch->capacity * 2, (size_t)16);
    const roan_command_traits **parts;

    if (batch->count < batch->capacity)
        return true;
    parts = realloc(batch->parts, capacity * sizeof *parts);
    if (parts == NULL)
        return false;
    batch->parts = parts;
    batch->capacity = capacity;
    return true;
}

/* May this command be in this batch? */
static roan_status check(const roan_batch *batch, const roan_future *future, roan_error *reterr)
{
    const roan_command_traits *traits = future->traits;

    if ((traits->states & STATES_WITHOUT_REPLY) != 0)
        return roan_error_set(reterr, ROAN_E_USAGE, "%s cannot be in a batch: it has not one reply of its own",
                              traits->name);
    if (batch->is_atomic && ((traits->states & STATES_NOT_ATOMIC) != 0 || (traits->ends & ROAN_STATE_MULTI) != 0))
        return roan_error_set(reterr, ROAN_E_USAGE, "%s cannot be inside a transaction", traits->name);
    if (!batch->is_atomic && !future->is_on_lease && future->block_us >= 0)
        return roan_error_set(reterr, ROAN_E_USAGE,
                              "%s would block the connection that all callers share: a batch on a lease may have it",
                              traits->name);
    return ROAN_OK;
}

void roan_batch_add(roan_batch *batch, size_t argc, const roan_slice *argv)
{
    roan_future *future;
    roan_status status;

    if (batch == NULL || batch->problem.code != ROAN_OK)
        return;
    future = batch->future;
    roan_error_set(&batch->problem, ROAN_E_NOMEM, "out of memory for a batch");
    status = make_room(batch) ? roan_future_add(future, argc, argv, &batch->problem) : ROAN_E_NOMEM;
    if (status == ROAN_OK)
        status = check(batch, future, &batch->problem);
    if (status != ROAN_OK)
        return;
    batch->problem.code = ROAN_OK;
    batch->parts[batch->count++] = future->traits;
    if (future->block_us > 0 && __builtin_add_overflow(batch->block_us, future->block_us, &batch->block_us))
        batch->block_us = INT64_MAX;
}

/* ---- results ---- */

static void free_values(roan_value **values, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++)
        roan_value_free(values[i]);
}

static roan_status fail_memory(roan_failure *failure)
{
    roan_failure_set(failure, ROAN_E_NOMEM, ROAN_FATE_RAN, "out of memory for the replies of a batch");
    return ROAN_E_NOMEM;
}

static roan_status finish_plain(roan_future *future, roan_value **values, size_t count, roan_value **ret_result,
                                roan_failure *ret_failure)
{
    roan_slice prefix = future->client->settings->options.key_prefix;

    for (size_t i = 0; i < count; i++) {
        roan_link_note_states(future->link, future->parts[i], values[i]);
        if (future->strips_prefix)
            roan_prefix_strip(prefix, future->parts[i], values[i]);
    }
    *ret_result = roan_value_collect(values, count);
    if (*ret_result != NULL)
        return ROAN_OK;
    free_values(values, 0, count);
    free(values);
    return fail_memory(ret_failure);
}

/* What EXEC's reply, or an earlier one, makes of the transaction. */
static roan_status judge_exec(const roan_future *future, roan_value **values, size_t count, roan_failure *failure)
{
    const roan_value *exec = values[count - 1];
    const roan_value *reason = exec;

    if (exec->type == ROAN_REPLY_ERROR || values[0]->type == ROAN_REPLY_ERROR) {
        for (size_t i = count - 1; i-- > 0;)
            if (values[i]->type == ROAN_REPLY_ERROR)
                reason = values[i];
        roan_failure_of_reply(failure, reason);
        return ROAN_E_SERVER;
    }
    if (exec->type == ROAN_REPLY_NULL) {
        roan_failure_set(failure, ROAN_E_ABORTED, ROAN_FATE_RAN, "a watched key was changed: nothing was run");
        return ROAN_E_ABORTED;
    }
    if (exec->type != ROAN_REPLY_ARRAY || exec->count != future->parts_count) {
        roan_failure_set(failure, ROAN_E_PROTOCOL, ROAN_FATE_MAY_HAVE_RUN,
                         "EXEC was answered by %zu replies to %zu commands", exec->count, future->parts_count);
        return ROAN_E_PROTOCOL;
    }
    return ROAN_OK;
}

static roan_status finish_atomic(roan_future *future, roan_value **values, size_t count, roan_value **ret_result,
                                 roan_failure *ret_failure)
{
    roan_value *exec = values[count - 1];
    roan_status status = judge_exec(future, values, count, ret_failure);

    roan_link_note_states(future->link, roan_command_traits_find(1, exec_words), exec);
    free_values(values, 0, count - 1);
    free(values);
    if (status != ROAN_OK) {
        roan_value_free(exec);
        return status;
    }
    for (size_t i = 0; future->strips_prefix && i < exec->count; i++)
        roan_prefix_strip(future->client->settings->options.key_prefix, future->parts[i], &exec->elements[i]);
    *ret_result = exec;
    return ROAN_OK;
}

/* ---- running ---- */

static void set_deadline(const roan_batch *batch, roan_future *future, const roan_call *call)
{
    future->block_us = -1;
    roan_future_set_deadline(batch->client, future, call);
    if (batch->is_atomic || batch->block_us == 0)
        return;
    future->block_us = batch->block_us;
    if (call->timeout_ms != 0 || future->deadline_us == ROAN_NO_DEADLINE)
        return;
    if (__builtin_add_overflow(future->deadline_us, batch->block_us, &future->deadline_us))
        future->deadline_us = ROAN_NO_DEADLINE;
}

/* The batch becomes a future that is ready to begin, or one that has settled. */
static roan_future *consume(roan_batch *batch, const roan_call *call)
{
    static const roan_call default_call = {.size = sizeof(roan_call)};
    roan_future *future = batch->future;
    roan *client = batch->client;

    call = call != NULL ? call : &default_call;
    roan_handle_check_fork(client);
    future->traits = batch->is_atomic ? &atomic_traits : &plain_traits;
    if (batch->problem.code != ROAN_OK)
        return roan_future_refuse(future, batch->problem.code, batch->problem.text);
    if (roan_is_of_parent(client))
        return roan_future_refuse(future, ROAN_E_FORKED, "the lease was taken before fork(); it belongs to the parent");
    if (batch->count == 0) {
        roan_value *nothing = roan_value_collect(NULL, 0);
        if (nothing == NULL)
            return roan_future_refuse(future, ROAN_E_NOMEM, "out of memory");
        roan_future_settle(future, ROAN_OK, nothing, NULL);
        return future;
    }
    if (batch->is_atomic && !roan_future_encode(future, 1, exec_words))
        return roan_future_refuse(future, ROAN_E_NOMEM, "out of memory");
    future->replies = malloc(future->replies_due * sizeof *future->replies);
    if (future->replies == NULL)
        return roan_future_refuse(future, ROAN_E_NOMEM, "out of memory");
    future->parts = batch->parts;
    future->parts_count = batch->count;
    batch->parts = NULL;
    future->finish = batch->is_atomic ? finish_atomic : finish_plain;
    future->states |= batch->is_atomic ? ROAN_STATE_MULTI : 0;
    future->retry = call->retry;
    future->retry_class = ROAN_RETRY_NEVER;
    set_deadline(batch, future, call);
    return future;
}

static roan_future *take_future(roan_batch *batch, const roan_call *call)
{
    roan_future *future = consume(batch, call);

    batch->future = NULL;
    roan_batch_free(batch);
    return future;
}

roan_future *roan_batch_go(roan_batch *batch, const roan_call *call)
{
    roan *client;
    roan_future *future;

    if (batch == NULL)
        return roan_future_of_no_memory();
    client = batch->client;
    future = take_future(batch, call);
    if (!roan_is_settled(future))
        roan_future_begin(client, future);
    return future;
}

roan_status roan_batch_run(roan_batch *batch, roan_value **ret_replies, const roan_call *call)
{
    roan *client;

    if (ret_replies != NULL)
        *ret_replies = NULL;
    if (batch == NULL)
        return roan_fail(ROAN_E_NOMEM, "out of memory for a batch");
    client = batch->client;
    if (roan_is_in_callback()) {
        roan_batch_free(batch);
        return roan_fail(ROAN_E_USAGE, "a synchronous call from inside a callback would wait for itself");
    }
    return roan_do_prepared(client, take_future(batch, call), ret_replies);
}
