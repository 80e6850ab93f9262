/* pipeline.c: many commands in one go, with one round trip.
 *
 *     pipeline [URI]              redis://localhost
 *
 * Calls of several threads, or asynchronous ones, share writes by themselves. A batch is for when one caller knows all
 * its commands beforehand: they go out as one piece, in order, with one deadline.
 *
 * Build:  cc pipeline.c $(pkg-config --cflags --libs roan)
 */
#include <roan/client_commands.h>

#include <stdio.h>

#define SCORES 100

static int run(roan *client)
{
    roan_batch *batch = roan_batch_create(client, false); /* true would be a transaction */
    roan_value *replies;
    int failed = 0;

    /* Nothing needs a check on the way: what is wrong shows when the batch runs. */
    for (int i = 0; i < SCORES; i++) {
        char name[32];
        roan_zadd_data entry = {i * 1.5, {NULL, 0}};
        snprintf(name, sizeof name, "player %d", i);
        entry.member = roan_slice_from_text(name);
        roan_zadd_add(batch, ROAN_LITERAL("pipeline:scores"), &entry, 1, NULL);
    }
    roan_incr_add(batch, ROAN_LITERAL("pipeline:scores")); /* of the wrong type: only this one fails */
    roan_zcard_add(batch, ROAN_LITERAL("pipeline:scores"));

    if (roan_batch_run(batch, &replies, NULL) != ROAN_OK) {
        fprintf(stderr, "the batch: %s\n", roan_last_failure()->text);
        return 1;
    }
    for (size_t i = 0; i < replies->count; i++)
        if (replies->elements[i].type == ROAN_REPLY_ERROR) {
            failed++;
            printf("command %zu: %.*s\n", i, (int)replies->elements[i].text.bytes, replies->elements[i].text.data);
        }
    printf("%zu replies, %d of them errors, %lld players\n", replies->count, failed,
           (long long)replies->elements[replies->count - 1].integer);
    roan_value_free(replies);
    return 0;
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
    roan_close(client, 1000);
    return result;
}
