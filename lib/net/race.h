/* SPDX-License-Identifier: MIT */
/*
 * race.h - Happy Eyeballs: the attempts of one connect, RFC 8305.
 */
#ifndef TCPX_NET_RACE_H
#define TCPX_NET_RACE_H

#include <tcpx/address.h>
#include "net/attempt.h"
#include "net/report.h"

/* Attempts in flight at a time. */
#define TCPX__RACERS 6

/* Defaults of RFC 8305, sections 5 and 3, and the least that section 5 allows.
 */
#define TCPX__ATTEMPT_DELAY (250 * TCPX_MSEC)
#define TCPX__ATTEMPT_DELAY_LEAST (10 * TCPX_MSEC)
#define TCPX__RESOLUTION_DELAY (50 * TCPX_MSEC)

/* With all racers in flight and more addresses to try, the oldest gives way
   after so long: time for three SYNs at the kernel's usual pace. */
#define TCPX__PATIENCE (5 * TCPX_SEC)

/*
 * Resolves an address that is a name or numeric, connects to what comes, and
 * fills in the report; `name` is the address as it was given.
 *
 * Returns 0 and the attempt that won; or an error, and then no socket is left.
 */
int tcpx__race(struct tcpx__attempt *won, const struct tcpx__plan *plan,
               const tcpx_address *address, const char *name,
               tcpx_time deadline, tcpx_connect_report *report);

/* In words: nothing in that family, or, for 0, in either. */
const char *tcpx__no_address(int family);

#endif
