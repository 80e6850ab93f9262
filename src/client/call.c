/* client/call.c: from a program's words to a future on a link, and what programs do with futures. */
#include "client/drive.h"
#include "client/faces.h"
#include "client/handle.h"

#include "base/macros.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- preparing ---- */

static const roan_call default_call = {.size = sizeof(roan_call)};

/* Timeouts from here on do not need the exact time, which costs more than all the rest of a prepared command. */
#define COARSE_FROM_MS 1000

static int64_t begin_us(const roan *root, int64_t timeout_ms)
{
    const roan_transport *transport = root->transport;
    bool is_exact = (timeout_ms >= 0 && timeout_ms < COARSE_FROM_MS) || root->settings->hooks.on_end != NULL ||
                    transport->coarse_now_us == NULL;

    return is_exact ? roan_now_us(root) : transport->coarse_now_us(transport->state);
}

void roan_future_set_deadline(roan *client, roan_future *future, const roan_call *call)
{
    const roan_options *options = &client->root->settings->options;
    int64_t timeout_ms = call->timeout_ms != 0 ? call->timeout_ms : options->request_timeout_ms;

    future->begun_us = begin_us(client->root, timeout_ms);
    if (call->timeout_ms == 0 && future->block_us >= 0) {
        if (future->block_us == INT64_MAX)
            return;
        future->deadline_us = future->begun_us + (int64_t)options->blocking_grace_ms * 1000;
        if (__builtin_add_overflow(future->deadline_us, future->block_us, &future->deadline_us))
            future->deadline_us = ROAN_NO_DEADLINE;
    } else if (timeout_ms >= 0) {
        future->deadline_us = future->begun_us + timeout_ms * 1000;
    }
}

roan_future *roan_future_refuse(roan_future *future, roan_status code, const char *text)
{
    roan_failure failure;

    roan_failure_set(&failure, code, ROAN_FATE_NOT_SENT, "%s", text);
    roan_future_settle(future, code, NULL, &failure);
    return future;
}

/* Encodes, with the handle's prefix before the keys. */
static roan_status encode(roan *client, roan_future *future, size_t argc, const roan_slice *argv, roan_error *reterr)
{
    roan_slice prefix = client->root->settings->options.key_prefix;
    roan_request_buffer scratch = {0};
    roan_slice few[16];
    roan_slice *words = few;
    size_t count;
    roan_status status;

    if (prefix.bytes == 0)
        return roan_future_encode(future, argc, argv) ? ROAN_OK : ROAN_E_NOMEM;
    if (argc > ROAN_COUNT_OF(few) - ROAN_PREFIX_WORDS_EXTRA)
        words = malloc((argc + ROAN_PREFIX_WORDS_EXTRA) * sizeof *words);
    if (words == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory");
    status = roan_prefix_apply(prefix, future->traits, argc, argv, words, &count, &scratch, reterr);
    if (status == ROAN_OK && !roan_future_encode(future, count, words))
        status = roan_error_set(reterr, ROAN_E_NOMEM, "out of memory");
    future->strips_prefix = true;
    roan_request_buffer_done(&scratch);
    if (words != few)
        free(words);
    return status;
}

roan_status roan_future_add(roan_future *future, size_t argc, const roan_slice *argv, roan_error *reterr)
{
    if (argc == 0 || argv == NULL || argv[0].bytes == 0)
        return roan_error_set(reterr, ROAN_E_USAGE, "a command needs a name");
    future->traits = roan_command_traits_find(argc, argv);
    if (future->traits->is_refused_shared && !future->is_on_lease)
        return roan_error_set(reterr, ROAN_E_USAGE, "%s changes the state of the connection that all callers share: %s",
                              future->traits->name, future->traits->instead);
    future->retry_class = roan_command_retry_class(future->traits, argc, argv);
    future->block_us = future->traits->may_block ? roan_command_block_us(future->traits, argc, argv) : -1;
    future->states |= future->traits->states;
    if ((future->traits->states & ROAN_STATE_SUBSCRIBE) != 0 && argc > 2)
        future->replies_due += argc - 2; /* a confirmation for each channel */
    return encode(future->client, future, argc, argv, reterr);
}

roan_future *roan_future_prepare(roan *client, size_t argc, const roan_slice *argv, const roan_call *call)
{
    roan_future *future;
    roan_error error = {.text = "out of memory"};
    roan_status status;

    roan_handle_check_fork(client);
    future = roan_future_create(client->root);
    if (roan_future_is_static(future))
        return future;
    future->is_on_lease = client != client->root;
    if (roan_is_of_parent(client))
        return roan_future_refuse(future, ROAN_E_FORKED, "the lease was taken before fork(); it belongs to the parent");
    call = call != NULL ? call : &default_call;
    future->retry = call->retry;
    status = roan_future_add(future, argc, argv, &error);
    if (status != ROAN_OK)
        return roan_future_refuse(future, status, error.text);
    roan_future_set_deadline(client, future, call);
    return future;
}

void roan_future_tell_start(roan *client, roan_future *future)
{
    const roan_hooks *hooks = &client->root->settings->hooks;

    if (hooks->on_start == NULL && hooks->on_end == NULL)
        return;
    future->id = atomic_fetch_add_explicit(&client->root->next_id, 1, memory_order_relaxed) + 1;
    future->was_begun = true;
    if (hooks->on_start != NULL) {
        roan_callback_begin();
        hooks->on_start(hooks->argument, future->id, future->traits->name);
        roan_callback_end();
    }
}

/* ---- beginning ---- */

/* A connection that was quiet for so long is looked at before something is sent on it: the server may have closed
 * it. */
#define QUIET_US 200000

static void look_before_sending(roan_link *link, int64_t now_us, roan_outcome *outcome)
{
    if (link->state == ROAN_LINK_READY && link->head == NULL && link->driver == ROAN_DRIVER_NONE &&
        now_us - ROAN_MAX(link->used_us, link->received_us) > QUIET_US) {
        link->driver = ROAN_DRIVER_CALLER;
        link->driver_thread = pthread_self();
        ROAN_IGNORE(roan_link_receive(link, 0, outcome));
        link->driver = ROAN_DRIVER_NONE;
        roan_drive_pass_on(link, outcome); /* who came meanwhile found a driver, and sleeps */
    }
}

void roan_link_begin(roan_link *link, roan_future *future, roan_outcome *outcome)
{
    look_before_sending(link, future->begun_us, outcome);
    roan_link_submit(link, future, false, outcome);
    if (!atomic_load_explicit(&future->is_settled, memory_order_relaxed))
        roan_drive_asynchronously(link, outcome);
}

void roan_future_begin(roan *client, roan_future *future)
{
    roan_outcome outcome;
    roan_link *link = client->link;

    roan_future_tell_start(client, future);
    if (future->block_us >= 0 && client == client->root) {
        roan_pool_begin(client, future);
        return;
    }
    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    roan_link_begin(link, future, &outcome);
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(client, &outcome);
}

roan_future *roan_go(roan *client, size_t argc, const roan_slice *argv, const roan_call *call)
{
    roan_future *future = roan_future_prepare(client, argc, argv, call);

    if (!roan_is_settled(future))
        roan_future_begin(client, future);
    return future;
}

/* ---- waiting ---- */

static int64_t until_of(roan *client, int timeout_ms)
{
    return timeout_ms < 0 ? ROAN_NO_DEADLINE : roan_now_us(client) + (int64_t)timeout_ms * 1000;
}

static void remove_node(roan_future *future, roan_wait_node *node)
{
    for (roan_wait_node **at = &future->waiters; *at != NULL; at = &(*at)->next)
        if (*at == node) {
            *at = node->next;
            return;
        }
}

/* Lock held; released. Waits for a future of this link. Afterwards roan_drive_leave(). */
static void wait_on_link(roan_link *link, roan_future *future, int64_t until_us, roan_outcome *outcome)
{
    roan_wait_node node = {.word = roan_park_word(), .next = future->waiters};

    if (!future->is_awaited && !roan_is_settled(future)) {
        future->is_awaited = true;
        link->async_count--;
        roan_drive_note_wait(link);
    }
    if (!roan_is_settled(future))
        future->waiters = &node;
    roan_drive_wait_settled(link, future, &node, until_us, outcome);
}

static roan_status refuse_in_callback(void)
{
    return roan_fail(ROAN_E_USAGE, "a synchronous call from inside a callback would wait for itself");
}

roan_status roan_wait(roan_future *future, int timeout_ms)
{
    roan_outcome outcome;
    roan *root;
    int64_t until_us;

    if (roan_is_settled(future))
        return ROAN_OK;
    if (roan_is_in_callback())
        return refuse_in_callback();
    root = future->is_on_lease ? NULL : future->client;
    roan_handle_enter(root);
    until_us = until_of(future->client, timeout_ms);
    roan_pool_wait(future, until_us); /* as long as it has no link */
    if (future->link != NULL) {
        roan_outcome_begin(&outcome);
        pthread_mutex_lock(&future->link->lock);
        wait_on_link(future->link, future, until_us, &outcome);
        roan_outcome_finish(future->client, &outcome);
        roan_drive_leave(future->link);
    }
    roan_handle_leave(root);
    return roan_is_settled(future) ? ROAN_OK : roan_fail(ROAN_E_TIMEOUT, "it has not settled within %d ms", timeout_ms);
}

typedef struct any_of {
    roan_future *const *futures;
    size_t count;
} any_of;

static bool any_is_settled(const void *argument)
{
    const any_of *any = argument;

    for (size_t i = 0; i < any->count; i++)
        if (roan_is_settled(any->futures[i]))
            return true;
    return false;
}

/* Lock of its link held, or it has settled or waits in the pool (whose lock is held). */
static void add_node(roan_future *future, roan_wait_node *node, _Atomic uint32_t *word)
{
    *node = (roan_wait_node){.word = word, .next = future->waiters};
    future->waiters = node;
}

/* Takes or gives up a place among the waiters of each future, wherever it is now. */
static void change_nodes(const any_of *any, roan_wait_node *nodes, bool adds)
{
    for (size_t i = 0; i < any->count; i++) {
        roan_future *future = any->futures[i];
        pthread_mutex_t *lock;
        roan_outcome outcome;
        if (roan_future_is_static(future) || (adds && roan_is_settled(future)))
            continue;
        roan_outcome_begin(&outcome);
        lock = roan_pool_lock_future(future);
        if (adds && !roan_is_settled(future))
            add_node(future, &nodes[i], roan_park_word());
        else if (!adds && future->link != NULL)
            roan_link_leave_waiters(future->link, future, &nodes[i], &outcome);
        else if (!adds)
            remove_node(future, &nodes[i]);
        pthread_mutex_unlock(lock);
        roan_outcome_finish(future->client, &outcome);
    }
}

/* Drives one link for all of them where nobody else would (a loop's handle, a thread that could not be started). */
static void wait_any_on(roan_link *link, const any_of *any, roan_wait_node *node, int64_t until_us)
{
    roan_outcome outcome;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    roan_drive_wait(link, any_is_settled, any, node, until_us, &outcome);
    pthread_mutex_unlock(&link->lock);
    roan_outcome_finish(link->client, &outcome);
}

/* The futures' links are several: the background drives them, or this thread if there is none. */
static void wait_on_links(roan *client, _Atomic uint32_t *word, int64_t until_us)
{
    int64_t wait_us = until_us == ROAN_NO_DEADLINE ? -1 : ROAN_MAX(until_us - roan_now_us(client), 0);

    client = client->root;
    if (roan_background_help(client, wait_us))
        return;
    roan_background_wake(client);
    roan_park(word, wait_us);
}

static bool on_one_link(const any_of *any)
{
    for (size_t i = 0; i < any->count; i++)
        if (any->futures[i]->link == NULL || any->futures[i]->link != any->futures[0]->link)
            return false;
    return true;
}

#define NODES_FEW 64

size_t roan_wait_any(roan_future *const *futures, size_t count, int timeout_ms)
{
    any_of any = {futures, count};
    roan_wait_node few[NODES_FEW];
    roan_wait_node *nodes = few;
    roan_wait_node own = {.word = roan_park_word()};
    roan *root;
    int64_t until_us;

    if (count == 0)
        return 0;
    if (!any_is_settled(&any)) {
        if (roan_is_in_callback()) {
            refuse_in_callback();
            return count;
        }
        if (count > NODES_FEW)
            nodes = malloc(count * sizeof *nodes);
        if (nodes == NULL) {
            roan_fail(ROAN_E_NOMEM, "out of memory");
            return count;
        }
        memset(nodes, 0, count * sizeof *nodes);
        root = futures[0]->is_on_lease ? NULL : futures[0]->client;
        roan_handle_enter(root);
        until_us = until_of(futures[0]->client, timeout_ms);
        change_nodes(&any, nodes, true);
        if (on_one_link(&any)) {
            wait_any_on(futures[0]->link, &any, &own, until_us);
        } else {
            while (!any_is_settled(&any) && roan_now_us(futures[0]->client) < until_us) {
                wait_on_links(futures[0]->client, own.word, until_us);
            }
        }
        change_nodes(&any, nodes, false);
        roan_handle_leave(root);
        if (nodes != few)
            free(nodes);
    }
    for (size_t i = 0; i < count; i++)
        if (roan_is_settled(futures[i]))
            return i;
    roan_fail(ROAN_E_TIMEOUT, "none of %zu has settled within %d ms", count, timeout_ms);
    return count;
}

/* ---- results ---- */

const roan_failure *roan_future_failure(const roan_future *future)
{
    static const roan_failure unknown = {
        .code = ROAN_E_NOMEM, .fate = ROAN_FATE_MAY_HAVE_RUN, .attempts = 1, .text = "out of memory"};

    return future->failure != NULL ? future->failure : &unknown;
}

roan_status roan_take(roan_future *future, roan_value **ret_reply, roan_failure *ret_failure)
{
    roan_status status;

    if (ret_reply != NULL)
        *ret_reply = NULL;
    if (roan_wait(future, -1) != ROAN_OK) {
        if (ret_failure != NULL)
            *ret_failure = *roan_last_failure();
        roan_drop(future);
        return roan_last_failure()->code;
    }
    status = future->status;
    if (status == ROAN_OK && ret_reply != NULL) {
        *ret_reply = future->reply;
        future->reply = NULL;
    }
    if (status < 0 && ret_failure != NULL) {
        *ret_failure = *roan_future_failure(future);
        ret_failure->code = status;
    }
    roan_drop(future);
    return status;
}

roan_status roan_do_future(roan_future *future, roan_value **ret_reply)
{
    return roan_take(future, ret_reply, roan_failure_of_thread());
}

void roan_link_run(roan_link *link, roan_future *future)
{
    roan_outcome outcome;

    roan_outcome_begin(&outcome);
    pthread_mutex_lock(&link->lock);
    look_before_sending(link, future->begun_us, &outcome);
    roan_link_submit(link, future, true, &outcome);
    wait_on_link(link, future, ROAN_NO_DEADLINE, &outcome);
    roan_outcome_finish(link->client, &outcome);
    roan_drive_leave(link);
}

roan_status roan_do_prepared(roan *client, roan_future *future, roan_value **ret_reply)
{
    if (roan_is_settled(future))
        return roan_do_future(future, ret_reply);
    if (future->block_us >= 0 && client == client->root) {
        roan_future_begin(client, future);
        return roan_do_future(future, ret_reply);
    }
    roan_future_tell_start(client, future);
    roan_link_run(client->link, future);
    return roan_do_future(future, ret_reply);
}

roan_status roan_do(roan *client, size_t argc, const roan_slice *argv, roan_value **ret_reply, const roan_call *call)
{
    if (ret_reply != NULL)
        *ret_reply = NULL;
    if (roan_is_in_callback())
        return refuse_in_callback();
    return roan_do_prepared(client, roan_future_prepare(client, argc, argv, call), ret_reply);
}

void roan_then(roan_future *future, roan_then_fn fn, void *argument)
{
    if (!roan_future_is_static(future) && !roan_is_settled(future)) {
        pthread_mutex_t *lock = roan_pool_lock_future(future);
        ROAN_ASSERT(future->then == NULL); /* one per future */
        if (!roan_is_settled(future)) {
            if (future->link != NULL)
                roan_drive_note_no_wait(future->link);
            future->then_argument = argument;
            future->then = fn;
            pthread_mutex_unlock(lock);
            return;
        }
        pthread_mutex_unlock(lock);
    }
    fn(future, argument);
}

void roan_cancel(roan_future *future)
{
    roan_failure failure;
    roan_outcome outcome;
    pthread_mutex_t *lock;

    if (roan_is_settled(future))
        return;
    roan_failure_set(&failure, ROAN_E_CANCELED, ROAN_FATE_NOT_SENT, "canceled by the program");
    roan_outcome_begin(&outcome);
    lock = roan_pool_lock_future(future);
    if (!roan_is_settled(future)) {
        if (future->link != NULL)
            roan_link_cancel(future->link, future, &failure, &outcome);
        else
            roan_pool_cancel(future, &failure, &outcome);
    }
    pthread_mutex_unlock(lock);
    roan_outcome_finish(future->client, &outcome);
}

/* ---- for the typed functions ---- */

roan_status roan_do_refused(roan *client, roan_status code, const char *text)
{
    (void)client;
    return roan_fail(code, "%s", text);
}

roan_future *roan_go_refused(roan *client, roan_status code, const char *text, const roan_call *call)
{
    roan_future *future = roan_future_create(client->root);

    (void)call;
    return roan_future_is_static(future) ? future : roan_future_refuse(future, code, text);
}

roan_status roan_do_mistyped(roan *client, roan_status code, const char *text)
{
    roan_failure *failure = roan_failure_of_thread();

    roan_failure_set(failure, code, ROAN_FATE_RAN, "%s", text);
    roan_link_node_name(client->root->link, failure->node, sizeof failure->node);
    return code;
}
