/* cli/bench_tests.c: the built-in tests as rows.
 *
 * Names, titles, keys and shapes are those of redis-benchmark, so that results can be set side by
 * side; they run in this order. A row that others need (the list that LRANGE reads) carries their
 * names too. __rand_int__ becomes a number when -r is given, __data__ becomes a value of -d bytes.
 * Of a word with a bar, the part before it is sent without -r and the part behind it with -r. */
#include "cli/bench_tests.h"

#include <string.h>
#include <strings.h>

#define PAIR " key:__rand_int__ __data__"
#define KEY " key:__rand_int__"
#define TEN_TIMES(x) x x x x x x x x x x

#define USUAL ROAN_BENCH_TEST_USUAL
#define INLINE ROAN_BENCH_TEST_INLINE
#define EXTRA ROAN_BENCH_TEST_EXTRA

static const roan_bench_test TESTS[] = {
    {"ping_inline ping", "PING_INLINE", "PING", INLINE},
    {"ping_mbulk ping", "PING_MBULK", "PING", USUAL},
    {"set", "SET", "SET" PAIR, USUAL},
    {"get", "GET", "GET" KEY, USUAL},
    {"incr", "INCR", "INCR counter:__rand_int__", USUAL},
    {"lpush", "LPUSH", "LPUSH mylist __data__", USUAL},
    {"rpush", "RPUSH", "RPUSH mylist __data__", USUAL},
    {"lpop", "LPOP", "LPOP mylist", USUAL},
    {"rpop", "RPOP", "RPOP mylist", USUAL},
    {"sadd", "SADD", "SADD myset element:__rand_int__", USUAL},
    {"hset", "HSET", "HSET myhash element:__rand_int__ __data__", USUAL},
    {"spop", "SPOP", "SPOP myset", USUAL},
    {"zadd", "ZADD", "ZADD myzset 0|__rand_int__ element:__rand_int__", USUAL},
    {"zpopmin", "ZPOPMIN", "ZPOPMIN myzset", USUAL},
    {"lrange lrange_100 lrange_300 lrange_500 lrange_600", "LPUSH (needed to benchmark LRANGE)",
     "LPUSH mylist __data__", USUAL},
    {"lrange_100 lrange", "LRANGE_100 (first 100 elements)", "LRANGE mylist 0 99", USUAL},
    {"lrange_300 lrange", "LRANGE_300 (first 300 elements)", "LRANGE mylist 0 299", USUAL},
    {"lrange_500 lrange", "LRANGE_500 (first 500 elements)", "LRANGE mylist 0 499", USUAL},
    {"lrange_600 lrange", "LRANGE_600 (first 600 elements)", "LRANGE mylist 0 599", USUAL},
    {"mset", "MSET (10 keys)", "MSET" TEN_TIMES(PAIR), USUAL},
    {"mget", "MGET (10 keys)", "MGET" TEN_TIMES(KEY), EXTRA},
    {"xadd", "XADD", "XADD mystream * myfield __data__", USUAL},
};
#define TEST_COUNT (sizeof TESTS / sizeof TESTS[0])

const roan_bench_test *roan_bench_tests(size_t *ret_count)
{
    *ret_count = TEST_COUNT;
    return TESTS;
}

/* Takes the next word of a list; false at its end. Empty words are skipped. */
static bool next_word(const char **list, char separator, roan_slice *word)
{
    const char *at = *list;

    while (*at == separator)
        at++;
    if (*at == '\0')
        return false;
    word->data = at;
    while (*at != '\0' && *at != separator)
        at++;
    word->bytes = (size_t)(at - word->data);
    *list = at;
    return true;
}

static bool has_name(const roan_bench_test *test, roan_slice name)
{
    const char *names = test->names;
    roan_slice word;

    while (next_word(&names, ' ', &word))
        if (word.bytes == name.bytes && strncasecmp(word.data, name.data, name.bytes) == 0)
            return true;
    return false;
}

bool roan_bench_test_is_selected(const roan_bench_test *test, const char *selection)
{
    roan_slice name;

    if (selection == NULL)
        return test->kind != ROAN_BENCH_TEST_EXTRA;
    while (next_word(&selection, ',', &name))
        if (has_name(test, name))
            return true;
    return false;
}

static bool is_known(roan_slice name)
{
    for (size_t i = 0; i < TEST_COUNT; i++)
        if (has_name(&TESTS[i], name))
            return true;
    return false;
}

roan_status roan_bench_tests_check(const char *selection, roan_error *reterr)
{
    roan_slice name;

    while (selection != NULL && next_word(&selection, ',', &name))
        if (!is_known(name))
            return roan_error_set(reterr, ROAN_E_INVALID, "-t: there is no test '%.*s'",
                                  ROAN_SLICE_ARG(name));
    return ROAN_OK;
}
