/* client/options_rows.c: the scalar options of a handle, one row each, in the order of roan_options.
 *
 * To add one: put the field at the end of the struct in include/roan/client.h and its row here, then let
 * tools/check_docs.py write docs/client-options.md. A test compares rows and fields.
 */
#include "client/options.h"

#include "base/macros.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(roan_drive) == sizeof(int) && sizeof(roan_late) == sizeof(int) &&
                   sizeof(roan_on_dirty) == sizeof(int),
               "choices are read and written as int");

static const char *const drives[] = {"auto", "thread", "loop", NULL};
static const char *const lates[] = {"auto", "reset", "abandon", NULL};
static const char *const on_dirties[] = {"destroy", "cleanup", NULL};

#define FIELD(name_) \
    .name = #name_, .offset = offsetof(roan_options, name_), .bytes = sizeof(((roan_options *)0)->name_)
#define TEXT(name_) FIELD(name_), .kind = ROAN_SETTING_TEXT, .max = ROAN_URI_BYTES_MAX
#define INT(name_, initial_, min_, max_) \
    FIELD(name_), .kind = ROAN_SETTING_INT, .initial = (initial_), .min = (min_), .max = (max_)
#define INT64(name_, initial_) \
    FIELD(name_), .kind = ROAN_SETTING_INT64, .initial = (initial_), .min = 1, .max = INT64_MAX
#define CHOICE(name_, words_) FIELD(name_), .kind = ROAN_SETTING_CHOICE, .choices = (words_)
#define OR_NONE(meaning) .may_be_none = true, .none_text = (meaning)

const roan_setting roan_setting_rows[] = {
    {.group = "Who and what", TEXT(username),
     .text = "User to log in as; also in the user part of the URI. A password alone is that of the user `default`."},
    {TEXT(password), .text = "Its password; also in the user part of the URI. It is never shown or logged."},
    {TEXT(client_name), .text = "Name of the connections in `CLIENT LIST`, without blanks."},
    {FIELD(key_prefix), .kind = ROAN_SETTING_SLICE, .max = ROAN_URI_BYTES_MAX,
     .text = "Put before every key, and taken off again in replies. May hold any bytes; in a URI any but NUL."},
    {INT(database, 0, 0, INT_MAX), .alias = "db",
     .text = "Database that is selected on every connection; also the path of a URI."},
    {INT(protocol, 0, 2, 3), .initial_text = "the newest that the server has",
     .text = "2 or 3: insist on RESP2 or RESP3."},
    {CHOICE(drive, drives),
     .text = "Who reads and writes the sockets: a waiting caller, helped by a thread of the library (`auto`), always "
             "that thread (`thread`), or the program's event loop (`loop`)."},

    {.group = "Time", INT(connect_timeout_ms, 10000, 1, INT_MAX),
     .text = "For name resolution, connecting and handshake together."},
    {INT(request_timeout_ms, 5000, 1, INT_MAX), OR_NONE("no deadline"),
     .text = "From the call to its reply, waiting and retries included. A call can have its own."},
    {INT(silence_timeout_ms, 30000, 1, INT_MAX), OR_NONE("not watched"),
     .text = "When nothing was received for so long while replies are due, the connection counts as dead. With nothing "
             "due a PING goes out after so long, where a thread or a loop drives."},
    {INT(write_timeout_ms, 30000, 1, INT_MAX), OR_NONE("not watched"),
     .text = "When the socket accepts nothing for so long while output waits, the connection counts as dead."},
    {INT(blocking_grace_ms, 2000, 1, INT_MAX),
     .text = "The deadline of a blocking command, such as BLPOP, is its own timeout plus this."},
    {CHOICE(late, lates),
     .text = "What a deadline that passes does to the connection: drop the reply when it comes (`abandon`), reset the "
             "connection (`reset`), or the first if anything was received since the call was sent and the second if "
             "not (`auto`)."},

    {.group = "Connections that fail", INT(reconnect, 1, 1, 1), OR_NONE("a lost connection is not opened again"),
     .initial_text = "1", .text = "A lost connection is opened again by itself."},
    {INT(backoff_first_ms, 100, 1, INT_MAX), .text = "Before the second attempt to connect; doubles with every other."},
    {INT(backoff_max_ms, 60000, 1, INT_MAX), .text = "Longest wait between two attempts."},
    {INT(backoff_jitter_percent, 25, 1, 100), OR_NONE("waits do not vary"),
     .text = "Each wait is by up to so much longer or shorter, by chance, so that many clients do not come at once."},
    {INT(queue_commands_max, 1000, 1, INT_MAX), OR_NONE("no limit"),
     .text = "Commands that wait while there is no connection; one more fails with `ROAN_E_QUEUE_FULL`."},
    {INT64(queue_bytes_max, 64 * 1024 * 1024), OR_NONE("no limit"), .initial_text = "67108864 (64 MiB)",
     .text = "Bytes of these commands together."},
    {INT64(reply_bytes_max, ROAN_SETTING_NONE), OR_NONE("no limit"),
     .text = "Of one reply. A larger one fails with `ROAN_E_PROTOCOL`, and the connection is reset."},
    {INT(retries_max, 3, 1, INT_MAX), OR_NONE("nothing is tried again"),
     .text = "How often a command is tried again at most, within its deadline, if a retry does no harm."},

    {.group = "Leased connections", INT(leases_min, 0, 0, 65535), .text = "Connections for leases that are kept open."},
    {INT(leases_max, 16, 1, 65535), .text = "Connections for leases that are open at a time."},
    {INT(lease_idle_ms, 60000, 1, INT_MAX), OR_NONE("never closed"),
     .text = "Beyond `leases_min`, one that nobody used for so long is closed."},
    {INT(lease_timeout_ms, 5000, 1, INT_MAX), OR_NONE("waits for ever"),
     .text = "How long to wait for a lease when all are in use."},
    {INT(lease_check_idle_ms, 5000, 1, INT_MAX), OR_NONE("never checked"),
     .text = "One that was idle for so long is checked with PING before it is handed out."},
    {CHOICE(on_dirty, on_dirties),
     .text = "A leased connection that comes back with state on it, such as WATCH or another database, is closed "
             "(`destroy`) or cleaned, and closed if that fails (`cleanup`)."},
};

const unsigned roan_setting_count = ROAN_COUNT_OF(roan_setting_rows);

const roan_setting *roan_setting_find(const char *name)
{
    for (unsigned i = 0; i < roan_setting_count; i++) {
        const roan_setting *row = &roan_setting_rows[i];
        if (strcmp(row->name, name) == 0 || (row->alias != NULL && strcmp(row->alias, name) == 0))
            return row;
    }
    return NULL;
}
