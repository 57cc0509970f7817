/* SPDX-License-Identifier: MIT */
/*
 * conn.c - a connection's life, and what can be asked without the kernel.
 */
#include "net/conn.h"

#include <errno.h>
#include <string.h>
#include "net/endpoint.h"

tcpx_conn *tcpx__conn_new(int fd, unsigned flags, const struct sockaddr *peer,
                          socklen_t len)
{
    tcpx_conn *c = tcpx__calloc(sizeof(*c));

    if (!c)
        return NULL;
    tcpx__handle_init(&c->h, fd, flags);
    atomic_init(&c->refs, 1);
    c->in.search = TCPX__SEARCH_NONE;
    if (!(flags & TCPX__UNIX) && peer) {
        struct tcpx__endpoint e;

        /* A client of IPv4 is one, whichever socket it came to. */
        tcpx__endpoint_set(&e, peer, len);
        tcpx__endpoint_unmap(&e);
        if (e.len <= sizeof(c->peer)) {
            memcpy(&c->peer, &e.sa, e.len);
            c->peer_len = e.len;
        }
    }
    return c;
}

tcpx_conn *tcpx_conn_ref(tcpx_conn *c)
{
    if (c)
        atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void tcpx_conn_unref(tcpx_conn *c)
{
    /* Whoever frees must see what the others wrote before they let go. */
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    tcpx__free(c->in.data);
    tcpx__free(atomic_load(&c->kept));
    tcpx__free(atomic_load(&c->peer_text));
    tcpx__free(atomic_load(&c->local_text));
    tcpx__free(c);
}

void tcpx__conn_dispose(tcpx_conn *c, int reset)
{
    const struct tcpx__world *world = tcpx__world();

    tcpx__handle_seal(&c->h);
    if (reset) {
        struct linger at_once = {.l_onoff = 1, .l_linger = 0};

        tcpx__sys_setsockopt(c->h.fd, SOL_SOCKET, SO_LINGER, &at_once,
                             sizeof(at_once));
    }
    if (world) {
        world->forget(&c->h);
        world->close(&c->h);
    } else {
        tcpx__sys_close(c->h.fd);
    }
    tcpx_conn_unref(c);
}

void tcpx_cancel(tcpx_conn *c)
{
    int saved = errno; /* a signal handler must leave it as it was */

    if (c)
        tcpx__handle_cancel(&c->h, TCPX_ECANCELED);
    errno = saved;
}

int tcpx__conn_fail(const tcpx_conn *c, int err, const char *operation)
{
    const char *name;

    if (c->peer_len)
        return tcpx__fail_at(err, operation, &c->peer.sa, c->peer_len);
    name = atomic_load(&c->peer_text);
    return tcpx__fail(err, operation, name ? name : "unix:");
}

int tcpx_conn_fd(const tcpx_conn *c)
{
    return c ? c->h.fd : -1;
}

uint64_t tcpx_conn_bytes_read(const tcpx_conn *c)
{
    return c ? atomic_load_explicit(&c->bytes_read, memory_order_relaxed) : 0;
}

uint64_t tcpx_conn_bytes_written(const tcpx_conn *c)
{
    return c ? atomic_load_explicit(&c->bytes_written, memory_order_relaxed)
             : 0;
}

int tcpx_conn_state(const tcpx_conn *c)
{
    int state = 0;

    if (!c)
        return 0;
    if (atomic_load(&c->connecting))
        state |= TCPX_STATE_CONNECTING;
    if (atomic_load(&c->peer_finished))
        state |= TCPX_STATE_PEER_FINISHED;
    if (atomic_load(&c->finished))
        state |= TCPX_STATE_FINISHED;
    if (atomic_load(&c->cut) || atomic_load(&c->kept))
        state |= TCPX_STATE_CUT;
    if (atomic_load(&c->read_error) || atomic_load(&c->write_error))
        state |= TCPX_STATE_FAILED;
    if (tcpx__handle_canceled(&c->h))
        state |= TCPX_STATE_CANCELED;
    return state;
}
