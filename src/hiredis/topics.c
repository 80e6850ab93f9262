/* hiredis/topics.c: a hash table of names with chains; it doubles when it holds as many names as slots.
 *
 * The names come from the program itself, so the hash (FNV-1a) needs no secret.
 */
#include "hiredis/topics.h"

#include <string.h>

#define SLOTS_FIRST 16

struct dict *roan_hiredis_topics_create(void)
{
    struct dict *topics = hi_calloc(1, sizeof *topics);

    if (topics == NULL)
        return NULL;
    topics->slots = hi_calloc(SLOTS_FIRST, sizeof *topics->slots);
    topics->slot_count = SLOTS_FIRST;
    if (topics->slots == NULL) {
        hi_free(topics);
        return NULL;
    }
    return topics;
}

void roan_hiredis_topics_free(struct dict *topics)
{
    if (topics == NULL)
        return;
    for (size_t i = 0; i < topics->slot_count; i++) {
        while (topics->slots[i] != NULL) {
            roan_hiredis_topic *topic = topics->slots[i];
            topics->slots[i] = topic->next;
            hi_free(topic);
        }
    }
    hi_free(topics->slots);
    hi_free(topics);
}

static size_t slot_of(const struct dict *topics, const char *name, size_t bytes)
{
    uint64_t hash = 0xcbf29ce484222325u;

    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3u;
    return (size_t)(hash ^ (hash >> 32)) & (topics->slot_count - 1);
}

roan_hiredis_topic *roan_hiredis_topics_find(const struct dict *topics, const char *name, size_t bytes)
{
    roan_hiredis_topic *topic = topics->slots[slot_of(topics, name, bytes)];

    while (topic != NULL && (topic->bytes != bytes || memcmp(topic->name, name, bytes) != 0))
        topic = topic->next;
    return topic;
}

static void grow(struct dict *topics)
{
    struct dict larger = {.slot_count = 2 * topics->slot_count, .count = topics->count};

    larger.slots = hi_calloc(larger.slot_count, sizeof *larger.slots);
    if (larger.slots == NULL)
        return; /* it works on, with longer chains */
    for (size_t i = 0; i < topics->slot_count; i++) {
        while (topics->slots[i] != NULL) {
            roan_hiredis_topic *topic = topics->slots[i];
            size_t slot = slot_of(&larger, topic->name, topic->bytes);
            topics->slots[i] = topic->next;
            topic->next = larger.slots[slot];
            larger.slots[slot] = topic;
        }
    }
    hi_free(topics->slots);
    *topics = larger;
}

roan_hiredis_topic *roan_hiredis_topics_add(struct dict *topics, const char *name, size_t bytes)
{
    roan_hiredis_topic *topic = roan_hiredis_topics_find(topics, name, bytes);
    size_t slot;

    if (topic != NULL)
        return topic;
    topic = hi_calloc(1, sizeof *topic + bytes);
    if (topic == NULL)
        return NULL;
    topic->bytes = bytes;
    if (bytes > 0)
        memcpy(topic->name, name, bytes);
    if (topics->count >= topics->slot_count)
        grow(topics);
    slot = slot_of(topics, name, bytes);
    topic->next = topics->slots[slot];
    topics->slots[slot] = topic;
    topics->first_slot = slot < topics->first_slot ? slot : topics->first_slot;
    topics->count++;
    return topic;
}

void roan_hiredis_topics_remove(struct dict *topics, roan_hiredis_topic *topic)
{
    roan_hiredis_topic **link = &topics->slots[slot_of(topics, topic->name, topic->bytes)];

    while (*link != topic)
        link = &(*link)->next;
    *link = topic->next;
    topics->count--;
    hi_free(topic);
}

roan_hiredis_topic *roan_hiredis_topics_first(struct dict *topics)
{
    if (topics->count == 0)
        return NULL;
    while (topics->slots[topics->first_slot] == NULL)
        topics->first_slot++;
    return topics->slots[topics->first_slot];
}

size_t roan_hiredis_topics_count_confirmed(const struct dict *topics)
{
    size_t count = 0;

    for (size_t i = 0; i < topics->slot_count; i++)
        for (const roan_hiredis_topic *topic = topics->slots[i]; topic != NULL; topic = topic->next)
            count += topic->is_confirmed;
    return count;
}
