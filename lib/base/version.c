/* SPDX-License-Identifier: MIT */
/*
 * version.c - which library is running.
 */
#include <tcpx/base.h>

const char *tcpx_version(void)
{
    return TCPX_VERSION;
}
