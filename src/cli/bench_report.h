/* cli/bench_report.h: what `roan bench` prints, in the formats of redis-benchmark. */
#pragma once

#include "cli/bench_run.h"

typedef struct roan_bench_report {
    const roan_bench_options *options;
    const roan_bench_server_facts *facts;
    bool has_csv_header;  /* printed already */
    int live_columns;     /* width of the live line on the screen */
    uint64_t live_due_ns; /* of the running test: when the next live line is due */
    roan_bench_progress live_before;
} roan_bench_report;

/* Prepares for the next test. */
void roan_bench_report_begin(roan_bench_report *report);

/* Updates the live line, at most four times a second; nothing with --csv. */
void roan_bench_report_progress(roan_bench_report *report, const char *title,
                                const roan_bench_progress *progress);

/* Removes the live line. */
void roan_bench_report_clear_live(roan_bench_report *report);

/* Prints the result of a test: the full report, one line (-q) or one row (--csv). */
void roan_bench_report_test(roan_bench_report *report, const char *title,
                            const roan_bench_outcome *outcome, const roan_histogram *latency);

/* Replies per second; 0 when no time has passed. */
double roan_bench_rate(uint64_t replies, uint64_t elapsed_ns);
