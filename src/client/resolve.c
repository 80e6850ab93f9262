/* client/resolve.c: getaddrinfo() on a detached thread, which reports through an eventfd.
 *
 *     asker:  start ............ is_done? -> result, free
 *     thread:      getaddrinfo -> found, is_done, eventfd -> unref
 *
 * The request has two owners while the thread runs. The eventfd belongs to it as well: were it closed with the asker,
 * its number could be somebody else's by the time the thread writes to it. The thread blocks all signals: those of the
 * program are for the program's threads.
 *
 * After fork() the child has the memory but not the thread, whatever it was doing: there the asker frees alone. */
#include "client/resolve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/macros.h"

struct roan_resolve {
    _Atomic unsigned owners;
    _Atomic bool is_done; /* publishes the three below */
    int problem;          /* of getaddrinfo(); 0: found */
    int os_errno;         /* with EAI_SYSTEM */
    struct addrinfo *found;
    int fd;
    size_t bytes; /* of this block */
    char host[];
};

static void look_up(roan_resolve *resolve, int flags)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *found = NULL;
    resolve->problem = getaddrinfo(resolve->host, NULL, &hints, &found);
    resolve->os_errno = resolve->problem == EAI_SYSTEM ? errno : 0;
    resolve->found = resolve->problem == 0 ? found : NULL;
}

static void free_request(roan_resolve *resolve)
{
    if (atomic_load_explicit(&resolve->is_done, memory_order_acquire) && resolve->found != NULL)
        freeaddrinfo(resolve->found);
    if (resolve->fd >= 0)
        close(resolve->fd);
    roan_free(resolve, resolve->bytes);
}

static void unref(roan_resolve *resolve)
{
    if (atomic_fetch_sub_explicit(&resolve->owners, 1, memory_order_acq_rel) == 1)
        free_request(resolve);
}

static void *run(void *argument)
{
    roan_resolve *resolve = argument;
    look_up(resolve, 0);
    atomic_store_explicit(&resolve->is_done, true, memory_order_release);
    uint64_t one = 1;
    ROAN_IGNORE(write(resolve->fd, &one, sizeof one)); /* a counter at 0 has room */
    unref(resolve);
    return NULL;
}

static int start_thread(roan_resolve *resolve)
{
    pthread_attr_t attributes;
    int problem = pthread_attr_init(&attributes);
    if (problem != 0)
        return problem;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    atomic_store_explicit(&resolve->owners, 2, memory_order_relaxed); /* the thread's is there before it starts */
    pthread_t thread;
    problem = pthread_create(&thread, &attributes, run, resolve);
    if (problem != 0)
        atomic_store_explicit(&resolve->owners, 1, memory_order_relaxed);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return problem;
}

static roan_status fail_to_start(const roan_resolve *resolve, int os_errno, roan_error *reterr)
{
    ROAN_IGNORE(roan_error_set_errno(reterr, os_errno, "cannot resolve '%.100s'", resolve->host)); /* fills only */
    if (reterr != NULL)
        reterr->code = ROAN_E_CONNECT;
    return ROAN_E_CONNECT;
}

static roan_status start_on_thread(roan_resolve *resolve, roan_error *reterr)
{
    resolve->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (resolve->fd < 0)
        return fail_to_start(resolve, errno, reterr);
    int problem = start_thread(resolve);
    return problem == 0 ? ROAN_OK : fail_to_start(resolve, problem, reterr);
}

roan_status roan_resolve_start(const char *host, roan_resolve **ret_resolve, roan_error *reterr)
{
    size_t host_bytes = strlen(host) + 1;
    roan_resolve *resolve = roan_try_alloc(sizeof *resolve + host_bytes);
    if (resolve == NULL)
        return roan_error_set(reterr, ROAN_E_NOMEM, "out of memory");
    memset(resolve, 0, sizeof *resolve);
    resolve->bytes = sizeof *resolve + host_bytes;
    resolve->fd = -1;
    atomic_init(&resolve->owners, 1);
    memcpy(resolve->host, host, host_bytes);

    look_up(resolve, AI_NUMERICHOST);
    roan_status status = ROAN_OK;
    if (resolve->problem == 0)
        atomic_store_explicit(&resolve->is_done, true, memory_order_release);
    else
        status = start_on_thread(resolve, reterr);
    if (status == ROAN_OK)
        *ret_resolve = resolve;
    else
        free_request(resolve);
    return status;
}

int roan_resolve_fd(const roan_resolve *resolve)
{
    return resolve->fd;
}

bool roan_resolve_is_done(const roan_resolve *resolve)
{
    return atomic_load_explicit(&resolve->is_done, memory_order_acquire);
}

roan_status roan_resolve_result(const roan_resolve *resolve, const struct addrinfo **ret_list, roan_error *reterr)
{
    ROAN_ASSERT(roan_resolve_is_done(resolve));
    if (resolve->problem == EAI_SYSTEM)
        return fail_to_start(resolve, resolve->os_errno, reterr);
    if (resolve->problem != 0)
        return roan_error_set(reterr, ROAN_E_CONNECT, "cannot resolve '%.100s': %.100s", resolve->host,
                              gai_strerror(resolve->problem));
    *ret_list = resolve->found;
    return ROAN_OK;
}

roan_resolve *roan_resolve_free(roan_resolve *resolve, bool in_child)
{
    if (resolve != NULL && in_child)
        free_request(resolve);
    else if (resolve != NULL)
        unref(resolve);
    return NULL;
}
