/* SPDX-License-Identifier: MIT */
/*
 * model_iterative.c - one client at a time, in the thread that runs.
 *
 * The handler is the supervisor's own task, so that nobody could strike a limit
 * or see a stop while it waits: its waits look themselves, by a leash.
 */
#include "server/server.h"

struct iteration {
    struct tcpx__leash leash;
    struct tcpx__slot *slot;
    int has_struck;
};

static int always(const tcpx_server *s)
{
    (void)s;
    return 1;
}

static int strike(struct iteration *it, int code)
{
    it->has_struck = 1;
    return tcpx__slot_strike(it->slot, code);
}

/* Asked before each sleep and after each wake of the handler. */
static int look(struct tcpx__leash *leash, tcpx_time now)
{
    struct iteration *it = TCPX__CONTAINER(leash, struct iteration, leash);
    tcpx_server *s = it->slot->server;
    int stops = atomic_load(&s->stops);
    tcpx_time until = TCPX_FOREVER;

    if (stops)
        until = tcpx__server_stop_until(s, now);
    if (stops > 1 || now >= until) {
        it->slot->is_cut = 1;
        return strike(it, TCPX_ECANCELED);
    }
    if (tcpx__slot_is_over_limit(it->slot, now))
        return strike(it, TCPX_ELIMIT);
    leash->until = tcpx__slot_limit_at(it->slot, now);
    if (until < leash->until)
        leash->until = until;
    return 0;
}

static int iterative_dispatch(tcpx_server *s, struct tcpx__slot *slot)
{
    tcpx_task *t = tcpx__task();
    struct iteration it = {.leash = {.look = look, .extra_fd = -1},
                           .slot = slot};

    int code;

    t->leash = &it.leash;
    code = tcpx__slot_handle(slot);
    tcpx__slot_finish(slot, 1);
    t->leash = NULL;
    /* What struck the client must not strike the loop; but a cancel of this
       task by the program is a stop. */
    if (!code)
        code = atomic_load(&t->canceled);
    atomic_store(&t->canceled, 0);
    if (code && !it.has_struck)
        atomic_fetch_add(&s->stops, 1);
    tcpx__slot_arm(slot, tcpx__sys_now());
    tcpx__slot_done(slot);
    return 0;
}

const struct tcpx__model tcpx__model_iterative = {
    .name = "iterative",
    .keeps_limits = 1,
    .has_room = always,
    .dispatch = iterative_dispatch,
    .cancel = tcpx__slot_cancel_in_thread,
};
