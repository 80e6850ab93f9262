/* worker_queue.c: jobs that are not lost when a worker dies.
 *
 *     worker_queue URI produce JOB ...   puts jobs into the queue
 *     worker_queue URI work NAME         does jobs until there are none for a second
 *     worker_queue URI recover NAME      puts back what the worker NAME has begun and not finished
 *
 *     queue:jobs --BLMOVE--> queue:doing:NAME --LREM when done--> gone
 *
 * A job is always in one of the two lists: BLMOVE moves it in one step. A worker that dies leaves it in its list of jobs
 * begun, and whoever notices calls `recover`. So each job is done at least once, and twice only after an accident.
 *
 * Build:  cc worker_queue.c $(pkg-config --cflags --libs roan)
 */
#include <roan/client_commands.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS         ROAN_LITERAL("queue:jobs")
#define IDLE_SECONDS 1

static int fail(const char *doing)
{
    fprintf(stderr, "%s: %s\n", doing, roan_last_failure()->text);
    return 1;
}

static int produce(roan *client, int count, char **jobs)
{
    for (int i = 0; i < count; i++) {
        roan_slice job = roan_slice_from_text(jobs[i]);
        if (roan_rpush(client, JOBS, &job, 1, NULL, NULL) != ROAN_OK)
            return fail("RPUSH");
    }
    printf("queued %d\n", count);
    return 0;
}

/* "poison" stands for a job that kills its worker. */
static void do_job(const char *job)
{
    if (strcmp(job, "poison") == 0) {
        fprintf(stderr, "the worker dies\n");
        abort();
    }
    printf("did %s\n", job);
}

static int work(roan *client, roan_slice doing)
{
    roan_bytes job;
    roan_status status;

    /* Blocks on a connection of its own; other threads of the program keep using the shared one. Its deadline is the
     * timeout and a grace, so a server that has died is noticed. */
    while ((status = roan_blmove(client, JOBS, doing, ROAN_LIST_END_LEFT, ROAN_LIST_END_RIGHT, IDLE_SECONDS, &job,
                                 NULL)) == ROAN_OK) {
        do_job(job.data);
        status = roan_lrem(client, doing, 1, roan_slice_make(job.data, job.bytes), NULL, NULL);
        roan_bytes_free(&job);
        if (status != ROAN_OK)
            return fail("LREM"); /* the job stays listed and will be done again */
    }
    if (status != ROAN_NIL)
        return fail("BLMOVE");
    printf("no more jobs\n");
    return 0;
}

static int recover(roan *client, roan_slice doing)
{
    int count = 0;
    roan_status status;

    while ((status = roan_lmove(client, doing, JOBS, ROAN_LIST_END_RIGHT, ROAN_LIST_END_LEFT, NULL, NULL)) == ROAN_OK)
        count++;
    if (status != ROAN_NIL)
        return fail("LMOVE");
    printf("put back %d\n", count);
    return 0;
}

int main(int argc, char **argv)
{
    roan *client;
    roan_error error;
    char doing[128];
    int result = 2;

    if (argc < 4) {
        fprintf(stderr, "usage: worker_queue URI produce JOB ... | work NAME | recover NAME\n");
        return 2;
    }
    if (roan_open(&client, argv[1], NULL, &error) != ROAN_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    snprintf(doing, sizeof doing, "queue:doing:%s", argv[3]);
    if (strcmp(argv[2], "produce") == 0)
        result = produce(client, argc - 3, argv + 3);
    else if (strcmp(argv[2], "work") == 0)
        result = work(client, roan_slice_from_text(doing));
    else if (strcmp(argv[2], "recover") == 0)
        result = recover(client, roan_slice_from_text(doing));
    roan_close(client, 1000);
    return result;
}
