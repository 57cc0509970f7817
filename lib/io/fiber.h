/* SPDX-License-Identifier: MIT */
/*
 * fiber.h - what the worlds of fibers share, whatever their engine.
 */
#ifndef TCPX_IO_FIBER_H
#define TCPX_IO_FIBER_H

#include <poll.h>
#include "fiber/core.h"
#include "io/world.h"

/* The park, unpark and so on of world.h: they need no engine. */
int tcpx__fiber_accept(struct tcpx__handle *h, struct sockaddr *peer,
                       socklen_t *len, tcpx_time deadline);
void tcpx__fiber_close(struct tcpx__handle *h);
int tcpx__fiber_park(tcpx_time deadline);
void tcpx__fiber_rest(void);
void tcpx__fiber_unpark(tcpx_task *t);
int tcpx__fiber_spawn(tcpx_task *t);
void tcpx__fiber_reap(tcpx_task *t);
void tcpx__fiber_disown(tcpx_task *t);

/* tcpx__ready_sendfile() and _splice(), which let others have a turn. */
ssize_t tcpx__fiber_sendfile(struct tcpx__handle *h, int in, int64_t *offset,
                             size_t len, tcpx_time deadline);
ssize_t tcpx__fiber_splice(struct tcpx__handle *h, int pipe, int to_pipe,
                           size_t len, tcpx_time deadline);

/*
 * Why a wait of t on h must end now: 0, TCPX_EDEADLINE, or the code of a
 * cancel.  That of the task takes a connection with it, if there was still
 * something to wait for.
 */
int tcpx__fiber_struck(struct tcpx__handle *h, tcpx_task *t,
                       tcpx_time deadline);

/* A fiber that waits for a descriptor: it is made ready when one of what it
   wants comes, or an error. */
struct tcpx__watcher {
    struct tcpx__watcher *next;
    struct tcpx__fiber *fiber; /* NULL: not armed */
    short want;
    struct tcpx__op *op; /* over io_uring */
};

/* A wait for several descriptors; the arrays have n members each. */
struct tcpx__wait_set {
    struct tcpx__poll_item *items;
    size_t n;
    struct pollfd *polls;
    struct tcpx__watcher *watchers;
    int *slots; /* of the items' handles; -1: unnamed */
    int blind;
};

/* How an engine is told to make the fiber ready when an item may be, how once
   more after it did, if it has to be, and to let it be. */
struct tcpx__arming {
    int (*arm)(struct tcpx__wait_set *set, tcpx_task *t);
    int (*rearm)(struct tcpx__wait_set *set, tcpx_task *t);
    void (*disarm)(struct tcpx__wait_set *set, tcpx_task *t);
};

int tcpx__fiber_wait(struct tcpx__poll_item *items, size_t n,
                     tcpx_time deadline, const struct tcpx__arming *arming);

/* The code that t was canceled with, or that its leash says; 0: none. */
int tcpx__fiber_code(tcpx_task *t);

/* Until when to sleep if who cancels cannot find this task (`blind`), or if it
   looks to its limits itself. */
tcpx_time tcpx__fiber_until(const tcpx_task *t, tcpx_time deadline, int blind);

/* What a turn that failed with err says: 0, after a pause, if the next may go
   better. */
int tcpx__engine_error(int err);

/* Makes the eventfd that a turn watches readable. */
void tcpx__engine_wake(int fd);

extern const struct tcpx__world tcpx__world_epoll;
extern const struct tcpx__world tcpx__world_uring;

#endif
