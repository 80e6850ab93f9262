/* engine/options_persistence.c: options about files of data. There is no persistence yet: what switches it on is
 * refused, everything else is kept for it. */
#include "engine/options_rows.h"

static const roan_option_choice fsync_modes[] = {{"everysec", 1}, {"always", 2}, {"no", 0}, {NULL, 0}};
static const roan_option_choice version_checks[] = {{"strict", 0}, {"relaxed", 1}, {NULL, 0}};

#define AOF "append-only file"
#define RDB "snapshot file"

static const roan_option rows[] = {
    {.name = "save", ROAN_ROW_SPECIAL(save, roan_option_parse_save, roan_option_format_words),
     .flags = ROAN_OPTION_SEVERAL | ROAN_OPTION_OWNS_TEXT, .needs = RDB, .initial = "",
     .text = "SECONDS CHANGES: write a snapshot after so many seconds when at least so many keys changed. Several "
             "pairs may follow each other, on one line or on several; an empty text removes them all."},
    {.name = "dbfilename", ROAN_ROW_TEXT(dbfilename), .check = roan_option_check_file_name,
     .flags = ROAN_OPTION_PROTECTED, .needs = RDB, .initial = "dump.rdb", .text = "Name of the snapshot, in `dir`."},
    {.name = "rdbcompression", ROAN_ROW_BOOL(rdbcompression), .needs = RDB, .initial = "yes",
     .text = "Compress strings in snapshots."},
    {.name = "rdbchecksum", ROAN_ROW_BOOL(rdbchecksum), .flags = ROAN_OPTION_IMMUTABLE, .needs = RDB,
     .initial = "yes", .text = "End snapshots with a checksum, and check it."},
    {.name = "rdb-version-check", ROAN_ROW_ENUM(rdb_version_check, version_checks), .needs = RDB,
     .initial = "strict", .text = "Snapshots of later versions: strict refuses them, relaxed reads what it knows."},
    {.name = "rdb-del-sync-files", ROAN_ROW_BOOL(rdb_del_sync_files), .needs = RDB, .initial = "no",
     .text = "Remove snapshots that were written for replication only."},
    {.name = "rdb-save-incremental-fsync", ROAN_ROW_BOOL(rdb_save_incremental_fsync), .needs = RDB, .initial = "yes",
     .text = "Sync a snapshot while it is written, not all at the end."},
    {.name = "stop-writes-on-bgsave-error", ROAN_ROW_BOOL(stop_writes_on_bgsave_error), .needs = RDB,
     .initial = "yes", .text = "Refuse writes after a snapshot has failed, so that somebody notices."},
    {.name = "appendonly", ROAN_ROW_FIXED_BOOL(ROAN_OPTION_NOT_LOADING, AOF), .initial = "no",
     .text = "Log every change to a file that is read again at the next start."},
    {.name = "appendfilename", ROAN_ROW_TEXT(appendfilename), .check = roan_option_check_file_name,
     .flags = ROAN_OPTION_IMMUTABLE, .needs = AOF, .initial = "appendonly.aof",
     .text = "What the names of the append-only files begin with."},
    {.name = "appenddirname", ROAN_ROW_TEXT(appenddirname), .check = roan_option_check_dir_name,
     .flags = ROAN_OPTION_IMMUTABLE, .needs = AOF, .initial = "appendonlydir",
     .text = "Folder of the append-only files, in `dir`."},
    {.name = "appendfsync", ROAN_ROW_ENUM(appendfsync, fsync_modes), .needs = AOF, .initial = "everysec",
     .text = "When logged changes must be on the disk: always (before the reply), everysec, or no (as the system "
             "likes)."},
    {.name = "no-appendfsync-on-rewrite", ROAN_ROW_BOOL(no_appendfsync_on_rewrite), .needs = AOF, .initial = "no",
     .text = "Do not sync while the file is rewritten."},
    {.name = "auto-aof-rewrite-percentage", ROAN_ROW_INTEGER(auto_aof_rewrite_percentage, 0, INT_MAX), .needs = AOF,
     .initial = "100", .text = "Rewrite the file when it has grown by so many percent. 0 never does."},
    {.name = "auto-aof-rewrite-min-size", ROAN_ROW_MEMORY(auto_aof_rewrite_min_size, 0, INT64_MAX), .needs = AOF,
     .initial = "64mb", .text = "Do not rewrite smaller files by themselves."},
    {.name = "aof-load-truncated", ROAN_ROW_BOOL(aof_load_truncated), .needs = AOF, .initial = "yes",
     .text = "Start although the last change in the file is incomplete."},
    {.name = "aof-use-rdb-preamble", ROAN_ROW_BOOL(aof_use_rdb_preamble), .needs = AOF, .initial = "yes",
     .text = "Begin a rewritten file with a snapshot, which loads faster."},
    {.name = "aof-timestamp-enabled", ROAN_ROW_BOOL(aof_timestamp_enabled), .needs = AOF, .initial = "no",
     .text = "Note times in the file, so that it can be cut at one."},
    {.name = "aof-rewrite-incremental-fsync", ROAN_ROW_BOOL(aof_rewrite_incremental_fsync), .needs = AOF,
     .initial = "yes", .text = "Sync a rewritten file while it is written, not all at the end."},

    {.name = "aof-disable-auto-gc", ROAN_ROW_BOOL(aof_disable_auto_gc), .flags = ROAN_OPTION_HIDDEN, .needs = AOF,
     .initial = "no", .text = "For tests: keep old append-only files."},
    {.name = "rdb-key-save-delay", ROAN_ROW_INTEGER(rdb_key_save_delay, INT_MIN, INT_MAX),
     .flags = ROAN_OPTION_HIDDEN, .needs = RDB, .initial = "0",
     .text = "For tests: microseconds to wait after each key written."},
    {.name = "key-load-delay", ROAN_ROW_INTEGER(key_load_delay, INT_MIN, INT_MAX), .flags = ROAN_OPTION_HIDDEN,
     .needs = RDB, .initial = "0", .text = "For tests: microseconds to wait after each key read."},
    {.name = "loading-process-events-interval-bytes",
     ROAN_ROW_INTEGER(loading_process_events_interval_bytes, 1024, INT_MAX), .flags = ROAN_OPTION_HIDDEN,
     .needs = RDB, .initial = "2097152", .text = "For tests: bytes loaded between looks at the clients."},
};

const roan_option_group roan_options_persistence = ROAN_OPTION_GROUP(
    "Persistence",
    "This version keeps data in memory only. What would write files is refused (appendonly) or kept for later (save "
    "and everything else).",
    rows);
