/* SPDX-License-Identifier: MIT */
/*
 * activation.h - listening sockets that the program was started with.
 */
#ifndef TCPX_NET_ACTIVATION_H
#define TCPX_NET_ACTIVATION_H

#include <tcpx/address.h>

/*
 * Checks that fd is an open, listening stream socket of TCP or Unix.  Returns
 * 0; -EBADF, -ENOTSOCK or -EINVAL with the fault in *why, a string constant
 * such as "a datagram socket".
 */
int tcpx__activation_check(int fd, const char **why);

/*
 * The descriptor that an address of kind TCPX_ADDRESS_FD or _SYSTEMD names,
 * checked.  It stays as it came: blocking or not, inherited over exec or not.
 * The environment is read here and nowhere else, and not changed.
 *
 * Returns the descriptor; -ENOENT if this process was passed no such socket;
 * -EBADF, -ENOTSOCK, -EINVAL.  Failures are recorded.
 */
int tcpx__activation_find(const tcpx_address *a);

#endif
