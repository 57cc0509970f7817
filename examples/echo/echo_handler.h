/* SPDX-License-Identifier: MIT */
/*
 * echo_handler.h - what an echo server does with one client (RFC 862).
 */
#ifndef ECHO_HANDLER_H
#define ECHO_HANDLER_H

#include <tcpx.h>

struct echo_settings {
    tcpx_time idle; /* how long a client may take to send, or take, a byte */
};

/*
 * Sends everything back until the client has finished, is gone, or lets
 * nothing move for the idle time.  arg is a const struct echo_settings.
 */
void echo_handler(tcpx_conn *c, void *arg);

#endif
