/* engine/cmd/lolwut.c: LOLWUT: a picture made of characters, another one every time, and the version.
 *
 *   VERSION 5 columns rows        a coat: smooth noise, dark and light hairs mixed, as roan horses have it
 *   VERSION 6 columns rows rule   an elementary cellular automaton (rule 0 to 255) from a random first row
 *   VERSION 9 or none             the coat, as large as a terminal
 *   any other                     the version alone
 */
#include "engine/call.h"

#include "base/macros.h"

#if !defined(ROAN_VERSION)
#define ROAN_VERSION "unknown"
#endif

#define COLUMNS_MAX 1000
#define ROWS_MAX 1000
#define PATCH_COLUMNS 9 /* distance of the corners between which the noise is smooth */
#define PATCH_ROWS 5
#define ARGUMENTS_MAX 3

typedef struct drawing {
    int64_t columns, rows, rule;
    roan_random *random;
    roan_buffer *text;
} drawing;

/* ---- coat ---- */

/* A value in [0, 1) that belongs to a corner. */
static double corner_value(uint64_t seed, int64_t x, int64_t y)
{
    uint64_t mixed = seed ^ ((uint64_t)x * 0x9e3779b97f4a7c15ull) ^ ((uint64_t)y * 0xc2b2ae3d27d4eb4full);
    mixed = (mixed ^ (mixed >> 29)) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ (mixed >> 32)) * 0x94d049bb133111ebull;
    return (double)(mixed >> 11) * 0x1p-53;
}

static double blend(double a, double b, double t)
{
    return a + (b - a) * t * t * (3 - 2 * t);
}

static double smooth_noise(uint64_t seed, int64_t column, int64_t row)
{
    int64_t x = column / PATCH_COLUMNS, y = row / PATCH_ROWS;
    double tx = (double)(column % PATCH_COLUMNS) / PATCH_COLUMNS, ty = (double)(row % PATCH_ROWS) / PATCH_ROWS;
    double top = blend(corner_value(seed, x, y), corner_value(seed, x + 1, y), tx);
    double bottom = blend(corner_value(seed, x, y + 1), corner_value(seed, x + 1, y + 1), tx);
    return blend(top, bottom, ty);
}

static void draw_coat(drawing *picture)
{
    static const char hairs[] = " .':;-=+*oO#";
    uint64_t seed = roan_random_next(picture->random);
    for (int64_t row = 0; row < picture->rows; row++) {
        for (int64_t column = 0; column < picture->columns; column++) {
            double grain = (double)(roan_random_next(picture->random) >> 11) * 0x1p-53 - 0.5;
            double shade = smooth_noise(seed, column, row) + grain * 0.25;
            int64_t hair = (int64_t)(shade * (double)(sizeof hairs - 1));
            roan_buffer_append_char(picture->text, hairs[ROAN_MAX(0, ROAN_MIN(hair, (int64_t)sizeof hairs - 2))]);
        }
        roan_buffer_append_char(picture->text, '\n');
    }
}

/* ---- automaton ---- */

static void draw_automaton(drawing *picture)
{
    bool cells[COLUMNS_MAX], next[COLUMNS_MAX];
    size_t columns = (size_t)picture->columns;
    for (size_t i = 0; i < columns; i++)
        cells[i] = roan_random_next(picture->random) & 1;
    for (int64_t row = 0; row < picture->rows; row++) {
        for (size_t i = 0; i < columns; i++) {
            roan_buffer_append_char(picture->text, cells[i] ? '#' : ' ');
            unsigned around = (unsigned)cells[(i + columns - 1) % columns] << 2 | (unsigned)cells[i] << 1 |
                              (unsigned)cells[(i + 1) % columns];
            next[i] = picture->rule >> around & 1;
        }
        memcpy(cells, next, columns * sizeof *cells);
        roan_buffer_append_char(picture->text, '\n');
    }
}

/* ---- the command ---- */

static int64_t clamp(int64_t value, int64_t high)
{
    return ROAN_MAX(1, ROAN_MIN(value, high));
}

/* VERSION n and at most three numbers behind it; false after an error was sent. */
static bool parse_lolwut(roan_call *call, int64_t *version, drawing *picture)
{
    int64_t numbers[ARGUMENTS_MAX] = {picture->columns, picture->rows, picture->rule};
    size_t first = 1;
    *version = 9;
    if (call->argc > 2 && roan_call_is(call, 1, "VERSION")) {
        if (!roan_call_integer(call, 2, version, NULL))
            return false;
        first = 3;
    }
    if (call->argc > first + ARGUMENTS_MAX) {
        roan_call_error(call, "ERR Syntax error. Use: LOLWUT [VERSION version] [columns rows [rule]]");
        return false;
    }
    for (size_t i = first; i < call->argc; i++)
        if (!roan_call_integer(call, i, &numbers[i - first], NULL))
            return false;
    picture->columns = clamp(numbers[0], COLUMNS_MAX);
    picture->rows = clamp(numbers[1], ROWS_MAX);
    picture->rule = numbers[2] & 255;
    return true;
}

ROAN_COMMAND(lolwut, .arity = -1, .flags = ROAN_CMD_READ | ROAN_CMD_FAST, .lock = ROAN_LOCK_L,
             .group = ROAN_GROUP_SERVER, .since = "5.0.0", .complexity = "O(1)",
             .summary = "Draws a picture and names the server's version.",
             .arguments = "[VERSION version:integer]")
{
    int64_t version;
    roan_buffer text = {0};
    drawing picture = {.columns = 72, .rows = 24, .rule = 30, .random = &call->lane->random, .text = &text};
    if (!parse_lolwut(call, &version, &picture))
        return;
    if (version == 5 || version == 9)
        draw_coat(&picture);
    else if (version == 6)
        draw_automaton(&picture);
    roan_buffer_append_text(&text, "Roan ver. " ROAN_VERSION "\n");
    roan_out_verbatim(call->out, "txt", roan_buffer_slice(&text));
    roan_buffer_done(&text);
}
