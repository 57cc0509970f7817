/* SPDX-License-Identifier: MIT */
/*
 * wait.c - waiting for several connections, listeners and descriptors.
 */
#include <tcpx/wait.h>

#include <errno.h>
#include <poll.h>
#include "net/conn.h"
#include "net/listener.h"
#include "net/queue.h"

#define FEW 16

/*
 * What c is ready for without asking the kernel: bytes that were read ahead,
 * an end or error that the next call tells.
 */
static uint32_t conn_ready(const tcpx_conn *c)
{
    uint32_t got = 0;

    if (tcpx__handle_canceled(&c->h))
        return TCPX_READABLE | TCPX_WRITABLE;
    if (atomic_load(&c->write_error) || atomic_load(&c->finished))
        got |= TCPX_WRITABLE;
    /* These are the reader's own; a task that only waits may see them a moment
       late, and then the socket tells it. */
    if (atomic_load(&c->read_error) || atomic_load(&c->peer_finished) ||
        atomic_load_explicit(&c->in.ahead, memory_order_relaxed))
        got |= TCPX_READABLE;
    return got;
}

/*
 * Sends a SYN that was put off, for who waits for an answer to it.  Who also
 * wants to write can: that will be the first data.  An error is for the read
 * that follows.
 */
static uint32_t begin_handshake(const tcpx_waitfor *w)
{
    if (w->want != TCPX_READABLE)
        return 0;
    return tcpx__conn_begin_handshake(w->on.conn) ? TCPX_READABLE : 0;
}

static int is_wrong(const tcpx_waitfor *w)
{
    if (w->want & ~(uint32_t)(TCPX_READABLE | TCPX_WRITABLE))
        return 1;
    switch (w->kind) {
    case TCPX_WAIT_CONN:
        return w->want && !w->on.conn;
    case TCPX_WAIT_LISTENER:
        return w->want && (!w->on.listener || w->want != TCPX_READABLE);
    case TCPX_WAIT_FD:
        return w->want && w->on.fd < 0;
    case TCPX_WAIT_QUEUE:
        return w->want && !w->on.queue;
    case TCPX_WAIT_TASK:
        return w->want &&
               (!w->on.task || !w->on.task->spawned ||
                w->on.task == tcpx__task() || w->want != TCPX_READABLE);
    default:
        return 1;
    }
}

static uint32_t task_ready(tcpx_task *t)
{
    int has_ended;

    pthread_mutex_lock(&t->lock);
    has_ended = t->spawned->has_ended;
    pthread_mutex_unlock(&t->lock);
    return has_ended ? TCPX_READABLE : 0;
}

/* Prepares one item for the world's wait; returns what is ready already. */
static uint32_t prepare(const tcpx_waitfor *w, struct tcpx__poll_item *item)
{
    uint32_t ready = 0;

    *item = (struct tcpx__poll_item){.fd = -1};
    if (!w->want)
        return 0;
    switch (w->kind) {
    case TCPX_WAIT_CONN:
        item->handle = &w->on.conn->h;
        ready = begin_handshake(w) | conn_ready(w->on.conn);
        break;
    case TCPX_WAIT_LISTENER:
        item->handle = &w->on.listener->h;
        ready = tcpx__handle_canceled(item->handle) ? w->want : 0;
        break;
    case TCPX_WAIT_QUEUE:
        return tcpx__queue_ready(w->on.queue) & w->want;
    case TCPX_WAIT_TASK:
        return task_ready(w->on.task);
    default:
        break;
    }
    item->fd = item->handle ? item->handle->fd : w->on.fd;
    if (w->want & TCPX_READABLE)
        item->want |= POLLIN;
    if (w->want & TCPX_WRITABLE)
        item->want |= POLLOUT;
    return ready & w->want;
}

static struct tcpx__handle *handle_of(const tcpx_waitfor *w)
{
    return w->kind == TCPX_WAIT_CONN       ? &w->on.conn->h
           : w->kind == TCPX_WAIT_LISTENER ? &w->on.listener->h
                                           : NULL;
}

/*
 * Queues and tasks have no descriptor: they unpark who watches them.  A close
 * of a connection or listener waits until this wait has ended, however often
 * it has to begin anew.
 */
static void watch(const tcpx_waitfor *w, struct tcpx__waiter *waiter)
{
    waiter->task = tcpx__task();
    tcpx__list_init(&waiter->in_list);
    if (!w->want)
        return;
    if (handle_of(w))
        tcpx__handle_use(handle_of(w));
    if (w->kind == TCPX_WAIT_QUEUE) {
        tcpx__queue_watch(w->on.queue, waiter);
    } else if (w->kind == TCPX_WAIT_TASK) {
        pthread_mutex_lock(&w->on.task->lock);
        tcpx__list_append(&w->on.task->spawned->joiners, &waiter->in_list);
        pthread_mutex_unlock(&w->on.task->lock);
    }
}

static void unwatch(const tcpx_waitfor *w, struct tcpx__waiter *waiter)
{
    if (!w->want)
        return;
    if (handle_of(w))
        tcpx__handle_unuse(handle_of(w));
    if (w->kind == TCPX_WAIT_QUEUE) {
        tcpx__queue_unwatch(w->on.queue, waiter);
    } else if (w->kind == TCPX_WAIT_TASK) {
        pthread_mutex_lock(&w->on.task->lock);
        tcpx__list_remove(&waiter->in_list);
        pthread_mutex_unlock(&w->on.task->lock);
    }
}

/* The end, an error or a hang-up make an item ready in what it wants. */
static uint32_t readiness(const tcpx_waitfor *w,
                          const struct tcpx__poll_item *item)
{
    uint32_t got = 0;

    if (item->got & ~(POLLIN | POLLOUT))
        return w->want;
    if (item->got & POLLIN)
        got |= TCPX_READABLE;
    if (item->got & POLLOUT)
        got |= TCPX_WRITABLE;
    return got & w->want;
}

static int wait_for(tcpx_waitfor *waits, struct tcpx__poll_item *items,
                    size_t n, tcpx_time deadline)
{
    const struct tcpx__world *world = tcpx__world();
    int ready;
    int rc;

    do {
        ready = 0;
        for (size_t i = 0; i < n; i++) {
            waits[i].got = prepare(&waits[i], &items[i]);
            ready += waits[i].got != 0;
        }
        /* What is ready already does not hide what else is. */
        rc = world->wait(items, n, ready ? TCPX_NOW : deadline);
    } while (rc == 0 && !ready);
    if (rc < 0 && !ready)
        return rc;
    ready = 0;
    for (size_t i = 0; i < n; i++) {
        if (rc > 0 && items[i].fd >= 0)
            waits[i].got |= readiness(&waits[i], &items[i]);
        ready += waits[i].got != 0;
    }
    return ready;
}

static int check(const tcpx_waitfor *items, size_t n, tcpx_time deadline)
{
    if ((!items && n) || (n == 0 && deadline == TCPX_FOREVER))
        return tcpx__refuse("wait", n ? "no items"
                                      : "nothing to wait for, and no "
                                        "deadline");
    for (size_t i = 0; i < n; i++) {
        if (is_wrong(&items[i]))
            return tcpx__fail_because(-EINVAL, "wait", NULL,
                                      "item %zu is of no known kind, wants "
                                      "what there is not, or is empty",
                                      i);
    }
    if (tcpx__is_duration(deadline))
        return tcpx__refuse_duration("wait");
    return tcpx__task() ? 0 : tcpx__fail(-ENOMEM, "wait", NULL);
}

/* What the items of one wait need, on the stack for the usual few. */
struct waiting {
    struct tcpx__poll_item *polls;
    struct tcpx__waiter *waiters;
};

int tcpx_wait(tcpx_waitfor *items, size_t n, tcpx_time deadline)
{
    struct tcpx__poll_item few_polls[FEW];
    struct tcpx__waiter few_waiters[FEW];
    struct waiting w = {few_polls, few_waiters};
    int rc = check(items, n, deadline);

    if (rc)
        return rc;
    if (n > FEW) {
        w.polls = tcpx__malloc(n * (sizeof(*w.polls) + sizeof(*w.waiters)));
        if (!w.polls)
            return tcpx__fail(-ENOMEM, "wait", NULL);
        w.waiters = (struct tcpx__waiter *)(void *)(w.polls + n);
    }
    for (size_t i = 0; i < n; i++)
        watch(&items[i], &w.waiters[i]);
    rc = wait_for(items, w.polls, n, deadline);
    for (size_t i = 0; i < n; i++)
        unwatch(&items[i], &w.waiters[i]);
    if (w.polls != few_polls)
        tcpx__free(w.polls);
    return rc < 0 ? tcpx__fail(rc, "wait", NULL) : rc;
}
