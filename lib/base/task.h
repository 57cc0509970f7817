/* SPDX-License-Identifier: MIT */
/*
 * task.h - the running flow of control, what can wake it, and its last failure.
 *
 * A task is made at a thread's first call and ends with the thread; a fiber
 * core makes one for each fiber and swaps tcpx__task_current while it runs.
 *
 * Cancelling must work from a signal handler at any instruction, so it takes
 * no lock: it sets the flag, then looks where the task waits.  A task publishes
 * where it is about to wait, then tests the flag.  Both orders are seq_cst, so
 * one of the two always sees the other.
 */
#ifndef TCPX_BASE_TASK_H
#define TCPX_BASE_TASK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>
#include <tcpx/base.h>
#include "base/list.h"
#include "base/util.h"

/* A task's stack if nothing else is said. */
#define TCPX__STACK_SIZE (256 * 1024)

struct tcpx__fiber;
struct tcpx__handle;
struct tcpx__world;

/*
 * What went wrong last, kept raw: the text is made only if it is asked for.
 * operation is a string constant.  The subject is either text or, if
 * text[0] is 0, the address in peer.
 */
struct tcpx__failure {
    int err;
    unsigned peer_len;
    const char *operation;
    char *report;     /* owned: every attempt of a connect */
    char peer[112];   /* a sockaddr */
    char text[128];   /* the address as it was given */
    char detail[128]; /* the fault, in words; "" for none */
    char *message;    /* owned; what tcpx_errmsg gave last */
};

/*
 * What a task looks at in its own waits, where nobody else can watch it: the
 * limits of a handler that runs in the server's only thread or process.
 */
struct tcpx__leash {
    tcpx_time until; /* when to look next, whatever the wait's own deadline */
    int extra_fd;    /* wakes the waits of this task too; -1: none */

    /* Asked before each sleep and after each wake; sets until.  0, or the code
       with which everything that the task waits in is to end. */
    int (*look)(struct tcpx__leash *leash, tcpx_time now);
};

enum tcpx__sleeping { TCPX__AWAKE, TCPX__IN_FUTEX, TCPX__IN_POLL };

/* Somebody who waits for something, to be unparked when it comes. */
struct tcpx__waiter {
    struct tcpx__list in_list;
    struct tcpx_task *task;
    _Atomic int woken; /* taken off the list by who brought it */
};

/* What only a task has that tcpx_task_spawn() made. */
struct tcpx__spawned {
    struct tcpx_task *owner; /* the task itself */
    void (*fn)(void *arg);
    void *arg;
    size_t stack_size;          /* 0: the usual one of its world */
    pthread_t thread;           /* in the world of threads */
    struct tcpx_task *parent;   /* whose end is its own, with a reference;
                                   NULL: nobody's */
    struct tcpx__list in_scope; /* of its parent, under the parent's lock */
    struct tcpx__list joiners;  /* waiters, under its own lock */
    int is_detached;
    int is_nobodys; /* in a scope, but without a handle */
    int has_ended;  /* under its own lock */
};

struct tcpx_task {
    _Atomic unsigned refs;
    _Atomic int canceled;     /* 0, or the code that waits end with */
    _Atomic unsigned lookers; /* in cancel or unpark at this moment */
    _Atomic int ended;        /* a late cancel does nothing */

    /* The connection or listener of the read, write or accept under way. */
    struct tcpx__handle *_Atomic waiting;

    /*
     * Parking, for a task that is a thread: wakes counts unparks and is the
     * futex word; seen is the last count that a wait of this task took note
     * of; sleeping says in what the thread sleeps, so that who wakes it makes
     * the right system call, or none; wake_fd is an eventfd for waits on
     * descriptors, made by the first of them, or -1.
     */
    _Atomic uint32_t wakes;
    uint32_t seen;
    _Atomic int sleeping; /* enum tcpx__sleeping */
    _Atomic int wake_fd;

    struct tcpx__leash *leash; /* NULL: none */
    uint64_t clients_gone;     /* that accepts of this task met */

    pthread_mutex_t lock;          /* guards scope, and what `spawned` says */
    struct tcpx__list scope;       /* tasks that end with this one */
    int scope_ends;                /* they are being ended, by this task */
    int has_scope;                 /* a handler's, or a task's of a handler */
    struct tcpx__spawned *spawned; /* NULL: a thread of the program */

    /* The thread's own task changes world while the thread is a core, and
       whoever wakes it then may look at any time. */
    const struct tcpx__world *_Atomic world;
    struct tcpx__fiber *_Atomic fiber; /* NULL: a thread */
    struct tcpx__failure failure;
};

typedef struct tcpx_task tcpx_task;

/*
 * What runs here, or NULL before a thread's first call.  initial-exec: one load
 * in place of a call; 8 bytes fit into the space that glibc keeps for libraries
 * that are loaded late.
 */
extern _Thread_local tcpx_task *tcpx__task_current TCPX__HIDDEN
    __attribute__((tls_model("initial-exec")));

/* Makes the calling thread a task; NULL if memory ran out. */
tcpx_task *tcpx__task_adopt_thread(void);

/*
 * The calling task, made on demand; NULL if memory ran out.  The pointer may be
 * kept while the task runs.
 */
static inline tcpx_task *tcpx__task(void)
{
    tcpx_task *t = tcpx__task_current;

    return TCPX__LIKELY(t != NULL) ? t : tcpx__task_adopt_thread();
}

/* A new task with one reference, for a flow of control that is not running. */
tcpx_task *tcpx__task_new(const struct tcpx__world *world);

/* What runs here from now on: a core swaps it when it switches fibers. */
void tcpx__task_set(tcpx_task *t);

/* Makes t, which is new, the task of the calling thread, until it ends. */
int tcpx__task_begin_thread(tcpx_task *t);

/* No cancel or unpark reaches t any more; gives up the running one's
   reference. */
void tcpx__task_end_running(tcpx_task *t);

void tcpx__task_retain(tcpx_task *t);
void tcpx__task_drop(tcpx_task *t);

/* Waits until nobody who cancels or unparks is looking at the task. */
void tcpx__task_settle_slowly(tcpx_task *t);

static inline void tcpx__task_settle(tcpx_task *t)
{
    if (TCPX__UNLIKELY(atomic_load(&t->lookers) != 0))
        tcpx__task_settle_slowly(t);
}

/* How often this process and those before it forked: it tells a child which
   of what it copied were the doings of threads that it does not have. */
extern _Atomic uint32_t tcpx__forks TCPX__HIDDEN;

/*
 * Whether the program forked, so that another process may have open what this
 * one closes.  The library's own children give up what is not theirs.
 */
extern _Atomic int tcpx__is_forked;

/*
 * What a claim is marked with: not 0, and not what a claim was marked with
 * before this process forked off.
 */
extern _Atomic uint8_t tcpx__claim_mark TCPX__HIDDEN;

/*
 * Records a failure of the calling task and returns err.  operation must be a
 * string constant; subject and the detail are copied and may be NULL.
 */
int tcpx__fail(int err, const char *operation, const char *subject);
int tcpx__fail_because(int err, const char *operation, const char *subject,
                       const char *detail, ...)
    __attribute__((format(printf, 4, 5)));

/* -EINVAL, for a reason in words, or for a duration passed as deadline. */
TCPX__COLD int tcpx__refuse(const char *operation, const char *why);
TCPX__COLD int tcpx__refuse_duration(const char *operation);

/* Adds words to the failure that the calling task has just recorded. */
TCPX__COLD void tcpx__fail_detail(const char *detail, ...)
    __attribute__((format(printf, 1, 2)));

/* A failure with a binary address: cheap enough for calls that try often. */
int tcpx__fail_at(int err, const char *operation, const struct sockaddr *peer,
                  socklen_t len);

/* The same with the text of a connect's report, from tcpx__malloc(), which the
   record takes over; NULL is nothing. */
int tcpx__fail_report(int err, const char *operation, const char *subject,
                      char *report);

#endif
