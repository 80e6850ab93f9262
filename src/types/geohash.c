/* types/geohash.c: between degrees, cells and scores; distances; see geohash.h.
 *
 * Floating-point work is done in the order in which the reference does it, since every bit of a score counts and
 * distances are compared with limits. Distances follow the haversine formula.
 */
#include "types/geohash.h"

#include "base/macros.h"

#include <math.h>

#define SCORE_STEPS ROAN_GEO_STEPS_MAX
#define RADIANS_PER_DEGREE (M_PI / 180.0)
#define LONGITUDE_EPSILON 1e-15 /* below: the same meridian */
#define TWO_POW_63 9223372036854775808.0

/* ---- bits ---- */

/* The 32 bits to the even places of 64. */
static uint64_t spread_bits(uint32_t half)
{
    uint64_t bits = half;
    bits = (bits | bits << 16) & UINT64_C(0x0000ffff0000ffff);
    bits = (bits | bits << 8) & UINT64_C(0x00ff00ff00ff00ff);
    bits = (bits | bits << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    bits = (bits | bits << 2) & UINT64_C(0x3333333333333333);
    return (bits | bits << 1) & UINT64_C(0x5555555555555555);
}

/* The bits in even places, back in a row. */
static uint32_t gather_bits(uint64_t bits)
{
    bits &= UINT64_C(0x5555555555555555);
    bits = (bits | bits >> 1) & UINT64_C(0x3333333333333333);
    bits = (bits | bits >> 2) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    bits = (bits | bits >> 4) & UINT64_C(0x00ff00ff00ff00ff);
    bits = (bits | bits >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(bits | bits >> 16);
}

static uint64_t cell_bits(roan_geo_cell cell)
{
    return spread_bits(cell.latitude) | spread_bits(cell.longitude) << 1;
}

/* Scores can be anything; what does not fit is what the reference's processors make of it. */
static uint64_t score_bits(double score)
{
    if (score < TWO_POW_63)
        return score >= -TWO_POW_63 ? (uint64_t)(int64_t)score : UINT64_C(1) << 63;
    return score < 2 * TWO_POW_63 ? (uint64_t)score : 0;
}

/* ---- cells ---- */

bool roan_geo_is_valid(roan_geo_point point)
{
    return point.longitude >= -ROAN_GEO_LONGITUDE_MAX && point.longitude <= ROAN_GEO_LONGITUDE_MAX &&
           point.latitude >= -ROAN_GEO_LATITUDE_MAX && point.latitude <= ROAN_GEO_LATITUDE_MAX;
}

/* The place of a value on an axis from -max to max, in cells. */
static uint32_t axis_cell(double value, double max, unsigned steps)
{
    double offset = (value + max) / (max + max);
    return (uint32_t)(offset * (double)(UINT64_C(1) << steps));
}

static double axis_value(uint32_t cell, double max, unsigned steps)
{
    return -max + cell * 1.0 / (double)(UINT64_C(1) << steps) * (max + max);
}

static roan_geo_cell cell_in(roan_geo_point point, double latitude_max, unsigned steps)
{
    return (roan_geo_cell){axis_cell(point.longitude, ROAN_GEO_LONGITUDE_MAX, steps),
                           axis_cell(point.latitude, latitude_max, steps), steps};
}

roan_geo_cell roan_geo_cell_at(roan_geo_point point, unsigned steps)
{
    if (!roan_geo_is_valid(point))
        return (roan_geo_cell){.steps = steps};
    return cell_in(point, ROAN_GEO_LATITUDE_MAX, steps);
}

/* On the upper edge of the map a cell's number is one too high; only a move brings it back. */
static uint32_t move(uint32_t cell, int by, unsigned steps)
{
    return by == 0 ? cell : (cell + (uint32_t)by) & ((UINT32_C(1) << steps) - 1);
}

roan_geo_cell roan_geo_cell_beside(roan_geo_cell cell, int east, int north)
{
    return (roan_geo_cell){move(cell.longitude, east, cell.steps), move(cell.latitude, north, cell.steps), cell.steps};
}

roan_geo_area roan_geo_cell_area(roan_geo_cell cell)
{
    return (roan_geo_area){
        .low = {axis_value(cell.longitude, ROAN_GEO_LONGITUDE_MAX, cell.steps),
                axis_value(cell.latitude, ROAN_GEO_LATITUDE_MAX, cell.steps)},
        .high = {axis_value(cell.longitude + 1, ROAN_GEO_LONGITUDE_MAX, cell.steps),
                 axis_value(cell.latitude + 1, ROAN_GEO_LATITUDE_MAX, cell.steps)},
    };
}

void roan_geo_cell_scores(roan_geo_cell cell, double *ret_first, double *ret_end)
{
    unsigned shift = 2 * (SCORE_STEPS - cell.steps);
    *ret_first = (double)(cell_bits(cell) << shift);
    *ret_end = (double)((cell_bits(cell) + 1) << shift);
}

double roan_geo_score(roan_geo_point point)
{
    ROAN_ASSERT(roan_geo_is_valid(point));
    return (double)cell_bits(roan_geo_cell_at(point, SCORE_STEPS));
}

static double limit(double value, double max)
{
    return value > max ? max : value < -max ? -max : value;
}

roan_geo_point roan_geo_point_of(double score)
{
    uint64_t bits = score_bits(score);
    roan_geo_area area = roan_geo_cell_area((roan_geo_cell){gather_bits(bits >> 1), gather_bits(bits), SCORE_STEPS});
    return (roan_geo_point){limit((area.low.longitude + area.high.longitude) / 2, ROAN_GEO_LONGITUDE_MAX),
                            limit((area.low.latitude + area.high.latitude) / 2, ROAN_GEO_LATITUDE_MAX)};
}

/* ---- distances ---- */

double roan_geo_latitude_distance_m(double a, double b)
{
    return ROAN_GEO_EARTH_RADIUS_M * fabs(b * RADIANS_PER_DEGREE - a * RADIANS_PER_DEGREE);
}

double roan_geo_distance_m(roan_geo_point a, roan_geo_point b)
{
    double across = sin((b.longitude * RADIANS_PER_DEGREE - a.longitude * RADIANS_PER_DEGREE) / 2);
    if (fabs(across) <= LONGITUDE_EPSILON)
        return roan_geo_latitude_distance_m(a.latitude, b.latitude);
    double from = a.latitude * RADIANS_PER_DEGREE, to = b.latitude * RADIANS_PER_DEGREE;
    double along = sin((to - from) / 2);
    double haversine = along * along + cos(from) * cos(to) * across * across;
    return 2.0 * ROAN_GEO_EARTH_RADIUS_M * asin(sqrt(ROAN_MIN(haversine, 1.0))); /* rounding may exceed 1 */
}

/* ---- text ---- */

/* Geohashes count latitudes from pole to pole. There are bits for ten digits and two more; the last digit is always
 * 0. */
void roan_geo_text(char text[ROAN_GEO_TEXT_BYTES], roan_geo_point point)
{
    static const char digits[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    uint64_t bits = cell_bits(cell_in(point, 90.0, SCORE_STEPS));
    for (unsigned i = 0; i < ROAN_GEO_TEXT_BYTES - 1; i++)
        text[i] = digits[bits >> (2 * SCORE_STEPS - 5 * (i + 1)) & 31];
    text[ROAN_GEO_TEXT_BYTES - 1] = digits[0];
}
