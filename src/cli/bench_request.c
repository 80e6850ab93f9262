/* cli/bench_request.c: building a unit of requests, and patching numbers into copies of it.
 *
 * A unit is assembled once per test. Where a placeholder stood, the bytes hold twelve zeros and
 * `places` remembers the offset; a thread keeps -P copies of the unit in one buffer and, before
 * each send, only rewrites the digits that can change (six of twelve for -r 1000000). Nothing is
 * formatted, measured or allocated per request. */
#include "cli/bench_request.h"

#include "roan/resp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const PLACEHOLDERS[ROAN_BENCH_NUMBER_KINDS] = {
    "__rand_int__", "__rand_1st__", "__rand_2nd__", "__rand_3rd__", "__rand_4th__",
    "__rand_5th__", "__rand_6th__", "__rand_7th__", "__rand_8th__", "__rand_9th__",
};
#define ZEROS "000000000000"
#define REQUEST_BYTES_MAX ((size_t)2 << 30)
#define WORDS_MAX 64 /* of a built-in test */
#define PAIRS_MAX (ROAN_BENCH_NUMBER_BYTES / 2)

_Static_assert(sizeof ZEROS - 1 == ROAN_BENCH_NUMBER_BYTES, "a placeholder is as long as a number");

static roan_status append_place(roan_bench_request *request, size_t offset, unsigned kind)
{
    roan_bench_place *places = request->places;

    /* Grown by doubling: the capacity is the next power of two of the count. */
    if ((request->places_count & (request->places_count - 1)) == 0) {
        size_t capacity = request->places_count == 0 ? 1 : request->places_count * 2;
        places = realloc(places, capacity * sizeof *places);
        if (places == NULL)
            return ROAN_E_NOMEM;
        request->places = places;
    }
    places[request->places_count++] = (roan_bench_place){.offset = offset, .kind = kind};
    request->places_of_kind[kind]++;
    return ROAN_OK;
}

/* Turns the placeholders from offset `from` to the end into zeros and remembers them. */
static roan_status collect_places(roan_bench_request *request, size_t from)
{
    char *end = request->bytes + request->bytes_count;
    char *at = request->bytes + from;

    while ((at = memmem(at, (size_t)(end - at), "__rand_", 7)) != NULL) {
        unsigned kind = 0;
        if (end - at < ROAN_BENCH_NUMBER_BYTES)
            break;
        while (kind < ROAN_BENCH_NUMBER_KINDS &&
               memcmp(at, PLACEHOLDERS[kind], ROAN_BENCH_NUMBER_BYTES) != 0)
            kind++;
        if (kind == ROAN_BENCH_NUMBER_KINDS) {
            at++;
            continue;
        }
        if (append_place(request, (size_t)(at - request->bytes), kind) != ROAN_OK)
            return ROAN_E_NOMEM;
        memcpy(at, ZEROS, ROAN_BENCH_NUMBER_BYTES);
        at += ROAN_BENCH_NUMBER_BYTES;
    }
    return ROAN_OK;
}

static roan_status append_bytes(roan_bench_request *request, const char *data, size_t bytes)
{
    char *grown;

    if (bytes > REQUEST_BYTES_MAX - request->bytes_count)
        return ROAN_E_NOMEM;
    grown = realloc(request->bytes, request->bytes_count + bytes);
    if (grown == NULL)
        return ROAN_E_NOMEM;
    memcpy(grown + request->bytes_count, data, bytes);
    request->bytes = grown;
    request->bytes_count += bytes;
    return ROAN_OK;
}

roan_status roan_bench_request_add_line(roan_bench_request *request, roan_slice line)
{
    roan_status status = append_bytes(request, line.data, line.bytes);

    if (status == ROAN_OK)
        status = append_bytes(request, "\r\n", 2);
    if (status == ROAN_OK)
        request->replies++;
    return status;
}

/* A copy of `word` with every __data__ replaced; ret_copy is to be freed. */
static roan_status expand_data(roan_slice word, roan_slice data, char **ret_copy,
                               roan_slice *ret_word)
{
    static const char mark[] = "__data__";
    const size_t mark_bytes = sizeof mark - 1;
    const char *from = word.data;
    const char *end = word.data + word.bytes;
    const char *found;
    size_t marks = 0;
    char *to;

    for (found = from; (found = memmem(found, (size_t)(end - found), mark, mark_bytes)) != NULL;
         found += mark_bytes)
        marks++;
    if (word.bytes > REQUEST_BYTES_MAX || marks * data.bytes > REQUEST_BYTES_MAX)
        return ROAN_E_NOMEM;
    to = *ret_copy = malloc(word.bytes + marks * data.bytes + 1);
    if (to == NULL)
        return ROAN_E_NOMEM;
    while ((found = memmem(from, (size_t)(end - from), mark, mark_bytes)) != NULL) {
        memcpy(to, from, (size_t)(found - from));
        to += found - from;
        memcpy(to, data.data, data.bytes);
        to += data.bytes;
        from = found + mark_bytes;
    }
    memcpy(to, from, (size_t)(end - from));
    to += end - from;
    *ret_word = roan_slice_make(*ret_copy, (size_t)(to - *ret_copy));
    return ROAN_OK;
}

/* Appends one request whose words may hold placeholders. */
static roan_status add_request(roan_bench_request *request, size_t count, const roan_slice *words,
                               const roan_bench_shape *shape)
{
    roan_request_buffer encoded = {0};
    roan_slice *expanded = calloc(count, sizeof *expanded);
    char **copies = calloc(count, sizeof *copies);
    size_t from = request->bytes_count;
    roan_status status = expanded == NULL || copies == NULL ? ROAN_E_NOMEM : ROAN_OK;

    for (size_t i = 0; status == ROAN_OK && i < count; i++)
        status = expand_data(words[i], shape->data, &copies[i], &expanded[i]);
    if (status == ROAN_OK)
        status = roan_request_append(&encoded, count, expanded);
    if (status == ROAN_OK)
        status = append_bytes(request, encoded.data, encoded.bytes);
    if (status == ROAN_OK && shape->has_numbers)
        status = collect_places(request, from);
    if (status == ROAN_OK)
        request->replies++;
    for (size_t i = 0; copies != NULL && i < count; i++)
        free(copies[i]);
    free(copies);
    free(expanded);
    roan_request_buffer_done(&encoded);
    return status;
}

roan_status roan_bench_request_add_text(roan_bench_request *request, const char *words,
                                        const roan_bench_shape *shape)
{
    roan_slice list[WORDS_MAX];
    size_t count = 0;

    while (*words != '\0') {
        size_t bytes = strcspn(words, " ");
        size_t before_bar = strcspn(words, " |");
        assert(count < WORDS_MAX);
        list[count] = roan_slice_make(words, bytes);
        if (before_bar < bytes)
            list[count] = shape->has_numbers ? roan_slice_make(words + before_bar + 1,
                                                               bytes - before_bar - 1)
                                             : roan_slice_make(words, before_bar);
        count++;
        words += bytes + (words[bytes] == ' ');
    }
    return add_request(request, count, list, shape);
}

/* A repeat count in front of a request: digits only, from 1 to 9 digits, and a word behind it. */
static unsigned long leading_repeat(size_t count, const roan_slice *words)
{
    unsigned long repeat = 0;

    if (count < 2 || words[0].bytes == 0 || words[0].bytes > 9)
        return 0;
    for (size_t i = 0; i < words[0].bytes; i++) {
        if (words[0].data[i] < '0' || words[0].data[i] > '9')
            return 0;
        repeat = repeat * 10 + (unsigned long)(words[0].data[i] - '0');
    }
    return repeat;
}

roan_status roan_bench_request_add_words(roan_bench_request *request, size_t count,
                                         const roan_slice *words, const roan_bench_shape *shape,
                                         roan_error *reterr)
{
    size_t start = 0;

    for (size_t i = 0; i <= count; i++) {
        unsigned long repeat;
        if (i < count && !(words[i].bytes == 1 && words[i].data[0] == ';'))
            continue;
        if (i == start) {
            if (i == count && request->replies > 0)
                break; /* a ';' at the end separates nothing */
            return roan_error_set(reterr, ROAN_E_INVALID, "a command of the sequence is empty");
        }
        repeat = leading_repeat(i - start, words + start);
        if (repeat > 0)
            start++;
        else
            repeat = 1;
        for (; repeat > 0; repeat--)
            if (add_request(request, i - start, words + start, shape) != ROAN_OK)
                return roan_error_set(reterr, ROAN_E_NOMEM, "the command is too large");
        start = i + 1;
    }
    return ROAN_OK;
}

void roan_bench_request_done(roan_bench_request *request)
{
    free(request->bytes);
    free(request->places);
    *request = (roan_bench_request){0};
}

/* Sebastiano Vigna's splitmix64: one add and two multiplications, good in every bit. */
static uint64_t random_next(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9E3779B97F4A7C15);

    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

__extension__ typedef unsigned __int128 wide;

static uint64_t random_below(uint64_t *state, uint64_t limit)
{
    return (uint64_t)(((wide)random_next(state) * limit) >> 64);
}

static const char PAIRS[] =
    "0001020304050607080910111213141516171819"
    "2021222324252627282930313233343536373839"
    "4041424344454647484950515253545556575859"
    "6061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

/* Writes the last `pairs` pairs of digits in front of `end`. */
static inline void put_digits(char *end, uint64_t value, unsigned pairs)
{
    do {
        end -= 2;
        memcpy(end, PAIRS + value % 100 * 2, 2);
        value /= 100;
    } while (--pairs > 0);
}

/* How many pairs of digits numbers below `keyspace` need. */
static unsigned digit_pairs(uint64_t keyspace)
{
    unsigned pairs = 1;

    for (uint64_t limit = 100; limit < keyspace && pairs < PAIRS_MAX; limit *= 100)
        pairs++;
    return pairs;
}

static void patch_random(const roan_bench_request *request, roan_bench_numbers *numbers, char *copy,
                         size_t units)
{
    const unsigned pairs = digit_pairs(numbers->keyspace);
    const uint64_t keyspace = numbers->keyspace;
    uint64_t state = numbers->state;

    for (; units > 0; units--, copy += request->bytes_count)
        for (size_t i = 0; i < request->places_count; i++)
            put_digits(copy + request->places[i].offset + ROAN_BENCH_NUMBER_BYTES,
                       random_below(&state, keyspace), pairs);
    numbers->state = state;
}

/* Numbers that repeat within a unit, and counters. */
static void patch_any(const roan_bench_request *request, roan_bench_numbers *numbers, char *copy,
                      size_t units)
{
    const unsigned pairs = digit_pairs(numbers->keyspace);
    const uint64_t keyspace = numbers->keyspace > 0 ? numbers->keyspace : 1;
    uint64_t next[ROAN_BENCH_NUMBER_KINDS] = {0};

    for (unsigned kind = 0; numbers->counters != NULL && kind < ROAN_BENCH_NUMBER_KINDS; kind++) {
        unsigned places = request->places_of_kind[kind];
        uint64_t draws = kind == 0 ? places : places > 0;
        if (draws > 0)
            next[kind] = atomic_fetch_add_explicit(&numbers->counters[kind], draws * units,
                                                   memory_order_relaxed);
    }
    for (; units > 0; units--, copy += request->bytes_count) {
        uint64_t shared[ROAN_BENCH_NUMBER_KINDS];
        for (unsigned kind = 1; kind < ROAN_BENCH_NUMBER_KINDS; kind++)
            if (request->places_of_kind[kind] > 0)
                shared[kind] = numbers->counters != NULL ? next[kind]++ % keyspace
                                                         : random_below(&numbers->state, keyspace);
        for (size_t i = 0; i < request->places_count; i++) {
            unsigned kind = request->places[i].kind;
            uint64_t value;
            if (kind > 0)
                value = shared[kind];
            else
                value = numbers->counters != NULL ? next[0]++ % keyspace
                                                  : random_below(&numbers->state, keyspace);
            put_digits(copy + request->places[i].offset + ROAN_BENCH_NUMBER_BYTES, value, pairs);
        }
    }
}

void roan_bench_request_patch(const roan_bench_request *request, roan_bench_numbers *numbers,
                              char *copies, size_t units)
{
    if (request->places_count == 0)
        return;
    if (numbers->counters == NULL && request->places_of_kind[0] == request->places_count)
        patch_random(request, numbers, copies, units);
    else
        patch_any(request, numbers, copies, units);
}
