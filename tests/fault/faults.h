/* SPDX-License-Identifier: MIT */
/*
 * faults.h - system calls that fail when a test says so.
 */
#ifndef TESTS_FAULTS_H
#define TESTS_FAULTS_H

#include "base/sys.h"

/*
 * Lets calls fail with err (negative) in this thread: those of that name, or
 * of every name for TCPX__SYS_COUNT, from the first-th on (from 1), `times` of
 * them.  Replaces what was planned before.
 */
void fail_calls(enum tcpx__sys_call call, int first, int times, int err);

/* Nothing fails any more; returns how many of the calls came. */
int fail_none(void);

/* How many of the calls came since fail_calls(). */
int calls_seen(void);

/* Runs just before the first-th of these calls happens. */
void before_call(enum tcpx__sys_call call, int first, void (*run)(void));

#endif
