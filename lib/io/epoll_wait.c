/* SPDX-License-Identifier: MIT */
/*
 * epoll_wait.c - what a wait for several descriptors needs of epoll.
 */
#include <errno.h>
#include <poll.h>
#include "io/epoll.h"

/* Sees to it that an edge of item i makes the task look; 0, or -errno. */
static int attach(struct tcpx__wait_set *set, tcpx_task *t, size_t i)
{
    const struct tcpx__poll_item *item = &set->items[i];
    struct tcpx__epoll *e = tcpx__epoll_of(t->fiber);
    uint32_t serial = item->handle ? item->handle->serial : TCPX__PLAIN;
    struct tcpx__spot *spot =
        (size_t)item->fd < e->spot_count ? &e->spots[item->fd] : NULL;
    int err = 0;

    /* Only somebody's wait keeps a plain descriptor from being another by
       now. */
    if (!spot || spot->serial != serial ||
        (serial == TCPX__PLAIN && spot->plain == 0))
        err = tcpx__epoll_register(e, item->fd, serial);
    /* A file, which is always ready, or no descriptor: poll(2) says so. */
    if (err)
        return err == -EPERM || err == -EBADF ? 0 : err;
    if (serial == TCPX__PLAIN)
        e->spots[item->fd].plain++;
    set->watchers[i] =
        (struct tcpx__watcher){.fiber = t->fiber, .want = POLLIN | POLLOUT};
    tcpx__epoll_watch(e, item->fd, &set->watchers[i]);
    return 0;
}

static void detach(struct tcpx__wait_set *set, tcpx_task *t, size_t i)
{
    const struct tcpx__poll_item *item = &set->items[i];
    struct tcpx__epoll *e = tcpx__epoll_of(t->fiber);
    struct tcpx__spot *spot;

    if (!set->watchers[i].fiber)
        return;
    tcpx__epoll_unwatch(e, item->fd, &set->watchers[i]);
    spot = &e->spots[item->fd];
    if (item->handle || --spot->plain > 0 || spot->watchers)
        return;
    if (spot->serial == TCPX__PLAIN)
        tcpx__epoll_unregister(e, item->fd);
}

static int arm(struct tcpx__wait_set *set, tcpx_task *t)
{
    int err = 0;

    for (size_t i = 0; i < set->n && !err; i++) {
        if (set->items[i].fd >= 0)
            err = attach(set, t, i);
    }
    return err;
}

static void disarm(struct tcpx__wait_set *set, tcpx_task *t)
{
    for (size_t i = 0; i < set->n; i++)
        detach(set, t, i);
}

int tcpx__epoll_wait(struct tcpx__poll_item *items, size_t n,
                     tcpx_time deadline)
{
    static const struct tcpx__arming arming = {.arm = arm, .disarm = disarm};

    return tcpx__fiber_wait(items, n, deadline, &arming);
}
