/* async.c: many calls at once, without a thread for each: futures, callbacks, and the first of several.
 *
 *     async [URI]                 redis://localhost
 *
 * Build:  cc async.c $(pkg-config --cflags --libs roan)
 */
#include <roan/client_commands.h>

#include <stdio.h>
#include <stdlib.h>

#define CALLS 100

/* 1. Begin them all, do something else, collect the results. They share the connection and few writes. */
static int add_up(roan *client)
{
    roan_future *futures[CALLS];
    long long sum = 0;

    for (int i = 0; i < CALLS; i++)
        futures[i] = roan_incrby_go(client, ROAN_LITERAL("async:sum"), i, NULL);
    for (int i = 0; i < CALLS; i++) {
        roan_failure failure;
        roan_value *reply;
        if (roan_take(futures[i], &reply, &failure) != ROAN_OK) { /* waits, and gives the future up */
            fprintf(stderr, "INCRBY: %s\n", failure.text);
            while (++i < CALLS)
                roan_drop(futures[i]);
            return 1;
        }
        sum = reply->integer;
        roan_value_free(reply);
    }
    printf("sum %lld\n", sum);
    return 0;
}

/* 2. A callback: runs on the thread that drives the connection, so it is quick and calls asynchronous functions only. */
static void on_length(roan_future *future, void *argument)
{
    long long *length = (long long *)argument;
    roan_value *reply;

    *length = roan_take(future, &reply, NULL) == ROAN_OK ? reply->integer : -1;
    roan_value_free(reply);
}

static int call_back(roan *client)
{
    long long length = -1;

    roan_then(roan_strlen_go(client, ROAN_LITERAL("async:sum"), NULL), on_length, &length);
    /* A connection answers in order, and callbacks run before a later call returns on the thread that drove. A program that
     * relies on neither lets the callback count down something of its own. */
    for (int i = 0; i < 1000 && length < 0; i++)
        if (roan_ping(client, NULL, NULL, NULL) != ROAN_OK)
            return 1;
    printf("its length is %lld\n", length);
    return 0;
}

/* 3. Whichever comes first. A deadline belongs to each call; a future settles in any case. */
static int race(roan *client)
{
    roan_slice list = ROAN_LITERAL("async:never");
    roan_future *futures[2];
    size_t first;

    futures[0] = roan_blpop_go(client, &list, 1, 0.5, NULL); /* nil after half a second */
    futures[1] = roan_strlen_go(client, ROAN_LITERAL("async:sum"), ROAN_WITH(.timeout_ms = 1000));
    first = roan_wait_any(futures, 2, -1);
    printf("call %zu was first\n", first);
    roan_cancel(futures[0]);
    printf("the other one: %s\n", roan_status_name(roan_take(futures[0], NULL, NULL)));
    return roan_take(futures[1], NULL, NULL) == ROAN_OK ? 0 : 1;
}

int main(int argc, char **argv)
{
    roan *client;
    roan_error error;
    roan_slice key = ROAN_LITERAL("async:sum");
    int result;

    if (roan_open(&client, argc > 1 ? argv[1] : "redis://localhost", NULL, &error) != ROAN_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    roan_drop(roan_del_go(client, &key, 1, NULL)); /* fire and forget */
    result = add_up(client) || call_back(client) || race(client);
    if (result != 0)
        fprintf(stderr, "%s\n", roan_last_failure()->text);
    roan_close(client, 1000);
    return result;
}
