/* SPDX-License-Identifier: MIT */
/*
 * adopt.c - connections made of what the program has, and given back to it.
 *
 * A descriptor that comes from outside may share its open file with who knows
 * whom.  Timeouts and O_NONBLOCK belong to the open file, so they are left
 * alone unless the program says that it is the only one; what was changed is
 * put back when the descriptor is.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/opts.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

/* The size of tcpx_adopt_opts in its first release. */
#define ADOPT_OPTS_LEAST 16

/* A handle keeps 32 bits of nanoseconds. */
#define SPIN_MAX (4 * TCPX_SEC)

static int get_opts(tcpx_adopt_opts *out, const tcpx_adopt_opts *given)
{
    int err = tcpx__opts_copy(out, sizeof(*out), ADOPT_OPTS_LEAST, given);

    if (err)
        return tcpx__opts_fail(err, "conn_adopt", NULL);
    if (out->sole_owner != 0 && out->sole_owner != 1)
        return tcpx__fail_because(-EINVAL, "conn_adopt", NULL,
                                  "sole_owner is neither 0 nor 1");
    if (out->spin > SPIN_MAX || (out->spin < 0 && out->spin != TCPX_NONE))
        return tcpx__fail_because(-EINVAL, "conn_adopt", NULL,
                                  "spin is not in 0 to 4 s");
    return 0;
}

/* TCP or Multipath TCP; others use the same families and types. */
static int check_protocol(int fd)
{
    int protocol = 0;
    int err = tcpx__sys_getsockopt_int(fd, SOL_SOCKET, SO_PROTOCOL, &protocol);

    if (err)
        return err;
    return protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP
               ? 0
               : -EPROTONOSUPPORT;
}

/* Whether fd is what a connection can be made of; sets its family. */
static int check_socket(int fd, int *family, const char **why)
{
    int type = 0;
    int listens = 0;
    int err = tcpx__sys_getsockopt_int(fd, SOL_SOCKET, SO_TYPE, &type);

    if (!err)
        err = tcpx__sys_getsockopt_int(fd, SOL_SOCKET, SO_DOMAIN, family);
    if (!err)
        err = tcpx__sys_getsockopt_int(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens);
    if (err)
        return err;
    if (*family != AF_INET && *family != AF_INET6 && *family != AF_UNIX)
        return -EPROTONOSUPPORT;
    if (type != SOCK_STREAM) {
        *why = "it is no stream socket";
        return -EINVAL;
    }
    if (listens) {
        *why = "it listens";
        return -EINVAL;
    }
    return *family == AF_UNIX ? 0 : check_protocol(fd);
}

/* Takes note of what is changed on a socket that is ours alone, and changes
   it: a receive sleeps in recv(2), its limit in SO_RCVTIMEO. */
static int take_alone(tcpx_conn *c)
{
    socklen_t len = sizeof(c->old_timeout);
    int flags = tcpx__sys_fcntl(c->h.fd, F_GETFL, 0);
    int err;

    if (flags < 0)
        return flags;
    err = tcpx__sys_getsockopt(c->h.fd, SOL_SOCKET, SO_RCVTIMEO,
                               &c->old_timeout, &len);
    if (err)
        return err;
    c->restore |= TCPX__RESTORE_TIMEOUT;
    if (c->old_timeout.tv_sec || c->old_timeout.tv_usec)
        c->h.receive_timeout = -1; /* the first receive sets its own */
    if (flags & O_NONBLOCK) {
        err = tcpx__sys_fcntl(c->h.fd, F_SETFL, flags & ~O_NONBLOCK);
        if (err)
            return err;
        c->restore |= TCPX__RESTORE_NONBLOCK;
    }
    return 0;
}

/* Switches one flag of fcntl(2) on or off. */
static void put_flag(int fd, int get, int set, int flag, int on)
{
    int flags = tcpx__sys_fcntl(fd, get, 0);

    if (flags >= 0)
        tcpx__sys_fcntl(fd, set, on ? flags | flag : flags & ~flag);
}

/* Makes the descriptor what it was when it was adopted, or what a program
   expects of one that was not: blocking and without a timeout. */
static void put_back(tcpx_conn *c)
{
    unsigned flags = atomic_load(&c->h.flags);
    int nonblock = c->restore & TCPX__RESTORE_NONBLOCK;

    if (c->restore & TCPX__RESTORE_EXEC)
        put_flag(c->h.fd, F_GETFD, F_SETFD, FD_CLOEXEC, 0);
    if (tcpx__handle_is_shared(&c->h))
        return;
    if (c->h.receive_timeout || (c->restore & TCPX__RESTORE_TIMEOUT))
        tcpx__sys_setsockopt(c->h.fd, SOL_SOCKET, SO_RCVTIMEO, &c->old_timeout,
                             sizeof(c->old_timeout));
    if (nonblock || (flags & TCPX__NONBLOCK))
        put_flag(c->h.fd, F_GETFL, F_SETFL, O_NONBLOCK, nonblock);
}

/* Changes what must change while c holds the descriptor; all or nothing. */
static int take_over(tcpx_conn *c, int alone)
{
    int flags = tcpx__sys_fcntl(c->h.fd, F_GETFD, 0);
    int err = flags < 0 ? flags : 0;

    if (!err && !(flags & FD_CLOEXEC)) {
        err = tcpx__sys_fcntl(c->h.fd, F_SETFD, flags | FD_CLOEXEC);
        if (!err)
            c->restore |= TCPX__RESTORE_EXEC;
    }
    if (!err && alone)
        err = take_alone(c);
    if (err)
        put_back(c);
    return err;
}

/* What a fresh handle of such a socket is told about it. */
static unsigned flags_of(int family, int alone)
{
    return (family == AF_UNIX ? TCPX__UNIX : 0u) |
           (alone ? 0u : (unsigned)TCPX__SHARED);
}

int tcpx_conn_adopt(tcpx_conn **out, int fd, const tcpx_adopt_opts *opts)
{
    struct tcpx__endpoint peer = {.len = sizeof(peer.ss)};
    const char *why = NULL;
    tcpx_adopt_opts o;
    tcpx_conn *c;
    int family = 0;
    int err;

    if (!out)
        return tcpx__refuse("conn_adopt", "no place for the connection");
    err = get_opts(&o, opts);
    if (err)
        return err;
    err = check_socket(fd, &family, &why);
    if (!err)
        err = tcpx__sys_getpeername(fd, &peer.sa, &peer.len);
    if (err && why)
        return tcpx__fail_because(err, "conn_adopt", NULL, "%s", why);
    if (err)
        return tcpx__fail(err, "conn_adopt", NULL);
    c = tcpx__conn_new(fd, flags_of(family, o.sole_owner), &peer.sa, peer.len);
    if (!c)
        return tcpx__fail(-ENOMEM, "conn_adopt", NULL);
    err = take_over(c, o.sole_owner);
    if (err) {
        tcpx_conn_unref(c); /* the descriptor is still the caller's */
        return tcpx__fail(err, "conn_adopt", NULL);
    }
    c->h.spin = o.spin > 0 ? (uint32_t)o.spin : 0;
    *out = c;
    return 0;
}

int tcpx_conn_pair(tcpx_conn *out[2])
{
    tcpx_conn *pair[2];
    int fd[2];
    int err;

    if (!out)
        return tcpx__refuse("conn_pair", "no place for the pair");
    err = tcpx__sys_socketpair(AF_UNIX, SOCK_STREAM, fd);
    if (err)
        return tcpx__fail(err, "conn_pair", NULL);
    for (int i = 0; i < 2; i++)
        pair[i] = tcpx__conn_new(fd[i], TCPX__UNIX, NULL, 0);
    if (!pair[0] || !pair[1]) {
        for (int i = 0; i < 2; i++) {
            tcpx_conn_unref(pair[i]);
            tcpx__sys_close(fd[i]);
        }
        return tcpx__fail(-ENOMEM, "conn_pair", NULL);
    }
    out[0] = pair[0];
    out[1] = pair[1];
    return 0;
}

/*
 * Shuts cancellers out.  One that was there before has shut the descriptor's
 * receiving side: it is no good to anybody, and c stays as it is, canceled.
 */
static int seal(tcpx_conn *c)
{
    int err;

    tcpx__handle_seal(&c->h);
    err = tcpx__handle_canceled(&c->h);
    if (err)
        tcpx__handle_unseal(&c->h);
    return err;
}

/* Both directions are claimed: ends c, but for its descriptor. */
static int give_back(tcpx_conn *c, void *held, size_t cap, size_t *held_len)
{
    size_t n = tcpx__conn_buffered(c);
    int err = tcpx__handle_canceled(&c->h);

    if (!err && atomic_load(&c->kept))
        err = TCPX_EDEADLINE;
    if (!err && n > cap) {
        if (held_len)
            *held_len = n;
        err = -ENOBUFS;
    }
    /* Whoever gets the descriptor need not know that its SYN was put off. */
    if (!err)
        err = tcpx__conn_begin_handshake(c);
    if (!err)
        err = seal(c);
    if (err)
        return err;
    tcpx__world()->forget(&c->h);
    put_back(c);
    tcpx__conn_take(c, held, n);
    if (held_len)
        *held_len = n;
    return 0;
}

int tcpx_conn_release(tcpx_conn *c, int *fd, void *held, size_t cap,
                      size_t *held_len)
{
    int reader;
    int writer;
    int err = -EBUSY;

    if (!c || !fd || (!held && cap))
        return tcpx__refuse("conn_release", "no connection");
    if (!tcpx__task())
        return -ENOMEM;
    if (tcpx__conn_is_lent(c))
        return tcpx__conn_fail(c, -EBUSY, "conn_release");
    reader = tcpx__conn_claim(&c->reading);
    writer = tcpx__conn_claim(&c->writing);
    if (reader && writer && !tcpx__handle_in_use(&c->h))
        err = give_back(c, held, cap, held_len);
    if (err) {
        tcpx__conn_fail(c, err, "conn_release");
        if (reader)
            tcpx__conn_unclaim(&c->reading);
        if (writer)
            tcpx__conn_unclaim(&c->writing);
        return err;
    }
    *fd = c->h.fd;
    tcpx__conn_end_ownership(c, 0);
    tcpx_conn_unref(c);
    return 0;
}
