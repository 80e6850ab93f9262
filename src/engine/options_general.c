/* engine/options_general.c: options about the process, its log and who may do what. */
#include "engine/options_rows.h"

static const roan_option_choice supervisors[] = {
    {"upstart", ROAN_SUPERVISED_UPSTART}, {"systemd", ROAN_SUPERVISED_SYSTEMD}, {"auto", ROAN_SUPERVISED_AUTO},
    {"no", ROAN_SUPERVISED_NO},           {NULL, 0},
};
static const roan_option_choice oom_score_modes[] = {
    {"no", ROAN_OOM_SCORE_NO}, {"yes", ROAN_OOM_SCORE_RELATIVE}, {"relative", ROAN_OOM_SCORE_RELATIVE},
    {"absolute", ROAN_OOM_SCORE_ABSOLUTE}, {NULL, 0},
};
static const roan_option_choice shutdown_flags[] = {
    {"default", 0}, {"save", ROAN_SHUTDOWN_SAVE}, {"nosave", ROAN_SHUTDOWN_NOSAVE}, {"now", ROAN_SHUTDOWN_NOW},
    {"force", ROAN_SHUTDOWN_FORCE}, {"safe", ROAN_SHUTDOWN_SAFE}, {"failover", ROAN_SHUTDOWN_FAILOVER}, {NULL, 0},
};
static const roan_option_choice levels[] = {
    {"debug", ROAN_LOG_DEBUG},     {"verbose", ROAN_LOG_VERBOSE}, {"notice", ROAN_LOG_NOTICE},
    {"warning", ROAN_LOG_WARNING}, {"nothing", ROAN_LOG_NOTHING}, {NULL, 0},
};
static const roan_option_choice log_formats[] = {
    {"legacy", ROAN_LOG_FORMAT_LEGACY}, {"logfmt", ROAN_LOG_FORMAT_LOGFMT}, {"json", ROAN_LOG_FORMAT_JSON}, {NULL, 0},
};
static const roan_option_choice log_times[] = {
    {"legacy", ROAN_LOG_TIME_LEGACY}, {"iso8601", ROAN_LOG_TIME_ISO8601}, {"milliseconds", ROAN_LOG_TIME_MILLISECONDS},
    {NULL, 0},
};
static const roan_option_choice facilities[] = { /* the numbers of RFC 5424, shifted as syslog(3) wants them */
    {"user", 1 << 3},    {"local0", 16 << 3}, {"local1", 17 << 3}, {"local2", 18 << 3}, {"local3", 19 << 3},
    {"local4", 20 << 3}, {"local5", 21 << 3}, {"local6", 22 << 3}, {"local7", 23 << 3}, {NULL, 0},
};
static const roan_option_choice permissions[] = {
    {"no", ROAN_ALLOW_NO}, {"yes", ROAN_ALLOW_YES}, {"local", ROAN_ALLOW_LOCAL}, {NULL, 0},
};
static const roan_option_choice channel_defaults[] = {{"allchannels", 1}, {"resetchannels", 0}, {NULL, 0}};

#define CPU_LIST_ROW(name_, alias_, what)                                                                        \
    {.name = (name_), .alias = (alias_), .type = ROAN_OPTION_TEXT, .flags = ROAN_OPTION_IMMUTABLE | ROAN_OPTION_FIXED, \
     .needs = "pinning to processors", .initial = "", .text = "Processors that " what " may run on, such as 0-3,8."}

static const roan_option general_rows[] = {
    {.name = "databases", ROAN_ROW_INTEGER(databases, 1, INT_MAX), .flags = ROAN_OPTION_IMMUTABLE, .initial = "16",
     .text = "Number of databases, which SELECT chooses from by number. One that is not used costs nothing."},
    {.name = "dir", ROAN_ROW_TEXT(dir), .check = roan_option_check_not_empty, .apply = ROAN_APPLY_DIR,
     .flags = ROAN_OPTION_PROTECTED | ROAN_OPTION_NOT_LOADING, .initial = ".",
     .text = "Working directory: files without a path are looked for and written here."},
    {.name = "daemonize", ROAN_ROW_BOOL(daemonize), .flags = ROAN_OPTION_IMMUTABLE, .initial = "no",
     .text = "Go to the background at start. Not wanted under systemd or in a container."},
    {.name = "supervised", ROAN_ROW_ENUM(supervised, supervisors), .flags = ROAN_OPTION_IMMUTABLE, .initial = "no",
     .text = "Tell the program that started the server when it is ready: systemd (a Type=notify unit), upstart, or "
             "auto for whichever of them is there."},
    {.name = "pidfile", ROAN_ROW_TEXT(pidfile), .flags = ROAN_OPTION_IMMUTABLE, .initial = "",
     .text = "File to write the process number to, removed at the end. Empty: none."},
    {.name = "always-show-logo", ROAN_ROW_BOOL(always_show_logo), .flags = ROAN_OPTION_IMMUTABLE | ROAN_OPTION_IDLE,
     .initial = "no", .text = "In the reference: greet with a large banner in every log. There is none here."},
    {.name = "set-proc-title", ROAN_ROW_BOOL(set_proc_title), .flags = ROAN_OPTION_IMMUTABLE, .initial = "yes",
     .text = "Show port and mode in the process list (ps, top)."},
    {.name = "proc-title-template", ROAN_ROW_TEXT(proc_title_template), .check = roan_option_check_title,
     .apply = ROAN_APPLY_TITLE, .initial = "{title} {listen-addr} {server-mode}",
     .text = "What the process list shows. Variables: {title} {listen-addr} {server-mode} {port} {tls-port} "
             "{unixsocket} {config-file}."},
    {.name = "availability-zone", ROAN_ROW_TEXT(availability_zone), .initial = "",
     .text = "Where this server runs, told to clients by HELLO and INFO so that they can prefer one nearby."},
    {.name = "locale-collate", ROAN_ROW_TEXT(locale_collate), .apply = ROAN_APPLY_LOCALE, .initial = "",
     .text = "Locale that SORT ALPHA compares by. Empty: what the environment says."},
    {.name = "hash-seed", ROAN_ROW_TEXT(hash_seed), .flags = ROAN_OPTION_IMMUTABLE, .initial = "",
     .text = "Makes the order of SCAN the same on every server started with the same text. Empty: a random seed, "
             "which also keeps strangers from choosing keys that collide."},
    {.name = "disable-thp", ROAN_ROW_BOOL(disable_thp), .flags = ROAN_OPTION_IMMUTABLE, .initial = "no",
     .text = "Ask the kernel not to give this process transparent huge pages. They make reaching a random key among "
             "millions faster; after a fork they would cost time and memory, but this server does not fork yet."},
    {.name = "oom-score-adj", ROAN_ROW_ENUM(oom_score_adj, oom_score_modes), .apply = ROAN_APPLY_OOM_SCORE,
     .initial = "no",
     .text = "Tell the kernel whom to end first when the machine runs out of memory, by oom-score-adj-values: added "
             "to the score the process started with (relative, or yes) or instead of it (absolute)."},
    {.name = "oom-score-adj-values",
     ROAN_ROW_SPECIAL(oom_score_adj_values, roan_option_parse_oom_values, roan_option_format_oom_values),
     .flags = ROAN_OPTION_SEVERAL, .apply = ROAN_APPLY_OOM_SCORE, .initial = "0 200 800",
     .text = "Three scores from -2000 to 2000: of a primary, of a replica, of a background child. The higher, the "
             "sooner it is ended."},
    {.name = "shutdown-on-sigterm", ROAN_ROW_AT(CHOICES, shutdown_on_sigterm, int64_t), .choices = shutdown_flags,
     .check = roan_option_check_shutdown, .flags = ROAN_OPTION_SEVERAL, .needs = "persistence", .initial = "default",
     .text = "How to end at SIGTERM, as the arguments of SHUTDOWN: default, save or nosave, now, force, safe, "
             "failover; several may be combined."},
    {.name = "shutdown-on-sigint", ROAN_ROW_AT(CHOICES, shutdown_on_sigint, int64_t), .choices = shutdown_flags,
     .check = roan_option_check_shutdown, .flags = ROAN_OPTION_SEVERAL, .needs = "persistence", .initial = "default",
     .text = "The same for SIGINT (Control-C)."},
    {.name = "shutdown-timeout", ROAN_ROW_INTEGER(shutdown_timeout_s, 0, INT_MAX), .needs = "replication",
     .initial = "10", .text = "Seconds that a shutdown waits for replicas to catch up."},
    CPU_LIST_ROW("server-cpulist", "server_cpulist", "workers"),
    CPU_LIST_ROW("bio-cpulist", "bio_cpulist", "background threads"),
    CPU_LIST_ROW("aof-rewrite-cpulist", "aof_rewrite_cpulist", "the rewriter of the append-only file"),
    CPU_LIST_ROW("bgsave-cpulist", "bgsave_cpulist", "the writer of snapshots"),
    {.name = "import-mode", ROAN_ROW_FIXED_BOOL(0, "import mode"), .initial = "no",
     .text = "Keep keys that have expired while a tool copies another server's data in."},
    {.name = "extended-redis-compatibility", ROAN_ROW_FIXED_BOOL(0, "other name to go by"), .initial = "no",
     .text = "Answer under the name of Redis where clients look at the name."},
    {.name = "ignore-warnings", ROAN_ROW_TEXT(ignore_warnings), .flags = ROAN_OPTION_IDLE, .initial = "",
     .text = "In the reference: start although the kernel has a certain bug of arm64. It is not looked for here."},
};

static const roan_option log_rows[] = {
    {.name = "loglevel", ROAN_ROW_ENUM(loglevel, levels), .apply = ROAN_APPLY_LOG, .initial = "notice",
     .text = "How much to log: debug (everything), verbose, notice (what an operator wants to know), warning, "
             "nothing."},
    {.name = "logfile", ROAN_ROW_TEXT(logfile), .flags = ROAN_OPTION_IMMUTABLE, .initial = "",
     .text = "File to log to. Empty: standard output, which a daemon does not have."},
    {.name = "log-format", ROAN_ROW_ENUM(log_format, log_formats), .apply = ROAN_APPLY_LOG, .initial = "legacy",
     .text = "Form of a line: legacy as the reference always wrote it, logfmt (key=value), or json."},
    {.name = "log-timestamp-format", ROAN_ROW_ENUM(log_timestamp_format, log_times), .apply = ROAN_APPLY_LOG,
     .initial = "legacy",
     .text = "Form of the time in a line: legacy, iso8601 (with the zone), or milliseconds since 1970."},
    {.name = "syslog-enabled", ROAN_ROW_BOOL(syslog_enabled), .flags = ROAN_OPTION_IMMUTABLE, .initial = "no",
     .text = "Log to the system's log, too."},
    {.name = "syslog-ident", ROAN_ROW_TEXT(syslog_ident), .flags = ROAN_OPTION_IMMUTABLE, .initial = "roan",
     .text = "Name of the server in the system's log."},
    {.name = "syslog-facility", ROAN_ROW_ENUM(syslog_facility, facilities), .flags = ROAN_OPTION_IMMUTABLE,
     .initial = "local0", .text = "Facility in the system's log: user, or local0 to local7."},
    {.name = "hide-user-data-from-log", ROAN_ROW_BOOL(hide_user_data_from_log), .flags = ROAN_OPTION_IDLE,
     .initial = "yes",
     .text = "In the reference: leave keys, values and names of users out of the log. They never get into it here."},
    {.name = "crash-log-enabled", ROAN_ROW_BOOL(crash_log_enabled), .apply = ROAN_APPLY_LOG, .initial = "yes",
     .text = "After a crash, write a short report with the version, the signal and the stack to the log before the "
             "process ends."},
    {.name = "crash-memcheck-enabled", ROAN_ROW_BOOL(crash_memcheck_enabled), .flags = ROAN_OPTION_IDLE,
     .initial = "yes", .text = "In the reference: test the memory after a crash. Not done here."},
};

static const roan_option access_rows[] = {
    {.name = "requirepass",
     ROAN_ROW_BYTES(requirepass),
     .flags = ROAN_OPTION_SENSITIVE,
     .apply = ROAN_APPLY_PASSWORD,
     .initial = "",
     .text = "Password of the default user; clients send it with AUTH or HELLO. Guessing is fast, so make it long. "
             "Empty: no password."},
    {.name = "enable-debug-command",
     ROAN_ROW_ENUM(enable_debug_command, permissions),
     .flags = ROAN_OPTION_IMMUTABLE,
     .initial = "no",
     .text = "Allow DEBUG: no, yes, or local for connections from this machine."},
    {.name = "enable-module-command",
     ROAN_ROW_ENUM(enable_module_command, permissions),
     .flags = ROAN_OPTION_IMMUTABLE,
     .needs = "module system",
     .initial = "no",
     .text = "Allow MODULE: no, yes, or local for connections from this machine."},
    {.name = "enable-protected-configs",
     ROAN_ROW_ENUM(enable_protected_configs, permissions),
     .flags = ROAN_OPTION_IMMUTABLE,
     .initial = "no",
     .text = "Allow CONFIG SET to change where files are written (dir, dbfilename): no, yes, or local for "
             "connections from this machine."},
    {.name = "enable-debug-assert",
     ROAN_ROW_BOOL(enable_debug_assert),
     .flags = ROAN_OPTION_IMMUTABLE | ROAN_OPTION_HIDDEN | ROAN_OPTION_IDLE,
     .initial = "no",
     .text = "In the reference: expensive assertions. Here they come with a checked build."},
    {.name = "aclfile",
     ROAN_ROW_TEXT(aclfile),
     .flags = ROAN_OPTION_IMMUTABLE,
     .initial = "",
     .text =
         "File with the users and what they may do, one per line: `user NAME RULE ...`. ACL LOAD reads it again, ACL "
         "SAVE writes it. Without one, lines of the same form in this file name the users."},
    {.name = "user",
     ROAN_ROW_SPECIAL(users, roan_option_parse_user, roan_option_format_words),
     .flags =
         ROAN_OPTION_FILE | ROAN_OPTION_HIDDEN | ROAN_OPTION_SENSITIVE | ROAN_OPTION_OWNS_TEXT | ROAN_OPTION_SEVERAL,
     .format_line = roan_option_line_user,
     .initial = "",
     .text = "A user and what it may do: NAME RULE ..."},
    {.name = "acl-pubsub-default",
     ROAN_ROW_ENUM(acl_pubsub_default, channel_defaults),
     .initial = "resetchannels",
     .text = "Channels of a new user: allchannels, or resetchannels for none."},
    {.name = "acllog-max-len",
     ROAN_ROW_INTEGER(acllog_max_len, 0, INT64_MAX),
     .initial = "128",
     .text = "Entries of ACL LOG."},
};

const roan_option_group roan_options_general = ROAN_OPTION_GROUP("General", "", general_rows);
const roan_option_group roan_options_log = ROAN_OPTION_GROUP("Log", "", log_rows);
const roan_option_group roan_options_access = ROAN_OPTION_GROUP("Access", "", access_rows);
