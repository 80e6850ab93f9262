/* transaction.c: moving money between two accounts, with others doing the same at the same time.
 *
 *     transaction [URI]           redis://localhost
 *
 * roan_watch() reads, decides, and writes only if nothing that was read has changed meanwhile; otherwise it begins again.
 * Four threads move amounts around, and the sum stays what it was.
 *
 * Build:  cc transaction.c $(pkg-config --cflags --libs roan) -lpthread
 */
#include <roan/client_commands.h>
#include <roan/lease.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS   4
#define TRANSFERS 25

static const roan_slice accounts[2] = {{"account:{bank}:a", 16}, {"account:{bank}:b", 16}};

typedef struct transfer {
    int from; /* 0 or 1 */
    long long amount;
} transfer;

static roan_status read_balance(roan *own, roan_slice account, long long *ret_balance)
{
    roan_bytes text;
    roan_status status = roan_get(own, account, &text, NULL);

    if (status < 0)
        return status;
    *ret_balance = status == ROAN_OK ? atoll(text.data) : 0;
    roan_bytes_free(&text);
    return ROAN_OK;
}

/* Reads with `own`, where the keys are watched; what it adds to the batch is run together or not at all. May be called
 * again, so it has no other effects. */
static roan_status move(roan *own, roan_batch *batch, void *argument)
{
    const transfer *what = (const transfer *)argument;
    long long balance;
    roan_status status = read_balance(own, accounts[what->from], &balance);

    if (status != ROAN_OK)
        return status;
    if (balance < what->amount)
        return ROAN_OK; /* nothing is added, so nothing is sent */
    roan_decrby_add(batch, accounts[what->from], what->amount);
    roan_incrby_add(batch, accounts[1 - what->from], what->amount);
    return ROAN_OK;
}

static void *move_around(void *argument)
{
    roan *client = (roan *)argument;

    for (int i = 0; i < TRANSFERS; i++) {
        transfer what = {i % 2, 1 + i % 7};
        if (roan_watch(client, accounts, 2, 100, move, &what, NULL) != ROAN_OK) {
            fprintf(stderr, "a transfer: %s\n", roan_last_failure()->text);
            return argument;
        }
    }
    return NULL;
}

static int run(roan *client)
{
    pthread_t threads[THREADS];
    long long balances[2];
    int failed = 0;

    for (int i = 0; i < 2; i++)
        if (roan_set(client, accounts[i], ROAN_LITERAL("100"), NULL, NULL, NULL) != ROAN_OK)
            return 1;
    for (int i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, move_around, client) != 0)
            abort();
    for (int i = 0; i < THREADS; i++) {
        void *problem;
        pthread_join(threads[i], &problem);
        failed += problem != NULL;
    }
    for (int i = 0; i < 2; i++)
        if (read_balance(client, accounts[i], &balances[i]) != ROAN_OK)
            return 1;
    printf("%d transfers by %d threads, %d threads failed, together there is %lld\n", THREADS * TRANSFERS, THREADS,
           failed, balances[0] + balances[1]);
    return failed != 0 || balances[0] + balances[1] != 200;
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
