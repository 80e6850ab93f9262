/* client/transports.c: which transport speaks to which kind of address. */
#include "client/handle.h"

const roan_transport *roan_transport_of(const roan_settings *settings, roan_error *reterr)
{
    if (settings->kind != ROAN_ADDRESS_EMBEDDED)
        return roan_socket_transport();
    roan_error_set(reterr, ROAN_E_UNSUPPORTED,
                   "embedded:// needs the server's library: give its transport in the options");
    return NULL;
}
