/* SPDX-License-Identifier: MIT */
/*
 * task.h - what a server does with the tasks of its handlers.
 */
#ifndef TCPX_NET_TASK_H
#define TCPX_NET_TASK_H

#include "base/task.h"

/* tcpx_task_cancel() with another code: TCPX_ELIMIT. */
void tcpx__task_cancel_with(tcpx_task *t, int code);

/* Cancels, joins and frees every task that t has spawned. */
void tcpx__tasks_end_all(tcpx_task *t);

#endif
