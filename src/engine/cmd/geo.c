/* engine/cmd/geo.c: positions: GEOADD, GEOPOS, GEODIST, GEOHASH. Searching them is in geo_search.c.
 *
 * Positions are the scores of a sorted set (types/geohash.h): all commands of sorted sets work on them as well, and
 * what others store as scores is a position, too. GEOADD is ZADD with other words, and is repeated by replicas as
 * ZADD.
 */
#include "engine/cmd/geo.h"

#include "engine/command_keys.h"

#include <math.h>

#define DISTANCE_DECIMALS 4
#define DISTANCE_SCALE 10000

/* ---- arguments and replies ---- */

bool roan_geo_parse_point(roan_call *call, size_t index, roan_geo_point *ret_point)
{
    roan_geo_point point;
    if (!roan_call_double(call, index, &point.longitude, NULL) ||
        !roan_call_double(call, index + 1, &point.latitude, NULL))
        return false;
    if (!roan_geo_is_valid(point)) {
        roan_call_error_printf(call, "ERR invalid longitude,latitude pair %f,%f", point.longitude, point.latitude);
        return false;
    }
    *ret_point = point;
    return true;
}

bool roan_geo_parse_unit(roan_call *call, size_t index, double *ret_unit_m)
{
    static const struct {
        const char *name;
        double metres;
    } units[] = {{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};
    for (size_t i = 0; i < ROAN_COUNT_OF(units); i++) {
        if (roan_call_is(call, index, units[i].name)) {
            *ret_unit_m = units[i].metres;
            return true;
        }
    }
    roan_call_error(call, "ERR unsupported unit provided. please use M, KM, FT, MI");
    return false;
}

bool roan_geo_member_point(roan_value value, roan_slice member, roan_geo_point *ret_point)
{
    double score;
    if (!roan_zset_score(value, member, &score))
        return false;
    *ret_point = roan_geo_point_of(score);
    return true;
}

static void send_coordinate(roan_call *call, double value)
{
    char text[ROAN_LONG_DOUBLE_TEXT_MAX];
    roan_out_double_text(call->out, roan_slice_make(text, roan_format_long_double(text, value)));
}

void roan_geo_send_point(roan_call *call, roan_geo_point point)
{
    roan_out_array(call->out, 2);
    send_coordinate(call, point.longitude);
    send_coordinate(call, point.latitude);
}

void roan_geo_send_distance(roan_call *call, double distance)
{
    char text[ROAN_I64_TEXT_MAX + 1 + DISTANCE_DECIMALS];
    uint64_t scaled = (uint64_t)llrint(distance * DISTANCE_SCALE), fraction = scaled % DISTANCE_SCALE;
    size_t bytes = roan_format_u64(text, scaled / DISTANCE_SCALE);
    text[bytes++] = '.';
    for (unsigned i = DISTANCE_DECIMALS; i-- > 0; fraction /= 10)
        text[bytes + i] = (char)('0' + fraction % 10);
    roan_out_bulk(call->out, roan_slice_make(text, bytes + DISTANCE_DECIMALS));
}

/* The sorted set in argv[1] for reading; place->entry is NULL when there is none. False after an error was sent. */
static bool find_positions(roan_call *call, roan_place *place)
{
    roan_call_find_read(call, 1, place);
    return roan_call_is_type(call, place, ROAN_TYPE_ZSET);
}

static bool find_position(const roan_place *place, roan_slice member, roan_geo_point *ret_point)
{
    return place->entry != NULL && roan_geo_member_point(roan_place_value(place), member, ret_point);
}

/* ---- GEOADD ---- */

typedef struct add_options {
    bool if_absent, if_present, counts_changes;
    size_t first, count; /* arguments: the first longitude, and how many positions there are */
} add_options;

#define SCORES_ON_STACK 16

static bool parse_add(roan_call *call, add_options *options)
{
    size_t at = 2;
    for (; at < call->argc; at++) {
        bool *flag = roan_call_is(call, at, "NX")   ? &options->if_absent
                     : roan_call_is(call, at, "XX") ? &options->if_present
                     : roan_call_is(call, at, "CH") ? &options->counts_changes
                                                    : NULL;
        if (flag == NULL)
            break;
        *flag = true;
    }
    options->first = at;
    options->count = (call->argc - at) / 3;
    if (options->count > 0 && (call->argc - at) % 3 == 0 && !(options->if_absent && options->if_present))
        return true;
    roan_call_syntax_error(call);
    return false;
}

static roan_slice added_member(const roan_call *call, const add_options *options, size_t i)
{
    return call->argv[options->first + 3 * i + 2];
}

/* The sorted set as it is, or a new one, ready for the members. */
static roan_value prepare_value(roan_call *call, const roan_place *place, const add_options *options)
{
    size_t longest = 0;
    for (size_t i = 0; i < options->count; i++)
        longest = ROAN_MAX(longest, added_member(call, options, i).bytes);
    if (place->entry == NULL)
        return roan_zset_create_for(&call->engine->types, options->count, longest);
    roan_value value = roan_place_value(place);
    roan_zset_expect(&value, &call->engine->types, options->count, longest);
    return value;
}

/* What replicas do: ZADD key [options] score member ... */
static void effect_zadd(roan_call *call, const add_options *options, const double *scores)
{
    if (call->engine->on_effect == NULL)
        return;
    size_t argc = options->first + 2 * options->count;
    roan_slice *argv = roan_alloc(argc * sizeof *argv);
    char(*texts)[ROAN_I64_TEXT_MAX] = roan_alloc(options->count * sizeof *texts);
    memcpy(argv, call->argv, options->first * sizeof *argv);
    argv[0] = ROAN_LITERAL("ZADD");
    for (size_t i = 0; i < options->count; i++) {
        argv[options->first + 2 * i] = roan_slice_make(texts[i], roan_format_i64(texts[i], (int64_t)scores[i]));
        argv[options->first + 2 * i + 1] = added_member(call, options, i);
    }
    roan_call_effect(call, argc, argv);
    roan_free(texts, options->count * sizeof *texts);
    roan_free(argv, argc * sizeof *argv);
}

/* Adds or moves the members; returns how many were added, and with those how many changed. */
static uint64_t add_members(roan_call *call, roan_value *value, const add_options *options, const double *scores,
                            uint64_t *ret_changes)
{
    uint64_t added = 0, moved = 0;
    for (size_t i = 0; i < options->count; i++) {
        roan_slice member = added_member(call, options, i);
        roan_zset_spot spot;
        bool is_there = roan_zset_find(*value, member, &spot);
        if (is_there ? options->if_absent || spot.score == scores[i] : options->if_present)
            continue;
        roan_zset_put(value, &call->engine->types, member, &spot, scores[i]);
        added += !is_there;
        moved += is_there;
    }
    *ret_changes = added + moved;
    return added;
}

static void add_with_scores(roan_call *call, const add_options *options, double *scores)
{
    roan_place place;
    roan_geo_point point;
    uint64_t changes;
    for (size_t i = 0; i < options->count; i++) {
        if (!roan_geo_parse_point(call, options->first + 3 * i, &point))
            return;
        scores[i] = roan_geo_score(point);
    }
    roan_call_find_write(call, 1, &place);
    if (!roan_call_is_type(call, &place, ROAN_TYPE_ZSET))
        return;
    if (place.entry == NULL && options->if_present) {
        roan_out_integer(call->out, 0);
        return;
    }
    roan_value value = prepare_value(call, &place, options);
    uint64_t added = add_members(call, &value, options, scores, &changes);
    if (place.entry == NULL)
        roan_place_create(call, &place, ROAN_TYPE_ZSET, value, ROAN_EXPIRY_NONE);
    else
        roan_place_store(call, &place, value);
    if (changes > 0) {
        roan_call_changed(call, &place, ROAN_EVENT_ZSET, "zadd");
        call->dirty += changes - 1;
        effect_zadd(call, options, scores);
    }
    roan_out_integer(call->out, (int64_t)(options->counts_changes ? changes : added));
}

ROAN_COMMAND(geoadd, .arity = -5, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RW | ROAN_KEY_UPDATE)}, .group = ROAN_GROUP_GEO, .since = "3.2.0",
             .complexity = "O(log(N)) for each member, with N members in the sorted set.",
             .summary = "Puts members with their positions into a sorted set, or moves them.",
             .arguments = "key:key [condition^6.2.0<NX|XX>] [CH@change^6.2.0] "
                          "data{longitude:double latitude:double member}...",
             .history = "6.2.0|Options CH, NX and XX.")
{
    add_options options = {0};
    double few[SCORES_ON_STACK];
    if (!parse_add(call, &options))
        return;
    if (options.count <= ROAN_COUNT_OF(few)) {
        add_with_scores(call, &options, few);
        return;
    }
    double *scores = roan_alloc(options.count * sizeof *scores);
    add_with_scores(call, &options, scores);
    roan_free(scores, options.count * sizeof *scores);
}

/* ---- positions of members ---- */

ROAN_COMMAND(geopos, .arity = -2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_GEO, .since = "3.2.0",
             .complexity = "O(1) for each member.", .summary = "Tells the longitude and latitude of members.",
             .arguments = "key:key [member...]")
{
    roan_place place;
    roan_geo_point point;
    if (!find_positions(call, &place))
        return;
    roan_out_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++) {
        if (find_position(&place, call->argv[i], &point))
            roan_geo_send_point(call, point);
        else
            roan_out_null_array(call->out);
    }
}

ROAN_COMMAND(geohash, .arity = -2, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_GEO, .since = "3.2.0",
             .complexity = "O(1) for each member.", .summary = "Tells the positions of members as geohash strings.",
             .arguments = "key:key [member...]")
{
    roan_place place;
    roan_geo_point point;
    char text[ROAN_GEO_TEXT_BYTES];
    if (!find_positions(call, &place))
        return;
    roan_out_array(call->out, call->argc - 2);
    for (size_t i = 2; i < call->argc; i++) {
        if (find_position(&place, call->argv[i], &point)) {
            roan_geo_text(text, point);
            roan_out_bulk(call->out, roan_slice_make(text, sizeof text));
        } else {
            roan_out_null(call->out);
        }
    }
}

ROAN_COMMAND(geodist, .arity = -4, .flags = ROAN_CMD_READ, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(1, ROAN_KEY_RO | ROAN_KEY_ACCESS)}, .group = ROAN_GROUP_GEO, .since = "3.2.0",
             .complexity = "O(1)", .summary = "Tells how far two members are from each other.",
             .arguments = "key:key member1 member2 [unit<M|KM|FT|MI>]")
{
    roan_place place;
    roan_geo_point from, to;
    double unit_m = 1;
    if (call->argc > 5) {
        roan_call_syntax_error(call);
        return;
    }
    if ((call->argc == 5 && !roan_geo_parse_unit(call, 4, &unit_m)) || !find_positions(call, &place))
        return;
    if (find_position(&place, call->argv[2], &from) && find_position(&place, call->argv[3], &to))
        roan_geo_send_distance(call, roan_geo_distance_m(from, to) / unit_m);
    else
        roan_out_null(call->out);
}
