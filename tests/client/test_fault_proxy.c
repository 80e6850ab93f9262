/* test_fault_proxy.c: the fault proxy does what the tests of the client take for granted: every fault, at its byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fault_proxy.h"

/* Both ends of one proxied connection. */
typedef struct ends {
    int server, client;
} ends;

static int listener;
static fault_proxy *proxy;

static int listen_anywhere(uint16_t *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, bytes), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &bytes), 0);
    *ret_port = ntohs(at.sin_port);
    return fd;
}

static int set_up(void **state)
{
    (void)state;
    uint16_t port;
    listener = listen_anywhere(&port);
    proxy = fault_proxy_create(0, port);
    assert_non_null(proxy);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fault_proxy_free(proxy);
    close(listener);
    return 0;
}

static ends open_ends(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(fault_proxy_port(proxy)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    ends e = {.client = socket(AF_INET, SOCK_STREAM, 0)};
    struct timeval patience = {.tv_sec = 5};
    assert_int_equal(connect(e.client, (struct sockaddr *)&at, sizeof at), 0);
    e.server = accept(listener, NULL, NULL);
    assert_true(e.server >= 0);
    setsockopt(e.client, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(e.server, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return e;
}

static void close_ends(ends e)
{
    close(e.client);
    close(e.server);
}

static ends open_with(fault f)
{
    fault_proxy_plan(proxy, &f, 1, 1);
    return open_ends();
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads until so much has come, and nothing else. */
static void assert_gets(int fd, const char *expected)
{
    char data[256];
    size_t got = 0, wanted = strlen(expected);
    while (got < wanted) {
        ssize_t bytes = recv(fd, data + got, sizeof data - got, 0);
        if (bytes <= 0)
            fail_msg("after %zu of %zu bytes: %s", got, wanted, bytes == 0 ? "end" : strerror(errno));
        got += (size_t)bytes;
    }
    assert_int_equal(got, wanted);
    assert_memory_equal(data, expected, wanted);
}

static void assert_result(int fd, ssize_t expected, int expected_errno)
{
    char data[16];
    errno = 0;
    assert_int_equal(recv(fd, data, sizeof data, 0), expected);
    assert_int_equal(errno, expected_errno);
}

static void assert_quiet(int fd, int ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&item, 1, ms), 0);
}

static void test_without_a_plan_everything_passes(void **state)
{
    (void)state;
    ends e = open_ends();
    send_text(e.client, "hello");
    assert_gets(e.server, "hello");
    send_text(e.server, "welcome");
    assert_gets(e.client, "welcome");
    shutdown(e.client, SHUT_WR);
    assert_result(e.server, 0, 0);
    send_text(e.server, "still here");
    assert_gets(e.client, "still here");
    close(e.server);
    assert_result(e.client, 0, 0);
    close(e.client);

    size_t bytes;
    char *sent = fault_proxy_sent(proxy, FAULT_TO_SERVER, &bytes);
    assert_string_equal(sent, "hello");
    free(sent);
    sent = fault_proxy_sent(proxy, FAULT_TO_CLIENT, &bytes);
    assert_int_equal(bytes, 17);
    free(sent);
    fault_proxy_forget(proxy);
    free(fault_proxy_sent(proxy, FAULT_TO_CLIENT, &bytes));
    assert_int_equal(bytes, 0);
    assert_int_equal(fault_proxy_accepted(proxy), 1);
    assert_int_equal(fault_proxy_fired(proxy), 0);
}

static void test_large_streams_pass_unharmed(void **state)
{
    (void)state;
    enum { BYTES = 4 << 20 };
    ends e = open_ends();
    char *out = malloc(BYTES), *in = malloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        out[i] = (char)(i * 31 >> 8);
    size_t sent = 0, got = 0;
    while (got < BYTES) {
        ssize_t bytes = send(e.client, out + sent, BYTES - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += bytes > 0 ? (size_t)bytes : 0;
        bytes = recv(e.server, in + got, BYTES - got, MSG_DONTWAIT);
        got += bytes > 0 ? (size_t)bytes : 0;
    }
    assert_memory_equal(in, out, BYTES);
    free(out);
    free(in);
    close_ends(e);
}

static void test_cuts_and_ends_at_each_byte(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 24; i++) {
        fault f = {.kind = i % 2 == 0 ? FAULT_CUT : FAULT_END,
                   .side = i / 2 % 2 == 0 ? FAULT_TO_SERVER : FAULT_TO_CLIENT,
                   .at = i / 4};
        ends e = open_with(f);
        int from = f.side == FAULT_TO_SERVER ? e.client : e.server, to = from == e.client ? e.server : e.client;
        char expected[] = "abcde";
        if (f.at > 0)
            send_text(from, expected);
        expected[f.at] = '\0';
        assert_gets(to, expected);
        assert_result(to, f.kind == FAULT_CUT ? -1 : 0, f.kind == FAULT_CUT ? ECONNRESET : 0);
        assert_result(from, f.kind == FAULT_CUT ? -1 : 0, f.kind == FAULT_CUT ? ECONNRESET : 0);
        close_ends(e);
    }
    assert_int_equal(fault_proxy_fired(proxy), 24);
    ends e = open_ends(); /* plans are used up */
    send_text(e.client, "clean");
    assert_gets(e.server, "clean");
    close_ends(e);
}

static void test_a_half_close_leaves_the_other_direction(void **state)
{
    (void)state;
    ends e = open_with((fault){.kind = FAULT_HALF_CLOSE, .side = FAULT_TO_CLIENT, .at = 2});
    send_text(e.server, "abc");
    assert_gets(e.client, "ab");
    assert_result(e.client, 0, 0);
    send_text(e.client, "request");
    assert_gets(e.server, "request");
    close_ends(e);
}

static void test_a_stall_stops_one_direction(void **state)
{
    (void)state;
    ends e = open_with((fault){.kind = FAULT_STALL, .side = FAULT_TO_CLIENT, .at = 1});
    send_text(e.server, "abc");
    assert_gets(e.client, "a");
    send_text(e.client, "request");
    assert_gets(e.server, "request");
    assert_quiet(e.client, 20);
    close_ends(e);

    e = open_with((fault){.kind = FAULT_STALL, .side = FAULT_TO_SERVER, .at = 1, .ms = 150});
    send_text(e.client, "abc");
    assert_gets(e.server, "a");
    assert_quiet(e.server, 20);
    assert_gets(e.server, "bc");
    close_ends(e);
}

static void test_a_split_passes_single_bytes(void **state)
{
    (void)state;
    ends e = open_with((fault){.kind = FAULT_SPLIT, .side = FAULT_TO_CLIENT, .at = 3, .ms = 5});
    send_text(e.server, "abcdefg");
    assert_gets(e.client, "abcd"); /* three whole, one split off; at once */
    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    assert_gets(e.client, "efg");
    clock_gettime(CLOCK_MONOTONIC, &ended);
    long took_ms = (ended.tv_sec - began.tv_sec) * 1000 + (ended.tv_nsec - began.tv_nsec) / 1000000;
    assert_true(took_ms >= 8); /* three waits, the first of them may have begun before */
    close_ends(e);
}

static void test_a_corruption_changes_one_byte(void **state)
{
    (void)state;
    const fault faults[] = {
        {.kind = FAULT_CORRUPT, .side = FAULT_TO_CLIENT, .at = 0, .mask = 0x20},
        {.kind = FAULT_CORRUPT, .side = FAULT_TO_CLIENT, .at = 3, .mask = 1},
        {.kind = FAULT_CORRUPT, .side = FAULT_TO_SERVER, .at = 9, .mask = 1},
    };
    fault_proxy_plan(proxy, faults, 3, 1);
    ends e = open_ends();
    send_text(e.server, "abc");
    assert_gets(e.client, "Abc");
    send_text(e.server, "defg");
    assert_gets(e.client, "eefg");
    send_text(e.client, "too short");
    assert_gets(e.server, "too short");
    assert_int_equal(fault_proxy_fired(proxy), 2);
    close_ends(e);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_without_a_plan_everything_passes),
        TEST(test_large_streams_pass_unharmed),
        TEST(test_cuts_and_ends_at_each_byte),
        TEST(test_a_half_close_leaves_the_other_direction),
        TEST(test_a_stall_stops_one_direction),
        TEST(test_a_split_passes_single_bytes),
        TEST(test_a_corruption_changes_one_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
