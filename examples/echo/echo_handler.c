/* SPDX-License-Identifier: MIT */
/*
 * echo_handler.c - what an echo server does with one client (RFC 862).
 *
 * It does not know how it is run: alone, in a process, a thread or a fiber.
 */
#include "echo/echo_handler.h"

/*
 * Sends all of buf.  A client that takes its answer slowly is not idle: as long
 * as a deadline finds some bytes gone, the rest gets another.
 */
static int send_back(tcpx_conn *c, const char *buf, size_t len, tcpx_time idle)
{
    size_t done;
    int err;

    do {
        err = tcpx_writen(c, buf, len, &done, tcpx_after(idle));
        buf += done;
        len -= done;
    } while (err == TCPX_EDEADLINE && done > 0);
    return err;
}

void echo_handler(tcpx_conn *c, void *arg)
{
    const struct echo_settings *settings = arg;
    char buf[64 * 1024];

    for (;;) {
        ssize_t n = tcpx_read(c, buf, sizeof(buf), tcpx_after(settings->idle));

        if (n <= 0)
            return; /* finished, gone, or idle */
        if (send_back(c, buf, (size_t)n, settings->idle) != 0)
            return; /* cut: whoever ends c will reset it */
    }
}
