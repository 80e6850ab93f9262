/* roan/scripted.h: a transport for tests: peers that do what a script says, and a clock that never waits.
 *
 * The handle under test gets roan_scripted_transport() in its options. Every connection it opens has a peer, numbered
 * from 0 in the order of opening; a test tells peers beforehand (or while they run) what to answer, when, in which
 * pieces, and how to fail. Afterwards it reads what the client sent, to the byte.
 *
 *     roan_scripted *world = roan_scripted_create(1);
 *     roan_peer *first = roan_scripted_peer(world, 0);
 *     roan_scripted_handle(world, roan_scripted_redis, NULL);  // answers like a small server
 *     roan_peer_cut_received(first, 100, ECONNRESET);          // but the first connection breaks after 100 bytes
 *
 * Time is virtual. A wait of the client (receive(), wait()) that finds nothing moves the clock to the next scripted
 * event or by the time it wants to wait, whichever comes first: a test of a five second timeout takes microseconds and
 * gives the same result every time. Tests in which several threads wait should take the clock into their own hands:
 * with ROAN_CLOCK_MANUAL it moves by roan_scripted_advance() only, and waits really wait for what they want.
 *
 * Times are microseconds; `after_us` counts from now, or from the moment of connecting for a peer that is not connected
 * yet. Whatever is scripted for the same time happens in the order in which it was said. Every function may be called
 * from any thread, and from handlers. A mistake in the script, or running out of memory, aborts.
 */
#ifndef ROAN_SCRIPTED_H
#define ROAN_SCRIPTED_H

#include "roan/transport.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roan_scripted roan_scripted; /* the world: a clock and peers */
typedef struct roan_peer roan_peer;         /* belongs to the world */

/* ---- the world ------------------------------------------------------------------------------------------------ */

/* The same seed gives the same random numbers, hence the same run. */
ROAN_API roan_scripted *roan_scripted_create(uint64_t seed);
/* Streams that are still open (roan_scripted_open_streams() tells a test that forgot one) must not be used any more.
 * Accepts NULL; returns NULL. */
ROAN_API roan_scripted *roan_scripted_free(roan_scripted *world);
/* For roan_options.transport; lives as long as the world. Its fd() is always -1. */
ROAN_API const roan_transport *roan_scripted_transport(roan_scripted *world);

typedef enum roan_clock_mode { ROAN_CLOCK_JUMPS, ROAN_CLOCK_MANUAL } roan_clock_mode;
ROAN_API void roan_scripted_set_clock(roan_scripted *world, roan_clock_mode mode);
ROAN_API int64_t roan_scripted_now(roan_scripted *world);
/* Lets time pass; what is scripted for it happens. */
ROAN_API void roan_scripted_advance(roan_scripted *world, int64_t us);

/* The peer of the index-th connection, whether it exists already or not. */
ROAN_API roan_peer *roan_scripted_peer(roan_scripted *world, unsigned index);
/* How many connections were begun, and how many streams are not closed yet. */
ROAN_API unsigned roan_scripted_opened(roan_scripted *world);
ROAN_API unsigned roan_scripted_open_streams(roan_scripted *world);

/* ---- answering ------------------------------------------------------------------------------------------------ */

/* Called for every request that has arrived whole, at the time it arrives. argv is borrowed. It may script whatever it
 * likes on any peer, but not call the client. */
typedef void (*roan_peer_fn)(void *argument, roan_peer *peer, size_t argc, const roan_slice *argv);

/* For all peers without a handler of their own. NULL: requests are logged and not answered (the default). */
ROAN_API void roan_scripted_handle(roan_scripted *world, roan_peer_fn handler, void *argument);
ROAN_API void roan_peer_handle(roan_peer *peer, roan_peer_fn handler, void *argument);

/* The next request that no earlier expectation took must be these words, and gets this answer (bytes; may be empty)
 * after_us later, instead of the handler's. `request` has words separated by single spaces; "*" is any request.
 * Something else is a mismatch: roan_scripted_check() tells it, and the connection is reset. */
ROAN_API void roan_peer_expect(roan_peer *peer, int64_t after_us, const char *request, const char *answer);
ROAN_API void roan_peer_expect_words(roan_peer *peer, int64_t after_us, size_t argc, const roan_slice *argv,
                                     roan_slice answer);
/* ROAN_OK when nothing was unexpected and every expectation was met, else ROAN_E_INVALID with the first mismatch. */
ROAN_API roan_status roan_scripted_check(roan_scripted *world, roan_error *reterr);

/* Bytes from the peer to the client: an answer, a push, rubbish. Streams keep their order: what is sent with less delay
 * than something before it arrives right behind that. */
ROAN_API void roan_peer_send(roan_peer *peer, int64_t after_us, roan_slice bytes);
ROAN_API void roan_peer_sendf(roan_peer *peer, int64_t after_us, const char *format, ...) ROAN_PRINTF(3, 4);

/* Every roan_peer_send() from now on takes so much longer. */
ROAN_API void roan_peer_set_latency(roan_peer *peer, int64_t us);
/* What is sent from now on arrives in pieces of piece_bytes (0: whole; ROAN_PIECES_RANDOM: 1 to 16 bytes each), each
 * gap_us after the one before. With 0 us between them they are still received one by one. */
#define ROAN_PIECES_RANDOM ((size_t)-1)
ROAN_API void roan_peer_set_pieces(roan_peer *peer, size_t piece_bytes, int64_t gap_us);

/* ---- connecting ----------------------------------------------------------------------------------------------- */

/* What happens to the attempt to connect; default: accepted at once. Said before the connection is opened. */
ROAN_API void roan_peer_accept(roan_peer *peer, int64_t after_us);
ROAN_API void roan_peer_refuse(roan_peer *peer, int64_t after_us, int os_errno);
ROAN_API void roan_peer_ignore(roan_peer *peer); /* never answers */
/* The same for all connections that nothing was said about: refused after after_us, or with os_errno 0 accepted. */
ROAN_API void roan_scripted_set_connecting(roan_scripted *world, int64_t after_us, int os_errno);

/* ---- failing -------------------------------------------------------------------------------------------------- */

/* The peer ends the stream behind what it has sent; what the client sends from then on is lost. */
ROAN_API void roan_peer_end(roan_peer *peer, int64_t after_us);
/* The connection breaks: what has arrived can still be received, then os_errno (ECONNRESET, ETIMEDOUT ...); what is on
 * its way never arrives. send() fails with os_errno at once. */
ROAN_API void roan_peer_reset(roan_peer *peer, int64_t after_us, int os_errno);
/* Breaks as soon as the client has received so many bytes (all in all): os_errno, or 0 for an end of the stream. */
ROAN_API void roan_peer_cut_received(roan_peer *peer, uint64_t bytes, int os_errno);
/* Breaks as soon as the client has sent so many bytes (all in all). They count as arrived, but a request that they
 * complete is not answered, nor is anything that was on its way. */
ROAN_API void roan_peer_cut_sent(roan_peer *peer, uint64_t bytes, int os_errno);

/* From then on the peer takes at most so many bytes more; then send() gives -EAGAIN. -1: without limit again. */
ROAN_API void roan_peer_take(roan_peer *peer, int64_t after_us, int64_t bytes);
/* One send() takes at most so many bytes. 0: no limit. */
ROAN_API void roan_peer_set_take_max(roan_peer *peer, size_t bytes);
/* One receive() gives at most so many bytes. 0: no limit. */
ROAN_API void roan_peer_set_give_max(roan_peer *peer, size_t bytes);

/* ---- what the client did -------------------------------------------------------------------------------------- */

/* Everything that arrived at the peer. Borrowed until more arrives. */
ROAN_API roan_slice roan_peer_log(roan_peer *peer);
/* The whole requests among it: returns argc, 0 beyond the last one. argv is borrowed until the world is freed. */
ROAN_API size_t roan_peer_request_count(roan_peer *peer);
ROAN_API size_t roan_peer_request(roan_peer *peer, size_t index, const roan_slice **ret_argv, int64_t *ret_at_us);
/* The words of a request, joined by spaces, equal to text? For asserts. False beyond the last one. */
ROAN_API bool roan_peer_request_is(roan_peer *peer, size_t index, const char *text);

ROAN_API unsigned roan_peer_index(roan_peer *peer);
ROAN_API roan_scripted *roan_peer_world(roan_peer *peer);
/* "host:port" or the path it was opened with; "" before. */
ROAN_API const char *roan_peer_endpoint(roan_peer *peer);
ROAN_API bool roan_peer_is_closed(roan_peer *peer); /* by the client */
ROAN_API uint64_t roan_peer_sends(roan_peer *peer); /* successful calls of send() */
ROAN_API uint64_t roan_peer_received_bytes(roan_peer *peer); /* by the client */

/* ---- a small server ------------------------------------------------------------------------------------------- */

/* A roan_peer_fn (its argument is not used) with a memory that all peers of the world share: strings with a few
 * commands, MULTI and WATCH, publish/subscribe, BLPOP without lists (nil after its timeout), and the handshake:
 *     HELLO AUTH SELECT CLIENT PING ECHO QUIT RESET  GET SET DEL EXISTS INCR INCRBY MGET MSET APPEND STRLEN
 *     DBSIZE FLUSHALL  MULTI EXEC DISCARD WATCH UNWATCH  (P|S)SUBSCRIBE (P|S)UNSUBSCRIBE PUBLISH SPUBLISH
 *     BLPOP BRPOP  READONLY ASKING WAIT
 * Everything else is an unknown command. Handlers of tests pass on to it what they do not answer themselves. */
ROAN_API void roan_scripted_redis(void *unused, roan_peer *peer, size_t argc, const roan_slice *argv);

typedef struct roan_scripted_redis_options {
    size_t size;          /* sizeof(roan_scripted_redis_options) */
    const char *username; /* NULL: "default" */
    const char *password; /* NULL: nobody has to log in */
    bool lacks_hello;     /* an old server: HELLO and CLIENT SETINFO are unknown, only RESP2 */
    bool lacks_resp3;     /* HELLO 3 is -NOPROTO */
} roan_scripted_redis_options;

/* Texts are copied. */
ROAN_API void roan_scripted_set_redis(roan_scripted *world, const roan_scripted_redis_options *options);

#ifdef __cplusplus
}
#endif
#endif
