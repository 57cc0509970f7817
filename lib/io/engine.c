/* SPDX-License-Identifier: MIT */
/*
 * engine.c - which engine a core has.
 */
#include "io/engine.h"

#include <errno.h>
#include <stdatomic.h>
#include <tcpx/task.h>
#include "io/epoll.h"
#include "io/uring.h"

/* What a kernel or a filter says that will never allow it. */
static int is_final(int err)
{
    return err == -ENOSYS || err == -EPERM || err == -EACCES ||
           err == -EINVAL || err == -ENOTSUP;
}

/* io_uring, if it was not refused before. */
static int open_uring(struct tcpx__engine **out)
{
    static _Atomic int refused;
    int err = atomic_load(&refused) ? -ENOTSUP : tcpx__uring_open(out);

    if (!is_final(err))
        return err;
    atomic_store(&refused, 1);
    return -ENOTSUP;
}

int tcpx__core_open(struct tcpx__core *core, int engine, size_t stack_size)
{
    const struct tcpx__world *world = &tcpx__world_epoll;
    struct tcpx__engine *opened = NULL;
    int err = -ENOTSUP;

    if (engine != TCPX_ENGINE_EPOLL)
        err = open_uring(&opened);
#ifdef TCPX_WITH_URING
    if (!err)
        world = &tcpx__world_uring;
#endif
    if (err && engine != TCPX_ENGINE_URING)
        err = tcpx__epoll_open(&opened);
    if (err)
        return err;
    tcpx__core_init(core, opened, world, stack_size);
    return 0;
}

void tcpx__core_close(struct tcpx__core *core)
{
    tcpx__core_finish(core);
    core->engine->free(core->engine);
}
