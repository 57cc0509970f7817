/* SPDX-License-Identifier: MIT */
/*
 * queue.h - passing pointers from task to task.
 */
#ifndef TCPX_QUEUE_H
#define TCPX_QUEUE_H

#include <tcpx/base.h>

TCPX_BEGIN_DECLS

typedef struct tcpx_queue tcpx_queue;

/* What tcpx_queue_put() does when the queue is full. */
enum tcpx_queue_full {
    TCPX_FULL_WAIT = 0,    /* waits until the deadline */
    TCPX_FULL_REFUSE,      /* -ENOBUFS at once */
    TCPX_FULL_DROP_OLDEST, /* makes room */
    TCPX_FULL_DROP_NEWEST  /* drops the item that was to be put */
};

typedef struct tcpx_queue_opts {
    uint32_t size; /* sizeof(tcpx_queue_opts); the macro sets it */
    int32_t full;  /* enum tcpx_queue_full */
    void (*destroy)(void *item); /* for items that are dropped or left over */
} tcpx_queue_opts;

static inline tcpx_queue_opts tcpx_queue_defaults(void)
{
    tcpx_queue_opts opts;

    memset(&opts, 0, sizeof(opts));
    opts.size = (uint32_t)sizeof(opts);
    return opts;
}

/* In C: TCPX_QUEUE(.full = TCPX_FULL_DROP_OLDEST, .destroy = free). */
#define TCPX_QUEUE(...)                                                        \
    (&(tcpx_queue_opts){.size = (uint32_t)sizeof(tcpx_queue_opts), __VA_ARGS__})

/*
 * Makes a queue of at most capacity items, first in first out, for any number
 * of putting and getting tasks of any kind.  Memory grows with the items.
 * Returns 0; -EINVAL for NULL, capacity 0 or a wrong option; -E2BIG; -ENOMEM.
 */
TCPX_API int tcpx_queue_create(tcpx_queue **out, size_t capacity,
                               const tcpx_queue_opts *opts);

/*
 * Puts item, which is not NULL.  Returns 0: the queue owns the item, also if
 * it was dropped by the queue's rule.  Any error leaves it the caller's:
 * TCPX_EDEADLINE; TCPX_ECANCELED; -ENOBUFS (full, TCPX_FULL_REFUSE); -EPIPE
 * (closed); -EINVAL; -ENOMEM.  With TCPX_NOW it is safe from any thread, not
 * from a signal handler.  .destroy runs in the calling task, outside the
 * queue's lock.
 */
TCPX_API int tcpx_queue_put(tcpx_queue *q, void *item, tcpx_time deadline);

/*
 * Gets the oldest item into *out.  Returns 0; TCPX_EDEADLINE; TCPX_ECANCELED;
 * TCPX_EOF once the queue is closed and empty; -EINVAL.
 */
TCPX_API int tcpx_queue_get(tcpx_queue *q, void **out, tcpx_time deadline);

/* Takes no more: getters drain what is there, then get TCPX_EOF. */
TCPX_API void tcpx_queue_close(tcpx_queue *q);

/*
 * Appends one item, beyond the capacity if need be, and closes.  Returns 0;
 * -EPIPE if it was closed already, and last is still the caller's; -ENOMEM;
 * -EINVAL.
 */
TCPX_API int tcpx_queue_close_with(tcpx_queue *q, void *last);

/*
 * Frees the queue; leftovers go to .destroy.  Returns 0; -EBUSY while a task
 * waits in it; -EINVAL for NULL.
 */
TCPX_API int tcpx_queue_free(tcpx_queue *q);

TCPX_END_DECLS

#endif
