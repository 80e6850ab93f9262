/* hiredis/scalar.c: numbers of RESP replies, read strictly.
 *
 * A double's form is checked here, letter by letter, and only then handed to strtod(), which knows more forms than RESP
 * (hexadecimal, leading spaces) and takes the decimal point of the locale; the point is put in for it.
 */
#include "hiredis/scalar.h"

#include <limits.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DOUBLE_BYTES_MAX 325
#define POINT_BYTES_MAX  8

bool roan_hiredis_read_integer(const char *text, size_t bytes, long long *ret_value)
{
    bool is_negative = bytes > 0 && text[0] == '-';
    size_t at = is_negative;
    unsigned long long limit = (unsigned long long)LLONG_MAX + is_negative;
    unsigned long long value = 0;

    if (at == bytes || (text[at] == '0' && bytes > 1)) /* "", "-", "-0", "01" */
        return false;
    for (; at < bytes; at++) {
        unsigned digit = (unsigned)(unsigned char)text[at] - '0';
        if (digit > 9 || value > (limit - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = is_negative ? (long long)(0 - value) : (long long)value;
    return true;
}

bool roan_hiredis_is_big_number(const char *text, size_t bytes)
{
    size_t at = bytes > 0 && (text[0] == '-' || text[0] == '+');

    if (at == bytes)
        return false;
    for (; at < bytes; at++)
        if (text[at] < '0' || text[at] > '9')
            return false;
    return true;
}

static size_t count_digits(const char *text, size_t bytes)
{
    size_t count = 0;

    while (count < bytes && text[count] >= '0' && text[count] <= '9')
        count++;
    return count;
}

/* [+-]? (digits [. digits?] | . digits) ([eE] [+-]? digits)?   *ret_point: where the point is, or `bytes`. */
static bool is_decimal(const char *text, size_t bytes, size_t *ret_point)
{
    size_t at = bytes > 0 && (text[0] == '-' || text[0] == '+');
    size_t digits = count_digits(text + at, bytes - at);

    at += digits;
    *ret_point = bytes;
    if (at < bytes && text[at] == '.') {
        size_t decimals = count_digits(text + at + 1, bytes - at - 1);
        *ret_point = at;
        at += 1 + decimals;
        digits += decimals;
    }
    if (digits == 0)
        return false;
    if (at < bytes && (text[at] == 'e' || text[at] == 'E')) {
        at++;
        at += at < bytes && (text[at] == '-' || text[at] == '+');
        digits = count_digits(text + at, bytes - at);
        if (digits == 0)
            return false;
        at += digits;
    }
    return at == bytes;
}

static bool read_special(const char *text, size_t bytes, double *ret_value)
{
    bool is_negative = bytes > 0 && text[0] == '-';

    text += is_negative;
    bytes -= is_negative;
    if (bytes != 3)
        return false;
    if (strncasecmp(text, "inf", 3) == 0)
        *ret_value = is_negative ? -INFINITY : INFINITY;
    else if (strncasecmp(text, "nan", 3) == 0)
        *ret_value = NAN;
    else
        return false;
    return true;
}

bool roan_hiredis_read_double(const char *text, size_t bytes, double *ret_value)
{
    char copy[DOUBLE_BYTES_MAX + POINT_BYTES_MAX + 1];
    size_t point, used;

    if (bytes > DOUBLE_BYTES_MAX)
        return false;
    if (read_special(text, bytes, ret_value))
        return true;
    if (!is_decimal(text, bytes, &point))
        return false;
    memcpy(copy, text, point);
    used = point;
    if (point < bytes) {
        const char *sign = localeconv()->decimal_point;
        size_t sign_bytes = strnlen(sign, POINT_BYTES_MAX);
        memcpy(copy + used, sign, sign_bytes);
        used += sign_bytes;
        memcpy(copy + used, text + point + 1, bytes - point - 1);
        used += bytes - point - 1;
    }
    copy[used] = '\0';
    *ret_value = strtod(copy, NULL);
    return isfinite(*ret_value);
}
