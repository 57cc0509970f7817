/* SPDX-License-Identifier: MIT */
/*
 * task.h - what a server does with the tasks of its handlers.
 */
#ifndef TCPX_NET_TASK_H
#define TCPX_NET_TASK_H

#include "base/task.h"

/* The smallest stack that one may ask for. */
#define TCPX__SMALLEST_STACK (64 * 1024)

/* A task that will run fn(arg); the reference is the running task's own. */
tcpx_task *tcpx__task_create(const struct tcpx__world *world,
                             void (*fn)(void *arg), void *arg,
                             size_t stack_size);

/*
 * tcpx_run() with all that it may be told.  With wait_for_all 0 it comes back
 * as soon as fn has; tasks that have not ended then never go on, and their
 * stacks stay as they are.
 */
int tcpx__run(int (*fn)(void *arg), void *arg, int *result, int engine,
              size_t stack_size, int wait_for_all);

/* tcpx_task_cancel() with another code: TCPX_ELIMIT. */
void tcpx__task_cancel_with(tcpx_task *t, int code);

/* Cancels, joins and frees every task that t has spawned. */
void tcpx__tasks_end_all(tcpx_task *t);

/* Returns 0, or -EINVAL, recorded, for a stack that no task can run on. */
int tcpx__stack_size_check(uint64_t size, const char *operation);

#endif
