/* engine/script/payload.c: see payload.h.
 *
 *   | 0xf5 | string | ... | version: 2 bytes, little endian | CRC-64 of all before: 8 bytes, little endian |
 *
 * A string is its length and its bytes, or compressed: 0xc3, compressed length, length, LZF data. Lengths: 00xxxxxx,
 * 01xxxxxx + 1 byte, 0x80 + 4 bytes, 0x81 + 8 bytes, big endian. Written are only strings that are not compressed.
 */
#include "engine/script/payload.h"

#include "base/macros.h"

#define LIBRARY_CODE 0xf5u
#define COMPRESSED 0xc3u
#define VERSION_WRITTEN 11 /* every reader of functions knows it */
#define VERSION_MAX 80
#define TRAILER_BYTES 10
#define CODE_BYTES_MAX ((uint64_t)512 << 20)

/* CRC-64 with the polynomial of Jones, bits reflected. */
static uint64_t crc64(const char *data, size_t bytes)
{
    uint64_t table[256], crc = 0;
    for (unsigned i = 0; i < 256; i++) {
        uint64_t entry = i;
        for (int bit = 0; bit < 8; bit++)
            entry = entry & 1 ? entry >> 1 ^ UINT64_C(0x95ac9329ac4bc9b5) : entry >> 1;
        table[i] = entry;
    }
    for (size_t i = 0; i < bytes; i++)
        crc = table[(crc ^ (unsigned char)data[i]) & 0xff] ^ crc >> 8;
    return crc;
}

void roan_payload_add(roan_buffer *out, roan_slice code)
{
    roan_buffer_append_char(out, (char)LIBRARY_CODE);
    if (code.bytes < 64) {
        roan_buffer_append_char(out, (char)code.bytes);
    } else if (code.bytes < 16384) {
        roan_buffer_append_char(out, (char)(0x40 | code.bytes >> 8));
        roan_buffer_append_char(out, (char)code.bytes);
    } else {
        unsigned width = code.bytes <= UINT32_MAX ? 4 : 8;
        roan_buffer_append_char(out, (char)(width == 4 ? 0x80 : 0x81));
        while (width-- > 0)
            roan_buffer_append_char(out, (char)(code.bytes >> (8 * width)));
    }
    roan_buffer_append_slice(out, code);
}

void roan_payload_end(roan_buffer *out)
{
    roan_buffer_append_char(out, VERSION_WRITTEN);
    roan_buffer_append_char(out, 0);
    uint64_t crc = crc64(out->data, out->bytes);
    for (unsigned i = 0; i < 8; i++)
        roan_buffer_append_char(out, (char)(crc >> (8 * i)));
}

bool roan_payload_open(roan_slice *payload)
{
    if (payload->bytes < TRAILER_BYTES)
        return false;
    size_t bytes = payload->bytes - TRAILER_BYTES;
    const unsigned char *trailer = (const unsigned char *)payload->data + bytes;
    unsigned version = trailer[0] | (unsigned)trailer[1] << 8;
    uint64_t crc = 0;
    for (unsigned i = 0; i < 8; i++)
        crc |= (uint64_t)trailer[2 + i] << (8 * i);
    if (version > VERSION_MAX || (crc != 0 && crc != crc64(payload->data, bytes + 2)))
        return false;
    payload->bytes = bytes;
    return true;
}

static bool take(roan_slice *from, size_t bytes, const unsigned char **ret_data)
{
    if (from->bytes < bytes)
        return false;
    *ret_data = (const unsigned char *)from->data;
    from->data += bytes;
    from->bytes -= bytes;
    return true;
}

static bool take_length(roan_slice *from, uint64_t *ret_length, bool *ret_is_compressed)
{
    const unsigned char *first, *rest;
    *ret_is_compressed = false;
    if (!take(from, 1, &first))
        return false;
    unsigned width = 0;
    uint64_t length = *first & 0x3f;
    if (*first == COMPRESSED) {
        *ret_is_compressed = true;
        return true;
    }
    if (*first >> 6 == 1)
        width = 1;
    else if (*first == 0x80 || *first == 0x81)
        width = *first == 0x80 ? 4 : 8;
    else if (*first >> 6 != 0)
        return false;
    if (width > 1)
        length = 0;
    if (!take(from, width, &rest))
        return false;
    for (unsigned i = 0; i < width; i++)
        length = length << 8 | rest[i];
    *ret_length = length;
    return length <= CODE_BYTES_MAX;
}

/* LZF: 000nnnnn: n + 1 bytes follow; lllddddd [+ length if l is 7] + distance: copies from what was written. */
static bool decompress(const unsigned char *at, size_t bytes, char *out, size_t room)
{
    const unsigned char *end = at + bytes;
    size_t done = 0;
    while (at < end) {
        unsigned control = *at++;
        if (control < 32) {
            size_t count = control + 1;
            if (count > (size_t)(end - at) || count > room - done)
                return false;
            memcpy(out + done, at, count);
            at += count;
            done += count;
            continue;
        }
        size_t count = control >> 5;
        if (count == 7) {
            if (at == end)
                return false;
            count += *at++;
        }
        if (at == end)
            return false;
        size_t distance = ((size_t)(control & 31) << 8 | *at++) + 1;
        count += 2;
        if (distance > done || count > room - done)
            return false;
        for (; count > 0; count--, done++)
            out[done] = out[done - distance];
    }
    return done == room;
}

static bool take_string(roan_slice *from, roan_buffer *code)
{
    uint64_t length, stored;
    bool is_compressed, is_nested;
    const unsigned char *data;
    if (!take_length(from, &length, &is_compressed))
        return false;
    if (!is_compressed) {
        if (!take(from, (size_t)length, &data))
            return false;
        roan_buffer_append(code, (const char *)data, (size_t)length);
        return true;
    }
    if (!take_length(from, &stored, &is_nested) || is_nested || !take_length(from, &length, &is_nested) || is_nested ||
        !take(from, (size_t)stored, &data) || length > stored * 264)
        return false;
    roan_buffer_reserve(code, (size_t)length + 1);
    code->bytes = (size_t)length;
    return decompress(data, (size_t)stored, code->data, (size_t)length);
}

roan_payload_result roan_payload_next(roan_slice *payload, roan_buffer *code)
{
    const unsigned char *type;
    code->bytes = 0;
    if (!take(payload, 1, &type))
        return ROAN_PAYLOAD_END;
    if (*type != LIBRARY_CODE)
        return ROAN_PAYLOAD_NO_FUNCTION;
    return take_string(payload, code) ? ROAN_PAYLOAD_CODE : ROAN_PAYLOAD_BROKEN;
}
