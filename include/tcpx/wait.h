/* SPDX-License-Identifier: MIT */
/*
 * wait.h - waiting for several things at once.
 */
#ifndef TCPX_WAIT_H
#define TCPX_WAIT_H

#include <tcpx/base.h>
#include <tcpx/connect.h>
#include <tcpx/listener.h>
#include <tcpx/queue.h>
#include <tcpx/task.h>

TCPX_BEGIN_DECLS

/* What an item of tcpx_wait() is. */
enum tcpx_wait_kind {
    TCPX_WAIT_CONN = 1, /* .on.conn */
    TCPX_WAIT_LISTENER, /* .on.listener */
    TCPX_WAIT_FD,       /* .on.fd, any descriptor that poll(2) takes */
    TCPX_WAIT_QUEUE,    /* .on.queue: an item or the end, room */
    TCPX_WAIT_TASK      /* .on.task: readable once it has ended */
};

enum tcpx_readiness { TCPX_READABLE = 1, TCPX_WRITABLE = 2 };

/* One thing to wait for.  In C, initialise with TCPX_ON_CONN() and its kin; in
   C++, set .kind, .want and the member of .on in a record of zeros. */
typedef struct tcpx_waitfor {
    int32_t kind;        /* enum tcpx_wait_kind */
    uint32_t want;       /* TCPX_READABLE, TCPX_WRITABLE, both; 0: skip it */
    uint32_t got;        /* set by tcpx_wait(): what is ready of .want */
    uint32_t reserved_0; /* zero */
    union {
        tcpx_conn *conn;
        tcpx_listener *listener;
        int fd;
        tcpx_queue *queue;
        tcpx_task *task;
        void *pad[2];
    } on;
} tcpx_waitfor;

/* Initialisers: tcpx_waitfor items[] = {TCPX_ON_CONN(c, TCPX_READABLE)}; */
/* clang-format off */
#define TCPX_ON_CONN(c, w) {TCPX_WAIT_CONN, (w), 0, 0, {.conn = (c)}}
#define TCPX_ON_LISTENER(l)                                                    \
    {TCPX_WAIT_LISTENER, TCPX_READABLE, 0, 0, {.listener = (l)}}
#define TCPX_ON_FD(f, w) {TCPX_WAIT_FD, (w), 0, 0, {.fd = (f)}}
#define TCPX_ON_QUEUE(q, w) {TCPX_WAIT_QUEUE, (w), 0, 0, {.queue = (q)}}
#define TCPX_ON_TASK(t) {TCPX_WAIT_TASK, TCPX_READABLE, 0, 0, {.task = (t)}}
/* clang-format on */

/*
 * Waits until at least one of n items is ready, and sets every .got.  Ready
 * means that the call that follows will not wait: data, room, a client, but
 * also the end of the stream, an error or a cancel of that item, which that
 * call then tells.
 *
 * Bytes that were read ahead make a connection readable at once, but for those
 * that a line, delimiter or frame read has just looked at and found incomplete:
 * they count again once more come, the stream ends, or another kind of read
 * was made.  A plain descriptor is watched for this call alone, by level; a
 * regular file is always ready; one that is closed is ready in all it wants.
 * Waiting does not make a reader or writer: another task may be one.
 *
 * Returns the number of items with .got set; TCPX_EDEADLINE; TCPX_ECANCELED,
 * which is the calling task's own; -EINVAL for n 0 with TCPX_FOREVER, items
 * NULL, an unknown kind or want; -ENOMEM.
 */
TCPX_API int tcpx_wait(tcpx_waitfor *items, size_t n, tcpx_time deadline);

TCPX_END_DECLS

#endif
