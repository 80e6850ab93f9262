/* cli/mode_keys.c: --bigkeys and --memkeys: the largest key of each type, found while walking.
 *
 * A line is printed for every key that is larger than all of its type before it, with the share of
 * the keys walked over so far; then a summary per type. Ctrl-C ends the walk early and shows the
 * summary of what was seen.
 */
#include "cli/mode.h"

#include "cli/interrupt.h"
#include "cli/scan.h"
#include "cli/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PROGRESS_EVERY 1000000
#define STEPS_PER_PAUSE 100

typedef struct key_walk {
    roan_cli_session *session;
    roan_cli_type_list types;
    bool is_memory;
    uint64_t keys_expected;
    uint64_t keys_seen;
    uint64_t name_bytes;
} key_walk;

static double percent(uint64_t part, uint64_t whole)
{
    double share = whole > 0 ? 100.0 * (double)part / (double)whole : 0;

    return share > 100 ? 100 : share;
}

static const char *unit_of(const key_walk *walk, const roan_cli_type *type)
{
    return walk->is_memory ? "bytes" : type->unit;
}

static char *quote_copy(roan_slice key)
{
    roan_cli_text text = {0};
    char *copy;

    roan_cli_text_quote(&text, key);
    copy = roan_cli_copy(roan_cli_text_string(&text));
    roan_cli_text_done(&text);
    return copy;
}

static void take_key(key_walk *walk, roan_slice key, roan_cli_type *type, uint64_t size,
                     double done)
{
    walk->name_bytes += key.bytes;
    walk->keys_seen++;
    if (walk->keys_seen % PROGRESS_EVERY == 0)
        printf("[%05.2f%%] Sampled %" PRIu64 " keys so far\n", done, walk->keys_seen);
    if (type == NULL)
        return;
    type->keys++;
    type->total += size;
    if (type->biggest_key != NULL && size <= type->biggest)
        return;
    if (size == 0 && type->biggest_key == NULL && type->size_command != NULL && !walk->is_memory)
        return;
    free(type->biggest_key);
    type->biggest_key = quote_copy(key);
    type->biggest = size;
    printf("[%05.2f%%] Biggest %-6s found so far '%s' with %" PRIu64 " %s\n", done, type->name,
           type->biggest_key, size, unit_of(walk, type));
}

static void take_step(key_walk *walk, const roan_value *keys)
{
    roan_cli_type **types = roan_cli_alloc(keys->count * sizeof *types);
    uint64_t *sizes = roan_cli_alloc(keys->count * sizeof *sizes);
    double done = percent(walk->keys_seen, walk->keys_expected);

    roan_cli_ask_types(walk->session, keys->elements, keys->count, &walk->types, types);
    roan_cli_ask_sizes(walk->session, keys->elements, keys->count, types, walk->is_memory, sizes);
    for (size_t i = 0; i < keys->count; i++)
        take_key(walk, keys->elements[i].text, types[i], sizes[i], done);
    free(types);
    free(sizes);
}

static void print_summary(const key_walk *walk)
{
    uint64_t seen = walk->keys_seen;

    printf("\n-------- summary -------\n\n");
    printf("Sampled %" PRIu64 " keys in the keyspace!\n", seen);
    printf("Total key length in bytes is %" PRIu64 " (avg len %.2f)\n\n", walk->name_bytes,
           seen > 0 ? (double)walk->name_bytes / (double)seen : 0);
    for (size_t i = 0; i < walk->types.count; i++) {
        const roan_cli_type *type = walk->types.items[i];
        if (type->biggest_key != NULL)
            printf("Biggest %6s found '%s' has %" PRIu64 " %s\n", type->name, type->biggest_key,
                   type->biggest, unit_of(walk, type));
    }
    putchar('\n');
    for (size_t i = 0; i < walk->types.count; i++) {
        const roan_cli_type *type = walk->types.items[i];
        printf("%" PRIu64 " %ss with %" PRIu64 " %s (%05.2f%% of keys, avg size %.2f)\n",
               type->keys, type->name, type->total, unit_of(walk, type), percent(type->keys, seen),
               type->keys > 0 ? (double)type->total / (double)type->keys : 0);
    }
}

int roan_cli_mode_keys(roan_cli_session *session)
{
    key_walk walk = {.session = session, .is_memory = session->options->mode == ROAN_CLI_MEM_KEYS};
    roan_cli_scan scan = {0};
    roan_value *reply;

    roan_cli_types_init(&walk.types);
    roan_cli_interrupt_catch_once();
    printf("\n# Walking over all keys: the largest of each type, and averages.\n"
           "# -i 0.1 pauses for 0.1 seconds every 100 steps.\n\n");
    walk.keys_expected = roan_cli_count_keys(session);
    while (!roan_cli_interrupt_is_set() && (reply = roan_cli_scan_next(session, &scan)) != NULL) {
        take_step(&walk, &reply->elements[1]);
        roan_value_free(reply);
        roan_cli_scan_pause(session, &scan, STEPS_PER_PAUSE);
        roan_cli_flush();
    }
    print_summary(&walk);
    roan_cli_types_done(&walk.types);
    return 0;
}
