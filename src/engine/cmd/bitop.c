/* engine/cmd/bitop.c: BITOP: several strings combined bit by bit.
 *
 * Every operation is a fold over the sources: the target begins as one of them and takes in the others by AND, OR,
 * XOR or AND NOT. It is done piece by piece, so that a piece of the target stays in the cache while the sources
 * stream by. A source that ends early goes on with zeros. ONE (exactly one source has the bit) remembers which bits
 * came twice.
 */
#include "engine/call.h"
#include "engine/command_keys.h"

#define PIECE_BYTES 4096u
#define WORD_BYTES sizeof(uint64_t)
#define SOURCES_INLINE 16

typedef enum bit_fold { FOLD_AND, FOLD_OR, FOLD_XOR, FOLD_AND_NOT } bit_fold;

/* How the target comes about: it begins as the first source and takes in the others by `fold`; or it begins as the
 * second one, and the first is taken in at the end, by `last`. */
typedef struct bit_operation {
    const char *name;
    bit_fold fold;          /* of the sources */
    bool inverts;           /* NOT: one source only */
    bool needs_two;
    bool only_once;         /* ONE */
    bool first_comes_last;
    bit_fold last;
} bit_operation;

static const bit_operation bit_operations[] = {
    {.name = "AND", .fold = FOLD_AND},
    {.name = "OR", .fold = FOLD_OR},
    {.name = "XOR", .fold = FOLD_XOR},
    {.name = "NOT", .fold = FOLD_OR, .inverts = true},
    {.name = "DIFF", .fold = FOLD_AND_NOT, .needs_two = true},
    {.name = "DIFF1", .fold = FOLD_OR, .needs_two = true, .first_comes_last = true, .last = FOLD_AND_NOT},
    {.name = "ANDOR", .fold = FOLD_OR, .needs_two = true, .first_comes_last = true, .last = FOLD_AND},
    {.name = "ONE", .fold = FOLD_OR, .only_once = true},
};

/* ---- folding ---- */

static ROAN_ALWAYS_INLINE uint64_t fold_word(bit_fold fold, uint64_t a, uint64_t b)
{
    return fold == FOLD_AND ? a & b : fold == FOLD_OR ? a | b : fold == FOLD_XOR ? a ^ b : a & ~b;
}

/* With a constant `fold` the compiler makes a loop of wide instructions of this. */
static ROAN_ALWAYS_INLINE void fold_bytes(bit_fold fold, char *restrict target, const char *restrict source,
                                          size_t bytes)
{
    for (; bytes >= 8 * WORD_BYTES; target += 8 * WORD_BYTES, source += 8 * WORD_BYTES, bytes -= 8 * WORD_BYTES) {
        uint64_t a[8], b[8];
        memcpy(a, target, sizeof a);
        memcpy(b, source, sizeof b);
        for (size_t i = 0; i < 8; i++)
            a[i] = fold_word(fold, a[i], b[i]);
        memcpy(target, a, sizeof a);
    }
    for (; bytes > 0; target++, source++, bytes--)
        *target = (char)fold_word(fold, (unsigned char)*target, (unsigned char)*source);
}

/* Takes `bytes` of the source, of which `present` are there and the others zero, into the target. */
static void fold_in(bit_fold fold, char *target, const char *source, size_t present, size_t bytes)
{
    switch (fold) {
    case FOLD_AND:
        fold_bytes(FOLD_AND, target, source, present);
        memset(target + present, 0, bytes - present);
        return;
    case FOLD_OR:
        fold_bytes(FOLD_OR, target, source, present);
        return;
    case FOLD_XOR:
        fold_bytes(FOLD_XOR, target, source, present);
        return;
    case FOLD_AND_NOT:
        fold_bytes(FOLD_AND_NOT, target, source, present);
        return;
    }
}

/* One piece of a fold: where it begins in the strings, and where it goes. */
typedef struct bit_piece {
    const roan_slice *sources;
    size_t count;
    size_t at, bytes;
    char *target;
} bit_piece;

static size_t piece_present(const bit_piece *piece, size_t source)
{
    size_t bytes = piece->sources[source].bytes;
    return bytes <= piece->at ? 0 : ROAN_MIN(bytes - piece->at, piece->bytes);
}

static const char *piece_data(const bit_piece *piece, size_t source, size_t present)
{
    return present == 0 ? "" : piece->sources[source].data + piece->at;
}

static void piece_begin(const bit_piece *piece, size_t source)
{
    size_t present = piece_present(piece, source);
    memcpy(piece->target, piece_data(piece, source, present), present);
    memset(piece->target + present, 0, piece->bytes - present);
}

static void piece_fold(const bit_piece *piece, bit_fold fold, size_t source)
{
    size_t present = piece_present(piece, source);
    fold_in(fold, piece->target, piece_data(piece, source, present), present, piece->bytes);
}

/* Bits that more than one source has leave the target. */
static void piece_only_once(const bit_piece *piece)
{
    char twice[PIECE_BYTES], both[PIECE_BYTES];
    memset(twice, 0, piece->bytes);
    piece_begin(piece, 0);
    for (size_t i = 1; i < piece->count; i++) {
        size_t present = piece_present(piece, i);
        const char *data = piece_data(piece, i, present);
        memcpy(both, piece->target, present);
        fold_bytes(FOLD_AND, both, data, present);
        fold_bytes(FOLD_OR, twice, both, present);
        fold_bytes(FOLD_OR, piece->target, data, present);
    }
    fold_bytes(FOLD_AND_NOT, piece->target, twice, piece->bytes);
}

static char all_ones[PIECE_BYTES]; /* written once before main() */

__attribute__((constructor)) static void fill_all_ones(void)
{
    memset(all_ones, 0xff, sizeof all_ones);
}

static void piece_combine(const bit_operation *operation, const bit_piece *piece)
{
    if (operation->only_once) {
        piece_only_once(piece);
        return;
    }
    size_t first = operation->first_comes_last ? 1 : 0;
    piece_begin(piece, first);
    for (size_t i = first + 1; i < piece->count; i++)
        piece_fold(piece, operation->fold, i);
    if (operation->first_comes_last)
        piece_fold(piece, operation->last, 0);
    if (operation->inverts)
        fold_in(FOLD_XOR, piece->target, all_ones, piece->bytes, piece->bytes);
}

static void combine(const bit_operation *operation, const roan_slice *sources, size_t count, char *target, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += PIECE_BYTES) {
        bit_piece piece = {sources, count, at, ROAN_MIN(bytes - at, PIECE_BYTES), target + at};
        piece_combine(operation, &piece);
    }
}

/* ---- the command ---- */

/* The operation argv[1] names with the number of sources given; NULL after an error was sent. */
static const bit_operation *parse_operation(roan_call *call, size_t sources)
{
    for (size_t i = 0; i < ROAN_COUNT_OF(bit_operations); i++) {
        const bit_operation *operation = &bit_operations[i];
        if (!roan_call_is(call, 1, operation->name))
            continue;
        if (operation->inverts && sources != 1) {
            roan_call_error(call, "ERR BITOP NOT must be called with a single source key.");
            return NULL;
        }
        if (operation->needs_two && sources < 2) {
            roan_call_error_printf(call, "ERR BITOP %s must be called with at least two source keys.", operation->name);
            return NULL;
        }
        return operation;
    }
    roan_call_syntax_error(call);
    return NULL;
}

/* Where the bytes of the sources lie; integers are written out. */
typedef struct bit_sources {
    size_t count, bytes_max;
    roan_slice *values;
    char (*scratch)[ROAN_I64_TEXT_MAX];
    roan_slice values_inline[SOURCES_INLINE];
    char scratch_inline[SOURCES_INLINE][ROAN_I64_TEXT_MAX];
} bit_sources;

static void sources_init(bit_sources *sources, size_t count)
{
    bool is_small = count <= SOURCES_INLINE;
    sources->count = count;
    sources->bytes_max = 0;
    sources->values = is_small ? sources->values_inline : roan_alloc(count * sizeof *sources->values);
    sources->scratch = is_small ? sources->scratch_inline : roan_alloc(count * sizeof *sources->scratch);
}

static void sources_done(bit_sources *sources)
{
    if (sources->count <= SOURCES_INLINE)
        return;
    roan_free(sources->values, sources->count * sizeof *sources->values);
    roan_free(sources->scratch, sources->count * sizeof *sources->scratch);
}

/* Finds the strings in argv[first...]; false after an error was sent. */
static bool sources_find(roan_call *call, size_t first, bit_sources *sources)
{
    for (size_t i = 0; i < sources->count; i++) {
        roan_place place;
        roan_call_find_read(call, first + i, &place);
        if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))
            return false;
        sources->values[i] =
            place.entry == NULL ? roan_slice_make("", 0) : roan_entry_string(place.entry, sources->scratch[i]);
        sources->bytes_max = ROAN_MAX(sources->bytes_max, sources->values[i].bytes);
    }
    return true;
}

/* A new entry for the place with the outcome. What was there stays until it is put: it may be one of the sources. */
static roan_entry *create_result(const bit_operation *operation, const bit_sources *sources, roan_place *place)
{
    size_t bytes = sources->bytes_max;
    roan_arena *arena = roan_table_arena(place->table);
    if (bytes <= ROAN_INLINE_BYTES_MAX) {
        roan_entry *entry = roan_entry_create_inline(arena, place->name, bytes, false, 0);
        entry->encoding = ROAN_STRING_INLINE_RAW;
        combine(operation, sources->values, sources->count, roan_entry_inline(entry), bytes);
        return entry;
    }
    roan_blob *blob = roan_blob_create(bytes, bytes);
    combine(operation, sources->values, sources->count, blob->data, bytes);
    return roan_entry_create_pointer(arena, place->name, ROAN_TYPE_STRING, ROAN_STRING_BLOB, blob, false, 0);
}

static void store_result(roan_call *call, const bit_operation *operation, const bit_sources *sources)
{
    roan_place place;
    bool was_there = roan_call_find_write(call, 2, &place);
    if (sources->bytes_max > 0) {
        roan_place_put(call, &place, create_result(operation, sources, &place));
        roan_call_changed(call, &place, ROAN_EVENT_STRING, "set");
    } else if (was_there) {
        roan_place_delete(call, &place, call->engine->config.lazyfree_lazy_server_del);
        roan_call_changed(call, &place, ROAN_EVENT_GENERIC, "del");
    }
    roan_out_integer(call->out, (int64_t)sources->bytes_max);
}

ROAN_COMMAND(bitop, .arity = -4, .flags = ROAN_CMD_WRITE | ROAN_CMD_DENY_OOM, .lock = ROAN_LOCK_K,
             .keys = {ROAN_KEY(2, ROAN_KEY_OW | ROAN_KEY_UPDATE),
                      ROAN_KEYS(3, -1, 1, ROAN_KEY_RO | ROAN_KEY_ACCESS)},
             .group = ROAN_GROUP_BITMAP, .since = "2.6.0",
             .complexity = "O(N) for N bytes of the longest source.",
             .summary = "Combines strings bit by bit and stores the outcome.",
             .arguments = "operation<AND|OR|XOR|NOT> destkey:key key:key...")
{
    bit_sources sources;
    const bit_operation *operation = parse_operation(call, call->argc - 3);
    if (operation == NULL)
        return;
    sources_init(&sources, call->argc - 3);
    if (sources_find(call, 3, &sources))
        store_result(call, operation, &sources);
    sources_done(&sources);
}
