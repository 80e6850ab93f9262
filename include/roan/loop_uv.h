/* roan/loop_uv.h: a handle in a libuv loop.
 *
 *     roan_open(&client, uri, ROAN_OPTIONS(.drive = ROAN_DRIVE_LOOP), &error);
 *     roan_uv_attach(&uv, client, uv_default_loop());
 *     roan_then(roan_set_go(...), on_set, ...);           callbacks run in the loop, on its thread
 *     uv_run(uv_default_loop(), UV_RUN_DEFAULT);
 *     roan_uv_detach(uv);
 *     roan_close(client, 1000);
 *
 * attach and detach belong to the loop's thread; every other function of the handle may be called from any thread, and
 * wakes the loop. Synchronous calls work, too, but on the loop's thread they hold the loop up, and from inside a
 * callback they are refused.
 *
 * An attached handle keeps uv_run() going until it is detached; uv_unref((uv_handle_t *)roan_uv_poll(uv)) changes that.
 * After fork() the child makes a loop of its own and attaches anew: the descriptor of the handle is another one there.
 *
 * Header only: libroan itself does not depend on libuv.
 */
#ifndef ROAN_LOOP_UV_H
#define ROAN_LOOP_UV_H

#include "roan/client.h"

#include <stdlib.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct roan_uv {
    uv_poll_t poll;
    roan *client;
} roan_uv;

static inline uv_poll_t *roan_uv_poll(roan_uv *uv)
{
    return &uv->poll;
}

static inline void roan_uv_on_readable(uv_poll_t *poll, int status, int events)
{
    roan *client = ((roan_uv *)poll->data)->client;

    (void)status; /* an error of the descriptor shows in the turn */
    (void)events;
    (void)roan_turn(client, 0); /* a callback may detach: nothing is touched any more */
}

static inline void roan_uv_on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* ROAN_E_USAGE: the handle was not opened with ROAN_DRIVE_LOOP. ROAN_E_NOMEM: also when libuv cannot poll its
 * descriptor. *ret_uv is NULL then. */
static inline roan_status roan_uv_attach(roan_uv **ret_uv, roan *client, uv_loop_t *loop)
{
    roan_uv *uv;

    *ret_uv = NULL;
    if (roan_fd(client) < 0)
        return ROAN_E_USAGE;
    uv = (roan_uv *)calloc(1, sizeof *uv);
    if (uv == NULL)
        return ROAN_E_NOMEM;
    uv->client = client;
    if (uv_poll_init(loop, &uv->poll, roan_fd(client)) != 0) {
        free(uv);
        return ROAN_E_NOMEM;
    }
    uv->poll.data = uv;
    if (uv_poll_start(&uv->poll, UV_READABLE, roan_uv_on_readable) != 0) {
        uv_close((uv_handle_t *)&uv->poll, roan_uv_on_closed);
        return ROAN_E_NOMEM;
    }
    *ret_uv = uv;
    return ROAN_OK;
}

/* Before roan_close(), also from inside a callback. The handle goes on where somebody waits for it; it can be attached
 * again. The loop frees the memory in its next iteration, so run it once more before uv_loop_close(). Accepts NULL. */
static inline void roan_uv_detach(roan_uv *uv)
{
    if (uv == NULL)
        return;
    uv_poll_stop(&uv->poll);
    uv_close((uv_handle_t *)&uv->poll, roan_uv_on_closed);
}

#ifdef __cplusplus
}
#endif
#endif
