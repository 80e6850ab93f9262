/* client/transports.c: which transport speaks to which kind of address, and the servers inside this process by name.
 *
 * embedded://name is looked up when a handle is opened, to refuse names that are not there, and again for each of its
 * connections: no handle ever points to a source that may be gone. The list is the process's; its lock is held while a
 * source connects, and across fork(). */
#include "client/handle.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES_MAX 64

typedef struct registration registration;
struct registration {
    registration *next;
    const roan_descriptor_source *source;
    char name[NAME_BYTES_MAX + 1];
};

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;
static registration *registrations;

/* ---- the list ---- */

static void lock_registry(void)
{
    pthread_mutex_lock(&registry_lock);
}

static void unlock_registry(void)
{
    pthread_mutex_unlock(&registry_lock);
}

/* A child whose parent was connecting at that moment can connect as well. */
static void keep_across_fork(void)
{
    ROAN_IGNORE(pthread_atfork(lock_registry, unlock_registry, unlock_registry)); /* out of memory: as without */
}

/* Lock held. */
static const registration *find_registration(const char *name)
{
    const registration *at = registrations;
    while (at != NULL && strcmp(at->name, name) != 0)
        at = at->next;
    return at;
}

static bool is_name(const char *name)
{
    size_t bytes = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return name[bytes] == '\0' && bytes <= NAME_BYTES_MAX;
}

roan_status roan_descriptor_source_register(const char *name, const roan_descriptor_source *source, roan_error *reterr)
{
    if (!is_name(name))
        return roan_error_set(reterr, ROAN_E_INVALID,
                              "the name of an embedded server is at most %d letters, digits and . _ -", NAME_BYTES_MAX);
    registration *added = calloc(1, sizeof *added);
    if (added == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory");
    added->source = source;
    memcpy(added->name, name, strlen(name));
    pthread_once(&registry_once, keep_across_fork);
    lock_registry();
    bool is_taken = find_registration(name) != NULL;
    if (!is_taken) {
        added->next = registrations;
        registrations = added;
    }
    unlock_registry();
    if (!is_taken)
        return ROAN_OK;
    free(added);
    return roan_error_set(reterr, ROAN_E_USAGE, "embedded://%s is already served in this process: choose another name",
                          name);
}

void roan_descriptor_source_unregister(const roan_descriptor_source *source)
{
    lock_registry();
    for (registration **link = &registrations; *link != NULL;) {
        registration *at = *link;
        if (at->source != source) {
            link = &at->next;
            continue;
        }
        *link = at->next;
        free(at);
    }
    unlock_registry();
}

/* ---- embedded:// ---- */

static roan_status refuse_name(const char *name, roan_error *reterr)
{
    return roan_error_set(reterr, ROAN_E_NO_ENTRY,
                          "no server runs as embedded://%s in this process: roan_embedded_start() with this name, or a "
                          "transport in the options",
                          name);
}

static roan_status connect_by_name(void *state, const roan_endpoint *endpoint, int *ret_fd, roan_error *reterr)
{
    (void)state;
    lock_registry();
    const registration *found = find_registration(endpoint->path);
    roan_status status =
        found == NULL ? ROAN_E_NO_ENTRY : found->source->connect(found->source->state, endpoint, ret_fd, reterr);
    unlock_registry();
    return found == NULL ? refuse_name(endpoint->path, reterr) : status;
}

static roan_transport transport_by_name;
static pthread_once_t transport_once = PTHREAD_ONCE_INIT;

static void make_transport_by_name(void)
{
    static const roan_descriptor_source source = {.connect = connect_by_name};
    roan_descriptor_transport(&source, &transport_by_name);
}

roan_status roan_transport_of(const roan_settings *settings, const roan_transport **ret_transport, roan_error *reterr)
{
    *ret_transport = roan_socket_transport();
    if (settings->kind != ROAN_ADDRESS_EMBEDDED)
        return ROAN_OK;
    lock_registry();
    bool is_there = find_registration(settings->path) != NULL;
    unlock_registry();
    if (!is_there)
        return refuse_name(settings->path, reterr);
    pthread_once(&transport_once, make_transport_by_name);
    *ret_transport = &transport_by_name;
    return ROAN_OK;
}
