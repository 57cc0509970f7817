/* SPDX-License-Identifier: MIT */
/*
 * epoll.h - the engine of readiness: what epoll(7) told of each descriptor.
 *
 * A descriptor is registered once, edge-triggered, for everything, and never
 * changed.  So `maybe` holds what may still be there: a bit goes when a call
 * has found nothing, or less than it asked for, and comes back by an edge.
 */
#ifndef TCPX_IO_EPOLL_H
#define TCPX_IO_EPOLL_H

#include <poll.h>
#include <stdint.h>
#include <sys/epoll.h>
#include "io/fiber.h"

#ifndef TCPX__EPOLL_BATCH
#define TCPX__EPOLL_BATCH 256
#endif

/* A descriptor, by its number. */
struct tcpx__spot {
    uint32_t serial;  /* of the handle, or TCPX__PLAIN; 0: not registered */
    uint16_t plain;   /* how many wait for it as a plain descriptor */
    uint8_t maybe;    /* POLLIN, POLLOUT: not known to be used up */
    uint8_t unsteady; /* a short read does not mean that it is used up */
    struct tcpx__watcher *watchers;
};

/* A registration for the time of one wait, of a descriptor without handle. */
#define TCPX__PLAIN UINT32_MAX

struct tcpx__epoll {
    struct tcpx__engine engine;
    int fd;
    int wake_fd;
    uint32_t forks; /* tcpx__forks when it was made */
    struct tcpx__spot *spots;
    size_t spot_count;
    struct epoll_event events[TCPX__EPOLL_BATCH];
};

static inline struct tcpx__epoll *tcpx__epoll_of(const struct tcpx__fiber *f)
{
    return (struct tcpx__epoll *)f->core->engine;
}

/* The spot of h if it is registered here, else NULL.  Good until the fiber
   next leaves, as more descriptors may move the spots. */
static inline struct tcpx__spot *tcpx__epoll_find(struct tcpx__epoll *e,
                                                  const struct tcpx__handle *h)
{
    struct tcpx__spot *spot;

    if ((size_t)h->fd >= e->spot_count)
        return NULL;
    spot = &e->spots[h->fd];
    return spot->serial == h->serial ? spot : NULL;
}

/* Registers fd for whoever has that serial: 0, or -errno. */
int tcpx__epoll_register(struct tcpx__epoll *e, int fd, uint32_t serial);

/* Takes a plain descriptor out again. */
void tcpx__epoll_unregister(struct tcpx__epoll *e, int fd);

void tcpx__epoll_watch(struct tcpx__epoll *e, int fd, struct tcpx__watcher *w);
void tcpx__epoll_unwatch(struct tcpx__epoll *e, int fd,
                         struct tcpx__watcher *w);

/* The `wait` of world.h. */
int tcpx__epoll_wait(struct tcpx__poll_item *items, size_t n,
                     tcpx_time deadline);

/* A new engine: 0 or -errno. */
int tcpx__epoll_open(struct tcpx__engine **out);

#endif
