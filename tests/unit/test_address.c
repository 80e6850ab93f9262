/* test_address.c: listening sockets, their names and options, on loopback addresses and in a folder of
 * the test's own. Cases about IPv6 are skipped where the machine has none. */
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
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/address.h"

static int listen_tcp(const char *host, int port)
{
    roan_error error;
    int fd;
    if (roan_net_listen_tcp(host, port, 8, false, &fd, &error) != ROAN_OK)
        fail_msg("%s", error.text);
    return fd;
}

static bool has_ipv6(void)
{
    int fd;
    if (roan_net_listen_tcp("::1", 0, 8, false, &fd, NULL) != ROAN_OK)
        return false;
    close(fd);
    return true;
}

static int connect_by_name(int listener)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &bytes), 0);
    int fd = socket(address.ss_family, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, bytes), 0);
    return fd;
}

static int accept_one(int listener)
{
    int fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    return fd;
}

static int get_option(int fd, int level, int option)
{
    int value = -1;
    socklen_t bytes = sizeof value;
    assert_int_equal(getsockopt(fd, level, option, &value, &bytes), 0);
    return value;
}

/* --- TCP -------------------------------------------------------------------------------------- */

static void listens_without_blocking_and_closes_on_exec(void **state)
{
    (void)state;
    int fd = listen_tcp("127.0.0.1", 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(roan_net_local_port(fd) > 0);
    close(fd);
}

static void understands_every_form_of_bind(void **state)
{
    (void)state;
    static const char *const V4[] = {"127.0.0.1", "0.0.0.0", "*", "localhost"};
    static const char *const V6[] = {"::1", "::", "::*"};
    for (size_t i = 0; i < sizeof V4 / sizeof V4[0]; i++)
        close(listen_tcp(V4[i], 0));
    if (!has_ipv6())
        skip();
    for (size_t i = 0; i < sizeof V6 / sizeof V6[0]; i++)
        close(listen_tcp(V6[i], 0));
}

static void both_families_share_a_port(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    int v4 = listen_tcp("*", 0);
    int v6 = listen_tcp("::*", roan_net_local_port(v4));
    close(v4);
    close(v6);
}

static void a_taken_port_is_refused_with_its_reason(void **state)
{
    (void)state;
    int fd = listen_tcp("127.0.0.1", 0), other = -1;
    roan_error error;
    assert_int_equal(roan_net_listen_tcp("127.0.0.1", roan_net_local_port(fd), 8, false, &other, &error),
                     ROAN_E_SYSTEM);
    assert_int_equal(error.os_errno, EADDRINUSE);
    assert_non_null(strstr(error.text, "'127.0.0.1'"));
    assert_int_equal(other, -1);
    close(fd);
}

static void a_shared_port_takes_several_sockets(void **state)
{
    (void)state;
    int first, second;
    assert_int_equal(roan_net_listen_tcp("127.0.0.1", 0, 8, true, &first, NULL), ROAN_OK);
    assert_int_equal(
        roan_net_listen_tcp("127.0.0.1", roan_net_local_port(first), 8, true, &second, NULL), ROAN_OK);
    close(first);
    close(second);
}

static void bad_addresses_are_refused(void **state)
{
    (void)state;
    int fd;
    roan_error error;
    assert_int_equal(roan_net_listen_tcp("no such host!", 0, 8, false, &fd, &error), ROAN_E_SYSTEM);
    assert_non_null(strstr(error.text, "'no such host!'"));
    assert_int_equal(roan_net_listen_tcp("192.0.2.1", 0, 8, false, &fd, &error), ROAN_E_SYSTEM);
    assert_int_equal(error.os_errno, EADDRNOTAVAIL);
    assert_int_equal(roan_net_listen_tcp("127.0.0.1", 65536, 8, false, &fd, NULL), ROAN_E_INVALID);
    assert_int_equal(roan_net_listen_tcp("127.0.0.1", -1, 8, false, &fd, NULL), ROAN_E_INVALID);
}

static void check_tcp_names(const char *host, const char *shown)
{
    char expected[ROAN_NET_NAME_BYTES_MAX], name[ROAN_NET_NAME_BYTES_MAX];
    int listener = listen_tcp(host, 0);
    int client = connect_by_name(listener), server = accept_one(listener);
    snprintf(expected, sizeof expected, "%s:%d", shown, roan_net_local_port(client));
    assert_int_equal(roan_net_peer_name(server, name, sizeof name), strlen(expected));
    assert_string_equal(name, expected);
    snprintf(expected, sizeof expected, "%s:%d", shown, roan_net_local_port(listener));
    assert_int_equal(roan_net_local_name(server, name, sizeof name), strlen(expected));
    assert_string_equal(name, expected);
    close(client);
    close(server);
    close(listener);
}

static void names_of_tcp_sockets(void **state)
{
    (void)state;
    check_tcp_names("127.0.0.1", "127.0.0.1");
    if (has_ipv6())
        check_tcp_names("::1", "[::1]");
}

static void names_are_cut_and_always_terminated(void **state)
{
    (void)state;
    int fd = listen_tcp("127.0.0.1", 0);
    char name[8];
    for (size_t size = 1; size <= sizeof name; size++) {
        memset(name, 'x', sizeof name);
        assert_int_equal(roan_net_local_name(fd, name, size), size - 1);
        assert_int_equal(name[size - 1], 0);
        assert_memory_equal(name, "127.0.0.", size - 1);
    }
    assert_int_equal(roan_net_local_name(fd, NULL, 0), 0);
    close(fd);
}

static void names_nobody_knows(void **state)
{
    (void)state;
    char name[ROAN_NET_NAME_BYTES_MAX];
    int fd = listen_tcp("127.0.0.1", 0), ends[2];
    assert_int_equal(roan_net_peer_name(fd, name, sizeof name), 3);
    assert_string_equal(name, "?:0");
    assert_int_equal(pipe(ends), 0);
    roan_net_local_name(ends[0], name, sizeof name);
    assert_string_equal(name, "?:0");
    assert_int_equal(roan_net_local_port(ends[0]), -1);
    close(ends[0]);
    close(ends[1]);
    close(fd);
}

/* --- options ---------------------------------------------------------------------------------- */

static void options_of_tcp_sockets(void **state)
{
    (void)state;
    int listener = listen_tcp("127.0.0.1", 0);
    int fd = connect_by_name(listener);
    assert_int_equal(roan_net_set_nodelay(fd, NULL), ROAN_OK);
    assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
    assert_int_equal(roan_net_set_keepalive(fd, 300, NULL), ROAN_OK);
    assert_int_equal(get_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 300);
    assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 100);
    assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    assert_int_equal(roan_net_set_keepalive(fd, 1, NULL), ROAN_OK);
    assert_int_equal(get_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 1);
    assert_int_equal(roan_net_set_keepalive(fd, 0, NULL), ROAN_OK);
    assert_int_equal(get_option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
    close(fd);
    close(listener);
    roan_error error;
    assert_int_equal(roan_net_set_nodelay(fd, &error), ROAN_E_SYSTEM);
    assert_int_equal(error.os_errno, EBADF);
}

/* --- socket files ----------------------------------------------------------------------------- */

typedef struct folder {
    char path[64], file[96];
} folder;

static int make_folder(void **state)
{
    folder *f = calloc(1, sizeof *f);
    snprintf(f->path, sizeof f->path, "/tmp/roan-address-XXXXXX");
    if (mkdtemp(f->path) == NULL)
        return -1;
    snprintf(f->file, sizeof f->file, "%s/socket", f->path);
    *state = f;
    return 0;
}

static int remove_folder(void **state)
{
    folder *f = *state;
    unlink(f->file);
    int result = rmdir(f->path);
    free(f);
    return result;
}

static int listen_unix(const folder *f, unsigned permissions)
{
    roan_error error;
    int fd;
    if (roan_net_listen_unix(f->file, permissions, 8, &fd, &error) != ROAN_OK)
        fail_msg("%s", error.text);
    return fd;
}

static void a_socket_file_has_its_permissions(void **state)
{
    folder *f = *state;
    struct stat info;
    int fd = listen_unix(f, 0700);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(stat(f->file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
    close(fd);
}

static void names_of_unix_sockets(void **state)
{
    folder *f = *state;
    char expected[128], name[ROAN_NET_NAME_BYTES_MAX];
    int listener = listen_unix(f, 0);
    int client = connect_by_name(listener), server = accept_one(listener);
    snprintf(expected, sizeof expected, "%s:0", f->file);
    roan_net_peer_name(server, name, sizeof name);
    assert_string_equal(name, expected);
    roan_net_local_name(server, name, sizeof name);
    assert_string_equal(name, expected);
    assert_int_equal(roan_net_set_nodelay(server, NULL), ROAN_OK); /* harmless */
    close(client);
    close(server);
    close(listener);
}

static void a_stale_file_is_replaced(void **state)
{
    folder *f = *state;
    int fd = listen_unix(f, 0);
    close(fd); /* the file stays */
    fd = listen_unix(f, 0);
    close(connect_by_name(fd));
    close(fd);
}

static void a_living_server_keeps_its_file(void **state)
{
    folder *f = *state;
    roan_error error;
    int fd = listen_unix(f, 0), other;
    assert_int_equal(roan_net_listen_unix(f->file, 0, 8, &other, &error), ROAN_E_SYSTEM);
    assert_int_equal(error.os_errno, EADDRINUSE);
    close(connect_by_name(fd));
    close(fd);
}

static void a_file_that_is_no_socket_stays(void **state)
{
    folder *f = *state;
    int file = open(f->file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), fd;
    assert_int_equal(write(file, "data", 4), 4);
    close(file);
    assert_int_equal(roan_net_listen_unix(f->file, 0, 8, &fd, NULL), ROAN_E_SYSTEM);
    struct stat info;
    assert_int_equal(stat(f->file, &info), 0);
    assert_int_equal(info.st_size, 4);
}

static void socket_paths_have_a_limit(void **state)
{
    folder *f = *state;
    char path[200];
    roan_error error;
    int fd;
    memset(path, 'a', sizeof path);
    memcpy(path, f->path, strlen(f->path));
    path[strlen(f->path)] = '/';
    path[sizeof ((struct sockaddr_un *)0)->sun_path] = 0;
    assert_int_equal(roan_net_listen_unix(path, 0, 8, &fd, &error), ROAN_E_INVALID);
    assert_int_equal(roan_net_listen_unix("", 0, 8, &fd, &error), ROAN_E_INVALID);
    path[sizeof ((struct sockaddr_un *)0)->sun_path - 1] = 0; /* the longest there is */
    assert_int_equal(roan_net_listen_unix(path, 0, 8, &fd, &error), ROAN_OK);
    char name[ROAN_NET_NAME_BYTES_MAX], expected[256];
    snprintf(expected, sizeof expected, "%s:0", path);
    roan_net_local_name(fd, name, sizeof name);
    assert_string_equal(name, expected);
    close(fd);
    unlink(path);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listens_without_blocking_and_closes_on_exec),
        cmocka_unit_test(understands_every_form_of_bind),
        cmocka_unit_test(both_families_share_a_port),
        cmocka_unit_test(a_taken_port_is_refused_with_its_reason),
        cmocka_unit_test(a_shared_port_takes_several_sockets),
        cmocka_unit_test(bad_addresses_are_refused),
        cmocka_unit_test(names_of_tcp_sockets),
        cmocka_unit_test(names_are_cut_and_always_terminated),
        cmocka_unit_test(names_nobody_knows),
        cmocka_unit_test(options_of_tcp_sockets),
        IN_FOLDER(a_socket_file_has_its_permissions),
        IN_FOLDER(names_of_unix_sockets),
        IN_FOLDER(a_stale_file_is_replaced),
        IN_FOLDER(a_living_server_keeps_its_file),
        IN_FOLDER(a_file_that_is_no_socket_stays),
        IN_FOLDER(socket_paths_have_a_limit),
    };
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
