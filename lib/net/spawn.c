/* SPDX-License-Identifier: MIT */
/*
 * spawn.c - tasks beside tasks: starting, joining and ending them.
 *
 * A handle is two references: the running task's own, and the one of whoever
 * is to join it.  In a handler each task also stands in the scope of the one
 * that started it, so that none outlives the handler.
 */
#include <errno.h>
#include <limits.h>
#include <tcpx/task.h>
#include "base/sys.h"
#include "io/world.h"
#include "net/opts.h"
#include "net/task.h"

#define DEFAULT_STACK (256 * 1024)
#define SMALLEST_STACK (64 * 1024)

void tcpx__task_run(tcpx_task *t)
{
    struct tcpx__spawned *s = t->spawned;
    struct tcpx__list *node;

    s->fn(s->arg);
    tcpx__tasks_end_all(t);
    pthread_mutex_lock(&t->lock);
    s->has_ended = 1;
    while ((node = tcpx__list_pop(&s->joiners))) {
        struct tcpx__waiter *w =
            TCPX__LIST_ENTRY(node, struct tcpx__waiter, in_list);

        w->woken = 1;
        tcpx__unpark(w->task);
    }
    pthread_mutex_unlock(&t->lock);
}

static int copy_opts(tcpx_task_opts *o, const tcpx_task_opts *given)
{
    int err = tcpx__opts_copy(o, sizeof(*o), sizeof(*o), given);

    if (err)
        return err;
    if (o->stack_size == 0)
        o->stack_size = DEFAULT_STACK;
    if (o->reserved_0 || o->stack_size < SMALLEST_STACK ||
        o->stack_size > SSIZE_MAX)
        return -EINVAL;
    return 0;
}

static void enter_scope(tcpx_task *parent, tcpx_task *t)
{
    t->has_scope = 1;
    t->spawned->parent = parent;
    pthread_mutex_lock(&parent->lock);
    tcpx__list_append(&parent->scope, &t->spawned->in_scope);
    pthread_mutex_unlock(&parent->lock);
}

/* Takes t out of its parent's scope: 1 if it was there, and who does so is
   the one who reaps it. */
static int leave_scope(tcpx_task *t)
{
    tcpx_task *parent = t->spawned->parent;
    int was_in;

    if (!parent)
        return 1;
    pthread_mutex_lock(&parent->lock);
    was_in = !tcpx__list_is_empty(&t->spawned->in_scope);
    tcpx__list_remove(&t->spawned->in_scope);
    pthread_mutex_unlock(&parent->lock);
    return was_in;
}

static tcpx_task *new_task(const struct tcpx__world *world, void (*fn)(void *),
                           void *arg, size_t stack_size)
{
    tcpx_task *t = tcpx__task_new(world);

    if (!t)
        return NULL;
    t->spawned = tcpx__calloc(sizeof(*t->spawned));
    if (!t->spawned) {
        tcpx__task_drop(t);
        return NULL;
    }
    t->spawned->owner = t;
    t->spawned->fn = fn;
    t->spawned->arg = arg;
    t->spawned->stack_size = stack_size;
    tcpx__list_init(&t->spawned->in_scope);
    tcpx__list_init(&t->spawned->joiners);
    return t;
}

int tcpx_task_spawn(tcpx_task **out, void (*fn)(void *), void *arg,
                    const tcpx_task_opts *opts)
{
    tcpx_task *self = tcpx__task();
    tcpx_task_opts o;
    tcpx_task *t;
    int err;

    if (!fn)
        return tcpx__fail(-EINVAL, "spawn", NULL);
    err = copy_opts(&o, opts);
    if (err)
        return tcpx__fail(err, "spawn", NULL);
    t = self ? new_task(self->world, fn, arg, (size_t)o.stack_size) : NULL;
    if (!t)
        return tcpx__fail(-ENOMEM, "spawn", NULL);
    /* One reference is the running task's; who reaps it, if anybody will, has
       the other. */
    t->spawned->is_detached = !out && !self->has_scope;
    if (!t->spawned->is_detached)
        tcpx__task_retain(t);
    if (self->has_scope)
        enter_scope(self, t);
    err = self->world->spawn(t);
    if (err) {
        leave_scope(t);
        if (!t->spawned->is_detached)
            tcpx__task_drop(t);
        tcpx__task_drop(t);
        return tcpx__fail(err, "spawn", NULL);
    }
    if (out)
        *out = t;
    return 0;
}

/* Waits for the end of t.  `always`: whatever strikes the calling task. */
static int wait_ended(tcpx_task *t, tcpx_time deadline, int always)
{
    tcpx_task *self = tcpx__task();
    struct tcpx__waiter w = {.task = self};
    int err = 0;

    tcpx__list_init(&w.in_list);
    pthread_mutex_lock(&t->lock);
    while (!t->spawned->has_ended && !err) {
        if (!w.woken && tcpx__list_is_empty(&w.in_list))
            tcpx__list_append(&t->spawned->joiners, &w.in_list);
        pthread_mutex_unlock(&t->lock);
        err = self->world->park(deadline);
        if (err && err != TCPX_EDEADLINE && always) {
            /* A canceled task cannot sleep, but must wait all the same. */
            tcpx__sys_yield();
            err = 0;
        }
        pthread_mutex_lock(&t->lock);
    }
    if (t->spawned->has_ended)
        err = 0;
    tcpx__list_remove(&w.in_list);
    pthread_mutex_unlock(&t->lock);
    return err;
}

static void reap(tcpx_task *t)
{
    t->world->reap(t);
    tcpx__task_drop(t);
}

int tcpx_task_join(tcpx_task *t, tcpx_time deadline)
{
    int err;

    if (!t || !t->spawned || t->spawned->is_detached || t == tcpx__task())
        return tcpx__fail(-EINVAL, "join", NULL);
    if (tcpx__is_duration(deadline))
        return tcpx__fail_because(-EINVAL, "join", NULL,
                                  "a duration was passed as deadline; use "
                                  "tcpx_after()");
    if (!tcpx__task())
        return -ENOMEM;
    err = wait_ended(t, deadline, 0);
    if (err)
        return tcpx__fail(err, "join", NULL);
    if (leave_scope(t))
        reap(t);
    return 0;
}

void tcpx_task_end(tcpx_task *t)
{
    if (!t || !t->spawned || t->spawned->is_detached || t == tcpx__task())
        return;
    tcpx__task_cancel_with(t, TCPX_ECANCELED);
    wait_ended(t, TCPX_FOREVER, 1);
    if (leave_scope(t))
        reap(t);
}

void tcpx__tasks_end_all(tcpx_task *t)
{
    for (;;) {
        struct tcpx__list *node;
        tcpx_task *child;

        pthread_mutex_lock(&t->lock);
        node = tcpx__list_pop(&t->scope);
        pthread_mutex_unlock(&t->lock);
        if (!node)
            return;
        child = TCPX__LIST_ENTRY(node, struct tcpx__spawned, in_scope)->owner;
        tcpx__task_cancel_with(child, TCPX_ECANCELED);
        wait_ended(child, TCPX_FOREVER, 1);
        reap(child);
    }
}
