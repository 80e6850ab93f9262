/* cli/bench_report.c: the live line, the full report, the -q line and the CSV row.
 *
 * Scripts that read the output of redis-benchmark must be able to read ours, so words, order and
 * units are the same. Where a number needs no rounding to a histogram's steps (the thresholds of
 * the cumulative distribution) it is printed as it is. Latencies arrive in nanoseconds and are
 * printed in milliseconds. */
#include "cli/bench_report.h"

#include <stdio.h>
#include <string.h>

#define LIVE_INTERVAL_NS 250000000u
#define NS_PER_MS 1e6
#define FINE_STEP_NS 100000u    /* cumulative distribution: 0.1 ms steps ... */
#define COARSE_STEP_NS 1000000u /* ... and 1 ms steps ... */
#define COARSE_FROM_NS 2000000u /* ... from here on */

double roan_bench_rate(uint64_t replies, uint64_t elapsed_ns)
{
    return elapsed_ns == 0 ? 0.0 : (double)replies * 1e9 / (double)elapsed_ns;
}

static double milliseconds(uint64_t ns)
{
    return (double)ns / NS_PER_MS;
}

static double mean_ms(uint64_t latency_sum_ns, uint64_t replies)
{
    return replies == 0 ? 0.0 : (double)latency_sum_ns / (double)replies / NS_PER_MS;
}

void roan_bench_report_begin(roan_bench_report *report)
{
    report->live_due_ns = LIVE_INTERVAL_NS;
    report->live_before = (roan_bench_progress){.is_warmup = report->options->warmup_s > 0};
}

void roan_bench_report_clear_live(roan_bench_report *report)
{
    if (report->live_columns > 0)
        printf("\r%*s\r", report->live_columns, "");
    report->live_columns = 0;
    fflush(stdout);
}

void roan_bench_report_progress(roan_bench_report *report, const char *title,
                                const roan_bench_progress *progress)
{
    const int precision = (int)report->options->precision;
    roan_bench_progress before = report->live_before;
    uint64_t replies;
    int columns;

    if (progress->is_warmup != before.is_warmup) { /* counting began: the clock is at 0 again */
        roan_bench_report_begin(report);
        before = report->live_before = (roan_bench_progress){.is_warmup = progress->is_warmup};
    }
    if (report->options->is_csv || progress->elapsed_ns < report->live_due_ns)
        return;
    replies = progress->replies - before.replies;
    columns = printf("\r%s%s: rps=%.1f (overall: %.1f) avg_msec=%.*f (overall: %.*f)",
                     progress->is_warmup ? "Warming up " : "", title,
                     roan_bench_rate(replies, progress->elapsed_ns - before.elapsed_ns),
                     roan_bench_rate(progress->replies, progress->elapsed_ns), precision,
                     mean_ms(progress->latency_sum_ns - before.latency_sum_ns, replies), precision,
                     mean_ms(progress->latency_sum_ns, progress->replies)) - 1;
    if (columns < report->live_columns)
        printf("%*s", report->live_columns - columns, "");
    report->live_columns = columns > report->live_columns ? columns : report->live_columns;
    fflush(stdout);
    report->live_due_ns = progress->elapsed_ns + LIVE_INTERVAL_NS;
    report->live_before = *progress;
}

/* The texts that --csv quotes: quotes inside are doubled (RFC 4180). */
static void print_quoted(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_csv(roan_bench_report *report, const char *title,
                      const roan_bench_outcome *outcome, const roan_histogram *latency)
{
    const int precision = (int)report->options->precision;

    if (!report->has_csv_header)
        puts("\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\","
             "\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"");
    report->has_csv_header = true;
    print_quoted(title);
    printf(",\"%.2f\",\"%.*f\",\"%.*f\",\"%.*f\",\"%.*f\",\"%.*f\",\"%.*f\"\n",
           roan_bench_rate(outcome->replies, outcome->elapsed_ns), precision,
           roan_histogram_mean(latency) / NS_PER_MS, precision,
           milliseconds(roan_histogram_min(latency)), precision,
           milliseconds(roan_histogram_at_percentile(latency, 50)), precision,
           milliseconds(roan_histogram_at_percentile(latency, 95)), precision,
           milliseconds(roan_histogram_at_percentile(latency, 99)), precision,
           milliseconds(roan_histogram_max(latency)));
}

static void print_settings(const roan_bench_report *report, const char *title,
                           const roan_bench_outcome *outcome)
{
    const roan_bench_options *options = report->options;

    printf("====== %s ======\n", title);
    printf("  %llu requests completed in %.2f seconds\n", (unsigned long long)outcome->replies,
           (double)outcome->elapsed_ns / 1e9);
    printf("  %ld parallel clients\n", options->clients);
    printf("  %ld bytes payload\n", options->data_bytes);
    printf("  keep alive: %ld\n", options->keep_alive);
    if (report->facts->is_known) {
        printf("  host configuration \"save\": %s\n", report->facts->save);
        printf("  host configuration \"appendonly\": %s\n", report->facts->append_only);
    }
    printf("  multi-thread: %s\n", options->threads > 0 ? "yes" : "no");
    if (options->threads > 0)
        printf("  threads: %ld\n", options->threads);
    if (options->rps > 0)
        printf("  target: %ld requests per second\n", options->rps);
}

static void print_row(double percentile, uint64_t value_ns, uint64_t count, int precision)
{
    printf("%.3f%% <= %.*f milliseconds (cumulative count %llu)\n", percentile, precision,
           milliseconds(value_ns), (unsigned long long)count);
}

/* Every row halves the distance to 100 %: 0, 50, 75, 87.5 ... until a row covers everything. */
static void print_percentiles(const roan_histogram *latency, int precision)
{
    const uint64_t total = roan_histogram_count(latency);
    double distance = 100.0;
    uint64_t count = 0;

    puts("\nLatency by percentile distribution:");
    while (count < total) {
        uint64_t value_ns = roan_histogram_at_percentile(latency, 100.0 - distance);
        count = roan_histogram_count_up_to(latency, value_ns);
        print_row(100.0 - distance, value_ns, count, precision);
        distance /= 2;
    }
    print_row(100.0, roan_histogram_max(latency), total, precision);
}

/* The least threshold at or above the value. */
static uint64_t threshold_for(uint64_t value_ns)
{
    uint64_t step = value_ns <= COARSE_FROM_NS ? FINE_STEP_NS : COARSE_STEP_NS;

    return (value_ns + step - 1) / step * step;
}

/* Thresholds below which nothing new falls are left out, except the first. */
static void print_cumulative(const roan_histogram *latency, int precision)
{
    const uint64_t total = roan_histogram_count(latency);
    uint64_t threshold_ns = FINE_STEP_NS;
    uint64_t count;

    puts("\nCumulative distribution of latencies:");
    for (;;) {
        count = roan_histogram_count_up_to(latency, threshold_ns);
        print_row(100.0 * (double)count / (double)total, threshold_ns, count, precision);
        if (count >= total)
            return;
        threshold_ns = threshold_for(roan_histogram_at_rank(latency, count + 1));
    }
}

static void print_summary(const roan_bench_outcome *outcome, const roan_histogram *latency,
                          int precision)
{
    printf("\nSummary:\n  throughput summary: %.2f requests per second\n",
           roan_bench_rate(outcome->replies, outcome->elapsed_ns));
    puts("  latency summary (msec):");
    printf("    %9s %9s %9s %9s %9s %9s\n", "avg", "min", "p50", "p95", "p99", "max");
    printf("    %9.*f %9.*f %9.*f %9.*f %9.*f %9.*f\n\n", precision,
           roan_histogram_mean(latency) / NS_PER_MS, precision,
           milliseconds(roan_histogram_min(latency)), precision,
           milliseconds(roan_histogram_at_percentile(latency, 50)), precision,
           milliseconds(roan_histogram_at_percentile(latency, 95)), precision,
           milliseconds(roan_histogram_at_percentile(latency, 99)), precision,
           milliseconds(roan_histogram_max(latency)));
}

void roan_bench_report_test(roan_bench_report *report, const char *title,
                            const roan_bench_outcome *outcome, const roan_histogram *latency)
{
    const int precision = (int)report->options->precision;

    roan_bench_report_clear_live(report);
    if (report->options->is_csv) {
        print_csv(report, title, outcome, latency);
    } else if (report->options->is_quiet) {
        printf("%s: %.2f requests per second, p50=%.*f msec\n", title,
               roan_bench_rate(outcome->replies, outcome->elapsed_ns), precision,
               milliseconds(roan_histogram_at_percentile(latency, 50)));
    } else {
        print_settings(report, title, outcome);
        if (outcome->replies > 0) {
            print_percentiles(latency, precision);
            print_cumulative(latency, precision);
        }
        print_summary(outcome, latency, precision);
    }
    fflush(stdout);
}
