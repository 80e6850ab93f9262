/* pubsub_chat.c: a chat room: what is typed is published, what others say is printed.
 *
 *     pubsub_chat URI ROOM NAME       lines from standard input, until it ends
 *
 * The subscription outlives lost connections: the client subscribes again by itself, and says how much may have been
 * missed. Messages come to a callback on the thread that drives the connection, while the main thread waits for input.
 *
 * Build:  cc pubsub_chat.c $(pkg-config --cflags --libs roan) -lpthread
 */
#include <roan/client_commands.h>
#include <roan/subscription.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LINE_BYTES_MAX 500
#define LAST_WORDS_MS  2000

typedef struct chat {
    const char *name;
    pthread_mutex_t lock;
    pthread_cond_t heard;
    int said, came_back; /* own lines */
} chat;

static void on_message(void *argument, const roan_message *message, const roan_failure *failure)
{
    chat *self = (chat *)argument;
    size_t name_bytes = strlen(self->name);

    if (message == NULL) {
        fprintf(stderr, "the room: %s\n", failure->text);
        return;
    }
    if (message->lost_before == ROAN_LOST_UNKNOWN)
        printf("... the line was interrupted; some of the talk may be missing\n");
    else if (message->lost_before > 0)
        printf("... %llu messages were missed\n", (unsigned long long)message->lost_before);
    printf("%.*s\n", (int)message->payload.bytes, message->payload.data);
    fflush(stdout);
    if (message->payload.bytes > name_bytes && memcmp(message->payload.data, self->name, name_bytes) == 0) {
        pthread_mutex_lock(&self->lock);
        self->came_back++;
        pthread_cond_signal(&self->heard);
        pthread_mutex_unlock(&self->lock);
    }
}

static int talk(roan *client, chat *self, roan_slice room)
{
    char line[LINE_BYTES_MAX], text[LINE_BYTES_MAX + 64];

    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        snprintf(text, sizeof text, "%.60s: %s", self->name, line);
        if (roan_publish(client, room, roan_slice_from_text(text), NULL, NULL) != ROAN_OK) {
            fprintf(stderr, "not said: %s\n", roan_last_failure()->text);
            return 1;
        }
        self->said++;
    }
    return 0;
}

/* What was said last is still on its way back. */
static void listen_to_the_end(chat *self)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LAST_WORDS_MS / 1000;
    pthread_mutex_lock(&self->lock);
    while (self->came_back < self->said && pthread_cond_timedwait(&self->heard, &self->lock, &until) == 0)
        continue;
    pthread_mutex_unlock(&self->lock);
}

static int run(roan *client, chat *self, roan_slice room)
{
    roan_subscription *subscription = roan_subscription_create(client, NULL);
    int result = 1;

    if (subscription == NULL || roan_subscription_on(subscription, on_message, self) != ROAN_OK ||
        roan_subscription_add(subscription, ROAN_CHANNEL_EXACT, &room, 1) != ROAN_OK ||
        roan_subscription_ready(subscription, 2000) != ROAN_OK) {
        fprintf(stderr, "cannot enter the room: %s\n", roan_last_failure()->text);
    } else {
        result = talk(client, self, room);
        listen_to_the_end(self);
    }
    roan_subscription_free(subscription);
    return result;
}

int main(int argc, char **argv)
{
    roan *client;
    roan_error error;
    chat self = {NULL, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    int result;

    if (argc != 4) {
        fprintf(stderr, "usage: pubsub_chat URI ROOM NAME\n");
        return 2;
    }
    if (roan_open(&client, argv[1], NULL, &error) != ROAN_OK) {
        fprintf(stderr, "%s\n", error.text);
        return 2;
    }
    self.name = argv[3];
    result = run(client, &self, roan_slice_from_text(argv[2]));
    roan_close(client, 1000);
    return result;
}
