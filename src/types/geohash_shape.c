/* types/geohash_shape.c: circles, boxes and polygons; see geohash_shape.h.
 *
 * A shape is covered by the cell its centre is in and the neighbours of that cell, with cells just large enough:
 *
 *      NW  N  NE        The search goes through C N S E W NE NW SE SW. Unsorted results come in that order, and a
 *       W  C  E         limited search ends in the middle of it, so sizes of cells and the order are the reference's.
 *      SW  S  SE
 *
 * When the shape reaches beyond the neighbours (it may, at high latitudes), cells of twice the size are used.
 * Neighbours that the shape does not touch are left out. A polygon around a pole may have its centre off the map:
 * everything is searched.
 */
#include "types/geohash_shape.h"

#include "base/macros.h"

#include <math.h>

#define RADIANS_PER_DEGREE (M_PI / 180.0)
#define MERCATOR_MAX_M 20037726.37 /* half the equator on the map */
#define LATITUDE_NEAR_POLE 66.0    /* meridians are closer together: cells twice as wide, */
#define LATITUDE_AT_POLE 80.0      /* and again */
#define ROUNDING 1.000001          /* more than any error of a computed distance */

static double degrees(double radians)
{
    return radians / RADIANS_PER_DEGREE;
}

/* ---- centre and bounds ---- */

/* What is as high and wide as twice these metres, seen from the centre. */
static void bound_around(roan_geo_shape *shape, double half_height_m, double half_width_m)
{
    roan_geo_point center = shape->center;
    double up = degrees(half_height_m / ROAN_GEO_EARTH_RADIUS_M);
    double nearer_pole = center.latitude < 0 ? center.latitude - up : center.latitude + up;
    double aside = degrees(half_width_m / ROAN_GEO_EARTH_RADIUS_M / cos(nearer_pole * RADIANS_PER_DEGREE));
    shape->bounds = (roan_geo_area){{center.longitude - aside, center.latitude - up},
                                    {center.longitude + aside, center.latitude + up}};
}

static void bound_polygon(roan_geo_shape *shape)
{
    roan_geo_area bounds = {{ROAN_GEO_LONGITUDE_MAX, ROAN_GEO_LATITUDE_MAX},
                            {-ROAN_GEO_LONGITUDE_MAX, -ROAN_GEO_LATITUDE_MAX}};
    for (size_t i = 0; i < shape->vertex_count; i++) {
        roan_geo_point vertex = shape->vertices[i];
        bounds.low.longitude = ROAN_MIN(bounds.low.longitude, vertex.longitude);
        bounds.low.latitude = ROAN_MIN(bounds.low.latitude, vertex.latitude);
        bounds.high.longitude = ROAN_MAX(bounds.high.longitude, vertex.longitude);
        bounds.high.latitude = ROAN_MAX(bounds.high.latitude, vertex.latitude);
    }
    shape->bounds = bounds;
}

/* The direction, seen from the centre of the earth, of the sum of all vertices. */
static roan_geo_point polygon_center(const roan_geo_shape *shape)
{
    double x = 0, y = 0, z = 0;
    for (size_t i = 0; i < shape->vertex_count; i++) {
        double longitude = shape->vertices[i].longitude * RADIANS_PER_DEGREE;
        double latitude = shape->vertices[i].latitude * RADIANS_PER_DEGREE;
        x += cos(latitude) * cos(longitude);
        y += cos(latitude) * sin(longitude);
        z += sin(latitude);
    }
    return (roan_geo_point){degrees(atan2(y, x)), degrees(atan2(z, sqrt(x * x + y * y)))};
}

void roan_geo_shape_prepare(roan_geo_shape *shape)
{
    switch (shape->kind) {
    case ROAN_GEO_CIRCLE:
        bound_around(shape, shape->unit_m * shape->radius, shape->unit_m * shape->radius);
        break;
    case ROAN_GEO_BOX:
        bound_around(shape, shape->unit_m * shape->height / 2, shape->unit_m * shape->width / 2);
        break;
    case ROAN_GEO_POLYGON:
        bound_polygon(shape);
        shape->center = polygon_center(shape);
        break;
    }
}

/* ---- inside? ---- */

/* The way is at least as long as the latitudes are apart, which is found sooner. */
static bool circle_contains(const roan_geo_shape *shape, roan_geo_point point, double *ret_distance_m)
{
    double radius_m = shape->radius * shape->unit_m;
    if (roan_geo_latitude_distance_m(shape->center.latitude, point.latitude) > radius_m * ROUNDING)
        return false;
    *ret_distance_m = roan_geo_distance_m(shape->center, point);
    return !(*ret_distance_m > radius_m);
}

static bool box_contains(const roan_geo_shape *shape, roan_geo_point point, double *ret_distance_m)
{
    double width_m = shape->width * shape->unit_m, height_m = shape->height * shape->unit_m;
    roan_geo_point beside = {shape->center.longitude, point.latitude};
    if (roan_geo_latitude_distance_m(point.latitude, shape->center.latitude) > height_m / 2 ||
        roan_geo_distance_m(point, beside) > width_m / 2)
        return false;
    *ret_distance_m = roan_geo_distance_m(shape->center, point);
    return true;
}

/* Counts the edges that a line from the point to the east crosses (W. R. Franklin's PNPOLY): an odd number, inside. */
static bool polygon_contains(const roan_geo_shape *shape, roan_geo_point point, double *ret_distance_m)
{
    bool is_inside = false;
    roan_geo_point b = shape->vertices[shape->vertex_count - 1];
    for (size_t i = 0; i < shape->vertex_count; i++) {
        roan_geo_point a = shape->vertices[i];
        if ((a.latitude > point.latitude) != (b.latitude > point.latitude)) {
            double crossing = (b.longitude - a.longitude) * (point.latitude - a.latitude) / (b.latitude - a.latitude) +
                              a.longitude;
            is_inside ^= point.longitude < crossing;
        }
        b = a;
    }
    if (is_inside)
        *ret_distance_m = roan_geo_distance_m(shape->center, point);
    return is_inside;
}

bool roan_geo_shape_contains(const roan_geo_shape *shape, roan_geo_point point, double *ret_distance_m)
{
    switch (shape->kind) {
    case ROAN_GEO_CIRCLE:
        return circle_contains(shape, point, ret_distance_m);
    case ROAN_GEO_BOX:
        return box_contains(shape, point, ret_distance_m);
    case ROAN_GEO_POLYGON:
        return polygon_contains(shape, point, ret_distance_m);
    }
    return false;
}

/* ---- cells ---- */

/* How far the shape reaches from its centre. */
static double reach_m(const roan_geo_shape *shape)
{
    double half_width = shape->width / 2, half_height = shape->height / 2, reach = 0;
    roan_geo_point low = shape->bounds.low, high = shape->bounds.high;
    switch (shape->kind) {
    case ROAN_GEO_CIRCLE:
        reach = shape->radius;
        break;
    case ROAN_GEO_BOX:
        reach = sqrt(half_width * half_width + half_height * half_height);
        break;
    case ROAN_GEO_POLYGON: {
        roan_geo_point corners[] = {low, high, {low.longitude, high.latitude}, {high.longitude, low.latitude}};
        for (unsigned i = 0; i < ROAN_COUNT_OF(corners); i++)
            reach = ROAN_MAX(reach, roan_geo_distance_m(shape->center, corners[i]));
        break;
    }
    }
    return reach * shape->unit_m;
}

/* The size of cells of which nine cover a circle of that radius, nearly always. */
static unsigned choose_steps(double radius_m, double latitude)
{
    if (radius_m == 0)
        return ROAN_GEO_STEPS_MAX;
    int steps = -1;
    for (; radius_m < MERCATOR_MAX_M; radius_m *= 2)
        steps++;
    steps -= fabs(latitude) > LATITUDE_NEAR_POLE;
    steps -= fabs(latitude) > LATITUDE_AT_POLE;
    return (unsigned)ROAN_MIN(ROAN_MAX(steps, 1), (int)ROAN_GEO_STEPS_MAX);
}

/* Does the shape reach beyond the neighbours? */
static bool is_too_small(roan_geo_cell cell, const roan_geo_area *bounds)
{
    return roan_geo_cell_area(roan_geo_cell_beside(cell, 0, 1)).high.latitude < bounds->high.latitude ||
           roan_geo_cell_area(roan_geo_cell_beside(cell, 0, -1)).low.latitude > bounds->low.latitude ||
           roan_geo_cell_area(roan_geo_cell_beside(cell, 1, 0)).high.longitude < bounds->high.longitude ||
           roan_geo_cell_area(roan_geo_cell_beside(cell, -1, 0)).low.longitude > bounds->low.longitude;
}

/* Is the neighbour on that side of no use, as the shape ends within the middle cell? */
static bool is_beyond(const roan_geo_area *area, const roan_geo_area *bounds, int east, int north)
{
    return (north < 0 && area->low.latitude < bounds->low.latitude) ||
           (north > 0 && area->high.latitude > bounds->high.latitude) ||
           (east < 0 && area->low.longitude < bounds->low.longitude) ||
           (east > 0 && area->high.longitude > bounds->high.longitude);
}

/* With two cells across the map both neighbours are the same. */
static void add_cell(roan_geo_cover *cover, roan_geo_cell cell)
{
    if (cover->count > 1 && roan_geo_cell_equals(cover->cells[cover->count - 1], cell))
        return;
    cover->cells[cover->count++] = cell;
}

void roan_geo_shape_cover(const roan_geo_shape *shape, roan_geo_cover *cover)
{
    static const int8_t order[ROAN_GEO_COVER_MAX][2] = {{0, 0}, {0, 1},  {0, -1}, {1, 0},  {-1, 0},
                                                        {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
    unsigned steps = roan_geo_is_valid(shape->center) ? choose_steps(reach_m(shape), shape->center.latitude) : 1;
    roan_geo_cell cell = roan_geo_cell_at(shape->center, steps);
    if (steps > 1 && is_too_small(cell, &shape->bounds))
        cell = roan_geo_cell_at(shape->center, --steps);
    roan_geo_area area = roan_geo_cell_area(cell);
    cover->count = 0;
    for (unsigned i = 0; i < ROAN_GEO_COVER_MAX; i++) {
        int east = order[i][0], north = order[i][1];
        if (steps == 1 || !is_beyond(&area, &shape->bounds, east, north))
            add_cell(cover, roan_geo_cell_beside(cell, east, north));
    }
}
