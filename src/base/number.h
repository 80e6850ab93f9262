/* base/number.h: numbers as Redis reads and writes them: strict, without locale, without surprises. */
#pragma once

#include "roan/base.h"

#include <stdbool.h>

#define ROAN_I64_TEXT_MAX 21      /* sign, 19 digits, and room for a NUL */
#define ROAN_DOUBLE_TEXT_MAX 384  /* any double in %f or %g form */
#define ROAN_LONG_DOUBLE_TEXT_MAX 5120

/* Canonical decimal only: optional '-', no '+', no leading zeroes ("0" itself is fine), no spaces, must fit. */
bool roan_parse_i64(roan_slice text, int64_t *ret_value);
bool roan_parse_u64(roan_slice text, uint64_t *ret_value);

/* What strtod reads, whole and finite or infinite, but never NaN, nor hexadecimal digits, nor leading white space. */
bool roan_parse_double(roan_slice text, double *ret_value);
/* The same, but what is too large becomes infinite, and what is too small zero. */
bool roan_parse_double_saturating(roan_slice text, double *ret_value);
/* As roan_parse_double, and with hexadecimal digits. */
bool roan_parse_long_double(roan_slice text, long double *ret_value);

/* Writes decimal digits to `out` (room for ROAN_I64_TEXT_MAX) and returns how many; no NUL. */
size_t roan_format_i64(char *out, int64_t value);
size_t roan_format_u64(char *out, uint64_t value);

/* RESP3 and score form: short text that reads back as the same double, digit for digit the reference's; inf, -inf, nan.
 * Returns its length. */
size_t roan_format_double(char *out, double value);
/* The same, but whole numbers have an exponent, too, where that is shorter: 1e+17. */
size_t roan_format_double_digits(char *out, double value);

/* INCRBYFLOAT form: 17 decimals, trailing zeroes cut, never exponential. Room for ROAN_LONG_DOUBLE_TEXT_MAX. */
size_t roan_format_long_double(char *out, long double value);

/* Sizes as configuration files write them: 100, 1k (1000), 1kb (1024), 5mb, 2gb; case does not matter. */
bool roan_parse_memory(roan_slice text, uint64_t *ret_bytes);

/* Case-insensitive comparison of a slice with a NUL-terminated ASCII word. */
bool roan_slice_is(roan_slice text, const char *word);

bool roan_slice_equal(roan_slice a, roan_slice b);
