/* server/users.c: reading and writing the file of `aclfile`. What is in it: engine/acl.h. */
#include "server/users.h"

#include "server/files.h"

#include <string.h>

#define FILE_BYTES_MAX ((size_t)256 << 20)

bool roan_users_load(roan_engine *engine, const roan_session *self, roan_buffer *ret_errors)
{
    const char *path = engine->config.aclfile;
    roan_buffer text = {0};
    roan_error error;
    bool is_loaded = false;
    if (roan_file_read(path, FILE_BYTES_MAX, &text, &error) == ROAN_OK)
        is_loaded = roan_acl_load(engine, self, path, roan_buffer_slice(&text), ret_errors);
    else
        roan_buffer_printf(ret_errors, "Error loading ACLs, opening file '%s': %s", path,
                           error.os_errno != 0 ? strerror(error.os_errno) : error.text);
    roan_buffer_done(&text);
    return is_loaded;
}

roan_status roan_users_save(const roan_engine *engine, roan_error *reterr)
{
    roan_buffer text = {0};
    roan_acl_print(engine->acl, &text);
    roan_status status = roan_file_replace(engine->config.aclfile, roan_buffer_slice(&text), reterr);
    roan_buffer_done(&text);
    return status;
}

roan_status roan_users_load_at_start(roan_engine *engine, roan_error *reterr)
{
    const roan_config *config = &engine->config;
    if (config->aclfile[0] == '\0')
        return ROAN_OK;
    if (config->users[0] != '\0')
        return roan_error_set(reterr, ROAN_E_CONFIG, "there are both an aclfile and `user` lines in the configuration; "
                              "have the users in one place");
    roan_buffer errors = {0};
    roan_status status = ROAN_OK;
    if (!roan_users_load(engine, NULL, &errors))
        status = roan_error_set(reterr, ROAN_E_CONFIG, "%.*s", ROAN_SLICE_ARG(roan_buffer_slice(&errors)));
    roan_buffer_done(&errors);
    return status;
}
