/* server/files.c: reading small files whole and replacing them in one step.
 *
 *     PATH ... PATH.new-XXXXXX written --fsync--> --rename--> PATH --fsync of the folder--> done
 *
 * A failure at any point removes the temporary file and leaves PATH alone.
 */
#include "server/files.h"

#include "engine/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES ((size_t)64 * 1024)

roan_status roan_file_read_fd(int fd, const char *name, size_t bytes_max, roan_buffer *ret_text, roan_error *reterr)
{
    size_t start = ret_text->bytes;
    for (;;) { /* ends at bytes_max */
        roan_buffer_reserve(ret_text, READ_BYTES);
        ssize_t bytes = read(fd, ret_text->data + ret_text->bytes, READ_BYTES);
        if (bytes < 0 && errno == EINTR)
            continue;
        if (bytes < 0)
            return roan_error_set_errno(reterr, errno, "cannot read '%s'", name);
        if (bytes == 0)
            return ROAN_OK;
        ret_text->bytes += (size_t)bytes;
        if (ret_text->bytes - start > bytes_max)
            return roan_error_set(reterr, ROAN_E_CONFIG, "'%s' is larger than %zu bytes; is it the right file?", name,
                                  bytes_max);
    }
}

roan_status roan_file_read(const char *path, size_t bytes_max, roan_buffer *ret_text, roan_error *reterr)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return roan_error_set_errno(reterr, errno, "cannot read '%s'", path);
    roan_status status = roan_file_read_fd(fd, path, bytes_max, ret_text, reterr);
    close(fd);
    return status;
}

static roan_status write_all(int fd, roan_slice text, const char *path, roan_error *reterr)
{
    while (text.bytes > 0) {
        ssize_t bytes = write(fd, text.data, text.bytes);
        if (bytes < 0 && errno == EINTR)
            continue;
        if (bytes <= 0)
            return roan_error_set_errno(reterr, bytes < 0 ? errno : EIO, "cannot write '%s'", path);
        text = roan_slice_make(text.data + bytes, text.bytes - (size_t)bytes);
    }
    return ROAN_OK;
}

/* The name alone lives in the folder, so the folder is synced, too. */
static roan_status sync_folder(const char *path, roan_error *reterr)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];
    size_t bytes = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (bytes >= sizeof folder)
        return roan_error_set_errno(reterr, ENAMETOOLONG, "cannot sync the folder of '%s'", path);
    memcpy(folder, bytes > 0 ? path : ".", bytes > 0 ? bytes : 1);
    folder[bytes > 0 ? bytes : 1] = '\0';
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return roan_error_set_errno(reterr, errno, "cannot open the folder '%s'", folder);
    int failure = fsync(fd) == 0 || errno == EINVAL ? 0 : errno; /* EINVAL: this file system has nothing to sync */
    close(fd);
    return failure == 0 ? ROAN_OK : roan_error_set_errno(reterr, failure, "cannot sync the folder '%s'", folder);
}

static roan_status write_temporary(int fd, const char *path, roan_slice text, roan_error *reterr)
{
    struct stat old;
    roan_status status = write_all(fd, text, path, reterr);
    if (status == ROAN_OK && stat(path, &old) == 0) {
        ROAN_IGNORE(fchown(fd, old.st_uid, old.st_gid)); /* only root may, and need */
        if (fchmod(fd, old.st_mode & 07777) != 0)
            status = roan_error_set_errno(reterr, errno, "cannot set the permissions of '%s'", path);
    }
    if (status == ROAN_OK && fsync(fd) != 0)
        status = roan_error_set_errno(reterr, errno, "cannot sync '%s'", path);
    return status;
}

roan_status roan_file_replace(const char *path, roan_slice text, roan_error *reterr)
{
    char target[PATH_MAX], temporary[PATH_MAX + 16];
    if (realpath(path, target) == NULL) {
        if (errno != ENOENT || (size_t)snprintf(target, sizeof target, "%s", path) >= sizeof target)
            return roan_error_set_errno(reterr, errno, "cannot replace '%s'", path);
    }
    ROAN_IGNORE(snprintf(temporary, sizeof temporary, "%s.new-XXXXXX", target)); /* fits: see its size */
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return roan_error_set_errno(reterr, errno, "cannot create '%s'", temporary);
    roan_status status = write_temporary(fd, target, text, reterr);
    if (close(fd) != 0 && status == ROAN_OK)
        status = roan_error_set_errno(reterr, errno, "cannot write '%s'", temporary);
    if (status == ROAN_OK && rename(temporary, target) != 0)
        status = roan_error_set_errno(reterr, errno, "cannot rename '%s'", temporary);
    if (status != ROAN_OK) {
        unlink(temporary);
        return status;
    }
    return sync_folder(target, reterr);
}

roan_status roan_file_rewrite_config(void *context, const roan_config *config, bool is_full, roan_error *reterr)
{
    const char *path = context;
    roan_buffer old_text = {0}, new_text = {0};
    roan_status status = ROAN_OK;
    if (access(path, F_OK) == 0)
        status = roan_file_read(path, ROAN_CONFIG_FILE_BYTES_MAX, &old_text, reterr);
    if (status == ROAN_OK) {
        roan_config_rewrite(config, roan_buffer_slice(&old_text), is_full, &new_text);
        status = roan_file_replace(path, roan_buffer_slice(&new_text), reterr);
    }
    roan_buffer_done(&old_text);
    roan_buffer_done(&new_text);
    return status;
}
