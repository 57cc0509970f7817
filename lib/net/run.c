/* SPDX-License-Identifier: MIT */
/*
 * run.c - a thread of the program becomes a core of fibers for a while.
 */
#include <errno.h>
#include <limits.h>
#include <tcpx/task.h>
#include "base/sys.h"
#include "io/engine.h"
#include "io/fiber.h"
#include "io/world.h"
#include "net/opts.h"
#include "net/task.h"

struct first {
    int (*fn)(void *arg);
    void *arg;
    int result;
};

static void run_first(void *arg)
{
    struct first *first = arg;

    first->result = first->fn(first->arg);
}

static int check(tcpx_run_opts *o, const tcpx_run_opts *given)
{
    int err = tcpx__opts_copy(o, sizeof(*o), sizeof(*o), given);

    if (err)
        return err;
    if (o->stack_size == 0)
        o->stack_size = TCPX__STACK_SIZE;
    if (o->engine < TCPX_ENGINE_AUTO || o->engine > TCPX_ENGINE_URING ||
        o->stack_size < TCPX__SMALLEST_STACK || o->stack_size > SSIZE_MAX)
        return -EINVAL;
    return 0;
}

int tcpx_run(int (*fn)(void *arg), void *arg, int *result,
             const tcpx_run_opts *opts)
{
    struct first first = {.fn = fn, .arg = arg};
    tcpx_task *self = tcpx__task();
    struct tcpx__core core;
    tcpx_run_opts o;
    tcpx_task *t;
    int err = fn ? check(&o, opts) : -EINVAL;

    if (err)
        return tcpx__fail(err, "run", NULL);
    if (!self)
        return -ENOMEM;
    if (self->fiber)
        return tcpx__fail_because(-EBUSY, "run", NULL,
                                  "this thread is a core already");
    err = tcpx__core_open(&core, o.engine, (size_t)o.stack_size);
    if (err)
        return tcpx__fail(err, "run", NULL);
    t = tcpx__task_create(core.world, run_first, &first, (size_t)o.stack_size);
    err = t ? tcpx__fiber_start(&core, t, (size_t)o.stack_size) : -ENOMEM;
    if (!err)
        err = tcpx__core_run(&core);
    else if (t)
        tcpx__task_drop(t);
    tcpx__core_close(&core);
    if (err)
        return tcpx__fail(err, "run", NULL);
    if (result)
        *result = first.result;
    return 0;
}

int tcpx_task_engine(const tcpx_task *t)
{
    if (!t || !t->fiber)
        return 0;
    return t->world == &tcpx__world_epoll ? TCPX_ENGINE_EPOLL
                                          : TCPX_ENGINE_URING;
}
