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

/* Takes t out of its parent's scope: 1 if it was there, and who does so is
   the one who reaps it.  Once the scope ends, that is the parent. */
static int leave_scope(tcpx_task *t)
{
    tcpx_task *parent = t->spawned->parent;
    int was_in;

    if (!parent)
        return 1;
    pthread_mutex_lock(&parent->lock);
    was_in = !tcpx__list_is_empty(&t->spawned->in_scope) && !parent->scope_ends;
    if (was_in)
        tcpx__list_remove(&t->spawned->in_scope);
    pthread_mutex_unlock(&parent->lock);
    return was_in;
}

void tcpx__task_run(tcpx_task *t)
{
    struct tcpx__spawned *s = t->spawned;
    struct tcpx__list *node;

    s->fn(s->arg);
    tcpx__tasks_end_all(t);
    if (s->is_nobodys && leave_scope(t)) {
        /* A handler may start many such in its life, and none of them is to
           wait for its end. */
        t->world->disown(t);
        tcpx__task_drop(t);
    }
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

int tcpx__stack_size_check(uint64_t size, const char *operation)
{
    if (size >= TCPX__SMALLEST_STACK && size <= SSIZE_MAX)
        return 0;
    return tcpx__fail_because(-EINVAL, operation, NULL,
                              "stack_size is %llu, not %d or more",
                              (unsigned long long)size, TCPX__SMALLEST_STACK);
}

static int copy_opts(tcpx_task_opts *o, const tcpx_task_opts *given)
{
    int err = tcpx__opts_copy(o, sizeof(*o), sizeof(*o), given);

    if (err)
        return tcpx__opts_fail(err, "spawn", NULL);
    if (o->reserved_0)
        return tcpx__refuse("spawn", "reserved_0 is not zero");
    return o->stack_size ? tcpx__stack_size_check(o->stack_size, "spawn") : 0;
}

static void enter_scope(tcpx_task *parent, tcpx_task *t)
{
    t->has_scope = 1;
    t->spawned->parent = parent;
    tcpx__task_retain(parent);
    pthread_mutex_lock(&parent->lock);
    tcpx__list_append(&parent->scope, &t->spawned->in_scope);
    pthread_mutex_unlock(&parent->lock);
}

tcpx_task *tcpx__task_create(const struct tcpx__world *world,
                             void (*fn)(void *), void *arg, size_t stack_size)
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
        return tcpx__refuse("spawn", "no function to run");
    err = copy_opts(&o, opts);
    if (err)
        return err;
    t = self ? tcpx__task_create(self->world, fn, arg, (size_t)o.stack_size)
             : NULL;
    if (!t)
        return tcpx__fail(-ENOMEM, "spawn", NULL);
    /* One reference is the running task's; who reaps it, if anybody will, has
       the other. */
    t->spawned->is_detached = !out && !self->has_scope;
    t->spawned->is_nobodys = !out && self->has_scope;
    if (!t->spawned->is_detached)
        tcpx__task_retain(t);
    if (self->has_scope)
        enter_scope(self, t);
    tcpx__task_retain(t); /* it may end before its start has returned */
    err = self->world->spawn(t);
    if (err) {
        leave_scope(t);
        if (!t->spawned->is_detached)
            tcpx__task_drop(t);
        tcpx__task_drop(t);
    }
    tcpx__task_drop(t);
    if (err)
        return tcpx__fail(err, "spawn", NULL);
    if (out)
        *out = t;
    return 0;
}

static int has_ended(tcpx_task *t)
{
    int has;

    pthread_mutex_lock(&t->lock);
    has = t->spawned->has_ended;
    pthread_mutex_unlock(&t->lock);
    return has;
}

/* Waits for the end of t, which the caller holds a reference of. */
static int wait_ended(tcpx_task *t, tcpx_time deadline)
{
    tcpx_task *self = tcpx__task();
    struct tcpx__waiter w = {.task = self};
    int err = 0;

    tcpx__list_init(&w.in_list);
    pthread_mutex_lock(&t->lock);
    if (!t->spawned->has_ended)
        tcpx__list_append(&t->spawned->joiners, &w.in_list);
    while (!t->spawned->has_ended && !err) {
        pthread_mutex_unlock(&t->lock);
        err = self->world->park(deadline);
        pthread_mutex_lock(&t->lock);
    }
    if (t->spawned->has_ended)
        err = 0;
    tcpx__list_remove(&w.in_list);
    pthread_mutex_unlock(&t->lock);
    return err;
}

/*
 * The same, whatever strikes the calling task meanwhile: a cancel, which would
 * keep it from sleeping, is laid aside, and so is a leash, which would strike
 * again and again.
 */
static void wait_ended_surely(tcpx_task *t)
{
    tcpx_task *self = tcpx__task();
    struct tcpx__leash *leash;
    int code = 0;
    int none = 0;

    while (!self && !has_ended(t))
        tcpx__sys_yield(); /* no memory, not even to sleep with */
    if (!self)
        return;
    leash = self->leash;
    self->leash = NULL;
    do {
        int struck = atomic_exchange(&self->canceled, 0);

        if (struck)
            code = struck;
    } while (wait_ended(t, TCPX_FOREVER));
    self->leash = leash;
    if (code)
        atomic_compare_exchange_strong(&self->canceled, &none, code);
}

static void reap(tcpx_task *t)
{
    t->world->reap(t);
    tcpx__task_drop(t);
}

int tcpx_task_join(tcpx_task *t, tcpx_time deadline)
{
    int err;

    if (!t)
        return tcpx__refuse("join", "no task");
    if (t == tcpx__task())
        return tcpx__refuse("join", "a task cannot wait for its own end");
    if (!t->spawned || t->spawned->is_detached)
        return tcpx__refuse("join", "the task is none that "
                                    "tcpx_task_spawn() gave a handle of");
    if (tcpx__is_duration(deadline))
        return tcpx__refuse_duration("join");
    if (!tcpx__task())
        return -ENOMEM;
    /* The end of its scope may reap it meanwhile. */
    tcpx__task_retain(t);
    err = wait_ended(t, deadline);
    if (!err && leave_scope(t))
        reap(t);
    tcpx__task_drop(t);
    return err ? tcpx__fail(err, "join", NULL) : 0;
}

void tcpx_task_end(tcpx_task *t)
{
    if (!t || !t->spawned || t->spawned->is_detached || t == tcpx__task())
        return;
    tcpx__task_retain(t);
    tcpx__task_cancel_with(t, TCPX_ECANCELED);
    wait_ended_surely(t);
    if (leave_scope(t))
        reap(t);
    tcpx__task_drop(t);
}

static tcpx_task *owner_of(struct tcpx__list *node)
{
    return TCPX__LIST_ENTRY(node, struct tcpx__spawned, in_scope)->owner;
}

/* The first of a scope that has not ended, with a reference; NULL: none. */
static tcpx_task *first_running(tcpx_task *t)
{
    tcpx_task *found = NULL;

    pthread_mutex_lock(&t->lock);
    for (struct tcpx__list *node = t->scope.next; node != &t->scope && !found;
         node = node->next) {
        tcpx_task *child = owner_of(node);

        if (!has_ended(child))
            found = child;
    }
    if (found)
        tcpx__task_retain(found);
    pthread_mutex_unlock(&t->lock);
    return found;
}

/*
 * All are canceled first and freed last, because they may know each other: one
 * that still runs may join or cancel one that has ended.
 */
void tcpx__tasks_end_all(tcpx_task *t)
{
    struct tcpx__list *node;
    tcpx_task *child;

    pthread_mutex_lock(&t->lock);
    t->scope_ends = 1;
    for (node = t->scope.next; node != &t->scope; node = node->next)
        tcpx__task_cancel_with(owner_of(node), TCPX_ECANCELED);
    pthread_mutex_unlock(&t->lock);
    while ((child = first_running(t))) {
        wait_ended_surely(child);
        tcpx__task_drop(child);
    }
    for (;;) {
        pthread_mutex_lock(&t->lock);
        node = tcpx__list_pop(&t->scope);
        if (!node)
            t->scope_ends = 0;
        pthread_mutex_unlock(&t->lock);
        if (!node)
            return;
        reap(owner_of(node));
    }
}
