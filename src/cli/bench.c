/* cli/bench.c: the program `roan bench`.
 *
 * Reads the options, finds the server once, then runs test after test: build the request, put it
 * under load (bench_run.c), print (bench_report.c), remember for the picture (bench_plot.c). The
 * parts know nothing of each other.
 *
 * Exit status 0: everything was answered. 1: wrong options, no server, or an error reply; the
 * reason is printed once, to stderr, after whatever results were complete by then. */
#include "cli/bench.h"

#include "cli/bench_connect.h"
#include "cli/bench_options.h"
#include "cli/bench_plot.h"
#include "cli/bench_report.h"
#include "cli/bench_request.h"
#include "cli/bench_run.h"
#include "cli/bench_tests.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 250000000u
#define TICK_PLOT_NS 20000000u
#define STDIN_BYTES_MAX ((size_t)512 << 20)
#define SPARE_FILES 64 /* besides the connections */

typedef struct bench_state {
    roan_bench_options options;
    roan_bench_greeting greeting;
    roan_bench_endpoint endpoint;
    roan_bench_server_facts facts;
    roan_bench_report report;
    roan_histogram *latency;
    roan_bench_plot *plot; /* NULL without --plot */
    roan_slice data;       /* -d bytes; owned */
    roan_slice *words;     /* the command of the command line, or NULL; owned */
    size_t words_count;
    char *stdin_word;      /* what -x read; owned */
    char *command_title;   /* owned */
    const char *title;     /* of the running test */
} bench_state;

/* Letters and digits, always the same for a size. */
static roan_status make_data(bench_state *bench)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    size_t bytes = (size_t)bench->options.data_bytes;
    char *data = malloc(bytes + 1);
    uint64_t state = 0x526F616E;

    if (data == NULL)
        return ROAN_E_NOMEM;
    for (size_t i = 0; i < bytes; i++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
        data[i] = letters[state >> 58];
    }
    bench->data = roan_slice_make(data, bytes);
    return ROAN_OK;
}

static roan_status read_stdin(char **ret_text, size_t *ret_bytes)
{
    size_t capacity = 65536, bytes = 0;
    char *text = malloc(capacity);

    while (text != NULL) {
        size_t got = fread(text + bytes, 1, capacity - bytes, stdin);
        char *grown;
        bytes += got;
        if (got == 0 || bytes >= STDIN_BYTES_MAX)
            break;
        if (bytes < capacity)
            continue;
        capacity *= 2;
        grown = realloc(text, capacity);
        if (grown == NULL) {
            free(text);
            return ROAN_E_NOMEM;
        }
        text = grown;
    }
    *ret_text = text;
    *ret_bytes = bytes;
    return text == NULL ? ROAN_E_NOMEM : ROAN_OK;
}

/* The command of the command line as words, and joined as a title. */
static roan_status collect_words(bench_state *bench)
{
    const roan_bench_options *options = &bench->options;
    const size_t count = (size_t)options->command_argc;
    size_t title_bytes = 1, stdin_bytes = 0;
    char *at;

    bench->words = calloc(count + 1, sizeof *bench->words);
    if (bench->words == NULL)
        return ROAN_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        bench->words[i] = roan_slice_from_text(options->command_argv[i]);
        title_bytes += bench->words[i].bytes + 1;
    }
    bench->words_count = count;
    at = bench->command_title = malloc(title_bytes);
    if (at == NULL)
        return ROAN_E_NOMEM;
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *at++ = ' ';
        memcpy(at, bench->words[i].data, bench->words[i].bytes);
        at += bench->words[i].bytes;
    }
    *at = '\0';
    if (options->has_stdin_argument) {
        if (read_stdin(&bench->stdin_word, &stdin_bytes) != ROAN_OK)
            return ROAN_E_NOMEM;
        bench->words[bench->words_count++] = roan_slice_make(bench->stdin_word, stdin_bytes);
    }
    return ROAN_OK;
}

/* One file per connection: asks for as many as are allowed to be asked for. */
static void raise_file_limit(long connections)
{
    const rlim_t wanted = (rlim_t)connections + SPARE_FILES;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max >= wanted ? wanted
                                                                                : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        perror("roan bench: raising the limit of open files");
}

static void on_tick(void *context, const roan_bench_progress *progress)
{
    bench_state *bench = context;

    roan_bench_report_progress(&bench->report, bench->title, progress);
    if (bench->plot != NULL)
        roan_bench_plot_sample(bench->plot, progress);
}

static roan_status run_request(bench_state *bench, const char *title,
                               const roan_bench_request *request, roan_error *reterr)
{
    const roan_bench_plan plan = {&bench->options, &bench->endpoint, &bench->greeting, request};
    roan_bench_outcome outcome;
    roan_status status;

    bench->title = title;
    roan_bench_report_begin(&bench->report);
    roan_histogram_clear(bench->latency);
    status = roan_bench_run(&plan, bench->plot != NULL ? TICK_PLOT_NS : TICK_NS, bench->latency,
                            &outcome, reterr, bench, on_tick);
    if (status != ROAN_OK) {
        roan_bench_report_clear_live(&bench->report);
        return status;
    }
    roan_bench_report_test(&bench->report, title, &outcome, bench->latency);
    if (bench->plot != NULL &&
        roan_bench_plot_add(bench->plot, title, &outcome, bench->latency) != ROAN_OK)
        return roan_error_set(reterr, ROAN_E_NOMEM, "--plot: too many tests");
    return ROAN_OK;
}

static roan_status run_command(bench_state *bench, const roan_bench_shape *shape,
                               roan_error *reterr)
{
    roan_bench_request request = {0};
    roan_status status = roan_bench_request_add_words(&request, bench->words_count, bench->words,
                                                      shape, reterr);

    if (status == ROAN_OK)
        status = run_request(bench, bench->command_title, &request, reterr);
    roan_bench_request_done(&request);
    return status;
}

static roan_status run_test(bench_state *bench, const roan_bench_test *test,
                            const roan_bench_shape *shape, roan_error *reterr)
{
    roan_bench_request request = {0};
    roan_status status = test->kind == ROAN_BENCH_TEST_INLINE
                             ? roan_bench_request_add_line(&request,
                                                           roan_slice_from_text(test->words))
                             : roan_bench_request_add_text(&request, test->words, shape);

    if (status == ROAN_OK)
        status = run_request(bench, test->title, &request, reterr);
    else
        roan_error_set(reterr, status, "out of memory for the requests");
    roan_bench_request_done(&request);
    return status;
}

/* What the picture was made from. */
static roan_status write_plot(const bench_state *bench, roan_error *reterr)
{
    const roan_bench_options *options = &bench->options;
    char when[32], subtitle[512];
    time_t now = time(NULL);
    struct tm utc;

    strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &utc));
    snprintf(subtitle, sizeof subtitle,
             "%s, %ld connections, pipeline %ld, %ld-byte values, %ld thread%s, %s",
             bench->endpoint.name, options->clients, options->pipeline, options->data_bytes,
             options->threads > 0 ? options->threads : 1, options->threads > 1 ? "s" : "", when);
    return roan_bench_plot_write(bench->plot, options->plot_path, subtitle, reterr);
}

/* Everything that was asked for, once. */
static roan_status run_once(bench_state *bench, roan_error *reterr)
{
    const roan_bench_shape shape = {bench->data, bench->options.keyspace >= 0};
    roan_status status = ROAN_OK;
    size_t count;
    const roan_bench_test *tests = roan_bench_tests(&count);

    if (bench->plot != NULL)
        roan_bench_plot_clear(bench->plot);
    if (bench->words != NULL)
        status = run_command(bench, &shape, reterr);
    for (size_t i = 0; bench->words == NULL && status == ROAN_OK && i < count; i++)
        if (roan_bench_test_is_selected(&tests[i], bench->options.tests))
            status = run_test(bench, &tests[i], &shape, reterr);
    if (bench->plot != NULL && status == ROAN_OK)
        status = write_plot(bench, reterr);
    return status;
}

/* -I: connections that do nothing until the program is ended from outside. */
static roan_status hold_idle(const bench_state *bench, roan_error *reterr)
{
    const long clients = bench->options.clients;

    printf("Creating %ld idle connections and waiting forever (Ctrl+C when done)\n", clients);
    fflush(stdout);
    for (long i = 0; i < clients; i++) {
        bool is_connected;
        if (roan_bench_connect(&bench->endpoint, &is_connected) < 0)
            return roan_error_set_errno(reterr, errno, "Could not open connection %ld to %s", i + 1,
                                        bench->endpoint.name);
    }
    printf("%ld connections open\n", clients);
    fflush(stdout);
    for (;;)
        pause();
}

static roan_status prepare(bench_state *bench, roan_error *reterr)
{
    const roan_bench_options *options = &bench->options;
    const bool is_full_report = !options->is_quiet && !options->is_csv && !options->is_idle;
    roan_status status = roan_bench_tests_check(options->tests, reterr);

    if (status == ROAN_OK && options->plot_path != NULL)
        status = roan_bench_plot_check_path(options->plot_path, reterr);
    if (status != ROAN_OK)
        return status;
    raise_file_limit(options->clients);
    bench->latency = roan_histogram_create();
    bench->plot = options->plot_path != NULL ? roan_bench_plot_create() : NULL;
    bench->report = (roan_bench_report){.options = options, .facts = &bench->facts};
    if (bench->latency == NULL || (options->plot_path != NULL && bench->plot == NULL) ||
        make_data(bench) != ROAN_OK ||
        (options->command_argc > 0 && collect_words(bench) != ROAN_OK) ||
        roan_bench_greeting_build(options, &bench->greeting) != ROAN_OK)
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory");
    status = roan_bench_find_server(options, &bench->greeting, &bench->endpoint,
                                    is_full_report ? &bench->facts : NULL, reterr);
    if (status == ROAN_OK && is_full_report && !bench->facts.is_known)
        fputs("WARNING: Could not fetch server CONFIG\n", stderr);
    return status;
}

static void release(bench_state *bench)
{
    roan_bench_greeting_done(&bench->greeting);
    roan_histogram_free(bench->latency);
    roan_bench_plot_free(bench->plot);
    free((void *)(uintptr_t)bench->data.data);
    free(bench->words);
    free(bench->stdin_word);
    free(bench->command_title);
    roan_bench_options_done(&bench->options);
}

int roan_bench_main(int argc, char **argv)
{
    bench_state bench = {0};
    roan_error error;
    roan_status status;

    switch (roan_bench_options_parse(&bench.options, argc, argv)) {
    case ROAN_BENCH_PARSED_RUN: break;
    case ROAN_BENCH_PARSED_DONE: roan_bench_options_done(&bench.options); return EXIT_SUCCESS;
    case ROAN_BENCH_PARSED_WRONG: roan_bench_options_done(&bench.options); return EXIT_FAILURE;
    }
    status = prepare(&bench, &error);
    if (status == ROAN_OK && bench.options.is_idle)
        status = hold_idle(&bench, &error);
    else if (status == ROAN_OK)
        do
            status = run_once(&bench, &error);
        while (status == ROAN_OK && bench.options.is_loop);
    if (status != ROAN_OK)
        fprintf(stderr, "%s\n", error.text);
    release(&bench);
    return status == ROAN_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
