/* client/script.c: scripts by their SHA1, with the body sent to servers that miss it. See code.h.
 *
 * The long form is made from the bytes of the short one, whose keys have their prefix already:
 *
 *     *5 CRLF | $7 CRLF EVALSHA CRLF $40 CRLF 2b1f... CRLF | $1 CRLF 1 CRLF key arg ...
 *       head  | becomes   EVAL and the body                | tail
 */
#include "roan/script.h"

#include "base/macros.h"
#include "base/sha1.h"
#include "client/code.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct roan_script {
    roan_code code;
    bool is_read_only;
    char sha[ROAN_SCRIPT_SHA_CHARS + 1];
};

static bool is_missing(const roan_failure *failure)
{
    return strcmp(failure->server_code, "NOSCRIPT") == 0;
}

static void free_script(roan_code *code)
{
    free(code);
}

/* "$7\r\nEVALSHA\r\n$40\r\n", digits, "\r\n": the length does not depend on the script. */
static size_t short_words_bytes(const roan_script *script)
{
    return script->is_read_only ? sizeof "$10\r\nEVALSHA_RO\r\n$40\r\n\r\n" - 1 + ROAN_SCRIPT_SHA_CHARS
                                : sizeof "$7\r\nEVALSHA\r\n$40\r\n\r\n" - 1 + ROAN_SCRIPT_SHA_CHARS;
}

static bool bring_body(const roan_code *code, roan_future *future)
{
    const roan_script *script = (const roan_script *)code;
    const char *head_end = memchr(future->request, '\n', future->request_bytes);
    char words[64];
    size_t words_bytes;
    size_t head_bytes;
    size_t tail_at;
    size_t bytes;
    char *request;
    char *at;

    ROAN_ASSERT(head_end != NULL);
    head_bytes = (size_t)(head_end - future->request) + 1;
    tail_at = head_bytes + short_words_bytes(script);
    ROAN_ASSERT(tail_at < future->request_bytes);
    words_bytes = (size_t)snprintf(words, sizeof words, "%s$%zu\r\n",
                                   script->is_read_only ? "$7\r\nEVAL_RO\r\n" : "$4\r\nEVAL\r\n", code->body_bytes);
    bytes = future->request_bytes - (tail_at - head_bytes) + words_bytes + code->body_bytes + 2;
    at = request = malloc(bytes);
    if (request == NULL)
        return false;
    at = mempcpy(at, future->request, head_bytes);
    at = mempcpy(at, words, words_bytes);
    at = mempcpy(at, code->body, code->body_bytes);
    at = mempcpy(at, "\r\n", 2);
    at = mempcpy(at, future->request + tail_at, future->request_bytes - tail_at);
    ROAN_ASSERT(at == request + bytes);
    roan_future_exchange(future, request, bytes, 1);
    return true;
}

static const roan_code_kind script_kind = {.is_missing = is_missing, .bring_body = bring_body, .free = free_script};

roan_status roan_script_create(roan_script **ret_script, roan_slice body, bool is_read_only, roan_error *reterr)
{
    unsigned char digest[ROAN_SHA1_BYTES];
    roan_script *script;

    *ret_script = NULL;
    if (body.bytes == 0)
        return roan_error_set(reterr, ROAN_E_USAGE, "an empty script");
    script = (roan_script *)roan_code_create(sizeof *script, &script_kind, 1, &body);
    if (script == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory for a script of %zu bytes", body.bytes);
    script->is_read_only = is_read_only;
    roan_sha1(body.data, body.bytes, digest);
    for (size_t i = 0; i < ROAN_SHA1_BYTES; i++)
        ROAN_IGNORE(snprintf(script->sha + 2 * i, 3, "%02x", digest[i]));
    *ret_script = script;
    return ROAN_OK;
}

roan_script *roan_script_free(roan_script *script)
{
    if (script != NULL)
        roan_code_unref(&script->code);
    return NULL;
}

const char *roan_script_sha(const roan_script *script)
{
    return script->sha;
}

static roan_slice command_of(const roan_script *script)
{
    return script->is_read_only ? ROAN_LITERAL("EVALSHA_RO") : ROAN_LITERAL("EVALSHA");
}

roan_status roan_script_run(roan *client, roan_script *script, size_t key_count, const roan_slice *keys,
                            size_t arg_count, const roan_slice *args, roan_value **ret_reply, const roan_call *call)
{
    return roan_code_run(client, &script->code, command_of(script), roan_slice_make(script->sha, ROAN_SCRIPT_SHA_CHARS),
                         key_count, keys, arg_count, args, ret_reply, call);
}

roan_future *roan_script_go(roan *client, roan_script *script, size_t key_count, const roan_slice *keys,
                            size_t arg_count, const roan_slice *args, const roan_call *call)
{
    return roan_code_go(client, &script->code, command_of(script), roan_slice_make(script->sha, ROAN_SCRIPT_SHA_CHARS),
                        key_count, keys, arg_count, args, call);
}

void roan_script_add(roan_batch *batch, roan_script *script, size_t key_count, const roan_slice *keys, size_t arg_count,
                     const roan_slice *args)
{
    roan_slice command = script->is_read_only ? ROAN_LITERAL("EVAL_RO") : ROAN_LITERAL("EVAL");

    if (roan_batch_brings(batch, script->code.id))
        roan_code_add(batch, command_of(script), roan_slice_make(script->sha, ROAN_SCRIPT_SHA_CHARS), key_count, keys,
                      arg_count, args);
    else
        roan_code_add(batch, command, roan_slice_make(script->code.body, script->code.body_bytes), key_count, keys,
                      arg_count, args);
}
