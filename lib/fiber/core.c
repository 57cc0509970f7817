/* SPDX-License-Identifier: MIT */
/*
 * core.c - many fibers in one thread.
 */
#include "fiber/core.h"

#include <errno.h>
#include <string.h>
#include <tcpx/error.h>
#include "base/sys.h"
#include "fiber/watch.h"

/* Starts what the task was made for; lies right of this layer. */
void tcpx__task_run(tcpx_task *t);

/* ---- switching ---- */

static void go(struct tcpx__core *core, struct tcpx__flow *from,
               struct tcpx__flow *to, int for_good)
{
    void *fake = NULL;

    tcpx__watch_leave(to, for_good, &fake);
    tcpx__context_switch(&from->context, &to->context);
    tcpx__watch_arrive(fake, &core->flow);
}

static void bury(struct tcpx__core *core);

/* Picks who goes on: the next of the batch, or the core itself. */
static struct tcpx__flow *next_flow(struct tcpx__core *core)
{
    struct tcpx__list *node = NULL;
    struct tcpx__fiber *f;

    if (core->batch > 0)
        node = tcpx__list_pop(&core->ready);
    if (!node) {
        tcpx__task_set(core->thread_task);
        return &core->flow;
    }
    core->batch--;
    core->ready_count--;
    f = TCPX__LIST_ENTRY(node, struct tcpx__fiber, in_ready);
    f->state = TCPX__RUNS;
    core->budget = TCPX__CALLS_IN_A_ROW;
    tcpx__task_set(f->task);
    return &f->flow;
}

static void leave(struct tcpx__fiber *f)
{
    struct tcpx__core *core = f->core;
    struct tcpx__flow *to = next_flow(core);

    if (to == &f->flow)
        return;
    go(core, &f->flow, to, 0);
    if (TCPX__UNLIKELY(core->dead != NULL))
        bury(core);
}

static void set_ready(struct tcpx__fiber *f)
{
    f->state = TCPX__READY;
    tcpx__list_append(&f->core->ready, &f->in_ready);
    f->core->ready_count++;
}

void tcpx__fiber_ready(struct tcpx__fiber *f)
{
    if (f->state == TCPX__PARKED)
        set_ready(f);
}

void tcpx__fiber_yield(struct tcpx__fiber *f)
{
    set_ready(f);
    leave(f);
}

int tcpx__fiber_suspend(struct tcpx__fiber *f, tcpx_time deadline)
{
    f->deadline = deadline;
    f->timed_out = 0;
    if (deadline != TCPX_FOREVER &&
        (!f->timer.queued || f->timer.at > deadline))
        tcpx__heap_set(&f->core->timers, &f->timer, deadline);
    f->state = TCPX__PARKED;
    leave(f);
    f->deadline = TCPX_FOREVER;
    return f->timed_out ? TCPX_EDEADLINE : 0;
}

void tcpx__fiber_post(struct tcpx__fiber *f)
{
    struct tcpx__core *core = f->core;
    struct tcpx__fiber *first;

    if (atomic_exchange(&f->posted, 1))
        return;
    first = atomic_load(&core->inbox);
    do
        f->next_posted = first;
    while (!atomic_compare_exchange_weak(&core->inbox, &first, f));
    if (atomic_exchange(&core->asleep, 0))
        core->engine->wake(core->engine);
}

static void take_in_posted(struct tcpx__core *core)
{
    struct tcpx__fiber *f = NULL;
    struct tcpx__fiber *first;
    struct tcpx__fiber *oldest = NULL;

    if (!atomic_load(&core->inbox))
        return;
    first = atomic_exchange(&core->inbox, f);
    while (first) { /* the last to be posted lies first */
        f = first;
        first = f->next_posted;
        f->next_posted = oldest;
        oldest = f;
    }
    while (oldest) {
        f = oldest;
        oldest = f->next_posted;
        /* Whoever posts it from here on posts it anew. */
        atomic_store(&f->posted, 0);
        tcpx__fiber_ready(f);
    }
}

/* ---- fibers ---- */

static void bury(struct tcpx__core *core)
{
    struct tcpx__fiber *f = core->dead;

    core->dead = NULL;
    /* A word that came at the last moment lies in the inbox still. */
    if (atomic_load(&f->posted))
        take_in_posted(core);
    tcpx__watch_end(&f->flow);
    tcpx__stack_put(&core->stacks, f->stack);
}

/* The thread's task is a thread's again. */
static void give_back(struct tcpx__fiber *f)
{
    f->task->world = f->core->thread_world;
    tcpx__task_settle(f->task); /* for words that are on their way to f */
    f->task->fiber = NULL;
}

static void run_fiber(void *arg)
{
    struct tcpx__fiber *f = arg;
    struct tcpx__core *core = f->core;

    tcpx__watch_arrive(NULL, &core->flow);
    if (core->dead)
        bury(core);
    if (f->run) {
        f->run(f->arg);
        give_back(f);
        core->leaves = core->alone;
    } else {
        tcpx__task_run(f->task);
        tcpx__task_end_running(f->task);
    }
    tcpx__heap_remove(&core->timers, &f->timer);
    f->state = TCPX__RUNS; /* nothing makes it ready any more */
    core->live--;
    core->dead = f;
    /* The first may wait for being the last. */
    if (core->live == 1 && core->first != f && core->first)
        tcpx__fiber_ready(core->first);
    go(core, &f->flow, next_flow(core), 1);
    __builtin_unreachable();
}

/* A fiber that is ready; NULL if there is no room for its stack. */
static struct tcpx__fiber *new_fiber(struct tcpx__core *core, tcpx_task *t,
                                     size_t stack_size)
{
    struct tcpx__stack *stack = tcpx__stack_get(&core->stacks, stack_size);
    struct tcpx__fiber *f;
    char *bottom;

    if (!stack)
        return NULL;
    f = (struct tcpx__fiber *)tcpx__stack_top(stack) - 1;
    f = (struct tcpx__fiber *)((uintptr_t)f & ~(uintptr_t)63);
    memset(f, 0, sizeof(*f));
    f->core = core;
    f->task = t;
    f->stack = stack;
    f->deadline = TCPX_FOREVER;
    bottom = tcpx__stack_bottom(stack);
    f->flow.bottom = bottom;
    f->flow.size = (size_t)((char *)f - bottom);
    t->fiber = f;
    tcpx__context_make(&f->flow.context, bottom, f, run_fiber, f);
    tcpx__watch_begin(&f->flow);
    core->live++;
    set_ready(f);
    return f;
}

int tcpx__fiber_start(struct tcpx__core *core, tcpx_task *t, size_t stack_size)
{
    return new_fiber(core, t, stack_size) ? 0 : -ENOMEM;
}

/* ---- the core ---- */

void tcpx__core_init(struct tcpx__core *core, struct tcpx__engine *engine,
                     const struct tcpx__world *world, size_t stack_size)
{
    memset(core, 0, sizeof(*core));
    core->engine = engine;
    core->world = world;
    core->forks = atomic_load(&tcpx__forks);
    tcpx__list_init(&core->ready);
    tcpx__stacks_init(&core->stacks, stack_size);
    atomic_init(&core->inbox, NULL);
}

void tcpx__core_finish(struct tcpx__core *core)
{
    tcpx__stacks_free(&core->stacks);
}

static void fire_timers(struct tcpx__core *core)
{
    struct tcpx__heap_node *node;
    tcpx_time now = core->now;

    while ((node = core->timers.root) && node->at <= now) {
        struct tcpx__fiber *f =
            TCPX__CONTAINER(node, struct tcpx__fiber, timer);

        tcpx__heap_remove(&core->timers, &f->timer);
        if (f->deadline > now) {
            if (f->deadline != TCPX_FOREVER)
                tcpx__heap_set(&core->timers, &f->timer, f->deadline);
        } else if (f->state == TCPX__PARKED) {
            f->timed_out = 1;
            set_ready(f);
        }
    }
}

static int take_turn(struct tcpx__core *core)
{
    tcpx_time until = TCPX_NOW;
    int err;

    /* A child has copies of the fibers, but what the engine waits for is its
       parent's. */
    if (core->forks != atomic_load(&tcpx__forks))
        return -ENOTSUP;
    if (tcpx__list_is_empty(&core->ready)) {
        until = tcpx__heap_earliest(&core->timers);
        /* Whoever posts now either is seen here or sees `asleep`. */
        atomic_store(&core->asleep, 1);
        if (atomic_load(&core->inbox))
            until = TCPX_NOW;
    }
    err = core->engine->turn(core->engine, until);
    core->now = tcpx__sys_now();
    atomic_store_explicit(&core->asleep, 0, memory_order_relaxed);
    return err;
}

int tcpx__core_run(struct tcpx__core *core)
{
    struct tcpx__flow *to;
    int err = 0;

    core->thread_task = tcpx__task();
    core->now = tcpx__sys_now();
    tcpx__watch_thread(&core->flow);
    while (core->live > 0 && !core->leaves && !err) {
        take_in_posted(core);
        core->batch = core->ready_count;
        to = next_flow(core);
        if (to != &core->flow) {
            go(core, &core->flow, to, 0);
            if (core->dead)
                bury(core);
        }
        if (core->live == 0 || core->leaves)
            break;
        err = take_turn(core);
        fire_timers(core);
    }
    return err;
}

int tcpx__core_become(struct tcpx__core *core, void (*run)(void *), void *arg,
                      size_t stack_size, int alone)
{
    tcpx_task *t = tcpx__task();
    struct tcpx__fiber *f = new_fiber(core, t, stack_size);
    int err;

    if (!f)
        return -ENOMEM;
    f->run = run;
    f->arg = arg;
    core->alone = alone;
    core->thread_world = t->world;
    core->first = f;
    t->world = core->world;
    err = tcpx__core_run(core);
    if (t->fiber) /* it did not come to its end */
        give_back(f);
    return err;
}
