/* SPDX-License-Identifier: MIT */
/*
 * fakenet.h - a network for races, with a clock of its own.
 *
 * Behind the world table of the calling task: connects end when and how the
 * test says, names are answered when and how the test says, and time passes
 * only where the library waits.  So every instant of a race is exact.
 */
#ifndef TESTS_UNIT_FAKENET_H
#define TESTS_UNIT_FAKENET_H

#include <stddef.h>
#include <tcpx.h>

/* From now on, until fakenet_end(): checked fixtures. */
void fakenet_begin(void);
void fakenet_end(void);

/* The result of an address that nobody answers for. */
#define SILENT 1

/* An address, and how a connect to it ends, so long after it began; an error
   after 0 is told at once.  Addresses that are not known are silent. */
void fakenet_host(const char *address, int result, tcpx_time after);

/* The addresses of every name in one family, "2001:db8::1 2001:db8::2", and how
   long the lookup takes; TCPX_FOREVER: no answer. */
void fakenet_names(int family, const char *addresses, tcpx_time after);

/* The lookup fails. */
void fakenet_names_fail(int family, int err, tcpx_time after);

/* Cancels the calling task at that time. */
void fakenet_cancel(tcpx_time after);

/* So many connects were begun, are open, and were open at most at a time. */
int fakenet_begun(void);
int fakenet_open(void);
int fakenet_most_open(void);

/* Every connect's readiness is told so often before it is true. */
void fakenet_false_hints(int n);

/* Virtual time since fakenet_begin(). */
tcpx_time fakenet_now(void);

/* The instant that lies so long after fakenet_begin(). */
tcpx_time fakenet_at(tcpx_time after);

/* So often did the library wait. */
int fakenet_waits(void);

#endif
