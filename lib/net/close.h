/* SPDX-License-Identifier: MIT */
/*
 * close.h - the steps of a graceful close, for who cannot wait in one call.
 */
#ifndef TCPX_NET_CLOSE_H
#define TCPX_NET_CLOSE_H

#include "net/conn.h"

/*
 * Turns other tasks out, tells what is latched, sends what is kept and FIN,
 * without waiting.  0, or why the end is not to look like a clean one.
 */
int tcpx__conn_begin_close(tcpx_conn *c);

/*
 * Reads and drops what has come.  0: the peer has finished; -EAGAIN: something
 * came, and there may be more; TCPX_EDEADLINE: nothing came; or an error.
 */
int tcpx__conn_drain_some(tcpx_conn *c, tcpx_time deadline);

/* Sends FIN unless an answer is cut; the writer's alone. */
int tcpx__conn_finish_sending(tcpx_conn *c);

/* Whether what the peer has must not look whole: it is to end with a reset. */
int tcpx__conn_is_incomplete(const tcpx_conn *c);

#endif
