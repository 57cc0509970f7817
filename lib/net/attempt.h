/* SPDX-License-Identifier: MIT */
/*
 * attempt.h - one attempt to connect: one address, one socket.
 */
#ifndef TCPX_NET_ATTEMPT_H
#define TCPX_NET_ATTEMPT_H

#include <tcpx/connect.h>
#include "net/endpoint.h"
#include "net/options.h"

/* How to connect: the options once they are checked, no default left open. */
struct tcpx__plan {
    tcpx_connect_opts opts;
    struct tcpx__tuning tuning;
    struct tcpx__endpoint local; /* .bind; len 0: no address */
    uint16_t local_port;         /* of .bind; 0: any */
    int family;                  /* the one of .family or .bind; 0: both */
};

struct tcpx__attempt {
    int fd;       /* O_NONBLOCK; -1 once it is over */
    int reset;    /* an error that came after the connection stood */
    int given_up; /* by .control, whose code may look like any of the kernel's
                   */
    int put_off;  /* connect sent nothing: the SYN waits for the first data */
    struct tcpx__endpoint to;
    const char *why; /* of a failure, in words; NULL where the code says it */
    size_t line;     /* in the report */
    tcpx_time start; /* an instant */
};

/*
 * Starts connecting a fresh socket.  Returns 0 if it is done, -EINPROGRESS if
 * it is under way, or why it failed, and then the socket is closed.  Only
 * tcpx__attempt_stands() tells for sure, for a hook may give any code.
 */
int tcpx__attempt_begin(struct tcpx__attempt *a, const struct tcpx__plan *plan,
                        const struct tcpx__endpoint *to);

/* Whether an attempt that began is done or under way. */
static inline int tcpx__attempt_stands(const struct tcpx__attempt *a)
{
    return a->fd >= 0;
}

/*
 * How it goes, after a hint that it ended; returns as tcpx__attempt_begin().
 * A connection that stood and was reset since counts as one that stands: the
 * first read says what became of it, whoever was faster.
 */
int tcpx__attempt_result(struct tcpx__attempt *a);

/* Closes the socket, if it is there still. */
void tcpx__attempt_end(struct tcpx__attempt *a);

/*
 * Makes a connection of the socket, which belongs to it from then on; with
 * `connecting`, one whose outcome is not known.  0 or -ENOMEM, and then the
 * socket is closed.
 */
int tcpx__attempt_finish(struct tcpx__attempt *a, const struct tcpx__plan *plan,
                         int connecting, tcpx_conn **out);

#endif
