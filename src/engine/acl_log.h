/* engine/acl_log.h: what ACL LOG shows: the newest refusals, equal ones counted together. */
#pragma once

#include "engine/acl_user.h"

#include <stddef.h>
#include <stdint.h>

typedef struct roan_acl_log roan_acl_log;

typedef enum roan_acl_context {
    ROAN_ACL_CONTEXT_TOP,
    ROAN_ACL_CONTEXT_SCRIPT,
    ROAN_ACL_CONTEXT_MULTI
} roan_acl_context;

typedef struct roan_acl_log_entry {
    uint64_t id, count;
    roan_acl_reason reason;
    roan_acl_context context;
    roan_slice object, user, client; /* client: a line of CLIENT LIST */
    int64_t created_ms, updated_ms;
} roan_acl_log_entry;

roan_acl_log *roan_acl_log_create(void);
void roan_acl_log_free(roan_acl_log *log);

/* Adds a copy of an entry (its id, count and created_ms are not looked at), or counts it with an equal one that is not
 * old. At most max_count are kept, the newest. Any lane. */
void roan_acl_log_add(roan_acl_log *log, const roan_acl_log_entry *entry, int64_t max_count);

/* Visits at most max_count entries, newest first, under the lock; returns how many that were. */
size_t roan_acl_log_visit(roan_acl_log *log, size_t max_count,
                          void (*visit)(void *context, const roan_acl_log_entry *entry), void *context);
void roan_acl_log_clear(roan_acl_log *log);
