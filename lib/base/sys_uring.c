/* SPDX-License-Identifier: MIT */
/*
 * sys_uring.c - the system calls of io_uring, by liburing.
 */
#include "base/sys_uring.h"

#ifdef TCPX_WITH_URING
#include <tcpx/base.h>
#include "base/sys_ask.h"

int tcpx__sys_uring_open(struct io_uring *ring, unsigned entries,
                         unsigned answers)
{
    /* Without DEFER_TASKRUN (Linux 6.1) it is no better than epoll. */
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN |
                                              IORING_SETUP_CQSIZE,
                                     .cq_entries = answers};

    ASK(io_uring_setup, NULL);
    return io_uring_queue_init_params(entries, ring, &params);
}

void tcpx__sys_uring_close(struct io_uring *ring)
{
    io_uring_queue_exit(ring);
}

int tcpx__sys_uring_submit(struct io_uring *ring)
{
    ASK(io_uring_enter, NULL);
    return io_uring_submit(ring);
}

int tcpx__sys_uring_turn(struct io_uring *ring, int64_t until)
{
    struct __kernel_timespec ts;
    struct io_uring_cqe *first;
    int64_t left = until;

    ASK(io_uring_enter, NULL);
    if (until == INT64_MAX)
        return io_uring_submit_and_wait(ring, 1);
    if (until > 0)
        left = until - tcpx__sys_now();
    if (left <= 0)
        return io_uring_submit_and_get_events(ring);
    ts.tv_sec = left / TCPX_SEC;
    ts.tv_nsec = left % TCPX_SEC;
    return io_uring_submit_and_wait_timeout(ring, &first, 1, &ts, NULL);
}
#endif
