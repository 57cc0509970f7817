/* SPDX-License-Identifier: MIT */
/*
 * hooks.c - system calls that are counted, fail, or move less than asked.
 */
#include "hooks.h"

#include <errno.h>
#include <stdatomic.h>

static atomic_uint counts[TCPX__SYS_COUNT];
static atomic_uint struck;
static atomic_uint interrupts;

static struct {
    enum tcpx__sys_call call;
    unsigned at; /* of counts[call] */
    unsigned times;
    int err;
} fault;

static size_t most;
static unsigned interrupt_n;

static int can_be_interrupted(enum tcpx__sys_call call)
{
    switch (call) {
    case TCPX__SYS_accept4:
    case TCPX__SYS_connect:
    case TCPX__SYS_recv:
    case TCPX__SYS_sendmsg:
    case TCPX__SYS_sendfile:
    case TCPX__SYS_splice:
    case TCPX__SYS_ppoll:
    case TCPX__SYS_futex:
        return 1;
    default:
        return 0;
    }
}

static int hook(enum tcpx__sys_call call, size_t *len)
{
    unsigned number = atomic_fetch_add(&counts[call], 1);

    if (fault.err && call == fault.call && number >= fault.at &&
        number - fault.at < fault.times) {
        atomic_fetch_add(&struck, 1);
        return fault.err;
    }
    if (interrupt_n && can_be_interrupted(call) &&
        atomic_fetch_add(&interrupts, 1) % interrupt_n != interrupt_n - 1) {
        atomic_fetch_add(&struck, 1);
        return -EINTR;
    }
    if (most && *len > most) {
        *len = most;
        atomic_fetch_add(&struck, 1);
    }
    return 0;
}

void hooks_on(void)
{
    for (int i = 0; i < TCPX__SYS_COUNT; i++)
        atomic_store(&counts[i], 0);
    atomic_store(&struck, 0);
    atomic_store(&interrupts, 0);
    fault.err = 0;
    most = 0;
    interrupt_n = 0;
    tcpx__sys_hook = hook;
}

void hooks_off(void)
{
    tcpx__sys_hook = NULL;
}

unsigned hooks_count(enum tcpx__sys_call call)
{
    return atomic_load(&counts[call]);
}

unsigned hooks_struck(void)
{
    return atomic_load(&struck);
}

unsigned hooks_count_all(void)
{
    unsigned sum = 0;

    for (int i = 0; i < TCPX__SYS_COUNT; i++) {
        if (i != TCPX__SYS_malloc && i != TCPX__SYS_realloc)
            sum += atomic_load(&counts[i]);
    }
    return sum;
}

void hooks_fail(enum tcpx__sys_call call, unsigned at, unsigned times, int err)
{
    fault.call = call;
    fault.at = atomic_load(&counts[call]) + at;
    fault.times = times;
    fault.err = err;
    tcpx__sys_hook = hook;
}

void hooks_shorten(size_t length)
{
    most = length;
    tcpx__sys_hook = hook;
}

void hooks_interrupt(unsigned n)
{
    interrupt_n = n;
    tcpx__sys_hook = hook;
}

const char *hooks_name(enum tcpx__sys_call call)
{
    static const char *const names[] = {
#define NAME(name) #name,
        TCPX__SYS_CALLS(NAME)
#undef NAME
    };

    return names[call];
}
