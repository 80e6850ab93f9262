/* engine/acl_texts.h: a list of texts that belong to it. Zero-initialise it; roan_acl_texts_clear() frees what it
 * holds. */
#pragma once

#include "base/buffer.h"

#include <stdbool.h>

typedef struct roan_acl_texts {
    roan_slice *items;
    size_t count, capacity;
} roan_acl_texts;

#define ROAN_ACL_TEXT_NONE SIZE_MAX

/* Adds a copy. */
void roan_acl_texts_add(roan_acl_texts *texts, roan_slice text);
/* The place of an equal text, or ROAN_ACL_TEXT_NONE. */
size_t roan_acl_texts_find(const roan_acl_texts *texts, roan_slice text);
void roan_acl_texts_remove(roan_acl_texts *texts, size_t index);
void roan_acl_texts_clear(roan_acl_texts *texts);
/* Adds copies of all of them. */
void roan_acl_texts_add_all(roan_acl_texts *texts, const roan_acl_texts *more);

roan_slice roan_acl_text_dup(roan_slice text);
void roan_acl_text_free(roan_slice text);
