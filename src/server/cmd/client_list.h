/* server/cmd/client_list.h: connections as CLIENT LIST and CLIENT KILL see them, and choosing some of them.
 * The gate is shut while more than the caller's own session is looked at. */
#pragma once

#include "engine/call.h"

/* A session with what its transport says about it. */
typedef struct roan_client_view {
    roan_session *session;
    roan_transport_info info;
    char flags[24]; /* the letters of the field `flags` */
} roan_client_view;

void roan_client_look(roan_session *session, roan_client_view *ret_view);

/* roan_host.describe_session */
void roan_client_describe_caller(void *context, const roan_call *call, roan_buffer *ret_line);

/* ---- filters: client_filter.c ---- */

/* What can be asked of a connection: word, may it be negated by NOT-. */
#define ROAN_CLIENT_CONDITION_LIST(X)                                                                     \
    X(TYPE, "type", true) X(USER, "user", true) X(ADDR, "addr", true) X(LADDR, "laddr", true)             \
    X(IP, "ip", true) X(NAME, "name", true) X(FLAGS, "flags", true) X(CAPA, "capa", true)                 \
    X(LIB_NAME, "lib-name", true) X(LIB_VER, "lib-ver", true) X(DB, "db", true)                           \
    X(MAXAGE, "maxage", false) X(IDLE, "idle", false)
enum {
#define ROAN_CLIENT_CONDITION_ENUM(name, word, can_negate) ROAN_CLIENT_##name,
    ROAN_CLIENT_CONDITION_LIST(ROAN_CLIENT_CONDITION_ENUM) ROAN_CLIENT_CONDITION_COUNT
#undef ROAN_CLIENT_CONDITION_ENUM
};

typedef struct roan_client_condition {
    bool is_set;
    roan_slice text;
    int64_t number; /* TYPE (roan_client_type), DB, MAXAGE, IDLE */
} roan_client_condition;

typedef enum roan_client_type {
    ROAN_CLIENT_TYPE_NORMAL,
    ROAN_CLIENT_TYPE_REPLICA,
    ROAN_CLIENT_TYPE_PUBSUB,
    ROAN_CLIENT_TYPE_PRIMARY,
} roan_client_type;

/* Several IDs, sorted. */
typedef struct roan_client_ids {
    uint64_t *ids;
    size_t count, room;
    bool is_set;
} roan_client_ids;

/* All that is set must hold. [1] is what follows NOT-. Zero lets everything through. */
typedef struct roan_client_filter {
    roan_client_condition conditions[2][ROAN_CLIENT_CONDITION_COUNT];
    roan_client_ids ids[2];
    bool skip_me;
} roan_client_filter;

/* Reads the words from `first` on into `filter`, in which skip_me is set to its default. False after an error was sent;
 * the filter holds nothing then. */
bool roan_client_filter_parse(roan_client_filter *filter, roan_call *call, size_t first);
void roan_client_filter_done(roan_client_filter *filter);

/* Everything but skip_me. */
bool roan_client_filter_matches(const roan_client_filter *filter, const roan_client_view *view, int64_t now_ms);

/* The connections a filter lets through, oldest first, in an array that is the caller's: free *ret_room pointers. */
size_t roan_client_select(roan_call *call, const roan_client_filter *filter, roan_session ***ret_sessions,
                          size_t *ret_room);
