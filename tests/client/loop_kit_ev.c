/* tests/client/loop_kit_ev.c: see loop_kit.h. */
#include "loop_kit.h"

#include "roan/loop_ev.h"

#include <assert.h>

const char *const kit_name = "libev";

static struct ev_loop *loop;
static ev_timer timer;
static void (*tick)(void);
static roan_ev attached[KIT_HANDLES_MAX];

static void on_timer(struct ev_loop *unused, ev_timer *also_unused, int events)
{
    (void)unused;
    (void)also_unused;
    (void)events;
    tick();
}

void kit_open(void (*on_tick)(void))
{
    tick = on_tick;
    loop = ev_loop_new(EVFLAG_AUTO);
    assert(loop != NULL);
    ev_timer_init(&timer, on_timer, KIT_TICK_MS / 1000.0, KIT_TICK_MS / 1000.0);
    ev_timer_start(loop, &timer);
}

static roan_ev *place_of(const roan *client)
{
    for (int i = 0; i < KIT_HANDLES_MAX; i++)
        if (client == NULL ? attached[i].loop == NULL : attached[i].loop != NULL && attached[i].io.data == client)
            return &attached[i];
    assert(!"a handle too many or unknown");
    return NULL;
}

roan_status kit_attach(roan *client)
{
    return roan_ev_attach(place_of(NULL), client, loop);
}

void kit_detach(roan *client)
{
    roan_ev_detach(place_of(client));
}

void kit_step(void)
{
    ev_run(loop, EVRUN_ONCE);
}

void kit_close(void)
{
    ev_timer_stop(loop, &timer);
    ev_loop_destroy(loop);
    loop = NULL;
}
