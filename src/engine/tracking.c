/* engine/tracking.c: trackers, the tables of recorded keys, and the news on their way; see tracking.h.
 *
 *   stripe ─► table: name ─► tracked_key ─► trackers, sorted by address
 *
 * A tracked_key has its name in the form in which it is sent: taken out of the table, it is the message. Mails to all
 * lanes share it.
 *
 * Invariant 1: a tracked_key in a table has at least one tracker, and is counted in its stripe and in the engine.
 * Invariant 2: who is in the list of a key, a mail or a prefix, or is redirected to, is referred to.
 */
#include "engine/tracking.h"

#include "base/macros.h"
#include "engine/broadcast.h"
#include "engine/command_keys.h"
#include "engine/evict.h"
#include "engine/pubsub.h"

#define LIMIT_EFFORT 100 /* keys forgotten at a time, and as many more each time that was not enough */

typedef struct tracked_key {
    union {
        roan_tracker *one;   /* while capacity is 0 */
        roan_tracker **many;
    };
    uint32_t count, capacity;
    uint32_t name_at, name_bytes; /* in `wire` */
    size_t wire_bytes;
    char wire[];                  /* an array with the name, as RESP */
} tracked_key;

struct roan_tracked {
    roan_table keys;
    uint64_t items;
};

/* ---- trackers ---- */

void roan_tracker_ref(roan_tracker *tracker)
{
    atomic_fetch_add_explicit(&tracker->references, 1, memory_order_relaxed);
}

void roan_tracker_unref(roan_tracker *tracker)
{
    if (tracker == NULL || atomic_fetch_sub_explicit(&tracker->references, 1, memory_order_acq_rel) != 1)
        return;
    ROAN_ASSERT(tracker->prefixes.count == 0 && tracker->redirect == NULL);
    roan_free(tracker, sizeof *tracker);
}

static bool is_gone(const roan_tracker *tracker)
{
    return atomic_load_explicit(&tracker->is_gone, memory_order_acquire);
}

static roan_tracker *receiver_of(roan_tracker *tracker)
{
    return tracker->redirect != NULL ? tracker->redirect : tracker;
}

/* The session's, made when it has none. */
static roan_tracker *tracker_of(roan_session *session)
{
    if (session->tracker != NULL)
        return session->tracker;
    roan_tracker *tracker = roan_alloc_zero(sizeof *tracker);
    tracker->references = 1;
    tracker->id = session->id;
    tracker->lane = session->lane;
    tracker->session = session;
    session->tracker = tracker;
    session->modes |= ROAN_MODE_TRACKED; /* its pushes wait for the end of a reply */
    return tracker;
}

static void set_redirect(roan_tracker *tracker, roan_session *to)
{
    roan_tracker *before = tracker->redirect;
    tracker->redirect = to == NULL ? NULL : tracker_of(to);
    tracker->redirect_id = to == NULL ? 0 : to->id;
    if (tracker->redirect != NULL && tracker->redirect != tracker)
        roan_tracker_ref(tracker->redirect);
    if (before != tracker)
        roan_tracker_unref(before);
}

/* ---- settings ---- */

static void release_ended(roan_lane *lane)
{
    while (lane->ended_trackers != NULL) {
        roan_tracker *ended = lane->ended_trackers;
        lane->ended_trackers = ended->next_ended;
        roan_broadcast_leave(lane->engine, ended);
        set_redirect(ended, NULL);
        roan_tracker_unref(ended);
    }
}

/* Before settings change: nothing is on its way, and who ended is out of everything. The gate is shut. */
static void settle(roan_engine *engine)
{
    for (unsigned i = 0; i < engine->lane_count; i++)
        roan_broadcast_flush(&engine->lanes[i]);
    for (unsigned i = 0; i < engine->lane_count; i++)
        roan_pubsub_deliver(&engine->lanes[i]);
    for (unsigned i = 0; i < engine->lane_count; i++)
        release_ended(&engine->lanes[i]);
}

void roan_tracking_on(roan_session *session, const roan_tracking_options *options)
{
    roan_engine *engine = session->lane->engine;
    roan_tracker *tracker = tracker_of(session);
    settle(engine);
    engine->tracking_is_used = true;
    if (!tracker->is_on)
        atomic_fetch_add_explicit(&engine->tracking_clients, 1, memory_order_relaxed);
    tracker->is_on = true;
    tracker->is_broadcast = options->is_broadcast;
    tracker->is_optin = options->is_optin;
    tracker->is_optout = options->is_optout;
    tracker->is_noloop = options->is_noloop;
    atomic_store_explicit(&tracker->is_redirect_broken, false, memory_order_relaxed);
    set_redirect(tracker, options->redirect);
    if (options->is_broadcast && options->prefix_count == 0)
        roan_broadcast_join(engine, tracker, roan_slice_make("", 0));
    for (size_t i = 0; i < options->prefix_count; i++)
        roan_broadcast_join(engine, tracker, options->prefixes[i]);
}

static void switch_off(roan_engine *engine, roan_tracker *tracker)
{
    tracker->is_on = tracker->is_broadcast = tracker->is_optin = tracker->is_optout = tracker->is_noloop = false;
    atomic_store_explicit(&tracker->is_redirect_broken, false, memory_order_relaxed);
    atomic_fetch_sub_explicit(&engine->tracking_clients, 1, memory_order_relaxed);
}

void roan_tracking_off(roan_session *session)
{
    roan_engine *engine = session->lane->engine;
    roan_tracker *tracker = session->tracker;
    session->caching_given = false;
    if (tracker == NULL || !tracker->is_on)
        return;
    settle(engine);
    roan_broadcast_ends(engine, tracker);
    roan_broadcast_leave(engine, tracker);
    switch_off(engine, tracker);
    set_redirect(tracker, NULL);
}

/* What others may be reading stays as it is until the gate is shut the next time. */
void roan_tracking_end(roan_session *session)
{
    roan_lane *lane = session->lane;
    roan_tracker *tracker = session->tracker;
    if (tracker == NULL)
        return;
    roan_tracking_closes(session);
    tracker->session = NULL;
    session->tracker = NULL;
    if (tracker->is_on) {
        roan_broadcast_ends(lane->engine, tracker);
        atomic_fetch_sub_explicit(&lane->engine->tracking_clients, 1, memory_order_relaxed);
    }
    if (tracker->redirect == NULL && tracker->prefixes.count == 0) {
        roan_tracker_unref(tracker);
        return;
    }
    tracker->next_ended = lane->ended_trackers;
    lane->ended_trackers = tracker;
}

void roan_tracking_command_ended(roan_session *session, const roan_command *command)
{
    static const char family[] = "client|";
    if (session->modes & ROAN_MODE_TRANSACTION)
        return;
    if (command == NULL || strncmp(command->name, family, sizeof family - 1) != 0)
        session->caching_given = false;
}

/* ---- recorded keys ---- */

static roan_slice name_of(const void *item)
{
    const tracked_key *key = item;
    return roan_slice_make(key->wire + key->name_at, key->name_bytes);
}

static roan_tracker **trackers_of(tracked_key *key)
{
    return key->capacity == 0 ? &key->one : key->many;
}

static void free_key(void *item)
{
    tracked_key *key = item;
    for (uint32_t i = 0; i < key->count; i++)
        roan_tracker_unref(trackers_of(key)[i]);
    if (key->capacity > 0)
        roan_free(key->many, key->capacity * sizeof(roan_tracker *));
    roan_free(key, sizeof *key + key->wire_bytes);
}

static void check_key(const void *item)
{
    const tracked_key *key = item;
    ROAN_ASSERT(key->count >= 1 && key->count <= ROAN_MAX(key->capacity, 1u));
    for (uint32_t i = 1; i < key->count; i++)
        ROAN_ASSERT(key->many[i - 1] < key->many[i]);
}

static const roan_table_ops key_ops = {.key = name_of, .free_with_arena = free_key, .check = check_key};

static tracked_key *create_key(roan_slice name)
{
    char head[2 * (ROAN_I64_TEXT_MAX + 3)] = "*1\r\n$";
    size_t head_bytes = 5 + roan_format_u64(head + 5, name.bytes);
    memcpy(head + head_bytes, "\r\n", 2);
    head_bytes += 2;
    size_t wire_bytes = head_bytes + name.bytes + 2;
    tracked_key *key = roan_alloc(sizeof *key + wire_bytes);
    *key = (tracked_key){.name_at = (uint32_t)head_bytes, .name_bytes = (uint32_t)name.bytes, .wire_bytes = wire_bytes};
    memcpy(key->wire, head, head_bytes);
    if (name.bytes > 0)
        memcpy(key->wire + head_bytes, name.data, name.bytes);
    memcpy(key->wire + head_bytes + name.bytes, "\r\n", 2);
    return key;
}

/* Where the tracker is, or belongs. */
static uint32_t place_of(tracked_key *key, const roan_tracker *tracker)
{
    roan_tracker *const *trackers = trackers_of(key);
    uint32_t low = 0, high = key->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (trackers[middle] < tracker)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void make_room(tracked_key *key)
{
    if (key->count < ROAN_MAX(key->capacity, 1u))
        return;
    uint32_t capacity = ROAN_MAX(key->capacity * 2, 4u);
    roan_tracker **many = roan_alloc(capacity * sizeof *many);
    memcpy(many, trackers_of(key), key->count * sizeof *many);
    if (key->capacity > 0)
        roan_free(key->many, key->capacity * sizeof *many);
    key->many = many;
    key->capacity = capacity;
}

/* True when it was not in the key's list yet. */
static bool add_tracker(tracked_key *key, roan_tracker *tracker)
{
    uint32_t place = place_of(key, tracker);
    if (place < key->count && trackers_of(key)[place] == tracker)
        return false;
    make_room(key);
    roan_tracker **trackers = trackers_of(key);
    memmove(trackers + place + 1, trackers + place, (key->count - place) * sizeof(roan_tracker *));
    trackers[place] = tracker;
    key->count++;
    roan_tracker_ref(tracker);
    return true;
}

static void count_keys(roan_engine *engine, roan_stripe *stripe)
{
    uint32_t before = atomic_load_explicit(&stripe->tracked_keys, memory_order_relaxed);
    uint32_t now = (uint32_t)stripe->tracked->keys.count;
    atomic_store_explicit(&stripe->tracked_keys, now, memory_order_relaxed);
    atomic_fetch_add_explicit(&engine->tracked_keys, (uint64_t)now - before, memory_order_relaxed);
}

static struct roan_tracked *table_of(roan_engine *engine, roan_stripe *stripe)
{
    if (stripe->tracked == NULL) {
        stripe->tracked = roan_alloc_aligned(ROAN_CACHE_LINE, sizeof *stripe->tracked);
        stripe->tracked->items = 0;
        roan_table_init(&stripe->tracked->keys, &engine->tracked_context);
    }
    return stripe->tracked;
}

static void note_read(roan_call *call, roan_slice name, uint64_t hash, uint32_t stripe)
{
    ROAN_VERIFY(roan_stripe_is_held(call->lane, stripe));
    roan_engine *engine = call->engine;
    struct roan_tracked *tracked = table_of(engine, &engine->stripes[stripe]);
    roan_spot spot;
    tracked_key *key = roan_table_find(&tracked->keys, hash, name, &spot);
    if (key == NULL) {
        key = create_key(name);
        roan_table_insert(&tracked->keys, hash, &spot, key);
        count_keys(engine, &engine->stripes[stripe]);
    }
    tracked->items += add_tracker(key, call->session->tracker);
}

static bool records(const roan_session *session)
{
    const roan_tracker *tracker = session->tracker;
    return tracker->is_on && !tracker->is_broadcast && !is_gone(tracker) &&
           (!tracker->is_optin || session->caching_given) && (!tracker->is_optout || !session->caching_given);
}

/* Of scripts, the commands inside are recorded; names of channels are no keys. */
void roan_tracking_note_reads_slowly(roan_call *call)
{
    const roan_command *command = call->command;
    if (command->lock == ROAN_LOCK_T || command->flags & ROAN_CMD_PUBSUB || !records(call->session))
        return;
    unsigned single = roan_command_single_key(command);
    if (single != 0 && single == call->request->key_index) {
        note_read(call, call->argv[single], call->request->hash, call->request->stripe);
        return;
    }
    roan_key_list keys;
    roan_key_list_init(&keys);
    ROAN_IGNORE(roan_command_find_keys(command, call->argc, call->argv, &keys)); /* false: none */
    for (unsigned i = 0; i < keys.count; i++) {
        roan_slice name = call->argv[roan_key_list_refs(&keys)[i].index];
        note_read(call, name, roan_hash(&call->engine->table_context.secret, name.data, name.bytes),
                  roan_key_slot(name) & (call->engine->stripe_count - 1));
    }
    roan_key_list_done(&keys);
}

/* ---- delivering ---- */

static void push_to(roan_lane *lane, roan_session *session, const char *head, roan_slice body)
{
    bool is_own = session == lane->talking;
    roan_out *out = is_own ? lane->talk_out : &session->out;
    roan_out_raw(out, head, strlen(head));
    roan_out_raw(out, body.data, body.bytes);
    if (!is_own)
        session->ops->output_ready(session);
}

/* With RESP2 only a subscriber can be told: by a message of this channel, whatever he subscribed to. */
static void push_names(roan_lane *lane, roan_session *session, bool is_redirected, roan_slice names)
{
    roan_slice nothing = session->out.protocol == 3 ? ROAN_LITERAL("_\r\n") : ROAN_LITERAL("$-1\r\n");
    roan_slice body = names.bytes > 0 ? names : nothing;
    if (session->is_closing)
        return;
    if (session->out.protocol == 3)
        push_to(lane, session, ">2\r\n$10\r\ninvalidate\r\n", body);
    else if (is_redirected && session->modes & ROAN_MODE_SUBSCRIBED)
        push_to(lane, session, "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n", body);
}

static void push_broken(roan_lane *lane, const roan_tracker *tracker)
{
    char body[ROAN_I64_TEXT_MAX + 4] = ":";
    if (is_gone(tracker) || tracker->session->out.protocol != 3)
        return;
    size_t bytes = 1 + roan_format_u64(body + 1, tracker->redirect_id);
    memcpy(body + bytes, "\r\n", 2);
    push_to(lane, tracker->session, ">2\r\n$21\r\ntracking-redir-broken\r\n", roan_slice_make(body, bytes + 2));
}

typedef struct broken_mail {
    roan_mail mail;
    roan_tracker *tracker;
} broken_mail;

static void deliver_broken(roan_mail *mail, void *receiver)
{
    roan_tracker *tracker = ((broken_mail *)mail)->tracker;
    push_broken(receiver, tracker);
    roan_tracker_unref(tracker);
    roan_free(mail, sizeof(broken_mail));
}

/* The tracker's client learns that the one who should get its messages is gone. */
static void report_broken(roan_lane *lane, roan_tracker *tracker)
{
    atomic_store_explicit(&tracker->is_redirect_broken, true, memory_order_relaxed);
    if (tracker->lane == lane) {
        push_broken(lane, tracker);
    } else if (tracker->redirect->lane == lane) { /* it went while the message was on its way here */
        broken_mail *mail = roan_alloc(sizeof *mail);
        *mail = (broken_mail){.mail.deliver = deliver_broken, .tracker = tracker};
        roan_tracker_ref(tracker);
        roan_pubsub_mail(lane, tracker->lane, &mail->mail);
    }
}

roan_lane *roan_tracker_delivery_lane(const roan_tracker *tracker)
{
    const roan_tracker *receiver = tracker->redirect;
    return receiver == NULL || is_gone(receiver) ? tracker->lane : receiver->lane;
}

void roan_tracker_deliver(roan_lane *lane, roan_tracker *tracker, roan_slice names)
{
    roan_tracker *receiver = receiver_of(tracker);
    if (is_gone(tracker))
        return;
    if (is_gone(receiver))
        report_broken(lane, tracker);
    else if (receiver->lane == lane)
        push_names(lane, receiver->session, tracker->redirect != NULL, names);
}

/* ---- changes ---- */

/* The changed key, and one mail for each lane. */
typedef struct news news;

typedef struct news_mail {
    roan_mail mail;
    news *news;
} news_mail;

struct news {
    _Atomic unsigned references;
    unsigned mail_count;
    uint64_t changer;
    tracked_key *key;
    news_mail mails[];
};

/* The client is to hear of a changed key that it has read. */
static bool wants(const roan_tracker *tracker, uint64_t changer)
{
    return tracker->is_on && !tracker->is_broadcast && !(tracker->is_noloop && tracker->id == changer) &&
           !is_gone(tracker);
}

/* To those receivers who belong to the lane. */
static void deliver_key(roan_lane *lane, tracked_key *key, uint64_t changer)
{
    for (uint32_t i = 0; i < key->count; i++)
        if (wants(trackers_of(key)[i], changer))
            roan_tracker_deliver(lane, trackers_of(key)[i], roan_slice_make(key->wire, key->wire_bytes));
}

static void deliver_news(roan_mail *mail, void *receiver)
{
    news *told = ((news_mail *)mail)->news;
    deliver_key(receiver, told->key, told->changer);
    if (atomic_fetch_sub_explicit(&told->references, 1, memory_order_acq_rel) != 1)
        return;
    free_key(told->key);
    roan_free(told, sizeof *told + told->mail_count * sizeof(news_mail));
}

/* The lane's session for which another lane's command runs has read the key. */
static bool is_held_back(const roan_tracking_hold *hold, const roan_lane *to, tracked_key *key)
{
    if (ROAN_LIKELY(hold == NULL) || hold->to != to)
        return false;
    for (uint32_t i = 0; i < key->count; i++)
        if (trackers_of(key)[i]->id == hold->session_id)
            return true;
    return false;
}

static void send_news(roan_lane *lane, news *told, uint64_t lanes)
{
    roan_tracking_hold *hold = lane->tracking_hold;
    unsigned sent = 0;
    for (uint64_t left = lanes; left != 0; left &= left - 1) {
        roan_lane *to = &lane->engine->lanes[__builtin_ctzll(left)];
        news_mail *mail = &told->mails[sent++];
        *mail = (news_mail){.mail.deliver = deliver_news, .news = told};
        if (is_held_back(hold, to, told->key)) {
            *hold->last = &mail->mail;
            hold->last = &mail->mail.next;
        } else {
            roan_pubsub_mail(lane, to, &mail->mail);
        }
    }
}

/* Takes the key, which is out of its table. */
static void tell(roan_lane *lane, tracked_key *key, uint64_t changer)
{
    uint64_t lanes = 0;
    if (lane->engine->lane_count == 1) {
        deliver_key(lane, key, changer);
        free_key(key);
        return;
    }
    for (uint32_t i = 0; i < key->count; i++)
        if (wants(trackers_of(key)[i], changer))
            lanes |= UINT64_C(1) << roan_tracker_delivery_lane(trackers_of(key)[i])->index;
    if (lanes == 0) {
        free_key(key);
        return;
    }
    unsigned count = (unsigned)__builtin_popcountll(lanes);
    news *told = roan_alloc(sizeof *told + count * sizeof(news_mail));
    *told = (news){.references = count, .mail_count = count, .changer = changer, .key = key};
    send_news(lane, told, lanes);
}

static void forget_key(roan_lane *lane, roan_stripe *stripe, uint64_t hash, roan_spot *spot, uint64_t changer)
{
    tracked_key *key = roan_table_remove(&stripe->tracked->keys, hash, spot);
    stripe->tracked->items -= key->count;
    count_keys(lane->engine, stripe);
    tell(lane, key, changer);
}

void roan_tracking_changed(roan_lane *lane, uint64_t changer, roan_slice name, uint64_t hash, uint32_t stripe)
{
    roan_stripe *of = &lane->engine->stripes[stripe];
    roan_spot spot;
    ROAN_VERIFY(roan_stripe_is_held(lane, stripe));
    roan_broadcast_note(lane, changer, name, hash);
    if (atomic_load_explicit(&of->tracked_keys, memory_order_relaxed) > 0 &&
        roan_table_find(&of->tracked->keys, hash, name, &spot) != NULL)
        forget_key(lane, of, hash, &spot, changer);
}

void roan_tracking_hold_begin(roan_lane *lane, roan_tracking_hold *hold, roan_lane *to, uint64_t session_id)
{
    ROAN_ASSERT(lane->tracking_hold == NULL);
    *hold = (roan_tracking_hold){.session_id = session_id, .to = to, .last = &hold->first};
    lane->tracking_hold = hold;
}

void roan_tracking_hold_end(roan_lane *lane)
{
    roan_tracking_hold *hold = lane->tracking_hold;
    *hold->last = NULL;
    for (roan_mail *mail = hold->first, *next; mail != NULL; mail = next) {
        next = mail->next;
        roan_pubsub_mail(lane, hold->to, mail);
    }
    lane->tracking_hold = NULL;
}

/* `taken`: tables, not yet initialised, that get the keys of each stripe; NULL: they are freed. */
static void clear_tables(roan_engine *engine, roan_table *taken)
{
    for (unsigned i = 0; i < engine->stripe_count; i++) {
        roan_stripe *stripe = &engine->stripes[i];
        if (taken != NULL)
            roan_table_init(&taken[i], &engine->tracked_context);
        if (atomic_load_explicit(&stripe->tracked_keys, memory_order_relaxed) == 0)
            continue;
        if (taken != NULL)
            roan_table_move(&taken[i], &stripe->tracked->keys);
        else
            roan_table_clear(&stripe->tracked->keys);
        stripe->tracked->items = 0;
        count_keys(engine, stripe);
    }
}

static void clear_tables_later(roan_engine *engine)
{
    roan_table *tables = roan_alloc_aligned(ROAN_CACHE_LINE, engine->stripe_count * sizeof *tables);
    clear_tables(engine, tables);
    engine->host.free_tables_later(engine->host.context, tables, engine->stripe_count);
}

void roan_tracking_flushed(roan_engine *engine, bool is_async)
{
    if (!engine->tracking_is_used)
        return;
    if (is_async && engine->host.free_tables_later != NULL &&
        atomic_load_explicit(&engine->tracked_keys, memory_order_relaxed) > ROAN_LAZY_EFFORT_MIN)
        clear_tables_later(engine);
    else
        clear_tables(engine, NULL);
    for (roan_session *s = roan_sessions_first(engine); s != NULL; s = roan_sessions_next(s))
        if (roan_tracking_of(s) != NULL)
            roan_tracker_deliver(roan_tracker_delivery_lane(s->tracker), s->tracker, roan_slice_make("", 0));
}

/* ---- the limit ---- */

/* Forgets one key of a random stripe, or of the next one that has some and is free. False: there is none. */
static bool forget_any(roan_lane *lane)
{
    roan_engine *engine = lane->engine;
    uint32_t start = (uint32_t)roan_random_below(&lane->random, engine->stripe_count);
    for (uint32_t i = 0; i < engine->stripe_count; i++) {
        uint32_t index = (start + i) & (engine->stripe_count - 1);
        roan_stripe *stripe = &engine->stripes[index];
        if (atomic_load_explicit(&stripe->tracked_keys, memory_order_relaxed) == 0 || !roan_stripe_try(lane, index))
            continue;
        const tracked_key *key = roan_table_random(&stripe->tracked->keys, &lane->random);
        if (key != NULL) {
            roan_spot spot;
            uint64_t hash = roan_table_hash(&stripe->tracked->keys, name_of(key));
            ROAN_ASSERT(roan_table_find(&stripe->tracked->keys, hash, name_of(key), &spot) == key);
            forget_key(lane, stripe, hash, &spot, 0);
        }
        roan_stripes_release(lane, &index, 1);
        if (key != NULL)
            return true;
    }
    return false;
}

void roan_tracking_limit_slowly(roan_lane *lane)
{
    const roan_engine *engine = lane->engine;
    uint64_t max = (uint64_t)engine->config.tracking_table_max_keys;
    size_t effort = LIMIT_EFFORT * (++lane->tracking_effort);
    while (effort-- > 0 && forget_any(lane))
        if (atomic_load_explicit(&engine->tracked_keys, memory_order_relaxed) <= max) {
            lane->tracking_effort = 0;
            return;
        }
}

/* ---- life, numbers ---- */

void roan_tracking_init(roan_engine *engine)
{
    engine->tracked_context = (roan_table_context){.ops = &key_ops, .secret = engine->table_context.secret};
}

void roan_tracking_done(roan_engine *engine)
{
    for (unsigned i = 0; i < engine->lane_count; i++)
        release_ended(&engine->lanes[i]);
    for (unsigned i = 0; i < engine->stripe_count; i++) {
        struct roan_tracked *tracked = engine->stripes[i].tracked;
        if (tracked == NULL)
            continue;
        roan_table_clear(&tracked->keys);
        roan_free(tracked, sizeof *tracked);
    }
    roan_broadcast_done(engine);
}

uint64_t roan_tracking_items(const roan_engine *engine)
{
    uint64_t items = 0;
    for (unsigned i = 0; i < engine->stripe_count; i++)
        if (engine->stripes[i].tracked != NULL)
            items += engine->stripes[i].tracked->items;
    return items;
}
