/* engine/command.c: what follows from a command's row and is therefore written nowhere else.
 *
 * ACL categories. Flags give read, write, admin (with dangerous), pubsub, blocking and fast or slow; the group gives
 * its data type, keyspace, connection, transaction or scripting. A row adds the rest in `.acl`, or takes the group's
 * category away with ROAN_ACL_NO_GROUP. Reading scripts (EVAL_RO) are not in "read": what a script does is not known.
 *
 * Legacy key range. Clients older than key specs know one range first..last by step. A single range spec is that range;
 * of several, those that follow each other without a gap are merged. Whatever does not fit makes the command one with
 * movable keys, whose keys are asked for with COMMAND GETKEYS.
 *
 * Finding by name. The generator writes a hash table over the full names; this file has the same hash function. The
 * index has the subcommands of a parent right behind it.
 */
#include "engine/command.h"

#include "base/number.h"
#include "engine/command_keys.h"

#include <limits.h>
#include <string.h>

#define ROAN_NAME_OF_BIT(name, text) [ROAN_CMD_BIT_##name] = text,
const char *const roan_cmd_flag_names[] = {ROAN_CMD_FLAG_LIST(ROAN_NAME_OF_BIT)};
#undef ROAN_NAME_OF_BIT

#define ROAN_NAME_OF_BIT(name, text) [ROAN_ACL_BIT_##name] = text,
const char *const roan_acl_category_names[] = {ROAN_ACL_CATEGORY_LIST(ROAN_NAME_OF_BIT)};
#undef ROAN_NAME_OF_BIT

#define ROAN_NAME_OF_BIT(name, text) [ROAN_KEY_BIT_##name] = text,
const char *const roan_key_flag_names[] = {ROAN_KEY_FLAG_LIST(ROAN_NAME_OF_BIT)};
#undef ROAN_NAME_OF_BIT

#define ROAN_NAME_OF_GROUP(name, text) [ROAN_GROUP_##name] = text,
const char *const roan_group_names[] = {ROAN_GROUP_LIST(ROAN_NAME_OF_GROUP)};
#undef ROAN_NAME_OF_GROUP

_Static_assert(ROAN_CMD_FLAG_COUNT <= 31, "flags fit an int enum");
_Static_assert(ROAN_ACL_CATEGORY_COUNT <= 31, "bit 31 is ROAN_ACL_NO_GROUP");
_Static_assert(ROAN_KEY_FLAG_COUNT <= 16, "roan_key_spec.flags is 16 bits wide");

/* --- ACL categories --- */

static uint32_t category_of_group(roan_group group)
{
    switch (group) {
    case ROAN_GROUP_STRING: return ROAN_ACL_STRING;
    case ROAN_GROUP_LIST: return ROAN_ACL_LIST;
    case ROAN_GROUP_SET: return ROAN_ACL_SET;
    case ROAN_GROUP_SORTED_SET: return ROAN_ACL_SORTEDSET;
    case ROAN_GROUP_HASH: return ROAN_ACL_HASH;
    case ROAN_GROUP_STREAM: return ROAN_ACL_STREAM;
    case ROAN_GROUP_BITMAP: return ROAN_ACL_BITMAP;
    case ROAN_GROUP_HYPERLOGLOG: return ROAN_ACL_HYPERLOGLOG;
    case ROAN_GROUP_GEO: return ROAN_ACL_GEO;
    case ROAN_GROUP_GENERIC: return ROAN_ACL_KEYSPACE;
    case ROAN_GROUP_CONNECTION: return ROAN_ACL_CONNECTION;
    case ROAN_GROUP_SCRIPTING: return ROAN_ACL_SCRIPTING;
    case ROAN_GROUP_TRANSACTIONS: return ROAN_ACL_TRANSACTION;
    case ROAN_GROUP_SERVER:
    case ROAN_GROUP_PUBSUB: /* its flag says it */
    case ROAN_GROUP_CLUSTER: return 0;
    case ROAN_GROUP_COUNT: break;
    }
    ROAN_UNREACHABLE("no such group");
}

uint32_t roan_command_categories(const roan_command *command)
{
    uint32_t flags = command->flags;
    uint32_t set = command->acl & ~ROAN_ACL_NO_GROUP;
    if ((command->acl & ROAN_ACL_NO_GROUP) == 0)
        set |= category_of_group((roan_group)command->group);
    if (flags & ROAN_CMD_WRITE)
        set |= ROAN_ACL_WRITE;
    if ((flags & ROAN_CMD_READ) && command->group != ROAN_GROUP_SCRIPTING)
        set |= ROAN_ACL_READ;
    if (flags & ROAN_CMD_ADMIN)
        set |= ROAN_ACL_ADMIN | ROAN_ACL_DANGEROUS;
    if (flags & ROAN_CMD_PUBSUB)
        set |= ROAN_ACL_PUBSUB;
    if (flags & ROAN_CMD_BLOCKING)
        set |= ROAN_ACL_BLOCKING;
    set |= (flags & ROAN_CMD_FAST) ? ROAN_ACL_FAST : ROAN_ACL_SLOW;
    ROAN_ASSERT((set & ROAN_ACL_FAST) == 0 || (set & ROAN_ACL_SLOW) == 0);
    return set;
}

uint32_t roan_acl_category_find(roan_slice name)
{
    for (unsigned bit = 0; bit < ROAN_ACL_CATEGORY_COUNT; bit++)
        if (roan_slice_is(name, roan_acl_category_names[bit]))
            return 1u << bit;
    return 0;
}

/* --- the legacy key range --- */

/* The specs of a command merged into one range, and whether something had to be left out. */
typedef struct merged_range {
    roan_key_range range;
    bool has_rest;
} merged_range;

static bool is_range_spec(const roan_key_spec *spec)
{
    return spec->begin == ROAN_BEGIN_INDEX && spec->find == ROAN_FIND_RANGE;
}

/* The last key of a range spec as an index; negative from the end, so that -1 is "further" than any positive one. */
static int last_index(const roan_key_spec *spec)
{
    return spec->last >= 0 ? spec->index + spec->last : spec->last;
}

static merged_range merge_specs(const roan_command *command)
{
    merged_range merged = {{0, 0, 0}, false};
    for (int i = 0; i < ROAN_KEY_SPECS_MAX && command->keys[i].begin != ROAN_BEGIN_NONE; i++) {
        const roan_key_spec *spec = &command->keys[i];
        bool is_first = merged.range.first == 0;
        if (spec->flags & ROAN_KEY_INCOMPLETE)
            merged.has_rest = true;
        if (!is_range_spec(spec) || (!is_first && merged.range.last != spec->index - 1)) {
            merged.has_rest = true;
            continue;
        }
        merged.range.first = is_first ? spec->index : ROAN_MIN(merged.range.first, spec->index);
        merged.range.last = last_index(spec);
        merged.range.step = is_first ? spec->step : 1;
    }
    return merged;
}

roan_key_range roan_command_key_range(const roan_command *command)
{
    return merge_specs(command).range;
}

uint32_t roan_command_flags(const roan_command *command)
{
    uint32_t shown = command->flags & ~(uint32_t)ROAN_CMD_MAY_REPLICATE;
    return shown | (merge_specs(command).has_rest ? (uint32_t)ROAN_CMD_MOVABLE_KEYS : 0);
}

/* --- the index --- */

static uint64_t load_little_endian(const char *data, size_t bytes)
{
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; i++) /* with a constant size: one load */
        word |= (uint64_t)(unsigned char)data[i] << (8 * i);
    return word;
}

/* Ignores the case of letters. The table is filled with the same function, name_hash() in gen_command_index.py. */
static uint32_t hash_name(roan_slice name)
{
    const uint64_t fold = UINT64_C(0x2020202020202020);
    const char *data = name.data;
    size_t bytes = name.bytes;
    uint64_t low, high = 0;
    if (bytes >= 8) {
        low = load_little_endian(data, 8);
        high = load_little_endian(data + bytes - 8, 8);
    } else if (bytes >= 4) {
        low = load_little_endian(data, 4);
        high = load_little_endian(data + bytes - 4, 4);
    } else {
        const char spread[] = {data[0], data[bytes / 2], data[bytes - 1]};
        low = load_little_endian(spread, 3);
    }
    uint64_t mixed = (low | fold) * UINT64_C(0x9E3779B97F4A7C15) + (high | fold) * UINT64_C(0xC2B2AE3D27D4EB4F) + bytes;
    mixed ^= mixed >> 32;
    return (uint32_t)(mixed * UINT64_C(0xD6E8FEB86659FD93) >> 40);
}

/* Is `name`, in any case, the NUL-terminated lower-case `row_name`? */
static bool is_name(roan_slice name, const char *row_name)
{
    for (size_t i = 0; i < name.bytes; i++) {
        char c = name.data[i];
        c = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        if (c != row_name[i] || c == '\0')
            return false;
    }
    return row_name[name.bytes] == '\0';
}

const roan_command *roan_command_find(roan_slice name)
{
    if (name.bytes == 0)
        return NULL;
    for (uint32_t slot = hash_name(name);; slot++) {
        unsigned place = roan_command_slots[slot & roan_command_slot_mask]; /* the table has free slots */
        if (place == 0)
            return NULL;
        const roan_command *command = roan_command_index[place - 1];
        if (is_name(name, command->name))
            return command;
    }
}

static const roan_command *find_subcommand(const roan_command *parent, roan_slice name)
{
    size_t skip = strlen(parent->name) + 1;
    unsigned count;
    const roan_command *const *rows = roan_command_subcommands(parent, &count);
    for (unsigned i = 0; i < count; i++)
        if (is_name(name, rows[i]->name + skip))
            return rows[i];
    return NULL;
}

const roan_command *roan_command_find_words(size_t argc, const roan_slice *argv)
{
    ROAN_ASSERT(argc > 0);
    const roan_command *command = roan_command_find(argv[0]);
    if (command == NULL)
        return NULL;
    uint8_t children = roan_command_children[command->id];
    if (children == 0)
        return command;
    if (children == UINT8_MAX) /* "client|list" is no word that a client may send */
        return NULL;
    return argc == 1 ? command : find_subcommand(command, argv[1]);
}

const roan_command *const *roan_command_subcommands(const roan_command *command, unsigned *ret_count)
{
    ROAN_ASSERT(command->id < roan_command_index_count);
    ROAN_ASSERT(roan_command_index[command->id] == command);
    *ret_count = roan_command_is_subcommand(command) ? 0 : roan_command_children[command->id];
    return &roan_command_index[command->id + 1];
}
