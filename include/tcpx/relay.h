/* SPDX-License-Identifier: MIT */
/*
 * relay.h - passing everything between two connections.
 */
#ifndef TCPX_RELAY_H
#define TCPX_RELAY_H

#include <tcpx/base.h>
#include <tcpx/connect.h>

TCPX_BEGIN_DECLS

typedef struct tcpx_relay_opts {
    uint32_t size;     /* sizeof(tcpx_relay_opts); the macro sets it */
    int32_t pipe_size; /* bytes under way in each direction; 256 KiB */
    tcpx_time idle;    /* no byte either way for so long ends it; unlimited */
} tcpx_relay_opts;

static inline tcpx_relay_opts tcpx_relay_defaults(void)
{
    tcpx_relay_opts opts;

    memset(&opts, 0, sizeof(opts));
    opts.size = (uint32_t)sizeof(opts);
    return opts;
}

/* In C: TCPX_RELAY(.idle = 60 * TCPX_SEC). */
#define TCPX_RELAY(...)                                                        \
    (&(tcpx_relay_opts){.size = (uint32_t)sizeof(tcpx_relay_opts), __VA_ARGS__})

/*
 * Passes bytes both ways, by splice(2) where the kernel can, until both sides
 * have finished; the end of one direction is carried across as a half-close
 * while the other goes on.  What either connection had read ahead goes first.
 * Closes neither.
 *
 * Returns 0 when both FINs were carried.  Otherwise the first error: of a
 * connection, TCPX_EDEADLINE, TCPX_ECANCELED, TCPX_ELIMIT after .idle; bytes
 * may then be lost on the way, and the caller aborts both.  -EINVAL, also if
 * a and b are one; -EBUSY; -EMFILE, -ENFILE, -ENOMEM.
 */
TCPX_API int tcpx_relay(tcpx_conn *a, tcpx_conn *b, const tcpx_relay_opts *opts,
                        tcpx_time deadline);

TCPX_END_DECLS

#endif
