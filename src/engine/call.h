/* engine/call.h: what a command body sees: its arguments, its keys, the time, and where to answer.
 *
 * A body is plain single-threaded code. It never locks, logs, touches a socket or reads the clock. It parses everything
 * before it changes anything, and answers exactly once.
 *
 *     roan_place place;
 *     roan_call_find_read(call, 1, &place);
 *     if (!roan_call_is_type(call, &place, ROAN_TYPE_STRING))   -> WRONGTYPE was sent
 *         return;
 *     if (place.entry == NULL) { roan_out_null(call->out); return; }
 */
#pragma once

#include "engine/engine.h"
#include "resp/out.h"

/* Keys that were hashed ahead. */
typedef struct roan_keys_ahead {
    size_t first, end, step; /* arguments first, first + step, ... below end */
    uint64_t hash[16];
    uint32_t stripe[16];
} roan_keys_ahead;

struct roan_call {
    roan_engine *engine;
    roan_lane *lane;
    roan_session *session;
    const roan_command *command;
    roan_db *db;                /* the session's */
    const roan_slice *argv;
    size_t argc;
    roan_out *out;              /* answers go here */
    int64_t now_ms;             /* wall clock; stands still during the call */
    const roan_request *request;
    const roan_call *outer;     /* the EXEC or script that it is a part of; NULL: none */
    roan_keys_ahead *ahead;     /* NULL: none */
    uint64_t dirty;             /* changes made, as the reference counts them */
    bool has_failed;            /* an error was sent */
    bool is_blocked;
    bool may_not_block;         /* a part of a transaction or script: what would wait is told that its time is over */
    struct roan_waiting *retry; /* a waiting command runs again, engine/blocking.h; NULL: an ordinary call */
    bool forces_effect;         /* is logged even without a change */
    bool has_effect;            /* an effect was given that replaces the command itself */
    uint64_t redacted;          /* arguments nobody may see, by index; the last bit: that and all behind it */
};

/* A script called the command: its session only stands in for the caller's. */
static inline bool roan_call_is_in_script(const roan_call *call)
{
    return call->outer != NULL && call->session != call->outer->session;
}

/* Where a key is or would be. Valid until the next change of the keyspace. */
typedef struct roan_place {
    roan_entry *entry; /* NULL: no such key */
    roan_db *db;
    roan_table *table;
    roan_slice name;
    uint64_t hash;
    uint32_t stripe;
    roan_spot spot;
} roan_place;

/* ---- finding keys ---- */

/* The key in argv[index], for reading: counts a hit or miss (which is a keyspace event) and refreshes its LRU/LFU
 * clock. An expired key is absent (and deleted). Returns place->entry != NULL. */
bool roan_call_find_read(roan_call *call, size_t index, roan_place *place);

/* The same for writing: no hit or miss is counted; the clock is refreshed. */
bool roan_call_find_write(roan_call *call, size_t index, roan_place *place);

/* Neither counts nor touches. */
bool roan_call_find_quiet(roan_call *call, size_t index, roan_place *place);

/* The same, and finds a key that has expired but is still there: some of DEBUG. */
bool roan_call_find_anyway(roan_call *call, size_t index, roan_place *place);

/* Counts, but does not touch the clock: EXISTS, TYPE, TTL. */
bool roan_call_find_read_untouched(roan_call *call, size_t index, roan_place *place);

/* Counts, but neither touches nor tells of a miss: OBJECT. */
bool roan_call_find_unheard(roan_call *call, size_t index, roan_place *place);

/* For a key that was found in another way: counts a hit or a miss, and tells of the miss. */
bool roan_call_note_reading(roan_call *call, const roan_place *place);

/* Any name in any database; its stripe must be held (declared by a key spec, or the call is class X). */
bool roan_call_find_in(roan_call *call, roan_db *db, roan_slice name, roan_place *place);

/* The same in the session's database, counted and touched as by roan_call_find_read. */
bool roan_call_find_name_read(roan_call *call, roan_slice name, roan_place *place);

/* For commands with many keys: every ROAN_AHEAD_KEYS-th time (i counts from 0) reads ahead the keys argv[first + i *
 * step] and those that follow, up to argc. Finding them afterwards costs neither a hash nor a wait for memory. */
#define ROAN_AHEAD_KEYS 16
void roan_call_read_ahead_slowly(roan_call *call, size_t index, size_t step);
static inline void roan_call_read_ahead(roan_call *call, size_t i, size_t first, size_t step)
{
    if (i % ROAN_AHEAD_KEYS == 0)
        roan_call_read_ahead_slowly(call, first + i * step, step);
}

/* True when the key is absent or of the type; otherwise WRONGTYPE was sent. */
bool roan_call_is_type(roan_call *call, const roan_place *place, roan_type type);
/* Sends WRONGTYPE. */
void roan_call_wrong_type(roan_call *call);

/* ---- changing keys ---- */

#define ROAN_EXPIRY_NONE INT64_C(-1) /* without expiry */
#define ROAN_EXPIRY_KEEP INT64_C(-2) /* whatever the key had */
/* any other value: milliseconds since 1970; negative times are not stored, the caller deletes instead */

/* Makes the key a string with this value, new or overwritten, of whatever type it was. */
void roan_place_set_string(roan_call *call, roan_place *place, roan_slice value, int64_t expiry_ms);
/* The same for a value that stays text even when it looks like an integer; keeps the expiry. */
void roan_place_set_text(roan_call *call, roan_place *place, roan_slice value);
/* Sets the string to an integer; keeps the expiry. */
void roan_place_set_integer(roan_call *call, roan_place *place, int64_t value);
/* Makes the string (or an absent key) `bytes` long, keeping what it has, zero-filled behind; returns its bytes to be
 * written to. NULL: there is no memory for it (an error was sent). Integers become text. */
char *roan_place_resize_string(roan_call *call, roan_place *place, size_t bytes);
/* The value of a key that is there and is no string. */
static inline roan_value roan_place_value(const roan_place *place)
{
    return roan_entry_value(place->entry);
}
/* The value at the place was changed by its type's functions and is this one now. */
void roan_place_store(roan_call *call, roan_place *place, roan_value value);
/* Makes the key one of this type and value, which the keyspace owns from now on: new, or in place of whatever was
 * there. expiry_ms as above. */
void roan_place_create(roan_call *call, roan_place *place, roan_type type, roan_value value, int64_t expiry_ms);
/* Puts an entry (with this place's name) where the old one was, which is freed. */
void roan_place_put(roan_call *call, roan_place *place, roan_entry *entry);
/* Takes the key out and frees it (big values in the background when `is_lazy`). */
void roan_place_delete(roan_call *call, roan_place *place, bool is_lazy);
/* Takes the key out; the entry is the caller's. */
roan_entry *roan_place_take(roan_call *call, roan_place *place);
/* The key was told to expire at a time that is over: deletes it, with the event and effect of an expiry. */
void roan_place_expire_now(roan_call *call, roan_place *place);
/* Gives, changes or (ROAN_EXPIRY_NONE) removes the expiry. */
void roan_place_set_expiry(roan_call *call, roan_place *place, int64_t expiry_ms);
static inline int64_t roan_place_expiry(const roan_place *place)
{
    return place->entry->flags & ROAN_ENTRY_EXPIRES ? roan_entry_expiry(place->entry) : ROAN_EXPIRY_NONE;
}

/* Says that the key changed: counts one change, wakes who watches, names the event for notifications (class:
 * ROAN_EVENT_* of engine/config.h). Call it once per changed key, after the change. */
void roan_call_changed(roan_call *call, const roan_place *place, unsigned event_class, const char *event);

/* Every key of the database may have changed, beyond what is said of single keys; class X only. Counts nothing. */
void roan_call_db_changed(roan_call *call, const roan_db *db);

/* A second event of the same change ("expire" after "set"): named for notifications, not counted. */
void roan_call_changed_event(roan_call *call, const roan_place *place, unsigned event_class, const char *event);

/* What replicas and logs should do instead of repeating the command itself. May be called several times (all are
 * kept, in order); roan_call_no_effect() says that there is nothing to repeat although keys changed. */
void roan_call_effect(roan_call *call, size_t argc, const roan_slice *argv);
void roan_call_no_effect(roan_call *call);

/* The command is logged although no key changed (FLUSHALL of an empty server). */
void roan_call_force_effect(roan_call *call);

/* ---- whole databases; class X only ---- */

/* A uniformly random key of the session's database that has not expired, or NULL. */
roan_entry *roan_db_random(roan_call *call);
/* Empties a database, in the background when asked; returns how many keys went. */
uint64_t roan_db_clear(roan_engine *engine, roan_db *db, bool is_async);

/* ---- answering ---- */

/* Error replies: the text begins with its code ("ERR syntax error"). */
void roan_call_error(roan_call *call, const char *text);
void roan_call_error_printf(roan_call *call, const char *format, ...) ROAN_PRINTF(2, 3);

void roan_call_syntax_error(roan_call *call);
/* "ERR wrong number of arguments for '…' command" */
void roan_call_arity_error(roan_call *call);
/* "ERR unknown subcommand '…'. Try … HELP." */
void roan_call_unknown_subcommand(roan_call *call);
/* The HELP reply: the reference's frame around these lines (ended by NULL). */
void roan_call_help(roan_call *call, const char *const *lines);

/* The session waits for at most timeout_ms (0: for ever). Its answer comes from on_unblock; at once, as after the
 * timeout, when the call may not block. */
void roan_call_block(roan_call *call, int64_t timeout_ms, roan_unblock_fn on_unblock);

/* ---- arguments ---- */

/* argv[index] is a secret: MONITOR and the command logs show "(redacted)" instead. */
static inline void roan_call_redact(roan_call *call, size_t index)
{
    call->redacted |= UINT64_C(1) << (index < 63 ? index : 63);
}

/* The argument as MONITOR and the command logs may show it. */
static inline roan_slice roan_call_shown_argument(const roan_call *call, size_t index)
{
    if (ROAN_UNLIKELY(call->redacted != 0) && call->redacted >> (index < 63 ? index : 63) & 1)
        return ROAN_LITERAL("(redacted)");
    return call->argv[index];
}

/* argv[index] equals the word, in any case. */
static inline bool roan_call_is(const roan_call *call, size_t index, const char *word)
{
    return roan_slice_is(call->argv[index], word);
}

/* Integers: false after "ERR value is not an integer or out of range" (or `error` when not NULL) was sent. */
bool roan_call_integer(roan_call *call, size_t index, int64_t *ret_value, const char *error);
/* The same within [low, high]. With `error` NULL the reference's texts: from 0 to INT64_MAX "ERR value is out of range,
 * must be positive" whatever is wrong; otherwise an integer out of range is told the bounds. */
bool roan_call_integer_in(roan_call *call, size_t index, int64_t low, int64_t high, int64_t *ret_value,
                          const char *error);
/* "ERR value is not a valid float" */
bool roan_call_double(roan_call *call, size_t index, double *ret_value, const char *error);

/* Glob-style pattern match (?, *, [a-z], [^a], \x), as KEYS does. Bounded work. */
bool roan_glob_match(roan_slice pattern, roan_slice text, bool ignore_case);
