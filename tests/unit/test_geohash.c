/* test_geohash.c: positions as scores, cells of the map, distances, and areas to search in. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/random.h"
#include "types/geohash.h"
#include "types/geohash_shape.h"

#define POINTS 20000

static double uniform(roan_random *random, double low, double high)
{
    return low + (high - low) * (double)(roan_random_next(random) >> 11) * 0x1p-53;
}

static roan_geo_point any_point(roan_random *random)
{
    return (roan_geo_point){uniform(random, -180, 180), uniform(random, -ROAN_GEO_LATITUDE_MAX, ROAN_GEO_LATITUDE_MAX)};
}

/* What Valkey makes of them. */
static void scores_are_those_of_the_reference(void **state)
{
    (void)state;
    static const struct {
        roan_geo_point point;
        double score;
        const char *text;
    } rows[] = {
        {{13.361389, 38.115556}, 3479099956230698, "sqc8b49rny0"},
        {{15.087269, 37.502669}, 3479447370796909, "sqdtr74hyu0"},
        {{180, ROAN_GEO_LATITUDE_MAX}, 13510798882111488, "bp05b5048p0"},
        {{-180, -ROAN_GEO_LATITUDE_MAX}, 0, "00bh0hbj200"},
    };
    for (size_t i = 0; i < ROAN_COUNT_OF(rows); i++) {
        char text[ROAN_GEO_TEXT_BYTES];
        assert_true(roan_geo_score(rows[i].point) == rows[i].score);
        roan_geo_text(text, roan_geo_point_of(rows[i].score));
        assert_memory_equal(text, rows[i].text, sizeof text);
    }
}

static void points_survive_their_score(void **state)
{
    (void)state;
    roan_random random;
    roan_random_seed(&random, 1);
    for (unsigned i = 0; i < POINTS; i++) {
        roan_geo_point point = any_point(&random), back = roan_geo_point_of(roan_geo_score(point));
        assert_true(fabs(back.longitude - point.longitude) <= 360 * 0x1p-26);
        assert_true(fabs(back.latitude - point.latitude) <= 180 * 0x1p-26);
        assert_true(roan_geo_score(back) == roan_geo_score(point));
        assert_true(roan_geo_distance_m(point, back) < 1);
    }
}

static void any_score_is_somewhere_on_the_map(void **state)
{
    (void)state;
    static const double scores[] = {-1, 0, 0.5, 1e16, 1e18, 9.3e18, 1.8e19, 1e300, INFINITY, -INFINITY, -1e300};
    for (size_t i = 0; i < ROAN_COUNT_OF(scores); i++)
        assert_true(roan_geo_is_valid(roan_geo_point_of(scores[i])));
}

static void invalid_points_are_told(void **state)
{
    (void)state;
    assert_true(roan_geo_is_valid((roan_geo_point){180, 0}));
    assert_false(roan_geo_is_valid((roan_geo_point){180.0000001, 0}));
    assert_false(roan_geo_is_valid((roan_geo_point){0, 85.06}));
    assert_false(roan_geo_is_valid((roan_geo_point){NAN, 0}));
    assert_false(roan_geo_is_valid((roan_geo_point){0, -INFINITY}));
}

static void distances_follow_the_sphere(void **state)
{
    (void)state;
    roan_geo_point palermo = {13.361389, 38.115556}, catania = {15.087269, 37.502669};
    assert_true(fabs(roan_geo_distance_m(palermo, catania) - 166274.15) < 1);
    assert_true(roan_geo_distance_m(palermo, palermo) == 0);
    double half = M_PI * ROAN_GEO_EARTH_RADIUS_M;
    assert_true(fabs(roan_geo_distance_m((roan_geo_point){0, 0}, (roan_geo_point){180, 0}) - half) < 1);
    assert_true(fabs(roan_geo_latitude_distance_m(-45, 45) - half / 2) < 1);
    assert_true(fabs(roan_geo_distance_m((roan_geo_point){7, -45}, (roan_geo_point){7, 45}) - half / 2) < 1);
}

static void cells_contain_their_points(void **state)
{
    (void)state;
    roan_random random;
    roan_random_seed(&random, 2);
    for (unsigned i = 0; i < POINTS; i++) {
        roan_geo_point point = any_point(&random);
        unsigned steps = 1 + (unsigned)roan_random_below(&random, ROAN_GEO_STEPS_MAX);
        roan_geo_cell cell = roan_geo_cell_at(point, steps);
        roan_geo_area area = roan_geo_cell_area(cell);
        double first, end;
        roan_geo_cell_scores(cell, &first, &end);
        double score = roan_geo_score(point);
        assert_true(first <= score && score < end);
        assert_true(area.low.longitude <= point.longitude + 1e-9 && point.longitude <= area.high.longitude + 1e-9);
        assert_true(area.low.latitude <= point.latitude + 1e-9 && point.latitude <= area.high.latitude + 1e-9);
    }
}

static void neighbours_go_around_the_map(void **state)
{
    (void)state;
    roan_geo_cell cell = roan_geo_cell_at((roan_geo_point){179.9, 0.1}, 4);
    roan_geo_cell east = roan_geo_cell_beside(cell, 1, 0);
    assert_int_equal(cell.longitude, 15);
    assert_int_equal(east.longitude, 0);
    assert_true(roan_geo_cell_equals(roan_geo_cell_beside(east, -1, 0), cell));
    assert_int_equal(roan_geo_cell_beside((roan_geo_cell){3, 0, 4}, 1, -1).latitude, 15);
}

/* A cover has every point inside exactly once. The reference's cells do not suffice where a shape crosses the edge of
 * the map or comes close to a pole; those are left out. */
static void check_cover(roan_random *random, roan_geo_shape *shape)
{
    roan_geo_cover cover;
    roan_geo_shape_prepare(shape);
    roan_geo_shape_cover(shape, &cover);
    assert_true(cover.count >= 1 && cover.count <= ROAN_GEO_COVER_MAX);
    roan_geo_area bounds = shape->bounds;
    if (!(bounds.low.longitude > -180 && bounds.high.longitude < 180 && bounds.low.latitude > -80 &&
          bounds.high.latitude < 80))
        return;
    for (unsigned i = 0; i < 50; i++) {
        roan_geo_point point = {uniform(random, bounds.low.longitude, bounds.high.longitude),
                                uniform(random, bounds.low.latitude, bounds.high.latitude)};
        double distance, score = roan_geo_score(point), first, end;
        if (!roan_geo_shape_contains(shape, roan_geo_point_of(score), &distance))
            continue;
        unsigned found = 0;
        for (unsigned j = 0; j < cover.count; j++) {
            roan_geo_cell_scores(cover.cells[j], &first, &end);
            found += first <= score && score < end;
        }
        assert_int_equal(found, 1);
    }
}

static void covers_have_all_points_inside_once(void **state)
{
    (void)state;
    roan_random random;
    roan_random_seed(&random, 3);
    for (unsigned i = 0; i < 3000; i++) {
        roan_geo_point center = {uniform(&random, -180, 180), uniform(&random, -70, 70)};
        double size = pow(10, uniform(&random, 0, 6.3));
        roan_geo_shape circle = {.kind = ROAN_GEO_CIRCLE, .center = center, .unit_m = 1, .radius = size};
        roan_geo_shape box = {.kind = ROAN_GEO_BOX, .center = center, .unit_m = 1, .width = size,
                              .height = size * uniform(&random, 0.1, 2)};
        check_cover(&random, &circle);
        check_cover(&random, &box);
    }
}

static void polygons_have_a_centre_and_an_inside(void **state)
{
    (void)state;
    static const roan_geo_point corners[] = {{10, 10}, {20, 10}, {20, 20}, {15, 15}, {10, 20}};
    roan_geo_shape shape = {.kind = ROAN_GEO_POLYGON, .unit_m = 1, .vertices = corners,
                            .vertex_count = ROAN_COUNT_OF(corners)};
    double distance;
    roan_geo_shape_prepare(&shape);
    assert_true(fabs(shape.center.longitude - 15) < 0.1 && fabs(shape.center.latitude - 15) < 0.2);
    assert_true(shape.bounds.low.longitude == 10 && shape.bounds.high.latitude == 20);
    assert_true(roan_geo_shape_contains(&shape, (roan_geo_point){11, 15}, &distance));
    assert_true(fabs(distance - roan_geo_distance_m(shape.center, (roan_geo_point){11, 15})) < 1e-6);
    assert_true(roan_geo_shape_contains(&shape, (roan_geo_point){19, 18}, &distance));
    assert_false(roan_geo_shape_contains(&shape, (roan_geo_point){15, 18}, &distance)); /* the notch */
    assert_false(roan_geo_shape_contains(&shape, (roan_geo_point){9, 15}, &distance));
    assert_false(roan_geo_shape_contains(&shape, (roan_geo_point){21, 15}, &distance));
}

/* Around the pole the centre is off the map. */
static void a_polygon_around_the_pole_is_searched_everywhere(void **state)
{
    (void)state;
    static const roan_geo_point corners[] = {{-120, 84}, {0, 84}, {120, 84}};
    roan_geo_shape shape = {.kind = ROAN_GEO_POLYGON, .unit_m = 1, .vertices = corners,
                            .vertex_count = ROAN_COUNT_OF(corners)};
    roan_geo_cover cover;
    roan_geo_shape_prepare(&shape);
    assert_false(roan_geo_is_valid(shape.center));
    roan_geo_shape_cover(&shape, &cover);
    assert_int_equal(cover.count, 4);
    for (unsigned i = 0; i < cover.count; i++)
        for (unsigned j = 0; j < i; j++)
            assert_false(roan_geo_cell_equals(cover.cells[i], cover.cells[j]));
}

static void extreme_sizes_are_covered(void **state)
{
    (void)state;
    static const double sizes[] = {0, 1e-300, 1, 2e7, 1e9, 1e300, INFINITY};
    for (size_t i = 0; i < ROAN_COUNT_OF(sizes); i++) {
        roan_geo_shape shape = {.kind = ROAN_GEO_CIRCLE, .center = {0, 85}, .unit_m = 1, .radius = sizes[i]};
        roan_geo_cover cover;
        double distance;
        roan_geo_shape_prepare(&shape);
        roan_geo_shape_cover(&shape, &cover);
        assert_true(cover.count >= 1 && cover.count <= ROAN_GEO_COVER_MAX);
        assert_true(roan_geo_shape_contains(&shape, shape.center, &distance));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_those_of_the_reference),
        cmocka_unit_test(points_survive_their_score),
        cmocka_unit_test(any_score_is_somewhere_on_the_map),
        cmocka_unit_test(invalid_points_are_told),
        cmocka_unit_test(distances_follow_the_sphere),
        cmocka_unit_test(cells_contain_their_points),
        cmocka_unit_test(neighbours_go_around_the_map),
        cmocka_unit_test(covers_have_all_points_inside_once),
        cmocka_unit_test(polygons_have_a_centre_and_an_inside),
        cmocka_unit_test(a_polygon_around_the_pole_is_searched_everywhere),
        cmocka_unit_test(extreme_sizes_are_covered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
