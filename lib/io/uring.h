/* SPDX-License-Identifier: MIT */
/*
 * uring.h - the engine of operations: what was submitted to io_uring(7).
 */
#ifndef TCPX_IO_URING_H
#define TCPX_IO_URING_H

#include "base/sys_uring.h"
#include "io/fiber.h"

/* A new engine for the calling thread: 0; -ENOTSUP if the library was built
   without it, or what the kernel said. */
int tcpx__uring_open(struct tcpx__engine **out);

#ifdef TCPX_WITH_URING

#ifndef TCPX__URING_ENTRIES
#define TCPX__URING_ENTRIES 1024
#define TCPX__URING_ANSWERS 8192
#endif

/* What was submitted and is not done.  The kernel knows it by its place and
   generation, so that an answer which comes late finds nobody. */
struct tcpx__op {
    uint32_t generation;
    uint32_t index;
    int32_t result;
    int is_done;
    struct tcpx__fiber *fiber; /* made ready when it is done */
    struct tcpx__op *next;     /* of those that are free */
};

struct tcpx__uring {
    struct tcpx__engine engine;
    struct io_uring ring;
    int wake_fd;
    int wake_armed;
    struct tcpx__op **blocks; /* of OPS_A_BLOCK each; they never move */
    size_t block_count;
    struct tcpx__op *unused;
};

static inline struct tcpx__uring *tcpx__uring_of(const struct tcpx__fiber *f)
{
    return (struct tcpx__uring *)f->core->engine;
}

/* An op for the calling fiber: 0; -ENOMEM; -ENOTSUP in a child of fork(2),
   which has its parent's ring before it. */
int tcpx__uring_op(struct tcpx__op **out, struct tcpx__fiber *f);
void tcpx__uring_op_free(struct tcpx__uring *e, struct tcpx__op *op);

/* A place in the ring, to be filled in; it may let others have a turn. */
struct io_uring_sqe *tcpx__uring_place(struct tcpx__uring *e,
                                       struct tcpx__fiber *f);

/* Names op as what the place asks for. */
void tcpx__uring_name(struct io_uring_sqe *sqe, const struct tcpx__op *op);

/* Asks for op to be given up; it still has to be waited for. */
void tcpx__uring_cancel(struct tcpx__uring *e, const struct tcpx__op *op);

/* The `wait` of world.h. */
int tcpx__uring_wait(struct tcpx__poll_item *items, size_t n,
                     tcpx_time deadline);
#endif

#endif
