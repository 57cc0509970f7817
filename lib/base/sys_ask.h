/* SPDX-License-Identifier: MIT */
/*
 * sys_ask.h - what the wrappers of sys.h are made of.
 */
#ifndef TCPX_BASE_SYS_ASK_H
#define TCPX_BASE_SYS_ASK_H

#include <errno.h>
#include "base/sys.h"

#ifdef TCPX_TESTING
static inline int tcpx__sys_ask(enum tcpx__sys_call call, size_t *len)
{
    tcpx__sys_hook_fn *hook = tcpx__sys_hook;
    size_t none = 0;

    return hook ? hook(call, len ? len : &none) : 0;
}

#define ASK(call, len)                                                         \
    do {                                                                       \
        int asked = tcpx__sys_ask(TCPX__SYS_##call, len);                      \
        if (asked)                                                             \
            return asked;                                                      \
    } while (0)
#define ASK_MEMORY(call)                                                       \
    do {                                                                       \
        if (tcpx__sys_ask(TCPX__SYS_##call, NULL))                             \
            return NULL;                                                       \
    } while (0)
#else
#define ASK(call, len) ((void)0)
#define ASK_MEMORY(call) ((void)0)
#endif

/* The result of a system call: what it returned, or -errno. */
static inline ssize_t result(ssize_t n)
{
    return n < 0 ? -errno : n;
}

static inline int result_int(int n)
{
    return n < 0 ? -errno : n;
}

#endif
