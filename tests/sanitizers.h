/* SPDX-License-Identifier: MIT */
/*
 * sanitizers.h - what watches a test: a sanitizer that it is built with, or
 * valgrind.
 */
#ifndef TESTS_SANITIZERS_H
#define TESTS_SANITIZERS_H

#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#define TEST_HAS_FEATURE(x) __has_feature(x)
#else
#define TEST_HAS_FEATURE(x) 0
#endif

#if defined(__SANITIZE_THREAD__) || TEST_HAS_FEATURE(thread_sanitizer)
#define TEST_TSAN 1
#else
#define TEST_TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__) || TEST_HAS_FEATURE(address_sanitizer)
#define TEST_ASAN 1
#else
#define TEST_ASAN 0
#endif

/* valgrind takes the memory of threads that still run at the end for lost, and
   runs one thread at a time, slowly. */
static inline int on_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");

    return preloaded && strstr(preloaded, "vgpreload");
}

#endif
