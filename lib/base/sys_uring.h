/* SPDX-License-Identifier: MIT */
/*
 * sys_uring.h - the part of sys.h that needs liburing's header.
 */
#ifndef TCPX_BASE_SYS_URING_H
#define TCPX_BASE_SYS_URING_H

#include <stdint.h>

#ifdef TCPX_WITH_URING
#include <liburing.h>

/* A ring of the calling thread, which alone may use it: 0 or -errno. */
int tcpx__sys_uring_open(struct io_uring *ring, unsigned entries,
                         unsigned answers);
void tcpx__sys_uring_close(struct io_uring *ring);

/* Hands over what was prepared. */
int tcpx__sys_uring_submit(struct io_uring *ring);

/* The same, and waits until something is done, or until then. */
int tcpx__sys_uring_turn(struct io_uring *ring, int64_t until);
#endif

#endif
