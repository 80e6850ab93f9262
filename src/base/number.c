/* base/number.c: strict parsing and exact formatting of integers and long doubles; doubles: double.c. */
#include "base/number.h"

#include "base/macros.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

bool roan_parse_u64(roan_slice text, uint64_t *ret_value)
{
    if (text.bytes == 0 || text.bytes > 20)
        return false;
    if (text.data[0] == '0') {
        *ret_value = 0;
        return text.bytes == 1;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < text.bytes; i++) {
        unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, 10u, &value) || __builtin_add_overflow(value, digit, &value))
            return false;
    }
    *ret_value = value;
    return true;
}

bool roan_parse_i64(roan_slice text, int64_t *ret_value)
{
    bool negative = text.bytes > 0 && text.data[0] == '-';
    uint64_t magnitude;
    if (!roan_parse_u64(roan_slice_make(text.data + negative, text.bytes - negative), &magnitude))
        return false;
    if (negative) {
        if (magnitude == 0 || magnitude > (uint64_t)INT64_MAX + 1)
            return false;
        *ret_value = (int64_t)(0 - magnitude);
        return true;
    }
    if (magnitude > INT64_MAX)
        return false;
    *ret_value = (int64_t)magnitude;
    return true;
}

/* Copies the text to where strtod can read it; false when it cannot be a number. */
static bool terminate_number(roan_slice text, char *out, size_t out_bytes)
{
    if (text.bytes == 0 || text.bytes >= out_bytes || (unsigned char)text.data[0] <= ' ')
        return false;
    memcpy(out, text.data, text.bytes);
    out[text.bytes] = '\0';
    return strlen(out) == text.bytes;
}

bool roan_parse_long_double(roan_slice text, long double *ret_value)
{
    char copy[ROAN_LONG_DOUBLE_TEXT_MAX];
    if (!terminate_number(text, copy, sizeof copy))
        return false;
    char *end;
    errno = 0;
    long double value = strtold(copy, &end);
    if (end != copy + text.bytes || isnan(value))
        return false;
    if (errno == ERANGE && (value == HUGE_VALL || value == -HUGE_VALL || fpclassify(value) == FP_ZERO))
        return false;
    *ret_value = value;
    return true;
}

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                  "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                  "8081828384858687888990919293949596979899";

static unsigned count_digits(uint64_t value)
{
    unsigned digits = 1;
    for (;;) {
        if (value < 10)
            return digits;
        if (value < 100)
            return digits + 1;
        if (value < 1000)
            return digits + 2;
        if (value < 10000)
            return digits + 3;
        value /= 10000;
        digits += 4;
    }
}

size_t roan_format_u64(char *out, uint64_t value)
{
    unsigned digits = count_digits(value);
    char *at = out + digits;
    while (value >= 100) {
        at -= 2;
        memcpy(at, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10)
        memcpy(at - 2, digit_pairs + value * 2, 2);
    else
        at[-1] = (char)('0' + value);
    return digits;
}

size_t roan_format_i64(char *out, int64_t value)
{
    if (value >= 0)
        return roan_format_u64(out, (uint64_t)value);
    *out = '-';
    return 1 + roan_format_u64(out + 1, 0 - (uint64_t)value);
}

size_t roan_format_long_double(char *out, long double value)
{
    if (isinf(value))
        return (size_t)sprintf(out, value < 0 ? "-inf" : "inf");
    int length = snprintf(out, ROAN_LONG_DOUBLE_TEXT_MAX, "%.17Lf", value);
    ROAN_ASSERT(length > 0 && length < ROAN_LONG_DOUBLE_TEXT_MAX);
    while (out[length - 1] == '0')
        length--;
    if (out[length - 1] == '.')
        length--;
    if (length == 2 && memcmp(out, "-0", 2) == 0) {
        out[0] = '0';
        length = 1;
    }
    return (size_t)length;
}

bool roan_parse_memory(roan_slice text, uint64_t *ret_bytes)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {{"", 1},        {"b", 1},        {"k", 1000},          {"kb", 1024},
                 {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000ull}, {"gb", 1 << 30}};
    size_t digits = 0;
    while (digits < text.bytes && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    roan_slice number = {text.data, digits}, suffix = {text.data + digits, text.bytes - digits};
    while (number.bytes > 1 && number.data[0] == '0') {
        number.data++;
        number.bytes--;
    }
    uint64_t value;
    if (!roan_parse_u64(number, &value))
        return false;
    for (size_t i = 0; i < ROAN_COUNT_OF(units); i++)
        if (roan_slice_is(suffix, units[i].suffix))
            return !__builtin_mul_overflow(value, units[i].factor, ret_bytes);
    return false;
}

bool roan_slice_is(roan_slice text, const char *word)
{
    return strlen(word) == text.bytes && strncasecmp(text.data, word, text.bytes) == 0;
}

bool roan_slice_equal(roan_slice a, roan_slice b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}
