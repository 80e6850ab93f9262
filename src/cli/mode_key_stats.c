/* cli/mode_key_stats.c: --keystats: memory, lengths and names of all keys, as distributions.
 *
 * Every key is asked for its type, its memory and its length while walking. What is kept does not
 * grow with the number of keys: the --top largest by memory in order, sums per type, and two
 * histograms. Distributions show one row per halving of what is left above (0, 50, 75, 87.5 ... 100
 * percent), without rows that repeat the size above them. Ctrl-C ends the walk and says where to go
 * on.
 */
#include "cli/mode.h"

#include "cli/histogram.h"
#include "cli/interrupt.h"
#include "cli/scan.h"
#include "cli/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEPS_PER_PAUSE 100
#define SIZE_TEXT_BYTES 32
#define PROGRESS_STEPS 64

typedef struct top_key {
    char *key; /* quoted */
    const char *type;
    uint64_t memory;
} top_key;

typedef struct key_stats {
    roan_cli_session *session;
    roan_cli_type_list types;
    uint64_t keys_expected;
    uint64_t keys_seen;
    uint64_t memory;
    uint64_t name_bytes;
    double memory_squares;
    roan_histogram *sizes;
    roan_histogram *names;
    top_key *top; /* the largest first */
    size_t top_count;
    size_t top_max;
} key_stats;

static char *quote_copy(roan_slice key)
{
    roan_cli_text text = {0};
    char *copy;

    roan_cli_text_quote(&text, key);
    copy = roan_cli_copy(roan_cli_text_string(&text));
    roan_cli_text_done(&text);
    return copy;
}

static void keep_top(key_stats *stats, roan_slice key, const char *type, uint64_t memory)
{
    size_t place = stats->top_count;

    while (place > 0 && stats->top[place - 1].memory < memory)
        place--;
    if (place == stats->top_max)
        return;
    if (stats->top_count == stats->top_max)
        free(stats->top[--stats->top_count].key);
    memmove(stats->top + place + 1, stats->top + place,
            (stats->top_count - place) * sizeof *stats->top);
    stats->top[place] = (top_key){quote_copy(key), type, memory};
    stats->top_count++;
}

static void keep_biggest(char **key, uint64_t *biggest, roan_slice name, uint64_t size)
{
    if (*key != NULL && size <= *biggest)
        return;
    free(*key);
    *key = quote_copy(name);
    *biggest = size;
}

static void take_key(key_stats *stats, roan_slice key, roan_cli_type *type, uint64_t memory,
                     uint64_t length)
{
    if (type == NULL)
        return;
    stats->keys_seen++;
    stats->memory += memory;
    stats->memory_squares += (double)memory * (double)memory;
    stats->name_bytes += key.bytes;
    roan_histogram_record(stats->sizes, memory, 1);
    roan_histogram_record(stats->names, key.bytes, 1);
    type->keys++;
    type->total += length;
    type->memory_total += memory;
    keep_biggest(&type->biggest_key, &type->biggest, key, length);
    keep_biggest(&type->biggest_memory_key, &type->biggest_memory, key, memory);
    keep_top(stats, key, type->name, memory);
}

static void take_step(key_stats *stats, const roan_value *keys)
{
    roan_cli_type **types = roan_cli_alloc(keys->count * sizeof *types);
    uint64_t *lengths = roan_cli_alloc(keys->count * sizeof *lengths);
    uint64_t *memory = roan_cli_alloc(keys->count * sizeof *memory);

    roan_cli_ask_types(stats->session, keys->elements, keys->count, &stats->types, types);
    roan_cli_ask_sizes(stats->session, keys->elements, keys->count, types, false, lengths);
    roan_cli_ask_sizes(stats->session, keys->elements, keys->count, types, true, memory);
    for (size_t i = 0; i < keys->count; i++)
        take_key(stats, keys->elements[i].text, types[i], memory[i], lengths[i]);
    free(types);
    free(lengths);
    free(memory);
}

static double percent(uint64_t part, uint64_t whole)
{
    double share = whole > 0 ? 100.0 * (double)part / (double)whole : 100;

    return share > 100 ? 100 : share;
}

/* "12 items", or a size for what is counted in bytes. */
static const char *length_text(const roan_cli_type *type, uint64_t length, char *out)
{
    if (strcmp(type->unit, "bytes") == 0)
        return roan_cli_human_size(length, out, SIZE_TEXT_BYTES);
    snprintf(out, SIZE_TEXT_BYTES, "%" PRIu64 " %s", length, type->unit);
    return out;
}

static void print_top(const key_stats *stats)
{
    char text[SIZE_TEXT_BYTES];

    printf("\n--- Top %zu key sizes ---\n", stats->top_max);
    for (size_t i = 0; i < stats->top_count; i++)
        printf("%3zu %8s %-10s %s\n", i + 1,
               roan_cli_human_size(stats->top[i].memory, text, sizeof text), stats->top[i].type,
               stats->top[i].key);
    printf("\n--- Top size per type ---\n");
    for (size_t i = 0; i < stats->types.count; i++) {
        const roan_cli_type *type = stats->types.items[i];
        if (type->keys > 0)
            printf("%-10s %s is %s\n", type->name, type->biggest_memory_key,
                   roan_cli_human_size(type->biggest_memory, text, sizeof text));
    }
    printf("\n--- Top length and cardinality per type ---\n");
    for (size_t i = 0; i < stats->types.count; i++) {
        const roan_cli_type *type = stats->types.items[i];
        if (type->keys > 0 && type->size_command != NULL)
            printf("%-10s %s has %s\n", type->name, type->biggest_key,
                   length_text(type, type->biggest, text));
    }
}

static void print_distribution(const roan_histogram *histogram, int width)
{
    uint64_t total = roan_histogram_count(histogram);
    uint64_t shown = 0;
    double above = 100; /* percent of the keys above the row, before halving */
    char text[SIZE_TEXT_BYTES];

    for (double at = 0; shown < total; above /= 2, at = 100 - above) {
        uint64_t value = roan_histogram_at_percentile(histogram, at);
        uint64_t count = roan_histogram_count_up_to(histogram, value);
        if (count <= shown)
            continue;
        shown = count;
        printf("%*s %9.4f%% %11" PRIu64 "\n", width,
               roan_cli_human_size(value, text, sizeof text), shown == total ? 100 : at, shown);
    }
}

static void print_distributions(const key_stats *stats)
{
    double keys = stats->keys_seen > 0 ? (double)stats->keys_seen : 1;
    double mean = (double)stats->memory / keys;
    double variance = stats->memory_squares / keys - mean * mean;
    char text[SIZE_TEXT_BYTES];
    char other[SIZE_TEXT_BYTES];

    printf("\nKey size Percentile Total keys\n-------- ---------- -----------\n");
    print_distribution(stats->sizes, 8);
    printf("Note: 0.1%% size precision, Mean: %s, StdDeviation: %s\n",
           roan_cli_human_size((uint64_t)mean, text, sizeof text),
           roan_cli_human_size((uint64_t)(variance > 0 ? sqrt(variance) : 0), other, sizeof other));
    printf("\nKey name length Percentile Total keys\n--------------- ---------- -----------\n");
    print_distribution(stats->names, 15);
    printf("Total key length is %s (%s avg)\n",
           roan_cli_human_size(stats->name_bytes, text, sizeof text),
           roan_cli_human_size((uint64_t)((double)stats->name_bytes / keys), other, sizeof other));
}

static void print_types(const key_stats *stats)
{
    printf("\nType        Total keys  Keys %% Tot size Avg size  Total length/card Avg ln/card\n"
           "--------- ------------ ------- -------- -------- ------------------ -----------\n");
    for (size_t i = 0; i < stats->types.count; i++) {
        const roan_cli_type *type = stats->types.items[i];
        double keys = (double)type->keys;
        char texts[4][SIZE_TEXT_BYTES];
        if (type->keys == 0)
            continue;
        if (strcmp(type->unit, "bytes") == 0)
            roan_cli_human_size((type->total + type->keys / 2) / type->keys, texts[3],
                                SIZE_TEXT_BYTES);
        else
            snprintf(texts[3], SIZE_TEXT_BYTES, "%.2f", (double)type->total / keys);
        printf("%-9s %12" PRIu64 " %6.2f%% %8s %8s %18s %11s\n", type->name, type->keys,
               percent(type->keys, stats->keys_seen),
               roan_cli_human_size(type->memory_total, texts[0], SIZE_TEXT_BYTES),
               roan_cli_human_size(type->memory_total / type->keys, texts[1], SIZE_TEXT_BYTES),
               length_text(type, type->total, texts[2]), texts[3]);
    }
}

static void print_report(const key_stats *stats, const roan_cli_scan *scan)
{
    char text[SIZE_TEXT_BYTES];

    printf("%5.2f%% keys scanned\nKeys sampled: %" PRIu64 "\nKeys size:    %s\n",
           scan->is_finished ? 100 : percent(stats->keys_seen, stats->keys_expected),
           stats->keys_seen, roan_cli_human_size(stats->memory, text, sizeof text));
    print_top(stats);
    print_distributions(stats);
    print_types(stats);
    if (!scan->is_finished)
        printf("\nStopped early: --cursor %s goes on from here.\n", scan->cursor);
}

static void end_stats(key_stats *stats)
{
    for (size_t i = 0; i < stats->top_count; i++)
        free(stats->top[i].key);
    free(stats->top);
    roan_histogram_free(stats->sizes);
    roan_histogram_free(stats->names);
    roan_cli_types_done(&stats->types);
}

int roan_cli_mode_key_stats(roan_cli_session *session)
{
    bool is_terminal = isatty(STDOUT_FILENO);
    key_stats stats = {.session = session, .top_max = (size_t)session->options->top};
    roan_cli_scan scan = {0};
    roan_value *reply;

    stats.sizes = roan_histogram_create();
    stats.names = roan_histogram_create();
    if (stats.sizes == NULL || stats.names == NULL)
        return 1;
    stats.top = roan_cli_alloc((stats.top_max + 1) * sizeof *stats.top);
    roan_cli_types_init(&stats.types);
    roan_cli_interrupt_catch_once();
    printf("\n# Walking over all keys: largest keys and distributions.\n"
           "# -i 0.1 pauses for 0.1 seconds every 100 steps; --cursor N starts at a cursor;\n"
           "# --top N shows N of the largest keys (10); Ctrl-C stops and shows what was seen.\n\n");
    stats.keys_expected = roan_cli_count_keys(session);
    snprintf(scan.cursor, sizeof scan.cursor, "%.31s", session->options->cursor);
    while (!roan_cli_interrupt_is_set() && (reply = roan_cli_scan_next(session, &scan)) != NULL) {
        take_step(&stats, &reply->elements[1]);
        roan_value_free(reply);
        if (is_terminal && scan.steps % PROGRESS_STEPS == 0)
            printf("%5.2f%% keys scanned\r", percent(stats.keys_seen, stats.keys_expected));
        roan_cli_flush();
        roan_cli_scan_pause(session, &scan, STEPS_PER_PAUSE);
    }
    print_report(&stats, &scan);
    end_stats(&stats);
    return 0;
}
