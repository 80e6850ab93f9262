/* main.c: the program `roan`: finds the part that is meant and hands over.
 *
 * A part is one row: `roan server ...` runs it, and so does the program under the row's own name (a link called
 * roan-server), so that scripts written for separate programs keep working. A part gets argv from its own name on;
 * argv[0] is what it should call itself in messages. Without arguments the program says what it can do.
 */
#include "cli/bench.h"
#include "cli/cli.h"
#include "roan/server.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef struct part {
    const char *name;    /* first word after `roan` */
    const char *alias;   /* name of a link that starts it directly, or NULL */
    const char *title;   /* argv[0] for the part */
    const char *summary; /* one line of the overview */
    int (*run)(int argc, char **argv);
} part;

static int run_help(int argc, char **argv);
static int run_version(int argc, char **argv);

static const part parts[] = {
    {"server", "roan-server", "roan server", "serve data; reads redis.conf files and their options", roan_server_main},
    {"cli", "roan-cli", "roan cli", "send commands: one from the command line, or many interactively", roan_cli_main},
    {"bench", "roan-benchmark", "roan bench", "put load on a server and report speed and latency", roan_bench_main},
    {"help", NULL, "roan help", "explain a part: roan help server", run_help},
    {"version", NULL, "roan version", "say which version this is", run_version},
};
#define PART_COUNT (sizeof parts / sizeof parts[0])

/* Other spellings people try first. */
static const char *const spellings[][2] = {
    {"-h", "help"}, {"--help", "help"}, {"-v", "version"}, {"--version", "version"}, {"benchmark", "bench"},
};
#define SPELLING_COUNT (sizeof spellings / sizeof spellings[0])

static const part *find_part(const char *word)
{
    for (size_t i = 0; i < SPELLING_COUNT; i++)
        if (strcmp(word, spellings[i][0]) == 0)
            word = spellings[i][1];
    for (size_t i = 0; i < PART_COUNT; i++)
        if (strcmp(word, parts[i].name) == 0)
            return &parts[i];
    return NULL;
}

/* The part whose link name ends argv[0], as in /usr/local/bin/roan-cli. */
static const part *find_part_alias(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash != NULL ? slash + 1 : program;
    for (size_t i = 0; i < PART_COUNT; i++)
        if (parts[i].alias != NULL && strcmp(name, parts[i].alias) == 0)
            return &parts[i];
    return NULL;
}

static void print_overview(FILE *out)
{
    fputs("roan: a Redis-compatible data server and its tools\n\n", out);
    for (size_t i = 0; i < PART_COUNT; i++)
        fprintf(out, "  roan %-8s %s\n", parts[i].name, parts[i].summary);
    fputs("\nA first session:\n\n"
          "  roan server                    in one terminal; listens on port 6379\n"
          "  roan cli SET greeting hello    in another\n"
          "  roan cli GET greeting\n",
          out);
}

static int run_help(int argc, char **argv)
{
    if (argc < 2) {
        print_overview(stdout);
        return 0;
    }
    const part *about = find_part(argv[1]);
    if (about == NULL) {
        fprintf(stderr, "roan help: there is no part called '%s'\n", argv[1]);
        return 1;
    }
    if (about->alias == NULL) {
        printf("roan %s: %s\n", about->name, about->summary);
        return 0;
    }
    char title[32], flag[] = "--help";
    snprintf(title, sizeof title, "%s", about->title);
    char *help_argv[] = {title, flag, NULL};
    return about->run(2, help_argv);
}

static int run_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    puts("roan " ROAN_VERSION);
    return 0;
}

/* Runs `chosen` with argv[0] replaced by its title. */
static int run_part(const part *chosen, int argc, char **argv)
{
    char title[32];
    snprintf(title, sizeof title, "%s", chosen->title);
    argv[0] = title;
    return chosen->run(argc, argv);
}

int main(int argc, char **argv)
{
    const part *chosen = argc > 0 ? find_part_alias(argv[0]) : NULL;
    if (chosen != NULL)
        return run_part(chosen, argc, argv);
    if (argc < 2) {
        print_overview(stdout);
        return 0;
    }
    chosen = find_part(argv[1]);
    if (chosen == NULL) {
        fprintf(stderr, "roan: there is no part called '%s'; `roan` alone lists them\n", argv[1]);
        return 1;
    }
    return run_part(chosen, argc - 1, argv + 1);
}
