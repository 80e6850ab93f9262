/* base/double.c: doubles as text: read exactly, written as short as possible, in the reference's form.
 *
 * Writing is the Grisu2 of Florian Loitsch ("Printing Floating-Point Numbers Quickly and Accurately with Integers",
 * 2010): digits are made with 64-bit integers from the number and the two that lie halfway to its neighbours, and stop
 * as soon as what is left falls between those. In one of about a thousand cases the result is a digit longer, or its
 * last digit not the nearest one; the reference has the same cases, so this is as it must be.
 *
 * Reading: what has at most 15 digits is an exact quotient of two doubles, and that is what most numbers are.
 */
#include "base/number.h"

#include "base/alloc.h"
#include "base/macros.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* ---- reading ---- */

#define EXACT_DIGITS_MAX 15

static const double exact_powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                      1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};

/* [sign] digits [. digits], 15 digits at most; false: something else. */
static bool parse_short(roan_slice text, double *ret_value)
{
    size_t at = text.bytes > 0 && (text.data[0] == '-' || text.data[0] == '+');
    uint64_t digits = 0;
    unsigned count = 0, decimals = 0;
    bool has_point = false;
    if (text.bytes == 0 || text.bytes > EXACT_DIGITS_MAX + 2)
        return false;
    for (; at < text.bytes; at++) {
        unsigned digit = (unsigned)(unsigned char)text.data[at] - '0';
        if (digit <= 9) {
            digits = digits * 10 + digit;
            count++;
            decimals += has_point;
        } else if (text.data[at] == '.' && !has_point) {
            has_point = true;
        } else {
            return false;
        }
    }
    if (count == 0 || count > EXACT_DIGITS_MAX)
        return false;
    double value = (double)digits / exact_powers[decimals];
    *ret_value = text.data[0] == '-' ? -value : value;
    return true;
}

/* What strtod makes of it as a whole, without hexadecimal digits. *ret_is_outside: it is too large or too small. */
static bool parse_copied(const char *copy, size_t bytes, double *ret_value, bool *ret_is_outside)
{
    char *end;
    errno = 0;
    *ret_value = strtod(copy, &end);
    *ret_is_outside = errno == ERANGE && (isinf(*ret_value) || *ret_value == 0);
    return end == copy + bytes && !isnan(*ret_value);
}

static bool parse_long(roan_slice text, double *ret_value, bool *ret_is_outside)
{
    char few[ROAN_DOUBLE_TEXT_MAX];
    if (text.bytes == 0 || (unsigned char)text.data[0] <= ' ')
        return false;
    for (size_t i = 0; i < text.bytes; i++)
        if (text.data[i] == '\0' || text.data[i] == 'x' || text.data[i] == 'X')
            return false;
    char *copy = text.bytes < sizeof few ? few : roan_alloc(text.bytes + 1);
    memcpy(copy, text.data, text.bytes);
    copy[text.bytes] = '\0';
    bool is_number = parse_copied(copy, text.bytes, ret_value, ret_is_outside);
    if (copy != few)
        roan_free(copy, text.bytes + 1);
    return is_number;
}

bool roan_parse_double(roan_slice text, double *ret_value)
{
    double value;
    bool is_outside;
    if (ROAN_LIKELY(parse_short(text, ret_value)))
        return true;
    if (!parse_long(text, &value, &is_outside) || is_outside)
        return false;
    *ret_value = value;
    return true;
}

bool roan_parse_double_saturating(roan_slice text, double *ret_value)
{
    double value;
    bool is_outside;
    if (ROAN_LIKELY(parse_short(text, ret_value)))
        return true;
    if (!parse_long(text, &value, &is_outside))
        return false;
    *ret_value = value;
    return true;
}

/* ---- writing ---- */

#define SIGNIFICAND_BITS 52
#define HIDDEN_BIT (UINT64_C(1) << SIGNIFICAND_BITS)
#define EXPONENT_BIAS (1023 + SIGNIFICAND_BITS)
#define DIGITS_MAX 18
#define POWER_FIRST (-348)
#define POWER_STEP 8
#define SCALED_EXPONENT_MIN (-60) /* the product with a power has 4 to 32 bits before its point */

/* significand * 2^exponent */
typedef struct binary {
    uint64_t significand;
    int exponent;
} binary;

/* digits * 10^exponent */
typedef struct decimal {
    char digits[DIGITS_MAX];
    int count;
    int exponent;
} decimal;

/* The significands, 64 bits, rounded, of 10^-348, 10^-340, ..., 10^340. */
static const uint64_t power_significands[] = {
    UINT64_C(0xfa8fd5a0081c0288), UINT64_C(0xbaaee17fa23ebf76), UINT64_C(0x8b16fb203055ac76),
    UINT64_C(0xcf42894a5dce35ea), UINT64_C(0x9a6bb0aa55653b2d), UINT64_C(0xe61acf033d1a45df),
    UINT64_C(0xab70fe17c79ac6ca), UINT64_C(0xff77b1fcbebcdc4f), UINT64_C(0xbe5691ef416bd60c),
    UINT64_C(0x8dd01fad907ffc3c), UINT64_C(0xd3515c2831559a83), UINT64_C(0x9d71ac8fada6c9b5),
    UINT64_C(0xea9c227723ee8bcb), UINT64_C(0xaecc49914078536d), UINT64_C(0x823c12795db6ce57),
    UINT64_C(0xc21094364dfb5637), UINT64_C(0x9096ea6f3848984f), UINT64_C(0xd77485cb25823ac7),
    UINT64_C(0xa086cfcd97bf97f4), UINT64_C(0xef340a98172aace5), UINT64_C(0xb23867fb2a35b28e),
    UINT64_C(0x84c8d4dfd2c63f3b), UINT64_C(0xc5dd44271ad3cdba), UINT64_C(0x936b9fcebb25c996),
    UINT64_C(0xdbac6c247d62a584), UINT64_C(0xa3ab66580d5fdaf6), UINT64_C(0xf3e2f893dec3f126),
    UINT64_C(0xb5b5ada8aaff80b8), UINT64_C(0x87625f056c7c4a8b), UINT64_C(0xc9bcff6034c13053),
    UINT64_C(0x964e858c91ba2655), UINT64_C(0xdff9772470297ebd), UINT64_C(0xa6dfbd9fb8e5b88f),
    UINT64_C(0xf8a95fcf88747d94), UINT64_C(0xb94470938fa89bcf), UINT64_C(0x8a08f0f8bf0f156b),
    UINT64_C(0xcdb02555653131b6), UINT64_C(0x993fe2c6d07b7fac), UINT64_C(0xe45c10c42a2b3b06),
    UINT64_C(0xaa242499697392d3), UINT64_C(0xfd87b5f28300ca0e), UINT64_C(0xbce5086492111aeb),
    UINT64_C(0x8cbccc096f5088cc), UINT64_C(0xd1b71758e219652c), UINT64_C(0x9c40000000000000),
    UINT64_C(0xe8d4a51000000000), UINT64_C(0xad78ebc5ac620000), UINT64_C(0x813f3978f8940984),
    UINT64_C(0xc097ce7bc90715b3), UINT64_C(0x8f7e32ce7bea5c70), UINT64_C(0xd5d238a4abe98068),
    UINT64_C(0x9f4f2726179a2245), UINT64_C(0xed63a231d4c4fb27), UINT64_C(0xb0de65388cc8ada8),
    UINT64_C(0x83c7088e1aab65db), UINT64_C(0xc45d1df942711d9a), UINT64_C(0x924d692ca61be758),
    UINT64_C(0xda01ee641a708dea), UINT64_C(0xa26da3999aef774a), UINT64_C(0xf209787bb47d6b85),
    UINT64_C(0xb454e4a179dd1877), UINT64_C(0x865b86925b9bc5c2), UINT64_C(0xc83553c5c8965d3d),
    UINT64_C(0x952ab45cfa97a0b3), UINT64_C(0xde469fbd99a05fe3), UINT64_C(0xa59bc234db398c25),
    UINT64_C(0xf6c69a72a3989f5c), UINT64_C(0xb7dcbf5354e9bece), UINT64_C(0x88fcf317f22241e2),
    UINT64_C(0xcc20ce9bd35c78a5), UINT64_C(0x98165af37b2153df), UINT64_C(0xe2a0b5dc971f303a),
    UINT64_C(0xa8d9d1535ce3b396), UINT64_C(0xfb9b7cd9a4a7443c), UINT64_C(0xbb764c4ca7a44410),
    UINT64_C(0x8bab8eefb6409c1a), UINT64_C(0xd01fef10a657842c), UINT64_C(0x9b10a4e5e9913129),
    UINT64_C(0xe7109bfba19c0c9d), UINT64_C(0xac2820d9623bf429), UINT64_C(0x80444b5e7aa7cf85),
    UINT64_C(0xbf21e44003acdd2d), UINT64_C(0x8e679c2f5e44ff8f), UINT64_C(0xd433179d9c8cb841),
    UINT64_C(0x9e19db92b4e31ba9), UINT64_C(0xeb96bf6ebadf77d9), UINT64_C(0xaf87023b9bf0ee6b),
};

/* The exponent that belongs to the significand of 10^power: floor(power * log2(10)) - 63. */
static int exponent_of_power(int power)
{
    return (power * 1741647 >> 19) - 63;
}

static binary normalize(binary number)
{
    int shift = __builtin_clzll(number.significand);
    return (binary){number.significand << shift, number.exponent - shift};
}

/* The upper 64 bits of the product, rounded. */
static binary multiply(binary a, binary b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a.significand * b.significand + (UINT64_C(1) << 63);
    return (binary){(uint64_t)(product >> 64), a.exponent + b.exponent + 64};
}

/* The power of ten that brings a number of that exponent into reach, and its exponent of ten. */
static binary scale_for(int exponent, int *ret_power)
{
    int index = 0, last = (int)ROAN_COUNT_OF(power_significands) - 1;
    int wanted = SCALED_EXPONENT_MIN - 64 - exponent; /* of the power */
    index = ((wanted + 63) * 1233 / 4096 - POWER_FIRST) / POWER_STEP - 1; /* 1233 / 4096 is about log10(2) */
    index = ROAN_MAX(index, 0);
    while (index < last && exponent_of_power(POWER_FIRST + index * POWER_STEP) < wanted)
        index++;
    *ret_power = POWER_FIRST + index * POWER_STEP;
    return (binary){power_significands[index], exponent_of_power(*ret_power)};
}

/* Lowers the last digit while that brings it nearer to the number, which is `wanted` below the upper bound; `rest` is
 * how far the digits are below it, and may be up to `allowed`. A step of the last digit is `unit`. */
static void round_last(decimal *text, uint64_t allowed, uint64_t rest, uint64_t unit, uint64_t wanted)
{
    while (rest < wanted && allowed - rest >= unit && (rest + unit < wanted || wanted - rest > rest + unit - wanted)) {
        text->digits[text->count - 1]--;
        rest += unit;
    }
}

static void put_digit(decimal *text, uint64_t digit)
{
    if (digit != 0 || text->count > 0)
        text->digits[text->count++] = (char)('0' + digit);
}

/* The shortest digits between upper - allowed and upper, near upper - wanted. */
static void make_digits(decimal *text, binary upper, uint64_t allowed, uint64_t wanted)
{
    static const uint32_t units[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    int shift = -upper.exponent;
    uint64_t one = UINT64_C(1) << shift, whole = upper.significand >> shift, part = upper.significand & (one - 1);
    for (int place = (int)ROAN_COUNT_OF(units) - 1; place >= 0; place--) {
        put_digit(text, whole / units[place]);
        whole %= units[place];
        uint64_t rest = (whole << shift) + part;
        if (rest <= allowed) {
            text->exponent += place;
            round_last(text, allowed, rest, (uint64_t)units[place] << shift, wanted);
            return;
        }
    }
    for (uint64_t unit = 1;;) {
        part *= 10;
        allowed *= 10;
        unit *= 10;
        text->exponent--;
        put_digit(text, part >> shift);
        part &= one - 1;
        if (part < allowed) {
            round_last(text, allowed, part, one, wanted * unit);
            return;
        }
    }
}

/* A finite number above zero. */
static void make_decimal(double value, decimal *ret_text)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    int biased = (int)(bits >> SIGNIFICAND_BITS);
    uint64_t fraction = bits & (HIDDEN_BIT - 1);
    binary number = {biased == 0 ? fraction : fraction + HIDDEN_BIT, (biased == 0 ? 1 : biased) - EXPONENT_BIAS};
    binary upper = normalize((binary){(number.significand << 1) + 1, number.exponent - 1}), lower;
    int below = number.significand == HIDDEN_BIT ? 2 : 1; /* the neighbour below a power of two is nearer */
    lower.significand = ((number.significand << below) - 1) << (number.exponent - below - upper.exponent);
    lower.exponent = upper.exponent;
    int power;
    binary scale = scale_for(upper.exponent, &power);
    upper = multiply(upper, scale);
    lower = multiply(lower, scale);
    number = multiply(normalize(number), scale);
    upper.significand--; /* the products may be off by one */
    lower.significand++;
    *ret_text = (decimal){.exponent = -power};
    make_digits(ret_text, upper, upper.significand - lower.significand, upper.significand - number.significand);
}

static size_t write_zeroes(char *out, int count)
{
    memset(out, '0', (size_t)count);
    return (size_t)count;
}

/* d.ddde+x */
static size_t write_scientific(char *out, const decimal *text)
{
    char *at = out;
    int exponent = text->exponent + text->count - 1;
    *at++ = text->digits[0];
    if (text->count > 1) {
        *at++ = '.';
        memcpy(at, text->digits + 1, (size_t)text->count - 1);
        at += text->count - 1;
    }
    *at++ = 'e';
    *at++ = exponent < 0 ? '-' : '+';
    at += roan_format_u64(at, (uint64_t)abs(exponent));
    return (size_t)(at - out);
}

/* As many digits as there are stand before the point: zeroes are put before or behind where digits are missing. */
static size_t write_plain(char *out, const decimal *text)
{
    char *at = out;
    int before = text->count + text->exponent; /* digits before the point */
    if (before <= 0) {
        *at++ = '0';
        *at++ = '.';
        at += write_zeroes(at, -before);
        memcpy(at, text->digits, (size_t)text->count);
        return (size_t)(at - out) + (size_t)text->count;
    }
    int kept = ROAN_MIN(before, text->count);
    memcpy(at, text->digits, (size_t)kept);
    at += kept;
    at += write_zeroes(at, before - kept);
    if (kept < text->count) {
        *at++ = '.';
        memcpy(at, text->digits + kept, (size_t)(text->count - kept));
        at += text->count - kept;
    }
    return (size_t)(at - out);
}

/* Without an exponent as long as that does not take many zeroes. */
static size_t write_decimal(char *out, const decimal *text)
{
    int exponent = abs(text->exponent + text->count - 1);
    bool is_plain = text->exponent >= 0 ? exponent < text->count + 7 : text->exponent > -7 || exponent < 4;
    return is_plain ? write_plain(out, text) : write_scientific(out, text);
}

static size_t write_word(char *out, const char *word)
{
    size_t bytes = strlen(word);
    memcpy(out, word, bytes);
    return bytes;
}

size_t roan_format_double_digits(char *out, double value)
{
    if (isnan(value))
        return write_word(out, "nan");
    if (isinf(value))
        return write_word(out, value < 0 ? "-inf" : "inf");
    if (value == 0)
        return write_word(out, signbit(value) ? "-0" : "0");
    decimal text;
    make_decimal(fabs(value), &text);
    *out = '-';
    return (value < 0) + write_decimal(out + (value < 0), &text);
}

size_t roan_format_double(char *out, double value)
{
    if (value != 0 && value >= -0x1p62 && value <= 0x1p62 && value == (double)(int64_t)value)
        return roan_format_i64(out, (int64_t)value);
    return roan_format_double_digits(out, value);
}
