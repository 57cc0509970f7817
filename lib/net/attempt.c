/* SPDX-License-Identifier: MIT */
/*
 * attempt.c - one attempt to connect: one address, one socket.
 *
 * Every attempt has a socket of its own: what state a failed connect leaves a
 * socket in is unspecified, and on Linux the next one says ECONNABORTED.
 */
#include "net/attempt.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include "base/sys.h"
#include "io/world.h"
#include "net/conn.h"

/* Kernels have these, older headers do not. */
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif
#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static int is_unix(const struct tcpx__attempt *a)
{
    return a->to.sa.sa_family == AF_UNIX;
}

static int fail(struct tcpx__attempt *a, int err, const char *why)
{
    tcpx__attempt_end(a);
    a->why = why;
    return err;
}

/* Multipath TCP where it is asked for and to be had; else plain TCP. */
static int open_socket(const struct tcpx__plan *plan, int family)
{
    int type = SOCK_STREAM | SOCK_NONBLOCK;

    if (plan->opts.mptcp && family != AF_UNIX) {
        int fd = tcpx__sys_socket(family, type, IPPROTO_MPTCP);

        if (fd >= 0)
            return fd;
    }
    return tcpx__sys_socket(family, type, 0);
}

static int bind_interface(struct tcpx__attempt *a, const char *interface)
{
    size_t len = strlen(interface);
    int err = -ENODEV;

    /* A longer name would be cut to that of another interface, and an empty
       one takes the binding away. */
    if (len > 0 && len < IFNAMSIZ)
        err = tcpx__sys_setsockopt(a->fd, SOL_SOCKET, SO_BINDTODEVICE,
                                   interface, (socklen_t)len);
    if (err == -ENODEV)
        return fail(a, err, "no such interface");
    if (err == -EPERM)
        return fail(a, err, "not permitted to bind to an interface");
    return err ? fail(a, err, NULL) : 0;
}

static int bind_failed(struct tcpx__attempt *a, int err)
{
    switch (-err) {
    case EADDRNOTAVAIL:
        return fail(a, err, "the local address is not this host's");
    case EADDRINUSE:
        return fail(a, err, "the local port is taken");
    case EACCES:
        return fail(a, err, "the local port is privileged");
    default:
        return fail(a, err, NULL);
    }
}

static int bind_local(struct tcpx__attempt *a, const struct tcpx__plan *plan)
{
    struct tcpx__endpoint local = plan->local;
    int err;

    if (!local.len && !plan->local_port)
        return 0;
    if (!local.len) {
        memset(&local, 0, sizeof(local));
        local.len = a->to.len;
        local.sa.sa_family = a->to.sa.sa_family;
    }
    tcpx__endpoint_set_port(&local, plan->local_port);
    /* A port that is asked for serves several attempts at a time.  One that is
       not is chosen by connect, which can use a port once for each peer; bind
       alone would have to find one that nobody uses at all. */
    if (plan->local_port)
        tcpx__sys_setsockopt_int(a->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    else
        tcpx__sys_setsockopt_int(a->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    err = tcpx__sys_bind(a->fd, &local.sa, local.len);
    return err ? bind_failed(a, err) : 0;
}

/* All that comes before connect. */
static int prepare(struct tcpx__attempt *a, const struct tcpx__plan *plan)
{
    const tcpx_connect_opts *opts = &plan->opts;
    int err = tcpx__tuning_apply(a->fd, a->to.sa.sa_family, &plan->tuning, 1);

    if (err)
        return fail(a, err, NULL);
    /* Where the kernel does not know it, the connection is opened as usual. */
    if (opts->fastopen && !is_unix(a))
        tcpx__sys_setsockopt_int(a->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
    if (opts->interface)
        err = bind_interface(a, opts->interface);
    if (!err && opts->control) {
        err = opts->control(a->fd, opts->control_arg);
        a->given_up = err < 0;
        err = err < 0 ? fail(a, err, "given up by .control") : 0;
    }
    return err ? err : bind_local(a, plan);
}

static int connect_failed(struct tcpx__attempt *a, int err)
{
    if (is_unix(a))
        return fail(a, err, err == -EAGAIN ? "the queue is full" : NULL);
    switch (-err) {
    case EINVAL:
        return fail(a, err,
                    a->to.sa.sa_family == AF_INET6 &&
                            IN6_IS_ADDR_LINKLOCAL(&a->to.in6.sin6_addr)
                        ? "a link-local address needs a zone, as in "
                          "[fe80::1%eth0]:80"
                        : NULL);
    case EACCES:
    case EPERM:
        /* An IPv6 firewall's answer comes as EACCES, a local rule as EPERM:
           neither has to do with the permissions of the process. */
        return fail(a, err, "forbidden by a firewall or a route");
    case EADDRNOTAVAIL:
        return fail(a, err,
                    "no free local port, or no local address, to come from");
    default:
        return fail(a, err, NULL);
    }
}

int tcpx__attempt_begin(struct tcpx__attempt *a, const struct tcpx__plan *plan,
                        const struct tcpx__endpoint *to)
{
    int err;

    a->to = *to;
    a->reset = 0;
    a->given_up = 0;
    a->put_off = 0;
    a->why = NULL;
    a->fd = open_socket(plan, to->sa.sa_family);
    if (a->fd < 0)
        return a->fd;
    err = prepare(a, plan);
    if (err)
        return err;
    err = tcpx__world()->connect_begin(a->fd, &to->sa, to->len);
    /* With a cookie of the server at hand, connect succeeds and sends nothing.
       Whoever only reads, waits or half-closes would never reach the server. */
    if (!err && plan->opts.fastopen && !is_unix(a))
        a->put_off = tcpx__world()->connect_result(a->fd) == -EINPROGRESS;
    return err && err != -EINPROGRESS ? connect_failed(a, err) : err;
}

/*
 * Whether the socket met itself: a connect to a port of this host that it was
 * given as its own (RFC 9293 3.5, simultaneous open).  It is closed by a reset
 * then, for its port is somebody's who is about to listen there.
 */
static int met_itself(int fd, const struct tcpx__endpoint *to)
{
    static const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    struct tcpx__endpoint local = {.len = sizeof(local.ss)};
    struct tcpx__endpoint peer = {.len = sizeof(peer.ss)};

    if (tcpx__sys_getsockname(fd, &local.sa, &local.len) ||
        tcpx__endpoint_port(&local) != tcpx__endpoint_port(to) ||
        tcpx__sys_getpeername(fd, &peer.sa, &peer.len) ||
        !tcpx__endpoint_equal(&local, &peer))
        return 0;
    tcpx__sys_setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    return 1;
}

/*
 * How the connect of a socket ended.  A reset in answer to the SYN is
 * ECONNREFUSED; these two mean that the connection stood before.
 */
static int outcome(int fd, const struct tcpx__endpoint *to, int *reset)
{
    int err = tcpx__world()->connect_result(fd);

    *reset = 0;
    if (err == -ECONNRESET || err == -EPIPE) {
        *reset = err;
        return 0;
    }
    return !err && met_itself(fd, to) ? -ECONNREFUSED : err;
}

int tcpx__attempt_result(struct tcpx__attempt *a)
{
    int err = outcome(a->fd, &a->to, &a->reset);

    return err && err != -EINPROGRESS ? connect_failed(a, err) : err;
}

void tcpx__attempt_end(struct tcpx__attempt *a)
{
    tcpx__sys_close(a->fd);
    a->fd = -1;
}

static int make_blocking(int fd)
{
    return tcpx__sys_fcntl(fd, F_SETFL, O_RDWR);
}

static int is_unspecified(const struct tcpx__endpoint *e)
{
    if (e->sa.sa_family == AF_INET)
        return e->in.sin_addr.s_addr == htonl(INADDR_ANY);
    return e->sa.sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&e->in6.sin6_addr);
}

int tcpx__attempt_finish(struct tcpx__attempt *a, const struct tcpx__plan *plan,
                         int connecting, tcpx_conn **out)
{
    unsigned flags = is_unix(a) ? TCPX__UNIX : 0;
    struct tcpx__endpoint peer = {.len = sizeof(peer.ss)};
    enum tcpx__connecting state = a->put_off   ? TCPX__PUT_OFF
                                  : connecting ? TCPX__UNDER_WAY
                                               : TCPX__KNOWN;
    tcpx_conn *c;

    if (state || make_blocking(a->fd) < 0)
        flags |= TCPX__NONBLOCK;
    /* 0.0.0.0 and [::] lead to this host; the kernel knows to which address. */
    if (is_unspecified(&a->to) &&
        !tcpx__sys_getpeername(a->fd, &peer.sa, &peer.len))
        a->to = peer;
    c = tcpx__conn_new(a->fd, flags, is_unix(a) ? NULL : &a->to.sa, a->to.len);
    if (!c) {
        tcpx__attempt_end(a);
        return -ENOMEM;
    }
    a->fd = -1;
    c->h.spin = tcpx__tuning_spin(&plan->tuning);
    atomic_store(&c->connecting, (uint8_t)state);
    if (a->reset)
        tcpx__conn_latch_write(c, a->reset);
    *out = c;
    return 0;
}

/* ---- An attempt that became a connection before it was over ------------ */

/* Takes note of the outcome; the claim is given back by what it stores. */
static int settle(tcpx_conn *c)
{
    struct tcpx__endpoint to;
    int reset;
    int err;

    tcpx__endpoint_set(&to, &c->peer.sa, c->peer_len);
    err = outcome(c->h.fd, &to, &reset);
    if (err == -EINPROGRESS) {
        atomic_store(&c->connecting, TCPX__UNDER_WAY);
        return err;
    }
    if (err) {
        /* The kernel tells why only once. */
        tcpx__conn_latch_read(c, err);
        tcpx__conn_latch_write(c, err);
    } else if (reset) {
        tcpx__conn_latch_write(c, reset);
    }
    if (make_blocking(c->h.fd) == 0)
        atomic_fetch_and(&c->h.flags, (uint8_t)~TCPX__NONBLOCK);
    atomic_store(&c->connecting, 0);
    return err;
}

ssize_t tcpx__conn_send_syn(tcpx_conn *c, const struct iovec *iov, size_t n)
{
    uint8_t state = TCPX__PUT_OFF;
    ssize_t sent;

    if (!atomic_compare_exchange_strong(&c->connecting, &state, TCPX__SETTLING))
        return TCPX_EDEADLINE;
    sent = tcpx__world()->send(&c->h, iov, n, TCPX_NOW);
    state = TCPX__UNDER_WAY;
    if (sent < 0 && sent != TCPX_EDEADLINE) {
        state = TCPX__PUT_OFF;
        if (tcpx__is_final((int)sent)) {
            tcpx__conn_latch_read(c, (int)sent);
            tcpx__conn_latch_write(c, (int)sent);
            state = TCPX__KNOWN;
        }
    }
    atomic_store(&c->connecting, state);
    return sent;
}

int tcpx__conn_begin_handshake(tcpx_conn *c)
{
    struct iovec nothing = {NULL, 0};
    ssize_t n;

    if (atomic_load(&c->connecting) != TCPX__PUT_OFF)
        return 0;
    n = tcpx__conn_send_syn(c, &nothing, 1);
    return n == TCPX_EDEADLINE ? 0 : (int)n;
}

/* What another task found out: a connect that failed latched both. */
static int settled(const tcpx_conn *c)
{
    int err = atomic_load(&c->read_error);

    return err == atomic_load(&c->write_error) ? err : 0;
}

int tcpx__conn_settle_connect(tcpx_conn *c, tcpx_time deadline)
{
    for (;;) {
        uint8_t state = TCPX__UNDER_WAY;
        int err = tcpx__conn_begin_handshake(c);

        if (err)
            return err;
        if (!atomic_compare_exchange_strong(&c->connecting, &state,
                                            TCPX__SETTLING)) {
            if (!state)
                return settled(c);
            tcpx__yield();
            continue;
        }
        err = settle(c);
        if (err != -EINPROGRESS)
            return err;
        if (deadline <= 0)
            return TCPX_EDEADLINE;
        err = tcpx__world()->await(&c->h, POLLOUT, deadline);
        if (err)
            return err;
    }
}
