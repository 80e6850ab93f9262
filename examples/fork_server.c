/* fork_server.c: a server that forks its workers, and a handle that survives it.
 *
 *     fork_server [URI]           redis://localhost
 *
 * The parent opens the handle and uses it; the children just go on using theirs. A connection is never shared across
 * fork(): a child's handle forgets the parent's and connects anew with its first call, without disturbing the parent's.
 * Futures that were under way belong to the parent; in the child they fail with ROAN_E_FORKED.
 *
 * Build:  cc fork_server.c $(pkg-config --cflags --libs roan)
 */
#include <roan/client_commands.h>

#include <stdio.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS  4
#define REQUESTS 25

static int serve(roan *client)
{
    for (int i = 0; i < REQUESTS; i++)
        if (roan_incr(client, ROAN_LITERAL("fork:requests"), NULL, NULL) != ROAN_OK) {
            fprintf(stderr, "worker %d: %s\n", (int)getpid(), roan_last_failure()->text);
            return 1;
        }
    return 0;
}

static int run(roan *client)
{
    roan_slice key = ROAN_LITERAL("fork:requests");
    int64_t total;
    int failed = 0;

    if (roan_del(client, &key, 1, NULL, NULL) != ROAN_OK) /* the parent is connected */
        return 1;
    fflush(stdout);
    for (int i = 0; i < WORKERS; i++) {
        pid_t child = fork();
        if (child == 0) {
            int result = serve(client);
            roan_close(client, 1000);
            _exit(result);
        }
        failed += child < 0;
    }
    for (int i = 0; i < WORKERS; i++) {
        int status = 1;
        failed += wait(&status) < 0 || status != 0;
    }
    if (roan_incrby(client, key, 0, &total, NULL) != ROAN_OK) /* the parent's connection is as it was */
        return 1;
    printf("%d workers, %d failed, %lld requests\n", WORKERS, failed, (long long)total);
    return failed != 0;
}

int main(int argc, char **argv)
{
    roan *client;
    roan_error error;
    int result;

    if (roan_open(&client, argc > 1 ? argv[1] : "redis://localhost", NULL, &error) != ROAN_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    result = run(client);
    if (result != 0)
        fprintf(stderr, "%s\n", roan_last_failure()->text);
    roan_close(client, 1000);
    return result;
}
