/* cli/mode_hot_keys.c: --hotkeys, the keys used most often, by the server's own LFU counters.
 *
 * OBJECT FREQ of every key; the HOT_KEYS_MAX with the highest counters are kept in order and shown,
 * the most used first. Works only under an LFU maxmemory-policy: the server says so otherwise.
 */
#include "cli/mode.h"

#include "cli/interrupt.h"
#include "cli/scan.h"
#include "cli/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define HOT_KEYS_MAX 16
#define STEPS_PER_PAUSE 100

typedef struct hot_keys {
    char *keys[HOT_KEYS_MAX]; /* quoted, the hottest first */
    uint64_t counters[HOT_KEYS_MAX];
    size_t count;
} hot_keys;

static void take_key(hot_keys *hot, roan_slice key, uint64_t counter, double done)
{
    roan_cli_text quoted = {0};
    size_t place = hot->count;

    if (counter == 0)
        return;
    while (place > 0 && hot->counters[place - 1] < counter)
        place--;
    if (place == HOT_KEYS_MAX)
        return;
    if (hot->count == HOT_KEYS_MAX)
        free(hot->keys[--hot->count]);
    memmove(hot->keys + place + 1, hot->keys + place, (hot->count - place) * sizeof *hot->keys);
    memmove(hot->counters + place + 1, hot->counters + place,
            (hot->count - place) * sizeof *hot->counters);
    roan_cli_text_quote(&quoted, key);
    hot->keys[place] = roan_cli_copy(roan_cli_text_string(&quoted));
    hot->counters[place] = counter;
    hot->count++;
    printf("[%05.2f%%] Hot key '%s' found so far with counter %" PRIu64 "\n", done,
           hot->keys[place], counter);
    roan_cli_text_done(&quoted);
}

/* Asks for the counters of all keys of a step at once. */
static void take_step(roan_cli_session *session, hot_keys *hot, const roan_value *keys, double done)
{
    roan_error error;

    for (size_t i = 0; i < keys->count; i++) {
        roan_slice argv[3] = {ROAN_LITERAL("OBJECT"), ROAN_LITERAL("FREQ"), keys->elements[i].text};
        roan_cli_connection_queue(&session->connection, 3, argv);
    }
    if (roan_cli_connection_flush(&session->connection, &error) != ROAN_OK) {
        fprintf(stderr, "Error: %s\n", error.text);
        exit(1);
    }
    for (size_t i = 0; i < keys->count; i++) {
        roan_value *value;
        if (roan_cli_session_receive(session, &value, &error) != ROAN_OK) {
            fprintf(stderr, "Error: %s\n", error.text);
            exit(1);
        }
        if (value->type == ROAN_REPLY_ERROR) {
            roan_cli_flush();
            fprintf(stderr, "Error: %.*s\n", ROAN_SLICE_ARG(value->text));
            exit(1);
        }
        if (value->type == ROAN_REPLY_INTEGER)
            take_key(hot, keys->elements[i].text, (uint64_t)value->integer, done);
        roan_value_free(value);
    }
}

int roan_cli_mode_hot_keys(roan_cli_session *session)
{
    hot_keys hot = {0};
    roan_cli_scan scan = {0};
    uint64_t seen = 0;
    uint64_t expected = roan_cli_count_keys(session);
    roan_value *reply;

    roan_cli_interrupt_catch_once();
    printf("\n# Walking over all keys: those used most often.\n"
           "# -i 0.1 pauses for 0.1 seconds every 100 steps.\n\n");
    while (!roan_cli_interrupt_is_set() && (reply = roan_cli_scan_next(session, &scan)) != NULL) {
        const roan_value *keys = &reply->elements[1];
        double done = expected > 0 ? 100.0 * (double)seen / (double)expected : 0;
        take_step(session, &hot, keys, done > 100 ? 100 : done);
        seen += keys->count;
        roan_value_free(reply);
        roan_cli_scan_pause(session, &scan, STEPS_PER_PAUSE);
        roan_cli_flush();
    }
    printf("\n-------- summary -------\n\nSampled %" PRIu64 " keys in the keyspace!\n", seen);
    for (size_t i = 0; i < hot.count; i++) {
        printf("hot key found with counter: %" PRIu64 "\tkeyname: %s\n", hot.counters[i],
               hot.keys[i]);
        free(hot.keys[i]);
    }
    return 0;
}
