/* engine/script/source.h: a change to the source of scripts before it is compiled. */
#pragma once

#include "base/buffer.h"

/* LuaJIT forgets the caller of a function that is called last (`return f(x)`), so that an error of redis.call, cjson.decode and
 * their like could not tell the line it is in. Appends the code to `out` with parentheses around such calls, where the
 * function gives one value anyway: `return (redis.call(...))`. Lines stay as they are. */
void roan_source_keep_places(roan_slice code, roan_buffer *out);
