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

#endif
