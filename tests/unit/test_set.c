/* test_set.c: what the commands of sets leave to replicas and logs.
 *
 * Promises: a command that changes nothing has no effect; SPOP becomes SREM of what went, in parts of at most 1024
 * members, or DEL or UNLINK of the key; all others repeat as they are. */
#include "engine_harness.h"

#define EFFECTS_MAX 64
#define EFFECT_BYTES_MAX 300

typedef struct recorder {
    size_t count;
    size_t argc[EFFECTS_MAX];
    char text[EFFECTS_MAX][EFFECT_BYTES_MAX]; /* the first words */
} recorder;

static void record(void *context, unsigned db, size_t argc, const roan_slice *argv)
{
    (void)db;
    recorder *r = context;
    if (roan_slice_is(argv[0], "MULTI") || roan_slice_is(argv[0], "EXEC"))
        return; /* the frame of several */
    assert_true(r->count < EFFECTS_MAX);
    r->argc[r->count] = argc;
    size_t at = 0;
    for (size_t i = 0; i < argc && at + argv[i].bytes + 2 < EFFECT_BYTES_MAX; i++)
        at += (size_t)snprintf(r->text[r->count] + at, EFFECT_BYTES_MAX - at, "%s%.*s", i > 0 ? " " : "",
                               ROAN_SLICE_ARG(argv[i]));
    r->count++;
}

static void open_recorded(harness *h, recorder *r)
{
    harness_open(h, 1);
    *r = (recorder){0};
    h->engine->on_effect = record;
    h->engine->effect_context = r;
}

#define assert_effects(r, ...) check_effects((r), (const char *const[]){__VA_ARGS__, NULL})

static void check_effects(recorder *r, const char *const *expected)
{
    size_t count = 0;
    for (; expected[count] != NULL; count++) {
        assert_true(count < r->count);
        assert_string_equal(r->text[count], expected[count]);
    }
    assert_int_equal(r->count, count);
    r->count = 0;
}

static void fill(harness *h, const char *key, int count)
{
    char member[32];
    for (int i = 0; i < count; i++) {
        snprintf(member, sizeof member, "member:%d", i);
        harness_run(h, "SADD", key, member);
    }
}

static void changes_are_repeated_and_nothing_else(void **state)
{
    (void)state;
    harness h;
    recorder r;
    open_recorded(&h, &r);
    harness_run(&h, "SADD", "s", "a", "b", "c");
    assert_effects(&r, "SADD s a b c");
    harness_run(&h, "SADD", "s", "a");
    harness_run(&h, "SREM", "s", "x");
    harness_run(&h, "SMOVE", "s", "t", "x");
    harness_run(&h, "SMOVE", "s", "s", "a");
    harness_run(&h, "SPOP", "s", "0");
    harness_run(&h, "SPOP", "nosuch");
    harness_run(&h, "SPOP", "nosuch", "3");
    harness_run(&h, "SINTERSTORE", "d", "nosuch");
    harness_run(&h, "SRANDMEMBER", "s", "2");
    assert_int_equal(r.count, 0);
    harness_run(&h, "SREM", "s", "a", "x");
    harness_run(&h, "SMOVE", "s", "t", "b");
    harness_run(&h, "SUNIONSTORE", "d", "s", "t");
    harness_run(&h, "SDIFFSTORE", "d", "s", "s");
    assert_effects(&r, "SREM s a x", "SMOVE s t b", "SUNIONSTORE d s t", "SDIFFSTORE d s s");
    harness_close(&h);
}

static void spop_becomes_srem_of_what_went(void **state)
{
    (void)state;
    harness h;
    recorder r;
    open_recorded(&h, &r);
    harness_run(&h, "SADD", "s", "7");
    r.count = 0;
    harness_run(&h, "SPOP", "s");
    assert_effects(&r, "SREM s 7");
    harness_run(&h, "SADD", "s", "x", "y");
    r.count = 0;
    const char *reply = harness_run(&h, "SPOP", "s", "1");
    assert_string_equal(reply, strcmp(r.text[0], "SREM s x") == 0 ? "*1\r\n$1\r\nx\r\n" : "*1\r\n$1\r\ny\r\n");
    assert_int_equal(r.count, 1);
    assert_int_equal(r.argc[0], 3);
    harness_close(&h);
}

static void spop_of_everything_deletes(void **state)
{
    (void)state;
    harness h;
    recorder r;
    open_recorded(&h, &r);
    harness_run(&h, "SADD", "s", "x", "y");
    r.count = 0;
    harness_run(&h, "CONFIG", "SET", "lazyfree-lazy-server-del", "no");
    harness_run(&h, "SPOP", "s", "2");
    assert_effects(&r, "DEL s");
    harness_run(&h, "CONFIG", "SET", "lazyfree-lazy-server-del", "yes");
    harness_run(&h, "SADD", "s", "x", "y");
    r.count = 0;
    harness_run(&h, "SPOP", "s", "200");
    assert_effects(&r, "UNLINK s");
    assert_int_equal(harness_integer(&h, "EXISTS", "s"), 0);
    harness_close(&h);
}

/* One by one, and by parting the set in two. */
static void spop_of_many_is_told_in_parts(void **state)
{
    (void)state;
    static const struct {
        const char *count;
        size_t argc[3], effects;
    } cases[] = {{"1024", {1026}, 1}, {"1025", {1026, 3}, 2}, {"2500", {1026, 1026, 454}, 3}, {"10", {12}, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        harness h;
        recorder r;
        open_recorded(&h, &r);
        h.engine->on_effect = NULL;
        fill(&h, "s", 2600);
        h.engine->on_effect = record;
        harness_run(&h, "SPOP", "s", cases[i].count);
        assert_int_equal(r.count, cases[i].effects);
        for (size_t j = 0; j < r.count; j++) {
            assert_int_equal(r.argc[j], cases[i].argc[j]);
            assert_int_equal(strncmp(r.text[j], "SREM s member:", 14), 0);
        }
        assert_int_equal(harness_integer(&h, "SCARD", "s"), 2600 - atoi(cases[i].count));
        harness_close(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_repeated_and_nothing_else),
        cmocka_unit_test(spop_becomes_srem_of_what_went),
        cmocka_unit_test(spop_of_everything_deletes),
        cmocka_unit_test(spop_of_many_is_told_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
