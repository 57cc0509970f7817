/* SPDX-License-Identifier: MIT */
/*
 * hooks.h - system calls that are counted, fail, or move less than asked.
 *
 * For programs that link tcpx_testing.  One set of rules holds for all threads;
 * it is to be changed only while no other thread is in the library.
 */
#ifndef TESTS_HOOKS_H
#define TESTS_HOOKS_H

#include <stddef.h>
#include "base/sys.h"

/* From here on calls are counted, from 0, and do what they always do. */
void hooks_on(void);

/* No counting and no faults any more. */
void hooks_off(void);

/* How often that call was made, or was to be made and failed. */
unsigned hooks_count(enum tcpx__sys_call call);

/* How often a fault was given. */
unsigned hooks_struck(void);

/* All calls that a wait or a transfer makes; allocations do not count. */
unsigned hooks_count_all(void);

/*
 * The at-th call from now (0: the next), and so many after it, fail with
 * -errno.  HOOKS_FOR_EVER: all after it.
 */
#define HOOKS_FOR_EVER 0xffffffffu
void hooks_fail(enum tcpx__sys_call call, unsigned at, unsigned times, int err);

/* No call moves more bytes than that; 0: as many as it likes. */
void hooks_shorten(size_t most);

/* Of every n calls that move bytes or wait, n - 1 fail with EINTR; 0: none. */
void hooks_interrupt(unsigned n);

const char *hooks_name(enum tcpx__sys_call call);

#endif
