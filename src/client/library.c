/* client/library.c: libraries of functions, loaded into servers that miss a function. See code.h.
 *
 * The long form is two requests in one: FUNCTION LOAD REPLACE, then the call as it was. The first answer counts when it
 * is an error, else the second one.
 */
#include "roan/script.h"

#include "base/macros.h"
#include "client/code.h"
#include "client/handle.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct roan_library {
    roan_code code;
};

static bool is_missing(const roan_failure *failure)
{
    return strcmp(failure->text, "ERR Function not found") == 0;
}

static void free_library(roan_code *code)
{
    free(code);
}

static roan_status finish(roan_future *future, roan_value **values, size_t count, roan_value **ret_result,
                          roan_failure *ret_failure)
{
    bool has_loaded = values[0]->type != ROAN_REPLY_ERROR;
    roan_value *reply = values[has_loaded ? 1 : 0];

    (void)future;
    ROAN_ASSERT(count == 2);
    roan_value_free(values[has_loaded ? 0 : 1]);
    free(values);
    if (reply->type == ROAN_REPLY_ERROR) {
        roan_failure_of_reply(ret_failure, reply);
        roan_value_free(reply);
        return ROAN_E_SERVER;
    }
    *ret_result = reply;
    return reply->type == ROAN_REPLY_NULL ? ROAN_NIL : ROAN_OK;
}

static bool bring_body(const roan_code *code, roan_future *future)
{
    char words[96];
    size_t words_bytes = (size_t)snprintf(
        words, sizeof words, "*4\r\n$8\r\nFUNCTION\r\n$4\r\nLOAD\r\n$7\r\nREPLACE\r\n$%zu\r\n", code->body_bytes);
    size_t bytes = words_bytes + code->body_bytes + 2 + future->request_bytes;
    roan_value **replies = calloc(2, sizeof *replies);
    char *request = malloc(bytes);
    char *at = request;

    if (replies == NULL || request == NULL) {
        free(replies);
        free(request);
        return false;
    }
    at = mempcpy(at, words, words_bytes);
    at = mempcpy(at, code->body, code->body_bytes);
    at = mempcpy(at, "\r\n", 2);
    at = mempcpy(at, future->request, future->request_bytes);
    ROAN_ASSERT(at == request + bytes);
    future->replies = replies;
    future->finish = finish;
    roan_future_exchange(future, request, bytes, 2);
    return true;
}

static const roan_code_kind library_kind = {.is_missing = is_missing, .bring_body = bring_body, .free = free_library};

/* ---- making ---- */

static bool is_word(roan_slice text)
{
    for (size_t i = 0; i < text.bytes; i++)
        if (!isalnum((unsigned char)text.data[i]) && text.data[i] != '_')
            return false;
    return text.bytes > 0;
}

roan_status roan_library_create(roan_library **ret_library, roan_slice engine, roan_slice name, roan_slice body,
                                roan_error *reterr)
{
    bool has_line = body.bytes >= 2 && memcmp(body.data, "#!", 2) == 0;
    roan_slice parts[] = {ROAN_LITERAL("#!"), engine, ROAN_LITERAL(" name="), name, ROAN_LITERAL("\n"), body};
    size_t first = has_line ? ROAN_COUNT_OF(parts) - 1 : 0;

    *ret_library = NULL;
    if (body.bytes == 0)
        return roan_error_set(reterr, ROAN_E_USAGE, "an empty library");
    if (has_line && (engine.bytes > 0 || name.bytes > 0))
        return roan_error_set(reterr, ROAN_E_USAGE,
                              "a library whose body begins with #! names its engine and itself there");
    if (!has_line && (!is_word(engine) || !is_word(name)))
        return roan_error_set(reterr, ROAN_E_USAGE,
                              "the engine and the name of a library are letters, digits and underscores");
    *ret_library = (roan_library *)roan_code_create(sizeof **ret_library, &library_kind, ROAN_COUNT_OF(parts) - first,
                                                    parts + first);
    if (*ret_library == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory for a library of %zu bytes", body.bytes);
    return ROAN_OK;
}

roan_library *roan_library_free(roan_library *library)
{
    if (library != NULL)
        roan_code_unref(&library->code);
    return NULL;
}

/* ---- using ---- */

roan_status roan_library_load(roan *client, roan_library *library, const roan_call *call)
{
    roan_slice words[] = {ROAN_LITERAL("FUNCTION"), ROAN_LITERAL("LOAD"), ROAN_LITERAL("REPLACE"),
                          {library->code.body, library->code.body_bytes}};

    return roan_do(client, ROAN_COUNT_OF(words), words, NULL, call);
}

roan_status roan_library_run(roan *client, roan_library *library, roan_slice function, size_t key_count,
                             const roan_slice *keys, size_t arg_count, const roan_slice *args, roan_value **ret_reply,
                             const roan_call *call)
{
    return roan_code_run(client, &library->code, ROAN_LITERAL("FCALL"), function, key_count, keys, arg_count, args,
                         ret_reply, call);
}

roan_future *roan_library_go(roan *client, roan_library *library, roan_slice function, size_t key_count,
                             const roan_slice *keys, size_t arg_count, const roan_slice *args, const roan_call *call)
{
    return roan_code_go(client, &library->code, ROAN_LITERAL("FCALL"), function, key_count, keys, arg_count, args,
                        call);
}

roan_status roan_library_run_ro(roan *client, roan_library *library, roan_slice function, size_t key_count,
                                const roan_slice *keys, size_t arg_count, const roan_slice *args,
                                roan_value **ret_reply, const roan_call *call)
{
    return roan_code_run(client, &library->code, ROAN_LITERAL("FCALL_RO"), function, key_count, keys, arg_count, args,
                         ret_reply, call);
}

roan_future *roan_library_go_ro(roan *client, roan_library *library, roan_slice function, size_t key_count,
                                const roan_slice *keys, size_t arg_count, const roan_slice *args, const roan_call *call)
{
    return roan_code_go(client, &library->code, ROAN_LITERAL("FCALL_RO"), function, key_count, keys, arg_count, args,
                        call);
}
