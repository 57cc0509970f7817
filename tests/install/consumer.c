/* SPDX-License-Identifier: MIT */
/*
 * consumer.c - a program of someone who has the installed library.
 */
#include <stdio.h>
#include <tcpx.h>

int main(void)
{
    return printf("libtcpx %s\n", tcpx_version()) < 0;
}
