/* SPDX-License-Identifier: MIT */
/*
 * listener.h - the passive open: listen and accept.
 */
#ifndef TCPX_LISTENER_H
#define TCPX_LISTENER_H

#include <tcpx/base.h>
#include <tcpx/connect.h>

TCPX_BEGIN_DECLS

typedef struct tcpx_listener tcpx_listener;

/*
 * How to listen.  Zero is the default of every member; TCPX_NONE switches off
 * what is on by default.  Make one with TCPX_LISTEN(...) or
 * tcpx_listen_defaults().  The members from .keepalive_idle on are for the
 * connections that are accepted.  On an adopted or activated socket the
 * members that shape the socket before bind are -EINVAL.
 */
typedef struct tcpx_listen_opts {
    uint32_t size;      /* sizeof(tcpx_listen_opts); the macro sets it */
    int32_t backlog;    /* connections that wait for accept; 0: as many as the
                           kernel allows (net.core.somaxconn) */
    int32_t reuse_port; /* 1: SO_REUSEPORT, several listeners on one port */
    int32_t no_reuse_address; /* 1: without SO_REUSEADDR; a restart may then
                                 meet "address already in use" for a minute */
    int32_t v6_only;          /* 1: an IPv6 wildcard takes no IPv4 client */
    int32_t unix_mode;        /* permissions of a Unix socket file; 0: 0600 */
    int32_t keep_socket_file; /* 1: leave the Unix socket file at close */
    int32_t defer_accept; /* seconds to wait for the client's first bytes before
                             accept, TCP_DEFER_ACCEPT; only where the client
                             speaks first */
    int32_t mptcp;        /* 1: also accept Multipath TCP */
    int32_t fastopen;     /* length of the fast open queue, RFC 7413; 0: none */
    const char *interface; /* SO_BINDTODEVICE */
    /* Called before bind, for what has no member; negative ends the listen. */
    int (*control)(int fd, void *arg);
    void *control_arg;
    tcpx_time keepalive_idle;     /* 60 s; TCPX_NONE: no keepalive */
    tcpx_time keepalive_interval; /* 15 s */
    tcpx_time user_timeout;       /* off; see tcpx_connect_opts */
    tcpx_time spin;               /* off; see tcpx_connect_opts */
    int32_t keepalive_count;      /* 4 */
    int32_t send_buffer;          /* bytes; 0: the kernel tunes it */
    int32_t receive_buffer;       /* bytes; 0: the kernel tunes it */
    int32_t nagle;                /* 1: no TCP_NODELAY */
} tcpx_listen_opts;

static inline tcpx_listen_opts tcpx_listen_defaults(void)
{
    tcpx_listen_opts opts;

    memset(&opts, 0, sizeof(opts));
    opts.size = (uint32_t)sizeof(opts);
    return opts;
}

/* In C: TCPX_LISTEN(.backlog = 128, .reuse_port = 1). */
#define TCPX_LISTEN(...)                                                       \
    (&(tcpx_listen_opts){.size = (uint32_t)sizeof(tcpx_listen_opts),           \
                         __VA_ARGS__})

/*
 * Listens on address, see <tcpx/address.h>: numeric, ":port" for every address
 * of both families (IPv4 alone where IPv6 is off), "localhost" (127.0.0.1, or
 * ::1 where IPv4 is off), Unix, "fd:N" or "systemd:".  It never resolves a
 * name.  opts may be NULL.
 *
 * A Unix socket file gets its mode before it appears; a stale one, on which
 * nobody answers, is replaced, anything else at the path is -EADDRINUSE and
 * stays.  tcpx_listener_close() removes the file, if it is still the one that
 * this listener made and in the process that made it.
 *
 * Returns 0 and the listener in *out; clients queue from then on.  Otherwise:
 *
 * TCPX_EADDRESS      the text is malformed, or is a name
 * TCPX_ERESOLVE      no service of services(5) is called so
 * -EADDRINUSE        the address is taken, or a file is in the way
 * -EADDRNOTAVAIL     the address is not this host's
 * -EACCES, -EPERM    a privileged port, a directory or a device, not allowed;
 *                    or anybody may replace files in the socket's directory
 * -ENOENT            no such directory; or activation passed no such socket
 * -ENODEV            no such interface or zone
 * -EBADF, -ENOTSOCK, -EINVAL    fd: or systemd: is not a listening stream
 *                    socket; tcpx_errmsg() says what it is
 * -EAFNOSUPPORT      the family is off on this host
 * -EINVAL, -E2BIG    a NULL argument or a wrong option
 * -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM    a shortage on this host
 *
 * See bind(2), listen(2), socket(7), ipv6(7), unix(7), sd_listen_fds(3).
 */
TCPX_API int tcpx_listen(tcpx_listener **out, const char *address,
                         const tcpx_listen_opts *opts);

/*
 * Makes a listener of a listening stream socket that the program made; it is
 * closed with the listener, but never shut down, for others may hold it.
 * O_NONBLOCK and FD_CLOEXEC are set on it, and the members from
 * .keepalive_idle on, which what it accepts inherits.  Returns 0; -EBADF,
 * -ENOTSOCK, -EINVAL (it does not listen; a shaping option), -E2BIG, -ENOMEM,
 * -EMFILE.  On failure fd is still the caller's.
 */
TCPX_API int tcpx_listener_adopt(tcpx_listener **out, int fd,
                                 const tcpx_listen_opts *opts);

/*
 * Waits for a client and accepts it.  Errors that belong to a client which has
 * already gone (accept(2), "Error handling") are retried inside; the peer's
 * address comes from accept itself.  Any number of tasks may wait on one
 * listener.  A shortage is told only once a client is there.
 *
 * Returns 0 and the connection in *out; TCPX_EDEADLINE; TCPX_ECANCELED, by
 * tcpx_listener_cancel() or tcpx_task_cancel(); -EMFILE, -ENFILE, -ENOBUFS,
 * -ENOMEM: a shortage, the client stays queued, and calling again at once
 * would spin; -EINVAL.
 */
TCPX_API int tcpx_accept(tcpx_conn **out, tcpx_listener *l, tcpx_time deadline);

/*
 * The address that l listens on, with the real port where 0 was asked for:
 * "127.0.0.1:41233", "[::]:7000", "unix:/run/x.sock".  Lives as long as l.
 */
TCPX_API const char *tcpx_listener_address(const tcpx_listener *l);

/* The backlog in force: what was asked for, or the kernel's limit if lower.
   0 if nothing tells it, as of a Unix socket that was passed in. */
TCPX_API int tcpx_listener_backlog(const tcpx_listener *l);

/* The descriptor, for poll(2); it stays l's.  -1 for NULL. */
TCPX_API int tcpx_listener_fd(const tcpx_listener *l);

/*
 * Makes every tcpx_accept() on l, waiting and to come, return TCPX_ECANCELED.
 * Any thread, any signal handler; l must be alive.  Clients that are queued
 * stay queued until tcpx_listener_close().
 */
TCPX_API void tcpx_listener_cancel(tcpx_listener *l);

/*
 * Stops listening, after waking and waiting for every task that waits in
 * tcpx_accept(), removes the Unix socket file, and frees l.  Clients that were
 * queued are reset, unless another process holds the socket.  NULL is nothing.
 */
TCPX_API void tcpx_listener_close(tcpx_listener *l);

TCPX_END_DECLS

#endif
