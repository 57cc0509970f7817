/* SPDX-License-Identifier: MIT */
/*
 * epoll.c - the world of fibers over epoll(7).
 *
 * Receives and sends are tried first.  One that found the socket empty, or
 * took less than it had room for, leaves word that it is used up, and the next
 * parks without asking the kernel again.
 */
#include "io/epoll.h"

#include <errno.h>
#include <string.h>
#include "base/sys.h"
#include "base/util.h"

#define EVERYTHING (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET)

/* A receive that parked without asking asks after so long all the same: no
   edge ever tells of a descriptor that somebody closed under us. */
#define LOOK_AFTER (100 * TCPX_MSEC)

/* ---- the engine ---- */

static int grow(struct tcpx__epoll *e, int fd)
{
    size_t n = e->spot_count ? e->spot_count : 64;
    struct tcpx__spot *spots;

    if ((size_t)fd < e->spot_count)
        return 0;
    while (n <= (size_t)fd)
        n *= 2;
    spots = tcpx__realloc(e->spots, n * sizeof(*spots));
    if (!spots)
        return -ENOMEM;
    memset(spots + e->spot_count, 0, (n - e->spot_count) * sizeof(*spots));
    e->spots = spots;
    e->spot_count = n;
    return 0;
}

static uint64_t name_of(int fd, uint32_t serial)
{
    return (uint64_t)serial << 32 | (uint32_t)fd;
}

int tcpx__epoll_register(struct tcpx__epoll *e, int fd, uint32_t serial)
{
    int err = grow(e, fd);

    if (!err && e->forks != atomic_load(&tcpx__forks))
        err = -ENOTSUP; /* it is the parent's of this process */
    if (err)
        return err;
    err = tcpx__sys_epoll_ctl(e->fd, EPOLL_CTL_ADD, fd, EVERYTHING,
                              name_of(fd, serial));
    /* Left by a handle that was released, or closed while another process had
       the file too: it says anew what there is. */
    if (err == -EEXIST)
        err = tcpx__sys_epoll_ctl(e->fd, EPOLL_CTL_MOD, fd, EVERYTHING,
                                  name_of(fd, serial));
    if (err)
        return err;
    e->spots[fd].serial = serial;
    e->spots[fd].plain = 0;
    e->spots[fd].maybe = 0;
    e->spots[fd].unsteady = 0;
    return 0;
}

void tcpx__epoll_unregister(struct tcpx__epoll *e, int fd)
{
    e->spots[fd].serial = 0;
    tcpx__sys_epoll_ctl(e->fd, EPOLL_CTL_DEL, fd, 0, 0);
}

void tcpx__epoll_watch(struct tcpx__epoll *e, int fd, struct tcpx__watcher *w)
{
    w->next = e->spots[fd].watchers;
    e->spots[fd].watchers = w;
}

void tcpx__epoll_unwatch(struct tcpx__epoll *e, int fd, struct tcpx__watcher *w)
{
    struct tcpx__watcher **link = &e->spots[fd].watchers;

    while (*link != w)
        link = &(*link)->next;
    *link = w->next;
}

/* What an event says of `maybe`. */
static unsigned meaning(uint32_t events)
{
    unsigned maybe = 0;

    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLHUP | EPOLLERR))
        maybe |= POLLIN;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        maybe |= POLLOUT;
    return maybe;
}

static void take_event(struct tcpx__epoll *e, const struct epoll_event *event)
{
    uint32_t fd = (uint32_t)event->data.u64;
    uint32_t serial = (uint32_t)(event->data.u64 >> 32);
    struct tcpx__spot *spot;
    unsigned maybe = meaning(event->events);

    if (fd >= e->spot_count || e->spots[fd].serial != serial)
        return; /* of one that was closed meanwhile */
    spot = &e->spots[fd];
    spot->maybe |= (uint8_t)maybe;
    /* What comes no more by an edge: the end, an error, what lies behind an
       urgent byte, at which a receive stops short. */
    if (event->events & ~(uint32_t)(EPOLLIN | EPOLLOUT))
        spot->unsteady = 1;
    for (struct tcpx__watcher *w = spot->watchers; w; w = w->next) {
        if ((unsigned)w->want & maybe)
            tcpx__fiber_ready(w->fiber);
    }
}

static int turn(struct tcpx__engine *engine, tcpx_time until)
{
    struct tcpx__epoll *e = (struct tcpx__epoll *)engine;
    int n = tcpx__sys_epoll_wait(e->fd, e->events, TCPX__EPOLL_BATCH, until);

    for (int i = 0; i < n; i++) {
        if (e->events[i].data.u64 == UINT64_MAX) {
            uint64_t count;

            tcpx__sys_read(e->wake_fd, &count, sizeof(count));
        } else {
            take_event(e, &e->events[i]);
        }
    }
    return n >= 0 || n == -EINTR ? 0 : tcpx__engine_error(n);
}

static void wake(struct tcpx__engine *engine)
{
    tcpx__engine_wake(((struct tcpx__epoll *)engine)->wake_fd);
}

static void free_engine(struct tcpx__engine *engine)
{
    struct tcpx__epoll *e = (struct tcpx__epoll *)engine;

    tcpx__sys_close(e->fd);
    tcpx__sys_close(e->wake_fd);
    tcpx__free(e->spots);
    tcpx__free(e);
}

int tcpx__epoll_open(struct tcpx__engine **out)
{
    struct tcpx__epoll *e = tcpx__calloc(sizeof(*e));
    int err = -ENOMEM;

    if (!e)
        return err;
    e->engine.turn = turn;
    e->engine.wake = wake;
    e->engine.free = free_engine;
    e->wake_fd = -1;
    e->forks = atomic_load(&tcpx__forks);
    err = e->fd = tcpx__sys_epoll_create();
    if (err >= 0)
        err = e->wake_fd = tcpx__sys_eventfd();
    if (err >= 0)
        err = tcpx__sys_epoll_ctl(e->fd, EPOLL_CTL_ADD, e->wake_fd, EPOLLIN,
                                  UINT64_MAX);
    if (err < 0) {
        free_engine(&e->engine);
        return err;
    }
    *out = &e->engine;
    return 0;
}

/* ---- the world ---- */

/* Parks until what the last call did not find, or find room for, may be
   there. */
static int park_on(struct tcpx__handle *h, short events, tcpx_time deadline)
{
    tcpx_task *t = tcpx__task();
    struct tcpx__epoll *e = tcpx__epoll_of(t->fiber);
    struct tcpx__watcher w = {.fiber = t->fiber, .want = events};
    int slot;
    int err = 0;

    if (!tcpx__epoll_find(e, h))
        err = tcpx__epoll_register(e, h->fd, h->serial);
    if (err)
        return err;
    slot = tcpx__handle_enter(h, t, !(h->flags & TCPX__LISTENER));
    e->spots[h->fd].maybe &= (uint8_t)~events;
    tcpx__epoll_watch(e, h->fd, &w);
    do {
        err = tcpx__fiber_struck(h, t, deadline);
        if (!err)
            tcpx__fiber_suspend(t->fiber,
                                tcpx__fiber_until(t, deadline, slot < 0));
    } while (!err && !(e->spots[h->fd].maybe & events));
    if (!err)
        err = tcpx__handle_canceled(h);
    tcpx__epoll_unwatch(e, h->fd, &w);
    tcpx__handle_leave(h, t, slot);
    return err;
}

/* The same for one who has not tried: the edge may have come and gone. */
static int epoll_await(struct tcpx__handle *h, short events, tcpx_time deadline)
{
    static const struct timespec at_once = {0, 0};
    struct tcpx__spot *spot =
        tcpx__epoll_find(tcpx__epoll_of(tcpx__task()->fiber), h);
    struct pollfd item = {.fd = h->fd, .events = events};

    if (spot && (spot->maybe & events) &&
        tcpx__sys_ppoll(&item, 1, &at_once) > 0)
        return tcpx__handle_canceled(h);
    return park_on(h, events, deadline);
}

/* Whether it is known that there is nothing, and there is still time. */
static int is_used_up(const struct tcpx__spot *spot,
                      const struct tcpx__handle *h, tcpx_task *t,
                      tcpx_time deadline)
{
    return spot && !(spot->maybe & POLLIN) && deadline > 0 &&
           !tcpx__handle_canceled(h) && !atomic_load(&t->canceled) &&
           (deadline == TCPX_FOREVER || tcpx__sys_now() < deadline);
}

static ssize_t epoll_recv(struct tcpx__handle *h, void *buf, size_t len,
                          tcpx_time deadline)
{
    tcpx_task *t = tcpx__task();
    struct tcpx__epoll *e = tcpx__epoll_of(t->fiber);
    struct tcpx__spot *spot = tcpx__epoll_find(e, h);
    int is_blind = is_used_up(spot, h, t, deadline);

    for (;;) {
        ssize_t n = -EAGAIN;
        tcpx_time until;
        int err;

        if (!is_blind)
            n = tcpx__sys_recv(h->fd, buf, len, MSG_DONTWAIT);
        if (n == -EINTR)
            continue;
        if (n != -EAGAIN) {
            spot = tcpx__epoll_find(e, h);
            if (spot && n > 0 && (size_t)n < len && !spot->unsteady)
                spot->maybe &= (uint8_t)~POLLIN;
            tcpx__fiber_spend(t->fiber);
            return tcpx__recv_verdict(h, n);
        }
        until = is_blind ? t->fiber->core->now + LOOK_AFTER : deadline;
        if (until > deadline)
            until = deadline;
        err = deadline <= 0 ? TCPX_EDEADLINE : park_on(h, POLLIN, until);
        if (err && !(err == TCPX_EDEADLINE && is_blind))
            return err;
        is_blind = 0;
    }
}

static ssize_t epoll_send(struct tcpx__handle *h, const struct iovec *iov,
                          size_t n, tcpx_time deadline)
{
    for (;;) {
        ssize_t sent = n == 1 ? tcpx__sys_send(h->fd, iov->iov_base,
                                               iov->iov_len, MSG_DONTWAIT)
                              : tcpx__sys_sendmsg(h->fd, iov, n, MSG_DONTWAIT);
        int err;

        if (sent == -EINTR)
            continue;
        /* EINPROGRESS: tcpx__ready_send() tells. */
        if (sent != -EAGAIN && sent != -EINPROGRESS) {
            tcpx__fiber_spend(tcpx__task()->fiber);
            return sent;
        }
        err = deadline <= 0 ? TCPX_EDEADLINE : park_on(h, POLLOUT, deadline);
        if (err)
            return err;
    }
}

static void epoll_forget(struct tcpx__handle *h)
{
    struct tcpx__epoll *e = tcpx__epoll_of(tcpx__task()->fiber);
    struct tcpx__spot *spot = tcpx__epoll_find(e, h);

    if (!spot)
        return;
    /* Closing takes it out, unless others have the file open too. */
    if (tcpx__handle_is_shared(h))
        tcpx__epoll_unregister(e, h->fd);
    spot->serial = 0;
}

const struct tcpx__world tcpx__world_epoll = {
    .name = "epoll",
    .await = epoll_await,
    .recv = epoll_recv,
    .send = epoll_send,
    .sendfile = tcpx__fiber_sendfile,
    .splice = tcpx__fiber_splice,
    .accept = tcpx__fiber_accept,
    .connect_begin = tcpx__ready_connect_begin,
    .connect_result = tcpx__ready_connect_result,
    .wait = tcpx__epoll_wait,
    .forget = epoll_forget,
    .close = tcpx__fiber_close,
    .park = tcpx__fiber_park,
    .yield = tcpx__fiber_rest,
    .unpark = tcpx__fiber_unpark,
    .spawn = tcpx__fiber_spawn,
    .reap = tcpx__fiber_reap,
    .disown = tcpx__fiber_disown,
};
