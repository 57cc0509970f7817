/* SPDX-License-Identifier: MIT */
/*
 * core.h - many fibers in one thread: who runs, who sleeps until when.
 *
 * A fiber runs until it parks, yields or ends; then the next that is ready
 * goes on.  When all of a batch have run, the engine takes a turn: it hands
 * what they asked for to the kernel and brings back what is done.  A fiber
 * never leaves its thread.
 *
 * Everything of a core is its thread's, but for the inbox and `asleep`: from
 * other threads and from signal handlers come only the names of fibers to be
 * woken, on a stack without a lock.
 */
#ifndef TCPX_FIBER_CORE_H
#define TCPX_FIBER_CORE_H

#include <stdatomic.h>
#include <stdint.h>
#include "base/heap.h"
#include "base/list.h"
#include "base/task.h"
#include "fiber/stack.h"
#include "fiber/switch.h"

struct tcpx__core;

/* What a core reaches the outside by. */
struct tcpx__engine {
    /* Hands over what was asked for, and waits until something is done or it
       is time; TCPX_NOW does not wait.  0, or why it never will again. */
    int (*turn)(struct tcpx__engine *engine, tcpx_time until);

    /* Ends a turn that waits.  Any thread, any signal handler. */
    void (*wake)(struct tcpx__engine *engine);

    void (*free)(struct tcpx__engine *engine);
};

/* A flow of control that can be switched to: a fiber's, or the core's own. */
struct tcpx__flow {
    struct tcpx__context context;
    const void *bottom; /* of its stack, for who watches the program's memory */
    size_t size;
    void *watched; /* what the thread sanitizer knows it as */
};

enum tcpx__fiber_state { TCPX__READY, TCPX__RUNS, TCPX__PARKED };

struct tcpx__fiber {
    struct tcpx__flow flow;
    struct tcpx__list in_ready;
    struct tcpx__core *core;
    tcpx_task *task;
    int state; /* enum tcpx__fiber_state */

    /*
     * The timer is set lazily: a park with a later deadline leaves it where it
     * is, and when it goes off too early it is set again.  So a wait that is
     * always answered in time touches the heap only once in a while.
     */
    struct tcpx__heap_node timer;
    tcpx_time deadline; /* of the park under way */
    int timed_out;      /* the park ended by it */

    _Atomic int posted; /* lies in the inbox */
    struct tcpx__fiber *next_posted;

    struct tcpx__stack *stack;
    void (*run)(void *arg); /* NULL: the task's own */
    void *arg;
};

struct tcpx__core {
    struct tcpx__engine *engine;
    struct tcpx__flow flow; /* of the thread itself, which runs the turns */
    struct tcpx__list ready;
    size_t ready_count;
    size_t batch;  /* fibers still to run before the next turn */
    size_t budget; /* calls that the running one may make without a park */
    size_t live;   /* fibers that have not ended */
    struct tcpx__fiber *first; /* of tcpx__core_become() */
    int alone;  /* it stops with its first fiber, whoever has not ended */
    int leaves; /* that one has ended */
    struct tcpx__fiber *dead; /* to be freed once off its stack */
    struct tcpx__heap timers;
    tcpx_time now; /* when the last turn ended */
    struct tcpx__stacks stacks;
    tcpx_task *thread_task;                 /* the thread's */
    const struct tcpx__world *world;        /* of its fibers */
    const struct tcpx__world *thread_world; /* of its thread, before */
    uint32_t forks;                         /* tcpx__forks when it was made */

    _Atomic(struct tcpx__fiber *) inbox;
    _Atomic int asleep; /* in a turn that waits */
};

void tcpx__core_init(struct tcpx__core *core, struct tcpx__engine *engine,
                     const struct tcpx__world *world, size_t stack_size);

/* Runs fibers until none is left: 0, or why the engine broke down, and what
   was left then can only be forgotten. */
int tcpx__core_run(struct tcpx__core *core);

/* Gives up stacks; the engine is the caller's. */
void tcpx__core_finish(struct tcpx__core *core);

/* A fiber for t, ready to run tcpx__task_run(t): 0 or -ENOMEM. */
int tcpx__fiber_start(struct tcpx__core *core, tcpx_task *t, size_t stack_size);

/*
 * Runs run(arg) as the first fiber of a core, and then the others.  It is the
 * calling thread's own task, on another stack: who cancels the one cancels the
 * other.  With `alone`, comes back when run has, else when all have.
 */
int tcpx__core_become(struct tcpx__core *core, void (*run)(void *), void *arg,
                      size_t stack_size, int alone);

/* Leaves until tcpx__fiber_ready(), which may come for no reason, or until the
   deadline: TCPX_EDEADLINE. */
int tcpx__fiber_suspend(struct tcpx__fiber *f, tcpx_time deadline);

/* Lets the others have a turn. */
void tcpx__fiber_yield(struct tcpx__fiber *f);

/* Makes a parked one ready; one that is not parked needs no word.  From its
   own thread, outside signal handlers. */
void tcpx__fiber_ready(struct tcpx__fiber *f);

/* The same from any thread and signal handler; f must not end meanwhile. */
void tcpx__fiber_post(struct tcpx__fiber *f);

/* So many calls in a row may succeed at once before others have a turn. */
#ifndef TCPX__CALLS_IN_A_ROW
#define TCPX__CALLS_IN_A_ROW 64
#endif

/* Counts a call that did not park. */
static inline void tcpx__fiber_spend(struct tcpx__fiber *f)
{
    if (--f->core->budget == 0)
        tcpx__fiber_yield(f);
}

#endif
