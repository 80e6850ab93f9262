/* engine/acl.c: the users of an engine: finding, changing, loading them, and what that means for sessions; see acl.h.
 *
 *   new rules ─► a copy of the user ─► all fine? ─► subscribers that lost a channel are closed ─►
 *   the user takes the copy
 */
#include "engine/acl.h"

#include "base/macros.h"
#include "base/number.h"
#include "engine/pubsub.h"

/* ---- the list ---- */

/* The place of the name, or where it would stand. */
static size_t place_of(const roan_acl *acl, roan_slice name, bool *ret_is_there)
{
    size_t low = 0, high = acl->count;
    *ret_is_there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        roan_slice other = roan_slice_from_text(acl->users[middle]->name);
        size_t shorter = ROAN_MIN(name.bytes, other.bytes);
        int order = shorter > 0 ? memcmp(other.data, name.data, shorter) : 0;
        if (order == 0)
            order = other.bytes < name.bytes ? -1 : other.bytes > name.bytes;
        if (order == 0) {
            *ret_is_there = true;
            return middle;
        }
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return low;
}

roan_acl_user *roan_acl_find(const roan_acl *acl, roan_slice name)
{
    bool is_there;
    size_t place = place_of(acl, name, &is_there);
    return is_there ? acl->users[place] : NULL;
}

/* Takes the user; there is none of its name. */
static void take_user(roan_acl *acl, roan_acl_user *user)
{
    bool is_there;
    size_t place = place_of(acl, roan_slice_from_text(user->name), &is_there);
    ROAN_ASSERT(!is_there);
    if (acl->count == acl->capacity) {
        size_t capacity = acl->capacity == 0 ? 4 : acl->capacity * 2;
        acl->users = roan_realloc(acl->users, acl->capacity * sizeof *acl->users, capacity * sizeof *acl->users);
        acl->capacity = capacity;
    }
    memmove(acl->users + place + 1, acl->users + place, (acl->count - place) * sizeof *acl->users);
    acl->users[place] = user;
    acl->count++;
}

static void free_users(roan_acl *acl)
{
    for (size_t i = 0; i < acl->count; i++)
        roan_acl_user_free(acl->users[i]);
    roan_free(acl->users, acl->capacity * sizeof *acl->users);
}

static void init_users(roan_acl *acl)
{
    acl->users = NULL;
    acl->count = acl->capacity = 0;
    acl->default_user = roan_acl_user_create(ROAN_LITERAL("default"), false);
    roan_acl_user_make_default(acl->default_user);
    take_user(acl, acl->default_user);
}

/* ---- rules ---- */

/* All rules in order, or the text of the first fault. */
static bool apply_rules(roan_acl_user *user, const roan_acl_texts *rules, bool all_channels, roan_buffer *ret_error)
{
    for (size_t i = 0; i < rules->count; i++) {
        roan_acl_fault fault = roan_acl_apply(user, rules->items[i], all_channels);
        if (fault == ROAN_ACL_FINE)
            continue;
        size_t shown = strnlen(rules->items[i].data, rules->items[i].bytes);
        roan_buffer_printf(ret_error, "Error in ACL SETUSER modifier '%.*s': %s", (int)shown, rules->items[i].data,
                           roan_acl_fault_text(fault));
        return false;
    }
    roan_acl_user_settle(user);
    return true;
}

static bool apply_words(roan_acl_user *user, size_t argc, const roan_slice *argv, bool all_channels,
                        roan_buffer *ret_error)
{
    roan_acl_texts rules = {0};
    size_t open;
    bool is_closed = roan_acl_join_words(argc, argv, &rules, &open);
    if (!is_closed)
        roan_buffer_printf(ret_error, "Unmatched parenthesis in acl selector starting at '%.*s'.",
                           (int)strnlen(argv[open].data, argv[open].bytes), argv[open].data);
    bool is_fine = is_closed && apply_rules(user, &rules, all_channels, ret_error);
    roan_acl_texts_clear(&rules);
    return is_fine;
}

static bool new_users_have_channels(const roan_config *config)
{
    return config->acl_pubsub_default != 0;
}

/* ---- life ---- */

static void set_password(roan_acl_user *user, roan_slice password)
{
    roan_buffer rule = {0};
    roan_buffer_append_char(&rule, '>');
    roan_buffer_append_slice(&rule, password);
    roan_slice rules[2] = {ROAN_LITERAL("resetpass"), ROAN_LITERAL("nopass")};
    if (password.bytes > 0)
        rules[1] = roan_buffer_slice(&rule);
    for (int i = 0; i < 2; i++)
        ROAN_ASSERT(roan_acl_apply(user, rules[i], false) == ROAN_ACL_FINE);
    roan_buffer_done(&rule);
}

/* At every single space: two of them have an empty word between them. */
static void split_words(roan_slice line, roan_acl_texts *ret_words)
{
    const char *at = line.data, *end = line.data + line.bytes;
    for (const char *space; at <= end; at = space + 1) {
        space = memchr(at, ' ', (size_t)(end - at));
        space = space != NULL ? space : end;
        roan_acl_texts_add(ret_words, roan_slice_make(at, (size_t)(space - at)));
    }
}

/* A `user` line of the configuration: "NAME rule rule ..."; it was checked when it was read. */
static void add_line(roan_acl *acl, const roan_config *config, roan_slice line)
{
    roan_acl_texts words = {0};
    roan_buffer error = {0};
    split_words(line, &words);
    bool all_channels = new_users_have_channels(config);
    roan_acl_user *user = roan_acl_find(acl, words.items[0]);
    if (user == NULL) {
        user = roan_acl_user_create(words.items[0], all_channels);
        take_user(acl, user);
    }
    ROAN_ASSERT(roan_acl_apply(user, ROAN_LITERAL("reset"), all_channels) == ROAN_ACL_FINE);
    bool is_fine = apply_words(user, words.count - 1, words.items + 1, all_channels, &error);
    if (!is_fine) /* it depends on an option behind it: safe is a user without rights */
        ROAN_ASSERT(roan_acl_apply(user, ROAN_LITERAL("reset"), false) == ROAN_ACL_FINE);
    roan_acl_user_settle(user);
    roan_buffer_done(&error);
    roan_acl_texts_clear(&words);
}

roan_acl *roan_acl_create(const roan_config *config)
{
    roan_acl *acl = roan_alloc_zero(sizeof *acl);
    acl->log = roan_acl_log_create();
    init_users(acl);
    set_password(acl->default_user, config->requirepass);
    for (const char *line = config->users, *end; line[0] != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        add_line(acl, config, roan_slice_make(line, (size_t)(end - line)));
    }
    return acl;
}

void roan_acl_free(roan_acl *acl)
{
    free_users(acl);
    roan_acl_log_free(acl->log);
    roan_free(acl, sizeof *acl);
}

/* ---- sessions ---- */

/* Users have changed: what sessions may do follows. */
static void update_sessions(roan_engine *engine)
{
    bool is_open = roan_acl_is_open(engine->acl);
    for (roan_session *s = roan_sessions_first(engine); s != NULL; s = roan_sessions_next(s)) {
        roan_acl_set_session_user(s, s->user);
        s->is_authenticated = s->is_trusted || is_open;
    }
}

static void close_session(roan_session *session, const roan_session *self)
{
    roan_acl_set_session_user(session, session->lane->engine->acl->default_user);
    session->is_trusted = false;
    roan_session_close(session, session == self);
}

typedef struct subscriber_check {
    const roan_acl_user *user;
    bool is_pattern, is_allowed;
} subscriber_check;

static bool check_subscription(void *context, roan_slice name)
{
    subscriber_check *check = context;
    check->is_allowed = roan_acl_allows_channel(check->user, name, check->is_pattern);
    return check->is_allowed;
}

/* Is it subscribed to what this user may not? */
static bool hears_too_much(const roan_session *session, const roan_acl_user *user)
{
    subscriber_check check = {.user = user, .is_allowed = true};
    for (unsigned kind = 0; kind < ROAN_TOPIC_KIND_COUNT && check.is_allowed; kind++) {
        check.is_pattern = kind == ROAN_TOPIC_PATTERN;
        roan_pubsub_visit(session, (roan_topic_kind)kind, check_subscription, &check);
    }
    return !check.is_allowed;
}

/* The user is about to become `next`. */
static void close_subscribers(roan_engine *engine, const roan_session *self, const roan_acl_user *user,
                              const roan_acl_user *next)
{
    if (roan_acl_keeps_channels(next, user))
        return;
    for (roan_session *s = roan_sessions_first(engine), *following; s != NULL; s = following) {
        following = roan_sessions_next(s);
        if (s->user == user && !s->is_closing && hears_too_much(s, next))
            roan_session_close(s, s == self);
    }
}

/* ---- changing ---- */

bool roan_acl_set_user(roan_engine *engine, const roan_session *self, roan_slice name, size_t argc,
                       const roan_slice *argv, roan_buffer *ret_error)
{
    roan_acl *acl = engine->acl;
    bool all_channels = new_users_have_channels(&engine->config);
    roan_acl_user *user = roan_acl_find(acl, name), *next = roan_acl_user_create(name, all_channels);
    if (user != NULL)
        roan_acl_user_copy(next, user);
    if (!apply_words(next, argc, argv, all_channels, ret_error)) {
        roan_acl_user_free(next);
        return false;
    }
    if (user == NULL) {
        take_user(acl, next);
        return true;
    }
    close_subscribers(engine, self, user, next);
    roan_acl_user_copy(user, next);
    roan_acl_user_free(next);
    update_sessions(engine);
    return true;
}

bool roan_acl_delete_user(roan_engine *engine, const roan_session *self, roan_slice name)
{
    roan_acl *acl = engine->acl;
    bool is_there;
    size_t place = place_of(acl, name, &is_there);
    if (!is_there)
        return false;
    roan_acl_user *user = acl->users[place];
    ROAN_ASSERT(user != acl->default_user);
    for (roan_session *s = roan_sessions_first(engine), *following; s != NULL; s = following) {
        following = roan_sessions_next(s);
        if (s->user == user)
            close_session(s, self);
    }
    acl->count--;
    memmove(acl->users + place, acl->users + place + 1, (acl->count - place) * sizeof *acl->users);
    roan_acl_user_free(user);
    update_sessions(engine);
    return true;
}

void roan_acl_password_changed(roan_engine *engine)
{
    set_password(engine->acl->default_user, engine->config.requirepass);
    update_sessions(engine);
}

/* ---- files ---- */

static void print_user(const roan_acl_user *user, roan_buffer *ret_text)
{
    roan_buffer_printf(ret_text, "%s ", user->name);
    roan_acl_describe_user(user, ret_text);
    roan_buffer_append_char(ret_text, '\n');
}

void roan_acl_print(const roan_acl *acl, roan_buffer *ret_text)
{
    for (size_t i = 0; i < acl->count; i++) {
        roan_buffer_append_text(ret_text, "user ");
        print_user(acl->users[i], ret_text);
    }
}

/* The default user is as requirepass alone makes it. */
static bool default_is_ordinary(const roan_engine *engine)
{
    roan_acl ordinary;
    roan_buffer texts[2] = {{0}, {0}};
    init_users(&ordinary);
    set_password(ordinary.default_user, engine->config.requirepass);
    roan_acl_describe_user(ordinary.default_user, &texts[0]);
    roan_acl_describe_user(engine->acl->default_user, &texts[1]);
    bool is_same = roan_slice_equal(roan_buffer_slice(&texts[0]), roan_buffer_slice(&texts[1]));
    roan_buffer_done(&texts[0]);
    roan_buffer_done(&texts[1]);
    free_users(&ordinary);
    return is_same;
}

void roan_acl_store(roan_engine *engine)
{
    const roan_acl *acl = engine->acl;
    roan_buffer lines = {0};
    bool leaves_default = default_is_ordinary(engine);
    for (size_t i = 0; i < acl->count && engine->config.aclfile[0] == '\0'; i++)
        if (acl->users[i] != acl->default_user || !leaves_default)
            print_user(acl->users[i], &lines);
    roan_config_set_string(&engine->config.users, lines.bytes > 0 ? roan_buffer_slice(&lines) : ROAN_LITERAL(""));
    roan_buffer_done(&lines);
}

/* A file that is being read. */
typedef struct loader {
    const char *path;
    unsigned line;
    bool all_channels;
    roan_acl next; /* its users; `default` is one only when the file has it */
    roan_buffer *errors;
} loader;

/* Blanks at both ends, and line ends. */
static roan_slice trim(roan_slice text, bool spaces)
{
    const char *blanks = spaces ? " \t\r\n" : "\t\r\n";
    size_t count = spaces ? 4 : 3;
    while (text.bytes > 0 && memchr(blanks, text.data[0], count) != NULL)
        text = roan_slice_make(text.data + 1, text.bytes - 1);
    while (text.bytes > 0 && memchr(blanks, text.data[text.bytes - 1], count) != NULL)
        text.bytes--;
    return text;
}

/* All faults about commands are told, of the others the first. */
static void load_rules(loader *self, roan_acl_user *user, const roan_acl_texts *rules)
{
    bool is_told = false;
    for (size_t i = 0; i < rules->count; i++) {
        roan_slice rule = trim(rules->items[i], false);
        roan_acl_fault fault = roan_acl_apply(user, rule, self->all_channels);
        if (fault == ROAN_ACL_UNKNOWN_COMMAND) {
            roan_buffer_printf(self->errors, "%s:%u: Error in applying operation '%.*s': %s. ", self->path, self->line,
                               ROAN_SLICE_ARG(rule), roan_acl_fault_text(fault));
        } else if (fault != ROAN_ACL_FINE && !is_told) {
            roan_buffer_printf(self->errors, "%s:%u: %s. ", self->path, self->line, roan_acl_fault_text(fault));
            is_told = true;
        }
    }
    roan_acl_user_settle(user);
}

static void load_user(loader *self, roan_slice name, size_t argc, const roan_slice *argv)
{
    size_t open;
    if (!roan_acl_name_is_fine(name)) {
        roan_buffer_printf(self->errors, "'%s:%u: username '%.*s' contains invalid characters. ", self->path,
                           self->line, ROAN_SLICE_ARG(name));
        return;
    }
    if (roan_acl_find(&self->next, name) != NULL) {
        roan_buffer_printf(self->errors, "WARNING: Duplicate user '%.*s' found on line %u. ", ROAN_SLICE_ARG(name),
                           self->line);
        return;
    }
    roan_acl_user *user = roan_acl_user_create(name, self->all_channels);
    take_user(&self->next, user);
    roan_acl_texts rules = {0};
    if (roan_acl_join_words(argc, argv, &rules, &open))
        load_rules(self, user, &rules);
    else
        roan_buffer_printf(self->errors, "%s:%u: Unmatched parenthesis in selector definition.", self->path,
                           self->line);
    roan_acl_texts_clear(&rules);
}

static void load_line(loader *self, roan_slice line)
{
    roan_acl_texts words = {0};
    split_words(line, &words);
    if (words.count < 2 || !roan_slice_equal(words.items[0], ROAN_LITERAL("user")))
        roan_buffer_printf(self->errors, "%s:%u should start with user keyword followed by the username. ", self->path,
                           self->line);
    else
        load_user(self, words.items[1], words.count - 2, words.items + 2);
    roan_acl_texts_clear(&words);
}

static void load_lines(loader *self, roan_slice text)
{
    while (text.bytes > 0) {
        const char *end = memchr(text.data, '\n', text.bytes);
        size_t bytes = end != NULL ? (size_t)(end - text.data) : text.bytes;
        roan_slice line = trim(roan_slice_make(text.data, bytes), true);
        self->line++;
        if (line.bytes > 0)
            load_line(self, line);
        bytes += end != NULL;
        text = roan_slice_make(text.data + bytes, text.bytes - bytes);
    }
}

/* The default user stays the same object: it becomes what the file says, or as it was made first. */
static void move_default(roan_acl *acl, roan_acl *next)
{
    bool is_there;
    size_t place = place_of(next, ROAN_LITERAL("default"), &is_there);
    if (is_there) {
        roan_acl_user_copy(acl->default_user, next->users[place]);
        roan_acl_user_free(next->users[place]);
        next->users[place] = acl->default_user;
    } else {
        roan_acl_user_make_default(acl->default_user);
        take_user(next, acl->default_user);
    }
    acl->users[place_of(acl, ROAN_LITERAL("default"), &is_there)] = NULL; /* moved */
}

/* Sessions go over to the new user of the same name, or are closed. */
static void move_sessions(roan_engine *engine, const roan_session *self, const roan_acl *next)
{
    for (roan_session *s = roan_sessions_first(engine), *following; s != NULL; s = following) {
        following = roan_sessions_next(s);
        roan_acl_user *user = roan_acl_find(next, roan_slice_from_text(s->user->name));
        bool goes = user == NULL || (!roan_acl_keeps_channels(user, s->user) && hears_too_much(s, user));
        if (goes)
            close_session(s, self);
        else
            roan_acl_set_session_user(s, user);
    }
}

bool roan_acl_load(roan_engine *engine, const roan_session *self, const char *path, roan_slice text,
                   roan_buffer *ret_errors)
{
    roan_acl *acl = engine->acl;
    loader load = {.path = path, .all_channels = new_users_have_channels(&engine->config), .errors = ret_errors};
    load_lines(&load, text);
    if (ret_errors->bytes > 0) {
        roan_buffer_append_text(ret_errors,
                                "WARNING: ACL errors detected, no change to the previously active ACL rules "
                                "was performed");
        free_users(&load.next);
        return false;
    }
    move_default(acl, &load.next);
    move_sessions(engine, self, &load.next);
    free_users(acl);
    acl->users = load.next.users;
    acl->count = load.next.count;
    acl->capacity = load.next.capacity;
    update_sessions(engine);
    return true;
}
