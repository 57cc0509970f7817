/* SPDX-License-Identifier: MIT */
/*
 * resolve_pool.c - the helper threads that call getaddrinfo(3).
 *
 * getaddrinfo waits as long as it likes and cannot be interrupted: canceling
 * its thread leaks or hangs in the modules of nsswitch.conf(5).  So it runs in
 * threads that may be left waiting.  There are at most HELPERS of them; with
 * all stuck, further names queue, each until its asker's deadline.
 *
 * A helper ends as soon as the queue is empty.  To make another one costs less
 * than the files that a lookup reads, and a program that is not looking
 * anything up has no threads but its own, also when it forks or ends.
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

static struct {
    tcpx_lookup *first; /* running ones and queued ones */
    tcpx_lookup **last; /* the end of the list */
    unsigned queued;    /* of these, how many no helper has begun */
    unsigned threads;
    int unusable; /* fork could not be made safe */
} pool = {.last = &pool.first};

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

    pool.first = NULL;
    pool.last = &pool.first;
    pool.queued = pool.threads = 0;
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
    pool.unusable = pthread_atfork(before_fork, after_fork_in_parent,
                                   after_fork_in_child) != 0;
}

int tcpx__lookups_prepare(void)
{
    pthread_once(&once, prepare);
    return pool.unusable ? -ENOMEM : 0;
}

/* The longest queued lookup, which is then running; there is one. */
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
    while (pool.queued > 0) {
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

/*
 * A new helper for each name that is queued, up to the limit: one that is on
 * its way to the queue may be taken for busy, which costs a thread at most.
 */
int tcpx__pool_submit(tcpx_lookup *lookup)
{
    int err = 0;

    if (tcpx__lookups_prepare())
        return -ENOMEM;

    pthread_mutex_lock(&tcpx__lookups);
    append(lookup);
    pool.queued++;
    if (pool.threads < HELPERS) {
        err = tcpx__sys_thread(help, NULL, STACK_SIZE);
        pool.threads += err == 0;
    }
    if (err < 0 && pool.threads > 0) {
        err = 0; /* the helpers that there are will come to it */
    } else if (err < 0) {
        take_out(lookup);
        pool.queued--;
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
