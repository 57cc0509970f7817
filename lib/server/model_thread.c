/* SPDX-License-Identifier: MIT */
/*
 * model_thread.c - a thread for each connection.
 *
 * The thread also waits for the client's end: it holds up nobody.  It is
 * joined when its slot comes back, so that after a run no thread is left.
 */
#include "server/server.h"

static int always(const tcpx_server *s)
{
    (void)s;
    return 1;
}

static void *run_thread(void *arg)
{
    struct tcpx__slot *slot = arg;

    tcpx__slot_handle(slot);
    tcpx__slot_finish(slot, 1);
    tcpx__slot_done(slot);
    return NULL;
}

static int thread_dispatch(tcpx_server *s, struct tcpx__slot *slot)
{
    int err;

    slot->has_thread = 1;
    err = tcpx__sys_thread_start(&slot->thread, run_thread, slot,
                                 (size_t)s->opts.stack_size);
    if (err)
        slot->has_thread = 0;
    return err;
}

static void thread_reap(tcpx_server *s, struct tcpx__slot *slot)
{
    (void)s;
    if (slot->has_thread)
        tcpx__sys_thread_join(slot->thread);
    slot->has_thread = 0;
}

const struct tcpx__model tcpx__model_thread = {
    .name = "thread",
    .has_room = always,
    .dispatch = thread_dispatch,
    .reap = thread_reap,
    .cancel = tcpx__slot_cancel_in_thread,
};
