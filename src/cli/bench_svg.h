/* cli/bench_svg.h: lines, axes and a legend as SVG, written as they are drawn. */
#pragma once

#include <stddef.h>
#include <stdio.h>

/* A rectangle on the page with the values at its edges; log10 of them on a logarithmic axis. */
typedef struct roan_svg_panel {
    double left, top, width, height;
    double x_min, x_max, y_min, y_max;
} roan_svg_panel;

/* The svg element with style, background, title and subtitle. */
void roan_svg_begin(FILE *out, double width, double height, const char *title,
                    const char *subtitle);
void roan_svg_end(FILE *out);

/* An HTML page to put the picture and a table into. It is well-formed XML as well. */
void roan_svg_page_begin(FILE *out, const char *title);
void roan_svg_page_end(FILE *out);

/* Text with the characters escaped that mean something in XML. */
void roan_svg_text(FILE *out, const char *text);

/* Frame, heading and the names of the axes. */
void roan_svg_panel_begin(FILE *out, const roan_svg_panel *panel, const char *heading,
                          const char *x_name, const char *y_name);

/* log10 of the bounds that enclose low and high, moved out to steps of 1, 2 and 5. */
void roan_svg_log_range(double low, double high, double *ret_min, double *ret_max);

/* Grid lines and their labels. */
void roan_svg_log_axis_y(FILE *out, const roan_svg_panel *panel);
void roan_svg_nines_axis_x(FILE *out, const roan_svg_panel *panel);
void roan_svg_linear_axis_x(FILE *out, const roan_svg_panel *panel);

/* As above; returns the y_max to draw with, moved up to a grid line. */
double roan_svg_linear_axis_y(FILE *out, const roan_svg_panel *panel);

/* A line of the `index`-th series, point by point. */
void roan_svg_line_begin(FILE *out, size_t index, const char *title);
void roan_svg_line_point(FILE *out, const roan_svg_panel *panel, double x, double y);
void roan_svg_line_end(FILE *out);

/* The key of a series at the given place. */
void roan_svg_legend_entry(FILE *out, double left, double top, size_t index, const char *title);
