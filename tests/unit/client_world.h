/* client_world.h: what the client's tests on the scripted transport share: a world with one handle in it, and commands
 * written as text. A test program includes it once, behind cmocka.h. */
#pragma once

#include "base/macros.h"
#include "roan/client.h"
#include "roan/scripted.h"
#include "../lib/command_text.h"

#include <stdio.h>
#include <string.h>

#define COMMAND_WORDS_MAX 16

static roan_scripted *world;
static roan *client; /* closed when the test ends */

/* A world whose peers answer with `handler`. */
static inline void begin_world(uint64_t seed, roan_peer_fn handler)
{
    world = roan_scripted_create(seed);
    roan_scripted_handle(world, handler, NULL);
    client = NULL;
}

/* Closes the handle. 0, or -1 after a message when the script was not kept or a stream was forgotten. */
static inline int end_world(void)
{
    roan_error error = {0};

    ROAN_IGNORE(roan_close(client, 0));
    client = NULL;
    roan_status status = roan_scripted_check(world, &error);
    if (status != ROAN_OK)
        print_error("%s\n", error.text);
    bool is_clean = roan_scripted_open_streams(world) == 0;
    world = roan_scripted_free(world);
    return status == ROAN_OK && is_clean ? 0 : -1;
}

static inline void open_uri(const char *uri, const roan_options *more)
{
    roan_options options = more != NULL ? *more : (roan_options){.size = sizeof options};
    roan_error error;

    if (options.transport == NULL)
        options.transport = roan_scripted_transport(world);
    if (roan_open(&client, uri, &options, &error) != ROAN_OK)
        fail_msg("%s", error.text);
}

/* A handle for redis://shop:7000 and what is appended: "/2?protocol=3". */
static inline void open_with(const char *query, const roan_options *more)
{
    char uri[256];

    ROAN_IGNORE(snprintf(uri, sizeof uri, "redis://shop:7000%s", query));
    open_uri(uri, more);
}

static inline roan_status run_on(roan *handle, const char *text, const roan_call *call)
{
    roan_slice words[COMMAND_WORDS_MAX];

    return roan_do(handle, split(text, words), words, NULL, call);
}

static inline roan_future *go_on(roan *handle, const char *text, const roan_call *call)
{
    roan_slice words[COMMAND_WORDS_MAX];

    return roan_go(handle, split(text, words), words, call);
}

static inline roan_client_stats stats(void)
{
    roan_client_stats values = {.size = sizeof values};

    roan_get_stats(client, &values);
    return values;
}
