/* SPDX-License-Identifier: MIT */
/*
 * task.h - the flow of control that is calling, and canceling it.
 *
 * A task is a thread of the program.  Every thread that calls the library is
 * one, however it was made; a task is what can be canceled as a whole.
 */
#ifndef TCPX_TASK_H
#define TCPX_TASK_H

#include <tcpx/base.h>

TCPX_BEGIN_DECLS

typedef struct tcpx_task tcpx_task;

/*
 * The calling task.  Lives until the task ends, longer with tcpx_task_ref();
 * NULL only if memory ran out at the thread's first call.  Not from a signal
 * handler: ask for it beforehand.
 */
TCPX_API tcpx_task *tcpx_task_self(void);

/*
 * Cancels a task: whatever it waits in, now and from now on, ends with
 * TCPX_ECANCELED: a read, write, accept, connect, lookup, wait or sleep.  A
 * connection that it waits on in a read or write is canceled with it, see
 * tcpx_cancel(); others are untouched, and calls that need not wait still
 * work.  Any thread, any signal handler.
 */
TCPX_API void tcpx_task_cancel(tcpx_task *t);

/*
 * Takes a cancel of the calling task back, so that an interrupted program can
 * go on to say goodbye on its other connections.  Returns 1 if it was
 * canceled, else 0.
 */
TCPX_API int tcpx_task_clear_cancel(void);

/*
 * Keeps the memory of t until as many tcpx_task_unref(), for whoever may
 * cancel it after it ended, which does nothing then.  Returns t.  Thread-safe.
 */
TCPX_API tcpx_task *tcpx_task_ref(tcpx_task *t);

/* Gives up one tcpx_task_ref(); NULL is nothing.  Thread-safe. */
TCPX_API void tcpx_task_unref(tcpx_task *t);

/*
 * Waits until the deadline.  Returns 0 when it has come, TCPX_ECANCELED before
 * it, -EINVAL for a duration in its place.
 */
TCPX_API int tcpx_sleep(tcpx_time deadline);

TCPX_END_DECLS

#endif
