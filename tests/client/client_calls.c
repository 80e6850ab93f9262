/* What the client makes of calls, for tests/client/calls.py.
 *
 *     client-calls samples    prints one call of every encoder, with few and with many arguments
 *     client-calls keys       reads calls and prints where their keys are
 *
 * A call is a line of words in hexadecimal, separated by spaces; "-" is the empty word. Where keys are: positions
 * separated by spaces after "keys", or "?".
 */
#include "base/macros.h"
#include "client/command_traits.h"
#include "roan/client_commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 65536
#define WORDS_MAX 4096

static void print_call(const char *name, const roan_words *words)
{
    if (words->status != ROAN_OK) {
        fprintf(stderr, "%s: %s\n", name, words->problem);
        exit(1);
    }
    for (size_t i = 0; i < words->count; i++) {
        printf(i > 0 ? " " : "");
        if (words->words[i].bytes == 0)
            printf("-");
        for (size_t at = 0; at < words->words[i].bytes; at++)
            printf("%02x", (unsigned char)words->words[i].data[at]);
    }
    printf("\n");
}

#define S(text) ROAN_LITERAL(text)
#define SAMPLE(name, arity, encode)                 \
    {                                               \
        roan_words sample_words;                    \
        roan_words *words = &sample_words;          \
        roan_words_init(words);                     \
        encode;                                     \
        print_call(name, words);                    \
        roan_words_done(words);                     \
    }

static void print_samples(void)
{
#include "client/command_samples.inc"
}

/* Decodes a line in place. */
static size_t read_call(char *line, roan_slice *argv)
{
    size_t argc = 0;
    char *save = NULL;

    for (char *word = strtok_r(line, " \n", &save); word != NULL; word = strtok_r(NULL, " \n", &save)) {
        size_t bytes = word[0] == '-' ? 0 : strlen(word) / 2;
        for (size_t i = 0; i < bytes; i++) {
            char digits[3] = {word[2 * i], word[2 * i + 1], '\0'};
            word[i] = (char)strtoul(digits, NULL, 16);
        }
        if (argc == WORDS_MAX)
            exit(1);
        argv[argc++] = roan_slice_make(word, bytes);
    }
    return argc;
}

static void answer_keys(void)
{
    static char line[LINE_MAX_BYTES];
    static roan_slice argv[WORDS_MAX];
    static unsigned positions[WORDS_MAX];

    while (fgets(line, sizeof line, stdin) != NULL) {
        size_t argc = read_call(line, argv);
        const roan_command_traits *traits = roan_command_traits_find(argc, argv);
        size_t count = roan_command_key_positions(traits, argc, argv, positions, WORDS_MAX);
        printf(count == SIZE_MAX ? "?" : "keys");
        for (size_t i = 0; count != SIZE_MAX && i < count; i++)
            printf(" %u", positions[i]);
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "samples") == 0)
        print_samples();
    else if (argc == 2 && strcmp(argv[1], "keys") == 0)
        answer_keys();
    else
        return 2;
    return 0;
}
