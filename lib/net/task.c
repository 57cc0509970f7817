/* SPDX-License-Identifier: MIT */
/*
 * task.c - the calling task, canceling it, and sleeping.
 */
#include "net/task.h"
#include <errno.h>
#include <tcpx/task.h>
#include "base/sys.h"
#include "io/world.h"

tcpx_task *tcpx_task_self(void)
{
    return tcpx__task();
}

void tcpx__task_cancel_with(tcpx_task *t, int code)
{
    atomic_fetch_add(&t->lookers, 1);
    if (!atomic_load(&t->ended)) {
        int none = 0;
        struct tcpx__handle *h;

        atomic_compare_exchange_strong(&t->canceled, &none, code);
        h = atomic_load(&t->waiting);
        if (h)
            tcpx__handle_cancel(h, code);
        tcpx__unpark(t);
    }
    atomic_fetch_sub(&t->lookers, 1);
}

void tcpx_task_cancel(tcpx_task *t)
{
    int saved = errno; /* a signal handler must leave it as it was */

    if (t)
        tcpx__task_cancel_with(t, TCPX_ECANCELED);
    errno = saved;
}

int tcpx_task_clear_cancel(void)
{
    tcpx_task *t = tcpx__task();

    return t ? atomic_exchange(&t->canceled, 0) != 0 : 0;
}

tcpx_task *tcpx_task_ref(tcpx_task *t)
{
    if (t)
        tcpx__task_retain(t);
    return t;
}

void tcpx_task_unref(tcpx_task *t)
{
    if (t)
        tcpx__task_drop(t);
}

int tcpx_sleep(tcpx_time deadline)
{
    const struct tcpx__world *world = tcpx__world();
    int err = 0;

    if (tcpx__is_duration(deadline))
        return tcpx__refuse_duration("sleep");
    if (!world)
        return -ENOMEM;
    while (!err) /* 0: woken for another reason */
        err = world->park(deadline);
    /* At the deadline there is nothing left that a cancel could end. */
    if (err == TCPX_EDEADLINE || tcpx__sys_now() >= deadline)
        return 0;
    return tcpx__fail(err, "sleep", NULL);
}
