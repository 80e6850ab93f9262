/* bench/floor.c: the least a server can cost.
 *
 * A program that answers every request without looking at it: it counts requests and sends as many
 * constant replies. There is no keyspace and nothing is parsed, so what it costs per request is the
 * kernel's network stack and one event loop; a real server's distance to it is that server's own
 * work.
 *
 *   floor epoll|uring PORT [BYTES]
 *
 * listens on 127.0.0.1:PORT and prints the port. A connection that sends GET receives bulk replies
 * of BYTES bytes (default 64), every other one a reply of five bytes, so that both directions carry
 * what they carry with a real server.
 *
 * How requests are counted: a request begins with '*' and a digit at the start of a line. A value
 * that contains such a line would be counted too; load generators send none. A connection that
 * begins with another byte sends inline commands: one per line.
 *
 * With uring a batch of replies must fit the socket's send buffer (some megabytes): several sends
 * of one connection may be under way, and only whole ones may change places.
 *
 * build: cc -O2 bench/floor.c -o floor -luring   (-DNO_URING without liburing) */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#ifndef NO_URING
#include <liburing.h>
#endif

#define CONNECTIONS_MAX 65536
#define INPUT_BYTES 65536
#define REPLIES_MAX (INPUT_BYTES / 6) /* no request is shorter than "PING\r\n" */
#define VALUE_BYTES_MAX 4096
#define EVENTS_MAX 512

/* What is remembered of a connection, by file descriptor. */
typedef struct floor_peer {
    bool is_known;  /* a byte was seen */
    bool is_inline;
    bool is_line;   /* the next byte is the first of a line */
    bool is_star;   /* the last byte was a '*' that begins a line */
    bool is_get;    /* the last piece that began with a request began with GET */
} floor_peer;

/* `count_max` copies of one reply. */
typedef struct answer {
    char *bytes;
    size_t reply_bytes;
} answer;

static floor_peer peers[CONNECTIONS_MAX];
static answer short_answer, value_answer;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static answer make_answer(const char *reply, size_t bytes)
{
    answer made = {malloc(bytes * REPLIES_MAX), bytes};

    if (made.bytes == NULL)
        die("floor: memory");
    for (size_t i = 0; i < REPLIES_MAX; i++)
        memcpy(made.bytes + i * bytes, reply, bytes);
    return made;
}

static answer make_value_answer(size_t value_bytes)
{
    char reply[VALUE_BYTES_MAX + 32];
    int head = snprintf(reply, sizeof reply, "$%zu\r\n", value_bytes);

    memset(reply + head, 'x', value_bytes);
    memcpy(reply + (size_t)head + value_bytes, "\r\n", 2);
    return make_answer(reply, (size_t)head + value_bytes + 2);
}

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    const int one = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    address.sin_port = htons((unsigned short)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, 511) != 0)
        die("floor: listening");
    printf("%d\n", port);
    fflush(stdout);
    return fd;
}

/* Prepares a new connection; false when there are too many. */
static bool welcome(int fd)
{
    const int one = 1;

    if (fd >= CONNECTIONS_MAX)
        return false;
    peers[fd] = (floor_peer){.is_line = true};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return true;
}

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

static size_t count_lines(const char *data, size_t bytes)
{
    const char *end = data + bytes;
    size_t count = 0;

    for (const char *at = data; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        count++;
    return count;
}

/* How many requests begin in the piece. One whose '*' ends a piece counts with the next. */
static size_t count_requests(floor_peer *peer, const char *data, size_t bytes)
{
    const char *end = data + bytes;
    size_t count = peer->is_star && is_digit(data[0]);

    for (const char *at = data; (at = memchr(at, '*', (size_t)(end - at))) != NULL; at++)
        if (at > data ? at[-1] == '\n' : peer->is_line)
            count += at + 1 < end && is_digit(at[1]);
    peer->is_star = end[-1] == '*' && (bytes > 1 ? end[-2] == '\n' : peer->is_line);
    peer->is_line = end[-1] == '\n';
    return count;
}

/* Which answer the piece gets, and how much of it. */
static const char *answer_for(int fd, const char *data, size_t bytes, size_t *ret_bytes)
{
    static const char get[] = "*2\r\n$3\r\nGET";
    floor_peer *peer = &peers[fd];
    const answer *chosen;
    size_t count;

    if (!peer->is_known) {
        peer->is_known = true;
        peer->is_inline = data[0] != '*';
    }
    if (peer->is_line && data[0] == '*' && bytes >= sizeof get - 1)
        peer->is_get = memcmp(data, get, sizeof get - 1) == 0;
    chosen = peer->is_get ? &value_answer : &short_answer;
    count = peer->is_inline ? count_lines(data, bytes) : count_requests(peer, data, bytes);
    *ret_bytes = chosen->reply_bytes * (count < REPLIES_MAX ? count : REPLIES_MAX);
    return chosen->bytes;
}

/* ---- epoll ---- */

/* Level-triggered and blocking on write: the peer reads what it asked for. */
static bool serve_epoll(int fd, char *input)
{
    ssize_t got = recv(fd, input, INPUT_BYTES, 0);
    const char *reply;
    size_t bytes;

    if (got <= 0)
        return got < 0 && errno == EINTR;
    reply = answer_for(fd, input, (size_t)got, &bytes);
    while (bytes > 0) {
        ssize_t sent = send(fd, reply, bytes, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        if (sent > 0) {
            reply += sent;
            bytes -= (size_t)sent;
        }
    }
    return true;
}

static void run_epoll(int listener)
{
    static char input[INPUT_BYTES];
    struct epoll_event events[EVENTS_MAX];
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd != listener) {
                if (!serve_epoll(fd, input))
                    close(fd);
                continue;
            }
            fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
            if (fd < 0)
                continue;
            event = (struct epoll_event){.events = EPOLLIN, .data.fd = fd};
            if (!welcome(fd) || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
                close(fd);
        }
    }
}

/* ---- io_uring ---- */

#ifndef NO_URING
#define RING_ENTRIES 2048
#define COMPLETION_ENTRIES 8192
#define BUFFER_COUNT 1024 /* a power of two */
#define BUFFER_BYTES 16384
#define BUFFER_GROUP 7

enum { DID_ACCEPT, DID_RECEIVE, DID_SEND };

typedef struct floor_ring {
    struct io_uring uring;
    struct io_uring_buf_ring *buffers;
    char *memory;
    int returned; /* buffers given back since the last advance */
} floor_ring;

static struct io_uring_sqe *next_entry(floor_ring *ring, int fd, unsigned did)
{
    struct io_uring_sqe *entry = io_uring_get_sqe(&ring->uring);

    if (entry == NULL) {
        io_uring_submit(&ring->uring);
        entry = io_uring_get_sqe(&ring->uring);
    }
    if (entry == NULL)
        die("floor: the submission queue is full");
    entry->user_data = (unsigned long long)(unsigned)fd << 2 | did;
    return entry;
}

/* The prep functions clear user_data in some versions, so it is set again behind them. */
static void ask_receive(floor_ring *ring, int fd)
{
    struct io_uring_sqe *entry = next_entry(ring, fd, DID_RECEIVE);
    unsigned long long user_data = entry->user_data;

    io_uring_prep_recv_multishot(entry, fd, NULL, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = BUFFER_GROUP;
    entry->user_data = user_data;
}

static void ask_accept(floor_ring *ring, int listener)
{
    struct io_uring_sqe *entry = next_entry(ring, listener, DID_ACCEPT);
    unsigned long long user_data = entry->user_data;

    io_uring_prep_multishot_accept(entry, listener, NULL, NULL, SOCK_CLOEXEC);
    entry->user_data = user_data;
}

static void give_back(floor_ring *ring, unsigned buffer)
{
    io_uring_buf_ring_add(ring->buffers, ring->memory + (size_t)buffer * BUFFER_BYTES, BUFFER_BYTES,
                          (unsigned short)buffer, BUFFER_COUNT - 1, ring->returned++);
}

static void received(floor_ring *ring, int fd, const struct io_uring_cqe *done)
{
    const bool goes_on = (done->flags & IORING_CQE_F_MORE) != 0;
    const unsigned buffer = done->flags >> IORING_CQE_BUFFER_SHIFT;
    const char *reply;
    size_t bytes;

    if (done->res <= 0) {
        if (done->res == -ENOBUFS)
            ask_receive(ring, fd);
        else if (!goes_on)
            close(fd);
        return;
    }
    reply = answer_for(fd, ring->memory + (size_t)buffer * BUFFER_BYTES, (size_t)done->res, &bytes);
    give_back(ring, buffer);
    if (bytes > 0) {
        struct io_uring_sqe *entry = next_entry(ring, fd, DID_SEND);
        unsigned long long user_data = entry->user_data;
        io_uring_prep_send(entry, fd, reply, bytes, MSG_WAITALL | MSG_NOSIGNAL);
        entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
        entry->user_data = user_data;
    }
    if (!goes_on)
        ask_receive(ring, fd);
}

static void completed(floor_ring *ring, int listener, const struct io_uring_cqe *done)
{
    switch ((unsigned)done->user_data & 3) {
    case DID_ACCEPT:
        if (done->res >= 0 && welcome(done->res))
            ask_receive(ring, done->res);
        else if (done->res >= 0)
            close(done->res);
        if ((done->flags & IORING_CQE_F_MORE) == 0)
            ask_accept(ring, listener);
        break;
    case DID_RECEIVE: received(ring, (int)(done->user_data >> 2), done); break;
    default: break; /* a send that failed: the receive will see the end */
    }
}

static void open_ring(floor_ring *ring)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_COOP_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = COMPLETION_ENTRIES,
    };
    struct io_uring_buf_reg group = {.ring_entries = BUFFER_COUNT, .bgid = BUFFER_GROUP};

    errno = -io_uring_queue_init_params(RING_ENTRIES, &ring->uring, &params);
    if (errno != 0)
        die("floor: io_uring");
    ring->buffers = mmap(NULL, BUFFER_COUNT * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
                         MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    ring->memory = aligned_alloc(4096, (size_t)BUFFER_COUNT * BUFFER_BYTES);
    if (ring->buffers == MAP_FAILED || ring->memory == NULL)
        die("floor: memory");
    group.ring_addr = (unsigned long long)(size_t)ring->buffers;
    errno = -io_uring_register_buf_ring(&ring->uring, &group, 0);
    if (errno != 0)
        die("floor: buffers");
    io_uring_buf_ring_init(ring->buffers);
    for (unsigned i = 0; i < BUFFER_COUNT; i++)
        give_back(ring, i);
    io_uring_buf_ring_advance(ring->buffers, ring->returned);
    ring->returned = 0;
}

static void run_uring(int listener)
{
    static floor_ring ring;

    open_ring(&ring);
    ask_accept(&ring, listener);
    for (;;) {
        struct io_uring_cqe *done;
        unsigned head, count = 0;
        io_uring_submit_and_wait(&ring.uring, 1);
        io_uring_for_each_cqe(&ring.uring, head, done) {
            completed(&ring, listener, done);
            count++;
        }
        io_uring_buf_ring_advance(ring.buffers, ring.returned);
        ring.returned = 0;
        io_uring_cq_advance(&ring.uring, count);
    }
}
#else
static void run_uring(int listener)
{
    (void)listener;
    fputs("floor: built without io_uring\n", stderr);
    exit(77);
}
#endif

int main(int argc, char **argv)
{
    const long port = argc > 2 ? strtol(argv[2], NULL, 10) : 0;
    const long value_bytes = argc > 3 ? strtol(argv[3], NULL, 10) : 64;
    bool is_uring;

    if (argc < 3 || port < 1 || port > 65535 || value_bytes < 0 || value_bytes > VALUE_BYTES_MAX) {
        fputs("usage: floor epoll|uring PORT [BYTES]\n", stderr);
        return 1;
    }
    is_uring = strcmp(argv[1], "uring") == 0;
    short_answer = make_answer("$-1\r\n", 5);
    value_answer = make_value_answer((size_t)value_bytes);
    if (is_uring)
        run_uring(listen_on((int)port));
    else
        run_epoll(listen_on((int)port));
}
