/* engine/options_network.c: options about listening, connections and the threads that serve them. */
#include "engine/lock.h"
#include "engine/options_rows.h"

static const roan_option_choice io_kinds[] = {
    {"auto", 0}, {"uring", 1}, {"io_uring", 1}, {"epoll", 2}, {NULL, 0}, /* roan_net_kind */
};

static const roan_option rows[] = {
    {.name = "bind", ROAN_ROW_SPECIAL(bind, roan_option_parse_bind, roan_option_format_words),
     .flags = ROAN_OPTION_SEVERAL | ROAN_OPTION_OWNS_TEXT, .apply = ROAN_APPLY_LISTEN,
     .apply_error = "Failed to bind to specified addresses.", .initial = "127.0.0.1 -::1",
     .text = "Addresses to listen on, up to 16. A minus sign in front of one means: go on without it when this machine "
             "does not have it. `*` is every IPv4 address, `::*` every IPv6 address. An empty list serves no network "
             "address, only the Unix socket. Out of the box the server is reachable from this machine alone."},
    {.name = "port", ROAN_ROW_INTEGER(port, 0, 65535), .apply = ROAN_APPLY_LISTEN,
     .apply_error = "Unable to listen on this port. Check server logs.", .initial = "6379",
     .text = "TCP port to listen on. 0 turns TCP off."},
    {.name = "tcp-backlog", ROAN_ROW_INTEGER(tcp_backlog, 0, INT_MAX), .flags = ROAN_OPTION_IMMUTABLE, .initial = "511",
     .text = "How many new connections may wait to be accepted. The kernel cuts it to net.core.somaxconn."},
    {.name = "unixsocket", ROAN_ROW_TEXT(unixsocket), .flags = ROAN_OPTION_IMMUTABLE, .initial = "",
     .text = "Path of a Unix socket to listen on. Empty: none."},
    {.name = "unixsocketperm", ROAN_ROW_AT(OCTAL, unixsocketperm, int64_t), .max = 0777,
     .flags = ROAN_OPTION_IMMUTABLE, .initial = "0",
     .text = "Permissions of the Unix socket in octal, such as 770. 0 leaves them to the umask."},
    {.name = "unixsocketgroup", .type = ROAN_OPTION_TEXT, .flags = ROAN_OPTION_IMMUTABLE | ROAN_OPTION_FIXED,
     .needs = "way to set the socket's group", .initial = "", .text = "Group that owns the Unix socket."},
    {.name = "protected-mode", ROAN_ROW_BOOL(protected_mode), .initial = "yes",
     .text = "While the default user has no password, serve only connections from this machine, whatever `bind` says."},
    {.name = "maxclients", ROAN_ROW_INTEGER(maxclients, 1, UINT_MAX), .apply = ROAN_APPLY_MAXCLIENTS,
     .initial = "10000",
     .text = "Most connections at a time; further ones get an error and are closed. The limit of open files is raised "
             "to match; where the system forbids that, the server starts with as many as it may have."},
    {.name = "timeout", ROAN_ROW_INTEGER(timeout_s, 0, INT_MAX), .initial = "0",
     .text = "Close a connection after so many seconds without a request. 0 never does. Subscribers and replicas are "
             "not affected."},
    {.name = "tcp-keepalive", ROAN_ROW_INTEGER(tcp_keepalive_s, 0, INT_MAX),
     .initial = "300",
     .text = "Seconds of silence after which the kernel probes whether the peer is still there, so that dead "
             "connections are found and middle boxes keep living ones. 0 sends no probes."},
    {.name = "client-query-buffer-limit", ROAN_ROW_MEMORY(client_query_buffer_limit, 1 << 20, INT64_MAX),
     .initial = "1gb", .text = "A connection whose unread requests take more memory than this is closed."},
    {.name = "proto-max-bulk-len", ROAN_ROW_MEMORY(proto_max_bulk_len, 1 << 20, INT64_MAX), .initial = "512mb",
     .text = "Longest single argument of a request, and longest string value."},
    {.name = "client-output-buffer-limit",
     ROAN_ROW_SPECIAL(output_limits, roan_option_parse_output_limits, roan_option_format_output_limits),
     .format_line = roan_option_line_output_limits, .flags = ROAN_OPTION_SEVERAL, .apply = ROAN_APPLY_CLIENT_MEMORY,
     .initial = "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60",
     .text = "CLASS HARD SOFT SECONDS: close a connection when the replies it has not read take HARD bytes, or SOFT "
             "bytes for SECONDS seconds. 0 is no limit. Classes: normal, replica, pubsub. Several classes may follow "
             "each other; those not named stay as they are."},
    {.name = "threads", ROAN_ROW_INTEGER(threads, 1, ROAN_LANES_MAX), .flags = ROAN_OPTION_IMMUTABLE, .initial = "1",
     .text = "Worker threads. Each serves its own connections and runs their commands; results are those of a server "
             "with one thread. More than the machine has cores is a waste."},
    {.name = "io", ROAN_ROW_ENUM(io, io_kinds), .flags = ROAN_OPTION_IMMUTABLE, .initial = "auto",
     .text = "How the kernel is asked for input and output: uring or epoll. auto takes io_uring where the kernel has "
             "all that is needed, and epoll elsewhere."},
    {.name = "mptcp", ROAN_ROW_FIXED_BOOL(ROAN_OPTION_IMMUTABLE, "Multipath TCP"), .initial = "no",
     .text = "Accept Multipath TCP connections."},
    {.name = "socket-mark-id", .type = ROAN_OPTION_INTEGER, .max = UINT_MAX,
     .flags = ROAN_OPTION_IMMUTABLE | ROAN_OPTION_FIXED, .needs = "packet marking", .initial = "0",
     .text = "Mark on the packets of all connections, for routing rules and firewalls."},

    {.name = "io-threads", ROAN_ROW_INTEGER(io_threads, 1, 256), .flags = ROAN_OPTION_IDLE, .initial = "1",
     .text = "In the reference: threads that read and write for the one that runs commands. Here every worker does "
             "both; set `threads` instead."},
    {.name = "io-threads-do-reads", ROAN_ROW_BOOL(io_threads_do_reads), .flags = ROAN_OPTION_IDLE | ROAN_OPTION_HIDDEN,
     .initial = "no", .text = "See io-threads."},
    {.name = "prefetch-batch-max-size", ROAN_ROW_INTEGER(prefetch_batch_max_size, 0, 128), .flags = ROAN_OPTION_IDLE,
     .initial = "16", .text = "In the reference: keys fetched into the cache ahead of time. Here the size of a batch "
                              "follows from the requests that are there."},
    {.name = "max-new-connections-per-cycle", ROAN_ROW_INTEGER(max_new_connections, 1, 1000),
     .flags = ROAN_OPTION_IDLE, .initial = "10",
     .text = "In the reference: connections accepted in one round of its loop. Here accepting has no rounds."},
    {.name = "max-new-tls-connections-per-cycle", ROAN_ROW_INTEGER(max_new_tls_connections, 1, 1000),
     .flags = ROAN_OPTION_IDLE, .initial = "1", .text = "The same for TLS, which is not there yet."},
};

const roan_option_group roan_options_network = ROAN_OPTION_GROUP("Network", "", rows);
