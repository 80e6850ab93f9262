/* roan/words.h: the words of one command, put together from typed arguments.
 *
 * The encoders of roan/client_commands.h append to a roan_words; a program uses it by itself to build commands that
 * have no function. Up to ROAN_WORDS_INLINE words and their numbers need no memory from the heap. Texts are borrowed
 * until the command is handed over; numbers are written into the object, which therefore must not be copied or moved.
 *
 * The first thing that goes wrong is remembered and reported when the command is handed over, so that nothing needs a
 * check on the way. One thread at a time.
 */
#ifndef ROAN_WORDS_H
#define ROAN_WORDS_H

#include "roan/batch.h"
#include "roan/client.h"
#include "roan/decode.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ROAN_WORDS_INLINE 16
#define ROAN_WORDS_SCRATCH_BYTES 96

typedef struct roan_words {
    size_t count;
    size_t capacity;
    roan_slice *words;
    roan_status status;    /* the first failure: ROAN_E_USAGE or ROAN_E_NOMEM */
    const char *problem;   /* what was wrong; static text */
    char *scratch;         /* room for the texts of numbers */
    size_t scratch_left;
    void *blocks;          /* scratch from the heap */
    roan_slice inline_words[ROAN_WORDS_INLINE];
    char inline_scratch[ROAN_WORDS_SCRATCH_BYTES];
} roan_words;

/* A number that may be left out: {0} is none, ROAN_SOME(5) is 5. */
typedef struct roan_maybe_integer {
    bool is_set;
    int64_t value;
} roan_maybe_integer;

typedef struct roan_maybe_double {
    bool is_set;
    double value;
} roan_maybe_double;

#define ROAN_SOME(number) {true, (number)}

static inline void roan_words_init(roan_words *words)
{
    words->count = 0;
    words->capacity = ROAN_WORDS_INLINE;
    words->words = words->inline_words;
    words->status = ROAN_OK;
    words->problem = NULL;
    words->scratch = words->inline_scratch;
    words->scratch_left = ROAN_WORDS_SCRATCH_BYTES;
    words->blocks = NULL;
}

/* Gives back what came from the heap. Done by the functions below that hand the command over. */
ROAN_API void roan_words_done(roan_words *words);

/* For the functions here: more room for words; false with the failure remembered. */
ROAN_API bool roan_words_grow(roan_words *words);

/* Appends a word. */
static inline void roan_words_add(roan_words *words, roan_slice word)
{
    if (words->count < words->capacity || roan_words_grow(words))
        words->words[words->count++] = word;
}

ROAN_API void roan_words_add_integer(roan_words *words, int64_t value);

/* Shortest text that reads back as the same number; inf, -inf, nan. */
ROAN_API void roan_words_add_double(roan_words *words, double value);

/* Appends choices[choice - 1]; ROAN_E_USAGE unless 1 <= choice <= count. */
ROAN_API void roan_words_add_choice(roan_words *words, unsigned choice, const roan_slice *choices, unsigned count);

/* Copies an options struct, which begins with its size_t size, into *ret_options of `bytes` bytes, zeroes behind it.
 * NULL is all zeroes. ROAN_E_USAGE when the size is not set, or when fields that this library does not know are set. */
ROAN_API void roan_words_read_options(roan_words *words, void *ret_options, size_t bytes, const void *options);

/* Remembers a failure, unless there is one; `problem` must be static. */
ROAN_API void roan_words_fail(roan_words *words, roan_status status, const char *problem);

/* ---- handing it over; each of these ends the life of `words` (it may be initialised again)
 * --------------------------- */

/* As roan_do: the reply as it is. */
ROAN_API roan_status roan_words_do(roan *client, roan_words *words, roan_value **ret_reply, const roan_call *call);

/* The same with the reply decoded by roan/decode.h; outputs may be NULL, and are empty unless the result is ROAN_OK. */
ROAN_API roan_status roan_words_do_status(roan *client, roan_words *words, const roan_call *call);
ROAN_API roan_status roan_words_do_integer(roan *client, roan_words *words, int64_t *ret_integer,
                                           const roan_call *call);
ROAN_API roan_status roan_words_do_bool(roan *client, roan_words *words, bool *ret_bool, const roan_call *call);
ROAN_API roan_status roan_words_do_double(roan *client, roan_words *words, double *ret_double, const roan_call *call);
ROAN_API roan_status roan_words_do_bytes(roan *client, roan_words *words, roan_bytes *ret_bytes, const roan_call *call);
ROAN_API roan_status roan_words_do_time(roan *client, roan_words *words, roan_time_of_day *ret_time,
                                        const roan_call *call);

/* SET: a status leaves *ret_old empty, the old value (GET) fills it. */
ROAN_API roan_status roan_words_do_old(roan *client, roan_words *words, roan_bytes *ret_old, const roan_call *call);

/* Copies the text into buffer[0..capacity) and sets *ret_bytes to its length. When that is more than `capacity`, the
 * first `capacity` bytes are there and the result is ROAN_E_INVALID. Not terminated. */
ROAN_API roan_status roan_words_do_into(roan *client, roan_words *words, char *buffer, size_t capacity,
                                        size_t *ret_bytes, const roan_call *call);

/* As roan_go. */
ROAN_API roan_future *roan_words_go(roan *client, roan_words *words, const roan_call *call);

/* As roan_batch_add. */
ROAN_API void roan_words_batch(roan_batch *batch, roan_words *words);

#ifdef __cplusplus
}
#endif
#endif
