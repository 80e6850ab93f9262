/* engine/cmd/geo.h: what the files of the geo commands share: arguments and replies. */
#pragma once

#include "engine/call.h"
#include "types/geohash.h"
#include "types/zset.h"

/* Longitude and latitude in argv[index] and the one behind it; false after an error was sent. */
bool roan_geo_parse_point(roan_call *call, size_t index, roan_geo_point *ret_point);

/* How many metres the unit in argv[index] has; false after an error was sent. */
bool roan_geo_parse_unit(roan_call *call, size_t index, double *ret_unit_m);

/* Where a member is; false when it is not in the sorted set. */
bool roan_geo_member_point(roan_value value, roan_slice member, roan_geo_point *ret_point);

/* An array of longitude and latitude. */
void roan_geo_send_point(roan_call *call, roan_geo_point point);
/* A distance with four decimals. */
void roan_geo_send_distance(roan_call *call, double distance);
