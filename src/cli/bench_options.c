/* cli/bench_options.c: the command line of `roan bench`.
 *
 * One row per option: its name, the kind of its argument, the range, where the value goes and its
 * help text. Parsing, range checks and --help all walk the rows, so an option is added in one
 * place. The first word that is not an option (or the first one after --) starts the user's own
 * command.
 *
 * Options of other tools that this version does not have are rows as well: they are refused by name
 * instead of being taken for a typing mistake. */
#include "cli/bench_options.h"

#include "cli/options.h"
#include "cli/uri.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef ROAN_VERSION
#define ROAN_VERSION "0.1.0-dev"
#endif

typedef enum option_kind {
    OPTION_FLAG,    /* bool, no argument */
    OPTION_TEXT,    /* const char * */
    OPTION_WHOLE,   /* long from min to max */
    OPTION_SECONDS, /* double, from 0 to max */
    OPTION_HELP,
    OPTION_VERSION,
    OPTION_ABSENT,          /* refused, no argument */
    OPTION_ABSENT_ARGUMENT, /* refused, has an argument */
} option_kind;

typedef struct option_row {
    const char *name;
    option_kind kind;
    size_t offset;
    long min, max;
    const char *argument;
    const char *help;
} option_row;

#define AT(field) offsetof(roan_bench_options, field)

static const option_row OPTIONS[] = {
    {"-h", OPTION_TEXT, AT(host), 0, 0, "<host>", "server name or address (127.0.0.1)"},
    {"-p", OPTION_WHOLE, AT(port), 1, 65535, "<port>", "server port (6379)"},
    {"-s", OPTION_TEXT, AT(socket_path), 0, 0, "<path>", "Unix socket, instead of host and port"},
    {"-a", OPTION_TEXT, AT(password), 0, 0, "<password>", "password for AUTH"},
    {"--user", OPTION_TEXT, AT(user), 0, 0, "<name>", "user for AUTH, with -a"},
    {"-u", OPTION_TEXT, AT(uri), 0, 0, "<uri>", "redis://user:password@host:port/db"},
    {"-c", OPTION_WHOLE, AT(clients), 1, 1000000, "<count>", "parallel connections (50)"},
    {"-n", OPTION_WHOLE, AT(requests), 1, LONG_MAX / 4, "<count>", "requests per test (100000)"},
    {"--duration", OPTION_SECONDS, AT(duration_s), 0, 86400 * 366, "<seconds>",
     "run each test this long, instead of -n"},
    {"--warmup", OPTION_SECONDS, AT(warmup_s), 0, 86400, "<seconds>",
     "send load for so long before counting"},
    {"-d", OPTION_WHOLE, AT(data_bytes), 0, ROAN_BENCH_DATA_BYTES_MAX, "<bytes>",
     "size of values (3)"},
    {"--dbnum", OPTION_WHOLE, AT(database), 0, INT_MAX, "<db>", "SELECT this database (0)"},
    {"-3", OPTION_FLAG, AT(is_resp3), 0, 0, "", "speak RESP3"},
    {"--threads", OPTION_WHOLE, AT(threads), 1, ROAN_BENCH_THREADS_MAX, "<count>",
     "threads that share the connections (1)"},
    {"--enable-tracking", OPTION_FLAG, AT(is_tracking), 0, 0, "",
     "CLIENT TRACKING ON for every connection"},
    {"-k", OPTION_WHOLE, AT(keep_alive), 0, 1, "<0|1>", "1 keep connections, 0 reconnect (1)"},
    {"-r", OPTION_WHOLE, AT(keyspace), 0, ROAN_BENCH_KEYSPACE_MAX, "<count>",
     "put a random 12-digit number below count in\nevery __rand_int__ of a request"},
    {"--sequential", OPTION_FLAG, AT(is_sequential), 0, 0, "",
     "with -r: count up instead of drawing at random"},
    {"-P", OPTION_WHOLE, AT(pipeline), 1, ROAN_BENCH_PIPELINE_MAX, "<count>",
     "requests sent before waiting for answers (1)"},
    {"-q", OPTION_FLAG, AT(is_quiet), 0, 0, "", "one line per test"},
    {"--precision", OPTION_WHOLE, AT(precision), 0, 6, "<digits>",
     "decimal places of latencies (3)"},
    {"--csv", OPTION_FLAG, AT(is_csv), 0, 0, "", "one line of CSV per test"},
    {"-l", OPTION_FLAG, AT(is_loop), 0, 0, "", "repeat until interrupted"},
    {"-t", OPTION_TEXT, AT(tests), 0, 0, "<tests>", "comma-separated tests to run; see below"},
    {"-I", OPTION_FLAG, AT(is_idle), 0, 0, "", "only open the connections and hold them"},
    {"-x", OPTION_FLAG, AT(has_stdin_argument), 0, 0, "",
     "standard input is the last word of the command"},
    {"--rps", OPTION_WHOLE, AT(rps), 0, 1000000000, "<count>",
     "at most so many requests per second (0: no limit)"},
    {"--seed", OPTION_WHOLE, AT(seed), 0, LONG_MAX, "<number>",
     "start of the random numbers (the time)"},
    {"--plot", OPTION_TEXT, AT(plot_path), 0, 0, "<file>",
     "write latency and throughput as FILE.svg or .html"},
    {"--help", OPTION_HELP, 0, 0, 0, "", "print this and exit"},
    {"--version", OPTION_VERSION, 0, 0, 0, "", "print the version and exit"},
    {"--cluster", OPTION_ABSENT, 0, 0, 0, NULL, "cluster mode"},
    {"--rfr", OPTION_ABSENT_ARGUMENT, 0, 0, 0, NULL, "reading from replicas"},
    {"--mptcp", OPTION_ABSENT, 0, 0, 0, NULL, "multipath TCP"},
    {"--fuzz", OPTION_ABSENT, 0, 0, 0, NULL, "fuzzing"},
    {"--tls", OPTION_ABSENT, 0, 0, 0, NULL, "TLS"},
    {"--insecure", OPTION_ABSENT, 0, 0, 0, NULL, "TLS"},
    {"--sni", OPTION_ABSENT_ARGUMENT, 0, 0, 0, NULL, "TLS"},
    {"--cacert", OPTION_ABSENT_ARGUMENT, 0, 0, 0, NULL, "TLS"},
    {"--cacertdir", OPTION_ABSENT_ARGUMENT, 0, 0, 0, NULL, "TLS"},
    {"--cert", OPTION_ABSENT_ARGUMENT, 0, 0, 0, NULL, "TLS"},
    {"--key", OPTION_ABSENT_ARGUMENT, 0, 0, 0, NULL, "TLS"},
    {"--tls-ciphers", OPTION_ABSENT_ARGUMENT, 0, 0, 0, NULL, "TLS"},
    {"--tls-ciphersuites", OPTION_ABSENT_ARGUMENT, 0, 0, 0, NULL, "TLS"},
};
#define OPTION_COUNT (sizeof OPTIONS / sizeof OPTIONS[0])

static const char HELP_HEAD[] =
    "usage: roan bench [options] [--] [command word ...]\n\n"
    "Measures a Redis-compatible server with the built-in tests, or with the given command.\n\n";

static const char HELP_TAIL[] =
    "\ntests: ping_inline ping_mbulk set get incr lpush rpush lpop rpop sadd hset spop zadd\n"
    "  zpopmin lrange_100 lrange_300 lrange_500 lrange_600 mset xadd, and mget when asked for;\n"
    "  ping and lrange stand for all of their kind.\n"
    "\nin the words of a command:\n"
    "  __rand_int__   a number below -r, a new one at each place\n"
    "  __rand_1st__   the same number at each place of a command; also __rand_2nd__,\n"
    "                 __rand_3rd__, __rand_4th__ ... __rand_9th__\n"
    "  __data__       a value of -d bytes\n"
    "  ;              as a word of its own separates commands that are sent one after the other;\n"
    "                 a number in front of one of them repeats it\n"
    "\nexamples:\n"
    "  roan bench -t set,get -n 1000000 -r 100000 -P 16 -q\n"
    "  roan bench -r 10000 lpush mylist __rand_int__\n"
    "  roan bench --duration 10 --rps 50000 --plot run.html -t get\n"
    "  roan bench -- multi ';' set key:__rand_int__ __data__ ';' incr counter ';' exec\n";

static void print_help(void)
{
    fputs(HELP_HEAD, stdout);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const option_row *row = &OPTIONS[i];
        const char *rest = row->help;
        const char *line_end;
        if (row->argument == NULL)
            continue;
        printf("  %s %-*s", row->name, (int)(22 - strlen(row->name)), row->argument);
        while ((line_end = strchr(rest, '\n')) != NULL) {
            printf(" %.*s\n%26s", (int)(line_end - rest), rest, "");
            rest = line_end + 1;
        }
        printf(" %s\n", rest);
    }
    fputs(HELP_TAIL, stdout);
}

static bool complain(const char *option, const char *text, const char *detail)
{
    fprintf(stderr, "roan bench: %s: %s%s\n", option, text, detail);
    return false;
}

static bool parse_whole(const option_row *row, const char *text, long *value)
{
    char *end;
    char range[96];

    errno = 0;
    *value = strtol(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && *value >= row->min && *value <= row->max)
        return true;
    snprintf(range, sizeof range, "%ld to %ld", row->min, row->max);
    fprintf(stderr, "roan bench: %s: '%s' is not a whole number from %s\n", row->name, text, range);
    return false;
}

static bool parse_seconds(const option_row *row, const char *text, double *value)
{
    char *end;

    errno = 0;
    *value = strtod(text, &end);
    if (errno == 0 && end != text && *end == '\0' && *value >= 0 && *value <= (double)row->max)
        return true;
    fprintf(stderr, "roan bench: %s: '%s' is not a number of seconds\n", row->name, text);
    return false;
}

/* What the URI says goes before what other options said. */
static bool apply_uri(roan_bench_options *options)
{
    roan_cli_options *from = options->uri_parts = calloc(1, sizeof *from);

    if (from == NULL)
        return complain("-u", "out of memory", "");
    if (!roan_cli_uri_parse(options->uri, from))
        return false;
    if (from->port < 0 || from->port > UINT16_MAX || from->db < 0 || from->db > INT_MAX)
        return complain("-u", "no such port or database: ", options->uri);
    if (from->host != NULL)
        options->host = from->host;
    if (from->port > 0)
        options->port = (long)from->port;
    if (from->socket_path != NULL)
        options->socket_path = from->socket_path;
    if (from->user != NULL)
        options->user = from->user;
    if (from->password != NULL)
        options->password = from->password;
    if (from->db > 0)
        options->database = (long)from->db;
    return true;
}

static const option_row *find_option(const char *name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strcmp(OPTIONS[i].name, name) == 0)
            return &OPTIONS[i];
    return NULL;
}

static bool takes_argument(const option_row *row)
{
    return row->kind == OPTION_TEXT || row->kind == OPTION_WHOLE || row->kind == OPTION_SECONDS ||
           row->kind == OPTION_ABSENT_ARGUMENT;
}

static bool store(roan_bench_options *options, const option_row *row, char *argument)
{
    void *field = (char *)options + row->offset;

    switch (row->kind) {
    case OPTION_FLAG: *(bool *)field = true; return true;
    case OPTION_TEXT: *(const char **)field = argument; return true;
    case OPTION_WHOLE: return parse_whole(row, argument, field);
    case OPTION_SECONDS: return parse_seconds(row, argument, field);
    case OPTION_ABSENT:
    case OPTION_ABSENT_ARGUMENT:
        return complain(row->name, row->help, " is not in this version of roan bench");
    case OPTION_HELP:
    case OPTION_VERSION: break;
    }
    return true;
}

/* What only makes sense, or none, together. */
static bool check_combinations(roan_bench_options *options, bool has_requests)
{
    if (options->uri != NULL && !apply_uri(options))
        return false;
    if (has_requests && options->duration_s > 0)
        return complain("-n and --duration", "only one of them can end a test", "");
    if (options->user != NULL && options->password == NULL)
        return complain("--user", "needs a password, see -a", "");
    if (options->has_stdin_argument && options->command_argc == 0)
        return complain("-x", "needs a command to add its input to", "");
    return true;
}

roan_bench_parsed roan_bench_options_parse(roan_bench_options *options, int argc, char **argv)
{
    bool has_requests = false;
    int i;

    *options = (roan_bench_options){
        .host = "127.0.0.1", .port = 6379, .clients = 50, .requests = 100000, .data_bytes = 3,
        .keep_alive = 1, .keyspace = -1, .pipeline = 1, .precision = 3,
        .seed = (long)time(NULL) ^ ((long)getpid() << 20),
    };
    for (i = 1; i < argc && argv[i][0] == '-'; i++) {
        const option_row *row = find_option(argv[i]);
        char *argument = NULL;
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        if (row == NULL) {
            complain(argv[i], "no such option", "; roan bench --help lists them");
            return ROAN_BENCH_PARSED_WRONG;
        }
        if (row->kind == OPTION_HELP || row->kind == OPTION_VERSION) {
            if (row->kind == OPTION_HELP)
                print_help();
            else
                printf("roan bench %s\n", ROAN_VERSION);
            return ROAN_BENCH_PARSED_DONE;
        }
        if (takes_argument(row) && (argument = argv[++i]) == NULL) {
            complain(row->name, "needs an argument", "");
            return ROAN_BENCH_PARSED_WRONG;
        }
        if (!store(options, row, argument))
            return ROAN_BENCH_PARSED_WRONG;
        has_requests |= row->offset == AT(requests) && row->kind == OPTION_WHOLE;
    }
    options->command_argc = argc - i;
    options->command_argv = argv + i;
    return check_combinations(options, has_requests) ? ROAN_BENCH_PARSED_RUN
                                                     : ROAN_BENCH_PARSED_WRONG;
}

void roan_bench_options_done(roan_bench_options *options)
{
    if (options->uri_parts != NULL)
        roan_cli_options_done(options->uri_parts);
    free(options->uri_parts);
    *options = (roan_bench_options){0};
}
