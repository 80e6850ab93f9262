/* hello.c: the shortest whole program: connect, write, read, count, and tell what went wrong.
 *
 *     hello [URI]                 redis://localhost
 *
 * Build:  cc hello.c $(pkg-config --cflags --libs roan)
 */
#include <roan/client_commands.h>

#include <stdio.h>

static int fail(const char *doing)
{
    const roan_failure *failure = roan_last_failure();

    fprintf(stderr, "%s: %s: %s\n", doing, roan_status_name(failure->code), failure->text);
    return 1;
}

static int greet(roan *client)
{
    roan_bytes greeting;
    int64_t visits;

    /* Keys and values are slices: any bytes, with a length. This one expires after a minute. */
    if (roan_set(client, ROAN_LITERAL("greeting"), ROAN_LITERAL("hello, world"), ROAN_SET_OPTIONS(.ex = ROAN_SOME(60)),
                 NULL, NULL) != ROAN_OK)
        return fail("SET");
    if (roan_get(client, ROAN_LITERAL("greeting"), &greeting, NULL) != ROAN_OK)
        return fail("GET");
    printf("%s\n", greeting.data); /* data[bytes] is 0 */
    roan_bytes_free(&greeting);

    /* A missing key is an answer, not a failure. */
    if (roan_get(client, ROAN_LITERAL("no such key"), &greeting, NULL) == ROAN_NIL)
        printf("nothing there\n");

    if (roan_incr(client, ROAN_LITERAL("visits"), &visits, NULL) != ROAN_OK)
        return fail("INCR");
    printf("visit %lld\n", (long long)visits);

    /* What the server refuses comes with its words. */
    if (roan_incr(client, ROAN_LITERAL("greeting"), &visits, NULL) == ROAN_E_SERVER)
        printf("refused: %s\n", roan_last_failure()->server_code);
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
    result = greet(client);
    roan_close(client, 1000);
    return result;
}
