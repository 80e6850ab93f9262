/* engine/transaction.c: the queue of a transaction; see transaction.h.
 *
 * Queued commands are carved from blocks: the first lies behind the transaction itself and is enough for a few short
 * commands, so that an ordinary MULTI ... EXEC costs one allocation.
 */
#include "engine/transaction.h"

#include "base/macros.h"
#include "engine/acl.h"
#include "engine/dispatch.h"
#include "engine/watch.h"

#define FIRST_BLOCK_BYTES 640
#define BLOCK_BYTES 4096
#define READ_AHEAD_COMMANDS 32

typedef struct roan_transaction_block {
    struct roan_transaction_block *older;
    size_t bytes;
    char data[];
} block;

/* ---- memory ---- */

static size_t round_up(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

static bool add_block(roan_transaction *transaction, size_t wanted)
{
    size_t bytes = roan_alloc_good_size(sizeof(block) + ROAN_MAX(wanted, BLOCK_BYTES - sizeof(block)));
    block *added = roan_try_alloc(bytes);
    if (added == NULL)
        return false;
    *added = (block){.older = transaction->blocks, .bytes = bytes};
    transaction->blocks = added;
    transaction->memory_bytes += bytes;
    transaction->at = added->data;
    transaction->end = (char *)added + bytes;
    return true;
}

/* NULL when there is no memory for it: a client chose the size. */
static void *carve(roan_transaction *transaction, size_t bytes)
{
    bytes = round_up(bytes);
    if ((size_t)(transaction->end - transaction->at) < bytes && !add_block(transaction, bytes))
        return NULL;
    void *carved = transaction->at;
    transaction->at += bytes;
    return carved;
}

static void free_blocks(roan_transaction *transaction)
{
    for (block *b = transaction->blocks, *older; b != NULL; b = older) {
        older = b->older;
        roan_free(b, b->bytes);
    }
}

/* ---- life ---- */

/* An empty queue; its first block is the rest of its own allocation. */
static void init(roan_transaction *transaction)
{
    *transaction = (roan_transaction){.memory_bytes = sizeof *transaction + FIRST_BLOCK_BYTES};
    transaction->at = (char *)(transaction + 1);
    transaction->end = transaction->at + FIRST_BLOCK_BYTES;
}

void roan_transaction_begin(roan_session *session)
{
    ROAN_ASSERT(session->transaction == NULL);
    session->transaction = roan_alloc(sizeof *session->transaction + FIRST_BLOCK_BYTES);
    init(session->transaction);
    session->modes |= ROAN_MODE_TRANSACTION;
}

static void drop_queue(roan_transaction *transaction)
{
    free_blocks(transaction);
    init(transaction);
}

void roan_transaction_refuse(roan_session *session)
{
    drop_queue(session->transaction);
    session->transaction->is_refused = true;
}

void roan_transaction_end(roan_session *session)
{
    roan_transaction *transaction = session->transaction;
    roan_watch_forget(session);
    if (transaction == NULL)
        return;
    free_blocks(transaction);
    roan_free(transaction, sizeof *transaction + FIRST_BLOCK_BYTES);
    session->transaction = NULL;
    session->modes &= (uint8_t)~ROAN_MODE_TRANSACTION;
}

/* ---- queueing ---- */

static size_t word_bytes(const roan_request *request)
{
    size_t bytes = 0;
    for (size_t i = 0; i < request->argc; i++)
        bytes += request->argv[i].bytes;
    return bytes;
}

/* The request with its words, in one piece of memory. */
static roan_queued *copy_request(roan_transaction *transaction, const roan_request *request, size_t bytes)
{
    size_t table_bytes = request->argc * sizeof(roan_slice);
    roan_queued *queued = carve(transaction, sizeof *queued + table_bytes + bytes);
    if (queued == NULL)
        return NULL;
    roan_slice *argv = (roan_slice *)(queued + 1);
    char *at = (char *)(argv + request->argc);
    for (size_t i = 0; i < request->argc; i++) {
        roan_slice word = request->argv[i];
        argv[i] = roan_slice_make(at, word.bytes);
        if (word.bytes > 0)
            memcpy(at, word.data, word.bytes);
        at += word.bytes;
    }
    *queued = (roan_queued){.request = *request};
    queued->request.argv = argv;
    return queued;
}

static bool needs_gate(const roan_call *call, roan_lock_set *stripes)
{
    switch ((roan_lock)call->command->lock) {
    case ROAN_LOCK_L:
        return false;
    case ROAN_LOCK_K:
        return !roan_call_add_stripes(call, stripes);
    case ROAN_LOCK_T:
    case ROAN_LOCK_X:
    case ROAN_LOCK_E:
        break;
    }
    return true;
}

bool roan_transaction_add(roan_call *call)
{
    roan_transaction *transaction = call->session->transaction;
    if (transaction->is_refused)
        return true;
    if (ROAN_UNLIKELY(roan_watch_is_touched(call->session))) {
        if (transaction->count > 0)
            drop_queue(transaction);
        return true;
    }
    size_t bytes = word_bytes(call->request);
    roan_queued *queued = copy_request(transaction, call->request, bytes);
    if (queued == NULL)
        return false;
    *(transaction->last == NULL ? &transaction->first : &transaction->last->next) = queued;
    transaction->last = queued;
    transaction->count++;
    transaction->flags |= call->command->flags;
    transaction->argument_bytes += bytes + call->argc * sizeof(void *);
    if (!transaction->runs_alone)
        transaction->runs_alone = needs_gate(call, &transaction->stripes);
    return true;
}

/* ---- EXEC ---- */

bool roan_transaction_collect(const roan_session *session, roan_lock_set *set)
{
    const roan_transaction *transaction = session->transaction;
    if (transaction == NULL || transaction->is_refused || roan_watch_is_touched(session))
        return true; /* nothing will be run or looked at */
    if (transaction->runs_alone)
        return false;
    *set = transaction->stripes;
    return roan_watch_add_stripes(session, set);
}

/* The tables may be other ones than when the commands were queued: SELECT, SWAPDB and FLUSHALL came in between. */
static void read_ahead(const roan_session *session, roan_queued *queued)
{
    roan_db *db = roan_engine_db_if_used(session->lane->engine, session->db);
    roan_queued *end = queued;
    for (unsigned i = 0; end != NULL && i < READ_AHEAD_COMMANDS; end = end->next, i++) {
        if (end->request.key_index == 0)
            continue;
        end->request.table = &db->tables[end->request.stripe];
        roan_table_prefetch_segment(end->request.table, end->request.hash);
    }
    for (const roan_queued *q = queued; q != end; q = q->next)
        roan_request_prefetch_slots(&q->request);
    for (const roan_queued *q = queued; q != end; q = q->next)
        roan_request_prefetch_entry(&q->request);
}

/* The user may have lost a right since the command was queued, or the database may be another one. */
static bool refuse_queued(roan_call *exec, const roan_request *request)
{
    static const char *const reasons[] = {
        [ROAN_ACL_DENIED_DB] = "no permission",
        [ROAN_ACL_DENIED_COMMAND] = "no permission to execute the command or subcommand",
        [ROAN_ACL_DENIED_KEY] = "no permission to touch the specified keys",
        [ROAN_ACL_DENIED_CHANNEL] = "no permission to access one of the channels used as arguments",
    };
    roan_acl_refusal refusal = roan_acl_ask(exec->session, request->command, request->argc, request->argv);
    if (ROAN_LIKELY(refusal.reason == ROAN_ACL_ALLOWED))
        return false;
    roan_acl_report(exec, request->command, request->argv, refusal, ROAN_ACL_CONTEXT_MULTI);
    roan_call_error_printf(exec, "NOPERM ACLs rules changed between the moment the transaction was accumulated and the "
                           "EXEC call. This command is no longer allowed for the following reason: %s",
                           reasons[refusal.reason]);
    return true;
}

void roan_transaction_run(roan_call *exec)
{
    roan_transaction *transaction = exec->session->transaction;
    uint64_t ticks = exec->lane->ticks;
    size_t done = 0;
    roan_watch_forget(exec->session); /* what it changes itself is no news */
    roan_out_array(exec->out, transaction->count);
    for (roan_queued *queued = transaction->first; queued != NULL; queued = queued->next) {
        if (done++ % READ_AHEAD_COMMANDS == 0)
            read_ahead(exec->session, queued);
        if (!refuse_queued(exec, &queued->request))
            roan_call_run_inner(exec, exec->session, &queued->request);
    }
    exec->lane->ticks = ticks; /* EXEC's own duration is that of all of them */
}
