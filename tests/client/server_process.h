/* tests/client/server_process.h: a server of the test's own, which it can end and start again on the same port.
 *
 * The command is a list of words, as the program's own arguments have it; "{port}" in a word is the port.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SERVER_WORDS_MAX 32
#define SERVER_START_MS  10000

typedef struct server_process {
    char **command; /* ends with NULL */
    int port;
    pid_t pid; /* 0: not running */
} server_process;

/* A socket that listens on 127.0.0.1 and a free port. */
static inline int server_listen(int *ret_port, int backlog)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, backlog) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &bytes) != 0)
        abort();
    *ret_port = ntohs(address.sin_port);
    return fd;
}

static inline int server_free_port(void)
{
    int port;

    close(server_listen(&port, 1));
    return port;
}

static inline bool server_answers(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd item = {.fd = fd, .events = POLLIN};
    char reply[16];
    bool answers = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && write(fd, "PING\r\n", 6) == 6 &&
                   poll(&item, 1, 1000) == 1 && read(fd, reply, sizeof reply) >= 5 && memcmp(reply, "+PONG", 5) == 0;

    close(fd);
    return answers;
}

static inline void server_exec(const server_process *server)
{
    static char words[SERVER_WORDS_MAX][256];
    char *argv[SERVER_WORDS_MAX + 1] = {NULL};
    int null_fd = open("/dev/null", O_RDWR);

    for (int i = 0; i < SERVER_WORDS_MAX && server->command[i] != NULL; i++) {
        const char *mark = strstr(server->command[i], "{port}");
        if (mark == NULL)
            snprintf(words[i], sizeof words[i], "%s", server->command[i]);
        else
            snprintf(words[i], sizeof words[i], "%.*s%d%s", (int)(mark - server->command[i]), server->command[i],
                     server->port, mark + 6);
        argv[i] = words[i];
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* it ends with the test */
    dup2(null_fd, 0);
    dup2(null_fd, 1);
    dup2(null_fd, 2);
    execvp(argv[0], argv);
    _exit(127);
}

/* Waits until it answers. False: it does not; with errno ENOENT when there is no such program. */
static inline bool server_start(server_process *server)
{
    server->pid = fork();
    if (server->pid == 0)
        server_exec(server);
    for (int waited_ms = 0; waited_ms < SERVER_START_MS && server->pid > 0; waited_ms += 10) {
        int status;
        if (server_answers(server->port))
            return true;
        if (waitpid(server->pid, &status, WNOHANG) == server->pid) {
            server->pid = 0;
            errno = WIFEXITED(status) && WEXITSTATUS(status) == 127 ? ENOENT : EIO;
            return false;
        }
        usleep(10000);
    }
    return false;
}

/* As a crash would. */
static inline void server_kill(server_process *server)
{
    if (server->pid <= 0)
        return;
    kill(server->pid, SIGKILL);
    waitpid(server->pid, NULL, 0);
    server->pid = 0;
}
