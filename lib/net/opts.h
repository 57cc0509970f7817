/* SPDX-License-Identifier: MIT */
/*
 * opts.h - taking an option struct that another version may have filled.
 */
#ifndef TCPX_NET_OPTS_H
#define TCPX_NET_OPTS_H

#include <stddef.h>

/*
 * Copies the option struct `given`, whose first member is its uint32_t size,
 * into out, which has `known` bytes.  Members that an older program lacks are
 * zero, which is their default; given NULL is zero throughout.  out's own size
 * is `known` in every case.
 *
 * Returns 0; -EINVAL if given's size is under `least`, the size that the
 * struct had in its first release; -E2BIG if it is over `known` and a byte
 * beyond is not zero: the program asks for what this version does not have.
 */
int tcpx__opts_copy(void *out, size_t known, size_t least, const void *given);

/* Records that tcpx__opts_copy() gave err, and returns it. */
int tcpx__opts_fail(int err, const char *operation, const char *subject);

#endif
