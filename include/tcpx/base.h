/* SPDX-License-Identifier: MIT */
/*
 * base.h - version, time and the words that every other header uses.
 *
 * RESULTS.  A function that returns int or ssize_t returns zero or a count on
 * success and a negative number on failure: either -errno, as the system said
 * it, or one of the TCPX_E codes of <tcpx/error.h>.  errno itself is neither
 * read nor promised.  Outputs are untouched on failure, but for *done counts
 * and the connect report.  Void functions ignore NULL; getters of NULL give
 * 0, -1 for a descriptor, or "".
 *
 * THREADS.  Unless a declaration says otherwise, a function may be called from
 * any thread, and one handle may be used by one reading and one writing task
 * at a time.
 */
#ifndef TCPX_BASE_H
#define TCPX_BASE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define TCPX_VERSION_MAJOR 0
#define TCPX_VERSION_MINOR 1
#define TCPX_VERSION_PATCH 0
#define TCPX_VERSION "0.1.0"

#define TCPX_API __attribute__((visibility("default")))

#ifdef __cplusplus
#define TCPX_BEGIN_DECLS extern "C" {
#define TCPX_END_DECLS }
#else
#define TCPX_BEGIN_DECLS
#define TCPX_END_DECLS
#endif

TCPX_BEGIN_DECLS

/*
 * The version of the library that is running, "0.1.0", which may be newer than
 * the TCPX_VERSION that the program was compiled against.  Static storage.
 */
TCPX_API const char *tcpx_version(void);

/*
 * Nanoseconds.  An instant counts on CLOCK_MONOTONIC (clock_gettime(2)), which
 * no change of the wall clock moves; a duration is a number of nanoseconds.
 * Options hold durations, calls take instants: the deadline, as last argument.
 */
typedef int64_t tcpx_time;

#define TCPX_USEC INT64_C(1000)
#define TCPX_MSEC INT64_C(1000000)
#define TCPX_SEC INT64_C(1000000000)

/*
 * Deadlines with a name.  TCPX_FOREVER: no limit.  TCPX_NOW: try once, do not
 * wait; what would have waited gives TCPX_EDEADLINE.  Every instant that has
 * passed means the same as TCPX_NOW.
 *
 * A positive deadline from before the program started is -EINVAL in every
 * call: it is a duration that was passed where an instant belongs, and
 * tcpx_after() makes the one into the other.
 */
#define TCPX_FOREVER INT64_MAX
#define TCPX_NOW INT64_C(0)

/* This instant. */
TCPX_API tcpx_time tcpx_now(void);

/*
 * The instant that lies duration from now: tcpx_after(5 * TCPX_SEC).  A sum
 * past the end of time is TCPX_FOREVER; a negative duration gives an instant
 * that has passed.
 */
TCPX_API tcpx_time tcpx_after(tcpx_time duration);

/*
 * What zero cannot say in an option, where zero always means the default:
 * TCPX_NONE switches the thing off, TCPX_UNLIMITED takes the bound away.
 */
#define TCPX_NONE (-1)
#define TCPX_UNLIMITED (-2)

TCPX_END_DECLS

#endif
