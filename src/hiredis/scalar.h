/* hiredis/scalar.h: numbers as RESP writes them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* -?(0|[1-9][0-9]*) that fits; nothing else. */
bool roan_hiredis_read_integer(const char *text, size_t bytes, long long *ret_value);

/* A decimal number, inf, -inf, nan or -nan in letters of any case. False when it is none or beyond the largest double.
 * The text need not be terminated; the locale does not matter. At most 325 bytes. */
bool roan_hiredis_read_double(const char *text, size_t bytes, double *ret_value);

/* [+-]?[0-9]+ */
bool roan_hiredis_is_big_number(const char *text, size_t bytes);
