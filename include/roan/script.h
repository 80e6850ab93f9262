/* roan/script.h: Lua scripts and libraries of functions that load themselves.
 *
 *     roan_script *script;
 *
 *     roan_script_create(&script, ROAN_LITERAL("return redis.call('INCRBY', KEYS[1], ARGV[1])"), false, NULL);
 *     roan_script_run(client, script, 1, &key, 1, &amount, &reply, NULL);
 *
 * A run sends the script's SHA1 only. When the server does not know the script (first use, restart, SCRIPT FLUSH,
 * another server after a failover), the library sends its body, under the same deadline, and the caller sees one
 * result. Runs of the same script that others have under way at that moment wait behind the first body instead of
 * sending their own.
 *
 * Keys get the handle's key prefix, arguments and the script's text do not. Scripts and libraries never change after
 * they were created: any number of threads and handles may share one, and it may be freed while runs are under way.
 *
 * Retries: nobody can know what a script does, so only read-only ones are tried again when a connection is lost, unless
 * roan_call.retry says otherwise. On a lease inside MULTI the answer to a run is QUEUED, and nothing is loaded for
 * it: use a batch. A script must not return an error that begins with NOSCRIPT, as it would be taken for the server's.
 */
#ifndef ROAN_SCRIPT_H
#define ROAN_SCRIPT_H

#include "roan/batch.h"
#include "roan/client.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- scripts --------------------------------------------------------------------------------------------------- */

typedef struct roan_script roan_script;

#define ROAN_SCRIPT_SHA_CHARS 40

/* Copies the body. is_read_only: it is run by EVALSHA_RO (Redis 7), which refuses to write and is safe to try again.
 * ROAN_E_USAGE for an empty body, ROAN_E_NOMEM. */
ROAN_API roan_status roan_script_create(roan_script **ret_script, roan_slice body, bool is_read_only,
                                        roan_error *reterr) ROAN_MUST_CHECK;

/* Accepts NULL; returns NULL. */
ROAN_API roan_script *roan_script_free(roan_script *script);

/* The SHA1 of the body, in lower-case hexadecimal digits, terminated. Lives as long as the script. */
ROAN_API const char *roan_script_sha(const roan_script *script);

/* Runs it; as roan_do. */
ROAN_API roan_status roan_script_run(roan *client, roan_script *script, size_t key_count, const roan_slice *keys,
                                     size_t arg_count, const roan_slice *args, roan_value **ret_reply,
                                     const roan_call *call);

/* Begins to run it; as roan_go. */
ROAN_API roan_future *roan_script_go(roan *client, roan_script *script, size_t key_count, const roan_slice *keys,
                                     size_t arg_count, const roan_slice *args, const roan_call *call);

/* Adds a run to a batch. The first run of a script in a batch brings its body along, later ones rely on that: nothing
 * could be loaded in the middle of a batch. */
ROAN_API void roan_script_add(roan_batch *batch, roan_script *script, size_t key_count, const roan_slice *keys,
                              size_t arg_count, const roan_slice *args);

/* ---- libraries of functions (Redis 7) ---------------------------------------------------------------------------- */

typedef struct roan_library roan_library;

/* Copies the body. Either the body begins with its own line "#!lua name=stock", then engine and name must be empty; or
 * that line is made of them: ROAN_LITERAL("lua"), ROAN_LITERAL("stock"). ROAN_E_USAGE or ROAN_E_NOMEM. */
ROAN_API roan_status roan_library_create(roan_library **ret_library, roan_slice engine, roan_slice name,
                                         roan_slice body, roan_error *reterr) ROAN_MUST_CHECK;

/* Accepts NULL; returns NULL. */
ROAN_API roan_library *roan_library_free(roan_library *library);

/* Loads it now, in place of one of the same name (FUNCTION LOAD REPLACE). Not needed before calls; for a new version of
 * a library whose functions the server knows already. */
ROAN_API roan_status roan_library_load(roan *client, roan_library *library, const roan_call *call);

/* Calls one of its functions (FCALL); as roan_do. When the server does not know the function, the library is loaded, in
 * place of one of the same name, and the function called again. If loading fails, that is the call's failure. */
ROAN_API roan_status roan_library_run(roan *client, roan_library *library, roan_slice function, size_t key_count,
                                      const roan_slice *keys, size_t arg_count, const roan_slice *args,
                                      roan_value **ret_reply, const roan_call *call);
ROAN_API roan_future *roan_library_go(roan *client, roan_library *library, roan_slice function, size_t key_count,
                                      const roan_slice *keys, size_t arg_count, const roan_slice *args,
                                      const roan_call *call);

/* The same by FCALL_RO, for functions with the flag no-writes: safe to try again. */
ROAN_API roan_status roan_library_run_ro(roan *client, roan_library *library, roan_slice function, size_t key_count,
                                         const roan_slice *keys, size_t arg_count, const roan_slice *args,
                                         roan_value **ret_reply, const roan_call *call);
ROAN_API roan_future *roan_library_go_ro(roan *client, roan_library *library, roan_slice function, size_t key_count,
                                         const roan_slice *keys, size_t arg_count, const roan_slice *args,
                                         const roan_call *call);

#ifdef __cplusplus
}
#endif
#endif
