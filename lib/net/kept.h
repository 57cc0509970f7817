/* SPDX-License-Identifier: MIT */
/*
 * kept.h - messages that are taken as a whole: what does not go out is kept.
 */
#ifndef TCPX_NET_KEPT_H
#define TCPX_NET_KEPT_H

#include "net/conn.h"

/* The longest message that a struct tcpx__kept can hold. */
#define TCPX__KEPT_MAX ((size_t)SSIZE_MAX - sizeof(struct tcpx__kept))

/* An empty one with room for size bytes, or NULL. */
struct tcpx__kept *tcpx__kept_new(size_t size);

/* A message: its parts, or the same bytes in one piece that may be kept. */
struct tcpx__message {
    struct iovec part[2];
    struct tcpx__kept *whole; /* NULL: made of the parts if need be */
};

/*
 * Sends a message, after what an earlier one left.  *done, which begins at 0,
 * counts its bytes on the wire.  Returns
 *
 * 0                 all of it went out
 * TCPX_EDEADLINE    it was taken: what did not go out is kept
 * -ENOBUFS          an earlier one's rest is still here; nothing was taken
 * -ENOMEM           memory ran out; nothing was taken, unless *done says that
 *                   some had gone out already: then writing is over for good
 *
 * or why the connection failed.  m->whole is taken over, whatever it returns.
 * The writer's alone.
 */
int tcpx__message_send(tcpx_conn *c, struct tcpx__message *m, size_t *done,
                       tcpx_time deadline);

#endif
