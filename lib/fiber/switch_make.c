/* SPDX-License-Identifier: MIT */
/*
 * switch_make.c - a context that has not run yet, as the switch expects one;
 * and on processors that have no switch of their own, swapcontext(3).
 */
#include <stdint.h>
#include <string.h>
#include "fiber/switch.h"

#if TCPX__SWITCH_OWN

void tcpx__context_start(void);

#if defined(__x86_64__)
/* As the switch pops them. */
struct frame {
    uintptr_t r15, r14;
    void *r13;
    void (*r12)(void *arg);
    uintptr_t rbx, rbp;
    void (*rip)(void);
};
#define ARG r13
#define RUN r12
#define START rip
#else
struct frame {
    uintptr_t x29;
    void (*x30)(void);
    void (*x19)(void *arg);
    void *x20;
    uintptr_t others[16]; /* x21 to x28, d8 to d15 */
};
#define ARG x20
#define RUN x19
#define START x30
#endif

void tcpx__context_make(struct tcpx__context *c, void *bottom, void *top,
                        void (*run)(void *arg), void *arg)
{
    struct frame *frame = (struct frame *)top - 1;

    (void)bottom;
    memset(frame, 0, sizeof(*frame));
    frame->RUN = run;
    frame->ARG = arg;
    frame->START = tcpx__context_start;
    c->sp = frame;
}

#else

/* makecontext(3) passes integers only, so a pointer comes in two halves. */
static void start(unsigned high, unsigned low)
{
    uintptr_t address = (uintptr_t)high << 16 << 16 | low;
    struct tcpx__context *c = (struct tcpx__context *)address;

    c->run(c->arg);
}

void tcpx__context_make(struct tcpx__context *c, void *bottom, void *top,
                        void (*run)(void *arg), void *arg)
{
    uintptr_t address = (uintptr_t)c;

    getcontext(&c->u);
    c->run = run;
    c->arg = arg;
    c->u.uc_stack.ss_sp = bottom;
    c->u.uc_stack.ss_size = (size_t)((char *)top - (char *)bottom);
    c->u.uc_link = NULL;
    makecontext(&c->u, (void (*)(void))start, 2,
                (unsigned)(address >> 16 >> 16), (unsigned)address);
}

void tcpx__context_switch(struct tcpx__context *from, struct tcpx__context *to)
{
    swapcontext(&from->u, &to->u);
}

#endif
