/* SPDX-License-Identifier: MIT */
/*
 * uring.c - the world of fibers over io_uring(7).
 *
 * A receive or send is submitted as it is and the fiber parks until its answer
 * comes: one entry into the kernel hands over and brings back everything of a
 * turn.  Deadlines are the core's; for the few that strike, the operation is
 * given up and its answer awaited, and data that came in the last moment is
 * kept.  A frame is never left while the kernel may write into it.
 */
#include "io/uring.h"

#ifdef TCPX_WITH_URING
#include <errno.h>
#include "base/sys.h"
#include "base/util.h"

/*
 * Parks until op is done.  0, or with what it was given up; then too its result
 * counts if it is no error.
 */
static int await_op(struct tcpx__handle *h, tcpx_task *t, struct tcpx__op *op,
                    tcpx_time deadline, int blind)
{
    int struck = 0;

    while (!op->is_done) {
        tcpx_time until = tcpx__fiber_until(t, deadline, blind);

        if (!struck)
            struck = tcpx__fiber_struck(h, t, deadline);
        /* The kernel does not give up one that it is just about to do, and
           that one may then wait again: so it is told until it does. */
        if (struck) {
            until = tcpx__fiber_until(t, TCPX_FOREVER, 1);
            tcpx__uring_cancel(tcpx__uring_of(t->fiber), op);
        }
        if (!op->is_done)
            tcpx__fiber_suspend(t->fiber, until);
    }
    return struck;
}

/* What is to be submitted. */
struct request {
    int code; /* IORING_OP_ */
    void *buf;
    size_t len; /* for a send: of parts, if there are several */
    short events;
    struct msghdr *message;
};

static void fill(struct io_uring_sqe *sqe, const struct tcpx__handle *h,
                 const struct request *r)
{
    switch (r->code) {
    case IORING_OP_RECV:
        io_uring_prep_recv(sqe, h->fd, r->buf, r->len, 0);
        break;
    case IORING_OP_SEND:
        io_uring_prep_send(sqe, h->fd, r->buf, r->len, MSG_NOSIGNAL);
        break;
    case IORING_OP_SENDMSG:
        io_uring_prep_sendmsg(sqe, h->fd, r->message, MSG_NOSIGNAL);
        break;
    default:
        io_uring_prep_poll_add(sqe, h->fd, (unsigned)r->events);
        break;
    }
}

/* Submits and awaits: the result, or the code that ended the wait. */
static ssize_t perform(struct tcpx__handle *h, const struct request *r,
                       tcpx_time deadline)
{
    tcpx_task *t = tcpx__task();
    struct tcpx__uring *e = tcpx__uring_of(t->fiber);
    struct io_uring_sqe *sqe;
    struct tcpx__op *op;
    ssize_t result;
    int struck;
    int slot;
    int err = tcpx__uring_op(&op, t->fiber);

    if (err)
        return err;
    slot = tcpx__handle_enter(h, t, !(h->flags & TCPX__LISTENER));
    sqe = tcpx__uring_place(e, t->fiber);
    fill(sqe, h, r);
    tcpx__uring_name(sqe, op);
    struck = await_op(h, t, op, deadline, slot < 0);
    result = op->result;
    tcpx__uring_op_free(e, op);
    tcpx__handle_leave(h, t, slot);
    return struck && result < 0 ? struck : result;
}

/*
 * Whether a poll ended by nothing that was asked for: io_uring's ends also when
 * the peer has half-closed, unasked, and would again and again.
 */
static int is_beside(ssize_t result, short events)
{
    return result > 0 && !(result & (events | POLLERR | POLLHUP | POLLNVAL));
}

/* Looks by itself, from time to time, until h is ready. */
static int await_by_looking(struct tcpx__handle *h, short events,
                            tcpx_time deadline)
{
    static const struct timespec at_once = {0, 0};
    struct pollfd item = {.fd = h->fd, .events = events};
    tcpx_task *t = tcpx__task();
    int slot = tcpx__handle_enter(h, t, !(h->flags & TCPX__LISTENER));
    int err = 0;

    while (!err && tcpx__sys_ppoll(&item, 1, &at_once) == 0) {
        err = tcpx__fiber_struck(h, t, deadline);
        if (!err)
            tcpx__fiber_suspend(t->fiber, tcpx__fiber_until(t, deadline, 1));
    }
    tcpx__handle_leave(h, t, slot);
    return err ? err : tcpx__handle_canceled(h);
}

static int uring_await(struct tcpx__handle *h, short events, tcpx_time deadline)
{
    const struct request r = {.code = IORING_OP_POLL_ADD, .events = events};
    ssize_t n;

    do
        n = perform(h, &r, deadline);
    while (n == -EINTR || n == -ECANCELED);
    if (is_beside(n, events))
        return await_by_looking(h, events, deadline);
    return n < 0 ? (int)n : tcpx__handle_canceled(h);
}

/* Whether a call is to be tried and not waited for, or is a file's whose
   O_NONBLOCK makes io_uring not wait either. */
static int must_try(const struct tcpx__handle *h, const tcpx_task *t,
                    tcpx_time deadline)
{
    return deadline <= 0 || (h->flags & (TCPX__NONBLOCK | TCPX__SHARED)) ||
           tcpx__handle_canceled(h) || atomic_load(&t->canceled) ||
           (deadline != TCPX_FOREVER && tcpx__sys_now() >= deadline);
}

static ssize_t uring_recv(struct tcpx__handle *h, void *buf, size_t len,
                          tcpx_time deadline)
{
    const struct request r = {.code = IORING_OP_RECV, .buf = buf, .len = len};
    tcpx_task *t = tcpx__task();

    for (;;) {
        ssize_t n;

        if (must_try(h, t, deadline)) {
            n = tcpx__ready_recv(h, buf, len, deadline);
            tcpx__fiber_spend(t->fiber);
            return n;
        }
        n = perform(h, &r, deadline);
        if (n != -EINTR && n != -EAGAIN && n != -ECANCELED)
            return tcpx__recv_verdict(h, n);
    }
}

static ssize_t uring_send(struct tcpx__handle *h, const struct iovec *iov,
                          size_t n, tcpx_time deadline)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = n};
    const struct request r = {.code =
                                  n == 1 ? IORING_OP_SEND : IORING_OP_SENDMSG,
                              .buf = iov->iov_base,
                              .len = iov->iov_len,
                              .message = &message};
    tcpx_task *t = tcpx__task();

    for (;;) {
        ssize_t sent;

        if (must_try(h, t, deadline)) {
            sent = tcpx__ready_send(h, iov, n, deadline);
            tcpx__fiber_spend(t->fiber);
            return sent;
        }
        sent = perform(h, &r, deadline);
        if (sent != -EINTR && sent != -EAGAIN && sent != -EINPROGRESS &&
            sent != -ECANCELED)
            return sent;
    }
}

/* A close waits for whoever is in a call, and no call leaves an operation
   behind: the kernel holds nothing of h. */
static void uring_forget(struct tcpx__handle *h)
{
    (void)h;
}

/* ---- several at once ---- */

static int arm_item(struct tcpx__wait_set *set, tcpx_task *t, size_t i)
{
    struct tcpx__uring *e = tcpx__uring_of(t->fiber);
    struct tcpx__watcher *w = &set->watchers[i];
    struct io_uring_sqe *sqe;
    int err = tcpx__uring_op(&w->op, t->fiber);

    if (err)
        return err;
    w->fiber = t->fiber;
    sqe = tcpx__uring_place(e, t->fiber);
    io_uring_prep_poll_add(sqe, set->items[i].fd, (unsigned)set->items[i].want);
    tcpx__uring_name(sqe, w->op);
    return 0;
}

/* Once more for those whose answer was spent. */
static int arm(struct tcpx__wait_set *set, tcpx_task *t)
{
    int err = 0;

    for (size_t i = 0; i < set->n && !err; i++) {
        struct tcpx__watcher *w = &set->watchers[i];

        if (w->fiber && w->op->is_done) {
            /* A file that cannot be polled, or no descriptor: poll(2) has said
               so already, or will at the next look. */
            if (w->op->result < 0)
                continue;
            if (is_beside(w->op->result, set->items[i].want)) {
                set->blind = 1;
                continue;
            }
            tcpx__uring_op_free(tcpx__uring_of(t->fiber), w->op);
            w->fiber = NULL;
        }
        if (set->items[i].fd >= 0 && !w->fiber)
            err = arm_item(set, t, i);
    }
    return err;
}

static void disarm(struct tcpx__wait_set *set, tcpx_task *t)
{
    struct tcpx__uring *e = tcpx__uring_of(t->fiber);

    for (size_t i = 0; i < set->n; i++) {
        const struct tcpx__watcher *w = &set->watchers[i];

        if (w->fiber && !w->op->is_done)
            tcpx__uring_cancel(e, w->op);
    }
    for (size_t i = 0; i < set->n; i++) {
        struct tcpx__watcher *w = &set->watchers[i];

        if (!w->fiber)
            continue;
        while (!w->op->is_done) {
            if (tcpx__fiber_suspend(t->fiber,
                                    tcpx__fiber_until(t, TCPX_FOREVER, 1)))
                tcpx__uring_cancel(e, w->op);
        }
        tcpx__uring_op_free(e, w->op);
        w->fiber = NULL;
    }
}

int tcpx__uring_wait(struct tcpx__poll_item *items, size_t n,
                     tcpx_time deadline)
{
    static const struct tcpx__arming arming = {
        .arm = arm, .rearm = arm, .disarm = disarm};

    return tcpx__fiber_wait(items, n, deadline, &arming);
}

const struct tcpx__world tcpx__world_uring = {
    .name = "uring",
    .await = uring_await,
    .recv = uring_recv,
    .send = uring_send,
    .sendfile = tcpx__fiber_sendfile,
    .splice = tcpx__fiber_splice,
    .accept = tcpx__fiber_accept,
    .connect_begin = tcpx__ready_connect_begin,
    .connect_result = tcpx__ready_connect_result,
    .wait = tcpx__uring_wait,
    .forget = uring_forget,
    .close = tcpx__fiber_close,
    .park = tcpx__fiber_park,
    .yield = tcpx__fiber_rest,
    .unpark = tcpx__fiber_unpark,
    .spawn = tcpx__fiber_spawn,
    .reap = tcpx__fiber_reap,
    .disown = tcpx__fiber_disown,
};
#endif
