/* test_net.c: every promise of net/net.h, on each backend the machine has.
 *
 * A test is a function over a `loop`; the table at the end runs it once per backend. The far ends of
 * the connections are plain descriptors of this thread, so that the test decides what happens when.
 * Streams carry a pattern that depends on the position, so that a lost, doubled or swapped byte is
 * noticed wherever it happens. Waiting is always for a condition, with a deadline that only a failure
 * reaches. The random test prints its seed when it fails and takes one from ROAN_TEST_SEED, and the
 * number of runs from ROAN_TEST_RUNS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "net/address.h"
#include "net/net.h"

enum {
    EVENTS_MAX = 128,
    DEADLINE_MS = 10000,
    STEP_US = 1000,
    HELD_MAX = 64,
};

static const roan_net_kind KINDS[] = {ROAN_NET_URING, ROAN_NET_EPOLL};
static const char *const KIND_NAMES[] = {"io_uring", "epoll"};

/* --- the bench -------------------------------------------------------------------------------- */

/* One connection: our side's socket and what was reported about it, the far side's descriptor. */
typedef struct wire {
    roan_net_socket socket;
    int far_fd;
    uint64_t received;       /* bytes our side got so far; also the position in the pattern */
    uint64_t far_written;    /* bytes the far side wrote */
    uint64_t sent;           /* bytes handed to roan_net_send() */
    uint64_t far_read;       /* bytes the far side got */
    unsigned sent_events, failed_events, eof_events, closed_events, received_events;
    int failed_error, eof_error;
    bool close_called, send_in_flight;
    struct iovec iov;
    char *out;               /* what is being sent */
} wire;

typedef struct loop {
    roan_net *net;
    roan_net_kind kind;
    unsigned events_max;
    bool keeps_buffers;      /* do not recycle */
    roan_net_event events[EVENTS_MAX];
    unsigned event_count;    /* of the last wait */
    unsigned waits, woken, accepted, accept_failed;
    int accept_error;
    int accepted_fds[1024];
} loop;

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The byte at a position of every stream. */
static char pattern_at(uint64_t position)
{
    uint64_t mixed = position * UINT64_C(0x9E3779B97F4A7C15);
    return (char)(mixed >> 56);
}

static void fill_pattern(char *data, size_t bytes, uint64_t position)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = pattern_at(position + i);
}

static void check_pattern(const char *data, size_t bytes, uint64_t position)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != pattern_at(position + i))
            fail_msg("byte %llu of a stream differs", (unsigned long long)(position + i));
    }
}

static void open_loop(loop *l, roan_net_kind kind, const roan_net_options *options)
{
    memset(l, 0, sizeof *l);
    roan_net_options complete = {0};
    if (options != NULL)
        complete = *options;
    complete.kind = kind;
    roan_error error;
    if (roan_net_create(&complete, &l->net, &error) != ROAN_OK)
        fail_msg("%s", error.text);
    l->kind = kind;
    l->events_max = EVENTS_MAX;
}

/* A loop with other options than the fixture's. */
static void reopen_loop(loop *l, const roan_net_options *options)
{
    roan_net_kind kind = l->kind;
    roan_net_free(l->net);
    open_loop(l, kind, options);
}

static wire *new_link(int far_fd)
{
    wire *k = calloc(1, sizeof *k);
    assert_non_null(k);
    k->socket.owner = k;
    k->far_fd = far_fd;
    return k;
}

static void attach_link(loop *l, wire *k, int fd)
{
    roan_error error;
    if (roan_net_attach(l->net, &k->socket, fd, &error) != ROAN_OK)
        fail_msg("%s", error.text);
}

static wire *open_pair(loop *l)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
    wire *k = new_link(pair[1]);
    attach_link(l, k, pair[0]);
    return k;
}

static int listen_somewhere(int backlog)
{
    roan_error error;
    int fd;
    if (roan_net_listen_tcp("127.0.0.1", 0, backlog, false, &fd, &error) != ROAN_OK)
        fail_msg("%s", error.text);
    return fd;
}

static int connect_to(int listener)
{
    struct sockaddr_in address;
    socklen_t bytes = sizeof address;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* A TCP connection over loopback; small_buffers makes the kernel hold little. */
static wire *open_tcp(loop *l, bool small_buffers)
{
    int listener = listen_somewhere(1), send_bytes = 4096, receive_bytes = 1 << 17;
    if (small_buffers)
        setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
    int far_fd = connect_to(listener);
    if (small_buffers) /* less than a segment of the loopback would wait for timers */
        setsockopt(far_fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    assert_true(fd >= 0);
    close(listener);
    wire *k = new_link(far_fd);
    attach_link(l, k, fd);
    return k;
}

static void note_event(loop *l, const roan_net_event *event)
{
    wire *k = event->socket != NULL ? event->socket->owner : NULL;
    if (k != NULL)
        assert_int_equal(k->closed_events, 0); /* CLOSED is the last */
    switch (event->type) {
    case ROAN_NET_ACCEPTED:
        assert_true(event->fd >= 0);
        assert_true(l->accepted < ROAN_COUNT_OF(l->accepted_fds));
        l->accepted_fds[l->accepted++] = event->fd;
        break;
    case ROAN_NET_ACCEPT_FAILED:
        l->accept_failed++;
        l->accept_error = event->error;
        break;
    case ROAN_NET_RECEIVED:
        assert_true(event->bytes > 0);
        assert_int_equal(k->eof_events, 0);
        check_pattern(event->data, event->bytes, k->received);
        k->received += event->bytes;
        k->received_events++;
        break;
    case ROAN_NET_EOF:
        k->eof_events++;
        k->eof_error = event->error;
        break;
    case ROAN_NET_SENT:
        assert_true(k->send_in_flight);
        assert_false(roan_net_is_sending(&k->socket));
        k->send_in_flight = false;
        k->sent_events++;
        break;
    case ROAN_NET_SEND_FAILED:
        assert_true(k->send_in_flight);
        k->send_in_flight = false;
        k->failed_events++;
        k->failed_error = event->error;
        break;
    case ROAN_NET_CLOSED:
        assert_true(k->close_called);
        k->closed_events++;
        break;
    case ROAN_NET_WOKEN:
        assert_null(event->socket);
        l->woken++;
        break;
    }
}

/* One turn of the loop. */
static unsigned turn(loop *l, int64_t timeout_us)
{
    l->event_count = roan_net_wait(l->net, timeout_us, l->events, l->events_max);
    assert_true(l->event_count <= l->events_max);
    l->waits++;
    for (unsigned i = 0; i < l->event_count; i++)
        note_event(l, &l->events[i]);
    if (!l->keeps_buffers)
        roan_net_recycle(l->net);
    return l->event_count;
}

/* Turns until the condition holds. */
#define TURN_UNTIL(l, condition)                                     \
    do {                                                             \
        int64_t deadline_ = now_us() + DEADLINE_MS * INT64_C(1000);  \
        while (!(condition)) {                                       \
            turn((l), STEP_US);                                      \
            if (now_us() > deadline_)                                \
                fail_msg("never became true: %s", #condition);       \
        }                                                            \
    } while (0)

/* Turns until nothing happens any more. */
static void settle(loop *l)
{
    unsigned quiet = 0;
    while (quiet < 3)
        quiet = turn(l, 1000) == 0 ? quiet + 1 : 0;
}

static size_t far_write(wire *k, size_t bytes)
{
    char data[65536];
    bytes = ROAN_MIN(bytes, sizeof data);
    fill_pattern(data, bytes, k->far_written);
    ssize_t done = send(k->far_fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (done < 0) {
        assert_true(errno == EAGAIN || errno == EPIPE || errno == ECONNRESET);
        return 0;
    }
    k->far_written += (uint64_t)done;
    return (size_t)done;
}

static size_t far_read(wire *k, size_t bytes)
{
    char data[65536];
    ssize_t done = recv(k->far_fd, data, ROAN_MIN(bytes, sizeof data), MSG_DONTWAIT);
    if (done <= 0)
        return 0;
    check_pattern(data, (size_t)done, k->far_read);
    k->far_read += (uint64_t)done;
    return (size_t)done;
}

/* Sends the next bytes of the pattern in one piece; true when they went out at once. */
static bool start_send(loop *l, wire *k, size_t bytes)
{
    assert_false(k->send_in_flight);
    free(k->out);
    k->out = malloc(bytes);
    assert_non_null(k->out);
    fill_pattern(k->out, bytes, k->sent);
    k->iov = (struct iovec){.iov_base = k->out, .iov_len = bytes};
    k->sent += bytes;
    k->send_in_flight = true;
    bool at_once = roan_net_send(l->net, &k->socket, &k->iov, 1);
    if (at_once) {
        assert_int_equal(l->kind, ROAN_NET_EPOLL);
        k->send_in_flight = false;
    }
    assert_int_equal(roan_net_is_sending(&k->socket), !at_once);
    return at_once;
}

static void start_close(loop *l, wire *k)
{
    roan_net_close(l->net, &k->socket);
    k->close_called = true;
}

static void free_link(wire *k)
{
    if (k->far_fd >= 0)
        close(k->far_fd);
    free(k->out);
    free(k);
}

static void close_link(loop *l, wire *k)
{
    if (!k->close_called)
        start_close(l, k);
    TURN_UNTIL(l, k->closed_events == 1);
    free_link(k);
}

static bool far_sees_end(wire *k)
{
    char byte;
    ssize_t done = recv(k->far_fd, &byte, 1, MSG_DONTWAIT);
    return done == 0 || (done < 0 && errno == ECONNRESET);
}

static rlim_t set_descriptor_limit(rlim_t limit)
{
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    struct rlimit new = {.rlim_cur = ROAN_MIN(limit, old.rlim_max), .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &new), 0);
    return old.rlim_cur;
}

static bool can_have_descriptors(unsigned count)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    return limit.rlim_cur >= count;
}

/* --- creation --------------------------------------------------------------------------------- */

static void knows_its_name(loop *l)
{
    assert_string_equal(roan_net_name(l->net), KIND_NAMES[l->kind == ROAN_NET_EPOLL]);
}

static void refuses_bad_options(loop *l)
{
    roan_net *net;
    roan_error error;
    roan_net_options odd = {.kind = l->kind, .buffer_count = 3};
    assert_int_equal(roan_net_create(&odd, &net, &error), ROAN_E_INVALID);
    assert_non_null(strstr(error.text, "3 receive buffers"));
    roan_net_options many = {.kind = l->kind, .buffer_count = 65536};
    assert_int_equal(roan_net_create(&many, &net, NULL), ROAN_E_INVALID);
    assert_null(roan_net_free(NULL));
}

static void free_with_open_sockets_leaves_their_descriptors(loop *l)
{
    wire *k = open_pair(l);
    int fd = k->socket.fd;
    start_send(l, k, 4 << 20);
    far_write(k, 100);
    settle(l);
    reopen_loop(l, NULL);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_false(far_sees_end(k));
    close(fd);
    free_link(k);
}

static void free_releases_listening_ports_at_once(loop *l)
{
    int fd = listen_somewhere(8), port = roan_net_local_port(fd);
    for (unsigned i = 0; i < 20; i++) {
        roan_net_socket listener = {0};
        assert_int_equal(roan_net_listen(l->net, &listener, fd, NULL), ROAN_OK);
        turn(l, 0);
        reopen_loop(l, NULL);
        close(fd);
        roan_error error;
        if (roan_net_listen_tcp("127.0.0.1", port, 8, false, &fd, &error) != ROAN_OK)
            fail_msg("%s", error.text);
    }
    close(fd);
}

/* --- receiving -------------------------------------------------------------------------------- */

static void receive_stream(loop *l, wire *k, uint64_t total)
{
    size_t step = 1;
    while (k->received < total) {
        far_write(k, ROAN_MIN(step, total - k->far_written));
        step = step * 3 % 60013 + 1;
        turn(l, 0);
    }
    assert_int_equal(k->received, total);
    close_link(l, k);
}

static void receives_a_stream_in_order(loop *l)
{
    receive_stream(l, open_pair(l), 3 << 20);
    receive_stream(l, open_tcp(l, false), 3 << 20);
    receive_stream(l, open_tcp(l, true), 1 << 19);
}

static void receives_what_came_before_attach(loop *l)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0); /* blocking, too */
    wire *k = new_link(pair[1]);
    far_write(k, 5000);
    attach_link(l, k, pair[0]);
    TURN_UNTIL(l, k->received == 5000);
    close_link(l, k);
}

static void data_stays_valid_until_recycle(loop *l)
{
    wire *links[HELD_MAX];
    const char *data[HELD_MAX];
    l->keeps_buffers = true;
    for (unsigned i = 0; i < HELD_MAX; i++) {
        links[i] = open_pair(l);
        far_write(links[i], 1000 + i);
        TURN_UNTIL(l, links[i]->received == 1000 + i);
        data[i] = l->events[l->event_count - 1].data;
    }
    for (unsigned i = 0; i < HELD_MAX; i++)
        check_pattern(data[i], 1000 + i, 0);
    l->keeps_buffers = false;
    for (unsigned i = 0; i < HELD_MAX; i++)
        close_link(l, links[i]);
}

static void eof_is_reported_once_after_all_bytes(loop *l)
{
    for (unsigned round = 0; round < 4; round++) {
        wire *k = round % 2 == 0 ? open_pair(l) : open_tcp(l, false);
        if (round >= 2)
            settle(l);
        far_write(k, 40000);
        shutdown(k->far_fd, SHUT_WR);
        TURN_UNTIL(l, k->eof_events > 0);
        assert_int_equal(k->received, 40000);
        assert_int_equal(k->eof_error, 0);
        settle(l);
        assert_int_equal(k->eof_events, 1);

        start_send(l, k, 30000); /* half-closed: our side may still talk */
        TURN_UNTIL(l, !k->send_in_flight);
        while (far_read(k, 65536) > 0 || k->far_read < 30000)
            turn(l, 0);
        assert_int_equal(k->failed_events, 0);
        close_link(l, k);
    }
}

/* The kernel gives a socket only so many receives in a row; the end must survive that, too. */
static void eof_after_many_buffers(loop *l)
{
    for (unsigned round = 0; round < 8; round++) {
        reopen_loop(l, &(roan_net_options){.buffer_count = 1u << (round % 4 * 3), .buffer_bytes = 64});
        wire *k = round < 4 ? open_pair(l) : open_tcp(l, false);
        if (round % 2 == 0)
            settle(l);
        far_write(k, 64 * (20 + 6 * round));
        shutdown(k->far_fd, SHUT_WR);
        TURN_UNTIL(l, k->eof_events > 0);
        assert_int_equal(k->received, k->far_written);
        close_link(l, k);
    }
}

static void reset_far_end(wire *k)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(k->far_fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    close(k->far_fd);
    k->far_fd = -1;
}

static void reset_is_an_eof_with_an_error(loop *l)
{
    wire *k = open_tcp(l, false);
    settle(l);
    reset_far_end(k);
    TURN_UNTIL(l, k->eof_events == 1);
    assert_int_equal(k->eof_error, ECONNRESET);
    settle(l);
    assert_int_equal(k->eof_events, 1);
    close_link(l, k);
}

static void pause_holds_bytes_back_until_resume(loop *l)
{
    wire *k = open_tcp(l, false);
    settle(l);
    roan_net_pause(l->net, &k->socket);
    roan_net_pause(l->net, &k->socket);
    settle(l);
    far_write(k, 1000);
    settle(l);
    assert_int_equal(k->received, 0);
    roan_net_resume(l->net, &k->socket);
    roan_net_resume(l->net, &k->socket);
    TURN_UNTIL(l, k->received == 1000);

    roan_net_pause(l->net, &k->socket);
    settle(l);
    shutdown(k->far_fd, SHUT_WR);
    settle(l);
    assert_int_equal(k->eof_events, 0);
    roan_net_resume(l->net, &k->socket);
    TURN_UNTIL(l, k->eof_events == 1);
    close_link(l, k);
}

static void paused_socket_that_was_reset_does_not_spin(loop *l)
{
    wire *k = open_tcp(l, false);
    settle(l);
    roan_net_pause(l->net, &k->socket);
    settle(l);
    far_write(k, 10);
    reset_far_end(k);
    settle(l);
    unsigned waits = l->waits;
    int64_t end = now_us() + 50000;
    while (now_us() < end)
        turn(l, end - now_us());
    assert_true(l->waits - waits <= 5);
    roan_net_resume(l->net, &k->socket);
    TURN_UNTIL(l, k->eof_events == 1);
    close_link(l, k);
}

static void pausing_back_and_forth_loses_nothing(loop *l)
{
    wire *k = open_pair(l);
    for (unsigned i = 0; i < 3000; i++) {
        far_write(k, i % 977 + 1);
        if (i % 3 != 0)
            roan_net_pause(l->net, &k->socket);
        if (i % 5 == 0)
            turn(l, 0);
        if (i % 2 == 0)
            roan_net_resume(l->net, &k->socket);
        if (i % 7 == 0)
            roan_net_pause(l->net, &k->socket);
        if (i % 4 == 0)
            turn(l, 0);
    }
    roan_net_resume(l->net, &k->socket);
    TURN_UNTIL(l, k->received == k->far_written);
    close_link(l, k);
}

/* --- receive buffers -------------------------------------------------------------------------- */

static void exhausted_buffers_hold_back_and_recover(loop *l)
{
    enum { LINKS = 40 };
    reopen_loop(l, &(roan_net_options){.buffer_count = 4, .buffer_bytes = 128});
    wire *links[LINKS];
    uint64_t before = 0, after = 0;
    for (unsigned i = 0; i < LINKS; i++) {
        links[i] = open_pair(l);
        far_write(links[i], 1000);
    }
    l->keeps_buffers = true;
    settle(l);
    for (unsigned i = 0; i < LINKS; i++)
        before += links[i]->received;
    assert_true(before > 0 && before <= 4 * 128);

    /* Nothing more comes, the loop sleeps, and everything else goes on. */
    int64_t cpu = cpu_us(), wall = now_us();
    unsigned waits = l->waits;
    while (now_us() - wall < 60000)
        turn(l, 20000);
    assert_true(l->waits - waits <= 6);
    assert_true(cpu_us() - cpu < 30000);
    wire *busy = links[LINKS - 1];
    start_send(l, busy, 2 << 20);
    while (busy->far_read < 2 << 20) {
        far_read(busy, 65536);
        turn(l, 0);
    }
    TURN_UNTIL(l, !busy->send_in_flight);
    close_link(l, links[LINKS - 2]);
    for (unsigned i = 0; i < LINKS; i++)
        after += i == LINKS - 2 ? 0 : links[i]->received;
    assert_true(after <= before);

    l->keeps_buffers = false;
    roan_net_recycle(l->net);
    for (unsigned i = 0; i < LINKS; i++) {
        if (i == LINKS - 2)
            continue;
        TURN_UNTIL(l, links[i]->received == 1000);
        close_link(l, links[i]);
    }
}

static void one_tiny_buffer_is_enough(loop *l)
{
    reopen_loop(l, &(roan_net_options){.buffer_count = 1, .buffer_bytes = 7});
    wire *a = open_pair(l), *b = open_tcp(l, false), *idle = open_pair(l);
    far_write(a, 5000);
    far_write(b, 5000);
    TURN_UNTIL(l, a->received == 5000 && b->received == 5000);
    far_write(idle, 1);
    TURN_UNTIL(l, idle->received == 1);
    close_link(l, a);
    close_link(l, b);
    close_link(l, idle);
}

static void a_flood_does_not_starve_others(loop *l)
{
    enum { QUIET = 20, ROUNDS = 20 };
    reopen_loop(l, &(roan_net_options){.buffer_count = 16, .buffer_bytes = 64});
    wire *floods[2] = {open_pair(l), open_tcp(l, false)}, *quiet[QUIET];
    for (unsigned i = 0; i < QUIET; i++)
        quiet[i] = open_pair(l);
    settle(l);
    l->events_max = 8;
    for (unsigned round = 1; round <= ROUNDS; round++) {
        for (unsigned i = 0; i < QUIET; i++)
            far_write(quiet[i], 10);
        unsigned waits = l->waits;
        for (unsigned done = 0; done < QUIET;) {
            for (unsigned i = 0; i < 2; i++) {
                while (far_write(floods[i], 65536) > 0)
                    continue;
            }
            turn(l, 0);
            for (done = 0; done < QUIET && quiet[done]->received == round * 10;)
                done++;
            if (l->waits - waits > 200)
                fail_msg("a quiet socket waited for more than 200 turns");
        }
    }
    close_link(l, floods[0]);
    close_link(l, floods[1]);
    for (unsigned i = 0; i < QUIET; i++)
        close_link(l, quiet[i]);
}

/* --- sending ---------------------------------------------------------------------------------- */

static void small_sends_arrive(loop *l)
{
    wire *k = open_tcp(l, false);
    for (unsigned i = 0; i < 500; i++) {
        start_send(l, k, i * 7 % 3000 + 1);
        TURN_UNTIL(l, !k->send_in_flight);
        while (k->far_read < k->sent)
            far_read(k, 65536);
    }
    assert_int_equal(k->failed_events, 0);
    close_link(l, k);
}

static void flush_sends_without_waiting(loop *l)
{
    wire *k = open_pair(l);
    settle(l);
    start_send(l, k, 1234);
    roan_net_flush(l->net);
    assert_int_equal(far_read(k, 65536), 1234);
    TURN_UNTIL(l, !k->send_in_flight);
    close_link(l, k);
}

/* The far end reads nothing at first: SENT must not come, and the bytes must not be looked at after it. */
static void send_through_a_full_socket(loop *l, wire *k, size_t total)
{
    assert_false(start_send(l, k, total));
    settle(l);
    assert_true(k->send_in_flight);
    far_write(k, 100); /* the other direction is free */
    TURN_UNTIL(l, k->received == 100);
    size_t step = 1;
    while (k->far_read < total) {
        step = step * 5 % 30011 + 1;
        far_read(k, step);
        turn(l, 0);
    }
    TURN_UNTIL(l, !k->send_in_flight);
    assert_int_equal(k->sent_events, 1);
    assert_int_equal(k->failed_events, 0);
    memset(k->out, 0, total);
    start_send(l, k, 10);
    TURN_UNTIL(l, !k->send_in_flight && (far_read(k, 65536), k->far_read == total + 10));
    close_link(l, k);
}

static void a_full_socket_delays_sent(loop *l)
{
    send_through_a_full_socket(l, open_pair(l), 3 << 20);
    send_through_a_full_socket(l, open_tcp(l, true), 1 << 20);
    send_through_a_full_socket(l, open_tcp(l, false), 24 << 20);
}

static void many_iovecs_of_all_sizes(loop *l)
{
    enum { PIECES = 5000 };
    static struct iovec iov[PIECES];
    size_t total = 0;
    for (unsigned i = 0; i < PIECES; i++) {
        size_t bytes = i % 11 == 0 ? 0 : i % 997;
        iov[i].iov_len = i == 3000 ? 3 << 20 : bytes;
        total += iov[i].iov_len;
    }
    char *data = malloc(total);
    assert_non_null(data);
    fill_pattern(data, total, 0);
    size_t offset = 0;
    for (unsigned i = 0; i < PIECES; i++) {
        iov[i].iov_base = data + offset;
        offset += iov[i].iov_len;
    }
    wire *k = open_tcp(l, false);
    k->send_in_flight = !roan_net_send(l->net, &k->socket, iov, PIECES);
    size_t step = 1;
    while (k->far_read < total) {
        step = step * 5 % 60011 + 1;
        far_read(k, step);
        turn(l, 0);
    }
    TURN_UNTIL(l, !k->send_in_flight);
    assert_int_equal(k->failed_events, 0);
    settle(l);
    assert_int_equal(far_read(k, 1), 0);
    close_link(l, k);
    free(data);
}

static void empty_sends_are_sent(loop *l)
{
    char nothing = 0;
    struct iovec empty[3] = {{.iov_base = &nothing, .iov_len = 0}};
    wire *k = open_pair(l);
    for (unsigned count = 1; count <= 3; count++) {
        k->send_in_flight = !roan_net_send(l->net, &k->socket, empty, count);
        TURN_UNTIL(l, !k->send_in_flight);
    }
    assert_int_equal(k->failed_events, 0);
    close_link(l, k);
}

static void send_to_nobody_fails_once(loop *l)
{
    wire *k = open_pair(l), *t = open_tcp(l, false);
    settle(l);
    close(k->far_fd);
    k->far_fd = -1;
    assert_false(start_send(l, k, 1000));
    TURN_UNTIL(l, !k->send_in_flight);
    assert_int_equal(k->failed_error, EPIPE);
    reset_far_end(t);
    TURN_UNTIL(l, t->eof_events == 1);
    assert_false(start_send(l, t, 1000));
    TURN_UNTIL(l, !t->send_in_flight);
    assert_int_equal(t->failed_events, 1);
    assert_true(t->failed_error == EPIPE || t->failed_error == ECONNRESET);
    close_link(l, k);
    close_link(l, t);
}

static void a_stuck_send_fails_when_the_peer_dies(loop *l)
{
    wire *k = open_tcp(l, true);
    assert_false(start_send(l, k, 1 << 20));
    settle(l);
    reset_far_end(k);
    TURN_UNTIL(l, k->failed_events == 1 && k->eof_events == 1);
    assert_int_equal(k->sent_events, 0);
    close_link(l, k);
}

static void lazy_sent_does_not_end_a_wait(loop *l)
{
    reopen_loop(l, &(roan_net_options){.lazy_sent = true});
    wire *k = open_pair(l);
    settle(l);
    if (start_send(l, k, 100)) { /* epoll: nothing is deferred */
        close_link(l, k);
        return;
    }
    int64_t begin = now_us();
    turn(l, 20000);
    assert_true(now_us() - begin >= 19000);
    assert_int_equal(k->sent_events, 1); /* it came with the time-out */

    start_send(l, k, 100);
    roan_net_want_sent(l->net, &k->socket);
    begin = now_us();
    turn(l, DEADLINE_MS * INT64_C(1000));
    assert_true(now_us() - begin < 1000000);
    assert_int_equal(k->sent_events, 2);

    start_send(l, k, 100);
    far_write(k, 10);
    turn(l, DEADLINE_MS * INT64_C(1000));
    assert_int_equal(k->sent_events, 3); /* and with the bytes that came in, before them */
    assert_int_equal(l->events[0].type, ROAN_NET_SENT);
    close_link(l, k);
}

static void prompt_sent_ends_a_wait(loop *l)
{
    wire *k = open_pair(l);
    settle(l);
    bool at_once = start_send(l, k, 100);
    int64_t begin = now_us();
    turn(l, at_once ? 0 : DEADLINE_MS * INT64_C(1000));
    assert_true(now_us() - begin < 1000000);
    assert_false(k->send_in_flight);
    close_link(l, k);
}

/* --- closing ---------------------------------------------------------------------------------- */

static void close_ends_the_connection(loop *l)
{
    for (unsigned round = 0; round < 4; round++) {
        wire *k = round % 2 == 0 ? open_pair(l) : open_tcp(l, false);
        int fd = k->socket.fd;
        if (round >= 2)
            settle(l);
        start_close(l, k);
        roan_net_close(l->net, &k->socket);
        TURN_UNTIL(l, k->closed_events == 1);
        assert_int_equal(fcntl(fd, F_GETFD), -1);
        TURN_UNTIL(l, far_sees_end(k));
        settle(l);
        assert_int_equal(k->closed_events, 1);
        assert_int_equal(k->eof_events, 0);
        free_link(k);
    }
}

static void nothing_but_closed_after_close(loop *l)
{
    wire *k = open_tcp(l, true);
    settle(l);
    start_send(l, k, 1 << 20); /* gets stuck */
    settle(l);
    for (unsigned i = 0; i < 10; i++)
        far_write(k, 5000);
    shutdown(k->far_fd, SHUT_WR);
    start_close(l, k);
    uint64_t received = k->received;
    TURN_UNTIL(l, k->closed_events == 1);
    assert_int_equal(k->received, received);
    assert_int_equal(k->eof_events + k->sent_events + k->failed_events, 0);
    free_link(k);
}

static void close_before_anything_was_submitted(loop *l)
{
    wire *k = open_pair(l), *s = open_pair(l);
    start_close(l, k);
    settle(l);
    assert_int_equal(k->closed_events, 1);
    bool at_once = start_send(l, s, 100);
    start_close(l, s);
    TURN_UNTIL(l, s->closed_events == 1);
    if (!at_once)
        assert_int_equal(s->sent_events + s->failed_events, 0);
    free_link(k);
    free_link(s);
}

static void close_while_paused_or_starved(loop *l)
{
    reopen_loop(l, &(roan_net_options){.buffer_count = 1, .buffer_bytes = 64});
    wire *paused = open_pair(l), *a = open_pair(l), *b = open_pair(l);
    settle(l);
    roan_net_pause(l->net, &paused->socket);
    start_close(l, paused); /* its cancellation is not even submitted */
    roan_net_resume(l->net, &paused->socket);
    l->keeps_buffers = true;
    far_write(a, 1000);
    far_write(b, 1000);
    settle(l);
    start_close(l, a);
    start_close(l, b);
    TURN_UNTIL(l, a->closed_events + b->closed_events + paused->closed_events == 3);
    free_link(paused);
    free_link(a);
    free_link(b);
}

static void memory_may_be_reused_after_closed(loop *l)
{
    wire *k = new_link(-1);
    for (unsigned i = 0; i < 2000; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        memset(k, 0, sizeof *k);
        k->socket.owner = k;
        k->far_fd = pair[1];
        attach_link(l, k, pair[0]);
        if (i % 3 == 0)
            far_write(k, 100);
        if (i % 4 == 0)
            turn(l, 0);
        bool sends = i % 2 == 0;
        if (sends)
            start_send(l, k, i % 16 == 0 ? 1 << 20 : 10);
        if (i % 5 == 0)
            turn(l, 0);
        if (i % 7 == 0)
            close(k->far_fd);
        if (i % 6 == 0)
            roan_net_pause(l->net, &k->socket);
        start_close(l, k);
        TURN_UNTIL(l, k->closed_events == 1);
        if (i % 7 != 0)
            close(k->far_fd);
        free(k->out);
    }
    free(k);
}

/* --- accepting -------------------------------------------------------------------------------- */

static void close_accepted(loop *l)
{
    for (unsigned i = 0; i < l->accepted; i++)
        close(l->accepted_fds[i]);
    l->accepted = 0;
}

static void start_listening(loop *l, wire *k, int fd)
{
    roan_error error;
    if (roan_net_listen(l->net, &k->socket, fd, &error) != ROAN_OK)
        fail_msg("%s", error.text);
}

static void accepts_a_burst(loop *l)
{
    enum { CLIENTS = 500 };
    int clients[CLIENTS], fd = listen_somewhere(512);
    for (unsigned i = 0; i < CLIENTS; i++)
        clients[i] = connect_to(fd);
    wire *k = new_link(-1);
    start_listening(l, k, fd);
    l->events_max = 16;
    TURN_UNTIL(l, l->accepted == CLIENTS);
    for (unsigned i = 0; i < CLIENTS; i++) {
        assert_int_equal(fcntl(l->accepted_fds[i], F_GETFD), FD_CLOEXEC);
        assert_true(fcntl(l->accepted_fds[i], F_GETFL) & O_NONBLOCK);
    }
    close_accepted(l);
    int late = connect_to(fd);
    TURN_UNTIL(l, l->accepted == 1);
    close_accepted(l);
    close(late);
    for (unsigned i = 0; i < CLIENTS; i++)
        close(clients[i]);
    close_link(l, k);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC); /* still ours */
    close(fd);
}

static void out_of_descriptors_is_reported_and_does_not_spin(loop *l)
{
    int fd = listen_somewhere(8);
    int clients[3] = {connect_to(fd), connect_to(fd), connect_to(fd)};
    wire *k = new_link(-1);
    int next = dup(fd);
    close(next);
    rlim_t limit = set_descriptor_limit((rlim_t)next + 1); /* room for one */
    start_listening(l, k, fd);
    TURN_UNTIL(l, l->accept_failed == 1);
    assert_int_equal(l->accept_error, EMFILE);
    assert_int_equal(l->accepted, 1);
    unsigned waits = l->waits;
    int64_t cpu = cpu_us(), end = now_us() + 250000;
    while (now_us() < end)
        turn(l, end - now_us());
    assert_in_range(l->accept_failed, 2, 4);
    assert_true(l->waits - waits <= 12);
    assert_true(cpu_us() - cpu < 100000);

    set_descriptor_limit(limit);
    TURN_UNTIL(l, l->accepted == 3);
    close_accepted(l);
    for (unsigned i = 0; i < 3; i++)
        close(clients[i]);
    close_link(l, k);
    close(fd);
}

static void paused_and_failing_listeners_close(loop *l)
{
    int fd = listen_somewhere(8);
    wire *k = new_link(-1);
    start_listening(l, k, fd);
    settle(l);
    roan_net_pause(l->net, &k->socket);
    settle(l);
    int client = connect_to(fd);
    settle(l);
    assert_int_equal(l->accepted, 0);
    roan_net_resume(l->net, &k->socket);
    TURN_UNTIL(l, l->accepted == 1);
    close_accepted(l);
    close(client);

    roan_net_pause(l->net, &k->socket);
    settle(l);
    client = connect_to(fd);
    rlim_t limit = set_descriptor_limit(1);
    roan_net_resume(l->net, &k->socket);
    TURN_UNTIL(l, l->accept_failed == 1);
    roan_net_pause(l->net, &k->socket);
    roan_net_resume(l->net, &k->socket);
    turn(l, 0);
    start_close(l, k);
    TURN_UNTIL(l, k->closed_events == 1);
    set_descriptor_limit(limit);
    free_link(k);
    close(client);
    close(fd);
}

static void a_listener_can_move_to_another_loop(loop *l)
{
    int fd = listen_somewhere(8);
    for (unsigned i = 0; i < 5; i++) {
        wire *k = new_link(-1);
        start_listening(l, k, fd);
        settle(l);
        close_link(l, k);
        int client = connect_to(fd);
        settle(l);
        assert_int_equal(l->accepted, 0);
        k = new_link(-1);
        start_listening(l, k, fd);
        TURN_UNTIL(l, l->accepted == 1);
        close_accepted(l);
        close_link(l, k);
        close(client);
    }
    close(fd);
}

/* --- waiting and waking ----------------------------------------------------------------------- */

static void wait_honours_its_timeout(loop *l)
{
    settle(l);
    int64_t begin = now_us();
    assert_int_equal(turn(l, 0), 0);
    assert_true(now_us() - begin < 1000000);
    static const int64_t TIMEOUTS[] = {1, 500, 15000, 15300};
    for (unsigned i = 0; i < ROAN_COUNT_OF(TIMEOUTS); i++) {
        begin = now_us();
        assert_int_equal(turn(l, TIMEOUTS[i]), 0);
        assert_true(now_us() - begin >= TIMEOUTS[i]);
    }
}

static void on_alarm(int signal)
{
    (void)signal;
}

static void a_signal_ends_a_wait(loop *l)
{
    struct sigaction action = {.sa_handler = on_alarm}, old;
    settle(l);
    sigaction(SIGALRM, &action, &old);
    struct itimerval timer = {.it_value = {.tv_usec = 20000}};
    setitimer(ITIMER_REAL, &timer, NULL);
    assert_int_equal(turn(l, -1), 0);
    setitimer(ITIMER_REAL, &timer, NULL);
    assert_int_equal(turn(l, DEADLINE_MS * INT64_C(1000)), 0);
    sigaction(SIGALRM, &old, NULL);
}

static void wakes_before_the_wait_count_once(loop *l)
{
    settle(l);
    for (unsigned i = 0; i < 10; i++)
        roan_net_wake(l->net);
    assert_int_equal(turn(l, -1), 1);
    assert_int_equal(l->woken, 1);
    settle(l);
    assert_int_equal(l->woken, 1);
    roan_net_wake(l->net);
    turn(l, 0);
    assert_int_equal(l->woken, 2);
}

typedef struct waker {
    roan_net *net;
    _Atomic uint64_t *mail;
    unsigned count;
} waker;

static void *run_waker(void *argument)
{
    waker *w = argument;
    for (unsigned i = 0; i < w->count; i++) {
        atomic_fetch_add_explicit(w->mail, 1, memory_order_relaxed);
        roan_net_wake(w->net);
        if (i % 64 == 0)
            sched_yield();
    }
    return NULL;
}

/* The loop sleeps without a time-out: a lost wake would hang the test. */
static void no_wake_is_lost(loop *l)
{
    enum { THREADS = 4, COUNT = 20000 };
    _Atomic uint64_t mail = 0;
    uint64_t taken = 0;
    pthread_t threads[THREADS];
    waker w = {.net = l->net, .mail = &mail, .count = COUNT};
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_waker, &w), 0);
    while (taken < (uint64_t)THREADS * COUNT) {
        unsigned woken = l->woken;
        turn(l, -1);
        if (l->woken != woken)
            taken += atomic_exchange_explicit(&mail, 0, memory_order_relaxed);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* One thread and one loop answer each other: every wake finds the loop asleep or about to be. */
typedef struct ping_pong {
    roan_net *net;
    _Atomic unsigned ping, pong;
} ping_pong;

static void *run_ping_pong(void *argument)
{
    ping_pong *p = argument;
    for (unsigned i = 1; i <= 5000; i++) {
        atomic_store(&p->ping, i);
        roan_net_wake(p->net);
        while (atomic_load(&p->pong) != i)
            sched_yield();
    }
    return NULL;
}

static void every_wake_is_answered(loop *l)
{
    ping_pong p = {.net = l->net};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_ping_pong, &p), 0);
    while (atomic_load(&p.pong) < 5000) {
        unsigned woken = l->woken;
        turn(l, -1);
        if (l->woken != woken)
            atomic_store(&p.pong, atomic_load(&p.ping));
    }
    pthread_join(thread, NULL);
}

/* --- many ------------------------------------------------------------------------------------- */

static void thousands_of_sockets(loop *l)
{
    enum { LINKS = 4000 };
    if (!can_have_descriptors(2 * LINKS + 100))
        skip();
    reopen_loop(l, &(roan_net_options){.buffer_count = 32, .buffer_bytes = 256});
    wire **links = calloc(LINKS, sizeof *links);
    assert_non_null(links);
    for (unsigned i = 0; i < LINKS; i++)
        links[i] = open_pair(l);
    for (unsigned round = 1; round <= 3; round++) {
        for (unsigned i = 0; i < LINKS; i++)
            far_write(links[i], 600);
        for (unsigned i = 0; i < LINKS; i++)
            TURN_UNTIL(l, links[i]->received == 600 * round);
        for (unsigned i = 0; i < LINKS; i++)
            start_send(l, links[i], 50);
        for (unsigned i = 0; i < LINKS; i++)
            TURN_UNTIL(l, !links[i]->send_in_flight && (far_read(links[i], 100), true));
    }
    for (unsigned i = 0; i < LINKS; i++) {
        far_write(links[i], 600);
        shutdown(links[i]->far_fd, SHUT_WR);
    }
    for (unsigned i = 0; i < LINKS; i++) {
        TURN_UNTIL(l, links[i]->eof_events == 1);
        assert_int_equal(links[i]->received, links[i]->far_written);
    }
    for (unsigned i = 0; i < LINKS; i++)
        start_close(l, links[i]);
    for (unsigned i = 0; i < LINKS; i++)
        close_link(l, links[i]);
    free(links);
}

/* More failures in one submission than the completion queue holds. */
static void an_overflowing_completion_queue_loses_nothing(loop *l)
{
    enum { LINKS = 10000 };
    if (!can_have_descriptors(LINKS + 100))
        skip();
    wire **links = calloc(LINKS, sizeof *links);
    assert_non_null(links);
    for (unsigned i = 0; i < LINKS; i++) {
        links[i] = open_pair(l);
        close(links[i]->far_fd);
        links[i]->far_fd = -1;
        assert_false(start_send(l, links[i], 10));
    }
    for (unsigned i = 0; i < LINKS; i++) {
        TURN_UNTIL(l, links[i]->failed_events == 1 && links[i]->eof_events == 1);
        assert_int_equal(links[i]->failed_error, EPIPE);
    }
    for (unsigned i = 0; i < LINKS; i++)
        start_close(l, links[i]);
    for (unsigned i = 0; i < LINKS; i++)
        close_link(l, links[i]);
    free(links);
}

/* --- everything at once ----------------------------------------------------------------------- */

static uint64_t random_next(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9E3779B97F4A7C15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

static wire *open_any(loop *l, uint64_t dice)
{
    return dice % 3 == 0 ? open_tcp(l, dice % 2 == 0) : open_pair(l);
}

/* One random operation; `allowed` switches kinds of operations off for a whole run. */
static void random_operation(loop *l, wire **slot, uint64_t dice, unsigned allowed)
{
    wire *k = *slot;
    unsigned choice = (unsigned)(dice % 10);
    size_t bytes = (dice >> 32) % ((dice >> 8) % 4 == 0 ? 65536 : 300) + 1;
    if (!(allowed & (1u << choice)))
        return;
    switch (choice) {
    case 0:
    case 1:
        if (k->far_fd >= 0)
            far_write(k, bytes);
        break;
    case 2:
    case 3:
        if (k->far_fd >= 0)
            far_read(k, bytes);
        break;
    case 4:
        if (!k->send_in_flight && !k->close_called)
            start_send(l, k, bytes * (dice % 7 == 0 ? 40 : 1));
        break;
    case 5:
        if (!k->close_called)
            roan_net_pause(l->net, &k->socket);
        break;
    case 6:
        if (!k->close_called)
            roan_net_resume(l->net, &k->socket);
        break;
    case 7:
        if ((dice >> 16) % 20 == 0 && !k->close_called)
            start_close(l, k);
        break;
    case 8:
        if ((dice >> 16) % 40 == 0 && k->far_fd >= 0) {
            close(k->far_fd);
            k->far_fd = -1;
        }
        break;
    case 9:
        if ((dice >> 16) % 40 == 0 && k->far_fd >= 0)
            reset_far_end(k);
        break;
    default:
        break;
    }
    if (k->closed_events == 1) {
        free_link(k);
        *slot = open_any(l, dice >> 20);
    }
}

static void random_run(loop *l, uint64_t seed)
{
    enum { LINKS = 24, STEPS = 6000 };
    uint64_t state = seed;
    wire *links[LINKS];
    unsigned allowed = (unsigned)random_next(&state) | 1u;
    reopen_loop(l, &(roan_net_options){.buffer_count = 1u << random_next(&state) % 6,
                                       .buffer_bytes = 1u << (random_next(&state) % 8 + 4),
                                       .lazy_sent = random_next(&state) % 2 == 0});
    l->events_max = 2 + (unsigned)(random_next(&state) % 60);
    for (unsigned i = 0; i < LINKS; i++)
        links[i] = open_any(l, random_next(&state));
    for (unsigned step = 0; step < STEPS; step++) {
        uint64_t dice = random_next(&state);
        random_operation(l, &links[(dice >> 40) % LINKS], random_next(&state), allowed);
        l->keeps_buffers = dice % 4 == 0;
        if (dice % 3 == 0)
            turn(l, 0);
        else if (dice % 17 == 0)
            roan_net_flush(l->net);
    }
    l->keeps_buffers = false;
    roan_net_recycle(l->net);
    for (unsigned i = 0; i < LINKS; i++) {
        wire *k = links[i];
        if (!k->close_called)
            roan_net_resume(l->net, &k->socket);
        /* What was written arrives, unless one of the sides gave up. */
        if (k->far_fd >= 0 && !k->close_called && k->eof_events == 0)
            TURN_UNTIL(l, k->received == k->far_written);
        if (k->far_fd >= 0 && !k->close_called && k->failed_events == 0)
            TURN_UNTIL(l, (far_read(k, 65536), k->far_read == k->sent && !k->send_in_flight));
        close_link(l, k);
    }
}

static uint64_t current_seed; /* for main() to print when a run failed */

static void random_operations(loop *l)
{
    const char *given = getenv("ROAN_TEST_SEED");
    const char *runs = getenv("ROAN_TEST_RUNS");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 20261121;
    unsigned count = runs != NULL ? (unsigned)strtoul(runs, NULL, 0) : 4;
    for (unsigned i = 0; i < count; i++) {
        current_seed = seed + i;
        random_run(l, current_seed);
    }
    current_seed = 0;
}

/* --- without io_uring ------------------------------------------------------------------------- */

/* In a child process: io_uring_setup(2) fails with `error`; what does AUTO give? */
static int auto_without_uring(int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = ROAN_COUNT_OF(code), .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        return 77;
    roan_net *net;
    roan_error text;
    roan_net_options uring = {.kind = ROAN_NET_URING};
    if (roan_net_create(&uring, &net, &text) == ROAN_OK || strstr(text.text, "io_uring") == NULL)
        return 1;
    if (roan_net_create(NULL, &net, NULL) != ROAN_OK || strcmp(roan_net_name(net), "epoll") != 0)
        return 2;
    roan_net_free(net);
    return 0;
}

static void auto_falls_back_to_epoll(void **state)
{
    (void)state;
    static const int ERRORS[] = {EPERM, ENOSYS, EINVAL};
    for (unsigned i = 0; i < ROAN_COUNT_OF(ERRORS); i++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(auto_without_uring(ERRORS[i]));
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
            skip();
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static void auto_prefers_uring(void **state)
{
    (void)state;
    roan_net *net, *other;
    bool has_uring = roan_net_create(&(roan_net_options){.kind = ROAN_NET_URING}, &other, NULL) == ROAN_OK;
    assert_int_equal(roan_net_create(NULL, &net, NULL), ROAN_OK);
    assert_string_equal(roan_net_name(net), KIND_NAMES[!has_uring]);
    roan_net_free(net);
    if (has_uring)
        roan_net_free(other);
}

/* --- the table -------------------------------------------------------------------------------- */

typedef struct promise {
    const char *name;
    void (*check)(loop *l);
} promise;

#define PROMISE(name) {#name, name}

static const promise PROMISES[] = {
    PROMISE(knows_its_name),
    PROMISE(refuses_bad_options),
    PROMISE(free_with_open_sockets_leaves_their_descriptors),
    PROMISE(free_releases_listening_ports_at_once),
    PROMISE(receives_a_stream_in_order),
    PROMISE(receives_what_came_before_attach),
    PROMISE(data_stays_valid_until_recycle),
    PROMISE(eof_is_reported_once_after_all_bytes),
    PROMISE(eof_after_many_buffers),
    PROMISE(reset_is_an_eof_with_an_error),
    PROMISE(pause_holds_bytes_back_until_resume),
    PROMISE(paused_socket_that_was_reset_does_not_spin),
    PROMISE(pausing_back_and_forth_loses_nothing),
    PROMISE(exhausted_buffers_hold_back_and_recover),
    PROMISE(one_tiny_buffer_is_enough),
    PROMISE(a_flood_does_not_starve_others),
    PROMISE(small_sends_arrive),
    PROMISE(flush_sends_without_waiting),
    PROMISE(a_full_socket_delays_sent),
    PROMISE(many_iovecs_of_all_sizes),
    PROMISE(empty_sends_are_sent),
    PROMISE(send_to_nobody_fails_once),
    PROMISE(a_stuck_send_fails_when_the_peer_dies),
    PROMISE(lazy_sent_does_not_end_a_wait),
    PROMISE(prompt_sent_ends_a_wait),
    PROMISE(close_ends_the_connection),
    PROMISE(nothing_but_closed_after_close),
    PROMISE(close_before_anything_was_submitted),
    PROMISE(close_while_paused_or_starved),
    PROMISE(memory_may_be_reused_after_closed),
    PROMISE(accepts_a_burst),
    PROMISE(out_of_descriptors_is_reported_and_does_not_spin),
    PROMISE(paused_and_failing_listeners_close),
    PROMISE(a_listener_can_move_to_another_loop),
    PROMISE(wait_honours_its_timeout),
    PROMISE(a_signal_ends_a_wait),
    PROMISE(wakes_before_the_wait_count_once),
    PROMISE(no_wake_is_lost),
    PROMISE(every_wake_is_answered),
    PROMISE(thousands_of_sockets),
    PROMISE(an_overflowing_completion_queue_loses_nothing),
    PROMISE(random_operations),
};

enum { PROMISE_COUNT = sizeof PROMISES / sizeof PROMISES[0], KIND_COUNT = 2 };

typedef struct test_case {
    const promise *promise;
    roan_net_kind kind;
    char name[100];
} test_case;

static void run_case(void **state)
{
    const test_case *c = *state;
    static rlim_t limit;
    if (limit == 0)
        limit = set_descriptor_limit(RLIM_INFINITY);
    set_descriptor_limit(limit); /* a failed test may have left another one */
    loop *l = calloc(1, sizeof *l);
    assert_non_null(l);
    open_loop(l, c->kind, NULL);
    c->promise->check(l);
    roan_net_free(l->net);
    free(l);
}

int main(int argc, char **argv)
{
    static test_case cases[PROMISE_COUNT * KIND_COUNT];
    static struct CMUnitTest tests[PROMISE_COUNT * KIND_COUNT + 2];
    unsigned count = 0;
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        roan_net *net;
        roan_error error;
        if (roan_net_create(&(roan_net_options){.kind = KINDS[kind]}, &net, &error) != ROAN_OK) {
            fprintf(stderr, "without %s: %s\n", KIND_NAMES[kind], error.text);
            continue;
        }
        roan_net_free(net);
        for (unsigned i = 0; i < PROMISE_COUNT; i++) {
            test_case *c = &cases[count];
            *c = (test_case){.promise = &PROMISES[i], .kind = KINDS[kind]};
            snprintf(c->name, sizeof c->name, "%s: %s", KIND_NAMES[kind], PROMISES[i].name);
            tests[count++] = (struct CMUnitTest){
                .name = c->name, .test_func = run_case, .initial_state = c};
        }
    }
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(auto_falls_back_to_epoll);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(auto_prefers_uring);
    int failed = _cmocka_run_group_tests("net", tests, count, NULL, NULL);
    if (current_seed != 0)
        fprintf(stderr, "ROAN_TEST_SEED=%llu ROAN_TEST_RUNS=1\n", (unsigned long long)current_seed);
    return failed;
}
