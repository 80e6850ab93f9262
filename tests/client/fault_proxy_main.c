/* tests/client/fault_proxy_main.c: the fault proxy as a program, for tests in other languages and for trying things.
 *
 *     fault-proxy [--port N] --to PORT [FAULT ...]
 *
 * Prints "port N", then obeys lines on its input until they end; each is answered with one line:
 *     plan CONNECTIONS FAULT ...   the next so many connections have these faults
 *     stats                        "accepted N fired N to-server BYTES to-client BYTES", as read from the two sides
 * A FAULT is KIND:SIDE:AT[:NUMBER], as "cut:client:17": KIND is cut, end, half-close, stall, split or corrupt, SIDE the
 * direction (server, client), AT how many bytes pass before, NUMBER milliseconds, or corrupt's mask (default 1). Faults
 * of the command line hold for all connections. */
#include "fault_proxy.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse_number(const char *text, unsigned long max, unsigned long *ret_number)
{
    char *end;
    errno = 0;
    *ret_number = strtoul(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *ret_number <= max;
}

static bool parse_fault(char *text, fault *f)
{
    char *rest = text, *kind = strsep(&rest, ":"), *side = strsep(&rest, ":"), *at = strsep(&rest, ":");
    unsigned long position, number = 0;
    *f = (fault){.kind = FAULT_KINDS};
    for (int i = 0; i < FAULT_KINDS; i++) {
        if (strcmp(kind, fault_kind_name((fault_kind)i)) == 0)
            f->kind = (fault_kind)i;
    }
    bool is_good = f->kind < FAULT_KINDS && side != NULL && at != NULL && parse_number(at, ULONG_MAX, &position) &&
                   (strcmp(side, "client") == 0 || strcmp(side, "server") == 0);
    if (!is_good || (rest != NULL && !parse_number(rest, f->kind == FAULT_CORRUPT ? 255 : 3600000, &number)))
        return false;
    f->side = side[0] == 'c' ? FAULT_TO_CLIENT : FAULT_TO_SERVER;
    f->at = position;
    f->ms = (unsigned)number;
    f->mask = rest != NULL ? (unsigned char)number : 1;
    return true;
}

/* The faults in words[0..count), or -1. */
static int parse_faults(char **words, int count, fault *faults)
{
    for (int i = 0; i < count; i++) {
        if (i == FAULTS_MAX || !parse_fault(words[i], &faults[i]))
            return -1;
    }
    return count;
}

static void obey(fault_proxy *proxy, char *line)
{
    char *words[FAULTS_MAX + 3], *rest = line, *word;
    int count = 0;
    while ((word = strsep(&rest, " \n")) != NULL && count < FAULTS_MAX + 3) {
        if (word[0] != '\0')
            words[count++] = word;
    }
    fault faults[FAULTS_MAX];
    unsigned long connections;
    int planned;
    if (count >= 2 && strcmp(words[0], "plan") == 0 && parse_number(words[1], UINT_MAX, &connections) &&
        (planned = parse_faults(words + 2, count - 2, faults)) >= 0) {
        fault_proxy_plan(proxy, faults, (unsigned)planned, (unsigned)connections);
        printf("ok\n");
    } else if (count == 1 && strcmp(words[0], "stats") == 0) {
        size_t to_server, to_client;
        free(fault_proxy_sent(proxy, FAULT_TO_SERVER, &to_server));
        free(fault_proxy_sent(proxy, FAULT_TO_CLIENT, &to_client));
        printf("accepted %u fired %u to-server %zu to-client %zu\n", fault_proxy_accepted(proxy),
               fault_proxy_fired(proxy), to_server, to_client);
    } else {
        printf("error: plan CONNECTIONS KIND:SIDE:AT[:NUMBER] ..., or stats\n");
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned long port = 0, server_port = 0;
    int at = 1;
    bool is_good = true;
    for (; at + 1 < argc && strncmp(argv[at], "--", 2) == 0 && is_good; at += 2) {
        bool is_port = strcmp(argv[at], "--port") == 0;
        is_good = (is_port || strcmp(argv[at], "--to") == 0) &&
                  parse_number(argv[at + 1], 65535, is_port ? &port : &server_port);
    }
    fault faults[FAULTS_MAX];
    int planned = parse_faults(argv + at, argc - at, faults);
    if (!is_good || server_port == 0 || planned < 0) {
        fprintf(stderr, "usage: fault-proxy [--port N] --to PORT [KIND:SIDE:AT[:NUMBER] ...]\n");
        return 2;
    }
    fault_proxy *proxy = fault_proxy_create((uint16_t)port, (uint16_t)server_port);
    if (proxy == NULL) {
        fprintf(stderr, "fault-proxy: cannot listen on port %lu: %s\n", port, strerror(errno));
        return 1;
    }
    fault_proxy_plan(proxy, faults, (unsigned)planned, UINT_MAX);
    printf("port %u\n", (unsigned)fault_proxy_port(proxy));
    fflush(stdout);
    char line[1024];
    while (fgets(line, sizeof line, stdin) != NULL)
        obey(proxy, line);
    fault_proxy_free(proxy);
    return 0;
}
