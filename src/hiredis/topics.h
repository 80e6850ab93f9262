/* hiredis/topics.h: names of channels or patterns and the callbacks of their subscriptions; a hash table. */
#pragma once

#include "hiredis/async.h"

#include <stdbool.h>

typedef struct roan_hiredis_topic {
    struct roan_hiredis_topic *next;
    redisCallback callback; /* pending_subs: SUBSCRIBE commands for it without an answer */
    bool is_confirmed;      /* the server has it */
    size_t bytes;
    char name[];
} roan_hiredis_topic;

/* The public header names the type and leaves it open. */
struct dict {
    roan_hiredis_topic **slots;
    size_t slot_count; /* a power of two */
    size_t count;
    size_t first_slot; /* all before it are empty */
};

/* NULL when out of memory. */
struct dict *roan_hiredis_topics_create(void);
/* Accepts NULL. Calls no callback. */
void roan_hiredis_topics_free(struct dict *topics);

roan_hiredis_topic *roan_hiredis_topics_find(const struct dict *topics, const char *name, size_t bytes);
/* The one with that name, or a new one without a callback; NULL when out of memory. */
roan_hiredis_topic *roan_hiredis_topics_add(struct dict *topics, const char *name, size_t bytes);
/* Takes it out and frees it. */
void roan_hiredis_topics_remove(struct dict *topics, roan_hiredis_topic *topic);
/* Any of them, or NULL. */
roan_hiredis_topic *roan_hiredis_topics_first(struct dict *topics);
size_t roan_hiredis_topics_count_confirmed(const struct dict *topics);
