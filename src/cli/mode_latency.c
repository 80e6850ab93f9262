/* cli/mode_latency.c: --latency, --latency-history, --latency-dist, --intrinsic-latency.
 *
 * The first three send PING every SAMPLE_PAUSE_MS and time the answer. At a terminal --latency
 * rewrites one line for ever and --latency-history begins a new one per interval; elsewhere
 * --latency measures for one interval, prints "min max avg samples" in the output format and ends,
 * and --latency-history prints such a line per interval. --latency-dist shows one row of characters
 * per interval: each stands for a range of times, its background for the share of samples in it.
 *
 * --intrinsic-latency talks to nobody: it looks at the clock in a loop, and the longest time
 * between two looks is how long the machine kept a program that never waits from running.
 */
#include "cli/mode.h"

#include "cli/interrupt.h"
#include "cli/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SAMPLE_PAUSE_MS 10
#define HISTORY_INTERVAL_S 15.0
#define REWRITE_LINE "\033[0G\033[2K"

typedef struct latency_sum {
    int64_t min_ms;
    int64_t max_ms;
    int64_t total_ms;
    int64_t samples;
} latency_sum;

static void pause_ms(int64_t milliseconds)
{
    struct timespec span = {.tv_sec = milliseconds / 1000,
                            .tv_nsec = (milliseconds % 1000) * 1000000};

    nanosleep(&span, NULL);
}

static int64_t ping_us(roan_cli_session *session)
{
    int64_t start_us = roan_cli_now_us();

    roan_value_free(roan_cli_session_must_call(session, "PING", NULL));
    return roan_cli_now_us() - start_us;
}

static void add_sample(latency_sum *sum, int64_t ms)
{
    if (sum->samples == 0 || ms < sum->min_ms)
        sum->min_ms = ms;
    if (ms > sum->max_ms)
        sum->max_ms = ms;
    sum->total_ms += ms;
    sum->samples++;
}

static void print_sum(const latency_sum *sum, roan_cli_format format)
{
    double average = (double)sum->total_ms / (double)(sum->samples > 0 ? sum->samples : 1);
    int64_t min = sum->min_ms;
    int64_t max = sum->max_ms;

    switch (format) {
    case ROAN_CLI_FORMAT_TTY:
        printf(REWRITE_LINE "min: %" PRId64 ", max: %" PRId64 ", avg: %.2f (%" PRId64 " samples)",
               min, max, average, sum->samples);
        break;
    case ROAN_CLI_FORMAT_RAW:
        printf("%" PRId64 " %" PRId64 " %.2f %" PRId64 "\n", min, max, average, sum->samples);
        break;
    case ROAN_CLI_FORMAT_CSV:
        printf("%" PRId64 ",%" PRId64 ",%.2f,%" PRId64 "\n", min, max, average, sum->samples);
        break;
    case ROAN_CLI_FORMAT_JSON:
    case ROAN_CLI_FORMAT_QUOTED_JSON:
        printf("{\"min\": %" PRId64 ", \"max\": %" PRId64 ", \"avg\": %.2f, \"count\": %" PRId64
               "}\n", min, max, average, sum->samples);
        break;
    }
    roan_cli_flush();
}

int roan_cli_mode_latency(roan_cli_session *session)
{
    const roan_cli_options *options = session->options;
    bool is_history = options->mode == ROAN_CLI_LATENCY_HISTORY;
    bool is_terminal = options->format == ROAN_CLI_FORMAT_TTY;
    double interval_s = options->interval_s > 0 ? options->interval_s
                        : is_history            ? HISTORY_INTERVAL_S
                                                : 1.0;
    int64_t interval_ms = (int64_t)(interval_s * 1000);
    int64_t start_ms = roan_cli_now_ms();
    latency_sum sum = {0};

    for (;;) {
        add_sample(&sum, ping_us(session) / 1000);
        if (is_terminal)
            print_sum(&sum, options->format);
        if (roan_cli_now_ms() - start_ms > interval_ms && (is_history || !is_terminal)) {
            if (is_terminal)
                printf(" -- %.2f seconds range\n", (double)(roan_cli_now_ms() - start_ms) / 1000);
            else
                print_sum(&sum, options->format);
            if (!is_history)
                return 0;
            sum = (latency_sum){0};
            start_ms = roan_cli_now_ms();
        }
        pause_ms(SAMPLE_PAUSE_MS);
    }
}

/* One column of --latency-dist: times up to a limit. */
typedef struct latency_class {
    int64_t limit_us; /* inclusive; the last class has none */
    char mark;
} latency_class;

static const latency_class classes[] = {
    {10, '.'},       {125, '-'},      {250, '*'},      {500, '#'},      {1000, '1'},
    {2000, '2'},     {3000, '3'},     {4000, '4'},     {5000, '5'},     {6000, '6'},
    {7000, '7'},     {8000, '8'},     {9000, '9'},     {10000, 'A'},    {20000, 'B'},
    {30000, 'C'},    {40000, 'D'},    {50000, 'E'},    {100000, 'F'},   {200000, 'G'},
    {300000, 'H'},   {400000, 'I'},   {500000, 'J'},   {1000000, 'K'},  {2000000, 'L'},
    {4000000, 'M'},  {8000000, 'N'},  {16000000, 'O'}, {30000000, 'P'}, {60000000, 'Q'},
    {INT64_MAX, '?'},
};

enum { CLASS_COUNT = sizeof classes / sizeof classes[0] };

/* Colours of the xterm palette from nothing to everything: black, greys, green, yellow, red. */
static const int shades[] = {0,   233, 234, 236, 238, 240, 242, 244, 246, 108,
                             107, 106, 148, 184, 220, 214, 208, 202, 196};

enum { SHADE_COUNT = sizeof shades / sizeof shades[0] };

static void print_legend(void)
{
    puts("---------------------------------------------\n"
         ". - * #          .01 .125 .25 .5 milliseconds\n"
         "1,2,3,...,9      from 1 to 9     milliseconds\n"
         "A,B,C,D,E        10,20,30,40,50  milliseconds\n"
         "F,G,H,I,J        .1,.2,.3,.4,.5       seconds\n"
         "K,L,M,N,O,P,Q,?  1,2,4,8,16,30,60,>60 seconds");
    fputs("From 0 to 100%: ", stdout);
    for (int i = 0; i < SHADE_COUNT; i++)
        printf("\033[48;5;%dm ", shades[i]);
    puts("\033[0m\n---------------------------------------------");
}

static void print_distribution(const int64_t *counts, int64_t samples)
{
    fputs("\033[38;5;0m", stdout);
    for (int i = 0; i < CLASS_COUNT; i++) {
        double share = samples > 0 ? (double)counts[i] / (double)samples : 0;
        int shade = (int)(share * (SHADE_COUNT - 1) + 0.999999);
        printf("\033[48;5;%dm%c", shades[shade], classes[i].mark);
    }
    puts("\033[0m");
    roan_cli_flush();
}

int roan_cli_mode_latency_dist(roan_cli_session *session)
{
    double interval_s = session->options->interval_s > 0 ? session->options->interval_s : 1;
    int64_t interval_ms = (int64_t)(interval_s * 1000);

    for (uint64_t row = 0;; row++) {
        int64_t counts[CLASS_COUNT] = {0};
        int64_t samples = 0;
        int64_t start_ms = roan_cli_now_ms();
        if (row % 20 == 0)
            print_legend();
        while (roan_cli_now_ms() - start_ms < interval_ms) {
            int64_t us = ping_us(session);
            int class = 0;
            while (us > classes[class].limit_us)
                class++;
            counts[class]++;
            samples++;
            pause_ms(SAMPLE_PAUSE_MS);
        }
        print_distribution(counts, samples);
    }
}

/* Work the compiler cannot leave out, about as long as a tiny command. */
static uint64_t work(uint64_t seed)
{
    for (int i = 0; i < 10; i++)
        seed = seed * 6364136223846793005u + 1442695040888963407u;
    __asm__ volatile("" : "+r"(seed));
    return seed;
}

int roan_cli_mode_intrinsic_latency(roan_cli_session *session)
{
    int64_t start_us = roan_cli_now_us();
    int64_t end_us = start_us + session->options->mode_number * 1000000;
    int64_t now_us = start_us;
    int64_t worst_us = 0;
    int64_t runs = 0;
    uint64_t seed = 1;
    double average_us;

    roan_cli_interrupt_catch_once();
    while (now_us < end_us && !roan_cli_interrupt_is_set()) {
        int64_t before_us = now_us;
        seed = work(seed);
        now_us = roan_cli_now_us();
        runs++;
        if (now_us - before_us > worst_us) {
            worst_us = now_us - before_us;
            printf("Max latency so far: %" PRId64 " microseconds.\n", worst_us);
            roan_cli_flush();
        }
    }
    average_us = (double)(now_us - start_us) / (double)(runs > 0 ? runs : 1);
    printf("\n%" PRId64 " runs, %.4f microseconds (%.2f nanoseconds) on average.\n", runs,
           average_us, average_us * 1000);
    printf("The worst took %.0f times as long.\n",
           average_us > 0 ? (double)worst_us / average_us : 0);
    return 0;
}
