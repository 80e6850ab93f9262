/* tests/client/loop_kit_uv.c: see loop_kit.h. */
#include "loop_kit.h"

#include "roan/loop_uv.h"

#include <assert.h>

const char *const kit_name = "libuv";

static uv_loop_t loop;
static uv_timer_t timer;
static void (*tick)(void);
static roan_uv *attached[KIT_HANDLES_MAX];

static void on_timer(uv_timer_t *unused)
{
    (void)unused;
    tick();
}

void kit_open(void (*on_tick)(void))
{
    int problem = uv_loop_init(&loop);

    tick = on_tick;
    problem |= uv_timer_init(&loop, &timer);
    problem |= uv_timer_start(&timer, on_timer, KIT_TICK_MS, KIT_TICK_MS);
    assert(problem == 0);
}

static roan_uv **place_of(const roan *client)
{
    for (int i = 0; i < KIT_HANDLES_MAX; i++)
        if (client == NULL ? attached[i] == NULL : attached[i] != NULL && attached[i]->client == client)
            return &attached[i];
    assert(!"a handle too many or unknown");
    return NULL;
}

roan_status kit_attach(roan *client)
{
    return roan_uv_attach(place_of(NULL), client, &loop);
}

void kit_detach(roan *client)
{
    roan_uv **place = place_of(client);

    roan_uv_detach(*place);
    *place = NULL;
}

void kit_step(void)
{
    uv_run(&loop, UV_RUN_ONCE);
}

void kit_close(void)
{
    for (int i = 0; i < KIT_HANDLES_MAX; i++)
        roan_uv_detach(attached[i]); /* what a failed test has left */
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    int problem = uv_loop_close(&loop);
    assert(problem == 0); /* nothing was left in it */
}
