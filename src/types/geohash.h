/* types/geohash.h: places on earth as numbers, the scores of sorted sets with positions.
 *
 * Latitude and longitude are halved again and again; a cell is named by the bits that say which half was taken,
 * longitude in the odd bits, latitude in the even ones. The score of a place has 26 bits of each: 52 bits, exact in a
 * double, cells of about half a metre. Latitudes end at 85.05 degrees, where the map is a square. Numbers, distances
 * and roundings are those of Redis and Valkey.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define ROAN_GEO_LONGITUDE_MAX 180.0
#define ROAN_GEO_LATITUDE_MAX 85.05112878
#define ROAN_GEO_STEPS_MAX 26u
#define ROAN_GEO_EARTH_RADIUS_M 6372797.560856
#define ROAN_GEO_TEXT_BYTES 11u

typedef struct roan_geo_point {
    double longitude, latitude; /* degrees */
} roan_geo_point;

/* A part of the map: `steps` bits of longitude and of latitude. */
typedef struct roan_geo_cell {
    uint32_t longitude, latitude; /* counted from the lower left corner */
    unsigned steps;
} roan_geo_cell;

typedef struct roan_geo_area {
    roan_geo_point low, high;
} roan_geo_area;

/* Is this on the map? */
bool roan_geo_is_valid(roan_geo_point point);

/* The score of a valid point, and the middle of the cell of a score. Any score has one. */
double roan_geo_score(roan_geo_point point);
roan_geo_point roan_geo_point_of(double score);

/* The cell around a point; the one in the corner for an invalid point. */
roan_geo_cell roan_geo_cell_at(roan_geo_point point, unsigned steps);
/* The cell next to it, `east` and `north` are -1, 0 or 1; the map goes on at its other side. */
roan_geo_cell roan_geo_cell_beside(roan_geo_cell cell, int east, int north);
roan_geo_area roan_geo_cell_area(roan_geo_cell cell);
/* The scores in the cell: from *ret_first up to, not including, *ret_end. */
void roan_geo_cell_scores(roan_geo_cell cell, double *ret_first, double *ret_end);

static inline bool roan_geo_cell_equals(roan_geo_cell a, roan_geo_cell b)
{
    return a.longitude == b.longitude && a.latitude == b.latitude && a.steps == b.steps;
}

/* Metres along the surface of a sphere. */
double roan_geo_distance_m(roan_geo_point a, roan_geo_point b);
/* The same between two latitudes. */
double roan_geo_latitude_distance_m(double a, double b);

/* The name that geohash.org gives the place. */
void roan_geo_text(char text[ROAN_GEO_TEXT_BYTES], roan_geo_point point);
