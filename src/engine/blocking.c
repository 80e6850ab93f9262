/* engine/blocking.c: queues of waiting commands, and running them again; see blocking.h for the idea.
 *
 *   stripe -> waiters: table of queues by (database, key) -> queue: links in order of arrival -> waiting (one command)
 *
 * Invariant 1: a queue in a table has a link, unless it is ready or being served.
 * Invariant 2: when a stripe is released, nobody in its queues could be answered.
 * Invariant 3: waiting->references counts its links and, until it lets go, its session or the mail to it.
 */
#include "engine/blocking.h"

#include "base/macros.h"
#include "engine/acl.h"
#include "engine/command_keys.h"
#include "engine/effects.h"
#include "engine/logs.h"
#include "engine/pubsub.h"
#include "engine/stats.h"
#include "engine/tracking.h"

#include <math.h>
#include <sched.h>

typedef struct roan_waiter_queue waiter_queue;
typedef struct waiter_link waiter_link;

struct waiter_link {
    waiter_link *previous, *next;
    waiter_queue *queue; /* NULL: it is in none (any more) */
    roan_waiting *waiting;
    _Atomic int64_t wrong_until_ms; /* the key holds another type until then, INT64_MAX: for good; 0: it does not */
    uint32_t stripe;
};

struct roan_waiter_queue {
    waiter_link *first, *last;
    waiter_queue *next_ready;
    uint32_t stripe;
    bool is_ready;      /* in its lane's list */
    bool is_served;     /* somebody walks it */
    uint32_t name_bytes;
    char name[];        /* the number of the database, then the key */
};

/* All queues of a stripe. */
struct roan_waiters {
    roan_table queues;
    size_t far_links; /* of commands that need other stripes as well */
};
typedef struct roan_waiters roan_waiters;

typedef enum waiting_state { WAITING, SERVING, SERVED, ENDED } waiting_state;

struct roan_waiting {
    _Atomic uint32_t state;
    _Atomic uint32_t references;
    roan_session *session; /* NULL: it is gone. Its lane, or the gate shut */
    roan_lane *lane;
    roan_waiting *next_stale;
    bool is_stale;         /* in its lane's list of those with links to take out */
    bool is_refused;       /* its last retry was: it counts as rejected, not as called */
    bool is_far, wakes_without_key, null_array, no_touch, import_source, caching_given;
    roan_tracker *tracker; /* the session's, or NULL */
    uint8_t protocol;
    roan_type type;
    uint32_t db;
    uint64_t session_id;
    roan_acl_user *user;
    size_t bytes;          /* of the allocation */
    size_t request_bytes, reply_bytes; /* for the command logs; the latter when it was served */
    uint64_t served_ns;    /* that the retry took which served it */
    size_t first_key, key_step; /* the words of its links' keys */
    size_t argc, link_count;
    roan_slice *argv;
    waiter_link links[];
};

/* ---- queues ---- */

static roan_slice queue_key(const void *item)
{
    const waiter_queue *queue = item;
    return roan_slice_make(queue->name, queue->name_bytes);
}

static void free_queue(void *item)
{
    waiter_queue *queue = item;
    roan_free(queue, sizeof *queue + queue->name_bytes);
}

static void check_queue(const void *item)
{
    const waiter_queue *queue = item;
    ROAN_ASSERT(queue->first != NULL || queue->is_ready || queue->is_served);
}

static const roan_table_ops queue_ops = {.key = queue_key, .free_with_arena = free_queue, .check = check_queue};

/* Names are short: the number of the database in front of the key. The buffer is the lane's. */
static roan_slice make_name(roan_lane *lane, uint32_t db, roan_slice key)
{
    roan_buffer *name = &lane->waiter_name;
    name->bytes = 0;
    roan_buffer_append(name, (const char *)&db, sizeof db);
    roan_buffer_append_slice(name, key);
    return roan_buffer_slice(name);
}

static roan_waiters *waiters_of(roan_engine *engine, uint32_t stripe)
{
    roan_waiters **waiters = &engine->stripes[stripe].waiters;
    if (*waiters == NULL) {
        *waiters = roan_alloc_zero(sizeof **waiters);
        roan_table_init(&(*waiters)->queues, &engine->waiter_context);
    }
    return *waiters;
}

static waiter_queue *find_queue(roan_lane *lane, uint32_t stripe, uint32_t db, roan_slice key)
{
    const roan_waiters *waiters = lane->engine->stripes[stripe].waiters;
    roan_spot spot;
    if (waiters == NULL || waiters->queues.count == 0)
        return NULL;
    roan_slice name = make_name(lane, db, key);
    return roan_table_find(&waiters->queues, roan_table_hash(&waiters->queues, name), name, &spot);
}

static waiter_queue *open_queue(roan_lane *lane, uint32_t stripe, uint32_t db, roan_slice key)
{
    roan_waiters *waiters = waiters_of(lane->engine, stripe);
    roan_slice name = make_name(lane, db, key);
    uint64_t hash = roan_table_hash(&waiters->queues, name);
    roan_spot spot;
    waiter_queue *queue = roan_table_find(&waiters->queues, hash, name, &spot);
    if (queue != NULL)
        return queue;
    queue = roan_alloc(sizeof *queue + name.bytes);
    *queue = (waiter_queue){.stripe = stripe, .name_bytes = (uint32_t)name.bytes};
    memcpy(queue->name, name.data, name.bytes);
    roan_table_insert(&waiters->queues, hash, &spot, queue);
    return queue;
}

static void close_queue_if_unused(roan_engine *engine, waiter_queue *queue)
{
    if (queue->first != NULL || queue->is_ready || queue->is_served)
        return;
    roan_table *queues = &engine->stripes[queue->stripe].waiters->queues;
    roan_spot spot;
    uint64_t hash = roan_table_hash(queues, queue_key(queue));
    ROAN_ASSERT(roan_table_find(queues, hash, queue_key(queue), &spot) == queue);
    roan_table_remove(queues, hash, &spot);
    free_queue(queue);
}

static void drop_reference(roan_waiting *waiting)
{
    if (atomic_fetch_sub_explicit(&waiting->references, 1, memory_order_acq_rel) != 1)
        return;
    roan_tracker_unref(waiting->tracker);
    roan_free(waiting, waiting->bytes);
}

static void link_in(roan_lane *lane, waiter_link *link, roan_slice key)
{
    roan_waiting *waiting = link->waiting;
    waiter_queue *queue = open_queue(lane, link->stripe, waiting->db, key);
    if (queue->last != NULL && queue->last->waiting == waiting)
        return; /* the same key twice */
    link->queue = queue;
    link->previous = queue->last;
    if (queue->last != NULL)
        queue->last->next = link;
    else
        queue->first = link;
    queue->last = link;
    lane->engine->stripes[link->stripe].waiters->far_links += waiting->is_far;
    atomic_fetch_add_explicit(&waiting->references, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&lane->engine->waiting_links, 1, memory_order_relaxed);
}

/* Takes the link out of its queue, whose stripe is held. The waiting may be freed by this. */
static void link_out(roan_engine *engine, waiter_link *link)
{
    waiter_queue *queue = link->queue;
    if (queue == NULL)
        return;
    if (link->previous != NULL)
        link->previous->next = link->next;
    else
        queue->first = link->next;
    if (link->next != NULL)
        link->next->previous = link->previous;
    else
        queue->last = link->previous;
    link->queue = NULL;
    engine->stripes[link->stripe].waiters->far_links -= link->waiting->is_far;
    atomic_fetch_sub_explicit(&engine->waiting_links, 1, memory_order_relaxed);
    close_queue_if_unused(engine, queue);
    drop_reference(link->waiting);
}

/* ---- leaving ---- */

/* Takes out the links whose stripes can be had now; true when none is left. */
static bool link_out_all(roan_lane *lane, roan_waiting *waiting)
{
    bool is_done = true;
    for (size_t i = 0; i < waiting->link_count; i++) {
        waiter_link *link = &waiting->links[i];
        if (roan_stripe_is_held(lane, link->stripe)) {
            link_out(lane->engine, link);
        } else if (roan_stripe_try(lane, link->stripe)) {
            link_out(lane->engine, link);
            roan_stripes_release(lane, &link->stripe, 1);
        } else {
            is_done = false;
        }
    }
    return is_done;
}

/* Called on the waiting's lane or with the gate shut; `lane` is the one that runs. */
static void link_out_or_remember(roan_lane *lane, roan_waiting *waiting)
{
    atomic_fetch_add_explicit(&waiting->references, 1, memory_order_relaxed);
    if (link_out_all(lane, waiting) || waiting->is_stale) {
        drop_reference(waiting);
        return;
    }
    waiting->is_stale = true;
    waiting->next_stale = lane->stale_waiting;
    lane->stale_waiting = waiting; /* the list has the reference */
}

void roan_blocking_tidy(roan_lane *lane)
{
    roan_waiting *waiting = lane->stale_waiting;
    lane->stale_waiting = NULL;
    while (waiting != NULL) {
        roan_waiting *next = waiting->next_stale;
        waiting->is_stale = false;
        link_out_or_remember(lane, waiting);
        drop_reference(waiting);
        waiting = next;
    }
}

/* Moves it from WAITING; false: it is done with. Another lane may try to serve it just now, in vain perhaps: that is
 * a matter of microseconds, and who does so waits for nobody. */
static bool claim(roan_waiting *waiting, uint32_t to)
{
    uint32_t state = WAITING;
    while (!atomic_compare_exchange_strong_explicit(&waiting->state, &state, to, memory_order_acq_rel,
                                                    memory_order_acquire)) {
        if (state != SERVING)
            return false;
        if (!roan_at_point(waiting->lane->engine, ROAN_POINT_WAITING))
            sched_yield();
        state = WAITING;
    }
    return true;
}

roan_waiting *roan_waiting_keep(roan_waiting *waiting)
{
    if (waiting != NULL)
        atomic_fetch_add_explicit(&waiting->references, 1, memory_order_relaxed);
    return waiting;
}

uint64_t roan_waiting_served_ns(const roan_waiting *waiting)
{
    return waiting->served_ns;
}

void roan_waiting_log(roan_waiting *waiting, roan_session *session, uint64_t ns, size_t reply_bytes)
{
    roan_call call = {.engine = session->lane->engine,
                      .lane = session->lane,
                      .session = session,
                      .command = session->last_command,
                      .argv = waiting->argv,
                      .argc = waiting->argc};
    roan_logs_note(&call, ns, waiting->request_bytes, waiting->reply_bytes + reply_bytes);
    drop_reference(waiting);
}

bool roan_waiting_is_refused(const roan_waiting *waiting)
{
    return waiting->is_refused;
}

void roan_waiting_set_user(roan_waiting *waiting, roan_acl_user *user)
{
    waiting->user = user;
}

bool roan_waiting_end(roan_waiting *waiting)
{
    return claim(waiting, ENDED);
}

void roan_waiting_leave(roan_waiting *waiting)
{
    waiting->session = NULL;
    link_out_or_remember(roan_gate_running_lane(waiting->lane), waiting);
    if (atomic_load_explicit(&waiting->state, memory_order_acquire) != SERVED)
        drop_reference(waiting); /* otherwise the mail has it */
}

static void reply_timeout(roan_out *out, bool null_array)
{
    if (null_array)
        roan_out_null_array(out);
    else
        roan_out_null(out);
}

static void end_blocking(roan_session *session, roan_unblock_reason reason)
{
    roan_waiting *waiting = session->waiting;
    session->waiting = NULL;
    if (reason == ROAN_UNBLOCK_TIMEOUT)
        reply_timeout(&session->out, waiting->null_array);
    else if (reason == ROAN_UNBLOCK_ERROR)
        roan_out_error(&session->out, ROAN_LITERAL("UNBLOCKED client unblocked via CLIENT UNBLOCK"));
    roan_waiting_leave(waiting);
}

/* ---- blocking ---- */

static uint32_t stripe_of(const roan_engine *engine, roan_slice key)
{
    return roan_key_slot(key) & (engine->stripe_count - 1);
}

/* The command needs a stripe that is not that of every key it waits for. */
static bool needs_other_stripes(const roan_call *call, const roan_block *block)
{
    roan_key_list keys;
    roan_key_list_init(&keys);
    bool needs = !roan_command_find_keys(call->command, call->argc, call->argv, &keys);
    const roan_key_ref *refs = roan_key_list_refs(&keys);
    size_t end = block->first_key + block->key_count * block->key_step;
    uint32_t first = stripe_of(call->engine, call->argv[block->first_key]);
    for (unsigned i = 0; i < keys.count && !needs; i++) {
        bool is_waited_for = refs[i].index >= block->first_key && refs[i].index < end &&
                             (refs[i].index - block->first_key) % block->key_step == 0;
        needs = !is_waited_for && (block->key_count > 1 || stripe_of(call->engine, call->argv[refs[i].index]) != first);
    }
    roan_key_list_done(&keys);
    return needs;
}

/* One allocation for the command's words and its links. */
static roan_waiting *waiting_create(const roan_call *call, const roan_block *block)
{
    size_t argc = block->argv != NULL ? block->argc : call->argc;
    const roan_slice *argv = block->argv != NULL ? block->argv : call->argv;
    size_t bytes = sizeof(roan_waiting) + block->key_count * sizeof(waiter_link) + argc * sizeof *argv, text_bytes = 0;
    for (size_t i = 0; i < argc; i++)
        text_bytes += argv[i].bytes;
    roan_waiting *waiting = roan_alloc_zero(bytes + text_bytes);
    waiting->bytes = bytes + text_bytes;
    waiting->argc = argc;
    waiting->argv = (roan_slice *)(void *)&waiting->links[block->key_count];
    char *text = (char *)waiting + bytes;
    for (size_t i = 0; i < argc; i++) {
        waiting->argv[i] = roan_slice_make(text, argv[i].bytes);
        if (argv[i].bytes > 0)
            memcpy(text, argv[i].data, argv[i].bytes);
        text += argv[i].bytes;
    }
    return waiting;
}

static void describe_session(roan_waiting *waiting, roan_session *session)
{
    waiting->session = session;
    waiting->lane = session->lane;
    waiting->session_id = session->id;
    waiting->user = session->user;
    waiting->db = session->db;
    waiting->protocol = session->out.protocol;
    waiting->no_touch = session->no_touch;
    waiting->import_source = session->import_source;
    waiting->caching_given = session->caching_given;
    waiting->tracker = session->tracker;
    if (waiting->tracker != NULL)
        roan_tracker_ref(waiting->tracker);
}

void roan_call_block_on_keys(roan_call *call, const roan_block *block)
{
    if (call->retry != NULL) {
        call->is_blocked = true;
        return;
    }
    if (call->may_not_block) {
        reply_timeout(call->out, block->null_array);
        return;
    }
    roan_waiting *waiting = waiting_create(call, block);
    describe_session(waiting, call->session);
    waiting->references = 1;
    waiting->type = block->type;
    waiting->wakes_without_key = block->wakes_without_key;
    waiting->null_array = block->null_array;
    waiting->is_far = call->engine->lane_count > 1 && needs_other_stripes(call, block);
    waiting->request_bytes = call->request->bytes;
    waiting->first_key = block->first_key;
    waiting->key_step = block->key_step;
    waiting->link_count = block->key_count;
    for (size_t i = 0; i < block->key_count; i++) {
        roan_slice key = call->argv[block->first_key + i * block->key_step];
        waiting->links[i] = (waiter_link){.waiting = waiting, .stripe = stripe_of(call->engine, key)};
        link_in(call->lane, &waiting->links[i], key);
    }
    call->session->waiting = waiting;
    roan_call_block(call, block->timeout_ms, end_blocking);
}

bool roan_call_reaches(roan_call *call, size_t index)
{
    roan_waiting *waiting = call->retry;
    if (waiting == NULL || roan_stripe_is_held(call->lane, stripe_of(call->engine, call->argv[index])))
        return true;
    waiter_link *link = &waiting->links[(index - waiting->first_key) / waiting->key_step];
    if (call->now_ms < atomic_load_explicit(&link->wrong_until_ms, memory_order_acquire))
        roan_call_wrong_type(call);
    return false;
}

/* ---- getting ready ---- */

static void mark_ready(roan_lane *lane, waiter_queue *queue)
{
    if (queue->is_ready)
        return;
    queue->is_ready = true;
    queue->next_ready = NULL;
    if (lane->ready_queues == NULL)
        lane->ready_queues = queue;
    else
        lane->ready_queues_last->next_ready = queue;
    lane->ready_queues_last = queue;
}

void roan_blocking_key_changed(roan_lane *lane, unsigned db, uint32_t stripe, roan_slice key)
{
    waiter_queue *queue = find_queue(lane, stripe, db, key);
    if (queue != NULL)
        mark_ready(lane, queue);
}

typedef struct db_visit {
    roan_lane *lane;
    uint32_t db;
} db_visit;

static void mark_if_of_db(void *item, void *context)
{
    const db_visit *visit = context;
    waiter_queue *queue = item;
    if (memcmp(queue->name, &visit->db, sizeof visit->db) == 0)
        mark_ready(visit->lane, queue);
}

void roan_blocking_db_changed(roan_lane *lane, unsigned db)
{
    roan_engine *engine = lane->engine;
    db_visit visit = {lane, db};
    if (!roan_blocking_is_used(engine))
        return;
    for (unsigned i = 0; i < engine->stripe_count; i++)
        if (engine->stripes[i].waiters != NULL)
            ROAN_IGNORE(
                roan_table_scan(&engine->stripes[i].waiters->queues, 0, SIZE_MAX, mark_if_of_db, &visit)); /* the end */
}

bool roan_blocking_needs_gate(const roan_engine *engine, const uint32_t *stripes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const roan_waiters *waiters = engine->stripes[stripes[i]].waiters;
        if (waiters != NULL && waiters->far_links > 0)
            return true;
    }
    return false;
}

/* ---- serving ---- */

/* Until when the entry, which has not expired, is of the wrong type. */
static int64_t wrong_until_ms(const roan_entry *entry, roan_type type)
{
    if (entry->type == type)
        return 0;
    return entry->flags & ROAN_ENTRY_EXPIRES ? roan_entry_expiry(entry) : INT64_MAX;
}

/* The key is there with the type that is waited for, or what happened to it wakes the waiter all the same. What the key
 * is now is noted in the link, for retries that do not reach it. */
static bool may_serve(roan_lane *lane, const waiter_queue *queue, waiter_link *link)
{
    const roan_waiting *waiting = link->waiting;
    const roan_db *db = roan_engine_db_if_used(lane->engine, waiting->db);
    roan_slice key = roan_slice_make(queue->name + sizeof(uint32_t), queue->name_bytes - sizeof(uint32_t));
    uint64_t hash = roan_hash(&lane->engine->table_context.secret, key.data, key.bytes);
    roan_spot spot;
    const roan_entry *entry = roan_table_find(&db->tables[queue->stripe], hash, key, &spot);
    bool is_there = entry != NULL && !roan_entry_is_expired(entry, lane->now_ms);
    atomic_store_explicit(&link->wrong_until_ms, is_there ? wrong_until_ms(entry, waiting->type) : 0,
                          memory_order_release);
    return (is_there && entry->type == waiting->type) || waiting->wakes_without_key;
}

/* Its user may have lost the right to it while it waited. */
static bool refuse_again(roan_call *call)
{
    roan_buffer *text = &call->lane->scratch;
    if (ROAN_LIKELY(!(call->session->modes & ROAN_MODE_RESTRICTED)) || !roan_acl_refuses(call, text))
        return false;
    call->lane->stats->commands_by_id[call->command->id].rejected++;
    roan_call_error(call, text->data);
    return true;
}

/* Runs the command again for a session; true when it was answered, into session->out. */
static bool run_again(roan_lane *lane, roan_session *session, roan_waiting *waiting)
{
    roan_request request = {.argv = waiting->argv, .argc = waiting->argc};
    roan_request_prepare(session, &request);
    roan_call call = {
        .engine = lane->engine,
        .lane = lane,
        .session = session,
        .command = request.command,
        .db = roan_engine_db_if_used(lane->engine, waiting->db),
        .argv = request.argv,
        .argc = request.argc,
        .out = &session->out,
        .now_ms = lane->now_ms,
        .request = &request,
        .retry = waiting,
    };
    roan_talk talk;
    uint64_t ticks = roan_clock_ticks(lane->engine->clock);
    size_t out_bytes_before = roan_out_bytes(&session->out);
    roan_talk_begin(session, &talk);
    waiting->is_refused = refuse_again(&call);
    if (!waiting->is_refused) {
        call.command->body(&call);
        roan_tracking_note_reads(&call);
    }
    waiting->reply_bytes = roan_out_bytes(&session->out) - out_bytes_before;
    waiting->served_ns = roan_clock_ticks_to_ns(lane->engine->clock, roan_clock_ticks(lane->engine->clock) - ticks);
    roan_talk_end(session, &talk);
    roan_effects_collect(&call);
    roan_effects_hand_over(lane);
    lane->stats->commands_by_id[call.command->id].failed += call.has_failed && !waiting->is_refused;
    return !call.is_blocked;
}

typedef struct answer_mail {
    roan_mail mail;
    roan_waiting *waiting;
    size_t bytes;
    char data[];
} answer_mail;

static void deliver_answer(roan_mail *mail, void *receiver)
{
    (void)receiver;
    answer_mail *answer = (answer_mail *)mail;
    roan_session *session = answer->waiting->session;
    if (session != NULL) {
        roan_out_raw(&session->out, answer->data, answer->bytes);
        roan_session_unblock(session, ROAN_UNBLOCK_SERVED);
    }
    drop_reference(answer->waiting);
    roan_free(answer, sizeof *answer + answer->bytes);
}

static const roan_session_ops proxy_ops; /* nobody is connected to it */

/* The session belongs to another lane: the command runs for a stand-in, whose answer is mailed. */
static bool serve_by_mail(roan_lane *lane, roan_waiting *waiting)
{
    roan_session proxy = {.lane = lane,
                          .ops = &proxy_ops,
                          .id = waiting->session_id,
                          .db = waiting->db,
                          .is_authenticated = true,
                          .is_embedded = true,
                          .no_touch = waiting->no_touch,
                          .import_source = waiting->import_source,
                          .caching_given = waiting->caching_given,
                          .tracker = waiting->tracker};
    roan_tracking_hold hold;
    roan_tracking_hold_begin(lane, &hold, waiting->lane, waiting->session_id);
    roan_out_init(&proxy.out, &lane->out_pool, waiting->protocol);
    roan_acl_set_session_user(&proxy, waiting->user);
    bool is_answered = run_again(lane, &proxy, waiting);
    if (is_answered) {
        size_t bytes = roan_out_bytes(&proxy.out);
        answer_mail *answer = roan_alloc(sizeof *answer + bytes);
        *answer = (answer_mail){.mail.deliver = deliver_answer, .waiting = waiting, .bytes = bytes};
        roan_out_copy(&proxy.out, answer->data);
        atomic_store_explicit(&waiting->state, SERVED, memory_order_release);
        roan_pubsub_mail(lane, waiting->lane, &answer->mail); /* news of what it has read may follow at once */
    }
    roan_tracking_hold_end(lane);
    roan_out_done(&proxy.out);
    return is_answered;
}

static bool serve_directly(roan_lane *lane, roan_waiting *waiting)
{
    roan_session *session = waiting->session;
    ROAN_ASSERT(session != NULL);
    if (!run_again(lane, session, waiting))
        return false;
    atomic_store_explicit(&waiting->state, SERVED, memory_order_release);
    roan_session_unblock(session, ROAN_UNBLOCK_SERVED);
    drop_reference(waiting); /* the session left it to a mail that there is not */
    return true;
}

/* Tries to serve one waiter; true when it is done with. */
static bool serve_waiting(roan_lane *lane, const waiter_queue *queue, waiter_link *link)
{
    roan_waiting *waiting = link->waiting;
    if (!may_serve(lane, queue, link))
        return atomic_load_explicit(&waiting->state, memory_order_relaxed) >= SERVED;
    if (!claim(waiting, SERVING))
        return true;
    roan_at_point(lane->engine, ROAN_POINT_SERVING);
    if (waiting->lane == lane || lane->is_alone ? serve_directly(lane, waiting) : serve_by_mail(lane, waiting))
        return true;
    atomic_store_explicit(&waiting->state, WAITING, memory_order_release);
    return false;
}

static void serve_queue(roan_lane *lane, waiter_queue *queue)
{
    queue->is_served = true;
    for (waiter_link *link = queue->first, *next; link != NULL; link = next) {
        roan_waiting *waiting = link->waiting;
        atomic_fetch_add_explicit(&waiting->references, 1, memory_order_relaxed);
        bool is_done = serve_waiting(lane, queue, link);
        next = link->next;
        if (is_done)
            link_out(lane->engine, link); /* it may have done so itself */
        drop_reference(waiting);
    }
    queue->is_served = false;
}

void roan_blocking_serve_slowly(roan_lane *lane)
{
    roan_lane_update_time_keeping_ticks(lane); /* what has come may be past its time by now */
    while (lane->ready_queues != NULL) {
        waiter_queue *queue = lane->ready_queues;
        lane->ready_queues = queue->next_ready;
        queue->is_ready = false;
        serve_queue(lane, queue);
        close_queue_if_unused(lane->engine, queue);
    }
}

/* ---- timeouts ---- */

static bool take_timeout(roan_call *call, int64_t timeout_ms, int64_t *ret_timeout_ms)
{
    if (timeout_ms >= 0 && timeout_ms <= INT64_MAX - call->now_ms) {
        *ret_timeout_ms = timeout_ms;
        return true;
    }
    roan_call_error(call, timeout_ms < 0 ? "ERR timeout is negative" : "ERR timeout is out of range");
    return false;
}

bool roan_call_timeout(roan_call *call, size_t index, int64_t *ret_timeout_ms)
{
    long double seconds;
    if (!roan_parse_long_double(call->argv[index], &seconds)) {
        roan_call_error(call, "ERR timeout is not a float or out of range");
        return false;
    }
    long double ms = ceill(seconds * 1000);
    if (ms > (long double)INT64_MAX) {
        roan_call_error(call, "ERR timeout is out of range");
        return false;
    }
    return take_timeout(call, ms < -1 ? -1 : (int64_t)ms, ret_timeout_ms);
}

bool roan_call_timeout_ms(roan_call *call, size_t index, int64_t *ret_timeout_ms)
{
    int64_t timeout_ms;
    return roan_call_integer(call, index, &timeout_ms, "ERR timeout is not an integer or out of range") &&
           take_timeout(call, timeout_ms, ret_timeout_ms);
}

/* ---- life ---- */

static void count_queue(void *item, void *context)
{
    const waiter_queue *queue = item;
    size_t *without = context;
    for (const waiter_link *link = queue->first; link != NULL; link = link->next)
        if (link->waiting->wakes_without_key) {
            ++*without;
            return;
        }
}

void roan_blocking_count(const roan_engine *engine, size_t *ret_keys, size_t *ret_keys_without)
{
    *ret_keys = *ret_keys_without = 0;
    for (unsigned i = 0; i < engine->stripe_count; i++) {
        const roan_waiters *waiters = engine->stripes[i].waiters;
        if (waiters == NULL)
            continue;
        *ret_keys += waiters->queues.count;
        ROAN_IGNORE(roan_table_scan(&waiters->queues, 0, SIZE_MAX, count_queue, ret_keys_without)); /* always the end */
    }
}

void roan_blocking_init(roan_engine *engine)
{
    engine->waiter_context = (roan_table_context){.ops = &queue_ops, .secret = engine->table_context.secret};
}

void roan_blocking_done(roan_engine *engine)
{
    for (unsigned i = 0; i < engine->lane_count; i++)
        roan_blocking_tidy(&engine->lanes[i]);
    for (unsigned i = 0; i < engine->stripe_count; i++) {
        roan_waiters *waiters = engine->stripes[i].waiters;
        if (waiters == NULL)
            continue;
        ROAN_ASSERT(waiters->queues.count == 0);
        roan_table_clear(&waiters->queues);
        roan_free(waiters, sizeof *waiters);
    }
}
