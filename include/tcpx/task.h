/* SPDX-License-Identifier: MIT */
/*
 * task.h - the flow of control that is calling, and canceling it.
 *
 * Every thread that calls the library is a task, however it was made; so is
 * every fiber, of which tcpx_run() runs many in one thread.  tcpx_task_spawn()
 * starts more of the caller's kind.  A task can be canceled as a whole.
 */
#ifndef TCPX_TASK_H
#define TCPX_TASK_H

#include <tcpx/base.h>

TCPX_BEGIN_DECLS

typedef struct tcpx_task tcpx_task;

/*
 * The calling task.  Lives until the task ends, longer with tcpx_task_ref();
 * NULL only if memory ran out at the thread's first call.  Not from a signal
 * handler: ask for it beforehand.
 */
TCPX_API tcpx_task *tcpx_task_self(void);

/*
 * Cancels a task: whatever it waits in, now and from now on, ends with
 * TCPX_ECANCELED: a read, write, accept, connect, lookup, wait or sleep.  A
 * connection that it waits on in a read or write is canceled with it, see
 * tcpx_cancel(); others are untouched, and calls that need not wait still
 * work.  Any thread, any signal handler.
 */
TCPX_API void tcpx_task_cancel(tcpx_task *t);

/*
 * Takes a cancel of the calling task back, so that an interrupted program can
 * go on to say goodbye on its other connections.  Returns 1 if it was
 * canceled, else 0.
 */
TCPX_API int tcpx_task_clear_cancel(void);

/*
 * Keeps the memory of t until as many tcpx_task_unref(), for whoever may
 * cancel it after it ended, which does nothing then.  Returns t.  Thread-safe.
 */
TCPX_API tcpx_task *tcpx_task_ref(tcpx_task *t);

/* Gives up one tcpx_task_ref(); NULL is nothing.  Thread-safe. */
TCPX_API void tcpx_task_unref(tcpx_task *t);

/* How to start a task; zero is the default of every member. */
typedef struct tcpx_task_opts {
    uint32_t size;       /* sizeof(tcpx_task_opts); the macro sets it */
    int32_t reserved_0;  /* zero */
    uint64_t stack_size; /* bytes; 256 KiB, at least 64 KiB */
} tcpx_task_opts;

static inline tcpx_task_opts tcpx_task_defaults(void)
{
    tcpx_task_opts opts;

    memset(&opts, 0, sizeof(opts));
    opts.size = (uint32_t)sizeof(opts);
    return opts;
}

/* In C: TCPX_TASK(.stack_size = 1 << 20). */
#define TCPX_TASK(...)                                                         \
    (&(tcpx_task_opts){.size = (uint32_t)sizeof(tcpx_task_opts), __VA_ARGS__})

/*
 * Starts fn(arg) as a task beside the calling one: a thread from a thread, a
 * fiber on the same core from a fiber, which needs no lock against it.  The
 * handle in *out is ended by tcpx_task_join() or tcpx_task_end().  Tasks that a
 * server's handler started, and those that they started, are canceled and
 * joined when the handler returns; its locals are gone then, so that a task
 * which uses them must be ended before.  With out NULL nobody waits for the
 * task: in a handler it ends with it, elsewhere by itself.
 *
 * Returns 0; -EAGAIN, -ENOMEM: a shortage; -EINVAL, -E2BIG: a wrong argument.
 */
TCPX_API int tcpx_task_spawn(tcpx_task **out, void (*fn)(void *), void *arg,
                             const tcpx_task_opts *opts);

/*
 * Waits until t has ended, and frees it.  One task may join another.  Returns
 * 0; TCPX_EDEADLINE or TCPX_ECANCELED, and t goes on; -EINVAL for NULL, for the
 * calling task, or one that tcpx_task_spawn() did not make.
 */
TCPX_API int tcpx_task_join(tcpx_task *t, tcpx_time deadline);

/*
 * Cancels t, waits until it has ended, and frees it.  The wait has no limit and
 * no cancel: t is to return soon after its calls fail.  NULL is nothing.
 */
TCPX_API void tcpx_task_end(tcpx_task *t);

/*
 * Waits until the deadline.  Returns 0 when it has come, TCPX_ECANCELED before
 * it, -EINVAL for a duration in its place.
 */
TCPX_API int tcpx_sleep(tcpx_time deadline);

/* What moves the bytes of fibers. */
enum tcpx_engine {
    TCPX_ENGINE_AUTO,  /* io_uring where the system allows it, else epoll */
    TCPX_ENGINE_EPOLL, /* epoll(7) */
    TCPX_ENGINE_URING  /* io_uring(7) */
};

/* How to run fibers; zero is the default of every member. */
typedef struct tcpx_run_opts {
    uint32_t size;       /* sizeof(tcpx_run_opts); the macro sets it */
    int32_t engine;      /* enum tcpx_engine */
    uint64_t stack_size; /* of fn and of what it spawns without saying more, in
                            bytes of address space; 256 KiB, at least 64 KiB */
} tcpx_run_opts;

static inline tcpx_run_opts tcpx_run_defaults(void)
{
    tcpx_run_opts opts;

    memset(&opts, 0, sizeof(opts));
    opts.size = (uint32_t)sizeof(opts);
    return opts;
}

/* In C: TCPX_RUN(.engine = TCPX_ENGINE_EPOLL). */
#define TCPX_RUN(...)                                                          \
    (&(tcpx_run_opts){.size = (uint32_t)sizeof(tcpx_run_opts), __VA_ARGS__})

/*
 * Makes the calling thread a core of fibers, runs fn(arg) as the first of them,
 * and returns when it and every task that came of it have ended.  All calls of
 * the library in a fiber let others run where a thread would wait.  A fiber
 * stays in its thread; what blocks the thread by itself (a mutex, a read from
 * the terminal) blocks all of them.
 *
 * *result, which may be NULL, is what fn returned; untouched on failure.
 * Returns 0; -EBUSY if the thread is a core already; -ENOTSUP if the engine
 * asked for is not to be had here; -EMFILE, -ENFILE, -ENOMEM: a shortage;
 * -EINVAL, -E2BIG: a wrong argument.
 */
TCPX_API int tcpx_run(int (*fn)(void *arg), void *arg, int *result,
                      const tcpx_run_opts *opts);

/* The engine that moves the bytes of a task, TCPX_ENGINE_EPOLL or
   TCPX_ENGINE_URING; 0 for a thread, and for NULL.  Thread-safe. */
TCPX_API int tcpx_task_engine(const tcpx_task *t);

TCPX_END_DECLS

#endif
