/* server/users.h: the ACL file. */
#pragma once

#include "engine/acl.h"

/* Reads it and takes its users in place of all others. False: nothing changed, and ret_errors has the reasons. */
bool roan_users_load(roan_engine *engine, const roan_session *self, roan_buffer *ret_errors);
roan_status roan_users_save(const roan_engine *engine, roan_error *reterr) ROAN_MUST_CHECK;

/* At start: the users of the file, if there is one. Users in the configuration as well are an error. */
roan_status roan_users_load_at_start(roan_engine *engine, roan_error *reterr) ROAN_MUST_CHECK;
