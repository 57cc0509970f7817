/* SPDX-License-Identifier: MIT */
/*
 * lent.c - a connection that a server has lent to a handler.
 */
#include <errno.h>
#include <tcpx/server.h>
#include "net/conn.h"

int tcpx_conn_take(tcpx_conn *c)
{
    struct tcpx__owner *owner = c ? c->owner : NULL;
    int err;

    if (!owner || !atomic_load(&owner->lent))
        return tcpx__fail_because(-EINVAL, "take", NULL,
                                  "the connection is in no handler's hands");
    err = owner->take(owner);
    if (err)
        return tcpx__fail(err, "take", tcpx_conn_peer(c));
    atomic_store(&owner->lent, 0);
    return 0;
}

int tcpx_conn_is_draining(const tcpx_conn *c)
{
    return c && c->owner && c->owner->is_draining(c->owner);
}
