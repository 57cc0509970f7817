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
    int wait_for_all;
};

/*
 * Runs fn, and waits for what came of it.  In a server's handler, whose limit
 * or stop strikes the task that waits here, all of that is ended with it.
 */
static void run_first(void *arg)
{
    struct first *first = arg;
    tcpx_task *t = tcpx__task();
    struct tcpx__core *core = t->fiber->core;

    first->result = first->fn(first->arg);
    while (first->wait_for_all && core->live > 1) {
        if (t->has_scope && tcpx__fiber_code(t))
            tcpx__tasks_end_all(t);
        if (core->live > 1)
            tcpx__fiber_suspend(t->fiber,
                                tcpx__fiber_until(t, TCPX_FOREVER, 0));
    }
}

int tcpx__run(int (*fn)(void *arg), void *arg, int *result, int engine,
              size_t stack_size, int wait_for_all)
{
    struct tcpx__core *core = tcpx__calloc(sizeof(*core));
    struct first first = {.fn = fn, .arg = arg, .wait_for_all = wait_for_all};
    int err = core ? tcpx__core_open(core, engine, stack_size) : -ENOMEM;

    if (err) {
        tcpx__free(core);
        return err;
    }
    err = tcpx__core_become(core, run_first, &first, stack_size, !wait_for_all);
    /* What has not ended may be pointed at from anywhere. */
    if (core->live == 0) {
        tcpx__core_close(core);
        tcpx__free(core);
    }
    if (!err)
        *result = first.result;
    return err;
}

static int check(tcpx_run_opts *o, const tcpx_run_opts *given)
{
    int err = tcpx__opts_copy(o, sizeof(*o), sizeof(*o), given);

    if (err)
        return tcpx__opts_fail(err, "run", NULL);
    if (o->stack_size == 0)
        o->stack_size = TCPX__STACK_SIZE;
    if (o->engine < TCPX_ENGINE_AUTO || o->engine > TCPX_ENGINE_URING)
        return tcpx__fail_because(-EINVAL, "run", NULL,
                                  "engine %d is none of this library",
                                  (int)o->engine);
    return tcpx__stack_size_check(o->stack_size, "run");
}

int tcpx_run(int (*fn)(void *arg), void *arg, int *result,
             const tcpx_run_opts *opts)
{
    tcpx_task *self = tcpx__task();
    tcpx_run_opts o = tcpx_run_defaults();
    int given = 0;
    int err = fn ? check(&o, opts) : tcpx__refuse("run", "no function to run");

    if (err)
        return err;
    if (!self)
        return -ENOMEM;
    if (self->fiber)
        return tcpx__fail_because(-EBUSY, "run", NULL,
                                  "this thread is a core already");
    err = tcpx__run(fn, arg, &given, o.engine, (size_t)o.stack_size, 1);
    if (err)
        return tcpx__fail(err, "run", NULL);
    if (result)
        *result = given;
    return 0;
}

int tcpx_task_engine(const tcpx_task *t)
{
    if (!t || !t->fiber)
        return 0;
    return t->world == &tcpx__world_epoll ? TCPX_ENGINE_EPOLL
                                          : TCPX_ENGINE_URING;
}
