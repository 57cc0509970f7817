/* SPDX-License-Identifier: MIT */
/*
 * error.h - the library's own results, and words for all of them.
 */
#ifndef TCPX_ERROR_H
#define TCPX_ERROR_H

#include <tcpx/base.h>

/*
 * Every code of the library's own, the one list from which the enum, the
 * strings and the manual's table are made: X(name, value, sentence).  They lie
 * below -4096, where no errno of Linux can be.
 */
/* clang-format off */
#define TCPX_ERRORS(X)                                                         \
    X(TCPX_EOF, -4097, "the stream ended before the first byte asked for")     \
    X(TCPX_ETRUNC, -4098, "the stream ended in the middle of what was asked for") \
    X(TCPX_EDEADLINE, -4099, "the deadline passed")                            \
    X(TCPX_ECANCELED, -4100, "canceled")                                       \
    X(TCPX_ELIMIT, -4101, "a limit on the connection's time was reached")      \
    X(TCPX_ETOOLONG, -4102, "longer than the limit allows")                    \
    X(TCPX_EADDRESS, -4103, "malformed address")                               \
    X(TCPX_ERESOLVE, -4104, "the name could not be resolved")                  \
    X(TCPX_EPROTO, -4105, "the peer broke the protocol")                       \
    X(TCPX_EREFUSED, -4106, "refused admission")
/* clang-format on */

enum tcpx_error {
#define TCPX_ERROR_VALUE(name, value, sentence) name = value,
    TCPX_ERRORS(TCPX_ERROR_VALUE)
#undef TCPX_ERROR_VALUE
        TCPX_ERROR_LAST = -4106 /* the lowest code of this version */
};

TCPX_BEGIN_DECLS

/*
 * A sentence for a result: "connection refused", "the deadline passed".  err
 * may be any negative result of the library; 0 and counts read "success".
 * Static storage; needs no locale; thread-safe.
 */
TCPX_API const char *tcpx_strerror(int err);

/*
 * The symbol of a result: "ECONNREFUSED", "TCPX_EDEADLINE"; "0" for success
 * and "unknown" for a number that is no result.  Static storage; thread-safe.
 */
TCPX_API const char *tcpx_errname(int err);

/*
 * 1 if err says that the peer has gone: -EPIPE or -ECONNRESET, one fact that
 * the kernel tells in two ways, depending on who asks first.  Otherwise 0.
 */
TCPX_API int tcpx_is_peer_gone(int err);

/*
 * The calling task's last failure in one sentence, with the address it was
 * about and the reason: "connect example.org:80: [2001:db8::1]:80 no route to
 * host after 3 ms; 192.0.2.7:80 deadline after 5000 ms".  "" if nothing has
 * failed.  The text lives until this task's next failure or next call of
 * tcpx_errmsg(); it never reads a handle, so it may be asked for after the
 * handle was closed.
 */
TCPX_API const char *tcpx_errmsg(void);

TCPX_END_DECLS

#endif
