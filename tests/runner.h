/* SPDX-License-Identifier: MIT */
/*
 * runner.h - what every test program is made of.
 *
 * A test program defines one table, test_cases, and nothing else that is not
 * static; runner.c has main().  CTest gets one entry for each row.  Before and
 * after every test the runner compares the process's open descriptors, threads
 * and children, and fails the test if they differ.
 */
#ifndef TESTS_RUNNER_H
#define TESTS_RUNNER_H

#include <check.h>
#include <stddef.h>
#include <tcpx.h>

/* One row: the case, and the function that adds its tests and fixtures. */
struct test_case {
    const char *suite;
    const char *name;
    void (*fill)(TCase *tc);
};

/* Ends with a row of NULLs. */
extern const struct test_case test_cases[];

/*
 * The body of a test runs in the world that the environment names: in the
 * thread itself, or as the first fiber of a core.
 */
void run_body(void (*body)(int), int i);
const char *test_world(void); /* "thread", "epoll" or "uring" */

#undef START_TEST
#define START_TEST(test)                                                       \
    static void test##_body(int _i);                                           \
    static void test##_fn(int _i)                                              \
    {                                                                          \
        run_body(test##_body, _i);                                             \
    }                                                                          \
    static const TTest test##_ttest = {"" #test "", test##_fn, __FILE__,       \
                                       __LINE__};                              \
    static const TTest *test = &test##_ttest;                                  \
    static void test##_body(int _i CK_ATTRIBUTE_UNUSED)

/*
 * Ends the test function that calls it as skipped, with the reason, in the
 * words of printf(3).  CTest then shows the case as skipped, unless another
 * test of it fails.
 */
#define skip_test(...)                                                         \
    do {                                                                       \
        note_skip(__func__, __VA_ARGS__);                                      \
        return;                                                                \
    } while (0)

/* In a world of fibers: lets all others get as far as they can, and says 1. */
int let_fibers_run(void);

/* Skips a test of what only threads do in the worlds of fibers. */
#define only_in_threads()                                                      \
    do {                                                                       \
        if (tcpx_task_engine(tcpx_task_self()))                                \
            skip_test("it is about threads");                                  \
    } while (0)

void note_skip(const char *test, const char *why, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Lets this test leave up to n threads behind: the helpers of the library's
 * resolver, which stay for the next lookup.
 */
void threads_may_stay(int n);

#endif
