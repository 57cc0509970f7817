/* SPDX-License-Identifier: MIT */
/*
 * main.c - loads the plugin.
 */
#include <stdio.h>

const char *plugin_version(void);

int main(void)
{
    return printf("libtcpx %s inside a plugin\n", plugin_version()) < 0;
}
