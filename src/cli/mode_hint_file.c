/* cli/mode_hint_file.c: --test_hint_file, checks of the hints shown while typing.
 *
 * Each line of the file holds two quoted strings, what was typed and the hint that should show; '#'
 * begins a comment. Differences are printed; the last line says FAILURE or SUCCESS with the counts.
 */
#include "cli/mode.h"

#include "cli/hint.h"
#include "cli/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Compares one pair; true when it is as expected. */
static bool check_pair(const char *typed, const char *expected)
{
    roan_cli_text hint = {0};
    bool is_good;

    roan_cli_hint(typed, &hint);
    is_good = strcmp(roan_cli_text_string(&hint), expected) == 0;
    if (!is_good)
        printf("Test case '%s' FAILED: expected '%s', got '%s'\n", typed, expected,
               roan_cli_text_string(&hint));
    roan_cli_text_done(&hint);
    return is_good;
}

int roan_cli_mode_hint_file(roan_cli_session *session)
{
    FILE *file = fopen(session->options->file, "r");
    char *line = NULL;
    size_t capacity = 0;
    int passed = 0;
    int failed = 0;

    if (file == NULL) {
        fprintf(stderr, "Can't open file '%s': %s\n", session->options->file, strerror(errno));
        return 1;
    }
    while (getline(&line, &capacity, file) >= 0) {
        roan_cli_words words;
        if (line[0] == '#' || !roan_cli_words_split(line, &words))
            continue;
        if (words.count >= 2) {
            char *typed = roan_cli_copy_slice(words.items[0]);
            char *expected = roan_cli_copy_slice(words.items[1]);
            bool is_good = check_pair(typed, expected);
            passed += is_good;
            failed += !is_good;
            free(typed);
            free(expected);
        }
        roan_cli_words_done(&words);
    }
    free(line);
    fclose(file);
    printf("%s: %d/%d passed\n", failed > 0 ? "FAILURE" : "SUCCESS", passed, passed + failed);
    return failed > 0;
}
