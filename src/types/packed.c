/* types/packed.c: the codec of one packed item; see packed.h for the bytes. */
#include "types/packed.h"

#include "base/macros.h"

#define TAG_INTEGER_13 0xc0u
#define TAG_STRING_12 0xe0u
#define TAG_STRING_32 0xf0u
#define TAG_INTEGER_16 0xf1u /* and 24, 32, 64 behind it */
#define SHORT_STRING_MAX 63u
#define MIDDLE_STRING_MAX 4095u

/* Bytes behind the tag of an integer of 16, 24, 32 or 64 bits. */
static const uint8_t integer_bytes[] = {2, 3, 4, 8};

/* Which of the long forms holds the integer. */
static unsigned integer_form(int64_t value)
{
    if (value >= INT16_MIN && value <= INT16_MAX)
        return 0;
    if (value >= -(1 << 23) && value < 1 << 23)
        return 1;
    return value >= INT32_MIN && value <= INT32_MAX ? 2 : 3;
}

static bool fits_13_bits(int64_t value)
{
    return value >= -4096 && value <= 4095;
}

size_t roan_packed_bytes(const roan_packed *item)
{
    if (!item->is_integer) {
        size_t bytes = item->text.bytes;
        return bytes + (bytes <= SHORT_STRING_MAX ? 1 : bytes <= MIDDLE_STRING_MAX ? 2 : ROAN_PACKED_HEADER_MAX);
    }
    if (item->integer >= 0 && item->integer <= 127)
        return 1;
    return fits_13_bits(item->integer) ? 2 : 1u + integer_bytes[integer_form(item->integer)];
}

static char *put_string(char *at, roan_slice text)
{
    if (text.bytes <= SHORT_STRING_MAX) {
        *at++ = (char)(0x80 | text.bytes);
    } else if (text.bytes <= MIDDLE_STRING_MAX) {
        *at++ = (char)(TAG_STRING_12 | text.bytes >> 8);
        *at++ = (char)text.bytes;
    } else {
        ROAN_ASSERT(text.bytes <= UINT32_MAX);
        uint32_t bytes = (uint32_t)text.bytes;
        *at++ = (char)TAG_STRING_32;
        memcpy(at, &bytes, sizeof bytes);
        at += sizeof bytes;
    }
    if (text.bytes > 0)
        memcpy(at, text.data, text.bytes);
    return at + text.bytes;
}

static char *put_integer(char *at, int64_t value)
{
    if (value >= 0 && value <= 127) {
        *at++ = (char)value;
        return at;
    }
    if (fits_13_bits(value)) {
        *at++ = (char)(TAG_INTEGER_13 | (value >> 8 & 0x1f));
        *at++ = (char)value;
        return at;
    }
    unsigned form = integer_form(value);
    *at++ = (char)(TAG_INTEGER_16 + form);
    memcpy(at, &value, integer_bytes[form]);
    return at + integer_bytes[form];
}

char *roan_packed_put(char *at, const roan_packed *item)
{
    return item->is_integer ? put_integer(at, item->integer) : put_string(at, item->text);
}

static int64_t sign_extend(uint64_t value, unsigned bits)
{
    return (int64_t)(value << (64 - bits)) >> (64 - bits);
}

static const char *read_string_32(const char *at, roan_packed *ret_item)
{
    uint32_t bytes;
    memcpy(&bytes, at, sizeof bytes);
    *ret_item = (roan_packed){.text = roan_slice_make(at + sizeof bytes, bytes)};
    return at + sizeof bytes + bytes;
}

const char *roan_packed_read_rare(const char *at, roan_packed *ret_item)
{
    unsigned first = (unsigned char)*at++;
    if (first < 0x80) {
        *ret_item = roan_packed_from_integer(first);
        return at;
    }
    if (first < TAG_STRING_12) {
        *ret_item = roan_packed_from_integer(sign_extend((first & 0x1f) << 8 | (unsigned char)*at, 13));
        return at + 1;
    }
    if (first == TAG_STRING_32)
        return read_string_32(at, ret_item);
    ROAN_ASSERT(first - TAG_INTEGER_16 < ROAN_COUNT_OF(integer_bytes));
    unsigned bytes = integer_bytes[first - TAG_INTEGER_16];
    uint64_t value = 0;
    memcpy(&value, at, bytes);
    *ret_item = roan_packed_from_integer(sign_extend(value, 8 * bytes));
    return at + bytes;
}
