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
    tcpx_time now = tcpx__sys_now();

    if (duration > TCPX_FOREVER - now)
        return TCPX_FOREVER;
    /* Below zero lies no instant that differs from zero: all have passed. */
    if (duration < -now)
        return TCPX_NOW;
    return now + duration;
}
