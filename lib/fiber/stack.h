/* SPDX-License-Identifier: MIT */
/*
 * stack.h - the stacks of one core's fibers.
 *
 * A stack is address space first: only pages that were touched are memory.
 * Below it lies a guard, so that what grows over the end faults there instead
 * of writing into a neighbour, unless one frame steps over all of it.  The
 * stacks of the usual size come in chunks of one mapping each; those used last
 * are kept warm for the next fiber, up to a number, and the memory of the
 * others goes back to the kernel.
 */
#ifndef TCPX_FIBER_STACK_H
#define TCPX_FIBER_STACK_H

#include <stddef.h>
#include <stdint.h>
#include "base/list.h"

/* Kept warm at most, in a core. */
#ifndef TCPX__WARM_STACKS
#define TCPX__WARM_STACKS 256
#endif

struct tcpx__chunk;

/* Lies at the top of the stack itself. */
struct tcpx__stack {
    struct tcpx__list in_warm;
    char *bottom; /* of the mapping, the guard included */
    size_t size;
    struct tcpx__chunk *chunk; /* NULL: a mapping of its own */
};

struct tcpx__stacks {
    size_t page;
    size_t guard;
    size_t size; /* of the usual stack, with its guard */
    struct tcpx__list warm;
    size_t warm_count;
    struct tcpx__list chunks; /* with the fullest last */
};

void tcpx__stacks_init(struct tcpx__stacks *s, size_t size);

/* Unmaps all; no stack may be in use. */
void tcpx__stacks_free(struct tcpx__stacks *s);

/* A stack of at least `size` bytes; NULL if there is no room for one. */
struct tcpx__stack *tcpx__stack_get(struct tcpx__stacks *s, size_t size);
void tcpx__stack_put(struct tcpx__stacks *s, struct tcpx__stack *stack);

/* The memory below the record, which is the fiber's. */
static inline void *tcpx__stack_top(struct tcpx__stack *stack)
{
    return (void *)((uintptr_t)stack & ~(uintptr_t)63);
}

static inline void *tcpx__stack_bottom(const struct tcpx__stack *stack)
{
    return stack->bottom;
}

#endif
