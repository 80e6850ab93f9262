/* server/host_info.h: what the host can tell the engine about the process. */
#pragma once

#include "engine/info.h"

void roan_server_describe(void *context, roan_host_info *info);
