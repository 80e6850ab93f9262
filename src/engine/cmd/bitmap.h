/* engine/cmd/bitmap.h: what SETBIT and its relatives share with BITFIELD. */
#pragma once

#include "engine/call.h"

/* A bit offset in argv[index]; `width` above 0: "#n" means n times that many bits. False after an error was sent. */
bool roan_parse_bit_offset(roan_call *call, size_t index, unsigned width, uint64_t *ret_offset);

/* Makes the string (or absent key) long enough to hold the bit; its bytes, to be written to, or NULL after an error. */
char *roan_place_grow_for_bits(roan_call *call, roan_place *place, uint64_t last_bit, bool *ret_has_grown);
