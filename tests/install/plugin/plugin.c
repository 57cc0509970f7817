/* SPDX-License-Identifier: MIT */
/*
 * plugin.c - a shared object with libtcpx.a inside, which only
 * position-independent code can be.
 */
#include <tcpx.h>

const char *plugin_version(void);

const char *plugin_version(void)
{
    return tcpx_version();
}
