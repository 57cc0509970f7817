/* SPDX-License-Identifier: MIT */
/*
 * fiber_wait.c - a fiber waits for several descriptors at once.
 *
 * What is asked for is a level, so poll(2) says what there is; what an engine
 * tells meanwhile only says when to ask again.
 */
#include <errno.h>
#include <poll.h>
#include "base/sys.h"
#include "base/util.h"
#include "io/fiber.h"

static void enter(struct tcpx__wait_set *set, tcpx_task *t)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct tcpx__poll_item *item = &set->items[i];

        set->polls[i] = (struct pollfd){.fd = item->fd, .events = item->want};
        set->watchers[i] = (struct tcpx__watcher){.fiber = NULL};
        set->slots[i] = -1;
        if (item->handle) {
            set->slots[i] = tcpx__handle_enter(item->handle, t, 0);
            set->blind |= set->slots[i] < 0;
        }
    }
}

static void leave(struct tcpx__wait_set *set, tcpx_task *t)
{
    for (size_t i = 0; i < set->n; i++) {
        const struct tcpx__poll_item *item = &set->items[i];

        if (item->handle)
            tcpx__handle_leave(item->handle, t, set->slots[i]);
    }
}

/* Counts what is ready, a canceled handle included: its next call says so. */
static int collect(struct tcpx__wait_set *set)
{
    static const struct timespec at_once = {0, 0};
    int ready = 0;
    int rc;

    do
        rc = tcpx__sys_ppoll(set->polls, (nfds_t)set->n, &at_once);
    while (rc == -EINTR);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < set->n; i++) {
        struct tcpx__poll_item *item = &set->items[i];

        item->got = set->polls[i].revents; /* 0 without a descriptor */
        if (item->handle && tcpx__handle_canceled(item->handle))
            item->got |= POLLERR;
        ready += item->got != 0;
    }
    return ready;
}

/* What there is: a count; 0 for a word that came, or why not to go on. */
static int look(struct tcpx__wait_set *set, tcpx_task *t, tcpx_time deadline,
                int *goes_on)
{
    int ready = collect(set);
    uint32_t wakes = atomic_load(&t->wakes);
    int code = tcpx__fiber_code(t);

    *goes_on = 0;
    if (ready)
        return ready;
    if (code)
        return code;
    if (wakes != t->seen) {
        t->seen = wakes;
        return 0;
    }
    if (deadline != TCPX_FOREVER &&
        (deadline <= 0 || tcpx__sys_now() >= deadline))
        return TCPX_EDEADLINE;
    *goes_on = 1;
    return 0;
}

static int wait_in_set(struct tcpx__wait_set *set, tcpx_task *t,
                       const struct tcpx__arming *arming, tcpx_time deadline)
{
    int goes_on;
    int rc = look(set, t, deadline, &goes_on);

    if (!goes_on)
        return rc;
    /* Armed first and asked then, so that nothing falls in between. */
    rc = arming->arm(set, t);
    while (!rc) {
        rc = look(set, t, deadline, &goes_on);
        if (!goes_on)
            break;
        tcpx__fiber_suspend(t->fiber,
                            tcpx__fiber_until(t, deadline, set->blind));
        if (arming->rearm)
            rc = arming->rearm(set, t);
    }
    arming->disarm(set, t);
    return rc;
}

#define FEW 8

int tcpx__fiber_wait(struct tcpx__poll_item *items, size_t n,
                     tcpx_time deadline, const struct tcpx__arming *arming)
{
    tcpx_task *t = tcpx__task();
    struct pollfd polls[FEW];
    struct tcpx__watcher watchers[FEW];
    int slots[FEW];
    struct tcpx__wait_set set = {items, n, polls, watchers, slots, 0};
    void *memory = NULL;
    int rc;

    if (n > FEW) {
        memory = tcpx__malloc(
            n * (sizeof(*watchers) + sizeof(*polls) + sizeof(*slots)));
        if (!memory)
            return -ENOMEM;
        set.watchers = memory;
        set.polls = (struct pollfd *)(void *)(set.watchers + n);
        set.slots = (int *)(void *)(set.polls + n);
    }
    enter(&set, t);
    rc = wait_in_set(&set, t, arming, deadline);
    leave(&set, t);
    tcpx__free(memory);
    return rc;
}
