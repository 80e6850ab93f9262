/* engine/acl_log.c: a list of refusals, newest first, under a lock: an entry is made only when somebody is refused.
 *
 * The newest few entries are searched for an equal one of the last minute. It moves to the front then, counts one
 * more, and describes the newest client. An entry is one allocation with its texts behind it.
 */
#include "engine/acl_log.h"

#include "base/alloc.h"
#include "base/number.h"

#include <pthread.h>

#define SEARCHED_MAX 10
#define SAME_MS_MAX 60000

typedef struct log_node log_node;
struct log_node {
    log_node *older;
    size_t bytes;
    roan_acl_log_entry entry;
};

struct roan_acl_log {
    pthread_mutex_t lock;
    log_node *newest;
    size_t count;
    uint64_t next_id;
};

roan_acl_log *roan_acl_log_create(void)
{
    roan_acl_log *log = roan_alloc_zero(sizeof *log);
    ROAN_ASSERT(pthread_mutex_init(&log->lock, NULL) == 0);
    return log;
}

void roan_acl_log_free(roan_acl_log *log)
{
    roan_acl_log_clear(log);
    pthread_mutex_destroy(&log->lock);
    roan_free(log, sizeof *log);
}

/* Keeps the newest entries. */
static void cut(roan_acl_log *log, size_t kept)
{
    log_node **link = &log->newest;
    for (size_t i = 0; i < kept && *link != NULL; i++)
        link = &(*link)->older;
    for (log_node *node = *link, *older; node != NULL; node = older) {
        older = node->older;
        roan_free(node, node->bytes);
        log->count--;
    }
    *link = NULL;
}

void roan_acl_log_clear(roan_acl_log *log)
{
    pthread_mutex_lock(&log->lock);
    cut(log, 0);
    pthread_mutex_unlock(&log->lock);
}

static roan_slice place_text(char **at, roan_slice text)
{
    roan_slice placed = roan_slice_make(*at, text.bytes);
    if (text.bytes > 0)
        memcpy(*at, text.data, text.bytes);
    *at += text.bytes;
    return placed;
}

static log_node *create_node(const roan_acl_log_entry *entry)
{
    size_t bytes = sizeof(log_node) + entry->object.bytes + entry->user.bytes + entry->client.bytes;
    log_node *node = roan_alloc(bytes);
    char *at = (char *)(node + 1);
    *node = (log_node){.bytes = bytes, .entry = *entry};
    node->entry.object = place_text(&at, entry->object);
    node->entry.user = place_text(&at, entry->user);
    node->entry.client = place_text(&at, entry->client);
    return node;
}

static bool are_same(const roan_acl_log_entry *a, const roan_acl_log_entry *b)
{
    int64_t apart_ms = a->updated_ms - b->updated_ms;
    return a->reason == b->reason && a->context == b->context && apart_ms <= SAME_MS_MAX && apart_ms >= -SAME_MS_MAX &&
           roan_slice_equal(a->object, b->object) && roan_slice_equal(a->user, b->user);
}

/* Takes an equal entry out of the list; NULL: there is none. */
static log_node *take_same(roan_acl_log *log, const roan_acl_log_entry *entry)
{
    log_node **link = &log->newest;
    for (unsigned i = 0; i < SEARCHED_MAX && *link != NULL; i++, link = &(*link)->older) {
        log_node *node = *link;
        if (!are_same(&node->entry, entry))
            continue;
        *link = node->older;
        log->count--;
        return node;
    }
    return NULL;
}

static void add(roan_acl_log *log, const roan_acl_log_entry *entry)
{
    log_node *same = take_same(log, entry), *node = create_node(entry);
    node->entry.count = same != NULL ? same->entry.count + 1 : 1;
    node->entry.id = same != NULL ? same->entry.id : log->next_id++;
    node->entry.created_ms = same != NULL ? same->entry.created_ms : entry->updated_ms;
    node->older = log->newest;
    log->newest = node;
    log->count++;
    if (same != NULL)
        roan_free(same, same->bytes);
}

void roan_acl_log_add(roan_acl_log *log, const roan_acl_log_entry *entry, int64_t max_count)
{
    pthread_mutex_lock(&log->lock);
    if (max_count > 0)
        add(log, entry);
    if (log->count > (size_t)max_count)
        cut(log, (size_t)max_count);
    pthread_mutex_unlock(&log->lock);
}

size_t roan_acl_log_visit(roan_acl_log *log, size_t max_count,
                          void (*visit)(void *context, const roan_acl_log_entry *entry), void *context)
{
    size_t count = 0;
    pthread_mutex_lock(&log->lock);
    for (const log_node *node = log->newest; node != NULL && count < max_count; node = node->older, count++)
        visit(context, &node->entry);
    pthread_mutex_unlock(&log->lock);
    return count;
}
