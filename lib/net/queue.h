/* SPDX-License-Identifier: MIT */
/*
 * queue.h - a queue, from the inside: for tcpx_wait().
 */
#ifndef TCPX_NET_QUEUE_H
#define TCPX_NET_QUEUE_H

#include <tcpx/queue.h>
#include "base/task.h"

/* What is ready now: TCPX_READABLE (an item, or the end), TCPX_WRITABLE. */
uint32_t tcpx__queue_ready(tcpx_queue *q);

/* Unparks w's task whenever that may have changed, until it is taken off. */
void tcpx__queue_watch(tcpx_queue *q, struct tcpx__waiter *w);
void tcpx__queue_unwatch(tcpx_queue *q, struct tcpx__waiter *w);

#endif
