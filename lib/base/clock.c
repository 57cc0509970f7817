/* SPDX-License-Identifier: MIT */
/*
 * clock.c - instants.
 */
#include <stdint.h>
#include <tcpx/base.h>
#include "base/sys.h"

tcpx_time tcpx_now(void)
{
    return tcpx__sys_now();
}

tcpx_time tcpx_after(tcpx_time duration)
{
    tcpx_time now;

    /* All instants that have passed are one, and a sum that lies before the
       start of the program would be taken for a duration. */
    if (duration < 0)
        return TCPX_NOW;
    now = tcpx__sys_now();
    return duration > TCPX_FOREVER - now ? TCPX_FOREVER : now + duration;
}
