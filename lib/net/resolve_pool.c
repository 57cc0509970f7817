/* SPDX-License-Identifier: MIT */
/*
 * resolve_pool.c - the helper threads that call getaddrinfo(3).
 *
 * getaddrinfo waits as long as it likes and cannot be interrupted: canceling
 * its thread leaks or hangs in the modules of nsswitch.conf(5).  So it runs in
 * threads that may be left waiting.  There are at most HELPERS of them; with
 * all stuck, further names queue, each until its asker's deadline.
 *
 * Everything here is under tcpx__lookups.
 */
#include "net/resolve.h"

#include <errno.h>

#include "base/sys.h"
#include "base/task.h"

#define HELPERS 4

/* Modules of nsswitch.conf keep their buffers on the stack. */
#define STACK_SIZE (256 * 1024)

/* A helper that had nothing to do for so long ends. */
#define IDLE (5 * TCPX_SEC)

static struct {
    tcpx_lookup *first; /* running ones and queued ones */
    tcpx_lookup **last; /* the end of the list */
    unsigned queued;    /* of these, how many no helper has begun */
    unsigned threads;
    unsigned idle;       /* of these, how many wait for work */
    int unusable;        /* fork could not be made safe */
    pthread_cond_t work; /* one more is queued */
} pool;

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void append(tcpx_lookup *lookup)
{
    lookup->next = NULL;
    lookup->link = pool.last;
    *pool.last = lookup;
    pool.last = &lookup->next;
}

static void take_out(tcpx_lookup *lookup)
{
    *lookup->link = lookup->next;
    if (lookup->next)
        lookup->next->link = lookup->link;
    else
        pool.last = lookup->link;
    lookup->link = NULL;
}

/* An empty pool, without threads. */
static void start_over(void)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&pool.work, &attr);
    pthread_condattr_destroy(&attr);

    pool.first = NULL;
    pool.last = &pool.first;
    pool.queued = pool.threads = pool.idle = 0;
}

static void before_fork(void)
{
    pthread_mutex_lock(&tcpx__lookups);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&tcpx__lookups);
}

/*
 * The child has one thread, the one that forked, and none of the helpers.  Its
 * own lookups, which it has if a callback of its connect forked, will not be
 * answered and fail; the other threads' lookups are left where they lie, like
 * all else of these threads.
 */
static void after_fork_in_child(void)
{
    tcpx_lookup *lookup = pool.first, *next;
    tcpx_task *self = lookup ? tcpx__task() : NULL;

    start_over();
    for (; lookup; lookup = next) {
        next = lookup->next;
        lookup->link = NULL;
        if (self && lookup->task == self)
            tcpx__lookup_orphan(lookup);
    }
    pthread_mutex_unlock(&tcpx__lookups);
}

static void prepare(void)
{
    start_over();
    pool.unusable = pthread_atfork(before_fork, after_fork_in_parent,
                                   after_fork_in_child) != 0;
}

/* Waits for work; returns 0 once there was none for IDLE. */
static int wait_for_work(void)
{
    tcpx_time until = tcpx__sys_now() + IDLE;
    struct timespec ts = {.tv_sec = (time_t)(until / TCPX_SEC),
                          .tv_nsec = (long)(until % TCPX_SEC)};
    int err = 0;

    pool.idle++;
    while (pool.queued == 0 && err == 0)
        err = pthread_cond_timedwait(&pool.work, &tcpx__lookups, &ts);
    pool.idle--;

    return pool.queued > 0;
}

static tcpx_lookup *next_queued(void)
{
    tcpx_lookup *lookup = pool.first;

    while (lookup->running)
        lookup = lookup->next;

    lookup->running = 1;
    pool.queued--;
    return lookup;
}

static void *help(void *arg)
{
    (void)arg;

    pthread_mutex_lock(&tcpx__lookups);
    while (wait_for_work()) {
        tcpx_lookup *lookup = next_queued();

        pthread_mutex_unlock(&tcpx__lookups);
        tcpx__lookup_run(lookup);
        pthread_mutex_lock(&tcpx__lookups);
        take_out(lookup);
        pthread_mutex_unlock(&tcpx__lookups);
        tcpx__lookup_drop(lookup);
        pthread_mutex_lock(&tcpx__lookups);
    }
    pool.threads--;
    pthread_mutex_unlock(&tcpx__lookups);

    return NULL;
}

/* Starts a helper if no idle one is left for what is queued. */
static int start_helper(void)
{
    int err;

    if (pool.queued <= pool.idle || pool.threads == HELPERS)
        return 0;

    err = tcpx__sys_thread(help, NULL, STACK_SIZE);
    if (err == 0)
        pool.threads++;

    return err;
}

int tcpx__pool_submit(tcpx_lookup *lookup)
{
    int err;

    pthread_once(&once, prepare);
    if (pool.unusable)
        return -ENOMEM;

    pthread_mutex_lock(&tcpx__lookups);
    append(lookup);
    pool.queued++;
    err = start_helper();
    if (err < 0 && pool.threads == 0) {
        take_out(lookup);
        pool.queued--;
    } else {
        err = 0; /* the helpers that there are do the work, only later */
        pthread_cond_signal(&pool.work);
    }
    pthread_mutex_unlock(&tcpx__lookups);

    return err;
}

int tcpx__pool_withdraw(tcpx_lookup *lookup)
{
    if (!lookup->link || lookup->running)
        return 0;

    take_out(lookup);
    pool.queued--;
    return 1;
}
