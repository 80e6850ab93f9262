/* tests/client/loop_kit_glib.c: see loop_kit.h. */
#include "loop_kit.h"

#include "roan/loop_glib.h"

#include <assert.h>

const char *const kit_name = "GLib";

static GMainContext *context;
static GSource *timer;
static void (*tick)(void);
static GSource *attached[KIT_HANDLES_MAX];

static gboolean on_timer(gpointer unused)
{
    (void)unused;
    tick();
    return TRUE;
}

void kit_open(void (*on_tick)(void))
{
    tick = on_tick;
    context = g_main_context_new();
    timer = g_timeout_source_new(KIT_TICK_MS);
    g_source_set_callback(timer, on_timer, NULL, NULL);
    g_source_attach(timer, context);
}

static GSource **place_of(const roan *client)
{
    for (int i = 0; i < KIT_HANDLES_MAX; i++)
        if (client == NULL ? attached[i] == NULL
                           : attached[i] != NULL && ((roan_glib_source *)(void *)attached[i])->client == client)
            return &attached[i];
    assert(!"a handle too many or unknown");
    return NULL;
}

roan_status kit_attach(roan *client)
{
    GSource **place = place_of(NULL);

    *place = roan_glib_attach(client, context);
    return *place != NULL ? ROAN_OK : ROAN_E_USAGE;
}

void kit_detach(roan *client)
{
    GSource **place = place_of(client);

    roan_glib_detach(*place);
    *place = NULL;
}

void kit_step(void)
{
    g_main_context_iteration(context, TRUE);
}

void kit_close(void)
{
    g_source_destroy(timer);
    g_source_unref(timer);
    g_main_context_unref(context);
    context = NULL;
}
