/* client/options.h: what a handle was asked to be: the program's options and the URI, checked, completed and owned.
 *
 * Every scalar field of roan_options is one row of the table here. The row gives its URI key, its default and bounds,
 * the texts of errors and the line of docs/client-options.md; a new option is a field in include/roan/client.h and a
 * row in options_rows.c, and nothing else.
 *
 * A roan_settings does not change once it is made, so any thread may read it.
 */
#pragma once

#include "client/uri.h"
#include "roan/client.h"

#define ROAN_SETTING_NONE (-1) /* what a field says when a limit is absent */
#define ROAN_SETTING_VALUES_MAX 96

typedef enum roan_setting_kind {
    ROAN_SETTING_INT,
    ROAN_SETTING_INT64,
    ROAN_SETTING_CHOICE, /* an enum; its values are the positions of its words */
    ROAN_SETTING_TEXT,   /* const char *; NULL or "": none */
    ROAN_SETTING_SLICE
} roan_setting_kind;

typedef struct roan_setting {
    const char *group;          /* title of the chapter that begins with this row, or NULL */
    const char *name;           /* of the field and of the URI key */
    const char *alias;          /* another URI key, or NULL */
    roan_setting_kind kind;
    unsigned offset, bytes;     /* of the field */
    int64_t initial;            /* what 0 in the struct stands for; ROAN_SETTING_NONE: none */
    int64_t min, max;           /* of a number; of a text, its bytes */
    bool may_be_none;           /* -1 is a value, too */
    const char *const *choices; /* CHOICE: words, NULL behind the last */
    const char *initial_text;   /* the default for people where the number does not say it, or NULL */
    const char *none_text;      /* what -1 means, for people, or NULL */
    const char *text;           /* what it does, for people */
} roan_setting;

/* The rows in the order of the struct. */
extern const roan_setting roan_setting_rows[];
extern const unsigned roan_setting_count;

/* The row of a URI key, exactly written; NULL when there is none. */
const roan_setting *roan_setting_find(const char *name);

/* "1 to 2147483647, or -1 for none": what values there are. */
void roan_setting_values(const roan_setting *row, char ret_text[ROAN_SETTING_VALUES_MAX]);

typedef struct roan_settings {
    /* Completed: no field is 0 for "default" any more; -1 stands for an absent limit, a switch that is off is -1, and
     * protocol 0 is "what the server has". Texts are owned and NULL when there is none; with a username there is always
     * a password, maybe an empty one. hooks points to the copy below, never NULL, whose functions may be NULL.
     * transport is borrowed and NULL when the program gave none. */
    roan_options options;
    roan_hooks hooks;

    roan_address_kind kind;
    char *host;    /* TCP; without brackets */
    char *path;    /* UNIX: of the socket; EMBEDDED: the name of the server, maybe "" */
    uint16_t port; /* TCP */
    char node[ROAN_NODE_MAX]; /* for people and roan_failure: "host:port", "[address]:port", the path, or
                                 "embedded://name"; cut when long */
} roan_settings;

/* Takes the URI and the options (NULL: none) together; what the URI says wins. Everything but the transport, and what
 * callbacks point to, is copied. ROAN_E_CONFIG with a text that names the part, ROAN_E_UNSUPPORTED or ROAN_E_NOMEM. No
 * error text holds a secret. */
roan_status roan_settings_create(roan_settings **ret_settings, const char *uri, const roan_options *options,
                                 roan_error *reterr) ROAN_MUST_CHECK;

/* Wipes the texts and frees everything; accepts NULL; returns NULL. */
roan_settings *roan_settings_free(roan_settings *settings);
