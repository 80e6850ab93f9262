/* client/faces.c: hands over commands that were put together, and decodes what comes back.
 *
 * The functions of roan/client_commands.h end here. Whatever happens, the words are given back. A command that could
 * not be put together is refused in the way of its face (faces.h). A reply of an unexpected type is a failure of its
 * own: the command ran.
 */
#include "client/faces.h"

#include "base/macros.h"
#include "roan/words.h"

#include <stdlib.h>

roan_status roan_words_do(roan *client, roan_words *words, roan_value **ret_reply, const roan_call *call)
{
    roan_status status;

    if (words->status == ROAN_OK) {
        status = roan_do(client, words->count, words->words, ret_reply, call);
    } else {
        if (ret_reply != NULL)
            *ret_reply = NULL;
        status = roan_do_refused(client, words->status, words->problem);
    }
    roan_words_done(words);
    return status;
}

/* A reply whose decoding came to `decoded` is done with. */
static roan_status finish(roan *client, roan_value *reply, roan_status decoded)
{
    roan_value_free(reply);
    if (decoded == ROAN_E_TYPE)
        return roan_do_mistyped(client, decoded, "the reply has a type that does not fit the function");
    if (decoded == ROAN_E_INVALID)
        return roan_do_mistyped(client, decoded, "the reply does not fit the buffer");
    if (decoded == ROAN_E_NOMEM)
        return roan_do_mistyped(client, decoded, "out of memory for the result");
    return decoded;
}

roan_status roan_words_do_status(roan *client, roan_words *words, const roan_call *call)
{
    roan_value *reply;
    roan_status status = roan_words_do(client, words, &reply, call);

    return status == ROAN_OK ? finish(client, reply, roan_decode_status(reply)) : status;
}

roan_status roan_words_do_integer(roan *client, roan_words *words, int64_t *ret_integer, const roan_call *call)
{
    roan_value *reply;
    roan_status status = roan_words_do(client, words, &reply, call);

    if (ret_integer != NULL)
        *ret_integer = 0;
    return status == ROAN_OK ? finish(client, reply, roan_decode_integer(reply, ret_integer)) : status;
}

roan_status roan_words_do_bool(roan *client, roan_words *words, bool *ret_bool, const roan_call *call)
{
    roan_value *reply;
    roan_status status = roan_words_do(client, words, &reply, call);

    if (ret_bool != NULL)
        *ret_bool = false;
    return status == ROAN_OK ? finish(client, reply, roan_decode_bool(reply, ret_bool)) : status;
}

roan_status roan_words_do_double(roan *client, roan_words *words, double *ret_double, const roan_call *call)
{
    roan_value *reply;
    roan_status status = roan_words_do(client, words, &reply, call);

    if (ret_double != NULL)
        *ret_double = 0;
    return status == ROAN_OK ? finish(client, reply, roan_decode_double(reply, ret_double)) : status;
}

roan_status roan_words_do_bytes(roan *client, roan_words *words, roan_bytes *ret_bytes, const roan_call *call)
{
    roan_value *reply;
    roan_status status = roan_words_do(client, words, &reply, call);

    if (ret_bytes != NULL)
        *ret_bytes = (roan_bytes){NULL, 0};
    return status == ROAN_OK ? finish(client, reply, roan_decode_bytes(reply, ret_bytes)) : status;
}

roan_status roan_words_do_old(roan *client, roan_words *words, roan_bytes *ret_old, const roan_call *call)
{
    roan_value *reply;
    roan_status status = roan_words_do(client, words, &reply, call);

    if (ret_old != NULL)
        *ret_old = (roan_bytes){NULL, 0};
    if (status != ROAN_OK)
        return status;
    if (reply->type == ROAN_REPLY_STATUS)
        return finish(client, reply, ROAN_OK);
    return finish(client, reply, roan_decode_bytes(reply, ret_old));
}

roan_status roan_words_do_time(roan *client, roan_words *words, roan_time_of_day *ret_time, const roan_call *call)
{
    roan_value *reply;
    roan_status status = roan_words_do(client, words, &reply, call);

    if (ret_time != NULL)
        *ret_time = (roan_time_of_day){0, 0};
    return status == ROAN_OK ? finish(client, reply, roan_decode_time(reply, ret_time)) : status;
}

roan_status roan_words_do_into(roan *client, roan_words *words, char *buffer, size_t capacity, size_t *ret_bytes,
                               const roan_call *call)
{
    roan_value *reply;
    roan_slice text = {NULL, 0};
    roan_status status = roan_words_do(client, words, &reply, call);

    if (ret_bytes != NULL)
        *ret_bytes = 0;
    if (status != ROAN_OK)
        return status;
    status = roan_decode_text(reply, &text);
    if (status == ROAN_OK) {
        size_t copied = ROAN_MIN(text.bytes, capacity);
        if (copied > 0)
            memcpy(buffer, text.data, copied);
        if (ret_bytes != NULL)
            *ret_bytes = text.bytes;
        status = copied == text.bytes ? ROAN_OK : ROAN_E_INVALID;
    }
    return finish(client, reply, status);
}

roan_future *roan_words_go(roan *client, roan_words *words, const roan_call *call)
{
    roan_future *future = words->status == ROAN_OK ? roan_go(client, words->count, words->words, call)
                                                   : roan_go_refused(client, words->status, words->problem, call);

    roan_words_done(words);
    return future;
}
