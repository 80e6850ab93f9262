/* server/files.h: small files, whole: read into a buffer, replaced in one step. */
#pragma once

#include "base/buffer.h"
#include "engine/config.h"

#define ROAN_CONFIG_FILE_BYTES_MAX ((size_t)16 << 20)

/* Appends the whole file to `ret_text`; at most bytes_max bytes. */
roan_status roan_file_read(const char *path, size_t bytes_max, roan_buffer *ret_text,
                           roan_error *reterr) ROAN_MUST_CHECK;

/* The same from an open descriptor; `name` is for errors. */
roan_status roan_file_read_fd(int fd, const char *name, size_t bytes_max, roan_buffer *ret_text,
                              roan_error *reterr) ROAN_MUST_CHECK;

/* Puts `text` where the file is, or makes a new one. Whoever opens the path sees the old or the new text, whole, also
 * after a crash: a temporary file is written, synced and renamed. A symbolic link stays one; mode and, where possible,
 * owner are kept. A new file is readable by its owner only. */
roan_status roan_file_replace(const char *path, roan_slice text, roan_error *reterr) ROAN_MUST_CHECK;

/* roan_config_hooks.rewrite for the file whose path is `context` (a NUL-terminated text). */
roan_status roan_file_rewrite_config(void *context, const roan_config *config, bool is_full,
                                     roan_error *reterr) ROAN_MUST_CHECK;
