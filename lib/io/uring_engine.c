/* SPDX-License-Identifier: MIT */
/*
 * uring_engine.c - a ring of io_uring(7) as the engine of a core.
 */
#include <errno.h>
#include "base/sys.h"
#include "io/uring.h"

#ifndef TCPX_WITH_URING

int tcpx__uring_open(struct tcpx__engine **out)
{
    (void)out;
    return -ENOTSUP;
}

#else

#define OPS_A_BLOCK 256

/* What is not an op: a word from another thread, and what nobody waits for. */
#define WAKE UINT64_MAX
#define NOBODY (UINT64_MAX - 1)

/* ---- operations ---- */

static int more_ops(struct tcpx__uring *e)
{
    size_t n = e->block_count;
    struct tcpx__op **blocks =
        tcpx__realloc(e->blocks, (n + 1) * sizeof(struct tcpx__op *));
    struct tcpx__op *block;

    if (!blocks)
        return -ENOMEM;
    e->blocks = blocks;
    block = tcpx__calloc(OPS_A_BLOCK * sizeof(*block));
    if (!block)
        return -ENOMEM;
    blocks[n] = block;
    e->block_count = n + 1;
    for (size_t i = OPS_A_BLOCK; i > 0; i--) {
        block[i - 1].index = (uint32_t)(n * OPS_A_BLOCK + i - 1);
        block[i - 1].next = e->unused;
        e->unused = &block[i - 1];
    }
    return 0;
}

int tcpx__uring_op(struct tcpx__op **out, struct tcpx__fiber *f)
{
    struct tcpx__uring *e = tcpx__uring_of(f);
    struct tcpx__op *op;

    if (f->core->forks != atomic_load(&tcpx__forks))
        return -ENOTSUP;
    if (!e->unused && more_ops(e))
        return -ENOMEM;
    op = e->unused;
    e->unused = op->next;
    op->is_done = 0;
    op->fiber = f;
    *out = op;
    return 0;
}

void tcpx__uring_op_free(struct tcpx__uring *e, struct tcpx__op *op)
{
    op->generation++;
    op->next = e->unused;
    e->unused = op;
}

static uint64_t name_of(const struct tcpx__op *op)
{
    return (uint64_t)(op->generation & INT32_MAX) << 32 | op->index;
}

void tcpx__uring_name(struct io_uring_sqe *sqe, const struct tcpx__op *op)
{
    io_uring_sqe_set_data64(sqe, name_of(op));
}

struct io_uring_sqe *tcpx__uring_place(struct tcpx__uring *e,
                                       struct tcpx__fiber *f)
{
    for (;;) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&e->ring);

        if (sqe)
            return sqe;
        /* The kernel takes no more before its answers are taken off. */
        if (tcpx__sys_uring_submit(&e->ring) <= 0)
            tcpx__fiber_yield(f);
    }
}

void tcpx__uring_cancel(struct tcpx__uring *e, const struct tcpx__op *op)
{
    struct io_uring_sqe *sqe = tcpx__uring_place(e, op->fiber);

    io_uring_prep_cancel64(sqe, name_of(op), 0);
    io_uring_sqe_set_data64(sqe, NOBODY);
}

/* ---- turns ---- */

static void arm_wake(struct tcpx__uring *e)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&e->ring);

    /* There is no place only amid more than a ring full; the turn that follows
       makes some, and does not sleep before. */
    if (!sqe)
        return;
    io_uring_prep_poll_multishot(sqe, e->wake_fd, POLLIN);
    io_uring_sqe_set_data64(sqe, WAKE);
    e->wake_armed = 1;
}

static void take_answer(struct tcpx__uring *e, const struct io_uring_cqe *cqe)
{
    uint64_t name = io_uring_cqe_get_data64(cqe);
    uint32_t index = (uint32_t)name;
    struct tcpx__op *op;

    if (name == NOBODY)
        return;
    if (name == WAKE) {
        uint64_t count;

        tcpx__sys_read(e->wake_fd, &count, sizeof(count));
        e->wake_armed = (cqe->flags & IORING_CQE_F_MORE) != 0;
        return;
    }
    op = &e->blocks[index / OPS_A_BLOCK][index % OPS_A_BLOCK];
    if (name_of(op) != name)
        return;
    op->result = cqe->res;
    op->is_done = 1;
    tcpx__fiber_ready(op->fiber);
}

static unsigned take_answers(struct tcpx__uring *e)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned n = 0;

    io_uring_for_each_cqe(&e->ring, head, cqe)
    {
        take_answer(e, cqe);
        n++;
    }
    io_uring_cq_advance(&e->ring, n);
    return n;
}

static int turn(struct tcpx__engine *engine, tcpx_time until)
{
    struct tcpx__uring *e = (struct tcpx__uring *)engine;
    int err;

    if (!e->wake_armed)
        arm_wake(e);
    err = tcpx__sys_uring_turn(&e->ring, e->wake_armed ? until : TCPX_NOW);
    take_answers(e);
    switch (-err) {
    case ETIME:
    case EINTR:
    case EAGAIN: /* no memory for what was submitted: it stays in the ring */
    case EBUSY:  /* answers first */
        return 0;
    default:
        return err < 0 ? tcpx__engine_error(err) : 0;
    }
}

static void wake(struct tcpx__engine *engine)
{
    tcpx__engine_wake(((struct tcpx__uring *)engine)->wake_fd);
}

static void free_engine(struct tcpx__engine *engine)
{
    struct tcpx__uring *e = (struct tcpx__uring *)engine;

    tcpx__sys_uring_close(&e->ring);
    tcpx__sys_close(e->wake_fd);
    for (size_t i = 0; i < e->block_count; i++)
        tcpx__free(e->blocks[i]);
    tcpx__free(e->blocks);
    tcpx__free(e);
}

int tcpx__uring_open(struct tcpx__engine **out)
{
    struct tcpx__uring *e = tcpx__calloc(sizeof(*e));
    int err;

    if (!e)
        return -ENOMEM;
    err = tcpx__sys_uring_open(&e->ring, TCPX__URING_ENTRIES,
                               TCPX__URING_ANSWERS);
    if (err) {
        tcpx__free(e);
        return err;
    }
    e->engine.turn = turn;
    e->engine.wake = wake;
    e->engine.free = free_engine;
    err = e->wake_fd = tcpx__sys_eventfd();
    if (err < 0) {
        free_engine(&e->engine);
        return err;
    }
    *out = &e->engine;
    return 0;
}

#endif
