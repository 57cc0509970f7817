/* SPDX-License-Identifier: MIT */
/*
 * watch.h - tells those who watch a program's memory where its stacks are:
 * the address sanitizer, the thread sanitizer, valgrind.
 */
#ifndef TCPX_FIBER_WATCH_H
#define TCPX_FIBER_WATCH_H

#include <stdint.h>
#include "fiber/core.h"

#if defined(__has_feature)
#define TCPX__HAS_FEATURE(x) __has_feature(x)
#else
#define TCPX__HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || TCPX__HAS_FEATURE(address_sanitizer)
#define TCPX__ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define TCPX__ASAN 0
#endif

#if defined(__SANITIZE_THREAD__) || TCPX__HAS_FEATURE(thread_sanitizer)
#define TCPX__TSAN 1
#include <sanitizer/tsan_interface.h>
#else
#define TCPX__TSAN 0
#endif

/* valgrind's header is no more than instructions that do nothing elsewhere. */
#if defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#define TCPX__VALGRIND 1
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef TCPX__VALGRIND
#define TCPX__VALGRIND 0
#endif

/* A fiber's flow is made, and has ended. */
static inline void tcpx__watch_begin(struct tcpx__flow *flow)
{
    (void)flow;
#if TCPX__ASAN
    /* A stack that is used again may bear the marks of its last fiber. */
    ASAN_UNPOISON_MEMORY_REGION(flow->bottom, flow->size);
#endif
#if TCPX__TSAN
    flow->watched = __tsan_create_fiber(0);
#elif TCPX__VALGRIND
    flow->watched = (void *)(uintptr_t)VALGRIND_STACK_REGISTER(
        flow->bottom, (const char *)flow->bottom + flow->size);
#endif
}

static inline void tcpx__watch_end(struct tcpx__flow *flow)
{
    (void)flow;
#if TCPX__TSAN
    __tsan_destroy_fiber(flow->watched);
#elif TCPX__VALGRIND
    VALGRIND_STACK_DEREGISTER((uintptr_t)flow->watched);
#endif
}

/* The flow of the calling thread itself. */
static inline void tcpx__watch_thread(struct tcpx__flow *flow)
{
    (void)flow;
#if TCPX__TSAN
    flow->watched = __tsan_get_current_fiber();
#endif
}

/* Before a switch, and on the other side of it.  The sanitizer tells where
   the stack lies that was left, which nobody else knows of a thread's own. */
static inline void tcpx__watch_leave(struct tcpx__flow *to, int for_good,
                                     void **fake)
{
    (void)to;
    (void)for_good;
    (void)fake;
#if TCPX__ASAN
    __sanitizer_start_switch_fiber(for_good ? NULL : fake, to->bottom,
                                   to->size);
#endif
#if TCPX__TSAN
    __tsan_switch_to_fiber(to->watched, 0);
#endif
}

static inline void tcpx__watch_arrive(void *fake, struct tcpx__flow *thread)
{
    (void)fake;
    (void)thread;
#if TCPX__ASAN
    const void *bottom;
    size_t size;

    __sanitizer_finish_switch_fiber(fake, &bottom, &size);
    if (!thread->bottom) {
        thread->bottom = bottom; /* the first switch of all leaves it */
        thread->size = size;
    }
#endif
}

#endif
