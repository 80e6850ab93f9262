/* server/startup.c: from argv, the environment and files to a configuration.
 *
 *     roan server [FILE] [--option value ...] [-]
 *
 * Flags are read as the reference reads them: `--option` and the words up to the next one that begins with two dashes;
 * the word directly behind an option is always its value, so that values may begin with dashes. Every error says where
 * it is (file and line, variable, or command line), what is wrong and, where it can be guessed, what was meant.
 */
#include "server/startup.h"

#include "base/number.h"
#include "engine/config_file.h"
#include "server/files.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#define FLAG_WORDS_MAX 1024
#define VARIABLE_PREFIX "ROAN_"
#define VARIABLE_NAME_MAX 64

#if !defined(ROAN_VERSION)
#define ROAN_VERSION "unknown"
#endif

/* The parts of the command line. */
typedef struct command_line {
    const char *program;
    const char *file;        /* NULL: none */
    bool reads_stdin;
    bool checks_only;
    char *const *flags;      /* the rest */
    int flag_count;
} command_line;

/* --- files -------------------------------------------------------------------------------------------------------- */

static roan_status load_file(roan_config_loader *loader, const char *path, roan_error *reterr)
{
    roan_buffer text = {0};
    roan_status status = roan_file_read(path, ROAN_CONFIG_FILE_BYTES_MAX, &text, reterr);
    if (status == ROAN_OK)
        status = roan_config_load(loader, path, roan_buffer_slice(&text), reterr);
    roan_buffer_done(&text);
    return status;
}

static roan_status load_stdin(roan_config_loader *loader, roan_error *reterr)
{
    roan_buffer text = {0};
    roan_status status = roan_file_read_fd(STDIN_FILENO, "standard input", ROAN_CONFIG_FILE_BYTES_MAX, &text, reterr);
    if (status == ROAN_OK)
        status = roan_config_load(loader, "standard input", roan_buffer_slice(&text), reterr);
    roan_buffer_done(&text);
    return status;
}

/* include: a path, or a pattern that may match nothing, as conf.d folders need it. */
static roan_status load_include(roan_config_loader *loader, roan_slice pattern, roan_error *reterr)
{
    char path[PATH_MAX];
    if (pattern.bytes >= sizeof path)
        return roan_error_set_errno(reterr, ENAMETOOLONG, "'include'");
    memcpy(path, pattern.data, pattern.bytes);
    path[pattern.bytes] = '\0';
    if (strpbrk(path, "*?[") == NULL)
        return load_file(loader, path, reterr);

    glob_t found = {0};
    roan_status status = ROAN_OK;
    if (glob(path, 0, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc && status == ROAN_OK; i++)
            status = load_file(loader, found.gl_pathv[i], reterr);
    globfree(&found);
    return status;
}

/* May a line be appended to the file, or the file be made? */
static bool can_append(const char *path)
{
    if (access(path, W_OK) == 0)
        return true;
    if (errno != ENOENT)
        return false;
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];
    size_t bytes = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (bytes >= sizeof folder) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(folder, slash == NULL ? "." : path, bytes);
    folder[bytes] = '\0';
    return access(folder, W_OK | X_OK) == 0;
}

/* What only the system knows about a value is found out at once, while the line is at hand. */
static roan_status check_option(roan_config_loader *loader, const roan_option *option, roan_error *reterr)
{
    const roan_config *config = loader->config;
    if (strcmp(option->name, "dir") == 0 && chdir(config->dir) != 0)
        return roan_error_set_errno(reterr, errno, "'dir %s'", config->dir);
    if (strcmp(option->name, "logfile") == 0 && config->logfile[0] == '/' && !can_append(config->logfile))
        return roan_error_set_errno(reterr, errno, "'logfile %s'", config->logfile);
    return ROAN_OK;
}

/* --- environment -------------------------------------------------------------------------------------------------- */

static void add_remark(roan_startup *startup, const char *format, ...) ROAN_PRINTF(2, 3);

static void add_remark(roan_startup *startup, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    ROAN_IGNORE(vsnprintf(text, sizeof text, format, arguments)); /* long remarks are cut */
    va_end(arguments);
    roan_buffer_append(&startup->remarks, text, strlen(text) + 1);
}

/* ROAN_TCP_KEEPALIVE -> tcp-keepalive, and back. */
static void convert_name(char *name, bool to_option)
{
    for (; *name != '\0'; name++) {
        if (to_option)
            *name = *name == '_' ? '-' : *name >= 'A' && *name <= 'Z' ? (char)(*name + 32) : *name;
        else
            *name = *name == '-' ? '_' : *name >= 'a' && *name <= 'z' ? (char)(*name - 32) : *name;
    }
}

/* Variables may be meant for other programs, so an unknown one is no error; one that looks misspelt is remarked on. */
static roan_status load_variable(roan_startup *startup, roan_config_loader *loader, const char *variable,
                                 roan_error *reterr)
{
    char name[VARIABLE_NAME_MAX];
    const char *start = variable + strlen(VARIABLE_PREFIX), *equals = strchr(start, '=');
    if (equals == NULL || equals == start || (size_t)(equals - start) >= sizeof name)
        return ROAN_OK;
    memcpy(name, start, (size_t)(equals - start));
    name[equals - start] = '\0';
    convert_name(name, true);
    roan_slice words[2] = {roan_slice_from_text(name), roan_slice_from_text(equals + 1)};
    if (roan_option_find(words[0]) == NULL) {
        const char *near = roan_option_suggest(words[0]);
        if (near != NULL) {
            char wanted[VARIABLE_NAME_MAX];
            snprintf(wanted, sizeof wanted, "%s", near);
            convert_name(wanted, false);
            add_remark(startup, "the environment variable %.*s is no option; did you mean " VARIABLE_PREFIX "%s?",
                       (int)(equals - variable), variable, wanted);
        }
        return ROAN_OK;
    }
    /* Kubernetes announces a service called roan in just this way. */
    if (strcmp(name, "port") == 0 && strncmp(equals + 1, "tcp://", 6) == 0) {
        add_remark(startup,
                   "the environment variable " VARIABLE_PREFIX "PORT is a service address, not a port: ignored");
        return ROAN_OK;
    }
    roan_error error;
    roan_status status = roan_config_load_words(loader, 2, words, &error);
    if (status != ROAN_OK)
        return roan_error_set(reterr, status, "environment variable %.*s: %s", (int)(equals - variable), variable,
                              error.text);
    return ROAN_OK;
}

static roan_status load_environment(roan_startup *startup, roan_config_loader *loader, char *const *environment,
                                    roan_error *reterr)
{
    for (; environment != NULL && *environment != NULL; environment++)
        if (strncmp(*environment, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) == 0) {
            roan_status status = load_variable(startup, loader, *environment, reterr);
            if (status != ROAN_OK)
                return status;
        }
    return ROAN_OK;
}

/* --- flags -------------------------------------------------------------------------------------------------------- */

static bool is_flag(const char *word)
{
    return word[0] == '-' && word[1] == '-' && word[2] != '\0';
}

/* `--name`, `--name value` in one word, or `--name=value`. Returns the number of words. */
static size_t split_flag(const char *flag, roan_slice *words)
{
    const char *start = flag + 2, *equals = strchr(start, '='), *space = strchr(start, ' ');
    const char *end = equals;
    if (end == NULL || roan_option_find(roan_slice_make(start, (size_t)(equals - start))) == NULL)
        end = space;
    if (end == NULL) {
        words[0] = roan_slice_from_text(start);
        return 1;
    }
    words[0] = roan_slice_make(start, (size_t)(end - start));
    roan_slice rest = roan_slice_from_text(end + 1);
    while (end == space && rest.bytes > 0 && rest.data[rest.bytes - 1] == ' ')
        rest.bytes--;
    if (end == space && rest.bytes == 0) /* "--port " */
        return 1;
    words[1] = rest;
    return 2;
}

/* Takes one option with its values off the front. Returns how many arguments that were, 0 after an error. */
static int load_flag(const command_line *line, int at, roan_config_loader *loader, roan_error *reterr)
{
    roan_slice words[FLAG_WORDS_MAX];
    roan_error error;
    const char *flag = line->flags[at];
    if (!is_flag(flag)) {
        ROAN_IGNORE(roan_error_set(reterr, ROAN_E_CONFIG,
                                   flag[0] == '-' ? "unknown flag '%s'; options are written as --port 7000"
                                                  : "unexpected argument '%s'; the configuration file comes first, "
                                                    "and there can be one",
                                   flag)); /* told by 0 */
        return 0;
    }
    size_t count = split_flag(flag, words);
    int end = at + 1;
    if (count == 1 && roan_slice_is(words[0], "save") && (end == line->flag_count || is_flag(line->flags[end])))
        words[count++] = ROAN_LITERAL(""); /* what scripts produce from an empty list */
    while (end < line->flag_count && (count == 1 || !is_flag(line->flags[end])) && count < FLAG_WORDS_MAX)
        words[count++] = roan_slice_from_text(line->flags[end++]);
    roan_status status = roan_config_load_words(loader, count, words, &error);
    if (status != ROAN_OK) {
        ROAN_IGNORE(roan_error_set(reterr, status, "command line: %s", error.text)); /* told by 0 */
        return 0;
    }
    return end - at;
}

static roan_status load_flags(const command_line *line, roan_config_loader *loader, roan_error *reterr)
{
    for (int at = 0; at < line->flag_count;) {
        int taken = load_flag(line, at, loader, reterr);
        if (taken == 0)
            return ROAN_E_CONFIG;
        at += taken;
    }
    return ROAN_OK;
}

static void cut_command_line(int argc, char *const *argv, command_line *ret_line)
{
    command_line line = {.program = argc > 0 ? argv[0] : "roan server"};
    int at = 1;
    if (at < argc && strcmp(argv[at], "--check-config") == 0) {
        line.checks_only = true;
        at++;
    }
    if (at < argc && argv[at][0] != '-')
        line.file = argv[at++];
    if (at < argc && strcmp(argv[at], "-") == 0) {
        line.reads_stdin = true;
        at++;
    }
    if (at < argc && strcmp(argv[argc - 1], "-") == 0) {
        line.reads_stdin = true;
        argc--;
    }
    line.flags = argv + at;
    line.flag_count = argc - at;
    *ret_line = line;
}

/* --- help --------------------------------------------------------------------------------------------------------- */

static void print_usage(const char *program, FILE *out)
{
    fprintf(out,
            "Usage: %s [FILE] [--OPTION VALUE ...] [-]\n"
            "\n"
            "Serves data. FILE is a configuration file as Redis and Valkey have it; - reads one from standard input.\n"
            "Every option of the file is a flag, too, and an environment variable: --tcp-keepalive 60 is\n"
            "ROAN_TCP_KEEPALIVE=60. Flags are stronger than the environment, and that is stronger than the file.\n"
            "\n"
            "  %s                                  listen on port 6379 of this machine\n"
            "  %s roan.conf --port 7000            a file, and one option on top\n"
            "  %s --threads 4 --maxmemory 2gb --maxmemory-policy allkeys-lru\n"
            "  %s --save ''                        an empty value\n"
            "\n"
            "  -h, --help [OPTION]           this text, or what an option is for\n"
            "  -v, --version                 the version\n"
            "      --print-config            a commented configuration file with every option\n"
            "      --print-config=markdown   the reference of all options\n"
            "      --check-config [...]      read file and flags, say whether they are right, do not start\n"
            "\n"
            "Options:\n",
            program, program, program, program, program);
    for (unsigned i = 0; i < roan_option_group_count; i++) {
        const roan_option_group *group = roan_option_groups[i];
        size_t column = 0;
        for (unsigned j = 0; j < group->count; j++) {
            const roan_option *option = &group->options[j];
            if ((option->flags & (ROAN_OPTION_HIDDEN | ROAN_OPTION_IDLE)) != 0 || option->needs != NULL)
                continue;
            size_t bytes = strlen(option->name);
            if (column == 0 || column + bytes + 1 > 96) {
                fprintf(out, "%s  %-15s", column == 0 ? "" : "\n", column == 0 ? group->title : "");
                column = 17;
            }
            fprintf(out, " %s", option->name);
            column += bytes + 1;
        }
        if (column > 0)
            fputc('\n', out);
    }
}

static void print_buffer(roan_buffer *text, FILE *out)
{
    fwrite(text->data, 1, text->bytes, out);
    roan_buffer_done(text);
}

static int print_help(const char *program, const char *name, FILE *out, FILE *err)
{
    if (name == NULL) {
        print_usage(program, out);
        return 0;
    }
    roan_slice wanted = roan_slice_from_text(name[0] == '-' && name[1] == '-' ? name + 2 : name);
    const roan_option *option = roan_option_find(wanted);
    if (option == NULL) {
        const char *near = roan_option_suggest(wanted);
        fprintf(err, "%s: there is no option '%s'%s%s%s\n", program, name, near != NULL ? "; did you mean '" : "",
                near != NULL ? near : "", near != NULL ? "'?" : "");
        return 1;
    }
    roan_buffer text = {0};
    roan_config_print_option(option, &text);
    print_buffer(&text, out);
    return 0;
}

/* Answers flags that do not start a server. */
static bool is_answered(int argc, char *const *argv, FILE *out, FILE *err, int *ret_exit_code)
{
    const char *flag = argc > 1 ? argv[1] : "";
    roan_buffer text = {0};
    *ret_exit_code = 0;
    if (strcmp(flag, "--help") == 0 || strcmp(flag, "-h") == 0) {
        *ret_exit_code = print_help(argv[0], argc > 2 ? argv[2] : NULL, out, err);
    } else if (strcmp(flag, "--version") == 0 || strcmp(flag, "-v") == 0) {
        fprintf(out, "Roan server v=" ROAN_VERSION " malloc=%s bits=%zu\n", roan_alloc_name(),
                sizeof(void *) * CHAR_BIT);
    } else if (strcmp(flag, "--print-config") == 0) {
        roan_config_print_sample(&text);
        print_buffer(&text, out);
    } else if (strcmp(flag, "--print-config=markdown") == 0) {
        roan_config_print_reference(&text);
        print_buffer(&text, out);
    } else {
        return false;
    }
    return true;
}

/* --- the whole ---------------------------------------------------------------------------------------------------- */

static roan_status find_path(const char *file, char **ret_path, roan_error *reterr)
{
    char folder[PATH_MAX];
    roan_buffer path = {0};
    if (file[0] != '/') {
        if (getcwd(folder, sizeof folder) == NULL)
            return roan_error_set_errno(reterr, errno, "cannot tell the working directory");
        roan_buffer_printf(&path, "%s/", strcmp(folder, "/") == 0 ? "" : folder);
    }
    roan_buffer_append_text(&path, file);
    roan_config_set_string(ret_path, roan_buffer_slice(&path));
    roan_buffer_done(&path);
    return ROAN_OK;
}

/* What depends on more than one option. */
static roan_status check_whole(roan_config *config, roan_error *reterr)
{
    char folder[PATH_MAX];
    bool has_tcp = config->port != 0 && config->bind[0] != '\0';
    if (!has_tcp && config->unixsocket[0] == '\0')
        return roan_error_set(reterr, ROAN_E_CONFIG,
                              "nothing to listen on: %s and there is no unixsocket; set one of them",
                              config->port == 0 ? "port is 0" : "bind is empty");
    if (config->logfile[0] != '\0' && !can_append(config->logfile))
        return roan_error_set_errno(reterr, errno, "'logfile %s'", config->logfile);
    if (getcwd(folder, sizeof folder) == NULL)
        return roan_error_set_errno(reterr, errno, "cannot tell the working directory");
    roan_config_set_string(&config->dir, roan_slice_from_text(folder));
    return ROAN_OK;
}

static void keep_remark(void *context, const char *text)
{
    add_remark(context, "%s", text);
}

static roan_status read_all(roan_startup *startup, const command_line *line, char *const *environment,
                            roan_error *reterr)
{
    roan_config_loader loader = {
        .config = &startup->config, .context = startup, .include = load_include, .on_set = check_option};
    roan_status status = ROAN_OK;
    if (line->file != NULL) {
        status = find_path(line->file, &startup->config_path, reterr);
        if (status == ROAN_OK)
            status = load_file(&loader, line->file, reterr);
    }
    if (status == ROAN_OK && line->reads_stdin)
        status = load_stdin(&loader, reterr);
    if (status == ROAN_OK)
        status = load_environment(startup, &loader, environment, reterr);
    if (status == ROAN_OK)
        status = load_flags(line, &loader, reterr);
    if (status == ROAN_OK)
        status = check_whole(&startup->config, reterr);
    if (status == ROAN_OK)
        roan_config_remarks(&startup->config, keep_remark, startup);
    return status;
}

bool roan_startup_read(roan_startup *startup, int argc, char *const *argv, char *const *environment, FILE *out,
                       FILE *err, int *ret_exit_code)
{
    command_line line;
    roan_error error;
    *startup = (roan_startup){.config_path = roan_text_dup("")};
    roan_config_init(&startup->config);
    if (is_answered(argc, argv, out, err, ret_exit_code))
        return false;
    cut_command_line(argc, argv, &line);
    if (read_all(startup, &line, environment, &error) != ROAN_OK) {
        fprintf(err, "%s: %s\n", line.program, error.text);
        *ret_exit_code = 1;
        return false;
    }
    if (!line.checks_only)
        return true;
    for (const char *text = roan_startup_remark(startup, NULL); text != NULL; text = roan_startup_remark(startup, text))
        fprintf(err, "%s: %s\n", line.program, text);
    fprintf(out, "The configuration is right.\n");
    *ret_exit_code = 0;
    return false;
}

/* --- inside another program --------------------------------------------------------------------------------------- */

/* What an embedded server cannot have, with the value that asks for nothing. */
static const struct {
    const char *name, *harmless, *why;
} process_options[] = {
    {"port", "0", "it does not listen"},
    {"unixsocket", "", "it does not listen"},
    {"dir", ".", "the working directory is the program's"},
    {"daemonize", "no", "the process is the program's"},
    {"supervised", "no", "the process is the program's"},
    {"pidfile", "", "the process is the program's"},
    {"syslog-enabled", "no", "the system's log is the program's"},
};

static roan_status check_option_inside(roan_config_loader *loader, const roan_option *option, roan_error *reterr)
{
    roan_status status = ROAN_OK;
    for (size_t i = 0; i < ROAN_COUNT_OF(process_options) && status == ROAN_OK; i++) {
        if (strcmp(option->name, process_options[i].name) != 0)
            continue;
        roan_buffer value = {0};
        roan_option_format(loader->config, option, &value);
        if (!roan_slice_equal(roan_buffer_slice(&value), roan_slice_from_text(process_options[i].harmless)))
            status = roan_error_set(reterr, ROAN_E_CONFIG, "'%s' is not for an embedded server: %s", option->name,
                                    process_options[i].why);
        roan_buffer_done(&value);
    }
    return status;
}

static roan_status load_defaults(roan_config *config, const char *const *defaults, size_t default_count,
                                 roan_error *reterr)
{
    roan_status status = ROAN_OK;
    for (size_t i = 0; i + 1 < default_count && status == ROAN_OK; i += 2) {
        roan_slice value = roan_slice_from_text(defaults[i + 1]);
        status = roan_config_set_text(config, roan_slice_from_text(defaults[i]), 1, &value, reterr);
    }
    return status;
}

roan_status roan_startup_read_inside(roan_startup *startup, const char *const *defaults, size_t default_count,
                                     const char *text, char *const *flags, int flag_count, roan_error *reterr)
{
    command_line line = {.flags = flags, .flag_count = flag_count};
    roan_config_loader loader = {.config = &startup->config,
                                 .context = startup,
                                 .include = load_include,
                                 .on_set = check_option_inside};
    *startup = (roan_startup){.config_path = roan_text_dup("")};
    roan_config_init(&startup->config);
    startup->config.port = 0;
    roan_status status = load_defaults(&startup->config, defaults, default_count, reterr);
    if (status == ROAN_OK && text != NULL)
        status = roan_config_load(&loader, "configuration", roan_slice_from_text(text), reterr);
    if (status == ROAN_OK)
        status = load_flags(&line, &loader, reterr);
    if (status == ROAN_OK && startup->config.logfile[0] != '\0' && !can_append(startup->config.logfile))
        status = roan_error_set_errno(reterr, errno, "'logfile %s'", startup->config.logfile);
    if (status == ROAN_OK)
        roan_config_remarks(&startup->config, keep_remark, startup);
    return status;
}

void roan_startup_done(roan_startup *startup)
{
    roan_config_done(&startup->config);
    roan_text_free(startup->config_path);
    roan_buffer_done(&startup->remarks);
    *startup = (roan_startup){0};
}

const char *roan_startup_remark(const roan_startup *startup, const char *previous)
{
    const char *next = previous == NULL ? startup->remarks.data : previous + strlen(previous) + 1;
    size_t offset = next == NULL ? 0 : (size_t)(next - startup->remarks.data);
    return offset < startup->remarks.bytes ? next : NULL;
}
