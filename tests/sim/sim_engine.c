/* sim_engine.c: an engine with several lanes on one thread. A scheduler decides by seed which lane goes on whenever
 * one is at a point where another could come in between (engine.h, roan_at_point): taking stripes, parking, shutting
 * the gate, in the middle of a transaction, while a waiter is served. Time is virtual.
 *
 * What is said of every run:
 * - The answers are those of a twin with one lane which gets the same requests in the order in which they began under
 *   their locks; where somebody waits there, somebody waits here (nobody is forgotten), and all that he gets is the same.
 * - The data are the twin's, and those of a replica that repeats the effects.
 * - It ends: no lane waits for ever, and what was counted comes back to nothing.
 *
 *     sim_engine SEED [RUNS]     this one, with the order of events, or it and those that follow
 *     sim_engine for SECONDS     new seeds; the first one is printed
 */
#include "../unit/engine_harness.h"

#include "fibers.h"
#include "workload.h"

#include "base/macros.h"
#include "engine/blocking.h"
#include "engine/stats.h"
#include "engine/watch.h"

#include <math.h>
#include <time.h>

#define LANES_MAX 4
#define SESSIONS_MAX 24
#define REQUESTS_MAX 60
#define TAIL_MAX 2                       /* requests that follow to close a transaction */
#define EVENTS_MAX 16384
#define SWITCHES_MAX 400000              /* then a run hangs */

typedef struct request {
    char line[WORKLOAD_LINE_MAX];
    char *reply; /* NULL: none yet */
    size_t bytes;
} request;

typedef struct client {
    roan_session session; /* first */
    struct world *world;
    unsigned number;
    request requests[REQUESTS_MAX + TAIL_MAX];
    unsigned count, next;
    bool is_answered;     /* already, though its lane has not come back from executing it: it went through the gate */
    bool is_waiting;      /* for the answer to requests[next] */
} client;

typedef enum event_kind { EVENT_UNIT, EVENT_TIMEOUT, EVENT_EFFECT } event_kind;

/* What the twin repeats. */
typedef struct event {
    event_kind kind;
    unsigned lane, client, request;
    bool has_served; /* waiters */
    bool is_pinned;  /* must not come later than it is: an EXEC behind it has seen what it did */
    int64_t now_us;
    int64_t served_us; /* the time when waiters were served, if any: the engine looks at the clock again for that */
    char *words; /* of an effect outside of requests; freed with the world */
} event;

/* One engine with its clients; the simulation and the twin each have one. */
typedef struct world {
    roan_engine *engine;
    roan_clock clock;
    client clients[SESSIONS_MAX];
    unsigned lane_count, client_count;
} world;

typedef struct simulation {
    uint64_t seed;
    roan_random random;
    workload workload;
    world real, twin;
    harness replica;
    fibers fibers;
    client *running[LANES_MAX];     /* whose request the lane executes */
    bool is_in_timers[LANES_MAX], is_housekeeping[LANES_MAX];
    unsigned weights[LANES_MAX];
    unsigned switch_permille;       /* how often a point is taken */
    unsigned switches, idle_rounds;
    bool is_over, traces;
    bool is_open; /* there is more than one right answer, see note_serving */
    event *events, *twin_event; /* all; the one whose request the twin executes, or NULL */
    unsigned event_count;
    unsigned open_events[LANES_MAX]; /* of units that have begun and not ended; 0: none */
    uint64_t parked, gate_shut, served, open_runs; /* over all runs: that the interesting things happened */
} simulation;

static simulation *simulation_of; /* the one that runs: sessions have no context of their own */

static unsigned draw(simulation *sim, unsigned bound)
{
    return (unsigned)roan_random_below(&sim->random, bound);
}

ROAN_PRINTF(2, 3) static void give_up(simulation *sim, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "seed %llu: ", (unsigned long long)sim->seed);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n    repeat it: sim_engine %llu 1\n", (unsigned long long)sim->seed);
    va_end(arguments);
    exit(1);
}

#define EXPECT(condition) \
    do { \
        if (!(condition)) \
            give_up(simulation_of, "line %d: not so: %s", __LINE__, #condition); \
    } while (0)

/* ---- worlds ---- */

static unsigned split(char *line, roan_slice argv[HARNESS_WORDS_MAX])
{
    unsigned argc = 0;
    for (char *at = line; *at != '\0'; at += *at == ' ') {
        size_t bytes = strcspn(at, " ");
        argv[argc++] = roan_slice_make(at, bytes);
        at += bytes;
    }
    return argc;
}

static roan_outcome execute(roan_session *session, request *r)
{
    roan_slice argv[HARNESS_WORDS_MAX];
    roan_request wire = {.argv = argv, .argc = split(r->line, argv)};
    roan_request_prepare(session, &wire);
    return roan_execute(session, &wire);
}

/* What the twin says is what the real one said, if that is known. */
static void compare_reply(simulation *sim, const client *real, unsigned index, const request *twin)
{
    const request *r = &real->requests[index];
    if (r->reply == NULL)
        give_up(sim, "client %u waits for ever with '%s', but in order it gets\n%s", real->number, r->line,
                twin->reply);
    if (r->bytes != twin->bytes || memcmp(r->reply, twin->reply, r->bytes) != 0)
        give_up(sim, "client %u, request %u '%s' is answered\n%sbut in order\n%s", real->number, index, r->line,
                r->reply, twin->reply);
}

/* The request is answered: the next one may follow. */
static void take_reply(client *c)
{
    request *r = &c->requests[c->next++];
    r->bytes = roan_out_bytes(&c->session.out);
    r->reply = malloc(r->bytes + 1);
    EXPECT(r->reply != NULL);
    roan_out_copy(&c->session.out, r->reply);
    r->reply[r->bytes] = '\0';
    roan_out_rollback(&c->session.out, 0);
    c->is_waiting = false;
    if (c->world == &simulation_of->twin && c->number + 1 < c->world->client_count)
        compare_reply(simulation_of, &simulation_of->real.clients[c->number], (unsigned)(r - c->requests), r);
}

static void world_open(world *w, unsigned lanes, unsigned stripes, unsigned clients, const roan_host *host,
                       const roan_session_ops *ops)
{
    roan_clock_init_virtual(&w->clock, HARNESS_START_US);
    roan_engine_options options = {.lanes = lanes, .stripes = stripes, .clock = &w->clock, .seed = 42, .host = *host};
    w->engine = roan_engine_create(&options);
    w->engine->config.enable_debug_command = ROAN_ALLOW_YES;
    w->lane_count = lanes;
    w->client_count = clients;
    for (unsigned i = 0; i < clients; i++) {
        client *c = &w->clients[i];
        *c = (client){.world = w, .number = i};
        roan_session_init(&c->session, &w->engine->lanes[i % lanes], ops);
        EXPECT(c->session.id == i + 1); /* CLIENT UNBLOCK names them */
    }
}

static void world_close(world *w)
{
    for (unsigned i = 0; i < w->client_count; i++)
        roan_session_done(&w->clients[i].session);
    for (unsigned i = 0; i < w->lane_count; i++) {
        roan_lane *lane = &w->engine->lanes[i];
        roan_lane_deliver_mail(lane);
        roan_blocking_tidy(lane);
        EXPECT(lane->blocked_count == 0);
        EXPECT(lane->held_count == 0);
        EXPECT(lane->timer_count == 0);
        EXPECT(lane->session_count == 0);
    }
    EXPECT(w->engine->waiting_links == 0);
    w->engine = roan_engine_free(w->engine);
    for (unsigned i = 0; i < w->client_count; i++)
        for (unsigned j = 0; j < w->clients[i].count; j++)
            free(w->clients[i].requests[j].reply);
}

/* ---- what happens, in order ---- */

static event *note_event(simulation *sim, event_kind kind, unsigned lane)
{
    if (sim->event_count == EVENTS_MAX)
        give_up(sim, "more than %u events", EVENTS_MAX);
    event *e = &sim->events[sim->event_count++];
    int64_t now_us = sim->real.engine->lanes[lane].now_us;
    *e = (event){.kind = kind, .lane = lane, .now_us = now_us, .served_us = now_us};
    return e;
}

static void note_unit(simulation *sim, unsigned lane)
{
    client *c = sim->running[lane];
    event *e = note_event(sim, EVENT_UNIT, lane);
    e->client = c->number;
    e->request = c->next;
    if (c->session.last_command->flags & ROAN_CMD_WRITE &&
        roan_engine_is_paused(sim->real.engine, c->session.lane->now_ms))
        give_up(sim, "client %u writes although writes are paused: %s", c->number, c->requests[c->next].line);
    sim->open_events[lane] = sim->event_count - 1;
    for (unsigned i = 0; i < sim->real.lane_count && roan_watch_is_touched(&c->session); i++)
        sim->events[sim->open_events[i]].is_pinned = true; /* a touched EXEC takes no stripes */
    if (sim->traces)
        printf("  %5u lane %u  client %2u: %s\n", sim->switches, lane, c->number, c->requests[c->next].line);
}

/* Moves an event; what lies between makes room. */
static void move_event(simulation *sim, unsigned from, unsigned to)
{
    event moved = sim->events[from];
    if (from < to)
        memmove(sim->events + from, sim->events + from + 1, (to - from) * sizeof moved);
    else
        memmove(sim->events + to + 1, sim->events + to, (from - to) * sizeof moved);
    sim->events[to] = moved;
    for (unsigned i = 0; i < LANES_MAX; i++) {
        unsigned *open = &sim->open_events[i];
        if (*open == from)
            *open = to;
        else if (*open > from && *open <= to)
            --*open;
        else if (*open < from && *open >= to && *open > 0)
            ++*open;
    }
}

/* Puts units that are under way, and have not served anybody yet, behind all else that happened so far: while they
 * hold their stripes nobody can have come across what they do. */
static void defer_units(simulation *sim)
{
    unsigned end = sim->event_count;
    for (unsigned i = 1; i < end; i++) {
        event e = sim->events[i];
        if (e.kind != EVENT_UNIT || sim->open_events[e.lane] != i || e.has_served)
            continue;
        sim->is_open = sim->is_open || e.is_pinned;
        move_event(sim, i--, sim->event_count - 1);
        end--;
    }
}

/* It needs no lock, so units may be under way: that they did not serve the client means that this came first. Those
 * that had begun before the client began to wait have nothing to do with it. */
static void note_timeout(simulation *sim, client *c)
{
    event *e = note_event(sim, EVENT_TIMEOUT, c->session.lane->index);
    unsigned last = sim->event_count - 1, first = last, began = last;
    e->client = c->number;
    if (sim->traces)
        printf("  %5u lane %u  client %2u: time is over\n", sim->switches, e->lane, c->number);
    while (began > 0 && (sim->events[--began].kind != EVENT_UNIT || sim->events[began].client != c->number)) {
    }
    for (unsigned i = 0; i < sim->real.lane_count; i++)
        if (sim->open_events[i] > began && sim->events[sim->open_events[i]].has_served)
            first = ROAN_MIN(first, sim->open_events[i]);
    move_event(sim, last, first);
    defer_units(sim);
}

/* Of units under way that could serve the same waiter the one that does so comes first, and behind all that has ended so
 * far: what a waiter gets depends on the types that others have given to his other keys. When two serve several there
 * may be no such order: which of those who wait for both keys gets which element is open then. */
static void note_serving(simulation *sim, unsigned lane)
{
    for (unsigned i = 0; i < sim->real.lane_count; i++)
        sim->is_open =
            sim->is_open || (i != lane && sim->open_events[i] > 0 && sim->events[sim->open_events[i]].has_served);
    unsigned serves = sim->open_events[lane];
    if (serves > 0 && !sim->events[serves].has_served) {
        sim->is_open = sim->is_open || (sim->events[serves].is_pinned && serves < sim->event_count - 1);
        move_event(sim, serves, sim->event_count - 1);
        serves = sim->open_events[lane];
    }
    if (serves > 0) /* otherwise it is housekeeping */
        sim->events[serves].has_served = true;
    defer_units(sim);
}

/* A unit that gives a key another type while somebody is being served: he may have noticed, or not. */
static void note_done(simulation *sim, unsigned lane)
{
    const event *done = &sim->events[sim->open_events[lane]];
    bool mixes = sim->open_events[lane] > 0 && workload_mixes(sim->real.clients[done->client].requests[done->request].line);
    for (unsigned i = 0; i < sim->real.lane_count; i++)
        sim->is_open =
            sim->is_open || (mixes && i != lane && sim->open_events[i] > 0 && sim->events[sim->open_events[i]].has_served);
    sim->events[sim->open_events[lane]].served_us = sim->real.engine->lanes[lane].now_us;
    sim->open_events[lane] = 0;
}

static char *join(size_t argc, const roan_slice *argv)
{
    size_t bytes = 1, used = 0;
    for (size_t i = 0; i < argc; i++)
        bytes += argv[i].bytes + 1;
    char *words = malloc(bytes);
    EXPECT(words != NULL);
    for (size_t i = 0; i < argc; i++)
        used += (size_t)snprintf(words + used, bytes - used, "%s%.*s", i > 0 ? " " : "", ROAN_SLICE_ARG(argv[i]));
    return words;
}

static void on_effect(void *context, unsigned db, size_t argc, const roan_slice *argv)
{
    simulation *sim = context;
    unsigned lane = (unsigned)sim->fibers.current;
    if (roan_slice_is(argv[0], "MULTI") || roan_slice_is(argv[0], "EXEC"))
        return; /* nothing comes in between: the whole unit is handed over without a point */
    EXPECT(roan_engine_db(sim->replica.engine, db) != NULL);
    sim->replica.session.db = db;
    const char *reply = harness_run_words(&sim->replica, argc, argv);
    if (reply[0] == '-')
        give_up(sim, "the replica refuses '%s': %s", join(argc, argv), reply);
    if (!sim->is_housekeeping[lane])
        return;
    event *e = note_event(sim, EVENT_EFFECT, lane);
    e->client = db;
    e->words = join(argc, argv);
    if (sim->traces)
        printf("  %5u lane %u  %s\n", sim->switches, lane, e->words);
}

/* ---- the lanes ---- */

static void at_point(void *context, roan_point point)
{
    simulation *sim = context;
    if (sim->fibers.current < 0)
        return; /* before and after the run */
    if (point == ROAN_POINT_UNIT && sim->running[sim->fibers.current] != NULL)
        note_unit(sim, (unsigned)sim->fibers.current);
    if (point == ROAN_POINT_SERVING)
        note_serving(sim, (unsigned)sim->fibers.current);
    if (point == ROAN_POINT_DONE)
        note_done(sim, (unsigned)sim->fibers.current);
    if (point == ROAN_POINT_WAITING || draw(sim, 1000) < sim->switch_permille)
        fibers_yield(&sim->fibers);
}

/* A blocked client has been answered, or a held one may try again. */
static void on_resume(roan_session *session)
{
    client *c = (client *)session;
    simulation *sim = simulation_of;
    c->is_answered = session->is_blocked == false && sim->running[session->lane->index] == c;
    if (!c->is_waiting)
        return;
    bool is_real = c->world == &sim->real;
    if (is_real && sim->fibers.current >= 0 && sim->is_in_timers[sim->fibers.current])
        note_timeout(sim, c);
    else if (is_real)
        sim->served++;
    take_reply(c);
}

static const roan_session_ops client_ops = {
    .describe = harness_describe, .close = harness_ignore_close, .output_ready = harness_ignore, .resume = on_resume};

static void step(simulation *sim, client *c)
{
    unsigned lane = c->session.lane->index;
    roan_gate_pass(c->session.lane);
    if (c->is_waiting || c->session.is_held || c->next == c->count)
        return;
    sim->running[lane] = c;
    c->is_answered = false;
    sim->idle_rounds = 0;
    roan_outcome outcome = execute(&c->session, &c->requests[c->next]);
    sim->running[lane] = NULL;
    if (outcome == ROAN_DONE || (outcome == ROAN_BLOCKED && c->is_answered))
        take_reply(c);
    else if (outcome == ROAN_BLOCKED)
        c->is_waiting = true;
}

/* Whoever has requests left waits without a limit of time, and no answer is under way. */
static bool clients_are_done(simulation *sim)
{
    for (unsigned i = 0; i < sim->real.lane_count; i++)
        if (roan_lane_has_mail(&sim->real.engine->lanes[i]))
            return false;
    for (unsigned i = 0; i < sim->real.client_count; i++) {
        const client *c = &sim->real.clients[i];
        if (c->next < c->count && !(c->is_waiting && c->session.deadline_us == INT64_MAX))
            return false;
    }
    return true;
}

static void run_round(simulation *sim, roan_lane *lane)
{
    unsigned count = sim->real.client_count, first = draw(sim, count);
    roan_gate_enter(lane);
    roan_lane_update_time(lane);
    for (unsigned i = 0; i < count; i++) {
        client *c = &sim->real.clients[(first + i) % count];
        if (c->session.lane == lane && draw(sim, 3) > 0)
            step(sim, c);
    }
    if (draw(sim, 4) > 0)
        roan_lane_deliver_mail(lane);
    sim->is_in_timers[lane->index] = true;
    roan_lane_run_timers(lane);
    sim->is_in_timers[lane->index] = false;
    sim->is_housekeeping[lane->index] = true;
    if (draw(sim, 8) == 0)
        roan_lane_cron(lane);
    sim->is_housekeeping[lane->index] = false;
    roan_gate_leave(lane);
}

static void run_lane(void *context)
{
    simulation *sim = simulation_of;
    roan_lane *lane = context;
    while (!sim->is_over) {
        run_round(sim, lane);
        fibers_yield(&sim->fibers);
    }
}

/* ---- the scheduler ---- */

static int choose_lane(simulation *sim)
{
    unsigned sum = 0, at;
    for (unsigned i = 0; i < sim->real.lane_count; i++)
        sum += sim->fibers.all[i].is_running ? sim->weights[i] : 0;
    if (sum == 0)
        return -1;
    at = draw(sim, sum);
    for (unsigned i = 0;; i++) {
        unsigned weight = sim->fibers.all[i].is_running ? sim->weights[i] : 0;
        if (at < weight)
            return (int)i;
        at -= weight;
    }
}

/* Some lanes are much faster than others for a while. */
static void choose_weights(simulation *sim)
{
    static const unsigned weights[] = {1, 4, 4, 40};
    for (unsigned i = 0; i < sim->real.lane_count; i++)
        sim->weights[i] = weights[draw(sim, ROAN_COUNT_OF(weights))];
}

static void run_lanes(simulation *sim)
{
    for (unsigned i = 0; i < sim->real.lane_count; i++)
        fibers_start(&sim->fibers, (int)i, run_lane, &sim->real.engine->lanes[i]);
    for (int lane; (lane = choose_lane(sim)) >= 0;) {
        if (++sim->switches > SWITCHES_MAX)
            give_up(sim, "it does not end");
        if (sim->switches % 64 == 1)
            choose_weights(sim);
        if (draw(sim, 8) == 0)
            roan_clock_advance(&sim->real.clock, draw(sim, 700));
        if (++sim->idle_rounds > 100 && clients_are_done(sim))
            sim->is_over = true;
        fibers_switch_to(&sim->fibers, lane);
    }
}

/* ---- the twin ---- */

static void set_twin_clock(simulation *sim, int64_t now_us)
{
    roan_clock_advance(&sim->twin.clock, now_us - roan_clock_wall_us(&sim->twin.clock));
}

static void twin_time(simulation *sim, int64_t now_us)
{
    set_twin_clock(sim, now_us);
    roan_lane_update_time(&sim->twin.engine->lanes[0]);
}

/* The body has run; whoever serves waiters now looks at the clock. */
static void at_point_of_twin(void *context, roan_point point)
{
    simulation *sim = context;
    if (point == ROAN_POINT_INSIDE && sim->twin_event != NULL)
        set_twin_clock(sim, sim->twin_event->served_us);
}

static void twin_request(simulation *sim, client *c)
{
    if (c->is_waiting)
        give_up(sim, "client %u, request %u '%s' is answered\n%sbut in order it waits", c->number, c->next,
                c->requests[c->next].line, sim->real.clients[c->number].requests[c->next].reply);
    roan_outcome outcome = execute(&c->session, &c->requests[c->next]);
    EXPECT(outcome != ROAN_HELD);
    if (outcome == ROAN_DONE)
        take_reply(c);
    else
        c->is_waiting = true;
}

static void twin_effect(simulation *sim, event *e)
{
    client *helper = &sim->twin.clients[sim->twin.client_count - 1]; /* nobody's */
    snprintf(helper->requests[0].line, WORKLOAD_LINE_MAX, "%s", e->words);
    helper->next = 0;
    helper->session.db = e->client;
    twin_time(sim, HARNESS_START_US / 2); /* what has expired there is still there */
    free(helper->requests[0].reply);
    twin_request(sim, helper);
}

static void twin_event(simulation *sim, event *e)
{
    client *c = &sim->twin.clients[e->client];
    twin_time(sim, e->now_us);
    switch (e->kind) {
    case EVENT_UNIT:
        while (!c->is_waiting && c->next < e->request)
            twin_request(sim, c); /* what needed no locks: it was queued or refused */
        sim->twin_event = e;
        twin_request(sim, c);
        sim->twin_event = NULL;
        break;
    case EVENT_TIMEOUT:
        if (!c->is_waiting)
            give_up(sim, "the time of client %u is over, but the twin's does not wait", c->number);
        roan_session_unblock(&c->session, ROAN_UNBLOCK_TIMEOUT);
        break;
    case EVENT_EFFECT:
        twin_effect(sim, e);
        break;
    }
}

static void compare_client(simulation *sim, const client *real, client *twin)
{
    while (!twin->is_waiting && twin->next < real->next)
        twin_request(sim, twin);
    if (twin->next != real->next)
        give_up(sim, "client %u, request %u '%s': only the real one has an answer: %s", real->number, twin->next,
                twin->requests[twin->next].line, real->requests[twin->next].reply);
}

/* Digests of all data, and of a key of database `db` when one is named. */
static void digest(roan_session *session, unsigned db, const char *key, char out[64])
{
    request r;
    snprintf(r.line, sizeof r.line, "DEBUG %s%s", key == NULL ? "DIGEST" : "DIGEST-VALUE ", key == NULL ? "" : key);
    session->db = db;
    EXPECT(roan_engine_db(session->lane->engine, db) != NULL);
    roan_gate_enter(session->lane);
    EXPECT(execute(session, &r) == ROAN_DONE);
    roan_gate_leave(session->lane);
    EXPECT(roan_out_bytes(&session->out) < 64);
    roan_out_copy(&session->out, out);
    out[roan_out_bytes(&session->out)] = '\0';
    roan_out_rollback(&session->out, 0);
}

/* Names the keys that differ. */
static void compare_data(simulation *sim, roan_session *real, roan_session *other, const char *whose)
{
    char a[64], b[64], key[16];
    digest(real, 0, NULL, a);
    digest(other, 0, NULL, b);
    if (strcmp(a, b) == 0)
        return;
    for (unsigned i = 0; i < sim->workload.keys * 2 * WORKLOAD_TYPES; i++) {
        snprintf(key, sizeof key, "%c%u", WORKLOAD_KINDS[i / 2 / sim->workload.keys], i / 2 % sim->workload.keys);
        digest(real, i % 2, key, a);
        digest(other, i % 2, key, b);
        if (strcmp(a, b) != 0)
            fprintf(stderr, "%s of database %u differs: %s%s", key, i % 2, a, b);
    }
    give_up(sim, "the data are not those of the %s", whose);
}

static void compare(simulation *sim)
{
    for (unsigned i = 1; i < sim->event_count; i++)
        twin_event(sim, &sim->events[i]);
    for (unsigned i = 0; i + 1 < sim->real.client_count; i++)
        compare_client(sim, &sim->real.clients[i], &sim->twin.clients[i]);
    roan_session *session = &sim->real.clients[sim->real.client_count - 1].session;
    compare_data(sim, session, &sim->twin.clients[sim->twin.client_count - 1].session, "twin");
    roan_gate_leave(&sim->replica.engine->lanes[0]);
    compare_data(sim, session, &sim->replica.session, "replica");
    roan_gate_enter(&sim->replica.engine->lanes[0]);
}

/* ---- one run ---- */

static void write_requests(simulation *sim)
{
    for (unsigned i = 0; i + 1 < sim->real.client_count; i++) { /* the last one is nobody's */
        client *c = &sim->real.clients[i];
        workload_client place = {0};
        while (c->count < REQUESTS_MAX)
            workload_next(&sim->workload, &place, c->requests[c->count++].line);
        if (workload_end(&place, c->requests[c->count].line))
            c->count++;
        client *other = &sim->twin.clients[i];
        memcpy(other->requests, c->requests, sizeof c->requests);
        for (unsigned j = 0; j < c->count; j++) /* nothing needs to be held there */
            if (strncmp(c->requests[j].line, "CLIENT PAUSE", 12) == 0)
                snprintf(other->requests[j].line, WORKLOAD_LINE_MAX, "CLIENT UNPAUSE");
        other->count = c->count;
    }
    sim->real.clients[sim->real.client_count - 1].count = 0;
}

static void open_run(simulation *sim, uint64_t seed)
{
    sim->seed = seed;
    roan_random_seed(&sim->random, seed);
    unsigned lanes = 2 + draw(sim, LANES_MAX - 1), stripes = LANES_MAX << draw(sim, 5);
    unsigned clients = lanes + 1 + draw(sim, SESSIONS_MAX - lanes);
    sim->workload = (workload){.random = &sim->random,
                               .keys = 1 + draw(sim, 4),
                               .alone = draw(sim, 2) * draw(sim, 80),
                               .transactions = draw(sim, 2) * draw(sim, 200),
                               .blocking = draw(sim, 3) * draw(sim, 150),
                               .has_expiry = draw(sim, 3) == 0,
                               .session_count = clients - 1};
    sim->switch_permille = 50 + draw(sim, 950);
    sim->switches = sim->idle_rounds = 0;
    sim->event_count = 1; /* the first one is none */
    memset(sim->open_events, 0, sizeof sim->open_events);
    sim->is_over = sim->is_open = false;
    roan_host host = {.context = sim, .at_point = at_point}, twin = {.context = sim, .at_point = at_point_of_twin};
    world_open(&sim->real, lanes, stripes, clients, &host, &client_ops);
    world_open(&sim->twin, 1, stripes, clients, &twin, &client_ops);
    harness_open(&sim->replica, 1);
    sim->replica.engine->config.enable_debug_command = ROAN_ALLOW_YES;
    roan_clock_advance(&sim->replica.clock, -HARNESS_START_US / 2); /* there nothing expires by itself */
    roan_lane_update_time(&sim->replica.engine->lanes[0]);
    sim->real.engine->on_effect = on_effect;
    sim->real.engine->effect_context = sim;
    write_requests(sim);
    choose_weights(sim);
}

static void run(simulation *sim, uint64_t seed)
{
    simulation_of = sim;
    open_run(sim, seed);
    fibers_init(&sim->fibers);
    run_lanes(sim);
    fibers_done(&sim->fibers);
    sim->fibers.current = -1;
    sim->real.engine->on_effect = NULL;
    sim->real.engine->pause_until_ms = 0;
    if (sim->is_open)
        sim->open_runs++;
    else
        compare(sim);
    for (unsigned i = 0; i < sim->real.lane_count; i++) {
        sim->parked += sim->real.engine->lanes[i].stats->parked;
        sim->gate_shut += sim->real.engine->lanes[i].stats->gate_shut;
    }
    for (unsigned i = 1; i < sim->event_count; i++)
        free(sim->events[i].words);
    world_close(&sim->real);
    world_close(&sim->twin);
    harness_close(&sim->replica);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_seeds(simulation *sim, uint64_t seed, uint64_t runs_max, double seconds)
{
    double end = seconds_now() + seconds;
    uint64_t runs = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (; runs < runs_max && seconds_now() < end; runs++)
        run(sim, seed + runs);
    printf("%llu runs (%llu not compared): %llu requests parked, %llu times the gate was shut, %llu waiters served\n",
           (unsigned long long)runs, (unsigned long long)sim->open_runs, (unsigned long long)sim->parked,
           (unsigned long long)sim->gate_shut, (unsigned long long)sim->served);
}

int main(int argc, char **argv)
{
#if !defined(ROAN_CHECKED) || defined(__SANITIZE_THREAD__)
    printf("skipped: it needs a checked build, and a thread sanitizer knows no stacks of our own\n");
    return 77;
#endif
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: sim_engine SEED [RUNS] | sim_engine for SECONDS\n");
        return 2;
    }
    simulation *sim = calloc(1, sizeof *sim);
    EXPECT(sim != NULL);
    sim->events = calloc(EVENTS_MAX, sizeof *sim->events);
    EXPECT(sim->events != NULL);
    setvbuf(stdout, NULL, _IOLBF, 0);
    uint64_t runs = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    if (strcmp(argv[1], "for") == 0) {
        run_seeds(sim, roan_random_entropy() % 1000000000, UINT64_MAX, (double)runs);
    } else {
        sim->traces = runs == 1;
        run_seeds(sim, strtoull(argv[1], NULL, 10), runs, INFINITY);
    }
    free(sim->events);
    free(sim);
    return 0;
}
