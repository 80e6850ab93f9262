/* test_stream.c: ids of streams as text, and what the commands of streams leave to replicas and logs.
 *
 * Promises: ids read back as they were written; an effect names the id that was chosen and trims exactly; reading in
 * a group becomes XCLAIM and XGROUP SETID; whoever repeats the effects has the same entries, groups and pending
 * entries, whatever its limits of nodes are. */
#include "engine_harness.h"

#include "base/random.h"
#include "types/stream_id.h"

#define EFFECTS_MAX 64
#define EFFECT_BYTES_MAX 300
#define MIRROR_STEPS 4000

typedef struct recorder {
    size_t count;
    char text[EFFECTS_MAX][EFFECT_BYTES_MAX];
} recorder;

static void record(void *context, unsigned db, size_t argc, const roan_slice *argv)
{
    (void)db;
    recorder *r = context;
    if (roan_slice_is(argv[0], "MULTI") || roan_slice_is(argv[0], "EXEC"))
        return; /* the frame of several */
    assert_true(r->count < EFFECTS_MAX);
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

/* ---- ids ---- */

static void ids_read_back_as_they_were_written(void **state)
{
    (void)state;
    roan_random random;
    roan_random_seed(&random, 7);
    for (int i = 0; i < 2000; i++) {
        roan_stream_id id = {roan_random_next(&random) >> (i % 64), roan_random_next(&random) >> (i / 7 % 64)}, back;
        char text[ROAN_STREAM_ID_TEXT_MAX];
        size_t bytes = roan_stream_id_format(text, id);
        assert_true(bytes <= sizeof text);
        assert_true(roan_stream_id_parse(roan_slice_make(text, bytes), 99, &back, NULL));
        assert_true(roan_stream_id_is_equal(id, back));
        assert_int_equal(roan_stream_id_step_up(&back), !roan_stream_id_is_equal(id, ROAN_STREAM_ID_MAX));
        assert_true(roan_stream_id_is_less(id, back));
        assert_true(roan_stream_id_step_down(&back));
        assert_true(roan_stream_id_is_equal(id, back));
    }
}

static void odd_ids_are_read_as_in_the_reference(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool is_valid;
        roan_stream_id id;
    } cases[] = {
        {"5", true, {5, 9}},
        {"5-", false, {0, 0}},
        {"-5", false, {0, 0}},
        {"5-0", true, {5, 0}},
        {"", false, {0, 0}},
        {"05-007", true, {5, 7}},
        {"+5-1", true, {5, 1}},
        {" 5", true, {5, 9}},
        {"5 ", false, {0, 0}},
        {"5-x", false, {0, 0}},
        {"5--1", false, {0, 0}},
        {"18446744073709551615-18446744073709551615", true, {UINT64_MAX, UINT64_MAX}},
        {"18446744073709551616", false, {0, 0}},
        {"5-*", false, {0, 0}},
        {"*", false, {0, 0}},
        {"-", false, {0, 0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        roan_stream_id id;
        assert_int_equal(roan_stream_id_parse(roan_slice_from_text(cases[i].text), 9, &id, NULL), cases[i].is_valid);
        assert_true(!cases[i].is_valid || roan_stream_id_is_equal(id, cases[i].id));
    }
    roan_stream_id id;
    bool is_partial;
    assert_true(roan_stream_id_parse(ROAN_LITERAL("5-*"), 9, &id, &is_partial) && is_partial && id.ms == 5);
    assert_true(roan_stream_id_parse(ROAN_LITERAL("5-1"), 9, &id, &is_partial) && !is_partial);
    assert_true(roan_stream_id_parse(ROAN_LITERAL("5-1\0x"), 9, &id, &is_partial) && id.seq == 1);
}

/* ---- effects ---- */

static void adding_names_the_id_and_trims_exactly(void **state)
{
    (void)state;
    harness h;
    recorder r;
    open_recorded(&h, &r);
    harness_run(&h, "CONFIG", "SET", "stream-node-max-entries", "2");
    harness_run(&h, "XADD", "s", "1-1", "a", "1");
    harness_run(&h, "XADD", "s", "1-*", "a", "1");
    harness_run(&h, "XADD", "s", "*", "a", "1");
    harness_run(&h, "XADD", "s", "NOMKSTREAM", "*", "a", "1");
    assert_effects(&r, "XADD s 1-1 a 1", "XADD s 1-2 a 1", "XADD s 1700000000000-0 a 1",
                   "XADD s NOMKSTREAM 1700000000000-1 a 1");
    harness_run(&h, "XADD", "s", "MAXLEN", "~", "3", "LIMIT", "5", "*", "a", "1");
    harness_run(&h, "XADD", "s", "minid", "~", "2", "1700000000001-7", "a", "1");
    harness_run(&h, "XADD", "s", "MAXLEN", "2", "1700000000001-8", "a", "1");
    assert_effects(&r, "XADD s MAXLEN = 3 1700000000000-2 a 1", "XADD s MINID = 1700000000000-0 1700000000001-7 a 1",
                   "XADD s MAXLEN 2 1700000000001-8 a 1");
    harness_run(&h, "XADD", "none", "NOMKSTREAM", "*", "a", "1");
    harness_run(&h, "XADD", "s", "1-1", "a", "1");
    harness_run(&h, "XTRIM", "s", "MAXLEN", "~", "2", "LIMIT", "1");
    harness_run(&h, "XTRIM", "s", "MAXLEN", "2");
    harness_run(&h, "XDEL", "s", "7-7");
    assert_int_equal(r.count, 0);
    harness_run(&h, "XADD", "s", "9999999999999-1", "a", "1");
    harness_run(&h, "XTRIM", "s", "MAXLEN", "~", "1", "LIMIT", "100");
    harness_run(&h, "XTRIM", "s", "MAXLEN", "0");
    harness_run(&h, "XSETID", "s", "9999999999999-5");
    assert_effects(&r, "XADD s 9999999999999-1 a 1", "XTRIM s MAXLEN = 2", "XTRIM s MAXLEN 0",
                   "XSETID s 9999999999999-5");
    harness_close(&h);
}

static void reading_in_a_group_becomes_claims(void **state)
{
    (void)state;
    harness h;
    recorder r;
    open_recorded(&h, &r);
    harness_run(&h, "XADD", "s", "1-1", "a", "1");
    harness_run(&h, "XADD", "s", "1-2", "a", "2");
    harness_run(&h, "XADD", "s", "1-3", "a", "3");
    harness_run(&h, "XGROUP", "CREATE", "s", "g", "0");
    r.count = 0;
    harness_run(&h, "XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "s", ">");
    assert_effects(&r, "XCLAIM s g c 0 1-1 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID LASTID 1-1",
                   "XGROUP SETID s g 1-1 ENTRIESREAD 1");
    harness_run(&h, "XREADGROUP", "GROUP", "g", "n", "NOACK", "COUNT", "1", "STREAMS", "s", ">");
    assert_effects(&r, "XGROUP CREATECONSUMER s g n", "XGROUP SETID s g 1-2 ENTRIESREAD 2");
    harness_run(&h, "XREADGROUP", "GROUP", "g", "c", "STREAMS", "s", "0");
    harness_run(&h, "XACK", "s", "g", "9-9");
    harness_run(&h, "XCLAIM", "s", "g", "d", "100000", "1-1");
    assert_int_equal(r.count, 0);
    harness_run(&h, "XCLAIM", "s", "g", "d", "0", "1-1", "1-2", "FORCE", "TIME", "5000", "RETRYCOUNT", "3");
    assert_effects(&r, "XCLAIM s g d 0 1-1 TIME 5000 RETRYCOUNT 3 FORCE JUSTID LASTID 1-2",
                   "XCLAIM s g d 0 1-2 TIME 5000 RETRYCOUNT 3 FORCE JUSTID LASTID 1-2");
    harness_run(&h, "XCLAIM", "s", "g", "d", "0", "7-7", "LASTID", "1-3");
    assert_effects(&r, "XGROUP SETID s g 1-3 ENTRIESREAD 2");
    harness_run(&h, "XDEL", "s", "1-1");
    harness_run(&h, "XAUTOCLAIM", "s", "g", "e", "0", "0", "JUSTID");
    assert_effects(&r, "XDEL s 1-1", "XCLAIM s g d 0 1-1 TIME 5000 RETRYCOUNT 3 FORCE JUSTID LASTID 1-3",
                   "XCLAIM s g e 0 1-2 TIME 1700000000000 RETRYCOUNT 3 FORCE JUSTID LASTID 1-3");
    harness_run(&h, "XACK", "s", "g", "1-2");
    harness_run(&h, "XACK", "s", "g", "1-2");
    assert_effects(&r, "XACK s g 1-2");
    harness_close(&h);
}

/* ---- a mirror ---- */

static void repeat_in_mirror(void *context, unsigned db, size_t argc, const roan_slice *argv)
{
    (void)db;
    harness *mirror = context;
    const char *reply = harness_run_words(mirror, argc, argv);
    if (reply[0] == '-')
        fail_msg("%s: %.*s", reply, ROAN_SLICE_ARG(argv[0]));
}

/* Numbers behind a word do not count: replicas have consumers only once they have got something, and nodes of
 * their own. */
static void blank_behind(char *text, const char *word)
{
    while ((text = strstr(text, word)) != NULL) {
        text = strchr(text, ':');
        const char *end = strchr(text, '\r');
        memmove(text, end, strlen(end) + 1);
    }
}

static void assert_same(harness *h, harness *mirror, const char *const *words)
{
    harness_run_list(h, words);
    harness_run_list(mirror, words);
    for (size_t i = 0; i < 3; i++) {
        static const char *const blanked[] = {"consumers", "radix-tree-keys", "radix-tree-nodes"};
        blank_behind(h->reply, blanked[i]);
        blank_behind(mirror->reply, blanked[i]);
    }
    assert_string_equal(h->reply, mirror->reply);
}

#define WORDS(...) (const char *const[]){__VA_ARGS__, NULL}

static void compare(harness *h, harness *mirror)
{
    assert_same(h, mirror, WORDS("XRANGE", "s", "-", "+"));
    assert_same(h, mirror, WORDS("XPENDING", "s", "g", "-", "+", "100000"));
    assert_same(h, mirror, WORDS("XPENDING", "s", "h", "-", "+", "100000"));
    assert_same(h, mirror, WORDS("XINFO", "STREAM", "s"));
    assert_same(h, mirror, WORDS("XINFO", "GROUPS", "s"));
}

static const char *const policies[] = {"KEEPREF", "DELREF", "ACKED"};

/* ids are those of the last steps. */
static void mirror_step(harness *h, roan_random *random, unsigned age)
{
    char id[48], number[24], consumer[8];
    const char *group = roan_random_below(random, 2) == 0 ? "g" : "h", *policy = policies[roan_random_below(random, 3)];
    snprintf(id, sizeof id, "%llu-%llu",
             (unsigned long long)(h->engine->lanes[0].now_ms - (int64_t)roan_random_below(random, age + 1)),
             (unsigned long long)roan_random_below(random, 3));
    snprintf(number, sizeof number, "%u", (unsigned)roan_random_below(random, 40));
    snprintf(consumer, sizeof consumer, "c%u", (unsigned)roan_random_below(random, 4));
    switch (roan_random_below(random, 16)) {
    case 0:
        harness_run(h, "XADD", "s", policy, "MAXLEN", "~", number, "*", "a", number);
        break;
    case 1:
        harness_run(h, "XADD", "s", policy, "MINID", "~", id, "LIMIT", number, "*", "b", number);
        break;
    case 2:
        harness_run(h, "XTRIM", "s", "MAXLEN", "~", number, policy);
        break;
    case 3:
        harness_run(h, "XTRIM", "s", "MINID", id, policy);
        break;
    case 4:
        harness_run(h, "XDEL", "s", id);
        break;
    case 5:
        harness_run(h, "XDELEX", "s", policy, "IDS", "1", id);
        break;
    case 6:
        harness_run(h, "XACKDEL", "s", group, policy, "IDS", "1", id);
        break;
    case 7:
        harness_run(h, "XACK", "s", group, id);
        break;
    case 8:
        harness_run(h, "XCLAIM", "s", group, consumer, "1", id, "FORCE");
        break;
    case 9:
        harness_run(h, "XAUTOCLAIM", "s", group, consumer, "2", id, "COUNT", "2");
        break;
    case 10:
        harness_run(h, "XREADGROUP", "GROUP", group, consumer, "NOACK", "COUNT", "1", "STREAMS", "s", ">");
        break;
    case 11:
        harness_run(h, "XTRIM", "s", "MINID", "~", id, "LIMIT", number, policy);
        break;
    case 12:
        if (roan_random_below(random, 10) == 0)
            harness_run(h, "XGROUP", "DELCONSUMER", "s", group, consumer);
        break;
    case 13:
        harness_run(h, "XREADGROUP", "GROUP", group, consumer, "COUNT", "3", "STREAMS", "s", ">");
        break;
    default:
        harness_run(h, "XADD", "s", "*", "a", number);
    }
}

static void whoever_repeats_the_effects_has_the_same(void **state)
{
    (void)state;
    harness h, mirror;
    roan_random random;
    roan_random_seed(&random, 11);
    harness_open(&h, 1);
    harness_open(&mirror, 1);
    harness_run(&h, "CONFIG", "SET", "stream-node-max-entries", "5");
    harness_run(&mirror, "CONFIG", "SET", "stream-node-max-entries", "3");
    h.engine->on_effect = repeat_in_mirror;
    h.engine->effect_context = &mirror;
    harness_run(&h, "XGROUP", "CREATE", "s", "g", "0", "MKSTREAM");
    harness_run(&h, "XGROUP", "CREATE", "s", "h", "0");
    for (int i = 0; i < MIRROR_STEPS; i++) {
        mirror_step(&h, &random, (unsigned)i % 300);
        if (i % 10 == 0)
            compare(&h, &mirror);
        if (i % 300 == 0) {
            harness_run(&h, "DEL", "s");
            harness_run(&h, "XGROUP", "CREATE", "s", "g", "0", "MKSTREAM");
            harness_run(&h, "XGROUP", "CREATE", "s", "h", "0");
        }
        roan_clock_advance(&h.clock, 1000);
        roan_clock_advance(&mirror.clock, 1000);
        roan_lane_update_time(&h.engine->lanes[0]);
        roan_lane_update_time(&mirror.engine->lanes[0]);
    }
    h.engine->on_effect = NULL;
    harness_close(&h);
    harness_close(&mirror);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_read_back_as_they_were_written),
        cmocka_unit_test(odd_ids_are_read_as_in_the_reference),
        cmocka_unit_test(adding_names_the_id_and_trims_exactly),
        cmocka_unit_test(reading_in_a_group_becomes_claims),
        cmocka_unit_test(whoever_repeats_the_effects_has_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
