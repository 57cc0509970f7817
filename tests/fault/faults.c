/* SPDX-License-Identifier: MIT */
/*
 * faults.c - system calls that fail when a test says so.
 */
#include "faults.h"

static _Thread_local struct {
    enum tcpx__sys_call call;
    int first;
    int times;
    int err;
    int seen;
    void (*run)(void);
} plan = {.call = TCPX__SYS_COUNT};

static int consult(enum tcpx__sys_call call, size_t *len)
{
    void (*run)(void) = plan.run;

    (void)len;
    if (plan.first == 0 || (plan.call != TCPX__SYS_COUNT && plan.call != call))
        return 0;
    plan.seen++;
    if (plan.seen < plan.first || plan.seen - plan.first >= plan.times)
        return 0;
    if (run) {
        plan.run = NULL;
        run();
        return 0;
    }
    return plan.err;
}

void fail_calls(enum tcpx__sys_call call, int first, int times, int err)
{
    plan.call = call;
    plan.first = first;
    plan.times = times;
    plan.err = err;
    plan.seen = 0;
    plan.run = NULL;
    tcpx__sys_hook = consult;
}

void before_call(enum tcpx__sys_call call, int first, void (*run)(void))
{
    fail_calls(call, first, 1, 0);
    plan.run = run;
}

int calls_seen(void)
{
    return plan.seen;
}

int fail_none(void)
{
    plan.first = 0;
    return plan.seen;
}
