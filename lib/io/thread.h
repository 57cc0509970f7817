/* SPDX-License-Identifier: MIT */
/*
 * thread.h - how a thread sleeps in ppoll(2) beside its task's eventfd.
 */
#ifndef TCPX_IO_THREAD_H
#define TCPX_IO_THREAD_H

#include <poll.h>
#include "io/world.h"

/* The eventfd of t, made at its first poll; -1 if the file table is full, and
   then every wait is cut into slices. */
int tcpx__thread_wake_fd(tcpx_task *t);

/*
 * Sleeps until a descriptor is ready, the task is woken or `until`; the last
 * of n items is the task's own.  The caller has set t->sleeping and tested for
 * a cancel since.  Returns what ppoll(2) does; an interrupted sleep is 0.
 */
int tcpx__thread_poll(tcpx_task *t, struct pollfd *items, nfds_t n,
                      tcpx_time until);

/* The end of one sleep: a wait that nobody could wake must look up by itself,
   and one on a leash when the leash says so. */
tcpx_time tcpx__thread_until(const tcpx_task *t, tcpx_time now,
                             tcpx_time deadline, int blind);

/* The slices grow, so that many who are blind do not keep a processor busy:
   gives what to pass as `blind` after the next. */
int tcpx__thread_blinder(int blind);

/* Why whatever t waits in must end: 0, or a code. */
int tcpx__thread_struck(tcpx_task *t, tcpx_time now);

/* The descriptor by which the leash of t wakes it; -1: none. */
static inline int tcpx__thread_leash_fd(const tcpx_task *t)
{
    return t->leash ? t->leash->extra_fd : -1;
}

int tcpx__thread_wait(struct tcpx__poll_item *items, size_t n,
                      tcpx_time deadline);

#endif
