/* libuv_app.c: one thread, one loop: timers of the program and commands side by side.
 *
 *     libuv_app [URI]             redis://localhost
 *
 * Every 20 ms a "sensor" is read and its value stored; a blocking command waits for a message at the same time, and never
 * holds the loop up, because it waits on a connection of its own.
 *
 * Build:  cc libuv_app.c $(pkg-config --cflags --libs roan libuv)
 */
#include <roan/client_commands.h>
#include <roan/loop_uv.h>

#include <stdio.h>
#include <string.h>

#define READINGS 10

typedef struct app {
    roan *client;
    roan_uv *attached;
    uv_timer_t timer;
    int begun, stored, failed;
    int result;
} app;

static void stop(app *self)
{
    uv_close((uv_handle_t *)&self->timer, NULL);
    roan_uv_detach(self->attached); /* now nothing keeps uv_run() going */
    self->attached = NULL;
}

static void on_message(roan_future *future, void *argument)
{
    app *self = (app *)argument;
    roan_failure failure;
    roan_value *reply;
    roan_status status = roan_take(future, &reply, &failure);

    if (status == ROAN_OK) {
        roan_slice text = reply->elements[1].text; /* the list's name, its element */
        printf("message: %.*s\n", (int)text.bytes, text.data);
        self->result = 0;
    } else {
        fprintf(stderr, "BLPOP: %s\n", status == ROAN_NIL ? "no message came" : failure.text);
    }
    roan_value_free(reply);
    stop(self);
}

static void on_stored(roan_future *future, void *argument)
{
    app *self = (app *)argument;
    roan_slice word = ROAN_LITERAL("all is stored");

    if (roan_take(future, NULL, NULL) == ROAN_OK)
        self->stored++;
    else
        self->failed++;
    if (self->stored + self->failed < READINGS)
        return;
    printf("%d stored, %d failed\n", self->stored, self->failed);
    roan_drop(roan_rpush_go(self->client, ROAN_LITERAL("app:messages"), &word, 1, NULL));
}

static void on_timer(uv_timer_t *timer)
{
    app *self = (app *)timer->data;
    char value[32];
    roan_hset_data pair = {ROAN_LITERAL("temperature"), {NULL, 0}};

    if (self->begun++ == READINGS) {
        uv_timer_stop(timer);
        return;
    }
    snprintf(value, sizeof value, "%d", 20 + self->begun);
    pair.value = roan_slice_from_text(value);
    /* The arguments are copied; the call is sent while the loop goes on. */
    roan_then(roan_hset_go(self->client, ROAN_LITERAL("app:sensor"), &pair, 1, NULL), on_stored, self);
}

int main(int argc, char **argv)
{
    app self;
    roan_error error;
    roan_slice list = ROAN_LITERAL("app:messages");

    memset(&self, 0, sizeof self);
    self.result = 1;
    if (roan_open(&self.client, argc > 1 ? argv[1] : "redis://localhost", ROAN_OPTIONS(.drive = ROAN_DRIVE_LOOP),
                  &error) != ROAN_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    if (roan_uv_attach(&self.attached, self.client, uv_default_loop()) != ROAN_OK) {
        fprintf(stderr, "libuv cannot watch the client\n");
        return 2;
    }
    uv_timer_init(uv_default_loop(), &self.timer);
    self.timer.data = &self;
    uv_timer_start(&self.timer, on_timer, 0, 20);
    roan_then(roan_blpop_go(self.client, &list, 1, 10, NULL), on_message, &self);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    roan_close(self.client, 1000);
    uv_loop_close(uv_default_loop());
    return self.result;
}
