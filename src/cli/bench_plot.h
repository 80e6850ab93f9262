/* cli/bench_plot.h: the results of a run as a picture. */
#pragma once

#include "cli/bench_run.h"

/* Collects one series per test in bounded memory; one thread. */
typedef struct roan_bench_plot roan_bench_plot;

/* A new plot, or NULL when out of memory. */
roan_bench_plot *roan_bench_plot_create(void);

/* Frees it; accepts NULL; returns NULL. */
roan_bench_plot *roan_bench_plot_free(roan_bench_plot *plot);

/* Drops all series. */
void roan_bench_plot_clear(roan_bench_plot *plot);

/* Notes how far the running test is; call it in regular intervals. */
void roan_bench_plot_sample(roan_bench_plot *plot, const roan_bench_progress *progress);

/* Ends the running test: its samples and latencies become a series called `title`. */
roan_status roan_bench_plot_add(roan_bench_plot *plot, const char *title,
                                const roan_bench_outcome *outcome, const roan_histogram *latency)
    ROAN_MUST_CHECK;

/* ROAN_OK when the name of the file ends in .svg, .html or .htm. */
roan_status roan_bench_plot_check_path(const char *path, roan_error *reterr) ROAN_MUST_CHECK;

/* Writes the picture, self-contained, as SVG or as an HTML page around it. `subtitle` says what was
 * measured. */
roan_status roan_bench_plot_write(const roan_bench_plot *plot, const char *path,
                                  const char *subtitle, roan_error *reterr) ROAN_MUST_CHECK;
