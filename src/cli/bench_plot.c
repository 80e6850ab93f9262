/* cli/bench_plot.c: --plot: latency by percentile and throughput over time as SVG, by itself or in
 * HTML.
 *
 * The picture needs nothing but a viewer: no script, no font, no network. Colours are classes in a
 * style element that also answers to a dark colour scheme; the ninth series and later repeat the
 * colours with dashes.
 *
 *   +-------------------------------+--------+   upper panel: x is -log10(1 - p), so that
 *   | latency over percentile       | legend |   every nine of the percentile is as wide
 *   +-------------------------------+        |   lower panel: replies per second between
 *   | replies per second over time  |        |   two samples
 *   +-------------------------------+--------+
 *
 * Memory is bounded: a series keeps CURVE_POINTS percentiles and at most SAMPLES_MAX samples. When
 * the samples are full every second one is dropped and the interval between them doubled; they hold
 * running totals, so nothing is lost but detail. */
#include "cli/bench_plot.h"

#include "cli/bench_report.h"
#include "cli/bench_svg.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SERIES_MAX 64
#define CURVE_POINTS 161
#define SAMPLES_MAX 160
#define SAMPLE_INTERVAL_NS 20000000u
#define NINES_MIN 2.0
#define NINES_MAX 7.0

typedef struct bench_sample {
    uint64_t elapsed_ns, replies;
} bench_sample;

typedef struct bench_series {
    char title[96];
    roan_bench_outcome outcome;
    double mean_ns;
    uint64_t min_ns, p50_ns, p95_ns, p99_ns, p999_ns, max_ns;
    double nines; /* where the curve ends: log10 of the number of replies */
    uint64_t curve_ns[CURVE_POINTS];
    bench_sample samples[SAMPLES_MAX];
    size_t samples_count;
    uint64_t interval_ns; /* least distance of two samples */
} bench_series;

struct roan_bench_plot {
    size_t count;
    bench_series all[SERIES_MAX]; /* all[count] is the running test */
};

roan_bench_plot *roan_bench_plot_create(void)
{
    return calloc(1, sizeof(roan_bench_plot));
}

roan_bench_plot *roan_bench_plot_free(roan_bench_plot *plot)
{
    free(plot);
    return NULL;
}

void roan_bench_plot_clear(roan_bench_plot *plot)
{
    memset(plot, 0, sizeof *plot);
}

static void thin_out(bench_series *series)
{
    size_t kept = 0;

    for (size_t i = 1; i < series->samples_count; i += 2)
        series->samples[kept++] = series->samples[i];
    series->samples_count = kept;
    series->interval_ns *= 2;
}

static void add_sample(bench_series *series, uint64_t elapsed_ns, uint64_t replies, bool is_last)
{
    const size_t count = series->samples_count;
    bench_sample *last = count > 0 ? &series->samples[count - 1] : NULL;
    uint64_t since_ns = last != NULL ? elapsed_ns - last->elapsed_ns : elapsed_ns;

    if (series->interval_ns == 0)
        series->interval_ns = SAMPLE_INTERVAL_NS;
    if (since_ns * 2 < series->interval_ns) {
        /* Too close for a rate: at the end it replaces the one before. */
        if (is_last && last != NULL)
            *last = (bench_sample){elapsed_ns, replies};
        else if (is_last)
            series->samples[series->samples_count++] = (bench_sample){elapsed_ns, replies};
        return;
    }
    if (series->samples_count == SAMPLES_MAX)
        thin_out(series);
    series->samples[series->samples_count++] = (bench_sample){elapsed_ns, replies};
}

void roan_bench_plot_sample(roan_bench_plot *plot, const roan_bench_progress *progress)
{
    if (plot->count < SERIES_MAX && !progress->is_warmup)
        add_sample(&plot->all[plot->count], progress->elapsed_ns, progress->replies, false);
}

roan_status roan_bench_plot_add(roan_bench_plot *plot, const char *title,
                                const roan_bench_outcome *outcome, const roan_histogram *latency)
{
    bench_series *series;
    size_t count;

    if (plot->count == SERIES_MAX)
        return ROAN_E_NOMEM;
    series = &plot->all[plot->count++];
    /* The watching thread notices the end a little late: no time passed after the last reply. */
    while (series->samples_count > 0 &&
           series->samples[series->samples_count - 1].elapsed_ns >= outcome->elapsed_ns)
        series->samples_count--;
    add_sample(series, outcome->elapsed_ns, outcome->replies, true);
    count = strlen(title);
    count = count < sizeof series->title ? count : sizeof series->title - 1;
    memcpy(series->title, title, count);
    series->title[count] = '\0';
    series->outcome = *outcome;
    series->mean_ns = roan_histogram_mean(latency);
    series->min_ns = roan_histogram_min(latency);
    series->p50_ns = roan_histogram_at_percentile(latency, 50);
    series->p95_ns = roan_histogram_at_percentile(latency, 95);
    series->p99_ns = roan_histogram_at_percentile(latency, 99);
    series->p999_ns = roan_histogram_at_percentile(latency, 99.9);
    series->max_ns = roan_histogram_max(latency);
    series->nines = log10(outcome->replies > 1 ? (double)outcome->replies : 1.0);
    series->nines = fmin(fmax(series->nines, 0.5), NINES_MAX);
    for (size_t i = 0; i < CURVE_POINTS; i++) {
        double x = series->nines * (double)i / (CURVE_POINTS - 1);
        series->curve_ns[i] = roan_histogram_at_percentile(latency, 100.0 * (1.0 - pow(10.0, -x)));
    }
    return ROAN_OK;
}

/* ---- the two panels ---- */

static void draw_latency(FILE *out, const roan_bench_plot *plot, roan_svg_panel *panel)
{
    double low_ms = 1e300, high_ms = 0, nines = NINES_MIN;

    for (size_t s = 0; s < plot->count; s++) {
        const bench_series *series = &plot->all[s];
        low_ms = fmin(low_ms, (double)series->curve_ns[0] / 1e6);
        high_ms = fmax(high_ms, (double)series->curve_ns[CURVE_POINTS - 1] / 1e6);
        nines = fmax(nines, series->nines);
    }
    panel->x_min = 0;
    panel->x_max = nines;
    roan_svg_log_range(fmax(low_ms, 1e-4), fmax(high_ms, 1e-3), &panel->y_min, &panel->y_max);
    roan_svg_panel_begin(out, panel, "Latency by percentile", "percentile of replies",
                         "latency, milliseconds");
    roan_svg_log_axis_y(out, panel);
    roan_svg_nines_axis_x(out, panel);
    for (size_t s = 0; s < plot->count; s++) {
        const bench_series *series = &plot->all[s];
        roan_svg_line_begin(out, s, series->title);
        for (size_t i = 0; i < CURVE_POINTS; i++)
            roan_svg_line_point(out, panel, series->nines * (double)i / (CURVE_POINTS - 1),
                                log10(fmax((double)series->curve_ns[i] / 1e6, 1e-4)));
        roan_svg_line_end(out);
    }
}

/* The rate between sample i - 1 and sample i. */
static double sample_rate(const bench_series *series, size_t i)
{
    bench_sample before = i > 0 ? series->samples[i - 1] : (bench_sample){0, 0};

    return roan_bench_rate(series->samples[i].replies - before.replies,
                           series->samples[i].elapsed_ns - before.elapsed_ns);
}

static void draw_throughput(FILE *out, const roan_bench_plot *plot, roan_svg_panel *panel)
{
    double seconds = 0, rate = 1;

    for (size_t s = 0; s < plot->count; s++) {
        const bench_series *series = &plot->all[s];
        seconds = fmax(seconds, (double)series->outcome.elapsed_ns / 1e9);
        for (size_t i = 0; i < series->samples_count; i++)
            rate = fmax(rate, sample_rate(series, i));
    }
    panel->x_min = 0;
    panel->x_max = fmax(seconds, 1e-3);
    panel->y_min = 0;
    panel->y_max = rate * 1.02;
    roan_svg_panel_begin(out, panel, "Throughput over time", "seconds since the start of the test",
                         "replies per second");
    panel->y_max = roan_svg_linear_axis_y(out, panel);
    roan_svg_linear_axis_x(out, panel);
    for (size_t s = 0; s < plot->count; s++) {
        const bench_series *series = &plot->all[s];
        double begin = 0;
        roan_svg_line_begin(out, s, series->title);
        for (size_t i = 0; i < series->samples_count; i++) { /* a step per interval */
            double end = (double)series->samples[i].elapsed_ns / 1e9;
            roan_svg_line_point(out, panel, begin, sample_rate(series, i));
            roan_svg_line_point(out, panel, end, sample_rate(series, i));
            begin = end;
        }
        roan_svg_line_end(out);
    }
}

static void draw_picture(FILE *out, const roan_bench_plot *plot, const char *subtitle)
{
    roan_svg_panel upper = {.left = 84, .top = 108, .width = 640, .height = 290};
    roan_svg_panel lower = {.left = 84, .top = 498, .width = 640, .height = 256};

    roan_svg_begin(out, 1040, 820, "roan bench", subtitle);
    draw_latency(out, plot, &upper);
    draw_throughput(out, plot, &lower);
    for (size_t s = 0; s < plot->count; s++)
        roan_svg_legend_entry(out, 748, 116 + 22 * (double)s, s, plot->all[s].title);
    roan_svg_end(out);
}

static void write_table(FILE *out, const roan_bench_plot *plot)
{
    fputs("<table>\n<thead><tr><th>test</th><th>requests</th><th>seconds</th><th>per second</th>"
          "<th>avg ms</th><th>min</th><th>p50</th><th>p95</th><th>p99</th><th>p99.9</th>"
          "<th>max</th></tr></thead>\n<tbody>\n", out);
    for (size_t s = 0; s < plot->count; s++) {
        const bench_series *series = &plot->all[s];
        const uint64_t values_ns[] = {series->min_ns, series->p50_ns,  series->p95_ns,
                                      series->p99_ns, series->p999_ns, series->max_ns};
        fputs("<tr><th>", out);
        roan_svg_text(out, series->title);
        fprintf(out, "</th><td>%llu</td><td>%.2f</td><td>%.0f</td><td>%.3f</td>",
                (unsigned long long)series->outcome.replies,
                (double)series->outcome.elapsed_ns / 1e9,
                roan_bench_rate(series->outcome.replies, series->outcome.elapsed_ns),
                series->mean_ns / 1e6);
        for (size_t i = 0; i < sizeof values_ns / sizeof values_ns[0]; i++)
            fprintf(out, "<td>%.3f</td>", (double)values_ns[i] / 1e6);
        fputs("</tr>\n", out);
    }
    fputs("</tbody>\n</table>\n", out);
}

static bool ends_in(const char *path, const char *ending)
{
    size_t bytes = strlen(path), ending_bytes = strlen(ending);

    return bytes > ending_bytes && strcasecmp(path + bytes - ending_bytes, ending) == 0;
}

roan_status roan_bench_plot_check_path(const char *path, roan_error *reterr)
{
    if (ends_in(path, ".svg") || ends_in(path, ".html") || ends_in(path, ".htm"))
        return ROAN_OK;
    return roan_error_set(reterr, ROAN_E_INVALID, "--plot: '%s' ends neither in .svg nor in .html",
                          path);
}

roan_status roan_bench_plot_write(const roan_bench_plot *plot, const char *path,
                                  const char *subtitle, roan_error *reterr)
{
    FILE *out = fopen(path, "we");
    bool is_written;

    if (out == NULL)
        return roan_error_set_errno(reterr, errno, "--plot: '%s'", path);
    if (ends_in(path, ".svg")) {
        draw_picture(out, plot, subtitle);
    } else {
        roan_svg_page_begin(out, "roan bench");
        draw_picture(out, plot, subtitle);
        write_table(out, plot);
        roan_svg_page_end(out);
    }
    is_written = ferror(out) == 0;
    if (fclose(out) != 0 || !is_written)
        return roan_error_set_errno(reterr, errno, "--plot: '%s'", path);
    return ROAN_OK;
}
