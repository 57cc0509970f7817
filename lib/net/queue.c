/* SPDX-License-Identifier: MIT */
/*
 * queue.c - passing pointers from task to task.
 *
 * A ring that grows to its capacity, a lock held for a few instructions, and
 * lists of who waits.  Whoever brings something takes one waiter off its list
 * and unparks it; a waiter that was taken off and leaves without what it came
 * for passes the word on, so that no item lies there while somebody waits.
 */
#include "net/queue.h"

#include <errno.h>
#include <limits.h>
#include <tcpx/error.h>
#include <tcpx/wait.h>
#include "base/sys.h"
#include "base/util.h"
#include "io/world.h"
#include "net/opts.h"

#define FIRST_ROOM 16

struct tcpx_queue {
    pthread_mutex_t lock; /* guards all that follows */
    void **ring;
    size_t room;  /* of the ring, a power of two */
    size_t first; /* counts all that was taken; its place is modulo room */
    size_t count;
    size_t capacity;
    int is_closed;
    unsigned users; /* tasks in a call that may wait */
    struct tcpx__list getters;
    struct tcpx__list putters;
    struct tcpx__list watchers;
    tcpx_queue_opts opts;
};

static void wake_first(struct tcpx__list *waiters)
{
    struct tcpx__list *node = tcpx__list_pop(waiters);

    if (node) {
        struct tcpx__waiter *w =
            TCPX__LIST_ENTRY(node, struct tcpx__waiter, in_list);

        w->woken = 1;
        tcpx__unpark(w->task);
    }
}

static void wake_all(struct tcpx__list *waiters)
{
    while (!tcpx__list_is_empty(waiters))
        wake_first(waiters);
}

/* A watcher stays on its list: it may look several times in one wait. */
static void tell_watchers(tcpx_queue *q)
{
    for (struct tcpx__list *node = q->watchers.next; node != &q->watchers;
         node = node->next)
        tcpx__unpark(
            TCPX__LIST_ENTRY(node, struct tcpx__waiter, in_list)->task);
}

int tcpx_queue_create(tcpx_queue **out, size_t capacity,
                      const tcpx_queue_opts *opts)
{
    tcpx_queue_opts o;
    tcpx_queue *q;
    int err = tcpx__opts_copy(&o, sizeof(o), sizeof(o), opts);

    if (err)
        return tcpx__opts_fail(err, "queue", NULL);
    if (!out)
        return tcpx__refuse("queue", "no place for the queue");
    if (capacity == 0 || capacity > SIZE_MAX / 4 / sizeof(void *))
        return tcpx__refuse("queue", "the capacity is 0, or impossible");
    if (o.full < TCPX_FULL_WAIT || o.full > TCPX_FULL_DROP_NEWEST)
        return tcpx__fail_because(-EINVAL, "queue", NULL,
                                  "full is %d, no rule of this library",
                                  (int)o.full);
    q = tcpx__calloc(sizeof(*q));
    if (!q)
        return tcpx__fail(-ENOMEM, "queue", NULL);
    pthread_mutex_init(&q->lock, NULL);
    tcpx__list_init(&q->getters);
    tcpx__list_init(&q->putters);
    tcpx__list_init(&q->watchers);
    q->capacity = capacity;
    q->opts = o;
    *out = q;
    return 0;
}

static int make_room(tcpx_queue *q)
{
    size_t room = q->room ? q->room * 2 : FIRST_ROOM;
    void **ring;

    if (q->count < q->room)
        return 0;
    ring = tcpx__malloc(room * sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    for (size_t i = 0; i < q->count; i++)
        ring[i] = q->ring[(q->first + i) & (q->room - 1)];
    tcpx__free(q->ring);
    q->ring = ring;
    q->room = room;
    q->first = 0;
    return 0;
}

static int append(tcpx_queue *q, void *item)
{
    int err = make_room(q);

    if (err)
        return err;
    q->ring[(q->first + q->count++) & (q->room - 1)] = item;
    wake_first(&q->getters);
    tell_watchers(q);
    return 0;
}

static void *take(tcpx_queue *q)
{
    void *item = q->ring[q->first & (q->room - 1)];

    q->first++;
    q->count--;
    return item;
}

/*
 * Parks the calling task on one of the queue's lists, with the lock given up
 * meanwhile.  0: look again.
 */
static int park_on(tcpx_queue *q, struct tcpx__list *waiters,
                   struct tcpx__waiter *w, tcpx_time deadline)
{
    int err;

    w->woken = 0;
    tcpx__list_append(waiters, &w->in_list);
    q->users++;
    pthread_mutex_unlock(&q->lock);
    do
        err = w->task->world->park(deadline);
    while (!err && !w->woken);
    pthread_mutex_lock(&q->lock);
    q->users--;
    tcpx__list_remove(&w->in_list);
    return w->woken ? 0 : err;
}

/* Makes room by the queue's rule: 0 there is room, 1 the item was dropped.
 *dropped is what is to be destroyed once the lock is given up. */
static int make_way(tcpx_queue *q, void *item, void **dropped,
                    tcpx_time deadline)
{
    struct tcpx__waiter w = {.task = tcpx__task()};

    tcpx__list_init(&w.in_list);
    while (!q->is_closed && q->count >= q->capacity) {
        int err;

        switch (q->opts.full) {
        case TCPX_FULL_REFUSE:
            return -ENOBUFS;
        case TCPX_FULL_DROP_NEWEST:
            *dropped = item;
            return 1;
        case TCPX_FULL_DROP_OLDEST:
            *dropped = take(q);
            return 0;
        default:
            err = park_on(q, &q->putters, &w, deadline);
            if (err && q->count >= q->capacity && !q->is_closed)
                return err;
        }
    }
    return q->is_closed ? -EPIPE : 0;
}

int tcpx_queue_put(tcpx_queue *q, void *item, tcpx_time deadline)
{
    void *dropped = NULL;
    int err;

    if (!q || !item)
        return tcpx__refuse("put", q ? "no item" : "no queue");
    if (tcpx__is_duration(deadline))
        return tcpx__refuse_duration("put");
    if (!tcpx__task())
        return -ENOMEM;
    pthread_mutex_lock(&q->lock);
    err = make_way(q, item, &dropped, deadline);
    if (err == 0) {
        err = append(q, item);
        if (err) /* the room that this one was told of is another's */
            wake_first(&q->putters);
        /* Nothing was dropped in vain: there was room for one just taken. */
        if (!err && q->count < q->capacity)
            wake_first(&q->putters);
    }
    pthread_mutex_unlock(&q->lock);
    if (dropped && q->opts.destroy)
        q->opts.destroy(dropped);
    return err < 0 ? tcpx__fail(err, "put", NULL) : 0;
}

int tcpx_queue_get(tcpx_queue *q, void **out, tcpx_time deadline)
{
    struct tcpx__waiter w = {.task = tcpx__task()};
    void *item = NULL;
    int err = 0;

    if (!q || !out)
        return tcpx__refuse("get", q ? "no place for the item" : "no queue");
    if (tcpx__is_duration(deadline))
        return tcpx__refuse_duration("get");
    if (!w.task)
        return -ENOMEM;
    tcpx__list_init(&w.in_list);
    pthread_mutex_lock(&q->lock);
    while (q->count == 0 && !q->is_closed && !err)
        err = park_on(q, &q->getters, &w, deadline);
    if (q->count > 0) {
        item = take(q);
        wake_first(&q->putters);
        tell_watchers(q);
        /* The next one's word may have come to this task. */
        if (q->count > 0)
            wake_first(&q->getters);
        err = 0;
    } else if (q->is_closed) {
        err = TCPX_EOF;
    }
    pthread_mutex_unlock(&q->lock);
    if (err)
        return tcpx__fail(err, "get", NULL);
    *out = item;
    return 0;
}

/* With the lock held. */
static void close_locked(tcpx_queue *q)
{
    q->is_closed = 1;
    wake_all(&q->getters);
    wake_all(&q->putters);
    tell_watchers(q);
}

void tcpx_queue_close(tcpx_queue *q)
{
    if (!q)
        return;
    pthread_mutex_lock(&q->lock);
    close_locked(q);
    pthread_mutex_unlock(&q->lock);
}

int tcpx_queue_close_with(tcpx_queue *q, void *last)
{
    int err;

    if (!q || !last)
        return tcpx__refuse("close_with", q ? "no item" : "no queue");
    pthread_mutex_lock(&q->lock);
    err = q->is_closed ? -EPIPE : append(q, last);
    if (!err)
        close_locked(q);
    pthread_mutex_unlock(&q->lock);
    return err ? tcpx__fail(err, "close_with", NULL) : 0;
}

int tcpx_queue_free(tcpx_queue *q)
{
    int is_used;

    if (!q)
        return tcpx__refuse("queue", "no queue");
    pthread_mutex_lock(&q->lock);
    is_used = q->users || !tcpx__list_is_empty(&q->watchers);
    pthread_mutex_unlock(&q->lock);
    if (is_used)
        return tcpx__fail(-EBUSY, "queue", NULL);
    while (q->count > 0) {
        void *item = take(q);

        if (q->opts.destroy)
            q->opts.destroy(item);
    }
    pthread_mutex_destroy(&q->lock);
    tcpx__free(q->ring);
    tcpx__free(q);
    return 0;
}

uint32_t tcpx__queue_ready(tcpx_queue *q)
{
    uint32_t ready = 0;

    pthread_mutex_lock(&q->lock);
    if (q->count > 0 || q->is_closed)
        ready |= TCPX_READABLE;
    if (q->count < q->capacity || q->is_closed ||
        q->opts.full != TCPX_FULL_WAIT)
        ready |= TCPX_WRITABLE;
    pthread_mutex_unlock(&q->lock);
    return ready;
}

void tcpx__queue_watch(tcpx_queue *q, struct tcpx__waiter *w)
{
    pthread_mutex_lock(&q->lock);
    tcpx__list_append(&q->watchers, &w->in_list);
    pthread_mutex_unlock(&q->lock);
}

void tcpx__queue_unwatch(tcpx_queue *q, struct tcpx__waiter *w)
{
    pthread_mutex_lock(&q->lock);
    tcpx__list_remove(&w->in_list);
    pthread_mutex_unlock(&q->lock);
}
