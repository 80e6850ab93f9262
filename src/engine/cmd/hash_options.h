/* engine/cmd/hash_options.h: the options that stand before FIELDS in HGETEX and HSETEX. */
#pragma once

#include "engine/cmd/hash_edit.h"

typedef struct roan_hash_options {
    bool key_absent, key_present;       /* HSETEX NX, XX */
    bool fields_absent, fields_present; /* HSETEX FNX, FXX */
    bool keep, persist;                 /* HSETEX KEEPTTL, HGETEX PERSIST */
    size_t time_index;                  /* of the argument with the time; 0: none */
    int64_t time_unit_ms;
    bool time_is_absolute;
    roan_hash_fields fields;
} roan_hash_options;

/* Reads everything behind the key but the time, which is read when the key has been looked at. False after an error was
 * sent. */
bool roan_hash_options_parse(roan_call *call, bool is_setting, roan_hash_options *ret_options);

/* The time that was given, as an absolute one. False after an error was sent. */
bool roan_hash_options_time(roan_call *call, const roan_hash_options *options, int64_t *ret_expiry_ms);
