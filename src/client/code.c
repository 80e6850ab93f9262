/* client/code.c: see code.h. The lock of a code is held for a few instructions only. */
#include "client/code.h"

#include "base/macros.h"
#include "client/faces.h"
#include "client/handle.h"
#include "roan/words.h"

#include <stdlib.h>
#include <string.h>

/* How often a run relies on the body of another one before it brings its own. */
#define RELIES_MAX 2

/* Of one run. */
typedef struct plan {
    roan_code *code;
    uint64_t serial;
    unsigned relies;
    bool has_body;
} plan;

static _Atomic uint64_t last_id;

roan_code *roan_code_create(size_t bytes, const roan_code_kind *kind, size_t part_count, const roan_slice *parts)
{
    roan_code *code = calloc(1, bytes);
    size_t total = 0;
    char *at;

    for (size_t i = 0; i < part_count; i++)
        total += parts[i].bytes;
    if (code != NULL)
        code->body = malloc(total + 1);
    if (code == NULL || code->body == NULL) {
        free(code);
        return NULL;
    }
    at = code->body;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].bytes > 0)
            memcpy(at, parts[i].data, parts[i].bytes);
        at += parts[i].bytes;
    }
    code->body_bytes = total;
    code->kind = kind;
    code->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
    atomic_init(&code->references, 1);
    ROAN_ASSERT(pthread_mutex_init(&code->lock, NULL) == 0);
    return code;
}

void roan_code_unref(roan_code *code)
{
    if (atomic_fetch_sub_explicit(&code->references, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&code->lock);
    free(code->body);
    code->kind->free(code);
}

/* ---- missing ---- */

/* Code's lock held. Is a body on this connection that went out later than our short form? */
static bool has_body_ahead(const roan_code *code, plan *run, const roan_link *link)
{
    for (unsigned i = 0; i < ROAN_CODE_RECORDS; i++)
        if (code->records[i].link == link && code->records[i].epoch == link->epoch &&
            code->records[i].serial > run->serial) {
            run->serial = code->serial;
            return true;
        }
    return false;
}

/* Code's lock held. */
static void note_body(roan_code *code, const roan_link *link)
{
    unsigned index = code->next_record;

    for (unsigned i = 0; i < ROAN_CODE_RECORDS; i++)
        if (code->records[i].link == link)
            index = i;
    if (index == code->next_record)
        code->next_record = (index + 1) % ROAN_CODE_RECORDS;
    code->records[index].link = link;
    code->records[index].epoch = link->epoch;
    code->records[index].serial = ++code->serial;
}

static bool on_error(roan_link *link, roan_future *future, const roan_failure *failure)
{
    plan *run = future->plan;
    roan_code *code = run->code;
    bool goes_again = false;

    if (run->has_body || !code->kind->is_missing(failure))
        return false;
    pthread_mutex_lock(&code->lock);
    if (run->relies < RELIES_MAX && has_body_ahead(code, run, link)) {
        run->relies++;
        goes_again = true;
    } else if (code->kind->bring_body(code, future)) {
        note_body(code, link);
        run->has_body = goes_again = true;
    }
    pthread_mutex_unlock(&code->lock);
    return goes_again;
}

static void free_plan(void *argument)
{
    plan *run = argument;

    roan_code_unref(run->code);
    free(run);
}

static bool make_plan(roan_code *code, roan_future *future)
{
    plan *run = calloc(1, sizeof *run);

    if (run == NULL)
        return false;
    run->code = code;
    atomic_fetch_add_explicit(&code->references, 1, memory_order_relaxed);
    pthread_mutex_lock(&code->lock);
    run->serial = code->serial;
    pthread_mutex_unlock(&code->lock);
    future->plan = run;
    future->free_plan = free_plan;
    future->on_error = on_error;
    return true;
}

/* ---- runs ---- */

static void put_together(roan_words *words, roan_slice command, roan_slice name, size_t key_count,
                         const roan_slice *keys, size_t arg_count, const roan_slice *args)
{
    roan_words_init(words);
    roan_words_add(words, command);
    roan_words_add(words, name);
    roan_words_add_integer(words, (int64_t)key_count);
    for (size_t i = 0; i < key_count; i++)
        roan_words_add(words, keys[i]);
    for (size_t i = 0; i < arg_count; i++)
        roan_words_add(words, args[i]);
}

roan_future *roan_code_prepare(roan *client, roan_code *code, roan_slice command, roan_slice name, size_t key_count,
                               const roan_slice *keys, size_t arg_count, const roan_slice *args, const roan_call *call)
{
    roan_words words;
    roan_future *future;

    put_together(&words, command, name, key_count, keys, arg_count, args);
    if (words.status == ROAN_OK)
        future = roan_future_prepare(client, words.count, words.words, call);
    else
        future = roan_go_refused(client, words.status, words.problem, call);
    roan_words_done(&words);
    if (!roan_is_settled(future) && !make_plan(code, future)) {
        roan_drop(future);
        return roan_go_refused(client, ROAN_E_NOMEM, "out of memory", call);
    }
    return future;
}

roan_status roan_code_run(roan *client, roan_code *code, roan_slice command, roan_slice name, size_t key_count,
                          const roan_slice *keys, size_t arg_count, const roan_slice *args, roan_value **ret_reply,
                          const roan_call *call)
{
    if (ret_reply != NULL)
        *ret_reply = NULL;
    if (roan_is_in_callback())
        return roan_fail(ROAN_E_USAGE, "a synchronous call from inside a callback would wait for itself");
    return roan_do_prepared(
        client, roan_code_prepare(client, code, command, name, key_count, keys, arg_count, args, call), ret_reply);
}

roan_future *roan_code_go(roan *client, roan_code *code, roan_slice command, roan_slice name, size_t key_count,
                          const roan_slice *keys, size_t arg_count, const roan_slice *args, const roan_call *call)
{
    roan_future *future = roan_code_prepare(client, code, command, name, key_count, keys, arg_count, args, call);

    if (!roan_is_settled(future))
        roan_future_begin(client, future);
    return future;
}

void roan_code_add(roan_batch *batch, roan_slice command, roan_slice name, size_t key_count, const roan_slice *keys,
                   size_t arg_count, const roan_slice *args)
{
    roan_words words;

    put_together(&words, command, name, key_count, keys, arg_count, args);
    roan_words_batch(batch, &words);
}
