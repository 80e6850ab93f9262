/* types/geohash_shape.h: areas to search in: what is inside, and which cells of the map cover them. */
#pragma once

#include "types/geohash.h"

#include <stddef.h>

typedef enum roan_geo_shape_kind {
    ROAN_GEO_CIRCLE,
    ROAN_GEO_BOX,     /* as wide and high as seen from its centre; its sides are bent on the map */
    ROAN_GEO_POLYGON, /* straight on the map */
} roan_geo_shape_kind;

/* The caller fills in the first part. */
typedef struct roan_geo_shape {
    roan_geo_shape_kind kind;
    roan_geo_point center;           /* a polygon's is found by roan_geo_shape_prepare() */
    double unit_m;                   /* metres in one unit of the lengths that follow; a polygon's is 1 */
    double radius;
    double width, height;
    const roan_geo_point *vertices;  /* borrowed */
    size_t vertex_count;             /* at least 3 */

    roan_geo_area bounds;
} roan_geo_shape;

/* The cell of the centre and its eight neighbours, those that matter, in the order in which they are searched. */
#define ROAN_GEO_COVER_MAX 9
typedef struct roan_geo_cover {
    roan_geo_cell cells[ROAN_GEO_COVER_MAX];
    unsigned count;
} roan_geo_cover;

/* Finds centre and bounds. */
void roan_geo_shape_prepare(roan_geo_shape *shape);

/* Is the point inside? *ret_distance_m is that from the centre. */
bool roan_geo_shape_contains(const roan_geo_shape *shape, roan_geo_point point, double *ret_distance_m);

void roan_geo_shape_cover(const roan_geo_shape *shape, roan_geo_cover *cover);
