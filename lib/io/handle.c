/* SPDX-License-Identifier: MIT */
/*
 * handle.c - a descriptor that tasks wait on and that anyone may cancel.
 */
#include "io/handle.h"

#include <sys/socket.h>
#include "base/sys.h"
#include "base/util.h"
#include "io/world.h"

static _Atomic uint32_t serials;

void tcpx__handle_init(struct tcpx__handle *h, int fd, unsigned flags)
{
    h->fd = fd;
    atomic_init(&h->flags, (uint8_t)flags);
    atomic_init(&h->canceled, 0);
    atomic_init(&h->guard, 0);
    h->spin = 0;
    h->forks = atomic_load(&tcpx__forks);
    do
        h->serial =
            atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed);
    while (h->serial == 0); /* which stands for none */
    h->receive_timeout = flags & TCPX__SHARED ? -1 : 0;
    for (size_t i = 0; i < TCPX__WAITERS; i++)
        atomic_init(&h->waiters[i], NULL);
}

static uint64_t era(void)
{
    return (uint64_t)atomic_load(&tcpx__forks) << 48 & TCPX__ERA;
}

uint64_t tcpx__handle_count(struct tcpx__handle *h, uint64_t one)
{
    uint64_t now = era();
    uint64_t old = atomic_load(&h->guard);
    uint64_t next;

    do {
        next = old & TCPX__CLOSING;
        next |= (old & TCPX__ERA) == now ? old : now;
        next += one;
    } while (!atomic_compare_exchange_weak(&h->guard, &old, next));
    return next;
}

/* How many of a kind, TCPX__LOOKERS or TCPX__USERS; 0 is none. */
static uint64_t counted(const struct tcpx__handle *h, uint64_t kind)
{
    uint64_t guard = atomic_load(&h->guard);

    return (guard & TCPX__ERA) == era() ? guard & kind : 0;
}

int tcpx__handle_in_use(const struct tcpx__handle *h)
{
    return counted(h, TCPX__USERS) != 0;
}

/* Whether a reader may be asleep in recv(2), where only the socket wakes it. */
static int sleeps_in_recv(const struct tcpx__handle *h)
{
    return !tcpx__handle_is_shared(h) && !tcpx__handle_has(h, TCPX__LISTENER);
}

void tcpx__handle_cancel(struct tcpx__handle *h, int code)
{
    int16_t none = 0;

    if (!tcpx__handle_hold(h))
        return;
    if (atomic_compare_exchange_strong(&h->canceled, &none, (int16_t)code)) {
        /* SHUT_RD puts nothing on the wire, where SHUT_RDWR would give the
           peer a clean end of an answer that was cut. */
        if (sleeps_in_recv(h))
            tcpx__sys_shutdown(h->fd, SHUT_RD);
        for (size_t i = 0; i < TCPX__WAITERS; i++) {
            tcpx_task *t = atomic_load(&h->waiters[i]);

            if (t)
                tcpx__unpark(t);
        }
    }
    tcpx__handle_let_go(h);
}

int tcpx__handle_enter(struct tcpx__handle *h, tcpx_task *t, int own)
{
    int slot = -1;

    tcpx__handle_count(h, TCPX__USER);
    for (int i = 0; i < TCPX__WAITERS && slot < 0; i++) {
        tcpx_task *nobody = NULL;

        if (atomic_compare_exchange_strong(&h->waiters[i], &nobody, t))
            slot = i;
    }
    if (own)
        atomic_store(&t->waiting, h);
    return slot;
}

static void settle(struct tcpx__handle *h)
{
    while (TCPX__UNLIKELY(counted(h, TCPX__LOOKERS)))
        tcpx__sys_yield();
}

void tcpx__handle_leave(struct tcpx__handle *h, tcpx_task *t, int slot)
{
    if (atomic_load_explicit(&t->waiting, memory_order_relaxed) == h) {
        atomic_store(&t->waiting, NULL);
        tcpx__task_settle(t);
    }
    if (slot >= 0) {
        atomic_store(&h->waiters[slot], NULL);
        settle(h);
    }
    atomic_fetch_sub(&h->guard, TCPX__USER); /* h may be gone from here on */
}

void tcpx__handle_seal(struct tcpx__handle *h)
{
    atomic_fetch_or(&h->guard, TCPX__CLOSING);
    settle(h);
}
