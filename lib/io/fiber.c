/* SPDX-License-Identifier: MIT */
/*
 * fiber.c - what the worlds of fibers share, whatever their engine.
 */
#include "io/fiber.h"

#include <errno.h>
#include "base/sys.h"
#include "base/util.h"

/* A task on a leash looks so often: what would wake a thread's poll is not
   watched by a core. */
#define LEASH_SLICE (50 * TCPX_MSEC)

int tcpx__fiber_code(tcpx_task *t)
{
    int code = atomic_load(&t->canceled);

    if (TCPX__LIKELY(code || !t->leash))
        return code;
    code = t->leash->look(t->leash, tcpx__sys_now());
    if (code)
        atomic_store(&t->canceled, code);
    return code;
}

tcpx_time tcpx__fiber_until(const tcpx_task *t, tcpx_time deadline, int blind)
{
    tcpx_time look;

    if (TCPX__LIKELY(!blind && !t->leash))
        return deadline;
    look = tcpx__sys_now() + (blind ? TCPX__BLIND_SLICE : LEASH_SLICE);
    return look < deadline ? look : deadline;
}

int tcpx__fiber_struck(struct tcpx__handle *h, tcpx_task *t, tcpx_time deadline)
{
    int code = tcpx__handle_canceled(h);

    if (code)
        return code;
    if (deadline != TCPX_FOREVER &&
        (deadline <= 0 || tcpx__sys_now() >= deadline))
        return TCPX_EDEADLINE;
    code = tcpx__fiber_code(t);
    if (!code || (atomic_load(&h->flags) & TCPX__LISTENER))
        return code;
    tcpx__handle_cancel(h, code);
    return tcpx__handle_canceled(h);
}

ssize_t tcpx__fiber_sendfile(struct tcpx__handle *h, int in, int64_t *offset,
                             size_t len, tcpx_time deadline)
{
    ssize_t n = tcpx__ready_sendfile(h, in, offset, len, deadline);

    if (n > 0)
        tcpx__fiber_spend(tcpx__task()->fiber);
    return n;
}

ssize_t tcpx__fiber_splice(struct tcpx__handle *h, int pipe, int to_pipe,
                           size_t len, tcpx_time deadline)
{
    ssize_t n = tcpx__ready_splice(h, pipe, to_pipe, len, deadline);

    if (n > 0)
        tcpx__fiber_spend(tcpx__task()->fiber);
    return n;
}

int tcpx__fiber_accept(struct tcpx__handle *h, struct sockaddr *peer,
                       socklen_t *len, tcpx_time deadline)
{
    int fd = tcpx__ready_accept(h, peer, len, deadline);

    if (fd >= 0)
        tcpx__fiber_spend(tcpx__task()->fiber);
    return fd;
}

void tcpx__fiber_close(struct tcpx__handle *h)
{
    tcpx__sys_close(h->fd);
}

int tcpx__fiber_park(tcpx_time deadline)
{
    tcpx_task *t = tcpx__task();

    for (;;) {
        uint32_t wakes = atomic_load(&t->wakes);
        int code;

        if (wakes != t->seen) {
            t->seen = wakes;
            return 0;
        }
        if (deadline != TCPX_FOREVER &&
            (deadline <= 0 || tcpx__sys_now() >= deadline))
            return TCPX_EDEADLINE;
        code = tcpx__fiber_code(t);
        if (code)
            return code;
        tcpx__fiber_suspend(t->fiber, tcpx__fiber_until(t, deadline, 0));
    }
}

void tcpx__fiber_rest(void)
{
    tcpx__fiber_yield(tcpx__task()->fiber);
}

void tcpx__fiber_unpark(tcpx_task *t)
{
    atomic_fetch_add(&t->lookers, 1);
    if (!atomic_load(&t->ended)) {
        atomic_fetch_add(&t->wakes, 1);
        tcpx__fiber_post(t->fiber);
    }
    atomic_fetch_sub(&t->lookers, 1);
}

int tcpx__fiber_spawn(tcpx_task *t)
{
    return tcpx__fiber_start(tcpx__task()->fiber->core, t,
                             t->spawned->stack_size);
}

void tcpx__fiber_reap(tcpx_task *t)
{
    (void)t; /* its stack went when it ended */
}

void tcpx__fiber_disown(tcpx_task *t)
{
    (void)t;
}

int tcpx__engine_error(int err)
{
    static const struct timespec pause = {0, TCPX_MSEC};

    if (err != -ENOMEM && err != -ENOBUFS)
        return err;
    tcpx__sys_ppoll(NULL, 0, &pause);
    return 0;
}

void tcpx__engine_wake(int fd)
{
    static const uint64_t one = 1;

    /* A word that is lost is a fiber that sleeps for ever.  One that is full
       says EAGAIN and is readable all the same. */
    for (int tries = 0; tries < 3; tries++) {
        ssize_t n = tcpx__sys_write(fd, &one, sizeof(one));

        if (n > 0 || n == -EAGAIN)
            return;
    }
}
