/* SPDX-License-Identifier: MIT */
/*
 * util.h - small things that C lacks.
 */
#ifndef TCPX_BASE_UTIL_H
#define TCPX_BASE_UTIL_H

#include <stddef.h>

#define TCPX__CONTAINER(pointer, type, member)                                 \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define TCPX__COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define TCPX__LIKELY(x) __builtin_expect(!!(x), 1)
#define TCPX__UNLIKELY(x) __builtin_expect(!!(x), 0)

/* A function that hardly ever runs: no other makes room for it. */
#define TCPX__COLD __attribute__((cold, noinline))

/* A function whose variables would cost its caller registers to save. */
#define TCPX__APART __attribute__((noinline))

/* A variable of the library's own: reached without a look into a table. */
#define TCPX__HIDDEN __attribute__((visibility("hidden")))

#endif
