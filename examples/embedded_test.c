/* embedded_test.c: a program's own test: a server inside the process, no port, no sleeping, no mocks.
 *
 *     embedded_test               prints what it tried; ends with 0 when all was well
 *
 * Build:  cc embedded_test.c $(pkg-config --cflags --libs roan-server)
 */
#include <roan/client_commands.h>
#include <roan/embedded.h>

#include <stdio.h>

#define SECOND_US 1000000

/* ---- what is tested: sessions of a web shop ---- */

/* Remembers who is logged in for half an hour. */
static roan_status log_in(roan *client, const char *session, const char *name)
{
    return roan_set(client, roan_slice_from_text(session), roan_slice_from_text(name),
                    ROAN_SET_OPTIONS(.ex = ROAN_SOME(1800)), NULL, NULL);
}

/* ROAN_NIL: nobody is, any more. */
static roan_status who_is(roan *client, const char *session, roan_bytes *ret_name)
{
    return roan_get(client, roan_slice_from_text(session), ret_name, NULL);
}

/* ---- the tests ---- */

static int failures;

static void expect(int is_right, const char *what)
{
    printf("%s %s\n", is_right ? "ok    " : "FAILED", what);
    failures += !is_right;
}

static void a_session_is_found(roan *client)
{
    roan_bytes name;
    int is_found = log_in(client, "s1", "ada") == ROAN_OK && who_is(client, "s1", &name) == ROAN_OK;

    expect(is_found && strcmp(name.data, "ada") == 0, "a session is found");
    if (is_found)
        roan_bytes_free(&name);
}

/* Half an hour passes in no time. */
static void a_session_ends_after_half_an_hour(roan *client, roan_embedded *server)
{
    roan_bytes name;
    roan_error error;
    int is_found, is_gone;

    expect(log_in(client, "s2", "grace") == ROAN_OK, "a session begins");
    is_found = roan_embedded_clock_advance(server, (int64_t)1799 * SECOND_US, &error) == ROAN_OK &&
               who_is(client, "s2", &name) == ROAN_OK;
    expect(is_found, "it is there after 29 minutes and 59 seconds");
    if (is_found)
        roan_bytes_free(&name);
    is_gone = roan_embedded_clock_advance(server, SECOND_US, &error) == ROAN_OK && who_is(client, "s2", &name) == ROAN_NIL;
    expect(is_gone, "it is gone after half an hour");
}

/* Each test finds the server as new; the handle stays. */
static void tests_do_not_see_each_other(roan *client, roan_embedded *server)
{
    int64_t keys = -1;
    roan_error error;

    expect(log_in(client, "s3", "linus") == ROAN_OK && roan_embedded_reset(server, &error) == ROAN_OK &&
               roan_dbsize(client, &keys, NULL) == ROAN_OK && keys == 0,
           "the next test begins with an empty server");
}

int main(void)
{
    roan_embedded *server;
    roan *client;
    roan_error error;

    if (roan_embedded_start(&server, ROAN_EMBEDDED(.name = "test", .seed = 1, .is_stopped = true), &error) != ROAN_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    if (roan_open(&client, "embedded://test", NULL, &error) != ROAN_OK) {
        fprintf(stderr, "%s\n", error.text);
        roan_embedded_stop(server);
        return 2;
    }
    a_session_is_found(client);
    a_session_ends_after_half_an_hour(client, server);
    tests_do_not_see_each_other(client, server);
    roan_close(client, 1000);
    roan_embedded_stop(server);
    return failures == 0 ? 0 : 1;
}
