/* SPDX-License-Identifier: MIT */
/*
 * connect.h - the active open: one blocking call from a name to a connection.
 */
#ifndef TCPX_CONNECT_H
#define TCPX_CONNECT_H

#include <tcpx/base.h>

TCPX_BEGIN_DECLS

typedef struct tcpx_conn tcpx_conn;
typedef struct tcpx_connect_report tcpx_connect_report;

/*
 * One attempt of a connect, as its report keeps it.  Owned by the report;
 * size is the record's size in the library that made it, and later versions
 * append members.
 */
typedef struct tcpx_attempt {
    uint32_t size;
    int32_t error;       /* 0: won; TCPX_ECANCELED: lost the race; -EINPROGRESS:
                            see .start_only; else why it failed */
    const char *address; /* "[2001:db8::1]:80"; the name, if a lookup failed */
    tcpx_time start;     /* since the call began */
    tcpx_time duration;  /* until it won, failed or was given up */
} tcpx_attempt;

/*
 * How to connect.  Zero is the default of every member; durations are in
 * nanoseconds; TCPX_NONE switches off what is on by default.  Make one with
 * TCPX_CONNECT(...) or tcpx_connect_defaults().  All of it but .report and
 * .control_arg is copied before the call returns.
 */
typedef struct tcpx_connect_opts {
    uint32_t size;         /* sizeof(tcpx_connect_opts); the macro sets it */
    int32_t start_only;    /* 1: return at once with the connection under way; a
                              numeric or Unix address only, else -EINVAL.  The
                              first read, write or wait sees how it went */
    const char *bind;      /* local address: "192.0.2.1", "[2001:db8::1]", with
                              ":port" if wanted, or ":port" alone; addresses of
                              the other family are left out */
    const char *interface; /* SO_BINDTODEVICE: "eth0" */
    tcpx_connect_report **report; /* set on success and on failure, to NULL if
                                     nothing was tried; the caller frees it:
                                     tcpx_connect_report_free() */
    /* Called for each socket before it is bound and connected, for what has no
       member here; negative gives the attempt up with that error. */
    int (*control)(int fd, void *arg);
    void *control_arg;
    tcpx_time attempt_delay;      /* RFC 8305 5: before the next attempt starts
                                     beside a slow one; 250 ms, at least 10 ms */
    tcpx_time resolution_delay;   /* RFC 8305 3: wait for IPv6 answers after the
                                     IPv4 ones; 50 ms; TCPX_NONE: not at all */
    tcpx_time keepalive_idle;     /* TCP_KEEPIDLE; 60 s; TCPX_NONE: no
                                     keepalive; whole seconds, rounded up */
    tcpx_time keepalive_interval; /* TCP_KEEPINTVL; 15 s */
    tcpx_time user_timeout;  /* TCP_USER_TIMEOUT, RFC 5482; off, because it also
                                kills a live peer that only does not read */
    tcpx_time spin;          /* before a read sleeps, try again for so long:
                                costs CPU, saves the wake-up; off */
    int32_t keepalive_count; /* TCP_KEEPCNT; 4 probes unanswered */
    int32_t send_buffer;     /* SO_SNDBUF in bytes; 0: the kernel tunes it */
    int32_t receive_buffer;  /* SO_RCVBUF in bytes; 0: the kernel tunes it */
    int32_t nagle;    /* 1: leave Nagle's algorithm on (no TCP_NODELAY) */
    int32_t mptcp;    /* 1: ask for Multipath TCP, RFC 8684; plain TCP where it
                         is refused; see tcpx_conn_has() */
    int32_t fastopen; /* 1: TCP_FASTOPEN_CONNECT, RFC 7413: where the server
                         agreed before, the connect succeeds at once, having
                         tried no other address, and the first write goes with
                         the SYN; the first call that needs an answer sends the
                         SYN alone.  What follows tells how it went */
    int32_t family;   /* AF_INET or AF_INET6: that family alone; 0: both */
    int32_t reserved_0;
} tcpx_connect_opts;

static inline tcpx_connect_opts tcpx_connect_defaults(void)
{
    tcpx_connect_opts opts;

    memset(&opts, 0, sizeof(opts));
    opts.size = (uint32_t)sizeof(opts);
    return opts;
}

/* In C: TCPX_CONNECT(.bind = "192.0.2.1", .nagle = 1). */
#define TCPX_CONNECT(...)                                                      \
    (&(tcpx_connect_opts){.size = (uint32_t)sizeof(tcpx_connect_opts),         \
                          __VA_ARGS__})

/*
 * Connects to address, see <tcpx/address.h>, by RFC 8305 (Happy Eyeballs 2):
 * resolves, interleaves the families with IPv6 first, starts the next attempt
 * after .attempt_delay or at once when one fails, keeps the earlier attempts
 * running, returns the first that succeeds and closes the others.  At most six
 * attempts are in flight at a time; while more addresses wait, the oldest gives
 * way after 5 s.  A connection of a socket to itself (RFC 9293 3.5 on one host)
 * counts as refused.  opts may be NULL.
 *
 * Returns 0 and the connection in *out, to be ended by tcpx_close(),
 * tcpx_abort() or tcpx_conn_release().  Otherwise a negative error with no
 * descriptor left open; tcpx_errmsg() names every address that was tried, how
 * long it took and why it failed:
 *
 * TCPX_EADDRESS      the text is malformed, or is one to listen on only
 * TCPX_ERESOLVE      the name has no address in the family asked for
 * TCPX_EDEADLINE     the deadline passed, in the lookup or in an attempt
 * TCPX_ECANCELED     tcpx_task_cancel() struck the calling task
 * -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -ETIMEDOUT, -EACCES
 *                    every attempt failed; the first address's reason, passing
 *                    over those that this host could send nothing to
 * -ENOENT, -EPROTOTYPE    (Unix) there is no such socket, or it is no stream
 * -EADDRNOTAVAIL, -EADDRINUSE    .bind is not ours or taken, or ports ran out
 * -ENODEV            .interface, or the zone of an address, does not exist
 * -EINVAL            a NULL argument, a wrong option, a duration as deadline
 * -E2BIG             opts is newer than the library and uses what it lacks
 * -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM, -EAGAIN    a shortage on this host
 *
 * See connect(2), tcp(7), unix(7).
 */
TCPX_API int tcpx_connect(tcpx_conn **out, const char *address,
                          const tcpx_connect_opts *opts, tcpx_time deadline);

/* The number of attempts in a report; 0 for NULL. */
TCPX_API size_t tcpx_connect_report_count(const tcpx_connect_report *report);

/*
 * Attempt i of a report, in the order in which they began; NULL past the end.
 * Lives as long as the report.
 */
TCPX_API const tcpx_attempt *tcpx_connect_report_at(
    const tcpx_connect_report *report, size_t i);

/* Frees a report; NULL is nothing. */
TCPX_API void tcpx_connect_report_free(tcpx_connect_report *report);

TCPX_END_DECLS

#endif
