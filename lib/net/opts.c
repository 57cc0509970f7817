/* SPDX-License-Identifier: MIT */
/*
 * opts.c - taking an option struct that another version may have filled.
 */
#include "net/opts.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include "base/task.h"

/* No option struct comes near it: a larger size is no size but garbage, and
   so many bytes may not even be there to be looked at. */
#define LARGEST 4096

int tcpx__opts_copy(void *out, size_t known, size_t least, const void *given)
{
    const unsigned char *bytes = given;
    uint32_t size = 0;

    if (given) {
        memcpy(&size, given, sizeof(size));
        if (size < least)
            return -EINVAL;
        if (size > LARGEST)
            return -E2BIG;
        for (size_t i = known; i < size; i++) {
            if (bytes[i])
                return -E2BIG;
        }
    }
    memset(out, 0, known);
    if (given)
        memcpy(out, given, size < known ? size : known);
    size = (uint32_t)known;
    memcpy(out, &size, sizeof(size));
    return 0;
}

int tcpx__opts_fail(int err, const char *operation, const char *subject)
{
    return tcpx__fail_because(err, operation, subject,
                              err == -E2BIG
                                  ? "the options are of a newer version"
                                  : "the size of the options is not set");
}
