/* engine/cmd/geo_search.c: which members are in an area: GEOSEARCH, GEOSEARCHSTORE, and GEORADIUS and its older
 * relatives.
 *
 * One search serves all: arguments become a shape, the shape the cells of the map that cover it
 * (types/geohash_shape.h), a cell is a range of scores, and what lies in the range is looked at. What is inside is
 * kept with a copy of its name, then sorted, cut, and sent or stored, possibly in the place of the sorted set that
 * was searched.
 *
 * Results without an order come as they are found, which is the order of the reference.
 */
#include "engine/cmd/geo.h"

#include "base/sort.h"
#include "engine/command_keys.h"
#include "types/geohash_shape.h"

#define VERTICES_MIN 3

typedef enum search_order { UNSORTED, NEAREST_FIRST, FARTHEST_FIRST } search_order;

/* What a command's words may be. */
typedef struct search_syntax {
    size_t options;      /* index of the first option */
    bool is_free;        /* GEOSEARCH: centre and shape are options */
    bool may_store;      /* has the options STORE and STOREDIST */
    size_t store_index;  /* the key to store to stands here; 0: nowhere */
} search_syntax;

typedef struct search_result {
    double distance_m;
    double score;
    roan_geo_point point;
    size_t found;        /* results before this one */
    size_t member_at;    /* in the buffer */
    size_t member_bytes;
} search_result;

typedef struct geo_search {
    roan_geo_shape shape;
    roan_geo_point *vertices;
    bool from_member, from_point, has_shape;
    bool with_distance, with_hash, with_point, is_any, stores_distance;
    search_order order;
    size_t store_index;  /* argument; 0: the results are sent */
    int64_t count;       /* 0: all */

    search_result *results;
    size_t result_count, capacity;
    roan_buffer members;
} geo_search;

static void search_done(geo_search *search)
{
    roan_free(search->vertices, search->shape.vertex_count * sizeof *search->vertices);
    roan_free(search->results, search->capacity * sizeof *search->results);
    roan_buffer_done(&search->members);
}

/* ---- arguments ---- */

static bool parse_length(roan_call *call, size_t index, const char *error, double *ret_length)
{
    return roan_call_double(call, index, ret_length, error);
}

static bool parse_circle(roan_call *call, size_t index, geo_search *search)
{
    roan_geo_shape *shape = &search->shape;
    if (!parse_length(call, index, "ERR need numeric radius", &shape->radius))
        return false;
    if (shape->radius < 0) {
        roan_call_error(call, "ERR radius cannot be negative");
        return false;
    }
    shape->kind = ROAN_GEO_CIRCLE;
    search->has_shape = true;
    return roan_geo_parse_unit(call, index + 1, &shape->unit_m);
}

static bool parse_box(roan_call *call, size_t index, geo_search *search)
{
    roan_geo_shape *shape = &search->shape;
    if (!parse_length(call, index, "ERR need numeric width", &shape->width) ||
        !parse_length(call, index + 1, "ERR need numeric height", &shape->height))
        return false;
    if (shape->width < 0 || shape->height < 0) {
        roan_call_error(call, "ERR height or width cannot be negative");
        return false;
    }
    shape->kind = ROAN_GEO_BOX;
    search->has_shape = true;
    return roan_geo_parse_unit(call, index + 2, &shape->unit_m);
}

/* The number of vertices in argv[index], then the vertices; *ret_words is how many words that is. */
static bool parse_polygon(roan_call *call, size_t index, geo_search *search, size_t *ret_words)
{
    roan_geo_shape *shape = &search->shape;
    int64_t count;
    if (!roan_parse_i64(call->argv[index], &count) || count > INT32_MAX || count < INT32_MIN) {
        roan_call_error(call, "ERR invalid number of vertices");
        return false;
    }
    if (count < VERTICES_MIN || (size_t)count > (call->argc - index - 1) / 2) {
        roan_call_error(call, "ERR GEOSEARCH BYPOLYGON must have at least 3 vertices");
        return false;
    }
    roan_free(search->vertices, shape->vertex_count * sizeof *search->vertices);
    shape->vertex_count = (size_t)count;
    search->vertices = roan_alloc(shape->vertex_count * sizeof *search->vertices);
    for (size_t i = 0; i < shape->vertex_count; i++)
        if (!roan_geo_parse_point(call, index + 1 + 2 * i, &search->vertices[i]))
            return false;
    shape->vertices = search->vertices;
    shape->kind = ROAN_GEO_POLYGON;
    shape->unit_m = 1;
    search->has_shape = true;
    *ret_words = 1 + 2 * shape->vertex_count;
    return true;
}

/* With no sorted set to look the member up in, the rest of the words is still checked. */
static bool parse_member(roan_call *call, size_t index, const roan_place *place, geo_search *search)
{
    search->from_member = true;
    if (place->entry == NULL ||
        roan_geo_member_point(roan_place_value(place), call->argv[index], &search->shape.center))
        return true;
    roan_call_error_printf(call, "ERR member %.*s does not exist", ROAN_SLICE_ARG(call->argv[index]));
    return false;
}

static bool parse_count(roan_call *call, size_t index, geo_search *search)
{
    if (!roan_call_integer(call, index, &search->count, NULL))
        return false;
    if (search->count > 0)
        return true;
    roan_call_error(call, "ERR COUNT must be > 0");
    return false;
}

/* Options of one word. */
static bool parse_flag(const roan_call *call, size_t index, const search_syntax *syntax, geo_search *search)
{
    if (roan_call_is(call, index, "WITHDIST"))
        search->with_distance = true;
    else if (roan_call_is(call, index, "WITHHASH"))
        search->with_hash = true;
    else if (roan_call_is(call, index, "WITHCOORD"))
        search->with_point = true;
    else if (roan_call_is(call, index, "ANY"))
        search->is_any = true;
    else if (roan_call_is(call, index, "ASC"))
        search->order = NEAREST_FIRST;
    else if (roan_call_is(call, index, "DESC"))
        search->order = FARTHEST_FIRST;
    else if (syntax->is_free && syntax->store_index != 0 && roan_call_is(call, index, "STOREDIST"))
        search->stores_distance = true;
    else
        return false;
    return true;
}

/* COUNT, STORE and STOREDIST with their value. Returns how many words there are behind the first; -1 after an error was
 * sent, 0 when it is none of these. */
static int parse_pair(roan_call *call, size_t index, const search_syntax *syntax, geo_search *search)
{
    if (index + 1 >= call->argc)
        return 0;
    if (roan_call_is(call, index, "COUNT"))
        return parse_count(call, index + 1, search) ? 1 : -1;
    bool stores_distance = roan_call_is(call, index, "STOREDIST");
    if (!syntax->may_store || (!stores_distance && !roan_call_is(call, index, "STORE")))
        return 0;
    search->stores_distance = stores_distance;
    search->store_index = index + 1;
    return 1;
}

/* Centre and shape of GEOSEARCH; the same results. A polygon has no other shape and no centre beside it. */
static int parse_area(roan_call *call, size_t index, const roan_place *place, geo_search *search)
{
    size_t words = call->argc - index - 1;
    bool is_polygon = search->has_shape && search->shape.kind == ROAN_GEO_POLYGON;
    bool is_circle = search->has_shape && search->shape.kind == ROAN_GEO_CIRCLE;
    bool is_box = search->has_shape && search->shape.kind == ROAN_GEO_BOX;
    if (words >= 1 && roan_call_is(call, index, "FROMMEMBER") && !search->from_point && !is_polygon)
        return parse_member(call, index + 1, place, search) ? 1 : -1;
    if (words >= 2 && roan_call_is(call, index, "FROMLONLAT") && !search->from_member && !is_polygon) {
        search->from_point = true;
        return roan_geo_parse_point(call, index + 1, &search->shape.center) ? 2 : -1;
    }
    if (words >= 2 && roan_call_is(call, index, "BYRADIUS") && !is_box && !is_polygon)
        return parse_circle(call, index + 1, search) ? 2 : -1;
    if (words >= 3 && roan_call_is(call, index, "BYBOX") && !is_circle && !is_polygon)
        return parse_box(call, index + 1, search) ? 3 : -1;
    if (words >= 2 && roan_call_is(call, index, "BYPOLYGON") && !is_circle && !is_box && !search->from_member &&
        !search->from_point) {
        size_t used;
        return parse_polygon(call, index + 1, search, &used) ? (int)used : -1;
    }
    return 0;
}

static bool parse_options(roan_call *call, const search_syntax *syntax, const roan_place *place, geo_search *search)
{
    search->store_index = syntax->store_index;
    for (size_t i = syntax->options; i < call->argc; i++) {
        if (parse_flag(call, i, syntax, search))
            continue;
        int words = parse_pair(call, i, syntax, search);
        if (words == 0 && syntax->is_free)
            words = parse_area(call, i, place, search);
        if (words == 0)
            roan_call_syntax_error(call);
        if (words <= 0)
            return false;
        i += (size_t)words;
    }
    return true;
}

/* What contradicts itself, or is missing. */
static bool check_options(roan_call *call, const search_syntax *syntax, const geo_search *search)
{
    bool is_polygon = search->has_shape && search->shape.kind == ROAN_GEO_POLYGON;
    if (search->store_index != 0 && (search->with_distance || search->with_hash || search->with_point))
        roan_call_error_printf(call, "ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                               syntax->is_free ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
    else if (syntax->is_free && !search->from_member && !search->from_point && !is_polygon)
        roan_call_error_printf(call, "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %.*s",
                               ROAN_SLICE_ARG(call->argv[0]));
    else if (syntax->is_free && !search->has_shape)
        roan_call_error_printf(call, "ERR exactly one of BYRADIUS, BYBOX and BYPOLYGON can be specified for %.*s",
                               ROAN_SLICE_ARG(call->argv[0]));
    else if (search->is_any && search->count == 0)
        roan_call_error(call, "ERR the ANY argument requires COUNT argument");
    return !call->has_failed;
}

/* ---- finding ---- */

static void keep(geo_search *search, const roan_zset_item *item, roan_geo_point point, double distance_m)
{
    if (search->result_count == search->capacity) {
        size_t capacity = ROAN_MAX(search->capacity * 2, 16u);
        search->results = roan_realloc(search->results, search->capacity * sizeof *search->results,
                                       capacity * sizeof *search->results);
        search->capacity = capacity;
    }
    search->results[search->result_count] = (search_result){.distance_m = distance_m,
                                                            .score = item->score,
                                                            .point = point,
                                                            .found = search->result_count,
                                                            .member_at = search->members.bytes,
                                                            .member_bytes = item->member.bytes};
    search->result_count++;
    roan_buffer_append_slice(&search->members, item->member);
}

static bool is_full(const geo_search *search)
{
    return search->is_any && search->result_count >= (uint64_t)search->count;
}

static void find_in_cell(geo_search *search, roan_value value, roan_geo_cell cell)
{
    double first, end, distance_m;
    roan_zset_iterator iterator;
    roan_zset_item item;
    roan_geo_cell_scores(cell, &first, &end);
    roan_ordered_bound bound = {.score = first, .has_score = true};
    roan_zset_iterator_init(&iterator, value, roan_zset_rank_before(value, &bound), false);
    while (!is_full(search) && roan_zset_next(&iterator, &item) && item.score < end) {
        roan_geo_point point = roan_geo_point_of(item.score);
        if (roan_geo_shape_contains(&search->shape, point, &distance_m))
            keep(search, &item, point, distance_m);
    }
}

static void find_all(geo_search *search, roan_value value)
{
    roan_geo_cover cover;
    roan_geo_shape_prepare(&search->shape);
    roan_geo_shape_cover(&search->shape, &cover);
    for (unsigned i = 0; i < cover.count; i++)
        find_in_cell(search, value, cover.cells[i]);
}

/* ---- order ---- */

static int compare_found(const search_result *a, const search_result *b)
{
    return a->found < b->found ? -1 : a->found > b->found;
}

static int compare_nearest(const void *left, const void *right, ROAN_MAYBE_UNUSED void *context)
{
    const search_result *a = left, *b = right;
    if (a->distance_m != b->distance_m)
        return a->distance_m < b->distance_m ? -1 : 1;
    return compare_found(a, b);
}

static int compare_farthest(const void *left, const void *right, ROAN_MAYBE_UNUSED void *context)
{
    const search_result *a = left, *b = right;
    if (a->distance_m != b->distance_m)
        return a->distance_m > b->distance_m ? -1 : 1;
    return compare_found(a, b);
}

/* Sorts and cuts as asked. */
static void arrange(geo_search *search)
{
    size_t count = search->result_count, wanted = count;
    if (search->count > 0 && (uint64_t)search->count < count)
        wanted = (size_t)search->count;
    if (search->order == UNSORTED && search->count > 0 && !search->is_any)
        search->order = NEAREST_FIRST;
    if (search->order != UNSORTED)
        roan_sort_first(search->results, count, sizeof *search->results, wanted,
                        search->order == NEAREST_FIRST ? compare_nearest : compare_farthest, NULL);
    search->result_count = wanted;
}

/* ---- answering ---- */

static roan_slice member_of(const geo_search *search, const search_result *result)
{
    return roan_slice_make(search->members.data + result->member_at, result->member_bytes);
}

/* Scores need not be positions. */
static int64_t score_as_integer(double score)
{
    return score >= -0x1p63 && score < 0x1p63 ? (int64_t)score : INT64_MIN;
}

static void send_results(roan_call *call, const geo_search *search)
{
    size_t extras = (size_t)search->with_distance + search->with_hash + search->with_point;
    roan_out_array(call->out, search->result_count);
    for (size_t i = 0; i < search->result_count; i++) {
        const search_result *result = &search->results[i];
        if (extras > 0)
            roan_out_array(call->out, 1 + extras);
        roan_out_bulk(call->out, member_of(search, result));
        if (search->with_distance)
            roan_geo_send_distance(call, result->distance_m / search->shape.unit_m);
        if (search->with_hash)
            roan_out_integer(call->out, score_as_integer(result->score));
        if (search->with_point)
            roan_geo_send_point(call, result->point);
    }
}

static roan_value make_zset(const roan_call *call, const geo_search *search)
{
    const roan_type_context *types = &call->engine->types;
    size_t longest = 0;
    for (size_t i = 0; i < search->result_count; i++)
        longest = ROAN_MAX(longest, search->results[i].member_bytes);
    roan_value value = roan_zset_create_for(types, search->result_count, longest);
    for (size_t i = 0; i < search->result_count; i++) {
        const search_result *result = &search->results[i];
        double score = search->stores_distance ? result->distance_m / search->shape.unit_m : result->score;
        roan_zset_add(&value, types, member_of(search, result), score);
    }
    return value;
}

/* The results as a sorted set, in place of whatever the key held; without results the key goes. */
static void store_results(roan_call *call, const geo_search *search, const char *event)
{
    roan_place place;
    roan_call_find_write(call, search->store_index, &place);
    if (search->result_count > 0) {
        roan_place_create(call, &place, ROAN_TYPE_ZSET, make_zset(call, search), ROAN_EXPIRY_NONE);
        roan_call_changed(call, &place, ROAN_EVENT_ZSET, event);
        call->dirty += search->result_count - 1;
    } else if (place.entry != NULL) {
        roan_place_delete(call, &place, call->engine->config.lazyfree_lazy_server_del);
        roan_call_changed(call, &place, ROAN_EVENT_GENERIC, "del");
    }
    roan_out_integer(call->out, (int64_t)search->result_count);
}

static void finish(roan_call *call, const search_syntax *syntax, const roan_place *place, geo_search *search)
{
    if (!parse_options(call, syntax, place, search) || !check_options(call, syntax, search))
        return;
    if (place->entry != NULL) {
        find_all(search, roan_place_value(place));
        arrange(search);
    }
    if (search->store_index == 0)
        send_results(call, search);
    else
        store_results(call, search, syntax->is_free ? "geosearchstore" : "georadiusstore");
}

/* ---- commands ---- */

static bool find_source(roan_call *call, size_t index, roan_place *place)
{
    roan_call_find_read(call, index, place);
    return roan_call_is_type(call, place, ROAN_TYPE_ZSET);
}

static void search_freely(roan_call *call, size_t source_index, size_t store_index)
{
    search_syntax syntax = {.options = source_index + 1, .is_free = true, .store_index = store_index};
    geo_search search = {0};
    roan_place place;
    if (!find_source(call, source_index, &place))
        return;
    finish(call, &syntax, &place, &search);
    search_done(&search);
}

static void search_around_point(roan_call *call, bool may_store)
{
    search_syntax syntax = {.options = 6, .may_store = may_store};
    geo_search search = {0};
    roan_place place;
    if (!find_source(call, 1, &place))
        return;
    if (roan_geo_parse_point(call, 2, &search.shape.center) && parse_circle(call, 4, &search))
        finish(call, &syntax, &place, &search);
    search_done(&search);
}

static void search_around_member(roan_call *call, bool may_store)
{
    search_syntax syntax = {.options = 5, .may_store = may_store};
    geo_search search = {0};
    roan_place place;
    if (!find_source(call, 1, &place))
        return;
    if (place.entry == NULL || (parse_member(call, 2, &place, &search) && parse_circle(call, 3, &search)))
        finish(call, &syntax, &place, &search);
    search_done(&search);
}

ROAN_COMMAND(geosearch, .arity = -7, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_GEO, .since = "6.2.0",
             .complexity = "O(N+log(M)) for N members in the squares around the area, and M members in all.",
             .summary = "Finds members in a circle, a box or a polygon.",
             .arguments = "key:key [from<FROMMEMBER member|FROMLONLAT fromlonlat{longitude:double latitude:double}>] "
                          "by<circle{BYRADIUS radius:double unit<M|KM|FT|MI>}|"
                          "box{BYBOX width:double height:double unit<M|KM|FT|MI>}|"
                          "polygon^9.0.0{BYPOLYGON num-vertices:integer "
                          "vertices{longitude:double latitude:double}...}> "
                          "[order<ASC|DESC>] [count-block{COUNT count:integer [ANY]}] "
                          "[WITHCOORD] [WITHDIST] [WITHHASH]",
             .history = "7.0.0|Units may be in upper case.\n9.0.0|Option BYPOLYGON.")
{
    search_freely(call, 1, 0);
}

ROAN_COMMAND(geosearchstore, .arity = -8, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_OW | ROAN_KEY_UPDATE), ROAN_KEY(2, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_GEO, .since = "6.2.0",
             .complexity = "O(N+log(M)) for N members in the squares around the area, and M members in all.",
             .summary = "Stores the members in a circle, a box or a polygon as a sorted set.",
             .arguments = "destination:key source:key "
                          "[from<FROMMEMBER member|FROMLONLAT fromlonlat{longitude:double latitude:double}>] "
                          "by<circle{BYRADIUS radius:double unit<M|KM|FT|MI>}|"
                          "box{BYBOX width:double height:double unit<M|KM|FT|MI>}|"
                          "polygon^9.0.0{BYPOLYGON num-vertices:integer "
                          "vertices{longitude:double latitude:double}...}> "
                          "[order<ASC|DESC>] [count-block{COUNT count:integer [ANY]}] [STOREDIST]",
             .history = "7.0.0|Units may be in upper case.\n9.0.0|Option BYPOLYGON.")
{
    search_freely(call, 2, 1);
}

ROAN_COMMAND(georadius, .arity = -6, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS),
                      ROAN_KEYWORD("STORE", 6, 0, 1, 0, ROAN_KEY_OW | ROAN_KEY_UPDATE | ROAN_KEY_VARIABLE_FLAGS),
                      ROAN_KEYWORD("STOREDIST", 6, 0, 1, 0, ROAN_KEY_OW | ROAN_KEY_UPDATE | ROAN_KEY_VARIABLE_FLAGS)},
             .find_keys = roan_find_keys_georadius, .group = ROAN_GROUP_GEO, .since = "3.2.0",
             .complexity = "O(N+log(M)) for N members in the squares around the circle, and M members in all.",
             .summary = "Finds members around a position, or stores them as a sorted set.",
             .arguments = "key:key longitude:double latitude:double radius:double unit<M|KM|FT|MI> [WITHCOORD] "
                          "[WITHDIST] [WITHHASH] [count-block{COUNT count:integer [ANY^6.2.0]}] [order<ASC|DESC>] "
                          "[store<STORE storekey:key#1=key|STOREDIST storedistkey:key#2=key>]",
             .history = "6.2.0|Option ANY of COUNT.\n7.0.0|Units may be in upper case.")
{
    search_around_point(call, true);
}

ROAN_COMMAND(georadius_ro, .arity = -6, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_GEO, .since = "3.2.10",
             .complexity = "O(N+log(M)) for N members in the squares around the circle, and M members in all.",
             .summary = "Finds members around a position.",
             .arguments = "key:key longitude:double latitude:double radius:double unit<M|KM|FT|MI> [WITHCOORD] "
                          "[WITHDIST] [WITHHASH] [count-block{COUNT count:integer [ANY^6.2.0]}] [order<ASC|DESC>]",
             .history = "6.2.0|Option ANY of COUNT.\n7.0.0|Units may be in upper case.")
{
    search_around_point(call, false);
}

ROAN_COMMAND(georadiusbymember, .arity = -5, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS),
                      ROAN_KEYWORD("STORE", 5, 0, 1, 0, ROAN_KEY_OW | ROAN_KEY_UPDATE | ROAN_KEY_VARIABLE_FLAGS),
                      ROAN_KEYWORD("STOREDIST", 5, 0, 1, 0, ROAN_KEY_OW | ROAN_KEY_UPDATE | ROAN_KEY_VARIABLE_FLAGS)},
             .find_keys = roan_find_keys_georadius, .group = ROAN_GROUP_GEO, .since = "3.2.0",
             .complexity = "O(N+log(M)) for N members in the squares around the circle, and M members in all.",
             .summary = "Finds members around one of them, or stores them as a sorted set.",
             .arguments = "key:key member radius:double unit<M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] "
                          "[count-block{COUNT count:integer [ANY]}] [order<ASC|DESC>] "
                          "[store<STORE storekey:key#1=key|STOREDIST storedistkey:key#2=key>]",
             .history = "6.2.0|Option ANY of COUNT.\n7.0.0|Units may be in upper case.")
{
    search_around_member(call, true);
}

ROAN_COMMAND(georadiusbymember_ro, .arity = -5, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_GEO, .since = "3.2.10",
             .complexity = "O(N+log(M)) for N members in the squares around the circle, and M members in all.",
             .summary = "Finds members around one of them.",
             .arguments = "key:key member radius:double unit<M|KM|FT|MI> [WITHCOORD] [WITHDIST] [WITHHASH] "
                          "[count-block{COUNT count:integer [ANY]}] [order<ASC|DESC>]",
             .history = "6.2.0|Option ANY of COUNT.\n7.0.0|Units may be in upper case.")
{
    search_around_member(call, false);
}
