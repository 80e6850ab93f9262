/* engine/config.h: every option of the server: one row each, one struct with the values.
 *
 * A row says name, type, range, default, when it may change, and what it is for. Everything else is derived: the
 * parser of redis.conf files, command-line flags, the environment, CONFIG GET / SET / REWRITE, `--help`, the commented
 * sample file and the documentation. To add an option, add a row in one of the options_*.c files and a field here.
 *
 * Values are plain fields. They change only while the gate is shut (CONFIG SET is a class X command), so every worker
 * reads them without locks. What must happen besides storing the value is a hook (roan_config_hooks), named by the row.
 *
 *     text --roan_option_set()--> field --roan_option_format()--> text that sets the same value again
 *
 * Invariant: what roan_option_format prints, roan_option_set accepts and prints again.  Checked by test_config.c.
 */
#pragma once

#include "base/buffer.h"
#include "base/macros.h"
#include "roan/base.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum roan_maxmemory_policy {
    ROAN_POLICY_NOEVICTION,
    ROAN_POLICY_ALLKEYS_LRU,
    ROAN_POLICY_ALLKEYS_LFU,
    ROAN_POLICY_ALLKEYS_RANDOM,
    ROAN_POLICY_VOLATILE_LRU,
    ROAN_POLICY_VOLATILE_LFU,
    ROAN_POLICY_VOLATILE_RANDOM,
    ROAN_POLICY_VOLATILE_TTL,
} roan_maxmemory_policy;

/* Classes of client-output-buffer-limit. */
enum { ROAN_CLIENT_NORMAL, ROAN_CLIENT_REPLICA, ROAN_CLIENT_PUBSUB, ROAN_CLIENT_CLASS_COUNT };

typedef struct roan_output_limit {
    uint64_t hard_bytes, soft_bytes;
    int64_t soft_seconds;
} roan_output_limit;

/* The three logs of COMMANDLOG. */
enum { ROAN_COMMANDLOG_SLOW, ROAN_COMMANDLOG_LARGE_REQUEST, ROAN_COMMANDLOG_LARGE_REPLY, ROAN_COMMANDLOG_COUNT };

/* Keyspace events: letter in notify-keyspace-events, name. The order is that of the canonical text. */
#define ROAN_EVENT_LIST(X)                                                                        \
    X(GENERIC, 'g') X(STRING, '$') X(LIST, 'l') X(SET, 's') X(HASH, 'h') X(ZSET, 'z')             \
    X(EXPIRED, 'x') X(EVICTED, 'e') X(STREAM, 't') X(MODULE, 'd') X(NEW, 'n')                     \
    X(KEYSPACE, 'K') X(KEYEVENT, 'E') X(KEY_MISS, 'm')
enum {
#define ROAN_EVENT_BIT(name, letter) ROAN_EVENT_BIT_##name,
    ROAN_EVENT_LIST(ROAN_EVENT_BIT) ROAN_EVENT_COUNT
#undef ROAN_EVENT_BIT
};
#define ROAN_EVENT_ENUM(name, letter) ROAN_EVENT_##name = 1 << ROAN_EVENT_BIT_##name,
enum { ROAN_EVENT_LIST(ROAN_EVENT_ENUM) };
#undef ROAN_EVENT_ENUM
/* What the letter A stands for: every event that is about a change of a key somebody made, new keys and misses not. */
#define ROAN_EVENT_ALL (ROAN_EVENT_NEW - 1)

/* shutdown-on-sigint, shutdown-on-sigterm. */
enum {
    ROAN_SHUTDOWN_SAVE = 1,
    ROAN_SHUTDOWN_NOSAVE = 2,
    ROAN_SHUTDOWN_NOW = 4,
    ROAN_SHUTDOWN_FORCE = 8,
    ROAN_SHUTDOWN_SAFE = 16,
    ROAN_SHUTDOWN_FAILOVER = 32,
};

enum { ROAN_ALLOW_NO, ROAN_ALLOW_YES, ROAN_ALLOW_LOCAL };                     /* enable-*-command */
enum { ROAN_LOG_DEBUG, ROAN_LOG_VERBOSE, ROAN_LOG_NOTICE, ROAN_LOG_WARNING, ROAN_LOG_NOTHING };
enum { ROAN_LOG_FORMAT_LEGACY, ROAN_LOG_FORMAT_LOGFMT, ROAN_LOG_FORMAT_JSON };
enum { ROAN_LOG_TIME_LEGACY, ROAN_LOG_TIME_ISO8601, ROAN_LOG_TIME_MILLISECONDS };
enum { ROAN_SUPERVISED_NO, ROAN_SUPERVISED_UPSTART, ROAN_SUPERVISED_SYSTEMD, ROAN_SUPERVISED_AUTO };
enum { ROAN_OOM_SCORE_NO, ROAN_OOM_SCORE_RELATIVE, ROAN_OOM_SCORE_ABSOLUTE };

#define ROAN_BIND_ADDRESSES_MAX 16
#define ROAN_PERCENTILES_MAX 32

typedef struct roan_config {
    /* network */
    int64_t port;
    char *bind;                   /* space separated list, as in the file; "" listens on no address */
    char *unixsocket;             /* "": none */
    int64_t unixsocketperm;       /* octal; 0: as the umask leaves it */
    int64_t tcp_backlog;
    int64_t timeout_s;
    int64_t tcp_keepalive_s;
    bool protected_mode;
    int64_t maxclients;
    uint64_t maxmemory_clients;   /* see roan_config_maxmemory_clients */
    uint64_t client_query_buffer_limit;
    uint64_t proto_max_bulk_len;
    roan_output_limit output_limits[ROAN_CLIENT_CLASS_COUNT];
    int64_t io;                   /* roan_net_kind: auto, uring, epoll */
    int64_t threads;
    /* accepted for old files, without effect */
    int64_t io_threads, prefetch_batch_max_size, max_new_connections, max_new_tls_connections;
    bool io_threads_do_reads;
    /* general */
    int64_t databases;
    bool daemonize;
    int64_t supervised;           /* ROAN_SUPERVISED_* */
    char *pidfile;
    char *dir;                    /* absolute once the server runs */
    bool always_show_logo, set_proc_title;
    char *proc_title_template;
    char *availability_zone;
    char *locale_collate;
    bool disable_thp;
    int64_t oom_score_adj;        /* ROAN_OOM_SCORE_* */
    int64_t oom_score_adj_values[3]; /* primary, replica, background child */
    int64_t shutdown_on_sigint, shutdown_on_sigterm; /* ROAN_SHUTDOWN_* */
    int64_t shutdown_timeout_s;
    char *hash_seed;              /* "": random */
    char *ignore_warnings;
    /* logs */
    char *logfile;                /* "": standard output */
    int64_t loglevel;             /* ROAN_LOG_* */
    int64_t log_format;           /* ROAN_LOG_FORMAT_* */
    int64_t log_timestamp_format; /* ROAN_LOG_TIME_* */
    bool syslog_enabled;
    char *syslog_ident;
    int64_t syslog_facility;      /* as in <syslog.h> */
    bool hide_user_data_from_log;
    bool crash_log_enabled, crash_memcheck_enabled;
    /* access */
    roan_slice requirepass;       /* owned; "": none */
    int64_t enable_debug_command, enable_module_command, enable_protected_configs; /* ROAN_ALLOW_* */
    bool enable_debug_assert;
    char *aclfile;                /* "": none */
    char *users;                  /* `user` lines without that word, each ended by a line feed */
    int64_t acllog_max_len;
    int64_t acl_pubsub_default;
    /* memory */
    uint64_t maxmemory;
    int64_t maxmemory_policy;     /* roan_maxmemory_policy */
    int64_t maxmemory_samples;
    int64_t maxmemory_eviction_tenacity;
    int64_t lfu_log_factor, lfu_decay_time;
    int64_t active_expire_effort;
    bool lazyfree_lazy_eviction, lazyfree_lazy_expire, lazyfree_lazy_server_del, lazyfree_lazy_user_del,
        lazyfree_lazy_user_flush;
    int64_t tracking_table_max_keys;
    bool activerehashing, jemalloc_bg_thread;
    uint64_t active_defrag_ignore_bytes;
    int64_t active_defrag_cycle_min, active_defrag_cycle_max, active_defrag_cycle_us, active_defrag_threshold_lower,
        active_defrag_threshold_upper, active_defrag_max_scan_fields;
    /* administration */
    int64_t hz;
    bool dynamic_hz;
    int64_t commandlog_threshold[ROAN_COMMANDLOG_COUNT]; /* microseconds; bytes; bytes; -1: off */
    int64_t commandlog_length[ROAN_COMMANDLOG_COUNT];
    int64_t latency_monitor_threshold_ms;
    bool latency_tracking;
    char *latency_tracking_percentiles; /* "50 99 99.9" */
    int64_t busy_reply_threshold_ms;
    int64_t notify_keyspace_events; /* ROAN_EVENT_* */
    int64_t watchdog_period_ms;
    /* limits of the compact encodings */
    int64_t hash_max_listpack_entries, set_max_intset_entries, set_max_listpack_entries, set_max_listpack_value,
        zset_max_listpack_entries, list_max_listpack_size, list_compress_depth, stream_node_max_entries;
    uint64_t hash_max_listpack_value, zset_max_listpack_value, stream_node_max_bytes, hll_sparse_max_bytes;
    int64_t sanitize_dump_payload;
    /* persistence */
    char *save;                   /* "900 1 300 10": kept; see the row */
    bool save_is_default;         /* no `save` was read yet: the first one replaces the default, later ones add */
    char *dbfilename, *appendfilename, *appenddirname;
    int64_t appendfsync;
    int64_t auto_aof_rewrite_percentage;
    uint64_t auto_aof_rewrite_min_size;
    bool no_appendfsync_on_rewrite, aof_load_truncated, aof_use_rdb_preamble, aof_timestamp_enabled,
        aof_rewrite_incremental_fsync, aof_disable_auto_gc, rdbcompression, rdbchecksum, rdb_del_sync_files,
        rdb_save_incremental_fsync, stop_writes_on_bgsave_error;
    int64_t rdb_version_check, rdb_key_save_delay, key_load_delay, loading_process_events_interval_bytes;
    /* replication */
    roan_slice primaryauth;       /* owned */
    char *primaryuser, *replica_announce_ip, *bind_source_addr;
    bool replica_serve_stale_data, replica_read_only, replica_ignore_maxmemory, replica_lazy_flush, replica_announced,
        replica_ignore_disk_write_errors, repl_diskless_sync, repl_disable_tcp_nodelay, dual_channel_replication;
    int64_t replica_priority, replica_announce_port, repl_ping_replica_period, repl_timeout, repl_diskless_sync_delay,
        repl_diskless_sync_max_replicas, repl_diskless_load, repl_backlog_ttl, min_replicas_to_write,
        min_replicas_max_lag, propagation_error_behavior;
    uint64_t repl_backlog_size, replica_full_sync_buffer_limit;
    /* cluster */
    char *cluster_config_file, *cluster_announce_ip, *cluster_announce_client_ipv4, *cluster_announce_client_ipv6,
        *cluster_announce_hostname, *cluster_announce_human_nodename;
    bool cluster_require_full_coverage, cluster_replica_no_failover, cluster_allow_reads_when_down,
        cluster_allow_pubsubshard_when_down, cluster_allow_replica_migration, cluster_slot_stats_enabled;
    int64_t cluster_databases, cluster_port, cluster_announce_port, cluster_announce_tls_port,
        cluster_announce_bus_port, cluster_announce_client_port, cluster_announce_client_tls_port,
        cluster_node_timeout, cluster_ping_interval, cluster_migration_barrier, cluster_replica_validity_factor,
        cluster_blacklist_ttl, cluster_manual_failover_timeout, cluster_slot_migration_log_max_len,
        cluster_preferred_endpoint_type, cluster_config_save_behavior, cluster_compatibility_sample_ratio,
        slot_migration_max_failover_repl_bytes;
    uint64_t cluster_link_sendbuf_limit;
} roan_config;

/* --- what happens besides storing a value ------------------------------------------------------------------------- */

/* What a changed option touches. Options that share one are applied together, once per CONFIG SET. */
typedef enum roan_apply {
    ROAN_APPLY_NOTHING,       /* whoever needs the value reads the field */
    ROAN_APPLY_LISTEN,        /* port, bind: listen there instead; on failure the old sockets stay open */
    ROAN_APPLY_MAXCLIENTS,    /* raise the limit of open files; fail when the system does not allow it */
    ROAN_APPLY_LOG,           /* loglevel and the form of lines, crash-log-enabled */
    ROAN_APPLY_DIR,           /* change directory, then store the absolute path in config->dir */
    ROAN_APPLY_TITLE,         /* proc-title-template */
    ROAN_APPLY_OOM_SCORE,     /* oom-score-adj, oom-score-adj-values */
    ROAN_APPLY_LOCALE,        /* locale-collate; fail for a locale that is not there */
    ROAN_APPLY_MAXMEMORY,     /* maxmemory and its policy: evict from now on */
    ROAN_APPLY_CLIENT_MEMORY, /* maxmemory-clients, client-output-buffer-limit */
    ROAN_APPLY_PASSWORD,      /* requirepass: the default user's password */
    ROAN_APPLY_COUNT
} roan_apply;

/* Makes the new values of `config` take effect. On failure everything must be as before the call, and the error says
 * why in the words CONFIG SET shows. May replace a text field by its final form (ROAN_APPLY_DIR does). */
typedef struct roan_config_hook {
    roan_status (*apply)(void *context, roan_config *config, roan_error *reterr); /* NULL: nothing to do */
    void *context;
} roan_config_hook;

typedef struct roan_config_hooks {
    roan_config_hook at[ROAN_APPLY_COUNT];

    /* CONFIG REWRITE: brings the configuration file in line with `config`; is_full writes every option. NULL: the
     * server was started without a file. */
    roan_status (*rewrite)(void *context, const roan_config *config, bool is_full, roan_error *reterr);
    void *rewrite_context;
} roan_config_hooks;

/* --- rows --------------------------------------------------------------------------------------------------------- */

typedef enum roan_option_type {
    ROAN_OPTION_BOOL,              /* bool: yes, no */
    ROAN_OPTION_INTEGER,           /* int64_t */
    ROAN_OPTION_OCTAL,             /* int64_t in base 8 */
    ROAN_OPTION_MEMORY,            /* uint64_t with units; see roan_parse_memory */
    ROAN_OPTION_MEMORY_OR_NEGATIVE, /* int64_t: as MEMORY, or a negative number down to the row's minimum */
    ROAN_OPTION_PERCENT_OR_MEMORY, /* uint64_t: as MEMORY, or N% stored as the two's complement of N */
    ROAN_OPTION_ENUM,              /* int64_t: one of the row's choices */
    ROAN_OPTION_CHOICES,           /* int64_t: any of the row's choices, or-ed together */
    ROAN_OPTION_TEXT,              /* char *, never NULL */
    ROAN_OPTION_BYTES,             /* roan_slice that owns its bytes, of which any may be zero */
    ROAN_OPTION_SPECIAL,           /* the row's parse and format functions */
} roan_option_type;

enum {
    ROAN_OPTION_IMMUTABLE = 1,   /* set at start only */
    ROAN_OPTION_PROTECTED = 2,   /* CONFIG SET needs enable-protected-configs */
    ROAN_OPTION_SENSITIVE = 4,   /* the value is shown to nobody but CONFIG GET and CONFIG REWRITE */
    ROAN_OPTION_HIDDEN = 8,      /* CONFIG GET needs the exact name; not in the documentation */
    ROAN_OPTION_NOT_LOADING = 16, /* cannot change while data is loaded */
    ROAN_OPTION_SEVERAL = 32,    /* takes several words */
    ROAN_OPTION_FIXED = 64,      /* only the default is accepted: the feature (row->needs) is not there; has no field */
    ROAN_OPTION_IDLE = 128,      /* accepted so that old files work; does nothing, and the row's text says why */
    ROAN_OPTION_OWNS_TEXT = 256, /* SPECIAL: the field is a char * that roan_config_done frees */
    ROAN_OPTION_FILE = 512,      /* for files and flags only: CONFIG does not know it */
};

typedef struct roan_option_choice {
    const char *name;
    int64_t value;
} roan_option_choice;

typedef struct roan_option roan_option;
struct roan_option {
    const char *name;
    const char *alias;               /* second name, or NULL */
    const char *initial;             /* the default as in a file; "" for an empty text */
    const char *text;                /* what it is for, in one or more sentences */
    const char *needs;               /* the feature that uses it and is not built yet, or NULL */
    const roan_option_choice *choices; /* ENUM, CHOICES: in the order errors list them, ended by a NULL name */
    roan_option_type type;
    unsigned flags;                  /* ROAN_OPTION_* */
    roan_apply apply;
    const char *apply_error;         /* what CONFIG SET says when the hook fails; NULL: the hook's own words */
    size_t offset;                   /* of the field in roan_config */
    int64_t min;                     /* numbers: inclusive range */
    uint64_t max;
    int64_t clamp_min, clamp_max;    /* numbers in the range but outside of these are moved to them; both 0: none */

    /* Refuses values the type allows: the text of a TEXT, the number of a CHOICES. Optional. */
    roan_status (*check)(const roan_option *option, roan_slice text, int64_t number, roan_error *reterr);

    /* SPECIAL. parse leaves the config alone when it fails; `at_start`: see roan_config.save_is_default. */
    roan_status (*parse)(roan_config *config, const roan_option *option, bool at_start, size_t argc,
                         const roan_slice *argv, roan_error *reterr);
    void (*format)(const roan_config *config, const roan_option *option, roan_buffer *ret_text);

    /* The value as the lines of a file, without the name, when it is not one line. Returns false after the last one. */
    bool (*format_line)(const roan_config *config, unsigned line, roan_buffer *ret_text);
};

/* Rows that belong together, with the heading they have in the documentation. */
typedef struct roan_option_group {
    const char *title;
    const char *text; /* a paragraph below the heading, or "" */
    const roan_option *options;
    unsigned count;
} roan_option_group;

extern const roan_option_group *const roan_option_groups[];
extern const unsigned roan_option_group_count;

/* The row with that name or alias, in any case; NULL when there is none. */
const roan_option *roan_option_find(roan_slice name);

/* The row after `option`, or the first one for NULL; NULL after the last:
 *     for (const roan_option *option = roan_option_next(NULL); option != NULL; option = roan_option_next(option)) */
const roan_option *roan_option_next(const roan_option *option);

/* Why a directive of the reference's configuration files is no option here ("TLS is not available in this version"),
 * or NULL. */
const char *roan_option_absent(roan_slice name);

/* Is this a directive of old files that the reference ignores, too? */
bool roan_option_is_obsolete(roan_slice name);

/* The name or alias most like `name`, or NULL when nothing is near. */
const char *roan_option_suggest(roan_slice name);

/* Is the value of the option with this name (or one very much like it) to be kept out of logs? */
bool roan_option_is_secret(roan_slice name);

/* Sets a field from words; a single word for an option that takes SEVERAL is split at spaces first. The error text is
 * the one CONFIG SET shows ("argument must be a memory value"); its code is ROAN_E_CONFIG for what cannot be read,
 * ROAN_E_INVALID for what is out of range, ROAN_E_UNSUPPORTED for what is not built yet. */
roan_status roan_option_set(roan_config *config, const roan_option *option, bool at_start, size_t argc,
                            const roan_slice *argv, roan_error *reterr) ROAN_MUST_CHECK;

/* The value as CONFIG GET shows it. */
void roan_option_format(const roan_config *config, const roan_option *option, roan_buffer *ret_text);

/* One line of the value as a file shows it (units, quotes), without the name. False: there is no such line. */
bool roan_option_format_line(const roan_config *config, const roan_option *option, unsigned line,
                             roan_buffer *ret_text);

/* Bytes as files have them: 100mb, in the largest unit that divides them. roan_parse_memory reads it back. */
void roan_format_memory(uint64_t bytes, roan_buffer *ret_text);

/* --- the struct --------------------------------------------------------------------------------------------------- */

/* The defaults, parsed from the rows. Every char * field is set (may be ""). Free with roan_config_done. */
void roan_config_init(roan_config *config);
void roan_config_done(roan_config *config);

/* Makes `target`, which holds nothing yet, a copy that shares no memory with `source`. */
void roan_config_copy(roan_config *target, const roan_config *source);

/* Replaces a text field. */
void roan_config_set_string(char **field, roan_slice text);

/* Sets one option from text during start-up (files, flags, environment): immutable ones included, hooks not called.
 * The error names the option, the value (unless it is sensitive) and what would be right. */
roan_status roan_config_set_text(roan_config *config, roan_slice name, size_t argc, const roan_slice *argv,
                                 roan_error *reterr) ROAN_MUST_CHECK;

/* What a person who wrote this configuration should know: options that are accepted but do nothing here, and values
 * kept for features that are not built yet. One call per remark. */
void roan_config_remarks(const roan_config *config, void (*remark)(void *context, const char *text), void *context);

/* The limit of maxmemory-clients in bytes, percentages worked out; 0: none. */
uint64_t roan_config_maxmemory_clients(const roan_config *config);

/* Appends the value of the variable; false when there is none of that name. */
typedef bool (*roan_title_variable_fn)(void *context, roan_slice name, roan_buffer *ret_text);

/* Replaces the variables of a proc-title-template: {name} becomes what `variable` appends for it, {{ a brace. False: a
 * brace is not closed, or `variable` does not know a name; ret_text is then incomplete. */
bool roan_config_expand_title(roan_slice template, roan_title_variable_fn variable, void *context,
                              roan_buffer *ret_text);

/* --- CONFIG SET --------------------------------------------------------------------------------------------------- */

typedef enum roan_change_result {
    ROAN_CHANGE_DONE,
    ROAN_CHANGE_UNKNOWN, /* `name` is no option */
    ROAN_CHANGE_LOADING, /* `name` cannot change while data is loaded */
    ROAN_CHANGE_REFUSED, /* `name` has a bad value, may not change, or could not be applied: see `error` */
} roan_change_result;

typedef struct roan_change {
    /* in */
    const roan_config_hooks *hooks; /* NULL: none */
    bool is_loading;
    bool allow_protected;
    /* out */
    roan_slice name; /* the option that failed, as errors name it */
    roan_error error;
    roan_error hook_error; /* what a hook said, for the log; text is "" when none failed */
} roan_change;

/* Changes options as CONFIG SET does: words are name, value, name, value ... Either all values are set and applied, or
 * none is and the hooks that ran have run again with the old values. */
roan_change_result roan_config_change(roan_config *config, roan_change *change, size_t pair_count,
                                      const roan_slice *words) ROAN_MUST_CHECK;
