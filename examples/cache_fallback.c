/* cache_fallback.c: a cache that makes things faster and never makes them fail.
 *
 *     cache_fallback [URI]        redis://localhost
 *
 * The cache gets 50 ms. What it does not know, or not in time, comes from the source; with the server away, everything
 * does. Three things make that work: a deadline for every call, attempts to connect that do not hold up calls (they wait
 * no longer than their deadline), and writes that nobody waits for.
 *
 * Build:  cc cache_fallback.c $(pkg-config --cflags --libs roan)
 */
#include <roan/client_commands.h>

#include <stdio.h>
#include <string.h>

typedef struct counts {
    int hits, misses, without_cache;
} counts;

/* The slow truth: a database, a computation. */
static void ask_source(int number, char *text, size_t text_bytes)
{
    snprintf(text, text_bytes, "%d squared is %d", number, number * number);
}

static void look_up(roan *client, int number, char *text, size_t text_bytes, counts *seen)
{
    char name[32];
    size_t bytes;
    roan_status status;
    roan_slice key;

    snprintf(name, sizeof name, "square:%d", number);
    key = roan_slice_from_text(name);
    status = roan_get_into(client, key, text, text_bytes - 1, &bytes, NULL);
    if (status == ROAN_OK) {
        text[bytes] = '\0';
        seen->hits++;
        return;
    }
    ask_source(number, text, text_bytes);
    if (status != ROAN_NIL) {
        /* The first failure is worth a line in the log; a thousand are not. */
        if (seen->without_cache++ == 0)
            fprintf(stderr, "going on without the cache: %s\n", roan_last_failure()->text);
        return;
    }
    seen->misses++;
    roan_drop(roan_set_go(client, key, roan_slice_from_text(text), ROAN_SET_OPTIONS(.ex = ROAN_SOME(300)), NULL));
}

int main(int argc, char **argv)
{
    roan *client;
    roan_error error;
    counts seen = {0, 0, 0};
    char text[64];

    /* request_timeout_ms bounds each call, connecting and waiting for the next attempt included. */
    if (roan_open(&client, argc > 1 ? argv[1] : "redis://localhost",
                  ROAN_OPTIONS(.request_timeout_ms = 50, .backoff_max_ms = 1000), &error) != ROAN_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    for (int round = 0; round < 2; round++)
        for (int number = 1; number <= 5; number++)
            look_up(client, number, text, sizeof text, &seen);
    printf("%s\n%d hits, %d misses, %d without the cache\n", text, seen.hits, seen.misses, seen.without_cache);
    roan_close(client, 1000);
    return 0;
}
