/* engine/broadcast.c: prefixes, and the changed keys that lanes collect for their clients; see broadcast.h.
 *
 *   engine ─► prefixes, sorted by name ─► clients
 *                                     ─► per lane: what changed since the end of its last round
 *
 * A name is collected in the form in which it is sent. A small open hash table finds the one that is there already;
 * what counts then is who changed it last, for clients that do not want to hear of their own changes.
 *
 * Invariant: `clients` of a prefix and `prefixes` of a tracker say the same.
 */
#include "engine/broadcast.h"

#include "base/macros.h"
#include "engine/pubsub.h"

#define FRONT_BYTES 32               /* room for the array's header before the first name */
#define COLLECTED_MAX 4096           /* names in a message; more changes at once make several */
#define COLLECTED_BYTES_MAX (1 << 20)
#define SLOTS_MIN 64

typedef struct collected_name {
    uint64_t hash, changer;
    uint32_t at;                     /* of its wire form; the next one's ends it */
    uint32_t name_at, name_bytes;
} collected_name;

typedef struct collection {
    _Alignas(ROAN_CACHE_LINE) collected_name *names;
    uint32_t count, capacity;
    uint32_t *slots;                 /* place in `names` + 1; 0: free */
    uint32_t slot_count;             /* a power of two, at least twice `count` */
    roan_buffer wire;                /* FRONT_BYTES of room, then all names */
} collection;

typedef struct roan_prefix {
    roan_tracker **clients;
    size_t client_count, client_capacity;
    _Atomic size_t live;             /* clients that are not gone */
    unsigned lane_count;
    collection *collections;         /* one per lane */
    size_t bytes;
    char name[];
} roan_prefix;

/* ---- prefixes ---- */

static roan_slice name_of(const roan_prefix *prefix)
{
    return roan_slice_make(prefix->name, prefix->bytes);
}

/* As radix trees sort. */
static int compare_names(roan_slice a, roan_slice b)
{
    size_t bytes = ROAN_MIN(a.bytes, b.bytes);
    int order = bytes == 0 ? 0 : memcmp(a.data, b.data, bytes);
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

/* Where the prefix is, or belongs. */
static size_t place_of(const roan_prefix_list *list, roan_slice name, bool *ret_is_there)
{
    size_t place = 0;
    while (place < list->count && compare_names(name_of(list->items[place]), name) < 0)
        place++;
    *ret_is_there = place < list->count && compare_names(name_of(list->items[place]), name) == 0;
    return place;
}

static void list_insert(roan_prefix_list *list, size_t place, roan_prefix *prefix)
{
    if (list->count == list->capacity) {
        size_t capacity = ROAN_MAX(list->capacity * 2, (size_t)4);
        list->items = roan_realloc(list->items, list->capacity * sizeof(roan_prefix *),
                                   capacity * sizeof(roan_prefix *));
        list->capacity = capacity;
    }
    memmove(list->items + place + 1, list->items + place, (list->count - place) * sizeof(roan_prefix *));
    list->items[place] = prefix;
    list->count++;
}

static void list_remove(roan_prefix_list *list, size_t place)
{
    list->count--;
    memmove(list->items + place, list->items + place + 1, (list->count - place) * sizeof(roan_prefix *));
}

static void list_done(roan_prefix_list *list)
{
    roan_free(list->items, list->capacity * sizeof(roan_prefix *));
    *list = (roan_prefix_list){0};
}

static roan_prefix *prefix_create(const roan_engine *engine, roan_slice name)
{
    size_t room = engine->lane_count * sizeof(collection);
    roan_prefix *prefix = roan_alloc_zero(sizeof *prefix + name.bytes);
    prefix->lane_count = engine->lane_count;
    prefix->collections = roan_alloc_aligned(ROAN_CACHE_LINE, room);
    memset(prefix->collections, 0, room);
    prefix->bytes = name.bytes;
    if (name.bytes > 0)
        memcpy(prefix->name, name.data, name.bytes);
    return prefix;
}

static void collection_done(collection *done)
{
    roan_free(done->names, done->capacity * sizeof *done->names);
    roan_free(done->slots, done->slot_count * sizeof *done->slots);
    roan_buffer_done(&done->wire);
}

static void prefix_free(roan_prefix *prefix)
{
    ROAN_ASSERT(prefix->client_count == 0);
    for (unsigned i = 0; i < prefix->lane_count; i++)
        collection_done(&prefix->collections[i]);
    roan_free(prefix->collections, prefix->lane_count * sizeof(collection));
    roan_free(prefix->clients, prefix->client_capacity * sizeof(roan_tracker *));
    roan_free(prefix, sizeof *prefix + prefix->bytes);
}

/* ---- clients ---- */

static void add_client(roan_prefix *prefix, roan_tracker *tracker)
{
    if (prefix->client_count == prefix->client_capacity) {
        size_t capacity = ROAN_MAX(prefix->client_capacity * 2, (size_t)4);
        prefix->clients = roan_realloc(prefix->clients, prefix->client_capacity * sizeof(roan_tracker *),
                                       capacity * sizeof(roan_tracker *));
        prefix->client_capacity = capacity;
    }
    prefix->clients[prefix->client_count++] = tracker;
    atomic_fetch_add_explicit(&prefix->live, 1, memory_order_relaxed);
    roan_tracker_ref(tracker);
}

static void remove_client(roan_prefix *prefix, roan_tracker *tracker)
{
    size_t place = 0;
    while (prefix->clients[place] != tracker)
        place++;
    prefix->clients[place] = prefix->clients[--prefix->client_count];
    roan_tracker_unref(tracker);
}

void roan_broadcast_join(roan_engine *engine, roan_tracker *tracker, roan_slice name)
{
    bool is_there;
    size_t place = place_of(&tracker->prefixes, name, &is_there);
    if (is_there)
        return;
    bool is_known;
    size_t place_of_all = place_of(&engine->prefixes, name, &is_known);
    if (!is_known)
        list_insert(&engine->prefixes, place_of_all, prefix_create(engine, name));
    roan_prefix *prefix = engine->prefixes.items[place_of_all];
    list_insert(&tracker->prefixes, place, prefix);
    add_client(prefix, tracker);
}

void roan_broadcast_ends(roan_engine *engine, const roan_tracker *tracker)
{
    (void)engine;
    for (size_t i = 0; i < tracker->prefixes.count; i++)
        atomic_fetch_sub_explicit(&tracker->prefixes.items[i]->live, 1, memory_order_relaxed);
}

void roan_broadcast_leave(roan_engine *engine, roan_tracker *tracker)
{
    roan_tracker_ref(tracker); /* until the list is gone */
    for (size_t i = 0; i < tracker->prefixes.count; i++) {
        roan_prefix *prefix = tracker->prefixes.items[i];
        remove_client(prefix, tracker);
        if (prefix->client_count > 0)
            continue;
        bool is_there;
        list_remove(&engine->prefixes, place_of(&engine->prefixes, name_of(prefix), &is_there));
        prefix_free(prefix);
    }
    list_done(&tracker->prefixes);
    roan_tracker_unref(tracker);
}

roan_slice roan_broadcast_prefix(const roan_tracker *tracker, size_t index)
{
    return name_of(tracker->prefixes.items[index]);
}

/* ---- collecting ---- */

static void note_slot(collection *into, uint32_t place)
{
    uint32_t mask = into->slot_count - 1, slot = (uint32_t)into->names[place].hash & mask;
    while (into->slots[slot] != 0)
        slot = (slot + 1) & mask;
    into->slots[slot] = place + 1;
}

static void grow(collection *into)
{
    uint32_t capacity = ROAN_MAX(into->capacity * 2, SLOTS_MIN / 2u);
    into->names = roan_realloc(into->names, into->capacity * sizeof *into->names, capacity * sizeof *into->names);
    into->capacity = capacity;
    roan_free(into->slots, into->slot_count * sizeof *into->slots);
    into->slot_count = capacity * 2;
    into->slots = roan_alloc_zero(into->slot_count * sizeof *into->slots);
    for (uint32_t i = 0; i < into->count; i++)
        note_slot(into, i);
}

static collected_name *find_collected(const collection *in, roan_slice name, uint64_t hash)
{
    uint32_t mask = in->slot_count - 1;
    if (in->count == 0)
        return NULL;
    for (uint32_t slot = (uint32_t)hash & mask; in->slots[slot] != 0; slot = (slot + 1) & mask) {
        collected_name *found = &in->names[in->slots[slot] - 1];
        roan_slice its_name = roan_slice_make(in->wire.data + found->name_at, found->name_bytes);
        if (found->hash == hash && roan_slice_equal(its_name, name))
            return found;
    }
    return NULL;
}

static void add_name(collection *into, uint64_t changer, roan_slice name, uint64_t hash)
{
    if (into->count == into->capacity)
        grow(into);
    roan_buffer *wire = &into->wire;
    if (into->count == 0)
        wire->bytes = FRONT_BYTES;
    size_t room = name.bytes + ROAN_I64_TEXT_MAX + 5 + FRONT_BYTES;
    if (room > wire->capacity - ROAN_MIN(wire->bytes, wire->capacity))
        roan_buffer_reserve(wire, room);
    char *start = wire->data + wire->bytes, *at = start;
    *at++ = '$';
    at += roan_format_u64(at, name.bytes);
    *at++ = '\r';
    *at++ = '\n';
    into->names[into->count] = (collected_name){.hash = hash,
                                                .changer = changer,
                                                .at = (uint32_t)wire->bytes,
                                                .name_at = (uint32_t)(at - wire->data),
                                                .name_bytes = (uint32_t)name.bytes};
    if (name.bytes > 0)
        memcpy(at, name.data, name.bytes);
    at += name.bytes;
    *at++ = '\r';
    *at++ = '\n';
    wire->bytes += (size_t)(at - start);
    note_slot(into, into->count++);
}

static void send_collected(roan_lane *lane, roan_prefix *prefix);

static void collect(roan_lane *lane, roan_prefix *prefix, uint64_t changer, roan_slice name, uint64_t hash)
{
    collection *into = &prefix->collections[lane->index];
    collected_name *found = find_collected(into, name, hash);
    if (found != NULL) {
        found->changer = changer;
        return;
    }
    if (ROAN_UNLIKELY(into->count == COLLECTED_MAX || into->wire.bytes > COLLECTED_BYTES_MAX))
        send_collected(lane, prefix);
    add_name(into, changer, name, hash);
    lane->broadcast_is_pending = true;
}

void roan_broadcast_note(roan_lane *lane, uint64_t changer, roan_slice name, uint64_t hash)
{
    const roan_prefix_list *prefixes = &lane->engine->prefixes;
    for (size_t i = 0; i < prefixes->count; i++) {
        roan_prefix *prefix = prefixes->items[i];
        if (prefix->bytes > name.bytes || (prefix->bytes > 0 && memcmp(prefix->name, name.data, prefix->bytes) != 0) ||
            atomic_load_explicit(&prefix->live, memory_order_relaxed) == 0)
            continue;
        collect(lane, prefix, changer, name, hash);
    }
}

/* ---- sending ---- */

/* Names for the clients of a prefix. */
typedef struct batch {
    const roan_prefix *prefix;
    const collected_name *names; /* where they are in `wire` */
    uint32_t count;
    const char *wire;
    size_t wire_bytes;
    roan_slice all;              /* the array with all of them */
} batch;

/* The array's header, so that it ends at `end`; returns where it begins. */
static char *write_header(char *end, uint32_t count)
{
    char text[FRONT_BYTES] = "*";
    size_t bytes = 1 + roan_format_u64(text + 1, count) + 2;
    memcpy(text + bytes - 2, "\r\n", 2);
    memcpy(end - bytes, text, bytes);
    return end - bytes;
}

static uint32_t count_changed_by(const batch *told, uint64_t id)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < told->count; i++)
        count += told->names[i].changer == id;
    return count;
}

/* To a client that does not want to hear of its own changes, some of which are among these. */
static void deliver_rest(roan_lane *lane, roan_tracker *tracker, const batch *told, uint32_t own_count)
{
    roan_buffer rest = {0};
    if (own_count == told->count)
        return;
    roan_buffer_reserve(&rest, told->wire_bytes);
    rest.bytes = FRONT_BYTES;
    for (uint32_t i = 0; i < told->count; i++) {
        size_t end = i + 1 < told->count ? told->names[i + 1].at : told->wire_bytes;
        if (told->names[i].changer != tracker->id)
            roan_buffer_append(&rest, told->wire + told->names[i].at, end - told->names[i].at);
    }
    char *first = write_header(rest.data + FRONT_BYTES, told->count - own_count);
    roan_tracker_deliver(lane, tracker, roan_slice_make(first, (size_t)(rest.data + rest.bytes - first)));
    roan_buffer_done(&rest);
}

static bool concerns(const roan_lane *lane, const roan_tracker *tracker)
{
    return tracker->lane == lane || (tracker->redirect != NULL && tracker->redirect->lane == lane);
}

/* To the clients whose messages the lane delivers. */
static void deliver(roan_lane *lane, const batch *told)
{
    for (size_t i = 0; i < told->prefix->client_count; i++) {
        roan_tracker *tracker = told->prefix->clients[i];
        if (!concerns(lane, tracker))
            continue;
        uint32_t own_count = tracker->is_noloop ? count_changed_by(told, tracker->id) : 0;
        if (own_count > 0)
            deliver_rest(lane, tracker, told, own_count);
        else
            roan_tracker_deliver(lane, tracker, told->all);
    }
}

typedef struct shared_batch shared_batch;

typedef struct batch_mail {
    roan_mail mail;
    shared_batch *shared;
} batch_mail;

/* One allocation: the mails to other lanes, then the places of the names, then their wire form. */
struct shared_batch {
    _Atomic unsigned references;
    size_t bytes;
    batch told;
    batch_mail mails[];
};

static void deliver_batch(roan_mail *mail, void *receiver)
{
    shared_batch *shared = ((batch_mail *)mail)->shared;
    deliver(receiver, &shared->told);
    if (atomic_fetch_sub_explicit(&shared->references, 1, memory_order_acq_rel) == 1)
        roan_free(shared, shared->bytes);
}

static shared_batch *share(const batch *original, unsigned lanes)
{
    size_t fixed = sizeof(shared_batch) + lanes * sizeof(batch_mail);
    size_t names_bytes = original->count * sizeof(collected_name);
    size_t bytes = fixed + names_bytes + original->wire_bytes;
    shared_batch *shared = roan_alloc(bytes);
    char *names = (char *)shared + fixed, *wire = names + names_bytes;
    memcpy(names, original->names, names_bytes);
    memcpy(wire, original->wire, original->wire_bytes);
    *shared = (shared_batch){.references = lanes, .bytes = bytes, .told = *original};
    shared->told.names = (const collected_name *)(const void *)names;
    shared->told.wire = wire;
    shared->told.all.data = wire + (original->all.data - original->wire);
    return shared;
}

static void send_to_other_lanes(roan_lane *lane, const batch *told)
{
    uint64_t lanes = 0;
    for (size_t i = 0; i < told->prefix->client_count; i++)
        lanes |= UINT64_C(1) << roan_tracker_delivery_lane(told->prefix->clients[i])->index;
    lanes &= ~(UINT64_C(1) << lane->index);
    if (lanes == 0)
        return;
    shared_batch *shared = share(told, (unsigned)__builtin_popcountll(lanes));
    unsigned sent = 0;
    for (uint64_t left = lanes; left != 0; left &= left - 1) {
        batch_mail *mail = &shared->mails[sent++];
        *mail = (batch_mail){.mail.deliver = deliver_batch, .shared = shared};
        roan_pubsub_mail(lane, &lane->engine->lanes[__builtin_ctzll(left)], &mail->mail);
    }
}

static void empty(collection *sent)
{
    sent->count = 0;
    sent->wire.bytes = 0;
    memset(sent->slots, 0, sent->slot_count * sizeof *sent->slots);
    if (sent->wire.capacity > COLLECTED_BYTES_MAX)
        roan_buffer_done(&sent->wire);
}

static void send_collected(roan_lane *lane, roan_prefix *prefix)
{
    collection *sent = &prefix->collections[lane->index];
    memset(sent->wire.data, 0, FRONT_BYTES);
    char *first = write_header(sent->wire.data + FRONT_BYTES, sent->count);
    batch told = {.prefix = prefix, .names = sent->names, .count = sent->count, .wire = sent->wire.data,
                  .wire_bytes = sent->wire.bytes};
    told.all = roan_slice_make(first, (size_t)(sent->wire.data + sent->wire.bytes - first));
    deliver(lane, &told);
    if (lane->engine->lane_count > 1)
        send_to_other_lanes(lane, &told);
    empty(sent);
}

void roan_broadcast_flush_slowly(roan_lane *lane)
{
    const roan_prefix_list *prefixes = &lane->engine->prefixes;
    lane->broadcast_is_pending = false;
    for (size_t i = 0; i < prefixes->count; i++)
        if (prefixes->items[i]->collections[lane->index].count > 0)
            send_collected(lane, prefixes->items[i]);
}

/* ---- life, numbers ---- */

size_t roan_broadcast_count(const roan_engine *engine)
{
    size_t count = 0;
    for (size_t i = 0; i < engine->prefixes.count; i++)
        count += atomic_load_explicit(&engine->prefixes.items[i]->live, memory_order_relaxed) > 0;
    return count;
}

void roan_broadcast_done(roan_engine *engine)
{
    ROAN_ASSERT(engine->prefixes.count == 0);
    list_done(&engine->prefixes);
}
