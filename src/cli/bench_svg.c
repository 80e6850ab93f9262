/* cli/bench_svg.c: the drawing words of --plot.
 *
 * Every function writes its elements at once; there is no document in memory. Coordinates are
 * rounded to a tenth of a pixel. Looks are CSS classes only: `ink` for text, `faint` for the names
 * of axes, `grid`, `frame`, and s0 to s7 for series, each with a light and a dark value whose
 * contrast to its background is at least 4.5. */
#include "cli/bench_svg.h"

#include <math.h>
#include <string.h>

#define COLOUR_COUNT 8
#define DASH_COUNT 4
#define LEGEND_CHARACTERS_MAX 36

static const char *const LIGHT[COLOUR_COUNT] = {"#0b66b2", "#c2410c", "#0f7b55", "#9d2f86",
                                                "#8a6a00", "#5b5bd6", "#b4233c", "#4d5a66"};
static const char *const DARK[COLOUR_COUNT] = {"#5cb3ff", "#ff9a5c", "#4cd39b", "#e58ad2",
                                               "#e6c245", "#a5a5ff", "#ff8092", "#aebac6"};
static const char *const DASHES[DASH_COUNT] = {"none", "7 3", "2 3", "9 3 2 3"};

void roan_svg_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '&': fputs("&amp;", out); break;
        case '"': fputs("&quot;", out); break;
        default: /* control characters have no place in XML; other bytes only when they are ASCII */
            putc(*text < 0x20 || *text == 0x7f ? '?' : *text, out);
        }
    }
}

static void write_style(FILE *out)
{
    fputs("<style>\n"
          "text{font-family:system-ui,'Segoe UI',Helvetica,Arial,sans-serif;font-size:12px}\n"
          ".title{font-size:20px;font-weight:600}.heading{font-size:14px;font-weight:600}\n"
          ".ink{fill:#1c2126}.faint{fill:#59636e}.paper{fill:#ffffff}\n"
          ".grid{stroke:#e3e7eb;fill:none}.frame{stroke:#9aa4ae;fill:none}\n"
          ".line{fill:none;stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}\n"
          ".line:hover{stroke-width:3.5}\n", out);
    for (size_t i = 0; i < COLOUR_COUNT; i++)
        fprintf(out, ".s%zu{stroke:%s}\n", i, LIGHT[i]);
    fputs("@media (prefers-color-scheme:dark){\n"
          ".ink{fill:#e8ecf0}.faint{fill:#a3adb8}.paper{fill:#14181c}\n"
          ".grid{stroke:#2a3138}.frame{stroke:#5b6671}\n", out);
    for (size_t i = 0; i < COLOUR_COUNT; i++)
        fprintf(out, ".s%zu{stroke:%s}\n", i, DARK[i]);
    fputs("}\n</style>\n", out);
}

static void write_label(FILE *out, double x, double y, const char *class, const char *anchor,
                        const char *text)
{
    fprintf(out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", class, x, y,
            anchor);
    roan_svg_text(out, text);
    fputs("</text>\n", out);
}

static void write_rule(FILE *out, double x1, double y1, double x2, double y2)
{
    fprintf(out, "<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", x1, y1,
            x2, y2);
}

void roan_svg_begin(FILE *out, double width, double height, const char *title,
                    const char *subtitle)
{
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
            "height=\"%.0f\" role=\"img\">\n<title>",
            width, height, width, height);
    roan_svg_text(out, title);
    fputs("</title>\n", out);
    write_style(out);
    fprintf(out, "<rect class=\"paper\" width=\"%.0f\" height=\"%.0f\"/>\n", width, height);
    write_label(out, 24, 36, "ink title", "start", title);
    write_label(out, 24, 58, "faint", "start", subtitle);
}

void roan_svg_end(FILE *out)
{
    fputs("</svg>\n", out);
}

void roan_svg_page_begin(FILE *out, const char *title)
{
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width\"/>\n<title>", out);
    roan_svg_text(out, title);
    fputs("</title>\n<style>\n"
          ":root{color-scheme:light dark}\n"
          "body{margin:0 auto;max-width:1040px;background:#ffffff;color:#1c2126;"
          "font:14px/1.5 system-ui,'Segoe UI',Helvetica,Arial,sans-serif}\n"
          "svg{width:100%;height:auto;display:block}\n"
          "table{border-collapse:collapse;width:100%;margin:0 0 32px;"
          "font-variant-numeric:tabular-nums}\n"
          "th,td{padding:4px 8px;border-bottom:1px solid #e3e7eb;text-align:right}\n"
          "th:first-child{text-align:left}tbody th{font-weight:400}\n"
          "@media (prefers-color-scheme:dark){body{background:#14181c;color:#e8ecf0}"
          "th,td{border-color:#2a3138}}\n"
          "</style>\n</head>\n<body>\n", out);
}

void roan_svg_page_end(FILE *out)
{
    fputs("</body>\n</html>\n", out);
}

void roan_svg_panel_begin(FILE *out, const roan_svg_panel *panel, const char *heading,
                          const char *x_name, const char *y_name)
{
    const double middle_y = panel->top + panel->height / 2;
    const double x = panel->left - 58;

    write_label(out, panel->left, panel->top - 12, "ink heading", "start", heading);
    write_label(out, panel->left + panel->width / 2, panel->top + panel->height + 38, "faint",
                "middle", x_name);
    fprintf(out,
            "<text class=\"faint\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" "
            "transform=\"rotate(-90 %.1f %.1f)\">",
            x, middle_y, x, middle_y);
    roan_svg_text(out, y_name);
    fputs("</text>\n", out);
    fprintf(out, "<rect class=\"frame\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
            panel->left, panel->top, panel->width, panel->height);
}

static double place_x(const roan_svg_panel *panel, double x)
{
    return panel->left + panel->width * (x - panel->x_min) / (panel->x_max - panel->x_min);
}

static double place_y(const roan_svg_panel *panel, double y)
{
    return panel->top + panel->height * (panel->y_max - y) / (panel->y_max - panel->y_min);
}

static const double STEPS[] = {1, 2, 5};

void roan_svg_log_range(double low, double high, double *ret_min, double *ret_max)
{
    double decade_low = pow(10, floor(log10(low)));
    double decade_high = pow(10, floor(log10(high)));

    *ret_min = log10(decade_low);
    *ret_max = log10(decade_high * 10);
    for (size_t i = 0; i < 3; i++) {
        if (decade_low * STEPS[i] <= low)
            *ret_min = log10(decade_low * STEPS[i]);
        if (decade_high * STEPS[2 - i] >= high)
            *ret_max = log10(decade_high * STEPS[2 - i]);
    }
    if (*ret_max - *ret_min < 0.3)
        *ret_max = *ret_min + 0.31;
}

void roan_svg_log_axis_y(FILE *out, const roan_svg_panel *panel)
{
    const double range = panel->y_max - panel->y_min;

    for (int decade = (int)floor(panel->y_min + 1e-9); decade <= panel->y_max + 1e-9; decade++) {
        for (size_t i = 0; i < 3; i++) {
            double value = pow(10, decade) * STEPS[i];
            double y = place_y(panel, log10(value));
            char label[32];
            if (log10(value) < panel->y_min - 1e-9 || log10(value) > panel->y_max + 1e-9 ||
                (i > 0 && range > 4))
                continue;
            write_rule(out, panel->left, y, panel->left + panel->width, y);
            snprintf(label, sizeof label, "%.6g", value);
            write_label(out, panel->left - 8, y + 4, "ink", "end", label);
        }
    }
}

void roan_svg_nines_axis_x(FILE *out, const roan_svg_panel *panel)
{
    static const struct {
        double percentile;
        const char *label;
    } ticks[] = {{0, "0"},          {50, "50"},         {90, "90"},           {99, "99"},
                 {99.9, "99.9"},    {99.99, "99.99"},   {99.999, "99.999"},   {99.9999, "99.9999"},
                 {99.99999, "99.99999"}};

    for (size_t i = 0; i < sizeof ticks / sizeof ticks[0]; i++) {
        double nines = -log10(1 - ticks[i].percentile / 100);
        double x = place_x(panel, nines);
        char label[32];
        if (nines > panel->x_max + 1e-6)
            break;
        write_rule(out, x, panel->top, x, panel->top + panel->height);
        snprintf(label, sizeof label, "%s %%", ticks[i].label);
        write_label(out, x, panel->top + panel->height + 18, "ink", "middle", label);
    }
}

/* A step of 1, 2 or 5 times a power of ten that cuts the range into about `parts`. */
static double linear_step(double range, double parts)
{
    double decade = pow(10, floor(log10(range / parts)));

    for (size_t i = 0; i < 3; i++)
        if (range / (decade * STEPS[i]) <= parts)
            return decade * STEPS[i];
    return decade * 10;
}

void roan_svg_linear_axis_x(FILE *out, const roan_svg_panel *panel)
{
    const double step = linear_step(panel->x_max - panel->x_min, 8);

    for (int i = 0; i * step <= panel->x_max * (1 + 1e-9); i++) {
        double x = place_x(panel, i * step);
        char label[32];
        write_rule(out, x, panel->top, x, panel->top + panel->height);
        snprintf(label, sizeof label, "%.6g", i * step);
        write_label(out, x, panel->top + panel->height + 18, "ink", "middle", label);
    }
}

static void format_rate(char *label, size_t capacity, double rate)
{
    if (rate >= 1e6)
        snprintf(label, capacity, "%.4gM", rate / 1e6);
    else if (rate >= 1e3)
        snprintf(label, capacity, "%.4gk", rate / 1e3);
    else
        snprintf(label, capacity, "%.4g", rate);
}

double roan_svg_linear_axis_y(FILE *out, const roan_svg_panel *panel)
{
    const double step = linear_step(panel->y_max - panel->y_min, 6);
    const int count = (int)ceil(panel->y_max / step - 1e-9);
    roan_svg_panel moved = *panel;

    moved.y_max = count * step;
    for (int i = 0; i <= count; i++) {
        double y = place_y(&moved, i * step);
        char label[32];
        write_rule(out, panel->left, y, panel->left + panel->width, y);
        format_rate(label, sizeof label, i * step);
        write_label(out, panel->left - 8, y + 4, "ink", "end", label);
    }
    return moved.y_max;
}

static void write_line_class(FILE *out, size_t index)
{
    fprintf(out, "class=\"line s%zu\" stroke-dasharray=\"%s\"", index % COLOUR_COUNT,
            DASHES[index / COLOUR_COUNT % DASH_COUNT]);
}

void roan_svg_line_begin(FILE *out, size_t index, const char *title)
{
    fputs("<g><title>", out);
    roan_svg_text(out, title);
    fputs("</title><polyline ", out);
    write_line_class(out, index);
    fputs(" points=\"", out);
}

void roan_svg_line_point(FILE *out, const roan_svg_panel *panel, double x, double y)
{
    fprintf(out, "%.1f,%.1f ", place_x(panel, x), place_y(panel, y));
}

void roan_svg_line_end(FILE *out)
{
    fputs("\"/></g>\n", out);
}

void roan_svg_legend_entry(FILE *out, double left, double top, size_t index, const char *title)
{
    char shortened[LEGEND_CHARACTERS_MAX + 4];
    size_t bytes = strlen(title);

    fprintf(out, "<line ");
    write_line_class(out, index);
    fprintf(out, " x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", left, top, left + 26, top);
    if (bytes > LEGEND_CHARACTERS_MAX)
        snprintf(shortened, sizeof shortened, "%.*s...", LEGEND_CHARACTERS_MAX, title);
    else
        snprintf(shortened, sizeof shortened, "%s", title);
    write_label(out, left + 34, top + 4, "ink", "start", shortened);
}
