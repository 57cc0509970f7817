/* SPDX-License-Identifier: MIT */
/*
 * cores.h - running fibers over an engine, for tests that loop over both.
 */
#ifndef TESTS_CORES_H
#define TESTS_CORES_H

#include "runner.h"
#include "sanitizers.h"
#include "support.h"

/* Loop tests run over each engine; io_uring may be refused here. */

static inline int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static inline int is_here(int engine)
{
    return engine != TCPX_ENGINE_URING ||
           (!on_valgrind() &&
            tcpx_run(do_nothing, NULL, NULL, TCPX_RUN(.engine = engine)) == 0);
}

#define need_engine(engine)                                                    \
    do {                                                                       \
        if (!is_here(engine))                                                  \
            skip_test("io_uring is refused here");                             \
    } while (0)

static inline int run(int engine, int (*fn)(void *), void *arg)
{
    int result = -1;

    ck_ok(tcpx_run(fn, arg, &result, TCPX_RUN(.engine = engine)));
    return result;
}

static inline void spawn(void (*fn)(void *), void *arg)
{
    ck_ok(tcpx_task_spawn(NULL, fn, arg, NULL));
}

#endif
