/* server/embedded_link.c: see embedded_link.h. */
#include "server/embedded_link.h"

#include "base/alloc.h"
#include "roan/transport.h"

struct roan_embedded_link {
    roan_descriptor_source source;
    roan_transport transport;
};

static roan_status connect_embedded(void *state, const roan_endpoint *endpoint, int *ret_fd, roan_error *reterr)
{
    (void)endpoint;
    return roan_embedded_connect(state, ret_fd, reterr);
}

roan_status roan_embedded_link_create(roan_embedded *server, const char *name, roan_embedded_link **ret_link,
                                      roan_error *reterr)
{
    roan_embedded_link *link = roan_alloc_zero(sizeof *link);
    link->source = (roan_descriptor_source){.state = server, .connect = connect_embedded};
    roan_descriptor_transport(&link->source, &link->transport);
    roan_status status = name == NULL ? ROAN_OK : roan_descriptor_source_register(name, &link->source, reterr);
    *ret_link = status == ROAN_OK ? link : roan_embedded_link_free(link);
    return status;
}

void roan_embedded_link_cut(roan_embedded_link *link)
{
    roan_descriptor_source_unregister(&link->source);
}

roan_embedded_link *roan_embedded_link_free(roan_embedded_link *link)
{
    if (link != NULL)
        roan_free(link, sizeof *link);
    return NULL;
}

const struct roan_transport *roan_embedded_link_transport(const roan_embedded_link *link)
{
    return &link->transport;
}
