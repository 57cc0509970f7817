/* SPDX-License-Identifier: MIT */
/*
 * names.c - who the two ends of a connection are, as text and in binary.
 *
 * Texts are made when they are first asked for, by whichever task asks, and
 * then belong to the connection.  The kernel is asked only while the descriptor
 * is certainly this connection's: somebody who kept the memory by a reference
 * may ask after another task closed it.
 */
#include <errno.h>
#include <string.h>
#include "net/conn.h"
#include "net/endpoint.h"

typedef int name_fn(int fd, struct sockaddr *sa, socklen_t *len);

/* Asks the kernel for a name.  Returns 0 or -errno; -EBADF once c is closed. */
static int ask(const tcpx_conn *c, name_fn *name, struct tcpx__endpoint *out)
{
    /* Looking takes part in the closing, and so is no change of c. */
    struct tcpx__handle *h = (struct tcpx__handle *)(uintptr_t)&c->h;
    int err;

    if (!tcpx__handle_hold(h))
        return -EBADF;
    memset(out, 0, sizeof(*out));
    out->len = sizeof(out->ss);
    err = name(h->fd, &out->sa, &out->len);
    tcpx__handle_let_go(h);
    return err;
}

static int get_peer(const tcpx_conn *c, struct tcpx__endpoint *out)
{
    int err;

    if (c->peer_len) {
        tcpx__endpoint_set(out, &c->peer.sa, c->peer_len);
        return 0;
    }
    err = ask(c, tcpx__sys_getpeername, out);
    if (!err)
        tcpx__endpoint_unmap(out);
    return err;
}

/*
 * Makes the text of e the one that everybody is shown, unless another task was
 * faster.  A reader of the pointer must see the text behind it, so the exchange
 * releases and acquires.
 */
static const char *publish(char *_Atomic *text, const struct tcpx__endpoint *e)
{
    char buf[TCPX__ENDPOINT_TEXT];
    char *made;
    char *first = NULL;

    if (tcpx__endpoint_format(&e->sa, e->len, buf, sizeof(buf)) < 0)
        return "";
    made = tcpx__strdup(buf);
    if (!made)
        return "";
    if (atomic_compare_exchange_strong(text, &first, made))
        return made;
    tcpx__free(made);
    return first;
}

const char *tcpx_conn_peer(const tcpx_conn *c)
{
    tcpx_conn *mine = (tcpx_conn *)(uintptr_t)c;
    struct tcpx__endpoint e;
    const char *text;

    if (!c)
        return "";
    text = atomic_load(&mine->peer_text);
    if (text)
        return text;
    return get_peer(c, &e) ? "" : publish(&mine->peer_text, &e);
}

const char *tcpx_conn_local(const tcpx_conn *c)
{
    tcpx_conn *mine = (tcpx_conn *)(uintptr_t)c;
    struct tcpx__endpoint e;
    const char *text;

    if (!c)
        return "";
    text = atomic_load(&mine->local_text);
    if (text)
        return text;
    return ask(c, tcpx__sys_getsockname, &e) ? ""
                                             : publish(&mine->local_text, &e);
}

int tcpx_conn_peer_sockaddr(const tcpx_conn *c, struct sockaddr_storage *out)
{
    struct tcpx__endpoint e;
    int err;

    if (!c || !out)
        return tcpx__refuse("conn_peer_sockaddr",
                            c ? "no place for the address" : "no connection");
    err = get_peer(c, &e);
    if (err)
        return tcpx__conn_fail(c, err, "conn_peer_sockaddr");
    *out = e.ss;
    return (int)e.len;
}
