/* SPDX-License-Identifier: MIT */
/*
 * switch.h - leaving one flow of control where it stands, and going on with
 * another on its own stack.
 *
 * Kept over a switch is what the calling convention says that a function must
 * keep, and no more: not the rounding mode of floating point, which is the
 * thread's, nor the signal mask, which costs two system calls to keep.
 */
#ifndef TCPX_FIBER_SWITCH_H
#define TCPX_FIBER_SWITCH_H

#include <stddef.h>

#if (defined(__x86_64__) && defined(__LP64__)) || defined(__aarch64__)
#define TCPX__SWITCH_OWN 1
#else
#define TCPX__SWITCH_OWN 0
#endif

#if TCPX__SWITCH_OWN
/* All else that is kept lies on the stack, above sp. */
struct tcpx__context {
    void *sp;
};
#else
#include <ucontext.h>

struct tcpx__context {
    ucontext_t u;
    void (*run)(void *arg);
    void *arg;
};
#endif

/* Makes a context that will call run(arg), which never returns, on the stack
   [bottom, top); top is a multiple of 16. */
void tcpx__context_make(struct tcpx__context *c, void *bottom, void *top,
                        void (*run)(void *arg), void *arg);

/* Leaves here, into *from, and goes on in *to.  Returns when somebody switches
   to *from. */
void tcpx__context_switch(struct tcpx__context *from, struct tcpx__context *to);

#endif
