/* server/cmd/client_filter.c: the filters of CLIENT LIST and CLIENT KILL: words to conditions, conditions to yes or no.
 *
 * A condition given twice counts as given last; ID collects. Words are read from left to right, and the first that is
 * wrong is answered with an error.
 */
#include "server/cmd/client_list.h"

#include "base/macros.h"
#include "engine/acl.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define WORD_SHOWN_MAX 128 /* of a word in an error */

static const char known_flags[] = "OSMPxbtRBdcuAUreTIEiN";
static const char known_capa[] = "r";

/* ---- reading ---- */

static bool parse_type(roan_call *call, size_t index, roan_client_condition *condition)
{
    static const struct {
        const char *word;
        roan_client_type type;
    } types[] = {
        {"normal", ROAN_CLIENT_TYPE_NORMAL},   {"slave", ROAN_CLIENT_TYPE_REPLICA},
        {"replica", ROAN_CLIENT_TYPE_REPLICA}, {"pubsub", ROAN_CLIENT_TYPE_PUBSUB},
        {"master", ROAN_CLIENT_TYPE_PRIMARY},  {"primary", ROAN_CLIENT_TYPE_PRIMARY},
    };
    for (size_t i = 0; i < ROAN_COUNT_OF(types); i++) {
        if (roan_call_is(call, index, types[i].word)) {
            condition->number = (int64_t)types[i].type;
            return true;
        }
    }
    roan_call_error_printf(call, "ERR Unknown client type '%.*s'",
                           (int)ROAN_MIN(call->argv[index].bytes, WORD_SHOWN_MAX), call->argv[index].data);
    return false;
}

static bool parse_user(roan_call *call, size_t index)
{
    if (roan_acl_find(call->engine->acl, call->argv[index]) != NULL)
        return true;
    roan_call_error_printf(call, "ERR No such user '%.*s'", (int)ROAN_MIN(call->argv[index].bytes, WORD_SHOWN_MAX),
                           call->argv[index].data);
    return false;
}

/* Every letter of the value is one of `known`. */
static bool parse_letters(roan_call *call, size_t index, const char *known, const char *what, const char *filter)
{
    roan_slice text = call->argv[index];
    size_t i = 0;
    while (i < text.bytes && memchr(known, text.data[i], strlen(known)) != NULL)
        i++;
    if (i == text.bytes)
        return true;
    roan_call_error_printf(call, "ERR Unknown %s found in the %s filter: %.*s", what, filter,
                           (int)ROAN_MIN(text.bytes, WORD_SHOWN_MAX), text.data);
    return false;
}

/* A number of seconds above 0. */
static bool parse_seconds(roan_call *call, size_t index, const char *word, roan_client_condition *condition)
{
    if (!roan_parse_i64(call->argv[index], &condition->number)) {
        roan_call_error_printf(call, "ERR %s is not an integer or out of range", word);
        return false;
    }
    if (condition->number > 0)
        return true;
    roan_call_error_printf(call, "ERR %s should be greater than 0", word);
    return false;
}

static bool parse_db(roan_call *call, size_t index, bool is_not, roan_client_condition *condition)
{
    const char *word = is_not ? "NOT-DB" : "DB";
    int64_t last = call->engine->config.databases - 1;
    if (!roan_parse_i64(call->argv[index], &condition->number) || condition->number < INT_MIN ||
        condition->number > INT_MAX) {
        roan_call_error_printf(call, "ERR %s is not an integer or out of range", word);
        return false;
    }
    if (condition->number >= 0 && condition->number <= last)
        return true;
    roan_call_error_printf(call, "ERR %s number should be between 0 and %lld", word, (long long)last);
    return false;
}

static bool parse_condition(roan_call *call, size_t index, unsigned kind, bool is_not, roan_client_condition *condition)
{
    *condition = (roan_client_condition){.is_set = true, .text = call->argv[index]};
    switch (kind) {
    case ROAN_CLIENT_TYPE:
        return parse_type(call, index, condition);
    case ROAN_CLIENT_USER:
        return parse_user(call, index);
    case ROAN_CLIENT_FLAGS:
        return parse_letters(call, index, known_flags, "flags", is_not ? "NOT-FLAGS" : "provided");
    case ROAN_CLIENT_CAPA:
        return parse_letters(call, index, known_capa, "capa", is_not ? "NOT-CAPA" : "provided");
    case ROAN_CLIENT_DB:
        return parse_db(call, index, is_not, condition);
    case ROAN_CLIENT_MAXAGE:
        return parse_seconds(call, index, "maxage", condition);
    case ROAN_CLIENT_IDLE:
        return parse_seconds(call, index, "idle", condition);
    default:
        return true;
    }
}

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void add_id(roan_client_ids *set, uint64_t id)
{
    if (set->count == set->room) {
        size_t room = set->room == 0 ? 8 : set->room * 2;
        set->ids = roan_realloc(set->ids, set->room * sizeof *set->ids, room * sizeof *set->ids);
        set->room = room;
    }
    set->ids[set->count++] = id;
}

/* Numbers up to the first word that is none; at least one. *index moves behind them. */
static bool parse_ids(roan_call *call, size_t *index, roan_client_ids *set)
{
    int64_t id;
    size_t first = *index;
    set->is_set = true;
    while (*index < call->argc && roan_parse_i64(call->argv[*index], &id)) {
        if (id < 1) {
            roan_call_error(call, "ERR client-id should be greater than 0");
            return false;
        }
        add_id(set, (uint64_t)id);
        ++*index;
    }
    if (*index > first)
        return true;
    roan_call_syntax_error(call);
    return false;
}

static bool parse_skip_me(roan_call *call, size_t index, bool *ret_skip)
{
    *ret_skip = roan_call_is(call, index, "yes");
    if (*ret_skip || roan_call_is(call, index, "no"))
        return true;
    roan_call_syntax_error(call);
    return false;
}

/* The condition a word names, or _COUNT. */
static unsigned find_condition(roan_slice word, bool is_not)
{
    static const struct {
        const char *word;
        bool can_negate;
    } rows[] = {
#define ROW(name, text, negate) {text, negate},
        ROAN_CLIENT_CONDITION_LIST(ROW)
#undef ROW
    };
    unsigned kind = 0;
    while (kind < ROAN_CLIENT_CONDITION_COUNT && !roan_slice_is(word, rows[kind].word))
        kind++;
    bool is_wrong = kind < ROAN_CLIENT_CONDITION_COUNT && is_not && !rows[kind].can_negate;
    return is_wrong ? ROAN_CLIENT_CONDITION_COUNT : kind;
}

/* One filter and its value or values; *index moves behind them. */
static bool parse_filter(roan_client_filter *filter, roan_call *call, size_t *index)
{
    roan_slice word = call->argv[*index];
    bool is_not = word.bytes > 4 && roan_slice_is(roan_slice_make(word.data, 4), "not-");
    if (is_not)
        word = roan_slice_make(word.data + 4, word.bytes - 4);
    ++*index;
    if (roan_slice_is(word, "id"))
        return parse_ids(call, index, &filter->ids[is_not]);
    unsigned kind = find_condition(word, is_not);
    bool is_skip_me = !is_not && roan_slice_is(word, "skipme");
    if (*index == call->argc || (kind == ROAN_CLIENT_CONDITION_COUNT && !is_skip_me)) {
        roan_call_syntax_error(call);
        return false;
    }
    size_t value = (*index)++;
    return is_skip_me ? parse_skip_me(call, value, &filter->skip_me)
                      : parse_condition(call, value, kind, is_not, &filter->conditions[is_not][kind]);
}

bool roan_client_filter_parse(roan_client_filter *filter, roan_call *call, size_t first)
{
    for (size_t index = first; index < call->argc;) {
        if (!parse_filter(filter, call, &index)) {
            roan_client_filter_done(filter);
            return false;
        }
    }
    for (int i = 0; i < 2; i++)
        if (filter->ids[i].count > 0)
            qsort(filter->ids[i].ids, filter->ids[i].count, sizeof *filter->ids[i].ids, compare_numbers);
    return true;
}

void roan_client_filter_done(roan_client_filter *filter)
{
    for (int i = 0; i < 2; i++)
        roan_free(filter->ids[i].ids, filter->ids[i].room * sizeof *filter->ids[i].ids);
    *filter = (roan_client_filter){0};
}

/* ---- matching ---- */

static bool text_is(const char *text, roan_slice wanted)
{
    return roan_slice_equal(roan_slice_from_text(text != NULL ? text : ""), wanted);
}

/* The address without its port; brackets of an IPv6 address left out. */
static roan_slice ip_of(const char *peer)
{
    const char *colon = strrchr(peer, ':');
    roan_slice ip = roan_slice_make(peer, colon != NULL ? (size_t)(colon - peer) : strlen(peer));
    if (ip.bytes >= 2 && ip.data[0] == '[' && ip.data[ip.bytes - 1] == ']')
        ip = roan_slice_make(ip.data + 1, ip.bytes - 2);
    return ip;
}

static bool has_letters(const char *letters, roan_slice wanted)
{
    for (size_t i = 0; i < wanted.bytes; i++)
        if (strchr(letters, wanted.data[i]) == NULL)
            return false;
    return true;
}

static roan_client_type type_of(const roan_session *session)
{
    return session->modes & ROAN_MODE_SUBSCRIBED ? ROAN_CLIENT_TYPE_PUBSUB : ROAN_CLIENT_TYPE_NORMAL;
}

static bool holds(const roan_client_condition *condition, unsigned kind, const roan_client_view *view, int64_t now_ms)
{
    const roan_session *session = view->session;
    switch (kind) {
    case ROAN_CLIENT_TYPE:
        return condition->number == (int64_t)type_of(session);
    case ROAN_CLIENT_USER:
        return text_is(session->user->name, condition->text);
    case ROAN_CLIENT_ADDR:
        return text_is(view->info.peer, condition->text);
    case ROAN_CLIENT_LADDR:
        return text_is(view->info.local, condition->text);
    case ROAN_CLIENT_IP:
        return roan_slice_equal(ip_of(view->info.peer != NULL ? view->info.peer : ""), condition->text);
    case ROAN_CLIENT_NAME:
        return text_is(session->name, condition->text);
    case ROAN_CLIENT_FLAGS:
        return has_letters(view->flags, condition->text);
    case ROAN_CLIENT_CAPA:
        return has_letters(session->capa_redirect ? "r" : "", condition->text);
    case ROAN_CLIENT_LIB_NAME:
        return text_is(session->lib_name, condition->text);
    case ROAN_CLIENT_LIB_VER:
        return text_is(session->lib_version, condition->text);
    case ROAN_CLIENT_DB:
        return condition->number == (int64_t)session->db;
    case ROAN_CLIENT_MAXAGE:
        return (now_ms - session->created_ms) / 1000 >= condition->number;
    case ROAN_CLIENT_IDLE:
        return (now_ms - session->last_command_ms) / 1000 >= condition->number;
    default:
        ROAN_UNREACHABLE("every condition has a case");
    }
}

static bool has_id(const roan_client_ids *set, uint64_t id)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < set->count && set->ids[low] == id;
}

bool roan_client_filter_matches(const roan_client_filter *filter, const roan_client_view *view, int64_t now_ms)
{
    for (int is_not = 0; is_not < 2; is_not++) {
        const roan_client_ids *ids = &filter->ids[is_not];
        if (ids->is_set && has_id(ids, view->session->id) == is_not)
            return false;
        for (unsigned kind = 0; kind < ROAN_CLIENT_CONDITION_COUNT; kind++) {
            const roan_client_condition *condition = &filter->conditions[is_not][kind];
            if (condition->is_set && holds(condition, kind, view, now_ms) == is_not)
                return false;
        }
    }
    return true;
}
