/* engine/script/reply.h: between Lua values and replies, both ways, as the reference converts them. */
#pragma once

#include "resp/out.h"

#include <lua.h>

/* Pushes the value of a whole, well-formed reply that the server has built itself. */
void roan_lua_push_reply(lua_State *lua, const char *reply);

/* Answers with the value on top of the stack and leaves the stack as it is. protocol: what the script has chosen. Runs no
 * Lua code. */
void roan_lua_send(lua_State *lua, roan_out *out, int protocol);
