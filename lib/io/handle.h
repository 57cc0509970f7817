/* SPDX-License-Identifier: MIT */
/*
 * handle.h - a descriptor that tasks wait on and that anyone may cancel.
 *
 * The part that connections and listeners share.  Canceling happens in any
 * thread or signal handler while the owner may be closing, so the number of
 * those who are looking keeps the descriptor open, the number of those who
 * wait keeps the memory, and every task that waits is named in waiters, so that
 * it can be woken:
 *
 *     a waiter:    counts and names itself, tests canceled, waits, takes its
 *                  name out, waits until nobody is looking, is not counted
 *     a canceller: looks (ends if closing), sets canceled, wakes every name,
 *                  stops looking
 *     close:       cancels until nobody waits, sets closing, waits until nobody
 *                  is looking, closes
 *
 * All of it seq_cst.  A task whose name did not fit wakes up by itself every
 * TCPX__BLIND_SLICE and looks.
 */
#ifndef TCPX_IO_HANDLE_H
#define TCPX_IO_HANDLE_H

#include <stdatomic.h>
#include <stdint.h>
#include "base/task.h"

#define TCPX__WAITERS 4
#define TCPX__BLIND_SLICE (10 * TCPX_MSEC)
#define TCPX__BLIND_SLICES 5 /* of which each is twice the one before */

/*
 * The parts of tcpx__handle.guard: who is looking, who waits, tcpx__forks when
 * they came, and whether the handle is closing.  A child of fork(2) has a copy
 * of the numbers but not of the threads, so numbers from before do not count.
 */
#define TCPX__LOOKER UINT64_C(1)
#define TCPX__LOOKERS UINT64_C(0xffffff)
#define TCPX__USER (UINT64_C(1) << 24)
#define TCPX__USERS (UINT64_C(0xffffff) << 24)
#define TCPX__ERA (UINT64_C(0x7fff) << 48)
#define TCPX__CLOSING (UINT64_C(1) << 63)

/* Bits of tcpx__handle.flags.  All are set before the handle is shared, but
   TCPX__NONBLOCK, which the first sendfile adds, and TCPX__MISTRUST, which a
   reader does. */
enum tcpx__handle_flags {
    /* The open file is shared with who knows whom: no timeouts, no
       O_NONBLOCK, no shutdown(2) to wake a reader. */
    TCPX__SHARED = 1,
    TCPX__UNIX = 2,     /* AF_UNIX */
    TCPX__LISTENER = 4, /* accepts; O_NONBLOCK */
    TCPX__NONBLOCK = 8, /* O_NONBLOCK is set on the open file */
    TCPX__MISTRUST = 16 /* another holder changed a timeout of ours */
};

struct tcpx__handle {
    int fd;
    _Atomic uint8_t flags;
    _Atomic int16_t canceled; /* 0, or the code that waits end with */
    uint32_t spin;            /* ns to try before sleeping */
    uint32_t forks;           /* tcpx__forks when it was made */
    uint32_t serial;          /* tells it from those that had its number */
    _Atomic uint64_t guard;   /* LOOKERS, USERS, ERA, CLOSING */
    int64_t receive_timeout;  /* SO_RCVTIMEO in force; 0: none, -1: unknown */
    tcpx_task *_Atomic waiters[TCPX__WAITERS];
};

void tcpx__handle_init(struct tcpx__handle *h, int fd, unsigned flags);

/*
 * Makes every wait on h, now and from now on, end with code (TCPX_ECANCELED,
 * TCPX_ELIMIT); the first code stays.  Async-signal-safe.
 */
void tcpx__handle_cancel(struct tcpx__handle *h, int code);

/*
 * Names t as waiting on h, in both directions of the link: whoever cancels h
 * wakes t, and with `own` set whoever cancels t cancels h.  Returns the slot
 * for tcpx__handle_leave(), or -1 if all are taken.
 */
int tcpx__handle_enter(struct tcpx__handle *h, tcpx_task *t, int own);
void tcpx__handle_leave(struct tcpx__handle *h, tcpx_task *t, int slot);

/* Shuts cancellers out, and waits for those that are looking. */
void tcpx__handle_seal(struct tcpx__handle *h);

/* Takes that back, for one who sealed h and then could not end it. */
static inline void tcpx__handle_unseal(struct tcpx__handle *h)
{
    atomic_fetch_and(&h->guard, ~TCPX__CLOSING);
}

/* Counts one more, TCPX__LOOKER or TCPX__USER; returns the guard from then
   on.  Async-signal-safe. */
uint64_t tcpx__handle_count(struct tcpx__handle *h, uint64_t one);

/* Whether a task is between tcpx__handle_enter() and tcpx__handle_leave(). */
int tcpx__handle_in_use(const struct tcpx__handle *h);

/* Makes a close wait, over more than one tcpx__handle_enter(). */
static inline void tcpx__handle_use(struct tcpx__handle *h)
{
    tcpx__handle_count(h, TCPX__USER);
}

static inline void tcpx__handle_unuse(struct tcpx__handle *h)
{
    atomic_fetch_sub(&h->guard, TCPX__USER);
}

/*
 * Keeps the descriptor open for a moment of looking, by a task that is neither
 * reader nor writer.  Returns 1, and tcpx__handle_let_go() is due; or 0 if h
 * is closing.
 */
static inline int tcpx__handle_hold(struct tcpx__handle *h)
{
    if (!(tcpx__handle_count(h, TCPX__LOOKER) & TCPX__CLOSING))
        return 1;
    atomic_fetch_sub(&h->guard, TCPX__LOOKER);
    return 0;
}

static inline void tcpx__handle_let_go(struct tcpx__handle *h)
{
    atomic_fetch_sub(&h->guard, TCPX__LOOKER);
}

/* Whether one of these flags is set. */
static inline int tcpx__handle_has(const struct tcpx__handle *h, unsigned flags)
{
    return (atomic_load_explicit(&h->flags, memory_order_relaxed) & flags) != 0;
}

/* Whether it was made in the process that this one forked off from, which has
   the open file too and remembers what timeout is in force. */
static inline int tcpx__handle_is_inherited(const struct tcpx__handle *h)
{
    return h->forks != atomic_load_explicit(&tcpx__forks, memory_order_relaxed);
}

/* Whether the open file is shared: with who knows whom, or by a fork(2). */
static inline int tcpx__handle_is_shared(const struct tcpx__handle *h)
{
    return tcpx__handle_has(h, TCPX__SHARED) || tcpx__handle_is_inherited(h);
}

static inline int tcpx__handle_canceled(const struct tcpx__handle *h)
{
    return atomic_load_explicit(&h->canceled, memory_order_seq_cst);
}

#endif
