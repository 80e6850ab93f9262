/* client/scripted_inside.h: the world of roan/scripted.h, for the files that make it up. */
#pragma once

#include "roan/scripted.h"

#include <pthread.h>

#include "base/buffer.h"
#include "base/random.h"
#include "resp/request.h"

typedef enum roan_scripted_kind {
    ROAN_SCRIPTED_CONNECT, /* os_errno 0: accepted */
    ROAN_SCRIPTED_DATA,
    ROAN_SCRIPTED_END,
    ROAN_SCRIPTED_RESET,
    ROAN_SCRIPTED_TAKE,
} roan_scripted_kind;

/* Something that will happen to a peer; DATA goes on to live in its `arrived`. One block with its bytes. */
typedef struct roan_scripted_event {
    struct roan_scripted_event *next, *previous;
    roan_peer *peer;
    int64_t at_us; /* in a peer's `later`: from the moment of connecting */
    roan_scripted_kind kind;
    int os_errno;
    int64_t amount;
    bool is_piece; /* is received on its own */
    size_t bytes, taken;
    char data[];
} roan_scripted_event;

typedef struct roan_scripted_events {
    roan_scripted_event *first, *last;
} roan_scripted_events;

typedef struct roan_scripted_request {
    int64_t at_us;
    size_t argc, block_bytes;
    roan_slice argv[]; /* their bytes follow */
} roan_scripted_request;

typedef struct roan_scripted_expectation {
    struct roan_scripted_expectation *next;
    int64_t after_us;
    roan_scripted_request *request; /* argc 0: any */
    roan_buffer answer;
} roan_scripted_expectation;

typedef enum roan_peer_state { ROAN_PEER_PLANNED, ROAN_PEER_OPENING, ROAN_PEER_OPEN, ROAN_PEER_FAILED } roan_peer_state;

typedef struct roan_scripted_client roan_scripted_client; /* what the small server knows of a connection */
typedef struct roan_scripted_store roan_scripted_store;   /* and of the world */

struct roan_peer {
    roan_stream stream; /* first: the client's end */
    roan_scripted *world;
    unsigned index;
    roan_peer_state state;
    bool is_told_open; /* progress() has said so */
    bool is_closed, is_interrupted;
    char endpoint[128];

    /* the plan for connecting */
    bool has_plan, is_ignored;
    int64_t plan_after_us;
    int plan_errno; /* also why it failed */

    /* to the client */
    roan_scripted_events later;   /* said before it was connected */
    roan_scripted_events arrived; /* DATA, to be received */
    int64_t last_us;              /* when the last byte sent so far arrives */
    int64_t latency_us, gap_us;
    size_t piece_bytes, give_max;
    uint64_t received;
    bool is_ending, has_ended; /* said; happened */
    int broken_errno;   /* 0: it works */
    bool is_over;       /* ended or broken for good: nothing more happens */
    uint64_t cut_received, cut_sent; /* UINT64_MAX: never */
    int cut_received_errno, cut_sent_errno;

    /* from the client */
    roan_buffer log;
    size_t parsed; /* of the log */
    roan_request_reader reader;
    roan_scripted_request **requests;
    size_t request_count, request_room;
    uint64_t sends;
    int64_t window; /* INT64_MAX: no limit */
    size_t take_max;
    roan_scripted_expectation *expectations;
    roan_peer_fn handler;
    void *handler_argument;
    bool has_handler;

    roan_scripted_client *client;
};

struct roan_scripted {
    pthread_mutex_t lock; /* recursive: handlers script */
    roan_transport transport;
    roan_clock_mode mode;
    int64_t now_us;
    roan_random random, pieces; /* the client's, and for cutting */
    roan_scripted_events events; /* by time; equal times in the order they were said */
    roan_peer **peers;
    unsigned peer_count, opened, open_streams;
    int64_t connect_after_us;
    int connect_errno;
    roan_peer_fn handler;
    void *handler_argument;
    char problem[ROAN_ERROR_TEXT_MAX]; /* the first mismatch */
    roan_scripted_store *store;
};

void roan_scripted_lock(roan_scripted *world);
void roan_scripted_unlock(roan_scripted *world);

/* All of these with the lock held. */
void roan_scripted_add(roan_peer *peer, roan_scripted_event *event);
roan_scripted_event *roan_scripted_event_create(roan_peer *peer, roan_scripted_kind kind, int64_t after_us,
                                                roan_slice data);
/* Lets everything happen that is due. */
void roan_scripted_run(roan_scripted *world);
/* Moves the clock; what lies between happens at its own time. */
void roan_scripted_run_until(roan_scripted *world, int64_t us);
void roan_scripted_clear_events(roan_scripted_events *events);
void roan_scripted_append(roan_scripted_events *events, roan_scripted_event *event);

/* Ends the connection at once: what is on its way is lost. os_errno 0: an end of the stream. */
void roan_peer_break(roan_peer *peer, int os_errno);
/* Breaks it if it has come to where it shall. */
void roan_peer_check_cuts(roan_peer *peer);
/* Bytes of the client have arrived. */
void roan_peer_arrive(roan_peer *peer, const char *data, size_t bytes);
roan_peer *roan_peer_create(roan_scripted *world, unsigned index);
void roan_peer_free(roan_peer *peer);
roan_scripted_request *roan_scripted_request_create(size_t argc, const roan_slice *argv, int64_t at_us);
void roan_scripted_request_free(roan_scripted_request *request);

void roan_scripted_client_free(roan_scripted_client *client);
void roan_scripted_store_free(roan_scripted_store *store);
