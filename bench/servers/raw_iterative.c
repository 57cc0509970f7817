/* SPDX-License-Identifier: MIT */
/*
 * raw_iterative.c - one client after another, on bare system calls.
 */
#include "raw.h"

int main(void)
{
    int listener = raw_listen();

    for (;;) {
        int fd = raw_accept(listener);

        raw_close(fd, raw_echo(fd));
    }
}
