/* client/scan.c: the iterators over SCAN, HSCAN, SSCAN and ZSCAN.
 *
 * The words of the request are put together once; only the cursor among them changes:
 *
 *     HSCAN key <cursor> MATCH pattern COUNT n NOVALUES
 *
 * The cursor moves only when a page has come whole, so after a failure the same request goes out again. A page that is
 * prefetched is a future for the request at the present cursor.
 */
#include "roan/scan.h"

#include "base/macros.h"
#include "client/handle.h"
#include "roan/decode.h"
#include "roan/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SCAN key cursor MATCH m COUNT n TYPE t NOVALUES */
#define WORDS_MAX 10
#define COUNT_CHARS_MAX 24

struct roan_scan {
    roan *client;
    size_t argc;
    roan_slice argv[WORDS_MAX];
    roan_slice *cursor; /* one of argv */
    roan_call call;
    bool prefetches, has_empty_pages;
    bool is_over;       /* the last page was handed out */
    roan_future *ahead; /* prefetched, or NULL */
    char cursor_text[ROAN_SCAN_CURSOR_BYTES_MAX + 1];
    char count_text[COUNT_CHARS_MAX];
    char texts[]; /* key, pattern, type */
};

static const roan_slice command_names[] = {
    [ROAN_SCAN_KEYS] = {"SCAN", 4}, [ROAN_SCAN_HASH] = {"HSCAN", 5},
    [ROAN_SCAN_SET] = {"SSCAN", 5}, [ROAN_SCAN_ZSET] = {"ZSCAN", 5},
};

static const char *find_problem(roan_scan_kind kind, roan_slice key, const roan_scan_options *options)
{
    if ((unsigned)kind >= ROAN_COUNT_OF(command_names))
        return "there is no such kind of scan";
    if (kind == ROAN_SCAN_KEYS && key.bytes > 0)
        return "a scan of keys goes through the database and has no key of its own";
    if (options->count < 0)
        return "a scan's count is not negative";
    if (options->type.bytes > 0 && kind != ROAN_SCAN_KEYS)
        return "only a scan of keys can look for a type";
    if (options->novalues && kind != ROAN_SCAN_HASH)
        return "only a scan of a hash can leave out values";
    if (options->cursor.bytes > ROAN_SCAN_CURSOR_BYTES_MAX)
        return "a cursor is not so long";
    return NULL;
}

/* ---- making ---- */

static void add_word(roan_scan *scan, roan_slice word)
{
    scan->argv[scan->argc++] = word;
}

/* Adds the word's copy at *at. */
static void add_copy(roan_scan *scan, roan_slice word, char **at)
{
    add_word(scan, roan_slice_make(*at, word.bytes));
    if (word.bytes > 0)
        *at = mempcpy(*at, word.data, word.bytes);
}

static void set_cursor(roan_scan *scan, roan_slice cursor)
{
    memcpy(scan->cursor_text, cursor.data, cursor.bytes);
    scan->cursor_text[cursor.bytes] = '\0';
    *scan->cursor = roan_slice_make(scan->cursor_text, cursor.bytes);
}

static void put_together(roan_scan *scan, roan_scan_kind kind, roan_slice key, const roan_scan_options *options)
{
    char *at = scan->texts;

    add_word(scan, command_names[kind]);
    if (kind != ROAN_SCAN_KEYS)
        add_copy(scan, key, &at);
    scan->cursor = &scan->argv[scan->argc++];
    set_cursor(scan, options->cursor.bytes > 0 ? options->cursor : ROAN_LITERAL("0"));
    if (options->match.bytes > 0) {
        add_word(scan, ROAN_LITERAL("MATCH"));
        add_copy(scan, options->match, &at);
    }
    if (options->count > 0) {
        int length = snprintf(scan->count_text, sizeof scan->count_text, "%lld", (long long)options->count);
        add_word(scan, ROAN_LITERAL("COUNT"));
        add_word(scan, roan_slice_make(scan->count_text, (size_t)length));
    }
    if (options->type.bytes > 0) {
        add_word(scan, ROAN_LITERAL("TYPE"));
        add_copy(scan, options->type, &at);
    }
    if (options->novalues)
        add_word(scan, ROAN_LITERAL("NOVALUES"));
}

static const char *read_options(roan_scan_options *ret_options, const roan_scan_options *options)
{
    roan_words words;

    roan_words_init(&words);
    roan_words_read_options(&words, ret_options, sizeof *ret_options, options);
    return words.status == ROAN_OK ? NULL : words.problem;
}

roan_status roan_scan_create(roan_scan **ret_scan, roan *client, roan_scan_kind kind, roan_slice key,
                             const roan_scan_options *options, roan_error *reterr)
{
    roan_scan_options own;
    roan_scan *scan;
    const char *problem = read_options(&own, options);

    *ret_scan = NULL;
    if (problem == NULL)
        problem = find_problem(kind, key, &own);
    if (problem != NULL)
        return roan_error_set(reterr, ROAN_E_USAGE, "%s", problem);
    scan = calloc(1, sizeof *scan + key.bytes + own.match.bytes + own.type.bytes);
    if (scan == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory for a scan");
    scan->client = client;
    scan->call = own.call;
    scan->call.size = sizeof scan->call;
    scan->prefetches = own.prefetch;
    scan->has_empty_pages = own.empty_pages;
    put_together(scan, kind, key, &own);
    *ret_scan = scan;
    return ROAN_OK;
}

static void drop_ahead(roan_scan *scan)
{
    if (scan->ahead != NULL) {
        roan_cancel(scan->ahead);
        roan_drop(scan->ahead);
        scan->ahead = NULL;
    }
}

roan_scan *roan_scan_free(roan_scan *scan)
{
    if (scan != NULL) {
        drop_ahead(scan);
        free(scan);
    }
    return NULL;
}

roan_slice roan_scan_cursor(const roan_scan *scan)
{
    return *scan->cursor;
}

/* ---- pages ---- */

static roan_status fail_reply(const char *text)
{
    roan_failure_set(roan_failure_of_thread(), ROAN_E_TYPE, ROAN_FATE_RAN, "%s", text);
    return ROAN_E_TYPE;
}

static roan_status ask(roan_scan *scan, roan_value **ret_reply)
{
    roan_future *ahead = scan->ahead;

    if (ahead == NULL)
        return roan_do(scan->client, scan->argc, scan->argv, ret_reply, &scan->call);
    scan->ahead = NULL;
    return roan_do_future(ahead, ret_reply);
}

/* Takes the cursor out of the reply; what is left of it is the page, as a reply of its own. */
static roan_status take_page(roan_scan *scan, roan_value *reply)
{
    roan_slice cursor;
    const roan_value *elements;

    if (roan_decode_scan(reply, &cursor, &elements) != ROAN_OK)
        return fail_reply("the reply is not a page of a scan");
    if (cursor.bytes == 0 || cursor.bytes > ROAN_SCAN_CURSOR_BYTES_MAX)
        return fail_reply("the cursor of a scan is too long or empty");
    set_cursor(scan, cursor);
    scan->is_over = cursor.bytes == 1 && cursor.data[0] == '0';
    *reply = *elements; /* same block of memory: the root's place decides what is freed */
    return ROAN_OK;
}

roan_status roan_scan_next(roan_scan *scan, roan_value **ret_page)
{
    roan_status status = ROAN_OK;

    *ret_page = NULL;
    if (roan_is_in_callback())
        return roan_fail(ROAN_E_USAGE, "a synchronous call from inside a callback would wait for itself");
    while (!scan->is_over) {
        roan_value *reply;
        status = ask(scan, &reply);
        if (status == ROAN_NIL) /* no server says that */
            status = fail_reply("the reply is not a page of a scan");
        if (status == ROAN_OK)
            status = take_page(scan, reply);
        if (status != ROAN_OK) {
            roan_value_free(reply);
            return status;
        }
        if (scan->prefetches && !scan->is_over)
            scan->ahead = roan_go(scan->client, scan->argc, scan->argv, &scan->call);
        if (reply->count > 0 || (scan->has_empty_pages && !scan->is_over)) {
            *ret_page = reply;
            return ROAN_OK;
        }
        roan_value_free(reply);
    }
    return ROAN_NIL;
}
