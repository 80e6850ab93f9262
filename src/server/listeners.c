/* server/listeners.c: opening the sockets that `bind`, `port` and `unixsocket` ask for, all or none. */
#include "server/listeners.h"

#include "base/macros.h"
#include "net/address.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

void roan_listeners_close(roan_listeners *listeners)
{
    for (size_t i = 0; i < listeners->count; i++)
        close(listeners->fds[i]);
    if (listeners->unix_path[0] != '\0')
        ROAN_IGNORE(unlink(listeners->unix_path)); /* somebody may have removed it */
    *listeners = (roan_listeners){0};
}

static bool is_missing_address(int os_errno)
{
    return os_errno == EADDRNOTAVAIL || os_errno == EAFNOSUPPORT || os_errno == EPROTONOSUPPORT;
}

/* One address of `bind`; a leading '-' makes an address that does not exist harmless. */
static roan_status open_address(const roan_config *config, const char *address, roan_listeners *listeners,
                                roan_error *reterr)
{
    bool is_optional = address[0] == '-';
    int fd;
    roan_error error;
    if (listeners->count + 1 >= ROAN_LISTENERS_MAX)
        return roan_error_set(reterr, ROAN_E_CONFIG, "bind: more than %d addresses", ROAN_LISTENERS_MAX - 1);
    roan_status status =
        roan_net_listen_tcp(address + is_optional, (int)config->port, (int)config->tcp_backlog, false, &fd, &error);
    if (status == ROAN_OK) {
        listeners->fds[listeners->count++] = fd;
        return ROAN_OK;
    }
    if (is_optional && is_missing_address(error.os_errno))
        return ROAN_OK;
    return roan_error_set(reterr, status, "%s", error.text);
}

static roan_status open_tcp(const roan_config *config, roan_listeners *listeners, roan_error *reterr)
{
    char addresses[4096];
    char *rest = addresses;
    snprintf(addresses, sizeof addresses, "%s", config->bind[0] == '\0' ? "* -::*" : config->bind);
    for (char *address; (address = strsep(&rest, " \t")) != NULL;) {
        roan_status status = address[0] == '\0' ? ROAN_OK : open_address(config, address, listeners, reterr);
        if (status != ROAN_OK)
            return status;
    }
    if (listeners->count == 0)
        return roan_error_set(reterr, ROAN_E_SYSTEM, "no address of 'bind %s' could be listened on", config->bind);
    return ROAN_OK;
}

static roan_status open_unix(const roan_config *config, roan_listeners *listeners, roan_error *reterr)
{
    int fd;
    if (strlen(config->unixsocket) >= sizeof listeners->unix_path)
        return roan_error_set(reterr, ROAN_E_CONFIG, "unixsocket: the path is longer than %zu bytes",
                              sizeof listeners->unix_path - 1);
    roan_status status = roan_net_listen_unix(config->unixsocket, (unsigned)config->unixsocketperm,
                                              (int)config->tcp_backlog, &fd, reterr);
    if (status != ROAN_OK)
        return status;
    listeners->fds[listeners->count++] = fd;
    snprintf(listeners->unix_path, sizeof listeners->unix_path, "%s", config->unixsocket);
    return ROAN_OK;
}

roan_status roan_listeners_open(const roan_config *config, roan_listeners *ret_listeners, roan_error *reterr)
{
    roan_listeners listeners = {0};
    roan_status status = config->port == 0 ? ROAN_OK : open_tcp(config, &listeners, reterr);
    if (status == ROAN_OK && config->unixsocket[0] != '\0')
        status = open_unix(config, &listeners, reterr);
    if (status != ROAN_OK)
        roan_listeners_close(&listeners);
    else
        *ret_listeners = listeners;
    return status;
}
