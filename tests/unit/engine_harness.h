/* engine_harness.h: an engine without sockets, with a virtual clock and a fixed seed, driven by words.
 *
 *     harness_open(&h, 1);
 *     assert_string_equal(harness_run(&h, "SET", "key", "value"), "+OK\r\n");
 *     harness_close(&h);
 *
 * Nothing moves by itself: harness_advance() moves the clock and runs the lanes' housekeeping as often as it is due. */
#ifndef ROAN_TEST_ENGINE_HARNESS_H
#define ROAN_TEST_ENGINE_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"

#define HARNESS_START_US INT64_C(1700000000000000)
#define HARNESS_WORDS_MAX 64
#define HARNESS_CRON_US 100000

typedef struct harness {
    roan_engine *engine;
    roan_clock clock;
    roan_session session;
    char *reply; /* of the last command, RESP2 */
    size_t reply_bytes;
} harness;

static void harness_describe(const roan_session *session, roan_transport_info *info)
{
    (void)session;
    *info = (roan_transport_info){.peer = "127.0.0.1:5000", .local = "127.0.0.1:6379"};
}

static void harness_ignore_close(roan_session *session, bool after_replies)
{
    (void)session;
    (void)after_replies;
}

static void harness_ignore(roan_session *session)
{
    (void)session;
}

static const roan_session_ops harness_ops = {.describe = harness_describe,
                                             .close = harness_ignore_close,
                                             .output_ready = harness_ignore,
                                             .resume = harness_ignore};

static inline void harness_open(harness *h, unsigned lanes)
{
    *h = (harness){0};
    roan_clock_init_virtual(&h->clock, HARNESS_START_US);
    roan_engine_options options = {.lanes = lanes, .clock = &h->clock, .seed = 42};
    h->engine = roan_engine_create(&options);
    roan_session_init(&h->session, &h->engine->lanes[0], &harness_ops);
    h->session.is_authenticated = true;
    roan_gate_enter(&h->engine->lanes[0]);
}

static inline void harness_close(harness *h)
{
    roan_gate_leave(&h->engine->lanes[0]);
    roan_session_done(&h->session);
    h->engine = roan_engine_free(h->engine);
    free(h->reply);
}

static inline const char *harness_run_words(harness *h, size_t argc, const roan_slice *argv)
{
    roan_request request = {.argc = argc, .argv = argv};
    roan_request_prepare(&h->session, &request);
    assert_int_equal(roan_execute(&h->session, &request), ROAN_DONE);
    h->reply_bytes = roan_out_bytes(&h->session.out);
    h->reply = realloc(h->reply, h->reply_bytes + 1);
    assert_non_null(h->reply);
    roan_out_copy(&h->session.out, h->reply);
    h->reply[h->reply_bytes] = '\0';
    roan_out_rollback(&h->session.out, 0);
    return h->reply;
}

static inline const char *harness_run_list(harness *h, const char *const *words)
{
    roan_slice argv[HARNESS_WORDS_MAX];
    size_t argc = 0;
    for (; words[argc] != NULL; argc++) {
        assert_true(argc < HARNESS_WORDS_MAX);
        argv[argc] = roan_slice_from_text(words[argc]);
    }
    return harness_run_words(h, argc, argv);
}

/* Runs a command given as words; returns its reply. */
#define harness_run(h, ...) harness_run_list((h), (const char *const[]){__VA_ARGS__, NULL})

static inline int64_t harness_run_integer(harness *h, const char *const *words)
{
    const char *reply = harness_run_list(h, words);
    assert_int_equal(reply[0], ':');
    return strtoll(reply + 1, NULL, 10);
}

#define harness_integer(h, ...) harness_run_integer((h), (const char *const[]){__VA_ARGS__, NULL})

/* The number behind "name:" in an INFO section. */
static inline int64_t harness_info(harness *h, const char *section, const char *name)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\n%s:", name);
    const char *found = strstr(harness_run(h, "INFO", section), wanted);
    assert_non_null(found);
    return strtoll(found + strlen(wanted), NULL, 10);
}

/* Moves the clock and runs one lane's housekeeping every tenth of a second. */
static inline void harness_advance(harness *h, int64_t us)
{
    roan_lane *lane = &h->engine->lanes[0];
    while (us > 0) {
        int64_t step = us < HARNESS_CRON_US ? us : HARNESS_CRON_US;
        roan_clock_advance(&h->clock, step);
        roan_lane_update_time(lane);
        roan_lane_cron(lane);
        us -= step;
    }
}

#endif
