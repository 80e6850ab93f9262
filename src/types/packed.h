/* types/packed.h: one small item in as few bytes as possible: a byte string, or an integer where the text is one.
 *
 *     0xxxxxxx                 integer 0..127
 *     10xxxxxx  bytes          string of up to 63 bytes
 *     110xxxxx  x              integer of 13 bits, signed
 *     1110xxxx  x  bytes       string of up to 4095 bytes
 *     11110000  u32  bytes     string of up to 4 GiB
 *     11110001..4  2 3 4 8     integer of that many bytes, signed, little-endian
 *
 * An item that was an integer comes back with the same text: only canonical decimals (no "+1", "01", "-0") are stored
 * so. Bytes are trusted: whoever reads them wrote them.
 */
#pragma once

#include "base/macros.h"
#include "base/number.h"
#include "roan/base.h"

#include <stdbool.h>
#include <string.h>

typedef struct roan_packed {
    roan_slice text; /* when it is a string */
    int64_t integer; /* when it is an integer */
    bool is_integer;
} roan_packed;

#define ROAN_PACKED_HEADER_MAX 5
#define ROAN_PACKED_INTEGER_MAX 9 /* bytes that an integer may take */

/* The item that stands for a text: an integer if the text is a canonical one. */
static inline roan_packed roan_packed_from_text(roan_slice text)
{
    roan_packed item = {.text = text};
    item.is_integer = text.bytes <= 20 && roan_parse_i64(text, &item.integer);
    return item;
}

static inline roan_packed roan_packed_from_integer(int64_t integer)
{
    return (roan_packed){.integer = integer, .is_integer = true};
}

/* A string even if it looks like an integer. */
static inline roan_packed roan_packed_from_bytes(roan_slice bytes)
{
    return (roan_packed){.text = bytes};
}

/* The bytes that an item takes. */
size_t roan_packed_bytes(const roan_packed *item);

/* Writes it; returns the place behind it. */
char *roan_packed_put(char *at, const roan_packed *item);

/* The same two for a text. */
static inline size_t roan_packed_size(roan_slice text)
{
    roan_packed item = roan_packed_from_text(text);
    return roan_packed_bytes(&item);
}

static inline char *roan_packed_write(char *at, roan_slice text)
{
    roan_packed item = roan_packed_from_text(text);
    return roan_packed_put(at, &item);
}

/* All but the commonest forms of roan_packed_read. */
const char *roan_packed_read_rare(const char *at, roan_packed *ret_item);

/* Reads the item at `at`; returns the place of the next one. A string is borrowed. */
static ROAN_ALWAYS_INLINE const char *roan_packed_read(const char *at, roan_packed *ret_item)
{
    unsigned first = (unsigned char)*at;
    if (ROAN_LIKELY((first & 0xc0) == 0x80)) {
        *ret_item = (roan_packed){.text = roan_slice_make(at + 1, first & 0x3f)};
        return at + 1 + (first & 0x3f);
    }
    if (ROAN_LIKELY((first & 0xf0) == 0xe0)) {
        size_t bytes = (size_t)(first & 0x0f) << 8 | (unsigned char)at[1];
        *ret_item = (roan_packed){.text = roan_slice_make(at + 2, bytes)};
        return at + 2 + bytes;
    }
    return roan_packed_read_rare(at, ret_item);
}

/* The place behind the item at `at`. */
static inline const char *roan_packed_skip(const char *at)
{
    roan_packed item;
    return roan_packed_read(at, &item);
}

/* The item as text; an integer is written to `scratch`. */
static inline roan_slice roan_packed_text(const roan_packed *item, char scratch[ROAN_I64_TEXT_MAX])
{
    return item->is_integer ? roan_slice_make(scratch, roan_format_i64(scratch, item->integer)) : item->text;
}

/* Both come from roan_packed_from_text (or were read): equal texts are equal items. */
static inline bool roan_packed_is_equal(const roan_packed *a, const roan_packed *b)
{
    return a->is_integer == b->is_integer &&
           (a->is_integer ? a->integer == b->integer : roan_slice_equal(a->text, b->text));
}

static inline bool roan_packed_equals(const roan_packed *item, roan_slice text)
{
    roan_packed other = roan_packed_from_text(text);
    return roan_packed_is_equal(item, &other);
}
