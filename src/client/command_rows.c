/* client/command_rows.c: the table of commands, and how a row is found by name.
 *
 * A name is read into three words of eight bytes, lower case, zeroes behind it, without a loop. Their hash leads into
 * an open table of row numbers that the generator filled with the same hash; a hit is confirmed by comparing the three
 * words. A subcommand is looked up in the same table with its container's number mixed in. So finding "GET" costs one
 * probe, finding "CLIENT LIST" two lookups.
 */
#include "client/command_row.h"

#include "base/macros.h"

#include "client/command_rows.inc"

#define EVERY_BYTE(byte) ((uint64_t)(byte) * 0x0101010101010101u)

typedef struct folded_name {
    uint64_t words[3];
} folded_name;

/* The first `bytes` (at most 8) bytes as a little-endian number, zeroes above. */
static uint64_t load(const char *data, size_t bytes)
{
    uint64_t word = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (bytes >= 8) {
        memcpy(&word, data, 8);
    } else if (bytes >= 4) {
        uint32_t low;
        uint32_t high; /* overlaps the low one */
        memcpy(&low, data, 4);
        memcpy(&high, data + bytes - 4, 4);
        word = low | (uint64_t)high << (8 * (bytes - 4));
    } else if (bytes > 0) {
        word = (uint8_t)data[0] | (uint64_t)(uint8_t)data[bytes / 2] << (8 * (bytes / 2)) |
               (uint64_t)(uint8_t)data[bytes - 1] << (8 * (bytes - 1));
    }
#else
    for (size_t i = 0; i < bytes && i < 8; i++)
        word |= (uint64_t)(uint8_t)data[i] << (8 * i);
#endif
    return word;
}

/* A-Z to a-z in every byte; others, and bytes above 127, stay. */
static uint64_t to_lower(uint64_t word)
{
    uint64_t low_bits = word & EVERY_BYTE(0x7f);
    uint64_t from_a = low_bits + EVERY_BYTE(0x80 - 'A');
    uint64_t above_z = low_bits + EVERY_BYTE(0x7f - 'Z');
    uint64_t is_upper = (from_a & ~above_z & ~word) & EVERY_BYTE(0x80);

    return word | is_upper >> 2;
}

/* False for what is too long for a name of ours, or empty. */
static bool fold_name(roan_slice name, folded_name *ret_name)
{
    size_t bytes = name.bytes;

    if (bytes == 0 || bytes >= ROAN_COMMAND_NAME_BYTES)
        return false;
    ret_name->words[0] = to_lower(load(name.data, ROAN_MIN(bytes, 8)));
    ret_name->words[1] = bytes > 8 ? to_lower(load(name.data + 8, ROAN_MIN(bytes - 8, 8))) : 0;
    ret_name->words[2] = bytes > 16 ? to_lower(load(name.data + 16, bytes - 16)) : 0;
    return name.data[bytes - 1] != '\0';
}

static bool is_name_of(unsigned row, const folded_name *name)
{
    return load(row_names[row], 8) == name->words[0] && load(row_names[row] + 8, 8) == name->words[1] &&
           load(row_names[row] + 16, 8) == name->words[2];
}

/* The same hash as in tools/gen_client_commands.py. */
static unsigned hash_name(const folded_name *name, unsigned parent)
{
    uint64_t value = parent * 0x2545f4914f6cdd1du;

    value ^= name->words[0] * 0x9e3779b97f4a7c15u;
    value ^= name->words[1] * 0xc2b2ae3d27d4eb4fu;
    value ^= name->words[2] * 0x165667b19e3779f9u;
    value ^= value >> 32;
    return (unsigned)(value * 0x9e3779b97f4a7c15u >> 54);
}

static const roan_command_row *find_row(roan_slice word, unsigned parent)
{
    folded_name name;
    unsigned slot;

    if (!fold_name(word, &name))
        return NULL;
    slot = hash_name(&name, parent);
    for (unsigned probe = 0; probe < ROAN_COMMAND_PROBES_MAX; probe++) {
        unsigned number = row_slots[(slot + probe) % ROAN_COMMAND_SLOTS];
        if (number == 0)
            return NULL;
        if (roan_command_rows[number - 1].parent == parent && is_name_of(number - 1, &name))
            return &roan_command_rows[number - 1];
    }
    return NULL;
}

const roan_command_row *roan_command_row_find(size_t argc, const roan_slice *argv)
{
    const roan_command_row *row = argc > 0 ? find_row(argv[0], 0) : NULL;

    if (row != NULL && row->keys == ROAN_KEYS_CONTAINER && argc > 1) {
        const roan_command_row *subcommand = find_row(argv[1], (unsigned)(row - roan_command_rows) + 1);
        if (subcommand != NULL)
            return subcommand;
    }
    return row;
}
