/* resp/reply_reader.c: bytes in, reply trees out.
 *
 *   buffer:  | consumed | reply being scanned ......... | free |
 *            0        start                            end   capacity
 *
 * Two passes. roan_reply_scan finds the end of the reply at `start`, resuming where it stopped when
 * more bytes arrive, and counts the values it holds. Only then is memory taken, of exactly the
 * right size, and the tree built in a second pass that cannot fail:
 *
 *   block:   | header | root | other values ... | copy of the reply's bytes |
 *
 * Texts point into the copy. The block is from malloc, or a place that the caller offered. The most common replies, a
 * short line or bulk that is whole, take a shorter way: one pass, and only the text is copied. A reply of ADOPT_BYTES_MIN or more which is at least half of what is
 * buffered is not copied: the block takes the buffer itself and the reader goes on with a new one.
 *
 * Time is linear in the bytes fed: the scan never starts over, the buffer at least doubles when it
 * grows, and bytes move to its front only when the consumed part is the larger one.
 * Memory follows what arrived, never what a length announces.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* strtod_l */
#endif

#include "resp/reply_reader.h"

#include "base/macros.h"
#include "resp/reply_scan.h"

#include <locale.h>
#include <stdlib.h>

#define BUFFER_BYTES_MIN 4096
#define BUFFER_BYTES_KEPT (1024 * 1024) /* an empty buffer above this is given back */
#define ADOPT_BYTES_MIN (64 * 1024)

typedef struct reply_block {
    void (*release)(void *block); /* takes back the place the block is in; NULL: it is from malloc */
    char *adopted;      /* the buffer that the texts point into, or NULL when they follow the values */
    roan_value **owned; /* collected: the replies that the elements were, or NULL */
    size_t owned_count;
    roan_value values[];
} reply_block;

struct roan_reply_reader {
    char *buffer;
    size_t start; /* first byte of the reply being read */
    size_t end;
    size_t capacity;
    locale_t c_locale; /* doubles are written with a point whatever the program's locale says */
    bool is_broken;
    roan_error error; /* with is_broken: why */
    roan_reply_scan scan;
};

/* The bytes of the reply that are still to be built. */
typedef struct wire_cursor {
    const char *at;
    const char *end;
} wire_cursor;

/* One open aggregate while the tree is built. */
typedef struct build_frame {
    roan_value *next; /* where its next element goes */
    uint64_t left;
    roan_value *attribute; /* the map itself when this is an attribute, else NULL */
} build_frame;

roan_reply_reader *roan_reply_reader_create(void)
{
    roan_reply_reader *reader = malloc(sizeof *reader);

    if (reader == NULL)
        return NULL;
    reader->c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (reader->c_locale == (locale_t)0) {
        free(reader);
        return NULL;
    }
    reader->buffer = NULL;
    reader->start = reader->end = reader->capacity = 0;
    reader->is_broken = false;
    roan_reply_scan_init(&reader->scan);
    return reader;
}

roan_reply_reader *roan_reply_reader_free(roan_reply_reader *reader)
{
    if (reader != NULL) {
        freelocale(reader->c_locale);
        roan_reply_scan_done(&reader->scan);
        free(reader->buffer);
        free(reader);
    }
    return NULL;
}

static void free_owned(reply_block *block)
{
    for (size_t i = 0; i < block->owned_count; i++)
        roan_value_free(block->owned[i]);
    free(block->owned);
    free(block->adopted);
}

roan_value *roan_value_free(roan_value *value)
{
    reply_block *block;

    if (value == NULL)
        return NULL;
    block = (reply_block *)(void *)((char *)value - offsetof(reply_block, values));
    if (block->owned != NULL || block->adopted != NULL)
        free_owned(block);
    if (block->release != NULL)
        block->release(block);
    else
        free(block);
    return NULL;
}

roan_value *roan_value_collect(roan_value **values, size_t count)
{
    reply_block *block;

    if (count > SIZE_MAX / sizeof(roan_value) - 2)
        return NULL;
    block = malloc(sizeof *block + (count + 1) * sizeof(roan_value));
    if (block == NULL)
        return NULL;
    block->release = NULL;
    block->adopted = NULL;
    block->owned = values;
    block->owned_count = count;
    block->values[0] = (roan_value){.type = ROAN_REPLY_ARRAY, .count = count, .elements = block->values + 1};
    for (size_t i = 0; i < count; i++)
        block->values[i + 1] = *values[i];
    return block->values;
}

/* Drops the consumed bytes at the front when they are the larger part: cheap on average. */
static void compact(roan_reply_reader *reader)
{
    size_t unread = reader->end - reader->start;

    if (reader->start == 0 || reader->start < unread)
        return;
    memmove(reader->buffer, reader->buffer + reader->start, unread);
    reader->start = 0;
    reader->end = unread;
}

/* Makes room for `bytes` more at the end of the buffer. */
static roan_status reserve(roan_reply_reader *reader, size_t bytes)
{
    size_t wanted;
    size_t expected;
    size_t capacity;
    char *buffer;

    if (bytes <= reader->capacity - reader->end)
        return ROAN_OK;
    compact(reader);
    if (bytes <= reader->capacity - reader->end)
        return ROAN_OK;
    if (__builtin_add_overflow(reader->end, bytes, &wanted) || wanted > SIZE_MAX / 2)
        return ROAN_E_NOMEM;
    capacity = ROAN_MAX(wanted, ROAN_MAX(reader->capacity * 2, (size_t)BUFFER_BYTES_MIN));
    /* A bulk that is most of the reply needs room up to its end and no more. */
    expected = reader->start + roan_reply_scan_bytes_min(&reader->scan);
    if (reader->scan.bulk_bytes >= expected / 2 && expected >= wanted && expected < capacity)
        capacity = expected;
    buffer = realloc(reader->buffer, capacity);
    if (buffer == NULL)
        return ROAN_E_NOMEM;
    reader->buffer = buffer;
    reader->capacity = capacity;
    return ROAN_OK;
}

roan_status roan_reply_reader_feed(roan_reply_reader *reader, const char *data, size_t bytes)
{
    roan_status status;

    ROAN_ASSERT(reader != NULL);
    ROAN_ASSERT(reader->start <= reader->end && reader->end <= reader->capacity);
    if (bytes == 0)
        return ROAN_OK;
    if (reader->is_broken)
        return ROAN_E_PROTOCOL;
    status = reserve(reader, bytes);
    if (status != ROAN_OK)
        return status;
    memcpy(reader->buffer + reader->end, data, bytes);
    reader->end += bytes;
    return ROAN_OK;
}

roan_status roan_reply_reader_reserve(roan_reply_reader *reader, char **ret_room, size_t *bytes)
{
    roan_status status;

    if (reader->is_broken)
        return ROAN_E_PROTOCOL;
    status = reserve(reader, *bytes);
    if (status != ROAN_OK)
        return status;
    *ret_room = reader->buffer + reader->end;
    *bytes = reader->capacity - reader->end;
    return ROAN_OK;
}

void roan_reply_reader_commit(roan_reply_reader *reader, size_t bytes)
{
    ROAN_ASSERT(bytes <= reader->capacity - reader->end);
    reader->end += bytes;
}

size_t roan_reply_reader_buffered(const roan_reply_reader *reader)
{
    return reader->end - reader->start;
}

size_t roan_reply_reader_expected(const roan_reply_reader *reader)
{
    return roan_reply_scan_bytes_min(&reader->scan);
}

bool roan_reply_reader_has_buffer(const roan_reply_reader *reader)
{
    return reader->buffer != NULL;
}

size_t roan_reply_reader_room(const roan_reply_reader *reader)
{
    return reader->capacity;
}

void roan_reply_reader_lend(roan_reply_reader *reader, char *buffer, size_t bytes)
{
    ROAN_ASSERT(reader->buffer == NULL && bytes > 0);
    reader->buffer = buffer;
    reader->capacity = bytes;
}

char *roan_reply_reader_take_buffer(roan_reply_reader *reader, size_t *ret_bytes)
{
    char *buffer = reader->buffer;

    if (reader->start < reader->end)
        return NULL;
    *ret_bytes = reader->capacity;
    roan_reply_scan_done(&reader->scan);
    reader->buffer = NULL;
    reader->start = reader->end = reader->capacity = 0;
    return buffer;
}

/* The text up to the CRLF that the first pass has seen; moves behind it. */
static roan_slice take_line(wire_cursor *wire)
{
    const char *start = wire->at;
    const char *cr = start;

    for (;; cr++) {
        cr = memchr(cr, '\r', (size_t)(wire->end - cr));
        ROAN_ASSERT(cr != NULL && cr + 1 < wire->end);
        if (cr[1] == '\n')
            break;
    }
    wire->at = cr + 2;
    return roan_slice_make(start, (size_t)(cr - start));
}

/* A number which the first pass has checked. */
static int64_t take_integer(wire_cursor *wire)
{
    const char *p = wire->at;
    bool is_negative = *p == '-';
    uint64_t value = 0;

    if (*p == '-' || *p == '+')
        p++;
    for (; *p != '\r'; p++)
        value = value * 10 + (uint64_t)(*p - '0');
    wire->at = p + 2;
    ROAN_ASSERT(wire->at <= wire->end);
    return (int64_t)(is_negative ? 0 - value : value);
}

static const roan_reply_type type_of_byte[128] = {
    ['+'] = ROAN_REPLY_STATUS,   ['-'] = ROAN_REPLY_ERROR,      [':'] = ROAN_REPLY_INTEGER,
    ['$'] = ROAN_REPLY_BULK,     ['*'] = ROAN_REPLY_ARRAY,      ['_'] = ROAN_REPLY_NULL,
    ['%'] = ROAN_REPLY_MAP,      ['|'] = ROAN_REPLY_MAP,        ['~'] = ROAN_REPLY_SET,
    ['>'] = ROAN_REPLY_PUSH,     [','] = ROAN_REPLY_DOUBLE,     ['#'] = ROAN_REPLY_BOOLEAN,
    ['='] = ROAN_REPLY_VERBATIM, ['('] = ROAN_REPLY_BIG_NUMBER, ['!'] = ROAN_REPLY_ERROR,
};

/* Fills `value` from a length and the bulk behind it. */
static void take_bulk(wire_cursor *wire, roan_value *value)
{
    int64_t length = take_integer(wire);

    if (length < 0) {
        value->type = ROAN_REPLY_NULL;
        return;
    }
    value->text = roan_slice_make(wire->at, (size_t)length);
    wire->at += length + 2;
    ROAN_ASSERT(wire->at <= wire->end);
    if (value->type == ROAN_REPLY_VERBATIM) {
        memcpy(value->verbatim_format, value->text.data, 3);
        value->text = roan_slice_make(value->text.data + 4, value->text.bytes - 4);
    }
}

/* Fills `value` from its header (and text). Returns how many values follow as its elements. */
static uint64_t build_value(const roan_reply_reader *reader, wire_cursor *wire, roan_value *value,
                            roan_value **free_values)
{
    char byte = *wire->at++;
    int64_t count;

    *value = (roan_value){.type = type_of_byte[byte & 127]};
    switch (byte) {
    case '+': case '-': case '(':
        value->text = take_line(wire);
        return 0;
    case ',':
        value->text = take_line(wire);
        value->number = strtod_l(value->text.data, NULL, reader->c_locale);
        return 0;
    case ':':
        value->integer = take_integer(wire);
        return 0;
    case '#':
        value->boolean = take_line(wire).data[0] == 't';
        return 0;
    case '_':
        wire->at += 2;
        return 0;
    case '$': case '=': case '!':
        take_bulk(wire, value);
        return 0;
    default:
        count = take_integer(wire);
        if (count < 0) {
            value->type = ROAN_REPLY_NULL;
            return 0;
        }
        value->count = (size_t)count;
        value->elements = *free_values;
        count = value->type == ROAN_REPLY_MAP ? count * 2 : count;
        *free_values += count;
        return (uint64_t)count;
    }
}

/* Builds the tree of a whole reply into values[0], which is the root, and those behind it. */
static void build_tree(const roan_reply_reader *reader, wire_cursor wire, roan_value *values)
{
    build_frame open[ROAN_REPLY_DEPTH_MAX + 1];
    size_t depth = 0;
    roan_value *free_values = values + 1;
    roan_value *attribute = NULL; /* waits for the value it describes */

    open[0] = (build_frame){.next = values, .left = 1};
    while (depth > 0 || open[0].left > 0) {
        build_frame *frame = &open[depth];
        bool is_attribute = *wire.at == '|';
        roan_value *value = is_attribute ? free_values++ : frame->next++;
        uint64_t elements;

        frame->left -= !is_attribute;
        elements = build_value(reader, &wire, value, &free_values);
        value->attributes = attribute;
        attribute = is_attribute && elements == 0 ? value : NULL;
        if (elements > 0) {
            ROAN_ASSERT(depth < ROAN_REPLY_DEPTH_MAX);
            open[++depth] = (build_frame){value->elements, elements, is_attribute ? value : NULL};
        }
        while (depth > 0 && open[depth].left == 0) {
            attribute = open[depth].attribute;
            depth--;
        }
    }
    ROAN_ASSERT(wire.at == wire.end);
    ROAN_ASSERT((uint64_t)(free_values - values) == reader->scan.values);
}

/* Leaves the bytes behind the reply in a fresh buffer, so that the block can have the old one. */
static roan_status leave_buffer(roan_reply_reader *reader, size_t reply_bytes)
{
    size_t rest = reader->end - reader->start - reply_bytes;
    char *buffer = NULL;

    if (rest > 0) {
        buffer = malloc(rest);
        if (buffer == NULL)
            return ROAN_E_NOMEM;
        memcpy(buffer, reader->buffer + reader->start + reply_bytes, rest);
    }
    reader->buffer = buffer;
    reader->start = 0;
    reader->end = reader->capacity = rest;
    return ROAN_OK;
}

static void skip_reply(roan_reply_reader *reader, size_t reply_bytes)
{
    reader->start += reply_bytes;
    if (reader->start < reader->end)
        return;
    reader->start = reader->end = 0;
    if (reader->capacity > BUFFER_BYTES_KEPT) {
        free(reader->buffer);
        reader->buffer = NULL;
        reader->capacity = 0;
    }
}

/* Would errors and pushes be put into a place, they would take the memory of a request that is not answered yet. */
static bool goes_into_place(const roan_reply_reader *reader, const roan_reply_place *place, size_t bytes)
{
    return place != NULL && place->memory != NULL && bytes <= place->bytes && reader->scan.root_type != '-' &&
           reader->scan.root_type != '!' && reader->scan.root_type != '>';
}

/* Memory for a block of this size. */
static reply_block *take_block(const roan_reply_reader *reader, roan_reply_place *place, size_t bytes)
{
    reply_block *block;

    if (goes_into_place(reader, place, bytes)) {
        block = place->memory;
        place->memory = NULL;
        block->release = place->release;
    } else {
        block = malloc(bytes);
        if (block == NULL)
            return NULL;
        block->release = NULL;
    }
    block->adopted = NULL;
    block->owned = NULL;
    block->owned_count = 0;
    return block;
}

/* Turns the whole reply at `start` into a block; the reader moves on behind it. */
static roan_status take_reply(roan_reply_reader *reader, roan_reply_place *place, roan_value **ret_value)
{
    size_t reply_bytes = reader->scan.offset;
    bool is_adopted = reply_bytes >= ADOPT_BYTES_MIN &&
                      reply_bytes >= (reader->end - reader->start) / 2;
    const char *wire = reader->buffer + reader->start;
    char *old_buffer = reader->buffer;
    size_t block_bytes;
    reply_block *block;

    if (reader->scan.values > SIZE_MAX / sizeof(roan_value) / 2)
        return ROAN_E_NOMEM;
    block_bytes = sizeof *block + (size_t)reader->scan.values * sizeof(roan_value);
    block = take_block(reader, is_adopted ? NULL : place, block_bytes + (is_adopted ? 0 : reply_bytes));
    if (block == NULL)
        return ROAN_E_NOMEM;
    if (!is_adopted) {
        wire = memcpy((char *)block + block_bytes, wire, reply_bytes);
        skip_reply(reader, reply_bytes);
    } else if (leave_buffer(reader, reply_bytes) == ROAN_OK) {
        block->adopted = old_buffer;
    } else {
        free(block);
        return ROAN_E_NOMEM;
    }
    build_tree(reader, (wire_cursor){wire, wire + reply_bytes}, block->values);
    roan_reply_scan_begin(&reader->scan);
    *ret_value = block->values;
    return ROAN_OK;
}

/* ---- the common replies ---- */

/* A reply without elements and attributes that is whole in the buffer. */
typedef struct plain_reply {
    roan_value value; /* its text is in the buffer */
    size_t bytes;     /* with the type byte and all line ends */
} plain_reply;

/* Longer ones take the way of all. */
#define PLAIN_BYTES_MAX 16384
#define PLAIN_DIGITS_MAX 18 /* never too large for 64 bits */

/* Reads digits and a line end from `at` on; returns what is behind, or NULL: something else, or not all there. */
static const char *read_plain_number(const char *at, const char *end, uint64_t *ret_number)
{
    const char *start = at;
    uint64_t number = 0;

    for (; at < end && *at >= '0' && *at <= '9'; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    if (at == start || at - start > PLAIN_DIGITS_MAX || end - at < 2 || at[0] != '\r' || at[1] != '\n')
        return NULL;
    *ret_number = number;
    return at + 2;
}

static const char *read_plain_bulk(const char *at, const char *end, roan_value *value)
{
    uint64_t bytes;
    const char *text = read_plain_number(at, end, &bytes);

    if (text == NULL || bytes > PLAIN_BYTES_MAX || (size_t)(end - text) < bytes + 2 || text[bytes] != '\r' ||
        text[bytes + 1] != '\n')
        return NULL;
    value->type = ROAN_REPLY_BULK;
    value->text = roan_slice_make(text, (size_t)bytes);
    return text + bytes + 2;
}

static const char *read_plain_line(const char *at, const char *end, roan_value *value)
{
    const char *cr = memchr(at, '\r', ROAN_MIN((size_t)(end - at), (size_t)PLAIN_BYTES_MAX));

    if (cr == NULL || cr + 1 == end || cr[1] != '\n')
        return NULL;
    value->type = ROAN_REPLY_STATUS;
    value->text = roan_slice_make(at, (size_t)(cr - at));
    return cr + 2;
}

static const char *read_plain_integer(const char *at, const char *end, roan_value *value)
{
    bool is_negative = at < end && *at == '-';
    uint64_t number;
    const char *behind = read_plain_number(at + is_negative, end, &number);

    if (behind == NULL)
        return NULL;
    value->type = ROAN_REPLY_INTEGER;
    value->integer = is_negative ? -(int64_t)number : (int64_t)number;
    return behind;
}

/* Is the next reply a plain one? Everything else, also what is broken, is for the scan to judge. */
static bool read_plain(const roan_reply_reader *reader, plain_reply *ret_reply)
{
    const char *start = reader->buffer + reader->start;
    const char *end = reader->buffer + reader->end;
    const char *behind;

    ret_reply->value = (roan_value){.type = ROAN_REPLY_NULL};
    switch (*start) {
    case '$':
        behind = read_plain_bulk(start + 1, end, &ret_reply->value);
        break;
    case '+':
        behind = read_plain_line(start + 1, end, &ret_reply->value);
        break;
    case ':':
        behind = read_plain_integer(start + 1, end, &ret_reply->value);
        break;
    case '_':
        behind = end - start >= 3 && start[1] == '\r' && start[2] == '\n' ? start + 3 : NULL;
        break;
    default:
        return false;
    }
    ret_reply->bytes = (size_t)(behind - start);
    return behind != NULL;
}

static roan_status take_plain(roan_reply_reader *reader, const plain_reply *reply, roan_reply_place *place,
                              roan_value **ret_value)
{
    size_t text_bytes = reply->value.text.bytes;
    reply_block *block;
    char *text;

    reader->scan.root_type = 0;
    block = take_block(reader, place, sizeof *block + sizeof(roan_value) + text_bytes);
    if (block == NULL)
        return ROAN_E_NOMEM;
    text = (char *)(block->values + 1);
    block->values[0] = reply->value;
    if (reply->value.text.data != NULL) {
        memcpy(text, reply->value.text.data, text_bytes);
        block->values[0].text.data = text;
    }
    skip_reply(reader, reply->bytes);
    *ret_value = block->values;
    return ROAN_OK;
}

roan_status roan_reply_reader_next_at(roan_reply_reader *reader, roan_reply_place *place, roan_value **ret_value,
                                      roan_error *reterr)
{
    roan_scan_result result;
    plain_reply plain;

    ROAN_ASSERT(reader != NULL);
    ROAN_ASSERT(ret_value != NULL);
    *ret_value = NULL;
    if (reader->is_broken) {
        if (reterr != NULL)
            *reterr = reader->error;
        return ROAN_E_PROTOCOL;
    }
    if (reader->start == reader->end)
        return ROAN_OK;
    if (!roan_reply_scan_has_begun(&reader->scan) && read_plain(reader, &plain)) {
        if (take_plain(reader, &plain, place, ret_value) == ROAN_OK)
            return ROAN_OK;
        return roan_error_set(reterr, ROAN_E_NOMEM, "reply of %zu bytes", plain.bytes);
    }
    result = roan_reply_scan_run(&reader->scan, reader->buffer + reader->start,
                                 reader->end - reader->start, &reader->error);
    switch (result) {
    case ROAN_SCAN_MORE:
        return ROAN_OK;
    case ROAN_SCAN_BROKEN:
        reader->is_broken = true;
        if (reterr != NULL)
            *reterr = reader->error;
        return ROAN_E_PROTOCOL;
    case ROAN_SCAN_WHOLE:
        if (take_reply(reader, place, ret_value) == ROAN_OK)
            return ROAN_OK;
        return roan_error_set(reterr, ROAN_E_NOMEM, "reply of %zu bytes", reader->scan.offset);
    case ROAN_SCAN_NO_MEMORY:
        return roan_error_set(reterr, ROAN_E_NOMEM, "reply nested deeply");
    }
    ROAN_UNREACHABLE("scan result");
}

roan_status roan_reply_reader_next(roan_reply_reader *reader, roan_value **ret_value,
                                   roan_error *reterr)
{
    return roan_reply_reader_next_at(reader, NULL, ret_value, reterr);
}
