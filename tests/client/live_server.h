/* live_server.h: a server of its own for a test: started on a free port in a temporary folder, stopped, killed, started
 * again on the same port. Which program: a command line with {port} and {dir}, as the tests in Python write it. */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SERVER_WAIT_MS 10000

typedef struct server_process {
    const char *command; /* with {port} and {dir} */
    char folder[64];
    uint16_t port;
    pid_t pid;           /* -1: not running */
} server_process;

static inline void sleep_ms(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static inline uint16_t free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    uint16_t port = 0;

    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, bytes) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &bytes) == 0)
        port = ntohs(address.sin_port);
    if (fd >= 0)
        close(fd);
    return port;
}

static inline bool server_answers(const server_process *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons(server->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;

    if (fd >= 0)
        close(fd);
    return answers;
}

/* The command line with its words filled in; `more` is appended. */
static inline void server_command(const server_process *server, const char *more, char *line, size_t bytes)
{
    size_t used = 0;

    for (const char *at = server->command; *at != '\0' && used + 80 < bytes;) {
        if (strncmp(at, "{port}", 6) == 0) {
            used += (size_t)snprintf(line + used, bytes - used, "%u", server->port);
            at += 6;
        } else if (strncmp(at, "{dir}", 5) == 0) {
            used += (size_t)snprintf(line + used, bytes - used, "%s", server->folder);
            at += 5;
        } else {
            line[used++] = *at++;
        }
    }
    snprintf(line + used, bytes - used, " %s", more);
}

/* Starts it (again) with more arguments and waits until it takes connections. */
static inline bool server_start(server_process *server, const char *more)
{
    char line[2048];

    if (server->port == 0) {
        server->port = free_port();
        snprintf(server->folder, sizeof server->folder, "/tmp/roan-client-XXXXXX");
        if (mkdtemp(server->folder) == NULL)
            return false;
    }
    snprintf(line, sizeof line, "exec ");
    server_command(server, more, line + 5, sizeof line - 5);
    server->pid = fork();
    if (server->pid == 0) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 1);
        dup2(null, 2);
        setpgid(0, 0);
        execl("/bin/sh", "sh", "-c", line, (char *)NULL);
        _exit(127);
    }
    for (int waited = 0; waited < SERVER_WAIT_MS; waited += 10) {
        if (server_answers(server))
            return true;
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid)
            break;
        sleep_ms(10);
    }
    return false;
}

static inline void server_kill(server_process *server, int signal_number)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGCONT);
    kill(server->pid, signal_number);
    waitpid(server->pid, NULL, 0);
    server->pid = -1;
}

static inline void server_remove(server_process *server)
{
    char line[128];

    server_kill(server, SIGKILL);
    if (server->port == 0)
        return;
    snprintf(line, sizeof line, "rm -rf %s", server->folder);
    if (system(line) != 0)
        fprintf(stderr, "%s failed\n", line);
    server->port = 0;
}
