/* SPDX-License-Identifier: MIT */
/*
 * ready.c - the operations of a world of readiness: try, await, try again.
 *
 * The call itself comes first: data or room is usually there, and asking
 * before costs a system call every time.  A hint to go on may be stale; then
 * the next try says EAGAIN, and the loop waits again.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include "base/sys.h"
#include "io/world.h"

/*
 * Whether a call says that it would have to wait.  EINPROGRESS is the first
 * send's word for it where TCP_FASTOPEN_CONNECT had put the SYN off, and no
 * byte could go with it after all.
 */
static inline int must_wait(ssize_t n)
{
    return n == -EAGAIN || n == -EINPROGRESS;
}

static inline int await(struct tcpx__handle *h, short events,
                        tcpx_time deadline)
{
    if (deadline <= 0)
        return TCPX_EDEADLINE;
    return tcpx__world()->await(h, events, deadline);
}

ssize_t tcpx__ready_recv(struct tcpx__handle *h, void *buf, size_t len,
                         tcpx_time deadline)
{
    for (;;) {
        ssize_t n = tcpx__sys_recv(h->fd, buf, len, MSG_DONTWAIT);
        int err;

        if (n == -EINTR)
            continue;
        if (n != -EAGAIN)
            return tcpx__recv_verdict(h, n);
        err = await(h, POLLIN, deadline);
        if (err)
            return err;
    }
}

/* One part is what most writes are, and sendmsg(2) would copy the vector. */
static inline ssize_t try_send(struct tcpx__handle *h, const struct iovec *iov,
                               size_t n)
{
    if (TCPX__LIKELY(n == 1))
        return tcpx__sys_send(h->fd, iov->iov_base, iov->iov_len, MSG_DONTWAIT);
    return tcpx__sys_sendmsg(h->fd, iov, n, MSG_DONTWAIT);
}

/* What follows a try to send that gave `sent`. */
static TCPX__APART ssize_t send_on(struct tcpx__handle *h,
                                   const struct iovec *iov, size_t n,
                                   tcpx_time deadline, ssize_t sent)
{
    for (;;) {
        int err = 0;

        if (must_wait(sent))
            err = await(h, POLLOUT, deadline);
        else if (sent != -EINTR)
            return sent;
        if (err)
            return err;
        sent = try_send(h, iov, n);
    }
}

ssize_t tcpx__ready_send(struct tcpx__handle *h, const struct iovec *iov,
                         size_t n, tcpx_time deadline)
{
    ssize_t sent = try_send(h, iov, n);

    return TCPX__LIKELY(sent > 0) ? sent : send_on(h, iov, n, deadline, sent);
}

/*
 * sendfile(2) and splice(2) take no MSG_DONTWAIT: on a blocking socket they
 * would sleep where no cancel can reach them.  The socket is non-blocking from
 * the first of them on; a reader that meets EAGAIN by this turns to polling.
 */
static int make_nonblocking(struct tcpx__handle *h)
{
    int err;

    if (atomic_load(&h->flags) & TCPX__NONBLOCK)
        return 0;
    err = tcpx__sys_fcntl(h->fd, F_SETFL, O_RDWR | O_NONBLOCK);
    if (err < 0)
        return err;
    atomic_fetch_or(&h->flags, TCPX__NONBLOCK);
    return 0;
}

ssize_t tcpx__ready_sendfile(struct tcpx__handle *h, int in, int64_t *offset,
                             size_t len, tcpx_time deadline)
{
    struct tcpx__sigpipe held;
    int err = make_nonblocking(h);

    if (err < 0)
        return err;
    for (;;) {
        ssize_t n;

        tcpx__sigpipe_hold(&held);
        n = tcpx__sys_sendfile(h->fd, in, offset, len);
        tcpx__sigpipe_release(&held);
        if (n == -EINTR)
            continue;
        if (!must_wait(n))
            return n;
        err = await(h, POLLOUT, deadline);
        if (err)
            return err;
    }
}

ssize_t tcpx__ready_splice(struct tcpx__handle *h, int pipe, int to_pipe,
                           size_t len, tcpx_time deadline)
{
    int from = to_pipe ? h->fd : pipe;
    int to = to_pipe ? pipe : h->fd;
    struct tcpx__sigpipe held;
    int err = make_nonblocking(h);

    if (err < 0)
        return err;
    for (;;) {
        ssize_t n;

        tcpx__sigpipe_hold(&held);
        n = tcpx__sys_splice(from, to, len, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        tcpx__sigpipe_release(&held);
        if (n == -EINTR)
            continue;
        if (!must_wait(n))
            return to_pipe ? tcpx__recv_verdict(h, n) : n;
        err = await(h, to_pipe ? POLLIN : POLLOUT, deadline);
        if (err)
            return err;
    }
}

/* Errors of a client that has already gone come out of accept(2), which asks
   to treat them like EAGAIN; EPERM is a firewall's word about one client. */
static int is_of_the_client(int err)
{
    switch (-err) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM:
        return 1;
    default:
        return 0;
    }
}

/* So many clients that have gone do not hide one that is still there, even
   with a deadline that has passed; a pause follows, for what looks like the
   clients' doing may be a firewall's or a filter's, and last. */
#define CLIENTS_GONE 64
#define GONE_PAUSE (10 * TCPX_MSEC)

/* Counts a client that has gone: 0 to try the next, or why not. */
static int client_gone(int fd, int *gone, tcpx_time deadline)
{
    tcpx_time until;
    int err;

    if (fd != -EINTR)
        tcpx__task()->clients_gone++;
    if (++*gone < CLIENTS_GONE)
        return 0;
    *gone = 0;
    if (deadline <= 0)
        return TCPX_EDEADLINE;
    until = tcpx_after(GONE_PAUSE);
    if (until > deadline)
        until = deadline;
    err = tcpx__world()->park(until);
    return err == TCPX_EDEADLINE && until < deadline ? 0 : err;
}

int tcpx__ready_accept(struct tcpx__handle *h, struct sockaddr *peer,
                       socklen_t *len, tcpx_time deadline)
{
    socklen_t cap = *len;
    int gone = 0;

    for (;;) {
        int fd;
        int err = tcpx__handle_canceled(h);

        if (err)
            return err;
        *len = cap;
        fd = tcpx__sys_accept(h->fd, peer, len, 0);
        if (fd >= 0)
            return fd;
        if (fd == -EAGAIN)
            err = await(h, POLLIN, deadline);
        else if (!is_of_the_client(fd))
            err = fd;
        else
            err = client_gone(fd, &gone, deadline);
        if (err)
            return err;
    }
}

int tcpx__ready_connect_begin(int fd, const struct sockaddr *sa, socklen_t len)
{
    int err = tcpx__sys_connect(fd, sa, len);

    /* Interrupted, it goes on in the background; a second connect would say
       EALREADY. */
    return err == -EINTR ? -EINPROGRESS : err;
}

int tcpx__ready_connect_result(int fd)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof(peer);
    int pending = 0;
    int err = tcpx__sys_getsockopt_int(fd, SOL_SOCKET, SO_ERROR, &pending);

    if (err || pending)
        return err ? err : -pending;
    /* After a hint, SO_ERROR 0 is no proof: the hint may be stale. */
    err = tcpx__sys_getpeername(fd, (struct sockaddr *)&peer, &len);
    return err == -ENOTCONN ? -EINPROGRESS : err;
}
