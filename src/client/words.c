/* client/words.c: the words of a command, gathered without the heap as long as they are few.
 *
 * Words live in the object until there are more than ROAN_WORDS_INLINE; then they move to a block that doubles. The
 * texts of numbers never move, because words point to them: scratch that is full is followed by another block, and
 * the blocks form a list. After a failure nothing is added any more.
 */
#include "roan/words.h"

#include "base/macros.h"
#include "base/number.h"

#include <stdlib.h>

#define SCRATCH_BLOCK_BYTES ((size_t)1024)
#define WORDS_MAX ((size_t)1 << 32)

typedef struct scratch_block scratch_block;
struct scratch_block {
    scratch_block *next;
    char data[];
};

void roan_words_done(roan_words *words)
{
    scratch_block *block = words->blocks;

    if (words->words != words->inline_words)
        free(words->words);
    while (block != NULL) {
        scratch_block *next = block->next;
        free(block);
        block = next;
    }
    roan_words_init(words);
}

void roan_words_fail(roan_words *words, roan_status status, const char *problem)
{
    if (words->status != ROAN_OK)
        return;
    words->status = status;
    words->problem = problem;
}

bool roan_words_grow(roan_words *words)
{
    size_t capacity = words->capacity * 2;
    bool is_inline = words->words == words->inline_words;
    roan_slice *grown = NULL;

    if (capacity <= WORDS_MAX)
        grown = realloc(is_inline ? NULL : words->words, capacity * sizeof *grown);
    if (grown == NULL) {
        roan_words_fail(words, ROAN_E_NOMEM, "out of memory for the words of a command");
        return false;
    }
    if (is_inline)
        memcpy(grown, words->inline_words, words->count * sizeof *grown);
    words->words = grown;
    words->capacity = capacity;
    return true;
}

/* Appends a word that is copied to scratch. */
static void add_copy(roan_words *words, const char *data, size_t bytes)
{
    ROAN_ASSERT(bytes <= SCRATCH_BLOCK_BYTES);
    if (words->scratch_left < bytes) {
        scratch_block *block = malloc(sizeof *block + SCRATCH_BLOCK_BYTES);
        if (block == NULL) {
            roan_words_fail(words, ROAN_E_NOMEM, "out of memory for the words of a command");
            return;
        }
        block->next = words->blocks;
        words->blocks = block;
        words->scratch = block->data;
        words->scratch_left = SCRATCH_BLOCK_BYTES;
    }
    memcpy(words->scratch, data, bytes);
    roan_words_add(words, roan_slice_make(words->scratch, bytes));
    words->scratch += bytes;
    words->scratch_left -= bytes;
}

void roan_words_add_integer(roan_words *words, int64_t value)
{
    char text[ROAN_I64_TEXT_MAX];

    add_copy(words, text, roan_format_i64(text, value));
}

void roan_words_add_double(roan_words *words, double value)
{
    char text[ROAN_DOUBLE_TEXT_MAX];

    add_copy(words, text, roan_format_double(text, value));
}

void roan_words_add_choice(roan_words *words, unsigned choice, const roan_slice *choices, unsigned count)
{
    if (choice >= 1 && choice <= count)
        roan_words_add(words, choices[choice - 1]);
    else
        roan_words_fail(words, ROAN_E_USAGE, "a choice is missing or unknown: its values begin at 1");
}

static bool is_zero(const char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != 0)
            return false;
    }
    return true;
}

void roan_words_read_options(roan_words *words, void *ret_options, size_t bytes, const void *options)
{
    size_t size;

    memset(ret_options, 0, bytes);
    if (options == NULL)
        return;
    memcpy(&size, options, sizeof size);
    if (size < sizeof size)
        roan_words_fail(words, ROAN_E_USAGE, "the size of the options is not set");
    else if (size > bytes && !is_zero((const char *)options + bytes, size - bytes))
        roan_words_fail(words, ROAN_E_USAGE, "an option is set that this version of the library does not know");
    else
        memcpy(ret_options, options, ROAN_MIN(size, bytes));
}
