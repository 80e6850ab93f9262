/* engine/acl.h: the users of an engine, and what its sessions are refused.
 *
 *   session ─► user ─► selectors        session->modes has ROAN_MODE_RESTRICTED while the user may not do everything
 *
 * Users change with the gate shut (ACL SETUSER, DELUSER, LOAD; CONFIG SET requirepass) and are read freely. A user
 * stays where it is while it changes. Sessions of a user that goes away are closed and belong to "default" for their
 * last moments, so that no session ever points to a user that is not there.
 *
 * For who runs commands (dispatch, EXEC, a waiting command's retry, scripts):
 *
 *     roan_acl_refusal refusal = roan_acl_ask(session, command, argc, argv);
 *     if (refusal.reason != ROAN_ACL_ALLOWED) {
 *         roan_acl_report(call, command, argv, refusal, ROAN_ACL_CONTEXT_SCRIPT);      counters, ACL LOG
 *         roan_acl_refusal_text(session->user, command, argv, refusal, false, &text);
 *     }
 */
#pragma once

#include "engine/acl_log.h"
#include "engine/acl_user.h"
#include "engine/call.h"

typedef struct roan_acl {
    roan_acl_user **users; /* sorted by name */
    size_t count, capacity;
    roan_acl_user *default_user; /* one of them, always the same */
    roan_acl_log *log;
} roan_acl;

/* The users of the configuration: "default" with requirepass, then the `user` lines. */
roan_acl *roan_acl_create(const roan_config *config);
void roan_acl_free(roan_acl *acl);

/* Borrowed, until the users change; NULL: there is none of that name. */
roan_acl_user *roan_acl_find(const roan_acl *acl, roan_slice name);

/* Does a connection need no AUTH? */
static inline bool roan_acl_is_open(const roan_acl *acl)
{
    return acl->default_user->is_on && acl->default_user->needs_no_password;
}

/* ---- sessions ---- */

/* The session acts for this user from now on. Own lane, or gate shut. */
void roan_acl_set_session_user(roan_session *session, roan_acl_user *user);
/* Logs in. False: no such user, off, or the wrong password; that was logged. */
bool roan_acl_log_in(roan_call *call, roan_slice name, roan_slice password);

/* ---- asking ---- */

/* What is refused when the session runs this in its database. */
roan_acl_refusal roan_acl_ask(const roan_session *session, const roan_command *command, size_t argc,
                              const roan_slice *argv);

/* Counts and logs a refusal. `client`: a call of the session that was refused, which the log describes. */
void roan_acl_report(const roan_call *client, const roan_command *command, const roan_slice *argv,
                     roan_acl_refusal refusal, roan_acl_context context);

/* Is the call refused? Then that is counted and logged, and ret_text (emptied first) is a text: "NOPERM ...". */
bool roan_acl_refuses(const roan_call *call, roan_buffer *ret_text);

/* "User x has no permissions to run the 'get' command". is_full names keys, channels and databases, too. */
void roan_acl_refusal_text(const roan_acl_user *user, const roan_command *command, const roan_slice *argv,
                           roan_acl_refusal refusal, bool is_full, roan_buffer *ret_text);

/* May the call's user run it and read every key besides (SORT BY, GET)? */
bool roan_acl_call_may_read_all(const roan_call *call);

/* ---- changing; the gate is shut ---- */

/* Makes or changes a user: all rules, or none after an error, whose text is without its code. */
bool roan_acl_set_user(roan_engine *engine, const roan_session *self, roan_slice name, size_t argc,
                       const roan_slice *argv, roan_buffer *ret_error);

/* False: there is no such user. Its connections are closed; `self` gets its answer first. */
bool roan_acl_delete_user(roan_engine *engine, const roan_session *self, roan_slice name);

/* The users of an ACL file (lines of "user NAME rules") in place of all others. False: the text has faults, told in
 * ret_errors, and nothing has changed. `path` is for the errors. */
bool roan_acl_load(roan_engine *engine, const roan_session *self, const char *path, roan_slice text,
                   roan_buffer *ret_errors);
/* All users as the text of such a file. */
void roan_acl_print(const roan_acl *acl, roan_buffer *ret_text);

/* requirepass was set: the default user's only password. */
void roan_acl_password_changed(roan_engine *engine);

/* Writes the users to the configuration, for CONFIG REWRITE; none when there is an ACL file. */
void roan_acl_store(roan_engine *engine);
