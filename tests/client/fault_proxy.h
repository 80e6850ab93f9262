/* tests/client/fault_proxy.h: a TCP proxy that spoils connections at an exact byte.
 *
 *     client <--> proxy (a thread of its own) <--> server on 127.0.0.1
 *
 * A plan is a few faults, each at a byte of one direction; it holds for the next connections that are accepted, later
 * ones are clean. What both sides sent is kept, so that a test can say what left the client and what reached it.
 */
#ifndef FAULT_PROXY_H
#define FAULT_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum fault_side { FAULT_TO_SERVER, FAULT_TO_CLIENT, FAULT_SIDES } fault_side;

/* `at` bytes of the direction pass, then ... */
typedef enum fault_kind {
    FAULT_CUT,        /* both sides get a reset */
    FAULT_END,        /* both sides get an orderly end */
    FAULT_HALF_CLOSE, /* the receiving side gets an end, the other direction goes on */
    FAULT_STALL,      /* nothing passes any more in this direction, for `ms` or (0) for ever */
    FAULT_SPLIT,      /* bytes pass one by one, each in a segment of its own, `ms` apart */
    FAULT_CORRUPT,    /* the next byte is changed: XOR `mask` */
    FAULT_KINDS
} fault_kind;

typedef struct fault {
    fault_kind kind;
    fault_side side;
    uint64_t at;
    unsigned ms;
    unsigned char mask;
} fault;

enum { FAULTS_MAX = 8 };

typedef struct fault_proxy fault_proxy;

/* Listens on 127.0.0.1 (port 0: a free one). NULL: errno says why. */
fault_proxy *fault_proxy_create(uint16_t port, uint16_t server_port);
/* Ends all connections and the thread. */
void fault_proxy_free(fault_proxy *proxy);
uint16_t fault_proxy_port(const fault_proxy *proxy);

/* The next `connections` have these faults; replaces the plan before. */
void fault_proxy_plan(fault_proxy *proxy, const fault *faults, unsigned count, unsigned connections);

/* Since it was created. */
unsigned fault_proxy_accepted(fault_proxy *proxy);
/* Faults that came into effect. */
unsigned fault_proxy_fired(fault_proxy *proxy);

/* Everything that was read from the side that sends to `side`, of all connections in the order of reading, forwarded or
 * not; a copy, to be freed. */
char *fault_proxy_sent(fault_proxy *proxy, fault_side side, size_t *ret_bytes);
/* Forgets it. */
void fault_proxy_forget(fault_proxy *proxy);

/* The name of a kind, as the command line has it: "half-close". NULL beyond the last one. */
const char *fault_kind_name(fault_kind kind);
#endif
