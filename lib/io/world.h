/* SPDX-License-Identifier: MIT */
/*
 * world.h - THE WORLD TABLE: how the calling task does what can wait.
 *
 * Everything in lib/net is written once over this table and cannot tell
 * whether it runs in a thread or in a fiber over epoll or io_uring.  The table
 * holds operations, not readiness, because io_uring submits the operation
 * itself; the worlds of readiness share one "try, wait, try again".
 *
 * The table belongs to the running task, not to the connection: a connection
 * that was made in a thread works when a fiber takes it over.
 *
 * RULES for every operation that takes a handle and a deadline:
 * - The deadline is absolute; one that has passed means: try once.
 * - h->canceled and the task's own flag are tested before every wait and after
 *   every wake; they end the operation with their code even if the descriptor
 *   has something to give.  A task that is canceled but need not wait goes on.
 * - TCPX_EDEADLINE and TCPX_ECANCELED never hide bytes that were moved: an
 *   operation that moved some returns their count.
 * - EINTR is retried inside.  EAGAIN never comes out.
 * - Any other error comes out once, as -errno; latching is lib/net's.
 */
#ifndef TCPX_IO_WORLD_H
#define TCPX_IO_WORLD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <tcpx/error.h>
#include "base/sys.h"
#include "base/task.h"
#include "io/handle.h"

/* One descriptor in a wait for several; want and got hold POLLIN, POLLOUT. */
struct tcpx__poll_item {
    int fd; /* negative: none, and only a cancel of the handle counts */
    short want;
    short got;                   /* POLLERR and POLLHUP may be in it, unasked */
    struct tcpx__handle *handle; /* NULL for a plain descriptor */
};

struct tcpx__world {
    const char *name;

    /*
     * Waits until h is ready for events (POLLIN or POLLOUT), has failed, or
     * ended.  0 is a hint and may be wrong: the caller tries again.  A cancel
     * of the task that strikes here cancels h too, unless h is a listener.
     */
    int (*await)(struct tcpx__handle *h, short events, tcpx_time deadline);

    /* Receives at most len bytes; 0 is the end of the stream. */
    ssize_t (*recv)(struct tcpx__handle *h, void *buf, size_t len,
                    tcpx_time deadline);

    /* Sends at least one byte of n parts (n at most IOV_MAX). */
    ssize_t (*send)(struct tcpx__handle *h, const struct iovec *iov, size_t n,
                    tcpx_time deadline);

    /* Sends at least one byte of a file; 0 is the file's end. */
    ssize_t (*sendfile)(struct tcpx__handle *h, int in, int64_t *offset,
                        size_t len, tcpx_time deadline);

    /*
     * Moves at least one byte between a connection and a pipe (`to_pipe` says
     * which way); 0 is the end of the stream.  The pipe's other side must be
     * such that it need not be waited for.
     */
    ssize_t (*splice)(struct tcpx__handle *h, int pipe, int to_pipe, size_t len,
                      tcpx_time deadline);

    /* Accepts a client that has not yet gone; returns its descriptor. */
    int (*accept)(struct tcpx__handle *h, struct sockaddr *peer, socklen_t *len,
                  tcpx_time deadline);

    /*
     * Starts connecting an O_NONBLOCK socket: 0 done, -EINPROGRESS under way
     * (wait for POLLOUT, then ask connect_result), or why it failed.
     */
    int (*connect_begin)(int fd, const struct sockaddr *sa, socklen_t len);
    int (*connect_result)(int fd);

    /*
     * Waits until a descriptor is ready, sets every got, and returns how many
     * are; 0 if the task was unparked, which may be for no reason.
     */
    int (*wait)(struct tcpx__poll_item *items, size_t n, tcpx_time deadline);

    /* Drops what the world remembers of h: before close, before a hand-over. */
    void (*forget)(struct tcpx__handle *h);

    /* Closes the descriptor of a handle that is sealed and forgotten. */
    void (*close)(struct tcpx__handle *h);

    /*
     * Sleeps until unparked (0, perhaps for no reason), the deadline
     * (TCPX_EDEADLINE) or a cancel of the task (TCPX_ECANCELED).
     */
    int (*park)(tcpx_time deadline);

    /* Lets others run, for one who must wait and cannot park. */
    void (*yield)(void);

    /* Wakes t, of this world, or keeps its next park from sleeping.  Any
       thread, any signal handler. */
    void (*unpark)(tcpx_task *t);

    /* Runs tcpx__task_run(t) beside the calling task; t->spawned is filled in,
       and a reference is the new task's own. */
    int (*spawn)(tcpx_task *t);

    /* Gives up what a task that has ended and was waited for left behind. */
    void (*reap)(tcpx_task *t);

    /* The calling task, t, will be reaped by nobody. */
    void (*disown)(tcpx_task *t);
};

/* What a spawned task runs: fn, then the end of its own tasks, then the word to
   whoever joins. */
void tcpx__task_run(tcpx_task *t);

extern const struct tcpx__world tcpx__world_thread;

/* What a receive of n says: bytes always count; but the end, or an error, of
   a handle that was canceled is only the cancel's doing. */
static inline ssize_t tcpx__recv_verdict(const struct tcpx__handle *h,
                                         ssize_t n)
{
    int canceled = n > 0 ? 0 : tcpx__handle_canceled(h);

    return canceled ? canceled : n;
}

/*
 * The operations of a world of readiness: try, await, try again.  Shared by
 * threads and by fibers over epoll.
 */
ssize_t tcpx__ready_recv(struct tcpx__handle *h, void *buf, size_t len,
                         tcpx_time deadline);
ssize_t tcpx__ready_send(struct tcpx__handle *h, const struct iovec *iov,
                         size_t n, tcpx_time deadline);
ssize_t tcpx__ready_sendfile(struct tcpx__handle *h, int in, int64_t *offset,
                             size_t len, tcpx_time deadline);
ssize_t tcpx__ready_splice(struct tcpx__handle *h, int pipe, int to_pipe,
                           size_t len, tcpx_time deadline);
int tcpx__ready_accept(struct tcpx__handle *h, struct sockaddr *peer,
                       socklen_t *len, tcpx_time deadline);
int tcpx__ready_connect_begin(int fd, const struct sockaddr *sa, socklen_t len);
int tcpx__ready_connect_result(int fd);

/* The world of the calling task; NULL if memory for the task ran out. */
static inline const struct tcpx__world *tcpx__world(void)
{
    tcpx_task *t = tcpx__task();

    return t ? t->world : NULL;
}

static inline void tcpx__yield(void)
{
    const struct tcpx__world *world = tcpx__world();

    if (world)
        world->yield();
    else
        tcpx__sys_yield();
}

static inline void tcpx__unpark(tcpx_task *t)
{
    t->world->unpark(t);
}

#endif
