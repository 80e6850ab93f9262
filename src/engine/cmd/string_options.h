/* engine/cmd/string_options.h: the options that SET, GETEX and MSETEX share. */
#pragma once

#include "engine/call.h"

enum {
    ROAN_OPTION_NX_XX = 1,
    ROAN_OPTION_IFEQ = 2,
    ROAN_OPTION_GET = 4,
    ROAN_OPTION_KEEPTTL = 8,
    ROAN_OPTION_PERSIST = 16,
};

#define ROAN_OPTIONS_OF_SET (ROAN_OPTION_NX_XX | ROAN_OPTION_IFEQ | ROAN_OPTION_GET | ROAN_OPTION_KEEPTTL)
#define ROAN_OPTIONS_OF_GETEX ROAN_OPTION_PERSIST
#define ROAN_OPTIONS_OF_MSETEX (ROAN_OPTION_NX_XX | ROAN_OPTION_KEEPTTL)

typedef struct roan_set_options {
    bool if_absent, if_present, get, persist;
    roan_slice if_equal;   /* data NULL: not given */
    size_t time_index;     /* of the argument with the time; 0: none */
    int64_t time_unit_ms;
    bool time_is_absolute;
    int64_t expiry_ms;     /* absolute, ROAN_EXPIRY_NONE or ROAN_EXPIRY_KEEP */
} roan_set_options;

/* Parses the options from argv[first] on; `allowed` besides EX, PX, EXAT and PXAT. False after an error was sent. */
bool roan_set_options_parse(roan_call *call, size_t first, unsigned allowed, roan_set_options *options);

/* argv[index] in units of unit_ms after base_ms (0: absolute) as an absolute time; false after an error was sent. */
bool roan_parse_expiry(roan_call *call, size_t index, int64_t unit_ms, int64_t base_ms, int64_t *ret_expiry_ms);
