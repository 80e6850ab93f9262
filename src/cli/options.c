/* cli/options.c: the command line, one row per option.
 *
 * A row names the option, what its argument is and where the value goes; what does more than store
 * a value has a function. Options end at the first word that does not begin with '-'. The first
 * problem is printed and ends the parse. Everything that is kept is a copy, freed by
 * roan_cli_options_done.
 */
#include "cli/options.h"

#include "cli/text.h"
#include "cli/uri.h"
#include "cli/words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

typedef enum argument_kind {
    TAKES_NOTHING, /* sets a bool */
    TAKES_TEXT,
    TAKES_INTEGER,
    TAKES_SECONDS,
    SETS_MODE, /* `value` is the mode; with a text argument when `offset` is not 0 */
    CALLS      /* a function, with the next word when it takes one */
} argument_kind;

typedef struct option_row {
    const char *name;
    argument_kind kind;
    size_t offset; /* of the field in roan_cli_options */
    int64_t value; /* of SETS_MODE and of functions */
    bool (*apply)(roan_cli_options *options, int64_t value, const char *argument);
    bool takes_argument; /* of CALLS */
} option_row;

static bool ROAN_PRINTF(1, 2) complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return false;
}

static void replace_text(char **field, const char *text)
{
    free(*field);
    *field = roan_cli_copy(text);
}

/* The whole argument must be a number: "-n x" must not quietly mean database 0. */
static bool read_number(const char *option, const char *argument, bool is_integer, double *ret_real,
                        int64_t *ret_integer)
{
    char *end;

    errno = 0;
    if (is_integer)
        *ret_integer = strtoll(argument, &end, 10);
    else
        *ret_real = strtod(argument, &end);
    if (errno == 0 && end != argument && *end == '\0')
        return true;
    fprintf(stderr, "Invalid number '%s' for %s\n", argument, option);
    return false;
}

static bool apply_password(roan_cli_options *options, int64_t value, const char *argument)
{
    (void)value;
    replace_text(&options->password, argument);
    options->is_password_visible = true;
    return true;
}

static bool apply_uri(roan_cli_options *options, int64_t value, const char *argument)
{
    (void)value;
    return roan_cli_uri_parse(argument, options);
}

static bool apply_format(roan_cli_options *options, int64_t value, const char *argument)
{
    (void)argument;
    options->format = (roan_cli_format)value;
    return true;
}

static bool apply_family(roan_cli_options *options, int64_t value, const char *argument)
{
    (void)argument;
    options->address_family = (int)value;
    return true;
}

static bool apply_pushes(roan_cli_options *options, int64_t value, const char *argument)
{
    (void)value;
    if (argument[0] == 'y' || argument[0] == 'Y')
        options->shows_pushes = true;
    else if (argument[0] == 'n' || argument[0] == 'N')
        options->shows_pushes = false;
    else
        complain("--show-pushes takes yes or no, not '%s'; going on without it", argument);
    return true;
}

/* --pattern takes bytes as they are, --quoted-pattern (value 1) reads escapes. */
static bool apply_pattern(roan_cli_options *options, int64_t value, const char *argument)
{
    roan_slice pattern = roan_slice_from_text(argument);

    free(options->pattern);
    options->pattern = NULL;
    if (value == 0)
        options->pattern = roan_cli_copy(argument);
    else if (roan_cli_unquote(argument, &pattern))
        options->pattern = (char *)(uintptr_t)pattern.data;
    else
        return complain("Invalid quoted string specified for --quoted-pattern: %s", argument);
    options->pattern_bytes = pattern.bytes;
    return true;
}

/* A mode with a number: --memkeys-samples 0, --intrinsic-latency 5. */
static bool apply_mode_number(roan_cli_options *options, int64_t value, const char *argument)
{
    options->mode = (roan_cli_mode)value;
    return read_number("this option", argument, true, NULL, &options->mode_number);
}

static bool refuse_tls(roan_cli_options *options, int64_t value, const char *argument)
{
    (void)options;
    (void)value;
    (void)argument;
    return complain("This program was built without TLS.");
}

static bool refuse_missing(roan_cli_options *options, int64_t value, const char *argument)
{
    static const char *const names[] = {"--cluster", "--ldb", "--lru-test"};

    (void)options;
    (void)argument;
    return complain("%s is not part of roan cli.", names[value]);
}

static bool ignore_option(roan_cli_options *options, int64_t value, const char *argument)
{
    (void)options;
    (void)value;
    (void)argument;
    return true;
}

#define FIELD(name) offsetof(roan_cli_options, name)

static const option_row rows[] = {
    {"-h", TAKES_TEXT, FIELD(host), 0, NULL, false},
    {"-p", TAKES_INTEGER, FIELD(port), 0, NULL, false},
    {"-s", TAKES_TEXT, FIELD(socket_path), 0, NULL, false},
    {"-a", CALLS, 0, 0, apply_password, true},
    {"--pass", CALLS, 0, 0, apply_password, true},
    {"--user", TAKES_TEXT, FIELD(user), 0, NULL, false},
    {"--askpass", TAKES_NOTHING, FIELD(asks_password), 0, NULL, false},
    {"-u", CALLS, 0, 0, apply_uri, true},
    {"-n", TAKES_INTEGER, FIELD(db), 0, NULL, false},
    {"-t", TAKES_SECONDS, FIELD(timeout_s), 0, NULL, false},
    {"-2", TAKES_NOTHING, FIELD(resp2), 0, NULL, false},
    {"-3", TAKES_NOTHING, FIELD(resp3), 0, NULL, false},
    {"-4", CALLS, 0, AF_INET, apply_family, false},
    {"-6", CALLS, 0, AF_INET6, apply_family, false},
    {"-c", TAKES_NOTHING, FIELD(follows_cluster), 0, NULL, false},
    {"-r", TAKES_INTEGER, FIELD(repeat), 0, NULL, false},
    {"-i", TAKES_SECONDS, FIELD(interval_s), 0, NULL, false},
    {"-x", TAKES_NOTHING, FIELD(reads_last_word), 0, NULL, false},
    {"-X", TAKES_TEXT, FIELD(stdin_tag), 0, NULL, false},
    {"-d", TAKES_TEXT, FIELD(bulk_delimiter), 0, NULL, false},
    {"-D", TAKES_TEXT, FIELD(reply_delimiter), 0, NULL, false},
    {"-e", TAKES_NOTHING, FIELD(fails_on_error), 0, NULL, false},
    {"--raw", CALLS, 0, ROAN_CLI_FORMAT_RAW, apply_format, false},
    {"--no-raw", CALLS, 0, ROAN_CLI_FORMAT_TTY, apply_format, false},
    {"--csv", CALLS, 0, ROAN_CLI_FORMAT_CSV, apply_format, false},
    {"--json", CALLS, 0, ROAN_CLI_FORMAT_JSON, apply_format, false},
    {"--quoted-json", CALLS, 0, ROAN_CLI_FORMAT_QUOTED_JSON, apply_format, false},
    {"--quoted-input", TAKES_NOTHING, FIELD(is_input_quoted), 0, NULL, false},
    {"--show-pushes", CALLS, 0, 0, apply_pushes, true},
    {"--no-auth-warning", TAKES_NOTHING, FIELD(is_auth_warned), 0, NULL, false},
    {"--eval", SETS_MODE, FIELD(file), ROAN_CLI_EVAL, NULL, false},
    {"--stat", SETS_MODE, 0, ROAN_CLI_STAT, NULL, false},
    {"--latency", SETS_MODE, 0, ROAN_CLI_LATENCY, NULL, false},
    {"--latency-history", SETS_MODE, 0, ROAN_CLI_LATENCY_HISTORY, NULL, false},
    {"--latency-dist", SETS_MODE, 0, ROAN_CLI_LATENCY_DIST, NULL, false},
    {"--intrinsic-latency", CALLS, 0, ROAN_CLI_INTRINSIC_LATENCY, apply_mode_number, true},
    {"--scan", SETS_MODE, 0, ROAN_CLI_SCAN, NULL, false},
    {"--bigkeys", SETS_MODE, 0, ROAN_CLI_BIG_KEYS, NULL, false},
    {"--memkeys", SETS_MODE, 0, ROAN_CLI_MEM_KEYS, NULL, false},
    {"--memkeys-samples", CALLS, 0, ROAN_CLI_MEM_KEYS, apply_mode_number, true},
    {"--keystats", SETS_MODE, 0, ROAN_CLI_KEY_STATS, NULL, false},
    {"--keystats-samples", CALLS, 0, ROAN_CLI_KEY_STATS, apply_mode_number, true},
    {"--hotkeys", SETS_MODE, 0, ROAN_CLI_HOT_KEYS, NULL, false},
    {"--pattern", CALLS, 0, 0, apply_pattern, true},
    {"--quoted-pattern", CALLS, 0, 1, apply_pattern, true},
    {"--count", TAKES_INTEGER, FIELD(scan_count), 0, NULL, false},
    {"--cursor", TAKES_TEXT, FIELD(cursor), 0, NULL, false},
    {"--top", TAKES_INTEGER, FIELD(top), 0, NULL, false},
    {"--pipe", SETS_MODE, 0, ROAN_CLI_PIPE, NULL, false},
    {"--pipe-timeout", TAKES_INTEGER, FIELD(pipe_timeout_s), 0, NULL, false},
    {"--rdb", SETS_MODE, FIELD(file), ROAN_CLI_RDB, NULL, false},
    {"--functions-rdb", SETS_MODE, FIELD(file), ROAN_CLI_FUNCTIONS_RDB, NULL, false},
    {"--replica", SETS_MODE, 0, ROAN_CLI_REPLICA, NULL, false},
    {"--slave", SETS_MODE, 0, ROAN_CLI_REPLICA, NULL, false},
    {"--test_hint_file", SETS_MODE, FIELD(file), ROAN_CLI_HINT_FILE, NULL, false},
    {"--help", SETS_MODE, 0, ROAN_CLI_USAGE, NULL, false},
    {"--version", SETS_MODE, 0, ROAN_CLI_SHOW_VERSION, NULL, false},
    {"-v", SETS_MODE, 0, ROAN_CLI_SHOW_VERSION, NULL, false},
    {"--verbose", CALLS, 0, 0, ignore_option, false},
    {"--tls", CALLS, 0, 0, refuse_tls, false},
    {"--sni", CALLS, 0, 0, refuse_tls, true},
    {"--cacert", CALLS, 0, 0, refuse_tls, true},
    {"--cacertdir", CALLS, 0, 0, refuse_tls, true},
    {"--cert", CALLS, 0, 0, refuse_tls, true},
    {"--key", CALLS, 0, 0, refuse_tls, true},
    {"--insecure", CALLS, 0, 0, refuse_tls, false},
    {"--tls-ciphers", CALLS, 0, 0, refuse_tls, true},
    {"--tls-ciphersuites", CALLS, 0, 0, refuse_tls, true},
    {"--cluster", CALLS, 0, 0, refuse_missing, false},
    {"--ldb", CALLS, 0, 1, refuse_missing, false},
    {"--ldb-sync-mode", CALLS, 0, 1, refuse_missing, false},
    {"--lru-test", CALLS, 0, 2, refuse_missing, false},
};

static const option_row *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

static bool row_takes_argument(const option_row *row)
{
    switch (row->kind) {
    case TAKES_NOTHING:
        return false;
    case TAKES_TEXT:
    case TAKES_INTEGER:
    case TAKES_SECONDS:
        return true;
    case SETS_MODE:
        return row->offset != 0;
    case CALLS:
        return row->takes_argument;
    }
    return false;
}

static bool apply_row(roan_cli_options *options, const option_row *row, const char *argument)
{
    void *field = (char *)options + row->offset;

    switch (row->kind) {
    case TAKES_NOTHING:
        *(bool *)field = true;
        return true;
    case TAKES_TEXT:
        replace_text(field, argument);
        return true;
    case TAKES_INTEGER:
        return read_number(row->name, argument, true, NULL, field);
    case TAKES_SECONDS:
        return read_number(row->name, argument, false, field, NULL);
    case SETS_MODE:
        options->mode = (roan_cli_mode)row->value;
        if (row->offset != 0)
            replace_text(field, argument);
        return true;
    case CALLS:
        return row->apply(options, row->value, argument);
    }
    return false;
}

static void set_defaults(roan_cli_options *options)
{
    const char *password = getenv("REDISCLI_AUTH");
    bool is_terminal = isatty(STDOUT_FILENO) || getenv("FAKETTY") != NULL;

    *options = (roan_cli_options){
        .host = roan_cli_copy("127.0.0.1"),
        .port = 6379,
        .db = -1,
        .address_family = AF_UNSPEC,
        .repeat = 1,
        .format = is_terminal ? ROAN_CLI_FORMAT_TTY : ROAN_CLI_FORMAT_RAW,
        .bulk_delimiter = roan_cli_copy("\n"),
        .reply_delimiter = roan_cli_copy("\n"),
        .shows_pushes = is_terminal,
        .mode_number = -1,
        .top = 10,
        .scan_count = 10,
        .pipe_timeout_s = 30,
        .cursor = roan_cli_copy("0"),
    };
    if (password == NULL)
        password = getenv("VALKEYCLI_AUTH");
    if (password != NULL && password[0] != '\0')
        options->password = roan_cli_copy(password);
}

/* What one option cannot know of another. */
static bool check_together(roan_cli_options *options)
{
    if (options->resp2 && options->resp3)
        return complain("Options -2 and -3 are mutually exclusive.");
    if (options->reads_last_word && options->stdin_tag != NULL)
        return complain("Options -x and -X are mutually exclusive.");
    if (options->socket_path == NULL && (options->port < 0 || options->port > 65535))
        return complain("Invalid server port.");
    if (options->top < 1 || options->scan_count < 1)
        return complain("--top and --count take a number above 0.");
    if (options->cursor[strspn(options->cursor, "0123456789")] != '\0')
        return complain("--cursor takes a number, not '%s'.", options->cursor);
    if (options->timeout_s < 0)
        return complain("Invalid timeout for -t.");
    if (options->is_password_visible && !options->is_auth_warned)
        complain("Warning: Using a password with '-a' or '-u' option on the command line"
                       " interface may not be safe.");
    return true;
}

bool roan_cli_options_parse(roan_cli_options *ret_options, int argc, char **argv)
{
    roan_cli_options *options = ret_options;
    int i = 1;

    set_defaults(options);
    for (; i < argc && argv[i][0] == '-'; i++) {
        const option_row *row = find_row(argv[i]);
        const char *argument = NULL;
        if (row != NULL && row_takes_argument(row)) {
            if (i + 1 < argc) {
                argument = argv[++i];
            } else if (strcmp(row->name, "-h") == 0) {
                options->mode = ROAN_CLI_USAGE;
                break;
            } else {
                row = NULL;
            }
        }
        if (row == NULL)
            return complain("Unrecognized option or bad number of args for: '%s'", argv[i]);
        if (!apply_row(options, row, argument))
            return false;
    }
    options->words = argv + i;
    options->word_count = argc - i;
    return check_together(options);
}

void roan_cli_options_done(roan_cli_options *options)
{
    char *texts[] = {options->host,           options->socket_path,     options->user,
                     options->password,       options->stdin_tag,       options->bulk_delimiter,
                     options->reply_delimiter, options->file,           options->pattern,
                     options->cursor};

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    *options = (roan_cli_options){0};
}
