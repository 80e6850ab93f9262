/* cli/bench_connect.h: where the server is, how a connection to it begins, and what it says of
 * itself. */
#pragma once

#include "cli/bench_options.h"
#include "roan/resp.h"

#include <sys/socket.h>

/* One address that answered. Plain value; shared by all threads. */
typedef struct roan_bench_endpoint {
    struct sockaddr_storage address;
    socklen_t address_bytes;
    char name[256]; /* for messages: "host:port" or the path */
} roan_bench_endpoint;

/* What a connection sends before its first request (AUTH, HELLO, SELECT, CLIENT TRACKING). */
typedef struct roan_bench_greeting {
    roan_request_buffer bytes;
    unsigned replies;
} roan_bench_greeting;

/* What reports print about the server. */
typedef struct roan_bench_server_facts {
    bool is_known; /* false: CONFIG GET was refused */
    char save[128];
    char append_only[16];
} roan_bench_server_facts;

roan_status roan_bench_greeting_build(const roan_bench_options *options,
                                      roan_bench_greeting *greeting) ROAN_MUST_CHECK;
void roan_bench_greeting_done(roan_bench_greeting *greeting);

/* Finds the server: resolves the name, tries its addresses, sends the greeting on the first that
 * accepts and, when ret_facts is not NULL, asks for its settings. Blocks. ROAN_E_PROTOCOL with the
 * server's own words when it refuses the greeting. */
roan_status roan_bench_find_server(const roan_bench_options *options,
                                   const roan_bench_greeting *greeting,
                                   roan_bench_endpoint *ret_endpoint,
                                   roan_bench_server_facts *ret_facts,
                                   roan_error *reterr) ROAN_MUST_CHECK;

/* Starts a non-blocking connection; *ret_is_connected tells whether it is already there. Returns
 * the socket, owned by the caller, or -1 with errno. */
int roan_bench_connect(const roan_bench_endpoint *endpoint, bool *ret_is_connected);
