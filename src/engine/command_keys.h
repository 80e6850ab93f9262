/* engine/command_keys.h: which words of a command line are keys, and what happens to each.
 *
 * Dispatch builds the lock set from it, cluster mode the slot, COMMAND GETKEYS its reply. Pure: looks at words only.
 */
#pragma once

#include "engine/command.h"

#define ROAN_KEY_LIST_ROOM 32

/* One key: its place among the words and the flags of its spec (ROAN_KEY_*). */
typedef struct roan_key_ref {
    uint32_t index;
    uint16_t flags;
} roan_key_ref;

/* The keys of one command line. Zero-initialise it; up to ROAN_KEY_LIST_ROOM keys need no allocation. */
struct roan_key_list {
    unsigned count;
    unsigned capacity;   /* of `grown`; 0 while `room` is enough */
    roan_key_ref *grown; /* owned */
    roan_key_ref room[ROAN_KEY_LIST_ROOM];
};

static inline void roan_key_list_init(roan_key_list *list)
{
    list->count = list->capacity = 0;
    list->grown = NULL;
}

void roan_key_list_done(roan_key_list *list);

/* Empties the list and keeps its memory. */
static inline void roan_key_list_clear(roan_key_list *list)
{
    list->count = 0;
}

static inline const roan_key_ref *roan_key_list_refs(const roan_key_list *list)
{
    return list->capacity > 0 ? list->grown : list->room;
}

void roan_key_list_add(roan_key_list *list, size_t index, uint16_t flags);

/* The usual command: exactly one key, always at the same place. That place, or 0 when it is not as simple. */
static ROAN_ALWAYS_INLINE unsigned roan_command_single_key(const roan_command *command)
{
    const roan_key_spec *spec = &command->keys[0];
    bool is_single = spec->begin == ROAN_BEGIN_INDEX && spec->find == ROAN_FIND_RANGE && spec->last == 0 &&
                     (spec->flags & (ROAN_KEY_NOT_KEY | ROAN_KEY_INCOMPLETE)) == 0 &&
                     command->keys[1].begin == ROAN_BEGIN_NONE;
    return is_single ? (unsigned)spec->index : 0;
}

/* Fills `list` (emptied first) with the keys of argv, in the order of the specs; argv holds the whole command line and
 * has passed the arity check. False, with an empty list, when the words cannot be a valid command (a count that is no
 * number or points behind the end): its body will report the error, and must run where it may touch no key or all. */
bool roan_command_find_keys(const roan_command *command, size_t argc, const roan_slice *argv, roan_key_list *list);

/* False when no argument of the command is ever a key. */
bool roan_command_has_keys(const roan_command *command);
