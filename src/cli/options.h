/* cli/options.h: what the command line of `roan cli` asks for. */
#pragma once

#include "roan/base.h"

#include <stdbool.h>


typedef enum roan_cli_mode {
    ROAN_CLI_COMMAND, /* a command on the line, or the prompt when there is none */
    ROAN_CLI_EVAL,
    ROAN_CLI_STAT,
    ROAN_CLI_LATENCY,
    ROAN_CLI_LATENCY_HISTORY,
    ROAN_CLI_LATENCY_DIST,
    ROAN_CLI_INTRINSIC_LATENCY,
    ROAN_CLI_SCAN,
    ROAN_CLI_BIG_KEYS,
    ROAN_CLI_MEM_KEYS,
    ROAN_CLI_KEY_STATS,
    ROAN_CLI_HOT_KEYS,
    ROAN_CLI_PIPE,
    ROAN_CLI_RDB,
    ROAN_CLI_FUNCTIONS_RDB,
    ROAN_CLI_REPLICA,
    ROAN_CLI_HINT_FILE,
    ROAN_CLI_USAGE,
    ROAN_CLI_SHOW_VERSION
} roan_cli_mode;

typedef enum roan_cli_format {
    ROAN_CLI_FORMAT_TTY,
    ROAN_CLI_FORMAT_RAW,
    ROAN_CLI_FORMAT_CSV,
    ROAN_CLI_FORMAT_JSON,
    ROAN_CLI_FORMAT_QUOTED_JSON
} roan_cli_format;

typedef struct roan_cli_options {
    /* where */
    char *host;
    int64_t port;
    char *socket_path;
    char *user;
    char *password;
    bool is_password_visible; /* it came in on the command line */
    bool is_auth_warned;      /* ... and that deserves a warning */
    bool asks_password;
    int64_t db;
    double timeout_s;
    bool resp2;
    bool resp3;
    int address_family; /* AF_UNSPEC, or the one preferred */
    bool follows_cluster;
    /* what */
    roan_cli_mode mode;
    char **words; /* what is left of argv */
    int word_count;
    int64_t repeat;
    double interval_s;
    bool reads_last_word;
    char *stdin_tag;
    bool is_input_quoted;
    bool fails_on_error;
    /* how it looks */
    roan_cli_format format;
    char *bulk_delimiter;
    char *reply_delimiter;
    bool shows_pushes;
    /* of the modes */
    char *file;             /* --eval, --rdb, --functions-rdb, --test_hint_file */
    char *pattern;          /* not always a C string: pattern_bytes counts */
    size_t pattern_bytes;
    int64_t scan_count;
    int64_t mode_number;    /* samples of --memkeys, seconds of --intrinsic-latency; or -1 */
    int64_t top;
    char *cursor;
    int64_t pipe_timeout_s;
} roan_cli_options;

/* Reads argv and the environment. False after printing to stderr what is wrong. */
bool roan_cli_options_parse(roan_cli_options *ret_options, int argc, char **argv);

void roan_cli_options_done(roan_cli_options *options);

/* Prints how to use the program. */
void roan_cli_print_usage(const char *program);
