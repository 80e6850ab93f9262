/* test_hash_expiry.c: fields that expire by a virtual clock, and what logs and replicas are told of changes of hashes.
 *
 * Promises: fields that are due go within a second without being asked for and take their empty hash along, others
 * stay; the times follow a hash that is renamed, copied or moved; effects are exact when repeated later elsewhere. */
#include "engine_harness.h"

#define FIELDS 20000

static void run_pieces(harness *h, char *line)
{
    roan_slice argv[HARNESS_WORDS_MAX];
    size_t argc = 0;
    for (char *word = strtok(line, " "); word != NULL && argc < HARNESS_WORDS_MAX; word = strtok(NULL, " "))
        argv[argc++] = roan_slice_from_text(word);
    harness_run_words(h, argc, argv);
}

/* Runs a command line. */
static const char *run(harness *h, const char *line)
{
    char copy[512];
    snprintf(copy, sizeof copy, "%s", line);
    run_pieces(h, copy);
    return h->reply;
}

static void due_fields_go_by_themselves(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    run(&h, "HSET big stays v");
    for (int i = 0; i < FIELDS; i++) {
        char line[100];
        snprintf(line, sizeof line, "HSETEX big PX %d FIELDS 1 field:%d some-value", 1000 + i * 10000 / FIELDS, i);
        assert_string_equal(run(&h, line), ":1\r\n");
    }
    int64_t full = harness_info(&h, "memory", "used_memory");
    harness_advance(&h, 900000);
    assert_int_equal(harness_integer(&h, "HLEN", "big"), FIELDS + 1);
    for (int second = 1; second <= 9; second++) {
        harness_advance(&h, 1000000);
        int64_t due = (int64_t)FIELDS * (900 + second * 1000 - 1000) / 10000;
        int64_t gone = FIELDS + 1 - harness_integer(&h, "HLEN", "big");
        assert_true(gone <= due + FIELDS / 10000 && gone >= due - FIELDS / 10); /* those of the millisecond, too */
    }
    harness_advance(&h, 3000000);
    assert_int_equal(harness_integer(&h, "HLEN", "big"), 1);
    assert_int_equal(harness_info(&h, "stats", "expired_fields"), FIELDS);
    assert_true(harness_info(&h, "memory", "used_memory") < full - FIELDS * 30);
    run(&h, "HPEXPIRE big 1500 FIELDS 1 stays");
    harness_advance(&h, 1000000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), 1);
    harness_advance(&h, 1500000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), 0);
    assert_int_equal(harness_info(&h, "stats", "expired_keys"), 0);
    harness_close(&h);
}

static void many_hashes_lose_their_fields(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    for (int i = 0; i < 2000; i++) {
        char line[100];
        snprintf(line, sizeof line, "HSET hash:%d a 1 b 2 c 3", i);
        run(&h, line);
        snprintf(line, sizeof line, "HPEXPIRE hash:%d %d FIELDS %d a b%s", i, 1000 + i, i % 2 + 2, i % 2 ? " c" : "");
        run(&h, line);
    }
    harness_advance(&h, 900000);
    assert_int_equal(harness_info(&h, "stats", "expired_fields"), 0);
    harness_advance(&h, 3000000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), 1000);
    assert_int_equal(harness_integer(&h, "HLEN", "hash:0"), 1);
    assert_int_equal(harness_info(&h, "stats", "expired_fields"), 5000);
    harness_close(&h);
}

static void changed_times_are_obeyed(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    run(&h, "HSET h later 1 never 2 sooner 3 set 4 kept 5 counted 6");
    run(&h, "HEXPIRE h 2 FIELDS 5 later never set kept counted");
    run(&h, "HEXPIRE h 1000 FIELDS 1 sooner");
    run(&h, "HEXPIRE h 10 FIELDS 1 later");
    run(&h, "HPERSIST h FIELDS 1 never");
    run(&h, "HEXPIRE h 1 FIELDS 1 sooner");
    run(&h, "HSET h set 5");
    run(&h, "HSETEX h KEEPTTL FIELDS 1 kept 6");
    run(&h, "HINCRBY h counted 1");
    harness_advance(&h, 5000000);
    assert_string_equal(run(&h, "HMGET h later never sooner set kept counted"),
                        "*6\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n$1\r\n5\r\n$-1\r\n$-1\r\n");
    assert_int_equal(harness_integer(&h, "HLEN", "h"), 3);
    harness_advance(&h, 7000000);
    assert_int_equal(harness_integer(&h, "HLEN", "h"), 2);
    harness_close(&h);
}

static void times_follow_the_hash(void **state)
{
    (void)state;
    static const char *const makers[] = {"RENAME h g", "COPY h g", "MOVE h 1", "COPY h g DB 1", "EXPIRE h 1000",
                                         "PERSIST h"};
    harness h;
    harness_open(&h, 1);
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
        run(&h, "FLUSHALL");
        run(&h, "SELECT 0");
        run(&h, "HSETEX h EX 2 FIELDS 2 a 1 b 2");
        run(&h, "HSET h c 3");
        run(&h, makers[i]);
        run(&h, "HSET h c 3"); /* there is always something left */
        harness_advance(&h, 4000000);
        assert_int_equal(harness_integer(&h, "HLEN", "h"), 1);
        if (i == 2 || i == 3)
            run(&h, "SELECT 1");
        assert_int_equal(harness_integer(&h, "HLEN", i == 0 || i == 1 || i == 3 ? "g" : "h"), 1);
    }
    harness_close(&h);
}

static void a_key_expires_before_its_fields(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    run(&h, "HSETEX h EX 100 FIELDS 2 a 1 b 2");
    run(&h, "HSETEX h EX 3 FIELDS 1 c 2");
    run(&h, "EXPIRE h 5");
    harness_advance(&h, 4000000);
    assert_int_equal(harness_integer(&h, "HLEN", "h"), 2);
    harness_advance(&h, 2500000);
    assert_int_equal(harness_integer(&h, "DBSIZE"), 0);
    assert_int_equal(harness_info(&h, "stats", "expired_keys"), 1);
    assert_int_equal(harness_info(&h, "stats", "expired_fields"), 1);
    harness_close(&h);
}

static void what_has_expired_is_not_seen(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    h.engine->active_expire_is_on = false;
    run(&h, "HSET h a 1 b 2 c 3");
    run(&h, "HPEXPIRE h 500 FIELDS 2 a b");
    harness_advance(&h, 499000);
    assert_string_equal(run(&h, "HGET h a"), "$1\r\n1\r\n");
    harness_advance(&h, 1000);
    assert_string_equal(run(&h, "HGET h a"), "$-1\r\n");
    assert_string_equal(run(&h, "HGETALL h"), "*2\r\n$1\r\nc\r\n$1\r\n3\r\n");
    assert_string_equal(run(&h, "HLEN h"), ":3\r\n"); /* but counted */
    h.engine->active_expire_is_on = true;
    harness_advance(&h, 1000000);
    assert_string_equal(run(&h, "HLEN h"), ":1\r\n");
    harness_close(&h);
}

/* ---- effects ---- */

static char effects[4096];

static void note_effect(void *context, unsigned db, size_t argc, const roan_slice *argv)
{
    (void)context;
    (void)db;
    if (roan_slice_is(argv[0], "MULTI") || roan_slice_is(argv[0], "EXEC"))
        return; /* the frame of several */
    size_t at = strlen(effects);
    for (size_t i = 0; i < argc; i++)
        at += (size_t)snprintf(effects + at, sizeof effects - at, "%s%.*s", i == 0 ? (at == 0 ? "" : "; ") : " ",
                               ROAN_SLICE_ARG(argv[i]));
}

static void assert_effect(harness *h, const char *line, const char *expected)
{
    effects[0] = '\0';
    run(h, line);
    assert_string_equal(effects, expected);
}

static void effects_are_exact(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    h.engine->on_effect = note_effect;
    h.engine->active_expire_is_on = false;
    assert_effect(&h, "HSET h a 1 b 2 c 3 d 4", "HSET h a 1 b 2 c 3 d 4");
    assert_effect(&h, "HSETNX h a 1", "");
    assert_effect(&h, "HEXPIRE h 100 NX FIELDS 3 a b none", "HPEXPIREAT h 1700000100000 FIELDS 2 a b");
    assert_effect(&h, "HEXPIRE h 100 NX FIELDS 2 a b", "");
    assert_effect(&h, "HINCRBY h c 1", "HINCRBY h c 1");
    assert_effect(&h, "HINCRBY h a 1", "HSETEX h PXAT 1700000100000 FIELDS 1 a 2");
    assert_effect(&h, "HINCRBYFLOAT h a 0.5", "HSETEX h PXAT 1700000100000 FIELDS 1 a 2.5");
    assert_effect(&h, "HINCRBYFLOAT h d 0.5", "HSET h d 4.5");
    assert_effect(&h, "HSETEX h NX FIELDS 1 a 1", "");
    assert_effect(&h, "HSETEX h XX EX 10 FIELDS 1 a 1", "HSETEX h PXAT 1700000010000 FIELDS 1 a 1");
    assert_effect(&h, "HSETEX h FXX KEEPTTL FIELDS 2 a 1 b 4", "HSETEX h KEEPTTL FIELDS 2 a 1 b 4");
    assert_effect(&h, "HSETEX h FIELDS 1 x 1", "HSETEX h FIELDS 1 x 1");
    assert_effect(&h, "HSETEX h EX 0 FIELDS 2 x 1 none 1", "HDEL h x");
    assert_effect(&h, "HSETEX none EX 0 FIELDS 1 x 1", "");
    assert_effect(&h, "HGETEX h EX 100 FIELDS 3 b none c", "HPEXPIREAT h 1700000100000 FIELDS 2 b c");
    assert_effect(&h, "HGETEX h PERSIST FIELDS 3 b none d", "HPERSIST h FIELDS 1 b");
    assert_effect(&h, "HGETEX h PXAT 1 FIELDS 3 b none d", "HDEL h b d");
    assert_effect(&h, "HGETEX h FIELDS 1 a", "");
    assert_effect(&h, "HPERSIST h FIELDS 2 a none", "HPERSIST h FIELDS 2 a none");
    assert_effect(&h, "HEXPIRE h 0 FIELDS 2 c none", "HDEL h c");
    assert_effect(&h, "HGETDEL h FIELDS 2 a none", "HGETDEL h FIELDS 2 a none");
    harness_close(&h);
}

static void effects_of_expired_fields_are_exact(void **state)
{
    (void)state;
    harness h;
    harness_open(&h, 1);
    h.engine->on_effect = note_effect;
    h.engine->active_expire_is_on = false;
    run(&h, "HSET h a 1 b 2 c 3 d 4 e 5 f 6 g 7 stays 1");
    run(&h, "HPEXPIRE h 500 FIELDS 7 a b c d e f g");
    harness_advance(&h, 1000000);
    assert_effect(&h, "HSET h a 1", "HSET h a 1");
    assert_effect(&h, "HSETNX h b 1", "HSET h b 1");
    assert_effect(&h, "HINCRBY h c 1", "HSET h c 1");
    assert_effect(&h, "HINCRBYFLOAT h d 1", "HSET h d 1");
    assert_effect(&h, "HSETEX h KEEPTTL FIELDS 2 e 1 a 2", "HDEL h e; HSETEX h KEEPTTL FIELDS 2 e 1 a 2");
    assert_effect(&h, "HDEL h f", "");
    effects[0] = '\0';
    h.engine->active_expire_is_on = true;
    harness_advance(&h, 1000000);
    assert_true(strcmp(effects, "HDEL h f g") == 0 || strcmp(effects, "HDEL h g f") == 0);
    run(&h, "HPEXPIRE h 500 FIELDS 6 a b c d e stays");
    effects[0] = '\0';
    harness_advance(&h, 1500000);
    assert_int_equal(strncmp(effects, "HDEL h ", 7), 0);
    assert_null(strstr(effects, ";")); /* which deletes the key as well */
    assert_int_equal(harness_integer(&h, "DBSIZE"), 0);
    harness_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(due_fields_go_by_themselves),
        cmocka_unit_test(many_hashes_lose_their_fields),
        cmocka_unit_test(changed_times_are_obeyed),
        cmocka_unit_test(times_follow_the_hash),
        cmocka_unit_test(a_key_expires_before_its_fields),
        cmocka_unit_test(what_has_expired_is_not_seen),
        cmocka_unit_test(effects_are_exact),
        cmocka_unit_test(effects_of_expired_fields_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
