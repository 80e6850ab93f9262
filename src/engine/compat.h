/* engine/compat.h: what the server calls itself, and which versions of the reference servers it behaves like. Clients
 * choose features by these numbers, so they say what is implemented, not which release of ours this is. */
#pragma once

#define ROAN_SERVER_NAME "roan"
#define ROAN_COMPAT_VALKEY "9.1.2"
#define ROAN_COMPAT_REDIS "7.2.4"
