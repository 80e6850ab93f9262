/* roan/loop_glib.h: a handle in a GLib main loop (GTK, GStreamer and the like).
 *
 *     roan_open(&client, uri, ROAN_OPTIONS(.drive = ROAN_DRIVE_LOOP), &error);
 *     source = roan_glib_attach(client, NULL);
 *     roan_then(roan_set_go(...), on_set, ...);           callbacks run in the loop, on its thread
 *     g_main_loop_run(loop);
 *     roan_glib_detach(source);
 *     roan_close(client, 1000);
 *
 * Every function of the handle may be called from any thread, and wakes the loop. Synchronous calls work, too, but on
 * the loop's thread they hold the loop up, and from inside a callback they are refused. While a callback runs a
 * nested main loop of its own, the handle rests.
 *
 * The source has GLib's default priority; g_source_set_priority() changes that. After fork() the child makes a
 * context of its own and attaches anew: the descriptor of the handle is another one there.
 *
 * Header only: libroan itself does not depend on GLib. Needs GLib 2.36.
 */
#ifndef ROAN_LOOP_GLIB_H
#define ROAN_LOOP_GLIB_H

#include "roan/client.h"

#include <glib.h>

typedef struct roan_glib_source {
    GSource source; /* GLib's: stays first */
    roan *client;
} roan_glib_source;

static inline gboolean roan_glib_on_readable(GSource *source, GSourceFunc callback, gpointer argument)
{
    (void)callback;
    (void)argument;
    (void)roan_turn(((roan_glib_source *)(void *)source)->client, 0);
    return TRUE; /* stay; a source that was destroyed in a callback goes all the same */
}

/* `context` NULL: the default one. NULL: the handle was not opened with ROAN_DRIVE_LOOP. The caller owns a
 * reference. */
static inline GSource *roan_glib_attach(roan *client, GMainContext *context)
{
    static GSourceFuncs functions = {NULL, NULL, roan_glib_on_readable, NULL, NULL, NULL};
    GSource *source;

    if (roan_fd(client) < 0)
        return NULL;
    source = g_source_new(&functions, sizeof(roan_glib_source));
    ((roan_glib_source *)(void *)source)->client = client;
    g_source_add_unix_fd(source, roan_fd(client), G_IO_IN);
    g_source_set_name(source, "roan");
    g_source_attach(source, context);
    return source;
}

/* Before roan_close(), also from inside a callback; gives up the caller's reference. On the loop's thread, or while the
 * loop does not run. The handle goes on where somebody waits for it; it can be attached again. Accepts NULL. */
static inline void roan_glib_detach(GSource *source)
{
    if (source == NULL)
        return;
    g_source_destroy(source);
    g_source_unref(source);
}

#endif
