/* engine/cmd/debug.h: the parts of DEBUG. A subcommand is a function that finds its arguments from argv[2] on; their
 * number was checked. */
#pragma once

#include "engine/call.h"

/* debug_keys.c */
void roan_debug_object(roan_call *call);
void roan_debug_sdslen(roan_call *call);
void roan_debug_htstats(roan_call *call);
void roan_debug_htstats_key(roan_call *call);
void roan_debug_encoded_as(roan_call *call); /* LISTPACK, QUICKLIST */
void roan_debug_populate(roan_call *call);
void roan_debug_structsize(roan_call *call);

/* debug_digest.c */
void roan_debug_digest(roan_call *call);
void roan_debug_digest_value(roan_call *call);

/* debug_reply.c */
void roan_debug_protocol(roan_call *call);
